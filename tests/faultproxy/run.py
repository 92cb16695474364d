"""One run: a server's process, the clients, the proxy between them, a storm, and the verdict when all is quiet."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from tests.interop.npm import CENSUS, Release, fetchBundles, installClient
from tests.interop.siochat import packageEnvironment

from .fleet import KINDS, Fleet, Kind
from .oracle import Verdict, judge, readLog
from .proxy import FaultProxy
from .storm import Storm
from .traffic import BEAT

__all__ = ["SERVERS", "Outcome", "ServerProcess", "Settings", "run", "serverCommand"]

_ADDRESS = re.compile(rb"http://127\.0\.0\.1:(\d+)/")

#: Which clients each server can serve.
SERVERS: dict[str, tuple[str, ...]] = {
    "siotwisted": ("0.6.3", "0.9.17", "2.5.0", "4.8.4"),
    "siotwisted-recovery": ("0.6.3", "0.9.17", "2.5.0", "4.8.4"),
    "node": ("2.5.0", "4.8.4"),
    "node-recovery": ("2.5.0", "4.8.4"),
    "python-socketio": ("4.8.4",),
}

#: All servers' timeouts are over by then, in seconds.
_SETTLED = 9.0
_START = 40.0
#: After so many seconds more, a client that does not come back by itself has been made anew, and has come.
_RENEWED = 40


@dataclass(frozen=True)
class Settings:
    """
    What a run is to be.

    :param server: one of :data:`SERVERS`
    :param faults: how many there are to be, at least
    :param seed: of the storm
    :param clients: how many there are of each kind of client
    :param pause: how many seconds there are between two faults of one client, on average
    :param seconds: how long the storm lasts at most
    :param releases: the clients' versions
    :param folder: where the logs go
    :param transport: the only one; all if empty
    """

    server: str
    faults: int
    seed: int
    clients: int
    pause: float
    seconds: float
    releases: tuple[str, ...]
    folder: Path
    transport: str = ""


@dataclass
class Outcome:
    """
    What came of it.

    :ivar faults: how many there were, by kind
    :ivar seconds: how long the storm lasted
    :ivar verdicts: by release and transport
    :ivar statistics: what the server has counted itself
    :ivar errors: what was thrown, or logged as a fault of the server
    :ivar thrown: what clients have thrown in their own code, for reasons of their own
    """

    faults: Counter[str]
    seconds: float
    verdicts: dict[str, Verdict]
    statistics: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    thrown: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Count another run in."""
        self.faults.update(other.faults)
        self.seconds += other.seconds
        for group, verdict in other.verdicts.items():
            self.verdicts.setdefault(group, Verdict()).add(verdict)
        self.statistics = {
            name: self.statistics.get(name, 0) + other.statistics.get(name, 0)
            for name in {**self.statistics, **other.statistics}
        }
        self.errors += other.errors
        self.thrown += other.thrown

    def release(self, client: str) -> Verdict:
        """The verdict for all clients of a release."""
        total = Verdict()
        for group, verdict in self.verdicts.items():
            if group.partition("_")[0] == client:
                total.add(verdict)
        return total


class ServerProcess(ProcessProtocol):
    """
    The process of a server.

    :param reactor: a reactor that starts processes
    :param command: what starts it
    :ivar started: fires with its port
    :ivar ended: fires when it is gone
    :ivar errors: what it has written on standard error
    """

    def __init__(self, reactor: Any, command: Sequence[str]) -> None:
        self._output = b""
        self.errors = b""
        self.started: Deferred[int] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self._process = reactor.spawnProcess(self, command[0], command, _environment())

    def outReceived(self, data: bytes) -> None:
        """Look for its address."""
        self._output += data
        found = _ADDRESS.search(self._output)
        if found and not self.started.called:
            self.started.callback(int(found[1]))

    def errReceived(self, data: bytes) -> None:
        """Keep it for the report."""
        self.errors = (self.errors + data)[-200_000:]

    def processEnded(self, reason: Failure) -> None:
        """Tell it."""
        if not self.started.called:
            self.started.errback(RuntimeError("the server did not start:\n" + self.errors.decode("utf-8", "replace")))
        self.ended.callback(None)

    def quiet(self) -> None:
        """Let it send nothing more."""
        self._process.writeToChild(0, b"quiet\n")

    def finish(self) -> None:
        """Let it end."""
        self._process.closeChildFD(0)

    def signal(self, name: str) -> None:
        """Send it a signal, if it lives."""
        if not self.ended.called:
            self._process.signalProcess(name)


def serverCommand(server: str, node: str, log: Path, bundles: Path) -> list[str]:
    """
    What starts a server.

    :param server: one of :data:`SERVERS`
    :param log: where its log goes
    :param bundles: the folder of the scripts that it serves
    """
    name, _, variant = server.partition("-")
    if name == "node":
        package = Release("socket.io", CENSUS[-1].version, "", "", "", ())
        script = Path(__file__).with_name("peer.mjs")
        return [node, str(script), str(installClient(package)), str(log), str(BEAT), variant]
    if name == "python":
        return [sys.executable, "-m", "tests.faultproxy.pythonpeer", "--log", str(log)]
    command = [sys.executable, "-m", "tests.faultproxy.server", "--log", str(log), "--clients", str(bundles)]
    return [*command, "--recovery"] if variant else command


def _environment() -> dict[str, str]:
    environment = packageEnvironment()
    here = str(Path(__file__).parents[2])
    return {**environment, "PYTHONPATH": f"{environment['PYTHONPATH']}:{here}"}


class _Run:
    def __init__(self, reactor: Any, settings: Settings, node: str, chromium: str) -> None:
        self._reactor = reactor
        self._settings = settings
        settings.folder.mkdir(parents=True, exist_ok=True)
        self._serverLog = settings.folder / f"{settings.server}-server.jsonl"
        self._clientLog = settings.folder / f"{settings.server}-clients.jsonl"
        wanted = set(settings.releases) & set(SERVERS[settings.server])
        self._kinds = [kind for kind in KINDS if kind.client in wanted and settings.transport in ("", kind.transport)]
        bundles = fetchBundles({kind.release for kind in self._kinds if not kind.inNode})
        self._server = ServerProcess(reactor, serverCommand(settings.server, node, self._serverLog, bundles))
        self._fleet = Fleet(reactor, node, chromium, self._kinds)
        self._proxy: FaultProxy | None = None

    def _sleep(self, seconds: float) -> Deferred[None]:
        return deferLater(self._reactor, seconds, lambda: None)

    async def execute(self, progress: Any) -> Outcome:
        """Do everything, and leave no process behind."""
        try:
            return await self._execute(progress)
        finally:
            if not self._server.ended.called:
                self._server.signal("KILL")
                await self._server.ended
            if self._proxy is not None:
                await self._proxy.stop()

    async def _execute(self, progress: Any) -> Outcome:
        settings, reactor = self._settings, self._reactor
        port = await self._server.started.addTimeout(_START, reactor)
        proxy = self._proxy = FaultProxy(reactor, TCP4ClientEndpoint(reactor, "127.0.0.1", port))
        await self._fleet.start()
        try:
            names = await self._connect(proxy, self._kinds)
            with self._clientLog.open("w") as log:
                storm = Storm(reactor, proxy, settings.seed, settings.pause)
                start = reactor.seconds()
                await self._fleet.speak(True)
                storm.start(names)
                while proxy.counts.total() < settings.faults and reactor.seconds() - start < settings.seconds:
                    if self._server.ended.called:
                        break
                    await self._sleep(1.0)
                    await self._collect(log)
                    progress(reactor.seconds() - start, proxy.counts)
                seconds = reactor.seconds() - start
                faults = Counter(proxy.counts)
                # Whatever is on its way now arrives, or is reported.
                self._server.quiet()
                await self._fleet.speak(False)
                storm.stop()
                await self._sleep(_SETTLED)
                connected = 0
                for _ in range(_RENEWED):
                    _, connected = await self._fleet.count()
                    if connected == len(names):
                        break
                    await self._sleep(1.0)
                await self._collect(log)
        finally:
            errors = await self._fleet.stop()
        thrown = [error for error in errors if "/clients/socket.io-" in error]
        errors = [error for error in errors if error not in thrown]
        if connected < len(names):
            errors.append(f"only {connected} of {len(names)} clients are connected in the end")
        if self._server.ended.called:
            errors.append("the server did not live to the end")
        else:
            self._server.finish()
            await self._server.ended.addTimeout(20, reactor)
        errors += [self._server.errors.decode("utf-8", "replace")] if self._server.errors else []
        verdicts = judge(readLog(self._serverLog), readLog(self._clientLog))
        statistics = {}
        for entry in readLog(self._serverLog):
            if entry[0] == "statistics":
                statistics = entry[1]
        return Outcome(faults, seconds, verdicts, statistics, errors, thrown)

    async def _connect(self, proxy: FaultProxy, kinds: Sequence[Kind]) -> list[str]:
        names = []
        for kind in kinds:
            for number in range(self._settings.clients):
                name = f"{kind}-{number}"
                names.append(name)
                await self._fleet.add(kind, name, f"http://127.0.0.1:{await proxy.listen(name)}/")
        for _ in range(int(_START)):
            ever, _ = await self._fleet.count()
            if ever == len(names):
                return names
            await self._sleep(0.5)
        raise RuntimeError(f"only {ever} of {len(names)} clients have connected")

    async def _collect(self, log: Any) -> None:
        for entry in await self._fleet.take():
            log.write(json.dumps(entry, separators=(",", ":")) + "\n")


async def run(
    reactor: Any, settings: Settings, node: str, chromium: str, progress: Any = lambda seconds, faults: None
) -> Outcome:
    """
    Run a server through a storm.

    :param reactor: a reactor that listens, starts processes and keeps time
    :param node: the Node.js program
    :param chromium: the Chromium program
    :param progress: is called each second with the seconds and the faults so far
    """
    return await _Run(reactor, settings, node, chromium).execute(progress)
