"""Reads a call, and cancels the call only if it is live."""

from hangup import Hangup

from run import run


def check_first(hangup: Hangup, call_id: str) -> None:
    call = hangup.calls.get(call_id)
    if call["endedAt"] is not None:
        print(f"Call {call_id} has already ended: {call['status']}.")
        return
    print(f"Call {call_id} is live: {call['status']}.")
    # The call can end between the requests. This request then fails, and changes nothing.
    hangup.calls.cancel(call_id, reason="caller request")
    print(f"Call {call_id} is cancelled.")


run("check_first.py CALL_ID", check_first)
