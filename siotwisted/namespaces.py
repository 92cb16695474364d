"""
What applications hold in their hands: connections, and the namespace that they meet in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from twisted.internet.defer import Deferred

from siotwisted.fanout import LocalFanout
from siotwisted.handlers import Handlers
from siotwisted.handshake import Handshake
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Packet, Reason, messagePacket
from siotwisted.session import Session

__all__ = ["Connection", "Namespace"]

_Handler = TypeVar("_Handler", bound=Callable[..., object])


class Connection:
    """
    One client, as handlers get it. Its text is its id.

    :ivar id: the session id.
    :ivar session: the session behind it.
    """

    __slots__ = ("id", "session")

    def __init__(self, session: Session) -> None:
        self.id = session.id
        self.session = session

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<Connection {self.session.label} {self.transport}>"

    @property
    def transport(self) -> str:
        """The name of the transport that the client uses, or used last: ``websocket``, ``xhr-polling`` and so on."""
        return self.session.transportName

    @property
    def handshake(self) -> Handshake:
        """The client's first request."""
        return self.session.handshake

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
        """The query of the client's first request."""
        return self.handshake.query

    @property
    def time(self) -> float:
        """When the client connected, in seconds since the epoch."""
        return self.handshake.time

    def send(self, data: object) -> None:
        """
        Send a message. It leaves at the end of this turn of the reactor; an absent client gets it when it is back.

        :param data: text, UTF-8 bytes or a number, which arrive as text; or anything that JSON can hold.
        :raises siotwisted.SessionClosed: if the connection has ended.
        :raises siotwisted.QueueFull: if too much waits for this client already.
        :raises siotwisted.errors.EncodeError: if the data can't be written.
        """
        self.session.send(Outgoing(messagePacket(data)))

    def close(self) -> None:
        """
        End the connection: what was sent before leaves first, then the client's transport ends, and ``onDisconnect`` is
        called. Does nothing if it has ended.
        """
        self.session.close(Reason.SERVER_DISCONNECT)


def _ended(connection: Connection, *_: object) -> bool:
    return connection.session.closed


class Namespace:
    """The connections of an application, its three handlers, and its verbs."""

    def __init__(self) -> None:
        self._connections: dict[str, Connection] = {}
        self._sessions: dict[str, Session] = {}
        self._fanout = LocalFanout(self._sessions)
        self._connect = Handlers("onConnect", _ended)
        self._message = Handlers("onMessage", _ended)
        self._disconnect = Handlers("onDisconnect")

    def onConnect(self, handler: _Handler) -> _Handler:
        """
        Call ``handler(connection)`` for every new client, before any of its messages.

        Like the two others it may return a value, a Deferred or a coroutine; it is not waited for. Can be used as a
        decorator; several handlers are called in the order in which they were registered.
        """
        return self._connect.add(handler)

    def onMessage(self, handler: _Handler) -> _Handler:
        """Call ``handler(connection, message)`` for every message: a str, or the decoded value of a JSON message."""
        return self._message.add(handler)

    def onDisconnect(self, handler: _Handler) -> _Handler:
        """
        Call ``handler(connection, reason)`` once for every client that is gone for good.

        :class:`~siotwisted.packets.Reason` lists the reasons, which are strings.
        """
        return self._disconnect.add(handler)

    def broadcast(self, data: object) -> Deferred[int]:
        """
        Send a message to every client.

        :param data: as :meth:`Connection.send` takes it.
        :return: fires with how many clients' queues accepted it. It may be ignored.
        :raises siotwisted.errors.EncodeError: if the data can't be written.
        """
        return self._fanout.send(Outgoing(messagePacket(data)))

    def broadcastExcept(self, connection: Connection, data: object) -> Deferred[int]:
        """Send a message to every client but one; otherwise as :meth:`broadcast`."""
        return self._fanout.send(Outgoing(messagePacket(data)), (connection.id,))

    def getConnection(self, id: str) -> Connection | None:
        """The connection of this id, if there is one."""
        return self._connections.get(id)

    def connected(self, session: Session) -> None:
        """A client is there."""
        connection = Connection(session)
        self._connections[session.id] = connection
        self._sessions[session.id] = session
        self._connect.call(connection)

    def received(self, session: Session, packet: Packet) -> None:
        """A client sent a message."""
        self._message.call(self._connections[session.id], packet.data)

    def disconnected(self, session: Session, reason: Reason) -> None:
        """A client is gone. Nothing is done for a session that never connected."""
        connection = self._connections.pop(session.id, None)
        if connection is not None:
            del self._sessions[session.id]
            self._disconnect.call(connection, reason)
