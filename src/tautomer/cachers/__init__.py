"""Cachers by the name that Node gives them. An adapter is imported when it is asked for, so that its library may be missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from tautomer.errors import BrokerOptionsError
from tautomer.host import Host
from tautomer.ports import Cacher

if TYPE_CHECKING:
    from tautomer.cachers.cache import Cache
    from tautomer.cachers.options import CacherOptions

__all__ = ["resolve"]

KNOWN: Final = ("Memory", "MemoryLRU", "Redis", "redis://…")


def resolve(chosen: object, namespace: str, host: Host) -> Cache | None:
    """The cache of a node.

    Args:
        chosen: None or False: none. True: in memory. A name, a URL of a Redis server, ``{"type", "options"}`` with the names
            of `CacherOptions`, or a `Cacher`.

    Raises:
        BrokerOptionsError: There is no such cacher or option, or its library is missing.
    """
    if chosen is None or chosen is False:
        return None
    # Who caches nothing does not import how.
    from tautomer.cachers.cache import Cache
    from tautomer.cachers.options import CacherOptions, snake

    kind: object = "Memory" if chosen is True else chosen
    given: Mapping[str, Any] = {}
    if isinstance(chosen, Mapping):
        kind, given = _parts(chosen)
    if isinstance(kind, str) and kind.partition("://")[0] in ("redis", "rediss"):
        kind, given = "Redis", {"redis": kind, **given}
    try:
        options = CacherOptions(**{snake(str(name)): value for name, value in given.items()})
    except BrokerOptionsError as error:
        raise BrokerOptionsError(f"cacher: {error.message}", error.data) from None
    prefix = f"{options.prefix}-" if options.prefix else f"MOL-{namespace}-" if namespace else "MOL-"
    cacher = _named(kind, options, host) if isinstance(kind, str) else kind
    if not isinstance(cacher, Cacher):
        raise BrokerOptionsError(f"cacher is a name, a URL, a mapping or a Cacher, not {cacher!r:.80}")
    return Cache(cacher, options, host, prefix)


def _parts(chosen: Mapping[Any, Any]) -> tuple[object, Mapping[str, Any]]:
    unknown = [str(name) for name in chosen if name not in ("type", "options")]
    if unknown:
        raise BrokerOptionsError(f"cacher: unknown setting '{unknown[0]}'; known: options, type", {"unknown": unknown})
    options = chosen.get("options") or {}
    if not isinstance(options, Mapping):
        raise BrokerOptionsError(f"cacher: options is a mapping, not {options!r:.80}", {"setting": "cacher"})
    return chosen.get("type", "Memory"), options


def _named(kind: str, options: CacherOptions, host: Host) -> Cacher:
    match kind.lower():
        case "memory":
            from tautomer.cachers.memory import MemoryCacher

            return MemoryCacher(options, host)
        case "memorylru":
            from tautomer.cachers.lru import MemoryLRUCacher

            return MemoryLRUCacher(options, host)
        case "redis":
            from tautomer.cachers.redis import RedisCacher

            return RedisCacher(options, host)
    name = kind.partition(":")[0]  # The rest of an address may hold a password (promise S5).
    raise BrokerOptionsError(f"cacher '{name:.80}' is not known; known: {', '.join(KNOWN)}", {"cacher": name})
