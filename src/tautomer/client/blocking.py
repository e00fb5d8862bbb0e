"""RemoteClient: a JSON-RPC client that blocks; safe to use from several threads."""

from __future__ import annotations

import asyncio
import random
import threading
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from types import TracebackType
from typing import Any

from tautomer.client.failures import CalledServiceError, RequestTimeout, ServiceUnreachable, called_service_error
from tautomer.client.handles import AsyncCall, AsyncMethodCall, is_beside
from tautomer.client.line import SocketLine
from tautomer.client.loop_thread import LoopThread
from tautomer.client.messages import (
    BatchResult,
    MethodCall,
    Notification,
    Result,
    located,
    params_of,
    read_batch,
    read_single,
    result_of,
    results_of,
    written,
)
from tautomer.client.remote import (
    JSON,
    SPECS,
    Methods,
    Remote,
    check_known,
    http_library,
    translated,
)
from tautomer.client.tries import ANSWER_BYTES_MAX, RETRY_DELAY

__all__ = ["RemoteClient", "RemoteService"]


class RemoteClient(Remote):
    """``RemoteClient("http://localhost:5000/api").methods.say_hello("world")``.

    Nothing is asked until something is called. The arguments are those of `Remote`, and:

    Args:
        threads: How many calls run at once beside the caller's thread (`call_method_async`); None for Python's own measure.

    Raises:
        CalledServiceError: From every call: the service answered with an error.
        ServiceUnreachable: Nobody listens there, or the connection broke.
        RequestTimeout: No answer in time.
        RuntimeError: It would block an event loop; there, use `AsyncRemoteClient`.
    """

    def __init__(self, url: str, *, threads: int | None = None, **settings: Any) -> None:
        super().__init__(url, **settings)
        if threads is not None and threads < 1:
            raise ValueError(f"threads is a whole number, 1 or more, not {threads!r}")
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._http: Any = None
        self._lock = threading.Lock()
        self._thread = LoopThread()
        self._line: SocketLine | None = None

    @classmethod
    def connect(cls, url: str, **settings: Any) -> RemoteClient:
        """A client that has asked the service what it is: so it is there."""
        made = cls(url, **settings)
        made.refresh_service_info()
        return made

    @classmethod
    def get_service_by_name(
        cls, registry_url: str, name_pattern: str, choose_algorithm: str = "random", **settings: Any
    ) -> RemoteClient:
        """A client of a service that a registry knows (`tautomer.ServiceRegistry`): one at random of those that are there.

        Raises:
            CalledServiceError: There is none of that name.
            ValueError: Another way to choose than ``random``.
        """
        if choose_algorithm != "random":
            raise ValueError(f"choose_algorithm is 'random', not {choose_algorithm!r}")
        with cls(registry_url, **settings) as registry:
            urls = located(registry.methods.locate_service(name=name_pattern))
        random.SystemRandom().shuffle(urls)
        for url in urls:
            try:
                return cls.connect(url, **settings)
            except ServiceUnreachable:
                continue
        raise CalledServiceError(f"Unable to locate service {name_pattern}")

    # --- what the service is ---

    @property
    def name(self) -> str:
        """The service's name."""
        if self._specs is None:
            self.refresh_service_info()
        return str((self._specs or {}).get("name", ""))

    def get_available_methods(self) -> list[str]:
        """Names of its methods."""
        return self._known() if self._specs is not None else self.refresh_service_info()

    def refresh_service_info(self) -> list[str]:
        """Ask again what it is. Returns the names of its methods."""
        return self._learn(self._value(MethodCall(SPECS)))

    # --- calls ---

    @property
    def methods(self) -> Methods:
        """``methods.say_hello("world")`` calls and waits; positional or named arguments, not both.

        With ``__async=True`` it does not wait, and gives an `AsyncCall`.
        """
        return Methods(self._call_by_name, self._check)

    @property
    def notifications(self) -> Methods:
        """``notifications.say_hello("world")`` sends, and returns None once it has arrived."""
        return Methods(lambda name, args, kwargs: self.notify(name, params_of(args, kwargs)), self._check)

    def call_method(self, method: str | MethodCall, params: Any = None) -> Result:
        """Call, and give a `Result`: an error of the method is in it, and not raised."""
        call = self._call_of(method, params)
        if self.is_socket:
            return result_of(self._exchange([call]), call)
        status, body = self._post(written([call], self._credentials.members, many=False))
        return read_single(status, body, call)

    def call_method_async(self, method: str | MethodCall, params: Any = None) -> AsyncMethodCall:
        """Call in a thread, and go on meanwhile."""
        call = self._call_of(method, params)
        return AsyncMethodCall(call, self._beside(call))

    def notify(self, method: str | Notification, params: Any = None) -> None:
        """Send a notification. What becomes of it nobody is told."""
        sent = method if isinstance(method, Notification) else Notification(method, params)
        if self.is_socket:
            self._exchange([sent])
            return
        status, body = self._post(written([sent], self._credentials.members, many=False))
        read_batch(status, body, [])

    def call_batch(self, *calls: MethodCall | Notification) -> BatchResult:
        """Several in one request."""
        wanted = [self._call_of(one, None) for one in calls if isinstance(one, MethodCall)]
        if not calls:
            return BatchResult([])
        if self.is_socket:
            answers = self._exchange(calls, many=True)
            return results_of(answers, wanted) if wanted else BatchResult([])
        status, body = self._post(written(calls, self._credentials.members, many=True))
        return read_batch(status, body, wanted)

    def close(self) -> None:
        """Close the connections. The next call opens others."""
        with self._lock:
            http, self._http = self._http, None
            line, self._line = self._line, None
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
        if http is not None:
            http.close()
        if line is not None:
            self._thread.stop(line.close)

    def __enter__(self) -> RemoteClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call_by_name(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        beside, named = is_beside(kwargs)
        call = self._call_of(name, params_of(args, named))
        return AsyncCall(call, self._beside(call)) if beside else self._value(call)

    def _beside(self, call: MethodCall) -> Future[Result]:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads, "json-rpc call")
            return self._pool.submit(self.call_method, call)

    def _value(self, call: MethodCall) -> Any:
        result = self.call_method(call)
        if result.error is not None:
            raise called_service_error(result.error)
        return result.result

    def _check(self, name: str) -> None:
        if self._specs is None or name == SPECS:
            return
        if not self._is_fresh:
            self.refresh_service_info()
        check_known(name, self._known())

    def _exchange(self, calls: Sequence[MethodCall | Notification], many: bool = False) -> Any:
        _check_thread()
        with self._lock:
            line = self._line
            if line is None:
                line = self._line = self._make_line()
                weakref.finalize(self, self._thread.stop, line.close)
        return self._thread.run(lambda: line.exchange(calls, many))

    def _post(self, body: bytes) -> tuple[int, bytes]:
        _check_thread()
        ends = monotonic() + self.timeout
        tried = 0
        while True:
            try:
                return self._send(body, ends)
            except (ServiceUnreachable, RequestTimeout) as error:
                if not self._tries.may_retry(error, tried) or monotonic() + RETRY_DELAY * 2**tried >= ends:
                    raise
            threading.Event().wait(RETRY_DELAY * 2**tried)
            tried += 1

    def _send(self, body: bytes, ends: float) -> tuple[int, bytes]:
        library = http_library()
        with self._lock:
            if self._http is None:
                self._http = library.Client(trust_env=False)
                # Few close a client in a script; the socket would be complained of at its end.
                weakref.finalize(self, self._http.close)
            http = self._http
        left = max(0.001, ends - monotonic())
        received = bytearray()
        try:
            with http.stream("POST", self.url, content=body, headers={**JSON, **self._headers}, timeout=left) as answer:
                for chunk in answer.iter_bytes():
                    received += chunk
                    if len(received) > ANSWER_BYTES_MAX:
                        raise CalledServiceError(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
                    if monotonic() > ends:
                        raise RequestTimeout(f"{self.url} gave no whole answer in {self.timeout:g} s")
                return int(answer.status_code), bytes(received)
        except library.HTTPError as error:
            raise translated(error, self.url, self.timeout) from error


def _check_thread() -> None:
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("RemoteClient would block the event loop; here, use AsyncRemoteClient")


RemoteService = RemoteClient
"""gemstone's package calls it so, its document `RemoteClient`."""
