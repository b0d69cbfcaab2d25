"""Servers for the tests: one sends given bytes, one forwards connections and can cut them."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Sequence
from types import TracebackType
from urllib.parse import urlsplit

SILENCE = b""
"""The response of a server that accepts a request and never answers."""


DRIP = b"drip"
"""The response of a server that sends a byte from time to time, and never a complete response."""


def response(status: int, body: str = "", headers: Sequence[str] = ()) -> bytes:
    """Return the bytes of a response that closes the connection."""
    encoded = body.encode()
    lines = [
        f"HTTP/1.1 {status} Status",
        f"content-length: {len(encoded)}",
        "connection: close",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + encoded


def success(data: object) -> bytes:
    """Return a response of hangup."""
    return response(200, json.dumps({"data": data}), ["content-type: application/json"])


class _Server:
    def __init__(self) -> None:
        self._closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = [self._listener]
        self._start(self._accept)

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._sockets.append(connection)
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Close all connections, and wait for the threads."""
        self._closed.set()
        for item in self._sockets:
            with contextlib.suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)
            item.close()
        for thread in list(self._threads):
            thread.join(timeout=10)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class ScriptedServer(_Server):
    """Sends one given response for each connection, and records the requests."""

    def __init__(self) -> None:
        self.responses: list[bytes] = []
        self.requests: list[str] = []
        self._lock = threading.Lock()
        super().__init__()

    def __enter__(self) -> ScriptedServer:
        return self

    def header(self, index: int, name: str) -> str | None:
        """Return a header of a recorded request."""
        for line in self.requests[index].split("\r\n"):
            key, _, value = line.partition(": ")
            if key.lower() == name:
                return value
        return None

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            received = b""
            while b"\r\n\r\n" not in received:
                chunk = connection.recv(65536)
                if not chunk:
                    return
                received += chunk
            with self._lock:
                self.requests.append(received.decode())
                answer = self.responses.pop(0) if self.responses else response(500)
            if answer == DRIP:
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
                while not self._closed.wait(0.02):
                    connection.sendall(b" ")
            elif answer != SILENCE:
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass


class Forwarder(_Server):
    """Forwards TCP connections. `cut` breaks them, as a proxy that restarts does."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 80)
        self.connections = 0
        super().__init__()

    def __enter__(self) -> Forwarder:
        return self

    def cut(self) -> None:
        """Break all open connections."""
        for item in self._sockets[1:]:
            with contextlib.suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)

    def _serve(self, connection: socket.socket) -> None:
        upstream = socket.create_connection(self._target)
        self._sockets.append(upstream)
        self.connections += 1
        self._start(self._pump, upstream, connection)
        self._pump(connection, upstream)

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                target.sendall(chunk)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
