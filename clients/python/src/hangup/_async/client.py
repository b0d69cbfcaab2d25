"""The client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType

import httpx

from .._wire import make_settings
from .adoption import AsyncAdoption
from .agents import AsyncAgents
from .api_keys import AsyncApiKeys
from .calls import AsyncCalls
from .cancellations import AsyncCancellations
from .events import AsyncEvents
from .health import AsyncHealthReader
from .room_deletions import AsyncRoomDeletions
from .transport import AsyncTransport


class AsyncHangup:
    """A client of one hangup with one API key, in a coroutine."""

    calls: AsyncCalls
    cancellations: AsyncCancellations
    events: AsyncEvents
    api_keys: AsyncApiKeys
    agents: AsyncAgents
    room_deletions: AsyncRoomDeletions
    health: AsyncHealthReader
    adoption: AsyncAdoption

    def __init__(
        self,
        *,
        url: str,
        api_key: str,
        timeout: float | None = None,
        attempt_timeout: float | None = None,
        max_attempts: int | None = None,
        headers: Mapping[str, str] | None = None,
        retry_delay: Callable[[int], float] | None = None,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        """Make a client. Raise ValueError for a wrong argument.

        `timeout` is the limit for all attempts of a request (30 s), `attempt_timeout` for one attempt (10 s), and
        `max_attempts` the number of attempts (8; 1: no retry). `retry_delay` returns the seconds after failed attempt
        1, 2 and so on. `headers` are sent with each request, for a gateway. The client does not close `http_client`.
        """
        settings = make_settings(
            url=url,
            api_key=api_key,
            timeout=timeout,
            attempt_timeout=attempt_timeout,
            max_attempts=max_attempts,
            headers=headers,
            retry_delay=retry_delay,
        )
        self._transport = AsyncTransport(settings, http_client)
        self.calls = AsyncCalls(self._transport)
        self.cancellations = AsyncCancellations(self._transport)
        self.events = AsyncEvents(self._transport)
        self.api_keys = AsyncApiKeys(self._transport)
        self.agents = AsyncAgents(self._transport)
        self.room_deletions = AsyncRoomDeletions(self._transport)
        self.health = AsyncHealthReader(self._transport)
        self.adoption = AsyncAdoption(self._transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(url={self._transport.settings.url!r})"

    async def __aenter__(self) -> AsyncHangup:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()
