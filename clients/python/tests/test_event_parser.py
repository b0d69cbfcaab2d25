"""The format of server-sent events, by the HTML standard."""

from __future__ import annotations

import pytest

from hangup._event_parser import EventParser, Message

STREAM = (
    "\u2028: comment\r\nid: 1\r\ndata: a\u2028ü\r\ndata:  b\r\nevent: x\r\n\r\nid: 2\r\n\r\nretry: 1500\rdata\r\rid\n\n"
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_chunks_of_any_size_give_the_same_messages(size: int) -> None:
    parser = EventParser()
    data = STREAM.encode()
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    messages = [message for chunk in chunks for message in parser.push(chunk)]
    assert messages == [Message("1", "a\u2028ü\n b"), Message("2", None), Message(None, ""), Message("", None)]
    assert parser.retry == 1.5


def test_an_incomplete_message_is_dropped_and_bad_fields_are_ignored() -> None:
    parser = EventParser()
    assert parser.push(b"id: 1\0\nretry: soon\nother: 1\n\n") == []
    assert parser.push(b"data: half") == []
    assert parser.retry is None


def test_a_message_that_is_too_long_is_refused() -> None:
    parser = EventParser()
    with pytest.raises(ValueError, match="longer than"):
        for _ in range(20):
            parser.push(b"data: " + b"x" * 100_000 + b"\n")
