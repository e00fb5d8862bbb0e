"use strict";

// A service whose one action has the params that it is told.

module.exports = function validated({ name, params }) {
	return {
		name,
		actions: {
			check: { params, handler: ctx => ctx.params }
		}
	};
};
