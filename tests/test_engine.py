"""
``engine``: Engine.IO without Socket.IO, from its URLs to its receiver.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.config import Config
from siotwisted.engine import EngineIO
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, Reason
from siotwisted.resource import SocketIOResource
from siotwisted.session import Session
from tests.fakes import EnginePoll, EngineSocket, FakeReceiver, attach, makeHandshake


class EngineTests(SynchronousTestCase):
    """One server."""

    def setUp(self) -> None:
        """Make it."""
        self.clock = Clock()
        self.receiver = FakeReceiver()
        self.engine = EngineIO(self.clock, self.receiver)

    def open(self, **query: str) -> Session:
        """A new client."""
        route = self.engine.admission.route([""], {"EIO": "4", **query})
        assert route is not None and route.problem is None
        return self.engine.registry.open(route, makeHandshake(query["transport"], **query))

    def test_messages(self) -> None:
        """Text and bytes, both ways, on a WebSocket and on polls."""
        session = self.open(transport="websocket")
        socket = attach(session, EngineSocket)
        for data in ("é", b"\1"):
            session.send(Outgoing(Packet(Kind.MESSAGE, data)))
        self.clock.advance(0)
        self.assertEqual(socket.sent[1:], ["4é", b"\1"])
        socket.receive("4a", b"\2")
        other = self.open(transport="polling", EIO="3")
        poll = attach(other, EnginePoll)
        other.send(Outgoing(Packet(Kind.MESSAGE, "b")))
        self.clock.advance(0)
        self.assertTrue(poll.writes[0].endswith(b"2:4b"))
        other.dataReceived("2:4c")
        self.assertEqual(self.receiver.packets, ["a", b"\2", "c"])

    def test_failing(self) -> None:
        """What a receiver raises is in the log; the client is not to blame, and the next message counts."""
        session = self.open(transport="websocket")
        socket = attach(session, EngineSocket)
        self.receiver.onPacket = lambda session, packet: 1 // len(packet.data)  # type: ignore[assignment]
        socket.receive("4", "4b")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((session.closed, self.receiver.packets), (False, ["", "b"]))

    def choke(self, session: Session, *what: object) -> None:
        """A receiver that is at fault."""
        raise ZeroDivisionError

    def test_failingOpened(self) -> None:
        """So it is if it fails when a client comes: that is served all the same."""
        self.receiver.onOpened = self.choke
        session = self.open(transport="websocket")
        attach(session, EngineSocket).receive("4a")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((session.closed, self.receiver.packets), (False, ["a"]))

    def test_failingClosed(self) -> None:
        """If it fails at the ends of clients, all of them end, and it hears of what they lack."""
        self.receiver.onClosed = self.choke
        self.assertStops()
        self.assertEqual([entries for _, entries in self.receiver.settled], [[("a", False)]] * 2)

    def test_failingSettled(self) -> None:
        """So they do if it fails when it hears that."""
        self.patch(self.receiver, "sessionSettled", self.choke)
        self.assertStops()

    def assertStops(self) -> None:
        """The server stops, with two clients between two polls; the log has what was raised for each."""
        for _ in range(2):
            session = self.open(transport="polling")
            attach(session, EnginePoll)
            self.clock.advance(0)
            session.send(Outgoing(Packet(Kind.MESSAGE, "a")))
        self.successResultOf(self.engine.stop())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertEqual((self.receiver.reasons, len(self.engine.registry)), ([Reason.SERVER_SHUTTING_DOWN] * 2, 0))
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop(self) -> None:
        """It ends all sessions, and lets nobody in."""
        session = self.open(transport="polling")
        attach(session, EnginePoll)
        self.successResultOf(self.engine.stop())
        self.assertEqual(self.receiver.reasons, [Reason.SERVER_SHUTTING_DOWN])
        route = self.engine.admission.route([""], {"EIO": "4", "transport": "polling"})
        assert route is not None
        refusal = self.engine.admission.check(route, lambda name: None, False)
        self.assertEqual(refusal and refusal.status, 503)

    def test_config(self) -> None:
        """The settings are those of any server; without any they are the defaults."""
        self.assertEqual(self.engine.registry.config, Config())
        config = Config(maxPayload=5)
        self.assertIs(EngineIO(self.clock, self.receiver, config).registry.config, config)

    def test_resource(self) -> None:
        """It can be hung into a site."""
        self.assertTrue(SocketIOResource(self.engine).isLeaf)
