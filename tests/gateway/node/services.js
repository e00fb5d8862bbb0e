"use strict";

// The services behind the gateways, by name. Their twins are in services.py.

const { Readable } = require("node:stream");

module.exports = function services({ Errors }, ApiGateway) {
	const said = action => ctx => ({ action, params: ctx.params });

	function published(meta) {
		return Object.fromEntries(Object.entries(meta).filter(([key]) => !key.startsWith("$")));
	}

	function failure({ kind, message, code, type, data, fields }) {
		const named = Errors[kind] ?? ApiGateway.Errors[kind];
		let error;
		if (["MoleculerError", "MoleculerClientError", "MoleculerServerError", "MoleculerRetryableError"].includes(kind))
			error = new named(message, code, type, data);
		else if (kind === "ValidationError") error = new named(message, type, data);
		else if (kind === "PayloadTooLarge") error = new named(data);
		else if (kind === "custom") {
			error = new (class TeapotError extends Errors.MoleculerClientError {})(message, code, type, data);
		} else if (named && kind in ApiGateway.Errors) error = new named(type, data);
		else if (named) error = new named(data);
		else error = new Error(message);
		return Object.assign(error, fields);
	}

	async function consumed(ctx) {
		const { ...params } = ctx.params;
		if (!ctx.stream) return { params, stream: false };
		const chunks = [];
		for await (const chunk of ctx.stream) chunks.push(chunk);
		const bytes = Buffer.concat(chunks);
		return { params, length: bytes.length, text: bytes.toString("latin1").slice(0, 100) };
	}

	return {
		test: {
			name: "test",
			actions: {
				hello: () => "Hello",
				json: () => ({ name: "Ann", n: 1, list: [1, null, "ü"] }),
				echo: ctx => ctx.params,
				length: ctx => JSON.stringify(ctx.params).length,
				meta: ctx => published(ctx.meta),
				both: ctx => ({ params: ctx.params, meta: published(ctx.meta) }),
				add: {
					params: { a: { type: "number", convert: true }, b: { type: "number", convert: true } },
					handler: ctx => Number(ctx.params.a) + Number(ctx.params.b)
				},
				greet: { params: { name: "string" }, handler: ctx => `Hi ${ctx.params.name}` },
				async slow() {
					await new Promise(resolve => setTimeout(resolve, 1500));
					return "late";
				},
				camelCase: () => "camel"
			}
		},
		posts: {
			name: "posts",
			actions: {
				list: said("list"),
				get: said("get"),
				create: said("create"),
				update: said("update"),
				patch: said("patch"),
				remove: said("remove")
			}
		},
		users: {
			name: "users",
			version: 2,
			actions: { list: () => "users of version 2" }
		},
		dotted: {
			name: "first.second",
			actions: { third: () => "dotted", deep: { handler: () => "deep" } }
		},
		hyphen: {
			name: "hy-phen",
			actions: { "do-it": () => "hyphens", sayHello: () => "said" }
		},
		guarded: {
			name: "guarded",
			actions: {
				open: () => "open",
				published: { visibility: "published", handler: () => "published" },
				public: { visibility: "public", handler: () => "public" },
				protected: { visibility: "protected", handler: () => "protected" },
				private: { visibility: "private", handler: () => "private" }
			}
		},
		answers: {
			name: "answers",
			actions: {
				nothing: () => null,
				undefined: () => undefined,
				text: () => "text é",
				empty: () => "",
				number: () => 42,
				zero: () => 0,
				float: () => 1.5,
				true: () => true,
				false: () => false,
				list: () => [1, "two", null],
				object: () => ({ a: { b: "é" } }),
				none: () => ({}),
				bytes: () => Buffer.from([0, 255, 65]),
				noBytes: () => Buffer.alloc(0),
				bufferObject: () => ({ type: "Buffer", data: [104, 105] }),
				badBuffer: () => ({ type: "Buffer" }),
				stream: () => Readable.from([Buffer.from("one "), Buffer.from("two")]),
				emptyStream: () => Readable.from([]),
				brokenStream: () =>
					Readable.from(
						(async function* () {
							yield Buffer.from("begun ");
							await new Promise(resolve => setTimeout(resolve, 50));
							throw new Error("broken");
						})()
					),
				csv: { responseType: "text/csv", handler: () => "a,b" },
				csvNothing: { responseType: "text/csv", handler: () => null },
				typed: { responseHeaders: { "Content-Type": "text/xml", "X-Own": "1" }, handler: () => "<a/>" },
				typedLower: { responseHeaders: { "content-type": "text/xml" }, handler: () => "<a/>" },
				many: { responseHeaders: { "X-Own": "1", "X-List": ["a", "b"] }, handler: () => ({ a: 1 }) },
				shaped(ctx) {
					Object.assign(ctx.meta, ctx.params.meta);
					return ctx.params.result;
				},
				shapedBytes(ctx) {
					Object.assign(ctx.meta, ctx.params.meta);
					return Buffer.from("bytes");
				},
				shapedStream(ctx) {
					Object.assign(ctx.meta, ctx.params.meta);
					return Readable.from([Buffer.from("one "), Buffer.from("two")]);
				},
				typedShaped: {
					responseType: "text/csv",
					responseHeaders: { "X-Own": "action", "X-More": "action" },
					handler(ctx) {
						Object.assign(ctx.meta, ctx.params.meta);
						return "a,b";
					}
				}
			}
		},
		errors: {
			name: "errors",
			actions: {
				raise(ctx) {
					Object.assign(ctx.meta, ctx.params.meta);
					throw failure(ctx.params);
				},
				plain() {
					throw new Error("internal details");
				},
				type(ctx) {
					return ctx.params.no.such;
				}
			}
		},
		files: {
			name: "files",
			actions: {
				save: consumed,
				async fail(ctx) {
					await consumed(ctx);
					throw new Errors.MoleculerClientError("not this file", 422, "BAD_FILE", { why: "so" });
				},
				refuse() {
					throw new Errors.MoleculerClientError("no files", 403, "NO_FILES");
				}
			}
		},
		books: {
			name: "books",
			actions: {
				list: { rest: "GET /", handler: said("list") },
				get: { rest: "GET /:id", handler: said("get") },
				create: { rest: { method: "POST", path: "/" }, handler: said("create") },
				both: { rest: ["GET /both", "POST /both"], handler: said("both") },
				objects: { rest: [{ method: "PUT", path: "/o1" }, { method: "PATCH", path: "/o2" }], handler: said("objects") },
				any: { rest: "/any", handler: said("any") },
				named: { rest: { method: "GET" }, handler: said("named") },
				based: { rest: { method: "GET", path: "/based", basePath: "shelf" }, handler: said("based") },
				full: { rest: { method: "GET", fullPath: "/whole/path" }, handler: said("full") },
				double: { rest: "GET //double//slash/", handler: said("double") },
				hidden: { rest: "GET /hidden", visibility: "public", handler: said("hidden") },
				plain: { handler: said("plain") }
			}
		},
		shelves: {
			name: "shelves",
			version: 3,
			settings: { rest: "my/shelves" },
			actions: { list: { rest: "GET /", handler: said("shelves") } }
		},
		boxes: {
			name: "boxes",
			version: 4,
			actions: { list: { rest: "GET /", handler: said("boxes") } }
		},
		crates: {
			name: "crates",
			version: 5,
			settings: { $noVersionPrefix: true },
			actions: { list: { rest: "GET /", handler: said("crates") } }
		},
		bags: {
			name: "bags",
			version: "beta",
			settings: { rest: ["bags", "/sacks/"] },
			actions: { list: { rest: "GET /all", handler: said("bags") } }
		},
		trunks: {
			name: "old.trunks",
			actions: { list: { rest: "GET /", handler: said("trunks") } }
		}
	};
};
