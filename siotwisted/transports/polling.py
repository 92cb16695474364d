"""
Polling: the client asks, the answer is held until there is something to say.

A poll is one GET request. It takes one write and is over; the client polls again at once. Old clients call it
``xhr-polling`` or ``jsonp-polling``, later ones ``polling``, whichever of the two it is.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from math import isnan
from typing import ClassVar

from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from siotwisted.dialects.dialect import Problem, Refusal, Route
from siotwisted.handshake import Handshake
from siotwisted.interfaces import ISessionTransport
from siotwisted.packets import Reason
from siotwisted.session import Session
from siotwisted.transports.http import (
    AnyRequest,
    TransportResource,
    abort,
    answer,
    header,
    isBroken,
    isTimed,
    lineOf,
    onCut,
    refuse,
    reply,
    respond,
    sentAt,
)
from siotwisted.wire.wrappings import quoted

__all__ = [
    "GoodbyeResource",
    "HandshakeResource",
    "JSONPPollingResource",
    "JSONPTransport",
    "XHRPollingResource",
    "XHRPollingTransport",
]

#: In an ``Accept-Encoding``: gzip, without a weight, or with one that is not 0.
_GZIP = re.compile(r"(?:^|,)[ \t]*gzip[ \t]*(?:;[ \t]*q=(?:1|0\.0*[1-9])[0-9.]*[ \t]*)?(?:,|$)", re.IGNORECASE)


#: How far the time in a client's URLs may be off, in seconds: they are rounded.
_INACCURACY = 0.005
#: An answer takes so many seconds, and more, to a page, and the page to begin the next poll.
_WAY = 0.003
#: A poll that was held for so many seconds, and not answered at once, may have got another one beside it.
_HELD = 0.01
#: Within so many seconds a client that is near can have read an answer and polled again, with the same time in its URL.
_SOON = 0.005
#: Two polls of an old client in whose URLs the same time stands are less apart by its clock, in seconds.
_TICK = 0.001


@implementer(ISessionTransport)
class XHRPollingTransport:
    """
    One held poll, answered with the bare payload.

    :param request: the poll.
    :param session: whom to tell of its end.
    :param route: what the poll asks for.
    :param compression: from how many bytes on the answer is compressed, if the client takes that; None for never.
    """

    __slots__ = ("_begun", "_compression", "_line", "_request", "_route", "_session", "_took", "name")

    form: ClassVar[str] = "bare"
    streaming = False
    messages = False
    framed = False
    takesBytes: ClassVar[bool] = True
    ready = True
    contentType: ClassVar[str] = "text/plain; charset=UTF-8"

    def __init__(self, request: AnyRequest, session: Session, route: Route, compression: int | None = None) -> None:
        self.name = route.transport
        self._request = request
        self._session = session
        self._route = route
        self._compression = compression
        self._line = lineOf(request)
        #: When it came; and how long its answer took, in seconds.
        self._begun = session.now
        self._took = 0.0
        onCut(request, self._cut)

    def _cut(self) -> None:
        outlives = self._route.dialect.outlivesPolls
        self._session.transportLost(self, Reason.TRANSPORT_CLOSE if outlives else Reason.TRANSPORT_ERROR)

    def dress(self, data: str | bytes, text: bool = False) -> bytes:
        """A payload travels as it is."""
        assert isinstance(data, bytes)
        return data

    def body(self, chunks: Sequence[bytes]) -> bytes:
        """The body of the answer that carries these pieces of a payload."""
        return b"".join(chunks)

    def write(self, chunks: Sequence[bytes], binary: bool = False) -> None:
        """Answer the poll."""
        request, body = self._request, self.body(chunks)
        if self._compression is not None and len(body) >= self._compression:
            request.setHeader("Vary", "Accept-Encoding, Origin")
            if _GZIP.search(header(request, "Accept-Encoding") or ""):
                request.setHeader("Content-Encoding", "gzip")
                body = gzip.compress(body, 6, mtime=0)
        self._took = self._session.now - self._begun
        # Before the request is finished, for Twisted Web then serves the next one of the connection, if it is there
        # already.
        self._session.pollAnswered(self)
        reply(request, "application/octet-stream" if binary else self.contentType, body)

    def tells(self, answered: ISessionTransport) -> bool | None:
        """
        Whether the client has read the answer to another poll, now that it polls again.

        It has, if it is the answer that made it do so, and not something else:

        - a client of 0.6 may begin a second poll beside its first, whose answer it ignores then. Its URLs tell when it
          has sent them: the second one before the first can have been answered. If it is not sooner than the answer,
          but sooner than that can have come there and the next poll be on its way, and takes another connection though
          the first one's is free, nobody knows;
        - a browser or a proxy sends a poll again, word for word, if a connection that it had used before breaks, and a
          connection that is not known to be broken, with a client that can have read the answer so soon, is none such;
          if it is broken, and was answered so soon that an old client can have begun two polls in one tick of its
          clock, nobody knows which of them this is;
        - browsers take an answer that is cut off in its head for an empty one, and old clients poll on: nobody knows.
        """
        if not isinstance(answered, XHRPollingTransport) or (answered._line is self._line is not None):
            return True
        uri, last = self._request.uri, answered._request.uri
        dialect = self._route.dialect
        between = sentAt(uri) - sentAt(last)
        if dialect.pollsBeside and 0 <= between < answered._took - _INACCURACY:
            return False
        if answered._line is None:
            return True
        broken = isBroken(answered._line)
        if dialect.pollsBeside and not broken and _HELD < answered._took and 0 <= between < answered._took + _WAY:
            return None
        if uri == last and isTimed(uri):
            if not broken:
                return self._begun - answered._begun < _SOON
            return None if answered._took < _TICK and not isnan(sentAt(uri)) else False
        return None if broken and dialect.takesNothing else True

    def ping(self, place: int) -> None:
        """Polls carry no messages."""
        raise NotImplementedError

    def loseConnection(self, chunks: Sequence[bytes] = (), binary: bool = False) -> None:
        """Answer the poll with nothing, or with the last that there is."""
        self.write(chunks, binary)

    def abortConnection(self) -> None:
        """Cut the poll's TCP connection."""
        abort(self._request)


class JSONPTransport(XHRPollingTransport):
    """One held poll, answered with a script that calls the callback of this index."""

    __slots__ = ()

    form = "quoted"
    takesBytes = False
    contentType = "text/javascript; charset=UTF-8"

    def dress(self, data: str | bytes, text: bool = False) -> bytes:
        """A payload stands in a string of a script."""
        assert isinstance(data, bytes)
        return quoted(data)

    def body(self, chunks: Sequence[bytes]) -> bytes:
        """The script that carries these pieces of a payload."""
        assert self._route.callback is not None
        return self._route.dialect.jsonpCall(self._route.callback, b"".join(chunks))


class XHRPollingResource(TransportResource):
    """The resource of polls whose answers scripts can read."""

    transport: ClassVar[type[XHRPollingTransport]] = XHRPollingTransport

    def render_GET(self, request: AnyRequest, session: Session | None) -> int | bytes:
        """Serve the poll, unless there is one already in a generation that never has two."""
        if session is None:
            return super().render_GET(request, None)
        if session.transport is not None and not self._route.dialect.replacesPolls:
            session.close(Reason.TRANSPORT_ERROR)
            return refuse(request, self.refusal(Problem.MISMATCH))
        self._hold(request, session)
        return NOT_DONE_YET

    def admit(self, request: AnyRequest, handshake: Handshake | None) -> None:
        """Hold the request as the session's poll."""
        session = self.session(handshake)
        if handshake is not None:
            self.setCookie(request, session)
        self._hold(request, session)

    def _hold(self, request: AnyRequest, session: Session) -> None:
        poll = self.transport(request, session, self._route, self._admission.registry.config.httpCompression)
        session.attach(poll, self._route.got)


class JSONPPollingResource(XHRPollingResource):
    """
    The resource of polls that are scripts: any page can load these, so it works across origins in the oldest browsers.
    """

    transport = JSONPTransport

    def render_GET(self, request: AnyRequest, session: Session | None) -> int | bytes:
        """Serve the poll, if it says which callback waits for the answer."""
        if self._route.callback is None:
            return refuse(request, Refusal(400, "a JSONP poll needs the index of its callback"))
        return super().render_GET(request, session)


class HandshakeResource(TransportResource):
    """Where clients 0.7 to 0.9 ask for a session, before they come with a transport of it."""

    def render_POST(self, request: AnyRequest, session: Session | None) -> int | bytes:
        """The first document about that protocol had it so."""
        return self.render_GET(request, session)

    def admit(self, request: AnyRequest, handshake: Handshake | None) -> None:
        """Begin a session, and tell the client of it."""
        session = self.session(handshake)
        text = session.opening(False)
        body, contentType = text, "text/plain; charset=UTF-8"
        if self._route.callback is not None:
            script = self._route.dialect.jsonpCall(self._route.callback, quoted(text.encode("ascii")))
            body, contentType = script.decode("ascii"), "text/javascript; charset=UTF-8"
        session.expectTransport()
        self.setCookie(request, session)
        respond(request, answer(request, 200, body, contentType))


class GoodbyeResource(TransportResource):
    """Where clients 0.9 say that their page is left."""

    def admit(self, request: AnyRequest, handshake: Handshake | None) -> None:
        """End the session."""
        self.session(handshake).close(Reason.CLIENT_DISCONNECT)
        respond(request, answer(request, 200, ""))
