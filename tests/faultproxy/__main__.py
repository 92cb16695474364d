"""
Storms of faults with real servers and real clients: ``python -m tests.faultproxy --faults 100000 --seed 1``.

It prints what became of the messages, for each release of the clients, and ends with 1 if our server has broken its
word. ``--compare`` does the same with all servers, one after the other, and prints the table of them.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from .errors import logErrors
from .run import SERVERS, Outcome, Settings, run

_HEAD = ("server", "client", "accepted", "lost unreported", "reported", "doubled", "repeated later", "reordered")
_COLUMNS = ("accepted", "lost", "reported", "doubled", "repeated", "reordered")


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in reStructuredText."""
    texts = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in texts]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def _report(server: str, storms: int, seed: int, outcome: Outcome) -> list[list[object]]:
    """Print all about one server, and return its rows of the table."""
    rows: list[list[object]] = []
    seeds = f"seed {seed}" if storms == 1 else f"{storms} storms, seeds {seed} to {seed + storms - 1}"
    print(f"\n{server}: {outcome.faults.total()} faults in {outcome.seconds:.0f} s, {seeds}")
    print("faults: " + ", ".join(f"{kind} {count}" for kind, count in sorted(outcome.faults.items())))
    for group, verdict in sorted(outcome.verdicts.items()):
        print(f"{group}: " + ", ".join(f"{what} {count}" for what, count in verdict.counts.items() if count))
        if server.startswith("siotwisted"):
            print("".join(f"    {example}\n" for example in verdict.examples), end="")
    if outcome.statistics:
        print(f"the server's own count: {outcome.statistics}")
    for error in outcome.errors:
        print(f"error: {error[-4000:]}")
    for error in sorted(set(outcome.thrown)):
        print(f"thrown by a client {outcome.thrown.count(error)} times: {error.splitlines()[0]}")
    for client in SERVERS[server]:
        verdict = outcome.release(client)
        if verdict.counts["accepted"]:
            rows.append([server, client, *(verdict.counts[column] for column in _COLUMNS)])
    return rows


async def _main(reactor: Any, options: argparse.Namespace) -> None:
    node, chromium = (shutil.which(name) or sys.exit(f"{name} is needed") for name in ("node", "chromium"))
    servers = [*SERVERS] if options.compare else [options.server]
    rows: list[list[object]] = []
    clean = True

    def progress(seconds: float, faults: Counter[str]) -> None:
        if int(seconds) % 20 == 0:
            print(f"{seconds:.0f} s: {faults.total()} faults", file=sys.stderr, flush=True)

    for server in servers:
        outcome = Outcome(Counter(), 0.0, {})
        storms = 0
        while outcome.faults.total() < options.faults:
            with tempfile.TemporaryDirectory(prefix="faultproxy-") as folder:
                settings = Settings(
                    server,
                    min(options.storm, options.faults - outcome.faults.total()),
                    options.seed + storms,
                    options.clients,
                    options.pause,
                    options.seconds,
                    tuple(options.releases.split(",")),
                    Path(options.logs or folder),
                    options.transport,
                )
                before = outcome.faults.total()
                outcome.add(await run(reactor, settings, node, chromium, progress))
            storms += 1
            if outcome.faults.total() == before:
                break
        rows += _report(server, storms, options.seed, outcome)
        if server.startswith("siotwisted"):
            clean = clean and not outcome.errors and all(each.isClean for each in outcome.verdicts.values())
    print(f"\nseed {options.seed}, {options.clients} clients of each release and transport, a fault each", end=" ")
    print(f"{options.pause:g} s for each client; Python {platform.python_version()}, {platform.system()}\n")
    print(_table(_HEAD, rows))
    sys.stdout.flush()
    if not clean:
        raise SystemExit(1)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.faultproxy", description=__doc__)
    parser.add_argument("--faults", type=int, default=2_000)
    parser.add_argument("--storm", type=int, default=4_000, help="after so many, all processes are begun anew")
    parser.add_argument("--seed", type=int, default=1, help="of the first storm; each further one has the next")
    parser.add_argument("--server", choices=SERVERS, default="siotwisted")
    parser.add_argument("--compare", action="store_true", help="run all servers")
    parser.add_argument("--clients", type=int, default=3, help="how many of each release and transport")
    parser.add_argument("--pause", type=float, default=0.6, help="between two faults of a client, in seconds")
    parser.add_argument("--seconds", type=float, default=2_700.0, help="how long a storm lasts at most")
    parser.add_argument("--releases", default="0.6.3,0.9.17,2.5.0,4.8.4", help="of the clients")
    parser.add_argument("--transport", default="", help="the only one of the clients")
    parser.add_argument("--logs", help="the folder for the logs")
    options = parser.parse_args()
    # Whatever fails in the proxy is to be seen.
    logErrors()
    react(lambda reactor: Deferred.fromCoroutine(_main(reactor, options)))


if __name__ == "__main__":
    main()
