"""Files of configuration: JSON, TOML and YAML; and ``${NAME:default}`` in YAML, as nameko has it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tautomer.errors import BrokerOptionsError

__all__ = ["read_config_file"]

FILE_BYTES_MAX: Final = 1024 * 1024

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TEXT_TAG: Final = "tag:yaml.org,2002:str"
_ENV_TAG: Final = "!env_var"
_RAW_TAG: Final = "!raw_env_var"

Wrong = Callable[[str], BrokerOptionsError]


def read_config_file(
    path: str | Path, environment: Mapping[str, str] | None = None, wrong: Wrong = BrokerOptionsError
) -> Any:
    """What a file holds; its ending says what kind it is: ``.json``, ``.toml``, ``.yml`` or ``.yaml``.

    Args:
        environment: Where given, ``${NAME}`` and ``${NAME:default}`` in the values of YAML are replaced from it. The result
            is read as YAML again, so that ``${PORT:80}`` is a number; within quotes and under the tag ``!raw_env_var`` it
            stays a text. Defaults may hold others: ``${A:${B:x}}``.
        wrong: Makes the error of what is said to be wrong.

    Raises:
        BrokerOptionsError: It cannot be read, or is none of these; it is YAML, and the extra is not installed; or a
            variable without default is not set: names file, key and variable.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise wrong(f"'{path}' cannot be read: {error.strerror or error}") from error
    if len(raw) > FILE_BYTES_MAX:
        raise wrong(f"'{path}' is larger than {FILE_BYTES_MAX} bytes")
    kind = path.suffix.lower()
    try:
        if kind == ".json":
            return json.loads(raw)
        if kind == ".toml":
            return tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as error:  # Broken syntax, and bytes that are no text.
        raise wrong(f"'{path}' is broken: {error}") from error
    if kind not in (".yml", ".yaml"):
        raise wrong(f"'{path}': what kind of file that is tells its ending: .json, .toml, .yml or .yaml")
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise BrokerOptionsError(f"'{path}' is YAML, which needs: pip install 'tautomer[yaml]'") from error
    try:
        loader = yaml.SafeLoader(raw)
        try:
            node = loader.get_single_node()
            if node is not None and environment is not None:
                node = _Variables(yaml, environment, f"'{path}'", wrong).replaced(node, "")
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise wrong(f"'{path}' is broken: {error}") from error


class _Variables:
    """Replaces variables in the nodes of one YAML document."""

    def __init__(self, yaml: Any, environment: Mapping[str, str], where: str, wrong: Wrong) -> None:
        self._yaml = yaml
        self._environment = environment
        self._where = where
        self._wrong = wrong
        self._seen: set[int] = set()

    def replaced(self, node: Any, key: str) -> Any:
        """The node, or what stands in its place."""
        yaml = self._yaml
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, key)
        if id(node) not in self._seen:  # An alias is the very node of its anchor.
            self._seen.add(id(node))
            if isinstance(node, yaml.SequenceNode):
                node.value = [self.replaced(one, f"{key}[{index}]") for index, one in enumerate(node.value)]
            else:
                node.value = [
                    (name, self.replaced(one, f"{key}.{name.value}" if key else str(name.value)))
                    for name, one in node.value
                ]
        return node

    def _scalar(self, node: Any, key: str) -> Any:
        yaml = self._yaml
        if node.tag not in (_TEXT_TAG, _ENV_TAG, _RAW_TAG):
            return node
        if node.tag == _TEXT_TAG and "${" not in node.value:
            return node
        text = self._expanded(node.value, key)
        if node.tag == _RAW_TAG or (node.tag == _TEXT_TAG and node.style is not None):
            return yaml.ScalarNode(_TEXT_TAG, text, style='"')
        again = yaml.compose(text, Loader=yaml.SafeLoader)
        return yaml.ScalarNode("tag:yaml.org,2002:null", "") if again is None else again

    def _expanded(self, text: str, key: str) -> str:
        done, start = [], text.find("${")
        while start >= 0:
            end = _closing(text, start + 2)
            if end < 0:
                raise self._wrong(f"{self._where}: '{key}' has '${{' without '}}'")
            name, has_default, default = text[start + 2 : end].partition(":")
            if not _NAME.fullmatch(name):
                raise self._wrong(f"{self._where}: '{key}' names no variable: '${{{name:.80}}}'")
            value = self._environment.get(name)
            if value is None:
                if not has_default:
                    raise self._wrong(
                        f"{self._where}: '{key}' needs the environment variable {name}, which is not set; "
                        f"a default is written ${{{name}:default}}"
                    )
                value = self._expanded(default, key)
            done += [text[:start], value]
            text = text[end + 1 :]
            start = text.find("${")
        return "".join([*done, text])


def _closing(text: str, begin: int) -> int:
    """Where the brace ends that was opened before `begin`; -1 for nowhere."""
    depth = 1
    for index in range(begin, len(text)):
        depth += (text[index] == "{") - (text[index] == "}")
        if depth == 0:
            return index
    return -1
