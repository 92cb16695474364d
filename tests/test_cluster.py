"""
``cluster``: several servers that are one, as their clients and applications see it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from siotwisted.cluster import ClusterFanout
from siotwisted.config import Config
from siotwisted.interfaces import ICluster, IFanout
from siotwisted.server import SocketIO
from siotwisted.testing import SOCKETIO_06, MemoryPeer
from tests.clusters import MemoryCluster


class ClusterCase(SynchronousTestCase):
    """Two servers, with a client or more each."""

    config = Config()

    def setUp(self) -> None:
        """They know each other."""
        self.clock = Clock()
        self.clusters: dict[int, MemoryCluster] = {}
        self.servers = []
        for number in range(2):
            cluster = MemoryCluster(number, self.clusters)
            self.servers.append(SocketIO(self.clock, self.config, cluster))
            cluster.enter()
        self.here, self.there = self.servers

    def peers(self, **options: Any) -> list[MemoryPeer]:
        """A client of each."""
        return [MemoryPeer(server, **options) for server in self.servers]

    def told(self, *peers: MemoryPeer) -> list[list[Any]]:
        """What each was told."""
        self.clock.advance(0)
        return [peer.take() for peer in peers]


class FanoutTests(ClusterCase):
    """What is done to many."""

    def test_interfaces(self) -> None:
        """It is a fan-out, and so is what joins the servers of these tests a cluster."""
        self.assertTrue(verifyObject(ICluster, self.clusters[0]))
        self.assertTrue(verifyObject(IFanout, self.here._core.fanout))
        self.assertIsInstance(self.here._core.fanout, ClusterFanout)

    def test_send(self) -> None:
        """All get what is sent to all, whatever it is, and each generation in its words; its count is of those here."""
        deep: Any = "deep"
        for _ in range(40):
            deep = [deep]
        here, there = self.peers()
        old = MemoryPeer(self.there, SOCKETIO_06)
        for values in (["a", 1], ["é", None, 1.5], [{"b": [b"1", {"c": b"2"}]}, b"3"], [2**70, deep]):
            delivery = self.successResultOf(self.here.emit("event", *values))
            self.assertEqual(delivery.accepted, 1)
            told = self.told(here, there)
            self.assertEqual(told, [[["event", *values]]] * 2)
        self.here.send("text")
        self.here.send({"x": [1]})
        self.assertEqual(self.told(here, there), [[["message", "text"], ["message", {"x": [1]}]]] * 2)
        self.assertEqual(self.told(old)[0][-2:], [["message", "text"], ["message", {"x": [1]}]])

    def test_surrogates(self) -> None:
        """Text that is no text goes everywhere, too, and so do rooms of such names."""
        here, there = self.peers()
        (connection,) = self.there.connections.values()
        self.here.joinAll("\ud800")
        self.here.send("\ud800")
        self.here.to("\ud800").emit("event", "\ud800")
        self.here.excluding("\ud800").emit("nobody")
        self.assertEqual(self.told(here, there), [[["message", "\ud800"], ["event", "\ud800"]]] * 2)
        self.here.leaveAll("\ud800")
        self.assertEqual(connection.rooms, {connection.id})

    def test_rooms(self) -> None:
        """Rooms are everywhere; so are those who are left out; what is local is not."""
        here, there = self.peers()
        other = MemoryPeer(self.there)
        connections = list(self.there.connections.values())
        connections[0].join("blue")
        self.here.to("blue").emit("to blue")
        self.assertEqual(self.told(here, there, other), [[], [["to blue"]], []])
        self.here.excluding("blue").emit("to others")
        self.assertEqual(self.told(here, there, other), [[["to others"]], [], [["to others"]]])
        self.here.to(connections[1].id).volatile().emit("to one")
        self.assertEqual(self.told(here, there, other), [[], [], [["to one"]]])
        self.there.local().emit("to those there")
        self.assertEqual(self.told(here, there, other), [[], [["to those there"]], [["to those there"]]])
        next(iter(self.here.connections.values())).to().emit("to the others")
        self.assertEqual(self.told(here, there, other), [[], [["to the others"]], [["to the others"]]])

    def test_verbs(self) -> None:
        """Whoever is elsewhere enters rooms, leaves them, and leaves the namespace."""
        self.peers()
        (there,) = self.there.connections.values()
        self.here.joinAll("a", "b")
        self.here.leaveAll("a")
        self.assertEqual(there.rooms, {there.id, "b"})
        self.here.to("b").disconnectAll()
        self.assertEqual([len(server.connections) for server in self.servers], [0, 0])
        peers = self.peers()
        self.here.disconnectAll(close=True)
        self.assertEqual([peer.closed for peer in peers], [True, True])

    def test_here(self) -> None:
        """Who is counted, or asked, is here."""
        peers = self.peers()
        self.assertEqual(len(self.successResultOf(self.here.fetchConnections())), 1)
        answer = self.here.call("question")
        self.assertEqual([len(told) for told in self.told(*peers)], [1, 0])
        self.assertNoResult(answer)

    def test_namespaces(self) -> None:
        """A namespace is the same in all; one that is not there, or stands for many, is no error."""
        for server in self.servers:
            server.of("/chat")
            server.of(re.compile("/room-[0-9]"))
        peer = MemoryPeer(self.there)
        for name in ("/chat", "/room-1"):
            peer.connect(name)
        here = MemoryPeer(self.here)
        here.connect("/room-1")
        here.connect("/room-2")
        self.here.of("/chat").emit("chat")
        self.here.of("/only-here").emit("nobody")
        self.here.of("/room-1").emit("room")
        self.here.of("/room-2").emit("nobody")
        self.clock.advance(0)
        self.assertEqual([peer.take(name) for name in ("/chat", "/room-1")], [[["chat"]], [["room"]]])

    def test_gone(self) -> None:
        """One that is gone hears nothing."""
        here, there = self.peers()
        self.clusters[1].leave()
        self.here.emit("a")
        self.assertEqual(self.told(here, there), [[["a"]], []])


class RecoveryTests(ClusterCase):
    """Stamps are each server's own."""

    config = Config(recovery=60.0)

    def test_stamps(self) -> None:
        """What comes from another server can be asked for again as anything else can."""
        _, there = self.peers()
        self.here.emit("a")
        (message,) = self.told(there)[0]
        self.assertRegex(str(message), "a.*[0-9]")


class ComingTests(SynchronousTestCase):
    """How servers learn of each other, in memory."""

    def test_news(self) -> None:
        """Both hear of it when one comes, and the rest when one goes."""
        heard: list[tuple[str, int, int]] = []
        all: dict[int, MemoryCluster] = {}

        def note(what: str, who: int) -> Callable[[int], None]:
            return lambda number: heard.append((what, who, number))

        for number in range(2):
            cluster = MemoryCluster(number, all)
            cluster.onCome(note("come", number))
            cluster.onGo(note("go", number))
            cluster.enter()
        all[0].leave()
        self.assertEqual(heard, [("come", 1, 0), ("come", 0, 1), ("go", 1, 0)])
