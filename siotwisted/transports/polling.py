"""
``xhr-polling`` and ``jsonp-polling``: the client asks, the answer is held until there is something to say.

A poll is one GET request. It takes one write and is over; the client polls again at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from twisted.python.failure import Failure
from twisted.web.server import Request
from zope.interface import implementer

from siotwisted.admission import Refusal
from siotwisted.handshake import Handshake
from siotwisted.interfaces import ISessionTransport
from siotwisted.packets import Reason
from siotwisted.session import Session
from siotwisted.transports.http import TransportResource, abort, refuse
from siotwisted.wire.wrappings import jsonpCall, quoted

__all__ = ["JSONPPollingResource", "JSONPTransport", "XHRPollingResource", "XHRPollingTransport"]


@implementer(ISessionTransport)
class XHRPollingTransport:
    """
    One held poll, answered with the bare payload.

    :param request: the poll.
    :param session: whom to tell of its end.
    """

    __slots__ = ("_request", "_session")

    name = "xhr-polling"
    form = "bare"
    streaming = False
    ready = True
    contentType: ClassVar[str] = "text/plain; charset=UTF-8"

    def __init__(self, request: Request, session: Session) -> None:
        self._request = request
        self._session = session
        request.notifyFinish().addErrback(self._cut)

    def _cut(self, _: Failure) -> None:
        self._session.transportLost(self, Reason.TRANSPORT_CLOSE)

    def dress(self, frame: bytes) -> bytes:
        """A frame travels as it is."""
        return frame

    def body(self, chunks: Sequence[bytes]) -> bytes:
        """The body of the answer that carries these frames."""
        return b"".join(chunks)

    def write(self, chunks: Sequence[bytes]) -> None:
        """Answer the poll."""
        request, body = self._request, self.body(chunks)
        request.setHeader("Content-Type", self.contentType)
        request.setHeader("Content-Length", str(len(body)))
        request.write(body)
        # Before the request is finished, for Twisted Web then serves the next one of the connection, if it is there
        # already.
        self._session.transportLost(self, Reason.RECONNECT_TIMEOUT)
        request.finish()

    def loseConnection(self, farewell: Sequence[bytes] = ()) -> None:
        """Answer the poll with nothing, or with the last frames."""
        self.write(farewell)

    def abortConnection(self) -> None:
        """Cut the poll's TCP connection."""
        abort(self._request)


class JSONPTransport(XHRPollingTransport):
    """
    One held poll, answered with a script that calls the callback of this index.

    :param index: the callback's number.
    """

    __slots__ = ("_index",)

    name = "jsonp-polling"
    form = "quoted"
    contentType = "text/javascript; charset=UTF-8"

    def __init__(self, request: Request, session: Session, index: int) -> None:
        super().__init__(request, session)
        self._index = index

    def dress(self, frame: bytes) -> bytes:
        """A frame stands in a string of a script."""
        return quoted(frame)

    def body(self, chunks: Sequence[bytes]) -> bytes:
        """The script that carries these frames."""
        return jsonpCall(self._index, b"".join(chunks))


class XHRPollingResource(TransportResource):
    """The resource of ``xhr-polling``."""

    def admit(self, request: Request, handshake: Handshake | None) -> None:
        """Hold the request as the session's poll."""
        session = self.session(handshake)
        session.attach(XHRPollingTransport(request, session))


class JSONPPollingResource(TransportResource):
    """
    The resource of ``jsonp-polling``: any page can load scripts, so it works across origins in the oldest browsers.
    """

    form = True

    def render_GET(self, request: Request) -> int | bytes:
        """Serve the poll, if it says which callback waits for the answer."""
        if self._route.index is None:
            return refuse(request, Refusal(400, "a JSONP poll needs the index of its callback"))
        return super().render_GET(request)

    def admit(self, request: Request, handshake: Handshake | None) -> None:
        """Hold the request as the session's poll."""
        assert self._route.index is not None
        session = self.session(handshake)
        session.attach(JSONPTransport(request, session, self._route.index))
