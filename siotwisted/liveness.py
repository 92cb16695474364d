"""
How a session learns that its client is gone: one deadline, and what happens when it passes.

Who asks whom for signs of life differs between generations; :data:`LIVENESS` has a class for each way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import inf
from typing import ClassVar, Protocol

from siotwisted.config import Config
from siotwisted.deadlines import Alarms
from siotwisted.dialects.dialect import Heartbeat
from siotwisted.interfaces import ISessionTransport
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, Reason

__all__ = ["LIVENESS", "Liveness", "Watched"]


class Watched(Protocol):
    """What a deadline needs of its session."""

    transport: ISessionTransport | None

    def close(self, reason: Reason) -> None:
        """End it."""

    def abandon(self) -> None:
        """End it, for the reason for which its client is away."""

    def answerPoll(self) -> None:
        """Let the client poll again."""

    def cut(self, reason: Reason) -> None:
        """Lose its transport."""

    def ask(self, question: Outgoing) -> None:
        """Send a question for a sign of life, behind all that waits."""

    def answered(self) -> None:
        """The client has answered it."""

    def answer(self, packet: Packet) -> None:
        """Send the answer to one of the client's."""

    def ping(self) -> None:
        """Have the WebSocket itself asked, if there is one and it has anything to tell."""


class Liveness(ABC):
    """
    The deadline of one session.

    :cvar kinds: the packets that are signs of life, and of no interest to anybody else.
    :ivar alarm: see :class:`~siotwisted.deadlines.Sleeper`.
    """

    __slots__ = ("_alarms", "_config", "_due", "_session", "alarm")

    kinds: ClassVar[frozenset[Kind]]

    def __init__(self, session: Watched, alarms: Alarms, config: Config) -> None:
        self._session = session
        self._alarms = alarms
        self._config = config
        self._due = 0.0
        self.alarm = inf

    def __lt__(self, other: object, /) -> bool:
        """See :class:`~siotwisted.deadlines.Sleeper`."""
        return False

    def attached(self, transport: ISessionTransport) -> None:
        """The client has a transport."""

    def detached(self) -> None:
        """The client has none."""

    def touched(self) -> None:
        """Something came from the client."""

    @abstractmethod
    def heard(self, packet: Packet) -> None:
        """One of :attr:`kinds` came."""

    @abstractmethod
    def expired(self) -> None:
        """The deadline has passed."""

    @abstractmethod
    def ask(self) -> None:
        """The client is on a stream: ask it now, unless it is being asked."""

    def stop(self) -> None:
        """No deadline any more, and nothing else."""
        self._alarms.cancel(self)
        del self._session  # which knows this: without this, both would wait for the garbage collector

    def wakeIn(self, seconds: float) -> None:
        """Set the deadline. The alarm behind it is moved only if it would ring too late; too early does no harm."""
        due = self._due = self._alarms.now() + seconds
        if self.alarm > due:
            self._alarms.set(self, due, seconds)

    def wake(self) -> None:
        """The alarm has rung."""
        left = self._due - self._alarms.now()
        if left > 0:
            self._alarms.set(self, self._due, left)
        else:
            self.expired()


class ServerAsksStreams(Liveness):
    """
    On a stream, the server asks; a poll is a sign of life in itself, and an absent client has some time to come back::

        on a stream            the next question is due; or, one being asked, its answer is
        on a held poll         the poll has been held long enough and is answered empty
        without a transport    the client has been away long enough: the end
    """

    __slots__ = ("_count", "_question")

    kinds = frozenset((Kind.HEARTBEAT,))

    def __init__(self, session: Watched, alarms: Alarms, config: Config) -> None:
        super().__init__(session, alarms, config)
        #: The heartbeat that waits for its echo; and how many there were.
        self._question: Outgoing | None = None
        self._count = 0

    @property
    def interval(self) -> float:
        """Between a sign of life and the next question, in seconds."""
        return self._config.heartbeatInterval

    @property
    def timeout(self) -> float:
        """Between a question and its answer, in seconds."""
        return self._config.heartbeatTimeout

    def attached(self, transport: ISessionTransport) -> None:
        """See the table above."""
        self._question = None
        self.wakeIn(self.interval if transport.streaming else self._config.pollDuration)

    def detached(self) -> None:
        """See the table above."""
        self._question = None
        self.wakeIn(self._config.reconnectTimeout)

    def heard(self, packet: Packet) -> None:
        """An echo counts if it is the one that is due; no other buys the client time. Some have no number."""
        if self._question is not None and packet.data in (None, self._question.text):
            self._question = None
            self.wakeIn(self.interval)
            self._session.answered()

    def expired(self) -> None:
        """See the table above."""
        transport = self._session.transport
        if transport is None:
            self._session.abandon()
        elif not transport.streaming:
            self._session.answerPoll()
        elif self._question is None:
            self.ask()
        else:
            self._session.cut(Reason.PING_TIMEOUT)

    def ask(self) -> None:
        """See :class:`Liveness`."""
        if self._question is None:
            self._count += 1
            self._question = Outgoing(Packet(Kind.HEARTBEAT, str(self._count)))
            self.wakeIn(self.timeout)
            self._session.ask(self._question)


class ServerAsksStreamsAsTold(ServerAsksStreams):
    """The same, in the times of Engine.IO."""

    __slots__ = ()

    @property
    def interval(self) -> float:
        """Between a sign of life and the next question, in seconds."""
        return self._config.pingInterval

    @property
    def timeout(self) -> float:
        """Between a question and its answer, in seconds."""
        return self._config.pingTimeout


class ServerAsks(Liveness):
    """The server asks, whatever the transport is; who does not answer in time is gone."""

    __slots__ = ("_asked",)

    kinds = frozenset((Kind.PING, Kind.PONG))

    def __init__(self, session: Watched, alarms: Alarms, config: Config) -> None:
        super().__init__(session, alarms, config)
        self._asked = False
        self.wakeIn(config.pingInterval)

    def heard(self, packet: Packet) -> None:
        """An answer, if one is due. A client that asks does not speak this protocol."""
        if packet.kind is Kind.PING:
            self._session.close(Reason.TRANSPORT_ERROR)
        elif self._asked:
            self._asked = False
            self.wakeIn(self._config.pingInterval)
            self._session.answered()

    def expired(self) -> None:
        """Ask; or, having asked, end the session."""
        if self._asked:
            self._session.close(Reason.PING_TIMEOUT)
        else:
            self.ask()

    def ask(self) -> None:
        """See :class:`Liveness`."""
        if not self._asked:
            self._asked = True
            self.wakeIn(self._config.pingTimeout)
            self._session.ask(Outgoing(Packet(Kind.PING)))


class ClientAsks(Liveness):
    """The client asks, whatever the transport is; anything that comes from it is a sign of life."""

    __slots__ = ("_patience",)

    kinds = frozenset((Kind.PING, Kind.PONG))

    def __init__(self, session: Watched, alarms: Alarms, config: Config) -> None:
        super().__init__(session, alarms, config)
        self._patience = config.pingInterval + config.pingTimeout
        self.touched()

    def touched(self) -> None:
        """It lives. The deadline only moves away, so the alarm may stay where it is."""
        due = self._due = self._alarms.now() + self._patience
        if self.alarm == inf:
            self._alarms.set(self, due, self._patience)

    def heard(self, packet: Packet) -> None:
        """Answer a question. A client that answers, unasked, does not speak this protocol."""
        if packet.kind is Kind.PING:
            session = self._session
            session.answer(Packet(Kind.PONG, packet.data))
            session.ping()
        else:
            self._session.close(Reason.TRANSPORT_ERROR)

    def expired(self) -> None:
        """Nothing came for too long."""
        self._session.close(Reason.PING_TIMEOUT)

    def ask(self) -> None:
        """The client has no answers, but its WebSocket has."""
        self._session.ping()


LIVENESS: dict[Heartbeat, type[Liveness]] = {
    Heartbeat.FIXED: ServerAsksStreams,
    Heartbeat.TOLD: ServerAsksStreamsAsTold,
    Heartbeat.SERVER: ServerAsks,
    Heartbeat.CLIENT: ClientAsks,
}
