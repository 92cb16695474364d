"""
The codecs of Engine.IO 3 and 4: packets of Engine.IO in WebSocket messages and polls, and in their messages whatever a
parser writes there: the packets of Socket.IO, or the messages of an application that uses Engine.IO alone.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Protocol

from siotwisted.errors import EncodeError, ProtocolError, UnsupportedByClient
from siotwisted.handshake import Handshake
from siotwisted.interfaces import IPacketReceiver
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet
from siotwisted.wire import engine3, engine4, sio45, siomsgpack
from siotwisted.wire.codec import BaseCodec
from siotwisted.wire.jsontext import loads
from siotwisted.wire.wrappings import readQuery

__all__ = [
    "EngineIO3Codec",
    "EngineIO4Codec",
    "Parser",
    "SocketIO3Codec",
    "SocketIO4Codec",
    "SocketIO5Codec",
    "SocketIO5JSONCodec",
    "SocketIO5MessagePackCodec",
]

#: So many bytes are before the JSON of an event: ``42``.
_HEAD = 2
#: The packets of Engine.IO itself. What they carry is text.
_ENGINE = frozenset((Kind.OPEN, Kind.CLOSE, Kind.PING, Kind.PONG, Kind.UPGRADE, Kind.NOOP))


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


def _asEvent(outgoing: Outgoing) -> tuple[Packet, str]:
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
        packet, text = _asEvent(outgoing)
        if packet.kind in (Kind.EVENT, Kind.ACK):
            return sio45.encode(packet, self._revision, (text, outgoing.attachments))
        return sio45.encode(packet._replace(data=self._control(packet)), self._revision)

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
        return (siomsgpack.encode(_asEvent(outgoing)[0]),)

    def receive(self, message: str | bytes) -> Packet | None:
        """
        The packet of a message.

        :raises ProtocolError: for text, and for bytes that are no packet.
        """
        if isinstance(message, str):
            raise ProtocolError("text, where packets are bytes")
        return siomsgpack.decode(message)


class EngineCodec(BaseCodec):
    """What both revisions of Engine.IO have in common."""

    __slots__ = ("_packetsKey", "_parser", "_plain")

    saysGoodbye = True
    _parser: Parser
    #: Whether ``Outgoing.event`` behind ``42`` is a message as it is.
    _plain: bool

    def begin(self, handshake: Handshake, maxAttachments: int, maxBytes: int) -> None:
        """Make the parser."""
        self._parser = self.makeParser(maxAttachments, maxBytes)
        self._plain = self._parser.events

    def makeParser(self, maxAttachments: int, maxBytes: int) -> Parser:
        """What reads and writes the messages of a session."""
        return PlainParser()

    def setKey(self, key: object, private: bool = False) -> None:
        """See :meth:`BaseCodec.setKey`."""
        super().setKey(key, private)
        self._packetsKey = self.number("packets")

    def packets(self, outgoing: Outgoing) -> Sequence[Packet]:
        """The packets of Engine.IO that say a packet."""
        return outgoing.form(self._packetsKey, self._makePackets)

    def _makePackets(self, outgoing: Outgoing) -> Sequence[Packet]:
        if outgoing.kind in _ENGINE:
            return (outgoing.packet,)
        return [Packet(Kind.MESSAGE, message) for message in self._parser.encode(outgoing)]

    @abstractmethod
    def encodeMessage(self, packet: Packet) -> str | bytes:
        """A packet of Engine.IO as a WebSocket message."""

    @abstractmethod
    def decodeMessage(self, message: str | bytes) -> Packet:
        """A WebSocket message as a packet of Engine.IO."""

    def messages(self, outgoing: Outgoing) -> Sequence[str | bytes]:
        """The WebSocket messages of a packet. A WebSocket is closed, rather than to say that it will be."""
        if outgoing.kind is Kind.CLOSE:
            return ()
        if outgoing.event and self._plain:
            return ("42" + outgoing.event,)
        return [self.encodeMessage(packet) for packet in self.packets(outgoing)]

    def messageReceived(self, message: str | bytes) -> None:
        """Read a WebSocket message, and hand its packet to the receiver, or none if it completes none."""
        if message[:4] == '42["' and self._parser.events and not self._parser.due:
            event = loads(message[2:])  # type: ignore[arg-type]  # it is text, as it begins so
            if event[0] not in sio45.RESERVED:
                self._receiver.eventReceived(event)  # as nearly all of them
                return
        self._packetReceived(message)

    def _packetReceived(self, message: str | bytes) -> None:
        frame = self.decodeMessage(message)
        packet = self._parse(frame.data) if frame.kind is Kind.MESSAGE else frame
        self._receiver.packetsReceived(() if packet is None else (packet,))

    def size(self, outgoing: Outgoing) -> int:
        """How many bytes a packet has; see :meth:`BaseCodec.size`."""
        return len(outgoing.event) + _HEAD if outgoing.event and self._plain else super().size(outgoing)

    def send(self, outgoings: Sequence[Outgoing]) -> None:
        """Write these packets to the transport; see :meth:`BaseCodec.send`. Events are made here, without a detour."""
        transport = self.transport
        assert transport is not None
        if not (transport.messages and self._plain):
            super().send(outgoings)
            return
        form, dress, chunks = self._form, transport.dress, []
        for outgoing in outgoings:
            chunk = outgoing.forms.get(form)
            if chunk is None:
                event = outgoing.event
                if event:
                    chunk = outgoing.forms[form] = dress("42" + event)
                else:
                    chunk = outgoing.form(form, self._dressMessages)
            chunks.append(chunk)
        transport.write(chunks)

    def readProbe(self, message: str | bytes) -> Packet:
        """The packet of a message on a WebSocket that the client tries out."""
        return self.decodeMessage(message)

    def _parsed(self, packets: Iterable[Packet]) -> Iterator[Packet]:
        for packet in packets:
            if packet.kind is not Kind.MESSAGE:
                yield packet
            elif (parsed := self._parse(packet.data)) is not None:
                yield parsed

    def _parse(self, message: str | bytes) -> Packet | None:
        return self._parser.receive(message)


def _stamped(outgoing: Outgoing) -> Outgoing:
    """An event with its stamp as one more argument, which the client keeps to tell what it has."""
    packet = _asEvent(outgoing)[0]
    return Outgoing(packet._replace(data=[*packet.data, str(outgoing.stamp)]))


class EngineIO4Codec(EngineCodec):
    """Engine.IO 4 alone."""

    __slots__ = ("_stamps",)

    separator = b"\x1e"

    def __init__(self, receiver: IPacketReceiver) -> None:
        self._stamps = False
        super().__init__(receiver)

    def stampEvents(self) -> None:
        """Say the stamps of events."""
        self._stamps = True
        self._plain = False
        self.setKey(self.key)

    def setKey(self, key: object, private: bool = False) -> None:
        """See :meth:`BaseCodec.setKey`; events are other bytes with stamps."""
        super().setKey((key, "stamped") if self._stamps else key, private)

    def _makePackets(self, outgoing: Outgoing) -> Sequence[Packet]:
        return super()._makePackets(_stamped(outgoing) if self._stamps and outgoing.stamp else outgoing)

    def encodeMessage(self, packet: Packet) -> str | bytes:
        """A packet as a WebSocket message."""
        return engine4.encodeFrame(packet)

    def decodeMessage(self, message: str | bytes) -> Packet:
        """A WebSocket message as a packet."""
        return engine4.decodeFrame(message)

    def piece(self, outgoing: Outgoing, style: str) -> bytes:
        """The packets of Engine.IO that say a packet, in a payload."""
        if outgoing.event and self._plain:
            return b"42" + outgoing.event.encode()
        return engine4.encodePayload(self.packets(outgoing)).encode("utf-8")

    def dataReceived(self, payload: str | bytes, form: bool = False) -> None:
        """Read a payload; see :meth:`BaseCodec.dataReceived`. One that is an event alone is as on a WebSocket."""
        if payload[:4] == '42["' and "\x1e" not in payload:
            self.messageReceived(payload)
        else:
            super().dataReceived(payload, form)

    def read(self, payload: str | bytes, form: bool = False) -> Iterator[Packet]:
        """The packets of a payload, which is text."""
        if isinstance(payload, bytes):
            raise ProtocolError("Engine.IO 4 posts text")
        return self._parsed(engine4.decodePayload(payload))


#: The times against caches of clients up to 1.3.7, which can't read an answer that is text.
_OLD_TIME = re.compile("[0-9]{13}(-[0-9]{1,9})?")


class EngineIO3Codec(EngineCodec):
    """
    Engine.IO 3 alone.

    A payload has the binary framing if it holds bytes, if the client is one of those that read no other, or if it holds
    non-ASCII text and nothing has told yet how the client wants to have that; a client that takes no bytes never gets
    it.
    """

    __slots__ = ("_bytes", "_onlyBinary", "_written")

    binaryStyle = "binary"

    def __init__(self, receiver: IPacketReceiver) -> None:
        super().__init__(receiver)
        self._bytes = True
        self._onlyBinary = False
        #: How the client writes non-ASCII text, once that is known.
        self._written: engine3.Parser | None = None

    def begin(self, handshake: Handshake, maxAttachments: int, maxBytes: int) -> None:
        """See whether the client takes bytes, and whether it takes anything else."""
        super().begin(handshake, maxAttachments, maxBytes)
        query = handshake.query
        self._bytes = not query.get("b64")
        self._onlyBinary = self._bytes and (
            query.get("EIO") == "2" or _OLD_TIME.fullmatch(query.get("t", "")) is not None
        )
        self.setKey((type(self), self._bytes))

    def style(self, outgoings: Sequence[Outgoing]) -> str:
        """The framing of a payload: ``binary``, or ``text`` as clients of 1.x or 2.x write it."""
        assert self.transport is not None
        if self._bytes and self.transport.takesBytes and (self._onlyBinary or any(map(self._needsBinary, outgoings))):
            return self.binaryStyle
        return (self._written or engine3.Parser.TWO).value

    def _needsBinary(self, outgoing: Outgoing) -> bool:
        for packet in self.packets(outgoing):
            data = packet.data
            if isinstance(data, bytes) or (self._written is None and data and not data.isascii()):
                return True
        return False

    def piece(self, outgoing: Outgoing, style: str) -> bytes:
        """The packets of Engine.IO that say a packet, in a payload."""
        if style == self.binaryStyle:
            payload = engine3.encodePayload(self.packets(outgoing), True)
        else:
            payload = engine3.encodePayload(self.packets(outgoing), False, engine3.Parser(style))
        return payload if isinstance(payload, bytes) else payload.encode("utf-8")

    def encodeMessage(self, packet: Packet) -> str | bytes:
        """A packet as a WebSocket message."""
        return engine3.encodeFrame(packet, self._bytes)

    def decodeMessage(self, message: str | bytes) -> Packet:
        """A WebSocket message as a packet."""
        return engine3.decodeFrame(message)

    def read(self, payload: str | bytes, form: bool = False) -> Iterator[Packet]:
        """The packets of a payload: text, or bytes in the binary framing."""
        if self._written is None:
            self._written = engine3.parserOf(payload)
        return self._parsed(engine3.decodePayload(payload, self._written or engine3.Parser.TWO))


class SocketIO4Codec(EngineIO3Codec):
    """Socket.IO 1.x and 2.x on Engine.IO 3."""

    __slots__ = ()

    def makeParser(self, maxAttachments: int, maxBytes: int) -> Parser:
        """Packets in JSON."""
        return JSONParser4(maxAttachments, maxBytes)


class SocketIO3Codec(EngineIO3Codec):
    """Socket.IO 1.0.x on Engine.IO 3, which they call 2. Some make UTF-8 of text before a WebSocket does so again."""

    __slots__ = ("_single",)

    def __init__(self, receiver: IPacketReceiver) -> None:
        super().__init__(receiver)
        #: Whether the client is known to be none of those.
        self._single = False

    def messageReceived(self, message: str | bytes) -> None:
        """See :meth:`EngineCodec.messageReceived`."""
        if message.isascii():
            super().messageReceived(message)
        else:
            self._packetReceived(message)

    def decodeMessage(self, message: str | bytes) -> Packet:
        """A WebSocket message as a packet."""
        if isinstance(message, str) and not message.isascii() and not self._single:
            if engine3.parserOf(message) is engine3.Parser.ONE:
                message = engine3.undoubled(message)
            else:
                self._single = True
        return super().decodeMessage(message)

    def makeParser(self, maxAttachments: int, maxBytes: int) -> Parser:
        """Packets in JSON."""
        return JSONParser3(maxAttachments, maxBytes)


class SocketIO5JSONCodec(EngineIO4Codec):
    """Socket.IO 3.x and 4.x on Engine.IO 4, in JSON."""

    __slots__ = ()

    def makeParser(self, maxAttachments: int, maxBytes: int) -> Parser:
        """Packets in JSON."""
        return JSONParser5(maxAttachments, maxBytes)


class SocketIO5MessagePackCodec(EngineIO4Codec):
    """The same in MessagePack."""

    __slots__ = ()

    def makeParser(self, maxAttachments: int, maxBytes: int) -> Parser:
        """Packets in MessagePack."""
        return MessagePackParser()


class SocketIO5Codec(SocketIO5JSONCodec):
    """
    The same in either.

    Nothing in the handshake tells JSON from MessagePack, but the first message of a client does: it is text or bytes.
    """

    __slots__ = ("_begun",)

    def __init__(self, receiver: IPacketReceiver) -> None:
        super().__init__(receiver)
        self._begun = False

    def _parse(self, message: str | bytes) -> Packet | None:
        if not self._begun:
            self._begun = True
            if isinstance(message, bytes):
                self._parser = MessagePackParser()
                self._plain = False
                self.setKey((type(self), MessagePackParser))
        return self._parser.receive(message)
