"""
What all HTTP requests to the endpoint have in common: the checks at the door, the common headers, and how clients post.

Every transport is a :class:`TransportResource`: a GET, once admitted, is made a transport of a session, and held;
a POST, the same for all, brings messages. Answers carry fixed texts and nothing that the client said.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from http import HTTPStatus
from math import nan
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from siotwisted.admission import Admission, GetHeader
from siotwisted.dialects.dialect import Problem, Refusal, Route
from siotwisted.errors import ProtocolError
from siotwisted.handshake import Handshake
from siotwisted.session import Session
from siotwisted.transports.shortcut import NO_HEADERS, CommonHeaders, ShortRequest
from siotwisted.wire.wrappings import readQuery

__all__ = [
    "BAD_METHOD",
    "AnyRequest",
    "TransportResource",
    "abort",
    "addressText",
    "answer",
    "fieldsOf",
    "headerGetter",
    "isBroken",
    "isTimed",
    "lineOf",
    "onCut",
    "parseQuery",
    "queryOf",
    "refuse",
    "reply",
    "respond",
    "sentAt",
]

_log = Logger()

#: A request as Twisted Web reads it, or as we do.
AnyRequest: TypeAlias = Request | ShortRequest

_METHODS = "GET, POST, OPTIONS"
BAD_METHOD = Refusal(405, "method not allowed")
_BAD_BODY = Refusal(400, "the body is not what clients post")
_TOO_LARGE = Refusal(413, "payload too large")

#: For so many seconds a request may be repeated, of which the client does not know whether it was heard.
_REPEATED = 10.0
#: So many of a client are remembered: one that comes very late may come after its successor.
_REMEMBERED = 4
_TIMED = re.compile(rb"[?&]t=.|/[0-9]{12,20}(?:[/?]|$)")
#: The same, where it is one in milliseconds.
_MILLISECONDS = re.compile(rb"(?:[?&]t=|/)([0-9]{12,20})(?:[/?&]|$)")

_PHRASES = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}
#: On every answer: nobody may keep it, guess its type, or learn the session id from where a link came.
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Vary": "Origin",
}


@lru_cache(64)
def _common(headers: tuple[tuple[str, str], ...]) -> CommonHeaders:
    """These, beside those of every answer."""
    return CommonHeaders({**_HEADERS, **dict(headers)})


def addressText(address: IAddress) -> str:
    """The host of an internet address, or whatever text another address has."""
    return getattr(address, "host", None) or os.fsdecode(getattr(address, "name", None) or b"")


def hostOf(request: AnyRequest) -> str:
    """The :func:`addressText` of where a request came from."""
    return request.host if isinstance(request, ShortRequest) else addressText(request.getClientAddress())


def setHeaders(request: AnyRequest, headers: dict[str, str]) -> None:
    """Set response headers, beside those of every answer, and none that tells the server's version."""
    if isinstance(request, ShortRequest):
        request.common = _common(tuple(headers.items()))
        return
    request.responseHeaders.removeHeader("Server")
    for name, value in (*_HEADERS.items(), *headers.items()):
        request.responseHeaders.setRawHeaders(name, [value])


def onCut(request: AnyRequest, cut: Callable[[], object]) -> None:
    """Call this if the connection of a request is lost before its answer."""
    if isinstance(request, ShortRequest):
        request.cut = cut
    else:
        request.notifyFinish().addErrback(lambda _: cut())


def answer(request: AnyRequest, status: int, body: str, contentType: str = "text/plain; charset=UTF-8") -> bytes:
    """Give an answer whose body is a fixed text; to be returned from a ``render`` method."""
    request.setResponseCode(status, _PHRASES[status])
    request.setHeader("Content-Type", contentType)
    return body.encode("utf-8")


def header(request: AnyRequest, name: str) -> str | None:
    """The value of a request's header; of one that is repeated, all values, which are then none that we know."""
    if isinstance(request, ShortRequest):
        return request.fields.get(name.lower())
    values = request.requestHeaders.getRawHeaders(name.encode("ascii"))
    return b", ".join(values).decode("latin-1") if values else None


def headerGetter(request: AnyRequest) -> GetHeader:
    """Gives the values of a request's headers, as :func:`header` does, by their lower-case names."""
    return request.fields.get if isinstance(request, ShortRequest) else partial(header, request)


def parseQuery(query: str) -> dict[str, str]:
    """The fields of a URL's query; of one with too many, none, as if the client had asked for nothing."""
    try:
        return readQuery(query)
    except ProtocolError:
        return {}


def fieldsOf(request: AnyRequest) -> Mapping[str, str]:
    """The headers of a request, by lower-case name."""
    if isinstance(request, ShortRequest):
        return request.fields
    return {
        name.decode("latin-1").lower(): ", ".join(value.decode("latin-1") for value in values)
        for name, values in request.requestHeaders.getAllRawHeaders()
    }


def _body(request: AnyRequest, most: int) -> bytes | None:
    """The body of a request; None if it is longer than that."""
    if isinstance(request, ShortRequest):
        return request.body if len(request.body) <= most else None
    assert request.content is not None
    body = request.content.read(most)
    return None if request.content.read(1) else body


def queryOf(request: AnyRequest) -> dict[str, str]:
    """The fields of a request's query."""
    return parseQuery(request.uri.partition(b"?")[2].decode("utf-8", "replace"))


def abort(request: AnyRequest) -> None:
    """Cut the request's TCP connection, without an answer."""
    if isinstance(request, ShortRequest):
        request.abort()
        return
    channel: Any = request.channel
    if isinstance(request.channel, HTTPChannel):
        channel.transport.abortConnection()
    elif channel is not None:
        channel.abortConnection()
        request.connectionLost(Failure(ConnectionAborted()))  # HTTP/2 tells no request that its stream was reset


def lineOf(request: AnyRequest) -> object:
    """The connection that a request came on; None if no other can follow there, so that its end tells nothing."""
    channel: Any = request.channel
    if isinstance(request, ShortRequest):
        return None if channel is None else channel.transport
    return channel.transport if isinstance(channel, HTTPChannel) and channel.persistent else None


def isBroken(line: object) -> bool:
    """Whether a connection is known to have ended; one that another process serves now may have ended or not."""
    return bool(getattr(line, "disconnected", False)) and not getattr(line, "handedOver", False)


def isTimed(uri: bytes) -> bool:
    """Whether a URL holds a time against caches, so that no other of the same client is like it."""
    return _TIMED.search(uri) is not None


def sentAt(uri: bytes) -> float:
    """By the client's clock, when it sent a request, in seconds; NaN if its URL does not tell."""
    found = _MILLISECONDS.search(uri)
    return nan if found is None else int(found[1]) / 1000


class Post(NamedTuple):
    """
    What a client has posted, as far as needed to know it again.

    :ivar uri: where to.
    :ivar digest: of the body.
    :ivar time: when, in seconds.
    :ivar line: on which connection.
    """

    uri: bytes
    digest: int
    time: float
    line: object

    def repeats(self, earlier: Sequence[Post]) -> bool:
        """
        Whether this is one of those before it once more: a browser repeats a request, word for word, if a connection
        that it had used before breaks. Two that hold no time against caches may be alike by chance, unless the first
        one's connection is known to be broken, and no other has come since.

        :param earlier: the last that came before, the very last first.
        """
        for post in earlier:
            if (
                post.digest == self.digest
                and post.uri == self.uri
                and post.line not in (None, self.line)
                and self.time - post.time < _REPEATED
            ):
                return isTimed(self.uri) or (post is earlier[0] and isBroken(post.line))
        return False


def reply(request: AnyRequest, contentType: str, body: bytes) -> None:
    """Send an answer of this type."""
    if isinstance(request, ShortRequest):
        request.reply(contentType, body)
    else:
        request.setHeader("Content-Type", contentType)
        respond(request, body)


def respond(request: AnyRequest, body: bytes) -> None:
    """Send an answer, where it can't be returned any more."""
    request.setHeader("Content-Length", str(len(body)))
    request.write(body)
    request.finish()


def refuse(request: AnyRequest, refusal: Refusal) -> int | bytes:
    """Say no; to be returned from a ``render`` method."""
    _log.info(
        "refused {address}: {why}",
        address=hostOf(request),
        why=refusal.message,
    )
    if not refusal.status:
        abort(request)
        return NOT_DONE_YET
    body = answer(request, *refusal)
    return b"" if request.method == b"HEAD" else body


class _Passed(NamedTuple):
    """
    The last request that passed the checks.

    :ivar checked: the values of those headers that the checks look at.
    :ivar secure: whether it came through TLS.
    :ivar common: what its answer had.
    """

    checked: tuple[str | None, ...] | None = None
    secure: bool = False
    common: CommonHeaders = NO_HEADERS


class _Asked(NamedTuple):
    """
    What the last handshake has asked for, which those of other clients may share.

    :ivar uri: the URL.
    :ivar path: its path.
    :ivar query: its query.
    """

    uri: bytes = b""
    path: str = ""
    query: Mapping[str, str] = MappingProxyType({})


class TransportResource(Resource, ABC):
    """
    Base of all transports' resources. One may serve all requests that ask for the same.

    :param admission: the checks that it must pass.
    :param route: what its URL asks for.
    """

    isLeaf = True

    def __init__(self, admission: Admission, route: Route) -> None:
        super().__init__()
        self._admission = admission
        self._route = route
        self._last = _Passed()
        self._asked = _Asked()

    def of(self, sessionID: str) -> TransportResource:
        """The same for a session, which begins with what passed here last."""
        mine = type(self).__new__(type(self))
        mine.__dict__.update(self.__dict__)
        mine._route = Route(*self._route[:4], sessionID, *self._route[5:])
        return mine

    @abstractmethod
    def admit(self, request: AnyRequest, handshake: Handshake | None) -> None:
        """
        Make a GET that passed all checks a transport of its session.

        :param handshake: what a new client said; None if the request belongs to a session.
        """

    def render(self, request: AnyRequest) -> int | bytes:
        """Check the request at the door, then serve it by its method."""
        admission, route = self._admission, self._route
        session: Session | None = None
        if isinstance(request, ShortRequest) and self._hasPassed(request):
            # All that may have changed since is its session.
            request.common = self._last.common
            found = admission.place(route)
            if isinstance(found, Problem):
                return refuse(request, self.refusal(found))
            session = found
        else:
            getHeader, secure = headerGetter(request), request.isSecure()
            setHeaders(request, admission.corsHeaders(getHeader, secure))
            refusal = admission.check(route, getHeader, secure)
            if refusal is not None:
                return refuse(request, refusal)
            if route.sessionID:
                session = admission.session(route)
            if isinstance(request, ShortRequest):
                self._last = _Passed(request.checked, secure, request.common)
        if request.method == b"GET":
            return self.render_GET(request, session)
        if request.method == b"POST":
            return self.render_POST(request, session)
        if request.method == b"OPTIONS":
            return self.render_OPTIONS(request)
        request.setHeader("Allow", _METHODS)
        return refuse(request, BAD_METHOD if route.sessionID else self.refusal(Problem.METHOD))

    def _hasPassed(self, request: ShortRequest) -> bool:
        """Whether a request like this has passed the checks before."""
        return request.checked == self._last.checked and request.isSecure() is self._last.secure

    def refusal(self, problem: Problem) -> Refusal:
        """How the client's generation says a problem."""
        return self._route.dialect.refusal(problem, self._route)

    def render_OPTIONS(self, request: AnyRequest) -> bytes:
        """Tell a browser that pages of this origin may do what clients do."""
        request.setHeader("Access-Control-Allow-Methods", _METHODS)
        request.setHeader("Access-Control-Allow-Headers", "Authorization, Content-Type")
        request.setHeader("Access-Control-Max-Age", "3600")
        return answer(request, 200, "ok")

    def render_GET(self, request: AnyRequest, session: Session | None) -> int | bytes:
        """
        Admit a client of a known session at once, and a new one when the application has agreed.

        :param session: the session that the request names, if it does.
        """
        if session is not None:
            self.admit(request, None)
            return NOT_DONE_YET
        handshake = self._handshake(request)
        if not self._admission.authorizers:
            try:
                self.admit(request, handshake)
            except Exception:
                self._broken(Failure(), request)
            return NOT_DONE_YET
        decision = self._admission.authorize(self._route, handshake)
        if not decision.called:
            onCut(request, decision.cancel)
        decision.addCallback(self._decided, request, handshake)
        decision.addErrback(self._broken, request)
        return NOT_DONE_YET

    def _broken(self, failure: Failure, request: AnyRequest) -> None:
        """A codec could not be made, for instance: the client is not left to wait."""
        _log.failure("a client could not be admitted", failure)
        abort(request)

    def _decided(self, refusal: Refusal | None, request: AnyRequest, handshake: Handshake) -> None:
        if request.channel is None:
            return  # the client has left
        # The server may have begun to stop meanwhile.
        refusal = refusal or self._admission.check(self._route, headerGetter(request), request.isSecure())
        if refusal is None:
            self.admit(request, handshake)
        else:
            body = refuse(request, refusal)
            assert isinstance(body, bytes), "a new client has no session id that could be unknown"
            respond(request, body)

    def session(self, handshake: Handshake | None) -> Session:
        """The session that an admitted request belongs to; a new one for a new client."""
        return self._admission.join(self._route, handshake)

    def setCookie(self, request: AnyRequest, session: Session) -> None:
        """Set the cookie of a new session, if it is to have one."""
        cookie = self._admission.registry.config.cookie
        if cookie is not None:
            request.setHeader("Set-Cookie", cookie.header(session.label, request.isSecure()))

    def _handshake(self, request: AnyRequest) -> Handshake:
        asked = self._asked
        if asked.uri != request.uri:
            query = MappingProxyType(queryOf(request))
            asked = self._asked = _Asked(request.uri, request.path.decode("latin-1"), query)
        return Handshake(
            method="POST" if request.method == b"POST" else "GET",
            path=asked.path,
            headers=fieldsOf(request),
            query=asked.query,
            address=hostOf(request),
            secure=request.isSecure(),
            time=self._admission.registry.clock.seconds(),
            transport=self._route.transport,
        )

    def render_POST(self, request: AnyRequest, session: Session | None) -> int | bytes:
        """Hand the posted payload to the session; answered when its messages were dispatched."""
        if session is None:
            return refuse(request, self.refusal(Problem.POST))
        dialect = self._route.dialect
        limit = self._admission.registry.config.maxPayload
        body = _body(request, 3 * limit + 16)
        if body is None:
            return refuse(request, _TOO_LARGE)
        contentType = (header(request, "Content-Type") or "").partition(";")[0].strip().lower()
        try:
            payload, form = dialect.undress(body, contentType, self._route)
        except ProtocolError as error:
            if dialect.strict:
                session.fail(error)
            return refuse(request, _BAD_BODY)
        if len(body) > limit:  # a payload is no longer than the body that it came in
            size = len(payload if isinstance(payload, bytes) else payload.encode("utf-8", "surrogatepass"))
            if size > limit:
                return refuse(request, _TOO_LARGE)
        post = Post(request.uri, hash(body), self._admission.registry.clock.seconds(), lineOf(request))
        if post.repeats(session.posted):
            self._admission.registry.log.info("session {label}: a POST came once more", label=session.label)
        elif not session.dataReceived(payload, form):
            return answer(request, 400, "bad payload")  # which the session has logged
        session.posted = (post, *session.posted[: _REMEMBERED - 1])
        accepted, contentType = dialect.accepted
        reply(request, contentType, accepted)
        return NOT_DONE_YET
