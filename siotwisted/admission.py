"""
Who may come in: the checks that every request passes, on every transport, before anything else is done for it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from siotwisted.config import Config
from siotwisted.dialects.dialect import Dialect, Problem, Refusal, Route
from siotwisted.dialects.engineio import PARSERS
from siotwisted.dialects.routing import Router
from siotwisted.dialects.socketio06 import SOCKETIO_06
from siotwisted.dialects.socketio09 import PROTOCOLS
from siotwisted.errors import ConnectionRefused
from siotwisted.handshake import Handshake
from siotwisted.origins import Origins
from siotwisted.registry import SessionRegistry
from siotwisted.session import Session

__all__ = ["CHECKED", "Admission", "GetHeader"]

#: Gives the value of a request's header, or None.
GetHeader = Callable[[str], "str | None"]

#: The headers that the checks look at; two requests that have the same there fare alike.
CHECKED = ("origin", "host", "upgrade", "sec-websocket-origin", "sec-fetch-site", "referer", "cookie")
#: What pages load as scripts and frames: a browser names no origin then, and a foreign page could read the answer.
_SCRIPTED = ("jsonp-polling", "htmlfile")


def _router(config: Config) -> Router:
    """The URLs of the generations that are served."""

    def served(dialects: Mapping[str, Dialect]) -> dict[str, Dialect]:
        return {key: dialect for key, dialect in dialects.items() if dialect.name in config.generations}

    codecs = config.codecs if SOCKETIO_06.name in config.generations else ()
    return Router({codec.name: codec for codec in codecs}, served(PARSERS[config.parser]), served(PROTOCOLS))


class Admission:
    """
    The rules of one server.

    :param registry: where sessions are found.
    :param router: reads its URLs; those of all generations of Socket.IO if left out.
    :ivar authorizers: the functions of the application that are asked about new clients.
    """

    _log = Logger()

    def __init__(self, registry: SessionRegistry, router: Router | None = None) -> None:
        self.registry = registry
        self.origins = Origins(registry.config.origins)
        self.route = (router or _router(registry.config)).route
        self.authorizers: list[Callable[[Handshake], Any]] = []

    def check(self, route: Route, getHeader: GetHeader, secure: bool) -> Refusal | None:
        """
        Whether a request may be served at all.

        :param secure: whether it came through TLS.
        :return: None if it may.
        """
        problem = self._problem(route, getHeader, secure)
        return None if problem is None else route.dialect.refusal(problem, route)

    def _problem(self, route: Route, getHeader: GetHeader, secure: bool) -> Problem | None:
        registry = self.registry
        if registry.stopping and not route.sessionID:
            return Problem.STOPPING
        if route.problem is not None:
            return route.problem
        if route.transport and route.transport not in registry.config.transports:
            return Problem.TRANSPORT
        if not self._welcome(route, getHeader, secure):
            return Problem.ORIGIN
        if route.dialect.upgrades and route.carrier != "websocket" and getHeader("upgrade") is not None:
            return Problem.MISMATCH
        found = self.place(route)
        return found if isinstance(found, Problem) else None

    def place(self, route: Route) -> Session | Problem | None:
        """
        The session that a request names, or why it may not be served there, by what can change from one request to the
        next: a session speaks one dialect in one codec, and where it can move, to a WebSocket alone.

        :return: None if it is a new client's.
        """
        if not route.sessionID:
            return Problem.STOPPING if self.registry.stopping else None
        session = self.registry.get(route.sessionID)
        if session is None:
            return Problem.SESSION
        dialect = route.dialect
        if session.route.codec is not route.codec:
            return Problem.MISMATCH if Problem.MISMATCH in dialect.faults else Problem.SESSION
        if route.got is not None and not session.canResume(route.got):
            return Problem.SESSION
        if dialect.upgrades and route.transport != session.transportName and route.carrier != "websocket":
            return Problem.MISMATCH
        return session

    def session(self, route: Route) -> Session | None:
        """The session that a request belongs to: a live one, of the same codec."""
        session = self.registry.get(route.sessionID)
        return session if session is not None and session.route.codec is route.codec else None

    def join(self, route: Route, handshake: Handshake | None) -> Session:
        """
        The session of a request that has passed all checks: a new one for a new client.

        :param handshake: what a new client said; needed for no other.
        """
        session = self.session(route)
        if session is None:
            assert handshake is not None and not route.sessionID, "the check finds the session of any other client"
            session = self.registry.open(route, handshake)
        return session

    def corsHeaders(self, getHeader: GetHeader, secure: bool) -> dict[str, str]:
        """What lets a page of another origin read the answer. A page that only ``*`` lets in gets no credentials."""
        origin = getHeader("origin")
        if origin is None or not self.origins.allows(origin, getHeader("host"), secure):
            return {}
        if self.origins.knows(origin, getHeader("host"), secure):
            return {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
        return {"Access-Control-Allow-Origin": "*"}

    def authorize(self, route: Route, handshake: Handshake) -> Deferred[Refusal | None]:
        """
        Ask the application whether a new client may connect.

        :return: fires with None if it may. Never fails.
        """
        if not self.authorizers:
            return succeed(None)
        answer: Deferred[Refusal | None] = Deferred.fromCoroutine(self._ask(route, handshake))
        return answer.addErrback(self._failed, route)

    async def _ask(self, route: Route, handshake: Handshake) -> Refusal | None:
        for authorizer in self.authorizers:
            answer = authorizer(handshake)
            if inspect.isawaitable(answer):
                answer = await answer
            if not answer:
                return route.dialect.refusal(Problem.UNAUTHORIZED, route)
            if answer is not True:  # a generator, for instance, of which nothing has run
                raise TypeError(f"an authorize handler answers True or False, not {answer!r}")
        return None

    def _failed(self, failure: Failure, route: Route) -> Refusal:
        if isinstance(failure.value, ConnectionRefused):
            return route.dialect.refusal(Problem.UNAUTHORIZED, route, failure.value.message)
        if failure.check(CancelledError) is None:  # else the client has left while the application thought
            self._log.failure("authorize handler failed", failure)
        return route.dialect.refusal(Problem.FAILED, route)

    def _welcome(self, route: Route, getHeader: GetHeader, secure: bool) -> bool:
        origin = getHeader("origin")
        if origin is None:
            origin = getHeader("sec-websocket-origin")  # of the WebSocket drafts before RFC 6455
        if origin is None and (route.carrier in _SCRIPTED or route.callback is not None):
            site = getHeader("sec-fetch-site")
            if site not in ("same-origin", "none"):
                referer = getHeader("referer")
                if referer is not None:
                    origin = "/".join(referer.split("/", 3)[:3])
                elif site is not None or getHeader("cookie") is not None:
                    origin = "unknown"  # which only the rule "*" allows
        return self.origins.allows(origin, getHeader("host"), secure)
