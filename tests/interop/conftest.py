"""
Fixtures of the tests with real clients: the browser, the bundles, the server process.

pytest may load this file before pytest-twisted installs the reactor that was asked for, so it is imported late.
"""
# pytest-twisted has no types.
# mypy: disable-error-code="import-untyped, untyped-decorator"

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from .browser import Browser
from .npm import RELEASES, fetchBundles, installDriver
from .siochat import Siochat


def program(*names: str) -> str:
    """Find a program by the first of these names there is; without it the tests are skipped, or failed in CI."""
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    message = f"the tests with real clients need {names[0]}: install Node.js with npm, and Chromium"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for the whole run."""
    from twisted.internet import reactor

    node = program("node", "nodejs")
    program("npm")
    chromium = program(os.environ.get("CHROMIUM") or "chromium", "chromium-browser", "google-chrome")
    browser = Browser(reactor, node, installDriver(), chromium)
    pytest_twisted.blockon(Deferred.fromCoroutine(browser.started()))
    yield browser
    pytest_twisted.blockon(Deferred.fromCoroutine(browser.stop()))


@pytest.fixture(scope="session")
def clientFiles() -> Path:
    """The folder of the bundles that the chat's tests use."""
    program("npm")
    return fetchBundles(RELEASES.values())


@pytest_twisted.async_yield_fixture()
async def siochat(browser: Browser, clientFiles: Path) -> AsyncIterator[Siochat]:
    """
    A running server of the test's own.

    After the test its pages are closed, and the server is stopped and must have met no fault.
    """
    from twisted.internet import reactor

    server = Siochat(reactor, clientFiles)
    await server.start()
    yield server
    try:
        errors = await browser.closePages()
    finally:
        await server.stop()
    assert errors == [], "errors of the pages"
