"""
Clients 0.7 to 0.9 over HTTP, in memory: the handshake, the transports, posts in all their forms, and how sessions end.
"""

from __future__ import annotations

import json
from itertools import count
from typing import Any
from urllib.parse import quote

from twisted.internet.defer import Deferred

from siotwisted.config import Config
from siotwisted.handshake import Handshake
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, Reason, messagePacket
from siotwisted.wire.wrappings import HTMLFILE_09_OPENING
from tests.transports import COMMON, Client, Server, ServerCase

TEXT = "text/plain; charset=UTF-8"
SCRIPT = "text/javascript; charset=UTF-8"
UNKNOWN = "7:::1+0"


class Case09(ServerCase):
    """A server, and clients of this generation."""

    def setUp(self) -> None:
        """Make it."""
        super().setUp()
        self.make()

    def make(self, **settings: Any) -> None:
        """Another one, with these settings; its application says hello, as any does."""
        self.server = Server(Config(**settings))
        self._times = count(1)
        hello = Outgoing(Packet(Kind.CONNECT))
        self.server.sio.onConnect(lambda connection: connection.session.send(hello))

    def handshake(self) -> str:
        """The id of a new session."""
        return self.server.get("/1/?t=1").response().body.decode().split(":")[0]

    def open(self) -> str:
        """A new session whose first poll was answered."""
        sessionID = self.handshake()
        self.assertBody(self.poll(sessionID), "1::")
        return sessionID

    def poll(self, sessionID: str, transport: str = "xhr-polling", query: str | None = None) -> Client:
        """Poll, with another time against caches each time."""
        return self.server.get(f"/1/{transport}/{sessionID}?{self.time() if query is None else query}")

    def post(self, sessionID: str, body: str, transport: str = "xhr-polling", query: str | None = None) -> Client:
        """Post a payload as a transport does."""
        path = f"/1/{transport}/{sessionID}?{self.time() if query is None else query}"
        return self.server.request("POST", path, {"Content-Type": "text/plain;charset=UTF-8"}, body.encode())

    def time(self) -> str:
        """A time against caches, as a query has it."""
        return f"t={next(self._times)}"

    def send(self, *packets: Packet) -> None:
        """The application sends packets, in one turn."""
        for packet in packets:
            self.server.connection.session.send(Outgoing(packet))
        self.server.turn()

    def assertBody(self, client: Client, body: str, contentType: str = TEXT) -> None:
        """The only answer is a success with this body."""
        response = client.response()
        self.assertEqual((response.status, response.body.decode()), (200, body))
        self.assertEqual(response.headers["content-type"], contentType)


class HandshakeTests(Case09):
    """The request for a session."""

    def test_plain(self) -> None:
        """The id, the times, the transports; with a slash at the end or without, by GET or by POST."""
        for method in ("GET", "POST"):
            for path in ("/1", "/1/", "/1/?t=1322", "/1/?room=blue&t=1"):
                client = self.server.request(method, path)
                (session,) = [each for each in self.server.sio.registry if each.transport is None][-1:]
                body = f"{session.id}:45:60:websocket,htmlfile,xhr-polling,jsonp-polling"
                self.assertBody(client, body)
                self.assertEqual(
                    client.response().headers, {**COMMON, "content-type": TEXT, "content-length": str(len(body))}
                )
        self.assertEqual(self.server.notes.connected, [])

    def test_script(self) -> None:
        """Pages of other origins ask by a script."""
        client = self.server.get("/1/?t=1&jsonp=3")
        (session,) = self.server.sio.registry
        body = f'io.j[3]("{session.id}:45:60:websocket,htmlfile,xhr-polling,jsonp-polling");'
        self.assertBody(client, body, SCRIPT)

    def test_session(self) -> None:
        """The session has what the handshake said; the transport tells the application of it."""
        self.open()
        connection = self.server.connection
        self.assertEqual(connection.handshake.query, {"t": "1"})
        self.assertEqual((connection.transport, connection.session.dialect.name), ("xhr-polling", "Socket.IO 0.7-0.9"))

    def test_method(self) -> None:
        """Some post what asks for a session; the application is told so."""
        methods: list[str] = []

        def authorize(handshake: Handshake) -> bool:
            methods.append(handshake.method)
            return True

        self.server.sio.authorize(authorize)
        for method in ("GET", "POST"):
            self.assertEqual(self.server.request(method, "/1/").response().status, 200)
        self.assertEqual(methods, ["GET", "POST"])

    def test_errors(self) -> None:
        """A version that there is not, a foreign page, a method, a server that stops."""
        self.assertRefused(self.server.get("/2/"), 500, "Protocol version not supported.")
        self.assertRefused(self.server.get("/1/", Origin="http://evil.example"), 403, "handshake bad origin")
        self.assertRefused(self.server.request("PUT", "/1/"), 405, "method not allowed")
        self.assertRefused(self.server.get("/1/smoke/x"), 404, "not a Socket.IO URL")
        self.server.sio.authorize(lambda handshake: False)
        self.assertRefused(self.server.get("/1/"), 403, "handshake unauthorized")
        self.server.sio.stop()
        self.assertRefused(self.server.get("/1/"), 503, "the server is stopping")
        self.assertEqual(len(self.server.sio.registry), 0)

    def test_scriptErrors(self) -> None:
        """A script is always a success."""
        self.assertBody(
            self.server.get("/2/?jsonp=1"), 'io.j[1](new Error("Protocol version not supported."));', SCRIPT
        )
        self.server.sio.authorize(lambda handshake: False)
        self.assertBody(self.server.get("/1/?jsonp=1"), 'io.j[1](new Error("handshake unauthorized"));', SCRIPT)

    def test_later(self) -> None:
        """The application may take its time."""
        answer: Deferred[bool] = Deferred()
        self.server.sio.authorize(lambda handshake: answer)
        client = self.server.get("/1/")
        self.assertEqual(client.received, b"")
        answer.callback(True)
        self.server.turn()
        self.assertEqual(client.response().status, 200)

    def test_unused(self) -> None:
        """A session whose client never comes is forgotten."""
        self.make(connectTimeout=30)
        sessionID = self.handshake()
        self.server.clock.advance(30)
        self.assertEqual(len(self.server.sio.registry), 0)
        self.assertBody(self.poll(sessionID), UNKNOWN)

    def test_noPolling(self) -> None:
        """Transports that are not served are not offered, and refused."""
        self.make(transports=["websocket"])
        body = self.server.get("/1/").response().body
        self.assertEqual(body.split(b":")[3], b"websocket")
        self.assertEqual(self.poll(body.split(b":")[0].decode()).response().status, 404)

    def test_foreignScript(self) -> None:
        """A page of another origin can't have a session by a script, with the cookies of whoever visits it."""
        evil = "https://evil.example/"
        for headers in (
            {"Cookie": "a=b", "Sec-Fetch-Site": "cross-site", "Referer": evil},
            {"Referer": evil},
            {"Cookie": "a=b"},
        ):
            refused = self.server.request("GET", "/1/?jsonp=0", headers)
            self.assertBody(refused, 'io.j[0](new Error("handshake bad origin"));', SCRIPT)
        self.assertEqual(len(self.server.sio.registry), 0)


class PollTests(Case09):
    """Polls, by XHR and by script."""

    def test_polls(self) -> None:
        """One packet alone, several in frames, nothing after a while; any query that a version sends."""
        sessionID = self.open()
        for query in ("t1322", "", "t=1", "room=blue&t=1"):
            client = self.poll(sessionID, query=query)
            self.send(messagePacket("é"))
            self.assertBody(client, "3:::é")
        client = self.poll(sessionID)
        self.send(messagePacket("a"), Packet(Kind.EVENT, ["b"]))
        self.assertBody(client, '\ufffd5\ufffd3:::a\ufffd16\ufffd5:::{"name":"b"}')
        client = self.poll(sessionID)
        self.server.clock.advance(20)
        self.assertBody(client, "8::")
        self.assertEqual(self.server.reasons, [])

    def test_script(self) -> None:
        """A script calls the function of the index, which is 0 without one; 0.7 has a slash before the query."""
        sessionID = self.handshake()
        self.assertBody(self.poll(sessionID, "jsonp-polling", "t=1&i=4"), 'io.j[4]("1::");', SCRIPT)
        client = self.server.get(f"/1/jsonp-polling/{sessionID}/?t=1&i=5x")
        self.send(messagePacket('</a>"'))
        self.assertBody(client, 'io.j[5]("3:::\\u003c/a\\u003e\\"");', SCRIPT)
        client = self.poll(sessionID, "jsonp-polling", "")
        self.send(messagePacket("a"), messagePacket("b"))
        self.assertBody(
            client,
            f"io.j[0]({json.dumps(chr(0xFFFD) + '5' + chr(0xFFFD) + '3:::a', ensure_ascii=False)[:-1]}"
            f'{chr(0xFFFD)}5{chr(0xFFFD)}3:::b");',
            SCRIPT,
        )

    def test_second(self) -> None:
        """A second poll takes the place of the first."""
        sessionID = self.open()
        first, second = self.poll(sessionID), self.poll(sessionID)
        self.assertBody(first, "8::")
        self.send(messagePacket("a"))
        self.assertBody(second, "3:::a")

    def test_otherTransport(self) -> None:
        """A client whose first transport failed comes with another one."""
        sessionID = self.open()
        client = self.server.get(f"/1/htmlfile/{sessionID}/?t=1")
        self.send(messagePacket("a"))
        self.assertIn(b"3:::a", client.received)

    def test_lost(self) -> None:
        """A client that is away is waited for, unless it was on a stream."""
        sessionID = self.open()
        self.poll(sessionID).leave()
        self.server.clock.advance(59)
        self.assertEqual(self.server.reasons, [])
        self.poll(sessionID)
        stream = self.server.get(f"/1/htmlfile/{sessionID}")
        stream.leave()
        self.assertEqual(self.server.reasons, [str(Reason.TRANSPORT_CLOSE)])

    def test_unknown(self) -> None:
        """Who comes with a session that nobody has is told to begin anew, in the form of its transport."""
        for sessionID in ("nobody", ""):
            self.assertBody(self.poll(sessionID), UNKNOWN)
            self.assertBody(self.post(sessionID, "0::"), UNKNOWN)
            self.assertBody(self.poll(sessionID, "jsonp-polling", "i=2"), f'io.j[2]("{UNKNOWN}");', SCRIPT)

    def test_closed(self) -> None:
        """The application makes a client leave: the packet is the last that is said, in the next poll if need be."""
        sessionID = self.open()
        client = self.poll(sessionID)
        self.server.connection.session.send(Outgoing(Packet(Kind.DISCONNECT)))
        self.server.connection.close()
        self.assertBody(client, "0::")
        sessionID = self.open()
        self.server.connection.session.send(Outgoing(Packet(Kind.DISCONNECT)))
        self.server.connection.close()
        self.assertBody(self.poll(sessionID), "0::")
        self.assertBody(self.poll(sessionID), UNKNOWN)

    def test_htmlfile(self) -> None:
        """The page of the original, with every slash escaped, and a heartbeat when it is due."""
        sessionID = self.handshake()
        client = self.server.get(f"/1/htmlfile/{sessionID}/?t=1")
        self.send(messagePacket("</script>\\/"), Packet(Kind.NOOP))
        response = client.response()
        self.assertEqual(response.headers["content-type"], "text/html; charset=utf-8")
        scripts = b"".join(response.chunks or ()).removeprefix(HTMLFILE_09_OPENING).decode()
        self.assertEqual(
            scripts,
            '<script>_("1::");</script>'
            '<script>_("4:::\\"\\u003c\\/script\\u003e\\\\\\\\\\\\u002f\\"");</script>'
            '<script>_("8::");</script>',
        )
        self.server.clock.advance(25)
        self.assertTrue(client.received.endswith(b'<script>_("2::");</script>\r\n'))


class RefusedPollTests(Case09):
    """Polls by JSONP that are not served."""

    def test_packet(self) -> None:
        """They are answered with the one packet that makes the client begin anew, whatever the problem is."""
        sessionID = self.open()
        for headers in ({}, {"Referer": "https://evil.example/"}):
            name = "gone" if not headers else sessionID
            refused = self.server.request("GET", f"/1/jsonp-polling/{name}?i=2", headers)
            self.assertBody(refused, f'io.j[2]("{UNKNOWN}");', SCRIPT)


class PostTests(Case09):
    """What clients post."""

    def test_beforeTransport(self) -> None:
        """A client that has no transport yet has nothing to say: its session ends, and no traceback is logged."""
        sessionID = self.handshake()
        self.assertEqual(self.post(sessionID, "3:::hi").response().status, 400)
        self.assertEqual(len(self.server.sio.registry), 0)

    def test_bare(self) -> None:
        """A packet, or several in frames, is the body itself; the answer is ``1``."""
        sessionID = self.open()
        for body, expected in (
            ("3:::é", ["é"]),
            ("\ufffd5\ufffd3:::a\ufffd6\ufffd3:::😀", ["a", "😀"]),
            ('5:1+::{"name":"ev","args":[1]}', [["ev", 1]]),
            ("2::", []),
            ("", []),
        ):
            self.server.notes.messages.clear()
            self.assertBody(self.post(sessionID, body), "1")
            self.assertEqual(self.server.notes.messages, expected)

    def test_forms(self) -> None:
        """A script posts a form: JSON since 0.8.6, before that the bare payload, whose line breaks the form changed."""
        sessionID = self.open()
        for value, expected in (
            (json.dumps("3:::a\nb"), "a\nb"),
            ("3:::hi", "hi"),
            ("3:::a\r\nb", "a\nb"),
            ("\ufffd7\ufffd3:::a\r\nb", "a\nb"),
        ):
            self.server.notes.messages.clear()
            path = f"/1/jsonp-polling/{sessionID}?t=1&i=3"
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            client = self.server.request("POST", path, headers, ("d=" + quote(value)).encode())
            self.assertBody(client, "1")
            self.assertEqual(self.server.notes.messages, [expected])

    def test_receipt(self) -> None:
        """A number without a plus asks our library."""
        sessionID = self.open()
        self.assertBody(self.post(sessionID, "3:7::a"), "1")
        self.assertEqual(self.server.notes.packets, [Packet(Kind.RECEIPT, None, "/", 7), Packet(Kind.MESSAGE, "a")])

    def test_namespaces(self) -> None:
        """A namespace with a query, as the client asked for it."""
        sessionID = self.open()
        self.post(sessionID, "1::/chat?a=1")
        self.assertEqual(self.server.notes.packets, [Packet(Kind.CONNECT, {"a": "1"}, "/chat")])
        client = self.poll(sessionID)
        self.send(Packet(Kind.CONNECT, None, "/chat"))
        self.assertBody(client, "1::/chat?a=1")

    def test_damage(self) -> None:
        """A payload that is none ends the session."""
        for body in ("x", "9::", "5:::x", "\ufffd9\ufffd3:::a"):
            sessionID = self.open()
            self.assertEqual(self.post(sessionID, body).response().status, 400, body)
            self.assertBody(self.poll(sessionID), UNKNOWN)

    def test_unreadable(self) -> None:
        """A body that can't be read at all is refused, and does no harm."""
        sessionID = self.open()
        for transport, body in (("xhr-polling", b"\xff"), ("jsonp-polling", b"3:::a"), ("jsonp-polling", b"d=%22")):
            client = self.server.request("POST", f"/1/{transport}/{sessionID}", body=body)
            self.assertEqual(client.response().status, 400)
        self.assertEqual(self.server.reasons, [])

    def test_goodbye(self) -> None:
        """A client says goodbye in a packet, or in a URL of its own, with the transport or without."""
        for path in ("/1//{}/?disconnect=1", "/1/xhr-polling/{}?t=1&disconnect", "/1/websocket/{}/?disconnect=1"):
            self.make()
            sessionID = self.open()
            response = self.server.get(path.format(sessionID)).response()
            self.assertEqual((response.status, response.body), (200, b""))
            self.assertEqual(self.server.reasons, [str(Reason.CLIENT_DISCONNECT)])
        self.make()
        sessionID = self.open()
        client = self.poll(sessionID)
        self.assertBody(self.post(sessionID, "0::"), "1")
        self.assertBody(client, "8::")
        self.assertEqual(self.server.reasons, [str(Reason.CLIENT_DISCONNECT)])

    def test_unknownGoodbye(self) -> None:
        """Nobody's session can't be left."""
        self.assertBody(self.server.get("/1//nobody/?disconnect=1"), UNKNOWN)

    def test_noSession(self) -> None:
        """A POST needs a session, but for the handshake; a WebSocket takes messages by itself."""
        sessionID = self.open()
        self.assertEqual(self.post(sessionID, "3:::a", "websocket").response().status, 426)
        self.assertEqual(self.server.notes.messages, [])
