"""Files of configuration, and variables in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.config_files import read_config_file
from tautomer.errors import BrokerOptionsError

ENVIRONMENT = {"HOST": "example.org", "NUM": "12", "LIST": "[1, 2]", "EMPTY": "", "TRICKY": "${HOST}", "MAP": "{a: 1}"}


def read(folder: Path, text: str, name: str = "config.yaml") -> Any:
    file = folder / name
    file.write_text(text)
    return read_config_file(file, ENVIRONMENT)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${NUM}", 12),
        ("${NUM:7}", 12),
        ("${ABSENT:7}", 7),
        ("${LIST}", [1, 2]),
        ("${ABSENT:[1,2]}", [1, 2]),
        ("${MAP}", {"a": 1}),
        ("${ABSENT:true}", True),
        ("${ABSENT:}", None),
        ("${EMPTY}", None),
        ("${EMPTY:7}", None),
        ("${ABSENT:${NUM}}", 12),
        ("${ABSENT:${MISSING:x}}", "x"),
        ("nats://${HOST}:${PORT:4222}/${ABSENT:a}", "nats://example.org:4222/a"),
        ("${ABSENT:amqp://a:b@c}", "amqp://a:b@c"),
        # What a variable holds is a value, and no further variable.
        ("${TRICKY}", "${HOST}"),
        ('"${NUM}"', "12"),
        ("'x ${NUM}'", "x 12"),
        ('!env_var "${NUM}"', 12),
        ("!raw_env_var ${NUM}", "12"),
        ('!env_var "${ABSENT:{a: 1}}"', {"a": 1}),
        ("$NUM", "$NUM"),
        ("plain", "plain"),
        ("5", 5),
    ],
)
@pytest.mark.parametrize(("around", "path"), [("key: {}", ["key"]), ("a:\n  - b: {}", ["a", 0, "b"])])
def test_variables_in_yaml(tmp_path: Path, written: str, value: object, around: str, path: list[Any]) -> None:
    found = read(tmp_path, around.replace("{}", written))

    for step in path:
        found = found[step]
    assert value == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:\n  b: ${ABSENT}", r"config.yaml': 'a.b' needs the environment variable ABSENT.* \$\{ABSENT:default\}"),
        ("a: [x, '${ABSENT}']", r"'a\[1\]' needs the environment variable ABSENT"),
        ("a: ${ABSENT", r"'a' has '\$\{' without '\}'"),
        ("a: ${}", "'a' names no variable"),
        ("a: ${A-B:c}", "'a' names no variable"),
        ("a: [", "is broken"),
        ("a: !something x", "is broken"),
        ("a: ${ABSENT:[}", "is broken"),
        ("--- 1\n--- 2", "is broken"),
    ],
)
def test_what_is_wrong_in_yaml_is_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BrokerOptionsError, match=said):
        read(tmp_path, text)


def test_an_anchor_is_replaced_wherever_it_is_used(tmp_path: Path) -> None:
    assert {"a": {"x": 12}, "b": {"x": 12}, "c": 12, "d": 12} == read(
        tmp_path, "a: &one {x: '1${ABSENT:2}'}\nb: *one\nc: &two ${NUM}\nd: *two\n".replace("'1${ABSENT:2}'", "12")
    )


def test_the_other_kinds(tmp_path: Path) -> None:
    assert {"a": "${NUM}"} == read(tmp_path, '{"a": "${NUM}"}', "config.json")
    assert {"a": 1} == read(tmp_path, "a = 1", "config.toml")
    assert None is read(tmp_path, "", "config.yml")
    for name, text in (
        ("config.ini", "a=1"),
        ("config.json", "{"),
        ("config.toml", "a"),
        ("config.json", "[" * 100_000),
    ):
        with pytest.raises(BrokerOptionsError, match=r"tells its ending|is broken"):
            read(tmp_path, text, name)
    with pytest.raises(BrokerOptionsError, match="cannot be read: No such file"):
        read_config_file(tmp_path / "absent.yaml")
    with pytest.raises(BrokerOptionsError, match="is larger than"):
        read(tmp_path, " " * 1024 * 1024 + "a: 1")


@given(st.text(alphabet="${}:AB x[]'\"\n-#", max_size=30))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(text)
    try:
        read_config_file(file, {"A": "1", "B": "${A}"})
    except BrokerOptionsError:
        pass
