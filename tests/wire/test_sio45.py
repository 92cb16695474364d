"""
Socket.IO of revisions 3 to 5: every row of the vectors in both revisions, what the strict reader refuses beyond the
JavaScript parsers, the limits, there and back, and the work that hostile packets make.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.errors import EncodeError, ProtocolError
from siotwisted.packets import Kind, Packet
from siotwisted.wire.sio45 import RESERVED, Decoder, encode
from tests.wire.checks import (
    AWKWARD,
    INTRUDERS,
    MEGABYTE,
    PROPERTY,
    Row,
    asJavaScript,
    boundedWork,
    callsOf,
    eachRow,
    vectors,
)
from tests.wire.test_attachments import BINARY_VALUES

FILE = vectors("vectors-sio.json")
REVISIONS = (3, 4, 5)
KINDS = (Kind.CONNECT, Kind.DISCONNECT, Kind.EVENT, Kind.ACK, Kind.ERROR, Kind.EVENT, Kind.ACK)

#: Rows that JavaScript reads, and this reader refuses in all revisions.
STRICTER = {
    "empty",
    "space",
    "event-id-space",
    "event-id-huge",
    "connect-array",
    "connect-null",
    "bin-exp",
    "bin-hex",
    "bin-num-float",
    "deep-200",
}
#: Rows of packets that say nothing.
DROPPED = {"event-no-payload", "event-id-only", "event-nsp-only", "ack-no-id"}
#: Rows that are read otherwise: the harness lost the key in one, and an answer always has a list in the other.
OTHERWISE = {
    "proto": [Packet(Kind.EVENT, ["a", {"__proto__": {"x": 1}}])],
    "ack-no-payload": [Packet(Kind.ACK, [], "/", 12)],
}


def value(marked: Any) -> Any:
    """A value of the vectors, whose marks stand for what JSON can't hold."""
    if isinstance(marked, list):
        return [value(item) for item in marked]
    if not isinstance(marked, dict):
        return marked
    if "$hex" in marked:
        return bytes.fromhex(marked["$hex"])
    if "$undefined" in marked:
        return None
    if "$date" in marked:
        return marked["$date"]  # whoever has dates writes them as he likes
    if "$number" in marked:
        return {"NaN": math.nan, "Infinity": math.inf}[marked["$number"]]
    return {key: value(item) for key, item in marked.items()}


def frames(row: Sequence[Row]) -> list[str | bytes]:
    """The messages of a row."""
    return [item["text"] if item["kind"] == "text" else bytes.fromhex(item["hex"]) for item in row]


def packet(row: Row) -> Packet:
    """A packet of the vectors."""
    return Packet(KINDS[row["type"]], value(row.get("data")), row["nsp"], row.get("id"))


def read(messages: Sequence[str | bytes], revision: int, attachments: int = 10) -> tuple[list[Packet], bool, bool]:
    """The good packets of some messages, whether damage came after them, and whether attachments are due."""
    decoder, packets = Decoder(revision, attachments=attachments), []
    try:
        for message in messages:
            packets.append(decoder.receive(message))
    except ProtocolError:
        return [packet for packet in packets if packet], True, False
    return [packet for packet in packets if packet], False, decoder.due > 0


def spread(text: str) -> tuple[str, Any]:
    """The text of a packet as its head and the value of its JSON, in which numbers may be written in many ways."""
    match = re.fullmatch(r"([0-9]+-?(?:/[^,]*,)?[0-9]*)(.*)", text, re.DOTALL)
    assert match is not None
    return match[1], json.loads(match[2] or "null")


@eachRow("encode", FILE["encode"])
@eachRow("decode", FILE["decode"])
class VectorTests(SynchronousTestCase):
    """What the JavaScript parsers write and read."""

    def checkEncode(self, row: Row) -> None:
        """The same messages, which are read again; JSON is ASCII before revision 5."""
        if row["name"] == "event-nsp-comma":
            for revision in REVISIONS:
                self.assertRaises(EncodeError, encode, packet(row["packet"]), revision)
            return
        for revision in REVISIONS:
            line = "v5" if revision == 5 else "v4"
            expected = frames(row[f"{line}_frames"])
            text, *attachments = encode(packet(row["packet"]), revision)
            assert isinstance(text, str) and isinstance(expected[0], str)
            self.assertEqual(attachments, expected[1:])
            self.assertEqual(spread(text), spread(expected[0]))
            if revision == 5 and row["name"] != "event-numbers":
                self.assertEqual(text, expected[0])
            elif revision < 5:
                self.assertTrue(text[len(spread(text)[0]) :].isascii())
            back = [packet(item) for item in row[f"{line}_decoded_back"]["decoded"]]
            self.assertEqual(read([text, *attachments], revision), (back, False, False))
        if "v4_frames_parser2" in row:
            self.assertEqual(read(frames(row["v4_frames_parser2"]), 4), ([], True, False))

    def checkDecode(self, row: Row) -> None:
        """The same packets and the same damage, except where this reader is known to be stricter."""
        for revision in REVISIONS:
            told = row["v5_parser4" if revision == 5 else "v4_parser3"]
            damaged = "throws" in told or any("parser error" in str(item.get("data")) for item in told["decoded"])
            packets = [packet(item) for item in told["decoded"] if "nsp" in item]
            expected = packets, damaged, told["pending"] and not damaged
            if row["name"] in STRICTER:
                self.assertEqual(damaged and revision < 5, False)
                expected = [], True, False
            elif row["name"] in DROPPED:
                expected = [], False, False
            elif row["name"] in OTHERWISE:
                expected = OTHERWISE[row["name"]], False, False
            self.assertEqual(read(frames(row["frames"]), revision), expected, revision)


class EncodeTests(SynchronousTestCase):
    """Packets that can't be written, and how the others are."""

    def test_unwritable(self) -> None:
        """What the protocol has no words for is an EncodeError, in all revisions."""
        for bad in (
            Packet(Kind.MESSAGE, "x"),
            Packet(Kind.NOOP),
            Packet(Kind.EVENT, ["a"], ""),
            Packet(Kind.EVENT, ["a"], "admin"),
            Packet(Kind.EVENT, ["a"], "/a,b"),
            Packet(Kind.EVENT, ["a"], "/a\x1eb"),
            Packet(Kind.EVENT, ["a"], "/\ud83d"),
            Packet(Kind.EVENT, ["a"], "/", -1),
            Packet(Kind.EVENT, ["a"], "/", 2**53),
            Packet(Kind.EVENT),
            Packet(Kind.EVENT, []),
            Packet(Kind.EVENT, "a"),
            Packet(Kind.EVENT, {"a": 1}),
            Packet(Kind.EVENT, [True]),
            Packet(Kind.EVENT, [math.nan]),
            Packet(Kind.EVENT, [math.inf]),
            Packet(Kind.EVENT, [b"a"]),
            Packet(Kind.EVENT, ["a", object()]),
            Packet(Kind.EVENT, ["a", {b"a": 1}]),
            Packet(Kind.ACK, [1]),
            Packet(Kind.ACK, None, "/", 1),
            Packet(Kind.ACK, "a", "/", 1),
            Packet(Kind.CONNECT, ["a"]),
            Packet(Kind.CONNECT, {"a": b"a"}),
            Packet(Kind.DISCONNECT, {}),
            Packet(Kind.ERROR, b"a"),
        ):
            for revision in REVISIONS:
                self.assertRaises(EncodeError, encode, bad, revision)

    def test_errors(self) -> None:
        """Revision 5 has errors of text and objects alone; before, any value is one."""
        for data in (["x"], 5, True):
            self.assertRaises(EncodeError, encode, Packet(Kind.ERROR, data), 5)
            self.assertEqual(encode(Packet(Kind.ERROR, data), 4), ["4" + json.dumps(data)])

    def test_reserved(self) -> None:
        """Revision 5 does not write events of reserved names, which its readers refuse."""
        for name in RESERVED:
            self.assertRaises(EncodeError, encode, Packet(Kind.EVENT, [name]), 5)
            self.assertEqual(encode(Packet(Kind.EVENT, [name]), 4), [f'2["{name}"]'])

    def test_wideText(self) -> None:
        """Before revision 5 JSON is ASCII, with two escapes for a character beyond U+FFFF; namespaces are not."""
        wide = Packet(Kind.EVENT, ["é€😀\x7f"], "/чат", 1)
        self.assertEqual(encode(wide, 5), ['2/чат,1["é€😀\x7f"]'])
        for revision in (3, 4):
            self.assertEqual(encode(wide, revision), ['2/чат,1["\\u00e9\\u20ac\\ud83d\\ude00\x7f"]'])

    def test_tuples(self) -> None:
        """A tuple is a list."""
        text, attachment = encode(Packet(Kind.ACK, ("a", (b"b",)), "/", 0), 5)
        self.assertEqual((text, attachment), ('61-0["a",[{"_placeholder":true,"num":0}]]', b"b"))


class DecoderTests(SynchronousTestCase):
    """The strict reader."""

    def assertDamaged(self, text: str, *more: str | bytes) -> None:
        """No revision reads this."""
        for revision in REVISIONS:
            self.assertEqual(read([text, *more], revision), ([], True, False), text)

    def assertReads(self, text: str, *expected: Packet) -> None:
        """All revisions read just this."""
        for revision in REVISIONS:
            self.assertEqual(read([text], revision), (list(expected), False, False), text)

    def test_damaged(self) -> None:
        """No packet: numbers in other writings, data in the wrong place, attachments without data."""
        for text in (
            '٢["a"]',
            '2٣["a"]',
            '2 ["a"]',
            '2\n["a"]',
            '0/a, {"a":1}',
            '21-["a"]',
            '501-["a"]',
            '5 1-["a"]',
            "51-",
            "51-/a",
            "51-/a,3",
            "61-3",
            "1{}",
            "0/\ud83d",
            "0/a\x1eb",
            '2"a',
            "2\ufeff[1]",
            "4,",
            '5999999-["a"]',
        ):
            self.assertDamaged(text)

    def test_namespaces(self) -> None:
        """A namespace ends at the first comma or the end; ``/`` may be written out."""
        self.assertReads("0/a b?c=[1],", Packet(Kind.CONNECT, None, "/a b?c=[1]"))
        self.assertReads("0/", Packet(Kind.CONNECT))
        self.assertReads('2/,3["a,b"]', Packet(Kind.EVENT, ["a,b"], "/", 3))
        self.assertReads('4/чат,"a,b"', Packet(Kind.ERROR, "a,b", "/чат"))

    def test_numbers(self) -> None:
        """Ids go to 2**53 - 1, in at most 16 digits; names of events may be numbers of any kind."""
        self.assertReads('29007199254740991["a"]', Packet(Kind.EVENT, ["a"], "/", 2**53 - 1))
        self.assertReads('20000000000000001["a"]', Packet(Kind.EVENT, ["a"], "/", 1))
        self.assertDamaged('29007199254740992["a"]')
        self.assertDamaged('200000000000000001["a"]')
        self.assertReads("2[1.5]", Packet(Kind.EVENT, [1.5]))

    def test_answerOfNothing(self) -> None:
        """An answer without an id says nothing; its attachments are taken all the same."""
        messages: list[str | bytes] = ['61-[{"_placeholder":true,"num":0}]', b"x", "3[]", "0"]
        for revision in REVISIONS:
            self.assertEqual(read(messages, revision), ([Packet(Kind.CONNECT)], False, False))

    def test_limits(self) -> None:
        """The limits are those that the decoder was made with."""
        decoder = Decoder(5, attachments=2, idDigits=3, namespaceLength=4)
        for good in ('2999["a"]', '2/abc,["a"]', '2/abc,999["a"]'):
            self.assertIsNotNone(decoder.receive(good))
        for bad in ('21000["a"]', '2/abcd,["a"]', "0/abcd", '53-["a"]'):
            self.assertRaises(ProtocolError, decoder.receive, bad)
        self.assertIsNone(decoder.receive('52-["a"]'))
        self.assertEqual(decoder.due, 2)

    def test_defaults(self) -> None:
        """By default a packet has a hundred attachments, and a namespace 4096 characters."""
        decoder = Decoder(4)
        self.assertIsNotNone(decoder.receive("0/" + "a" * 4095))
        self.assertRaises(ProtocolError, decoder.receive, "0/" + "a" * 4096)
        self.assertRaises(ProtocolError, decoder.receive, '5101-["a"]')
        self.assertIsNone(decoder.receive('5100-["a"]'))

    def test_packetAfterPacket(self) -> None:
        """Attachments belong to the packet before them alone."""
        decoder = Decoder(5)
        for number in range(3):
            self.assertIsNone(decoder.receive('52-["a",{"_placeholder":true,"num":1}]'))
            self.assertIsNone(decoder.receive(b"unused"))
            self.assertEqual(decoder.receive(bytes([number])), Packet(Kind.EVENT, ["a", bytes([number])]))
            self.assertEqual(decoder.receive('2["b"]'), Packet(Kind.EVENT, ["b"]))

    def test_badPlaceholderAtOnce(self) -> None:
        """A placeholder that names nothing is damage before its attachments come."""
        self.assertDamaged('52-["a",{"_placeholder":true,"num":2}]')

    # Cut and damaged.

    def samples(self) -> Iterator[list[str | bytes]]:
        """The messages of all rows that are written."""
        for row in FILE["encode"]:
            if row["name"] != "event-nsp-comma":
                yield frames(row["v5_frames"])

    def test_damagedCharacters(self) -> None:
        """Cut anywhere, or with any one character replaced, added or taken away, a text raises ProtocolError alone."""
        for first, *rest in self.samples():
            assert isinstance(first, str)
            for at in range(len(first) + 1):
                for intruder in ("", *INTRUDERS):
                    for end in (at, at + 1):
                        damaged: list[str | bytes] = [first[:at] + intruder + first[end:], *rest]
                        read(damaged, 5)
                read([first[:at]], 4)

    def test_cutIsNeverAnother(self) -> None:
        """A text with JSON, cut within it, is never a packet."""
        for first, *_ in self.samples():
            assert isinstance(first, str)
            begin = len(spread(first)[0])
            for at in range(begin + 1, len(first)):
                self.assertDamaged(first[:at])

    @PROPERTY
    @given(
        st.lists(
            st.text(st.characters())
            | st.text(AWKWARD)
            | st.from_regex(r"[0-6](1-)?(/a,)?[0-9]?[\[{\"a}\]]*")
            | st.binary()
        )
    )
    def test_anyMessages(self, messages: list[str | bytes]) -> None:
        """Any messages at all raise nothing but ProtocolError."""
        for revision in REVISIONS:
            read(messages, revision)

    # There and back.

    @PROPERTY
    @given(
        st.sampled_from([Kind.EVENT, Kind.ACK]),
        st.lists(BINARY_VALUES),
        st.from_regex(r"/[^,\x1e\ud800-\udfff]*", fullmatch=True),
        st.integers(0, 2**53 - 1),
    )
    def test_comesBack(self, kind: Kind, arguments: list[Any], namespace: str, number: int) -> None:
        """Whatever is written is read again, in all revisions, and its texts can be UTF-8."""
        sent = Packet(kind, ["name", *arguments], namespace, number)
        for revision in REVISIONS:
            messages = encode(sent, revision)
            assert isinstance(messages[0], str)
            messages[0].encode("utf-8")
            packets, damaged, due = read(messages, revision, attachments=1000)
            self.assertEqual((damaged, due), (False, False))
            self.assertEqual(packets, [sent._replace(data=asJavaScript(sent.data))])

    # How much work hostile packets make.

    def test_work(self) -> None:
        """The work for a text grows with its length alone."""
        for piece in ("1", "/", "5", "-", '["a"],', '{"_placeholder":true,"num":0},', "[],", "😀", "\\u0000"):
            for head, tail in (("2", ""), ("2/", ""), ("2[", "1]"), ("51-[0,", "1]"), ('2["', '"]')):
                one, two = (callsOf(partial(read, [head + piece * count + tail], 5)) for count in (500, 1000))
                self.assertLessEqual(two, 2.1 * one + 50)

    def test_megabytes(self) -> None:
        """A megabyte of anything is read or refused, in and out."""
        make: list[Callable[[], object]] = [
            partial(read, [head + piece * (MEGABYTE // len(piece)) + tail], 5)
            for head, piece, tail in (
                ("2", "1", ""),
                ("2/", "a", ""),
                ("2/", "\x1e", ""),
                ("2", " ", ""),
                ("2", "[", ""),
                ("2[", "[],", "1]"),
                ('51-["a",', '{"_placeholder":true,"num":0},', "1]"),
                ('51-["a",', '{"a":[]},', "1]"),
                ('2["', "\\u00e9", '"]'),
                ('2["', "😀", '"]'),
            )
        ]
        make += [partial(encode, Packet(Kind.EVENT, ["😀é" * (MEGABYTE // 6)]), revision) for revision in REVISIONS]
        for work in make:
            with boundedWork():
                work()
