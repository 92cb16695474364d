"""
The checks at the door: origins on every transport, sessions, the application's own decision, and what refusals say.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.admission import CHECKED, Admission
from siotwisted.config import Config
from siotwisted.dialects.dialect import Problem, Refusal, Route
from siotwisted.dialects.socketio06 import SOCKETIO_06
from siotwisted.errors import ConnectionRefused
from siotwisted.handshake import Handshake
from siotwisted.packets import Reason
from siotwisted.registry import SessionRegistry
from siotwisted.server import SocketIO
from siotwisted.session import Session
from siotwisted.wire.sio06 import SIOCodec
from siotwisted.wire.sio06streaming import SIOStreamingCodec
from tests.fakes import FakePoll, FakeReceiver, FakeStream, attach, connect, makeHandshake, makeRoute, received
from tests.sessioncase import send

#: The transports that pages load as scripts or frames, and the rest.
SCRIPTED = ("jsonp-polling", "htmlfile")
OTHERS = ("websocket", "flashsocket", "xhr-multipart", "xhr-polling")

EVIL = "http://evil.example"


class AdmissionCase(SynchronousTestCase):
    """The door of a server that allows the pages of one other origin."""

    def setUp(self) -> None:
        """Make it."""
        self.clock = Clock()
        self.make(origins=["https://friend.example:*"])

    def make(self, **settings: Any) -> None:
        """Another one, with these settings."""
        self.registry = SessionRegistry(self.clock, Config(**settings), FakeReceiver())
        self.admission = Admission(self.registry)

    def check(self, route: Route, headers: dict[str, str], secure: bool = False) -> int | None:
        """The status of the refusal of a request for this host, or None if it is served."""
        fields = {"host": "chat.example:8080", **headers}

        def getHeader(name: str) -> str | None:
            self.assertIn(name, CHECKED)  # or another request could pass for this one
            return fields.get(name)

        refusal = self.admission.check(route, getHeader, secure)
        self.admission.corsHeaders(getHeader, secure)
        return None if refusal is None else refusal.status

    def assertAllowed(self, transports: tuple[str, ...], headers: dict[str, str], secure: bool = False) -> None:
        """Requests with these headers are served on all these transports."""
        for name in transports:
            self.assertIsNone(self.check(makeRoute(name), headers, secure), (name, headers))

    def assertForeign(self, transports: tuple[str, ...], headers: dict[str, str], secure: bool = False) -> None:
        """They are refused on all of these."""
        for name in transports:
            self.assertEqual(self.check(makeRoute(name), headers, secure), 403, (name, headers))


class OriginTests(AdmissionCase):
    """Which pages may connect, on every transport alike."""

    everywhere = SOCKETIO_06.transports

    def test_everyTransport(self) -> None:
        """These tests know all transports."""
        self.assertEqual(set(SCRIPTED + OTHERS), set(self.everywhere))

    def test_none(self) -> None:
        """A request that names no origin comes from no page of another origin."""
        self.assertAllowed(self.everywhere, {})

    def test_own(self) -> None:
        """Pages of the server's own origin are welcome; a proxy may have ended their TLS."""
        self.assertAllowed(self.everywhere, {"origin": "http://chat.example:8080"})
        self.assertAllowed(self.everywhere, {"origin": "https://chat.example:8080"})
        self.assertAllowed(self.everywhere, {"origin": "https://chat.example:8080"}, secure=True)
        self.assertForeign(self.everywhere, {"origin": "http://chat.example:8080"}, secure=True)

    def test_almostOwn(self) -> None:
        """Another port, a sub-domain or a host that begins alike is another origin."""
        for origin in (
            "http://chat.example",
            "http://chat.example:80800",
            "http://evil.chat.example:8080",
            "http://chat.example:8080.evil.example",
            "http://chat.example:8080@evil.example",
            "",
            "file://",
            "http://",
            " ",
        ):
            self.assertForeign(self.everywhere, {"origin": origin})

    def test_foreign(self) -> None:
        """Pages of other origins are not, nor are pages without one."""
        self.assertForeign(self.everywhere, {"origin": EVIL})
        self.assertForeign(self.everywhere, {"origin": "null"})

    def test_rule(self) -> None:
        """Those that the configuration names are."""
        self.assertAllowed(self.everywhere, {"origin": "https://friend.example"})
        self.assertAllowed(self.everywhere, {"origin": "https://friend.example:444"})
        self.assertForeign(self.everywhere, {"origin": "http://friend.example"})

    def test_everyone(self) -> None:
        """The rule ``*`` allows all."""
        self.make(origins=["*"])
        for origin in (EVIL, "null", "nonsense"):
            self.assertAllowed(self.everywhere, {"origin": origin})

    def test_null(self) -> None:
        """The rule ``null`` allows pages without an origin, and nobody else."""
        self.make(origins=["null"])
        self.assertAllowed(self.everywhere, {"origin": "null"})
        self.assertForeign(self.everywhere, {"origin": EVIL})

    def test_draftHeader(self) -> None:
        """The WebSocket drafts called the header otherwise."""
        self.assertForeign(("websocket", "flashsocket"), {"sec-websocket-origin": EVIL})
        self.assertAllowed(("websocket",), {"sec-websocket-origin": "https://friend.example"})
        self.assertForeign(("websocket",), {"origin": EVIL, "sec-websocket-origin": "https://friend.example"})

    def test_knownSession(self) -> None:
        """A page of another origin may not use a session whose id it has somehow learned."""
        session, _ = connect(self.registry, FakePoll)
        self.assertEqual(self.check(makeRoute("xhr-polling", session.id), {"origin": EVIL}), 403)
        self.assertIsNone(self.check(makeRoute("xhr-polling", session.id), {}))


class ScriptedTests(AdmissionCase):
    """T507: JSONP and htmlfile, which any page can load, and for which browsers send no Origin."""

    def test_otherTransports(self) -> None:
        """The headers that count here don't count on other transports."""
        for headers in ({"sec-fetch-site": "cross-site"}, {"referer": EVIL + "/"}, {"cookie": "a=b"}):
            self.assertAllowed(OTHERS, headers)

    def test_site(self) -> None:
        """The browser says that the page is of the same origin, or that there is no page: welcome, with cookies too."""
        for site in ("same-origin", "none"):
            self.assertAllowed(SCRIPTED, {"sec-fetch-site": site})
            self.assertAllowed(SCRIPTED, {"sec-fetch-site": site, "cookie": "a=b"})
            self.assertAllowed(SCRIPTED, {"sec-fetch-site": site, "referer": "http://chat.example:8080/page"})

    def test_crossSite(self) -> None:
        """It says that the page is another's, but not whose: refused, with cookies or without."""
        for site in ("cross-site", "same-site", "", "nonsense"):
            self.assertForeign(SCRIPTED, {"sec-fetch-site": site})
            self.assertForeign(SCRIPTED, {"sec-fetch-site": site, "cookie": "a=b"})

    def test_referer(self) -> None:
        """The page's address decides as an Origin would, whatever it has behind the host."""
        for headers in ({}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"cookie": "a=b"}):
            self.assertForeign(SCRIPTED, {"referer": EVIL + "/", **headers})
            self.assertForeign(SCRIPTED, {"referer": EVIL, **headers})
            self.assertForeign(SCRIPTED, {"referer": EVIL + "/http://chat.example:8080/", **headers})
            self.assertForeign(SCRIPTED, {"referer": EVIL + "?http://chat.example:8080/", **headers})
            self.assertForeign(SCRIPTED, {"referer": "http://chat.example:8080@evil.example/", **headers})
            self.assertForeign(SCRIPTED, {"referer": "about:blank", **headers})
            self.assertForeign(SCRIPTED, {"referer": "", **headers})
            self.assertAllowed(SCRIPTED, {"referer": "https://friend.example/page?a=b#c", **headers})
            self.assertAllowed(SCRIPTED, {"referer": "http://chat.example:8080/deep/page", **headers})

    def test_origin(self) -> None:
        """If there is an Origin, as there is on a POST, it decides alone."""
        self.assertForeign(SCRIPTED, {"origin": EVIL, "sec-fetch-site": "same-origin"})
        self.assertAllowed(SCRIPTED, {"origin": "https://friend.example", "sec-fetch-site": "cross-site"})

    def test_oldBrowser(self) -> None:
        """A browser that says nothing of all this is served if no cookie shows a user who could be abused."""
        self.assertAllowed(SCRIPTED, {})
        self.assertForeign(SCRIPTED, {"cookie": "session=secret"})

    def test_everyone(self) -> None:
        """The rule ``*`` allows all of it."""
        self.make(origins=["*"])
        for headers in ({"sec-fetch-site": "cross-site"}, {"referer": EVIL + "/"}, {"cookie": "a=b"}):
            self.assertAllowed(SCRIPTED, headers)


class SessionTests(AdmissionCase):
    """What a request may ask for."""

    def test_disabled(self) -> None:
        """A transport that is not configured is not there, for anybody."""
        self.make(transports=["xhr-polling"])
        session, _ = connect(self.registry, FakePoll)
        self.assertEqual(self.check(makeRoute("websocket"), {}), 404)
        self.assertEqual(self.check(makeRoute("websocket", session.id), {}), 404)
        self.assertEqual(self.check(makeRoute("websocket"), {"origin": EVIL}), 404)
        self.assertIsNone(self.check(makeRoute("xhr-polling"), {}))

    def test_known(self) -> None:
        """A live session is found, whatever transport asks for it."""
        session, _ = connect(self.registry, FakePoll)
        for name in SOCKETIO_06.transports:
            asked = makeRoute(name, session.id)
            self.assertIsNone(self.check(asked, {}))
            self.assertIs(self.admission.session(asked), session)

    def test_unknown(self) -> None:
        """T204: ids that nobody has are answered by a cut connection, which old clients understand."""
        for id in ("x", "__proto__", "constructor", "toString", "1" * 11, "\0", "ü", "ok" * 30):
            for name in SOCKETIO_06.transports:
                self.assertEqual(self.check(makeRoute(name, id), {}), 0)
                self.assertIsNone(self.admission.session(makeRoute(name, id)))

    def test_new(self) -> None:
        """No id is no session, and no reason to refuse."""
        self.assertIsNone(self.admission.session(makeRoute()))
        self.assertIsNone(self.check(makeRoute(), {}))

    def test_ended(self) -> None:
        """A session that has ended is unknown."""
        session, _ = connect(self.registry, FakePoll)
        session.close(Reason.SERVER_DISCONNECT)
        self.assertEqual(self.check(makeRoute("xhr-polling", session.id), {}), 0)

    def test_otherCodec(self) -> None:
        """T205: a session is unknown to requests of another codec, which do it no harm."""
        session, poll = connect(self.registry, FakePoll, SIOStreamingCodec)
        asked = makeRoute("xhr-polling", session.id, SIOCodec)
        self.assertEqual(self.check(asked, {}), 0)
        self.assertIsNone(self.admission.session(asked))
        self.assertFalse(session.closed)
        self.assertIs(session.transport, poll)
        self.assertIs(self.admission.session(makeRoute("htmlfile", session.id, SIOStreamingCodec)), session)

    def test_stopping(self) -> None:
        """
        A server that stops refuses all who are new first of all, foreign pages and transports that it has not alike;
        requests of known sessions are looked at as ever.
        """
        self.make(transports=["xhr-polling"])
        session, _ = connect(self.registry, FakePoll)
        send(session, "a")
        self.registry.stop(10)
        for asked in (makeRoute(), makeRoute("websocket")):
            self.assertEqual(self.check(asked, {}), 503)
            self.assertEqual(self.check(asked, {"origin": EVIL}), 503)
        known = makeRoute("xhr-polling", session.id)
        nothing: dict[str, str] = {}
        self.assertIsNone(self.admission.check(known, nothing.get, False))
        self.assertEqual(self.check(known, {"origin": EVIL}), 403)
        self.assertEqual(self.check(makeRoute("xhr-polling", "unknown"), {}), 0)

    def test_fixedWords(self) -> None:
        """Refusals say why, and nothing that the client said."""
        self.make(transports=["xhr-polling"])
        requests: list[tuple[Route, dict[str, str]]] = [
            (makeRoute("xhr-polling", "SECRET"), {}),
            (makeRoute("xhr-polling"), {"origin": "http://SECRET"}),
            (makeRoute("websocket", "SECRET"), {}),
        ]
        for asked, headers in requests:
            refusal = self.admission.check(asked, headers.get, False)
            assert refusal is not None
            self.assertNotIn("SECRET", refusal.message)
            self.assertGreater(len(refusal.message), 5)

    def test_route(self) -> None:
        """Paths are read with the codecs of the configuration."""
        self.make(codecs=[SIOStreamingCodec, SIOCodec])
        plain = self.admission.route(["xhr-polling", "", "1700000000000"], {})
        named = self.admission.route(["sio", "websocket"], {})
        assert plain is not None and named is not None
        self.assertEqual((plain.codec, named.codec, named.transport), (SIOStreamingCodec, SIOCodec, "websocket"))
        self.assertIsNone(self.admission.route(["socket.io.js"], {}))


class GenerationTests(SynchronousTestCase):
    """The generations that are served."""

    def test_each(self) -> None:
        """One that is served alone is found by its URLs; of the others, those of Engine.IO are told why not."""
        urls: dict[str, tuple[list[str], dict[str, str]]] = {
            "Socket.IO 0.6": (["websocket"], {}),
            "Socket.IO 0.7-0.9": (["1"], {}),
            "Socket.IO 1-2": ([], {"EIO": "3", "transport": "polling"}),
            "Socket.IO 3-4": ([], {"EIO": "4", "transport": "polling"}),
        }
        for name in urls:
            sio = SocketIO(Clock(), Config(generations=[name]))
            for other, (path, query) in urls.items():
                route = sio.admission.route(path, query)
                served = route is not None and route.problem is None
                self.assertEqual(served, name == other, (name, other))
                if query and not served:
                    self.assertEqual(route and route.problem, Problem.VERSION)


class CORSTests(AdmissionCase):
    """What lets a page read the answer."""

    def cors(self, headers: dict[str, str], secure: bool = False) -> dict[str, str]:
        """The headers for such a request."""
        return self.admission.corsHeaders({"host": "chat.example", **headers}.get, secure)

    def test_none(self) -> None:
        """No page, no headers."""
        self.assertEqual(self.cors({}), {})

    def test_known(self) -> None:
        """The own origin, and one that a rule names, is named, and may send credentials."""
        for origin in ("http://chat.example", "https://friend.example:8443"):
            self.assertEqual(
                self.cors({"origin": origin}),
                {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"},
            )

    def test_everyone(self) -> None:
        """One that only ``*`` lets in may not, and is not echoed."""
        self.make(origins=["*"])
        for origin in (EVIL, "null", "\r\nX: y"):
            self.assertEqual(self.cors({"origin": origin}), {"Access-Control-Allow-Origin": "*"})

    def test_secure(self) -> None:
        """On TLS, a page of the same host without TLS is not of the own origin."""
        self.make(origins=["*"])
        self.assertEqual(self.cors({"origin": "http://chat.example"}, True), {"Access-Control-Allow-Origin": "*"})


class Broken(Exception):
    """What the authorizers of these tests raise."""


def _give(answer: object, request: Handshake) -> object:
    """An authorizer with a fixed answer, when the first argument is bound."""
    return answer


class AuthorizeTests(AdmissionCase):
    """The application's decision about a new client."""

    def ask(self, *authorizers: Callable[[Handshake], Any]) -> Deferred[Refusal | None]:
        """Ask these about a client."""
        self.admission.authorizers.extend(authorizers)
        return self.admission.authorize(makeRoute(), makeHandshake())

    def status(self, *authorizers: Callable[[Handshake], Any]) -> int | None:
        """The status of the refusal that these decide on at once; None if they agree."""
        refusal = self.successResultOf(self.ask(*authorizers))
        return None if refusal is None else refusal.status

    def test_nobody(self) -> None:
        """Without a word from the application, everyone may come in."""
        self.assertIsNone(self.status())

    def test_handshake(self) -> None:
        """The application sees the client's first request."""
        seen: list[Handshake] = []
        handshake = makeHandshake()

        def authorizer(request: Handshake) -> bool:
            seen.append(request)
            return True

        self.admission.authorizers.append(authorizer)
        self.assertIsNone(self.successResultOf(self.admission.authorize(makeRoute(), handshake)))
        self.assertEqual(len(seen), 1)
        self.assertIs(seen[0], handshake)

    def test_value(self) -> None:
        """True lets the client in, False does not: 401, as 0.6 wants it."""
        self.assertIsNone(self.status(lambda request: True))
        self.assertEqual(self.status(lambda request: False), 401)

    def test_forgottenReturn(self) -> None:
        """A function that forgets to return anything lets nobody in."""
        self.assertEqual(self.status(lambda request: None), 401)

    def test_generator(self) -> None:
        """A generator, of which not a line has run, lets nobody in."""

        def authorizer(request: Handshake) -> Generator[Any, Any, bool]:
            yield succeed(None)
            return False

        self.assertIsNotNone(self.status(authorizer))
        self.flushLoggedErrors()

    def test_deferred(self) -> None:
        """A Deferred's answer counts when it is there."""
        for answer, status in ((True, None), (False, 401)):
            self.make()
            waiting: Deferred[bool] = Deferred()
            decision = self.ask(partial(_give, waiting))
            self.assertNoResult(decision)
            waiting.callback(answer)
            refusal = self.successResultOf(decision)
            self.assertEqual(refusal and refusal.status, status)

    def test_firedDeferred(self) -> None:
        """One that has fired already is as good as a value."""
        self.assertIsNone(self.status(lambda request: succeed(True)))
        self.assertEqual(self.status(lambda request: succeed(False)), 401)

    def test_coroutine(self) -> None:
        """So is a coroutine's."""
        waiting: Deferred[bool] = Deferred()

        async def authorizer(request: Handshake) -> bool:
            return await waiting

        decision = self.ask(authorizer)
        self.assertNoResult(decision)
        waiting.callback(True)
        self.assertIsNone(self.successResultOf(decision))

    def test_coroutineRefuses(self) -> None:
        """And its False."""

        async def authorizer(request: Handshake) -> bool:
            return False

        self.assertEqual(self.status(authorizer), 401)

    def test_failures(self) -> None:
        """Whichever way it fails, nobody comes in, the client gets 500 and not a word more, and the log the failure."""

        def raising(request: Handshake) -> bool:
            raise Broken("SECRET")

        async def failing(request: Handshake) -> bool:
            raise Broken("SECRET")

        def deferred(request: Handshake) -> Deferred[bool]:
            return fail(Broken("SECRET"))

        for authorizer in (raising, failing, deferred):
            self.make()
            with capturedLogs() as events:
                refusal = self.successResultOf(self.ask(authorizer))
            assert refusal is not None
            self.assertEqual(refusal.status, 500)
            self.assertNotIn("SECRET", refusal.message)
            self.assertEqual([formatEvent(event) for event in events], ["authorize handler failed"])
            self.assertEqual(len(self.flushLoggedErrors(Broken)), 1)

    def test_refused(self) -> None:
        """It may also say why, in the words that the client is told."""

        def authorizer(request: Handshake) -> bool:
            raise ConnectionRefused("come back tomorrow")

        refusal = self.successResultOf(self.ask(authorizer))
        self.assertEqual(refusal and (refusal.status, refusal.message), (401, "come back tomorrow"))

    def test_failsLater(self) -> None:
        """The same if it fails after a while."""
        waiting: Deferred[bool] = Deferred()
        decision = self.ask(lambda request: waiting)
        waiting.errback(Broken())
        refusal = self.successResultOf(decision)
        self.assertEqual(refusal and refusal.status, 500)
        self.assertEqual(len(self.flushLoggedErrors(Broken)), 1)

    def test_all(self) -> None:
        """All must agree; they are asked one after the other, and none after one that does not."""
        asked: list[str] = []
        waiting: Deferred[bool] = Deferred()

        def first(request: Handshake) -> Deferred[bool]:
            asked.append("first")
            return waiting

        async def second(request: Handshake) -> bool:
            asked.append("second")
            return True

        def third(request: Handshake) -> bool:
            asked.append("third")
            return False

        def fourth(request: Handshake) -> bool:
            asked.append("fourth")
            return True

        decision = self.ask(first, second, third, fourth)
        self.assertEqual(asked, ["first"])
        waiting.callback(True)
        refusal = self.successResultOf(decision)
        self.assertEqual(refusal and refusal.status, 401)
        self.assertEqual(asked, ["first", "second", "third"])

    def test_cancelled(self) -> None:
        """A client that leaves meanwhile cancels what the application waits for, and the log says nothing."""
        cancelled: list[object] = []
        waiting: Deferred[bool] = Deferred(cancelled.append)
        with capturedLogs() as events:
            decision = self.ask(lambda request: waiting)
            decision.cancel()
            refusal = self.successResultOf(decision)
        self.assertEqual(cancelled, [waiting])
        self.assertEqual((refusal and refusal.status, list(events)), (500, []))

    def test_cancelledCoroutine(self) -> None:
        """The same for a coroutine, which can clean up; the authorizers behind it are not asked."""
        seen: list[str] = []
        waiting: Deferred[bool] = Deferred()

        async def authorizer(request: Handshake) -> bool:
            try:
                return await waiting
            except CancelledError:
                seen.append("cancelled")
                raise

        decision = self.ask(authorizer, lambda request: bool(seen.append("asked")))  # type: ignore[func-returns-value]
        decision.cancel()
        self.assertIsNotNone(self.successResultOf(decision))
        self.assertEqual(seen, ["cancelled"])

    def test_noSessionBefore(self) -> None:
        """T515: while the application thinks there is no session that could send or be sent to."""
        waiting: Deferred[bool] = Deferred()
        self.ask(lambda request: waiting)
        self.assertEqual(len(self.registry), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        waiting.callback(True)
        self.assertEqual(len(self.registry), 0)


class SharedSessionTests(AdmissionCase):
    """The door finds what the registry has."""

    def test_comingBack(self) -> None:
        """A client that is away is let in again until its session ends."""
        session, poll = connect(self.registry, FakePoll)
        poll.connectionLost()
        asked = makeRoute("htmlfile", session.id)
        self.clock.advance(59)
        found = self.admission.session(asked)
        assert isinstance(found, Session)
        stream = attach(found, FakeStream)
        self.clock.advance(0)
        self.assertEqual(received(stream), [session.id])
        stream.connectionLost()
        self.clock.advance(60)
        self.assertEqual(self.check(asked, {}), 0)
