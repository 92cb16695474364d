"""
What handlers hold in their hands: a connection, which is one client in one namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from siotwisted.absences import Absence, Key
from siotwisted.backlog import Backlog
from siotwisted.errors import SessionClosed
from siotwisted.events import Call, Question, answered, answering, eventPacket, told
from siotwisted.handshake import Handshake
from siotwisted.middleware import PacketMiddleware
from siotwisted.outgoing import Outgoing, Queued, outgoingOf
from siotwisted.packets import Kind, Packet, Reason, messagePacket
from siotwisted.recipients import BaseNamespace, NamespaceCore, Selection
from siotwisted.session import Session
from siotwisted.wire.sio45 import RESERVED

__all__ = ["Connection", "ConnectionOwner", "Core"]

#: The inside of a namespace of connections.
Core: TypeAlias = "NamespaceCore[Connection]"

_Middleware = TypeVar("_Middleware", bound="Callable[[Connection, str, list[Any]], object]")


class ConnectionOwner(Protocol):
    """What a connection asks of the client that it belongs to."""

    def leave(self, connection: Connection, reason: Reason) -> None:
        """Take it out of its namespace, if it is there; the client knows."""

    def dismiss(self, connection: Connection) -> None:
        """Tell the client that it has left this namespace, and take it out."""

    def close(self) -> None:
        """Tell the client that it has left all namespaces, and end the session."""

    def supersede(self) -> None:
        """The same, but nothing more of what waits is sent: the client has come back in another session."""

    def absent(self, connection: Connection, reason: Reason) -> None:
        """Its client has left, and may come back; the rooms that it is in are still known."""


class Connection:
    """
    One client in one namespace, as handlers get it. Its text is its id.

    :ivar id: what it is known by in its namespace, and the name of the room where it is alone.
    :ivar recovered: whether its client was away, and has come back to its rooms, its data and all that it had missed.
    :ivar session: the session behind it, which it shares with the same client's connections to other namespaces.
    :ivar handshake: what the client said when it came, with what it said when it joined the namespace.
    :ivar identity: who it is, as ``Config.identity`` says; None if that says nothing.
    """

    __slots__ = (
        "__weakref__",
        "_data",
        "_early",
        "_middleware",
        "_owner",
        "_questions",
        "_warned",
        "absence",
        "core",
        "handshake",
        "id",
        "identity",
        "joined",
        "keys",
        "pid",
        "recovered",
        "session",
    )

    _log = Logger()

    def __init__(self, id: str, owner: ConnectionOwner, core: Core, session: Session, handshake: Handshake) -> None:
        self.id = id
        self.session = session
        self.handshake = handshake
        #: The inside of its namespace, for its client.
        self.core = core
        self._owner = owner
        #: Whether it is in its namespace; None until that is decided.
        self.joined: bool | None = None
        #: The rooms that it is to enter as soon as it is in its namespace.
        self._early: dict[str, None] | None = None
        self._data: dict[Any, Any] | None = None
        self._questions: dict[int, tuple[Question, int]] | None = None
        self._middleware: PacketMiddleware | None = None
        self._warned = False
        #: What it would be known by if its client came back; and how it is away.
        self.identity: Hashable = None
        self.pid: str | None = None
        self.keys: Sequence[Key] = ()
        self.absence: Absence[Connection] | None = None
        self.recovered = False

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        where = "" if self.core.name == "/" else f" {self.core.name}"
        return f"<Connection {self.session.label} {self.transport}{where}>"

    # What it is.

    @property
    def connected(self) -> bool:
        """Whether it is in its namespace: not before all middleware has let it in, nor after it has left."""
        return self.joined is True and not self.session.closed

    @property
    def namespace(self) -> BaseNamespace[Connection]:
        """The namespace that it is in; of one that stands for many, the one of its own name."""
        return self.core.namespace

    @property
    def data(self) -> dict[Any, Any]:
        """For whatever the application wants to remember of it."""
        if self._data is None:
            self._data = {}
        return self._data

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms that it is in: always the one of its own id, until it has left the namespace."""
        if self.joined is None:
            return frozenset((self.id, *(self._early or ())))
        return self.core.rooms.roomsOf(self.id) if self.core.rooms.members.get(self.id) is self else frozenset()

    @property
    def transport(self) -> str:
        """The name of the transport that the client uses, or used last: ``websocket``, ``xhr-polling`` and so on."""
        return self.session.transportName

    @property
    def generation(self) -> str:
        """Which clients this one is of: ``Socket.IO 0.6``, ``Socket.IO 3-4`` and so on."""
        return self.session.dialect.name

    @property
    def address(self) -> str:
        """The client's IP address."""
        return self.handshake.address

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the client's first request, by lower-case name."""
        return self.handshake.headers

    @property
    def query(self) -> Mapping[str, str]:
        """
        The query of the client's first request. With clients from 0.7 to 2.x it holds, too, what the client said when
        it joined the namespace, which counts before the other.
        """
        return self.handshake.query

    @property
    def time(self) -> float:
        """When the client connected, in seconds since the epoch."""
        return self.handshake.time

    # What can be done to it.

    def send(self, data: object) -> None:
        """
        Send a message. It leaves at the end of this turn of the reactor; an absent client gets it when it is back.

        :param data: text, or anything that JSON can hold; bytes, alone or anywhere in it, for clients since 1.0.
        :raises siotwisted.SessionClosed: if the connection has ended.
        :raises siotwisted.QueueFull: if too much waits for this client already.
        :raises siotwisted.EncodeError: if the data can't be written.
        :raises siotwisted.UnsupportedByClient: if the client's generation has no words for it.
        """
        self.transmit(self.core.message(data))

    def emit(self, event: str, *arguments: object) -> None:
        """
        Send an event; otherwise as :meth:`send`.

        :param event: its name; :exc:`~siotwisted.EncodeError` for the few that are reserved.
        :param arguments: each as :meth:`send` takes it.
        """
        # As :meth:`transmit`, which all messages to one client would pay for.
        outgoing = self.core.event(event, arguments)
        if not self.joined:
            raise SessionClosed("the client is not in the namespace")
        self.session.send(outgoing)
        if self.core.handlers.outgoing:
            self.tellOutgoing(outgoingOf(outgoing))

    def deliver(self, data: object) -> Deferred[None]:
        """
        Send a message, and wait until the client is known to have it. The client is asked soon, and not only when its
        next sign of life is due.

        :param data: as :meth:`send` takes it.
        :return: fires when the client has it; fails with :exc:`~siotwisted.DeliveryFailed` if it may not. If the client
            comes back in another session, and is known there, that goes on. It can be cancelled, the message can't.
        :raises Exception: what :meth:`send` raises.
        """
        return self._watched(messagePacket(data, self.core.name))

    def deliverEvent(self, event: str, *arguments: object) -> Deferred[None]:
        """Send an event as :meth:`emit` does; otherwise as :meth:`deliver`."""
        return self._watched(eventPacket(event, arguments, self.core.name))

    def _watched(self, packet: Packet) -> Deferred[None]:
        return self.session.watch(self.transmit(self.core.outgoing(packet)))

    def call(self, event: str, *arguments: object, timeout: float | None = None) -> Deferred[Any]:
        """
        Send an event and wait for the answer.

        :param timeout: how long, in seconds; None to wait as long as the client is there.
        :return: fires with the answer: None, the one value, or a list of several. Fails with
            :exc:`~siotwisted.AckTimeout`, or with :exc:`~siotwisted.AckLost` if the client leaves. It can be cancelled.
        :raises Exception: what :meth:`emit` raises.
        """
        id = self.core.nextNumber()
        outgoing = Outgoing(eventPacket(event, arguments, self.core.name, id))
        place = self.transmit(outgoing)
        call = Call(self, id, timeout, self.core.clock)
        self.expect(id, call, place)
        return call.deferred

    def join(self, *rooms: str) -> None:
        """Enter rooms. Middleware may let it do so before it is in the namespace. Nothing happens once it has left."""
        if self.joined:
            self.core.rooms.join(self.id, rooms)
        elif self.joined is None:
            self._early = {**(self._early or {}), **dict.fromkeys(rooms)}

    def leave(self, *rooms: str) -> None:
        """Leave rooms, as far as it is in them."""
        if self.joined:
            self.core.rooms.leave(self.id, rooms)
        elif self._early is not None:
            self._early = {room: None for room in self._early if room not in rooms}

    def to(self, *rooms: str) -> Selection[Connection]:
        """The others in these rooms; without rooms, all others in the namespace."""
        return self.namespace.to(*rooms).excluding(self)

    def use(self, middleware: _Middleware) -> _Middleware:
        """
        Ask ``middleware(connection, event, arguments)`` about every event of this client, before its handlers.

        It may change the list of arguments, and return a Deferred or a coroutine: the client's later events wait then.
        If it raises :exc:`~siotwisted.errors.EventRefused` the event is dropped; so it is, with a line in the log, if
        it fails in another way. Messages are the event ``message``. Can be used as a decorator.
        """
        if self._middleware is None:
            config = self.core.config
            backlog = Backlog(self.session, config.queueMessages, config.queueBytes)
            self._middleware = PacketMiddleware(self, backlog)
            if self.session.listener is not None and self.core.name == "/":
                self.listen()
        self._middleware.middleware.append(middleware)
        return middleware

    def disconnect(self) -> None:
        """
        Make the client leave the namespace: it is told, and ``onDisconnect`` is called. Does nothing if it has left.

        The session goes on, with the other namespaces that it is in, unless the client knows only the one.
        """
        self._owner.dismiss(self)

    def close(self) -> None:
        """
        End the session: what was sent before leaves first, all namespaces that the client is in are told, then the
        client's transport ends, and ``onDisconnect`` is called. Does nothing if it has ended.
        """
        self._owner.close()

    def supersede(self) -> None:
        """Its client has come back in another session, which takes over what waits in this one."""
        self._owner.supersede()

    # What the fan-out does to it.

    def tellOutgoing(self, outgoing: Outgoing) -> None:
        """Have the handlers hear of a packet that was accepted."""
        self.core.handlers.tellOutgoing(self, told(outgoing.packet))

    def transmit(self, outgoing: Queued, volatile: bool = False) -> int:
        """
        Send a packet that may be for others too, and have the handlers hear of it.

        :param volatile: lose it, unless the client can take it now.
        :return: its place among all that the session has accepted; 0 if it is lost.
        :raises siotwisted.SessionClosed: if the connection is not in its namespace.
        """
        if not self.joined:
            raise SessionClosed("the client is not in the namespace")
        if not self.session.send(outgoing, volatile):
            return 0
        place = self.session.outbox.last
        if self.core.handlers.outgoing:
            self.tellOutgoing(outgoingOf(outgoing))
        return place

    def expect(self, id: int, question: Question, place: int) -> None:
        """The client was asked something, with the packet at this place, and will answer by this number."""
        if not self.joined:
            question.lost(self)  # a handler that saw the question leave has thrown the client out
            return
        if self._questions is None:
            self._questions = {}
        self._questions[id] = question, place

    def forget(self, id: int) -> None:
        """Nobody waits for this answer any more."""
        if self._questions is not None:
            self._questions.pop(id, None)

    # How it comes, and comes back.

    def identify(self, identity: Hashable, pid: str | None) -> None:
        """
        Have it known again, if its client comes back.

        :param identity: who the application says that the client is.
        :param pid: the private id, if it can ask for what it has missed.
        """
        self.identity, self.pid = identity, pid
        keys = (("identity", identity), ("pid", pid))
        self.keys = tuple([(kind, self.core.name, key) for kind, key in keys if key is not None])

    def recover(self, absence: Absence[Connection]) -> None:
        """Be what it was before it was away."""
        self.recovered = True
        self.id = absence.connection.id
        self._data = absence.connection._data
        self._early = dict.fromkeys(absence.rooms)

    @property
    def recoverable(self) -> bool:
        """Whether its client can ask for what it has missed."""
        return self.pid is not None

    # What its client does.

    def entered(self) -> None:
        """It is in the namespace from now on, and in the rooms that it was to enter."""
        self.joined = True
        self.core.used = True
        self.core.rooms.add(self.id, self)
        if self._early:
            self.core.rooms.join(self.id, self._early)
            self._early = None

    def left(self, reason: Reason | None = None) -> None:
        """
        It is not in the namespace any more; or it was refused, if it never was.

        :param reason: what handlers are told; None if there is nothing to tell.
        """
        self.joined = False
        if self._middleware is not None:
            self._middleware.stop()
        if reason is None:
            return
        core = self.core
        core.handlers.tell("disconnecting", self, reason)
        self._owner.absent(self, reason)
        core.rooms.remove(self.id)
        core.handlers.tell("disconnect", self, reason)
        questions, self._questions = self._questions, None
        for question, _ in (questions or {}).values():
            question.lost(self)

    def listen(self) -> None:
        """Hear the session's events at once, unless somebody is asked about them before."""
        session = self.session
        session.listener, session.member = (self.core.handlers, self) if self._middleware is None else (None, None)

    def received(self, packet: Packet) -> None:
        """The client sent an event or a message."""
        if self._middleware is None:
            self.dispatch(packet.id, *(packet.data if packet.kind is Kind.EVENT else told(packet)))
        elif not self._middleware.received(packet):
            self._log.info("session {label}: too many packets wait for middleware", label=self.session.label)
            self.session.close(Reason.FORCED_CLOSE)

    def answered(self, packet: Packet) -> None:
        """The client answered, and so it has what came before. An answer that nobody waits for is ignored."""
        if self._questions is not None and packet.id is not None:
            question, place = self._questions.pop(packet.id, (None, 0))
            if question is not None:
                self.session.confirm(place)
                question.answered(self, answered(packet.data))

    def answer(self, id: int, value: object) -> None:
        """
        Answer the client's packet of this number, if the client is still there.

        :param value: None for no argument, a tuple for several.
        """
        if self.joined:
            self.session.send(Outgoing(Packet(Kind.ACK, answering(value), self.core.name, id)))

    def dispatch(self, id: int | None, event: Any, *arguments: Any) -> None:
        """
        An event is there for its handlers. A number is as good a name as its text; one that is reserved is dropped.

        :param id: the number of the answer that the client waits for, if it does.
        """
        name = event if isinstance(event, str) else str(event)
        if name not in RESERVED:
            self.core.handlers.dispatch(self, name, arguments, id)
        elif not self._warned:
            self._warned = True
            self._log.info("session {label}: sent a reserved event, {name}", label=self.session.label, name=name)
