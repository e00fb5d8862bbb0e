"use strict";

// Says which keys the cachers of both Moleculer lines make. Reads {"cases": [{"name", "params", "meta", "headers", "keys",
// "max"}]} from its input, writes [{"0.14": key, "0.15": key}]. A value {"$date": ms} is a date, {"$number": "NaN"} a number.

const { readFileSync } = require("fs");
const LINES = { "0.14": require("moleculer-014"), "0.15": require("moleculer") };

function value(told) {
	if (Array.isArray(told)) return told.map(value);
	if (told === null || typeof told !== "object") return told;
	if ("$date" in told) return new Date(told.$date);
	if ("$number" in told) return Number(told.$number);
	return Object.fromEntries(Object.entries(told).map(([name, one]) => [name, value(one)]));
}

function key(line, one) {
	const cacher = new LINES[line].Cachers.Memory({ maxParamsLength: one.max });
	clearInterval(cacher.timer);
	const params = value(one.params);
	const meta = value(one.meta);
	const headers = value(one.headers);
	const made =
		line === "0.14"
			? cacher.getCacheKey(one.name, params, meta, one.keys)
			: cacher.getCacheKey({ name: one.name }, { keys: one.keys }, { params, meta, headers });
	return Buffer.from(made).toString(); // As it arrives in a store: half a surrogate pair is U+FFFD.
}

const { cases } = JSON.parse(readFileSync(0, "utf8"));
const answers = cases.map(one => Object.fromEntries(Object.keys(LINES).map(line => [line, key(line, one)])));
process.stdout.write(JSON.stringify(answers));
