"""Host: all that a broker asks of the machine it runs on.

Time and chance enter the program here and nowhere else, so a simulation that passes another
`Host` runs the very same code.
"""

from __future__ import annotations

import os
import platform
import random
import socket
import time
from collections.abc import Callable, Iterator
from itertools import chain, count

import msgspec
from msgspec import field

from tautomer._version import __version__


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


_following = count(1)  # Numbers the brokers of this process that were given no id.

_LAST_DIGITS = tuple(f"{number:02x}" for number in range(256))


def id_source(seed: int) -> Callable[[], str]:
    """A source of ids shaped as a UUID: 80 random bits of this process, then a counter of 48.

    A fresh `uuid4` costs 2.5 µs, and a call needs one or two ids. Here an id is two texts joined,
    0.1 µs. It may be called from any thread, as handlers run in threads, too; therefore it is a chain
    of C's iterators: a generator, no faster, raises when two threads step it at once.
    """
    digits = f"{seed & (1 << 80) - 1:020x}"
    prefix = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-"

    def block(head: str) -> Iterator[str]:
        return map(head.__add__, _LAST_DIGITS)

    return chain.from_iterable(map(block, map(f"{prefix}%010x".__mod__, count(1)))).__next__


def keep_memory() -> None:
    """Have what a burst of messages took, and gave back, stay with the process for the next burst: up to 8 MB.

    glibc gives all that is free at the end of its heap back to the system as soon as that is 128 kB, and gets it again page by
    page: a tenth of the CPU time of calls of 10 kB. Its bound is twice the largest block that was ever given back whole
    (mallopt(3), M_MMAP_THRESHOLD); so a block that nobody writes to, and that therefore takes no memory, is enough.
    Other allocators do not care.
    """
    bytes(4 * 1024 * 1024)


def _ip_list() -> tuple[str, ...]:
    """IPv4 addresses of this machine, loopback only if there is no other."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            # Nothing is sent: the kernel only says which of its addresses it would send from. Asking for the
            # name first could wait on a name server for seconds, and often tells 127.0.1.1.
            probe.connect(("192.0.2.1", 9))
            return (str(probe.getsockname()[0]),)
    except OSError:
        pass
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    except OSError:
        found = set()
    outside = sorted(ip for ip in found if not ip.startswith("127."))
    return tuple(outside) or ("127.0.0.1",)


def _cpu_percent() -> int | None:
    """Load of the machine in percent of its cores over the last minute, or None where it is not told."""
    try:
        load = os.getloadavg()[0]
    except (OSError, AttributeError):
        return None
    return min(100, round(100 * load / (os.cpu_count() or 1)))


def implementation() -> dict[str, str]:
    """The `client` of INFO: what runs here, in which version."""
    return {"type": "python", "version": __version__, "langVersion": platform.python_version()}


class Host(msgspec.Struct):
    """Clock, chance and names of one machine.

    Attributes:
        clock: Monotonic time in seconds.
        wall_ms: Wall time in milliseconds since 1970, for stamps only.
        random: Source of all chance.
        new_id: Unique ids, of letters, digits and ``-``.
        hostname: Name of the machine.
        ip_list: Its IPv4 addresses.
        cpu_percent: Load from 0 to 100, or None.
        pid: Process id.
        beside: Whether functions may run beside the event loop, in threads and processes. Where not, as in a simulation,
            it stands still while one of them runs.
    """

    clock: Callable[[], float] = time.monotonic
    wall_ms: Callable[[], int] = _wall_ms
    random: random.Random = field(default_factory=random.SystemRandom)
    new_id: Callable[[], str] = field(default_factory=lambda: id_source(int.from_bytes(os.urandom(10))))
    hostname: str = field(default_factory=socket.gethostname)
    ip_list: tuple[str, ...] = field(default_factory=_ip_list)
    cpu_percent: Callable[[], int | None] = _cpu_percent
    pid: int = field(default_factory=os.getpid)
    beside: bool = True

    def node_id(self) -> str:
        """A name for a node that was given none: ``<host>-<pid>``, further ones of the process with a number."""
        number = next(_following)
        name = f"{self.hostname.lower()}-{self.pid}"
        return name if number == 1 else f"{name}-{number}"
