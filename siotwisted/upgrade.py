"""
A client's move from polls to a WebSocket, which it tries out first::

    client                     server
    opens the WebSocket
    2probe                     3probe
                               answers the poll, if one is held, so that the client can stop polling
    5                          from here on, everything goes by the WebSocket

Until the last step the polls go on as if nothing was; if anything else happens on the WebSocket, they go on for good.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from siotwisted.config import Config
from siotwisted.errors import ProtocolError
from siotwisted.interfaces import ISessionTransport
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet
from siotwisted.wire.codec import BaseCodec

__all__ = ["Moving", "Upgrade"]

_PROBED = Outgoing(Packet(Kind.PONG, "probe"))


class Moving(Protocol):
    """What a move needs of its session."""

    transport: ISessionTransport | None
    codec: BaseCodec

    def answerPoll(self) -> None:
        """Let the client poll again."""

    def moved(self, transport: ISessionTransport | None) -> None:
        """The move is over: the client has come to this transport; or to none, and goes on polling."""


class Upgrade:
    """
    The move of one session.

    :param probe: the WebSocket that is tried out.
    """

    __slots__ = ("_clock", "_config", "_probed", "_release", "_session", "_timeout", "probe")

    def __init__(self, session: Moving, probe: ISessionTransport, clock: IReactorTime, config: Config) -> None:
        self.probe = probe
        self._clock = clock
        self._session = session
        self._config = config
        self._timeout = clock.callLater(config.upgradeTimeout, self._fail)
        self._probed = False
        #: When a held poll is answered.
        self._release: IDelayedCall | None = None

    def messageReceived(self, message: str | bytes) -> None:
        """A message came on the WebSocket."""
        codec = self._session.codec
        try:
            packet = codec.readProbe(message)
        except ProtocolError:
            packet = Packet(Kind.NOOP)
        if packet.kind is Kind.PING and packet.data == "probe":
            self.probe.write([self.probe.dress(each) for each in codec.said(_PROBED)])
            self._probed = True
            self.polled()
        elif packet.kind is Kind.UPGRADE:
            self._session.moved(self.probe)
        else:
            self._fail()

    def polled(self) -> None:
        """A poll is held, maybe. What the client's application sends at first has some time to be answered by it."""
        if self._probed and self._release is None:
            self._release = self._clock.callLater(self._config.upgradeDelay, self._answer)

    def _answer(self) -> None:
        self._release = None
        transport = self._session.transport
        if transport is not None and not transport.streaming:
            self._session.answerPoll()

    def _fail(self) -> None:
        self._session.moved(None)
        self.probe.loseConnection()

    def stop(self) -> None:
        """It is over."""
        for timer in (self._timeout, self._release):
            if timer is not None and timer.active():
                timer.cancel()
