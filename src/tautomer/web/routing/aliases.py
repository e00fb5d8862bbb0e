"""Aliases: from what people write to (method, path, action), from settings and from `rest` annotations.

Gateway reference, sections 2.1 to 2.3 and 2.7.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, cast

import msgspec

from tautomer.settings import nearest
from tautomer.web.messages.limits import UploadLimits
from tautomer.web.routing.patterns import ANY_METHOD

__all__ = [
    "ALIAS_KEYS",
    "AliasDef",
    "AliasError",
    "AliasKind",
    "base_paths",
    "join_path",
    "parse_alias",
    "parse_rest",
    "snake",
]

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
AliasKind: TypeAlias = Literal["call", "multipart", "stream", "proxy"]
_KINDS: Final = ("call", "multipart", "stream")
ALIAS_KEYS: Final = (
    "action",
    "type",
    "method",
    "path",
    "full_path",
    "only",
    "except",
    "handler",
    "pass_req_res_to_params",
    "busboy_config",
)
"""What a mapping as alias may say of the alias itself; all else is its writer's own."""
_NO_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType({})
# A door is opened where the doors are: whoever announces an action does not say who may pass.
_NEVER_FROM_PEERS: Final = ("authentication", "authorization")
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
        handler: A function that answers in the action's place, or None. `action` is then its name, for logs.
        authentication: In place of the route's; False for none, None for the route's.
        authorization: The same.
        stages: Functions ``(request, call_next)`` that stand before the action, in order.
        reads_params: Whether query and body are read into params; else whoever answers does it.
        kind: ``call``; ``stream``: the action reads the body as it comes; ``multipart``: it is called for each file of a
            form; ``proxy``: `handler` passes the request on (never written in an alias).
        passes_request: Whether the action gets the request, as param ``$req``.
        busboy_config: What may be uploaded, as written, until the settings are read.
        options: Keys of its writer's own, as written, for hooks and guards.
        uploads: What may be uploaded; None for what its route says.
    """

    method: str
    path: str
    action: str
    full_path: str | None = None
    generated: bool = False
    handler: Callable[..., Any] | None = None
    authentication: Callable[..., Any] | Literal[False] | None = None
    authorization: Callable[..., Any] | Literal[False] | None = None
    reads_params: bool = True
    stages: tuple[Callable[..., Any], ...] = ()
    kind: AliasKind = "call"
    passes_request: bool = False
    busboy_config: Mapping[str, object] | None = None
    uploads: UploadLimits | None = None
    options: Mapping[str, Any] = _NO_OPTIONS

    def __hash__(self) -> int:
        return hash((self.method, self.path, self.action, self.full_path, self.generated))

    @property
    def is_plain(self) -> bool:
        """Whether it leads to an action and asks for nothing else."""
        plain = self.handler is None and not self.stages and self.kind == "call" and not self.passes_request
        return plain and self.authentication is None and self.authorization is None


@dataclass(slots=True)
class _Written:
    """The value of an alias, whatever its form: what it says by known keys, and what is its writer's own."""

    known: dict[str, object]
    own: dict[str, Any] = field(default_factory=dict)
    stages: tuple[Callable[..., Any], ...] = ()


def snake(key: str) -> str:
    """``mappingPolicy`` to ``mapping_policy``; what is snake already stays."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower()


def join_path(*parts: str) -> str:
    """Paths put together: one slash between, one in front, none at the end."""
    return "/" + "/".join(segment for part in parts for segment in part.split("/") if segment)


def parse_alias(key: object, value: object) -> list[AliasDef]:
    """One entry of a route's `aliases`: a single alias, or the six of a ``REST`` one.

    Args:
        value: ``"service.action"``, with ``multipart:`` or ``stream:`` before it if need be; a function that answers; a
            list of stages that ends in one of these; or a mapping with `action` or `handler`, and whatever else.

    Raises:
        AliasError: The entry is wrong; the text says what and what would be right.
    """
    if not isinstance(key, str) or not key.strip():
        raise AliasError(f"the alias {key!r} is not 'METHOD /path' or '/path'")
    method, path = _split_key(key)
    written = _read(value, key)
    known = written.known
    handler = _handler(known, key)
    action, kind = _action(written, key) if handler is None else (_name(handler), "call")
    alias = AliasDef(
        method,
        path,
        action,
        _text(known, "full_path", key),
        handler=handler,
        stages=written.stages,
        kind=kind,
        passes_request=_flag(known, "pass_req_res_to_params", key),
        busboy_config=_busboy_config(known, kind, key),
        options=written.own,
    )
    if alias.passes_request and handler is not None:
        raise AliasError(f"'{key}': a function gets the request anyway; 'passReqResToParams' is for actions")
    if method == "REST":
        return _rest(alias, known, key)
    if "only" in known or "except" in known:
        raise AliasError(f"'{key}': 'only' and 'except' belong to a REST alias")
    path = _text(known, "path", key) or path
    return [msgspec.structs.replace(alias, method=_method(known.get("method") or method, key), path=path)]


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
    # What else stands in it is its writer's own: other gateways and documentation tools keep their keys there.
    written = _split(annotation, ("type", "method", "path", "full_path", "base_path", "busboy_config"))
    known, own = written.known, {key: one for key, one in written.own.items() if snake(key) not in _NEVER_FROM_PEERS}
    kind = _kind(known.get("type"), "rest")
    method = _method(known.get("method") or ANY_METHOD, "rest")
    path_given = _text(known, "path", "rest")
    path = raw_name if path_given is None else path_given
    full_path, base_path = _text(known, "full_path", "rest"), _text(known, "base_path", "rest")
    if full_path is not None:
        return [AliasDef(method, path, action, full_path, True, kind=kind, options=own)]
    if base_path is not None:
        bases = [base_path]
    return [AliasDef(method, join_path(base, path), action, None, True, kind=kind, options=own) for base in bases]


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


def _read(value: object, key: str) -> _Written:
    """The value of an alias in one form."""
    if isinstance(value, str):
        return _Written({"action": value})
    if isinstance(value, Mapping):
        return _split(value, ALIAS_KEYS)
    if callable(value):
        return _Written({"handler": value})
    if isinstance(value, list | tuple):
        return _read_list(value, key)
    raise AliasError(f"'{key}' leads to an action name, a function, a list or {{'action': ...}}, not to {value!r:.80}")


def _read_list(value: Sequence[object], key: str) -> _Written:
    """``[stage, stage, "service.action"]``. As in moleculer-web the last text is the action, wherever it stands.

    None is nothing: ``[stage if wanted else None, …]``.
    """
    value = [one for one in value if one is not None]
    functions = [one for one in value if callable(one)]
    names = [one for one in value if isinstance(one, str)]
    if len(functions) + len(names) < len(value):
        wrong = next(one for one in value if not callable(one) and not isinstance(one, str))
        raise AliasError(f"'{key}': a list holds functions and an action name, not {wrong!r:.80}")
    if names:
        return _Written({"action": names[-1]}, stages=tuple(functions))
    if not functions:
        raise AliasError(f"'{key}': the list is empty; it ends in an action name or a function")
    return _Written({"handler": functions[-1]}, stages=tuple(functions[:-1]))


def _split(value: Mapping[Any, Any], known: Sequence[str]) -> _Written:
    """What a mapping says by keys that mean something, in either spelling, and the rest of it."""
    written = _Written({})
    for name, one in value.items():
        short = snake(str(name))
        if short in known:
            written.known[short] = one
        else:
            written.own[str(name)] = one
    return written


def _handler(known: Mapping[str, object], key: str) -> Callable[..., Any] | None:
    handler = known.get("handler")
    if handler is None:
        return None
    if not callable(handler):
        raise AliasError(f"'{key}': 'handler' is a function, not {handler!r:.80}")
    if known.get("action") is not None:
        raise AliasError(
            f"'{key}' has an 'action' and a 'handler', and only one can answer; what runs before an action is a stage: "
            "write the list [function, 'service.action']"
        )
    return cast("Callable[..., Any]", handler)


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _action(written: _Written, key: str) -> tuple[str, AliasKind]:
    action = written.known.get("action")
    if not isinstance(action, str) or not action:
        hint = next((found for name in written.own if "mean" in (found := nearest(name, ("action", "handler")))), "")
        raise AliasError(
            f"'{key}' names no action: its value is 'service.action' or {{'action': 'service.action'}}{hint}"
        )
    prefix, colon, rest = action.partition(":")
    given = written.known.get("type")
    kind = _kind(given, key)
    if not colon:
        return action, kind
    named = _kind(prefix, key)
    if given not in (None, named):
        raise AliasError(f"'{key}' is of type '{named}' by its action, and of type '{kind}' by its 'type'")
    return rest, named


def _kind(kind: object, key: str) -> AliasKind:
    if kind is None:
        return "call"
    if kind not in _KINDS:
        raise AliasError(f"'{key}': {kind!r:.80} is not an alias type: {', '.join(_KINDS)}")
    return kind


def _busboy_config(known: Mapping[str, object], kind: AliasKind, key: str) -> Mapping[str, object] | None:
    config = known.get("busboy_config")
    if config is None:
        return None
    if not isinstance(config, Mapping):
        raise AliasError(f"'{key}': 'busboyConfig' is a mapping, not {config!r:.80}")
    if kind == "call":
        raise AliasError(f"'{key}': 'busboyConfig' belongs to an alias of type 'multipart' or 'stream'")
    return config


def _flag(known: Mapping[str, object], name: str, key: str) -> bool:
    value = known.get(name)
    if value is not None and not isinstance(value, bool):
        raise AliasError(f"'{key}': '{name}' is true or false, not {value!r:.80}")
    return bool(value)


def _text(options: Mapping[str, object], name: str, key: str) -> str | None:
    value = options.get(name)
    if value is not None and not isinstance(value, str):
        raise AliasError(f"'{key}': '{name}' is a text, not {value!r:.80}")
    return value


def _rest(alias: AliasDef, known: Mapping[str, object], key: str) -> list[AliasDef]:
    if alias.handler is not None:
        raise AliasError(f"'{key}': a REST alias leads to the six actions of a service, not to a function")
    if alias.kind != "call":
        raise AliasError(f"'{key}': a REST alias cannot be of type '{alias.kind}'")
    for name in ("method", "path"):
        if name in known:
            raise AliasError(f"'{key}': '{name}' has no meaning for a REST alias")
    wanted = _members(known, "only", key) or tuple(REST)
    unwanted = _members(known, "except", key) or ()
    return [
        msgspec.structs.replace(
            alias,
            method=method,
            path=alias.path + below,
            action=f"{alias.action}.{member}",
            full_path=None if alias.full_path is None else alias.full_path + below,
        )
        for member, (method, below) in REST.items()
        if member in wanted and member not in unwanted
    ]


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
