"""Agents of live calls."""

from __future__ import annotations

from .._types import AgentList
from .._wire import read
from .transport import AsyncTransport


class AsyncAgents:
    """Reads the agents of live calls."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self, *, timeout: float | None = None) -> AgentList:
        """Return the agents of the live calls, those with the most calls first."""
        return await self._transport.send(read(AgentList, "/agents"), timeout=timeout)
