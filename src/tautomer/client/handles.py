"""Handles of calls that run beside the caller's thread, as gemstone's clients give them (JSON-RPC reference, section 8)."""

from __future__ import annotations

import concurrent.futures
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

from tautomer.client.failures import called_service_error
from tautomer.client.messages import MethodCall, Result

__all__ = ["AsyncCall", "AsyncMethodCall", "as_completed", "first_completed", "is_beside", "make_callbacks"]

# Inside of a class Python puts its name before what begins with two underscores.
_BESIDE: Final = re.compile(r"(_\w+)?__async")


class Handle:
    """A call that somebody else waits for.

    Attributes:
        method_call: What was called.
    """

    def __init__(self, call: MethodCall, future: concurrent.futures.Future[Result]) -> None:
        self.method_call = call
        self._future = future

    def finished(self) -> bool:
        """Whether it has ended, well or not."""
        return self._future.done()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.method_call.method_name} {'ended' if self.finished() else 'running'}>"

    def _outcome(self) -> Result | BaseException:
        """What became of it, waited for: its `Result`, or what kept it from one."""
        try:
            return self._future.result()
        except concurrent.futures.CancelledError as error:
            return error
        except Exception as error:
            return error


class AsyncMethodCall(Handle):
    """What `call_method_async` gives."""

    def successful(self) -> bool:
        """Whether it has ended, with a result."""
        if not self.finished():
            return False
        outcome = self._outcome()
        return isinstance(outcome, Result) and outcome.error is None

    def result(self, wait: bool = False) -> Result:
        """Its `Result`; errors of the method are in it.

        Raises:
            RuntimeError: It has not ended, and is not to be waited for.
            ServiceUnreachable: As the call itself, and all else that it raises.
        """
        if not wait and not self.finished():
            raise RuntimeError("Result is not ready yet")
        return self._future.result()


class AsyncCall(Handle):
    """What ``methods.f(…, __async=True)`` gives."""

    def wait(self) -> Any:
        """Wait for its result.

        Raises:
            CalledServiceError: Its error, and all else that the call raises.
        """
        result = self._future.result()
        if result.error is not None:
            raise called_service_error(result.error)
        return result.result

    def result(self) -> Any:
        """Its result; None while it runs, and where it has none."""
        outcome = self._outcome() if self.finished() else None
        return outcome.result if isinstance(outcome, Result) else None

    def error(self) -> Any:
        """The error object of the method, or the exception that kept it from an answer; None where there is neither."""
        outcome = self._outcome() if self.finished() else None
        return outcome.error if isinstance(outcome, Result) else outcome


H = TypeVar("H", bound=Handle)


class _Ended(Generic[H]):
    """Handles by their futures."""

    def __init__(self, handles: tuple[H, ...]) -> None:
        self._handles: dict[concurrent.futures.Future[Result], list[H]] = {}
        for one in handles:
            self._handles.setdefault(one._future, []).append(one)

    def __iter__(self) -> Iterator[H]:
        for future in concurrent.futures.as_completed(self._handles):
            yield from self._handles[future]


def as_completed(*handles: H) -> Iterator[H]:
    """The handles, each when it has ended."""
    return iter(_Ended(handles))


def first_completed(*handles: H) -> Any:
    """The result of the first that ends, as its own `result` gives it.

    Raises:
        ValueError: There are none.
    """
    for one in as_completed(*handles):
        return one.result()  # type: ignore[attr-defined]  # Both kinds have it.
    raise ValueError("first_completed takes one handle at least")


def make_callbacks(
    handles: list[H],
    on_result: Callable[[Any], object],
    on_error: Callable[[Any], object],
    run_in_threads: bool = False,
) -> None:
    """Wait for all of them; as each ends, call `on_result` with its result, or `on_error` with its error object.

    Where there was no answer, `on_error` gets the exception.

    Args:
        run_in_threads: Call them in threads, so that a slow one holds up none of the others; all have ended on return.

    Raises:
        Exception: What they raise; in threads the first of them, when all have ended.
    """
    pool = concurrent.futures.ThreadPoolExecutor(thread_name_prefix="callbacks") if run_in_threads else None
    running: list[concurrent.futures.Future[object]] = []
    try:
        for one in as_completed(*handles):
            outcome = one._outcome()
            if isinstance(outcome, Result) and outcome.error is None:
                call, told = on_result, outcome.result
            else:
                call, told = on_error, outcome.error if isinstance(outcome, Result) else outcome
            if pool is None:
                call(told)
            else:
                running.append(pool.submit(call, told))
    finally:
        if pool is not None:
            pool.shutdown()
    for each in running:
        each.result()


def is_beside(kwargs: Mapping[str, Any]) -> tuple[bool, dict[str, Any]]:
    """Whether ``__async=True`` is among the arguments, and the others."""
    asked = [name for name in kwargs if _BESIDE.fullmatch(name)]
    return any(kwargs[name] for name in asked), {name: one for name, one in kwargs.items() if name not in asked}
