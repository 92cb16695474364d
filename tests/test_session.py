"""
Sessions and their registry: ids, the greeting, order, absence, the timers, back-pressure, and every way to end.

A :class:`~twisted.internet.task.Clock` is the time and the fakes of :mod:`tests.fakes` are the network.
"""

from __future__ import annotations

import gc
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from siotwisted.config import Config
from siotwisted.dialects import SOCKETIO_06_CODECS, route
from siotwisted.errors import ProtocolError, QueueFull, SessionClosed
from siotwisted.interfaces import IPacketReceiver, ISessionTransport
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, Reason, messagePacket
from siotwisted.session import Session, SessionRegistry, newSessionID
from siotwisted.wire import sio06, sio06streaming
from siotwisted.wire.sio06 import SIOCodec
from siotwisted.wire.sio06streaming import SIOStreamingCodec
from tests.fakes import (
    FakePoll,
    FakeReceiver,
    FakeStream,
    FakeTransport,
    FakeWebSocket,
    attach,
    connect,
    makeHandshake,
    makeRoute,
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


class FakesTests(SessionCase):
    """The fakes of these tests, and the session, are what their interfaces say."""

    def test_interfaces(self) -> None:
        """Every fake is a transport, and a session receives packets."""
        session = self.registry.open(makeRoute(), makeHandshake())
        for kind in KINDS:
            verifyObject(ISessionTransport, kind(session))
        verifyObject(IPacketReceiver, session)


class SessionIDTests(SessionCase):
    """T201: ids that nobody can guess and every URL can hold."""

    def test_shape(self) -> None:
        """An id is URL-safe text that begins with a letter, so it is never taken for a time."""
        for _ in range(1000):
            self.assertRegex(newSessionID(), "^[a-z][A-Za-z0-9_-]{26}$")

    def test_routable(self) -> None:
        """The rules of URLs let an id through as it is."""
        id = newSessionID()
        found = route(["xhr-polling", id, "1700000000000"], {SIOCodec.name: SIOCodec})
        assert found is not None
        self.assertEqual(found.sessionID, id)

    def test_bits(self) -> None:
        """Each of 26 places takes all 64 characters: 156 bits, and no time, counter or constant among them."""
        ids = [newSessionID() for _ in range(20_000)]
        self.assertEqual(len(set(ids)), len(ids))
        for place in range(1, 27):
            self.assertEqual(len({id[place] for id in ids}), 64)
        self.assertEqual(len({id[0] for id in ids}), 26)

    def test_notSeeded(self) -> None:
        """The seed of Python's ordinary random numbers has no influence."""
        state = random.getstate()
        self.addCleanup(random.setstate, state)
        random.seed(1)
        first = newSessionID()
        random.seed(1)
        self.assertNotEqual(first, newSessionID())

    def test_registered(self) -> None:
        """A session is found by its id, counted, and listed, from the start to the end and no longer."""
        session = self.registry.open(makeRoute(), makeHandshake())
        other = self.registry.open(makeRoute(), makeHandshake())
        self.assertIs(self.registry.get(session.id), session)
        self.assertEqual((len(self.registry), list(self.registry)), (2, [session, other]))
        session.close(Reason.SERVER_DISCONNECT)
        self.assertIsNone(self.registry.get(session.id))
        self.assertEqual((len(self.registry), list(self.registry)), (1, [other]))
        for odd in ("", "__proto__", "constructor", session.id + "\0", "ü"):
            self.assertIsNone(self.registry.get(odd))

    def test_label(self) -> None:
        """The name for logs is always the same, and tells nothing of the id."""
        session = self.registry.open(makeRoute(), makeHandshake())
        self.assertRegex(session.label, "^[0-9a-f]{8}$")
        self.assertEqual(session.label, session.label)
        self.assertNotIn(session.label, session.id)

    def test_facts(self) -> None:
        """A session knows its first request, and the transport that it used last."""
        handshake = makeHandshake()
        session = self.registry.open(makeRoute(), handshake)
        self.assertIs(session.handshake, handshake)
        self.assertEqual((session.transportName, session.closed), ("xhr-polling", False))
        attach(session, FakeStream).connectionLost()
        self.assertEqual(session.transportName, "htmlfile")


class GreetingTests(SessionCase):
    """The id comes first, once."""

    def test_everyTransport(self) -> None:
        """The first frame on any transport is the id, at the end of the turn and not before."""
        for kind in KINDS:
            session, transport = connect(self.registry, kind)
            self.assertEqual(transport.writes, [])
            self.turn()
            self.assertEqual(transport.writes, [frames(session.id)])

    def test_streamingCodec(self) -> None:
        """The streaming codec has a type for it."""
        session, transport = connect(self.registry, FakeStream, SIOStreamingCodec)
        self.turn()
        self.assertEqual(transport.writes, [sio06streaming.frame("3", session.id).encode("ascii")])

    def test_beforeMessages(self) -> None:
        """What the application says to a new client at once follows the id in the same write."""
        self.receiver.onOpened = lambda session: send(session, "welcome", {"a": 1})
        for kind in KINDS:
            session, transport = connect(self.registry, kind)
            self.turn()
            self.assertEqual(transport.writes, [frames(session.id, "welcome", '~j~{"a":1}')])

    def test_once(self) -> None:
        """Neither the next poll nor another transport gets it again."""
        session, poll = self.poll()
        self.turn()
        stream = attach(session, FakeStream)
        self.turn()
        self.assertEqual((poll.writes, stream.writes), ([b""], []))

    def test_firstTransportLostBefore(self) -> None:
        """A first transport that is lost before its first write leaves the greeting to the second."""
        session, first = connect(self.registry, FakePoll)
        first.connectionLost()
        self.turn()
        second = attach(session, FakePoll)
        self.turn()
        self.assertEqual((first.writes, second.writes), ([], [frames(session.id)]))

    def test_beforeHeartbeat(self) -> None:
        """A stream that takes no bytes for long gets its id before the heartbeat, or would take that for its id."""
        session, stream = connect(self.registry, FakeStream)
        stream.ready = False
        self.clock.advance(self.config.heartbeatInterval)
        self.assertEqual(received(stream), [session.id, "1"])
        stream.ready = True
        session.transportReady()
        self.turn()
        self.assertEqual(received(stream), [session.id, "1"])

    def test_openedOnce(self) -> None:
        """The receiver hears of a session when its first transport is there, and never again."""
        session = self.registry.open(makeRoute(), makeHandshake())
        self.assertEqual(self.receiver.events, [])
        attach(session, FakePoll)
        attach(session, FakePoll).connectionLost()
        attach(session, FakeStream)
        self.assertEqual(self.receiver.events, [("opened", session.id)])


class OrderTests(SessionCase):
    """What is sent arrives once, in order, whatever the client's transports do."""

    def test_oneWrite(self) -> None:
        """What is sent in one turn leaves in one write; what is sent in the next, in another."""
        session, stream = self.stream()
        send(session, "a", "b", ["c"])
        self.assertEqual(stream.writes, [])
        self.turn()
        send(session, "d")
        self.turn()
        self.assertEqual(stream.writes, [frames("a", "b", '~j~["c"]'), frames("d")])

    def test_pollAfterPoll(self) -> None:
        """Each poll takes all that waits, in the order in which it was sent."""
        session, poll = self.poll()
        polls = [poll]
        for number in range(0, 30, 3):
            send(session, number)
            self.turn()
            send(session, number + 1, number + 2)
            polls.append(attach(session, FakePoll))
            self.turn()
            polls.append(attach(session, FakePoll))
        self.assertEqual(received(*polls), [str(number) for number in range(30)])

    def test_absent(self) -> None:
        """Messages for an absent client wait, and come together when it polls again."""
        session, poll = self.poll()
        poll.connectionLost()
        send(session, "a")
        self.clock.advance(30)
        send(session, "b")
        self.turn()
        back = attach(session, FakePoll)
        self.turn()
        self.assertEqual((poll.writes, back.writes), ([], [frames("a", "b")]))

    def test_absentComesBackOtherwise(self) -> None:
        """They come as well if the client is back on another transport, whichever."""
        for before in KINDS:
            for after in KINDS:
                session, transport = connect(self.registry, before)
                self.turn()
                send(session, "sent")
                self.turn()
                transport.connectionLost()
                send(session, "a", "b")
                self.turn()
                back = attach(session, after)
                self.turn()
                self.assertEqual(received(transport, back), [session.id, "sent", "a", "b"])

    def test_flushMeetsOtherTransport(self) -> None:
        """A message that was accepted on one transport goes to the one that the client has at the end of the turn."""
        session, stream = self.stream()
        send(session, "a")
        poll = attach(session, FakePoll)
        self.turn()
        self.assertEqual((stream.writes, poll.writes), ([], [frames("a")]))

    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(st.sampled_from(["send", "poll", "stream", "socket", "cut", "turn", "second", "pause", "resume"])),
        st.booleans(),
    )
    def test_anyOrderOfEvents(self, events: list[str], closing: bool) -> None:
        """Whatever happens in whatever order, nothing is lost, doubled or reordered."""
        clock = Clock()
        registry = SessionRegistry(
            clock, Config(reconnectTimeout=1e6, heartbeatInterval=1e6, pollDuration=2.0), FakeReceiver()
        )
        session, first = connect(registry, FakePoll)
        transports: list[FakeTransport] = [first]
        kinds: dict[str, type[FakeTransport]] = {"poll": FakePoll, "stream": FakeStream, "socket": FakeWebSocket}
        sent = 0
        for event in events:
            last = transports[-1]
            if event == "send":
                send(session, sent)
                sent += 1
            elif event in kinds:
                transports.append(attach(session, kinds[event]))
            elif event == "cut":
                last.connectionLost()
            elif event in ("turn", "second"):
                clock.advance(event == "second")
            elif last.streaming:
                last.ready = event == "resume"
                if last.ready:
                    session.transportReady()
        transports.append(attach(session, FakeStream))
        if closing:
            session.close(Reason.SERVER_DISCONNECT)
        clock.advance(0)
        self.assertEqual(received(*transports), [session.id, *map(str, range(sent))])
        session.close(Reason.SERVER_DISCONNECT)


class AbsenceTests(SessionCase):
    """How long an absent client is waited for, and why its session ends."""

    def assertEndsIn(self, session: Session, seconds: float, reason: Reason) -> None:
        """The session ends then and not before, once, for this reason."""
        self.clock.advance(seconds - TICK)
        self.assertFalse(session.closed)
        self.assertEqual(self.receiver.reasons, [])
        self.clock.advance(TICK)
        self.assertTrue(session.closed)
        self.assertEqual(self.receiver.reasons, [reason])
        self.clock.advance(1000)
        self.assertEqual(self.receiver.reasons, [reason])
        self.assertQuiet()

    def test_noNextPoll(self) -> None:
        """A client that does not poll again after an answer: the reconnect timeout."""
        session, poll = self.poll()
        self.clock.advance(3)
        send(session, "a")
        self.turn()
        self.assertEqual(poll.writes, [frames("a")])
        self.assertEndsIn(session, 60, Reason.RECONNECT_TIMEOUT)

    def test_noFirstPollAfterGreeting(self) -> None:
        """A client that takes its id and never polls."""
        session, _ = connect(self.registry, FakePoll)
        self.turn()
        self.assertEndsIn(session, 60, Reason.RECONNECT_TIMEOUT)

    def test_pollCut(self) -> None:
        """A client that drops its held poll."""
        session, poll = self.poll()
        self.clock.advance(19.5)
        poll.connectionLost()
        self.assertEndsIn(session, 60, Reason.TRANSPORT_CLOSE)

    def test_streamCut(self) -> None:
        """A client whose stream breaks."""
        session, stream = self.stream()
        stream.connectionLost()
        self.assertEndsIn(session, 60, Reason.TRANSPORT_CLOSE)

    def test_goodbye(self) -> None:
        """A client whose transport says that it leaves for good is not waited for."""
        session, socket = connect(self.registry, FakeWebSocket)
        self.turn()
        socket.closedByClient()
        self.assertEqual((session.closed, self.receiver.reasons), (True, [Reason.TRANSPORT_CLOSE]))
        self.assertQuiet()

    def test_goodbyeOfOldTransport(self) -> None:
        """The goodbye of a transport that was replaced says nothing about the session."""
        session, socket = connect(self.registry, FakeWebSocket)
        poll = attach(session, FakePoll)
        socket.closedByClient()
        self.assertFalse(session.closed)
        self.turn()
        self.assertEqual(received(poll), [session.id])

    def test_lossOfOldTransport(self) -> None:
        """The loss of a transport that was replaced starts no deadline, and frees it."""
        session, socket = connect(self.registry, FakeWebSocket)
        stream = attach(session, FakeStream)
        socket.connectionLost()
        self.assertEqual(self.registry.transports, {stream})
        self.assertIs(session.transport, stream)

    def test_comingBack(self) -> None:
        """The timeout begins anew with each absence, whatever was left of the last."""
        session, poll = self.poll()
        for _ in range(5):
            poll.connectionLost()
            self.clock.advance(60 - TICK)
            poll = attach(session, FakePoll)
            self.clock.advance(1)
        poll.connectionLost()
        self.assertEndsIn(session, 60, Reason.TRANSPORT_CLOSE)

    def test_lastReasonCounts(self) -> None:
        """Of two absences, the last one gives the reason."""
        session, poll = self.poll()
        poll.connectionLost()
        attach(session, FakePoll)
        send(session, "a")
        self.turn()
        self.assertEndsIn(session, 60, Reason.RECONNECT_TIMEOUT)

    def test_tooLate(self) -> None:
        """After the end nothing is attached, accepted or found."""
        session, poll = self.poll()
        poll.connectionLost()
        self.clock.advance(60)
        late = FakePoll(session)
        self.assertRaises(SessionClosed, session.attach, late)
        self.assertRaises(SessionClosed, send, session, "a")
        self.assertIsNone(self.registry.get(session.id))
        session.transportReady()
        self.turn()
        self.assertEqual((late.writes, self.registry.transports), ([], set()))

    def test_undelivered(self) -> None:
        """What was never delivered is counted in one line of the log, without the id; if all was, nothing is said."""
        session, poll = self.poll()
        poll.connectionLost()
        send(session, "a", "b", "secret")
        with capturedLogs() as logs:
            self.clock.advance(60)
        self.assertEqual(texts(logs), [f"session {session.label} ended (transport close) with 3 messages undelivered"])
        _, stream = self.stream()
        stream.connectionLost()
        with capturedLogs() as logs:
            self.clock.advance(60)
        self.assertEqual((self.receiver.reasons, logs), ([Reason.TRANSPORT_CLOSE] * 2, []))


class ShortTimeoutTests(AbsenceTests):
    """The same with a reconnect timeout that is shorter than the other timers."""

    options: ClassVar[dict[str, Any]] = {"reconnectTimeout": 0.5}

    def assertEndsIn(self, session: Session, seconds: float, reason: Reason) -> None:
        """As configured."""
        super().assertEndsIn(session, 0.5, reason)

    def test_comingBack(self) -> None:
        """The deadline of a poll is replaced by the sooner one of absence."""
        session, poll = self.poll()
        poll.connectionLost()
        self.clock.advance(0.5 - TICK)
        attach(session, FakePoll).connectionLost()
        self.assertEndsIn(session, 0.5, Reason.TRANSPORT_CLOSE)


class PollTests(SessionCase):
    """Polls: how long they are held, and what happens when there are two."""

    def test_duration(self) -> None:
        """A poll is answered empty after its time, exactly, and the client may poll again for ever."""
        session, poll = self.poll()
        for _ in range(10):
            self.clock.advance(20 - TICK)
            self.assertEqual(poll.writes, [])
            self.clock.advance(TICK)
            self.assertEqual(poll.writes, [b""])
            poll = attach(session, FakePoll)
        self.assertFalse(session.closed)

    def test_noHeartbeats(self) -> None:
        """Polls carry no heartbeats."""
        session, poll = self.poll()
        polls = [poll]
        for _ in range(100):
            self.clock.advance(7)
            if poll.over:
                poll = attach(session, FakePoll)
                polls.append(poll)
        self.assertEqual({write for each in polls for write in each.writes}, {b""})

    def test_second(self) -> None:
        """T206: a second poll replaces the first, which is answered empty; messages go to the second."""
        session, first = self.poll()
        send(session, "a")
        second = attach(session, FakePoll)
        self.assertEqual(first.writes, [b""])
        self.turn()
        self.assertEqual((first.writes, second.writes), ([b""], [frames("a")]))
        self.assertFalse(session.closed)

    def test_secondHasItsOwnTime(self) -> None:
        """The second poll is held for the whole duration."""
        session, _ = self.poll()
        self.clock.advance(15)
        second = attach(session, FakePoll)
        self.clock.advance(20 - TICK)
        self.assertEqual(second.writes, [])
        self.clock.advance(TICK)
        self.assertEqual(second.writes, [b""])

    def test_secondBeforeGreeting(self) -> None:
        """If there are two before the first turn ends, the second gets the id."""
        session, first = connect(self.registry, FakePoll)
        second = attach(session, FakePoll)
        self.turn()
        self.assertEqual((first.writes, second.writes), ([b""], [frames(session.id)]))

    def test_streamReplacesPoll(self) -> None:
        """A stream replaces a poll, and has heartbeats from then on."""
        session, poll = self.poll()
        self.clock.advance(5)
        stream = attach(session, FakeStream)
        self.assertEqual(poll.writes, [b""])
        self.clock.advance(10)
        self.assertEqual(stream.writes, [frames("~h~1")])

    def test_pollReplacesStream(self) -> None:
        """A poll replaces a stream, which ends in good order; its open heartbeat is forgotten."""
        session, stream = self.stream()
        self.clock.advance(10)
        poll = attach(session, FakePoll)
        self.assertEqual((stream.over, stream.aborted), (True, False))
        self.clock.advance(20 - TICK)
        self.assertEqual((poll.writes, poll.aborted, session.closed), ([], False, False))
        self.clock.advance(TICK)
        self.assertEqual(poll.writes, [b""])

    def test_pollBehindAnswer(self) -> None:
        """The next poll may be served within the write that answers the one before it, on the same connection."""
        session, first = self.poll()
        polls = [first]
        first.nextRequest = lambda: polls.append(attach(session, FakePoll))
        send(session, "a")
        self.turn()
        self.assertEqual([poll.writes for poll in polls], [[frames("a")], []])
        self.assertIs(session.transport, polls[1])
        send(session, "b")
        self.turn()
        self.assertEqual(polls[1].writes, [frames("b")])

    def test_pollBehindEmptyAnswer(self) -> None:
        """So may it behind an empty answer."""
        session, first = self.poll()
        polls = [first]
        first.nextRequest = lambda: polls.append(attach(session, FakePoll))
        self.clock.advance(20)
        self.assertEqual([poll.writes for poll in polls], [[b""], []])
        self.clock.advance(20 - TICK)
        self.assertEqual((polls[1].writes, session.closed), ([], False))
        self.clock.advance(TICK)
        self.assertEqual(polls[1].writes, [b""])

    def test_goodbyeBehindAnswer(self) -> None:
        """A goodbye may be served there too: the session ends, once and whole."""
        session, first = connect(self.registry, FakePoll, SIOStreamingCodec)
        first.nextRequest = lambda: cast(None, session.dataReceived("0:0:,"))
        self.turn()
        self.assertEqual(self.receiver.reasons, [Reason.CLIENT_DISCONNECT])
        self.assertQuiet()

    def test_goodbyeBehindReplaced(self) -> None:
        """So may it behind a poll that is answered because another one has come: no timer is left."""
        session, first = connect(self.registry, FakePoll, SIOStreamingCodec)
        self.turn()
        first = attach(session, FakePoll)
        first.nextRequest = lambda: cast(None, session.dataReceived("0:0:,"))
        second = attach(session, FakePoll)
        self.assertEqual(self.receiver.reasons, [Reason.CLIENT_DISCONNECT])
        self.assertTrue(second.over or second.aborted)
        second.connectionLost()
        self.assertQuiet()

    def test_noRequestBehindFarewell(self) -> None:
        """A request behind the answer that closes the session does not find it any more."""
        session, poll = self.poll()
        found: list[Session | None] = []
        poll.nextRequest = lambda: found.append(self.registry.get(session.id))
        send(session, "last")
        session.close(Reason.SERVER_DISCONNECT)
        self.assertEqual((poll.writes, found), ([frames("last")], [None]))


class HeartbeatTests(SessionCase):
    """Streams prove that the client lives."""

    def echo(self, session: Session, number: object) -> None:
        """The client sends a heartbeat."""
        self.assertTrue(session.dataReceived(frames(f"~h~{number}").decode("utf-8")))

    def test_interval(self) -> None:
        """The first is due 10 seconds after the client came, the next 10 seconds after each right echo, numbered."""
        for kind in STREAMS:
            session, stream = connect(self.registry, kind)
            self.turn()
            stream.writes.clear()
            for number in range(1, 12):
                self.clock.advance(10 - TICK)
                self.assertEqual(stream.writes, [])
                self.clock.advance(TICK)
                self.assertEqual(stream.writes, [frames(f"~h~{number}")])
                stream.writes.clear()
                self.clock.advance(8 - TICK if number % 2 else 0.5)
                self.echo(session, number)
            self.assertEqual(self.receiver.packets, [])
            session.close(Reason.SERVER_DISCONNECT)

    def test_missingEcho(self) -> None:
        """Without an echo the stream is cut after 8 seconds, with no more bytes, and the session waits for a return."""
        session, stream = self.stream()
        self.clock.advance(10)
        self.clock.advance(8 - TICK)
        self.assertFalse(stream.aborted)
        self.clock.advance(TICK)
        self.assertEqual((stream.aborted, stream.over, stream.writes), (True, False, [frames("~h~1")]))
        self.assertEqual((session.closed, session.transport), (False, None))
        stream.connectionLost()
        self.clock.advance(60 - TICK)
        self.assertEqual(self.receiver.reasons, [])
        self.clock.advance(TICK)
        self.assertEqual(self.receiver.reasons, [Reason.PING_TIMEOUT])
        self.assertQuiet()

    def test_missingEchoThenBack(self) -> None:
        """A client whose stream was cut so can come back, and gets what waits and new heartbeats."""
        session, _ = self.stream()
        self.clock.pump([10, 8])
        send(session, "a")
        self.clock.advance(30)
        back = attach(session, FakeWebSocket)
        self.turn()
        self.assertEqual(back.writes, [frames("a")])
        self.clock.advance(10)
        self.assertEqual(back.writes, [frames("a"), frames("~h~2")])
        self.clock.advance(8)
        self.assertTrue(back.aborted)

    def test_wrongEchoes(self) -> None:
        """T214: a forged, old, huge or senseless echo buys no time, is no message, and does no harm."""
        session, stream = self.stream()
        self.clock.advance(10)
        self.echo(session, 1)
        self.clock.advance(10)
        self.assertEqual(received(stream), ["1", "2"])
        odd = ("9" * 500, "abc", "", "02", "+2", " 2", "2 ", "2.0", "\u00b2", "\uff12")
        for wrong in (1, 3, 0, -2, 2147483647, 999999, *odd):
            self.echo(session, wrong)
        self.assertEqual(self.receiver.packets, [])
        self.clock.advance(8 - TICK)
        self.assertFalse(stream.aborted)
        self.clock.advance(TICK)
        self.assertTrue(stream.aborted)

    def test_early(self) -> None:
        """An echo of a heartbeat that was not sent yet is worth nothing when it is."""
        session, stream = self.stream()
        self.echo(session, 1)
        self.clock.advance(10)
        self.assertEqual(stream.writes, [frames("~h~1")])
        self.clock.advance(8)
        self.assertTrue(stream.aborted)

    def test_twice(self) -> None:
        """The second echo of one heartbeat does not put the next one off."""
        session, stream = self.stream()
        self.clock.advance(10)
        self.echo(session, 1)
        self.clock.advance(9)
        self.echo(session, 1)
        self.clock.advance(1)
        self.assertEqual(received(stream), ["1", "2"])

    def test_echoOnOtherTransport(self) -> None:
        """An echo that arrives after the stream was replaced means nothing to the new one."""
        session, stream = self.stream()
        self.clock.advance(10)
        self.assertEqual(received(stream), ["1"])
        back = attach(session, FakeStream)
        self.clock.advance(10)
        self.echo(session, 1)
        self.assertEqual(received(back), ["2"])
        self.clock.advance(8)
        self.assertTrue(back.aborted)

    def test_echoByPollingClient(self) -> None:
        """A client on a poll, or on none, may send heartbeats; they change nothing."""
        session, poll = self.poll()
        self.echo(session, 1)
        self.clock.advance(20)
        self.assertEqual(poll.writes, [b""])
        self.echo(session, 1)
        self.clock.advance(60)
        self.assertEqual(self.receiver.reasons, [Reason.RECONNECT_TIMEOUT])

    def test_restOfPayload(self) -> None:
        """The frames behind a heartbeat in the same payload count."""
        session, _ = self.stream()
        self.clock.advance(10)
        session.dataReceived(frames("a", "~h~1", "b", "~h~7", "c").decode("utf-8"))
        self.assertEqual(self.receiver.packets, ["a", "b", "c"])

    def test_takesWhatWaits(self) -> None:
        """What was accepted before a heartbeat is due leaves before it, in the same write."""
        session, stream = self.stream()
        self.clock.rightNow += 10  # time passes, and a message is accepted before the timers of this turn
        send(session, "a")
        self.turn()
        self.assertEqual(stream.writes, [frames("a", "~h~1")])

    def test_streamingCodec(self) -> None:
        """The streaming codec's heartbeats work alike."""
        session, stream = connect(self.registry, FakeStream, SIOStreamingCodec)
        self.turn()
        stream.writes.clear()
        self.clock.advance(10)
        self.assertEqual(stream.writes, [b"2:1:1,"])
        session.dataReceived("2:1:1,")
        self.clock.advance(10)
        self.assertEqual(stream.writes, [b"2:1:1,", b"2:1:2,"])


class BackPressureTests(SessionCase):
    """A client that reads too slowly fills its own queue and nothing else."""

    options: ClassVar[dict[str, Any]] = {"queueMessages": 5, "queueBytes": 100}

    def slow(self) -> tuple[Session, FakeStream]:
        """A client on a stream that takes no bytes."""
        session, stream = self.stream()
        stream.ready = False
        return session, stream

    def test_wait(self) -> None:
        """Nothing is written while the transport is not ready, and all of it, in order, when it is."""
        session, stream = self.slow()
        for number in range(5):
            send(session, number)
            self.turn()
        self.assertEqual(stream.writes, [])
        stream.ready = True
        session.transportReady()
        self.assertEqual(stream.writes, [])
        self.turn()
        self.assertEqual(stream.writes, [frames(*"01234")])

    def test_pausedAgain(self) -> None:
        """A transport that is ready and paused again within a turn gets nothing."""
        session, stream = self.slow()
        send(session, "a")
        stream.ready = True
        session.transportReady()
        stream.ready = False
        self.turn()
        self.assertEqual(stream.writes, [])

    def test_readyTwice(self) -> None:
        """A transport may say twice in a turn that it is ready."""
        session, stream = self.slow()
        send(session, "a")
        stream.ready = True
        session.transportReady()
        session.transportReady()
        self.turn()
        self.assertEqual(stream.writes, [frames("a")])

    def test_messages(self) -> None:
        """T604: the queue takes exactly as many messages as configured; nothing that was accepted is lost."""
        session, stream = self.slow()
        send(session, *range(5))
        for _ in range(3):
            self.assertRaises(QueueFull, send, session, "x")
        self.turn()
        self.assertRaises(QueueFull, send, session, "x")
        stream.ready = True
        session.transportReady()
        self.turn()
        self.assertEqual(received(stream), list("01234"))
        send(session, "again")
        self.turn()
        self.assertEqual(received(stream), [*"01234", "again"])

    def test_bytes(self) -> None:
        """The queue takes exactly as many bytes of frames as configured, and a smaller message may still fit."""
        session, stream = self.slow()
        send(session, "é" * 20)  # ~m~20~m~ and 40 bytes
        send(session, "x" * 36)  # ~m~36~m~ and 36 bytes: 92 together
        self.assertRaises(QueueFull, send, session, "yy")  # 9 bytes
        send(session, "y")  # 8 bytes: 100 together
        self.assertRaises(QueueFull, send, session, "")
        stream.ready = True
        session.transportReady()
        self.turn()
        self.assertEqual(received(stream), ["é" * 20, "x" * 36, "y"])

    def test_largerThanQueue(self) -> None:
        """A message that is larger than the whole queue is refused even by an empty one; one that fits is not, ever."""
        session, stream = self.stream()
        self.assertRaises(QueueFull, send, session, "x" * 93)
        for _ in range(3):
            send(session, "x" * 92)
            self.turn()
        self.assertEqual(received(stream), ["x" * 92] * 3)

    def test_burst(self) -> None:
        """A stream that takes bytes takes more in one turn than the queue holds, in order, and nothing is refused."""
        session, stream = self.stream()
        send(session, *range(23))
        self.assertEqual(len(stream.writes), 4)
        self.turn()
        self.assertEqual(received(stream), [str(number) for number in range(23)])

    def test_burstTooLarge(self) -> None:
        """A stream that had room for none of it stays full: the message is refused, and the log says so."""
        session, stream = self.stream()
        send(session, *range(5))
        stream.ready = False
        with capturedLogs() as events:
            self.assertRaises(QueueFull, send, session, "x")
        self.assertEqual(len(events), 1)
        stream.ready = True
        with capturedLogs() as events:
            self.assertRaises(QueueFull, send, session, "x" * 200)
        self.assertEqual((received(stream), len(events)), (list("01234"), 1))

    def test_burstOnPoll(self) -> None:
        """A poll takes one answer: what is more than the queue holds is refused, and the log says so, once."""
        session, poll = self.poll()
        send(session, *range(5))
        with capturedLogs() as events:
            for _ in range(3):
                self.assertRaises(QueueFull, send, session, "x")
        self.assertEqual(
            [event["log_format"] for event in events], ["session {label}: its queue is full, and refuses messages"]
        )
        self.turn()
        self.assertEqual(received(poll), list("01234"))

    def test_absent(self) -> None:
        """The limits are the same for a client that is away."""
        session, poll = self.poll()
        poll.connectionLost()
        send(session, *range(5))
        self.assertRaises(QueueFull, send, session, "x")
        back = attach(session, FakePoll)
        self.assertRaises(QueueFull, send, session, "x")
        self.turn()
        self.assertEqual(received(back), list("01234"))
        send(session, "y")

    def test_heartbeatsHaveTheirOwnSlot(self) -> None:
        """T604: a full queue does not keep heartbeats back, and they take no place of it."""
        session, stream = self.slow()
        send(session, *range(5))
        self.clock.advance(10)
        self.assertEqual(stream.writes, [frames("~h~1")])
        self.assertTrue(session.dataReceived(frames("~h~1").decode("ascii")))
        self.clock.advance(9)
        self.assertFalse(stream.aborted)
        stream.ready = True
        session.transportReady()
        self.turn()
        self.assertEqual(received(stream), ["1", *"01234"])

    def test_neverReady(self) -> None:
        """A client that never reads is cut like one that never answers, and gets all of it if it comes back."""
        session, stream = self.slow()
        send(session, "a", "b")
        self.clock.pump([10, 8])
        self.assertEqual((stream.writes, stream.aborted), ([frames("~h~1")], True))
        stream.connectionLost()
        back = attach(session, FakeStream)
        self.turn()
        self.assertEqual(back.writes, [frames("a", "b")])
        self.clock.advance(10)
        self.assertEqual(back.writes[1:], [frames("~h~2")])


class CloseTests(SessionCase):
    """The application ends a session."""

    def test_stream(self) -> None:
        """What was sent before leaves with the end of a stream, in one write."""
        for kind in STREAMS:
            session, stream = connect(self.registry, kind)
            self.turn()
            stream.writes.clear()
            send(session, "a", "b")
            session.close(Reason.SERVER_DISCONNECT)
            self.assertEqual((stream.writes, stream.over, stream.aborted), ([frames("a", "b")], True, False))
            self.turn()
            self.assertEqual(stream.writes, [frames("a", "b")])

    def test_streamWithNothingToSay(self) -> None:
        """A stream with nothing left ends in good order all the same."""
        session, stream = self.stream()
        session.close(Reason.SERVER_DISCONNECT)
        self.assertEqual((stream.writes, stream.over, stream.aborted), ([], True, False))
        self.assertQuiet()

    def test_poll(self) -> None:
        """A held poll is answered with what was sent before."""
        session, poll = self.poll()
        send(session, "a", "b")
        session.close(Reason.SERVER_DISCONNECT)
        self.assertEqual((poll.writes, poll.aborted), ([frames("a", "b")], False))
        self.assertQuiet()

    def test_pollWithNothingToSay(self) -> None:
        """A held poll that nothing is left for is cut, for an empty answer would make the client poll again."""
        session, poll = self.poll()
        session.close(Reason.SERVER_DISCONNECT)
        self.assertEqual((poll.writes, poll.aborted), ([], True))
        poll.connectionLost()
        self.assertEqual(self.receiver.reasons, [Reason.SERVER_DISCONNECT])
        self.assertQuiet()

    def test_goodbye(self) -> None:
        """The streaming codec says goodbye, behind all that was sent, on streams and polls."""
        for kind in KINDS:
            session, transport = connect(self.registry, kind, SIOStreamingCodec)
            self.turn()
            if kind is FakePoll:
                transport = attach(session, kind)
            transport.writes.clear()
            send(session, "a")
            session.close(Reason.SERVER_DISCONNECT)
            self.assertEqual((transport.writes, transport.over), ([b"1:2::a,0:0:,"], True))

    def test_onlyGoodbye(self) -> None:
        """With nothing else to say, the goodbye comes alone."""
        session, _ = connect(self.registry, FakePoll, SIOStreamingCodec)
        self.turn()
        poll = attach(session, FakePoll)
        session.close(Reason.SERVER_DISCONNECT)
        self.assertEqual((poll.writes, poll.aborted), ([b"0:0:,"], False))

    def test_beforeGreeting(self) -> None:
        """A session that is closed as soon as it opens says its id first, and what was sent."""

        def onOpened(session: Session) -> None:
            send(session, "no")
            session.close(Reason.SERVER_DISCONNECT)

        self.receiver.onOpened = onOpened
        for kind in KINDS:
            session, transport = connect(self.registry, kind)
            self.assertEqual((transport.writes, transport.over), ([frames(session.id, "no")], True))
            self.turn()
            self.assertEqual(len(transport.writes), 1)
            self.assertEqual(
                self.receiver.events[-2:],
                [("opened", session.id), ("closed", session.id, Reason.SERVER_DISCONNECT)],
            )

    def test_absent(self) -> None:
        """An absent client's session ends at once; what it was not sent is counted in the log."""
        session, poll = self.poll()
        poll.connectionLost()
        send(session, "a")
        with capturedLogs() as logs:
            session.close(Reason.SERVER_DISCONNECT)
        self.assertEqual(
            texts(logs), [f"session {session.label} ended (server namespace disconnect) with 1 messages undelivered"]
        )
        self.assertQuiet()

    def test_neverAttached(self) -> None:
        """A session whose client never had a transport can be closed too."""
        session = self.registry.open(makeRoute(), makeHandshake())
        session.close(Reason.SERVER_DISCONNECT)
        self.assertQuiet()

    def test_notReady(self) -> None:
        """The last messages are handed even to a transport that is not ready: there is no later."""
        session, stream = self.stream()
        stream.ready = False
        send(session, "a")
        self.turn()
        session.close(Reason.SERVER_DISCONNECT)
        self.assertEqual(stream.writes, [frames("a")])

    def test_idempotent(self) -> None:
        """A second close does nothing, and changes no reason."""
        session, stream = self.stream()
        session.close(Reason.SERVER_DISCONNECT)
        session.close(Reason.SERVER_SHUTTING_DOWN)
        self.assertEqual(self.receiver.reasons, [Reason.SERVER_DISCONNECT])
        self.assertEqual(stream.writes, [])

    def test_afterwards(self) -> None:
        """Sending fails, and nothing that happens later brings the session back or ends it again."""
        session, socket = connect(self.registry, FakeWebSocket)
        self.turn()
        session.close(Reason.SERVER_DISCONNECT)
        self.assertRaises(SessionClosed, send, session, "a")
        self.assertRaises(SessionClosed, session.attach, FakePoll(session))
        events = list(self.receiver.events)
        self.assertTrue(session.dataReceived(frames("late").decode("ascii")))
        session.fail(ProtocolError("late"))
        session.transportReady()
        socket.closedByClient()
        socket.connectionLost()
        self.clock.advance(1000)
        self.assertEqual(self.receiver.events, events)
        self.assertQuiet()

    def test_withinClosed(self) -> None:
        """The receiver may close and send while it hears of the end: it is over already."""
        failures: list[SessionClosed] = []

        def onClosed(session: Session, reason: Reason) -> None:
            session.close(Reason.SERVER_DISCONNECT)
            failures.append(self.assertRaises(SessionClosed, send, session, "bye"))

        self.receiver.onClosed = onClosed
        session, _ = self.stream()
        session.close(Reason.SERVER_SHUTTING_DOWN)
        self.assertEqual((len(failures), self.receiver.reasons), (1, [Reason.SERVER_SHUTTING_DOWN]))

    def test_withinPacket(self) -> None:
        """After a close within a message, the packets behind it in the payload are not delivered."""

        def onPacket(session: Session, packet: Any) -> None:
            if packet.data == "close":
                send(session, "goodbye")
                session.close(Reason.SERVER_DISCONNECT)

        self.receiver.onPacket = onPacket
        session, stream = self.stream()
        self.assertTrue(session.dataReceived(frames("a", "close", "b", "~h~1", "c").decode("ascii")))
        self.assertEqual(self.receiver.packets, ["a", "close"])
        self.assertEqual(self.receiver.events[-1], ("closed", session.id, Reason.SERVER_DISCONNECT))
        self.assertEqual(stream.writes, [frames("goodbye")])

    def test_byClient(self) -> None:
        """A goodbye of the client ends the session; what follows it in the payload is not delivered."""
        session, stream = connect(self.registry, FakeStream, SIOStreamingCodec)
        self.turn()
        session.dataReceived("1:2::a,0:0:,1:2::b,")
        self.assertEqual((self.receiver.packets, self.receiver.reasons), (["a"], [Reason.CLIENT_DISCONNECT]))
        self.assertTrue(stream.over)
        self.assertQuiet()

    def test_duringHeartbeat(self) -> None:
        """A session that waits for an echo leaves no timer when it is closed."""
        session, _ = self.stream()
        self.clock.advance(12)
        session.close(Reason.SERVER_DISCONNECT)
        self.assertQuiet()

    def test_pendingFlush(self) -> None:
        """A flush that was due when the session closed writes nothing more."""
        session, socket = connect(self.registry, FakeWebSocket)
        self.turn()
        socket.writes.clear()
        send(session, "a")
        session.close(Reason.SERVER_DISCONNECT)
        self.turn()
        self.assertEqual(socket.writes, [frames("a")])


class DamageTests(SessionCase):
    """A client that breaks its protocol."""

    def test_goodPacketsFirst(self) -> None:
        """The good packets before the damage count; then the session ends, with one line in the log and no secrets."""
        session, poll = self.poll()
        other, stream = self.stream()
        with capturedLogs() as logs:
            self.assertFalse(session.dataReceived("~m~1~m~a~m~1~m~b~m~999~m~my words"))
        self.assertEqual((self.receiver.packets, self.receiver.reasons), (["a", "b"], [Reason.PARSE_ERROR]))
        self.assertEqual(len(logs), 1)
        line = texts(logs)[0]
        self.assertIs(logs[0]["log_level"], LogLevel.info)
        self.assertIn(session.label, line)
        self.assertIsNone(re.search(f"{session.id}|my words", line))
        self.assertTrue(poll.aborted)
        self.assertFalse(other.closed)
        send(other, "still here")
        self.turn()
        self.assertEqual(received(stream), ["still here"])

    def test_bothCodecs(self) -> None:
        """Damage of any kind ends a session of any codec, and raises nothing."""
        damaged = {
            "sio": ("x", "~m~", "~m~1~m~", "~m~3~m~~j~{", "~m~6~m~~j~NaN", "~m~x~m~", "~m~1~m~\U0001f600", "~m~-1~m~a"),
            "streaming": ("x", "1:2:", "1:1:a,", "3:1:a,", "1:4:j\n:{,", "0:0:"),
        }
        for codec in SOCKETIO_06_CODECS:
            for payload in damaged[codec.name]:
                session, _ = connect(self.registry, FakeStream, codec)
                self.assertFalse(session.dataReceived(payload), payload)
                self.assertEqual(self.receiver.events[-1], ("closed", session.id, Reason.PARSE_ERROR), payload)
        self.assertEqual(self.receiver.packets, [])
        self.assertQuiet()

    def test_form(self) -> None:
        """A payload that went through a form may have other line breaks; one that did not, may not."""
        session, _ = self.stream()
        self.assertTrue(session.dataReceived("~m~3~m~a\r\nb", form=True))
        self.assertEqual(self.receiver.packets, ["a\nb"])
        self.assertFalse(session.dataReceived("~m~3~m~a\r\nb"))

    def test_damageAfterGoodbye(self) -> None:
        """Damage behind a goodbye in the same payload changes neither the reason nor the log."""
        session, _ = connect(self.registry, FakeStream, SIOStreamingCodec)
        with capturedLogs() as logs:
            self.assertFalse(session.dataReceived("0:0:,damage"))
        self.assertEqual((self.receiver.reasons, logs), ([Reason.CLIENT_DISCONNECT], []))

    def test_afterTheEnd(self) -> None:
        """Payloads that come after the end are not delivered, good or not."""
        session, _ = self.stream()
        session.fail(ProtocolError("a binary message"))
        session.dataReceived(frames("a").decode("ascii"))
        session.dataReceived("x")
        self.assertEqual((self.receiver.packets, self.receiver.reasons), ([], [Reason.PARSE_ERROR]))

    def test_beforeFirstPoll(self) -> None:
        """A payload may come before the client polls for the first time with its id, or while it is away."""
        session, _ = connect(self.registry, FakePoll)
        self.turn()
        self.assertTrue(session.dataReceived(frames("early").decode("ascii")))
        self.assertEqual(self.receiver.packets, ["early"])


class StopTests(SessionCase):
    """The server ends: all sessions, and a Deferred for the rest."""

    def test_nobody(self) -> None:
        """With no client it is done at once."""
        self.assertFalse(self.registry.stopping)
        self.successResultOf(self.registry.stop())
        self.assertTrue(self.registry.stopping)

    def test_everyKind(self) -> None:
        """Sessions on any transport, absent or not, end; the Deferred waits for the last transport."""
        _, poll = self.poll()
        _, stream = self.stream()
        _, socket = connect(self.registry, FakeWebSocket)
        away, gone = self.poll()
        gone.connectionLost()
        self.turn()
        done = self.registry.stop()
        self.assertEqual(self.receiver.reasons, [Reason.SERVER_SHUTTING_DOWN] * 4)
        self.assertTrue(poll.aborted and stream.over and socket.over and away.closed)
        self.assertNoResult(done)
        poll.connectionLost()
        self.assertNoResult(done)
        socket.closedByClient()
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual(self.receiver.reasons, [Reason.SERVER_SHUTTING_DOWN] * 4)
        self.assertQuiet()

    def test_transportsEndWithin(self) -> None:
        """Transports that end at once, as streams and answered polls do, leave nothing to wait for."""
        for kind in (FakeStream, FakePoll):
            self.setUp()
            connect(self.registry, kind)
            connect(self.registry, kind)
            self.successResultOf(self.registry.stop())
            self.assertQuiet()

    def test_lastMessages(self) -> None:
        """What was sent before leaves first, with the goodbye of a codec that has one."""
        session, stream = connect(self.registry, FakeStream, SIOStreamingCodec)
        self.turn()
        send(session, "a")
        self.registry.stop()
        self.assertEqual(stream.writes[1:], [b"1:2::a,0:0:,"])

    def test_twice(self) -> None:
        """Asked again, it gives another Deferred, which fires with the first, or at once if that has fired."""
        _, socket = connect(self.registry, FakeWebSocket)
        first, second = self.registry.stop(), self.registry.stop()
        self.assertIsNot(first, second)
        self.assertNoResult(first)
        self.assertNoResult(second)
        socket.closedByClient()
        self.assertIsNone(self.successResultOf(first))
        self.assertIsNone(self.successResultOf(second))
        self.assertIsNone(self.successResultOf(self.registry.stop()))

    def test_failureInCallback(self) -> None:
        """What the callbacks of one caller do is nothing to another."""
        _, socket = connect(self.registry, FakeWebSocket)
        first, second = self.registry.stop(), self.registry.stop()
        first.addCallback(lambda _: 1 / 0)
        socket.closedByClient()
        self.failureResultOf(first, ZeroDivisionError)
        self.assertIsNone(self.successResultOf(second))

    def test_cancelled(self) -> None:
        """A caller that cancels its Deferred does not disturb another."""
        _, socket = connect(self.registry, FakeWebSocket)
        first, second = self.registry.stop(), self.registry.stop()
        first.addErrback(lambda _: None)
        first.cancel()
        socket.closedByClient()
        self.assertIsNone(self.successResultOf(second))

    def test_replacedTransport(self) -> None:
        """A WebSocket that was replaced and has not answered the goodbye yet is waited for too."""
        session, socket = connect(self.registry, FakeWebSocket)
        stream = attach(session, FakeStream)
        done = self.registry.stop()
        self.assertTrue(stream.over)
        self.assertNoResult(done)
        socket.closedByClient()
        self.successResultOf(done)

    def test_lateReport(self) -> None:
        """A stream that was cut for its silence, and reports its end when the server has stopped, does no harm."""
        _, stream = self.stream()
        self.clock.pump([10, 8])
        self.assertTrue(stream.aborted)
        done = self.registry.stop()
        stream.connectionLost()
        self.successResultOf(done)
        self.assertEqual(self.receiver.reasons, [Reason.SERVER_SHUTTING_DOWN])
        self.assertQuiet()

    def test_lostBeforeTheEnd(self) -> None:
        """Transports that end while the server does not stop fire nothing."""
        _, poll = self.poll()
        poll.connectionLost()
        self.assertEqual(self.registry.transports, set())
        self.assertFalse(self.registry.stopping)

    def test_within(self) -> None:
        """Asked while a session ends, by its receiver, it ends all, and fires when all have ended, not before."""
        fired: list[int] = []

        def onClosed(session: Session, reason: Reason) -> None:
            self.registry.stop().addCallback(lambda _: fired.append(len(self.receiver.reasons)))

        self.receiver.onClosed = onClosed
        first, _ = self.stream()
        self.stream()
        _, gone = self.poll()
        gone.connectionLost()
        first.close(Reason.SERVER_DISCONNECT)
        self.assertEqual(
            self.receiver.reasons, [Reason.SERVER_DISCONNECT, Reason.SERVER_SHUTTING_DOWN, Reason.SERVER_SHUTTING_DOWN]
        )
        self.assertEqual(fired, [3, 3, 3])
        self.assertQuiet()

    def test_withinPacket(self) -> None:
        """Asked by the receiver of a message, it drops the rest of that payload."""
        self.receiver.onPacket = lambda session, packet: cast(None, self.registry.stop())
        session, _ = self.stream()
        self.assertTrue(session.dataReceived(frames("a", "b").decode("ascii")))
        self.assertEqual(self.receiver.packets, ["a"])
        self.assertQuiet()

    def test_withinOpened(self) -> None:
        """Asked by the receiver of a new client, it ends that one too, its id said."""
        self.receiver.onOpened = lambda session: cast(None, self.registry.stop())
        session, poll = connect(self.registry, FakePoll)
        self.assertEqual(poll.writes, [frames(session.id)])
        self.assertQuiet()

    def test_sendingWithin(self) -> None:
        """What is sent to others while sessions end leaves with the farewell of those that have not ended yet."""
        first, _ = self.stream()
        second, stream = self.stream()
        self.receiver.onClosed = lambda session, _: None if second.closed else send(second, "one has left")
        self.registry.stop()
        self.assertEqual((first.closed, received(stream)), (True, ["one has left"]))


class FlushTests(SessionCase):
    """The end of a turn, for many sessions."""

    def test_oneCall(self) -> None:
        """However many sessions have something to say, the reactor is asked once."""
        sessions = [self.stream()[0] for _ in range(10)]
        before = len(self.clock.getDelayedCalls())
        for session in sessions:
            send(session, "a", "b")
        self.assertEqual(len(self.clock.getDelayedCalls()), before + 1)

    def test_sendingWithin(self) -> None:
        """What is sent while others are written to leaves in the next turn."""
        first, poll = self.poll()
        second, stream = self.stream()
        poll.nextRequest = lambda: send(second, "b")
        send(second, "a")
        send(first, "x")
        self.turn()
        self.turn()
        self.assertEqual(stream.writes, [frames("a"), frames("b")])

    def test_codecFails(self) -> None:
        """A codec that fails at one session's greeting is logged, and keeps nothing from the sessions after it."""

        class Broken(SIOCodec):
            name = "broken"

            def encode(self, outgoing: Outgoing) -> str:
                if outgoing.packet.kind is Kind.OPEN:
                    raise ZeroDivisionError
                return super().encode(outgoing)

        connect(self.registry, FakeStream, Broken)
        session, stream = connect(self.registry, FakeStream)
        try:
            self.turn()
        except ZeroDivisionError:
            self.turn()
        else:
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        send(session, "a")
        self.turn()
        self.assertEqual(received(stream), [session.id, "a"])


class FaultyCodecTests(SessionCase):
    """A codec of an application that raises what it must not: its own session suffers, and the log tells why."""

    class Faulty(SIOCodec):
        """Can't say goodbye, and fails for some messages."""

        name = "faulty"

        def encode(self, outgoing: Outgoing) -> str:
            if outgoing.packet.kind is Kind.CLOSE:
                raise ZeroDivisionError
            return super().encode(outgoing)

        def decode(self, payload: str, form: bool = False) -> Iterator[Packet]:
            raise LookupError(payload)

    def test_close(self) -> None:
        """The session ends all the same: its transport, its timer, and the word to the receiver."""
        for kind in KINDS:
            session, transport = connect(self.registry, kind, self.Faulty)
            self.turn()
            if kind is FakePoll:
                transport = attach(session, kind)
            session.close(Reason.SERVER_DISCONNECT)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertTrue(transport.over or transport.aborted)
            transport.connectionLost()
            self.assertEqual(self.receiver.reasons.pop(), Reason.SERVER_DISCONNECT)
        self.assertQuiet()

    def test_decode(self) -> None:
        """A payload that it chokes on is as good as a damaged one."""
        session, _ = connect(self.registry, FakeWebSocket, self.Faulty)
        self.turn()
        self.assertFalse(session.dataReceived("x"))
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)
        self.assertEqual(self.receiver.reasons, [Reason.PARSE_ERROR])
        self.flushLoggedErrors(ZeroDivisionError)

    def test_afterTheEnd(self) -> None:
        """What comes for a session that has ended reaches nobody."""
        session, _ = self.stream()
        session.close(Reason.SERVER_DISCONNECT)
        self.assertTrue(session.dataReceived("nonsense"))
        self.assertEqual(self.receiver.reasons, [Reason.SERVER_DISCONNECT])


class SliceTests(SessionCase):
    """T312: a stream is not given more than it takes."""

    def test_untilFull(self) -> None:
        """
        What waits is written in slices, until the transport is full; the rest waits on, shared with other sessions.
        """
        self.registry = SessionRegistry(self.clock, Config(), self.receiver)
        session, stream = self.stream()
        stream.ready = False
        send(session, *("x" * 1_000 for _ in range(500)))
        write = stream.write

        def full(chunks: Sequence[bytes]) -> None:
            write(chunks)
            stream.ready = False

        stream.write = full  # type: ignore[method-assign]
        for _ in range(10):
            stream.ready = True
            session.transportReady()
            self.turn()
        self.assertEqual(received(stream), ["x" * 1_000] * 500)
        self.assertEqual(len(stream.writes), 8)
        self.assertLess(max(map(len, stream.writes)), 67_000)


class CycleTests(SessionCase):
    """T615: what has ended needs no garbage collector to go."""

    def test_none(self) -> None:
        """No session is left behind, whatever transport it had."""
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        before = sum(isinstance(each, Session) for each in gc.get_objects())
        for kind in KINDS:
            session, transport = connect(self.registry, kind)
            self.turn()
            session.close(Reason.SERVER_DISCONNECT)
            transport.connectionLost()
            del session, transport
        self.receiver.events.clear()
        self.assertEqual(sum(isinstance(each, Session) for each in gc.get_objects()), before)


class TimerTests(SessionCase):
    """T605: timers don't pile up and don't stay."""

    def test_oneForEach(self) -> None:
        """A session has one timer, whatever it lives through, and none after its end."""
        session, transport = connect(self.registry, FakeStream)
        for number in range(50):
            kind = KINDS[number % 3]
            attached = attach(session, kind)
            self.clock.advance(1)
            session.dataReceived(frames(f"~h~{number}").decode("ascii"))
            if number % 5 == 0:
                attached.connectionLost()
            self.turn()
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.assertTrue(transport.over)
        session.close(Reason.SERVER_DISCONNECT)
        self.turn()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many(self) -> None:
        """A thousand clients that come and go in all ways leave nothing."""
        transports: list[FakeTransport] = []
        for number in range(1000):
            session, transport = connect(self.registry, KINDS[number % 3])
            transports.append(transport)
            if number % 2:
                transport.connectionLost()
            elif number % 5 == 0:
                session.close(Reason.SERVER_DISCONNECT)
            if number % 10 == 0:
                self.clock.advance(0.5)
        for _ in range(20):
            self.clock.advance(10)
            for each in transports:
                if each in self.registry.transports and (each.aborted or each.over):
                    each.connectionLost()
        self.assertEqual(len(self.receiver.reasons), 1000)
        self.assertQuiet()
