"""
Signs of life of the clients from 0.7 on: who asks, when, and what happens if nobody answers. Those of 0.6 are in
``tests.test_session``.
"""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.base import DelayedCall
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.config import Config
from siotwisted.dialects.dialect import Dialect, Heartbeat
from siotwisted.dialects.engineio import ENGINEIO_3, ENGINEIO_4
from siotwisted.dialects.socketio09 import SOCKETIO_09
from siotwisted.liveness import LIVENESS
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, Reason
from siotwisted.registry import SessionRegistry
from siotwisted.session import Session
from tests.fakes import (
    EnginePoll,
    EngineSocket,
    FakePoll,
    FakeReceiver,
    FakeStream,
    FakeTransport,
    FakeWebSocket,
    attach,
    connect,
    makeHandshake,
    makeRoute,
)

#: A short time that floats add up exactly, in seconds.
TICK = 2**-10


class LivenessCase(SynchronousTestCase):
    """A server whose times are easily told apart."""

    dialect: ClassVar[Dialect]

    def setUp(self) -> None:
        """Make it."""
        self.clock = Clock()
        self.make(pingInterval=25, pingTimeout=20)

    def make(self, **settings: Any) -> None:
        """Another one, with these settings."""
        self.receiver = FakeReceiver()
        self.registry = SessionRegistry(self.clock, Config(**settings), self.receiver)

    def poll(self) -> tuple[Session, EnginePoll]:
        """A client that knows its id, and whose poll is held."""
        session, _ = connect(self.registry, EnginePoll, dialect=self.dialect)
        self.clock.advance(0)
        return session, attach(session, EnginePoll)

    def socket(self) -> tuple[Session, EngineSocket]:
        """A client on a WebSocket, that has been greeted."""
        session, socket = connect(self.registry, EngineSocket, dialect=self.dialect)
        self.clock.advance(0)
        socket.writes.clear()
        return session, socket

    def assertEndsIn(self, session: Session, seconds: float, reason: Reason) -> None:
        """The session ends then and not before, once, and no timer is left."""
        self.clock.advance(seconds - TICK)
        self.assertEqual((session.closed, self.receiver.reasons), (False, []))
        self.clock.advance(TICK)
        self.assertEqual((session.closed, self.receiver.reasons), (True, [reason]))
        self.clock.advance(1000)
        self.assertEqual((self.receiver.reasons, self.clock.getDelayedCalls()), ([reason], []))


class ServerAsksTests(LivenessCase):
    """Clients 3.x and 4.x are asked, on polls and on WebSockets."""

    dialect = ENGINEIO_4

    def test_sooner(self) -> None:
        """
        A deadline that comes nearer has one alarm, in time. It is not looked for among those of all clients, as Twisted
        would do to move it.
        """
        session, _ = self.socket()
        self.patch(DelayedCall, "reset", None)
        for seconds in (100, 7, 50, 3):
            session._liveness.wakeIn(seconds)
        (alarm,) = self.clock.getDelayedCalls()
        self.assertEqual(alarm.getTime() - self.clock.seconds(), 3)

    def test_socket(self) -> None:
        """An interval after each answer the next question is due."""
        session, socket = self.socket()
        for number in range(1, 8):
            self.clock.advance(25 - TICK)
            self.assertEqual(socket.sent, ["2"] * (number - 1))
            self.clock.advance(TICK)
            self.assertEqual(socket.sent, ["2"] * number)
            self.clock.advance(20 - TICK if number % 2 else 0.5)
            socket.receive("3")
        self.assertEqual((session.closed, self.receiver.packets), (False, []))

    def test_firstQuestion(self) -> None:
        """The first interval begins with the session, not with what the client says."""
        session, socket = self.socket()
        self.clock.advance(20)
        socket.receive("40")
        self.clock.advance(5)
        self.assertEqual(socket.sent, ["2"])
        self.assertEndsIn(session, 20, Reason.PING_TIMEOUT)

    def test_noAnswer(self) -> None:
        """Without an answer the session ends, whatever else the client says."""
        session, socket = self.socket()
        self.clock.advance(25)
        for _ in range(19):
            self.clock.advance(1)
            socket.receive("40")
        self.assertEndsIn(session, 1, Reason.PING_TIMEOUT)
        self.assertTrue(socket.over)

    def test_unasked(self) -> None:
        """An answer that nobody asked for buys no time, and does no harm."""
        session, socket = self.socket()
        for _ in range(24):
            self.clock.advance(1)
            socket.receive("3")
        self.clock.advance(1)
        self.assertEqual(socket.sent, ["2"])
        self.assertEndsIn(session, 20, Reason.PING_TIMEOUT)

    def test_dataOfAnswer(self) -> None:
        """The text of an answer does not matter."""
        session, socket = self.socket()
        self.clock.advance(25)
        socket.receive("3anything")
        self.clock.advance(25)
        self.assertEqual((socket.sent, session.closed), (["2", "2"], False))

    def test_wrongDirection(self) -> None:
        """A client that asks does not speak this protocol."""
        session, socket = self.socket()
        socket.receive("2")
        self.assertEqual((session.closed, self.receiver.reasons), (True, [Reason.TRANSPORT_ERROR]))
        self.assertTrue(socket.over)

    def test_poll(self) -> None:
        """A poll is held until the question is due, which answers it; the client answers by a POST."""
        session, poll = self.poll()
        self.clock.advance(25 - TICK)
        self.assertEqual(poll.writes, [])
        self.clock.advance(TICK)
        self.clock.advance(0)
        self.assertEqual(poll.writes, [b"2"])
        poll = attach(session, EnginePoll)
        self.assertTrue(session.dataReceived("3"))
        self.clock.advance(25)
        self.clock.advance(0)
        self.assertEqual(poll.writes, [b"2"])

    def test_betweenPolls(self) -> None:
        """A question without a poll waits for one, and the timeout runs all the same."""
        session, poll = self.poll()
        session.send(Outgoing(Packet(Kind.EVENT, ["a"])))
        self.clock.advance(25)
        self.assertEqual(poll.writes, [b'42["a"]'])
        self.clock.advance(19)
        late = attach(session, EnginePoll)
        self.clock.advance(0)
        self.assertEqual(late.writes, [b"2"])
        self.assertEndsIn(session, 1, Reason.PING_TIMEOUT)

    def test_away(self) -> None:
        """A client that stops polling is gone when it does not answer."""
        session, poll = self.poll()
        session.send(Outgoing(Packet(Kind.EVENT, ["a"])))
        self.clock.advance(0)
        self.assertTrue(poll.over)
        self.clock.advance(25)
        self.assertEndsIn(session, 20, Reason.PING_TIMEOUT)

    def test_behindMessages(self) -> None:
        """The question is behind what waits, in the same write."""
        session, socket = self.socket()
        self.clock.rightNow += 25
        session.send(Outgoing(Packet(Kind.EVENT, ["a"])))
        self.clock.advance(0)
        self.assertEqual((socket.sent, len(socket.writes)), (['42["a"]', "2"], 1))

    def test_slowReader(self) -> None:
        """A client that reads too slowly is asked too, and has no more time for it than others."""
        session, socket = self.socket()
        socket.ready = False
        session.send(Outgoing(Packet(Kind.EVENT, ["a"])))
        self.clock.advance(25)
        self.assertEqual(socket.sent, ["2"])
        self.assertEndsIn(session, 20, Reason.PING_TIMEOUT)

    def test_moved(self) -> None:
        """A client that moves to a WebSocket may be asked on the one and answer on the other."""
        session, poll = self.poll()
        self.clock.advance(25)
        self.clock.advance(0)
        self.assertEqual(poll.writes, [b"2"])
        socket = EngineSocket(session)
        session.probe(socket)
        socket.receive("2probe", "5", "3")
        self.clock.advance(25)
        self.assertEqual(socket.sent, ["3probe", "2"])

    def test_closedBetween(self) -> None:
        """A session that ends while an answer is due leaves no timer."""
        session, _ = self.socket()
        self.clock.advance(30)
        session.close(Reason.FORCED_CLOSE)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_subSecond(self) -> None:
        """Times far below a second."""
        self.make(pingInterval=0.125, pingTimeout=0.0625)
        session, socket = self.socket()
        for number in range(1, 20):
            self.clock.advance(0.125)
            self.assertEqual(socket.sent, ["2"] * number)
            self.clock.advance(0.03125)
            socket.receive("3")
        self.clock.advance(0.125)
        self.assertEndsIn(session, 0.0625, Reason.PING_TIMEOUT)


class ClientAsksTests(LivenessCase):
    """Clients 1.x and 2.x ask, on polls and on WebSockets."""

    dialect = ENGINEIO_3

    def test_socket(self) -> None:
        """Every question is answered, with the same text, as often as the client likes."""
        session, socket = self.socket()
        for text in ("", "probe", "é", ""):
            socket.receive("2" + text)
            self.clock.advance(24)
        self.assertEqual((socket.sent, session.closed), (["3", "3probe", "3é", "3"], False))

    def test_silent(self) -> None:
        """A client that says nothing for both times together is gone; it is never asked."""
        session, socket = self.socket()
        self.assertEndsIn(session, 45, Reason.PING_TIMEOUT)
        self.assertEqual((socket.sent, socket.over), ([], True))

    def test_anything(self) -> None:
        """Anything that it says is a sign of life."""
        session, socket = self.socket()
        for _ in range(4):
            self.clock.advance(44)
            socket.receive('42["a"]')
        self.assertEndsIn(session, 45, Reason.PING_TIMEOUT)

    def test_posts(self) -> None:
        """A POST too; the answer to a question goes by the poll."""
        session, poll = self.poll()
        self.clock.advance(40)
        self.assertTrue(session.dataReceived("1:2"))
        self.clock.advance(0)
        self.assertEqual(poll.writes, [b"1:3"])
        self.assertEndsIn(session, 45, Reason.PING_TIMEOUT)

    def test_pollsAreNone(self) -> None:
        """Polls alone are none, for a page that hangs may have one."""
        session, poll = self.poll()
        self.clock.advance(30)
        session.send(Outgoing(Packet(Kind.EVENT, ["a"])))
        self.clock.advance(0)
        self.assertTrue(poll.over)
        attach(session, EnginePoll)
        self.assertEndsIn(session, 15, Reason.PING_TIMEOUT)

    def test_wrongDirection(self) -> None:
        """A client that answers, unasked, does not speak this protocol."""
        session, socket = self.socket()
        socket.receive("3")
        self.assertEqual((session.closed, self.receiver.reasons), (True, [Reason.TRANSPORT_ERROR]))
        self.assertTrue(socket.over)

    def test_flood(self) -> None:
        """A client that asks more than its queue holds, and takes no answers, is none."""
        self.make(queueMessages=5)
        session, socket = self.socket()
        socket.ready = False
        socket.receive(*["2"] * 5)
        self.assertFalse(session.closed)
        socket.receive("2", "2")
        self.assertEqual((session.closed, self.receiver.reasons), (True, [Reason.TRANSPORT_ERROR]))

    def test_unsayable(self) -> None:
        """A question with what no answer can hold ends the session, quietly."""
        session, socket = self.socket()
        socket.receive("2\ud800")
        self.assertEqual((session.closed, self.receiver.reasons), (True, [Reason.TRANSPORT_ERROR]))

    def test_subSecond(self) -> None:
        """Times far below a second."""
        self.make(pingInterval=0.125, pingTimeout=0.0625)
        session, socket = self.socket()
        for _ in range(10):
            self.clock.advance(0.125)
            socket.receive("2")
        self.assertEqual(len(self.receiver.reasons), 0)
        self.assertEndsIn(session, 0.1875, Reason.PING_TIMEOUT)


class ToldTests(LivenessCase):
    """Clients 0.7 to 0.9 are asked on streams, in times that they were told; polls are signs of life."""

    dialect = SOCKETIO_09

    def test_streams(self) -> None:
        """A question has no number, and any answer to it counts."""
        kinds: tuple[type[FakeTransport], ...] = (FakeStream, FakeWebSocket)
        for kind in kinds:
            session, stream = connect(self.registry, kind, dialect=self.dialect)
            for number in range(1, 5):
                self.clock.advance(25 - TICK)
                self.assertEqual(len(stream.writes), number - 1)
                self.clock.advance(TICK)
                self.assertEqual(stream.writes, [b"2::"] * number)
                self.clock.advance(19)
                self.assertTrue(session.dataReceived("2::" if number % 2 else "2:::"))
            session.close(Reason.SERVER_DISCONNECT)

    def test_noAnswer(self) -> None:
        """Without an answer the stream is cut, and the session with it: such a client never comes back to it."""
        session, stream = connect(self.registry, FakeStream, dialect=self.dialect)
        self.clock.advance(25)
        self.assertEndsIn(session, 20, Reason.PING_TIMEOUT)
        self.assertTrue(stream.aborted or stream.over)

    def test_unasked(self) -> None:
        """An answer that nobody asked for buys no time."""
        session, stream = connect(self.registry, FakeStream, dialect=self.dialect)
        self.clock.advance(24)
        session.dataReceived("2::")
        self.clock.advance(1)
        self.assertEqual(stream.writes, [b"2::"])

    def test_polls(self) -> None:
        """A poll is held for its time and ends with a packet that says nothing; a client that is away is waited for."""
        session, poll = connect(self.registry, FakePoll, dialect=self.dialect)
        self.clock.advance(20)
        self.assertEqual(poll.writes, [b"8::"])
        self.clock.advance(59)
        poll = attach(session, FakePoll)
        self.clock.advance(20)
        self.assertEqual(poll.writes, [b"8::"])
        self.assertEndsIn(session, 60, Reason.RECONNECT_TIMEOUT)

    def test_handshakeOnly(self) -> None:
        """A client that never comes with a transport is forgotten in the time for that."""
        self.make(connectTimeout=30)
        session = self.registry.open(makeRoute("", dialect=self.dialect), makeHandshake(""))
        session.expectTransport()
        self.clock.advance(30 - TICK)
        self.assertEqual((session.closed, len(self.registry)), (False, 1))
        self.clock.advance(TICK)
        self.assertEqual((session.closed, len(self.registry), self.clock.getDelayedCalls()), (True, 0, []))


class TableTests(SynchronousTestCase):
    """The table of ways."""

    def test_complete(self) -> None:
        """There is one for each that a dialect may name."""
        self.assertEqual(set(LIVENESS), set(Heartbeat))
