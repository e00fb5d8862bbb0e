"""Configuration: nameko's keys, from a mapping, a file or the environment (entrypoints reference, section 13)."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tautomer.config_files import read_config_file
from tautomer.errors import BrokerOptionsError
from tautomer.settings import Settings, closest

__all__ = ["Configuration"]

log = logging.getLogger("tautomer.runner")

WEB_KEYS: Final = ("WEB_SERVER_ADDRESS", "WEB_SERVER_TIMEOUT", "WEB_SERVER_MAX_WORKERS")
KEYS: Final = (
    *WEB_KEYS,
    "WEBSOCKET_HUB_CONFIG",
    "max_workers",
    "parent_calls_tracked",
    "transporter",
    "AMQP_URI",
    "LOGGING",
    "serializer",
)
"""Those that are ours; the environment is asked for the first three."""

_LIKENESS: Final = 0.8
"""Who comes so near to a key of ours has meant it."""

_OF_AMQP: Final = (
    "SERIALIZERS",
    "ACCEPT",
    "HEARTBEAT",
    "TRANSPORT_OPTIONS",
    "LOGIN_METHOD",
    "AMQP_SSL",
    "rpc_exchange",
    "RPC_EXCHANGE",
)


@dataclass(frozen=True)
class Configuration:
    """What is said of a process beside its settings.

    Attributes:
        address: Where methods of the edge are asked; None if nobody says.
        insists: Whether the caller itself gave the address: then somebody must be there to be asked.
        web: Whether anything is said of the server.
        timeout: Seconds that a request may take, or None.
        web_workers: How many requests run at once, and threads for methods that block; or None.
        sockets: Settings of WebSockets, or None.
        max_workers: How many calls of a service run at once; 0 for any number, None if nobody says.
        parent_calls_tracked: Length of stacks of calls, or None.
        transporter: A URL, or None.
        logging: For `logging.config.dictConfig`, or None.
        values: All that was given, other keys for services included; empty where the environment was asked.
    """

    address: str | None = None
    insists: bool = False
    web: bool = False
    timeout: float | None = None
    web_workers: int | None = None
    sockets: Mapping[str, Any] | None = None
    max_workers: int | None = None
    parent_calls_tracked: int | None = None
    transporter: str | None = None
    logging: Mapping[str, Any] | None = None
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)  # It may hold passwords (promise S5).

    @classmethod
    def of(
        cls, given: Mapping[str, Any] | str | Path | None, http: str | None = None, settings: Settings | None = None
    ) -> Configuration:
        """What was given, a mapping or the path of a file; without, what the environment says.

        Args:
            http: The address, before all others.
            settings: Those that it comes beside: with a transporter of their own, that of the configuration is not used.

        Raises:
            BrokerOptionsError: A key that is almost one of ours, or a value that cannot be; as `read_config_file`.
        """
        where = "the environment" if given is None else "config"
        if isinstance(given, str | Path):
            where, given = f"'{given}'", read_config_file(given, os.environ)
        values = {key: os.environ[key] for key in WEB_KEYS if key in os.environ} if given is None else given
        if not isinstance(values, Mapping):
            raise BrokerOptionsError(f"{where} holds keys and values, not {values!r:.80}")
        reader = _Reader(values, where)
        reader.check_keys()
        address = reader.text("WEB_SERVER_ADDRESS", numbers=True)
        return cls(
            address=http if http is not None else address,
            insists=http is not None,
            web=given is not None and any(key in values for key in WEB_KEYS),
            timeout=reader.number("WEB_SERVER_TIMEOUT"),
            web_workers=reader.count("WEB_SERVER_MAX_WORKERS", 1),
            sockets=reader.mapping("WEBSOCKET_HUB_CONFIG"),
            max_workers=reader.count("max_workers", 0),
            parent_calls_tracked=reader.count("parent_calls_tracked", 0),
            transporter=reader.transporter(settings is not None and settings.transporter is not None),
            logging=reader.mapping("LOGGING"),
            values={} if given is None else values,
        )

    def applied(self, settings: Settings) -> Settings:
        """The settings, with what is said here over them."""
        changes: dict[str, Any] = {
            name: value
            for name in ("max_workers", "parent_calls_tracked", "transporter")
            if (value := getattr(self, name)) is not None
        }
        if self.web_workers is not None:
            changes["pools"] = dataclasses.replace(
                settings.pools, threads=self.web_workers, thread_queue_max=self.web_workers
            )
        if self.values:
            changes["config"] = {**settings.config, **self.values}
        return dataclasses.replace(settings, **changes) if changes else settings

    def configure_logging(self) -> None:
        """Give `LOGGING` to the standard library; loggers that exist stay on unless it says otherwise.

        Raises:
            BrokerOptionsError: It refuses that.
        """
        if self.logging is None:
            return
        import logging.config

        try:
            logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, **self.logging})
        except Exception as error:  # Of factories, it may be any.
            cause = f": {error.__cause__}" if error.__cause__ is not None else ""
            raise BrokerOptionsError(f"LOGGING is refused by logging.config.dictConfig: {error}{cause}") from error


class _Reader:
    """Takes values out of what was written."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values = values
        self._where = where

    def check_keys(self) -> None:
        faults = []
        for key in self._values:
            if key in _OF_AMQP:
                faults.append(f"'{key}', which is for AMQP: there is no such transporter yet")
            elif key not in KEYS and (meant := closest(str(key), KEYS, _LIKENESS)):
                # Any other is the services' own (`Config`).
                faults.append(f"'{key}'; did you mean '{meant}'?")
        if self._values.get("serializer") not in (None, "json"):
            faults.append(f"serializer {self._values['serializer']!r:.80}; known: json")
        if faults:
            raise BrokerOptionsError(f"{self._where} has " + "; and ".join(faults))

    def text(self, key: str, numbers: bool = False) -> str | None:
        value = self._values.get(key)
        if numbers and type(value) is int:
            value = str(value)
        if not isinstance(value, str | None):
            raise self._wrong(key, "is a text", value)
        return value

    def mapping(self, key: str) -> Mapping[str, Any] | None:
        value = self._values.get(key)
        if not isinstance(value, Mapping | None):
            raise self._wrong(key, "holds keys and values", value)
        return value

    def number(self, key: str) -> float | None:
        """Over 0; what the environment says is a text."""
        value = self._values.get(key)
        try:
            found = None if value is None else float(value)
        except (TypeError, ValueError):
            found = 0.0
        if isinstance(value, bool) or not (found is None or 0 < found < float("inf")):
            raise self._wrong(key, "is a number over 0", value)
        return found

    def count(self, key: str, least: int) -> int | None:
        value = self._values.get(key)
        if isinstance(value, str) and value.isdecimal() and len(value) < 10:
            value = int(value)
        if value is not None and (type(value) is not int or value < least):
            raise self._wrong(key, f"is a whole number of at least {least}", value)
        return value

    def transporter(self, has_other: bool) -> str | None:
        own, amqp = self.text("transporter"), self.text("AMQP_URI")
        if own or has_other:
            if amqp:
                log.warning("AMQP_URI is not used: another transporter is chosen")
            return None if has_other else own
        if amqp:
            raise BrokerOptionsError(
                f"{self._where} has 'AMQP_URI', and there is no transporter for AMQP yet: give another one as 'transporter', "
                "such as nats://localhost:4222, or leave out the key for a node that is alone"
            )
        return None

    def _wrong(self, key: str, what: str, value: object) -> BrokerOptionsError:
        return BrokerOptionsError(f"{self._where}: {key} {what}, not {value!r:.80}", {"setting": key})
