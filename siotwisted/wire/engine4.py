"""
Engine.IO, revision 4 (``EIO=4``): packets, one in a WebSocket message or many in the body of a poll.

A text packet is a digit, which says what it is for, and its text. A message of bytes is a binary WebSocket message as
it is, and ``b`` with base64 wherever there is only text; in a body the packets are separated by U+001E::

    PAYLOAD = PACKET (U+001E PACKET)*
    PACKET  = TYPE text           TYPE: 0 open, 1 close, 2 ping, 3 pong, 4 message, 5 upgrade, 6 noop
            | "b" BASE64          a message of bytes

Wire facts: engine.io-parser 5.2.3, run. The readers here are stricter in one thing: what is behind a ``b`` must be
base64, with padding or without, of either alphabet. The JavaScript decoder skips what is not, and delivers bytes that
nobody sent.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Iterator

from siotwisted.errors import EncodeError, ProtocolError
from siotwisted.packets import Kind, Packet

__all__ = ["decodeFrame", "decodePayload", "decodeText", "encodeFrame", "encodePayload", "encodeText"]

_SEPARATOR = "\x1e"
_KINDS = {
    "0": Kind.OPEN,
    "1": Kind.CLOSE,
    "2": Kind.PING,
    "3": Kind.PONG,
    "4": Kind.MESSAGE,
    "5": Kind.UPGRADE,
    "6": Kind.NOOP,
}
_TYPES = {kind: digit for digit, kind in _KINDS.items()}
#: Packets without data, most of which are signs of life.
_BARE = {digit: Packet(kind) for digit, kind in _KINDS.items() if kind is not Kind.MESSAGE}
_BASE64 = re.compile("[A-Za-z0-9+/_-]*+(={0,2})")


def _bytesOf(base64: str) -> bytes:
    match = _BASE64.fullmatch(base64)
    excess = len(base64) % 4
    if match is None or excess == 1 or (excess and match[1]):
        raise ProtocolError("bad base64")
    return a2b_base64(base64.replace("-", "+").replace("_", "/") + "=" * (-excess % 4))


def encodeText(packet: Packet, prefix: str = "b") -> str:
    """
    One packet as text.

    :param packet: of one of the seven kinds of Engine.IO; its data is text or None, or bytes if it is a message.
    :param prefix: what is before the base64 of a message of bytes.
    :raises EncodeError: if the text has lone surrogates, which UTF-8 can't carry.
    """
    kind, data = packet.kind, packet.data
    if isinstance(data, bytes):
        return prefix + b2a_base64(data, newline=False).decode("ascii")
    text = _TYPES[kind] + (data or "")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise EncodeError("text with lone surrogates can't be sent") from error
    return text


def decodeText(text: str, prefix: str = "b") -> Packet:
    """
    Read one packet that is text.

    :param prefix: what is before the base64 of a message of bytes.
    :return: the packet; the data of a message is text, maybe empty, or bytes; other kinds without text have None.
    :raises ProtocolError: if it is empty, its type is none of the seven, or its base64 is bad.
    """
    bare = _BARE.get(text)
    if bare is not None:
        return bare
    kind = _KINDS.get(text[:1])
    if kind is not None:
        return Packet(kind, text[1:])
    if text.startswith(prefix):
        return Packet(Kind.MESSAGE, _bytesOf(text[len(prefix) :]))
    raise ProtocolError("not a packet of Engine.IO")


def encodeFrame(packet: Packet, binary: bool = True) -> str | bytes:
    """
    One packet as a WebSocket message.

    :param packet: as for :func:`encodeText`.
    :param binary: the client takes binary messages; for one that can't, bytes are base64.
    :return: text for a text message, bytes for a binary one.
    :raises EncodeError: if the text has lone surrogates.
    """
    if binary and isinstance(packet.data, bytes):
        return packet.data
    return encodeText(packet)


def decodeFrame(frame: str | bytes) -> Packet:
    """
    Read one WebSocket message; any binary one, even an empty one, is a message of bytes.

    :raises ProtocolError: if it is text and no packet.
    """
    return Packet(Kind.MESSAGE, frame) if isinstance(frame, bytes) else decodeText(frame)


def encodePayload(packets: Iterable[Packet]) -> str:
    """
    The body of a poll's answer.

    :param packets: one or more, for there is no way to say none.
    :raises EncodeError: if a text has lone surrogates, or U+001E, at which the client would cut it.
    """
    texts = [encodeText(packet) for packet in packets]
    if any(_SEPARATOR in text for text in texts):
        raise EncodeError("text with U+001E can't be sent in a payload")
    return _SEPARATOR.join(texts)


def decodePayload(body: str) -> Iterator[Packet]:
    """
    The packets of a body, each read when it is asked for: whoever wants no more of them just stops.

    :raises ProtocolError: at the first thing that is not a packet, after the good packets before it; an empty body is
        one empty packet.
    """
    start = 0
    while (end := body.find(_SEPARATOR, start)) >= 0:
        yield decodeText(body[start:end])
        start = end + 1
    yield decodeText(body[start:])
