"""hangup's rules that JSON Schema cannot express, and checks that Schemathesis lacks.

API_KEY is the key of the run, and SCOPE its only scope; empty: all scopes. OTHER_KEY is a key of another organization.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from pathlib import Path
from typing import Any

import requests
import schemathesis

API = os.environ["API"]
API_KEY = os.environ["API_KEY"]
OTHER_KEY = os.environ["OTHER_KEY"]
SCOPE = os.environ["SCOPE"]

# Every 400 for a request that the schema allows.
REFUSALS = [
    # Depends on the state of the call.
    ("cancelCall", r"Cannot cancel call with status: (completed|failed|cancelled|no_answer|busy)"),
    # Only hangup makes cursors, and a cursor has an order.
    ("listCalls", r"cursor: expected pagination\.nextCursor of an earlier response"),
    ("listCalls", r"offset: cannot be combined with cursor"),
    ("listCalls", r"(sortBy|sortOrder): does not match the cursor's order"),
    ("listCancellations", r"cursor: expected pagination\.nextCursor of an earlier response"),
    ("listRoomDeletions", r"cursor: expected pagination\.nextCursor of an earlier response"),
    # JSON Schema counts characters, LiveKit bytes.
    ("createCall", r"roomName: must be at most 256 bytes as UTF-8"),
    # A response must contain the same metadata.
    ("createCall", r"metadata\..*: cannot be represented exactly as a double; send the number as a string"),
    ("createCall", r"metadata: must be at most (16384 bytes as JSON|32 levels deep)"),
    # JSON Schema has no clock.
    ("createApiKey", r"expiresAt: expected a future time"),
    # JSON Schema cannot compare two values.
    ("createCancellation", r"filter\.endDate: must not be before startDate"),
]


def operation_id(case: Any) -> str:
    """Return the name of the operation."""
    return case.operation.definition.raw["operationId"]


def required_scope(case: Any) -> str | None:
    """Return the scope that the document's 403 names; None without a 403."""
    responses = case.operation.definition.raw["responses"]
    examples = responses["403"]["content"]["application/json"]["examples"] if "403" in responses else {}
    for example in examples.values():
        scope = re.fullmatch(r"Access denied - API key lacks scope: (.+)", example["value"]["error"]["message"])
        if scope is not None:
            return scope[1]
    return None


def is_positive(case: Any) -> bool:
    """Return whether the schema allows the request."""
    return case.meta is not None and case.meta.generation.mode.is_positive


def error_message(response: Any) -> str:
    """Return the message of hangup's error."""
    return response.json()["error"]["message"]


def send(method: str, path: str, *, key: str = API_KEY, body: object = None) -> requests.Response:
    """Send a request beside those of Schemathesis."""
    return requests.request(method, f"{API}{path}", headers={"x-api-key": key}, json=body, timeout=10)


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Replace the schema of the event stream: OpenAPI 3.1 describes text, and Schemathesis expects one event."""
    event = json.loads(Path("event.json").read_text())
    raw_schema["components"]["schemas"].update(event["components"])
    content = raw_schema["paths"]["/events"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    assert content["schema"] == {"type": "string"}
    content["schema"] = {
        "type": "object",
        "required": ["id", "event", "data"],
        "properties": {
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": event["schema"]},
        },
    }


PAGED = ("listCalls", "listCallEvents", "listCancellations", "listRoomDeletions")
turns = itertools.cycle([True, False])
cursors: dict[str, str] = {}
cancellation_ids: list[str] = []


OWN_KEY_ID = send("GET", "/api-keys/current").json()["data"]["id"]


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Give every second valid request an object that exists. Generated ids are unknown, taken, or of ended calls."""
    operation = operation_id(case)
    # The run would end with its key, which listApiKeys returns too.
    if operation == "revokeApiKey" and case.path_parameters.get("keyId") == OWN_KEY_ID:
        case.path_parameters["keyId"] = "unknown"
    if SCOPE or not is_positive(case) or not next(turns):
        return
    if operation == "streamEvents":
        case.query["lastEventId"] = "0"
    elif operation in cursors and "cursor" in case.query:
        case.query["cursor"] = cursors[operation]
    elif operation == "createCall":
        case.body.pop("id", None)
        case.body.pop("roomName", None)
    elif operation == "cancelCall":
        created = send("POST", "/calls", body={})
        lift_hold_that_refused(created)
        if created.status_code == 201:
            case.path_parameters["callId"] = created.json()["data"]["id"]
    elif operation == "liftHold" and cancellation_ids:
        case.path_parameters["id"] = cancellation_ids[-1]


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Store cursors and ids for later requests."""
    operation = operation_id(case)
    if operation == "createCall":
        lift_hold_that_refused(response)
    elif operation == "createCancellation" and response.status_code == 202:
        cancellation_ids.append(response.json()["data"]["id"])
    elif operation in PAGED and response.status_code == 200:
        cursor = response.json()["data"]["pagination"]["nextCursor"]
        if cursor is not None:
            cursors[operation] = cursor


def lift_hold_that_refused(response: Any) -> None:
    """Lift a hold that refused a call: it would refuse every call until the end of the run."""
    if response.status_code == 409:
        held = re.fullmatch(r"Call is held by cancellation (can_\w+)", error_message(response))
        if held is not None:
            send("DELETE", f"/cancellations/{held[1]}/hold").raise_for_status()


@schemathesis.check
def only_documented_refusals(ctx: Any, response: Any, case: Any) -> None:
    """A request that the schema allows gets 400 only for a rule that the schema cannot express."""
    if response.status_code != 400 or not is_positive(case):
        return
    for operation, pattern in REFUSALS:
        if operation_id(case) == operation and re.fullmatch(pattern, error_message(response), re.DOTALL):
            return
    raise AssertionError(f"the schema allows this request, and hangup refuses it: {error_message(response)}")


cancelled_ids: set[str] = set()


@schemathesis.check
def cancelled_calls_stay_cancelled(ctx: Any, response: Any, case: Any) -> None:
    """A call that was cancelled has the status cancelled, and cannot be cancelled again."""
    operation = operation_id(case)
    if response.status_code != 200 or operation not in ("cancelCall", "getCall"):
        return
    call = response.json()["data"]
    is_replay = "idempotent-replayed" in response.headers
    if call["id"] in cancelled_ids and not is_replay:
        assert operation != "cancelCall", f"the call {call['id']} was cancelled twice"
        assert call["status"] == "cancelled", f"the call {call['id']} was cancelled, and is {call['status']}"
    if operation == "cancelCall":
        cancelled_ids.add(call["id"])


read_ids: set[str] = set()


@schemathesis.check
def other_organizations_read_nothing(ctx: Any, response: Any, case: Any) -> None:
    """With a key of another organization, a call gets 403 and a cancellation 404."""
    operation = operation_id(case)
    if response.status_code != 200 or operation not in ("getCall", "getCancellation"):
        return
    id = response.json()["data"]["id"]
    if id in read_ids:
        return
    read_ids.add(id)
    path, expected = (f"/calls/{id}", 403) if operation == "getCall" else (f"/cancellations/{id}", 404)
    status = send("GET", path, key=OTHER_KEY).status_code
    assert status == expected, f"another organization got {status}, expected {expected}"


@schemathesis.check
def the_scope_is_required(ctx: Any, response: Any, case: Any) -> None:
    """With the scope, no request gets 403. Without the scope, a valid request gets 403, or 404 for an unknown call."""
    required = required_scope(case)
    if required is None or SCOPE in ("", required):
        assert response.status_code != 403, f"the key lacks no scope: {error_message(response)}"
    elif is_positive(case) and response.status_code not in (401, 404):
        expected = f"Access denied - API key lacks scope: {required}"
        assert response.status_code == 403 and error_message(response) == expected, (
            f"the key lacks the scope {required}, and hangup returned {response.status_code}"
        )
