"""
Engine.IO alone: sessions with messages of text or bytes, and nothing of Socket.IO.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from siotwisted.admission import Admission
from siotwisted.config import Config
from siotwisted.dialects.engineio import PLAIN_ENGINES
from siotwisted.dialects.routing import Router
from siotwisted.registry import SessionReceiver, SessionRegistry

__all__ = ["EngineIO"]


class EngineIO:
    """
    A server of Engine.IO 3 and 4. Hang it in a site by ``SocketIOResource(engine)``.

    What a client sends is ``packetReceived(session, packet)`` of its receiver, where ``packet.data`` is a str or bytes;
    ``session.send(Outgoing(Packet(Kind.MESSAGE, data)))`` sends.

    :param reactor: for the time, and to write at the end of its turns.
    :param receiver: is told of sessions that open and close, and of what clients send.
    :param config: the settings; the defaults if left out.
    """

    def __init__(self, reactor: IReactorTime, receiver: SessionReceiver, config: Config | None = None) -> None:
        self.registry = SessionRegistry(reactor, config or Config(), receiver)
        self.admission = Admission(self.registry, Router({}, PLAIN_ENGINES, {}))

    def stop(self, drainTimeout: float = 0.0) -> Deferred[None]:
        """
        Let no new client in, wait until the clients have what was sent to them, and end every session.

        :param drainTimeout: for how many seconds they are waited for.
        :return: fires when all are closed.
        """
        return self.registry.stop(drainTimeout)
