"use strict";

// Tells the test of every event that it hears. `patterns` maps an event pattern to its group, or to null.

module.exports = function listener({ name, patterns }, moleculer, say) {
	const events = {};
	for (const [pattern, group] of Object.entries(patterns)) {
		events[pattern] = {
			...(group ? { group } : {}),
			context: true,
			handler(ctx) {
				const { id, nodeID, level, requestID, parentID, caller, meta, headers } = ctx;
				say({
					heard: {
						listener: name,
						pattern,
						event: ctx.eventName,
						type: ctx.eventType,
						groups: ctx.eventGroups,
						// Local events carry whole nodes and services, which hold circles; the tests need none of them.
						data: ctx.eventName.startsWith("$") ? undefined : ctx.params,
						about: ctx.eventName.startsWith("$node.")
							? { node: ctx.params.node.id, unexpected: ctx.params.unexpected }
							: ctx.eventName.startsWith("$circuit-breaker.")
								? ctx.params
								: undefined,
						context: { id, nodeID, level, requestID, parentID, caller, meta, headers }
					}
				});
			}
		};
	}
	return { name, events };
};
