"""Settings: checked when they are built, and a misspelt name is told the nearest."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from tautomer.errors import BrokerOptionsError
from tautomer.middleware import Middleware
from tautomer.settings import RegistrySettings, Settings, TransitSettings, nearest, record

RECORDS = [Settings, RegistrySettings, TransitSettings]


@pytest.mark.parametrize("kind", RECORDS)
def test_the_defaults_are_sound(kind: type[Any]) -> None:
    made = kind()

    assert made == kind(**{f.name: getattr(made, f.name) for f in dataclasses.fields(made)})


@pytest.mark.parametrize("kind", RECORDS)
def test_they_are_frozen(kind: type[Any]) -> None:
    made = kind()
    for one in dataclasses.fields(made):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made, one.name, 5)
        with pytest.raises(dataclasses.FrozenInstanceError):
            delattr(made, one.name)
    with pytest.raises((AttributeError, TypeError)):
        made.something_new = 5


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
def test_they_can_be_copied_whole(copied: Callable[[Settings], Settings]) -> None:
    made = Settings(namespace="dev", metadata={"a": [1]}, transit=TransitSettings(pending_max=7))

    assert made == copied(made)
    assert repr(made) == repr(copied(made))


def test_equal_ones_have_one_hash_and_others_differ() -> None:
    assert hash(TransitSettings(pending_max=7)) == hash(TransitSettings(pending_max=7))
    assert TransitSettings() != TransitSettings(pending_max=7)
    assert TransitSettings() != RegistrySettings()


def test_they_show_what_was_set() -> None:
    assert "pending_max=7, in_flight_max=1000" in repr(TransitSettings(pending_max=7))


def test_what_is_shown_holds_no_password():
    shown = repr(Settings(transporter="nats://ann:secret@one:4222,nats://token@two", cacher="redis://:secret@three"))

    assert "transporter='nats://***@one:4222,nats://***@two'" in shown
    assert "secret" not in shown
    assert "token" not in shown


def test_they_take_keywords_only() -> None:
    with pytest.raises(TypeError):
        Settings("dev")  # type: ignore[misc]  # That is the point.


def test_what_is_mutable_is_made_for_each() -> None:
    assert Settings().metadata is not Settings().metadata


@record
class WithoutDefault:
    needed: int


def test_one_without_a_default_must_be_given() -> None:
    assert 5 == WithoutDefault(needed=5).needed
    with pytest.raises(TypeError, match="WithoutDefault needs 'needed'"):
        WithoutDefault()  # type: ignore[call-arg]  # That is the point.


def test_the_defaults_are_those_of_the_reference() -> None:
    """Reliability reference, sections 6 and 7; architecture, section 15.22."""
    settings = Settings()

    assert (None, 100, 5.0, 30.0, 10.0, "", None, "auto") == (
        settings.request_timeout,
        settings.max_call_level,
        settings.heartbeat_interval,
        settings.heartbeat_timeout,
        settings.shutdown_timeout,
        settings.namespace,
        settings.transporter,
        settings.protocol,
    )
    assert (2_000, 500, 5_000, True) == (
        settings.registry.nodes_max,
        settings.registry.services_max,
        settings.registry.actions_max,
        settings.registry.prefer_local,
    )
    assert (10_000, 1_000) == (settings.transit.pending_max, settings.transit.in_flight_max)


def test_nodes_own_defaults_can_be_had() -> None:
    settings = Settings.moleculer(namespace="dev")

    assert (0.0, 0, 10.0, "dev") == (
        settings.request_timeout,
        settings.max_call_level,
        settings.heartbeat_interval,
        settings.namespace,
    )
    assert 5.0 == Settings.moleculer(request_timeout=5.0).request_timeout


class TestUnknownNames:
    @pytest.mark.parametrize(
        ("record", "written", "meant"),
        [
            (Settings, "request_timout", "request_timeout"),
            (Settings, "requestTimeout", "request_timeout"),
            (Settings, "nameSpace", "namespace"),
            (Settings, "transporters", "transporter"),
            (Settings, "heartbeatInterval", "heartbeat_interval"),
            (RegistrySettings, "preferLocal", "prefer_local"),
            (TransitSettings, "pending", "pending_max"),
        ],
    )
    def test_are_refused_with_the_nearest(self, record: type[Any], written: str, meant: str) -> None:
        with pytest.raises(BrokerOptionsError, match=f"unknown setting '{written}'; did you mean '{meant}'") as caught:
            record(**{written: 5})

        assert {"unknown": [written]} == caught.value.data

    def test_are_all_told_at_once(self) -> None:
        with pytest.raises(BrokerOptionsError, match=r"'namespac'.*'protocoll'"):
            Settings(namespac="a", protocoll="5")  # type: ignore[call-arg]  # That is the point.

    def test_far_from_any_are_told_what_there_is(self) -> None:
        with pytest.raises(BrokerOptionsError, match=r"'qqq'; known: .*namespace.*transporter"):
            Settings(qqq=5)  # type: ignore[call-arg]  # That is the point.
        assert "; known: alpha, beta" == nearest("zzz", ["beta", "alpha"])

    def test_settings_have_names(self) -> None:
        with pytest.raises(TypeError):
            Settings("dev")  # type: ignore[call-arg]  # That is the point.


class TestImpossibleValues:
    @pytest.mark.parametrize(
        ("record", "values", "words"),
        [
            (Settings, {"namespace": None}, "namespace is a text"),
            (Settings, {"protocol": "6"}, "protocol is 'auto', '4' or '5'"),
            (Settings, {"protocol": 5}, "protocol is 'auto', '4' or '5'"),
            (Settings, {"log_format": "XML"}, "log_format is 'PLAIN' or 'JSON'"),
            (Settings, {"request_timeout": -1}, "request_timeout is at least 0"),
            (Settings, {"request_timeout": "5"}, "request_timeout is a number"),
            (Settings, {"request_timeout": True}, "request_timeout is a number"),
            (Settings, {"request_timeout": float("nan")}, "request_timeout is at least 0"),
            (Settings, {"max_call_level": -1}, "max_call_level is at least 0"),
            (Settings, {"shutdown_timeout": -0.1}, "shutdown_timeout is at least 0"),
            (Settings, {"dependency_timeout": []}, "dependency_timeout is a number"),
            (Settings, {"heartbeat_interval": 0}, "heartbeat_interval is at least 0.01"),
            (Settings, {"registry": {"prefer_local": False}}, "registry is a RegistrySettings"),
            (Settings, {"transit": None}, "transit is a TransitSettings"),
            (Settings, {"metadata": ["region"]}, "metadata is a dict"),
            (Settings, {"middlewares": Middleware}, "middlewares is a list"),
            (Settings, {"middlewares": "Retry"}, "middlewares is a list"),
            (RegistrySettings, {"nodes_max": 0}, "registry.nodes_max is at least 1"),
            (RegistrySettings, {"services_max": "many"}, "registry.services_max is a number"),
            (RegistrySettings, {"actions_max": -5}, "registry.actions_max is at least 1"),
            (TransitSettings, {"pending_max": 0}, "transit.pending_max is at least 1"),
            (TransitSettings, {"in_flight_max": 0}, "transit.in_flight_max is at least 1"),
            (TransitSettings, {"settle": -1}, "transit.settle is at least 0"),
            (TransitSettings, {"stop_delay": "0.1"}, "transit.stop_delay is a number"),
        ],
    )
    def test_are_refused_when_they_are_built(self, record: type[Any], values: dict[str, Any], words: str) -> None:
        with pytest.raises(BrokerOptionsError) as caught:
            record(**values)

        assert words in str(caught.value)

    @pytest.mark.parametrize(("interval", "timeout"), [(5, 5), (30, 5), (31, None)])
    def test_a_heartbeat_that_comes_too_late_is_one(self, interval: float, timeout: float | None) -> None:
        more = {} if timeout is None else {"heartbeat_timeout": timeout}
        with pytest.raises(BrokerOptionsError, match="every node looks dead between two beats"):
            Settings(heartbeat_interval=interval, **more)  # type: ignore[arg-type]  # A float it is.

    @pytest.mark.parametrize(
        "values",
        [
            {"request_timeout": 0},
            {"request_timeout": None},
            {"max_call_level": 0},
            {"shutdown_timeout": 0.0},
            {"heartbeat_interval": 0.01, "heartbeat_timeout": 0.02},
            {"middlewares": [Middleware, Middleware()]},
            {"middlewares": ()},
            {"transit": TransitSettings(settle=0, settle_quiet=0, announce_delay=0, stop_delay=0)},
        ],
    )
    def test_edges_that_are_possible_are_taken(self, values: dict[str, Any]) -> None:
        settings = Settings(**values)

        assert values == {name: getattr(settings, name) for name in values}

    def test_a_change_is_checked_too(self) -> None:
        with pytest.raises(BrokerOptionsError):
            dataclasses.replace(Settings(), protocol="6")  # type: ignore[arg-type]  # That is the point.
        assert "4" == dataclasses.replace(Settings(), protocol="4").protocol


@pytest.mark.parametrize(
    "values",
    [{"stream_chunk_bytes": 0}, {"stream_idle": -1}, {"stream_window_bytes": 1_000}, {"stream_window_bytes": "4 MiB"}],
)
def test_a_stream_has_a_window_for_one_chunk_at_least(values: dict[str, Any]) -> None:
    with pytest.raises(BrokerOptionsError, match=next(iter(values))):
        TransitSettings(**values)
