"use strict";

// One real Moleculer node. Its only argument is JSON:
//   {"moleculer": name of the module, "id", "namespace", "url", "services": [{"kind", ...}], "broker": {more options}}

const { say, serve, describeError } = require("./channel");

const wanted = JSON.parse(process.argv[2]);
const moleculer = require(wanted.moleculer);

// Built-in middlewares of the line, as [name, ...arguments]; what JSON cannot hold.
const transmit = (wanted.broker?.transmit ?? []).map(([name, ...args]) => moleculer.Middlewares.Transmit[name](...args));
delete wanted.broker?.transmit;

const broker = new moleculer.ServiceBroker({
	middlewares: transmit,
	nodeID: wanted.id,
	namespace: wanted.namespace,
	transporter: wanted.url,
	logLevel: "warn",
	...wanted.broker
});

const kinds = {
	probe: require("./probe"),
	listener: require("./listener"),
	calculator: require("./calculator"),
	cached: require("./cached"),
	moody: require("./moody"),
	streams: require("./streams"),
	gateway: options => require("./gateway")(options),
	validated: require("./validated")
};

function create({ kind, ...options }) {
	return broker.createService(kinds[kind](options, moleculer, say));
}

async function call({ action, params, options }) {
	const promise = broker.call(action, params, options);
	try {
		const value = await promise;
		return { value, meta: promise.ctx?.meta };
	} catch (error) {
		return { error: describeError(error), meta: (error.ctx ?? promise.ctx)?.meta };
	}
}

serve({
	call,
	async emit({ type, event, data, options }) {
		await broker[type](event, data, options);
	},
	async ping({ nodes, timeout_ms }) {
		return { value: await broker.ping(nodes, timeout_ms) };
	},
	async nodes() {
		return { value: broker.registry.getNodeList({ onlyAvailable: false, withServices: false }) };
	},
	async services() {
		return { value: broker.registry.getServiceList({ withActions: true, withEvents: true, grouping: false }) };
	},
	async endpoints({ action }) {
		const list = broker.registry.actions.get(action);
		return { value: (list?.endpoints ?? []).filter(endpoint => endpoint.isAvailable).map(endpoint => endpoint.id) };
	},
	async listeners({ event }) {
		return { value: broker.registry.events.getAllEndpoints(event).map(endpoint => endpoint.id) };
	},
	async wait_for({ services, timeout_ms }) {
		await broker.waitForServices(services, timeout_ms, 10);
	},
	async create(command) {
		delete command.id;
		delete command.op;
		await broker.waitForServices([create(command).fullName], 5000, 10);
	},
	async destroy({ name }) {
		await broker.destroyService(name);
	},
	async port({ name }) {
		return { value: broker.getLocalService(name).server.address().port };
	},
	async stop() {
		await broker.stop();
	}
});

(async () => {
	for (const service of wanted.services ?? []) create(service);
	await broker.start();
	say({ ready: true, moleculer: broker.MOLECULER_VERSION, node: process.version, instanceID: broker.instanceID });
})().catch(error => {
	say({ failed: describeError(error) });
	process.exit(1);
});
