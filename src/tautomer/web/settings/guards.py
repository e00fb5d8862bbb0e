"""Reading what stands before the actions: `use`, `rateLimit`, `authentication`, `authorization`, and who is a proxy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from tautomer.web.messages.forwarded import ForwardedHeader, TrustedProxies
from tautomer.web.routing.aliases import AliasDef, snake
from tautomer.web.settings.hooks import a_function, hook, takes
from tautomer.web.settings.methods import Methods
from tautomer.web.settings.reading import Notes, Reader, a_bool, a_list, a_mapping, a_number, a_text, a_whole_number
from tautomer.web.settings.records import Guards, Hook, RateLimit

__all__ = ["guarded_alias", "hide_stores", "named", "read_guards", "read_proxies", "read_root_options", "read_use"]

T = TypeVar("T")

_REDIS: Final = ("redis://", "rediss://", "unix://")
_GUARDS: Final = {"authentication": "authenticate", "authorization": "authorize"}
# From here on a window may be in milliseconds, and below not: 1000 is a second, or a quarter of an hour.
_WINDOW_DOUBTFUL: Final = 1000.0

_check_guard = hook("ctx", "route", "request")
_check_stage = takes("request", "call_next")


def read_guards(reader: Reader, inherited: Guards | None = None) -> Guards:
    """The guards of a gateway (None inherited), or of a route."""
    notes, where = reader.notes, reader.where
    given = Guards() if inherited is None else inherited
    use = reader.take("use", (), lambda value: tuple(read_use(one, notes.methods) for one in a_list(value)))
    rate_limit = reader.take("rate_limit", given.rate_limit, lambda value: _rate_limit(value, where, notes))
    if inherited is None:
        return Guards(use=use, rate_limit=rate_limit)
    return Guards(
        use=given.use + use,
        rate_limit=rate_limit,
        authentication=reader.take("authentication", None, lambda value: _guard(value, "authentication", notes)),
        authorization=reader.take("authorization", None, lambda value: _guard(value, "authorization", notes)),
    )


def read_use(value: object, methods: Methods) -> Hook:
    """One entry of `use`: a function ``(request, call_next)``, the name of such a method, or an ASGI middleware."""
    from tautomer.web.asgi.middleware import asgi_factory, asgi_middleware_stage  # Only who has a `use` needs it.

    factory = asgi_factory(value)
    if factory is not None:
        return asgi_middleware_stage(factory)
    return named(_check_stage, methods)(value)


def named(check: Callable[[object], T], methods: Methods) -> Callable[[object], T]:
    """The check, which also takes the name of a method of the service."""
    return lambda value: check(methods.need(value) if isinstance(value, str) else value)


def guarded_alias(value: object, where: str, notes: Notes) -> tuple[object, Callable[[AliasDef], AliasDef]]:
    """What an alias leads to, without its own `authentication` and `authorization`, and what puts them into it."""
    if not isinstance(value, Mapping):
        return value, lambda alias: alias
    own: dict[str, Any] = {}
    left: dict[object, object] = {}
    for key, given in value.items():
        if key in _GUARDS:
            try:
                own[key] = None if given is None else _guard(given, key, notes) or False
            except ValueError as error:
                notes.faults.append(f"{where}.{key} {error}")
        elif close := _close_guard(str(key)):
            # Aliases may have keys of their own, but a guard with a slip of the pen would be an open door.
            notes.faults.append(f"{where}.{key} is not a setting; did you mean '{close}'?")
        else:
            left[key] = given
    return left, lambda alias: msgspec.structs.replace(alias, **own)


def _close_guard(key: str) -> str | None:
    import difflib  # Only aliases in their long form pay for it.

    return next(iter(difflib.get_close_matches(snake(key), _GUARDS, 1, 0.7)), None)


def _guard(value: object, name: str, notes: Notes) -> Hook | None:
    """A function, the name of a method, or True for the usual method; False for none."""
    if value is False:
        return None
    if value is True:
        value = _GUARDS[name]
    if not isinstance(value, str) and not callable(value):
        raise ValueError(f"is true, the name of a method or a function, not {value!r:.80}")
    return named(_check_guard, notes.methods)(value)


def _rate_limit(value: object, where: str, notes: Notes) -> RateLimit | None:
    if value is False:
        return None
    reader = Reader(value, f"{where}.rateLimit", notes)
    default = RateLimit()
    count = reader.take("limit", default.limit, a_whole_number)
    stores = [reader.take("store", None, _store), reader.take("store_factory", None, a_function)]
    limit = RateLimit(
        window=_window(reader) or default.window,
        limit=default.limit if count is None else count,
        headers=reader.take("headers", default.headers, a_bool),
        key=reader.take("key", None, named(a_function, notes.methods)),
        store=stores[0] or stores[1],
        fail_open=reader.take("fail_open", default.fail_open, a_bool),
    )
    reader.close()
    return limit


def _window(reader: Reader) -> float | None:
    """Seconds of a window: moleculer-web's `window` is in milliseconds, moleculerpy-web's in seconds.

    Nobody writes a window of 60,000 s, nor one of 60 ms. What may be either is a fault.
    """
    plain = reader.take("window_seconds", None, _positive)
    written = reader.take("window", None, _positive)
    if plain is not None or written is None:
        return plain
    if written < _WINDOW_DOUBTFUL:
        return written
    place = f"{reader.where}.window"
    if written % 1000:
        reader.notes.faults.append(
            f"{place} {written:g} may be seconds or milliseconds: write 'windowSeconds': {written:g}, "
            f"or 'windowSeconds': {written / 1000:g}"
        )
    else:
        reader.notes.warnings.append(
            f"{place} {written:g} is read as milliseconds, {written / 1000:g} s: 'windowSeconds' leaves no doubt"
        )
    return written / 1000


def _positive(value: object) -> float:
    number = a_number(value)
    if number <= 0:
        raise ValueError(f"is a number over 0, not {value!r:.80}")
    return number


def _store(value: object) -> str | Hook:
    if isinstance(value, str):
        if not value.startswith(_REDIS):
            # The URL is not told: it may hold a password.
            raise ValueError(f"is a URL that begins with {', '.join(_REDIS)}, or a function")
        return value
    return a_function(value)


def read_proxies(reader: Reader) -> TrustedProxies | None:
    """Whose word counts for where a request came from."""
    header = reader.take("forwarded_header", None, _forwarded_header)
    trusted = reader.take(
        "trusted_proxies",
        None,
        lambda value: TrustedProxies([a_text(one) for one in a_list(value)], header or "x-forwarded-for"),
    )
    if header is not None and trusted is None:
        reader.notes.faults.append(f"{reader.where}.forwardedHeader has no effect without 'trustedProxies'")
    return trusted


def hide_stores(settings: dict[str, Any]) -> None:
    """Take the stores of rate limits out of settings that are told to other nodes: a URL may hold a password."""
    routes = settings.get("routes")
    for place in (settings, *(routes if isinstance(routes, list) else ())):
        for key, value in place.items() if isinstance(place, dict) else ():
            if snake(key) == "rate_limit" and isinstance(value, dict):
                value.pop("store", None)


def _forwarded_header(value: object) -> ForwardedHeader:
    name = str(value).lower()
    if name == "forwarded":
        return "forwarded"
    if name == "x-forwarded-for":
        return "x-forwarded-for"
    raise ValueError(f"is 'X-Forwarded-For' or 'Forwarded', not {value!r:.80}")


def read_root_options(reader: Reader) -> dict[str, Any] | Hook | None:
    """Options of the context of every request: its `meta`, or a function that gives it."""

    def check(value: object) -> dict[str, Any] | Hook:
        if callable(value) or isinstance(value, str):
            return named(a_function, reader.notes.methods)(value)
        inner = Reader(a_mapping(value), f"{reader.where}.rootCallOptions", reader.notes, _ROOT_LATER)
        meta = inner.take("meta", {}, a_mapping)
        inner.close()
        return dict(meta)

    return reader.take("root_call_options", None, check)


_ROOT_LATER: Final[dict[str, str]] = {
    "timeout": "use a route's 'callOptions.timeout'",
    "request_id": "it comes from the request",
    "parent_span": "",
    "headers": "use a route's 'callOptions.headers'",
}
