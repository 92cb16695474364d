"""
WebSocket messages as finished bytes: each a single unmasked frame, as a server sends it (RFC 6455, section 5.2).

Made once for a broadcast and written to every socket as it is.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

__all__ = ["deflatedFrame", "frame", "headsBefore"]

_TEXT = 0x81
_BINARY = 0x82
#: The bit that says that the payload is compressed.
_DEFLATED = 0x40
#: The heads of frames, by the size of what they have to hold.
_SHORT, _MEDIUM, _LONG = (struct.Struct(format).pack for format in ("!BB", "!BBH", "!BBQ"))
#: What ends each flush, and goes without saying (RFC 7692, section 7.2.1).
_TAIL = b"\0\0\xff\xff"


def _head(first: int, size: int) -> bytes:
    """
    What stands before so many bytes.

    :param first: the first byte.
    """
    if size < 126:
        return _SHORT(first, size)
    if size < 65536:
        return _MEDIUM(first, 126, size)
    return _LONG(first, 127, size)


#: Nearly all text has fewer bytes than this.
_FEW = 2048


def headsBefore(prefix: bytes) -> Sequence[bytes]:
    """
    What stands before short text in its frame, by the length of the text.

    :param prefix: stands between the head of the frame and the text.
    """
    return [_head(_TEXT, len(prefix) + size) + prefix for size in range(_FEW)]


#: The heads of short text, by its length.
_HEADS = headsBefore(b"")


def frame(data: str | bytes, text: bool = False) -> bytes:
    """
    The frame that carries a message of text or of bytes.

    :param text: whether bytes are UTF-8.
    """
    if isinstance(data, str):
        data, text = data.encode(), True
    size = len(data)
    if text and size < _FEW:
        return _HEADS[size] + data
    return _head(_TEXT if text else _BINARY, size) + data


def deflatedFrame(payload: bytes, text: bool) -> bytes:
    """
    The frame that carries ``payload`` compressed by permessage-deflate, with nothing of any message before it.

    For sockets that agreed on this extension, with a server's window of 32 KiB. Whatever else is sent compressed on
    such a socket must do without the messages before it too: the client remembers them, and this frame is one.

    :param text: whether it is UTF-8.
    """
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)
    data = data.removesuffix(_TAIL)
    return _head((_TEXT if text else _BINARY) | _DEFLATED, len(data)) + data
