"""
A TCP proxy on this machine that harms what passes through it.

Each client has a port of its own, so the proxy knows whose connection it harms. What it can do is a :class:`Fault`:
end a connection after any byte, in good order or with a reset; hold its bytes back; hand them on in tiny segments, or
slowly, with its own reading paused; or swallow them silently, as a network does that has lost the way. A fault that is
armed waits for the byte that it is to happen at. Faults are counted when they happen, on connections that live.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
    from twisted.python.failure import Failure

__all__ = ["DIRECTIONS", "KINDS", "Fault", "FaultProxy", "Link"]

#: "up" is what clients say, "down" what servers say.
DIRECTIONS = ("up", "down")

#: The kinds of faults that end a connection, and those that it survives.
KINDS = ("fin", "rst", "half-open", "stall", "slow", "segments")

_FATAL = frozenset(("fin", "rst", "half-open"))

# For a reset, in seconds: what was passed on before is in the kernel by then. A reset does not wait for it.
_WRITTEN = 0.002

#: For each kind that the bytes survive: how many go at a time, and the seconds between; None is all, when it is over.
_PACES: dict[str, tuple[int, float] | None] = {"stall": None, "slow": (40, 0.05), "segments": (3, 0.0005)}


@dataclass(frozen=True)
class Fault:
    """
    What happens to a connection.

    :param kind: one of :data:`KINDS`.
    :param direction: whose bytes are counted, and held back or swallowed; the end is that of both directions.
    :param after: how many bytes of this direction still pass before it.
    :param seconds: how long it lasts. A half-open connection is reset then.
    :param both: a half-open connection swallows the other direction, too.
    :param patience: after how many seconds it happens in any case, if the bytes do not come; None for never.
    """

    kind: str
    direction: str = "down"
    after: int = 0
    seconds: float = 1.0
    both: bool = False
    patience: float | None = None


class _Side(Protocol):
    """One of the two connections of a link."""

    def __init__(self, link: Link, direction: str) -> None:
        self._link = link
        self._direction = direction
        self.alive = False

    def connectionMade(self) -> None:
        self.alive = True
        transport: Any = self.transport
        transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        self._link.flows[self._direction].received(data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.alive = False
        self._link.lost(self._direction, reason is None or bool(reason.check(ConnectionDone)))


class _Flow:
    """One direction of a link: what is read on one side is written on the other, now or later, or never."""

    def __init__(self, link: Link, reactor: Any) -> None:
        self._link = link
        self._reactor = reactor
        self.held = b""
        #: Whether bytes are kept back: until there is a server, and while a fault lasts.
        self.holding = True
        self.swallowing = False
        self.closing = False
        self.source: Any = None
        self.sink: Any = None
        self.fault: Fault | None = None
        self.passed = 0

    def received(self, data: bytes) -> None:
        if self.swallowing:
            return
        self.held += data
        if not self.holding:
            self.passOn()
        elif self.source is not None:
            self.source.pauseProducing()

    def passOn(self) -> None:
        """Hand on what is held, as far as the armed fault lets it pass."""
        fault = self.fault
        if fault is None or self.passed + len(self.held) < fault.after:
            self.write(len(self.held))
            return
        self.write(fault.after - self.passed)
        self._link.happen(fault)

    def write(self, count: int) -> None:
        """Hand on so many bytes."""
        data, self.held = self.held[:count], self.held[count:]
        self.passed += len(data)
        if data:
            self.sink.write(data)

    def open(self) -> None:
        """Hold nothing back any more."""
        self.holding = False
        self.passOn()
        if not self.holding and not self.swallowing:
            if self.closing:
                self.close()
            else:
                self.source.resumeProducing()

    def hold(self, fault: Fault) -> None:
        """Keep bytes back for a while, and stop reading: the sender's bytes pile up where they come from."""
        self.holding = True
        self.source.pauseProducing()
        pace = _PACES[fault.kind]
        until = self._reactor.seconds() + fault.seconds
        if pace is None:
            self._reactor.callLater(fault.seconds, self._end)
        else:
            self._trickle(*pace, until)

    def _trickle(self, size: int, pause: float, until: float) -> None:
        if self.swallowing or not self._link.alive:
            return
        if self._reactor.seconds() >= until:
            self._end()
            return
        self.write(size)
        if not self.held and not self.closing:
            # The next few bytes, whatever the kernel has.
            self.source.resumeProducing()
        self._reactor.callLater(pause, self._trickle, size, pause, until)

    def _end(self) -> None:
        if not self.swallowing and self._link.alive:
            self.open()

    def swallow(self) -> None:
        """Read on, and hand on nothing."""
        self.swallowing = True
        self.held = b""
        self.source.resumeProducing()

    def close(self) -> None:
        """The source has ended in good order, and so does the sink, after what is held."""
        self.closing = True
        if not self.holding and not self.swallowing:
            self.sink.loseConnection()


class Link:
    """
    A client's connection and the one to the server that belongs to it.

    :ivar name: whose port it came to.
    :ivar doomed: whether a fault has happened that it can't survive.
    """

    def __init__(self, proxy: FaultProxy, name: str, reactor: Any) -> None:
        self.name = name
        self.doomed = False
        self._proxy = proxy
        self._reactor = reactor
        self.client = _Side(self, "up")
        self.server = _Side(self, "down")
        self.flows = {direction: _Flow(self, reactor) for direction in DIRECTIONS}

    @property
    def alive(self) -> bool:
        """Whether both connections live."""
        return self.client.alive and self.server.alive

    @property
    def armed(self) -> bool:
        """Whether a fault waits for its byte, or has ended it, or goes on."""
        return self.doomed or any(flow.fault is not None or flow.holding for flow in self.flows.values())

    def join(self) -> None:
        """There is a server: hand on what the client has said."""
        client, server = self.client.transport, self.server.transport
        up, down = self.flows["up"], self.flows["down"]
        up.source = down.sink = client
        up.sink = down.source = server
        for flow in (up, down):
            flow.open()

    def arm(self, fault: Fault) -> None:
        """Let a fault happen, after so many more bytes of its direction."""
        flow = self.flows[fault.direction]
        flow.passed = 0
        flow.fault = fault
        if fault.patience is not None:
            self._reactor.callLater(fault.patience, self._impatient, flow, fault)
        if fault.after == 0 and not flow.holding:
            flow.passOn()

    def _impatient(self, flow: _Flow, fault: Fault) -> None:
        if flow.fault is fault and self.alive and not self.doomed:
            self.happen(fault)

    def happen(self, fault: Fault) -> None:
        """Now."""
        flow = self.flows[fault.direction]
        flow.fault = None
        if not self.alive or self.doomed:
            return
        self._proxy.happened(self, fault)
        if fault.kind not in _FATAL:
            flow.hold(fault)
            return
        self.doomed = True
        for each in self.flows.values():
            if fault.kind != "half-open" or each is flow or fault.both:
                each.swallow()
        if fault.kind == "half-open":
            self._reactor.callLater(fault.seconds, self.reset)
        elif fault.kind == "rst":
            self._reactor.callLater(_WRITTEN, self.reset)
        else:
            self._sides(lambda transport: transport.loseConnection())

    def reset(self) -> None:
        """End both connections with a reset."""
        self.doomed = True
        self._sides(lambda transport: transport.abortConnection())

    def _sides(self, do: Callable[[Any], object]) -> None:
        for side in (self.client, self.server):
            if side.alive:
                do(side.transport)

    def lost(self, direction: str, orderly: bool) -> None:
        """One connection has ended: the other one does too, unless the network has lost the way there."""
        flow = self.flows[direction]
        if not (self.client.alive or self.server.alive):
            self._proxy.links.discard(self)
        if flow.swallowing or flow.sink is None:
            if not self.doomed:
                self.reset()
        elif orderly:
            flow.close()
        else:
            self.reset()


class _Out(Factory[_Side]):
    noisy = False

    def __init__(self, side: _Side) -> None:
        self._side = side

    def buildProtocol(self, address: IAddress | None) -> _Side:
        return self._side


class _Port(Factory[_Side]):
    noisy = False

    def __init__(self, proxy: FaultProxy, name: str) -> None:
        self._proxy = proxy
        self._name = name

    def buildProtocol(self, address: IAddress | None) -> _Side | None:
        return self._proxy.accept(self._name)


class FaultProxy:
    """
    Ports that lead to one server.

    :param reactor: a reactor that listens
    :param server: where the server is
    :ivar links: the connections there are
    :ivar counts: how many faults have happened, by kind
    :ivar away: the names whose connections are reset as soon as they come
    :ivar onLink: is told every new link that leads to the server
    """

    def __init__(self, reactor: Any, server: IStreamClientEndpoint) -> None:
        self._reactor = reactor
        self._server = server
        self._listening: list[Any] = []
        self.links: set[Link] = set()
        self.counts: Counter[str] = Counter()
        self.away: set[str] = set()
        self.onLink: Callable[[Link], object] = lambda link: None

    async def listen(self, name: str) -> int:
        """Open a port for someone, and return its number."""
        port: Any = await TCP4ServerEndpoint(self._reactor, 0, interface="127.0.0.1").listen(_Port(self, name))
        self._listening.append(port)
        number: int = port.getHost().port
        return number

    async def stop(self) -> None:
        """End all connections, and listen no more."""
        for port in self._listening:
            await maybeDeferred(port.stopListening)
        self.heal()
        for link in [*self.links]:
            link.reset()

    def heal(self) -> None:
        """No fault that is armed or goes on lasts: what was held passes, and what is half-open is reset."""
        self.away.clear()
        for link in [*self.links]:
            for flow in link.flows.values():
                flow.fault = None
            if link.doomed:
                link.reset()

    def of(self, name: str) -> list[Link]:
        """The connections of someone that live and that nothing has happened to."""
        return [link for link in self.links if link.name == name and link.alive and not link.armed]

    def leave(self, name: str, seconds: float) -> None:
        """Someone is away: all connections are reset, and new ones at once, for some time."""
        lost = [link for link in self.links if link.name == name and link.alive]
        self.counts["away"] += bool(lost)
        for link in lost:
            link.reset()
        self.away.add(name)
        self._reactor.callLater(seconds, self.away.discard, name)

    # What its ports and links tell.

    def accept(self, name: str) -> _Side:
        """A client has come."""
        link = Link(self, name, self._reactor)
        self.links.add(link)
        if name in self.away:
            self._reactor.callLater(0, link.reset)
        else:
            reached = self._server.connect(_Out(link.server))
            reached.addCallbacks(lambda _: self._connect(link), lambda _: link.reset())
        return link.client

    def _connect(self, link: Link) -> None:
        if not link.client.alive or link.doomed:
            link.reset()
            return
        link.join()
        self.onLink(link)

    def happened(self, link: Link, fault: Fault) -> None:
        """A fault happened to a connection that lived."""
        self.counts[fault.kind] += 1
