"""
``dialects.routing``: what the URLs of real clients ask for, what proxies make of them, and that nothing else asks for
anything.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.dialects.dialect import Problem, Route
from siotwisted.dialects.engineio import ENGINEIO_2, ENGINEIO_3, ENGINEIO_4, ENGINES, PLAIN_ENGINES
from siotwisted.dialects.routing import Router
from siotwisted.dialects.socketio06 import SOCKETIO_06, SOCKETIO_06_CODECS
from siotwisted.dialects.socketio09 import PROTOCOLS, SOCKETIO_09
from siotwisted.wire.enginecodec import EngineIO3Codec, EngineIO4Codec, SocketIO5Codec
from siotwisted.wire.sio06 import SIOCodec
from siotwisted.wire.sio06streaming import SIOStreamingCodec
from siotwisted.wire.sio09 import SocketIO09Codec
from tests.wire import checks

CODECS = {codec.name: codec for codec in SOCKETIO_06_CODECS}
ROUTER = Router(CODECS, ENGINES, PROTOCOLS)
TIME = "1299090000000"
CARRIERS = (
    *("websocket", "htmlfile", "xhr-multipart", "xhr-polling", "jsonp-polling"),
    *("handshake", "goodbye"),
)
ID = "aBcDeFgHiJkLmNoPqRsTuVwXyZ0"


def ask(path: str, **query: str) -> Route | None:
    """What a path below the endpoint asks for."""
    return ROUTER.route(path.split("/"), query)


class SocketIO06Tests(SynchronousTestCase):
    """Paths of the clients 0.5 and 0.6."""

    def assertAsks(self, path: str, transport: str, sessionID: str = "", index: int | None = None, **more: Any) -> None:
        """A path asks for a transport, a session and the index of a callback."""
        carrier = "websocket" if transport == "flashsocket" else transport
        route = Route(SOCKETIO_06, more.get("codec", SIOCodec), transport, carrier, sessionID, index)
        self.assertEqual(ask(path), route, path)

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
        found = [Router(turned, {}, {}).route(path.split("/"), {}) for path in ("websocket", "sio/websocket")]
        self.assertEqual([each and each.codec for each in found], [SIOStreamingCodec, SIOCodec])

    def test_codecNotServed(self) -> None:
        """A codec that the server was not given has no URLs."""
        self.assertIs(Router({"sio": SIOCodec}, ENGINES, PROTOCOLS).route(["streaming", "websocket"], {}), None)

    def test_otherPaths(self) -> None:
        """Nothing else asks for anything: other generations, client files, two codecs, other spellings."""
        self.assertNothing(
            "//websocket", "/websocket", "1a/websocket", "\u0661", "socket.io.js", "WebSocketMain.swf", "-1", "1.0"
        )
        self.assertNothing("streaming", "streaming/", "sio", "streaming/sio/websocket", "streaming/streaming/websocket")
        self.assertNothing("WebSocket", "websocket ", "websocketx", "xhr", "xhr-polling?x", "lib/vendor/x.swf", "..")

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
            st.sampled_from([*SOCKETIO_06.transports, *CODECS, "", TIME, ID, "send", "0", "1", "12345"])
            | st.text(max_size=70)
        ),
        st.dictionaries(
            st.sampled_from(["EIO", "transport", "sid", "j", "i", "t", "jsonp", "disconnect"]),
            st.sampled_from(["2", "3", "4", "polling", "websocket", ID, ""]) | st.text(max_size=70),
        ),
    )
    def test_anyURL(self, segments: list[str], query: dict[str, str]) -> None:
        """Any URL asks for something that there is, or for nothing; neither path nor query is ever changed."""
        before = list(segments), dict(query)
        asked = ROUTER.route(segments, query)
        self.assertEqual((segments, query), before)
        if asked is None:
            return
        self.assertIn(asked.carrier, CARRIERS)
        self.assertIn(asked.sessionID, [*segments, *query.values(), "", "?"])
        self.assertLessEqual(len(asked.sessionID), 64)
        self.assertTrue(asked.callback is None or 0 <= asked.callback < 10**9)
        if asked.problem is None and asked.carrier not in ("handshake", "goodbye"):
            self.assertIn(asked.transport, asked.dialect.transports)
        if asked.carrier == "jsonp-polling" and asked.dialect is not SOCKETIO_06:
            self.assertIsNotNone(asked.callback)


class SocketIO09Tests(SynchronousTestCase):
    """URLs of the clients 0.7 to 0.9, as each version asks for them."""

    def assertAsks(
        self, path: str, transport: str, carrier: str, sessionID: str = "", index: int | None = None, /, **query: str
    ) -> None:
        """A URL asks for a transport of a session, or for a session."""
        route = Route(SOCKETIO_09, SocketIO09Codec, transport, carrier, sessionID, index)
        self.assertEqual(ask(path, **query), route, (path, query))

    def test_handshake(self) -> None:
        """The handshake, with and without a slash, and with the query of the user."""
        for path in ("1", "1/", "1//", "1///"):
            self.assertAsks(path, "", "handshake", t=TIME)
            self.assertAsks(path, "", "handshake", t=TIME, room="blue", sid="x", EIO="4", transport="polling")

    def test_handshakeByScript(self) -> None:
        """Pages of other origins ask by a script; what is not a number asks for no script."""
        for text, index in (("0", 0), ("12", 12), ("7x", 7), ("x", None), ("", None), ("\u0661", None)):
            self.assertAsks("1/", "", "handshake", "", index, jsonp=text, t=TIME)

    def test_polls(self) -> None:
        """``?tTIME`` of 0.7.0 to 0.7.4, no query of 0.7.5, ``?t=TIME`` since."""
        for query in ({"t" + TIME: ""}, {}, {"t": TIME}, {"room": "blue", "t": TIME}):
            for path in (f"1/xhr-polling/{ID}", f"1/xhr-polling/{ID}/"):
                self.assertAsks(path, "xhr-polling", "xhr-polling", ID, **query)

    def test_scripts(self) -> None:
        """JSONP has its index in the query, and 0 without one."""
        for path in (f"1/jsonp-polling/{ID}", f"1/jsonp-polling/{ID}/"):
            for text, index in (("0", 0), ("3", 3), ("12abc", 12), ("", 0), ("0];x(", 0), ("x", 0)):
                self.assertAsks(path, "jsonp-polling", "jsonp-polling", ID, index, t=TIME, i=text)
            self.assertAsks(path, "jsonp-polling", "jsonp-polling", ID, 0)
        self.assertAsks(f"1/htmlfile/{ID}/", "htmlfile", "htmlfile", ID, None, t=TIME, i="3")

    def test_sockets(self) -> None:
        """WebSockets, and those of Flash, which are the same."""
        self.assertAsks(f"1/websocket/{ID}", "websocket", "websocket", ID)
        self.assertAsks(f"1/flashsocket/{ID}", "flashsocket", "websocket", ID)
        self.assertAsks(f"1/websocket/{ID}", "websocket", "websocket", ID, room="blue")

    def test_goodbye(self) -> None:
        """Any URL with a session and ``disconnect`` ends it; the transport may be missing, as since 0.9.9."""
        for path in (f"1//{ID}/", f"1//{ID}", f"1/xhr-polling/{ID}", f"1/websocket/{ID}/", f"1/nothing/{ID}"):
            transport = path.split("/")[1]
            for value in ("", "1"):
                self.assertAsks(path, transport, "goodbye", ID, disconnect=value)
        self.assertAsks("1/xhr-polling/", "xhr-polling", "goodbye", "?", disconnect="")

    def test_noSession(self) -> None:
        """A transport without a session never begins one: the session is one that nobody has."""
        for path in ("1/xhr-polling", "1/xhr-polling/", "1/websocket", "1/websocket//"):
            transport = path.split("/")[1]
            self.assertAsks(path, transport, transport, "?")

    def test_otherPaths(self) -> None:
        """Nothing else asks for anything: other transports, more segments, endless ids."""
        for path in (
            f"1/xhr-multipart/{ID}",
            f"1/smoke/{ID}",
            f"1/polling/{ID}",
            f"1/streaming/xhr-polling/{ID}",
            f"1/xhr-polling/{ID}/x",
            f"1/xhr-polling/{ID}//x",
            f"1//{ID}",
            "1/xhr-polling/" + "a" * 65,
            "1/" + "a" * 65,
        ):
            self.assertIsNone(ask(path, t=TIME), path)
        self.assertAsks("1/xhr-polling/" + "a" * 64, "xhr-polling", "xhr-polling", "a" * 64)

    def test_version(self) -> None:
        """Any other number is that of a protocol that there is not."""
        for version in ("0", "2", "01", "11", "9" * 30):
            for rest in ("", "/", f"/xhr-polling/{ID}", f"/websocket/{ID}"):
                found = ask(version + rest, t=TIME)
                assert found is not None
                self.assertEqual((found.dialect, found.problem), (SOCKETIO_09, Problem.VERSION), version + rest)

    def test_notServed(self) -> None:
        """A server without codecs of Socket.IO 0.6 has none of these URLs."""
        router = Router({}, ENGINES, {})
        for path in ("1", f"1/xhr-polling/{ID}", "xhr-polling", "websocket"):
            self.assertIsNone(router.route(path.split("/"), {}), path)


class EngineIOTests(SynchronousTestCase):
    """URLs of the clients from 1.0 on: all is in the query."""

    def assertAsks(self, route: Route, **query: str) -> None:
        """A query asks for this, whatever slashes are before it."""
        for path in ("", "/", "//"):
            self.assertEqual(ask(path, **query), route, query)
        self.assertEqual(ROUTER.route([], query), route)

    def test_generations(self) -> None:
        """``EIO`` says which generation; 2 is what 1.0.x says of itself."""
        for text, dialect in (("4", ENGINEIO_4), ("3", ENGINEIO_3), ("2", ENGINEIO_2)):
            self.assertAsks(Route(dialect, dialect.codec, "polling", "xhr-polling"), EIO=text, transport="polling")
            self.assertAsks(Route(dialect, dialect.codec, "websocket", "websocket"), EIO=text, transport="websocket")
            self.assertAsks(
                Route(dialect, dialect.codec, "polling", "xhr-polling", ID),
                EIO=text,
                transport="polling",
                sid=ID,
                t="x",
            )
            self.assertAsks(
                Route(dialect, dialect.codec, "websocket", "websocket", ID), EIO=text, transport="websocket", sid=ID
            )

    def test_version(self) -> None:
        """Without a known ``EIO``, or with none, the version is the problem."""
        route = Route(ENGINEIO_4, SocketIO5Codec, "polling", "xhr-polling", problem=Problem.VERSION)
        self.assertAsks(route, transport="polling")
        for text in ("", "1", "5", "abc", "04", "4 ", "\u0664", "3.0"):
            self.assertAsks(route, EIO=text, transport="polling")

    def test_transport(self) -> None:
        """Without a known transport, that is the problem, before anything else."""
        for transport in ("", "webtransport", "xhr-polling", "Polling", "polling ", "jsonp-polling", "flashsocket"):
            for text in ("4", "5"):
                found = ask("", EIO=text, transport=transport)
                self.assertEqual(found and found.problem, Problem.TRANSPORT)
        found = ask("")
        self.assertEqual(found and found.problem, Problem.TRANSPORT)

    def test_script(self) -> None:
        """``j`` asks for a script, of which the digits are the index; a WebSocket is never one."""
        for text, index in (("0", 0), ("12abc", 12), ("", 0), ("x", 0), ("1234567890", 123456789)):
            for number, dialect in (("3", ENGINEIO_3), ("4", ENGINEIO_4)):
                route = Route(dialect, dialect.codec, "polling", "jsonp-polling", "", index)
                self.assertAsks(route, EIO=number, transport="polling", j=text)
        self.assertAsks(
            Route(ENGINEIO_4, SocketIO5Codec, "websocket", "websocket"), EIO="4", transport="websocket", j="1"
        )

    def test_longID(self) -> None:
        """An id that is longer than any of ours is that of a session that nobody has."""
        for sessionID, expected in (("a" * 64, "a" * 64), ("a" * 65, "?"), ("\0", "\0")):
            route = Route(ENGINEIO_4, SocketIO5Codec, "polling", "xhr-polling", expected)
            self.assertAsks(route, EIO="4", transport="polling", sid=sessionID)

    def test_plain(self) -> None:
        """The same URLs of a server of Engine.IO alone ask for its own codecs; 2 is none of its versions."""
        router = Router({}, PLAIN_ENGINES, {})
        for text, codec, name in (("4", EngineIO4Codec, "Engine.IO 4"), ("3", EngineIO3Codec, "Engine.IO 3")):
            found = router.route([""], {"EIO": text, "transport": "polling"})
            assert found is not None
            self.assertEqual((found.codec, found.dialect.name, found.problem), (codec, name, None))
        found = router.route([""], {"EIO": "2", "transport": "polling"})
        self.assertEqual(found and found.problem, Problem.VERSION)
