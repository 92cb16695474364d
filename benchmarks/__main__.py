"""
Our server, Node's and python-socketio's on its best servers, under the same loads in turns: ``python -m benchmarks``.

Server and generator have a core each. Every figure is the median of the rounds, with the smallest and the largest
behind it; only ratios of one run mean anything.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from statistics import median
from typing import Any

from .loads import GROWTH, LOADS, Load
from .peers import PEERS, generator, started

#: Of these, the best counts.
_PYTHON = ("uvicorn", "aiohttp", "granian")


def _measure(load: Load, peer: str, seconds: float) -> dict[str, Any]:
    """Let one server stand one load."""
    with started(peer, 0) as (port, process):
        command = [
            generator(),
            "--target",
            f"127.0.0.1:{port}",
            "--pid",
            str(process.pid),
            "-d",
            str(seconds),
            "--spin",
        ]
        done = subprocess.run(
            [*command, *load.options.split()],
            capture_output=True,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {1}),
        )
        try:
            figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        except (IndexError, ValueError):
            figures = {}
        figures["failed"] = "" if done.returncode == 0 else (done.stderr.strip() or "failed").splitlines()[0]
        return figures


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in reStructuredText."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in (head, *rows)]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _told(figures: Sequence[float]) -> str:
    if not figures:
        return "-"
    spread = "" if len(figures) == 1 else f" ({_number(min(figures))}-{_number(max(figures))})"
    return _number(median(figures)) + spread


def _ratio(load: Load, ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many times better ours is."""
    if not ours or not theirs:
        return 0.0
    ratio = median(ours) / median(theirs)
    return 1 / ratio if load.lessIsBetter else ratio


def _row(load: Load, found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """One line of the table."""
    values = {
        peer: [run[load.figure] for run in runs if not run["failed"] and load.figure in run]
        for peer, runs in found.items()
    }
    pythons = [values[peer] for peer in _PYTHON if values.get(peer)]
    best = max(pythons, key=median, default=[]) if not load.lessIsBetter else min(pythons, key=median, default=[])
    ours = values.get("siotwisted", [])
    costs = [run["srv_us_each"] for run in found.get("siotwisted", []) if "srv_us_each" in run]
    ratio, python = _ratio(load, ours, values.get("node", [])), _ratio(load, ours, best)
    return [
        f"{load.title}, {load.unit}",
        _told(ours),
        _told(values.get("node", [])),
        _told(best),
        _told(values.get("C", [])),
        f"{ratio:.2f}" if ratio else "-",
        f"{load.least:g} / {load.aim:g}",
        f"{python:.1f}" if python else "-",
        f"{median(costs):.1f}" if costs and load.figure != "srv_us_each" else "",
    ]


def _growth(runs: dict[str, dict[str, list[dict[str, Any]]]]) -> str:
    """What a delivery costs each server with ever more clients."""
    rows = []
    for peer in runs[GROWTH[0]]:
        costs = [[run["srv_us_each"] for run in runs[load][peer] if not run["failed"]] for load in GROWTH]
        growth = f"{median(costs[-1]) / median(costs[0]) - 1:+.0%}" if all(costs) else "-"
        rows.append([peer, *map(_told, costs), growth])
    return _table(("CPU of a delivery, us, with", "100 clients", "1,000", "5,000", "more"), rows)


def main() -> None:
    """Read the command line, measure, print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="how long one measurement lasts")
    parser.add_argument("--loads", default=",".join(load.name for load in LOADS))
    parser.add_argument("--peers", default=",".join(PEERS))
    options = parser.parse_args()
    peers = options.peers.split(",")
    rows = []
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for load in (load for load in LOADS if load.name in options.loads.split(",")):
        found = runs[load.name] = {peer: [] for peer in peers}
        for _ in range(options.rounds):
            for peer in peers:
                if peer == "C" and "polling" in load.options:
                    continue  # it knows WebSockets alone
                if found[peer] and found[peer][-1]["failed"]:
                    continue  # it can't stand this load
                figures = _measure(load, peer, options.seconds)
                found[peer].append(figures)
                told = figures["failed"] or _number(figures[load.figure])
                print(f"{load.name} {peer}: {told}", file=sys.stderr, flush=True)
        rows.append(_row(load, found))
    head = ("load", "siotwisted", "Node", "python-socketio", "C", "to Node", "must / aim", "to Python", "CPU, us each")
    print(f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores, {options.rounds} rounds\n")
    print(_table(head, rows))
    if all(load in runs for load in GROWTH):
        print(f"\n{_growth(runs)}")


if __name__ == "__main__":
    main()
