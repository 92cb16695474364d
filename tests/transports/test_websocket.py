"""
``websocket`` and ``flashsocket`` in memory: every byte and every second under the test's control.

The same tests run on both ways in: below a Twisted Web ``Site``, and with the factory alone on a port. They cover the
opening handshake and its refusals, what comes behind the request before it is answered, what clients may break, the
ends of connections, heartbeats, and slow readers. Real sockets are in ``tests.integration.test_websocket``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site
from txaio.tx import config as autobahnConfig

from siotwisted import Config, Connection, QueueFull, SocketIO, SocketIOResource, SocketIOWebSocketFactory
from siotwisted.handshake import Handshake
from siotwisted.packets import Reason
from siotwisted.transports.websocket import SocketIOWebSocketProtocol
from tests.websocketpeer import (
    ACCEPT,
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    clientFrame,
    closeFrame,
    framed,
    serverFrames,
    unframed,
    upgradeRequest,
)

ADDRESS = "192.0.2.7"
MAX_PAYLOAD = 2_000
#: A text that no answer and no log may repeat.
SECRET = "Tr0mbone"


class ServerEnd(StringTransport):
    """
    The server's end of a TCP connection: it ends in a later turn, and nothing is read or written after that was asked.

    :ivar writes: what the server wrote, write by write.
    :ivar stuck: whether the client reads nothing any more, so that the last bytes never leave.
    :ivar aborted: whether the server cut it.
    """

    def __init__(self, clock: Clock, protocol: IProtocol) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", ADDRESS, 54321), lenient=True)
        self.writes: list[bytes] = []
        self.stuck = self.aborted = False
        self._clock = clock
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        """Remember what is written as long as it is connected."""
        if self.connected and not self.disconnecting:
            self.writes.append(data)
            super().write(data)

    def loseConnection(self) -> None:
        """End it when all is written."""
        if self.connected and not self.disconnecting:
            self.disconnecting = True
            if not self.stuck:
                self._clock.callLater(0, self.lost, ConnectionDone())

    def abortConnection(self) -> None:
        """Cut it."""
        if self.connected and not self.aborted:
            self.aborted = self.disconnecting = True
            self._clock.callLater(0, self.lost, ConnectionAborted())

    def unregisterProducer(self) -> None:
        """Forget the producer, if there is one."""
        self.producer = self.streaming = None

    def lost(self, reason: Exception) -> None:
        """Tell the server, once, that the connection is gone."""
        if self.connected:
            self.connected = False
            self._protocol.connectionLost(Failure(reason))


class Peer:
    """
    A client, with a connection of its own.

    :ivar end: the server's end of the connection.
    """

    def __init__(self, clock: Clock, factory: IProtocolFactory) -> None:
        protocol = factory.buildProtocol(IPv4Address("TCP", ADDRESS, 54321))
        assert protocol is not None
        self._clock = clock
        self.protocol = protocol
        self.end = ServerEnd(clock, protocol)
        protocol.makeConnection(self.end)

    def send(self, *pieces: bytes) -> None:
        """Send bytes, each piece a segment of its own, all in one turn of the server's reactor."""
        for piece in pieces:
            if self.end.connected and not self.end.disconnecting:
                self.protocol.dataReceived(piece)
        self.turn()

    def say(self, *messages: str) -> None:
        """Send messages as one payload."""
        self.send(clientFrame(framed(*messages)))

    def turn(self) -> None:
        """Let the turn end, and those that it leads to."""
        self._clock.pump([0, 0, 0])

    def fallBehind(self) -> None:
        """Read too slowly."""
        assert self.end.producer is not None
        self.end.producer.pauseProducing()

    def catchUp(self) -> None:
        """Read all that was written."""
        assert self.end.producer is not None
        self.end.producer.resumeProducing()
        self.turn()

    def cut(self) -> None:
        """Lose the connection without a word."""
        self.end.lost(ConnectionLost())
        self.turn()

    @property
    def head(self) -> str:
        """The head of the answer."""
        head: bytes = self.end.value().partition(b"\r\n\r\n")[0]
        return head.decode("latin-1")

    @property
    def status(self) -> int:
        """The HTTP status; 0 if there was no answer."""
        return int(self.head.split(" ")[1]) if self.head else 0

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer, by lower-case name."""
        lines = [line.partition(": ") for line in self.head.split("\r\n")[1:]]
        return {name.lower(): value for name, _, value in lines}

    @property
    def frames(self) -> list[tuple[int, bytes]]:
        """The WebSocket frames behind the head."""
        return serverFrames(self.end.value().partition(b"\r\n\r\n")[2])

    @property
    def messages(self) -> list[str]:
        """The messages in them, the session id first."""
        texts = [payload.decode("utf-8") for opcode, payload in self.frames if opcode == TEXT]
        return [message for text in texts for message in unframed(text)]

    @property
    def closeCodes(self) -> list[int]:
        """The codes of the server's close frames."""
        return [int.from_bytes(payload[:2], "big") for opcode, payload in self.frames if opcode == CLOSE]

    @property
    def open(self) -> bool:
        """Whether the connection is, and will stay so."""
        return bool(self.end.connected) and not self.end.disconnecting


class WebSocketCase(SynchronousTestCase):
    """
    A server in memory, on a ``Clock``.

    :cvar alone: whether there is nothing but WebSockets on the port.
    """

    alone = False

    def setUp(self) -> None:
        """Stop the time and watch the log."""
        self.clock = Clock()
        self.clock.advance(1_000_000.8)
        self.patch(autobahnConfig, "loop", self.clock)
        self.events: list[LogEvent] = []
        observer = cast(ILogObserver, self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.configure()

    def configure(self, **settings: Any) -> None:
        """Start anew with these settings."""
        self.sio = SocketIO(self.clock, Config(**{"maxPayload": MAX_PAYLOAD, "closeTimeout": 1.0, **settings}))
        self.connections: list[Connection] = []
        self.received: list[Any] = []
        self.reasons: list[Reason] = []
        self.sio.onConnect(self.connections.append)
        self.sio.onMessage(lambda connection, message: self.received.append(message))
        self.sio.onDisconnect(lambda connection, reason: self.reasons.append(reason))
        if self.alone:
            self.factory: IProtocolFactory = SocketIOWebSocketFactory(self.sio)
        else:
            root = Resource()
            root.putChild(b"socket.io", SocketIOResource(self.sio))
            self.factory = Site(root, reactor=self.clock)

    def connect(self) -> Peer:
        """A new TCP connection."""
        return Peer(self.clock, self.factory)

    def request(self, *arguments: Any, **more: Any) -> Peer:
        """Ask for an upgrade, on a connection of its own; the parameters are those of ``upgradeRequest``."""
        peer = self.connect()
        peer.send(upgradeRequest(*arguments, **more))
        return peer

    def join(self, path: str = "/socket.io/websocket", headers: Mapping[str, str | None] | None = None) -> Peer:
        """Open a WebSocket with a session of its own."""
        peer = self.request(path, headers)
        self.assertEqual(peer.status, 101, peer.head)
        return peer

    def lines(self) -> list[str]:
        """What was logged since the last time, by the server or by Autobahn, that an operator would see."""
        events, self.events[:] = self.events[:], []
        return [
            str(formatEvent(event))
            for event in events
            if event["log_level"] >= LogLevel.info and event["log_namespace"].startswith(("siotwisted", "autobahn"))
        ]

    def assertNothingLeft(self) -> None:
        """No session, no transport, no delayed call."""
        self.assertEqual(len(self.sio.registry), 0)
        self.assertEqual(self.sio.registry.transports, set())
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Embedded(WebSocketCase):
    """Below a resource, in a site."""


class Alone(WebSocketCase):
    """The factory is all there is."""

    alone = True


if TYPE_CHECKING:
    Case = WebSocketCase
else:
    Case = object


class Handshakes(Case):
    """The opening handshake."""

    def test_accepted(self) -> None:
        """The answer is that of RFC 6455, with no extension and no version; the first message is the session id."""
        peer = self.join()
        expected = {"upgrade": "WebSocket", "connection": "Upgrade", "sec-websocket-accept": ACCEPT}
        self.assertEqual(peer.headers, expected)
        (connection,) = self.connections
        self.assertEqual(peer.frames, [(TEXT, framed(connection.id).encode())])
        self.assertEqual(self.lines(), [])

    def test_connection(self) -> None:
        """The application gets to know who came, from where, with what, and when."""
        self.join("/socket.io/websocket?room=blue&room=red&name=J%C3%BCrgen", {"X-Test": "1"})
        (connection,) = self.connections
        self.assertEqual(connection.transport, "websocket")
        self.assertEqual(connection.address, ADDRESS)
        self.assertEqual(dict(connection.query), {"room": "red", "name": "Jürgen"})
        self.assertEqual(connection.headers["x-test"], "1")
        self.assertEqual(connection.headers["host"], "chat.example")
        self.assertEqual(connection.time, self.clock.seconds())
        self.assertEqual(connection.handshake.path, "/socket.io/websocket")
        self.assertEqual(connection.handshake.method, "GET")
        self.assertFalse(connection.handshake.secure)

    def test_query(self) -> None:
        """A name without a value is in the query all the same."""
        self.join("/socket.io/websocket?quiet=&loud=1")
        self.assertEqual(dict(self.connections[0].query), {"quiet": "", "loud": "1"})

    def test_repeatedHeader(self) -> None:
        """The values of a header that comes twice are joined."""
        peer = self.connect()
        peer.send(upgradeRequest()[:-2] + b"X-Test: one\r\nx-test: two\r\n\r\n")
        self.assertEqual(self.connections[0].headers["x-test"], "one, two")

    def test_paths(self) -> None:
        """A trailing slash, an empty session id and a time against caches all ask for a new session."""
        for path in ("websocket/", "websocket//1322000000000", "websocket/1322000000000", "flashsocket", "web%73ocket"):
            self.join("/socket.io/" + path)
        self.assertEqual(len(self.connections), 5)

    def test_flashsocket(self) -> None:
        """``flashsocket`` is the same under another name."""
        peer = self.join("/socket.io/flashsocket")
        (connection,) = self.connections
        self.assertEqual(connection.transport, "flashsocket")
        self.assertEqual(peer.messages, [connection.id])

    def test_streamingCodec(self) -> None:
        """The URL may ask for another codec, which has a goodbye of its own."""
        peer = self.join("/socket.io/streaming/websocket")
        (connection,) = self.connections
        connection.send("hi")
        connection.close()
        peer.turn()
        self.assertEqual(
            [payload for _, payload in peer.frames],
            [f"3:27:{connection.id},".encode(), b"1:3::hi,", b"0:0:,", b"\x03\xe8"],
        )

    def test_draft(self) -> None:
        """The last draft before the RFC, version 8, is served alike."""
        peer = self.join(headers={"Sec-WebSocket-Version": "8", "Sec-WebSocket-Origin": "http://chat.example"})
        peer.say("hi")
        self.assertEqual(self.received, ["hi"])

    def test_compressionDeclined(self) -> None:
        """An offer to compress is not taken up, and a compressed frame is an error."""
        peer = self.join(headers={"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"})
        self.assertNotIn("sec-websocket-extensions", peer.headers)
        peer.send(clientFrame(b"\xaa\x02", rsv=4))
        self.assertEqual(peer.closeCodes, [1002])
        self.assertEqual(self.received, [])

    def test_oddOffers(self) -> None:
        """Extensions and subprotocols that nobody knows, however badly they are written, are not taken up."""
        for offer in ("x-webkit-deflate-frame", 'a; b="' + "\\x" * 4_000, ";;,,==", "é"):
            peer = self.join(headers={"Sec-WebSocket-Extensions": offer, "Sec-WebSocket-Protocol": "chat, xmpp"})
            self.assertNotIn("sec-websocket-extensions", peer.headers)
            self.assertNotIn("sec-websocket-protocol", peer.headers)

    def test_byteByByte(self) -> None:
        """A request and the frames behind it may come byte by byte."""
        peer = self.connect()
        data = upgradeRequest() + clientFrame(framed("one", "zwölf")) + clientFrame(framed("😀"))
        peer.send(*(data[position : position + 1] for position in range(len(data))))
        self.assertEqual(self.received, ["one", "zwölf", "😀"])
        self.assertEqual(peer.messages, [self.connections[0].id])

    def test_splitAnywhere(self) -> None:
        """Wherever a segment ends, in the request, at its end or in a frame, nothing is lost."""
        data = upgradeRequest() + clientFrame(framed("one")) + clientFrame(framed("two"))
        for position in range(len(data)):
            del self.received[:]
            peer = self.connect()
            peer.send(data[:position], data[position:])
            self.assertEqual(self.received, ["one", "two"], position)

    def test_manyFramesBehind(self) -> None:
        """A client may send much behind its request, all in one segment."""
        peer = self.connect()
        sent = [f"message {number}" for number in range(3_000)]
        peer.send(upgradeRequest() + b"".join(clientFrame(framed(each)) for each in sent))
        self.assertEqual(self.received, sent)

    def test_closeBehind(self) -> None:
        """A client that says goodbye in the same segment was there, and is gone."""
        peer = self.connect()
        peer.send(upgradeRequest() + clientFrame(framed("bye")) + closeFrame(1000))
        self.assertEqual(self.received, ["bye"])
        self.assertEqual(self.reasons, [Reason.TRANSPORT_CLOSE])
        self.assertNothingLeft()

    def test_sendInOnConnect(self) -> None:
        """What the application sends as soon as the client is there comes behind the session id, in the same write."""
        self.sio.onConnect(lambda connection: connection.send("welcome"))
        peer = self.join()
        self.assertEqual(peer.messages, [self.connections[0].id, "welcome"])
        self.assertEqual(len(peer.end.writes), 2)

    def test_closeInOnConnect(self) -> None:
        """The application may close at once: the client learns its id, and that it is not wanted."""
        self.sio.onConnect(lambda connection: connection.close())
        peer = self.connect()
        peer.send(upgradeRequest() + clientFrame(framed("lost")))
        self.assertEqual(peer.messages, [self.connections[0].id])
        self.assertEqual(peer.closeCodes, [1000])
        self.assertEqual(self.received, [])
        self.assertEqual(self.reasons, [Reason.SERVER_DISCONNECT])

    def test_afterOtherRequests(self) -> None:
        """The request may come on a connection that has served others, and behind one that waits."""
        if self.alone:
            return
        peer = self.connect()
        get = b"GET /elsewhere HTTP/1.1\r\nHost: chat.example\r\n\r\n"
        post = b"POST /elsewhere HTTP/1.1\r\nHost: chat.example\r\nContent-Length: 3\r\n\r\nabc"
        poll = b"GET /socket.io/xhr-polling// HTTP/1.1\r\nHost: chat.example\r\n\r\n"
        peer.send(get + post)
        peer.send(poll + upgradeRequest() + clientFrame(framed("one")))
        peer.send(clientFrame(framed("two")))
        answers = peer.end.value()
        self.assertEqual([answers.count(each) for each in (b" 404 ", b" 200 ", b" 101 ")], [2, 1, 1])
        self.assertEqual(self.received, ["one", "two"])

    def test_idleTimeout(self) -> None:
        """Whatever the site does to idle connections, an open WebSocket is not one of its requests any more."""
        peer = self.join()
        peer.say("one")
        for number in range(1, 12):
            self.clock.advance(10)
            peer.say(f"~h~{number}")
        self.assertTrue(peer.open)
        self.assertEqual(self.reasons, [])


class Refusals(Case):
    """Requests that are not served."""

    #: Name of the case: what is wrong, the status below a resource, and alone.
    rows: Mapping[str, tuple[Mapping[str, Any], int, int]] = {
        "no upgrade": ({"headers": {"Upgrade": None, "Connection": None}}, 426, 426),
        "other upgrade": ({"headers": {"Upgrade": f"foo{SECRET}"}}, 426, 400),
        "two other upgrades": ({"headers": {"Upgrade": "h2c, websockets"}}, 426, 400),
        "POST": ({"method": "POST"}, 426, 405),
        "PUT": ({"method": "PUT"}, 405, 405),
        "unknown method": ({"method": SECRET}, 405, 405),
        "HTTP/1.0": ({"version": "HTTP/1.0"}, 400, 505),
        "no host": ({"headers": {"Host": None}}, 400, 400),
        "bad port": ({"headers": {"Host": f"chat.example:{SECRET}"}}, 400, 400),
        "no connection": ({"headers": {"Connection": None}}, 400, 400),
        "other connection": ({"headers": {"Connection": "keep-alive"}}, 400, 400),
        "no key": ({"headers": {"Sec-WebSocket-Key": None}}, 400, 400),
        "short key": ({"headers": {"Sec-WebSocket-Key": SECRET}}, 400, 400),
        "key with odd bytes": ({"headers": {"Sec-WebSocket-Key": f"{SECRET}<script>\xe9 h=="}}, 400, 400),
        "no version": ({"headers": {"Sec-WebSocket-Version": None}}, 400, 400),
        "unknown version": ({"headers": {"Sec-WebSocket-Version": "14"}}, 400, 400),
        "version of letters": ({"headers": {"Sec-WebSocket-Version": SECRET}}, 400, 400),
        "endless version": ({"headers": {"Sec-WebSocket-Version": "9" * 8_000}}, 400, 400),
        "Hixie 76": (
            {"headers": {"Sec-WebSocket-Key1": "3e6b263 4 17 80", "Sec-WebSocket-Version": None}},
            400,
            400,
        ),
        "foreign origin": ({"headers": {"Origin": f"https://{SECRET}.example"}}, 403, 403),
        "foreign origin on flashsocket": (
            {"path": "/socket.io/flashsocket", "headers": {"Origin": "https://evil.example"}},
            403,
            403,
        ),
        "foreign origin on streaming": (
            {"path": "/socket.io/streaming/websocket", "headers": {"Origin": "https://evil.example"}},
            403,
            403,
        ),
        "own name in another port": ({"headers": {"Origin": "http://chat.example:81"}}, 403, 403),
        "no origin at all": ({"headers": {"Origin": "null"}}, 403, 403),
        "foreign origin of a draft": (
            {"headers": {"Sec-WebSocket-Version": "8", "Sec-WebSocket-Origin": "https://evil.example"}},
            403,
            403,
        ),
        "unknown transport": ({"path": f"/socket.io/{SECRET}"}, 404, 404),
        "endpoint": ({"path": "/socket.io/"}, 404, 404),
        "longer name": ({"path": "/socket.iofoo/websocket"}, 404, 404),
        "elsewhere": ({"path": f"/{SECRET}"}, 404, 404),
        "endless id": ({"path": "/socket.io/websocket/" + "a" * 65}, 404, 404),
        "fragment": ({"path": f"/socket.io/websocket#{SECRET}"}, 404, 400),
        "bad offer": ({"headers": {"Sec-WebSocket-Extensions": f"permessage-deflate; {SECRET}"}}, 400, 400),
    }

    def test_table(self) -> None:
        """Each gets its status, with nothing that the client said, and a line in the log; nothing is left of it."""
        faults = []
        for name, (request, embedded, alone) in self.rows.items():
            peer = self.request(**request)
            status, lines = peer.status, len(self.lines())
            if status != (alone if self.alone else embedded):
                faults.append(f"{name}: {peer.head or 'no answer'}")
            if SECRET.encode() in peer.end.value():
                faults.append(f"{name}: the answer repeats what the client said")
            if self.alone and (peer.open or peer.headers.get("connection") != "close"):
                faults.append(f"{name}: the connection stays open")
            if self.alone and (peer.headers.get("content-length") != "0" or not peer.end.value().endswith(b"\r\n\r\n")):
                faults.append(f"{name}: the answer's end can't be told")
            if lines > 1 or (self.alone and lines == 0):
                faults.append(f"{name}: {lines} lines in the log")
            peer.cut()
            if self.connections:
                faults.append(f"{name}: a session began")
                self.configure()
        self.assertEqual(faults, [])
        self.assertNothingLeft()

    def test_logIsPrintable(self) -> None:
        """What the client said may be in the log, but can't break its lines or play tricks with a terminal."""
        self.request(headers={"Sec-WebSocket-Key": "\x1b[2J\x0bfake: line\x85fake: line"})
        (line,) = self.lines()
        self.assertTrue(line.isprintable(), line)

    def test_whatToUpgradeTo(self) -> None:
        """An answer 426 names the protocol that it asks for."""
        peer = self.request(headers={"Upgrade": None})
        self.assertEqual((peer.status, peer.headers.get("upgrade")), (426, "websocket"))

    def test_versions(self) -> None:
        """A client of another version is told which ones there are."""
        peer = self.request(headers={"Sec-WebSocket-Version": "14"})
        self.assertEqual(peer.headers["sec-websocket-version"], "13,8")

    def test_allowedOrigins(self) -> None:
        """A rule lets pages of another origin in, and those of the server's own, or of none, always come in."""
        self.configure(origins=["friend.example:*"])
        self.join(headers={"Origin": "https://friend.example:8443"})
        self.join(headers={"Origin": "http://chat.example"})
        self.join()
        self.assertEqual(self.request(headers={"Origin": "https://friend.example.evil"}).status, 403)

    def test_everyOrigin(self) -> None:
        """The rule ``*`` lets every page in, of whatever scheme."""
        self.configure(origins=["*"])
        for origin in ("https://any.example", "null", "file://", "moz-extension://0c0ffee0-1", "capacitor://localhost"):
            self.join(headers={"Origin": origin})

    def test_disabledTransport(self) -> None:
        """A transport that the configuration does not name is not there."""
        self.configure(transports=["websocket"])
        self.assertEqual(self.request("/socket.io/flashsocket").status, 404)
        self.join("/socket.io/websocket")

    def test_longHead(self) -> None:
        """A head without an end is refused before it grows long, however it comes."""
        line = b"X-Padding: " + b"x" * 1_000 + b"\r\n"
        for pieces in ([upgradeRequest()[:-2] + line * 20], [upgradeRequest()[:-2], *[line] * 20], [b"x" * 20_000]):
            peer = self.connect()
            peer.send(*pieces)
            self.assertIn(peer.status, (431,) if self.alone else (0, 400))
            self.assertFalse(peer.open)
            self.assertEqual(len(self.lines()), 1 if self.alone else 0)
            self.assertNothingLeft()

    def test_headAlmostTooLong(self) -> None:
        """A head that just fits is served, with a frame behind it."""
        request = upgradeRequest()[:-2] + b"X-Padding: "
        request += b"x" * (16_384 - 400 - len(request)) + b"\r\n\r\n"
        peer = self.connect()
        peer.send(request + clientFrame(framed("hi")))
        self.assertEqual((peer.status, self.received), (101, ["hi"]))

    def test_bodyIsNotParsed(self) -> None:
        """What an upgrade request carries as its body is neither a frame nor a request, and the connection ends."""
        behind = upgradeRequest("/socket.io/flashsocket") + clientFrame(framed("behind"))
        for body in (clientFrame(framed("smuggled")), upgradeRequest()):
            peer = self.connect()
            peer.send(upgradeRequest(headers={"Content-Length": str(len(body))}) + body + behind)
            self.assertEqual(peer.status, 400)
            self.assertEqual(peer.end.value().count(b"HTTP/1.1 "), 1)
            self.assertEqual((self.received, self.connections), ([], []))
            self.assertFalse(peer.open)

    def test_chunkedBodyIsNotParsed(self) -> None:
        """So it is with a body in chunks."""
        body = clientFrame(framed("smuggled"))
        chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        peer = self.connect()
        peer.send(upgradeRequest(headers={"Transfer-Encoding": "chunked"}) + chunks)
        self.assertEqual(peer.status, 400)
        self.assertEqual((self.received, self.connections), ([], []))
        self.assertFalse(peer.open)

    def test_emptyBody(self) -> None:
        """A body of no bytes is none."""
        peer = self.connect()
        peer.send(upgradeRequest(headers={"Content-Length": "0"}) + clientFrame(framed("hi")))
        self.assertEqual((peer.status, self.received), (101, ["hi"]))

    def test_framesBehindRefusal(self) -> None:
        """Frames behind a request that is refused are not looked at."""
        peer = self.connect()
        peer.send(upgradeRequest(headers={"Origin": "https://evil.example"}) + clientFrame(framed("hi")))
        self.assertEqual((peer.status, self.received, self.connections), (403, [], []))

    def test_stopped(self) -> None:
        """A server that has stopped lets nobody in."""
        self.successResultOf(self.sio.stop())
        self.assertEqual(self.request().status, 503)

    def test_unknownSession(self) -> None:
        """A session that is not there: the connection is cut without an answer."""
        peer = self.request("/socket.io/websocket/a" + "b" * 26)
        self.assertEqual((peer.end.value(), peer.end.aborted), (b"", True))
        self.assertEqual(len(self.lines()), 1)
        self.assertNothingLeft()

    def test_sessionOfAnotherCodec(self) -> None:
        """A session of another codec is not there either, and does not notice."""
        owner = self.join()
        (connection,) = self.connections
        peer = self.request(f"/socket.io/streaming/websocket/{connection.id}")
        self.assertEqual((peer.end.value(), peer.end.aborted), (b"", True))
        owner.say("hi")
        self.assertEqual(self.received, ["hi"])
        self.assertTrue(owner.open)


class Authorization(Case):
    """The application decides, at once or later."""

    def setUp(self) -> None:
        """Let the application take its time."""
        super().setUp()
        self.asked: list[Handshake] = []
        self.cancelled: list[Deferred[bool]] = []
        self.decision: Deferred[bool] = Deferred(self.cancelled.append)

    def askLater(self) -> None:
        """From now on, the answer is ``self.decision``."""

        @self.sio.authorize
        def authorize(handshake: Handshake) -> Deferred[bool]:
            self.asked.append(handshake)
            return self.decision

    def test_asked(self) -> None:
        """The application is asked once, with all that the client said, before anything is answered."""
        self.askLater()
        peer = self.request("/socket.io/flashsocket?token=1", {"Cookie": "user=1"})
        (handshake,) = self.asked
        self.assertEqual((handshake.transport, handshake.query["token"]), ("flashsocket", "1"))
        self.assertEqual((handshake.getHeader("cookie"), handshake.address), ("user=1", ADDRESS))
        self.assertEqual((peer.end.value(), self.connections), (b"", []))
        self.decision.callback(True)
        peer.turn()
        self.assertEqual(peer.status, 101)
        self.assertEqual(peer.messages, [self.connections[0].id])

    def test_no(self) -> None:
        """False is 401, now or later."""
        self.sio.authorize(lambda handshake: False)
        peer = self.request()
        self.assertEqual((peer.status, self.connections, len(self.lines())), (401, [], 1))
        peer.cut()
        self.configure()
        self.askLater()
        peer = self.request()
        self.decision.callback(False)
        peer.turn()
        self.assertEqual((peer.status, self.connections, len(self.lines())), (401, [], 1))
        peer.cut()
        self.assertNothingLeft()

    def test_failure(self) -> None:
        """A failure is 500, now or later, and logged, once; the client does not get to see it."""
        self.sio.authorize(lambda handshake: 1 // 0)
        peer = self.request()
        self.assertEqual((peer.status, len(self.flushLoggedErrors(ZeroDivisionError))), (500, 1))
        peer.cut()
        self.configure()
        self.askLater()
        peer = self.request()
        self.decision.errback(KeyError(SECRET))
        peer.turn()
        self.assertEqual((peer.status, len(self.flushLoggedErrors(KeyError))), (500, 1))
        self.assertNotIn(SECRET.encode(), peer.end.value())
        self.assertEqual(self.connections, [])
        peer.cut()
        self.assertNothingLeft()

    def test_framesBeforeDecision(self) -> None:
        """What the client sends while the application thinks waits, and comes in order; nothing is lost."""
        self.askLater()
        sent = [f"message {number}" for number in range(20)]
        data = upgradeRequest() + b"".join(clientFrame(framed(each)) for each in sent)
        peer = self.connect()
        peer.send(*(data[position : position + 7] for position in range(0, len(data), 7)))
        self.assertEqual((peer.end.value(), self.received), (b"", []))
        self.decision.callback(True)
        peer.turn()
        self.assertEqual(self.received, sent)
        peer.say("last")
        self.assertEqual(self.received, [*sent, "last"])

    def test_byteByByteBeforeDecision(self) -> None:
        """So it is if every byte comes by itself."""
        self.askLater()
        data = upgradeRequest() + clientFrame(framed("one")) + clientFrame(framed("two"))
        peer = self.connect()
        peer.send(*(data[position : position + 1] for position in range(len(data) - 1)))
        self.decision.callback(True)
        peer.send(data[-1:])
        self.assertEqual(self.received, ["one", "two"])

    def test_muchBeforeDecision(self) -> None:
        """More than 16 kB behind the request are not lost either, and the connection goes on being read."""
        self.askLater()
        sent = [str(number) * 50 for number in range(1_000)]
        peer = self.connect()
        peer.send(upgradeRequest(), b"".join(clientFrame(framed(each)) for each in sent))
        self.decision.callback(True)
        peer.turn()
        self.assertEqual(self.received, sent)
        self.assertEqual(peer.end.producerState, "producing")
        peer.say("last")
        self.assertEqual(self.received[-1], "last")

    def test_boundBeforeDecision(self) -> None:
        """The server does not keep all that a client can send while the application thinks: it stops reading."""
        self.askLater()
        frame = clientFrame(framed("x" * 1_000))
        peer = self.connect()
        peer.send(upgradeRequest())
        sent = 0
        while peer.end.producerState == "producing" and sent < 1_000:
            peer.send(frame)
            sent += 1
        self.assertLess(sent * len(frame), 100_000)
        self.decision.callback(True)
        peer.turn()
        self.assertEqual(len(self.received), sent)
        self.assertEqual(peer.end.producerState, "producing")

    def test_slowDecision(self) -> None:
        """The application may think for a minute."""
        self.askLater()
        peer = self.request()
        for _ in range(60):
            self.clock.advance(1)
        self.assertTrue(peer.open)
        self.decision.callback(True)
        peer.say("hi")
        self.assertEqual((peer.status, self.received), (101, ["hi"]))

    def test_goneBeforeDecision(self) -> None:
        """The decision is cancelled if the client leaves, without a word in the log, and nothing is left."""
        self.askLater()
        peer = self.request()
        peer.cut()
        self.assertEqual(self.cancelled, [self.decision])
        self.assertEqual((self.connections, self.lines()), ([], []))
        self.assertNothingLeft()

    def test_decisionForNobody(self) -> None:
        """A client that has left does not come in because the application says yes to the cancellation."""

        @self.sio.authorize
        async def authorize(handshake: Handshake) -> bool:
            try:
                return await self.decision
            except CancelledError:
                return True

        peer = self.request()
        peer.cut()
        self.assertEqual(self.connections, [])
        self.assertNothingLeft()

    def test_decisionMuchTooLate(self) -> None:
        """Nor because it goes on thinking when it was told not to, and says yes at last."""
        later: Deferred[bool] = Deferred()

        @self.sio.authorize
        async def authorize(handshake: Handshake) -> bool:
            try:
                return await self.decision
            except CancelledError:
                return await later

        peer = self.request()
        peer.cut()
        later.callback(True)
        peer.turn()
        self.assertEqual(self.connections, [])
        self.assertNothingLeft()

    def test_stoppedBeforeDecision(self) -> None:
        """A server that stops meanwhile lets nobody in, whatever the decision is."""
        self.askLater()
        peer = self.request()
        stopped = self.sio.stop()
        self.successResultOf(stopped)
        self.decision.callback(True)
        peer.turn()
        self.assertEqual((peer.status, self.connections), (503, []))
        self.assertEqual(len(self.lines()), 1)
        peer.cut()
        self.assertNothingLeft()


class Conversations(Case):
    """Messages, heartbeats, slow readers, and clients that come back."""

    def test_text(self) -> None:
        """Text of every kind arrives as it was sent, both ways."""
        peer = self.join()
        sent = ["hi", "", "a\nb\r\n", "\x00\x7f", "zwölf ☃", "😀 a𐍈", "~m~3~m~abc", "\u2028<script>"]
        for text in sent:
            peer.say(text)
            self.connections[0].send(text)
        peer.turn()
        self.assertEqual(self.received, sent)
        self.assertEqual(peer.messages[1:], sent)

    def test_json(self) -> None:
        """Whatever JSON can hold arrives as a value, both ways."""
        peer = self.join()
        peer.say('~j~{"a":[1,2.5,null,true,"😀"]}', "~j~[]", "~j~7", '~j~"~h~1"')
        self.assertEqual(self.received, [{"a": [1, 2.5, None, True, "😀"]}, [], 7, "~h~1"])
        values: list[object] = [{"a": [1, None]}, [], None, "~h~1", 7, b"bytes"]
        for value in values:
            self.connections[0].send(value)
        peer.turn()
        self.assertEqual(peer.messages[1:], ['~j~{"a":[1,null]}', "~j~[]", "~j~null", '~j~"~h~1"', "7", "bytes"])

    def test_payloads(self) -> None:
        """A message of the client may have many frames, or none."""
        peer = self.join()
        peer.say("one", "", "three", '~j~{"four":4}')
        peer.say()
        self.assertEqual(self.received, ["one", "", "three", {"four": 4}])
        self.assertTrue(peer.open)

    def test_oneWrite(self) -> None:
        """What is sent in one turn leaves at its end in one write, each message a WebSocket message of its own."""
        peer = self.join()
        before = len(peer.end.writes)
        for number in range(5):
            self.connections[0].send(str(number))
        self.assertEqual(len(peer.end.writes), before)
        peer.turn()
        self.assertEqual(len(peer.end.writes), before + 1)
        self.assertEqual([payload for _, payload in peer.frames[1:]], [framed(each).encode() for each in "01234"])

    def test_sizes(self) -> None:
        """Frames of every length of a length are right."""
        self.configure(maxPayload=70_000)
        peer = self.join()
        for size in (118, 119, 120, 121, 122, 65_500, 65_526, 65_527, 65_528):
            peer.say("x" * size)
            self.connections[0].send("x" * size)
            peer.turn()
            self.assertEqual(len(self.received[-1]), size)
            self.assertEqual(len(peer.messages[-1]), size)

    def test_sharedBytes(self) -> None:
        """A broadcast is framed once: every socket is given the very same bytes."""
        peers = [self.join(), self.join("/socket.io/flashsocket"), self.join()]
        sender = self.connections[2]
        self.successResultOf(self.sio.broadcastExcept(sender, {"to": "all", "size": "x" * 500}))
        self.clock.advance(0)
        first, second, third = (peer.end.writes for peer in peers)
        self.assertIs(first[-1], second[-1])
        self.assertEqual([len(writes) for writes in (first, second, third)], [3, 3, 2])

    def test_pingsOfOneWhoDoesNotRead(self) -> None:
        """T215: pings of a client that reads no answers are not answered: they would pile up."""
        peer = self.join()
        producer: Any = peer.end.producer
        producer.pauseProducing()
        peer.send(clientFrame(b"", PING) * 1_000)
        self.assertEqual(peer.frames[1:], [])
        producer.resumeProducing()
        peer.send(clientFrame(b"again", PING))
        self.assertEqual(peer.frames[1:], [(PONG, b"again")])

    def test_fragments(self) -> None:
        """A message in fragments, with a ping between them, is one payload."""
        peer = self.join()
        payload = framed("zwölf").encode()
        peer.send(clientFrame(payload[:8], TEXT, fin=False))
        peer.send(clientFrame(b"are you there?", PING))
        peer.send(clientFrame(payload[8:9], CONTINUATION, fin=False), clientFrame(b"", CONTINUATION, fin=False))
        self.assertEqual(self.received, [])
        peer.send(clientFrame(payload[9:], CONTINUATION))
        self.assertEqual(self.received, ["zwölf"])
        self.assertEqual(peer.frames[1:], [(PONG, b"are you there?")])

    def test_pong(self) -> None:
        """A pong that nobody asked for is no sign of life, and does no harm."""
        peer = self.join()
        peer.send(clientFrame(b"?", PONG))
        peer.say("hi")
        self.assertEqual(self.received, ["hi"])

    def test_largest(self) -> None:
        """A payload may have exactly ``maxPayload`` bytes, in one frame or in many."""
        peer = self.join()
        payload = framed("x" * (MAX_PAYLOAD - 10)).encode()
        self.assertEqual(len(payload), MAX_PAYLOAD)
        peer.send(clientFrame(payload))
        pieces = [payload[start : start + 100] for start in range(0, MAX_PAYLOAD, 100)]
        peer.send(clientFrame(pieces[0], TEXT, fin=False))
        peer.send(*(clientFrame(piece, CONTINUATION, fin=False) for piece in pieces[1:-1]))
        peer.send(clientFrame(pieces[-1], CONTINUATION))
        self.assertEqual([len(message) for message in self.received], [MAX_PAYLOAD - 10] * 2)

    def test_heartbeats(self) -> None:
        """The server asks for a sign of life, again and again, as long as it gets one."""
        peer = self.join()
        for number in range(1, 5):
            self.clock.advance(9.9)
            self.assertEqual(len(peer.messages), number)
            self.clock.advance(0.1)
            self.assertEqual(peer.messages[1:], [f"~h~{each}" for each in range(1, number + 1)])
            self.clock.advance(7.9)
            peer.say(f"~h~{number}", "text")
        self.assertEqual(self.received, ["text"] * 4)
        self.assertEqual(self.reasons, [])

    def test_heartbeatMissed(self) -> None:
        """A client that gives none is cut, and waited for."""
        peer = self.join()
        peer.say("busy")
        self.clock.advance(10)
        peer.say("talking", "~h~7")
        self.clock.advance(7.9)
        self.assertTrue(peer.open)
        self.clock.advance(0.1)
        peer.turn()
        self.assertTrue(peer.end.aborted)
        self.assertEqual(peer.closeCodes, [])
        self.clock.advance(59.9)
        self.assertEqual(self.reasons, [])
        self.clock.advance(0.1)
        self.assertEqual(self.reasons, [Reason.PING_TIMEOUT])
        self.assertNothingLeft()

    def test_slowReader(self) -> None:
        """While the client reads too slowly, messages wait, as many as the limit allows, and none is lost or turned."""
        self.configure(queueMessages=100)
        peer = self.join()
        (connection,) = self.connections
        peer.fallBehind()
        before = len(peer.end.writes)
        for number in range(100):
            connection.send(str(number))
            self.clock.advance(0)
        with self.assertRaises(QueueFull):
            connection.send("one too many")
        self.assertEqual(len(peer.end.writes), before)
        peer.catchUp()
        connection.send("100")
        peer.turn()
        self.assertEqual(peer.messages[1:], [str(number) for number in range(101)])

    def test_slowReaderIsAsked(self) -> None:
        """A slow reader is asked for its sign of life, too, once, and what waits still comes in order."""
        peer = self.join()
        peer.fallBehind()
        self.connections[0].send("waits")
        self.clock.advance(10)
        peer.say("~h~1")
        peer.catchUp()
        self.assertEqual(peer.messages[1:], ["~h~1", "waits"])
        self.assertEqual(self.reasons, [])

    def test_producer(self) -> None:
        """The transport knows whom to tell, for as long as the WebSocket is open."""
        peer = self.join()
        self.assertIsNotNone(peer.end.producer)
        self.assertTrue(peer.end.streaming)
        peer.send(closeFrame(1000))
        self.assertIsNone(peer.end.producer)

    def test_producerOfTheLost(self) -> None:
        """What the transport tells of the client's pace when the client is gone changes nothing."""
        peer = self.join()
        producer: Any = peer.end.producer
        peer.cut()
        producer.resumeProducing()
        producer.stopProducing()
        self.connections[0].send("waits")
        peer.turn()
        again = self.join(f"/socket.io/websocket/{self.connections[0].id}")
        self.assertEqual(again.messages, ["waits"])

    def test_resume(self) -> None:
        """A client that was cut comes back with its id: what waited arrives, without a greeting, and it goes on."""
        peer = self.join()
        (connection,) = self.connections
        peer.cut()
        connection.send("waited")
        connection.send({"too": True})
        self.clock.advance(59)
        again = self.join(f"/socket.io/flashsocket/{connection.id}")
        self.assertEqual(again.messages, ["waited", '~j~{"too":true}'])
        again.say("back")
        self.assertEqual((self.received, self.connections, self.reasons), (["back"], [connection], []))
        self.assertEqual(connection.transport, "flashsocket")
        self.clock.advance(10)
        self.assertEqual(again.messages[2:], ["~h~1"])

    def test_resumeWithFrames(self) -> None:
        """It may send at once."""
        peer = self.join()
        peer.cut()
        again = self.connect()
        again.send(upgradeRequest(f"/socket.io/websocket/{self.connections[0].id}") + clientFrame(framed("back")))
        self.assertEqual((self.received, again.messages), (["back"], []))

    def test_resumeIsNotAskedAbout(self) -> None:
        """The application is not asked again about a client that comes back with its id."""
        asked: list[Handshake] = []

        @self.sio.authorize
        def authorize(handshake: Handshake) -> bool:
            asked.append(handshake)
            return True

        self.join().cut()
        self.join(f"/socket.io/websocket/{self.connections[0].id}")
        self.assertEqual(len(asked), 1)

    def test_replace(self) -> None:
        """A second WebSocket of a session takes the place of the first, which ends in good order, and nothing more."""
        first = self.join()
        (connection,) = self.connections
        second = self.join(f"/socket.io/websocket/{connection.id}")
        self.assertEqual(first.closeCodes, [1000])
        first.send(closeFrame(1000))
        self.assertFalse(first.open)
        connection.send("hi")
        second.say("ho")
        self.assertEqual((second.messages, self.received), (["hi"], ["ho"]))
        self.assertEqual(self.reasons, [])
        second.send(closeFrame(1000))
        self.assertEqual(self.reasons, [Reason.TRANSPORT_CLOSE])
        self.assertNothingLeft()

    def test_replacedAndCut(self) -> None:
        """If the first one does not answer its goodbye, it is cut, and the second does not notice."""
        first = self.join()
        second = self.join(f"/socket.io/websocket/{self.connections[0].id}")
        self.clock.advance(1)
        first.turn()
        self.assertTrue(first.end.aborted)
        second.say("hi")
        self.assertEqual((self.received, self.reasons), (["hi"], []))

    def test_deferredWrites(self) -> None:
        """A message to a client that is cut in the same turn waits for it."""
        peer = self.join()
        (connection,) = self.connections
        connection.send("waits")
        peer.end.lost(ConnectionLost())
        self.clock.advance(0)
        again = self.join(f"/socket.io/websocket/{connection.id}")
        self.assertEqual(again.messages, ["waits"])


#: What a client may do wrong: what it sends, and the code of the server's close frame.
VIOLATIONS: Mapping[str, tuple[bytes, int]] = {
    "no frame": (clientFrame("hello"), 1000),
    "frame too short": (clientFrame("~m~5~m~abc"), 1000),
    "bad JSON": (clientFrame(framed("~j~{")), 1000),
    "deep JSON": (clientFrame(framed("~j~" + "[" * 900 + "]" * 900)), 1000),
    "binary message": (clientFrame(framed("hi"), BINARY), 1000),
    "unmasked": (clientFrame(framed("hi"), masked=False), 1002),
    "reserved bit": (clientFrame(framed("hi"), rsv=1), 1002),
    "compressed": (clientFrame(framed("hi"), rsv=4), 1002),
    "reserved opcode": (clientFrame(framed("hi"), 3), 1002),
    "reserved control opcode": (clientFrame(b"", 11), 1002),
    "continuation of nothing": (clientFrame(framed("hi"), CONTINUATION), 1002),
    "fragmented ping": (clientFrame(b"", PING, fin=False), 1002),
    "long ping": (clientFrame(b"x" * 126, PING), 1002),
    "text in fragments of text": (clientFrame("~m~", fin=False) + clientFrame("1~m~a"), 1002),
    "length in more bytes than needed": (clientFrame(framed("hi"), lengthBytes=2), 1002),
    "length in many more": (clientFrame(framed("hi"), lengthBytes=8), 1002),
    "length of 2**63": (clientFrame(b"", length=1 << 63, lengthBytes=8), 1002),
    "one byte more": (clientFrame(b"x" * (MAX_PAYLOAD + 1)), 1009),
    "length of 2**40": (clientFrame(b"", length=1 << 40, lengthBytes=8), 1009),
    "length of 2**63 - 1": (clientFrame(b"", length=(1 << 63) - 1, lengthBytes=8), 1009),
    "one fragment more": (
        clientFrame(b"x" * MAX_PAYLOAD, fin=False) + clientFrame(b"x", CONTINUATION),
        1009,
    ),
    "too many fragments": (
        clientFrame(b"~m~", fin=False) + clientFrame(b"", CONTINUATION, fin=False) * 4096,
        1009,
    ),
    "no UTF-8": (clientFrame(b"~m~1~m~\xff"), 1007),
    "overlong UTF-8": (clientFrame(b"~m~1~m~\xc0\x80"), 1007),
    "surrogate": (clientFrame(b"~m~1~m~\xed\xa0\x80"), 1007),
    "beyond Unicode": (clientFrame(b"~m~1~m~\xf4\x90\x80\x80"), 1007),
    "half a character": (clientFrame(b"~m~1~m~\xc3"), 1007),
    "half a character at a fragment's edge": (
        clientFrame(b"~m~1~m~\xc3", fin=False) + clientFrame(b"(", CONTINUATION),
        1007,
    ),
    "bad UTF-8 in a goodbye": (closeFrame(1000, b"\xff"), 1007),
    "a goodbye of one byte": (clientFrame(b"\x03", CLOSE), 1002),
    "a goodbye of 126 bytes": (closeFrame(1000, b"x" * 124), 1002),
    **{f"a goodbye of code {code}": (closeFrame(code), 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000)},
}


class Violations(Case):
    """Clients that break a protocol, and what it costs them; nobody else."""

    def test_table(self) -> None:
        """Each gets its close code; the session ends for a reason, the log has one line; others don't notice."""
        other = self.join()
        faults = []
        for name, (data, code) in VIOLATIONS.items():
            del self.reasons[:], self.received[:]
            peer = self.join()
            peer.send(data)
            codes = peer.closeCodes
            peer.send(closeFrame(code) if codes else b"")
            if peer.end.connected:  # it waits for the rest of an endless frame
                self.clock.advance(1)
                peer.turn()
            lines = self.lines()
            if codes != [code]:
                faults.append(f"{name}: closed with {codes}")
            if self.reasons != [Reason.PARSE_ERROR] or self.received:
                faults.append(f"{name}: ended with {self.reasons}, {self.received}")
            if len(lines) != 1:
                faults.append(f"{name}: logged {lines}")
            if peer.end.connected:
                faults.append(f"{name}: the connection stays open")
        self.assertEqual(faults, [])
        other.say("hi")
        self.assertEqual(self.received, ["hi"])
        other.send(closeFrame())
        self.assertNothingLeft()

    def test_neverAnswers(self) -> None:
        """A client that does not answer the close frame is cut after ``closeTimeout``."""
        for name, (data, _) in VIOLATIONS.items():
            peer = self.join()
            peer.send(data)
            self.clock.advance(1)
            peer.turn()
            self.assertFalse(peer.end.connected, name)
        self.assertNothingLeft()
        self.assertEqual(set(self.reasons), {Reason.PARSE_ERROR})

    def test_goodBeforeBad(self) -> None:
        """The good frames of a damaged payload, and of payloads before it, count; none behind it."""
        peer = self.join()
        peer.send(clientFrame(framed("one")) + clientFrame(framed("two") + "~m~") + clientFrame(framed("three")))
        self.assertEqual((self.received, self.reasons), (["one", "two"], [Reason.PARSE_ERROR]))

    def test_nothingBehindViolation(self) -> None:
        """So it is with a broken WebSocket frame: what came before it counts, nothing behind it."""
        peer = self.join()
        peer.send(
            clientFrame(framed("one")) + clientFrame(framed("two"), masked=False) + clientFrame(framed("three")),
            clientFrame(framed("four")),
        )
        self.assertEqual(self.received, ["one"])
        peer.cut()
        self.assertEqual(self.reasons, [Reason.PARSE_ERROR])
        self.assertNothingLeft()

    def test_oversizeIsSeenAtOnce(self) -> None:
        """A length beyond the limit is refused from the header alone; what follows is not kept."""
        peer = self.join()
        header = clientFrame(b"", length=1 << 40, lengthBytes=8)
        peer.send(header[:-1])
        self.assertEqual(peer.closeCodes, [])
        peer.send(header[-1:])
        self.assertEqual(peer.closeCodes, [1009])

    def test_garbage(self) -> None:
        """Garbage in the place of frames ends the connection, with a line in the log for what was wrong, not many."""
        garbage = bytes(range(256)) * 300
        peer = self.join()
        peer.send(garbage[:1_000], garbage[1_000:], garbage)
        self.clock.advance(1)
        peer.turn()
        self.assertFalse(peer.end.connected)
        self.assertLessEqual(len(self.lines()), 1)
        self.assertEqual(self.reasons, [Reason.PARSE_ERROR])
        self.assertNothingLeft()

    def test_badTextInManyReads(self) -> None:
        """A long message that is no UTF-8 is an error once, not once for each segment."""
        self.configure(maxPayload=100_000)
        peer = self.join()
        data = clientFrame(b"\xff" * 90_000)
        peer.send(*(data[start : start + 1_000] for start in range(0, len(data), 1_000)))
        self.assertEqual(peer.closeCodes, [1007])
        self.assertEqual(len(self.lines()), 1)

    def test_violationAfterClose(self) -> None:
        """What a client breaks when it was told goodbye is not worth more than a line."""
        peer = self.join()
        self.connections[0].close()
        peer.send(clientFrame(framed("hi"), masked=False), clientFrame(b"", 3), closeFrame(1000))
        self.clock.advance(1)
        peer.turn()
        self.assertLessEqual(len(self.lines()), 1)
        self.assertEqual(self.reasons, [Reason.SERVER_DISCONNECT])
        self.assertNothingLeft()

    def test_httpBehind(self) -> None:
        """A request in the place of frames is not answered as one."""
        peer = self.join()
        peer.send(b"GET /socket.io/xhr-polling// HTTP/1.1\r\nHost: chat.example\r\n\r\n")
        self.assertEqual(len(self.connections), 1)
        self.assertEqual(peer.end.value().count(b"HTTP/1.1"), 1)
        self.assertEqual(peer.closeCodes, [1002])


class Ends(Case):
    """Who ends a connection, how, and what is left."""

    def test_goodbye(self) -> None:
        """A client that says goodbye ends its session at once, whatever code it gives; the goodbye is answered."""
        for data in (closeFrame(), closeFrame(1000), closeFrame(1001), closeFrame(1000, "tschüß".encode())):
            del self.reasons[:]
            peer = self.join()
            peer.send(data)
            self.assertEqual(self.reasons, [Reason.TRANSPORT_CLOSE])
            self.assertEqual(peer.closeCodes, [1000])
            self.assertFalse(peer.end.aborted)
            self.assertNothingLeft()
        self.assertEqual(self.lines(), [])

    def test_goodbyeBehindMessages(self) -> None:
        """What the client said before its goodbye counts."""
        peer = self.join()
        peer.send(clientFrame(framed("one")) + closeFrame(1000) + clientFrame(framed("two")))
        self.assertEqual((self.received, self.reasons), (["one"], [Reason.TRANSPORT_CLOSE]))

    def test_goodbyeOfOneWhoDoesNotRead(self) -> None:
        """A client that says goodbye, but reads no more, has gone: its session ends within ``closeTimeout``."""
        peer = self.join()
        peer.end.stuck = True
        peer.send(closeFrame(1000))
        self.clock.advance(1)
        peer.turn()
        self.assertEqual(self.reasons, [Reason.TRANSPORT_CLOSE])
        self.assertFalse(peer.end.connected)
        self.assertNothingLeft()

    def test_refusedWhoDoesNotRead(self) -> None:
        """A client that was refused, and does not read why, is not kept for ever."""
        if not self.alone:
            return
        peer = self.connect()
        peer.end.stuck = True
        peer.send(upgradeRequest(headers={"Origin": "null"}))
        self.assertEqual(peer.status, 403)
        for _ in range(10):
            self.clock.advance(1)
        self.assertFalse(peer.end.connected)

    def test_stopWithOneWhoDoesNotRead(self) -> None:
        """Nor does it keep the server from stopping."""
        peer = self.join()
        peer.end.stuck = True
        peer.send(closeFrame(1000))
        stopped = self.sio.stop()
        self.clock.advance(1)
        peer.turn()
        self.successResultOf(stopped)
        self.assertFalse(peer.end.connected)

    def test_cut(self) -> None:
        """A client that is cut is waited for, for ``reconnectTimeout``, without a word in the log."""
        peer = self.join()
        peer.cut()
        self.clock.advance(59.9)
        self.assertEqual(self.reasons, [])
        self.clock.advance(0.1)
        self.assertEqual(self.reasons, [Reason.TRANSPORT_CLOSE])
        self.assertEqual(self.lines(), [])
        self.assertNothingLeft()

    def test_close(self) -> None:
        """What was sent before ``close`` arrives, then the close frame; the client's answer ends the connection."""
        peer = self.join()
        (connection,) = self.connections
        connection.send("one")
        connection.send("two")
        connection.close()
        peer.turn()
        self.assertEqual(peer.messages[1:], ["one", "two"])
        self.assertEqual(peer.frames[-1], (CLOSE, b"\x03\xe8"))
        self.assertEqual(self.reasons, [Reason.SERVER_DISCONNECT])
        self.assertTrue(peer.open)
        peer.send(closeFrame(1000))
        self.assertFalse(peer.end.connected)
        self.assertEqual(self.reasons, [Reason.SERVER_DISCONNECT])
        self.assertEqual(self.lines(), [])
        self.assertNothingLeft()

    def test_closeWhileItCloses(self) -> None:
        """Messages for a client that has said goodbye, but whose connection lingers, are not dropped without a word."""
        peer = self.join()
        (connection,) = self.connections
        peer.end.stuck = True
        peer.send(closeFrame(1000))
        connection.send("late")
        connection.close()
        self.assertEqual(self.reasons, [Reason.SERVER_DISCONNECT])
        self.assertEqual(self.lines(), ["1 last frames for a WebSocket that is closing were not sent"])
        self.clock.advance(1)
        self.assertNothingLeft()

    def test_closeTimeout(self) -> None:
        """A client that never answers has ``closeTimeout``, no less and no more, whatever the time of day is."""
        for fraction in (0.0, 0.1, 0.45, 0.85, 0.99):
            self.clock.advance(1 - self.clock.seconds() % 1 + fraction)
            peer = self.join()
            self.connections[-1].close()
            self.clock.advance(0.9)
            peer.turn()
            self.assertTrue(peer.open, fraction)
            self.clock.advance(0.1)
            peer.turn()
            self.assertTrue(peer.end.aborted, fraction)
        self.assertNothingLeft()

    def test_closeTimeoutOfConfig(self) -> None:
        """Ten seconds are ten seconds, and a half is a half."""
        for seconds in (0.5, 10.0):
            self.configure(closeTimeout=seconds)
            peer = self.join()
            self.connections[-1].close()
            self.clock.advance(seconds - 0.01)
            peer.turn()
            self.assertTrue(peer.open, seconds)
            self.clock.advance(0.01)
            peer.turn()
            self.assertTrue(peer.end.aborted, seconds)

    def test_talksOnAfterClose(self) -> None:
        """What a client says after the server's goodbye is not heard, and does not buy it time."""
        peer = self.join()
        self.connections[0].close()
        for _ in range(8):
            self.clock.advance(0.125)
            peer.say("on and on")
            peer.send(clientFrame(b"", PING))
        self.assertTrue(peer.end.aborted)
        self.assertEqual(self.received, [])
        self.assertNothingLeft()

    def test_nothingIsKeptAfterTheEnd(self) -> None:
        """Bytes that come when the connection is already being closed, as they may with TLS, are not kept."""
        peer = self.join()
        (protocol,) = self.sio.registry.transports
        assert isinstance(protocol, SocketIOWebSocketProtocol)
        peer.end.stuck = True
        peer.send(closeFrame(1000))
        for _ in range(20):
            peer.protocol.dataReceived(b"x" * 10_000)
        self.assertLess(len(protocol.data), 100_000)

    def test_nothingIsKeptAfterRefusal(self) -> None:
        """So it is behind a request that was refused."""
        if not self.alone:
            return
        peer = self.request(headers={"Origin": "null"})
        assert isinstance(peer.protocol, SocketIOWebSocketProtocol)
        for _ in range(20):
            peer.protocol.dataReceived(b"x" * 10_000)
        self.assertLess(len(peer.protocol.data), 100_000)

    def test_closeWhileGoodbye(self) -> None:
        """Goodbyes that cross are one end."""
        peer = self.join()
        self.connections[0].close()
        peer.send(closeFrame(1001))
        self.assertEqual(self.reasons, [Reason.SERVER_DISCONNECT])
        self.assertEqual(peer.closeCodes, [1000])
        self.assertNothingLeft()

    def test_closeInOnMessage(self) -> None:
        """A handler may close while more of the client's messages are there: they are not heard."""
        self.sio.onMessage(lambda connection, message: connection.close())
        peer = self.join()
        peer.send(clientFrame(framed("one", "two")) + clientFrame(framed("three")) + clientFrame(b"", PING))
        self.assertEqual(self.received, ["one"])
        self.assertEqual(self.reasons, [Reason.SERVER_DISCONNECT])
        peer.send(closeFrame(1000))
        self.assertNothingLeft()

    def test_stop(self) -> None:
        """Stopping says goodbye to everyone, and is done when the last one has answered, or was cut."""
        polite, rude = self.join(), self.join()
        self.connections[0].send("last words")
        stopped = self.sio.stop()
        self.assertEqual(polite.messages[1:], ["last words"])
        self.assertEqual((polite.closeCodes, rude.closeCodes), ([1000], [1000]))
        polite.send(closeFrame(1000))
        self.assertFalse(polite.end.connected)
        self.assertNoResult(stopped)
        self.clock.advance(1)
        rude.turn()
        self.successResultOf(stopped)
        self.assertEqual(self.reasons, [Reason.SERVER_SHUTTING_DOWN] * 2)
        self.assertNothingLeft()

    def test_cutAtEveryStage(self) -> None:
        """Wherever the connection is lost, no session outlives its time, and no delayed call is left."""
        request = upgradeRequest()
        frame = clientFrame(framed("hi"))
        stages = {
            "at once": b"",
            "in the request": request[:60],
            "at its end": request[:-1],
            "after it": request,
            "in a frame": request + frame[:1],
            "in its payload": request + frame[:-1],
            "in a fragmented message": request + clientFrame("~m~", fin=False),
            "after a message": request + frame,
            "after a violation": request + clientFrame(b"", 3),
            "after a goodbye": request + closeFrame(1000),
            "after a refusal": upgradeRequest(headers={"Origin": "null"}),
        }
        for name, data in stages.items():
            for reason in (ConnectionLost(), ConnectionDone(), ConnectionAborted()):
                peer = self.connect()
                peer.send(data)
                peer.end.lost(reason)
                self.clock.advance(60)
                self.assertEqual(self.clock.getDelayedCalls(), [], name)
                self.assertNothingLeft()

    def test_silentClient(self) -> None:
        """A connection on which no request comes does not stay for ever."""
        peer = self.connect()
        for _ in range(80):
            self.clock.advance(1)
        self.assertFalse(peer.end.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class FactoryTests(SynchronousTestCase):
    """The factory by itself."""

    def test_paths(self) -> None:
        """The endpoint may be anywhere; its path ends where a segment ends."""
        sio = SocketIO(Clock())
        for path in ("/socket.io", "socket.io", "/socket.io/", "/socket.io//"):
            factory = SocketIOWebSocketFactory(sio, path)
            self.assertIsNotNone(factory.route("/socket.io/websocket"), path)
            for other in ("/socket.iofoo/websocket", "/websocket", "/socket.io", "/socket.io/", "", "/"):
                self.assertIsNone(factory.route(other), (path, other))
        for path in ("", "/"):
            self.assertIsNotNone(SocketIOWebSocketFactory(sio, path).route("/websocket"), path)
        deep = SocketIOWebSocketFactory(sio, "/a/b")
        self.assertIsNotNone(deep.route("/a/b/flashsocket/x"))
        self.assertIsNone(deep.route("/a/websocket"))

    def test_defaultPath(self) -> None:
        """It is where every client looks."""
        self.assertIsNotNone(SocketIOWebSocketFactory(SocketIO(Clock())).route("/socket.io/websocket"))


class EmbeddedHandshakeTests(Handshakes, Embedded):
    """Handshakes below a resource."""


class AloneHandshakeTests(Handshakes, Alone):
    """Handshakes of the factory alone."""


class EmbeddedRefusalTests(Refusals, Embedded):
    """Refusals below a resource."""


class AloneRefusalTests(Refusals, Alone):
    """Refusals of the factory alone."""


class EmbeddedAuthorizationTests(Authorization, Embedded):
    """The application's decision below a resource."""


class AloneAuthorizationTests(Authorization, Alone):
    """The application's decision for the factory alone."""


class EmbeddedConversationTests(Conversations, Embedded):
    """Conversations below a resource."""


class AloneConversationTests(Conversations, Alone):
    """Conversations with the factory alone."""


class EmbeddedViolationTests(Violations, Embedded):
    """Broken protocols below a resource."""


class AloneViolationTests(Violations, Alone):
    """Broken protocols with the factory alone."""


class EmbeddedEndTests(Ends, Embedded):
    """Ends below a resource."""


class AloneEndTests(Ends, Alone):
    """Ends with the factory alone."""
