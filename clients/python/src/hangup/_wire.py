"""Requests as data, and the decision to repeat a request. No I/O: `_async` and `_sync` send the requests."""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Generic, Literal, TypeAlias, TypeVar, cast
from urllib.parse import quote

import httpx

from ._errors import HangupError, parse_json, response_error, timeout_error
from ._types import Cancellation
from ._version import __version__

Data = TypeVar("Data")
Time: TypeAlias = str | date | datetime
"""An ISO 8601 text, a date in UTC, or a datetime with a time zone."""

ListSort = Literal["createdAt", "scheduledAt"]
ListOrder = Literal["asc", "desc"]
ListInclude = Literal["room"]
LARGEST_PAGE = 100
"""The largest number of items in one page."""

_DEFAULT_MAX_ATTEMPTS = 8
_DEFAULT_TIMEOUT_S = 30.0
_DEFAULT_ATTEMPT_TIMEOUT_S = 10.0
_FIRST_DELAY_S = 0.25
_MAX_DELAY_S = 8.0
_FIRST_POLL_S = 0.5
_MAX_POLL_S = 5.0
_POLL_GROWTH = 1.5


@dataclass(frozen=True)
class Request(Generic[Data]):
    """A request, and the type of the data in its response."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    query: Sequence[tuple[str, str]] = ()
    body: Mapping[str, object] | None = None
    idempotency_key: str | None = None
    last_event_id: str | None = None
    is_repeatable: bool = True
    """Whether hangup may receive the request twice."""

    def after_event(self, last_event_id: str | None) -> Request[Data]:
        """Return this request for the events after an event."""
        return replace(self, last_event_id=last_event_id)

    def headers(self) -> dict[str, str]:
        """Return the headers of this request."""
        headers: dict[str, str] = {}
        if self.body is not None:
            headers["content-type"] = "application/json"
        if self.last_event_id is not None:
            headers["last-event-id"] = self.last_event_id
        if self.idempotency_key is not None:
            escaped = re.sub(r'(["\\])', r"\\\1", self.idempotency_key)
            headers["idempotency-key"] = f'"{escaped}"'
        return headers

    def params(self) -> httpx.QueryParams:
        """Return the query."""
        return httpx.QueryParams(list(self.query))


def read(data: type[Data], path: str, query: Mapping[str, object] | None = None) -> Request[Data]:
    """Return a GET. `data` is the type of the data in the response."""
    return Request("GET", path, _to_query(query or {}))


def change(
    data: type[Data],
    method: Literal["POST", "DELETE"],
    path: str,
    *,
    idempotency_key: str | None,
    query: Mapping[str, object] | None = None,
    body: Mapping[str, object] | None = None,
) -> Request[Data]:
    """Return a request that has one effect, however often it is sent: every attempt has the same key."""
    sent = None if body is None else _to_object(body)
    return Request(
        method,
        path,
        _to_query(query or {}),
        sent,
        str(uuid.uuid4()) if idempotency_key is None else idempotency_key,
    )


def change_without_key(
    data: type[Data],
    method: Literal["POST", "DELETE"],
    path: str,
    *,
    body: Mapping[str, object] | None = None,
    is_repeatable: bool = True,
) -> Request[Data]:
    """Return a request that accepts no Idempotency-Key. A request that is not repeatable has one attempt."""
    return Request(method, path, body=None if body is None else _to_object(body), is_repeatable=is_repeatable)


def segment(id: str) -> str:
    """Return an id as a path segment. Raise ValueError for an id that would change the path."""
    if not isinstance(id, str) or id in ("", ".", ".."):
        msg = f"id: expected the id of a call or a cancellation, received {id!r}"
        raise ValueError(msg)
    return quote(id, safe="")


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.title() for other in others)


def _to_object(body: Mapping[str, object]) -> dict[str, object]:
    given = {name: value for name, value in body.items() if value is not None}
    return {_camel(name): _to_text(value) if isinstance(value, date) else value for name, value in given.items()}


def _to_query(query: Mapping[str, object]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        if value is None:
            continue
        values = cast("Sequence[object]", value) if isinstance(value, (list, tuple)) else [value]
        pairs.extend((_camel(name), _to_text(item)) for item in values)
    return pairs


def _to_text(value: object) -> str:
    if isinstance(value, datetime) and value.tzinfo is None:
        msg = f"expected a datetime with a time zone, such as datetime.now(timezone.utc), received {value!r}"
        raise ValueError(msg)
    return value.isoformat() if isinstance(value, date) else str(value)


@dataclass(frozen=True)
class Settings:
    """The settings of a client."""

    url: str
    """Without a slash at the end."""
    headers: Mapping[str, str]
    timeout: float
    attempt_timeout: float
    max_attempts: int
    retry_delay: Callable[[int], float]

    def url_of(self, path: str) -> str:
        """Return the complete URL of a path."""
        return f"{self.url}/api/v1{path}"


def make_settings(
    *,
    url: str,
    api_key: str,
    timeout: float | None,
    attempt_timeout: float | None,
    max_attempts: int | None,
    headers: Mapping[str, str] | None,
    retry_delay: Callable[[int], float] | None,
) -> Settings:
    """Return the settings. Raise ValueError for a wrong argument."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        msg = f"url: {error}"
        raise ValueError(msg) from error
    if parsed.scheme not in ("http", "https") or parsed.host == "":
        msg = f"url: expected https://HOST or http://HOST, received {url!r}"
        raise ValueError(msg)
    # Each request would get 404, which looks like a call that does not exist.
    for path in ("/api/v1", "/trpc", "/openapi.json", "/docs"):
        if parsed.path.rstrip("/").endswith(path):
            msg = f"url: expected the address of hangup, without {path}"
            raise ValueError(msg)
    if not isinstance(api_key, str) or re.fullmatch(r"[\x21-\x7e]+", api_key) is None:
        msg = "api_key: expected an API key; `hangup keys create` creates a key"
        raise ValueError(msg)
    return Settings(
        url=str(parsed).rstrip("/"),
        headers={
            "user-agent": f"hangup-python/{__version__}",
            "accept": "application/json",
            # Two spellings of one name would be two headers.
            **{name.lower(): value for name, value in (headers or {}).items()},
            "x-api-key": api_key,
        },
        timeout=_DEFAULT_TIMEOUT_S if timeout is None else timeout,
        attempt_timeout=_DEFAULT_ATTEMPT_TIMEOUT_S if attempt_timeout is None else attempt_timeout,
        max_attempts=_DEFAULT_MAX_ATTEMPTS if max_attempts is None else max_attempts,
        retry_delay=jittered_delay if retry_delay is None else retry_delay,
    )


def jittered_delay(attempt: int) -> float:
    """Return the seconds after a failed attempt. Random: clients that failed together do not come back together."""
    # Python raises OverflowError for the 1025th attempt, after an hour of an outage.
    exponent = min(attempt - 1, 10)
    return random.uniform(0, min(_MAX_DELAY_S, _FIRST_DELAY_S * 2.0**exponent))


def is_outage(error: HangupError, *, has_answered: bool) -> bool:
    """Return whether hangup is expected to return.

    Once hangup has answered, the url is correct: a later web page or HTML 404 is from an ingress during a deployment.
    """
    is_page = error.code == "unexpected_response" and error.status is not None
    return error.is_retryable or (has_answered and is_page)


class Attempts:
    """The attempts of one request, within the limits of the settings."""

    def __init__(
        self,
        settings: Settings,
        *,
        timeout: float | None,
        started_at: float,
        is_persistent: bool,
        is_repeatable: bool = True,
    ) -> None:
        self._settings = settings if is_repeatable else replace(settings, max_attempts=1)
        self._timeout = settings.timeout if timeout is None else timeout
        self._ends_at = started_at + self._timeout
        self._is_persistent = is_persistent
        self._failed = 0

    def next_timeout(self, now: float) -> float:
        """Return the limit of the next attempt, in seconds."""
        return max(0.001, min(self._settings.attempt_timeout, self._ends_at - now))

    def delay_after(self, error: HangupError, now: float, *, has_answered: bool) -> float:
        """Return the seconds before the next attempt. Raise the error if the request is not repeated."""
        self._failed += 1
        is_repeated = is_outage(error, has_answered=has_answered) if self._is_persistent else error.is_retryable
        if not is_repeated or (self._failed >= self._settings.max_attempts and not self._is_persistent):
            raise error
        delay = max(self._settings.retry_delay(self._failed), error.retry_after or 0.0)
        if now + delay >= self._ends_at:
            raise error
        return delay


class Body:
    """The body of a response, within a time limit."""

    def __init__(self, request: Request[Data], settings: Settings, *, limit: float, ends_at: float) -> None:
        self._request = request
        self._settings = settings
        self._limit = limit
        self._ends_at = ends_at
        self._chunks: list[bytes] = []

    def add(self, chunk: bytes, now: float) -> None:
        """Add a chunk. Raise HangupError if a slow server has used up the time."""
        if now > self._ends_at:
            raise timeout_error(self._limit, self._settings.url, self._request.idempotency_key)
        self._chunks.append(chunk)

    def data(self, status: int, headers: Mapping[str, str]) -> object:
        """Return the data of a success. Raise HangupError for any other response."""
        body = b"".join(self._chunks)
        value = parse_json(body) if 200 <= status < 300 else None
        if isinstance(value, dict) and "data" in value:
            return cast("dict[str, object]", value)["data"]
        raise response_error(status, headers, body, self._settings.url, self._request.idempotency_key)


class Reconnection:
    """Decides whether and when an event stream connects again."""

    server_delay: float | None = None
    """The seconds that the server requests."""

    def __init__(self, retry_delay: Callable[[int], float]) -> None:
        self._retry_delay = retry_delay
        self._failures = 0

    def connected(self) -> None:
        """Count the failures from zero again."""
        self._failures = 0

    def delay_after(self, error: HangupError | None, *, has_answered: bool) -> float:
        """Return the seconds before the next connection. Raise an error that a later connection gets again."""
        if error is not None and not is_outage(error, has_answered=has_answered):
            raise error
        self._failures += 1
        retry_after = 0.0 if error is None else error.retry_after or 0.0
        return max(retry_after, self._retry_delay(self._failures) + (self.server_delay or 0.0))


class Polling:
    """The pace at which a cancellation is read."""

    def __init__(self) -> None:
        self._shown: object = None
        self._delay = _FIRST_POLL_S

    def next(self, cancellation: Cancellation) -> tuple[bool, float]:
        """Return whether the state or the counts have changed, and the seconds before the next read."""
        current = (cancellation["state"], cancellation["counts"])
        is_changed = current != self._shown
        self._delay = _FIRST_POLL_S if is_changed else min(_MAX_POLL_S, _POLL_GROWTH * self._delay)
        self._shown = current
        return is_changed, self._delay
