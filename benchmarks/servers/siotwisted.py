"""Ours: ``python -m benchmarks.servers.siotwisted PORT [--profile FILE]``."""

from __future__ import annotations

import cProfile
import os
import resource
import sys
from typing import Any

from twisted.internet import reactor as installedReactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.web.resource import Resource

from siotwisted import Connection, SocketIO, SocketIOResource, SocketIOSite
from siotwisted.workerlinks import WorkerLinks
from siotwisted.workers import WORKER, SharedPort, WorkerEndpoint

__all__ = ["serve"]

# Typed loosely: what it can do depends on the platform.
reactor: Any = installedReactor


def application(sio: SocketIO) -> None:
    """What every server here does."""

    @sio.on("echo")
    def echo(conn: Connection, value: object) -> None:
        conn.emit("echo", value)

    @sio.on("bcast")
    def broadcast(conn: Connection, value: object) -> None:
        sio.emit("bcast", value)

    @sio.onMessage
    def message(conn: Connection, value: object) -> None:
        # Clients of 0.6 have no events.
        if isinstance(value, str) and value.startswith("b"):
            sio.send(value)
        else:
            conn.send(value)


def serve(port: int, profile: str = "") -> None:
    """
    Listen, and run until the process is told to end.

    :param profile: the file for what it did, if that is wanted.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    links = None
    if WORKER in os.environ:
        number, count, folder = os.environ[WORKER].split(" ", 2)
        links = WorkerLinks(reactor, int(number), int(count), folder)
    sio = SocketIO(reactor, cluster=links)
    application(sio)
    root = Resource()
    root.putChild(b"socket.io", SocketIOResource(sio))
    site = SocketIOSite(root, links)
    endpoint: IStreamServerEndpoint = TCP4ServerEndpoint(reactor, port, backlog=4096, interface="127.0.0.1")
    if links is not None:
        links.site = site
        links.startService()
        endpoint = WorkerEndpoint(reactor, SharedPort(port, "127.0.0.1"), links)
    endpoint.listen(site)
    if profile:
        profiler = cProfile.Profile()
        profiler.runcall(reactor.run)
        profiler.dump_stats(profile)
    else:
        reactor.run()


if __name__ == "__main__":
    serve(int(sys.argv[1]), *sys.argv[3:])
