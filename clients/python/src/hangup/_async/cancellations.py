"""Cancellations of many calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Literal

from .._errors import HangupError
from .._types import CallFilter, Cancellation, CancellationList, CancellationPreview
from .._wire import LARGEST_PAGE, Polling, change, read, segment
from .transport import AsyncTransport


class AsyncCancellations:
    """Cancels all matching calls in one request."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def create(
        self,
        *,
        reason: str,
        filter: CallFilter | None = None,
        call_ids: Sequence[str] | None = None,
        all: Literal[True] | None = None,
        expected_at_most: int | None = None,
        hold: bool | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Cancellation:
        """Cancel all live calls that match exactly one of `filter`, `call_ids` and `all`.

        After the return, the cancellation is on disk, and hangup completes it.
        """
        body = {
            "reason": reason,
            "filter": filter,
            "call_ids": call_ids,
            "all": all,
            "expected_at_most": expected_at_most,
            "hold": hold,
            "dry_run": False,
        }
        return await self._transport.send(
            change(Cancellation, "POST", "/cancellations", body=body, idempotency_key=idempotency_key),
            timeout=timeout,
        )

    async def preview(
        self,
        *,
        reason: str = "preview",
        filter: CallFilter | None = None,
        call_ids: Sequence[str] | None = None,
        all: Literal[True] | None = None,
        expected_at_most: int | None = None,
        timeout: float | None = None,
    ) -> CancellationPreview:
        """Return the calls that `create` would cancel now, and change nothing."""
        body = {
            "reason": reason,
            "filter": filter,
            "call_ids": call_ids,
            "all": all,
            "expected_at_most": expected_at_most,
            "dry_run": True,
        }
        return await self._transport.send(
            change(CancellationPreview, "POST", "/cancellations", body=body, idempotency_key=None),
            timeout=timeout,
        )

    async def get(self, cancellation_id: str, *, timeout: float | None = None) -> Cancellation:
        """Return a cancellation with its counts."""
        path = f"/cancellations/{segment(cancellation_id)}"
        return await self._transport.send(read(Cancellation, path), timeout=timeout)

    async def list(
        self, *, limit: int | None = None, cursor: str | None = None, timeout: float | None = None
    ) -> CancellationList:
        """Return one page of cancellations, newest first."""
        query = {"limit": limit, "cursor": cursor}
        return await self._transport.send(read(CancellationList, "/cancellations", query), timeout=timeout)

    async def list_all(self, *, limit: int = LARGEST_PAGE, timeout: float | None = None) -> AsyncIterator[Cancellation]:
        """Yield all cancellations, newest first. `limit` is the number of cancellations in one page."""
        cursor: str | None = None
        while True:
            page = await self.list(limit=limit, cursor=cursor, timeout=timeout)
            for cancellation in page["cancellations"]:
                yield cancellation
            cursor = page["pagination"]["nextCursor"]
            if cursor is None:
                return

    async def lift_hold(
        self, cancellation_id: str, *, idempotency_key: str | None = None, timeout: float | None = None
    ) -> Cancellation:
        """Let new matching calls start again."""
        path = f"/cancellations/{segment(cancellation_id)}/hold"
        return await self._transport.send(
            change(Cancellation, "DELETE", path, idempotency_key=idempotency_key), timeout=timeout
        )

    async def wait(
        self,
        cancellation_id: str,
        *,
        timeout: float | None = None,
        on_progress: Callable[[Cancellation], None] | None = None,
    ) -> Cancellation:
        """Return the cancellation when it is completed: each room is deleted, or its deletion is discarded.

        Continue through outages of hangup and of the network. Without a timeout, wait without a limit: hangup
        retries the deletion of a room for 24 hours. Call `on_progress` after each change of the state or the counts.
        """
        ends_at = float("inf") if timeout is None else time.monotonic() + timeout
        path = f"/cancellations/{segment(cancellation_id)}"
        polling = Polling()
        while True:
            left = ends_at - time.monotonic()
            cancellation = await self._transport.send(read(Cancellation, path), timeout=left, is_persistent=True)
            is_changed, delay = polling.next(cancellation)
            if is_changed and on_progress is not None:
                on_progress(cancellation)
            if cancellation["state"] == "completed":
                return cancellation
            if time.monotonic() + delay >= ends_at:
                raise HangupError(
                    f"Cancellation {cancellation_id} is not completed after {timeout} s. hangup continues.",
                    code="timeout",
                )
            await asyncio.sleep(delay)
