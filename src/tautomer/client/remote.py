"""What both clients have in common: settings, ids, what is known of the service, and the names of its methods."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Any, Final

from tautomer.client.failures import RequestTimeout, ServiceUnreachable
from tautomer.client.line import OnNotification, SocketLine
from tautomer.client.messages import Credentials, MethodCall
from tautomer.client.tries import Tries
from tautomer.errors import BrokerOptionsError

__all__ = ["Methods", "Remote", "http_library", "translated"]

SPECS: Final = "get_service_specs"
JSON: Final = {"Content-Type": "application/json"}
SPECS_AGE: Final = 60.0
"""Seconds for which what is known of a service is believed."""

SOCKET_SCHEMES: Final = ("ws", "wss")


class Remote:
    """Settings and state of a client.

    Args:
        url: Of the endpoint, such as ``"http://127.0.0.1:5000/api"``; with ``ws:`` or ``wss:`` all goes over one WebSocket.
        options: How a token is shown; see `Credentials`.
        timeout: Seconds for each request, all of it.
        retries: How often a request is sent again where it surely did not reach the service.
        idempotent: Whether it may be sent again, too, where it may have.
        headers: Sent with each request; by WebSocket with the handshake.
        on_notification: By WebSocket: ``(method, params)``, told of what the server says of itself. A plain function
            that does not block; of a client that blocks it is called in a thread of the client's.

    Raises:
        ValueError: One of these cannot be so.
    """

    def __init__(
        self,
        url: str,
        *,
        options: Mapping[str, Any] | None = None,
        timeout: float = 10.0,
        retries: int = 1,
        idempotent: bool = False,
        headers: Mapping[str, str] | None = None,
        on_notification: OnNotification | None = None,
    ) -> None:
        if not timeout > 0:
            raise ValueError(f"timeout is a number of seconds over 0, not {timeout!r}")
        self.url = url
        self.is_socket = url.partition(":")[0].lower() in SOCKET_SCHEMES
        if on_notification is not None and not self.is_socket:
            raise ValueError(
                f"on_notification takes a WebSocket, by which a server can speak: ws://…, not {url!r:.200}"
            )
        self._tries = Tries(timeout, retries, idempotent)
        self._on_notification = on_notification
        self._credentials = Credentials(options)
        self._ids = itertools.count(1)
        self._specs: dict[str, Any] | None = None
        self._asked_at = 0.0
        self._headers = {**self._credentials.headers, **(headers or {})}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def timeout(self) -> float:
        return self._tries.timeout

    def _call_of(self, method: str | MethodCall, params: Any) -> MethodCall:
        call = method if isinstance(method, MethodCall) else MethodCall(method, params)
        if call.id is None:
            call.id = next(self._ids)
        return call

    def _learn(self, specs: Any) -> list[str]:
        self._specs = specs if isinstance(specs, dict) else {}
        self._asked_at = monotonic()
        return self._known()

    def _known(self) -> list[str]:
        methods = (self._specs or {}).get("methods")
        return list(methods) if isinstance(methods, Mapping | list) else []

    @property
    def _is_fresh(self) -> bool:
        return self._specs is not None and monotonic() - self._asked_at < SPECS_AGE

    def _make_line(self) -> SocketLine:
        return SocketLine(self.url, self._headers, self._credentials.members, self._tries, self._on_notification)


class Methods:
    """Methods by attribute, also dotted ones, or by key: ``methods.say_hello``, ``methods["users.register"]``.

    Args:
        call: ``(name, args, kwargs)``, makes the call.
        check: Raises AttributeError for names that the service surely does not have; gives None.
    """

    # A method may have any name, so this has none of its own but those that no method can have.
    __slots__ = ("__call", "__check", "__name")

    def __init__(self, call: Callable[..., Any], check: Callable[[str], None], name: str = "") -> None:
        self.__call = call
        self.__check = check
        self.__name = name

    def __getattr__(self, name: str) -> Methods:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[f"{self.__name}.{name}" if self.__name else name]

    def __getitem__(self, name: str) -> Methods:
        self.__check(name)
        return Methods(self.__call, self.__check, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__call(self.__name, args, kwargs)

    def __repr__(self) -> str:
        return f"<methods {self.__name or '*'}>"


def check_known(name: str, known: Iterable[str]) -> None:
    """Raise AttributeError where a name is neither that of a method nor its beginning."""
    known = list(known)
    # Those of the protocol are in no list.
    if name.split(".", 1)[0] == "rpc":
        return
    if known and name not in known and not any(one.startswith(f"{name}.") for one in known):
        raise AttributeError(f"the service has no method {name!r}; it has {', '.join(sorted(known))}")


def http_library() -> Any:
    """The library that carries the requests.

    Raises:
        BrokerOptionsError: It is not installed.
    """
    try:
        import httpx2
    except ModuleNotFoundError as error:
        raise BrokerOptionsError("a JSON-RPC client needs 'httpx2': pip install 'tautomer[client]'") from error
    return httpx2


def translated(error: Exception, url: str, timeout: float) -> Exception:
    """An error of the library as one of ours."""
    library = http_library()
    if isinstance(error, library.ConnectError | library.ConnectTimeout | library.PoolTimeout):
        return ServiceUnreachable(f"nobody can be reached at {url}: {error}", "unsent")
    if isinstance(error, library.TimeoutException):
        return RequestTimeout(f"{url} gave no answer in {timeout:g} s")
    return ServiceUnreachable(f"the connection to {url} broke: {error}")
