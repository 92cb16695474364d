"""
Servers on real connections, and clients that reach them by treq or byte by byte.

:class:`RunningCase` listens where a test tells it to, and leaves the reactor as it found it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import treq
from twisted.internet import reactor as theReactor
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import clientFromString, connectProtocol, serverFromString
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IListeningPort, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.resource import Resource

from siotwisted import Config, SocketIO, SocketIOResource, SocketIOSite
from siotwisted.connections import Connection

__all__ = ["LOOPBACK", "Peer", "RunningCase", "WatchedSite", "reactor"]

LOOPBACK = "tcp:0:interface=127.0.0.1"
reactor: Any = theReactor


class WatchedSite(SocketIOSite):
    """A site that knows which connections it has."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource)
        self.live: set[IProtocol] = set()
        self._empty: list[Deferred[None]] = []

    def buildProtocol(self, addr: Any) -> Any:
        """Count a connection, as long as it lasts."""
        protocol = super().buildProtocol(addr)
        made, lost = protocol.connectionMade, protocol.connectionLost

        def connectionMade() -> None:
            self.live.add(protocol)
            made()

        def connectionLost(reason: Failure) -> None:
            lost(reason)
            self.live.discard(protocol)
            if not self.live:
                waiting, self._empty = self._empty, []
                for deferred in waiting:
                    deferred.callback(None)

        protocol.connectionMade, protocol.connectionLost = connectionMade, connectionLost
        return protocol

    def empty(self) -> Deferred[None]:
        """Fires when it has no connections."""
        result: Deferred[None] = Deferred()
        if self.live:
            self._empty.append(result)
        else:
            result.callback(None)
        return result


class Peer(Protocol):
    """
    The client's end of a connection.

    :ivar received: all that has come.
    :ivar lost: why the connection is gone; None while it is not.
    """

    transport: Any

    def __init__(self) -> None:
        self.received = b""
        self.lost: Failure | None = None
        self._waiting: list[tuple[Callable[[], bool], Deferred[bytes]]] = []

    def dataReceived(self, data: bytes) -> None:
        """Keep what comes."""
        self.received += data
        self._check()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        """Keep why."""
        self.lost = reason
        self._check()

    def _check(self) -> None:
        for entry in self._waiting[:]:
            ready, deferred = entry
            if ready() or self.lost is not None:
                self._waiting.remove(entry)
                if ready():
                    deferred.callback(self.received)
                else:
                    deferred.errback(AssertionError(f"the connection was lost behind {self.received!r}"))

    def _when(self, ready: Callable[[], bool]) -> Deferred[bytes]:
        result: Deferred[bytes] = Deferred()
        self._waiting.append((ready, result))
        self._check()
        return result

    def until(self, marker: bytes, count: int = 1) -> Deferred[bytes]:
        """Fires with all that has come, when ``marker`` has come so many times."""
        return self._when(lambda: self.received.count(marker) >= count)

    def more(self) -> Deferred[bytes]:
        """Fires with all that has come, when there is more of it than now."""
        size = len(self.received)
        return self._when(lambda: len(self.received) > size)

    def closed(self) -> Deferred[bytes]:
        """Fires with all that has come, when the connection is gone."""
        return self._when(lambda: self.lost is not None)


class RunningCase(TestCase):
    """
    A test with servers on real connections.

    :ivar messages: what the application was sent by the last server's clients.
    :ivar reasons: why they are gone.
    """

    timeout = 30.0

    def setUp(self) -> None:
        """Watch the log; have an agent whose connections are closed in the end."""
        self.messages: list[Any] = []
        self.reasons: list[str] = []
        self.connections: list[Connection] = []
        self._events: list[LogEvent] = []
        self._servers: list[SocketIO] = []
        self._ports: list[IListeningPort] = []
        self._sites: list[WatchedSite] = []
        self._peers: list[Peer] = []
        observer: Any = self._events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.pool = HTTPConnectionPool(reactor)
        self.pool.retryAutomatically = False
        self.agent: Any = Agent(reactor, pool=self.pool)
        self.addCleanup(self.end)

    async def end(self) -> None:
        """Stop what runs, and wait until the last connection is gone."""
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        await gatherResults([sio.stop() for sio in self._servers])
        await self.pool.closeCachedConnections()
        for peer in self._peers:
            if peer.lost is None:
                peer.transport.abortConnection()
        await gatherResults([peer.closed() for peer in self._peers])
        await gatherResults([site.empty() for site in self._sites])

    def server(self, config: Config | None = None) -> SocketIO:
        """A server whose application takes notes."""
        sio = SocketIO(reactor, config)
        sio.onConnect(self.connections.append)
        sio.onMessage(lambda connection, message: self.messages.append(message))
        sio.onDisconnect(lambda connection, reason: self.reasons.append(str(reason)))
        self._servers.append(sio)
        return sio

    def site(self, sio: SocketIO) -> WatchedSite:
        """A site with a page and a server's endpoint."""
        root = Resource()
        root.putChild(b"socket.io", SocketIOResource(sio))
        self._sites.append(WatchedSite(root))
        return self._sites[-1]

    async def listen(self, factory: IProtocolFactory, description: str = LOOPBACK) -> IListeningPort:
        """Listen."""
        port: IListeningPort = await serverFromString(reactor, description).listen(factory)
        self._ports.append(port)
        return port

    async def start(self, config: Config | None = None) -> tuple[SocketIO, str, int]:
        """
        Run a server on a port.

        :return: the server, the URL of its endpoint, and its port.
        """
        sio = self.server(config)
        port: Any = await self.listen(self.site(sio))
        number: int = port.getHost().port
        return sio, f"http://127.0.0.1:{number}/socket.io", number

    async def connect(self, port: int) -> Peer:
        """Connect to a port."""
        return await self.connectTo(clientFromString(reactor, f"tcp:127.0.0.1:{port}"))

    async def connectTo(self, endpoint: IStreamClientEndpoint) -> Peer:
        """Connect to an endpoint."""
        peer: Peer = await connectProtocol(endpoint, Peer())
        self._peers.append(peer)
        return peer

    async def get(self, url: str, **more: Any) -> Any:
        """GET; the answer has its ``text`` read."""
        response: Any = await treq.get(url, agent=self.agent, **more)
        response.content = await treq.content(response)
        return response

    async def post(self, url: str, payload: str, **more: Any) -> Any:
        """Post a payload."""
        response: Any = await treq.post(url, data={"data": payload}, agent=self.agent, **more)
        response.content = await treq.content(response)
        return response

    async def open(self, base: str, transport: str = "xhr-polling") -> str:
        """Begin a session by polling, and give its id."""
        response = await self.get(f"{base}/{transport}//1322000000000")
        content: str = response.content.decode()
        assert content.startswith("~m~27~m~"), content
        return content[8:]

    async def turn(self) -> None:
        """Let a turn of the reactor pass."""
        await deferLater(reactor, 0)

    async def until(self, happened: Callable[[], bool]) -> None:
        """Let turns of the reactor pass until something has happened that tells nobody of it."""
        while not happened():
            await self.turn()

    def logged(self) -> list[str]:
        """What our package logged since the last time, and every failure."""
        events, self._events[:] = self._events[:], []
        return [
            formatEvent(event)
            for event in events
            if event.get("log_namespace", "").startswith("siotwisted") or "log_failure" in event
        ]
