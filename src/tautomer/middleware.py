"""Middleware: a class with hooks. Override the ones wanted; what is not overridden costs nothing."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tautomer._tasks import in_time
from tautomer.errors import BrokerOptionsError
from tautomer.ports import Handler

if TYPE_CHECKING:
    from tautomer.broker import Broker
    from tautomer.registry.endpoints import Endpoint, EventEndpoint
    from tautomer.service import Service

log = logging.getLogger("tautomer.middleware")

Verb: TypeAlias = Callable[..., Any]
"""A verb of the broker or a step of a packet: called with the arguments the hook names."""


class Middleware:
    """Base class of middlewares.

    The wrapping hooks are given the next handler and return one of their own; they run once, when
    a service is registered (for remote actions: at the first call of an endpoint), and may be
    `async`. Of a list of middlewares the first is the outermost.
    """

    sees_results: bool = True
    """Whether it looks at what calls of other nodes give. If none does, a gateway passes it on undecoded."""

    # --- around handlers ---

    def local_action(self, next_handler: Handler, endpoint: Endpoint) -> Any:
        """Wrap an action of this node. Return the wrapper, or `next_handler` as it is."""
        return next_handler

    def remote_action(self, next_handler: Handler, endpoint: Endpoint) -> Any:
        """Wrap the calls of an action at another node."""
        return next_handler

    def local_event(self, next_handler: Handler, endpoint: EventEndpoint) -> Any:
        """Wrap a listener of this node."""
        return next_handler

    # --- around the broker's verbs; composed when the broker is built, so not `async` themselves ---

    def call(self, next_call: Verb) -> Verb:
        """Wrap `call`: ``(action, params, options) -> awaitable``, options a dict."""
        return next_call

    def emit(self, next_emit: Verb) -> Verb:
        """Wrap `emit`: ``(event, data, options) -> awaitable``, options with `groups`, `meta`, `headers`, `parent`."""
        return next_emit

    def broadcast(self, next_broadcast: Verb) -> Verb:
        """Wrap `broadcast`, as `emit`."""
        return next_broadcast

    def broadcast_local(self, next_broadcast: Verb) -> Verb:
        """Wrap `broadcast_local`, as `emit`."""
        return next_broadcast

    # --- around packets and bytes ---

    def transit_publish(self, next_publish: Verb) -> Verb:
        """Wrap the sending of a packet: ``(command, packet, topic, token=None) -> None``."""
        return next_publish

    def transit_received(self, next_received: Verb) -> Verb:
        """Wrap the handling of a packet that was read: ``(command, packet) -> None``."""
        return next_received

    def transporter_send(self, next_send: Verb) -> Verb:
        """Wrap the sending of bytes: ``(topic, data, token) -> None``. The last in the list touches them last."""
        return next_send

    def transporter_receive(self, next_receive: Verb) -> Verb:
        """Wrap the receiving of bytes: ``(topic, data) -> None``. The last in the list touches them first."""
        return next_receive

    # --- life cycle; those that stop run in reverse order ---

    def broker_created(self, broker: Broker) -> None:
        """The broker was built."""

    async def broker_starting(self, broker: Broker) -> None:
        """Before the transporter connects."""

    async def broker_started(self, broker: Broker) -> None:
        """The broker is up."""

    async def broker_stopping(self, broker: Broker) -> None:
        """Before services stop."""

    async def broker_stopped(self, broker: Broker) -> None:
        """The broker is down."""

    async def service_creating(self, service: Service) -> None:
        """The service is taken in. A `created` that is a plain function has run by now, an `async` one has not."""

    async def service_created(self, service: Service) -> None:
        """After `created` of the service."""

    async def service_starting(self, service: Service) -> None:
        """Before the service waits for its dependencies."""

    async def service_started(self, service: Service) -> None:
        """The service is offered."""

    async def service_stopping(self, service: Service) -> None:
        """Before `stopped` of the service."""

    async def service_stopped(self, service: Service) -> None:
        """After `stopped` of the service."""


HOOKS: Final = tuple(name for name in vars(Middleware) if not name.startswith("_"))


def overridden(middleware: object, hook: str) -> Callable[..., Any] | None:
    """The hook of this middleware, or None if it does not have one of its own."""
    own = getattr(middleware, hook, None)
    if not callable(own) or getattr(own, "__func__", own) is getattr(Middleware, hook, None):
        return None
    return own  # type: ignore[no-any-return]  # What was looked up by name is Any.


def resolve(given: Sequence[Middleware | type[Middleware]]) -> tuple[Middleware, ...]:
    """Instances of what was listed; a class is made one.

    Raises:
        BrokerOptionsError: Something in the list has no hook at all.
    """
    made: list[Middleware] = []
    for middleware in given:
        one: Any = middleware() if isinstance(middleware, type) else middleware
        if not isinstance(one, Middleware) and not any(overridden(one, hook) for hook in HOOKS):
            raise BrokerOptionsError(f"middlewares: {one!r} has none of the hooks of Middleware")
        made.append(one)
    return tuple(made)


async def compose(middlewares: Sequence[Middleware], hook: str, handler: Handler, endpoint: Endpoint) -> Handler:
    """Fold the middlewares around the handler; the first in the list is the outermost.

    Raises:
        BrokerOptionsError: A hook returned something that is not a handler.
    """
    for middleware in reversed(middlewares):
        wrap = overridden(middleware, hook)
        if wrap is None:
            continue
        wrapped = wrap(handler, endpoint)
        if inspect.isawaitable(wrapped):
            wrapped = await wrapped
        handler = _checked(wrapped, middleware, hook, f" for '{endpoint.name}'")
    return handler


def compose_verb(middlewares: Sequence[Middleware], hook: str, verb: Verb) -> Verb:
    """Fold the middlewares around a verb. Returns `verb` itself when none wraps it.

    Raises:
        BrokerOptionsError: A hook returned something that cannot be called, or is `async`.
    """
    for middleware in reversed(middlewares):
        wrap = overridden(middleware, hook)
        if wrap is None:
            continue
        if inspect.iscoroutinefunction(wrap):
            raise BrokerOptionsError(f"{type(middleware).__name__}.{hook} is `async`; write it as a plain `def`")
        verb = _checked(wrap(verb), middleware, hook)
    return verb


def _checked(wrapped: Any, middleware: Middleware, hook: str, where: str = "") -> Any:
    if not callable(wrapped):
        raise BrokerOptionsError(
            f"{type(middleware).__name__}.{hook} returned {wrapped!r}{where}; "
            "it must return a function (the one it was given, to leave it as it is)"
        )
    return wrapped


async def notify(
    middlewares: Sequence[Middleware],
    hook: str,
    subject: object,
    *,
    backwards: bool = False,
    timeout: float | None = None,
) -> None:
    """Call a life-cycle hook of each middleware, in order.

    Those that stop are called in reverse (`backwards`), each for `timeout` seconds; what one of them raises is
    logged, and never holds up a stop.
    """
    for middleware in reversed(middlewares) if backwards else middlewares:
        own = overridden(middleware, hook)
        if own is None:
            continue
        if timeout is None:
            await _tell(middleware, own, hook, subject, backwards)
        elif not await in_time(_tell(middleware, own, hook, subject, backwards), timeout, hook):
            log.error("middleware did not stop in time", extra={"middleware": type(middleware).__name__, "hook": hook})


async def _tell(
    middleware: Middleware, own: Callable[[object], object], hook: str, subject: object, backwards: bool
) -> None:
    try:
        told = own(subject)
        if isinstance(told, Awaitable):
            await told
    except (Exception, SystemExit):
        if not backwards:
            raise
        log.exception("middleware failed at stop", extra={"middleware": type(middleware).__name__, "hook": hook})
