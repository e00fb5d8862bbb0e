"""Aliases: from what people write to (method, path, action), from settings and from `rest` annotations.

Gateway reference, sections 2.1 to 2.3 and 2.7.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from tautomer.settings import nearest
from tautomer.web.patterns import ANY_METHOD

__all__ = ["AliasDef", "AliasError", "base_paths", "join_path", "parse_alias", "parse_rest", "snake"]

REST: Final = {
    "list": ("GET", ""),
    "get": ("GET", "/:id"),
    "create": ("POST", ""),
    "update": ("PUT", "/:id"),
    "patch": ("PATCH", "/:id"),
    "remove": ("DELETE", "/:id"),
}
"""Method and path of each action of a ``REST`` alias, in moleculer-web's order."""

_METHOD = re.compile(r"[A-Za-z][A-Za-z-]{0,31}|\*")
_NEVER: Final = ("TRACE", "CONNECT")
_TYPES_LATER: Final = ("multipart", "stream")
_ALIAS_KEYS: Final = ("action", "type", "method", "path", "full_path", "only", "except")
# One action has a handful; a peer that sends a thousand is at fault.
ANNOTATIONS_MAX: Final = 100
BASES_MAX: Final = 16


class AliasError(ValueError):
    """An alias that cannot be one; the text says why."""


class AliasDef(msgspec.Struct, frozen=True):
    """One alias, not yet under the prefix of its route.

    Attributes:
        method: In upper case, or ``*`` for all that run actions.
        path: Below the route's path.
        action: Full action name.
        full_path: Stands for gateway path, route path and `path` together, or None.
        generated: Whether it comes from a `rest` annotation.
    """

    method: str
    path: str
    action: str
    full_path: str | None = None
    generated: bool = False


def snake(key: str) -> str:
    """``mappingPolicy`` to ``mapping_policy``; what is snake already stays."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower()


def join_path(*parts: str) -> str:
    """Paths put together: one slash between, one in front, none at the end."""
    return "/" + "/".join(segment for part in parts for segment in part.split("/") if segment)


def parse_alias(key: object, value: object) -> list[AliasDef]:
    """One entry of a route's `aliases`: a single alias, or the six of a ``REST`` one.

    Raises:
        AliasError: The entry is wrong; the text says what and what would be right.
    """
    if not isinstance(key, str) or not key.strip():
        raise AliasError(f"the alias {key!r} is not 'METHOD /path' or '/path'")
    method, path = _split_key(key)
    if isinstance(value, str):
        value = {"action": value}
    if isinstance(value, list | tuple) or callable(value):
        raise AliasError(f"'{key}': functions and lists of functions as aliases are not supported yet")
    if not isinstance(value, Mapping):
        raise AliasError(f"'{key}' leads to an action name or {{'action': ...}}, not to {value!r}")
    options = _options(value, _ALIAS_KEYS, key)
    action = _action(options, key)
    if method == "REST":
        return _rest(path, action, options, key)
    if "only" in options or "except" in options:
        raise AliasError(f"'{key}': 'only' and 'except' belong to a REST alias")
    path = _text(options, "path", key) or path
    full_path = _text(options, "full_path", key)
    return [AliasDef(_method(options.get("method") or method, key), path, action, full_path)]


def parse_rest(rest: object, bases: Sequence[str], raw_name: str, action: str) -> Iterator[AliasDef | AliasError]:
    """The aliases of one action's `rest` annotation, under each base path. Faulty ones come out as errors.

    Args:
        rest: ``"GET /x"``, ``"/x"``, a mapping with `method`, `path`, `basePath`, `fullPath`, or a list of these.
        bases: Base paths of the service, see `base_paths`.
        raw_name: The action's own name, the path where a mapping names none.
        action: Its full name.
    """
    annotations = rest if isinstance(rest, list | tuple) else [rest]
    if len(annotations) > ANNOTATIONS_MAX:
        yield AliasError(f"{len(annotations)} rest annotations on one action; the first {ANNOTATIONS_MAX} are taken")
    for annotation in annotations[:ANNOTATIONS_MAX]:
        try:
            yield from _annotated(annotation, bases, raw_name, action)
        except AliasError as error:
            yield error


def base_paths(rest: object, full_name: str, name: str, settings: Mapping[str, object]) -> list[str]:
    """Base paths of a service: its setting `rest` (a text or several), else its full name with slashes for dots."""
    if isinstance(rest, str):
        return [rest]
    if isinstance(rest, list | tuple):
        return [one for one in rest[:BASES_MAX] if isinstance(one, str)]
    return [(name if settings.get("$noVersionPrefix") else full_name).replace(".", "/")]


def _annotated(annotation: object, bases: Sequence[str], raw_name: str, action: str) -> Iterable[AliasDef]:
    if isinstance(annotation, str):
        if not annotation.strip():
            raise AliasError("a rest annotation is 'METHOD /path' or '/path', not an empty text")
        method, path = _split_key(annotation)
        return [AliasDef(_method(method, annotation), join_path(base, path), action, None, True) for base in bases]
    if not isinstance(annotation, Mapping):
        raise AliasError(f"a rest annotation is a text or a mapping, not {annotation!r:.80}")
    # What else stands in it is of no concern here: other gateways and documentation tools keep their keys there.
    options: dict[str, object] = {snake(str(key)): value for key, value in annotation.items()}
    _call_type(options, "rest")
    method = _method(options.get("method") or ANY_METHOD, "rest")
    written = _text(options, "path", "rest")
    path = raw_name if written is None else written
    full_path, base_path = _text(options, "full_path", "rest"), _text(options, "base_path", "rest")
    if full_path is not None:
        return [AliasDef(method, path, action, full_path, True)]
    if base_path is not None:
        bases = [base_path]
    return [AliasDef(method, join_path(base, path), action, None, True) for base in bases]


def _split_key(key: str) -> tuple[str, str]:
    """``"GET /x"`` to method and path; without a method it is ``*``. Any run of blanks separates."""
    first, *rest = key.split(None, 1)
    return (first, rest[0].strip()) if rest else (ANY_METHOD, first)


def _method(method: object, key: str) -> str:
    if not isinstance(method, str) or not _METHOD.fullmatch(method):
        raise AliasError(f"'{key}': {method!r} is not an HTTP method")
    method = method.upper()
    if method in _NEVER:
        raise AliasError(f"'{key}': {method} is never answered by an action")
    if method == "REST":
        raise AliasError(f"'{key}': REST belongs into the key of an alias")
    return method


def _options(value: Mapping[object, object], known: Sequence[str], key: str) -> dict[str, object]:
    options: dict[str, object] = {}
    for name, one in value.items():
        short = snake(str(name))
        if short not in known:
            raise AliasError(f"'{key}': unknown key '{name}'{nearest(str(name), known)}")
        options[short] = one
    return options


def _action(options: Mapping[str, object], key: str) -> str:
    action = options.get("action")
    if not isinstance(action, str) or not action:
        raise AliasError(f"'{key}' names no action: its value is 'service.action' or {{'action': 'service.action'}}")
    kind, colon, rest = action.partition(":")
    if colon:
        _call_type({"type": kind}, key)
        action = rest
    _call_type(options, key)
    return action


def _call_type(options: Mapping[str, object], key: str) -> None:
    kind = options.get("type")
    if kind in _TYPES_LATER:
        raise AliasError(f"'{key}': the alias type '{kind}' is not supported yet")
    if kind not in (None, "call"):
        raise AliasError(f"'{key}': {kind!r} is not an alias type")


def _text(options: Mapping[str, object], name: str, key: str) -> str | None:
    value = options.get(name)
    if value is not None and not isinstance(value, str):
        raise AliasError(f"'{key}': '{name}' is a text, not {value!r:.80}")
    return value


def _rest(path: str, service: str, options: Mapping[str, object], key: str) -> list[AliasDef]:
    for name in ("method", "path"):
        if name in options:
            raise AliasError(f"'{key}': '{name}' has no meaning for a REST alias")
    full_path = _text(options, "full_path", key)
    wanted = _members(options, "only", key) or tuple(REST)
    unwanted = _members(options, "except", key) or ()
    made = []
    for member, (method, below) in REST.items():
        if member in wanted and member not in unwanted:
            full = None if full_path is None else full_path + below
            made.append(AliasDef(method, path + below, f"{service}.{member}", full))
    return made


def _members(options: Mapping[str, object], name: str, key: str) -> tuple[str, ...] | None:
    """`only` or `except`: a list of the six, or one of them."""
    value = options.get(name)
    if value is None:
        return None
    members = (value,) if isinstance(value, str) else value
    if not isinstance(members, list | tuple) or not all(
        isinstance(member, str) and member in REST for member in members
    ):
        raise AliasError(f"'{key}': '{name}' is a list of {', '.join(REST)}, not {value!r:.120}")
    if name == "only" and not members:
        raise AliasError(f"'{key}': 'only' is empty, so the alias would lead nowhere")
    return tuple(members)
