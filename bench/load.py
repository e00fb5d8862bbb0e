"""The load generators, wrk and ab: run for a while, then told to stop and to say what they saw."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass

from bench.processes import ContenderFailed

CONNECTIONS = 50

# Both end at SIGINT with their report, which is how a window can be shorter than their whole seconds. The times
# here are only what ends them if we die first; ab keeps a record for each of its -n requests, so -n stays modest.
_COMMANDS = {
    "wrk": ["wrk", "-c", str(CONNECTIONS), "-t", "1", "-d", "30s"],
    "ab": ["ab", "-k", "-q", "-c", str(CONNECTIONS), "-t", "30", "-n", "2000000"],
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load generator saw.

    Attributes:
        requests: Answered ones.
        rate: Of them, a second.
    """

    requests: int
    rate: float


def apply(tool: str, url: str, seconds: float, status: int, tools: Mapping[str, str]) -> Loaded:
    """Ask `url` for `seconds` over 50 connections.

    Raises:
        ContenderFailed: A connection broke, or answers had another kind of status than `status`.
    """
    command = [tools[tool], *_COMMANDS[tool][1:], url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    return _read_wrk(text, status) if tool == "wrk" else _read_ab(text, status)


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    return float(found.group(1)) if found else 0.0


def _read_wrk(text: str, status: int) -> Loaded:
    requests = int(_number(r"(\d+) requests in", text))
    _refuse_wrong(text, requests, int(_number(r"Non-2xx or 3xx responses: (\d+)", text)), status)
    if broken := re.search(r"Socket errors: .*", text):
        raise ContenderFailed(f"wrk: {broken.group(0)}")
    return Loaded(requests, _number(r"Requests/sec:\s+([\d.]+)", text))


def _read_ab(text: str, status: int) -> Loaded:
    requests = int(_number(r"Complete requests:\s+(\d+)", text))
    _refuse_wrong(text, requests, int(_number(r"Non-2xx responses:\s+(\d+)", text)), status)
    if failed := int(_number(r"Failed requests:\s+(\d+)", text)):
        raise ContenderFailed(f"ab: {failed} of {requests} requests failed")
    return Loaded(requests, _number(r"Requests per second:\s+([\d.]+)", text))


def _refuse_wrong(text: str, requests: int, errors: int, status: int) -> None:
    if not requests:
        raise ContenderFailed(f"no request was answered: {text[-500:].strip()}")
    wrong = errors if status < 400 else requests - errors
    if wrong:
        raise ContenderFailed(f"{wrong} of {requests} answers did not have a status like {status}")
