"""The clients 0.7 to 0.9: a request for a session, then a transport whose URL names it."""

from __future__ import annotations

from math import ceil

from siotwisted.dialects.dialect import Dialect, Fault, Heartbeat, Posted, Problem, Refusal, Route, Settings, derivedID
from siotwisted.errors import ProtocolError
from siotwisted.packets import Reason
from siotwisted.wire.sio09 import SocketIO09Codec, handshakeBody
from siotwisted.wire.wrappings import (
    HTMLFILE_09_OPENING,
    htmlfile09Script,
    jsonp09Call,
    jsonpError,
    posted09,
    quoted,
)

__all__ = ["PROTOCOLS", "SOCKETIO_09"]

#: What new clients are offered, best first. Not Flash, which they would wait for in vain.
_OFFERED = ("websocket", "htmlfile", "xhr-polling", "jsonp-polling")


#: An error packet that makes the client begin anew; where a poll has to be answered with a packet, the only answer.
_BEGIN_ANEW = "7:::1+0"


def _opening(sessionID: str, streaming: bool, settings: Settings) -> str:
    """
    The answer to the handshake.

    Clients wait so long for anything at all, and for data: longer than we are silent on a stream, or hold a poll.
    """
    heartbeat = ceil(max(settings.pingInterval, settings.pollDuration) + settings.pingTimeout)
    served = tuple(name for name in _OFFERED if name in settings.transports)
    return handshakeBody(sessionID, heartbeat, max(heartbeat, ceil(settings.reconnectTimeout)), served)


def _express(fault: Fault, route: Route) -> Refusal:
    if route.callback is None:
        return Refusal(fault.status, fault.text)
    if route.carrier == "handshake":
        script = jsonpError(route.callback, fault.text)
    else:
        script = jsonp09Call(route.callback, quoted(_BEGIN_ANEW.encode("ascii")))
    return Refusal(200, script.decode("utf-8"), "text/javascript; charset=UTF-8")


def _undress(body: bytes, contentType: str, route: Route) -> Posted:
    if route.carrier == "jsonp-polling":
        return Posted(*posted09(body))
    try:
        return Posted(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ProtocolError("a body that is not UTF-8") from error


SOCKETIO_09 = Dialect(
    name="Socket.IO 0.7-0.9",
    transports=("websocket", "flashsocket", "htmlfile", "xhr-polling", "jsonp-polling"),
    codec=SocketIO09Codec,
    heartbeat=Heartbeat.TOLD,
    upgrades=False,
    goodbye=Reason.CLIENT_DISCONNECT,
    outlivesStreams=False,
    outlivesPolls=True,
    replacesPolls=True,
    takesNothing=True,
    pollsBeside=False,
    joinsRoot=True,
    rootIsAll=True,
    strict=False,
    recovers=False,
    connectionID=derivedID,
    opening=_opening,
    faults={
        Problem.STOPPING: Fault(503, "the server is stopping"),
        Problem.TRANSPORT: Fault(404, "no such transport"),
        Problem.VERSION: Fault(500, "Protocol version not supported."),
        Problem.METHOD: Fault(405, "method not allowed"),
        Problem.POST: Fault(400, "messages need a session"),
        # With this, clients from 0.9.9 on never come back.
        Problem.ORIGIN: Fault(403, "handshake bad origin"),
        Problem.UPGRADE: Fault(426, "this is a WebSocket"),
        Problem.UNAUTHORIZED: Fault(403, "handshake unauthorized"),
        Problem.SESSION: Fault(200, _BEGIN_ANEW),
        Problem.FAILED: Fault(500, "handshake error"),
    },
    express=_express,
    undress=_undress,
    accepted=(b"1", "text/plain; charset=UTF-8"),
    jsonpCall=jsonp09Call,
    htmlfileOpening=HTMLFILE_09_OPENING,
    htmlfileScript=htmlfile09Script,
)

#: By what a URL begins with.
PROTOCOLS = {"1": SOCKETIO_09}
