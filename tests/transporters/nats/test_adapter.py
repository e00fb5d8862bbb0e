"""The transporter against a real server, with the official client as the other end."""

from __future__ import annotations

import asyncio
import hashlib
import logging

import pytest
from nats.aio.client import Client as OracleClient
from nats.aio.msg import Msg

from tautomer.errors import BrokerDisconnectedError, PayloadTooLargeError, TransporterError
from tautomer.transporters.nats import NatsTransporter
from tests.nats_flush import flush
from tests.servers import NatsServer
from tests.transporters.nats.lines import Line, RecordingLink, until

pytestmark = pytest.mark.server


async def test_a_message_goes_from_one_to_the_other(line: Line, shared_server: NatsServer) -> None:
    _, link = await line.connect(shared_server.url, "MOL.REQ.a", "MOL.INFO")
    sender, _ = await line.connect(shared_server.url)

    sender.send("MOL.REQ.a", b"one")
    sender.send("MOL.INFO", b"two\r\nthree")
    sender.send("MOL.REQ.b", b"for somebody else")
    sender.send("MOL.REQ.a", b"")
    await until(lambda: len(link.messages) == 3)

    assert [("MOL.REQ.a", b"one"), ("MOL.INFO", b"two\r\nthree"), ("MOL.REQ.a", b"")] == link.messages


async def test_what_the_official_client_publishes_is_received(
    line: Line, shared_server: NatsServer, oracle: OracleClient
) -> None:
    _, link = await line.connect(shared_server.url, "from.oracle")

    await oracle.publish("from.oracle", b"plain")
    await oracle.publish("from.oracle", b"with reply", reply="some.where")
    await oracle.publish("from.oracle", b"with headers", headers={"A": "b"})
    await oracle.publish("from.oracle", b"", headers={"A": "b"})
    await flush(oracle)
    await until(lambda: len(link.messages) == 4)

    assert [b"plain", b"with reply", b"with headers", b""] == link.payloads


async def test_the_official_client_receives_what_is_sent(
    line: Line, shared_server: NatsServer, oracle: OracleClient
) -> None:
    got: list[Msg] = []

    async def keep(message: Msg) -> None:
        got.append(message)

    await oracle.subscribe("to.oracle", cb=keep)
    await flush(oracle)
    transporter, _ = await line.connect(shared_server.url)

    transporter.send("to.oracle", b"plain")
    transporter.send("to.oracle", b"asks", token="id-1")
    await until(lambda: len(got) == 2)

    assert [b"plain", b"asks"] == [message.data for message in got]
    assert "" == got[0].reply
    assert got[1].reply.startswith("_INBOX.")
    assert got[1].reply.endswith(".id-1")


async def test_a_topic_subscribed_twice_delivers_once(line: Line, shared_server: NatsServer) -> None:
    transporter, link = await line.connect(shared_server.url, "once", "once")
    await transporter.subscribe(["once"])

    transporter.send("once", b"x")
    transporter.send("once", b"end")
    await until(lambda: b"end" in link.payloads)

    assert [b"x", b"end"] == link.payloads


async def test_nobody_listening_is_told_by_token(line: Line, shared_server: NatsServer) -> None:
    transporter, link = await line.connect(shared_server.url, "someone.listens")

    transporter.send("nobody.listens", b"x", token="00000000-1111-2222-3333-000000000001")
    transporter.send("someone.listens", b"y", token="2")
    transporter.send("nobody.listens", b"x")
    transporter.send("nobody.listens", b"z", token="3")
    await until(lambda: len(link.tokens) == 2)

    assert ["00000000-1111-2222-3333-000000000001", "3"] == link.tokens
    assert [b"y"] == link.payloads


async def test_an_answer_to_the_inbox_is_ignored(line: Line, shared_server: NatsServer, oracle: OracleClient) -> None:
    async def answer(message: Msg) -> None:
        await message.respond(b"here")
        await oracle.publish(message.reply, b"here", headers={"A": "b"})

    await oracle.subscribe("answers", cb=answer)
    await flush(oracle)
    said = oracle.stats["out_msgs"]
    transporter, link = await line.connect(shared_server.url)

    transporter.send("answers", b"x", token="1")
    await until(lambda: oracle.stats["out_msgs"] == said + 2)
    await flush(oracle)
    transporter.send("nobody.there", b"x", token="2")
    await until(lambda: bool(link.tokens))

    assert ["2"] == link.tokens
    assert [] == link.messages


async def test_each_balanced_message_goes_to_one_of_the_group(line: Line, shared_server: NatsServer) -> None:
    links = []
    for _ in range(3):
        member, link = await line.connect(shared_server.url)
        await member.subscribe_balanced("MOL.REQB.math.add", "math.add")
        links.append(link)
    sender, _ = await line.connect(shared_server.url)

    for number in range(90):
        sender.send("MOL.REQB.math.add", b"%d" % number)
    await until(lambda: sum(len(link.messages) for link in links) >= 90)

    assert sorted(b"%d" % number for number in range(90)) == sorted(data for link in links for data in link.payloads)
    assert all(link.messages for link in links)


@pytest.mark.parametrize(
    ("topic", "sent"),
    [
        ("MOL.EVENTB.g.user.*", "MOL.EVENTB.g.user.created"),
        ("MOL.EVENTB.g.user.**", "MOL.EVENTB.g.user.created.now"),
        ("MOL.EVENTB.g.**.now", "MOL.EVENTB.g.user.created"),
    ],
)
async def test_wildcards_of_balanced_events_are_those_of_node(
    line: Line, shared_server: NatsServer, topic: str, sent: str
) -> None:
    transporter, link = await line.connect(shared_server.url)
    await transporter.subscribe_balanced(topic, "g")

    transporter.send(sent, b"x")
    await until(lambda: bool(link.messages))

    assert [(topic, b"x")] == link.messages


async def test_a_message_over_the_servers_bound_is_refused_and_the_line_stays(line: Line) -> None:
    with NatsServer(config="max_payload: 1000") as server:
        transporter, link = await line.connect(server.url, "a")

        with pytest.raises(PayloadTooLargeError, match=r"1001 bytes .* 1000"):
            transporter.send("a", b"x" * 1001)
        transporter.send("a", b"x" * 1000, token="1")
        await until(lambda: bool(link.messages))

        assert 1000 == transporter.message_bytes_max
        assert [b"x" * 1000] == link.payloads


@pytest.mark.parametrize("topic", ["a b", "a\r\nPUB b 0", "a\tb", "", "a..b", ".a", "a" * 4000, "a\x00", "\ud800"])
async def test_a_topic_that_would_write_commands_is_refused(line: Line, shared_server: NatsServer, topic: str) -> None:
    transporter, _ = await line.connect(shared_server.url)

    with pytest.raises(TransporterError, match="NATS"):
        transporter.send(topic, b"x")
    with pytest.raises(TransporterError, match="NATS"):
        await transporter.subscribe([topic])

    assert transporter.connected


@pytest.mark.parametrize("token", ["a b", "a\r\nPING", "", "x" * 300])
async def test_a_token_that_would_write_commands_is_refused(line: Line, shared_server: NatsServer, token: str) -> None:
    transporter, _ = await line.connect(shared_server.url)

    with pytest.raises(ValueError, match="token"):
        transporter.send("a", b"x", token=token)


async def test_a_link_that_raises_costs_one_message_and_one_log_line(
    line: Line, shared_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    transporter, link = await line.connect(shared_server.url, "a")

    def fail(_topic: str, data: bytes) -> None:
        if data == b"bad":
            raise KeyError("x")

    link.on_message = fail
    for data in (b"bad", b"bad", b"bad", b"good"):
        transporter.send("a", data)
    await until(lambda: b"good" in link.payloads)

    assert transporter.connected
    assert 2 == sum("taking in a message failed" in record.message for record in caplog.records)


async def test_messages_sent_before_connecting_arrive(line: Line, shared_server: NatsServer) -> None:
    _, link = await line.connect(shared_server.url, "early")
    transporter = line.make(shared_server.url)

    transporter.send("early", b"1")
    assert not transporter.connected
    assert transporter.message_bytes_max is None
    await transporter.connect(RecordingLink())
    transporter.send("early", b"2")
    await until(lambda: len(link.messages) == 2)

    assert [b"1", b"2"] == link.payloads
    assert transporter.connected


async def test_a_first_message_too_large_for_the_server_does_not_cost_the_line(line: Line) -> None:
    with NatsServer(config="max_payload: 1000") as server:
        transporter, link = line.make(server.url), RecordingLink()
        transporter.send("a", b"x" * 1001)
        transporter.send("a", b"kept")
        _, other = await line.connect(server.url, "a")

        await transporter.connect(link)
        await until(lambda: bool(other.messages))

        assert [b"kept"] == other.payloads
        assert [] == link.states


@pytest.mark.slow
@pytest.mark.parametrize("size", [100, 10_000, 700_000])
async def test_a_burst_of_10_mb_comes_whole_and_in_order(
    line: Line, shared_server: NatsServer, oracle: OracleClient, size: int
) -> None:
    count = 10_000_000 // size
    expected = hashlib.sha256()
    got = hashlib.sha256()
    arrived = 0
    _, link = await line.connect(shared_server.url, f"burst.{size}")
    sender, _ = await line.connect(shared_server.url)

    def take(_topic: str, data: bytes) -> None:
        nonlocal arrived
        arrived += 1
        got.update(data)
        link.messages.clear()

    link.on_message = take
    for number in range(count):
        data = b"%08d" % number * (size // 8)
        expected.update(data)
        sender.send(f"burst.{size}", data)
        if number % 1000 == 999:
            await sender.drain()
    await until(lambda: arrived == count)

    assert expected.hexdigest() == got.hexdigest()


async def test_close_hands_over_all_that_was_sent(line: Line, shared_server: NatsServer) -> None:
    _, link = await line.connect(shared_server.url, "last.words")
    sender, _ = await line.connect(shared_server.url)

    for number in range(5_000):
        sender.send("last.words", b"%d" % number)
    await sender.close()
    await until(lambda: len(link.messages) == 5_000)

    assert [b"%d" % number for number in range(5_000)] == link.payloads


async def test_close_delivers_what_was_on_its_way_and_lets_it_be_answered(
    line: Line, shared_server: NatsServer
) -> None:
    receiver, link = await line.connect(shared_server.url, "question")
    sender, answers = await line.connect(shared_server.url, "answer")
    link.on_message = lambda _topic, data: receiver.send("answer", data)

    for number in range(2_000):
        sender.send("question", b"%d" % number)
    await sender._client.outbox.emptied()
    await sender._client.round_trip()  # All of it is at the server, and most not yet here.
    await receiver.close()
    await until(lambda: len(answers.messages) == 2_000)

    assert [b"%d" % number for number in range(2_000)] == answers.payloads


async def test_closed_is_closed(line: Line, shared_server: NatsServer) -> None:
    transporter, link = await line.connect(shared_server.url, "a")

    await transporter.close()
    await transporter.close()
    await transporter.drain()

    assert not transporter.connected
    assert [] == link.states
    with pytest.raises(BrokerDisconnectedError, match="closed"):
        transporter.send("a", b"x")
    with pytest.raises(BrokerDisconnectedError, match="closed"):
        await transporter.subscribe(["b"])


async def test_nothing_is_left_after_close(line: Line, shared_server: NatsServer) -> None:
    before = asyncio.all_tasks()
    transporter, _ = await line.connect(shared_server.url, "a")

    await transporter.close()

    assert before == asyncio.all_tasks()


async def test_a_permission_that_is_missing_is_said_once_and_the_line_stays(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    config = 'authorization { users = [{user: u, password: p, permissions: {publish: {deny: "secret"}}}] }'
    with NatsServer(config=config) as server:
        transporter, link = await line.connect(server.url, "open", user="u", password="p")

        for _ in range(3):
            transporter.send("secret", b"x")
        transporter.send("open", b"x")
        await until(lambda: bool(link.messages))

        assert transporter.connected
        assert 1 == sum("Permissions Violation" in record.getMessage() for record in caplog.records)


async def test_a_server_without_headers_serves_but_cannot_tell_that_nobody_listens(line: Line) -> None:
    with NatsServer(config="no_header_support: true") as server:
        transporter, link = await line.connect(server.url, "a")

        transporter.send("nobody", b"x", token="1")
        transporter.send("a", b"x", token="2")
        await until(lambda: bool(link.messages))

        assert [] == link.tokens


async def test_the_connection_has_a_name_and_the_url_no_secret(line: Line) -> None:
    with NatsServer("--user", "u", "--pass", "hush") as server:
        transporter, _ = await line.connect(f"nats://u:hush@{server.address}", name="node-1")

        assert server.url == transporter.url
        assert "nats" == transporter.name


def test_an_address_that_cannot_be_read_is_refused_at_once() -> None:
    with pytest.raises(TransporterError, match="redis"):
        NatsTransporter("redis://127.0.0.1:6379")


async def test_states_are_logged_and_secrets_are_not(line: Line, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with NatsServer("--user", "u", "--pass", "hush-hush") as server:
        transporter, _ = await line.connect(f"nats://u:hush-hush@{server.address}")
        server.kill()
        await until(lambda: not transporter.connected)
        await until(lambda: any("no connection to NATS" in record.getMessage() for record in caplog.records))
        await transporter.close()

    said = " ".join(str(vars(record)) for record in caplog.records if record.name.startswith("tautomer"))
    assert f"connected to NATS at {server.url}" in said
    assert f"lost the connection to NATS at {server.url}" in said
    assert "connection refused" in said
    assert "hush" not in said
