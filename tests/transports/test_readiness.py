"""
``readiness``: sockets that are read together, with real ones.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as installedReactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock, deferLater
from twisted.internet.tcp import Server
from twisted.python.failure import Failure
from twisted.test.proto_helpers import StringTransport
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from siotwisted.transports.readiness import DONE, MemberTransport, ReadySet

# Typed loosely: what it can do depends on the platform.
reactor: Any = installedReactor


class Member(Protocol):
    """A connection in a set, which remembers what it got."""

    transport: Any

    def __init__(self, test: ReadySetTests) -> None:
        self.test = test
        self.data = b""
        self.kills: Member | None = None
        self.heard: Callable[[], object] | None = None
        self.lost: Deferred[list[Failure]] = Deferred()

    def connectionMade(self) -> None:
        self.number = self.transport.fileno()
        self.test.ready.adopt(self.transport)
        self.test.members.append(self)

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if self.heard is not None:
            self.heard()
        if self.kills is not None:
            self.kills.transport.connectionLost(Failure(ConnectionLost()))
        if data == b"fail":
            raise ZeroDivisionError

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback([reason])


class Bystander(Member):
    """One that the reactor reads."""

    def connectionMade(self) -> None:
        self.test.members.append(self)


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Member):
    """One that answers a client that sends no more."""

    def readConnectionLost(self) -> None:
        self.data = b"closed"
        self.transport.write(b"late")

    def writeConnectionLost(self) -> None:
        pass


class FailingProducer:
    """One whose end fails."""

    def stopProducing(self) -> None:
        """Fail."""
        raise ZeroDivisionError

    def pauseProducing(self) -> None:
        """Nothing to pause."""

    def resumeProducing(self) -> None:
        """Nothing to resume."""


class ReadySetTests(TestCase):
    """A set, and who is in it."""

    if not hasattr(select, "epoll"):
        skip = "this system has no epoll"

    def setUp(self) -> None:
        ready = ReadySet.make(reactor)
        assert ready is not None
        self.ready = ready
        self.members: list[Member] = []
        factory = Factory()
        factory.noisy = False
        self.member: type[Member] = Member
        factory.buildProtocol = lambda _: self.member(self)  # type: ignore[assignment]
        self.port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)

    async def _connect(self) -> tuple[socket.socket, Member]:
        """A client, and who has it at the other end."""
        client = socket.create_connection(("127.0.0.1", self.port.getHost().port))
        self.addCleanup(client.close)
        count = len(self.members)
        while len(self.members) == count:
            await self._turn()
        return client, self.members[-1]

    async def _turn(self) -> None:
        await deferLater(reactor, 0.001)

    async def _until(self, member: Member, data: bytes) -> None:
        while member.data != data:
            await self._turn()

    async def test_reads(self) -> None:
        """Each member gets what comes for it, though the reactor watches none of them; the last one ends the watch."""
        pairs = [await self._connect() for _ in range(3)]
        readers = reactor.getReaders()
        self.assertIn(self.ready, readers)
        for client, member in pairs:
            self.assertNotIn(member.transport, readers)
            client.send(b"hello %d" % member.number)
        for _, member in pairs:
            await self._until(member, b"hello %d" % member.number)
            member.transport.loseConnection()
        for _, member in pairs:
            await member.lost
        self.assertNotIn(self.ready, reactor.getReaders())

    async def test_end(self) -> None:
        """A client that leaves ends its connection, in order or not."""
        client, member = await self._connect()
        client.close()
        (await member.lost)[0].trap(ConnectionDone)
        client, member = await self._connect()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        (await member.lost)[0].trap(ConnectionLost)

    async def test_fault(self) -> None:
        """A fault of one is in the log, and the end of that one alone."""
        client, member = await self._connect()
        other, second = await self._connect()
        client.send(b"fail")
        (await member.lost)[0].trap(ZeroDivisionError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        other.send(b"still here")
        await self._until(second, b"still here")
        second.transport.abortConnection()
        await second.lost

    async def test_faultAtEnd(self) -> None:
        """A fault in the end of one is that one's alone, too; the others are read on, and newer ones."""
        client, member = await self._connect()
        other, second = await self._connect()
        lost = member.connectionLost

        def fails(reason: Failure = connectionDone) -> None:
            lost(reason)
            raise GeneratorExit

        member.connectionLost = fails  # type: ignore[method-assign]
        client.close()
        await member.lost
        await self._turn()
        self.assertEqual(len(self.flushLoggedErrors(GeneratorExit)), 1)
        third, last = await self._connect()
        for peer, at in ((other, second), (third, last)):
            peer.send(b"hello")
            await self._until(at, b"hello")
            at.transport.loseConnection()
            await at.lost

    async def test_leaving(self) -> None:
        """One that is about to end is read no more: a client that has closed its side gets all that waits for it."""
        client, member = await self._connect()
        data = b"x" * 12_000_000
        member.transport.write(data)
        await self._turn()
        member.transport.loseConnection()
        client.shutdown(socket.SHUT_WR)
        await self._turn()
        client.setblocking(False)
        received = 0
        while True:
            try:
                got = len(client.recv(1_000_000))
            except BlockingIOError:
                await self._turn()
                continue
            if not got:
                break
            received += got
        self.assertEqual(received, len(data))
        await member.lost

    async def test_forked(self) -> None:
        """A socket that another process has, too, is out of the set when it is closed here."""
        client, member = await self._connect()
        other = os.dup(member.transport.fileno())  # as good as a process that was forked off
        self.addCleanup(os.close, other)
        client.close()
        member.transport.connectionLost(Failure(ConnectionLost()))
        await member.lost
        self.assertEqual(select.select([self.ready], [], [], 0)[0], [])

    async def test_cameMeanwhile(self) -> None:
        """What has come while others were read is read before the reactor goes on, and may share an answer with it."""
        first, one = await self._connect()
        second, two = await self._connect()
        one.heard = lambda: second.send(b"2")
        first.send(b"1")
        self.ready.doRead()
        self.assertEqual((one.data, two.data), (b"1", b"2"))
        two.heard = lambda: first.send(b"3")
        one.heard = lambda: second.send(b"4")
        second.send(b"3")
        self.ready.doRead()
        self.assertEqual((one.data, two.data), (b"13", b"23"))  # and no more: others wait for their turn
        for member in (one, two):
            member.transport.abortConnection()
            await member.lost

    async def test_closedMeanwhile(self) -> None:
        """One that was ready, and is closed for what another one got, is not read."""
        first, one = await self._connect()
        second, two = await self._connect()
        first.send(b"1")
        second.send(b"2")
        for member, other in ((one, two), (two, one)):
            member.kills = other
        self.ready.doRead()
        self.assertEqual([member.lost.called for member in (one, two)].count(True), 1)
        left = two if one.lost.called else one
        left.transport.loseConnection()
        await left.lost

    async def test_paused(self) -> None:
        """One that is paused is read no more, until it is resumed; by its own reactor it is not read at all."""
        client, member = await self._connect()
        self.ready.adopt(member.transport)
        other: Any = StringTransport()
        self.ready.adopt(other)
        self.assertIs(type(other), StringTransport)
        for part in (b"1", b"2"):
            for _ in range(2):  # told so twice, it does no harm
                member.transport.pauseProducing()
            client.send(part)
            await self._turn()
            self.assertEqual(len(member.data), int(part) - 1)
            for _ in range(2):
                member.transport.resumeProducing()
            await self._until(member, b"12"[: int(part)])
        self.assertNotIn(member.transport, reactor.getReaders())
        member.transport.loseConnection()
        await member.lost

    async def test_failsBeforeItsEnd(self) -> None:
        """One whose producer fails at the end is done with, and not looked at again and again."""
        client, member = await self._connect()
        member.transport.registerProducer(FailingProducer(), True)
        client.close()
        while member.number in self.ready._members:
            await self._turn()
        await self._turn()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        member.transport.unregisterProducer()
        member.transport.connectionLost(Failure(ConnectionLost()))
        await member.lost

    async def test_halfClosed(self) -> None:
        """A client that sends no more may still be answered, if the protocol knows of such."""
        self.member = HalfCloseable
        client, member = await self._connect()
        client.shutdown(socket.SHUT_WR)
        client.settimeout(10)
        while not member.data:
            await self._turn()
        self.assertEqual(client.recv(100), b"late")
        member.transport.loseConnection()
        await member.lost

    async def test_endIsTold(self) -> None:
        """A client that sends no more is told that this is the end, even if another process has the socket."""
        client, member = await self._connect()
        other = os.dup(member.transport.fileno())
        self.addCleanup(os.close, other)
        client.shutdown(socket.SHUT_WR)
        await member.lost
        client.settimeout(10)
        self.assertEqual(client.recv(100), b"")

    async def test_closing(self) -> None:
        """One that is about to end is not read again."""
        self.member = Bystander
        _, member = await self._connect()
        member.transport.loseConnection()
        self.ready.adopt(member.transport)
        self.assertIs(type(member.transport), Server)
        await member.lost

    async def test_closedBehind(self) -> None:
        """A socket that was closed in silence is no other one's that has its number now."""
        _, member = await self._connect()
        client = socket.create_connection(("127.0.0.1", self.port.getHost().port))
        self.addCleanup(client.close)
        member.transport.socket.close()
        while len(self.members) == 1:
            await self._turn()
        second = self.members[1]
        self.assertEqual(second.number, member.number)
        client.send(b"hello")
        await self._until(second, b"hello")
        second.transport.loseConnection()
        await second.lost

    async def test_accept(self) -> None:
        """What a port accepts is read in the set from the first byte on."""
        self.ready.accept(self.port)
        client, member = await self._connect()
        self.assertIs(type(member.transport), MemberTransport)
        self.assertEqual(repr(member.transport)[:10], "<Member #0")
        self.assertNotIn(member.transport, reactor.getReaders())
        client.send(b"hello")
        await self._until(member, b"hello")
        client.close()
        (await member.lost)[0].trap(ConnectionDone)

    async def test_attributes(self) -> None:
        """Such a connection has all of its attributes at once: those that come later cost each a table of its own."""
        self.ready.accept(self.port)
        _, member = await self._connect()
        transport = member.transport
        begun = set(vars(transport))
        transport.registerProducer(FailingProducer(), True)
        transport.write(b"x" * 20_000_000)
        while not transport.offset:
            await self._turn()
        transport.loseConnection()
        self.assertEqual(set(vars(transport)), begun)
        transport.unregisterProducer()
        transport.abortConnection()
        await member.lost

    async def test_logPrefix(self) -> None:
        """Lines in the log begin with what a protocol says of itself, or with the name of its class."""
        self.ready.accept(self.port)
        for prefix, logPrefix in (("Mine", lambda self: "Mine"), ("Silent", property())):
            self.member = type("Silent", (Member,), {"logPrefix": logPrefix})
            client, member = await self._connect()
            self.assertTrue(member.transport.logPrefix().startswith(f"{prefix},"), member.transport.logPrefix())
            client.close()
            await member.lost

    def test_done(self) -> None:
        """The one end of all connections that ended well is what it is, whoever asks."""
        for errors in ((ConnectionAborted,), (ConnectionDone,), (ConnectionLost,), (ConnectionAborted, ConnectionDone)):
            self.assertIs(DONE.check(*errors), Failure(ConnectionDone()).check(*errors))

    async def test_reactorStops(self) -> None:
        """When its reactor has stopped, all members are lost."""
        pairs = [await self._connect() for _ in range(2)]
        self.ready.connectionLost(Failure(ConnectionLost()))
        for _, member in pairs:
            (await member.lost)[0].trap(ConnectionLost)

    def test_make(self) -> None:
        """A reactor that watches no descriptors has no set; nor has a system without them."""
        self.assertIsNone(ReadySet.make(Clock()))
        epoll = select.epoll
        self.addCleanup(setattr, select, "epoll", epoll)
        del select.epoll
        self.assertIsNone(ReadySet.make(reactor))
