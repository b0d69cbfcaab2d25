import os
from datetime import datetime, timezone

from generated_openapi_python_client import AuthenticatedClient
from generated_openapi_python_client.api.calls import cancel_call, create_call, get_call, list_calls
from generated_openapi_python_client.models import CallStatus, CreateCall, CreateCallMetadata, Direction

client = AuthenticatedClient(
    base_url=os.environ["HANGUP_URL"] + "/api/v1",
    token=os.environ["HANGUP_API_KEY"],
    prefix="",
    auth_header_name="x-api-key",
)
call_id = os.environ["CALL_ID"]

with client:
    created = create_call.sync(
        client=client,
        body=CreateCall(
            id=call_id,
            phone_number="+15551234567",
            scheduled_at=datetime(2026, 11, 23, 8, tzinfo=timezone.utc),
            metadata=CreateCallMetadata.from_dict({"by": "openapi-python-client"}),
        ),
    ).data
    assert created.direction == Direction.OUTBOUND, created
    assert created.scheduled_at == datetime(2026, 11, 23, 8, tzinfo=timezone.utc), created

    listed = list_calls.sync(
        client=client,
        status=[CallStatus.INITIATED, CallStatus.CONNECTING, CallStatus.ACTIVE],
        phone_number="+15551234567",
    ).data
    assert call_id in [call.id for call in listed.calls], listed

    read = get_call.sync(call_id, client=client).data
    assert read.summary is None and isinstance(read.created_at, datetime), read
    assert read.live_room_status.participants[0].identity == "phone", read

    cancelled = cancel_call.sync(call_id, client=client, reason="by openapi-python-client").data
    assert cancelled.status == "cancelled", cancelled
    again = cancel_call.sync(call_id, client=client)
    assert again.error.message == "Cannot cancel call with status: cancelled", again
