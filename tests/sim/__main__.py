"""
Runs the simulator: ``python -m tests.sim --faults 10000000 --seed 1 --jobs 2``.

Seeds are run one after the other until so many faults have taken place. The table says what came of them; a seed that
fails is named, and ``--only SEED`` runs it alone, with its trace, ``--shrink SEED`` makes it small.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from itertools import count
from typing import cast

from twisted.logger import ILogObserver, LogEvent, globalLogBeginner

from tests.sim.oracle import Violation
from tests.sim.plan import Outcome
from tests.sim.shrinking import shrink
from tests.sim.world import simulate

#: So many runs are one piece of work.
_BATCH = 25
_FIGURES = ("sessions", "accepted", "received", "repeated", "reported", "delivered", "heard", "rerun")


def _ignore(event: LogEvent) -> None:
    """Tell nobody."""


def _begin() -> None:
    """No log: what matters of it the runs see."""
    globalLogBeginner.beginLoggingTo([cast(ILogObserver, _ignore)], redirectStandardIO=False, discardBuffer=True)
    gc.disable()


def _batch(first: int) -> list[Outcome | str]:
    """Run some seeds: what each came to, or what was wrong."""
    found: list[Outcome | str] = []
    for seed in range(first, first + _BATCH):
        try:
            found.append(simulate(seed))
        except Violation as error:
            found.append(str(error))
    gc.collect()
    return found


def _batches(first: int, jobs: int) -> Iterator[list[Outcome | str]]:
    """One piece of work after the other, in the order of their seeds, so that the figures are those of the seed."""
    with ProcessPoolExecutor(jobs, initializer=_begin) as pool:
        starts = count(first, _BATCH)
        waiting = [pool.submit(_batch, next(starts)) for _ in range(2 * jobs)]
        try:
            while True:
                yield waiting.pop(0).result()
                waiting.append(pool.submit(_batch, next(starts)))
        finally:
            for future in waiting:
                future.cancel()


def _campaign(faults: int, first: int, jobs: int) -> int:
    begun, told = time.monotonic(), 0.0
    kinds: Counter[str] = Counter()
    figures: Counter[str] = Counter()
    runs, wrong = 0, list[str]()
    for outcomes in _batches(first, jobs):
        for outcome in outcomes:
            runs += 1
            if isinstance(outcome, str):
                wrong.append(outcome)
                print(f"VIOLATION {outcome}", flush=True)
                continue
            kinds.update(outcome.faults)
            figures.update({name: value for name, value in asdict(outcome).items() if name in _FIGURES})
        elapsed = time.monotonic() - begun
        if kinds.total() >= faults:
            break
        if elapsed - told > 60:
            told = elapsed
            print(f"{elapsed:6.0f} s: {kinds.total()} faults, {len(wrong)} violations", flush=True)
    elapsed = time.monotonic() - begun
    print(f"\nseeds {first} to {first + runs - 1}, {jobs} jobs")
    for name, number in [("runs", runs), *((name, figures[name]) for name in _FIGURES)]:
        print(f"{name:>20} {number:>12,}")
    print(f"{'faults':>20} {kinds.total():>12,}")
    for name, number in kinds.most_common():
        print(f"{name:>20} {number:>12,}")
    print(f"{'seconds':>20} {elapsed:>12,.0f}")
    print(f"{'faults a second':>20} {kinds.total() / elapsed:>12,.0f}")
    print(f"{'violations':>20} {len(wrong):>12,}")
    return 1 if wrong else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Do what the command line says.

    :return: 0 if no promise was broken.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--faults", type=int, default=100_000, help="how many faults are to take place")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--jobs", type=int, default=2, help="how many processes share the work")
    parser.add_argument("--only", type=int, metavar="SEED", help="run this one, with its trace")
    parser.add_argument("--shrink", type=int, metavar="SEED", help="make this one small, which must fail")
    chosen = parser.parse_args(arguments)
    if chosen.only is None and chosen.shrink is None:
        return _campaign(chosen.faults, chosen.seed, chosen.jobs)
    _begin()
    if chosen.shrink is not None:
        shrink(chosen.shrink)
        return 1
    try:
        print(simulate(chosen.only, trace=print))
    except Violation as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
