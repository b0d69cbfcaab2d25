# `npm run generate:python` writes this file from the file of the same name in _async.
"""The client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType

import httpx

from .._wire import make_settings
from .adoption import Adoption
from .agents import Agents
from .api_keys import ApiKeys
from .calls import Calls
from .cancellations import Cancellations
from .events import Events
from .health import HealthReader
from .room_deletions import RoomDeletions
from .transport import Transport


class Hangup:
    """A client of one hangup with one API key,."""

    calls: Calls
    cancellations: Cancellations
    events: Events
    api_keys: ApiKeys
    agents: Agents
    room_deletions: RoomDeletions
    health: HealthReader
    adoption: Adoption

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
        http_client: httpx.Client | None = None,
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
        self._transport = Transport(settings, http_client)
        self.calls = Calls(self._transport)
        self.cancellations = Cancellations(self._transport)
        self.events = Events(self._transport)
        self.api_keys = ApiKeys(self._transport)
        self.agents = Agents(self._transport)
        self.room_deletions = RoomDeletions(self._transport)
        self.health = HealthReader(self._transport)
        self.adoption = Adoption(self._transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(url={self._transport.settings.url!r})"

    def __enter__(self) -> Hangup:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()
