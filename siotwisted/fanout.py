"""
Whatever is done to many connections of one namespace in this process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from siotwisted.absences import Absence
from siotwisted.connections import Connection
from siotwisted.errors import QueueFull, SessionClosed, UnsupportedByClient
from siotwisted.interfaces import IFanout
from siotwisted.outgoing import Outgoing
from siotwisted.recipients import Replies
from siotwisted.rooms import Audience, Delivery, Rooms

__all__ = ["LocalFanout"]


class _Survey:
    """
    One question to many clients: one number, one alarm, one Deferred for all.

    It has asked all when :meth:`asked` is called, and is over when the last of them has answered or can't any more.
    """

    __slots__ = ("_alarm", "_id", "_ready", "_replies", "_waiting", "deferred")

    def __init__(self, id: int) -> None:
        self.deferred: Deferred[Replies[Connection]] = Deferred(lambda _: self._end())
        self._id = id
        self._replies: Replies[Connection] = Replies({}, [])
        self._waiting: dict[Connection, None] = {}
        self._alarm: IDelayedCall | None = None
        self._ready = False

    def ask(self, connection: Connection, outgoing: Outgoing, volatile: bool) -> None:
        """Ask one more."""
        self._waiting[connection] = None
        try:
            place = connection.transmit(outgoing, volatile)
        except (QueueFull, SessionClosed, UnsupportedByClient):
            place = 0
        if place:
            connection.expect(self._id, self, place)
        else:
            self._lose(connection)

    def asked(self, timeout: float | None, clock: IReactorTime) -> None:
        """All have been asked: wait for them so long."""
        self._ready = True
        if timeout is not None and self._waiting:
            self._alarm = clock.callLater(timeout, self._timedOut)
        self._check()

    def answered(self, asked: Connection, value: Any) -> None:
        """See :class:`~siotwisted.events.Question`."""
        del self._waiting[asked]
        self._replies.answers[asked] = value
        self._check()

    def lost(self, asked: Connection) -> None:
        """See :class:`~siotwisted.events.Question`."""
        self._lose(asked)
        self._check()

    def _lose(self, connection: Connection) -> None:
        del self._waiting[connection]
        self._replies.missing.append(connection)

    def _timedOut(self) -> None:
        self._alarm = None
        replies = self._replies
        replies.missing.extend(self._waiting)
        self._end()
        self.deferred.callback(replies)

    def _check(self) -> None:
        """Whether there is anybody left to wait for."""
        if self._ready and not self._waiting:
            self._end()
            self.deferred.callback(self._replies)

    def _end(self) -> None:
        self._ready = False
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        waiting, self._waiting = self._waiting, {}
        for connection in waiting:
            connection.forget(self._id)


@implementer(IFanout)
class LocalFanout:
    """
    Acts on the connections of this process.

    :param rooms: where they are.
    :param away: where those are who may come back; what is not volatile is kept for them.
    :param clock: for the time.
    """

    _log = Logger()

    def __init__(self, rooms: Rooms[Connection], away: Rooms[Absence[Connection]], clock: IReactorTime) -> None:
        self._rooms = rooms
        self._away = away
        self._clock = clock

    def send(self, outgoing: Outgoing, audience: Audience) -> Deferred[Delivery]:
        """
        Send one packet to all of them. A session whose queue is full tells the log so.

        :return: fires at once with how many took it.
        """
        accepted: list[Connection] = []
        refused = unsupported = 0
        volatile = audience.volatile
        for connection in self._rooms.meant(audience):
            try:
                if connection.joined and connection.session.send(outgoing, volatile):
                    accepted.append(connection)
                else:
                    refused += 1
            except (QueueFull, SessionClosed):
                refused += 1
            except UnsupportedByClient:
                unsupported += 1
            except Exception:
                self._log.failure("session {label}: its codec failed", label=connection.session.label)
                refused += 1
        full: list[Absence[Connection]] = []
        if self._away.members and not audience.volatile:
            full = [absence for absence in self._away.meant(audience) if not absence.accept(outgoing)]
        # Only now that it is accepted everywhere, the application hears of it, and may send more.
        if accepted and accepted[0].core.handlers.outgoing:
            for connection in accepted:
                connection.tellOutgoing(outgoing)
        for absence in full:
            absence.end()
        return succeed(Delivery(len(accepted), refused, unsupported))

    def call(self, outgoing: Outgoing, audience: Audience, timeout: float | None) -> Deferred[Replies[Connection]]:
        """
        Send one packet, which has a number, to all of them, and wait for their answers.

        :param timeout: how long, in seconds; None to wait until all have answered or left.
        :return: fires with the answers. It can be cancelled.
        """
        id = outgoing.id
        assert id is not None, "an answer is known by the number of its question"
        survey = _Survey(id)
        for connection in self._rooms.meant(audience):
            survey.ask(connection, outgoing, audience.volatile)
        survey.asked(timeout, self._clock)
        return survey.deferred

    def fetch(self, audience: Audience) -> Deferred[list[Connection]]:
        """All of them."""
        return succeed(self._rooms.meant(audience))

    def join(self, audience: Audience, rooms: Sequence[str]) -> Deferred[None]:
        """Make all of them enter rooms."""
        for connection in self._rooms.meant(audience):
            connection.join(*rooms)
        return succeed(None)

    def leave(self, audience: Audience, rooms: Sequence[str]) -> Deferred[None]:
        """Make all of them leave rooms."""
        for connection in self._rooms.meant(audience):
            connection.leave(*rooms)
        return succeed(None)

    def disconnect(self, audience: Audience, close: bool) -> Deferred[None]:
        """Make all of them leave the namespace, and end their sessions if ``close``."""
        for connection in self._rooms.meant(audience):
            if close:
                connection.close()
            else:
                connection.disconnect()
        return succeed(None)
