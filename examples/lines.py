"""
A codec of one's own: newline-delimited JSON, for clients that are no browsers.

Every frame is one line that any language can read: ``["open", ID]``, ``["message", TEXT]``, ``["json", VALUE]``,
``["heartbeat", NUMBER]`` (to be sent back as it is) and ``["close"]``. Run the server, which speaks it at
``/socket.io/lines/websocket`` and the other transports beside all else, then try any WebSocket client::

    python examples/lines.py
    npx wscat --connect ws://127.0.0.1:8080/socket.io/lines/websocket
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet import endpoints, task
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import Site

from siotwisted import Codec, Config, Connection, SIOCodec, SocketIO, SocketIOResource
from siotwisted.errors import ProtocolError
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet
from siotwisted.wire.jsontext import dumps, loads


class LinesCodec(Codec):
    """One JSON array and a newline for each packet."""

    name = "lines"

    def encode(self, outgoing: Outgoing) -> str:
        """The line of a packet."""
        kind, data = outgoing.packet.kind, outgoing.packet.data
        return dumps([kind.value] if kind is Kind.CLOSE else [kind.value, data]) + "\n"

    def decode(self, payload: str, form: bool = False) -> Iterator[Packet]:
        """The packets of some lines; a browser's form may have turned their ends into CR LF."""
        *lines, rest = (payload.replace("\r\n", "\n") if form else payload).split("\n")
        for line in lines:
            match loads(line):
                case ["message", str(text)]:
                    yield Packet(Kind.MESSAGE, text)
                case ["json", value]:
                    yield Packet(Kind.JSON, value)
                case ["heartbeat", str(number)]:
                    yield Packet(Kind.HEARTBEAT, number)
                case ["close"]:
                    yield Packet(Kind.CLOSE)
                case _:
                    raise ProtocolError("an unknown line")
        if rest:
            raise ProtocolError("a line without an end")


async def main(reactor: Any) -> None:
    """Echo to clients of this codec and of the usual one."""
    sio = SocketIO(reactor, Config(codecs=[SIOCodec, LinesCodec]))

    @sio.onMessage
    def echo(conn: Connection, message: Any) -> None:
        conn.send(message)

    root = Resource()
    root.putChild(b"socket.io", SocketIOResource(sio))
    await endpoints.serverFromString(reactor, "tcp:8080:interface=127.0.0.1").listen(Site(root))
    await Deferred()


if __name__ == "__main__":
    task.react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
