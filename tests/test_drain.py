"""
The end of a server: nobody new, what was sent arrives as far as there is time, and every client comes back by itself.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from siotwisted import Config, Connection, SocketIO
from siotwisted.dialects.dialect import Dialect
from siotwisted.dialects.engineio import ENGINEIO_3, ENGINEIO_4
from siotwisted.dialects.socketio06 import SOCKETIO_06
from siotwisted.dialects.socketio09 import SOCKETIO_09
from siotwisted.packets import Reason
from tests.fakes import (
    EnginePoll,
    EngineSocket,
    FakePoll,
    FakeStream,
    FakeTransport,
    FakeWebSocket,
    attach,
    connect,
    echo,
    messages,
)
from tests.sessioncase import TICK
from tests.transports import Server, ServerCase

#: How often the server looks whether all have all.
LOOK = 0.05


class DrainCase(SynchronousTestCase):
    """A server whose application takes notes."""

    settings: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        """Make it."""
        self.clock = Clock()
        self.sio = SocketIO(self.clock, Config(**self.settings))
        self.connections: list[Connection] = []
        self.reasons: list[Reason] = []
        self.reports: list[list[tuple[Any, bool]]] = []
        self.sio.onConnect(self.connections.append)
        self.sio.onDisconnect(lambda connection, reason: self.reasons.append(reason))
        self.sio.onUndelivered(
            lambda connection, entries, reason: self.reports.append([(each.data, each.sent) for each in entries])
        )

    def stream(self) -> FakeStream:
        """A client of 0.6 on a stream that has been greeted."""
        _, stream = connect(self.sio.registry, FakeStream)
        self.clock.advance(0)
        stream.writes.clear()
        return stream

    def poll(self) -> FakePoll:
        """One whose second poll is held."""
        session, _ = connect(self.sio.registry, FakePoll)
        self.clock.advance(0)
        return attach(session, FakePoll)

    def assertStops(self, stopped: Deferred[None], seconds: float) -> None:
        """The server has stopped then, and not before; all is closed for the same reason, and nothing is left."""
        self.clock.advance(seconds - TICK)
        self.assertNoResult(stopped)
        self.assertEqual(self.reasons, [])
        self.clock.advance(TICK)
        self.assertStopped(stopped)

    def assertStopped(self, stopped: Deferred[None]) -> None:
        """All is closed for the same reason, and nothing is left, when the connections that were cut are gone."""
        for transport in list(self.sio.registry.transports):
            assert isinstance(transport, FakeTransport)
            self.assertTrue(transport.aborted)
            transport.connectionLost()
        self.assertIsNone(self.successResultOf(stopped))
        self.assertEqual(self.reasons, [Reason.SERVER_SHUTTING_DOWN] * len(self.connections))
        self.clock.advance(0)
        self.assertEqual((len(self.sio.registry), self.clock.getDelayedCalls()), (0, []))
        now = self.sio.statistics()
        self.assertEqual((now.pending, now.accepted), (0, now.confirmed + now.undelivered))


class DrainTests(DrainCase):
    """What is waited for."""

    def test_nothingToWaitFor(self) -> None:
        """If nothing is pending it stops at once, however long it might wait."""
        self.stream()
        self.poll()
        self.assertStopped(self.sio.stop(100))
        self.assertEqual(self.reports, [])

    def test_noTime(self) -> None:
        """Without time it does not wait; what waits leaves with the end, and is reported."""
        stream = self.stream()
        self.connections[0].send("a")
        self.assertStopped(self.sio.stop())
        self.assertEqual((messages(stream), self.reports), (["a"], [[("a", True)]]))

    def test_fences(self) -> None:
        """Streams are asked at once; the server has stopped soon after the last has answered."""
        streams = [self.stream(), self.stream()]
        self.sio.send("a")
        self.clock.advance(0)
        stopped = self.sio.stop(100)
        for stream in streams:
            self.assertEqual(len(stream.writes), 2)
            self.assertIn(b"~h~", stream.writes[1])
            self.assertNoResult(stopped)
            echo(stream)
        self.clock.advance(LOOK)
        self.assertStopped(stopped)
        self.assertEqual(self.reports, [])

    def test_polls(self) -> None:
        """A poll that comes within the time takes what waits; the next one says that it has arrived."""
        poll = self.poll()
        poll.connectionLost()
        self.connections[0].send("a")
        stopped = self.sio.stop(100)
        self.clock.advance(30)
        back = attach(poll.session, FakePoll)
        self.clock.advance(LOOK)
        self.assertEqual(messages(back), ["a"])
        self.assertNoResult(stopped)
        attach(poll.session, FakePoll)
        self.clock.advance(LOOK)
        self.assertStopped(stopped)
        self.assertEqual(self.reports, [])

    def test_timeout(self) -> None:
        """Who has not answered by then is not waited for, and what he may lack is reported."""
        silent, other = self.stream(), self.stream()
        self.sio.send("a")
        self.clock.advance(0)
        stopped = self.sio.stop(7.5)
        echo(other)
        self.assertStops(stopped, 7.5)
        self.assertEqual((self.reports, silent.over), ([[("a", True)]], True))

    def test_shorterThanLook(self) -> None:
        """A time that is shorter than that between two looks is kept, too."""
        self.stream()
        self.connections[0].send("a")
        self.assertStops(self.sio.stop(LOOK / 4), LOOK / 4)

    def test_newMessages(self) -> None:
        """What the application sends meanwhile is waited for, too."""
        stream = self.stream()
        self.connections[0].send("a")
        self.clock.advance(0)
        stopped = self.sio.stop(100)
        self.connections[0].send("b")
        echo(stream)
        self.clock.advance(LOOK)
        self.assertNoResult(stopped)
        echo(stream)
        self.clock.advance(LOOK)
        self.assertStopped(stopped)
        self.assertEqual((messages(stream), self.reports), (["a", "b"], []))

    def test_leaves(self) -> None:
        """A client that leaves meanwhile is not waited for."""
        stream = self.stream()
        self.connections[0].send("a")
        self.clock.advance(0)
        stopped = self.sio.stop(100)
        stream.session.transportLost(stream, Reason.TRANSPORT_CLOSE, True)
        self.clock.advance(LOOK)
        self.assertIsNone(self.successResultOf(stopped))
        self.assertEqual((self.reasons, self.reports), ([Reason.TRANSPORT_CLOSE], [[("a", True)]]))


class AgainTests(DrainCase):
    """A second call."""

    def setUp(self) -> None:
        """A client that does not answer."""
        super().setUp()
        self.stream()
        self.connections[0].send("a")
        self.clock.advance(0)

    def test_shorter(self) -> None:
        """It can shorten the wait."""
        first = self.sio.stop(100)
        self.clock.advance(1)
        second = self.sio.stop(2)
        self.assertStops(second, 2)
        self.assertIsNone(self.successResultOf(first))

    def test_atOnce(self) -> None:
        """To nothing, too."""
        first = self.sio.stop(100)
        self.assertStopped(self.sio.stop())
        self.assertIsNone(self.successResultOf(first))

    def test_longer(self) -> None:
        """It can't make it longer."""
        first = self.sio.stop(3)
        self.clock.advance(1)
        second = self.sio.stop(100)
        self.assertStops(first, 2)
        self.assertIsNone(self.successResultOf(second))

    def test_after(self) -> None:
        """When all is over, it is over at once."""
        self.assertStopped(self.sio.stop())
        self.assertStopped(self.sio.stop(100))

    def test_within(self) -> None:
        """A handler that hears of the end may call it."""
        again: list[Deferred[None]] = []
        self.sio.onDisconnect(lambda connection, reason: again.append(self.sio.stop(5)))
        self.assertStopped(self.sio.stop())
        self.assertIsNone(self.successResultOf(again[0]))


#: What each generation is told in the end, on a poll or on a stream or a WebSocket that has joined the root.
GENERATIONS: tuple[tuple[Dialect, type[FakeTransport], type[FakeTransport]], ...] = (
    (SOCKETIO_06, FakePoll, FakeStream),
    (SOCKETIO_06, FakePoll, FakeWebSocket),
    (SOCKETIO_09, FakePoll, FakeStream),
    (SOCKETIO_09, FakePoll, FakeWebSocket),
    (ENGINEIO_3, EnginePoll, EngineSocket),
    (ENGINEIO_4, EnginePoll, EngineSocket),
)


class LastWordsTests(DrainCase):
    """What clients are told, so that each comes back by itself."""

    #: The packets that tell a client not to come back: Socket.IO's disconnect of all generations.
    FINAL = (b"0::", b"41", b"4\x0041")

    def joined(self, dialect: Dialect, kind: type[FakeTransport]) -> FakeTransport:
        """A client that is in the root, whose poll is held, and that has read all."""
        session, transport = connect(self.sio.registry, kind, dialect=dialect)
        self.clock.advance(0)
        if dialect is ENGINEIO_4:
            session.codec.dataReceived("40")
            self.clock.advance(0)
        if not kind.streaming:
            for _ in range(3):
                transport = attach(session, kind)
                self.clock.advance(0)
        transport.writes.clear()
        return transport

    def test_farewell(self) -> None:
        """Neither a held poll nor a stream is told that it is to leave; what was sent comes before the end."""
        for dialect, *kinds in GENERATIONS:
            for kind in kinds:
                for text in ("", "last"):
                    self.setUp()
                    transport = self.joined(dialect, kind)
                    if text:
                        self.connections[0].send(text)
                    self.sio.stop()
                    said = b"".join(transport.writes)
                    self.assertEqual(text.encode() in said, True, (dialect.name, kind, said))
                    for final in self.FINAL:
                        self.assertNotIn(final, said, (dialect.name, kind))
                    self.assertTrue(transport.over or transport.aborted, (dialect.name, kind))

    def test_betweenPolls(self) -> None:
        """Who is between two polls finds no session any more, and begins anew."""
        for dialect, kind, _ in GENERATIONS:
            self.setUp()
            transport = self.joined(dialect, kind)
            session = transport.session
            transport.loseConnection()
            if not session.closed:
                self.connections[0].send("last")
            self.successResultOf(self.sio.stop())
            self.assertIsNone(self.sio.registry.get(session.id))
            self.assertEqual([data for report in self.reports for data, _ in report], ["last"], dialect.name)

    def test_lastWords(self) -> None:
        """Who has been thrown out between two polls has last words to come for: that is waited for, and the answer."""
        transport = self.joined(ENGINEIO_4, EnginePoll)
        transport.loseConnection()
        self.connections[0].send("last")
        self.connections[0].close()
        stopped = self.sio.stop(100)
        self.assertNoResult(stopped)
        poll = attach(transport.session, EnginePoll)
        self.assertIn(b"last", poll.writes[0])
        self.clock.advance(LOOK)
        self.assertNoResult(stopped)
        attach(transport.session, EnginePoll)
        self.clock.advance(LOOK)
        self.assertIsNone(self.successResultOf(stopped))
        self.assertEqual((self.reasons, self.reports), ([Reason.SERVER_DISCONNECT], []))


class DoorTests(ServerCase):
    """Who is let in meanwhile."""

    def test_known(self) -> None:
        """Polls and posts of those who are there are served as ever; those who are new get 503."""
        server = Server()
        sessionID = server.open()
        server.connection.send("a")
        server.sio.registry.stop(100)
        poll = server.get(f"/xhr-polling/{sessionID}/1322000000001")
        self.assertEqual(poll.response().body, b"~m~1~m~a")
        server.post(f"/xhr-polling/{sessionID}/send", "~m~1~m~b")
        self.assertEqual(server.notes.messages, ["b"])
        for path in ("/xhr-polling//1322000000000", "/1/", "/?EIO=4&transport=polling"):
            self.assertEqual(server.get(path).response().status, 503)
        last = server.get(f"/xhr-polling/{sessionID}/1322000000002")
        server.clock.advance(LOOK)
        self.assertEqual(
            (server.reasons, last.response().body if last.received else b""), (["server shutting down"], b"")
        )

    def test_engineIO(self) -> None:
        """A poll of today's clients that comes while the server stops is told in the end to come again."""
        server = Server()
        opening = server.get("/?EIO=4&transport=polling").response().body
        sessionID = json.loads(opening[1:])["sid"]
        server.connection.send("a")
        server.turn()
        stopped = server.sio.registry.stop(100)
        poll = server.get(f"/?EIO=4&transport=polling&sid={sessionID}&t=1")
        self.assertIn(b"a", poll.response().body)
        held = server.get(f"/?EIO=4&transport=polling&sid={sessionID}&t=2")
        self.assertEqual(held.received, b"")
        server.clock.advance(LOOK)
        server.turn()
        self.assertIsNone(self.successResultOf(stopped))
        self.assertEqual(held.response().body, b"1")
        after = server.get(f"/?EIO=4&transport=polling&sid={sessionID}&t=3")
        self.assertEqual(after.response().status, 400)
