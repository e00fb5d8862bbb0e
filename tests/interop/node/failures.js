"use strict";

// An error for each name. Its twin is failures.py.

module.exports.failure = function failure(kind, { Errors }) {
	const at = { action: "some.action", nodeID: "some-node" };
	switch (kind) {
		case "MoleculerError":
		case "MoleculerRetryableError":
		case "MoleculerServerError":
		case "MoleculerClientError":
			return new Errors[kind]("went wrong", 456, "SOME_TYPE", { a: [1, null, "ü"] });
		case "ServiceNotFoundError":
		case "ServiceNotAvailableError":
		case "RequestTimeoutError":
		case "RequestSkippedError":
		case "RequestRejectedError":
		case "QueueIsFullError":
			return new Errors[kind](at);
		case "ValidationError":
			return new Errors.ValidationError("not valid", "SOME_TYPE", [{ type: "required", field: "a" }]);
		case "MaxCallLevelError":
			return new Errors.MaxCallLevelError({ nodeID: "some-node", level: 7 });
		case "ServiceSchemaError":
		case "BrokerOptionsError":
			return new Errors[kind]("went wrong", { a: 1 });
		case "GracefulStopTimeoutError":
			return new Errors.GracefulStopTimeoutError({ service: { name: "some" } });
		case "ProtocolVersionMismatchError":
			return new Errors.ProtocolVersionMismatchError({ nodeID: "some-node", actual: "5", received: "3" });
		case "InvalidPacketDataError":
			return new Errors.InvalidPacketDataError({ a: 1 });
		case "BrokerDisconnectedError":
			return new Errors.BrokerDisconnectedError();
		case "custom":
			return new (class TeapotError extends Errors.MoleculerClientError {
				constructor() {
					super("short and stout", 418, "TEAPOT", { spout: true });
					this.retryable = true;
				}
			})();
		case "unexpected":
			return new TypeError("unexpected");
		case "text":
			return "only a text";
		default:
			return new Error(`no failure named ${kind}`);
	}
};
