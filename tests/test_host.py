"""What a broker asks of its machine."""

from __future__ import annotations

import ipaddress
import os
import platform
import re
import socket
import subprocess
import sys
import threading
import time

import pytest

from tautomer.host import Host, id_source

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class TestIds:
    def test_are_shaped_as_a_uuid_and_all_different(self) -> None:
        new_id = Host().new_id
        ids = [new_id() for _ in range(10_000)]

        assert len(set(ids)) == len(ids)
        assert [] == [one for one in ids if not UUID.fullmatch(one)]

    def test_of_two_processes_differ(self) -> None:
        assert Host().new_id()[:23] != Host().new_id()[:23]

    def test_of_one_seed_are_the_same(self) -> None:
        """So a simulation can be run again."""
        one, other = id_source(4711), id_source(4711)

        assert [one() for _ in range(5_000)] == [other() for _ in range(5_000)]

    @pytest.mark.parametrize("seed", [0, 1, (1 << 80) - 1, 1 << 200])
    def test_of_any_seed_are_ids(self, seed: int) -> None:
        assert UUID.fullmatch(id_source(seed)())

    def test_can_be_made_in_several_threads_at_once(self) -> None:
        """Blocking handlers run in threads, and may ask for `ctx.id`."""
        new_id, made = id_source(1), list[str]()
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            threads = [
                threading.Thread(target=lambda: made.extend([new_id() for _ in range(20_000)])) for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval)

        assert 80_000 == len(made) == len(set(made))


class TestTheMachine:
    def test_tells_its_names(self) -> None:
        host = Host()

        assert (socket.gethostname(), os.getpid()) == (host.hostname, host.pid)

    def test_tells_its_addresses(self) -> None:
        addresses = Host().ip_list

        assert addresses
        assert [4] * len(addresses) == [ipaddress.ip_address(address).version for address in addresses]

    @pytest.mark.parametrize(
        ("by_name", "expected"),
        [
            (["127.0.1.1", "192.0.2.7", "192.0.2.3", "192.0.2.7"], ("192.0.2.3", "192.0.2.7")),
            (["127.0.1.1"], ("127.0.0.1",)),
            (None, ("127.0.0.1",)),
        ],
    )
    def test_asks_by_its_name_where_there_is_no_way_out(
        self, monkeypatch: pytest.MonkeyPatch, by_name: list[str] | None, expected: tuple[str, ...]
    ) -> None:
        def no_socket(*_args: object) -> socket.socket:
            raise OSError("network is unreachable")

        def look_up(*_args: object) -> list[object]:
            if by_name is None:
                raise socket.gaierror
            return [(socket.AF_INET, 1, 6, "", (address, 0)) for address in by_name]

        monkeypatch.setattr(socket, "socket", no_socket)
        monkeypatch.setattr(socket, "getaddrinfo", look_up)

        assert expected == Host().ip_list

    def test_tells_its_load_in_percent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "cpu_count", lambda: 4)
        for load, percent in ((0.0, 0), (1.0, 25), (2.04, 51), (400.0, 100)):
            monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, 0.0, 0.0))

            assert percent == Host().cpu_percent()

    def test_tells_no_load_where_none_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse() -> tuple[float, float, float]:
            raise OSError

        monkeypatch.setattr(os, "getloadavg", refuse)
        assert None is Host().cpu_percent()
        monkeypatch.delattr(os, "getloadavg")
        assert None is Host().cpu_percent()

    def test_has_a_clock_that_never_goes_back_and_another_on_the_wall(self) -> None:
        host = Host()
        before, wall = host.clock(), time.time() * 1000

        assert before <= host.clock()
        assert abs(wall - host.wall_ms()) < 60_000
        assert isinstance(host.wall_ms(), int)

    def test_may_be_another_one_in_every_part(self) -> None:
        host = Host(clock=lambda: 5.0, wall_ms=lambda: 7, hostname="vm", ip_list=("192.0.2.1",), pid=1)

        assert (5.0, 7, "vm", ("192.0.2.1",), 1) == (
            host.clock(),
            host.wall_ms(),
            host.hostname,
            host.ip_list,
            host.pid,
        )
        assert 0 <= host.random.random() < 1


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back at once")
def test_what_a_burst_took_is_kept_for_the_next_one() -> None:
    """In a process of its own, as what was ever freed in this one counts, too."""
    program = """
import resource
from tautomer.host import keep_memory

def faults_of_bursts():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        burst = [b"x" * 10_001 * (number % 2 + 1) for number in range(64)]
        del burst
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults_of_bursts()
given_back = faults_of_bursts()
keep_memory()
faults_of_bursts()
print(given_back, faults_of_bursts())
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    given_back, kept = map(int, told.stdout.split())
    assert given_back > 1_000 > 100 > kept
