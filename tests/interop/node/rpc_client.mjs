// Two clients that others wrote, against the endpoint named by the arguments: HTTP, then WebSocket. Prints what they got.

import { createRequire } from "node:module";

import { Client, HTTPTransport, RequestManager, WebSocketTransport } from "@open-rpc/client-js";

const jayson = createRequire(import.meta.url)("jayson/promise");

const settled = asked => asked.then(value => ({ value }), error => ({ code: error.code, data: error.data }));

async function openRpc(transport, listens) {
	const client = new Client(new RequestManager([transport]));
	const heard = [];
	client.onNotification(told => heard.push(told.params));
	const told = {
		byPosition: await client.request({ method: "subtract", params: [42, 23] }),
		byName: await client.request({ method: "subtract", params: { subtrahend: 23, minuend: 42 } }),
		notified: await settled(client.notify({ method: "update", params: [1] })).then(ended => "code" in ended),
		unknown: await settled(client.request({ method: "nobody", params: [] })),
		wrong: await settled(client.request({ method: "subtract", params: [1] })),
		secret: await settled(client.request({ method: "secret", params: [] })),
		together: await Promise.all([1, 2, 3].map(n => client.request({ method: "sum", params: [n, n] })))
	};
	client.startBatch();
	const batch = [
		settled(client.request({ method: "sum", params: [1, 2] })),
		settled(client.request({ method: "nobody", params: [] }))
	];
	client.stopBatch();
	told.batch = await Promise.all(batch);
	if (listens) {
		await client.request({ method: "join", params: ["tea"] });
		await client.request({ method: "say", params: ["tea", "hi"] });
		told.heard = heard;
	}
	client.close();
	return told;
}

async function ofJayson(client) {
	const call = async (...words) => {
		const { result, error } = await client.request(...words);
		return error ? { code: error.code } : { value: result };
	};
	const many = await client.request([
		client.request("sum", [1, 2], undefined, false),
		client.request("nobody", [], undefined, false),
		client.request("update", [1], null, false)
	]);
	return {
		sum: await call("sum", [1, 2, 4]),
		unknown: await call("nobody", []),
		notified: (await client.request("update", [1], null)) ?? null,
		batch: many.map(({ result, error }) => result ?? error.code)
	};
}

const [at, token] = process.argv.slice(2);
const http = new HTTPTransport(`http://${at}`, { headers: { "X-Api-Token": token } });
const told = {
	http: await openRpc(http, false),
	socket: await openRpc(new WebSocketTransport(`ws://${at}`), true),
	jayson: await ofJayson(jayson.Client.http(`http://${at}`))
};
console.log(JSON.stringify(told));
process.exit(0);
