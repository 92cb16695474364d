"""
WebSockets that are refused, that break the protocol, and that end, on both ways in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost

from siotwisted.packets import Reason
from siotwisted.transports.websocket import SocketIOWebSocketProtocol
from tests.transports.sockets import MAX_PAYLOAD, SECRET, Alone, Embedded, WebSocketCase
from tests.websocketpeer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    clientFrame,
    closeFrame,
    framed,
    upgradeRequest,
)

if TYPE_CHECKING:
    Case = WebSocketCase
else:
    Case = object

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
        "endpoint": ({"path": "/socket.io/"}, 400, 404),
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


class EmbeddedRefusalTests(Refusals, Embedded):
    """Refusals below a resource."""


class AloneRefusalTests(Refusals, Alone):
    """Refusals of the factory alone."""


class EmbeddedViolationTests(Violations, Embedded):
    """Broken protocols below a resource."""


class AloneViolationTests(Violations, Alone):
    """Broken protocols with the factory alone."""


class EmbeddedEndTests(Ends, Embedded):
    """Ends below a resource."""


class AloneEndTests(Ends, Alone):
    """Ends with the factory alone."""
