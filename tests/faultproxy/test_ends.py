"""How it ends: clients that are killed or vanish, and a server that is told to stop."""
# pytest-twisted has no types.
# mypy: disable-error-code="import-untyped, untyped-decorator"

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as installedReactor
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import deferLater

from tests.interop.conftest import program
from tests.interop.npm import fetchBundles

from .fleet import KINDS, Fleet, Kind
from .models import DIALECTS, Model, ModelServer
from .oracle import judge, readLog
from .proxy import Fault, FaultProxy
from .run import ServerProcess, serverCommand
from .server import TIMES

reactor: Any = installedReactor

IN_NODE = tuple(kind for kind in KINDS if kind.inNode)

#: After how many seconds a silent client's session has ended, and after how many more all it did not get is reported.
SILENCE = TIMES["pingInterval"] + TIMES["pingTimeout"]
PATIENCE = TIMES["reconnectTimeout"]


def programs() -> tuple[str, str]:
    """Node.js and Chromium."""
    program("npm")
    chromium = program(os.environ.get("CHROMIUM") or "chromium", "chromium-browser", "google-chrome")
    return program("node", "nodejs"), chromium


async def until(probe: Callable[[], object], seconds: float, what: Callable[[], object]) -> float:
    """Wait until something is so, and return how many seconds that took."""
    began: float = reactor.seconds()
    while not probe():
        assert reactor.seconds() - began < seconds, f"not within {seconds} s: {what()}"
        await deferLater(reactor, 0.05)
    return float(reactor.seconds() - began)


class Bench:
    """
    A server and stock clients, with the proxy between them.

    :param folder: where the logs go
    :param kinds: which clients
    :param options: more words for the server's command line
    """

    def __init__(self, folder: Path, kinds: tuple[Kind, ...], *options: str) -> None:
        self.node, chromium = programs()
        self.serverLog = folder / "server.jsonl"
        self.clientLog = folder / "clients.jsonl"
        self._kinds = kinds
        self._options = options
        bundles = fetchBundles({kind.release for kind in kinds if not kind.inNode})
        self._command = serverCommand("siotwisted", self.node, self.serverLog, bundles)
        self.server = ServerProcess(reactor, [*self._command, *options])
        self.fleet = Fleet(reactor, self.node, chromium, kinds, self.clientLog)
        self.names = [f"{kind}-{number}" for kind in kinds for number in range(2)]

    async def start(self) -> None:
        """Wait until all clients are connected."""
        self.port = await self.server.started.addTimeout(30, reactor)
        self.proxy = FaultProxy(reactor, TCP4ClientEndpoint(reactor, "127.0.0.1", self.port))
        await self.fleet.start()
        for name in self.names:
            kind = next(kind for kind in self._kinds if str(kind) == name.rpartition("-")[0])
            await self.fleet.add(kind, name, f"http://127.0.0.1:{await self.proxy.listen(name)}/")
        await self.connected()

    async def connected(self) -> None:
        """Wait until all clients are."""
        for _ in range(100):
            _, now = await self.fleet.count()
            if now == len(self.names):
                return
            await deferLater(reactor, 0.2)
        raise AssertionError(f"{now} of {len(self.names)} clients are connected")

    async def restart(self, log: Path) -> None:
        """Start another server in the same place."""
        command = [*self._command, *self._options, "--port", str(self.port)]
        command[command.index("--log") + 1] = str(log)
        self.server = ServerProcess(reactor, command)
        await self.server.started.addTimeout(30, reactor)

    async def finish(self) -> None:
        """Let the server end, and the rest too."""
        if not self.server.ended.called:
            self.server.finish()
            await self.server.ended.addTimeout(30, reactor)
        await self.fleet.stop()
        await self.proxy.stop()
        assert self.server.errors == b"", self.server.errors.decode("utf-8", "replace")

    def ended(self) -> set[str]:
        """Whose session has ended, by the server's log."""
        return {entry[1] for entry in readLog(self.serverLog) if entry[0] == "end"}


@pytest_twisted.ensureDeferred
async def test_killedClients(tmp_path: Path) -> None:
    """When a process with clients is killed, all that they did not get is reported in time."""
    bench = Bench(tmp_path, IN_NODE)
    await bench.start()
    await deferLater(reactor, 1.0)
    await bench.fleet.kill()
    took = await until(
        lambda: bench.ended() == set(bench.names), SILENCE + PATIENCE + 1.0, lambda: set(bench.names) - bench.ended()
    )
    await deferLater(reactor, PATIENCE + 1.0)
    await bench.finish()
    verdicts = judge(readLog(bench.serverLog), readLog(bench.clientLog))
    print(f"killed: {len(bench.names)} sessions ended within {took:.1f} s")
    for group, verdict in verdicts.items():
        assert verdict.isClean, f"{group}: {verdict.examples}"
        assert verdict.counts["got"], group
    assert sum(verdict.counts["reported"] for verdict in verdicts.values()) > 0


@pytest_twisted.ensureDeferred
async def test_vanished(tmp_path: Path) -> None:
    """When the network swallows all that a client says and hears, its session ends as soon as it must, and no later."""
    bench = Bench(tmp_path, IN_NODE)
    await bench.start()
    await deferLater(reactor, 1.0)
    silence = Fault("half-open", "up", 0, 60.0, both=True)
    bench.proxy.onLink = lambda link: link.arm(silence)
    for link in [*bench.proxy.links]:
        if link.alive:
            link.happen(silence)
    # Those of 0.9 may come back to their session for a while.
    limit = SILENCE + PATIENCE + 1.0
    took = await until(lambda: bench.ended() == set(bench.names), limit, lambda: set(bench.names) - bench.ended())
    await deferLater(reactor, PATIENCE + 1.0)
    await bench.fleet.kill()
    await bench.finish()
    print(f"half-open: {len(bench.names)} sessions ended within {took:.1f} s")
    for group, verdict in judge(readLog(bench.serverLog), readLog(bench.clientLog)).items():
        assert verdict.isClean, f"{group}: {verdict.examples}"
        assert verdict.counts["reported"], group


@pytest.mark.parametrize("sessions", [1_000])
@pytest_twisted.ensureDeferred
async def test_drain(tmp_path: Path, sessions: int) -> None:
    """
    A server with a thousand clients, half of them on WebSockets, a fifth absent, is told to stop: it does so in time,
    nothing is lost without a word, nobody is sent away for good, and stock clients come back to the next one.
    """
    bench = Bench(tmp_path, KINDS, "--patience", "8", "--drain", "3")
    await bench.start()
    way = ModelServer(reactor, bench.port)
    models = []
    for number in range(sessions):
        dialect = [*DIALECTS][number % len(DIALECTS)]
        name = f"model_{dialect}-{number}"
        models.append((name, Model(way, name, dialect, number % 8 < 4)))
    gate = DeferredSemaphore(20)
    await gatherResults([gate.run(connecting, model) for _, model in models])
    await deferLater(reactor, 4.0)
    gone = {name: model.why for name, model in models if model.gone}
    assert gone == {}
    for number, (_, model) in enumerate(models):
        if number // 8 % 5 == 0:
            model.leaveAlone()
    await deferLater(reactor, 2.5)
    began = reactor.seconds()
    bench.server.signal("TERM")
    await bench.server.ended.addTimeout(30, reactor)
    took = reactor.seconds() - began
    received = [["got", name, "", key, True] for name, model in models for key in model.got]
    dismissed = [name for name, model in models if model.dismissed]
    for _, model in models:
        model.stop()
    entries = [*readLog(bench.serverLog)]
    (statistics,) = [entry[1] for entry in entries if entry[0] == "statistics"]
    await bench.restart(tmp_path / "next.jsonl")
    await bench.connected()
    await way.stop()
    stock = await bench.fleet.take()
    stock += readLog(bench.clientLog)
    await bench.finish()
    print(f"drain: {sessions} sessions and {len(bench.names)} stock clients, {took:.1f} s, {json.dumps(statistics)}")
    assert took < 3.0 + 8 * TIMES["closeTimeout"] + 2.0
    assert dismissed == []
    assert statistics["pending"] == 0
    sums = sum(statistics[end] for end in ("confirmed", "undelivered", "moved"))
    assert statistics["accepted"] == sums
    first = {entry[3] for entry in entries if entry[0] == "accepted"}
    old = [entry for entry in stock if entry[0] == "got" and entry[3] in first]
    for group, verdict in judge(entries, [*received, *old]).items():
        for fault in ("lost", "doubled", "reordered", "falselyUnsent"):
            assert verdict.counts[fault] == 0, f"{group}: {verdict.examples}"


def connecting(model: Model) -> Deferred[None]:
    """Let a model connect."""
    return Deferred.fromCoroutine(model.connect())
