"""
What there is to know of a client between its wish to join a namespace and the decision.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from siotwisted.absences import Absence
from siotwisted.backlog import Backlog
from siotwisted.connections import Connection
from siotwisted.handlers import waitable

__all__ = ["Joining"]


class Joining:
    """
    A client on its way into a namespace.

    :ivar connection: its connection, as soon as there is one.
    :ivar held: the packets that came for the namespace meanwhile, if any did.
    :ivar thinking: what is being waited for.
    :ivar over: whether it is not on its way any more.
    :ivar absence: how it was away, if it says where it was and what it has.
    :ivar has: the stamp of the last message that it says it has, if it can be believed; at most 0 otherwise.
    """

    __slots__ = ("absence", "connection", "has", "held", "over", "thinking")

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.held: Backlog | None = None
        self.thinking: Deferred[Any] | None = None
        self.over = False
        self.absence: Absence[Connection] | None = None
        self.has = 0

    async def wait(self, result: object) -> Any:
        """What a result comes to."""
        later = waitable(result)
        if later is None:
            return result
        self.thinking = later
        if self.over:
            later.cancel()  # the client was thrown out by who thinks now
        try:
            return await later
        finally:
            self.thinking = None
