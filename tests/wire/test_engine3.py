"""
Engine.IO, revision 3: each row of the vectors of engine.io-parser 2.2.1 and 1.3.2 is a test, both ways, in both
framings and both dialects of text; whole, cut and damaged payloads; properties; the bodies of JSONP; and bounds of the
work that a hostile body can cause.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.errors import EncodeError, ProtocolError
from siotwisted.packets import Kind, Packet
from siotwisted.wire.engine3 import (
    Parser,
    decodeFrame,
    decodePayload,
    encodeFrame,
    encodePayload,
    isPayload,
    parserOf,
)
from siotwisted.wire.wrappings import engineCall, engineText, formField, quoted
from tests.wire import checks
from tests.wire.test_engine4 import PACKETS, TEXTS, damagedTexts, goodOf, packetOf, readAll, wireOf

VECTORS = checks.vectors("vectors-eio3.json")
VECTORS_1 = checks.vectors("vectors-eio3-parser1.json")
VECTORS_JSONP = checks.vectors("vectors-jsonp.json")

MESSAGES = (
    Packet(Kind.MESSAGE, "hello"),
    Packet(Kind.MESSAGE, b"\1\2\3\4"),
    Packet(Kind.PING, "probe"),
    Packet(Kind.MESSAGE, "€😀"),
    Packet(Kind.MESSAGE, "0123456789"),
    Packet(Kind.NOOP),
)


def goodOfPayload(rows: list[checks.Row]) -> tuple[list[Packet], bool]:
    """The packets that a parser's ``decodePayload`` called back with, and whether damage came."""
    return goodOf(row["packet"] for row in rows)


def text(data: str) -> Packet:
    """A message of text."""
    return Packet(Kind.MESSAGE, data)


def textual(packets: Iterable[Packet], parser: Parser = Parser.TWO) -> str:
    """A body in the text framing."""
    body = encodePayload(packets, False, parser)
    assert isinstance(body, str)
    return body


def binary(packets: Iterable[Packet]) -> bytes:
    """A body in the binary framing."""
    body = encodePayload(packets, True)
    assert isinstance(body, bytes)
    return body


class PacketRows(SynchronousTestCase):
    """How the sections that both vector files have are read."""

    #: Whose text framing the file has.
    parser: Parser

    def checkPackets(self, row: checks.Row) -> None:
        """A packet is the row's WebSocket message, and the row's text for a client of ``b64=1``; both come back."""
        packet, frame, base64 = packetOf(row["packet"]), wireOf(row["ws_frame"]), wireOf(row["b64_text"])
        self.assertEqual(encodeFrame(packet), frame)
        self.assertEqual(encodeFrame(packet, binary=False), base64)
        self.assertEqual(decodeFrame(frame), packet)
        self.assertEqual(decodeFrame(base64), packet)

    def checkPayloads(self, row: checks.Row) -> None:
        """
        Packets are the row's body in each framing, and each body is what the row decodes to. What a server of this line
        sends to a client without ``b64`` is one of the two: of 1.x the binary one, of 2.x if there are bytes.
        """
        packets = [packetOf(packet) for packet in row["packets"]]
        asText, asBytes = wireOf(row["text_b64"]), wireOf(row["forced_binary"])
        self.assertEqual(encodePayload(packets, binary=False, parser=self.parser), asText)
        self.assertEqual(encodePayload(packets, binary=True, parser=self.parser), asBytes)
        self.assertEqual(readAll(decodePayload(asText, self.parser)), goodOfPayload(row["decode_text"]))
        self.assertEqual(readAll(decodePayload(asBytes, self.parser)), goodOfPayload(row["decode_forced_binary"]))
        chosen = self.parser is Parser.ONE or any(isinstance(packet.data, bytes) for packet in packets)
        self.assertEqual(encodePayload(packets, chosen), wireOf(row["supports_binary"]))
        self.assertIn(parserOf(asText), (None, self.parser))


@checks.eachRow("packets", VECTORS["packets"])
@checks.eachRow("payloads", VECTORS["payloads"])
@checks.eachRow("decode_payload", VECTORS["decode_payload"])
class Parser2Tests(PacketRows):
    """Each row of the vectors of parser 2.x is a test; the ``check`` methods say how a row is read."""

    parser = Parser.TWO

    #: What the JavaScript parsers accept, or repair, and we refuse.
    refused = (
        "float-length",
        "exp-length",
        "hex-length",
        "leading-space-length",
        "b64-bad",
        "astral-counted-as-code-points",
        "bin-length-too-long",
        "bin-type-9",
        "bin-marker-2",
    )

    def checkDecodePayload(self, row: checks.Row) -> None:
        """
        A body has the packets that each parser finds there, and then damage or not.

        Some bodies, which no client writes, are damage to us alone. So are characters beyond U+00FF for parser 1.x,
        which makes rubbish of them.
        """
        body = wireOf(row["input"])
        for parser, column in ((Parser.TWO, "v2"), (Parser.ONE, "v1")):
            rubbish = parser is Parser.ONE and row["name"] == "astral-counted-as-utf16"
            expected = ([], True) if rubbish or row["name"] in self.refused else goodOfPayload(row[column])
            self.assertEqual(readAll(decodePayload(body, parser)), expected)


@checks.eachRow("packets", VECTORS_1["packets"])
@checks.eachRow("payloads", VECTORS_1["payloads"])
class Parser1Tests(PacketRows):
    """Each row of the vectors of parser 1.x is a test."""

    parser = Parser.ONE


@checks.eachRow("response", VECTORS_JSONP["response"])
@checks.eachRow("request", VECTORS_JSONP["request"])
class JSONPTests(SynchronousTestCase):
    """The bodies of JSONP, by the vectors and beyond."""

    def checkResponse(self, row: checks.Row) -> None:
        """A payload is the row's script."""
        script = engineCall(int(row["j"]), quoted(row["payload"].encode("utf-8")))
        self.assertEqual(script.decode("utf-8"), row["body"])

    def checkRequest(self, row: checks.Row) -> None:
        """A form has the row's payload."""
        self.assertEqual(engineText(formField(row["form_body"].encode("ascii"), b"d")), row["payload"])

    def test_escapedFeeds(self) -> None:
        """Only a backslash right before decides; further ones stay, and so does one without an ``n``."""
        for field, payload in (
            (r"\n", "\n"),
            (r"\\n", r"\n"),
            (r"\\\n", r"\\n"),
            (r"\n\n\\n\n", "\n\n\\n\n"),
            (r"\\ \t\\", r"\\ \t\\"),
        ):
            self.assertEqual(engineText(field), payload)

    @checks.PROPERTY
    @given(st.text(st.sampled_from("\\n\nab")))
    def test_feedsComeBack(self, payload: str) -> None:
        """Whatever the client escapes comes back, but for a backslash before a line feed, which it makes ambiguous."""
        field = payload.replace("\\n", "\\\\n").replace("\n", "\\n")
        if "\\\n" not in payload:
            self.assertEqual(engineText(field), payload)


class FrameTests(SynchronousTestCase):
    """WebSocket messages beyond the vectors."""

    @checks.PROPERTY
    @given(PACKETS, st.booleans())
    def test_comesBack(self, packet: Packet, binary: bool) -> None:
        """Every packet comes back from a WebSocket message, which is text if the client takes no other."""
        frame = encodeFrame(packet, binary)
        self.assertEqual(isinstance(frame, bytes), binary and isinstance(packet.data, bytes))
        self.assertEqual(decodeFrame(frame), packet)

    def test_bytesAreMessages(self) -> None:
        """A binary message without a type, or of another one than 4, is damage; so is base64 of another one."""
        for frame in (b"", b"\2", b"\5abc", b"4abc", "b", "b2AQID", "bAQID", "b4A"):
            self.assertRaises(ProtocolError, decodeFrame, frame)

    @checks.PROPERTY
    @given(st.text(st.characters()) | TEXTS | st.binary() | st.binary().map(b"\4".__add__))
    def test_anyFrame(self, frame: str | bytes) -> None:
        """Whatever a client sends is one packet, or raises ProtocolError."""
        good, damaged = readAll(map(decodeFrame, [frame]))
        self.assertEqual(len(good) + damaged, 1)


class TextFramingTests(SynchronousTestCase):
    """The text framing beyond the vectors."""

    def parts(self, parser: Parser) -> list[str]:
        """The bodies of each of some packets alone; joined they are one body."""
        return [textual([packet], parser) for packet in MESSAGES]

    @checks.PROPERTY
    @given(st.lists(PACKETS), st.sampled_from(Parser))
    def test_comesBack(self, packets: list[Packet], parser: Parser) -> None:
        """Packets come back from a body, in order, and none twice; the body is text that UTF-8 can carry."""
        body = textual(iter(packets), parser)
        self.assertEqual(list(decodePayload(body.encode("utf-8").decode("utf-8"), parser)), packets)

    def test_prefixes(self) -> None:
        """Cut after each character, a body gives its whole packets, and damage unless the cut is between packets."""
        for parser in Parser:
            parts = self.parts(parser)
            ends = [len("".join(parts[:number])) for number in range(len(parts) + 1)]
            body = "".join(parts)
            for cut in range(1, len(body)):
                whole = sum(end <= cut for end in ends) - 1
                expected = list(MESSAGES[:whole]), cut not in ends
                self.assertEqual(readAll(decodePayload(body[:cut], parser)), expected, repr(body[:cut]))

    def test_damaged(self) -> None:
        """With any one character replaced, added or taken away, the packets before the damage are kept."""
        for parser in Parser:
            parts = self.parts(parser)
            ends = [len("".join(parts[: number + 1])) for number in range(len(parts))]
            for at, damaged in damagedTexts("".join(parts)):
                whole = sum(end <= at for end in ends)
                found = readAll(decodePayload(damaged, parser))[0]
                self.assertEqual(found[:whole], list(MESSAGES[:whole]), repr(damaged))

    def test_emptyPackets(self) -> None:
        """``0:`` is a body without packets by itself, and damage beside anything else."""
        self.assertEqual(readAll(decodePayload("0:")), ([], False))
        self.assertEqual(readAll(decodePayload("0:0:")), ([], True))
        self.assertEqual(readAll(decodePayload("2:4a0:2:4b")), ([text("a")], True))

    def test_lengths(self) -> None:
        """A length has up to nine ASCII digits."""
        self.assertEqual(list(decodePayload("000000002:4a")), [text("a")])
        for length in ("0000000002", "9" * 5000, "\u0662", "+2", "2_", "2 ", ""):
            self.assertEqual(readAll(decodePayload(f"{length}:4a")), ([], True), length[:20])

    def test_loneSurrogates(self) -> None:
        """We write no lone surrogates; of parser 1.x we read them, and two that make a pair are one character."""
        for parser in Parser:
            for binary in (False, True):
                self.assertRaises(EncodeError, encodePayload, [text("\ud83d")], binary, parser)
        self.assertEqual(list(decodePayload("4:4\xed\xa0\xbd", Parser.ONE)), [text("\ud83d")])
        self.assertEqual(list(decodePayload("7:4\xed\xa0\xbd\xed\xb8\x80", Parser.ONE)), [text("😀")])
        self.assertEqual(list(decodePayload(b"\0\4\xff4\xed\xa0\xbd")), [text("\ud83d")])

    def test_otherDialect(self) -> None:
        """Read as 1.x, text of 2.x is damage if it is no bytes or they are not UTF-8; the other way round it is not."""
        for body in ("2:4€", "2:4ÿ", "3:4Ã😀"):
            self.assertEqual(readAll(decodePayload(body, Parser.ONE)), ([], True))
        self.assertEqual(list(decodePayload("4:4â\x82¬")), [text("â\x82¬")])

    @checks.PROPERTY
    @given(st.text(st.characters()) | st.lists(TEXTS | st.sampled_from(["1:4", "0:", "2:", "4:4"])).map("".join))
    def test_anyBody(self, body: str) -> None:
        """Any text raises nothing but ProtocolError, in either dialect, nor does the question which it is."""
        for parser in Parser:
            readAll(decodePayload(body, parser))
        self.assertEqual(parserOf(body) is None, body.isascii())

    def test_linear(self) -> None:
        """The work for many packets grows as they do, and there is none for packets that nobody asks for."""
        for parser in Parser:
            one = textual([text("é")], parser)
            small, large = (
                checks.callsOf(partial(list, decodePayload(one * count, parser))) for count in (1000, 10000)
            )
            self.assertTrue(1000 < small and large < 11 * small, (parser, small, large))
            packets = decodePayload(one * checks.MEGABYTE, parser)
            self.assertEqual(next(packets), text("é"))
            self.assertTrue(checks.callsOf(packets.__next__) < 30)

    def test_hostile(self) -> None:
        """A megabyte of anything is no great work."""
        size = checks.MEGABYTE
        for body in ("9" * size, ":" * size, "0:" * size, "1:" * size, "999999:" + "😀" * size, "\xed" * size):
            for parser in Parser:
                with checks.boundedWork():
                    readAll(decodePayload(body, parser))
                    parserOf(body)


class BinaryFramingTests(SynchronousTestCase):
    """The binary framing beyond the vectors."""

    parts = [binary([packet]) for packet in MESSAGES]

    @checks.PROPERTY
    @given(st.lists(PACKETS))
    def test_comesBack(self, packets: list[Packet]) -> None:
        """Packets come back from a body, in order, and none twice."""
        self.assertEqual(list(decodePayload(binary(iter(packets)))), packets)

    def test_prefixes(self) -> None:
        """Cut after each byte, a body gives its whole packets, and damage unless the cut is between packets."""
        ends = [len(b"".join(self.parts[:number])) for number in range(len(self.parts) + 1)]
        body = b"".join(self.parts)
        for cut in range(len(body)):
            whole = sum(end <= cut for end in ends) - 1
            self.assertEqual(readAll(decodePayload(body[:cut])), (list(MESSAGES[:whole]), cut not in ends), body[:cut])

    def test_damaged(self) -> None:
        """With any one byte replaced, added or taken away, the packets before the damage are kept."""
        ends = [len(b"".join(self.parts[: number + 1])) for number in range(len(self.parts))]
        body = b"".join(self.parts)
        for at in range(len(body) + 1):
            whole = sum(end <= at for end in ends)
            for middle in (b"", b"\0", b"\1", b"\4", b"\x0a", b"\xff", b"4", b"\xe2"):
                for damaged in (body[:at] + middle + body[at:], body[:at] + middle + body[at + 1 :]):
                    found = readAll(decodePayload(damaged))[0]
                    self.assertEqual(found[:whole], list(MESSAGES[:whole]), damaged)

    def test_headers(self) -> None:
        """Any marker but 0 is for bytes; a length is one to nine digits and 0xFF."""
        for marker in (b"\1", b"\2", b"\xff"):
            self.assertEqual(list(decodePayload(marker + b"\2\xff\4a")), [Packet(Kind.MESSAGE, b"a")])
        self.assertEqual(list(decodePayload(b"\0" + b"\0" * 8 + b"\2\xff4a")), [text("a")])
        for header in (b"\0" + b"\0" * 9 + b"\2\xff", b"\0\xff", b"\0\0\xff", b"\1\0\xff", b"\0\2\xfe", b"\0002\xff"):
            self.assertEqual(readAll(decodePayload(header + b"4a")), ([], True), header)

    def test_base64AsText(self) -> None:
        """Base64 in a packet of text is bytes here, too."""
        self.assertEqual(list(decodePayload(b"\0\4\xffb4AA")), [Packet(Kind.MESSAGE, b"\0")])

    @checks.PROPERTY
    @given(
        st.binary()
        | st.lists(st.sampled_from([b"\0", b"\1", b"\2", b"\xff", b"4", b"\4", b"a", b"\xe2"])).map(b"".join)
    )
    def test_anyBody(self, body: bytes) -> None:
        """Any bytes raise nothing but ProtocolError, nor does the question whose they are."""
        readAll(decodePayload(body))
        self.assertIn(parserOf(body), (None, Parser.ONE))

    def test_hostile(self) -> None:
        """A megabyte of anything is no great work."""
        size = checks.MEGABYTE
        for body in (b"\0" * size, b"\t" * size, b"\xff" * size, b"\0\1\xff4" * (size // 4), b"\0\1\1" * size):
            with checks.boundedWork():
                readAll(decodePayload(body))
                parserOf(body)


class IsPayloadTests(SynchronousTestCase):
    """Whether a text is a whole body, whoever wrote it."""

    def test_whole(self) -> None:
        """The lengths of all packets are right."""
        for body in ("0:", "1:2", "2:4a3:4é€", "1:21:3", "4:4😀a"):
            self.assertTrue(isPayload(body), body)

    def test_damaged(self) -> None:
        """One of them is not, or is none."""
        for body in ("", "2:4", "1:4a", "x", "1:", "2:4a3:4é"):
            self.assertFalse(isPayload(body), body)


class ParserOfTests(SynchronousTestCase):
    """What a body tells of its writer."""

    def test_text(self) -> None:
        """Characters beyond a byte are of 2.x, bytes that are UTF-8 of 1.x, other bytes of 2.x; ASCII tells nothing."""
        for body, parser in (
            ("2:4a", None),
            ("", None),
            ("2:4€", Parser.TWO),
            ("2:4é", Parser.TWO),
            ("3:4Ã©", Parser.ONE),
            ("4:4â\x82¬", Parser.ONE),
            ("4:4\xed\xa0\xbd", Parser.ONE),
            ("3:4Ã©2:4é", Parser.TWO),
            ("3:4Ã©2:4€", Parser.TWO),
        ):
            self.assertIs(parserOf(body), parser, body)

    def test_binary(self) -> None:
        """A body of text alone is of 1.x; bytes in it, no packets, or damage tell nothing."""
        for packets, parser in ((MESSAGES, None), (MESSAGES[:1], Parser.ONE), (MESSAGES[2:], Parser.ONE), ((), None)):
            self.assertIs(parserOf(encodePayload(packets, True)), parser)
        self.assertIsNone(parserOf(b"\0\2\xff4"))

    @checks.PROPERTY
    @given(st.lists(TEXTS.map(text)))
    def test_neverWrongOf1(self, packets: list[Packet]) -> None:
        """What parser 1.x wrote is never taken for another's; what 2.x wrote comes back if it is taken for its own."""
        self.assertIn(parserOf(encodePayload(packets, False, Parser.ONE)), (None, Parser.ONE))
        self.assertIn(parserOf(encodePayload(packets, True)), (None, Parser.ONE))
        body = encodePayload(packets, False)
        if parserOf(body) is not Parser.ONE:
            self.assertEqual(list(decodePayload(body)), packets)
