"""
The chat: the example application of the first Socket.IO servers, and its page.

A new client gets ``{"buffer": [...]}``, the last messages, and everybody ``{"announcement": "connected: ID"}``. What a
client says, any text or JSON, goes to all others as ``{"message": [ID, WHAT]}``, and who leaves is announced as
``{"announcement": "disconnected: ID"}``.
"""

from __future__ import annotations

from collections import deque
from importlib.resources import files
from typing import Any

from twisted.web.resource import Resource

from siotwisted.clientfiles import ClientFiles, StaticFile
from siotwisted.namespaces import Connection
from siotwisted.packets import Reason
from siotwisted.resource import SocketIOResource
from siotwisted.server import SocketIO
from siotwisted.wire.jsontext import dumps

__all__ = ["Chat", "chatSite"]

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


class Chat:
    """
    The application.

    :param sio: the server whose clients chat.
    :param lines: how many messages a new client gets to see.
    :param size: how many characters of JSON they may have together; older ones are forgotten first.
    """

    def __init__(self, sio: SocketIO, lines: int = 100, size: int = 1_000_000) -> None:
        self._sio = sio
        self._lines = lines
        self._size = size
        self._buffer: deque[tuple[dict[str, Any], int]] = deque()
        self._buffered = 0
        sio.onConnect(self.joined)
        sio.onMessage(self.said)
        sio.onDisconnect(self.left)

    def joined(self, connection: Connection) -> None:
        """A client is there: show it the last messages, and it to all."""
        connection.send({"buffer": [entry for entry, _ in self._buffer]})
        self._sio.broadcast({"announcement": f"connected: {connection}"})

    def said(self, connection: Connection, message: Any) -> None:
        """A client said something: tell the others, and remember it."""
        entry = {"message": [connection.id, message]}
        self._sio.broadcastExcept(connection, entry)
        size = len(dumps(entry))
        if size > self._size // 2:
            return  # one message would drive all others out
        self._buffer.append((entry, size))
        self._buffered += size
        while len(self._buffer) > self._lines or self._buffered > self._size:
            self._buffered -= self._buffer.popleft()[1]

    def left(self, connection: Connection, reason: Reason) -> None:
        """A client is gone: tell the others, unless they go too."""
        if reason is not Reason.SERVER_SHUTTING_DOWN:
            self._sio.broadcast({"announcement": f"disconnected: {connection}"})


def chatSite(sio: SocketIO, clientFiles: ClientFiles | None = None) -> Resource:
    """
    The root of the chat's site: its page at ``/``, and the endpoint at ``/socket.io``.

    :param clientFiles: client scripts to serve at the endpoint.
    """
    root = Resource()
    root.putChild(b"socket.io", SocketIOResource(sio, clientFiles))
    for file in files("siotwisted").joinpath("page").iterdir():
        suffix = file.name[file.name.rfind(".") :]
        name = b"" if file.name == "index.html" else file.name.encode("ascii")
        root.putChild(name, StaticFile(file.read_bytes(), _TYPES[suffix], _PAGE_HEADERS))
    return root
