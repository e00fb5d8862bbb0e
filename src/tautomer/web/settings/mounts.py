"""Reading what has all below a route's path: an ASGI application, or a proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tautomer.errors import BrokerOptionsError
from tautomer.web.asgi.mounting import MountedApp, an_app
from tautomer.web.settings.reading import Reader
from tautomer.web.settings.records import MappingPolicy

if TYPE_CHECKING:
    from tautomer.web.proxying.mounting import MountedProxy

__all__ = ["read_mounts"]


def read_mounts(reader: Reader, policy: MappingPolicy) -> tuple[MountedApp | None, MountedProxy | None]:
    """`app` and `proxy` of a route. There is one of them at most."""
    where, faults = reader.where, reader.notes.faults
    app, proxy = reader.take("app", None, an_app), reader.take("proxy", None, _a_proxy)
    for name, mount in (("app", app), ("proxy", proxy)):
        if mount is not None and policy == "all":
            faults.append(f"{where}.{name} takes all below the path, which leaves nothing to mappingPolicy 'all'")
    if app is not None and proxy is not None:
        faults.append(f"{where}.app and {where}.proxy both want all below the path: give each a route")
    if proxy is not None:
        _check(proxy, reader)
    return app, proxy


def _a_proxy(value: object) -> MountedProxy:
    from tautomer.web.proxying.mounting import a_proxy  # Only who passes requests on needs what does it.

    return a_proxy(value)


def _check(proxy: MountedProxy, reader: Reader) -> None:
    from tautomer.commands.upstream.destination import AllowedHosts

    for command in proxy.commands:
        try:
            AllowedHosts(command.allowed_hosts)
        except BrokerOptionsError as error:
            reader.notes.faults.append(f"{reader.where}.proxy: {command.__name__}: {error.message}")
        if command.allowed_hosts is None:
            reader.notes.warnings.append(
                f"{reader.where}.proxy: {command.__name__} has no allowed_hosts, so that a mistake in before_request may "
                "lead anywhere"
            )
