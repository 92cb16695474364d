"""
``SIOStreamingCodec``: the frames that were to become Socket.IO 0.7, and that the 2011 Go package offered beside
``~m~``.

A payload is zero or more frames back to back::

    FRAME = TYPE ":" LENGTH ":" BODY ","   TYPE: one digit; LENGTH: decimal, the UTF-16 code units of BODY
    BODY  = ""                             type 0: goodbye
          | (KEY [":" VALUE] "\\n")* ":" DATA   type 1: a message with annotations
          | NUMBER                         type 2: a heartbeat, echoed by the client
          | session id                     type 3: the first frame of the server

The annotation ``j`` says that DATA is JSON, and ``r`` names the realm, an early namespace, that the message is for.
Wire facts: the codec of the client's and server's development branches of December 2010, run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from siotwisted.errors import EncodeError, ProtocolError
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet
from siotwisted.wire.codec import Codec, isPlainText
from siotwisted.wire.jsontext import dumps, loads
from siotwisted.wire.units import cutFrames, unitCount

__all__ = ["MAX_ANNOTATIONS", "SIOStreamingCodec", "frame"]

#: How many annotations one message may have.
MAX_ANNOTATIONS = 16

_HEADER = re.compile("([0-9]):([0-9]{1,7}):")
_END = re.compile(r",(?=[0-9]:[0-9]{1,7}:|\Z)")
_ANNOTATION = re.compile("([^:\n]+)(?::([^\n]*))?\n")


def frame(type: str, body: str) -> str:
    """One frame of a type, which is one digit, around ``body``."""
    return f"{type}:{unitCount(body)}:{body},"


class SIOStreamingCodec(Codec):
    """The streaming codec: ``type:length:annotations:data,`` frames."""

    __slots__ = ()

    name = "streaming"

    def encode(self, outgoing: Outgoing) -> str:
        """The frame of a packet; this codec has a word for goodbye."""
        packet, text = outgoing.packet, outgoing.text
        kind = packet.kind
        if kind is Kind.MESSAGE or kind is Kind.JSON:
            realm = "" if packet.namespace == "/" else f"r:{packet.namespace}\n"
            if kind is Kind.JSON or not isPlainText(text):
                return frame("1", f"{realm}j\n:{text if kind is Kind.JSON else dumps(text)}")
            return frame("1", f"{realm}:{text}")
        if kind is Kind.HEARTBEAT:
            return frame("2", text)
        if kind is Kind.OPEN:
            return frame("3", text)
        if kind is Kind.CLOSE:
            return frame("0", "")
        raise EncodeError(f"the streaming codec has no words for {kind.value}")

    def decode(self, payload: str, form: bool = False) -> Iterator[Packet]:
        """The packets of one payload; see :meth:`Codec.decode <siotwisted.wire.codec.Codec.decode>`."""
        for header, body in cutFrames(payload, form, _HEADER, _END, ","):
            packet = self._packet(header.group(1), body)
            if packet is not None:
                yield packet

    def read(self, payload: str | bytes, form: bool = False) -> Iterator[Packet]:
        """The packets of a payload. Realms are names that clients make up: whoever is in one is in all."""
        for packet in super().read(payload, form):
            yield packet if packet.namespace == "/" else packet._replace(namespace="/")

    def _packet(self, type: str, body: str) -> Packet | None:
        """The packet of a frame; None for the types 4 to 9, which nobody ever defined and both old ends pass over."""
        if type == "1":
            return self._message(body)
        if type == "2":
            return Packet(Kind.HEARTBEAT, body)
        if type == "3":
            raise ProtocolError("a client does not send session ids")
        return Packet(Kind.CLOSE) if type == "0" else None

    @staticmethod
    def _message(body: str) -> Packet:
        annotations: dict[str, str | None] = {}
        position = found = 0
        while not body.startswith(":", position):
            annotation = _ANNOTATION.match(body, position)
            found += 1
            if annotation is None or found > MAX_ANNOTATIONS:
                raise ProtocolError("a message has no data, or bad or too many annotations")
            annotations[annotation.group(1)] = annotation.group(2)
            position = annotation.end()
        data = body[position + 1 :]
        namespace = annotations.get("r") or "/"
        if "j" in annotations:
            return Packet(Kind.JSON, loads(data), namespace)
        return Packet(Kind.MESSAGE, data, namespace)
