"""Processor: from a message to its answer. Knows no carrier: HTTP and sockets hand it bytes and an `Asker`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from inspect import isawaitable
from typing import Any, Final

from tautomer._tasks import TaskScope
from tautomer.context import Context, RawResult
from tautomer.errors import ValidationError
from tautomer.keywords import REQUEST, named
from tautomer.protocol.jsonrpc import (
    ACCESS_DENIED,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    TIMED_OUT,
    Batch,
    Call,
    Failure,
    Fault,
    Limits,
    Notification,
    Outcome,
    parse,
    reply,
)
from tautomer.stream import is_stream
from tautomer.web.answers.reply import encode_json
from tautomer.web.rpc.failures import expected_failure, failure_of
from tautomer.web.rpc.methods import MethodTable, Target
from tautomer.web.settings.jsonrpc import JsonRpcSettings

__all__ = ["ENDS_CALL", "Asker", "Processor"]

log = logging.getLogger("tautomer.web")

DISCOVER: Final = "rpc.discover"

# By far most results: what they are need not be asked.
_JSON_KINDS: Final = frozenset({dict, list, str, int, float, bool, type(None)})

NOTIFICATIONS_MAX: Final = 1000
"""Notifications that run at once at one endpoint; over it they are dropped, and counted."""

ENDS_CALL: Final = (Exception, SystemExit, KeyboardInterrupt)
"""What ends a call and not the node: in a batch each has a task, and there the last two would end the loop."""

STOP_TIME: Final = 5.0
"""Seconds that notifications may take to end when the gateway stops."""


class Asker:
    """Who sent a message, and what stands for it in the mesh.

    Args:
        ctx: Root of all calls made for the message.
        request: That brought it; by WebSocket the handshake.
        timeout: Seconds for each of them, None for no end.
        permit: Says of a private method who asks for it; falsy or raising refuses. Asked once for each service.
    """

    __slots__ = ("_granted", "_lock", "_permit", "ctx", "request", "timeout")

    def __init__(self, ctx: Context[Any], request: Any, timeout: float | None, permit: Callable[[Target], Any]) -> None:
        self.ctx = ctx
        self.request = request
        self.timeout = timeout
        self._permit = permit
        self._granted: dict[str, Any] = {}
        self._lock: asyncio.Lock | None = None

    async def grants(self, target: Target) -> Any:
        """What says that he may call it, or something falsy. Never raises."""
        # Of two in a batch the second waits for the answer to the first.
        self._lock = self._lock or asyncio.Lock()
        async with self._lock:
            if target.service not in self._granted:
                self._granted[target.service] = await self._ask(target)
            return self._granted[target.service]

    async def _ask(self, target: Target) -> Any:
        try:
            granted = self._permit(target)
            return await granted if isawaitable(granted) else granted
        except Exception:
            log.exception("access refused: the check of a token failed", extra={"action": target.action})
            return False

    def branch(self) -> Context[Any]:
        """A context of its own for one of several, under the same request id."""
        ctx = self.ctx
        broker = ctx.broker
        return Context(
            broker,
            {},
            ctx.endpoint,
            _meta=ctx.copy_meta(),
            deadline=broker.clock() + self.timeout if self.timeout else None,
            _request_id=ctx.request_id,
        )


class Processor:
    """Answers the messages of one endpoint.

    Args:
        discover: Makes the document of ``rpc.discover``; None: there is no such method.

    Attributes:
        limits: Of a message.
        null_errors: As `response` has it.
        is_sequential: Whether what a message holds is run one after the other.
        dropped: Notifications that were dropped, as too many ran.
    """

    def __init__(
        self, settings: JsonRpcSettings, methods: MethodTable, discover: Callable[[], Any] | None = None
    ) -> None:
        self.limits = Limits(batch_max=settings.max_batch)
        self.is_sequential = settings.sequential
        self._concurrency = settings.batch_concurrency
        self._debug = settings.debug
        self.null_errors = settings.null_errors
        self._discover = discover
        self.methods = methods
        self._scope = TaskScope("json-rpc notifications")
        self.dropped = 0

    async def close(self) -> None:
        """Let notifications end."""
        await self._scope.close(STOP_TIME)

    async def answer(self, body: bytes | str, asker: Asker) -> bytes | None:
        """The answer to a message; None where there is nothing to be said.

        A single call runs in the caller's task, whose cancelling ends it; who cancels at a deadline answers for it.
        """
        return await self.run(parse(body, self.limits), asker)

    async def run(self, batch: Batch, asker: Asker, waits: bool = False) -> bytes | None:
        """The answer to what has been read already.

        Args:
            waits: Also for notifications, where they are run one after the other.
        """
        if not batch.many:
            item = batch.items[0]
            if isinstance(item, Call):
                return reply(batch, (await self._run(item, asker, asker.ctx),), self.null_errors)
            if isinstance(item, Fault):
                return reply(batch, ())
        if self.is_sequential:
            in_order = self._run_in_order(batch, asker)
            if waits or any(isinstance(item, Call) for item in batch.items):
                return reply(batch, await in_order, self.null_errors)
            self._accept(in_order)
            return reply(batch, ())
        calls = []
        for item in batch.items:
            if isinstance(item, Notification):
                self.notify(item, asker)
            elif isinstance(item, Call):
                calls.append(item)
        return reply(batch, await self._run_all(calls, asker), self.null_errors)

    async def _run_all(self, calls: list[Call], asker: Asker) -> list[Outcome]:
        """Outcomes in the order of the calls; so many run at once."""
        outcomes: dict[int, Outcome] = {}
        turns: Iterator[tuple[int, Call]] = iter(enumerate(calls))

        async def work() -> None:
            for index, call in turns:
                outcomes[index] = await self._in_time(call, asker)

        await asyncio.gather(*[work() for _ in range(min(self._concurrency, len(calls)))])
        return [outcomes[index] for index in range(len(calls))]

    async def _in_time(self, item: Call | Notification, asker: Asker) -> Outcome:
        try:
            async with asyncio.timeout(asker.timeout or None):
                return await self._run(item, asker, asker.branch())
        except TimeoutError:
            return Failure(TIMED_OUT, data={"timeout": asker.timeout})
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody wants this to end: the method awaited something that was cancelled, and let that out.
            log.error("request failed: cancelled from within", extra={"method": item.method[:100]})
            return Failure(INTERNAL_ERROR, data={"requestID": asker.ctx.request_id})

    async def _run_in_order(self, batch: Batch, asker: Asker) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for item in batch.items:
            if isinstance(item, Call):
                outcomes.append(await self._in_time(item, asker))
            elif isinstance(item, Notification) and (task := self.notify(item, asker)) is not None:
                await asyncio.wait((task,))
        return outcomes

    def notify(self, item: Notification, asker: Asker) -> asyncio.Task[Any] | None:
        """Accept it: it runs on whatever becomes of the one who sent it. None where too many run."""
        return self._accept(self._notified(item, asker))

    def _accept(self, notified: Coroutine[Any, Any, Any]) -> asyncio.Task[Any] | None:
        if len(self._scope) >= NOTIFICATIONS_MAX or self._scope.closed:
            if not self.dropped:
                log.warning("notifications dropped: too many run", extra={"most": NOTIFICATIONS_MAX})
            self.dropped += 1
            notified.close()
            return None
        return self._scope.spawn(notified, "notification")

    async def _notified(self, item: Notification, asker: Asker) -> None:
        outcome = await self._in_time(item, asker)
        if isinstance(outcome, Failure):
            # Nobody is told; an unexpected exception stands in the log already.
            log.debug("notification failed", extra={"method": item.method[:100], "code": outcome.code})

    async def _run(self, item: Call | Notification, asker: Asker, ctx: Context[Any]) -> Outcome:
        target = self.methods.find(item.method)
        if isinstance(target, Failure):
            if item.method == DISCOVER and self._discover is not None:
                return encode_json(self._discover())
            return target
        if target.private:
            user = await asker.grants(target)
            if not user:
                return Failure(ACCESS_DENIED)
            if user is not True:
                ctx.meta["user"] = user
        if not target.bare:
            ctx.locals[REQUEST] = asker.request
        params: Any = item.params
        if type(params) is list:
            if not params and target.order is None:
                params = {}
            elif target.order is None:
                return Failure(INVALID_PARAMS, data={"reason": "use named params: their order is not known"})
            else:
                try:
                    params = named(params, target.order)
                except ValidationError as error:
                    return Failure(INVALID_PARAMS, data={"reason": error.data[0]["message"], "errors": error.data})
        try:
            result = await ctx.broker.call_nested(ctx, target.action, params, {}, not target.local)
        except ENDS_CALL as error:
            return self.failure(error, target, ctx, asker.timeout)
        if type(result) is RawResult:
            return result.data
        return await self.encoded(result, target, ctx)

    def failure(self, error: BaseException, target: Target, ctx: Context[Any], timeout: float | None) -> Failure:
        """What is told of an exception of a method."""
        expected = expected_failure(error, target.entry, target.action)
        return expected or failure_of(error, target.action, ctx.request_id, timeout, self._debug)

    async def encoded(self, result: Any, target: Target, ctx: Context[Any]) -> Outcome:
        """The result as JSON. What has no form there is a fault of the method."""
        try:
            if type(result) in _JSON_KINDS:
                return encode_json(result)
            if isinstance(result, bytes | bytearray | memoryview):
                raise TypeError("bytes have no form in JSON")
            if is_stream(result):
                await result.aclose()
                raise TypeError("a stream has no form in JSON-RPC")
            return encode_json(result)
        except Exception as error:  # A user's class may raise anything while it is looked at.
            log.error(
                "result cannot be sent",
                extra={"action": target.action, "reason": f"{type(error).__name__}: {error}"[:200]},
            )
            return Failure(INTERNAL_ERROR, data={"requestID": ctx.request_id})
