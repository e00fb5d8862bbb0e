"use strict";

// Asks Moleculer's own ShardStrategy who owns what. Reads JSON from standard input:
//   {"moleculer": name of the module, "cases": [{"nodes", "options", "calls": [{"params", "meta"}]}]}
// Says one line of JSON: for each case the owners of its calls, null where the choice was by chance.

const { moleculer, cases } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const { ServiceBroker, Strategies } = require(moleculer);

const broker = new ServiceBroker({ logger: false });

const owners = cases.map(({ nodes, options, calls }) => {
	const strategy = new Strategies.Shard(broker.registry, broker, options);
	const list = nodes.map(id => ({ id }));
	return calls.map(call => {
		const key = strategy.getKeyFromContext(call);
		return key == null ? null : strategy.select(list, call).id;
	});
});

process.stdout.write(JSON.stringify(owners) + "\n", () => process.exit(0));
