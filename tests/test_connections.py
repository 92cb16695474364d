"""
One connection: events and answers both ways, rooms, and the middleware of its events.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed

from siotwisted.config import Config
from siotwisted.connections import Connection
from siotwisted.errors import (
    AckLost,
    AckTimeout,
    EncodeError,
    EventRefused,
    QueueFull,
    SessionClosed,
    UnsupportedByClient,
)
from siotwisted.packets import Kind, Reason
from tests.fakes_application import NEW, OLD, SIMPLE, ApplicationCase


class FactTests(ApplicationCase):
    """What a connection tells of itself."""

    def test_facts(self) -> None:
        """Who it is, where it is, and what its client is."""
        namespace = self.sio.of("/chat")
        connection, session = self.client("/chat")
        self.assertEqual((str(connection), connection.id), ("s1/chat", "s1/chat"))
        self.assertIs(connection.namespace, namespace)
        self.assertIs(connection.session, session)
        self.assertEqual((connection.transport, connection.generation), ("websocket", "new"))
        self.assertEqual((connection.address, connection.headers["host"]), ("192.0.2.7", "chat.example"))
        self.assertEqual((connection.query["room"], connection.time), ("blue", 0.0))
        self.assertEqual(repr(connection), "<Connection label of s1 websocket /chat>")

    def test_data(self) -> None:
        """The application's own data of it is one dict, and its own."""
        one, two = self.client()[0], self.client()[0]
        one.data["a"] = 1
        self.assertEqual((one.data, two.data), ({"a": 1}, {}))

    def test_rooms(self) -> None:
        """It enters and leaves rooms, but never its own; not after it has left the namespace."""
        connection, session = self.client()
        connection.join("red", "blue")
        connection.leave("red", "green", connection.id)
        self.assertEqual(connection.rooms, {connection.id, "blue"})
        session.close(Reason.TRANSPORT_CLOSE)
        connection.join("red")
        self.assertEqual(connection.rooms, frozenset())


class EventTests(ApplicationCase):
    """Events both ways."""

    def test_emit(self) -> None:
        """An event has a name and arguments, in the connection's namespace."""
        self.sio.of("/chat")
        connection, session = self.client("/chat")
        connection.emit("news", 1, [b"x"])
        connection.emit("bare")
        connection.send("text")
        connection.send({"a": 1})
        self.assertEqual(
            session.take(),
            [
                (Kind.EVENT, ["news", 1, [b"x"]], "/chat", None),
                (Kind.EVENT, ["bare"], "/chat", None),
                (Kind.MESSAGE, "text", "/chat", None),
                (Kind.JSON, {"a": 1}, "/chat", None),
            ],
        )

    def test_errors(self) -> None:
        """What can't be sent is an error at once, for each reason another."""
        connection, session = self.client()
        for name in ("connect", "disconnect", "disconnecting", "connect_error", "newListener", "removeListener", 5):
            self.assertRaises(EncodeError, connection.emit, name)
        self.assertRaises(EncodeError, connection.emit, "news", {1})
        session.full = True
        self.assertRaises(QueueFull, connection.emit, "news")
        session.close(Reason.TRANSPORT_CLOSE)
        self.assertRaises(SessionClosed, connection.emit, "news")
        simple, _ = self.client("/", SIMPLE)
        self.assertRaises(UnsupportedByClient, simple.emit, "news")

    def test_incoming(self) -> None:
        """Handlers get the arguments; a number is as good a name as its text; a message is an event, too."""
        self.sio.on("say", self.note("say"))
        self.sio.on("5", self.note("5"))
        self.sio.onMessage(self.note("message"))
        connection, session = self.client()
        session.emits("say", 1, {"a": 2})
        session.emits("say")
        session.emits(5, "x")
        session.emits("message", "one")
        session.says(Kind.MESSAGE, "two")
        session.says(Kind.JSON, [3])
        session.emits("unknown", 1)
        self.assertEqual(
            self.calls,
            [
                ("say", connection, 1, {"a": 2}),
                ("say", connection),
                ("5", connection, "x"),
                *(("message", connection, value) for value in ("one", "two", [3])),
            ],
        )

    def test_answer(self) -> None:
        """What a handler returns is the answer: None is none, a tuple is several values."""
        for value, arguments in ((None, []), (5, [5]), ((1, 2), [1, 2]), ([1, 2], [[1, 2]]), ((), [])):
            self.sio._core.handlers.events.clear()
            self.sio.on("ask", lambda connection, value=value: value)
            _, session = self.client()
            session.emits("ask", id=0)
            session.emits("ask")
            self.assertEqual(session.take(), [(Kind.ACK, arguments, "/", 0)])

    def test_messageAnswer(self) -> None:
        """A message that wants an answer gets it."""
        self.sio.onMessage(lambda connection, message: [message])
        _, session = self.client("/", OLD)
        session.says(Kind.JSON, {"a": 1}, "/", 3)
        self.assertEqual(session.take(), [(Kind.ACK, [[{"a": 1}]], "/", 3)])

    def test_answerTooLate(self) -> None:
        """The answer for a connection that has left is dropped, also if the client is back in the namespace."""
        waiting: Deferred[int] = Deferred()
        self.sio.on("ask", lambda connection: waiting)
        _, session = self.client()
        session.emits("ask", id=1)
        session.says(Kind.DISCONNECT)
        session.says(Kind.CONNECT)
        session.take()
        waiting.callback(5)
        self.assertEqual((session.sent, self.flushLoggedErrors()), ([], []))

    def test_any(self) -> None:
        """Those who hear of all events, in and out; what was not accepted did not go out."""
        self.sio.onAny(self.note("in"))
        self.sio.onAnyOutgoing(self.note("out"))
        connection, session = self.client()
        session.emits("say", 1)
        session.says(Kind.MESSAGE, "x")
        connection.emit("news", 2)
        connection.send("y")
        session.full = True
        self.assertRaises(QueueFull, connection.send, "z")
        self.assertEqual(
            [(name, *rest) for name, _, *rest in self.calls],
            [("in", "say", 1), ("in", "message", "x"), ("out", "news", 2), ("out", "message", "y")],
        )


class CallTests(ApplicationCase):
    """Questions to a client."""

    def setUp(self) -> None:
        """A client that is asked."""
        super().setUp()
        self.conn, self.session_ = self.client()

    def test_answer(self) -> None:
        """The answer is None, the one value, or a list of several; a second answer is ignored."""
        for arguments, value in (([], None), ([5], 5), ([[5]], [5]), ([1, 2], [1, 2])):
            asked = self.conn.call("ask", "a", timeout=5)
            kind, data, namespace, id = self.session_.take()[0]
            self.assertEqual((kind, data, namespace), (Kind.EVENT, ["ask", "a"], "/"))
            self.assertNoResult(asked)
            self.session_.says(Kind.ACK, ["x"], "/", 999)
            self.assertNoResult(asked)
            for _ in range(2):
                self.session_.says(Kind.ACK, arguments, "/", id)
            self.assertEqual(self.successResultOf(asked), value)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_numbers(self) -> None:
        """Each question has its own number, never 0, in all connections of a namespace."""
        other, session = self.client()
        numbers = []
        for connection, client in ((self.conn, self.session_), (other, session)) * 2:
            connection.call("ask").addErrback(lambda failure: failure.trap(AckLost))
            numbers.append(client.take()[0][3])
        self.assertEqual(numbers, [1, 2, 3, 4])

    def test_timeout(self) -> None:
        """No answer in time is a failure; one that comes later is ignored."""
        asked = self.conn.call("ask", timeout=1.5)
        self.clock.advance(1.4)
        self.assertNoResult(asked)
        self.clock.advance(0.2)
        self.failureResultOf(asked, AckTimeout)
        self.session_.says(Kind.ACK, [5], "/", 1)

    def test_lost(self) -> None:
        """If the client leaves, the answer is lost: handlers hear of that first."""
        self.sio.onDisconnect(self.note("disconnect"))
        asked = [self.conn.call("ask", timeout=5), self.conn.call("ask")]
        for each in asked:
            each.addErrback(lambda failure: self.calls.append(failure.type))
        self.session_.says(Kind.DISCONNECT)
        self.assertEqual(
            [call if isinstance(call, type) else call[0] for call in self.calls], ["disconnect", AckLost, AckLost]
        )
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancel(self) -> None:
        """Who does not want to know any more can cancel."""
        asked = self.conn.call("ask", timeout=5)
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.session_.says(Kind.ACK, [5], "/", 1)

    def test_atOnce(self) -> None:
        """What can't be asked is an error at once."""
        simple, _ = self.client("/", SIMPLE)
        self.assertRaises(UnsupportedByClient, simple.call, "ask")
        self.assertRaises(EncodeError, self.conn.call, "connect")
        self.session_.full = True
        self.assertRaises(QueueFull, self.conn.call, "ask", timeout=5)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_thrownOutMeanwhile(self) -> None:
        """A handler of outgoing events may close the connection: the answer is lost."""
        self.sio.onAnyOutgoing(lambda connection, *arguments: connection.close())
        self.failureResultOf(self.conn.call("ask", timeout=5), AckLost)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class MiddlewareTests(ApplicationCase):
    """Those who are asked about events."""

    config = Config(queueMessages=3)

    def setUp(self) -> None:
        """A client, and a handler of all that it says."""
        super().setUp()
        self.sio.onAny(lambda connection, *event: self.calls.append(event))
        self.conn, self.session_ = self.client()

    def test_arguments(self) -> None:
        """It gets connection, name and a list, which it may change; all are asked in order."""
        seen: list[Any] = []

        @self.conn.use
        def first(connection: Connection, event: str, arguments: list[Any]) -> None:
            seen.append((connection, event, list(arguments)))
            arguments.append("added")

        self.conn.use(lambda connection, event, arguments: seen.append(list(arguments)))
        self.session_.emits("say", 1)
        self.session_.says(Kind.MESSAGE, "x")
        self.assertEqual(seen, [(self.conn, "say", [1]), [1, "added"], (self.conn, "message", ["x"]), ["x", "added"]])
        self.assertEqual(self.calls, [("say", 1, "added"), ("message", "x", "added")])

    def test_refused(self) -> None:
        """It drops an event quietly, or with a line in the log if it fails; later events pass."""

        def strict(connection: Connection, event: str, arguments: list[Any]) -> object:
            if event == "bad":
                raise EventRefused
            return fail(ZeroDivisionError()) if event == "worse" else succeed(None)

        self.conn.use(strict)
        for name in ("bad", "worse", "good"):
            self.session_.emits(name, id=1)
        self.assertEqual(self.calls, [("good",)])
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_order(self) -> None:
        """While it thinks, later events wait; answers and receipts don't."""
        waits: list[Deferred[None]] = []

        @self.conn.use
        async def slow(connection: Connection, event: str, arguments: list[Any]) -> None:
            waits.append(Deferred())
            await waits[-1]

        asked = self.conn.call("ask")
        for number in range(3):
            self.session_.emits("say", number)
        self.session_.says(Kind.ACK, [5], "/", 1)
        self.assertEqual(self.successResultOf(asked), 5)
        self.assertEqual((len(waits), self.calls), (1, []))
        for number in range(3):
            waits[number].callback(None)
            self.assertEqual(self.calls, [("say", each) for each in range(number + 1)])

    def test_within(self) -> None:
        """An event that comes while another is handled waits for its turn."""
        self.conn.use(lambda connection, event, arguments: None)

        @self.sio.on("say")
        def say(connection: Connection, number: int) -> None:
            if number < 3:
                self.session_.emits("say", number + 1)
            self.calls.append(number)

        self.session_.emits("say", 1)
        self.assertEqual(self.calls, [("say", 1), 1, ("say", 2), 2, ("say", 3), 3])

    def test_leaves(self) -> None:
        """A client that leaves meanwhile is not heard any more; the middleware is cancelled, and the log is quiet."""
        cancelled: list[object] = []
        self.conn.use(lambda connection, event, arguments: Deferred(cancelled.append))
        self.session_.emits("say", 1)
        self.session_.emits("say", 2)
        self.session_.says(Kind.DISCONNECT)
        self.assertEqual((len(cancelled), self.calls, self.flushLoggedErrors()), (1, [], []))

    def test_closes(self) -> None:
        """It may end the connection, at once or after it has thought: no handler hears of the event."""
        waiting: Deferred[None] = Deferred()

        @self.conn.use
        async def closing(connection: Connection, event: str, arguments: list[Any]) -> None:
            await waiting
            connection.close()

        self.session_.emits("say", 1)
        self.session_.emits("say", 2)
        waiting.callback(None)
        self.assertEqual((self.calls, self.session_.closed), ([], True))
        other, session = self.client()
        other.use(lambda connection, event, arguments: connection.disconnect())
        session.emits("say", 1)
        self.assertEqual((self.calls, other.connected), ([], False))

    def test_bound(self) -> None:
        """Only so many events may wait; with one more, the session ends."""
        self.conn.use(lambda connection, event, arguments: Deferred())
        for number in range(4):
            self.session_.emits("say", number)
        self.assertFalse(self.session_.closed)
        self.session_.emits("say", "more")
        self.assertEqual((self.session_.reason, self.calls), (Reason.FORCED_CLOSE, []))

    def test_cancelledItself(self) -> None:
        """Middleware whose Deferred somebody else cancels has failed."""
        waiting: Deferred[None] = Deferred()
        self.conn.use(lambda connection, event, arguments: waiting)
        self.session_.emits("say", 1)
        waiting.cancel()
        self.assertEqual(len(self.flushLoggedErrors(CancelledError)), 1)
        self.assertEqual((self.calls, self.conn.connected), ([], True))

    def test_dialects(self) -> None:
        """The generation makes no difference."""
        for dialect in (NEW, OLD):
            connection, session = self.client("/", dialect)
            connection.use(lambda connection, event, arguments: arguments.reverse())
            session.emits("say", 1, 2)
            self.assertEqual(self.calls[-1], ("say", 2, 1))
