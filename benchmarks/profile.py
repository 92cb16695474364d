"""
Where our server's time goes under each load: ``python -m benchmarks.profile --loads echo1,bcast4``.

The profiler makes calls of Python's functions dearer than what they do, so a share is a hint and no measurement.
"""

from __future__ import annotations

import argparse
import os
import pstats
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from .loads import LOADS, Load
from .peers import generator, started

__all__ = ["profiled"]

_PACKAGES = ("siotwisted", "twisted", "autobahn", "msgspec", "json")


def profiled(load: Load, seconds: float) -> pstats.Stats:
    """What our server did under a load."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "profile"
        with started("siotwisted", 0, "--profile", str(found)) as (port, process):
            command = [generator(), "--target", f"127.0.0.1:{port}", "-d", str(seconds), *load.options.split()]
            subprocess.run(
                command, check=True, stdout=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, {1})
            )
            process.send_signal(signal.SIGTERM)
            process.wait()
        return pstats.Stats(str(found))


def _package(file: str) -> str:
    """Which package a function is of."""
    parts = Path(file).parts
    return next(
        (name for name in _PACKAGES if name in parts), "the application" if "benchmarks" in parts else "the rest"
    )


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--loads", default=",".join(load.name for load in LOADS))
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--lines", type=int, default=25, help="of functions")
    options = parser.parse_args()
    for load in (load for load in LOADS if load.name in options.loads.split(",")):
        stats = profiled(load, options.seconds)
        shares: Counter[str] = Counter()
        timings = stats.stats  # type: ignore[attr-defined]  # of each function: calls, own time and so on
        for (file, _, name), (_, _, own, _, _) in timings.items():
            waits = name.startswith("<method 'poll' of 'select.epoll'")
            shares["waiting" if waits else "system calls" if "_socket" in name else _package(file)] += own
        total = shares.total()
        print(f"\n{load.title}\n{'=' * len(load.title)}\n")
        print(", ".join(f"{name} {share / total:.0%}" for name, share in shares.most_common() if share > total / 200))
        stats.stream = sys.stdout  # type: ignore[attr-defined]
        stats.strip_dirs().sort_stats("tottime").print_stats(options.lines)


if __name__ == "__main__":
    main()
