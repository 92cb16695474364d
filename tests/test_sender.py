"""
What tells that a client has its messages, on every carrier of every generation; and what is sent again if nothing does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from siotwisted import Config, Connection, DeliveryFailed, QueueFull, SocketIO
from siotwisted.dialects.dialect import Dialect
from siotwisted.dialects.engineio import ENGINEIO_3, ENGINEIO_4
from siotwisted.dialects.socketio06 import SOCKETIO_06
from siotwisted.dialects.socketio09 import SOCKETIO_09
from siotwisted.interfaces import ISessionTransport
from siotwisted.outbox import Entry
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, Reason, messagePacket
from siotwisted.session import Session
from siotwisted.testing import MemoryPeer
from siotwisted.wire.sio06 import SIOCodec
from tests.fakes import (
    EnginePoll,
    EngineSocket,
    FakePoll,
    FakeStream,
    FakeTransport,
    FakeWebSocket,
    attach,
    connect,
    echo,
    messages,
    received,
)
from tests.sessioncase import TICK, SessionCase, frames, send
from tests.test_absences import AbsenceCase

#: What a payload of Engine.IO 3 is.
_PING3 = "1:2"


def event(*data: object) -> Outgoing:
    """An event."""
    return Outgoing(Packet(Kind.EVENT, list(data)))


class Choking(SIOCodec):
    """A codec of an application that raises what it must not: for heartbeats, and for one text."""

    name = "choking"

    def encode(self, outgoing: Outgoing) -> str:
        """See above."""
        if outgoing.packet.kind is Kind.HEARTBEAT or outgoing.packet.data == "bone":
            raise ZeroDivisionError
        return super().encode(outgoing)


class FenceCase(SessionCase):
    """A server whose sessions are looked into."""

    def come(self, dialect: Dialect, kind: type[Any]) -> tuple[Session, Any]:
        """A client that has been greeted, and holds a transport."""
        session, transport = connect(self.registry, kind, dialect=dialect)
        self.turn()
        if not kind.streaming:
            transport = attach(session, kind)
        transport.writes.clear()
        return session, transport

    def watched(self, session: Session, outgoing: Outgoing) -> Deferred[None]:
        """Send a packet that somebody wants to know of."""
        session.send(outgoing)
        return session.watch(session.outbox.last)

    def assertHas(self, session: Session, confirmed: int, pending: int) -> None:
        """So many messages are confirmed, and of so many nothing is known."""
        self.assertEqual((session.outbox.confirmed, session.outbox.pending), (confirmed, pending))


class PollTests(FenceCase):
    """Polls: the next one tells that the answer before was read."""

    KINDS: ClassVar[tuple[tuple[Dialect, type[FakeTransport]], ...]] = (
        (SOCKETIO_06, FakePoll),
        (SOCKETIO_09, FakePoll),
        (ENGINEIO_3, EnginePoll),
        (ENGINEIO_4, EnginePoll),
    )

    def test_large(self) -> None:
        """An answer has 1 MiB at most, and the next ones the rest: a client on a bad line gets on."""
        for dialect, kind in self.KINDS:
            session, poll = self.come(dialect, kind)
            for _ in range(25):
                session.send(Outgoing(messagePacket("x" * 100_000)))
            self.turn()
            sizes = [len(b"".join(poll.writes))]
            while session.outbox.waiting:
                poll = attach(session, kind)
                self.turn()
                sizes.append(len(b"".join(poll.writes)))
            self.assertEqual((len(sizes), max(sizes) < 1024 * 1024 + 1000), (3, True), (dialect.name, sizes))
            attach(session, kind)
            self.assertHas(session, 25, 0)

    def test_nobodyKnowsLate(self) -> None:
        """If nobody can know whether the last answer was read, the last words are not said, but reported with it."""

        class Doubtful(FakePoll):
            def tells(self, answered: ISessionTransport) -> bool | None:
                return None

        session, _ = self.come(SOCKETIO_09, FakePoll)
        session.send(Outgoing(messagePacket("a")))
        self.turn()
        session.send(Outgoing(messagePacket("b")))
        session.close(Reason.SERVER_DISCONNECT)
        late = attach(session, Doubtful)
        self.assertNotIn(b"b", b"".join(late.writes))
        self.assertEqual(self.receiver.settled, [(session.id, [("a", True), ("b", False)])])

    def test_next(self) -> None:
        """What the answer carried is confirmed by the next poll, and what came meanwhile is not."""
        for dialect, kind in self.KINDS:
            session, _first = self.come(dialect, kind)
            session.send(Outgoing(messagePacket("a")))
            self.assertHas(session, 0, 1)
            self.turn()
            self.assertHas(session, 0, 1)
            session.send(Outgoing(messagePacket("b")))
            attach(session, kind)
            self.assertHas(session, 1, 1)
            session.close(Reason.TRANSPORT_CLOSE)

    def test_emptyAnswer(self) -> None:
        """So does the poll after an answer that said nothing."""
        session, poll = self.come(SOCKETIO_06, FakePoll)
        send(session, "a")
        self.turn()
        poll = attach(session, FakePoll)
        self.clock.advance(self.config.pollDuration)
        self.assertEqual(poll.writes, [b""])
        attach(session, FakePoll)
        self.turn()
        self.assertHas(session, 1, 0)

    def test_repeated(self) -> None:
        """A poll that was answered and comes again has not been read: it gets the same messages, and the new ones."""
        for dialect, kind in self.KINDS:
            session, first = self.come(dialect, kind)
            session.send(Outgoing(messagePacket("a")))
            self.turn()
            session.send(Outgoing(messagePacket("b")))
            again = kind(session)
            again.told = False
            session.attach(again)
            self.turn()
            self.assertHas(session, 0, 2)
            self.assertEqual((len(first.writes), len(again.writes)), (1, 1))
            self.assertIn(b"a", again.writes[0])
            self.assertIn(b"b", again.writes[0])
            attach(session, kind)
            self.assertHas(session, 2, 0)
            session.close(Reason.TRANSPORT_CLOSE)

    def test_repeatedTwice(self) -> None:
        """However often it comes again."""
        session, _ = self.come(SOCKETIO_06, FakePoll)
        send(session, "a")
        self.turn()
        for _ in range(3):
            again = FakePoll(session)
            again.told = False
            session.attach(again)
            self.turn()
            self.assertEqual(again.writes, [frames("a")])

    def test_questionBesides(self) -> None:
        """A question that comes between two polls is asked once, though the answer before it was lost, and others."""
        session, _ = self.come(ENGINEIO_4, EnginePoll)

        def poll(told: bool) -> EnginePoll:
            """The client polls, and says whether it has read the last answer."""
            transport = EnginePoll(session)
            transport.told = told
            session.attach(transport)
            self.turn()
            return transport

        send(session, "a")
        self.turn()
        for told in (False, True):
            poll(told)
        send(session, "b")
        self.turn()
        session._liveness.ask()
        self.assertEqual(poll(False).writes[0].count(b"\x1e2"), 1)

    def test_unknown(self) -> None:
        """If nobody can know, the session ends, and the message is not sent again."""
        session, _ = self.come(SOCKETIO_09, FakePoll)
        send(session, "a")
        self.turn()
        other = FakePoll(session)
        other.told = None
        session.attach(other)
        self.assertEqual((session.closed, self.receiver.reasons), (True, [Reason.TRANSPORT_ERROR]))
        self.assertNotIn(b"a", b"".join(other.writes))
        self.assertEqual(self.receiver.settled, [(session.id, [("a", True)])])

    def test_held(self) -> None:
        """A second poll that comes while one is held, unanswered, tells nothing of what waits."""
        session, poll = self.come(SOCKETIO_06, FakePoll)
        send(session, "a")
        other = attach(session, FakePoll)
        self.turn()
        self.assertHas(session, 0, 1)
        self.assertEqual((poll.writes, other.writes), ([b""], [frames("a")]))

    def test_cutWhileHeld(self) -> None:
        """A poll that is lost while it is held has carried nothing."""
        session, poll = self.come(SOCKETIO_06, FakePoll)
        poll.connectionLost()
        send(session, "a")
        self.turn()
        back = attach(session, FakePoll)
        self.assertHas(session, 0, 1)
        self.turn()
        self.assertEqual(back.writes, [frames("a")])

    def test_otherTransport(self) -> None:
        """A stream that follows an answered poll tells nothing: it gets the messages again."""
        session, _ = self.come(SOCKETIO_06, FakePoll)
        send(session, "a")
        self.turn()
        stream = attach(session, FakeStream)
        self.turn()
        self.assertEqual((stream.writes, session.outbox.confirmed), ([frames("a")], 0))


class StreamTests(FenceCase):
    """Streams and WebSockets: the echo of the server's question."""

    def assertFence(
        self, session: Session, transport: Any, interval: float, asks: bytes, answer: Callable[[], object]
    ) -> None:
        """The answer confirms what came before the question, and nothing behind it."""
        session.send(Outgoing(messagePacket("a")))
        self.clock.advance(interval)
        self.assertIn(asks, transport.writes[-1])
        session.send(Outgoing(messagePacket("b")))
        self.turn()
        self.assertHas(session, 0, 2)
        answer()
        self.assertHas(session, 1, 1)
        answer()
        self.assertHas(session, 1, 1)
        transport.connectionLost()

    def test_06(self) -> None:
        """``~h~n`` of 0.6, on streams and WebSockets."""
        for kind in (FakeStream, FakeWebSocket):
            session, transport = self.come(SOCKETIO_06, kind)
            self.assertFence(session, transport, 10, b"~h~1", lambda s=session: s.dataReceived("~m~4~m~~h~1"))  # type: ignore[misc]

    def test_06wrong(self) -> None:
        """Another number is no answer."""
        session, _stream = self.come(SOCKETIO_06, FakeStream)
        send(session, "a")
        self.clock.advance(10)
        for wrong in ("~m~4~m~~h~2", "~m~4~m~~h~0", "~m~3~m~~h~"):
            session.dataReceived(wrong)
        self.assertHas(session, 0, 1)

    def test_09(self) -> None:
        """``2::`` of 0.7 to 0.9."""
        for kind in (FakeStream, FakeWebSocket):
            session, transport = self.come(SOCKETIO_09, kind)
            interval = self.config.pingInterval
            self.assertFence(session, transport, interval, b"2::", lambda s=session: s.dataReceived("2::"))  # type: ignore[misc]

    def test_engineIO4(self) -> None:
        """``2`` and ``3`` of Engine.IO 4."""
        session, socket = self.come(ENGINEIO_4, EngineSocket)
        self.assertFence(session, socket, self.config.pingInterval, b"2", lambda: socket.receive("3"))

    def test_engineIO4Poll(self) -> None:
        """There polls are asked as well; the next poll has confirmed before."""
        session, poll = self.come(ENGINEIO_4, EnginePoll)
        self.clock.advance(self.config.pingInterval)
        self.assertEqual(poll.writes, [b"2"])
        session.send(event("a"))
        poll = attach(session, EnginePoll)
        self.turn()
        self.assertHas(session, 0, 1)
        session.dataReceived("3")
        self.assertHas(session, 0, 1)
        attach(session, EnginePoll)
        self.assertHas(session, 1, 0)

    def test_otherTransport(self) -> None:
        """An answer that comes when the stream was replaced says nothing of the new one."""
        session, stream = self.come(SOCKETIO_06, FakeStream)
        send(session, "a")
        self.clock.advance(10)
        other = attach(session, FakeStream)
        self.turn()
        self.assertEqual(other.writes, [frames("a")])
        echo(stream)
        self.assertHas(session, 0, 1)

    def test_slowReader(self) -> None:
        """A question that overtakes what waits speaks only for what has left."""
        session, stream = self.come(SOCKETIO_06, FakeStream)
        send(session, "a")
        self.turn()
        stream.ready = False
        send(session, "b")
        self.clock.advance(10)
        self.assertEqual(received(stream), ["a", "1"])
        echo(stream)
        self.assertHas(session, 1, 1)

    def test_behindWhatWaits(self) -> None:
        """One that takes bytes gets what waits first, and then the question, in one write."""
        session, stream = self.come(SOCKETIO_06, FakeStream)
        self.clock.advance(10 - TICK)
        send(session, "a")
        self.clock.advance(TICK)
        self.assertEqual(received(stream), ["a", "1"])


class PingTests(FenceCase):
    """Engine.IO 3, whose clients ask themselves: their WebSockets are asked by a ping of RFC 6455."""

    def setUp(self) -> None:
        """A client on a WebSocket."""
        super().setUp()
        self.session, self.socket = self.come(ENGINEIO_3, EngineSocket)

    def ask(self) -> None:
        """The client asks; so do we."""
        self.socket.receive("2")
        self.turn()

    def test_pong(self) -> None:
        """The pong confirms what was handed over before the ping."""
        self.session.send(event("a"))
        self.turn()
        self.ask()
        (place,) = self.socket.pings
        self.session.send(event("b"))
        self.turn()
        self.assertHas(self.session, 0, 2)
        self.session.pongReceived(self.socket, place)
        self.assertHas(self.session, 1, 1)
        self.session.pongReceived(self.socket, place)
        self.assertHas(self.session, 1, 1)

    def test_nothingPending(self) -> None:
        """If nothing is unconfirmed it is not asked."""
        self.ask()
        self.assertEqual(self.socket.pings, [])

    def test_ownPackets(self) -> None:
        """It is asked about the library's own packets, too, which would pile up else."""
        self.session.tell(Outgoing(Packet(Kind.CONNECT, None, "/a")))
        self.turn()
        self.ask()
        self.assertEqual(self.socket.pings, [1])
        self.session.pongReceived(self.socket, 1)
        self.ask()
        self.assertEqual((self.socket.pings, self.session.outbox.unconfirmed), ([1], 0))

    def test_once(self) -> None:
        """Nor while it is being asked."""
        self.session.send(event("a"))
        self.turn()
        self.ask()
        self.ask()
        self.assertEqual(len(self.socket.pings), 1)

    def test_wrong(self) -> None:
        """A pong that says another place, or comes unasked, or from another socket, tells nothing."""
        self.session.send(event("a"))
        self.turn()
        for place in (0, 1, 2, 2**63):
            self.session.pongReceived(self.socket, place)
        self.assertHas(self.session, 0, 1)
        self.ask()
        (place,) = self.socket.pings
        for other in (place + 1, place - 1, 0):
            self.session.pongReceived(self.socket, other)
        self.session.pongReceived(EngineSocket(self.session), place)
        self.assertHas(self.session, 0, 1)
        self.session.pongReceived(self.socket, place)
        self.assertHas(self.session, 1, 0)

    def test_late(self) -> None:
        """One that comes when the session has ended harms nobody."""
        self.session.send(event("a"))
        self.turn()
        self.ask()
        (place,) = self.socket.pings
        self.session.close(Reason.SERVER_DISCONNECT)
        self.session.pongReceived(self.socket, place)
        self.assertEqual(self.receiver.settled, [(self.session.id, [(["a"], True)])])

    def test_polls(self) -> None:
        """Polls are not asked: they confirm by themselves."""
        session, poll = self.come(ENGINEIO_3, EnginePoll)
        session.send(event("a"))
        self.turn()
        session.dataReceived("1:2")
        poll = attach(session, EnginePoll)
        session.send(event("b"))
        session.dataReceived("1:2")
        self.turn()
        self.assertEqual(poll.pings, [])
        self.assertHas(session, 1, 1)

    def test_early(self) -> None:
        """Much that is unconfirmed, and ``deliver``, have it asked at once."""
        for number in range(256):
            self.session.send(event(number))
        self.turn()
        self.assertEqual(len(self.socket.pings), 1)
        self.session.pongReceived(self.socket, self.socket.pings[0])
        self.assertHas(self.session, 256, 0)
        waiting = self.watched(self.session, event("a"))
        self.turn()
        self.session.pongReceived(self.socket, self.socket.pings[1])
        self.assertIsNone(self.successResultOf(waiting))


class UpgradeTests(FenceCase):
    """``5``: the client has read its last poll."""

    def move(self, dialect: Dialect) -> None:
        session, poll = self.come(dialect, EnginePoll)
        session.send(event("a"))
        self.turn()
        self.assertEqual(len(poll.writes), 1)
        socket = EngineSocket(session)
        session.probe(socket)
        socket.receive("2probe")
        session.send(event("b"))
        self.turn()
        self.assertHas(session, 0, 2)
        socket.receive("5")
        self.assertHas(session, 1, 1)
        self.turn()
        self.assertEqual(socket.sent, ["3probe", '42["b"]'])
        session.close(Reason.TRANSPORT_CLOSE)

    def test_both(self) -> None:
        """It confirms what polls carried, and what waits goes by the WebSocket, in both revisions."""
        self.move(ENGINEIO_3)
        self.move(ENGINEIO_4)

    def test_fails(self) -> None:
        """A WebSocket that fails on the way confirms nothing."""
        session, _poll = self.come(ENGINEIO_4, EnginePoll)
        session.send(event("a"))
        self.turn()
        socket = EngineSocket(session)
        session.probe(socket)
        socket.receive("2probe")
        socket.connectionLost()
        self.assertHas(session, 0, 1)
        attach(session, EnginePoll)
        self.assertHas(session, 1, 0)


class OnceTests(FenceCase):
    """Who is being asked is not asked again."""

    def test_once(self) -> None:
        """However much follows, before the answer."""
        session, socket = self.come(ENGINEIO_4, EngineSocket)
        for _ in range(2):
            for _ in range(256):
                session.send(event("a"))
            self.turn()
        self.assertEqual(socket.sent.count("2"), 1)


class EarlyTests(FenceCase):
    """Questions before the heartbeat is due, on streams."""

    def test_messages(self) -> None:
        """At 256 messages that are unconfirmed, and not before; once, until it is answered."""
        session, stream = self.come(SOCKETIO_06, FakeStream)
        send(session, *range(255))
        self.turn()
        self.assertNotIn(b"~h~", b"".join(stream.writes))
        send(session, 255)
        self.turn()
        self.assertEqual(received(stream)[-2:], ["255", "1"])
        send(session, *range(300))
        self.turn()
        self.assertEqual(len(received(stream)) - len(messages(stream)), 1)
        echo(stream)
        self.assertHas(session, 256, 300)
        self.turn()
        self.assertEqual(received(stream)[-1], "2")
        echo(stream)
        self.assertHas(session, 556, 0)
        self.clock.advance(10 - TICK)
        self.assertEqual(len(received(stream)) - len(messages(stream)), 2)

    def test_bytes(self) -> None:
        """At 256 KiB alike."""
        session, stream = self.come(SOCKETIO_06, FakeStream)
        text = "x" * (64 * 1024)
        send(session, *[text] * 3)
        self.turn()
        self.assertNotIn(b"~h~", b"".join(stream.writes))
        send(session, text)
        self.turn()
        self.assertEqual(received(stream)[-1], "1")

    def test_quarter(self) -> None:
        """At a quarter of what may be unconfirmed, if that is less."""
        self.registry.config = Config(queueBytes=400)
        session, stream = self.come(SOCKETIO_06, FakeStream)
        send(session, "x" * 100)
        self.turn()
        self.assertEqual(received(stream), ["x" * 100])
        send(session, "y")
        self.turn()
        self.assertEqual(received(stream)[1:], ["y", "1"])

    def test_polls(self) -> None:
        """Polls are not asked."""
        session, poll = self.come(SOCKETIO_06, FakePoll)
        send(session, *range(500))
        self.turn()
        self.assertEqual(received(poll), [str(number) for number in range(500)])

    def test_deliver(self) -> None:
        """Whoever waits for one message has the client asked, behind it."""
        session, stream = self.come(SOCKETIO_06, FakeStream)
        waiting = self.watched(session, Outgoing(messagePacket("a")))
        self.turn()
        self.assertEqual(received(stream), ["a", "1"])
        self.assertNoResult(waiting)
        echo(stream)
        self.assertIsNone(self.successResultOf(waiting))

    def test_deliverWhileAsked(self) -> None:
        """If it is being asked already, it is asked again when it has answered."""
        session, stream = self.come(SOCKETIO_06, FakeStream)
        self.clock.advance(10)
        waiting = self.watched(session, Outgoing(messagePacket("a")))
        self.turn()
        self.assertEqual(received(stream), ["1", "a"])
        echo(stream)
        self.assertNoResult(waiting)
        self.assertEqual(received(stream), ["1", "a", "2"])
        echo(stream)
        self.assertIsNone(self.successResultOf(waiting))

    def test_codecFails(self) -> None:
        """A codec that fails ends the session, and nobody is asked."""
        session, stream = self.come(SOCKETIO_06, FakeStream)
        self.watched(session, Outgoing(messagePacket("a"))).addErrback(lambda _: None)

        def fail(chunks: object, binary: bool = False) -> None:
            raise ZeroDivisionError

        stream.write = fail
        self.turn()
        self.assertEqual(self.receiver.reasons, [Reason.TRANSPORT_ERROR])
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))

    def test_codecFailsToAsk(self) -> None:
        """One that has no words for the question ends its own session; those who are to be written to next are."""
        choking, _stream = connect(self.registry, FakeStream, Choking)
        session, stream = self.come(SOCKETIO_06, FakeStream)
        choking.watch(choking.send(Outgoing(messagePacket("a")))).addErrback(lambda _: None)
        send(session, "b")
        self.turn()
        self.assertEqual((choking.closed, self.receiver.reasons), (True, [Reason.TRANSPORT_ERROR]))
        send(session, "c")
        self.turn()
        self.assertEqual((messages(stream), session.outbox.waiting), (["b", "c"], 0))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class WindowTests(FenceCase):
    """How much may be on its way."""

    options: ClassVar[dict[str, Any]] = {"queueMessages": 50, "queueBytes": 100}

    def test_bytes(self) -> None:
        """On a stream no more than the queue's bytes are handed over and unconfirmed; the rest waits, in order."""
        session, stream = self.come(SOCKETIO_06, FakeStream)
        sent = [f"{number:08}" for number in range(21)]
        for start in (0, 10):
            send(session, *sent[start : start + 10])
            self.turn()
        self.assertEqual(len(messages(stream)), 12)
        self.assertEqual(session.outbox.waiting, 8)
        send(session, sent[20])
        self.turn()
        self.assertEqual(len(messages(stream)), 12)
        echo(stream)
        self.turn()
        echo(stream)
        self.turn()
        self.assertEqual(messages(stream), sent)

    def test_full(self) -> None:
        """When both are full a message is refused, and the log says so."""
        session, stream = self.come(SOCKETIO_06, FakeStream)
        with capturedLogs() as events, self.assertRaises(QueueFull):
            for number in range(100):
                send(session, f"{number:08}")
        self.assertEqual(len(events), 1)
        echo(stream)
        send(session, "again")

    def test_polls(self) -> None:
        """A poll takes all."""
        session, poll = self.come(SOCKETIO_06, FakePoll)
        send(session, *range(10))
        self.turn()
        back = attach(session, FakePoll)
        send(session, *range(11))
        self.turn()
        self.assertEqual(len(received(poll, back)), 21)

    def test_largest(self) -> None:
        """One message that fills it alone leaves when nothing else is on its way."""
        session, stream = self.come(SOCKETIO_06, FakeStream)
        send(session, "x" * 100)
        self.turn()
        send(session, "y" * 100)
        self.turn()
        self.assertEqual(messages(stream), ["x" * 100])
        echo(stream)
        self.turn()
        self.assertEqual(messages(stream), ["x" * 100, "y" * 100])


class VolatileTests(FenceCase):
    """What may be lost."""

    options: ClassVar[dict[str, Any]] = {"queueBytes": 100}

    def volatile(self, session: Session, text: str) -> int:
        """Send it, and tell its place."""
        return session.outbox.last if session.send(Outgoing(messagePacket(text)), volatile=True) else 0

    def test_dropped(self) -> None:
        """It is counted as dropped, and has no place, if the client is not there, or does not read, or answer."""
        session, stream = self.come(SOCKETIO_06, FakeStream)
        self.assertGreater(self.volatile(session, "a"), 0)
        self.turn()
        stream.ready = False
        self.assertEqual(self.volatile(session, "b"), 0)
        stream.ready = True
        self.turn()
        self.assertGreater(session.outbox.dropped, 0)
        send(session, "x" * 99)
        self.turn()
        self.assertFalse(session.outbox.open)
        self.assertEqual(self.volatile(session, "c"), 0)
        echo(stream)
        self.assertGreater(self.volatile(session, "d"), 0)
        self.turn()
        stream.connectionLost()
        self.assertEqual(self.volatile(session, "e"), 0)
        self.assertEqual(messages(stream), ["a", "x" * 99, "d"])

    def test_full(self) -> None:
        """So it is if the queue is full: nothing is raised, and nothing logged."""
        session, _stream = self.come(SOCKETIO_06, FakeStream)
        send(session, "a")
        self.turn()
        send(session, "x" * 100)
        with capturedLogs() as events:
            self.assertEqual(self.volatile(session, "b"), 0)
        self.assertEqual((events, session.outbox.dropped), ([], 1))

    def test_notAgain(self) -> None:
        """One whose transport fails before it is confirmed is not sent again."""
        session, stream = self.come(SOCKETIO_06, FakeStream)
        send(session, "a")
        self.volatile(session, "b")
        send(session, "c")
        self.turn()
        stream.connectionLost()
        back = attach(session, FakeStream)
        self.turn()
        self.assertEqual((messages(stream), messages(back)), (["a", "b", "c"], ["a", "c"]))
        self.assertEqual((session.outbox.accepted, session.outbox.dropped), (2, 1))


class BesideTests(FenceCase):
    """What else."""

    def test_watchClosed(self) -> None:
        """Whoever waits for a message of a session that has ended has waited in vain."""
        session, _ = self.come(SOCKETIO_06, FakeStream)
        session.close(Reason.SERVER_DISCONNECT)
        failure = self.failureResultOf(session.watch(1), DeliveryFailed)
        self.assertEqual(failure.value.reason, Reason.SERVER_DISCONNECT)

    def test_inherit(self) -> None:
        """What another session had is taken over in order; what there are no words for comes back."""
        session, stream = self.come(SOCKETIO_06, FakeStream)
        waiting: Deferred[None] = Deferred()
        entries = [
            Entry(Outgoing(messagePacket("a")), True, waiting),
            Entry(Outgoing(messagePacket(b"\1")), True),
            Entry(Outgoing(messagePacket("b")), False),
        ]
        self.assertEqual(session.inherit(entries), [entries[1]])
        self.turn()
        self.assertEqual(messages(stream), ["a", "b"])
        echo(stream)
        self.assertIsNone(self.successResultOf(waiting))

    def test_drain(self) -> None:
        """Whether a client has all; one on a stream is asked, one that polls or is away is not."""
        session, stream = self.come(SOCKETIO_06, FakeStream)
        self.assertTrue(session.drain())
        self.assertEqual(stream.writes, [])
        send(session, "a")
        self.assertFalse(session.drain())
        self.assertEqual(received(stream), ["a", "1"])
        echo(stream)
        self.assertTrue(session.drain())
        other, poll = self.come(SOCKETIO_06, FakePoll)
        send(other, "a")
        self.assertFalse(other.drain())
        poll.connectionLost()
        self.assertFalse(other.drain())
        self.assertEqual(poll.writes, [])


class ChokingTests(AbsenceCase):
    """One message that a codec fails at."""

    def choking(self) -> FakeStream:
        """A client whose codec does, on a stream."""
        _session, stream = connect(self.sio.registry, FakeStream, Choking, who="a")
        self.clock.advance(0)
        return stream

    def test_inherit(self) -> None:
        """If it was another session's it is reported; the client is let in, and gets the others."""
        first = self.come(dialect=SOCKETIO_06)
        for text in ("a", "bone", "b"):
            self.connections[0].send(text)
        first.lose()
        stream = self.choking()
        self.assertEqual((messages(stream)[1:], len(self.connections)), (["a", "b"], 2))
        self.assertEqual(self.reports, [(self.connections[0].id, [("bone", False)], Reason.ADOPTED)])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_broadcast(self) -> None:
        """If it is for many, it goes on to the others."""
        stream, other = self.choking(), self.come("b")
        self.assertEqual(self.successResultOf(self.sio.send("bone")), (1, 1, 0))
        self.sio.send("a")
        self.clock.advance(0)
        self.assertEqual((messages(stream)[1:], other.take()), (["a"], [["message", "bone"], ["message", "a"]]))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class AnswerTests(SynchronousTestCase):
    """An ack is an answer like any other."""

    def test_ack(self) -> None:
        """It confirms the event, and all that came before it, and nothing behind it."""
        clock = Clock()
        sio = SocketIO(clock)
        found: list[Connection] = []
        sio.onConnect(found.append)
        peer = MemoryPeer(sio)
        (connection,) = found
        connection.emit("a")
        question = connection.call("q")
        connection.emit("b")
        clock.advance(0)
        self.assertEqual(sio.statistics().confirmed, 0)
        peer.answer(peer.received[-2], "yes")
        self.assertEqual(self.successResultOf(question), "yes")
        self.assertEqual((sio.statistics().confirmed, sio.statistics().pending), (2, 1))

    def test_broadcast(self) -> None:
        """So it is with a question to many."""
        clock = Clock()
        sio = SocketIO(clock)
        peers = [MemoryPeer(sio), MemoryPeer(sio)]
        sio.emit("a")
        sio.call("q")
        clock.advance(0)
        peers[0].answer(peers[0].received[-1], 1)
        self.assertEqual((sio.statistics().confirmed, sio.statistics().pending), (2, 2))
