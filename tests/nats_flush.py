"""Flushing the official NATS client, so that one can rely on it."""

from __future__ import annotations

from nats.aio.client import Client


async def flush(client: Client, seconds: float = 30.0) -> None:
    """Return when the server has taken all that the client said, subscriptions too.

    By a message to itself. The client's own `flush` is too early now and then: its PING goes straight to the
    socket and may overtake a SUB or PUB that still waits to be written.
    """
    inbox = client.new_inbox()
    echo = await client.subscribe(inbox, max_msgs=1)
    await client.publish(inbox, b"")
    await echo.next_msg(timeout=seconds)
