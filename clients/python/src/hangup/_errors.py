"""The error of a request, and its translation from HTTP responses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Literal, cast

ErrorCode = Literal[
    "bad_request",
    "unauthorized",
    "forbidden",
    "not_found",
    "conflict",
    "precondition_failed",
    "payload_too_large",
    "idempotency_key_reused",
    "rate_limited",
    "server_error",
    "unavailable",
    "refused",
    "network_error",
    "timeout",
    "unexpected_response",
]

_CODES: Mapping[int, ErrorCode] = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    412: "precondition_failed",
    413: "payload_too_large",
    422: "idempotency_key_reused",
    429: "rate_limited",
    500: "server_error",
}
_RETRYABLE = ("rate_limited", "server_error", "unavailable", "network_error", "timeout")
"""Either nothing has changed, or the Idempotency-Key prevents a second change."""


class HangupError(Exception):
    """A request failed. The other exceptions are ValueError and TypeError, for a wrong argument."""

    message: str
    """The message of the server, or a description of the failure."""
    code: ErrorCode
    """The kind of the failure. `network_error`, `timeout` and `unexpected_response` mean: no answer of hangup."""
    status: int | None
    """The HTTP status; None without a response."""
    request_id: str | None
    """The request's id in the log of the server. Include the id in bug reports."""
    retry_after: float | None
    """Seconds until the server accepts the request again, if the server sent them."""
    idempotency_key: str | None
    """The key of a POST or DELETE. Repeat the request with this key, and the change happens once."""

    def __init__(
        self,
        message: str,
        *,
        code: ErrorCode,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after
        self.idempotency_key = idempotency_key

    @property
    def is_retryable(self) -> bool:
        """Whether the same request may succeed later: after 408, 429, a 5xx, a network error or a timeout."""
        return self.code in _RETRYABLE


def network_error(cause: Exception, server: str, idempotency_key: str | None = None) -> HangupError:
    """Return the error for a connection that failed."""
    description = str(cause).rstrip(".: \n") or type(cause).__name__
    return HangupError(
        f"No response from {server}: {description}.", code="network_error", idempotency_key=idempotency_key
    )


def timeout_error(seconds: float, server: str, idempotency_key: str | None = None) -> HangupError:
    """Return the error for a response that is late."""
    return HangupError(
        f"No complete response from {server} within {seconds:g} s.",
        code="timeout",
        idempotency_key=idempotency_key,
    )


def response_error(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    server: str,
    idempotency_key: str | None = None,
) -> HangupError:
    """Return the error for a response that is not a success of hangup."""
    message, code = _describe(status, headers, body, server)
    return HangupError(
        message,
        code=code,
        status=status,
        request_id=headers.get("x-request-id"),
        retry_after=_retry_after(headers),
        idempotency_key=idempotency_key,
    )


def _describe(status: int, headers: Mapping[str, str], body: bytes, server: str) -> tuple[str, ErrorCode]:
    message = _error_message(body)
    if status >= 400 and message is not None:
        return message, _code_of(status)
    if 300 <= status < 400:
        target = headers.get("location", "another address")
        return (
            f"{server} redirects to {target}. Set url to the address of hangup, without a redirect.",
            "unexpected_response",
        )
    if status >= 500:
        # Also statuses of one proxy's own, such as 521 and 530 of Cloudflare.
        return f"The proxy at {server} has no response from hangup (HTTP {status}).", "unavailable"
    content = "a response that is not from hangup" if body else "an empty response"
    return (
        f"{server} returned {content} (HTTP {status}). Check that url is the address of hangup.",
        _code_of(status) if status in (408, 429) else "unexpected_response",
    )


def _code_of(status: int) -> ErrorCode:
    return _CODES.get(status, "unavailable" if status >= 500 else "refused")


def _error_message(body: bytes) -> str | None:
    """Return the message in an error of hangup; None for any other body."""
    value = parse_json(body)
    if not isinstance(value, dict):
        return None
    error = cast("dict[str, object]", value).get("error")
    if not isinstance(error, dict):
        return None
    message = cast("dict[str, object]", error).get("message")
    return message if isinstance(message, str) else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of Retry-After. A date counts from the server's own clock: this machine's may be wrong."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    at = _parse_date(value)
    if at is None:
        return None
    sent_at = _parse_date(headers.get("date", "")) or datetime.now(timezone.utc)
    return max(0.0, (at - sent_at).total_seconds())


def _parse_date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=timezone.utc)


def parse_json(text: bytes | str) -> object:
    """Return the value of a JSON text; None for any other text."""
    try:
        return cast("object", json.loads(text))
    except ValueError:
        return None
