"""One run: a server with an application, model clients, and a plan of faults, all from one seed."""

from __future__ import annotations

import heapq
import traceback
from collections.abc import Callable, Collection
from random import Random
from typing import Any, cast
from unittest.mock import patch

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Site
from txaio.tx import config as autobahnConfig

from siotwisted import Config, Connection, SocketIO, SocketIOResource
from siotwisted.errors import EncodeError, QueueFull, SessionClosed, UnsupportedByClient
from siotwisted.handshake import Handshake
from tests.sim.clients import Model
from tests.sim.oracle import Oracle, Violation
from tests.sim.plan import FAULTS, MODELS, Outcome
from tests.sim.wires import TCP_TIMEOUT, Peer, Wire

__all__ = ["World", "simulate"]

_PADS = ("x" * 400_000, 'é€😀"\\\n/<~m~' * 40_000)
#: How many seconds faults go on.
_LENGTH = 25.0
#: How many events there are at most; most runs have some thousands.
_TURNS = 100_000


class _SilentSite(Site):
    """A site without an access log."""

    def log(self, request: object) -> None:
        """Write nothing."""


class World:
    """
    One run.

    :param seed: of everything.
    :param masked: the faults of the plan, and behind them the steps of the application, that do not take place.
    :param rough: whether there is weather.
    :param trace: gets a line for everything that happens.
    """

    def __init__(
        self,
        seed: int,
        masked: Collection[int] = (),
        rough: bool = True,
        trace: Callable[[str], object] | None = None,
        kinds: Collection[int] | None = None,
        planned: int = 120,
        steps: int = 400,
    ) -> None:
        self.seed = seed
        self.random = random = Random(seed)
        self.outcome = Outcome(seed)
        self._problems: list[str] = []
        self.oracle = Oracle(self._problems)
        self.now = 1_000_000.0
        self.rough = random.choice((0.2, 0.5, 0.9)) * rough
        self._trace = trace
        self._heap: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._sequence = 0
        self._number = 0
        self._wires: list[Wire] = []
        self._volatile = False
        self._dismissed: set[str] = set()
        self._waiting = self._refused = self._turns = 0
        self._stopping = self._stopped = False
        self.clock = Clock()
        self.clock.rightNow = self.now
        self.config = self._configure()
        self.sio = self._serve()
        count = random.randint(2, 5)
        chosen = [random.choice(MODELS) for _ in range(count)] if kinds is None else [MODELS[kind] for kind in kinds]
        self.models: list[Model] = []
        for index, model in enumerate(chosen):
            key = f"k-{index}" if self._identity and random.random() < 0.7 else ""
            each = model(self, index, key, Random(random.getrandbits(40)))
            each.salt = seed << 24
            each.recoverable &= self._recovery
            self.models.append(each)
        for each in self.models:
            self.after(random.random() * 2, each.connect)
        plan = [(random.random() * _LENGTH, random.getrandbits(60)) for _ in range(planned)]
        for index, (time, bits) in enumerate(plan):
            if index not in masked:
                self.after(time, self._fault, index, bits)
        for index in range(planned, planned + steps):
            time, bits = random.random() * _LENGTH, random.getrandbits(60)
            if index not in masked:
                self.after(time, self._step, bits)
        if random.random() < 0.25:
            self.after(_LENGTH * (0.6 + 0.5 * random.random()), self._stop, random.choice((0.0, 1.0, 5.0)))
        self.outcome.units = self.units = planned + steps

    def _configure(self) -> Config:
        random = self.random
        self._identity = random.random() < 0.6
        self._recovery = random.random() < 0.6
        settings: dict[str, Any] = {}
        if self._identity:
            settings["identity"] = _identify
        if self._recovery:
            settings["recovery"] = random.choice((3.0, 20.0))
        return Config(
            reconnectTimeout=random.choice((4.0, 10.0)),
            heartbeatInterval=4.0,
            heartbeatTimeout=3.0,
            pollDuration=6.0,
            pingInterval=4.0,
            pingTimeout=3.0,
            connectTimeout=8.0,
            closeTimeout=2.0,
            upgradeTimeout=4.0,
            queueMessages=random.choice((20, 1000, 1000)),
            queueBytes=random.choice((500_000, 4_000_000)),
            **settings,
        )

    def _serve(self) -> SocketIO:
        sio = SocketIO(self.clock, self.config)
        sio.onConnect(self._connected)
        sio.onDisconnect(self._disconnected)
        sio.onMessage(self._heard)
        sio.on("say")(self._heard)
        sio.on("ask")(self._asked)
        sio.onAnyOutgoing(self._accepted)
        sio.onUndelivered(self._undelivered)
        root = Resource()
        root.putChild(b"socket.io", SocketIOResource(sio))
        self.site = _SilentSite(root, reactor=self.clock)
        return sio

    # The network.

    def after(self, seconds: float, call: Callable[..., object], *arguments: Any) -> None:
        """Call it so many seconds from now."""
        self._sequence += 1
        heapq.heappush(self._heap, (self.now + seconds, self._sequence, call, arguments))

    def connect(self, owner: int, name: str, peer: Peer, random: Random) -> Wire:
        """A new connection to the server."""
        protocol = self.site.buildProtocol(None)
        wire = Wire(self, owner, name, protocol, peer, random)
        if len(self._wires) > 40:
            self._wires = [each for each in self._wires if each.connected or each.open]
        self._wires.append(wire)
        return wire

    def disturbed(self, kind: str, wire: Wire) -> None:
        """A disturbance took place on a live connection."""
        self.outcome.faults[kind] += 1
        if self._trace is not None:
            self.note("    %s: %s", wire.name, kind)

    def tell(self, wire: Wire, what: str, data: bytes = b"") -> None:
        """Something for the trace."""
        if self._trace is not None:
            body = data.partition(b"\r\n\r\n")
            shown = data if len(data) < 180 else data[:90] + b" ... " + (body[2] or data)[-80:]
            self.note("    %s %s %s", wire.name, what, repr(shown)[2:-1])

    def note(self, text: str, *arguments: Any) -> None:
        """Something for the trace."""
        if self._trace is not None:
            self._trace(f"{self.now - 1_000_000:9.4f} {text % arguments}")

    def _run(self, until: float, done: Callable[[], bool] | None = None) -> None:
        heap, clock, pop, problems = self._heap, self.clock, heapq.heappop, self._problems
        while done is None or not done():
            self._turns += 1
            if self._turns > _TURNS:
                raise Violation("it never comes to rest")
            calls = clock.calls
            if calls:
                clock._sortCalls()
                time = calls[0].getTime()
                if not heap or time <= heap[0][0]:
                    if time > until:
                        break
                    if time > self.now:
                        self.now = clock.rightNow = time
                    clock.advance(0)
                    if problems:
                        raise Violation(problems[0])
                    continue
            elif not heap:
                return
            if heap[0][0] > until:
                break
            time, _, call, arguments = pop(heap)
            if time > self.now:
                self.now = clock.rightNow = time
            call(*arguments)
            if problems:
                raise Violation(problems[0])
        if done is None:
            self.now = clock.rightNow = until

    # The application.

    def _connected(self, connection: Connection) -> None:
        key = int(connection.handshake.query["key"].partition("-")[2])
        model = self.models[key]
        serial = self.oracle.connected(connection.session.id, model, connection.id, connection.recovered)
        self.note("server: connection %s is session %s of %s", serial, connection.session.id, model)
        connection.join("even" if serial % 2 else "odd")

    def _disconnected(self, connection: Connection, reason: Any) -> None:
        self.note("server: session %s ended: %s", connection.session.id, reason)
        self.oracle.closed(connection.session.id)

    def _heard(self, connection: Connection, text: Any) -> None:
        self.note("server: heard %s", text)
        self.oracle.hear(connection.session.id, text, self.now)

    def _asked(self, connection: Connection, text: Any) -> str:
        self._heard(connection, text)
        answer = self._text(0)
        self.oracle.accept(connection.session.id, self._number, certain=False)
        return answer

    def _accepted(self, connection: Connection, event: str, *arguments: Any) -> None:
        number = int(arguments[0].partition("|")[0])
        self.note("server: sends %s to %s", number, connection.session.id)
        self._refused -= self._volatile
        self.oracle.accept(connection.session.id, number, self._volatile)

    def _undelivered(self, connection: Connection, entries: Any, reason: Any) -> None:
        self.note("server: %s undelivered: %s %s", connection.session.id, reason, [(e[0][:20], e[1]) for e in entries])
        self.oracle.report(connection.session.id, [(entry.data, entry.sent) for entry in entries])

    def _text(self, bits: int) -> str:
        self._number += 1
        choice, size = bits % 100, bits // 100 % 1_000_003
        size = (
            size % 60
            if choice < 85
            else size % 4000
            if choice < 96
            else size % 60_000
            if choice < 99
            else size % 250_000
        )
        return self.oracle.text(self._number, f"{self._number}|{_PADS[bits >> 59 & 1][:size]}")

    def _step(self, bits: int) -> None:
        """The application, or a client, does something."""
        choice, bits = bits % 100, bits // 100
        if choice < 35:
            self._say(bits)
            return
        connections = list(self.sio.connections.values())
        if not connections:
            return
        connection = connections[bits % len(connections)]
        bits //= 7
        try:
            self._do(choice, connection, bits)
        except (QueueFull, SessionClosed, UnsupportedByClient, EncodeError) as error:
            self.note("server: refused %s: %s", self._number, type(error).__name__)
        self.check()

    def _do(self, choice: int, connection: Connection, bits: int) -> None:
        sio, events = self.sio, connection.generation != "Socket.IO 0.6"
        if choice < 50:
            connection.send(self._text(bits))
        elif choice < 60 and events:
            connection.emit("news", self._text(bits))
        elif choice < 65:
            for _ in range(bits % 30):
                connection.send(self._text(bits % 59))
        elif choice < 70:
            self._volatile, self._refused = True, self._refused + 1  # unless it is accepted
            sio.volatile().to(connection.id).send(self._text(bits))
            self._volatile = False
        elif choice < 80:
            text = self._text(bits)
            self._keep("")
            sio.send(text)
        elif choice < 84:
            text = self._text(bits)
            self._keep("even")
            sio.to("even").send(text)
        elif choice < 92:
            text = self._text(bits)
            deliver = connection.deliverEvent("news", text) if events and bits % 2 else connection.deliver(text)
            self._watch(connection, self._number, deliver)
        elif choice < 99 and events:
            text = self._text(bits % 997)
            asked = connection.call("ask", text, timeout=5.0 if bits % 2 else None)
            self._waiting += 1
            asked.addBoth(self._ended)
            asked.addCallbacks(self._answered, lambda _: None, (connection.session.id, self._number, text))
            asked.addErrback(self._failed)
        elif choice == 99 and bits % 4 == 0:
            self._dismissed.add(connection.session.id)
            connection.close()

    def _keep(self, room: str) -> None:
        """What is sent to many is accepted for those too who are away and may ask for it."""
        for absence in list(self.sio._core.away.members.values()):
            if not room or room in absence.rooms:
                self.note("server: keeps %s for %s", self._number, absence.connection.session.id)
                self.oracle.accept(absence.connection.session.id, self._number)

    def _stop(self, drainTimeout: float) -> None:
        self.note("server: stops, with %s seconds to drain", drainTimeout)
        self._stopping = True
        self.sio.stop(drainTimeout=drainTimeout).addCallback(self._hasStopped).addErrback(self._failed)

    def _hasStopped(self, _: object) -> None:
        self.note("server: has stopped")
        self._stopped = True
        if not self._quiet():
            raise Violation(f"the server has stopped, and there is still something pending: {self.sio.statistics()}")

    def _watch(self, connection: Connection, number: int, deliver: Any) -> None:
        sid = connection.session.id
        self._waiting += 1
        deliver.addBoth(self._ended)
        deliver.addCallbacks(
            lambda _: self.oracle.confirm(sid, number), lambda why: self.oracle.refute(sid, number, why.value.sent)
        )
        deliver.addErrback(self._failed)

    def _ended(self, outcome: Any) -> Any:
        self._waiting -= 1
        return outcome

    def _answered(self, answer: Any, sid: str, number: int, text: str) -> None:
        if answer != text:
            raise Violation(f"the answer to {number} is not the one to it: {answer!r}")
        self.oracle.confirm(sid, number)

    def _failed(self, failure: Failure) -> None:
        self._problems.append(failure.getErrorMessage())

    def _say(self, bits: int) -> None:
        model = self.models[bits % len(self.models)]
        for _ in range(1 if bits // 8 % 4 else bits // 32 % 8):
            if model.up:
                self._number += 1
                number = self._number
                self.oracle.say(model, number)
                model.say(number, model.asks and bits // 256 % 5 == 0)

    # What clients tell.

    def received(self, model: Model, text: Any) -> None:
        """A client got a message, an event or an answer."""
        if self._trace is not None:
            self.note("  %s got %s", model, text[:12].partition("|")[0])
        self.oracle.receive(model, text)

    def dismissed(self, model: Model) -> None:
        """A client was told never to come back."""
        if self._stopping and model.sid not in self._dismissed:
            raise Violation(f"{model} was told never to come back by a server that stops")

    def posted(self, model: Model, numbers: list[int], ok: bool) -> None:
        """A client was told what became of its POST."""
        self.oracle.posted(model, numbers, ok)

    # Faults.

    def _fault(self, index: int, bits: int) -> None:
        random = Random(bits)
        kind = random.choices(tuple(FAULTS), tuple(FAULTS.values()))[0]
        if kind.startswith("client"):
            model = random.choice(self.models)
            live = [wire for wire in self._wires if wire.owner == model.index and wire.open]
            if live and model.alive:
                self.note("fault %s: %s, %s", index, kind, model)
                self.disturbed(kind, live[0])
                if kind == "client drops":
                    model.fail("drops")
                else:
                    model.die(random.random() * 3 if kind == "client reborn" else None)
            return
        live = [wire for wire in self._wires if (wire.connected or wire.open) and not wire.severed]
        if not live:
            return
        wire = random.choice(live)
        self.note("fault %s: %s, %s", index, kind, wire.name)
        lane = wire.up if random.random() < 0.4 else wire.down
        if kind.endswith("at a byte"):
            lane.doom = int(random.choice((40, 400, 4000, 100_000)) * random.random()), kind
            return
        if kind in ("FIN", "RST"):
            self.disturbed(kind, wire)
            wire.cut(kind == "FIN")
            return
        lanes = [wire.up] if kind.endswith(("up", "race")) else [wire.down] if kind.endswith("down") else wire.lanes
        length = random.random() if kind == "race" else random.choice((0.3, 3, 12)) * random.random()
        kinds = [kind]
        for each in lanes:
            each.kinds = kinds
            if kind.startswith("half-open"):
                each.silent = True
            else:
                each.stalled = self.now + length

    # Checks.

    def check(self) -> None:
        """The counters balance, and nothing has gone wrong that nobody saw."""
        if self._problems:
            raise Violation(self._problems[0])
        count = self.sio.statistics()
        if count.accepted != count.confirmed + count.pending + count.undelivered + count.moved:
            raise Violation(f"the counters don't balance: {count}")

    def observe(self, event: LogEvent) -> None:
        """The log: no traceback, no error."""
        if self._trace is not None and event["log_namespace"].startswith(("siotwisted", "autobahn")):
            self.note("log: %s", formatEvent(event))
        if "log_failure" in event or event["log_level"] in (LogLevel.error, LogLevel.critical):
            failure = event.get("log_failure")
            text = failure.getTraceback() if failure is not None else ""
            self._problems.append(f"log: {formatEvent(event)}\n{text}")

    def _quiet(self) -> bool:
        return not self.sio.statistics().pending

    def _settled(self) -> bool:
        return self._stopped == self._stopping and self._quiet()

    def run(self) -> Outcome:
        """The whole of it."""
        begun = self.now
        self._run(begun + _LENGTH)
        self.check()
        self._heal()
        self._run(self.now + 60, self._settled)
        self.check()
        if not self._quiet():
            raise Violation(f"all has healed, and there is still something pending: {self.sio.statistics()}")
        for model in self.models:
            model.quit()
        self._run(self.now + 2 * TCP_TIMEOUT)
        self.check()
        self._finish()
        return self.outcome

    def _heal(self) -> None:
        self.note("all heals")
        self.rough = 0.0
        for wire in self._wires:
            wire.heal()

    def _finish(self) -> None:
        count = self.sio.statistics()
        self.oracle.finish(count.accepted - count.moved + count.dropped - self._refused)
        if self._waiting:
            raise Violation(f"{self._waiting} deliveries or calls have not come to an end")
        if self._stopping and not self._stopped:
            raise Violation("the server does not stop")
        left = [str(call) for call in self.clock.getDelayedCalls()]
        registry = self.sio.registry
        if left or len(registry) or registry.transports or registry.late:
            raise Violation(f"left behind: {left} {list(registry)} {registry.transports} {registry.late}")
        for wire in self._wires:
            if wire.connected:
                raise Violation(f"a connection was left behind: {wire.name}")
        if self.sio.statistics().pending:
            raise Violation(f"still pending: {self.sio.statistics()}")
        outcome, oracle = self.outcome, self.oracle
        for name in ("accepted", "received", "repeated", "reported", "delivered", "heard", "rerun", "sessions"):
            setattr(outcome, name, getattr(oracle, name))


def _identify(handshake: Handshake) -> str | None:
    key = handshake.query["key"]
    return key if key.startswith("k") else None


def simulate(seed: int, **options: Any) -> Outcome:
    """
    Run one seed.

    :param options: those of :class:`World`.
    :raises Violation: if a promise was broken.
    """
    loop = autobahnConfig.loop
    with (
        patch("siotwisted.ids.urandom", Random(seed).randbytes),
        patch("siotwisted.ids._left", ""),
        patch("twisted.web.server.datetimeToString", lambda: b"Sat, 01 Jan 2011 00:00:00 GMT"),
    ):
        world = World(seed, **options)
        observer = cast(ILogObserver, world.observe)
        globalLogPublisher.addObserver(observer)
        setattr(autobahnConfig, "loop", world.clock)  # noqa: B010  # which is said to be None
        try:
            return world.run()
        except (AssertionError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            if not isinstance(error, AssertionError):
                traceback.print_exc()
            raise Violation(f"seed {seed}, at {world.now - 1_000_000:.4f}: {error}") from error
        finally:
            autobahnConfig.loop = loop
            globalLogPublisher.removeObserver(observer)
