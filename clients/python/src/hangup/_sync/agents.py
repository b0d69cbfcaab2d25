# `npm run generate:python` writes this file from the file of the same name in _async.
"""Agents of live calls."""

from __future__ import annotations

from .._types import AgentList
from .._wire import read
from .transport import Transport


class Agents:
    """Reads the agents of live calls."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, timeout: float | None = None) -> AgentList:
        """Return the agents of the live calls, those with the most calls first."""
        return self._transport.send(read(AgentList, "/agents"), timeout=timeout)
