"""
Many connections at once: all of a namespace, or a selection of them, and what can be done to them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, Generic, NamedTuple, TypeVar

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.interfaces import IReactorTime

from siotwisted.absences import Absence
from siotwisted.config import Config
from siotwisted.events import eventPacket
from siotwisted.handlers import Handlers
from siotwisted.interfaces import IFanout
from siotwisted.outgoing import Outgoing, Queued
from siotwisted.packets import Packet, messagePacket
from siotwisted.rooms import EVERYBODY, Audience, Delivery, Rooms
from siotwisted.wire.jsontext import flatJSON
from siotwisted.wire.sio45 import RESERVED

__all__ = ["BaseNamespace", "NamespaceCore", "Recipients", "Replies", "Selection"]

#: The stamps of messages: of two that one client gets, the later has the higher.
_STAMPS = count(1)

#: A connection. The modules of connections import this one.
Member = TypeVar("Member")


class Replies(NamedTuple, Generic[Member]):
    """
    What many clients answered.

    :ivar answers: what each that did said: None, the one value, or a list of several.
    :ivar missing: those that didn't: they were too slow, left, or could not be asked.
    """

    answers: dict[Member, Any]
    missing: list[Member]


class NamespaceCore(Generic[Member]):
    """
    The inside of one namespace: what its connections need of it, and applications don't.

    :ivar namespace: what applications have of it.
    :ivar handlers: its handlers; the children of a dynamic namespace have those of their parent.
    :ivar away: those who have left and may come back, by the rooms that they were in.
    :ivar children: for a dynamic namespace, the namespaces that it stands for, by name; else None.
    :ivar parent: the core of the dynamic namespace that this is a child of.
    :ivar joining: how many clients are about to join.
    :ivar used: whether anybody ever joined.
    :ivar served: whether a server has it; it has a name, a clock and a fan-out then.
    :ivar config: the settings of that server.
    """

    def __init__(self, namespace: BaseNamespace[Member], parent: NamespaceCore[Member] | None = None) -> None:
        self.namespace = namespace
        self.parent = parent
        self.handlers: Handlers = Handlers() if parent is None else parent.handlers
        self.rooms: Rooms[Member] = Rooms()
        self.away: Rooms[Absence[Any]] = Rooms()
        self.children: dict[str, BaseNamespace[Member]] | None = None
        self.joining = 0
        self.used = False
        self.served = False
        self.name = ""
        self.clock: IReactorTime
        self.config: Config
        self.fanout: IFanout
        self._numbers = count(1)
        #: Whether somebody may want to have again what was sent.
        self._stamps = False
        #: Whether a packet may be :data:`~siotwisted.outgoing.Ordinary`.
        self._plain = False

    def open(self, name: str, clock: IReactorTime, fanout: IFanout, config: Config) -> None:
        """A server has it from now on."""
        self.name = name
        self.clock = clock
        self.fanout = fanout
        self.config = config
        self._stamps = config.recovery is not None
        self._plain = name == "/" and not self._stamps
        self.served = True

    def outgoing(self, packet: Packet) -> Outgoing:
        """
        A message that will be sent now; with a stamp, if somebody may want to have it again.

        :raises siotwisted.EncodeError: if it can't be written.
        """
        outgoing = Outgoing(packet)
        if self._stamps and packet.id is None:
            outgoing.stamp = next(_STAMPS)
        return outgoing

    def message(self, data: object) -> Queued:
        """The same for a message to one client, which for nearly all of them needs no more than its text."""
        if type(data) is str and self._plain and data.isascii():
            return data
        return self.outgoing(messagePacket(data, self.name))

    def event(self, event: str, arguments: Sequence[object]) -> Queued:
        """
        The same for an event to one client, which for nearly all of them needs no more than its JSON.

        :raises siotwisted.EncodeError: if it can't be written, or the name is reserved.
        """
        if self._plain and type(event) is str and event not in RESERVED:
            flat = flatJSON([event, *arguments])
            if flat and flat.isascii():
                return flat
        return self.outgoing(eventPacket(event, arguments, self.name))

    def nextNumber(self) -> int:
        """The number that the answers to a new question are known by, in all connections of this namespace."""
        return next(self._numbers)


class Recipients(ABC, Generic[Member]):
    """What can be done to many connections at once."""

    @abstractmethod
    def _cores(self) -> Sequence[NamespaceCore[Member]]:
        """The namespaces that they are in."""

    def _audience(self) -> Audience:
        """Who of them is meant."""
        return EVERYBODY

    def to(self, *rooms: str) -> Selection[Member]:
        """
        Those only who are in any of these rooms, or in one that was named before. Without rooms, nothing changes.

        :param rooms: their names; the id of a connection is the room where it is alone.
        """
        audience = self._audience()
        return Selection(self, replace(audience, rooms=(*audience.rooms, *rooms)))

    def excluding(self, *roomsOrConnections: str | Member) -> Selection[Member]:
        """All of them but these connections, and those in these rooms."""
        audience = self._audience()
        return Selection(self, replace(audience, excluded=audience.excluded.union(map(str, roomsOrConnections))))

    def volatile(self) -> Selection[Member]:
        """The same, but what is sent is lost for those who can't take it at once: their transport is away or full."""
        return Selection(self, replace(self._audience(), volatile=True))

    def local(self) -> Selection[Member]:
        """Those only who are connected to this server, if it is one of several."""
        return Selection(self, replace(self._audience(), local=True))

    def send(self, data: object) -> Deferred[Delivery]:
        """
        Send a message to all of them.

        :param data: as :meth:`Connection.send` takes it.
        :return: fires with how many clients' queues took it. It may be ignored.
        :raises siotwisted.EncodeError: if the data can't be written.
        """
        return self._deliver(messagePacket(data))

    def emit(self, event: str, *arguments: object) -> Deferred[Delivery]:
        """
        Send an event to all of them.

        :param event: its name.
        :param arguments: as :meth:`Connection.emit` takes them.
        :return: fires with how many clients' queues took it. It may be ignored.
        :raises siotwisted.EncodeError: if the arguments can't be written, or the name is reserved.
        """
        return self._deliver(eventPacket(event, arguments))

    def call(self, event: str, *arguments: object, timeout: float | None = None) -> Deferred[Replies[Member]]:
        """
        Send an event to all of them, and wait for their answers.

        :param timeout: how long, in seconds; None to wait until all have answered or left.
        :return: fires with the answers, and with the connections whose answer is missing. It never fails, but it can
            be cancelled.
        :raises siotwisted.EncodeError: as :meth:`emit`.
        """
        packet = eventPacket(event, arguments)
        audience = self._audience()
        Outgoing(packet)  # what can't be written is an error even if nobody is there
        return _all(
            [
                core.fanout.call(
                    Outgoing(packet._replace(namespace=core.name, id=core.nextNumber())), audience, timeout
                )
                for core in self._cores()
            ],
            Replies({}, []),
            lambda one, other: Replies(one.answers | other.answers, one.missing + other.missing),
        )

    def fetchConnections(self) -> Deferred[list[Member]]:
        """All of them, in a list."""
        audience = self._audience()
        nobody: list[Member] = []
        return _all([core.fanout.fetch(audience) for core in self._cores()], nobody, lambda one, other: one + other)

    def joinAll(self, *rooms: str) -> Deferred[None]:
        """Make all of them enter these rooms."""
        audience = self._audience()
        return _all([core.fanout.join(audience, rooms) for core in self._cores()], None, _nothing)

    def leaveAll(self, *rooms: str) -> Deferred[None]:
        """Make all of them leave these rooms."""
        audience = self._audience()
        return _all([core.fanout.leave(audience, rooms) for core in self._cores()], None, _nothing)

    def disconnectAll(self, close: bool = False) -> Deferred[None]:
        """
        Make all of them leave the namespace.

        :param close: whether to end their sessions, with all namespaces that they are in.
        """
        audience = self._audience()
        return _all([core.fanout.disconnect(audience, close) for core in self._cores()], None, _nothing)

    def _deliver(self, packet: Packet) -> Deferred[Delivery]:
        cores = self._cores()
        audience = self._audience()
        if len(cores) == 1:
            return cores[0].fanout.send(cores[0].outgoing(packet._replace(namespace=cores[0].name)), audience)
        Outgoing(packet)  # what can't be written is an error even if nobody is there
        return _all(
            [core.fanout.send(core.outgoing(packet._replace(namespace=core.name)), audience) for core in cores],
            Delivery(),
            lambda one, other: Delivery(*map(sum, zip(one, other, strict=True))),
        )


_Outcome = TypeVar("_Outcome")


def _nothing(one: None, other: None) -> None:
    """What nothing and nothing make."""


def _all(
    outcomes: Sequence[Deferred[_Outcome]], none: _Outcome, add: Callable[[_Outcome, _Outcome], _Outcome]
) -> Deferred[_Outcome]:
    """What came of something in all namespaces, made one."""
    if len(outcomes) == 1:
        return outcomes[0]

    def added(found: list[_Outcome]) -> _Outcome:
        result = none
        for each in found:
            result = add(result, each)
        return result

    return gatherResults(outcomes, consumeErrors=True).addCallback(added) if outcomes else succeed(none)


class Selection(Recipients[Member]):
    """Some connections of a namespace: whoever they are when something is done to them. It never changes itself."""

    __slots__ = ("_chosen", "_source")

    def __init__(self, source: Recipients[Member], audience: Audience) -> None:
        self._source = source
        self._chosen = audience

    def _cores(self) -> Sequence[NamespaceCore[Member]]:
        return self._source._cores()

    def _audience(self) -> Audience:
        return self._chosen


class BaseNamespace(Recipients[Member]):
    """The connections of a namespace, as those who are in it see it."""

    _core: NamespaceCore[Member]

    def _cores(self) -> Sequence[NamespaceCore[Member]]:
        core = self._core
        if core.children is not None:
            return [child._core for child in core.children.values()]
        return (core,) if core.served else ()

    @property
    def name(self) -> str:
        """The namespace's name, such as ``/chat``; what it was asked for with, if it stands for many."""
        return self._core.name

    @property
    def connections(self) -> Mapping[str, Member]:
        """All connections that are in the namespace now, by id."""
        if self._core.children is None:
            return self._core.rooms.members
        return {id: each for core in self._cores() for id, each in core.rooms.members.items()}

    def getConnection(self, id: str) -> Member | None:
        """The connection of this id, if there is one."""
        for core in self._cores():
            connection = core.rooms.members.get(id)
            if connection is not None:
                return connection
        return None
