"""Cancels a scheduled call before its start."""

import sys

from hangup import Hangup

from run import run


def cancel_scheduled(hangup: Hangup, call_id: str) -> None:
    call = hangup.calls.get(call_id)
    if call["status"] != "initiated" or call["scheduledAt"] is None:
        sys.exit(f"Call {call_id} does not wait for its start: {call['status']}.")
    hangup.calls.cancel(call_id, reason="appointment moved")
    print(f"Call {call_id}, scheduled for {call['scheduledAt']}, is cancelled.")


run("cancel_scheduled.py CALL_ID", cancel_scheduled)
