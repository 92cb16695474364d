"""
``jsontext``: what is written can be read by any browser, what no browser writes is refused, and neither costs more than
its length.
"""

from __future__ import annotations

import json
import sys
from enum import Enum, IntEnum
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.errors import EncodeError, ProtocolError
from siotwisted.wire.jsontext import MAX_DEPTH, dumps, loads, loadsCall
from tests.wire import checks


def nested(depth: int) -> Any:
    """A list in a list, so many of them."""
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


class DumpsTests(SynchronousTestCase):
    """Writing."""

    def test_compact(self) -> None:
        """No blanks, and no escapes but those that JSON needs."""
        self.assertEqual(dumps({"a": [1, -2.5, None, True, "é♥😀/"]}), '{"a":[1,-2.5,null,true,"é♥😀/"]}')
        self.assertEqual(dumps('"\\\n\0'), '"\\"\\\\\\n\\u0000"')

    def test_dictionaries(self) -> None:
        """Of text and whole numbers, as of anything else; names that are no text become text."""
        for value in ({}, {"a": 1, "b": None, "é": "\u2028/\x7f\x1f", "": True}, {"a": [1]}, {1: "a"}, {"\ud800": 1}):
            self.assertEqual(json.loads(dumps(value)), json.loads(json.dumps(value)))
            if "\ud800" not in value:
                self.assertEqual(dumps(value), json.dumps(value, ensure_ascii=False, separators=(",", ":")))

    def test_scalars(self) -> None:
        """A text, a number, a boolean and null are values, too."""
        self.assertEqual([dumps(value) for value in ("", 0, 1.5, True, None)], ['""', "0", "1.5", "true", "null"])

    def test_surrogates(self) -> None:
        """Text that UTF-8 can't carry is escaped, wherever it is; other text is not."""
        self.assertEqual(dumps("\ud800"), '"\\ud800"')
        self.assertEqual(dumps({"♥\udfff": ["\ud83d"]}), '{"\\u2665\\udfff":["\\ud83d"]}')
        self.assertEqual(dumps("\ud83d\ude00"), '"\\ud83d\\ude00"')
        self.assertEqual(dumps("😀"), '"😀"')

    def test_subclasses(self) -> None:
        """Members of enumerations of texts and numbers are written as the texts and numbers that they are."""

        class Word(str, Enum):  # noqa: UP042  (the text of a StrEnum's member is its value)
            """A text."""

            A = "a"

        class Number(IntEnum):
            """A number."""

            ONE = 1

        self.assertEqual(dumps([Word.A, Number.ONE, {Word.A: Number.ONE}]), '["a",1,{"a":1}]')

    def test_refused(self) -> None:
        """What JSON can't hold is an EncodeError, which is a ValueError, at any depth."""
        cycle: list[Any] = []
        cycle.append(cycle)
        ring: dict[str, Any] = {}
        ring["ring"] = ring
        for value in (
            *(b"x", bytearray(b"x"), memoryview(b"x"), {1}, frozenset(), object(), 1j, range(3), print, int),
            *(float("nan"), float("inf"), float("-inf"), {("a", "b"): 1}, {b"k": 1}, cycle, ring),
            10 ** (sys.int_info.default_max_str_digits + 1),
        ):
            for wrapped in (value, [value], {"a": ["\ud800", value]}):
                self.assertRaises(EncodeError, dumps, wrapped)
                self.assertRaises(ValueError, dumps, wrapped)

    def test_tooDeepToWrite(self) -> None:
        """A value that nests beyond the interpreter's own limit is an EncodeError."""
        self.assertRaises(EncodeError, dumps, nested(200_000))

    def test_deepIsWritten(self) -> None:
        """The application may nest deeper than a peer."""
        self.assertEqual(dumps(nested(MAX_DEPTH + 1)), "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))

    @checks.PROPERTY
    @given(checks.VALUES)
    def test_utf8(self, value: object) -> None:
        """Whatever is written is UTF-8, in one line, without NaN."""
        text = dumps(value)
        self.assertEqual(text.encode("utf-8").decode("utf-8"), text)
        self.assertNotIn("\n", text)


class LoadsTests(SynchronousTestCase):
    """Reading."""

    def assertRefused(self, *texts: str) -> None:
        """Each of these is a ProtocolError."""
        for text in texts:
            try:
                value = loads(text)
            except ProtocolError:
                continue
            self.fail(f"{text[:100]!r} was read as {value!r}"[:500])

    @checks.PROPERTY
    @given(checks.VALUES)
    def test_comesBack(self, value: object) -> None:
        """What was written is read as the same value, types and all."""
        self.assertEqual(repr(loads(dumps(value))), repr(checks.asJavaScript(value)))

    @checks.PROPERTY
    @given(st.text(st.characters()) | st.text(st.sampled_from('[]{}":,\\0123456789eE+-.aflnrstu \ud800\n')))
    def test_anyText(self, text: str) -> None:
        """Any text is a value, the one that the standard library reads, or a ProtocolError."""
        try:
            value = loads(text)
        except ProtocolError:
            return
        self.assertEqual(repr(value), repr(json.loads(text)))

    @checks.PROPERTY
    @given(st.recursive(st.just("0"), lambda inner: st.lists(inner).map(lambda items: f"[{','.join(items)}]")))
    def test_anyNesting(self, text: str) -> None:
        """Lists in lists are read, whatever their shape."""
        self.assertEqual(loads(text), json.loads(text))

    def test_blanks(self) -> None:
        """The four blanks of JSON may stand around values, and no other."""
        self.assertEqual(loads(" \t\r\n[ 1 , 2 ]\n"), [1, 2])
        self.assertRefused("\u00a01", "1\u2028", "\ufeff1", "\v1", "\0 1")

    def test_surrogates(self) -> None:
        """Escapes of lone surrogates are read, and can be written again; two halves are one character."""
        self.assertEqual(loads('"\\ud800"'), "\ud800")
        self.assertEqual(dumps(loads('"\\ud800"')), '"\\ud800"')
        self.assertEqual(loads('"\\ud83d\\ude00"'), "😀")

    def test_keys(self) -> None:
        """The last of equal keys counts, and no name means anything."""
        self.assertEqual(loads('{"a":1,"a":2}'), {"a": 2})
        names = ["__proto__", "constructor", "__class__", "toString", ""]
        self.assertEqual(loads(json.dumps(dict.fromkeys(names, 1))), dict.fromkeys(names, 1))
        self.assertEqual(list(loads('{"b":1,"a":2}')), ["b", "a"])

    def test_notJSON(self) -> None:
        """What is almost JSON is refused."""
        self.assertRefused("", " ", "x", "[1,]", "[,1]", '{"a":1,}', "{a:1}", "{'a':1}", '{"a"}', '{"a":}', "{1:1}")
        self.assertRefused("[1}", '{"a":1]', "[", "]", "[1", '"', '"\\"', '"a\n"', '"\t"', '"\0"', '"\\x41"', '"\\u12"')
        self.assertRefused("01", "+1", ".5", "5.", "1e", "-", "0x10", "1_0", "\u0661", "\uff11", "True", "None", "nul")
        self.assertRefused("1 2", "[1] []", "[1]x", "{}{}", "//1", "/**/1", "1;", "undefined")

    def test_notFinite(self) -> None:
        """NaN and infinities, which Python would take, are refused, and so is a number that overflows."""
        for text in ("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1" * 400 + ".0"):
            self.assertRefused(text, f"[{text}]", f'{{"a":{text}}}')
        self.assertEqual(loads("[1e308,1e-400,0.1]"), [1e308, 0.0, 0.1])

    def test_longIntegers(self) -> None:
        """An integer of thousands of digits is refused; none of a size that anybody uses is."""
        self.assertRefused("9" * 5000, "[-" + "9" * 5000 + "]")
        self.assertEqual(loads(f"[{2**64},-{2**64},{'9' * 31}]"), [2**64, -(2**64), int("9" * 31)])

    def test_depth(self) -> None:
        """Arrays and objects nest up to the limit and no deeper, whichever they are."""
        for opening, closing in (("[", "]"), ('{"a":', "}"), ('[{"a":', "}]"), ('{"[{":[0,', "]}")):
            levels = opening.replace('"[{"', "").count("[") + opening.replace('"[{"', "").count("{")
            fits = MAX_DEPTH // levels
            loads(opening * fits + "0" + closing * fits)
            self.assertRefused(opening * (fits + 1) + "0" + closing * (fits + 1))
            self.assertRefused(f"[{opening * fits}0{closing * fits}]")

    def test_depthIsNotBreadth(self) -> None:
        """Any number of arrays side by side is one level."""
        wide = ",".join(["[[],{}]"] * 1000)
        self.assertEqual(len(loads(f"[{wide}]")), 1000)
        row = "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
        self.assertEqual(len(loads(f"[{row},{row}]")), 2)

    def test_bracketsInStrings(self) -> None:
        """Brackets in strings don't nest, whatever stands before them."""
        for text in (
            "[" * 1000,
            '\\"' + "{" * 1000,
            "\\\\" + "[" * 1000,
            "♥" + '"[' * 1000 + "\n",
            '"' * 100 + "[" * 99,
        ):
            self.assertEqual(loads(json.dumps([text])), [text])
            self.assertEqual(loads(json.dumps({text: {}}, ensure_ascii=False)), {text: {}})

    def test_depthBehindStrings(self) -> None:
        """Strings don't hide the brackets behind them."""
        deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
        for string in ('""', '"\\""', '"\\\\"', '"]"', '"♥]]]]"', '"' + "]" * 1000 + '"'):
            self.assertRefused(f"[{string},{deep}]", f"{{{string}:{deep}}}", f"[{deep},{string}]")

    def test_hopelesslyDeep(self) -> None:
        """A hundred thousand brackets are refused, open or closed, with the interpreter's stack as it was."""
        for opening, closing in (("[", "]"), ('{"a":', "}"), ("[[", "]"), ("[{", "]")):
            self.assertRefused(opening * 100_000, opening * 100_000 + "0" + closing * 100_000)

    def test_megabytes(self) -> None:
        """A megabyte of whatever makes parsers slow is read or refused in good time."""
        million = checks.MEGABYTE
        for text in (
            *("[" * million, "]" * million, '{"a":' * (million // 5), "[]" * (million // 2), "[}" * (million // 2)),
            *('"' * million, '\\"' * (million // 2), "\\" * million, '"\\' * (million // 2), '["' * (million // 2)),
            "[" * 65 + '"' + '\\"' * (million // 2),
            '["' + '\\"' * (million // 2) + "[" * 65,
            "[" * 65 + '"' + "\\\\" * (million // 2),
            "[" * 65 + '"' * million,
            *("9" * million, "-" * million, "0." + "1" * million + "e", "[" + "1e400," * (million // 6), " " * million),
        ):
            with checks.boundedWork():
                self.assertRefused(text)
        row = "[" * 63 + "]" * 63
        for text in (
            "[" + ",".join([row] * (million // 127)) + "]",
            "[" + "[]," * (million // 3) + "0]",
            "[" + '"",' * (million // 3) + "[]," * 65 + "0]",
            "[" + "0.1," * (million // 4) + "0]",
            '"' + "\\n" * (million // 2) + '"',
            "0." + "1" * million,
        ):
            with checks.boundedWork():
                loads(text)


class LoadsCallTests(SynchronousTestCase):
    """Objects of a name and arguments, read in one step."""

    def test_calls(self) -> None:
        """A name and arguments, if there are any."""
        for text, call in (
            ('{"name":"a","args":[1,{"b":[]}]}', ["a", 1, {"b": []}]),
            ('{"args":["é"],"name":"é"}', ["é", "é"]),
            ('{"name":"a"}', ["a"]),
        ):
            self.assertEqual(loadsCall(text), call)

    def test_others(self) -> None:
        """Whatever is not so, or is long, or deep, or damaged, is left to others."""
        for text in (
            "[]",
            '{"name":1}',
            '{"args":[]}',
            '{"name":"a","args":null}',
            '{"name":"a","args":[1e999]}',
            '{"name":"\\ud800"}',
            '{"name":"a',
            '{"name":"a","x":1}',
            '{"name":"a","args":["' + "x" * 1024 + '"]}',
            '{"name":"a","args":' + "[" * 65 + "]" * 65 + "}",
        ):
            self.assertIsNone(loadsCall(text), text)
