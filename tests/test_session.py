"""
Sessions and their registry: ids, the greeting, order, absence, polls, slow readers, and writing at the end of a turn.

A :class:`~twisted.internet.task.Clock` is the time and the fakes of :mod:`tests.fakes` are the network.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, ClassVar, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from zope.interface.verify import verifyObject

from siotwisted.config import Config
from siotwisted.dialects.engineio import ENGINEIO_4
from siotwisted.dialects.routing import Router
from siotwisted.errors import QueueFull, SessionClosed, UnsupportedByClient
from siotwisted.ids import newSessionID, serverOf
from siotwisted.interfaces import IPacketReceiver, ISessionTransport
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Reason, messagePacket
from siotwisted.registry import SessionRegistry
from siotwisted.session import Session
from siotwisted.wire import sio06streaming
from siotwisted.wire.enginecodec import SocketIO5Codec
from siotwisted.wire.sio06 import SIOCodec
from siotwisted.wire.sio06streaming import SIOStreamingCodec
from siotwisted.workers import MOST_WORKERS
from tests.fakes import (
    EngineSocket,
    FakePoll,
    FakeReceiver,
    FakeStream,
    FakeTransport,
    FakeWebSocket,
    attach,
    connect,
    echo,
    makeHandshake,
    makeRoute,
    messages,
    received,
)
from tests.sessioncase import KINDS, STREAMS, TICK, SessionCase, frames, send


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
        found = Router({SIOCodec.name: SIOCodec}, {}, {}).route(["xhr-polling", id, "1700000000000"], {})
        assert found is not None
        self.assertEqual(found.sessionID, id)

    def test_server(self) -> None:
        """Of several servers, an id tells whose it is; what is none of ours is nobody's."""
        for server in (0, MOST_WORKERS - 1):
            self.assertEqual(serverOf(newSessionID(server)), server)
        self.assertRaises(IndexError, newSessionID, MOST_WORKERS)
        self.assertEqual([serverOf(id) for id in ("", "?", "Zz", "1")], [-1] * 4)

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
        """
        They come as well if the client is back on another transport, whichever; and before them once more what had left
        by the first, unless a poll was answered with it and the client has polled again.
        """
        for before in KINDS:
            for after in KINDS:
                session, transport = connect(self.registry, before)
                send(session, "sent")
                self.turn()
                transport.connectionLost()
                send(session, "a", "b")
                self.turn()
                back = attach(session, after)
                self.turn()
                self.assertEqual(received(transport), [session.id, "sent"])
                confirmed = before is FakePoll and after is FakePoll
                self.assertEqual(received(back), ["a", "b"] if confirmed else ["sent", "a", "b"])

    def test_absentHasConfirmed(self) -> None:
        """What the client has answered a heartbeat behind does not come again."""
        for kind in STREAMS:
            session, transport = connect(self.registry, kind)
            send(session, "sent")
            self.clock.advance(self.config.heartbeatInterval)
            echo(transport)
            send(session, "again")
            self.turn()
            transport.connectionLost()
            back = attach(session, kind)
            self.turn()
            self.assertEqual(messages(transport, back), [session.id, "sent", "again", "again"])

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
        """
        Whatever happens in whatever order, nothing is lost or reordered; nor doubled, but when the client comes by
        another transport: then some of the last may come once more.
        """
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
        found: list[str] = []
        for transport in transports:
            came = received(transport)
            if not came:
                continue
            self.assertEqual(len(set(came)), len(came))
            start = found.index(came[0]) if came[0] in found else len(found)
            self.assertEqual(found[start:], came[: len(found) - start])
            found[start:] = came
        self.assertEqual(found, [session.id, *map(str, range(sent))])
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
        """What was never confirmed is told when the session ends, in order; if all was, nothing is."""
        session, poll = self.poll()
        send(session, "a")
        self.turn()
        back = attach(session, FakePoll)
        send(session, "b")
        self.turn()
        self.assertEqual(received(poll, back), ["a", "b"])
        send(session, "c", "secret")
        with capturedLogs() as logs:
            self.clock.advance(60)
        self.assertEqual(self.receiver.settled, [(session.id, [("b", True), ("c", False), ("secret", False)])])
        other, stream = self.stream()
        send(other, "a")
        self.turn()
        other.packetsReceived([])
        self.clock.advance(self.config.heartbeatInterval)
        echo(stream)
        stream.connectionLost()
        self.clock.advance(60)
        self.assertEqual(self.receiver.settled[1:], [(other.id, [])])
        self.assertEqual((self.receiver.reasons[1:], logs), ([Reason.TRANSPORT_CLOSE], []))


class _Heard:
    """Hears events in the name of a member."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def heard(self, member: Any, event: list[Any]) -> None:
        """Remember them."""
        self.events.append((member, event))


class ListenerTests(SessionCase):
    """Events that somebody wants to have at once."""

    def test_atOnce(self) -> None:
        """
        They go there, by post and by WebSocket, and not to the receiver; a sign of life they are all the same. All else
        goes to the receiver, and so does everything while nobody listens.
        """
        session, socket = connect(self.registry, EngineSocket, SocketIO5Codec, ENGINEIO_4)
        listener = _Heard()
        heard = listener.events
        touched: list[object] = []
        self.patch(type(session._liveness), "touched", lambda liveness: touched.append(liveness))
        socket.receive('42["a",1]')
        session.listener, session.member = listener, "me"
        socket.receive('42["b",2]')
        session.dataReceived('42["c"]')
        self.assertEqual((heard, len(touched), len(self.receiver.events)), ([("me", ["b", 2]), ("me", ["c"])], 3, 2))
        socket.receive('420["f"]')
        session.dataReceived('42["g"]\x1e42["h"]')
        self.assertEqual((len(heard), len(self.receiver.events)), (2, 5))

    def test_damaged(self) -> None:
        """A damaged event, and a reserved one, are the end of a session, whoever listens."""
        for message in ('42["i', '42["connect"]'):
            for post in (False, True):
                session, socket = connect(self.registry, EngineSocket, SocketIO5Codec, ENGINEIO_4)
                session.listener = listener = _Heard()
                if post:
                    session.dataReceived(message)
                else:
                    socket.receive(message)
                self.assertEqual((session.closed, listener.events), (True, []), message)


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
        self.assertEqual(stream.writes[0], frames(*"01234"))
        self.assertEqual(messages(stream), [*"01234"])

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
        self.assertEqual(messages(stream), list("01234"))
        send(session, "again")
        self.turn()
        self.assertEqual(messages(stream), [*"01234", "again"])

    def test_bytes(self) -> None:
        """The queue takes exactly as many bytes as configured, and a smaller message may still fit."""
        session, stream = self.slow()
        send(session, "é" * 20, "x" * 59)  # 99 bytes together
        self.assertRaises(QueueFull, send, session, "yy")
        self.assertRaises(QueueFull, send, session, "é")
        send(session, "y")
        self.assertRaises(QueueFull, send, session, "y")
        stream.ready = True
        session.transportReady()
        self.turn()
        self.assertEqual(messages(stream), ["é" * 20, "x" * 59, "y"])

    def test_largerThanQueue(self) -> None:
        """A message that is larger than the whole queue is refused even by an empty one; one that fits is not, ever."""
        session, stream = self.stream()
        self.assertRaises(QueueFull, send, session, "x" * 101)
        for _ in range(3):
            send(session, "x" * 100)
            self.turn()
            echo(stream)
        self.assertEqual(messages(stream), ["x" * 100] * 3)

    def test_burst(self) -> None:
        """A stream that takes bytes takes more in one turn than the queue holds, in order, and nothing is refused."""
        self.registry = SessionRegistry(self.clock, Config(queueMessages=5, queueBytes=1000), self.receiver)
        session, stream = self.stream()
        send(session, *range(23))
        self.assertEqual(len(stream.writes), 4)
        self.turn()
        self.assertEqual(received(stream), [str(number) for number in range(23)])

    def test_burstWithoutAnswer(self) -> None:
        """It is handed no more than as many bytes again until the client tells that it has read them."""
        session, stream = self.stream()
        accepted = 0
        with self.assertRaises(QueueFull):
            for accepted in range(100):
                send(session, f"{accepted:08}")
        self.turn()
        handed = sum(len(each) for each in messages(stream))
        self.assertLessEqual(handed, 100)
        self.assertGreater(handed, 90)
        for _ in range(3):
            echo(stream)
            self.turn()
        self.assertEqual(messages(stream), [f"{number:08}" for number in range(accepted)])

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
        self.assertEqual((messages(stream), len(events)), (list("01234"), 1))

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
        self.assertEqual(received(stream)[:6], ["1", *"01234"])
        self.assertEqual(messages(stream), [*"01234"])

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


class VolatileTests(SessionCase):
    """What may be lost: it is sent if the client can take it now, and forgotten otherwise."""

    def volatile(self, session: Session, data: object) -> None:
        """Send a message that may be lost."""
        session.send(Outgoing(messagePacket(data)), volatile=True)

    def test_taken(self) -> None:
        """A client that is there gets it, in its place among others."""
        for session, transport in (self.poll(), self.stream()):
            send(session, "a")
            self.volatile(session, "b")
            send(session, "c")
            self.turn()
            self.assertEqual(received(transport), ["a", "b", "c"])

    def test_betweenPolls(self) -> None:
        """One that is between two polls, or away, never gets it."""
        session, poll = self.poll()
        poll.loseConnection()
        self.volatile(session, "a")
        send(session, "b")
        poll = attach(session, FakePoll)
        self.turn()
        self.assertEqual(received(poll), ["b"])

    def test_slow(self) -> None:
        """Nor does one that reads too slowly."""
        session, stream = self.stream()
        stream.ready = False
        self.volatile(session, "a")
        stream.ready = True
        session.transportReady()
        self.turn()
        self.assertEqual(stream.writes, [])

    def test_errors(self) -> None:
        """What could not be said at all is the caller's error, whether the client is there or not."""
        session, poll = self.poll()
        self.assertRaises(UnsupportedByClient, self.volatile, session, b"a")
        poll.loseConnection()
        self.assertRaises(UnsupportedByClient, self.volatile, session, b"a")
        session.close(Reason.SERVER_DISCONNECT)
        self.assertRaises(SessionClosed, self.volatile, session, "a")


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

        def full(chunks: Sequence[bytes], binary: bool = False) -> None:
            write(chunks, binary)
            stream.ready = False

        stream.write = full  # type: ignore[method-assign]
        for _ in range(10):
            stream.ready = True
            session.transportReady()
            self.turn()
        self.assertEqual(messages(stream), ["x" * 1_000] * 500)
        self.assertEqual(len([each for each in stream.writes if len(each) > 20]), 8)
        self.assertLess(max(map(len, stream.writes)), 67_000)
