"""AsyncRemoteClient: the same client for the event loop; what blocks there is awaited here."""

from __future__ import annotations

import random
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any

from tautomer.client.failures import CalledServiceError, ServiceUnreachable, called_service_error
from tautomer.client.line import SocketLine
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
from tautomer.client.tries import ANSWER_BYTES_MAX

__all__ = ["AsyncRemoteClient"]


class AsyncRemoteClient(Remote):
    """``await AsyncRemoteClient("http://localhost:5000/api").methods.say_hello("world")``.

    As `RemoteClient`, and raises the same. One client belongs to one event loop.
    """

    def __init__(self, url: str, **settings: Any) -> None:
        super().__init__(url, **settings)
        self._http: Any = None
        self._line: SocketLine | None = None

    @classmethod
    async def connect(cls, url: str, **settings: Any) -> AsyncRemoteClient:
        """As `RemoteClient.connect`."""
        made = cls(url, **settings)
        try:
            await made.refresh_service_info()
        except BaseException:
            await made.close()
            raise
        return made

    @classmethod
    async def get_service_by_name(
        cls, registry_url: str, name_pattern: str, choose_algorithm: str = "random", **settings: Any
    ) -> AsyncRemoteClient:
        """As `RemoteClient.get_service_by_name`."""
        if choose_algorithm != "random":
            raise ValueError(f"choose_algorithm is 'random', not {choose_algorithm!r}")
        async with cls(registry_url, **settings) as registry:
            urls = located(await registry.methods.locate_service(name=name_pattern))
        random.SystemRandom().shuffle(urls)
        for url in urls:
            try:
                return await cls.connect(url, **settings)
            except ServiceUnreachable:
                continue
        raise CalledServiceError(f"Unable to locate service {name_pattern}")

    # --- what the service is ---

    @property
    def name(self) -> Coroutine[Any, Any, str]:
        """``await client.name``: the service's name."""
        return self._name()

    async def _name(self) -> str:
        if self._specs is None:
            await self.refresh_service_info()
        return str((self._specs or {}).get("name", ""))

    async def get_available_methods(self) -> list[str]:
        """Names of its methods."""
        return self._known() if self._specs is not None else await self.refresh_service_info()

    async def refresh_service_info(self) -> list[str]:
        """Ask again what it is. Returns the names of its methods."""
        return self._learn(await self._value(MethodCall(SPECS)))

    # --- calls ---

    @property
    def methods(self) -> Methods:
        """``await methods.say_hello("world")``; positional or named arguments, not both."""
        return Methods(lambda name, args, kwargs: self._value(MethodCall(name, params_of(args, kwargs))), self._check)

    @property
    def notifications(self) -> Methods:
        """``await notifications.say_hello("world")`` gives None once it has arrived."""
        return Methods(lambda name, args, kwargs: self.notify(name, params_of(args, kwargs)), self._check)

    async def call_method(self, method: str | MethodCall, params: Any = None) -> Result:
        """As `RemoteClient.call_method`."""
        call = self._call_of(method, params)
        if self.is_socket:
            return result_of(await self._exchange([call]), call)
        status, body = await self._post(written([call], self._credentials.members, many=False))
        return read_single(status, body, call)

    async def notify(self, method: str | Notification, params: Any = None) -> None:
        """As `RemoteClient.notify`."""
        sent = method if isinstance(method, Notification) else Notification(method, params)
        if self.is_socket:
            await self._exchange([sent])
            return
        status, body = await self._post(written([sent], self._credentials.members, many=False))
        read_batch(status, body, [])

    async def call_batch(self, *calls: MethodCall | Notification) -> BatchResult:
        """As `RemoteClient.call_batch`."""
        wanted = [self._call_of(one, None) for one in calls if isinstance(one, MethodCall)]
        if not calls:
            return BatchResult([])
        if self.is_socket:
            answers = await self._exchange(calls, many=True)
            return results_of(answers, wanted) if wanted else BatchResult([])
        status, body = await self._post(written(calls, self._credentials.members, many=True))
        return read_batch(status, body, wanted)

    async def close(self) -> None:
        """Close the connections. The next call opens others."""
        http, self._http = self._http, None
        line, self._line = self._line, None
        if http is not None:
            await http.aclose()
        if line is not None:
            await line.close()

    async def __aenter__(self) -> AsyncRemoteClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _value(self, call: MethodCall) -> Any:
        result = await self.call_method(call)
        if result.error is not None:
            raise called_service_error(result.error)
        return result.result

    def _check(self, name: str) -> None:
        # To ask again would have to be awaited.
        if self._is_fresh and name != SPECS:
            check_known(name, self._known())

    async def _exchange(self, calls: Sequence[MethodCall | Notification], many: bool = False) -> Any:
        if self._line is None:
            self._line = self._make_line()
        return await self._line.exchange(calls, many)

    async def _post(self, body: bytes) -> tuple[int, bytes]:
        return await self._tries.run(lambda: self._send(body), self.url)

    async def _send(self, body: bytes) -> tuple[int, bytes]:
        library = http_library()
        if self._http is None:
            self._http = library.AsyncClient(trust_env=False)
        received = bytearray()
        try:
            # The time of the whole is kept by `_post`.
            async with self._http.stream(
                "POST", self.url, content=body, headers={**JSON, **self._headers}, timeout=self.timeout
            ) as answer:
                async for chunk in answer.aiter_bytes():
                    received += chunk
                    if len(received) > ANSWER_BYTES_MAX:
                        raise CalledServiceError(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
                return int(answer.status_code), bytes(received)
        except library.HTTPError as error:
            raise translated(error, self.url, self.timeout) from error
