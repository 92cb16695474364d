"""
All that differs between generations of clients, as data: the rest of the package reads it and never asks which one it
serves.

:func:`route` tells from a URL which dialect a request speaks, which transport it asks for, and for which session.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from siotwisted.wire.codec import Codec
from siotwisted.wire.sio06 import SIOCodec
from siotwisted.wire.sio06streaming import SIOStreamingCodec

__all__ = ["SOCKETIO_06", "SOCKETIO_06_CODECS", "Dialect", "Route", "route"]


@dataclass(frozen=True)
class Dialect:
    """
    One generation of clients.

    :ivar transports: the names of the transports that its clients know, as URLs spell them.
    :ivar unauthorized: the HTTP status for a client that the application refuses.
    """

    transports: tuple[str, ...]
    unauthorized: int


#: The clients 0.5 and 0.6: the session id travels as the first message, the server asks for signs of life.
SOCKETIO_06 = Dialect(
    transports=("websocket", "flashsocket", "htmlfile", "xhr-multipart", "xhr-polling", "jsonp-polling"),
    unauthorized=401,
)

#: The codecs that those clients came with; the first answers the plain URLs.
SOCKETIO_06_CODECS: tuple[type[Codec], ...] = (SIOCodec, SIOStreamingCodec)


@dataclass(frozen=True, slots=True)
class Route:
    """
    What a URL asks for.

    :ivar dialect: the generation of the client.
    :ivar codec: how its packets are written.
    :ivar transport: the transport's name.
    :ivar sessionID: the id of the session that it belongs to; ``""`` if it asks for a new one.
    :ivar index: the number of the callback that a JSONP poll wants to be answered with; None if it has none.
    """

    dialect: Dialect
    codec: type[Codec]
    transport: str
    sessionID: str
    index: int | None = None


_JSONP_INDEX = re.compile("[0-9]{1,9}")
#: A proxy that merges slashes turns ``//TIME`` (no session id, and the milliseconds against caches) into ``/TIME``; our
#: session ids have letters, so a long number there is no id.
_TIME = re.compile("[0-9]{12,20}")
#: No id of ours is longer; what is longer is not looked up, stored or logged.
_LONGEST_ID = 64


def route(segments: Sequence[str], codecs: Mapping[str, type[Codec]]) -> Route | None:
    """
    Read the path of a request.

    Clients of 0.6 ask for ``TRANSPORT/ID/...``, where an empty id, or none, asks for a new session; what follows it, a
    time against caches or the word ``send``, is ignored, but for the last segment of a JSONP request: its callback's
    index. ``CODEC/TRANSPORT/...`` is the same with another codec than the first.

    :param segments: the path below the endpoint, cut at slashes and unquoted, empty segments kept.
    :param codecs: by name, the codecs that may be asked for; the first one is the codec of plain URLs.
    :return: None if it is no URL of a client.
    """
    codec = next(iter(codecs.values()))
    if segments and segments[0] in codecs:
        codec = codecs[segments[0]]
        segments = segments[1:]
    if not segments or segments[0] not in SOCKETIO_06.transports:
        return None
    transport, *rest = segments
    while len(rest) > 1 and rest[-1] == "":
        rest.pop()
    sessionID = rest[0] if rest else ""
    if _TIME.fullmatch(sessionID):
        sessionID = ""
    if len(sessionID) > _LONGEST_ID:
        return None
    index = None
    if transport == "jsonp-polling" and len(rest) > 1 and _JSONP_INDEX.fullmatch(rest[-1]):
        index = int(rest[-1])
    return Route(SOCKETIO_06, codec, transport, sessionID, index)
