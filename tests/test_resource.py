"""
The endpoint as a resource: at any place of a site, beside the site's other resources, and under treq's test double.
"""

from __future__ import annotations

import re
from typing import Any

from treq.testing import RequestTraversalAgent, StubTreq
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.static import Data

from siotwisted.config import Config
from siotwisted.dialects.socketio06 import SOCKETIO_06
from siotwisted.resource import SocketIOResource
from tests.transports import COMMON, Application, Server, ServerCase, SilentSite


class Elsewhere(Server):
    """
    A server whose endpoint is at another place.

    :param root: the site's root.
    :param endpoint: the path at which ``root`` has the endpoint.
    """

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self.endpoint = endpoint
        *way, name = endpoint.split("/")[1:] or [""]
        resource: Resource = SocketIOResource(self.sio)
        for segment in [name, *reversed(way)] if name else []:
            parent = Resource()
            parent.putChild(b"", Data(b"index", "text/plain"))
            parent.putChild(b"page", Data(b"page", "text/plain"))
            parent.putChild(segment.encode("ascii"), resource)
            resource = parent
        self.site = SilentSite(resource, timeout=None, reactor=self.clock)


class PlaceTests(ServerCase):
    """Where the endpoint may hang."""

    def test_anywhere(self) -> None:
        """Under any name, at any depth, and as the root of the site, all transports work."""
        for endpoint in ("/socket.io", "/push", "/a/b/sock", "/socket.io/socket.io", "/xhr-polling", ""):
            server = Elsewhere(endpoint)
            for transport in ("xhr-polling", "jsonp-polling", "htmlfile", "xhr-multipart", "streaming/xhr-polling"):
                response = server.get(f"/{transport}//1322000000000/0").response()
                self.assertEqual(response.status, 200, f"{endpoint}/{transport}")
                self.assertIn(server.connection.id.encode(), response.body)
            sessionID = server.open()
            poll = server.get(f"/xhr-polling/{sessionID}/1")
            server.post(f"/xhr-polling/{sessionID}/send", "~m~1~m~x")
            server.connection.send("y")
            server.turn()
            self.assertEqual((poll.response().body, server.notes.messages), (b"~m~1~m~y", ["x"]))

    def test_webSocketAnywhere(self) -> None:
        """The upgrade works there, too."""
        for endpoint in ("/socket.io", "/a/b/sock", ""):
            server = Elsewhere(endpoint)
            client = server.request(
                "GET",
                "/websocket",
                {
                    "Connection": "Upgrade",
                    "Upgrade": "websocket",
                    "Sec-WebSocket-Version": "13",
                    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                },
            )
            head, _, frames = client.received.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 101 "), head)
            self.assertEqual(frames, b"\x81\x23~m~27~m~" + server.connection.id.encode())

    def test_besideOthers(self) -> None:
        """The site's other pages are what they were."""
        server = Elsewhere("/a/b/sock")
        for path, body in (("/", b"index"), ("/page", b"page"), ("/a/page", b"page"), ("/a/b/", b"index")):
            client = server.connect()
            client.send(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            self.assertEqual(client.response().body, body)

    def test_notTheNeighbours(self) -> None:
        """A name that only begins like the endpoint's is not the endpoint, nor is a path that leads round it."""
        server = Server()
        for path in ("/socket.iofoo/xhr-polling//1", "/socket.io%2fxhr-polling//1", "//socket.io/xhr-polling//1"):
            client = server.connect()
            client.send(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            self.assertEqual(client.response().status, 404)
        self.assertEqual(server.notes.connected, [])

    def test_twoEndpoints(self) -> None:
        """Two resources of one server share its sessions; two servers share none."""
        server, other = Server(), Application(Clock())
        root = Resource()
        root.putChild(b"one", SocketIOResource(server.sio))
        root.putChild(b"two", SocketIOResource(server.sio))
        root.putChild(b"other", SocketIOResource(other))
        server.site = SilentSite(root, timeout=None, reactor=server.clock)
        server.endpoint = "/one"
        sessionID = server.open()
        server.endpoint = "/two"
        self.assertEqual(server.post(f"/xhr-polling/{sessionID}/send", "~m~1~m~x").response().body, b"ok")
        server.endpoint = "/other"
        self.logged()
        self.assertCut(server.post(f"/xhr-polling/{sessionID}/send", "~m~1~m~x"))

    def test_escapedPath(self) -> None:
        """Escapes in a path mean what they escape."""
        server = Server()
        response = server.get("/%78hr-polling//1").response()
        self.assertEqual(response.body, f"~m~27~m~{server.connection.id}".encode())


class RouteTests(ServerCase):
    """Which transport answers which URL."""

    def test_everyTransport(self) -> None:
        """Each is at its name, with the type of answer that is its own."""
        server = Server()
        types = {
            "xhr-polling": "text/plain; charset=UTF-8",
            "jsonp-polling": "text/javascript; charset=UTF-8",
            "htmlfile": "text/html; charset=utf-8",
            "xhr-multipart": 'multipart/x-mixed-replace;boundary="socketio"',
        }
        for transport, contentType in types.items():
            response = server.get(f"/{transport}//1322000000000/0").response()
            self.assertEqual((response.status, response.headers["content-type"]), (200, contentType))
            self.assertEqual(server.connection.transport, transport)

    def test_webSocketWithoutUpgrade(self) -> None:
        """A plain GET of a WebSocket is told what is missing."""
        for transport in ("websocket", "flashsocket"):
            client = Server().get(f"/{transport}")
            self.assertEqual(client.response().headers["upgrade"], "websocket")
            self.assertRefused(client, 426, "this is a WebSocket")

    def test_upgradeElsewhere(self) -> None:
        """An offer to upgrade, on a transport that can't, is passed over."""
        server = Server()
        client = server.get("/xhr-polling//1", Connection="Upgrade", Upgrade="websocket")
        self.assertEqual(client.response().body, f"~m~27~m~{server.connection.id}".encode())

    def test_onlySome(self) -> None:
        """A server with few transports has no others."""
        for transport in SOCKETIO_06.transports:
            server = Server(Config(transports=[each for each in SOCKETIO_06.transports if each != transport]))
            self.assertRefused(server.get(f"/{transport}//1/0"), 404, "no such transport")

    def test_notFound(self) -> None:
        """What is no URL of a client gets a fixed text, with the headers of every answer."""
        response = Server().get("/socket.io.js").response()
        self.assertEqual((response.status, response.body), (404, b"not a Socket.IO URL"))
        self.assertEqual(
            response.headers, {**COMMON, "content-type": "text/plain; charset=UTF-8", "content-length": "19"}
        )


class TreqTests(SynchronousTestCase):
    """The resource under ``treq.testing``, as users test theirs."""

    def setUp(self) -> None:
        """A server that echoes, and a client in memory."""
        self.clock = Clock()
        self.sio = Application(self.clock)
        self.sio.onMessage(lambda connection, message: connection.send(message))
        root = Resource()
        root.putChild(b"socket.io", SocketIOResource(self.sio))
        self.treq: Any = StubTreq(root)

    def test_echo(self) -> None:
        """A message, posted, comes back by the poll."""
        base = "http://chat.example/socket.io/xhr-polling"
        response = self.treq.get(f"{base}//1")
        self.clock.advance(0)
        self.treq.flush()
        greeting = self.successResultOf(self.treq.text_content(self.successResultOf(response)))
        match = re.fullmatch("~m~27~m~(.*)", greeting)
        assert match is not None
        poll = self.treq.get(f"{base}/{match[1]}/2")
        self.assertNoResult(poll)
        post = self.successResultOf(self.treq.post(f"{base}/{match[1]}/send", data={"data": "~m~2~m~é!"}))
        self.assertEqual(self.successResultOf(self.treq.text_content(post)), "ok")
        self.clock.advance(0)
        self.treq.flush()
        answer = self.successResultOf(self.treq.text_content(self.successResultOf(poll)))
        self.assertEqual(answer, "~m~2~m~é!")

    def test_refusal(self) -> None:
        """A refusal is a response as any other."""
        response = self.successResultOf(
            self.treq.get("http://chat.example/socket.io/xhr-polling//1", headers={"Origin": "http://evil.example"})
        )
        self.assertEqual(response.code, 403)

    def test_agent(self) -> None:
        """The agent below is enough, too."""
        root = Resource()
        root.putChild(b"socket.io", SocketIOResource(self.sio))
        agent = RequestTraversalAgent(root)
        response: Any = self.successResultOf(agent.request(b"OPTIONS", b"http://chat.example/socket.io/xhr-polling"))
        self.assertEqual(response.code, 200)
