"""
What all HTTP transports have in common: headers, methods, paths, a server that stops, unknown sessions.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionAborted
from twisted.python.failure import Failure

from siotwisted.config import Config
from siotwisted.dialects.socketio06 import SOCKETIO_06
from siotwisted.interfaces import IPacketReceiver
from siotwisted.transports.http import abort, addressText
from siotwisted.wire.sio06 import SIOCodec
from tests.transports import ADDRESS, COMMON, Server, ServerCase
from tests.transports.requests import asks

#: Everything that a hostile client can say about itself.
HOSTILE = "<script>alert(1)</script>\x1b[31m"


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
                        "access-control-allow-headers": "Authorization, Content-Type",
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
            "/xhr-pollingx",
            "/XHR-POLLING/",
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
        """It says so to everyone who is new, by every method, on every transport, and opens nothing."""
        server = Server()
        server.sio.stop()
        for _, client in asks(server):
            self.assertRefused(client, 503, "the server is stopping")
        self.assertEqual(server.notes.connected, [])

    def test_beforeTheRest(self) -> None:
        """It says so even to those whom it would refuse anyhow, the pages of foreign origins."""
        server = Server()
        server.sio.stop()
        for _, client in asks(server, "", {"Origin": "http://evil.example"}):
            self.assertRefused(client, 503, "the server is stopping")

    def test_unknown(self) -> None:
        """Ids that it does not know are as unknown as ever: a client with one would come back with none."""
        server = Server()
        server.sio.stop()
        for _, client in asks(server, "anUnknownSession"):
            self.assertCut(client)


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
