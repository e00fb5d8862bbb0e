"""The call ring: around the choice of an endpoint stand other attempts, and the fallback of the call (architecture §6)."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from typing import Any, Final, TypeAlias

from tautomer.context import CallOptions
from tautomer.errors import MoleculerError
from tautomer.hedging import Hedging
from tautomer.host import Host
from tautomer.registry.endpoints import Endpoint, EndpointList
from tautomer.resilience.retry import Backoff, RetryBudget, is_repeated, marked
from tautomer.settings import RetrySettings, chosen

log = logging.getLogger("tautomer.retries")

Once: TypeAlias = Callable[[str, Any, CallOptions], Awaitable[Any]]

WARNING_PAUSE: Final = 10.0
"""Seconds between two warnings that a budget is used up."""

_NO_FALLBACK: Final = object()


async def fall_back(fallback: Any, parent: Any, error: Exception, action: str) -> Any:
    """The result that the caller wants in the place of an error: `fallback_response`, or what it makes of the error."""
    log.debug("fallback of a call", extra={"action": action, "reason": str(error)[:200]})
    made = fallback(parent, error) if callable(fallback) else fallback
    return await made if inspect.isawaitable(made) else made


class Retrying:
    """Makes calls again that failed, and gives fallbacks, where somebody asked for it.

    Args:
        once: Makes one attempt: chooses an endpoint, and asks it.
        hedging: Makes one that may ask several.
        always: Whether every call of the node is to come by here, whatever the settings of the retries say.

    Attributes:
        always: As above.
        attempts: Attempts beside the first that were made so far.
        exhausted: How often there was none because the budget was used up.
    """

    def __init__(
        self,
        settings: RetrySettings,
        host: Host,
        actions: Mapping[str, EndpointList],
        once: Once,
        hedging: Hedging,
        always: bool,
    ) -> None:
        self._settings = settings
        self._host = host
        self._actions = actions
        self._once = once
        self._budgets: dict[str, RetryBudget] = {}
        self._hedging = hedging
        self.always = settings.enabled or always
        self.attempts = self.exhausted = 0
        self._warns_again = -inf

    def concerns(self, action: str, options: CallOptions) -> bool:
        """Whether a call may need more than one attempt, or has a fallback."""
        if self.always or "retries" in options or "fallback_response" in options or "hedge" in options:
            return True
        known = self._actions.get(action)
        return known is not None and known.repeated

    async def call(self, action: str, params: Any, options: CallOptions) -> Any:
        """As often as it takes, and may. Raises what the last attempt raised."""
        retries = options.pop("retries", None)
        fallback = options.pop("fallback_response", _NO_FALLBACK)
        try:
            return await self._repeated(action, params, options, retries)
        except Exception as error:
            if fallback is _NO_FALLBACK:
                raise
            return await fall_back(fallback, options.get("parent"), error, action)

    async def _repeated(self, action: str, params: Any, options: CallOptions, retries: int | None) -> Any:
        policy, asked, idempotent = self._policy(action, retries)
        parent = options.get("parent")
        retries, hedge = policy.retries if policy.enabled else 0, None
        if options.get("stream") is not None or (parent is not None and is_repeated(parent._headers)):
            retries = 0
        else:
            hedge = self._hedging.policy(action, options)
        if not retries and hedge is None:
            return await self._once(action, params, options)
        clock = self._host.clock
        budget = self._budget(action, policy)
        backoff = Backoff(delay=policy.delay, factor=policy.factor, max_delay=policy.max_delay, jitter=policy.jitter)
        budget.called(clock())
        attempt = 0
        while True:
            begun = clock()
            try:
                if hedge is None:
                    return await self._once(action, params, marked(options, attempt))
                return await self._hedging.call(action, params, marked(options, attempt), hedge, budget)
            except Exception as error:
                attempt += 1
                now = clock()
                if attempt > retries or not self._worth_it(action, error, policy, asked or idempotent):
                    raise
                pause = max(backoff.pause(attempt, self._host.random.random()), _asked_to_wait(error))
                if parent is not None and parent.deadline is not None and now + pause + (now - begun) > parent.deadline:
                    raise  # There is less time left than the last attempt took.
                if not budget.spend(now):
                    self._warn(action, now)
                    raise
                self.attempts += 1
                log.info("trying again", extra={"action": action, "attempt": attempt, "pause": round(pause, 3)})
            await asyncio.sleep(pause)

    def _policy(self, action: str, retries: int | None) -> tuple[RetrySettings, bool, bool]:
        """The policy of a call; whether the call or the action itself asked for it; whether running twice does no harm."""
        known = self._actions.get(action)
        endpoint = None if known is None else next(iter(known.all), None)
        own = None if endpoint is None else _own(endpoint)
        policy = chosen(self._settings, own, f"retry_policy of '{action}'")
        idempotent = endpoint is not None and endpoint.entry.get("idempotent") is True
        if retries is not None:
            policy = chosen(policy, {"retries": retries}, "retries")
        return policy, own is not None or retries is not None, idempotent

    def _worth_it(self, action: str, error: Exception, policy: RetrySettings, may_run_twice: bool) -> bool:
        if policy.check is not None:
            return bool(policy.check(error))
        if not isinstance(error, MoleculerError) or not error.retryable:
            return False
        if may_run_twice or error.outcome != "not run":
            return may_run_twice
        # It may be about a call inside this one, which then did run. From another node no such error comes as "not run".
        about = getattr(error, "action", None)
        known = self._actions.get(action)
        return about == action if about is not None else known is None or known.local is None

    def _warn(self, action: str, now: float) -> None:
        self.exhausted += 1
        if now >= self._warns_again:  # It comes for each of very many calls.
            self._warns_again = now + WARNING_PAUSE
            log.warning(
                "no further attempt: the retry budget is used up", extra={"action": action, "count": self.exhausted}
            )

    def _budget(self, action: str, policy: RetrySettings) -> RetryBudget:
        budget = self._budgets.get(action)
        if budget is None:
            if len(self._budgets) > 2 * len(self._actions) + 100:
                self._budgets.clear()  # Of actions that are long gone.
            budget = self._budgets[action] = RetryBudget(policy.budget, policy.budget_per_second)
        return budget


def _asked_to_wait(error: Exception) -> float:
    """Seconds that whoever refused asks to be left alone; 0 if it did not say."""
    data = getattr(error, "data", None)
    wanted = data.get("retryAfter") if isinstance(data, Mapping) else None
    return float(wanted) if isinstance(wanted, int | float) and 0 < wanted < 60 else 0.0


def _own(endpoint: Endpoint) -> object:
    """What an action says of its being repeated: as marked here, or as another node announced it."""
    if endpoint.definition is not None:
        return endpoint.definition.extra.get("retry_policy")
    told = endpoint.entry.get("retryPolicy")
    if not isinstance(told, Mapping):
        return None
    read: dict[str, Any] = {}
    for name, (known_as, unit) in _WIRE.items():
        value = told.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            read[known_as] = value * unit
    if isinstance(told.get("enabled"), bool):
        read["enabled"] = told["enabled"]
    return read or None


_WIRE: Final[Mapping[str, tuple[str, float]]] = {
    "retries": ("retries", 1),
    "delay": ("delay", 0.001),
    "maxDelay": ("max_delay", 0.001),
    "factor": ("factor", 1),
}
