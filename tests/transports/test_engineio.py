"""
Clients from 1.0 on over HTTP, in memory: handshakes, errors, polls and posts of both revisions of Engine.IO.
"""

from __future__ import annotations

import gzip
import json
import re
from typing import Any
from urllib.parse import quote

from siotwisted.config import Config, Cookie
from siotwisted.dialects.engineio import PLAIN_ENGINES
from siotwisted.dialects.routing import Router
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, Reason
from siotwisted.wire import engine3
from tests.transports import COMMON, Client, Response, Server, ServerCase

OCTETS = "application/octet-stream"
TEXT = "text/plain; charset=UTF-8"
#: Every number that an error may have, and its words.
ERRORS = {
    0: "Transport unknown",
    1: "Session ID unknown",
    2: "Bad handshake method",
    3: "Bad request",
    4: "Forbidden",
    5: "Unsupported protocol version",
}
#: The time against caches of a client of 1.0.1 to 1.3.7.
OLD_TIME = "1416823000123-0"


class EngineCase(ServerCase):
    """A server, and clients of one revision."""

    revision = 4

    def setUp(self) -> None:
        """Make it."""
        super().setUp()
        self.make()

    def make(self, **settings: Any) -> None:
        """Another one, with these settings."""
        self.server = Server(Config(**settings))

    def url(self, sessionID: str = "", **query: str) -> str:
        """The URL of a poll or a POST."""
        fields = {"EIO": str(self.revision), "transport": "polling", **query}
        if sessionID:
            fields["sid"] = sessionID
        return "/?" + "&".join(f"{name}={quote(value)}" for name, value in fields.items())

    def open(self, **query: str) -> str:
        """Begin a session."""
        found = re.search(rb'"sid\\?":\\?"([a-z][A-Za-z0-9_-]{26})', self.server.get(self.url(**query)).received)
        assert found
        return found[1].decode("ascii")

    def poll(self, sessionID: str, **query: str) -> Client:
        """Poll, on a connection of its own."""
        return self.server.get(self.url(sessionID, **query))

    def post(self, sessionID: str, body: bytes | str, contentType: str = TEXT, **query: str) -> Client:
        """Post, on a connection of its own."""
        data = body.encode("utf-8") if isinstance(body, str) else body
        return self.server.request("POST", self.url(sessionID, **query), {"Content-Type": contentType}, data)

    def send(self, packet: Packet) -> None:
        """The application sends a packet to the client that came last."""
        self.server.connection.session.send(Outgoing(packet))
        self.server.turn()

    def assertBody(self, client: Client, body: bytes, contentType: str = TEXT) -> Response:
        """The only answer is a success with this body."""
        response = client.response()
        self.assertEqual((response.status, response.body), (200, body))
        self.assertEqual(response.headers["content-type"], contentType)
        self.assertEqual(response.headers["content-length"], str(len(response.body)))
        return response

    def assertOK(self, client: Client) -> None:
        """A POST was taken."""
        self.assertBody(client, b"ok", "text/html")

    def assertError(self, client: Client, code: int, status: int = 400) -> None:
        """The only answer is the error of this number."""
        response = client.response()
        self.assertEqual(response.status, status, response)
        self.assertEqual(json.loads(response.body), {"code": code, "message": ERRORS[code]})
        self.assertEqual(response.headers["content-type"], "application/json")

    def assertEnded(self, reason: Reason) -> None:
        """The session has ended for this reason."""
        self.assertEqual(self.server.reasons, [str(reason)])


class HandshakeTests(EngineCase):
    """The first request."""

    def test_body(self) -> None:
        """The opening packet, with the keys in their order, and the headers of every answer."""
        client = self.server.get(self.url(t="x"))
        sessionID = self.server.connection.id
        body = (
            f'0{{"sid":"{sessionID}","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,'
            '"maxPayload":1000000}'
        )
        response = self.assertBody(client, body.encode())
        self.assertEqual(response.headers, {**COMMON, "content-type": TEXT, "content-length": str(len(body))})
        self.assertEqual(self.server.connection.transport, "polling")
        self.assertEqual(self.server.connection.handshake.query["EIO"], "4")

    def test_morePackets(self) -> None:
        """What the application says at once is in the same answer."""
        hello = Outgoing(Packet(Kind.CONNECT, {"sid": "x"}))
        self.server.sio.onConnect(lambda connection: connection.session.send(hello))
        body = self.server.get(self.url()).response().body
        self.assertEqual(body.split(b"\x1e")[1:], [b'40{"sid":"x"}'])

    def test_slash(self) -> None:
        """The endpoint needs no slash at its end."""
        for path in ("?EIO=4&transport=polling", "/?EIO=4&transport=polling", "//?EIO=4&transport=polling"):
            self.assertEqual(self.server.get(path).response().body[:2], b"0{", path)

    def test_transport(self) -> None:
        """A transport that is missing, unknown or switched off."""
        for query in ("", "EIO=4", "EIO=4&transport=tls", "EIO=4&transport=webtransport", "EIO=5&transport=x"):
            self.assertError(self.server.get("/?" + query), 0)
        self.make(transports=["websocket"])
        self.assertError(self.server.get(self.url()), 0)
        self.assertEqual(self.server.notes.connected, [])

    def test_fields(self) -> None:
        """A query may have 64 fields; one with more asks for nothing."""
        for more, served in ((62, True), (63, False)):
            answer = self.server.get(self.url() + "&a=b" * more)
            self.assertEqual(answer.response().status, 200 if served else 400)

    def test_version(self) -> None:
        """A version that is missing or unknown."""
        for version in ("", "5", "abc", "1"):
            self.assertError(self.server.get(f"/?transport=polling&EIO={version}"), 5)
        self.assertError(self.server.get("/?transport=polling"), 5)

    def test_session(self) -> None:
        """A session that nobody has, whatever the method."""
        for method in ("GET", "POST", "PUT", "OPTIONS"):
            for sessionID in ("x", "__proto__", "a" * 65):
                self.assertError(self.server.request(method, self.url(sessionID)), 1)

    def test_method(self) -> None:
        """A session begins with a GET."""
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            self.assertError(self.server.request(method, self.url()), 2)
        self.assertEqual(self.server.notes.connected, [])

    def test_methodOfSession(self) -> None:
        """A session knows GET and POST, and any other method does it no harm."""
        sessionID = self.open()
        for method in ("PUT", "DELETE"):
            self.assertEqual(self.server.request(method, self.url(sessionID)).response().status, 405)
        self.assertOK(self.post(sessionID, "3"))

    def test_preflight(self) -> None:
        """A page of another origin asks first, also for a session."""
        self.make(origins=["friend.example"])
        for url in (self.url(), self.url(self.open())):
            response = self.server.request("OPTIONS", url, {"Origin": "http://friend.example"}).response()
            self.assertEqual(response.status, 200)
            self.assertIn("Content-Type", response.headers["access-control-allow-headers"])
            self.assertEqual(response.headers["access-control-allow-origin"], "http://friend.example")

    def test_origin(self) -> None:
        """Pages of origins that are not welcome, and what lets others read errors too."""
        self.assertError(self.server.get(self.url(), Origin="http://evil.example"), 4, 403)
        self.make(origins=["friend.example"])
        client = self.server.get("/?EIO=4", Origin="http://friend.example")
        self.assertError(client, 0)
        headers = client.response().headers
        self.assertEqual(headers["access-control-allow-origin"], "http://friend.example")
        self.assertEqual(headers["access-control-allow-credentials"], "true")

    def test_unauthorized(self) -> None:
        """The application refuses."""
        self.server.sio.authorize(lambda handshake: False)
        self.assertError(self.server.get(self.url()), 4, 403)
        self.assertEqual(self.server.notes.connected, [])

    def test_authorizeFails(self) -> None:
        """Or fails."""
        self.server.sio.authorize(lambda handshake: 1 / 0)
        self.assertError(self.server.get(self.url()), 3, 500)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_upgradeHeader(self) -> None:
        """A poll can't ask to become a WebSocket, nor the other way round."""
        headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
        self.assertError(self.server.request("GET", self.url(), headers), 3)
        self.assertError(self.server.get("/?EIO=4&transport=websocket"), 3)
        self.assertError(self.server.request("POST", "/?EIO=4&transport=websocket", body=b"2"), 3)

    def test_stopping(self) -> None:
        """A server that stops lets nobody in."""
        self.server.sio.stop()
        self.assertError(self.server.get(self.url()), 3, 503)


class MismatchTests(EngineCase):
    """Requests that are not what their session can do now."""

    def test_revision(self) -> None:
        """A session speaks one revision; another does it no harm."""
        sessionID = self.open()
        for revision in ("3", "2"):
            self.assertError(self.poll(sessionID, EIO=revision), 3)
            self.assertError(self.post(sessionID, "1:2", EIO=revision), 3)
        self.assertOK(self.post(sessionID, "3"))

    def test_generation(self) -> None:
        """Nor has it the URLs of older clients."""
        sessionID = self.open()
        self.server.get(f"/xhr-polling/{sessionID}/1")
        self.assertEqual(self.server.get(f"/1/xhr-polling/{sessionID}").response().body, b"7:::1+0")
        self.assertOK(self.post(sessionID, "3"))

    def test_overlappingPolls(self) -> None:
        """A second poll ends the session: the first hears it."""
        sessionID = self.open()
        first = self.poll(sessionID)
        second = self.poll(sessionID)
        self.assertError(second, 3)
        self.assertBody(first, b"1")
        self.assertEnded(Reason.TRANSPORT_ERROR)
        self.assertError(self.poll(sessionID), 1)

    def test_lostPoll(self) -> None:
        """A poll that is cut is the end of the session."""
        sessionID = self.open()
        self.poll(sessionID).leave()
        self.assertEnded(Reason.TRANSPORT_ERROR)
        self.assertError(self.poll(sessionID), 1)


class PollTests(EngineCase):
    """Polls and posts of revision 4."""

    def test_conversation(self) -> None:
        """What is said, both ways."""
        sessionID = self.open()
        client = self.poll(sessionID)
        self.assertEqual(client.received, b"")
        self.send(Packet(Kind.EVENT, ["é", b"\1"]))
        self.assertBody(client, '451-["é",{"_placeholder":true,"num":0}]\x1ebAQ=='.encode())
        self.assertOK(self.post(sessionID, '40\x1e42["é"]\x1e451-["a",{"_placeholder":true,"num":0}]\x1ebAg=='))
        self.assertEqual(
            self.server.notes.packets,
            [Packet(Kind.CONNECT), Packet(Kind.EVENT, ["é"]), Packet(Kind.EVENT, ["a", b"\2"])],
        )

    def test_heldPoll(self) -> None:
        """A poll is held until the next question, which answers it."""
        client = self.poll(self.open())
        self.server.clock.advance(24.9)
        self.assertEqual(client.received, b"")
        self.server.clock.advance(0.1)
        self.server.turn()
        self.assertBody(client, b"2")

    def test_goodbye(self) -> None:
        """A client that says goodbye while it polls: the poll is answered with nothing."""
        sessionID = self.open()
        client = self.poll(sessionID)
        self.assertOK(self.post(sessionID, "1"))
        self.assertBody(client, b"6")
        self.assertEnded(Reason.TRANSPORT_CLOSE)

    def test_closed(self) -> None:
        """The application ends the session: the poll that is held, or the next one, says so."""
        sessionID = self.open()
        client = self.poll(sessionID)
        self.server.connection.close()
        self.assertBody(client, b"1")
        sessionID = self.open()
        self.server.connection.close()
        self.assertOK(self.post(sessionID, "3"))
        self.assertBody(self.poll(sessionID), b"1")
        self.assertError(self.poll(sessionID), 1)

    def test_octets(self) -> None:
        """Revision 4 posts text: bytes are the end of the session."""
        sessionID = self.open()
        client = self.post(sessionID, b"4a", OCTETS)
        self.assertEqual(client.response().status, 400)
        self.assertEnded(Reason.PARSE_ERROR)

    def test_damage(self) -> None:
        """So is a body that is none, after what was good in it."""
        for body in ("", "x", "2\x1e", "\x1e", b"\xff", "4", "49"):
            self.make()
            sessionID = self.open()
            self.assertEqual(self.post(sessionID, body).response().status, 400, body)
            self.assertEqual(len(self.server.reasons), 1, body)
        self.make()
        sessionID = self.open()
        self.assertEqual(self.post(sessionID, '42["a"]\x1ex\x1e42["b"]').response().status, 400)
        self.assertEqual(self.server.notes.messages, [["a"]])

    def test_manyPackets(self) -> None:
        """Seventeen packets in one POST, and ten thousand, all arrive."""
        sessionID = self.open()
        for count in (17, 10_000):
            self.server.notes.messages.clear()
            self.assertOK(self.post(sessionID, "\x1e".join(f"42[{number}]" for number in range(count))))
            self.assertEqual(self.server.notes.messages, [[number] for number in range(count)])

    def test_tooLarge(self) -> None:
        """A POST may have just as many bytes as the client was told; more do the session no harm."""
        self.make(maxPayload=1000)
        sessionID = self.open()
        text = '42["' + "é" * 497 + '"]'
        self.assertEqual(len(text.encode()), 1000)
        self.assertOK(self.post(sessionID, text))
        self.assertEqual(self.post(sessionID, text[:3] + " " + text[3:]).response().status, 413)
        self.assertEqual(self.post(sessionID, b"\xff" * 10_000).response().status, 413)
        self.assertEqual((self.server.reasons, len(self.server.notes.messages)), ([], 1))

    def test_script(self) -> None:
        """JSONP, which no client of this revision needs, is answered all the same."""
        sessionID = self.open(j="3x")
        client = self.poll(sessionID, j="7")
        self.send(Packet(Kind.EVENT, ["</a>"]))
        self.assertBody(client, b'___eio[7]("42[\\"\\u003c/a\\u003e\\"]");', "text/javascript; charset=UTF-8")
        client = self.poll(sessionID, j="7")
        session = self.server.connection.session
        session.send(Outgoing(Packet(Kind.EVENT, ["b"])))
        self.send(Packet(Kind.EVENT, ["c"]))
        self.assertBody(client, b'___eio[7]("42[\\"b\\"]\\u001e42[\\"c\\"]");', "text/javascript; charset=UTF-8")
        form = "application/x-www-form-urlencoded"
        self.assertOK(self.post(sessionID, "d=" + quote(r'42["a\\nb"]'), form, j="7"))
        self.assertEqual(self.server.notes.messages, [["a\nb"]])


class Engine3Tests(EngineCase):
    """Polls and posts of revision 3."""

    revision = 3

    def test_handshake(self) -> None:
        """The opening packet has its length."""
        body = self.server.get(self.url()).response().body.decode()
        length, _, rest = body.partition(":")
        self.assertEqual((int(length), rest[:2]), (len(rest), "0{"))

    def test_conversation(self) -> None:
        """Text both ways; bytes in the binary framing."""
        sessionID = self.open()
        client = self.poll(sessionID)
        self.send(Packet(Kind.EVENT, ["é"]))
        self.assertBody(client, b'12:42["\\u00e9"]')
        client = self.poll(sessionID)
        self.send(Packet(Kind.EVENT, ["a", b"\1"]))
        body = client.response().body
        self.assertBody(client, body, OCTETS)
        self.assertEqual(
            list(engine3.decodePayload(body)),
            [Packet(Kind.MESSAGE, '51-["a",{"_placeholder":true,"num":0}]'), Packet(Kind.MESSAGE, b"\1")],
        )
        self.assertOK(self.post(sessionID, '8:42["é€"]1:2'))
        self.assertOK(self.post(sessionID, body, OCTETS))
        self.assertOK(self.post(sessionID, body, OCTETS + "; charset=x"))
        self.assertEqual(self.server.notes.messages, [["é€"], ["a", b"\1"], ["a", b"\1"]])

    def test_base64(self) -> None:
        """A client that takes no bytes."""
        sessionID = self.open(b64="1")
        client = self.poll(sessionID, b64="1")
        self.send(Packet(Kind.EVENT, ["a", b"\1"]))
        self.assertBody(client, b'39:451-["a",{"_placeholder":true,"num":0}]6:b4AQ==')
        self.assertOK(self.post(sessionID, '39:451-["a",{"_placeholder":true,"num":0}]6:b4AQ=='))
        self.assertEqual(self.server.notes.messages, [["a", b"\1"]])

    def test_script(self) -> None:
        """JSONP: base64, in a script with the index of the poll; posts come by a form."""
        sessionID = self.open(j="0")
        client = self.poll(sessionID, j="12abc")
        self.send(Packet(Kind.EVENT, ["a", b"\1"]))
        body = client.response().body.decode()
        self.assertBody(client, body.encode(), "text/javascript; charset=UTF-8")
        payload = '39:451-["a",{"_placeholder":true,"num":0}]6:b4AQ=='
        self.assertEqual(body, f"___eio[12]({json.dumps(payload)});")
        self.assertOK(self.post(sessionID, "d=" + quote(payload), "application/x-www-form-urlencoded", j="0"))
        self.assertEqual(self.server.notes.messages, [["a", b"\1"]])

    def test_oldClients(self) -> None:
        """Clients up to 1.3.7 get the binary framing, always, unless they ask by a script."""
        for query in ({"EIO": "2"}, {"t": OLD_TIME}):
            client = self.server.get(self.url(**query))
            self.assertEqual(client.response().headers["content-type"], OCTETS)
            self.assertEqual(client.response().body[:1], b"\0")
            poll = self.poll(self.server.connection.id, **query)
            self.send(Packet(Kind.EVENT, ["a"]))
            self.assertBody(poll, b'\0\7\xff42["a"]', OCTETS)
            self.assertEqual(self.server.get(self.url(j="1", **query)).response().body[:10], b"___eio[1](")

    def test_oldText(self) -> None:
        """A client of 1.x that posts non-ASCII text as only 1.x does is read as one."""
        sessionID = self.open()
        packet = '42["é€"]'
        doubled = packet.encode("utf-8").decode("latin-1")
        self.assertOK(self.post(sessionID, f"{len(doubled)}:{doubled}"))
        self.assertEqual(self.server.notes.messages, [["é€"]])

    def test_overlappingPolls(self) -> None:
        """A second poll ends the session: the first hears it."""
        sessionID = self.open()
        first = self.poll(sessionID)
        self.assertError(self.poll(sessionID), 3)
        self.assertBody(first, b"1:1")
        self.assertEnded(Reason.TRANSPORT_ERROR)

    def test_heartbeat(self) -> None:
        """The client asks by a POST, and is answered by its poll."""
        sessionID = self.open()
        client = self.poll(sessionID)
        self.assertOK(self.post(sessionID, "1:2"))
        self.assertBody(client, b"1:3")

    def test_damage(self) -> None:
        """A body that is none is the end of the session; one that can't be read at all leaves it alone."""
        for body, contentType in (("x", TEXT), ("", TEXT), ("5:2", TEXT), (b"\0\1\xff", OCTETS), (b"x", OCTETS)):
            self.make()
            sessionID = self.open()
            self.assertEqual(self.post(sessionID, body, contentType).response().status, 400, body)
            self.assertEnded(Reason.PARSE_ERROR)
        self.make()
        self.assertEqual(self.post(self.open(), b"\xff").response().status, 400)
        self.assertEqual(self.server.reasons, [])


class CookieTests(EngineCase):
    """The cookie for load balancers."""

    def test_handshake(self) -> None:
        """It comes with the first answer alone, and tells nothing of the session's id."""
        self.make(cookie=Cookie())
        client = self.server.get(self.url())
        connection = self.server.connection
        value = f"io={connection.session.label}; HttpOnly; Path=/; SameSite=Lax"
        self.assertEqual(client.response().headers["set-cookie"], value)
        self.assertNotIn(connection.id, value)
        poll = self.poll(connection.id)
        self.send(Packet(Kind.EVENT, ["a"]))
        self.assertNotIn("set-cookie", poll.response().headers)

    def test_none(self) -> None:
        """By default there is none."""
        self.assertNotIn("set-cookie", self.server.get(self.url()).response().headers)


class CompressionTests(EngineCase):
    """Answers to polls that are worth it are compressed, for clients that take that."""

    def answer(self, size: int, **headers: str) -> Response:
        """The answer to a poll that carries a text so long."""
        sessionID = self.open()
        client = self.server.get(self.url(sessionID), **headers)
        self.send(Packet(Kind.EVENT, ["x" * (size - 6)]))
        return client.response()

    def test_threshold(self) -> None:
        """From so many bytes on, and not below."""
        self.make(httpCompression=1000)
        large = self.answer(1000, Accept_Encoding="gzip, deflate")
        self.assertEqual(large.headers["content-encoding"], "gzip")
        self.assertEqual(gzip.decompress(large.body), b'42["' + b"x" * 994 + b'"]')
        self.assertEqual(large.headers["content-length"], str(len(large.body)))
        self.assertLess(len(large.body), 200)
        self.assertEqual(large.headers["vary"], "Accept-Encoding, Origin")
        small = self.answer(999, Accept_Encoding="gzip")
        self.assertNotIn("content-encoding", small.headers)
        self.assertEqual(len(small.body), 999)

    def test_notTaken(self) -> None:
        """A client that does not take it gets it plain."""
        self.make(httpCompression=10)
        for headers in ({}, {"Accept_Encoding": "deflate, br"}):
            answer = self.answer(1000, **headers)
            self.assertNotIn("content-encoding", answer.headers)
            self.assertEqual((len(answer.body), answer.headers["vary"]), (1000, "Accept-Encoding, Origin"))

    def test_refused(self) -> None:
        """A client may also say that it does not want it."""
        self.make(httpCompression=10)
        self.assertNotIn("content-encoding", self.answer(1000, Accept_Encoding="gzip;q=0").headers)

    def test_off(self) -> None:
        """By default nothing is compressed."""
        self.assertNotIn("content-encoding", self.answer(100_000, Accept_Encoding="gzip").headers)


class PlainTests(EngineCase):
    """Engine.IO alone."""

    def make(self, **settings: Any) -> None:
        """A server without Socket.IO."""
        self.server = Server(Config(**settings), router=Router({}, PLAIN_ENGINES, {}))

    def test_messages(self) -> None:
        """Text and bytes, as they are, both ways."""
        sessionID = self.open()
        client = self.poll(sessionID)
        session = self.server.connection.session
        for data in ("é", b"\1"):
            session.send(Outgoing(Packet(Kind.MESSAGE, data)))
        self.server.turn()
        self.assertBody(client, "4é\x1ebAQ==".encode())
        self.assertOK(self.post(sessionID, "4a\x1ebAg==\x1e4"))
        self.assertEqual(self.server.notes.messages, ["a", b"\2", ""])

    def test_otherURLs(self) -> None:
        """It has no URLs of older clients."""
        for path in ("/xhr-polling//1", "/1/"):
            self.assertRefused(self.server.get(path), 404, "not a Socket.IO URL")
        self.assertError(self.server.get("/?EIO=2&transport=polling"), 5)
