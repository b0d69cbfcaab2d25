"""Proxies, outages and wrong settings."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import httpx
import pytest
from conftest import API_KEY, MakeClient
from servers import DRIP, SILENCE, ScriptedServer, response, success

from hangup import AsyncHangup, Hangup, HangupError
from hangup._errors import network_error
from hangup._wire import jittered_delay

CALL: Any = {"id": "call", "status": "cancelled"}


def no_delay(_: int) -> float:
    return 0.0


def error_of(scripted: ScriptedServer, make_client: MakeClient, **options: Any) -> HangupError:
    client = make_client(url=scripted.url, retry_delay=no_delay, max_attempts=1, **options)
    with pytest.raises(HangupError) as raised:
        client.calls.get("call")
    assert scripted.url in str(raised.value) or raised.value.request_id is not None
    return raised.value


def test_a_web_page_is_an_unexpected_response(scripted: ScriptedServer, make_client: MakeClient) -> None:
    page = "<!doctype html><title>Welcome</title>"
    scripted.responses = [response(200, page, ["content-type: text/html"]), response(404, page)]
    for status in (200, 404):
        error = error_of(scripted, make_client)
        assert (error.status, error.code) == (status, "unexpected_response")
        assert "a response that is not from hangup" in error.message


def test_an_empty_response_is_an_unexpected_response(scripted: ScriptedServer, make_client: MakeClient) -> None:
    scripted.responses = [response(200)]
    error = error_of(scripted, make_client)
    assert error.code == "unexpected_response"
    assert "an empty response" in error.message


def test_a_redirect_is_not_followed(scripted: ScriptedServer, make_client: MakeClient) -> None:
    scripted.responses = [response(301, "", ["location: https://other.example.com/"])]
    error = error_of(scripted, make_client)
    assert (error.status, error.code) == (301, "unexpected_response")
    assert "redirects to https://other.example.com/" in error.message
    assert len(scripted.requests) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 521, 530])
def test_a_proxy_without_hangup_is_unavailable(status: int, scripted: ScriptedServer, make_client: MakeClient) -> None:
    scripted.responses = [response(status, "<html>Bad Gateway</html>")]
    error = error_of(scripted, make_client)
    assert (error.status, error.code, error.is_retryable) == (status, "unavailable", True)
    assert f"has no response from hangup (HTTP {status})" in error.message


def test_silence_is_a_timeout(scripted: ScriptedServer, make_client: MakeClient) -> None:
    scripted.responses = [SILENCE]
    error = error_of(scripted, make_client, attempt_timeout=0.2)
    assert (error.status, error.code) == (None, "timeout")
    assert error.message == f"No complete response from {scripted.url} within 0.2 s."


def test_a_response_that_never_ends_is_a_timeout(scripted: ScriptedServer, make_client: MakeClient) -> None:
    scripted.responses = [DRIP]
    assert error_of(scripted, make_client, attempt_timeout=0.2).code == "timeout"


def test_a_closed_port_is_a_network_error(scripted: ScriptedServer, make_client: MakeClient) -> None:
    scripted.close()
    error = error_of(scripted, make_client)
    assert (error.status, error.code) == (None, "network_error")
    assert error.message.startswith(f"No response from {scripted.url}: ")


def test_a_response_that_breaks_off_is_a_network_error(scripted: ScriptedServer, make_client: MakeClient) -> None:
    scripted.responses = [success(CALL)[:-5]]
    assert error_of(scripted, make_client).code == "network_error"


def test_a_message_ends_with_one_period() -> None:
    cause = httpx.RemoteProtocolError("Server disconnected without sending a response.")
    assert network_error(cause, "http://x").message == f"No response from http://x: {cause}"


def test_every_request_is_repeated_until_it_succeeds(scripted: ScriptedServer, make_client: MakeClient) -> None:
    client = make_client(url=scripted.url, retry_delay=no_delay, attempt_timeout=3.0)
    for request in (
        lambda: client.calls.get("call"),
        lambda: client.calls.cancel("call", reason="test"),
        lambda: client.calls.create(id="call"),
        lambda: client.cancellations.lift_hold("can_1"),
    ):
        scripted.requests.clear()
        scripted.responses = [
            SILENCE,
            response(502, "<html>"),
            response(503),
            response(429),
            response(408),
            response(500, '{"error":{"message":"Internal server error","code":500}}'),
            success(CALL),
        ]
        assert request() == CALL
        assert len(scripted.requests) == 7
        keys = [scripted.header(index, "idempotency-key") for index in range(7)]
        # All attempts have the same key, so that the change happens once.
        assert len(set(keys)) == 1
        assert (keys[0] is None) == scripted.requests[0].startswith("GET")


@pytest.mark.parametrize(("status", "code"), [(408, "timeout"), (500, "server_error"), (503, "unavailable")])
def test_an_error_of_hangup_that_is_repeated_has_a_code(
    status: int, code: str, scripted: ScriptedServer, make_client: MakeClient
) -> None:
    body = f'{{"error":{{"message":"no","code":{status}}}}}'
    scripted.responses = [response(status, body, ["x-request-id: req_1"])]
    error = error_of(scripted, make_client)
    assert (error.status, error.code, error.is_retryable, error.message) == (status, code, True, "no")


def test_a_header_that_http_cannot_send_raises_at_once(scripted: ScriptedServer, make_client: MakeClient) -> None:
    client = make_client(url=scripted.url, retry_delay=no_delay)
    with pytest.raises(ValueError, match="Illegal header value"):
        client.calls.create(idempotency_key="two\nlines")
    with pytest.raises(ValueError, match="Illegal header value"):
        next(client.events.subscribe(last_event_id="42\n"))
    assert scripted.requests == []


def test_a_given_header_does_not_change_a_header_of_the_client(
    scripted: ScriptedServer, make_client: MakeClient
) -> None:
    scripted.responses = [success(CALL)]
    given = {"X-Api-Key": "other", "Idempotency-Key": "other", "Content-Type": "text/plain"}
    make_client(url=scripted.url, headers=given).calls.create(idempotency_key="k")
    for name, value in (("x-api-key", API_KEY), ("idempotency-key", '"k"'), ("content-type", "application/json")):
        assert scripted.requests[0].lower().count(f"{name}:") == 1
        assert scripted.header(0, name) == value


def test_other_errors_are_not_repeated(scripted: ScriptedServer, make_client: MakeClient) -> None:
    client = make_client(url=scripted.url, retry_delay=no_delay)
    for status in (400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 431):
        scripted.requests.clear()
        scripted.responses = [response(status, f'{{"error":{{"message":"no","code":{status}}}}}')]
        with pytest.raises(HangupError, match=r"^no$") as raised:
            client.calls.cancel("call")
        assert raised.value.status == status
        assert len(scripted.requests) == 1


def test_the_last_error_is_raised_after_the_last_attempt(scripted: ScriptedServer, make_client: MakeClient) -> None:
    client = make_client(url=scripted.url, retry_delay=no_delay, max_attempts=3)
    scripted.responses = [response(503), response(503), response(502)]
    with pytest.raises(HangupError) as raised:
        client.calls.get("call")
    assert raised.value.status == 502
    assert len(scripted.requests) == 3


def test_the_delays_double_up_to_8_s_and_an_outage_can_last_for_days() -> None:
    for attempt, longest in ((1, 0.25), (2, 0.5), (6, 8.0), (7, 8.0), (100_000, 8.0)):
        delays = [jittered_delay(attempt) for _ in range(200)]
        assert 0 <= min(delays) < longest / 4
        assert longest * 3 / 4 < max(delays) <= longest


def test_retry_after_in_seconds_delays_the_next_attempt(scripted: ScriptedServer, make_client: MakeClient) -> None:
    client = make_client(url=scripted.url, retry_delay=no_delay)
    scripted.responses = [response(429, "", ["retry-after: 1"]), success(CALL)]
    started_at = time.monotonic()
    assert client.calls.get("call") == CALL
    assert time.monotonic() - started_at >= 1


def test_retry_after_as_a_date_counts_from_the_clock_of_the_server(
    scripted: ScriptedServer, make_client: MakeClient
) -> None:
    # The server's clock is 10 years ahead: by this machine's clock, the client would not repeat the request.
    server_time = time.time() + 10 * 365 * 86_400
    headers = [
        f"date: {formatdate(server_time, usegmt=True)}",
        f"retry-after: {formatdate(server_time + 7, usegmt=True)}",
    ]
    scripted.responses = [response(503, "", headers)]
    assert error_of(scripted, make_client).retry_after == 7


def test_a_retry_after_beyond_the_timeout_raises_at_once(scripted: ScriptedServer, make_client: MakeClient) -> None:
    client = make_client(url=scripted.url, retry_delay=no_delay)
    scripted.responses = [response(429, "", ["retry-after: 3600"])]
    with pytest.raises(HangupError) as raised:
        client.calls.get("call", timeout=5)
    assert (raised.value.code, raised.value.retry_after) == ("rate_limited", 3600)
    assert len(scripted.requests) == 1


def test_wait_ends_with_a_timeout_while_hangup_continues(scripted: ScriptedServer, make_client: MakeClient) -> None:
    client = make_client(url=scripted.url, retry_delay=no_delay)
    scripted.responses = [success({"state": "running", "counts": {}})] * 100
    with pytest.raises(HangupError, match="is not completed after") as raised:
        client.cancellations.wait("can_1", timeout=2)
    assert raised.value.code == "timeout"


def test_wait_continues_through_an_outage(scripted: ScriptedServer, make_client: MakeClient) -> None:
    client = make_client(url=scripted.url, retry_delay=no_delay, max_attempts=2)
    done = {"id": "can_1", "state": "completed", "counts": {}}
    failed = response(500, '{"error":{"message":"Internal server error","code":500}}')
    scripted.responses = [response(502), response(502), failed, response(503), success(done)]
    assert client.cancellations.wait("can_1") == done


def test_wait_continues_through_the_web_pages_of_a_deployment(
    scripted: ScriptedServer, make_client: MakeClient
) -> None:
    client = make_client(url=scripted.url, retry_delay=no_delay)
    running = {"id": "can_1", "state": "running", "counts": {}}
    done = {**running, "state": "completed"}
    pages = [response(200, "<html>"), response(404, "<html>"), response(403, "<html>")]
    scripted.responses = [success(running), *pages, success(done)]
    assert client.cancellations.wait("can_1") == done
    # Another request is not repeated.
    scripted.responses = [response(404, "<html>")]
    with pytest.raises(HangupError, match="not from hangup"):
        client.cancellations.get("can_1")


def test_wait_raises_if_no_answer_was_from_hangup(scripted: ScriptedServer, make_client: MakeClient) -> None:
    scripted.responses = [response(404, "<html>")]
    with pytest.raises(HangupError, match="not from hangup"):
        make_client(url=scripted.url, retry_delay=no_delay).cancellations.wait("can_1")
    assert len(scripted.requests) == 1


def test_the_key_and_given_headers_are_sent_below_a_path_prefix(
    scripted: ScriptedServer, make_client: MakeClient
) -> None:
    scripted.responses = [success(CALL)]
    client = make_client(url=f"{scripted.url}/prefix/", headers={"x-gateway": "1"})
    assert client.calls.get("a b/ü") == CALL
    assert scripted.requests[0].startswith("GET /prefix/api/v1/calls/a%20b%2F%C3%BC HTTP/1.1")
    assert scripted.header(0, "x-api-key") == API_KEY
    assert scripted.header(0, "x-gateway") == "1"
    assert (scripted.header(0, "user-agent") or "").startswith("hangup-python/")


@pytest.mark.parametrize("client", [Hangup, AsyncHangup])
def test_wrong_settings_raise_value_error(client: type[Hangup] | type[AsyncHangup]) -> None:
    for url in ("", "hangup.example.com", "ftp://hangup.example.com", "http://", "http://[::1"):
        with pytest.raises(ValueError, match="url: "):
            client(url=url, api_key="key")
    for path in ("/api/v1", "/voice/api/v1/", "/trpc", "/openapi.json", "/docs/"):
        wrong = path.removeprefix("/voice").rstrip("/")
        with pytest.raises(ValueError, match=f"without {wrong}$"):
            client(url=f"http://127.0.0.1:1{path}", api_key="key")
    for api_key in ("", "two words", "line\n", "schlüssel"):
        with pytest.raises(ValueError, match="api_key: expected an API key"):
            client(url="http://127.0.0.1:1", api_key=api_key)


@pytest.mark.parametrize("client", [Hangup, AsyncHangup])
def test_the_representation_does_not_contain_the_key(client: type[Hangup] | type[AsyncHangup]) -> None:
    assert repr(client(url="http://127.0.0.1:1/", api_key="secret")) == f"{client.__name__}(url='http://127.0.0.1:1')"
