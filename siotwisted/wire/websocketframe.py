"""
WebSocket messages as finished bytes: each a single unmasked frame, as a server sends it (RFC 6455, section 5.2).

Made once for a broadcast and written to every socket as it is.
"""

from __future__ import annotations

import struct
import zlib

__all__ = ["binaryFrame", "deflatedFrame", "textFrame"]

_TEXT = 0x81
_BINARY = 0x82
#: The bit that says that the payload is compressed.
_DEFLATED = 0x40
#: What ends each flush, and goes without saying (RFC 7692, section 7.2.1).
_TAIL = b"\0\0\xff\xff"


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def textFrame(payload: bytes) -> bytes:
    """
    The frame that carries ``payload`` as text.

    :param payload: UTF-8.
    """
    return _frame(_TEXT, payload)


def binaryFrame(payload: bytes) -> bytes:
    """The frame that carries ``payload`` as bytes."""
    return _frame(_BINARY, payload)


def deflatedFrame(payload: bytes, binary: bool) -> bytes:
    """
    The frame that carries ``payload`` compressed by permessage-deflate, with nothing of any message before it.

    For sockets that agreed on this extension, with a server's window of 32 KiB. Whatever else is sent compressed on
    such a socket must do without the messages before it too: the client remembers them, and this frame is one.

    :param payload: UTF-8, unless it is binary.
    """
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return _frame((_BINARY if binary else _TEXT) | _DEFLATED, data.removesuffix(_TAIL))
