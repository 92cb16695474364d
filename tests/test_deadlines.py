"""Deadlines that are equally far away for all, and alarms that are not."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.deadlines import Alarms, Deadlines


class DeadlinesTests(SynchronousTestCase):
    """Whoever waits, and the one alarm."""

    def setUp(self) -> None:
        """Nobody waits."""
        self.clock = Clock()
        self.passed: list[tuple[str, float]] = []
        self.deadlines = Deadlines(self.clock, 10, self.over)

    def over(self, waiting: str) -> None:
        """Somebody's time is over."""
        self.passed.append((waiting, self.clock.seconds()))

    def test_each(self) -> None:
        """Each has the whole time, and there is one alarm for all."""
        for name in "abc":
            self.deadlines.add(name)
            self.clock.advance(3)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.pump([0.5] * 20)
        self.assertEqual(self.passed, [("a", 10), ("b", 13), ("c", 16)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_discard(self) -> None:
        """Who is discarded is not heard of; when nobody waits, no alarm is left."""
        for name in "abc":
            self.deadlines.add(name)
        self.deadlines.discard("a")
        self.deadlines.discard("a")
        self.clock.advance(9)
        self.deadlines.discard("c")
        self.clock.advance(1)
        self.assertEqual(self.passed, [("b", 10)])
        self.deadlines.add("d")
        self.deadlines.discard("d")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(100)
        self.assertEqual(self.passed, [("b", 10)])

    def test_again(self) -> None:
        """Who is added once more has what is left; who was discarded, or whose time was over, has all of it again."""
        self.deadlines.add("a")
        self.clock.advance(9)
        self.deadlines.add("a")
        self.clock.advance(1)
        self.assertEqual(self.passed, [("a", 10)])
        self.deadlines.add("a")
        self.clock.advance(9)
        self.deadlines.discard("a")
        self.deadlines.add("a")
        self.clock.advance(9)
        self.assertEqual(self.passed, [("a", 10)])
        self.clock.advance(1)
        self.assertEqual(self.passed, [("a", 10), ("a", 29)])

    def test_within(self) -> None:
        """What is done to one whose time is over may concern others, whose time is over, too, and itself."""

        def over(waiting: str) -> None:
            self.over(waiting)
            deadlines.discard("b")
            deadlines.discard(waiting)
            deadlines.add(f"{waiting}!")

        deadlines = Deadlines(self.clock, 10, over)
        for name in "abc":
            deadlines.add(name)
        self.clock.advance(10)
        self.assertEqual(self.passed, [("a", 10), ("c", 10)])
        self.clock.advance(10)
        self.assertEqual(self.passed[2:], [("a!", 20), ("c!", 20)])

    def test_fails(self) -> None:
        """What fails for one is in the log, and nothing to the others."""

        def over(waiting: str) -> None:
            self.over(waiting)
            if waiting == "a":
                raise ZeroDivisionError

        deadlines = Deadlines(self.clock, 10, over)
        for name in "ab":
            deadlines.add(name)
        self.clock.advance(10)
        self.assertEqual(self.passed, [("a", 10), ("b", 10)])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_clockSetBack(self) -> None:
        """If the clock is set back, nobody who comes after that waits for longer."""
        self.clock.advance(1000)
        self.deadlines.add("a")
        self.clock.rightNow -= 500
        self.deadlines.add("b")
        self.clock.advance(10)
        self.assertEqual(self.passed, [("a", 510), ("b", 510)])

    def test_clockSetBackALittle(self) -> None:
        """One who has just come has all of the time, though the clock is a little behind when the alarm rings."""
        self.deadlines.add("a")
        self.clock.advance(5)
        self.clock.rightNow += 5.5
        self.deadlines.add("b")
        self.clock.rightNow -= 0.25
        self.clock.advance(0)
        self.assertEqual(self.passed, [("a", 10.25)])
        self.clock.advance(9.75)
        self.assertEqual(len(self.passed), 1)
        self.clock.advance(0.5)
        self.assertEqual(self.passed, [("a", 10.25), ("b", 20.5)])


class Sleeper:
    """
    Who is to be woken.

    :ivar woken: when it was.
    """

    def __init__(self, alarms: Alarms, then: Callable[[Sleeper], object] = lambda sleeper: None) -> None:
        self.alarm = inf
        self.woken: list[float] = []
        self._alarms = alarms
        self._then = then

    def __lt__(self, other: object, /) -> bool:
        return False

    def sleep(self, seconds: float) -> None:
        """Be woken in so many seconds."""
        self._alarms.set(self, self._alarms.now() + seconds, seconds)

    def wake(self) -> None:
        """Remember it."""
        self.woken.append(self._alarms.now())
        self._then(self)


class AlarmsTests(SynchronousTestCase):
    """Whoever sleeps, and the one alarm."""

    def setUp(self) -> None:
        """Nobody sleeps."""
        self.clock = Clock()
        self.alarms = Alarms(self.clock)

    def sleepers(self, count: int, then: Callable[[Sleeper], object] = lambda sleeper: None) -> list[Sleeper]:
        """So many that are not asleep yet."""
        return [Sleeper(self.alarms, then) for _ in range(count)]

    def rings(self) -> list[float]:
        """When the reactor's alarms ring."""
        return [call.getTime() for call in self.clock.getDelayedCalls()]

    def test_each(self) -> None:
        """Each is woken at its time, once, and there is one alarm, which is for the first of them."""
        sleepers = self.sleepers(4)
        for sleeper, seconds in zip(sleepers, (5, 2, 9, 2), strict=True):
            sleeper.sleep(seconds)
        for next in (2, 5, 9):
            self.assertEqual(self.rings(), [next])
            self.clock.advance(next - self.clock.seconds())
        self.assertEqual([each.woken for each in sleepers], [[5], [2], [9], [2]])
        self.assertEqual((self.rings(), {each.alarm for each in sleepers}), ([], {inf}))

    def test_moved(self) -> None:
        """Who is to be woken at another time is woken at that alone."""
        (sleeper,) = self.sleepers(1)
        for seconds in (5, 3, 3, 8):
            sleeper.sleep(seconds)
        self.clock.pump([1] * 20)
        self.assertEqual((sleeper.woken, self.rings()), ([8], []))

    def test_cancel(self) -> None:
        """Who is not to be woken any more is not; when there is nobody else, no alarm is left."""
        sleepers = self.sleepers(3)
        for sleeper in sleepers:
            self.alarms.cancel(sleeper)
            sleeper.sleep(5)
        self.alarms.cancel(sleepers[0])
        self.alarms.cancel(sleepers[2])
        self.alarms.cancel(sleepers[2])
        self.assertEqual(self.rings(), [5])
        self.clock.advance(5)
        self.assertEqual([each.woken for each in sleepers], [[], [5], []])
        self.assertEqual(self.rings(), [])
        sleepers[0].sleep(1)
        self.alarms.cancel(sleepers[0])
        self.assertEqual(self.rings(), [])

    def test_cancelledBehind(self) -> None:
        """When those that are left behind the one that is woken are not to be, no alarm is left."""
        first, second = self.sleepers(2)
        first.sleep(1)
        second.sleep(2)
        self.alarms.cancel(second)
        self.clock.advance(1)
        self.assertEqual((first.woken, second.woken, self.rings()), ([1], [], []))

    def test_forgotten(self) -> None:
        """However many come and go, not many of them are kept."""
        (staying,) = self.sleepers(1)
        staying.sleep(1000)
        for _ in range(1000):
            (sleeper,) = self.sleepers(1)
            sleeper.sleep(100)
            self.alarms.cancel(sleeper)
            self.assertLess(len(self.alarms._heap), 70)
        self.clock.advance(1000)
        self.assertEqual((staying.woken, self.rings()), ([1000], []))

    def test_again(self) -> None:
        """Who is to be woken at a time at which it was to be woken once before is one, among however many."""
        sleepers = self.sleepers(100)
        for seconds in (25, 20, 25):
            for sleeper in sleepers:
                sleeper.sleep(seconds)
        self.alarms.cancel(sleepers[0])
        self.clock.advance(25)
        self.assertEqual([each.woken for each in sleepers], [[], *([[25]] * 99)])
        self.assertEqual((self.alarms._idle, self.rings()), (0, []))

    def test_never(self) -> None:
        """Who is to be woken in no time is not, and leaves no alarm."""
        (sleeper,) = self.sleepers(1)
        sleeper.sleep(5)
        sleeper.sleep(inf)
        self.assertEqual((self.rings(), self.alarms._heap), ([], []))

    def test_slow(self) -> None:
        """What takes its time when it is woken does not make the next one wait for longer."""
        sleepers = self.sleepers(2, lambda sleeper: setattr(self.clock, "rightNow", self.clock.rightNow + 0.5))
        for sleeper, seconds in zip(sleepers, (1, 1.75), strict=True):
            sleeper.sleep(seconds)
        self.clock.advance(1)
        self.assertEqual(self.rings(), [1.75])

    def test_within(self) -> None:
        """Who is woken may sleep on, and cancel the alarms of others, which are due as well."""

        def then(sleeper: Sleeper) -> None:
            for each in sleepers:
                if each is not sleeper:
                    self.alarms.cancel(each)
            sleeper.sleep(3)

        sleepers = self.sleepers(3, then)
        for sleeper in sleepers:
            sleeper.sleep(2)
        self.clock.advance(2)
        self.assertEqual(sorted(each.woken for each in sleepers), [[], [], [2]])
        self.assertEqual(self.rings(), [5])
        self.clock.advance(3)
        self.assertEqual(sorted(each.woken for each in sleepers), [[], [], [2, 5]])

    def test_fails(self) -> None:
        """What fails for one is in the log, and nothing to the others, nor to their next alarms."""

        def then(sleeper: Sleeper) -> None:
            sleeper.sleep(2)
            if sleeper is sleepers[1]:
                raise ZeroDivisionError

        sleepers = self.sleepers(3, then)
        for sleeper in sleepers:
            sleeper.sleep(2)
        self.clock.pump([1] * 4)
        self.assertEqual([each.woken for each in sleepers], [[2, 4]] * 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    @given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 40)), max_size=400))
    def test_any(self, steps: list[tuple[int, int]]) -> None:
        """Whatever is asked for, all are woken when they are to be, and at no other time."""
        self.setUp()
        sleepers = self.sleepers(100)
        expected: list[list[float]] = [[] for _ in sleepers]
        due: dict[int, float] = {}
        for number, seconds in steps:
            if seconds > 30:
                self.alarms.cancel(sleepers[number])
                due.pop(number, None)
            elif seconds:
                sleepers[number].sleep(seconds)
                due[number] = self.clock.seconds() + seconds
            else:
                self.clock.advance(number)
                for each in [each for each, time in due.items() if time <= self.clock.seconds()]:
                    del due[each]
                    expected[each].append(self.clock.seconds())
            self.assertEqual([each.woken for each in sleepers], expected)
            self.assertEqual(len(self.rings()), 1 if due else 0)
            self.assertEqual([each.alarm for each in sleepers], [due.get(each, inf) for each in range(100)])
