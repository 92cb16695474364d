"""
The server object: its public methods, with clients on fake transports and no HTTP.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

import siotwisted
from siotwisted import Config, Connection, Delivery, EncodeError, QueueFull, SessionClosed, SocketIO, SocketIOError
from siotwisted.dialects.dialect import Refusal
from siotwisted.handshake import Handshake
from siotwisted.packets import Reason
from siotwisted.wire.sio06 import frame
from tests.fakes import FakePoll, FakeStream, FakeTransport, FakeWebSocket, attach, connect, makeHandshake, makeRoute
from tests.fakes import received as dataOn


class ServerCase(SynchronousTestCase):
    """A server with the default settings."""

    def setUp(self) -> None:
        """Make it."""
        self.clock = Clock()
        self.sio = SocketIO(self.clock)

    def client(self, kind: type[FakeTransport] = FakeStream) -> tuple[Connection, FakeTransport]:
        """A new client that has its id."""
        session, transport = connect(self.sio.registry, kind)
        self.clock.advance(0)
        transport.writes.clear()
        connection = self.sio.getConnection(session.id)
        assert connection is not None
        return connection, transport


class InterfaceTests(ServerCase):
    """The public names do what they say."""

    def test_names(self) -> None:
        """Everything that the package lists is there."""
        for name in siotwisted.__all__:
            self.assertTrue(hasattr(siotwisted, name), name)

    def test_errors(self) -> None:
        """One clause catches all errors."""
        for error in (QueueFull, SessionClosed, EncodeError):
            self.assertTrue(issubclass(error, SocketIOError))

    def test_defaults(self) -> None:
        """The settings may be left out."""
        self.assertEqual(self.sio.config, Config())
        config = Config(reconnectTimeout=5.0)
        self.assertIs(SocketIO(self.clock, config).config, config)

    def test_settings(self) -> None:
        """Sessions live by the settings that were given."""
        self.sio = SocketIO(self.clock, Config(reconnectTimeout=5.0, queueMessages=1))
        reasons: list[str] = []
        self.sio.onDisconnect(lambda connection, reason: reasons.append(reason))
        connection, stream = self.client()
        stream.ready = False
        connection.send("a")
        self.assertRaises(QueueFull, connection.send, "b")
        stream.connectionLost()
        self.clock.advance(5)
        self.assertEqual(reasons, ["transport close"])

    def test_chat(self) -> None:
        """Handlers, used as decorators, get clients, messages and ends, and answer them, whatever their transports."""
        sio = self.sio
        events: list[tuple[str, ...]] = []

        @sio.onConnect
        def joined(connection: Connection) -> None:
            events.append(("joined", str(connection)))
            sio.broadcastExcept(connection, {"joined": connection.id})

        @sio.onMessage
        async def said(connection: Connection, message: Any) -> None:
            await succeed(None)
            sio.broadcast([connection.id, message])

        @sio.onDisconnect
        def left(connection: Connection, reason: str) -> Deferred[Delivery]:
            events.append(("left", str(connection), reason))
            return sio.broadcast({"left": connection.id})

        first, stream = self.client()
        second, poll = self.client(FakePoll)
        poll = attach(second.session, FakePoll)
        self.clock.advance(0)
        self.assertEqual(dataOn(stream), [{"joined": second.id}])
        second.session.dataReceived(frame("hello"))
        self.clock.advance(0)
        self.assertEqual(poll.writes, [frame(f'~j~["{second.id}","hello"]').encode()])
        second.close()
        self.clock.advance(0)
        self.assertEqual(dataOn(stream)[1:], [[second.id, "hello"], {"left": second.id}])
        self.assertEqual(
            events,
            [("joined", first.id), ("joined", second.id), ("left", second.id, "server namespace disconnect")],
        )

    def test_decorators(self) -> None:
        """All four return the function that they were given."""

        def handler(*arguments: object) -> None:
            """Do nothing."""

        for register in (self.sio.onConnect, self.sio.onMessage, self.sio.onDisconnect, self.sio.authorize):
            self.assertIs(register(handler), handler)

    def test_authorize(self) -> None:
        """The application is asked about new clients."""
        asked: list[Handshake] = []

        @self.sio.authorize
        def allowed(request: Handshake) -> bool:
            asked.append(request)
            return request.getHeader("user-agent") == "friend"

        handshake = makeHandshake()
        refusal = self.successResultOf(self.sio.admission.authorize(makeRoute(), handshake))
        self.assertEqual(asked, [handshake])
        assert isinstance(refusal, Refusal)
        self.assertEqual(refusal.status, 401)

    def test_twoServers(self) -> None:
        """Two servers in one process know nothing of each other."""
        other = SocketIO(self.clock)
        connection, stream = self.client()
        self.assertIsNone(other.getConnection(connection.id))
        self.assertEqual(self.successResultOf(other.broadcast("a")), (0, 0, 0))
        self.successResultOf(other.stop())
        self.assertFalse(connection.session.closed)
        self.assertEqual(stream.writes, [])


class StopTests(ServerCase):
    """The end of a server."""

    def test_stop(self) -> None:
        """Everyone is told off for the same reason, the Deferred waits for the transports, and nobody new comes in."""
        reasons: list[str] = []
        self.sio.onDisconnect(lambda connection, reason: reasons.append(reason))
        connection, stream = self.client()
        _, socket = self.client(FakeWebSocket)
        assert isinstance(socket, FakeWebSocket)
        connection.send("last words")
        done = self.sio.stop()
        self.assertEqual(dataOn(stream), ["last words"])
        self.assertEqual(reasons, ["server shutting down"] * 2)
        self.assertNoResult(done)
        refusal = self.sio.admission.check(makeRoute(), {"host": "chat.example"}.get, False)
        assert refusal is not None
        self.assertEqual(refusal.status, 503)
        socket.closedByClient()
        self.assertIsNone(self.successResultOf(done))
        self.assertRaises(SessionClosed, connection.send, "too late")
        self.assertIsNone(self.sio.getConnection(connection.id))
        self.assertEqual(self.successResultOf(self.sio.broadcast("too late")), (0, 0, 0))
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_twice(self) -> None:
        """Both callers are told."""
        _, socket = self.client(FakeWebSocket)
        assert isinstance(socket, FakeWebSocket)
        first, second = self.sio.stop(), self.sio.stop()
        self.assertNoResult(first)
        self.assertNoResult(second)
        socket.closedByClient()
        self.successResultOf(first)
        self.successResultOf(second)

    def test_within(self) -> None:
        """A handler may stop the server, on whatever occasion."""
        for occasion in ("onConnect", "onMessage", "onDisconnect"):
            self.setUp()
            results: list[Deferred[None]] = []
            getattr(self.sio, occasion)(lambda *arguments, to=results: to.append(self.sio.stop()))
            session, stream = connect(self.sio.registry, FakeStream)
            session.dataReceived(frame("a") + frame("b"))
            session.transportLost(stream, Reason.TRANSPORT_CLOSE, final=True)
            self.assertEqual(len(results), 1, occasion)
            self.successResultOf(results[0])
            self.assertTrue(session.closed)
            self.clock.advance(0)
            self.assertEqual(self.clock.getDelayedCalls(), [])
