"""
The siotwisted server under test: ``python -m tests.faultproxy.server --log FILE --clients FOLDER``.

It prints its address. A line on its standard input that says ``quiet`` ends the messages; when the input ends, or at a
SIGTERM, the server drains, and the process ends after it has logged what it has counted.
"""

from __future__ import annotations

import argparse
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installedReactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.stdio import StandardIO
from twisted.internet.task import LoopingCall
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data, File

from siotwisted import Config, Connection, QueueFull, SessionClosed, SocketIO, SocketIOResource, Undelivered

from .errors import logErrors
from .traffic import BEAT, Journal, Schedule

# Typed loosely: what it can do depends on the platform.
reactor: Any = installedReactor

#: Short times, so that much happens in a minute; in seconds.
TIMES = {
    "pingInterval": 1.0,
    "pingTimeout": 1.0,
    "heartbeatInterval": 1.0,
    "heartbeatTimeout": 1.0,
    "pollDuration": 1.0,
    "connectTimeout": 3.0,
    "upgradeTimeout": 2.0,
    "closeTimeout": 1.0,
    "reconnectTimeout": 4.0,
}


def identityOf(handshake: Any) -> str | None:
    """Who a client says that it is: in its query, in what it says when it joins, or in a cookie."""
    auth = handshake.auth if isinstance(handshake.auth, dict) else {}
    cookie = SimpleCookie(handshake.headers.get("cookie", "")).get("identity")
    return auth.get("id") or handshake.query.get("id") or (cookie.value if cookie else None)


class Application:
    """
    One server with its clients.

    :param journal: where everything is logged
    :param config: the server's settings
    """

    def __init__(self, journal: Journal, config: Config) -> None:
        self._journal = journal
        self._schedule = Schedule()
        self._present: dict[str, Connection] = {}
        self.sio = sio = SocketIO(reactor, config)
        sio.onConnect(self.joined)
        sio.onDisconnect(self.left)
        sio.on("say", self.heard)
        sio.onMessage(self.heard)
        sio.onAnyOutgoing(self.accepted)
        sio.onUndelivered(self.undelivered)
        self.beating = LoopingCall(self.beat)

    def joined(self, conn: Connection) -> None:
        """A client has come, maybe for the second time while the server waits for it."""
        identity = identityOf(conn.handshake)
        if identity is None:
            conn.close()
            return
        conn.data["identity"] = identity
        self._present[identity] = conn
        self._journal.write("open", identity, conn.id, conn.recovered)
        if self._schedule.inRoom(identity):
            conn.join("odd")

    def left(self, conn: Connection, reason: str) -> None:
        """A session has ended."""
        identity = conn.data.get("identity")
        if identity is None:
            return
        if self._present.get(identity) is conn:
            del self._present[identity]
        self._journal.write("end", identity, conn.id, reason)

    def heard(self, conn: Connection, value: Any) -> None:
        """A client's message has come."""
        self._journal.write("heard", conn.data.get("identity"), conn.id, value["n"])

    def accepted(self, conn: Connection, event: str, *arguments: Any) -> None:
        """A message was accepted for a client."""
        self._journal.write("accepted", identityOf(conn.handshake), conn.id, arguments[0]["k"])

    def undelivered(self, conn: Connection, entries: list[Undelivered], reason: str) -> None:
        """These were not confirmed, and will not be sent again."""
        for entry in entries:
            value: Any = entry.data[1] if isinstance(entry.data, list) else entry.data
            self._journal.write("undelivered", identityOf(conn.handshake), conn.id, value["k"], entry.sent, reason)

    def beat(self) -> None:
        """Send what is due."""
        schedule = self._schedule
        schedule.beats += 1
        for identity, conn in [*self._present.items()]:
            for number, message in enumerate(schedule.forOne(identity)):
                try:
                    # Clients of 0.6 know no events; both of the others' ways are used.
                    if conn.generation == "Socket.IO 0.6" or (number + schedule.beats) % 2:
                        conn.send(message)
                    else:
                        conn.emit("told", message)
                except (QueueFull, SessionClosed):
                    break
        everyone, room = schedule.forAll(), schedule.forRoom()
        if everyone is not None:
            self._journal.write("told", everyone["k"])
            self.sio.send(everyone)
        if room is not None:
            self._journal.write("told", room["k"])
            self.sio.to("odd").send(room)

    def stop(self, drainTimeout: float) -> Deferred[None]:
        """Send nothing more, and wait until all has ended."""
        if self.beating.running:
            self.beating.stop()
        return self.sio.stop(drainTimeout=drainTimeout)

    def finish(self) -> None:
        """Log what was counted."""
        self._journal.write("statistics", self.sio.statistics()._asdict())
        self._journal.close()


class Commands(LineReceiver):
    """What the test says on standard input."""

    delimiter = b"\n"

    def __init__(self, application: Application) -> None:
        self._application = application

    def lineReceived(self, line: bytes) -> None:
        """There is but one command."""
        if line == b"quiet" and self._application.beating.running:
            self._application.beating.stop()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The run is over."""
        if reactor.running:
            reactor.stop()


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description="The siotwisted server under test.")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--clients", required=True)
    parser.add_argument("--recovery", action="store_true")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--patience", type=float, default=1.0, help="all times but the last are so many times longer")
    parser.add_argument("--drain", type=float, default=1.0, help="in seconds")
    options = parser.parse_args()

    logErrors()
    recovery = 6.0 if options.recovery else None
    times: dict[str, Any] = {name: options.patience * seconds for name, seconds in TIMES.items()}
    config = Config(origins=["127.0.0.1:*"], identity=identityOf, recovery=recovery, **times)
    application = Application(Journal(options.log), config)
    root = Resource()
    root.putChild(b"", Data(b"<!DOCTYPE html><title>faults</title>", "text/html"))
    root.putChild(b"clients", File(options.clients, "text/javascript; charset=utf-8"))
    root.putChild(b"socket.io", SocketIOResource(application.sio))
    listening = TCP4ServerEndpoint(reactor, options.port, interface="127.0.0.1").listen(Site(root))
    listening.addCallback(lambda port: print(f"http://127.0.0.1:{port.getHost().port}/", flush=True))
    application.beating.start(BEAT * options.patience)
    reactor.addSystemEventTrigger("before", "shutdown", application.stop, options.drain)
    reactor.addSystemEventTrigger("after", "shutdown", application.finish)
    StandardIO(Commands(application))
    reactor.run()


if __name__ == "__main__":
    main()
