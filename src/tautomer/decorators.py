"""`@action` and `@event`: marks only. A marked method stays an ordinary method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, overload

import msgspec

from tautomer.definitions import VISIBILITIES, Binder, TimerRule, Visibility, Where, is_seconds
from tautomer.errors import ServiceSchemaError

M = TypeVar("M", bound=Callable[..., Any])

MARKS: Final = "__tautomer_marks__"
"""The attribute of a function that holds its marks."""


class ActionMark(msgspec.Struct, frozen=True, kw_only=True):
    """What `@action` was told. See `ActionDef` for the meaning of each."""

    name: str | None = None
    params: Any = None
    visibility: Visibility | None = None
    timeout: float | None = None
    rest: Any = None
    where: Where | None = None
    binder: Binder | None = None
    timer: TimerRule | None = None
    extra: dict[str, Any] = msgspec.field(default_factory=dict)


class EventMark(msgspec.Struct, frozen=True, kw_only=True):
    """What `@event` was told. See `EventDef`."""

    name: str | None = None
    group: str | None = None
    params: Any = None
    throttle: float | None = None
    debounce: float | None = None
    where: Where | None = None
    extra: dict[str, Any] = msgspec.field(default_factory=dict)


Mark = ActionMark | EventMark


def marks_of(function: object) -> Sequence[Mark]:
    """The marks of a function, in the order in which they are written."""
    return getattr(function, MARKS, ())


def add_mark(function: M, mark: Mark) -> M:
    """Put one more mark on a function."""
    # Decorators run from the bottom up; the reading order is the other way round.
    setattr(function, MARKS, (mark, *marks_of(function)))
    return function


@overload
def action(function: M, /) -> M: ...
@overload
def action(
    name: str | None = None,
    /,
    *,
    params: Any = None,
    visibility: Visibility | None = None,
    timeout: float | None = None,
    rest: Any = None,
    blocking: bool | None = None,
    process: bool | None = None,
    **extra: Any,
) -> Callable[[M], M]: ...
def action(
    function: Any = None,
    /,
    *,
    params: Any = None,
    visibility: Visibility | None = None,
    timeout: float | None = None,
    rest: Any = None,
    blocking: bool | None = None,
    process: bool | None = None,
    **extra: Any,
) -> Any:
    """Mark a method as an action: something that can be asked of the service.

    Works bare (``@action``) and called (``@action(params=["name"])``). The method takes the
    context and may be `def` or `async def`; a `def` runs on the event loop, so it must not block, unless it is marked
    as `blocking` (or as `process`).

    Args:
        name: Name of the action, if it is not the method's; also as ``name=``.
        params: Schema: a list of required names, or rules as Moleculer has them (protocol section 12).
        visibility: ``published`` (if not given), ``public``, ``protected`` or ``private``.
        timeout: Seconds the handler may take.
        rest: How a gateway reaches it: ``"GET /:id"``, or a dict, or several in a list.
        blocking: The method, a plain `def`, waits for something without `await`: it runs in a thread of the node's
            pool (`Settings.pools`). There ``ctx.call(...)`` blocks and gives the result.
        process: The method, a plain `def`, computes for long: it runs in a process of the node's pool. Its service is
            made anew there, and what goes there and back is pickled.
        extra: Anything else travels to the other nodes with the action, as in Node. ``strategy="Shard"`` and
            ``strategy_options={"shard_key": "user.id"}`` choose among the nodes that offer it (`tautomer.balancing`).

    Raises:
        ServiceSchemaError: The visibility is not one of the four, the timeout not a number of seconds, or `blocking`
            or `process` not True or False.
    """
    if callable(function):
        return add_mark(function, ActionMark())
    name = _named("action", extra.pop("name", None) or function)
    if visibility is not None and visibility not in VISIBILITIES:
        raise ServiceSchemaError(f"action visibility is one of {', '.join(VISIBILITIES)}, not {visibility!r}")
    if timeout is not None and not is_seconds(timeout):
        raise ServiceSchemaError(f"action timeout is a number of seconds, not {timeout!r}")
    where = where_of("an action", blocking, process)
    mark = ActionMark(
        name=name, params=params, visibility=visibility, timeout=timeout, rest=rest, where=where, extra=extra
    )
    return lambda marked: add_mark(marked, mark)


@overload
def event(function: M, /) -> M: ...
@overload
def event(
    pattern: str | None = None,
    /,
    *,
    name: str | None = None,
    group: str | None = None,
    params: Any = None,
    throttle: float | None = None,
    debounce: float | None = None,
    blocking: bool | None = None,
    process: bool | None = None,
    **extra: Any,
) -> Callable[[M], M]: ...
def event(
    pattern: Any = None,
    /,
    *,
    name: str | None = None,
    group: str | None = None,
    params: Any = None,
    throttle: float | None = None,
    debounce: float | None = None,
    blocking: bool | None = None,
    process: bool | None = None,
    **extra: Any,
) -> Any:
    """Mark a method as a listener. Bare, it hears the event of the method's own name.

    Args:
        pattern: Name of the event, or a pattern: ``*`` within a segment, ``**`` across segments, ``?``.
        name: The same, by keyword.
        group: Of each group, one member hears an emitted event. The service's name if not given.
        params: Schema of the payload.
        throttle: Seconds after an event in which it hears no other one. 0: it hears all.
        debounce: Seconds of silence after which it hears the last event that came. 0: it hears all.
        blocking: As for an action; it waits for a thread as long as it takes.
        process: As for an action; it waits for a process as long as it takes.
        extra: Anything else travels to the other nodes with the subscription; ``strategy`` and ``strategy_options``
            as for an action.

    Raises:
        ServiceSchemaError: The name is no text, `throttle` or `debounce` no number of seconds, or `blocking` or
            `process` not True or False.
    """
    if callable(pattern):
        return add_mark(pattern, EventMark())
    for option, seconds in (("throttle", throttle), ("debounce", debounce)):
        if seconds is not None and not is_seconds(seconds):
            raise ServiceSchemaError(f"event {option} is a number of seconds, not {seconds!r}")
    mark = EventMark(
        name=_named("event", name or pattern),
        group=group,
        params=params,
        throttle=throttle,
        debounce=debounce,
        where=where_of("an event", blocking, process),
        extra=extra,
    )
    return lambda marked: add_mark(marked, mark)


def _named(kind: str, name: Any) -> str | None:
    if name is None or isinstance(name, str):
        return name
    raise ServiceSchemaError(f"the name of an {kind} is a text, not {name!r}")


def where_of(kind: str, blocking: object, process: object) -> Where | None:
    """Where a method runs by these options; None where they do not say.

    Args:
        kind: What is marked, for errors: ``an action``.

    Raises:
        ServiceSchemaError: One is neither True, False nor None, or both are True.
    """
    for name, value in (("blocking", blocking), ("process", process)):
        if not isinstance(value, bool | None):
            raise ServiceSchemaError(f"{name} of {kind} is True or False, not {value!r:.80}")
    if blocking and process:
        raise ServiceSchemaError(f"{kind} runs in a thread (blocking=True) or in a process (process=True), not in both")
    if blocking or process:
        return "thread" if blocking else "process"
    return None if blocking is None and process is None else "loop"
