"""A worker as a program: ``python -m tests.interop.worker_program ID NAMESPACE URL SETTINGS``, the last as JSON.

With ``gateway`` in front of these words it is the door to the workers, and says on which port. Leaves on SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from tautomer import ApiGatewayService, Context, Service, Settings, action, event, run
from tautomer.settings import TransitSettings


class Worker(Service):
    name = "worker"
    settings = {"rest": "/worker"}

    @action(rest="GET /work")
    async def work(self, ctx: Context[Any]) -> str:
        await asyncio.sleep(0.02)
        return str(self.broker.id)

    @event("$broker.started")
    def on_ready(self) -> None:
        print(json.dumps({"ready": True}), flush=True)


class Door(ApiGatewayService):
    name = "door"
    settings = {"port": 0, "routes": [{"path": "/", "autoAliases": True, "whitelist": ["**"]}]}

    @event("$broker.started")
    def on_ready(self) -> None:
        print(json.dumps({"ready": True, "port": self.port}), flush=True)


if __name__ == "__main__":
    *kind, id, namespace, url, more = sys.argv[1:]
    told = json.loads(more)
    transit = TransitSettings(**told.pop("transit", {}))
    chosen = Settings(namespace=namespace, transporter=url, transit=transit, log_level="INFO", **told)
    sys.exit(run(Door if kind else Worker, settings=chosen, id=id))
