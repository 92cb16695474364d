"""
What becomes of messages that were not delivered: who is told, of what, in which order; and that the books balance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from siotwisted import Config, Connection, DeliveryFailed, QueueFull, SessionClosed, SocketIO
from siotwisted.dialects.engineio import ENGINEIO_4
from siotwisted.ledger import Undelivered
from siotwisted.packets import Kind, Packet, Reason
from siotwisted.testing import MemoryPeer
from tests.fakes import EnginePoll, EngineSocket, FakePoll, FakeStream, attach, connect, echo


class LedgerCase(SynchronousTestCase):
    """A server whose application takes notes."""

    def setUp(self) -> None:
        """Make it."""
        self.clock = Clock()
        self.sio = SocketIO(self.clock)
        self.connections: list[Connection] = []
        self.told: list[Any] = []
        self.sio.onConnect(self.connections.append)

    def note(self, connection: Connection, entries: Sequence[Undelivered], reason: Reason) -> None:
        """Note what was reported."""
        self.told.append((connection, entries, reason))

    def turn(self) -> None:
        """The reactor's turn ends."""
        self.clock.advance(0)

    def socket(self) -> EngineSocket:
        """A client of today that has joined the root, and answers nothing."""
        _, socket = connect(self.sio.registry, EngineSocket, dialect=ENGINEIO_4)
        socket.receive("40")
        self.turn()
        return socket

    def poll(self) -> FakePoll:
        """One of 0.6, whose second poll is held."""
        session, _ = connect(self.sio.registry, FakePoll)
        self.turn()
        return attach(session, FakePoll)

    @property
    def connection(self) -> Connection:
        """The connection that came last."""
        return self.connections[-1]


class UndeliveredTests(LedgerCase):
    """``onUndelivered``."""

    def setUp(self) -> None:
        """Have a handler."""
        super().setUp()
        self.assertEqual(self.sio.onUndelivered(self.note), self.note)

    def test_entries(self) -> None:
        """Data, whether it was sent, and the packet, of messages, events and answers, in order, after the end."""
        happened: list[str] = []
        self.sio.onDisconnect(lambda connection, reason: happened.append("disconnect"))
        self.sio.onUndelivered(lambda connection, entries, reason: happened.append("undelivered"))
        self.sio.on("ask", lambda connection: ("yes", 1))
        socket = self.socket()
        self.connection.send("text")
        self.connection.send({"a": 1})
        socket.receive('427["ask"]')
        self.turn()
        self.connection.emit("event", 2)
        socket.connectionLost()
        self.assertEqual(happened, ["disconnect", "undelivered"])
        ((connection, entries, reason),) = self.told
        self.assertIs(connection, self.connection)
        self.assertEqual(reason, Reason.TRANSPORT_CLOSE)
        self.assertEqual(
            entries,
            [
                Undelivered("text", True, Packet(Kind.MESSAGE, "text")),
                Undelivered({"a": 1}, True, Packet(Kind.JSON, {"a": 1})),
                Undelivered(["yes", 1], True, Packet(Kind.ACK, ["yes", 1], "/", 7)),
                Undelivered(["event", 2], False, Packet(Kind.EVENT, ["event", 2])),
            ],
        )

    def test_nothing(self) -> None:
        """Nobody is told of nothing: of sessions that had all, of what the library says, of what was volatile."""
        self.socket().connectionLost()
        socket = self.socket()
        self.connection.emit("a")
        self.clock.advance(self.sio.config.pingInterval)
        socket.receive("3")
        socket.connectionLost()
        self.socket().receive("41")
        self.clock.advance(1000)
        self.assertEqual(self.told, [])

    def test_volatile(self) -> None:
        """What was sent as one that may be lost was not promised."""
        socket = self.socket()
        self.sio.volatile().emit("a")
        self.turn()
        socket.connectionLost()
        now = self.sio.statistics()
        self.assertEqual(now.accepted, now.confirmed + now.undelivered)

    def test_namespaces(self) -> None:
        """Each connection is told of its own, once; one that has left its namespace before, too."""
        for name in ("/chat", "/news"):
            self.sio.of(name).onConnect(self.connections.append)
        socket = self.socket()
        socket.receive("40/chat,", "40/news,")
        root, chat, news = self.connections
        for connection in (news, root, chat, news):
            connection.emit("to", connection.core.name)
        self.turn()
        socket.receive("41/news,")
        self.assertEqual(self.told, [])
        socket.connectionLost()
        told = {connection: [each.data[1] for each in entries] for connection, entries, _ in self.told}
        self.assertEqual(told, {root: ["/"], chat: ["/chat"], news: ["/news", "/news"]})
        self.assertEqual(len(self.told), 3)

    def test_late(self) -> None:
        """A client that was away when its session was closed has some time to come for the rest; then it is told."""
        poll = self.poll()
        poll.connectionLost()
        self.connection.send("a")
        self.connection.close()
        self.assertEqual(self.told, [])
        self.clock.advance(self.sio.config.closeTimeout)
        self.assertEqual(
            [(entries[0][:2], reason) for _, entries, reason in self.told],
            [(("a", False), "server namespace disconnect")],
        )

    def test_confirmedInTheEnd(self) -> None:
        """A client that polls once more for the last words has read what the answer before carried."""
        session, _ = connect(self.sio.registry, EnginePoll, dialect=ENGINEIO_4)
        self.turn()
        session.dataReceived("40")
        attach(session, EnginePoll)
        self.turn()
        poll = attach(session, EnginePoll)
        self.connection.emit("a")
        self.turn()
        self.assertEqual(poll.writes, [b'42["a"]'])
        session.close(Reason.SERVER_DISCONNECT)
        self.assertEqual(self.sio.statistics().pending, 1)
        last = attach(session, EnginePoll)
        self.assertEqual(last.writes, [b"1"])
        self.assertEqual((self.sio.statistics()[:4], self.told), ((1, 1, 0, 0), []))

    def test_fails(self) -> None:
        """A handler that fails is logged; the others are called, and so are who wait."""

        @self.sio.onUndelivered
        def fail(connection: Connection, entries: list[Undelivered], reason: Reason) -> None:
            raise ZeroDivisionError

        after: list[object] = []
        self.sio.onUndelivered(lambda *arguments: after.append(arguments))
        socket = self.socket()
        waiting = self.connection.deliver("a")
        self.turn()
        socket.connectionLost()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((len(self.told), len(after)), (1, 1))
        self.failureResultOf(waiting, DeliveryFailed)

    def test_sendsWithin(self) -> None:
        """A handler may send them to others, or close."""
        socket, other = self.socket(), self.socket()

        @self.sio.onUndelivered
        def again(connection: Connection, entries: list[Undelivered], reason: Reason) -> None:
            for entry in entries:
                self.connections[1].emit(*entry.data)

        self.connections[0].emit("a")
        self.turn()
        socket.connectionLost()
        self.turn()
        self.assertEqual(other.sent[-1], '42["a"]')

    def test_everyReason(self) -> None:
        """Whatever ends a session, it is told, once."""
        for reason in Reason:
            socket = self.socket()
            self.connection.emit("a")
            self.turn()
            self.connection.session.close(reason)
            if not socket.over:
                socket.connectionLost()
            self.clock.advance(60)
            self.assertEqual([each[2] for each in self.told], [reason])
            self.told.clear()


class LogTests(LedgerCase):
    """Without a handler."""

    def lines(self, messages: int, sent: bool) -> list[tuple[LogLevel, str]]:
        """What the log has of a client that leaves with so many messages."""
        socket = self.socket()
        for number in range(messages):
            self.connection.emit("secret", number)
        if sent:
            self.turn()
        with capturedLogs() as events:
            socket.connectionLost()
        self.assertEqual({event["log_namespace"] for event in events} - {"siotwisted.ledger.Ledger"}, set())
        return [(event["log_level"], formatEvent(event)) for event in events]

    def test_line(self) -> None:
        """The log has one line: a warning, if something never left."""
        for messages, sent, level, words in (
            (2, True, LogLevel.info, "0 messages were not sent, 2 not confirmed"),
            (3, False, LogLevel.warn, "3 messages were not sent, 0 not confirmed"),
        ):
            ((found, line),) = self.lines(messages, sent)
            self.assertEqual((found, line), (level, f"{self.connection!r} ended (transport close): {words}"))

    def test_nothing(self) -> None:
        """It has none if nothing was lost."""
        self.assertEqual(self.lines(0, True), [])

    def test_handler(self) -> None:
        """Nor if there is a handler."""
        self.sio.onUndelivered(self.note)
        self.assertEqual((self.lines(1, True), len(self.told)), ([], 1))


class DeliverTests(LedgerCase):
    """``deliver`` and ``deliverEvent``."""

    def test_confirmed(self) -> None:
        """They fire when the client has answered the question that follows at once."""
        socket = self.socket()
        waiting = [self.connection.deliver("a"), self.connection.deliverEvent("b", 1)]
        self.turn()
        self.assertEqual(socket.sent[-3:], ['42["message","a"]', '42["b",1]', "2"])
        for each in waiting:
            self.assertNoResult(each)
        socket.receive("3")
        self.assertEqual([self.successResultOf(each) for each in waiting], [None, None])
        self.clock.advance(0)
        self.assertEqual(socket.sent[-1], "2")
        self.assertEqual(socket.sent.count("2"), 1)

    def test_fails(self) -> None:
        """They fail with the reason, and whether the message was sent, in order."""
        failed: list[tuple[str, bool]] = []

        def note(failure: Failure) -> None:
            error = failure.value
            assert isinstance(error, DeliveryFailed)
            failed.append((error.reason, error.sent))

        socket = self.socket()
        for turn in (True, False):
            waiting = self.connection.deliver("a")
            waiting.addErrback(note)
            if turn:
                self.turn()
        socket.connectionLost()
        self.assertEqual(failed, [(Reason.TRANSPORT_CLOSE, True), (Reason.TRANSPORT_CLOSE, False)])

    def test_memoryPeer(self) -> None:
        """The clients for tests of applications confirm at once."""
        MemoryPeer(self.sio)
        waiting = self.connection.deliver("a")
        self.turn()
        self.assertIsNone(self.successResultOf(waiting))

    def test_poll(self) -> None:
        """On polls the next poll confirms."""
        poll = self.poll()
        waiting = self.connection.deliver("a")
        self.turn()
        self.assertNoResult(waiting)
        attach(poll.session, FakePoll)
        self.assertIsNone(self.successResultOf(waiting))

    def test_refused(self) -> None:
        """What can't be sent raises, as ever."""
        self.socket().connectionLost()
        self.assertRaises(SessionClosed, self.connection.deliver, "a")

    def test_cancel(self) -> None:
        """One that is cancelled is not waited for; the message goes on."""
        socket = self.socket()
        waiting = self.connection.deliver("a")
        waiting.addErrback(lambda _: None)
        waiting.cancel()
        self.turn()
        socket.receive("3")
        self.assertEqual((socket.sent[-2], self.sio.statistics().confirmed), ('42["message","a"]', 1))
        waiting = self.connection.deliver("b")
        waiting.addErrback(lambda _: None)
        waiting.cancel()
        socket.connectionLost()
        self.assertEqual(self.sio.statistics().undelivered, 1)

    def test_closesWithin(self) -> None:
        """Who hears of it may close, and send."""
        socket = self.socket()
        waiting = self.connection.deliver("a")
        waiting.addCallback(lambda _: self.connection.close())
        other = self.connection.deliver("b")
        self.turn()
        socket.receive("3")
        self.assertIsNone(self.successResultOf(other))
        self.assertTrue(socket.over)


class StatisticsTests(LedgerCase):
    """The books."""

    def test_figures(self) -> None:
        """Each figure, at a time."""
        self.assertEqual(self.sio.statistics(), (0,) * 8)
        socket = self.socket()
        self.poll()
        self.assertEqual(self.sio.statistics(), (0, 0, 0, 0, 0, 0, 2, 2))
        self.sio.send("a")
        self.assertEqual(self.sio.statistics(), (2, 0, 2, 0, 0, 0, 2, 2))
        self.turn()
        self.clock.advance(self.sio.config.pollDuration)
        attach(self.connection.session, FakePoll)
        self.assertEqual(self.sio.statistics(), (2, 1, 1, 0, 0, 0, 2, 2))
        socket.connectionLost()
        self.assertEqual(self.sio.statistics(), (2, 1, 0, 1, 0, 0, 1, 1))
        self.connection.session.transport.loseConnection()  # type: ignore[union-attr]
        self.sio.volatile().send("b")
        self.assertEqual(self.sio.statistics(), (2, 1, 0, 1, 0, 1, 1, 1))
        self.clock.advance(60)
        self.assertEqual(self.sio.statistics(), (2, 1, 0, 1, 0, 1, 0, 0))

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(
                    ["poll", "stream", "lose", "send", "volatile", "all", "echo", "second", "minute", "close", "leave"]
                ),
                st.integers(0, 3),
            ),
            max_size=40,
        )
    )
    def test_balance(self, steps: list[tuple[str, int]]) -> None:
        """Whatever happens: accepted = confirmed + pending + undelivered + moved; in the end nothing is pending."""
        clock = Clock()
        names = {"identity": lambda handshake: handshake.query["who"]}
        sio = SocketIO(clock, Config(queueMessages=5, queueBytes=200, **names))  # type: ignore[arg-type]
        reported: list[Undelivered] = []
        sio.onUndelivered(lambda connection, entries, reason: reported.extend(entries))
        clients: dict[int, Any] = {}
        for step, who in steps:
            transport = clients.get(who)
            session = None if transport is None else transport.session
            if step in ("poll", "stream"):
                kind: Any = FakePoll if step == "poll" else FakeStream
                if session is None or session.closed:
                    clients[who] = connect(sio.registry, kind, who=str(who))[1]
                else:
                    clients[who] = attach(session, kind)
            elif step == "second":
                clock.advance(1)
            elif step == "minute":
                clock.advance(60)
            elif step == "all":
                sio.send("x" * (10 * who + 1))
            elif session is None or transport is None or session.closed:
                continue
            elif step == "lose":
                transport.connectionLost()
            elif step == "echo":
                echo(transport)
            elif step == "leave":
                session.transportLost(transport, Reason.TRANSPORT_CLOSE, True)
            elif step == "close":
                session.close(Reason.SERVER_DISCONNECT)
            else:
                connection = sio.getConnection(session.id)
                assert connection is not None
                try:
                    (connection.send if step == "send" else sio.volatile().send)("y" * (20 * who))
                except QueueFull:
                    pass
            now = sio.statistics()
            self.assertEqual(now.accepted, now.confirmed + now.pending + now.undelivered + now.moved, now)
            self.assertEqual(now.undelivered, len(reported))
        sio.stop()
        clock.advance(1000)
        now = sio.statistics()
        self.assertEqual(now.accepted, now.confirmed + now.undelivered + now.moved, now)
        self.assertEqual((now.pending, now.undelivered, now.sessions), (0, len(reported), 0))
