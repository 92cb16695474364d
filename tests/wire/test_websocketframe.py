"""
``websocketframe``: the frames, read back as RFC 6455 and RFC 7692 say.
"""

from __future__ import annotations

import zlib

from autobahn.websocket.compress_deflate import PerMessageDeflate
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.wire.websocketframe import deflatedFrame, frame
from tests.wire import checks


def parse(data: bytes) -> tuple[int, int, bytes]:
    """First byte, length byte and payload of a frame, after checking that the length is that of the payload."""
    code = data[1] & 0x7F
    size = {126: 2, 127: 8}.get(code, 0)
    length = int.from_bytes(data[2 : 2 + size], "big") if size else code
    payload = data[2 + size :]
    assert length == len(payload), (length, len(payload))
    return data[0], data[1], payload


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
            self.assertEqual(parse(frame("x" * size)), (0x81, code, payload))

    def test_wholeMessageUnmasked(self) -> None:
        """A frame is the whole of a text message, without extensions and, as from any server, without a mask."""
        first, second, payload = parse(frame("é😀"))
        self.assertEqual((first, second & 0x80, payload.decode()), (0x81, 0, "é😀"))

    def test_bytes(self) -> None:
        """A short frame byte for byte, and the example of the RFC."""
        self.assertEqual(frame(""), b"\x81\x00")
        self.assertEqual(frame("Hello"), bytes.fromhex("810548656c6c6f"))
        self.assertEqual(frame("x" * 256)[:4], bytes.fromhex("817e0100"))
        self.assertEqual(frame("x" * 65536)[:10], bytes.fromhex("817f0000000000010000"))


class BinaryFrameTests(SynchronousTestCase):
    """Frames of bytes, which differ in the first byte alone."""

    def test_bytes(self) -> None:
        """A frame is the whole of a binary message; the examples of the RFC have these heads."""
        self.assertEqual(frame(b""), b"\x82\x00")
        self.assertEqual(frame(b"\xff" * 256), bytes.fromhex("827e0100") + b"\xff" * 256)
        self.assertEqual(frame(b"x" * 65536)[:10], bytes.fromhex("827f0000000000010000"))
        for size in (0, 125, 126, 2047, 2048, 65536):
            self.assertEqual(frame(b"x" * size, True), frame("x" * size), size)


def inflate(*frames: bytes) -> list[bytes]:
    """The payloads of compressed frames, read by a client that keeps its window from message to message."""
    window = zlib.decompressobj(wbits=-15)
    return [window.decompress(parse(frame)[2] + b"\0\0\xff\xff") for frame in frames]


class DeflatedFrameTests(SynchronousTestCase):
    """Compressed frames, which any client of permessage-deflate can read."""

    def test_bytes(self) -> None:
        """The example of RFC 7692, as text and as bytes; an empty message is one byte."""
        self.assertEqual(deflatedFrame(b"Hello", True), bytes.fromhex("c107f248cdc9c90700"))
        self.assertEqual(deflatedFrame(b"Hello", False), bytes.fromhex("c207f248cdc9c90700"))
        self.assertEqual(deflatedFrame(b"", True), bytes.fromhex("c10100"))

    def test_sameMessageTwice(self) -> None:
        """A message does not lean on the one before it, which was the same: each frame can be read alone."""
        frame = deflatedFrame(b"a message " * 50, True)
        self.assertLess(len(frame), 40)
        self.assertEqual(inflate(frame), [b"a message " * 50])
        self.assertEqual(inflate(frame, frame), [b"a message " * 50] * 2)

    def test_large(self) -> None:
        """A payload larger than the window comes back, and the length of the frame is that of what was compressed."""
        payload = b"".join(number.to_bytes(4, "big") for number in range(100_000))
        frame = deflatedFrame(payload, False)
        self.assertEqual(parse(frame)[:2], (0xC2, 127))
        self.assertEqual(inflate(frame), [payload])

    @checks.PROPERTY
    @given(st.lists(st.binary()))
    def test_comesBack(self, payloads: list[bytes]) -> None:
        """Any messages come back, whether the client keeps its window or not."""
        frames = [deflatedFrame(payload, False) for payload in payloads]
        self.assertEqual(inflate(*frames), payloads)
        self.assertEqual([inflate(frame)[0] for frame in frames], payloads)

    def test_asAutobahn(self) -> None:
        """The payload is what Autobahn sends of its first message, and Autobahn reads it."""
        for payload in (b"x", b"Hello" * 20, bytes(range(256)) * 10):
            server = PerMessageDeflate(True, True, True, 15, 15, 8)
            server.start_compress_message()
            compressed = server.compress_message_data(payload) + server.end_compress_message()
            self.assertEqual(parse(deflatedFrame(payload, False))[2], compressed)
            client = PerMessageDeflate(False, True, True, 15, 15, 8)
            client.start_decompress_message()
            self.assertEqual(client.decompress_message_data(compressed + b"\0\0\xff\xff"), payload)
