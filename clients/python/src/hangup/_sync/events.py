# `npm run generate:python` writes this file from the file of the same name in _async.
"""The event stream."""

from __future__ import annotations

import time
from collections.abc import Generator
from types import TracebackType
from typing import cast

import httpx

from .._errors import HangupError, parse_json, response_error
from .._event_parser import EventParser, Message
from .._types import HangupEvent
from .._wire import Reconnection, Request, read
from .transport import Transport

_SILENCE_TIMEOUT_S = 35.0
"""Two missed heartbeats of 15 s, and 5 s for the network."""


class Events:
    """Follows the changes of calls, room deletions and cancellations."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def subscribe(
        self,
        *,
        agent_id: str | None = None,
        call_id: str | None = None,
        cancellation_id: str | None = None,
        last_event_id: str | None = None,
        silence_timeout: float = _SILENCE_TIMEOUT_S,
    ) -> Subscription:
        """Return an iterator over the events, which connects again by itself and resumes after the last event.

        `last_event_id` is the id of the last event that you have; without it, the iterator has new events only. The
        event `reset` means that earlier events are missing. Raise HangupError if the server refuses the request.
        """
        filters = {"agent_id": agent_id, "call_id": call_id, "cancellation_id": cancellation_id}
        return Subscription(self._transport, read(object, "/events", filters), last_event_id, silence_timeout)


class Subscription:
    """The events, in order and each of them once."""

    last_event_id: str | None
    """The position after the last received event; None before the first connection."""

    def __init__(
        self,
        transport: Transport,
        request: Request[object],
        last_event_id: str | None,
        silence_timeout: float,
    ) -> None:
        self.last_event_id = last_event_id
        self._transport = transport
        self._request = request
        self._silence_timeout = silence_timeout
        self._reconnection = Reconnection(transport.settings.retry_delay)
        self._events = self._follow()
        self._is_closed = False
        self._is_waiting = False

    def __iter__(self) -> Subscription:
        return self

    def __next__(self) -> HangupEvent:
        self._is_waiting = True
        try:
            return self._events.__next__()
        finally:
            self._is_waiting = False

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the loop over the events, and close the connection.

        A loop that waits for an event elsewhere ends with the next event or heartbeat, within 15 s.
        """
        self._is_closed = True
        if not self._is_waiting:
            self._events.close()

    def _follow(self) -> Generator[HangupEvent, None, None]:
        while not self._is_closed:
            try:
                connection = self._receive()
                try:
                    for event in connection:
                        yield event
                finally:
                    connection.close()
                if self._is_closed:
                    return
                delay = self._delay_after(None)
            except HangupError as error:
                delay = self._delay_after(error)
            time.sleep(delay)

    def _delay_after(self, error: HangupError | None) -> float:
        return self._reconnection.delay_after(error, has_answered=self._transport.has_answered)

    def _receive(self) -> Generator[HangupEvent, None, None]:
        """Connect once, and yield the events until the server ends the connection."""
        settings = self._transport.settings
        timeout = httpx.Timeout(settings.attempt_timeout, read=self._silence_timeout)
        request = self._request.after_event(self.last_event_id)
        with self._transport.open(request, timeout) as response:
            content_type = response.headers.get("content-type", "")
            if response.status_code != 200 or not content_type.startswith("text/event-stream"):
                body = b""
                for chunk in response.iter_bytes():
                    body += chunk
                raise response_error(response.status_code, response.headers, body, settings.url)
            self.last_event_id = response.headers.get("last-event-id", self.last_event_id)
            self._transport.has_answered = True
            self._reconnection.connected()
            parser = EventParser()
            for chunk in response.iter_bytes():
                if self._is_closed:
                    return
                for message in self._push(parser, chunk):
                    if message.id is not None:
                        self.last_event_id = message.id
                    if message.data is not None:
                        yield self._parse(message.data)
                self._reconnection.server_delay = parser.retry

    def _push(self, parser: EventParser, chunk: bytes) -> list[Message]:
        try:
            return parser.push(chunk)
        except ValueError as error:
            raise self._unexpected() from error

    def _parse(self, data: str) -> HangupEvent:
        value = parse_json(data)
        if isinstance(value, dict) and isinstance(cast("dict[str, object]", value).get("type"), str):
            return cast("HangupEvent", value)
        raise self._unexpected()

    def _unexpected(self) -> HangupError:
        url = self._transport.settings.url
        return HangupError(f"{url} sent an event that is not from hangup.", code="unexpected_response")
