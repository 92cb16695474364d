"""
``websocket`` and ``flashsocket``: one protocol for both, below a Twisted Web resource or alone on a port.

Inside a resource tree, :mod:`~siotwisted.transports.websocketresource` checks the request as every transport does,
takes the connection over, and answers the handshake, or lets Autobahn do so. Alone on a port, Autobahn reads the
request, and the protocol makes the same checks in :meth:`~SocketIOWebSocketProtocol.onConnect`. From there on, both are
the same.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlsplit

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.protocol import WebSocketProtocol
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from autobahn.websocket.xormasker import create_xor_masker  # type: ignore[attr-defined]
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, ISSLTransport, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from siotwisted.admission import Admission
from siotwisted.dialects.dialect import Refusal, Route
from siotwisted.handshake import Handshake
from siotwisted.interfaces import ISessionTransport
from siotwisted.packets import Reason
from siotwisted.session import Session
from siotwisted.transports.http import addressText, parseQuery
from siotwisted.transports.immediate import takesAtOnce, writeAtOnce, writeLast
from siotwisted.transports.readiness import DONE, MemberTransport, ReadySet
from siotwisted.wire.websocketframe import deflatedFrame, frame

__all__ = ["NO_BODY", "SocketIOWebSocketProtocol"]

_log = Logger()

#: How a handshake with a body is refused.
NO_BODY = Refusal(400, "a WebSocket handshake has no body")

#: The first bytes of messages that are one frame, uncompressed (RFC 6455, section 5.2).
_TEXT = 0x81
_BINARY = 0x82
#: How long the head of a request may be, in bytes, where Autobahn reads it.
_LONGEST_HEAD = 16384
#: How many bytes our pings have: the place of the last message before them.
_PLACE = 8
#: How many fragments a message may come in.
_MAX_FRAGMENTS = 4096
#: From how many bytes on Autobahn's native code unmasks faster than one operation on a large integer.
_LARGE = 1536
#: How messages begin that have fewer than 126 bytes, and others: with the mask, as a number.
_SHORT, _MEDIUM = (struct.Struct(format).unpack_from for format in ("!BBI", "!BBHI"))
_number = int.from_bytes
#: For a message of so many bytes, what makes of a mask as many of it as it takes, one behind the other; and how many
#: bits those are too many.
_ONES = [sum(1 << 32 * place for place in range(times)) for times in range(_LARGE // 4 + 1)]
_REPEATED = [_ONES[size + 3 >> 2] for size in range(_LARGE)]
_EXCESS = [-size % 4 * 8 for size in range(_LARGE)]
#: The first bytes of masked close frames without and with a code, by their length, the codes that say nothing but that
#: the client leaves, and our answer (RFC 6455, sections 5.5.1 and 7.4.1).
_GOODBYES = {6: b"\x88\x80", 8: b"\x88\x82"}
_USUAL_CODES = (1000, 1001)
_OPEN = WebSocketProtocol.STATE_OPEN
_GOODBYE = b"\x88\x02\x03\xe8"


class WebSocketOwner(Protocol):
    """
    What a WebSocket needs of its factory.

    :ivar admission: the checks for new clients, and the sessions.
    :ivar readySet: reads those on plain TCP, where that can be.
    :ivar countConnections: how many there are, as Autobahn counts.
    """

    admission: Admission
    readySet: ReadySet | None
    countConnections: int
    _batched_timer: Any

    def route(self, path: str, query: Mapping[str, str]) -> Route | None:
        """What a URL asks for."""


@implementer(ISessionTransport, IPushProducer)
class SocketIOWebSocketProtocol(WebSocketServerProtocol):
    """
    One WebSocket, as a transport of a session, or as one that the client tries out.

    What it is at its beginning is in its class, so that thousands of them that say nothing take little memory.

    :ivar admitted: what a resource found out about the request, until the WebSocket is open; None if the protocol has
        to find out.
    :ivar ready: whether it takes bytes now: it is open, and the client reads fast enough.
    """

    factory: WebSocketOwner
    transport: Any  #: TCP, TLS or UNIX
    maxMessagePayloadSize: int
    openHandshakeTimeout: float
    form: str = "websocket"
    streaming = True
    messages = True
    takesBytes = True
    admitted: tuple[Route, Handshake | None] | None = None
    ready: bool = False
    framed = True
    #: A message in a frame, compressed if that was agreed upon and it is long enough.
    dress: Callable[..., bytes] = staticmethod(frame)
    _session: Session | None = None
    _decision: Deferred[Refusal | None] | None = None
    _closing: IDelayedCall | None = None
    _fragments = 0
    #: From how many bytes on a message is compressed; None for never.
    _threshold: int | None = None
    #: Whether bytes can be handed to the transport without waiting for the reactor.
    _atOnce = False
    _lost = False
    #: The answer to the handshake, until it is sent.
    _answer = b""

    def __init__(self) -> None:
        """Autobahn's own beginning is in the class; see :mod:`~siotwisted.transports.websocketfactory`."""

    def connectionMade(self) -> None:
        """
        Begin to speak. Autobahn would ask any transport that has TLS below it for details of it, which one that is
        wrapped does not know, and which nobody needs here.
        """
        self._atOnce = takesAtOnce(self.transport)
        if self._atOnce or ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self.factory.countConnections += 1
        if self.admitted is None:
            self.secure = ISSLTransport.providedBy(self.transport)
            if self.openHandshakeTimeout > 0:
                self.openHandshakeTimeoutCall = self.factory._batched_timer.call_later(
                    self.openHandshakeTimeout, self.onOpenHandshakeTimeout
                )

    def open(self, response: bytes) -> None:
        """
        Be a WebSocket, whose handshake was read already, as it is with Autobahn once that has read one.

        :param response: the answer to the handshake, without extensions.
        """
        self._answer = response
        self.onOpen()
        if self._session is not None and self._session.transport is self:
            self._session.flush()  # the answer leaves with what the session begins with
        if self._answer:
            self.write(())

    def dataReceived(self, data: bytes) -> None:
        """
        Bytes have come: whole messages are read here, anything else, and whatever follows it, by Autobahn.

        A message that comes alone costs a tenth here of what it costs there, where each has a Deferred, an incremental
        check of its UTF-8, and arguments of debug lines that nobody sees.
        """
        if self.state == _OPEN and not self.data and self.current_frame is None and not self.inside_message:
            data = self._readMessages(data)
            if data and self._readGoodbye(data):
                return
        if data:
            # Without the debug line of the method that this one overrides, whose arguments cost more than the rest.
            self._dataReceived(data)

    def _readGoodbye(self, data: bytes) -> bool:
        """
        Read the close frame of a client that just leaves, answer it, and end the connection, all in one segment: with
        Autobahn, and another turn of the reactor, that takes a fifth of all that is done for a short connection.

        :return: whether it was one, on a connection that can be written to at once.
        """
        if self.state != _OPEN or data[:2] != _GOODBYES.get(len(data)):
            return False
        if not self._atOnce or type(self.transport) is not MemberTransport:
            return False
        code = None
        if len(data) == 8:
            code = (data[2] ^ data[6]) << 8 | data[3] ^ data[7]
            if code not in _USUAL_CODES:
                return False
        self.state = self.STATE_CLOSED
        self.wasClean, self.remoteCloseCode = True, code
        self.ready = False
        if writeLast(self.transport, _GOODBYE):
            self.transport.connectionLost(DONE)
        else:
            self.transport.unregisterProducer()  # one that is paused would keep it
            self.transport.loseConnection()
            self._cutOffLater()
        return True

    def _readMessages(self, data: bytes) -> bytes:
        """
        Read the messages that are one whole masked frame each, and no more than 64 KiB (RFC 6455, section 5.2).

        :return: the rest, which is more than that, or less.
        """
        session, here, end, most = self._session, 0, len(data), self.maxMessagePayloadSize
        last = end - 6  # where the shortest message could begin
        while here <= last and session is not None:
            if data[here + 1] == 254 and here < last - 1:
                first, _, size, mask = _MEDIUM(data, here)
                body = here + 8
                if size < 126:
                    break
            else:
                first, size, mask = _SHORT(data, here)
                size, body = size - 128, here + 6
                if not 0 <= size < 126:
                    break
            stop = body + size
            if stop > end or size > most or (first != _TEXT and first != _BINARY):
                break
            if size < _LARGE:
                # One exclusive or of two numbers: the mask, repeated, and the payload.
                key = mask * _REPEATED[size] >> _EXCESS[size]
                plain = (_number(data[body:stop], "big") ^ key).to_bytes(size, "big")
            else:
                plain = create_xor_masker(data[body - 4 : body], size).process(data[body:stop])
            if first == _TEXT:
                try:
                    session.textReceived(self, plain)
                except UnicodeDecodeError:
                    break
            else:
                session.messageReceived(self, plain)
            here = stop
            session = self._session
        return data[here:]

    # The opening handshake.

    def consumeData(self) -> None:
        """Read what has come, unless the application still thinks about the request before it."""
        if self._decision is not None:
            if len(self.data) > _LONGEST_HEAD:
                self.transport.pauseProducing()
            return
        if self.state == self.STATE_CLOSED:
            self.data = b""
        elif self.failedByMe:
            # The client has seen our close frame and answers it, or goes on with what it failed for.
            self.data = b""
            self.transport.loseConnection()
        elif self.state == self.STATE_CONNECTING and b"\r\n\r\n" not in self.data[:_LONGEST_HEAD]:
            if len(self.data) >= _LONGEST_HEAD:
                self.failHandshake("the head of the request is too long", 431)
        else:
            super().consumeData()

    def onConnect(  # type: ignore[override]  # it may also return a Deferred
        self, request: ConnectionRequest
    ) -> Deferred[None] | None:
        """
        Decide whether the client may come in.

        :raises ConnectionDeny: if it may not; Autobahn says so to the client.
        """
        if self.admitted is not None:
            return None
        admission = self.factory.admission
        query = parseQuery(urlsplit(self.http_request_uri).query)
        asked = self.factory.route(request.path, query)
        if asked is None or asked.carrier != "websocket":
            raise ConnectionDeny(404, "no such transport")
        if "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0":
            self._deny(NO_BODY)
        refusal = admission.check(asked, request.headers.get, self.secure)
        if refusal is not None:
            self._deny(refusal)
        handshake = Handshake(
            method="GET",
            path=request.path,
            headers=request.headers,
            query=query,
            address=addressText(self.transport.getPeer()),
            secure=self.secure,
            time=admission.registry.clock.seconds(),
            transport=asked.transport,
        )
        self.admitted = asked, handshake
        if asked.sessionID:
            return None
        if self.openHandshakeTimeoutCall is not None:
            self.openHandshakeTimeoutCall.cancel()  # the client has done its part; the application may take its time
            self.openHandshakeTimeoutCall = None
        self._decision = admission.authorize(asked, handshake)
        return self._decision.addCallback(self._decided, asked, request)

    def _decided(self, refusal: Refusal | None, asked: Route, request: ConnectionRequest) -> None:
        self._decision = None
        if self.state == self.STATE_CLOSED:
            raise ConnectionDeny(400, "the client has left")
        self.transport.resumeProducing()
        # The server may have begun to stop meanwhile.
        refusal = refusal or self.factory.admission.check(asked, request.headers.get, self.secure)
        if refusal is not None:
            self._deny(refusal)

    def _deny(self, refusal: Refusal) -> None:
        if not refusal.status:
            self.transport.abortConnection()
        raise ConnectionDeny(refusal.status or 400, refusal.message)

    def failHandshake(self, reason: str, code: int = 400, responseHeaders: list[tuple[str, str]] | None = None) -> None:
        """Refuse the handshake with a fixed answer; the log gets the reason, in which the client may have its words."""
        self.wasNotCleanReason = repr(reason[:100])
        headers = [*(responseHeaders or ()), ("Connection", "close"), ("Content-Length", "0")]
        if code == 426:
            headers.append(("Upgrade", "websocket"))
        self.sendHttpErrorResponse(code, HTTPStatus(code).phrase, headers)
        self.dropConnection(abort=False)
        self._cutOffLater()

    # The client's side.

    def onOpen(self) -> None:
        """The handshake is done: this is the transport of its session now."""
        assert self.admitted is not None
        (route, handshake), self.admitted = self.admitted, None
        self.name = route.transport
        if self._perMessageCompress is not None:
            self._threshold = self.factory.admission.registry.config.perMessageDeflate
            self.form = "deflated websocket"
            self.framed = False
            self.dress = self._dressDeflated
        self.ready = True
        if self._atOnce and self.factory.readySet is not None:
            self.factory.readySet.adopt(self.transport)
        self._session = self.factory.admission.join(route, handshake)
        self.transport.registerProducer(self, True)
        if route.dialect.upgrades and route.sessionID:
            self._session.probe(self)
        else:
            self._session.attach(self, route.got)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A message has come."""
        if self._session is not None:
            self._session.messageReceived(self, payload if isBinary else payload.decode("utf-8"))

    def onMessageBegin(self, isBinary: bool) -> None:
        """A message begins."""
        self._fragments = 0
        super().onMessageBegin(isBinary)

    def onMessageFrameBegin(self, length: int) -> None:
        """A fragment of it begins; empty ones would never reach the limit of bytes."""
        self._fragments += 1
        if self._fragments > _MAX_FRAGMENTS:
            self._fail_connection(1009, "too many fragments")
        super().onMessageFrameBegin(length)

    def onPing(self, payload: bytes) -> None:
        """Answer, unless the client reads no answers."""
        if self.ready:
            super().onPing(payload)

    def onPong(self, payload: bytes) -> None:
        """The other end has read what came before our ping; other answers to nothing mean nothing."""
        if self._session is not None and len(payload) == _PLACE:
            self._session.pongReceived(self, int.from_bytes(payload))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is gone. A client that says goodbye, as a page does that is closed, is not waited for."""
        session, self._session = self._session, None
        if session is not None:
            if self.failedByMe:
                session.transportLost(self, Reason.PARSE_ERROR, final=True)
            else:
                session.transportLost(self, Reason.TRANSPORT_CLOSE, final=wasClean)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The TCP connection is gone."""
        self._lost = True
        self.stopProducing()
        # Without the debug lines of two methods in between, whose arguments cost a tenth of a connection's whole life.
        WebSocketProtocol._connectionLost(self, reason)  # type: ignore[arg-type]  # it asks for reason.value
        self.factory.countConnections -= 1
        self.__dict__.pop("dress", None)  # a cycle, too
        self.is_open = self.is_closed = None  # their results are this protocol: a cycle
        if self._decision is not None:
            self._decision.cancel()
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    # The server's side.

    def _dressDeflated(self, data: str | bytes, text: bool = False) -> bytes:
        if isinstance(data, str):
            data, text = data.encode(), True
        if self._threshold is not None and len(data) >= self._threshold:
            return deflatedFrame(data, text)
        return frame(data, text)

    def write(self, chunks: Sequence[bytes], binary: bool = False) -> None:
        """Send messages, together."""
        if self.state != _OPEN:
            if not self._answer:
                return
            chunks, self._answer = (self._answer, *chunks), b""
            self.state = self.STATE_OPEN
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if self._atOnce:
            writeAtOnce(self.transport, data)
        else:
            self.transport.write(data)

    def tells(self, answered: ISessionTransport) -> bool | None:
        """A WebSocket is no poll."""
        return True

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """What Autobahn itself has to send: frames of control, and answers to handshakes. It has no debug line here."""
        if self._atOnce and self.state != self.STATE_CONNECTING:  # whoever is refused may be cut off already
            writeAtOnce(self.transport, data)
        else:
            self.transport.write(data)

    def ping(self, place: int) -> None:
        """Ask the other end what it has read, with a ping of RFC 6455, whose answer has the same payload."""
        self.sendPing(place.to_bytes(_PLACE))

    def loseConnection(self, chunks: Sequence[bytes] = (), binary: bool = False) -> None:
        """Send the last messages, and begin the closing handshake."""
        if any(chunks) and self.state != self.STATE_OPEN and not self._answer:
            _log.warn("{count} last frames for a WebSocket that is closing were not sent", count=sum(map(bool, chunks)))
        self.write(chunks)
        self.sendClose(1000)

    def _fail_connection(self, *args: Any, **kwargs: Any) -> None:
        """The client broke RFC 6455: say so, once, unless goodbye was said already."""
        if self.state == self.STATE_OPEN:
            super()._fail_connection(*args, **kwargs)
        self.failedByMe = True

    def sendCloseFrame(self, *args: Any, **kwargs: Any) -> None:
        """Say goodbye, for whatever reason Autobahn or we have; one who ignores it is cut after ``closeTimeout``."""
        super().sendCloseFrame(*args, **kwargs)
        self.ready = False
        self._cutOffLater()

    def dropConnection(self, abort: bool = False) -> None:
        """End the TCP connection."""
        self.ready = False
        super().dropConnection(abort)

    def _cutOffLater(self) -> None:
        if self._closing is None and not self._lost:
            registry = self.factory.admission.registry
            self._closing = registry.clock.callLater(registry.config.closeTimeout, self._cutOff)

    def _cutOff(self) -> None:
        self._closing = None
        self.transport.abortConnection()

    def abortConnection(self) -> None:
        """Cut the TCP connection."""
        self.transport.abortConnection()

    def pauseProducing(self) -> None:
        """The client reads too slowly."""
        self.ready = False

    def resumeProducing(self) -> None:
        """The client has read what was written."""
        self.ready = self.state == self.STATE_OPEN
        if self._session is not None:
            self._session.transportReady()

    def stopProducing(self) -> None:
        """The connection is lost, as :meth:`onClose` tells too."""
        self.ready = False
