"""
``outgoing``: a packet, its text, and each of its forms made once.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siotwisted.errors import EncodeError
from siotwisted.outgoing import Outgoing, sizeOf
from siotwisted.packets import Kind, Packet


class OutgoingTests(SynchronousTestCase):
    """Texts and forms."""

    def test_text(self) -> None:
        """The text of a JSON packet is its JSON, written when it is made; that of any other is its data."""
        value = {"a": [1]}
        outgoing = Outgoing(Packet(Kind.JSON, value))
        value["a"].append(2)
        self.assertEqual(outgoing.text, '{"a":[1]}')
        self.assertEqual(Outgoing(Packet(Kind.JSON, "x")).text, '"x"')
        for kind in (Kind.MESSAGE, Kind.HEARTBEAT, Kind.OPEN, Kind.CLOSE):
            self.assertEqual(Outgoing(Packet(kind, "x")).text, "x")

    def test_size(self) -> None:
        """Its size is that of its text as UTF-8, or of the bytes that it is, with attachments and namespace."""
        both = '["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
        for kind, data, size in (
            (Kind.EVENT, ["a", 1], len('["a",1]')),
            (Kind.EVENT, ["é"], len('["é"]') + 1),
            (Kind.EVENT, ["a", b"xyz", b"12"], len(both) + 5),
            (Kind.MESSAGE, "é", 2),
            (Kind.MESSAGE, "", 0),
            (Kind.MESSAGE, "\ud800", 3),
            (Kind.MESSAGE, b"\0" * 1000, 1000),
            (Kind.DISCONNECT, None, 0),
        ):
            outgoing = Outgoing(Packet(kind, data))
            self.assertEqual((outgoing.size, sizeOf(outgoing)), (size, size), data)
            self.assertEqual(Outgoing(Packet(kind, data, "/chat")).size, size + 5)
        self.assertEqual([sizeOf(said) for said in (b'["a"]', "abc")], [5, 3])
        self.assertEqual(Outgoing.ofEvent(b'["a"]').size, 5)
        self.assertGreater(Outgoing(Packet(Kind.ERROR, {"message": "x" * 100})).size, 100)

    def test_notJSON(self) -> None:
        """What JSON can't hold fails at once, in the caller."""
        self.assertRaises(EncodeError, Outgoing, Packet(Kind.JSON, {1}))

    def test_formOnce(self) -> None:
        """A form is built from the packet the first time it is asked for, and the same object is given ever after."""
        outgoing = Outgoing(Packet(Kind.MESSAGE, "x"))
        asked: list[Outgoing] = []

        def build(built: Outgoing) -> bytes:
            asked.append(built)
            return b"-".join([b"x", b"y"])

        first = outgoing.form("key", build)
        self.assertEqual(first, b"x-y")
        self.assertIs(outgoing.form("key", build), first)
        self.assertEqual(asked, [outgoing])

    def test_forms(self) -> None:
        """Each key has its own form, an empty one too; two packets don't share."""
        outgoing = Outgoing(Packet(Kind.MESSAGE, "x"))
        self.assertEqual(outgoing.form("empty", lambda _: b""), b"")
        self.assertEqual(outgoing.form("empty", lambda _: self.fail("built twice")), b"")
        self.assertEqual(outgoing.form((str, "empty"), lambda _: b"other"), b"other")
        self.assertEqual(Outgoing(Packet(Kind.MESSAGE, "x")).form("empty", lambda _: b"new"), b"new")

    def test_failedForm(self) -> None:
        """A form that could not be built is built again when it is asked for again."""
        outgoing = Outgoing(Packet(Kind.MESSAGE, "x"))

        def fail(built: Outgoing) -> bytes:
            raise EncodeError("no")

        self.assertRaises(EncodeError, outgoing.form, "key", fail)
        self.assertEqual(outgoing.form("key", lambda built: built.text.encode()), b"x")
