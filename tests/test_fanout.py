"""
What is done to many connections at once: the fan-out of one process, and the selections that applications make of it.
"""

from __future__ import annotations

import re

from twisted.internet.defer import CancelledError
from zope.interface.verify import verifyObject

from siotwisted.errors import EncodeError
from siotwisted.fanout import LocalFanout
from siotwisted.interfaces import IFanout
from siotwisted.packets import Kind, Reason
from siotwisted.recipients import Replies
from tests.fakes_application import OLD, SIMPLE, ApplicationCase


class TrioCase(ApplicationCase):
    """Three clients, two of them in a room."""

    def setUp(self) -> None:
        """Let them come."""
        super().setUp()
        clients = [self.client() for _ in range(3)]
        self.conns = [connection for connection, _ in clients]
        self.sessions = [session for _, session in clients]
        for connection in self.conns[:2]:
            connection.join("red")

    def got(self) -> str:
        """Who got something since the last time, in one text."""
        return "".join(str(number) for number, session in enumerate(self.sessions) if session.take())


class SendTests(TrioCase):
    """Messages to many, and what else is done to them."""

    def test_interface(self) -> None:
        """It is an IFanout."""
        verifyObject(IFanout, LocalFanout(self.sio._core.rooms, self.sio._core.away, self.clock))

    def test_verbs(self) -> None:
        """An event or a message to everybody; the same object is handed to all."""
        self.assertEqual(self.successResultOf(self.sio.emit("news", 1)), (3, 0, 0))
        self.assertEqual(self.successResultOf(self.sio.send("text")), (3, 0, 0))
        self.assertEqual(self.successResultOf(self.sio.broadcast([1])), (3, 0, 0))
        for session in self.sessions:
            self.assertEqual(
                [each[:2] for each in session.sent],
                [(Kind.EVENT, ["news", 1]), (Kind.MESSAGE, "text"), (Kind.JSON, [1])],
            )
            self.assertEqual(list(map(id, session.outgoings[-3:])), list(map(id, self.sessions[0].outgoings[-3:])))

    def test_selections(self) -> None:
        """Rooms, ids, exclusions, and all of them together."""
        sio, (one, two, three) = self.sio, self.conns
        for selection, expected in (
            (sio.to(), "012"),
            (sio.to("red"), "01"),
            (sio.to("red").to(three.id), "012"),
            (sio.to("red", three.id).excluding(one), "12"),
            (sio.excluding("red"), "2"),
            (sio.excluding(one, two.id), "2"),
            (sio.excluding(one).excluding(two), "2"),
            (sio.to("nowhere"), ""),
            (one.to("red"), "1"),
            (one.to(), "12"),
        ):
            self.assertEqual(self.successResultOf(selection.emit("news"))[0], len(expected))
            self.assertEqual(self.got(), expected)
        sio.broadcastExcept(one, "x")
        self.assertEqual(self.got(), "12")

    def test_immutable(self) -> None:
        """A selection stays what it is, and means who is there when it is used."""
        red = self.sio.to("red")
        red.excluding(self.conns[0]).to("blue").volatile()
        self.conns[2].join("red")
        red.send("x")
        self.assertEqual(self.got(), "012")
        self.assertEqual(self.sessions[0].volatile[-1], False)

    def test_volatile(self) -> None:
        """Volatile messages are sent as such."""
        self.sio.volatile().to("red").emit("tick")
        self.assertEqual([session.volatile for session in self.sessions], [[False, True], [False, True], [False]])

    def test_counts(self) -> None:
        """Full queues and clients without words for it are counted apart, and don't keep it from the others."""
        self.sessions[0].full = True
        self.session(SIMPLE)
        self.assertEqual(self.successResultOf(self.sio.emit("news")), (2, 1, 1))

    def test_unsendable(self) -> None:
        """What can't be sent is an error in the caller, whether anybody is there or not; nobody gets a part of it."""
        for namespace in (self.sio, self.sio.of("/empty"), self.sio.of(re.compile("/x.*"))):
            self.assertRaises(EncodeError, namespace.send, {1})
            self.assertRaises(EncodeError, namespace.emit, "connect")
            self.assertRaises(EncodeError, namespace.to("red").emit, "news", {1})
            self.assertRaises(EncodeError, namespace.call, "ask", {1})
        self.assertEqual(self.got(), "")

    def test_within(self) -> None:
        """All have it accepted before handlers hear of that: one that closes another takes it from nobody."""
        self.sio.onAnyOutgoing(
            lambda connection, *event: self.conns[1].close() if connection is self.conns[0] else None
        )
        self.assertEqual(self.successResultOf(self.sio.emit("news")), (3, 0, 0))

    def test_verbsOnMany(self) -> None:
        """They can be fetched, put in rooms, taken out, and made to leave."""
        one, two, three = self.conns
        self.assertEqual(self.successResultOf(self.sio.fetchConnections()), [one, two, three])
        self.assertEqual(self.successResultOf(self.sio.to("red").fetchConnections()), [one, two])
        self.assertIsNone(self.successResultOf(self.sio.excluding(one).joinAll("blue", "green")))
        self.assertEqual(two.rooms, {two.id, "red", "blue", "green"})
        self.assertIsNone(self.successResultOf(self.sio.to("red").leaveAll("green", "red")))
        self.assertEqual([each.rooms - {each.id} for each in self.conns], [frozenset(), {"blue"}, {"blue", "green"}])
        self.assertIsNone(self.successResultOf(self.sio.to("green").disconnectAll()))
        self.assertEqual((three.connected, self.sessions[2].closed), (False, False))
        self.assertIsNone(self.successResultOf(self.sio.disconnectAll(close=True)))
        self.assertEqual([each.reason for each in self.sessions], [Reason.SERVER_DISCONNECT] * 2 + [None])


class SurveyTests(TrioCase):
    """Questions to many."""

    def numbers(self) -> list[int | None]:
        """The number that each was asked with."""
        return [session.take()[-1][3] for session in self.sessions]

    def test_answers(self) -> None:
        """One number for all; it is over when all have answered."""
        asked = self.sio.call("ask", 1, timeout=5)
        numbers = self.numbers()
        self.assertEqual(len(set(numbers)), 1)
        for session, arguments in zip(self.sessions, ([], [1], [1, 2]), strict=True):
            self.assertNoResult(asked)
            session.says(Kind.ACK, arguments, "/", numbers[0])
        self.assertEqual(
            self.successResultOf(asked), Replies(dict(zip(self.conns, (None, 1, [1, 2]), strict=True)), [])
        )
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_missing(self) -> None:
        """Those who are too slow, have left, or could not be asked are named."""
        simple = self.connection(self.session(SIMPLE))
        asked = self.sio.call("ask", timeout=5)
        self.sessions[0].says(Kind.ACK, [5], "/", 1)
        self.sessions[1].close(Reason.TRANSPORT_CLOSE)
        self.clock.advance(5)
        answers, missing = self.successResultOf(asked)
        self.assertEqual((answers, missing), ({self.conns[0]: 5}, [simple, self.conns[1], self.conns[2]]))
        self.sessions[2].says(Kind.ACK, ["late"], "/", 1)
        self.assertEqual(len(answers), 1)

    def test_nobody(self) -> None:
        """Nobody answers at once."""
        self.assertEqual(self.successResultOf(self.sio.to("nowhere").call("ask", timeout=5)), ({}, []))

    def test_cancel(self) -> None:
        """Who does not want to know any more can cancel."""
        asked = self.sio.call("ask", timeout=5)
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.sessions[0].says(Kind.ACK, [5], "/", 1)

    def test_closedWithin(self) -> None:
        """A handler may close those that were asked while others still are not: all are named in the end."""
        self.sio.onAnyOutgoing(lambda connection, *event: connection.close())
        asked = self.sio.call("ask", timeout=5)
        self.assertEqual(self.successResultOf(asked), ({}, self.conns))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class FamilyTests(ApplicationCase):
    """A namespace that stands for many."""

    def setUp(self) -> None:
        """Two children with a client in each, one of them in both."""
        super().setUp()
        self.family = self.sio.of(re.compile("/room-[0-9]+"))
        self.one, self.first = self.client("/room-1")
        self.two, self.second = self.client("/room-2", OLD)
        self.second.says(Kind.CONNECT, None, "/room-1")
        self.second.take()

    def test_send(self) -> None:
        """What is sent to it goes to all children, each in its own name, and is counted in one."""
        self.assertEqual(self.successResultOf(self.family.emit("news")), (3, 0, 0))
        self.assertEqual([each[2] for each in self.first.take()], ["/room-1"])
        self.assertEqual(sorted(each[2] for each in self.second.take()), ["/room-1", "/room-2"])
        self.assertEqual(self.successResultOf(self.one.namespace.emit("news")), (2, 0, 0))

    def test_call(self) -> None:
        """So it is with questions."""
        asked = self.family.excluding(self.one).call("ask", timeout=5)
        for _, _, namespace, id in self.second.take():
            self.second.says(Kind.ACK, [namespace], namespace, id)
        answers, missing = self.successResultOf(asked)
        self.assertEqual((sorted(answers.values()), missing), (["/room-1", "/room-2"], []))

    def test_many(self) -> None:
        """And with the rest."""
        self.assertEqual(len(self.successResultOf(self.family.fetchConnections())), 3)
        self.family.joinAll("red")
        self.assertEqual(self.one.rooms, {self.one.id, "red"})
        self.family.to("red").leaveAll("red")
        self.assertEqual(self.one.rooms, {self.one.id})
        self.assertIs(self.family.getConnection(self.one.id), self.one)
        self.assertIsNone(self.successResultOf(self.family.disconnectAll()))
        self.assertEqual((dict(self.family.connections), self.first.closed), ({}, False))
