"""The proxy's faults, the judge, and a short storm with clients of four releases."""
# pytest-twisted has no types.
# mypy: disable-error-code="import-untyped, untyped-decorator"

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as installedReactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from tests.interop.conftest import program

from .oracle import Verdict, judge
from .proxy import Fault, FaultProxy, Link
from .run import SERVERS, Settings, run
from .storm import Storm
from .traffic import Schedule, textHash

reactor: Any = installedReactor


class End(Protocol):
    """One end of a connection: it keeps what it gets, and how it ended."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ended: Deferred[None] = Deferred()
        self.clean: bool | None = None
        self._waiting: list[tuple[int, Deferred[None]]] = []

    @property
    def got(self) -> bytes:
        """All bytes so far."""
        return b"".join(self.pieces)

    def has(self, count: int) -> Deferred[None]:
        """Fires when so many bytes are there."""
        done: Deferred[None] = Deferred()
        self._waiting.append((count, done))
        self._look()
        return done

    def say(self, data: bytes) -> None:
        """Send this."""
        assert self.transport is not None
        self.transport.write(data)

    def dataReceived(self, data: bytes) -> None:
        self.pieces.append(data)
        self._look()

    def _look(self) -> None:
        for entry in [*self._waiting]:
            if len(self.got) >= entry[0]:
                self._waiting.remove(entry)
                entry[1].callback(None)

    def connectionLost(self, reason: Failure | None = None) -> None:
        assert reason is not None
        self.clean = bool(reason.check(ConnectionDone))
        self.ended.callback(None)


class Wire:
    """A client and a server that are connected through the proxy."""

    proxy: FaultProxy
    link: Link
    client: End
    server: End

    async def open(self) -> None:
        """Let the client connect, and wait until the server has it."""
        accepted: Deferred[End] = Deferred()

        class Accepting(Factory[End]):
            noisy = False

            def buildProtocol(self, address: object) -> End:
                end = End()
                if not accepted.called:
                    reactor.callLater(0, accepted.callback, end)
                return end

        self.listening = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Accepting())
        port = self.listening.getHost().port
        self.proxy = FaultProxy(reactor, TCP4ClientEndpoint(reactor, "127.0.0.1", port))
        linked: Deferred[Link] = Deferred()
        self.proxy.onLink = lambda link: None if linked.called else linked.callback(link)
        self.port = await self.proxy.listen("someone")
        self.client = await self.connect()
        self.server = await accepted
        self.link = await linked

    async def connect(self) -> End:
        """Come as a client once more."""
        end = End()
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.port), end)
        return end

    async def close(self) -> None:
        """End everything."""
        await self.proxy.stop()
        await self.client.ended
        await self.listening.stopListening()


@pytest_twisted.async_yield_fixture()
async def wire() -> AsyncIterator[Wire]:
    """An open connection through the proxy."""
    wire = Wire()
    await wire.open()
    yield wire
    await wire.close()


DATA = bytes(range(200))


@pytest_twisted.ensureDeferred
async def test_passes(wire: Wire) -> None:
    """Without a fault all bytes pass, both ways, and so does the end."""
    wire.client.say(DATA)
    await wire.server.has(len(DATA))
    wire.server.say(DATA * 1000)
    await wire.client.has(len(DATA) * 1000)
    assert (wire.server.got, wire.client.got) == (DATA, DATA * 1000)
    wire.server.transport.loseConnection()  # type: ignore[union-attr]
    await wire.client.ended
    assert wire.client.clean and not wire.proxy.counts


@pytest.mark.parametrize("after", [0, 1, 57, 199])
@pytest.mark.parametrize("kind", ["fin", "rst"])
@pytest.mark.parametrize("direction", ["up", "down"])
@pytest_twisted.ensureDeferred
async def test_cuts(wire: Wire, kind: str, direction: str, after: int) -> None:
    """A cut comes at its byte: those before it arrive, those after it do not, and both ends notice."""
    sender, receiver = (wire.client, wire.server) if direction == "up" else (wire.server, wire.client)
    wire.link.arm(Fault(kind, direction, after))
    sender.say(DATA)
    await receiver.ended
    await sender.ended
    assert receiver.got == DATA[:after]
    assert receiver.clean is (kind == "fin")
    assert wire.proxy.counts == {kind: 1}


@pytest_twisted.ensureDeferred
async def test_cutsInMessages(wire: Wire) -> None:
    """The bytes are counted from the moment of arming, over many messages."""
    wire.server.say(DATA)
    await wire.client.has(len(DATA))
    wire.link.arm(Fault("fin", "down", 15))
    for start in range(0, 100, 10):
        wire.server.say(DATA[start : start + 10])
    await wire.client.ended
    assert wire.client.got == DATA + DATA[:15]


@pytest_twisted.ensureDeferred
async def test_impatient(wire: Wire) -> None:
    """A cut does not wait for bytes that do not come."""
    wire.link.arm(Fault("rst", "up", 100, patience=0.02))
    await wire.client.ended
    await wire.server.ended
    assert wire.proxy.counts == {"rst": 1}


@pytest_twisted.ensureDeferred
async def test_stalls(wire: Wire) -> None:
    """A stall holds bytes back for its time, then they arrive; the other direction is not held."""
    wire.link.arm(Fault("stall", "down", 10, seconds=0.2))
    began = reactor.seconds()
    wire.server.say(DATA)
    await wire.client.has(10)
    assert reactor.seconds() - began < 0.15
    wire.client.say(b"meanwhile")
    await wire.server.has(9)
    assert wire.client.got == DATA[:10]
    await wire.client.has(len(DATA))
    assert reactor.seconds() - began >= 0.2
    assert wire.client.got == DATA


@pytest_twisted.ensureDeferred
async def test_segments(wire: Wire) -> None:
    """Tiny segments arrive one by one, and whole in the end."""
    wire.link.arm(Fault("segments", "down", 0, seconds=1.0))
    wire.server.say(DATA)
    await wire.client.has(len(DATA))
    assert wire.client.got == DATA
    assert len(wire.client.pieces) > 20


@pytest_twisted.ensureDeferred
async def test_slow(wire: Wire) -> None:
    """A slow reader gets all in the end, however much there is; what it leaves piles up where it comes from."""
    wire.link.arm(Fault("slow", "down", 0, seconds=0.3))
    wire.server.say(DATA * 5000)
    await deferLater(reactor, 0.2)
    assert len(wire.client.got) < 1000
    assert len(wire.link.flows["down"].held) < len(DATA) * 1000
    await wire.client.has(len(DATA) * 5000)
    assert wire.client.got == DATA * 5000


@pytest.mark.parametrize("both", [False, True])
@pytest_twisted.ensureDeferred
async def test_halfOpen(wire: Wire, both: bool) -> None:
    """Of a half-open connection nobody is told: bytes vanish, and in one direction alone if so wanted."""
    wire.link.arm(Fault("half-open", "down", 5, seconds=0.3, both=both))
    wire.server.say(DATA)
    await wire.client.has(5)
    wire.client.say(DATA)
    await deferLater(reactor, 0.1)
    assert wire.client.got == DATA[:5]
    assert wire.server.got == (b"" if both else DATA)
    assert wire.client.clean is None and wire.server.clean is None
    wire.server.transport.loseConnection()  # type: ignore[union-attr]
    await wire.server.ended
    await deferLater(reactor, 0.05)
    assert wire.client.clean is None
    await wire.client.ended
    assert wire.client.clean is False


@pytest_twisted.ensureDeferred
async def test_away(wire: Wire) -> None:
    """Who is away loses all connections, and gets none until the time is over."""
    wire.proxy.leave("someone", 0.1)
    await wire.client.ended
    early = await wire.connect()
    await early.ended
    assert early.clean is False
    await deferLater(reactor, 0.1)
    late = await wire.connect()
    late.say(b"here")
    await deferLater(reactor, 0.05)
    assert late.clean is None
    late.transport.loseConnection()  # type: ignore[union-attr]
    await late.ended
    assert wire.proxy.counts == {"away": 1}


@pytest_twisted.ensureDeferred
async def test_countsLiveOnly(wire: Wire) -> None:
    """A fault that comes too late for its connection does not count."""
    wire.link.arm(Fault("rst", "down", 10, patience=0.05))
    wire.client.transport.loseConnection()  # type: ignore[union-attr]
    await wire.server.ended
    await deferLater(reactor, 0.1)
    wire.proxy.leave("someone", 0.0)
    assert wire.proxy.counts.total() == 0


def test_seed() -> None:
    """The same seed draws the same faults, and all kinds come."""
    storm = Storm(reactor, FaultProxy(reactor, TCP4ClientEndpoint(reactor, "127.0.0.1", 1)), 1, 1.0)
    first, second, other = ([storm.draw(random) for _ in range(500)] for random in map(Random, (1, 1, 2)))
    assert first == second != other
    assert {fault.kind for fault in first} == {"fin", "rst", "half-open", "stall", "slow", "segments", "away"}


# The judge. Logs of one client with one session, but for what each test changes.

ACCEPTED = [["accepted", "x-0", "s1", key] for key in "abc"]
GOT = [["got", "x-0", "s1", key, True] for key in "abc"]


def verdictOf(server: list[list[Any]], clients: list[list[Any]]) -> Verdict:
    """Judge the logs of a single client."""
    (verdict,) = judge(server, clients).values()
    return verdict


def test_judgesClean() -> None:
    """What was accepted and got, in order, is no fault."""
    verdict = verdictOf(ACCEPTED, GOT)
    assert verdict.isClean and not verdict.examples
    assert verdict.counts == {"accepted": 3, "got": 3, "said": 0, "heard": 0}


def test_judgesLost() -> None:
    """What was accepted and not got is lost, unless it was reported; to be reported first and got then is no loss."""
    assert verdictOf(ACCEPTED, GOT[:1]).counts["lost"] == 2
    assert verdictOf(ACCEPTED, [["swallowed", "x-0", "a"], *GOT[1:]]).isClean
    reports = [["undelivered", "x-0", "s1", key, True, "ping timeout"] for key in "bc"]
    verdict = verdictOf([*ACCEPTED, *reports], GOT[:2])
    assert verdict.isClean
    assert (verdict.counts["reported"], verdict.counts["uncertain"]) == (1, 1)


def test_judgesDoubled() -> None:
    """Twice in a session is a fault, again in a later session is only counted."""
    assert verdictOf(ACCEPTED, [*GOT, GOT[2]]).counts["doubled"] == 1
    later = verdictOf(ACCEPTED, [*GOT, ["got", "x-0", "s2", "c", True]])
    assert later.isClean and later.counts["repeated"] == 1


def test_judgesCareless() -> None:
    """A client of 0.9 that polls may hear what an earlier session had accepted twice in a later one, and no more."""
    for name, clean in (("0.9.17_xhr-polling-0", True), ("0.9.17_websocket-0", False)):
        accepted = [["accepted", name, "s1", "a"], ["accepted", name, "s2", "b"]]
        got = [["got", name, "s2", key, True] for key in "aab"]
        said = [["said", name, "s2", number] for number in (1, 2)]
        heard = [["heard", name, "s2", number] for number in (2, 1)]
        assert verdictOf([*accepted, *heard], [*got, *said]).isClean is clean
        assert not verdictOf(accepted, [*got, got[2]]).isClean


def test_judgesReordered() -> None:
    """Within a session and over sessions, what was accepted first must come first."""
    assert verdictOf(ACCEPTED, [GOT[0], GOT[2], GOT[1]]).counts["reordered"] == 1
    assert verdictOf(ACCEPTED, [*GOT[1:], ["got", "x-0", "s2", "a", True]]).counts["reordered"] == 1
    again = [["got", "x-0", "s2", key, True] for key in "cb"]
    assert verdictOf(ACCEPTED, [*GOT, *again]).counts["reordered"] == 1


def test_judgesContent() -> None:
    """Damaged texts, foreign keys, false words about what was never sent, and reports that come twice are faults."""
    assert verdictOf(ACCEPTED, [*GOT[:2], ["got", "x-0", "s1", "c", False]]).counts["corrupt"] == 1
    assert verdictOf(ACCEPTED, [*GOT, ["got", "x-0", "s1", "z", True]]).counts["unknown"] == 1
    report = ["undelivered", "x-0", "s1", "c", False, "ping timeout"]
    assert verdictOf([*ACCEPTED, report], GOT).counts["falselyUnsent"] == 1
    assert verdictOf([*ACCEPTED, report, report], GOT[:2]).counts["reportedTwice"] == 1


def test_judgesTold() -> None:
    """What was told to all may come to one who was away then, in its place."""
    server = [*ACCEPTED[:1], ["told", "*:1"], *ACCEPTED[1:]]
    broadcast = ["got", "x-0", "s1", "*:1", True]
    assert verdictOf(server, [GOT[0], broadcast, *GOT[1:]]).isClean
    assert verdictOf(server, [*GOT, broadcast]).counts["reordered"] == 1


def test_judgesSaid() -> None:
    """What clients say must not be heard twice, nor out of order, nor invented; that it is lost is only counted."""
    said = [["said", "x-0", "s1", number] for number in (1, 2, 3)]
    heard = [["heard", "x-0", "s1", number] for number in (1, 2, 3)]
    assert verdictOf(heard[1:], said).isClean
    assert verdictOf([*heard, heard[0]], said).counts["saidTwice"] == 1
    assert verdictOf([heard[1], heard[0]], said).counts["saidReordered"] == 1
    assert verdictOf(heard, said[:2]).counts["saidUnknown"] == 1
    late = verdictOf([heard[2], ["heard", "x-0", "s0", 2]], said)
    assert late.isClean and late.counts["saidLate"] == 1


def test_hash() -> None:
    """The hash is that of UTF-16 code units, and every message of the schedule has the right one."""
    assert textHash("") == 0x811C9DC5
    assert textHash("a") == 0xE40C292C
    schedule = Schedule()
    messages = [schedule.message("x-1") for _ in range(60)]
    assert len({message["k"] for message in messages}) == 60
    assert all(textHash(message["t"]) == message["h"] for message in messages if len(message["t"]) < 3000)
    assert max(len(message["t"]) for message in messages) == 40_000


@pytest.mark.parametrize("server", ["siotwisted", "siotwisted-recovery"])
@pytest_twisted.ensureDeferred
async def test_storm(tmp_path: Path, server: str) -> None:
    """After hundreds of faults nothing is lost without a word, doubled in a session or out of order."""
    node = program("node", "nodejs")
    program("npm")
    chromium = program(os.environ.get("CHROMIUM") or "chromium", "chromium-browser", "google-chrome")
    settings = Settings(server, 250, 1, 2, 0.5, 60.0, SERVERS[server], tmp_path)
    outcome = await run(reactor, settings, node, chromium)
    print(outcome)
    assert outcome.errors == []
    assert outcome.faults.total() >= 250
    for group, verdict in outcome.verdicts.items():
        assert verdict.isClean, f"{group}: {verdict.examples}"
        assert verdict.counts["got"] > 50, group
    statistics = outcome.statistics
    ends = ("confirmed", "pending", "undelivered", "moved")
    assert statistics["accepted"] == sum(statistics[end] for end in ends)
