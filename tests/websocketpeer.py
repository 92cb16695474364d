"""
WebSockets for tests: frames made and read by hand, and the upgrade request that comes before them.

Nothing here is taken from the code that it tests: ``~m~`` frames are counted by their UTF-16 encoding, and WebSocket
frames are made and read bit by bit, so that a test can send what no good client would.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

__all__ = [
    "ACCEPT",
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "clientFrame",
    "closeFrame",
    "framed",
    "serverFrames",
    "unframed",
    "upgradeRequest",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
#: What RFC 6455 (section 1.3) says is the answer to the key that all requests here have.
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
_MASK = b"\x1f\x2e\x3d\x4c"


def upgradeRequest(
    path: str = "/socket.io/websocket",
    headers: Mapping[str, str | None] | None = None,
    method: str = "GET",
    version: str = "HTTP/1.1",
) -> bytes:
    """
    The request that opens a WebSocket.

    :param headers: more headers, or others in place of the usual ones; None leaves one out.
    """
    fields: dict[str, str | None] = {
        "Host": "chat.example",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": _KEY,
        "Sec-WebSocket-Version": "13",
        **(headers or {}),
    }
    lines = [f"{method} {path} {version}", *(f"{name}: {value}" for name, value in fields.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def clientFrame(
    payload: bytes | str,
    opcode: int = TEXT,
    fin: bool = True,
    masked: bool = True,
    rsv: int = 0,
    length: int | None = None,
    lengthBytes: int = 0,
) -> bytes:
    """
    One frame of a client.

    :param length: the length to announce, if it is not the payload's.
    :param lengthBytes: in how many bytes more to write it, 2 or 8, if not in the fewest.
    """
    data = payload.encode("utf-8") if isinstance(payload, str) else payload
    size = len(data) if length is None else length
    first = fin << 7 | rsv << 4 | opcode
    lengthBytes = lengthBytes or (0 if size < 126 else 2 if size < 65536 else 8)
    short = {0: size, 2: 126, 8: 127}[lengthBytes]
    head = bytes([first, masked << 7 | short]) + (size.to_bytes(lengthBytes, "big") if lengthBytes else b"")
    if not masked:
        return head + data
    mask = int.from_bytes((_MASK * (len(data) // 4 + 1))[: len(data)], "big")
    return head + _MASK + (int.from_bytes(data, "big") ^ mask).to_bytes(len(data), "big")


def closeFrame(code: int | None = None, reason: bytes = b"") -> bytes:
    """A close frame of a client."""
    return clientFrame((b"" if code is None else struct.pack("!H", code)) + reason, CLOSE)


def serverFrames(data: bytes) -> list[tuple[int, bytes]]:
    """The opcodes and payloads of a server's whole frames; what is left of a last one is not looked at."""
    found = []
    position = 0
    while len(data) >= position + 2:
        first, size = data[position], data[position + 1]
        assert first & 0x70 == 0, "reserved bits are set"
        assert first & 0x80, "a message is fragmented"
        assert size < 128, "a server's frame is masked"
        start = position + 2
        more = {126: 2, 127: 8}.get(size, 0)
        if more:
            size = int.from_bytes(data[start : start + more], "big")
            start += more
        position = start + size
        if len(data) < position:
            break
        found.append((first & 15, data[start:position]))
    return found


def framed(*messages: str) -> str:
    """Messages as the ``~m~`` frames of one payload."""
    return "".join(f"~m~{len(each.encode('utf-16-le')) // 2}~m~{each}" for each in messages)


def unframed(payload: str) -> list[str]:
    """The messages of the ``~m~`` frames of a payload."""
    found = []
    while payload:
        header = re.match("~m~([0-9]+)~m~", payload)
        assert header is not None, f"no frame: {payload[:40]!r}"
        units = payload[header.end() :].encode("utf-16-le")
        size = 2 * int(header.group(1))
        assert len(units) >= size, f"a frame is too short: {payload[:40]!r}"
        found.append(units[:size].decode("utf-16-le"))
        payload = units[size:].decode("utf-16-le")
    return found
