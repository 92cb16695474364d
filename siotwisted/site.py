"""
The way from a TCP connection to the endpoint, for a server of its own: a site of Twisted Web, with a shorter way for
what polling clients send again and again, and for WebSockets.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cached_property
from socket import SO_LINGER, SOL_SOCKET, socket
from typing import Any, NamedTuple
from typing import Protocol as Structure

from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IAddress, IProtocol, ISSLTransport, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from siotwisted.deadlines import Deadlines
from siotwisted.ids import serverOf
from siotwisted.resource import SocketIOResource
from siotwisted.transports.http import TransportResource, addressText, respond
from siotwisted.transports.immediate import hasUnsent, takesAtOnce, writeAtOnce
from siotwisted.transports.readiness import MemberTransport, ReadySet
from siotwisted.transports.shortcut import Head, Pattern, ShortRequest, readHead, timeless

__all__ = ["Others", "SocketIOSite"]

_log = Logger()

#: How much may come behind a request that is not answered yet, in bytes, before nothing more is read.
_AHEAD = 16384
#: How long the first line of a request may be, in bytes, to be waited for.
_LONGEST_LINE = 8192
#: How often, in seconds, it is looked whether the answers before have left, when a connection is to be handed over.
_LOOK = 0.01
#: How a socket is closed that was about to be reset.
_ORDERLY = struct.pack("ii", 0, 0)
#: How a resource finds its children, if it has no way of its own.
_USUAL = Resource.getChildWithDefault


class Others(Structure):
    """
    The other processes on the same port.

    :ivar number: which one this is.
    """

    number: int

    def reaches(self, number: int) -> bool:
        """Whether a connection can be handed to this one."""

    def handOver(self, number: int, connection: socket, data: bytes) -> None:
        """Give a connection to another one, for good, and what was read of it."""


class _Known(NamedTuple):
    """
    What there is to know of a request that looks so.

    :ivar pattern: what it looks like.
    :ivar method: its method.
    :ivar head: its headers.
    :ivar resource: serves it.
    """

    pattern: Pattern
    method: bytes
    head: Head
    resource: TransportResource


class _Channel(Protocol):
    """
    One connection. Polls are served here, one after the other, by the same resources as elsewhere, and WebSockets begin
    here. Anything else goes to Twisted Web, byte for byte, and whatever follows it, until that is answered.

    :param site: its site.
    :param address: where it comes from.
    """

    transport: Any

    def __init__(self, site: SocketIOSite, address: IAddress | None) -> None:
        self._site = site
        self._address = address
        #: What Twisted Web has for it, once there is anything to hand to that; and the protocol for HTTP/1.1 therein.
        self._web: Any = None
        self._http: Any = None
        #: The request that is being served here; and what came behind it, or the beginning of the next one.
        self._request: ShortRequest | None = None
        self._data = b""
        self._serving = self._paused = self._atOnce = self._secure = False
        #: Whether anything has come, or was answered, since the connection was last looked at.
        self._busy = False
        #: What was asked for last, without the time in it, and its resource; and that of the last whole request.
        self._asked: tuple[bytes, bool] | None = None
        self._found: TransportResource | None = None
        self._last: TransportResource | None = None
        #: What has come more than once, by the first byte of its method.
        self._known: dict[int, _Known] = {}
        #: The protocol that the connection was given to, for good; and whether another process is about to get it.
        self._heir: Any = None
        self._leaving = False

    def connectionMade(self) -> None:
        """It is there."""
        self._atOnce = takesAtOnce(self.transport)
        if not self._atOnce and ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)  # else each answer is one write, which waits for nothing
        self._secure = ISSLTransport.providedBy(self.transport)
        if self._atOnce and type(self.transport) is not MemberTransport:
            self._site.readTogether(self.transport)
        self._lookLater()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is gone."""
        self._stopLooking()
        request, self._request = self._request, None
        if request is not None:
            request.lost()
        self.__dict__.pop("dataReceived", None)
        heir, self._heir = self._heir, None
        try:
            if heir is not None:
                heir.connectionLost(reason)
        finally:
            if self._web is not None:
                self._http.__dict__.pop("timeoutConnection", None)
                self._web.connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        """Bytes have come."""
        self._busy = True
        self._data = self._data + data if self._data else data
        if self._request is None:
            self._serve()
        if self._paused or self._request is not None:
            self._throttle()

    def _throttle(self) -> None:
        """Read no further than some way ahead of a request that has to wait."""
        full = self._request is not None and len(self._data) > _AHEAD
        if full and not self._paused:
            self.transport.pauseProducing()
        elif self._paused and not full:
            self.transport.resumeProducing()
        self._paused = full

    def _serve(self) -> None:
        """Serve what has come, as far as it is whole, until something has to wait for its answer."""
        if self._serving or self._leaving:
            return
        self._serving = True
        try:
            while self._data and self._request is None:
                if self.transport.disconnecting:
                    self._data = b""  # nothing more is heard
                    return
                if self._site.others is not None and self._elsewhere(self._site.others):
                    return
                if not ((self._http is None and not self._secure) or self._atRest):
                    self._leaveToWeb()
                    return
                data = self._data
                known = self._known.get(data[0])
                if known is not None and known.pattern.fits(data):
                    pattern, method, head, resource = known
                    target, start, stop = pattern.uri(data), pattern.start, pattern.start + pattern.length
                else:
                    found = readHead(data)
                    place = None if found is None else self._resource(found[1], found[2].upgrades)
                    if found is None or place is None:
                        self._leaveToWeb()
                        return
                    resource, known = place, None
                    method, target, head, start, stop = found
                if stop > len(data):
                    return
                if known is None and resource is self._last:  # it may come again and again
                    self._known[data[0]] = _Known(Pattern(data, start, stop - start), method, head, resource)
                self._last = resource
                request = ShortRequest(self, method, target, head, data[start:stop])
                self._data = data[stop:]
                self._request = request
                self._render(resource, request)
        finally:
            self._serving = False

    def _resource(self, target: bytes, upgrades: bool) -> TransportResource | None:
        """The resource of a target. A client asks for the same one again and again, but for the time in its URL."""
        asked = timeless(target), upgrades
        if asked != self._asked:
            self._asked, self._found = asked, self._site.shortcut(target, *asked)
        return self._found

    def _elsewhere(self, others: Others) -> bool:
        """Whether the next request is for a session of another process, which gets the connection; or may be."""
        if not (self._atOnce and self._atRest):
            return False
        line, end, _ = self._data.partition(b"\r\n")
        if not end:
            return len(line) < _LONGEST_LINE
        number = self._site.serverOf(line)
        if number == others.number or not others.reaches(number):
            return False
        self._leaving = True
        self.transport.pauseProducing()
        self._site.reactor.callLater(0, self._leave, others, number)
        return True

    def _leave(self, others: Others, number: int) -> None:
        """Give the connection away: it is closed here, and does not end by that."""
        transport = self.transport
        if not transport.connected:
            return
        if hasUnsent(transport):
            self._site.reactor.callLater(_LOOK, self._leave, others, number)
            return
        try:
            connection = transport.socket.dup()
        except OSError:  # too many files are open
            transport.abortConnection()
            return
        data, self._data = self._data, b""
        transport.handedOver = True
        transport.connectionLost(Failure(ConnectionAborted()))
        connection.setsockopt(SOL_SOCKET, SO_LINGER, _ORDERLY)
        others.handOver(number, connection, data)

    def _render(self, resource: TransportResource, request: ShortRequest) -> None:
        try:
            body = resource.render(request)
            if body is not NOT_DONE_YET:
                assert isinstance(body, bytes)
                respond(request, body)
        except Exception:
            _log.failure("a request could not be served")
            self.transport.abortConnection()

    def _leaveToWeb(self) -> None:
        """What has come is for Twisted Web."""
        if self._web is None:
            self._stopLooking()
            self._makeWeb()
        data, self._data = self._data, b""
        self._web.dataReceived(data)
        # If a WebSocket has taken the connection over, it gets its bytes without a detour.
        taken = self._http.__dict__.get("dataReceived")
        if taken is not None:
            self.dataReceived = taken  # type: ignore[method-assign]

    def _makeWeb(self) -> None:
        if self._atOnce:
            self.transport.setTcpNoDelay(True)
        self._web = self._site.buildWebProtocol(self._address)
        self._http = self._web._channel
        self._web.makeConnection(self.transport)
        self._http.timeoutConnection = self._timeoutConnection

    @property
    def _atRest(self) -> bool:
        """Whether Twisted Web has answered all that it was given, and speaks HTTP/1.1."""
        http = self._http
        if http is not None and (http.requests or http._buffer or not http.line_mode or http is not self._web._channel):
            return False
        return not self._secure or getattr(self.transport, "negotiatedProtocol", None) in (None, b"http/1.1")

    # What the request tells that is served here.

    def answered(self, answer: bytes) -> None:
        """The request is answered: send that, and go on with the next."""
        self._request = None
        self._busy = True
        if self._atOnce:
            writeAtOnce(self.transport, answer)
        else:
            self.transport.write(answer)
        if self._data:
            self._serve()
            self._throttle()

    def handOver(self, protocol: IProtocol) -> bytes:
        """The connection is a protocol's, for good."""
        self._stopLooking()
        self._request = None
        behind, self._data = self._data, b""
        self._throttle()
        if self._web is not None:  # it has had something before, and has nothing to say here any more
            self._http.setTimeout(None)
            self.transport.unregisterProducer()
        if self._atOnce and self._web is None and self.transport.protocol is self:
            self.transport.protocol = protocol  # and this one is done with
        else:
            self._heir = protocol
            self.dataReceived = protocol.dataReceived  # type: ignore[method-assign]
        protocol.makeConnection(self.transport)
        return behind

    def isSecure(self) -> bool:
        """Whether it has TLS."""
        return self._secure

    @property
    def host(self) -> str:
        """The address of the other end, as text: connections of Twisted's own have it, and not only as an object."""
        host: str = self.transport.hostname if self._atOnce else addressText(self.transport.getPeer())
        return host

    # Connections that nothing comes on.

    def _lookLater(self) -> None:
        if self._site.idle is not None:
            self._site.idle.add(self)

    def _stopLooking(self) -> None:
        if self._site.idle is not None:
            self._site.idle.discard(self)

    def look(self) -> None:
        """If nothing has come for long, Twisted Web ends the connection."""
        if self._busy or self._request is not None:
            self._busy = False
            self._lookLater()
        else:
            self._makeWeb()
            self._timeoutConnection()

    def _timeoutConnection(self) -> None:
        """Nothing has come for long, as far as Twisted Web knows."""
        http = self._http
        if self._busy or self._request is not None:
            self._busy = False
            http.setTimeout(http.timeOut)
        else:
            type(http).timeoutConnection(http)


class _Way(NamedTuple):
    """
    How an endpoint is found in the tree of a site.

    :ivar path: the path that names it.
    :ivar root: the root of the tree.
    :ivar steps: the names behind it, and the resources of these.
    :ivar endpoint: the last of them.
    :ivar below: what is left of the path.
    """

    path: bytes | None = None
    root: Any = None
    steps: Sequence[tuple[bytes, Any]] = ()
    endpoint: Any = None
    below: bytes = b""

    def leads(self, root: object) -> bool:
        """Whether it still leads there: trees may change."""
        if self.root is not root:
            return False
        resource: Any = root
        for name, child in self.steps:
            if resource.children.get(name) is not child:
                return False
            resource = child
        return True


class SocketIOSite(Site):
    """
    A site of Twisted Web, which serves polls to its endpoints, and begins WebSockets, in a fraction of the time.

    The :class:`~siotwisted.SocketIOResource` can hang anywhere in its tree, below resources that find their children as
    ``Resource`` does. There is no access log, unless ``logPath`` names one, for the URLs of polls hold session ids,
    which are secrets; with one, or with a ``requestFactory``, all requests are Twisted Web's. Forms are left to the
    endpoint to read, which bounds them, and a traceback is for the log alone.

    :param resource: the root of the tree.
    :param others: the other processes on the same port, if there are any: a connection whose client has its session
        there is handed over.
    :param options: as ``twisted.web.server.Site`` takes them.
    """

    displayTracebacks = False

    def __init__(self, resource: IResource, others: Others | None = None, **options: Any) -> None:
        self.others = others
        #: How the path was found that the last client of Engine.IO had.
        self._way = _Way()
        super().__init__(resource, **{"parsePOSTFormSubmission": False, **options})

    @cached_property
    def idle(self) -> Deadlines[_Channel] | None:
        """Connections that nothing may have come on for long; None if they are never looked at."""
        return None if self.timeOut is None else Deadlines(self.reactor, self.timeOut, _Channel.look)

    @cached_property
    def readySet(self) -> ReadySet | None:
        """What reads its connections, where that can be."""
        return ReadySet.make(self.reactor)

    def readTogether(self, transport: Any) -> None:
        """Read a connection, and all that are to come to its port, with little of the reactor's work for each."""
        if self.readySet is not None:
            self.readySet.adopt(transport)
            port = getattr(transport, "server", None)
            if getattr(port, "factory", None) is self:
                self.readySet.accept(port)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A protocol for a new connection."""
        if self.logPath is not None or self.requestFactory is not Request:
            return self.buildWebProtocol(addr)
        return _Channel(self, addr)

    def buildWebProtocol(self, addr: IAddress | None) -> Any:
        """Twisted Web's own protocol for a connection."""
        return super().buildProtocol(addr)

    def log(self, request: Any) -> None:
        """Write into the access log, if there is one."""
        if self.logPath is not None:
            super().log(request)

    def shortcut(self, target: bytes, asked: bytes, upgrades: bool) -> TransportResource | None:
        """
        The resource of a request's target, if that is an endpoint's and need not be found by Twisted Web.

        :param asked: the target without its time.
        """
        found = self._endpoint(target)
        return None if found is None else found[0].shortcut(*found[1:], asked, upgrades)

    def serverOf(self, line: bytes) -> int:
        """Which of several servers the session of a request is of, by its first line; -1 if of none."""
        words = line.split(b" ")
        found = self._endpoint(words[1]) if len(words) == 3 and words[1].isascii() else None
        return -1 if found is None else serverOf(found[0].sessionID(*found[1:]))

    def _endpoint(self, target: bytes) -> tuple[SocketIOResource, bytes, bytes] | None:
        """The endpoint that a target names, the path below it, and the query."""
        path, _, query = target.partition(b"?")
        way = self._way
        if path != way.path or not way.leads(self.resource):
            found = self._find(path)
            if found is None:
                return None
            way = found
            if not way.below:  # a session's id, which is a secret, may stand there
                self._way = way
        return way.endpoint, way.below, query

    def _find(self, path: bytes) -> _Way | None:
        """The way to the endpoint that a path names."""
        names = path.split(b"/")
        steps: list[tuple[bytes, Any]] = []
        resource: Any = self.resource
        while not isinstance(resource, SocketIOResource):
            place = len(steps) + 1
            if place == len(names) or resource.isLeaf or type(resource).getChildWithDefault is not _USUAL:
                return None
            resource = resource.children.get(names[place])
            if resource is None:
                return None
            steps.append((names[place], resource))
        if b"%" in path:
            return None
        return _Way(path, self.resource, steps, resource, b"/".join(names[len(steps) + 1 :]))
