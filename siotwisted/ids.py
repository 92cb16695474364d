"""
Ids that nobody can guess.

To ask the system for chance takes longer than anything else that is done for an id, so it is asked for a hundred ids at
once, as Node's server does.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from os import urandom
from string import ascii_lowercase

__all__ = ["newID", "newSessionID", "serverOf"]

#: How many bytes the system is asked for.
_MUCH = 3072
#: What is left of them, in characters of 6 bits.
_left = ""


def _forget() -> None:
    """A process that was forked off must not make the ids of the one that it comes from."""
    global _left
    _left = ""


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def newID(length: int) -> str:
    """A new id of so many characters, which a URL can hold, with 6 bits in each; no more than 4096."""
    global _left
    if len(_left) < length:
        _left = urlsafe_b64encode(urandom(_MUCH)).decode("ascii")
    id, _left = _left[:length], _left[length:]
    return id


def newSessionID(server: int | None = None) -> str:
    """
    A new session id: some 156 bits that nobody can guess, in 27 characters that a URL can hold.

    The first is a letter, always: a number in its place in a URL is a time against caches.

    :param server: which of several servers it is of, which that letter tells.
    """
    id = newID(27)
    return ascii_lowercase[ord(id[0]) % 26 if server is None else server] + id[1:]


def serverOf(sessionID: str) -> int:
    """Which of several servers a session is of; -1 if that is none of our ids."""
    return ascii_lowercase.find(sessionID[:1]) if sessionID else -1
