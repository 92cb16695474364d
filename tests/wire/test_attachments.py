"""
Attachments: bytes become placeholders and come back, and placeholders that name nothing are damage.
"""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.errors import EncodeError, ProtocolError
from siotwisted.wire.attachments import places, putBack, takeOut
from tests.wire.checks import MEGABYTE, PROPERTY, TEXTS, boundedWork, callsOf


def placeholder(number: object) -> dict[str, object]:
    """What stands for an attachment."""
    return {"_placeholder": True, "num": number}


#: What JSON can hold, and bytes anywhere in it.
BINARY_VALUES = st.recursive(
    st.none() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS | st.binary(),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=12,
)


class TakeOutTests(SynchronousTestCase):
    """Bytes out of data."""

    def test_released(self) -> None:
        """Bytes that are gone are the caller's error."""
        view = memoryview(b"a")
        view.release()
        self.assertRaises(EncodeError, takeOut, [view])

    def test_depthFirst(self) -> None:
        """Bytes are numbered depth first, each occurrence by itself, empty ones too; the original stays as it is."""
        same = b"\1"
        data = ["a", {"b": [same, {"c": b""}]}, same]
        self.assertEqual(
            takeOut(data),
            (["a", {"b": [placeholder(0), {"c": placeholder(1)}]}, placeholder(2)], [b"\1", b"", b"\1"]),
        )
        self.assertEqual(data, ["a", {"b": [b"\1", {"c": b""}]}, b"\1"])

    def test_allKindsOfBytes(self) -> None:
        """All that holds bytes is an attachment, and a later change of it changes nothing."""
        array = bytearray(b"\2")
        _, attachments = takeOut((b"\1", array, memoryview(b"\3")))
        array[0] = 9
        self.assertEqual(attachments, [b"\1", b"\2", b"\3"])
        self.assertEqual({type(item) for item in attachments}, {bytes})

    def test_otherValues(self) -> None:
        """Other values stay, of whatever type; what is not finite is null, as in JavaScript."""
        Colour = StrEnum("Colour", ["RED"])
        data = ["x", Colour.RED, 1, 1.5, True, None, float("nan"), float("inf"), -float("inf")]
        self.assertEqual(takeOut(data), (["x", Colour.RED, 1, 1.5, True, None, None, None, None], []))

    def test_cycle(self) -> None:
        """Data that contains itself is an EncodeError."""
        data: list[Any] = []
        data.append(data)
        self.assertRaises(EncodeError, takeOut, data)


class PlacesTests(SynchronousTestCase):
    """Placeholders in data."""

    def test_anyOrder(self) -> None:
        """Placeholders may come in any order, twice, anywhere, and with more keys; attachments may stay unused."""
        data: list[Any] = ["a", placeholder(2), {"b": [placeholder(0) | {"more": placeholder(9)}], "c": placeholder(2)}]
        putBack(places(data, 3), [b"0", b"1", b"2"])
        self.assertEqual(data, ["a", b"2", {"b": [b"0"], "c": b"2"}])

    def test_bad(self) -> None:
        """A placeholder must name an attachment that there is, by an integer."""
        for number in (2, -1, "0", None, True, False, 0.0, 0.5, [0], 10**30):
            self.assertRaises(ProtocolError, places, ["a", {"b": [placeholder(number)]}], 2)
        self.assertRaises(ProtocolError, places, ["a", {"_placeholder": True}], 2)

    def test_notQuite(self) -> None:
        """What is marked with anything but ``true`` is plain data."""
        for mark in (1, "true", False, None, [True]):
            self.assertEqual(places(["a", {"_placeholder": mark, "num": 0}], 1), [])

    def test_bytesAreNotLookedInto(self) -> None:
        """What was put back is not taken for a placeholder."""
        data: list[Any] = [placeholder(0)]
        putBack(places(data, 1), [b'{"_placeholder":true,"num":0}'])
        self.assertEqual(data, [b'{"_placeholder":true,"num":0}'])

    @PROPERTY
    @given(st.lists(BINARY_VALUES))
    def test_comesBack(self, data: list[Any]) -> None:
        """What was taken out comes back."""
        copy, attachments = takeOut(data)
        putBack(places(copy, len(attachments)), attachments)
        self.assertEqual(copy, data)

    def test_work(self) -> None:
        """The work grows with the data alone, deep or flat."""
        pieces: list[list[Any]] = [[placeholder(0)], [{"a": [[]]}]]
        for piece in pieces:
            one, two = (callsOf(partial(places, piece * count, 1)) for count in (500, 1000))
            self.assertLessEqual(two, 2.1 * one + 50)

    def test_megabyte(self) -> None:
        """As many empty lists as a megabyte holds are searched."""
        with boundedWork():
            self.assertEqual(places([[] for _ in range(MEGABYTE // 3)], 1), [])
