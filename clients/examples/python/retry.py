"""Cancels a call, and repeats a failed request three times. The client chooses the requests that are safe to repeat."""

import sys

from hangup import Hangup

from run import run


def retry(hangup: Hangup, call_id: str) -> None:
    # With the same key, a second run of this command repeats the cancel of the first run, and gets its result.
    hangup.calls.cancel(call_id, reason="caller request", idempotency_key=f"cancel-{call_id}")
    print(f"Call {call_id} is cancelled.")


def delay_after(attempt: int) -> float:
    print(f"Attempt {attempt} failed.", file=sys.stderr)
    return float(2 ** (attempt - 1))


run("retry.py CALL_ID", retry, timeout=60, max_attempts=4, retry_delay=delay_after)
