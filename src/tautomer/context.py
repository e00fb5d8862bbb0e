"""Context: everything known about one call or one event while its handler runs."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Mapping, Sequence
from contextvars import ContextVar
from copy import copy
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypedDict, Unpack, overload

import msgspec

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from tautomer.registry.endpoints import Endpoint
    from tautomer.registry.registry import ServiceEntry

    P = TypeVar("P", default=dict[str, Any])
else:
    from typing import TypeVar

    P = TypeVar("P")

T = TypeVar("T")


class CallOptions(TypedDict, total=False):
    """Options of a call, all by keyword (protocol section 7.3).

    Attributes:
        timeout: Seconds until the call fails with `RequestTimeoutError`; 0 for no end.
        meta: Merged over the parent's meta; comes back merged into it.
        headers: Told to the handler, one hop only (Moleculer 0.15).
        node_id: Ask this node and no other.
        request_id: Id of the whole chain of calls; made if it is not given.
        parent: Context that this call belongs to. `ctx.call` sets it.
        stream: An async iterable, sent along with the params: bytes as a byte stream, anything else as objects. The
            handler reads it as `ctx.stream`. It is read once, so a call with it is not tried again elsewhere.
        retries: How many times the call is made again where it fails and that may help; 0 for never. Said here, it is
            the caller's choice to have an action run twice that may have run already.
        hedge: Whether another node is asked as well where the first one takes long (true, false, or a mapping of
            `HedgeSettings`). Said here, it is the caller's choice to have an action run twice.
        fallback_response: The result where the call fails, or a function ``(parent, error)`` that makes it.
        raw: For gateways: a JSON result from another node may come as `RawResult`, undecoded.
    """

    timeout: float
    meta: Mapping[str, Any]
    headers: Mapping[str, Any]
    node_id: str
    request_id: str
    parent: Context[Any]
    stream: AsyncIterable[Any]
    retries: int
    hedge: bool | Mapping[str, Any]
    fallback_response: Any
    raw: bool


class CallDef(TypedDict, total=False):
    """One call of `mcall`."""

    action: str
    params: Any
    options: CallOptions


class RawResult:
    """JSON bytes of a result that nobody has looked at, on its way through a gateway."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class Extras(msgspec.Struct, eq=False):
    """What few contexts have: made with the first of it that is set. Each is said at `Context`."""

    timeout: float | None = None
    headers: dict[str, Any] | None = None
    response_headers: dict[str, Any] | None = None
    locals: dict[str, Any] | None = None
    event_groups: Sequence[str] | None = None
    stream: Any = None
    # Nodes that surely did not run this call; () where the caller chose the node; None while no other was tried.
    tried: Any = None
    fallback_result: bool = False


class _Extra(Generic[T]):
    """A field of a context's `Extras`."""

    def __init__(self, default: T) -> None:
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name.lstrip("_")

    @overload
    def __get__(self, ctx: None, owner: type) -> Self: ...
    @overload
    def __get__(self, ctx: Context[Any], owner: type) -> T: ...
    def __get__(self, ctx: Context[Any] | None, owner: type) -> T | Self:
        if ctx is None:
            return self
        extras = ctx._extras
        return self._default if extras is None else getattr(extras, self._name)

    def __set__(self, ctx: Context[Any], value: T) -> None:
        if ctx._extras is None:
            ctx._extras = Extras()
        setattr(ctx._extras, self._name, value)


class Context(msgspec.Struct, Generic[P], eq=False, weakref=True):
    """What a handler is given.

    Each field costs every call some nanoseconds: what is rarely asked for is made when it is asked for.

    Attributes:
        broker: The node's broker.
        params: Params of the call, or payload of the event.
        endpoint: The action or subscription that is being run.
        event_name: Name of the event, for event handlers.
        event_type: ``emit``, ``broadcast`` or ``broadcastLocal``.
        event_groups: Groups the sender chose, or None.
        level: Depth of nesting, from 1.
        timeout: Seconds that this very call was given, 0 for none; None if nobody said.
        node_id: Node that asked, or None if this one did.
        deadline: When the caller stops waiting, on the node's monotonic clock; None for no end.
        tracing: Whether the chain is sampled; None if tracing is off.
        cached_result: Whether a cache answered.
        fallback_result: Whether a fallback answered.
        stream: What the caller sends along, a `Stream`; None if it sends none.
    """

    broker: Any
    params: P
    endpoint: Any = None
    event_name: str | None = None
    event_type: str | None = None
    parent: Any = None
    level: int = 1
    _meta: Any = None
    deadline: float | None = None
    tracing: bool | None = None
    raw: bool = False
    _id: str | None = None
    _request_id: str | None = None
    node_id: str | None = None
    _parent_id: str | None = None
    _caller: str | None = None
    cached_result: bool = False
    _extras: Any = None

    timeout = _Extra[float | None](None)
    event_groups = _Extra[Sequence[str] | None](None)
    stream = _Extra[Any](None)
    fallback_result = _Extra[bool](False)
    _headers = _Extra[dict[str, Any] | None](None)
    _response_headers = _Extra[dict[str, Any] | None](None)
    _locals = _Extra[dict[str, Any] | None](None)
    _tried = _Extra[Any](None)

    @property
    def id(self) -> str:
        """Id of this call; a new one for each attempt and each target of an event."""
        made = self._id
        if made is None:
            made = self._id = self.broker.new_id()
        return made

    @property
    def request_id(self) -> str:
        """Id of the whole chain: that of its first context."""
        made = self._request_id
        if made is None:
            made = self._request_id = self.id if self.parent is None else self.parent.request_id
        return made

    @property
    def parent_id(self) -> str | None:
        """Id of the context that made this call, or None."""
        return self._parent_id if self.parent is None else self.parent.id

    @property
    def caller(self) -> str | None:
        """Full name of the service that made this call, or None."""
        if self.parent is None:
            return self._caller
        endpoint = self.parent.endpoint
        return None if endpoint is None else endpoint.service.full_name

    @property
    def meta(self) -> dict[str, Any]:
        """Travels along with nested calls, and back to the caller. Keys are texts."""
        made = self._meta
        if made is None:
            made = self._meta = {}
        return made  # type: ignore[no-any-return]  # The field is Any so that the struct needs no check.

    @meta.setter
    def meta(self, value: dict[str, Any]) -> None:
        self._meta = value

    @property
    def headers(self) -> dict[str, Any]:
        """Headers of this one hop (Moleculer 0.15)."""
        made = self._headers
        if made is None:
            made = self._headers = {}
        return made

    @property
    def response_headers(self) -> dict[str, Any]:
        """Headers of the answer, for middlewares at the caller (Moleculer 0.15)."""
        made = self._response_headers
        if made is None:
            made = self._response_headers = {}
        return made

    @property
    def locals(self) -> dict[str, Any]:
        """A place for this node's own things; never sent."""
        made = self._locals
        if made is None:
            made = self._locals = {}
        return made

    @property
    def call_id(self) -> str:
        """For logs, as nameko has it: what is being run, and the id of this call: ``users.get.4f3c…``."""
        endpoint = self.endpoint
        if self.event_name is not None and endpoint is not None:
            return f"{endpoint.service.full_name}.{self.event_name}.{self.id}"
        return self.id if endpoint is None else f"{endpoint.name}.{self.id}"

    @property
    def call_id_stack(self) -> list[str]:
        """The calls that led here, the outermost first, and this one (`Settings.parent_calls_tracked`).

        What led to a call of another node is not known beyond the service and the id of the call that made it.
        """
        stack, ctx, left = [self.call_id], self, self.broker.settings.parent_calls_tracked
        while left > 0 and (ctx.parent is not None or ctx._parent_id is not None):
            if ctx.parent is None:
                stack.append(f"{ctx._caller}.{ctx._parent_id}" if ctx._caller else str(ctx._parent_id))
                break
            ctx, left = ctx.parent, left - 1
            stack.append(ctx.call_id)
        return stack[::-1]

    @property
    def user(self) -> Any:
        """Who is asking, as authentication at the gateway left it in ``meta["user"]``; None if nobody."""
        return None if self._meta is None else self._meta.get("user")

    @property
    def action(self) -> Endpoint | None:
        """The action that is being run (its full name is ``ctx.action.name``), or None for an event."""
        return self.endpoint if self.event_name is None else None

    @property
    def service(self) -> ServiceEntry | None:
        """The service of the handler, or None."""
        return None if self.endpoint is None else self.endpoint.service

    @property
    def request_timeout(self) -> float | None:
        """Seconds left to the caller, or None for no end."""
        return None if self.deadline is None else max(0.0, self.deadline - self.broker.clock())

    def call(self, action: str, params: Any = None, **options: Unpack[CallOptions]) -> Awaitable[Any]:
        """Call another action as a part of this call: same request id, one level deeper, its meta and its time.

        Raises as `Broker.call` does, and:
            MaxCallLevelError: Calls are nested too deep.
            RequestSkippedError: This call's own time is used up.
        """
        call = self.broker.call_nested
        return call(self, action, params, options)  # type: ignore[no-any-return]  # The broker is a Caller.

    def mcall(
        self,
        calls: Sequence[CallDef] | Mapping[str, CallDef],
        *,
        settled: bool = False,
        **options: Unpack[CallOptions],
    ) -> Awaitable[Any]:
        """Several calls at once; see `Broker.mcall`."""
        options["parent"] = self
        return self.broker.mcall(calls, settled=settled, **options)  # type: ignore[no-any-return]  # As above.

    def emit(
        self,
        event: str,
        data: Any = None,
        groups: str | Sequence[str] | None = None,
        *,
        meta: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> Awaitable[None]:
        """Tell one member of each group. Acts at once; see `Broker.emit`."""
        return self.broker.publish("emit", event, data, groups, meta, headers, self)  # type: ignore[no-any-return]  # As above.

    def broadcast(
        self,
        event: str,
        data: Any = None,
        groups: str | Sequence[str] | None = None,
        *,
        meta: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> Awaitable[None]:
        """Tell everyone on every node. Acts at once; see `Broker.broadcast`."""
        return self.broker.publish("broadcast", event, data, groups, meta, headers, self)  # type: ignore[no-any-return]  # As above.

    def broadcast_local(
        self,
        event: str,
        data: Any = None,
        groups: str | Sequence[str] | None = None,
        *,
        meta: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> Awaitable[None]:
        """Tell everyone on this node. Acts at once; see `Broker.broadcast_local`."""
        return self.broker.publish("broadcastLocal", event, data, groups, meta, headers, self)  # type: ignore[no-any-return]  # As above.

    def copy(self) -> Self:
        """Another one with the same in it: what is set there is not seen here. The meta and its like are still one."""
        other = copy(self)
        other._extras = copy(self._extras)
        return other

    def copy_meta(self) -> dict[str, Any] | None:
        """The meta for a child, or None if there is nothing in it."""
        return dict(self._meta) if self._meta else None

    def merge_meta(self, meta: Mapping[str, Any] | None) -> None:
        """Take back what a call added to its meta (protocol section 7.4).

        What this side said of itself stays: ``user`` and names with ``$`` that the request carried (reliability
        reference, section 5.4).
        """
        if meta:
            own = self.meta
            own.update(
                {name: value for name, value in meta.items() if name not in own or (name != "user" and name[:1] != "$")}
            )


CURRENT: Final[ContextVar[Context[Any] | None]] = ContextVar("tautomer.context", default=None)
"""The context of the handler that is running, where commands are in use: they look for it here (`tautomer.joining`)."""
