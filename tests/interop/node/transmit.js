"use strict";

// What the Transmit middlewares of one line make of bytes. Its argument is the name of the module; on standard input
// a list of {"middleware", "args", "plain", "theirs"}, the last two in base64. Says for each what it sends for `plain`,
// and what it reads from `theirs` (null: nothing).

const moleculer = require(process.argv[2]);
const logger = { info() {}, debug() {}, error() {} };

async function one({ middleware, args, plain, theirs }) {
	const made = moleculer.Middlewares.Transmit[middleware](...args);
	made.created.call({ logger }, { getLogger: () => logger });
	let sent;
	let read = null;
	await made.transporterSend((topic, data) => (sent = data))("T", Buffer.from(plain, "base64"), {});
	await made.transporterReceive((cmd, data) => (read = data.toString("base64")))("T", Buffer.from(theirs, "base64"));
	return { sent: sent.toString("base64"), read };
}

(async () => {
	const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
	const answers = [];
	for (const each of cases) answers.push(await one(each));
	process.stdout.write(JSON.stringify(answers));
})();
