"""Which server to try next, and how long to wait before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from tautomer.errors import TransporterError
from tautomer.transporters.nats.options import ServerAddress, parse_servers

__all__ = ["Backoff", "ServerPool"]

# A server tells of its cluster; a list that grows without end is no cluster.
DISCOVERED_MAX = 64


# An outage of a minute is to be over within a second of its end, pause and all.
SHORT_PAUSE_MAX = 0.5
PAUSE_SHARE = 1 / 50


class Backoff:
    """Growing pauses, each drawn from 50 to 150 %, so that nodes do not come back in step.

    The longest pause grows with the time that the line has been away: half a second at first, a fiftieth of that time
    later, never over `longest`. So whoever was away for seconds is back within one, and nobody knocks for hours
    at the pace of the first minute.
    """

    def __init__(self, first: float, longest: float, random: Random) -> None:
        self._first = first
        self._longest = longest
        self._random = random
        self._following = first

    def next(self, away: float) -> float:
        """Seconds to wait now that the line has been away for so many."""
        pause = min(self._following, max(SHORT_PAUSE_MAX, self._first, away * PAUSE_SHARE))
        self._following = min(pause * 2, self._longest)
        return pause * self._random.uniform(0.5, 1.5)

    def reset(self) -> None:
        self._following = self._first


class ServerPool:
    """The servers that were given, and those that they told of."""

    def __init__(self, given: Sequence[ServerAddress], random: Random, shuffle: bool) -> None:
        self._random = random
        self._shuffle = shuffle
        self._given = list(given)
        self._told: list[ServerAddress] = []
        self._order = list(dict.fromkeys(given))
        if shuffle:
            random.shuffle(self._order)

    def __str__(self) -> str:
        """All that were given, without secrets."""
        return ",".join(str(server) for server in self._given)

    def round(self) -> list[ServerAddress]:
        """All servers once, in the order in which to try them."""
        return list(self._order)

    def others(self, current: ServerAddress) -> list[ServerAddress]:
        return [server for server in self._order if server != current]

    def used(self, server: ServerAddress) -> None:
        """This one took us in. It is tried last when it is lost."""
        if server in self._order:  # It may have been forgotten meanwhile.
            at = self._order.index(server) + 1
            self._order = self._order[at:] + self._order[:at]

    def learn(self, urls: Sequence[str], teller: ServerAddress) -> None:
        """Take over what `teller` says about its cluster; what it says no more is forgotten.

        The new ones are spoken to as `teller` is: with its credentials, and never in the clear if
        it is not.
        """
        given = {(server.host, server.port) for server in self._given}
        name = teller.tls_name or (None if teller.is_ip else teller.host)
        told: list[ServerAddress] = []
        for url in urls[:DISCOVERED_MAX]:
            try:
                (found,) = parse_servers(url)
            except (TransporterError, ValueError):
                continue
            server = replace(teller, host=found.host, port=found.port, tls_name=None)
            if server.is_ip:
                # Certificates are made out to names; the cluster shares the one that we were given.
                server = replace(server, tls_name=name)
            if (server.host, server.port) not in given and (server.host, server.port) != (teller.host, teller.port):
                told.append(server)
        if teller not in self._given:
            told.append(teller)
        new = [server for server in dict.fromkeys(told) if server not in self._told]
        self._order = [server for server in self._order if server in self._given or server in told]
        if self._shuffle:
            self._random.shuffle(new)
        self._order.extend(new)
        self._told = told
