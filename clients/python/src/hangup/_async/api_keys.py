"""API keys."""

from __future__ import annotations

from collections.abc import Sequence

from .._types import ApiKey, ApiKeyList, CreatedApiKey, ListedApiKey, Scope
from .._wire import Time, change_without_key, read, segment
from .transport import AsyncTransport


class AsyncApiKeys:
    """Reads the client's own key. With the scope `admin`, also manages the keys of the organization."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def current(self, *, timeout: float | None = None) -> ApiKey:
        """Return the properties of the client's own key, for example its scopes."""
        return await self._transport.send(read(ApiKey, "/api-keys/current"), timeout=timeout)

    async def list(self, *, timeout: float | None = None) -> ApiKeyList:
        """Return the keys of the organization: those that are not revoked first, and the newest of both first."""
        return await self._transport.send(read(ApiKeyList, "/api-keys"), timeout=timeout)

    async def create(
        self,
        *,
        name: str,
        scopes: Sequence[Scope],
        expires_at: Time | None = None,
        timeout: float | None = None,
    ) -> CreatedApiKey:
        """Create a key. The result is the only copy of the key.

        Send one request, without a retry: after a lost response, list the keys, and revoke the new one.
        """
        body = {"name": name, "scopes": list(scopes), "expires_at": expires_at}
        request = change_without_key(CreatedApiKey, "POST", "/api-keys", body=body, is_repeatable=False)
        return await self._transport.send(request, timeout=timeout)

    async def revoke(self, key_id: str, *, timeout: float | None = None) -> ListedApiKey:
        """Revoke a key at once and permanently."""
        request = change_without_key(ListedApiKey, "DELETE", f"/api-keys/{segment(key_id)}")
        return await self._transport.send(request, timeout=timeout)
