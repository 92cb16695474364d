"""
The first verbs, on connections and on the namespace that they meet in, for the clients that know nothing else.

The sessions are real ones on fake transports; what a test sends is read back from the frames on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.config import Config
from siotwisted.connections import Connection
from siotwisted.errors import EncodeError, QueueFull, SessionClosed, UnsupportedByClient
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, Reason
from siotwisted.server import SocketIO
from siotwisted.wire.codec import Codec
from siotwisted.wire.sio06 import SIOCodec, frame
from siotwisted.wire.sio06streaming import SIOStreamingCodec
from tests.fakes import FakePoll, FakeStream, FakeTransport, FakeWebSocket, attach, connect, messages, received


class Blue(IntEnum):
    """A number that is not quite an int."""

    SKY = 7


#: What can be sent, and the data of the frame that says it.
SENDABLE: tuple[tuple[object, str], ...] = (
    ("text", "text"),
    ("", ""),
    ("ünï\U0001f600\u2028", "ünï\U0001f600\u2028"),
    ("~h~1", '~j~"~h~1"'),
    ("~j~{}", '~j~"~j~{}"'),
    ("~m~1~m~a", "~m~1~m~a"),
    ("\ud800", '~j~"\\ud800"'),
    ("a\n--socketio\nb", '~j~"a\\n--socketio\\nb"'),
    (math.nan, "~j~null"),
    (-math.inf, "~j~null"),
    ({"a": math.nan}, '~j~{"a":null}'),
    (5, "5"),
    (-1, "-1"),
    (2**100, str(2**100)),
    (Blue.SKY, "7"),
    (1.5, "1.5"),
    (-0.0, "-0.0"),
    (True, "true"),
    (False, "false"),
    (None, "~j~null"),
    ([], "~j~[]"),
    ([1, [2, None]], "~j~[1,[2,null]]"),
    ((1, 2), "~j~[1,2]"),
    ({}, "~j~{}"),
    ({"a": ["é", True], "1": 1.5}, '~j~{"a":["é",true],"1":1.5}'),
    ({"a": "\ud800"}, '~j~{"a":"\\ud800"}'),
)


def cycle() -> list[object]:
    """A list that holds itself."""
    result: list[object] = []
    result.append(result)
    return result


def deep() -> list[object]:
    """Lists in lists, deeper than any stack."""
    result: list[object] = []
    for _ in range(200_000):
        result = [result]
    return result


#: What can't be.
UNSENDABLE: tuple[Callable[[], object], ...] = (
    lambda: set[int](),
    lambda: {1, 2},
    lambda: 1j,
    lambda: object(),
    lambda: {"a": {1}},
    lambda: {(1, 2): 3},
    lambda: 10**5000,
    cycle,
    deep,
)


class CountingCodec(SIOCodec):
    """Remembers what it was asked to encode."""

    __slots__ = ()

    name = "counting"
    encoded: list[Packet] = []

    def encode(self, outgoing: Outgoing) -> str:
        """Count it."""
        self.encoded.append(outgoing.packet)
        return super().encode(outgoing)


class NamespaceCase(SynchronousTestCase):
    """A namespace, a registry whose sessions are in it, and its handlers' calls."""

    config = Config()

    def setUp(self) -> None:
        """Make them."""
        self.clock = Clock()
        self.namespace = SocketIO(self.clock, self.config)
        self.registry = self.namespace.registry
        CountingCodec.encoded.clear()

    def client(
        self, kind: type[FakeTransport] = FakeStream, codec: type[Codec] = SIOCodec
    ) -> tuple[Connection, FakeTransport]:
        """A new client that has its id."""
        session, transport = connect(self.registry, kind, codec)
        self.clock.advance(0)
        if not session.closed:
            transport.writes.clear()
        connection = self.namespace.getConnection(session.id)
        assert connection is not None
        return connection, transport

    def says(self, connection: Connection, *data: str) -> None:
        """The client sends frames with this data, in one payload."""
        self.assertTrue(connection.session.dataReceived("".join(map(frame, data))))


class ConnectionTests(NamespaceCase):
    """What a handler can learn from a connection, and send on it."""

    def test_facts(self) -> None:
        """A connection tells its id and what the client said when it came."""
        connection, _ = self.client(FakePoll)
        self.assertEqual((str(connection), f"{connection}"), (connection.id, connection.id))
        self.assertEqual(connection.id, connection.session.id)
        self.assertEqual(connection.address, "192.0.2.7")
        self.assertEqual(connection.headers["user-agent"], "test")
        self.assertEqual(dict(connection.query), {"room": "blue"})
        self.assertEqual(connection.time, 12.5)
        self.assertEqual(connection.transport, "xhr-polling")
        self.assertIs(connection.handshake, connection.session.handshake)

    def test_repr(self) -> None:
        """What debuggers and logs show of it is not the secret id."""
        connection, _ = self.client()
        self.assertNotIn(connection.id, repr(connection))
        self.assertEqual(repr(connection), f"<Connection {connection.session.label} htmlfile>")

    def test_transport(self) -> None:
        """The transport is the one of now, or the last one."""
        connection, _ = self.client(FakePoll)
        stream = attach(connection.session, FakeWebSocket)
        self.assertEqual(connection.transport, "websocket")
        stream.connectionLost()
        self.assertEqual(connection.transport, "websocket")
        connection.close()
        self.assertEqual((connection.transport, connection.address), ("websocket", "192.0.2.7"))

    def test_send(self) -> None:
        """Text, numbers and booleans travel as text, anything else as JSON."""
        connection, stream = self.client()
        for data, said in SENDABLE:
            connection.send(data)
            self.clock.advance(0)
            self.assertEqual(stream.writes.pop(), frame(said).encode("utf-8"), repr(data))

    def test_unsendable(self) -> None:
        """What can't be encoded is an error in the caller; nothing of it is queued, and what follows works."""
        connection, stream = self.client()
        for make in UNSENDABLE:
            self.assertRaises(EncodeError, connection.send, make())
        connection.send("after")
        self.clock.advance(0)
        self.assertEqual(stream.writes, [frame("after").encode()])

    def test_bytes(self) -> None:
        """Clients of 0.6 take no bytes: one is told so, and in a broadcast they are counted apart."""
        connection, stream = self.client()
        for data in (b"bytes", bytearray(b""), memoryview(b"view"), [b"bytes"], {"a": [b""]}):
            self.assertRaises(UnsupportedByClient, connection.send, data)
            self.assertEqual(self.successResultOf(self.namespace.broadcast(data)), (0, 0, 1))
        self.clock.advance(0)
        self.assertEqual(stream.writes, [])

    def test_unsendableToAbsent(self) -> None:
        """The error is the same if the client is away."""
        connection, poll = self.client(FakePoll)
        poll.connectionLost()
        self.assertRaises(EncodeError, connection.send, {1})
        back = attach(connection.session, FakePoll)
        self.clock.advance(0)
        self.assertEqual(back.writes, [])

    def test_snapshot(self) -> None:
        """What is sent is what the data was when it was sent, whatever is done to it before it leaves."""
        connection, stream = self.client()
        data = {"a": [1]}
        connection.send(data)
        data["a"].append(2)
        self.clock.advance(0)
        self.assertEqual(received(stream), [{"a": [1]}])

    def test_queueFull(self) -> None:
        """A client for whom too much waits can't be sent more, until it has read."""
        connection, stream = self.client()
        stream.ready = False
        for number in range(self.config.queueMessages):
            connection.send(number)
        self.assertRaises(QueueFull, connection.send, "more")
        stream.ready = True
        connection.send("more")
        self.clock.advance(0)
        self.assertEqual(messages(stream), [*map(str, range(self.config.queueMessages)), "more"])

    def test_closed(self) -> None:
        """A closed connection has sent what it had, can't be sent to, and can be closed again."""
        connection, stream = self.client()
        connection.send("last")
        connection.close()
        self.assertEqual((received(stream), stream.over), (["last"], True))
        self.assertRaises(SessionClosed, connection.send, "a")
        self.assertRaises(EncodeError, connection.send, {1})
        connection.close()


class HandlersTests(NamespaceCase):
    """The three occasions."""

    def setUp(self) -> None:
        """Remember every call."""
        super().setUp()
        self.calls: list[tuple[Any, ...]] = []
        self.namespace.onConnect(lambda connection: self.calls.append(("connect", connection)))
        self.namespace.onMessage(lambda connection, message: self.calls.append(("message", connection, message)))
        self.namespace.onDisconnect(lambda connection, reason: self.calls.append(("disconnect", connection, reason)))

    def test_life(self) -> None:
        """One connection object goes through connect, messages in order, and one disconnect with its reason."""
        connection, stream = self.client()
        self.says(connection, "a", '~j~{"b":[1]}', "~j~null", "")
        stream.connectionLost()
        self.clock.advance(60)
        self.assertEqual(
            self.calls,
            [
                ("connect", connection),
                ("message", connection, "a"),
                ("message", connection, {"b": [1]}),
                ("message", connection, None),
                ("message", connection, ""),
                ("disconnect", connection, "transport close"),
            ],
        )
        self.assertIsInstance(self.calls[-1][2], str)
        self.assertIsInstance(self.calls[-1][2], Reason)
        self.clock.advance(1000)
        self.assertEqual(len(self.calls), 6)

    def test_decorators(self) -> None:
        """Each of the three returns the function that it was given."""

        def handler(*arguments: object) -> None:
            """Do nothing."""

        for register in (self.namespace.onConnect, self.namespace.onMessage, self.namespace.onDisconnect):
            self.assertIs(register(handler), handler)

    def test_order(self) -> None:
        """Several handlers of one occasion are called in the order in which they were registered."""
        order: list[int] = []
        for number in range(4):
            self.namespace.onMessage(lambda connection, message, number=number: order.append(number))
        connection, _ = self.client()
        self.says(connection, "a", "b")
        self.assertEqual(order, [0, 1, 2, 3] * 2)

    def test_failures(self) -> None:
        """Handlers that fail in any way are logged once each, and the connection lives."""

        @self.namespace.onConnect
        def raising(connection: Connection) -> None:
            raise ZeroDivisionError

        @self.namespace.onMessage
        async def failing(connection: Connection, message: object) -> None:
            raise ZeroDivisionError

        connection, stream = self.client()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.says(connection, "a", "b")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertEqual([call[2] for call in self.calls[1:]], ["a", "b"])
        connection.send("still here")
        self.clock.advance(0)
        self.assertEqual(received(stream), ["still here"])

    def test_disconnectFails(self) -> None:
        """A failing onDisconnect handler is logged once, and the connection is gone all the same."""
        self.namespace.onDisconnect(lambda connection, reason: 1 / 0)
        connection, _ = self.client()
        connection.close()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIsNone(self.namespace.getConnection(connection.id))
        self.assertEqual(len(self.registry), 0)

    def test_replyWithin(self) -> None:
        """What handlers send leaves in order, after the payload that caused it."""
        self.namespace.onMessage(lambda connection, message: connection.send([message]))
        connection, stream = self.client()
        self.says(connection, "a", "b")
        self.assertEqual(stream.writes, [])
        self.clock.advance(0)
        self.assertEqual(stream.writes, [(frame('~j~["a"]') + frame('~j~["b"]')).encode()])

    def test_floodWithin(self) -> None:
        """T608: a handler that sends too much for a slow client is stopped by QueueFull, logged once."""

        @self.namespace.onMessage
        def flood(connection: Connection, message: object) -> None:
            for number in range(10_000):
                connection.send(number)

        connection, stream = self.client()
        stream.ready = False
        self.says(connection, "a")
        self.assertEqual(len(self.flushLoggedErrors(QueueFull)), 1)
        stream.ready = True
        connection.session.transportReady()
        self.clock.advance(0)
        self.assertEqual(messages(stream), [str(number) for number in range(self.config.queueMessages)])
        connection.send("after")

    def test_closeInConnect(self) -> None:
        """A connection can be closed by the handler that gets it first."""
        self.namespace.onConnect(lambda connection: connection.send("no"))
        self.namespace.onConnect(lambda connection: connection.close())
        session, stream = connect(self.registry, FakeStream)
        self.assertEqual((received(stream), stream.over), ([session.id, "no"], True))
        self.assertEqual([call[0] for call in self.calls], ["connect", "disconnect"])
        self.assertEqual(self.calls[1][2], "server namespace disconnect")
        self.assertIsNone(self.namespace.getConnection(session.id))
        self.assertEqual(self.successResultOf(self.namespace.broadcast("a"))[0], 0)

    def test_closeInMessage(self) -> None:
        """Closed by a message, it gets no other of the same payload."""
        self.namespace.onMessage(lambda connection, message: connection.close() if message == "b" else None)
        connection, _ = self.client()
        self.says(connection, "a", "b", "c")
        self.assertEqual([call[0] for call in self.calls], ["connect", "message", "message", "disconnect"])

    def test_closeInDisconnect(self) -> None:
        """To close a connection that has ended does nothing, and to send on it fails."""
        failures: list[Exception] = []

        @self.namespace.onDisconnect
        def left(connection: Connection, reason: Reason) -> None:
            connection.close()
            failures.append(self.assertRaises(SessionClosed, connection.send, "bye"))

        connection, _ = self.client()
        connection.close()
        self.assertEqual((len(failures), [call[0] for call in self.calls]), (1, ["connect", "disconnect"]))

    def test_nothingAfterDisconnect(self) -> None:
        """When one handler closes the connection, onDisconnect is the last that any handler hears of it."""
        order: list[str] = []
        self.namespace.onDisconnect(lambda connection, reason: order.append("disconnect"))
        self.namespace.onMessage(lambda connection, message: connection.close())
        self.namespace.onMessage(lambda connection, message: order.append("message"))
        connection, _ = self.client()
        self.says(connection, "a")
        self.assertEqual(order[-1], "disconnect")
        order.clear()
        self.namespace.onConnect(lambda connection: connection.close())
        self.namespace.onConnect(lambda connection: order.append("connect"))
        connect(self.registry, FakeStream)
        self.assertEqual(order[-1], "disconnect")

    def test_closeAnother(self) -> None:
        """A handler may close any other connection; no message of its client is delivered after that."""
        first, _ = self.client()
        second, _ = self.client()
        self.namespace.onMessage(lambda connection, message: second.close())
        self.says(first, "a")
        second.session.dataReceived(frame("late"))
        self.assertEqual(
            self.calls[2:], [("message", first, "a"), ("disconnect", second, "server namespace disconnect")]
        )

    def test_neverConnected(self) -> None:
        """A session that ends before its client had a transport is nobody's business."""
        session, transport = connect(self.registry, FakePoll)
        self.calls.clear()
        other = self.registry.open(session.route, session.handshake)
        other.close(Reason.SERVER_SHUTTING_DOWN)
        self.assertEqual(self.calls, [])
        self.assertFalse(transport.over)

    def test_realms(self) -> None:
        """The realms of the streaming codec all arrive here."""
        connection, _ = self.client(FakeStream, SIOStreamingCodec)
        connection.session.dataReceived("1:2::a,1:10:r:realm\n:b,")
        self.assertEqual([call[2] for call in self.calls[1:]], ["a", "b"])


class BroadcastTests(NamespaceCase):
    """Messages to many."""

    config = Config(queueMessages=3)

    def test_count(self) -> None:
        """The Deferred fires at once with the number of clients that will get it: absent ones too, ended ones not."""
        with capturedLogs() as events:
            self.assertEqual(self.successResultOf(self.namespace.broadcast("nobody"))[0], 0)
            clients = [self.client(kind) for kind in (FakeStream, FakePoll, FakeWebSocket)]
            self.assertEqual(self.successResultOf(self.namespace.broadcast("a"))[0], 3)
            clients[0][1].connectionLost()
            self.assertEqual(self.successResultOf(self.namespace.broadcast("b"))[0], 3)
            clients[2][0].close()
            self.assertEqual(self.successResultOf(self.namespace.broadcast("c"))[0], 2)
        self.assertEqual(
            [formatEvent(event).partition(": ")[2] for event in events], ["0 messages were not sent, 2 not confirmed"]
        )
        self.clock.advance(60)
        self.assertEqual(self.successResultOf(self.namespace.broadcast("d"))[0], 0)

    def test_everyTransport(self) -> None:
        """Everyone gets it, in the form of the own codec and transport."""
        _, stream = self.client(FakeStream)
        connection, poll = self.client(FakePoll)
        _, socket = self.client(FakeWebSocket, SIOStreamingCodec)
        poll = attach(connection.session, FakePoll)
        self.namespace.broadcast({"a": 1})
        self.clock.advance(0)
        for transport in (stream, poll):
            self.assertEqual(transport.writes, [frame('~j~{"a":1}').encode()])
        self.assertEqual(socket.writes, [b'1:10:j\n:{"a":1},'])

    def test_except(self) -> None:
        """All but one; if that one has gone, all."""
        first, one = self.client()
        _, two = self.client()
        _, three = self.client()
        self.assertEqual(self.successResultOf(self.namespace.broadcastExcept(first, "a"))[0], 2)
        self.clock.advance(0)
        self.assertEqual([transport.writes for transport in (one, two, three)], [[], *[[frame("a").encode()]] * 2])
        first.close()
        self.assertEqual(self.successResultOf(self.namespace.broadcastExcept(first, "b"))[0], 2)

    def test_order(self) -> None:
        """Broadcasts and single messages keep their order for each client."""
        connection, stream = self.client()
        self.namespace.broadcast("a")
        connection.send("b")
        self.namespace.broadcast("c")
        self.clock.advance(0)
        self.assertEqual(received(stream), ["a", "b", "c"])

    def test_queueFull(self) -> None:
        """Clients whose queues are full are not counted; the others get it; the log has one line for each, once."""
        clients = [self.client() for _ in range(5)]
        for connection, stream in clients[:3]:
            stream.ready = False
            for number in range(3):
                connection.send(number)
        with capturedLogs() as events:
            for _ in range(3):
                self.assertEqual(self.successResultOf(self.namespace.broadcast("a"))[0], 2)
        self.assertEqual(
            sorted(formatEvent(event) for event in events),
            sorted(
                f"session {connection.session.label}: its queue is full, and refuses messages"
                for connection, _ in clients[:3]
            ),
        )
        self.assertEqual({event["log_level"] for event in events}, {LogLevel.warn})
        self.clock.advance(0)
        for _, stream in clients[3:]:
            self.assertEqual(received(stream), ["a"] * 3)
        with capturedLogs() as events:
            self.assertEqual(self.successResultOf(self.namespace.broadcastExcept(clients[4][0], "b"))[0], 1)
        self.assertEqual(events, [])

    def test_unsendable(self) -> None:
        """What can't be encoded is an error in the caller, with clients and without, and nobody gets a part of it."""
        for _ in range(2):
            for make in UNSENDABLE:
                self.assertRaises(EncodeError, self.namespace.broadcast, make())
            connection, stream = self.client()
            for make in UNSENDABLE:
                self.assertRaises(EncodeError, self.namespace.broadcastExcept, connection, make())
            self.clock.advance(0)
            self.assertEqual(stream.writes, [])

    def test_sendable(self) -> None:
        """What can be sent to one can be sent to all."""
        _, stream = self.client()
        for data, said in SENDABLE:
            self.namespace.broadcast(data)
            self.clock.advance(0)
            self.assertEqual(stream.writes.pop(), frame(said).encode("utf-8"), repr(data))

    def test_encodedOnce(self) -> None:
        """However many clients there are, a codec encodes a broadcast once; those of one transport share the bytes."""
        streams = [self.client(FakeStream, CountingCodec)[1] for _ in range(10)]
        sockets = [self.client(FakeWebSocket, CountingCodec)[1] for _ in range(10)]
        CountingCodec.encoded.clear()
        dressed: list[bytes] = []
        for transport in (*streams, *sockets):
            transport.write = lambda chunks, binary=False: dressed.extend(chunks)  # type: ignore[method-assign]
        self.namespace.broadcast({"a": 1})
        self.clock.advance(0)
        self.assertEqual(CountingCodec.encoded, [Packet(Kind.JSON, {"a": 1})])
        self.assertEqual((len(dressed), len({id(each) for each in dressed})), (20, 2))

    def test_within(self) -> None:
        """Handlers may broadcast, whatever has just happened."""
        self.namespace.onConnect(lambda connection: self.namespace.broadcastExcept(connection, "came"))
        self.namespace.onDisconnect(lambda connection, reason: self.namespace.broadcast("left"))
        _, stream = self.client()
        other, _ = self.client()
        other.close()
        self.clock.advance(0)
        self.assertEqual(received(stream), ["came", "left"])


class GetConnectionTests(NamespaceCase):
    """Connections by id."""

    def test_found(self) -> None:
        """A connected client's connection is found, always the same object."""
        connection, _ = self.client()
        other, _ = self.client()
        self.assertIs(self.namespace.getConnection(connection.id), connection)
        self.assertIs(self.namespace.getConnection(other.id), other)

    def test_unknown(self) -> None:
        """None for an id that nobody has, or nobody has any more."""
        connection, _ = self.client()
        connection.close()
        for id in (connection.id, "", "nobody"):
            self.assertIsNone(self.namespace.getConnection(id))

    def test_inHandlers(self) -> None:
        """It is found from onConnect on, and not any more in onDisconnect."""
        found: list[Connection | None] = []
        self.namespace.onConnect(lambda connection: found.append(self.namespace.getConnection(connection.id)))
        self.namespace.onDisconnect(
            lambda connection, reason: found.append(self.namespace.getConnection(connection.id))
        )
        connection, _ = self.client()
        connection.close()
        self.assertEqual(found, [connection, None])
