"""Requests of JSON-RPC and their answers: the standard's own examples, and a hundred edges.

Each is (what it shows, request, answer). ``{R`` stands for ``{"jsonrpc":"2.0"``; an answer of None is no answer at all.
An error is written as its code; its message is the usual one of that code. The methods are those of `METHODS`.
"""

from __future__ import annotations

import json
from typing import Any

METHODS = """
    subtract(minuend, subtrahend), sum(*numbers), update(*values), notify_hello(number), get_data(), nothing(),
    echo(value), boom() raises, broken() raises TypeError, only(*, name), options(**options), greet(name="you")
"""

PARSE, INVALID, UNKNOWN, PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
MESSAGES = {
    PARSE: "Parse error",
    INVALID: "Invalid Request",
    UNKNOWN: "Method not found",
    PARAMS: "Invalid params",
    INTERNAL: "Internal error",
}


def good(id: str, result: str) -> str:
    return f'{{R,"result":{result},"id":{id}}}'


def bad(code: int, id: str = "null") -> str:
    return f'{{R,"error":{{"code":{code},"message":"{MESSAGES[code]}"}},"id":{id}}}'


def ask(method: str, params: str | None = None, id: str | None = "1") -> str:
    return (
        f'{{R,"method":"{method}"'
        + ("" if params is None else f',"params":{params}')
        + ("" if id is None else f',"id":{id}')
        + "}"
    )


BATCH = (
    "["
    + ",".join(
        [
            ask("sum", "[1,2,4]", '"1"'),
            ask("notify_hello", "[7]", None),
            ask("subtract", "[42,23]", '"2"'),
            '{"foo": "boo"}',
            ask("foo.get", '{"name": "myself"}', '"5"'),
            ask("get_data", None, '"9"'),
        ]
    )
    + "]"
)

STANDARD: list[tuple[str, str, str | None]] = [
    ("positional", ask("subtract", "[42, 23]"), good("1", "19")),
    ("positional, turned round", ask("subtract", "[23, 42]", "2"), good("2", "-19")),
    ("named", ask("subtract", '{"subtrahend": 23, "minuend": 42}', "3"), good("3", "19")),
    ("named, turned round", ask("subtract", '{"minuend": 42, "subtrahend": 23}', "4"), good("4", "19")),
    ("notification", ask("update", "[1,2,3,4,5]", None), None),
    ("notification of something unknown", ask("foobar", None, None), None),
    ("unknown method", ask("foobar", None, '"1"'), bad(UNKNOWN, '"1"')),
    ("broken JSON", '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', bad(PARSE)),
    ("no request object", '{"jsonrpc": "2.0", "method": 1, "params": "bar"}', bad(INVALID)),
    ("batch of broken JSON", '[{R, "method": "sum", "params": [1,2,4], "id": "1"},{R, "method"]', bad(PARSE)),
    ("empty batch", "[]", bad(INVALID)),
    ("batch of one that is no request", "[1]", f"[{bad(INVALID)}]"),
    ("batch of three that are none", "[1,2,3]", f"[{bad(INVALID)},{bad(INVALID)},{bad(INVALID)}]"),
    (
        "batch of all kinds",
        BATCH,
        "["
        + ",".join(
            [
                good('"1"', "7"),
                good('"2"', "19"),
                bad(INVALID),
                bad(UNKNOWN, '"5"'),
                good('"9"', '["hello",5]'),
            ]
        )
        + "]",
    ),
    ("batch of notifications", f"[{ask('notify_hello', '[7]', None)},{ask('sum', '[1,2,4]', None)}]", None),
]
"""Section 7 of the standard."""


def _ids() -> list[tuple[str, str, str | None]]:
    echoed = ["0", "-0", "-1", '""', '"a"', '"0"', "1.5", "9007199254740993", "-9223372036854775809", "1" * 40, "null"]
    echoed += ['"\\u00e9"', '"\\n"', '"' + "x" * 1000 + '"', '"\\ud83d\\ude00"']
    cases: list[tuple[str, str, str | None]] = [
        (f"id {id[:24]} comes back", ask("nothing", None, id), good(id, "null")) for id in echoed
    ]
    cases.append(("id 1e2 comes back by its value", ask("nothing", None, "1e2"), good("100", "null")))
    cases += [
        (f"id {id} is none", ask("nothing", None, id), bad(INVALID)) for id in ("true", "false", "{}", "[]", "[1]")
    ]
    cases.append(("an id beyond every number is not read", ask("nothing", None, "1e400"), bad(PARSE)))
    cases.append(("an id of null in an error", ask("foobar", None, "null"), bad(UNKNOWN)))
    return cases


def _shapes() -> list[tuple[str, str, str | None]]:
    broken = [
        "",
        "   ",
        "{",
        "}",
        "[",
        "nul",
        "{R}x",
        "NaN",
        "Infinity",
        "'a'",
        '{"a":1,}',
        "[1,]",
        "{} {}",
        '"\\ud800"',
        "01",
    ]
    broken.append("[" * 65 + "]" * 65)
    broken.append("[" * 100_000)
    cases: list[tuple[str, str, str | None]] = [(f"no JSON: {text[:20]!r}", text, bad(PARSE)) for text in broken]
    others = ['"x"', "5", "null", "true", "1.5", "{}", '{"id":null}', '{"method":"nothing"}']
    cases += [(f"JSON, but no request: {text}", text, bad(INVALID)) for text in others]
    cases += [
        ("no version", '{"method":"nothing","id":1}', bad(INVALID, "1")),
        ("another version", '{"jsonrpc":"1.0","method":"nothing","id":"a"}', bad(INVALID, '"a"')),
        ("the version as a number", '{"jsonrpc":2.0,"method":"nothing","id":1}', bad(INVALID, "1")),
        ("the version as a list", '{"jsonrpc":["2.0"],"method":"nothing","id":1}', bad(INVALID, "1")),
        ("no version and no id", '{"jsonrpc":null,"method":"nothing"}', bad(INVALID)),
        ("no method", '{R,"id":1}', bad(INVALID, "1")),
        ("no method, no id", "{R}", bad(INVALID)),
        ("a method that is a number", '{R,"method":1,"id":7}', bad(INVALID, "7")),
        ("a method that is null", '{R,"method":null,"id":7}', bad(INVALID, "7")),
        ("a method that is a list", '{R,"method":["nothing"],"id":7}', bad(INVALID, "7")),
        ("an empty method", '{R,"method":"","id":7}', bad(UNKNOWN, "7")),
        ("params null", ask("nothing", "null"), bad(INVALID, "1")),
        ("params a text", ask("nothing", '"x"'), bad(INVALID, "1")),
        ("params a number", ask("nothing", "5"), bad(INVALID, "1")),
        ("params true", ask("nothing", "true"), bad(INVALID, "1")),
        ("params null in a notification", ask("nothing", "null", None), bad(INVALID)),
        ("the last of equal members", '{R,"method":"foobar","method":"nothing","id":1,"id":2}', good("2", "null")),
        ("other members", '{R,"method":"nothing","id":1,"auth_token":"x","meta":{}}', good("1", "null")),
        ("members in another order", '{"id":1,"params":[],"method":"nothing",R}', good("1", "null")),
        ("blanks around", '  \n{R,"method":"nothing","id":1}\t ', good("1", "null")),
        ("members in another case", '{"JSONRPC":"2.0","Method":"nothing","id":1}', bad(INVALID, "1")),
    ]
    return cases


def _methods() -> list[tuple[str, str, str | None]]:
    unknown = [
        "_private",
        "__init__",
        "start",
        "rpc.discover",
        "rpc.",
        "Nothing",
        "nothing ",
        "math.nothing.x",
        "$node.list",
    ]
    cases: list[tuple[str, str, str | None]] = [
        (f"there is no method {name!r}", ask(name), bad(UNKNOWN, "1")) for name in unknown
    ]
    cases += [
        ("its full name", ask("math.subtract", "[2,1]"), good("1", "1")),
        ("no params", ask("nothing"), good("1", "null")),
        ("an empty list for no params", ask("nothing", "[]"), good("1", "null")),
        ("an empty object for no params", ask("nothing", "{}"), good("1", "null")),
        ("too few", ask("subtract", "[1]"), bad(PARAMS, "1")),
        ("too few by name", ask("subtract", '{"minuend":1}'), bad(PARAMS, "1")),
        ("none at all", ask("subtract"), bad(PARAMS, "1")),
        ("too many", ask("subtract", "[1,2,3]"), bad(PARAMS, "1")),
        ("one too many for none", ask("nothing", "[1]"), bad(PARAMS, "1")),
        ("an unknown name", ask("subtract", '{"minuend":1,"subtrahend":2,"x":3}'), bad(PARAMS, "1")),
        ("an unknown name for none", ask("nothing", '{"x":3}'), bad(PARAMS, "1")),
        ("the own object's name", ask("nothing", '{"self":3}'), bad(PARAMS, "1")),
        ("too few in a notification", ask("subtract", "[1]", None), None),
        ("only by name", ask("only", '{"name":"x"}'), good("1", '"x"')),
        ("only by name, but by position", ask("only", '["x"]'), bad(PARAMS, "1")),
        ("any names", ask("options", '{"class":1,"from":2}'), good("1", '{"class":1,"from":2}')),
        ("any names, but by position", ask("options", "[1]"), bad(PARAMS, "1")),
        ("a default", ask("greet"), good("1", '"you"')),
        ("a default, an empty list", ask("greet", "[]"), good("1", '"you"')),
        ("in place of a default", ask("greet", '["me"]'), good("1", '"me"')),
        ("null in place of a default", ask("greet", "[null]"), good("1", "null")),
        ("null", ask("echo", "[null]"), good("1", "null")),
        ("false", ask("echo", "[false]"), good("1", "false")),
        ("an empty text", ask("echo", '[""]'), good("1", '""')),
        ("nested", ask("echo", '{"value":{"a":[1,{"b":null}]}}'), good("1", '{"a":[1,{"b":null}]}')),
        ("characters as they are", ask("echo", '["\\u00e9\\u20ac"]'), good("1", '"é€"')),
        ("any number of them", ask("sum", "[]"), good("1", "0")),
        ("any number of them by name", ask("sum", '{"numbers":[1,2]}'), good("1", "3")),
        ("any number of them by name, but one", ask("sum", '{"numbers":1}'), bad(PARAMS, "1")),
        ("one that raises", ask("boom"), bad(INTERNAL, "1")),
        ("one that raises, notified", ask("boom", None, None), None),
        ("a TypeError inside is no wrong argument", ask("broken"), bad(INTERNAL, "1")),
    ]
    return cases


def _batches() -> list[tuple[str, str, str | None]]:
    many = ",".join(ask("sum", f"[{n}]", str(n)) for n in range(100))
    answers = ",".join(good(str(n), str(n)) for n in range(100))
    return [
        ("two of one id", f"[{ask('sum', '[1]')},{ask('sum', '[2]')}]", f"[{good('1', '1')},{good('1', '2')}]"),
        ("a batch of one", f"[{ask('sum', '[1]')}]", f"[{good('1', '1')}]"),
        ("a hundred, in order", f"[{many}]", f"[{answers}]"),
        ("a hundred and one", f"[{many},{ask('nothing', None, '0')}]", bad(INVALID)),
        ("a batch in a batch", f"[[{ask('nothing')}]]", f"[{bad(INVALID)}]"),
        (
            "one that raises among others",
            f"[{ask('boom')},{ask('nothing', None, '2')}]",
            f"[{bad(INTERNAL, '1')},{good('2', 'null')}]",
        ),
        ("notifications and a fault", f"[{ask('nothing', None, None)},null]", f"[{bad(INVALID)}]"),
    ]


EDGES = [*_ids(), *_shapes(), *_methods(), *_batches()]


def written(text: str) -> str:
    """A request or an answer as it goes over the wire."""
    return text.replace("{R", '{"jsonrpc":"2.0"').replace(",R}", ',"jsonrpc":"2.0"}')


def read(text: str | bytes | None) -> Any:
    """An answer to be compared: without the `data` of errors, numbers told apart from texts and from each other by their digits."""
    if not text:
        return None
    value = json.loads(text, parse_float=lambda digits: float(digits))
    for one in value if isinstance(value, list) else [value]:
        if "error" in one:
            one["error"].pop("data", None)
    return value
