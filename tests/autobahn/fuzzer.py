"""Fuzzer: Autobahn's fuzzing client, converted (`conversion.py`), against one server.

A program of the suite's own environment: nothing of this project is imported here. Writes what the suite writes, one
file of JSON for each case and ``index.json``.

    python fuzzer.py URL FOLDER CASE...
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import latin  # type: ignore[import-not-found,unused-ignore]
from autobahntestsuite import fuzzing  # type: ignore[import-not-found,unused-ignore]
from twisted.internet import reactor  # type: ignore[import-not-found,unused-ignore]
from twisted.python import log  # type: ignore[import-not-found,unused-ignore]

INDEX = "index.json"
PATIENCE = 10.0
TIMEOUTS = {"openHandshakeTimeout": 50.0, "closeHandshakeTimeout": 10.0, "serverConnectionDropTimeout": 10.0}

octets = latin.octets


class Wire(fuzzing.FuzzingClientProtocol):  # type: ignore[misc]
    """Bytes towards the network, the suite's strings towards the cases."""

    # --- what cases send ---

    def sendFrame(self, opcode: int, payload: str | bytes = b"", *args: Any, **options: Any) -> None:
        super().sendFrame(opcode, octets(payload), *args, **options)

    def sendMessage(self, payload: str | bytes, *args: Any, **options: Any) -> None:
        super().sendMessage(octets(payload), *args, **options)

    def sendMessageFrameData(self, payload: str | bytes, *args: Any, **options: Any) -> Any:
        return super().sendMessageFrameData(octets(payload), *args, **options)

    def sendCloseFrame(
        self, code: int | None = None, reasonUtf8: str | bytes | None = None, isReply: bool = False
    ) -> None:
        super().sendCloseFrame(code, None if reasonUtf8 is None else octets(reasonUtf8), isReply)

    # --- what they hear ---

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        # The cases of compression send the bytes of a file, and take bytes.
        takes_bytes = hasattr(self.Case, "TESTDATA")
        super().onMessage(payload if takes_bytes else payload.decode("latin-1"), isBinary)

    def onPong(self, payload: bytes) -> None:
        super().onPong(payload.decode("latin-1"))

    # --- how long they wait ---

    # What ends a case that should have ended by itself is put off: a busy machine is no fault of the server's.

    def killAfter(self, delay: float) -> None:
        super().killAfter(delay * PATIENCE)

    def closeAfter(self, delay: float) -> None:
        super().closeAfter(delay * PATIENCE)

    def continueLater(self, delay: float, fun: Any, tag: str | None = None) -> None:
        # "B" is what 6.4.* only come to with a server that has not refused the text that it could have by then.
        super().continueLater(delay * PATIENCE if tag == "B" else delay, fun, tag)

    # --- the log of the wire, a part of the reports ---

    def logRxOctets(self, data: bytes) -> None:
        super().logRxOctets(data.decode("latin-1") if self.createWirelog else data)

    def logTxOctets(self, data: bytes, sync: bool) -> None:
        super().logTxOctets(data.decode("latin-1") if self.createWirelog else data, sync)

    def logRxFrame(self, frameHeader: Any, payload: list[bytes]) -> None:
        super().logRxFrame(frameHeader, [part.decode("latin-1") for part in payload] if self.createWirelog else [])

    def logTxFrame(self, frameHeader: Any, payload: bytes, *args: Any) -> None:
        super().logTxFrame(frameHeader, payload.decode("latin-1") if self.createWirelog else "", *args)


class Run(fuzzing.FuzzingClientFactory):  # type: ignore[misc]
    """All cases against one server, one after another; ends the program."""

    def logCase(self, caseResults: dict[str, Any]) -> None:
        for name, value in caseResults.items():
            if isinstance(value, bytes):
                caseResults[name] = value.decode(errors="backslashreplace")
        super().logCase(caseResults)

    def createReports(self) -> None:
        try:
            super().createReports(produceHtml=False)
        except Exception:
            log.err()
            Path(self.outdir, INDEX).unlink(missing_ok=True)


def main(url: str, folder: str, *cases: str) -> None:
    # The factory makes its protocols by this name.
    fuzzing.FuzzingClientProtocol = Wire
    log.startLogging(sys.stderr, setStdout=False)  # Errors within a case would else be seen by nobody.
    server = {"agent": "tautomer", "url": url}
    Run({"outdir": folder, "servers": [server], "cases": cases, "options": TIMEOUTS})
    reactor.run()
    if not Path(folder, INDEX).exists():
        raise SystemExit("the run ended without a report")


if __name__ == "__main__":
    main(*sys.argv[1:])
