"""`tautomer call` and `tautomer call-raw`: one call from the command line (JSON-RPC reference, section 10)."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from pprint import pformat
from typing import Any, NoReturn

import msgspec
import rich_click as click

from tautomer.broker import Broker
from tautomer.cli.run import EXIT_FAILED, EXIT_USAGE, transporter_url
from tautomer.client import CalledServiceError, RemoteClient, RemoteServiceError
from tautomer.errors import (
    MoleculerError,
    ServiceNotAvailableError,
    ServiceNotFoundError,
    TautomerError,
    TransporterError,
)
from tautomer.protocol.jsonrpc import MESSAGES
from tautomer.settings import Settings
from tautomer.web.rpc.failures import failure_of

EXIT_UNREACHABLE = 3

_json = click.option("--json", "as_json", is_flag=True, help="Print the result alone, as JSON.")
_timeout = click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), default=10.0, metavar="SECONDS", help="[default: 10]"
)
_token = click.option("--token", metavar="TOKEN", help="Sent as X-Api-Token.")
_headers = click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="One more header.")
_params = click.argument("params", nargs=-1, metavar="[K=TEXT | K:=JSON | @FILE.json]…")


@click.command("call")
@click.argument("name")
@click.argument("method")
@_params
@click.option("--registry", metavar="URL", help="Ask this JSON-RPC registry where the service is.")
@click.option("-t", "--transporter", metavar="URL", help="Message broker. [default: $TRANSPORTER, else $NATS_URL]")
@click.option("-n", "--namespace", metavar="NAME", default="", help="Of the nodes that are meant.")
@_token
@_headers
@_timeout
@_json
def call_command(
    name: str,
    method: str,
    params: Sequence[str],
    registry: str | None,
    transporter: str | None,
    namespace: str,
    token: str | None,
    headers: Sequence[str],
    timeout: float,
    as_json: bool,
) -> None:
    """Call METHOD of the service NAME: over the mesh, or with --registry by JSON-RPC."""
    given = read_params(params)
    if registry is not None:
        settings: dict[str, Any] = {"headers": read_headers(headers, token), "timeout": timeout}
        with reporting():
            begun = time.perf_counter()
            client = RemoteClient.get_service_by_name(registry, name, **settings)
            found = time.perf_counter() - begun
            with client:
                say([f"Service identification: {found:.5f} seconds", *told_of(client)], as_json)
                finish(
                    lambda: (
                        client.methods[method](**given) if isinstance(given, dict) else client.methods[method](*given)
                    ),
                    as_json,
                )
        return
    url = transporter_url(transporter)
    if url is None:
        usage("there is no message broker to ask: give -t URL, set TRANSPORTER, or give --registry URL")
    if token or headers:
        usage("--token and -H are for JSON-RPC: they go with --registry")
    with reporting(f"{name}.{method}", timeout):
        asyncio.run(_over_the_mesh(url, namespace, name, method, given, timeout, as_json))


@click.command("call-raw")
@click.argument("url")
@click.argument("method")
@_params
@_token
@_headers
@_timeout
@_json
def call_raw_command(
    url: str,
    method: str,
    params: Sequence[str],
    token: str | None,
    headers: Sequence[str],
    timeout: float,
    as_json: bool,
) -> None:
    """Call METHOD of the JSON-RPC service at URL, http:… or ws:…"""
    given = read_params(params)
    if not re.match(r"(https?|wss?)://", url, re.IGNORECASE):
        usage(f"'{url}': where a service is is a URL with http:, https:, ws: or wss:")
    with reporting(), RemoteClient(url, headers=read_headers(headers, token), timeout=timeout) as client:
        call = client.methods[method]
        finish(lambda: call(**given) if isinstance(given, dict) else call(*given), as_json)


async def _over_the_mesh(
    url: str, namespace: str, name: str, method: str, params: Any, timeout: float, as_json: bool
) -> None:
    settings = Settings(transporter=url, namespace=namespace, log_level="ERROR")
    async with Broker(settings=settings) as broker:
        begun = time.perf_counter()
        try:
            await broker.wait_for_services([name], timeout)
        except MoleculerError:
            raise ServiceNotFoundError(f"{name}.{method}") from None
        say(
            [
                f"Service identification: {time.perf_counter() - begun:.5f} seconds",
                f"Service name: {name}",
                f"Service URL : {without_password(url)}",
            ],
            as_json,
        )
        begun = time.perf_counter()
        result = await broker.call(f"{name}.{method}", params, timeout=timeout)
        show(result, time.perf_counter() - begun, as_json)


# --- what is written ---


def read_params(words: Sequence[str]) -> Any:
    """Params by name; ``@file.json`` gives all of them, a list too."""
    params: dict[str, Any] = {}
    for word in words:
        if word.startswith("@"):
            if len(words) > 1:
                usage(f"'{word}' stands for all params, so it stands alone")
            try:
                found = json.loads(Path(word[1:]).read_text("utf-8"))
            except (OSError, ValueError) as error:
                usage(f"'{word}': {error}")
            if not isinstance(found, dict | list):
                usage(f"'{word}' holds {type(found).__name__}; params are an object or a list")
            return found
        name, _, value = word.partition("=")
        if name.endswith(":"):
            try:
                params[name[:-1]] = json.loads(value)
            except ValueError as error:
                usage(f"'{word}' is not JSON behind ':=': {error}")
        else:
            params[name] = value
    return params


def read_headers(words: Sequence[str], token: str | None) -> dict[str, str]:
    headers = {} if token is None else {"X-Api-Token": token}
    for word in words:
        name, colon, value = word.partition(":")
        if not colon or not name.strip():
            usage(f"a header is 'Name: value', not '{word}'")
        headers[name.strip()] = value.strip()
    return headers


# --- what is said ---


def without_password(url: str) -> str:
    return re.sub(r"//[^/]*@", "//", url)


def told_of(client: RemoteClient) -> list[str]:
    return [f"Service name: {client.name}", f"Service URL : {client.url}"]


def say(lines: Sequence[str], as_json: bool) -> None:
    for line in () if as_json else lines:
        click.echo(f"[!] {line}")


def finish(call: Callable[[], Any], as_json: bool) -> None:
    begun = time.perf_counter()
    result = call()
    show(result, time.perf_counter() - begun, as_json)


def show(result: Any, seconds: float, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(result).decode())
        return
    say([f"Method call: {seconds:.5f} seconds", "Result:"], as_json)
    click.echo(f"\n{pformat(result)}")


class reporting:
    """Turns what was raised into a line on standard error and an exit code.

    Args:
        action: What is called over the mesh, None for JSON-RPC.
    """

    def __init__(self, action: str | None = None, timeout: float | None = None) -> None:
        self._action = action
        self._timeout = timeout

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, CalledServiceError):
            if error.code is None:
                fail(error.message, EXIT_UNREACHABLE)
            fail(f"error {error.code}: {error.message}{detail(error.data)}", EXIT_FAILED)
        if isinstance(
            error, RemoteServiceError | ServiceNotFoundError | ServiceNotAvailableError | TransporterError | OSError
        ):
            fail(str(error), EXIT_UNREACHABLE)
        if isinstance(error, AttributeError) and self._action is None:
            fail(f"error -32601: {error}", EXIT_FAILED)
        if isinstance(error, MoleculerError) and self._action is not None:
            failure = failure_of(error, self._action, "", self._timeout, True)
            data = msgspec.json.decode(failure.data) if isinstance(failure.data, msgspec.Raw) else failure.data
            fail(f"error {failure.code}: {failure.message or MESSAGES.get(failure.code)}{detail(data)}", EXIT_FAILED)
        if isinstance(error, TautomerError):
            fail(str(error), EXIT_FAILED)


def detail(data: Any) -> str:
    """What is known beyond code and message, in brackets."""
    if not isinstance(data, dict):
        return ""
    faults = [one["message"] for one in data.get("errors") or () if isinstance(one, dict) and one.get("message")]
    said = "; ".join(faults) or data.get("reason") or data.get("info") or data.get("method") or data.get("requestID")
    return f" ({said})" if said else ""


def fail(message: str, code: int) -> NoReturn:
    click.echo(message if message.startswith("error ") else f"tautomer: {message}", err=True)
    sys.exit(code)


def usage(message: str) -> NoReturn:
    fail(message, EXIT_USAGE)
