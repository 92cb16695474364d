"""
Applications that act at once when they hear something, while the server is in the midst of what it tells them of: they
broadcast, close clients, or stop the server. No message is lost, and none comes out of order.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from siotwisted import Connection
from siotwisted.dialects.engineio import ENGINEIO_3
from siotwisted.packets import Reason
from siotwisted.testing import MemoryPeer
from tests.fakes import EngineSocket
from tests.sessioncase import TICK
from tests.test_absences import AbsenceCase
from tests.test_drain import DrainCase
from tests.test_recovery import Peer, RecoveryCase
from tests.test_sender import FenceCase, event


class RecoveringTests(RecoveryCase):
    """While a client comes back by its private id, the application hears that it has a message."""

    def delivered(self, then: Any) -> Peer:
        """A client that has read a message, and is cut off before it said so; then this is done when it says so."""
        peer = self.come()
        self.connections[0].deliver("a").addCallback(lambda _: then())
        self.assertEqual(peer.take()[0], '42["message","a","1"]')
        peer.lose()
        return peer

    def test_broadcast(self) -> None:
        """What is then sent to all is for the client that is just coming back, too."""
        peer = self.delivered(lambda: self.sio.emit("news"))
        self.assertRecovered(peer, self.back(peer), '42["news","2"]')

    def test_stop(self) -> None:
        """If the server stops then, what the client missed is reported, once, and nobody stays in the rooms."""
        peer = self.delivered(self.sio.stop)
        self.sio.emit("missed")
        self.back(peer)
        self.assertEqual(self.reports, [([(["missed"], True)], Reason.SERVER_SHUTTING_DOWN)])
        self.assertEqual((self.sio.connections, self.sio._core.rooms.members), ({}, {}))


class AdoptingTests(AbsenceCase):
    """While a client's messages move to its new session, the application hears that the old one has ended."""

    def test_stop(self) -> None:
        """If the server stops then, the messages are reported, and the new session is not let in."""
        first = self.come()
        self.emit("a")
        self.sio.onDisconnect(lambda connection, reason: self.sio.stop())
        second = self.come()
        self.assertEqual((first.closed, second.closed, len(self.connections)), (True, True, 1))
        self.assertEqual(self.reports, [(self.connections[0].id, [(["a"], True)], Reason.ADOPTED)])
        self.assertEqual((self.sio.connections, self.sio._core.rooms.members), ({}, {}))

    def test_otherNamespace(self) -> None:
        """
        If another namespace lets the new session in then, and so wants its messages of the same old one, those that
        were promised to the first are not forgotten: each message has come, or is reported.
        """
        self.make(identity=lambda handshake: handshake.auth and handshake.auth["who"])
        one, two = self.sio.of("/one"), self.sio.of("/two")
        first, decision = MemoryPeer(self.sio), Deferred[None]()
        for namespace in (one, two):
            first.connect(namespace.name, {"who": "x"})
            namespace.emit(namespace.name)
        two.use(lambda connection: decision)

        @one.onDisconnect
        def left(connection: Connection, reason: Reason) -> None:
            if not decision.called:
                decision.callback(None)

        second = MemoryPeer(self.sio)
        second.connect("/two", {"who": "x"})
        second.connect("/one", {"who": "x"})
        self.clock.advance(self.sio.config.reconnectTimeout)
        reported = [data for _, entries, _ in self.reports for data, _ in entries]
        self.assertEqual(second.take("/one"), [["/one"]])
        self.assertEqual(second.take("/two") + reported, [["/two"]])


class FullTests(RecoveryCase):
    """Who is away gets more than is kept: the application hears of what was given up, and sends to all again."""

    def overflow(self, *full: int) -> list[Peer]:
        """Two clients that are away, of whom these have all that is kept; then a broadcast, and another one within."""
        self.make(queueMessages=2)
        peers = [self.come(), self.come()]
        for number in full:
            self.connections[number].join("full")
        for peer in peers:
            peer.lose()
        for _ in range(2):
            self.sio.to("full").emit("fill")
        self.sio.onUndelivered(lambda *report: self.sio.emit("inner") if len(self.reports) == 1 else None)
        self.sio.emit("outer")
        return peers

    def assertReported(self, *names: list[str]) -> None:
        """So many clients lost these events."""
        self.assertEqual([[data[0] for data, _ in entries] for entries, _ in self.reports], [*names])

    def test_one(self) -> None:
        """If one is full, the other gets both in the order in which they were sent, and with rising stamps."""
        _, peer = self.overflow(0)
        self.assertReported(["fill", "fill", "outer"])
        self.assertRecovered(peer, self.back(peer, None), '42["outer","3"]', '42["inner","4"]')

    def test_both(self) -> None:
        """If both are, all is reported of both; of the second, whose end nobody has heard of yet, the inner one too."""
        self.overflow(0, 1)
        self.assertReported(["fill", "fill", "outer"], ["fill", "fill", "outer", "inner"])


class LiveTests(RecoveryCase):
    """Clients that are there."""

    def test_broadcast(self) -> None:
        """A handler that hears of a broadcast and sends another one does not overtake it for anybody."""
        peers = [self.come(), self.come(), self.come()]

        @self.sio.onAnyOutgoing
        def audit(connection: Connection, name: str, *arguments: object) -> None:
            if (name, connection) == ("outer", self.connections[1]):
                self.sio.emit("audit")

        self.sio.emit("outer")
        for peer in peers:
            self.assertEqual(peer.take(), ['42["outer","1"]', '42["audit","2"]'])

    def test_confirmedWithin(self) -> None:
        """A message that a client has confirmed when its sender begins to wait for that is no less delivered."""
        self.make(queueMessages=3)
        peer = MemoryPeer(self.sio)

        @self.sio.onAnyOutgoing
        def fill(connection: Connection, name: str, *arguments: object) -> None:
            if arguments == ("a",):
                connection.emit("b")
                connection.deliver("c")
                connection.emit("makes room")

        delivered = self.connections[0].deliver("a")
        self.assertIsNone(self.successResultOf(delivered))
        peer.lose()


class PingTests(FenceCase):
    """A client of Engine.IO 3 asks, and so is asked itself."""

    def test_close(self) -> None:
        """If its answer has the application close the session, the client has its own answer before the end."""
        session, socket = self.come(ENGINEIO_3, EngineSocket)
        self.patch(socket, "ping", lambda place: session.pongReceived(socket, place))
        session.send(event("a"))
        place = session.outbox.last
        self.turn()
        session.watch(place).addCallback(lambda _: session.close(Reason.SERVER_DISCONNECT))
        socket.receive("2")
        self.assertEqual((socket.sent, self.receiver.reasons), (['42["a"]', "3"], [Reason.SERVER_DISCONNECT]))


class StoppingTests(DrainCase):
    """The server stops."""

    def test_answersWithin(self) -> None:
        """A client that answers and leaves at once does not end the wait for another one, who is between two polls."""
        poll = self.poll()
        poll.connectionLost()
        self.connections[0].send("waits")
        MemoryPeer(self.sio)
        self.connections[1].deliver("a").addCallback(lambda _: self.connections[1].close())
        stopped = self.sio.stop(10)
        self.assertEqual(self.reasons, [Reason.SERVER_DISCONNECT])
        self.assertNoResult(stopped)
        self.clock.advance(10 - TICK)
        self.assertNoResult(stopped)
        self.clock.advance(TICK)
        self.assertIsNone(self.successResultOf(stopped))
        self.assertEqual(self.reports, [[("waits", False)]])


class LastTests(AbsenceCase):
    """The last client leaves."""

    def test_stop(self) -> None:
        """If the server stops when it hears that, nobody is waited for: the messages are reported at once."""
        peer = self.come()
        self.emit("a")
        self.sio.onDisconnect(lambda connection, reason: self.sio.stop())
        peer.lose()
        self.assertEqual(self.reports, [(self.connections[0].id, [(["a"], True)], Reason.TRANSPORT_CLOSE)])
        self.assertEqual((self.sio.statistics().pending, self.clock.getDelayedCalls()), (0, []))
