"""Services whose dependencies are replaced: `worker_factory` for one without a node, `replace_dependencies` at a node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from unittest.mock import MagicMock

from tautomer.providers.pending import Pending
from tautomer.providers.provider import BOUND, DependencyProvider, providers_in
from tautomer.providers.rpc_proxy import RpcProxy
from tautomer.service import Service

__all__ = ["ExtensionNotFound", "replace_dependencies", "worker_factory"]

S = TypeVar("S")


class ExtensionNotFound(AttributeError):
    """A service has no dependency, or no method that is called from outside, of that name."""


def worker_factory(service_cls: Callable[[], S], **dependencies: Any) -> S:
    """An instance of a service class at no node, for tests that call its methods themselves.

    Its dependencies are `MagicMock`s, or what is given. Calls of the mock of an `RpcProxy` are as those of the real one: to be
    awaited on an event loop, anywhere else with the result.

    ```python
    service = worker_factory(Conversions)
    service.maths.multiply.side_effect = lambda x, y: x * y
    assert 762 == service.inches_to_cm(300)
    ```

    Raises:
        ExtensionNotFound: The class has no dependency of one of these names.
    """
    service = service_cls()
    patterns = dict(providers_in(service))
    _refuse_unknown(dependencies, patterns, service)
    for name, pattern in patterns.items():
        setattr(service, name, dependencies[name] if name in dependencies else mock_of(pattern))
    return service


def replace_dependencies(service: Service, *names: str, **dependencies: Any) -> Any:
    """Put mocks, or what is given, in the place of a service's dependencies, whose providers are then never set up.

    That is done before the service starts: between ``broker.create_service(Users)`` and ``broker.start()``.

    Returns:
        The mock of the only one of `names`, or all of them in that order.

    Raises:
        RuntimeError: The service has started, or a name is given twice.
        ExtensionNotFound: It has no dependency of one of these names.
    """
    if "actions" in vars(service):
        raise RuntimeError(f"'{service.full_name}' has started: its dependencies are replaced before that")
    if twice := set(names) & dependencies.keys():
        raise RuntimeError(f"{', '.join(sorted(twice))}: by name alone and with a stand-in")
    bound: dict[str, DependencyProvider] = getattr(service, BOUND, {})
    _refuse_unknown([*names, *dependencies], bound, service)
    mocks = {name: mock_of(bound[name]) for name in names}
    for name, stand_in in {**mocks, **dependencies}.items():
        del bound[name]
        setattr(service, name, stand_in)
    made = tuple(mocks.values())
    return made[0] if len(made) == 1 else made


def mock_of(provider: DependencyProvider) -> MagicMock:
    """What stands in for a dependency about which nothing was said."""
    return ProxyMock() if isinstance(provider, RpcProxy) else MagicMock()


class ProxyMock(MagicMock):
    """A mock whose calls are awaited on an event loop, as those of an `RpcProxy` are."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = super().__call__(*args, **kwargs)
        if asyncio._get_running_loop() is None or asyncio.iscoroutine(result):
            return result
        return Pending(lambda: _given(result), f"call of {self._extract_mock_name()}")

    def _get_child_mock(self, **options: Any) -> MagicMock:
        if options.get("_new_name") == "call_async":
            # It acts at once; the result of its handle is asked for as that of a call.
            return MagicMock(return_value=ProxyMock(), **options)
        return MagicMock(**options) if options.get("_new_name") == "()" else super()._get_child_mock(**options)


def _given(result: Any) -> Coroutine[Any, Any, Any]:
    async def given() -> Any:
        return result

    return given()


def _refuse_unknown(names: Any, known: Any, service: object) -> None:
    if unknown := [name for name in names if name not in known]:
        there = ", ".join(known) or "none"
        raise ExtensionNotFound(
            f"{type(service).__name__} has no dependency '{unknown[0]}'; it has: {there}", name=unknown[0], obj=service
        )
