"""
siotwisted: the native Socket.IO server for Twisted.

A :class:`SocketIO` holds the application's handlers and all sessions; a :class:`SocketIOResource` puts it into a
Twisted Web site, and a :class:`SocketIOWebSocketFactory` serves its WebSockets alone on a port.
"""

from siotwisted._version import __version__ as _version
from siotwisted.config import Config
from siotwisted.errors import EncodeError, QueueFull, SessionClosed, SocketIOError
from siotwisted.handshake import Handshake
from siotwisted.namespaces import Connection
from siotwisted.packets import Reason
from siotwisted.resource import SocketIOResource
from siotwisted.server import SocketIO
from siotwisted.transports.websocket import SocketIOWebSocketFactory
from siotwisted.wire.codec import Codec
from siotwisted.wire.sio06 import SIOCodec
from siotwisted.wire.sio06streaming import SIOStreamingCodec

__all__ = [
    "Codec",
    "Config",
    "Connection",
    "EncodeError",
    "Handshake",
    "QueueFull",
    "Reason",
    "SIOCodec",
    "SIOStreamingCodec",
    "SessionClosed",
    "SocketIO",
    "SocketIOError",
    "SocketIOResource",
    "SocketIOWebSocketFactory",
    "__version__",
]

__version__ = _version.public()
