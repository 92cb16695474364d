"""A chat in thirty lines: ``python examples/chat.py``, then open http://127.0.0.1:8080/ in two windows."""

from collections import deque

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString

from siotwisted import Connection, SocketIO, SocketIOSite
from siotwisted.chat import chatSite

sio = SocketIO(reactor)
buffer: deque[object] = deque(maxlen=100)


@sio.onConnect
def joined(conn: Connection) -> None:
    conn.send({"buffer": list(buffer)})
    sio.broadcast({"announcement": f"connected: {conn}"})


@sio.onMessage
def said(conn: Connection, message: object) -> None:
    buffer.append({"message": [conn.id, message]})
    sio.broadcastExcept(conn, buffer[-1])


sio.onDisconnect(lambda conn, reason: sio.broadcast({"announcement": f"disconnected: {conn}"}))
serverFromString(reactor, "tcp:8080:interface=127.0.0.1").listen(SocketIOSite(chatSite(sio)))
reactor.run()
