"""Deletions of the rooms of ended calls."""

from __future__ import annotations

from collections.abc import Sequence

from .._types import IncompleteDeletion, IncompleteDeletionState, RoomDeletionList
from .._wire import change, read, segment
from .transport import AsyncTransport


class AsyncRoomDeletions:
    """Reads and retries room deletions."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(
        self,
        *,
        state: IncompleteDeletionState | Sequence[IncompleteDeletionState] | None = None,
        cancellation_id: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        timeout: float | None = None,
    ) -> RoomDeletionList:
        """Return one page of the open and discarded deletions, oldest first."""
        query = {"state": state, "cancellation_id": cancellation_id, "limit": limit, "cursor": cursor}
        return await self._transport.send(read(RoomDeletionList, "/room-deletions", query), timeout=timeout)

    async def retry(
        self, call_id: str, *, idempotency_key: str | None = None, timeout: float | None = None
    ) -> IncompleteDeletion:
        """Make an open or discarded deletion due at once."""
        path = f"/calls/{segment(call_id)}/room-deletion/retry"
        return await self._transport.send(
            change(IncompleteDeletion, "POST", path, body={}, idempotency_key=idempotency_key),
            timeout=timeout,
        )
