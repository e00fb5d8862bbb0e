"""How a gateway is reached: TLS, Unix sockets, several gateways on one node, other servers."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme

from tautomer import ApiGatewayService, Broker, Context, Service, action
from tautomer.errors import BrokerOptionsError, ServiceSchemaError
from tautomer.web.settings.loading import read_settings
from tests.web.conftest import OpenDoor
from tests.web.door import ask, gateway, parse

ROUTES = [{"aliases": {"GET /x": lambda request: {"scheme": request.scheme, "client": request.client}}}]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def pair(authority: trustme.CA) -> Mapping[str, str]:
    made = authority.issue_cert("localhost", "127.0.0.1")
    cert = "".join(blob.bytes().decode() for blob in made.cert_chain_pems)
    return {"key": made.private_key_pem.bytes().decode(), "cert": cert}


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def ask_tls(port: int, context: ssl.SSLContext, head: str = "GET /x HTTP/1.1") -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    try:
        writer.write(f"{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(10):
            return parse(await reader.read()), writer.get_extra_info("ssl_object")
    finally:
        writer.close()


# --- TLS ---


async def test_pem_texts_serve_tls(door: OpenDoor, authority: trustme.CA, pair: Mapping[str, str]):
    at = await door(routes=ROUTES, https=pair)
    context = trusting(authority)
    context.set_alpn_protocols(["h2", "http/1.1"])

    answer, tls = await ask_tls(at.port, context)

    assert {"scheme": "https", "client": "127.0.0.1"} == answer.json
    assert ("TLSv1.3", "http/1.1") == (tls.version(), tls.selected_alpn_protocol())


@pytest.mark.parametrize("kind", [str, Path, bytes])
async def test_paths_and_bytes_serve_it_too(
    door: OpenDoor, authority: trustme.CA, pair: Mapping[str, str], tmp_path: Path, kind: Any
):
    https: dict[str, Any] = {}
    for name, text in pair.items():
        (tmp_path / name).write_text(text)
        https[name] = text.encode() if kind is bytes else kind(tmp_path / name)
    at = await door(routes=ROUTES, https=https)

    assert 200 == (await ask_tls(at.port, trusting(authority)))[0].status


async def test_an_encrypted_key_needs_its_passphrase(door: OpenDoor, authority: trustme.CA, pair: Mapping[str, str]):
    from cryptography.hazmat.primitives import serialization

    plain = serialization.load_pem_private_key(pair["key"].encode(), None)
    key = plain.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"sesame")
    )
    at = await door(routes=ROUTES, https={**pair, "key": key, "passphrase": "sesame"})

    assert 200 == (await ask_tls(at.port, trusting(authority)))[0].status
    assert "key is encrypted: set 'passphrase'" in fault(https={**pair, "key": key})
    assert "key cannot be read with this passphrase" in fault(https={**pair, "key": key, "passphrase": "open"})


async def test_old_versions_are_not_spoken(door: OpenDoor, authority: trustme.CA, pair: Mapping[str, str]):
    at = await door(routes=ROUTES, https={**pair, "minVersion": "TLSv1.3"})
    context = trusting(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    with pytest.raises((ssl.SSLError, ConnectionError)):
        await ask_tls(at.port, context)


async def test_plain_http_on_the_port_gets_no_answer(door: OpenDoor, pair: Mapping[str, str]):
    at = await door(routes=ROUTES, https=pair)

    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    writer.write(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
    try:
        async with asyncio.timeout(10):
            assert not (await reader.read()).startswith(b"HTTP")
    except ConnectionError:
        pass
    writer.close()


async def test_clients_may_have_to_show_a_certificate(door: OpenDoor, authority: trustme.CA, pair: Mapping[str, str]):
    at = await door(routes=ROUTES, https={**pair, "ca": [authority.cert_pem.bytes().decode()], "requestCert": True})
    known = trusting(authority)
    authority.issue_cert("client@example.org").configure_cert(known)

    assert 200 == (await ask_tls(at.port, known))[0].status
    with pytest.raises((ssl.SSLError, ConnectionError, ValueError)):
        await ask_tls(at.port, trusting(authority))


def fault(**settings: Any) -> str:
    with pytest.raises(ServiceSchemaError) as raised:
        read_settings(settings, {})
    return "\n".join(raised.value.data["faults"])


async def test_wrong_keys_and_certificates_are_told_at_start(pair: Mapping[str, str], authority: trustme.CA):
    other = authority.issue_cert("localhost").private_key_pem.bytes().decode()

    assert "settings.https needs both 'key' and 'cert'" == fault(https={"key": pair["key"]})
    assert "settings.https.key does not belong to cert" in fault(https={**pair, "key": other})
    assert "settings.https.cert holds no certificate" in fault(https={**pair, "cert": pair["key"]})
    assert "settings.https.key holds no private key" in fault(https={**pair, "key": pair["cert"]})
    assert "settings.https.ca holds no certificate" in fault(https={**pair, "ca": pair["key"]})
    assert "settings.https.key is PEM text, or the path of a PEM file; '/none' cannot be read: No such" in fault(
        https={**pair, "key": "/none"}
    )
    assert "settings.https.ciphers" in fault(https={**pair, "ciphers": "NONSENSE"})
    assert "settings.https.minVersion is one of TLSv1.2, TLSv1.3" in fault(https={**pair, "minVersion": "TLSv1.1"})
    assert "settings.https.pfx is not supported yet: give 'key' and 'cert'" in fault(https={**pair, "pfx": b"x"})
    assert "rejectUnauthorized" in fault(https={**pair, "requestCert": True, "rejectUnauthorized": False})
    assert "settings.https.passphrase is a text" == fault(https={**pair, "passphrase": 12345})


@pytest.mark.parametrize("bad", ["-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n", 5, b"c2VjcmV0"])
def test_no_fault_tells_what_is_in_a_key(pair: Mapping[str, str], bad: Any):
    assert "c2VjcmV0" not in fault(https={**pair, "key": bad})


@pytest.mark.parametrize("name", ["https", "HTTPS"])
async def test_no_other_node_learns_the_key(door: OpenDoor, pair: Mapping[str, str], name: str):
    at = await door(routes=ROUTES, **{name: pair})

    told = repr([at.service.public_settings(), await at.broker.call("$node.services", {"withEndpoints": True})])

    assert "routes" in told
    assert "PRIVATE KEY" not in told


def test_http_2_is_for_other_servers(pair: Mapping[str, str]):
    told = fault(http2=True, https=pair)

    assert "set 'server' to False, and host its 'app' under hypercorn or granian" in told
    assert not read_settings({"http2": True, "server": False}, {})[0].server


def test_behind_another_server_tls_is_not_the_gateways(pair: Mapping[str, str]):
    assert "settings.https is the outer server's" in fault(server=False, https=pair)


@pytest.mark.parametrize("server", [object(), "uvicorn", 1])
def test_a_server_object_is_refused_with_the_reason(server: Any):
    assert "settings.server is true or false, no server object" in fault(server=server)


# --- Unix sockets ---


async def ask_unix(path: Path) -> Any:
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        writer.write(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return parse(await reader.read())
    finally:
        writer.close()


@pytest.mark.parametrize("spelling", ["socket", "ip"])
async def test_a_unix_socket_is_served(tmp_path: Path, spelling: str):
    path = tmp_path / "gateway.sock"
    settings = {"socket": str(path)} if spelling == "socket" else {"ip": f"unix:{path}"}
    made = ApiGatewayService(settings={"routes": ROUTES, "socketMode": "600", **settings})
    broker = Broker("n")
    await broker.register(made)

    async with broker:
        answer = await ask_unix(path)
        mode = stat.S_IMODE(path.stat().st_mode)
        port = made.port

    assert ({"scheme": "http", "client": ""}, 0o600, 0) == (answer.json, mode, port)
    assert not path.exists()


async def test_what_a_dead_process_left_is_taken_over(tmp_path: Path):
    path = tmp_path / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    made = gateway(*ROUTES, socket=str(path))
    broker = Broker("n")
    await broker.register(made)

    async with broker:
        assert 200 == (await ask_unix(path)).status


@pytest.mark.parametrize("backlog", [0, 5])
async def test_the_socket_of_a_living_process_is_left_to_it(tmp_path: Path, backlog: int):
    path = tmp_path / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(path))
        living.listen(backlog)
        broker = Broker("n")
        await broker.register(gateway(*ROUTES, socket=str(path)))

        with pytest.raises(BrokerOptionsError, match="another process listens there"):
            await broker.start()

    assert path.exists()


async def test_a_file_is_not_taken_for_a_socket(tmp_path: Path):
    path = tmp_path / "data"
    path.write_text("precious")
    broker = Broker("n")
    await broker.register(gateway(*ROUTES, socket=str(path)))

    with pytest.raises(BrokerOptionsError, match="no socket"):
        await broker.start()

    assert "precious" == path.read_text()


async def test_the_socket_of_a_successor_is_left_at_stop(tmp_path: Path):
    path = tmp_path / "gateway.sock"
    broker = Broker("n")
    await broker.register(gateway(*ROUTES, socket=str(path)))
    await broker.start()
    with socket.socket(socket.AF_UNIX) as successor:
        os.unlink(path)
        successor.bind(str(path))
        await broker.stop()
        assert path.exists()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"socket": "/a", "ip": "unix:/b"}, "both name a Unix socket"),
        ({"socket": ""}, "not an empty text"),
        ({"socketMode": 0o600}, "says nothing without 'socket'"),
        ({"socket": "/a", "socketMode": 660}, "is written '660' or 0o660"),
        ({"socket": "/a", "socketMode": "rw"}, "is written '660' or 0o660"),
    ],
)
def test_what_is_wrong_with_a_unix_socket_is_told(settings: dict[str, Any], told: str):
    assert told in fault(**settings)


def test_workers_cannot_share_a_unix_socket():
    with pytest.raises(ServiceSchemaError, match="cannot be shared by workers"):
        read_settings({"socket": "/a"}, {"TAUTOMER_WORKER": "w-1"})


# --- several gateways ---


class Users(Service):
    name = "users"

    @action(rest="GET /me")
    def me(self, ctx: Context) -> str:
        return ctx.caller or ""


async def test_two_gateways_on_one_node_have_ports_routes_and_ends_of_their_own():
    broker = Broker("n")
    await broker.register(Users())
    one = ApiGatewayService(
        "public", settings={"port": 0, "ip": "127.0.0.1", "routes": [{"aliases": {"GET /x": "users.me"}}]}
    )
    two = ApiGatewayService("inner", settings={"port": 0, "ip": "127.0.0.1", "routes": [{"autoAliases": True}]})
    await broker.register(one)
    await broker.register(two)
    async with broker:
        assert one.port != two.port
        assert ("public", 404) == ((await ask(one.port, "GET", "/x")).json, (await ask(two.port, "GET", "/x")).status)
        assert ("inner", 404) == (
            (await ask(two.port, "GET", "/users/me")).json,
            (await ask(one.port, "GET", "/users/me")).status,
        )
        aliases = {name: await broker.call(f"{name}.listAliases") for name in ("public", "inner")}
        assert ["users.me"] == [alias["actionName"] for alias in aliases["public"]]
        assert "users.me" in [alias["actionName"] for alias in aliases["inner"]]

        await broker.destroy_service(one)
        with pytest.raises(OSError):
            await ask(one.port, "GET", "/x")
        assert 200 == (await ask(two.port, "GET", "/users/me")).status


async def test_two_gateways_need_two_names():
    broker = Broker("n")
    await broker.register(gateway(*ROUTES))

    with pytest.raises(ServiceSchemaError, match="'api' is on this node already"):
        await broker.register(gateway(*ROUTES))


async def test_two_gateways_need_two_ports():
    broker = Broker("n")
    first = gateway(*ROUTES)
    await broker.register(first)
    async with broker:
        second = ApiGatewayService("second", settings={"port": first.port, "ip": "127.0.0.1", "routes": ROUTES})
        with pytest.raises(BrokerOptionsError, match="already in use"):
            await broker.register(second)
        assert 200 == (await ask(first.port, "GET", "/x")).status
