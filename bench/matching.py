"""What finding an alias costs, with ten aliases and with many: `python -m bench.matching`."""

from __future__ import annotations

from statistics import median
from timeit import repeat

from tautomer.web.routing.patterns import parse_patterns
from tautomer.web.routing.table import PatternTable

NUMBER = 2_000
ROUNDS = 30
FORMS = ("", "/:id", "/:id/parts", "/:id/parts/:part", "/new")
"""Below the path of each service; with two methods each, ten aliases a service."""
PATHS = {
    "text": "/svc0/items",
    "value": "/svc0/items/5",
    "two values": "/svc0/items/5/parts/6",
    "no such path": "/nowhere/at/all",
    "other method": "/svc0/items/5/parts",
}


def table(services: int) -> PatternTable[str]:
    """Ten aliases for each service."""
    made: PatternTable[str] = PatternTable()
    for number in range(services):
        for form in FORMS:
            for method in ("GET", "POST"):
                made.add(method, *parse_patterns(f"/svc{number}/items{form}"), f"{method} {form}")
    return made


def microseconds(patterns: PatternTable[str], name: str, number: int = NUMBER) -> float:
    """One match, the middle one of `ROUNDS` batches of `number`."""
    method = "DELETE" if name == "other method" else "GET"
    path = PATHS[name]
    return median(repeat(lambda: patterns.match(method, path), number=number, repeat=ROUNDS)) / number * 1e6


def main() -> None:
    tables = {services * 10: table(services) for services in (1, 10, 100, 1_000)}
    print("µs to find an alias among" + "".join(f"{count:9,}" for count in tables))
    for name in PATHS:
        print(
            f"{name:25}" + "".join(f"{microseconds(patterns, name):9.2f}" for patterns in tables.values()), flush=True
        )


if __name__ == "__main__":
    main()
