# `npm run generate:python` writes this file from the file of the same name in _async.
"""Sends requests, and repeats those that failed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

import httpx

from .._errors import HangupError, network_error, timeout_error
from .._wire import Attempts, Body, Request, Settings

Data = TypeVar("Data")


class Transport:
    """Sends requests with one pool of connections."""

    def __init__(self, settings: Settings, http_client: httpx.Client | None) -> None:
        self.settings = settings
        self._http = httpx.Client() if http_client is None else http_client
        self._is_own = http_client is None
        self.has_answered = False
        """Whether hangup has sent a success."""

    def send(self, request: Request[Data], *, timeout: float | None = None, is_persistent: bool = False) -> Data:
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
                return self._attempt(request, attempts.next_timeout(time.monotonic()))
            except HangupError as error:
                delay = attempts.delay_after(error, time.monotonic(), has_answered=self.has_answered)
            time.sleep(delay)

    def _attempt(self, request: Request[Data], limit: float) -> Data:
        body = Body(request, self.settings, limit=limit, ends_at=time.monotonic() + limit)
        with self.open(request, httpx.Timeout(limit)) as response:
            for chunk in response.iter_bytes():
                body.add(chunk, time.monotonic())
            data = body.data(response.status_code, response.headers)
            self.has_answered = True
            return cast("Data", data)

    @contextmanager
    def open(self, request: Request[Data], timeout: httpx.Timeout) -> Iterator[httpx.Response]:
        """Yield the response before its body."""
        settings = self.settings
        try:
            with self._http.stream(
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

    def close(self) -> None:
        """Close the connections, except those of a given `http_client`."""
        if self._is_own:
            self._http.close()
