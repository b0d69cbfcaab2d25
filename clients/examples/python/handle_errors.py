"""Cancels a call, and handles each error separately. Exit code 75: the call may be live, run the command again."""

import sys

from hangup import Hangup, HangupError

from run import run


def handle_errors(hangup: Hangup, call_id: str) -> None:
    try:
        hangup.calls.cancel(call_id, reason="caller request")
        print(f"Call {call_id} is cancelled.")
    except HangupError as error:
        if error.code == "bad_request":
            print(f"Call {call_id} has already ended. {error.message}")
        elif error.code == "not_found":
            sys.exit(f"No call has the id {call_id}.")
        elif error.code in ("unauthorized", "forbidden"):
            sys.exit(f"hangup refuses the key in HANGUP_API_KEY: {error.message}")
        elif error.is_retryable:
            print(f"Call {call_id} may be live. {error.message}", file=sys.stderr)
            sys.exit(75)
        else:
            # The log of hangup has the details under this id.
            sys.exit(f"{error.message} (request {error.request_id})")


run("handle_errors.py CALL_ID", handle_errors)
