"""The servers under test, each in a process of its own, on a real port: the chat, and the server of the matrix."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from signal import SIGTERM
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["MatrixServer", "Server", "Siochat", "packageEnvironment"]


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
            self.started.errback(RuntimeError("the server did not start:\n" + self.log.decode("utf-8", "replace")))
        self.ended.callback(reason.value)


def packageEnvironment() -> dict[str, str]:
    """Return an environment in which a process imports the package that these tests would import, and no other."""
    package = importlib.util.find_spec("siotwisted")
    assert package is not None and package.origin is not None, "siotwisted can't be imported"
    return {**os.environ, "PYTHONPATH": str(Path(package.origin).parent.parent)}


class Server(ABC):
    """
    A server that can be started, stopped, and started again at the same address.

    :param reactor: a reactor that starts processes and keeps time
    :param clientFiles: the folder of official bundles that it serves
    :ivar port: the port it is on, once it has been started
    """

    def __init__(self, reactor: Any, clientFiles: Path) -> None:
        self._reactor = reactor
        self._clientFiles = clientFiles
        self.port = 0

    @property
    def address(self) -> str:
        """The address of the first page."""
        return f"http://127.0.0.1:{self.port}/"

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command line behind the interpreter."""

    async def start(self, *options: str) -> None:
        """
        Start the process, and wait until it has printed the address to open.

        :param options: further words of the command line
        """
        command = [sys.executable, *self.command(), *options]
        output = self._output = _Output()
        assert output.started is not None
        started = output.started.addTimeout(30, self._reactor, self._onTimeout)
        self._process = self._reactor.spawnProcess(
            output, sys.executable, command, packageEnvironment(), path=tempfile.gettempdir()
        )
        self.port = await started

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
        assert clean and "Main loop terminated." in log, f"{reason}\n{log}"
        assert "Traceback" not in log and "Unhandled" not in log, log
        return log

    def _onTimeout(self, reason: object, seconds: float) -> NoReturn:
        self._process.signalProcess("KILL")
        raise AssertionError(f"the server took more than {seconds} s:\n{self._output.log.decode()}")

    async def restart(self, *options: str) -> None:
        """Stop the process, and start another one at the same address, with these options."""
        await self.stop()
        await self.start(*options)


class Siochat(Server):
    """The chat: ``twistd -n siochat``."""

    def command(self) -> list[str]:
        """Return the command line behind the interpreter."""
        twistd = ["-c", "from twisted.scripts.twistd import run; run()", "--nodaemon", "--pidfile="]
        listen = ["--listen", f"tcp:{self.port}:interface=127.0.0.1"]
        return [*twistd, "siochat", *listen, "--drain-timeout", "0.5", "--client-files", str(self._clientFiles)]


class MatrixServer(Server):
    """The server of the matrix."""

    def command(self) -> list[str]:
        """Return the command line behind the interpreter."""
        script = Path(__file__).with_name("matrixserver.py")
        return [str(script), "--port", str(self.port), "--clients", str(self._clientFiles)]
