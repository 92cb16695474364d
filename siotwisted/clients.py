"""
The conversation with one client: which namespaces it joins and leaves, and where its packets go.
"""

from __future__ import annotations

import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2s
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from siotwisted.absences import Absence, Absences
from siotwisted.backlog import Backlog
from siotwisted.config import Config
from siotwisted.connections import Connection, Core
from siotwisted.deadlines import Deadlines
from siotwisted.errors import (
    ConnectionRefused,
    EncodeError,
    QueueFull,
    SessionClosed,
    UnsupportedByClient,
)
from siotwisted.handshake import Handshake
from siotwisted.ids import newID
from siotwisted.joining import Joining
from siotwisted.outbox import Entry
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, Reason
from siotwisted.session import Session
from siotwisted.wire.jsontext import dumps

__all__ = ["Client", "Directory"]

#: How many namespaces one client may be in.
_MOST = 32
_ROOT = "/"
#: What applications say to each other.
_SPOKEN = frozenset((Kind.EVENT, Kind.MESSAGE, Kind.JSON))
_STAMP = re.compile("[0-9]{1,18}")
#: Of a private id, so many characters are made by chance; the others tell whose it is.
_RANDOM = 19
_KEY = secrets.token_bytes(32)


def _private(identity: Hashable, namespace: str, chance: str) -> str:
    """
    The private id of a connection. It tells of which process it is, and which client and namespace it was given to:
    only to that one client the stamps mean anything that it may say.
    """
    told = f"{hash((identity, namespace))} {chance}".encode("utf-8", "surrogatepass")
    return urlsafe_b64encode(blake2s(told, key=_KEY, digest_size=6).digest()).decode("ascii") + chance


class Directory(Protocol):
    """Where a client finds namespaces: the server."""

    @property
    def config(self) -> Config:
        """The settings."""

    @property
    def arrivals(self) -> Deadlines[Client]:
        """Those who have come, are in no namespace, and have some time to join one."""

    @property
    def absences(self) -> Absences[Connection]:
        """Those who are away."""

    def find(self, name: str, auth: Any) -> Core | Deferred[Core | None] | None:
        """The namespace of this name; None if there is none. If an application must be asked first, a Deferred."""

    def vacated(self, core: Core) -> None:
        """Somebody has left this namespace, or was not let in."""


class Client:
    """
    One client.

    :ivar connections: those that have joined, by namespace.
    """

    __slots__ = ("_directory", "_joining", "_latest", "_left", "connections", "session")

    _log = Logger()

    def __init__(self, session: Session, directory: Directory) -> None:
        self.session = session
        self.connections: dict[str, Connection] = {}
        self._directory = directory
        #: The namespaces that it is about to join, while there is one.
        self._joining: dict[str, Joining] | None = None
        #: Namespaces that it was told to leave, as what it sent before it knew may still come.
        self._left: set[str] | None = None
        #: The connections that it had last, by namespace, of those that it has left: to whom belongs what its session
        #: has not delivered.
        self._latest: dict[str, Connection] | None = None

    # What its session tells.

    def opened(self) -> None:
        """The client is there."""
        if self.session.dialect.joinsRoot:
            self._join(_ROOT, None)
        else:
            self._expectJoin()

    def received(self, packet: Packet) -> None:
        """The client sent a packet."""
        if self._joining and packet.namespace in self._joining:
            self._hold(self._joining[packet.namespace], packet)
            return
        connection = self.connections.get(packet.namespace)
        if connection is not None:
            self._deliver(connection, packet)
        elif packet.kind is Kind.CONNECT:
            self._join(packet.namespace, packet.data)
        elif self._left is None or packet.namespace not in self._left:
            self._object()

    def ended(self, reason: Reason) -> None:
        """The session has ended."""
        self._directory.arrivals.discard(self)
        for name in list(self._joining or ()):
            self._abandon(name)
        for connection in list(self.connections.values()):
            self.leave(connection, reason)

    def settled(self, reason: Reason, entries: Sequence[Entry], floors: Mapping[str, int]) -> None:
        """
        Of what the session had accepted, the client may not have these.

        Connections know their client: both would have to wait for the garbage collector.
        """
        latest, self._latest = self._latest or {}, None
        for name, connection in latest.items():
            mine = [entry for entry in entries if entry.outgoing.namespace == name]
            self._directory.absences.settle(connection, reason, mine, floors.get(name, 0))

    # What its connections ask for.

    def leave(self, connection: Connection, reason: Reason) -> None:
        """Take a connection out of its namespace, once; the client knows."""
        name = connection.core.name
        if self.connections.get(name) is connection:
            del self.connections[name]
            self._remember(name, connection)
            self._arrived(name)
            if name == _ROOT:
                self.session.listener = self.session.member = None
            connection.left(reason)
            self._directory.vacated(connection.core)

    def _remember(self, name: str, connection: Connection) -> None:
        """Have it told, in the end, what was not delivered of what it sent."""
        if self._latest is None:
            self._latest = {}
        elif len(self._latest) >= _MOST and not self.session.closed:  # at its end it leaves all, and each matters
            needed = self.session.outbox.namespaces()
            self._latest = {each: latest for each, latest in self._latest.items() if each in needed}
        self._latest[name] = connection

    def dismiss(self, connection: Connection) -> None:
        """Tell the client that it has left this namespace. It is refused if it is just about to join."""
        name = connection.core.name
        if connection.joined is None:
            connection.left()
            return
        if self.connections.get(name) is not connection:
            return
        if name == _ROOT and self.session.dialect.rootIsAll:
            self.close()
            return
        self._send(Packet(Kind.DISCONNECT, None, name))
        if self._left is None:
            self._left = set()
        if len(self._left) < _MOST:
            self._left.add(name)
        self.leave(connection, Reason.SERVER_DISCONNECT)

    def absent(self, connection: Connection, reason: Reason) -> None:
        """A connection's client has left, and may come back."""
        self._directory.absences.leave(connection, reason, connection.core.away, connection.rooms)

    def supersede(self) -> None:
        """The client has come back in another session."""
        self.session.withhold()
        if self.session.dialect.rootIsAll:
            # Whatever connection a goodbye comes on, such a client does not come back; and it may be the same one.
            self.session.close(Reason.ADOPTED)
        else:
            self.close(Reason.ADOPTED)

    def close(self, reason: Reason = Reason.SERVER_DISCONNECT) -> None:
        """Tell the client that it has left all namespaces, and end the session."""
        for name in sorted(self.connections, key=_ROOT.__eq__):  # to leave the root may mean to leave them all
            try:
                self._send(Packet(Kind.DISCONNECT, None, name))
            except UnsupportedByClient:
                pass  # the end of the session says it
        self.session.close(reason)

    # Packets.

    def _deliver(self, connection: Connection, packet: Packet) -> None:
        kind = packet.kind
        if kind in _SPOKEN:
            connection.received(packet)
        elif kind is Kind.ACK:
            connection.answered(packet)
        elif kind is Kind.RECEIPT:
            self._send(Packet(Kind.ACK, [], packet.namespace, packet.id))
        elif kind is Kind.DISCONNECT:
            self.leave(connection, Reason.CLIENT_DISCONNECT)
        elif kind is not Kind.CONNECT:  # which the clients of 4.6.0 say twice
            self._object()

    def _hold(self, joining: Joining, packet: Packet) -> None:
        """A packet for a namespace that the client is not in yet, or whose handlers have just begun to hear of it."""
        kind = packet.kind
        if kind is Kind.DISCONNECT:
            connection = self.connections.get(packet.namespace)
            if connection is None:
                self._abandon(packet.namespace)
            else:
                self.leave(connection, Reason.CLIENT_DISCONNECT)
        elif kind is Kind.ERROR:
            self._object()
        elif kind is Kind.CONNECT:
            pass  # the clients of 4.6.0 say it twice
        elif not self._held(joining).add(packet):
            self._log.info("session {label}: too many packets before it has joined", label=self.session.label)
            self.session.close(Reason.FORCED_CLOSE)

    def _held(self, joining: Joining) -> Backlog:
        if joining.held is None:
            config = self._directory.config
            joining.held = Backlog(self.session, config.queueMessages, config.queueBytes)
        return joining.held

    def _object(self) -> None:
        """The client sent what has no place here."""
        if self.session.dialect.strict and not self.session.closed:
            self._log.info("session {label}: broke the rules of namespaces", label=self.session.label)
            self.session.close(Reason.FORCED_CLOSE)

    def _send(self, packet: Packet) -> None:
        """Send a packet of our own. A client whose queue has no room for it can't be kept: it would never know."""
        try:
            self.session.tell(Outgoing(packet))
        except SessionClosed:
            pass
        except QueueFull:
            if packet.kind is not Kind.ACK:
                self.session.close(Reason.FORCED_CLOSE)

    # Joining.

    def _join(self, name: str, auth: Any) -> None:
        if self._left is not None:
            self._left.discard(name)
        if len(self.connections) + len(self._joining or ()) >= _MOST:
            self._refuse(name, "too many namespaces")
            return
        joining = Joining()
        if self._joining is None:
            self._joining = {}
        self._joining[name] = joining
        found = self._directory.find(name, auth)
        if found is None or isinstance(found, Deferred) or found.handlers.middleware:
            Deferred.fromCoroutine(self._decide(name, auth, joining, found))
            return
        # Nobody has to be asked, and nothing to be waited for.
        found.joining += 1
        refusal = None
        try:
            self._connection(found, name, auth, joining)
        except (Exception, SystemExit):
            refusal = self._undecided(name)
        self._decided(name, joining, found, refusal)

    async def _decide(self, name: str, auth: Any, joining: Joining, found: Core | Deferred[Core | None] | None) -> None:
        """Ask everybody who has a say, then let the client in or refuse it."""
        core: Core | None = None
        refusal: ConnectionRefused | None = None
        try:
            core = await joining.wait(found)
            if core is None:
                raise ConnectionRefused("Invalid namespace")
            core.joining += 1
            if not joining.over:
                connection = self._connection(core, name, auth, joining)
                asked = joining.absence is None or self._directory.config.recoveryMiddleware
                for middleware in core.handlers.middleware if asked else ():
                    await joining.wait(middleware(connection))
                    if joining.over or connection.joined is False:
                        raise ConnectionRefused("disconnected")
        except ConnectionRefused as error:
            refusal = error
        except (Exception, SystemExit) as error:
            if joining.over and isinstance(error, CancelledError):
                refusal = ConnectionRefused("disconnected")  # the client has left meanwhile
            else:
                refusal = self._undecided(name)
        self._decided(name, joining, core, refusal)

    def _undecided(self, name: str) -> ConnectionRefused:
        """Something has failed: the log gets it, and the client may not come in."""
        self._log.failure("whether a client may join {namespace} can't be told", namespace=name)
        return ConnectionRefused("internal error")

    def _decided(self, name: str, joining: Joining, core: Core | None, refusal: ConnectionRefused | None) -> None:
        """Let the client in or refuse it, unless it has left."""
        if not joining.over:
            if refusal is None and joining.connection is not None:
                self._accept(name, joining, joining.connection)
            else:
                self._arrived(name)
                joining.over = True
                self._refuse(name, *(refusal.message, refusal.data) if refusal else ("internal error",))
        if joining.connection is not None and not joining.connection.joined:
            joining.connection.joined = False
        if joining.absence is not None:
            self._directory.absences.wait(joining.absence)
        if core is not None:
            core.joining -= 1
            self._directory.vacated(core)

    def _connection(self, core: Core, name: str, auth: Any, joining: Joining) -> Connection:
        session = self.session
        config = self._directory.config
        dialect, handshake = session.dialect, session.handshake
        recovers = config.recovery is not None and dialect.recovers
        pid = offset = None
        if recovers and isinstance(auth, Mapping) and isinstance(auth.get("pid"), str):
            pid, offset = auth["pid"], auth.get("offset")
            auth = {key: value for key, value in auth.items() if key not in ("pid", "offset")} or None
        if auth is not None:
            query = handshake.query
            if dialect.joinsRoot and isinstance(auth, Mapping):  # it came as a query
                query = {**query, **auth}
            handshake = replace(handshake, auth=auth, query=query)
        connection = Connection(dialect.connectionID(session.id, name), self, core, session, handshake)
        joining.connection = connection
        identity = None if config.identity is None else self._identify(config.identity, handshake)
        if pid is not None:
            has = 0 if offset is None else int(offset) if isinstance(offset, str) and _STAMP.fullmatch(offset) else -1
            joining.absence = self._absence(core, pid, identity, has)
            if pid == _private(identity, name, pid[-_RANDOM:]):
                joining.has = has
        if joining.absence is not None:
            connection.recover(joining.absence)
        elif recovers:
            pid = _private(identity, name, newID(_RANDOM))
        connection.identify(identity, pid)
        return connection

    def _identify(self, identity: Callable[[Handshake], Hashable], handshake: Handshake) -> Hashable:
        """Who the application says that the client is."""
        try:
            key = identity(handshake)
        except Exception:  # whatever the application raises
            self._log.failure("the identity of a client can't be told")
            return None
        try:
            hash(key)
        except TypeError:  # the client may have said anything
            self._log.info("session {label}: its identity can be no key", label=self.session.label)
            return None
        return key

    def _absence(self, core: Core, pid: str, identity: Hashable, has: int) -> Absence[Connection] | None:
        """How the client of this private id was away, if what it says of what it has can be believed."""
        absences = self._directory.absences
        absence = absences.find(("pid", core.name, pid), identity)
        if absence is None or absence.connection.core is not core:
            return None
        if has < absence.floor:
            absences.end(absence)
            return None
        absence.floor = has
        absences.hold(absence)
        return absence

    def _accept(self, name: str, joining: Joining, connection: Connection) -> None:
        """Let the client in; what it sent meanwhile is heard when its connection is known."""
        absences = self._directory.absences
        if joining.absence is not None and not absences.lasts(joining.absence):
            self.session.close(Reason.TRANSPORT_ERROR)  # it can't have all any more: it comes again, as a new one
            return
        welcome = {"sid": connection.id}
        if connection.pid is not None:
            welcome["pid"] = connection.pid
        try:
            self._send(Packet(Kind.CONNECT, welcome, name))
        except UnsupportedByClient:
            pass  # it knows that it is in
        if joining.over or self.session.closed:
            return
        self._directory.arrivals.discard(self)
        known = None
        if connection.identity is not None:
            known = absences.find(("identity", name, connection.identity), connection.identity)
            if joining.over or self.session.closed:
                return  # the application has ended it, when it heard of the end of the last one
        # After the welcome: a client keeps events that come before it, and has them twice if it is cut off in between.
        absence, joining.absence = joining.absence, None
        if absence is not None:
            absences.hand(absence, self.session.inherit, lambda: self._enter(connection), absence.floor)
            if known is not None:
                known.end()
        elif known is not None:
            # Its private id may be that of a connection which another one of its own has taken the place of since.
            absences.hand(known, self.session.inherit, lambda: self._enter(connection), joining.has)
        else:
            self._enter(connection)
        while joining.held and connection.connected:
            self._deliver(connection, joining.held.take())
        if self._joining and self._joining.get(name) is joining:
            self._arrived(name)
            if name == _ROOT:
                connection.listen()

    def _enter(self, connection: Connection) -> None:
        """It is in its namespace now."""
        self.connections[connection.core.name] = connection
        self._directory.absences.enter(connection)
        connection.entered()
        connection.core.handlers.tell("connect", connection)

    def _arrived(self, name: str) -> Joining | None:
        """It is not on its way there any more, if it was."""
        joining = self._joining.pop(name, None) if self._joining else None
        if not self._joining:
            self._joining = None
        return joining

    def _abandon(self, name: str) -> None:
        """The client leaves before it has joined: whoever still thinks about it need not."""
        joining = self._arrived(name)
        if joining is None:
            return  # it has been decided, by who was told that another one is abandoned
        joining.over = True
        if joining.connection is not None and not joining.connection.joined:
            joining.connection.joined = False
        if joining.thinking is not None:
            joining.thinking.cancel()

    def _refuse(self, name: str, message: str, data: object = None) -> None:
        reply: dict[str, object] = {"message": message}
        if data is not None:
            try:
                dumps(data)
                reply["data"] = data
            except EncodeError:
                self._log.failure("the data of a refusal can't be sent")
        try:
            self._send(Packet(Kind.ERROR, reply, name))
        except UnsupportedByClient:
            if name == _ROOT:
                self.session.close(Reason.SERVER_DISCONNECT)
        if not self.connections and not self._joining:
            self._expectJoin()

    # Time.

    def _expectJoin(self) -> None:
        """The client is in no namespace: it has some time to join one."""
        if not self.session.closed:
            self._directory.arrivals.add(self)

    def late(self) -> None:
        """It has not joined any."""
        self._log.info("session {label}: joined no namespace in time", label=self.session.label)
        self.session.close(Reason.FORCED_CLOSE)
