"""
What clients of 0.6 post, in both codecs.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from siotwisted.config import Config
from siotwisted.wire.sio06streaming import SIOStreamingCodec
from tests.transports import GET_TRANSPORTS, Client, Server, ServerCase

VECTORS = Path(__file__).parent.parent / "vectors" / "vectors-sio06.json"


class PostTests(ServerCase):
    """How clients post."""

    def setUp(self) -> None:
        """A session, with the limit of what it may post at 100 bytes."""
        super().setUp()
        self.server = Server(Config(maxPayload=100))
        self.sessionID = self.server.open()

    def post(self, body: bytes, transport: str = "xhr-polling", **headers: str) -> Client:
        """Post a raw body to the session."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.server.request("POST", f"/{transport}/{self.sessionID}/send", named, body)

    def assertOK(self, client: Client) -> None:
        """The client got ``ok``."""
        self.assertEqual((client.response().status, client.response().body), (200, b"ok"))

    def test_vectors(self) -> None:
        """Every body that real browsers were seen to post gives the messages that were sent."""
        for row in json.loads(VECTORS.read_text("utf-8"))["form_bodies"]:
            server = Server()
            transport = "jsonp-polling" if row["name"].startswith("jsonp") else "xhr-polling"
            server.open(transport)
            client = server.request(
                "POST",
                f"/{transport}/{server.connection.id}/1322000000000/0",
                {"Content-Type": row["content_type"]},
                row["body"].encode("ascii"),
            )
            self.assertOK(client)
            expected = [json.loads(each[3:]) if each.startswith("~j~") else each for each in row["frames"]]
            self.assertEqual(server.notes.messages, expected, row["name"])

    def test_everyTransport(self) -> None:
        """All transports take posts in the same way, for any session of theirs."""
        for transport in GET_TRANSPORTS:
            self.assertOK(self.post(b"data=~m~1~m~x", transport))
        self.assertEqual(self.server.notes.messages, ["x"] * 4)

    def test_webSocketTakesNone(self) -> None:
        """Posting to a WebSocket is refused: it takes messages by itself."""
        for transport in ("websocket", "flashsocket"):
            self.assertRefused(self.post(b"data=~m~1~m~x", transport), 426, "this is a WebSocket")

    def test_contentTypes(self) -> None:
        """The body is a form, whatever type is claimed for it, or none."""
        for contentType in (
            "application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded; charset=UTF-8",
            "application/x-www-form-urlencoded; charset=utf-16",
            "text/plain",
            "text/plain; charset=UTF-8",
            "application/octet-stream",
            "application/json",
            "nonsense",
            "",
        ):
            self.assertOK(self.post(b"data=~m~1~m~x", Content_Type=contentType))
        self.assertOK(self.post(b"data=~m~1~m~x"))
        self.assertEqual(self.server.notes.messages, ["x"] * 10)

    def test_multipartForm(self) -> None:
        """A multipart form is answered with 400, whole or broken, and the session lives."""
        part = b'--b\r\nContent-Disposition: form-data; name="data"\r\n\r\n~m~1~m~x\r\n--b--\r\n'
        for contentType, body in (
            ("multipart/form-data; boundary=b", part),
            ("multipart/form-data", part),
            ("multipart/form-data; boundary=", part),
        ):
            client = self.post(body, Content_Type=contentType)
            self.assertEqual(client.responses()[0].status, 400)
        self.assertEqual((self.server.notes.messages, self.server.reasons), ([], []))

    def test_otherFields(self) -> None:
        """Fields of other names are passed over."""
        for body in (b"a=b&data=~m~1~m~x", b"data=~m~1~m~x&a=b", b"&&data=~m~1~m~x&&", b"a=%zz&data=~m~1~m~x&Data=y"):
            self.assertOK(self.post(body))
        self.assertEqual(self.server.notes.messages, ["x"] * 4)

    def test_signsOfForms(self) -> None:
        """Plus is a space; escapes are bytes of UTF-8; a NUL is a character as any other."""
        self.assertOK(self.post(b"data=%7Em%7E8%7Em%7E+%2b=%00%E2%99%A5%F0%9F%98%80a"))
        self.assertEqual(self.server.notes.messages, [" +=\0♥😀a"])

    def test_empty(self) -> None:
        """An empty payload has no messages and nothing wrong with it."""
        for body in (b"data=", b"data"):
            self.assertOK(self.post(body))
        self.assertEqual((self.server.notes.messages, self.server.reasons), ([], []))

    def test_notAForm(self) -> None:
        """No field named data, two of them, or a broken escape: 400, and the session lives."""
        self.logged()
        for body in (
            b"",
            b"~m~1~m~x",
            b"message=~m~1~m~x",
            b"data2=~m~1~m~x",
            b"Data=~m~1~m~x",
            b"data=~m~1~m~x&data=~m~1~m~y",
            b"data=&data=",
            b"data=~m~1~m~%",
            b"data=~m~1~m~%4",
            b"data=~m~1~m~%zz",
            b"data=~m~1~m~%u2665",
            b"\0\xff",
            b"a=1&" * 40,
        ):
            client = self.post(body)
            self.assertRefused(client, 400, "the body is not what clients post")
        self.assertEqual((self.server.notes.messages, self.server.reasons), ([], []))

    def test_manyFields(self) -> None:
        """However many fields there are, the one named data is found, alone, or the form refused: never half of it."""
        for before in range(12):
            for after in (b"", b"&b=2", b"&b=2" * 12):
                self.server.notes.messages.clear()
                status = self.post(b"a=1&" * before + b"data=~m~1~m~x" + after).response().status
                found = self.server.notes.messages
                self.assertEqual((status, found), (200, ["x"]) if status == 200 else (400, []), f"{before} {after!r}")
        self.assertEqual(self.server.reasons, [])

    def test_secondDataFarBehind(self) -> None:
        """A second field named data is noticed wherever it is."""
        for between in (0, 5, 7, 8, 20):
            client = self.post(b"data=~m~1~m~x&" + b"a=1&" * between + b"data=~m~1~m~y")
            self.assertEqual(client.response().status, 400, str(between))
        self.assertEqual(self.server.notes.messages, [])

    def test_largest(self) -> None:
        """A payload of exactly the limit passes, however it is escaped; the limit counts its bytes of UTF-8."""
        text = "x" * 92
        payload = f"~m~92~m~{text}".encode()
        self.assertEqual(len(payload), 100)
        self.assertOK(self.post(b"data=" + payload))
        self.assertOK(self.post(b"data=" + b"".join(b"%%%02X" % byte for byte in payload)))
        self.assertEqual(self.server.notes.messages, [text, text])
        hearts = "~m~30~m~" + "♥" * 30
        self.assertEqual(len(hearts.encode()), 98)
        self.assertOK(self.post(b"data=" + hearts.encode()))
        self.assertEqual(self.server.notes.messages[-1], "♥" * 30)

    def test_tooLarge(self) -> None:
        """One byte more is refused with 413, raw and escaped; the session lives."""
        self.logged()
        payload = b"~m~93~m~" + b"x" * 93
        hearts = ("~m~31~m~" + "♥" * 31).encode()
        self.assertEqual((len(payload), len(hearts)), (101, 101))
        for each in (payload, hearts):
            self.assertRefused(self.post(b"data=" + each), 413, "payload too large")
            self.assertRefused(
                self.post(b"data=" + b"".join(b"%%%02X" % byte for byte in each)), 413, "payload too large"
            )
        for body in (b"x" * 100_000, b"data=" + b"%" * 400, b"a=1&" * 200):
            self.assertRefused(self.post(body), 413, "payload too large")
        self.assertEqual((self.server.notes.messages, self.server.reasons), ([], []))

    def test_chunked(self) -> None:
        """A body in chunks is a body."""
        body = b"5\r\ndata=\r\n7\r\n~m~1~m~\r\n1\r\nx\r\n0\r\n\r\n"
        self.assertOK(self.post(body, Transfer_Encoding="chunked"))
        self.assertEqual(self.server.notes.messages, ["x"])

    def test_byteByByte(self) -> None:
        """A request that comes in bytes is the same request."""
        client = self.server.connect()
        request = (
            f"POST /socket.io/xhr-polling/{self.sessionID}/send HTTP/1.1\r\nHost: h\r\nContent-Length: 13\r\n\r\n"
            "data=~m~1~m~x"
        )
        for character in request:
            client.send(character.encode())
        self.assertOK(client)
        self.assertEqual(self.server.notes.messages, ["x"])

    def test_cut(self) -> None:
        """A post whose connection is lost before its last byte has not happened."""
        client = self.server.connect()
        client.send(
            f"POST /socket.io/xhr-polling/{self.sessionID}/send HTTP/1.1\r\nHost: h\r\nContent-Length: 13\r\n\r\n"
            "data=~m~1~m~".encode()
        )
        client.leave()
        self.assertEqual((self.server.notes.messages, self.server.reasons, self.logged()), ([], [], []))

    def test_withoutSession(self) -> None:
        """A post can't begin a session."""
        for path in ("/xhr-polling", "/xhr-polling/", "/xhr-polling//send", "/xhr-polling/1322000000000/send"):
            client = self.server.post(path, "~m~1~m~x")
            self.assertRefused(client, 400, "messages need a session")
        self.assertEqual(len(self.server.notes.connected), 1)

    def test_damaged(self) -> None:
        """A damaged payload is answered with 400: what was good before the damage counts, and the session ends."""
        self.logged()
        client = self.post(b"data=~m~1~m~a~m~1~m~b~m~99~m~c~m~1~m~d")
        response = client.response()
        self.assertEqual((response.status, response.body), (400, b"bad payload"))
        self.assertEqual(self.server.notes.messages, ["a", "b"])
        self.assertEqual(self.server.reasons, ["parse error"])
        (line,) = self.logged()
        self.assertRegex(line, r"\Asession [0-9a-f]{8}: a frame does not end as one\Z")
        self.assertCut(self.server.get(f"/xhr-polling/{self.sessionID}/1"))

    def test_damagedByTheBook(self) -> None:
        """No malformed payload is answered with anything but 400, nor ends another session, nor is logged twice."""
        other = self.server.open()
        self.logged()
        for payload in ("hello", "x~m~1~m~a", "~m~-1~m~a", "~m~~m~", "~m~5", "~m~99999999999~m~x", "~m~5~m~~j~{a"):
            self.sessionID = self.server.open()
            response = self.server.post(f"/xhr-polling/{self.sessionID}/send", payload).response()
            self.assertEqual((response.status, response.body), (400, b"bad payload"), payload)
            self.assertEqual(len(self.logged()), 1, payload)
        self.assertEqual(self.server.reasons, ["parse error"] * 7)
        self.assertIsNotNone(self.server.sio.getConnection(other))

    def test_damageCutsThePoll(self) -> None:
        """The poll that the ended session held is cut; an answer would make the client poll again."""
        poll = self.server.get(f"/xhr-polling/{self.sessionID}/1")
        self.post(b"data=nonsense")
        self.assertEqual((poll.received, poll.end.aborted), (b"", True))

    def test_allFrames(self) -> None:
        """Messages behind a heartbeat in the same payload count."""
        self.assertOK(self.post(b"data=~m~4~m~~h~1~m~1~m~a~m~7~m~~j~null"))
        self.assertEqual(self.server.notes.messages, ["a", None])

    def test_closedByTheApplication(self) -> None:
        """When a message makes the application close, those behind it are not delivered; the post itself was good."""
        self.server.sio.onMessage(lambda connection, message: connection.close())
        self.assertOK(self.post(b"data=~m~1~m~a~m~1~m~b"))
        self.assertEqual((self.server.notes.messages, self.server.reasons), (["a"], ["server namespace disconnect"]))

    def test_failingHandler(self) -> None:
        """The application's mistake is its own: the client gets ``ok``, the failure is logged, the session lives."""

        def fail(connection: object, message: object) -> None:
            raise RuntimeError("mine")

        self.server.sio.onMessage(fail)
        self.assertOK(self.post(b"data=~m~1~m~a~m~1~m~b"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)
        self.assertEqual((self.server.notes.messages, self.server.reasons), (["a", "b"], []))


class StreamingCodecTests(ServerCase):
    """The other codec, by URL and by configuration."""

    def test_byURL(self) -> None:
        """``streaming/`` before the transport chooses it, for GET and POST."""
        server = Server()
        response = server.get("/streaming/xhr-polling//1").response()
        sessionID = server.connection.id
        self.assertEqual(response.body, f"3:27:{sessionID},".encode())
        client = server.post(f"/streaming/xhr-polling/{sessionID}/send", '1:6::hello,1:10:j\n:{"a":1},')
        self.assertEqual((client.response().body, server.notes.messages), (b"ok", ["hello", {"a": 1}]))

    def test_byConfiguration(self) -> None:
        """The first of ``codecs`` answers plain URLs; one that is not listed is not there."""
        server = Server(Config(codecs=[SIOStreamingCodec]))
        response = server.get("/xhr-polling//1").response()
        self.assertTrue(re.fullmatch(rb"3:27:[a-z][\w-]{26},", response.body), response.body)
        self.assertEqual(server.get("/sio/xhr-polling//1").response().status, 404)

    def test_formLineBreaks(self) -> None:
        """In a JSONP post the line break after an annotation may have become two characters."""
        server = Server()
        server.get("/streaming/jsonp-polling//1/0")
        path = f"/streaming/jsonp-polling/{server.connection.id}/1/0"
        self.assertEqual(server.post(path, "1:5:j\r\n:42,").response().body, b"ok")
        self.assertEqual(server.notes.messages, [42])

    def test_damaged(self) -> None:
        """Damage ends the session after the good packets before it."""
        server = Server()
        server.get("/streaming/xhr-polling//1")
        path = f"/streaming/xhr-polling/{server.connection.id}/send"
        self.assertEqual(server.post(path, "1:2::a,1:2::b;").response().status, 400)
        self.assertEqual((server.notes.messages, server.reasons), (["a"], ["parse error"]))

    def test_goodbye(self) -> None:
        """This codec can say goodbye: the session ends."""
        server = Server()
        server.get("/streaming/xhr-polling//1")
        path = f"/streaming/xhr-polling/{server.connection.id}/send"
        self.assertEqual(server.post(path, "1:2::a,0:0:,1:2::b,").response().body, b"ok")
        self.assertEqual((server.notes.messages, server.reasons), (["a"], ["client namespace disconnect"]))
