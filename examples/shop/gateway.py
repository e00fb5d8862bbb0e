"""The shop's door to the web."""

from __future__ import annotations

import os

from tautomer import ApiGatewayService


class Gateway(ApiGatewayService):
    name = "api"
    settings = {
        "ip": "127.0.0.1",
        "port": int(os.environ.get("PORT", "3000")),
        "path": "/api",
        "routes": [
            {
                "path": "/",
                # Every action with `rest=` in the mesh gets a path of its own, also those in Node ...
                "autoAliases": True,
                # ... and what is written here comes on top.
                "aliases": {
                    "POST checkout": "orders.create",
                    "GET mails": "mailer.sent",
                },
                # Nothing else can be reached, whatever another team may publish one day.
                "whitelist": ["users.*", "products.*", "orders.*", "reviews.*", "mailer.sent"],
            }
        ],
    }
