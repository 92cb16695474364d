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

Several servers can be one chat: its people see no difference. Only if two of them take one nickname on two servers in
the same moment, one is soon called ``guest-...`` again.
"""

from __future__ import annotations

import re
from importlib.resources import files
from itertools import islice
from typing import Any
from unicodedata import normalize

from twisted.internet.interfaces import IDelayedCall
from twisted.web.resource import Resource

from siotwisted.chatreplica import Line, Member, Replica, Room
from siotwisted.clientfiles import ClientFiles, StaticFile
from siotwisted.connections import Connection
from siotwisted.errors import EncodeError, QueueFull
from siotwisted.interfaces import ICluster
from siotwisted.packets import Reason
from siotwisted.resource import SocketIOResource
from siotwisted.server import SocketIO
from siotwisted.wire.jsontext import dumps

__all__ = ["Chat", "chatSite"]

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


class Chat:
    """
    The application.

    :param sio: the server whose clients chat.
    :param lines: how many messages of a room a new client gets to see.
    :param size: how many characters of JSON they may have together; older ones are forgotten first.
    :param rooms: how many rooms there may be. An empty one, with all that was said in it, makes place for a new one.
    :param people: how many people of a room are listed; more are counted only.
    :param cluster: the other servers of the same chat, if it has several: that of ``sio``.
    """

    def __init__(
        self,
        sio: SocketIO,
        lines: int = 100,
        size: int = 1_000_000,
        rooms: int = 20,
        people: int = 100,
        cluster: ICluster | None = None,
    ) -> None:
        self._sio = sio
        self._own = sio.local()
        self._clock = sio.clock
        self._maxPeople = people
        self._replica = Replica(self, cluster, lines, size, rooms)
        self._members = self._replica.members
        self._rooms = self._replica.rooms
        #: The ids of the connections of this server whose clients are told by events.
        self._listeners: set[str] = set()
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
        room = self._replica.add(connection).room
        connection.join(_MESSAGES + room.name)
        buffer = [{"message": [line.speaker, line.entry["message"]]} for line in room.history]
        try:
            connection.send({"buffer": buffer})
        except QueueFull:
            connection.send({"buffer": []})  # written with escapes, it is too much for this client
        self._sio.to(_MESSAGES + room.name).send({"announcement": f"connected: {connection}"})

    def said(self, connection: Connection, message: Any) -> object:
        """A client said something: tell the others of its room, and remember it."""
        member = self._members[connection.id]
        try:
            size = len(dumps({"message": [connection.id, message]}))
        except EncodeError:
            return {"error": "only text and JSON can be said"}
        entry = {
            "id": member.id,
            "nick": member.nick,
            "generation": member.generation,
            "time": round(self._clock.seconds() * 1000),
            "message": message,
        }
        self._replica.say(member, entry, size)
        return None

    def left(self, connection: Connection, reason: Reason) -> None:
        """A client is gone: tell the others, unless they go too."""
        member = self._members[connection.id]
        self._listeners.discard(connection.id)
        if self._news is not None and not self._listeners:
            self._news.cancel()
            self._news = None
            self._stale.clear()
        if reason is Reason.SERVER_SHUTTING_DOWN:
            self._replica.remove(member)  # the other servers will know that this one is gone
            return
        self._replica.discard(member)
        self._sio.to(_MESSAGES + member.room.name).send({"announcement": f"disconnected: {connection}"})

    def heard(self, connection: Connection, event: str, *args: object) -> None:
        """Anything came from a client, perhaps by another transport than before."""
        member = self._members[connection.id]
        if member.transport != connection.transport:
            member.transport = connection.transport
            self._replica.tell(member)

    def nick(self, connection: Connection, name: object = None, *_: object) -> dict[str, str]:
        """A client wants to be called otherwise."""
        nick = _cleanNick(name)
        if nick is None:
            return {"error": f"a nickname has 1 to {_NICK_LENGTH} characters that can be seen"}
        if not self._replica.rename(self._members[connection.id], nick):
            return {"error": "somebody else has that nickname"}
        return {"nick": nick}

    def join(self, connection: Connection, name: object = None, *_: object) -> dict[str, Any]:
        """A client wants to go to another room."""
        member = self._members[connection.id]
        name = name.strip().lower() if isinstance(name, str) else ""
        if not _ROOM.fullmatch(name):
            return {"error": "a room's name has 1 to 24 letters, digits, - and _"}
        room = self._rooms.get(name) or self._replica.make(name)
        if room is None:
            return {"error": "there are too many rooms"}
        if room is not member.room:
            channel = _EVENTS if connection.id in self._listeners else _MESSAGES
            connection.leave(channel + member.room.name)
            connection.join(channel + room.name)
            self._replica.put(member, room)
            self._replica.tell(member)
        return self._view(room)

    def hello(self, connection: Connection, wishes: object = None, *_: object) -> dict[str, Any]:
        """A client wants to be told by events."""
        member = self._members[connection.id]
        wishes = wishes if isinstance(wishes, dict) else {}
        key = wishes.get("key")
        if isinstance(key, str) and _KEY.fullmatch(key):
            self._replica.replace(member, key)
        connection.leave(_MESSAGES + member.room.name)
        connection.join(_EVENTS + member.room.name)
        self._listeners.add(connection.id)
        self._replica.put(member, member.room)
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

    # What the replica tells: the clients of this server are told; the other servers know by themselves.

    def changed(self, room: Room) -> None:
        """The people of a room are not what they were: tell those who want to know, soon."""
        if self._listeners:
            self._stale.add(room.name)
            if self._news is None:
                self._news = self._clock.callLater(_NEWS_DELAY, self._tell)

    def spoken(self, room: Room, line: Line) -> None:
        """Something was said: tell all in the room but who said it."""
        others = self._own.excluding(line.speaker)
        others.to(_MESSAGES + room.name).send({"message": [line.speaker, line.entry["message"]]})
        others.to(_EVENTS + room.name).emit("said", line.entry)

    def lost(self, member: Member) -> None:
        """Somebody is gone with a server, which can't announce it any more."""
        self._own.to(_MESSAGES + member.room.name).send({"announcement": f"disconnected: {member.connectionID}"})

    def _view(self, room: Room) -> dict[str, Any]:
        """What somebody who comes into a room is shown."""
        people, number = self._people(room)
        return {"room": room.name, "history": [line.entry for line in room.history], "people": people, "count": number}

    def _people(self, room: Room) -> tuple[list[dict[str, str]], int]:
        """The people of a room, as many as are listed, and how many they are."""
        return [each.person() for each in islice(room.members.values(), self._maxPeople)], len(room.members)

    def _list(self) -> list[dict[str, Any]]:
        return [{"name": room.name, "people": len(room.members)} for room in self._rooms.values()]

    def _tell(self) -> None:
        self._news = None
        stale, self._stale = self._stale, set()
        for name in stale & self._rooms.keys():
            self._own.to(_EVENTS + name).emit("people", *self._people(self._rooms[name]))
        if self._listed != self._list():
            self._listed = self._list()
            self._own.to(*(_EVENTS + name for name in self._rooms)).emit("rooms", self._listed)


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
