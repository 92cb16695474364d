"""
``dialects``: what the URLs of real clients ask for, what proxies make of them, and that nothing else asks for anything.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.dialects import SOCKETIO_06, SOCKETIO_06_CODECS, Dialect, Route, route
from siotwisted.wire.sio06 import SIOCodec
from siotwisted.wire.sio06streaming import SIOStreamingCodec
from tests.wire import checks

CODECS = {codec.name: codec for codec in SOCKETIO_06_CODECS}
TIME = "1299090000000"
ID = "aBcDeFgHiJkLmNoPqRsTuVwXyZ0"


def ask(path: str) -> Route | None:
    """What a path below the endpoint asks for."""
    return route(path.split("/"), CODECS)


class RouteTests(SynchronousTestCase):
    """Paths."""

    def assertAsks(self, path: str, transport: str, sessionID: str = "", index: int | None = None, **more: Any) -> None:
        """A path asks for a transport, a session and the index of a callback."""
        self.assertEqual(ask(path), Route(SOCKETIO_06, more.get("codec", SIOCodec), transport, sessionID, index), path)

    def assertNothing(self, *paths: str) -> None:
        """These paths ask for nothing."""
        for path in paths:
            self.assertIs(ask(path), None, path)

    def test_clientURLs(self) -> None:
        """Each URL that a client of 0.6 asks for."""
        self.assertAsks("websocket", "websocket")
        self.assertAsks("flashsocket", "flashsocket")
        self.assertAsks(f"xhr-polling//{TIME}", "xhr-polling")
        self.assertAsks(f"xhr-polling/{ID}/{TIME}", "xhr-polling", ID)
        self.assertAsks("xhr-multipart/", "xhr-multipart")
        self.assertAsks(f"htmlfile//{TIME}", "htmlfile")
        for transport in ("xhr-polling", "xhr-multipart", "htmlfile"):
            self.assertAsks(f"{transport}/{ID}/send", transport, ID)
        self.assertAsks(f"jsonp-polling//{TIME}/0", "jsonp-polling", "", 0)
        self.assertAsks(f"jsonp-polling/{ID}/{TIME}/12", "jsonp-polling", ID, 12)

    def test_slashes(self) -> None:
        """Slashes at the end don't matter, on any transport."""
        for transport in SOCKETIO_06.transports:
            for end in ("", "/", "//", "///"):
                self.assertAsks(f"{transport}{end}", transport)
                self.assertAsks(f"{transport}/{ID}{end}", transport, ID)
        self.assertAsks(f"jsonp-polling/{ID}/{TIME}/3/", "jsonp-polling", ID, 3)

    def test_mergedSlashes(self) -> None:
        """Where a proxy merged slashes, the time in the place of the id is no id."""
        self.assertAsks(f"xhr-polling/{TIME}", "xhr-polling")
        self.assertAsks(f"htmlfile/{TIME}/", "htmlfile")
        self.assertAsks(f"jsonp-polling/{TIME}/7", "jsonp-polling", "", 7)
        for number in ("1" * 12, "1" * 20):
            self.assertAsks(f"xhr-polling/{number}", "xhr-polling")
        for other in ("1" * 11, "1" * 21, "1" * 12 + "a", "\u0661" * 13, "+" + "1" * 12):
            self.assertAsks(f"xhr-polling/{other}", "xhr-polling", other)

    def test_whatFollowsIsIgnored(self) -> None:
        """What follows the id matters to JSONP alone, and there only the last segment."""
        self.assertAsks(f"xhr-polling/{ID}/{TIME}/5/6", "xhr-polling", ID)
        self.assertAsks(f"xhr-polling/{ID}/../x", "xhr-polling", ID)
        self.assertAsks(f"jsonp-polling/{ID}/{TIME}/5/6", "jsonp-polling", ID, 6)

    def test_index(self) -> None:
        """An index is one to nine ASCII digits; anything else is none, and so is the id's own segment."""
        for index in ("0", "00", "007", "123456789"):
            self.assertAsks(f"jsonp-polling/{ID}/{TIME}/{index}", "jsonp-polling", ID, int(index))
        for odd in (
            *("1234567890", "-1", "+1", "1_0", " 1", "1 ", "1.0", "0x1", "\u0661", "\xb2", "\uff14", "alert(1)"),
            *("0];x(", "0);x", "1\n", "1;", "'", '"', "\0"),
        ):
            self.assertAsks(f"jsonp-polling/{ID}/{TIME}/{odd}", "jsonp-polling", ID)
        self.assertAsks(f"jsonp-polling/{ID}/{TIME}", "jsonp-polling", ID)
        self.assertAsks(f"jsonp-polling//{TIME}", "jsonp-polling")
        self.assertAsks("jsonp-polling/5", "jsonp-polling", "5")
        self.assertAsks("jsonp-polling", "jsonp-polling")

    def test_codecs(self) -> None:
        """A codec's name before the transport asks for that codec; without one it is the first."""
        self.assertAsks("streaming/websocket", "websocket", codec=SIOStreamingCodec)
        self.assertAsks(f"streaming/xhr-polling//{TIME}", "xhr-polling", codec=SIOStreamingCodec)
        self.assertAsks(f"streaming/xhr-polling/{ID}/send", "xhr-polling", ID, codec=SIOStreamingCodec)
        self.assertAsks(f"streaming/jsonp-polling/{ID}/{TIME}/4", "jsonp-polling", ID, 4, codec=SIOStreamingCodec)
        self.assertAsks("sio/websocket", "websocket")
        turned = {"streaming": SIOStreamingCodec, "sio": SIOCodec}
        found = [route(path.split("/"), turned) for path in ("websocket", "sio/websocket")]
        self.assertEqual([each and each.codec for each in found], [SIOStreamingCodec, SIOCodec])

    def test_codecNotServed(self) -> None:
        """A codec that the server was not given has no URLs."""
        self.assertIs(route(["streaming", "websocket"], {"sio": SIOCodec}), None)

    def test_otherPaths(self) -> None:
        """Nothing else asks for anything: other generations, client files, two codecs, other spellings."""
        self.assertNothing(
            "", "/", "//websocket", "/websocket", "1/websocket", "1", "socket.io.js", "WebSocketMain.swf"
        )
        self.assertNothing("streaming", "streaming/", "sio", "streaming/sio/websocket", "streaming/streaming/websocket")
        self.assertNothing("WebSocket", "websocket ", "websocketx", "xhr", "xhr-polling?x", "lib/vendor/x.swf", "..")
        self.assertIs(route([], CODECS), None)

    def test_longID(self) -> None:
        """An id that is longer than any of ours asks for nothing."""
        self.assertAsks(f"xhr-polling/{'a' * 64}", "xhr-polling", "a" * 64)
        self.assertNothing(
            f"xhr-polling/{'a' * 65}", f"xhr-polling/{'a' * 65}/send", f"jsonp-polling/{'1' * 100_000}/1/1"
        )

    def test_oddIDs(self) -> None:
        """Ids are only looked up, so any short one will do."""
        for sessionID in ("__proto__", "websocket", "streaming", "..", "\0", "♥😀", "\ud800", "%2e", "'\"<>"):
            self.assertAsks(f"xhr-polling/{sessionID}/send", "xhr-polling", sessionID)

    @checks.PROPERTY
    @given(
        st.lists(
            st.sampled_from([*SOCKETIO_06.transports, *CODECS, "", TIME, ID, "send", "0", "12345"])
            | st.text(max_size=70)
        )
    )
    def test_anyPath(self, segments: list[str]) -> None:
        """Any path asks for a transport that there is, or for nothing; it is never changed."""
        before = list(segments)
        asked = route(segments, CODECS)
        self.assertEqual(segments, before)
        if asked is not None:
            self.assertIn(asked.transport, segments[:2])
            self.assertIn(asked.transport, SOCKETIO_06.transports)
            self.assertIn(asked.sessionID, [*segments, ""])
            self.assertTrue(asked.index is None or 0 <= asked.index < 10**9)


class DialectTests(SynchronousTestCase):
    """The table."""

    def test_socketIO06(self) -> None:
        """The six transports of 0.6, and the answer to a client that the application refuses."""
        transports = ("websocket", "flashsocket", "htmlfile", "xhr-multipart", "xhr-polling", "jsonp-polling")
        self.assertEqual(SOCKETIO_06, Dialect(transports=transports, unauthorized=401))
        self.assertEqual(SOCKETIO_06_CODECS, (SIOCodec, SIOStreamingCodec))
