"""Credentials and TLS against a real server."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import sys
from pathlib import Path

import nkeys
import pytest
import trustme

from tautomer.errors import TransporterError
from tautomer.transporters.nats import NatsTls
from tests.servers import NatsServer
from tests.transporters.nats.lines import Line, RecordingLink, until

pytestmark = pytest.mark.server


async def hear_oneself(line: Line, url: str, **options: object) -> None:
    """The whole way: sign in, subscribe, publish, receive."""
    transporter, link = await line.connect(url, "a", **options)
    transporter.send("a", b"x")
    await until(lambda: bool(link.messages))


# User and password, token.


@pytest.mark.parametrize("where", ["url", "options"])
async def test_user_and_password_are_shown(line: Line, where: str) -> None:
    with NatsServer("--user", "me", "--pass", "p:/@%?") as server:
        if where == "url":
            await hear_oneself(line, f"nats://me:p%3A%2F%40%25%3F@{server.address}")
        else:
            await hear_oneself(line, server.url, user="me", password="p:/@%?")


@pytest.mark.parametrize("where", ["url", "options"])
async def test_a_token_is_shown(line: Line, where: str) -> None:
    with NatsServer("--auth", "s3cret") as server:
        if where == "url":
            await hear_oneself(line, f"nats://s3cret@{server.address}")
        else:
            await hear_oneself(line, server.url, token="s3cret")


@pytest.mark.parametrize("options", [{}, {"user": "me", "password": "wrong-one"}, {"token": "wrong-one"}])
async def test_refused_credentials_are_a_clear_error_at_once(line: Line, options: dict[str, str]) -> None:
    with NatsServer("--user", "me", "--pass", "right") as server:
        transporter = line.make(server.url, **options)

        with pytest.raises(TransporterError) as refused:
            await asyncio.wait_for(transporter.connect(RecordingLink()), 10)

    assert server.url in str(refused.value)
    assert "Authorization Violation" in str(refused.value)
    assert "check user, password, token" in str(refused.value)
    assert "wrong-one" not in str(refused.value)


@pytest.mark.slow
async def test_credentials_refused_later_are_said_and_tried_again(
    line: Line, server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that comes back with another configuration may get the right one next."""
    transporter, _ = await line.connect(server.url)

    server.kill()
    server.args = ("--auth", "changed")
    server.start()
    await until(lambda: any("Authorization Violation" in record.getMessage() for record in caplog.records))
    server.kill()
    server.args = ()
    server.start()
    await until(lambda: transporter.connected)

    assert 1 == sum("Authorization Violation" in record.getMessage() for record in caplog.records)


# Keys.


def key_pair(kind: int) -> tuple[str, nkeys.KeyPair]:
    seed = nkeys.encode_seed(os.urandom(32), prefix=kind)
    return seed.decode(), nkeys.from_seed(seed)


def public(pair: nkeys.KeyPair) -> str:
    return str(pair.public_key.decode())


async def test_a_seed_signs_in(line: Line) -> None:
    seed, pair = key_pair(nkeys.PREFIX_BYTE_USER)
    with NatsServer(config=f"authorization {{ users = [{{nkey: {public(pair)}}}] }}") as server:
        await hear_oneself(line, server.url, nkey_seed=seed)


async def test_another_seed_does_not(line: Line) -> None:
    _, pair = key_pair(nkeys.PREFIX_BYTE_USER)
    other, _ = key_pair(nkeys.PREFIX_BYTE_USER)
    with (
        NatsServer(config=f"authorization {{ users = [{{nkey: {public(pair)}}}] }}") as server,
        pytest.raises(TransporterError, match="Authorization Violation"),
    ):
        await line.connect(server.url, nkey_seed=other)


def jwt(claims: dict[str, object], issuer: nkeys.KeyPair) -> str:
    """A NATS JWT, version 2."""

    def encoded(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    head = encoded(json.dumps({"typ": "JWT", "alg": "ed25519-nkey"}).encode())
    body = encoded(json.dumps({"jti": "x", "iat": 1_700_000_000, "iss": public(issuer), **claims}).encode())
    return f"{head}.{body}.{encoded(issuer.sign(f'{head}.{body}'.encode()))}"


def operator_config_and_credentials() -> tuple[str, str]:
    """A server's configuration in operator mode, and the .creds file of a user that it lets in."""
    _, operator = key_pair(nkeys.PREFIX_BYTE_OPERATOR)
    _, account = key_pair(nkeys.PREFIX_BYTE_ACCOUNT)
    seed, user = key_pair(nkeys.PREFIX_BYTE_USER)
    all_of_it = dict.fromkeys(["subs", "data", "payload", "imports", "exports", "conn", "leaf"], -1)
    operator_jwt = jwt({"sub": public(operator), "name": "O", "nats": {"type": "operator", "version": 2}}, operator)
    account_claims = {"limits": {**all_of_it, "wildcards": True}, "type": "account", "version": 2}
    account_jwt = jwt({"sub": public(account), "name": "A", "nats": account_claims}, operator)
    user_claims = {"subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2}
    user_jwt = jwt({"sub": public(user), "name": "U", "nats": user_claims}, account)
    config = f"operator: {operator_jwt}\nresolver: MEMORY\nresolver_preload: {{ {public(account)}: {account_jwt} }}"
    credentials = (
        f"-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n"
        "************************* IMPORTANT *************************\nKeep it.\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
    return config, credentials


async def test_a_credentials_file_signs_in(line: Line, tmp_path: Path) -> None:
    config, credentials = operator_config_and_credentials()
    file = tmp_path / "user.creds"
    file.write_text(credentials)

    with NatsServer(config=config) as server:
        await hear_oneself(line, server.url, credentials_file=str(file))


async def test_a_credentials_file_that_is_not_there_is_a_clear_error(line: Line, shared_server: NatsServer) -> None:
    with pytest.raises(TransporterError, match=r"nowhere\.creds' cannot be read"):
        await line.connect(shared_server.url, credentials_file="/nowhere.creds")


async def test_a_missing_nkeys_package_is_named_with_its_remedy(
    line: Line, shared_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nkeys", None)

    with pytest.raises(TransporterError, match=r'pip install "tautomer\[nats\]"'):
        await line.connect(shared_server.url, nkey_seed="SUX")


async def test_a_broken_seed_is_refused_without_showing_it(line: Line, shared_server: NatsServer) -> None:
    with pytest.raises(TransporterError, match="seed cannot be used") as refused:
        await line.connect(shared_server.url, nkey_seed="SUBROKEN")

    assert "SUBROKEN" not in str(refused.value)


# TLS.


class Certificates:
    """One authority, a certificate for the server and one for the client, as files."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca = str(folder / "ca.pem")
        self.server = str(folder / "server.pem")
        self.client = str(folder / "client.pem")
        authority.cert_pem.write_to_path(self.ca)
        authority.issue_cert("127.0.0.1", "nats.example").private_key_and_cert_chain_pem.write_to_path(self.server)
        authority.issue_cert("client@example.org").private_key_and_cert_chain_pem.write_to_path(self.client)

    def config(self, more: str = "") -> str:
        return f"tls {{ cert_file: '{self.server}', key_file: '{self.server}', ca_file: '{self.ca}'\n{more} }}"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def secure(server: NatsServer) -> str:
    return f"tls://{server.address}"


async def test_the_line_is_encrypted(line: Line, certificates: Certificates) -> None:
    with NatsServer(config=certificates.config()) as server:
        await hear_oneself(line, secure(server), tls=NatsTls(ca_file=certificates.ca))


async def test_tls_before_the_first_byte(line: Line, certificates: Certificates) -> None:
    with NatsServer(config=certificates.config("handshake_first: true")) as server:
        await hear_oneself(line, secure(server), tls=NatsTls(ca_file=certificates.ca, handshake_first=True))


async def test_a_server_that_insists_on_tls_gets_it_without_being_asked(line: Line, certificates: Certificates) -> None:
    with NatsServer(config=certificates.config()) as server:
        await hear_oneself(line, server.url, tls=NatsTls(ca_file=certificates.ca))


async def test_a_client_certificate_is_shown(line: Line, certificates: Certificates) -> None:
    tls = NatsTls(ca_file=certificates.ca, cert_file=certificates.client, server_name="nats.example")
    with NatsServer(config=certificates.config("verify: true")) as server:
        await hear_oneself(line, secure(server), tls=tls)


@pytest.mark.parametrize("first", [False, True])
async def test_a_certificate_of_nobody_we_know_is_refused(line: Line, certificates: Certificates, first: bool) -> None:
    with (
        NatsServer(config=certificates.config(f"handshake_first: {str(first).lower()}")) as server,
        pytest.raises(TransporterError, match=r"certificate .* is not believed.*tls\.ca_file"),
    ):
        await line.connect(secure(server), tls=NatsTls(handshake_first=first))


async def test_a_certificate_for_another_name_is_refused(line: Line, certificates: Certificates) -> None:
    with (
        NatsServer(config=certificates.config()) as server,
        pytest.raises(TransporterError, match=r"certificate .* is not believed"),
    ):
        await line.connect(secure(server), tls=NatsTls(ca_file=certificates.ca, server_name="else.example"))


async def test_verifying_can_be_turned_off_by_name(line: Line, certificates: Certificates) -> None:
    with NatsServer(config=certificates.config()) as server:
        await hear_oneself(line, secure(server), tls=NatsTls(insecure_skip_verify=True))


async def test_no_secret_goes_to_a_server_without_tls(line: Line) -> None:
    heard = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        writer.write(b"INFO {}\r\n")
        heard = await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as fake:
        port = fake.sockets[0].getsockname()[1]
        with pytest.raises(TransporterError, match="offers no TLS"):
            await line.connect(f"tls://u:secret@127.0.0.1:{port}")

    assert b"" == heard


async def test_a_server_that_gives_up_during_the_tls_handshake_is_tried_again(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    greeted = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal greeted
        greeted += 1
        writer.write(b'INFO {"tls_required":true}\r\n')
        if greeted % 2:
            await reader.read(10)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as fake:
        transporter = line.make(f"tls://127.0.0.1:{fake.sockets[0].getsockname()[1]}")
        connecting = asyncio.ensure_future(transporter.connect(RecordingLink()))
        await until(lambda: greeted >= 4)
        assert not connecting.done()
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting

    assert any("no connection to NATS (tls://" in record.getMessage() for record in caplog.records)


async def test_a_tls_file_that_is_not_there_is_a_clear_error(line: Line, certificates: Certificates) -> None:
    with (
        NatsServer(config=certificates.config()) as server,
        pytest.raises(TransporterError, match=r"TLS files .*nowhere\.pem"),
    ):
        await line.connect(secure(server), tls=NatsTls(ca_file="/nowhere.pem"))


@pytest.mark.slow
async def test_an_encrypted_line_comes_back_and_carries_much(
    line: Line, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with NatsServer(config=certificates.config()) as server:
        transporter, link = await line.connect(secure(server), "a", tls=NatsTls(ca_file=certificates.ca))
        server.kill()
        await until(lambda: not transporter.connected)
        server.start()
        await until(lambda: transporter.connected)

        for number in range(200):
            transporter.send("a", b"%03d" % number + b"x" * 50_000)
            await transporter.drain()
        await until(lambda: len(link.messages) == 200)

        assert [b"%03d" % number for number in range(200)] == [data[:3] for data in link.payloads]
