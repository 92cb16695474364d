"""
TCP without a network: a connection between a model client and the server, whose bytes a seed delays, cuts and loses.

Each direction is a :class:`Lane`. What is in a lane is on the way: part of it in kernels, where it may still arrive
after a cut, the rest in the sender's own buffer, from where it never does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any, Protocol

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IProtocol, IPushProducer, ITransport
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["Lane", "Network", "Peer", "Wire"]

#: How much a transport of Twisted buffers before it pauses its producer.
_BUFFER = 65536
_PEER = IPv4Address("TCP", "192.0.2.7", 54321)
_HOST = IPv4Address("TCP", "192.0.2.1", 80)
#: After how long a kernel gives a silent connection up.
TCP_TIMEOUT = 900.0


class Peer(Protocol):
    """The client's end of a connection."""

    def dataReceived(self, data: bytes) -> None:
        """Bytes have come."""

    def connectionLost(self) -> None:
        """It is over; not called for an end that the client brought about."""


class Network(Protocol):
    """
    What connections need of the world.

    :ivar rough: how likely a delivery is disturbed by the weather; 0 when all has healed.
    """

    now: float
    rough: float

    def after(self, seconds: float, call: Callable[..., object], *arguments: Any) -> None:
        """Call it so many seconds from now."""

    def disturbed(self, kind: str, wire: Wire) -> None:
        """A disturbance took place on a live connection."""

    def tell(self, wire: Wire, what: str, data: bytes = b"") -> None:
        """Something for the trace."""


#: In so many seconds at least a client learns that its connection is cut, and has sent a request again elsewhere.
_NOTICE = 0.01


class Lane:
    """
    One direction of a connection.

    :param room: how many bytes fit into the kernels on the way.
    :ivar buffer: what has been sent, and has not arrived.
    :ivar silent: whether nothing arrives any more, and nobody is told.
    :ivar held: whether the receiver does not read.
    :ivar stalled: until when nothing arrives.
    :ivar doom: at which byte from here the connection is cut, and how.
    :ivar kinds: what is to be counted when bytes are first held up by a stall, or swallowed by a silence.
    :ivar kept: what still arrives of a connection that is cut.
    :ivar ending: whether the sender has closed it, behind all that is in it.
    """

    __slots__ = (
        "_deliver", "_end", "_scheduled", "_wire", "buffer", "doom", "ending", "held", "kept", "kinds", "room",
        "silent", "stalled",
    )  # fmt: skip

    def __init__(self, wire: Wire, room: int, deliver: Callable[[bytes], None], end: Callable[[], None]) -> None:
        self._wire = wire
        self._deliver = deliver
        self._end = end
        self._scheduled = False
        self.buffer = bytearray()
        self.room = room
        self.silent = self.held = self.ending = False
        self.stalled = 0.0
        self.doom: tuple[int, str] | None = None
        self.kept = b""
        self.kinds: list[str] = []

    def push(self, data: bytes) -> None:
        """Send."""
        self.buffer += data
        if self.silent and self.kinds:
            self._wire.disturbed(self.kinds.pop())
        if not self._scheduled:
            self.wake()

    def wake(self) -> None:
        """Let what is in it arrive, when it is time."""
        if not self._scheduled and not self.silent:
            self._scheduled = True
            wire = self._wire
            network, delay = wire.network, wire.latency
            if self.kinds and self.buffer and self.stalled > network.now + delay:
                wire.disturbed(self.kinds.pop())
            network.after(max(delay, self.stalled - network.now), self.pump)

    def keep(self, random: Random) -> None:
        """The connection is cut: some of what kernels have still arrives, the rest never does."""
        most = min(len(self.buffer), self.room)
        choice = random.random()
        left = 0 if choice < 0.4 else most if choice < 0.7 else random.randint(0, most)
        del self.buffer[left:]

    def pump(self) -> None:
        """Some bytes arrive."""
        self._scheduled = False
        if self.silent or self.held:
            return
        wire = self._wire
        if self.stalled > wire.network.now:
            self.wake()
            return
        buffer = self.buffer
        if buffer:
            count, doom = min(len(buffer), self.room), self.doom
            if wire.network.rough and wire.weather.random() < wire.network.rough:
                count = self._disturb(count)
                if not count:
                    return
            if doom is not None:
                if doom[0] <= count:
                    self._pass(doom[0])
                    wire.disturbed(doom[1])
                    wire.cut(doom[1].startswith("FIN"))
                    return
                self.doom = doom[0] - count, doom[1]
            self._pass(count)
            if buffer:
                self.wake()
            wire.relieved()
        if self.ending and not buffer and not self.silent:
            self._end()

    def _pass(self, count: int) -> None:
        if count:
            data = bytes(self.buffer[:count])
            del self.buffer[:count]
            self._deliver(data)

    def _disturb(self, count: int) -> int:
        """
        The weather: later than it should, or in segments.

        :return: how many bytes are left to arrive now, as usual; 0 for none.
        """
        wire = self._wire
        random = wire.weather
        choice = random.random()
        if choice < 0.3:
            wire.disturbed("delayed")
            self.stalled, self.kinds = wire.network.now + random.random() ** 3, []
            self.wake()
            return 0
        if count < 2:
            return count
        if choice < 0.65:  # the rest comes in a later turn
            wire.disturbed("split")
            return random.randint(1, count - 1)
        if choice < 0.9:
            wire.disturbed("segments")
            cuts = sorted(random.randrange(1, count) for _ in range(random.randint(1, 4)))
            sizes = [cut - last for last, cut in zip([0, *cuts], cuts, strict=False)]
        else:
            wire.disturbed("single bytes")
            start = random.randrange(count)
            sizes = [start, *[1] * min(random.randint(1, 24), count - start - 1)]
        for size in sizes:
            self._pass(size)
            if self.silent:
                return 0
            count -= size
        return count


@implementer(ITransport, IConsumer, IPushProducer)
class Wire:
    """
    One connection. It is the server's transport; the client has :meth:`send`, :meth:`close` and :meth:`reset`.

    :param name: for traces.
    :param owner: the index of the client.
    :param random: decides about its weather, and what its cuts lose.
    :ivar connected: whether the server has it, as far as the server knows.
    :ivar open: whether the client has it, as far as the client knows.
    :ivar severed: whether it is cut, and one of them does not know.
    :ivar orderly: whether its end, for the client, is one in good order.
    """

    disconnecting = False
    disconnected = False

    def __init__(
        self, network: Network, owner: int, name: str, protocol: IProtocol, peer: Peer, random: Random
    ) -> None:
        self.network = network
        self.owner = owner
        self.name = name
        self.weather = random
        self.protocol = protocol
        self._peer: Peer | None = peer
        self.latency = random.choice((0.0006, 0.001, 0.01, 0.05))  # no two polls in one millisecond
        self.connected = True
        self.open = True
        self.broken = self.severed = self.orderly = False
        self._finishing = False
        self.producer: Any = None
        self._streaming = False
        self._paused = False
        self.up = Lane(self, 1 << 20, self._toServer, self._upEnded)
        self.down = Lane(self, random.choice((4096, 16384, 65536, 262144)), self._toClient, self._downEnded)
        self.lanes = (self.up, self.down)
        protocol.makeConnection(self)

    def disturbed(self, kind: str) -> None:
        """Count a disturbance, as long as anybody has the connection."""
        if self.connected or self.open:
            self.network.disturbed(kind, self)

    # The client's side.

    def send(self, data: bytes) -> None:
        """Send bytes to the server."""
        if self.open:
            self.up.push(data)

    def close(self) -> None:
        """The client closes it in order: what it has sent arrives before the end."""
        if self.open:
            self.open = False
            self._peer = None
            self.up.ending = True
            self.network.tell(self, "closed by the client")
            self.up.wake()

    def reset(self) -> None:
        """The client's process is gone."""
        if self.open:
            self.up.keep(self.weather)
            self.close()
            self.broken = True

    def _toClient(self, data: bytes) -> None:
        if self.open:
            assert self._peer is not None
            self.network.tell(self, "<-", data)
            self._peer.dataReceived(data)

    def _downEnded(self) -> None:
        if self.open:
            self.open = False
            peer, self._peer = self._peer, None
            self.network.tell(self, "lost by the client")
            assert peer is not None
            peer.connectionLost()

    # The server's side.

    def write(self, data: bytes) -> None:
        """Send bytes to the client."""
        if not self.connected or not data:
            return
        if not self.open and not self.down.silent:
            # The client's kernel has nobody for them, and says so.
            self.broken = True
            if self.up.held and not self.up.silent:
                self.network.after(self.latency, self._refused)
            return
        self.down.push(data)
        if self._streaming and not self._paused and len(self.down.buffer) > self.down.room + _BUFFER:
            self._paused = True
            self.producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send bytes to the client."""
        self.write(b"".join(data))

    def relieved(self) -> None:
        """There is room in a lane again."""
        if self.connected and (self._paused or self._finishing) and len(self.down.buffer) <= self.down.room:
            if self._paused and self.producer is not None:
                self._paused = False
                self.producer.resumeProducing()
            elif self._finishing:
                self._finish()

    def _refused(self) -> None:
        self.lost(ConnectionLost())

    def loseConnection(self) -> None:
        """The server closes it, behind all that it wrote."""
        if self.connected and not self.disconnecting:
            self.disconnecting = self._finishing = True
            self.network.after(0, self.relieved)

    def _finish(self) -> None:
        self._finishing = False
        if self.up.buffer and not self.up.silent:
            self.down.keep(self.weather)  # closing with bytes unread resets the connection
        self._closed(ConnectionDone())

    def abortConnection(self) -> None:
        """The server cuts it."""
        if self.connected:
            self.disconnecting = True
            self.network.after(0, self._aborted)

    def _aborted(self) -> None:
        if self.connected:
            if not self.down.silent:
                self.down.keep(self.weather)
            self._closed(ConnectionAborted())

    def _closed(self, why: Exception) -> None:
        self.orderly = isinstance(why, ConnectionDone)
        self.up.buffer.clear()
        self.down.ending = True
        self.down.wake()
        self.lost(why)

    def lost(self, why: Exception) -> None:
        """The server learns that it is over."""
        if self.connected:
            self.connected = False
            self.disconnecting = self.disconnected = True
            self.network.tell(self, f"lost by the server: {type(why).__name__}")
            producer, self.producer = self.producer, None
            if producer is not None:
                producer.stopProducing()
            protocol, failure = self.protocol, Failure(why)
            del self.protocol
            protocol.connectionLost(failure)

    def _toServer(self, data: bytes) -> None:
        if self.connected and not self.disconnecting:
            self.network.tell(self, "->", data)
            self.protocol.dataReceived(data)

    def _upEnded(self) -> None:
        self.lost(ConnectionLost() if self.broken else ConnectionDone())

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Tell it when to pause."""
        if self.producer is not None:
            raise RuntimeError("a second producer")
        if not self.connected:
            producer.stopProducing()
            return
        self.producer = producer
        self._streaming = streaming
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """Tell it nothing any more."""
        self.producer = None
        self._paused = self._streaming = False
        if self._finishing:
            self.network.after(0, self.relieved)

    def pauseProducing(self) -> None:
        """Read nothing."""
        self.up.held = True

    def resumeProducing(self) -> None:
        """Read on."""
        if self.connected and not self.disconnecting:
            self.up.held = False
            self.up.wake()

    def stopProducing(self) -> None:
        """Be over."""
        self.loseConnection()

    def getPeer(self) -> IPv4Address:
        """Where the client is."""
        return _PEER

    def getHost(self) -> IPv4Address:
        """Where the server is."""
        return _HOST

    # Faults.

    def cut(self, orderly: bool) -> None:
        """
        The way between the two is gone. What was through already arrives; then each side learns of the end, at a time
        of its own or not at all.

        :param orderly: whether the server sees an end in good order.
        """
        random = self.weather
        self.severed = True
        self.orderly = orderly
        for lane in self.lanes:
            sent = len(lane.buffer)
            lane.keep(random)
            lane.silent, lane.kept, lane.buffer = True, bytes(lane.buffer), bytearray(sent)
        self.network.after(0, self._arrive)
        server, client = self._delay(), max(self._delay(), _NOTICE)
        if orderly:  # whoever closes it does so on both sides, and what is left of an answer must not seem whole
            server = min(server, client)
        self.network.after(server, self.lost, ConnectionDone() if orderly else ConnectionLost())
        self.network.after(client, self._downEnded)

    def _arrive(self) -> None:
        """What was through when the connection was cut."""
        up, down = self.up.kept, self.down.kept
        self.up.kept = self.down.kept = b""
        if up and not self.up.held:
            self._toServer(up)
        if down:
            self._toClient(down)

    def _delay(self) -> float:
        """When one side learns that the connection is cut."""
        choice = self.weather.random()
        if choice < 0.4:
            return 0.0
        if choice < 0.8:
            return self.weather.random() * 0.1
        return self.weather.random() * 8 if choice < 0.97 else TCP_TIMEOUT

    def heal(self) -> None:
        """All bytes pass again. A connection of which some were lost is given up by both kernels."""
        self.up.doom = self.down.doom = None
        if self.up.silent or self.down.silent:
            self.lost(ConnectionLost())
            self._downEnded()
        for lane in self.lanes:
            lane.stalled = 0.0
            lane.wake()
