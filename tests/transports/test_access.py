"""
Who may come in, over HTTP: the decision of the application, pages of other origins, and pages that load scripts.
"""

from __future__ import annotations

from functools import partial

from twisted.internet.defer import Deferred, succeed

from siotwisted.config import Config
from siotwisted.errors import ConnectionRefused
from siotwisted.handshake import Handshake
from tests.transports import ADDRESS, GET_TRANSPORTS, Client, Server, ServerCase
from tests.transports.requests import asks


def _say(answer: object, _: object) -> object:
    """An authorizer that says always the same."""
    return answer


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

    def test_unspeakable(self) -> None:
        """A reason that can't be said is in the log, and the client is not left to wait."""
        client = self.server.get("/xhr-polling//1/0")
        self.decision.errback(ConnectionRefused("no \ud800"))
        self.server.turn()
        self.assertTrue(client.end.aborted)
        self.assertTrue(self.flushLoggedErrors(UnicodeEncodeError))

    def test_noAtOnce(self) -> None:
        """A plain False, or anything that is not true, is a no."""
        for answer in (False, None, 0, ""):
            server = Server()
            server.sio.authorize(partial(_say, answer))
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
        handshake = connection.handshake
        self.assertEqual((handshake.headers["x-test"], handshake.query["a"]), ("yes", "1"))
        self.assertEqual((handshake.address, connection.transport), (ADDRESS, "xhr-polling"))
        self.assertEqual(handshake.time, 1_000_000)

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
                "allow-headers": "Authorization, Content-Type",
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
