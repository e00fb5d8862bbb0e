"""One HTTP/2 request over a plain socket, with prior knowledge."""

from __future__ import annotations

import asyncio

import h2.connection
import h2.events

from tests.web.door import Answer


async def ask_http2(port: int, method: str, target: str, body: bytes = b"") -> Answer:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    headers = [(":method", method), (":path", target), (":scheme", "http"), (":authority", "test")]
    if body:
        headers.append(("content-type", "application/json"))
    connection.send_headers(1, headers, end_stream=not body)
    if body:
        connection.send_data(1, body, end_stream=True)
    writer.write(connection.data_to_send())
    got: list[tuple[str, str]] = []
    content = b""
    try:
        async with asyncio.timeout(10):
            while True:
                for event in connection.receive_data(await reader.read(65536)):
                    if isinstance(event, h2.events.ResponseReceived):
                        got = [(str(name, "ascii"), str(value, "ascii")) for name, value in event.headers or []]
                    elif isinstance(event, h2.events.DataReceived):
                        content += event.data or b""
                    elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                        return Answer(int(dict(got)[":status"]), "", got, content)
                writer.write(connection.data_to_send())
    finally:
        writer.close()
