"""
Socket.IO in MessagePack: every row of the vectors, what is written and what is not, extensions, there and back, and
hostile bytes.
"""

from __future__ import annotations

import math
import struct
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from functools import partial
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.errors import EncodeError, ProtocolError
from siotwisted.packets import Kind, Packet
from siotwisted.wire.sio45 import RESERVED
from siotwisted.wire.siomsgpack import decode, encode
from tests.wire.checks import MEGABYTE, PROPERTY, Row, boundedWork, callsOf, eachRow, vectors
from tests.wire.test_sio45 import frames, packet

FILE = vectors("vectors-msgpack.json")

#: Rows of packets that JavaScript writes otherwise: ``undefined``, dates, typed arrays, floats that are whole numbers,
#: and half a character, of which it makes another one.
WRITTEN_OTHERWISE = {
    "event-undefined-arg",
    "nil",
    "event-date",
    "bin-typedarray",
    "event-numbers",
    "floats",
    "event-lone-surrogate",
}
#: Numbers that do not survive JavaScript's writer: they are read as it wrote them.
DAMAGED_NUMBERS = {
    "event-numbers": ["n", 0x35C9ADC5DEA00000, 0.1, -5, 2**53, 1e-07],
    "floats": ["m", 0.5, 1.1, 0, 0],
    "event-lone-surrogate": ["a", "\U0001f400"],
}
#: What JavaScript reads and we refuse, and the other way round.
STRICTER = {"reserved-name", "empty-array", "event-nsp-comma"}
LAXER = {
    "connect-null": Packet(Kind.CONNECT),
    "id-null": Packet(Kind.EVENT, ["a"]),
}

#: What MessagePack can hold, as applications have it.
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(st.characters(codec="utf-8"))
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=12,
)

NAMESPACES = st.from_regex(r"/[^,\x1e\ud800-\udfff]{0,20}", fullmatch=True)

_pack = msgspec.msgpack.encode


def message(data: bytes, kind: int = 2) -> bytes:
    """The message of a packet whose data are these bytes."""
    return b"\x83\xa4type" + bytes((kind,)) + b"\xa3nsp\xa1/\xa4data" + data


def event(*arguments: bytes) -> bytes:
    """The message of an event with these arguments."""
    return message(bytes((0x91 + len(arguments),)) + b"\xa1a" + b"".join(arguments))


def read(frame: bytes) -> Any:
    """The packet of a message, or what its damage is."""
    try:
        return decode(frame)
    except ProtocolError as error:
        return str(error)


@eachRow("encode", FILE["encode"])
@eachRow("decode_bad", FILE["decode_bad"])
class VectorTests(SynchronousTestCase):
    """What the JavaScript parser writes and reads."""

    def checkEncode(self, row: Row) -> None:
        """The same message, which is read again."""
        name, sent, (frame,) = row["name"], packet(row["packet"]), frames(row["frames"])
        assert isinstance(frame, bytes)
        if name in STRICTER:
            self.assertRaises(EncodeError, encode, sent)
            self.assertRaises(ProtocolError, decode, frame)
            return
        if name not in WRITTEN_OTHERWISE:
            self.assertEqual(encode(sent), frame)
        (back,) = row["decoded_back"]["decoded"]
        expected = packet(back)
        if name in DAMAGED_NUMBERS:
            expected = expected._replace(data=DAMAGED_NUMBERS[name])
        self.assertEqual(repr(decode(frame)), repr(expected))

    def checkDecodeBad(self, row: Row) -> None:
        """The same damage, except where this reader is known to be stricter, or laxer."""
        frame = bytes.fromhex(row["hex"]) if "hex" in row else row["text"].encode()
        if row["name"] in LAXER:
            self.assertEqual(decode(frame), LAXER[row["name"]])
        elif "throws" in row["result"] or row["name"] in STRICTER:
            self.assertRaises(ProtocolError, decode, frame)
        else:
            self.assertEqual([decode(frame)], [packet(item) for item in row["result"]["decoded"]])


class EncodeTests(SynchronousTestCase):
    """Packets that can't be written, and how the others are."""

    def test_unwritable(self) -> None:
        """What revision 5 has no words for, in JSON either, is an EncodeError."""
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
            Packet(Kind.EVENT, [b"a"]),
            Packet(Kind.ACK, [1]),
            Packet(Kind.ACK, None, "/", 1),
            Packet(Kind.ACK, "a", "/", 1),
            Packet(Kind.CONNECT, ["a"]),
            Packet(Kind.DISCONNECT, {}),
            Packet(Kind.ERROR, b"a"),
            Packet(Kind.ERROR, ["a"]),
        ):
            self.assertRaises(EncodeError, encode, bad)
        for name in RESERVED:
            self.assertRaises(EncodeError, encode, Packet(Kind.EVENT, [name]))

    def test_unwritableValues(self) -> None:
        """So is a value that JSON can't hold, and one that MessagePack can't."""
        endless: list[object] = []
        endless.append(endless)
        deep: object = 1
        for _ in range(100_000):
            deep = [deep]
        released = memoryview(b"a")
        released.release()
        for bad in (
            object(),
            {1},
            1j,
            datetime(2026, 1, 1),
            Decimal(1),
            Enum("Plain", "a").a,  # type: ignore[attr-defined]
            msgspec.msgpack.Ext(4, b"a"),
            msgspec.UNSET,
            {(1,): 2},
            {b"a": 1},
            {math.nan: 1},
            2**64,
            -(2**63) - 1,
            "\ud83d",
            "\ud83d\ude00",
            {"\ud83d": 1},
            endless,
            deep,
            released,
        ):
            self.assertRaises(EncodeError, encode, Packet(Kind.EVENT, ["a", bad]))
            self.assertRaises(EncodeError, encode, Packet(Kind.EVENT, ["a", {"b": [bad]}]))

    def written(self, data: object) -> Any:
        """What an argument looks like on the wire, to a reader that knows nothing of Socket.IO."""
        return msgspec.msgpack.decode(encode(Packet(Kind.EVENT, ["a", data])))["data"][1]

    def test_asJSON(self) -> None:
        """Keys become text as in JSON, tuples become lists, and subclasses what they stand for."""
        members = IntEnum("Number", "one").one, StrEnum("Text", "one").one  # type: ignore[attr-defined]
        self.assertEqual(self.written({7: 1, None: 2, True: 3, 1.5: 4}), {"7": 1, "null": 2, "true": 3, "1.5": 4})
        self.assertEqual(self.written({members[1]: (1, (2,))}), {"one": [1, [2]]})
        text, number, real = type("S", (str,), {}), type("I", (int,), {}), type("F", (float,), {})
        self.assertEqual(self.written([*members, number(2), real(1.5)]), [1, "one", 2, 1.5])
        self.assertEqual(self.written({text("b"): text("c")}), {"b": "c"})
        self.assertEqual(self.written(type("L", (list,), {})([type("D", (dict,), {})(a=1)])), [{"a": 1}])

    def test_bytes(self) -> None:
        """Bytes of every kind are bytes, in all packets that have data."""
        for data in (b"abc", bytearray(b"abc"), memoryview(b"abc"), memoryview(b"a_b_c_")[::2]):
            self.assertEqual(self.written([data]), [b"abc"])
        refused = Packet(Kind.ERROR, {"message": "no", "data": b"abc"}, "/a")
        self.assertEqual(decode(encode(refused)), refused)

    def test_largestNumber(self) -> None:
        """Numbers of packets go to 2**53 - 1."""
        sent = Packet(Kind.ACK, [], "/", 2**53 - 1)
        self.assertEqual(decode(encode(sent)), sent)

    def test_notFinite(self) -> None:
        """NaN and the infinities are what they are."""
        self.assertEqual(repr(self.written([math.nan, math.inf, -math.inf, -0.0])), "[nan, inf, -inf, -0.0]")

    def test_originalStays(self) -> None:
        """Nothing in the packet changes."""
        data = ["a", {1: bytearray(b"b")}, ("c",)]
        encode(Packet(Kind.EVENT, data))
        self.assertEqual(data, ["a", {1: bytearray(b"b")}, ("c",)])


class DecodeTests(SynchronousTestCase):
    """The strict reader."""

    def assertDamaged(self, *frames: bytes) -> None:
        """None of these is a packet."""
        for frame in frames:
            self.assertIsInstance(read(frame), str, frame[:100])

    def test_fields(self) -> None:
        """The fields of a packet have their types and ranges; unknown ones are ignored."""
        good = {"type": 2, "nsp": "/a", "data": ["a"], "id": 2**53 - 1}
        self.assertEqual(decode(_pack(good)), Packet(Kind.EVENT, ["a"], "/a", 2**53 - 1))
        self.assertEqual(decode(_pack(good | {"options": {1: [2]}, "x": None})), decode(_pack(good)))
        wrongs: list[tuple[str, tuple[object, ...]]] = [
            ("type", (-1, 5, 2.0, "2", None, True, 2**63, [2])),
            ("nsp", ("", "a", "/a,b", "/\x1e", "/" + "a" * 4096, None, b"/a", 1)),
            ("id", (-1, 2**53, 2**64 - 1, 1.0, "1", True, [], {})),
            ("data", (None, [], "a", {}, 1, [None], [True], [[]], [b"a"], ["connect"])),
        ]
        for field, values in wrongs:
            self.assertDamaged(*(_pack(good | {field: wrong}) for wrong in values))
        self.assertEqual(read(_pack(good | {"nsp": "/" + "a" * 4095})).namespace, "/" + "a" * 4095)
        for name in RESERVED:
            self.assertDamaged(_pack(good | {"data": [name]}))
        for field in ("type", "nsp", "data"):
            self.assertDamaged(_pack({key: each for key, each in good.items() if key != field}))

    def test_kinds(self) -> None:
        """Each kind has data of its own sort, which may be missing from some."""
        for kind, data, expected in (
            (0, {"a": b"b"}, Packet(Kind.CONNECT, {"a": b"b"})),
            (0, None, Packet(Kind.CONNECT)),
            (0, [], None),
            (0, "a", None),
            (1, None, Packet(Kind.DISCONNECT)),
            (1, {}, None),
            (1, [], None),
            (2, [7, "a"], Packet(Kind.EVENT, [7, "a"])),
            (3, {}, None),
            (3, None, None),
            (4, "no", Packet(Kind.ERROR, "no")),
            (4, {"message": "no"}, Packet(Kind.ERROR, {"message": "no"})),
            (4, None, None),
            (4, ["no"], None),
        ):
            found = read(message(_pack(data), kind))
            self.assertEqual(None if isinstance(found, str) else found, expected, (kind, data))

    def test_undefined(self) -> None:
        """What a client without ``auth`` really sends: ``undefined`` as the data of its connect, and of its goodbye."""
        self.assertEqual(decode(message(b"\xd4\0\0", 0)), Packet(Kind.CONNECT))
        self.assertEqual(decode(message(b"\xd4\0\0", 1)), Packet(Kind.DISCONNECT))
        self.assertDamaged(message(b"\xd4\0\0", 2))

    def test_answers(self) -> None:
        """An answer has a number; one without says nothing."""
        answer = {"type": 3, "nsp": "/", "data": []}
        self.assertEqual(decode(_pack(answer | {"id": 0})), Packet(Kind.ACK, [], "/", 0))
        self.assertEqual(decode(_pack(answer)), None)

    def test_keys(self) -> None:
        """Keys are text, anywhere; of equal ones the last counts."""
        for key in (b"\1", b"\xc0", b"\xc3", b"\xc4\1a", b"\x90", b"\x91\1", b"\x80", b"\xcb" + bytes(8), b"\xd4\0\0"):
            self.assertDamaged(event(b"\x81" + key + b"\1"), event(b"\x91\x81" + key + b"\1"))
            self.assertDamaged(b"\x83\xa4type\1\xa3nsp\xa1/" + key + b"\1")
        self.assertDamaged(event(b"\x81\xd6\xff" + bytes(4) + b"\1"))
        self.assertEqual(decode(event(b"\x82\xa1b\1\xa1b\2")), Packet(Kind.EVENT, ["a", {"b": 2}]))
        self.assertEqual(decode(b"\x83\xa4type\0\xa4type\1\xa3nsp\xa1/"), Packet(Kind.DISCONNECT))
        special = {"__proto__": {"constructor": 1}, "": 2}
        self.assertEqual(decode(event(_pack(special))), Packet(Kind.EVENT, ["a", special]))

    def test_text(self) -> None:
        """Text is UTF-8: no lone surrogates, nothing cut."""
        self.assertEqual(decode(event(b"\xa4\xf0\x9f\x98\x80")), Packet(Kind.EVENT, ["a", "😀"]))
        self.assertDamaged(event(b"\xa1\xff"), event(b"\xa3\xed\xa0\xbd"), event(b"\xa2\xf0\x9f"))
        self.assertDamaged(event(b"\x81\xa1\xff\1"))

    def test_depth(self) -> None:
        """Data nests up to the limit of JSON, whatever it is made of, and no deeper."""
        for inner, outer in ((b"\x90", b"\x91"), (b"\x80", b"\x81\xa1b")):
            self.assertIsInstance(read(event(outer * 62 + inner)), Packet)
            self.assertEqual(read(event(outer * 63 + inner)), "data nested too deep")
            for depth in (500, 100_000):
                self.assertDamaged(event(outer * depth + inner))
        self.assertDamaged(b"\x84\xa4type\1\xa3nsp\xa1/\xa1x" + b"\x91" * 100_000)


class ExtensionTests(SynchronousTestCase):
    """What JavaScript has and JSON has not."""

    def argument(self, *data: bytes) -> Any:
        """What an event's arguments arrive as, if there is one, or a list of them."""
        found = read(event(*data))
        if isinstance(found, str):
            return ProtocolError
        return found.data[1:] if len(data) > 1 else found.data[1]

    def test_undefined(self) -> None:
        """``undefined`` is None wherever it stands."""
        self.assertEqual(self.argument(b"\xd4\0\0"), None)
        self.assertEqual(self.argument(b"\x91\x81\xa1b\xd4\0\0"), [{"b": None}])

    def test_dates(self) -> None:
        """A date is the text that ``JSON.stringify`` makes of it, of all years; what it makes null of is None."""
        for milliseconds, text in (
            (0, "1970-01-01T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
            (-62_167_219_200_001, "-000001-12-31T23:59:59.999Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "+010000-01-01T00:00:00.000Z"),
            (8_640_000_000_000_000, "+275760-09-13T00:00:00.000Z"),
            (-8_640_000_000_000_000, "-271821-04-20T00:00:00.000Z"),
            (8_640_000_000_000_001, None),
            (-(2**63), None),
        ):
            self.assertEqual(self.argument(b"\xd7\0" + struct.pack(">q", milliseconds)), text)

    def test_timestamps(self) -> None:
        """The times that MessagePack itself has are the same texts, to the millisecond, wherever they stand."""
        for data, text in (
            (b"\xd6\xff\0\0\0\1", "1970-01-01T00:00:01.000Z"),
            (b"\xd7\xff" + struct.pack(">Q", 999_000_000 << 34 | 1), "1970-01-01T00:00:01.999Z"),
            (b"\xc7\x0c\xff" + struct.pack(">Iq", 1_000_000, -1), "1969-12-31T23:59:59.001Z"),
        ):
            self.assertEqual(self.argument(data), text)
            self.assertEqual(self.argument(b"\x81\xa1b\x91" + data), {"b": [text]})
        self.assertEqual(self.argument(_pack(datetime(2026, 5, 6, 7, 8, 9, 10, UTC))), "2026-05-06T07:08:09.000Z")
        self.assertEqual(self.argument(b"\xd4\xff\0"), ProtocolError)
        self.assertEqual(self.argument(b"\xc7\x0c\xff" + struct.pack(">Iq", 0, 2**62)), ProtocolError)

    def test_arrays(self) -> None:
        """Typed arrays are bytes, of any length and in any form of header, and those too that are long as a date."""
        for length in (0, 1, 2, 8, 9, 255):
            for content in (bytes(length), b"\xff" * length):
                self.assertEqual(self.argument(b"\xc7" + bytes((length, 0)) + content), content)
        self.assertEqual(self.argument(b"\xc8\1\0\0" + b"a" * 256), b"a" * 256)
        self.assertEqual(self.argument(b"\xc9\0\1\0\0\0" + b"a" * 65536), b"a" * 65536)
        self.assertEqual(self.argument(b"\xd5\0ab"), b"ab")

    def test_arraysBesideOthers(self) -> None:
        """A date and an array of one length, in one packet, don't become each other, even one behind the other."""
        date, array = b"\xd7\0" + bytes(7) + b"\1", b"\xc7\x08\0" + bytes(7) + b"\2"
        self.assertEqual(self.argument(date, array), ["1970-01-01T00:00:00.001Z", bytes(7) + b"\2"])
        self.assertEqual(self.argument(b"\xd4\0\0", b"\xc7\1\0\1"), [None, b"\1"])
        self.assertEqual(self.argument(b"\xce\0\xc7\x08\0", array), [0xC70800, bytes(7) + b"\2"])
        self.assertEqual(self.argument(b"\xc7\x08\0" + b"\xc7\x08\0abcde", date)[0], b"\xc7\x08\0abcde")

    def test_arraysLikeOthers(self) -> None:
        """
        Bytes that look like the header of an array don't make one of ``undefined``. If there is such an array too, it
        becomes what it looks like; so does a date, beside an array of its bytes.
        """
        self.assertEqual(self.argument(b"\xd4\0\0", b"\xc4\4\xc7\1\0\0"), [None, b"\xc7\1\0\0"])
        self.assertEqual(self.argument(b"\xd4\0\0", b"\xc7\1\0\0"), [None, None])
        self.assertEqual(self.argument(b"\xc7\x08\0" + bytes(8), b"\xd7\0" + bytes(8)), [bytes(8), bytes(8)])

    def test_unknown(self) -> None:
        """Other extensions are refused: nobody here could tell what they are."""
        for code in (1, 4, 127, 0x80, 0xFE):
            self.assertEqual(self.argument(b"\xc7\2" + bytes((code,)) + b"ab"), ProtocolError)


class PropertyTests(SynchronousTestCase):
    """There and back, and bytes that nobody wrote."""

    @PROPERTY
    @given(st.sampled_from([Kind.EVENT, Kind.ACK]), st.lists(VALUES), NAMESPACES, st.integers(0, 2**53 - 1))
    def test_comesBack(self, kind: Kind, arguments: list[Any], namespace: str, number: int) -> None:
        """Whatever is written is read again, and no value changes its type."""
        sent = Packet(kind, ["name", *arguments], namespace, number)
        self.assertEqual(repr(decode(encode(sent))), repr(sent))

    @PROPERTY
    @given(st.dictionaries(st.text(st.characters(codec="utf-8")), VALUES), NAMESPACES)
    def test_controlsComeBack(self, data: dict[str, Any], namespace: str) -> None:
        """So are the other kinds of packets."""
        for kind in (Kind.CONNECT, Kind.ERROR):
            self.assertEqual(repr(decode(encode(Packet(kind, data, namespace)))), repr(Packet(kind, data, namespace)))
        self.assertEqual(
            decode(encode(Packet(Kind.DISCONNECT, None, namespace))), Packet(Kind.DISCONNECT, None, namespace)
        )

    @PROPERTY
    @given(st.text(st.characters()))
    @example("\udc00\ud800")
    def test_anyTextGoesOrNot(self, text: str) -> None:
        """Any text at all is written, or an EncodeError."""
        try:
            self.assertEqual(decode(encode(Packet(Kind.EVENT, ["a", {text: text}]))).data[1], {text: text})  # type: ignore
        except EncodeError:
            self.assertRaises(UnicodeEncodeError, text.encode, "utf-8")

    @PROPERTY
    @given(st.binary(), st.sampled_from([b"", message(b""), message(b"\x92\xa1a"), message(b"", 0), message(b"", 4)]))
    def test_anyBytes(self, data: bytes, head: bytes) -> None:
        """Any bytes, alone or in a packet, are a packet or a ProtocolError."""
        read(head + data)

    def test_damagedBytes(self) -> None:
        """
        Cut anywhere, a packet is damage. With one byte more, less or replaced by any other it is damage too, or a
        packet.
        """
        for row in FILE["encode"]:
            (frame,) = frames(row["frames"])
            assert isinstance(frame, bytes)
            if len(frame) > 200:
                continue
            for at in range(len(frame)):
                self.assertIsInstance(read(frame[:at]), str)
                read(frame[:at] + frame[at + 1 :])
                for byte in (0x00, 0x80, 0x90, 0xC0, 0xC1, 0xC4, 0xC7, 0xD4, 0xD7, 0xDD, 0xDF, 0xFF):
                    read(frame[:at] + bytes((byte,)) + frame[at:])
                    read(frame[:at] + bytes((byte,)) + frame[at + 1 :])
            self.assertIsInstance(read(frame + b"\xc0"), str)


class WorkTests(SynchronousTestCase):
    """How much work hostile packets make."""

    def test_headers(self) -> None:
        """A header that promises more than follows gets no memory for it."""
        tracemalloc.start()
        try:
            for header in (b"\xdd", b"\xdf", b"\xc6", b"\xdb", b"\xc9"):
                for promise in (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x01\0\0\0"):
                    for frame in (header + promise, event(header + promise), event((header + promise) * 900)):
                        self.assertIsInstance(read(frame), str)
            self.assertLess(tracemalloc.get_traced_memory()[1], 5 * MEGABYTE)
        finally:
            tracemalloc.stop()

    def test_work(self) -> None:
        """The work for a packet grows with its length alone."""
        for piece in (
            b"\xc0",
            b"\x90",
            b"\x80",
            b"\xd4\0\0",
            b"\xd7\0" + bytes(8),
            b"\xc7\x08\0" + bytes(8),
            b"\xd6\xff" + bytes(4),
            b"\x81\xa1b\x90",
        ):
            one, two = (
                callsOf(partial(read, event(b"\xdd" + struct.pack(">I", count) + piece * count)))
                for count in (500, 1000)
            )
            self.assertLessEqual(two, 2.1 * one + 50)

    def test_megabytes(self) -> None:
        """A megabyte of anything is read or refused, in and out."""

        def many(piece: bytes) -> bytes:
            count = MEGABYTE // len(piece)
            return event(b"\xdd" + struct.pack(">I", count) + piece * count)

        pieces = (b"\xc0", b"\x90", b"\x80", b"\xd4\0\0", b"\xd7\0" + bytes(8), b"\xc7\1\0\0", b"\xc7\x08\0" + bytes(8))
        make: list[Callable[[], object]] = [partial(read, many(piece)) for piece in pieces]
        make += [partial(read, event(piece * MEGABYTE)) for piece in (b"\x91", b"\xc7", b"\xc7\x08\0", b"\x81\xa1b")]
        make += [partial(read, event(b"\xc6" + struct.pack(">I", 3 * MEGABYTE) + b"\xc7\x08\0" * MEGABYTE))]
        make += [partial(encode, Packet(Kind.EVENT, ["a", [None] * MEGABYTE, "😀" * MEGABYTE]))]
        for work in make:
            with boundedWork():
                work()
