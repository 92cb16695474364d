"""
Clients that come back in another session and are known by who they are: what was unconfirmed goes on there.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from siotwisted import Config, Connection, DeliveryFailed, SocketIO
from siotwisted.handshake import Handshake
from siotwisted.ledger import Undelivered
from siotwisted.packets import Kind, Reason
from siotwisted.testing import ENGINEIO_3, ENGINEIO_4, SOCKETIO_06, SOCKETIO_09, MemoryPeer

#: What was reported: to whose id, the data and whether it was sent, and why.
Report = tuple[str, list[tuple[Any, bool]], Reason]


def whoever(handshake: Handshake) -> Hashable:
    """Who a client says that it is."""
    return handshake.query.get("who")


class AbsenceCase(SynchronousTestCase):
    """A server that knows its clients by what they say."""

    identity = staticmethod(whoever)

    def setUp(self) -> None:
        """Make it."""
        self.make()

    def make(self, **settings: Any) -> None:
        """Another one, with these settings; its application takes notes."""
        self.clock = Clock()
        self.clock.advance(1000)
        self.sio = SocketIO(self.clock, Config(**{"identity": self.identity, **settings}))
        self.connections: list[Connection] = []
        self.reasons: list[Reason] = []
        self.reports: list[Report] = []
        self.sio.onConnect(self.connections.append)
        self.sio.onDisconnect(lambda connection, reason: self.reasons.append(reason))
        self.sio.onUndelivered(self.report)

    def report(self, connection: Connection, entries: Sequence[Undelivered], reason: Reason) -> None:
        """Note what was reported."""
        self.reports.append((connection.id, [(each.data, each.sent) for each in entries], reason))

    def tearDown(self) -> None:
        """The books balance, and nothing is left when the server has stopped."""
        self.assertBalance()
        self.successResultOf(self.sio.stop())
        statistics = self.assertBalance()
        self.assertEqual((statistics, self.clock.getDelayedCalls()), ((0, 0, 0), []))

    def assertBalance(self) -> tuple[int, int, int]:
        """Each message is in one place; those that are pending, sessions and connections."""
        now = self.sio.statistics()
        self.assertEqual(now.accepted, now.confirmed + now.pending + now.undelivered + now.moved, now)
        return now.pending, now.sessions, now.connections

    def come(self, who: str | None = "a", dialect: Any = ENGINEIO_4) -> MemoryPeer:
        """A client comes and joins the root."""
        return MemoryPeer(self.sio, dialect, query={} if who is None else {"who": who})

    def emit(self, *events: str) -> None:
        """Send events to the client that came last."""
        for event in events:
            self.connections[-1].emit(event)
        self.clock.advance(0)


class AdoptionTests(AbsenceCase):
    """Who comes back."""

    def test_ended(self) -> None:
        """A client whose session has ended comes back in time: it gets what it had not confirmed, in order."""
        first = self.come()
        self.emit("a", "b")
        first.lose()
        self.clock.advance(59.9)
        self.assertEqual((self.reports, self.sio.statistics().pending), ([], 2))
        second = self.come()
        self.assertEqual((first.take(), second.take()), ([["a"], ["b"]],) * 2)
        self.assertEqual((self.reports, self.sio.statistics().moved), ([], 2))
        self.clock.advance(1000)
        self.assertEqual(self.reports, [])

    def test_endedUnsent(self) -> None:
        """So it does with what never left."""
        first = self.come()
        self.connections[0].emit("a")
        first.lose()
        self.assertEqual((first.take(), self.come().take()), ([], [["a"]]))

    def test_tooLate(self) -> None:
        """After that time the messages are reported, and nobody gets them."""
        first = self.come()
        self.emit("a")
        self.connections[0].emit("b")
        first.lose()
        self.clock.advance(60)
        report = (self.connections[0].id, [(["a"], True), (["b"], False)], Reason.TRANSPORT_CLOSE)
        self.assertEqual(self.reports, [report])
        self.assertEqual((self.come().take(), self.reports), ([], [report]))

    def test_confirmed(self) -> None:
        """What was confirmed does not come again, and without anything unconfirmed nobody is away."""
        first = self.come()
        self.emit("a")
        self.clock.advance(self.sio.config.pingInterval)
        self.assertEqual(self.sio.statistics().pending, 0)
        first.lose()
        self.assertEqual((first.take(), self.come().take()), ([["a"]], []))
        self.assertEqual(self.sio.statistics().moved, 0)

    def test_live(self) -> None:
        """A session that still lives ends; its client is told so that it does not come back by itself."""
        first = self.come()
        self.emit("a")
        second = self.come()
        self.assertEqual((first.take(), second.take()), ([["a"]], [["a"]]))
        self.assertEqual((first.closed, first.received[-1].kind), (True, Kind.DISCONNECT))
        self.assertEqual((self.reasons, self.reports, second.closed), ([Reason.ADOPTED], [], False))
        self.assertEqual((self.connections[0].connected, self.connections[1].connected), (False, True))

    def test_liveOfOldGenerations(self) -> None:
        """So it is in all generations; each gets what the other had, as far as it has words."""
        for dialect in (ENGINEIO_3, SOCKETIO_09, SOCKETIO_06):
            self.make()
            first = self.come(dialect=dialect)
            self.connections[0].send("a")
            self.clock.advance(0)
            second = self.come(dialect=dialect)
            self.assertEqual((first.take(), second.take()), ([["message", "a"]],) * 2, dialect.name)
            self.assertEqual((self.reasons, first.closed), ([Reason.ADOPTED], True))
            # A client of 0.9 takes a goodbye on its old connection for one on its new.
            told = any(packet.kind is Kind.DISCONNECT for packet in first.received)
            self.assertEqual(told, dialect is ENGINEIO_3)
            self.assertBalance()

    def test_otherGeneration(self) -> None:
        """What the client has no words for any more is reported."""
        self.come()
        self.connections[0].emit("a", b"\1")
        self.connections[0].send("b")
        self.clock.advance(0)
        second = self.come(dialect=SOCKETIO_06)
        self.assertEqual(second.take(), [["message", "b"]])
        self.assertEqual(self.reports, [(self.connections[0].id, [(["a", b"\1"], True)], Reason.ADOPTED)])

    def test_goodbye(self) -> None:
        """A page that is loaded again has said goodbye, too; one whom the application has thrown out is another."""
        first = self.come()
        self.emit("a")
        first.disconnect()
        first.close()
        self.assertEqual(self.come().take(), [["a"]])
        self.emit("b")
        self.connections[1].close()
        self.assertEqual([entries for _, entries, _ in self.reports], [[(["a"], True), (["b"], True)]])
        self.assertEqual(self.come().take(), [])

    def test_three(self) -> None:
        """It goes on as often as the client comes back."""
        self.come()
        self.emit("a")
        for number in range(3):
            peer = self.come()
            self.assertEqual(len(peer.take()), number + 1)
            self.emit("more")
            if number % 2:
                peer.lose()
        self.assertEqual(self.come().take(), [["a"], ["more"], ["more"], ["more"]])

    def test_twoWait(self) -> None:
        """A second absence of one name, without a return in between, gives the first up."""
        self.make(identity=lambda handshake: "same" if "who" in handshake.query else None)
        first = self.come()
        self.emit("a")
        first.lose()
        self.come(None)
        self.emit("x")
        self.assertEqual(self.reports, [])
        self.come().take()
        self.assertEqual(self.reports, [])


class OthersTests(AbsenceCase):
    """Who is somebody else."""

    def test_otherIdentity(self) -> None:
        """Somebody else gets nothing, and nobody is told to leave."""
        first = self.come("a")
        self.emit("secret")
        self.assertEqual((self.come("b").take(), first.closed), ([], False))
        first.lose()
        self.assertEqual(self.come("b").take(), [])
        self.clock.advance(60)
        self.assertEqual([entries for _, entries, _ in self.reports], [[(["secret"], True)]])

    def test_nobody(self) -> None:
        """Clients of whom the application does not know who they are are never the same; theirs is reported at once."""
        first = self.come(None)
        self.emit("a")
        first.lose()
        self.assertEqual([entries for _, entries, _ in self.reports], [[(["a"], True)]])
        self.assertEqual(self.come(None).take(), [])

    def test_equalButOther(self) -> None:
        """Keys are compared as those of a dict."""
        keys: list[Hashable] = [1, True, ("x", 1), ("x", 2)]
        self.make(identity=lambda handshake: keys.pop(0))
        self.come()
        self.emit("a")
        self.assertEqual(self.come().take(), [["a"]])
        self.emit("b")
        self.assertEqual(self.come().take(), [])
        self.assertEqual(self.come().take(), [])

    def test_raises(self) -> None:
        """If the application's function fails, the log has it, and the client is nobody."""

        def fail(handshake: Handshake) -> Hashable:
            raise ZeroDivisionError

        self.make(identity=fail)
        first = self.come()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.emit("a")
        first.lose()
        self.assertEqual((len(self.reports), self.come().take()), (1, []))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_unhashable(self) -> None:
        """Nor can it be anybody whose key can't be one of a dict."""
        self.make(identity=lambda handshake: [])
        with capturedLogs() as events:
            peer = self.come()
        self.assertEqual((list(peer.ids), self.sio.connections[peer.ids["/"]].identity), (["/"], None))
        lines = [formatEvent(event) for event in events if "key" in str(formatEvent(event))]
        self.assertEqual((len(lines), [event for event in events if "log_failure" in event]), (1, []))

    def test_auth(self) -> None:
        """What the client says when it joins can tell who it is."""
        self.make(identity=lambda handshake: handshake.auth and handshake.auth["who"])
        MemoryPeer(self.sio, auth={"who": "a"})
        self.emit("x")
        self.assertEqual(MemoryPeer(self.sio, auth={"who": "b"}).take(), [])
        self.assertEqual(MemoryPeer(self.sio).take(), [])
        self.emit("nobody's")
        self.assertEqual(MemoryPeer(self.sio, auth={"who": "a"}).take(), [["x"]])

    def test_namespaces(self) -> None:
        """Each namespace has its own, and gets its own."""
        chat = self.sio.of("/chat")
        found: list[Connection] = []
        chat.onConnect(found.append)
        first = self.come()
        first.connect("/chat")
        self.emit("a")
        found[0].emit("b")
        first.lose()
        second = self.come()
        self.assertEqual(second.take(), [["a"]])
        second.connect("/chat")
        self.assertEqual(second.take("/chat"), [["b"]])
        self.assertEqual((second.take(), self.reports), ([], []))

    def test_namespacesInPart(self) -> None:
        """What is claimed in one namespace alone is reported of the other when its time is over."""
        chat = self.sio.of("/chat")
        found: list[Connection] = []
        chat.onConnect(found.append)
        first = self.come()
        first.connect("/chat")
        self.emit("a")
        found[0].emit("b")
        self.clock.advance(0)
        second = self.come()
        self.assertEqual((second.take(), first.closed), ([["a"]], True))
        self.clock.advance(60)
        self.assertEqual(self.reports, [(found[0].id, [(["b"], True)], Reason.ADOPTED)])


class OrderTests(AbsenceCase):
    """What comes before what."""

    def test_handlers(self) -> None:
        """Right after the welcome, before what the connect handler sends, and what the old one's end says."""
        self.sio.onConnect(lambda connection: connection.emit("welcome"))

        @self.sio.onDisconnect
        def left(connection: Connection, reason: Reason) -> None:
            self.sio.emit("left")

        first = self.come()
        self.emit("a")
        second = self.come()
        self.assertEqual(first.take(), [["welcome"], ["a"]])
        self.assertEqual(second.received[0].kind, Kind.CONNECT)
        self.assertEqual(second.take(), [["welcome"], ["a"], ["welcome"]])

    def test_joiningWhileHeld(self) -> None:
        """Middleware that thinks keeps the messages with the old session until it has decided."""
        first = self.come()
        self.emit("a")
        decision: Deferred[None] = Deferred()
        self.sio.use(lambda connection: decision)
        second = self.come()
        self.assertEqual((second.take(), first.closed), ([], False))
        self.emit("b")
        decision.callback(None)
        self.assertEqual((second.take(), first.closed), ([["a"], ["b"]], True))

    def test_refused(self) -> None:
        """A client that is refused takes nothing, and ends nobody's session."""
        first = self.come()
        self.emit("a")

        @self.sio.use
        def refuse(connection: Connection) -> None:
            raise ZeroDivisionError

        self.assertEqual((self.come().take(), first.closed), ([], False))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_questionsAndAnswers(self) -> None:
        """Questions and answers are reported, and not moved: their numbers are new in every session."""
        self.sio.on("ask", lambda connection: "yes")
        first = self.come()
        answer = first.call("ask")
        self.assertEqual(self.successResultOf(answer), ["yes"])
        question = self.connections[0].call("q")
        self.emit("a")
        first.lose()
        self.failureResultOf(question)
        self.assertEqual(
            self.reports, [(self.connections[0].id, [(["yes"], True), (["q"], True)], Reason.TRANSPORT_CLOSE)]
        )
        self.assertEqual(self.come().take(), [["a"]])

    def test_deliver(self) -> None:
        """Who waits for a message to be confirmed waits on, whichever session confirms it."""
        first = self.come()
        self.patch(first, "_reply", lambda packet: None)
        waiting = self.connections[-1].deliverEvent("a")
        self.clock.advance(0)
        first.lose()
        self.assertNoResult(waiting)
        second = self.come()
        self.assertEqual((first.take(), second.take()), ([["a"]], [["a"]]))
        self.assertIsNone(self.successResultOf(waiting))

    def test_deliverTooLate(self) -> None:
        """It fails when nobody came in time."""
        first = self.come()
        waiting = self.connections[0].deliver("a")
        first.lose()
        self.assertNoResult(waiting)
        self.clock.advance(60)
        failure = self.failureResultOf(waiting, DeliveryFailed)
        self.assertEqual((failure.value.reason, failure.value.sent), (Reason.TRANSPORT_CLOSE, False))

    def test_stop(self) -> None:
        """When the server stops, what waits is reported at once."""
        first = self.come()
        self.emit("a")
        first.lose()
        self.successResultOf(self.sio.stop())
        self.assertEqual([entries for _, entries, _ in self.reports], [[(["a"], True)]])

    def test_limits(self) -> None:
        """What comes from another session is taken though the queue is full with it."""
        self.make(queueMessages=3)
        self.come()
        for number in range(3):
            self.emit(f"a{number}")
        first = self.connections[0]
        for number in range(3):
            first.emit(f"b{number}")
        second = self.come()
        self.assertEqual(len(second.take()), 6)
