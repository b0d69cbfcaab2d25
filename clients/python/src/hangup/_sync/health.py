# `npm run generate:python` writes this file from the file of the same name in _async.
"""Health of hangup."""

from __future__ import annotations

from .._types import Health, HealthFindings, HealthHistory
from .._wire import read
from .transport import Transport


class HealthReader:
    """Reads the health of hangup."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, *, timeout: float | None = None) -> Health:
        """Return the state of hangup, with counts of your organization."""
        return self._transport.send(read(Health, "/health"), timeout=timeout)

    def history(self, *, timeout: float | None = None) -> HealthHistory:
        """Return the last hour, with a value for each 10 seconds."""
        return self._transport.send(read(HealthHistory, "/health/history"), timeout=timeout)

    def findings(self, *, timeout: float | None = None) -> HealthFindings:
        """Run `hangup doctor` on the server, and return its findings."""
        return self._transport.send(read(HealthFindings, "/health/findings"), timeout=timeout)
