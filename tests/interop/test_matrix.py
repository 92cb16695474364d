"""
The matrix, one release for each behaviour that differs: see ``matrix.py``, which runs all of them.

Every release is run by every transport that it has. The cases that were selected run side by side, from the first one
on; a test waits for its own.
"""
# pytest-twisted has no types.
# mypy: disable-error-code="import-untyped, untyped-decorator"

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, DeferredSemaphore

from .browser import Browser
from .conftest import program
from .matrix import CASES, NODE_CASES, Case, Matrix, Outcome, fetch
from .siochat import MatrixServer

#: Those of 0.5 and 0.6 are in ``test_clients.py``.
VERSIONS = (
    "0.7.0",  # no ``=`` in the query, no new start of namespaces
    "0.7.5",  # no query at all
    "0.7.11",  # the last that connects twice
    "0.8.5",  # the last whose JSONP is not wrapped in JSON
    "0.8.7",  # no close timer
    "0.9.0",  # heartbeats are not watched
    "0.9.9",
    "0.9.17",  # htmlfile takes backslashes away
    "1.0.0-pre",  # answers of its own
    "1.0.2",  # answers with counts, doubled UTF-8 on WebSockets
    "1.0.6",
    "1.1.0",  # Engine.IO 3
    "1.3.7",  # the last that reads no text in polls
    "1.7.4",  # doubled UTF-8 in polls
    "2.0.4",
    "2.5.0",
    "3.0.0-rc1",
    "3.1.3",
    "4.2.0",  # the last with JSONP
    "4.8.4",
)
NODE_VERSIONS = ("0.9.17", "2.5.0", "4.8.4")

SELECTED = [case for case in CASES if case.release.version in VERSIONS]
SELECTED += [case for case in NODE_CASES if case.release.version in NODE_VERSIONS]

#: How many cases run at a time.
JOBS = 4


@dataclass
class Outcomes:
    """What comes of the cases."""

    matrix: Matrix
    first: dict[Case, Deferred[Outcome]]

    async def of(self, case: Case) -> Outcome:
        """
        What came of a case beside the others; if it failed, what came of it alone.

        A machine that is too busy lets the clients' own timers run out, which not all of them survive.
        """
        outcome = await self.first[case]
        if outcome.ok:
            return outcome
        print(f"beside others, {outcome}")
        await DeferredList([_watched(each) for each in self.first.values()])
        return await self.matrix.run(case)


def _watched(waited: Deferred[Outcome]) -> Deferred[None]:
    """Fire with another Deferred, whose result stays with it."""
    watching: Deferred[None] = Deferred()

    def fire(result: object) -> object:
        watching.callback(None)
        return result

    waited.addBoth(fire)
    return watching


@pytest.fixture(scope="module")
def outcomes(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Outcomes]:
    """What comes of every case that was selected; the server and the residents must come to no harm by them."""
    items = (item for item in request.session.items if isinstance(item, pytest.Function) and hasattr(item, "callspec"))
    cases = [case for item in items if isinstance(case := item.callspec.params.get("case"), Case)]
    program("npm")
    server = MatrixServer(reactor, fetch(cases))
    pytest_twisted.blockon(Deferred.fromCoroutine(server.start()))
    matrix = Matrix(reactor, browser, program("node", "nodejs"), server.port)
    pytest_twisted.blockon(Deferred.fromCoroutine(matrix.start()))
    gate = DeferredSemaphore(JOBS)
    first = {case: gate.run(lambda each: Deferred.fromCoroutine(matrix.run(each)), case) for case in cases}
    yield Outcomes(matrix, first)
    # A run that ends early has some that nobody waits for.
    for outcome in first.values():
        outcome.cancel()
    pytest_twisted.blockon(DeferredList(first.values(), consumeErrors=True))
    errors = pytest_twisted.blockon(Deferred.fromCoroutine(matrix.stop()))
    pytest_twisted.blockon(Deferred.fromCoroutine(server.stop()))
    assert errors == [], "errors of the residents' pages"


@pytest.mark.parametrize("case", [pytest.param(case, id=str(case).replace(" ", "-")) for case in SELECTED])
@pytest_twisted.ensureDeferred
async def test_release(outcomes: Outcomes, case: Case) -> None:
    """A published client does all that it can do, and what it says and hears is as it should be."""
    outcome = await outcomes.of(case)
    assert outcome.ok, str(outcome)
