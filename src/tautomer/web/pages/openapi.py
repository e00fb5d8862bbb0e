"""The OpenAPI 3.1 document of a gateway: a pure function of its aliases and of what the mesh announces.

Services of other nodes, of Node.js too, say in their INFO which params an action takes; nothing has to
be written twice. What an action says under `openapi` (as moleculer-auto-openapi reads it) stands over
what is found out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from tautomer.registry.endpoints import Endpoint, EndpointList
from tautomer.validation.json_schema import JsonSchema, json_schema
from tautomer.web.entrypoint.calls import HttpCall
from tautomer.web.routing.patterns import EVERY_METHOD, METHODS
from tautomer.web.routing.routes import Alias, Route
from tautomer.web.settings.records import OpenApiSettings, RouteSettings

__all__ = ["openapi_document"]

Actions: TypeAlias = Mapping[str, EndpointList]
Operation: TypeAlias = dict[str, Any]

# OpenAPI knows no HEAD that follows from a GET, and a path that answers to all is enough under these.
_SHOWN_METHODS: Final = tuple(method for method in METHODS if method != "HEAD")
_BODILESS: Final = ("GET", "DELETE", "HEAD", "OPTIONS")
_OWN_KEYS: Final = ("summary", "description", "tags", "deprecated", "externalDocs", "responses", "security")
_TEXT_MAX: Final = 10_000

_ERROR: Final[JsonSchema] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "message": {"type": "string"},
        "code": {"type": "integer"},
        "type": {"type": "string"},
        "data": {},
    },
    "required": ["name", "message", "code"],
}


def openapi_document(routes: Iterable[Route], actions: Actions, settings: OpenApiSettings) -> dict[str, Any]:
    """The document.

    It shows what a client can reach now: aliases whose action somebody serves, lets gateways in, and is not
    forbidden by the route's lists; of routes with mapping policy ``all`` the actions under their own paths.

    Args:
        actions: By full name, as the registry has them.
    """
    paths: dict[str, dict[str, Operation]] = {}
    ids: set[str] = set()
    tags: dict[str, None] = {}
    for path, method, operation in _operations(routes, actions):
        methods = paths.setdefault(path, {})
        if method.lower() in methods:
            continue  # Of equal aliases the first answers.
        operation["operationId"] = _unique(operation["operationId"], ids)
        tags.update(dict.fromkeys(tag for tag in operation.get("tags", ()) if isinstance(tag, str)))
        methods[method.lower()] = operation
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": settings.title, "version": settings.version},
        "paths": paths,
        "tags": [{"name": tag} for tag in tags],
        "components": {
            "schemas": {"Error": _ERROR},
            "responses": {
                "Error": {
                    "description": "What went wrong",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
            },
        },
    }
    if settings.description:
        document["info"]["description"] = settings.description
    if settings.servers:
        document["servers"] = [{"url": url} for url in settings.servers]
    return document


def _operations(routes: Iterable[Route], actions: Actions) -> Iterator[tuple[str, str, Operation]]:
    """(path, method, operation) of everything that can be reached, in the order in which it answers."""
    routes = list(routes)
    for generated in (False, True):
        for route in routes:
            for alias in route.aliases:
                if alias.generated == generated:
                    yield from _of_alias(route, alias, actions)
    for route in routes:
        if route.settings.mapping_policy == "all":
            for name in sorted(actions):
                endpoint = _offered(actions, name)
                if endpoint is not None and route.permits_direct(name):
                    path = f"{route.settings.path.rstrip('/')}/{name.replace('.', '/').replace('$', '~', 1)}"
                    yield path, "POST", _operation(route.settings, path, "POST", name, endpoint.entry)


def _of_alias(route: Route, alias: Alias, actions: Actions) -> Iterator[tuple[str, str, Operation]]:
    """An alias answers to several methods where it names none, and has several paths where parts of its own are optional."""
    if alias.method == EVERY_METHOD:
        return  # What lies behind an application or a proxy nobody here knows.
    tag: str | None = ""
    entry: Mapping[str, Any]
    if isinstance(alias.function, HttpCall):
        entry = alias.function.entry
    elif alias.function is not None:
        entry = {"description": (alias.function.__doc__ or "").strip()}
        tag = None
    else:
        endpoint = _offered(actions, alias.action)
        if endpoint is None or alias.handler is route.refusal:
            return
        entry = endpoint.entry
    for pattern in alias.patterns:
        path = pattern.template
        for method in _SHOWN_METHODS if alias.method == "*" else (alias.method,):
            yield path, method, _operation(route.settings, path, method, alias.action, entry, tag)


def _offered(actions: Actions, name: str) -> Endpoint | None:
    """One who serves the action, if all who do let gateways in."""
    found = actions.get(name)
    if found is None or not found.all or any(one.visibility != "published" for one in found.all):
        return None
    return found.all[0]


def _operation(
    route: RouteSettings,
    path: str,
    method: str,
    action: str,
    entry: Mapping[str, Any],
    tag: str | None = "",
) -> Operation:
    params = entry.get("params")
    schema = {} if params is None else json_schema(params)
    names = re.findall(r"\{([^}]*)\}", path)
    if route.merge_params:
        in_path, in_query, body = _shared_out(schema, names, method)
    else:
        parts = {part: _part(schema, part) for part in ("params", "query", "body")}
        in_path, in_query = _fields(parts["params"]), _fields(parts["query"])
        body = parts["body"] if method not in _BODILESS else None
    operation: Operation = {"operationId": f"{action}.{method.lower()}", "summary": action}
    if tag is not None:
        operation["tags"] = [action.rpartition(".")[0] or action]
    if isinstance(entry.get("description"), str) and entry["description"]:
        operation["description"] = entry["description"][:_TEXT_MAX]
    parameters = [_parameter(name, "path", in_path.get(name, ({"type": "string"}, True))[0], True) for name in names]
    parameters += [_parameter(name, "query", one, required) for name, (one, required) in in_query.items()]
    if parameters:
        operation["parameters"] = parameters
    kinds = _content_types(route, body) if body else []
    if body and kinds:
        operation["requestBody"] = {"content": {kind: {"schema": body} for kind in kinds}}
        if body.get("required"):
            operation["requestBody"]["required"] = True
    kind = entry.get("responseType")
    operation["responses"] = {
        "2XX": {
            "description": "What the action returns",
            "content": {kind if isinstance(kind, str) and kind else "application/json": {"schema": {}}},
        },
        "4XX": {"$ref": "#/components/responses/Error"},
        "5XX": {"$ref": "#/components/responses/Error"},
    }
    return operation | _said(entry.get("openapi"))


def _content_types(route: RouteSettings, body: JsonSchema) -> list[str]:
    """The types in which a route takes params as a body."""
    kinds = ["json", *(("urlencoded", "multipart") if _is_text(body) else ())]
    parsers = [parser for parser in route.body_parsers.in_order if parser.kind in kinds and parser.test is None]
    return [kind for parser in parsers for kind in parser.types if "*" not in kind]


def _is_text(body: JsonSchema) -> bool:
    """Whether a form can say it: all that comes of one is text."""
    return all(one.get("type") == "string" for one in body.get("properties", {}).values())


Fields: TypeAlias = "dict[str, tuple[JsonSchema, bool]]"


def _shared_out(schema: JsonSchema, names: list[str], method: str) -> tuple[Fields, Fields, JsonSchema | None]:
    """Params of one object: those the path holds, those of the query, and the schema of the body with the rest."""
    fields = _fields(schema)
    in_path = {name: fields.pop(name) for name in names if name in fields}
    if method in _BODILESS:
        return in_path, fields, None
    if not schema:
        return in_path, {}, None
    body = {key: value for key, value in schema.items() if key not in ("properties", "required")}
    if fields:
        body["properties"] = {name: one for name, (one, _) in fields.items()}
        required = [name for name, (_, needed) in fields.items() if needed]
        if required:
            body["required"] = required
    elif in_path:
        return in_path, {}, None  # The path holds all there is.
    return in_path, {}, body


def _fields(schema: JsonSchema) -> Fields:
    required = schema.get("required", ())
    return {name: (one, name in required) for name, one in schema.get("properties", {}).items()}


def _part(schema: JsonSchema, name: str) -> JsonSchema:
    found: JsonSchema = schema.get("properties", {}).get(name, {})
    return found


def _parameter(name: str, place: str, schema: JsonSchema, required: bool) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "in": place, "schema": schema}
    if required:
        made["required"] = True
    if isinstance(schema.get("description"), str):
        made["description"] = schema["description"]
    if place == "query" and schema.get("type") == "object":
        made |= {"style": "deepObject", "explode": True}  # As `qs` reads it: a[b]=c.
    return made


def _said(own: object) -> Operation:
    """What the action itself says of its operation, as far as it has the right shape."""
    if not isinstance(own, Mapping):
        return {}
    kinds = {"deprecated": bool, "tags": list, "security": list, "externalDocs": dict, "responses": dict}
    return {key: own[key] for key in _OWN_KEYS if isinstance(own.get(key), kinds.get(key, str))}


def _unique(wanted: str, ids: set[str]) -> str:
    name, count = wanted, 1
    while name in ids:
        count += 1
        name = f"{wanted}.{count}"
    ids.add(name)
    return name
