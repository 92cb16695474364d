"""
Chat rooms, with events and acks: ``python examples/rooms.py``, then connect clients to http://127.0.0.1:8080/.

==========================  =======================================================================
``emit("enter", ROOM)``     enter a room; the ack is who is there already
``emit("say", TEXT)``       say something to all in the room; the ack is how many could be told
``emit("leave")``           leave the room
``on("entered", f(NAME))``  somebody has entered
``on("said", f(NAME, ..))`` somebody has said something
``on("left", f(NAME))``     somebody has left
==========================  =======================================================================
"""

from __future__ import annotations

from itertools import count

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.web.resource import Resource

from siotwisted import Connection, SocketIO, SocketIOResource, SocketIOSite

sio = SocketIO(reactor)
numbers = count(1)


@sio.onConnect
def joined(conn: Connection) -> None:
    conn.data["name"] = f"guest {next(numbers)}"  # ids of old clients are secrets: nobody else sees them
    conn.data["room"] = None


@sio.on("enter")
async def enter(conn: Connection, room: str) -> list[str]:
    leave(conn)
    others = await sio.to(f"room:{room}").fetchConnections()
    conn.join(f"room:{room}")
    conn.data["room"] = f"room:{room}"
    conn.to(f"room:{room}").emit("entered", conn.data["name"])
    return [other.data["name"] for other in others]


@sio.on("say")
async def say(conn: Connection, text: str) -> int:
    if conn.data["room"] is None:
        return 0
    delivery = await conn.to(conn.data["room"]).emit("said", conn.data["name"], text)
    return delivery.accepted


@sio.on("leave")
def leave(conn: Connection) -> None:
    room, conn.data["room"] = conn.data["room"], None
    if room is not None:
        conn.leave(room)
        sio.to(room).emit("left", conn.data["name"])


sio.onDisconnect(lambda conn, reason: leave(conn))

root = Resource()
root.putChild(b"socket.io", SocketIOResource(sio))
serverFromString(reactor, "tcp:8080:interface=127.0.0.1").listen(SocketIOSite(root))
reactor.run()
