"""
``websocket`` and ``flashsocket`` over real sockets: Autobahn's client, and raw ones where a good client is no help.

The same conversations run below a resource in a ``Site``, there over TLS too, and with the factory alone on a port, at
the usual path and at another. ``tests.transports.test_websocket`` has the rest, in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from shutil import rmtree
from socket import SO_SNDBUF, SOL_SOCKET
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, cast

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer
from twisted.internet import reactor as theReactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
)
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions, KeyPair, PrivateCertificate
from twisted.internet.task import deferLater
from twisted.protocols.policies import WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from siotwisted import Config, Connection, QueueFull, SocketIO, SocketIOResource, SocketIOWebSocketFactory, Undelivered
from siotwisted.handshake import Handshake
from siotwisted.packets import Reason
from siotwisted.transports.flashpolicy import FlashPolicySniffer, policyFile
from tests.websocketpeer import CLOSE, clientFrame, closeFrame, framed, serverFrames, unframed, upgradeRequest

reactor: Any = theReactor  # whose interfaces are told at run time


@cache
def certificate() -> PrivateCertificate:
    """A certificate for the server; no client looks at it."""
    own: PrivateCertificate = KeyPair.generate(size=2048).selfSignedCert(1, CN=b"localhost")
    return own


def turn() -> Deferred[None]:
    """One turn of the reactor."""
    return deferLater(reactor, 0)


class Client(WebSocketClientProtocol):
    """
    A good client.

    :ivar echoing: whether it answers heartbeats by itself.
    :ivar opened: fires when the WebSocket is open.
    :ivar ended: fires when the connection is gone, with whether that was clean, and the server's close code.
    """

    def __init__(self) -> None:
        super().__init__()
        self.echoing = True
        self.opened: Deferred[None] = Deferred()
        self.ended: Deferred[tuple[bool, int | None]] = Deferred()
        self._messages: DeferredQueue[str | None] = DeferredQueue()
        self._waiting: list[str] = []

    def onOpen(self) -> None:
        """The WebSocket is open."""
        self.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A message has come, which has a frame at least."""
        for message in unframed(payload.decode("utf-8")):
            if self.echoing and message.startswith("~h~"):
                self.say(message)
            else:
                self._messages.put(message)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is gone."""
        self._messages.put(None)
        if not self.opened.called:
            self.opened.errback(ConnectionError(reason))
        self.ended.callback((wasClean, code))

    async def receive(self) -> str:
        """The next message."""
        message = await self._messages.get()
        assert message is not None, "the connection is gone"
        return message

    def say(self, *messages: str) -> None:
        """Send messages as one payload."""
        self.sendMessage(framed(*messages).encode("utf-8"))

    def cut(self) -> None:
        """Lose the connection without a word."""
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]


class Raw(Protocol):
    """
    A client that knows nothing.

    :ivar received: all bytes so far.
    :ivar ended: fires when the connection is gone.
    :ivar echoing: whether it answers heartbeats by itself.
    """

    def __init__(self) -> None:
        self.received = b""
        self.ended: Deferred[None] = Deferred()
        self.echoing = False
        self._echoed = 0
        self._waiting: tuple[Callable[[], bool], Deferred[None]] | None = None

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.received += data
        if self.echoing:
            questions = [each for each in self.messages if each.startswith("~h~")]
            for question in questions[self._echoed :]:
                self.write(clientFrame(framed(question)))
            self._echoed = len(questions)
        if self._waiting is not None and self._waiting[0]():
            (_, waiting), self._waiting = self._waiting, None
            waiting.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self.ended.callback(None)
        if self._waiting is not None:
            self._waiting[1].errback(ConnectionError(f"only {self.received!r} came"))

    def whenFrames(self, count: int) -> Deferred[None]:
        """Wait until the server has sent this many frames."""
        return self.until(lambda: len(self.frames) >= count)

    def whenReceived(self, part: bytes) -> Deferred[None]:
        """Wait until these bytes are among those that came."""
        return self.until(lambda: part in self.received)

    def until(self, condition: Callable[[], bool]) -> Deferred[None]:
        """Wait for bytes that make a condition true."""
        waiting: Deferred[None] = Deferred()
        if condition():
            waiting.callback(None)
        else:
            self._waiting = (condition, waiting)
        return waiting

    def write(self, data: bytes) -> None:
        """Send bytes."""
        assert self.transport is not None
        self.transport.write(data)

    def cut(self) -> None:
        """Lose the connection without a word."""
        cast(Any, self.transport).abortConnection()

    @property
    def frames(self) -> list[tuple[int, bytes]]:
        """The WebSocket frames so far."""
        return serverFrames(self.received.partition(b"\r\n\r\n")[2])

    @property
    def messages(self) -> list[str]:
        """The messages in them, the session id first."""
        return [each for opcode, payload in self.frames if opcode == 1 for each in unframed(payload.decode("utf-8"))]

    @property
    def heard(self) -> list[str]:
        """The same without heartbeats."""
        return [each for each in self.messages if not each.startswith("~h~")]


class Counted(Factory):
    """
    Another factory whose connections are counted: a test is over when the server knows that all are gone.

    :param wrapped: the factory.
    """

    noisy = False

    def __init__(self, wrapped: IProtocolFactory) -> None:
        self._wrapped = wrapped
        self._open = 0
        self._gone: Deferred[None] | None = None

    def buildProtocol(self, addr: Any) -> Any:
        """The factory's own protocol, watched."""
        protocol: Any = self._wrapped.buildProtocol(addr)
        makeConnection, connectionLost = protocol.makeConnection, protocol.connectionLost

        def made(transport: object) -> None:
            self._open += 1
            makeConnection(transport)

        def lost(reason: Failure) -> None:
            protocol.connectionLost = connectionLost
            try:
                protocol.connectionLost(reason)
            finally:
                self._open -= 1
                if self._gone is not None and not self._open:
                    self._gone.callback(None)

        protocol.makeConnection, protocol.connectionLost = made, lost
        return protocol

    def gone(self) -> Deferred[None]:
        """Fires when all connections are gone."""
        self._gone = Deferred()
        if not self._open:
            self._gone.callback(None)
        return self._gone


class ServerCase(TestCase):
    """
    A server on a port of its own.

    :cvar alone: whether there is nothing but WebSockets on the port.
    :cvar secure: whether it speaks TLS.
    :cvar endpoint: the path of the endpoint.
    """

    timeout = 30
    alone = False
    secure = False
    endpoint = "/socket.io"

    def setUp(self) -> None:
        """Nothing listens yet."""
        self.clients: list[Client | Raw] = []
        self.ports: list[IListeningPort] = []
        self.factories: list[Counted] = []
        self.addCleanup(lambda: Deferred.fromCoroutine(self.end()))

    async def end(self) -> None:
        """Leave nothing: no client, no connection, no port."""
        for client in self.clients:
            if not client.ended.called:
                client.cut()
                await client.ended
        await self.sio.stop()
        for factory in self.factories:
            await factory.gone()
        for port in self.ports:
            stopped = port.stopListening()
            if stopped is not None:
                await stopped
        self.assertEqual(len(self.sio.registry), 0)
        self.assertEqual(self.sio.registry.transports, set())

    async def serve(self, **settings: Any) -> None:
        """Start the server; its application takes notes."""
        self.sio = SocketIO(reactor, Config(**settings))
        self.connections: list[Connection] = []
        self.received: list[Any] = []
        self.reasons: list[Reason] = []
        self._expected: tuple[Callable[[], bool], Deferred[None]] | None = None
        self.sio.onConnect(lambda connection: self.note(self.connections, connection))
        self.sio.onMessage(lambda connection, message: self.note(self.received, message))
        self.sio.onDisconnect(lambda connection, reason: self.note(self.reasons, reason))
        await self.listen(self.factory())

    def factory(self) -> IProtocolFactory:
        """What listens."""
        if self.alone:
            return SocketIOWebSocketFactory(self.sio, self.endpoint)
        return self.site()

    def site(self) -> Site:
        """A site that has the endpoint."""
        root = Resource()
        root.putChild(self.endpoint[1:].encode(), SocketIOResource(self.sio))
        return Site(root)

    async def listen(
        self,
        factory: IProtocolFactory,
        endpoint: IStreamServerEndpoint | None = None,
        wrap: Callable[[Counted], Any] = lambda factory: factory,
    ) -> None:
        """Listen on one more port, with something around the factory."""
        self.factories.append(Counted(factory))
        counted = wrap(self.factories[-1])
        if self.secure:
            counted = TLSMemoryBIOFactory(certificate().options(), False, counted)
        endpoint = endpoint or TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        self.ports.append(await endpoint.listen(counted))

    def note(self, notes: list[Any], what: object) -> None:
        """Take a note, and see whether the test waits for it."""
        notes.append(what)
        if self._expected is not None and self._expected[0]():
            (_, expected), self._expected = self._expected, None
            expected.callback(None)

    def until(self, condition: Callable[[], bool]) -> Deferred[None]:
        """Wait for the application to be told what makes a condition true."""
        expected: Deferred[None] = Deferred()
        if condition():
            expected.callback(None)
        else:
            self._expected = (condition, expected)
        return expected

    def client(self, port: int = 0) -> Any:
        """Where clients connect to."""
        return TCP4ClientEndpoint(reactor, "127.0.0.1", cast(Any, self.ports[port].getHost()).port)

    def armored(self, factory: Factory) -> IProtocolFactory:
        """A client's factory, with TLS if the server has it."""
        return TLSMemoryBIOFactory(CertificateOptions(), True, factory) if self.secure else factory

    async def connect(self, path: str = "/websocket", endpoint: Any = None, **options: Any) -> Client:
        """Open a WebSocket, at a path below the endpoint."""
        port = getattr(self.ports[0].getHost(), "port", 80)
        scheme = "wss" if self.secure else "ws"
        factory = WebSocketClientFactory(f"{scheme}://127.0.0.1:{port}{self.endpoint}{path}", reactor=reactor)
        factory.protocol = Client
        factory.setProtocolOptions(**options)
        client: Any = await (endpoint or self.client()).connect(self.armored(factory))
        client = getattr(client, "wrappedProtocol", client)
        assert isinstance(client, Client)
        self.clients.append(client)
        await client.opened
        return client

    async def raw(self, data: bytes = b"", port: int = 0) -> Raw:
        """Connect, and send bytes."""
        client = Raw()
        self.clients.append(client)
        await self.client(port).connect(self.armored(Factory.forProtocol(lambda: client)))
        client.write(data)
        return client

    def upgrade(self, path: str = "/websocket") -> bytes:
        """The request that opens a WebSocket, at a path below the endpoint."""
        return upgradeRequest(self.endpoint + path)

    async def join(self, path: str = "/websocket", **options: Any) -> tuple[Client, Connection]:
        """A new client with its session, already greeted."""
        client = await self.connect(path, **options)
        id = await client.receive()
        connection = self.sio.getConnection(id)
        assert connection is not None
        return client, connection


if TYPE_CHECKING:
    Case = ServerCase
else:
    Case = object


class Conversations(Case):
    """What clients and server say to each other."""

    async def test_greeting(self) -> None:
        """The first message is the id of the session, and the application knows who came."""
        await self.serve()
        client = await self.connect("/websocket?room=blue")
        (connection,) = self.connections
        self.assertEqual(await client.receive(), connection.id)
        self.assertEqual((connection.transport, connection.address), ("websocket", "127.0.0.1"))
        self.assertEqual(dict(connection.query), {"room": "blue"})
        self.assertEqual(connection.handshake.secure, self.secure)

    async def test_noDelay(self) -> None:
        """Small messages don't wait in the kernel for more."""
        await self.serve()
        await self.join()
        (transport,) = self.sio.registry.transports
        self.assertTrue(cast(Any, transport).transport.getTcpNoDelay())

    async def test_flashsocket(self) -> None:
        """``flashsocket`` is the same under another name."""
        await self.serve()
        client, connection = await self.join("/flashsocket")
        self.assertEqual(connection.transport, "flashsocket")
        connection.send("hi")
        self.assertEqual(await client.receive(), "hi")

    async def test_messages(self) -> None:
        """Messages of every kind arrive as they were sent, both ways."""
        await self.serve()
        client, connection = await self.join()
        sent = ["hi", "", "😀 a𐍈 ☃", "a\nb", '~j~{"a":[1,null]}', "end"]
        client.say(sent[0])
        client.say(*sent[1:])
        await self.until(lambda: len(self.received) == 6)
        self.assertEqual(self.received, ["hi", "", "😀 a𐍈 ☃", "a\nb", {"a": [1, None]}, "end"])
        for message in self.received:
            connection.send(message)
        self.assertEqual([await client.receive() for _ in sent], sent)

    async def test_large(self) -> None:
        """500 kB arrive whole, both ways, whatever they are made of."""
        await self.serve()
        client, connection = await self.join()
        for text in ("x" * 500_000, "😀" * 125_000):
            client.say(text)
            connection.send(text)
            self.assertTrue(await client.receive() == text)
            await self.until(lambda: len(self.received) == 1)
            self.assertTrue(self.received.pop() == text)

    async def test_largest(self) -> None:
        """A payload of ``maxPayload`` bytes arrives; one of a byte more ends the connection with 1009."""
        await self.serve(maxPayload=100_000)
        client, _ = await self.join()
        client.sendMessage(b"~m~99989~m~" + b"x" * 99_989)
        await self.until(lambda: len(self.received) == 1)
        client.sendMessage(b"~m~99990~m~" + b"x" * 99_990)
        self.assertEqual((await client.ended)[1], 1009)
        self.assertEqual(len(self.received), 1)
        await self.until(lambda: self.reasons == [Reason.PARSE_ERROR])

    async def test_order(self) -> None:
        """1,000 messages each way, at the same time, arrive in order."""
        await self.serve(queueMessages=2_000)
        client, connection = await self.join()
        sent = [str(number) for number in range(1_000)]
        for start in range(0, 1_000, 10):
            for message in sent[start : start + 10]:
                client.say(message)
                connection.send(message)
            await turn()
        self.assertEqual([await client.receive() for _ in sent], sent)
        await self.until(lambda: len(self.received) == 1_000)
        self.assertEqual(self.received, sent)

    async def test_streamingCodec(self) -> None:
        """The URL may ask for the other codec."""
        await self.serve()
        client = await self.raw(self.upgrade("/streaming/websocket") + clientFrame("1:3::hi,"))
        await self.until(lambda: self.received == ["hi"])
        self.connections[0].send({"a": 1})
        await client.whenFrames(2)
        self.assertEqual([text[:5] for _, text in client.frames], [b"3:27:", b"1:10:"])

    async def test_earlyFrames(self) -> None:
        """Frames in the same segment as the request are not lost."""
        await self.serve()
        await self.raw(self.upgrade() + clientFrame(framed("one")) + clientFrame(framed("two")))
        await self.until(lambda: self.received == ["one", "two"])

    async def test_byteByByte(self) -> None:
        """Nor are those that come a byte at a time."""
        await self.serve()
        client = await self.raw()
        cast(Any, client.transport).setTcpNoDelay(True)
        for byte in self.upgrade() + clientFrame(framed("one")):
            client.write(bytes([byte]))
            await turn()
        await self.until(lambda: self.received == ["one"])

    async def test_framesBeforeDecision(self) -> None:
        """Nor those that come while the application thinks about the client, however many they are."""
        await self.serve()
        decision: Deferred[bool] = Deferred()
        asked: Deferred[Handshake] = Deferred()

        @self.sio.authorize
        def authorize(handshake: Handshake) -> Deferred[bool]:
            asked.callback(handshake)
            return decision

        sent = [str(number) * 100 for number in range(3_000)]
        client = await self.raw(self.upgrade() + b"".join(clientFrame(framed(each)) for each in sent))
        self.assertEqual((await asked).transport, "websocket")
        for _ in range(100):
            await turn()
        self.assertEqual((self.connections, self.received, client.received), ([], [], b""))
        decision.callback(True)
        await self.until(lambda: len(self.received) == 3_000)
        self.assertEqual(self.received, sent)
        client.write(clientFrame(framed("last")))
        await self.until(lambda: self.received[-1] == "last")

    async def test_goneBeforeDecision(self) -> None:
        """The application is told to stop thinking when the client has left."""
        await self.serve()
        asked: Deferred[None] = Deferred()
        cancelled: Deferred[None] = Deferred()

        @self.sio.authorize
        def authorize(handshake: Handshake) -> Deferred[bool]:
            asked.callback(None)
            return Deferred(lambda _: cancelled.callback(None))

        client = await self.raw(self.upgrade())
        await asked
        client.cut()
        await cancelled
        self.assertEqual(self.connections, [])

    async def test_refused(self) -> None:
        """A client that is refused gets its answer, whole, and the connection ends."""
        await self.serve()
        self.sio.authorize(lambda handshake: False)
        client = await self.raw(self.upgrade().replace(b"Host", b"Connection: close\r\nHost") + clientFrame("early"))
        await client.ended
        self.assertTrue(client.received.startswith(b"HTTP/1.1 401 Unauthorized\r\n"), client.received)

    async def test_unknownSession(self) -> None:
        """A session that is not there: the connection is cut without an answer."""
        await self.serve()
        client = await self.raw(self.upgrade("/websocket/nobody"))
        await client.ended
        self.assertEqual(client.received, b"")

    async def test_compressionDeclined(self) -> None:
        """A client that would like to compress is not encouraged."""
        await self.serve()
        client, connection = await self.join(perMessageCompressionOffers=[PerMessageDeflateOffer()])
        self.assertEqual(client.websocket_extensions_in_use, [])
        connection.send("x" * 1_000)
        self.assertEqual(await client.receive(), "x" * 1_000)

    async def test_heartbeats(self) -> None:
        """The server asks for signs of life; a client that stops giving them is cut, and waited for."""
        await self.serve(heartbeatInterval=0.02, heartbeatTimeout=0.5, reconnectTimeout=0.02)
        client, _ = await self.join()
        client.echoing = False
        for number in range(1, 4):
            self.assertEqual(await client.receive(), f"~h~{number}")
            client.say(f"~h~{number}")
        wasClean, _ = await client.ended
        self.assertFalse(wasClean)
        await self.until(lambda: self.reasons == [Reason.PING_TIMEOUT])

    async def test_goodbye(self) -> None:
        """A client that says goodbye ends its session at once."""
        await self.serve()
        for code in (1000, None):
            client, connection = await self.join()
            client.sendClose(code)
            self.assertEqual(await client.ended, (True, 1000))
            await self.until(lambda: len(self.reasons) == len(self.connections))
            self.assertIsNone(self.sio.getConnection(connection.id))
        page = await self.raw(self.upgrade() + closeFrame(1001))
        await page.ended
        for code, reason in ((1000, "bye"), (3000, ""), (4999, "é")):
            client, _ = await self.join()
            client.sendClose(code, reason)
            self.assertEqual(await client.ended, (True, 1000))
        await self.until(lambda: len(self.reasons) == 6)
        self.assertEqual(self.reasons, [Reason.TRANSPORT_CLOSE] * 6)

    async def test_bothSayGoodbye(self) -> None:
        """A client that says goodbye in the same breath as what it is thrown out for is told so once at most."""
        await self.serve()
        self.sio.onMessage(lambda connection, message: connection.close())
        client = await self.raw(self.upgrade() + clientFrame(framed("throw me out")) + closeFrame(1000))
        await client.ended
        self.assertLessEqual([opcode for opcode, _ in client.frames].count(CLOSE), 1)
        self.assertEqual(self.reasons, [Reason.SERVER_DISCONNECT])

    async def test_goodbyeOfSlowReader(self) -> None:
        """A client that says goodbye before it has read all that was handed over gets it, and an answer behind it."""
        await self.serve(closeTimeout=1000.0)
        lost: list[Undelivered] = []

        def noteAll(connection: Connection, messages: list[Undelivered], reason: Reason) -> None:
            for message in messages:
                self.note(lost, message)

        self.sio.onUndelivered(noteAll)
        cast(Any, self.ports[0]).socket.setsockopt(SOL_SOCKET, SO_SNDBUF, 8192)
        client = await self.raw(self.upgrade())
        await client.whenFrames(1)
        cast(Any, client.transport).pauseProducing()
        for number in range(9):
            self.connections[0].send(str(number) * 100_000)
            await turn()
        client.write(closeFrame(1000))
        for _ in range(20):
            await turn()
        cast(Any, client.transport).resumeProducing()
        await client.ended
        self.assertEqual(client.frames[-1], (CLOSE, b"\x03\xe8"))
        await self.until(lambda: len(lost) == 9)
        self.assertEqual(len(client.heard), 1 + len([message for message in lost if message.sent]))
        self.assertEqual(self.reasons, [Reason.TRANSPORT_CLOSE])

    async def test_cut(self) -> None:
        """A client that is cut is waited for, no longer than ``reconnectTimeout``."""
        await self.serve(reconnectTimeout=0.3)
        client, connection = await self.join()
        client.cut()
        await client.ended
        self.assertIsNotNone(self.sio.getConnection(connection.id))
        await self.until(lambda: self.reasons == [Reason.TRANSPORT_CLOSE])

    async def test_resume(self) -> None:
        """A client that was cut may come back with its id: what waited for it arrives, without a greeting."""
        await self.serve()
        client, connection = await self.join()
        client.cut()
        await client.ended
        connection.send("waited")
        again = await self.connect(f"/websocket/{connection.id}")
        again.say("back")
        self.assertEqual(await again.receive(), "waited")
        await self.until(lambda: self.received == ["back"])
        self.assertEqual((len(self.connections), self.reasons), (1, []))

    async def test_close(self) -> None:
        """All that was sent before ``close`` arrives, then the goodbye."""
        await self.serve(closeTimeout=20.0)
        client, connection = await self.join()
        sent = [character * 300_000 for character in "abcdefg"]
        for message in sent:
            connection.send(message)
        connection.close()
        for message in sent:
            self.assertTrue(await client.receive() == message)
        self.assertEqual(await client.ended, (True, 1000))
        self.assertEqual(self.reasons, [Reason.SERVER_DISCONNECT])

    async def test_goodbyeNotAnswered(self) -> None:
        """A client that does not answer the goodbye is cut."""
        await self.serve(closeTimeout=0.3)
        client = await self.raw(self.upgrade())
        await client.whenFrames(1)
        self.connections[0].close()
        await client.ended
        self.assertEqual(client.frames[-1], (CLOSE, b"\x03\xe8"))

    async def test_stop(self) -> None:
        """Stopping is done when all goodbyes are answered; what was sent before arrives."""
        await self.serve(closeTimeout=20.0)
        client, connection = await self.join()
        other = await self.raw(self.upgrade())
        await other.whenFrames(1)
        connection.send("last words")
        stopped = self.sio.stop()
        self.assertEqual(await client.receive(), "last words")
        self.assertEqual(await client.ended, (True, 1000))
        await other.until(lambda: other.frames[-1] == (CLOSE, b"\x03\xe8"))
        self.assertFalse(stopped.called)
        other.write(closeFrame(1000))
        await stopped
        self.assertEqual(self.reasons, [Reason.SERVER_SHUTTING_DOWN] * 2)

    async def test_slowReader(self) -> None:
        """The server holds no more than the queue for a slow reader; all that it accepted arrives, in order."""
        await self.serve(queueMessages=20, queueBytes=2_000_000)
        client = await self.raw(self.upgrade())
        await client.whenFrames(1)
        (connection,) = self.connections
        client.echoing = True
        cast(Any, client.transport).pauseProducing()
        accepted = 0
        with self.assertRaises(QueueFull):
            while accepted < 5_000:
                connection.send(f"{accepted} " + "x" * 50_000)
                accepted += 1
                await turn()
        self.assertGreater(accepted, 20)
        cast(Any, client.transport).resumeProducing()
        await client.until(lambda: len(client.heard) > accepted)
        self.assertEqual([message.split(" ")[0] for message in client.heard[1:]], [str(n) for n in range(accepted)])
        connection.send("and on")
        await client.until(lambda: client.heard[-1] == "and on")


class EmbeddedTests(Conversations, ServerCase):
    """Below a resource, in a site."""


class SecureTests(Conversations, ServerCase):
    """Below a resource, in a site, over TLS."""

    secure = True


class AloneTests(Conversations, ServerCase):
    """The factory alone on a port."""

    alone = True


class AloneElsewhereTests(Conversations, ServerCase):
    """The factory alone on a port, at a path of its own, over TLS."""

    alone = True
    secure = True
    endpoint = "/live/chat"


def get(path: str) -> bytes:
    """A plain request."""
    return f"GET {path} HTTP/1.1\r\nHost: chat.example\r\n\r\n".encode()


class TogetherTests(ServerCase):
    """WebSockets beside other transports, other ports, and other things on the same port."""

    def setUp(self) -> None:
        """Make a folder for sockets, which need short paths."""
        self.folder = mkdtemp()
        self.addCleanup(rmtree, self.folder)
        super().setUp()

    async def poll(self, path: str) -> Raw:
        """Ask for messages, on a connection of its own."""
        return await self.raw(get(self.endpoint + path))

    def body(self, client: Raw) -> str:
        """What a poll was answered with."""
        head, _, body = client.received.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
        self.assertIn(b"Content-Length: %d" % len(body), head)
        return body.decode("utf-8")

    async def test_pollReplaced(self) -> None:
        """A client that polls may go on with a WebSocket: its held poll ends empty, the rest comes there."""
        await self.serve()
        first = await self.poll("/xhr-polling//1322000000000")
        await first.until(lambda: first.received.count(b"~m~") == 2)
        (id,) = unframed(self.body(first))
        (connection,) = self.connections
        held = await self.poll(f"/xhr-polling/{id}/1322000000001")
        client = await self.connect(f"/websocket/{id}")
        await held.until(lambda: b"\r\n\r\n" in held.received)
        self.assertEqual(self.body(held), "")
        connection.send("hi")
        client.say("ho")
        self.assertEqual(await client.receive(), "hi")
        await self.until(lambda: self.received == ["ho"])
        self.assertEqual((connection.transport, self.connections, self.reasons), ("websocket", [connection], []))

    async def test_webSocketReplaced(self) -> None:
        """And the other way round: the WebSocket ends in good order, and the session goes on."""
        await self.serve()
        client, connection = await self.join()
        poll = await self.poll(f"/xhr-polling/{connection.id}/1322000000001")
        self.assertEqual(await client.ended, (True, 1000))
        connection.send("hi")
        await poll.until(lambda: poll.received.endswith(b"hi"))
        self.assertEqual(unframed(self.body(poll)), ["hi"])
        self.assertEqual((connection.transport, self.reasons), ("xhr-polling", []))

    async def test_posts(self) -> None:
        """A client with a WebSocket may post all the same, on the URL of another transport."""
        await self.serve()
        client, connection = await self.join()
        body = b"data=%7Em%7E2%7Em%7Ehi"
        head = f"POST {self.endpoint}/xhr-polling/{connection.id}/send HTTP/1.1\r\nHost: chat.example\r\n"
        post = await self.raw(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await post.until(lambda: post.received.endswith(b"ok"))
        self.assertEqual(self.received, ["hi"])
        client.say("ho")
        await self.until(lambda: self.received == ["hi", "ho"])

    async def test_twoPorts(self) -> None:
        """A site and a factory of the same server share its sessions: who was cut on one may come back on the other."""
        await self.serve()
        await self.listen(SocketIOWebSocketFactory(self.sio))
        first, _ = await self.join()
        second = await self.connect(endpoint=self.client(1))
        id = await second.receive()
        self.assertEqual((await self.sio.broadcast("to all")).accepted, 2)
        self.assertEqual([await first.receive(), await second.receive()], ["to all"] * 2)
        second.cut()
        await second.ended
        again = await self.connect(f"/websocket/{id}")
        again.say("back")
        await self.until(lambda: self.received == ["back"])
        self.assertEqual((len(self.connections), self.reasons), (2, []))

    async def test_sameConnection(self) -> None:
        """A connection that has served requests may become a WebSocket; one that is a WebSocket serves no more."""
        await self.serve()
        client = await self.raw(get("/elsewhere") + self.upgrade() + clientFrame(framed("one")) + get("/elsewhere"))
        await client.ended
        self.assertEqual(client.received.count(b"HTTP/1.1 404 "), 1)
        self.assertEqual(client.received.count(b"HTTP/1.1 101 "), 1)
        self.assertEqual(self.received, ["one"])

    async def test_unixSocket(self) -> None:
        """A UNIX socket is as good, alone or in a site."""
        await self.serve()
        for name, factory in (("site", self.site()), ("alone", SocketIOWebSocketFactory(self.sio))):
            path = f"{self.folder}/{name}"
            await self.listen(factory, UNIXServerEndpoint(reactor, path))
            client, connection = await self.join(endpoint=UNIXClientEndpoint(reactor, path))
            client.say("hi")
            await self.until(lambda: self.received == ["hi"])
            self.assertEqual(connection.transport, "websocket")
            self.received.clear()

    async def test_besideFlashPolicy(self) -> None:
        """A port that answers Flash plugins serves WebSockets too."""
        await self.serve()
        for factory in (self.site(), SocketIOWebSocketFactory(self.sio)):
            await self.listen(
                factory, wrap=lambda counted: FlashPolicySniffer(counted, policyFile(["chat.example"], "*"))
            )
            port = len(self.ports) - 1
            plugin = await self.raw(b"<policy-file-request/>\0", port)
            await plugin.ended
            self.assertIn(b"chat.example", plugin.received)
            client = await self.raw(self.upgrade() + clientFrame(framed("hi")), port)
            await client.whenFrames(1)
            self.assertEqual(self.received.pop(), "hi")

    async def test_wrapped(self) -> None:
        """So does one with a wrapper around the connection, as proxies' headers and traffic limits need it."""
        await self.serve()
        for factory in (self.site(), SocketIOWebSocketFactory(self.sio)):
            await self.listen(factory, wrap=WrappingFactory)
            client, connection = await self.join(endpoint=self.client(len(self.ports) - 1))
            connection.send("hi")
            connection.close()
            self.assertEqual(await client.receive(), "hi")
            self.assertEqual(await client.ended, (True, 1000))


class WrappedSecureTests(ServerCase):
    """TLS with a wrapper inside."""

    timeout = 5
    secure = True

    async def test_wrapped(self) -> None:
        """A wrapper between TLS and the site, as for a proxy's header, does no harm."""
        await self.serve()
        for factory in (self.site(), SocketIOWebSocketFactory(self.sio)):
            await self.listen(factory, wrap=WrappingFactory)
            client = await self.raw(self.upgrade() + clientFrame(framed("hi")), len(self.ports) - 1)
            await client.whenFrames(1)
            self.assertEqual(self.received.pop(), "hi")
