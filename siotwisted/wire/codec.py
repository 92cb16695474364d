"""
What every codec has in common.

A codec stands between one session and whatever transport the client uses at the moment, as a Twisted Protocol stands
between an application and a transport: it is made for its receiver, connected to a transport with
:meth:`~Codec.makeConnection`, fed by :meth:`~Codec.dataReceived`, and told of the end by :meth:`~Codec.connectionLost`.
A client that comes back on another transport connects the same codec again.

To write a codec of one's own: a subclass with a :attr:`~Codec.name`, :meth:`~Codec.encode` and :meth:`~Codec.decode`,
named in ``Config(codecs=...)``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

from zope.interface import implementer

from siotwisted.errors import ProtocolError
from siotwisted.interfaces import ICodec, IPacketReceiver, ISessionTransport
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Packet

__all__ = ["MAX_PACKETS", "Codec", "isPlainText"]

#: How many packets one payload may have.
MAX_PACKETS = 10_000


def isPlainText(text: str) -> bool:
    """
    Whether every transport can carry ``text`` as it is.

    UTF-8 has no lone surrogates, and a multipart stream would be cut at its own boundary. A codec writes such text as
    JSON, whose escapes are safe.
    """
    if text.isascii():
        return "\n--" not in text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\n--" not in text


@implementer(ICodec)
class Codec(ABC):
    """
    Base of all codecs: the conversation between session and transport; a subclass forms and reads the bytes.

    :cvar name: how ``Config.codecs`` and the URL ``<endpoint>/<name>/<transport>`` call it.
    :param receiver: the session: it gets the packets.
    """

    __slots__ = ("_dressed", "_receiver", "transport")

    name: ClassVar[str]

    def __init__(self, receiver: IPacketReceiver) -> None:
        self._receiver = receiver
        self.transport: ISessionTransport | None = None
        self._dressed: tuple[type[Codec], str] | None = None

    @abstractmethod
    def encode(self, outgoing: Outgoing) -> str:
        """
        The one frame that says this packet; ``""`` for :attr:`~siotwisted.packets.Kind.CLOSE` if the codec has no word
        for it.

        Frames are joined by writing them back to back, so a frame must tell where it ends.
        """

    @abstractmethod
    def decode(self, payload: str, form: bool = False) -> Iterator[Packet]:
        """
        The packets of one payload: one request body, or one WebSocket message. A payload is whole: no state is kept.

        :param payload: frames back to back.
        :param form: the payload went through an HTML form, which changes line breaks.
        :raises ProtocolError: at the first thing that is not a frame, after the good packets before it.
        """

    def makeConnection(self, transport: ISessionTransport) -> None:
        """Write to this transport from now on."""
        self.transport = transport
        self._dressed = (type(self), transport.form)

    def connectionLost(self) -> None:
        """The transport is gone; :meth:`makeConnection` may bring another."""
        self.transport = None

    def dataReceived(self, payload: str, form: bool = False) -> None:
        """
        Read a whole payload, then hand all its packets to the receiver in one call.

        :raises ProtocolError: if the payload is damaged, after the good packets before the damage were handed over.
        """
        packets: list[Packet] = []
        damage: ProtocolError | None = None
        try:
            for packet in self.decode(payload, form):
                if len(packets) == MAX_PACKETS:
                    raise ProtocolError("too many packets in one payload")
                packets.append(packet)
        except ProtocolError as error:
            damage = error
        self._receiver.packetsReceived(packets)
        if damage is not None:
            raise damage

    def frame(self, outgoing: Outgoing) -> bytes:
        """
        The frame of a packet as bytes, made once for all sessions that use this codec.

        :raises siotwisted.errors.EncodeError: if the packet can't be written.
        """
        return outgoing.form(type(self), self._encodeBytes)

    def dressed(self, outgoings: Sequence[Outgoing]) -> list[bytes]:
        """These packets as the transport wants to be given them; each made once for all sessions of a broadcast."""
        key, dress = self._dressed, self._dress
        return [outgoing.form(key, dress) for outgoing in outgoings]

    def send(self, outgoings: Sequence[Outgoing]) -> None:
        """Write these packets to the transport, together."""
        assert self.transport is not None
        self.transport.write(self.dressed(outgoings))

    def _encodeBytes(self, outgoing: Outgoing) -> bytes:
        return self.encode(outgoing).encode("utf-8")

    def _dress(self, outgoing: Outgoing) -> bytes:
        assert self.transport is not None
        return self.transport.dress(self.frame(outgoing))
