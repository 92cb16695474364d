"""
Who may come in: the checks that every request passes, on every transport, before anything else is done for it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from siotwisted.dialects import Route, route
from siotwisted.handshake import Handshake
from siotwisted.origins import Origins
from siotwisted.session import Session, SessionRegistry

__all__ = ["Admission", "GetHeader", "Refusal"]

#: Gives the value of a request's header, or None.
GetHeader = Callable[[str], "str | None"]

#: What pages load as scripts and frames: a browser names no origin then, and a foreign page could read the answer.
_SCRIPTED = ("jsonp-polling", "htmlfile")


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    Why a request is not served, and how that is said.

    :ivar status: the HTTP status; 0 to cut the TCP connection without an answer.
    :ivar message: the body of the answer; for a connection that is cut, what the log says.
    """

    status: int
    message: str


_STOPPING = Refusal(503, "the server is stopping")
_DISABLED = Refusal(404, "no such transport")
_FOREIGN = Refusal(403, "pages of this origin are not allowed")
#: The client of Socket.IO 0.6.0 ignores statuses and would poll a dead session again and again without a pause.
_UNKNOWN = Refusal(0, "unknown session")
_FAILED = Refusal(500, "authorization failed")


class Admission:
    """
    The rules of one server.

    :param registry: where sessions are found.
    :ivar authorizers: the functions of the application that are asked about new clients.
    """

    _log = Logger()

    def __init__(self, registry: SessionRegistry) -> None:
        self.registry = registry
        self.origins = Origins(registry.config.origins)
        self._codecs = {codec.name: codec for codec in registry.config.codecs}
        self.authorizers: list[Callable[[Handshake], Any]] = []

    def route(self, segments: Sequence[str]) -> Route | None:
        """What a path below the endpoint asks for; None if it is no URL of a client."""
        return route(segments, self._codecs)

    def check(self, route: Route, getHeader: GetHeader, secure: bool) -> Refusal | None:
        """
        Whether a request may be served at all.

        :param secure: whether it came through TLS.
        :return: None if it may.
        """
        registry = self.registry
        if registry.stopping:
            return _STOPPING
        if route.transport not in registry.config.transports:
            return _DISABLED
        if not self._welcome(route, getHeader, secure):
            return _FOREIGN
        if route.sessionID and self.session(route) is None:
            return _UNKNOWN
        return None

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
        if origin is None:
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
        return answer.addErrback(self._failed)

    async def _ask(self, route: Route, handshake: Handshake) -> Refusal | None:
        for authorizer in self.authorizers:
            answer = authorizer(handshake)
            if inspect.isawaitable(answer):
                answer = await answer
            if not answer:
                return Refusal(route.dialect.unauthorized, "not authorized")
            if answer is not True:  # a generator, for instance, of which nothing has run
                raise TypeError(f"an authorize handler answers True or False, not {answer!r}")
        return None

    def _failed(self, failure: Failure) -> Refusal:
        if failure.check(CancelledError) is None:  # else the client has left while the application thought
            self._log.failure("authorize handler failed", failure)
        return _FAILED

    def _welcome(self, route: Route, getHeader: GetHeader, secure: bool) -> bool:
        origin = getHeader("origin")
        if origin is None:
            origin = getHeader("sec-websocket-origin")  # of the WebSocket drafts before RFC 6455
        if origin is None and route.transport in _SCRIPTED:
            site = getHeader("sec-fetch-site")
            if site not in ("same-origin", "none"):
                referer = getHeader("referer")
                if referer is not None:
                    origin = "/".join(referer.split("/", 3)[:3])
                elif site is not None or getHeader("cookie") is not None:
                    origin = "unknown"  # which only the rule "*" allows
        return self.origins.allows(origin, getHeader("host"), secure)
