"use strict";

// What buyers say of products: a service in Node.js, in one mesh with those in Python.

const { MoleculerClientError } = require("moleculer").Errors;

module.exports = {
	name: "reviews",

	created() {
		this.reviews = [];
		this.bought = new Set();
	},

	events: {
		// Emitted by the Python service "orders".
		"order.created"(ctx) {
			const { user, product } = ctx.params;
			this.bought.add(`${user.id}/${product.id}`);
		}
	},

	actions: {
		list: {
			rest: "GET /",
			params: { product: { type: "number", integer: true, convert: true, optional: true } },
			handler(ctx) {
				const { product } = ctx.params;
				return product ? this.reviews.filter(review => review.product === product) : this.reviews;
			}
		},

		create: {
			rest: "POST /",
			params: {
				user: "number|integer",
				product: "number|integer",
				stars: "number|integer|min:1|max:5",
				text: "string|max:1000"
			},
			async handler(ctx) {
				const { user, product, stars, text } = ctx.params;
				// Both are Python services. If there is no such product, its 404 goes on to our caller.
				await ctx.call("products.get", { id: product });
				const { name } = await ctx.call("users.get", { id: user });
				if (!this.bought.has(`${user}/${product}`))
					throw new MoleculerClientError("Only who bought it may review it.", 403, "NOT_A_BUYER");

				const review = { id: this.reviews.length + 1, product, by: name, stars, text };
				this.reviews.push(review);
				ctx.meta.$statusCode = 201;
				return review;
			}
		}
	}
};
