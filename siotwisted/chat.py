"""
The chat: the example application of the first Socket.IO servers, for the clients of all generations, and its page.

A client that knows messages only is in the room ``lobby``. It gets ``{"buffer": [...]}``, the last messages, and
everybody there ``{"announcement": "connected: ID"}``. What a client says, any text or JSON, goes to all others of its
room as ``{"message": [ID, WHAT]}``, and who leaves is announced as ``{"announcement": "disconnected: ID"}``. Saying is
sending a message, or emitting the event ``message``: they are one thing.

Clients that speak events can do more; each of these is answered:

``nick`` NAME
    be shown as NAME. The answer is ``{"nick": NAME}``, or ``{"error": WHY}``.
``join`` ROOM
    go to another room, which is made if it is not there. The answer is what is there, ``{"room": ROOM, "history":
    [ENTRY...], "people": [PERSON...], "count": NUMBER}``, or ``{"error": WHY}``.
``hello`` WISHES
    from now on be told by events, not by messages. WISHES may have a ``nick``, a ``room``, and a ``key``: a secret text
    by which a client that lost its connection takes its own former place. The answer is that of ``join`` with the
    client's ``id`` and ``nick`` and all ``rooms``.
``typing``
    tell the room, should there be time for it.
``echo`` VALUE
    get VALUE back.

Who has said hello is told ``said`` ENTRY, ``people`` [PERSON...] COUNT when somebody comes, goes, has another name or
another transport, ``rooms`` [{"name", "people"}...], and ``typing`` ID. An ENTRY is ``{"id", "nick", "generation",
"time", "message"}``, its time in milliseconds since the epoch; a PERSON is ``{"id", "nick", "generation",
"transport"}``. These ids are for show: no client can be reached, or spoken for, by one.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from importlib.resources import files
from itertools import count, islice
from secrets import token_hex
from typing import Any
from unicodedata import normalize

from twisted.internet.interfaces import IDelayedCall
from twisted.web.resource import Resource

from siotwisted.clientfiles import ClientFiles, StaticFile
from siotwisted.connections import Connection
from siotwisted.errors import EncodeError, QueueFull
from siotwisted.packets import Reason
from siotwisted.resource import SocketIOResource
from siotwisted.server import SocketIO
from siotwisted.wire.jsontext import dumps

__all__ = ["Chat", "chatSite"]

LOBBY = "lobby"

_NICK_LENGTH = 24
_ROOM = re.compile(r"[\w-]{1,24}")
_KEY = re.compile(r"[\w-]{16,64}", re.ASCII)
#: How long news of people may wait for more of it, in seconds: a crowd that comes at once is told of at once.
_NEWS_DELAY = 0.1
#: What is put before the name of a room of the chat to get those of its clients who are told by messages, and those
#: who are told by events. No connection's own room begins so.
_MESSAGES = "messages in "
_EVENTS = "events in "

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


def _cleanNick(text: object) -> str | None:
    """A nickname as it is shown: one line without spaces around; None if the text can't be one."""
    if not isinstance(text, str) or len(text) > 8 * _NICK_LENGTH:
        return None
    nick = " ".join(normalize("NFC", text).split())
    return nick if 0 < len(nick) <= _NICK_LENGTH and nick.isprintable() else None


def _sameNick(nick: str) -> str:
    """What two nicknames have in common that people would take for one."""
    return normalize("NFKC", nick).casefold()


class _Room:
    """
    A room: who is there, and what was said.

    :ivar name: its name.
    :ivar members: who is there, by the ids of their connections.
    :ivar history: what was said: by which connection, as an entry, and how many characters of JSON it is.
    :ivar size: the sum of these.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: dict[str, _Member] = {}
        self.history: deque[tuple[str, dict[str, Any], int]] = deque()
        self.size = 0

    def remember(self, id: str, entry: dict[str, Any], size: int) -> None:
        self.history.append((id, entry, size))
        self.size += size

    def forget(self) -> None:
        self.size -= self.history.popleft()[2]


@dataclass(eq=False)
class _Member:
    """
    Somebody.

    :ivar connection: the client.
    :ivar id: who it is, for all to see.
    :ivar nick: its name, which nobody else has.
    :ivar room: where it is.
    :ivar key: the secret by which its next connection is known, or nothing.
    :ivar channel: which of the two ways of being told it has chosen.
    :ivar transport: the one that it was on when it was heard last.
    """

    connection: Connection
    id: str
    nick: str
    room: _Room
    transport: str
    key: str = ""
    channel: str = _MESSAGES

    def person(self) -> dict[str, str]:
        """What the others may know."""
        return {
            "id": self.id,
            "nick": self.nick,
            "generation": self.connection.generation,
            "transport": self.connection.transport,
        }


class Chat:
    """
    The application.

    :param sio: the server whose clients chat.
    :param lines: how many messages of a room a new client gets to see.
    :param size: how many characters of JSON they may have together; older ones are forgotten first.
    :param rooms: how many rooms there may be. An empty one, with all that was said in it, makes place for a new one.
    :param people: how many people of a room are listed; more are counted only.
    """

    def __init__(
        self, sio: SocketIO, lines: int = 100, size: int = 1_000_000, rooms: int = 20, people: int = 100
    ) -> None:
        self._sio = sio
        self._clock = sio.clock
        self._lines = lines
        self._size = size
        self._maxRooms = rooms
        self._maxPeople = people
        self._rooms = {LOBBY: _Room(LOBBY)}
        self._members: dict[str, _Member] = {}
        self._byNick: dict[str, _Member] = {}
        self._byKey: dict[str, _Member] = {}
        self._listeners = 0
        self._stale: set[str] = set()
        self._news: IDelayedCall | None = None
        self._listed: list[dict[str, Any]] = []
        sio.onConnect(self.joined)
        sio.onMessage(self.said)
        sio.onDisconnect(self.left)
        sio.onAny(self.heard)
        for handler in (self.nick, self.join, self.hello, self.typing, self.echo):
            sio.on(handler.__name__, handler)

    def joined(self, connection: Connection) -> None:
        """A client is there: show it the last messages, and it to all."""
        # Two bytes of randomness make a name that people can tell; the more people, the longer it gets.
        nick = next(nick for size in count(2) if (nick := f"guest-{token_hex(size)}") not in self._byNick)
        member = _Member(connection, token_hex(8), nick, self._rooms[LOBBY], connection.transport)
        self._members[connection.id] = self._byNick[nick] = member
        self._enter(member, member.room)
        buffer = [{"message": [id, entry["message"]]} for id, entry, _ in member.room.history]
        try:
            connection.send({"buffer": buffer})
        except QueueFull:
            connection.send({"buffer": []})  # written with escapes, it is too much for this client
        self._sio.to(_MESSAGES + LOBBY).send({"announcement": f"connected: {connection}"})

    def said(self, connection: Connection, message: Any) -> object:
        """A client said something: tell the others of its room, and remember it."""
        member = self._members[connection.id]
        room = member.room
        told = {"message": [connection.id, message]}
        try:
            size = len(dumps(told))
        except EncodeError:
            return {"error": "only text and JSON can be said"}
        entry = {
            "id": member.id,
            "nick": member.nick,
            "generation": connection.generation,
            "time": round(self._clock.seconds() * 1000),
            "message": message,
        }
        connection.to(_MESSAGES + room.name).send(told)
        connection.to(_EVENTS + room.name).emit("said", entry)
        if size <= self._size // 2:  # or one message would drive all others out
            room.remember(connection.id, entry, size)
            while len(room.history) > self._lines or room.size > self._size:
                room.forget()
        return None

    def left(self, connection: Connection, reason: Reason) -> None:
        """A client is gone: tell the others, unless they go too."""
        member = self._members.pop(connection.id)
        del member.room.members[connection.id]
        for known in (self._byNick, self._byKey):
            for name in [name for name in (_sameNick(member.nick), member.key) if known.get(name) is member]:
                del known[name]
        self._listeners -= member.channel == _EVENTS
        if self._news is not None and not self._listeners:
            self._news.cancel()
            self._news = None
            self._stale.clear()
        if reason is Reason.SERVER_SHUTTING_DOWN:
            return
        self._changed(member.room)
        self._sio.to(_MESSAGES + member.room.name).send({"announcement": f"disconnected: {connection}"})

    def heard(self, connection: Connection, event: str, *args: object) -> None:
        """Anything came from a client, perhaps by another transport than before."""
        member = self._members[connection.id]
        if member.transport != connection.transport:
            member.transport = connection.transport
            self._changed(member.room)

    def nick(self, connection: Connection, name: object = None, *_: object) -> dict[str, str]:
        """A client wants to be called otherwise."""
        member = self._members[connection.id]
        nick = _cleanNick(name)
        if nick is None:
            return {"error": f"a nickname has 1 to {_NICK_LENGTH} characters that can be seen"}
        if self._byNick.setdefault(_sameNick(nick), member) is not member:
            return {"error": "somebody else has that nickname"}
        if _sameNick(nick) != _sameNick(member.nick):
            del self._byNick[_sameNick(member.nick)]
        member.nick = nick
        self._changed(member.room)
        return {"nick": nick}

    def join(self, connection: Connection, name: object = None, *_: object) -> dict[str, Any]:
        """A client wants to go to another room."""
        member = self._members[connection.id]
        name = name.strip().lower() if isinstance(name, str) else ""
        if not _ROOM.fullmatch(name):
            return {"error": "a room's name has 1 to 24 letters, digits, - and _"}
        room = self._rooms.get(name) or self._make(name)
        if room is None:
            return {"error": "there are too many rooms"}
        if room is not member.room:
            self._move(member, room, member.channel)
        return self._view(room)

    def hello(self, connection: Connection, wishes: object = None, *_: object) -> dict[str, Any]:
        """A client wants to be told by events."""
        member = self._members[connection.id]
        wishes = wishes if isinstance(wishes, dict) else {}
        key = wishes.get("key")
        if isinstance(key, str) and _KEY.fullmatch(key):
            self._replace(member, key)
        self._move(member, member.room, _EVENTS)
        if "nick" in wishes:
            self.nick(connection, wishes["nick"])
        if "room" in wishes:
            self.join(connection, wishes["room"])
        return {"id": member.id, "nick": member.nick, "rooms": self._list(), **self._view(member.room)}

    def typing(self, connection: Connection, *_: object) -> None:
        """A client's user is typing."""
        member = self._members[connection.id]
        connection.to(_EVENTS + member.room.name).volatile().emit("typing", member.id)

    def echo(self, connection: Connection, value: object = None, *_: object) -> object:
        """A client wants to know how long this takes."""
        return value

    def _enter(self, member: _Member, room: _Room) -> None:
        member.room = room
        room.members[member.connection.id] = member
        member.connection.join(member.channel + room.name)
        self._changed(room)

    def _move(self, member: _Member, room: _Room, channel: str) -> None:
        del member.room.members[member.connection.id]
        member.connection.leave(member.channel + member.room.name)
        self._changed(member.room)
        self._listeners += (channel == _EVENTS) - (member.channel == _EVENTS)
        member.channel = channel
        self._enter(member, room)

    def _make(self, name: str) -> _Room | None:
        """A new room, if there is place for one, or an empty one can make place."""
        if len(self._rooms) >= self._maxRooms:
            empty = next((each for each in self._rooms.values() if not each.members and each.name != LOBBY), None)
            if empty is None:
                return None
            del self._rooms[empty.name]
        self._rooms[name] = room = _Room(name)
        return room

    def _replace(self, member: _Member, key: str) -> None:
        """A client has lost its connection and has a new one, of which the server may know sooner than of the loss."""
        ghost = self._byKey.get(key)
        self._byKey[key] = member
        member.key = key
        if ghost is None or ghost is member:
            return
        ghost.key = ""
        (member.id, member.nick), (ghost.id, ghost.nick) = (ghost.id, ghost.nick), (member.id, member.nick)
        for each in (member, ghost):
            self._byNick[_sameNick(each.nick)] = each
        ghost.connection.close()

    def _view(self, room: _Room) -> dict[str, Any]:
        """What somebody who comes into a room is shown."""
        people, number = self._people(room)
        history = [entry for _, entry, _ in room.history]
        return {"room": room.name, "history": history, "people": people, "count": number}

    def _people(self, room: _Room) -> tuple[list[dict[str, str]], int]:
        """The people of a room, as many as are listed, and how many they are."""
        return [each.person() for each in islice(room.members.values(), self._maxPeople)], len(room.members)

    def _list(self) -> list[dict[str, Any]]:
        return [{"name": room.name, "people": len(room.members)} for room in self._rooms.values()]

    def _changed(self, room: _Room) -> None:
        """The people of a room are not what they were: tell those who want to know, soon."""
        if self._listeners:
            self._stale.add(room.name)
            if self._news is None:
                self._news = self._clock.callLater(_NEWS_DELAY, self._tell)

    def _tell(self) -> None:
        self._news = None
        stale, self._stale = self._stale, set()
        for name in stale & self._rooms.keys():
            self._sio.to(_EVENTS + name).emit("people", *self._people(self._rooms[name]))
        if self._listed != self._list():
            self._listed = self._list()
            self._sio.to(*(_EVENTS + name for name in self._rooms)).emit("rooms", self._listed)


def chatSite(sio: SocketIO, clientFiles: ClientFiles | None = None) -> Resource:
    """
    The root of the chat's site: its page at ``/``, and the endpoint at ``/socket.io``.

    :param clientFiles: client scripts to serve at the endpoint.
    """
    root = Resource()
    root.putChild(b"socket.io", SocketIOResource(sio, clientFiles))
    for file in files("siotwisted").joinpath("page").iterdir():
        suffix = file.name[file.name.rfind(".") :]
        name = b"" if file.name == "index.html" else file.name.encode("ascii")
        root.putChild(name, StaticFile(file.read_bytes(), _TYPES[suffix], _PAGE_HEADERS))
    return root
