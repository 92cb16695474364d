"""
Packets that wait for an application: how many, and how much.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siotwisted.backlog import Backlog
from siotwisted.packets import Kind, Packet


class Session:
    """Counts."""

    bytesReceived = 0


class BacklogTests(SynchronousTestCase):
    """The queue and its limits."""

    def setUp(self) -> None:
        """A backlog of three packets and 100 bytes."""
        self.session = Session()
        self.backlog = Backlog(self.session, 3, 100)

    def add(self, number: int, size: int = 0) -> bool:
        """A packet comes, in a payload of this size."""
        self.session.bytesReceived += size
        return self.backlog.add(Packet(Kind.MESSAGE, str(number)))

    def take(self) -> str:
        """The data of the first that waits."""
        data: str = self.backlog.take().data
        return data

    def test_order(self) -> None:
        """They come out as they came in."""
        self.assertEqual([self.add(number) for number in range(3)], [True] * 3)
        self.assertEqual((len(self.backlog), [self.take() for _ in range(3)]), (3, ["0", "1", "2"]))
        self.assertEqual(len(self.backlog), 0)

    def test_packets(self) -> None:
        """The fourth finds no room, until the first is gone."""
        self.assertEqual([self.add(number) for number in range(4)], [True, True, True, False])
        self.take()
        self.assertTrue(self.add(4))

    def test_bytes(self) -> None:
        """The first may be as large as it likes; since then, so many bytes may have come, and not one more."""
        self.assertEqual([self.add(0, 1000), self.add(1, 100), self.add(2, 1)], [True, True, False])

    def test_moving(self) -> None:
        """Who never lets it run empty, but waits his turn, can go on for ever."""
        self.add(0)
        for number in range(100):
            self.assertTrue(self.add(number, 90))
            self.take()

    def test_clear(self) -> None:
        """All can be forgotten."""
        self.add(0)
        self.backlog.clear()
        self.assertEqual(len(self.backlog), 0)
