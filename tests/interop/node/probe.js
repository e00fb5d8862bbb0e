"use strict";

// The service that every node of these tests has, named as the node. Its twin is probe.py: same actions,
// same answers, so that a test is written once and runs in both directions.

const { failure } = require("./failures");

const pause = ms => new Promise(done => setTimeout(done, ms));

function facts(ctx) {
	const { id, nodeID, level, requestID, parentID, caller, meta, headers } = ctx;
	return { id, nodeID, level, requestID, parentID, caller, meta: { ...meta }, headers, timeout: ctx.options.timeout };
}

module.exports = function probe({ name }, moleculer) {
	return {
		name,
		settings: { shown: 1, hidden: "secret", $secureSettings: ["hidden"] },
		metadata: { line: "node" },
		actions: {
			echo: ctx => ctx.params,
			seen: ctx => ({ type: ctx.params === null ? "null" : typeof ctx.params, json: JSON.stringify(ctx.params) }),
			add: { params: { a: "number", b: "number" }, handler: ctx => ctx.params.a + ctx.params.b },
			nothing: () => undefined,
			bytes: () => Buffer.from("abc"),
			date: () => new Date(0),
			text: ctx => "x".repeat(ctx.params.length),
			context: facts,
			meta(ctx) {
				const received = { ...ctx.meta };
				ctx.meta.back = name;
				if (ctx.params.fail) throw failure("MoleculerClientError", moleculer);
				return received;
			},
			async sleep(ctx) {
				await pause(ctx.params.ms);
				return ctx.params.ms;
			},
			fail(ctx) {
				throw failure(ctx.params.kind, moleculer);
			},
			async forward(ctx) {
				if (ctx.params.after_ms) await pause(ctx.params.after_ms);
				return ctx.call(ctx.params.action, ctx.params.params, ctx.params.options);
			},
			/** Visits the nodes of `route` one inside the other; returns the facts of each call, outermost first. */
			async chain(ctx) {
				const [next, ...route] = ctx.params.route;
				const mine = { node: name, ...facts(ctx) };
				return next ? [mine, ...(await ctx.call(`${next}.chain`, { route }))] : [mine];
			},
			async publish(ctx) {
				const { type, event, data, groups, headers } = ctx.params;
				await ctx[type](event, data, { groups, headers });
				return facts(ctx);
			},
			guarded: { visibility: "protected", handler: () => "guarded" },
			own: { visibility: "private", handler: () => "own" },
			async within(ctx) {
				return [await ctx.call(`${name}.guarded`), await this.actions.own()];
			}
		}
	};
};
