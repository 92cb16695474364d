"""
``htmlfile`` and ``xhr-multipart``: every byte of their endless answers, their heartbeats, and what happens to a client
that reads too slowly.
"""

from __future__ import annotations

import json
import re
from typing import Any

from siotwisted.config import Config
from siotwisted.errors import QueueFull
from tests.transports import COMMON, Client, Connection, Response, Server, ServerCase

OPENING = b"<html><body>" + b" " * 244
PART = b"Content-Type: text/plain; charset=UTF-8\n\n%b\n--socketio\n"


def script(inside: str) -> bytes:
    """The script that carries a payload, given as the inside of its string."""
    return f'<script>parent.s._("{inside}", document);</script>'.encode()


class HTMLFileTests(ServerCase):
    """The bytes of an ``htmlfile`` stream."""

    def setUp(self) -> None:
        """A server with one stream."""
        super().setUp()
        self.server = Server()
        self.client = self.server.get("/htmlfile//1322000000000")

    def said(self) -> list[bytes]:
        """The chunks after the first two."""
        chunks = self.client.response().chunks
        assert chunks is not None
        return chunks[2:]

    def test_headers(self) -> None:
        """A page that is not kept, with scripts of its own and nothing else, in chunks without an end."""
        response = self.client.response()
        self.assertEqual((response.status, response.reason), (200, "OK"))
        self.assertEqual(
            response.headers,
            {
                **COMMON,
                "content-type": "text/html; charset=utf-8",
                "content-security-policy": "default-src 'none'; script-src 'unsafe-inline'",
                "transfer-encoding": "chunked",
            },
        )
        self.assertFalse(response.ended)

    def test_opening(self) -> None:
        """The first chunk is padding that makes browsers begin; the second the session id."""
        chunks = self.client.response().chunks
        self.assertEqual(chunks, [OPENING, script(f"~m~27~m~{self.server.connection.id}")])
        self.assertEqual(len(OPENING), 256)

    def test_message(self) -> None:
        """Each message is a script; those of one turn come in one chunk."""
        self.server.connection.send("a")
        self.server.connection.send({"b": "c"})
        self.assertEqual(self.said(), [])
        self.server.turn()
        self.assertEqual(self.said(), [script("~m~1~m~a") + script('~m~12~m~~j~{\\"b\\":\\"c\\"}')])
        self.server.connection.send("d")
        self.server.turn()
        self.assertEqual(self.said()[1:], [script("~m~1~m~d")])

    def test_exactEscapes(self) -> None:
        """The bytes of a message that tries to end the script."""
        self.server.connection.send('</script><script>alert(1)//&\u2028"\\\n♥😀')
        self.server.turn()
        self.assertEqual(
            self.said(),
            [script('~m~35~m~\\u003c/script\\u003e\\u003cscript\\u003ealert(1)//\\u0026\\u2028\\"\\\\\\n♥😀')],
        )

    def test_escapes(self) -> None:
        """Whatever a message holds, its script is one string, and its end the only tag in it."""
        for message in ("</SCRIPT >", "<!--<script>", "]]>", "-->", "\u2029\r\n\0", "'\"\\'", "é\ufffe", "&lt;", "*/"):
            self.server.connection.send(message)
            self.server.turn()
            match = re.fullmatch(
                r'<script>parent\.s\._\(("[^<>&\n\r\0\u2028\u2029]*"), document\);</script>',
                self.said()[-1].decode("utf-8"),
            )
            assert match is not None, self.said()[-1]
            self.assertEqual(json.loads(match[1]), f"~m~{len(message)}~m~{message}")

    def test_nothingOfTheRequest(self) -> None:
        """The page holds nothing that the client said."""
        client = self.server.get("/htmlfile//1322000000000?callback=evil", User_Agent="evil", Cookie_="evil")
        self.assertNotIn(b"evil", client.received)

    def test_streamingCodec(self) -> None:
        """The same page carries the other codec."""
        client = self.server.get("/streaming/htmlfile//1")
        chunks = client.response().chunks
        self.assertEqual(chunks, [OPENING, script(f"3:27:{self.server.connection.id},")])


class MultipartTests(ServerCase):
    """The bytes of an ``xhr-multipart`` stream."""

    def setUp(self) -> None:
        """A server with one stream."""
        super().setUp()
        self.server = Server()
        self.client = self.server.get("/xhr-multipart/")

    def test_headers(self) -> None:
        """A multipart body with a fixed boundary, in chunks without an end."""
        response = self.client.response()
        self.assertEqual(response.status, 200)
        self.assertEqual(
            response.headers,
            {
                **COMMON,
                "content-type": 'multipart/x-mixed-replace;boundary="socketio"',
                "transfer-encoding": "chunked",
            },
        )
        self.assertFalse(response.ended)

    def test_opening(self) -> None:
        """A boundary, then the session id as a part, which its own boundary follows at once."""
        self.assertEqual(
            self.client.response().body,
            b"--socketio\n" + PART % f"~m~27~m~{self.server.connection.id}".encode(),
        )

    def test_message(self) -> None:
        """Each message is a part; those of one turn come in one chunk."""
        self.server.connection.send("a\nb♥😀")
        self.server.connection.send([1])
        self.server.turn()
        chunks = self.client.response().chunks or []
        self.assertEqual(chunks[2:], [PART % "~m~6~m~a\nb♥😀".encode() + PART % b"~m~6~m~~j~[1]"])

    def test_boundary(self) -> None:
        """Text that holds the boundary travels as JSON, whose line breaks are escaped."""
        self.server.connection.send("a\n--socketio\nb")
        self.server.connection.send({"a": "\n--socketio\n"})
        self.server.turn()
        chunks = self.client.response().chunks or []
        self.assertEqual(
            chunks[2:],
            [PART % b'~m~21~m~~j~"a\\n--socketio\\nb"' + PART % b'~m~25~m~~j~{"a":"\\n--socketio\\n"}'],
        )

    def test_everyURL(self) -> None:
        """With and without slashes and a time behind them."""
        for path in ("", "/", "//", "//1322000000000", "/1322000000000"):
            client = self.server.get(f"/xhr-multipart{path}")
            self.assertTrue(client.received.endswith(PART % f"~m~27~m~{self.server.connection.id}".encode() + b"\r\n"))


class StreamCase(ServerCase):
    """A server with one stream, of the kind that is easier to read."""

    config: Config | None = None

    def setUp(self) -> None:
        """Open it."""
        super().setUp()
        self.server = Server(self.config)
        self.client = self.server.get("/xhr-multipart//1")
        self.connection = self.server.connection
        self.path = f"/xhr-multipart/{self.connection.id}"

    def payloads(self, client: Client | None = None) -> list[str]:
        """What came on a stream, but for the session id."""
        body = (client or self.client).response().body
        self.assertTrue(body.startswith(b"--socketio\n") and body.endswith(b"--socketio\n"), body)
        parts = body.decode("utf-8").split("--socketio\n")[1:-1]
        found = [part.removeprefix("Content-Type: text/plain; charset=UTF-8\n\n").removesuffix("\n") for part in parts]
        return [payload for payload in found if not payload.startswith("~m~27~m~")]

    def last(self) -> Response:
        """The answer so far."""
        return self.client.response()


class LifeTests(StreamCase):
    """How a stream lives and ends."""

    def test_greetings(self) -> None:
        """What the application says to a new client follows the session id."""
        server = Server()

        @server.sio.onConnect
        def greet(connection: Connection) -> None:
            connection.send("hello")

        for transport, expected in (
            ("xhr-multipart", PART % b"~m~5~m~hello"),
            ("htmlfile", script("~m~5~m~hello")),
        ):
            self.assertEqual(server.get(f"/{transport}//1").response().body[-len(expected) :], expected)

    def test_post(self) -> None:
        """The client posts beside its stream."""
        self.assertEqual(self.server.post(f"{self.path}/send", "~m~1~m~x").response().body, b"ok")
        self.assertEqual(self.server.notes.messages, ["x"])

    def test_heartbeat(self) -> None:
        """After ten seconds the server asks for a sign of life, again and again as long as it is answered."""
        for number in (1, 2, 3):
            self.server.clock.advance(9.9)
            self.assertEqual(len(self.payloads()), number - 1)
            self.server.clock.advance(0.2)
            self.assertEqual(self.payloads()[-1], f"~m~4~m~~h~{number}")
            self.server.clock.advance(7)
            self.server.post(f"{self.path}/send", f"~m~4~m~~h~{number}")
        self.assertEqual((self.server.reasons, self.client.open), ([], True))

    def test_heartbeatMissed(self) -> None:
        """Without an answer the connection is cut, without one byte more, and the session waits for another."""
        self.server.clock.advance(10)
        received = self.client.received
        self.connection.send("x")
        self.server.clock.advance(7.9)
        self.assertTrue(self.client.open)
        received = self.client.received
        self.server.clock.advance(0.2)
        self.server.turn()
        self.assertEqual((self.client.received, self.client.end.aborted), (received, True))
        self.assertEqual(self.server.reasons, [])
        self.server.clock.advance(60)
        self.assertEqual(self.server.reasons, ["ping timeout"])

    def test_forgedHeartbeat(self) -> None:
        """Only the number that was asked for counts as an answer."""
        self.server.clock.advance(10)
        for number in ("0", "2", "999999", "-1", "abc", "", "1 ", "01"):
            self.server.post(f"{self.path}/send", f"~m~{3 + len(number)}~m~~h~{number}")
        self.server.clock.advance(8.1)
        self.server.turn()
        self.assertTrue(self.client.end.aborted)
        self.assertEqual(self.server.notes.messages, [])

    def test_cut(self) -> None:
        """When its connection is lost, messages wait for the next stream, which begins without a session id."""
        self.client.leave()
        self.connection.send("a")
        self.server.clock.advance(59)
        client = self.server.get(f"{self.path}/1")
        self.connection.send("b")
        self.server.turn()
        body = client.response().body
        self.assertEqual(body, b"--socketio\n" + PART % b"~m~1~m~a" + PART % b"~m~1~m~b")
        self.assertEqual((len(self.server.notes.connected), self.server.reasons), (1, []))

    def test_cutForGood(self) -> None:
        """A client that does not come back is gone, with that reason."""
        self.client.leave()
        self.server.clock.advance(60)
        self.assertEqual(self.server.reasons, ["transport close"])
        self.assertEqual(self.server.clock.getDelayedCalls(), [])

    def test_second(self) -> None:
        """A second stream takes the place of the first, which ends in order, and gets all that follows."""
        second = self.server.get(f"{self.path}/1")
        self.assertTrue(self.last().ended)
        self.assertTrue(self.client.open)
        self.connection.send("a")
        self.server.turn()
        self.assertEqual((self.payloads(), self.payloads(second)), ([], ["~m~1~m~a"]))
        self.client.leave()
        self.server.clock.advance(9)
        self.assertTrue(second.open)

    def test_toPolling(self) -> None:
        """A session may go on by polling, and return."""
        poll = self.server.get(f"/xhr-polling/{self.connection.id}/1")
        self.assertTrue(self.last().ended)
        self.assertEqual(self.connection.transport, "xhr-polling")
        stream = self.server.get(f"/htmlfile/{self.connection.id}/1")
        self.assertEqual(poll.response().body, b"")
        self.connection.send("a")
        self.server.turn()
        self.assertEqual(stream.response().body, OPENING + script("~m~1~m~a"))

    def test_closed(self) -> None:
        """When the application closes, what it said before comes, and then the end."""
        self.connection.send("bye")
        self.connection.close()
        self.server.turn()
        self.assertEqual((self.payloads(), self.last().ended), (["~m~3~m~bye"], True))
        self.assertEqual((self.server.reasons, self.logged()), (["server namespace disconnect"], []))
        self.assertCut(self.server.get(f"{self.path}/1"))

    def test_closedAtOnce(self) -> None:
        """A client that the application closes at once gets the id, and the end."""
        server = Server()
        server.sio.onConnect(Connection.close)
        response = server.get("/xhr-multipart//1").response()
        self.assertEqual(response.body, b"--socketio\n" + PART % f"~m~27~m~{server.connection.id}".encode())
        self.assertEqual((response.ended, len(server.sio.registry)), (True, 0))

    def test_goodbye(self) -> None:
        """A codec with a word for it says goodbye at the end."""
        client = self.server.get("/streaming/xhr-multipart//1")
        self.server.connection.close()
        self.server.turn()
        self.assertTrue(client.response().body.endswith(PART % b"0:0:,"))

    def test_damaged(self) -> None:
        """A damaged post ends the stream in order; its client is answered 400."""
        self.assertEqual(self.server.post(f"{self.path}/send", "damaged").response().status, 400)
        self.assertTrue(self.last().ended)
        self.assertEqual(self.server.reasons, ["parse error"])

    def test_stopped(self) -> None:
        """When the server stops, streams end in order, and are waited for."""
        other = self.server.get("/htmlfile//1")
        self.connection.send("bye")
        stopped = self.server.sio.stop()
        self.server.turn()
        self.successResultOf(stopped)
        self.assertEqual((self.payloads(), self.last().ended), (["~m~3~m~bye"], True))
        self.assertTrue(other.response().ended)
        self.assertEqual(self.server.reasons, ["server shutting down"] * 2)

    def test_http10(self) -> None:
        """For a client of HTTP/1.0 the stream is not in chunks, and its end is that of the connection."""
        client = self.server.request("GET", "/xhr-multipart//1", version="HTTP/1.0")
        connection = self.server.connection
        connection.send("a")
        self.server.turn()
        response = client.response()
        self.assertNotIn("transfer-encoding", response.headers)
        self.assertEqual(
            response.body, b"--socketio\n" + PART % f"~m~27~m~{connection.id}".encode() + PART % b"~m~1~m~a"
        )
        self.assertFalse(response.ended)
        connection.close()
        self.server.turn()
        self.assertEqual((client.end.closed, client.open), (True, False))

    def test_pipelined(self) -> None:
        """A request behind a stream waits for the end of it, on a connection that stays."""
        self.client.request("POST", f"{self.path}/send", {}, b"data=~m~1~m~x")
        self.assertEqual(self.server.notes.messages, [])
        self.server.get(f"{self.path}/2")
        self.server.turn()
        self.assertEqual([response.body for response in self.client.responses()][1:], [b"ok"])
        self.assertEqual(self.server.notes.messages, ["x"])

    def test_nextStreamBehind(self) -> None:
        """
        Two streams of one session pipelined on one connection: the second begins where the first ends, with all that
        the client has not confirmed.
        """
        self.client.request("GET", f"{self.path}/2")
        self.connection.send("a")
        self.server.turn()
        self.server.get(f"{self.path}/3")
        self.connection.send("b")
        self.server.turn()
        first, second = self.client.responses()
        self.assertTrue(first.ended)
        self.assertTrue(first.body.endswith(PART % b"~m~1~m~a"))
        self.assertEqual(second.body, b"--socketio\n" + PART % b"~m~1~m~a" + PART % b"~m~1~m~b")
        self.assertEqual(self.logged(), [])


class SlowReaderTests(StreamCase):
    """A client that does not read what it is sent."""

    config = Config(queueMessages=3, queueBytes=1000)

    @property
    def producer(self) -> Any:
        """What the connection would tell of its buffer."""
        return self.client.end.producer

    def pause(self) -> None:
        """The connection's buffer is full."""
        self.producer.pauseProducing()

    def resume(self) -> None:
        """The connection's buffer is empty."""
        self.producer.resumeProducing()

    def test_paused(self) -> None:
        """Nothing more is written; messages wait in the session's queue, whose limits then count."""
        self.pause()
        for message in "abc":
            self.connection.send(message)
            self.server.turn()
        self.assertRaises(QueueFull, self.connection.send, "d")
        self.assertEqual(self.payloads(), [])

    def test_bytes(self) -> None:
        """The limit of bytes counts, too."""
        self.pause()
        self.connection.send("x" * 900)
        self.assertRaises(QueueFull, self.connection.send, "x" * 101)
        self.connection.send("y")

    def test_resumed(self) -> None:
        """When the client has read, all that waits comes, in order, and the queue is free."""
        self.pause()
        for message in "abc":
            self.connection.send(message)
        self.server.turn()
        self.resume()
        self.server.turn()
        self.assertEqual(self.payloads(), ["~m~1~m~a", "~m~1~m~b", "~m~1~m~c"])
        for message in "def":
            self.connection.send(message)
        self.server.turn()
        self.assertEqual(self.payloads()[3:], ["~m~1~m~d", "~m~1~m~e", "~m~1~m~f"])

    def test_pausedAgain(self) -> None:
        """It may stop and go as often as it likes, and nothing is lost or doubled."""
        for number in range(20):
            self.pause()
            self.connection.send(number)
            self.server.turn()
            self.resume()
            self.server.turn()
        self.assertEqual(self.payloads(), [f"~m~{len(str(number))}~m~{number}" for number in range(20)])

    def test_others(self) -> None:
        """A broadcast reaches everyone else; one line of the log says whom it did not reach, however often."""
        other = self.server.get("/xhr-multipart//2")
        self.pause()
        accepted = []
        for number in range(5):
            accepted.append(self.server.sio.broadcast(number))
            self.server.turn()
        self.assertEqual(accepted, [2, 2, 2, 1, 1])
        self.assertEqual(self.payloads(other), [f"~m~1~m~{number}" for number in range(5)])
        (line,) = self.logged()
        self.assertRegex(line, r"\Asession [0-9a-f]{8}: its queue is full, and refuses messages\Z")

    def test_lost(self) -> None:
        """A client that never reads misses its heartbeat; what waits is there when it comes back."""
        self.pause()
        self.connection.send("a")
        self.server.clock.advance(10)
        self.server.clock.advance(8)
        self.server.turn()
        self.assertTrue(self.client.end.aborted)
        client = self.server.get(f"{self.path}/2")
        self.assertEqual(self.payloads(client), ["~m~1~m~a"])

    def test_connectionLost(self) -> None:
        """When the connection is lost, what waits comes with the next."""
        self.pause()
        self.connection.send("a")
        self.server.turn()
        self.producer.stopProducing()
        self.client.leave()
        client = self.server.get(f"{self.path}/2")
        self.assertEqual(self.payloads(client), ["~m~1~m~a"])

    def test_resumedTooLate(self) -> None:
        """When the slow stream was replaced meanwhile, what is left of it changes nothing."""
        self.pause()
        self.connection.send("a")
        client = self.server.get(f"{self.path}/2")
        self.resume()
        self.server.turn()
        self.assertEqual((self.payloads(), self.payloads(client)), ([], ["~m~1~m~a"]))

    def test_closed(self) -> None:
        """When the application closes, what waits is written behind what the client has not read."""
        self.pause()
        self.connection.send("a")
        self.connection.close()
        self.server.turn()
        self.assertEqual((self.payloads(), self.last().ended), (["~m~1~m~a"], True))
