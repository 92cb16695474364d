"""
The resource of ``websocket`` and ``flashsocket``: how a request of Twisted Web becomes a WebSocket.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Request

from siotwisted.admission import Admission
from siotwisted.dialects.dialect import Problem, Refusal, Route
from siotwisted.handshake import Handshake
from siotwisted.transports.http import AnyRequest, TransportResource, header, refuse
from siotwisted.transports.websocket import NO_BODY, SocketIOWebSocketFactory, SocketIOWebSocketProtocol

__all__ = ["WebSocketResource", "takeOver"]

_NO_HTTP_1 = Refusal(400, "WebSockets need HTTP/1.1")


class WebSocketResource(TransportResource):
    """
    The resource of ``websocket`` and ``flashsocket``.

    :param factory: makes the protocols of admitted clients.
    """

    def __init__(self, admission: Admission, route: Route, factory: SocketIOWebSocketFactory) -> None:
        super().__init__(admission, route)
        self._factory = factory

    def render_GET(self, request: AnyRequest) -> int | bytes:
        """Serve a WebSocket's opening handshake, and nothing else."""
        assert isinstance(request, Request), "upgrades are for Twisted Web"
        headers = request.requestHeaders
        upgrades = ",".join(headers.getRawHeaders("Upgrade", []))
        if "websocket" not in [each.strip().lower() for each in upgrades.split(",")]:
            request.setHeader("Upgrade", "websocket")
            return refuse(request, self.refusal(Problem.UPGRADE))
        channel = request.channel
        if not isinstance(channel, HTTPChannel) or request.clientproto != b"HTTP/1.1":
            return refuse(request, _NO_HTTP_1)
        if headers.hasHeader("Transfer-Encoding") or header(request, "Content-Length") not in (None, "0"):
            request.setHeader("Connection", "close")
            request.notifyFinish().addCallback(lambda _: channel.loseConnection())
            return refuse(request, NO_BODY)
        return super().render_GET(request)

    def render_POST(self, request: AnyRequest) -> int | bytes:
        """A WebSocket takes messages by itself."""
        return refuse(request, self.refusal(Problem.UPGRADE))

    def admit(self, request: AnyRequest, handshake: Handshake | None) -> None:
        """Make the connection a WebSocket, which joins its session when the handshake is done."""
        assert isinstance(request, Request), "upgrades are for Twisted Web"
        protocol = self._factory.buildProtocol(request.getClientAddress())
        assert isinstance(protocol, SocketIOWebSocketProtocol)
        protocol.admitted = self._route, handshake
        takeOver(request, protocol)


def takeOver(request: Request, protocol: SocketIOWebSocketProtocol) -> None:
    """
    Give a protocol the connection of a request, for good, as if it had read the request itself.

    What came behind the request, in the same segment or while the application was asked, follows it.
    """
    channel: Any = request.channel  # an HTTPChannel, whose methods the protocol's take the place of
    transport = channel.transport
    channel.setTimeout(None)
    transport.unregisterProducer()
    head = [b"%b %b HTTP/1.1" % (request.method, request.uri)]
    head += [
        b"%b: %b" % (name, value)
        for name, values in request.requestHeaders.getAllRawHeaders()
        for value in values
        if name.lower() != b"origin"  # which was checked, and may be none to Autobahn
    ]
    behind = b"".join(channel._dataBuffer)
    channel._dataBuffer.clear()
    connectionLost = channel.connectionLost

    def lost(reason: Failure) -> None:
        del channel.dataReceived, channel.rawDataReceived, channel.connectionLost
        try:
            protocol.connectionLost(reason)
        finally:
            connectionLost(reason)

    channel.dataReceived = channel.rawDataReceived = protocol.dataReceived
    channel.connectionLost = lost
    protocol.makeConnection(transport)
    protocol.dataReceived(b"\r\n".join(head) + b"\r\n\r\n" + behind)
    producer = IPushProducer(transport, None)
    if behind and producer is not None:
        producer.resumeProducing()
