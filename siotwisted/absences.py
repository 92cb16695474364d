"""
Clients that are away: what they have not got waits for them, until they come back in another session.

Two things tell that it is the same client: what the application's ``Config.identity`` makes of its handshake, and,
where ``Config.recovery`` is on, the private id that clients from 4.6 on get with each connection. The latter also get
what is sent to their rooms while they are away, and tell what they have by the stamp of the last message.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from siotwisted.config import Config
from siotwisted.ledger import Ledger
from siotwisted.outbox import Entry
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Reason
from siotwisted.rooms import Rooms

__all__ = ["Absence", "Absences", "Key", "Returning"]

#: The ends after which a client may come back and ask for what it has missed.
_RECOVERABLE = frozenset(
    (
        Reason.TRANSPORT_CLOSE,
        Reason.TRANSPORT_ERROR,
        Reason.PING_TIMEOUT,
        Reason.RECONNECT_TIMEOUT,
        Reason.PARSE_ERROR,
        Reason.ADOPTED,
    )
)
#: Those after which somebody known may come back: a page that is loaded again says goodbye, too.
_ADOPTABLE = _RECOVERABLE | {Reason.CLIENT_DISCONNECT}

Member = TypeVar("Member", bound="Returning")
#: What a client is known by: ``pid`` or ``identity``, its namespace, and the one or the other.
Key = tuple[str, str, Hashable]


class Returning(Protocol):
    """
    A connection whose client may come back.

    :ivar id: its id.
    :ivar keys: all that it would be known by.
    :ivar identity: who the application says that the client is; None if it does not say.
    :ivar recoverable: whether the client can ask for what it has missed.
    :ivar absence: how it is away, if it is.
    """

    id: str
    keys: Sequence[Key]
    identity: Hashable
    absence: Absence[Any] | None

    @property
    def connected(self) -> bool:
        """Whether it is there."""

    @property
    def recoverable(self) -> bool:
        """Whether the client can ask for what it has missed."""

    def answer(self, id: int, value: object) -> None:
        """Answer the client."""

    def supersede(self) -> None:
        """End its session, and send none of what waits there: the client has come back in another."""


class Absence(Generic[Member]):
    """
    A connection that has ended, and what its client may not have.

    :ivar connection: the connection.
    :ivar reason: why it ended.
    :ivar rooms: the rooms that it was in.
    :ivar entries: the messages, in order.
    :ivar count: how many messages have come while it was away; and ``size``, how many bytes.
    :ivar floor: the stamp of the last message that the client had confirmed.
    :ivar since: since when it waits for the client, in seconds.
    :ivar alarm: rings when its time is over.
    """

    __slots__ = (
        "_absences",
        "_away",
        "alarm",
        "connection",
        "count",
        "entries",
        "floor",
        "reason",
        "rooms",
        "since",
        "size",
    )

    def __init__(self, absences: Absences[Member], connection: Member, reason: Reason) -> None:
        self.connection = connection
        self.reason = reason
        self.rooms: frozenset[str] = frozenset()
        self.entries: list[Entry] = []
        self.count = self.size = 0
        self.floor = 0
        self.since: float | None = None
        self.alarm: IDelayedCall | None = None
        self._absences = absences
        #: Where it is found by its rooms.
        self._away: Rooms[Absence[Member]] | None = None

    def listen(self, away: Rooms[Absence[Member]], rooms: frozenset[str]) -> None:
        """Accept what is sent to these rooms from now on."""
        self.rooms = rooms
        self._away = away
        away.add(self.connection.id, self)
        away.join(self.connection.id, rooms)

    def accept(self, outgoing: Outgoing) -> bool:
        """
        Keep a message.

        :return: whether that is within the bounds of a queue; if not, the absence can't be made good, and is to end.
        """
        return self._absences.accept(self, Entry(outgoing, False))

    def end(self) -> None:
        """The client can't come back any more."""
        self._absences.end(self)

    def unlisten(self) -> None:
        """Accept nothing any more."""
        if self._away is not None:
            self._away.remove(self.connection.id)
            self._away = None


class Absences(Generic[Member]):
    """
    All clients of one server that are away, and how those that are there would be known.

    :param ledger: is told what becomes of the messages.
    :param over: is told whose absence is over.
    """

    def __init__(
        self, clock: IReactorTime, config: Config, ledger: Ledger, over: Callable[[Member], object] = id
    ) -> None:
        self._clock = clock
        self._config = config
        self._ledger = ledger
        self._over = over
        self._stopped = False
        self._here: dict[Key, Member] = {}
        self._away: dict[Key, Absence[Member]] = {}
        self._all: set[Absence[Member]] = set()
        #: For how many seconds a client is known, by what it is known; by both, as long as by either.
        self._patience = {"pid": config.recovery or 0.0, "identity": config.reconnectTimeout}

    @property
    def pending(self) -> int:
        """How many messages wait for clients that are away."""
        return sum(len(absence.entries) for absence in self._all)

    def enter(self, connection: Member) -> None:
        """A client is there."""
        for key in connection.keys:
            self._here[key] = connection

    def leave(self, connection: Member, reason: Reason, away: Rooms[Absence[Member]], rooms: frozenset[str]) -> None:
        """
        A client is there no more.

        :param away: where its namespace looks for those who are away.
        :param rooms: the rooms that it was in.
        """
        for key in connection.keys:
            if self._here.get(key) is connection:
                del self._here[key]
        if connection.recoverable and reason in _RECOVERABLE and not self._stopped:
            absence = connection.absence = Absence(self, connection, reason)
            absence.listen(away, rooms)
            self._all.add(absence)

    def settle(self, connection: Member, reason: Reason, entries: Sequence[Entry], floor: int) -> None:
        """
        The session of a client is over, and these are the messages that it may not have: they wait for it, or are
        reported.

        :param floor: the stamp of the last message that it had confirmed.
        """
        absence = connection.absence
        if absence is None and not entries:
            return
        moving = [entry for entry in entries if _movable(entry.outgoing)]
        adoptable = reason in _ADOPTABLE and not self._stopped
        if absence is None and moving and connection.identity is not None and adoptable:
            absence = connection.absence = Absence(self, connection, reason)
            self._all.add(absence)
        if absence is None or absence not in self._all:
            self._ledger.report(connection, entries, reason)
            return
        absence.entries[:0] = moving
        absence.floor = floor
        self.wait(absence)
        self._ledger.report(connection, [each for each in entries if not _movable(each.outgoing)], reason)

    def wait(self, absence: Absence[Member]) -> None:
        """Wait for the client, unless the absence is over."""
        if absence not in self._all:
            return
        now = self._clock.seconds()
        if absence.since is None:
            absence.since = now
        until = absence.since + max(self._patience[kind] for kind, *_ in absence.connection.keys)
        absence.alarm = self._clock.callLater(max(until - now, 0.0), self.end, absence)
        for key in absence.connection.keys:
            if key in self._away:
                self.end(self._away[key])
            self._away[key] = absence

    def hold(self, absence: Absence[Member]) -> None:
        """The client has come, and it is not decided yet whether it is let in: no other can have been it."""
        if absence.alarm is not None and absence.alarm.active():
            absence.alarm.cancel()
        for key in absence.connection.keys:
            if self._away.get(key) is absence:
                del self._away[key]

    def lasts(self, absence: Absence[Member]) -> bool:
        """Whether an absence is not over yet."""
        return absence in self._all

    def accept(self, absence: Absence[Member], entry: Entry) -> bool:
        """See :meth:`Absence.accept`. One that has ended meanwhile keeps nothing, and nobody has accepted it."""
        if absence not in self._all:
            return True
        absence.entries.append(entry)
        absence.count += 1
        absence.size += entry.outgoing.size
        self._ledger.accepted += 1
        return absence.count <= self._config.queueMessages and absence.size <= self._config.queueBytes

    def find(self, key: Key, identity: Hashable) -> Absence[Member] | None:
        """
        Somebody has come: how they have been away, if they have.

        A session that does not know yet that its client has left ends now.

        :param identity: who the application says that it is; it must be the same.
        """
        there = self._here.get(key)
        if there is not None and there.identity == identity:
            there.supersede()
        absence = self._away.get(key)
        return absence if absence is not None and absence.connection.identity == identity else None

    def hand(
        self,
        absence: Absence[Member],
        inherit: Callable[[Sequence[Entry]], Sequence[Entry]],
        enter: Callable[[], object],
        has: int = 0,
    ) -> None:
        """
        The client is back: hand its messages over, in order, and let it in, before anybody hears of them.

        :param inherit: takes them, and returns those that the client has no words for any more.
        :param enter: lets it in.
        :param has: the stamp of the last message that it says it has.
        """
        had: list[Entry] = []
        missed: list[Entry] = []
        for entry in self._claim(absence):
            (had if 0 < entry.outgoing.stamp <= has else missed).append(entry)
        unsupported = inherit(missed)
        self._ledger.moved += len(missed) - len(unsupported)
        enter()
        self._ledger.confirm(had)
        self._ledger.report(absence.connection, unsupported, absence.reason)

    def _claim(self, absence: Absence[Member]) -> list[Entry]:
        self._all.discard(absence)
        absence.unlisten()
        self.hold(absence)
        self._over(absence.connection)
        entries, absence.entries = absence.entries, []
        return entries

    def end(self, absence: Absence[Member]) -> None:
        """The client has not come back in time, or can't be served: its messages are reported."""
        self._ledger.report(absence.connection, self._claim(absence), absence.reason)

    def stop(self) -> None:
        """Nobody can come back any more."""
        self._stopped = True
        for absence in list(self._all):
            self.end(absence)


def _movable(outgoing: Outgoing) -> bool:
    """Whether a message means the same in another session. Questions and answers do not: their numbers are new."""
    return outgoing.id is None and outgoing.kind is not Kind.ACK
