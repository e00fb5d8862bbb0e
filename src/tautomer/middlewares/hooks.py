"""Hooks of actions: before, after, and where they fail (Moleculer protocol section 6.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, Final

from tautomer.context import Context
from tautomer.errors import ServiceSchemaError
from tautomer.middleware import Middleware
from tautomer.ports import Handler
from tautomer.registry.endpoints import Endpoint
from tautomer.registry.matching import matcher
from tautomer.settings import nearest

Hook = Callable[..., Any]

KINDS: Final = ("before", "after", "error")


@dataclass(frozen=True, slots=True)
class _Hooks:
    """The hooks of one action, in the order in which they run."""

    before: tuple[Hook, ...]
    after: tuple[Hook, ...]
    error: tuple[Hook, ...]


class ActionHooks(Middleware):
    """Runs the hooks that a service, its mixins and the action itself have.

    Before: those for all actions, then those for some, then the action's own; a mixin's before the service's. After and
    error: the other way round. What an error hook returns takes the place of the error, and no further one is asked.
    """

    def local_action(self, next_handler: Handler, endpoint: Endpoint) -> Handler:
        hooks = _gathered(endpoint)
        if hooks is None:
            return next_handler

        async def hooked(ctx: Context[Any]) -> Any:
            try:
                for hook in hooks.before:
                    told = hook(ctx)
                    if isawaitable(told):
                        await told
                result = await next_handler(ctx)
                for hook in hooks.after:
                    result = hook(ctx, result)
                    if isawaitable(result):
                        result = await result
            except Exception as error:
                return await _instead(hooks.error, ctx, error)
            return result

        return hooked


async def _instead(hooks: tuple[Hook, ...], ctx: Context[Any], error: Exception) -> Any:
    """What the first error hook that does not raise makes of an error; else what the last one raised."""
    for hook in hooks:
        try:
            made = hook(ctx, error)
            return await made if isawaitable(made) else made
        except Exception as other:
            error = other
    raise error


def _gathered(endpoint: Endpoint) -> _Hooks | None:
    """The hooks of an action, or None if it has none.

    Raises:
        ServiceSchemaError: One is written wrong.
    """
    definition = endpoint.definition
    service = getattr(definition and definition.method, "__self__", None)
    if definition is None or service is None:
        return None
    of_service = service.action_hooks()
    own = definition.extra.get("hooks") or {}
    if not of_service and not own:
        return None
    where = f"hooks of '{endpoint.name}'"
    for one in (*of_service, own):
        _check(one, where)
    found: dict[str, tuple[Hook, ...]] = {}
    for kind in KINDS:
        for_all, for_some = [], []
        for said in of_service if kind == "before" else reversed(of_service):
            for selector, hooks in (said.get(kind) or {}).items():
                if selector == "*":
                    for_all += [*_functions(hooks, service, where)]
                elif any(matcher(one.strip())(definition.name) for one in str(selector).split("|")):
                    for_some += [*_functions(hooks, service, where)]
        of_action = [*_functions(own.get(kind), service, where)]
        in_order = (for_all, for_some, of_action) if kind == "before" else (of_action, for_some, for_all)
        found[kind] = tuple(hook for part in in_order for hook in part)
    return _Hooks(**found) if any(found.values()) else None


def _check(said: object, where: str) -> None:
    if not isinstance(said, Mapping):
        raise ServiceSchemaError(f"{where} are a mapping of before, after, error, not {said!r:.80}")
    for kind in said:
        if kind not in KINDS:
            raise ServiceSchemaError(f"{where}: '{kind}' is none of them{nearest(str(kind), KINDS)}")


def _functions(hooks: object, service: object, where: str) -> Iterator[Hook]:
    for hook in hooks if isinstance(hooks, list | tuple) else () if hooks is None else (hooks,):
        found = getattr(service, hook, hook) if isinstance(hook, str) else hook
        if not callable(found):
            raise ServiceSchemaError(f"{where}: a hook is a function, or the name of a method, not {hook!r:.80}")
        yield found
