"""Writes to buyers. It knows nothing of orders but their event, and orders know nothing of mails."""

from __future__ import annotations

from collections import deque

from tautomer import Context, Service, action, event

KEPT = 100


class Mailer(Service):
    name = "mailer"

    def created(self) -> None:
        self.outbox: deque[dict[str, object]] = deque(maxlen=KEPT)

    @event("order.created")
    def confirm(self, ctx: Context) -> None:
        order, user, product = (ctx.params[part] for part in ("order", "user", "product"))
        self.outbox.append(
            {
                "to": user["email"],
                "text": f"Dear {user['name']}, {order['quantity']} x {product['name']} is on its way.",
            }
        )
        self.logger.info("mail sent", extra={"order": order["id"]})

    @action
    def sent(self, ctx: Context) -> list[dict[str, object]]:
        return list(self.outbox)
