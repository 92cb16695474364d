"""
Clients that do not take what is sent to them, on real TCP: a queue is full at exactly its limit, what it has accepted
arrives when the client is back, in order and once, and nobody else is the worse for it.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import Any, cast

import treq
from twisted.internet.defer import Deferred, gatherResults

from siotwisted import Config, Connection, QueueFull, SocketIO
from tests.integration import RunningCase
from tests.integration.test_websocket import Client, Raw, ServerCase, turn
from tests.websocketpeer import unframed

#: What :exc:`~siotwisted.QueueFull` tells: how many messages wait, how many bytes they have, and the refused one.
_FULL = re.compile("([0-9]+) messages of ([0-9]+) bytes wait, and this one has ([0-9]+)")
#: In bytes, of both sockets.
_BUFFER = 8 * 1024
#: Larger than that.
_TEXT = "x" * 50_000
#: Nobody who only reads slowly is to be taken for dead.
_PATIENCE: dict[str, Any] = {"heartbeatTimeout": 60.0}


def books(sio: SocketIO) -> tuple[int, int]:
    """Check that nothing is missing in the books, and return how many messages were accepted, and are confirmed."""
    found = sio.statistics()
    assert found.accepted == found.confirmed + found.pending + found.undelivered + found.moved, found
    return found.accepted, found.confirmed


def refusal(connection: Connection, message: str) -> tuple[int, int, int]:
    """Send what must be refused, and return the three figures that are told."""
    try:
        connection.send(message)
    except QueueFull as error:
        found = _FULL.fullmatch(str(error))
        assert found is not None, error
        waiting, size, more = map(int, found.groups())
        return waiting, size, more
    raise AssertionError(f"{message[:20]} was accepted")


class StreamTests(ServerCase):
    """A WebSocket that is not read."""

    async def stuck(self) -> tuple[Raw, Connection, list[str]]:
        """
        A client that has stopped to read, with all that lies between full.

        :return: it, its connection, and what was accepted for it.
        """
        client = await self.raw(self.upgrade())
        await client.whenFrames(1)
        connection = self.connections[-1]
        client.echoing = True
        transport = cast(Any, client.transport)
        transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        transport.pauseProducing()
        stream: Any = connection.session.transport
        stream.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        accepted: list[str] = []
        while stream.ready:
            self.say(connection, accepted)
            await turn()
        # Other turns make no room: the rest of the test is about what waits.
        for _ in range(5):
            await turn()
        self.assertFalse(stream.ready)
        self.assertIs(connection.session.transport, stream)
        return client, connection, accepted

    def say(self, connection: Connection, accepted: list[str]) -> None:
        """Send one more message, which must be accepted."""
        message = f"{len(accepted):05} {_TEXT}"
        connection.send(message)
        accepted.append(message)

    async def readAgain(self, client: Raw, connection: Connection, accepted: list[str]) -> None:
        """Let the client read, and check what comes, and that all goes on."""
        cast(Any, client.transport).resumeProducing()
        last = accepted[-1][:20].encode()
        await client.until(lambda: last in client.received and len(client.heard) > len(accepted))
        self.assertEqual([each[:20] for each in client.heard[1:]], [each[:20] for each in accepted])
        self.assertTrue(client.heard[1:] == accepted)
        await connection.deliver("and on")
        self.assertEqual(client.heard[-1], "and on")
        self.assertEqual(len(client.heard), len(accepted) + 2)
        self.assertEqual(books(self.sio), (len(accepted) + 1,) * 2)

    async def test_messages(self) -> None:
        """A queue for 20 messages takes 20, and not one more."""
        await self.serve(queueMessages=20, queueBytes=100_000_000, **_PATIENCE)
        client, connection, accepted = await self.stuck()
        outbox = connection.session.outbox
        while outbox.waiting < 20:
            waiting = outbox.waiting
            self.say(connection, accepted)
            self.assertEqual(outbox.waiting, waiting + 1)
        for number in range(3):
            self.assertEqual(refusal(connection, f"refused {number}")[0], 20)
            await turn()
        self.assertEqual(books(self.sio)[0], len(accepted))
        await self.readAgain(client, connection, accepted)

    async def test_bytes(self) -> None:
        """A queue for a million bytes takes a million: a message that just fits is accepted, nothing after it."""
        await self.serve(queueMessages=1_000, queueBytes=1_000_000, **_PATIENCE)
        client, connection, accepted = await self.stuck()
        outbox = connection.session.outbox
        full = False
        while not full:
            try:
                self.say(connection, accepted)
            except QueueFull:
                full = True
        waiting, size, more = refusal(connection, f"{len(accepted):05} {_TEXT}")
        self.assertEqual((waiting, size), (outbox.waiting, outbox.waiting * more))
        self.assertLessEqual(size, 1_000_000)
        self.assertGreater(size + more, 1_000_000)
        self.assertEqual(more, len(accepted[0]))
        left = 1_000_000 - size
        self.assertEqual(refusal(connection, "r" * (left + 1)), (waiting, size, left + 1))
        accepted.append("f" * left)
        connection.send(accepted[-1])
        self.assertEqual(refusal(connection, "y")[:2], (waiting + 1, 1_000_000))
        self.assertEqual(books(self.sio)[0], len(accepted))
        await self.readAgain(client, connection, accepted)

    async def test_room(self) -> None:
        """One of eleven in a room does not read: the others get everything, and it gets what its queue has taken."""
        await self.serve(queueMessages=10, queueBytes=100_000_000, **_PATIENCE)
        slow, connection, accepted = await self.stuck()
        fast = [await self.join() for _ in range(10)]
        for member in (connection, *(each for _, each in fast)):
            member.join("room")
        said: list[str] = []
        refused, taken = 0, len(accepted)
        while refused < 15:
            message = f"{len(said):05} {_TEXT}"
            said.append(message)
            delivery = await self.sio.to("room").send(message)
            self.assertEqual(delivery.accepted + delivery.refused, 11)
            self.assertEqual(delivery.unsupported, 0)
            self.assertLessEqual(delivery.refused, 1)
            # Once it is full, it stays so.
            self.assertGreaterEqual(delivery.refused, min(refused, 1))
            refused += delivery.refused
            taken += delivery.accepted
            if not delivery.refused:
                accepted.append(message)
            for received in await gatherResults([self.heard(client) for client, _ in fast]):
                self.assertTrue(received == message)
        self.assertGreater(len(said), refused)
        self.assertEqual(connection.session.outbox.waiting, 10)
        self.assertEqual(books(self.sio)[0], taken)
        self.assertEqual(taken, len(accepted) + 10 * len(said))
        cast(Any, slow.transport).resumeProducing()
        await slow.until(lambda: len(slow.heard) > len(accepted))
        self.assertTrue(slow.heard[1:] == accepted)
        await gatherResults([each.deliver("end") for each in (connection, *(each for _, each in fast))])
        self.assertEqual([await client.receive() for client, _ in fast], ["end"] * 10)
        self.assertEqual(slow.heard[len(accepted) + 1 :], ["end"])
        self.assertEqual(books(self.sio), (taken + 11,) * 2)

    def heard(self, client: Client) -> Deferred[str]:
        """Fires with what a client hears next."""
        return Deferred.fromCoroutine(client.receive())


class AbsentTests(RunningCase):
    """A client that polls, and then does not."""

    async def check(self, sio: SocketIO, poll: Callable[[], Any], limit: int, most: int | None = None) -> None:
        """
        Fill the queue of a client between two polls, then let it poll.

        :param poll: polls, and reads messages.
        :param limit: how many messages must be accepted.
        :param most: how many bytes it may hold, if they are the limit.
        """
        (connection,) = self.connections
        for turns in range(2):
            # The second turn finds the queue as it was, though nothing of the first one is confirmed yet.
            said = [f"{turns} {number:04}" for number in range(limit)]
            for message in said:
                connection.send(message)
                await self.turn()
            for number in range(3):
                waiting, size, more = refusal(connection, f"r {number:04}")
                self.assertEqual(waiting, limit)
                if most is not None:
                    self.assertLessEqual(size, most)
                    self.assertGreater(size + more, most)
            self.assertEqual(books(sio)[0], (turns + 1) * limit)
            self.assertEqual(await poll(), said)
        connection.send("end")
        self.assertEqual(await poll(), ["end"])
        self.assertEqual(books(sio), (2 * limit + 1, 2 * limit))

    async def poll06(self, base: str, session: str) -> list[str]:
        """A poll of 0.6."""
        response = await self.get(f"{base}/xhr-polling/{session}/1322000000001")
        return unframed(response.content.decode())

    async def test_old(self) -> None:
        """Of 0.6: as many messages as there may be."""
        sio, base, _ = await self.start(Config(queueMessages=50))
        session = await self.open(base)
        await self.check(sio, lambda: self.poll06(base, session), 50)

    async def test_oldBytes(self) -> None:
        """Of 0.6: as many bytes as there may be; such a message has six, for what stands around it does not count."""
        sio, base, _ = await self.start(Config(queueBytes=6 * 40 + 5))
        session = await self.open(base)
        await self.check(sio, lambda: self.poll06(base, session), 40, 6 * 40 + 5)

    async def test_new(self) -> None:
        """Of Engine.IO 4: as many messages as there may be."""
        sio, base, _ = await self.start(Config(queueMessages=50))
        url = f"{base}/?EIO=4&transport=polling"
        opening = (await self.get(url)).content.decode()
        found = re.search('"sid":"([^"]+)', opening)
        assert found is not None, opening
        url += f"&sid={found[1]}"
        response = await treq.post(url, data=b"40", agent=self.agent)
        self.assertEqual(await treq.content(response), b"ok")
        self.assertIn('40{"sid":', (await self.get(url)).content.decode())

        async def poll() -> list[str]:
            packets = (await self.get(url)).content.decode().split("\x1e")
            found = [re.fullmatch(r'42\["message","(.*)"\]', packet) for packet in packets]
            return [packet[1] if packet else "" for packet in found]

        await self.check(sio, poll, 50)
