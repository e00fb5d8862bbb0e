"use strict";

// What settings name by `Function`. Their twins are in functions.py.

module.exports = function functions({ Errors }, ApiGateway) {
	const { UnAuthorizedError, ForbiddenError, ERR_NO_TOKEN, ERR_INVALID_TOKEN } = ApiGateway.Errors;

	return {
		// onBeforeCall
		beforeSetsMeta(ctx, route, req) {
			ctx.meta.before = route.path;
			ctx.meta.agent = req.headers["user-agent"] ?? null;
		},
		async beforeChangesParams(ctx, route, req) {
			req.$params.added = "yes";
			delete req.$params.removed;
		},
		beforeThrows() {
			throw new ForbiddenError("BEFORE", { hook: "before" });
		},
		beforeThrowsPlain() {
			throw new Error("secret of the hook");
		},
		beforeThrowsText() {
			throw "a text";
		},
		async beforeSetsHeaders(ctx, route, req, res) {
			ctx.meta.$responseHeaders = { "X-Before": "1" };
		},

		// onAfterCall
		afterWraps(ctx, route, req, res, data) {
			return { wrapped: data };
		},
		async afterWrapsLater(ctx, route, req, res, data) {
			return { later: data };
		},
		afterKeeps(ctx, route, req, res, data) {
			return data;
		},
		afterReturnsNothing() {},
		afterThrows() {
			throw new Errors.MoleculerError("after", 502, "AFTER");
		},
		afterSetsMeta(ctx, route, req, res, data) {
			ctx.meta.$statusCode = 202;
			ctx.meta.$responseHeaders = { "X-After": "1" };
			return data;
		},

		// onError
		errorAsText(req, res, error) {
			res.setHeader("Content-Type", "text/plain");
			res.writeHead(error.code ?? 500);
			res.end(`${error.name}: ${error.code ?? 500}`);
		},
		errorAsTextOfRoute(req, res, error) {
			res.setHeader("Content-Type", "text/plain");
			res.writeHead(418);
			res.end(`route: ${error.name}`);
		},
		errorThrows() {
			throw new Error("the hook fails");
		},

		// reformatError
		reformat(error) {
			return { fault: error.name, code: error.code };
		},
		reformatToNothing() {},

		// authentication and authorization
		authenticateByToken(ctx, route, req) {
			const given = req.headers.authorization;
			if (given === "Bearer good") return { id: 1, name: "Ann" };
			if (given === "Bearer weak") return { id: 2, name: "Bob" };
			if (given === "Bearer plain") throw new Error("secret of the token");
			if (given) throw new UnAuthorizedError(ERR_INVALID_TOKEN, { given: "other" });
			return null;
		},
		async authenticateStrictly(ctx, route, req) {
			if (!req.headers.authorization) throw new UnAuthorizedError(ERR_NO_TOKEN);
			return { id: 3 };
		},
		async authorizeGood(ctx) {
			if (!ctx.meta.user) throw new UnAuthorizedError(ERR_NO_TOKEN);
			if (ctx.meta.user.id !== 1) throw new ForbiddenError("NOT_YOURS", { id: ctx.meta.user.id });
		},
		authorizeNobody() {
			throw new ForbiddenError();
		},
		authorizeFalsely() {
			return false;
		},

		// middlewares
		stageTags(req, res, next) {
			res.setHeader("X-Stage", "1");
			next();
		},
		stageTagsToo(req, res, next) {
			res.setHeader("X-Stage-Too", "2");
			next();
		},
		stageEnds(req, res) {
			res.setHeader("Content-Type", "text/plain");
			res.writeHead(202);
			res.end("ended");
		},
		stageEndsSome(req, res, next) {
			if (!req.headers["x-end"]) return next();
			res.setHeader("Content-Type", "text/plain");
			res.writeHead(203);
			res.end("ended by header");
		},
		stageFails(req, res, next) {
			next(new Error("secret of the stage"));
		},
		stageFailsWithCode(req, res, next) {
			next(new Errors.MoleculerClientError("refused by a stage", 409, "STAGE", { a: 1 }));
		},
		stageThrows() {
			throw new Errors.MoleculerClientError("thrown by a stage", 410, "THROWN");
		},

		// function aliases
		aliasText(req, res) {
			res.setHeader("Content-Type", "text/plain");
			res.end("by hand");
		},
		aliasJson(req, res) {
			res.setHeader("Content-Type", "application/json; charset=utf-8");
			res.end(JSON.stringify({ params: req.$params }));
		},
		aliasCreated(req, res) {
			res.writeHead(201, { "X-Hand": "made", "Content-Type": "text/plain" });
			res.end("made");
		},
		aliasFails(req, res, next) {
			next(new Errors.MoleculerClientError("alias refused", 409, "ALIAS"));
		},
		async aliasCalls(req, res) {
			const told = await req.$ctx.call("test.echo", { from: "alias" });
			res.setHeader("Content-Type", "application/json; charset=utf-8");
			res.end(JSON.stringify(told));
		},

		// others
		etagOfLength(body) {
			return `"len-${body.length}"`;
		},
		originIsKnown(origin) {
			return origin === "http://known.test";
		},
		keyOfHeader(req) {
			return req.headers["x-key"];
		}
	};
};
