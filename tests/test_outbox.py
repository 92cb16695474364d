"""
``outbox``: a queue that refuses at the door, by number and by bytes, and keeps what it let in until that is confirmed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.errors import QueueFull, SocketIOError
from siotwisted.outbox import Entry, Outbox
from siotwisted.outgoing import Outgoing, outgoingOf
from siotwisted.packets import Kind, Packet, messagePacket


def message(size: int = 1) -> Outgoing:
    """Something to queue, of so many bytes."""
    return Outgoing(messagePacket("x" * size))


def own(size: int = 0) -> Outgoing:
    """A packet of the library's own, of so many bytes."""
    return Outgoing(Packet(Kind.HEARTBEAT, "x" * size))


class Unsearched(tuple[int, ...]):
    """Numbers that nobody may search one by one: that takes as long as there are many, and for each again."""

    def __contains__(self, key: object) -> bool:
        raise AssertionError("it was searched")


def figures(outbox: Outbox) -> tuple[int, int, int, int]:
    """Accepted, confirmed, pending and released messages."""
    return outbox.accepted, outbox.confirmed, outbox.pending, outbox.released


class QueueTests(SynchronousTestCase):
    """Both limits, and the order."""

    def test_order(self) -> None:
        """What was accepted is taken, in order and once, and has its place."""
        outbox = Outbox(10, 100)
        messages = [message(7) for _ in range(3)]
        for place, each in enumerate(messages, 1):
            outbox.accept(each)
            self.assertEqual(outbox.last, place)
        self.assertEqual(outbox.waiting, 3)
        self.assertEqual(outbox.take(), messages)
        self.assertEqual((outbox.waiting, outbox.handed, outbox.take()), (0, 3, []))
        self.assertEqual(figures(outbox), (3, 0, 3, 0))

    def test_messageLimit(self) -> None:
        """As many messages fit as the limit says; one more is refused, and changes nothing."""
        outbox = Outbox(2, 100)
        kept = [message(), message()]
        for each in kept:
            outbox.accept(each)
        error = self.assertRaises(QueueFull, outbox.accept, message(0))
        self.assertIsInstance(error, SocketIOError)
        self.assertEqual((outbox.waiting, figures(outbox)), (2, (2, 0, 2, 0)))
        self.assertEqual(outbox.take(), kept)

    def test_ownRoom(self) -> None:
        """When messages have filled it, the library's own packets still find some room, by number and by bytes."""
        outbox = Outbox(2, 100)
        for _ in range(2):
            outbox.accept(message(50))
        for _ in range(64):
            outbox.acceptOwn(own(1024))
        self.assertRaises(QueueFull, outbox.acceptOwn, own(0))
        self.assertRaises(QueueFull, outbox.accept, message(0))
        self.assertEqual((outbox.waiting, figures(outbox)), (66, (2, 0, 2, 0)))
        outbox = Outbox(2, 100)
        self.assertRaises(QueueFull, outbox.acceptOwn, own(100 + 64 * 1024 + 1))
        outbox.acceptOwn(own(100 + 64 * 1024))

    def test_byteLimit(self) -> None:
        """As many bytes fit as the limit says; a message beyond is refused, and a smaller one still fits."""
        outbox = Outbox(10, 10)
        first, last, nothing = message(8), message(2), message(0)
        outbox.accept(first)
        self.assertRaises(QueueFull, outbox.accept, message(3))
        outbox.accept(last)
        self.assertRaises(QueueFull, outbox.accept, message(1))
        outbox.accept(nothing)
        self.assertEqual(outbox.take(), [first, last, nothing])

    def test_largerThanLimit(self) -> None:
        """A message that is larger than the limit never fits, not even alone."""
        outbox = Outbox(10, 10)
        self.assertRaises(QueueFull, outbox.accept, message(11))
        self.assertEqual(figures(outbox), (0, 0, 0, 0))

    def test_roomAgain(self) -> None:
        """When all was taken there is room for as much again, confirmed or not."""
        outbox = Outbox(1, 5)
        for _ in range(3):
            outbox.accept(message(5))
            self.assertRaises(QueueFull, outbox.accept, message(5))
            self.assertEqual(len(outbox.take()), 1)

    def test_refusalSaysHowMuch(self) -> None:
        """A refusal tells how much waits."""
        outbox = Outbox(1, 5)
        outbox.accept(message(4))
        self.assertIn("1 messages of 4 bytes", str(self.assertRaises(QueueFull, outbox.accept, message(1))))

    def test_namespaces(self) -> None:
        """It tells the namespaces of what is not confirmed."""
        outbox = Outbox(5, 5)
        for name in ("/", "/a"):
            outbox.accept(Outgoing(messagePacket("", name)))
        outbox.take()
        outbox.confirm(1)
        self.assertEqual(outbox.namespaces(), {"/a"})

    def test_namespacesOfOwn(self) -> None:
        """Not those of the library's own packets: a client that joins and leaves in a row has nothing to lose there."""
        outbox = Outbox(5, 10)
        for name in ("/a", "/b"):
            outbox.acceptOwn(Outgoing(Packet(Kind.CONNECT, None, name)))
            self.assertEqual(outbox.namespaces(), set())
        outbox.accept(Outgoing(messagePacket("", "/b")))
        self.assertEqual(outbox.namespaces(), {"/b"})


class SliceTests(SynchronousTestCase):
    """What a stream is handed."""

    def test_slices(self) -> None:
        """Whole messages, until they have as many bytes."""
        outbox = Outbox(10, 100)
        sent = [message(10) for _ in range(5)]
        for each in sent:
            outbox.accept(each)
        self.assertEqual(outbox.slice(15), sent[:2])
        self.assertEqual(outbox.waiting, 3)
        self.assertEqual(outbox.slice(1), sent[2:3])
        self.assertEqual(outbox.slice(20), sent[3:])
        self.assertEqual(outbox.slice(20), [])

    def test_widestWindow(self) -> None:
        """That is never more than 1 MiB: each transport that is lost has that sent again."""
        outbox = Outbox(100, 100 * 1024 * 1024)
        for _ in range(25):
            outbox.accept(message(100 * 1024))
        for confirmed, count in ((0, 10), (4, 4), (14, 10), (24, 1)):
            outbox.confirm(confirmed)
            self.assertEqual((len(outbox.slice(10**9)), len(outbox.slice(10**9))), (count, 0), confirmed)

    def test_window(self) -> None:
        """No more bytes are handed over than may be unconfirmed; when some are confirmed, others follow."""
        outbox = Outbox(9, 3)
        sent = [message() for _ in range(6)]
        for each in sent[:3]:
            outbox.accept(each)
        self.assertEqual(outbox.slice(100), sent[:3])
        self.assertFalse(outbox.open)
        for each in sent[3:]:
            outbox.accept(each)
        self.assertEqual(outbox.slice(100), [])
        outbox.confirm(2)
        self.assertTrue(outbox.open)
        self.assertEqual(outbox.slice(100), sent[3:5])

    def test_windowOfOne(self) -> None:
        """A message goes out if nothing is unconfirmed, however large it is."""
        outbox = Outbox(100, 10)
        outbox.accept(message(8))
        self.assertEqual(len(outbox.slice(100)), 1)
        outbox.accept(message(5))
        self.assertEqual(outbox.slice(100), [])
        outbox.confirm(1)
        outbox.inherit(Entry(message(50), True))
        self.assertEqual(len(outbox.slice(100)), 1)
        outbox.confirm(2)
        self.assertEqual(len(outbox.slice(100)), 1)
        self.assertFalse(outbox.open)

    def test_windowOfMany(self) -> None:
        """No more packets are handed over than 16,384 that are unconfirmed, however small they are."""
        outbox = Outbox(100, 100)
        for _ in range(16_384 // 64):
            for _ in range(64):
                outbox.accept(message(0))
            self.assertEqual(len(outbox.slice(100)), 64)
        self.assertEqual((outbox.open, outbox.cut), (False, False))
        outbox.accept(message(0))
        outbox.acceptOwn(own())
        self.assertEqual((outbox.slice(100), outbox.takeAlone(), outbox.cut), ([], None, True))
        outbox.confirm(1)
        self.assertTrue(outbox.open)
        self.assertEqual((len(outbox.slice(100)), len(outbox.slice(100)), outbox.waiting), (1, 0, 1))
        outbox.handBack()
        self.assertEqual((len(outbox.slice(10**9)), outbox.waiting), (16_384, 1))

    def test_kept(self) -> None:
        """What is handed over comes back as it was: the data of an event, too, however deep, and whatever is in it."""
        deep: Any = "deep"
        for _ in range(100):
            deep = [deep]
        outbox = Outbox(10, 10_000)
        sent: list[list[Any]] = [["a", 1, "é", None, True], ["b", (1, 2)], ["c", deep], ["d", {1: 2}], ["e", 2**70]]
        for data in sent:
            outbox.accept(Outgoing(Packet(Kind.EVENT, data)))
        for again in (False, True):
            given = outbox.take()
            self.assertEqual([outgoingOf(outgoing).packet.data for outgoing in given], sent, again)
            outbox.handBack()
        outbox.slice(1000)
        self.assertEqual([entry.outgoing.packet.data for entry in outbox.release()], sent)

    def test_pressing(self) -> None:
        """The client is to be asked when 256 messages, 256 KiB or a quarter of what may be are unconfirmed."""
        for maxBytes, size, least in ((10**9, 1, 256), (10**9, 128 * 1024, 2), (399, 10, 10)):
            outbox = Outbox(1000, maxBytes)
            for _ in range(least):
                outbox.accept(message(size))
                self.assertFalse(outbox.pressing, "nothing is handed over")
            outbox.slice(size * (least - 1))
            self.assertFalse(outbox.pressing, (outbox.handed, least))
            outbox.take()
            self.assertTrue(outbox.pressing, least)
            outbox.confirm(1)
            self.assertFalse(outbox.pressing, least)


class ConfirmTests(SynchronousTestCase):
    """What the client has."""

    def test_confirm(self) -> None:
        """What is confirmed is let go of; what is not can be handed over again, from the first."""
        outbox = Outbox(10, 100)
        sent = [message(10) for _ in range(4)]
        for each in sent:
            outbox.accept(each)
        outbox.slice(15)
        outbox.confirm(2)
        self.assertEqual(figures(outbox), (4, 2, 2, 0))
        outbox.handBack()
        self.assertEqual(outbox.take(), sent[2:])

    def test_lateFence(self) -> None:
        """What was handed over once can be confirmed even when it waits to be handed over again."""
        outbox = Outbox(10, 100)
        sent = [message(10) for _ in range(3)]
        for each in sent:
            outbox.accept(each)
        outbox.slice(15)
        outbox.handBack()
        outbox.confirm(2)
        self.assertEqual(outbox.take(), sent[2:])

    def test_neverHandedAgain(self) -> None:
        """Nor what was never sent, when others were, came back, and are confirmed by now."""
        outbox = Outbox(10, 100)
        for _ in range(3):
            outbox.accept(message())
        outbox.take()
        outbox.handBack()
        outbox.confirm(2)
        for _ in range(3):
            outbox.accept(message())
        outbox.confirm(6)
        self.assertEqual((outbox.handed, outbox.waiting, figures(outbox)), (3, 3, (6, 3, 3, 0)))

    def test_marked(self) -> None:
        """Bytes are free as soon as they are confirmed, and no others: up to where it was asked, or anywhere else."""
        for asked, answered in ((2, 2), (2, 1), (2, 3), (4, 2), (4, 3), (1, 4)):
            outbox = Outbox(10, 100)
            for size in (50, 20, 20, 9):
                outbox.accept(message(size))
                outbox.take()
                if outbox.handed == asked:
                    self.assertEqual(outbox.mark(), asked)
            outbox.confirm(answered)
            left = sum((50, 20, 20, 9)[answered:])
            outbox.accept(message(100 - left))
            outbox.accept(message(0))
            self.assertEqual(len(outbox.slice(1000)), 2, (asked, answered))
            self.assertFalse(outbox.open)

    def test_markedBefore(self) -> None:
        """A place that was asked about before the transport failed has other bytes then: of what is volatile, none."""
        outbox = Outbox(10, 100)
        outbox.accept(message(10))
        outbox.acceptVolatile(message(80))
        outbox.take()
        place = outbox.mark()
        outbox.accept(message(10))
        outbox.handBack()
        outbox.confirm(place)
        outbox.accept(message(90))
        self.assertRaises(QueueFull, outbox.accept, message(1))
        self.assertEqual(len(outbox.slice(1000)), 2)

    def test_neverHanded(self) -> None:
        """A client can't confirm what it was not sent."""
        outbox = Outbox(10, 100)
        for _ in range(3):
            outbox.accept(message(10))
        outbox.slice(10)
        outbox.confirm(99)
        self.assertEqual(figures(outbox), (3, 1, 2, 0))

    def test_own(self) -> None:
        """The library's own packets go with the others and count in no figure."""
        outbox = Outbox(10, 100)
        outbox.acceptOwn(own(1))
        outbox.accept(message(1))
        outbox.acceptOwn(own(1))
        self.assertEqual((len(outbox.take()), figures(outbox)), (3, (1, 0, 1, 0)))
        outbox.confirm(1)
        self.assertEqual(figures(outbox), (1, 0, 1, 0))
        outbox.confirm(3)
        self.assertEqual(figures(outbox), (1, 1, 0, 0))

    def test_watch(self) -> None:
        """Who waits for a message is told when it is confirmed, in order, whatever the order of asking."""
        outbox = Outbox(10, 100)
        told: list[int] = []
        for _ in range(3):
            outbox.accept(message(1))
        for place in (3, 2, 1):
            waiting: Deferred[None] = Deferred()
            waiting.addCallback(partial(lambda place, _: told.append(place), place))
            outbox.watch(place, waiting)
        self.assertFalse(outbox.pressing, "nobody can ask about what the client has not been sent")
        outbox.take()
        self.assertTrue(outbox.pressing)
        outbox.confirm(2)
        self.assertEqual(told, [1, 2])
        outbox.confirm(3)
        self.assertEqual((told, outbox.pressing), ([1, 2, 3], False))

    def test_floors(self) -> None:
        """If somebody wants to know, it keeps the last stamp of each namespace that was confirmed."""
        outbox = Outbox(10, 100)
        outbox.floors = {}
        for stamp, name in ((4, "/"), (5, "/a"), (6, "/"), (0, "/"), (7, "/a")):
            outgoing = Outgoing(messagePacket("", name))
            outgoing.stamp = stamp
            outbox.accept(outgoing)
        outbox.take()
        outbox.confirm(4)
        self.assertEqual(outbox.floors, {"/": 6, "/a": 5})

    def test_placeOf(self) -> None:
        """The place of a message that the client says it has got; none for one let go of, or not handed over."""
        outbox = Outbox(10, 100)
        outbox.acceptOwn(own(1))
        for _ in range(2):
            outbox.accept(message(1))
        outbox.acceptOwn(own(1))
        outbox.accept(message(1))
        outbox.accept(message(1))
        self.assertEqual([outbox.placeOf(number) for number in (0, 1)], [0, None])
        outbox.slice(5)
        outbox.handBack()
        self.assertEqual([outbox.placeOf(number) for number in range(5)], [0, 2, 3, 5, None])
        outbox.confirm(2)
        self.assertEqual([outbox.placeOf(number) for number in range(3)], [None, 2, 3])

    def test_placeOfAmongMany(self) -> None:
        """However many packets are the library's own, they are not searched for each; nor for a number too high."""
        outbox = Outbox(100, 100)
        for _ in range(10):
            outbox.acceptOwn(own(1))
            outbox.accept(message(1))
        outbox.take()
        outbox._own = Unsearched(outbox._own)
        self.assertEqual([outbox.placeOf(number) for number in (10**14, 21, 11, 10, 1)], [None, None, None, 20, 2])


class EndTests(SynchronousTestCase):
    """What is given up."""

    def test_release(self) -> None:
        """All that is not confirmed, in order, with whether it was handed over once, and who waits for it."""
        outbox = Outbox(10, 100)
        waiting: Deferred[None] = Deferred()
        sent = [message() for _ in range(4)]
        outbox.accept(sent[0])
        outbox.acceptOwn(own(1))
        for each in sent[1:]:
            outbox.accept(each)
        outbox.watch(4, waiting)
        outbox.slice(3)
        outbox.confirm(1)
        outbox.handBack()
        self.assertEqual(
            outbox.release(), [Entry(sent[1], True), Entry(sent[2], False, waiting), Entry(sent[3], False)]
        )
        self.assertEqual(figures(outbox), (4, 1, 0, 3))
        self.assertEqual((outbox.release(), outbox.take(), outbox.pressing), ([], [], False))

    def test_inherit(self) -> None:
        """Another queue takes them over, whatever its limits, and tells who waits for them."""
        outbox = Outbox(1, 1)
        waiting: Deferred[None] = Deferred()
        for entry in (Entry(message(10), True), Entry(message(10), False, waiting)):
            outbox.inherit(entry)
        self.assertEqual((len(outbox.take()), figures(outbox)), (2, (2, 0, 2, 0)))
        outbox.confirm(2)
        self.successResultOf(waiting)


class Books(RuleBasedStateMachine):
    """
    An outbox in any order of events, beside a model of it: a list of what was accepted, and three numbers.

    What the model says of the client is the truth: it has what it confirmed, and can't confirm what it was not handed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(4, 20)
        self.accepted: list[Outgoing] = []
        self.own: set[int] = set()
        self.sizes: list[int] = []
        self.confirmed = self.handed = self.reached = 0
        self.sent: set[int] = set()
        self.volatile: set[int] = set()
        self.void: set[int] = set()
        self.watched: dict[int, Deferred[None]] = {}
        self.marked = 0

    def room(self, size: int, own: bool) -> bool:
        """Whether a message of this size fits, or a packet of the library's own, for which there is more room."""
        number, most = (4 + 64, 20 + 64 * 1024) if own else (4, 20)
        return len(self.accepted) - self.handed < number and sum(self.sizes[self.handed :]) + size <= most

    @rule(size=st.integers(0, 12), kind=st.sampled_from(["message", "own", "volatile"]), watched=st.booleans())
    def send(self, size: int, kind: str, watched: bool) -> None:
        """A message or a packet of the library's own is accepted, if there is room, or refused."""
        outgoing = own(size) if kind == "own" else message(size)
        accept = {"own": self.outbox.acceptOwn, "volatile": self.outbox.acceptVolatile}.get(kind, self.outbox.accept)
        if not self.room(size, kind == "own"):
            try:
                accept(outgoing)
            except QueueFull:
                return
            raise AssertionError("there was no room")
        accept(outgoing)
        place = self.outbox.last
        self.accepted.append(outgoing)
        self.sizes.append(size)
        assert place == len(self.accepted)
        if kind == "own":
            self.own.add(place)
        elif kind == "volatile":
            self.volatile.add(place)
        elif watched:
            self.watched[place] = Deferred()
            self.outbox.watch(place, self.watched[place])

    @rule(most=st.none() | st.integers(1, 30))
    def flush(self, most: int | None) -> None:
        """A poll takes all; a stream whole messages, in order, at least one, and never more than may be unconfirmed."""
        batch = self.outbox.take() if most is None else self.outbox.slice(most)
        for place, outgoing in enumerate(batch, self.handed + 1):
            assert place in self.void or outgoing is self.accepted[place - 1]
            assert place not in self.void or outgoingOf(outgoing).packet.kind is Kind.NOOP
        if most is not None and batch:
            end = self.handed + len(batch)
            assert sum(self.sizes[self.confirmed : end]) <= 20 or end - self.confirmed == 1
            assert sum(self.sizes[self.handed : end - 1]) < most
        if most is not None and not batch:
            ahead = len(self.accepted) - self.handed
            assert not ahead or sum(self.sizes[self.confirmed : self.handed + 1]) > 20
        self.handed += len(batch)
        self.reached = max(self.reached, self.handed)

    @rule()
    def flushAlone(self) -> None:
        """One packet that waits is handed over at once, unless the client should be asked then what it has."""
        taken = self.outbox.takeAlone()
        waits = [place for place in self.watched if place > self.confirmed]
        if len(self.accepted) - self.handed != 1 or sum(self.sizes[self.confirmed :]) >= 6 or waits:
            assert taken is None
            return
        assert taken is not None
        if len(self.accepted) in self.void:
            assert outgoingOf(taken).packet.kind is Kind.NOOP
        else:
            assert taken is self.accepted[-1]
        self.handed += 1
        self.reached = max(self.reached, self.handed)

    @rule()
    def fail(self) -> None:
        """The transport fails: what is volatile is forgotten."""
        self.outbox.handBack()
        self.forget()

    def forget(self) -> None:
        """What is volatile and not confirmed is void."""
        self.handed = self.confirmed
        void = {place for place in self.volatile if place > self.confirmed}
        for place in void:
            self.sizes[place - 1] = 0
        self.void |= void
        self.volatile -= void

    @rule(data=st.data())
    def fence(self, data: st.DataObject) -> None:
        """The client confirms something: of now, of long ago, or more than it was handed."""
        place = data.draw(st.integers(0, len(self.accepted) + 2))
        self.outbox.confirm(place)
        self.confirmed = max(self.confirmed, min(place, self.reached))
        self.handed = max(self.handed, self.confirmed)

    @rule()
    def ask(self) -> None:
        """The client is asked what it has."""
        self.marked = self.outbox.mark()
        assert self.marked == self.handed

    @rule()
    def answer(self) -> None:
        """It answers, now or much later."""
        self.outbox.confirm(self.marked)
        self.confirmed = max(self.confirmed, self.marked)
        self.handed = max(self.handed, self.confirmed)

    @rule(got=st.integers(0, 60))
    def resume(self, got: int) -> None:
        """The client comes back and says how many messages it has: the place is exact, or it is refused."""
        place = self.outbox.placeOf(got)
        theirs = [each for each in range(1, self.reached + 1) if each not in self.own | self.void]
        base = sum(each <= self.confirmed for each in theirs)
        if base <= got <= len(theirs):
            assert place is not None
            assert sum(each <= place for each in theirs) == got
            self.outbox.confirm(place)
            self.outbox.handBack()
            self.confirmed = place
            self.forget()
        else:
            assert place is None

    @precondition(lambda self: self.accepted)
    @rule()
    def adopt(self) -> None:
        """The client is back in another session: what was not confirmed goes over, in order."""
        entries = self.outbox.release()
        nothing = self.own | self.void | self.volatile
        expected = [place for place in range(self.confirmed + 1, len(self.accepted) + 1) if place not in nothing]
        sent = {place for place in expected if place <= self.reached or place in self.sent}
        assert [entry.outgoing for entry in entries] == [self.accepted[place - 1] for place in expected]
        assert [entry.sent for entry in entries] == [place in sent for place in expected]
        assert [entry.waiting for entry in entries] == [self.watched.get(place) for place in expected]
        self.balanced()
        sizes = [self.sizes[place - 1] for place in expected]
        self.outbox = Outbox(4, 20)
        for entry in entries:
            self.outbox.inherit(entry)
        self.sent = {number for number, place in enumerate(expected, 1) if place in sent}
        self.accepted, self.sizes = [entry.outgoing for entry in entries], sizes
        self.own, self.volatile, self.void = set(), set(), set()
        self.watched = {number: each.waiting for number, each in enumerate(entries, 1) if each.waiting is not None}
        self.confirmed = self.handed = self.reached = self.marked = 0

    @invariant()
    def balanced(self) -> None:
        """accepted = confirmed + pending + released, and the cursors are in order."""
        outbox = self.outbox
        assert outbox.accepted == outbox.confirmed + outbox.pending + outbox.released

    @invariant()
    def exact(self) -> None:
        """The figures are those of the model; freed implies confirmed."""
        outbox = self.outbox
        messages = [place for place in range(1, len(self.accepted) + 1) if place not in self.own | self.void]
        assert outbox.accepted == len(messages)
        assert outbox.confirmed == sum(place <= self.confirmed for place in messages)
        assert (outbox.handed, outbox.last) == (self.handed, len(self.accepted))
        assert outbox.waiting == len(self.accepted) - self.handed
        assert outbox.open == (sum(self.sizes[self.confirmed : self.handed]) < 20)
        assert outbox._bytesWaiting == sum(self.sizes[self.handed :])
        assert outbox._bytesHanded == sum(self.sizes[self.confirmed : self.handed])
        assert [place for place, each in self.watched.items() if each.called] == [
            place for place in self.watched if place <= self.confirmed
        ]


class AloneTests(SynchronousTestCase):
    """What waits alone."""

    def test_many(self) -> None:
        """When much is handed over and not confirmed, it is time to ask, and so nothing is taken alone any more."""
        outbox = Outbox(1000, 10_000_000)
        taken = 0
        for _ in range(300):
            outbox.accept(b"x")
            if outbox.takeAlone() is None:
                break
            taken += 1
        self.assertEqual((taken, outbox.waiting, outbox.pressing), (255, 1, False))
        outbox.slice(65536)
        self.assertTrue(outbox.pressing)


class BooksTests(SynchronousTestCase):
    """The books balance, and no message is let go of that was not confirmed."""

    def test_anyOrder(self) -> None:
        """Whatever happens, in whatever order."""
        run_state_machine_as_test(
            Books, settings=settings(max_examples=200, stateful_step_count=40, deadline=None, database=None)
        )
