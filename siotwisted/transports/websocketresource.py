"""
The resource of ``websocket`` and ``flashsocket``: how a request becomes a WebSocket.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Mapping
from hashlib import sha1
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Request

from siotwisted.admission import Admission
from siotwisted.dialects.dialect import Problem, Refusal, Route
from siotwisted.handshake import Handshake
from siotwisted.session import Session
from siotwisted.transports.http import AnyRequest, TransportResource, fieldsOf, header, refuse
from siotwisted.transports.shortcut import ShortRequest
from siotwisted.transports.websocket import NO_BODY, SocketIOWebSocketProtocol
from siotwisted.transports.websocketfactory import SocketIOWebSocketFactory

__all__ = ["WebSocketResource"]

_NO_HTTP_1 = Refusal(400, "WebSockets need HTTP/1.1")

#: The key of a handshake, and what a server makes of it (RFC 6455, section 4.2.2).
_KEY = re.compile("[A-Za-z0-9+/]{22}==")
_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
#: The extensions that browsers and Node.js offer, and none that asks for more than to be ignored.
_OFFERS = (None, "permessage-deflate", "permessage-deflate; client_max_window_bits")


class WebSocketResource(TransportResource):
    """
    The resource of ``websocket`` and ``flashsocket``.

    :param factory: makes the protocols of admitted clients.
    """

    def __init__(self, admission: Admission, route: Route, factory: SocketIOWebSocketFactory) -> None:
        super().__init__(admission, route)
        self._factory = factory

    def render_GET(self, request: AnyRequest, session: Session | None) -> int | bytes:
        """Serve a WebSocket's opening handshake, and nothing else."""
        if isinstance(request, ShortRequest):
            return super().render_GET(request, session)  # it is no other, or it had not come here
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
        return super().render_GET(request, session)

    def render_POST(self, request: AnyRequest, session: Session | None) -> int | bytes:
        """A WebSocket takes messages by itself."""
        return refuse(request, self.refusal(Problem.UPGRADE))

    def admit(self, request: AnyRequest, handshake: Handshake | None) -> None:
        """Make the connection a WebSocket, which joins its session when the handshake is done."""
        protocol = self._factory.buildProtocol(request.getClientAddress())
        assert isinstance(protocol, SocketIOWebSocketProtocol)
        protocol.admitted = self._route, handshake
        if isinstance(request, ShortRequest):
            behind = request.handOver(protocol)
        else:
            behind = _takeOver(request, protocol)
        compresses = self._admission.registry.config.perMessageDeflate is not None
        answer = None if compresses else _answer(fieldsOf(request))
        if answer is not None:
            protocol.open(answer)
        else:
            protocol.dataReceived(_head(request))
        if behind:
            protocol.dataReceived(behind)


def _takeOver(request: Request, protocol: SocketIOWebSocketProtocol) -> bytes:
    """
    Give a protocol the connection of a request, for good.

    :return: what came behind the request, in the same segment or while the application was asked.
    """
    channel: Any = request.channel  # an HTTPChannel, whose methods the protocol's take the place of
    transport = channel.transport
    channel.setTimeout(None)
    transport.unregisterProducer()
    behind = b"".join(channel._dataBuffer)
    channel._dataBuffer.clear()
    producer = IPushProducer(transport, None)
    if behind and producer is not None:
        producer.resumeProducing()  # which the channel has paused, for the answer
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
    return behind


def _head(request: AnyRequest) -> bytes:
    """The handshake once more, for Autobahn to read."""
    if isinstance(request, ShortRequest):
        fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.fields.items()]
    else:
        raw = request.requestHeaders.getAllRawHeaders()
        fields = [(name.lower(), value) for name, values in raw for value in values]
    lines = [b"%b: %b" % field for field in fields if field[0] != b"origin"]  # checked, and may be none to Autobahn
    return b"\r\n".join([b"GET %b HTTP/1.1" % request.uri, *lines, b"", b""])


def _answer(fields: Mapping[str, str]) -> bytes | None:
    """
    The answer to a handshake that asks for nothing but a WebSocket, as nearly all do, in a tenth of the time that
    Autobahn takes; None for any other.

    :param fields: the headers by lower-case name, of a request that asks for a WebSocket and has no body.
    """
    key = fields.get("sec-websocket-key", "")
    if (
        fields.get("sec-websocket-version") != "13"
        or fields.get("upgrade", "").lower() != "websocket"
        or fields.get("connection", "").lower() not in ("upgrade", "keep-alive, upgrade")
        or fields.get("sec-websocket-extensions") not in _OFFERS
        or "sec-websocket-protocol" in fields
        or _KEY.fullmatch(key) is None
        or _HOST.fullmatch(fields.get("host", "")) is None
    ):
        return None
    accept = b2a_base64(sha1((key + _MAGIC).encode("ascii")).digest(), newline=False)
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
    )
