"use strict";

// moleculer-web on a free port; its routes are the `rest` annotations of the services it knows, unless the test brings settings.

const ApiGateway = require("moleculer-web");

module.exports = function gateway({ name, settings }) {
	return {
		name,
		mixins: [ApiGateway],
		settings: {
			port: 0,
			ip: "127.0.0.1",
			routes: [{ path: "/", autoAliases: true, whitelist: ["**"], bodyParsers: { json: true } }],
			...settings
		}
	};
};
