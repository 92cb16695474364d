"""
The ends of sessions: heartbeats that are not answered, every way to close, damage, codecs that fail, the server that
stops, and that nothing is left behind.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from typing import Any, cast

from twisted.logger import LogLevel, capturedLogs

from siotwisted.dialects.engineio import ENGINEIO_4
from siotwisted.dialects.socketio06 import SOCKETIO_06_CODECS
from siotwisted.errors import ProtocolError, SessionClosed
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, Reason
from siotwisted.session import Session
from siotwisted.wire.sio06 import SIOCodec
from siotwisted.wire.sio06streaming import SIOStreamingCodec
from tests.fakes import (
    EnginePoll,
    FakePoll,
    FakeStream,
    FakeTransport,
    FakeWebSocket,
    attach,
    connect,
    makeHandshake,
    makeRoute,
    received,
)
from tests.sessioncase import KINDS, STREAMS, TICK, SessionCase, frames, send, texts


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
        """An absent client's session ends at once; what it does not come for in time is told then, and not before."""
        session, poll = self.poll()
        poll.connectionLost()
        send(session, "a")
        session.close(Reason.SERVER_DISCONNECT)
        self.assertEqual(self.receiver.reasons, [Reason.SERVER_DISCONNECT])
        self.clock.advance(self.config.closeTimeout - TICK)
        self.assertEqual(self.receiver.settled, [])
        self.clock.advance(TICK)
        self.assertEqual(self.receiver.settled, [(session.id, [("a", False)])])
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

    def test_closingWithin(self) -> None:
        """A session that the application ends while others end has no last words for later: nothing is left to do."""
        first, _ = self.stream()
        second = connect(self.registry, EnginePoll, dialect=ENGINEIO_4)[0]
        self.clock.advance(0)
        self.receiver.onClosed = lambda session, _: second.close(Reason.SERVER_DISCONNECT)
        self.successResultOf(self.registry.stop())
        self.assertEqual((first.closed, second.closed, self.registry.late), (True, True, {}))
        self.assertEqual(self.clock.getDelayedCalls(), [])


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

    def test_message(self) -> None:
        """So is a WebSocket message."""
        session, socket = connect(self.registry, FakeWebSocket, self.Faulty)
        self.turn()
        session.messageReceived(socket, "x")
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)
        self.assertEqual(self.receiver.reasons, [Reason.PARSE_ERROR])
        session.messageReceived(socket, "x")
        self.assertEqual(self.flushLoggedErrors(LookupError), [])
        self.flushLoggedErrors(ZeroDivisionError)

    def test_afterTheEnd(self) -> None:
        """What comes for a session that has ended reaches nobody."""
        session, _ = self.stream()
        session.close(Reason.SERVER_DISCONNECT)
        self.assertTrue(session.dataReceived("nonsense"))
        session.packetsReceived([Packet(Kind.MESSAGE, "late"), Packet(Kind.CLOSE)])
        self.assertEqual((self.receiver.packets, self.receiver.reasons), ([], [Reason.SERVER_DISCONNECT]))


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
