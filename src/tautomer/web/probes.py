"""Probes: health checks for a node without a gateway, on a port of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tautomer.errors import BrokerOptionsError
from tautomer.middleware import Middleware
from tautomer.web.answers.failures import NOT_FOUND_BODY
from tautomer.web.messages.message import JSON_TYPE, Reply, Request
from tautomer.web.pages.health import PROBES, probe

if TYPE_CHECKING:
    from tautomer.broker import Broker
    from tautomer.web.http.server import HttpServer

__all__ = ["Probes"]

_STOP_TIME: Final = 1.0


class Probes(Middleware):
    """Answers ``/livez``, ``/readyz`` and ``/startupz`` from before the broker starts until it has stopped.

    ```python
    Broker(middlewares=[Probes(port=8081)])
    ```

    A gateway answers them by itself; this is for nodes that have none.

    Args:
        port: Where it listens; 0 lets the system choose.
        ip: Address it listens on.
    """

    def __init__(self, port: int = 8081, ip: str = "0.0.0.0") -> None:
        self._asked = (ip, port)
        self._server: HttpServer | None = None

    @property
    def port(self) -> int:
        """Where it listens once the broker starts."""
        return self._asked[1] if self._server is None else self._server.port

    async def broker_starting(self, broker: Broker) -> None:
        """Open the port.

        Raises:
            BrokerOptionsError: It cannot be had, or the web extra is not installed.
        """
        try:
            from tautomer.web.http.server import HttpServer  # Only a node that opens a port needs an HTTP parser.
        except ModuleNotFoundError as error:
            raise BrokerOptionsError(f"probes need '{error.name}': pip install 'tautomer[web]'") from error
        answers = {path: probe(broker, look) for path, look in PROBES.items()}

        def at_once(request: Request) -> Reply:
            answer = answers.get(request.path)
            if answer is None or request.method not in ("GET", "HEAD"):
                return Reply(404, [JSON_TYPE], NOT_FOUND_BODY)
            return answer(request)

        async def never(request: Request) -> Reply:
            return at_once(request)

        ip, port = self._asked
        server = HttpServer(never, at_once, host=ip, port=port, clock=broker.clock, wall_ms=broker.host.wall_ms)
        await server.start()
        self._server = server

    async def broker_stopped(self, _broker: Any) -> None:
        """Close the port."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(_STOP_TIME)
