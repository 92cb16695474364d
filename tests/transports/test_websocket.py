"""
``websocket`` and ``flashsocket`` in memory: the opening handshake, what comes behind the request before it is
answered, and what is said.

The same tests run on both ways in: below a Twisted Web ``Site``, and with the factory alone on a port. Refusals and
ends are in ``tests.transports.test_websocketend``, real sockets in ``tests.integration.test_websocket``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.errors import QueueFull
from siotwisted.handshake import Handshake
from siotwisted.packets import Reason
from siotwisted.transports.websocket import SocketIOWebSocketProtocol
from siotwisted.transports.websocketfactory import SocketIOWebSocketFactory
from tests.transports import Application
from tests.transports.sockets import ADDRESS, MAX_PAYLOAD, SECRET, Alone, Embedded, WebSocketCase
from tests.websocketpeer import (
    ACCEPT,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    clientFrame,
    closeFrame,
    framed,
    upgradeRequest,
)

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
        self.assertEqual(connection.handshake.address, ADDRESS)
        self.assertEqual(dict(connection.handshake.query), {"room": "red", "name": "Jürgen"})
        self.assertEqual(connection.handshake.headers["x-test"], "1")
        self.assertEqual(connection.handshake.headers["host"], "chat.example")
        self.assertEqual(connection.handshake.time, self.clock.seconds())
        self.assertEqual(connection.handshake.path, "/socket.io/websocket")
        self.assertEqual(connection.handshake.method, "GET")
        self.assertFalse(connection.handshake.secure)

    def test_query(self) -> None:
        """A name without a value is in the query all the same."""
        self.join("/socket.io/websocket?quiet=&loud=1")
        self.assertEqual(dict(self.connections[0].handshake.query), {"quiet": "", "loud": "1"})

    def test_repeatedHeader(self) -> None:
        """The values of a header that comes twice are joined."""
        peer = self.connect()
        peer.send(upgradeRequest()[:-2] + b"X-Test: one\r\nx-test: two\r\n\r\n")
        self.assertEqual(self.connections[0].handshake.headers["x-test"], "one, two")

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
        """
        What the application sends as soon as the client is there comes behind the session id, in the same write; below
        a resource, the answer to the handshake, too.
        """
        self.sio.onConnect(lambda connection: connection.send("welcome"))
        peer = self.join()
        self.assertEqual(peer.messages, [self.connections[0].id, "welcome"])
        self.assertEqual(len(peer.end.writes), 1 if isinstance(self, Embedded) else 2)

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
        values: list[object] = [{"a": [1, None]}, [], None, "~h~1", 7]
        for value in values:
            self.connections[0].send(value)
        peer.turn()
        self.assertEqual(peer.messages[1:], ['~j~{"a":[1,null]}', "~j~[]", "~j~null", '~j~"~h~1"', "7"])

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
            self.assertEqual(len([each for each in peer.messages if not each.startswith("~h~")][-1]), size)

    def test_sharedBytes(self) -> None:
        """A broadcast is framed once: every socket is given the very same bytes."""
        peers = [self.join(), self.join("/socket.io/flashsocket"), self.join()]
        sender = self.connections[2]
        self.sio.broadcast({"to": "all", "size": "x" * 500}, sender)
        self.clock.advance(0)
        first, second, third = (peer.end.writes for peer in peers)
        self.assertIs(first[-1], second[-1])
        greetings = 1 if isinstance(self, Embedded) else 2
        self.assertEqual([len(writes) - greetings for writes in (first, second, third)], [1, 1, 0])

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


class FactoryTests(SynchronousTestCase):
    """The factory by itself."""

    def test_paths(self) -> None:
        """The endpoint may be anywhere; its path ends where a segment ends."""
        sio = Application(Clock())
        for path in ("/socket.io", "socket.io", "/socket.io/", "/socket.io//"):
            factory = SocketIOWebSocketFactory(sio, path)
            self.assertIsNotNone(factory.route("/socket.io/websocket", {}), path)
            for engine in ("/socket.io", "/socket.io/"):
                found = factory.route(engine, {"EIO": "4", "transport": "websocket"})
                self.assertEqual(found and (found.dialect.name, found.problem), ("Socket.IO 3-4", None))
            for other in ("/socket.iofoo/websocket", "/websocket", "/socket.iofoo", "/socket.i", "", "/"):
                self.assertIsNone(factory.route(other, {"EIO": "4", "transport": "websocket"}), (path, other))
        for path in ("", "/"):
            self.assertIsNotNone(SocketIOWebSocketFactory(sio, path).route("/websocket", {}), path)
        deep = SocketIOWebSocketFactory(sio, "/a/b")
        self.assertIsNotNone(deep.route("/a/b/flashsocket/x", {}))
        self.assertIsNone(deep.route("/a/websocket", {}))

    def test_defaultPath(self) -> None:
        """It is where every client looks."""
        self.assertIsNotNone(SocketIOWebSocketFactory(Application(Clock())).route("/socket.io/websocket", {}))


class EmbeddedHandshakeTests(Handshakes, Embedded):
    """Handshakes below a resource."""


class AloneHandshakeTests(Handshakes, Alone):
    """Handshakes of the factory alone."""


class EmbeddedAuthorizationTests(Authorization, Embedded):
    """The application's decision below a resource."""


class AloneAuthorizationTests(Authorization, Alone):
    """The application's decision for the factory alone."""


class EmbeddedConversationTests(Conversations, Embedded):
    """Conversations below a resource."""


class AloneConversationTests(Conversations, Alone):
    """Conversations with the factory alone."""


class OptionTests(Alone):
    """Autobahn's options."""

    def test_shared(self) -> None:
        """Connections share them, and those to come have what was set last."""
        assert isinstance(self.factory, SocketIOWebSocketFactory)
        before = self.join()
        self.factory.setProtocolOptions(maxMessagePayloadSize=20, serveFlashSocketPolicy=False)
        after = self.join()
        protocols: list[Any] = [before.protocol, after.protocol]
        self.assertEqual([each.maxMessagePayloadSize for each in protocols], [MAX_PAYLOAD, 20])
        self.assertEqual(set(after.protocol.__dict__).intersection(SocketIOWebSocketProtocol.CONFIG_ATTRS), set())
        for peer in (before, after):
            peer.say("x" * 30)
        self.assertEqual((self.received, [peer.closeCodes for peer in (before, after)]), (["x" * 30], [[], [1009]]))
