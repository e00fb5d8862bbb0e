"""A tour of the shop over HTTP: the requests that `scripts/demo` prints, or makes and checks.

python examples/shop/_tour.py --url http://127.0.0.1:3000 [--mesh nats://127.0.0.1:4222] [--reviews] [--check]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tautomer import Broker, Settings
from tautomer.errors import MoleculerError

READY_SECONDS = 30.0
REQUEST_SECONDS = 5.0
PAUSE_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class Stop:
    """One request of the tour.

    Attributes:
        why: What it shows.
        request: Method and path, such as ``"GET /api/users"``.
        body: Sent as JSON, or None.
        status: Status of the answer.
        holds: Whether the decoded answer is right.
        eventually: Whether it may take a moment, since an event has to arrive first.
    """

    why: str
    request: str
    status: int
    body: Mapping[str, object] | None = None
    holds: Callable[[Any], bool] = lambda answer: True
    eventually: bool = False


ANNA = {"name": "Anna", "email": "anna@example.org"}
ORDER = {"user": 1, "product": 1, "quantity": 2}
REVIEW = {"user": 1, "product": 1, "stars": 5, "text": "Pours well."}

SHOP = [
    Stop(
        why="a user is made",
        request="POST /api/users",
        body=ANNA,
        status=201,
        holds=lambda user: user == {"id": 1, **ANNA},
    ),
    Stop(
        why="bad input is refused, with every fault",
        request="POST /api/users",
        body={"name": "A"},
        status=422,
        holds=lambda error: {"name", "email"} == {fault["field"] for fault in error["data"]},
    ),
    Stop(
        why="an error of a service becomes a status",
        request="GET /api/users/99",
        status=404,
        holds=lambda error: error["type"] == "USER_NOT_FOUND",
    ),
    Stop(
        why="orders asks users and products, each a process of its own",
        request="POST /api/orders",
        body=ORDER,
        status=201,
        holds=lambda order: order == {"id": 1, **ORDER, "total": 49.0},
    ),
    Stop(
        why="the stock went down",
        request="GET /api/products/1",
        status=200,
        holds=lambda product: product["stock"] == 1,
    ),
    Stop(
        why="an alias of the gateway; the last teapots are not sold twice",
        request="POST /api/checkout",
        body=ORDER,
        status=409,
        holds=lambda error: error["type"] == "OUT_OF_STOCK",
    ),
    Stop(
        why="the mailer heard the event",
        request="GET /api/mails",
        status=200,
        holds=lambda mails: [mail["to"] for mail in mails] == ["anna@example.org"],
        eventually=True,
    ),
    Stop(why="only what has a path can be reached", request="GET /api/mailer/sent", status=404),
    Stop(
        why="the API is documented, by what the services say of themselves; to be read at /api/docs",
        request="GET /api/openapi.json",
        status=200,
        holds=lambda api: api["paths"]["/api/users"]["post"]["requestBody"]["required"],
    ),
]

REVIEWS = [
    Stop(
        why="Node.js heard the event too, and asks the Python services",
        request="POST /api/reviews",
        body=REVIEW,
        status=201,
        holds=lambda review: review["by"] == "Anna",
        eventually=True,
    ),
    Stop(
        why="an answer from Node.js",
        request="GET /api/reviews?product=1",
        status=200,
        holds=lambda reviews: [review["stars"] for review in reviews] == [5],
    ),
    Stop(
        why="an error of Node.js becomes a status",
        request="POST /api/reviews",
        body={**REVIEW, "product": 2},
        status=403,
        holds=lambda error: error["type"] == "NOT_A_BUYER",
    ),
    Stop(
        why="an error of Python goes through Node.js",
        request="POST /api/reviews",
        body={**REVIEW, "product": 99},
        status=404,
        holds=lambda error: error["type"] == "PRODUCT_NOT_FOUND",
    ),
]


def ask(url: str, stop: Stop) -> tuple[int, object]:
    """Make the request. Returns the status, 0 if there was no answer, and the answer."""
    method, path = stop.request.split()
    data = None if stop.body is None else json.dumps(stop.body).encode()
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        body = error.read()
        return error.code, json.loads(body) if body.startswith((b"{", b"[")) else body.decode(errors="replace")
    except (OSError, ValueError) as error:
        return 0, str(error)


def is_right(stop: Stop, status: int, answer: object) -> bool:
    try:
        return status == stop.status and stop.holds(answer)
    except (AttributeError, KeyError, TypeError):
        return False


def check(url: str, stop: Stop) -> bool:
    """Make the request, again for a while if its answer may take a moment, and say what came of it."""
    until = time.monotonic() + (READY_SECONDS if stop.eventually else 0)
    while True:
        status, answer = ask(url, stop)
        right = is_right(stop, status, answer)
        if right or time.monotonic() >= until:
            break
        time.sleep(PAUSE_SECONDS)
    print(f"  {'ok  ' if right else 'FAIL'} {stop.request:<28} {status}  {stop.why}", flush=True)
    if not right:
        print(f"       expected {stop.status}, got {status}: {json.dumps(answer)}", flush=True)
    return right


async def wait_until_all_know_all(mesh: str, with_reviews: bool) -> bool:
    """Wait until every node of the mesh knows every service: an event goes to those only whom its sender knows."""
    names = {"users", "products", "orders", "mailer", "api", *(["reviews"] if with_reviews else [])}
    until = time.monotonic() + READY_SECONDS

    async def know_all(broker: Broker, node_id: str) -> bool:
        known: set[str] = set()
        while not names <= known:
            if time.monotonic() >= until:
                print(f"tour: {node_id} does not know {names - known} after {READY_SECONDS:g} s", file=sys.stderr)
                return False
            await asyncio.sleep(PAUSE_SECONDS)
            try:
                options = {"onlyAvailable": True}
                services = await broker.call("$node.services", options, node_id=node_id, timeout=REQUEST_SECONDS)
                known = {service["name"] for service in services}
            except MoleculerError as error:
                print(f"tour: {node_id} does not answer yet: {error}", file=sys.stderr)
        return True

    async with Broker("tour", settings=Settings(transporter=mesh, log_level="WARNING")) as broker:
        if not await know_all(broker, "tour"):
            return False
        nodes = await broker.call("$node.list", {"onlyAvailable": True})
        return all([await know_all(broker, node["id"]) for node in nodes])


def wait_until_ready(url: str, with_reviews: bool) -> bool:
    """Wait until the gateway reaches every service."""
    paths = ["users", "products", "orders", "mails", *(["reviews"] if with_reviews else [])]
    until = time.monotonic() + READY_SECONDS
    for path in paths:
        stop = Stop(why="", request=f"GET /api/{path}", status=200)
        while (said := ask(url, stop))[0] != 200:
            if time.monotonic() >= until:
                print(f"tour: {url}/api/{path} is not ready after {READY_SECONDS:g} s: {said}", file=sys.stderr)
                return False
            time.sleep(PAUSE_SECONDS)
    return True


def curl(url: str, stop: Stop) -> str:
    """The request as a command line, with what it shows above it."""
    method, path = stop.request.split()
    words = ["curl", "-i"]
    if method != "GET":
        words += ["-X", method]
    if stop.body is not None:
        words += ["-H 'Content-Type: application/json'", f"-d '{json.dumps(stop.body)}'"]
    return f"  # {stop.why}: {stop.status}\n  {' '.join(words)} '{url}{path}'"


def main() -> int:
    options = argparse.ArgumentParser(description="A tour of the shop.")
    options.add_argument("--url", required=True, help="where the gateway listens")
    options.add_argument("--mesh", help="how to join the mesh, to see whether all nodes know each other")
    options.add_argument("--reviews", action="store_true", help="the service in Node.js runs too")
    options.add_argument("--check", action="store_true", help="make the requests and check the answers")
    chosen = options.parse_args()
    tour = SHOP + (REVIEWS if chosen.reviews else [])
    if chosen.mesh and not asyncio.run(wait_until_all_know_all(chosen.mesh, chosen.reviews)):
        return 1
    if not wait_until_ready(chosen.url, chosen.reviews):
        return 1
    if not chosen.check:
        print("\n\n".join(curl(chosen.url, stop) for stop in tour), flush=True)
        return 0
    wrong = [stop for stop in tour if not check(chosen.url, stop)]
    print(f"  {len(tour) - len(wrong)} of {len(tour)} answers are right", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
