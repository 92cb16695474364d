"""
Who is in a chat, and what was said there: of its servers, if they are several, each has all of it.

Every server tells the others what happens to its own clients, and a server that comes asks each for what it knows.
Nobody tells of another's clients, so that who knows what becomes of one is always the server that has it. Where two
servers have done what can't both be, they find the same answer without asking, and the server that has the client
which must give way sees to it.
"""

from __future__ import annotations

import json
from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from secrets import token_hex
from typing import Any, NamedTuple, Protocol
from unicodedata import normalize

from siotwisted.connections import Connection
from siotwisted.interfaces import ICluster
from siotwisted.wire.jsontext import dumps

__all__ = ["LOBBY", "Line", "Member", "Replica", "Room"]

LOBBY = "lobby"


def _sameNick(nick: str) -> str:
    """What two nicknames have in common that people would take for one."""
    return normalize("NFKC", nick).casefold()


class Line(NamedTuple):
    """
    What was said. The first two order the lines of all servers as if one after another had been said.

    :ivar stamp: higher than that of all lines which its server knew.
    :ivar speaker: the id of the connection that said it.
    :ivar entry: what it is for all to see.
    :ivar size: how many characters of JSON it is.
    """

    stamp: int
    speaker: str
    entry: dict[str, Any]
    size: int

    @property
    def order(self) -> tuple[int, str]:
        """Its place among all lines."""
        return self.stamp, self.speaker


class Room:
    """
    A room: who is there, and what was said.

    :param lines: how much of it is remembered, in lines.
    :param size: the same in characters of JSON.
    :ivar name: its name.
    :ivar members: who is there, by the ids of their connections.
    :ivar history: what was said.
    :ivar floor: the place of the last line that was forgotten: what comes late and is older is forgotten, too.
    """

    def __init__(self, name: str, lines: int, size: int) -> None:
        self.name = name
        self.members: dict[str, Member] = {}
        self.history: list[Line] = []
        self.floor = (0, "")
        self._lines = lines
        self._maxSize = size
        self._size = 0

    def remember(self, lines: Iterable[Line], floor: tuple[int, str] = (0, "")) -> None:
        """
        Put lines where they belong, if they are not there, and forget the oldest, if they are too many.

        :param floor: that of another server's history of this room.
        """
        self.floor = max(self.floor, floor)
        for line in lines:
            place = bisect_left(self.history, line.order, key=lambda each: each.order)
            # A line of more than half the size would drive all others out.
            if line.size <= self._maxSize // 2 and line.order not in (each.order for each in self.history[place:][:1]):
                self.history.insert(place, line)
                self._size += line.size
        while len(self.history) > self._lines or self._size > self._maxSize or self._outdated():
            oldest = self.history.pop(0)
            self._size -= oldest.size
            self.floor = max(self.floor, oldest.order)

    def _outdated(self) -> bool:
        return bool(self.history) and self.history[0].order <= self.floor


@dataclass(eq=False)
class Member:
    """
    Somebody.

    :ivar connectionID: the id of the client's connection.
    :ivar home: this connection, or the number of the server that has it.
    :ivar id: who it is, for all to see.
    :ivar nick: its name, which nobody else has.
    :ivar room: where it is.
    :ivar generation: that of its client.
    :ivar transport: the one that it was on when it was heard last.
    :ivar key: the secret by which its next connection is known, or nothing.
    :ivar taken: when it took its key; of two who have one place, the later is right.
    """

    connectionID: str
    home: Connection | int
    id: str
    nick: str
    room: Room
    generation: str
    transport: str
    key: str = ""
    taken: int = 0

    def person(self) -> dict[str, str]:
        """What the others may know."""
        transport = self.home.transport if isinstance(self.home, Connection) else self.transport
        return {"id": self.id, "nick": self.nick, "generation": self.generation, "transport": transport}


class Listener(Protocol):
    """What a replica tells: the chat, which tells its own server's clients."""

    def changed(self, room: Room) -> None:
        """The people of a room are not what they were."""

    def spoken(self, room: Room, line: Line) -> None:
        """Something was said."""

    def lost(self, member: Member) -> None:
        """Somebody is gone, and so is the server that could have told it."""


class Replica:
    """
    What one server knows of a chat.

    :param listener: what is told of all that happens.
    :param cluster: the other servers, if there are any.
    :param lines: how many lines of a room are remembered.
    :param size: how many characters of JSON they may have together; older ones are forgotten first.
    :param limit: how many rooms may be made.
    :ivar rooms: by name.
    :ivar members: by the ids of their connections.
    """

    def __init__(self, listener: Listener, cluster: ICluster | None, lines: int, size: int, limit: int) -> None:
        self._listener = listener
        self._cluster = cluster
        self._limits = (lines, size)
        self._maxRooms = limit
        self.rooms = {LOBBY: Room(LOBBY, lines, size)}
        self.members: dict[str, Member] = {}
        #: Who claims a nickname, by the ids of their connections; only while servers disagree, it is more than one.
        self._byNick: dict[str, list[Member]] = {}
        self._byKey: dict[str, Member] = {}
        self._byID: dict[str, Member] = {}
        #: Lamport's clock: what was done when more was known has the higher number.
        self._time = 0
        self._there: set[int] = set()
        if cluster is not None:
            cluster.onCome(self._came)
            cluster.onGo(self._went)
            for topic, handler in (
                ("ask", self._asked),
                ("member", self._memberTold),
                ("gone", self._goneTold),
                ("oust", self._oustTold),
                ("said", self._saidTold),
                ("room", self._roomTold),
                ("drop", self._dropTold),
            ):
                cluster.on(f"chat {topic}", handler)

    # What the clients of this server do.

    def add(self, connection: Connection) -> Member:
        """A client is there, in the lobby."""
        lobby = self.rooms[LOBBY]
        id, nick = token_hex(8), self._guest()
        member = Member(connection.id, connection, id, nick, lobby, connection.generation, connection.transport)
        self.put(member, lobby)
        self._claim(member)
        self.tell(member)
        return member

    def discard(self, member: Member) -> None:
        """A client is gone, and all are told."""
        self._forget(member.connectionID)
        self._tell("gone", member.connectionID)

    def remove(self, member: Member) -> None:
        """Forget somebody, without a word."""
        del self.members[member.connectionID]
        del member.room.members[member.connectionID]
        self._unclaim(member)

    def put(self, member: Member, room: Room) -> None:
        """Somebody comes into a room, as the last; the other servers are not told yet."""
        if member.room.members.pop(member.connectionID, None) is not None:
            self._listener.changed(member.room)
        member.room = room
        self.members[member.connectionID] = room.members[member.connectionID] = member
        self._listener.changed(room)

    def tell(self, member: Member) -> None:
        """Tell all what a client of this server is now."""
        self._listener.changed(member.room)
        self._tell("member", *_told(member))

    def rename(self, member: Member, nick: str) -> bool:
        """Call a client otherwise, unless somebody else is called so."""
        if any(each is not member for each in self._byNick.get(_sameNick(nick), ())):
            return False
        self._change(member, nick=nick)
        self.tell(member)
        return True

    def replace(self, member: Member, key: str) -> None:
        """A client has lost its connection and has a new one, of which the server may know sooner than of the loss."""
        ghost = self._byKey.get(key)
        if ghost is member:
            return
        id, nick = (member.id, member.nick) if ghost is None else (ghost.id, ghost.nick)
        if ghost is not None:
            self._oust(ghost.home, ghost.connectionID, ghost.taken)
        self._change(member, id=id, nick=nick, key=key, taken=self._next())
        self.tell(member)

    def say(self, member: Member, entry: dict[str, Any], size: int) -> None:
        """A client says something."""
        line = Line(self._next(), member.connectionID, entry, size)
        self._hear(member.room, line)
        if self._cluster is not None:
            self._tell("said", member.room.name, *_written(line))

    def make(self, name: str) -> Room | None:
        """A new room, if there is place for one, or an empty one can make place."""
        while len(self.rooms) >= self._maxRooms:
            empty = next((each for each in self.rooms.values() if not each.members and each.name != LOBBY), None)
            if empty is None:
                return None
            del self.rooms[empty.name]
            self._tell("drop", empty.name)
        return self._open(name)

    # How it is done.

    def _guest(self) -> str:
        # Two bytes of randomness make a name that people can tell; the more people, the longer it gets.
        return next(nick for size in count(2) if (nick := f"guest-{token_hex(size)}") not in self._byNick)

    def _next(self) -> int:
        self._time += 1
        return self._time

    def _open(self, name: str) -> Room:
        self.rooms[name] = room = Room(name, *self._limits)
        return room

    def _hear(self, room: Room, line: Line) -> None:
        self._listener.spoken(room, line)
        room.remember([line])

    def _oust(self, home: Connection | int, connectionID: str, taken: int) -> None:
        """Somebody has come back in another connection; this one is ended by the server that has it."""
        if isinstance(home, Connection):
            home.close()
        else:
            assert self._cluster is not None
            self._forget(connectionID)
            self._cluster.tellOne(home, "chat oust", connectionID, taken)

    def _forget(self, connectionID: str) -> None:
        member = self.members.get(connectionID)
        if member is not None:
            self.remove(member)
            self._listener.changed(member.room)

    def _change(self, member: Member, **values: object) -> None:
        self._unclaim(member)
        vars(member).update(values)
        self._claim(member)

    def _claim(self, member: Member) -> None:
        self._byID[member.id] = member
        if member.key:
            self._byKey[member.key] = member
        claims = self._byNick.setdefault(_sameNick(member.nick), [])
        insort(claims, member, key=lambda each: each.connectionID)
        for each in claims[1:]:
            if isinstance(each.home, Connection):
                self.rename(each, self._guest())

    def _unclaim(self, member: Member) -> None:
        name = _sameNick(member.nick)
        claims = [each for each in self._byNick.pop(name, ()) if each is not member]
        if claims:
            self._byNick[name] = claims
        for known, value in ((self._byID, member.id), (self._byKey, member.key)):
            if known.get(value) is member:
                del known[value]

    def _tell(self, topic: str, *values: Any) -> None:
        if self._cluster is not None:
            self._cluster.tell(f"chat {topic}", *values)

    # What the other servers tell.

    def _came(self, number: int) -> None:
        """Another server is there: what it has told before this, it tells again."""
        assert self._cluster is not None
        self._there.add(number)
        self._cluster.tellOne(number, "chat ask", None)

    def _went(self, number: int) -> None:
        """Another server is gone, and so are its clients."""
        self._there.discard(number)
        for member in [each for each in self.members.values() if each.home == number]:
            self._forget(member.connectionID)
            self._listener.lost(member)

    def _asked(self, sender: int, name: str | None) -> None:
        """Another server wants to know what was said in a room; or in all, and who is here."""
        assert self._cluster is not None
        for room in [each for each in self.rooms.values() if name in (None, each.name)]:
            lines = [_written(line) for line in room.history]
            self._cluster.tellOne(sender, "chat room", room.name, room.floor, lines)
        for member in list(self.members.values()) if name is None else ():
            if isinstance(member.home, Connection):
                self._cluster.tellOne(sender, "chat member", *_told(member))

    def _memberTold(self, sender: int, connectionID: str, name: str, values: dict[str, Any]) -> None:
        """Somebody elsewhere is new, or not what it was."""
        if sender not in self._there:
            return
        assert self._cluster is not None
        self._time = max(self._time, values["taken"])
        room = self.rooms.get(name)
        if room is None:
            room = self._open(name)
            # It may be new, or have been given up here just before somebody came into it there.
            self._cluster.tellOne(sender, "chat ask", name)
        member = self.members.get(connectionID)
        known = (self._byID.get(values["id"]), self._byKey.get(values["key"]))
        rivals = {each for each in known if each is not None and each is not member}
        if any((rival.taken, rival.connectionID) > (values["taken"], connectionID) for rival in rivals):
            self._oust(sender, connectionID, values["taken"])
            return
        for rival in rivals:
            self._oust(rival.home, rival.connectionID, rival.taken)
        if member is None:
            member = Member(connectionID, sender, room=room, **values)
        if room.members.get(connectionID) is not member:
            self.put(member, room)
        self._change(member, **values)
        self._listener.changed(room)

    def _goneTold(self, sender: int, connectionID: str) -> None:
        """Somebody elsewhere is gone."""
        self._forget(connectionID)

    def _oustTold(self, sender: int, connectionID: str, taken: int) -> None:
        """Another server has forgotten a client of this one, unless that has another place by now."""
        member = self.members.get(connectionID)
        if member is not None and member.taken == taken:
            self._oust(member.home, connectionID, taken)

    def _saidTold(self, sender: int, name: str, *written: Any) -> None:
        """Somebody elsewhere has said something, in a room that has been given up if it is not known."""
        line = self._read(*written)
        if name in self.rooms:
            self._hear(self.rooms[name], line)

    def _roomTold(self, sender: int, name: str, floor: Sequence[Any], lines: Sequence[Sequence[Any]]) -> None:
        """Another server tells what was said in a room."""
        room = self.rooms.get(name) or self._open(name)
        room.remember([self._read(*written) for written in lines], (floor[0], floor[1]))
        self._listener.changed(room)

    def _dropTold(self, sender: int, name: str) -> None:
        """Another server has given up a room; who is in it, it does not know of yet."""
        if name in self.rooms and not self.rooms[name].members:
            del self.rooms[name]

    def _read(self, stamp: int, speaker: str, entry: str, size: int) -> Line:
        self._time = max(self._time, stamp)
        return Line(stamp, speaker, json.loads(entry), size)


def _told(member: Member) -> tuple[str, str, dict[str, Any]]:
    """What the other servers have to know of a client: its connection's id, its room, and the rest."""
    values = {**member.person(), "key": member.key, "taken": member.taken}
    return member.connectionID, member.room.name, values


def _written(line: Line) -> tuple[int, str, str, int]:
    """A line for another server; what was said may be more than a cluster carries, but it can be written as text."""
    return line.stamp, line.speaker, dumps(line.entry), line.size
