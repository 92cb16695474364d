"""
The links between processes that share a port: how one hands a connection to another, and how they are a cluster.

A request for another one's session comes with an id that tells whose it is: the connection, and what was read of it, is
handed to that worker through a UNIX socket (``SCM_RIGHTS``), for good. On the same links the workers tell each other
what is done to many connections: see :mod:`~siotwisted.cluster`.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
from twisted.application.internet import ClientService, StreamServerEndpointService, backoffPolicy
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, UNIXServerEndpoint
from twisted.internet.interfaces import IFileDescriptorReceiver, IPushProducer
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from siotwisted.interfaces import ICluster

__all__ = ["Accepting", "WorkerLinks"]

#: How many bytes may wait for a worker that does not read, before it is given up.
_MUCH = 256 * 1024 * 1024
#: How long until another worker is looked for again that is not there, in seconds, for the first time.
_RETRY = 0.1
#: How long a worker waits for all others, in seconds, before it serves without them.
_WAIT = 3.0
_HAND_OVER = "hand over"
_TAKEN = "taken"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Accepting(Protocol):
    """What takes over connections: a site."""

    def buildProtocol(self, addr: Any) -> Any:
        """A protocol for a connection."""


@implementer(IFileDescriptorReceiver, IPushProducer)
class _Link(Int32StringReceiver):
    """
    The way to another worker. The first thing that is said is one's number; after that, lists of a topic and values.

    :ivar number: the other one's, once it has said so.
    """

    MAX_LENGTH = _MUCH
    transport: Any

    def __init__(self, owner: WorkerLinks) -> None:
        self._owner = owner
        self.number: int | None = None
        #: Descriptors that have come, whose messages come; and sockets that the other one has not taken yet.
        self._came: deque[int] = deque()
        self._lent: deque[socket.socket] = deque()
        #: What waits until the other one reads again, if it does not.
        self._waiting: list[tuple[bytes, int | None]] | None = None
        self._size = 0

    def connectionMade(self) -> None:
        """Say who this is."""
        self.transport.registerProducer(self, True)
        self.sendString(_encode(self._owner.number))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The other one is gone. The clients of connections that it was lent and has not taken have to come again."""
        if self._lent:
            self._owner.log.warn(
                "worker {number} is gone, with {count} connections", number=self.number, count=len(self._lent)
            )
        for each in self._lent:
            each.close()
        for number in self._came:
            os.close(number)
        self._owner.lost(self)

    def stringReceived(self, string: bytes) -> None:
        """The other one tells something."""
        said = _decode(string)
        if self.number is None:
            self.number = said
            self._owner.linked(self)
            return
        topic, *values = said
        if topic == _HAND_OVER:
            self._take(*values)
        elif topic == _TAKEN:
            self._lent.popleft().close()
        else:
            self._owner.told(self.number, topic, values)

    def _take(self, inode: int, family: int, data: bytes) -> None:
        """
        A connection was handed over, and should be here. The system drops descriptors without a word if this process
        has too many; then none can be trusted to be the one that a message tells of.
        """
        if not self._came or os.fstat(self._came[0]).st_ino != inode:
            self._owner.log.error("a connection from worker {number} did not arrive", number=self.number)
            self.transport.abortConnection()
            return
        self.tell(_TAKEN)
        self._owner.taken(self._came.popleft(), family, data)

    def lengthLimitExceeded(self, length: int) -> None:
        """No message is so long."""
        self._owner.log.error("worker {number} does not speak as one", number=self.number)
        self.transport.abortConnection()

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """A connection comes, before the message that goes with it has come."""
        self._came.append(descriptor)

    def tell(self, topic: str, *values: Any) -> None:
        """Say something."""
        self._say(_encode([topic, *values]))

    def _say(self, message: bytes, descriptor: int | None = None) -> None:
        if self._waiting is None:
            if descriptor is not None:
                self.transport.sendFileDescriptor(descriptor)
            self.sendString(message)
            return
        self._waiting.append((message, descriptor))
        self._size += len(message)
        if self._size > _MUCH:
            self._owner.log.error("worker {number} does not listen any more", number=self.number)
            self._waiting.clear()
            self.transport.abortConnection()

    def lend(self, connection: socket.socket, family: int, data: bytes) -> None:
        """Hand a connection over."""
        self._lent.append(connection)
        number = connection.fileno()
        self._say(_encode([_HAND_OVER, os.fstat(number).st_ino, family, data]), number)

    def pauseProducing(self) -> None:
        """The other one does not read."""
        self._waiting = []

    def resumeProducing(self) -> None:
        """It does."""
        waiting, self._waiting = self._waiting or (), None
        self._size = 0
        for message, descriptor in waiting:
            self._say(message, descriptor)

    def stopProducing(self) -> None:
        """It is gone, as :meth:`connectionLost` tells too."""


@implementer(ICluster)
class WorkerLinks(MultiService):
    """
    One worker's links to all others.

    :param number: which one this is, from 0 on.
    :param count: how many there are.
    :param folder: where their sockets are; nobody else may enter it.
    :ivar site: gets the connections that others hand over.
    """

    log = Logger()

    def __init__(self, reactor: Any, number: int, count: int, folder: str) -> None:
        super().__init__()
        self.number = number
        self.site: Accepting | None = None
        self._reactor = reactor
        self._links: dict[int, _Link] = {}
        self._handlers: dict[str, list[Callable[..., None]]] = {}
        self._come: list[Callable[[int], None]] = []
        self._go: list[Callable[[int], None]] = []
        self._count = count
        self._complete: list[Deferred[None]] = []
        factory = Factory.forProtocol(lambda: _Link(self))
        factory.noisy = False
        paths = [os.path.join(folder, str(each)) for each in range(count)]
        listener = StreamServerEndpointService(UNIXServerEndpoint(reactor, paths[number], mode=0o600), factory)
        if os.path.exists(paths[number]):
            os.unlink(paths[number])  # a worker that was killed has left it
        listener.setServiceParent(self)
        for path in paths[:number]:
            again = backoffPolicy(_RETRY, 1.0)
            ClientService(UNIXClientEndpoint(reactor, path), factory, again).setServiceParent(self)

    # What the server asks; see :class:`ICluster`.

    def tell(self, topic: str, *values: Any) -> None:
        """Tell all others."""
        for link in list(self._links.values()):
            link.tell(topic, *values)

    def tellOne(self, number: int, topic: str, *values: Any) -> None:
        """Tell one of them, if it is there."""
        if number in self._links:
            self._links[number].tell(topic, *values)

    def on(self, topic: str, handler: Callable[..., None]) -> None:
        """Call ``handler(number, *values)`` when another one tells something of this topic."""
        self._handlers.setdefault(topic, []).append(handler)

    def onCome(self, handler: Callable[[int], None]) -> None:
        """Call ``handler(number)`` when another one is there."""
        self._come.append(handler)

    def onGo(self, handler: Callable[[int], None]) -> None:
        """Call ``handler(number)`` when another one is gone."""
        self._go.append(handler)

    def complete(self) -> Deferred[None]:
        """Fires when all others are there, or when that has been waited for long enough."""
        complete: Deferred[None] = Deferred()
        self._complete.append(complete)
        self._check()
        return complete.addTimeout(_WAIT, self._reactor, onTimeoutCancel=lambda *_: None)

    def _check(self) -> None:
        if len(self._links) == self._count - 1:
            complete, self._complete = self._complete, []
            for each in complete:
                each.callback(None)

    # What the site asks.

    def reaches(self, number: int) -> bool:
        """Whether a connection can be handed to this worker."""
        return number in self._links

    def handOver(self, number: int, connection: socket.socket, data: bytes) -> None:
        """
        Give a connection to another worker, for good.

        :param connection: a socket that is nobody's any more.
        :param data: what was read of it.
        """
        if number in self._links:
            self._links[number].lend(connection, connection.family, data)
        else:
            self.log.warn("worker {number} is gone, and a connection for it was closed", number=number)
            connection.close()  # the client comes again

    # What the links tell.

    def linked(self, link: _Link) -> None:
        """Another worker is there."""
        assert link.number is not None
        self._links[link.number] = link
        self._call(self._come, link.number)
        self._check()

    def lost(self, link: _Link) -> None:
        """A link is gone."""
        if link.number is not None and self._links.get(link.number) is link:
            del self._links[link.number]
            self._call(self._go, link.number)

    def told(self, number: int, topic: str, values: Sequence[Any]) -> None:
        """Another worker tells something."""
        self._call(self._handlers.get(topic, ()), number, *values)

    def taken(self, descriptor: int, family: int, data: bytes) -> None:
        """Another worker hands a connection over."""
        if self.site is None:
            os.close(descriptor)
            return
        factory = _Adopting(self.site)
        try:
            self._reactor.adoptStreamConnection(descriptor, family, factory)
        except OSError:
            return  # the client has left
        finally:
            os.close(descriptor)
        transport = factory.made.transport
        try:
            factory.made.dataReceived(data)
        except Exception:  # as in the reactor, it is the end of that one alone
            self.log.failure("a connection failed")
            transport.abortConnection()

    def _call(self, handlers: Sequence[Callable[..., None]], *values: Any) -> None:
        for handler in handlers:
            try:
                handler(*values)
            except Exception:
                self.log.failure("what another worker told can't be done")


class _Adopting(Factory):
    """
    Makes the protocol of a connection that was handed over.

    :ivar made: that protocol.
    """

    noisy = False

    def __init__(self, site: Accepting) -> None:
        self._site = site
        self.made: Any = None

    def buildProtocol(self, addr: Any) -> Any:
        """The site's protocol."""
        self.made = self._site.buildProtocol(addr)
        return self.made
