"""PatternMount: several proxies side by side, each for the paths that a regular expression matches whole."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tautomer.commands.configured import ConfiguredProxy
from tautomer.errors import NotFoundError
from tautomer.web.messages.message import Reply, Request
from tautomer.web.proxying.mounting import MountedProxy, ProxyClass, raw_path

__all__ = ["PatternMount", "configured_mount"]


class PatternMount(MountedProxy):
    """Answers by the first proxy whose pattern matches the whole path, as received; by 404 if there is none.

    Args:
        proxies: In order; None matches every path.
    """

    def __init__(self, proxies: Sequence[tuple[re.Pattern[str] | None, ProxyClass]]) -> None:
        self._proxies = proxies
        self.__name__ = "proxies"

    @property
    def commands(self) -> tuple[ProxyClass, ...]:
        return tuple(dict.fromkeys(command for _, command in self._proxies))

    async def __call__(self, request: Request) -> Reply:
        path = raw_path(request)
        for pattern, command in self._proxies:
            if pattern is None:
                return await self.answer(request, command, (path[1:],))
            if match := pattern.fullmatch(path):
                return await self.answer(request, command, [group or "" for group in match.groups()])
        raise NotFoundError()


def configured_mount(proxies: Sequence[type[ConfiguredProxy]]) -> PatternMount:
    """The mount of proxies that settings or a file name."""
    return PatternMount([(proxy.pattern, proxy) for proxy in proxies])
