"""
Deadlines of many, with one alarm of the reactor's for all: it takes half a kilobyte for each, and much of its time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from heapq import heapify, heappop, heappush
from math import inf
from typing import Generic, Protocol, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

__all__ = ["Alarms", "Deadlines", "Sleeper"]

_Waiting = TypeVar("_Waiting", bound=Hashable)

#: So many alarms that nobody needs any more are few.
_FEW = 64


class Deadlines(Generic[_Waiting]):
    """
    Those who have so much time for something, all the same.

    :param clock: the reactor, or a :class:`~twisted.internet.task.Clock`.
    :param seconds: how much time each has.
    :param passed: is called with whoever has not been discarded in time.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, seconds: float, passed: Callable[[_Waiting], object]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._passed = passed
        #: When the time of each is over: the first one's is over first.
        self._due: dict[_Waiting, float] = {}
        self._alarm: IDelayedCall | None = None
        #: When that rings, which it takes longer to ask it.
        self._rings = inf

    def add(self, waiting: _Waiting) -> None:
        """Somebody has so much time from now on, or what is left of it."""
        if waiting in self._due:
            return
        due = self._due[waiting] = self._clock.seconds() + self._seconds
        if self._alarm is None:
            self._alarm, self._rings = self._clock.callLater(self._seconds, self._ring), due
        elif self._rings > due:
            # The clock was set back: those who were there before have no more time than this one.
            self._due = {each: min(other, due) for each, other in self._due.items()}
            self._alarm.reset(self._seconds)
            self._rings = due

    def discard(self, waiting: _Waiting) -> None:
        """Somebody needs no more time. The alarm stays for the others, and may ring too early."""
        if self._due.pop(waiting, None) is not None and not self._due and self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ring(self) -> None:
        self._alarm = None
        now = self._clock.seconds()
        over = []
        for waiting, due in self._due.items():
            if due > now:
                self._alarm, self._rings = self._clock.callLater(due - now, self._ring), due
                break
            over.append(waiting)
        for waiting in over:
            if waiting in self._due:  # else it was discarded for what became of another one
                self.discard(waiting)
                try:
                    self._passed(waiting)
                except Exception:
                    self._log.failure("a deadline has passed, and what is due then has failed")


class Sleeper(Protocol):
    """
    Who is to be woken.

    :ivar alarm: when; infinity while it is not to be.
    """

    alarm: float

    def wake(self) -> None:
        """It is time."""

    def __lt__(self, other: object, /) -> bool:
        """Of those that are woken at the same time, any may come first."""


class Alarms:
    """
    Those who are to be woken, each at a time of its own.

    :param clock: the reactor, or a :class:`~twisted.internet.task.Clock`.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        #: All times, the next one first. Those that nobody needs any more are left there until they are too many.
        self._heap: list[tuple[float, Sleeper]] = []
        self._idle = 0
        self._alarm: IDelayedCall | None = None
        self._next = inf

    def now(self) -> float:
        """The time, in seconds."""
        return self._clock.seconds()

    def set(self, sleeper: Sleeper, due: float, seconds: float) -> None:
        """Wake it at this time, which is in so many seconds, and not when it was to be woken before."""
        if due == inf:
            self.cancel(sleeper)
            return
        if sleeper.alarm != inf:
            self._idle += 1
        sleeper.alarm = due
        heappush(self._heap, (due, sleeper))
        if due < self._next:
            self._ringIn(seconds, due)

    def cancel(self, sleeper: Sleeper) -> None:
        """Don't wake it."""
        if sleeper.alarm == inf:
            return
        sleeper.alarm = inf
        self._idle += 1
        if self._idle == len(self._heap):
            self._clear()
        elif self._idle > _FEW and 2 * self._idle > len(self._heap):
            # One that was to be woken at the same time once before is there twice.
            self._heap = list(dict.fromkeys(each for each in self._heap if each[0] == each[1].alarm))
            heapify(self._heap)
            self._idle = 0

    def _clear(self) -> None:
        """Nobody is to be woken."""
        self._heap.clear()
        self._idle = 0
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm, self._next = None, inf

    def _ringIn(self, seconds: float, due: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._next = self._clock.callLater(seconds, self._ring), due

    def _ring(self) -> None:
        self._alarm, self._next = None, -inf  # it is set when all have been woken
        now = self._clock.seconds()
        while self._heap and self._heap[0][0] <= now:
            due, sleeper = heappop(self._heap)
            if sleeper.alarm != due:
                self._idle -= 1
                continue
            sleeper.alarm = inf
            try:
                sleeper.wake()
            except BaseException:  # as the reactor does
                self._log.failure("an alarm has rung, and what is due then has failed")
        self._next = inf
        if self._idle == len(self._heap):
            self._clear()
        else:
            due = self._heap[0][0]
            self._ringIn(max(due - self._clock.seconds(), 0.0), due)
