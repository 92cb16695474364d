"""
One WebSocket text message as finished bytes: a single unmasked frame, as a server sends it (RFC 6455, section 5.2).

Made once for a broadcast and written to every socket as it is.
"""

from __future__ import annotations

import struct

__all__ = ["textFrame"]

_FIN_TEXT = 0x81


def textFrame(payload: bytes) -> bytes:
    """
    The frame that carries ``payload``.

    :param payload: UTF-8.
    """
    size = len(payload)
    if size < 126:
        return bytes((_FIN_TEXT, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", _FIN_TEXT, 126, size) + payload
    return struct.pack("!BBQ", _FIN_TEXT, 127, size) + payload
