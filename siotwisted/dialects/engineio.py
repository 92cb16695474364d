"""
The clients 1.x and 2.x (Engine.IO 3; 1.0.x calls it 2), 3.x and 4.x (Engine.IO 4): sessions that begin with a poll and
move to a WebSocket, and times that the handshake tells.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from siotwisted.dialects.dialect import (
    Dialect,
    Fault,
    Heartbeat,
    Posted,
    Problem,
    Refusal,
    Route,
    Settings,
    derivedID,
)
from siotwisted.errors import ProtocolError
from siotwisted.ids import newID
from siotwisted.packets import Reason
from siotwisted.wire.engine3 import isPayload
from siotwisted.wire.enginecodec import (
    EngineIO3Codec,
    EngineIO4Codec,
    SocketIO3Codec,
    SocketIO4Codec,
    SocketIO5Codec,
    SocketIO5JSONCodec,
    SocketIO5MessagePackCodec,
)
from siotwisted.wire.jsontext import dumps
from siotwisted.wire.wrappings import engineCall, engineText, formField

__all__ = ["ENGINEIO_2", "ENGINEIO_3", "ENGINEIO_4", "ENGINES", "PARSERS", "PLAIN_ENGINES"]


def _freshConnectionID(sessionID: str, namespace: str) -> str:
    """An id that tells nothing of the session's, which is a secret."""
    return newID(20)


def _opening(sessionID: str, streaming: bool, settings: Settings) -> str:
    upgrades = settings.allowUpgrades and "websocket" in settings.transports and not streaming
    rest = _offers(upgrades, settings.pingInterval, settings.pingTimeout, settings.maxPayload)
    return f'{{"sid":"{sessionID}",{rest}'  # which needs no escapes


@lru_cache(16)
def _offers(upgrades: bool, pingInterval: float, pingTimeout: float, maxPayload: int) -> str:
    """What all sessions are told that are opened with these."""
    return dumps(
        {
            "upgrades": ["websocket"] if upgrades else [],
            "pingInterval": round(pingInterval * 1000),
            "pingTimeout": round(pingTimeout * 1000),
            "maxPayload": maxPayload,
        }
    )[1:]


def _express(fault: Fault, route: Route) -> Refusal:
    return Refusal(fault.status, dumps({"code": fault.code, "message": fault.text}), "application/json")


def _posted(body: bytes, route: Route) -> str:
    try:
        return engineText(formField(body, b"d")) if route.carrier == "jsonp-polling" else body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProtocolError("a body that is not UTF-8") from error


_SINGLE_FEED = re.compile(r"(?<!\\)\\n")


def _undress2(body: bytes, contentType: str, route: Route) -> Posted:
    """
    The first clients of 1.0 leave backslashes in a form as they are, and so the lengths fit. The others double that of
    a ``\\n``, and have no other, for JSON has no line feeds.
    """
    if route.carrier == "jsonp-polling":
        value = formField(body, b"d")
        text = engineText(value)
        old = isPayload(value) and (_SINGLE_FEED.search(value) is not None or not isPayload(text))
        return Posted(value if old else text)
    return _undress3(body, contentType, route)


def _undress3(body: bytes, contentType: str, route: Route) -> Posted:
    return Posted(body if contentType == "application/octet-stream" else _posted(body, route))


def _undress4(body: bytes, contentType: str, route: Route) -> Posted:
    if contentType == "application/octet-stream":
        raise ProtocolError("Engine.IO 4 posts text")
    return Posted(_posted(body, route))


#: Socket.IO 3.x and 4.x.
ENGINEIO_4 = Dialect(
    name="Socket.IO 3-4",
    transports=("polling", "websocket"),
    codec=SocketIO5Codec,
    heartbeat=Heartbeat.SERVER,
    upgrades=True,
    goodbye=Reason.TRANSPORT_CLOSE,
    outlivesStreams=False,
    outlivesPolls=False,
    replacesPolls=False,
    takesNothing=False,
    pollsBeside=False,
    joinsRoot=False,
    rootIsAll=False,
    strict=True,
    recovers=True,
    connectionID=_freshConnectionID,
    opening=_opening,
    faults={
        Problem.TRANSPORT: Fault(400, "Transport unknown", 0),
        Problem.SESSION: Fault(400, "Session ID unknown", 1),
        Problem.METHOD: Fault(400, "Bad handshake method", 2),
        Problem.POST: Fault(400, "Bad handshake method", 2),
        Problem.MISMATCH: Fault(400, "Bad request", 3),
        Problem.FAILED: Fault(500, "Bad request", 3),
        Problem.STOPPING: Fault(503, "Bad request", 3),
        Problem.ORIGIN: Fault(403, "Forbidden", 4),
        Problem.UPGRADE: Fault(400, "Bad request", 3),
        Problem.UNAUTHORIZED: Fault(403, "Forbidden", 4),
        Problem.VERSION: Fault(400, "Unsupported protocol version", 5),
    },
    express=_express,
    undress=_undress4,
    accepted=(b"ok", "text/html"),
    jsonpCall=engineCall,
)

#: Socket.IO 1.x and 2.x.
ENGINEIO_3 = replace(
    ENGINEIO_4,
    name="Socket.IO 1-2",
    codec=SocketIO4Codec,
    heartbeat=Heartbeat.CLIENT,
    joinsRoot=True,
    strict=False,
    recovers=False,
    connectionID=derivedID,
    undress=_undress3,
)

#: Socket.IO 1.0.x.
ENGINEIO_2 = replace(ENGINEIO_3, codec=SocketIO3Codec, undress=_undress2)

#: By what a URL has for ``EIO``.
ENGINES = {"4": ENGINEIO_4, "3": ENGINEIO_3, "2": ENGINEIO_2}

#: The same by the parser that clients of 3.x and 4.x must have, if they must have one.
PARSERS: dict[str | None, dict[str, Dialect]] = {
    None: ENGINES,
    "json": {**ENGINES, "4": replace(ENGINEIO_4, codec=SocketIO5JSONCodec)},
    "msgpack": {**ENGINES, "4": replace(ENGINEIO_4, codec=SocketIO5MessagePackCodec)},
}

#: The same without Socket.IO in it.
PLAIN_ENGINES = {
    "4": replace(ENGINEIO_4, name="Engine.IO 4", codec=EngineIO4Codec, recovers=False),
    "3": replace(ENGINEIO_3, name="Engine.IO 3", codec=EngineIO3Codec),
}
