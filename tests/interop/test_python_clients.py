"""The clients of ``python-socketio``, each in a process of its own, with the server of the matrix."""
# pytest-twisted has no types.
# mypy: disable-error-code="import-untyped, untyped-decorator"

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from .line import Line
from .siochat import MatrixServer, packageEnvironment

SCRIPT = Path(__file__).with_name("pythonpeer.py")


class Peer(ProcessProtocol):
    """
    The process of a client. It has its line cut when it asks for that.

    :ivar ended: fires with the reason and all it has printed
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._printed = b""
        self.ended: Deferred[tuple[BaseException | None, str]] = Deferred()

    def outReceived(self, data: bytes) -> None:
        """Cut the line for a moment, or keep what it says."""
        self._printed += data
        if self._printed.endswith(b"cut\n"):
            self._line.cut()
            reactor.callLater(0.5, self._line.mend)

    def errReceived(self, data: bytes) -> None:
        """Keep what it says."""
        self._printed += data

    def processEnded(self, reason: Failure) -> None:
        """Tell what it has said."""
        self.ended.callback((reason.value, self._printed.decode("utf-8", "replace")))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MatrixServer]:
    """A server for all tests here."""
    missing = [name for name in ("socketio", "aiohttp", "requests", "websocket") if not importlib.util.find_spec(name)]
    if missing:
        message = "the tests with Python clients need python-socketio[asyncio_client,client]: install it with pip"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    server = MatrixServer(reactor, tmp_path_factory.mktemp("clients"))
    pytest_twisted.blockon(Deferred.fromCoroutine(server.start()))
    yield server
    pytest_twisted.blockon(Deferred.fromCoroutine(server.stop()))


@pytest_twisted.async_yield_fixture()
async def line(server: MatrixServer) -> AsyncIterator[Line]:
    """A line to the server."""
    line = Line(reactor, TCP4ClientEndpoint(reactor, "127.0.0.1", server.port))
    await line.start()
    yield line
    await line.stop()


@pytest.mark.parametrize("transport", ["websocket", "polling", "upgrade"])
@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest_twisted.ensureDeferred
async def test_pythonClient(line: Line, kind: str, transport: str) -> None:
    """All that the client can do goes well, with a lost connection in the midst of it."""
    peer = Peer(line)
    command = [sys.executable, str(SCRIPT), kind, f"http://127.0.0.1:{line.port}", transport]
    process = reactor.spawnProcess(peer, sys.executable, command, packageEnvironment())
    watchdog = reactor.callLater(60, process.signalProcess, "KILL")
    reason, printed = await peer.ended
    if watchdog.active():
        watchdog.cancel()
    assert isinstance(reason, ProcessDone) and "done\n" in printed, f"{reason}\n{printed}"
