"""Blocking in a thread, awaiting on the loop: one verb for both (entrypoints reference, section 14)."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine, Generator
from typing import Any, NoReturn, TypeVar

from tautomer.threads import current_job

__all__ = ["Pending", "blocking", "carried_out"]

R = TypeVar("R")

Make = Callable[[], Coroutine[Any, Any, R]]


def carried_out(make: Make[Any], loop: asyncio.AbstractEventLoop | None, what: str) -> Any:
    """In a thread: run a coroutine on the node's loop, and block until it has its result. On the loop: a `Pending`.

    Args:
        loop: The node's, as far as it is known.
        what: For errors: ``call of users.get``.

    Raises:
        RuntimeError: There is no loop that runs.
        What the coroutine raises.
    """
    if asyncio._get_running_loop() is not None and current_job() is None:
        return Pending(make, what)
    return blocking(make, loop, what)


def blocking(make: Make[R], loop: asyncio.AbstractEventLoop | None, what: str, timeout: float | None = None) -> R:
    """Run a coroutine on the node's loop from a thread, and block until it has its result.

    Args:
        timeout: Seconds to wait in a thread that the pool knows nothing of, such as one of `asyncio.to_thread`.

    Raises:
        As `carried_out`.
    """
    job = current_job()
    if job is not None:
        return job.ask(make)
    if loop is None or not loop.is_running():
        raise RuntimeError(f"{what}: the node does not run")
    return asyncio.run_coroutine_threadsafe(make(), loop).result(timeout)


class Pending(Coroutine[Any, Any, Any]):
    """What is to be awaited. It begins when it is, and refuses to be taken for its result.

    It may be given to `asyncio.gather`, `asyncio.create_task` and their like.
    """

    __slots__ = ("_coro", "_make", "_what")

    def __init__(self, make: Make[Any], what: str) -> None:
        self._coro: Coroutine[Any, Any, Any] | None = None
        self._make = make
        self._what = what

    def __repr__(self) -> str:
        return f"<{self._what}, to be awaited>"

    # --- a coroutine ---

    def _begun(self) -> Coroutine[Any, Any, Any]:
        if self._coro is None:
            self._coro = self._make()
        return self._coro

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._begun().__await__()

    def send(self, value: Any) -> Any:
        return self._begun().send(value)

    def throw(self, *error: Any) -> Any:
        return self._begun().throw(*error)

    def close(self) -> None:
        self._begun().close()

    def __del__(self) -> None:
        # As Python says of a coroutine.
        if self._coro is None:
            warnings.warn(f"{self._what} was never awaited, and so never made", RuntimeWarning, stacklevel=2)

    # --- no result ---

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError(f"{self._what} is not awaited yet: on the event loop it is written `await …`")

    __bool__ = __iter__ = __len__ = __getitem__ = __contains__ = _refuse
    __int__ = __float__ = __index__ = __str__ = __format__ = _refuse
    # What encoders of JSON ask of a value that they do not know.
    model_dump = _refuse

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"{self._what} is not awaited yet, so it has no '{name:.80}': on the event loop it is written `await …`"
        )
