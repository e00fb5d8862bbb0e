"""Raw requests that two readers could take apart in two ways, each with the one answer it gets.

A refused one ends its connection, and nothing behind it is read, or its framing was sound, and the next request is
answered.
"""

from __future__ import annotations

from dataclasses import dataclass

POST = b"POST /e HTTP/1.1\r\nHost: a\r\n"
GET = b"GET /e HTTP/1.1\r\nHost: a\r\n"
JSON = b"Content-Type: application/json\r\n"
CHUNKED = POST + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
ONE_CHUNK = b'7\r\n{"a":1}\r\n0\r\n\r\n'
INNER = b"GET /canary HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass(frozen=True)
class Case:
    """One raw request.

    Attributes:
        status: Of its answer.
        type: Of its answer, if that is an error.
        closes: Whether it is the connection's last.
    """

    raw: bytes
    status: int = 400
    type: str | None = "BAD_REQUEST"
    closes: bool = True


def fine(raw: bytes) -> Case:
    """A request that is answered with what it brought, and leaves the connection as it was."""
    return Case(raw, 200, None, closes=False)


def other(raw: bytes, status: int, type: str, *, closes: bool = True) -> Case:
    return Case(raw, status, type, closes)


def _codings() -> dict[str, Case]:
    """TE.TE: ways of writing `chunked` that one reader takes and another does not."""
    values = [
        b"xchunked", b"chunkedx", b" x", b"chunked, identity", b"identity, chunked", b"chunked,chunked", b"chunked,",
        b",chunked", b"gzip, chunked", b"chunked, gzip", b"deflate,chunked", b"chunked;a=b", b"chunked ; q=0",
        b'"chunked"', b"'chunked'", b"\x0bchunked", b"\x0cchunked", b"chunked\x0b", b"chu\x00nked", b"chunked\x00",
        b"\xa0chunked", b"chun ked", b"c", b"", b"cow", b"trailers, chunked", b"chunked\r\n\tidentity", b"\r\n chunked",
        b"chunked\r x", b"%63hunked", b"chunked chunked", b"chunke\xc4\x8f", b"chun\xe2\x84\xaaed", b"\xef\xbb\xbfchunked",
        b"1", b"null", b"CHUNKED, CHUNKED", b"chunked/1.0", b"identity", b"compress", b"chunked\t",
    ]  # fmt: skip
    cases = {
        f"coding {value!r}": Case(POST + JSON + b"Transfer-Encoding: " + value + b"\r\n\r\n" + ONE_CHUNK)
        for value in values
    }
    names = [
        b"Transfer-Encoding ", b" Transfer-Encoding", b"Transfer-Encoding\t", b"Transfer Encoding", b"Transfer-Encoding\x00",
        b"\x00Transfer-Encoding", b"Transfer-Encoding\x0b", b"Transfer\rEncoding", b"Transfer-Encoding\x7f", b"\xefTransfer-Encoding",
    ]  # fmt: skip
    cases |= {
        f"name {name!r}": Case(POST + JSON + name + b": chunked\r\nContent-Length: 4\r\n\r\n" + ONE_CHUNK)
        for name in names
    }
    for name, lines in {
        "two lines": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "identity line first": b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "identity line last": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "empty line first": b"Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n",
        "unknown line last": b"Transfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n",
        "hidden behind a bare LF": b"X: y\nTransfer-Encoding: chunked\r\n",
        "hidden behind a bare CR": b"X: y\rTransfer-Encoding: chunked\r\n",
        "hidden behind a NUL": b"X: y\x00\r\nTransfer-Encoding: chunked\r\n",
        "in a folded line": b"X: y\r\n Transfer-Encoding: chunked\r\n",
        "without colon": b"Transfer-Encoding chunked\r\n",
        "equals for colon": b"Transfer-Encoding=chunked\r\n",
        "value on the next line": b"Transfer-Encoding:\r\n chunked\r\n",
    }.items():
        cases[f"codings, {name}"] = Case(POST + JSON + lines + b"\r\n" + ONE_CHUNK)
    return cases


def _lengths() -> dict[str, Case]:
    """Content-Length in every form but the one."""
    values = [
        b"+7", b"-7", b"-0", b"7,7", b"7, 7", b"7,8", b"7;", b"7.0", b"7e0", b"0x7", b"0o7", b"0b1", b"7 7", b"7\x00",
        b"7\x0b", b"\x0b7", b"7\x0c", b'"7"', b"'7'", b"seven", b"", b" ", b"1_0", b"\xd9\xa7", b"\xef\xbc\x97", b"\xc2\xb2",
        b"99999999999999999999", b"18446744073709551623", b"9223372036854775808", b"-9223372036854775801", b"7\r\n 0",
        b"\r\n 7", b"7\r", b"(7)", b"7 # x", b"NaN", b"inf", b"null", b"7,", b",7", b"0" * 40 + b"7", b"\xa07", b"7h",
    ]  # fmt: skip
    cases = {
        f"length {value!r}": Case(POST + JSON + b"Content-Length: " + value + b'\r\n\r\n{"a":1}') for value in values
    }
    names = [b"Content-Length ", b" Content-Length", b"Content-Length\t", b"Content Length", b"Content-Length\x00"]
    cases |= {f"length in {name!r}": Case(POST + JSON + name + b': 7\r\n\r\n{"a":1}') for name in names}
    for name, lines in {
        "twice": b"Content-Length: 7\r\nContent-Length: 7\r\n",
        "twice, differing": b"Content-Length: 7\r\nContent-Length: 0\r\n",
        "twice, other case": b"Content-Length: 7\r\ncontent-length: 7\r\n",
        "three times": b"Content-Length: 7\r\n" * 3,
        "second one empty": b"Content-Length: 7\r\nContent-Length:\r\n",
        "hidden behind a bare LF": b"X: y\nContent-Length: 7\r\n",
        "hidden behind a bare CR": b"X: y\rContent-Length: 7\r\n",
        "without colon": b"Content-Length 7\r\n",
    }.items():
        cases[f"lengths, {name}"] = Case(POST + JSON + lines + b'\r\n{"a":1}')
    return cases


def _both() -> dict[str, Case]:
    """CL.TE and TE.CL: a length and a coding at once."""
    length, chunked = b"Content-Length: %d\r\n", b"Transfer-Encoding: chunked\r\n"
    smuggled = b"0\r\n\r\n" + INNER
    cases = {
        "CL.TE, a request after the last chunk": length % len(smuggled) + chunked + b"\r\n" + smuggled,
        "CL.TE, one byte left": length % 6 + chunked + b"\r\n0\r\n\r\nG",
        "CL.TE, length of nothing": length % 0 + chunked + b"\r\n" + smuggled,
        "TE.CL, a request in a chunk": (
            chunked + length % 4 + b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER)
        ),
        "TE.CL, length first": length % 4 + chunked + b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER),
        "TE.CL, coding refused": b"Transfer-Encoding: cow\r\n" + length % 7 + b'\r\n{"a":1}',
        "TE.CL, coding empty": b"Transfer-Encoding:\r\n" + length % 7 + b'\r\n{"a":1}',
        "TE.CL, identity": b"Transfer-Encoding: identity\r\n" + length % 7 + b'\r\n{"a":1}',
        "both, coding in other case": b"transfer-ENCODING: CHUNKED\r\n" + length % 7 + b"\r\n" + ONE_CHUNK,
        "both, length refused by Connection": b"Connection: Content-Length\r\n" + chunked + length % 7 + b"\r\n" + ONE_CHUNK,
        "both, coding refused by Connection": (
            b"Connection: Transfer-Encoding\r\n" + chunked + length % 7 + b"\r\n" + ONE_CHUNK
        ),
        "both, far apart": chunked + b"X-Fill: y\r\n" * 50 + length % 7 + b"\r\n" + ONE_CHUNK,
    }  # fmt: skip
    made = {name: Case(POST + JSON + rest) for name, rest in cases.items()}
    one_0 = b"POST /e HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n" + JSON
    made["chunked in HTTP/1.0"] = Case(one_0 + chunked + b"\r\n" + ONE_CHUNK)
    made["both in HTTP/1.0"] = Case(one_0 + chunked + length % 7 + b"\r\n" + ONE_CHUNK)
    made["both in a GET"] = Case(GET + JSON + chunked + length % 7 + b"\r\n" + ONE_CHUNK)
    return made


def _chunks() -> dict[str, Case]:
    """Chunk sizes, extensions, line ends and trailers."""
    body = b'{"a":1}'
    cases = {
        "size with prefix": b"0x7\r\n%b\r\n0\r\n\r\n", "size with sign": b"+7\r\n%b\r\n0\r\n\r\n",
        "size below 0": b"-7\r\n%b\r\n0\r\n\r\n", "size with underscore": b"0_7\r\n%b\r\n0\r\n\r\n",
        "size with blank before": b" 7\r\n%b\r\n0\r\n\r\n", "size with blank after": b"7 \r\n%b\r\n0\r\n\r\n",
        "size with tab after": b"7\t\r\n%b\r\n0\r\n\r\n", "size with blank before extension": b"7 ;a\r\n%b\r\n0\r\n\r\n",
        "size of two words": b"7 7\r\n%b\r\n0\r\n\r\n", "size in other digits": b"\xd9\xa7\r\n%b\r\n0\r\n\r\n",
        "size that overflows to 7": b"10000000000000007\r\n%b\r\n0\r\n\r\n", "size of 17 digits": b"00000000000000007\r\n%b\r\n0\r\n\r\n",
        "size empty": b"\r\n%b\r\n0\r\n\r\n", "size missing, extension": b";a=b\r\n%b\r\n0\r\n\r\n",
        "size no number": b"g\r\n%b\r\n0\r\n\r\n", "size with NUL": b"7\x00\r\n%b\r\n0\r\n\r\n",
        "size line ends in LF": b"7\n%b\r\n0\r\n\r\n", "size line ends in CR": b"7\r%b\r\n0\r\n\r\n",
        "size line ends in CR CR LF": b"7\r\r\n%b\r\n0\r\n\r\n",
        "LF ends an extension": b"7;a\n%b\r\n0\r\n\r\n", "LF in an extension": b"7;a\nb\r\n%b\r\n0\r\n\r\n",
        "CR in an extension": b"7;a\rb\r\n%b\r\n0\r\n\r\n", "NUL in an extension": b"7;a\x00\r\n%b\r\n0\r\n\r\n",
        "quoted LF in an extension": b'7;a="\n"\r\n%b\r\n0\r\n\r\n',
        "data ends in LF": b"7\r\n%b\n0\r\n\r\n", "data ends in CR": b"7\r\n%b\r0\r\n\r\n", "data without end": b"7\r\n%b0\r\n\r\n",
        "data longer than said": b"6\r\n%b\r\n0\r\n\r\n", "data shorter than said": b"8\r\n%b\r\n0\r\n\r\n",
        "data ends in two other bytes": b"7\r\n%bXX0\r\n\r\n",
        "last chunk ends in LF": b"7\r\n%b\r\n0\n\r\n", "last chunk and end in LF": b"7\r\n%b\r\n0\n\n",
        "last line ends in LF": b"7\r\n%b\r\n0\r\n\n", "last line ends in CR": b"7\r\n%b\r\n0\r\n\rX",
        "trailer without colon": b"7\r\n%b\r\n0\r\nX\r\n\r\n", "trailer with blank name": b"7\r\n%b\r\n0\r\nX Y: z\r\n\r\n",
        "trailer with blank before colon": b"7\r\n%b\r\n0\r\nX : y\r\n\r\n", "trailer folded": b"7\r\n%b\r\n0\r\nX: y\r\n z\r\n\r\n",
        "trailer with LF": b"7\r\n%b\r\n0\r\nX: y\nZ: z\r\n\r\n", "trailer with CR": b"7\r\n%b\r\n0\r\nX: y\rz\r\n\r\n",
        "trailer with NUL": b"7\r\n%b\r\n0\r\nX: \x00\r\n\r\n", "trailer is a request line": b"7\r\n%b\r\n0\r\nGET /canary HTTP/1.1\r\n\r\n",
    }  # fmt: skip
    made = {f"chunks, {name}": Case(CHUNKED + raw.replace(b"%b", body)) for name, raw in cases.items()}
    sound = {
        "extension": b"7;a=b\r\n%b\r\n0\r\n\r\n", "quoted extension": b'7;a="b;c"\r\n%b\r\n0;x\r\n\r\n',
        "leading zeros": b"0000007\r\n%b\r\n000\r\n\r\n", "upper case": b"7\r\n%b\r\n0A\r\n          \r\n0\r\n\r\n",
        "a length as trailer": b"7\r\n%b\r\n0\r\nContent-Length: 99\r\n\r\n",
        "a coding as trailer": b"7\r\n%b\r\n0\r\nTransfer-Encoding: gzip\r\nHost: b\r\n\r\n",
        "end in an extension": b'7;\x80="0\x80"\r\n%b\r\n0\r\n\r\n',
    }  # fmt: skip
    made |= {f"sound chunks, {name}": fine(CHUNKED + raw.replace(b"%b", body)) for name, raw in sound.items()}
    return made


def _lines() -> dict[str, Case]:
    """Line ends, folding, names with blanks, request lines."""
    bad = {
        "LF after the request line": b"GET /e HTTP/1.1\nHost: a\r\n\r\n", "LF everywhere": b"GET /e HTTP/1.1\nHost: a\n\n",
        "LF before the end": GET + b"X: y\n\r\n", "LF for the end": GET + b"X: y\r\n\n", "LF LF": GET + b"X: y\n\n",
        "CR for a line end": b"GET /e HTTP/1.1\rHost: a\r\n\r\n", "CR in a value": GET + b"X: y\rZ: z\r\n\r\n",
        "CR CR LF": GET + b"X: y\r\r\n\r\n", "CR at a line's start": GET + b"\rX: y\r\n\r\n",
        "fold with blank": GET + b"X: y\r\n z\r\n\r\n", "fold with tab": GET + b"X: y\r\n\tz\r\n\r\n",
        "fold before the first header": b"GET /e HTTP/1.1\r\n Host: a\r\n\r\n", "fold of nothing": GET + b"X:\r\n \r\n\r\n",
        "line of a blank": GET + b" \r\n\r\n", "name with blank": GET + b"X Y: z\r\n\r\n", "no name": GET + b": z\r\n\r\n",
        "blank before the colon": GET + b"X : z\r\n\r\n", "tab before the colon": GET + b"X\t: z\r\n\r\n",
        "no colon": GET + b"X\r\n\r\n", "NUL in a name": GET + b"X\x00: z\r\n\r\n", "NUL in a value": GET + b"X: \x00\r\n\r\n",
        "high byte in a name": GET + b"\xe9: z\r\n\r\n", "colon in quotes": GET + b'"X:": z\r\n\r\n', "DEL": GET + b"X: \x7f\r\n\r\n",
        "vertical tab": GET + b"X: \x0b\r\n\r\n", "form feed": GET + b"X: \x0c\r\n\r\n", "bell": GET + b"X: \x07\r\n\r\n",
        "two blanks after the method": b"GET  /e HTTP/1.1\r\nHost: a\r\n\r\n", "tabs": b"GET\t/e\tHTTP/1.1\r\nHost: a\r\n\r\n",
        "two blanks before the version": b"GET /e  HTTP/1.1\r\nHost: a\r\n\r\n", "blank after the version": b"GET /e HTTP/1.1 \r\nHost: a\r\n\r\n",
        "blank before the method": b" GET /e HTTP/1.1\r\nHost: a\r\n\r\n", "blank in the target": b"GET /e x HTTP/1.1\r\nHost: a\r\n\r\n",
        "version in the target": b"GET /e HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n", "lower version": b"GET /e http/1.1\r\nHost: a\r\n\r\n",
        "version with zeros": b"GET /e HTTP/01.1\r\nHost: a\r\n\r\n", "version of two digits": b"GET /e HTTP/1.11\r\nHost: a\r\n\r\n",
        "version without dot": b"GET /e HTTP/11\r\nHost: a\r\n\r\n", "version with a letter": b"GET /e HTTP/1.x\r\nHost: a\r\n\r\n",
        "no version": b"GET /e\r\nHost: a\r\n\r\n", "HTTP/0.9": b"GET /e\r\n\r\n", "no target": b"GET HTTP/1.1\r\nHost: a\r\n\r\n",
        "method of no token": b"G@T /e HTTP/1.1\r\nHost: a\r\n\r\n", "method of 65 letters": b"G" * 65 + b" /e HTTP/1.1\r\nHost: a\r\n\r\n",
        "NUL in the target": b"GET /e\x00 HTTP/1.1\r\nHost: a\r\n\r\n", "high bytes in the target": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
        "method in quotes": b'"GET" /e HTTP/1.1\r\nHost: a\r\n\r\n', "BOM": b"\xef\xbb\xbfGET /e HTTP/1.1\r\nHost: a\r\n\r\n",
    }  # fmt: skip
    made = {f"line, {name}": Case(raw) for name, raw in bad.items()}
    hosts = {
        "none": b"", "two": b"Host: a\r\nHost: a\r\n", "two, differing": b"Host: a\r\nHost: b\r\n", "two, other case": b"Host: a\r\nhost: b\r\n",
        "blank before the colon": b"Host : a\r\n", "two in a line": b"Host: a, b\r\n", "with a path": b"Host: a/e\r\n",
        "with a blank": b"Host: a b\r\n", "with a user": b"Host: x@a\r\n", "with a query": b"Host: a?b\r\n", "an address": b"Host: http://a\r\n",
        "with a backslash": b"Host: a\\b\r\n", "with quotes": b'Host: "a"\r\n', "with high bytes": b"Host: \xc3\xa9\r\n",
        "with a port that is none": b"Host: a:b\r\n", "two ports": b"Host: a:1:2\r\n", "with angles": b"Host: <a>\r\n",
    }  # fmt: skip
    made |= {f"host, {name}": Case(b"GET /e HTTP/1.1\r\n" + lines + b"\r\n") for name, lines in hosts.items()}
    made["host, two in HTTP/1.0"] = Case(b"GET /e HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n")
    made["host, bad one in HTTP/1.0"] = Case(b"GET /e HTTP/1.0\r\nHost: a/b\r\n\r\n")
    return made


def _others() -> dict[str, Case]:
    """Versions, expectations, upgrades, targets in other forms; and bodies where one does not look for them (CL.0)."""
    json = JSON + b'Content-Length: 7\r\n\r\n{"a":1}'
    made = {
        f"version {version}": other(b"GET /e HTTP/%b\r\nHost: a\r\n\r\n" % version.encode(), 505, "HTTP_VERSION")
        for version in ("0.9", "1.2", "2.0", "3.0")
    }
    made["HTTP/2 preface"] = other(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP_VERSION")
    for value in (b"200-ok", b"100-continue, x", b"x=100-continue", b"100-continue;q=1", b""):
        made[f"expectation {value!r}"] = other(POST + b"Expect: " + value + b"\r\n" + json, 417, "EXPECTATION_FAILED")
    for number, lines in enumerate(
        [b"Upgrade: websocket", b"Upgrade: WebSocket, h2c", b"Upgrade: websocket\r\nContent-Length: 5"]
    ):
        raw = GET + b"Connection: Upgrade\r\n" + lines + b"\r\n\r\n"
        made[f"websocket {number}"] = other(raw, 400, "UPGRADE_REFUSED")
    targets = {
        "another host": b"http://b/e", "another scheme": b"HTTPS://b/e", "another port": b"http://b:99/e", "with a user": b"http://x:y@b/e",
        "a host like a path": b"http://canary/e", "an address like the metadata's": b"http://169.254.169.254/e",
    }  # fmt: skip
    made |= {
        f"target, {name}": fine(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n") for name, target in targets.items()
    }
    for target in (b"ftp://b/e", b"*", b"http:///e", b"file:///e"):
        made[f"target {target!r}"] = other(
            b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n", 400, "INVALID_PATH", closes=False
        )
    for target in (b"e", b"?e", b"http:/e", b"a:80", b"http:e", b"javascript:e", b"\\e", b"..", b"http//b"):
        made[f"target {target!r}"] = Case(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    for target in (b"//", b"//e", b"/e//", b'/e"', b"/e;x", b"/e%20"):
        made[f"target {target!r}"] = other(
            b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n", 404, "NOT_FOUND", closes=False
        )
    invalid = b"POST /%2e HTTP/1.1\r\nHost: a\r\n"
    made |= {
        "bad path, no body": other(b"GET /%2e HTTP/1.1\r\nHost: a\r\n\r\n", 400, "INVALID_PATH", closes=False),
        "bad path, body is a request": other(invalid + b"Content-Length: %d\r\n\r\n" % len(INNER) + INNER, 400, "INVALID_PATH"),
        "bad path, chunks": other(invalid + b"Transfer-Encoding: chunked\r\n\r\n" + ONE_CHUNK, 400, "INVALID_PATH"),
        "TRACE with a body": other(b"TRACE /e HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n1234567", 405, "METHOD_NOT_ALLOWED"),
        "TRACE": other(b"TRACE /e HTTP/1.1\r\nHost: a\r\n\r\n", 405, "METHOD_NOT_ALLOWED", closes=False),
        "CONNECT": other(b"CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", 405, "METHOD_NOT_ALLOWED"),
        "body of nobody, length": other(POST.replace(b"/e", b"/none") + json, 404, "NOT_FOUND", closes=False),
        "body of nobody, chunks": other(CHUNKED.replace(b"/e", b"/none") + ONE_CHUNK, 404, "NOT_FOUND", closes=False),
        "body of another method": other(b"BREW /e HTTP/1.1\r\nHost: a\r\n" + json, 405, "METHOD_NOT_ALLOWED", closes=False),
        "body of a type nobody reads": other(
            POST + b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(INNER) + INNER, 415, "UNSUPPORTED_TYPE", closes=False
        ),
        "body of a type nobody knows": other(
            POST + b"Content-Length: %d\r\n\r\n" % len(INNER) + INNER, 415, "UNSUPPORTED_TYPE", closes=False
        ),
        "body that is a request": other(POST + JSON + b"Content-Length: %d\r\n\r\n" % len(INNER) + INNER, 400, "INVALID_BODY", closes=False),
        "body too long": other(POST + JSON + b"Content-Length: 2000000\r\n\r\n" + INNER, 413, "PAYLOAD_TOO_LARGE"),
        "chunk too long": other(CHUNKED + b"fffff1\r\n" + INNER, 413, "PAYLOAD_TOO_LARGE"),
        "chunk of 16 digits": other(CHUNKED + b"ffffffffffffffff\r\n" + INNER, 413, "PAYLOAD_TOO_LARGE"),
        "a GET with a body": fine(GET + json),
        "a HEAD-like GET in HTTP/1.0": fine(b"GET /e HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n" + json),
        "a GET with chunks": fine(GET + JSON + b"Transfer-Encoding: chunked\r\n\r\n" + ONE_CHUNK),
        "a coding in other case": fine(POST + JSON + b"tRANSFER-eNCODING:\t CHUNKED  \r\n\r\n" + ONE_CHUNK),
        "a length with blanks around": fine(POST + JSON + b'content-length: \t 7\t \r\n\r\n{"a":1}'),
        "a length with zeros": fine(POST + JSON + b'Content-Length: 0007\r\n\r\n{"a":1}'),
        "a length of 0": fine(POST + b"Content-Length: 0\r\n\r\n"),
        "a POST without length": fine(POST + b"\r\n"),
        "names that only look alike": fine(POST + b"Transfer_Encoding: chunked\r\nContent_Length: 5\r\nX-Content-Length: 9\r\n\r\n"),
        "a length taken back by Connection": fine(POST + JSON + b'Connection: keep-alive, Content-Length\r\nContent-Length: 7\r\n\r\n{"a":1}'),
        "a length in a value": fine(GET + b"X: Content-Length: 5\r\nY:\tTransfer-Encoding: chunked\r\n\r\n"),
        "h2c": fine(GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n\r\n"),
        "h2c with a body": fine(POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + json),
        "Upgrade without Connection": fine(GET + b"Upgrade: websocket\r\n\r\n"),
        "Upgrade in HTTP/1.0": fine(b"GET /e HTTP/1.0\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"),
        "other names for a host": fine(GET + b"X-Forwarded-Host: b\r\nX-Host: b\r\nForwarded: host=b\r\nX-Original-URL: /canary\r\n\r\n"),
        "other names for a path": fine(GET + b"X-Rewrite-URL: /canary\r\nX-HTTP-Method-Override: DELETE\r\n\r\n"),
        "blank lines before": fine(b"\r\n\r\n\r\n" + GET + b"\r\n"),
        "a blank value": fine(GET + b"X:\r\nY: \r\nZ:\t\r\n\r\n"),
        "a host with port": fine(b"GET /e HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"),
        "an empty host": fine(b"GET /e HTTP/1.1\r\nHost:\r\n\r\n"),
        "a host with sub-delims": fine(b"GET /e HTTP/1.1\r\nHost: a_b.c-d~e!$&'()*+,;=%41:\r\n\r\n"),
    }  # fmt: skip
    return made


GROUPS: dict[str, dict[str, Case]] = {
    "length and coding": _both(),
    "codings": _codings(),
    "lengths": _lengths(),
    "chunks": _chunks(),
    "lines": _lines(),
    "others": _others(),
}
