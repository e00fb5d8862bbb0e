"use strict";

// Streams from and to a node. Its twin is streams.py: same actions, same answers.
// 0.14 gives a stream in place of the params, 0.15 beside them; `incoming` and `outgoing` know which.

const { Readable } = require("stream");
const { createHash } = require("crypto");

const pause = ms => new Promise(done => setTimeout(done, ms));

/** `count` pieces of `size` bytes; byte i of the whole is i mod 251. */
function* pieces({ count, size }) {
	for (let piece = 0; piece < count; piece++) {
		yield Buffer.from(Array.from({ length: size }, (_, i) => (piece * size + i) % 251));
	}
}

async function* endless(ms) {
	for (let n = 0; ; n++) {
		yield { n };
		await pause(ms);
	}
}

async function* breaking(item, moleculer) {
	yield item;
	await pause(20);
	throw new moleculer.Errors.MoleculerClientError("source broke", 418, "SOURCE", { at: 1 });
}

async function* shout(stream) {
	for await (const chunk of stream) yield Buffer.from(chunk.toString().toUpperCase());
}

function source({ kind, ...params }, moleculer) {
	switch (kind) {
		case "bytes":
			return Readable.from(pieces(params), { objectMode: false });
		case "texts":
			return Readable.from(["äö", "ü"], { objectMode: false, encoding: "utf8" });
		case "objects":
			return Readable.from(params.items);
		case "empty":
			return Readable.from([], { objectMode: false });
		case "broken":
			return Readable.from(breaking(Buffer.from("part"), moleculer), { objectMode: false });
		case "broken objects":
			return Readable.from(breaking({ part: 1 }, moleculer));
		case "endless":
			return Readable.from(endless(params.ms || 5));
	}
}

/** Reads a stream to its end: what a test compares. */
async function summary(stream) {
	const hash = createHash("md5");
	const items = [];
	let bytes = 0;
	let error = null;
	try {
		for await (const item of stream) {
			if (Buffer.isBuffer(item)) {
				hash.update(item);
				bytes += item.length;
			} else items.push(item);
		}
	} catch (failed) {
		error = { name: failed.name, message: failed.message, code: failed.code, type: failed.type, data: failed.data };
	}
	return { bytes, md5: hash.digest("hex"), items, error };
}

module.exports = function streams({ name }, moleculer, say) {
	const old = moleculer.ServiceBroker.MOLECULER_VERSION.startsWith("0.14");
	const incoming = ctx => (old ? ctx.params : ctx.stream);
	const outgoing = (ctx, action, params, stream, meta) =>
		old ? ctx.call(action, stream, { meta }) : ctx.call(action, params, { stream, meta });
	return {
		name: `${name}-streams`,
		actions: {
			give(ctx) {
				ctx.meta.given = ctx.params.kind;
				return source(ctx.params, moleculer);
			},
			async take(ctx) {
				const params = old ? null : ctx.params;
				return { ...(await summary(incoming(ctx))), params, meta: { ...ctx.meta } };
			},
			shout: ctx => Readable.from(shout(incoming(ctx)), { objectMode: false }),
			/** Answers without reading what comes. */
			ignore: () => "answered",
			/** Calls `action` and reads what it gives. */
			async fetch(ctx) {
				const { action, params } = ctx.params;
				return { ...(await summary(await ctx.call(action, params))), meta: { ...ctx.meta } };
			},
			/** Calls `action` with the stream `source` describes. */
			async push(ctx) {
				const { action, params, meta } = ctx.params;
				const result = await outgoing(ctx, action, params, source(ctx.params.source, moleculer), meta);
				return result?.pipe ? await summary(result) : result;
			}
		}
	};
};
