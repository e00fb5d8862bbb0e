"""A Python node as a program: ``python -m tests.interop.python_program ID NAMESPACE URL SETTINGS``, the last as JSON.

Says ``{"ready": true}`` once it is in the mesh; leaves on SIGTERM or at the end of standard input.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading

from tautomer.broker import Broker
from tautomer.settings import Settings

from .probe import Probe


def _leave_with_standard_input() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


async def main(id: str, namespace: str, url: str, settings: str) -> None:
    broker = Broker(id, settings=Settings(namespace=namespace, transporter=url, **json.loads(settings)))
    await broker.register(Probe(id))
    await broker.start()
    print(json.dumps({"ready": True, "instanceID": broker.registry.local_node.instance_id}), flush=True)
    threading.Thread(target=_leave_with_standard_input, daemon=True).start()
    await broker.wait_for_shutdown()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
