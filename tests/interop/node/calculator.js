"use strict";

// A service that comes and goes, with or without a version.

module.exports = function calculator({ name, version }) {
	return {
		name,
		version,
		actions: {
			double: ctx => 2 * ctx.params.n,
			where: ctx => ctx.broker.nodeID
		}
	};
};
