"""
``websocketframe``: the frames, read back as RFC 6455 says.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siotwisted.wire.websocketframe import textFrame


def parse(frame: bytes) -> tuple[int, int, bytes]:
    """First byte, length byte and payload of a frame, after checking that the length is that of the payload."""
    code = frame[1] & 0x7F
    size = {126: 2, 127: 8}.get(code, 0)
    length = int.from_bytes(frame[2 : 2 + size], "big") if size else code
    payload = frame[2 + size :]
    assert length == len(payload), (length, len(payload))
    return frame[0], frame[1], payload


class TextFrameTests(SynchronousTestCase):
    """Frames of all sizes."""

    def test_sizes(self) -> None:
        """At each size where the length changes its form, the shortest form is used and the payload is whole."""
        for size, code in (
            (0, 0),
            (1, 1),
            (125, 125),
            (126, 126),
            (127, 126),
            (65535, 126),
            (65536, 127),
            (70000, 127),
        ):
            payload = b"x" * size
            self.assertEqual(parse(textFrame(payload)), (0x81, code, payload))

    def test_wholeMessageUnmasked(self) -> None:
        """A frame is the whole of a text message, without extensions and, as from any server, without a mask."""
        first, second, payload = parse(textFrame("é😀".encode()))
        self.assertEqual((first, second & 0x80, payload.decode()), (0x81, 0, "é😀"))

    def test_bytes(self) -> None:
        """A short frame byte for byte, and the example of the RFC."""
        self.assertEqual(textFrame(b""), b"\x81\x00")
        self.assertEqual(textFrame(b"Hello"), bytes.fromhex("810548656c6c6f"))
        self.assertEqual(textFrame(b"x" * 256)[:4], bytes.fromhex("817e0100"))
        self.assertEqual(textFrame(b"x" * 65536)[:10], bytes.fromhex("817f0000000000010000"))
