"""The load generators, wrk and ab: run for a while, then told to stop and to say what they saw."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.processes import ContenderFailed
from bench.scenarios import Load

CONNECTIONS = 50

# Of a request of a browser, from a page of another origin, with a token.
SIGNED = {"Origin": "http://app.test", "Authorization": "Bearer letmein"}

SCRIPTS = Path(__file__).parent / "loads"

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
        p99: Seconds within which 99 of 100 answers came; wrk's only.
    """

    requests: int
    rate: float
    p99: float | None = None


def apply(work: Load, url: str, seconds: float, tools: Mapping[str, str]) -> Loaded:
    """Ask `url` for `seconds` over 50 connections.

    Raises:
        ContenderFailed: A connection broke, or answers had another kind of status than they must.
    """
    headers = [part for name, value in SIGNED.items() for part in ("-H", f"{name}: {value}")]
    command = [tools[work.tool], *_COMMANDS[work.tool][1:], *(headers if work.signed else [])]
    if work.pace is not None:
        command += ["--latency", "-s", str(SCRIPTS / "paced.lua"), url, "--", str(work.pace * 1000)]
    elif work.body is not None:
        command += ["-s", str(SCRIPTS / "post.lua"), url, "--", work.body]
    else:
        command.append(url)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    return _read_wrk(text, work.status) if work.tool == "wrk" else _read_ab(text, work.status)


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    return float(found.group(1)) if found else 0.0


def _read_wrk(text: str, status: int) -> Loaded:
    requests = int(_number(r"(\d+) requests in", text))
    _refuse_wrong(text, requests, int(_number(r"Non-2xx or 3xx responses: (\d+)", text)), status)
    if broken := re.search(r"Socket errors: .*", text):
        raise ContenderFailed(f"wrk: {broken.group(0)}")
    return Loaded(requests, _number(r"Requests/sec:\s+([\d.]+)", text), _p99(text))


def _p99(text: str) -> float | None:
    found = re.search(r"\n\s+99%\s+([\d.]+)(us|ms|s)", text)
    return None if found is None else float(found.group(1)) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[found.group(2)]


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
