"use strict";

// A service whose results say where they were made. Its actions are the same on every node that has it.

module.exports = function cached({ name = "cached" }) {
	const where = ctx => ({ node: ctx.broker.nodeID, params: ctx.params, none: null });
	const slow = ctx => new Promise(resolve => setTimeout(() => resolve(where(ctx)), ctx.params.ms));
	return {
		name,
		actions: {
			all: { cache: true, handler: where },
			get: { cache: { keys: ["id"], ttl: 30 }, handler: where },
			locked: { cache: { keys: ["id"], lock: true }, handler: slow },
			nested: { cache: { keys: ["user.id", "list", "#tenant"] }, handler: where }
		},
		events: {
			async "cache.clean.cached"(ctx) {
				await ctx.broker.cacher.clean(ctx.params.mask);
			}
		}
	};
};
