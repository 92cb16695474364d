"""
Clients from 1.0 on and WebSockets, in memory: sessions that begin with one, sessions that move to one, compression; and
the sockets of clients 0.7 to 0.9.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable

from twisted.web.server import Site

from siotwisted.dialects.socketio09 import SOCKETIO_09
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, Reason, messagePacket
from tests.fakes import makeHandshake, makeRoute
from tests.transports.sockets import ADDRESS, Alone, Embedded, Peer, WebSocketCase
from tests.websocketpeer import BINARY, CLOSE, TEXT, clientFrame, closeFrame, upgradeRequest

ENDPOINT = "/socket.io/"
DEFLATE = "permessage-deflate"


class EngineSockets(WebSocketCase):
    """What both ways in have in common."""

    def url(self, sessionID: str = "", revision: int = 4, transport: str = "websocket") -> str:
        """The URL of a request."""
        return f"{ENDPOINT}?EIO={revision}&transport={transport}" + (f"&sid={sessionID}" if sessionID else "")

    def texts(self, peer: Peer) -> list[str | bytes]:
        """The messages that came, but for the first of a new session."""
        found: list[str | bytes] = [
            payload if opcode == BINARY else payload.decode("utf-8")
            for opcode, payload in peer.frames
            if opcode in (TEXT, BINARY)
        ]
        return found

    def send(self, packet: Packet) -> None:
        """The application sends a packet."""
        self.connections[-1].session.send(Outgoing(packet))
        self.clock.pump([0, 0])

    def test_new(self) -> None:
        """A session that begins with a WebSocket has nothing to move to."""
        peer = self.join(self.url())
        opening = self.texts(peer)[0]
        assert isinstance(opening, str)
        told = json.loads(opening[1:])
        self.assertEqual((opening[0], told["upgrades"], told["sid"]), ("0", [], self.connections[0].id))
        peer.send(clientFrame("40"), clientFrame('451-["a",{"_placeholder":true,"num":0}]'), clientFrame(b"\1", BINARY))
        self.assertEqual(self.received, [None, ["a", b"\1"]])
        self.send(Packet(Kind.EVENT, ["b", b"\2"]))
        self.assertEqual(self.texts(peer)[1:], ['451-["b",{"_placeholder":true,"num":0}]', b"\2"])
        self.assertEqual(self.connections[0].transport, "websocket")

    def test_revision3(self) -> None:
        """Bytes begin with their type; a client without bytes gets base64."""
        peer = self.join(self.url(revision=3))
        self.send(Packet(Kind.EVENT, ["é", b"\2"]))
        self.assertEqual(self.texts(peer)[1:], ['451-["\\u00e9",{"_placeholder":true,"num":0}]', b"\4\2"])
        peer.send(
            clientFrame('451-["a",{"_placeholder":true,"num":0}]'), clientFrame(b"\4\1", BINARY), clientFrame("2")
        )
        self.assertEqual((self.received, self.texts(peer)[-1]), ([["a", b"\1"]], "3"))
        plain = self.join(self.url(revision=3) + "&b64=1")
        self.send(Packet(Kind.EVENT, ["a", b"\2"]))
        self.assertEqual(self.texts(plain)[2:], ["b4Ag=="])

    def test_refused(self) -> None:
        """Errors, before the handshake: a version that there is not, a session that nobody has."""
        for url, message in (
            (f"{ENDPOINT}?EIO=5&transport=websocket", "Unsupported protocol version"),
            (f"{ENDPOINT}?transport=websocket", "Unsupported protocol version"),
            (self.url("nobody"), "Session ID unknown"),
        ):
            self.lines()
            peer = self.request(url)
            self.assertEqual((peer.status, self.connections), (400, []), url)
            (line,) = self.lines()[:1]
            self.assertIn(message, line)
        self.assertIn(self.request(f"{ENDPOINT}?EIO=4").status, (400, 404))

    def test_origin(self) -> None:
        """A page of another origin."""
        self.assertEqual(self.request(self.url(), {"Origin": "http://evil.example"}).status, 403)

    def test_closed(self) -> None:
        """The application ends the session: a WebSocket is closed, and no packet says so."""
        peer = self.join(self.url())
        self.connections[0].close()
        self.assertEqual(len(self.texts(peer)), 1)
        self.assertEqual(peer.frames[-1], (CLOSE, b"\x03\xe8"))

    def test_ends(self) -> None:
        """A client that leaves, says goodbye, is cut or breaks the protocol has left for good."""
        ends: tuple[tuple[Callable[[Peer], object], Reason], ...] = (
            (lambda peer: peer.send(closeFrame(1000)), Reason.TRANSPORT_CLOSE),
            (lambda peer: peer.cut(), Reason.TRANSPORT_CLOSE),
            (lambda peer: peer.send(clientFrame("1")), Reason.TRANSPORT_CLOSE),
            (lambda peer: peer.send(clientFrame("x")), Reason.PARSE_ERROR),
            (lambda peer: peer.send(clientFrame(b"x", BINARY)), Reason.PARSE_ERROR),
            (lambda peer: peer.send(clientFrame("2")), Reason.TRANSPORT_ERROR),
        )
        for end, reason in ends:
            self.configure()
            peer = self.join(self.url())
            end(peer)
            self.assertEqual(self.reasons, [reason])
            peer.cut()
            self.assertNothingLeft()

    def test_damageAfterTheEnd(self) -> None:
        """Messages behind one that ended the session reach nobody."""
        peer = self.join(self.url())
        peer.send(clientFrame("x") + clientFrame('42["late"]'))
        self.assertEqual((self.received, self.reasons), ([], [Reason.PARSE_ERROR]))

    def test_socket09(self) -> None:
        """Clients 0.7 to 0.9 need a session of a handshake; every message is one packet."""
        self.assertNotEqual(self.request("/socket.io/1/websocket/nobody").status, 101)
        session = self.handshake09()
        peer = self.join(f"/socket.io/1/websocket/{session}")
        self.send(Packet(Kind.CONNECT))
        for each in (messagePacket("a"), messagePacket({"b": 1}, "/n"), Packet(Kind.EVENT, ["c", 1], "/", 2)):
            self.send(each)
        self.assertEqual(self.texts(peer), ["1::", "3:::a", '4::/n:{"b":1}', '5:2+::{"name":"c","args":[1]}'])
        peer.send(clientFrame("3:::hi"), clientFrame('5:1+::{"name":"ev"}'), clientFrame("2::"))
        self.assertEqual(self.received, ["hi", ["ev"]])
        peer.cut()
        self.assertEqual(self.reasons, [Reason.TRANSPORT_CLOSE])

    def handshake09(self) -> str:
        """The id of a new session, from the registry: the handshake itself is HTTP."""

        route = makeRoute("", dialect=SOCKETIO_09)
        return self.sio.registry.open(route, makeHandshake("")).id

    def test_bytesFor09(self) -> None:
        """They don't send bytes."""
        peer = self.join(f"/socket.io/1/websocket/{self.handshake09()}")
        peer.send(clientFrame(b"3:::a", BINARY))
        self.assertEqual(self.reasons, [Reason.PARSE_ERROR])


class EngineSocketTests(EngineSockets, Embedded):
    """Below a resource."""


class AloneEngineSocketTests(EngineSockets, Alone):
    """The factory alone."""


del EngineSockets


class UpgradeTests(Embedded):
    """A session that begins with polls moves to a WebSocket."""

    def ask(self, path: str, method: str = "GET", body: bytes = b"") -> Peer:
        """An HTTP request."""
        peer = self.connect()
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        peer.send(f"{method} {path} HTTP/1.1\r\nHost: chat.example\r\n{length}\r\n".encode() + body)
        return peer

    def open(self) -> str:
        """Begin a session with a poll."""
        peer = self.ask(f"{ENDPOINT}?EIO=4&transport=polling")
        found = re.search(rb'"sid":"([^"]*)"', peer.end.value())
        assert found
        self.polling = f"{ENDPOINT}?EIO=4&transport=polling&sid={found[1].decode()}"
        self.websocket = self.polling.replace("polling", "websocket")
        return found[1].decode()

    def body(self, peer: Peer) -> bytes:
        """The body of an answer."""
        body: bytes = peer.end.value().partition(b"\r\n\r\n")[2]
        return body

    def frames(self, peer: Peer) -> list[str]:
        """The texts on a WebSocket."""
        return [payload.decode("utf-8") for opcode, payload in peer.frames if opcode == TEXT]

    def test_whole(self) -> None:
        """The sequence of the original, and what is refused afterwards."""
        self.open()
        poll = self.ask(self.polling)
        peer = self.join(self.websocket)
        self.assertEqual(self.frames(peer), [])
        peer.send(clientFrame("2probe"))
        self.assertEqual((self.frames(peer), self.body(poll)), (["3probe"], b""))
        self.clock.advance(0.1)
        self.clock.pump([0, 0])
        self.assertEqual(self.body(poll), b"6")
        peer.send(clientFrame("5"))
        (connection,) = self.connections
        self.assertEqual(connection.transport, "websocket")
        connection.send("hi")
        peer.turn()
        peer.send(clientFrame('42["ho"]'))
        self.assertEqual((self.frames(peer), self.received), (["3probe", '42["message","hi"]'], [["ho"]]))
        for refused in (self.ask(self.polling), self.ask(self.polling, "POST", b"42[1]")):
            self.assertEqual((refused.status, self.body(refused)), (400, b'{"code":3,"message":"Bad request"}'))
        second = self.join(self.websocket)
        self.assertEqual(second.closeCodes, [1000])
        self.assertEqual((self.reasons, peer.open), ([], True))

    def test_second(self) -> None:
        """A second WebSocket while the first is tried out is closed at once; the first moves."""
        self.open()
        first, second = self.join(self.websocket), self.join(self.websocket)
        self.assertEqual((first.closeCodes, second.closeCodes), ([], [1000]))
        second.send(closeFrame(1000))
        first.send(clientFrame("2probe"), clientFrame("5"))
        self.assertEqual((self.connections[0].transport, self.reasons), ("websocket", []))

    def test_failed(self) -> None:
        """Garbage closes the WebSocket alone; bad frames do as well."""
        for data in (clientFrame("garbage"), clientFrame("2"), clientFrame(b"x", rsv=7), clientFrame("x" * 3000)):
            self.configure()
            self.open()
            poll = self.ask(self.polling)
            peer = self.join(self.websocket)
            peer.send(data)
            self.assertEqual(len(peer.closeCodes), 1)
            peer.cut()
            self.assertEqual(self.reasons, [])
            self.connections[0].send("hi")
            poll.turn()
            self.assertEqual(self.body(poll), b'42["message","hi"]')

    def test_leaves(self) -> None:
        """A client whose WebSocket is lost before it has moved goes on polling."""
        ways: tuple[Callable[[Peer], object], ...] = (Peer.cut, lambda peer: peer.send(closeFrame(1001)))
        for leave in ways:
            self.configure()
            self.open()
            poll = self.ask(self.polling)
            peer = self.join(self.websocket)
            peer.send(clientFrame("2probe"))
            leave(peer)
            self.clock.advance(1)
            self.assertEqual((self.body(poll), self.reasons, len(self.sio.registry.transports)), (b"", [], 1))

    def test_timeout(self) -> None:
        """A WebSocket on which nothing happens is closed, and cut if its client does not react."""
        self.configure(upgradeTimeout=5)
        self.open()
        peer = self.join(self.websocket)
        self.clock.advance(5)
        self.assertEqual(peer.closeCodes, [1000])
        self.clock.advance(1)
        peer.turn()
        self.assertFalse(peer.end.connected)
        self.assertEqual((self.reasons, self.sio.registry.transports), ([], set()))

    def test_switchedOff(self) -> None:
        """Where moves are not allowed, the WebSocket is closed at once."""
        self.configure(allowUpgrades=False)
        self.open()
        self.assertEqual(self.join(self.websocket).closeCodes, [1000])
        self.assertEqual(self.reasons, [])

    def test_otherRevision(self) -> None:
        """A WebSocket of another revision is refused."""
        self.open()
        self.assertEqual(self.request(self.websocket.replace("EIO=4", "EIO=3")).status, 400)

    def test_peerAddress(self) -> None:
        """The site is the same, and so is the address."""
        self.assertIsInstance(self.factory, Site)
        self.open()
        self.assertEqual(self.connections[0].handshake.address, ADDRESS)


class DeflateTests(Embedded):
    """Compressed messages on WebSockets."""

    def setUp(self) -> None:
        """A server that compresses messages from 200 bytes on."""
        super().setUp()
        self.configure(perMessageDeflate=200)

    def open(self, extensions: str | None = DEFLATE, path: str = f"{ENDPOINT}?EIO=4&transport=websocket") -> Peer:
        """A client that offers these extensions."""
        peer = self.connect()
        peer.send(upgradeRequest(path, {"Sec-WebSocket-Extensions": extensions}))
        self.assertEqual(peer.status, 101, peer.head)
        return peer

    def rest(self, *peers: Peer) -> list[bytes]:
        """What comes now."""
        before = [len(peer.end.value()) for peer in peers]
        self.clock.pump([0, 0])
        return [peer.end.value()[start:] for peer, start in zip(peers, before, strict=True)]

    def broadcast(self, text: str) -> None:
        """Send one message to all."""
        self.sio.broadcast(text)

    @staticmethod
    def deflated(payload: bytes) -> bytes:
        """A payload as a client compresses it."""
        deflate = zlib.compressobj(wbits=-15)
        return (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")

    def inflated(self, data: bytes) -> bytes:
        """The payload of one compressed frame."""
        self.assertEqual(data[0], 0xC1)
        start = 2 if data[1] < 126 else 4
        return zlib.decompress(data[start:] + b"\0\0\xff\xff" + b"\3\0", wbits=-15)

    def test_shared(self) -> None:
        """A broadcast is compressed once, and the frame is the same for all that agreed."""
        peers = [self.open(), self.open(DEFLATE + "; client_max_window_bits"), self.open(None)]
        self.assertEqual(
            [peer.headers.get("sec-websocket-extensions") for peer in peers],
            [DEFLATE + "; client_no_context_takeover"] * 2 + [None],
        )
        self.broadcast("x" * 500)
        first, second, plain = self.rest(*peers)
        self.assertEqual(self.inflated(first), b'42["message","' + b"x" * 500 + b'"]')
        self.assertEqual(first, second)
        self.assertLess(len(first), 60)
        self.assertEqual(plain[0], 0x81)
        self.broadcast("y" * 500)
        self.assertEqual(self.inflated(self.rest(peers[0])[0]), b'42["message","' + b"y" * 500 + b'"]')

    def test_short(self) -> None:
        """A shorter message goes as it is."""
        peer = self.open()
        self.broadcast("x")
        self.assertEqual(self.rest(peer)[0], b'\x81\x1142["message","x"]')

    def test_received(self) -> None:
        """Clients compress what they send, each message by itself."""
        peer = self.open()
        for _ in range(3):
            peer.send(clientFrame(self.deflated(b'42["' + b"z" * 300 + b'"]'), TEXT, rsv=4))
        self.assertEqual(self.received, [["z" * 300]] * 3)

    def test_bomb(self) -> None:
        """What grows beyond the limit is refused."""
        peer = self.open()
        data = self.deflated(b"4" + b"z" * 1_000_000)
        self.assertLess(len(data), 1_500)
        peer.send(clientFrame(data, TEXT, rsv=4))
        self.assertEqual((self.received, peer.closeCodes), ([], [1009]))
        peer.cut()
        self.assertEqual(self.reasons, [Reason.PARSE_ERROR])

    def test_smallWindow(self) -> None:
        """An offer that wants a smaller window is refused, for one frame could not serve all; the next one counts."""
        for bits in range(9, 15):
            offer = f"{DEFLATE}; server_max_window_bits={bits}"
            self.assertNotIn("sec-websocket-extensions", self.open(offer).headers)
        agreed = self.open(f"{DEFLATE}; server_max_window_bits=10, {DEFLATE}").headers["sec-websocket-extensions"]
        self.assertNotIn("server_max_window_bits", agreed)

    def test_largestWindow(self) -> None:
        """One that names the largest window is agreed to."""
        agreed = self.open(f"{DEFLATE}; server_max_window_bits=15").headers["sec-websocket-extensions"]
        self.assertEqual(agreed, f"{DEFLATE}; server_max_window_bits=15; client_no_context_takeover")

    def test_otherExtension(self) -> None:
        """Other extensions are not known."""
        self.assertNotIn("sec-websocket-extensions", self.open("x-webkit-deflate-frame").headers)

    def test_off(self) -> None:
        """By default nothing is compressed."""
        self.configure()
        self.assertNotIn("sec-websocket-extensions", self.open().headers)

    def test_oldClients(self) -> None:
        """A client of 0.6 may agree to it as well."""
        peer = self.open(path="/socket.io/websocket")
        self.broadcast("x" * 500)
        self.assertEqual(self.inflated(self.rest(peer)[0]), b"~m~500~m~" + b"x" * 500)
