"""GatewaySettings and RouteSettings: everything a gateway can be told, converted and checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from tautomer.context import CallOptions
from tautomer.settings import record
from tautomer.web.messages.forwarded import TrustedProxies
from tautomer.web.messages.limits import DEFAULT_UPLOAD_LIMITS, HttpLimits, UploadLimits
from tautomer.web.messages.query import QUERY_RULES, QueryRules
from tautomer.web.routing.access import AccessRules
from tautomer.web.routing.aliases import AliasDef
from tautomer.web.routing.direct import SPECIAL_CHAR, SpecialChar
from tautomer.web.routing.patterns import fold
from tautomer.web.settings.body_parsers import BodyParsers
from tautomer.web.settings.cors import Cors, OriginCheck
from tautomer.web.settings.origins import Origins
from tautomer.web.websocket.line import LineLimits

if TYPE_CHECKING:
    import ssl

    from tautomer.web.asgi.mounting import MountedApp
    from tautomer.web.proxying.mounting import MountedProxy
    from tautomer.web.settings.jsonrpc import JsonRpcSettings

__all__ = [
    "DEFAULT_IP",
    "DEFAULT_PORT",
    "AssetSettings",
    "GatewaySettings",
    "Guards",
    "Hook",
    "LogSettings",
    "MappingPolicy",
    "OpenApiSettings",
    "RateLimit",
    "RouteSettings",
    "Sites",
    "SocketSettings",
    "Tagger",
    "UnixSocket",
]

Hook: TypeAlias = Callable[..., Any]
Tagger: TypeAlias = Callable[[bytes], object]
Sites: TypeAlias = Origins | OriginCheck | Literal["*"] | None
MappingPolicy: TypeAlias = Literal["restrict", "all"]

DEFAULT_PORT: Final = 3000
DEFAULT_IP: Final = "0.0.0.0"


@record
class RateLimit:
    """How often one client may ask.

    Attributes:
        window: Seconds.
        limit: Requests in a window; 0 refuses all.
        headers: Also tell what is left, in ``X-Rate-Limit-*``, `RateLimit` and `RateLimit-Policy`.
        key: ``(request)``, gives what is counted by, async or not; nothing is counted where it gives None or "". None
            for the client's address.
        store: Where it is counted: URL of a Redis, or a function ``(window, options, broker)`` that gives an object
            with `inc(key)`; None for this process.
        fail_open: Whether requests are let in, uncounted, while the store cannot be asked; else they get 503.
    """

    window: float = 60.0
    limit: int = 30
    headers: bool = False
    key: Hook | None = None
    store: str | Hook | None = None
    fail_open: bool = True


@record
class Guards:
    """What stands before the actions of a route.

    Attributes:
        use: ``(request, call_next)``, stages that people wrote, the gateway's first.
        rate_limit: How often one client may ask, or None.
        authentication: ``(ctx, route, request, alias)``, gives the user or None, raises to refuse.
        authorization: The same, what it gives means nothing.
    """

    use: tuple[Hook, ...] = ()
    rate_limit: RateLimit | None = None
    authentication: Hook | None = None
    authorization: Hook | None = None

    @property
    def any(self) -> bool:
        return bool(self.use or self.rate_limit or self.authentication or self.authorization)

    def of(self, alias: AliasDef | None) -> tuple[Hook | None, Hook | None]:
        """Authentication and authorization of an alias: its own where it has a say, else these."""
        if alias is None:
            return self.authentication, self.authorization
        return _first(alias.authentication, self.authentication), _first(alias.authorization, self.authorization)


@record
class LogSettings:
    """Which lines are written about requests, at which level; None for none.

    Attributes:
        request: One for each request when it comes.
        request_params: The params, without what looks like a secret.
        response: One for each answer: status and time.
        response_data: The result, if it is JSON, without what looks like a secret.
        client_errors: Also errors of 400 to 499 that were raised on purpose.
    """

    request: int | None = None
    request_params: int | None = None
    response: int | None = None
    response_data: int | None = None
    client_errors: bool = False


@record
class RouteSettings:
    """One route: a path prefix, what is reachable below it, and how it is called.

    Attributes:
        path: Prefix, the gateway's own included; ``/`` for none.
        own_path: As written, without the gateway's.
        name: Tells routes of one path apart; None if not given.
        aliases: Written by hand, in order.
        auto_aliases: Also make aliases of the `rest` annotations in the mesh.
        mapping_policy: ``restrict``: aliases only. ``all``: also ``/service/action`` below the path.
        access: Whitelist and blacklist, tried on the action's name.
        camel_case_names: Under the policy ``all``: bring each part of the name to camelCase.
        case_sensitive: Whether upper and lower case differ in the paths of its aliases.
        merge_params: Params are body, query and path in one; else ``{"body", "query", "params"}``.
        body_parsers: Which bodies are read.
        uploads: What may be uploaded to its aliases of type ``multipart`` and ``stream``.
        call_options: Options of the calls: `timeout` (seconds), `meta`, `headers`, `node_id`.
        on_before_call: ``(ctx, route, request, alias)``, may change ``ctx.params`` and ``ctx.meta``, may raise.
        on_after_call: ``(ctx, route, request, result, alias)``; what it returns replaces the result, unless None.
        on_error: ``(request, error)``, returns a `Reply`, or None for the gateway's, or the usual one.
        guards: What stands before its actions.
        logging: Whether the gateway's lines are written for its requests.
        cors: Which sites' scripts may read the answers, or None.
        etag: What makes an ETag of a body, or None.
        app: The ASGI application that has all below the path which no alias takes, or None.
        proxy: The proxy command that has it, or None.
        jsonrpc: The JSON-RPC endpoint on its path, or None.
    """

    path: str = "/"
    own_path: str = ""
    name: str | None = None
    aliases: tuple[AliasDef, ...] = ()
    auto_aliases: bool = False
    mapping_policy: MappingPolicy = "restrict"
    access: AccessRules = field(default_factory=AccessRules)
    camel_case_names: bool = False
    case_sensitive: bool = False
    merge_params: bool = True
    body_parsers: BodyParsers = field(default_factory=BodyParsers)
    uploads: UploadLimits = DEFAULT_UPLOAD_LIMITS
    call_options: CallOptions = field(default_factory=lambda: CallOptions())
    on_before_call: Hook | None = None
    on_after_call: Hook | None = None
    on_error: Hook | None = None
    guards: Guards = field(default_factory=Guards)
    logging: bool = True
    cors: Cors | None = None
    etag: Tagger | None = None
    app: MountedApp | None = None
    proxy: MountedProxy | None = None
    jsonrpc: JsonRpcSettings | None = None

    @property
    def answers_the_lost(self) -> bool:
        """Whether the route has a say in answers to paths that lead nowhere."""
        own = self.on_error is not None or self.jsonrpc is not None
        return own or self.cors is not None or bool(self.guards.use)

    def same_as(self, other: RouteSettings) -> bool:
        """Whether the two are one route: by names if both have one, else by full path (gateway reference, 1.2)."""
        if self.name is not None and other.name is not None:
            return self.name == other.name
        return fold(self.path) == fold(other.path)


@record
class OpenApiSettings:
    """The document that a gateway makes of itself.

    Attributes:
        path: Where it is, below the gateway's path.
        docs: Where the page is that shows it; None for none.
        title: What the API is called.
        version: Of the API.
        description: Of the API, in Markdown.
        servers: URLs under which clients reach the gateway; none: where the document came from.
    """

    path: str = "/openapi.json"
    docs: str | None = "/docs"
    title: str = "API"
    version: str = "1.0.0"
    description: str = ""
    servers: tuple[str, ...] = ()


@record
class UnixSocket:
    """A path to listen on. `mode` are the permissions of its file, None for the process's usual ones."""

    path: str
    mode: int | None = None


@record
class AssetSettings:
    """Files that are served where no route has an alias.

    Attributes:
        folder: Real path of it.
        path: Below which path of the gateway they are; its own `path` does not count here.
        index: Name of the file that stands for its folder, or None.
        max_age: Seconds for which caches may keep a file without asking.
        immutable: They need not ask even on a reload.
        dotfiles: Whether what begins with a dot is served, too.
        etag: Whether ``ETag`` is sent.
        last_modified: Whether ``Last-Modified`` is sent.
        redirect: Whether a folder with an index gets its slash; else it is there with a slash only.
        headers: Name and value of more headers of every file, each in the place of one of ours.
    """

    folder: str
    path: str = "/"
    index: str | None = "index.html"
    max_age: int = 0
    immutable: bool = False
    dotfiles: bool = False
    etag: bool = True
    last_modified: bool = True
    redirect: bool = True
    headers: tuple[tuple[str, str], ...] = ()


@record
class SocketSettings:
    """What a gateway's WebSockets are told.

    Attributes:
        path: Where they are; the gateway's own `path` does not stand before it.
        asked_for: Whether the settings say that there are any; else they are there as soon as a service of the node
            has methods for them.
        line: What a stranger may ask of a line.
        connections_max: Sockets of this gateway; over it 503. 0 for no end but the server's own.
        max_in_flight: Calls of one socket at a time; what comes meanwhile waits.
        messages_per_second: Of one socket; over it each is answered by an error, and who goes on is closed (1008). 0 for
            no end.
        idle_timeout: Seconds without a message from the client before it is closed (1000); 0 for never.
        origins: Sites whose scripts may open one, beside those of the same host.
        compression: Whether permessage-deflate is agreed upon.
        protocols: Subprotocols that are spoken.
        events: Patterns of events of the mesh that clients may listen to.
        guards: What stands before the handshake.
        on_before_call: As a route's, before the handshake.
        debug: Whether clients are told class and text of unexpected errors.
        jsonrpc: What those may ask who speak JSON-RPC there; None where nobody may.
    """

    path: str = "/ws"
    asked_for: bool = False
    line: LineLimits = field(default_factory=LineLimits)
    connections_max: int = 0
    max_in_flight: int = 1
    messages_per_second: int = 100
    idle_timeout: float = 0.0
    origins: Sites = None
    compression: bool = False
    protocols: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    guards: Guards = field(default_factory=Guards)
    on_before_call: Hook | None = None
    debug: bool = False
    jsonrpc: JsonRpcSettings | None = None


@record
class GatewaySettings:
    """Everything a gateway can be told.

    Attributes:
        port: Where it listens; 0 lets the system choose.
        ip: Address it listens on.
        reuse_port: Share the port with other processes; so it is by default under ``tautomer run --workers``.
        path: Prefix of every route.
        routes: In order; of equal aliases the first one's holds.
        optimize_order: Whether the most specific alias wins; else the one that is declared first.
        internal_service_special_char: Under the policy ``all``: the first of it in a path stands for ``$``.
        limits: What a stranger may ask of the server.
        log_route_registration: Level at which routes and their aliases are logged when they are made, or None.
        query_rules: How query strings are read.
        debounce_time: Seconds from the first change of services to the new aliases.
        on_error: As a route's, for errors that no route's own answers.
        openapi: The OpenAPI document and its page; None for neither.
        probes: Whether it answers ``/livez``, ``/readyz`` and ``/startupz``.
        guards: `use` and `rate_limit` for all routes.
        reformat_error: ``(error, request)``, gives the body of an error's answer as a mapping, or None for the usual one.
        root_call_options: Meta of the context of every request, or a function ``(options, request)`` that gives, or
            changes, a mapping with `meta`.
        trusted_proxies: Whose word counts for where a request came from; None for nobody's.
        logs: Lines about requests.
        log_request: Method of the service that takes ``(request)`` and writes the line itself, or None.
        log_response: The same for ``(request, reply, seconds)``.
        cors: As a route's, for routes that do not say, and for requests that no route takes.
        etag: As a route's, for routes that do not say.
        event_keep_alive: Seconds of silence after which a stream of events gets a comment, so that nobody on the
            way takes its connection for dead; 0 for never.
        server: Whether it opens a port of its own; else an ASGI server hosts its `app`.
        socket: Unix socket that it listens on instead of a port, or None.
        tls: Speaks TLS, or None.
        assets: Files to serve, or None.
        websocket: What its WebSockets are told; None where there are none.
        http: Stands before what methods with `@http` answer, paths aside; None: this gateway does not lead to them.
    """

    port: int = DEFAULT_PORT
    ip: str = DEFAULT_IP
    reuse_port: bool = False
    path: str = "/"
    routes: tuple[RouteSettings, ...] = ()
    optimize_order: bool = True
    internal_service_special_char: SpecialChar = SPECIAL_CHAR
    limits: HttpLimits = field(default_factory=HttpLimits)
    log_route_registration: int | None = None
    query_rules: QueryRules = QUERY_RULES
    debounce_time: float = 0.1
    on_error: Hook | None = None
    openapi: OpenApiSettings | None = field(default_factory=OpenApiSettings)
    probes: bool = True
    guards: Guards = field(default_factory=Guards)
    reformat_error: Hook | None = None
    root_call_options: dict[str, Any] | Hook | None = None
    trusted_proxies: TrustedProxies | None = None
    logs: LogSettings = field(default_factory=LogSettings)
    log_request: Hook | None = None
    log_response: Hook | None = None
    cors: Cors | None = None
    etag: Tagger | None = None
    event_keep_alive: float = 15.0
    server: bool = True
    socket: UnixSocket | None = None
    tls: ssl.SSLContext | None = None
    assets: AssetSettings | None = None
    websocket: SocketSettings | None = field(default_factory=SocketSettings)
    http: RouteSettings | None = None


def _first(own: Hook | Literal[False] | None, inherited: Hook | None) -> Hook | None:
    return inherited if own is None else own or None
