"""Proxies that are written in settings or in a file, without code (resilience reference, section 13)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from tautomer.commands.proxy import HTTPProxyCommand
from tautomer.commands.upstream.destination import destination
from tautomer.commands.upstream.errors import ProxyRefusedError
from tautomer.config_files import read_config_file
from tautomer.errors import BrokerOptionsError
from tautomer.settings import nearest

__all__ = ["ConfiguredProxy", "InvalidConfig", "proxies_of", "read_proxy_file"]

_SECONDS: Final = ("connect_timeout_seconds", "request_timeout_seconds", "idle_timeout_seconds", "timeout_seconds")
_COUNTS: Final = ("pool_max_size", "max_body", "max_answer")
_KEYS: Final = ("name", "upstream_url", "request_path_regex", "request_path_sub", "preserve_host", *_SECONDS, *_COUNTS)
_FILE_KEYS: Final = ("proxies", "port", "host")


class InvalidConfig(BrokerOptionsError):
    """Proxies are set up wrong; the text tells all that is."""

    type = "INVALID_CONFIG"


class ConfiguredProxy(HTTPProxyCommand):
    """A proxy made of settings. Its group and its command key are its name.

    Attributes:
        upstream_url: What stands before the path.
        pattern: Which paths it takes, matched whole; None for all.
        path_sub: What becomes of the path, with ``\\1`` for groups.
    """

    upstream_url: ClassVar[str] = ""
    pattern: ClassVar[re.Pattern[str] | None] = None
    path_sub: ClassVar[str] = ""

    def before_request(self) -> None:
        path = self.request["path"]
        found = None if self.pattern is None else self.pattern.fullmatch(path)
        if found is not None:
            path = found.expand(self.path_sub)
        # Without a slash the path would go on where the host ends.
        slash = "" if path.startswith("/") or self.upstream_url.count("/") > 2 else "/"
        self.request["url"] = f"{self.upstream_url}{slash}{path}"


def proxies_of(given: object, where: str = "proxies") -> list[type[ConfiguredProxy]]:
    """A class for each of a list of proxies.

    Args:
        given: ``{"name", "upstream_url"}`` each, with `request_path_regex` (all paths without it), `request_path_sub`,
            `connect_timeout_seconds`, `request_timeout_seconds`, `idle_timeout_seconds`, `timeout_seconds`, `pool_max_size`,
            `max_body`, `max_answer`, `preserve_host`: see `HTTPProxyCommand`.

    Raises:
        InvalidConfig: Something is missing, wrong or unknown; all of it is told.
    """
    faults: list[str] = []
    made: list[type[ConfiguredProxy]] = []
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise InvalidConfig(f"{where} is a list of proxies, not {given!r:.80}")
    for index, one in enumerate(given):
        place = f"{where}[{index}]"
        if not isinstance(one, Mapping):
            faults.append(f"{place} is a mapping with 'name' and 'upstream_url', not {one!r:.80}")
            continue
        attributes = _attributes(one, place, faults)
        if attributes.get("command_key") in [known.command_key for known in made]:
            faults.append(f"{place}: there is another proxy called '{attributes['command_key']}'")
        made.append(type("ConfiguredProxy", (ConfiguredProxy,), attributes))
    if faults:
        raise InvalidConfig("the proxies are set up wrong:\n  - " + "\n  - ".join(faults), {"faults": faults})
    return made


def _attributes(given: Mapping[Any, Any], where: str, faults: list[str]) -> dict[str, Any]:
    faults += [f"{where}.{key} is not a setting{nearest(str(key), _KEYS)}" for key in given if key not in _KEYS]
    found: dict[str, Any] = {}
    name = given.get("name")
    if isinstance(name, str) and name:
        found |= {"group_key": name, "command_key": name}
    else:
        faults.append(f"{where}.name is missing" if name is None else f"{where}.name is a text, not {name!r:.80}")
    found |= _origin(given.get("upstream_url"), where, faults)
    for key in _SECONDS:
        value = given.get(key)
        if value is not None:
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
                faults.append(f"{where}.{key} is a number of seconds over 0, not {value!r:.80}")
            found[key] = value
    for key in _COUNTS:
        value = given.get(key)
        if value is not None:
            least = 1 if key == "pool_max_size" else 0
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                faults.append(f"{where}.{key} is a whole number of at least {least}, not {value!r:.80}")
            found[key] = value
    keep_host = given.get("preserve_host", False)
    if not isinstance(keep_host, bool):
        faults.append(f"{where}.preserve_host is true or false, not {keep_host!r:.80}")
    return {**found, **_path(given, where, faults), "preserve_host": keep_host}


def _origin(url: object, where: str, faults: list[str]) -> dict[str, Any]:
    """The URL, and its host as the only one that may be reached."""
    if url is None:
        faults.append(f"{where}.upstream_url is missing")
        return {}
    try:
        to = destination(url)
    except ProxyRefusedError as error:
        faults.append(f"{where}.upstream_url is such as 'https://api.example.com', not {url!r:.80}: {error.reason}")
        return {}
    assert isinstance(url, str)
    if "?" in url or "#" in url:
        faults.append(f"{where}.upstream_url has no query: what it says would come before the path")
    return {"upstream_url": url.rstrip("/"), "allowed_hosts": (to.host if ":" in to.host else f"{to.host}:{to.port}",)}


def _path(given: Mapping[Any, Any], where: str, faults: list[str]) -> dict[str, Any]:
    regex, sub = given.get("request_path_regex"), given.get("request_path_sub")
    if regex is None:
        if sub is not None:
            faults.append(f"{where}.request_path_sub says nothing without 'request_path_regex'")
        return {}
    try:
        pattern = re.compile(regex)
    except (re.error, TypeError) as error:
        faults.append(f"{where}.request_path_regex is no pattern: {error}")
        return {}
    if sub is None:
        return {"pattern": pattern, "path_sub": r"\g<0>"}
    try:
        # Whether the groups that it names are there shows only when it is used, or when it is compiled for a pattern.
        re.compile(regex + "|").sub(sub, "")
    except (re.error, IndexError, TypeError) as error:
        faults.append(f"{where}.request_path_sub does not fit the pattern: {error}")
    return {"pattern": pattern, "path_sub": sub}


def read_proxy_file(path: str | Path) -> tuple[list[type[ConfiguredProxy]], dict[str, Any]]:
    """The proxies of a file, and what it says of `port` and `host`. ``.json``, ``.toml``, ``.yml`` or ``.yaml``.

    Raises:
        InvalidConfig: It cannot be read, or something in it is wrong.
        BrokerOptionsError: It is YAML, and the extra is not installed.
    """
    found = read_config_file(path, wrong=InvalidConfig)
    if not isinstance(found, Mapping):
        raise InvalidConfig(f"'{path}' holds {{'proxies': [...]}}, not {found!r:.80}")
    for key in found:
        if key not in _FILE_KEYS:
            raise InvalidConfig(f"'{path}': {key!r} is not a setting{nearest(str(key), _FILE_KEYS)}")
    if "proxies" not in found:
        raise InvalidConfig(f"'{path}' names no 'proxies'")
    return proxies_of(found["proxies"]), {key: found[key] for key in ("port", "host") if found.get(key) is not None}
