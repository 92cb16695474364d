"""
Clients that come back to their session over HTTP: those that say how much they have, and requests that are repeated
because nobody knows whether they were heard.
"""

from __future__ import annotations

import json
import re
from itertools import count
from typing import Any, ClassVar

from siotwisted.config import Config
from siotwisted.outgoing import Outgoing
from siotwisted.packets import messagePacket
from tests.transports import Client, Server, ServerCase
from tests.transports.sockets import Embedded, Peer, WebSocketCase
from tests.websocketpeer import PING, PONG, TEXT, clientFrame

#: Numbers that are none.
GARBAGE = ("", "x", "-1", "1.5", "+1", "%201", "1e1", "9" * 16, "%D9%A1")


class Generation06:
    """How clients of 0.6 poll and post."""

    unknown = b""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.times = count(1322000000001)
        self.id = self.open()

    def open(self) -> str:
        """Begin a session; the greeting is read."""
        return self.server.open()

    def url(self, **query: object) -> str:
        """The URL of a poll or a POST, with another time each time."""
        more = "&".join(f"{name}={value}" for name, value in query.items() if name != "t")
        return f"/xhr-polling/{self.id}/{query.get('t') or next(self.times)}?{more}".rstrip("?")

    def poll(self, **query: object) -> Client:
        """Poll."""
        return self.server.get(self.url(**query))

    def post(self, text: str, url: str | None = None) -> Client:
        """Post a message."""
        return self.server.post(url or self.url(), f"~m~{len(text)}~m~{text}")

    def texts(self, client: Client) -> list[str]:
        """The messages of an answer; each has one letter."""
        return re.findall("~m~1~m~([a-z])", client.response().body.decode())


class Generation09(Generation06):
    """Those of 0.7 to 0.9."""

    unknown = b"7:::1+0"

    def open(self) -> str:
        """The handshake; there is no greeting in these tests."""
        return self.server.get("/1/?t=1").response().body.decode().split(":")[0]

    def url(self, **query: object) -> str:
        """See above."""
        query = {"t": next(self.times), **query}
        return f"/1/xhr-polling/{self.id}?" + "&".join(f"{name}={value}" for name, value in query.items())

    def post(self, text: str, url: str | None = None) -> Client:
        """See above."""
        body = f"3:::{text}".encode()
        return self.server.request("POST", url or self.url(), {"Content-Type": "text/plain"}, body)

    def texts(self, client: Client) -> list[str]:
        """See above."""
        return re.findall("3:::([a-z])", client.response().body.decode())


class GenerationEngine4(Generation06):
    """Those of 3.x and 4.x."""

    revision = 4
    unknown = b'{"code":1,"message":"Session ID unknown"}'

    def open(self) -> str:
        """See above."""
        body = self.server.get(f"/?EIO={self.revision}&transport=polling&t=1").response().body
        id: str = json.loads(body[body.index(b"{") : body.index(b"}") + 1])["sid"]
        return id

    def url(self, **query: object) -> str:
        """See above."""
        query = {"EIO": self.revision, "transport": "polling", "sid": self.id, "t": next(self.times), **query}
        return "/?" + "&".join(f"{name}={value}" for name, value in query.items())

    def post(self, text: str, url: str | None = None) -> Client:
        """See above."""
        body = f'42["message","{text}"]'
        if self.revision == 3:
            body = f"{len(body)}:{body}"
        return self.server.request("POST", url or self.url(), {"Content-Type": "text/plain"}, body.encode())

    def texts(self, client: Client) -> list[str]:
        """See above."""
        return re.findall('"message","([a-z])"', client.response().body.decode())


class GenerationEngine3(GenerationEngine4):
    """Those of 1.x and 2.x."""

    revision = 3


GENERATIONS: tuple[type[Generation06], ...] = (Generation06, Generation09, GenerationEngine3, GenerationEngine4)


class ResumeCase(ServerCase):
    """A server, and a client of each generation."""

    config: ClassVar[dict[str, Any]] = {}

    def each(self) -> Any:
        """A client of each generation, of a server of its own, that has had nothing."""
        for generation in GENERATIONS:
            self.server = Server(Config(**self.config))
            client = generation(self.server)
            if generation is Generation09:
                client.poll().leave()  # its first transport
            yield client

    def send(self, *texts: str) -> None:
        """Send messages to the client that came last."""
        for text in texts:
            self.server.connection.session.send(Outgoing(messagePacket(text)))
        self.server.turn()

    def figures(self) -> tuple[int, int]:
        """How many messages are confirmed, and of how many nothing is known."""
        outbox = self.server.connection.session.outbox
        return outbox.confirmed, outbox.pending

    def assertLives(self, client: Generation06, *texts: str) -> None:
        """The session is as good as ever: the next poll gets these."""
        self.assertEqual(self.server.reasons, [])
        self.assertEqual(client.texts(client.poll()), list(texts))


class GotTests(ResumeCase):
    """``got=N``."""

    def test_right(self) -> None:
        """A client that says how many it has gets the next ones, whatever else its poll would tell."""
        for client in self.each():
            self.send("a", "b", "c")
            self.assertEqual(client.texts(client.poll()), ["a", "b", "c"])
            self.send("d")
            for got, texts in ((0, "abcd"), (1, "bcd"), (3, "d"), (3, "d")):
                self.assertEqual(client.texts(client.poll(got=got)), list(texts), type(client))
                self.assertEqual(self.figures(), (got, 4 - got))
            self.assertEqual(client.poll(got=4).received, b"")
            self.assertEqual(self.figures(), (4, 0))

    def test_tooLow(self) -> None:
        """What was confirmed is gone: it is refused like an unknown session, and nothing changes."""
        for client in self.each():
            self.send("a", "b")
            client.poll()
            held = client.poll()
            self.assertEqual(self.figures(), (2, 0))
            self.assertRefuses(client, 0)
            self.assertRefuses(client, 1)
            self.send("c")
            self.assertEqual(client.texts(held), ["c"])
            self.assertEqual(self.server.reasons, [])

    def test_tooHigh(self) -> None:
        """So is one that was never sent, even if it waits already."""
        for client in self.each():
            self.send("a")
            self.assertRefuses(client, 1)
            self.assertRefuses(client, 10**14)
            self.assertLives(client, "a")
            self.assertRefuses(client, 2)
            self.assertEqual(client.texts(client.poll(got=0)), ["a"])

    def test_garbage(self) -> None:
        """So is what is no number."""
        for client in self.each():
            self.send("a")
            for garbage in GARBAGE:
                self.assertRefuses(client, garbage)
            self.assertLives(client, "a")

    def test_new(self) -> None:
        """It means nothing in a request for a new session."""
        server = Server()
        for path in ("/xhr-polling//1?got=5", "/1/?t=1&got=5", "/?EIO=4&transport=polling&got=x"):
            self.assertEqual(server.get(path).response().status, 200)

    def test_streams(self) -> None:
        """Streams are resumed so, too."""
        for transport in ("htmlfile", "xhr-multipart"):
            server = Server()
            sessionID = server.open(transport)
            session = server.connection.session
            for text in "abc":
                session.send(Outgoing(messagePacket(text)))
            server.turn()
            stream = server.get(f"/{transport}/{sessionID}/1?got=2")
            body = stream.response().body
            self.assertEqual((b"~m~1~m~b" in body, b"~m~1~m~c" in body), (False, True))
            again = server.get(f"/{transport}/{sessionID}/2").response().body
            self.assertEqual((b"~m~1~m~b" in again, b"~m~1~m~c" in again), (False, True))
            self.assertEqual(session.outbox.confirmed, 2)
            self.assertEqual(server.get(f"/{transport}/{sessionID}/3?got=1").received, b"")
            self.assertEqual(server.reasons, [])

    def assertRefuses(self, client: Generation06, got: object) -> None:
        """The client is told that there is no such session."""
        poll = client.poll(got=got)
        body = poll.response().body if poll.received else b""
        self.assertEqual((body, poll.end.aborted), (client.unknown, not client.unknown), (type(client), got))


class RepeatedPollTests(ResumeCase):
    """Polls that come again."""

    def test_repeated(self) -> None:
        """The same URL on another connection, when the first is dead: the answer once more, and what came since."""
        for client in self.each():
            url = client.url()
            first = self.server.get(url)
            self.server.clock.advance(0.01)
            self.send("a")
            self.assertEqual(client.texts(first), ["a"])
            first.leave()
            self.send("b")
            again = self.server.get(url)
            self.assertEqual((client.texts(again), self.figures()), (["a", "b"], (0, 2)), type(client))
            held = client.poll()
            self.assertEqual((held.received, self.figures()), (b"", (2, 0)))

    def test_sameTick(self) -> None:
        """
        If the first was answered at once, an old client may have begun another poll with the same time in its URL, and
        nobody knows which of them this is: it loses its session. Later clients' URLs are never alike.
        """
        for client in self.each():
            old = type(client) in (Generation06, Generation09)
            self.send("a")
            url = client.url() if old else client.url(t="P0x35.1")
            self.server.get(url).leave()
            again = self.server.get(url)
            if old:
                self.assertEqual(self.server.reasons, ["transport error"])
                self.assertEqual(self.server.notes.undelivered, [("a", True)])
            else:
                self.assertEqual(client.texts(again), ["a"], type(client))

    def test_question(self) -> None:
        """So does the question for a sign of life, which the client could not answer else; once it is read, no more."""
        server = Server()
        client = GenerationEngine4(server)
        url = client.url()
        first = server.get(url)
        server.clock.advance(server.sio.registry.config.pingInterval)
        server.turn()
        self.assertEqual(first.response().body, b"2")
        first.leave()
        again = server.get(url)
        server.turn()
        self.assertNotEqual(again.received, b"")
        self.assertEqual(again.response().body, b"2")
        held = client.poll()
        server.turn()
        self.assertEqual((held.received, server.reasons), (b"", []))

    def test_sameConnection(self) -> None:
        """The same URL on the same connection was read: who repeats a request does so because that broke."""
        for client in self.each():
            self.send("a")
            url = client.url()
            first = self.server.get(url)
            self.send("b")
            first.request("GET", url)
            self.assertEqual(self.figures(), (1, 1), type(client))

    def test_otherTime(self) -> None:
        """Another time against caches is another poll, of a client that has read the answer before."""
        for client in self.each():
            self.send("a")
            client.poll()
            client.poll()
            self.assertEqual(self.figures(), (1, 0))

    def test_beside(self) -> None:
        """
        A poll that was sent before the last one was answered, as its time tells, is not there for the answer: that
        comes again. If the client's clock was put back, its times tell nothing.
        """
        for client in self.each():
            if type(client) is not Generation06:  # the others hear all of their answers
                continue
            for later, read in ((90, False), (94, False), (104, True), (-3_600_000, True)):
                start = next(client.times) + 1_000_000
                before = self.figures()[0]
                first = client.poll(t=start)
                self.server.clock.advance(0.1)
                self.send("a")
                self.assertEqual(client.texts(first), ["a"])
                second = client.poll(t=start + later)
                self.assertEqual((second.received == b"", self.figures()[0] - before), (read, int(read)), later)
                client.poll(t=start + 2_000_000)  # which takes what the second has brought
                client.poll(t=start + 3_000_000)
                client.times = count(start + 4_000_000)

    def test_perhapsBeside(self) -> None:
        """
        If it was sent when the answer can just have been on its way, nobody knows: the client loses its session. But
        if it comes on the same connection, that was free, and the answer is read.
        """
        for later in (96, 99, 100, 102):
            for sameLine in (False, True):
                for client in self.each():
                    if type(client) is not Generation06:
                        continue
                    start = next(client.times) + 1_000_000
                    first = client.poll(t=start)
                    self.server.clock.advance(0.1)
                    self.send("a")
                    self.assertEqual(client.texts(first), ["a"])
                    if sameLine:
                        first.request("GET", client.url(t=start + later))
                        self.assertEqual((self.figures()[0], self.server.reasons), (1, []))
                    else:
                        client.poll(t=start + later)
                        self.assertEqual(self.server.reasons, ["transport error"], later)
                        self.assertEqual(self.server.notes.undelivered, [("a", True)])

    def test_near(self) -> None:
        """The same URL on another connection, when the first one lives: if at once, the client is fast and near."""
        for seconds, again in ((0.0, []), (0.004, []), (0.006, ["a"])):
            for client in self.each():
                self.send("a")
                url = client.url()
                self.assertEqual(client.texts(self.server.get(url)), ["a"])
                self.server.clock.advance(seconds)
                poll = self.server.get(url)
                self.assertEqual(client.texts(poll) if poll.received else [], again, (type(client), seconds))

    def test_nobodyKnows(self) -> None:
        """
        A client that is content with the rest of an answer whose connection broke, as the oldest are: whether it has
        read it can't be known. It loses its session, rather than a message.
        """
        for client in self.each():
            self.send("a")
            client.poll().leave()
            self.send("b")
            poll = client.poll()
            if type(client) in (Generation06, Generation09):
                self.assertEqual(self.server.reasons, ["transport error"])
                self.assertNotIn(b"b", poll.received.partition(b"\r\n\r\n")[2])
                self.assertEqual(self.server.notes.undelivered, [("a", True), ("b", False)])
            else:
                self.assertEqual(client.texts(poll), ["b"])
                self.assertEqual(self.figures(), (1, 1))

    def test_got(self) -> None:
        """Who says what it has is believed, whatever broke."""
        for client in self.each():
            self.send("a")
            client.poll().leave()
            self.send("b")
            self.assertEqual(client.texts(client.poll(got=1)), ["b"])
            self.assertEqual(self.figures(), (1, 1))


class RepeatedPostTests(ResumeCase):
    """POSTs that come again."""

    def post(self, client: Generation06, text: str, url: str) -> Client:
        """Post, and look that it is answered as any."""
        posted = client.post(text, url)
        self.assertEqual(posted.response().status, 200)
        self.assertEqual(posted.response().body, self.answer)
        return posted

    def each(self) -> Any:
        """The same, with what a POST is answered."""
        for client in super().each():
            self.answer: bytes = b"1" if type(client) is Generation09 else b"ok"
            yield client

    def heard(self) -> int:
        """How many messages were heard."""
        return len(self.server.notes.messages)

    def test_repeated(self) -> None:
        """The same URL, with its time, and the same body, on another connection: answered, and not heard again."""
        for client in self.each():
            url = client.url()
            self.post(client, "x", url).leave()
            for _ in range(2):
                self.post(client, "x", url)
                self.assertEqual(self.heard(), 1, type(client))
            self.server.clock.advance(9)
            self.post(client, "x", url)
            self.assertEqual((self.heard(), self.server.reasons), (1, []))

    def test_other(self) -> None:
        """Another body, or another time, is another request."""
        for client in self.each():
            url = client.url()
            self.post(client, "x", url).leave()
            self.post(client, "y", url).leave()
            self.assertEqual(self.heard(), 2)
            self.post(client, "y", client.url())
            self.assertEqual(self.heard(), 3)
            self.post(client, "x", url)
            self.assertEqual(self.heard(), 3, "the first one, which may come after others")

    def test_sameConnection(self) -> None:
        """On the same connection, which did not break, it was meant."""
        for client in self.each():
            url = client.url()
            body = {
                Generation06: b"data=~m~1~m~x",
                Generation09: b"3:::x",
                GenerationEngine3: b'17:42["message","x"]',
                GenerationEngine4: b'42["message","x"]',
            }[type(client)]
            contentType = "application/x-www-form-urlencoded" if type(client) is Generation06 else "text/plain"
            connection = self.server.connect()
            for number in (1, 2):
                connection.request("POST", url, {"Content-Type": contentType}, body)
                self.assertEqual(self.heard(), number, type(client))

    def test_late(self) -> None:
        """After ten seconds, too."""
        for client in self.each():
            url = client.url()
            self.post(client, "x", url).leave()
            self.server.clock.advance(10)
            self.post(client, "x", url)
            self.assertEqual(self.heard(), 2, type(client))

    def test_noTime(self) -> None:
        """Without a time two requests may be alike: the same if the connection is known to be broken."""
        server = self.server = Server()
        sessionID = server.open()
        url = f"/xhr-polling/{sessionID}/send"
        first = server.post(url, "~m~1~m~x")
        server.post(url, "~m~1~m~x")
        self.assertEqual(len(server.notes.messages), 2)
        first.leave()
        last = server.post(url, "~m~1~m~x")
        self.assertEqual(len(server.notes.messages), 3)
        last.leave()
        server.post(url, "~m~1~m~x").leave()
        self.assertEqual(len(server.notes.messages), 3)
        server.clock.advance(10)
        server.post(url, "~m~1~m~x")
        self.assertEqual(len(server.notes.messages), 4)

    def test_closing(self) -> None:
        """A client that says that its connection is for one request does not repeat any."""
        server = self.server = Server()
        client = GenerationEngine4(server)
        url = client.url()
        for number in (1, 2):
            server.request("POST", url, {"Content-Type": "text/plain", "Connection": "close"}, b'42["message","x"]')
            self.assertEqual(len(server.notes.messages), number)


class SocketResumeTests(Embedded, WebSocketCase):
    """WebSockets."""

    def send(self, *texts: str) -> None:
        """Send messages to the client that came last."""
        for text in texts:
            self.connections[-1].send(text)
        self.clock.pump([0, 0])

    def assertResumes(self, path: str, got: int, texts: list[str]) -> None:
        """A WebSocket with this query gets these."""
        peer = self.request(f"{path}?got={got}")
        self.assertEqual((peer.status, peer.messages), (101, texts))

    def test_06(self) -> None:
        """A client of 0.6 may come back on a WebSocket, and say what it has."""
        first = self.join()
        self.send("a", "b", "c")
        first.cut()
        path = f"/socket.io/websocket/{first.messages[0]}"
        self.assertResumes(path, 1, ["b", "c"])
        self.assertResumes(path, 3, [])
        for got in ("2", "4", "x"):
            peer = self.request(f"{path}?got={got}")
            self.assertNotEqual(peer.status, 101)
        self.assertEqual(self.reasons, [])

    def test_withoutGot(self) -> None:
        """Without it, all that is unconfirmed comes again."""
        first = self.join()
        self.send("a", "b")
        first.cut()
        peer = self.request(f"/socket.io/websocket/{first.messages[0]}")
        self.assertEqual(peer.messages, ["a", "b"])


class SocketPingTests(Embedded, WebSocketCase):
    """The ping of RFC 6455, on the wire."""

    def come(self) -> Peer:
        """A client of 2.x on a WebSocket."""
        return self.join("/socket.io/?EIO=3&transport=websocket")

    def send(self, text: str) -> None:
        """Send a message."""
        self.connections[0].send(text)
        self.clock.pump([0, 0])

    def pings(self, peer: Peer) -> list[bytes]:
        """What the server's pings had."""
        return [payload for opcode, payload in peer.frames if opcode == PING]

    def test_fence(self) -> None:
        """It has eight bytes, and comes when the client asks; its pong confirms."""
        peer = self.come()
        outbox = self.connections[0].session.outbox
        self.send("a")
        peer.send(clientFrame("2"))
        (payload,) = self.pings(peer)
        self.assertEqual(len(payload), 8)
        self.assertEqual([opcode for opcode, _ in peer.frames[-3:]], [TEXT, PING, TEXT])
        for wrong in (b"", b"\xff" * 8, payload + b"x", payload[1:]):
            peer.send(clientFrame(wrong, PONG))
        self.assertEqual((outbox.confirmed, outbox.pending), (0, 1))
        peer.send(clientFrame(payload, PONG))
        self.assertEqual((outbox.confirmed, outbox.pending), (1, 0))
        self.assertEqual(self.reasons, [])

    def test_nothingToAsk(self) -> None:
        """A client that has all is not pinged."""
        peer = self.come()
        peer.send(clientFrame("2"))
        self.assertEqual(self.pings(peer), [])

    def test_afterTheEnd(self) -> None:
        """A pong behind the goodbye is nobody's."""
        peer = self.come()
        self.send("a")
        peer.send(clientFrame("2"))
        (payload,) = self.pings(peer)
        self.connections[0].close()
        peer.send(clientFrame(payload, PONG))
        peer.cut()
        peer.turn()
        self.assertNothingLeft()
