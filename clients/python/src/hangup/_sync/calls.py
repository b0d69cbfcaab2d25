# `npm run generate:python` writes this file from the file of the same name in _async.
"""Calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .._types import (
    CallDetails,
    CallEvents,
    CallList,
    CallListItem,
    CallStatus,
    CancelledCall,
    Contact,
    Direction,
    FoundCalls,
)
from .._wire import LARGEST_PAGE, ListInclude, ListOrder, ListSort, Time, change, read, segment
from .transport import Transport


class Calls:
    """Registers, reads and cancels calls."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        *,
        id: str | None = None,
        agent_id: str | None = None,
        agent_name: str | None = None,
        direction: Direction | None = None,
        phone_number: str | None = None,
        contact: Contact | None = None,
        room_name: str | None = None,
        job_id: str | None = None,
        sip_participant_id: str | None = None,
        scheduled_at: Time | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> CallDetails:
        """Register a call before your platform places the call."""
        body = {
            "id": id,
            "agent_id": agent_id,
            "agent_name": agent_name,
            "direction": direction,
            "phone_number": phone_number,
            "contact": contact,
            "room_name": room_name,
            "job_id": job_id,
            "sip_participant_id": sip_participant_id,
            "scheduled_at": scheduled_at,
            "metadata": metadata,
        }
        return self._transport.send(
            change(CallDetails, "POST", "/calls", body=body, idempotency_key=idempotency_key), timeout=timeout
        )

    def get(self, call_id: str, *, timeout: float | None = None) -> CallDetails:
        """Return a call, with the participants in its room if the call is live."""
        return self._transport.send(read(CallDetails, f"/calls/{segment(call_id)}"), timeout=timeout)

    def list(
        self,
        *,
        agent_id: str | None = None,
        status: CallStatus | Sequence[CallStatus] | None = None,
        direction: Direction | None = None,
        phone_number: str | None = None,
        start_date: Time | None = None,
        end_date: Time | None = None,
        cancellation_id: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        sort_by: ListSort | None = None,
        sort_order: ListOrder | None = None,
        cursor: str | None = None,
        include: ListInclude | Sequence[ListInclude] | None = None,
        timeout: float | None = None,
    ) -> CallList:
        """Return one page of calls, newest first."""
        query = {
            "agent_id": agent_id,
            "status": status,
            "direction": direction,
            "phone_number": phone_number,
            "start_date": start_date,
            "end_date": end_date,
            "cancellation_id": cancellation_id,
            "limit": limit,
            "offset": offset,
            "sort_by": sort_by,
            "sort_order": sort_order,
            "cursor": cursor,
            "include": include,
        }
        return self._transport.send(read(CallList, "/calls", query), timeout=timeout)

    def list_all(
        self,
        *,
        agent_id: str | None = None,
        status: CallStatus | Sequence[CallStatus] | None = None,
        direction: Direction | None = None,
        phone_number: str | None = None,
        start_date: Time | None = None,
        end_date: Time | None = None,
        cancellation_id: str | None = None,
        sort_by: ListSort | None = None,
        sort_order: ListOrder | None = None,
        limit: int = LARGEST_PAGE,
        include: ListInclude | Sequence[ListInclude] | None = None,
        timeout: float | None = None,
    ) -> Iterator[CallListItem]:
        """Yield all matching calls, newest first. `limit` is the number of calls in one page."""
        cursor: str | None = None
        while True:
            page = self.list(
                agent_id=agent_id,
                status=status,
                direction=direction,
                phone_number=phone_number,
                start_date=start_date,
                end_date=end_date,
                cancellation_id=cancellation_id,
                limit=limit,
                sort_by=sort_by,
                sort_order=sort_order,
                cursor=cursor,
                include=include,
                timeout=timeout,
            )
            for call in page["calls"]:
                yield call
            cursor = page["pagination"]["nextCursor"]
            if cursor is None:
                return

    def search(self, *, text: str, limit: int | None = None, timeout: float | None = None) -> FoundCalls:
        """Return the newest calls whose id, room or phone number matches a text."""
        query = {"text": text, "limit": limit}
        return self._transport.send(read(FoundCalls, "/call-search", query), timeout=timeout)

    def cancel(
        self,
        call_id: str,
        *,
        reason: str | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> CancelledCall:
        """Cancel a call, and delete its room. After the return, the cancel is on disk."""
        path = f"/calls/{segment(call_id)}"
        query = {"reason": reason}
        return self._transport.send(
            change(CancelledCall, "DELETE", path, query=query, idempotency_key=idempotency_key),
            timeout=timeout,
        )

    def events(
        self,
        call_id: str,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        timeout: float | None = None,
    ) -> CallEvents:
        """Return one page of a call's changes, oldest first."""
        path = f"/calls/{segment(call_id)}/events"
        query = {"limit": limit, "cursor": cursor}
        return self._transport.send(read(CallEvents, path, query), timeout=timeout)
