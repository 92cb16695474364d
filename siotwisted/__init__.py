"""
siotwisted: the native Socket.IO server for Twisted.

A :class:`SocketIO` holds the application's handlers and all sessions; a :class:`SocketIOResource` puts it into a
Twisted Web site, and a :class:`SocketIOWebSocketFactory` serves its WebSockets alone on a port. Clients of every
generation, 0.5 to 4.8, find it at the same address.
"""

from siotwisted._version import __version__ as _version
from siotwisted.config import Config, Cookie
from siotwisted.connections import Connection
from siotwisted.engine import EngineIO
from siotwisted.errors import (
    AckLost,
    AckTimeout,
    ConnectionRefused,
    DeliveryFailed,
    EncodeError,
    EventRefused,
    QueueFull,
    SessionClosed,
    SocketIOError,
    UnsupportedByClient,
)
from siotwisted.handlers import NO_ACK, Handler, event
from siotwisted.handshake import Handshake
from siotwisted.ledger import Statistics, Undelivered
from siotwisted.namespaces import Namespace
from siotwisted.packets import Reason
from siotwisted.recipients import Replies, Selection
from siotwisted.resource import SocketIOResource
from siotwisted.rooms import Delivery
from siotwisted.server import SocketIO
from siotwisted.site import SocketIOSite
from siotwisted.transports.websocketfactory import SocketIOWebSocketFactory
from siotwisted.wire.codec import Codec
from siotwisted.wire.sio06 import SIOCodec
from siotwisted.wire.sio06streaming import SIOStreamingCodec

__all__ = [
    "NO_ACK",
    "AckLost",
    "AckTimeout",
    "Codec",
    "Config",
    "Connection",
    "ConnectionRefused",
    "Cookie",
    "Delivery",
    "DeliveryFailed",
    "EncodeError",
    "EngineIO",
    "EventRefused",
    "Handler",
    "Handshake",
    "Namespace",
    "QueueFull",
    "Reason",
    "Replies",
    "SIOCodec",
    "SIOStreamingCodec",
    "Selection",
    "SessionClosed",
    "SocketIO",
    "SocketIOError",
    "SocketIOResource",
    "SocketIOSite",
    "SocketIOWebSocketFactory",
    "Statistics",
    "Undelivered",
    "UnsupportedByClient",
    "__version__",
    "event",
]

__version__ = _version.public()
