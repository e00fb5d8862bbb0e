"""`@command`: a function with the life of a command."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any, Generic, ParamSpec, overload

from tautomer.commands.command import Command
from tautomer.commands.fallback import UNSAID
from tautomer.commands.options import check_names

__all__ = ["CommandFunction", "command"]

P = ParamSpec("P")


class CommandFunction(Generic[P]):
    """A function that makes commands: ``await get_user(5)``, ``get_user(5).execute()``, ``get_user(5).queue()``.

    Attributes:
        command_class: Class of the commands.
    """

    def __init__(self, function: Callable[P, Any], command_class: type[Command]) -> None:
        update_wrapper(self, function)
        self.command_class = command_class

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Command:
        made = self.command_class()
        made.__dict__["_args"] = (args, kwargs)
        return made


@overload
def command(function: Callable[P, Any]) -> CommandFunction[P]: ...
@overload
def command(
    *,
    group: str = ...,
    key: str | None = ...,
    timeout: float | None = ...,
    fallback: Any = ...,
    cache_key: Callable[..., str | None] | None = ...,
    **options: Any,
) -> Callable[[Callable[P, Any]], CommandFunction[P]]: ...


def command(
    function: Callable[..., Any] | None = None,
    *,
    group: str = "default",
    key: str | None = None,
    timeout: float | None = 1.0,
    fallback: Any = UNSAID,
    cache_key: Callable[..., str | None] | None = None,
    **options: Any,
) -> Any:
    """Make a function a command.

    ```python
    @command(group="session", timeout=0.5, fallback=None)
    def get_user(cookie): ...
    ```

    Args:
        group: Name of the group.
        key: Which circuit; the function's qualified name if not given.
        timeout: Seconds for all of it; None for no limit.
        fallback: A value, a class of commands, or a function (``def`` or ``async def``) that is called with the same arguments.
        cache_key: Called with the same arguments; within one request the same key is run once.
        options: As the class attributes of `Command`.

    Raises:
        BrokerOptionsError: There is no such option.
    """
    check_names(options, "@command")

    def make(of: Callable[..., Any]) -> CommandFunction[Any]:
        said = {"group_key": group, "command_key": key or of.__qualname__, "timeout_seconds": timeout, **options}
        body: dict[str, Any] = {
            **said,
            "__module__": of.__module__,
            "__qualname__": of.__qualname__,
            "run": _method(of),
        }
        if isinstance(fallback, type):
            body["fallback"] = fallback
        elif callable(fallback):
            body["fallback"] = _method(fallback)
        elif fallback is not UNSAID:
            body["fallback_value"] = fallback
        if cache_key is not None:
            body["cache_key"] = _method(cache_key)
        return CommandFunction(of, type(of.__name__, (Command,), body))

    return make if function is None else make(function)


def _method(function: Callable[..., Any]) -> Callable[[Command], Any]:
    """The function as a method, which keeps its kind: it decides where it runs."""

    def called(self: Command) -> Any:
        args, kwargs = self.__dict__["_args"]
        return function(*args, **kwargs)

    if iscoroutinefunction(function):

        async def awaited(self: Command) -> Any:
            return await called(self)

        return awaited
    if isasyncgenfunction(function):

        async def yielded(self: Command) -> Any:
            async for item in called(self):
                yield item

        return yielded
    return called
