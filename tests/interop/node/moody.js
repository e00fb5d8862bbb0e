"use strict";

// A service that fails when it is asked to, with and without a circuit of its own. Its twin is moody.py.

module.exports = function moody({ name }, { Errors }) {
	let asked = 0;
	function answer(ctx) {
		asked++;
		if (ctx.params.fail) throw new Errors.MoleculerError("not in the mood", 500, "MOOD", { a: 1 });
		return "well";
	}
	return {
		name: `${name}-moody`,
		actions: {
			guarded: {
				circuitBreaker: { enabled: true, threshold: 0.5, minRequestCount: 3, halfOpenTime: 500 },
				handler: answer
			},
			plain: answer,
			asked: () => asked
		}
	};
};
