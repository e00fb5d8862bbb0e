"use strict";

// A node with a real moleculer-web and the services behind it. Arguments: the package.json beside whose
// node_modules the packages are, and what is wanted as JSON: {"settings", "services", "methods"}.

const { createRequire } = require("node:module");

const packages = createRequire(process.argv[2]);
const wanted = JSON.parse(process.argv[3]);
const moleculer = packages("moleculer");
const ApiGateway = packages("moleculer-web");
const services = require("./services")(moleculer, ApiGateway);
const functions = require("./functions")(moleculer, ApiGateway);

function revived(value) {
	if (Array.isArray(value)) return value.map(revived);
	if (value === null || typeof value !== "object") return value;
	if ("$function" in value) return functions[value.$function];
	if ("$regexp" in value) return new RegExp(value.$regexp);
	if ("$bytes" in value) return Buffer.from(value.$bytes, "base64");
	return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, revived(one)]));
}

async function main() {
	const broker = new moleculer.ServiceBroker({ nodeID: "node", logger: false });
	for (const name of wanted.services) broker.createService(services[name]);
	const gateway = broker.createService({
		name: "api",
		mixins: [ApiGateway],
		settings: { port: 0, ip: "127.0.0.1", debounceTime: 10, ...revived(wanted.settings) },
		methods: revived(wanted.methods)
	});
	await broker.start();
	// The generated aliases come a moment after the start.
	await new Promise(resolve => setTimeout(resolve, 200));
	process.stdout.write(JSON.stringify({ ready: true, port: gateway.server.address().port }) + "\n");
}

process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
main();
