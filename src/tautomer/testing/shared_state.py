"""A service is one object for all its calls: who sets something on it during a call is told so."""

from __future__ import annotations

import sys
import warnings
from types import CodeType, FrameType, FunctionType
from typing import Any

from tautomer.decorators import marks_of
from tautomer.service import Service

__all__ = ["SharedStateWarning", "unwatched", "watched"]


class SharedStateWarning(UserWarning):
    """A handler has set an attribute of its service, which all calls share, and so do threads."""


def watched(service: Service) -> None:
    """From now on warn where a handler sets an attribute of this service, unless its class says ``state = "shared"``."""
    cls = type(service)
    handlers = {
        function.__code__
        for base in cls.__mro__
        for function in vars(base).values()
        if isinstance(function, FunctionType) and marks_of(function)
    }
    # A service of which another process makes one anew is found there by its class.
    in_process = any(one.where == "process" for one in service.action_defs())
    if not handlers or in_process or getattr(service, "state", None) == "shared":
        return

    def set_attribute(self: Any, name: str, value: Any) -> None:
        if _in_one_of(handlers):
            warnings.warn(
                f"'{cls.__name__}.{name}' is set during a call: the service is one for all calls and threads of its node. "
                'Keep it in a dependency, or say `state = "shared"` in the class',
                SharedStateWarning,
                stacklevel=2,
            )
        super(cls, self).__setattr__(name, value)

    own = {"__setattr__": set_attribute, "__module__": cls.__module__, "__qualname__": cls.__qualname__}
    service.__class__ = type(cls.__name__, (cls,), {**own, "_watched_class": cls})


def unwatched(service: Service) -> None:
    """Warn no more."""
    service.__class__ = vars(type(service)).get("_watched_class", type(service))


def _in_one_of(handlers: set[CodeType]) -> bool:
    """Whether one of these functions runs above this one: on the loop those that await, in a thread its own."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code not in handlers:
        frame = frame.f_back
    return frame is not None
