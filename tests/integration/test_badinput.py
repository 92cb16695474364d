"""
Hostile bytes on real connections: each gets its answer or is cut, leaves at most one line in the log, and does no harm
to anyone else.

Every test has a bystander, a client with a session that it polls for meanwhile, who must not notice.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web import http

from siotwisted import Config, SocketIO
from siotwisted.tap import Options, makeService
from tests.integration import LOOPBACK, Peer, RunningCase

GET = b"GET /socket.io/xhr-polling//1 HTTP/1.1\r\nHost: h\r\n\r\n"
BODY = b"data=~m~1~m~x"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


class BystanderCase(RunningCase):
    """A server, a victim's session, and a bystander."""

    config = Config(maxPayload=1000)

    async def begin(self) -> None:
        """Begin it all."""
        self.sio: SocketIO
        self.sio, self.base, self.port = await self.start(self.config)
        self.sessionID = await self.open(self.base)
        self.bystander = await self.open(self.base)
        self.watch = Deferred.fromCoroutine(self.get(f"{self.base}/xhr-polling/{self.bystander}/1"))
        session: Any = self.sio.registry.get(self.bystander)
        await self.until(lambda: session.transport is not None)
        self.logged()

    async def finish(self) -> None:
        """See that the bystander has noticed nothing, and nobody has failed."""
        self.assertFalse(self.watch.called)
        connection = self.sio.getConnection(self.bystander)
        assert connection is not None
        connection.send("still here")
        answer: Any = await self.watch
        self.assertEqual(answer.content, b"~m~10~m~still here")
        self.assertEqual(self.flushLoggedErrors(), [])

    async def send(self, data: bytes) -> Peer:
        """Send bytes on a new connection, in which ``%s`` stands for the victim's id."""
        peer = await self.connect(self.port)
        peer.transport.write(data.replace(b"%s", self.sessionID.encode()))
        return peer

    def statuses(self, peer: Peer) -> list[bytes]:
        """The statuses of all answers."""
        return re.findall(rb"HTTP/1\.[01] ([0-9]{3}) ", peer.received)


POST = b"POST /socket.io/xhr-polling/%s/send HTTP/1.1\r\nHost: h\r\n"


class SmugglingTests(BystanderCase):
    """Requests on whose end two servers could disagree."""

    REFUSED = {
        "two lengths": POST + b"Content-Length: 13\r\nContent-Length: 13\r\n\r\n" + BODY,
        "two other lengths": POST + b"Content-Length: 13\r\nContent-Length: 5\r\n\r\n" + BODY,
        "a list of lengths": POST + b"Content-Length: 13, 13\r\n\r\n" + BODY,
        "length and chunks": POST + b"Content-Length: 13\r\n" + CHUNKED + b"0\r\n\r\n",
        "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 13\r\n\r\n0\r\n\r\n",
        "plus": POST + b"Content-Length: +13\r\n\r\n" + BODY,
        "minus": POST + b"Content-Length: -13\r\n\r\n" + BODY,
        "hexadecimal": POST + b"Content-Length: 0xd\r\n\r\n" + BODY,
        "underscore": POST + b"Content-Length: 1_3\r\n\r\n" + BODY,
        "other digits": POST + "Content-Length: ١٣\r\n\r\n".encode() + BODY,
        "superscript": POST + b"Content-Length: \xb2\r\n\r\n" + BODY,
        "no digits": POST + b"Content-Length: \r\n\r\n" + BODY,
        "blank before colon": POST + b"Content-Length : 13\r\n\r\n" + BODY,
        "hexadecimal chunk": POST + CHUNKED + b"0xd\r\n" + BODY + b"\r\n0\r\n\r\n",
        "positive chunk": POST + CHUNKED + b"+d\r\n" + BODY + b"\r\n0\r\n\r\n",
        "negative chunk": POST + CHUNKED + b"-d\r\n" + BODY + b"\r\n0\r\n\r\n",
        "line feed in an extension": POST + CHUNKED + b"d;x\n\r\n" + BODY + b"\r\n0\r\n\r\n",
        "line feed behind a size": POST + CHUNKED + b"d\n" + BODY + b"\r\n0\r\n\r\n",
        "chunk that goes on": POST + CHUNKED + b"d\r\n" + BODY + b"xx0\r\n\r\n",
        "chunked, identity": POST + b"Transfer-Encoding: chunked, identity\r\n\r\nd\r\n" + BODY + b"\r\n0\r\n\r\n",
        "almost chunked": POST + b"Transfer-Encoding: xchunked\r\n\r\nd\r\n" + BODY + b"\r\n0\r\n\r\n",
        "line feeds": POST.replace(b"\r\n", b"\n") + b"Content-Length: 13\n\n" + BODY,
        "one line feed": POST + b"X: a\nContent-Length: 13\r\n\r\n" + BODY,
        "carriage return": POST + b"X: a\rContent-Length: 13\r\n\r\n" + BODY,
        "zero byte": POST + b"X: a\0b\r\n\r\n",
        "no colon": POST + b"garbage\r\n\r\n",
        "no name": POST + b": x\r\n\r\n",
        "first line folded": b"GET /socket.io/xhr-polling//1 HTTP/1.1\r\n Host: h\r\n\r\n",
    }

    async def test_refused(self) -> None:
        """They get one answer, 400, and the end of the connection; what comes behind them is not a request."""
        await self.begin()
        for name, data in self.REFUSED.items():
            peer = await self.send(data + GET)
            await peer.closed()
            self.assertEqual(self.statuses(peer), [b"400"], name)
        self.assertEqual((self.messages, len(self.connections), self.reasons, self.logged()), ([], 2, [], []))
        await self.finish()

    async def test_inOrder(self) -> None:
        """Good requests on one connection are answered one for one, in order; a body is never a request."""
        await self.begin()
        inner = GET.replace(b"//1", b"/%s/1").replace(b"%s", self.sessionID.encode())
        peer = await self.send(
            POST
            + b"Content-Length: 13\r\n\r\n"
            + BODY
            + POST
            + CHUNKED
            + b"d;x=y\r\n"
            + BODY
            + b"\r\n0\r\n\r\n"
            + POST
            + b"Content-Length: %d\r\n\r\n" % len(inner)
            + inner
            + b"PUT /socket.io/xhr-polling//1 HTTP/1.1\r\nHost: h\r\n\r\n"
            + b"GET /socket.io/nothing HTTP/1.1\r\nHost: h\r\n\r\n"
        )
        await peer.until(b"not a Socket.IO URL")
        self.assertEqual(self.statuses(peer), [b"200", b"200", b"400", b"405", b"404"])
        self.assertEqual((self.messages, len(self.connections)), (["x", "x"], 2))
        self.assertEqual(len(self.logged()), 3)
        await self.finish()


class OtherProtocolTests(BystanderCase):
    """What is not HTTP/1.1, or hardly."""

    REFUSED = {
        "HTTP/0.9": b"GET /socket.io/xhr-polling//1\r\n\r\n",
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
        "HTTP/1.2": GET.replace(b"1.1", b"1.2"),
        "HTTP/11": GET.replace(b"1.1", b"11"),
        "small letters": GET.replace(b"HTTP", b"http"),
        "two blanks": GET.replace(b" HTTP", b"  HTTP"),
        "no blank": b"GET\r\n\r\n",
        "bytes beyond ASCII": GET.replace(b"//1", b"//\xff"),
        "noise": bytes(range(256)) * 4 + b"\r\n\r\n",
        "600 headers": GET[:-2] + b"".join(b"A%d: x\r\n" % number for number in range(600)) + b"\r\n",
    }

    async def test_refused(self) -> None:
        """It gets 400 and the end of the connection."""
        await self.begin()
        for name, data in self.REFUSED.items():
            peer = await self.send(data)
            await peer.closed()
            self.assertEqual(self.statuses(peer), [b"400"], name)
        self.assertEqual((len(self.connections), self.logged()), (2, []))
        await self.finish()

    async def test_tooLong(self) -> None:
        """A line that is longer than any of a browser ends the connection, before it is read to its end."""
        await self.begin()
        for data in (GET.replace(b"//1", b"//" + b"a" * 100_000), GET[:-2] + b"A: " + b"x" * 1_000_000 + b"\r\n\r\n"):
            peer = await self.send(data)
            await peer.closed()
            self.assertNotIn(b"~m~", peer.received)
        self.assertEqual((len(self.connections), self.logged()), (2, []))
        await self.finish()

    async def test_unfinished(self) -> None:
        """What never becomes a request, and then goes away, leaves nothing behind."""
        await self.begin()
        sites = self._sites[0].live
        before = len(sites)
        for data in (
            b"",
            b"G",
            GET[:-2],
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 500,
            POST + b"Content-Length: 10000000000\r\n\r\n",
            POST + b"Content-Length: 10000000000\r\n\r\n" + b"x" * 5000,
            b"POST /socket.io/xhr-polling/unknown/send HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000000\r\n\r\n",
            POST + b"Content-Length: 13\r\n\r\n" + BODY[:-1],
            POST + CHUNKED,
            POST + CHUNKED + b"d\r\n" + BODY,
            POST + CHUNKED + b"f" * 40 + b"\r\n" + BODY,
        ):
            peer = await self.send(data)
            await self.until(lambda: len(sites) > before)
            peer.transport.loseConnection()
            await peer.closed()
            await self.until(lambda: len(sites) == before)
            self.assertEqual(peer.received, b"")
        self.assertEqual((self.messages, len(self.connections), self.reasons, self.logged()), ([], 2, [], []))
        await self.finish()


class RefusedRequestTests(BystanderCase):
    """Well-formed requests that make no sense."""

    ANSWERED: tuple[tuple[bytes, bytes], ...] = (
        (b"GET /socket.io/%2e%2e/%2e%2e/etc/passwd HTTP/1.1", b"404"),
        (b"GET /socket.io/xhr-polling%00//1 HTTP/1.1", b"404"),
        (b"GET /socket.io/<script>alert(1)</script> HTTP/1.1", b"404"),
        (b"GET /socket.io/" + b"a" * 8000 + b" HTTP/1.1", b"404"),
        (b"PUT /socket.io/xhr-polling/%s/1 HTTP/1.1", b"405"),
        (b"TRACE /socket.io/xhr-polling//1 HTTP/1.1", b"405"),
        (b"get /socket.io/xhr-polling//1 HTTP/1.1", b"405"),
        (b"HEAD /socket.io/xhr-polling//1 HTTP/1.1", b"405"),
        (b"GET /socket.io/jsonp-polling//1/0);alert(1) HTTP/1.1", b"400"),
        (b"GET /socket.io/xhr-polling//1 HTTP/1.1\r\nOrigin: http://evil.example", b"403"),
        (b"GET /socket.io/htmlfile//1 HTTP/1.1\r\nCookie: a=b\r\nReferer: http://evil.example/", b"403"),
        (b"GET /socket.io/websocket HTTP/1.1\r\nHost: h", b"426"),
        (b"POST /socket.io/xhr-polling/%s/send HTTP/1.1\r\nContent-Length: 0", b"400"),
        (b"POST /socket.io/xhr-polling//send HTTP/1.1\r\nContent-Length: 0", b"400"),
    )
    CUT = (
        b"GET /socket.io/xhr-polling/__proto__/1 HTTP/1.1",
        b"GET /socket.io/xhr-polling/%00/1 HTTP/1.1",
        b"GET /socket.io/htmlfile/unknown/1 HTTP/1.1",
        b"POST /socket.io/xhr-polling/unknown/send HTTP/1.1\r\nContent-Length: 0",
        b"PUT /socket.io/xhr-polling/unknown/send HTTP/1.1",
        b"OPTIONS /socket.io/xhr-polling/unknown/send HTTP/1.1",
    )

    async def test_answered(self) -> None:
        """Each gets its status, and the log one line, in which nothing comes from the request."""
        await self.begin()
        for head, status in self.ANSWERED:
            peer = await self.send(head + b"\r\nUser-Agent: evil\x1b[31m\r\nConnection: close\r\n\r\n")
            await peer.closed()
            self.assertEqual(self.statuses(peer), [status], head)
            self.assertNotIn(b"alert", peer.received)
            (line,) = self.logged()
            self.assertTrue(line.startswith("refused 127.0.0.1: "), line)
            for secret in ("evil", "alert", self.sessionID):
                self.assertNotIn(secret, line)
        self.assertEqual((len(self.connections), self.reasons), (2, []))
        await self.finish()

    async def test_cut(self) -> None:
        """Whatever names a session that there is not, is cut without a byte."""
        await self.begin()
        for head in self.CUT:
            peer = await self.send(head + b"\r\nHost: h\r\n\r\n")
            self.assertEqual(await peer.closed(), b"", head)
            self.assertEqual(self.logged(), ["refused 127.0.0.1: unknown session"])
        await self.finish()

    async def test_largeBodies(self) -> None:
        """A body beyond the limit is refused with 413, whatever it is; the session lives."""
        await self.begin()
        for body in (b"data=" + b"x" * 1001, b"data=" + b"%41" * 1001, b"\0" * 500_000, b"&" * 100_000):
            peer = await self.send(POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await peer.closed()
            self.assertEqual(self.statuses(peer), [b"413"])
            self.assertEqual(self.logged(), ["refused 127.0.0.1: payload too large"])
        self.assertIsNotNone(self.sio.getConnection(self.sessionID))
        await self.finish()

    async def test_damaged(self) -> None:
        """A damaged payload ends the session that sent it, after the good frames before; nobody else's."""
        await self.begin()
        for payload in (b"~m~1~m~a~m~9~m~b", b"~m~1~m~a~m~-1~m~", b"~m~1~m~a\0", b"~m~1~m~a~m~7~m~~j~[[[["):
            self.sessionID = await self.open(self.base)
            self.messages.clear()
            body = b"data=" + payload
            peer = await self.send(POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await peer.closed()
            self.assertEqual((self.statuses(peer), self.messages), ([b"400"], ["a"]))
            self.assertTrue(peer.received.endswith(b"\r\n\r\nbad payload"))
            self.assertEqual(len(self.logged()), 1)
            self.assertIsNone(self.sio.getConnection(self.sessionID))
        self.assertEqual(self.reasons, ["parse error"] * 4)
        await self.finish()


class ChatTests(RunningCase):
    """The chat's own site."""

    async def test_formsAreReadOnce(self) -> None:
        """It leaves forms to the endpoint, whose reading is bounded: Twisted's would block it for a second."""
        parsed: list[bytes] = []
        original = http.parse_qs

        def parse(query: bytes, *more: Any) -> Any:
            parsed.append(query)
            return original(query, *more)

        self.patch(http, "parse_qs", parse)
        options = Options()
        options.parseOptions([f"--listen={LOOPBACK}"])
        service = makeService(options)
        service.startService()
        self.addCleanup(service.stopService)
        match = None
        while match is None:
            await self.turn()
            match = re.search(r"http://127\.0\.0\.1:([0-9]+)/", " ".join(self.logged()))
        peer = await self.connect(int(match[1]))
        form = "application/x-www-form-urlencoded"
        peer.transport.write(
            b"POST /socket.io/xhr-polling//send?a=b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
            b"Content-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (form.encode(), len(BODY), BODY)
        )
        self.assertTrue((await peer.closed()).endswith(b"\r\n\r\nmessages need a session"))
        self.assertEqual(parsed, [b"a=b"])


class FloodTests(BystanderCase):
    """More of something than makes sense."""

    async def test_handshakes(self) -> None:
        """Two hundred clients that come and go are forgotten one by one, when their time is over."""
        self.config = Config(reconnectTimeout=0.2)
        await self.begin()
        peer = await self.send(GET * 200)
        await peer.until(b"~m~27~m~", 200)
        self.assertEqual(len({connection.id for connection in self.connections}), 202)
        await self.until(lambda: len(self.sio.registry) == 1)
        self.assertEqual(set(self.reasons), {"reconnect timeout"})
        await self.finish()

    async def test_polls(self) -> None:
        """A thousand polls of one session, on one connection, cost one transport and no traceback."""
        await self.begin()
        peer = await self.send(GET.replace(b"//1", b"/%s/1") * 1000)
        session: Any = self.sio.registry.get(self.sessionID)
        await self.until(lambda: session.transport is not None)
        self.assertEqual(len(self.sio.registry.transports), 2)
        for number in range(50):
            connection = self.sio.getConnection(self.sessionID)
            assert connection is not None
            connection.send(number)
            await peer.until(f"~m~{number}".encode())
        self.assertEqual(len(self.sio.registry.transports), 2)
        self.assertEqual(self.logged(), [])
        await self.finish()

    async def test_overlappingPolls(self) -> None:
        """Fifty polls of one session, each on a connection of its own: all but the last are answered empty."""
        await self.begin()
        peers = [await self.send(GET.replace(b"//1", b"/%s/1")) for _ in range(50)]
        connection = self.sio.getConnection(self.sessionID)
        assert connection is not None
        await self.until(lambda: sum(bool(peer.received) for peer in peers) == 49)
        connection.send("x")
        await self.until(lambda: all(peer.received for peer in peers))
        bodies = sorted(peer.received.partition(b"\r\n\r\n")[2] for peer in peers)
        self.assertEqual(bodies, [b""] * 49 + [b"~m~1~m~x"])
        self.assertEqual(self.logged(), [])
        await self.finish()
