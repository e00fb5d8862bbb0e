"""ServiceTester and Recorder."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tautomer import Broker, Context, Service, action, event
from tautomer.errors import BrokerOptionsError, MoleculerClientError, ServiceNotFoundError, ValidationError
from tautomer.testing import Recorder, ServiceTester, Simulation


class Users(Service):
    name = "users"
    dependencies = ["mail", {"name": "log", "version": 2}]

    @action(params={"name": "string|min:2"})
    async def create(self, ctx: Context[Any]) -> dict[str, Any]:
        sent = await ctx.call("mail.send", {"to": ctx.params["name"]}, meta={"by": "users"})
        ctx.emit("user.created", {"name": ctx.params["name"]})
        return {"name": ctx.params["name"], "sent": sent}

    @event("user.removed")
    async def on_removed(self, ctx: Context[Any]) -> None:
        await ctx.call("mail.send", {"to": ctx.params["name"]})


async def test_a_service_is_called_with_its_others_mocked() -> None:
    async with ServiceTester(Users) as tester:
        tester.mock("mail.send", True)

        assert {"name": "Ann", "sent": True} == await tester.call("users.create", {"name": "Ann"})


async def test_params_are_checked_as_ever() -> None:
    async with ServiceTester(Users) as tester:
        with pytest.raises(ValidationError):
            await tester.call("users.create", {"name": "A"})


async def test_what_is_not_mocked_is_not_there() -> None:
    async with ServiceTester(Users) as tester:
        with pytest.raises(ServiceNotFoundError):
            await tester.call("users.create", {"name": "Ann"})


async def test_a_mock_may_be_a_function_of_the_context() -> None:
    async def send(ctx: Context[Any]) -> Any:
        ctx.meta["seen"] = True
        return [ctx.params["to"], ctx.meta["by"], ctx.level]

    async with ServiceTester(Users) as tester:
        tester.mock("mail.send", send)

        assert ["Ann", "users", 2] == (await tester.call("users.create", {"name": "Ann"}))["sent"]


async def test_a_mock_may_be_a_plain_function() -> None:
    async with ServiceTester(Users) as tester:
        tester.mock("mail.send", lambda ctx: ctx.params["to"])

        assert "Ann" == (await tester.call("users.create", {"name": "Ann"}))["sent"]


async def test_a_mock_may_fail() -> None:
    async with ServiceTester(Users) as tester:
        tester.mock("mail.send", MoleculerClientError("no mail today", 400, "NO_MAIL"))

        with pytest.raises(MoleculerClientError, match="no mail today"):
            await tester.call("users.create", {"name": "Ann"})


async def test_calls_and_events_are_recorded() -> None:
    async with ServiceTester(Users) as tester:
        tester.mock("mail.send", True)
        await tester.call("users.create", {"name": "Ann"})

        (sent,) = tester.calls("mail.send")
        (created,) = tester.events("user.created")
        assert ({"to": "Ann"}, {"by": "users"}, True, True) == (
            sent.params,
            sent.options["meta"],
            sent.result,
            sent.done,
        )
        assert ("emit", {"name": "Ann"}, None) == (created.kind, created.data, created.groups)


async def test_a_failed_call_is_recorded_with_its_error() -> None:
    async with ServiceTester(Users) as tester:
        tester.mock("mail.send", ZeroDivisionError("oh"))
        with pytest.raises(ZeroDivisionError):
            await tester.call("users.create", {"name": "Ann"})

        assert "oh" == str(tester.calls("mail.send")[0].error)


async def test_an_event_is_told_and_its_listener_done() -> None:
    async with ServiceTester(Users) as tester:
        tester.mock("mail.send", True)

        await tester.emit("user.removed", {"name": "Ann"})
        await tester.broadcast("user.removed", {"name": "Bob"}, groups="users")

        assert [{"to": "Ann"}, {"to": "Bob"}] == [call.params for call in tester.calls("mail.send")]
        assert [None, ["users"]] == [told.groups for told in tester.events("user.removed")]


async def test_it_has_no_transporter() -> None:
    with pytest.raises(BrokerOptionsError, match="Simulation"):
        ServiceTester(Users, transporter="memory://")


def test_it_runs_on_virtual_time_too() -> None:
    class Slow(Service):
        name = "slow"

        @action
        async def it(self, ctx: Context[Any]) -> str:
            await asyncio.sleep(1000)
            return "done"

    async def scenario() -> str:
        async with ServiceTester(Slow) as tester:
            result: str = await tester.call("slow.it")
            return result

    with Simulation(1) as sim:
        assert "done" == sim.run_until(scenario())


async def test_a_recorder_may_be_given_to_any_broker() -> None:
    recorder = Recorder()
    async with Broker("a", middlewares=[recorder]) as broker:
        await broker.call("$node.list")
        broker.broadcast_local("thing")

        assert ["$node.list"] == [call.action for call in recorder.calls]
        assert [("broadcastLocal", "thing")] == [(told.kind, told.name) for told in recorder.events]

        recorder.clear()
        assert ([], []) == (recorder.calls, recorder.events)
