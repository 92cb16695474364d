"""
The HTTP transports on real TCP: treq and bare sockets as clients, conversations, losses, and slow readers.
"""

from __future__ import annotations

import re
from typing import Any

import treq
from twisted.internet.defer import CancelledError, Deferred
from twisted.web.client import ResponseNeverReceived

from siotwisted import Config, QueueFull, SocketIO
from siotwisted.connections import Connection
from tests.integration import Peer, RunningCase

FORM = "Content-Type: application/x-www-form-urlencoded"


class PollingTests(RunningCase):
    """One client."""

    async def test_conversation(self) -> None:
        """Handshake, post and poll, each on a connection that is used again."""
        sio, base, _ = await self.start()
        sio.onMessage(lambda connection, message: connection.send(message))
        sessionID = await self.open(base)
        for number, message in enumerate(("hi", "a\nb♥😀", "x" * 100_000)):
            time = 1322000000000 + 60_000 * number  # long after the one before has been answered
            poll = Deferred.fromCoroutine(self.get(f"{base}/xhr-polling/{sessionID}/{time}"))
            units = len(message.encode("utf-16-le")) // 2
            response = await self.post(f"{base}/xhr-polling/{sessionID}/send", f"~m~{units}~m~{message}")
            self.assertEqual((response.code, response.content), (200, b"ok"))
            answer: Any = await poll
            self.assertEqual(answer.content.decode(), f"~m~{units}~m~{message}")
        self.assertEqual(self.logged(), [])

    async def test_headers(self) -> None:
        """What a client sees of a poll's answer."""
        _, base, _ = await self.start(Config(pollDuration=0.01))
        sessionID = await self.open(base)
        response = await self.get(f"{base}/xhr-polling/{sessionID}/1")
        self.assertEqual((response.code, response.content, response.length), (200, b"", 0))
        names = {name.decode().lower() for name, _ in response.headers.getAllRawHeaders()}
        self.assertLessEqual(
            {"date", "content-type", "cache-control", "x-content-type-options", "referrer-policy", "vary"}, names
        )
        self.assertNotIn("server", names)

    async def test_largest(self) -> None:
        """Half a megabyte in both directions; a byte more than ``maxPayload`` is refused, and the session lives."""
        sio, base, _ = await self.start(Config(maxPayload=500_012))
        sio.onMessage(lambda connection, message: connection.send(message))
        sessionID = await self.open(base)
        text = "<" * 500_000
        response = await self.post(f"{base}/xhr-polling/{sessionID}/send", f"~m~500001~m~{text}<")
        self.assertEqual((response.code, response.content), (413, b"payload too large"))
        response = await self.post(f"{base}/xhr-polling/{sessionID}/send", f"~m~500000~m~{text[:-1]}>")
        self.assertEqual(response.code, 200)
        answer = await self.get(f"{base}/xhr-polling/{sessionID}/1")
        self.assertEqual(answer.content.decode(), f"~m~500000~m~{text[:-1]}>")

    async def test_order(self) -> None:
        """Two hundred messages each way arrive in order, however they fall on polls."""
        sio, base, _ = await self.start()
        sio.onMessage(lambda connection, message: connection.send(message))
        sessionID = await self.open(base)
        received = ""
        expected = "".join(f"~m~{len(str(number))}~m~{number}" for number in range(200))
        for start in range(0, 200, 10):
            payload = "".join(f"~m~{len(str(number))}~m~{number}" for number in range(start, start + 10))
            await self.post(f"{base}/xhr-polling/{sessionID}/send", payload)
            if start % 20:
                received += (await self.get(f"{base}/xhr-polling/{sessionID}/1")).content.decode()
        self.assertEqual(received, expected)
        self.assertEqual(self.messages, [str(number) for number in range(200)])

    async def test_unknownSession(self) -> None:
        """The connection is cut without one byte, for polls and posts."""
        _, base, port = await self.start()
        await self.assertFailure(
            Deferred.fromCoroutine(self.get(f"{base}/xhr-polling/unknown/1")), ResponseNeverReceived
        )
        for request in (
            b"GET /socket.io/xhr-polling/unknown/1 HTTP/1.1\r\nHost: h\r\n\r\n",
            b"POST /socket.io/xhr-polling/unknown/send HTTP/1.1\r\nHost: h\r\nContent-Length: 13\r\n\r\ndata=~m~1~m~x",
        ):
            peer = await self.connect(port)
            peer.transport.write(request)
            self.assertEqual(await peer.closed(), b"")
        self.assertEqual(self.logged(), ["refused 127.0.0.1: unknown session"] * 3)

    async def test_clientGone(self) -> None:
        """A poll whose client goes away loses no message: the next poll has it."""
        _, base, _ = await self.start()
        sessionID = await self.open(base)
        poll = treq.get(f"{base}/xhr-polling/{sessionID}/1", agent=self.agent, persistent=False)
        await self.transport(sessionID)
        poll.cancel()
        await self.assertFailure(poll, CancelledError, ResponseNeverReceived)
        await self.gone()
        (connection,) = self.connections
        connection.send("hi")
        answer = await self.get(f"{base}/xhr-polling/{sessionID}/2")
        self.assertEqual(answer.content, b"~m~2~m~hi")
        self.assertEqual((self.reasons, self.logged()), ([], []))

    async def transport(self, sessionID: str) -> None:
        """Wait until the session has a transport."""
        (sio,) = self._servers
        session: Any = sio.registry.get(sessionID)
        await self.until(lambda: session.transport is not None)

    async def gone(self) -> None:
        """Wait until no session has one."""
        (sio,) = self._servers
        await self.until(lambda: not sio.registry.transports)

    async def test_reset(self) -> None:
        """A connection that is reset, rather than closed, is lost as well."""
        sio, base, port = await self.start(Config(reconnectTimeout=0.05))
        sessionID = await self.open(base)
        peer = await self.connect(port)
        peer.transport.write(f"GET /socket.io/xhr-polling/{sessionID}/1 HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        await self.transport(sessionID)
        ended = self.nextEnd(sio)
        peer.transport.abortConnection()
        self.assertEqual(await ended, "transport close")

    def nextEnd(self, sio: SocketIO) -> Deferred[str]:
        """Fires with the reason of the next session that ends."""
        result: Deferred[str] = Deferred()

        @sio.onDisconnect
        def ended(connection: Connection, reason: str) -> None:
            if not result.called:
                result.callback(str(reason))

        return result

    async def test_noiseHidesTheLoss(self) -> None:
        """A client that leaves behind bytes that the server does not read is noticed when its poll has been held."""
        sio, base, port = await self.start(Config(pollDuration=0.1, reconnectTimeout=0.1))
        sessionID = await self.open(base)
        peer = await self.connect(port)
        peer.transport.write(f"GET /socket.io/xhr-polling/{sessionID}/1 HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        await self.transport(sessionID)
        ended = self.nextEnd(sio)
        peer.transport.write(b"x" * 80_000)
        peer.transport.loseConnection()
        self.assertIn(await ended, ("reconnect timeout", "transport close"))
        self.assertEqual((len(sio.registry), self.logged()), (0, []))

    async def test_secondPoll(self) -> None:
        """A second poll ends the first with an empty answer, on another connection."""
        _, base, _ = await self.start()
        sessionID = await self.open(base)
        first = Deferred.fromCoroutine(self.get(f"{base}/xhr-polling/{sessionID}/1"))
        await self.transport(sessionID)
        second = Deferred.fromCoroutine(self.get(f"{base}/xhr-polling/{sessionID}/2"))
        answer: Any = await first
        self.assertEqual((answer.code, answer.content), (200, b""))
        self.connections[0].send("hi")
        answer = await second
        self.assertEqual(answer.content, b"~m~2~m~hi")

    async def test_habit(self) -> None:
        """A connection on which the same comes again and again serves something else, too, and goes on."""
        _, base, port = await self.start()
        sessionID = await self.open(base)
        peer = await self.connect(port)
        post = (
            f"POST /socket.io/xhr-polling/{sessionID}/send HTTP/1.1\r\nHost: h\r\n{FORM}\r\n"
            "Content-Length: 13\r\n\r\ndata=~m~1~m~"
        )
        for number in range(5):
            peer.transport.write(f"{post}{number}".encode())
            await peer.until(b"\r\n\r\nok", number + 1)
        peer.transport.write(f"{post}5GET /none HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        await peer.until(b"HTTP/1.1 404 ")
        for number in range(6, 9):
            peer.transport.write(f"{post}{number}".encode())
            await peer.until(b"\r\n\r\nok", number + 1)
        self.assertEqual(self.messages, [*"012345678"])

    async def test_http10(self) -> None:
        """A client of HTTP/1.0 gets its answer, and the end of the connection."""
        _, _, port = await self.start()
        peer = await self.connect(port)
        peer.transport.write(b"GET /socket.io/xhr-polling//1 HTTP/1.0\r\n\r\n")
        head, _, body = (await peer.closed()).partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.0 200 OK\r\n"), head)
        self.assertRegex(body, rb"\A~m~27~m~[a-z][\w-]{26}\Z")

    async def test_continue(self) -> None:
        """A client that asks whether it may send the body is told so, then answered."""
        _, base, port = await self.start()
        sessionID = await self.open(base)
        peer = await self.connect(port)
        peer.transport.write(
            f"POST /socket.io/xhr-polling/{sessionID}/send HTTP/1.1\r\nHost: h\r\n{FORM}\r\n"
            "Expect: 100-continue\r\nContent-Length: 13\r\n\r\n".encode()
        )
        await peer.until(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.transport.write(b"data=~m~1~m~x")
        await peer.until(b"\r\n\r\nok")
        self.assertEqual(self.messages, ["x"])

    async def test_stop(self) -> None:
        """A server that stops cuts its polls, ends its streams, and is done when they are gone."""
        sio, base, port = await self.start()
        sessionID = await self.open(base)
        poll, stream = await self.connect(port), await self.connect(port)
        poll.transport.write(f"GET /socket.io/xhr-polling/{sessionID}/1 HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        stream.transport.write(b"GET /socket.io/htmlfile//1 HTTP/1.1\r\nHost: h\r\n\r\n")
        await stream.until(b"~m~27~m~")
        await self.transport(sessionID)
        await sio.stop()
        await stream.until(b"\r\n0\r\n\r\n")
        self.assertEqual(await poll.closed(), b"")
        self.assertEqual((sio.registry.transports, self.reasons), (set(), ["server shutting down"] * 2))
        response = await self.get(f"{base}/xhr-polling//1")
        self.assertEqual(response.code, 503)


class Listener:
    """
    What a client of any HTTP transport hears.

    :param case: the test.
    :param base: the endpoint's URL.
    :param port: its port.
    :param transport: the transport's name.
    """

    def __init__(self, case: RunningCase, base: str, port: int, transport: str) -> None:
        self._case = case
        self._base = base
        self._port = port
        self.transport = transport
        self.sessionID = ""
        self._peer: Peer | None = None
        self._heard = ""

    @property
    def heard(self) -> str:
        """All so far."""
        return self._heard if self._peer is None else self._peer.received.decode("utf-8", "ignore")

    @property
    def streaming(self) -> bool:
        """Whether it has one answer for all."""
        return self.transport in ("htmlfile", "xhr-multipart")

    async def start(self) -> None:
        """Connect."""
        if self.streaming:
            self._peer = await self._case.connect(self._port)
            self._peer.transport.write(f"GET /socket.io/{self.transport}//1 HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        else:
            response = await self._case.get(f"{self._base}/{self.transport}//1322000000000/0")
            self._heard += response.content.decode()
        self.sessionID = (await self.hears("~m~27~m~([a-z][A-Za-z0-9_-]{26})"))[1]

    async def hears(self, pattern: str) -> re.Match[str]:
        """Wait until what it hears holds a pattern, polling as long as needed."""
        while True:
            match = re.search(pattern, self.heard)
            if match is not None:
                return match
            if self._peer is not None:
                await self._peer.more()
            else:
                path = f"{self.transport}/{self.sessionID}/1322000000001/1"
                self._heard += (await self._case.get(f"{self._base}/{path}")).content.decode()

    async def says(self, text: str) -> None:
        """Post a message."""
        url = f"{self._base}/{self.transport}/{self.sessionID}/send"
        response = await self._case.post(url, f"~m~{len(text)}~m~{text}")
        assert (response.code, response.content) == (200, b"ok")


class ChatTests(RunningCase):
    """Clients on different transports, in one room."""

    async def test_everyPair(self) -> None:
        """What one says, all others hear, whatever transport each is on, and nobody hears himself."""
        sio, base, port = await self.start()

        @sio.onMessage
        def said(connection: Connection, message: str) -> None:
            sio.broadcastExcept(connection, f"{connection.transport} said {message}")

        clients = [
            Listener(self, base, port, transport)
            for transport in ("xhr-polling", "jsonp-polling", "htmlfile", "xhr-multipart")
        ]
        for client in clients:
            await client.start()
        for speaker in clients:
            await speaker.says(f"hello{speaker.transport}")
            for client in clients:
                if client is not speaker:
                    await client.hears(f"{speaker.transport} said hello{speaker.transport}")
        for client in clients:
            await client.says("end")
        for client in clients:
            self.assertNotIn(f"{client.transport} said", client.heard)
        self.assertEqual(self.logged(), [])


class SlowReaderTests(RunningCase):
    """A client that opens a stream and does not read it."""

    async def test_bounded(self) -> None:
        """
        The server takes messages up to its limit and refuses the rest; when the client reads, and says so, all accepted
        come.
        """
        _, base, port = await self.start(Config(queueBytes=1_000_000))
        peer = await self.connect(port)
        peer.transport.write(b"GET /socket.io/xhr-multipart//1 HTTP/1.1\r\nHost: h\r\n\r\n")
        await peer.until(b"~m~27~m~")
        peer.transport.pauseProducing()
        (connection,) = self.connections
        accepted = 0
        text = "x" * 50_000
        try:
            while accepted < 2000:
                connection.send(f"<{accepted}>{text}")
                accepted += 1
                if accepted % 20 == 0:
                    await self.turn()
            self.fail("100 MB were accepted for a client that does not read")
        except QueueFull:
            pass
        self.assertGreaterEqual(accepted, 19)
        peer.transport.resumeProducing()
        last, echoed = f"<{accepted - 1}>{text}\n--socketio\n".encode(), 0
        while last not in peer.received:
            asked = re.findall(rb"~h~([0-9]+)\n", peer.received)
            for question in asked[echoed:]:
                frame = f"~h~{int(question)}"
                await self.post(f"{base}/xhr-multipart/{connection.id}/send", f"~m~{len(frame)}~m~{frame}")
            echoed = len(asked)
            await self.turn()
        received = peer.received
        numbers = [int(number) for number in re.findall(rb"<([0-9]+)>", received)]
        self.assertEqual(numbers, list(range(accepted)))
        connection.send("again")
        await peer.until(b"~m~5~m~again")
