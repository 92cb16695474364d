"""
The application of all servers in Python: numbered messages for every client, and a log of what became of them.

Messages are objects: ``k`` is a key that nobody else's message has, ``t`` a text, ``h`` the text's hash. The log is
one JSON array in each line, with one of these words in front:

- ``open``, identity, session, recovered: a client has come;
- ``told``, key: a message is now sent to all, or to a room;
- ``accepted``, identity, session, key: a message was accepted for it;
- ``undelivered``, identity, session, key, handed over, reason: the server gave it up, and said so;
- ``heard``, identity, session, number: a message of the client came;
- ``end``, identity, session, reason: the client has left;
- ``statistics``, an object: what the server itself has counted, last of all.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

__all__ = ["BEAT", "Journal", "Schedule", "textHash"]

#: How many seconds there are between two beats, at each of which every client gets something.
BEAT = 0.15

_LENGTHS = (3, 40, 200, 1_500)
_LARGE = 40_000
_PATTERN = "gr\u00fc\u00df dich \u2665 \U0001f600 ~m~3~m~abc \ufffd \n\\/"


def textHash(text: str) -> int:
    """The FNV-1a hash of a text's UTF-16 code units, which JavaScript can tell as well."""
    value = 0x811C9DC5
    encoded = text.encode("utf-16-le")
    for low, high in zip(encoded[::2], encoded[1::2], strict=True):
        value = (value ^ (low | high << 8)) * 0x01000193 & 0xFFFFFFFF
    return value


def _texts() -> list[tuple[str, int]]:
    texts = [(_PATTERN * (length // len(_PATTERN) + 1))[:length] for length in (*_LENGTHS, _LARGE)]
    return [(text, textHash(text)) for text in texts]


class Journal:
    """
    A log file, written as things happen.

    :param path: where it is
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", buffering=1)

    def write(self, *entry: object) -> None:
        """Add one line, unless the run is over."""
        if self._file.closed:
            return
        self._file.write(json.dumps(entry, separators=(",", ":")) + "\n")

    def close(self) -> None:
        """Write what is not yet written."""
        self._file.close()


class Schedule:
    """Which messages there are at each beat. It depends on numbers alone, so all servers send the same."""

    def __init__(self) -> None:
        self._texts = _texts()
        self._numbers: Counter[str] = Counter()
        self.beats = 0

    def message(self, scope: str) -> dict[str, Any]:
        """The next message for a client, for a room, or for all."""
        self._numbers[scope] += 1
        number = self._numbers[scope]
        text, value = self._texts[-1 if number % 101 == 50 else number % len(_LENGTHS)]
        return {"k": f"{scope}:{number}", "t": text, "h": value}

    def forOne(self, identity: str) -> list[dict[str, Any]]:
        """What a client gets at this beat: one message, or now and then many at once."""
        count = 12 if (self.beats + len(identity) + self._numbers[identity]) % 23 == 0 else 1
        return [self.message(identity) for _ in range(count)]

    def forAll(self) -> dict[str, Any] | None:
        """What everyone gets at this beat, if anything."""
        return self.message("*") if self.beats % 8 == 0 else None

    def forRoom(self) -> dict[str, Any] | None:
        """What those in the room get at this beat, if anything."""
        return self.message("odd") if self.beats % 8 == 4 else None

    @staticmethod
    def inRoom(identity: str) -> bool:
        """Whether someone is in the room."""
        return int(identity.rpartition("-")[2]) % 2 == 1
