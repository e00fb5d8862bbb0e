"""Settings of a broker: frozen records, checked when they are built.

Seconds everywhere. None means "not set, ask the next layer"; 0 means "off" where the docstring
says so. A name that does not exist is an error that tells the nearest one.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, dataclass_transform

from tautomer.errors import BrokerOptionsError

if TYPE_CHECKING:
    from tautomer.middleware import Middleware
    from tautomer.ports import Cacher, Serializer, Strategy, Transporter, Validator

R = TypeVar("R")


def nearest(name: str, known: Sequence[str]) -> str:
    """A hint for a misspelt name: ``; did you mean 'x'?``, or the list of what there is."""
    close = closest(name, known)
    return f"; did you mean '{close}'?" if close else f"; known: {', '.join(sorted(known))}"


def closest(name: str, known: Sequence[str], likeness: float = 0.6) -> str | None:
    """The known name that is most like this one, or None if none is; in any case and spelling of words."""
    import difflib  # Only who mistypes pays for it.

    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    by_lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(snake, by_lower, 1, likeness)
    return by_lower[close[0]] if close else None


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(cls: type[R]) -> type[R]:
    """A frozen dataclass, by keyword only, whose constructor names the nearest setting for an unknown one.

    A frozen dataclass of the standard library compiles half a dozen methods for each class, a millisecond at every
    start. These have them in common.
    """
    made = dataclass(init=False, repr=False, eq=False, slots=True, kw_only=True)(cls)
    for name, method in _METHODS.items():
        setattr(made, name, method)
    return made


def _init(self: Any, **values: Any) -> None:
    known = dataclasses.fields(self)
    names = [one.name for one in known]
    kind = type(self).__name__
    unknown = [name for name in values if name not in names]
    if unknown:
        faults = [f"unknown setting '{name}'{nearest(name, names)}" for name in unknown]
        raise BrokerOptionsError(f"{kind}: " + "; ".join(faults), {"unknown": unknown})
    for one in known:
        if one.name in values:
            value = values[one.name]
        elif one.default_factory is not dataclasses.MISSING:
            value = one.default_factory()
        elif one.default is not dataclasses.MISSING:
            value = one.default
        else:
            raise TypeError(f"{kind} needs '{one.name}'")
        object.__setattr__(self, one.name, value)
    if hasattr(self, "__post_init__"):
        self.__post_init__()


def _values(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, one.name) for one in dataclasses.fields(self))


# Who asks for the settings of a node, and where they are logged, is not to see its passwords (promise S5).
_LOGIN: Final = re.compile(r"://[^'\"\s,]*@")


def _repr(self: Any) -> str:
    shown = [
        f"{one.name}={_LOGIN.sub('://***@', repr(getattr(self, one.name)))}"
        for one in dataclasses.fields(self)
        if one.repr
    ]
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _eq(self: Any, other: object) -> bool:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _set(self: Any, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _delete(self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _reduce(self: Any) -> tuple[Any, ...]:
    build: Callable[..., Any] = type(self)
    return partial(build, **{one.name: getattr(self, one.name) for one in dataclasses.fields(self)}), ()


_METHODS: Final = {
    "__init__": _init,
    "__repr__": _repr,
    "__eq__": _eq,
    "__hash__": _hash,
    "__setattr__": _set,
    "__delattr__": _delete,
    "__reduce__": _reduce,
}


def _at_least(owner: str, least: float, **values: float | None) -> None:
    for name, value in values.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BrokerOptionsError(f"{owner}.{name} is a number, not {value!r}", {"setting": name})
        if not value >= least:
            raise BrokerOptionsError(f"{owner}.{name} is at least {least:g}, not {value!r}", {"setting": name})


_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) *(b|kb|mb|gb|tb)?", re.IGNORECASE)
_UNITS: Final = {"b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3, "tb": 1024**4}


def a_size(value: object) -> int:
    """Bytes: a number, or a text such as ``"100kb"`` or ``"1.5mb"`` (of 1,024). 0 and infinity: no end.

    Raises:
        ValueError: It is neither; the text goes on after the setting's name.
    """
    if value == inf:
        return 0
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        return int(float(match[1]) * _UNITS[(match[2] or "b").lower()])
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"is a number of bytes or a text such as '100kb' or '2mb', not {value!r:.80}")
    return value


@record
class RegistrySettings:
    """How endpoints are chosen, and how much of others is taken in.

    Attributes:
        strategy: ``"RoundRobin"``, ``"Random"``, ``"CpuUsage"``, ``"Latency"``, ``"Shard"``, or what makes a strategy.
            An action or event may say another one, as may a service for all of its own (``$strategy``).
        strategy_options: Options of the strategy, such as ``{"shard_key": "user.id"}``; see `tautomer.balancing`.
        prefer_local: Take this node's own endpoint if there is one.
        nodes_max: More nodes are refused.
        services_max: Services one node may announce.
        actions_max: Actions one node may announce.
        mesh_actions_max: Actions and subscriptions of all nodes together; INFOs over it are refused.
        on_conflict: What to do when a namesake of this node turns up later: ``"stay"``, or ``"stop"`` without a
            word, so that it has the name alone.
    """

    strategy: str | Callable[..., Strategy] = "RoundRobin"
    strategy_options: Mapping[str, Any] = field(default_factory=dict)
    prefer_local: bool = True
    nodes_max: int = 2_000
    services_max: int = 500
    actions_max: int = 5_000
    mesh_actions_max: int = 200_000
    on_conflict: Literal["stay", "stop"] = "stay"

    def __post_init__(self) -> None:
        if self.on_conflict not in ("stay", "stop"):
            raise BrokerOptionsError(f"registry.on_conflict is 'stay' or 'stop', not {self.on_conflict!r}")
        if not isinstance(self.strategy_options, Mapping):
            raise BrokerOptionsError(
                f"registry.strategy_options is a dict, not {self.strategy_options!r}", {"setting": "strategy_options"}
            )
        _at_least(
            "registry",
            1,
            nodes_max=self.nodes_max,
            services_max=self.services_max,
            actions_max=self.actions_max,
            mesh_actions_max=self.mesh_actions_max,
        )


@record
class CircuitBreakerSettings:
    """Calls to an endpoint that fails too often are given up for a while (Moleculer protocol section 9.2).

    Each endpoint (an action at a node) has a circuit of its own, at the caller.

    Attributes:
        enabled: For all actions. One that says something of its own with ``circuit_breaker=`` has one in any case.
        threshold: Part of the calls that fail, from 0 to 1, at or above which it opens.
        window_time: Seconds that count.
        min_request_count: Fewer calls in the window never open it.
        half_open_time: Seconds that it stays open, until one call tries whether all is well again.
        check: Says of an error whether it is a failure of the endpoint; None: its code is 500 or more.
    """

    enabled: bool = False
    threshold: float = 0.5
    window_time: float = 60.0
    min_request_count: int = 20
    half_open_time: float = 10.0
    check: Callable[[BaseException], bool] | None = None


@record
class BulkheadSettings:
    """So many calls of an action run at once here, so many wait, the rest is refused (Moleculer protocol section 9.3).

    Attributes:
        enabled: For all actions and listeners of this node. One that says something of its own with ``bulkhead=`` has
            one in any case.
        concurrency: How many of one action run at once; ``"adaptive"`` finds that out from how long they take. That is
            for what takes the longer the more of it runs, and not for what waits for people.
        max_queue_size: How many wait. More fail with `QueueIsFullError`, as do those whose time is over with
            `RequestSkippedError`.
    """

    enabled: bool = False
    concurrency: int | Literal["adaptive"] = 10
    max_queue_size: int = 100

    def __post_init__(self) -> None:
        if self.concurrency != "adaptive":
            _at_least("bulkhead", 1, concurrency=self.concurrency)
        _at_least("bulkhead", 0, max_queue_size=self.max_queue_size)


@record
class ActionRateLimit:
    """How often an action may be asked for at one node, as its mark says with ``rate_limit=``.

    Attributes:
        enabled: Whether it is limited. What else its mark says turns it on.
        limit: Calls that a window allows. More fail with `RateLimitExceeded`.
        window: Seconds. It begins with the first call.
        keys: What is counted apart, as the keys of a cache: names of params, of meta (``#user.id``) and of headers
            (``@name``). Without: all calls together. Those who lack a value of the meta count together.
    """

    enabled: bool = False
    limit: int = 30
    window: float = 60.0
    keys: Sequence[str] = ()

    def __post_init__(self) -> None:
        _at_least("rate_limit", 1, limit=self.limit)
        _at_least("rate_limit", 0.001, window=self.window)
        if not isinstance(self.keys, list | tuple) or not all(self.keys):
            raise BrokerOptionsError(f"rate_limit.keys is a list of names, not {self.keys!r:.80}")


@record
class RetrySettings:
    """Calls that failed are made again, at another node where there is one (Moleculer protocol section 9.5).

    Attributes:
        enabled: For all calls of this node. A call with ``retries=`` and an action with ``retry_policy=`` are repeated in any case.
        retries: How many times.
        delay: Seconds before the first.
        max_delay: Longest pause.
        factor: By which each pause is longer than the one before.
        jitter: Part of each pause that is left to chance, from 0 to 1.
        check: Says of an error whether to try again; None: it is retryable, and either surely nothing ran, or the
            action is ``idempotent``, or the call or the action itself asked for it.
        budget: Other attempts that each call to an action earns: the bound on what retries add when all fail.
        budget_per_second: Attempts a second that there are in any case, for actions that are seldom called.
    """

    enabled: bool = False
    retries: int = 5
    delay: float = 0.1
    max_delay: float = 1.0
    factor: float = 2.0
    jitter: float = 1.0
    check: Callable[[BaseException], bool] | None = None
    budget: float = 0.2
    budget_per_second: float = 3.0


@record
class PoolSettings:
    """Where what blocks runs beside the event loop: ``@action(blocking=True)`` and ``@action(process=True)``.

    Attributes:
        threads: How many handlers run in threads at once. Threads are made when they are needed.
        thread_queue_max: How many more calls wait for one. The rest fail with `QueueIsFullError`.
        processes: How many handlers run in processes at once; 0: as many as there are processor cores.
        process_queue_max: How many more calls wait for one.
    """

    threads: int = 40
    thread_queue_max: int = 100
    processes: int = 0
    process_queue_max: int = 100

    def __post_init__(self) -> None:
        _at_least("pools", 1, threads=self.threads)
        _at_least(
            "pools",
            0,
            thread_queue_max=self.thread_queue_max,
            processes=self.processes,
            process_queue_max=self.process_queue_max,
        )


@record
class HedgeSettings:
    """Calls that take long are asked of another node as well, and the first good answer counts (resilience reference, section 15).

    Attributes:
        enabled: For all calls of ``idempotent`` actions that this node makes. An action with ``hedge=`` and a call with
            ``hedge=`` have it in any case.
        delay: Seconds until another node is asked; ``"p95"``: as long as nineteen of twenty calls of the last minute
            took. A failure is followed by another attempt at once.
        extra: Attempts beside the first. Each comes out of the retry budget.
    """

    enabled: bool = False
    delay: float | Literal["p95"] = "p95"
    extra: int = 1

    def __post_init__(self) -> None:
        if self.delay != "p95":
            _at_least("hedge", 0, delay=self.delay)
        _at_least("hedge", 0, extra=self.extra)


def chosen(usual: R, own: object, where: str) -> R:
    """The settings of one action: the broker's, with what it says of its own over them.

    Args:
        own: None for nothing; False for off, True for on; or a mapping of settings, which turns it on.

    Raises:
        BrokerOptionsError: It is something else, or names a setting that there is not.
    """
    if own is None:
        return usual
    if isinstance(own, bool):
        own = {"enabled": own}
    if not isinstance(own, Mapping):
        raise BrokerOptionsError(f"{where} is true, false or a mapping, not {own!r:.80}")
    values = {one.name: getattr(usual, one.name) for one in dataclasses.fields(usual)}  # type: ignore[arg-type]
    try:
        return type(usual)(**{**values, "enabled": True, **own})
    except BrokerOptionsError as error:
        raise BrokerOptionsError(f"{where}: {error.message}") from error


@record
class TransitSettings:
    """The traffic with other nodes.

    Attributes:
        pending_max: Calls that may wait for answers; more fail with `QueueIsFullError`.
        in_flight_max: Requests of other nodes run at once; more are refused, retryable. ``"adaptive"`` finds out from
            how long they take how many are good: for nodes whose actions take the longer the more of them run.
        queue_delay: Seconds that a request of another node may stand in line while this node is overloaded; more
            are refused, retryable. A burst may wait longer, but for no more than half of its time. 0 refuses none.
        connect_wait: Seconds that `start` waits for the message broker before it goes on alone.
        settle: Seconds to wait at most for the other nodes' INFOs at start.
        settle_quiet: Seconds without a new INFO after which the wait ends early.
        announce_delay: Seconds by which the INFO about changed services is held back, to send one for many.
        stop_delay: Seconds without a request after which a leaving node begins to refuse them. Its services are
            withdrawn before; others go on asking until they have read that.
        offline_wait: Seconds that a call waits for the line to the message broker to come back; when it has been away
            for longer, calls fail at once. 0: they always do. For as long after its return, nodes that do not listen
            yet count as on their way back.
        offline_max: Calls, answers and events that may wait so at once; more fail.
        offline_bytes_max: Their size.
        stream_window_bytes: Bytes of one stream that may wait to be read; over it the stream breaks.
        stream_chunk_bytes: Bytes that one packet of a byte stream carries at most.
        stream_idle: Seconds without an item after which a stream breaks, at either end; 0 for no end.
    """

    pending_max: int = 10_000
    in_flight_max: int | Literal["adaptive"] = 1_000
    queue_delay: float = 0.1
    connect_wait: float = 3.0
    settle: float = 0.5
    settle_quiet: float = 0.15
    announce_delay: float = 0.05
    stop_delay: float = 0.1
    offline_wait: float = 5.0
    offline_max: int = 1_000
    offline_bytes_max: int = 8 * 1024 * 1024
    stream_window_bytes: int = 4 * 1024 * 1024
    stream_chunk_bytes: int = 64 * 1024
    stream_idle: float = 30.0

    def __post_init__(self) -> None:
        _at_least("transit", 1, pending_max=self.pending_max)
        if self.in_flight_max != "adaptive":
            _at_least("transit", 1, in_flight_max=self.in_flight_max)
        _at_least("transit", 1, stream_chunk_bytes=self.stream_chunk_bytes)
        _at_least("transit", self.stream_chunk_bytes, stream_window_bytes=self.stream_window_bytes)
        _at_least(
            "transit",
            0,
            queue_delay=self.queue_delay,
            connect_wait=self.connect_wait,
            settle=self.settle,
            settle_quiet=self.settle_quiet,
            announce_delay=self.announce_delay,
            stop_delay=self.stop_delay,
            offline_wait=self.offline_wait,
            offline_max=self.offline_max,
            offline_bytes_max=self.offline_bytes_max,
            stream_idle=self.stream_idle,
        )


@record
class CommandSettings:
    """Commands of the process (resilience reference, section 4), as `component.set` and `component.add` say it, too.

    Attributes:
        executor_pool: Pools of groups: ``{"group_key", "max_workers", "max_queue", "isolation"}``.
        circuit_breaker_enabled: False for no circuits.
        circuit_breaker_options: Options of all circuits.
        defaults: Options of all commands.
        proxies: Upstream servers to which every gateway of the node passes on what no route of its own takes:
            ``{"name", "upstream_url", "request_path_regex", …}`` each, see `tautomer.commands.configured.proxies_of`.
    """

    executor_pool: Sequence[Mapping[str, Any]] = ()
    circuit_breaker_enabled: bool = True
    circuit_breaker_options: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    proxies: Sequence[Mapping[str, Any]] = ()


@record
class Settings:
    """Everything a broker can be told.

    Attributes:
        namespace: Nodes of different namespaces do not see each other. Part of every topic.
        transporter: URL such as ``"nats://localhost:4222"``, ``"tcp://"`` or ``"memory://"``, a transporter, or
            None for a node that is alone.
        serializer: ``"JSON"``, or a serializer.
        cacher: Where results of actions with ``cache=`` are kept: True or ``"Memory"``, ``"MemoryLRU"``, ``"Redis"``, the URL
            of a Redis server, ``{"type", "options"}`` (see `tautomer.cachers.options.CacherOptions`), or a cacher.
        validator: Who checks params: True or ``"Fastest"``; ``{"type": "Fastest", "options": {"messages": {…},
            "halt_on_first_error": True}}``; a `Validator` of one's own; False: nobody (they are announced all the same).
        protocol: ``"auto"`` speaks with Moleculer 0.14 and 0.15 at once; ``"4"`` or ``"5"`` only one of them.
        request_timeout: Seconds a call may take. Not set: 30 for calls that leave the node, none
            for local ones. Set: for all calls. 0: none.
        max_call_level: Depth of nested calls; 0 for no limit.
        heartbeat_interval: Seconds between signs of life. Node's peers give up after 30.
        heartbeat_timeout: Seconds of silence after which a node counts as lost.
        shutdown_timeout: Seconds that running calls, and then each service, may take at stop.
        stall_warning: Seconds that the event loop may stand still before a warning says so; 0 for no warning.
        dependency_timeout: Seconds a service waits for its dependencies; 0 for no end.
        log_level: Name of the level for all of tautomer's loggers, or None to leave logging alone.
        log_format: ``"PLAIN"`` or ``"JSON"``.
        metadata: Told to other nodes in INFO.
        config: Values of one's own, which nobody else is told: `Config` and the containers of providers give them.
        middlewares: The first is the outermost. Each is a middleware, its class, the name of one that comes along, such
            as ``"Transmit.Compression"``, or ``{"type": name, "options": {…}}``.
        internal_services: Whether the `$node` service is offered.
        disable_balancer: Let the message broker choose who is asked and who of a group hears an event, for nodes of
            the mesh that all do so. With versions 0.14 and 0.15 in one mesh, an action (or group) is to be offered by
            nodes of one of them only.
        circuit_breaker: Endpoints that fail are left alone for a while. A mapping will do, here and for the next three.
        bulkhead: How many calls of one action run at once.
        max_workers: How many calls, events and timers of one service run at once here, all kinds together; 0 for no
            limit. As many more wait as `bulkhead` says.
        parent_calls_tracked: How many calls above its own `Context.call_id_stack` holds at most.
        retry_policy: Calls that failed are made again.
        commands: Pools and options of commands, which belong to the process: `CommandSettings`, or a mapping.
        hedge: Calls that take long are asked of another node, too.
        registry: How endpoints are chosen.
        transit: The traffic with other nodes.
        pools: Threads and processes for handlers that block.
    """

    namespace: str = ""
    transporter: str | Transporter | None = None
    serializer: str | Serializer | None = None
    # A URL may hold a password (promise S5).
    cacher: bool | str | Mapping[str, Any] | Cacher | None = field(default=None, repr=False)
    validator: bool | str | Mapping[str, Any] | Validator = True
    protocol: Literal["auto", "4", "5"] = "auto"
    request_timeout: float | None = None
    max_call_level: int = 100
    heartbeat_interval: float = 5.0
    heartbeat_timeout: float = 30.0
    shutdown_timeout: float = 10.0
    stall_warning: float = 0.5
    dependency_timeout: float = 0.0
    log_level: str | None = None
    log_format: Literal["PLAIN", "JSON"] = "PLAIN"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    # It may hold passwords, as the options of middlewares (promise S5).
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    middlewares: Sequence[Middleware | type[Middleware] | str | Mapping[str, Any]] = field(default=(), repr=False)
    internal_services: bool = True
    disable_balancer: bool = False
    circuit_breaker: CircuitBreakerSettings = field(default_factory=CircuitBreakerSettings)
    bulkhead: BulkheadSettings = field(default_factory=BulkheadSettings)
    max_workers: int = 0
    parent_calls_tracked: int = 10
    retry_policy: RetrySettings = field(default_factory=RetrySettings)
    commands: CommandSettings | None = None
    hedge: HedgeSettings = field(default_factory=HedgeSettings)
    registry: RegistrySettings = field(default_factory=RegistrySettings)
    transit: TransitSettings = field(default_factory=TransitSettings)
    pools: PoolSettings = field(default_factory=PoolSettings)

    def __post_init__(self) -> None:
        if not isinstance(self.namespace, str):
            raise BrokerOptionsError(f"namespace is a text, not {self.namespace!r}")
        if self.protocol not in ("auto", "4", "5"):
            raise BrokerOptionsError(f"protocol is 'auto', '4' or '5', not {self.protocol!r}")
        if self.log_format not in ("PLAIN", "JSON"):
            raise BrokerOptionsError(f"log_format is 'PLAIN' or 'JSON', not {self.log_format!r}")
        for name, usual in (
            ("circuit_breaker", CircuitBreakerSettings()),
            ("bulkhead", BulkheadSettings()),
            ("retry_policy", RetrySettings()),
            ("hedge", HedgeSettings()),
        ):
            given = getattr(self, name)
            if not isinstance(given, type(usual)):
                object.__setattr__(self, name, chosen(usual, given, name))
        commands: object = self.commands
        if isinstance(commands, Mapping):
            object.__setattr__(self, "commands", CommandSettings(**commands))
        elif not isinstance(commands, CommandSettings | None):
            raise BrokerOptionsError(f"commands is a mapping, not {commands!r:.80}", {"setting": "commands"})
        for name, kind in (("registry", RegistrySettings), ("transit", TransitSettings), ("pools", PoolSettings)):
            if not isinstance(getattr(self, name), kind):
                raise BrokerOptionsError(f"{name} is a {kind.__name__}, not {getattr(self, name)!r}", {"setting": name})
        for name in ("metadata", "config"):
            if not isinstance(getattr(self, name), Mapping):
                raise BrokerOptionsError(f"{name} is a dict, not {getattr(self, name)!r:.80}", {"setting": name})
        if not isinstance(self.middlewares, list | tuple):
            raise BrokerOptionsError(f"middlewares is a list, not {self.middlewares!r}", {"setting": "middlewares"})
        _at_least(
            "Settings",
            0,
            request_timeout=self.request_timeout,
            max_call_level=self.max_call_level,
            shutdown_timeout=self.shutdown_timeout,
            stall_warning=self.stall_warning,
            dependency_timeout=self.dependency_timeout,
            max_workers=self.max_workers,
            parent_calls_tracked=self.parent_calls_tracked,
        )
        _at_least(
            "Settings", 0.01, heartbeat_interval=self.heartbeat_interval, heartbeat_timeout=self.heartbeat_timeout
        )
        if self.heartbeat_timeout <= self.heartbeat_interval:
            raise BrokerOptionsError(
                f"heartbeat_timeout ({self.heartbeat_timeout:g} s) must be over heartbeat_interval "
                f"({self.heartbeat_interval:g} s), or every node looks dead between two beats"
            )

    @classmethod
    def moleculer(cls, **values: Any) -> Settings:
        """Settings with Node's defaults where ours leave them (reliability reference, section 7)."""
        node = {"request_timeout": 0.0, "max_call_level": 0, "heartbeat_interval": 10.0}
        return cls(**{**node, "transit": TransitSettings(offline_wait=0.0), **values})
