"""The event stream."""

from __future__ import annotations

import asyncio
import threading

import pytest
from conftest import API_KEY, URL, MakeClient
from servers import SILENCE, Forwarder, ScriptedServer, response

from hangup import AsyncHangup, Hangup, HangupError


def no_delay(_: int) -> float:
    return 0.0


def stream(*events: str, headers: str = "last-event-id: 1") -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n{headers}\r\n\r\n"
    return (head + "".join(events)).encode()


def event(id: int, type: str = "call.created") -> str:
    return f'id: {id}\nevent: {type}\ndata: {{"id":"{id}","type":"{type}"}}\n\n'


def test_the_changes_of_a_call_are_events(hangup: Hangup, agent: str) -> None:
    call = hangup.calls.create(agent_id=agent)
    hangup.calls.cancel(call["id"])
    with hangup.events.subscribe(call_id=call["id"], last_event_id="0") as events:
        created = next(events)
        changed = next(events)
    assert created["type"] == "call.created"
    assert created["callId"] == call["id"]
    assert created["agentId"] == agent
    assert changed["type"] == "call.status_changed"
    assert (changed["from"], changed["to"]) == ("initiated", "cancelled")
    assert int(changed["id"]) > int(created["id"])


def test_a_broken_stream_resumes_without_a_gap_and_without_a_duplicate(
    make_client: MakeClient, forwarder: Forwarder, agent: str
) -> None:
    hangup = make_client()
    through_proxy = make_client(url=forwarder.url, retry_delay=no_delay)
    received: list[str] = []
    created: list[str] = []
    with through_proxy.events.subscribe(agent_id=agent, last_event_id="0") as events:
        for _ in range(4):
            # The first call is registered while the stream is open, the second while the stream is broken.
            created.append(hangup.calls.create(agent_id=agent)["id"])
            received += [event["callId"] for event in (next(events),) if event["type"] == "call.created"]
            forwarder.cut()
            created.append(hangup.calls.create(agent_id=agent)["id"])
            received += [event["callId"] for event in (next(events),) if event["type"] == "call.created"]
    assert received == created
    assert forwarder.connections >= 4


def test_a_stream_resumes_after_the_last_id_of_any_kind(scripted: ScriptedServer, make_client: MakeClient) -> None:
    client = make_client(url=scripted.url, retry_delay=no_delay)
    scripted.responses = [
        stream(": hangup\nid: 5\n\n", "retry: 0\n\n", event(7), ": heartbeat\nid: 9\n\n", "data: broken off"),
        response(502, "<html>Bad Gateway</html>"),
        stream(event(12)),
    ]
    with client.events.subscribe(last_event_id="3") as events:
        assert [next(events)["id"], next(events)["id"]] == ["7", "12"]
        assert events.last_event_id == "12"
    assert [scripted.header(index, "last-event-id") for index in range(3)] == ["3", "9", "9"]


def test_a_new_stream_starts_at_the_position_of_the_server(scripted: ScriptedServer, make_client: MakeClient) -> None:
    client = make_client(url=scripted.url, retry_delay=no_delay)
    scripted.responses = [stream(headers="last-event-id: 41"), stream(event(42))]
    with client.events.subscribe() as events:
        assert events.last_event_id is None
        assert next(events)["id"] == "42"
    assert [scripted.header(index, "last-event-id") for index in range(2)] == [None, "41"]


def test_a_silent_stream_connects_again(scripted: ScriptedServer, make_client: MakeClient) -> None:
    client = make_client(url=scripted.url, retry_delay=no_delay)
    scripted.responses = [SILENCE, stream(event(2))]
    with client.events.subscribe(silence_timeout=1.0) as events:
        assert next(events)["id"] == "2"
    assert len(scripted.requests) == 2


def test_a_reset_is_an_event(hangup: Hangup) -> None:
    with hangup.events.subscribe(last_event_id="999999999999") as events:
        assert next(events)["type"] == "reset"


def test_a_refused_stream_raises_the_error(hangup: Hangup, make_client: MakeClient) -> None:
    with pytest.raises(HangupError) as refused:
        next(make_client(api_key="wrong").events.subscribe())
    assert (refused.value.status, refused.value.code) == (401, "unauthorized")
    with pytest.raises(HangupError) as wrong:
        next(hangup.events.subscribe(call_id=""))
    assert wrong.value.status == 400


@pytest.mark.parametrize(
    "body", ["data: <html>\n\n", "data: 1\n\n", 'data: {"type":1}\n\n', "data: " + "x" * 1_100_000]
)
def test_events_of_another_program_raise(body: str, scripted: ScriptedServer, make_client: MakeClient) -> None:
    scripted.responses = [stream(body)]
    with pytest.raises(HangupError, match="sent an event that is not from hangup") as raised:
        next(make_client(url=scripted.url).events.subscribe())
    assert raised.value.code == "unexpected_response"


def test_a_web_page_instead_of_a_stream_raises(scripted: ScriptedServer, make_client: MakeClient) -> None:
    scripted.responses = [response(200, "<html>")]
    with pytest.raises(HangupError, match="a response that is not from hangup"):
        next(make_client(url=scripted.url).events.subscribe())


def test_a_stream_continues_through_the_web_pages_of_a_deployment(
    scripted: ScriptedServer, make_client: MakeClient
) -> None:
    client = make_client(url=scripted.url, retry_delay=no_delay)
    scripted.responses = [stream(event(1)), response(200, "<html>"), response(404, "<html>"), stream(event(2))]
    with client.events.subscribe() as events:
        assert [next(events)["id"], next(events)["id"]] == ["1", "2"]
    assert len(scripted.requests) == 4


def test_a_closed_subscription_ends(hangup: Hangup, agent: str) -> None:
    hangup.calls.create(agent_id=agent)
    events = hangup.events.subscribe(agent_id=agent, last_event_id="0")
    assert next(events)["type"] == "call.created"
    events.close()
    assert list(events) == []


def test_another_thread_can_close_a_subscription_that_waits(agent: str) -> None:
    with Hangup(url=URL, api_key=API_KEY) as hangup:
        hangup.calls.create(agent_id=agent)
        events = hangup.events.subscribe(agent_id=agent, last_event_id="0")
        received: list[str] = []
        is_waiting = threading.Event()

        def follow() -> None:
            for event in events:
                received.append(event["type"])
                is_waiting.set()

        thread = threading.Thread(target=follow)
        thread.start()
        assert is_waiting.wait(timeout=30)
        events.close()
        # The next bytes end the loop: here an event, otherwise a heartbeat.
        hangup.calls.create(agent_id=agent)
        thread.join(timeout=30)
        assert not thread.is_alive()
        assert received == ["call.created"]


def test_another_task_can_close_a_subscription_that_waits(agent: str) -> None:
    async def main() -> list[str]:
        async with AsyncHangup(url=URL, api_key=API_KEY) as hangup:
            await hangup.calls.create(agent_id=agent)
            events = hangup.events.subscribe(agent_id=agent, last_event_id="0")
            received: list[str] = []
            is_waiting = asyncio.Event()

            async def follow() -> None:
                async for event in events:
                    received.append(event["type"])
                    is_waiting.set()

            task = asyncio.create_task(follow())
            await is_waiting.wait()
            # The task now waits for the next event.
            await asyncio.sleep(0)
            await events.aclose()
            await hangup.calls.create(agent_id=agent)
            await asyncio.wait_for(task, timeout=30)
            return received

    assert asyncio.run(main()) == ["call.created"]
