"""
Ordinary packets take a straight way through codecs. Whatever it reads and writes, the other way reads and writes, too.
"""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.errors import ProtocolError
from siotwisted.events import told
from siotwisted.handshake import Handshake
from siotwisted.outgoing import Ordinary, outgoingOf
from siotwisted.wire import sio09
from siotwisted.wire.codec import BaseCodec
from siotwisted.wire.enginecodec import (
    EngineIO3Codec,
    EngineIO4Codec,
    SocketIO3Codec,
    SocketIO4Codec,
    SocketIO5Codec,
    SocketIO5JSONCodec,
    SocketIO5MessagePackCodec,
)
from siotwisted.wire.jsontext import dumps, flatJSON
from siotwisted.wire.sio06 import SIOCodec, frame
from siotwisted.wire.sio06streaming import SIOStreamingCodec
from siotwisted.wire.sio09 import SocketIO09Codec
from siotwisted.wire.sio45 import RESERVED
from siotwisted.wire.websocketframe import frame as frameOf
from tests.wire import checks

CODECS: tuple[type[BaseCodec], ...] = (
    SIOCodec,
    SIOStreamingCodec,
    SocketIO09Codec,
    SocketIO3Codec,
    SocketIO4Codec,
    SocketIO5Codec,
    SocketIO5JSONCodec,
    SocketIO5MessagePackCodec,
    EngineIO3Codec,
    EngineIO4Codec,
)
#: Those that tell ordinary packets apart.
QUICK = {SIOCodec, SocketIO09Codec, SocketIO3Codec, SocketIO4Codec, SocketIO5Codec, SocketIO5JSONCodec}

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
NAMES = st.sampled_from(("message", "a", "é", "a b", *RESERVED)) | st.text(max_size=8)


def made(kind: type[BaseCodec]) -> tuple[BaseCodec, checks.Recorder]:
    """A codec, and who gets its packets."""
    recorder = checks.Recorder()
    codec = kind(recorder)
    codec.begin(Handshake("GET", "/", {}, {}), 10, 100_000)
    return codec, recorder


@st.composite
def payloads(draw: st.DrawFn) -> str:
    """What looks like a payload of some codec: whole, or changed in one place."""
    event = dumps([draw(NAMES), *draw(st.lists(VALUES, max_size=3))])
    call = dumps(draw(st.dictionaries(st.sampled_from(("name", "args", "x")), NAMES | st.lists(VALUES) | VALUES)))
    good = dumps({"name": draw(NAMES), "args": draw(st.lists(VALUES, max_size=3))})
    text = draw(
        st.sampled_from(
            (
                f"42{event}",
                f"420{event}",
                f"42/a,{event}",
                f"{len(event) + 2}:42{event}",
                f"42{event}\x1e42{event}",
                f"5:::{call}",
                f"5:::{good}",
                f"5:1+::{good}",
                f"5::/a:{good}",
                f"\ufffd{len(good) + 4}\ufffd5:::{good}",
                f"\ufffd{len(good) + 4}\ufffd5:::{good}" * 2,
                f"\ufffd0{len(good) + 4}\ufffd5:::{good}",
                frame(event),
                frame(f"~j~{event}"),
                frame("~h~1"),
                frame("a") + frame("b"),
            )
        )
    )
    if draw(st.booleans()):
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.sampled_from(checks.INTRUDERS)) + text[place + draw(st.integers(0, 1)) :]
    return text


def read(kind: type[BaseCodec], payload: str | bytes, form: bool | None) -> tuple[list[Any], bool]:
    """What the long way reads, as the application is told; and whether it is damaged. In a WebSocket without a form."""
    codec, recorder = made(kind)
    try:
        if form is None:
            codec.messageReceived(payload)
        else:
            codec.dataReceived(payload, form)
    except ProtocolError:
        return [], True
    return [packet for call in recorder.calls for packet in call], False


class ReadTests(SynchronousTestCase):
    """What comes."""

    @checks.PROPERTY
    @given(payloads() | st.text() | st.binary(), st.sampled_from(CODECS), st.sampled_from((None, False, True)))
    @example('42["a",1]', SocketIO5Codec, None)
    @example('9:42["a",1]', SocketIO4Codec, False)
    @example('5:::{"name":"a","args":[1]}', SocketIO09Codec, None)
    @example('5:::{"name":"connect","args":[1]}', SocketIO09Codec, None)
    @example('5:::{"name":1}', SocketIO09Codec, None)
    @example('\ufffd27\ufffd5:::{"name":"a","args":[1]}', SocketIO09Codec, False)
    @example('\ufffd27\ufffd5:::{"name":"a","args":[1]}', SocketIO09Codec, None)
    @example("~m~1~m~a", SIOCodec, False)
    @example("~m~1~m~a", SIOCodec, True)
    @example("~m~3~m~a\r\n", SIOCodec, True)
    def test_same(self, payload: str | bytes, kind: type[BaseCodec], form: bool | None) -> None:
        """An ordinary event is what the long way reads, in the root namespace, without an answer, and alone."""
        codec, recorder = made(kind)
        try:
            event = codec.eventOf(payload) if form is None else codec.eventIn(payload, form)
        except ProtocolError:
            self.assertEqual(read(kind, payload, form), ([], True))
            return
        self.assertEqual(recorder.calls, [])
        if event is not None:
            packets, damaged = read(kind, payload, form)
            self.assertFalse(damaged)
            ((packet,), told_) = packets, event
            self.assertEqual((told(packet), packet.namespace, packet.id), (told_, "/", None))
            self.assertNotIn(event[0], RESERVED)

    @checks.PROPERTY
    @given(
        payloads().map(lambda text: text.encode("utf-8", "replace")) | st.binary(),
        st.sampled_from(CODECS),
        st.binary(max_size=3),
        st.integers(0, 40),
    )
    @example(b'42["a","\xc3\xa9"]', SocketIO5Codec, b"", 0)
    @example(b'42["a",' + b"[" * 63 + b"]" * 63 + b"]", SocketIO5Codec, b"", 0)
    @example(b'42["a",' + b"[" * 64 + b"]" * 64 + b"]", SocketIO5Codec, b"", 0)
    @example(b'42["a","' + b"[" * 70 + b'",[]]', SocketIO5Codec, b"", 0)
    @example(b'42["a","' + b"a" * 2000 + b'"]', SocketIO5Codec, b"", 0)
    @example(b'42["a","\\ud800"]', SocketIO5Codec, b"", 0)
    @example(b'42["a","\xed\xa0\x80"]', SocketIO5Codec, b"", 0)
    @example(b'42["a","\xc0\xaf"]', SocketIO5Codec, b"", 0)
    @example(b'42["a",NaN]', SocketIO5Codec, b"", 0)
    def test_undecoded(self, text: bytes, kind: type[BaseCodec], intruder: bytes, place: int) -> None:
        """An event in text that is not decoded yet is the one that is read of it when it is."""
        text = text[:place] + intruder + text[place:]
        codec, recorder = made(kind)
        event = codec.eventOfUTF8(text)
        self.assertEqual(recorder.calls, [])
        if event is not None:
            self.assertEqual(codec.eventOf(text.decode()), event)

    def test_quick(self) -> None:
        """Usual events take the straight way."""
        for other, said in ((SocketIO09Codec, b'5:::{"name":"a","args":[{"b":1}]}'), (SIOCodec, b"~m~1~m~a")):
            codec, _ = made(other)
            self.assertEqual(codec.eventOfUTF8(said), codec.eventOf(said.decode()))
            self.assertIsNotNone(codec.eventOfUTF8(said))
            self.assertIsNone(codec.eventOfUTF8(b"\xff"))
            self.assertIsNone(codec.eventOfUTF8(b'5:::{"name":"connect"}'))
        engines: tuple[type[BaseCodec], ...] = (SocketIO5Codec, SocketIO5JSONCodec, SocketIO4Codec, SocketIO3Codec)
        for engine in engines:
            codec, _ = made(engine)
            for value in (1, {"a": [1]}, "é"):
                usual = value != "é" or engine is not SocketIO3Codec
                self.assertEqual(
                    codec.eventOfUTF8(f"42{dumps(['a', value])}".encode()), ["a", value] if usual else None
                )
            self.assertIsNone(codec.eventOfUTF8(b'42["connect",1]'))
            self.assertIsNone(codec.eventOf('42["connect",1]'))
            codec.messageReceived('451-["a",{"_placeholder":true,"num":0}]')
            # Where bytes are due.
            self.assertIsNone(codec.eventOfUTF8(b'42["a",1]'))
            self.assertIsNone(codec.eventOf('42["a",1]'))
        for kind, message, payload in (
            (SocketIO5Codec, '42["a",1]', '42["a",1]'),
            (SocketIO5JSONCodec, '42["a",1]', '42["a",1]'),
            (SocketIO4Codec, '42["a",1]', '9:42["a",1]'),
            (SocketIO3Codec, '42["a",1]', '9:42["a",1]'),
            (SocketIO09Codec, '5:::{"name":"a","args":[1]}', '5:::{"name":"a","args":[1]}'),
        ):
            codec, _ = made(kind)
            self.assertEqual((codec.eventOf(message), codec.eventIn(payload)), (["a", 1],) * 2)
        codec, _ = made(SIOCodec)
        self.assertEqual((codec.eventOf("~m~1~m~a"), codec.eventIn("~m~1~m~a")), (["message", "a"],) * 2)
        self.assertEqual(codec.eventIn("~m~1~m~a", True), ["message", "a"])
        self.assertIsNone(codec.eventIn("~m~3~m~a\r\n", True))
        codec, _ = made(SocketIO09Codec)
        alone = '5:::{"name":"a","args":[1]}'
        self.assertEqual(codec.eventIn(f"\ufffd{len(alone)}\ufffd{alone}"), ["a", 1])
        for size, text in ((len(alone) - 1, alone), (28, alone.replace("1", '"é"')), (len(alone), f"{alone}\ufffd")):
            self.assertIsNone(codec.eventIn(f"\ufffd{size}\ufffd{text}"))
        self.assertIsNone(codec.eventIn(f"\ufffd{len(alone)}\ufffd{alone}", True))
        self.assertIsNone(codec.eventIn(alone.encode()))


class Framed(checks.Transport):
    """One that carries plain frames."""

    def __init__(self, *options: Any) -> None:
        super().__init__(*options)
        self.framed = True

    def dress(self, data: str | bytes, text: bool = False) -> bytes:
        """A frame."""
        return frameOf(data, text)


class WriteTests(SynchronousTestCase):
    """What leaves."""

    def written(self, kind: type[BaseCodec], said: Any, *transport: Any) -> list[list[bytes]]:
        """What a codec writes of one packet, and of two."""
        codec, _ = made(kind)
        carrier = checks.Transport("t", *transport)
        codec.makeConnection(carrier)
        codec.send([said])
        codec.send([said, said])
        return carrier.writes

    @checks.PROPERTY
    @given(
        st.lists(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20), max_size=3),
        NAMES,
        st.text() | st.sampled_from(("~j~1", "~h~1", "a\n--b", "a\rb", "\\/", "\u2028", "a~m~b")),
        st.sampled_from(CODECS[:8]),
        st.sampled_from(((True, True), (False, False), (True, False))),
    )
    def test_same(
        self, values: list[Any], name: str, text: str, kind: type[BaseCodec], transport: tuple[bool, bool]
    ) -> None:
        """An ordinary packet is written as the packet that it stands for is, on every transport."""
        flat = flatJSON([name, *values])
        ordinary: list[Ordinary] = [flat] if flat.isascii() and flat and name not in RESERVED else []
        ordinary += [text] if text.isascii() and text else []
        for said in ordinary:
            self.assertEqual(
                self.written(kind, said, *transport), self.written(kind, outgoingOf(said), *transport), said
            )

    def test_quick(self) -> None:
        """Usual events and messages take the straight way, but for those that were never measured."""
        for kind in CODECS:
            codec, _ = made(kind)
            said = bool(codec.ordinary("a"))
            self.assertEqual(said, kind in QUICK, kind)
            if said and kind is not SIOCodec:
                self.assertTrue(codec.ordinary(b'["a",1]'))
            self.assertEqual(codec.saysOrdinary, kind in QUICK)

    def test_framed(self) -> None:
        """In plain frames, an event of any length is the frame of its message."""
        for kind in (each for each in CODECS if each in QUICK):
            codec, _ = made(kind)
            carrier = Framed("t", True, True)
            codec.makeConnection(carrier)
            for size in (*range(110, 135), *range(2_030, 2_060), 70_000):
                event = b'["a","%b"]' % (b"x" * (size - 8))
                message = codec.ordinary(event)
                if message:
                    codec.send([event])
                    codec.send([event] * 2)
                    codec.sendAlone(event)
                    written = [b"".join(chunks) for chunks in carrier.writes[-3:]]
                    self.assertEqual(written, [frameOf(message, True) * times for times in (1, 2, 1)], (kind, size))
            self.assertTrue(carrier.writes or kind is SIOCodec)

    def test_manyNames(self) -> None:
        """However many names there are, few are remembered."""
        codec, _ = made(SocketIO09Codec)
        self.patch(sio09, "_MOST_HEADS", 2)
        for number in range(5):
            self.assertEqual(codec.ordinary(b'["n%d",1]' % number), b'5:::{"name":"n%d","args":[1]}' % number)
        self.assertLessEqual(len(sio09._heads), 2)

    def test_polls(self) -> None:
        """An event alone is the answer to a poll; several have their lengths."""
        for kind, alone, several in (
            (SocketIO5Codec, '42["a",1]', '42["a",1]\x1e42["a",1]'),
            (SocketIO4Codec, '9:42["a",1]', '9:42["a",1]9:42["a",1]'),
            (
                SocketIO09Codec,
                '5:::{"name":"a","args":[1]}',
                '\ufffd27\ufffd5:::{"name":"a","args":[1]}' * 2,
            ),
        ):
            one, two = [b"".join(chunks) for chunks in self.written(kind, b'["a",1]', False)]
            self.assertEqual(one.decode(), f"t[{alone}]")
            self.assertEqual(two.decode().replace("]t[", "").replace("t[\x1e", "\x1e"), f"t[{several}]")
