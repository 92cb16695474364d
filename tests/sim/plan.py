"""What may be in a run, and what comes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from tests.sim.clients import Model
from tests.sim.engineclients import EngineClient
from tests.sim.oldclients import Client06, Client09

__all__ = ["FAULTS", "MODELS", "Outcome"]

#: The clients.
MODELS: tuple[Callable[..., Model], ...] = (
    *(
        partial(Client06, mode=mode)
        for mode in ("xhr-polling", "jsonp-polling", "websocket", "htmlfile", "xhr-multipart")
    ),
    *(partial(Client06, mode=mode, resume="got") for mode in ("xhr-polling", "websocket", "htmlfile")),
    *(partial(Client06, mode=mode, resume="sid") for mode in ("websocket", "htmlfile", "xhr-multipart")),
    *(partial(Client09, mode=mode) for mode in ("xhr-polling", "jsonp-polling", "websocket", "htmlfile")),
    *(
        partial(EngineClient, mode=mode, revision=revision, recovers=recovers)
        for mode in ("polling", "websocket", "upgrade")
        for revision, recovers in ((3, False), (4, False), (4, True))
    ),
)
#: What the plan's faults are, and how often each.
FAULTS = {
    "FIN": 4, "RST": 6, "FIN at a byte": 4, "RST at a byte": 10, "half-open up": 1, "half-open down": 1, "half-open": 1,
    "stalled up": 6, "stalled down": 10, "stalled": 4, "race": 12, "client drops": 2, "client killed": 1,
    "client reborn": 1,
}  # fmt: skip


@dataclass
class Outcome:
    """
    What a run came to.

    :ivar faults: how many disturbances took place on live connections, by kind.
    :ivar rerun: how many POSTs were run twice, and the rest likewise as in :class:`~tests.sim.oracle.Oracle`.
    :ivar units: how many faults and steps the plan had: they can be masked, by their index.
    """

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    received: int = 0
    repeated: int = 0
    reported: int = 0
    delivered: int = 0
    heard: int = 0
    rerun: int = 0
    sessions: int = 0
    units: int = 0
