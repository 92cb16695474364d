"""
A site with a shorter way for polls: whatever the other modules ask of the resources in a site of Twisted Web holds for
it, too.
"""

from __future__ import annotations

import gc
import re
from importlib import import_module
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol, ISSLTransport
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web import server as webServer
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import directlyProvides

from siotwisted import SocketIO, registry
from siotwisted import site as siteModule
from siotwisted.admission import Admission
from siotwisted.clients import Client
from siotwisted.config import Config
from siotwisted.connections import Connection
from siotwisted.registry import SessionRegistry
from siotwisted.resource import SocketIOResource
from siotwisted.session import Session
from siotwisted.site import SocketIOSite
from siotwisted.transports import shortcut
from siotwisted.transports.http import parseQuery
from siotwisted.transports.polling import XHRPollingResource
from siotwisted.transports.websocket import SocketIOWebSocketProtocol
from tests.fakes import FakeReceiver
from tests.transports import ADDRESS, Server, ServerCase, ServerEnd
from tests.transports.requests import UPGRADE
from tests.websocketpeer import clientFrame
from tests.wire import checks

FORM = "application/x-www-form-urlencoded"

_MODULES = [
    import_module(f"tests.transports.test_{name}")
    for name in ("access", "engineio", "http", "polling", "post", "resume", "socketio09", "streaming")
]


def _inSite(case: type[ServerCase]) -> type[ServerCase]:
    """The same tests, in the other site."""

    def setUp(self: Any) -> None:
        self.patch(Server, "siteFactory", SocketIOSite)
        case.setUp(self)

    return type(f"Site{case.__name__}", (case,), {"setUp": setUp, "__module__": __name__, "__doc__": case.__doc__})


for _module in _MODULES:
    for _case in list(vars(_module).values()):
        if isinstance(_case, type) and issubclass(_case, ServerCase) and _case.__module__ == _module.__name__:
            globals()[f"Site{_case.__name__}"] = _inSite(_case)


_SESSION = "abcdefghijklmnopqrstuvwxyz0"
_TARGETS = st.sampled_from(
    [
        *(
            "/xhr-polling//1322000000000",
            "/xhr-polling/ID/1322000000001",
            "/xhr-polling/ID/send",
            "/xhr-polling/none/1",
        ),
        *("/jsonp-polling/ID/1322000000002/0", "/?EIO=4&transport=polling", "/?EIO=3&transport=polling&t=x"),
        *("/?EIO=4&transport=polling&sid=ID", "/?EIO=4&transport=polling&sid=ID&j=0", "/?EIO=9&transport=polling"),
        *("/1/", "/1/xhr-polling/ID", "/1/xhr-polling/ID?disconnect", "/xhr%2Dpolling/ID/1", "/nothing"),
        *("", "/xhr-polling/none/1"),
        *("/?EIO=4&transport=polling&a=%C3%BC+b&a=&=&&b", "/htmlfile/ID/1", "/websocket/ID", "/?" + "&" * 70),
        *("/../other", "/xhr-polling/ID/ 1", "/é"),
    ]
)
_HEADERS = st.lists(
    st.sampled_from(
        [
            *("Accept: */*", "Origin: http://chat.example", "Origin: http://evil.example", "Cookie: io=1; a=b"),
            *("Connection: keep-alive", "Connection: close", "Connection: Upgrade", "Upgrade: websocket"),
            *("Content-Type: text/plain;charset=UTF-8", "Content-Type: application/octet-stream", "Host: again"),
            *("Content-Length: 5", "Content-Length: 0", "Content-Length: +5", "Transfer-Encoding: chunked"),
            *(
                "Expect: 100-continue",
                "X-Long: " + "x" * 9000,
                "X-Odd:",
                "X-Tab:\tx ",
                "Bad Name: x",
                "X: \x01",
                " folded",
            ),
            *("accept-encoding: gzip", "Referer: http://evil.example/page", "X: é"),
        ]
    ),
    max_size=4,
)
_BODIES = st.sampled_from([b"", b"data=~m~1~m~x", b"4hello", b"40", b"5:::{}", b"\xff", b"d=4hello", b"x" * 3000])
_ASKED = st.tuples(
    st.sampled_from(["GET", "GET", "GET", "POST", "POST", "OPTIONS", "HEAD", "PUT", "get"]),
    _TARGETS,
    _HEADERS,
    _BODIES,
    st.booleans(),
    st.sampled_from(["HTTP/1.1"] * 6 + ["HTTP/1.0", "HTTP/2", ""]),
    st.sampled_from(["/socket.io"] * 6 + ["", "/elsewhere"]),
)


def _bytesOf(asked: tuple[str, str, list[str], bytes, bool, str, str]) -> bytes:
    """A request, as it is sent."""
    method, target, headers, body, measured, version, prefix = asked
    lines = [f"{method} {prefix}{target.replace('ID', _SESSION)} {version}", "Host: chat.example", *headers]
    if measured and (body or method == "POST"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8") + (body if measured else b"")


class SameBytesTests(ServerCase):
    """What is asked of both kinds of sites, byte for byte, has the same answers."""

    def outcome(self, site: type[Site], dialogue: list[tuple[bytes, str]]) -> Any:
        """What comes of this on one connection, with another client in the same session's server."""
        self.patch(Server, "siteFactory", site)
        self.patch(shortcut, "_date", lambda: b"today")
        self.patch(webServer, "datetimeToString", lambda: b"today")
        ids = iter([_SESSION, *(f"{_SESSION[:-2]}{number}" for number in range(10, 99))])
        self.patch(registry, "newSessionID", lambda server: next(ids))
        server = Server(Config(maxPayload=1000, origins=["good.example"], cookie=None))
        server.get(
            "/xhr-polling//1322000000000" if dialogue and len(dialogue[0][0]) % 2 else "/?EIO=4&transport=polling"
        )
        client = server.connect()
        for data, event in dialogue:
            client.send(data)
            if event == "broadcast":
                server.sio.broadcast("all")
                server.turn()
            elif event == "later":
                server.clock.advance(1.0)
        if client.open:
            client.leave()
        server.sio.stop()
        server.clock.pump([1.0] * 10)
        raw, answers = client.received, []
        try:
            answers = client.responses()
            raw = b""
        except (AssertionError, ValueError):
            pass  # a WebSocket, for instance, or a refusal without a head
        notes = server.notes
        told = [(each.id, dict(each.handshake.headers), dict(each.handshake.query)) for each in notes.connected]
        return answers, len(raw), told, notes.packets, notes.disconnected, notes.undelivered, self.logged() != []

    @checks.PROPERTY
    @given(st.lists(_ASKED, max_size=5), st.data())
    def test_same(self, requests: list[Any], data: st.DataObject) -> None:
        """In whatever pieces it comes."""
        stream = b"".join(_bytesOf(each) for each in requests)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
        events = [data.draw(st.sampled_from(["", "broadcast", "later"])) for _ in range(len(cuts) + 1)]
        pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        dialogue = list(zip(pieces, events, strict=True))
        self.assertEqual(self.outcome(SocketIOSite, dialogue), self.outcome(_PlainSite, dialogue))


class _PlainSite(Site):
    """A site of Twisted Web, with the same settings."""

    displayTracebacks = False

    def __init__(self, resource: Any, **options: Any) -> None:
        super().__init__(resource, parsePOSTFormSubmission=False, **options)

    def log(self, request: object) -> None:
        """Write nothing."""


class ShortWayTests(ServerCase):
    """What goes the shorter way, and what must not."""

    def setUp(self) -> None:
        """Count the requests of Twisted Web."""
        super().setUp()
        self.patch(Server, "siteFactory", SocketIOSite)
        self.longer: list[bytes] = []
        real = webServer.Request.process

        def process(request: webServer.Request) -> None:
            self.longer.append(request.uri)
            real(request)

        self.patch(webServer.Request, "process", process)
        self.server = Server()

    def test_polls(self) -> None:
        """Handshakes, polls and posts of polling clients go the shorter way, one after the other."""
        id = self.server.open()
        client = self.server.connect()
        for number in range(3):
            client.request("GET", f"/xhr-polling/{id}/132200000000{number}")
            self.server.sio.broadcast(f"m{number}")
            self.server.turn()
            client.request("POST", f"/xhr-polling/{id}/send", {"Content-Type": FORM}, b"data=~m~1~m~x")
        self.assertEqual([each.status for each in client.responses()], [200] * 6)
        self.assertEqual((self.server.notes.messages, self.longer), (["x"] * 3, []))

    def test_others(self) -> None:
        """Anything else on the same connection goes the longer way, and polls behind it the shorter one again."""
        id = self.server.open()
        client = self.server.connect()
        client.request("GET", "/nothing")
        client.request("GET", f"/xhr-polling/{id}/1322000000000")
        self.server.sio.broadcast("one")
        self.server.turn()
        client.request("OPTIONS", f"/xhr-polling/{id}/send")
        client.request("POST", f"/xhr-polling/{id}/send", {"Content-Type": FORM}, b"data=~m~1~m~x")
        self.assertEqual([each.status for each in client.responses()], [404, 200, 200, 200])
        self.assertEqual(len(self.longer), 2)

    def test_inPieces(self) -> None:
        """A body may come after its head; a head that comes in pieces goes the longer way."""
        id = self.server.open()
        body = b"data=~m~1~m~x"
        head = f"POST /socket.io/xhr-polling/{id}/send HTTP/1.1\r\nContent-Type: {FORM}\r\nContent-Length: 13\r\n\r\n"
        client = self.server.connect()
        for piece in (head.encode(), body[:4], body[4:] + head.encode() + body):
            client.send(piece)
        self.assertEqual((self.server.notes.messages, self.longer), (["x"] * 2, []))
        client.send(head.encode()[:20])
        client.send(head.encode()[20:] + body)
        self.assertEqual((self.server.notes.messages, len(self.longer)), (["x"] * 3, 1))
        self.assertEqual(len(client.responses()), 3)

    def test_cutBody(self) -> None:
        """Of a body that never ends, nothing is heard."""
        id = self.server.open()
        client = self.server.connect()
        client.send(f"POST /socket.io/xhr-polling/{id}/send HTTP/1.1\r\nContent-Length: 13\r\n\r\ndata=".encode())
        client.leave()
        self.assertEqual((client.received, self.server.notes.messages), (b"", []))

    def test_cutPoll(self) -> None:
        """A poll that is cut is lost, as a poll."""
        id = self.server.open()
        client = self.server.get(f"/xhr-polling/{id}/1322000000000")
        client.leave()
        session = self.server.sio.registry.get(id)
        assert session is not None
        self.assertIsNone(session.transport)

    def test_manyBehind(self) -> None:
        """When the polls that came behind a held one are fewer, the rest is read."""
        id = self.server.open()
        poll = f"GET /socket.io/xhr-polling/{id}/1 HTTP/1.1\r\nX: {'x' * 1000}\r\n\r\n".encode()
        client = self.server.connect()
        client.send(poll * 18)
        self.assertEqual(client.end.producerState, "paused")
        for number in range(18):
            self.server.sio.broadcast(str(number))
            self.server.turn()
        self.assertEqual((client.end.producerState, len(client.responses())), ("producing", 18))

    def test_closing(self) -> None:
        """Behind an answer that closes the connection, nothing is heard."""
        id = self.server.open()
        client = self.server.connect()
        poll = f"GET /socket.io/xhr-polling/{id}/1322000000000 HTTP/1.1\r\n\r\n".encode()
        bad = b"GET /socket.io/xhr-polling//1 HTTP/9.9\r\n\r\n"
        client._protocol.dataReceived(bad)
        client._protocol.dataReceived(poll)
        self.server.turn()
        self.assertEqual(client.received, b"HTTP/1.1 400 Bad Request\r\n\r\n")

    def test_idle(self) -> None:
        """A connection on which nothing comes for long is closed, unless a poll is held there."""
        site = self.server.site
        site.timeOut = 10
        id = self.server.open()
        client = self.server.connect()
        for _ in range(3):
            client.request("GET", f"/xhr-polling/{id}/1322000000000")
            self.server.clock.pump([1.0] * 15)
            self.server.sio.broadcast("x")
            self.server.turn()
        self.assertTrue(client.open)
        self.server.clock.pump([1.0] * 9)
        self.assertTrue(client.open)
        self.server.clock.pump([1.0] * 15)
        self.assertFalse(client.open)

    def test_idleAfterOthers(self) -> None:
        """So it is with one that Twisted Web has had: what is served here counts there as well."""
        site = self.server.site
        site.timeOut = 10
        id = self.server.open()
        client = self.server.connect()
        client.request("GET", "/nothing-there")
        client._protocol._http.setTimeout(10)  # it began before the time was set
        for _ in range(3):
            client.request("GET", f"/xhr-polling/{id}/1322000000000")
            self.server.clock.pump([1.0] * 15)
            self.server.sio.broadcast("x")
            self.server.turn()
        self.assertTrue(client.open)
        self.server.clock.pump([1.0] * 25)
        self.assertFalse(client.open)

    def test_webSocketAfterOthers(self) -> None:
        """A connection on which Twisted Web has served something may become a WebSocket, and stays one."""
        self.server.site.timeOut = 10
        for connection in ("Upgrade", "Upgrade, keep-alive"):
            self.server.notes.messages.clear()
            client = self.server.connect()
            client.request("GET", "/nothing-there")
            client._protocol._http.setTimeout(10)
            client.request("GET", "/websocket", {**UPGRADE, "Connection": connection})
            self.assertIn(b"101 Switching Protocols", client.received)
            self.server.clock.pump([1.0] * 14)
            client.send(clientFrame("~m~2~m~hi"))
            self.assertEqual(self.server.notes.messages, ["hi"], connection)
            self.assertTrue(client.open)
            client.leave()
            self.assertIsNone(self.server.connection.session.transport)

    def test_ownConnection(self) -> None:
        """On plain TCP, a WebSocket has the connection for itself from then on."""
        self.patch(siteModule, "takesAtOnce", lambda transport: True)
        ServerEnd.setTcpNoDelay = lambda end, enabled: None  # type: ignore[attr-defined]
        self.addCleanup(delattr, ServerEnd, "setTcpNoDelay")
        ServerEnd.hostname = ADDRESS  # type: ignore[attr-defined]
        self.addCleanup(delattr, ServerEnd, "hostname")
        client = self.server.connect()
        client.end.protocol = client._protocol  # type: ignore[attr-defined]
        client.request("GET", "/websocket", UPGRADE)
        self.assertIsInstance(vars(client.end)["protocol"], SocketIOWebSocketProtocol)

    def test_webSocketFails(self) -> None:
        """A fault of our own at its beginning ends the connection."""
        self.patch(SocketIOWebSocketProtocol, "onOpen", lambda self: 1 / 0)
        client = self.server.connect()
        client.request("GET", "/websocket", UPGRADE)
        self.assertFalse(client.open)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_webSocketOfOthers(self) -> None:
        """A handshake that only Twisted Web and Autobahn read leads to a WebSocket with no detour as well."""
        client = self.server.connect()
        client.request("GET", "/websocket", {**UPGRADE, "Connection": "Upgrade, keep-alive"})
        self.assertIn(b"101 Switching Protocols", client.received)
        self.assertIsNotNone(client._protocol.__dict__.get("dataReceived"))
        client.send(clientFrame("~m~2~m~hi"))
        self.assertEqual(self.server.notes.messages, ["hi"])

    def test_otherProtocol(self) -> None:
        """A connection that speaks HTTP/2 is Twisted Web's."""
        protocol = self.server.site.buildProtocol(None)
        end = ServerEnd(self.server.clock, protocol, IPv4Address("TCP", ADDRESS, 54321))
        directlyProvides(end, ISSLTransport)
        end.setTcpNoDelay = lambda enabled: None  # type: ignore[attr-defined]
        end.negotiatedProtocol = b"spdy"  # type: ignore[attr-defined]
        protocol.makeConnection(end)
        self.assertRaises(
            AssertionError, protocol.dataReceived, b"GET /socket.io/xhr-polling//1322000000000 HTTP/1.1\r\n\r\n"
        )
        self.assertEqual(self.server.notes.connected, [])

    def test_secure(self) -> None:
        """TLS is known to handshakes."""
        self.server.get("/xhr-polling//1322000000000")
        self.assertFalse(self.server.connection.handshake.secure)
        protocol, _ = self.secured()
        protocol.dataReceived(b"GET /socket.io/xhr-polling//1322000000000 HTTP/1.1\r\n\r\n")
        self.assertTrue(self.server.connection.handshake.secure)

    def secured(self) -> tuple[Any, ServerEnd]:
        """A connection with TLS."""
        protocol = self.server.site.buildProtocol(None)
        end = ServerEnd(self.server.clock, protocol, IPv4Address("TCP", ADDRESS, 54321))
        directlyProvides(end, ISSLTransport)
        end.setTcpNoDelay = lambda enabled: None  # type: ignore[attr-defined]
        protocol.makeConnection(end)
        return protocol, end

    def test_secureOrigin(self) -> None:
        """A page without TLS is at home where a proxy may have ended that, and a stranger where nobody has."""
        head = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a.b\r\nOrigin: http://a.b\r\n\r\n"
        client = self.server.connect()
        plain, secured = (client._protocol, client.end), self.secured()
        for _ in range(2):
            for (protocol, end), status in ((plain, b"200 OK"), (secured, b"403 Forbidden")):
                end.clear()
                protocol.dataReceived(head)
                self.server.turn()
                self.assertTrue(end.value().startswith(b"HTTP/1.1 " + status))

    def test_ownCookies(self) -> None:
        """Clients with cookies of their own are checked once each, however they take turns."""
        checked = []
        check = Admission.check

        def counted(admission: Admission, *arguments: Any) -> Any:
            checked.append(arguments)
            return check(admission, *arguments)

        self.patch(Admission, "check", counted)
        clients = []
        for number in range(3):
            client = self.server.connect()
            head = f"HTTP/1.1\r\nCookie: id={number}\r\n"
            client.send(f"GET /socket.io/?EIO=4&transport=polling {head}\r\n".encode())
            found = re.search(rb'"sid":"([^"]+)"', client.received)
            assert found is not None
            post = f"POST /socket.io/?EIO=4&transport=polling&sid={found[1].decode()} {head}Content-Length: "
            client.send(f"{post}2\r\n\r\n40".encode())
            clients.append((client, post))
        for _ in range(5):
            for client, post in clients:
                client.send(f'{post}9\r\n\r\n42["x",1]'.encode())
        self.assertEqual([client.received.count(b"200 OK") for client, _ in clients], [7] * 3)
        self.assertEqual(len(checked), 3)

    def test_webSocket(self) -> None:
        """A WebSocket takes the connection over, and has its bytes without a detour."""
        client = self.server.connect()
        client.request("GET", "/websocket", UPGRADE)
        self.assertIn(b"101 Switching Protocols", client.received)
        client.send(clientFrame("~m~2~m~hi"))
        self.assertEqual(self.server.notes.messages, ["hi"])
        self.assertIs(client._protocol.dataReceived.__self__, client._protocol._heir)
        self.assertIsNone(client._protocol._web)
        client.leave()
        self.assertIsNone(self.server.connection.session.transport)
        self.assertIsNone(client._protocol.__dict__.get("dataReceived"))

    def test_bug(self) -> None:
        """A fault of our own ends the connection, and the log tells of it."""
        self.patch(XHRPollingResource, "render_GET", lambda self, request, session: 1 / 0)
        client = self.server.get("/xhr-polling//1322000000000")
        self.assertEqual((client.received, client.open), (b"", False))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_options(self) -> None:
        """With an access log, or requests of another kind, all are Twisted Web's."""
        root = self.server.site.resource
        for site in (
            SocketIOSite(root, reactor=self.server.clock, logPath="access.log"),
            SocketIOSite(root, reactor=self.server.clock, requestFactory=type("Other", (webServer.Request,), {})),
        ):
            logged: list[object] = []
            self.patch(Site, "log", lambda self, request, logged=logged: logged.append(request))
            self.server.site = site
            del self.longer[:]
            self.server.get("/xhr-polling//1322000000000")
            self.server.get("/nothing")
            self.assertEqual((len(self.longer), len(logged)), (2, 2 if site.logPath else 0))

    def test_where(self) -> None:
        """The endpoint is found wherever it hangs, below resources that find their children in the usual way."""

        class Dynamic(Resource):
            """One that makes its children."""

            def getChildWithDefault(self, path: bytes, request: webServer.Request) -> Any:
                return Resource.getChildWithDefault(self, path, request)

        class Leaf(Resource):
            """One that has none."""

            isLeaf = True

        endpoint = SocketIOResource(self.server.sio)
        root, deep, dynamic = Resource(), Resource(), Dynamic()
        for parent, name, child in (
            (root, b"deep", deep),
            (deep, b"push", endpoint),
            (root, b"dynamic", dynamic),
            (dynamic, b"push", endpoint),
            (root, b"leaf", Leaf()),
        ):
            parent.putChild(name, child)
        site = SocketIOSite(root, reactor=self.server.clock)
        query = b"?EIO=4&transport=polling"
        found = [b"/deep/push/", b"/deep/push", b"/deep/push/xhr-polling/x"]
        missed = [
            b"/dynamic/push/",
            b"/leaf/push/",
            b"/",
            b"/deep",
            b"/deep/none/",
            b"/deep/push/x",
            b"/deep/pu%73h/",
            b"/deep/push/%",
        ]
        self.assertEqual([shortcutOf(site, path + query, False) is not None for path in found], [True] * 3)
        self.assertEqual([shortcutOf(site, path + query, False) for path in missed], [None] * len(missed))
        self.assertIsNotNone(shortcutOf(SocketIOSite(endpoint, reactor=self.server.clock), b"/" + query, False))
        # An upgrade is one of a WebSocket's URL, and no other is.
        self.assertIsNone(shortcutOf(site, b"/deep/push/" + query, True))
        self.assertIsNone(shortcutOf(site, b"/deep/push/?EIO=4&transport=websocket", False))
        self.assertIsNotNone(shortcutOf(site, b"/deep/push/?EIO=4&transport=websocket", True))


class HeadTests(SynchronousTestCase):
    """Which requests are read."""

    def test_usual(self) -> None:
        """A request with its headers, by lower-case name, and where its body is."""
        data = b"POST /a?b HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a:\t2 \r\nEmpty:\r\nContent-Length: 3\r\n\r\nabcdef"
        fields = {"host": "x", "x-a": "1, 2", "empty": "", "content-length": "3"}
        checked = (None, "x", None, None, None, None, None)
        expected = (b"POST", b"/a?b", (fields, 3, False, checked), len(data) - 6, len(data) - 3)
        self.assertEqual(shortcut.readHead(data), expected)
        nothing: Any = ({}, 0, False, (None,) * 7)
        self.assertEqual(shortcut.readHead(b"GET / HTTP/1.1\r\n\r\n"), (b"GET", b"/", nothing, 18, 18))

    def test_upgrade(self) -> None:
        """A head that asks for a WebSocket says so in both of its headers; it is remembered without its key."""
        shortcut._heads.clear()
        for connection in ("Upgrade", "keep-alive, Upgrade"):
            for key in ("a", "b=="):
                fields = {"connection": connection, "upgrade": "WebSocket", "sec-websocket-key": key}
                lines = [f"{name}: {value}\r\n".encode() for name, value in fields.items()]
                for turned in (0, 1, 2):
                    head = b"".join((*lines[turned:], *lines[:turned], b"\r\n"))
                    found = shortcut.readHead(b"GET /a HTTP/1.1\r\n" + head)
                    self.assertEqual(found and found[2][:3], (fields, 0, True))
                    self.assertIsNone(shortcut.readHead(b"POST /a HTTP/1.1\r\n" + head))
        self.assertEqual(len(shortcut._heads), 2 * 2)
        self.assertNotIn(b"key", b"".join(shortcut._heads).lower())
        for headers, said in (
            (b"Sec-WebSocket-Key: a\r\nSec-WebSocket-Key: b\r\n", "a, b"),
            (b"sec-websocket-key:\ta \r\n", "a"),
            (b"X-Sec-WebSocket-Key: a\r\n", None),
            (b"Sec-WebSocket-Key: a b\r\n", "a b"),
            (b"Sec-WebSocket-Key:\r\n", ""),
        ):
            found = shortcut.readHead(b"GET /a HTTP/1.1\r\n" + headers + b"\r\n")
            assert found is not None
            self.assertEqual(found[2].fields.get("sec-websocket-key"), said)
        self.assertIsNone(shortcut.readHead(b"GET /a HTTP/1.1\r\nSec-WebSocket-Key: a\r\nTE: b\r\n\r\n"))
        for headers in (
            b"Connection: Upgrade\r\n",
            b"Upgrade: websocket\r\n",
            b"Connection: keep-alive\r\nUpgrade: websocket\r\n",
            b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
            b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: websocket\r\n",
        ):
            self.assertIsNone(shortcut.readHead(b"GET /a HTTP/1.1\r\n" + headers + b"\r\n"), headers)

    def test_unusual(self) -> None:
        """All others are for Twisted Web."""
        good = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        self.assertIsNotNone(shortcut.readHead(good))
        for old, new in (
            (b"POST", b"PUT"),
            (b"POST /", b"POST  /"),
            (b"/a", b"a"),
            (b"/a", b"/\xff"),
            (b"1.1", b"1.0"),
            (b"Host:", b"Host :"),
            (b"Host:", b" Host:"),
            (b"x\r\n", b"x\r\n\tfolded\r\n"),
            (b"x\r\n", b"x\0\r\n"),
            (b"x\r\n", b"x\rx\r\n"),
            (b"x\r\n", b"x\r\nHost: y\r\n"),
            (b"x\r\n", b"x\r\nContent-Length: 3\r\n"),
            (b"x\r\n", b"x\r\nTransfer-Encoding: identity\r\n"),
            (b"x\r\n", b"x\r\nExpect: 100-continue\r\n"),
            (b"x\r\n", b"x\r\nUpgrade: websocket\r\n"),
            (b"x\r\n", b"x\r\nConnection: close\r\n"),
            (b"x\r\n", b"x\r\n" + b"A: b\r\n" * 100),
            (b"x\r\n", b"x" * 9000 + b"\r\n"),
            (b": 3", b": +3"),
            (b": 3", b": 3, 3"),
            (b": 3", b": \xb2"),
            (b": 3", b": 70000"),
            (b": 3", b": 9999999"),
            (b"POST", b"GET"),
            (b"\r\n\r\n", b"\r\n"),
            (good, b"POST /a HTTP/1.1"),
        ):
            self.assertIsNone(shortcut.readHead(good.replace(old, new, 1)), (old, new))

    def test_forgets(self) -> None:
        """Heads of many clients are not kept."""
        for number in range(2_000):
            shortcut.readHead(b"GET / HTTP/1.1\r\nCookie: %d\r\n\r\n" % number)
        self.assertLess(len(shortcut._heads), 1_000)

    def test_finishedTwice(self) -> None:
        """A request is answered once; one whose connection is gone, never."""
        answers: list[bytes] = []

        class Line:
            """A connection."""

            transport = None
            host = ""

            def isSecure(self) -> bool:
                return False

            def answered(self, answer: bytes) -> None:
                answers.append(answer)

            def handOver(self, protocol: IProtocol) -> bytes:
                raise NotImplementedError

        request = shortcut.ShortRequest(Line(), b"GET", b"/", shortcut.Head({}, 0, False, ()), b"")
        request.setHeader("A", "b")
        request.write(b"body")
        request.finish()
        request.finish()
        request.abort()
        request.lost()
        self.assertEqual((len(answers), request.channel, request.isSecure()), (1, None, False))
        self.assertTrue(answers[0].endswith(b"\r\nA: b\r\n\r\nbody"))


def shortcutOf(site: Any, target: bytes, upgrades: bool) -> Any:
    """What a site finds for a target."""
    return site.shortcut(target, shortcut.timeless(target), upgrades)


REST = b"Host: x\r\nReferer: http://x/?a&t=b&c\r\n\r\n"
#: Requests, as they are without a time, with one, and with two that are as good as the first.
AGAIN: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("GET /socket.io/?EIO=4&transport=polling&t=%s&sid=x", ("abc123", "abc124", "000000")),
    ("POST /socket.io/?EIO=3&transport=polling&t=%s&sid=x&j=0", ("Pabcdef", "Zabcdef", "0-0_0.0")),
    ("GET /socket.io/?t=%s&EIO=3&transport=polling&sid=x", ("Pabcdef", "Zabcdef", "0-0_0.0")),
    ("GET /socket.io/1/xhr-polling/x?t=%s", ("1700000000000", "1700000000001", "1800000000000")),
    ("GET /socket.io/1/jsonp-polling/x?t=%s&i=0", ("1700000000000", "1700000000001", "1800000000000")),
    ("GET /socket.io/xhr-polling/x/%s", ("1700000000000", "1700000000001", "1800000000000")),
    ("GET /socket.io/jsonp-polling/x/%s/3", ("1700000000000", "1700000000001", "1800000000000")),
    ("GET /socket.io/?EIO=4&transport=polling&sid=x%s", ("", "", "")),
)


class HabitTests(ServerCase):
    """Whose requests are known by how they look."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(Server, "siteFactory", SocketIOSite)
        self.server = Server()

    def test_generations(self) -> None:
        """Polls of every generation, whatever the times in their URLs, from the third on."""
        self.patch(XHRPollingResource, "render", lambda self, request: b"ok")
        for url, times in AGAIN:
            if url.startswith("GET") and "jsonp" not in url:
                channel = self.server.connect()._protocol
                read: list[bytes] = []
                self.patch(siteModule, "readHead", lambda data, read=read: read.append(data) or shortcut.readHead(data))
                for time in times:
                    channel.dataReceived(f"{url % time} HTTP/1.1\r\n".encode() + REST)
                self.assertEqual(len(read), 2, url)

    def test_inPieces(self) -> None:
        """A request that comes in pieces is one."""
        id = self.server.open()
        channel = self.server.connect()._protocol
        head = f"POST /socket.io/xhr-polling/{id}/send HTTP/1.1\r\nContent-Length: 13\r\n\r\n".encode()
        for piece in (head, *(bytes([byte]) for byte in b"data=~m~1~m~x")):
            channel.dataReceived(piece)
        self.assertEqual((self.server.notes.messages, channel._known), (["x"], {}))

    def test_sharedResources(self) -> None:
        """Clients of Engine.IO share what their URLs have in common, and no ids, which are secrets."""
        site: Any = self.server.site
        endpoint = site.resource.children[b"socket.io"]
        query = b"/socket.io/?EIO=4&transport=polling"
        for time in (b"", b"&t=abc", b"&t=def"):
            self.assertIs(shortcutOf(site, query + time, False), shortcutOf(site, query + time, False))
        self.assertEqual(len(endpoint._resources), 2)
        first, second = (shortcutOf(site, query + b"&t=x&sid=%b" % id, False) for id in (b"one", b"two"))
        self.assertEqual([each._route.sessionID for each in (first, second)], ["one", "two"])
        self.assertIs(first._last, second._last)
        self.assertEqual(len(endpoint._resources), 2)
        for target in (b"/socket.io/xhr-polling//1322000000000", b"/socket.io/1/xhr-polling/x?t=1"):
            self.assertIsNot(shortcutOf(site, target, False), shortcutOf(site, target, False))
        for number in range(200):
            shortcutOf(site, query + b"&a=%d" % number, False)
            self.assertLessEqual(len(endpoint._resources), 64)
        endpoint._resources.clear()
        for count in (15, 16):  # of fields, two of which ask for polls
            shortcutOf(site, query + b"".join(b"&a%d=" % number for number in range(count - 2)), False)
            self.assertEqual(len(endpoint._resources), 1)

    def test_changingTree(self) -> None:
        """An endpoint that was found is looked for again when the tree has changed; no path with an id is kept."""
        site: Any = self.server.site
        root, target = site.resource, b"/socket.io/?EIO=4&transport=polling"
        endpoint = root.children[b"socket.io"]
        self.assertIsNotNone(shortcutOf(site, target, False))
        self.assertIs(site._way.endpoint, endpoint)
        self.assertIsNotNone(shortcutOf(site, b"/socket.io/xhr-polling/abc", False))
        self.assertEqual(site._way.path, b"/socket.io/")
        root.putChild(b"socket.io", Resource())
        self.assertIsNone(shortcutOf(site, target, False))
        other = SocketIOResource(SocketIO(self.server.clock))
        root.putChild(b"socket.io", other)
        self.assertIsNotNone(shortcutOf(site, target, False))
        self.assertIs(site._way.endpoint, other)
        site.resource = Resource()
        self.assertIsNone(shortcutOf(site, target, False))

    def test_tooManyFields(self) -> None:
        """A query of so many fields that it counts for nothing does so with a session's id in it, too."""
        site: Any = self.server.site
        for count, id in ((64, "x"), (65, "")):
            query = "EIO=4&transport=polling&sid=x" + "".join(f"&a{number}=" for number in range(count - 3))
            for _ in range(2):
                route = shortcutOf(site, f"/socket.io/?{query}".encode(), False)._route
                self.assertEqual(route, self.server.sio.admission.route([""], parseQuery(query)))
                self.assertEqual(route.sessionID, id)

    def test_sessionIDs(self) -> None:
        """The id of a session is the last one that a URL has, wherever that is."""
        site: Any = self.server.site
        for query in (
            "EIO=4&transport=polling&sid=a",
            "EIO=4&transport=polling&sid=a&t=1",
            "sid=a&EIO=4&transport=polling",
            "EIO=4&transport=polling&sid=b&sid=a",
            "EIO=4&transport=polling&sid=b&%73id=a",
            "sid=b&EIO=4&transport=polling&sid=a",
            "EIO=4&transport=polling&xsid=b&sid=a",
            "EIO=4&transport=polling&sid=%61",
            "EIO=4&transport=polling&sid=a&x=&sid",
        ):
            for _ in range(2):
                resource = shortcutOf(site, b"/socket.io/?" + query.encode(), False)
                route = self.server.sio.admission.route([""], parseQuery(query))
                self.assertEqual(resource._route, route, query)
        site.resource.putChild(b"x&sid=a&b", site.resource.children[b"socket.io"])
        self.assertEqual(shortcutOf(site, b"/x&sid=a&b/?EIO=4&transport=polling", False)._route.sessionID, "")


class GarbageTests(SynchronousTestCase):
    """What is left of clients that have left."""

    def test_nothing(self) -> None:
        """They need no garbage collector to go."""
        clock = Clock()
        sio = SocketIO(clock)
        heard: list[str] = []
        sio.onDisconnect(lambda connection, reason: heard.append(reason))
        root = Resource()
        root.putChild(b"socket.io", SocketIOResource(sio))
        site = SocketIOSite(root, reactor=clock)
        site.startFactory()
        self.addCleanup(site.stopFactory)

        def ask(method: str, query: str, body: str = "") -> Any:
            protocol = site.buildProtocol(None)
            end = ServerEnd(clock, protocol, IPv4Address("TCP", ADDRESS, 54321))
            end.setTcpNoDelay = lambda enabled: None  # type: ignore[attr-defined]
            protocol.makeConnection(end)
            head = (
                f"{method} /socket.io/?EIO=4&transport=polling{query} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            protocol.dataReceived(f"{head}{body}".encode())
            clock.advance(0)
            end.lost(ConnectionDone())
            return end.value()

        def living() -> int:
            return sum(isinstance(each, (Session, Client, Connection)) for each in gc.get_objects())

        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        before = living()
        ids = []
        for _ in range(3):
            found = re.search(rb'"sid":"([^"]+)"', ask("GET", ""))
            assert found is not None
            ids.append(found[1].decode())
            ask("POST", f"&sid={ids[-1]}", "40")
        self.assertEqual(living(), before + 9)
        for id in ids:
            ask("POST", f"&sid={id}", "1")
        self.assertEqual((living(), heard), (before, ["transport close"] * 3))


class PatternTests(SynchronousTestCase):
    """Requests that are known by how they look."""

    def made(self, url: str, time: str, body: bytes = b"") -> tuple[bytes, shortcut.Pattern]:
        """A request, and how such look."""
        data = f"{url % time} HTTP/1.1\r\n".encode() + REST
        return data + body, shortcut.Pattern(data + body, len(data), len(body))

    def test_again(self) -> None:
        """The same with another time is known, and its target is told."""
        for url, times in AGAIN:
            first, pattern = self.made(url, times[0], b"abc")
            for time in times:
                other, _ = self.made(url, time, b"and what follows")
                self.assertTrue(pattern.fits(other), other)
                self.assertEqual(pattern.uri(other).decode(), (url % time).split(" ")[1])
                self.assertEqual(other[pattern.start :], b"and what follows")
            self.assertFalse(pattern.fits(first[: pattern.start - 1]))

    def test_noTime(self) -> None:
        """What is no time has to be the same."""
        for url, one, other in (
            ("GET /socket.io/1700000000000/%s", "a", "b"),
            ("GET /1700000000%s/socket.io/xhr-polling/x", "000", "001"),
            ("GET /socket.io/xhr-polling/%s", "1700000000000", "1700000000001"),
            ("GET /socket.io/xhr-polling/x/1?%s", "a", "b"),
            ("GET /a&t=%s&b?EIO=4&transport=polling", "abc", "abd"),
            ("GET /socket.io/?EIO=4&transport=polling&t=%s&sid=x", "a~b", "a~c"),
            ("GET /socket.io/1/xhr-polling/x?t=%s", "a", ""),
            ("GET /socket.io/?transpor%s&sid=x", "t=polling", "t=pollinh"),
            ("GET /socket.io/xhr-polling/x/%s", "1700000000000", "abcdefghijklm"),
            ("GET /socket.io/?t=%s&sid=x", "abc", "a&c"),
            ("GET /socket.io/?t=%s&sid=x", "abc", "a c"),
            ("GET /socket.io/?t=%s&sid=x", "abc", "abcd"),
        ):
            _, pattern = self.made(url, one)
            self.assertFalse(pattern.fits(self.made(url, other)[0]), (url, other))

    @checks.PROPERTY
    @given(
        st.sampled_from([url % times[0] for url, times in AGAIN]),
        st.integers(0, 200),
        st.sampled_from((b"", b"0", b"a", b"Z", b"/", b"?", b"&", b"=", b" ", b"\r\n", b"%", b"t=", b"1700000000000")),
        st.booleans(),
    )
    def test_same(self, request: str, place: int, intruder: bytes, replaces: bool) -> None:
        """Whatever fits has the same route, the same headers, and its body at the same place."""
        good = f"{request} HTTP/1.1\r\n".encode() + REST
        pattern = shortcut.Pattern(good, len(good), 0)
        changed = good[:place] + intruder + good[place + (len(intruder) if replaces else 0) :]
        if not pattern.fits(changed):
            return
        (found, *place_), (same, *samePlace) = self.told(good), self.told(changed)
        self.assertEqual((found, place_), (same, samePlace))
        self.assertEqual(pattern.uri(changed), changed.split(b" ")[1])

    def told(self, data: bytes) -> tuple[Any, ...]:
        """What there is to know of a request."""
        found = shortcut.readHead(data)
        assert found is not None
        method, target, head, start, stop = found
        path, _, query = target.decode().partition("?")
        admission = Admission(SessionRegistry(Clock(), Config(), FakeReceiver()))
        segments = path.removeprefix("/socket.io/").split("/")
        return admission.route(segments, parseQuery(query)), method, head, start, stop
