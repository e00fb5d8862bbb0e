"""What can be said of a cacher, and of the cache of one action."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, Final

from tautomer.cachers.keys import KeyFormat
from tautomer.errors import BrokerOptionsError
from tautomer.settings import chosen, record

if TYPE_CHECKING:
    from tautomer.context import Context

__all__ = ["CacheSettings", "CacherOptions", "LockSettings", "snake"]

MIB: Final = 1024 * 1024


@record
class CacherOptions:
    """Options of a cacher (Moleculer protocol section 11.1). Node's spelling will do, too: ``maxParamsLength``.

    Attributes:
        ttl: Seconds that a result is kept where the action does not say; 0 or None for no end.
        prefix: Stands before each key in a store that is shared; ``MOL`` and the namespace if not given.
        keygen: Makes the key of a call, a text, from its context, or gives None: not to be cached.
        key_format: ``"0.15"`` or ``"0.14"``: the Moleculer line whose keys are made.
        exact_keys: Node's keys even where they can be misread (see `tautomer.cachers.keys`), so that every entry is shared with
            its nodes. Then whoever chooses params may be given, or leave behind, the answer to another question.
        max_params_length: Characters of a key after the action's name; what is longer ends in a hash. 0 for no limit.
        max: Entries in memory. One more, and the oldest (MemoryLRU: the one not asked for longest) goes.
        value_bytes_max: What is larger is not cached.
        clone: Whether everybody gets a value of his own. False: all get the very same, and must not change it.
        redis: URL of the server.
        wait: Seconds that the store may take, a new connection to it included; then the node does without.
    """

    ttl: float | None = None
    prefix: str | None = None
    keygen: Callable[[Context[Any]], str | None] | None = None
    key_format: KeyFormat = "0.15"
    exact_keys: bool = False
    max_params_length: int = 512
    max: int = 10_000
    value_bytes_max: int = MIB
    clone: bool = True
    redis: str = field(default="redis://localhost:6379", repr=False)  # It may hold a password (promise S5).
    wait: float = 0.1

    def __post_init__(self) -> None:
        if self.key_format not in ("0.15", "0.14"):
            raise BrokerOptionsError(f"key_format is '0.15' or '0.14', not {self.key_format!r}")
        _is_function("keygen", self.keygen)
        _numbers(self, ttl=0, max_params_length=0, max=1, value_bytes_max=1, wait=0.001)
        if not isinstance(self.redis, str):
            raise BrokerOptionsError(f"redis is a URL, not a {type(self.redis).__name__}")


@record
class LockSettings:
    """One call of those that ask for the same at once runs; the others wait for what it gives.

    Attributes:
        enabled: Whether it is so.
        ttl: Seconds after which those who wait no longer do, and a lock of a node that died is void.
        stale_time: Seconds. What has less of its time left is given once more, and made anew meanwhile; 0: never.
    """

    enabled: bool = False
    ttl: float = 15.0
    stale_time: float = 0.0

    def __post_init__(self) -> None:
        _numbers(self, ttl=0.001, stale_time=0)


@record
class CacheSettings:
    """The cache of one action (Moleculer protocol section 11.2).

    Attributes:
        enabled: Whether results are cached; or a function that says so of a context.
        keys: What of a call its result depends on: ``"id"``, ``"user.id"``, ``"#user.id"`` of the meta, ``"@name"`` of
            the headers. None: all params. Without one of the values of the meta a call is not cached.
        ttl: Seconds that a result is kept; 0 for no end; None: as the cacher says.
        keygen: As of `CacherOptions`.
        lock: A `LockSettings`, a mapping of its names, or True.
    """

    enabled: bool | Callable[[Context[Any]], Any] = False
    keys: Sequence[str] | None = None
    ttl: float | None = None
    keygen: Callable[[Context[Any]], str | None] | None = None
    lock: LockSettings | Mapping[str, Any] | bool = field(default_factory=LockSettings)

    def __post_init__(self) -> None:
        if self.keys is not None and not (isinstance(self.keys, list | tuple) and all(map(_is_text, self.keys))):
            raise BrokerOptionsError(f"keys is a list of texts, not {self.keys!r:.80}")
        _is_function("keygen", self.keygen)
        _numbers(self, ttl=0)
        if not isinstance(self.lock, LockSettings):
            own = {snake(name): one for name, one in self.lock.items()} if isinstance(self.lock, Mapping) else self.lock
            object.__setattr__(self, "lock", chosen(LockSettings(), own, "lock"))


def snake(name: str) -> str:
    """Node's spelling of an option as ours."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_function(name: str, value: object) -> None:
    if value is not None and not callable(value):
        raise BrokerOptionsError(f"{name} is a function, not {value!r:.80}")


def _numbers(owner: object, **least: float) -> None:
    for name, bound in least.items():
        value = getattr(owner, name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= bound:
            raise BrokerOptionsError(f"{name} is a number from {bound:g} up, not {value!r:.80}")
