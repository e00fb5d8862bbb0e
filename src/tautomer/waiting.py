"""Waiting: until services are known, here or elsewhere (protocol section 4.6)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from tautomer.errors import MoleculerServerError
from tautomer.registry.registry import Registry, full_service_name
from tautomer.service import dependency_list

Wanted = str | Mapping[str, Any]
"""A full name, or ``{"name", "version"}``; a list of versions means any of them."""


class Waiting:
    """Those who wait for services of one node's mesh. They look again whenever `wake` is called."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._changed: dict[asyncio.Event, None] = {}

    def wake(self) -> None:
        """Services came or went."""
        for changed in self._changed:
            changed.set()

    async def until(self, names: Wanted | Sequence[Wanted], timeout: float) -> dict[str, Any]:
        """Wait for all of these. See `Broker.wait_for_services`."""
        wanted = [_alternatives(one) for one in dependency_list(names)]
        known = self._registry.has_service
        changed = asyncio.Event()
        self._changed[changed] = None
        try:
            async with asyncio.timeout(timeout or None):
                while not all(any(map(known, names)) for names in wanted):
                    changed.clear()
                    await changed.wait()
        except TimeoutError as error:
            missing = ", ".join(" or ".join(names) for names in wanted if not any(map(known, names)))
            raise MoleculerServerError(
                f"services not found within {timeout:g} s: {missing}", 500, "WAITFOR_SERVICES", self._statuses(wanted)
            ) from error
        finally:
            del self._changed[changed]
        return self._statuses(wanted)

    def _statuses(self, wanted: list[list[str]]) -> dict[str, Any]:
        names = list(dict.fromkeys(name for names in wanted for name in names))
        statuses = [{"name": name, "available": self._registry.has_service(name)} for name in names]
        return {"services": names, "statuses": statuses}


def _alternatives(wanted: Wanted) -> list[str]:
    """The full names of which any will do."""
    if isinstance(wanted, str):
        return [wanted]
    version = wanted.get("version")
    versions = version if isinstance(version, list | tuple) else [version]
    return [full_service_name(wanted["name"], one) for one in versions]
