"""
The matrix: every published client, on every transport it has, does the same things with one server.

``python -m tests.interop.matrix --all --write docs/compatibility.rst`` runs all of it, and writes the table;
``python -m tests.interop.matrix --release 4.8.4 --transport polling`` runs what is named, and prints it.

The server (``matrixserver.py``) is a process of its own. Each client is the script that its release was published
with, in a page with cookies of its own (``drivers.js``, ``scenario.js``), or what Node.js makes of the package, and
reaches the server over a line of its own that can be cut. Beside it, one resident client of each generation stays
connected all the time.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, TimeoutError, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import react

from .browser import Browser, Page
from .compatibility import table
from .line import Line
from .nodeclient import NodeClient
from .npm import CENSUS, MESSAGE_PACK, Release, fetchBundles, installClient, installDriver
from .siochat import MatrixServer

if TYPE_CHECKING:
    from typing import Any

__all__ = ["CASES", "NODE_CASES", "Case", "Matrix", "Outcome", "fetch"]

#: What a page loads beside the bundle.
SCRIPTS = ("drivers.js", "scenario.js")

#: The steps of the scenario in their order. The upgrade goes on under those before it.
STEPS = (
    "connect",
    "order",
    "text",
    "json",
    "events",
    "acks",
    "rooms",
    "namespaces",
    "binary",
    "upgrade",
    "mixed",
    "reconnect",
    "disconnect",
)

#: What the clients of a generation can't do.
NOT_APPLICABLE = {
    "0.5": {"acks", "namespaces", "binary"},
    "0.6": {"acks", "namespaces", "binary"},
    "0.7-0.9": {"binary"},
    "1-2": set[str](),
    "3-4": set[str](),
}

#: Pages that use these are on another origin than the server, for that is what they are for, or there is more to it.
CROSS_ORIGIN = {"jsonp-polling", "polling", "polling-jsonp"}

#: The latest client of each generation, which hears all others and is heard by them: the version, and its transport.
RESIDENTS = {"0.6.18": "websocket", "0.9.17": "xhr-polling", "2.5.0": "polling", "4.8.4": "upgrade"}


@dataclass(frozen=True)
class Case:
    """
    A release on one of its transports.

    :param inNode: in Node.js, rather than in a page
    """

    release: Release
    transport: str
    inNode: bool = False

    def __str__(self) -> str:
        words = [self.release.version, self.release.variant, self.transport, "in Node.js" if self.inNode else ""]
        return " ".join(filter(None, words))

    @property
    def lacks(self) -> list[str]:
        """What the release can't do by this transport, though others of its generation can."""
        parts = [lack.partition(" by ") for lack in self.release.lacks]
        return [ability for ability, _, transport in parts if transport in ("", self.transport)]

    @property
    def steps(self) -> list[str]:
        """The steps that apply."""
        no = {*NOT_APPLICABLE[self.release.generation], *self.lacks}
        if self.transport != "upgrade":
            no.add("upgrade")
        return [step for step in STEPS if step not in no]


CASES = tuple(Case(release, transport) for release in (*CENSUS, MESSAGE_PACK) for transport in release.transports)

#: Releases that Node.js of today can load, one of each line.
IN_NODE = ("0.9.17", "1.4.8", "1.7.4", "2.0.4", "2.5.0", "3.1.3", "4.0.0", "4.8.4")
NODE_TRANSPORTS = {"websocket", "xhr-polling", "polling", "upgrade"}
NODE_CASES = tuple(
    Case(case.release, case.transport, inNode=True)
    for case in CASES
    if case.release.version in IN_NODE and not case.release.variant and case.transport in NODE_TRANSPORTS
)


@dataclass
class Outcome:
    """
    What came of a case.

    :ivar failures: what is wrong by the step
    :ivar errors: what was thrown in the page
    :ivar passed: what passed on the line, if there is a failure
    """

    case: Case
    failures: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    passed: list[bytes] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every step that applies went well."""
        return not self.failures and not self.errors

    @property
    def summary(self) -> str:
        """One cell of the table."""
        return "ok" if self.ok else ", ".join([*self.failures, *(["errors"] if self.errors else [])]) + " failed"

    def __str__(self) -> str:
        wrong = [f"{step}: {message}" for step, message in self.failures.items()]
        wrong += [f"thrown in the page: {error}" for error in self.errors]
        return f"{self.case}: " + ("ok" if self.ok else "\n    ".join(["FAILED", *wrong]))


class Matrix:
    """
    The residents, and a place to run cases in.

    :param reactor: a reactor that connects, listens and keeps time
    :param browser: the browser for the pages
    :param node: the Node.js program
    :param port: where on this machine the server is
    """

    def __init__(self, reactor: Any, browser: Browser, node: str, port: int) -> None:
        self._reactor = reactor
        self._node = node
        self._browser = browser
        self._server = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        self._residents: list[_Tenant] = []
        self._words = 0

    async def start(self) -> None:
        """Let the residents connect."""
        for case in CASES:
            if RESIDENTS.get(case.release.version) == case.transport and not case.release.variant:
                tenant = await self._enter(case)
                self._residents.append(tenant)
                await tenant.page.call("connect")

    async def stop(self) -> list[str]:
        """Close the residents' pages, and return what was thrown in them."""
        return [error for resident in self._residents for error in await resident.leave()]

    async def _enter(self, case: Case) -> _Tenant:
        line = Line(self._reactor, self._server)
        await line.start()
        page: Page | NodeClient
        if case.inNode:
            page = NodeClient(self._reactor, self._node, installClient(case.release))
        else:
            host = "localhost" if case.transport in CROSS_ORIGIN else "127.0.0.1"
            origin = f"http://{host}:{line.port}/"
            page = await self._browser.open(origin, case.release, case.transport, "/clients/", SCRIPTS)
        options = {
            "generation": case.release.generation,
            "transport": case.transport,
            "address": f"http://127.0.0.1:{line.port}",
            "lacks": case.lacks,
            "inNode": case.inNode,
        }
        await page.call("open", options)
        return _Tenant(page, line)

    async def run(self, case: Case) -> Outcome:
        """Run the scenario; a step that fails does not end it, but the first one."""
        outcome = Outcome(case)
        try:
            tenant = await self._enter(case)
        except Exception as error:
            outcome.failures["connect"] = _told(error)
            return outcome
        for step in case.steps:
            try:
                await getattr(self, f"_{step}", tenant.step)(step, tenant)
            except Exception as error:
                outcome.failures[step] = _told(error)
                # After the last two, the page is lost, or nobody waits for it any more.
                if step == "connect" or isinstance(error, (TimeoutError, CancelledError)):
                    break
        if outcome.failures:
            outcome.passed = [*tenant.line.passed]
        outcome.errors = await tenant.leave()
        return outcome

    async def _mixed(self, step: str, tenant: _Tenant) -> None:
        words = [self._word() for _ in self._residents]
        word = self._word()
        await tenant.page.call("tell", word)
        for resident, its in zip(self._residents, words, strict=True):
            await resident.page.call("heard", [word])
            await resident.page.call("tell", its)
        await tenant.page.call("heard", [word, *words])

    async def _reconnect(self, step: str, tenant: _Tenant) -> None:
        tenant.line.cut()
        await tenant.page.call("lost")
        tenant.line.mend()
        await tenant.page.call("reconnect")

    def _word(self) -> str:
        self._words += 1
        return f"word {self._words}"


def _told(error: Exception) -> str:
    """What is wrong, without where in the script that was noticed."""
    lines = [line for line in str(error).splitlines() if not line.startswith("    at ")]
    return "\n".join(lines).removeprefix("page.evaluate: ").removeprefix("Error: ")


@dataclass
class _Tenant:
    """A page, and its line to the server."""

    page: Page | NodeClient
    line: Line

    async def step(self, step: str, _: _Tenant) -> None:
        await self.page.call(step)

    async def leave(self) -> list[str]:
        errors = await self.page.close()
        await self.line.stop()
        return errors


def fetch(cases: Iterable[Case]) -> Path:
    """Return the folder of the bundles that these cases and the residents need; fetch and install what is missing."""
    for release in {case.release for case in cases if case.inNode}:
        installClient(release)
    residents = (release for release in CENSUS if release.version in RESIDENTS)
    return fetchBundles({*(case.release for case in cases), *residents})


async def _run(reactor: Any, options: argparse.Namespace) -> None:
    cases = [case for case in (*CASES, *NODE_CASES) if _chosen(case, options)]
    print(f"{len(cases)} cases; fetching what is not there yet", flush=True)
    folder = fetch(cases)
    node, chromium = _program("node", "nodejs"), _program(os.environ.get("CHROMIUM") or "chromium", "google-chrome")
    browser = Browser(reactor, node, installDriver(), chromium)
    await browser.started()
    server = MatrixServer(reactor, folder)
    await server.start()
    matrix = Matrix(reactor, browser, node, server.port)
    await matrix.start()

    async def run(case: Case) -> Outcome:
        outcome = await matrix.run(case)
        print(outcome, flush=True)
        if options.report and outcome.passed:
            name = str(case).replace(" ", "-") + ".txt"
            Path(options.report, name).write_bytes(b"\n".join([str(outcome).encode(), *outcome.passed]))
        return outcome

    gate = DeferredSemaphore(options.jobs)
    outcomes = await gatherResults([gate.run(lambda each: Deferred.fromCoroutine(run(each)), case) for case in cases])
    faults = await matrix.stop()
    await browser.stop()
    await server.stop()
    failed = [outcome for outcome in outcomes if not outcome.ok]
    print(
        "\n".join(["", *map(str, failed), *faults, f"{len(outcomes) - len(failed)} of {len(outcomes)} cases went well"])
    )
    if options.write:
        results = {
            (outcome.case.release, outcome.case.transport, outcome.case.inNode): outcome.summary for outcome in outcomes
        }
        options.write.write_text(table(results, browser.version))
    if failed or faults:
        raise SystemExit(1)


def _chosen(case: Case, options: argparse.Namespace) -> bool:
    named = options.all or case.release.version in options.release
    return named and (not options.transport or case.transport in options.transport)


def _program(*names: str) -> str:
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise SystemExit(f"the matrix needs {names[0]}: install Node.js with npm, and Chromium")
    return found


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.interop.matrix", description="Run published clients.")
    parser.add_argument("--all", action="store_true", help="every release")
    parser.add_argument("--release", action="append", default=[], metavar="VERSION", help="this one; may be repeated")
    parser.add_argument("--transport", action="append", default=[], help="by this transport alone; may be repeated")
    parser.add_argument("--jobs", type=int, default=4, help="how many at a time")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table there")
    parser.add_argument("--report", type=Path, metavar="FOLDER", help="write there what passed on the wire of failures")
    options = parser.parse_args()
    if options.write and not options.all:
        parser.error("only a run of all can be written down")
    react(lambda reactor: Deferred.fromCoroutine(_run(reactor, options)))


if __name__ == "__main__":
    main()
