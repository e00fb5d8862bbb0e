"use strict";

// A JSON-RPC server that others wrote, by HTTP and by WebSocket. Prints its ports, and ends with its input.

const http = require("http");
const jayson = require("jayson");

const server = new jayson.Server({
	subtract: new jayson.Method((params, done) => {
		const [a, b] = Array.isArray(params) ? params : [params.minuend, params.subtrahend];
		done(null, a - b);
	}),
	note: (params, done) => done(null, null),
	slow: ([milliseconds], done) => setTimeout(() => done(null, milliseconds), milliseconds),
	fail: (params, done) => done({ code: 7, message: "no such colour", data: { known: ["red"] } })
});

const overHttp = server.http().listen(0, "127.0.0.1", () => {
	const sockets = http.createServer().listen(0, "127.0.0.1", () => {
		server.websocket({ server: sockets });
		console.log(JSON.stringify({ http: overHttp.address().port, socket: sockets.address().port }));
	});
});
process.stdin.on("end", () => process.exit(0)).resume();
