"""Cancels all live calls of an agent, and waits until the last room is gone."""

import sys

from hangup import CallFilter, Cancellation, Hangup

from run import run


def print_progress(cancellation: Cancellation) -> None:
    print(f"Rooms to delete: {cancellation['counts']['rooms']['pending']}", file=sys.stderr)


def stop_agent(hangup: Hangup, agent_id: str, reason: str) -> None:
    calls: CallFilter = {"agentId": agent_id}
    total = hangup.cancellations.preview(filter=calls)["matched"]["total"]
    print(f"Matching live calls: {total}")
    if total == 0:
        return
    # If more calls match by now, hangup refuses the request.
    started = hangup.cancellations.create(filter=calls, reason=reason, expected_at_most=total)
    counts = hangup.cancellations.wait(started["id"], on_progress=print_progress)["counts"]
    print(f"Cancelled calls: {counts['cancelled']}")
    if counts["rooms"]["discarded"] > 0:
        sys.exit(f"Rooms that may still exist: {counts['rooms']['discarded']}")


run("stop_agent.py AGENT_ID REASON", stop_agent)
