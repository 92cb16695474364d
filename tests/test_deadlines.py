"""Deadlines that are equally far away for all."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.deadlines import Deadlines


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
