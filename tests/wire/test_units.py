"""
``units``: text in UTF-16 code units, against Python's own UTF-16; what forms do to text is tested with the codecs.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.errors import ProtocolError
from siotwisted.wire.units import fromUnits, toUnits, unitCount
from tests.wire import checks

TEXTS = st.text(st.characters()) | st.text(checks.AWKWARD)


class UnitTests(SynchronousTestCase):
    """Counting, taking apart and joining."""

    def test_count(self) -> None:
        """A character beyond U+FFFF counts 2, any other 1, whatever it looks like."""
        for text, count in (
            ("", 0),
            ("abc", 3),
            ("é♥\uffff", 3),
            ("😀", 2),
            ("\U00010000\U0010ffff", 4),
            ("a😀b", 4),
            ("e\u0301", 2),
            ("👨\u200d👩\u200d👧", 8),
            ("\ud800", 1),
            ("\ud83d\ude00", 2),
        ):
            self.assertEqual(unitCount(text), count, repr(text))

    @checks.PROPERTY
    @given(TEXTS)
    def test_countsAsUTF16(self, text: str) -> None:
        """The count is half the bytes of UTF-16."""
        self.assertEqual(unitCount(text), len(text.encode("utf-16-le", "surrogatepass")) // 2)

    @checks.PROPERTY
    @given(TEXTS)
    def test_unitsAsUTF16(self, text: str) -> None:
        """The units are those of UTF-16, a character for each."""
        self.assertEqual(toUnits(text), checks.unitsOf(text))
        self.assertEqual(len(toUnits(text)), unitCount(text))

    @checks.PROPERTY
    @given(st.text() | st.text(st.sampled_from("a♥\uffff😀\U00010000\U0010ffff")))
    def test_comesBack(self, text: str) -> None:
        """Joined again, the units of a text are the text."""
        self.assertEqual(fromUnits(toUnits(text)), text)

    @checks.PROPERTY
    @given(TEXTS, TEXTS)
    def test_joinsOrRefuses(self, first: str, second: str) -> None:
        """A run of units is what UTF-16 makes of it, or a ProtocolError if a half of a pair is alone in it."""
        run = toUnits(first + second)[: len(first) + 1]
        try:
            expected = run.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            self.assertRaises(ProtocolError, fromUnits, run)
        else:
            self.assertEqual(fromUnits(run), expected)

    def test_halves(self) -> None:
        """A run that begins or ends inside a pair is refused, and so is one in the wrong order."""
        for run in ("\ud83d", "\ude00", "a\ud83d", "\ude00a", "\ude00\ud83d", "\ud83da\ude00", "\ud83d\ud83d\ude00"):
            self.assertRaises(ProtocolError, fromUnits, run)
        self.assertEqual(fromUnits("\ud83d\ude00"), "😀")

    def test_megabytes(self) -> None:
        """A megabyte of any character goes through in good time."""
        for character in "a♥😀":
            text = character * (checks.MEGABYTE // len(character.encode("utf-8")))
            with checks.boundedWork():
                self.assertEqual(fromUnits(toUnits(text)), text)
