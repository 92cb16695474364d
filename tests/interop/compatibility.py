"""The table that the matrix writes: ``docs/compatibility.rst``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .npm import CENSUS, MESSAGE_PACK

if TYPE_CHECKING:
    from .npm import Release

__all__ = ["table"]

_HEAD = """\
Compatibility
=============

Every client that was ever published on npm from 0.5.3 on, {count} releases, as it does with one siotwisted server: the
script that came in the release's package, in Chromium {browser}, on each transport that it can run there. The table is
written by ::

    python -m tests.interop.matrix --all --write docs/compatibility.rst

last on {date}: {passed} of {all} runs went well.

*ok* means that everything went well that the release can do: connect; text, with characters beyond the basic plane and
line feeds; JSON; events; acknowledgements both ways; rooms; namespaces, and a refusal by one; nested binary data both
ways; 100 messages each way at the same time, in order; a broadcast that reaches a client of each other generation, and
theirs; a new connection after the line was cut, in all namespaces; and the server's goodbye, with its reason.

Clients of 0.5 and 0.6 have no events, acknowledgements, namespaces or binary data; those of 0.7 to 0.9 have no binary
data. What a single release lacks beyond that has a star, and is told below its table. An empty cell is a transport that
the release does not have.

The pages of ``jsonp-polling``, ``polling`` and ``polling-jsonp`` are of another origin than the server. ``htmlfile``
and ``xhr-multipart`` need what today's browsers lack; scripts stand in for that (``tests/interop/shims.js``).
``polling-base64`` is ``polling`` with ``forceBase64``, and ``polling-jsonp`` with ``forceJSONP``; ``upgrade`` begins
with polls, and is *ok* only if the client ends up on a WebSocket.

What no browser can run any more is held to the wire by the project's other tests:

============================================ ===========================================================================
``flashsocket``, 0.5.3 to 0.9.17             ok: a WebSocket by another name, and the policy file that Flash asks for:
                                             ``tests/transports/test_websocket.py``, ``test_flashpolicy.py``
the streaming codec, never released          ok: ``tests/wire/test_sio06streaming.py``, by vectors of the original code
socket.io 0.3.8 and 0.4.1 (client 0.2)       not served: the same URL as 0.6, another envelope, and nothing to tell by
============================================ ===========================================================================
"""

_SECTIONS = (
    ("Socket.IO 0.5 and 0.6", ("0.5", "0.6")),
    ("Socket.IO 0.7 to 0.9", ("0.7-0.9",)),
    ("Socket.IO 1 and 2", ("1-2",)),
    ("Socket.IO 3 and 4", ("3-4",)),
)

#: What a release lacks, in words; the matrix leaves it out.
_LACKS = {
    "rejoining": "does not join its namespaces again after a new connection",
    "acks": "its parser is one of a kind: acknowledgements from the server don't reach it",
    "binary answers": "can't acknowledge with binary data",
    "refusals": "can't read a refusal",
    "order": "loses messages when it sends several at once",
    "rooms": "the same",
    "unicode": "sends ASCII alone",
    "reconnect": "does not notice that its connection is lost",
    "disconnect": "does not notice that the server has ended its session",
}

_Results = Mapping[tuple["Release", str, bool], str]


def table(results: _Results, browser: str) -> str:
    """
    Return the whole page.

    :param results: what came of every run, by the release, the transport, and whether it was in Node.js
    :param browser: the version of Chromium
    """
    passed = sum(result == "ok" for result in results.values())
    head = _HEAD.format(
        count=len(CENSUS), browser=browser, date=datetime.now(UTC).date(), passed=passed, all=len(results)
    )
    lines = [head, *(line for section in _SECTIONS for line in _section(results, *section)), ""]
    return "\n".join(lines)


def _section(results: _Results, title: str, generations: Sequence[str]) -> Iterator[str]:
    releases = [release for release in (*CENSUS, MESSAGE_PACK) if release.generation in generations]
    transports = max((release.transports for release in releases), key=len)
    inNode = any(inNode and release.generation in generations for release, _, inNode in results)
    yield from ("", title, "-" * len(title), "")
    yield from (".. list-table::", "   :header-rows: 1", "")
    columns = ["release", *(f"``{transport}``" for transport in transports), *(["Node.js"] if inNode else [])]
    yield from _row(columns)
    for release in releases:
        cells = [_cell(results, release, transport) for transport in transports]
        if inNode:
            cells.append(_inNode(results, release))
        inside = release.variant or (f"client {release.client}" if release.client != release.version else "")
        yield from _row([f"{release.package} {release.version}" + (f" ({inside})" if inside else ""), *cells])
    yield ""
    notes = list(_notes(releases))
    if notes:
        yield from ("What has a star:", "", *notes)


def _cell(results: _Results, release: Release, transport: str) -> str:
    """What came of a run in a page; with a star if the release lacks something there."""
    result = results.get((release, transport, False), "")
    lacks = any(lack.partition(" by ")[2] in ("", transport) for lack in release.lacks)
    return result + r" \*" if result and lacks else result


def _inNode(results: _Results, release: Release) -> str:
    """What came of all runs in Node.js."""
    found = {transport: result for (each, transport, inNode), result in results.items() if inNode and each == release}
    if set(found.values()) == {"ok"}:
        return "ok: " + ", ".join(found)
    return ", ".join(f"{transport}: {result}" for transport, result in found.items())


def _row(cells: Sequence[str]) -> Iterator[str]:
    for number, cell in enumerate(cells):
        yield f"{'     -' if number else '   * -'} {cell}".rstrip()


def _notes(releases: Sequence[Release]) -> Iterator[str]:
    lacking: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for release in releases:
        where: dict[str, list[str]] = {}
        for lack in release.lacks:
            ability, _, transport = lack.partition(" by ")
            where.setdefault(ability, []).append(transport)
        for ability, names in where.items():
            lacking.setdefault((ability, tuple(names)), []).append(release.version)
    for (ability, transports), versions in lacking.items():
        by = " and ".join(f"``{transport}``" for transport in transports if transport)
        yield f"* {', '.join(versions)}{by and f', by {by}'}: {_LACKS[ability]}."
