"""
The conversation with one client: joining, leaving, being refused, and the rules of what may come when.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from siotwisted import SocketIO
from siotwisted.config import Config
from siotwisted.connections import Connection
from siotwisted.dialects.engineio import ENGINEIO_4
from siotwisted.errors import ConnectionRefused, EncodeError, SessionClosed
from siotwisted.packets import Kind, Reason
from siotwisted.testing import MemoryPeer
from siotwisted.wire.enginecodec import SocketIO5Codec
from tests.fakes import EngineSocket, connect
from tests.fakes_application import NEW, OLD, SIMPLE, ApplicationCase, FakeDialect, FakeSession


class NotingCase(ApplicationCase):
    """Two namespaces whose handlers note what happens."""

    def setUp(self) -> None:
        """Note what happens in two namespaces."""
        super().setUp()
        self.chat = self.sio.of("/chat")
        for namespace in (self.sio, self.chat):
            for name in ("connect", "disconnecting", "disconnect", "message", "say"):
                namespace.on(name, self.note(name))

    def names(self) -> list[str]:
        """What happened, without whom it happened to."""
        return [call[0] for call in self.calls]


class JoinTests(NotingCase):
    """The way into a namespace."""

    def test_connect(self) -> None:
        """A client that joins is told its id before its handlers hear of it, and so before any event."""
        self.sio.onConnect(lambda connection: connection.emit("hello"))
        session = self.session()
        self.assertEqual((session.sent, self.calls), ([], []))
        session.says(Kind.CONNECT)
        self.assertEqual(session.sent, [(Kind.CONNECT, {"sid": "s1/"}, "/", None), (Kind.EVENT, ["hello"], "/", None)])
        self.assertEqual(self.calls, [("connect", self.connection(session))])

    def test_implicit(self) -> None:
        """Clients of some generations are joined to the root when they come; a connect of theirs is nothing new."""
        session = self.session(OLD)
        self.assertEqual(session.take(), [(Kind.CONNECT, {"sid": "s1"}, "/", None)])
        session.says(Kind.CONNECT)
        self.assertEqual((session.take(), self.names(), session.closed), ([], ["connect"], False))

    def test_speechless(self) -> None:
        """A client that has no words for it is in all the same."""
        session = self.session(SIMPLE)
        session.says(Kind.MESSAGE, "a")
        self.assertEqual((session.sent, self.names()), ([], ["connect", "message"]))

    def test_several(self) -> None:
        """A client may be in several namespaces, in each as another connection, of the one session."""
        session = self.session()
        session.says(Kind.CONNECT)
        session.says(Kind.CONNECT, None, "/chat")
        root, chat = self.connection(session), self.connection(session, "/chat")
        self.assertIsNot(root, chat)
        self.assertIs(root.session, chat.session)
        session.emits("say", 1, namespace="/chat")
        self.assertEqual(self.calls[-1], ("say", chat, 1))

    def test_auth(self) -> None:
        """What a client says when it joins is in the handshake of that connection only."""
        session = self.session()
        session.says(Kind.CONNECT, {"token": "x"})
        session.says(Kind.CONNECT, None, "/chat")
        root, chat = self.connection(session), self.connection(session, "/chat")
        self.assertEqual((root.handshake.auth, dict(root.query)), ({"token": "x"}, {"room": "blue", "t": "1"}))
        self.assertIs(chat.handshake, session.handshake)
        self.assertIsNone(chat.handshake.auth)

    def test_query(self) -> None:
        """If it comes as a query, it is merged over the first request's, too."""
        session = self.session(OLD)
        session.says(Kind.CONNECT, {"t": "2", "u": "3"}, "/chat")
        chat = self.connection(session, "/chat")
        self.assertEqual(dict(chat.query), {"room": "blue", "t": "2", "u": "3"})
        self.assertEqual(chat.handshake.auth, {"t": "2", "u": "3"})
        self.assertEqual(dict(self.connection(session).query), {"room": "blue", "t": "1"})

    def test_unknown(self) -> None:
        """There must be such a namespace. The client may go on."""
        session = self.session()
        session.says(Kind.CONNECT, None, "/nowhere")
        self.assertEqual(session.take(), [(Kind.ERROR, {"message": "Invalid namespace"}, "/nowhere", None)])
        session.says(Kind.CONNECT)
        self.assertEqual(self.names(), ["connect"])

    def test_tooMany(self) -> None:
        """One client can be in 32 namespaces, those that it is about to join among them."""
        waiting: Deferred[None] = Deferred()
        for number in range(40):
            self.sio.of(f"/n{number}").use(lambda connection: waiting)
        session = self.session()
        for number in range(33):
            session.says(Kind.CONNECT, None, f"/n{number}")
        self.assertEqual(session.take(), [(Kind.ERROR, {"message": "too many namespaces"}, "/n32", None)])
        waiting.callback(None)
        self.assertEqual(len(session.take()), 32)
        session.says(Kind.CONNECT, None, "/n39")
        self.assertEqual(session.take()[0][0], Kind.ERROR)
        session.says(Kind.DISCONNECT, None, "/n0")
        session.says(Kind.CONNECT, None, "/n39")
        self.assertEqual(session.take()[0][0], Kind.CONNECT)

    def test_noRoomForConnect(self) -> None:
        """A client whose queue has no room for the answer is not in, and its session ends."""
        session = self.session()
        session.full = True
        session.says(Kind.CONNECT)
        self.assertEqual((session.reason, self.calls, dict(self.sio.connections)), (Reason.FORCED_CLOSE, [], {}))


class MiddlewareTests(NotingCase):
    """Those who are asked before a client is in."""

    def wait(self) -> Deferred[None]:
        """Middleware of the chat that waits for this."""
        waiting: Deferred[None] = Deferred()
        self.chat.use(lambda connection: waiting)
        return waiting

    def test_accept(self) -> None:
        """All are asked in order, with the connection that is not in yet; what they do to it stays."""
        seen: list[Any] = []

        @self.chat.use
        def first(connection: Connection) -> None:
            seen.append((connection.connected, dict(self.chat.connections), connection.namespace.name))
            connection.data["user"] = "x"
            connection.join("early", "never")
            connection.leave("never")
            seen.append(connection.rooms)
            self.assertRaises(SessionClosed, connection.emit, "too early")

        @self.chat.use
        async def second(connection: Connection) -> None:
            seen.append("second")

        connection, _ = self.client("/chat")
        self.assertEqual(seen, [(False, {}, "/chat"), {"s1/chat", "early"}, "second"])
        self.assertEqual((connection.data, connection.rooms), ({"user": "x"}, {"s1/chat", "early"}))
        self.assertEqual(self.successResultOf(self.chat.to("early").fetchConnections()), [connection])

    def test_refuse(self) -> None:
        """A refusal says what the middleware says; nobody behind it is asked, and no handler hears of the client."""

        def refuse(connection: Connection) -> None:
            raise ConnectionRefused("go away", data={"code": 5})

        self.chat.use(refuse)
        self.chat.use(self.note("late"))
        session = self.session()
        session.says(Kind.CONNECT, None, "/chat")
        self.assertEqual(session.take(), [(Kind.ERROR, {"message": "go away", "data": {"code": 5}}, "/chat", None)])
        session.close(Reason.TRANSPORT_CLOSE)
        self.assertEqual((self.calls, dict(self.chat.connections)), ([], {}))

    def test_refuseUnsendable(self) -> None:
        """A refusal whose data can't be written is made without it, and the log tells."""

        def refuse(connection: Connection) -> None:
            raise ConnectionRefused("go away", data={1})

        self.chat.use(refuse)
        session = self.session()
        session.says(Kind.CONNECT, None, "/chat")
        self.assertEqual(session.take(), [(Kind.ERROR, {"message": "go away"}, "/chat", None)])
        self.assertEqual(len(self.flushLoggedErrors(EncodeError)), 1)

    def test_fails(self) -> None:
        """One that fails refuses too, without a word of why to the client, and is logged once."""
        self.chat.use(lambda connection: 1 / 0)
        session = self.session()
        session.says(Kind.CONNECT, None, "/chat")
        self.assertEqual(session.take(), [(Kind.ERROR, {"message": "internal error"}, "/chat", None)])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_held(self) -> None:
        """While one thinks, the client's packets for the namespace wait in order; those for others don't."""
        waiting = self.wait()
        session = self.session()
        session.says(Kind.CONNECT, None, "/chat")
        session.emits("say", 1, namespace="/chat", id=3)
        session.says(Kind.MESSAGE, "two", "/chat")
        session.says(Kind.CONNECT)
        session.emits("say", 0)
        self.assertEqual(self.names(), ["connect", "say"])
        self.calls.clear()
        session.take()
        waiting.callback(None)
        chat = self.connection(session, "/chat")
        self.assertEqual(self.calls, [("connect", chat), ("say", chat, 1), ("message", chat, "two")])
        self.assertEqual([kind for kind, *_ in session.take()], [Kind.CONNECT, Kind.ACK])

    def test_heldThenRefused(self) -> None:
        """If it is refused then, they are never heard; what still comes is against the rules."""
        waiting = self.wait()
        session = self.session()
        session.says(Kind.CONNECT, None, "/chat")
        session.emits("say", 1, namespace="/chat")
        waiting.errback(ConnectionRefused("no"))
        self.assertEqual((self.calls, session.closed), ([], False))
        session.emits("say", 2, namespace="/chat")
        self.assertEqual((self.calls, session.reason), ([], Reason.FORCED_CLOSE))

    def test_heldWithinConnect(self) -> None:
        """What comes while the connect handlers run waits behind what came before."""
        waiting = self.wait()
        session = self.session()
        self.chat.onConnect(lambda connection: session.emits("say", 2, namespace="/chat"))
        session.says(Kind.CONNECT, None, "/chat")
        session.emits("say", 1, namespace="/chat")
        waiting.callback(None)
        self.assertEqual([call[2] for call in self.calls[1:]], [1, 2])
        session.emits("say", 3, namespace="/chat")
        self.assertEqual(self.calls[-1][2], 3)

    def test_leavesMeanwhile(self) -> None:
        """A client that leaves while one thinks is not waited for: nothing is delivered, nothing logged."""
        for leave in (
            lambda session: session.says(Kind.DISCONNECT, None, "/chat"),
            lambda session: session.close(Reason.TRANSPORT_CLOSE),
        ):
            cancelled: list[object] = []
            waiting: Deferred[None] = Deferred(cancelled.append)
            self.chat._core.handlers.middleware[:] = [lambda connection, waiting=waiting: waiting]
            session = self.session()
            session.says(Kind.CONNECT, None, "/chat")
            session.emits("say", 1, namespace="/chat")
            leave(session)
            self.assertEqual((len(cancelled), self.calls, session.sent), (1, [], []))
            self.assertEqual(dict(self.chat.connections), {})

    def test_stubborn(self) -> None:
        """One that can't be cancelled, and lets a client in that has left, changes nothing."""
        waiting: Deferred[None] = Deferred(lambda deferred: deferred.callback(None))
        self.chat.use(lambda connection: waiting)
        session = self.session()
        session.says(Kind.CONNECT, None, "/chat")
        session.says(Kind.DISCONNECT, None, "/chat")
        self.assertEqual((session.sent, self.calls), ([], []))

    def test_rejoinsMeanwhile(self) -> None:
        """A client may leave and come back while one thinks: only the second time counts."""
        waits: list[Deferred[None]] = []
        self.chat.use(lambda connection: waits.append(Deferred()) or waits[-1])  # type: ignore[func-returns-value]
        session = self.session()
        for _ in range(2):
            session.says(Kind.CONNECT, None, "/chat")
            session.emits("say", len(waits), namespace="/chat")
            if len(waits) == 1:
                session.says(Kind.DISCONNECT, None, "/chat")
        waits[1].callback(None)
        self.assertEqual([call[2:] for call in self.calls], [(), (2,)])

    def test_throwsOut(self) -> None:
        """One that disconnects or closes the connection has refused it."""
        self.chat.use(lambda connection: connection.disconnect())
        session = self.session()
        session.says(Kind.CONNECT, None, "/chat")
        self.assertEqual(session.take(), [(Kind.ERROR, {"message": "disconnected"}, "/chat", None)])
        self.sio.use(lambda connection: connection.close())
        session.says(Kind.CONNECT)
        self.assertEqual((session.sent, session.reason, self.calls), ([], Reason.SERVER_DISCONNECT, []))

    def test_bound(self) -> None:
        """Only so many packets may wait; with one more, the session ends."""
        self.wait()
        session = self.session()
        session.says(Kind.CONNECT, None, "/chat")
        for number in range(self.config.queueMessages):
            session.emits("say", number, namespace="/chat")
        self.assertFalse(session.closed)
        session.emits("say", "more", namespace="/chat")
        self.assertEqual((session.reason, self.calls), (Reason.FORCED_CLOSE, []))

    def test_boundOfBytes(self) -> None:
        """Only so many bytes may come while packets wait, not counting the first; with more, the session ends."""
        self.wait()
        session = self.session()
        session.says(Kind.CONNECT, None, "/chat")
        for size in (10 * self.config.queueBytes, self.config.queueBytes, 1):
            self.assertFalse(session.closed)
            session.bytesReceived += size
            session.emits("say", namespace="/chat")
        self.assertEqual((session.reason, self.calls), (Reason.FORCED_CLOSE, []))

    def test_throwsOutAndThinks(self) -> None:
        """Middleware that ends the session and goes on to think is cancelled, and nothing waits for it."""
        for own in (False, True):
            waiting: Deferred[None] = Deferred()

            def think(connection: Connection, *_: object, waiting: Deferred[None] = waiting) -> Deferred[None]:
                connection.close()
                return waiting

            if own:
                self.chat._core.handlers.middleware.clear()
                connection, session = self.client("/chat")
                connection.use(think)
                session.emits("say", namespace="/chat")
            else:
                self.chat.use(think)
                session = self.session()
                session.says(Kind.CONNECT, None, "/chat")
            self.failureResultOf(waiting, CancelledError)
            self.assertEqual((session.closed, self.chat._core.joining), (True, 0))

    def test_rootRefused(self) -> None:
        """Refused in the root, a client that can't be told loses its session; another keeps it."""

        def refuse(connection: Connection) -> None:
            raise ConnectionRefused

        self.sio.use(refuse)
        simple, old = self.session(SIMPLE), self.session(OLD)
        self.assertEqual(simple.reason, Reason.SERVER_DISCONNECT)
        self.assertEqual(old.take(), [(Kind.ERROR, {"message": "not authorized"}, "/", None)])
        self.assertFalse(old.closed)
        self.clock.advance(self.config.connectTimeout)
        self.assertEqual(old.reason, Reason.FORCED_CLOSE)

    def test_rootThinks(self) -> None:
        """While the root thinks, other namespaces are open."""
        waiting: Deferred[None] = Deferred()
        self.sio.use(lambda connection: waiting)
        session = self.session(OLD)
        session.says(Kind.CONNECT, None, "/chat")
        session.says(Kind.MESSAGE, "a")
        self.assertEqual(session.take(), [(Kind.CONNECT, {"sid": "s1"}, "/chat", None)])
        waiting.callback(None)
        self.assertEqual(self.names(), ["connect", "connect", "message"])


class LeaveTests(NotingCase):
    """The ways out."""

    def assertLeft(self, connection: Connection, reason: Reason) -> None:
        """Handlers were told once each, in order, with the reason, and the connection is nowhere."""
        self.assertEqual(self.calls, [("disconnecting", connection, reason), ("disconnect", connection, reason)])
        self.calls.clear()
        self.assertFalse(connection.connected)
        self.assertEqual(connection.rooms, frozenset())
        self.assertIsNone(self.sio.getConnection(connection.id))
        self.assertRaises(SessionClosed, connection.emit, "late")

    def joined(self, dialect: FakeDialect = NEW) -> tuple[Connection, FakeSession]:
        """A client in the root, and nothing noted yet."""
        connection, session = self.client("/", dialect)
        self.calls.clear()
        return connection, session

    def test_client(self) -> None:
        """A client leaves one namespace; the session stays, and it can come back as another connection."""
        connection, session = self.joined()
        session.says(Kind.CONNECT, None, "/chat")
        self.calls.clear()
        session.take()
        session.says(Kind.DISCONNECT)
        self.assertLeft(connection, Reason.CLIENT_DISCONNECT)
        self.assertEqual((session.sent, session.closed), ([], False))
        self.assertTrue(self.connection(session, "/chat").connected)
        session.says(Kind.CONNECT)
        self.assertIsNot(self.connection(session), connection)

    def test_server(self) -> None:
        """The application makes it leave: it is told. What it sent before it knew is no offence."""
        connection, session = self.joined()
        connection.disconnect()
        connection.disconnect()
        self.assertEqual(session.take(), [(Kind.DISCONNECT, None, "/", None)])
        self.assertLeft(connection, Reason.SERVER_DISCONNECT)
        session.emits("say", 1)
        self.assertEqual((self.calls, session.closed), ([], False))

    def test_speechless(self) -> None:
        """A client that can't be told loses its session."""
        connection, session = self.joined(SIMPLE)
        connection.disconnect()
        self.assertLeft(connection, Reason.SERVER_DISCONNECT)
        self.assertEqual(session.reason, Reason.SERVER_DISCONNECT)

    def test_rootIsAll(self) -> None:
        """To leave the root is to leave everything, for clients who take it so."""
        connection, session = self.client("/", replace(OLD, rootIsAll=True))
        session.says(Kind.CONNECT, None, "/chat")
        session.take()
        connection.disconnect()
        self.assertEqual(
            [(kind, namespace) for kind, _, namespace, _ in session.sent],
            [(Kind.DISCONNECT, "/chat"), (Kind.DISCONNECT, "/")],
        )
        self.assertEqual(session.reason, Reason.SERVER_DISCONNECT)

    def test_close(self) -> None:
        """All namespaces are told, the root last, and then the session ends."""
        connection, session = self.joined()
        session.says(Kind.CONNECT, None, "/chat")
        session.take()
        self.calls.clear()
        connection.close()
        connection.close()
        self.assertEqual(session.take(), [(Kind.DISCONNECT, None, "/chat", None), (Kind.DISCONNECT, None, "/", None)])
        self.assertEqual(self.names(), ["disconnecting", "disconnect"] * 2)
        self.assertEqual({call[2] for call in self.calls}, {Reason.SERVER_DISCONNECT})
        simple, session = self.joined(SIMPLE)
        simple.close()
        self.assertEqual((session.sent, session.reason), ([], Reason.SERVER_DISCONNECT))

    def test_session(self) -> None:
        """The session ends: its reason is the connection's."""
        connection, session = self.joined()
        session.close(Reason.PING_TIMEOUT)
        self.assertLeft(connection, Reason.PING_TIMEOUT)

    def test_disconnecting(self) -> None:
        """While it is leaving, its rooms are known, and it gets nothing any more; afterwards it has none."""
        seen: list[Any] = []
        self.sio.onDisconnecting(lambda connection, reason: seen.append((connection.rooms, connection.connected)))
        self.sio.onDisconnecting(lambda connection, reason: seen.append(self.sio.to("blue").emit("left").result))
        self.sio.onDisconnect(lambda connection, reason: seen.append(connection.rooms))
        connection, session = self.joined()
        connection.join("blue")
        session.says(Kind.DISCONNECT)
        self.assertEqual(seen, [({connection.id, "blue"}, False), (0, 1, 0), frozenset()])

    def test_within(self) -> None:
        """Handlers that disconnect and close again while it leaves change nothing."""
        for event in ("disconnecting", "disconnect"):
            self.sio.on(event, lambda connection, reason: (connection.disconnect(), connection.close()))
        _, session = self.joined()
        session.says(Kind.DISCONNECT)
        self.assertEqual(self.names(), ["disconnecting", "disconnect"])
        self.assertTrue(session.closed)

    def test_withinConnect(self) -> None:
        """A connect handler that throws the client out is the last; what waited is not heard."""
        waiting: Deferred[None] = Deferred()
        self.sio.use(lambda connection: waiting)
        self.sio.onConnect(lambda connection: connection.disconnect())
        self.sio.onConnect(self.note("late"))
        session = self.session()
        session.says(Kind.CONNECT)
        session.emits("say", 1)
        waiting.callback(None)
        self.assertEqual(self.names(), ["connect", "disconnecting", "disconnect"])
        self.assertEqual([kind for kind, *_ in session.sent], [Kind.CONNECT, Kind.DISCONNECT])
        session.says(Kind.CONNECT)
        self.assertEqual(self.names()[3:], ["connect", "disconnecting", "disconnect"])


class RuleTests(NotingCase):
    """What belongs nowhere."""

    def test_strict(self) -> None:
        """Strict clients lose their session for it, without an answer; others are not heard."""
        offences = [
            (Kind.EVENT, ["say"], "/chat"),
            (Kind.MESSAGE, "a", "/chat"),
            (Kind.ACK, [], "/chat"),
            (Kind.DISCONNECT, None, "/chat"),
            (Kind.ERROR, {"message": "x"}, "/"),
            (Kind.ERROR, "x", "/chat"),
        ]
        for kind, data, namespace in offences:
            for dialect in (NEW, OLD):
                _, session = self.client("/", dialect)
                self.calls.clear()
                session.says(kind, data, namespace)
                self.assertEqual(session.sent, [], kind)
                self.assertEqual(session.reason, Reason.FORCED_CLOSE if dialect.strict else None, kind)
                self.assertNotIn("say", self.names())
                session.close(Reason.TRANSPORT_CLOSE)

    def test_whileJoining(self) -> None:
        """So it is for an error while somebody thinks about a connect."""
        self.chat.use(lambda connection: Deferred())
        for dialect in (NEW, OLD):
            _, session = self.client("/", dialect)
            session.says(Kind.CONNECT, None, "/chat")
            session.says(Kind.ERROR, None, "/chat")
            self.assertEqual((session.sent, session.closed), ([], dialect.strict))

    def test_twice(self) -> None:
        """To join twice is to join once, as the clients of 4.6.0 do, before the answer or after it."""
        waiting: Deferred[None] = Deferred()
        self.chat.use(lambda connection: waiting)
        for dialect in (NEW, OLD):
            waiting = Deferred()
            _, session = self.client("/", dialect)
            self.calls.clear()
            for _ in range(2):
                session.says(Kind.CONNECT, None, "/chat")
            waiting.callback(None)
            session.says(Kind.CONNECT, None, "/chat")
            self.assertEqual([kind for kind, *_ in session.take()], [Kind.CONNECT])
            self.assertFalse(session.closed)

    def test_receipt(self) -> None:
        """A client's library that wants to know that a packet arrived is told at once."""
        _, session = self.client("/", OLD)
        session.says(Kind.RECEIPT, None, "/", 4)
        self.assertEqual(session.take(), [(Kind.ACK, [], "/", 4)])
        session.full = True
        session.says(Kind.RECEIPT, None, "/", 5)
        self.assertFalse(session.closed)

    def test_reserved(self) -> None:
        """An event with a reserved name runs no handler and is no answer; the log tells once for each client."""
        connection, session = self.client("/", OLD)
        self.calls.clear()
        self.sio.onAny(self.note("any"))
        with capturedLogs() as events:
            for name in ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"):
                session.emits(name, "x", id=1)
        self.assertEqual((self.calls, session.sent, len(events)), ([], [], 1))
        self.assertTrue(connection.connected)


class TimeTests(ApplicationCase):
    """Clients that join nothing."""

    config = Config(connectTimeout=10.0)

    def test_timeout(self) -> None:
        """The session of one that has joined nothing in time ends; who has may leave again, and stays."""
        self.sio.of("/chat")
        idle, refused, busy = self.session(), self.session(), self.session()
        refused.says(Kind.CONNECT, None, "/nowhere")
        busy.says(Kind.CONNECT, None, "/chat")
        busy.says(Kind.DISCONNECT, None, "/chat")
        self.clock.advance(9.9)
        self.assertFalse(idle.closed)
        self.clock.advance(0.1)
        self.assertEqual([each.reason for each in (idle, refused)], [Reason.FORCED_CLOSE] * 2)
        self.assertFalse(busy.closed)

    def test_ends(self) -> None:
        """A session that ends before needs no alarm."""
        self.session().close(Reason.TRANSPORT_CLOSE)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ComingAndGoingTests(SynchronousTestCase):
    """A client that joins and leaves for ever, with a session as it is."""

    def test_undelivered(self) -> None:
        """It is not remembered in all those namespaces, but in those that something is lost in."""
        clock, lost = Clock(), list[tuple[str, list[Any]]]()
        sio = SocketIO(clock)
        sio.onUndelivered(lambda connection, messages, _: lost.append((connection.namespace.name, messages[0].data)))
        session, socket = connect(sio.registry, EngineSocket, SocketIO5Codec, ENGINEIO_4)
        client = sio._clients[session.id]
        for number in range(100):
            namespace = sio.of(f"/n{number}")
            socket.receive(f"40/n{number},")
            if number in (7, 70):
                namespace.emit("lost", number)
            socket.receive(f"41/n{number},")
            self.assertLessEqual(len(client._latest or ()), 34)
        clock.advance(0)
        session.close(Reason.TRANSPORT_CLOSE)
        self.assertEqual(lost, [("/n7", ["lost", 7]), ("/n70", ["lost", 70])])
        self.assertIsNone(client._latest)

    def test_movedAtTheEnd(self) -> None:
        """However many it was in, and had left, all that it is in at its end is remembered till that is settled."""
        clock = Clock()
        sio = SocketIO(clock, Config(identity=lambda handshake: handshake.query["id"]))
        names = [f"/n{number}" for number in range(40)]
        for name in names:
            sio.of(name)
        first = MemoryPeer(sio, query={"id": "x"})
        for name in names[:20]:
            first.connect(name)
            first.disconnect(name)
        for name in names[20:]:
            first.connect(name)
        session: Any = first.session
        connections = sio._clients[session.id].connections
        liveness = session._liveness
        liveness._asked = True  # it is silent from now on
        delivered = [connections[name].deliver(name) for name in names[20:]]
        second = MemoryPeer(sio, query={"id": "x"})
        for name in names[20:]:
            second.connect(name)
        clock.pump([10] * 10)
        self.assertEqual([each.called for each in delivered], [True] * 20)
        self.assertEqual(
            sorted(packet.data[1] for packet in second.received if packet.kind is Kind.EVENT), sorted(names[20:])
        )
        told = sio.statistics()
        self.assertEqual(told.accepted, told.confirmed + told.pending + told.undelivered + told.moved)

    def test_awayAtTheEnd(self) -> None:
        """The same, if it may come back for what it has missed: nobody is away for ever."""
        clock = Clock()
        sio = SocketIO(clock, Config(recovery=120))
        names = [f"/n{number}" for number in range(40)]
        for name in names:
            sio.of(name)
        peer = MemoryPeer(sio)
        for name in names[:20]:
            peer.connect(name)
            peer.disconnect(name)
        for name in names[20:]:
            peer.connect(name)
        peer.lose()
        clock.advance(5)
        self.assertEqual(len({id(each) for each in sio.absences._away.values()}), len(sio.absences._all))
        clock.advance(200)
        self.assertEqual((len(sio.absences._all), clock.getDelayedCalls()), (0, []))
