"""Conversion: Autobahn's test suite, which is Python 2, made into a package of Python 3.

A program of the suite's own environment (`suite.py`), where fissix is: nothing of this project is imported here. Of the
suite are taken the cases, the set of them and the fuzzing client, and each case stays as it is. A string literal of the
cases means bytes; it stays a string whose characters are these bytes (Latin-1), and `fuzzer.py` turns it into bytes
where it meets the network, and back. The rest is syntax, by fissix, and the replacements below. Each must fit as often
as it says, so that another version of the suite is noticed and not half converted.

    python conversion.py SOURCE TARGET
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

# No stubs, and not in the environment of the checks.
from fissix.refactor import RefactoringTool, get_fixers_from_package  # type: ignore[import-not-found,unused-ignore]

NAME = "autobahntestsuite"
SYNTAX = ("except", "has_key", "import", "ne", "print", "raise", "unicode", "xrange")
MODULES = ("_version.py", "caseset.py", "fuzzing.py")

INIT = (
    f'"""The parts of {NAME} that a fuzzing client needs, converted."""\nfrom ._version import __version__ as version\n'
)
# The look of HTML reports, which are not made.
REPORT = "CSS_COMMON = CSS_DETAIL_REPORT = CSS_MASTER_REPORT = JS_MASTER_REPORT = ''\n"

REPLACED: dict[str, list[tuple[str, str, int]]] = {
    "case/case.py": [
        # Equal pickles need identical objects; equal values are what was meant.
        (r"pickle\.dumps\(obj1\) == pickle\.dumps\(obj2\)", "obj1 == obj2", 1),
    ],
    "case/case10_1_1.py": [(r" / self\.p\.autoFragmentSize", " // self.p.autoFragmentSize", 1)],
    # The case is not run by the suite either, and is made with what zope.interface no longer has.
    "case/__init__.py": [(r"from \.case9_9_1 import \*", "", 1)],
    "fuzzing.py": [
        # What today's autobahn no longer takes, or names otherwise.
        (r", debug = debug, debugCodePaths = debug\)", ")", 2),
        (r"self\.failConnection\(\)", "self._fail_connection()", 1),
        # TLS is not needed, and wants one more library.
        (r"from twisted\.internet import reactor, ssl", "from twisted.internet import reactor", 1),
        (r"self\.contextFactory = ssl\.ClientContextFactory\(\)", "self.contextFactory = None", 1),
    ],
}
# In every module: what takes bytes only, and setuptools, from `latin.py`.
SHIMMED = (
    (r"\bbinascii\b", "latin"),
    (r"\bpkg_resources\b", "latin"),
    (r"autobahn\.websocket\.utf8validator", "latin"),
    # A class may no longer name `object` before another base.
    (r"\(object, Case, \)", "(Case, )"),
    # autobahn has changed its way of writing.
    (r"\b(request|accept)NoContextTakeover\b", r"\1_no_context_takeover"),
    (r"\b(request|accept)MaxWindowBits\b", r"\1_max_window_bits"),
)


def convert(source: Path, target: Path) -> None:
    """
    Args:
        source: Folder of the suite's package, unpacked.
        target: Folder to put the package into; what is there is removed.

    Raises:
        SystemExit: The suite is not as it is known to be.
    """
    package = target / NAME
    shutil.rmtree(package, ignore_errors=True)
    for module in MODULES:
        package.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / module, package / module)
    shutil.copytree(source / "case", package / "case")
    shutil.copytree(source / "testdata", package / "testdata")
    (package / "__init__.py").write_text(INIT)
    (package / "report.py").write_text(REPORT)
    fixers = [f"fissix.fixes.fix_{name}" for name in SYNTAX]
    unknown = set(fixers) - set(get_fixers_from_package("fissix.fixes"))
    if unknown:
        raise SystemExit(f"fissix does not know {', '.join(sorted(unknown))}")
    tool = RefactoringTool(fixers)
    for file in sorted(package.rglob("*.py")):
        if file.name not in ("__init__.py", "report.py") or file.parent.name == "case":
            tool.refactor_file(str(file), write=True)
            _replace(file, str(file.relative_to(package)))


def _replace(file: Path, name: str) -> None:
    # A literal beyond ASCII means its bytes, as all do.
    text = file.read_bytes().decode("latin-1").replace("\r\n", "\n")
    for pattern, instead in SHIMMED:
        text = re.sub(pattern, instead, text)
    for pattern, instead, times in REPLACED.get(name, []):
        text, found = re.subn(pattern, instead, text)
        if found != times:
            raise SystemExit(f"{name}: {pattern!r} was to be found {times} times, not {found}: another version?")
    file.write_text(text, "utf-8")


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
