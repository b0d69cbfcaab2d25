import os
from datetime import datetime, timezone

from generated_openapi_generator import ApiClient, ApiException, CallsApi, CallStatus, Configuration, CreateCall

configuration = Configuration(
    host=os.environ["HANGUP_URL"] + "/api/v1", api_key={"ApiKey": os.environ["HANGUP_API_KEY"]}
)
call_id = os.environ["CALL_ID"]

with ApiClient(configuration) as client:
    calls = CallsApi(client)
    created = calls.create_call(
        CreateCall(
            id=call_id,
            phone_number="+15551234567",
            scheduled_at=datetime(2026, 11, 23, 8, tzinfo=timezone.utc),
            metadata={"by": "openapi-generator-python"},
        )
    ).data
    assert created.direction == "outbound", created
    assert created.scheduled_at == datetime(2026, 11, 23, 8, tzinfo=timezone.utc), created
    assert created.metadata == {"by": "openapi-generator-python"}, created

    listed = calls.list_calls(
        status=[CallStatus.INITIATED, CallStatus.CONNECTING, CallStatus.ACTIVE], phone_number="+15551234567"
    ).data
    assert call_id in [call.id for call in listed.calls], listed

    read = calls.get_call(call_id).data
    assert read.summary is None and isinstance(read.created_at, datetime), read
    assert read.live_room_status.participants[0].identity == "phone", read

    cancelled = calls.cancel_call(call_id, reason="by openapi-generator-python").data
    assert cancelled.status == "cancelled", cancelled
    try:
        calls.cancel_call(call_id)
        raise AssertionError("a second cancel is refused")
    except ApiException as error:
        assert error.status == 400, error
        assert error.data.error.message == "Cannot cancel call with status: cancelled", error
