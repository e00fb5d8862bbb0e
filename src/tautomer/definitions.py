"""ActionDef and EventDef: what a mark says about a method, and what INFO shows of it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

from tautomer.errors import ServiceSchemaError
from tautomer.stream import OwnStream

if TYPE_CHECKING:
    from tautomer.schedules.cron import Cron

Visibility: TypeAlias = Literal["published", "public", "protected", "private"]
VISIBILITIES: Final = ("published", "public", "protected", "private")

Where: TypeAlias = Literal["loop", "thread", "process"]
"""Where a method runs: on the event loop, or in a thread or a process beside it."""

Method: TypeAlias = Callable[..., Any]

SERVICE_POLICIES: Final = ("circuit_breaker", "bulkhead", "retry_policy", "rate_limit", "hedge", "fallback", "cache")
"""What a service may say for all of its actions, in its settings, under these names after a ``$``."""

_TIMER_POLICIES: Final = ("circuit_breaker", "bulkhead")
"""Those that hold for its timers: the others are for callers, and what is answered by a cache is not done."""


class Binder(msgspec.Struct, frozen=True):
    """How a method wants to be called, where that is not with the context. Used once, when its service is registered.

    Attributes:
        bind: From a bound method to what is called with the context; a `def` stays one, and so does an `async def`.
        describe: From a bound method to a schema of its params, for a mark that has none, and to what more of it is
            told to other nodes.
        door: The mark whose methods only a gateway of their node brings calls to, such as ``@http``; empty for others.
    """

    bind: Callable[[Method], Method]
    describe: Callable[[Method], tuple[Any, dict[str, Any]]]
    door: str = ""


OncePer: TypeAlias = Literal["node", "mesh"]
Overlap: TypeAlias = Literal["wait", "skip"]


class TimerRule(msgspec.Struct, frozen=True, kw_only=True):
    """When the node's clock asks for an action.

    Attributes:
        every: Seconds between two times, or None.
        cron: When it is due, where not every so many seconds.
        eager: Whether it is due at the start, too.
        once_per: Who does it: every ``node`` that has the service, or one for the whole ``mesh``.
        overlap: What becomes of a time that comes while it still runs: it has to ``wait``, or is left out (``skip``).
    """

    every: float | None = None
    cron: Cron | None = None
    eager: bool = False
    once_per: OncePer = "node"
    overlap: Overlap = "wait"

    @property
    def wire(self) -> dict[str, Any]:
        """What other nodes are told. Those that say the same share one timer of the mesh."""
        when: dict[str, Any] = {"every": self.every}
        if self.cron is not None:
            when = {"cron": self.cron.expression, "timezone": self.cron.timezone}
        return {**when, "oncePer": self.once_per}


class ActionDef(msgspec.Struct, frozen=True, kw_only=True):
    """What can be asked of a service.

    Attributes:
        name: Name within the service; the full name has the service's before it.
        method: The function, bound to its service once that exists.
        params: Schema of the params, or None: not validated.
        visibility: Who may call: ``published`` (everyone, also gateways), ``public`` (every node),
            ``protected`` (this node), ``private`` (this service).
        timeout: Seconds the handler may take, or None: the broker's.
        rest: How a gateway reaches it, such as ``"GET /:id"``, or None.
        where: Where the method runs.
        binder: How it is called; None: with the context.
        timer: When the node's clock asks for it, or None: never.
        extra: Everything else that was written in the mark; it travels in INFO, as in Node.
    """

    name: str
    method: Method
    params: Any = None
    visibility: Visibility = "published"
    timeout: float | None = None
    rest: Any = None
    where: Where = "loop"
    binder: Binder | None = None
    timer: TimerRule | None = None
    extra: Mapping[str, Any] = msgspec.field(default_factory=dict)

    @property
    def bound(self) -> Method:
        """The method as it is called with the context."""
        return self.method if self.binder is None else self.binder.bind(self.method)

    def in_service(self, settings: Mapping[str, Any]) -> ActionDef:
        """The same, with what its service's settings say for all of its actions: ``$circuit_breaker``, ``$timeout``, …

        Mappings are merged, and what the action says itself goes before.

        Raises:
            ServiceSchemaError: The timeout is no number of seconds.
        """
        extra, timeout = dict(self.extra), self.timeout
        for name in SERVICE_POLICIES if self.timer is None else _TIMER_POLICIES:
            common = settings.get(f"${name}", settings.get(f"${camel_case(name)}"))
            own = extra.get(name)
            if common is None:
                continue
            if isinstance(common, Mapping) and isinstance(own, Mapping):
                extra[name] = {**common, **own}
            elif own is None or (own is True and isinstance(common, Mapping)):
                extra[name] = common
        if timeout is None and (timeout := settings.get("$timeout")) is not None and not is_seconds(timeout):
            raise ServiceSchemaError(f"a service's $timeout is a number of seconds, not {timeout!r}")
        return msgspec.structs.replace(self, extra=extra, timeout=timeout)

    def wire(self, full_name: str, params: Any) -> dict[str, Any]:
        """The entry of this action in INFO (protocol section 3.1). `params` is the schema's wire form."""
        entry: dict[str, Any] = plain({**self.extra, **_policies(self.extra)})
        if params is not None:
            entry["params"] = params
        if self.rest is not None and _is_plain(self.rest):
            entry["rest"] = plain(self.rest)
        if self.visibility != "published":
            entry["visibility"] = self.visibility
        if self.timer is not None:
            entry["timer"] = self.timer.wire
        if self.timeout is not None:
            # 0 would be read as "no timeout", so what is under a millisecond counts as one.
            entry["timeout"] = max(1, round(self.timeout * 1000)) if self.timeout else 0
        return {**entry, "rawName": self.name, "name": full_name}


class EventDef(msgspec.Struct, frozen=True, kw_only=True):
    """What a service listens to.

    Attributes:
        name: Pattern of event names, such as ``"user.*"``.
        methods: The functions that hear it, in order.
        where: Where each of them runs.
        group: Of each group one member hears an emitted event. None: the service's name.
        params: Schema of the payload, or None.
        throttle: Seconds after an event in which it hears no other one; None or 0: it hears all.
        debounce: Seconds of silence after which it hears the last event; None or 0: it hears all.
        extra: Everything else that was written in the mark.
    """

    name: str
    methods: tuple[Method, ...]
    where: tuple[Where, ...] = ()
    group: str | None = None
    params: Any = None
    throttle: float | None = None
    debounce: float | None = None
    extra: Mapping[str, Any] = msgspec.field(default_factory=dict)

    def wire(self, params: Any) -> dict[str, Any]:
        """The entry of this event in INFO (protocol section 3.1)."""
        entry: dict[str, Any] = plain(self.extra)
        if self.group is not None:
            entry["group"] = self.group
        if params is not None:
            entry["params"] = params
        for option, seconds in (("throttle", self.throttle), ("debounce", self.debounce)):
            if seconds is not None:
                entry[option] = seconds * 1000
        return {**entry, "name": self.name}


def plain(value: Any) -> Any:
    """What of a value can be told to other nodes: JSON's types. The rest is left out, as functions are by Node."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items() if _is_plain(one)}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value if _is_plain(one)]
    return value


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool | Mapping | list | tuple)


# What is said of an action's calls: our name, Node's name and, of its options, Node's names and units.
_POLICIES: Final[Mapping[str, tuple[str, Mapping[str, tuple[str, float]]]]] = {
    "circuit_breaker": (
        "circuitBreaker",
        {
            "window_time": ("windowTime", 1),
            "min_request_count": ("minRequestCount", 1),
            "half_open_time": ("halfOpenTime", 1000),
        },
    ),
    "bulkhead": ("bulkhead", {"max_queue_size": ("maxQueueSize", 1)}),
    "retry_policy": ("retryPolicy", {"delay": ("delay", 1000), "max_delay": ("maxDelay", 1000)}),
}


def _policies(extra: Mapping[str, Any]) -> dict[str, Any]:
    """How an action's policies are told to callers, in Node's words."""
    told: dict[str, Any] = {}
    for name, (known_as, options) in _POLICIES.items():
        given = extra.get(name)
        if isinstance(given, bool):
            given = {"enabled": given}
        if isinstance(given, Mapping):
            told[known_as] = {"enabled": True}
            for option, value in given.items():
                wire, unit = options.get(option, (option, 1))
                told[known_as][wire] = value * unit if isinstance(value, int | float) and unit != 1 else value
    return told


def camel_case(name: str) -> str:
    """Node's spelling of one of our names."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def is_seconds(value: object) -> bool:
    """Whether a value is a number of seconds, 0 or more."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def takes_context(method: Method) -> bool:
    """Whether a bound method wants the context: it does unless it takes nothing by position."""
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in parameters)


def by_context(method: Method) -> Callable[[Any], Coroutine[Any, Any, Any]]:
    """The binder of `@action` and `@event`: the method is called with the context.

    An async method is its own handler, so nothing stands between the chain and it. An async generator gives a
    `Stream`, once its first item is there. What a plain method returns is awaited if it can be.
    """
    wants_context = takes_context(method)
    if inspect.iscoroutinefunction(method) and wants_context:
        return method

    if inspect.isasyncgenfunction(method):
        return _begin_stream(method, wants_context)

    async def handle(ctx: Any) -> Any:
        result = method(ctx) if wants_context else method()
        # Most results are plain, and for those this costs a fifth of asking whether it is an Awaitable.
        return await result if hasattr(result, "__await__") and isinstance(result, Awaitable) else result

    return handle


def _begin_stream(method: Method, wants_context: bool) -> Callable[[Any], Coroutine[Any, Any, Any]]:
    async def handle(ctx: Any) -> OwnStream:
        stream = await OwnStream(method(ctx) if wants_context else method()).begin()
        # The call is answered; from here on the idle time holds, and the calls that the generator makes have their own.
        ctx.deadline = None
        return stream

    return handle
