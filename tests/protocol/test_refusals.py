from __future__ import annotations

import pytest

from tautomer import errors
from tautomer.error_wire import from_wire, to_wire
from tautomer.errors import MoleculerError
from tautomer.protocol.refusals import is_refusal, leaving, let_through, may_go_elsewhere


def told(error: MoleculerError, by: str = "n") -> MoleculerError:
    """The error as it arrives from that node."""
    return from_wire(to_wire(error, by), by)


def test_the_refusal_of_a_leaving_node_is_known_by_the_id_that_it_refused() -> None:
    error = told(leaving("far.do", "n", "q-1"))

    assert "unknown" == error.outcome
    assert is_refusal(error, "far.do", "n", "q-1")
    assert not is_refusal(error, "far.do", "n", "q-2")


@pytest.mark.parametrize(
    "kind", [errors.ServiceNotFoundError, errors.ServiceNotAvailableError, errors.QueueIsFullError]
)
def test_what_names_this_action_at_this_node_was_not_run(kind: type[errors.ServiceNotFoundError]) -> None:
    assert is_refusal(told(kind("far.do", "n")), "far.do", "n", "q-1")
    assert not is_refusal(told(kind("far.do", "n")), "far.other", "n", "q-1")
    assert not is_refusal(told(kind("far.do", "m")), "far.do", "n", "q-1")
    assert not is_refusal(told(kind("far.do")), "far.do", "n", "q-1")


@pytest.mark.parametrize("data", [None, [], "text", {}, {"notRun": None}, {"notRun": ["q-1"]}])
def test_data_of_any_shape_is_no_refusal(data: object) -> None:
    wire = {"name": "RequestRejectedError", "message": "m", "data": data}

    assert not is_refusal(from_wire(wire, "n"), "far.do", "n", "q-1")


def test_what_a_handler_that_ran_lets_through_is_no_refusal() -> None:
    """It called itself over the node that was withdrawing meanwhile."""
    error = errors.ServiceNotFoundError("far.do", "n")
    elsewhere = errors.ServiceNotFoundError("far.do", "m")
    for one in (error, elsewhere):
        let_through(one, "far.do", "n")

    assert not is_refusal(told(error), "far.do", "n", "q-1")
    assert {"action": "far.do", "nodeID": "m"} == elsewhere.data


def test_a_mark_in_an_error_of_another_class_is_no_refusal() -> None:
    error = told(errors.MoleculerClientError("m", data={"notRun": "q-1"}))

    assert not is_refusal(error, "far.do", "n", "q-1")


def test_a_full_queue_is_not_asked_to_the_next_node() -> None:
    assert not may_go_elsewhere(errors.QueueIsFullError("far.do", "n"))
    assert may_go_elsewhere(errors.ServiceNotAvailableError("far.do", "n"))
    assert may_go_elsewhere(errors.BrokerDisconnectedError())
    assert not may_go_elsewhere(errors.RequestRejectedError("far.do", "n"))
