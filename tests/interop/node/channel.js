"use strict";

// The line to the test: one JSON object a line, commands in, replies and events out.
// A value of `undefined` leaves its key out, so that the test can tell it from `null`.

const readline = require("readline");

const write = process.stdout.write.bind(process.stdout);
// Whatever else is printed, by Moleculer's logger or by Node, must not fall between the lines.
process.stdout.write = process.stderr.write.bind(process.stderr);

function say(line) {
	write(JSON.stringify(line) + "\n");
}

function describeError(error) {
	if (!(error instanceof Error)) return { name: typeof error, message: String(error) };
	const { name, message, code, type, data, retryable, nodeID } = error;
	return { name, class: error.constructor.name, message, code, type, data, retryable, nodeID };
}

/** Answers each command by `commands[op](command)`, side by side; ends with standard input. */
function serve(commands) {
	readline.createInterface({ input: process.stdin }).on("line", async line => {
		const command = JSON.parse(line);
		try {
			say({ reply: command.id, ...(await commands[command.op](command)) });
		} catch (error) {
			say({ reply: command.id, error: describeError(error) });
		}
	});
	// The test process is gone or wants no more: no node may be left behind.
	process.stdin.on("end", () => process.exit(0));
}

module.exports = { say, serve, describeError };
