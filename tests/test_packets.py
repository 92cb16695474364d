"""
``packets``: what an application's data becomes, and the words for the end of a session.
"""

from __future__ import annotations

from enum import Enum, IntEnum

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.errors import EncodeError, SocketIOError
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, Reason, messagePacket
from siotwisted.wire.codec import Codec
from siotwisted.wire.sio06 import SIOCodec
from siotwisted.wire.sio06streaming import SIOStreamingCodec
from tests.wire import checks


class MessagePacketTests(SynchronousTestCase):
    """From data to packets."""

    def test_text(self) -> None:
        """Text, UTF-8 bytes of any kind, numbers and booleans are text."""
        for data, text in (
            ("", ""),
            ("hello\n😀", "hello\n😀"),
            (b"", ""),
            ("é😀".encode(), "é😀"),
            (bytearray(b"a"), "a"),
            (memoryview(b"abcd")[1:3], "bc"),
            (0, "0"),
            (-5, "-5"),
            (2**70, str(2**70)),
            (1.5, "1.5"),
            (1e300, "1e+300"),
            (True, "true"),
            (False, "false"),
        ):
            self.assertEqual(messagePacket(data), Packet(Kind.MESSAGE, text))

    def test_json(self) -> None:
        """Anything else is JSON, None and the empty list among it."""
        for data in (None, [], [1], {}, {"a": 1}, (1, 2)):
            self.assertEqual(messagePacket(data), Packet(Kind.JSON, data))

    def test_refused(self) -> None:
        """Bytes that are not UTF-8 and numbers that are not finite are the caller's error, at once."""
        for data in (b"\xff", bytearray(b"\xe9"), b"\xed\xa0\x80", float("nan"), float("inf"), float("-inf")):
            self.assertRaises(EncodeError, messagePacket, data)
            self.assertRaises(SocketIOError, messagePacket, data)

    def test_refusedByOutgoing(self) -> None:
        """A value that JSON can't hold is the caller's error when it is made ready to be sent."""
        for data in (object(), {1}, [b"x"], {"a": float("nan")}):
            self.assertRaises(EncodeError, Outgoing, messagePacket(data))

    def test_memoryWithGaps(self) -> None:
        """A view of every other byte is the text of those bytes."""
        self.assertEqual(messagePacket(memoryview(b"a-b-")[::2]), Packet(Kind.MESSAGE, "ab"))

    def test_enumerations(self) -> None:
        """Members of enumerations are the texts and numbers that they are, on the wire of every codec."""

        class Word(str, Enum):  # noqa: UP042  (the text of a StrEnum's member is its value)
            """A text, whose ``str()`` and ``format()`` are its name."""

            A = "a"

        class Number(IntEnum):
            """A number."""

            TWO = 2

        codecs: tuple[type[Codec], ...] = (SIOCodec, SIOStreamingCodec)
        for codec in codecs:
            self.assertEqual(
                checks.write(codec, messagePacket(Word.A), messagePacket(Number.TWO), messagePacket([Word.A])),
                checks.write(codec, messagePacket("a"), messagePacket("2"), messagePacket(["a"])),
            )

    @checks.PROPERTY
    @given(checks.VALUES | st.binary())
    def test_anyData(self, data: object) -> None:
        """Any data is a message that has a text, or the caller's error."""
        try:
            packet = messagePacket(data)
        except EncodeError:
            self.assertIsInstance(data, bytes)
            return
        self.assertIn(packet.kind, (Kind.MESSAGE, Kind.JSON))
        self.assertIsInstance(Outgoing(packet).text, str)


class PacketTests(SynchronousTestCase):
    """The packet itself."""

    def test_defaults(self) -> None:
        """Without more, a packet has no data and belongs to the one namespace that there always is."""
        self.assertEqual(Packet(Kind.CLOSE), (Kind.CLOSE, None, "/", None))


class ReasonTests(SynchronousTestCase):
    """Why a session ended."""

    def test_text(self) -> None:
        """A reason is its text, wherever text is wanted."""
        self.assertEqual(Reason.PING_TIMEOUT, "ping timeout")
        self.assertEqual(f"{Reason.SERVER_SHUTTING_DOWN}", "server shutting down")
        self.assertEqual(len({str(reason) for reason in Reason}), len(Reason))
