"""Adoption prefixes."""

from __future__ import annotations

from .._types import AdoptionPrefix, AdoptionPrefixList, RemovedAdoptionPrefix
from .._wire import change_without_key, read, segment
from .transport import AsyncTransport


class AsyncAdoption:
    """Manages the prefixes that turn unregistered rooms into calls. Requires the scope `admin`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self, *, timeout: float | None = None) -> AdoptionPrefixList:
        """Return the prefixes of the organization, in alphabetical order."""
        return await self._transport.send(read(AdoptionPrefixList, "/adoption-prefixes"), timeout=timeout)

    async def add(self, prefix: str, *, timeout: float | None = None) -> AdoptionPrefix:
        """Add a prefix. Adding twice has no further effect."""
        request = change_without_key(AdoptionPrefix, "POST", "/adoption-prefixes", body={"prefix": prefix})
        return await self._transport.send(request, timeout=timeout)

    async def remove(self, prefix: str, *, timeout: float | None = None) -> RemovedAdoptionPrefix:
        """Remove a prefix. Its adopted calls stay."""
        path = f"/adoption-prefixes/{segment(prefix)}"
        return await self._transport.send(change_without_key(RemovedAdoptionPrefix, "DELETE", path), timeout=timeout)
