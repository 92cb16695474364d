"""
The codecs of Engine.IO 3 and 4: packets of Engine.IO in WebSocket messages and polls, and in their messages whatever a
parser of :mod:`~siotwisted.wire.engineparsers` writes there.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from siotwisted.errors import ProtocolError
from siotwisted.handshake import Handshake
from siotwisted.interfaces import IPacketReceiver
from siotwisted.outgoing import Ordinary, Outgoing, Queued
from siotwisted.packets import Kind, Packet
from siotwisted.wire import engine3, engine4
from siotwisted.wire.codec import BaseCodec
from siotwisted.wire.engineparsers import (
    JSONParser3,
    JSONParser4,
    JSONParser5,
    MessagePackParser,
    Parser,
    PlainParser,
    asEvent,
)
from siotwisted.wire.jsontext import dumpsFlatObject, flatJSON, loads, loadsEvent
from siotwisted.wire.sio45 import RESERVED
from siotwisted.wire.websocketframe import headsBefore

__all__ = [
    "EngineIO3Codec",
    "EngineIO4Codec",
    "SocketIO3Codec",
    "SocketIO4Codec",
    "SocketIO5Codec",
    "SocketIO5JSONCodec",
    "SocketIO5MessagePackCodec",
]

#: The packets of Engine.IO itself. What they carry is text.
_ENGINE = frozenset((Kind.OPEN, Kind.CLOSE, Kind.PING, Kind.PONG, Kind.UPGRADE, Kind.NOOP))
#: What stands before the JSON of an event of the root namespace; and in a frame, by the length of the JSON.
_EVENT = b"42"
_EVENT_HEADS = headsBefore(_EVENT)


class EngineCodec(BaseCodec):
    """What both revisions of Engine.IO have in common."""

    __slots__ = ("_packetsKey", "_parser")

    saysGoodbye = True
    _parser: Parser

    def begin(self, handshake: Handshake, maxAttachments: int, maxBytes: int) -> None:
        """Make the parser."""
        self._parser = self.makeParser(maxAttachments, maxBytes)
        self.saysOrdinary = self._parser.events
        if self.saysOrdinary:
            self._head, self._heads = _EVENT, _EVENT_HEADS

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

    def ordinary(self, said: Ordinary) -> bytes:
        """See :meth:`BaseCodec.ordinary`. A message is the event of that name."""
        return self._head and self._head + (said if isinstance(said, bytes) else flatJSON(["message", said]))

    def messages(self, outgoing: Outgoing) -> Sequence[str | bytes]:
        """The WebSocket messages of a packet. A WebSocket is closed, rather than to say that it will be."""
        if outgoing.kind is Kind.CLOSE:
            return ()
        if outgoing.event and self._head:
            return ("42" + outgoing.text,)
        if outgoing.kind in _ENGINE:
            return (self.encodeMessage(outgoing.packet),)
        return [self.encodeMessage(packet) for packet in self.packets(outgoing)]

    def eventOf(self, message: str | bytes) -> list[Any] | None:
        """See :meth:`BaseCodec.eventOf`."""
        if isinstance(message, str) and message.startswith('42["'):
            if self.saysOrdinary and not self._parser.due:
                event: list[Any] = loads(message[2:])
                if event[0] not in RESERVED:
                    return event
        return None

    def eventOfUTF8(self, text: bytes) -> list[Any] | None:
        """See :meth:`BaseCodec.eventOfUTF8`."""
        if text.startswith(b'42["'):
            if self.saysOrdinary and not self._parser.due:
                event = loadsEvent(text[2:])
                if event is not None and event[0] not in RESERVED:
                    return event
        return None

    def messageReceived(self, message: str | bytes) -> None:
        """Read a WebSocket message, and hand its packet to the receiver, or none if it completes none."""
        frame = self.decodeMessage(message)
        packet = self._parse(frame.data) if frame.kind is Kind.MESSAGE else frame
        self._receiver.packetsReceived(() if packet is None else (packet,))

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
    packet = asEvent(outgoing)[0]
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
        self._head, self._heads = b"", ()
        self.setKey(self.key)

    def setKey(self, key: object, private: bool = False) -> None:
        """See :meth:`BaseCodec.setKey`; events are other bytes with stamps."""
        super().setKey((key, "stamped") if self._stamps else key, private)

    def _makePackets(self, outgoing: Outgoing) -> Sequence[Packet]:
        return super()._makePackets(_stamped(outgoing) if self._stamps and outgoing.stamp else outgoing)

    def messages(self, outgoing: Outgoing) -> Sequence[str | bytes]:
        """See :meth:`EngineCodec.messages`. Each client is welcomed once, and told once that it has joined the root."""
        if outgoing.kind is Kind.OPEN:
            return ("0" + outgoing.text,)
        if outgoing.kind is Kind.CONNECT and outgoing.namespace == "/" and self._head:
            told = dumpsFlatObject(outgoing.data)
            if told:
                return ("40" + told,)
        return super().messages(outgoing)

    def encodeMessage(self, packet: Packet) -> str | bytes:
        """A packet as a WebSocket message."""
        return engine4.encodeFrame(packet)

    def decodeMessage(self, message: str | bytes) -> Packet:
        """A WebSocket message as a packet."""
        return engine4.decodeFrame(message)

    def piece(self, outgoing: Outgoing, style: str) -> bytes:
        """The packets of Engine.IO that say a packet, in a payload."""
        if outgoing.event and self._head:
            return self._head + outgoing.event
        if outgoing.kind is Kind.OPEN or (outgoing.kind is Kind.CONNECT and self._head and outgoing.namespace == "/"):
            return "".join(map(str, self.said(outgoing))).encode("ascii")  # it is one message, and has no separator
        return engine4.encodePayload(self.packets(outgoing)).encode("utf-8")

    def eventIn(self, payload: str | bytes, form: bool = False) -> list[Any] | None:
        """See :meth:`BaseCodec.eventIn`."""
        return None if isinstance(payload, bytes) or "\x1e" in payload else self.eventOf(payload)

    def dataReceived(self, payload: str | bytes, form: bool = False) -> None:
        """See :meth:`BaseCodec.dataReceived`. One packet alone is what it is as a message, and read in less time."""
        if isinstance(payload, str) and "\x1e" not in payload:
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

    def style(self, queued: Sequence[Queued]) -> str:
        """The framing of a payload: ``binary``, or ``text`` as clients of 1.x or 2.x write it."""
        assert self.transport is not None
        if self._bytes and self.transport.takesBytes and (self._onlyBinary or any(map(self._needsBinary, queued))):
            return self.binaryStyle
        return (self._written or engine3.Parser.TWO).value

    def _needsBinary(self, outgoing: Queued) -> bool:
        if not isinstance(outgoing, Outgoing) or (outgoing.event and self._head):
            return False
        for packet in self.packets(outgoing):
            data = packet.data
            if isinstance(data, bytes) or (self._written is None and data and not data.isascii()):
                return True
        return False

    def ordinaryPiece(self, said: Ordinary, style: str) -> bytes:
        """See :meth:`BaseCodec.ordinaryPiece`."""
        message = b"" if style == self.binaryStyle else self.ordinary(said)
        return message and b"%d:%b" % (len(message), message)

    def eventIn(self, payload: str | bytes, form: bool = False) -> list[Any] | None:
        """See :meth:`BaseCodec.eventIn`."""
        if isinstance(payload, str) and payload.isascii():
            size, _, message = payload.partition(":")
            if str(len(message)) == size:
                return self.eventOf(message)
        return None

    def piece(self, outgoing: Outgoing, style: str) -> bytes:
        """The packets of Engine.IO that say a packet, in a payload."""
        if style == self.binaryStyle:
            payload = engine3.encodePayload(self.packets(outgoing), True)
        elif outgoing.event and self._head:
            return b"%d:42%b" % (len(outgoing.event) + 2, outgoing.event)
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

    def eventOf(self, message: str | bytes) -> list[Any] | None:
        """See :meth:`BaseCodec.eventOf`."""
        return super().eventOf(message) if message.isascii() else None

    def eventOfUTF8(self, text: bytes) -> list[Any] | None:
        """See :meth:`BaseCodec.eventOfUTF8`."""
        return super().eventOfUTF8(text) if text.isascii() else None

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
                self._head, self._heads = b"", ()
                self.saysOrdinary = False
                self.setKey((type(self), MessagePackParser))
        return self._parser.receive(message)
