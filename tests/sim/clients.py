"""
What all model clients have in common: connections, timers, coming back after an error, and the journal of what came.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from random import Random
from typing import Any, Protocol
from urllib.parse import quote

from tests.sim.carriers import HTTPPeer, WebSocketPeer
from tests.sim.wires import Network, Peer, Wire

__all__ = ["Journal", "Model", "form", "get", "numberOf", "post"]

_HOST = "Host: chat.example\r\n"


def get(target: str) -> bytes:
    """A request."""
    return f"GET {target} HTTP/1.1\r\n{_HOST}\r\n".encode("ascii")


def post(target: str, contentType: str, body: bytes) -> bytes:
    """A request with a body."""
    head = f"POST {target} HTTP/1.1\r\n{_HOST}Content-Type: {contentType}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


def numberOf(text: object) -> int:
    """The number that a text of the server's application begins with."""
    if not isinstance(text, str):
        raise AssertionError(f"not a text of the application: {text!r}")
    digits, found, _ = text.partition("|")
    if not found or not digits.isdigit():
        raise AssertionError(f"damaged: {text[:60]!r}")
    return int(digits)


class Journal(Network, Protocol):
    """What a client needs of the world: the network, and somebody who writes down what came."""

    def connect(self, owner: int, name: str, peer: Peer, random: Random) -> Wire:
        """A new connection to the server."""

    def received(self, model: Model, text: Any) -> None:
        """A client got a message, an event or an answer, whose text it is."""

    def posted(self, model: Model, numbers: list[int], ok: bool) -> None:
        """A client was told what became of its POST of these messages."""

    def dismissed(self, model: Model) -> None:
        """A client was told never to come back."""

    def note(self, text: str, *arguments: Any) -> None:
        """Something for the trace."""


class Model(ABC):
    """
    One client: a page, or a process.

    :param index: its number among the clients of the run.
    :param key: its identity, in the query of its first request; empty for none.
    :ivar tag: what its first request says: its identity, or what no identity is made of.
    :ivar page: how often it has begun anew, without memory.
    :ivar sid: the id of its session, or empty.
    :ivar session: how many sessions it has had.
    :ivar recoverable: whether it asks for recovery, and the server grants it.
    :ivar repeatable: whether messages may come twice in a session: it comes back to it without saying what it has.
    :ivar timeless: whether its POSTs hold no time, so that two of them may look the same.
    :ivar content: whether it takes an answer that is cut off in its head, in good order, for an empty one.
    :ivar generation: which clients it is one of, for traces; and ``mode``, how it comes.
    :ivar asks: whether it can ask for answers.
    :ivar salt: makes the weather of each run another one.
    :ivar alive: whether there is anybody; ``up``, whether it has a session.
    :ivar epoch: how often its connections have been given up.
    :ivar repeats: whether it sends a request again if a connection that it had used before breaks, as browsers do.
    """

    recoverable = False
    repeatable = False
    timeless = False
    content = False
    generation = ""
    mode = ""
    asks = False
    salt = 0

    def __init__(self, world: Journal, index: int, key: str, random: Random) -> None:
        self.world = world
        self.index = index
        self.key = key
        self.tag = key or f"a-{index}"
        self.random = random
        self.page = 0
        self.sid = ""
        self.session = 0
        self.alive = True
        self.up = False
        self.epoch = 0
        self.repeats = random.random() < 0.5
        self._ordinal = 0
        self._peers: list[HTTPPeer | WebSocketPeer] = []
        self._heard = 0.0
        self._patience = 0.0
        self._watching = False
        self._poster: HTTPPeer | None = None
        self._outgoing: list[tuple[str, int | None]] = []
        self._stamp = 0

    def __str__(self) -> str:
        return f"client {self.index} ({self.generation} {self.mode})"

    # Connections.

    def open(self, peer: HTTPPeer | WebSocketPeer, name: str) -> Wire:
        """A new connection to the server."""
        self._ordinal += 1
        # Nothing that happens elsewhere changes the weather of a connection.
        weather = Random(self.salt + self.index * 1_000_003 + self._ordinal)
        return self.world.connect(self.index, f"{self.index}.{self._ordinal} {name}", peer, weather)

    def http(self, name: str) -> HTTPPeer:
        """A connection for requests."""
        peer = HTTPPeer(self, name, self.repeats, self.content)
        self._peers.append(peer)
        return peer

    def websocket(
        self, target: str, opened: Callable[[], None], received: Callable[[bytes], None], lost: Callable[[], None]
    ) -> WebSocketPeer:
        """A WebSocket."""
        peer = WebSocketPeer(self, target.encode("ascii"), opened, received, lost)
        self._peers.append(peer)
        return peer

    def stamp(self) -> str:
        """What makes each URL another one: milliseconds, of which no two are alike that are not at the same moment."""
        return str(1_700_000_000_000 + int(self.world.now * 1000))

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call it so many seconds from now, unless the connection fails before that."""
        self.world.after(seconds, self._timer, self.epoch, call)

    def _timer(self, epoch: int, call: Callable[[], None]) -> None:
        if epoch == self.epoch:
            call()

    def watch(self, seconds: float) -> None:
        """Fail if nothing is heard for so long."""
        self._heard, self._patience = self.world.now, seconds
        if not self._watching:
            self._watching = True
            self.after(seconds, self._watch)

    def _watch(self) -> None:
        left = self._heard + self._patience - self.world.now
        if left <= 1e-6:
            self._watching = False
            self.fail("heard nothing")
        else:
            self.after(left, self._watch)

    # Its life.

    @abstractmethod
    def connect(self) -> None:
        """Begin, or begin again."""

    @abstractmethod
    def say(self, number: int, asking: bool) -> bool:
        """
        Send a numbered message to the server.

        :param asking: whether it wants an answer.
        :return: whether it could.
        """

    def leave(self) -> None:
        """Forget the connections."""
        self.epoch += 1
        self._watching = False
        self._outgoing.clear()
        self._poster = None
        peers, self._peers = self._peers, []
        for peer in peers:
            peer.drop()
        self.up = False

    def fail(self, why: str) -> None:
        """Something went wrong on the way: forget the session, and come back with another one, later."""
        self.world.note("%s failed: %s", self, why)
        self.forget()
        self.leave()
        if self.alive:
            self.after(0.1 + self.random.random() * 1.5, self.connect)

    def forget(self) -> None:
        """The session is over, as far as the client knows."""
        self.sid = ""

    def die(self, back: float | None) -> None:
        """
        The page is closed, or its process killed.

        :param back: in how many seconds another begins, of the same identity; None for never.
        """
        self.world.note("%s dies", self)
        for peer in self._peers:
            if peer.wire is not None:
                peer.wire.reset()
        self.leave()
        self.reborn()
        self.alive = back is not None
        if back is not None:
            self.after(back, self.connect)

    def quit(self) -> None:
        """Leave for good."""
        self.alive = False
        self.leave()

    def reborn(self) -> None:
        """Nothing is remembered."""
        self.page += 1
        self.sid = ""

    def began(self, sid: str) -> None:
        """It has a session."""
        self.sid = sid
        self.session += 1
        self.up = True
        self.world.note("%s has session %s", self, sid)

    # POSTs, one at a time, each with all that waits.

    def enqueue(self, packet: str, number: int | None = None) -> None:
        """Post a packet as soon as the one before is through."""
        self._outgoing.append((packet, number))
        if self._poster is None:
            self._poster = self.http("post")
        if not self._poster.busy:
            self.flush()

    def flush(self) -> None:
        """Post all that waits."""
        batch, self._outgoing = self._outgoing, []
        if batch and self._poster is not None:
            numbers = [number for _, number in batch if number is not None]
            packets = [packet for packet, _ in batch]
            self._poster.request(self.posting(packets), lambda status, body: self._posted(numbers, status))

    def posting(self, packets: list[str]) -> bytes:
        """The request that posts these packets."""
        raise NotImplementedError

    def _posted(self, numbers: list[int], status: int) -> None:
        if numbers:
            self.world.posted(self, numbers, status == 200)
        if status != 200:
            self.fail(f"post: {status}")
            return
        self.flush()
        if self._poster is not None and not self._poster.busy:
            self.posted()

    def posted(self) -> None:
        """All posts are through."""


def form(name: str, value: str) -> bytes:
    """The body of a form with one field."""
    return f"{name}={quote(value, safe='')}".encode("ascii")
