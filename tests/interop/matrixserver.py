"""
The server of the matrix: one application for the clients of all generations.

``python matrixserver.py --port 8080 --clients FOLDER`` serves the endpoint, and under ``/clients/`` the scripts of a
folder. Clients ask for things by events; those that have none send the JSON message ``{"name": EVENT, "args": [...]}``,
which is how events are told to them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.python.log import startLogging
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data, File

from siotwisted import Config, Connection, ConnectionRefused, Namespace, SocketIO, SocketIOResource

#: What clients can ask for, by the event's name.
requests: dict[str, Callable[..., object]] = {}


def request(handler: Callable[..., object]) -> Callable[..., object]:
    """Let clients ask for this by the function's name."""
    requests[handler.__name__] = handler
    return handler


@request
def echo(conn: Connection, *args: object) -> None:
    """Tell what was said."""
    conn.emit("echoed", *args)


@request
def answer(conn: Connection, *args: object) -> object:
    """Answer what was said."""
    return args


@request
def where(conn: Connection) -> None:
    """Tell the name of the namespace."""
    conn.emit("here", conn.namespace.name)


@request
async def ask(conn: Connection, *args: object) -> None:
    """Ask back, and tell the answer."""
    conn.emit("answered", await conn.call("question", *args, timeout=10))


@request
def count(conn: Connection, end: int) -> None:
    """Tell all numbers below this one, each for itself."""
    for number in range(end):
        conn.emit("number", number)


@request
def tally(conn: Connection, number: int) -> None:
    """Keep a number."""
    conn.data.setdefault("tally", []).append(number)


@request
def total(conn: Connection) -> None:
    """Tell the numbers kept."""
    conn.emit("tallied", conn.data.pop("tally"))


@request
def join(conn: Connection, room: str) -> None:
    """Enter a room."""
    conn.join(room)


@request
def leave(conn: Connection, room: str) -> None:
    """Leave a room."""
    conn.leave(room)


@request
def shout(conn: Connection, room: str, word: str) -> None:
    """Tell it to all that are in a room."""
    conn.namespace.to(room).emit("shouted", word)


@request
def tell(conn: Connection, word: str) -> None:
    """Tell it to everyone: as an event, and in a message."""
    conn.namespace.emit("told", word)
    conn.namespace.send({"told": word})


@request
def leaveNamespace(conn: Connection) -> None:
    """Put the client out of the namespace."""
    conn.disconnect()


@request
def close(conn: Connection) -> None:
    """End the client's session."""
    conn.close()


@request
def void(conn: Connection) -> None:
    """Say nothing."""


def heard(conn: Connection, message: Any) -> object:
    """Do what a message asks for, or send it back."""
    match message:
        case {"name": str(name), "args": list(args)} if name in requests:
            return requests[name](conn, *args)
    conn.send(message)
    return None


def refuse(conn: Connection) -> None:
    """Let nobody in."""
    raise ConnectionRefused("not for you")


def fill(namespace: Namespace) -> None:
    """Serve all requests in a namespace."""
    namespace.onMessage(heard)
    for name, handler in requests.items():
        namespace.on(name, handler)


def application() -> SocketIO:
    """Make the server. Its timers are short, for some old clients learn by theirs alone that a connection is lost."""
    config = Config(origins=["localhost:*"], pingInterval=2.0, pingTimeout=3.0, pollDuration=2.0, reconnectTimeout=5.0)
    sio = SocketIO(reactor, config)
    for namespace in (sio, sio.of("/chat"), sio.of("/brief")):
        fill(namespace)
    sio.of("/secret").use(refuse)
    return sio


def main() -> None:
    """Serve until the process is told to end."""
    parser = argparse.ArgumentParser(description="The server of the matrix.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--clients", required=True)
    options = parser.parse_args()
    startLogging(sys.stdout)
    root = Resource()
    root.putChild(b"", Data(b"<!DOCTYPE html><title>matrix</title>", "text/html"))
    root.putChild(b"clients", File(options.clients, "text/javascript; charset=utf-8"))
    root.putChild(b"socket.io", SocketIOResource(application()))
    listening = TCP4ServerEndpoint(reactor, options.port, interface="127.0.0.1").listen(Site(root))
    listening.addCallback(lambda port: print(f"http://127.0.0.1:{port.getHost().port}/", flush=True))
    reactor.run()


if __name__ == "__main__":
    main()
