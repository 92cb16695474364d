"""
A line between a client and its server, which a test can cut.

Clients connect to a port of the :class:`Line`, and what they and the server say is passed on. While the line is cut
there are no connections, and new ones end as soon as they begin. It remembers what passed last, for the report of a
failure.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from twisted.internet.endpoints import TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
    from twisted.python.failure import Failure

__all__ = ["Line"]


class _Side(Protocol):
    """One connection of the two: what it reads, the other one writes."""

    other: _Side | None = None

    def __init__(self, line: Line, mark: bytes) -> None:
        self._line = line
        self._mark = mark
        self._early: list[bytes] = []

    def connectionMade(self) -> None:
        self._line.sides.add(self)

    def dataReceived(self, data: bytes) -> None:
        self._line.passed.append(self._mark + data)
        if self.other is None:
            self._early.append(data)
        else:
            self.other.write(data)

    def write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def join(self, other: _Side) -> None:
        """Pass on to this other one from now on."""
        self.other = other
        for data in self._early:
            other.write(data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._line.sides.discard(self)
        if self.other is not None and self.other.transport is not None:
            self.other.transport.loseConnection()

    def abort(self, _: object = None) -> None:
        """End both connections at once."""
        transport: Any = self.transport
        transport.abortConnection()


class Line(Factory[_Side]):
    """
    A port that leads to a server.

    :param reactor: a reactor that listens
    :param server: where the server is
    :ivar port: the number of the line's own port, once it has started
    :ivar passed: what was said last: by clients after ``>``, by the server after ``<``
    :ivar sides: the connections there are
    """

    noisy = False

    def __init__(self, reactor: Any, server: IStreamClientEndpoint) -> None:
        self._reactor = reactor
        self._server = server
        self._isCut = False
        self.passed: deque[bytes] = deque(maxlen=400)
        self.sides: set[_Side] = set()

    async def start(self) -> None:
        """Listen on a port of this machine."""
        self._listening = await TCP4ServerEndpoint(self._reactor, 0, interface="127.0.0.1").listen(self)
        self.port: int = self._listening.getHost().port

    async def stop(self) -> None:
        """End all connections, and listen no more."""
        self.cut()
        await self._listening.stopListening()

    def buildProtocol(self, address: IAddress | None) -> _Side | None:
        """Connect a client to the server, or end its connection right away."""
        if self._isCut:
            return None
        client = _Side(self, b"> ")
        reached = connectProtocol(self._server, _Side(self, b"< "))
        reached.addCallbacks(lambda server: self._connect(client, server), client.abort)
        return client

    def _connect(self, client: _Side, server: _Side) -> None:
        if client not in self.sides:
            return server.abort()
        server.join(client)
        client.join(server)

    def cut(self) -> None:
        """End all connections without a goodbye, and let none last until :meth:`mend`."""
        self._isCut = True
        for side in [*self.sides]:
            side.abort()

    def mend(self) -> None:
        """Let clients connect again."""
        self._isCut = False
