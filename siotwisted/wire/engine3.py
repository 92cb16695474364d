"""
Engine.IO, revision 3 (``EIO=3``): packets, one in a WebSocket message or many in the body of a poll.

Packets are those of :mod:`~siotwisted.wire.engine4`, but a message of bytes begins with its type: the byte 4 in a
binary WebSocket message, ``b4`` before base64. A body has one of two framings; the content type says which::

    TEXT    = "0:" | (LENGTH ":" PACKET)+           LENGTH: decimal, the UTF-16 code units of PACKET
    BINARY  = (MARKER DIGIT+ 0xFF PACKET)*          MARKER: 0 for text in UTF-8, else bytes
                                                    DIGIT: a byte from 0 to 9, of the decimal length in bytes

Clients of 1.x and 2.x both say ``EIO=3``, but write non-ASCII text in the text framing differently: see
:class:`Parser`.

Wire facts: engine.io-parser 2.2.1 and 1.3.2, run. The readers here are stricter where no client ever goes:

- a length is one to nine ASCII digits; JavaScript takes ``1e0``, ``0x1``, ``1.0`` or a space before it, too, and in the
  binary framing up to 310 digits;
- only a whole body of ``0:`` is empty, while JavaScript skips ``0:`` anywhere, which is work for nothing;
- a length that cuts a character in two is damage, where JavaScript delivers the halves;
- a binary packet that is shorter than it says is damage, where JavaScript delivers what there is;
- bytes can only be a message, where JavaScript makes a packet of any type, or none, of them; and base64 must be base64.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum

from siotwisted.errors import ProtocolError
from siotwisted.packets import Kind, Packet
from siotwisted.wire.engine4 import decodeText, encodeText
from siotwisted.wire.units import cutFrames, unitCount

__all__ = [
    "Parser",
    "decodeFrame",
    "decodePayload",
    "encodeFrame",
    "encodePayload",
    "isPayload",
    "parserOf",
    "undoubled",
]

_BASE64 = "b4"
_MESSAGE = b"\x04"
_HEADER = re.compile("([0-9]{1,9}):")
_END = re.compile(r"\Z")  # for forms, which these bodies are not
_BINARY_HEADER = re.compile(rb"([\x00-\xff])([\x00-\x09]{1,9})\xff")
_FROM_DIGITS = bytes.maketrans(bytes(range(10)), b"0123456789")
_TO_DIGITS = bytes.maketrans(b"0123456789", bytes(range(10)))


class Parser(Enum):
    """Whose text framing it is. The two differ in nothing but non-ASCII text there."""

    #: engine.io-parser 1.x: each packet becomes UTF-8, and each byte of that a character, before all is UTF-8 again.
    ONE = "1.x"
    #: engine.io-parser 2.x: text is text.
    TWO = "2.x"


def encodeFrame(packet: Packet, binary: bool = True) -> str | bytes:
    """
    One packet as a WebSocket message.

    :param packet: as for :func:`siotwisted.wire.engine4.encodeText`.
    :param binary: the client takes binary messages; for one that can't (``b64=1``), bytes are base64.
    :return: text for a text message, bytes for a binary one.
    :raises EncodeError: if the text has lone surrogates.
    """
    if binary and isinstance(packet.data, bytes):
        return _MESSAGE + packet.data
    return encodeText(packet, _BASE64)


def decodeFrame(frame: str | bytes) -> Packet:
    """
    Read one WebSocket message.

    :raises ProtocolError: if it is not a packet.
    """
    if isinstance(frame, str):
        return decodeText(frame, _BASE64)
    if not frame.startswith(_MESSAGE):
        raise ProtocolError("a binary packet is not a message")
    return Packet(Kind.MESSAGE, frame[1:])


def encodePayload(packets: Iterable[Packet], binary: bool, parser: Parser = Parser.TWO) -> str | bytes:
    """
    The body of a poll's answer.

    :param packets: as many as you like, or none.
    :param binary: write the binary framing, which every client without ``b64=1`` can read.
    :param parser: whose text framing to write; of no matter for ASCII or the binary framing.
    :return: text in the text framing, bytes in the binary one.
    :raises EncodeError: if a text has lone surrogates.
    """
    if binary:
        return b"".join(_binary(encodeFrame(packet)) for packet in packets)
    texts = [encodeText(packet, _BASE64) for packet in packets]
    if parser is Parser.ONE:
        texts = [text.encode("utf-8").decode("latin-1") for text in texts]
    return "".join([f"{unitCount(text)}:{text}" for text in texts]) or "0:"


def _binary(frame: str | bytes) -> bytes:
    marker, data = (b"\0", frame.encode("utf-8")) if isinstance(frame, str) else (b"\1", frame)
    return b"".join((marker, (b"%d" % len(data)).translate(_TO_DIGITS), b"\xff", data))


def decodePayload(body: str | bytes, parser: Parser = Parser.TWO) -> Iterator[Packet]:
    """
    The packets of a body, each read when it is asked for: whoever wants no more of them just stops.

    :param body: text is read as the text framing, bytes as the binary one.
    :param parser: whose text framing it is, as far as :func:`parserOf` or an earlier body told.
    :raises ProtocolError: at the first thing that is not a packet, after the good packets before it. An empty text is
        not a body; empty bytes are one without packets.
    """
    if isinstance(body, bytes):
        return (decodeFrame(_text(data) if isText else data) for isText, data in _cutBinary(body))
    return _decodeTexts(body, parser)


def isPayload(body: str) -> bool:
    """Whether the lengths in a body of the text framing are those of its packets."""
    try:
        return bool(body) and all(True for _ in cutFrames(body, False, _HEADER, _END, ""))
    except ProtocolError:
        return False


def _decodeTexts(body: str, parser: Parser) -> Iterator[Packet]:
    if not body:
        raise ProtocolError("an empty body")
    if body == "0:":
        return
    for _, text in cutFrames(body, False, _HEADER, _END, ""):
        yield decodeText(text if parser is Parser.TWO else undoubled(text), _BASE64)


def _cutBinary(body: bytes) -> Iterator[tuple[bool, bytes]]:
    """The packets of a body in the binary framing: whether each is text, and its bytes."""
    position = 0
    while position < len(body):
        head = _BINARY_HEADER.match(body, position)
        if head is None:
            raise ProtocolError("a packet does not begin as one")
        start = head.end()
        position = start + int(head[2].translate(_FROM_DIGITS))
        if position > len(body):
            raise ProtocolError("a packet is shorter than it says")
        yield head[1] == b"\0", body[start:position]


def undoubled(text: str) -> str:
    """
    Text whose characters are the bytes of the text that was meant.

    :raises ProtocolError: if they are no bytes, or no UTF-8.
    """
    if text.isascii():
        return text
    try:
        return _text(text.encode("latin-1"))
    except UnicodeEncodeError as error:
        raise ProtocolError("text of parser 1.x has a character that is no byte") from error


def _text(data: bytes) -> str:
    """
    Text that a client wrote as UTF-8 itself.

    Parser 1.x writes lone surrogates as if they were characters, and reads them back; so do we. Two that make a pair
    are one character, as they are in JavaScript.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise ProtocolError("text is not UTF-8") from error
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def parserOf(body: str | bytes) -> Parser | None:
    """
    Which parser wrote a body, as far as it shows; a session should remember the first answer that is not None.

    Characters that all are bytes, and together are UTF-8, are of 1.x. The first non-ASCII text of a client of 2.x may
    look like that by accident, as ``Ã©`` does: only configuration can tell. In the binary framing, a body of text alone
    is of 1.x, for 2.x takes the text framing then.

    :return: None if there is nothing to tell by, or the body is damaged.
    """
    if isinstance(body, bytes):
        try:
            return Parser.ONE if body and all(isText for isText, _ in _cutBinary(body)) else None
        except ProtocolError:
            return None
    if body.isascii():
        return None
    try:
        undoubled(body)
    except ProtocolError:
        return Parser.TWO
    return Parser.ONE
