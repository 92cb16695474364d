"""
The tables of the generations: how each begins, says problems, and reads what is posted.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from siotwisted.config import Config
from siotwisted.dialects.dialect import Dialect, Fault, Posted, Problem, Refusal, Route
from siotwisted.dialects.engineio import ENGINEIO_2, ENGINEIO_3, ENGINEIO_4, ENGINES, PLAIN_ENGINES
from siotwisted.dialects.socketio06 import SOCKETIO_06, SOCKETIO_06_CODECS
from siotwisted.dialects.socketio09 import SOCKETIO_09
from siotwisted.errors import EncodeError, ProtocolError
from siotwisted.packets import Reason
from siotwisted.wire.sio06 import SIOCodec
from siotwisted.wire.sio06streaming import SIOStreamingCodec
from tests.fakes import makeRoute

DIALECTS = (SOCKETIO_06, SOCKETIO_09, ENGINEIO_3, ENGINEIO_4, *PLAIN_ENGINES.values())
#: Problems that requests of a generation can't have.
NEVER = {SOCKETIO_06: {Problem.VERSION, Problem.MISMATCH}, SOCKETIO_09: {Problem.MISMATCH}}
JSON = "application/json"
TEXT = "text/plain; charset=UTF-8"
SCRIPT = "text/javascript; charset=UTF-8"


def routeOf(dialect: Dialect, carrier: str = "xhr-polling", index: int | None = None) -> Route:
    """A request of a generation."""
    return Route(dialect, dialect.codec, "any", carrier, "", index)


class TableTests(SynchronousTestCase):
    """What all have."""

    def test_names(self) -> None:
        """What people call them, each its own."""
        names = ["Socket.IO 0.6", "Socket.IO 0.7-0.9", "Socket.IO 1-2", "Socket.IO 3-4", "Engine.IO 4", "Engine.IO 3"]
        self.assertEqual([dialect.name for dialect in DIALECTS], names)

    def test_complete(self) -> None:
        """Every problem that a request can have has words."""
        for dialect in DIALECTS:
            self.assertEqual(set(Problem) - set(dialect.faults), NEVER.get(dialect, set()), dialect.name)

    def test_engines(self) -> None:
        """The numbers of Engine.IO; 1.0.x says 2 of itself."""
        self.assertEqual(ENGINES, {"4": ENGINEIO_4, "3": ENGINEIO_3, "2": ENGINEIO_2})
        self.assertEqual(set(PLAIN_ENGINES), {"3", "4"})

    def test_codecs(self) -> None:
        """The codecs that 0.6 came with."""
        self.assertEqual(SOCKETIO_06_CODECS, (SIOCodec, SIOStreamingCodec))

    def test_flags(self) -> None:
        """How the generations differ."""
        names = ("upgrades", "outlivesStreams", "outlivesPolls", "replacesPolls", "joinsRoot", "strict")
        expected: dict[Dialect, tuple[bool, ...]] = {
            SOCKETIO_06: (False, True, True, True, True, False),
            SOCKETIO_09: (False, False, True, True, True, False),
            ENGINEIO_3: (True, False, False, False, True, False),
            ENGINEIO_4: (True, False, False, False, False, True),
        }
        for dialect, values in expected.items():
            self.assertEqual(tuple(getattr(dialect, name) for name in names), values, dialect.name)
        self.assertEqual(
            [dialect.goodbye for dialect in DIALECTS[:4]],
            [Reason.CLIENT_DISCONNECT, Reason.CLIENT_DISCONNECT, Reason.TRANSPORT_CLOSE, Reason.TRANSPORT_CLOSE],
        )

    def test_connectionIDs(self) -> None:
        """Up to 2.x it is derived from the session's, as clients do; 3.x and 4.x have one that tells nothing."""
        for dialect in (SOCKETIO_06, SOCKETIO_09, ENGINEIO_3):
            self.assertEqual([dialect.connectionID("abc", name) for name in ("/", "/chat")], ["abc", "/chat#abc"])
        fresh = [ENGINEIO_4.connectionID("abc", "/") for _ in range(100)]
        self.assertEqual(len(set(fresh)), 100)
        for id in fresh:
            self.assertRegex(id, "^[A-Za-z0-9_-]{20}$")
            self.assertNotIn("abc", id[:3])


class OpeningTests(SynchronousTestCase):
    """What a new client is told."""

    def engine(self, dialect: Dialect, streaming: bool, **settings: Any) -> dict[str, Any]:
        """The object that clients from 1.0 on get."""
        opening: dict[str, Any] = json.loads(dialect.opening("abc", streaming, Config(**settings)))
        return opening

    def test_engine(self) -> None:
        """The keys in the order of the original, times as whole milliseconds."""
        for dialect in (ENGINEIO_3, ENGINEIO_4):
            self.assertEqual(
                dialect.opening("abc", False, Config()),
                '{"sid":"abc","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}',
            )

    def test_upgrades(self) -> None:
        """There is nothing to move to from a WebSocket, nor if that is switched off."""
        self.assertEqual(self.engine(ENGINEIO_4, True)["upgrades"], [])
        self.assertEqual(self.engine(ENGINEIO_4, False, allowUpgrades=False)["upgrades"], [])

    def test_noWebSocket(self) -> None:
        """Nor if WebSockets are not served at all: a client would try in vain."""
        self.assertEqual(self.engine(ENGINEIO_4, False, transports=["polling"])["upgrades"], [])

    def test_fractions(self) -> None:
        """Times of less than a second are told as they are."""
        opening = self.engine(ENGINEIO_4, False, pingInterval=0.3, pingTimeout=0.0015, maxPayload=10)
        self.assertEqual((opening["pingInterval"], opening["pingTimeout"], opening["maxPayload"]), (300, 2, 10))

    def test_09(self) -> None:
        """Longer than a stream is silent, and than a poll is held; the transports in their order, and no Flash."""
        self.assertEqual(
            SOCKETIO_09.opening("abc", False, Config()), "abc:45:60:websocket,htmlfile,xhr-polling,jsonp-polling"
        )
        self.assertEqual(
            SOCKETIO_09.opening(
                "abc",
                False,
                Config(
                    transports=["jsonp-polling", "xhr-polling", "flashsocket"],
                    pingInterval=0.2,
                    pingTimeout=0.1,
                    pollDuration=0.5,
                    reconnectTimeout=0.1,
                ),
            ),
            "abc:1:1:xhr-polling,jsonp-polling",
        )
        self.assertEqual(
            SOCKETIO_09.opening("abc", False, Config(pollDuration=50, reconnectTimeout=10)).split(":")[1:3],
            ["70", "70"],
        )
        self.assertRaises(EncodeError, SOCKETIO_09.opening, "a:b", False, Config())

    def test_06(self) -> None:
        """The id, and nothing else."""
        self.assertEqual(SOCKETIO_06.opening("abc", True, Config()), "abc")


class RefusalTests(SynchronousTestCase):
    """How problems are said."""

    def test_engine(self) -> None:
        """The numbers and words of the original."""
        rows = (
            (Problem.TRANSPORT, 400, 0, "Transport unknown"),
            (Problem.SESSION, 400, 1, "Session ID unknown"),
            (Problem.METHOD, 400, 2, "Bad handshake method"),
            (Problem.POST, 400, 2, "Bad handshake method"),
            (Problem.MISMATCH, 400, 3, "Bad request"),
            (Problem.UPGRADE, 400, 3, "Bad request"),
            (Problem.ORIGIN, 403, 4, "Forbidden"),
            (Problem.UNAUTHORIZED, 403, 4, "Forbidden"),
            (Problem.VERSION, 400, 5, "Unsupported protocol version"),
        )
        for dialect in (ENGINEIO_3, ENGINEIO_4):
            for problem, status, code, message in rows:
                body = f'{{"code":{code},"message":"{message}"}}'
                for carrier in ("xhr-polling", "jsonp-polling", "websocket"):
                    self.assertEqual(
                        dialect.refusal(problem, routeOf(dialect, carrier)), Refusal(status, body, JSON), problem
                    )

    def test_text(self) -> None:
        """The application's own words take the place of the usual ones."""
        refusal = ENGINEIO_4.refusal(Problem.UNAUTHORIZED, routeOf(ENGINEIO_4), 'no "entry"')
        self.assertEqual(refusal, Refusal(403, '{"code":4,"message":"no \\"entry\\""}', JSON))
        self.assertEqual(
            SOCKETIO_06.refusal(Problem.UNAUTHORIZED, routeOf(SOCKETIO_06), "go"), Refusal(401, "go", TEXT)
        )

    def test_06(self) -> None:
        """Plain text, or a cut connection for a client that would not understand a status."""
        self.assertEqual(SOCKETIO_06.refusal(Problem.SESSION, routeOf(SOCKETIO_06)).status, 0)
        self.assertEqual(
            SOCKETIO_06.refusal(Problem.TRANSPORT, routeOf(SOCKETIO_06)), Refusal(404, "no such transport", TEXT)
        )

    def test_09(self) -> None:
        """Plain text; for JSONP a script, which is always a success."""
        for problem, status, text in (
            (Problem.ORIGIN, 403, "handshake bad origin"),
            (Problem.UNAUTHORIZED, 403, "handshake unauthorized"),
            (Problem.VERSION, 500, "Protocol version not supported."),
            (Problem.FAILED, 500, "handshake error"),
        ):
            self.assertEqual(
                SOCKETIO_09.refusal(problem, routeOf(SOCKETIO_09, "handshake")), Refusal(status, text, TEXT)
            )
            self.assertEqual(
                SOCKETIO_09.refusal(problem, routeOf(SOCKETIO_09, "handshake", 3)),
                Refusal(200, f'io.j[3](new Error("{text}"));', SCRIPT),
            )

    def test_unknown09(self) -> None:
        """A session that nobody has is an error packet that makes the client begin anew, on every transport."""
        self.assertEqual(SOCKETIO_09.refusal(Problem.SESSION, routeOf(SOCKETIO_09)), Refusal(200, "7:::1+0", TEXT))
        self.assertEqual(
            SOCKETIO_09.refusal(Problem.SESSION, routeOf(SOCKETIO_09, "jsonp-polling", 2)),
            Refusal(200, 'io.j[2]("7:::1+0");', SCRIPT),
        )

    def test_escaped(self) -> None:
        """Words of the application can't end a script."""
        refusal = SOCKETIO_09.refusal(
            Problem.UNAUTHORIZED, routeOf(SOCKETIO_09, "handshake", 3), '"));alert(1);</script>\u2028'
        )
        self.assertEqual(refusal.message, 'io.j[3](new Error("\\"));alert(1);\\u003c/script\\u003e\\u2028"));')
        self.assertEqual(SOCKETIO_09.express(Fault(403, "a"), routeOf(SOCKETIO_09)).message, "a")


class UndressTests(SynchronousTestCase):
    """What is posted."""

    def undress(self, dialect: Dialect, body: bytes, contentType: str = "", carrier: str = "xhr-polling") -> Posted:
        """The payload of a body."""
        return dialect.undress(body, contentType, routeOf(dialect, carrier))

    def test_06(self) -> None:
        """The field ``data`` of a form; what a JSONP client posts has other line breaks."""
        self.assertEqual(self.undress(SOCKETIO_06, b"data=a%0D%0Ab"), Posted("a\r\nb", False))
        self.assertEqual(self.undress(SOCKETIO_06, b"data=a", carrier="jsonp-polling"), Posted("a", True))

    def test_09(self) -> None:
        """The body itself; from JSONP the field ``d``, as JSON since 0.8.6, else with other line breaks."""
        self.assertEqual(self.undress(SOCKETIO_09, "3:::é".encode(), "text/plain"), Posted("3:::é"))
        jsonp = "jsonp-polling"
        self.assertEqual(self.undress(SOCKETIO_09, b"d=%223%3A%3A%3Ahi%5Cn%22", carrier=jsonp), Posted("3:::hi\n"))
        self.assertEqual(self.undress(SOCKETIO_09, b"d=3%3A%3A%3Ahi", carrier=jsonp), Posted("3:::hi", True))
        self.assertRaises(ProtocolError, self.undress, SOCKETIO_09, b"\xff")
        self.assertRaises(ProtocolError, self.undress, SOCKETIO_09, b"d=%22", carrier=jsonp)
        self.assertRaises(ProtocolError, self.undress, SOCKETIO_09, b"3:::hi", carrier=jsonp)

    def test_engine3(self) -> None:
        """Bytes if the content type says so, else text."""
        self.assertEqual(self.undress(ENGINEIO_3, b"\0\1\xff2", "application/octet-stream"), Posted(b"\0\1\xff2"))
        self.assertEqual(self.undress(ENGINEIO_3, "2:4€".encode(), "text/plain"), Posted("2:4€"))
        self.assertEqual(self.undress(ENGINEIO_3, b"d=1%3A2", carrier="jsonp-polling"), Posted("1:2"))
        self.assertRaises(ProtocolError, self.undress, ENGINEIO_3, b"\xff", "text/plain")

    def test_engine2(self) -> None:
        """1.0.x leaves the backslashes of a form as they are, or does not: the length tells."""
        jsonp = "jsonp-polling"
        for body, payload in (
            (rb"d=4%3A4a%5Cnb", "4:4a\nb"),
            (rb"d=5%3A4a%5Cnb", "5:4a\\nb"),
            (rb"d=5%3A4a%5C%5Cnb", "5:4a\\nb"),
            (rb"d=2%3A4a", "2:4a"),
        ):
            self.assertEqual(self.undress(ENGINES["2"], body, carrier=jsonp), Posted(payload), body)
        self.assertEqual(self.undress(ENGINES["2"], b"2:4a", "text/plain"), Posted("2:4a"))
        self.assertEqual(self.undress(ENGINES["2"], b"\0\1\xff2", "application/octet-stream"), Posted(b"\0\1\xff2"))

    def test_engine4(self) -> None:
        """Text alone; line feeds of JSONP are escaped."""
        self.assertEqual(self.undress(ENGINEIO_4, "4€".encode(), "text/plain"), Posted("4€"))
        self.assertEqual(self.undress(ENGINEIO_4, rb"d=4a%5Cnb%5C%5Cnc", carrier="jsonp-polling"), Posted("4a\nb\\nc"))
        self.assertRaises(ProtocolError, self.undress, ENGINEIO_4, b"4a", "application/octet-stream")
        self.assertRaises(ProtocolError, self.undress, ENGINEIO_4, b"\xff", "text/plain")

    def test_routes(self) -> None:
        """The routes of these tests are those of the fakes."""
        self.assertEqual(makeRoute("polling", dialect=ENGINEIO_4).carrier, "xhr-polling")
