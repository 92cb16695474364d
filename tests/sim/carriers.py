"""
The client's end of connections: an HTTP client that keeps its connection, as browsers do, and a WebSocket.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from tests.sim.wires import Wire

__all__ = ["HTTPPeer", "Opener", "WebSocketPeer"]

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)

#: What is called with the status and the body of an answer; with 0 if there was none.
Done = Callable[[int, bytes], None]


class Opener(Protocol):
    """Who has connections: a model client."""

    def open(self, peer: HTTPPeer | WebSocketPeer, name: str) -> Wire:
        """A new connection to the server."""


class HTTPPeer:
    """
    A connection for requests, one after the other. It is opened when it is needed.

    :param name: for traces.
    :param repeats: whether a request is sent again, once, when a connection that was used before ends without a byte
        of an answer, as browsers do.
    :param content: whether an answer that ends in its head, in good order, is an empty one, as it is to browsers.
    """

    __slots__ = (
        "_body", "_buffer", "_chunk", "_chunked", "_closing", "_content", "_done", "_length", "_name", "_opener",
        "_part", "_repeats", "_request", "_status", "_touched", "_used", "wire",
    )  # fmt: skip

    def __init__(self, opener: Opener, name: str, repeats: bool = False, content: bool = False) -> None:
        self._opener = opener
        self._name = name
        self._repeats = repeats
        self._content = content
        self.wire: Wire | None = None
        self._buffer = b""
        self._done: Done | None = None
        self._part: Callable[[bytes], None] | None = None
        self._request = b""
        self._used = self._touched = False
        self._status = 0
        self._length = -1
        self._chunked = self._closing = False
        self._chunk = -1
        self._body: list[bytes] = []

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return self._done is not None

    def request(self, request: bytes, done: Done, part: Callable[[bytes], None] | None = None) -> None:
        """
        Ask.

        :param request: all bytes of it.
        :param part: called with every piece of an endless answer.
        """
        assert self._done is None, "one at a time"
        self._request, self._done, self._part = request, done, part
        self._send()

    def _send(self) -> None:
        self._status, self._length, self._chunked, self._chunk, self._body = 0, -1, False, -1, []
        self._touched = self._closing = False
        self._buffer = b""
        if self.wire is None or not self.wire.open:
            self._used = False
            self.wire = self._opener.open(self, self._name)
        self.wire.send(self._request)

    def drop(self) -> None:
        """Forget it, and whatever still comes."""
        self._done = self._part = None
        if self.wire is not None:
            self.wire.close()
            self.wire = None

    def connectionLost(self) -> None:
        """The connection is over."""
        wire, self.wire = self.wire, None
        done = self._done
        if done is None:
            return
        if self._used and not self._touched and self._repeats:
            self._send()
            return
        if self._content and wire is not None and wire.orderly and not self._status and len(self._buffer) > 11:
            self._status, self._buffer = int(self._buffer[9:12]), b""
        if self._status and self._length < 0 and not self._chunked:
            self._finish()
            return
        self._done = self._part = None
        done(0, b"")

    def dataReceived(self, data: bytes) -> None:
        """Bytes of an answer."""
        self._touched = True
        buffer = self._buffer + data if self._buffer else data
        if not self._status:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = buffer
                return
            head, buffer = buffer[: end + 2], buffer[end + 4 :]
            self._status = int(head[9:12])
            length = _LENGTH.search(head)
            self._length = int(length[1]) if length else -1
            self._chunked = length is None and _CHUNKED.search(head) is not None
            self._closing = _CLOSE.search(head) is not None
        self._buffer = buffer
        if self._chunked:
            self._readChunks()
        elif 0 <= self._length <= len(buffer):
            self._body, self._buffer = [buffer[: self._length]], buffer[self._length :]
            self._finish()

    def _readChunks(self) -> None:
        while self._done is not None:
            if self._chunk < 0:
                size, found, rest = self._buffer.partition(b"\r\n")
                if not found:
                    return
                self._chunk, self._buffer = int(size, 16), rest
            if len(self._buffer) < self._chunk + 2:
                return
            chunk, self._buffer = self._buffer[: self._chunk], self._buffer[self._chunk + 2 :]
            self._chunk = -1
            if not chunk:
                self._finish()
            elif self._part is not None and self._status == 200:
                self._part(chunk)
            else:
                self._body.append(chunk)

    def _finish(self) -> None:
        done, self._done, self._part = self._done, None, None
        self._used = True
        if self._length < 0 and not self._chunked:
            self._body.append(self._buffer)
        if self._closing and self.wire is not None:
            self.wire.close()
            self.wire = None
        status, body = self._status, b"".join(self._body)
        assert done is not None
        done(status, body)


_UPGRADE = (
    b"GET %b HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class WebSocketPeer:
    """
    A WebSocket.

    :param opened: called when the handshake is done.
    :param received: called with every message.
    :param lost: called when it has ended, but not after :meth:`drop`.
    """

    __slots__ = ("_buffer", "_closed", "_lost", "_opened", "_received", "_upgraded", "wire")

    def __init__(
        self,
        opener: Opener,
        target: bytes,
        opened: Callable[[], None],
        received: Callable[[bytes], None],
        lost: Callable[[], None],
        name: str = "websocket",
    ) -> None:
        self._opened = opened
        self._received = received
        self._lost = lost
        self._buffer = b""
        self._upgraded = self._closed = False
        self.wire: Wire | None = opener.open(self, name)
        self.wire.send(_UPGRADE % target)

    @property
    def usable(self) -> bool:
        """Whether messages can be sent."""
        return self._upgraded and not self._closed and self.wire is not None

    def send(self, message: str) -> None:
        """Send a text message."""
        if self.usable:
            self._frame(0x81, message.encode("utf-8"))

    def _frame(self, first: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = bytes((first, 0x80 | size))
        elif size < 65536:
            head = bytes((first, 0xFE)) + size.to_bytes(2, "big")
        else:
            head = bytes((first, 0xFF)) + size.to_bytes(8, "big")
        if self.wire is not None:
            self.wire.send(b"%b\0\0\0\0%b" % (head, payload))

    def close(self) -> None:
        """Begin the closing handshake."""
        if self.usable:
            self._closed = True
            self._frame(0x88, b"")

    def drop(self) -> None:
        """Forget it, and whatever still comes."""
        self._closed = True
        if self.wire is not None:
            self.wire.close()
            self.wire = None

    def connectionLost(self) -> None:
        """The connection is over."""
        self.wire = None
        self._lost()

    def dataReceived(self, data: bytes) -> None:
        """Bytes of the handshake, or of frames."""
        buffer = self._buffer + data if self._buffer else data
        if not self._upgraded:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = buffer
                return
            if not buffer.startswith(b"HTTP/1.1 101"):
                self._fail()
                return
            self._upgraded = True
            buffer = buffer[end + 4 :]
            self._opened()
        at, size = 0, len(buffer)
        while size - at >= 2 and self.wire is not None:
            opcode, length, start = buffer[at] & 15, buffer[at + 1], at + 2
            if length == 126:
                length, start = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4
            elif length == 127:
                length, start = int.from_bytes(buffer[at + 2 : at + 10], "big"), at + 10
            if start > size or size - start < length:
                break
            at = start + length
            payload = buffer[start:at]
            if opcode == 1:
                self._received(payload)
            elif opcode == 9:
                self._frame(0x8A, payload)
            elif opcode == 8:
                if not self._closed:
                    self._frame(0x88, payload)
                self._fail()
                return
        self._buffer = buffer[at:]

    def _fail(self) -> None:
        self._closed = True
        if self.wire is not None:
            self.wire.close()
            self.wire = None
            self._lost()
