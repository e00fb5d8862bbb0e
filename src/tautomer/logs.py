"""Loggers by component (`tautomer.transit`, `tautomer.web`), and the PLAIN and JSON formats."""

from __future__ import annotations

import logging
import math
import sys
from functools import cache
from typing import Any, Final

from tautomer.errors import BrokerOptionsError

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
FIELD_CHARS_MAX: Final = 8 * 1024
LINE_CHARS_MAX: Final = 64 * 1024
CUT: Final = "…(cut)"
# Characters that turn the direction of what follows: a line would be read as another than it is.
_TURNS: Final = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))


@cache  # Made with the first line, as 2,000 texts are a thirtieth of importing the package.
def _escapes(in_stack: bool = False) -> dict[int, str]:
    """What is not to be printed. A stack has lines."""
    escapes = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != 10 or not in_stack}
    return escapes | {code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *_TURNS, *range(0xD800, 0xE000))}


def _clean(value: object) -> str:
    """A foreign value on one line: what is not to be printed is escaped, and nothing is endless."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except Exception:
        text = f"<{type(value).__name__} whose repr failed>"
    return _cut(text, FIELD_CHARS_MAX).translate(_escapes())


def _cut(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else text[:chars_max] + CUT


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


class PlainFormatter(logging.Formatter):
    """``time LEVEL logger: sentence key=value …``"""

    default_msec_format = "%s.%03d"

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {key}={_clean(value)}" for key, value in _fields(record).items())
        message = record.getMessage().translate(_escapes())
        line = f"{self.formatTime(record)} {record.levelname:<7} {record.name}: {message}{fields}"
        if record.exc_info and record.exc_info[0] is not None:
            stack = self.formatException(record.exc_info).translate(_escapes(in_stack=True))
            # Set in: the text of an error may hold line ends, and none of them begins a line of the log.
            line += "\n" + "\n".join(f"  {part}" for part in stack.split("\n"))
        return _cut(line, LINE_CHARS_MAX)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `ts` in ms since 1970, `level`, `logger`, `msg`, and the fields."""

    def format(self, record: logging.LogRecord) -> str:
        import json

        line: dict[str, Any] = {
            "ts": int(record.created * 1000),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": _cut(record.getMessage(), LINE_CHARS_MAX),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["stack"] = _cut(self.formatException(record.exc_info), LINE_CHARS_MAX)
        for key, value in _fields(record).items():
            line.setdefault(key, value if _is_json_scalar(value) else _clean(value))
        return json.dumps(line)


def _is_json_scalar(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    # Beyond 64 bits few readers follow, and far beyond Python itself refuses to write a number out.
    return value is None or (isinstance(value, int) and -(1 << 63) <= value < 1 << 64)


def configure(level: str, format: str = "PLAIN") -> None:
    """Send tautomer's logs to standard error at this level. Twice changes, and never doubles, the output.

    Raises:
        ValueError: No level has that name.
    """
    number = logging.getLevelNamesMapping().get(
        {"WARN": "WARNING", "FATAL": "CRITICAL", "TRACE": "DEBUG"}.get(level.upper(), level.upper())
    )
    if number is None:
        raise ValueError(f"log level '{level}' is not known; known: DEBUG, INFO, WARNING, ERROR, CRITICAL")
    logger = logging.getLogger("tautomer")
    for old in [handler for handler in logger.handlers if getattr(handler, "of_tautomer", False)]:
        logger.removeHandler(old)
    handler = logging.StreamHandler(sys.stderr)
    handler.of_tautomer = True  # type: ignore[attr-defined]  # A mark of our own, to find it again.
    handler.setFormatter(JsonFormatter() if format.upper() == "JSON" else PlainFormatter())
    logger.addHandler(handler)
    logger.setLevel(number)
    logger.propagate = False


def configure_or_refuse(level: str, format: str) -> None:
    """As `configure`, for a broker's settings.

    Raises:
        BrokerOptionsError: No level has that name.
    """
    try:
        configure(level, format)
    except ValueError as error:
        raise BrokerOptionsError(str(error)) from error
