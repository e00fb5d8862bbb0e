"""run(*services): one process with a broker, from its start to the signal that ends it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tautomer.broker import Broker
from tautomer.configuration import Configuration
from tautomer.errors import BrokerOptionsError, ServiceSchemaError
from tautomer.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from tautomer.middleware import Middleware
    from tautomer.service import Service

log = logging.getLogger("tautomer.runner")

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def run(
    *services: Service | type[Any],
    settings: Settings | None = None,
    id: str | None = None,
    middlewares: Sequence[Middleware | type[Middleware]] = (),
    config: Mapping[str, Any] | str | Path | None = None,
    http: str | None = None,
) -> int:
    """Run these services until SIGINT or SIGTERM, then stop cleanly. Returns the exit code: 0, or 1 if the node
    gave way to a namesake (``registry.on_conflict``).

    A signal during the start undoes the start. A second one ends the process at once, with
    128 + its number: also one that waits for a thread which hangs. Without settings, logs go to standard error at INFO. Runs on uvloop where
    that is installed.

    Where a service has methods with `@http` or `@websocket_rpc`, and no gateway leads to them, one is opened.

    Args:
        config: nameko's configuration, as a mapping or the path of its file (YAML with ``${NAME:default}``, JSON, TOML):
            ``WEB_SERVER_ADDRESS`` (``[address:]port``, ``0.0.0.0:8000`` if not given), ``WEB_SERVER_TIMEOUT`` (seconds that a
            request may take), ``WEB_SERVER_MAX_WORKERS`` (requests to methods with `@http` at once, as many wait; and threads
            for methods that block), ``WEBSOCKET_HUB_CONFIG`` (settings of WebSockets), ``max_workers``,
            ``parent_calls_tracked``, ``transporter`` (see `Settings`), ``LOGGING`` (for `logging.config.dictConfig`). All of it, and
            what else it holds, is there for the services (`Config`). Without it the environment is asked for the first three.
        http: The address, in the place of ``WEB_SERVER_ADDRESS``.

    Raises:
        Whatever makes the start fail, with everything undone: a wrong setting or service
        (`BrokerOptionsError`, `ServiceSchemaError`), an id that is taken (`NodeIdTakenError`), refused credentials (`TransporterError`), a
        taken port (`OSError`), what a service's own `started` raises.
        RuntimeError: An event loop runs in this thread already.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("run() has an event loop of its own; inside another use `async with Broker(...)`")
    configured = Configuration.of(config, http, settings)
    configured.configure_logging()
    usual = Settings(log_level="INFO" if configured.logging is None else None)
    chosen = configured.applied(usual if settings is None else settings)

    async def main() -> int:
        loop = asyncio.get_running_loop()
        stop = _StopSignals(loop, asyncio.current_task())
        broker = Broker(id, settings=chosen, middlewares=middlewares)
        broker.ending = stop.asked
        try:
            for service in services:
                await broker.register(service)
            await _open_doors(broker, configured)
            await broker.start()
            await stop.wait()
        except asyncio.CancelledError:
            if not stop.asked.is_set():
                raise
        finally:
            if broker.started or broker.gave_way:  # A start that failed or was cut off has undone itself.
                await broker.stop()
            # The runner would do it too, but between here and there is a moment without a running loop,
            # in which uvloop loses a signal: the one that is to end a process whose thread hangs.
            await loop.shutdown_default_executor()
        return 1 if broker.gave_way else 0

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main())


async def _open_doors(broker: Broker, config: Configuration) -> None:
    """Register the gateways that its services ask for (architecture §15.16)."""
    services = broker.services
    if any(hasattr(service, "rpc_address") for service in services):
        from tautomer.web.listening import gateways_of

        for gateway in gateways_of(services):
            await broker.register(gateway)
    doors = {one.binder.door for service in services for one in service.action_defs() if one.binder is not None}
    opened = None
    if any(doors):
        from tautomer.web.listening import Workers, http_gateway

        workers = None if config.web_workers is None else Workers(config.web_workers, broker.node_id, broker.clock)
        opened = http_gateway(services, config.address, config.timeout, workers, config.sockets)
    if opened is not None:
        try:
            await broker.register(opened)
        except ServiceSchemaError as error:
            raise BrokerOptionsError(error.message.replace("settings.websocket", "WEBSOCKET_HUB_CONFIG")) from error
    elif config.insists:
        raise BrokerOptionsError(
            f"an address for HTTP was given, '{config.address}', and nobody is to be asked there: no service has a method "
            "with @http or @websocket_rpc, or a gateway of your own leads to them"
        )
    elif any(doors) and (config.web or config.sockets is not None):
        log.warning("WEB_SERVER_… and WEBSOCKET_HUB_CONFIG are not used: a gateway of your own has settings of its own")


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


class _StopSignals:
    """SIGINT and SIGTERM from now on until the loop closes: the first asks to stop, the second ends the process.

    Until `wait` is called, the first one cancels the task, since that is how a start is undone.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[int] | None) -> None:
        self.asked = asyncio.Event()
        self._starting = task
        for number in STOP_SIGNALS:
            try:
                loop.add_signal_handler(number, self._on_signal, number)
            except NotImplementedError:  # Windows' loops have no signal handlers of their own.
                signal.signal(number, lambda got, _frame: loop.call_soon_threadsafe(self._on_signal, got))

    def _on_signal(self, number: int) -> None:
        if self.asked.is_set():
            os._exit(128 + number)  # Whoever asks twice does not want to wait for clean-ups.
        self.asked.set()
        if self._starting is not None:
            self._starting.cancel()

    async def wait(self) -> None:
        self._starting = None
        await self.asked.wait()
