"""
Several processes on one port: the workers, the links between them, and the process that watches over them.

Each worker accepts connections of its own (``SO_REUSEPORT``), and serves the sessions that began there. A request for
another one's session comes with an id that tells whose it is: the connection, and what was read of it, is handed to
that worker through a UNIX socket (``SCM_RIGHTS``), for good. On the same links the workers are a cluster: see
:mod:`~siotwisted.cluster`.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from typing import Protocol as Structure

import msgspec
from twisted.application.internet import ClientService, StreamServerEndpointService, backoffPolicy
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
    quoteStringArgument,
)
from twisted.internet.error import CannotListenError, ConnectionDone, ReactorNotRunning
from twisted.internet.interfaces import (
    IFileDescriptorReceiver,
    IListeningPort,
    IProtocolFactory,
    IPushProducer,
    IReadDescriptor,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.task import LoopingCall
from twisted.internet.tcp import makeBinding
from twisted.logger import Logger
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure
from twisted.runner.procmon import ProcessMonitor
from zope.interface import implementer

from siotwisted.interfaces import ICluster

__all__ = [
    "MOST_WORKERS",
    "WORKER",
    "Accepting",
    "Orphan",
    "SharedPort",
    "WorkerEndpoint",
    "WorkerLinks",
    "WorkerMonitor",
]

#: The environment variable that tells a process that it is a worker.
WORKER = "SIOTWISTED_WORKER"
#: A letter of a session id tells whose it is.
MOST_WORKERS = 26
#: How many bytes may wait for a worker that does not read, before it is given up.
_MUCH = 256 * 1024 * 1024
#: How often, in seconds, it is looked whether all workers have ended.
_LOOK = 0.05
#: How long, in seconds, until a worker is started again that ends at once, again and again.
_LONGEST_DELAY = 60
#: How long until another worker is looked for again that is not there, in seconds, for the first time.
_RETRY = 0.1
#: How long a worker waits for all others, in seconds, before it serves without them.
_WAIT = 3.0
_TCP = re.compile(r"tcp:(?:port=)?([0-9]{1,5})(?::interface=((?:[^:\\]|\\:)*+))?")
#: How long a line in the log of a worker may be, in bytes.
_LONGEST_LINE = 2**20
_HAND_OVER = "hand over"
_TAKEN = "taken"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Accepting(Structure):
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
        """The other one is gone, and what it was lent is its."""
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
            connection.close()  # it is gone since it was looked for: the client comes again

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


class SharedPort(NamedTuple):
    """
    A TCP port that several processes listen on.

    :ivar number: of the port.
    :ivar interface: the address; all of IPv4 if there is none.
    """

    number: int
    interface: str

    @classmethod
    def read(cls, description: str) -> SharedPort | None:
        """The port of an endpoint's description; None if it is another kind of endpoint, or has other options."""
        match = _TCP.fullmatch(description)
        if match is None or not hasattr(socket, "SO_REUSEPORT"):
            return None
        return cls(int(match[1]), (match[2] or "").replace("\\:", ":"))

    def __str__(self) -> str:
        """Its description."""
        return f"tcp:{self.number}:interface={quoteStringArgument(self.interface)}"

    def reserve(self) -> tuple[socket.socket, SharedPort]:
        """
        Have the port, without listening there.

        :return: what has it, until it is closed; and the port, which was chosen now if its number is 0.
        :raises CannotListenError: if it can't be had.
        """
        holder = socket.socket(socket.AF_INET6 if ":" in self.interface else socket.AF_INET)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            holder.bind((self.interface, self.number))
        except OSError as error:
            holder.close()
            raise CannotListenError(self.interface, self.number, error) from error
        return holder, SharedPort(holder.getsockname()[1], self.interface)

    def endpoint(self, reactor: Any) -> IStreamServerEndpoint:
        """Where one of the processes listens."""
        binding: Any = makeBinding(self.interface, self.number, reuseAddress=True, reusePort=True)
        kind = TCP6ServerEndpoint if ":" in self.interface else TCP4ServerEndpoint
        return kind(reactor, binding, interface=self.interface)


@implementer(IStreamServerEndpoint)
class WorkerEndpoint:
    """
    Where a worker listens, as soon as the sessions of all others can be reached from there.

    :param port: which port that is.
    """

    def __init__(self, reactor: Any, port: SharedPort, links: WorkerLinks) -> None:
        self._endpoint = port.endpoint(reactor)
        self._links = links

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Wait, then listen."""
        return self._links.complete().addCallback(lambda _: self._endpoint.listen(protocolFactory))


@implementer(IReadDescriptor)
class Orphan:
    """
    Standard input of a worker, to be read: when it ends, so has the process that watches over the workers, and the
    worker stops, too.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def fileno(self) -> int:
        """Standard input."""
        return 0

    def logPrefix(self) -> str:
        """What lines in the log begin with."""
        return "siotwisted"

    def doRead(self) -> Any:
        """Something is there, which nobody has a use for, or the end."""
        return None if os.read(0, 1024) else ConnectionDone()

    def connectionLost(self, reason: Failure) -> None:
        """It has ended; or the reactor has stopped."""
        self._reactor.removeReader(self)
        try:
            self._reactor.stop()
        except ReactorNotRunning:
            pass


class WorkerMonitor(ProcessMonitor):
    """
    Starts workers, starts them again when they end, relays what they say to the log, and stops them.

    :param command: the command line of a worker, but for ``--listen`` and the description of each port; in
        :data:`WORKER` of its environment it finds its number, how many there are, and the folder for
        :class:`WorkerLinks`.
    :param ports: where they listen. They are had here all the time.
    :param count: how many there shall be.
    :param patience: how long a worker may take to stop, in seconds, before it is killed.
    """

    def __init__(
        self, reactor: Any, command: Sequence[str], ports: Sequence[SharedPort], count: int, patience: float
    ) -> None:
        super().__init__(reactor)
        self.killTime = patience  # type: ignore[assignment]  # seconds
        self.maxRestartDelay = _LONGEST_DELAY
        self._command = command
        self._ports = ports
        self._count = count
        self._holders: list[socket.socket] = []
        self._folder = ""

    def startService(self) -> None:
        """
        Have the ports, and start the workers, as whoever this process is by now.

        :raises CannotListenError: if a port can't be had.
        """
        command = [*self._command]
        for port in self._ports:
            holder, had = port.reserve()
            self._holders.append(holder)
            command += ["--listen", str(had)]
        self._folder = tempfile.mkdtemp(prefix="siotwisted-")
        for number in range(self._count):
            told = {WORKER: f"{number} {self._count} {self._folder}"}
            self.addProcess(f"worker {number}", command, env={**os.environ, **told})
        super().startService()

    def startProcess(self, name: str) -> None:
        """Start one; a line that it logs may be long."""
        super().startProcess(name)
        if name in self.protocols:
            self.protocols[name].output.MAX_LENGTH = _LONGEST_LINE

    def stopService(self) -> Deferred[None]:  # type: ignore[override]  # it may wait, as any service
        """Stop all; fires when they have ended."""
        super().stopService()
        self._looking = LoopingCall(self._look)
        self._looking.clock = self._clock
        return self._looking.start(_LOOK).addCallback(self._ended)

    def _ended(self, _: object) -> None:
        for holder in self._holders:
            holder.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _look(self) -> None:
        if not self.protocols:
            self._looking.stop()
