"""run(*services): one process with a broker, from its start to the signal that ends it."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tautomer.broker import Broker
from tautomer.errors import BrokerOptionsError
from tautomer.settings import Settings

if TYPE_CHECKING:
    from tautomer.middleware import Middleware
    from tautomer.service import Service

WEB_KEYS: Final = ("WEB_SERVER_ADDRESS", "WEB_SERVER_TIMEOUT", "WEB_SERVER_MAX_WORKERS")

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def run(
    *services: Service | type[Any],
    settings: Settings | None = None,
    id: str | None = None,
    middlewares: Sequence[Middleware | type[Middleware]] = (),
    config: Mapping[str, Any] | None = None,
    http: str | None = None,
) -> int:
    """Run these services until SIGINT or SIGTERM, then stop cleanly. Returns the exit code: 0, or 1 if the node
    gave way to a namesake (``registry.on_conflict``).

    A signal during the start undoes the start. A second one ends the process at once, with
    128 + its number: also one that waits for a thread which hangs. Without settings, logs go to standard error at INFO. Runs on uvloop where
    that is installed.

    Where a service has methods with `@http` and none is a gateway, one is opened for them.

    Args:
        config: What nameko's configuration says of it: ``WEB_SERVER_ADDRESS`` (``[address:]port``, ``0.0.0.0:8000`` if not
            given), ``WEB_SERVER_TIMEOUT`` (seconds that a request may take), ``WEB_SERVER_MAX_WORKERS`` (threads for
            methods that block; as many wait). Else the environment is asked for the same names. All of it, and what else it
            holds, is there for the services (`Config`, and the containers of providers).
        http: The address, in the place of ``WEB_SERVER_ADDRESS``.

    Raises:
        Whatever makes the start fail, with everything undone: a wrong setting or service
        (`BrokerOptionsError`, `ServiceSchemaError`), an id that is taken (`NodeIdTakenError`), refused credentials (`TransporterError`), a
        taken port (`OSError`), what a service's own `started` raises.
        RuntimeError: An event loop runs in this thread already.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("run() has an event loop of its own; inside another use `async with Broker(...)`")
    web = WebConfig.of(config, http)
    chosen = web.applied(settings if settings is not None else Settings(log_level="INFO"))
    if config:
        chosen = dataclasses.replace(chosen, config={**chosen.config, **config})

    async def main() -> int:
        loop = asyncio.get_running_loop()
        stop = _StopSignals(loop, asyncio.current_task())
        broker = Broker(id, settings=chosen, middlewares=middlewares)
        broker.ending = stop.asked
        try:
            for service in services:
                await broker.register(service)
            await _open_doors(broker, web)
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


@dataclass(frozen=True)
class WebConfig:
    """What is said of the server for methods with `@http`.

    Attributes:
        address: Of its port; None if nobody says.
        timeout: Seconds that a request may take, or None.
        workers: Threads for methods that block, or None.
        insists: Whether the caller itself gave the address: then somebody must be there to be asked.
    """

    address: str | None = None
    timeout: float | None = None
    workers: int | None = None
    insists: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any] | None, http: str | None) -> WebConfig:
        """What was given, else what the environment says.

        Raises:
            BrokerOptionsError: A name that is almost one of these, or a value that cannot be.
        """
        from difflib import get_close_matches  # Only who has a configuration pays for it.

        for key in config or ():
            # Any other is the services' own, but not one that was meant for us.
            if key not in WEB_KEYS and (close := get_close_matches(str(key).upper(), WEB_KEYS, 1, 0.8)):
                raise BrokerOptionsError(f"config has '{key}'; did you mean '{close[0]}'?")
        address, timeout, workers = (
            (config or {}).get(key, os.environ.get(key) if config is None else None) for key in WEB_KEYS
        )
        try:
            said = None if timeout is None else float(timeout), None if workers is None else int(workers)
        except (TypeError, ValueError):
            raise BrokerOptionsError("WEB_SERVER_TIMEOUT and WEB_SERVER_MAX_WORKERS are numbers") from None
        if any(one is not None and not one > 0 for one in said):
            raise BrokerOptionsError("WEB_SERVER_TIMEOUT and WEB_SERVER_MAX_WORKERS are more than 0")
        return cls(http if http is not None else None if address is None else str(address), *said, http is not None)

    def applied(self, settings: Settings) -> Settings:
        """The settings, with so many threads."""
        if self.workers is None:
            return settings
        pools = dataclasses.replace(settings.pools, threads=self.workers, thread_queue_max=self.workers)
        return dataclasses.replace(settings, pools=pools)


async def _open_doors(broker: Broker, web: WebConfig) -> None:
    """Register the gateways that its services ask for (architecture §15.16)."""
    if any(hasattr(service, "rpc_address") for service in broker.services):
        from tautomer.web.listening import gateways_of

        for gateway in gateways_of(broker.services):
            await broker.register(gateway)
    opened = None
    if any("http" in one.extra for service in broker.services for one in service.action_defs()):
        from tautomer.web.listening import http_gateway

        opened = http_gateway(broker.services, web.address, web.timeout)
    if opened is not None:
        await broker.register(opened)
    elif web.insists:
        raise BrokerOptionsError(
            f"an address for HTTP was given, '{web.address}', and nobody is to be asked there: no service has a method "
            "with @http, or a gateway of your own leads to them"
        )


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
