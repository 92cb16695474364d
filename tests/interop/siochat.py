"""The chat server under test: ``twistd -n siochat`` in a process of its own, on a real port."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import tempfile
from pathlib import Path
from signal import SIGTERM
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["Siochat"]

_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/")


class _Output(ProcessProtocol):
    """Collects what the process prints; fires ``started`` with its port and ``ended`` when it is gone."""

    def __init__(self) -> None:
        self.log = b""
        self.started: Deferred[int] | None = Deferred()
        self.ended: Deferred[BaseException | None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        self.log += data
        found = _ADDRESS.search(self.log.decode("utf-8", "replace"))
        if found and self.started is not None:
            started, self.started = self.started, None
            started.callback(int(found[1]))

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        if self.started is not None:
            self.started.errback(RuntimeError("siochat did not start:\n" + self.log.decode("utf-8", "replace")))
        self.ended.callback(reason.value)


class Siochat:
    """
    A chat server that can be started, stopped, and started again at the same address.

    :param reactor: a reactor that starts processes and keeps time
    :param clientFiles: the folder of official bundles that it serves
    """

    def __init__(self, reactor: Any, clientFiles: Path) -> None:
        self._reactor = reactor
        self._clientFiles = clientFiles
        self._port = 0

    @property
    def address(self) -> str:
        """The address of the chat's page."""
        return f"http://127.0.0.1:{self._port}/"

    async def start(self, *options: str) -> None:
        """
        Start the process, and wait until it has printed the address to open.

        :param options: further words of the command line
        """
        command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
        command += ["--nodaemon", "--pidfile=", "siochat", "--listen", f"tcp:{self._port}:interface=127.0.0.1"]
        command += ["--client-files", str(self._clientFiles), *options]
        # The package that these tests would import, wherever it is, and no other.
        package = importlib.util.find_spec("siotwisted")
        assert package is not None and package.origin is not None, "siotwisted can't be imported"
        environment = {**os.environ, "PYTHONPATH": str(Path(package.origin).parent.parent)}
        output = self._output = _Output()
        assert output.started is not None
        started = output.started.addTimeout(30, self._reactor, self._onTimeout)
        self._process = self._reactor.spawnProcess(
            output, sys.executable, command, environment, path=tempfile.gettempdir()
        )
        self._port = await started

    async def stop(self) -> str:
        """
        End the process as an operator would, and check that it went cleanly and met no fault while it ran.

        :return: all that it has logged
        """
        self._process.signalProcess("TERM")
        reason = await self._output.ended.addTimeout(30, self._reactor, self._onTimeout)
        log = self._output.log.decode("utf-8")
        # Twisted first shuts down, then dies of the signal it was sent, for its parent to see.
        clean = isinstance(reason, ProcessDone) or (isinstance(reason, ProcessTerminated) and reason.signal == SIGTERM)
        assert clean and "Server Shut Down." in log, f"{reason}\n{log}"
        assert "Traceback" not in log and "Unhandled" not in log, log
        return log

    def _onTimeout(self, reason: object, seconds: float) -> NoReturn:
        self._process.signalProcess("KILL")
        raise AssertionError(f"siochat took more than {seconds} s:\n{self._output.log.decode()}")

    async def restart(self, *options: str) -> None:
        """Stop the process, and start another one at the same address, with these options."""
        await self.stop()
        await self.start(*options)
