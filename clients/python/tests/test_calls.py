"""Calls and cancellations of the running hangup."""

from __future__ import annotations

import os
from datetime import date, datetime, timedelta, timezone

import pytest

from hangup import Cancellation, Hangup, HangupError


def test_a_call_is_registered_read_listed_and_cancelled(hangup: Hangup, agent: str) -> None:
    scheduled_at = datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    created = hangup.calls.create(
        agent_id=agent,
        agent_name="Receptionist",
        direction="inbound",
        phone_number="+15551234567",
        contact={"name": "Ada", "email": "ada@example.com"},
        scheduled_at=scheduled_at,
        metadata={"ticket": 4712, "nested": {"ok": True}},
    )
    assert created["status"] == "initiated"
    assert created["direction"] == "inbound"
    assert created["scheduledAt"] == "2030-01-02T01:04:05.000Z"
    assert created["metadata"] == {"ticket": 4712, "nested": {"ok": True}}

    assert hangup.calls.get(created["id"])["agent"] == {"id": agent, "name": "Receptionist", "type": "voice"}
    today = datetime.now(timezone.utc).date()
    page = hangup.calls.list(
        agent_id=agent,
        status=["initiated", "active"],
        direction="inbound",
        phone_number="+15551234567",
        start_date=today - timedelta(days=1),
        end_date=datetime.now(timezone.utc) + timedelta(minutes=1),
        sort_by="scheduledAt",
        sort_order="asc",
        limit=10,
        offset=0,
    )
    assert [call["id"] for call in page["calls"]] == [created["id"]]
    assert page["calls"][0]["contact"] == {"name": "Ada", "email": "ada@example.com", "phone": None}

    cancelled = hangup.calls.cancel(created["id"], reason="caller request: ü & ?")
    assert cancelled == {"id": created["id"], "status": "cancelled"}
    assert hangup.calls.get(created["id"])["cancelReason"] == "caller request: ü & ?"

    assert hangup.calls.list(agent_id=agent, status="cancelled")["pagination"]["total"] == 1
    assert hangup.calls.list(agent_id=agent, status="active")["calls"] == []

    first = hangup.calls.events(created["id"], limit=1)
    assert first["pagination"]["hasMore"] is True
    second = hangup.calls.events(created["id"], cursor=first["pagination"]["nextCursor"])
    assert [event["action"] for event in first["events"]] == ["call.created"]
    assert (second["events"][0]["from"], second["events"][0]["to"]) == ("initiated", "cancelled")


def test_the_scopes_of_the_key_are_read(hangup: Hangup) -> None:
    key = hangup.api_keys.current()
    assert key["scopes"] == ["calls:read", "calls:write", "calls:cancel", "calls:stop", "admin"]
    assert key["expiresAt"] is None


def test_a_cancelled_call_with_a_room_is_over_on_livekit(hangup: Hangup) -> None:
    call_id = os.environ["CALL_WITH_ROOM"]
    try:
        hangup.calls.create(id=call_id)
    except HangupError as error:
        # The other client has registered the call.
        assert error.code == "conflict"
        assert hangup.calls.get(call_id)["status"] == "cancelled"
        return
    room = hangup.calls.get(call_id)["liveRoomStatus"]
    assert room is not None
    assert room["participants"][0]["identity"] == "phone"
    assert hangup.calls.cancel(call_id)["status"] == "cancelled"


def test_list_all_yields_the_calls_of_all_pages(hangup: Hangup, agent: str) -> None:
    ids = [hangup.calls.create(agent_id=agent)["id"] for _ in range(5)]
    assert [call["id"] for call in hangup.calls.list_all(agent_id=agent, limit=2)] == ids[::-1]
    assert [call["id"] for call in hangup.calls.list_all(agent_id=agent, sort_order="asc", limit=2)] == ids


def test_cancellations_preview_create_wait_and_lift_the_hold(hangup: Hangup, agent: str) -> None:
    ids = {hangup.calls.create(agent_id=agent)["id"] for _ in range(3)}
    preview = hangup.cancellations.preview(filter={"agentId": agent})
    assert preview["matched"]["total"] == 3
    assert {call["id"] for call in preview["sample"]} == ids

    with pytest.raises(HangupError) as refused:
        hangup.cancellations.create(filter={"agentId": agent}, reason="test", expected_at_most=2)
    assert (refused.value.status, refused.value.code) == (412, "precondition_failed")

    created = hangup.cancellations.create(filter={"agentId": agent}, reason="test", hold=True)
    progress: list[Cancellation] = []
    completed = hangup.cancellations.wait(created["id"], timeout=30, on_progress=progress.append)
    assert completed["state"] == "completed"
    assert completed["counts"]["cancelled"] == 3
    assert progress[-1] == completed
    cancelled = hangup.calls.list_all(cancellation_id=created["id"], limit=2)
    assert {call["id"] for call in cancelled} == ids

    with pytest.raises(HangupError) as held:
        hangup.calls.create(agent_id=agent)
    assert (held.value.status, held.value.code) == (409, "conflict")
    lifted = hangup.cancellations.lift_hold(created["id"])
    assert lifted["hold"] is not None
    assert lifted["hold"]["state"] == "lifted"
    assert hangup.calls.create(agent_id=agent)["status"] == "initiated"
    assert hangup.cancellations.get(created["id"])["hold"] == lifted["hold"]
    assert created["id"] in [item["id"] for item in hangup.cancellations.list_all(limit=1)]
    assert len(hangup.cancellations.list(limit=1)["cancellations"]) == 1


def test_a_cancellation_of_call_ids_reports_unknown_ids(hangup: Hangup) -> None:
    call = hangup.calls.create()
    created = hangup.cancellations.create(call_ids=[call["id"], "unknown"], reason="test")
    counts = hangup.cancellations.wait(created["id"], timeout=30)["counts"]
    assert (counts["cancelled"], counts["notFound"]) == (1, 1)


def test_the_same_idempotency_key_returns_the_first_response_again(hangup: Hangup, agent: str) -> None:
    key = f'key "{agent}" \\ 1'
    first = hangup.calls.create(agent_id=agent, idempotency_key=key)
    assert hangup.calls.create(agent_id=agent, idempotency_key=key) == first
    assert hangup.calls.list(agent_id=agent)["pagination"]["total"] == 1
    with pytest.raises(HangupError) as reused:
        hangup.calls.create(agent_id="other", idempotency_key=key)
    assert (reused.value.status, reused.value.code) == (422, "idempotency_key_reused")
    assert reused.value.idempotency_key == key


def test_errors_of_hangup_have_the_status_the_code_the_message_and_the_request_id(hangup: Hangup) -> None:
    with pytest.raises(HangupError) as missing:
        hangup.calls.get("unknown/../?#")
    error = missing.value
    assert (error.status, error.code, error.message, str(error)) == (
        404,
        "not_found",
        "Call not found",
        "Call not found",
    )
    assert error.request_id is not None
    assert error.request_id.startswith("req_")
    call = hangup.calls.create()
    hangup.calls.cancel(call["id"])
    with pytest.raises(HangupError, match="Cannot cancel call with status: cancelled") as twice:
        hangup.calls.cancel(call["id"])
    assert (twice.value.status, twice.value.code, twice.value.is_retryable) == (400, "bad_request", False)


def test_wrong_arguments_raise_value_error_before_a_request(hangup: Hangup) -> None:
    for call_id in ("", ".", ".."):
        with pytest.raises(ValueError, match="id: expected"):
            hangup.calls.get(call_id)
    with pytest.raises(ValueError, match="time zone"):
        hangup.calls.create(scheduled_at=datetime(2030, 1, 1))
    assert hangup.calls.list(start_date=date(2999, 1, 1))["calls"] == []
