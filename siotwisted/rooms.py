"""
Who is in which room, and whom an audience means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar

__all__ = ["EVERYBODY", "Audience", "Delivery", "Rooms"]

_Member = TypeVar("_Member")


@dataclass(frozen=True, slots=True)
class Audience:
    """
    Whom a message is for.

    :ivar rooms: who is in any of them; everybody if there is none. An id is the room of that one member.
    :ivar excluded: the rooms and ids of those who don't get it all the same.
    :ivar volatile: whether it is for those only who can take it now.
    :ivar local: whether it is for those of this server only, if that is one of several.
    """

    rooms: tuple[str, ...] = ()
    excluded: frozenset[str] = frozenset()
    volatile: bool = False
    local: bool = False


EVERYBODY = Audience()


class Delivery(NamedTuple):
    """
    What came of a message to many, in numbers of connections.

    :ivar accepted: the queue took it.
    :ivar refused: the queue was full, or the connection had just ended; or the message was volatile, and the client
        could not take it at once.
    :ivar unsupported: the client's generation has no words for it.
    """

    accepted: int = 0
    refused: int = 0
    unsupported: int = 0


class Rooms(Generic[_Member]):
    """
    The members of one namespace, by id, and the rooms that they are in.

    Every member is in the room of its own id, which needs no place in the books. A room is there while somebody is in
    it.

    :ivar members: all of them by id, in the order in which they came; a live view.
    """

    __slots__ = ("_joined", "_members", "_rooms", "members")

    def __init__(self) -> None:
        self._members: dict[str, _Member] = {}
        self._rooms: dict[str, dict[str, _Member]] = {}
        self._joined: dict[str, set[str]] = {}
        self.members: Mapping[str, _Member] = MappingProxyType(self._members)

    def add(self, id: str, member: _Member) -> None:
        """Somebody is there."""
        self._members[id] = member

    def remove(self, id: str) -> None:
        """Somebody is gone, from all rooms too."""
        self.leaveAll(id)
        self._members.pop(id, None)

    def join(self, id: str, rooms: Iterable[str]) -> None:
        """A member enters rooms. Nothing happens for an id that is not a member's."""
        member = self._members.get(id)
        if member is None:
            return
        for room in rooms:
            if room != id:
                self._rooms.setdefault(room, {})[id] = member
                self._joined.setdefault(id, set()).add(room)

    def leave(self, id: str, rooms: Iterable[str]) -> None:
        """A member leaves rooms, as far as it is in them. Nobody leaves the room of the own id."""
        joined = self._joined.get(id)
        if joined is None:
            return
        for room in rooms:
            if room in joined:
                joined.discard(room)
                inside = self._rooms[room]
                del inside[id]
                if not inside:
                    del self._rooms[room]
        if not joined:
            del self._joined[id]

    def leaveAll(self, id: str) -> None:
        """A member leaves every room but its own."""
        self.leave(id, tuple(self._joined.get(id, ())))

    def roomsOf(self, id: str) -> frozenset[str]:
        """The rooms of one member, its own among them; none for who is not there."""
        if id not in self._members:
            return frozenset()
        return frozenset((id, *self._joined.get(id, ())))

    def meant(self, audience: Audience) -> list[_Member]:
        """
        The members that an audience means, each once: room by room, and in each in the order in which they came.
        """
        found: Mapping[str, _Member] = self._members
        if audience.rooms:
            found = union = {}
            for room in audience.rooms:
                if room in self._members:
                    union[room] = self._members[room]
                union.update(self._rooms.get(room, {}))
        if not audience.excluded:
            return list(found.values())
        excluded = set(audience.excluded)
        for room in audience.excluded:
            excluded.update(self._rooms.get(room, ()))
        return [member for id, member in found.items() if id not in excluded]
