"""Reading the settings of a gateway: what a person wrote, converted once and checked whole.

The `settings` of a gateway are written in camelCase, as moleculer-web's are, or in snake_case.
Durations under camelCase keys of several words are moleculer-web's milliseconds, all others seconds.
Every fault is found, not only the first; what moleculer-web has and this gateway has not is a
fault too, as a guard that is silently left out would be an open door.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tautomer.context import CallOptions
from tautomer.errors import ServiceSchemaError
from tautomer.web.asgi.mounting import mount_aliases
from tautomer.web.messages.entity_tag import strong_tag, weak_tag
from tautomer.web.messages.limits import DEFAULT_UPLOAD_LIMITS, HttpLimits
from tautomer.web.routing.access import Mask, mask_fault
from tautomer.web.routing.aliases import join_path, snake
from tautomer.web.routing.direct import SPECIAL_CHAR, SpecialChar
from tautomer.web.routing.patterns import PatternError
from tautomer.web.settings.body_parsers import read_body_parsers
from tautomer.web.settings.cors import read_cors
from tautomer.web.settings.guards import named, read_guards, read_proxies, read_root_options
from tautomer.web.settings.hooks import a_function, hook
from tautomer.web.settings.jsonrpc import door_aliases, read_jsonrpc
from tautomer.web.settings.logs import a_level, read_logs
from tautomer.web.settings.methods import Methods
from tautomer.web.settings.mounts import read_mounts
from tautomer.web.settings.pages import a_prefix, is_static, read_openapi
from tautomer.web.settings.paths import read_access, read_aliases, read_case_sensitive
from tautomer.web.settings.query_rules import read_query_rules
from tautomer.web.settings.reading import (
    Notes,
    Reader,
    a_bool,
    a_bool_or_mapping,
    a_list,
    a_mapping,
    a_number,
    a_text,
    a_whole_number,
    as_it_is,
)
from tautomer.web.settings.records import (
    DEFAULT_IP,
    DEFAULT_PORT,
    GatewaySettings,
    MappingPolicy,
    RouteSettings,
    Tagger,
)
from tautomer.web.settings.serving import read_serving
from tautomer.web.settings.sockets import read_sockets
from tautomer.web.settings.uploads import read_uploads

__all__ = ["read_route", "read_settings"]

# Options of calls that are none of a route's business: what to say instead.
_CALL_LATER: Final[dict[str, str]] = {
    "request_id": "it comes from the request",
    "parent_span": "",
    "stream": "",
}

_WHERE_TO: Final = frozenset({"path", "aliases", "auto_aliases", "mapping_policy", "app", "proxy", "jsonrpc"})

_NONE_GIVEN: Final = object()


def read_settings(
    given: Mapping[str, object], environment: Mapping[str, str] | None = None, methods: Methods | None = None
) -> tuple[GatewaySettings, list[str]]:
    """The record of a gateway's settings, and warnings about doubtful ones.

    Args:
        given: The service's `settings`. Keys with ``$`` in front and `rest` belong to the service, not the gateway.
        environment: For ``PORT`` and ``IP``, which count where the settings do not say; the process's if None.
        methods: Those of the service, which settings may name.

    Raises:
        ServiceSchemaError: Something is wrong; the message tells everything that is.
    """
    notes = Notes(methods)
    notes.warnings += notes.methods.never_called()
    environment = os.environ if environment is None else environment
    own = {key: value for key, value in given.items() if not str(key).startswith("$") and key != "rest"}
    if own.get("port") is None and environment.get("PORT"):
        own["port"] = environment["PORT"]
    reader = Reader(own, "settings", notes)
    path = reader.take("path", "/", a_prefix)
    ip = reader.take("ip", environment.get("IP") or DEFAULT_IP, a_text)
    limits = _limits(reader, notes)
    guards = read_guards(reader)
    cors = read_cors(reader.take("cors", None, as_it_is), None, "settings.cors", notes)
    settings = GatewaySettings(
        port=reader.take("port", DEFAULT_PORT, _port),
        ip=ip,
        reuse_port=reader.take("reuse_port", bool(environment.get("TAUTOMER_WORKER")), a_bool),
        path=path,
        optimize_order=reader.take("optimize_order", True, a_bool),
        internal_service_special_char=reader.take("internal_service_special_char", SPECIAL_CHAR, _special_char),
        limits=limits,
        query_rules=read_query_rules(reader.take("qs_options", {}, a_mapping), limits, notes),
        log_route_registration=reader.take("log_route_registration", None, a_level),
        debounce_time=reader.seconds("debounce_time", 0.1) or 0.1,
        openapi=read_openapi(reader.take("openapi", True, a_bool_or_mapping), notes),
        probes=reader.take("probes", True, a_bool),
        on_error=reader.take("on_error", None, named(a_function, notes.methods)),
        guards=guards,
        reformat_error=reader.take(
            "reformat_error", notes.methods.find("reformat_error"), named(a_function, notes.methods)
        ),
        root_call_options=read_root_options(reader),
        trusted_proxies=read_proxies(reader),
        logs=read_logs(reader),
        log_request=notes.methods.find("log_request"),
        log_response=notes.methods.find("log_response"),
        cors=cors,
        etag=reader.take("etag", None, _tagger),
        event_keep_alive=reader.seconds("event_keep_alive", 15.0) or 0.0,
        websocket=read_sockets(reader.take("websocket", None, a_bool_or_mapping), guards, cors, notes),
        **read_serving(reader, environment, ip),
    )
    routes = _routes(reader.take("routes", [], a_list), settings, notes)
    http = _http(reader.take("http", True, a_bool_or_mapping), settings, notes)
    reader.close()
    if notes.faults:
        raise faulty(notes.faults)
    return dataclasses.replace(settings, routes=routes, http=http), notes.warnings


def read_route(given: object, gateway: GatewaySettings, methods: Methods | None = None) -> RouteSettings:
    """One route, as `addRoute` is given it, of a gateway with these settings.

    Args:
        methods: As in `read_settings`.

    Raises:
        ServiceSchemaError: As `read_settings`.
    """
    notes = Notes(methods)
    route = _route(given, gateway, "route", notes)
    if route.app is not None:
        notes.faults.append("route.app: applications start and stop with the gateway, so they stand in its settings")
    if notes.faults:
        raise faulty(notes.faults)
    return route


def faulty(faults: Sequence[str]) -> ServiceSchemaError:
    """One error for all faults."""
    return ServiceSchemaError("the gateway is set up wrong:\n  - " + "\n  - ".join(faults), {"faults": list(faults)})


def _routes(given: list[object], gateway: GatewaySettings, notes: Notes) -> tuple[RouteSettings, ...]:
    routes: list[RouteSettings] = []
    for index, one in enumerate(given):
        where = f"settings.routes[{index}]"
        route = _route(one, gateway, where, notes)
        for earlier, known in enumerate(routes):
            if route.same_as(known):
                notes.faults.append(
                    f"{where} is the same route as settings.routes[{earlier}] ('{route.name or route.path}'): "
                    "put them together, or give each a 'name' of its own"
                )
        routes.append(route)
    return tuple(routes)


def _http(given: object, gateway: GatewaySettings, notes: Notes) -> RouteSettings | None:
    """What stands before methods with `@http`: the options of a route, but for those that say where it leads."""
    if given is False:
        return None
    where, options = "settings.http", given if isinstance(given, Mapping) else {}
    for key in options:
        if snake(str(key)) in _WHERE_TO:
            notes.faults.append(f"{where}.{key}: where @http leads is said at the methods")
    warnings = list(notes.warnings)
    route = _route(
        {key: one for key, one in options.items() if snake(str(key)) not in _WHERE_TO}, gateway, where, notes
    )
    notes.warnings[:] = [one for one in notes.warnings if one in warnings or "leads nowhere" not in one]
    return route


def _route(given: object, gateway: GatewaySettings, where: str, notes: Notes) -> RouteSettings:
    reader = Reader(given, where, notes)
    own_path = reader.take("path", "", a_text)
    path = join_path(gateway.path, own_path)
    restrict: MappingPolicy = "restrict"
    policy_given = reader.take("mapping_policy", None, _policy)
    policy = policy_given or restrict
    try:
        if not is_static(path) and policy == "all":
            notes.faults.append(f"{where}.mappingPolicy 'all' needs a path without values, not '{path}'")
    except PatternError as error:
        notes.faults.append(f"{where}.path: {error}")
    if reader.take("debounce_time", None, a_number) is not None:
        notes.warnings.append(f"{where}.debounceTime has no effect: the gateway's holds for all routes")
    case_sensitive = read_case_sensitive(
        reader.take("path_to_regexp_options", {}, a_mapping), f"{where}.pathToRegexpOptions", notes
    )
    aliases = reader.take("aliases", {}, a_mapping)
    whitelist, blacklist = reader.take("whitelist", None, _masks), reader.take("blacklist", (), _masks)
    app, proxy = read_mounts(reader, policy)
    jsonrpc = read_jsonrpc(reader)
    if jsonrpc is not None and (app is not None or proxy is not None):
        taken = "app" if app is not None else "proxy"
        notes.faults.append(f"{where}.{taken} takes all below the path, which leaves nothing to 'jsonrpc'")
    busboy = reader.take("busboy_config", {}, a_mapping)
    uploads = read_uploads(busboy, f"{where}.busboyConfig", notes, DEFAULT_UPLOAD_LIMITS)
    route = RouteSettings(
        path=path,
        own_path=own_path,
        name=reader.take("name", None, a_text),
        aliases=read_aliases(aliases, path, case_sensitive, uploads, f"{where}.aliases", notes)
        + mount_aliases(app)
        + (() if proxy is None else proxy.aliases)
        + door_aliases(jsonrpc),
        auto_aliases=reader.take("auto_aliases", False, a_bool),
        mapping_policy=policy,
        access=read_access(whitelist, blacklist, where, notes),
        camel_case_names=reader.take("camel_case_names", False, a_bool),
        case_sensitive=case_sensitive,
        merge_params=reader.take("merge_params", True, a_bool),
        body_parsers=read_body_parsers(
            reader.take("body_parsers", True, a_bool_or_mapping), f"{where}.bodyParsers", notes
        ),
        uploads=uploads,
        call_options=_call_options(reader.take("call_options", {}, a_mapping), f"{where}.callOptions", notes),
        on_before_call=reader.take("on_before_call", None, named(hook("ctx", "route", "request"), notes.methods)),
        on_after_call=reader.take(
            "on_after_call", None, named(hook("ctx", "route", "request", "result"), notes.methods)
        ),
        on_error=reader.take("on_error", None, named(a_function, notes.methods)),
        guards=read_guards(reader, gateway.guards),
        logging=reader.take("logging", True, a_bool),
        cors=read_cors(reader.take("cors", None, as_it_is), gateway.cors, f"{where}.cors", notes),
        etag=reader.take("etag", gateway.etag, _tagger),
        app=app,
        proxy=proxy,
        jsonrpc=jsonrpc,
    )
    reader.close()
    if policy_given is None and not route.aliases and not route.auto_aliases:
        notes.warnings.append(
            f'{where} leads nowhere: it has no aliases, and paths name actions only under "mappingPolicy": "all"'
        )
    return route


def _call_options(given: Mapping[str, object], where: str, notes: Notes) -> CallOptions:
    reader = Reader(given, where, notes, _CALL_LATER)
    options = CallOptions()
    timeout = reader.seconds("timeout", None)
    meta, headers = reader.take("meta", None, a_mapping), reader.take("headers", None, a_mapping)
    node_id = reader.take("node_id", None, a_text)
    retries = reader.take("retries", None, a_whole_number)
    fallback = reader.take("fallback_response", _NONE_GIVEN, as_it_is)
    reader.close()
    if timeout is not None:
        options["timeout"] = timeout
    if meta:
        options["meta"] = dict(meta)
    if headers:
        options["headers"] = dict(headers)
    if node_id is not None:
        options["node_id"] = node_id
    if retries is not None:
        options["retries"] = retries
    if fallback is not _NONE_GIVEN:
        options["fallback_response"] = fallback
    return options


def _limits(gateway: Reader, notes: Notes) -> HttpLimits:
    """The limits; moleculer-web's own names for two of them stand beside them."""
    reader = Reader(gateway.take("limits", {}, a_mapping), "settings.limits", notes)
    values: dict[str, Any] = {}
    for one in dataclasses.fields(HttpLimits):
        found = reader.seconds(one.name, None) if one.type == "float" else reader.take(one.name, None, a_whole_number)
        if found is not None:
            values[one.name] = found
    reader.close()
    for name, limit in (("request_timeout", "request_time"), ("http_server_timeout", "keep_alive_idle")):
        found = gateway.seconds(name, None)
        if found is not None and limit in values:
            notes.faults.append(f"settings.limits.{limit} is given twice: '{name}' is another name for it")
        elif found is not None:
            values[limit] = found
    try:
        return HttpLimits(**values)
    except ValueError as error:
        notes.faults.append(f"settings.{error}")
        return HttpLimits()


# --- checks: the value in its type, or ValueError whose text goes on after the setting's name ---


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


def _special_char(value: object) -> SpecialChar:
    if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
        return value
    if not isinstance(value, str) or not value:
        raise ValueError(f"is a text that is not empty, or a compiled expression, not {value!r:.80}")
    return value


def _port(value: object) -> int:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}", value.strip()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 65535:
        raise ValueError(f"is a number from 0 to 65535, not {value!r:.80}")
    return value


def _tagger(value: object) -> Tagger | None:
    if value is False:
        return None
    if value is True or value == "weak":
        return weak_tag
    if value == "strong":
        return strong_tag
    if callable(value):
        return value
    raise ValueError(f"is true, false, 'weak', 'strong' or a function that takes the body, not {value!r:.80}")
