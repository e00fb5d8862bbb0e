"""Methods: what of a gateway's service its settings may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tautomer.settings import nearest
from tautomer.web.routing.aliases import snake

__all__ = ["Methods"]

# What people put in the place of moleculer-web's own methods, and what does that here.
_NEVER_CALLED: Final = {
    "check_origin": "`cors.origin` takes a function",
    "check_whitelist": "`whitelist` takes expressions, `authorization` a function",
    "check_blacklist": "`blacklist` takes expressions, `authorization` a function",
    "error_handler": "`onError` gives any answer to any error",
    "send_error": "`onError` gives any answer to any error",
    "send404": "`onError` gives any answer to any error",
    "encode_response": "`onAfterCall` changes the result, a stage in `use` the reply",
    "send_response": "`onAfterCall` changes the result, a stage in `use` the reply",
    "parse_query_string": "`qsOptions` says how queries are read",
}


class Methods:
    """The methods that somebody wrote into a service, by name; ``requireAdmin`` and ``require_admin`` are one.

    Only those, and none that begins with ``_``: a name may come with a route from another node.
    """

    def __init__(self, methods: Mapping[str, Callable[..., Any]]) -> None:
        self._methods = {snake(name): method for name, method in methods.items()}

    @classmethod
    def of(cls, service: object, sources: Sequence[type], base: type) -> Methods:
        """Those of a service.

        Args:
            sources: The classes they are taken from, the weakest first.
            base: The class whose own methods are none of them.
        """
        found: dict[str, Callable[..., Any]] = {}
        for source in sources:
            for one in reversed(source.__mro__):
                for name, value in vars(one).items():
                    # A function, or what stands for one: decorators may leave another callable. Not a property.
                    is_method = callable(value) or isinstance(value, classmethod)
                    is_own = not name.startswith("_") and not hasattr(base, name)
                    if is_own and is_method and hasattr(value, "__get__"):
                        found[snake(name)] = value.__get__(service, type(service))
        return cls(found)

    def never_called(self) -> list[str]:
        """What is told of methods that moleculer-web would call and this gateway does not."""
        return [
            f"the method '{name}' is not called by the gateway; {instead}"
            for name, instead in _NEVER_CALLED.items()
            if name in self._methods
        ]

    def find(self, name: str) -> Callable[..., Any] | None:
        return self._methods.get(snake(name))

    def need(self, name: str) -> Callable[..., Any]:
        """The method of that name.

        Raises:
            ValueError: There is none; the text goes on after the setting's name, and tells the nearest.
        """
        found = self.find(name)
        if found is None:
            hint = nearest(name, list(self._methods)) if self._methods else "; it has no methods of its own"
            raise ValueError(f"names the method '{name}', which the gateway's service does not have{hint}")
        return found
