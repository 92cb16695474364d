"""
From polls to a WebSocket: every step, every way to fail, and that nothing is lost, doubled or reordered on the way.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.config import Config
from siotwisted.dialects.dialect import Dialect
from siotwisted.dialects.engineio import ENGINEIO_3, ENGINEIO_4
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, Reason
from siotwisted.registry import SessionRegistry
from siotwisted.session import Session
from siotwisted.wire import engine3, engine4, sio45
from tests.fakes import EnginePoll, EngineSocket, FakeReceiver, attach, connect

#: What may happen to a client that moves.
ACTIONS = ("send", "say", "probe", "cut", "step", "step", "turn", "turn", "while", "long")
#: An answer to a poll that says nothing, by generation.
NOTHING = {ENGINEIO_4: b"6", ENGINEIO_3: b"1:6"}


def event(*data: Any) -> Packet:
    """An event."""
    return Packet(Kind.EVENT, list(data))


def send(session: Session, *data: Any) -> None:
    """The application sends an event."""
    session.send(Outgoing(event(*data)))


class UpgradeCase(SynchronousTestCase):
    """A server with sessions that begin with a poll."""

    dialect = ENGINEIO_4

    def setUp(self) -> None:
        """Make it."""
        self.make()

    def make(self, **options: Any) -> None:
        """Another one, with these settings."""
        self.clock = Clock()
        self.receiver = FakeReceiver()
        self.registry = SessionRegistry(self.clock, Config(**options), self.receiver)

    def poll(self) -> tuple[Session, EnginePoll]:
        """A client that knows its id, and whose second poll is held."""
        session, _ = connect(self.registry, EnginePoll, dialect=self.dialect)
        self.clock.advance(0)
        return session, attach(session, EnginePoll)

    def probe(self, session: Session) -> EngineSocket:
        """The client opens a WebSocket."""
        socket = EngineSocket(session)
        session.probe(socket)
        return socket

    def assertPolls(self, session: Session, poll: EnginePoll) -> None:
        """The session lives on, and its poll is held, and takes messages."""
        self.assertEqual((session.closed, poll.writes), (False, []))
        self.assertIs(session.transport, poll)
        send(session, "still")
        self.clock.advance(0)
        self.assertEqual(len(poll.writes), 1)
        self.assertIn(b'["still"]', poll.writes[0])


class StepTests(UpgradeCase):
    """The steps of a move."""

    def test_steps(self) -> None:
        """Probe, answer, the end of the poll, the move; from then on all is on the WebSocket."""
        session, poll = self.poll()
        socket = self.probe(session)
        self.assertEqual((socket.sent, session.transportName), ([], "polling"))
        socket.receive("2probe")
        self.assertEqual((socket.sent, poll.writes), (["3probe"], []))
        self.clock.advance(0.099)
        self.assertEqual(poll.writes, [])
        self.clock.advance(0.001)
        self.assertEqual(poll.writes, [NOTHING[self.dialect]])
        socket.receive("5")
        self.assertEqual((session.transportName, session.closed), ("websocket", False))
        send(session, "a")
        self.clock.advance(0)
        socket.receive('42["b"]')
        self.assertEqual((socket.sent, self.receiver.packets), (["3probe", '42["a"]'], [["b"]]))
        self.assertEqual(self.registry.transports, {socket})

    def test_openPoll(self) -> None:
        """A poll that is still held at the last step is answered with nothing."""
        session, poll = self.poll()
        socket = self.probe(session)
        socket.receive("2probe", "5")
        self.assertEqual(poll.writes, [NOTHING[self.dialect]])
        self.clock.advance(100 / 1000)
        self.assertEqual((len(poll.writes), session.closed), (1, False))

    def test_withoutProbe(self) -> None:
        """A client may come without having asked."""
        session, poll = self.poll()
        socket = self.probe(session)
        socket.receive("5")
        self.assertEqual((poll.writes, session.transportName), ([NOTHING[self.dialect]], "websocket"))

    def test_withoutPoll(self) -> None:
        """A client that is between two polls moves as well."""
        session, poll = self.poll()
        send(session, "a")
        self.clock.advance(0)
        self.assertTrue(poll.over)
        socket = self.probe(session)
        socket.receive("2probe")
        self.clock.advance(1)
        send(session, "b")
        self.clock.advance(0)
        socket.receive("5")
        self.clock.advance(0)
        self.assertEqual(socket.sent, ["3probe", '42["b"]'])

    def test_arrivingPoll(self) -> None:
        """A poll that comes while the client moves is answered in time, too."""
        session, poll = self.poll()
        socket = self.probe(session)
        socket.receive("2probe")
        self.clock.advance(0.1)
        self.assertTrue(poll.over)
        late = attach(session, EnginePoll)
        self.clock.advance(0.1)
        self.assertEqual(late.writes, [NOTHING[self.dialect]])
        socket.receive("5")
        self.assertEqual(session.transportName, "websocket")

    def test_noDelay(self) -> None:
        """Without a delay the poll is answered in the next turn."""
        self.make(upgradeDelay=0)
        session, poll = self.poll()
        socket = self.probe(session)
        socket.receive("2probe")
        self.clock.advance(0)
        self.assertEqual(poll.writes, [NOTHING[self.dialect]])
        socket.receive("5")
        self.assertEqual(session.transportName, "websocket")

    def test_firstPackets(self) -> None:
        """What is sent within the delay is the poll's answer."""
        session, poll = self.poll()
        socket = self.probe(session)
        socket.receive("2probe")
        send(session, "a")
        self.clock.advance(0.05)
        self.assertIn(b'42["a"]', poll.writes[0])
        self.clock.advance(1)
        self.assertEqual((len(poll.writes), socket.sent), (1, ["3probe"]))

    def test_probeAgain(self) -> None:
        """A client may ask more than once."""
        session, poll = self.poll()
        socket = self.probe(session)
        socket.receive("2probe", "2probe")
        self.clock.advance(0.1)
        self.assertEqual((socket.sent, len(poll.writes)), (["3probe", "3probe"], 1))
        socket.receive("5")
        self.assertEqual(session.transportName, "websocket")

    def test_queue(self) -> None:
        """What was accepted while nobody polled is sent by the WebSocket, in order."""
        session, poll = self.poll()
        socket = self.probe(session)
        socket.receive("2probe")
        self.clock.advance(0.1)
        for number in range(5):
            send(session, number)
            self.clock.advance(0)
        self.assertEqual(socket.sent, ["3probe"])
        socket.receive("5")
        self.clock.advance(0)
        self.assertEqual(socket.sent[1:], [f"42[{number}]" for number in range(5)])
        self.assertEqual(poll.writes, [NOTHING[self.dialect]])

    def test_ignored(self) -> None:
        """A second word of the move, an opening or a packet that says nothing mean nothing afterwards."""
        session, _ = self.poll()
        socket = self.probe(session)
        socket.receive("2probe", "5", "5", "6", "0", '42["a"]')
        self.assertEqual((session.closed, socket.over, self.receiver.packets), (False, False, [["a"]]))

    def test_timers(self) -> None:
        """A move leaves no timer but that of the heartbeat."""
        session, _ = self.poll()
        socket = self.probe(session)
        socket.receive("2probe", "5")
        self.clock.advance(0)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        session.close(Reason.FORCED_CLOSE)
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Engine3StepTests(StepTests):
    """The same for clients 1.x and 2.x."""

    dialect = ENGINEIO_3


class FailureTests(UpgradeCase):
    """Moves that come to nothing: the polls go on."""

    def test_garbage(self) -> None:
        """Anything else on the WebSocket closes it, and nothing more."""
        for message in ("2", "2probed", "3probe", "40", '42["a"]', "6", "1", "", "x", b"", b"5", b"\4a"):
            self.make()
            session, poll = self.poll()
            socket = self.probe(session)
            socket.receive(message)
            self.assertEqual((socket.over, socket.sent), (True, []), message)
            self.assertPolls(session, poll)
            self.assertEqual(self.receiver.packets, [])
            socket.closedByClient()
            self.assertFalse(session.closed)

    def test_garbageAfterProbe(self) -> None:
        """So does it after the answer; a poll that was to be answered is held on."""
        session, poll = self.poll()
        socket = self.probe(session)
        socket.receive("2probe", "garbage")
        self.assertTrue(socket.over)
        self.clock.advance(1)
        self.assertPolls(session, poll)

    def test_afterFailure(self) -> None:
        """What a WebSocket says after it has failed is nobody's."""
        session, poll = self.poll()
        socket = self.probe(session)
        socket.receive("garbage", "2probe", "5", '42["a"]')
        self.assertEqual((socket.sent, self.receiver.packets), ([], []))
        self.assertPolls(session, poll)

    def test_timeout(self) -> None:
        """A client that never comes to the last step is left with its polls, and may try again."""
        for messages in ((), ("2probe",)):
            self.make(upgradeTimeout=7, upgradeDelay=8)
            session, poll = self.poll()
            socket = self.probe(session)
            socket.receive(*messages)
            self.clock.advance(6.999)
            self.assertFalse(socket.over)
            self.clock.advance(0.001)
            self.assertTrue(socket.over)
            self.clock.advance(2)
            self.assertEqual(poll.writes, [])
            again = self.probe(session)
            again.receive("2probe", "5")
            self.assertEqual((again.over, session.transportName), (False, "websocket"))

    def test_silentSocket(self) -> None:
        """As long as the client has not asked on the WebSocket, its polls are held as ever."""
        session, poll = self.poll()
        self.probe(session)
        send(session, "a")
        self.clock.advance(0)
        self.assertTrue(poll.over)
        late = attach(session, EnginePoll)
        self.clock.advance(5)
        self.assertEqual(late.writes, [])

    def test_cut(self) -> None:
        """A WebSocket that is cut at any step before the last does no harm; after it, it is the session's end."""
        steps: tuple[Callable[[EngineSocket], object], ...] = (
            lambda socket: socket.receive("2probe"),
            lambda socket: self.clock.advance(0.05),
            lambda socket: socket.receive("5"),
        )
        for count in range(4):
            for end in (EngineSocket.connectionLost, EngineSocket.closedByClient):
                self.make()
                session, poll = self.poll()
                socket = self.probe(session)
                for step in steps[:count]:
                    step(socket)
                end(socket)
                if count < 3:
                    self.clock.advance(1)
                    self.assertPolls(session, poll)
                    self.assertEqual(self.registry.transports, set())
                else:
                    self.assertEqual(self.receiver.reasons, [Reason.TRANSPORT_CLOSE])
                session.close(Reason.FORCED_CLOSE)
                self.registry.stop()
                self.clock.advance(0)
                self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_second(self) -> None:
        """A second WebSocket is closed at once, while the first is tried out and after, and does not disturb it."""
        session, poll = self.poll()
        first = self.probe(session)
        second = self.probe(session)
        self.assertEqual((second.over, first.over), (True, False))
        second.receive("2probe", "5")
        second.closedByClient()
        first.receive("2probe")
        third = self.probe(session)
        self.assertTrue(third.over)
        first.receive("5")
        fourth = self.probe(session)
        fourth.receive("2probe", "5", '42["forged"]')
        self.assertEqual((fourth.over, fourth.sent, first.over, first.sent), (True, [], False, ["3probe"]))
        fourth.closedByClient()
        self.assertEqual((session.closed, self.receiver.packets, poll.over), (False, [], True))
        send(session, "a")
        self.clock.advance(0)
        self.assertEqual(first.sent, ["3probe", '42["a"]'])

    def test_onSocket(self) -> None:
        """A session that began with a WebSocket has nothing to move to."""
        session, socket = connect(self.registry, EngineSocket, dialect=self.dialect)
        other = self.probe(session)
        self.assertEqual((other.over, socket.over), (True, False))

    def test_notAllowed(self) -> None:
        """If moves are switched off, the WebSocket is closed at once."""
        self.make(allowUpgrades=False)
        session, poll = self.poll()
        socket = self.probe(session)
        self.assertTrue(socket.over)
        self.assertPolls(session, poll)

    def test_afterTheEnd(self) -> None:
        """A WebSocket of a session that has ended is closed."""
        session, _ = self.poll()
        session.close(Reason.FORCED_CLOSE)
        socket = self.probe(session)
        self.assertTrue(socket.over)
        self.assertEqual(self.registry.transports, {socket})

    def test_pollCut(self) -> None:
        """If the poll is cut meanwhile, the session ends, and with it the WebSocket."""
        session, poll = self.poll()
        socket = self.probe(session)
        socket.receive("2probe")
        session.transportLost(poll, Reason.TRANSPORT_ERROR)
        self.assertEqual((socket.over, self.receiver.reasons), (True, [Reason.TRANSPORT_ERROR]))
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class CloseTests(UpgradeCase):
    """A session ends, in every state of a move."""

    def state(self, steps: int) -> tuple[Session, EnginePoll, EngineSocket]:
        """A session that has come so far."""
        session, poll = self.poll()
        socket = self.probe(session)
        if steps > 0:
            socket.receive("2probe")
        if steps > 1:
            self.clock.advance(0.1)
        if steps > 2:
            socket.receive("5")
        return session, poll, socket

    def assertGone(self, session: Session, reason: Reason, *sockets: EngineSocket) -> None:
        """It has ended once, for this reason, and nothing is left."""
        self.assertEqual((session.closed, self.receiver.reasons), (True, [reason]))
        for socket in sockets:
            self.assertTrue(socket.over)
            socket.closedByClient()
        self.registry.stop()
        self.clock.advance(0)
        self.assertEqual((len(self.registry), self.registry.transports), (0, set()))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.receiver.reasons, [reason])

    def test_byApplication(self) -> None:
        """The application ends it."""
        for steps in range(4):
            self.make()
            session, _, socket = self.state(steps)
            session.close(Reason.FORCED_CLOSE)
            if session.transport is None and not socket.over:  # it may still come, for the last words
                self.clock.advance(self.registry.config.closeTimeout)
            self.assertGone(session, Reason.FORCED_CLOSE, socket)

    def test_onTheWay(self) -> None:
        """A client that has stopped polling, and not moved yet, hears the last words when it has."""
        session, _, socket = self.state(2)
        send(session, "last")
        session.close(Reason.SERVER_DISCONNECT)
        self.assertFalse(socket.over)
        socket.receive("5")
        self.assertEqual(socket.sent[-1:], ['42["last"]'])
        self.assertGone(session, Reason.SERVER_DISCONNECT, socket)

    def test_polledBefore(self) -> None:
        """What the last poll carried is not said again with the last words on the WebSocket: the client has read it."""
        session, poll, socket = self.state(1)
        send(session, "polled")
        self.clock.advance(0)
        self.assertEqual(poll.writes, [b'42["polled"]'])
        send(session, "last")
        session.close(Reason.SERVER_DISCONNECT)
        socket.receive("5")
        self.assertEqual([each for each in socket.sent if str(each).startswith("42")], ['42["last"]'])
        self.assertGone(session, Reason.SERVER_DISCONNECT, socket)

    def test_words(self) -> None:
        """A held poll hears the goodbye, or the next one does if there is more to say; a WebSocket is closed."""
        session, poll, _ = self.state(1)
        session.close(Reason.FORCED_CLOSE)
        self.assertEqual(poll.writes, [b"1"])
        session, poll, _ = self.state(1)
        send(session, "last")
        session.close(Reason.FORCED_CLOSE)
        self.assertEqual(poll.writes, [b'42["last"]'])
        self.assertEqual(attach(session, EnginePoll).writes, [b"1"])
        self.assertIsNone(self.registry.get(session.id))

    def test_nextPollBehind(self) -> None:
        """The next poll may be served within the write that answers the one before it, on the same connection."""
        session, poll, socket = self.state(0)
        polls: list[EnginePoll] = []
        poll.nextRequest = lambda: polls.append(attach(session, EnginePoll))
        send(session, "last")
        session.close(Reason.FORCED_CLOSE)
        self.assertEqual([poll.writes, polls[0].writes], [[b'42["last"]'], [b"1"]])
        self.assertGone(session, Reason.FORCED_CLOSE, socket)

    def test_byClient(self) -> None:
        """The client says goodbye on a poll, while it moves."""
        for steps in range(3):
            self.make()
            session, poll, socket = self.state(steps)
            self.assertTrue(session.dataReceived("1"))
            if steps < 2:
                self.assertEqual(poll.writes, [b"6"])
            self.assertGone(session, Reason.TRANSPORT_CLOSE, socket)

    def test_damage(self) -> None:
        """It breaks the protocol."""
        for steps in range(4):
            self.make()
            session, _, socket = self.state(steps)
            if steps < 3:
                self.assertFalse(session.dataReceived("x"))
            else:
                socket.receive("x")
            self.assertGone(session, Reason.PARSE_ERROR, socket)

    def test_stop(self) -> None:
        """The server stops."""
        for steps in range(4):
            self.make()
            session, _, socket = self.state(steps)
            done = self.registry.stop()
            self.assertNoResult(done)
            self.assertGone(session, Reason.SERVER_SHUTTING_DOWN, socket)
            self.successResultOf(done)

    def test_silence(self) -> None:
        """The client does not answer a heartbeat."""
        for steps in range(3):
            self.make(upgradeTimeout=1000)
            session, _, socket = self.state(steps)
            for _ in range(45):
                self.clock.advance(1)
            self.assertGone(session, Reason.PING_TIMEOUT, socket)

    def test_betweenPolls(self) -> None:
        """A session that ends between two polls tells the next one so, for some time."""
        session, _ = self.poll()
        send(session, "a")
        self.clock.advance(0)
        session.close(Reason.FORCED_CLOSE)
        self.assertIs(self.registry.get(session.id), session)
        self.assertTrue(session.dataReceived("2"))
        late = attach(session, EnginePoll)
        self.assertEqual(late.writes, [b"1"])
        self.assertIsNone(self.registry.get(session.id))
        self.assertGone(session, Reason.FORCED_CLOSE)

    def test_lateSocket(self) -> None:
        """A WebSocket is not told: it is closed, and the poll hears it still."""
        session, _ = self.poll()
        send(session, "a")
        self.clock.advance(0)
        send(session, "b")
        session.close(Reason.SERVER_DISCONNECT)
        socket = self.probe(session)
        self.assertTrue(socket.over)
        self.assertEqual(attach(session, EnginePoll).writes, [b'42["b"]'])
        self.assertEqual(attach(session, EnginePoll).writes, [b"1"])
        self.assertGone(session, Reason.SERVER_DISCONNECT, socket)

    def test_noCycle(self) -> None:
        """What has ended needs no garbage collector to go, in whatever state it was."""

        def end(steps: int, between: bool, told: bool) -> None:
            session, poll, socket = self.state(steps)
            if between and not poll.over:
                poll.loseConnection()
            session.close(Reason.FORCED_CLOSE if told else Reason.PING_TIMEOUT)
            self.clock.advance(10)
            socket.closedByClient()

        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        before = sum(isinstance(each, Session) for each in gc.get_objects())
        for dialect in (ENGINEIO_4, ENGINEIO_3):
            self.dialect = dialect
            for steps in range(4):
                for between in (False, True):
                    for told in (False, True):
                        end(steps, between, told)
        self.receiver.events.clear()
        self.assertEqual(sum(isinstance(each, Session) for each in gc.get_objects()), before)

    def test_tooLate(self) -> None:
        """After that time it is unknown."""
        self.make(closeTimeout=3)
        session, _ = self.poll()
        send(session, "a")
        self.clock.advance(0)
        session.close(Reason.FORCED_CLOSE)
        self.clock.advance(3)
        self.assertIsNone(self.registry.get(session.id))
        self.assertGone(session, Reason.FORCED_CLOSE)


class ModelClient:
    """
    A client that polls, posts and moves as the original does: it stops polling when its probe was answered, waits for
    the end of its poll, and then moves.

    :ivar got: the data of the events that it got, in order.
    """

    def __init__(self, session: Session, dialect: Dialect) -> None:
        self.session = session
        self.got: list[Any] = []
        self.unsent: list[str] = []
        self.poll: EnginePoll | None = None
        self.socket: EngineSocket | None = None
        self.state = "polling"
        self._seen = 0
        self._dialect = dialect
        self._decoder = sio45.Decoder(5)

    def say(self, number: int) -> None:
        """Send an event, now or when the client can."""
        self.unsent.append(f"42[{number}]")

    def _packet(self, packet: Packet) -> None:
        if packet.kind is Kind.MESSAGE:
            received = self._decoder.receive(packet.data)
            if received is not None and received.kind is Kind.EVENT:
                self.got.append(received.data[0])
        elif packet.kind is Kind.PONG and packet.data == "probe" and self.state == "probing":
            self.state = "pausing"

    def step(self) -> None:
        """Do whatever there is to do."""
        if self.poll is not None and self.poll.over:
            body, binary = b"".join(self.poll.writes), self.poll.binary[-1]
            self.poll = None
            if self._dialect is ENGINEIO_4:
                packets = list(engine4.decodePayload(body.decode("utf-8")))
            else:
                packets = list(engine3.decodePayload(body if binary else body.decode("utf-8")))
            for packet in packets:
                self._packet(packet)
        if self.socket is not None:
            sent = self.socket.sent
            for message in sent[self._seen :]:
                self._packet(engine4.decodeFrame(message))
            self._seen = len(sent)
        if self.state == "pausing" and self.poll is None:
            assert self.socket is not None
            self.state = "moved"
            self.socket.receive("5")
        if self.state in ("polling", "probing") and self.poll is None:
            self.poll = attach(self.session, EnginePoll)
        if self.unsent and self.state != "pausing":
            unsent, self.unsent = self.unsent, []
            if self.state == "moved":
                assert self.socket is not None
                self.socket.receive(*unsent)
            else:
                join = "\x1e".join if self._dialect is ENGINEIO_4 else engineText
                assert self.session.dataReceived(join(unsent))

    def probe(self) -> None:
        """Try out a WebSocket."""
        if self.state == "polling":
            self.state, self._seen = "probing", 0
            self.socket = EngineSocket(self.session)
            self.session.probe(self.socket)
            self.socket.receive("2probe")

    def cut(self) -> None:
        """Lose the WebSocket, as long as that is not the end; the original polls again then."""
        if self.state in ("probing", "pausing"):
            assert self.socket is not None
            self.state = "polling"
            self.socket.connectionLost()
            self.socket = None


def engineText(packets: list[str]) -> str:
    """Packets in the text framing of revision 3, all of them ASCII."""
    return "".join(f"{len(packet)}:{packet}" for packet in packets)


class OrderTests(SynchronousTestCase):
    """A model of the client against the server, while both send."""

    def play(self, dialect: Dialect, delay: float, actions: list[str]) -> ModelClient:
        """Let these things happen, then all come to rest; check that all arrived, both ways, once and in order."""
        clock = Clock()
        receiver = FakeReceiver()
        registry = SessionRegistry(clock, Config(upgradeDelay=delay, pingInterval=1e6, pingTimeout=1e6), receiver)
        session, first = connect(registry, EnginePoll, dialect=dialect)
        client = ModelClient(session, dialect)
        client.poll = first
        sent = said = 0
        for action in actions:
            if action == "send":
                send(session, sent)
                sent += 1
            elif action == "say":
                client.say(said)
                said += 1
            elif action == "probe":
                client.probe()
            elif action == "cut":
                client.cut()
            elif action == "step":
                client.step()
            else:
                clock.advance({"turn": 0, "while": 0.05, "long": 0.2}[action])
        for _ in range(12):
            client.step()
            clock.advance(0.1)
        client.step()
        self.assertEqual(client.got, list(range(sent)))
        self.assertEqual([data[0] for data in receiver.packets], list(range(said)))
        self.assertEqual(receiver.reasons, [])
        session.close(Reason.SERVER_DISCONNECT)
        registry.stop()
        clock.advance(0)
        self.assertEqual(clock.getDelayedCalls(), [])
        return client

    @settings(max_examples=300, deadline=None, database=None)
    @given(
        st.sampled_from([ENGINEIO_3, ENGINEIO_4]),
        st.sampled_from([0, 0.1]),
        st.lists(
            st.sampled_from(["send", "say", "probe", "cut", "step", "step", "turn", "turn", "while", "long"]),
            max_size=60,
        ),
    )
    def test_anyOrder(self, dialect: Dialect, delay: float, actions: list[str]) -> None:
        """Whatever happens in whatever order."""
        self.play(dialect, delay, actions)

    def test_thousand(self) -> None:
        """A thousand moves, while both sides send."""
        chance = random.Random(7)
        moved = 0
        for number in range(1000):
            actions = [chance.choice(["send", "say", "step", "turn", "while"]) for _ in range(20)]
            actions.insert(chance.randrange(20), "probe")
            client = self.play((ENGINEIO_3, ENGINEIO_4)[number % 2], (0, 0.1)[number // 2 % 2], actions)
            moved += client.state == "moved"
        self.assertEqual(moved, 1000)
