"""
Who receives what is sent to many.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from siotwisted.errors import QueueFull, SessionClosed
from siotwisted.interfaces import IFanout
from siotwisted.outgoing import Outgoing
from siotwisted.session import Session

__all__ = ["LocalFanout"]


@implementer(IFanout)
class LocalFanout:
    """
    Sends to the sessions of this process.

    :param sessions: all that may be sent to, by id.
    """

    def __init__(self, sessions: Mapping[str, Session]) -> None:
        self._sessions = sessions

    def send(self, outgoing: Outgoing, excluded: Collection[str] = ()) -> Deferred[int]:
        """
        Send one packet to every session but those with an excluded id. A session whose queue is full tells the log so.

        :return: fires at once with how many sessions accepted it.
        """
        accepted = 0
        for id, session in self._sessions.items():
            if id not in excluded:
                try:
                    session.send(outgoing)
                except (QueueFull, SessionClosed):
                    continue
                accepted += 1
        return succeed(accepted)
