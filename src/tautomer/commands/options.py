"""CommandOptions: what a command class says of itself, as one record (resilience reference, sections 2, 4 and 6)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from math import inf, isfinite
from typing import Any, Final, Literal, TypeAlias

from tautomer.errors import BrokerOptionsError
from tautomer.resilience.circuit import Circuit, CircuitOptions
from tautomer.settings import nearest, record

__all__ = ["CircuitSettings", "CommandOptions", "Hedge", "Isolation", "PoolOptions", "Retry", "options_from", "said_by"]

Isolation: TypeAlias = Literal["auto", "thread", "loop"]
ISOLATIONS: Final = ("auto", "thread", "loop")


@record
class Retry:
    """How often a command is run again, within its one deadline.

    Attributes:
        retries: How many times.
        delay: Seconds before the first.
        max_delay: Longest pause.
        factor: By which each pause is longer than the one before.
        jitter: Part of each pause that is left to chance, from 0 to 1.
        attempt_timeout: Seconds that one attempt may take; None: all that is left.
        check: Says of an error whether to try again; None: it says so itself (`retryable`), or it is a
            `ConnectionError` or a `TimeoutError`. A full pool and an open circuit are never tried again.
        budget: Other attempts for each execution of this command, all together.
        budget_per_second: Attempts a second that there are in any case.
    """

    retries: int = 2
    delay: float = 0.1
    max_delay: float = 1.0
    factor: float = 2.0
    jitter: float = 1.0
    attempt_timeout: float | None = None
    check: Callable[[BaseException], bool] | None = None
    budget: float = 0.2
    budget_per_second: float = 3.0

    def __post_init__(self) -> None:
        _whole("retry: retries", self.retries, 0)
        _seconds("retry.attempt_timeout", self.attempt_timeout, may_be_none=True)


@record
class Hedge:
    """A second attempt before the first has ended: only for what may run twice, and for a `run` that may do so at once.

    Attributes:
        delay: Seconds without an answer, or a percentile of the last minute such as ``"p95"``. 0: at once.
        extra: How many attempts there may be beside the first.
        budget: Other attempts for each execution of this command, all together; that of `Retry` counts where there is one.
        budget_per_second: Attempts a second that there are in any case.
    """

    delay: float | str = "p95"
    extra: int = 1
    budget: float = 0.2
    budget_per_second: float = 3.0

    def __post_init__(self) -> None:
        _whole("hedge: extra", self.extra, 1)
        delay: object = self.delay
        if isinstance(delay, str):
            if not self.percent:
                raise BrokerOptionsError(f"hedge: delay is a number of seconds or such as 'p95', not {delay!r}")
        elif isinstance(delay, bool) or not isinstance(delay, int | float) or not delay >= 0:
            raise BrokerOptionsError(f"hedge: delay is 0 seconds or more, not {delay!r}")

    @property
    def percent(self) -> float | None:
        """The percentile that is meant, or None."""
        found = re.fullmatch(r"p(\d{1,2}(?:\.\d+)?)", self.delay) if isinstance(self.delay, str) else None
        return None if found is None else float(found[1])


@record
class CircuitSettings:
    """The circuit of a command: when it opens, and whether somebody holds it open or closed by hand."""

    options: CircuitOptions
    forced: Circuit | None = None


@record
class CommandOptions:
    """What holds for all executions of one command key.

    Attributes:
        group_key: Label in metrics; names the pool unless `pool` does.
        pool: Name of the pool, if it is not the group's.
        timeout_seconds: Seconds for all of it, waiting included; None for no limit.
        timeout_enabled: False for no limit.
        isolation: ``"thread"`` for a `def run`, ``"loop"`` for an `async def run`; ``"auto"`` chooses so.
        circuit_breaker: None: it has none.
        retry: None: it is run once.
        hedge: None: nothing is begun twice.
        ignore: Exceptions that are the caller's fault: raised as they are, without fallback, and no failure.
        failure: Says of a result whether it is one, which counts and has the fallback asked; a method, or a function.
        replace: Says of such a result whether the fallback's is to take its place; None: always. Without a fallback it
            is the answer.
        fallback_enabled: Whether a fallback is asked.
        fallback_limit: How many fallbacks of this key may run at once.
        fallback_timeout: Seconds that one may take.
        request_cache_enabled: Whether `cache_key` is asked.
    """

    group_key: str = "default"
    pool: str | None = None
    timeout_seconds: float | None = 1.0
    timeout_enabled: bool = True
    isolation: Isolation = "auto"
    circuit_breaker: CircuitSettings | None = None
    retry: Retry | None = None
    hedge: Hedge | None = None
    ignore: tuple[type[BaseException], ...] = ()
    failure: Callable[..., Any] | None = None
    replace: Callable[..., Any] | None = None
    fallback_enabled: bool = True
    fallback_limit: int = 10
    fallback_timeout: float = 1.0
    request_cache_enabled: bool = True

    @property
    def pool_key(self) -> str:
        return self.group_key if self.pool is None else self.pool

    @property
    def seconds(self) -> float:
        """Seconds for all of it; infinite for no limit."""
        return inf if self.timeout_seconds is None or not self.timeout_enabled else self.timeout_seconds


@record
class PoolOptions:
    """A pool of one group.

    Attributes:
        group_key: Name of the group.
        max_workers: How many run at once.
        max_queue: How many wait; as many as run if not given.
        isolation: Where its commands run; ``"auto"``: as each of them is written.
    """

    group_key: str
    max_workers: int = 10
    max_queue: int | None = None
    isolation: Isolation = "auto"

    def __post_init__(self) -> None:
        _text("executor_pool: group_key", self.group_key)
        _whole("executor_pool: max_workers", self.max_workers, 1)
        if self.max_queue is not None:
            _whole("executor_pool: max_queue", self.max_queue, 0)
        _isolation("executor_pool", self.isolation)

    @property
    def queue_max(self) -> int:
        return self.max_workers if self.max_queue is None else self.max_queue


_CIRCUIT_DEFAULTS: Final = {"window": 10.0, "buckets": 10, "min_count": 20, "threshold": 0.5, "sleep": 5.0}
"""Hystrix's; the broker's circuits have their own."""

_CIRCUIT_NAMES: Final[Mapping[str, tuple[str, float]]] = {
    **{one.name: (one.name, 1) for one in dataclasses.fields(CircuitOptions)},
    # Hystrix's names.
    "request_volume_threshold": ("min_count", 1),
    "error_threshold_percentage": ("threshold", 100),
    "sleep_window": ("sleep", 1),
    "sleep_window_max": ("sleep_max", 1),
    "sleep_window_factor": ("sleep_factor", 1),
    "half_open_calls": ("trials", 1),
    "slow_call_rate": ("slow_threshold", 100),
    # The broker's.
    "window_time": ("window", 1),
    "min_request_count": ("min_count", 1),
    "half_open_time": ("sleep", 1),
}
"""What may be written, what it is called here, and by what it is divided."""

_FORCED: Final = {
    "force_open": Circuit.FORCED_OPEN,
    "force_closed": Circuit.FORCED_CLOSED,
    "metrics_only": Circuit.METRICS_ONLY,
}

NAMES: Final = ("command_key", *(one.name for one in dataclasses.fields(CommandOptions)))
"""What a class, its ``__command_args__``, `Component.configure` and the defaults may say."""


def said_by(cls: type, base: type) -> dict[str, Any]:
    """What a class and those it inherits from say, the nearest last; an attribute counts before ``__command_args__``.

    Raises:
        BrokerOptionsError: ``__command_args__`` is no mapping, or names an option that there is not.
    """
    said: dict[str, Any] = {}
    for one in reversed(cls.__mro__):
        if one is base or one is object:
            continue
        own = vars(one)
        arguments = own.get("__command_args__")
        if arguments is not None:
            if not isinstance(arguments, Mapping):
                raise BrokerOptionsError(f"__command_args__ of {one.__qualname__} is a dict, not {arguments!r:.80}")
            check_names(arguments, f"__command_args__ of {one.__qualname__}")
            said.update(arguments)
        said.update({name: own[name] for name in NAMES if name in own})
    return said


def check_names(given: Mapping[str, Any], where: str) -> None:
    """Refuse options that there are not, with the nearest that there is."""
    for name in given:
        if name not in NAMES:
            raise BrokerOptionsError(f"{where}: there is no option {name!r}{nearest(str(name), NAMES)}")


def options_from(said: Mapping[str, Any], circuit: Mapping[str, Any], where: str) -> CommandOptions:
    """One record out of what was said.

    Args:
        said: By name, as in `NAMES`; ``command_key`` is passed over.
        circuit: Options of all circuits (`circuit_breaker_options`), on top of which a command says its own.
        where: Begins the text of an error.

    Raises:
        BrokerOptionsError: Something makes no sense.
    """
    values = {name: value for name, value in said.items() if name != "command_key"}
    values["circuit_breaker"] = _circuit(values.get("circuit_breaker", True), circuit, where)
    values["retry"] = _retry(values.get("retry"), where)
    values["hedge"] = _hedge(values.get("hedge"), where)
    values["ignore"] = _ignore(values.get("ignore", ()), where)
    for name in ("failure", "replace"):
        if isinstance(judge := values.get(name), staticmethod):
            values[name] = judge.__func__
    made = CommandOptions(**values)
    _check(made, where)
    return made


def _check(made: CommandOptions, where: str) -> None:
    _text(f"{where}: group_key", made.group_key)
    if made.pool is not None:
        _text(f"{where}: pool", made.pool)
    _seconds(f"{where}: timeout_seconds", made.timeout_seconds, may_be_none=True)
    _seconds(f"{where}: fallback_timeout", made.fallback_timeout)
    _whole(f"{where}: fallback_limit", made.fallback_limit, 1)
    _isolation(where, made.isolation)
    for name in ("failure", "replace"):
        judge = getattr(made, name)
        if judge is not None and not callable(judge):
            raise BrokerOptionsError(f"{where}: {name} is a function of the result, not {judge!r:.80}")


def _circuit(own: object, usual: Mapping[str, Any], where: str) -> CircuitSettings | None:
    if own is False or own is None:
        return None
    if isinstance(own, CircuitSettings):
        return own
    if isinstance(own, CircuitOptions):
        return CircuitSettings(options=own)
    if own is True:
        own = {}
    if not isinstance(own, Mapping):
        raise BrokerOptionsError(f"{where}: circuit_breaker is true, false or a mapping, not {own!r:.80}")
    values: dict[str, Any] = dict(_CIRCUIT_DEFAULTS)
    forced: Circuit | None = None
    for name, value in {**usual, **own}.items():
        if name == "enabled":
            if not value:
                return None
        elif name in _FORCED:
            forced = _FORCED[name] if value else forced
        elif name in _CIRCUIT_NAMES:
            known_as, unit = _CIRCUIT_NAMES[name]
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise BrokerOptionsError(f"{where}: circuit_breaker.{name} is a number, not {value!r}")
            values[known_as] = value if value is None or unit == 1 else value / unit
        else:
            hint = nearest(str(name), [*_CIRCUIT_NAMES, *_FORCED, "enabled"])
            raise BrokerOptionsError(f"{where}: circuit_breaker has no option {name!r}{hint}")
    try:
        return CircuitSettings(options=CircuitOptions(**values), forced=forced)
    except BrokerOptionsError as error:
        raise BrokerOptionsError(f"{where}: {error.message}") from error


def _retry(own: object, where: str) -> Retry | None:
    if own is None or own is False:
        return None
    if isinstance(own, Retry):
        return own
    if own is True:
        return Retry()
    if isinstance(own, int):
        return Retry(retries=own)
    if isinstance(own, Mapping):
        try:
            return Retry(**own)
        except BrokerOptionsError as error:
            raise BrokerOptionsError(f"{where}: retry: {error.message}") from error
    raise BrokerOptionsError(f"{where}: retry is a `Retry`, a mapping or a number, not {own!r:.80}")


def _hedge(own: object, where: str) -> Hedge | None:
    if own is None or own is False:
        return None
    if isinstance(own, Hedge):
        return own
    if own is True:
        return Hedge()
    try:
        return Hedge(**own) if isinstance(own, Mapping) else Hedge(delay=own)  # type: ignore[arg-type]  # It looks.
    except BrokerOptionsError as error:
        raise BrokerOptionsError(f"{where}: {error.message}") from error


def _ignore(own: object, where: str) -> tuple[type[BaseException], ...]:
    kinds = (own,) if isinstance(own, type) else own
    if isinstance(kinds, tuple | list) and all(isinstance(k, type) and issubclass(k, BaseException) for k in kinds):
        return tuple(kinds)
    raise BrokerOptionsError(f"{where}: ignore is a list of exception classes, not {own!r:.80}")


def _isolation(where: str, value: object) -> None:
    if value not in ISOLATIONS:
        raise BrokerOptionsError(f"{where}: isolation is 'auto', 'thread' or 'loop', not {value!r}")


def _text(what: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise BrokerOptionsError(f"{what} is a text, not {value!r}")


def _whole(what: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BrokerOptionsError(f"{what} is a whole number of at least {least}, not {value!r}")


def _seconds(what: str, value: object, *, may_be_none: bool = False) -> None:
    if value is None and may_be_none:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0 or not isfinite(value):
        none = " (None for no limit)" if may_be_none else ""
        raise BrokerOptionsError(f"{what} is a number of seconds over 0{none}, not {value!r}")
