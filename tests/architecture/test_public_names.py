"""What `from tautomer import …` gives, and what it costs."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

import tautomer

PUBLIC = {
    "ApiGatewayService",
    "Application",
    "AsyncRemoteClient",
    "AuthToken",
    "BadRequest",
    "BaseValidationStrategy",
    "BasicCookieStrategy",
    "Broker",
    "Collapser",
    "Command",
    "Config",
    "ConnectionNotFound",
    "Context",
    "DependencyProvider",
    "EventDispatcher",
    "Forbidden",
    "HTTPProxy",
    "HTTPProxyCommand",
    "HeaderValidationStrategy",
    "HttpRequest",
    "Language",
    "MicroService",
    "Middleware",
    "NotFound",
    "RemoteClient",
    "RemoteService",
    "Response",
    "RpcProxy",
    "Service",
    "ServiceBroker",
    "ServiceRegistry",
    "Settings",
    "SharedProvider",
    "Stream",
    "UserAgent",
    "UserId",
    "WebSocketHub",
    "WebSocketHubProvider",
    "__version__",
    "action",
    "command",
    "component",
    "cron",
    "errors",
    "event",
    "exposed_method",
    "http",
    "private_api_method",
    "public_method",
    "request_context",
    "run",
    "timer",
    "websocket_rpc",
}

BY_MODULE = {
    "tautomer.broker": ["Broker", "ServiceBroker"],
    "tautomer.context": ["Context"],
    "tautomer.decorators": ["action", "event"],
    "tautomer.middleware": ["Middleware"],
    "tautomer.ports": ["Serializer", "Strategy", "Transporter", "Validator"],
    "tautomer.service": ["Service"],
    "tautomer.settings": ["Settings"],
    "tautomer.stream": ["Stream"],
}
"""Names that documentation, ours and Pylecular's, imports from their own modules."""


def test_the_public_names_are_these() -> None:
    everything: dict[str, object] = {}
    exec("from tautomer import *", everything)

    assert set(tautomer.__all__) == PUBLIC
    assert PUBLIC <= set(everything)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(tautomer, name) is not None


def test_run_is_the_function_also_when_its_module_was_imported_first() -> None:
    code = "import tautomer.runner, tautomer; print(callable(tautomer.run))"

    assert "True" == in_a_new_process(code)


@pytest.mark.parametrize("module", BY_MODULE)
def test_the_modules_give_their_names(module: str) -> None:
    found = importlib.import_module(module)

    assert [] == [name for name in BY_MODULE[module] if not hasattr(found, name)]


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        _ = tautomer.nothing_of_that_name  # type: ignore[attr-defined]  # That is the point.


KERNEL = "from tautomer import Broker, Context, Middleware, Service, Settings, Stream, action, errors, event"


def test_importing_it_alone_imports_next_to_nothing() -> None:
    code = """
import sys, tautomer
print(sorted(name for name in sys.modules if name.partition(".")[0] in ("tautomer", "asyncio", "msgspec", "typing")))
"""

    assert "['tautomer', 'tautomer._version']" == in_a_new_process(code)


def test_its_names_are_listed_before_they_are_used() -> None:
    assert set(tautomer.__all__) <= set(dir(tautomer))


def test_the_kernel_imports_of_third_parties_msgspec_only() -> None:
    code = f"""
import sys
before = set(sys.modules)
{KERNEL}
import json
added = {{name.partition(".")[0] for name in set(sys.modules) - before}} - set(sys.stdlib_module_names)
print(json.dumps(sorted(added)))
"""

    added = set(json.loads(in_a_new_process(code)))
    assert {"msgspec", "tautomer"} == added - {"typing_extensions"}  # Which msgspec itself takes where it is there.


def test_the_kernel_leaves_the_edges_for_later() -> None:
    code = f"""
import sys
{KERNEL}
print([name for name in ("tautomer.web", "tautomer.commands", "tautomer.runner", "tautomer.cli", "tautomer.loader") if name in sys.modules])
"""

    assert "[]" == in_a_new_process(code)


def in_a_new_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()
