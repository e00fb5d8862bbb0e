"""Many clients in one process, none of which says any more: ``idle_crowd.py port count new|used|posted|half``."""

from __future__ import annotations

import resource
import signal
import socket
import sys

SAID = {
    "new": b"",
    "used": b"GET /echo?a=1 HTTP/1.1\r\nHost: a\r\nUser-Agent: crowd\r\n\r\n",
    "posted": b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 16386\r\n\r\n["
    + b" " * 16_384
    + b"]",
    "half": b"GET /echo HTTP/1.1\r\nHost: a\r\nX-Half: ",
}


def main(port: int, count: int, kind: str) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    crowd = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(SAID[kind])
        if kind in ("used", "posted"):
            assert client.recv(65_536).startswith(b"HTTP/1.1 ")
        crowd.append(client)
    print("ready", len(crowd))
    signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
