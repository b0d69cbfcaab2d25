"""Cancels a call. After exit code 0, the cancel is on disk, and hangup deletes the room."""

from hangup import Hangup

from run import run


def cancel(hangup: Hangup, call_id: str, reason: str) -> None:
    hangup.calls.cancel(call_id, reason=reason)
    print(f"Call {call_id} is cancelled.")


run("cancel.py CALL_ID REASON", cancel)
