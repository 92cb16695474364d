"""
What makes the protocols of WebSockets: one factory of Autobahn's, which shares the sessions of a server with all other
transports.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol, cast
from urllib.parse import unquote

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept
from autobahn.websocket.protocol import TrafficStats
from autobahn.websocket.utf8validator import Utf8Validator
from twisted.internet.defer import Deferred

from siotwisted.admission import Admission
from siotwisted.dialects.dialect import Route
from siotwisted.transports.http import addressText
from siotwisted.transports.readiness import ReadySet
from siotwisted.transports.websocket import SocketIOWebSocketProtocol

__all__ = ["HasAdmission", "SocketIOWebSocketFactory"]

#: What Autobahn finds out from a handshake, for one that it has not read.
_OPENED = {
    "inside_message": False,
    "current_frame": None,
    "websocket_version": 13,
    "websocket_extensions_in_use": (),
    "websocket_protocol_in_use": None,
}


def _beginning(value: Any) -> Any:
    """
    What stands in a class for something that each connection would have of its own: what can change is made when it is
    asked for, which most connections never do.
    """
    if isinstance(value, (deque, Deferred, TrafficStats, Utf8Validator)):
        make = type(value)
        return cached_property(lambda _: make())
    return staticmethod(value) if callable(value) else value


class HasAdmission(Protocol):
    """What the factory needs of a :class:`~siotwisted.SocketIO`."""

    @property
    def admission(self) -> Admission:
        """The checks for new clients, and the sessions."""


class SocketIOWebSocketFactory(WebSocketServerFactory):
    """
    The WebSocket side of a server. A :class:`~siotwisted.SocketIOResource` has one of its own; another may serve
    WebSockets alone, on any port.

    :param sio: the server.
    :param path: the path of the endpoint, where the factory is alone on a port.
    """

    protocol = SocketIOWebSocketProtocol  # type: ignore[assignment]
    noisy = False

    def __init__(self, sio: HasAdmission, path: str = "/socket.io") -> None:
        self.admission = sio.admission
        self._prefix = f"/{path.strip('/')}/".replace("//", "/")
        config = self.admission.registry.config
        self.readySet = ReadySet.make(self.admission.registry.clock)
        super().__init__(server="", reactor=self.admission.registry.clock)
        self.setProtocolOptions(
            webStatus=False,
            allowNullOrigin=True,  # origins are checked by our own rules
            failByDrop=False,
            maxFramePayloadSize=config.maxPayload,
            maxMessagePayloadSize=config.maxPayload,
            closeHandshakeTimeout=0,  # ours does not round to whole seconds
        )
        if config.perMessageDeflate is not None:
            self.setProtocolOptions(perMessageCompressionAccept=self._acceptCompression)

    def setProtocolOptions(self, *args: Any, **kwargs: Any) -> None:
        """
        Change Autobahn's options, for connections to come.

        Their protocols have them, and all else that a connection begins with, from their class: Autobahn would set a
        hundred attributes of each connection, and write the options into a debug line that nobody sees, which is a
        third of the cost of a connection, and more than half of its memory.
        """
        super().setProtocolOptions(*args, **kwargs)
        base = type(self).protocol
        first = base()
        WebSocketServerProtocol.__init__(first)
        first.factory, first.peer = self, ""
        WebSocketServerProtocol._connectionMade(first)
        self.countConnections -= 1
        if first.openHandshakeTimeoutCall is not None:
            first.openHandshakeTimeoutCall.cancel()
        beginning = {name: _beginning(value) for name, value in vars(first).items() if name != "factory"}
        peer = cached_property(lambda protocol: addressText(protocol.transport.getPeer()))
        fixed = {"openHandshakeTimeoutCall": None, "CONFIG_ATTRS": (), "peer": peer, **_OPENED}
        self.protocol = cast("type[SocketIOWebSocketProtocol]", type(base.__name__, (base,), {**beginning, **fixed}))

    def _acceptCompression(self, offers: Sequence[object]) -> PerMessageDeflateOfferAccept | None:
        """
        Agree upon compressed messages that need no memory of those before them: so one serves all of a broadcast.
        """
        limit = self.admission.registry.config.maxPayload
        for offer in offers:
            if isinstance(offer, PerMessageDeflateOffer) and offer.request_max_window_bits in (0, 15):
                return PerMessageDeflateOfferAccept(
                    offer,
                    request_no_context_takeover=offer.accept_no_context_takeover,
                    no_context_takeover=True,
                    max_message_size=limit,
                )
        return None

    def route(self, path: str, query: Mapping[str, str]) -> Route | None:
        """What a URL asks for."""
        if not f"{path}/".startswith(self._prefix):
            return None
        return self.admission.route([unquote(segment) for segment in path[len(self._prefix) :].split("/")], query)
