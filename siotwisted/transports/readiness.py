"""
Reading from many sockets with little of the reactor's work for each.

For every message a reactor looks up what to call, sets a context for the log, asks for the descriptor and checks the
outcome: about as much work as everything that we do to read it. On Linux a set of sockets can itself be waited for
(epoll(7)), so the reactor watches one set instead of all its members, and has that work once for all that are ready.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from functools import partial
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorFDSet, IReadDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.tcp import Server
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["DONE", "MemberTransport", "ReadySet"]

_log = Logger()

#: How many sockets are read together; and how often, before the reactor gets its turn: what has come while the first
#: were read then leaves with what they have brought, and not in an answer of its own.
_MOST = 256
_ROUNDS = 2


class _Done(Failure):
    """What Twisted asks of the end of each connection, and finds by the names of classes, is known of this one."""

    def check(self, *errorTypes: Any) -> Any:
        """See ``Failure.check``."""
        return None if errorTypes == (ConnectionAborted,) else super().check(*errorTypes)


#: How a connection ends whose client has closed it; one for all, as in the reactor.
DONE = _Done(ConnectionDone())


class MemberTransport(Server):
    """
    A TCP connection as Twisted accepts them, but for who reads it: a set, and not the reactor.

    :param readySet: the set.
    """

    def __init__(self, readySet: ReadySet, *accepted: Any) -> None:
        self.readySet = readySet
        # Attributes that come later, before its end, would not find room in the table of names that all connections
        # share, and each would get a table of its own. And what a class has is found more slowly than what an object
        # has.
        self.dataBuffer, self._tempDataLen, self.disconnecting, self.connected = b"", 0, 0, 0
        self.socket: Any = None
        self.offset = 0
        self.producer, self.streamingProducer, self.producerPaused = None, False, False
        super().__init__(*accepted)

    def _getLogPrefix(self, applicationObject: Any) -> str:
        """Twisted's own way asks for an interface before, which takes longer than the rest."""
        try:
            return str(applicationObject.logPrefix())
        except AttributeError:
            return type(applicationObject).__name__

    def startReading(self) -> None:
        """Be read, from now on."""
        self.readySet.add(self)

    def stopReading(self) -> None:
        """Be read no more."""
        self.readySet.discard(self.fileno())


@implementer(IReadDescriptor)
class ReadySet:
    """
    Accepted TCP connections of Twisted's own, which are read here; all else about them stays with their reactor.

    :param reactor: watches the set.
    """

    def __init__(self, reactor: IReactorFDSet) -> None:
        self._reactor = reactor
        self._epoll = select.epoll()
        self._members: dict[int, Any] = {}
        self._watched = False

    @classmethod
    def make(cls, reactor: object) -> ReadySet | None:
        """A set, if this system and this reactor know such; None if every connection has to be watched by itself."""
        return cls(reactor) if hasattr(select, "epoll") and IReactorFDSet.providedBy(reactor) else None

    def accept(self, port: Any) -> None:
        """Read what this port accepts from now on."""
        port.transport = partial(MemberTransport, self)

    def adopt(self, transport: Any) -> None:
        """Read a connection from now on that the reactor has read, if it is one of Twisted's own."""
        if type(transport) is Server and transport.connected and not transport.disconnecting:
            transport.stopReading()
            transport.__class__ = MemberTransport
            transport.readySet = self  # type: ignore[attr-defined]  # which is what its new class has
            transport.startReading()

    def add(self, transport: MemberTransport) -> None:
        """Read this one, until it is discarded."""
        number = transport.fileno()
        if self._members.get(number) is transport:
            return
        self._epoll.register(number, select.EPOLLIN)
        self._members[number] = transport
        if not self._watched:
            self._watched = True
            self._reactor.addReader(self)

    def discard(self, number: int) -> None:
        """
        Read the connection of this descriptor no more, which is not closed yet: a process that was forked off may have
        it, too, and it would stay in the system's set.
        """
        if self._members.pop(number, None) is None:
            return
        self._epoll.unregister(number)
        if self._watched and not self._members:
            self._watched = False
            self._reactor.removeReader(self)

    # What the reactor asks and tells.

    def fileno(self) -> int:
        """The descriptor of the set."""
        return self._epoll.fileno()

    def logPrefix(self) -> str:
        """What lines in the log begin with."""
        return "siotwisted"

    def doRead(self) -> None:
        """Some are ready. Whatever happens to one of them, as in the reactor, it is the end of that one alone."""
        for _ in range(_ROUNDS):
            ready = self._epoll.poll(0, _MOST)
            if not ready:
                return
            self._read(ready)

    def _read(self, ready: Sequence[tuple[int, int]]) -> None:
        members = self._members
        for number, _ in ready:
            transport = members.get(number)
            if transport is None:
                continue  # it was closed since, for something that another one has brought
            try:
                why = transport.doRead()
            except BaseException as error:
                _log.failure("a connection failed")
                why = error
            if why is not None:
                self._lose(transport, DONE if why is CONNECTION_DONE else Failure(why))

    def _lose(self, transport: Any, reason: Failure) -> None:
        self.discard(transport.fileno())  # before anything can fail: it would be ready again and again
        try:
            if reason is DONE and IHalfCloseableProtocol.providedBy(transport.protocol):
                transport.readConnectionLost(reason)
            else:
                transport.connectionLost(reason)
        except BaseException:
            _log.failure("the end of a connection failed")

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has stopped."""
        self._watched = False
        self._reactor.removeReader(self)
        for transport in list(self._members.values()):
            self._lose(transport, Failure(ConnectionLost()))
