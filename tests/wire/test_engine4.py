"""
Engine.IO, revision 4: each row of the vectors of engine.io-parser 5.2.3 is a test, both ways; whole, cut and damaged
payloads; properties; and bounds of the work that a hostile body can cause.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.errors import EncodeError, ProtocolError
from siotwisted.packets import Kind, Packet
from siotwisted.wire.engine4 import decodeFrame, decodePayload, encodeFrame, encodePayload
from tests.wire import checks

VECTORS = checks.vectors("vectors-eio4.json")

#: Frames of WebTransport, which is not served; what is in them are packets as a WebSocket has them.
STREAMED = checks.vectors("vectors-eio4-webtransport.json")["frames"]

#: What a parser of JavaScript gives for damage.
DAMAGE = {"type": "error", "data": "parser error"}

#: Texts that UTF-8 can carry, with the beginnings that mean something to a revision of Engine.IO.
TEXTS = st.builds(
    str.__add__,
    st.sampled_from(["", "", "b", "b4", "0:", "6:4hello", "\0\6\xff"]),
    st.text(st.characters(codec="utf-8")) | st.text(st.sampled_from('b4:0"\\\n\r\0\xff\xe2\x82\xac€😀\u2028')),
)

#: Packets as decoders give them: text, or None where there is none, and bytes in messages alone.
PACKETS = st.one_of(
    (TEXTS | st.binary()).map(partial(Packet, Kind.MESSAGE)),
    *(
        (st.none() | TEXTS.filter(bool)).map(partial(Packet, kind))
        for kind in (Kind.OPEN, Kind.CLOSE, Kind.PING, Kind.PONG, Kind.UPGRADE, Kind.NOOP)
    ),
)

#: What a damaged body gets in place of a character, or beside one.
INTRUDERS = ("\x1e", "b", "4", "9", "0", ":", "=", "-", " ", "\0", "\xff", "\u0664", "😀", "\ud83d")


def packetOf(row: checks.Row) -> Packet:
    """The packet that a row describes; a message without data is an empty one."""
    kind = Kind(row["type"])
    data = row.get("data", "" if kind is Kind.MESSAGE else None)
    return Packet(kind, bytes.fromhex(data["$hex"]) if isinstance(data, dict) else data)


def wireOf(row: checks.Row) -> Any:
    """The text or the bytes that a row puts on the wire."""
    return bytes.fromhex(row["hex"]) if row["kind"] == "binary" else row["text"]


def goodOf(rows: Iterable[checks.Row]) -> tuple[list[Packet], bool]:
    """The packets that a parser gave before damage, and whether damage came."""
    listed = list(rows)
    return [packetOf(row) for row in listed if row != DAMAGE], DAMAGE in listed


def readAll(packets: Iterable[Packet]) -> tuple[list[Packet], bool]:
    """
    The good packets of a decoder, and whether damage came after them.

    Any other exception than :class:`~siotwisted.errors.ProtocolError` goes through.
    """
    good: list[Packet] = []
    try:
        for packet in packets:
            good.append(packet)
    except ProtocolError:
        return good, True
    return good, False


def damagedTexts(body: str) -> Iterable[tuple[int, str]]:
    """Each change of one character of a body: where it is, and what the body became."""
    for at in range(len(body) + 1):
        for intruder in INTRUDERS:
            yield at, body[:at] + intruder + body[at:]
            yield at, body[:at] + intruder + body[at + 1 :]
        yield at, body[:at] + body[at + 1 :]


@checks.eachRow("packets", VECTORS["packets"])
@checks.eachRow("payloads", VECTORS["payloads"])
@checks.eachRow("decode_single", VECTORS["decode_single"])
@checks.eachRow("decode_payload", VECTORS["decode_payload"])
class VectorTests(SynchronousTestCase):
    """Each row of the vectors is a test; the ``check`` methods say how a row is read."""

    def checkPackets(self, row: checks.Row) -> None:
        """A packet is the row's WebSocket message and, where that has to be text, the row's text; both come back."""
        packet, frame, text = packetOf(row["packet"]), wireOf(row["ws_frame"]), wireOf(row["polling_text"])
        self.assertEqual(encodeFrame(packet), frame)
        self.assertEqual(encodeFrame(packet, binary=False), text)
        self.assertEqual(decodeFrame(frame), packet)
        self.assertEqual(decodeFrame(text), packet)
        if "\x1e" not in text:
            self.assertEqual(encodePayload([packet]), text)
            self.assertEqual(list(decodePayload(text)), [packet])

    def checkPayloads(self, row: checks.Row) -> None:
        """
        Packets are the row's body, and the body is what the row decodes to.

        The one with U+001E in a text would come back as two packets: we don't write it. And the ``b`` behind it is
        followed by nothing, which is an empty message of bytes.
        """
        packets, body = [packetOf(packet) for packet in row["packets"]], wireOf(row["wire"])
        self.assertEqual(list(decodePayload(body)), [packetOf(packet) for packet in row["decoded_back"]])
        if row["name"] == "separator-inside-text-is-not-escaped":
            self.assertRaises(EncodeError, encodePayload, packets)
        else:
            self.assertEqual(encodePayload(packets), body)

    #: Base64 that the parser repairs and we refuse.
    refused = ("b-bad-base64", "b-with-spaces")

    def checkDecodeSingle(self, row: checks.Row) -> None:
        """A WebSocket message is the row's packet, or damage; base64 with other characters in it is damage to us."""
        frame = wireOf(row["input"])
        if row["packet"] == DAMAGE or row["name"] in self.refused:
            self.assertRaises(ProtocolError, decodeFrame, frame)
        else:
            self.assertEqual(decodeFrame(frame), packetOf(row["packet"]))

    def checkDecodePayload(self, row: checks.Row) -> None:
        """A body has the row's packets, and then damage or not."""
        self.assertEqual(readAll(decodePayload(wireOf(row["input"]))), goodOf(row["packets"]))


class FrameTests(SynchronousTestCase):
    """WebSocket messages beyond the vectors."""

    def test_noData(self) -> None:
        """No data and empty text are the same on the wire; they come back as empty text in a message, else as None."""
        for kind in (Kind.MESSAGE, Kind.PING):
            self.assertEqual(encodeFrame(Packet(kind)), encodeFrame(Packet(kind, "")))
        self.assertEqual(decodeFrame("4"), Packet(Kind.MESSAGE, ""))
        self.assertEqual(decodeFrame("2"), Packet(Kind.PING, None))

    def test_loneSurrogate(self) -> None:
        """Text that UTF-8 can't carry is refused, in a message and in a payload."""
        packet = Packet(Kind.MESSAGE, "a\ud83d")
        self.assertRaises(EncodeError, encodeFrame, packet)
        self.assertRaises(EncodeError, encodePayload, [packet])

    def test_base64(self) -> None:
        """Base64 is read with padding and without, in both alphabets, mixed too."""
        for text in ("+/-_", "-_+/", "+/+/", "-_-_"):
            self.assertEqual(decodeFrame("b" + text), Packet(Kind.MESSAGE, b"\xfb\xff\xbf"))
        for text in ("AA==", "AA", "AAA=", "AAA", "AAAA"):
            self.assertEqual(decodeFrame("b" + text), Packet(Kind.MESSAGE, bytes(len(text.rstrip("=")) * 3 // 4)), text)

    def test_badBase64(self) -> None:
        """Nothing else is base64: other characters, padding that does not fit, or a single character left over."""
        for text in (
            "A",
            "AAAAA",
            "=",
            "==",
            "====",
            "A=",
            "AA=",
            "AAA==",
            "AAAA=",
            "AAAA====",
            "A===",
            "AA==AA==",
            "=AAA",
        ):
            self.assertRaises(ProtocolError, decodeFrame, "b" + text)
        for character in " \n\0*.,%é\u0664😀\ud83d":
            self.assertRaises(ProtocolError, decodeFrame, "bAAA" + character)

    @checks.PROPERTY
    @given(PACKETS, st.booleans())
    def test_comesBack(self, packet: Packet, binary: bool) -> None:
        """Every packet comes back from a WebSocket message, which is text if the client takes no other."""
        frame = encodeFrame(packet, binary)
        self.assertEqual(isinstance(frame, bytes), binary and isinstance(packet.data, bytes))
        self.assertEqual(decodeFrame(frame), packet)

    @checks.PROPERTY
    @given(st.text(st.characters()) | TEXTS | st.binary())
    def test_anyFrame(self, frame: str | bytes) -> None:
        """Whatever a client sends is one packet, or raises ProtocolError; bytes are a message, always."""
        good, damaged = readAll(map(decodeFrame, [frame]))
        self.assertEqual(len(good) + damaged, 1)
        if isinstance(frame, bytes):
            self.assertEqual(good, [Packet(Kind.MESSAGE, frame)])


class PayloadTests(SynchronousTestCase):
    """Bodies beyond the vectors."""

    parts = ("4hello", "bAQIDBA==", "2probe", "4€😀", "6")
    packets = (
        Packet(Kind.MESSAGE, "hello"),
        Packet(Kind.MESSAGE, b"\1\2\3\4"),
        Packet(Kind.PING, "probe"),
        Packet(Kind.MESSAGE, "€😀"),
        Packet(Kind.NOOP),
    )

    def test_prefixes(self) -> None:
        """Cut after each character, a body gives its whole packets, and of the last what there is or damage."""
        body = "\x1e".join(self.parts)
        for cut in range(len(body)):
            whole = body[:cut].count("\x1e")
            good, damaged = readAll(decodePayload(body[:cut]))
            self.assertEqual(good[:whole], list(self.packets[:whole]))
            self.assertEqual(len(good) + damaged, whole + 1)

    def test_damaged(self) -> None:
        """With any one character replaced, added or taken away, the packets before the damage are kept."""
        body = "\x1e".join(self.parts)
        for at, damaged in damagedTexts(body):
            whole = body[:at].count("\x1e")
            self.assertEqual(readAll(decodePayload(damaged))[0][:whole], list(self.packets[:whole]), repr(damaged))

    @checks.PROPERTY
    @given(st.lists(PACKETS.filter(lambda packet: "\x1e" not in str(packet.data)), min_size=1))
    def test_comesBack(self, packets: list[Packet]) -> None:
        """Packets come back from a body, in order, and none twice; the body is text that UTF-8 can carry."""
        body = encodePayload(iter(packets))
        self.assertEqual(list(decodePayload(body.encode("utf-8").decode("utf-8"))), packets)

    def test_separator(self) -> None:
        """Text with U+001E is refused in any kind of packet, and fine in bytes."""
        self.assertRaises(EncodeError, encodePayload, [Packet(Kind.NOOP), Packet(Kind.PONG, "\x1e")])
        packet = Packet(Kind.MESSAGE, b"\x1e")
        self.assertEqual(list(decodePayload(encodePayload([packet]))), [packet])

    @checks.PROPERTY
    @given(st.text(st.characters()) | st.lists(TEXTS | st.just("bAA==")).map("\x1e".join))
    def test_anyBody(self, body: str) -> None:
        """Any text raises nothing but ProtocolError, and gives at most one packet for each of its parts."""
        good, damaged = readAll(decodePayload(body))
        self.assertTrue(len(good) + damaged <= body.count("\x1e") + 1)

    def test_lazy(self) -> None:
        """A caller that wants no more packets than it has pays for no more."""
        packets = decodePayload("4\x1e" * checks.MEGABYTE)
        self.assertEqual(next(packets), Packet(Kind.MESSAGE, ""))
        self.assertTrue(checks.callsOf(packets.__next__) < 20)

    def test_linear(self) -> None:
        """The work for many packets grows as they do."""
        small, large = (checks.callsOf(partial(list, decodePayload("4\x1e" * count + "2"))) for count in (1000, 10000))
        self.assertTrue(small > 1000)
        self.assertTrue(large < 11 * small, (small, large))

    def test_hostile(self) -> None:
        """A megabyte of anything is no great work."""
        size = checks.MEGABYTE
        for body in ("4" * size, "b" + "A" * size, "b" + "-" * size + "*", "b" + "=" * size, "€" * size, "\x1e" * size):
            with checks.boundedWork():
                readAll(decodePayload(body))

    def test_likeStandardBase64(self) -> None:
        """Bytes of every length are written as the standard library's other base64 writes them."""
        for size in range(70):
            data = bytes(range(size))
            self.assertEqual(encodePayload([Packet(Kind.MESSAGE, data)]), "b" + base64.b64encode(data).decode())


@checks.eachRow("streamed", STREAMED)
class StreamedTests(SynchronousTestCase):
    """Packets in the frames of WebTransport."""

    def checkStreamed(self, row: checks.Row) -> None:
        """Their bytes, the number of these, and whether they are text are those of a WebSocket's message."""
        data = row["packet"]
        packet = packetOf(data) if isinstance(data, dict) else Packet(Kind.MESSAGE, b"\1" * row["body_length"])
        frame = encodeFrame(packet)
        body = frame if isinstance(frame, bytes) else frame.encode("utf-8")
        self.assertEqual(len(body), row["body_length"])
        self.assertEqual(body.hex(), row.get("body_hex", body.hex()))
        self.assertEqual(isinstance(frame, bytes), int(row["header_hex"][:2], 16) >= 0x80)
        self.assertEqual(decodeFrame(frame), packet)
