"""The clients 0.5 and 0.6: the session id travels as the first message, the server asks for signs of life."""

from __future__ import annotations

from siotwisted.dialects.dialect import Dialect, Fault, Heartbeat, Posted, Problem, Refusal, Route, Settings, derivedID
from siotwisted.packets import Reason
from siotwisted.wire.codec import Codec
from siotwisted.wire.sio06 import SIOCodec
from siotwisted.wire.sio06streaming import SIOStreamingCodec
from siotwisted.wire.wrappings import HTMLFILE_OPENING, formField, htmlfileScript, jsonpCall

__all__ = ["SOCKETIO_06", "SOCKETIO_06_CODECS"]


def _opening(sessionID: str, streaming: bool, settings: Settings) -> str:
    return sessionID


def _express(fault: Fault, route: Route) -> Refusal:
    return Refusal(fault.status, fault.text)


def _undress(body: bytes, contentType: str, route: Route) -> Posted:
    return Posted(formField(body, b"data"), route.carrier == "jsonp-polling")


SOCKETIO_06 = Dialect(
    name="Socket.IO 0.6",
    transports=("websocket", "flashsocket", "htmlfile", "xhr-multipart", "xhr-polling", "jsonp-polling"),
    codec=SIOCodec,
    heartbeat=Heartbeat.FIXED,
    upgrades=False,
    goodbye=Reason.CLIENT_DISCONNECT,
    outlivesStreams=True,
    outlivesPolls=True,
    replacesPolls=True,
    takesNothing=True,
    pollsBeside=True,
    joinsRoot=True,
    rootIsAll=True,
    strict=False,
    recovers=False,
    connectionID=derivedID,
    opening=_opening,
    faults={
        Problem.STOPPING: Fault(503, "the server is stopping"),
        Problem.TRANSPORT: Fault(404, "no such transport"),
        Problem.ORIGIN: Fault(403, "pages of this origin are not allowed"),
        # The client of 0.6.0 ignores statuses and would poll a dead session again and again without a pause.
        Problem.SESSION: Fault(0, "unknown session"),
        Problem.METHOD: Fault(405, "method not allowed"),
        Problem.POST: Fault(400, "messages need a session"),
        Problem.UPGRADE: Fault(426, "this is a WebSocket"),
        Problem.UNAUTHORIZED: Fault(401, "not authorized"),
        Problem.FAILED: Fault(500, "authorization failed"),
    },
    express=_express,
    undress=_undress,
    accepted=(b"ok", "text/plain; charset=UTF-8"),
    jsonpCall=jsonpCall,
    htmlfileOpening=HTMLFILE_OPENING,
    htmlfileScript=htmlfileScript,
)

#: The codecs that those clients came with; the first answers the plain URLs.
SOCKETIO_06_CODECS: tuple[type[Codec], ...] = (SIOCodec, SIOStreamingCodec)
