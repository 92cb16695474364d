"""
One server: the wiring of sessions, admission, clients and namespaces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from siotwisted.absences import Absences
from siotwisted.admission import Admission
from siotwisted.clients import Client
from siotwisted.cluster import ClusterFanout, follow
from siotwisted.config import Config
from siotwisted.connections import Connection, Core
from siotwisted.deadlines import Deadlines
from siotwisted.fanout import LocalFanout
from siotwisted.handlers import waitable
from siotwisted.handshake import Handshake
from siotwisted.interfaces import ICluster, IFanout
from siotwisted.ledger import Ledger, Statistics, Undelivered
from siotwisted.namespaces import Namespace
from siotwisted.outbox import Entry
from siotwisted.packets import Packet, Reason
from siotwisted.recipients import NamespaceCore
from siotwisted.registry import SessionRegistry
from siotwisted.session import Session

__all__ = ["SocketIO"]

_Authorizer = TypeVar("_Authorizer", bound=Callable[[Handshake], object])
_Namespace = TypeVar("_Namespace", bound=Namespace)
_OnUndelivered = TypeVar("_OnUndelivered", bound=Callable[[Connection, list[Undelivered], Reason], object])

#: What names a namespace, or many: a name, a pattern for whole names, or a function that is asked about names.
_Name = str | re.Pattern[str] | Callable[[str, Any], object]


class SocketIO(Namespace):
    """
    A Socket.IO server, and its namespace ``/``.

    Clients reach it through a :class:`~siotwisted.SocketIOResource`, a :class:`~siotwisted.SocketIOWebSocketFactory`,
    or any number of both: they share its sessions.

    :param reactor: for the time, and to write at the end of its turns.
    :param config: the settings; the defaults if left out.
    :param cluster: the other servers of which this is one, if it is. What is done to many connections is done on all.
    """

    def __init__(self, reactor: IReactorTime, config: Config | None = None, cluster: ICluster | None = None) -> None:
        super().__init__()
        self._cluster = cluster
        self._fanouts: dict[str, ClusterFanout] = {}
        if cluster is not None:
            follow(cluster, self._fanouts)
        self.config = config or Config()
        self.registry = SessionRegistry(reactor, self.config, self, None if cluster is None else cluster.number)
        self.admission = Admission(self.registry)
        self._ledger = Ledger()
        self.absences: Absences[Connection] = Absences(
            reactor, self.config, self._ledger, lambda connection: self.vacated(connection.core)
        )
        self.arrivals: Deadlines[Client] = Deadlines(reactor, self.config.connectTimeout, Client.late)
        self._clients: dict[str, Client] = {}
        self._names: dict[str, Namespace] = {}
        self._dynamic: list[tuple[re.Pattern[str] | Callable[[str, Any], object], Namespace]] = []
        self.serve("/", self)

    @property
    def clock(self) -> IReactorTime:
        """The reactor."""
        return self.registry.clock

    def of(self, name: _Name) -> Namespace:
        """
        The namespace of a name, which is made if there is none.

        :param name: such as ``/chat``; a missing slash is put before it. A compiled regular expression stands for every
            name that it matches as a whole, and a function, ``name(namespace, auth)``, for every name for which it
            returns True, or a Deferred or a coroutine of it; it gets what the client said when it joined, and may raise
            :exc:`~siotwisted.ConnectionRefused`. It is not asked about a namespace that it has let come to be: who may
            join is a question for its middleware. Of several that fit, the first counts. What comes back then acts for
            all the namespaces that it stands for: they share its handlers.
        """
        if isinstance(name, str):
            name = _slashed(name)
            found = self._names.get(name)
            if found is None:
                found = self._matching(name) or self.serve(name, Namespace())
            found._core.used = True  # the application has it
            return found
        return next((each for known, each in self._dynamic if known == name), None) or self.serve(name, Namespace())

    def serve(self, name: _Name, namespace: _Namespace) -> _Namespace:
        """
        Put a namespace in its place.

        :param name: as for :meth:`of`.
        :return: the namespace.
        :raises ValueError: if this name has a namespace already, or this namespace a name.
        """
        core = namespace._core
        if isinstance(name, str):
            name = _slashed(name)
        if core.served or name in self._names or any(known == name for known, _ in self._dynamic):
            raise ValueError(f"{name} or its namespace is served already")
        if isinstance(name, str):
            self._names[name] = namespace
            self._open(core, name)
        else:
            core.children = {}
            self._dynamic.append((name, namespace))
            self._open(core, name.pattern if isinstance(name, re.Pattern) else getattr(name, "__name__", repr(name)))
        return namespace

    def authorize(self, handler: _Authorizer) -> _Authorizer:
        """
        Ask ``handler(handshake)`` whether a new client may connect. Can be used as a decorator; all that are registered
        must agree.

        The handler gets the :class:`~siotwisted.handshake.Handshake`, and returns True or False, or a Deferred or
        coroutine of one. A client that it refuses is told so with the HTTP status of its generation, 401 for Socket.IO
        0.6; if it fails, 500.
        """
        self.admission.authorizers.append(handler)
        return handler

    allowRequest = authorize

    def onUndelivered(self, handler: _OnUndelivered) -> _OnUndelivered:
        """
        Call ``handler(connection, entries, reason)`` when messages to a client are given up, in whatever namespace.

        It is called after ``onDisconnect``, at once or, if the client could have come back for them, when its time is
        over. The entries are :class:`~siotwisted.Undelivered`, in the order in which they were sent. In the end, every
        message that was accepted is either confirmed by its client, or here. Can be used as a decorator; without any
        such handler, the log has a line of it.
        """
        return self._ledger.onUndelivered(handler)

    def statistics(self) -> Statistics:
        """What has become of all messages so far, in numbers; and how many sessions and connections there are."""
        ledger, sessions = self._ledger, [*self.registry, *self.registry.late.values()]
        outboxes = [session.outbox for session in sessions]
        return Statistics(
            accepted=ledger.accepted + sum(outbox.accepted for outbox in outboxes),
            confirmed=ledger.confirmed + sum(outbox.confirmed for outbox in outboxes),
            pending=self.absences.pending + sum(outbox.pending for outbox in outboxes),
            undelivered=ledger.undelivered,
            moved=ledger.moved,
            dropped=ledger.dropped + sum(outbox.dropped for outbox in outboxes),
            sessions=len(self.registry),
            connections=sum(len(client.connections) for client in self._clients.values()),
        )

    def stop(self, drainTimeout: float = 0.0) -> Deferred[None]:
        """
        Let no new client in, wait until the clients have what was sent to them, and end every connection, in the way in
        which they come back by themselves. What they may not have is reported.

        :param drainTimeout: for how many seconds they are waited for. Meanwhile they are served as before. A second
            call can only shorten that.
        :return: fires when all are closed. A WebSocket whose client does not react is cut after ``closeTimeout``.
        """
        return self.registry.stop(drainTimeout).addCallback(lambda _: self.absences.stop())

    # What clients ask.

    def find(self, name: str, auth: Any) -> Core | Deferred[Core | None] | None:
        """The inside of the namespace that a client names. The functions that stand for many are asked only now."""
        found = self._names.get(name) or self._matching(name)
        if found is not None:
            return found._core
        if not any(callable(known) for known, _ in self._dynamic):
            return None
        return Deferred.fromCoroutine(self._ask(name, auth))

    async def _ask(self, name: str, auth: Any) -> Core | None:
        for known, namespace in list(self._dynamic):
            if isinstance(known, re.Pattern):
                fits: object = known.fullmatch(name) is not None
            else:
                fits = known(name, auth)
                later = waitable(fits)
                if later is not None:
                    fits = await later
            if fits:
                return self._child(name, namespace)._core
        return None

    def vacated(self, core: Core) -> None:
        """Forget a child of a dynamic namespace, if nobody is in it and that is wanted, or nobody ever was."""
        if core.parent is None or core.rooms.members or core.away.members or core.joining:
            return
        if (self.config.cleanUpNamespaces or not core.used) and self._names.get(core.name) is core.namespace:
            del self._names[core.name]
            self._fanouts.pop(core.name, None)
            assert core.parent.children is not None
            del core.parent.children[core.name]
            core.served = False

    # What sessions tell.

    def sessionOpened(self, session: Session) -> None:
        """A session has its first transport."""
        client = self._clients[session.id] = Client(session, self)
        client.opened()

    def packetReceived(self, session: Session, packet: Packet) -> None:
        """A session got a packet."""
        self._clients[session.id].received(packet)

    def sessionClosed(self, session: Session, reason: Reason) -> None:
        """A session has ended; its client is not known if it never had a transport."""
        client = self._clients.get(session.id)
        if client is not None:
            client.ended(reason)

    def sessionSettled(self, session: Session, reason: Reason, entries: Sequence[Entry]) -> None:
        """Of all that a session had accepted, its client may not have these."""
        self._ledger.close(session)
        client = self._clients.pop(session.id, None)
        if client is not None:
            client.settled(reason, entries, session.outbox.floors or {})

    # Namespaces.

    def _open(self, core: Core, name: str) -> None:
        clock = self.registry.clock
        local = LocalFanout(core.rooms, core.away, clock)
        fanout: IFanout = local
        if self._cluster is not None:
            fanout = self._fanouts[name] = ClusterFanout(core, local, self._cluster)
        core.open(name, clock, fanout, self.config)

    def _matching(self, name: str) -> Namespace | None:
        """The child of this name, if the first dynamic namespace that fits can be told without asking a function."""
        for known, parent in self._dynamic:
            if not isinstance(known, re.Pattern):
                return None
            if known.fullmatch(name):
                return self._child(name, parent)
        return None

    def _child(self, name: str, parent: Namespace) -> Namespace:
        """The child of this name of a dynamic namespace."""
        child = self._names.get(name)
        if child is None:
            child = self._names[name] = Namespace()
            core = child._core = NamespaceCore(child, parent._core)
            self._open(core, name)
            assert parent._core.children is not None
            parent._core.children[name] = child
        return child


def _slashed(name: str) -> str:
    return name if name.startswith("/") else f"/{name}"
