"""The API key of the client."""

from __future__ import annotations

from .._types import ApiKey
from .._wire import read
from .transport import AsyncTransport


class AsyncApiKeys:
    """Reads the properties of API keys."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def current(self, *, timeout: float | None = None) -> ApiKey:
        """Return the properties of the client's own key, for example its scopes."""
        return await self._transport.send(read(ApiKey, "/api-keys/current"), timeout=timeout)
