"""
The judge: what a server has accepted against what its clients have got.

Nothing that was accepted may be lost unless the server has said so, nothing may come twice in one session, nothing out
of order. A message may come again in a later session, where the older clients' protocols have no words to avoid it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["FAULTS", "Verdict", "judge", "readLog"]

#: What no server may do that promises what this one does.
FAULTS = (
    "lost",
    "doubled",
    "reordered",
    "corrupt",
    "unknown",
    "falselyUnsent",
    "reportedTwice",
    "saidTwice",
    "saidReordered",
    "saidUnknown",
)

#: These hear an answer to a poll that they have given up, with its session, as if it were their new session's; and post
#: on two connections at once, of which nobody knows which is faster.
_CARELESS = ("0.9.17_xhr-polling-",)


@dataclass
class Verdict:
    """
    What became of the messages of a group of clients.

    :ivar counts: ``accepted``, ``got`` (messages, not copies), ``reported`` and not got, ``uncertain`` (reported, and
        got after all: the server could not know), ``lost`` unreported, ``doubled`` in a session, ``repeated`` in a
        later session, ``reordered``, ``corrupt``, ``unknown`` (never meant for this client), ``falselyUnsent``
        (reported as never handed over, but got), ``reportedTwice``; of the clients' own: ``said``, ``heard``,
        ``saidTwice``, ``saidReordered`` in a session, ``saidLate`` after those of a later one, ``saidUnknown``;
        ``sessions``, ``recovered``, ``renewed`` clients that did not come back by themselves, ``swallowed`` messages
        that a client of 0.6 took for a session's id, and ``odd`` ones that it took for the application's.
    :ivar examples: what was found, in words: the first of each kind.
    """

    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def found(self, what: str, example: str) -> None:
        """Count a fault."""
        self.counts[what] += 1
        if self.counts[what] <= 5:
            self.examples.append(f"{what}: {example}")

    def add(self, other: Verdict) -> None:
        """Count another group in."""
        self.counts.update(other.counts)
        self.examples = sorted(self.examples + other.examples)[:30]

    @property
    def isClean(self) -> bool:
        """Whether nothing was found that must not be."""
        return not any(self.counts[fault] for fault in FAULTS)


def readLog(path: Path) -> Iterator[list[Any]]:
    """The entries of a log file; a last line that was cut short does not count."""
    with path.open() as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)


@dataclass
class _Story:
    """All that the logs tell of one client."""

    #: Where in the server's log it was accepted, by key.
    accepted: dict[str, int] = field(default_factory=dict)
    #: By which session it was accepted first.
    acceptedBy: dict[str, str] = field(default_factory=dict)
    reported: dict[str, tuple[bool, str]] = field(default_factory=dict)
    got: list[tuple[str, str]] = field(default_factory=list)
    swallowed: set[str] = field(default_factory=set)
    said: dict[int, str] = field(default_factory=dict)
    heard: list[tuple[str, int]] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)


def _read(stories: dict[str, _Story], told: dict[str, int], entries: Iterable[list[Any]]) -> None:
    for position, entry in enumerate(entries):
        if entry[0] == "statistics":
            continue
        if entry[0] == "told":
            told[entry[1]] = position
            continue
        word, identity, *rest = entry
        story = stories[identity]
        counts = story.verdict.counts
        match word, rest:
            case "accepted", [session, key]:
                story.accepted[key] = position
                story.acceptedBy.setdefault(key, session)
            case "undelivered", [_, key, handed, reason]:
                if key in story.reported and key not in told:
                    story.verdict.found("reportedTwice", f"{identity} {key}")
                story.reported[key] = handed, reason
            case "heard", [session, number]:
                story.heard.append((session, number))
            case "got", [session, key, whole]:
                story.got.append((session, key))
                if not whole:
                    story.verdict.found("corrupt", f"{identity} {key} in {session}")
            case "said", [session, number]:
                story.said[number] = session
            case "connect", [_, recovered]:
                counts["sessions"] += not recovered
                counts["recovered"] += bool(recovered)
            case "renew", []:
                counts["renewed"] += 1
            case "swallowed", [key]:
                counts["swallowed"] += 1
                story.swallowed.add(key)
            case "odd", [session, text]:
                story.verdict.found("odd", f"{identity} {text} in {session}")


def _judgeGot(identity: str, story: _Story, told: dict[str, int]) -> None:
    verdict = story.verdict
    first: set[str] = set()
    inSession: dict[str, set[str]] = defaultdict(set)
    lastInSession: dict[str, int] = {}
    last = -1
    for session, key in story.got:
        # What is told to all is kept by some servers for clients that are away, too.
        position = story.accepted.get(key, told.get(key))
        if position is None:
            verdict.found("unknown", f"{identity} got {key} in {session}")
            continue
        if key in inSession[session]:
            if identity.startswith(_CARELESS) and story.acceptedBy.get(key) != session:
                verdict.counts["repeated"] += 1
            else:
                verdict.found("doubled", f"{identity} {key} in {session}")
            continue
        inSession[session].add(key)
        if key in first:
            verdict.counts["repeated"] += 1
        late = position < last and key not in first and key not in story.swallowed
        if position < lastInSession.get(session, -1) or late:
            verdict.found("reordered", f"{identity} {key} in {session}")
        lastInSession[session] = max(position, lastInSession.get(session, -1))
        last = max(position, last)
        first.add(key)
    counts = verdict.counts
    counts["accepted"] += len(story.accepted)
    counts["got"] += len(first & story.accepted.keys())
    for key in story.accepted:
        if key in story.reported:
            handed, reason = story.reported[key]
            counts["uncertain" if key in first else "reported"] += 1
            # What was told to all is accepted once for each connection of a client, and two of them may be away.
            if key in first and not handed and key not in told:
                verdict.found("falselyUnsent", f"{identity} {key}, {reason}")
        elif key not in first and key not in story.swallowed:
            verdict.found("lost", f"{identity} {key}")
    for key in story.reported.keys() - story.accepted.keys() - told.keys():
        verdict.found("unknown", f"{identity} {key} reported")


def _judgeSaid(identity: str, story: _Story) -> None:
    verdict = story.verdict
    verdict.counts["said"] += len(story.said)
    known: set[int] = set()
    last: dict[str, int] = defaultdict(int)
    for session, number in story.heard:
        if number not in story.said:
            verdict.found("saidUnknown", f"{identity} {number} in {session}")
        elif number in known:
            verdict.found("saidTwice", f"{identity} {number} in {session}")
        elif number < last[session] and not identity.startswith(_CARELESS):
            verdict.found("saidReordered", f"{identity} {number} after {last[session]} in {session}")
        elif last and number < max(last.values()):
            # A request of a session that the client has given up was still on its way.
            verdict.counts["saidLate"] += 1
        known.add(number)
        last[session] = max(last[session], number)
    verdict.counts["heard"] += len(known)


def judge(server: Iterable[list[Any]], clients: Iterable[list[Any]]) -> dict[str, Verdict]:
    """
    Compare the logs.

    :param server: that of the server
    :param clients: those of the clients, each client's in order
    :return: a verdict for each group: an identity is the group's name, ``-`` and a number.
    """
    stories: dict[str, _Story] = defaultdict(_Story)
    told: dict[str, int] = {}
    _read(stories, told, server)
    _read(stories, told, clients)
    verdicts: dict[str, Verdict] = defaultdict(Verdict)
    for identity, story in stories.items():
        _judgeGot(identity, story, told)
        _judgeSaid(identity, story)
        verdicts[identity.rpartition("-")[0]].add(story.verdict)
    return dict(verdicts)
