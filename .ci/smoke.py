"""
Start ``twistd -n siochat`` of this interpreter's environment, fetch its page, end it with SIGTERM.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path

PATIENCE = 20.0
"""How long to wait for the start and for the end, in seconds each."""


def freePort() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def fetchPage(port: int) -> int:
    """The status of ``GET /`` as soon as somebody listens on the port."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            connection.request("GET", "/")
            return connection.getresponse().status
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def main() -> None:
    """Run it all; any failure ends the process with an error and the server's log."""
    port = freePort()
    twistd = str(Path(sys.executable).with_name("twistd"))
    command = [twistd, "-n", "--pidfile=", "siochat", "--listen", f"tcp:{port}:interface=127.0.0.1"]
    with tempfile.TemporaryFile("w+") as log:
        with tempfile.TemporaryDirectory() as folder:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
            try:
                assert fetchPage(port) == 200
                process.terminate()
                # After a clean shutdown, twistd ends itself with the signal that it was asked to end with.
                assert process.wait(PATIENCE) in (0, -signal.SIGTERM)
            finally:
                process.kill()
                log.seek(0)
                text = log.read()
                print(text)
        assert "Server Shut Down" in text
        assert "Traceback" not in text


main()
