"""
Connection state recovery, as clients from 4.6 on know it: on the wire, to the byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Sequence
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from siotwisted import Config, Connection, ConnectionRefused, SocketIO, recipients
from siotwisted.dialects.dialect import Dialect
from siotwisted.dialects.engineio import ENGINEIO_3, ENGINEIO_4
from siotwisted.ledger import Undelivered
from siotwisted.packets import Kind, Packet, Reason
from siotwisted.wire import siomsgpack
from tests.fakes import EnginePoll, EngineSocket, attach, connect
from tests.sessioncase import TICK


class Peer:
    """
    A client on a WebSocket, whose messages are looked at as they are.

    :ivar told: what it was told when it joined the root.
    """

    def __init__(self, sio: SocketIO, clock: Clock, auth: object = None, dialect: Dialect = ENGINEIO_4) -> None:
        self._clock = clock
        self._seen = 0
        self.session, self.socket = connect(sio.registry, EngineSocket, dialect=dialect, who="x")
        self.turn()
        self._seen = 1
        self.told: Any = None
        if dialect is ENGINEIO_4:
            self.say("40" + ("" if auth is None else json.dumps(auth)))
            first = self.socket.sent[1]
            assert isinstance(first, str)
            if first.startswith("40{"):
                self.told = json.loads(first[2:])
                self._seen = 2

    def turn(self) -> None:
        """The reactor's turn ends."""
        self._clock.advance(0)

    def say(self, *messages: str | bytes) -> None:
        """It sends messages."""
        self.socket.receive(*messages)
        self.turn()

    def take(self) -> list[str | bytes]:
        """The messages that it got since it was asked last."""
        self.turn()
        sent = self.socket.sent
        taken, self._seen = sent[self._seen :], len(sent)
        return taken

    def lose(self) -> None:
        """Its connection is lost."""
        self.socket.connectionLost()
        self.turn()

    def auth(self, offset: object = None) -> dict[str, object]:
        """What it says when it comes back."""
        return {"pid": self.told["pid"], **({} if offset is None else {"offset": offset})}


class RecoveryCase(SynchronousTestCase):
    """A server whose clients can recover; its stamps begin with 1."""

    def setUp(self) -> None:
        """Make it."""
        self.make()

    def make(self, **settings: Any) -> None:
        """Another one, with these settings; its application takes notes."""
        self.patch(recipients, "_STAMPS", count(1))
        self.clock = Clock()
        self.clock.advance(1000)
        self.sio = SocketIO(self.clock, Config(**{"recovery": 120.0, **settings}))
        self.connections: list[Connection] = []
        self.reports: list[tuple[list[tuple[Any, bool]], Reason]] = []
        self.sio.onConnect(self.connections.append)
        self.sio.onUndelivered(self.report)

    def report(self, connection: Connection, entries: Sequence[Undelivered], reason: Reason) -> None:
        """Note what was reported."""
        self.reports.append(([(each.data, each.sent) for each in entries], reason))

    def tearDown(self) -> None:
        """The books balance, and nothing is left when the server has stopped."""
        self.assertBalance()
        self.stop()
        now = self.sio.statistics()
        self.assertBalance()
        self.assertEqual((now.pending, now.sessions, self.clock.getDelayedCalls()), (0, 0, []))
        self.assertEqual(self.sio._core.away.members, {})

    def stop(self) -> None:
        """Stop the server, whose clients answer."""
        stopped = self.sio.stop()
        for transport in list(self.sio.registry.transports):
            assert isinstance(transport, EngineSocket)
            transport.closedByClient()
        self.successResultOf(stopped)
        self.clock.advance(0)

    def assertBalance(self) -> None:
        """Each message is in one place."""
        now = self.sio.statistics()
        self.assertEqual(now.accepted, now.confirmed + now.pending + now.undelivered + now.moved, now)

    def come(self, auth: object = None, dialect: Dialect = ENGINEIO_4) -> Peer:
        """A client comes and joins the root."""
        return Peer(self.sio, self.clock, auth, dialect)

    def away(self, *rooms: str) -> Peer:
        """A client that has got one event of stamp 1, is in rooms, and has lost its connection."""
        peer = self.come()
        self.connections[-1].join(*rooms)
        self.sio.emit("first")
        assert peer.take() == ['42["first","1"]']
        peer.lose()
        return peer

    def both(self, name: str) -> tuple[Peer, str | bytes, str]:
        """A client that has left the root and another namespace, its welcome there, and what it says to come back."""
        peer = self.come()
        peer.say(f"40{name},")
        (welcome,) = peer.take()
        peer.lose()
        return peer, welcome, json.dumps({"pid": json.loads(str(welcome).partition(",")[2])["pid"]})

    def back(self, peer: Peer, offset: object = "1", **more: object) -> Peer:
        """It comes back."""
        return self.come({**peer.auth(offset), **more})

    def assertRecovered(self, old: Peer, new: Peer, *messages: str | bytes) -> None:
        """It was known, and got these messages."""
        self.assertEqual(new.told, old.told)
        self.assertEqual(new.take(), [*messages])
        self.assertIs(self.connections[-1].recovered, True)

    def assertNew(self, old: Peer, new: Peer) -> None:
        """It is as good as new."""
        self.assertEqual(set(new.told), {"sid", "pid"})
        self.assertNotEqual(new.told["sid"], old.told["sid"])
        self.assertNotEqual(new.told["pid"], old.told["pid"])
        self.assertEqual(new.take(), [])
        self.assertIs(self.connections[-1].recovered, False)


class WireTests(RecoveryCase):
    """What is said."""

    def test_welcome(self) -> None:
        """A client is told an id and another one that is its own secret, which nobody can guess."""
        peer = self.come()
        self.assertEqual(set(peer.told), {"sid", "pid"})
        self.assertRegex(peer.told["pid"], re.compile(r"\A[A-Za-z0-9_-]{27}\Z"))
        self.assertNotEqual(self.come().told["pid"], peer.told["pid"])

    def test_off(self) -> None:
        """Without recovery there is no such id, nor a stamp."""
        self.make(recovery=None)
        peer = self.come({"pid": "x", "offset": "1"})
        self.assertEqual(set(peer.told), {"sid"})
        self.sio.emit("a")
        self.assertEqual(peer.take(), ['42["a"]'])
        self.assertEqual(self.connections[0].handshake.auth, {"pid": "x", "offset": "1"})

    def test_stamps(self) -> None:
        """Every event ends with its stamp; questions, answers and what belongs to the session have none."""
        peer = self.come()
        connection = self.connections[0]
        self.sio.on("ask", lambda connection: "yes")
        connection.emit("a", 1)
        connection.send("b")
        self.sio.emit("c")
        self.sio.send({"d": 1})
        question = connection.call("q")
        question.addErrback(lambda _: None)
        peer.say('427["ask"]')
        self.assertEqual(
            peer.take(),
            [
                '42["a",1,"1"]',
                '42["message","b","2"]',
                '42["c","3"]',
                '42["message",{"d":1},"4"]',
                '421["q"]',
                '437["yes"]',
            ],
        )

    def test_shared(self) -> None:
        """Old clients get the same broadcast without a stamp, whoever is first."""
        self.come(dialect=ENGINEIO_3)
        peers = [self.come(dialect=ENGINEIO_3), self.come(), self.come(dialect=ENGINEIO_3), self.come()]
        for peer in peers:
            peer.take()
        self.sio.emit("a", "é")
        stamped = '42["a","é","1"]'
        plain = '42["a","\\u00e9"]'
        self.assertEqual([peer.take() for peer in peers], [[plain], [stamped], [plain], [stamped]])

    def test_missed(self) -> None:
        """A client that is back gets its old ids, then what it has missed, in order."""
        peer = self.away()
        self.sio.emit("a", 2)
        self.sio.emit("b")
        self.assertEqual(self.sio.statistics().pending, 3)
        back = self.back(peer)
        self.assertEqual(back.socket.sent[1], f'40{{"sid":"{peer.told["sid"]}","pid":"{peer.told["pid"]}"}}')
        self.assertRecovered(peer, back, '42["a",2,"2"]', '42["b","3"]')
        self.assertEqual(self.reports, [])

    def test_offset(self) -> None:
        """What it says it has, it does not get again; what was sent to it and lost, it does."""
        peer = self.come()
        for name in "abc":
            self.sio.emit(name)
        peer.take()
        peer.lose()
        self.sio.emit("d")
        self.assertRecovered(peer, self.back(peer, "2"), '42["c","3"]', '42["d","4"]')
        self.assertEqual(self.sio.statistics()[:5], (6, 2, 2, 0, 2))

    def test_noEvents(self) -> None:
        """A client that never had an event says no offset."""
        peer = self.come()
        peer.lose()
        self.sio.emit("a")
        self.assertRecovered(peer, self.back(peer, None), '42["a","1"]')

    def test_nothingMissed(self) -> None:
        """It is known though there was nothing to miss."""
        peer = self.away()
        self.assertRecovered(peer, self.back(peer))

    def test_again(self) -> None:
        """It goes on three times, whatever the client had got meanwhile."""
        peer = self.away("blue")
        has = 1
        for number in range(3):
            self.sio.to("blue").emit("missed", number)
            back = self.back(peer, str(has))
            self.assertRecovered(peer, back, f'42["missed",{number},"{has + 1}"]')
            self.sio.to("blue").emit("live", number)
            self.assertEqual(back.take(), [f'42["live",{number},"{has + 2}"]'])
            has += 2
            back.lose()
        self.assertRecovered(peer, self.back(peer, str(has)))

    def test_lostAgain(self) -> None:
        """If the new connection is lost before anything came, the next gets all of it."""
        peer = self.away()
        self.sio.emit("a")
        self.back(peer).lose()
        self.sio.emit("b")
        self.assertRecovered(peer, self.back(peer), '42["a","2"]', '42["b","3"]')

    def test_binary(self) -> None:
        """Events with attachments have their stamp, too."""
        peer = self.away()
        self.sio.emit("a", b"\1\2")
        placeholder = '{"_placeholder":true,"num":0}'
        self.assertRecovered(peer, self.back(peer), f'451-["a",{placeholder},"2"]', b"\1\2")

    def test_messagePack(self) -> None:
        """So it is in MessagePack."""
        _session, socket = connect(self.sio.registry, EngineSocket, dialect=ENGINEIO_4)
        socket.receive(siomsgpack.encode(Packet(Kind.CONNECT)))
        self.clock.advance(0)
        welcome = siomsgpack.decode(self.bytesOf(socket.sent[1]))
        assert welcome is not None
        self.sio.emit("a", b"\1")
        self.clock.advance(0)
        self.assertEqual(siomsgpack.decode(self.bytesOf(socket.sent[2])), Packet(Kind.EVENT, ["a", b"\1", "1"]))
        socket.connectionLost()
        self.sio.emit("b")
        _session, socket = connect(self.sio.registry, EngineSocket, dialect=ENGINEIO_4)
        socket.receive(siomsgpack.encode(Packet(Kind.CONNECT, {"pid": welcome.data["pid"], "offset": "1"})))
        self.clock.advance(0)
        packets = [siomsgpack.decode(self.bytesOf(each)) for each in socket.sent[1:]]
        self.assertEqual(packets, [welcome, Packet(Kind.EVENT, ["b", "2"])])

    def test_fullTwice(self) -> None:
        """On polls two namespaces come back at once, though what was missed in the first fills the queue."""
        self.make(queueMessages=3)
        self.sio.of("/chat")
        peer, welcome, auth = self.both("/chat")
        for name in "abc":
            self.sio.emit(name)
        session, _poll = connect(self.sio.registry, EnginePoll, dialect=ENGINEIO_4)
        self.clock.advance(0)
        poll = attach(session, EnginePoll)
        session.dataReceived(f"40{json.dumps(peer.auth())}\x1e40/chat,{auth}")
        self.clock.advance(0)
        said = ["40" + json.dumps(peer.told, separators=(",", ":"))]
        said += [f'42["{name}","{stamp}"]' for stamp, name in enumerate("abc", 1)]
        self.assertEqual(poll.writes[0].decode().split("\x1e"), [*said, welcome])
        self.assertEqual((session.closed, self.reports), (False, []))

    def bytesOf(self, message: str | bytes) -> bytes:
        """A message that is bytes."""
        assert isinstance(message, bytes)
        return message


class StateTests(RecoveryCase):
    """What it is again."""

    def test_identity(self) -> None:
        """Its id, its data and its rooms; the handshake is the new one, without what only recovery needs."""
        peer = self.come({"token": "a"})
        old = self.connections[0]
        old.data["name"] = "Ann"
        old.join("blue", "green")
        old.leave("green")
        peer.lose()
        self.back(peer, None, token="b")
        new = self.connections[1]
        self.assertEqual((new.id, new.data, new.rooms), (old.id, {"name": "Ann"}, {old.id, "blue"}))
        self.assertEqual((new.handshake.auth, new.recovered, old.recovered), ({"token": "b"}, True, False))
        self.assertIs(self.sio.getConnection(old.id), new)
        peer = self.back(self.come(), None)
        self.assertIsNone(self.connections[-1].handshake.auth)

    def test_rooms(self) -> None:
        """It gets what its rooms were sent, and what was meant for all, and no more."""
        peer = self.away("blue", "green")
        id = self.connections[0].id
        self.sio.to("blue").emit("a")
        self.sio.to("red").emit("b")
        self.sio.excluding("green").emit("c")
        self.sio.to("green", "blue").emit("d")
        self.sio.to(id).emit("e")
        self.sio.excluding(id).emit("f")
        back = self.back(peer)
        self.assertEqual([str(each)[4] for each in back.take()], ["a", "d", "e"])

    def test_volatile(self) -> None:
        """What may be lost is lost; one that came with a string in the end is not taken for a stamp."""
        peer = self.away()
        self.sio.volatile().emit("lost", "7")
        self.sio.emit("kept", "7")
        self.assertRecovered(peer, self.back(peer), '42["kept","7","3"]')
        self.sio.volatile().emit("live", "text")
        self.assertEqual(self.sio.statistics().moved, 1)

    def test_volatileLast(self) -> None:
        """A volatile event ends with its stamp, too: else its text would be the offset of a client that comes back."""
        peer = self.come()
        self.sio.volatile().emit("v", "text")
        self.assertEqual(peer.take(), ['42["v","text","1"]'])
        peer.lose()
        self.sio.emit("a")
        self.assertRecovered(peer, self.back(peer, "1"), '42["a","2"]')

    def test_lateFirst(self) -> None:
        """What was sent before it was lost comes before what came while it was away."""
        peer = self.come()
        self.connections[0].emit("unsent")
        peer.socket.connectionLost()
        self.sio.emit("missed")
        self.assertRecovered(peer, self.back(peer, None), '42["unsent","1"]', '42["missed","2"]')

    def test_otherNamespace(self) -> None:
        """Each namespace has its own; an id of one is unknown in another."""
        chat = self.sio.of("/chat")
        peer = self.come()
        peer.say("40/chat,")
        (welcome,) = peer.take()
        assert isinstance(welcome, str)
        told = json.loads(welcome.partition(",")[2])
        peer.lose()
        chat.emit("a")
        back = self.back(peer, None)
        self.assertRecovered(peer, back)
        back.say("40/chat," + json.dumps({"pid": peer.told["pid"]}))
        (other,) = back.take()
        self.assertNotIn(peer.told["sid"], str(other))
        third = self.come()
        third.say("40/chat," + json.dumps({"pid": told["pid"]}))
        self.assertEqual(third.take(), [welcome, '42/chat,["a","1"]'])

    def test_cleanedUp(self) -> None:
        """One of a dynamic namespace that is to be forgotten is kept while somebody may come back, and no longer."""
        self.make(cleanUpNamespaces=True)
        rooms = self.sio.of(re.compile("/room-[0-9]"))
        _peer, welcome, auth = self.both("/room-1")
        rooms.emit("a")
        back = self.come()
        back.say(f"40/room-1,{auth}")
        self.assertEqual(back.take(), [welcome, '42/room-1,["a","1"]'])
        back.lose()
        self.clock.advance(120 - TICK)
        self.assertIn("/room-1", self.sio._names)
        self.clock.advance(TICK)
        self.assertNotIn("/room-1", self.sio._names)


class IdentityTests(RecoveryCase):
    """Clients that are known by who they are, too."""

    def make(self, **settings: Any) -> None:
        """With an identity: all are the same."""
        super().make(**{"identity": lambda handshake: handshake.query["who"], **settings})

    def test_longerOfBoth(self) -> None:
        """They are known by either for the longer of the two times; then what was missed is reported."""
        for recovery, reconnectTimeout in ((10.0, 60.0), (60.0, 10.0)):
            for recovered in (True, False):
                self.make(recovery=recovery, reconnectTimeout=reconnectTimeout)
                peer = self.away()
                self.sio.emit("a")
                self.clock.advance(60 - TICK)
                back = self.back(peer) if recovered else self.come()
                self.assertEqual(back.take()[-1], '42["a","2"]')
                self.assertIs(self.connections[-1].recovered, recovered)
                back.lose()
                self.clock.advance(60 - TICK)
                self.assertEqual(self.reports, [])
                self.clock.advance(TICK)
                self.assertEqual(self.reports[0][0][-1], (["a"], True))
                self.stop()

    def test_lateConnect(self) -> None:
        """
        A connection of the client's own, which it has given up, may join late and take over what waits. When the client
        comes back then, its private id is known no more; what it says it has it gets no more either.
        """
        peer = self.come()
        self.sio.emit("a")
        self.sio.emit("b")
        self.assertEqual(len(peer.take()), 2)
        late = self.come()
        self.assertTrue(peer.session.closed)
        late.lose()
        back = self.back(peer, "1")
        self.assertEqual(back.take(), ['42["b","2"]'])
        self.assertIs(self.connections[-1].recovered, False)
        back.lose()
        strange = self.come({"pid": "x" * 27, "offset": "2"})  # stamps of another process, maybe
        self.assertEqual(strange.take(), ['42["b","2"]'])

    def test_otherIdentity(self) -> None:
        """What one client says it has is nothing about another one's messages, whose stamps are lower."""
        who = ["x"]
        self.make(identity=lambda handshake: who[0])
        other = self.come()
        other.lose()
        self.sio.emit("for x")
        who[0] = "y"
        peer = self.come()
        self.sio.emit("b")
        self.assertEqual(peer.take(), ['42["b","2"]'])
        peer.lose()
        who[0] = "x"
        back = self.come(peer.auth("2"))
        self.assertEqual(back.take(), ['42["for x","1"]', '42["b","2"]'])

    def test_twoLive(self) -> None:
        """A client that is let in by its private id ends a session of the same identity that came meanwhile."""
        self.make(recoveryMiddleware=True)
        decision: Deferred[None] = Deferred()
        self.sio.use(lambda connection: decision if connection.recovered else None)
        peer = self.away()
        _session, socket = connect(self.sio.registry, EngineSocket, dialect=ENGINEIO_4, who="x")
        socket.receive("40" + json.dumps(peer.auth("1")))
        other = self.come()
        self.assertEqual((other.session.closed, len(socket.sent)), (False, 1))
        decision.callback(None)
        self.assertTrue(other.session.closed)
        self.assertEqual([*self.sio.connections], [peer.told["sid"]])


class StrangersTests(RecoveryCase):
    """Who is not known."""

    def test_wrongPID(self) -> None:
        """A wrong id, of whatever kind, is none."""
        peer = self.away()
        self.sio.emit("secret")
        for pid in ("", "x", peer.told["sid"], None, 5, ["a"]):
            self.assertNew(peer, self.come({"pid": pid, "offset": "1"}))
        self.assertRecovered(peer, self.back(peer), '42["secret","2"]')

    def test_badOffset(self) -> None:
        """An offset that can't be is as good as one that is too old: the absence is over, and reported."""
        for offset in ("", "x", "-1", "1.5", "1" * 30, 1, None, ["1"], "\u0661"):
            self.make()
            peer = self.away()
            confirmed = self.sio.statistics().confirmed
            self.sio.emit("a")
            back = self.come({"pid": peer.told["pid"], "offset": offset})
            if offset is None:
                self.assertRecovered(peer, back, '42["first","1"]', '42["a","2"]')
                continue
            self.assertNew(peer, back)
            self.assertEqual(self.reports, [([(["first"], True), (["a"], False)], Reason.TRANSPORT_CLOSE)])
            self.assertEqual(self.sio.statistics().confirmed, confirmed)
            self.assertNew(peer, self.back(peer))
            self.stop()

    def test_tooOldOffset(self) -> None:
        """A client that says to have less than what it had confirmed can't be served."""
        peer = self.come()
        self.sio.emit("a")
        self.sio.emit("b")
        self.clock.advance(self.sio.config.pingInterval)
        peer.say("3")
        self.assertEqual(self.sio.statistics().confirmed, 2)
        self.sio.emit("c")
        peer.lose()
        self.assertNew(peer, self.back(peer, "1"))
        self.assertEqual(self.reports, [([(["c"], False)], Reason.TRANSPORT_CLOSE)])

    def test_tooHighOffset(self) -> None:
        """One that says to have more than it was sent has all."""
        peer = self.away()
        self.sio.emit("a")
        self.assertRecovered(peer, self.back(peer, "999"))

    def test_wrongIdentity(self) -> None:
        """Somebody else can't use the id, and does not spoil it."""
        who: list[Hashable] = ["a"]
        self.make(identity=lambda handshake: who[0])
        peer = self.away()
        who[0] = "b"
        self.assertNew(peer, self.back(peer))
        who[0] = "a"
        self.assertRecovered(peer, self.back(peer))

    def test_live(self) -> None:
        """The id of a client that is still there: that session ends, and goes on in the new one."""
        peer = self.come()
        self.connections[0].join("blue")
        self.sio.emit("a")
        self.assertEqual(peer.take(), ['42["a","1"]'])
        back = self.back(peer, None)
        self.assertEqual(peer.take(), ["41"])
        self.assertTrue(peer.session.closed)
        self.assertRecovered(peer, back, '42["a","1"]')
        self.assertIn("blue", self.connections[-1].rooms)

    def test_goodbye(self) -> None:
        """Who has said goodbye, or was thrown out, does not recover."""
        for end in (
            lambda peer: peer.say("41"),
            lambda peer: self.connections[0].disconnect(),
            lambda peer: self.connections[0].close(),
        ):
            self.make()
            peer = self.come()
            end(peer)
            self.sio.emit("a")
            self.assertNew(peer, self.back(peer, None))
            self.stop()

    def test_expired(self) -> None:
        """When its time is over, what it missed is reported; later it is new."""
        peer = self.away()
        self.sio.emit("a")
        self.clock.advance(120 - TICK)
        self.assertEqual(self.reports, [])
        self.clock.advance(TICK)
        self.assertEqual(self.reports, [([(["first"], True), (["a"], False)], Reason.TRANSPORT_CLOSE)])
        self.sio.emit("b")
        self.assertNew(peer, self.back(peer))

    def test_tooMany(self) -> None:
        """More than a queue may hold, by number: the absence is over, and all of it reported."""
        self.make(queueMessages=3)
        peer = self.away()
        self.sio.emit("a")
        self.sio.emit("b")
        self.sio.emit("c")
        self.assertEqual(self.reports, [])
        self.sio.emit("d")
        self.assertEqual(len(self.reports), 1)
        self.assertEqual([data for data, _ in self.reports[0][0]], [["first"], ["a"], ["b"], ["c"], ["d"]])
        self.assertNew(peer, self.back(peer))

    def test_tooLarge(self) -> None:
        """By bytes alike."""
        self.make(queueBytes=1000)
        peer = self.away()
        self.sio.emit("a", "x" * 900)
        self.assertEqual(self.reports, [])
        self.sio.emit("b", "x" * 200)
        self.assertEqual(len(self.reports), 1)
        self.assertNew(peer, self.back(peer))


class MiddlewareTests(RecoveryCase):
    """Whether middleware is asked again."""

    def use(self, **settings: Any) -> Peer:
        """A client that has left, of a server whose middleware counts."""
        self.make(**settings)
        self.asked: list[Connection] = []
        self.sio.use(self.asked.append)
        peer = self.away()
        self.sio.emit("a")
        return peer

    def test_skipped(self) -> None:
        """It is not asked about a client that is known, but about all others."""
        peer = self.use()
        self.assertEqual(len(self.asked), 1)
        self.assertRecovered(peer, self.back(peer), '42["a","2"]')
        self.assertEqual(len(self.asked), 1)
        self.assertNew(peer, self.come({"pid": "x"}))
        self.assertEqual(len(self.asked), 2)

    def test_asked(self) -> None:
        """If that is wanted it is asked, and can see that the client is known."""
        peer = self.use(recoveryMiddleware=True)
        self.assertRecovered(peer, self.back(peer), '42["a","2"]')
        self.assertEqual([connection.recovered for connection in self.asked], [False, True])

    def test_refuses(self) -> None:
        """One that refuses the client leaves its messages for the next try."""
        peer = self.use(recoveryMiddleware=True)
        refusals = [ConnectionRefused("not now"), None]

        @self.sio.use
        def refuse(connection: Connection) -> None:
            refusal = refusals.pop(0)
            if refusal is not None:
                raise refusal

        back = self.back(peer)
        self.assertEqual(back.take(), ['44{"message":"not now"}'])
        self.assertRecovered(peer, self.back(peer), '42["a","2"]')

    def test_refusesForever(self) -> None:
        """However often that is, it makes the time no longer: then what the client missed is reported."""
        peer = self.use(recoveryMiddleware=True)

        @self.sio.use
        def refuse(connection: Connection) -> None:
            raise ConnectionRefused("never")

        for _ in range(2):
            self.clock.advance(50)
            self.assertEqual(self.back(peer).take(), ['44{"message":"never"}'])
        self.clock.advance(20 - TICK)
        self.assertEqual(self.reports, [])
        self.clock.advance(TICK)
        self.assertEqual(self.reports, [([(["first"], True), (["a"], False)], Reason.TRANSPORT_CLOSE)])

    def test_thinks(self) -> None:
        """While it thinks, messages go on to be kept."""
        peer = self.use(recoveryMiddleware=True, connectTimeout=1000)
        decision: Deferred[None] = Deferred()
        self.sio.use(lambda connection: decision)
        _session, socket = connect(self.sio.registry, EngineSocket, dialect=ENGINEIO_4)
        socket.receive("40" + json.dumps(peer.auth("1")))
        self.sio.emit("b")
        for _ in range(8):
            self.clock.advance(self.sio.config.pingInterval)
            socket.receive("3")
        self.assertEqual(self.reports, [])
        decision.callback(None)
        self.clock.advance(0)
        self.assertEqual(socket.sent[-2:], ['42["a","2"]', '42["b","3"]'])

    def test_leavesMeanwhile(self) -> None:
        """A client that leaves while it thinks can come again, within the same time."""
        peer = self.use(recoveryMiddleware=True)
        decision: Deferred[None] = Deferred()
        self.sio.use(lambda connection: decision)
        _session, socket = connect(self.sio.registry, EngineSocket, dialect=ENGINEIO_4)
        socket.receive("40" + json.dumps(peer.auth("1")))
        socket.connectionLost()
        decision = Deferred()
        decision.callback(None)
        self.clock.advance(119)
        self.assertRecovered(peer, self.back(peer), '42["a","2"]')

    def test_overflowMeanwhile(self) -> None:
        """If too much comes while it thinks, the absence is over: the client can't have all, and is new."""
        peer = self.use(recoveryMiddleware=True, queueMessages=2)
        decision: Deferred[None] = Deferred()
        self.sio.use(lambda connection: decision)
        _session, socket = connect(self.sio.registry, EngineSocket, dialect=ENGINEIO_4)
        socket.receive("40" + json.dumps(peer.auth("1")))
        for name in "bcd":
            self.sio.emit(name)
        self.assertEqual([len(entries) for entries, _ in self.reports], [4])
        decision.callback(None)
        self.clock.advance(0)
        self.assertEqual([each for each in socket.sent[1:] if peer.told["sid"] in str(each)], [])
