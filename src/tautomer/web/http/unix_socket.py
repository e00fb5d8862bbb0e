"""Unix sockets: a path to listen on, which is taken over only from a dead process."""

from __future__ import annotations

import errno
import os
import socket
import stat

from tautomer.errors import BrokerOptionsError

__all__ = ["UnixListener"]


class UnixListener:
    """A bound Unix socket, and its file.

    Args:
        path: Where clients find it. What a dead process has left there is removed.
        mode: Permissions of the file; None leaves them to the process's umask.

    Attributes:
        sock: Bound; nobody gets in before somebody listens on it.

    Raises:
        BrokerOptionsError: The path cannot be had; says why, and what to do.
    """

    def __init__(self, path: str, mode: int | None) -> None:
        self._path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        try:
            _make_room(path)
            self.sock.bind(path)
            if mode is not None:
                os.chmod(path, mode)
            self._file = os.stat(path).st_ino
        except (OSError, ValueError) as error:
            self.sock.close()
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise BrokerOptionsError(f"cannot listen on the Unix socket '{path}': {reason}") from error

    def remove(self) -> None:
        """Remove the file, unless another process has put its own there."""
        try:
            if os.stat(self._path).st_ino == self._file:
                os.unlink(self._path)
        except OSError:
            pass


def _make_room(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, "there is a file of that name that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)  # Nobody listens: its process is dead.
        except BlockingIOError:
            raise _taken() from None
        else:
            raise _taken()


def _taken() -> OSError:
    return OSError(errno.EADDRINUSE, "another process listens there; stop it, or set another path")
