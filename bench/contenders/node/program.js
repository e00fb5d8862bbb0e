"use strict";
// The Node contender: moleculer and moleculer-web with their defaults. Roles and commands: bench/README.md.

const http = require("node:http");
const readline = require("node:readline");
const { ServiceBroker } = require("moleculer");

const PAYLOADS = { tiny: { n: 1 }, "10kB": { text: "x".repeat(10_000) } };

const PARAMS = { id: { type: "number", positive: true }, name: { type: "string", min: 2 } };

// Operations between two looks at the clock, as in the Python contenders.
const BATCH = 500;

const [role, options] = [process.argv[2], JSON.parse(process.argv[3] ?? "{}")];

function bench(broker) {
	broker.createService({
		name: "bench",
		actions: {
			async empty() {},
			async nested(ctx) {
				return await ctx.call("bench.empty");
			},
			cached: {
				cache: { keys: ["id"] },
				async handler(ctx) {
					return { id: ctx.params.id, hello: "world" };
				}
			},
			validated: {
				params: PARAMS,
				async handler() {}
			},
			held: {
				params: PARAMS,
				timeout: 5000,
				circuitBreaker: { enabled: true },
				bulkhead: { enabled: true },
				async handler() {}
			},
			async echo(ctx) {
				return ctx.params;
			},
			async hello() {
				return { hello: "world" };
			},
			async user(ctx) {
				return { id: ctx.params.id, x: ctx.params.x };
			}
		},
		events: {
			"bench.happened"() {}
		}
	});
}

const ALIASES = { "GET /hello": "bench.hello", "GET /users/:id": "bench.user" };

const ROUTES = {
	gateway: [
		{ path: "/", aliases: ALIASES },
		{ path: "/open", mappingPolicy: "all" }
	],
	guarded: [
		{
			path: "/",
			aliases: ALIASES,
			cors: { origin: ["http://app.test"], credentials: true },
			rateLimit: { window: 60_000, limit: 1_000_000_000, headers: true },
			authentication: true,
			authorization: true
		}
	],
	jsonrpc: [{ path: "/plain", aliases: { "POST /hello": "bench.hello" }, bodyParsers: { json: true } }],
	aliases: [
		{
			path: "/",
			aliases: Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`GET /r${n}/:id`, "bench.user"]))
		}
	]
};

function greeter(broker) {
	broker.createService({
		name: "bench",
		actions: {
			async hello(ctx) {
				return `hello ${ctx.params.name}`;
			}
		}
	});
}

// What our gateway does with `@websocket_rpc`, as people write it with `ws`: the same messages, byte for byte.
function sockets(broker) {
	const { WebSocketServer } = require("ws");
	const { randomUUID } = require("node:crypto");
	const rooms = new Map();

	broker.createService({
		name: "bench",
		actions: {
			async hello() {
				return { hello: "world" };
			},
			async echo(ctx) {
				return { n: ctx.params.n };
			},
			async join(ctx) {
				const { socket } = ctx.meta;
				if (!rooms.has("all")) rooms.set("all", new Set());
				rooms.get("all").add(socket);
				socket.once("close", () => rooms.get("all").delete(socket));
				return null;
			},
			async shout(ctx) {
				const event = JSON.stringify({ type: "event", event: "news", data: { text: ctx.params.text } });
				for (const socket of rooms.get("all") ?? []) socket.send(event);
				return null;
			}
		}
	});

	const server = http.createServer(async (req, res) => {
		res.setHeader("content-type", "application/json");
		res.end(JSON.stringify(await broker.call("bench.hello")));
	});
	const wss = new WebSocketServer({ server, path: "/ws" });
	wss.on("connection", socket => {
		socket.send(JSON.stringify({ type: "event", event: "connected", data: { socket_id: randomUUID() } }));
		socket.on("message", async text => {
			let correlation_id = null;
			try {
				const message = JSON.parse(text);
				correlation_id = message.correlation_id ?? null;
				const data = await broker.call(message.method, message.data ?? {}, { meta: { socket } });
				socket.send(JSON.stringify({ type: "result", success: true, data, correlation_id }));
			} catch (error) {
				const told = { exc_type: error.name, value: error.message };
				socket.send(JSON.stringify({ type: "result", success: false, error: told, correlation_id }));
			}
		});
	});
	server.listen(options.port, "127.0.0.1");
}

function gateway(broker) {
	broker.createService({
		name: "api",
		mixins: [require("moleculer-web")],
		settings: { port: options.port, ip: "127.0.0.1", path: role === "jsonrpc" ? "/" : "/api", routes: ROUTES[role] ?? ROUTES.gateway },
		methods: {
			async authenticate(ctx, route, req) {
				return req.headers.authorization === "Bearer letmein" ? { id: 1 } : null;
			},
			async authorize(ctx) {
				if (!ctx.meta.user) throw new Error("who are you?");
			}
		}
	});
}

function makeBroker() {
	const broker = new ServiceBroker({
		nodeID: role,
		namespace: "bench",
		logLevel: "warn",
		metrics: false,
		cacher: role === "local",
		transporter: options.nats ?? null
	});
	if (role === "sockets") sockets(broker);
	else if (role === "jsonrpc") greeter(broker);
	else if (role !== "caller" && role !== "edge") bench(broker);
	if (role in ROUTES || role === "edge") gateway(broker);
	return broker;
}

// Each does the measured thing as often as it is told, one after the other.
function operationOf(broker, command) {
	const params = PAYLOADS[command.payload ?? "tiny"];
	const known = {
		async local(count) {
			for (let i = 0; i < count; i++) await broker.call("bench.empty");
		},
		async nested(count) {
			for (let i = 0; i < count; i++) await broker.call("bench.nested");
		},
		async cached(count) {
			for (let i = 0; i < count; i++) await broker.call("bench.cached", { id: 5 });
		},
		async validated(count) {
			for (let i = 0; i < count; i++) await broker.call("bench.validated", { id: 5, name: "Anna" });
		},
		async held(count) {
			for (let i = 0; i < count; i++) await broker.call("bench.held", { id: 5, name: "Anna" });
		},
		async emit(count) {
			for (let i = 0; i < count; i++) await broker.emit("bench.happened", params);
		},
		async remote(count) {
			for (let i = 0; i < count; i++) await broker.call("bench.echo", params);
		}
	};
	return known[command.operation];
}

// Keeps `in_flight` loops busy until the time is over; without it, one loop that looks seldom at the clock.
async function measure(operation, seconds, inFlight) {
	const batch = inFlight == null ? BATCH : 1;
	const start = performance.now();
	const end = start + seconds * 1000;
	let ops = 0;
	async function busy() {
		do {
			await operation(batch);
			ops += batch;
		} while (performance.now() < end);
	}
	await Promise.all(Array.from({ length: inFlight ?? 1 }, busy));
	return { ops, seconds: (performance.now() - start) / 1000 };
}

function answer(record) {
	process.stdout.write(JSON.stringify({ bench: record }) + "\n");
}

async function main() {
	const broker = makeBroker();
	await broker.start();
	if (role === "caller" || role === "edge") await broker.waitForServices("bench", 15_000);
	answer({ ready: true, runtime: `Node ${process.version}` });
	for await (const line of readline.createInterface({ input: process.stdin })) {
		const command = JSON.parse(line);
		try {
			answer(await measure(operationOf(broker, command), command.seconds, command.in_flight));
		} catch (error) {
			answer({ error: error.stack }); // The driver reports it and goes on with the next scenario.
		}
	}
	await broker.stop(); // The end of standard input is the word to stop.
	process.exit(0);
}

main().catch(error => {
	console.error(error);
	process.exit(1);
});
