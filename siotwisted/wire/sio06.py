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

from siotwisted.errors import EncodeError
from siotwisted.outgoing import Outgoing
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
