"""
``htmlfile`` and ``xhr-multipart``: one GET request whose answer never ends.

The first is a page in a hidden frame, to which every payload adds a script; the second a multipart body, of which every
payload is a part, for the XMLHttpRequest of the Firefox of its time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from twisted.web.server import Request
from zope.interface import implementer

from siotwisted.dialects.dialect import Route
from siotwisted.handshake import Handshake
from siotwisted.interfaces import ISessionTransport
from siotwisted.packets import Reason
from siotwisted.session import Session
from siotwisted.transports.http import AnyRequest, TransportResource, abort, setHeaders
from siotwisted.wire.wrappings import MULTIPART_OPENING, multipartPart

__all__ = ["HTMLFileResource", "HTMLFileTransport", "XHRMultipartResource", "XHRMultipartTransport"]


@implementer(ISessionTransport, IPushProducer)
class StreamTransport(ABC):
    """
    One endless answer. While the client reads too slowly, it is not :attr:`ready`, and messages wait in the session.

    :param request: the request that it answers.
    :param session: whom to tell of its end.
    :param route: what the request asks for.
    """

    __slots__ = ("_request", "_route", "_session", "name", "ready")

    form: ClassVar[str]
    headers: ClassVar[dict[str, str]]
    streaming = True
    messages = False
    framed = False
    takesBytes = False

    def __init__(self, request: Request, session: Session, route: Route) -> None:
        self.name = route.transport
        self._request = request
        self._session = session
        self._route = route
        self.ready = True
        request.notifyFinish().addCallbacks(self._ended, self._cut)
        setHeaders(request, self.headers)
        request.registerProducer(self, True)
        request.write(self.opening())

    def _ended(self, _: object) -> None:
        self._session.transportLost(self, Reason.SERVER_DISCONNECT)

    def _cut(self, _: Failure) -> None:
        self._request.producer = None  # which would keep both alive until the garbage collector comes
        self._session.transportLost(self, Reason.TRANSPORT_CLOSE)

    @abstractmethod
    def opening(self) -> bytes:
        """What the answer begins with."""

    @abstractmethod
    def dress(self, data: str | bytes, text: bool = False) -> bytes:
        """One payload dressed for this stream."""

    def write(self, chunks: Sequence[bytes], binary: bool = False) -> None:
        """Add payloads to the answer."""
        self._request.write(b"".join(chunks))

    def tells(self, answered: ISessionTransport) -> bool | None:
        """A stream is no poll."""
        return True

    def ping(self, place: int) -> None:
        """Streams carry no messages."""
        raise NotImplementedError

    def loseConnection(self, chunks: Sequence[bytes] = (), binary: bool = False) -> None:
        """Add the last payloads, and end the answer."""
        if chunks:
            self.write(chunks)
        self._request.unregisterProducer()
        self._request.finish()

    def abortConnection(self) -> None:
        """Cut the TCP connection."""
        abort(self._request)

    def pauseProducing(self) -> None:
        """The client reads too slowly."""
        self.ready = False

    def resumeProducing(self) -> None:
        """The client has read what was written."""
        self.ready = True
        self._session.transportReady()

    def stopProducing(self) -> None:
        """The connection is lost, as the request's own notification tells too."""
        self.ready = False


class HTMLFileTransport(StreamTransport):
    """An endless page of scripts."""

    __slots__ = ()

    form = "htmlfile"
    headers: ClassVar[dict[str, str]] = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'",
    }

    def opening(self) -> bytes:
        """What makes browsers show the page before its end."""
        return self._route.dialect.htmlfileOpening

    def dress(self, data: str | bytes, text: bool = False) -> bytes:
        """A payload in a script."""
        assert isinstance(data, bytes)
        return self._route.dialect.htmlfileScript(data)


class XHRMultipartTransport(StreamTransport):
    """An endless multipart body."""

    __slots__ = ()

    form = "xhr-multipart"
    headers: ClassVar[dict[str, str]] = {"Content-Type": 'multipart/x-mixed-replace;boundary="socketio"'}

    def opening(self) -> bytes:
        """The boundary before the first part."""
        return MULTIPART_OPENING

    def dress(self, data: str | bytes, text: bool = False) -> bytes:
        """A payload as a part."""
        assert isinstance(data, bytes)
        return multipartPart(data)


class HTMLFileResource(TransportResource):
    """The resource of ``htmlfile``, the streaming of Internet Explorer."""

    def admit(self, request: AnyRequest, handshake: Handshake | None) -> None:
        """Make the answer the session's stream."""
        assert isinstance(request, Request), "streams are for Twisted Web"
        session = self.session(handshake)
        session.attach(HTMLFileTransport(request, session, self._route), self._route.got)


class XHRMultipartResource(TransportResource):
    """The resource of ``xhr-multipart``, the streaming of Firefox."""

    def admit(self, request: AnyRequest, handshake: Handshake | None) -> None:
        """Make the answer the session's stream."""
        assert isinstance(request, Request), "streams are for Twisted Web"
        session = self.session(handshake)
        session.attach(XHRMultipartTransport(request, session, self._route), self._route.got)
