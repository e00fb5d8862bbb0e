"""Finds services in Python files, folders and modules.

What counts as a service of a file:

- every instance of `Service` that stands under a public name of the module;
- every public `Service` subclass that is written in the file (not imported into it), unless an
  instance of that very class stands beside it, which then speaks for it.

A class without a name is a base for others, so it is left out as long as there is anything else.
A class that has an `__init__` of its own may set the name there, and counts.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import stat
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Final, TypeAlias

from tautomer.errors import ServiceSchemaError
from tautomer.service import Service, as_service
from tautomer.settings import nearest

__all__ = ["ServiceLike", "ServiceLoadError", "import_file", "load_file", "load_folder", "load_target"]

ServiceLike: TypeAlias = Service | type[Service]

MASK: Final = "**/*.py"
TAIL_FRAMES: Final = 3
FILE_MODULES: Final = "tautomer_services_"
"""How the names of modules begin that were loaded from a file."""

FOREIGN_FOLDERS: Final = frozenset({"node_modules", "venv", "site-packages"})
"""A service folder may be a whole project; what its package managers put there is none of its code."""


class ServiceLoadError(ServiceSchemaError):
    """A file or module of services could not be loaded.

    Attributes:
        path: The file, or the target as it was given.
        line: Line in the file, or None where it has none.
    """

    def __init__(self, path: str, what: str, line: int | None = None, tail: str = "") -> None:
        place = f"{path}, line {line}" if line else path
        super().__init__(f"{place}: {what}" + (f"\n{tail}" if tail else ""), {"path": path, "line": line})
        self.path = path
        self.line = line


def load_file(path: str | Path) -> list[ServiceLike]:
    """Import a Python file and return its services, in the order in which they are written.

    The file runs anew at each load, as a module of its own. Its folder joins the end of the import
    path, so that it can import its neighbours and a file named `queue.py` hides nothing.

    Raises:
        ServiceLoadError: There is no such file, it fails while it is imported, or the process is
            root's and anybody may write the file (reliability reference, section 5.5).
    """
    file = Path(path)
    named, bases = _services_of(import_file(file), str(file))
    return named or bases


def load_folder(folder: str | Path, mask: str = MASK) -> list[ServiceLike]:
    """Load all files under a folder that fit the mask, sorted by path.

    Files and folders that begin with ``_`` or ``.`` are left out, and those of package managers.

    Raises:
        ServiceLoadError: There is no such folder, or as `load_file`.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ServiceLoadError(str(root), "there is no such folder")
    named: list[ServiceLike] = []
    bases: list[ServiceLike] = []
    for file in service_files(root, mask):
        of_file, without_name = _services_of(import_file(file), str(file))
        named += of_file
        bases += without_name
    return _once(named or bases)


def load_target(target: str) -> list[ServiceLike]:
    """Load ``module:Name``, where `Name` is a service class or instance (dots reach into classes).

    Raises:
        ServiceLoadError: It is not of that form, the module fails while it is imported, or what it
            names is no service.
    """
    module_name, _, path = target.partition(":")
    if not module_name or not path:
        raise ServiceLoadError(target, "a target is written 'module:Class'")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise _broken(target, error, None) from error
        raise ServiceLoadError(target, f"there is no module '{error.name}' on the import path") from None
    except (Exception, SystemExit) as error:
        raise _broken(target, error, None) from error
    found: object = module
    for name in path.split("."):
        if not hasattr(found, name):
            known = [known for known in vars(found) if not known.startswith("_")]
            raise ServiceLoadError(target, f"there is no '{name}' in '{module_name}'{nearest(name, known)}")
        found = getattr(found, name)
    found = as_service(found)
    if isinstance(found, Service):
        return [found]
    if isinstance(found, type) and issubclass(found, Service):
        return [_buildable(found, target)]
    raise ServiceLoadError(target, f"'{path}' is {type(found).__name__}, not a service class or instance")


def service_files(root: Path, mask: str = MASK) -> list[Path]:
    """The files that `load_folder` loads."""

    def is_ours(file: Path) -> bool:
        parts = file.relative_to(root).parts
        return not any(part.startswith(("_", ".")) or part in FOREIGN_FOLDERS for part in parts)

    return sorted(file for file in root.glob(mask) if is_ours(file) and file.is_file())


def import_file(file: Path) -> ModuleType:
    """Run a file as a module of a name of its own, which is the same in every process.

    Raises:
        ServiceLoadError: As `load_file`.
    """
    if not file.is_file():
        raise ServiceLoadError(str(file), "there is no such file")
    _refuse_writable_by_all(file)
    resolved = file.resolve()
    folder = str(resolved.parent)
    if folder not in sys.path:
        sys.path.append(folder)
    # Two files of one name must not be one module, so the place is part of the name.
    place = hashlib.sha256(str(resolved).encode()).hexdigest()[:8]
    name = f"{FILE_MODULES}{place}_{resolved.stem}"
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise ServiceLoadError(str(file), "this is not a Python file")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module  # Dataclasses and pickle look their own module up while it runs.
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before
        raise _broken(str(file), error, resolved) from error
    return module


def _refuse_writable_by_all(file: Path) -> None:
    if hasattr(os, "geteuid") and os.geteuid() == 0 and file.stat().st_mode & stat.S_IWOTH:
        raise ServiceLoadError(
            str(file), "anybody may write this file, so root does not run it; remedy: chmod o-w, or another user"
        )


def _services_of(module: ModuleType, path: str) -> tuple[list[ServiceLike], list[ServiceLike]]:
    """The services of a module, and the classes without a name."""
    public = [
        as_service(value) if getattr(value, "__module__", None) == module.__name__ else value
        for name, value in vars(module).items()
        if not name.startswith("_")
    ]
    instances = [value for value in public if isinstance(value, Service)]
    spoken_for = {type(instance) for instance in instances}
    classes = [
        value
        for value in public
        if isinstance(value, type)
        and issubclass(value, Service)
        and value.__module__ == module.__name__
        and value not in spoken_for
        and not inspect.isabstract(value)
    ]
    bases: list[ServiceLike] = [cls for cls in classes if not _names_itself(cls)]
    named: list[ServiceLike] = [
        value if isinstance(value, Service) else _buildable(value, path)
        for value in public
        if value in instances or (value in classes and value not in bases)
    ]
    return _once(named), _once(bases)


def _names_itself(cls: type[Service]) -> bool:
    return bool(cls.name) or cls.__init__ is not Service.__init__


def _buildable(cls: type[Service], path: str) -> type[Service]:
    try:
        inspect.signature(cls).bind()
    except TypeError as error:
        raise ServiceLoadError(
            path, f"{cls.__name__} cannot be built without arguments ({error}); put an instance of it into the module"
        ) from None
    return cls


def _once(services: Iterable[ServiceLike]) -> list[ServiceLike]:
    return list({id(service): service for service in services}.values())


def _broken(path: str, error: BaseException, file: Path | None) -> ServiceLoadError:
    """The error of a file that fails, with the place in that file and the end of the traceback."""
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    what = ": ".join([type(error).__name__, *said.splitlines()[:1]])
    if isinstance(error, SyntaxError) and (file is None or error.filename == str(file)):
        shown = traceback.format_exception_only(error)[1:-1]  # The source line and the mark under it.
        return ServiceLoadError(path, what, error.lineno, "".join(shown).rstrip())
    # The frames above are ours and the import system's: they say nothing of the fault.
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "importlib" not in frame.filename and frame.filename != __file__
    ]
    own = [frame for frame in frames if file is not None and frame.filename == str(file)]
    line = own[-1].lineno if own else None
    return ServiceLoadError(path, what, line, "".join(traceback.format_list(frames[-TAIL_FRAMES:])).rstrip())
