"""What is measured: the loads, what is read of each, and how far ahead of Node's server it is to be."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["GROWTH", "LOADS", "Load"]

#: The same work for ever more clients.
GROWTH = ("bcast100", "bcast4", "bcast5000")


class Load(NamedTuple):
    """
    One line of the table.

    :ivar name: for the command line.
    :ivar title: for people.
    :ivar options: of ``sioload``.
    :ivar figure: which of its figures counts.
    :ivar unit: of that.
    :ivar least: how many times better than Node's server it must be.
    :ivar aim: how many times better it should be.
    :ivar lessIsBetter: whether a small figure is a good one.
    """

    name: str
    title: str
    options: str
    figure: str
    unit: str
    least: float
    aim: float
    lessIsBetter: bool = False


LOADS = (
    Load("echo1", "echo, 100 clients, 1 in flight", "--mode echo -n 100 -W 1", "per_s", "/s", 1.2, 1.4),
    Load("echo16", "echo, 100 clients, 16 in flight", "--mode echo -n 100 -W 16", "per_s", "/s", 3, 4),
    Load("bcast100", "broadcast to 100, 4 in flight", "--mode broadcast -n 100 -K 4", "per_s", "/s", 2, 6),
    Load("bcast1", "broadcast to 1,000, 1 in flight", "--mode broadcast -n 1000 -K 1", "per_s", "/s", 1.2, 1.4),
    Load("bcast4", "broadcast to 1,000, 4 in flight", "--mode broadcast -n 1000 -K 4", "per_s", "/s", 2, 6),
    Load("bcast5000", "broadcast to 5,000, 4 in flight", "--mode broadcast -n 5000 -K 4", "per_s", "/s", 2, 6),
    Load("poll", "polling echo, 100 clients", "--transport polling --mode echo -n 100", "per_s", "/s", 1, 1.8),
    Load(
        "pollbcast",
        "polling broadcast to 200, 4 in flight",
        "--transport polling --mode broadcast -n 200 -K 4",
        "per_s",
        "/s",
        1,
        1.8,
    ),
    Load("connect", "WebSocket connects, CPU of one", "--mode connect -c 16", "srv_us_each", "us", 1.2, 3, True),
    Load("pollconnect", "polling connects", "--transport polling --mode connect -c 16", "per_s", "/s", 1, 2),
    Load("idle", "memory of an idle WebSocket, 5,000", "--mode idle -n 5000", "rss_kb_per_client", "KB", 2, 4, True),
    Load("rate", "p99 latency at 2,000 messages/s", "--mode rate -r 2000 -n 100", "p99_us", "us", 1, 2, True),
)
