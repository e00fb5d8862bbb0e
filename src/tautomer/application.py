"""Application and HTTPProxy: a gateway of proxies alone, as blackgate's document writes it (resilience reference, section 16)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tautomer.broker import Broker
from tautomer.commands.proxy import HTTPProxyCommand
from tautomer.errors import BrokerOptionsError
from tautomer.runner import run
from tautomer.settings import Settings
from tautomer.web.proxying.patterns import PatternMount
from tautomer.web.service import ApiGatewayService

if TYPE_CHECKING:
    from tautomer.web.proxying.mounting import ProxyClass

__all__ = ["Application", "HTTPProxy"]


class HTTPProxy:
    """Says in the list of an `Application` that a path is a proxy's."""


class Application:
    """A gateway of proxies, without further services.

    ```python
    app = Application([(r"/api/v1/(.*)", HTTPProxy, {"command": APIService})])
    app.listen(8888)                  # until a signal comes
    ```

    Args:
        handlers: ``(pattern, HTTPProxy, {"command": class})``: the pattern matches the whole path, and the first that does
            answers.
        **settings: More settings of the gateway.

    Raises:
        BrokerOptionsError: An entry is written wrong.
    """

    def __init__(self, handlers: Sequence[Any], **settings: Any) -> None:
        self._mount = PatternMount([_entry(one) for one in handlers])
        self._settings = settings
        self._broker: Broker | None = None
        self._gateway: ApiGatewayService | None = None

    @property
    def port(self) -> int:
        """Where it listens; 0 where it does not."""
        return 0 if self._gateway is None else self._gateway.port

    def listen(self, port: int, address: str = "0.0.0.0") -> int:
        """Serve until SIGINT or SIGTERM. Returns the exit code.

        Raises:
            RuntimeError: Inside an event loop: there `await app.start(port)` is meant.
            BrokerOptionsError: The port cannot be had, or the web extra is not installed.
        """
        if asyncio._get_running_loop() is not None:
            raise RuntimeError("listen() blocks until a signal comes; inside an event loop use `await app.start(port)`")
        return run(self._service(port, address))

    async def start(self, port: int, address: str = "0.0.0.0") -> None:
        """Serve beside whatever else runs in this loop, until `stop`.

        Raises:
            RuntimeError: It serves already.
            BrokerOptionsError: As `listen`.
        """
        if self._broker is not None:
            raise RuntimeError(f"this application serves already, on port {self.port}")
        self._gateway = self._service(port, address)
        self._broker = Broker(settings=Settings())
        try:
            await self._broker.register(self._gateway)
            await self._broker.start()
        except BaseException:
            self._broker = self._gateway = None
            raise

    async def stop(self) -> None:
        """Finish what runs, and close the port. Twice is harmless."""
        broker, self._broker = self._broker, None
        if broker is not None:
            await broker.stop()
            self._gateway = None

    def _service(self, port: int, address: str) -> ApiGatewayService:
        own = {"path": "", "proxy": self._mount}
        usual: dict[str, Any] = {"openapi": False}
        return ApiGatewayService(settings={**usual, **self._settings, "port": port, "ip": address, "routes": [own]})


def _entry(given: Any) -> tuple[re.Pattern[str], ProxyClass]:
    usual = "an entry is (pattern, HTTPProxy, {'command': class})"
    if not isinstance(given, tuple | list) or len(given) != 3 or given[1] is not HTTPProxy:
        raise BrokerOptionsError(f"Application: {usual}, not {given!r:.120}")
    pattern, _, options = given
    command = options.get("command") if isinstance(options, Mapping) else None
    if not isinstance(command, type) or not issubclass(command, HTTPProxyCommand):
        raise BrokerOptionsError(
            f"Application: {usual}; 'command' is a subclass of HTTPProxyCommand, not {command!r:.80}"
        )
    try:
        return re.compile(pattern), command
    except (re.error, TypeError) as error:
        raise BrokerOptionsError(f"Application: {pattern!r:.80} is no pattern: {error}") from error
