"""Makes a failing run small: fewer faults, fewer steps of the application, no weather, as long as it still fails."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from tests.sim.oracle import Violation
from tests.sim.world import World, simulate

__all__ = ["shrink"]


def _complaint(seed: int, options: dict[str, Any]) -> str | None:
    try:
        simulate(seed, **options)
    except Violation as error:
        return str(error)
    return None


def shrink(
    seed: int, tell: Callable[[str], object] = print, budget: int = 600, like: str = "", **options: Any
) -> tuple[list[int], str]:
    """
    Find out what of a failing run is needed for it to fail, and print the trace of what is left.

    :param tell: gets the lines of the trace.
    :param budget: how many runs that may cost.
    :param like: words that the complaint must still have.
    :return: the indices of the faults and steps that are left, and the complaint.
    :raises ValueError: if the run does not fail.
    """
    complaint = _complaint(seed, options)
    if complaint is None:
        raise ValueError(f"seed {seed} does not fail")
    runs = 0

    def fails(masked: Collection[int], **more: Any) -> bool:
        nonlocal runs
        runs += 1
        found = _complaint(seed, {**options, **more, "masked": masked})
        return found is not None and like in found

    if fails((), rough=False):
        options["rough"] = False
    left = list(range(World(seed).units))
    everything = set(left)
    size = len(left) // 2
    while size and runs < budget:
        at = 0
        while at < len(left) and runs < budget:
            fewer = left[:at] + left[at + size :]
            if fails(everything.difference(fewer)):
                left = fewer
            else:
                at += size
        size = size // 2 if size > 1 or at >= len(left) else 1
        if size == 0:
            break
    masked = everything.difference(left)
    lines: list[str] = []
    complaint = _complaint(seed, {**options, "masked": masked, "trace": lines.append}) or complaint
    for line in lines:
        tell(line)
    tell(complaint)
    tell(f"left of seed {seed}, weather {options.get('rough', True)}, after {runs} runs: {left}")
    return left, complaint
