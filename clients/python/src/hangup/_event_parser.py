"""The format of server-sent events."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MAX_BYTES = 1024 * 1024
"""More than any event of hangup."""


@dataclass(frozen=True)
class Message:
    """One block of a stream."""

    id: str | None
    data: str | None
    """None: only the id changes."""


class EventParser:
    """Parses chunks of a stream, by the HTML standard. Ignores the field `event`: the data has the type."""

    retry: float | None = None
    """The seconds before the next connection, as the server requests them."""

    def __init__(self) -> None:
        self._rest = b""
        self._id: str | None = None
        self._data: list[str] = []
        self._size = 0

    def push(self, chunk: bytes) -> list[Message]:
        """Return the messages that the chunk completes. Raise ValueError for a message that is too long."""
        text = self._rest + chunk
        messages: list[Message] = []
        start = 0
        for line_end in re.finditer(rb"\r\n|\n|\r", text):
            # A carriage return at the end of a chunk can be the first half of a line end.
            if line_end.group() == b"\r" and line_end.end() == len(text):
                break
            self._read_line(text[start : line_end.start()].decode("utf-8", "replace"), messages)
            start = line_end.end()
        self._rest = text[start:]
        if len(self._rest) + self._size > _MAX_BYTES:
            msg = f"an event is longer than {_MAX_BYTES} bytes"
            raise ValueError(msg)
        return messages

    def _read_line(self, line: str, messages: list[Message]) -> None:
        if line == "":
            if self._id is not None or self._data:
                messages.append(Message(self._id, "\n".join(self._data) if self._data else None))
            self._id, self._data, self._size = None, [], 0
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._size += len(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value) / 1000
