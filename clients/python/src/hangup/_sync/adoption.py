# `npm run generate:python` writes this file from the file of the same name in _async.
"""Adoption prefixes."""

from __future__ import annotations

from .._types import AdoptionPrefix, AdoptionPrefixList, RemovedAdoptionPrefix
from .._wire import change_without_key, read, segment
from .transport import Transport


class Adoption:
    """Manages the prefixes that turn unregistered rooms into calls. Requires the scope `admin`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, timeout: float | None = None) -> AdoptionPrefixList:
        """Return the prefixes of the organization, in alphabetical order."""
        return self._transport.send(read(AdoptionPrefixList, "/adoption-prefixes"), timeout=timeout)

    def add(self, prefix: str, *, timeout: float | None = None) -> AdoptionPrefix:
        """Add a prefix. Adding twice has no further effect."""
        request = change_without_key(AdoptionPrefix, "POST", "/adoption-prefixes", body={"prefix": prefix})
        return self._transport.send(request, timeout=timeout)

    def remove(self, prefix: str, *, timeout: float | None = None) -> RemovedAdoptionPrefix:
        """Remove a prefix. Its adopted calls stay."""
        path = f"/adoption-prefixes/{segment(prefix)}"
        return self._transport.send(change_without_key(RemovedAdoptionPrefix, "DELETE", path), timeout=timeout)
