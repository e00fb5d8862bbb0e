"""`@timer` and `@cron`: methods that the node's clock calls.

Marks over `@action`: such a method is an action of its node, with all that goes with one, and a rule that says when it is
asked for (architecture, "cron").
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final, TypeVar, get_args

from tautomer.decorators import ActionMark, add_mark, where_of
from tautomer.definitions import OncePer, Overlap, TimerRule, Where, is_seconds
from tautomer.errors import ServiceSchemaError

__all__ = ["cron", "timer"]

M = TypeVar("M", bound=Callable[..., Any])

# Options of `@action`, or of nameko's marks, which would mean something else here, or nothing.
_NOT_TAKEN: Final = {
    "cache": "what is answered by a cache is not done",
    "concurrency": "use overlap='wait' or 'skip'; two runs of one timer at a time there are never",
    "params": "nobody gives it any",
    "rest": "nobody asks for it from outside; put @action on a method that calls this one",
    "tz": "it is called 'timezone'",
    "visibility": "other nodes cannot ask for it",
}


def timer(
    interval: float,
    eager: bool = False,
    *,
    name: str | None = None,
    once_per: OncePer = "node",
    overlap: Overlap = "wait",
    blocking: bool | None = None,
    timeout: float | None = None,
    **extra: Any,
) -> Callable[[M], M]:
    """Mark a method as one that is called every so many seconds, while its node runs.

    The first time is one interval after the start, the others are multiples of it, whatever a run takes: nothing drifts.
    A method never runs twice at once, and an error in it is logged and ends nothing. It takes nothing, or the context;
    ``ctx.params`` is ``{"at": seconds since 1970, "missed": 0}``: the time for which it is called, and how many before that
    went by without a run. A `def` runs in a thread, an `async def` on the event loop.

    Args:
        interval: Seconds, over 0.
        eager: Whether it is called at the start, too.
        name: Name of the action, if it is not the method's.
        once_per: ``"node"``: each node that has the service calls it. ``"mesh"``: of all that have it, one does, at
            multiples of the interval since 1970; another takes over where that leaves. While nodes come, go or do not
            see each other, a time may be missed, or come twice.
        overlap: A time that comes while it still runs has to ``"wait"`` (several are one), or is left out: ``"skip"``.
        blocking: Whether it runs in a thread, where that is not as above.
        timeout: Seconds that it may take.
        extra: As for `@action`: ``bulkhead``, ``circuit_breaker``, ``process`` …

    Raises:
        ServiceSchemaError: One of these cannot be so.
        TypeError: It stands without brackets.
    """
    if callable(interval):
        raise TypeError("@timer needs an interval: @timer(interval=5)")
    if not is_seconds(interval) or not interval > 0:
        raise ServiceSchemaError(f"the interval of @timer is a number of seconds over 0, not {interval!r:.80}")
    if not isinstance(eager, bool):
        raise ServiceSchemaError(f"eager of @timer is True or False, not {eager!r:.80}")
    if eager and once_per == "mesh":
        raise ServiceSchemaError(
            "@timer(eager=True) is for what each node does at its start; once_per='mesh' goes by the clock that all share"
        )
    _check("@timer", once_per, overlap)
    rule = TimerRule(every=float(interval), eager=eager, once_per=once_per, overlap=overlap)
    return _marking("@timer", rule, name, blocking, timeout, extra)


def cron(
    expression: str,
    timezone: str = "UTC",
    *,
    name: str | None = None,
    once_per: OncePer = "node",
    overlap: Overlap = "wait",
    blocking: bool | None = None,
    timeout: float | None = None,
    **extra: Any,
) -> Callable[[M], M]:
    """Mark a method as one that is called at the times of a cron expression.

    Fields are minute, hour, day of month, month and day of week: ``*``, numbers, ranges (``1-5``), steps (``*/15``), lists
    with commas, names (``jan``, ``mon-fri``), and ``L``, ``LW``, ``fri#1``, ``5L`` for days; or one of ``@yearly``, ``@monthly``, ``@weekly``, ``@daily``, ``@hourly``. Where
    both kinds of days are restricted, a day of either is meant. What happens where clocks are set: see `Cron`.

    Args:
        expression: Such as ``"*/5 * * * *"``.
        timezone: Of the expression; a name such as ``Europe/Berlin``.
        name: As for `timer`, and so are all others.

    Raises:
        ServiceSchemaError: The expression is none, or can never be due; or as `timer`.
        BrokerOptionsError: cronsim is not installed (extra ``cron``).
        TypeError: It stands without brackets.
    """
    if callable(expression):
        raise TypeError("@cron needs an expression: @cron('*/5 * * * *')")
    _check("@cron", once_per, overlap)
    from tautomer.schedules.cron import Cron  # Takes cronsim, and zones: for those only who use them.

    rule = TimerRule(cron=Cron(expression, timezone), once_per=once_per, overlap=overlap)
    return _marking("@cron", rule, name, blocking, timeout, extra)


def _check(mark: str, once_per: object, overlap: object) -> None:
    for option, given, known in (("once_per", once_per, get_args(OncePer)), ("overlap", overlap, get_args(Overlap))):
        if given not in known:
            raise ServiceSchemaError(f"{option} of {mark} is '{known[0]}' or '{known[1]}', not {given!r:.80}")


def _marking(
    mark: str, rule: TimerRule, name: str | None, blocking: bool | None, timeout: float | None, extra: dict[str, Any]
) -> Callable[[M], M]:
    where = where_of(mark, blocking, extra.pop("process", None))
    if timeout is not None and not is_seconds(timeout):
        raise ServiceSchemaError(f"timeout of {mark} is a number of seconds, not {timeout!r:.80}")
    if not isinstance(name, str | None):
        raise ServiceSchemaError(f"the name of {mark} is a text, not {name!r:.80}")
    for option, why in _NOT_TAKEN.items():
        if option in extra:
            raise ServiceSchemaError(f"{mark} takes no '{option}': {why}")

    def add(function: M) -> M:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ServiceSchemaError(
                f"{function.__qualname__}: {mark} calls what does something; nobody reads what it yields"
            )
        usual: Where = "loop" if inspect.iscoroutinefunction(function) else "thread"
        # No other node may ask for it. It is announced all the same: those that share it are to know of each other.
        return add_mark(
            function,
            ActionMark(
                name=name, visibility="protected", timeout=timeout, where=where or usual, timer=rule, extra=extra
            ),
        )

    return add
