"""
``xhr-polling`` and ``jsonp-polling``: the bytes of every answer, how long a poll is held, and what becomes of messages
while there is no poll.
"""

from __future__ import annotations

import json
import re

from siotwisted.config import Config
from siotwisted.errors import QueueFull, SessionClosed
from tests.transports import ADDRESS, COMMON, Client, Connection, Server, ServerCase

TEXT = "text/plain; charset=UTF-8"
SCRIPT = "text/javascript; charset=UTF-8"
NO_INDEX = "a JSONP poll needs the index of its callback"


class PollCase(ServerCase):
    """A server, and the session of one client."""

    def setUp(self) -> None:
        """Open a session; its first poll is answered already."""
        super().setUp()
        self.server = Server()
        self.sessionID = self.server.open()
        self.connection = self.server.connection

    def poll(self, client: Client | None = None) -> Client:
        """Poll, on a connection of its own or on that of a client."""
        client = client or self.server.connect()
        client.request("GET", f"/xhr-polling/{self.sessionID}/1322000000001")
        return client

    def assertPayload(self, client: Client, payload: str) -> None:
        """The client got this payload, as the only answer to its poll."""
        response = client.response()
        content = payload.encode("utf-8")
        self.assertEqual((response.status, response.body, response.ended), (200, content, True))
        self.assertEqual(response.headers, {**COMMON, "content-type": TEXT, "content-length": str(len(content))})

    def assertHeld(self, client: Client) -> None:
        """The client waits for its answer."""
        self.assertEqual((client.received, client.open), (b"", True))


class HandshakeTests(ServerCase):
    """The first poll."""

    def test_answer(self) -> None:
        """It is answered at once with the session id in a frame."""
        server = Server()
        response = server.get("/xhr-polling//1322000000000").response()
        sessionID = server.connection.id
        self.assertEqual((response.status, response.reason), (200, "OK"))
        self.assertEqual(response.headers, {**COMMON, "content-type": TEXT, "content-length": "35"})
        self.assertEqual(response.body, f"~m~27~m~{sessionID}".encode())
        self.assertRegex(sessionID, r"\A[a-z][A-Za-z0-9_-]{26}\Z")
        self.assertEqual(self.logged(), [])

    def test_everyURL(self) -> None:
        """An empty id, or none, or a time where a proxy merged the slashes: all ask for a new session."""
        server = Server()
        paths = ("", "/", "//", "//1322000000000", "//1322000000000/", "//x/y/z", "/132200000000", "/1322000000000")
        for path in (*paths, "/1322000000000/", "/1322000000000/send", "//1322000000000?t=1"):
            response = server.get(f"/xhr-polling{path}").response()
            self.assertEqual(response.body, f"~m~27~m~{server.connection.id}".encode(), path)
        self.assertEqual(len({connection.id for connection in server.notes.connected}), 11)

    def test_greetings(self) -> None:
        """What the application says to a new client comes with the session id, in one answer."""
        server = Server()

        @server.sio.onConnect
        def greet(connection: Connection) -> None:
            connection.send("hello")
            connection.send({"buffer": []})

        response = server.get("/xhr-polling//1").response()
        expected = f'~m~27~m~{server.connection.id}~m~5~m~hello~m~16~m~~j~{{"buffer":[]}}'
        self.assertEqual(response.body, expected.encode())

    def test_closedAtOnce(self) -> None:
        """A client that the application closes at once gets the id and what was said, and is gone."""
        server = Server()

        @server.sio.onConnect
        def refuse(connection: Connection) -> None:
            connection.send("full")
            connection.close()

        response = server.get("/xhr-polling//1").response()
        self.assertEqual(response.body, f"~m~27~m~{server.connection.id}~m~4~m~full".encode())
        self.assertEqual((server.reasons, len(server.sio.registry)), (["server namespace disconnect"], 0))

    def test_clientGone(self) -> None:
        """A client that leaves before the end of the turn still has a session, whose greeting waits for it."""
        server = Server()
        clients: list[Client] = []

        @server.sio.onConnect
        def cut(connection: Connection) -> None:
            clients[0].leave()

        clients.append(server.connect())
        clients[0].request("GET", "/xhr-polling//1")
        self.assertEqual((clients[0].received, len(server.sio.registry)), (b"", 1))
        server.clock.advance(60)
        self.assertEqual((server.reasons, len(server.sio.registry)), (["transport close"], 0))


class HeldPollTests(PollCase):
    """A poll without anything to say."""

    def test_held(self) -> None:
        """It waits, up to the last moment of the poll duration, then is answered with an empty payload."""
        client = self.poll()
        self.server.clock.advance(19.9)
        self.assertHeld(client)
        self.server.clock.advance(0.2)
        self.assertPayload(client, "")

    def test_pollDuration(self) -> None:
        """How long, is configured."""
        server = Server(Config(pollDuration=3))
        client = server.get(f"/xhr-polling/{server.open()}/1")
        server.clock.advance(2.9)
        self.assertEqual(client.received, b"")
        server.clock.advance(0.2)
        self.assertEqual(client.response().body, b"")

    def test_noHeartbeats(self) -> None:
        """A client that polls for minutes without a message hears nothing but empty answers."""
        client = self.server.connect()
        for _ in range(30):
            self.poll(client)
            self.server.clock.advance(20)
        self.assertEqual([response.body for response in client.responses()], [b""] * 30)
        self.assertEqual((self.server.reasons, self.logged()), ([], []))

    def test_message(self) -> None:
        """A message answers it at the end of the reactor's turn."""
        client = self.poll()
        self.connection.send("hi")
        self.assertHeld(client)
        self.server.turn()
        self.assertPayload(client, "~m~2~m~hi")

    def test_messagesTogether(self) -> None:
        """All messages of one turn are one payload, in order, whatever they are."""
        client = self.poll()
        for message in ("", "a♥😀", 7, True, None, ["x"], {"a": 1}, "~h~5", "~j~x"):
            self.connection.send(message)
        self.server.turn()
        self.assertPayload(
            client,
            '~m~0~m~~m~4~m~a♥😀~m~1~m~7~m~4~m~true~m~7~m~~j~null~m~8~m~~j~["x"]~m~10~m~~j~{"a":1}'
            '~m~9~m~~j~"~h~5"~m~9~m~~j~"~j~x"',
        )

    def test_answeredOnce(self) -> None:
        """What is said after the answer waits for the next poll; the answered poll hears no more of it."""
        client = self.poll()
        self.connection.send("a")
        self.server.turn()
        self.connection.send("b")
        self.server.clock.advance(21)
        self.assertPayload(client, "~m~1~m~a")

    def test_cut(self) -> None:
        """When its connection is lost, the session waits for another, and ends with that reason."""
        self.poll().leave()
        self.server.clock.advance(59.9)
        self.assertEqual(self.server.reasons, [])
        self.server.clock.advance(0.2)
        self.assertEqual(self.server.reasons, ["transport close"])
        self.assertEqual(self.logged(), [])

    def test_cutInTheTurnOfAMessage(self) -> None:
        """A message that was accepted, but not written when the connection was lost, comes with the next poll."""
        client = self.poll()
        self.connection.send("hi")
        client.leave()
        self.assertEqual(client.received, b"")
        self.assertPayload(self.poll(), "~m~2~m~hi")

    def test_closed(self) -> None:
        """When the application closes, the poll is cut: any answer would make the client poll again."""
        client = self.poll()
        self.connection.close()
        self.server.turn()
        self.assertEqual((client.received, client.end.aborted), (b"", True))
        self.assertEqual((self.server.reasons, self.logged()), (["server namespace disconnect"], []))
        self.assertCut(self.poll())

    def test_closedWithMessages(self) -> None:
        """What was said before the close is the answer."""
        client = self.poll()
        self.connection.send("bye")
        self.connection.close()
        self.server.turn()
        self.assertPayload(client, "~m~3~m~bye")
        self.assertCut(self.poll())
        self.assertRaises(SessionClosed, self.connection.send, "more")

    def test_stopped(self) -> None:
        """When the server stops, the poll is cut, and the end waited for."""
        client = self.poll()
        stopped = self.server.sio.stop()
        self.assertNoResult(stopped)
        self.server.turn()
        self.successResultOf(stopped)
        self.assertEqual((client.received, client.end.aborted), (b"", True))
        self.assertEqual(self.server.reasons, ["server shutting down"])

    def test_nothingIsLeft(self) -> None:
        """When client and session are gone, no timer is."""
        client = self.poll()
        self.connection.send("hi")
        self.server.turn()
        client.leave()
        self.server.clock.advance(60)
        self.assertEqual((len(self.server.sio.registry), self.server.sio.registry.transports), (0, set()))
        self.assertEqual(self.server.clock.getDelayedCalls(), [])


class OverlapTests(PollCase):
    """A second poll while the first is held."""

    def test_newerWins(self) -> None:
        """The older is answered at once with an empty payload, and the newer is the session's poll."""
        older = self.poll()
        newer = self.poll()
        self.assertPayload(older, "")
        self.assertHeld(newer)
        self.connection.send("hi")
        self.server.turn()
        self.assertPayload(newer, "~m~2~m~hi")

    def test_olderLeaves(self) -> None:
        """The end of the older's connection says nothing about the client."""
        older, newer = self.poll(), self.poll()
        older.leave()
        self.server.clock.advance(19.9)
        self.assertHeld(newer)
        self.server.clock.advance(0.2)
        self.assertPayload(newer, "")

    def test_newerHasItsOwnTime(self) -> None:
        """The newer is held for the whole duration from when it came."""
        self.poll()
        self.server.clock.advance(15)
        newer = self.poll()
        self.server.clock.advance(15)
        self.assertHeld(newer)
        self.server.clock.advance(5)
        self.assertPayload(newer, "")

    def test_many(self) -> None:
        """Of a hundred polls at once all but the last are answered empty, and each message is delivered once."""
        polls = [self.poll() for _ in range(100)]
        self.connection.send("hi")
        self.server.turn()
        for client in polls[:-1]:
            self.assertPayload(client, "")
        self.assertPayload(polls[-1], "~m~2~m~hi")
        self.assertEqual(self.logged(), [])

    def test_otherTransport(self) -> None:
        """A session may go on by another transport: the poll ends as usual, no id is sent again, messages go there."""
        older = self.poll()
        newer = self.server.get(f"/jsonp-polling/{self.sessionID}/1322000000002/3")
        self.assertPayload(older, "")
        self.connection.send("hi")
        self.server.turn()
        self.assertEqual(newer.response().body, b'io.JSONP[3]._("~m~2~m~hi");')
        self.assertEqual(self.connection.transport, "jsonp-polling")
        self.assertEqual(len(self.server.notes.connected), 1)


class GapTests(PollCase):
    """The time between two polls."""

    def test_messagesWait(self) -> None:
        """What is said meanwhile is the answer to the next poll, at once."""
        for message in ("a", "b", "c"):
            self.connection.send(message)
            self.server.turn()
        self.assertPayload(self.poll(), "~m~1~m~a~m~1~m~b~m~1~m~c")

    def test_longGap(self) -> None:
        """They wait as long as the session does."""
        self.connection.send("a")
        self.server.clock.advance(59.9)
        self.assertPayload(self.poll(), "~m~1~m~a")

    def test_end(self) -> None:
        """A client that does not poll again in time is gone: the application is told, of the loss too."""
        self.connection.send("a")
        self.connection.send("b")
        self.server.clock.advance(60.1)
        self.assertEqual(self.server.notes.disconnected, [(self.sessionID, "reconnect timeout")])
        self.assertEqual(self.server.notes.undelivered, [("a", False), ("b", False)])
        self.assertCut(self.poll())

    def test_reconnectTimeout(self) -> None:
        """How long, is configured, and starts anew after every poll."""
        server = Server(Config(reconnectTimeout=5, pollDuration=3))
        sessionID = server.open()
        for _ in range(4):
            server.clock.advance(4.9)
            server.get(f"/xhr-polling/{sessionID}/1")
            server.clock.advance(3)
            self.assertEqual(server.reasons, [])
        server.clock.advance(5.1)
        self.assertEqual(server.reasons, ["reconnect timeout"])

    def test_queueFull(self) -> None:
        """The queue has an end: what does not fit is refused, and what was accepted arrives."""
        server = Server(Config(queueMessages=3))
        sessionID = server.open()
        for number in range(3):
            server.connection.send(number)
        self.assertRaises(QueueFull, server.connection.send, 3)
        self.assertEqual(server.get(f"/xhr-polling/{sessionID}/1").response().body, b"~m~1~m~0~m~1~m~1~m~1~m~2")
        server.connection.send(4)
        server.turn()
        self.assertEqual(server.get(f"/xhr-polling/{sessionID}/1").response().body, b"~m~1~m~4")

    def test_postBeforePoll(self) -> None:
        """A client may post before it polls for the first time with its id."""
        self.server.post(f"/xhr-polling/{self.sessionID}/send", "~m~1~m~x")
        self.assertEqual(self.server.notes.messages, ["x"])

    def test_closed(self) -> None:
        """When the application closes meanwhile, the next poll finds no session."""
        self.connection.close()
        self.assertEqual(self.server.reasons, ["server namespace disconnect"])
        self.assertCut(self.poll())


class OneConnectionTests(PollCase):
    """Many requests on one connection, as browsers and proxies make them."""

    def test_keptAlive(self) -> None:
        """The connection stays open for the next poll."""
        client = self.poll()
        self.connection.send("a")
        self.server.turn()
        self.poll(client)
        self.connection.send("b")
        self.server.turn()
        self.assertEqual([response.body for response in client.responses()], [b"~m~1~m~a", b"~m~1~m~b"])

    def test_pipelined(self) -> None:
        """Requests that come at once are answered one after the other, in their order."""
        client = self.server.connect()

        def request(method: str, body: str = "") -> str:
            length = f"Content-Length: {len(body)}\r\n" if body else ""
            return f"{method} /socket.io/xhr-polling/{self.sessionID}/1 HTTP/1.1\r\nHost: h\r\n{length}\r\n{body}"

        client.send(
            (
                request("POST", "data=~m~1~m~a")
                + request("GET")
                + request("POST", "data=~m~1~m~b")
                + request("OPTIONS")
                + request("GET")
            ).encode()
        )
        self.assertEqual([response.body for response in client.responses()], [b"ok"])
        self.assertEqual(self.server.notes.messages, ["a"])
        self.connection.send("x")
        self.server.turn()
        self.assertEqual([response.body for response in client.responses()], [b"ok", b"~m~1~m~x", b"ok", b"ok"])
        self.assertEqual(self.server.notes.messages, ["a", "b"])
        self.server.clock.advance(20)
        self.assertEqual([response.body for response in client.responses()][4:], [b""])

    def test_closeAfterwards(self) -> None:
        """``Connection: close`` is honoured."""
        client = self.server.connect()
        client.request("GET", f"/xhr-polling/{self.sessionID}/1", {"Connection": "close"})
        self.connection.send("a")
        self.server.turn()
        self.assertEqual(client.response().body, b"~m~1~m~a")
        self.assertEqual((client.end.closed, client.open), (True, False))

    def test_http10(self) -> None:
        """A client of HTTP/1.0 is served with a length, and its connection closed."""
        client = self.server.request("GET", f"/xhr-polling/{self.sessionID}/1", version="HTTP/1.0")
        self.connection.send("a")
        self.server.turn()
        response = client.response()
        self.assertEqual((response.status, response.body, response.chunks), (200, b"~m~1~m~a", None))
        self.assertEqual(response.headers["content-length"], "8")
        self.assertEqual((client.end.closed, client.open), (True, False))

    def test_pollsInBulk(self) -> None:
        """A thousand polls on one connection cost no more than one: the server reads no further than it must."""
        client = self.server.connect()
        poll = f"GET /socket.io/xhr-polling/{self.sessionID}/1 HTTP/1.1\r\nHost: h\r\n\r\n".encode()
        client.send(poll * 1000)
        self.assertEqual((client.received, client.end.producerState), (b"", "paused"))
        self.assertEqual(len(self.server.sio.registry.transports), 1)

    def test_noiseBehind(self) -> None:
        """Bytes behind a held poll hide the loss of its connection, but not for longer than the poll is held."""
        client = self.poll()
        client.send(b"x" * 80_000)
        self.assertEqual(client.end.producerState, "paused")
        self.server.clock.advance(20)
        self.server.turn()
        self.assertEqual(client.responses()[0].status, 200)
        self.assertFalse(client.open)
        self.server.clock.advance(60)
        self.assertEqual((self.server.reasons, len(self.server.sio.registry)), (["reconnect timeout"], 0))


class JSONPTests(ServerCase):
    """Polls that are answered with a script."""

    def setUp(self) -> None:
        """A server."""
        super().setUp()
        self.server = Server()

    def inside(self, client: Client, index: int) -> str:
        """The payload in the only answer, after a look at all around it."""
        response = client.response()
        self.assertEqual(
            response.headers, {**COMMON, "content-type": SCRIPT, "content-length": str(len(response.body))}
        )
        match = re.fullmatch(r'io\.JSONP\[([0-9]+)\]\._\(("[^\n\r]*")\);', response.body.decode("utf-8"))
        assert match is not None, response.body
        self.assertEqual(match[1], str(index))
        payload: str = json.loads(match[2])
        return payload

    def test_handshake(self) -> None:
        """The first answer calls the callback of its index with the session id."""
        response = self.server.get("/jsonp-polling//1322000000000/0").response()
        body = f'io.JSONP[0]._("~m~27~m~{self.server.connection.id}");'.encode()
        self.assertEqual((response.status, response.body), (200, body))
        self.assertEqual(response.headers, {**COMMON, "content-type": SCRIPT, "content-length": str(len(body))})

    def test_index(self) -> None:
        """The index is the last segment of the path, whatever the query says, and each poll has its own."""
        for path, index in (
            ("//1322000000000/7", 7),
            ("//1322000000000/7/", 7),
            ("//1322000000000/12?t=3&i=4&callback=x", 12),
            ("//1322000000000/999999999", 999999999),
            ("//1322000000000/007", 7),
            ("//7", 7),
            ("/1322000000000/7", 7),
            ("//a/b/c/7", 7),
        ):
            client = self.server.get(f"/jsonp-polling{path}")
            sessionID = self.server.connection.id
            self.assertEqual(self.inside(client, index), f"~m~27~m~{sessionID}", path)
            client = self.server.get(f"/jsonp-polling/{sessionID}/1322000000001/{index - 1}")
            self.server.clock.advance(20)
            self.assertEqual(client.response().body, f'io.JSONP[{index - 1}]._("");'.encode())

    def test_noIndex(self) -> None:
        """Without an index, or with anything else in its place, a poll is refused, and nothing of it repeated."""
        sessionID = self.server.open("jsonp-polling")
        for path in (
            "",
            "/",
            "//",
            "//1322000000000",
            "//1322000000000/",
            "//1322000000000?i=0",
            "//1/0);alert(1",
            "//1/0%5D;x(",
            "//1/x",
            "//1/-1",
            "//1/+1",
            "//1/1_0",
            "//1/%201",
            "//1/1%0A",
            "//1/1.0",
            "//1/%D9%A3",
            "//1/%C2%B2",
            "//1/1000000000",
            "//0/send",
            "/1322000000000",
            f"/{sessionID}",
            f"/{sessionID}/1322000000001",
            f"/{sessionID}/1322000000001/callback",
        ):
            self.assertRefused(self.server.get(f"/jsonp-polling{path}"), 400, NO_INDEX)
        self.assertEqual(len(self.server.notes.connected), 1)

    def test_indexIsForPolls(self) -> None:
        """A post needs none."""
        sessionID = self.server.open("jsonp-polling")
        for path in (f"/{sessionID}", f"/{sessionID}/send", f"/{sessionID}/1322000000000/0"):
            self.assertEqual(self.server.post(f"/jsonp-polling{path}", "~m~1~m~x").response().body, b"ok")

    def test_timeout(self) -> None:
        """A poll without anything to say is answered with an empty string."""
        sessionID = self.server.open("jsonp-polling")
        client = self.server.get(f"/jsonp-polling/{sessionID}/1322000000001/3")
        self.server.clock.advance(20)
        self.assertEqual(client.response().body, b'io.JSONP[3]._("");')

    def test_overlap(self) -> None:
        """The older of two polls is answered with an empty string, to its own callback."""
        sessionID = self.server.open("jsonp-polling")
        older = self.server.get(f"/jsonp-polling/{sessionID}/1322000000001/3")
        newer = self.server.get(f"/jsonp-polling/{sessionID}/1322000000002/4")
        self.assertEqual(older.response().body, b'io.JSONP[3]._("");')
        self.server.connection.send("hi")
        self.server.turn()
        self.assertEqual(newer.response().body, b'io.JSONP[4]._("~m~2~m~hi");')

    def test_closedWithoutMessages(self) -> None:
        """When the application closes, the poll is cut, as an empty script would open a new session."""
        sessionID = self.server.open("jsonp-polling")
        client = self.server.get(f"/jsonp-polling/{sessionID}/1322000000001/3")
        self.server.connection.close()
        self.server.turn()
        self.assertEqual((client.received, client.end.aborted), (b"", True))

    def test_escapes(self) -> None:
        """Whatever a message holds, the script is one line of one string, without anything that HTML or JavaScript ends
        it at."""
        messages = [
            '"',
            "\\",
            "\n\r\t\0",
            "</script><script>x",
            "<!--",
            "]]>",
            "&#34;",
            "\u2028\u2029",
            "a♥😀",
            "'",
            "/*",
        ]
        sessionID = self.server.open("jsonp-polling")
        client = self.server.get(f"/jsonp-polling/{sessionID}/1322000000001/3")
        for message in messages:
            self.server.connection.send(message)
        self.server.connection.send({"</script>": "\u2028"})
        self.server.turn()
        for forbidden in (b"<", b">", b"&", "\u2028".encode(), "\u2029".encode(), b"\n", b"\r", b"\0"):
            self.assertNotIn(forbidden, client.response().body)
        payload = self.inside(client, 3)
        expected = "".join(f"~m~{len(each.encode('utf-16-le')) // 2}~m~{each}" for each in messages)
        self.assertEqual(payload, expected + '~m~20~m~~j~{"</script>":"\u2028"}')

    def test_exactEscapes(self) -> None:
        """The bytes of a script with characters of every kind."""
        sessionID = self.server.open("jsonp-polling")
        client = self.server.get(f"/jsonp-polling/{sessionID}/1322000000001/0")
        self.server.connection.send('</a>&"\\\n\u2028♥')
        self.server.turn()
        self.assertEqual(
            client.response().body,
            b'io.JSONP[0]._("~m~10~m~\\u003c/a\\u003e\\u0026\\"\\\\\\n\\u2028\xe2\x99\xa5");',
        )


class BroadcastTests(ServerCase):
    """One message to clients of all kinds."""

    def test_everyForm(self) -> None:
        """Each gets it in the form of its own transport and codec."""
        server = Server()
        clients: dict[str, Client] = {}
        for transport in ("xhr-polling", "jsonp-polling", "streaming/xhr-polling"):
            server.get(f"/{transport}//1322000000000/4")
            clients[transport] = server.get(f"/{transport}/{server.connection.id}/1322000000001/5")
        for transport in ("htmlfile", "xhr-multipart"):
            clients[transport] = server.get(f"/{transport}//1322000000000")
        self.assertEqual(server.sio.broadcast("<b>♥"), 5)
        server.turn()
        answers = {transport: client.response() for transport, client in clients.items()}
        self.assertEqual(
            {name: (answer.chunks or [answer.body])[-1].decode() for name, answer in answers.items()},
            {
                "xhr-polling": "~m~4~m~<b>♥",
                "jsonp-polling": 'io.JSONP[5]._("~m~4~m~\\u003cb\\u003e♥");',
                "streaming/xhr-polling": "1:5::<b>♥,",
                "htmlfile": '<script>parent.s._("~m~4~m~\\u003cb\\u003e♥", document);</script>',
                "xhr-multipart": "Content-Type: text/plain; charset=UTF-8\n\n~m~4~m~<b>♥\n--socketio\n",
            },
        )

    def test_except(self) -> None:
        """Everyone but one, who hears nothing."""
        server = Server()
        sessions = [server.open() for _ in range(3)]
        polls = [server.get(f"/xhr-polling/{sessionID}/1") for sessionID in sessions]
        self.assertEqual(server.sio.broadcast("x", server.connection), 2)
        server.turn()
        self.assertEqual([client.received[-8:] for client in polls], [b"~m~1~m~x", b"~m~1~m~x", b""])


class RefusedPollTests(PollCase):
    """Polls that are refused while another is held."""

    def test_heldPollStays(self) -> None:
        """A foreign page, a bad method or a bad index with a stolen id does no harm to the poll that is held."""
        client = self.poll()
        self.logged()
        self.server.get(f"/xhr-polling/{self.sessionID}/1", Origin="http://evil.example")
        self.server.request("DELETE", f"/xhr-polling/{self.sessionID}/1")
        self.server.get(f"/jsonp-polling/{self.sessionID}/1/x")
        self.assertEqual(len(self.logged()), 3)
        self.assertHeld(client)
        self.connection.send("hi")
        self.server.turn()
        self.assertPayload(client, "~m~2~m~hi")

    def test_logHasNoIDs(self) -> None:
        """No line of the log tells a session id."""
        self.server.get(f"/xhr-polling/{self.sessionID}/1", Origin="http://evil.example")
        self.server.request("HEAD", f"/xhr-polling/{self.sessionID}/1")
        self.server.post(f"/xhr-polling/{self.sessionID}/send", "damaged")
        self.server.get(f"/xhr-polling/{self.sessionID}/1")
        for line in self.logged():
            self.assertNotIn(self.sessionID, line)
            self.assertTrue(line.startswith((f"refused {ADDRESS}: ", "session ")), line)
