"""
What the messages of Engine.IO carry: the packets of Socket.IO, in each of their revisions, or the messages of an
application that uses Engine.IO alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Protocol

from siotwisted.errors import EncodeError, ProtocolError, UnsupportedByClient
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet
from siotwisted.wire import sio45, siomsgpack
from siotwisted.wire.wrappings import readQuery

__all__ = ["JSONParser3", "JSONParser4", "JSONParser5", "MessagePackParser", "Parser", "PlainParser", "asEvent"]


class Parser(Protocol):
    """
    What the messages of Engine.IO carry.

    :ivar events: whether an event of the root namespace, without bytes or a number, is one text: ``2``, and its JSON.
    :ivar due: how many messages the last one still waits for.
    """

    events: bool

    @property
    def due(self) -> int:
        """See above."""

    def encode(self, outgoing: Outgoing) -> Sequence[str | bytes]:
        """The messages that say a packet."""

    def receive(self, message: str | bytes) -> Packet | None:
        """The packet that a message completes, if it does."""


class PlainParser:
    """Engine.IO alone: a message is a message, text or bytes."""

    events = False
    due = 0

    def encode(self, outgoing: Outgoing) -> Sequence[str | bytes]:
        """
        The message itself.

        :raises EncodeError: for text with U+001E, at which a poll would be cut.
        """
        packet = outgoing.packet
        if packet.kind is not Kind.MESSAGE:
            raise UnsupportedByClient(f"Engine.IO has no words for {packet.kind.value}")
        if isinstance(packet.data, str) and "\x1e" in packet.data:
            raise EncodeError("text with U+001E can't be sent")
        return (packet.data,)

    def receive(self, message: str | bytes) -> Packet:
        """The message itself."""
        return Packet(Kind.MESSAGE, message)


def asEvent(outgoing: Outgoing) -> tuple[Packet, str]:
    """A message as the event that it is, and the JSON of it."""
    packet, text = outgoing.packet, outgoing.text
    if packet.kind is Kind.MESSAGE:
        text = Outgoing(Packet(Kind.JSON, text)).text
    if packet.kind in (Kind.MESSAGE, Kind.JSON):
        return packet._replace(kind=Kind.EVENT, data=["message", packet.data]), f'["message",{text}]'
    return packet, text


class JSONParser4(sio45.Decoder):
    """Revisions 3 and 4 of Socket.IO, which clients 1.x and 2.x speak: JSON, with attachments."""

    __slots__ = ()

    events = True
    revision: ClassVar[int] = 4

    def __init__(self, maxAttachments: int, maxBytes: int) -> None:
        super().__init__(self.revision, attachments=maxAttachments, attachmentBytes=maxBytes)

    def encode(self, outgoing: Outgoing) -> Sequence[str | bytes]:
        """The messages of a packet; see :func:`siotwisted.wire.sio45.encode`."""
        packet, text = asEvent(outgoing)
        if packet.kind in (Kind.EVENT, Kind.ACK):
            return sio45.encode(packet, self._revision, (text, outgoing.attachments))
        kind, _, namespace, number = packet
        return sio45.encode(Packet(kind, self._control(packet), namespace, number), self._revision)

    @staticmethod
    def _control(packet: Packet) -> object:
        """What such clients are told with a connect, which is nothing, and with an error, which has one value."""
        if packet.kind is not Kind.ERROR:
            return None
        return packet.data.get("data", packet.data["message"])

    def receive(self, message: str | bytes) -> Packet | None:
        """The packet that a message completes. A query behind a namespace is the data of the connect."""
        packet = super().receive(message)
        if packet is not None and packet.kind is Kind.CONNECT and "?" in packet.namespace:
            namespace, _, query = packet.namespace.partition("?")
            packet = packet._replace(namespace=namespace, data=readQuery(query))
        return packet


#: An answer of revision 3, which has a count, or one of a later revision that counts no attachments.
_COUNTED_ACK = re.compile("[36]([0-9]{1,6})-")


class JSONParser3(JSONParser4):
    """
    Revision 3, which clients 1.0.x speak, and which is another one in 1.0.4 than before: up to 1.0.3 every answer (type
    3) has the number of attachments, from then on only those with attachments (type 6) have it.

    Nothing tells the one from the other, and the former hang if they get an answer of the latter. So an answer is
    written both ways: each kind takes the one text for an error of nobody's, and the attachments for the other.
    """

    def encode(self, outgoing: Outgoing) -> Sequence[str | bytes]:
        """The messages of a packet."""
        messages = super().encode(outgoing)
        if outgoing.kind is not Kind.ACK:
            return messages
        text, *attachments = messages
        assert isinstance(text, str)
        rest = text.partition("-")[2] if attachments else text[1:]
        count = len(attachments)
        return [f"3{count}-{rest}", f"6{count}-{rest}", *attachments]

    def receive(self, message: str | bytes) -> Packet | None:
        """The packet that a message completes."""
        if isinstance(message, str) and (counted := _COUNTED_ACK.match(message)) is not None:
            count, rest = int(counted[1]), message[counted.end() :]
            message = f"6{count}-{rest}" if count else f"3{rest}"
        return super().receive(message)


class JSONParser5(JSONParser4):
    """Revision 5, which clients 3.x and 4.x speak: JSON, with attachments, and data with a connect."""

    __slots__ = ()

    revision = 5

    @staticmethod
    def _control(packet: Packet) -> object:
        return packet.data

    def receive(self, message: str | bytes) -> Packet | None:
        """The packet that a message completes."""
        return sio45.Decoder.receive(self, message)


class MessagePackParser:
    """Revision 5 in MessagePack: every packet is one message of bytes."""

    events = False
    due = 0

    def encode(self, outgoing: Outgoing) -> Sequence[str | bytes]:
        """The message of a packet."""
        return (siomsgpack.encode(asEvent(outgoing)[0]),)

    def receive(self, message: str | bytes) -> Packet | None:
        """
        The packet of a message.

        :raises ProtocolError: for text, and for bytes that are no packet.
        """
        if isinstance(message, str):
            raise ProtocolError("text, where packets are bytes")
        return siomsgpack.decode(message)
