"""HttpLimits: what a stranger may ask of the HTTP server (reliability reference, section 6)."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["DEFAULT_LIMITS", "DEFAULT_UPLOAD_LIMITS", "BodyPlan", "HttpLimits", "UploadLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """Limits on one server's connections, requests and replies.

    0 means "no limit" and must be written on purpose; `body_grace` and `linger` are then none at all.

    Attributes:
        request_line_bytes_max: Longest request line. Over it 414.
        header_bytes_max: Longest single header line, chunk size line or trailer line. Over it 431 (chunks: 400).
        headers_bytes_max: All header lines together; also all chunk extensions and trailers of one body.
        headers_max: Number of header lines.
        header_time: Seconds from a request's first byte to the end of its headers. Over it 408.
        body_grace: Seconds for which a body may be slower than `body_rate_bytes`.
        body_rate_bytes: Bytes a second that a body must reach after the grace. Under it 408.
        request_time: Seconds from a request's first byte to the end of its body. Over it 408.
        keep_alive_idle: Seconds without a byte before a connection is closed, a new one or one between requests.
        keep_alive_requests_max: Requests on one connection; the last one's reply says ``Connection: close``.
        write_stall: Seconds in which a client reads nothing of what waits for it before it is cut off.
        linger: Seconds for which a refused client's bytes are still taken and thrown away, so that the
            refusal is not lost in a connection reset.
        connections_max: Open connections of the server. Over it 503, close. Fewer where the process may not have so
            many files open.
        connections_per_peer_max: Open connections of one address. Over it 503, close.
        requests_max: Requests that run at once. Over it 503 with ``Retry-After: 1``.
        body_bytes_max: Longest body as it comes, and after inflating. Over it 413.
        write_buffer_bytes: Bytes of replies that wait for a client before its stream must wait too.
        read_ahead_bytes: Bytes taken from a connection while its current request runs (pipelining).
        json_depth_max: Nesting of lists and objects in a JSON body. Over it 400 ``TOO_DEEP``.
        pairs_max: Pairs in a query string or a form. Over it 400 ``TOO_MANY_PARAMS``.
        pair_depth_max: Brackets in one key of these. Over it 400 ``TOO_MANY_PARAMS``.
    """

    request_line_bytes_max: int = 8 * 1024
    header_bytes_max: int = 8 * 1024
    headers_bytes_max: int = 32 * 1024
    headers_max: int = 100
    header_time: float = 10.0
    body_grace: float = 10.0
    body_rate_bytes: int = 500
    request_time: float = 300.0
    keep_alive_idle: float = 5.0
    keep_alive_requests_max: int = 10_000
    write_stall: float = 30.0
    linger: float = 1.0
    connections_max: int = 10_000
    connections_per_peer_max: int = 1_000
    requests_max: int = 1_000
    body_bytes_max: int = 1024 * 1024
    write_buffer_bytes: int = 64 * 1024
    read_ahead_bytes: int = 64 * 1024
    json_depth_max: int = 64
    pairs_max: int = 1_000
    pair_depth_max: int = 10

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            if getattr(self, name) < 0:
                raise ValueError(f"limits.{name} is {getattr(self, name):g}; it is 0 (no limit) or more")
        for name in ("write_buffer_bytes", "read_ahead_bytes"):
            if getattr(self, name) == 0:
                raise ValueError(f"limits.{name} is a buffer and must have a bound over 0")

    @property
    def sweep_interval(self) -> float:
        """Seconds between two looks at the clocks: a quarter of the shortest time, from 0.02 to 1."""
        times = (self.header_time, self.body_grace, self.request_time, self.keep_alive_idle, self.write_stall)
        quarters = [seconds / 4 for seconds in times if seconds]
        # How long a refused client lingers matters less.
        return max(0.02, min([1.0, self.linger or 1.0, *quarters]))


DEFAULT_LIMITS = HttpLimits()


@dataclass(frozen=True, slots=True)
class BodyPlan:
    """What is to become of a body of which only the head is there.

    Attributes:
        bytes_max: How long it may be; 0 for no end.
        streamed: The request runs from its head on and reads the body as it comes (`Request.incoming`); else it
            waits for the whole.
    """

    bytes_max: int
    streamed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """Limits on what is uploaded to an alias of type ``multipart`` or ``stream``. 0 means "no limit". Over each 413.

    Attributes:
        file_bytes_max: Longest file; of a ``stream`` the whole body.
        files_max: Files in one request. With 1 the answer is the result for it, not a list.
        fields_max: Text fields in one request.
        parts_max: Files and fields together.
        field_bytes_max: Values of all text fields together: they are held in memory.
        field_name_bytes_max: Longest name of a field or file field.
        part_header_bytes_max: Headers of one part.
        empty: Whether a request without a file is taken.
    """

    file_bytes_max: int = 10 * 1024 * 1024
    files_max: int = 0
    fields_max: int = 0
    parts_max: int = 100
    field_bytes_max: int = 1024 * 1024
    field_name_bytes_max: int = 100
    part_header_bytes_max: int = 8 * 1024
    empty: bool = False


DEFAULT_UPLOAD_LIMITS = UploadLimits()
