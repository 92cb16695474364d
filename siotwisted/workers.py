"""
Several processes on one port: where they listen, and the process that watches over them.

Each worker accepts connections of its own (``SO_REUSEPORT``), and serves the sessions that began there; connections of
others' sessions go to those by :mod:`~siotwisted.workerlinks`.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint, quoteStringArgument
from twisted.internet.error import CannotListenError, ConnectionDone, ReactorNotRunning
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReadDescriptor, IStreamServerEndpoint
from twisted.internet.task import LoopingCall
from twisted.internet.tcp import makeBinding
from twisted.python.failure import Failure
from twisted.runner.procmon import ProcessMonitor
from zope.interface import implementer

from siotwisted.workerlinks import WorkerLinks

__all__ = ["MOST_WORKERS", "WORKER", "Orphan", "SharedPort", "WorkerEndpoint", "WorkerMonitor"]

#: The environment variable that tells a process that it is a worker.
WORKER = "SIOTWISTED_WORKER"
#: A letter of a session id tells whose it is.
MOST_WORKERS = 26
#: How often, in seconds, it is looked whether all workers have ended.
_LOOK = 0.05
#: How long, in seconds, until a worker is started again that ends at once, again and again.
_LONGEST_DELAY = 60
_TCP = re.compile(r"tcp:(?:port=)?([0-9]{1,5})(?::interface=((?:[^:\\]|\\:)*+))?")
#: How long a line in the log of a worker may be, in bytes.
_LONGEST_LINE = 2**20


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
