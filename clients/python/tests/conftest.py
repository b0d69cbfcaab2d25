"""Fixtures: clients of the running hangup, and servers that misbehave."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from servers import Forwarder, ScriptedServer

from hangup import AsyncHangup, Hangup

URL = os.environ["HANGUP_URL"]
API_KEY = os.environ["HANGUP_API_KEY"]

MakeClient = Callable[..., Hangup]


class Blocking:
    """An object of AsyncHangup with the interface of Hangup, so that one test checks both clients."""

    def __init__(self, target: object, loop: asyncio.AbstractEventLoop) -> None:
        self._target = target
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        return self._block(getattr(self._target, "aclose" if name == "close" else name))

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self if name.startswith("_") else self._target, name, value)

    def __iter__(self) -> Blocking:
        return self

    def __next__(self) -> Any:
        async def following() -> Any:
            return await cast("Any", self._target).__anext__()

        try:
            return self._loop.run_until_complete(following())
        except StopAsyncIteration:
            raise StopIteration from None

    def __enter__(self) -> Blocking:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(cast("Any", self._target).aclose())

    def _block(self, value: Any) -> Any:
        if asyncio.iscoroutine(value):
            return self._loop.run_until_complete(value)
        if callable(value):
            return lambda *args, **kwargs: self._block(value(*args, **kwargs))
        is_ours = type(value).__module__.startswith("hangup.") or hasattr(value, "__anext__")
        return Blocking(value, self._loop) if is_ours and not isinstance(value, Exception) else value


@pytest.fixture(params=["Hangup", "AsyncHangup"])
def make_client(request: pytest.FixtureRequest) -> Iterator[MakeClient]:
    """Return a function that makes a client: of the running hangup, unless the test names another."""
    loop = asyncio.new_event_loop()
    clients: list[Any] = []

    def make(**options: Any) -> Hangup:
        given = {"url": URL, "api_key": API_KEY, **options}
        client = Hangup(**given) if request.param == "Hangup" else Blocking(AsyncHangup(**given), loop)
        clients.append(client)
        return cast("Hangup", client)

    yield make
    for client in clients:
        client.close()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


@pytest.fixture
def hangup(make_client: MakeClient) -> Hangup:
    """Return a client of the running hangup."""
    return make_client()


@pytest.fixture
def agent() -> str:
    """Return the id of an agent that no other test uses."""
    return f"agent-{uuid.uuid4()}"


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    """Return a server that sends the responses of the test."""
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def forwarder() -> Iterator[Forwarder]:
    """Return a TCP proxy in front of the running hangup."""
    with Forwarder(URL) as proxy:
        yield proxy
