"""
``SIOCodec``: the frames of Socket.IO 0.5 and 0.6.

A payload is zero or more frames back to back::

    FRAME = "~m~" LENGTH "~m~" DATA        LENGTH: decimal, the UTF-16 code units of DATA
    DATA  = "~h~" NUMBER                   a heartbeat, echoed by the client
          | "~j~" JSON                     a value
          | text                           the session id, if it is the first frame of all; otherwise a message

Text that would be taken for one of the other two, or that a transport can't carry as it is, travels as a JSON string.
Wire facts: the client of npm socket.io 0.6.18 and its server, run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from siotwisted.errors import EncodeError
from siotwisted.interfaces import IPacketReceiver
from siotwisted.outgoing import Ordinary, Outgoing
from siotwisted.packets import Kind, Packet
from siotwisted.wire.codec import Codec, isPlainText
from siotwisted.wire.jsontext import dumps, loads
from siotwisted.wire.units import cutFrames, unitCount

__all__ = ["SIOCodec", "frame"]

_HEADER = re.compile("~m~([0-9]{1,7})~m~")
_END = re.compile(r"(?=~m~[0-9]{1,7}~m~)|\Z")


def frame(data: str) -> str:
    """One frame around ``data``."""
    return f"~m~{unitCount(data)}~m~{data}"


class SIOCodec(Codec):
    """The codec of the clients 0.5 and 0.6: ``~m~`` frames."""

    __slots__ = ()

    name = "sio"

    def __init__(self, receiver: IPacketReceiver) -> None:
        super().__init__(receiver)
        self.saysOrdinary = True

    def ordinary(self, said: Ordinary) -> bytes:
        """See :meth:`BaseCodec.ordinary <siotwisted.wire.codec.BaseCodec.ordinary>`: text that can be sent as it is."""
        if isinstance(said, bytes) or said[:1] == "~" or not isPlainText(said):
            return b""
        return frame(said).encode()

    def encode(self, outgoing: Outgoing) -> str:
        """The ``~m~`` frame of a packet; this codec has no words for :attr:`~siotwisted.packets.Kind.CLOSE`."""
        kind, text = outgoing.kind, outgoing.text
        if kind is Kind.MESSAGE:
            plain = isPlainText(text) and not text.startswith(("~h~", "~j~"))
            return frame(text if plain else "~j~" + dumps(text))
        if kind is Kind.JSON:
            return frame("~j~" + text)
        if kind is Kind.HEARTBEAT:
            return frame("~h~" + text)
        if kind is Kind.OPEN:
            return frame(text)
        if kind is Kind.CLOSE:
            return ""
        raise EncodeError(f"Socket.IO 0.6 has no words for {kind.value}")

    def eventOf(self, message: str | bytes) -> list[Any] | None:
        """See :meth:`BaseCodec.eventOf <siotwisted.wire.codec.BaseCodec.eventOf>`. Messages are events of that name."""
        if isinstance(message, str) and message.isascii():
            size, _, data = message[3:].partition("~m~")
            if message[:3] == "~m~" and size == str(len(data)) and data[:1] != "~":
                return ["message", data]
        return None

    def eventOfUTF8(self, text: bytes) -> list[Any] | None:
        """See :meth:`BaseCodec.eventOfUTF8 <siotwisted.wire.codec.BaseCodec.eventOfUTF8>`."""
        return self.eventOf(text.decode()) if text.isascii() else None

    def eventIn(self, payload: str | bytes, form: bool = False) -> list[Any] | None:
        """The same of a payload; in a form its length says nothing if it has line breaks."""
        return None if form and not (isinstance(payload, str) and payload.isprintable()) else self.eventOf(payload)

    def decode(self, payload: str, form: bool = False) -> Iterable[Packet]:
        """The packets of one payload; see :meth:`Codec.decode <siotwisted.wire.codec.Codec.decode>`."""
        if payload.isascii():
            head = _HEADER.match(payload)
            if head is not None and int(head[1]) == len(payload) - head.end():
                return (self._packet(payload[head.end() :]),)  # one frame, as nearly always
        return self._frames(payload, form)

    def _frames(self, payload: str, form: bool) -> Iterator[Packet]:
        for _, data in cutFrames(payload, form, _HEADER, _END, ""):
            yield self._packet(data)

    @staticmethod
    def _packet(data: str) -> Packet:
        if data.startswith("~j~"):
            return Packet(Kind.JSON, loads(data[3:]))
        if data.startswith("~h~"):
            return Packet(Kind.HEARTBEAT, data[3:])
        return Packet(Kind.MESSAGE, data)
