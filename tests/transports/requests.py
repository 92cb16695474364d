"""
Requests that the tests of HTTP share.
"""

from __future__ import annotations

from collections.abc import Iterator

from siotwisted.dialects.socketio06 import SOCKETIO_06
from tests.transports import Client, Server

#: What a WebSocket asks with.
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


def asks(server: Server, sessionID: str = "", headers: dict[str, str] | None = None) -> Iterator[tuple[str, Client]]:
    """The same request by every method, to every transport, each as (what, client)."""
    for transport in SOCKETIO_06.transports:
        for method in ("GET", "POST", "OPTIONS", "PUT", "DELETE"):
            fields = dict(headers or {})
            if method == "GET" and transport in ("websocket", "flashsocket"):
                fields |= UPGRADE
            body = b"data=~m~1~m~x" if method in ("POST", "PUT") else b""
            path = f"/{transport}/{sessionID}/1322000000000/0"
            yield f"{method} {transport}", server.request(method, path, fields, body)
