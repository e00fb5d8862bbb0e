"""Every gateway of the suite."""

from __future__ import annotations

from typing import Final

from tests.gateway.case import Gateway
from tests.gateway.cases import (
    aliases,
    answers,
    autoaliases,
    bodies,
    caching,
    cors,
    errors,
    heads,
    hooks,
    limits,
    params,
    routing,
    uploads,
)

_MODULES: Final = (
    aliases,
    routing,
    params,
    bodies,
    answers,
    errors,
    hooks,
    cors,
    limits,
    caching,
    uploads,
    autoaliases,
    heads,
)

GATEWAYS: Final[tuple[Gateway, ...]] = tuple(gateway for module in _MODULES for gateway in module.GATEWAYS)
