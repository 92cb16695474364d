"""
One process of ours, and several on one port, on the same cores, which the generator has, too:
``python -m benchmarks.workers``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from statistics import median

from .loads import LOADS, Load
from .peers import generator, workers

__all__ = ["rate"]


def rate(load: Load, count: int, seconds: float) -> float:
    """How much so many processes do a second."""
    with workers(count) as port:
        command = [generator(), "--target", f"127.0.0.1:{port}", "-d", str(seconds), *load.options.split()]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return float(json.loads(done.stdout.splitlines()[-1])["per_s"])


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--loads", default="echo1,echo16,bcast1,bcast4,poll,pollbcast")
    options = parser.parse_args()
    for load in (load for load in LOADS if load.name in options.loads.split(",")):
        one, many = (
            median(rate(load, count, options.seconds) for _ in range(options.rounds)) for count in (1, options.workers)
        )
        print(
            f"{load.title}: {one:,.0f}, with {options.workers} workers {many:,.0f}: {many / one:.2f} times", flush=True
        )


if __name__ == "__main__":
    main()
