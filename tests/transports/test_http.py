"""
What all HTTP transports have in common: the checks at the door in their order, the headers of every answer, which pages
may come, and how clients post.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted
from twisted.python.failure import Failure

from siotwisted import Config, SIOCodec, SIOStreamingCodec
from siotwisted.dialects import SOCKETIO_06
from siotwisted.handshake import Handshake
from siotwisted.interfaces import IPacketReceiver
from siotwisted.transports.http import abort, addressText
from tests.transports import ADDRESS, COMMON, GET_TRANSPORTS, Client, Server, ServerCase

VECTORS = Path(__file__).parent.parent / "vectors" / "vectors-sio06.json"

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
#: Everything that a hostile client can say about itself.
HOSTILE = "<script>alert(1)</script>\x1b[31m"


def asks(server: Server, sessionID: str = "", headers: dict[str, str] | None = None) -> Iterator[tuple[str, Client]]:
    """The same request by every method, to every transport, each as (what, client)."""
    for transport in SOCKETIO_06.transports:
        for method in ("GET", "POST", "OPTIONS", "PUT", "DELETE"):
            fields = dict(headers or {})
            if method == "GET" and transport in ("websocket", "flashsocket"):
                fields |= UPGRADE
            body = b"data=~m~1~m~x" if method in ("POST", "PUT") else b""
            path = f"/{transport}/{sessionID}/1322000000000/0"
            yield f"{method} {transport}", server.request(method, path, fields, body)


class HeaderTests(ServerCase):
    """What is on every answer, whatever it says."""

    def test_ok(self) -> None:
        """A POST is answered ``ok``, with these headers and no others."""
        server = Server()
        client = server.post(f"/xhr-polling/{server.open()}/send", "~m~2~m~hi")
        response = client.response()
        self.assertEqual((response.status, response.reason, response.body), (200, "OK", b"ok"))
        self.assertEqual(
            response.headers, {**COMMON, "content-type": "text/plain; charset=UTF-8", "content-length": "2"}
        )

    def test_refusal(self) -> None:
        """A refusal has the same headers, and its own phrase."""
        client = Server().get("/nothing")
        response = client.response()
        self.assertEqual((response.status, response.reason, response.body), (404, "Not Found", b"not a Socket.IO URL"))
        self.assertEqual(
            response.headers, {**COMMON, "content-type": "text/plain; charset=UTF-8", "content-length": "19"}
        )

    def test_refusalAfterAuthorization(self) -> None:
        """A refusal by the application has the same headers too."""
        server = Server()
        server.sio.authorize(lambda handshake: False)
        response = server.get("/xhr-polling//1").response()
        self.assertEqual((response.status, response.reason, response.body), (401, "Unauthorized", b"not authorized"))
        self.assertEqual(
            response.headers, {**COMMON, "content-type": "text/plain; charset=UTF-8", "content-length": "14"}
        )

    def test_noServerHeader(self) -> None:
        """No answer tells which software made it: not on any transport, by any method, nor at any other URL."""
        server = Server()
        sessionID = server.open()
        clients = [client for _, client in asks(server, sessionID)]
        clients += [server.get(path) for path in ("", "/", "/nothing", "/xhr-polling//1")]
        for client in clients:
            for line in client.received.split(b"\r\n"):
                self.assertFalse(line.lower().startswith(b"server:"), client.received)

    def test_mayBeFramed(self) -> None:
        """Nothing forbids frames or asks for a download: clients load answers in frames."""
        server = Server()
        client = server.get("/htmlfile//1")
        self.assertNotIn(b"frame-options", client.received.lower())
        self.assertNotIn(b"frame-ancestors", client.received.lower())
        self.assertNotIn(b"content-disposition", client.received.lower())


class MethodTests(ServerCase):
    """GET, POST and OPTIONS, and no other."""

    def test_notAllowed(self) -> None:
        """Any other method gets 405 with the list, on every transport, and makes no session."""
        server = Server()
        for transport in SOCKETIO_06.transports:
            for method in ("PUT", "DELETE", "TRACE", "PATCH", "CONNECT", "get", "post", "PROPFIND"):
                client = server.request(method, f"/{transport}//1/0")
                self.assertRefused(client, 405, "method not allowed")
                self.assertEqual(client.response().headers["allow"], "GET, POST, OPTIONS")
        self.assertEqual(server.notes.connected, [])

    def test_head(self) -> None:
        """HEAD gets 405 without a body, one line in the log, and no session."""
        server = Server()
        for path in ("/xhr-polling//1", f"/xhr-polling/{server.open()}/1"):
            client = server.request("HEAD", path)
            head, _, rest = client.received.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n"), head)
            self.assertIn(b"\r\nAllow: GET, POST, OPTIONS", head)
            self.assertEqual(rest, b"")
            self.assertEqual(self.logged(), [f"refused {ADDRESS}: method not allowed"])
        self.assertEqual(len(server.notes.connected), 1)

    def test_headElsewhere(self) -> None:
        """HEAD on a URL that is none gets 404 without a body, and one line in the log."""
        client = Server().request("HEAD", "/nothing")
        head, _, rest = client.received.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 404 Not Found\r\n"), head)
        self.assertEqual(rest, b"")
        self.assertEqual(self.logged(), [f"refused {ADDRESS}: not a Socket.IO URL"])

    def test_options(self) -> None:
        """OPTIONS is answered the same for every transport, with and without a session."""
        server = Server()
        sessionID = server.open()
        for transport in SOCKETIO_06.transports:
            for path in (f"/{transport}", f"/{transport}//1", f"/{transport}/{sessionID}/send"):
                response = server.request("OPTIONS", path).response()
                self.assertEqual((response.status, response.body), (200, b"ok"))
                self.assertEqual(
                    response.headers,
                    {
                        **COMMON,
                        "content-type": "text/plain; charset=UTF-8",
                        "content-length": "2",
                        "access-control-allow-methods": "GET, POST, OPTIONS",
                        "access-control-allow-headers": "Content-Type",
                        "access-control-max-age": "3600",
                    },
                )
        self.assertEqual(self.logged(), [])

    def test_optionsOfTheServer(self) -> None:
        """``OPTIONS *`` is the site's business; it makes no session and no noise."""
        server = Server()
        client = server.connect()
        client.send(b"OPTIONS * HTTP/1.1\r\nHost: chat.example\r\n\r\n")
        self.assertIn(client.response().status, (200, 405))
        self.assertEqual((server.notes.connected, self.logged()), ([], []))


class PathTests(ServerCase):
    """URLs that are none, and what is never repeated of them."""

    def test_notFound(self) -> None:
        """Whatever is no URL of a client gets the same fixed text."""
        server = Server()
        for path in (
            "",
            "/",
            "//",
            "/xhr-pollingx",
            "/XHR-POLLING/",
            "/1/websocket/x",
            "/?EIO=4&transport=polling",
            "/../",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/%2e%2e%2fxhr-polling//1",
            "/%00",
            "/xhr-polling%00//1",
            "/%ff%fe",
            "/socket.io.js",
            "/" + "a" * 8000,
            "/xhr-polling/" + "a" * 65,
            "/streaming",
            "/streaming/",
            "/sio/streaming/xhr-polling",
            "/<script>alert(1)</script>",
        ):
            self.assertRefused(server.get(path), 404, "not a Socket.IO URL")
        self.assertEqual(server.notes.connected, [])

    def test_disabledTransport(self) -> None:
        """A transport that is switched off is not there, whatever the method."""
        server = Server(Config(transports=("xhr-polling",)))
        for what, client in asks(server):
            if "xhr-polling" not in what:
                self.assertRefused(client, 404, "no such transport")
            self.logged()

    def test_nothingIsEchoed(self) -> None:
        """No answer repeats anything that the client said, and neither does the log."""
        server = Server()
        server.open()
        self.logged()
        headers = {"User-Agent": HOSTILE, "Cookie": HOSTILE, "X-Forwarded-For": HOSTILE, "Accept": "text/html"}
        for path in (f"/{HOSTILE}", f"/xhr-polling/{HOSTILE}", f"/jsonp-polling//1/{HOSTILE}", f"/htmlfile?{HOSTILE}"):
            for method in ("GET", "POST", "PUT"):
                for more in ({}, {"Origin": HOSTILE}, {"Host": HOSTILE}, {"Referer": HOSTILE}):
                    client = server.request(method, path, headers | more, b"data=" + HOSTILE.encode())
                    self.assertNotIn(b"alert", client.received)
                    for line in self.logged():
                        self.assertRegex(line, rf"\Arefused {ADDRESS}: [a-zA-Z0-9. -]+\Z")

    def test_longHeadersAreNotLogged(self) -> None:
        """A refused client with a name of 10 kB leaves one short line."""
        Server().get("/nothing", User_Agent="x" * 10_000)
        self.assertEqual(self.logged(), [f"refused {ADDRESS}: not a Socket.IO URL"])

    def test_queryMeansNothing(self) -> None:
        """A query of any size and shape changes nothing: a new client is let in."""
        server = Server()
        for query in (
            "&a=1" * 3000,
            "sid=a&sid=b",
            "sid=",
            "sid[]=x",
            "__proto__=1",
            "EIO=4&EIO=3",
            "%zz=%",
            "a=%ff",
        ):
            self.assertEqual(server.get(f"/xhr-polling//1?{query}").response().status, 200)
        self.assertEqual(len(server.notes.connected), 8)
        self.assertEqual(self.logged(), [])


class StoppedTests(ServerCase):
    """A server that was stopped."""

    def test_unavailable(self) -> None:
        """It says so to everyone, by every method, on every transport, and opens nothing."""
        server = Server()
        server.sio.stop()
        for _, client in asks(server):
            self.assertRefused(client, 503, "the server is stopping")
        self.assertEqual(server.notes.connected, [])

    def test_beforeTheRest(self) -> None:
        """It says so even to those whom it would refuse anyhow, foreign pages and ids that it does not know."""
        server = Server()
        server.sio.stop()
        for _, client in asks(server, "unknown", {"Origin": "http://evil.example"}):
            self.assertRefused(client, 503, "the server is stopping")


class UnknownSessionTests(ServerCase):
    """Ids that name no session: the connection is cut, because the oldest clients don't read statuses."""

    def test_everyMethodAndTransport(self) -> None:
        """Not one byte is answered, and one line logged."""
        server = Server()
        for _, client in asks(server, "anUnknownSession"):
            self.assertCut(client)
        self.assertEqual(server.notes.connected, [])

    def test_oddIDs(self) -> None:
        """Ids that no server ever gave out are no more than unknown."""
        server = Server()
        for sessionID in (
            "__proto__",
            "constructor",
            "toString",
            "%00",
            "%ff",
            "%F0%9F%98%80",
            "hello",
            "send",
            "~h~9",
            "xhr-polling",
            "12345678901",
            "1_0",
            "%D9%A1%D9%A2%D9%A3",
            "a" * 64,
            "a%2Fb",
            "a%0D%0Ab",
        ):
            for method, body in (("GET", b""), ("POST", b"data=~m~1~m~x")):
                self.assertCut(server.request(method, f"/xhr-polling/{sessionID}/1322000000000", {}, body))
        self.assertEqual(server.notes.connected, [])

    def test_endedSession(self) -> None:
        """An id that was used is not used again: neither its owner nor anyone else gets in with it."""
        server = Server()
        sessionID = server.open()
        server.connection.close()
        self.assertCut(server.get(f"/xhr-polling/{sessionID}/1"))
        self.assertCut(server.post(f"/xhr-polling/{sessionID}/send", "~m~1~m~x"))

    def test_otherCodec(self) -> None:
        """A session belongs to its codec: under the URL of another it is unknown, and stays unharmed."""
        server = Server()
        sessionID = server.open()
        self.assertCut(server.get(f"/streaming/xhr-polling/{sessionID}/1"))
        self.assertCut(server.post(f"/streaming/xhr-polling/{sessionID}/send", "1:2::x,"))
        self.assertIs(server.sio.getConnection(sessionID), server.connection)

    def test_othersGoOn(self) -> None:
        """Cutting one client's connection leaves the polls of others alone."""
        server = Server()
        poll = server.get(f"/xhr-polling/{server.open()}/1")
        self.assertCut(server.get("/xhr-polling/unknown/1"))
        self.assertEqual((poll.open, poll.received), (True, b""))


class AuthorizationTests(ServerCase):
    """The application's say about new clients."""

    def setUp(self) -> None:
        """A server whose application decides later."""
        super().setUp()
        self.server = Server()
        self.asked: list[Handshake] = []
        self.cancelled: list[Deferred[bool]] = []
        self.decision: Deferred[bool] = Deferred(self.cancelled.append)
        self.server.sio.authorize(self.decide)

    def decide(self, handshake: Handshake) -> Deferred[bool]:
        """Remember who asks; decide when the test does."""
        self.asked.append(handshake)
        return self.decision

    def test_yes(self) -> None:
        """The client waits for the decision, and is let in by it."""
        client = self.server.get("/xhr-polling//1")
        self.assertEqual((client.received, self.server.notes.connected), (b"", []))
        self.decision.callback(True)
        self.server.turn()
        self.assertEqual(client.response().body, b"~m~27~m~" + self.server.connection.id.encode())

    def test_no(self) -> None:
        """The client is told so with 401, on every transport, and there is no session."""
        for transport in GET_TRANSPORTS:
            self.decision = Deferred()
            client = self.server.get(f"/{transport}//1/0")
            self.decision.callback(False)
            self.assertRefused(client, 401, "not authorized")
        self.assertEqual((self.server.notes.connected, len(self.server.sio.registry)), ([], 0))

    def test_noAtOnce(self) -> None:
        """A plain False, or anything that is not true, is a no."""
        for answer in (False, None, 0, ""):
            server = Server()
            server.sio.authorize(lambda handshake, answer=answer: answer)
            self.assertRefused(server.get("/xhr-polling//1"), 401, "not authorized")

    def test_failure(self) -> None:
        """A failing decision is answered 500 without its text; the application's mistake is logged once."""
        client = self.server.get("/xhr-polling//1")
        self.decision.errback(RuntimeError("the password is swordfish"))
        self.server.turn()
        response = client.response()
        self.assertEqual((response.status, response.body), (500, b"authorization failed"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_exception(self) -> None:
        """A handler that raises is the same as one that fails later."""

        def authorize(handshake: Handshake) -> bool:
            raise RuntimeError("the password is swordfish")

        server = Server()
        server.sio.authorize(authorize)
        response = server.get("/xhr-polling//1").response()
        self.assertEqual((response.status, response.body), (500, b"authorization failed"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_coroutine(self) -> None:
        """The handler may be a coroutine."""
        server = Server()

        @server.sio.authorize
        async def authorize(handshake: Handshake) -> bool:
            return await succeed(handshake.query["token"] == "good")

        self.assertEqual(server.get("/xhr-polling//1?token=good").response().status, 200)
        self.assertRefused(server.get("/xhr-polling//1?token=bad"), 401, "not authorized")

    def test_allMustAgree(self) -> None:
        """Of several handlers each has a veto, and those after a veto are not asked."""
        server = Server()
        server.sio.authorize(lambda handshake: handshake.query.get("first") != "no")

        @server.sio.authorize
        def second(handshake: Handshake) -> bool:
            self.asked.append(handshake)
            return "second" not in handshake.query

        self.assertEqual(server.get("/xhr-polling//1").response().status, 200)
        self.assertEqual(server.get("/xhr-polling//1?second=1").response().status, 401)
        self.assertEqual(server.get("/xhr-polling//1?first=no").response().status, 401)
        self.assertEqual(len(self.asked), 2)

    def test_handshake(self) -> None:
        """The handler sees who asks: the facts of the request, and the transport."""
        self.server.get("/xhr-multipart//17?a=1&b=%E2%99%A5&a=2", Cookie="c=d", X_Test="yes")
        (handshake,) = self.asked
        self.assertEqual(handshake.method, "GET")
        self.assertEqual(handshake.path, "/socket.io/xhr-multipart//17")
        self.assertEqual(handshake.headers, {"host": "chat.example", "cookie": "c=d", "x-test": "yes"})
        self.assertEqual(handshake.query, {"a": "2", "b": "♥"})
        self.assertEqual(handshake.address, ADDRESS)
        self.assertEqual(handshake.secure, False)
        self.assertEqual(handshake.time, 1_000_000)
        self.assertEqual(handshake.transport, "xhr-multipart")

    def test_repeatedHeader(self) -> None:
        """Values of a header that comes twice are joined."""
        client = self.server.connect()
        client.send(b"GET /socket.io/xhr-polling//1 HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nX-A: 2\r\n\r\n")
        self.assertEqual(self.asked[0].headers["x-a"], "1, 2")

    def test_connectionKnowsItsHandshake(self) -> None:
        """What the client said is on its connection afterwards."""
        self.server.get("/xhr-polling//17?a=1", X_Test="yes")
        self.decision.callback(True)
        connection = self.server.connection
        self.assertEqual((connection.headers["x-test"], connection.query["a"]), ("yes", "1"))
        self.assertEqual((connection.address, connection.transport), (ADDRESS, "xhr-polling"))
        self.assertEqual(connection.time, 1_000_000)

    def test_askedOnce(self) -> None:
        """A client that comes back with its id is not asked about again."""
        self.decision.callback(True)
        sessionID = self.server.open()
        self.server.get(f"/xhr-polling/{sessionID}/1")
        self.server.post(f"/xhr-polling/{sessionID}/send", "~m~1~m~x")
        self.assertEqual(len(self.asked), 1)

    def test_notAskedAboutRefused(self) -> None:
        """The application does not hear of clients that are refused at the door."""
        self.server.get("/xhr-polling//1", Origin="http://evil.example")
        self.server.get("/xhr-polling/unknown/1")
        self.server.request("OPTIONS", "/xhr-polling//1")
        self.assertEqual(self.asked, [])

    def test_clientGone(self) -> None:
        """When the client leaves, the decision is cancelled; there is no session, and nothing to log."""
        client = self.server.get("/xhr-polling//1")
        client.leave()
        self.assertEqual(self.cancelled, [self.decision])
        self.assertEqual((self.server.notes.connected, len(self.server.sio.registry)), ([], 0))
        self.assertEqual((client.received, self.logged()), (b"", []))

    def test_clientGoneOthersStay(self) -> None:
        """A decision that others wait for, too, is theirs: it is made, and they are let in."""
        decisions: list[Deferred[bool]] = []
        server = Server()

        @server.sio.authorize
        def authorize(handshake: Handshake) -> Deferred[bool]:
            decisions.append(Deferred())
            return decisions[-1]

        gone, stays = server.get("/xhr-polling//1"), server.get("/xhr-polling//2")
        gone.leave()
        decisions[1].callback(True)
        server.turn()
        self.assertEqual((stays.response().status, len(server.notes.connected)), (200, 1))

    def test_stoppedMeanwhile(self) -> None:
        """A client that is let in after the server began to stop is not."""
        client = self.server.get("/xhr-polling//1")
        self.successResultOf(self.server.sio.stop())
        self.decision.callback(True)
        self.assertRefused(client, 503, "the server is stopping")
        self.assertEqual(self.server.notes.connected, [])


class OriginTests(ServerCase):
    """Pages of other origins: who may come, and who may read the answer."""

    #: Origins beside the own one of http://chat.example, and what ``origins=["friend.example", "null"]`` makes of them.
    FRIENDS = (
        "http://friend.example",
        "https://friend.example",
        "null",
        "http://chat.example",
        "HTTP://FRIEND.example",
    )
    FOREIGN = (
        "http://evil.example",
        "http://friend.example:8080",
        "https://friend.example:444",
        "http://friend.example.evil",
        "http://friend.example@evil.example",
        "http://evilfriend.example",
        "http://chat.example:8080",
        "file://",
        "",
        "undefined",
        "http://friend.example/",
        "http://friend.example http://evil.example",
        "http://friend.example, http://evil.example",
        "NULL",
    )

    def cors(self, client: Client) -> dict[str, str]:
        """The headers of an answer that speak of origins."""
        headers = client.responses()[0].headers
        return {name[15:]: value for name, value in headers.items() if name.startswith("access-control-allow")}

    def test_friends(self) -> None:
        """A listed origin, and the server's own, is let in and may read, with credentials, on every HTTP transport."""
        server = Server(Config(origins=["friend.example", "null"]))
        for origin in self.FRIENDS:
            expected = {"allow-origin": origin, "allow-credentials": "true"}
            for transport in GET_TRANSPORTS:
                client = server.get(f"/{transport}//1/0", Origin=origin)
                self.assertEqual((client.responses()[0].status, self.cors(client)), (200, expected))
                path = f"/{transport}/{server.connection.id}/send"
                client = server.post(path, "~m~1~m~x", Origin=origin)
                self.assertEqual((client.response().status, self.cors(client)), (200, expected))
        self.assertEqual(self.logged(), [])

    def test_foreign(self) -> None:
        """Any other gets 403, which its page can't read, on every transport and method."""
        server = Server(Config(origins=["friend.example"]))
        sessionID = server.open()
        self.logged()
        for origin in (*self.FOREIGN, "null"):
            for known in ("", sessionID):
                for _, client in asks(server, known, {"Origin": origin}):
                    self.assertEqual(self.cors(client), {})
                    self.assertRefused(client, 403, "pages of this origin are not allowed")
        self.assertEqual((len(server.notes.connected), server.notes.messages, server.reasons), (1, [], []))

    def test_foreignBeforeUnknown(self) -> None:
        """A foreign page can't find out which ids exist: it gets 403 for any."""
        server = Server()
        self.assertRefused(
            server.get("/xhr-polling/unknown/1", Origin="http://evil.example"),
            403,
            "pages of this origin are not allowed",
        )

    def test_twoOrigins(self) -> None:
        """Of two Origin headers neither is believed."""
        for first, second in (("chat", "evil"), ("evil", "chat")):
            client = Server().connect()
            client.send(
                b"GET /socket.io/xhr-polling//1 HTTP/1.1\r\nHost: chat.example\r\n"
                b"Origin: http://%b.example\r\nOrigin: http://%b.example\r\n\r\n" % (first.encode(), second.encode())
            )
            self.assertRefused(client, 403, "pages of this origin are not allowed")

    def test_everyone(self) -> None:
        """``*`` lets all in, and lets them read without credentials; those with a rule of their own keep theirs."""
        server = Server(Config(origins=["*", "friend.example"]))
        for origin in ("http://evil.example", "null", "file://", "nonsense", ""):
            client = server.get("/xhr-polling//1", Origin=origin, Cookie="a=b")
            self.assertEqual((client.response().status, self.cors(client)), (200, {"allow-origin": "*"}))
        client = server.get("/xhr-polling//1", Origin="http://friend.example")
        self.assertEqual(self.cors(client), {"allow-origin": "http://friend.example", "allow-credentials": "true"})

    def test_noOrigin(self) -> None:
        """A request without an Origin is served, and its answer speaks of none."""
        client = Server().get("/xhr-polling//1")
        self.assertEqual((client.response().status, self.cors(client)), (200, {}))
        self.assertEqual(client.response().headers["vary"], "Origin")

    def test_preflight(self) -> None:
        """A browser that asks first gets a fixed answer, in which nothing comes from the question."""
        asked = {
            "Access-Control-Request-Method": "BREW",
            "Access-Control-Request-Headers": "X-Evil, " + "x" * 8000,
            "Access-Control-Request-Private-Network": "true",
        }
        server = Server(Config(origins=["friend.example"]))
        client = server.request("OPTIONS", "/xhr-polling//1", {"Origin": "http://friend.example", **asked})
        self.assertEqual(
            self.cors(client),
            {
                "allow-origin": "http://friend.example",
                "allow-credentials": "true",
                "allow-methods": "GET, POST, OPTIONS",
                "allow-headers": "Content-Type",
            },
        )
        client = server.request("OPTIONS", "/xhr-polling//1", {"Origin": "http://evil.example", **asked})
        self.assertRefused(client, 403, "pages of this origin are not allowed")

    def test_errorsCanBeRead(self) -> None:
        """A page that may come may read what it did wrong."""
        server = Server(Config(origins=["friend.example"]))
        client = server.post("/xhr-polling//send", "~m~1~m~x", Origin="http://friend.example")
        self.assertEqual(client.response().status, 400)
        self.assertEqual(self.cors(client)["allow-origin"], "http://friend.example")

    def test_lineBreaks(self) -> None:
        """An Origin of two lines gives no answer with a header of the client's."""
        client = Server(Config(origins=["*"])).connect()
        client.send(
            b"GET /socket.io/xhr-polling//1 HTTP/1.1\r\nHost: chat.example\r\n"
            b"Origin: http://chat.example\r\n X-Evil: 1\r\n\r\n"
        )
        self.assertNotIn(b"Evil", client.received)


class ScriptedTests(ServerCase):
    """``jsonp-polling`` and ``htmlfile``: a foreign page could load them as scripts, with the user's cookies."""

    OWN = "http://chat.example/page?a=b"
    CASES: tuple[tuple[dict[str, str], bool], ...] = (
        ({}, True),
        ({"Cookie": "a=b"}, False),
        ({"Cookie": "a=b", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Cookie": "a=b", "Sec-Fetch-Site": "none"}, True),
        ({"Cookie": "a=b", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Cookie": "a=b", "Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Cookie": "a=b", "Referer": OWN}, True),
        ({"Cookie": "a=b", "Referer": "http://friend.example/"}, True),
        ({"Cookie": "a=b", "Referer": "http://friend.example"}, True),
        ({"Cookie": "a=b", "Sec-Fetch-Site": "cross-site", "Referer": "http://friend.example/"}, True),
        ({"Cookie": "a=b", "Referer": "http://evil.example/http://friend.example/"}, False),
        ({"Cookie": "a=b", "Referer": "about:blank"}, False),
        ({"Cookie": "a=b", "Referer": ""}, False),
        ({"Referer": "http://evil.example/"}, False),
        ({"Cookie": "a=b", "Origin": "http://friend.example", "Referer": "http://evil.example/"}, True),
        ({"Cookie": "a=b", "Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}, False),
    )

    def test_table(self) -> None:
        """Only pages that may come can load them, as far as the browser says which page it is."""
        server = Server(Config(origins=["friend.example"]))
        for headers, welcome in self.CASES:
            for transport in ("jsonp-polling", "htmlfile"):
                client = server.request("GET", f"/{transport}//1/0", headers)
                self.assertEqual(client.response().status, 200 if welcome else 403, f"{transport} {headers}")

    def test_everyone(self) -> None:
        """With ``*`` all of them can."""
        server = Server(Config(origins=["*"]))
        for headers, _ in self.CASES:
            client = server.request("GET", "/jsonp-polling//1/0", headers)
            self.assertEqual(client.response().status, 200, str(headers))

    def test_othersCantBeLoaded(self) -> None:
        """The other transports need no such rule: a browser names the origin of their requests."""
        server = Server()
        for transport in ("xhr-polling", "xhr-multipart"):
            client = server.get(f"/{transport}//1", Cookie="a=b")
            self.assertEqual(client.response().status, 200)


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
            self.assertRefused(client, 400, "the body is not a form with one field named data")
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


class AddressTests(ServerCase):
    """The text of an address, for the log and for applications."""

    def test_internet(self) -> None:
        """The host alone."""
        self.assertEqual(addressText(IPv4Address("TCP", "192.0.2.1", 80)), "192.0.2.1")
        self.assertEqual(addressText(IPv6Address("TCP", "2001:db8::1", 80)), "2001:db8::1")

    def test_unix(self) -> None:
        """The path of a UNIX socket; of a client without one, nothing."""
        self.assertEqual(addressText(UNIXAddress("/run/client.sock")), "/run/client.sock")
        self.assertEqual(addressText(UNIXAddress(None)), "")

    def test_refusedUNIXClient(self) -> None:
        """A client of a UNIX socket is refused as any other."""
        client = Server().connect(UNIXAddress(None))
        client.request("GET", "/nothing")
        self.assertEqual(client.response().status, 404)
        self.assertEqual(self.logged(), ["refused : not a Socket.IO URL"])


class AbortTests(ServerCase):
    """Cutting a connection, whatever it is."""

    def abort(self, channel: object) -> None:
        """Cut the connection of a request on this channel."""
        self.lost: list[Failure] = []
        request: Any = SimpleNamespace(channel=channel, connectionLost=self.lost.append)
        abort(request)

    def test_stream(self) -> None:
        """Of HTTP/2, where a channel is one stream of many, only that stream is cut, and the request told."""
        cut: list[str] = []
        self.abort(SimpleNamespace(abortConnection=lambda: cut.append("stream")))
        self.assertEqual(cut, ["stream"])
        (failure,) = self.lost
        self.assertIs(failure.type, ConnectionAborted)

    def test_gone(self) -> None:
        """What is gone already can't be cut."""
        self.abort(None)


class BrokenCodecTests(ServerCase):
    """A codec that can't even be made."""

    def test_cut(self) -> None:
        """Its clients are not left to wait, and the log tells why, once."""

        class Broken(SIOCodec):
            name = "broken"

            def __init__(self, receiver: IPacketReceiver) -> None:
                raise ZeroDivisionError

        server = Server(Config(codecs=[SIOCodec, Broken]))
        client = server.get("/broken/xhr-polling//1")
        self.assertEqual((client.received, client.open), (b"", False))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


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
