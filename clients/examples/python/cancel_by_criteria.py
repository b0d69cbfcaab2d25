"""Cancels all outbound calls to a phone number that nobody has answered, scheduled calls included."""

from hangup import Hangup

from run import run


def cancel_by_criteria(hangup: Hangup, phone_number: str, reason: str) -> None:
    started = hangup.cancellations.create(
        filter={
            "phoneNumber": phone_number,
            "direction": "outbound",
            "status": ["initiated", "connecting", "ringing"],
        },
        reason=reason,
    )
    completed = hangup.cancellations.wait(started["id"])
    print(f"Cancelled calls: {completed['counts']['cancelled']}")
    for call in hangup.calls.list_all(cancellation_id=started["id"]):
        print(call["id"])


run("cancel_by_criteria.py PHONE_NUMBER REASON", cancel_by_criteria)
