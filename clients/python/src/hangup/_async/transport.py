"""Sends requests, and repeats those that failed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar, cast

import httpx

from .._errors import HangupError, network_error, timeout_error
from .._wire import Attempts, Body, Request, Settings

Data = TypeVar("Data")


class AsyncTransport:
    """Sends requests with one pool of connections."""

    def __init__(self, settings: Settings, http_client: httpx.AsyncClient | None) -> None:
        self.settings = settings
        self._http = httpx.AsyncClient() if http_client is None else http_client
        self._is_own = http_client is None
        self.has_answered = False
        """Whether hangup has sent a success."""

    async def send(self, request: Request[Data], *, timeout: float | None = None, is_persistent: bool = False) -> Data:
        """Return the data of the response. Raise HangupError after the last attempt."""
        attempts = Attempts(
            self.settings,
            timeout=timeout,
            started_at=time.monotonic(),
            is_persistent=is_persistent,
            is_repeatable=request.is_repeatable,
        )
        while True:
            try:
                return await self._attempt(request, attempts.next_timeout(time.monotonic()))
            except HangupError as error:
                delay = attempts.delay_after(error, time.monotonic(), has_answered=self.has_answered)
            await asyncio.sleep(delay)

    async def _attempt(self, request: Request[Data], limit: float) -> Data:
        body = Body(request, self.settings, limit=limit, ends_at=time.monotonic() + limit)
        async with self.open(request, httpx.Timeout(limit)) as response:
            async for chunk in response.aiter_bytes():
                body.add(chunk, time.monotonic())
            data = body.data(response.status_code, response.headers)
            self.has_answered = True
            return cast("Data", data)

    @asynccontextmanager
    async def open(self, request: Request[Data], timeout: httpx.Timeout) -> AsyncIterator[httpx.Response]:
        """Yield the response before its body."""
        settings = self.settings
        try:
            async with self._http.stream(
                request.method,
                settings.url_of(request.path),
                params=request.params(),
                json=request.body,
                headers={**settings.headers, **request.headers()},
                timeout=timeout,
                # A redirect would send the key to another server, and change DELETE to GET.
                follow_redirects=False,
            ) as response:
                yield response
        except httpx.TimeoutException as error:
            limit = timeout.connect if isinstance(error, httpx.ConnectTimeout) else timeout.read
            raise timeout_error(limit or 0.0, settings.url, request.idempotency_key) from error
        except httpx.LocalProtocolError as error:
            # A header with a line break, for example: every repetition would fail.
            raise ValueError(str(error)) from error
        except httpx.RequestError as error:
            raise network_error(error, settings.url, request.idempotency_key) from error

    async def aclose(self) -> None:
        """Close the connections, except those of a given `http_client`."""
        if self._is_own:
            await self._http.aclose()
