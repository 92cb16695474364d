"""
The peers that applications test with: each generation can do, and knows, what its real clients can and know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from siotwisted import (
    AckLost,
    Config,
    Connection,
    ConnectionRefused,
    EncodeError,
    Handshake,
    Reason,
    SocketIO,
    UnsupportedByClient,
)
from siotwisted.dialects.dialect import Dialect
from siotwisted.packets import Kind, Packet
from siotwisted.testing import (
    ENGINEIO_3,
    ENGINEIO_4,
    SOCKETIO_06,
    SOCKETIO_09,
    EngineEchoResource,
    MemoryPeer,
)
from tests.fakes import FakeWebSocket

EVERY = (SOCKETIO_06, SOCKETIO_09, ENGINEIO_3, ENGINEIO_4)
WITH_EVENTS = EVERY[1:]
WITH_BYTES = EVERY[2:]


class PeerCase(SynchronousTestCase):
    """
    A test with a server, whose application takes notes.

    :ivar connections: those that came, to ``/`` and to ``/chat``.
    :ivar messages: what they said.
    :ivar reasons: why they left ``/``.
    """

    def setUp(self) -> None:
        """A server."""
        self.clock = Clock()
        self.start(self.clock)

    def start(self, reactor: IReactorTime, config: Config | None = None) -> None:
        """Make a server."""
        self.sio = SocketIO(reactor, config)
        self.chat = self.sio.of("/chat")
        self.connections: list[Connection] = []
        self.messages: list[Any] = []
        self.reasons: list[str] = []
        for namespace in (self.sio, self.chat):
            namespace.onConnect(self.connections.append)
            namespace.onMessage(lambda connection, message: self.messages.append(message))
        self.sio.onDisconnect(lambda connection, reason: self.reasons.append(str(reason)))

    def meet(self, dialect: Dialect, **more: Any) -> tuple[MemoryPeer, Connection]:
        """A peer, and the connection that it is to the application."""
        peer = MemoryPeer(self.sio, dialect, **more)
        return peer, self.connections[-1]


class ConversationTests(PeerCase):
    """What peers and the server say to each other."""

    def test_default(self) -> None:
        """Without a generation, it is one of today."""
        MemoryPeer(self.sio)
        self.assertEqual(self.connections[-1].generation, "Socket.IO 3-4")

    def test_joins(self) -> None:
        """Every peer is there at once, knows its id, and has heard nothing else."""
        for dialect in EVERY:
            peer, connection = self.meet(dialect)
            self.assertEqual(connection.generation, dialect.name)
            self.assertTrue(connection.connected)
            self.assertEqual(peer.ids, {"/": connection.id})
            self.assertEqual(peer.take(), [])
            self.assertEqual([packet.kind for packet in peer.received], [Kind.CONNECT])
            self.assertIs(peer.session, connection.session)

    def test_messages(self) -> None:
        """Messages go both ways, in order; ``take`` takes each once."""
        for dialect in EVERY:
            peer, connection = self.meet(dialect)
            self.messages.clear()
            for message in ("text", "", "\U0001f600\n", {"a": [1, None]}, [True]):
                peer.send(message)
                connection.send(message)
            self.assertEqual(self.messages, ["text", "", "\U0001f600\n", {"a": [1, None]}, [True]])
            self.assertEqual(peer.take(), [["message", message] for message in self.messages])
            self.assertEqual(peer.take(), [])

    def test_events(self) -> None:
        """Events go both ways."""
        heard: list[object] = []
        self.sio.on("event", lambda connection, *arguments: heard.append(arguments))
        for dialect in WITH_EVENTS:
            peer, connection = self.meet(dialect)
            heard.clear()
            peer.emit("event", 1, {"a": "b"})
            peer.emit("event")
            self.assertEqual(heard, [(1, {"a": "b"}), ()])
            connection.emit("event", 1, [2])
            connection.emit("event")
            self.assertEqual(peer.take(), [["event", 1, [2]], ["event"]])

    def test_eventsBefore07(self) -> None:
        """An event for a peer of 0.6 is a message."""
        peer, connection = self.meet(SOCKETIO_06)
        connection.emit("event", 1, 2)
        connection.emit("message", "text")
        self.assertEqual(peer.take(), [["message", {"name": "event", "args": [1, 2]}], ["message", "text"]])

    def test_calls(self) -> None:
        """A peer asks, at once or later, and has the arguments of each answer."""
        later: Deferred[object] = Deferred()
        self.sio.on("now", lambda connection, *arguments: arguments)
        self.sio.on("later", lambda connection: later)
        for dialect in WITH_EVENTS:
            later = Deferred()
            peer, _ = self.meet(dialect)
            waiting = peer.call("later")
            self.assertEqual(self.successResultOf(peer.call("now", 1, "b")), [1, "b"])
            self.assertEqual(self.successResultOf(peer.call("now")), [])
            self.assertNoResult(waiting)
            later.callback("done")
            peer.take()
            self.assertEqual(self.successResultOf(waiting), ["done"])

    def test_answers(self) -> None:
        """A peer answers what it was asked, in whatever order."""
        for dialect in WITH_EVENTS:
            peer, connection = self.meet(dialect)
            calls = [connection.call("question", number) for number in range(3)]
            self.clock.advance(0)
            questions = [packet for packet in peer.received if packet.kind is Kind.EVENT]
            self.assertEqual([packet.data for packet in questions], [["question", number] for number in range(3)])
            for packet, arguments in zip(reversed(questions), (("c",), (), ("a", "b")), strict=True):
                peer.answer(packet, *arguments)
            self.assertEqual([self.successResultOf(call) for call in calls], [["a", "b"], None, "c"])

    def test_bytes(self) -> None:
        """Bytes go both ways, anywhere in events, messages and answers."""
        self.sio.on("echo", lambda connection, *arguments: arguments)
        for dialect in WITH_BYTES:
            peer, connection = self.meet(dialect)
            self.messages.clear()
            peer.send(b"\0\xff")
            peer.send({"a": [b"1", b"2"]})
            self.assertEqual(self.messages, [b"\0\xff", {"a": [b"1", b"2"]}])
            self.assertEqual(self.successResultOf(peer.call("echo", b"3", {"b": b"4"})), [b"3", {"b": b"4"}])
            connection.emit("event", [b"5"])
            connection.send(b"6")
            self.assertEqual(peer.take(), [["event", [b"5"]], ["message", b"6"]])

    def test_namespaces(self) -> None:
        """A peer joins a namespace, is known there, speaks there, and leaves."""
        self.chat.on("echo", lambda connection, *arguments: arguments)
        for dialect in WITH_EVENTS:
            peer, _ = self.meet(dialect)
            peer.connect("/chat")
            there = self.connections[-1]
            self.assertEqual(there.namespace.name, "/chat")
            self.assertEqual(peer.ids["/chat"], there.id)
            self.assertEqual(self.successResultOf(peer.call("echo", 1, namespace="/chat")), [1])
            self.messages.clear()
            peer.send("text", namespace="/chat")
            self.assertEqual(self.messages, ["text"])
            there.emit("event")
            self.sio.emit("other")
            self.assertEqual(peer.take("/chat"), [["event"]])
            self.assertEqual(peer.take(), [["other"]])
            peer.disconnect("/chat")
            self.assertEqual(list(peer.ids), ["/"])
            self.assertFalse(there.connected)
            self.assertFalse(peer.closed)
            peer.close()

    def test_unsupported(self) -> None:
        """What a generation has no words for, its peers can't say."""
        old, _ = self.meet(SOCKETIO_06)
        impossible: list[Callable[[], object]] = [
            lambda: old.call("event"),
            lambda: old.emit("event", namespace="/chat"),
            lambda: old.connect("/chat"),
            lambda: old.disconnect("/chat"),
            lambda: old.send(b"bytes"),
        ]
        for each in impossible:
            self.assertRaises(UnsupportedByClient, each)
        middle, _ = self.meet(SOCKETIO_09)
        self.assertRaises(EncodeError, middle.send, b"bytes")
        self.assertEqual(self.messages, [])


class DoorTests(PeerCase):
    """How peers come in, or don't."""

    def test_handshake(self) -> None:
        """The application knows what a peer says when it comes."""
        for dialect in EVERY:
            self.clock.advance(1)
            query, headers = {"a": "1"}, {"cookie": "b=2"}
            _, connection = self.meet(dialect, query=query, headers=headers, address="192.0.2.1", transport="polling")
            self.assertEqual(connection.query, query)
            self.assertEqual(connection.headers, headers)
            self.assertEqual(connection.address, "192.0.2.1")
            self.assertEqual(connection.transport, "polling")
            self.assertEqual(connection.time, self.clock.seconds())

    def test_auth(self) -> None:
        """A peer of today says something for itself, anything, in each namespace."""
        peer, connection = self.meet(ENGINEIO_4, auth={"token": [1]})
        self.assertEqual(connection.handshake.auth, {"token": [1]})
        peer.connect("/chat", {"token": 2})
        self.assertEqual(self.connections[-1].handshake.auth, {"token": 2})

    def test_namespaceQuery(self) -> None:
        """A peer of before says it in a query."""
        for dialect in (SOCKETIO_09, ENGINEIO_3):
            peer, connection = self.meet(dialect, auth={"token": "1"}, query={"a": "1"})
            self.assertIs(connection.handshake.auth, None)
            peer.connect("/chat", {"token": "&=\u20ac"})
            there = self.connections[-1]
            self.assertEqual(there.handshake.auth, {"token": "&=\u20ac"})
            self.assertEqual(there.query, {"a": "1", "token": "&=\u20ac"})
            self.assertEqual(peer.ids["/chat"], there.id)

    def test_refusedByNamespace(self) -> None:
        """A peer that a namespace refuses is told so, and is not in it."""

        @self.chat.use
        def refuse(connection: Connection) -> None:
            raise ConnectionRefused("no", {"code": 1})

        for dialect, told in ((ENGINEIO_3, {"code": 1}), (ENGINEIO_4, {"message": "no", "data": {"code": 1}})):
            peer, _ = self.meet(dialect)
            peer.connect("/chat")
            self.assertEqual(peer.received[-1], Packet(Kind.ERROR, told, "/chat"))
            self.assertEqual(list(peer.ids), ["/"])
        peer, _ = self.meet(SOCKETIO_09)
        peer.connect("/chat")
        self.assertIs(peer.received[-1].kind, Kind.ERROR)
        self.assertEqual(list(peer.ids), ["/"])

    def test_refusedAtTheDoor(self) -> None:
        """A peer that is not authorized has no session, and can't do anything."""
        self.sio.authorize(lambda handshake: False)
        for dialect, status in ((SOCKETIO_06, 401), (SOCKETIO_09, 403), (ENGINEIO_3, 403), (ENGINEIO_4, 403)):
            peer = MemoryPeer(self.sio, dialect)
            assert peer.refusal is not None
            self.assertEqual(peer.refusal.status, status)
            self.assertIs(peer.session, None)
            self.assertEqual(peer.ids, {})
            self.assertRaises(AssertionError, peer.send, "text")
            peer.close()
        self.assertEqual(self.connections, [])

    def test_authorizedLater(self) -> None:
        """A peer waits until the application has decided."""
        asked: list[Deferred[bool]] = []

        @self.sio.authorize
        def authorize(handshake: Handshake) -> Deferred[bool]:
            asked.append(Deferred())
            return asked[-1]

        for dialect in EVERY:
            peer = MemoryPeer(self.sio, dialect)
            self.assertIs(peer.session, None)
            asked[-1].callback(True)
            self.assertIs(peer.refusal, None)
            self.assertEqual(peer.ids, {"/": self.connections[-1].id})


class EndTests(PeerCase):
    """How peers leave."""

    def test_close(self) -> None:
        """A peer that closes its connection is gone; a second time does nothing."""
        for dialect in EVERY:
            peer, connection = self.meet(dialect)
            self.reasons.clear()
            peer.close()
            peer.close()
            self.assertTrue(peer.closed)
            self.assertFalse(connection.connected)
            self.assertEqual(self.reasons, [Reason.TRANSPORT_CLOSE])

    def test_lose(self) -> None:
        """A peer that is lost is gone; but a session of 0.6 waits for it."""
        for dialect, waits in zip(EVERY, (True, False, False, False), strict=True):
            peer, connection = self.meet(dialect)
            self.reasons.clear()
            peer.lose()
            self.assertTrue(peer.closed)
            self.assertEqual(connection.connected, waits)
            self.clock.advance(self.sio.config.reconnectTimeout)
            self.assertEqual(self.reasons, [Reason.TRANSPORT_CLOSE])

    def test_disconnect(self) -> None:
        """A peer that leaves ``/`` is told apart from one that is lost."""
        for dialect in WITH_EVENTS:
            peer, connection = self.meet(dialect)
            self.reasons.clear()
            peer.disconnect()
            self.assertFalse(connection.connected)
            self.assertEqual(self.reasons, [Reason.CLIENT_DISCONNECT])
            self.assertEqual(peer.ids, {})

    def test_closedByServer(self) -> None:
        """A peer hears the last words, and knows the end."""
        for dialect in EVERY:
            peer, connection = self.meet(dialect)
            self.reasons.clear()
            connection.send("the last")
            connection.close()
            self.assertEqual(peer.take(), [["message", "the last"]])
            self.assertTrue(peer.closed)
            self.assertEqual(self.reasons, [Reason.SERVER_DISCONNECT])
            peer.close()
            peer.lose()

    def test_sentAway(self) -> None:
        """A peer that is sent away from a namespace knows it, and stays in the other."""
        for dialect in WITH_EVENTS:
            peer, _ = self.meet(dialect)
            peer.connect("/chat")
            self.connections[-1].disconnect()
            self.clock.advance(0)
            self.assertEqual(peer.received[-1], Packet(Kind.DISCONNECT, None, "/chat"))
            self.assertEqual(list(peer.ids), ["/"])
            self.assertFalse(peer.closed)

    def test_stop(self) -> None:
        """The end of the server is the end of its peers."""
        peers = [MemoryPeer(self.sio, dialect) for dialect in EVERY]
        self.successResultOf(self.sio.stop())
        self.assertEqual([peer.closed for peer in peers], [True] * 4)
        self.assertEqual([str(reason) for reason in self.reasons], ["server shutting down"] * 4)

    def test_unansweredQuestion(self) -> None:
        """A peer that goes owes no answer."""
        for dialect in WITH_EVENTS:
            peer, connection = self.meet(dialect)
            call = connection.call("question")
            peer.close()
            self.failureResultOf(call, AckLost)


class TimeTests(PeerCase):
    """Peers and the clock."""

    def test_alive(self) -> None:
        """Peers give signs of life, if time goes by in steps that leave them time for it."""
        peers = [MemoryPeer(self.sio, dialect) for dialect in EVERY]
        self.clock.pump([7.0] * 60 + [self.sio.config.pingTimeout - 1] * 50 + [0.5] * 100)
        self.assertEqual(self.reasons, [])
        self.assertEqual([peer.closed for peer in peers], [False] * 4)
        self.assertEqual([peer.take() for peer in peers], [[]] * 4)

    def test_noTraces(self) -> None:
        """Nothing is left to do for peers that are gone."""
        for dialect in EVERY:
            for end in (MemoryPeer.close, MemoryPeer.lose):
                end(MemoryPeer(self.sio, dialect))
            MemoryPeer(self.sio, dialect)
        self.successResultOf(self.sio.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_unwelcome(self) -> None:
        """A peer that the application throws out as soon as it is there is gone, and nothing is left to do for it."""
        self.sio.onConnect(lambda connection: connection.close())
        for dialect in EVERY:
            self.assertTrue(MemoryPeer(self.sio, dialect).closed)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_reactor(self) -> None:
        """With a reactor that is no clock for tests, things take their turn."""

        @implementer(IReactorTime)
        class Reactor:
            """The clock, which can't be advanced."""

            seconds = self.clock.seconds
            callLater = self.clock.callLater
            getDelayedCalls = self.clock.getDelayedCalls

        self.start(Reactor())
        for dialect in EVERY:
            peer, connection = self.meetLater(dialect)
            connection.send("text")
            self.assertEqual(peer.take(), [])
            self.clock.advance(0)
            self.assertEqual(peer.take(), [["message", "text"]])

    def meetLater(self, dialect: Dialect) -> tuple[MemoryPeer, Connection]:
        """A peer, when it is there."""
        peer = MemoryPeer(self.sio, dialect)
        self.clock.advance(0)
        return peer, self.connections[-1]


class EchoTests(SynchronousTestCase):
    """The echo that the public suites of Engine.IO talk to."""

    def test_echo(self) -> None:
        """Text and bytes come back, in both revisions."""
        for revision, message in (("4", b"\1\2"), ("3", b"\4\1\2")):
            clock = Clock()
            admission = EngineEchoResource(clock, Config(pingInterval=0.3, pingTimeout=0.2))._admission
            route = admission.route([""], {"EIO": revision, "transport": "websocket"})
            assert route is not None
            session = admission.registry.open(route, Handshake("GET", "/engine.io/", {}))
            transport = FakeWebSocket(session)
            session.attach(transport)
            clock.advance(0)
            opening = transport.writes.pop()
            self.assertTrue(opening.startswith(b'0{"sid":'), opening)
            self.assertIn(b'"pingInterval":300,"pingTimeout":200', opening)
            session.messageReceived(transport, "4hello")
            session.messageReceived(transport, message)
            clock.advance(0)
            self.assertEqual(b"".join(transport.writes), b"4hello" + message)
