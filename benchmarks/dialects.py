"""
Our server with clients of other generations, in per cent of what it does with those of Engine.IO 4:
``python -m benchmarks.dialects``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from statistics import median

from .loads import LOADS, Load
from .peers import generator, started

__all__ = ["rate"]

#: What the generator calls them, the first being what the others are compared with.
_PROTOCOLS = ("eio4", "eio3", "v09", "v06")


def rate(load: Load, protocol: str, seconds: float) -> float:
    """How much our server does a second with clients of a generation."""
    with started("siotwisted", 0) as (port, _):
        command = [generator(), "--target", f"127.0.0.1:{port}", "-d", str(seconds), "--spin", "--proto", protocol]
        done = subprocess.run(
            [*command, *load.options.split()],
            check=True,
            capture_output=True,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {1}),
        )
        return float(json.loads(done.stdout.splitlines()[-1])["per_s"])


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dialects", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--loads", default="echo1,echo16,bcast1,bcast4,poll,pollbcast")
    options = parser.parse_args()
    for load in (load for load in LOADS if load.name in options.loads.split(",")):
        found: dict[str, list[float]] = {protocol: [] for protocol in _PROTOCOLS}
        for _ in range(options.rounds):
            for protocol, rates in found.items():
                rates.append(rate(load, protocol, options.seconds))
        best = median(found[_PROTOCOLS[0]])
        told = (f"{protocol} {median(rates):,.0f} ({median(rates) / best:.0%})" for protocol, rates in found.items())
        print(f"{load.title}: {', '.join(told)}", flush=True)


if __name__ == "__main__":
    main()
