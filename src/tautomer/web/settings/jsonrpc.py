"""JsonRpcSettings: a JSON-RPC endpoint, and how it is written in a route's settings."""

from __future__ import annotations

from typing import Any, Final

from tautomer.settings import record
from tautomer.web.routing.aliases import AliasDef
from tautomer.web.settings.guards import named
from tautomer.web.settings.hooks import takes
from tautomer.web.settings.reading import Reader, a_bool, a_list, a_text, a_whole_number, in_flight
from tautomer.web.settings.records import Hook

__all__ = ["JsonRpcDoor", "JsonRpcSettings", "door_aliases", "read_jsonrpc"]

NAME: Final = "jsonrpc"


@record
class JsonRpcSettings:
    """A JSON-RPC endpoint.

    What it leads to: methods that services mark for it (`@public_method`, `@private_api_method`), unless the route's lists
    say otherwise, and every published action that the route's `whitelist` names.

    Attributes:
        max_batch: Requests in a batch; over it nothing of it is run.
        batch_concurrency: How many of a batch run at once.
        sequential: Run a batch one after the other, in order.
        discover: Whether ``rpc.discover`` answers with an OpenRPC document of all it leads to.
        debug: Tell clients class and text of unexpected exceptions.
        null_errors: Put ``"error": null`` beside results, against the standard: gemstone's own clients look for it.
        services: Full names of the services whose marked methods it leads to; None for all in the mesh.
        authenticate: ``(request)``, async or not: says who asks for a private method; falsy or raising refuses. None: a
            private method's service says it, if it is on this node; else nobody may.
        websocket: Whether it is asked by WebSockets, too, at the same path.
        max_in_flight: Calls of one WebSocket at a time; what comes meanwhile waits.
    """

    max_batch: int = 100
    batch_concurrency: int = 10
    sequential: bool = False
    discover: bool = False
    debug: bool = False
    null_errors: bool = False
    services: tuple[str, ...] | None = None
    authenticate: Hook | None = None
    websocket: bool = True
    max_in_flight: int = 100


class JsonRpcDoor:
    """JSON-RPC 2.0: requests, notifications and batches of them, by POST."""

    # In the place of a function that an alias leads to; the route's pipeline puts the endpoint there.
    __name__ = NAME

    def __init__(self, settings: JsonRpcSettings) -> None:
        self.settings = settings
        self.__doc__ = type(self).__doc__

    def __call__(self, _request: object) -> Any:
        raise AssertionError("a pipeline leads to the endpoint itself")


def read_jsonrpc(reader: Reader) -> JsonRpcSettings | None:
    """A route's `jsonrpc`: true for the defaults, a mapping, or false."""

    def check(value: object) -> JsonRpcSettings | None:
        if value is False:
            return None
        inner = Reader({} if value is True else value, f"{reader.where}.{NAME}", reader.notes)
        usual = JsonRpcSettings()
        settings = JsonRpcSettings(
            max_batch=inner.take("max_batch", usual.max_batch, _one_or_more),
            batch_concurrency=inner.take("batch_concurrency", usual.batch_concurrency, _one_or_more),
            sequential=inner.take("sequential", usual.sequential, a_bool),
            discover=inner.take("discover", usual.discover, a_bool),
            debug=inner.take("debug", usual.debug, a_bool),
            null_errors=inner.take("null_errors", usual.null_errors, a_bool),
            services=inner.take("services", None, lambda value: tuple(map(a_text, a_list(value)))),
            authenticate=inner.take("authenticate", None, named(takes("request"), reader.notes.methods)),
            websocket=inner.take("websocket", usual.websocket, a_bool),
            max_in_flight=inner.take("max_in_flight", usual.max_in_flight, in_flight),
        )
        inner.close()
        return settings

    return reader.take(NAME, None, check)


def door_aliases(settings: JsonRpcSettings | None) -> tuple[AliasDef, ...]:
    """The alias of an endpoint: a POST on the path of its route."""
    if settings is None:
        return ()
    return (AliasDef("POST", "", NAME, handler=JsonRpcDoor(settings), reads_params=False),)


def _one_or_more(value: object) -> int:
    number = a_whole_number(value)
    if not number:
        raise ValueError(f"is a whole number, 1 or more, not {value!r:.80}")
    return number
