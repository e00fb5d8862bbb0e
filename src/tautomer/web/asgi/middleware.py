"""ASGI middlewares around the rest of a route's stages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from tautomer._tasks import TaskScope
from tautomer.errors import MoleculerClientError
from tautomer.web.asgi.conversation import converse
from tautomer.web.asgi.incoming import read_body
from tautomer.web.asgi.outgoing import send_reply
from tautomer.web.asgi.scope import SCOPE, scope_of
from tautomer.web.asgi.types import App, AppFactory, Receive, Scope, Send
from tautomer.web.http.refusal import Refusal
from tautomer.web.http.reply_bytes import ReplyBytes
from tautomer.web.messages.message import Reply, Request

__all__ = ["asgi_factory", "asgi_middleware_stage"]

CallNext: TypeAlias = "Callable[[Request], Awaitable[Reply]]"

_PASSAGE: Final = "tautomer.passage"


def asgi_factory(value: object) -> AppFactory | None:
    """What makes the middleware that an entry of `use` names; None if it names none.

    It names one as a class, as ``(class, {options})``, or as Starlette's ``Middleware(class, options)``.

    Raises:
        ValueError: The options are no mapping with texts as keys.
    """
    if isinstance(value, type):
        return value
    if isinstance(value, tuple) and value and isinstance(value[0], type):
        cls, *rest = value
        options = rest[0] if rest else {}
        if len(rest) > 1 or not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
            raise ValueError(f"holds a middleware that is not written ({cls.__name__}, {{options}})")
        return lambda app: cls(app, **options)
    cls, args, kwargs = (getattr(value, name, None) for name in ("cls", "args", "kwargs"))
    if callable(cls) and isinstance(args, tuple) and isinstance(kwargs, Mapping):
        made: Callable[..., App] = cls
        return lambda app: made(app, *args, **kwargs)
    return None


def asgi_middleware_stage(factory: AppFactory) -> Callable[[Request, CallNext], Awaitable[Reply]]:
    """A stage, ``(request, call_next)``, of an ASGI middleware around all that follows in the route.

    What it does to headers, query, client, scheme and body of the request holds for all that follows. Path and method have
    led to the route already, so that to change them changes nothing. Errors of what follows pass through it as the
    exceptions they are: their answers are made outside.

    Args:
        factory: Makes it; called once.

    Raises:
        ValueError: The middleware cannot be made, with the reason.
    """
    tasks = TaskScope("asgi middleware")
    replies = ReplyBytes(lambda: 0)  # Whose date is not used.

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        passage: _Passage = scope[_PASSAGE]
        await passage.take_over(scope, receive)
        await send_reply(await passage.call_next(passage.request), send, replies, more=[])

    try:
        app = factory(inner)
    except Exception as error:
        raise ValueError(f"holds an ASGI middleware that cannot be made: {error}") from error

    async def stage(request: Request, call_next: CallNext) -> Reply:
        scope = scope_of(request)
        scope[_PASSAGE] = _Passage(request, call_next, scope)
        return await converse(app, scope, request.raw_body, tasks, to_end=True)

    return stage


class _Passage:
    """One request on its way through a middleware: what it was before."""

    __slots__ = ("_before", "call_next", "request")

    def __init__(self, request: Request, call_next: CallNext, scope: Scope) -> None:
        self.request = request
        self.call_next = call_next
        self._before = {key: scope[key] for key in ("headers", "query_string", "client", "scheme")}
        self._before["headers"] = list(scope["headers"])

    async def take_over(self, scope: Scope, receive: Receive) -> None:
        """Put into the request what the middleware has changed."""
        request, before = self.request, self._before
        request.locals[SCOPE] = {key: value for key, value in scope.items() if key != _PASSAGE}
        request.scheme = scope["scheme"]
        if scope["client"] != before["client"]:
            request.client = str(scope["client"][0]) if scope["client"] else ""
        headers: list[tuple[str, str]] | None = None
        if scope["headers"] != before["headers"]:
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        query = scope["query_string"]
        changed = query != before["query_string"]
        try:
            body = await read_body(receive, request.limits, request.body_bytes_max)
        except Refusal as refusal:
            raise MoleculerClientError(refusal.message, refusal.status, refusal.type) from None
        request.rewrite(
            headers=headers,
            query_string=query.decode("latin-1") if changed else None,
            body=body if body != request.raw_body else None,
        )
