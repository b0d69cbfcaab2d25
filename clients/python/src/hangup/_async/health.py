"""Health of hangup."""

from __future__ import annotations

from .._types import Health, HealthFindings, HealthHistory
from .._wire import read
from .transport import AsyncTransport


class AsyncHealthReader:
    """Reads the health of hangup."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def get(self, *, timeout: float | None = None) -> Health:
        """Return the state of hangup, with counts of your organization."""
        return await self._transport.send(read(Health, "/health"), timeout=timeout)

    async def history(self, *, timeout: float | None = None) -> HealthHistory:
        """Return the last hour, with a value for each 10 seconds."""
        return await self._transport.send(read(HealthHistory, "/health/history"), timeout=timeout)

    async def findings(self, *, timeout: float | None = None) -> HealthFindings:
        """Run `hangup doctor` on the server, and return its findings."""
        return await self._transport.send(read(HealthFindings, "/health/findings"), timeout=timeout)
