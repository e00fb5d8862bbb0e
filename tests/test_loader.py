"""What the loader takes for a service, and what it says of files that do not load."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tautomer.loader import ServiceLoadError, load_file, load_folder, load_target
from tautomer.service import Service


@pytest.fixture(autouse=True)
def _import_state() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("tautomer_services_") or not hasattr(sys.modules[name], "__path__"):
            del sys.modules[name]


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(text))
    return file


def names(found: list[object]) -> list[str]:
    return [one.__name__ if isinstance(one, type) else f"{type(one).__name__}()" for one in found]


USERS = """
    from tautomer.service import Service

    class Users(Service):
        name = "users"
"""


# --- what counts ---


def test_the_classes_written_in_a_file_are_its_services_in_their_order(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "both.py",
        """
        from tautomer.service import Service

        class Zebras(Service):
            name = "zebras"

        class Apes(Service):
            name = "apes"
        """,
    )

    assert ["Zebras", "Apes"] == names(load_file(file))


def test_an_imported_class_is_not_a_service_of_the_file(tmp_path: Path) -> None:
    write(tmp_path, "users.py", USERS)
    file = write(
        tmp_path,
        "admins.py",
        """
        from users import Users

        class Admins(Users):
            name = "admins"
        """,
    )

    assert ["Admins"] == names(load_file(file))


def test_a_class_without_a_name_is_a_base_and_left_out(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "stores.py",
        """
        from tautomer.service import Service

        class Store(Service):
            pass

        class Users(Store):
            name = "users"
        """,
    )

    assert ["Users"] == names(load_file(file))


def test_a_lone_class_without_a_name_is_kept_so_that_its_registration_says_what_is_missing(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "forgot.py",
        """
        from tautomer.service import Service

        class Users(Service):
            nam = "users"
        """,
    )

    assert ["Users"] == names(load_file(file))


def test_a_class_that_names_itself_when_it_is_built_counts(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "own.py",
        """
        from tautomer.service import Service

        class Greeter(Service):
            def __init__(self):
                super().__init__("greeter")

        class Users(Service):
            name = "users"
        """,
    )

    assert ["Greeter", "Users"] == names(load_file(file))


def test_private_and_abstract_classes_are_left_out(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "mixed.py",
        """
        from abc import ABC, abstractmethod
        from tautomer.service import Service

        class _Hidden(Service):
            name = "hidden"

        class Shape(Service, ABC):
            name = "shape"

            @abstractmethod
            def area(self): ...

        class Users(Service):
            name = "users"
        """,
    )

    assert ["Users"] == names(load_file(file))


def test_an_instance_speaks_for_its_class(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "instance.py",
        """
        from tautomer.service import Service

        class Users(Service):
            name = "users"

            def __init__(self, store):
                super().__init__()
                self.store = store

        users = also = Users("store")
        """,
    )

    assert ["Users()"] == names(load_file(file))


def test_a_class_that_needs_arguments_is_refused_with_the_remedy(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "needs.py",
        """
        from tautomer.service import Service

        class Users(Service):
            name = "users"

            def __init__(self, store):
                super().__init__()
        """,
    )

    with pytest.raises(ServiceLoadError, match=r"Users cannot be built without arguments.*'store'.*instance"):
        load_file(file)


# --- how a file is imported ---


def test_two_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    first = write(tmp_path, "a/service.py", USERS)
    second = write(tmp_path, "b/service.py", USERS.replace("users", "others").replace("Users", "Others"))

    assert ["Users", "Others"] == names([*load_file(first), *load_file(second)])


def test_each_load_runs_the_file_anew(tmp_path: Path) -> None:
    file = write(tmp_path, "users.py", USERS)
    (before,) = load_file(file)
    write(tmp_path, "users.py", USERS.replace("users", "people"))
    os.utime(file, (1, 1))  # The bytecode cache tells versions apart by their time.

    (after,) = load_file(file)

    assert "users" == before.name
    assert "people" == after.name


def test_a_file_named_as_a_standard_module_hides_nothing(tmp_path: Path) -> None:
    write(tmp_path, "colorsys.py", USERS)
    file = write(tmp_path, "painter.py", "import colorsys\n" + dedent(USERS) + "Users.has = colorsys.rgb_to_hls\n")

    (service,) = load_file(file)

    assert hasattr(service, "has")


def test_a_dataclass_of_a_service_file_finds_its_own_module(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "typed.py",
        """
        from __future__ import annotations
        from dataclasses import dataclass
        from typing import ClassVar
        from tautomer.service import Service

        @dataclass
        class User:
            name: str
            count: ClassVar[int] = 0

        class Users(Service):
            name = "users"
        """,
    )

    assert ["Users"] == names(load_file(file))


# --- folders ---


def test_a_folder_is_loaded_recursively_and_sorted(tmp_path: Path) -> None:
    for place in ("zoo.py", "deep/down/apes.py", "birds.py"):
        write(tmp_path, place, USERS.replace("Users", Path(place).stem.title()).replace("users", Path(place).stem))

    assert ["Birds", "Apes", "Zoo"] == names(load_folder(tmp_path))


@pytest.mark.parametrize(
    "place", ["_base.py", ".hidden.py", "__init__.py", "_private/users.py", ".git/users.py", "node_modules/x/users.py"]
)
def test_what_begins_with_an_underscore_or_a_dot_is_left_out(tmp_path: Path, place: str) -> None:
    write(tmp_path, place, "raise RuntimeError('must not run')")

    assert [] == load_folder(tmp_path)


def test_a_mask_chooses_the_files(tmp_path: Path) -> None:
    write(tmp_path, "users.service.py", USERS)
    write(tmp_path, "other.py", "raise RuntimeError('must not run')")

    assert ["Users"] == names(load_folder(tmp_path, "*.service.py"))


def test_a_base_in_one_file_is_left_out_when_another_file_has_services(tmp_path: Path) -> None:
    write(tmp_path, "base.py", "from tautomer.service import Service\nclass Base(Service): pass\n")
    write(tmp_path, "users.py", USERS)

    assert ["Users"] == names(load_folder(tmp_path))


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ServiceLoadError, match="there is no such folder"):
        load_folder(tmp_path / "nowhere")


# --- files that fail ---


def test_a_file_that_raises_is_named_with_its_line_and_the_end_of_the_traceback(tmp_path: Path) -> None:
    file = write(tmp_path, "broken.py", "def build():\n    return missing\n\nvalue = build()\n")

    with pytest.raises(ServiceLoadError) as caught:
        load_file(file)

    assert (str(file), 2) == (caught.value.path, caught.value.line)
    first, *tail = str(caught.value).splitlines()
    assert first == f"{file}, line 2: NameError: name 'missing' is not defined"
    assert f'  File "{file}", line 4, in <module>' == tail[0]
    assert "importlib" not in str(caught.value)


def test_a_file_with_a_syntax_error_is_named_with_its_line(tmp_path: Path) -> None:
    file = write(tmp_path, "typo.py", "x = 1\nclass Users(\n")

    with pytest.raises(ServiceLoadError) as caught:
        load_file(file)

    assert 2 == caught.value.line
    assert str(caught.value).startswith(f"{file}, line 2: SyntaxError: '(' was never closed")
    assert "class Users(" in str(caught.value)


def test_a_file_that_exits_is_a_broken_file(tmp_path: Path) -> None:
    file = write(tmp_path, "exits.py", "import sys\nsys.exit('good bye')\n")

    with pytest.raises(ServiceLoadError, match=r"line 2: SystemExit: good bye"):
        load_file(file)


def test_a_broken_neighbour_is_shown_with_its_own_place(tmp_path: Path) -> None:
    write(tmp_path, "_store.py", "1 / 0\n")
    file = write(tmp_path, "users.py", "\nimport _store\n")

    with pytest.raises(ServiceLoadError) as caught:
        load_file(file)

    assert str(caught.value).startswith(f"{file}, line 2: ZeroDivisionError")
    assert "_store.py" in str(caught.value)


def test_a_broken_file_leaves_no_module_behind(tmp_path: Path) -> None:
    file = write(tmp_path, "broken.py", "1 / 0\n")
    before = set(sys.modules)

    with pytest.raises(ServiceLoadError):
        load_file(file)

    assert set() == {name for name in set(sys.modules) - before if name.startswith("tautomer_services_")}


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ServiceLoadError, match="there is no such file"):
        load_file(tmp_path / "nowhere.py")


def test_root_does_not_run_a_file_that_anybody_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, "users.py", USERS)
    file.chmod(0o666)
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    with pytest.raises(ServiceLoadError, match="anybody may write this file"):
        load_file(file)


def test_another_user_may_run_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, "users.py", USERS)
    file.chmod(0o666)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert ["Users"] == names(load_file(file))


# --- targets ---


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"shop_{tmp_path.name}"
    write(
        tmp_path,
        f"{name}.py",
        """
        from tautomer.service import Service

        class Users(Service):
            name = "users"

        class Group:
            class Orders(Service):
                name = "orders"

        users = Users()
        number = 5
        """,
    )
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_a_target_names_a_class_or_an_instance(shop: str) -> None:
    assert ["Users"] == names(load_target(f"{shop}:Users"))
    assert ["Orders"] == names(load_target(f"{shop}:Group.Orders"))
    assert isinstance(load_target(f"{shop}:users")[0], Service)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("{}:User", "there is no 'User' in '{}'; did you mean 'users'?"),
        ("{}:number", "'number' is int, not a service"),
        ("{}_x:Users", "there is no module '{}_x'"),
        ("{}", "a target is written 'module:Class'"),
        (":Users", "a target is written 'module:Class'"),
    ],
)
def test_a_wrong_target_is_told_with_the_remedy(shop: str, target: str, said: str) -> None:
    with pytest.raises(ServiceLoadError) as caught:
        load_target(target.format(shop))

    assert said.format(shop) in str(caught.value)


def test_a_target_whose_module_fails_shows_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"failing_{tmp_path.name}"
    file = write(tmp_path, f"{name}.py", "\nimport nothing_of_that_name\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ServiceLoadError) as caught:
        load_target(f"{name}:Users")

    assert "ModuleNotFoundError: No module named 'nothing_of_that_name'" in str(caught.value)
    assert f'File "{file}", line 2' in str(caught.value)
