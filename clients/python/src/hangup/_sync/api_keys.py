# `npm run generate:python` writes this file from the file of the same name in _async.
"""The API key of the client."""

from __future__ import annotations

from .._types import ApiKey
from .._wire import read
from .transport import Transport


class ApiKeys:
    """Reads the properties of API keys."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def current(self, *, timeout: float | None = None) -> ApiKey:
        """Return the properties of the client's own key, for example its scopes."""
        return self._transport.send(read(ApiKey, "/api-keys/current"), timeout=timeout)
