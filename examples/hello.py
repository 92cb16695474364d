"""The smallest server: ``python examples/hello.py``, then connect any client to http://127.0.0.1:8080/."""

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.web.resource import Resource

from siotwisted import Connection, SocketIO, SocketIOResource, SocketIOSite

sio = SocketIO(reactor)


@sio.onConnect
def joined(conn: Connection) -> None:
    conn.emit("greeting", "Welcome!")


@sio.on("hello")
def hello(conn: Connection, name: str) -> str:
    return f"Hello, {name}!"  # the client's callback gets it


root = Resource()
root.putChild(b"socket.io", SocketIOResource(sio))
serverFromString(reactor, "tcp:8080:interface=127.0.0.1").listen(SocketIOSite(root))
reactor.run()
