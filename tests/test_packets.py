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
        """Text is text, in the namespace that is named."""
        for text in ("", "hello\n😀", "\ud800"):
            self.assertEqual(messagePacket(text), Packet(Kind.MESSAGE, text))
        self.assertEqual(messagePacket("a", "/chat"), Packet(Kind.MESSAGE, "a", "/chat"))

    def test_json(self) -> None:
        """Anything else is a value: numbers, None, the empty list, bytes."""
        for data in (0, -5, 2**70, 1.5, True, False, None, [], [1], {}, {"a": 1}, (1, 2), b"", b"\xff", {"a": b"b"}):
            self.assertEqual(messagePacket(data), Packet(Kind.JSON, data))
        self.assertEqual(messagePacket([1], "/chat"), Packet(Kind.JSON, [1], "/chat"))

    def test_refusedByOutgoing(self) -> None:
        """A value that JSON can't hold is the caller's error when it is made ready to be sent."""
        for data in (object(), {1}, [object()], {b"a": 1}):
            self.assertRaises(EncodeError, Outgoing, messagePacket(data))
            self.assertRaises(SocketIOError, Outgoing, messagePacket(data))

    def test_notFinite(self) -> None:
        """Numbers that JSON lacks are null there, as in JavaScript."""
        for number in (float("nan"), float("inf"), float("-inf")):
            self.assertEqual(Outgoing(messagePacket({"a": [number]})).text, '{"a":[null]}')
            self.assertEqual(Outgoing(messagePacket(number)).text, "null")

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
                checks.say(codec, messagePacket(Word.A), messagePacket(Number.TWO), messagePacket([Word.A])),
                checks.say(codec, messagePacket("a"), messagePacket("2"), messagePacket(["a"])),
            )

    @checks.PROPERTY
    @given(checks.VALUES | st.binary())
    def test_anyData(self, data: object) -> None:
        """Any data is a message that has a text."""
        packet = messagePacket(data)
        self.assertIs(packet.kind, Kind.MESSAGE if isinstance(data, str) else Kind.JSON)
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
