"""Service: name, version, settings, mixins, life cycle; the marks of its methods collected."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from tautomer.decorators import ActionMark, EventMark, marks_of
from tautomer.definitions import ActionDef, EventDef, plain
from tautomer.errors import ServiceSchemaError
from tautomer.registry.registry import full_service_name, is_name

if TYPE_CHECKING:
    from tautomer.broker import Broker

T = TypeVar("T")

Hook = Callable[[], Awaitable[None] | None]

SECURE: Final = ("$secureSettings", "$secure_settings")
"""Either names the settings that do not leave the node: a secret must not get out by a spelling."""


class Service:
    """A group of actions and listeners under one name. Subclass it and mark methods.

    Attributes:
        name: Name in the mesh; required.
        version: Part of the full name: ``v2.users`` for ``2``, ``beta.users`` for ``"beta"``.
        settings: Public data, told to other nodes, but for the paths in ``$secureSettings`` (or ``$secure_settings``).
            ``$strategy`` and ``$strategyOptions`` hold for all its actions and events.
        metadata: Public data.
        hooks: Functions around its actions: ``{"before": {selector: hook}, "after": …, "error": …}``. A selector is an
            action's name, a pattern, several joined by ``|``, or ``*``; a hook is a function, the name of a method, or a
            list of these. Before: ``(ctx)``. After: ``(ctx, result)``, returns the result. Error: ``(ctx, error)``, raises, or
            returns what takes the error's place. An action has its own with ``@action(hooks=…)``.
        dependencies: Names of services to wait for before `started`; ``{"name", "version"}`` for versioned ones.
        mixins: Classes whose marks, methods, settings and life cycle are taken in; the first wins
            over later ones, the service's own over all.
        broker: The broker it is registered at; set before `created`.
        logger: ``tautomer.service.<full name>``.
        actions: Its own actions, ``await self.actions.add({"a": 1})``: with their middlewares, past the
            registry; the only way to a ``private`` one. There once it has started.
    """

    name: str = ""
    version: str | int | float | None = None
    settings: Mapping[str, Any] = {}
    metadata: Mapping[str, Any] = {}
    dependencies: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] = ()
    mixins: Sequence[type] = ()
    hooks: Mapping[str, Any] = {}

    broker: Broker
    logger: logging.Logger
    actions: Any

    def __init__(
        self,
        name: str | None = None,
        *,
        version: str | int | float | None = None,
        settings: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        if name is not None:
            self.name = name
        if version is not None:
            self.version = version
        if settings is not None:
            self.settings = _merged(self.settings, settings)
        if metadata is not None:
            self.metadata = _merged(self.metadata, metadata)

    @property
    def full_name(self) -> str:
        """Name with version, such as ``v2.users``."""
        return full_service_name(self.name, self.version)

    # --- life cycle: may be `def` or `async def` ---

    def created(self) -> Awaitable[None] | None:
        """The service was taken in by a broker. Nothing runs yet."""

    def started(self) -> Awaitable[None] | None:
        """The node is in the mesh and the dependencies are there; offered once this returns."""

    def stopping(self) -> Awaitable[None] | None:
        """The node begins to stop; running calls still finish. Doors to the outside are closed here."""

    def stopped(self) -> Awaitable[None] | None:
        """No call of this service runs any more."""

    async def wait_for_services(self, names: Any, timeout: float | None = None) -> dict[str, Any]:
        """Wait until these services are known; see `Broker.wait_for_services`."""
        return await self.broker.wait_for_services(names, timeout)

    # --- what the kernel reads ---

    def attach(self, broker: Broker) -> None:
        """Take in the mixins and check what was written.

        Raises:
            ServiceSchemaError: No name, a name that cannot be one, or a mixin that is no class.
        """
        for mixin in self._all_mixins():
            self._take_in(mixin)
        if not _is_text(self.name) or not self.name:
            raise ServiceSchemaError(f'{type(self).__name__} has no name: set `name = "..."` in the class')
        if isinstance(self.version, bool) or not isinstance(self.version, str | int | float | None):
            raise ServiceSchemaError(f"the version of '{self.name}' is a text or a number, not {self.version!r}")
        if not is_name(self.full_name):
            raise ServiceSchemaError(f"{self.full_name!r} is not a service name: no blanks, at most 255 characters")
        self.broker = broker
        self.logger = logging.getLogger(f"tautomer.service.{self.full_name}")

    def life_cycle(self, kind: str) -> list[Hook]:
        """The functions of one life-cycle step: mixins' first, at stop last (protocol section 6.5)."""
        own: Hook = getattr(self, kind)
        functions = dict.fromkeys(getattr(mixin, kind, None) for mixin in reversed(self._all_mixins()))
        mixed: list[Hook] = [MethodType(function, self) for function in functions if isinstance(function, FunctionType)]
        return [own, *reversed(mixed)] if kind in ("stopping", "stopped") else [*mixed, own]

    def action_hooks(self) -> list[Mapping[str, Any]]:
        """What the classes of the service say of hooks, the weakest first: mixins, then bases, then its own."""
        bases = (base for source in self._sources() for base in reversed(source.__mro__) if base is not Service)
        said = [vars(base).get("hooks") for base in dict.fromkeys(bases)]
        own = vars(self).get("hooks")
        return [one for one in (*said, own) if one]

    def action_name(self, name: str) -> str:
        """The full name of one of its actions, by the rules of ``$noVersionPrefix`` and ``$noServiceNamePrefix``."""
        prefix = self.name if self.settings.get("$noVersionPrefix") else self.full_name
        return name if self.settings.get("$noServiceNamePrefix") else f"{prefix}.{name}"

    def action_defs(self) -> list[ActionDef]:
        """Its actions. Where a mixin has one of the same name, that fills in what its own does not say.

        A mixin's action is left out where the service has something else under the name of the
        method, such as ``get = False``.

        Raises:
            ServiceSchemaError: Two of one name, or a name that cannot be one.
        """
        found: dict[str, tuple[str, ActionDef]] = {}
        for source in self._sources():
            own: dict[str, tuple[str, ActionDef]] = {}
            for attribute, method, mark in self._marked(source):
                if not isinstance(mark, ActionMark):
                    continue
                name = self._checked_name(mark.name or attribute, "an action")
                if name in own:
                    raise ServiceSchemaError(f"service '{self.full_name}' has two actions named '{name}'")
                own[name] = attribute, _action_def(name, method, mark, found[name][1] if name in found else None)
            kept = {name: one for name, one in found.items() if name in own or not hasattr(source, one[0])}
            found = {**kept, **own}
        return [definition.in_service(self.settings) for _attribute, definition in found.values()]

    def event_defs(self) -> list[EventDef]:
        """What it listens to; several methods may hear the same pattern and group, the mixins' first.

        Raises:
            ServiceSchemaError: A name that cannot be one.
        """
        found: dict[tuple[str, str | None], EventDef] = {}
        for source in self._sources():
            groups = dict(found.keys())  # What weaker classes said of each event.
            for attribute, method, mark in self._marked(source):
                if not isinstance(mark, EventMark):
                    continue
                name = self._checked_name(mark.name or attribute, "an event")
                # One event has one group: where only the mixin or only the service names it, it is for both.
                group = mark.group or groups.get(name)
                before = found.get((name, group))
                if before is None and groups.get(name, group) is None:
                    before = found.pop((name, None), None)
                found[name, group] = _event_def(name, group, method, mark, before)
        return list(found.values())

    def public_settings(self) -> dict[str, Any]:
        """The settings as they may leave the node: without those named in ``$secureSettings`` (promise S5)."""
        public: dict[str, Any] = plain({key: value for key, value in self.settings.items() if key not in SECURE})
        for path in _secure_paths(self.settings):
            public.pop(path, None)  # A key may hold dots itself.
            *parents, last = path.split(".")
            place: Any = public
            for part in parents:
                place = _inside(place, part)
            if isinstance(place, dict):
                place.pop(last, None)
            elif _inside(place, last) is not None:
                place[int(last)] = None
        return public

    def _checked_name(self, name: str, kind: str) -> str:
        if not is_name(name):
            raise ServiceSchemaError(f"{name!r} of service '{self.full_name}' is not {kind} name")
        return name

    def _all_mixins(self) -> list[type]:
        """Every mixin, and theirs, the strongest first. Not those that the class inherits from anyway."""
        found: dict[type, None] = {}

        def collect(mixins: Any) -> None:
            for mixin in [mixins] if isinstance(mixins, type) else mixins:
                if not isinstance(mixin, type):
                    raise ServiceSchemaError(f"mixins of {type(self).__name__} are classes, not {mixin!r}")
                if mixin not in found and not issubclass(type(self), mixin):
                    found[mixin] = None
                    collect(getattr(mixin, "mixins", ()))

        collect(self.mixins)
        return list(found)

    def _sources(self) -> list[type]:
        """The classes whose marks count, the weakest first."""
        return [*reversed(self._all_mixins()), type(self)]

    def _marked(self, source: type) -> Iterator[tuple[str, MethodType, ActionMark | EventMark]]:
        """Every marked method of a class, bound to this service, in the order in which they are written."""
        for attribute in _attributes(source):
            function = inspect.getattr_static(source, attribute)
            if isinstance(function, staticmethod | classmethod):
                if marks_of(function) or marks_of(function.__func__):
                    raise ServiceSchemaError(
                        f"{source.__name__}.{attribute} is a static or class method; "
                        "an action or a listener is an ordinary one"
                    )
            elif isinstance(function, FunctionType):
                for mark in marks_of(function):
                    yield attribute, MethodType(function, self), mark

    def _take_in(self, mixin: type) -> None:
        self.name = self.name or getattr(mixin, "name", "")
        self.version = getattr(mixin, "version", None) if self.version is None else self.version
        self.settings = _merged(getattr(mixin, "settings", {}), self.settings)
        self.metadata = _merged(getattr(mixin, "metadata", {}), self.metadata)
        mixed = [*dependency_list(self.dependencies), *dependency_list(getattr(mixin, "dependencies", ()))]
        self.dependencies = [one for index, one in enumerate(mixed) if one not in mixed[:index]]
        for attribute in _attributes(mixin):
            if attribute.startswith("__") or attribute in vars(self) or hasattr(type(self), attribute):
                continue
            found = inspect.getattr_static(mixin, attribute)
            if isinstance(found, FunctionType | staticmethod | classmethod):
                found = found.__get__(self, type(self))
            elif hasattr(found, "__get__"):
                raise ServiceSchemaError(
                    f"{mixin.__name__}.{attribute} is a property or the like, which cannot be mixed in; "
                    f"let {type(self).__name__} inherit from {mixin.__name__} instead"
                )
            setattr(self, attribute, found)


def as_service(given: T) -> T:
    """A plain class with marks as a service class, as nameko's services are written: with a name, and no base.

    Anything else as it is.
    """
    if not isinstance(given, type) or issubclass(given, Service):
        return given
    functions = (inspect.getattr_static(given, name) for name in _attributes(given))
    if not any(isinstance(one, FunctionType) and marks_of(one) for one in functions):
        return given
    # Its own attributes go before those of a service.
    own = {"__module__": given.__module__, "__doc__": given.__doc__, "__qualname__": given.__qualname__}
    return cast(T, type(given.__name__, (given, Service), own))


def dependency_list(
    dependencies: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]],
) -> list[str | Mapping[str, Any]]:
    """One or several, as a list."""
    return [dependencies] if isinstance(dependencies, str | Mapping) else list(dependencies)


def _params_of(name: str, method: MethodType, mark: ActionMark | EventMark) -> Any:
    """What the mark says of params, else the model in the annotation of the context: ``ctx: Context[GetUser]``."""
    if mark.params is not None or not any("Context[" in repr(one) for one in method.__func__.__annotations__.values()):
        return mark.params
    from tautomer.validation.annotations import model_of

    return model_of(method, name)


def _action_def(name: str, method: MethodType, mark: ActionMark, under: ActionDef | None) -> ActionDef:
    """What a mark says, over what a mixin's action of the same name says."""
    binder = mark.binder or (under.binder if under else None)
    schema, told = (None, {}) if binder is None else binder.describe(method)
    params = _over(_params_of(name, method, mark), under and under.params)
    return ActionDef(
        name=name,
        method=method,
        params=schema if params is None else params,
        visibility=mark.visibility or (under.visibility if under else "published"),
        timeout=_over(mark.timeout, under and under.timeout),
        rest=_over(mark.rest, under and under.rest),
        where=mark.where or (under.where if under else "loop"),
        binder=binder,
        timer=mark.timer or (under.timer if under else None),
        extra={**told, **_merged(under.extra if under else {}, mark.extra), **_hooks_of_both(under, mark)},
    )


def _hooks_of_both(under: ActionDef | None, mark: ActionMark) -> dict[str, Any]:
    """An action's own hooks and those of a mixin's action: before in that order, after the other way round (protocol section 6.5)."""
    own, mixed = mark.extra.get("hooks"), under.extra.get("hooks") if under else None
    if not isinstance(own, Mapping) or not isinstance(mixed, Mapping):
        return {}
    kinds = dict.fromkeys([*mixed, *own])
    both = {kind: (_listed(mixed.get(kind)), _listed(own.get(kind))) for kind in kinds}
    return {"hooks": {kind: [*a, *b] if kind == "before" else [*b, *a] for kind, (a, b) in both.items()}}


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _event_def(name: str, group: str | None, method: MethodType, mark: EventMark, under: EventDef | None) -> EventDef:
    """One more method for an event, and what its mark says over what was said before."""
    methods = under.methods if under else ()
    places = under.where if under else ()
    is_new = method not in methods
    return EventDef(
        name=name,
        methods=(*methods, method) if is_new else methods,
        where=(*places, mark.where or "loop") if is_new else places,
        group=group,
        params=_over(_params_of(name, method, mark), under and under.params),
        throttle=_over(mark.throttle, under and under.throttle),
        debounce=_over(mark.debounce, under and under.debounce),
        extra=_merged(under.extra if under else {}, mark.extra),
    )


def _over(value: Any, under: Any) -> Any:
    """Deep defaults of one value, None being what was not said."""
    if isinstance(value, Mapping) and isinstance(under, Mapping):
        return _merged(under, value)
    return under if value is None else value


def _attributes(cls: type) -> list[str]:
    """What a class has, bases first, in writing order; not what every service has."""
    return list(
        dict.fromkeys(name for base in reversed(cls.__mro__) if base not in (object, Service) for name in vars(base))
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _secure_paths(settings: Mapping[str, Any]) -> list[str]:
    paths: list[str] = []
    for key in SECURE:
        named = settings.get(key) or ()
        paths += [named] if isinstance(named, str) else [str(path) for path in named]
    return paths


def _inside(place: Any, part: str) -> Any:
    if isinstance(place, list):
        return place[int(part)] if part.isdecimal() and int(part) < len(place) else None
    return place.get(part) if isinstance(place, dict) else None


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Deep defaults: `over` wins, maps are merged, ``$secureSettings`` are united (protocol section 6.5)."""
    merged = dict(under)
    for key, value in over.items():
        before = merged.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(before, value)
        elif key in SECURE:
            merged[key] = [*dict.fromkeys([*_secure_paths(under), *_secure_paths(over)])]
        else:
            merged[key] = value
    return merged
