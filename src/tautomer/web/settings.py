"""GatewaySettings and RouteSettings: what a person wrote, converted once and checked whole.

The `settings` of a gateway are written in camelCase, as moleculer-web's are, or in snake_case.
Durations under camelCase keys of several words are moleculer-web's milliseconds, all others seconds.
Every fault is found, not only the first; what moleculer-web has and this gateway has not yet is a
fault too, as a guard that is silently left out would be an open door.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, Final, Literal, TypeAlias

from tautomer.context import CallOptions
from tautomer.errors import ServiceSchemaError
from tautomer.settings import record
from tautomer.web.access import AccessRules, Mask, mask_fault
from tautomer.web.aliases import AliasDef, AliasError, join_path, parse_alias
from tautomer.web.limits import HttpLimits
from tautomer.web.patterns import PatternError, fold, parse_pattern
from tautomer.web.reading import (
    Notes,
    Reader,
    a_bool,
    a_bool_or_mapping,
    a_list,
    a_mapping,
    a_text,
    a_whole_number,
)

__all__ = ["BodyParsers", "GatewaySettings", "RouteSettings", "read_route", "read_settings"]

Hook: TypeAlias = Callable[..., Any]
MappingPolicy: TypeAlias = Literal["restrict", "all"]

DEFAULT_PORT: Final = 3000
DEFAULT_IP: Final = "0.0.0.0"


@record
class BodyParsers:
    """Which bodies a route reads. With none on, bodies are left alone; with one on, others get 415.

    Attributes:
        json: ``application/json``.
        urlencoded: ``application/x-www-form-urlencoded``, nested keys as `qs` reads them.
    """

    json: bool = True
    urlencoded: bool = True

    @property
    def any(self) -> bool:
        return self.json or self.urlencoded


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
        merge_params: Params are body, query and path in one; else ``{"body", "query", "params"}``.
        body_parsers: Which bodies are read.
        call_options: Options of the calls: `timeout` (seconds), `meta`, `headers`, `node_id`.
        on_before_call: ``(ctx, route, request)``, may change ``ctx.params`` and ``ctx.meta``, may raise.
        on_after_call: ``(ctx, route, request, result)``; what it returns replaces the result, unless None.
        on_error: ``(request, error)``, returns a `Reply`, or None for the usual one.
    """

    path: str = "/"
    own_path: str = ""
    name: str | None = None
    aliases: tuple[AliasDef, ...] = ()
    auto_aliases: bool = False
    mapping_policy: MappingPolicy = "restrict"
    access: AccessRules = field(default_factory=AccessRules)
    merge_params: bool = True
    body_parsers: BodyParsers = field(default_factory=BodyParsers)
    call_options: CallOptions = field(default_factory=lambda: CallOptions())
    on_before_call: Hook | None = None
    on_after_call: Hook | None = None
    on_error: Hook | None = None

    def same_as(self, other: RouteSettings) -> bool:
        """Whether the two are one route: by names if both have one, else by full path (gateway reference, 1.2)."""
        if self.name is not None and other.name is not None:
            return self.name == other.name
        return fold(self.path) == fold(other.path)


@record
class GatewaySettings:
    """Everything a gateway can be told.

    Attributes:
        port: Where it listens; 0 lets the system choose.
        ip: Address it listens on.
        reuse_port: Share the port with other processes; so it is by default under ``tautomer run --workers``.
        path: Prefix of every route.
        routes: In order; of equal aliases the first one's holds.
        limits: What a stranger may ask of the server.
        log_request: Level at which each answered request is logged, or None.
        debounce_time: Seconds from the first change of services to the new aliases.
        on_error: As a route's, for errors that no route's own answers.
    """

    port: int = DEFAULT_PORT
    ip: str = DEFAULT_IP
    reuse_port: bool = False
    path: str = "/"
    routes: tuple[RouteSettings, ...] = ()
    limits: HttpLimits = field(default_factory=HttpLimits)
    log_request: int | None = None
    debounce_time: float = 0.1
    on_error: Hook | None = None


# Settings of moleculer-web that a later version will know: what to say, and the values that ask for nothing.
_GATEWAY_LATER: Final[dict[str, str]] = {
    "server": "",
    "https": "",
    "http2": "",
    "http_server_timeout": "use 'limits.keep_alive_idle' (seconds)",
    "request_timeout": "use 'limits.request_time' (seconds)",
    "use": "",
    "cors": "",
    "rate_limit": "",
    "etag": "",
    "assets": "",
    "qs_options": "use 'limits.pairs_max' and 'limits.pair_depth_max'",
    "internal_service_special_char": "it is '~'",
    "root_call_options": "",
    "optimize_order": "the most specific alias wins, whatever the order",
    "log_request_params": "",
    "log_response": "use 'log_request', it tells the status and the time too",
    "log_response_data": "",
    "log4_xxresponses": "",
    "log_route_registration": "",
}
_ROUTE_LATER: Final[dict[str, str]] = {
    "use": "",
    "authentication": "",
    "authorization": "",
    "cors": "",
    "rate_limit": "",
    "etag": "",
    "camel_case_names": "",
    "busboy_config": "",
    "path_to_regexp_options": "",
    "logging": "",
    "debounce_time": "set it at the gateway",
}
_BODY_LATER: Final[dict[str, str]] = {"text": "", "raw": ""}
_CALL_LATER: Final[dict[str, str]] = {
    "retries": "",
    "fallback_response": "",
    "request_id": "it comes from the request",
    "parent_span": "",
    "stream": "",
}


def read_settings(
    given: Mapping[str, object], environment: Mapping[str, str] | None = None
) -> tuple[GatewaySettings, list[str]]:
    """The record of a gateway's settings, and warnings about doubtful ones.

    Args:
        given: The service's `settings`. Keys with ``$`` in front and `rest` belong to the service, not the gateway.
        environment: For ``PORT`` and ``IP``, which count where the settings do not say; the process's if None.

    Raises:
        ServiceSchemaError: Something is wrong; the message tells everything that is.
    """
    notes = Notes()
    environment = os.environ if environment is None else environment
    own = {key: value for key, value in given.items() if not str(key).startswith("$") and key != "rest"}
    if own.get("port") is None and environment.get("PORT"):
        own["port"] = environment["PORT"]
    reader = Reader(own, "settings", notes, _GATEWAY_LATER)
    path = reader.take("path", "/", _prefix)
    settings = GatewaySettings(
        port=reader.take("port", DEFAULT_PORT, _port),
        ip=reader.take("ip", environment.get("IP") or DEFAULT_IP, a_text),
        reuse_port=reader.take("reuse_port", bool(environment.get("TAUTOMER_WORKER")), a_bool),
        path=path,
        routes=_routes(reader.take("routes", [], a_list), path, notes),
        limits=_limits(reader.take("limits", {}, a_mapping), notes),
        log_request=reader.take("log_request", None, _level),
        debounce_time=reader.seconds("debounce_time", 0.1) or 0.1,
        on_error=reader.take("on_error", None, _hook),
    )
    reader.close()
    if notes.faults:
        raise faulty(notes.faults)
    return settings, notes.warnings


def read_route(given: object, gateway_path: str) -> RouteSettings:
    """One route, as `addRoute` is given it.

    Raises:
        ServiceSchemaError: As `read_settings`.
    """
    notes = Notes()
    route = _route(given, gateway_path, "route", notes)
    if notes.faults:
        raise faulty(notes.faults)
    return route


def faulty(faults: Sequence[str]) -> ServiceSchemaError:
    """One error for all faults."""
    return ServiceSchemaError("the gateway is set up wrong:\n  - " + "\n  - ".join(faults), {"faults": list(faults)})


def _routes(given: list[object], gateway_path: str, notes: Notes) -> tuple[RouteSettings, ...]:
    routes: list[RouteSettings] = []
    for index, one in enumerate(given):
        where = f"settings.routes[{index}]"
        route = _route(one, gateway_path, where, notes)
        for earlier, known in enumerate(routes):
            if route.same_as(known):
                notes.faults.append(
                    f"{where} is the same route as settings.routes[{earlier}] ('{route.name or route.path}'): "
                    "put them together, or give each a 'name' of its own"
                )
        routes.append(route)
    return tuple(routes)


def _route(given: object, gateway_path: str, where: str, notes: Notes) -> RouteSettings:
    reader = Reader(given, where, notes, _ROUTE_LATER)
    own_path = reader.take("path", "", a_text)
    path = join_path(gateway_path, own_path)
    restrict: MappingPolicy = "restrict"
    policy = reader.take("mapping_policy", restrict, _policy)
    try:
        if not parse_pattern(path).is_static and policy == "all":
            notes.faults.append(f"{where}.mappingPolicy 'all' needs a path without values, not '{path}'")
    except PatternError as error:
        notes.faults.append(f"{where}.path: {error}")
    route = RouteSettings(
        path=path,
        own_path=own_path,
        name=reader.take("name", None, a_text),
        aliases=_aliases(reader.take("aliases", {}, a_mapping), path, f"{where}.aliases", notes),
        auto_aliases=reader.take("auto_aliases", False, a_bool),
        mapping_policy=policy,
        access=AccessRules(reader.take("whitelist", None, _masks), reader.take("blacklist", (), _masks)),
        merge_params=reader.take("merge_params", True, a_bool),
        body_parsers=_body_parsers(reader.take("body_parsers", True, a_bool_or_mapping), f"{where}.bodyParsers", notes),
        call_options=_call_options(reader.take("call_options", {}, a_mapping), f"{where}.callOptions", notes),
        on_before_call=reader.take("on_before_call", None, _hook),
        on_after_call=reader.take("on_after_call", None, _hook),
        on_error=reader.take("on_error", None, _hook),
    )
    reader.close()
    return route


def _aliases(given: Mapping[str, object], prefix: str, where: str, notes: Notes) -> tuple[AliasDef, ...]:
    made: list[AliasDef] = []
    for key, value in given.items():
        try:
            for alias in parse_alias(key, value):
                parse_pattern(join_path(prefix, alias.path) if alias.full_path is None else alias.full_path)
                made.append(alias)
        except (AliasError, PatternError) as error:
            notes.faults.append(f"{where}: {error}")
    return tuple(made)


def _body_parsers(given: bool | Mapping[str, object], where: str, notes: Notes) -> BodyParsers:
    if isinstance(given, bool):
        return BodyParsers(json=given, urlencoded=given)
    reader = Reader(given, where, notes, _BODY_LATER)
    parsers = BodyParsers(
        json=_parser(reader.take("json", False, a_bool_or_mapping), f"{where}.json", notes),
        urlencoded=_parser(reader.take("urlencoded", False, a_bool_or_mapping), f"{where}.urlencoded", notes),
    )
    reader.close()
    return parsers


def _parser(given: bool | Mapping[str, object], where: str, notes: Notes) -> bool:
    """One parser: on, off, or on with options. Of those only what is so anyway is taken."""
    if isinstance(given, bool):
        return given
    for key, value in given.items():
        if (key, value) not in (("extended", True), ("strict", True)):
            notes.faults.append(f"{where}.{key} is not supported yet; the size limit is 'limits.body_bytes_max'")
    return True


def _call_options(given: Mapping[str, object], where: str, notes: Notes) -> CallOptions:
    reader = Reader(given, where, notes, _CALL_LATER)
    options = CallOptions()
    timeout = reader.seconds("timeout", None)
    meta, headers = reader.take("meta", None, a_mapping), reader.take("headers", None, a_mapping)
    node_id = reader.take("node_id", None, a_text)
    reader.close()
    if timeout is not None:
        options["timeout"] = timeout
    if meta:
        options["meta"] = dict(meta)
    if headers:
        options["headers"] = dict(headers)
    if node_id is not None:
        options["node_id"] = node_id
    return options


def _limits(given: Mapping[str, object], notes: Notes) -> HttpLimits:
    reader = Reader(given, "settings.limits", notes)
    values: dict[str, Any] = {}
    for one in dataclasses.fields(HttpLimits):
        found = reader.seconds(one.name, None) if one.type == "float" else reader.take(one.name, None, a_whole_number)
        if found is not None:
            values[one.name] = found
    reader.close()
    try:
        return HttpLimits(**values)
    except ValueError as error:
        notes.faults.append(f"settings.{error}")
        return HttpLimits()


# --- checks: the value in its type, or ValueError whose text goes on after the setting's name ---


def _prefix(value: object) -> str:
    path = join_path(a_text(value))
    try:
        parse_pattern(path)
    except PatternError as error:
        raise ValueError(f"is a path: {error}") from None
    return path


def _policy(value: object) -> MappingPolicy:
    if value == "all":
        return "all"
    if value == "restrict":
        return "restrict"
    raise ValueError(f"is 'restrict' or 'all', not {value!r:.80}")


def _masks(value: object) -> tuple[Mask, ...]:
    masks: list[Mask] = []
    for one in a_list(value):
        fault = mask_fault(one)
        if fault is not None:
            raise ValueError(f"is a list, and each entry is {fault}")
        assert isinstance(one, str | re.Pattern)
        masks.append(one)
    return tuple(masks)


def _hook(value: object) -> Hook | None:
    if not callable(value):
        raise ValueError(f"is a function, not {value!r:.80}")
    return value


def _port(value: object) -> int:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}", value.strip()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 65535:
        raise ValueError(f"is a number from 0 to 65535, not {value!r:.80}")
    return value


def _level(value: object) -> int | None:
    if isinstance(value, bool):
        return logging.INFO if value else None
    level = logging.getLevelNamesMapping().get(str(value).upper())
    if level is None:
        raise ValueError(f"is true, false or the name of a log level, not {value!r:.80}")
    return level
