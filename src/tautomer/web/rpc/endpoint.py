"""JsonRpcEndpoint: JSON-RPC over HTTP (JSON-RPC reference, section 2)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from tautomer.errors import MethodNotAllowedError, MoleculerError
from tautomer.protocol.jsonrpc import INVALID_REQUEST, TIMED_OUT, Call, Failure, parse, response
from tautomer.web.exchange import Exchange
from tautomer.web.messages.message import JSON_TYPE, Reply, Request
from tautomer.web.routing.patterns import fold, trimmed
from tautomer.web.rpc.discovery import openrpc_document
from tautomer.web.rpc.failures import refusal_of
from tautomer.web.rpc.methods import MethodTable, Target
from tautomer.web.rpc.processor import Asker, Processor
from tautomer.web.settings.jsonrpc import JsonRpcSettings
from tautomer.web.settings.records import GatewaySettings, Hook, RouteSettings

if TYPE_CHECKING:
    from tautomer.broker import Broker

__all__ = ["JsonRpcEndpoint", "rpc_error_hook"]

TYPES: Final = frozenset({"", "application/json", "application/json-rpc", "application/jsonrequest"})
# What by far most send: asked for first, as it need not be taken apart.
USUAL_TYPES: Final = frozenset(
    {"application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"}
)

TIMEOUT_HEADER: Final = "x-request-timeout"


class JsonRpcEndpoint:
    """Answers the POSTs of one route.

    Args:
        own_service: Full name of the gateway's service.
        timeout: Seconds a call may take, None for no end.

    Attributes:
        settings: As given.
        processor: Answers messages.
    """

    def __init__(
        self,
        broker: Broker,
        settings: JsonRpcSettings,
        route: RouteSettings,
        gateway: GatewaySettings,
        own_service: str,
        timeout: float | None,
    ) -> None:
        self._broker = broker
        self.settings = settings
        self._authenticate = settings.authenticate
        self._timeout = timeout or None
        methods = MethodTable(broker.registry.actions, settings, route.access, own_service)
        discover = (lambda: openrpc_document(methods, gateway)) if settings.discover else None
        self.processor = Processor(settings, methods, discover)

    async def handle(self, exchange: Exchange) -> Reply:
        """The innermost of the route."""
        request = exchange.request
        kind = request.content_type
        if kind not in USUAL_TYPES and request.mimetype not in TYPES:
            failure = Failure(INVALID_REQUEST, data={"reason": "the content type of JSON-RPC is application/json"})
            return Reply(415, [JSON_TYPE], response(None, failure))
        body = request.body
        timeout = self._timeout
        if TIMEOUT_HEADER in request.lower and (timeout := self.asked_timeout(request)) != self._timeout:
            assert timeout is not None  # A client may ask for less time only.
            request.ends = request.ctx.deadline = self._broker.clock() + timeout
        if body[:1] != b"{" and body.lstrip()[:1] == b"[":
            # Each of a batch has its own time, and one that is late must not end the others.
            request.ends = None
        asker = Asker(exchange.ctx, request, timeout, lambda target: self.permit(request, target))
        try:
            answer = await self.processor.answer(body, asker)
        except asyncio.CancelledError:
            if not request.late or not request.take_cancel_back():
                raise
            answer = _late(body, timeout)
        return Reply(204) if answer is None else Reply(200, [JSON_TYPE], answer)

    def asked_timeout(self, request: Request) -> float | None:
        """Seconds for the calls of a request: the route's, or less where the client wants to wait for less."""
        timeout = self._timeout
        try:
            wanted = float(request.header(TIMEOUT_HEADER) or "")
        except ValueError:
            return timeout
        return timeout if not wanted > 0 or (timeout is not None and wanted >= timeout) else wanted

    def permit(self, request: Request, target: Target) -> Any:
        """Who asks for a private method: as the endpoint says, else as its service does, which must be on this node."""
        if self._authenticate is not None:
            return self._authenticate(request)
        service = self._broker.get_local_service(target.service) if target.local else None
        check = getattr(service, "rpc_access", None)
        return None if check is None else check(request)


def rpc_error_hook(route: RouteSettings) -> Hook:
    """`onError` of a route with an endpoint: what is refused before the endpoint is asked is told in its own form."""
    path, own = fold(route.path), route.on_error

    async def hook(request: Request, error: BaseException) -> Reply | None:
        if own is not None:
            made = own(request, error)
            if hasattr(made, "__await__"):
                made = await made
            if made is not None:
                return made  # type: ignore[no-any-return]  # The gateway looks at what it is.
        if fold(trimmed(request.path)) != path:
            return None
        code = error.code if isinstance(error, MoleculerError) else 500
        status = code if isinstance(code, int) and 400 <= code <= 599 else 500
        if isinstance(error, MethodNotAllowedError):
            failure = Failure(INVALID_REQUEST, data={"reason": "JSON-RPC is asked by POST"})
        else:
            failure = refusal_of(error, status, request.id)
        return Reply(status, [JSON_TYPE], response(None, failure))

    return hook


def _late(body: bytes, timeout: float | None) -> bytes:
    """The answer to a single call whose time is over."""
    item = parse(body).items[0]
    return response(item.id if isinstance(item, Call) else None, Failure(TIMED_OUT, data={"timeout": timeout}))
