"""Whatever an action, a stream or a hook gives or raises: the request has one answer, and the process goes on."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import datetime
import enum
import gc
import inspect
import itertools
import sys
import types
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tautomer import Broker, Context, Service, Settings, action
from tautomer.errors import MoleculerClientError, MoleculerError
from tautomer.web.messages.message import Reply, Request
from tests.web.conftest import OpenDoor
from tests.web.http.conftest import until
from tests.web.http.wire import Answer, Wire, get

from .conftest import Dial
from .strict import replies


class Mute(Exception):
    """Cannot even be shown."""

    def __str__(self) -> str:
        raise ValueError("no words")

    __repr__ = __str__


class Beyond(BaseException):
    """No `Exception`, and nothing that Python knows."""


RAISED: dict[str, Callable[[], BaseException]] = {
    "ValueError": lambda: ValueError("x"),
    "one that cannot be shown": Mute,
    "SystemExit": lambda: SystemExit(1),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "a BaseException": Beyond,
    "CancelledError": asyncio.CancelledError,
    "StopIteration": lambda: StopIteration(1),
    "StopAsyncIteration": StopAsyncIteration,
    "RecursionError": RecursionError,
    "MemoryError": MemoryError,
    "TimeoutError": TimeoutError,
    "a group": lambda: BaseExceptionGroup("g", [Beyond(), SystemExit(1)]),
    "a cycle": lambda: cycle(),
}


def cycle() -> BaseException:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    return one


class Spiky:
    """Raises at every touch."""

    def __init__(self, error: BaseException) -> None:
        object.__setattr__(self, "_error", error)

    def _prick(self, *_: object, **__: object) -> Any:
        raise object.__getattribute__(self, "_error")

    __repr__ = __str__ = __iter__ = __eq__ = __ne__ = __hash__ = __bool__ = __len__ = _prick
    __getattr__ = __call__ = __format__ = __bytes__ = __index__ = __int__ = __aiter__ = __await__ = _prick


class Zone(datetime.tzinfo):
    def __init__(self, error: BaseException) -> None:
        self._error = error

    def utcoffset(self, _when: datetime.datetime | None) -> datetime.timedelta:
        raise self._error


class SpikyDict(dict[str, Any]):
    def get(self, *_: Any) -> Any:
        raise Mute

    __iter__ = __len__ = items = keys = get


class SpikyList(list[Any]):
    def __iter__(self) -> Any:
        raise Mute

    __len__ = __iter__


class OddBytes(bytes):
    """Says that it is shorter than it is."""

    def __len__(self) -> int:
        return 1


class OddText(str):
    """Says something else than it is."""

    def __format__(self, _spec: str) -> str:
        return "200 OK\r\nX-Split: yes\r\n\r\n"

    def __str__(self) -> str:
        return format(self)


class OddNumber(int):
    def __format__(self, _spec: str) -> str:
        return "200 OK\r\nX-Split: yes\r\n\r\n"

    def __str__(self) -> str:
        return format(self)

    __repr__ = __str__


class Colour(str, enum.Enum):  # noqa: UP042  # Other than StrEnum, it shows itself as its name.
    RED = "red"


@dataclasses.dataclass
class Record:
    inside: object


class Disguised:
    @property
    def __class__(self) -> Any:
        raise Mute


def recursive_list() -> object:
    found: list[Any] = []
    found.append(found)
    return found


def recursive_dict() -> object:
    found: dict[str, Any] = {}
    found["a"] = [found]
    return found


def deep(levels: int = 100_000) -> object:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


def released() -> object:
    view = memoryview(b"abc")
    view.release()
    return view


async def stream(error: BaseException | None, pieces: int = 0) -> AsyncIterator[bytes]:
    for _ in range(pieces):
        yield b"abc"
    if error is not None:
        raise error


class BadlyClosed:
    """A stream that comes to its end, but whose closing fails."""

    def __init__(self, error: BaseException) -> None:
        self._error = error
        self._left = 2

    def __aiter__(self) -> BadlyClosed:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        return b"abc"

    async def aclose(self) -> None:
        raise self._error


# What has no JSON form, and what has one though nobody would think so.
UNSENDABLE: dict[str, Callable[[], object]] = {
    "object": object,
    "spiky": lambda: [Spiky(ValueError())],
    "spiky dict": lambda: SpikyDict(a=1),
    "record of a spiky one": lambda: Record(Spiky(Mute())),
    "recursive list": recursive_list,
    "recursive dict": recursive_dict,
    "deep list": deep,
    "number of 5,000 digits": lambda: {"a": 10**5_000},
    "lone surrogate": lambda: "\ud800",
    "lone surrogate inside": lambda: {"a": ["b\udfff"]},
    "lone surrogate as a key": lambda: {"\ud800": 1},
    "tuple as a key": lambda: {(1, 2): 3},
    "None as a key": lambda: {None: 1},
    "complex": lambda: 1j,
    "exception": lambda: ValueError("x"),
    "ellipsis": lambda: ...,
    "not implemented": lambda: NotImplemented,
    "function": lambda: len,
    "module": lambda: sys,
    "class": lambda: int,
    "mapping proxy": lambda: types.MappingProxyType({"a": 1}),
    "chain of maps": lambda: collections.ChainMap({"a": 1}),
    "released memory": released,
    "odd text": lambda: [OddText("a")],
    "odd number": lambda: [OddNumber(1)],
    "buffer of spiky ones": lambda: {"type": "Buffer", "data": [Spiky(ValueError())]},
    "type that cannot be compared": lambda: {"type": Spiky(ValueError())},
    "a zone that fails": lambda: datetime.datetime(2026, 1, 1, tzinfo=Zone(Mute())),
}
SENDABLE: dict[str, tuple[Callable[[], object], bytes]] = {
    "not a number": (lambda: [float("nan"), float("inf")], b"[null,null]"),
    "number of 31 digits": (lambda: 10**30, b"1" + b"0" * 30),
    "set": (lambda: {1}, b"[1]"),
    "number as a key": (lambda: {1: 2}, b'{"1":2}'),
    "ordered dict": (lambda: collections.OrderedDict(a=1), b'{"a":1}'),
    "member of an enumeration": (lambda: {"a": Colour.RED}, b'{"a":"red"}'),
    "spiky list": (lambda: SpikyList([1]), b"[1]"),
    "odd bytes": (lambda: OddBytes(b"abcdef"), b"abcdef"),
    "bytes array": (lambda: bytearray(b"abc"), b"abc"),
    "buffer with a wrong number": (lambda: {"type": "Buffer", "data": [256]}, b'{"type":"Buffer","data":[256]}'),
}


class Odd(Service):
    """Gives what the test says."""

    name = "odd"

    def __init__(self) -> None:
        super().__init__()
        self.give: Callable[[Context], Any] = lambda _ctx: None

    @action
    async def thing(self, ctx: Context) -> Any:
        given = self.give(ctx)
        return await given if inspect.iscoroutine(given) else given

    @action
    async def fine(self, ctx: Context) -> str:
        return "fine"


def looks_only(*_: object) -> None:
    """A hook that changes nothing, but has the request take the stages."""


ALIASES = {"GET /thing": "odd.thing", "POST /thing": "odd.thing", "GET /fine": "odd.fine"}
ROUTES = [{"aliases": ALIASES}, {"path": "/stages", "aliases": ALIASES, "onAfterCall": looks_only}]
# Of a route and alias the first request goes through all stages in any case.
WAYS = ["", "/stages"]
FINE = b'"fine"'


def raises(error: BaseException) -> Any:
    raise error


@pytest.fixture
def odd() -> Odd:
    return Odd()


@pytest.fixture
async def problems() -> list[dict[str, Any]]:
    """What the loop complains of."""
    found: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: found.append(context))
    return found


async def both(wire: Wire, path: str, method: str = "GET") -> list[Answer]:
    """The answers to this request and to a harmless one behind it, on one connection; only the first if that is cut."""
    wire.send(get(path, "Content-Length: 0", method=method) + get("/fine", "Connection: close"))
    return replies(await wire.rest())


@pytest.mark.parametrize("name", RAISED)
async def test_whatever_an_action_raises_is_a_500(
    door: OpenDoor, dial: Dial, odd: Odd, problems: list[dict[str, Any]], name: str
) -> None:
    opened = await door(odd, routes=ROUTES)
    odd.give = lambda _ctx: raises(RAISED[name]())
    for way, method in itertools.product(WAYS, ("GET", "GET", "POST")):
        first, second = await both(await dial(opened), f"{way}/thing", method)

        assert (500, "INTERNAL_ERROR", FINE) == (first.status, first.type, second.body)
    gc.collect()
    assert [] == problems


@pytest.mark.parametrize("name", UNSENDABLE)
async def test_what_has_no_json_form_is_a_500_that_says_so(
    door: OpenDoor, dial: Dial, odd: Odd, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    opened = await door(odd, routes=ROUTES)
    odd.give = lambda _ctx: UNSENDABLE[name]()
    for way in WAYS * 2:
        first, second = await both(await dial(opened), f"{way}/thing")

        assert (500, "SERIALIZATION_ERROR", FINE) == (first.status, first.type, second.body)
    assert {"odd.thing"} == {vars(record)["action"] for record in caplog.records if "JSON" in record.message}


@pytest.mark.parametrize("name", SENDABLE)
async def test_what_has_one_is_sent(door: OpenDoor, dial: Dial, odd: Odd, name: str) -> None:
    opened = await door(odd, routes=ROUTES)
    made, body = SENDABLE[name]
    odd.give = lambda _ctx: made()
    for way in WAYS * 2:
        first, second = await both(await dial(opened), f"{way}/thing")

        assert (200, body, FINE) == (first.status, first.body, second.body)


@pytest.mark.parametrize("name", RAISED)
async def test_whatever_a_result_raises_when_it_is_looked_at_is_a_500(
    door: OpenDoor, dial: Dial, odd: Odd, problems: list[dict[str, Any]], name: str
) -> None:
    opened = await door(odd, routes=ROUTES)
    error = RAISED[name]()
    looks: list[Callable[[], object]] = [
        lambda: Spiky(error),
        lambda: {"type": Spiky(error)},
        lambda: {"type": "Buffer", "data": [Spiky(error)]},
        lambda: {"a": datetime.datetime(2026, 1, 1, tzinfo=Zone(error))},
        Disguised,
    ]
    for way, made in itertools.product(WAYS, looks):
        odd.give = lambda _ctx, made=made: made()
        first, second = await both(await dial(opened), f"{way}/thing")

        assert (500, FINE) == (first.status, second.body)
        assert first.type in ("SERIALIZATION_ERROR", "INTERNAL_ERROR")
    gc.collect()
    assert [] == problems


@pytest.mark.parametrize("name", RAISED)
async def test_a_stream_that_fails_at_once_is_a_500_and_later_a_cut(
    door: OpenDoor, dial: Dial, odd: Odd, problems: list[dict[str, Any]], name: str
) -> None:
    """Never a second reply in the middle of the first."""
    opened = await door(odd, routes=ROUTES)
    odd.give = lambda _ctx: stream(RAISED[name]())
    for way in WAYS * 2:
        first, second = await both(await dial(opened), f"{way}/thing")
        assert (500, "INTERNAL_ERROR", FINE) == (first.status, first.type, second.body)

    odd.give = lambda _ctx: stream(RAISED[name](), 2)
    for way, method in itertools.product(WAYS, ("GET", "POST")):
        wire = await dial(opened)
        wire.send(get(f"{way}/thing", "Content-Length: 0", method=method) + get("/fine"))
        data = await wire.rest()

        # A reset may take along what was sent before it.
        assert data.count(b"HTTP/1.1 ") <= 1
        assert b"0\r\n\r\n" not in data
    gc.collect()
    assert [] == problems


@pytest.mark.parametrize("name", RAISED)
async def test_a_stream_whose_closing_fails_was_whole(
    door: OpenDoor, dial: Dial, odd: Odd, problems: list[dict[str, Any]], name: str
) -> None:
    opened = await door(odd, routes=ROUTES)
    odd.give = lambda _ctx: BadlyClosed(RAISED[name]())
    for way in WAYS * 2:
        first, second = await both(await dial(opened), f"{way}/thing")

        assert (200, b"abcabc", FINE) == (first.status, first.body, second.body)
    gc.collect()
    assert [] == problems


class Tangled(Exception):
    """One look at its notes, as a log takes it, is a look too many."""

    @property
    def __notes__(self) -> list[str]:
        raise RecursionError


async def test_an_error_that_even_the_log_cannot_take_is_a_500(door: OpenDoor, dial: Dial, odd: Odd) -> None:
    opened = await door(odd, routes=ROUTES)
    odd.give = lambda _ctx: raises(Tangled())
    for way in WAYS * 2:
        first, second = await both(await dial(opened), f"{way}/thing")

        assert (500, "INTERNAL_ERROR", FINE) == (first.status, first.type, second.body)


@pytest.mark.slow
async def test_an_action_that_does_not_let_itself_be_cancelled_hangs_no_client(
    door: OpenDoor, dial: Dial, odd: Odd
) -> None:
    enough = asyncio.Event()

    async def stubborn() -> str:
        while not enough.is_set():
            try:
                await enough.wait()
            except asyncio.CancelledError:
                pass
        return "late"

    opened = await door(odd, routes=ROUTES, broker=Broker("stubborn", Settings(request_timeout=0.1)))
    odd.give = lambda _ctx: stubborn()
    for way in WAYS:
        wire = await dial(opened)
        wire.send(get(f"{way}/thing") + get("/fine"))
        answer = await wire.answer()

        assert (504, "REQUEST_TIMEOUT", True) == (answer.status, answer.type, answer.closes)
        assert b"" == await wire.rest()
        assert FINE == (await both(await dial(opened), "/fine"))[0].body
    # They keep their slots until they end.
    assert opened.service._server is not None
    seen = opened.service._server.statistics
    assert 2 == seen()["requests_running"]
    enough.set()
    await until(lambda: 0 == seen()["requests_running"])


@pytest.mark.parametrize(
    "piece", [1, None, "\ud800", {"a": 1}, Spiky(Mute())], ids=["number", "none", "surrogate", "dict", "spiky"]
)
async def test_a_stream_with_a_piece_that_cannot_be_sent_is_cut(
    door: OpenDoor, dial: Dial, odd: Odd, piece: Any
) -> None:
    async def mixed() -> AsyncIterator[Any]:
        yield b"abc"
        yield piece

    opened = await door(odd, routes=ROUTES)
    odd.give = lambda _ctx: mixed()
    wire = await dial(opened)
    wire.send(get("/thing"))

    assert b"0\r\n\r\n" not in await wire.rest()
    assert FINE == (await both(await dial(opened), "/fine"))[0].body


async def test_a_piece_is_as_long_as_it_is(door: OpenDoor, dial: Dial, odd: Odd) -> None:
    async def pieces() -> AsyncIterator[Any]:
        yield OddBytes(b"abcdef")
        yield bytearray(b"ghi")
        yield OddText("jkl")

    opened = await door(odd, routes=ROUTES)
    odd.give = lambda _ctx: pieces()

    assert b"abcdefghijkl" == (await both(await dial(opened), "/thing"))[0].body


def errors_of_odd_parts() -> dict[str, tuple[MoleculerError, int]]:
    """Errors raised on purpose, of which a part is not what it should be, and the status each gets."""
    codes: list[object] = [
        0, 99, 200, 399, 600, 999, -1, True, None, "404", "x", 404.0, float("nan"), 10**5_000, [], {}, b"404",
        OddNumber(404), Spiky(ValueError()),
    ]  # fmt: skip
    found = {}
    for number, code in enumerate(codes):
        error = MoleculerError("odd")
        error.code = code  # type: ignore[assignment]  # That is the point.
        found[f"code {number}"] = (error, 404 if isinstance(code, OddNumber) else 500)
    for number, part in enumerate(
        [None, 1, b"x", [], "\ud800", "a\r\nb", 10**5_000, recursive_list(), deep(), Spiky(Mute())]
    ):
        for name in ("message", "type", "data"):
            error = MoleculerClientError("odd", 418, "ODD")
            setattr(error, name, part)
            found[f"{name} {number}"] = (error, 418)
    return found


@pytest.mark.slow
async def test_errors_of_odd_parts_have_an_answer(
    door: OpenDoor, dial: Dial, odd: Odd, caplog: pytest.LogCaptureFixture
) -> None:
    opened = await door(odd, routes=ROUTES)
    for name, (error, status) in errors_of_odd_parts().items():
        for way in WAYS:
            odd.give = lambda _ctx, error=error: raises(error)
            first, second = await both(await dial(opened), f"{way}/thing")

            assert (name, status, FINE) == (name, first.status, second.body)
            assert status == first.json["code"]
    assert "request failed" not in {record.message for record in caplog.records}  # The server had to help out.


@pytest.mark.parametrize("hook", ["onBeforeCall", "onAfterCall", "onError"])
@pytest.mark.parametrize("name", RAISED)
async def test_whatever_a_hook_raises_is_a_500(
    door: OpenDoor, dial: Dial, odd: Odd, problems: list[dict[str, Any]], hook: str, name: str
) -> None:
    opened = await door(
        odd, routes=[{"aliases": ALIASES, hook: lambda *_: raises(RAISED[name]())}, {"path": "/ok", "aliases": ALIASES}]
    )
    if hook == "onError":
        odd.give = lambda _ctx: raises(ValueError("x"))
    wire = await dial(opened)
    wire.send(get("/thing") + get("/ok/fine", "Connection: close"))
    first, second = replies(await wire.rest())

    assert (500, "INTERNAL_ERROR", FINE) == (first.status, first.type, second.body)
    gc.collect()
    assert [] == problems


ODD_REPLIES: dict[str, Callable[[], Reply]] = {
    "status 200.0": lambda: Reply(200.0),  # type: ignore[arg-type]
    "status 0": lambda: Reply(0),
    "status 101": lambda: Reply(101),
    "status 1000": lambda: Reply(1000),
    "status True": lambda: Reply(True),
    "status as text": lambda: Reply("200"),  # type: ignore[arg-type]
    "status None": lambda: Reply(None),  # type: ignore[arg-type]
    "status a list": lambda: Reply([]),  # type: ignore[arg-type]
    "header of bytes": lambda: Reply(200, [(b"X", b"y")]),  # type: ignore[list-item]
    "header of a number": lambda: Reply(200, [("X", 1)]),  # type: ignore[list-item]
    "header of one": lambda: Reply(200, [("X",)]),  # type: ignore[list-item]
    "header of three": lambda: Reply(200, [("X", "y", "z")]),  # type: ignore[list-item]
    "headers None": lambda: Reply(200, None),  # type: ignore[arg-type]
    "headers of texts": lambda: Reply(200, ["X: y"]),  # type: ignore[list-item]
    "body None": lambda: Reply(200, [], None),  # type: ignore[arg-type]
    "body a text": lambda: Reply(200, [], "x"),  # type: ignore[arg-type]
    "body spiky": lambda: Reply(200, [], Spiky(SystemExit())),  # type: ignore[arg-type]
    "reason a number": lambda: Reply(200, [], b"", 5),  # type: ignore[arg-type]
    "reason bytes": lambda: Reply(200, [], b"", b"OK"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", ODD_REPLIES)
@pytest.mark.parametrize("where", ["action", "onError"])
async def test_a_reply_of_odd_parts_is_a_500(door: OpenDoor, dial: Dial, odd: Odd, name: str, where: str) -> None:
    """And spoils none that comes after it."""

    def answer(_request: Request, _error: BaseException) -> Reply:
        return ODD_REPLIES[name]()

    opened = await door(odd, routes=[{"aliases": ALIASES, **({"onError": answer} if where == "onError" else {})}])
    odd.give = lambda _ctx: ODD_REPLIES[name]() if where == "action" else raises(ValueError("x"))
    for _ in range(2):
        first, second = await both(await dial(opened), "/thing")

        assert (500, 200, FINE) == (first.status, second.status, second.body)


async def test_a_reply_of_subclasses_is_what_they_hold(door: OpenDoor, dial: Dial, odd: Odd) -> None:
    opened = await door(odd, routes=ROUTES)
    odd.give = lambda _ctx: Reply(
        OddNumber(201), [(OddText("X-Odd"), OddText("a")), ("X-Colour", Colour.RED)], OddBytes(b"abc"), OddText("Made")
    )
    first, second = await both(await dial(opened), "/thing")

    assert (201, "Made", b"abc", FINE) == (first.status, first.reason, first.body, second.body)
    assert ("a", "red") == (first.headers["x-odd"], first.headers["x-colour"])
