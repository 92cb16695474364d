"""
Deadlines that are equally far away for all: one alarm for the whole queue, where each would have one of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

__all__ = ["Deadlines"]

_Waiting = TypeVar("_Waiting", bound=Hashable)


class Deadlines(Generic[_Waiting]):
    """
    Those who have so much time for something.

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

    def add(self, waiting: _Waiting) -> None:
        """Somebody has so much time from now on, or what is left of it."""
        if waiting in self._due:
            return
        due = self._due[waiting] = self._clock.seconds() + self._seconds
        if self._alarm is None:
            self._alarm = self._clock.callLater(self._seconds, self._ring)
        elif self._alarm.getTime() > due:
            # The clock was set back: those who were there before have no more time than this one.
            self._due = {each: min(other, due) for each, other in self._due.items()}
            self._alarm.reset(self._seconds)

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
                self._alarm = self._clock.callLater(due - now, self._ring)
                break
            over.append(waiting)
        for waiting in over:
            if waiting in self._due:  # else it was discarded for what became of another one
                self.discard(waiting)
                try:
                    self._passed(waiting)
                except Exception:
                    self._log.failure("a deadline has passed, and what is due then has failed")
