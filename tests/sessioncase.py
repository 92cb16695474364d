"""
What the tests of sessions share: a registry on a ``Clock``, and clients of Socket.IO 0.6 with fake transports.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.config import Config
from siotwisted.outgoing import Outgoing
from siotwisted.packets import messagePacket
from siotwisted.registry import SessionRegistry
from siotwisted.session import Session
from siotwisted.wire import sio06
from tests.fakes import (
    FakePoll,
    FakeReceiver,
    FakeStream,
    FakeTransport,
    FakeWebSocket,
    attach,
    connect,
    received,
)

KINDS: tuple[type[FakeTransport], ...] = (FakePoll, FakeStream, FakeWebSocket)
#: A short time that floats add up exactly, in seconds.
TICK = 2**-10
STREAMS: tuple[type[FakeTransport], ...] = (FakeStream, FakeWebSocket)


def frames(*data: str) -> bytes:
    """These texts as ``~m~`` frames, back to back."""
    return "".join(sio06.frame(each) for each in data).encode("utf-8")


def send(session: Session, *messages: object) -> None:
    """Send messages to a client, as an application does."""
    for message in messages:
        session.send(Outgoing(messagePacket(message)))


def texts(events: Sequence[LogEvent]) -> list[str]:
    """Log events as people read them."""
    return [formatEvent(event) for event in events]


class SessionCase(SynchronousTestCase):
    """A registry with the default settings, a clock and a receiver."""

    options: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        """Make them."""
        self.clock = Clock()
        self.receiver = FakeReceiver()
        self.config = Config(**self.options)
        self.registry = SessionRegistry(self.clock, self.config, self.receiver)

    def turn(self) -> None:
        """The reactor's turn ends."""
        self.clock.advance(0)

    def poll(self) -> tuple[Session, FakePoll]:
        """A new client that has its id, and whose second poll is held."""
        session, first = connect(self.registry, FakePoll)
        self.turn()
        self.assertEqual(received(first), [session.id])
        return session, attach(session, FakePoll)

    def stream(self) -> tuple[Session, FakeStream]:
        """A new client that has its id, on a stream."""
        session, stream = connect(self.registry, FakeStream)
        self.turn()
        self.assertEqual(received(stream), [session.id])
        stream.writes.clear()
        return session, stream

    def assertQuiet(self) -> None:
        """Nothing is left: no session, no transport, no timer."""
        self.turn()
        self.assertEqual((len(self.registry), self.registry.transports, self.clock.getDelayedCalls()), (0, set(), []))
