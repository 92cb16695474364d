"""
``outbox``: a queue that refuses at the door, by number and by bytes, and never loses what it let in.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.errors import QueueFull, SocketIOError
from siotwisted.outbox import Outbox
from siotwisted.outgoing import Outgoing
from siotwisted.packets import messagePacket
from tests.wire import checks


def message(text: str = "x") -> Outgoing:
    """Something to queue."""
    return Outgoing(messagePacket(text))


class OutboxTests(SynchronousTestCase):
    """Both limits, and the order."""

    def test_order(self) -> None:
        """What was accepted is taken, in order and once."""
        outbox = Outbox(10, 100)
        messages = [message(str(number)) for number in range(3)]
        for each in messages:
            outbox.accept(each, 7)
        self.assertEqual((len(outbox), outbox.bytes), (3, 21))
        self.assertEqual(outbox.take(), messages)
        self.assertEqual((len(outbox), outbox.bytes, outbox.take()), (0, 0, []))

    def test_messageLimit(self) -> None:
        """As many messages fit as the limit says; one more is refused, and changes nothing."""
        outbox = Outbox(2, 100)
        kept = [message(), message()]
        for each in kept:
            outbox.accept(each, 1)
        for _ in range(2):
            error = self.assertRaises(QueueFull, outbox.accept, message(), 0)
            self.assertIsInstance(error, SocketIOError)
        self.assertEqual((len(outbox), outbox.bytes), (2, 2))
        self.assertEqual(outbox.take(), kept)

    def test_byteLimit(self) -> None:
        """As many bytes fit as the limit says; a message beyond is refused, and a smaller one still fits."""
        outbox = Outbox(10, 10)
        first, last = message(), message()
        outbox.accept(first, 8)
        self.assertRaises(QueueFull, outbox.accept, message(), 3)
        outbox.accept(last, 2)
        self.assertRaises(QueueFull, outbox.accept, message(), 1)
        outbox.accept(last, 0)
        self.assertEqual(outbox.bytes, 10)
        self.assertEqual(outbox.take(), [first, last, last])

    def test_largerThanLimit(self) -> None:
        """A message that is larger than the limit never fits, not even alone."""
        outbox = Outbox(10, 10)
        self.assertRaises(QueueFull, outbox.accept, message(), 11)
        self.assertEqual((len(outbox), outbox.bytes), (0, 0))

    def test_roomAgain(self) -> None:
        """When all was taken there is room for as much again."""
        outbox = Outbox(1, 5)
        for _ in range(3):
            outbox.accept(message(), 5)
            self.assertRaises(QueueFull, outbox.accept, message(), 5)
            self.assertEqual(len(outbox.take()), 1)

    def test_slices(self) -> None:
        """It can be taken in slices: whole messages, until they have as many bytes."""
        outbox = Outbox(10, 100)
        sent = [message() for _ in range(5)]
        for each in sent:
            outbox.accept(each, 10)
        self.assertEqual(outbox.take(15), sent[:2])
        self.assertEqual((len(outbox), outbox.bytes), (3, 30))
        self.assertEqual(outbox.take(1), sent[2:3])
        self.assertEqual(outbox.take(20), sent[3:])
        self.assertEqual((len(outbox), outbox.bytes, outbox.take(20)), (0, 0, []))

    def test_refusalSaysHowMuch(self) -> None:
        """A refusal tells how much waits."""
        outbox = Outbox(1, 5)
        outbox.accept(message(), 4)
        self.assertIn("1 messages of 4 bytes", str(self.assertRaises(QueueFull, outbox.accept, message(), 1)))

    @checks.PROPERTY
    @given(st.integers(1, 5), st.integers(1, 20), st.lists(st.none() | st.integers(0, 12)))
    def test_neverLoses(self, maxMessages: int, maxBytes: int, steps: list[int | None]) -> None:
        """Whatever is accepted, refused and taken: no limit is passed, and all that was accepted comes out in order."""
        outbox = Outbox(maxMessages, maxBytes)
        accepted: list[Outgoing] = []
        taken: list[Outgoing] = []
        for size in steps:
            if size is None:
                taken += outbox.take()
                continue
            each = message()
            fits = len(outbox) < maxMessages and outbox.bytes + size <= maxBytes
            if fits:
                outbox.accept(each, size)
                accepted.append(each)
            else:
                self.assertRaises(QueueFull, outbox.accept, each, size)
            self.assertTrue(len(outbox) <= maxMessages and outbox.bytes <= maxBytes)
        self.assertEqual(taken + outbox.take(), accepted)
