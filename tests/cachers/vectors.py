"""Cache keys as both lines of Moleculer for Node.js make them. Recorded anew by ``python -m tests.cachers.vectors``."""

from __future__ import annotations

import json
import math
import random
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.interop import npm

FILE = Path(__file__).with_name("vectors.json")
SEED = 11
GENERATED = 400
LINES = ("0.14", "0.15")

_TEXTS = [
    "",
    "x",
    "5",
    "null",
    "true",
    "a|b",
    'say "hi"',
    "[1|2]",
    "Ünïcödé",
    "日本語",
    "😀",
    "a.b",
    "*",
    "?",
    " ",
    "\n",
    "it's",
]
_LENGTHY = ["long " * 12, "😀" * 30, "é" * 70]
_NUMBERS: list[Any] = [0, 1, -1, 5, 2**31, 2**53, 0.1, 1.5, -2.25, 1e21, 1e-7, 123456789.125, 1.0, 1e300]
_ODD: list[Any] = [{"$number": "NaN"}, {"$number": "Infinity"}, {"$number": "-Infinity"}, {"$number": "-0"}]
_DATES: list[Any] = [{"$date": 0}, {"$date": 1700000000123}, {"$date": -5}]
_NAMES = ["id", "a", "b", "c", "user", "limit", "10", "2", "with space", "x-y", "ä"]
_PATHS = ["id", "a", "b", "a.b", "user.id", "c.0", "c[1].a", "a.b.c", "user", "nobody", "10"]
_META = ["#user.id", "#user", "#tenant", "#a.b", "#nothing"]


def cases() -> list[dict[str, Any]]:
    """The same ones every time."""
    chance = random.Random(SEED)
    return [*_by_hand(), *(_case(chance) for _ in range(GENERATED))]


def _by_hand() -> list[dict[str, Any]]:
    post = {
        "id": 2,
        "title": "New post",
        "content": "It can be very very looooooooooooooooooong content. So this key will also be too long",
    }
    told: list[dict[str, Any]] = [{"params": post, "max": limit} for limit in (None, 0, 43, 44, 45, 60, 200)]
    told += [{"params": {"id": one}, "keys": ["id"]} for one in [*_TEXTS, *_NUMBERS, *_ODD, *_DATES, None, True, False]]
    told += [
        {"params": {"id": one}, "keys": ["id", "#user.id"]} for one in [*_TEXTS, *_ODD, *_DATES, None, [1, [2]], {}]
    ]
    told += [
        {"params": one}
        for one in [{}, None, [], [1, "x"], "x", 5, 0, True, False, {"a": {}}, {"a": []}, {"b": 1, "a": 2}]
    ]
    told += [{"params": {}, "keys": one} for one in [[], ["id"], ["id", "a"], ["#user"], ["#user.id", "id"]]]
    told += [{"params": {"a.b": 1, "a": {"b": 2}}, "keys": [one]} for one in ["a.b", "a", "a[b]", 'a["b"]']]
    told += [
        {"params": {"list": [1, {"x": 2}], "text": "abc"}, "keys": [one]}
        for one in ["list.1.x", "list[0]", "list.7", "list.length", "text.1", "text.length"]
    ]
    return [{"name": "posts.find", "meta": {"user": {"id": "u1"}}, "headers": {}, **one} for one in told]


def _case(chance: random.Random) -> dict[str, Any]:
    keys = None
    if chance.random() < 0.6:
        keys = [
            chance.choice(_PATHS if chance.random() < 0.75 else _META) for _ in range(chance.choice([1, 1, 2, 3, 4]))
        ]
    return {
        "name": chance.choice(["posts.find", "v2.users.get"]),
        "params": _object(chance, 0),
        "meta": {"user": {"id": _scalar(chance)}, "tenant": _scalar(chance), "a": {"b": _value(chance, 2)}},
        "headers": {},
        "keys": keys,
        "max": chance.choice([None, None, 44, 50, 60, 100]),
    }


def _object(chance: random.Random, depth: int) -> dict[str, Any]:
    return {name: _value(chance, depth + 1) for name in chance.sample(_NAMES, chance.randrange(5))}


def _value(chance: random.Random, depth: int) -> Any:
    kind = chance.random()
    if depth < 3 and kind < 0.15:
        return _object(chance, depth)
    if depth < 3 and kind < 0.3:
        return [_value(chance, depth + 1) for _ in range(chance.randrange(4))]
    return _scalar(chance)


def _scalar(chance: random.Random) -> Any:
    return chance.choice([*_TEXTS, *_LENGTHY, *_NUMBERS, *_ODD, *_DATES, None, True, False])


def value(told: Any) -> Any:
    """A value of a case as Python has it."""
    if isinstance(told, list):
        return [value(one) for one in told]
    if not isinstance(told, dict):
        return told
    if "$date" in told:
        return datetime.fromtimestamp(told["$date"] / 1000, UTC)
    if "$number" in told:
        return {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf, "-0": -0.0}[told["$number"]]
    return {name: value(one) for name, one in told.items()}


def ask(node: str) -> list[dict[str, str]]:
    """What Node says of each case."""
    script = npm.HERE / "node" / "cache_keys.js"
    told = json.dumps({"cases": cases()})
    done = subprocess.run([node, str(script)], input=told, capture_output=True, text=True, check=True, timeout=60)
    answers: list[dict[str, str]] = json.loads(done.stdout)
    return answers


def recorded() -> list[dict[str, str]]:
    answers: list[dict[str, str]] = json.loads(FILE.read_text("utf-8"))
    return answers


if __name__ == "__main__":
    found = npm.outcome()
    if not isinstance(found, str):
        raise SystemExit(str(found))
    lines = (json.dumps(one, ensure_ascii=True) for one in ask(found))
    FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")
