"""Who is measured: how each server is installed, and started. Everything is kept in the cache of the tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.npm import CENSUS, Release, cacheFolder, installClient

__all__ = ["PEERS", "generator", "started"]

_HERE = Path(__file__).parent
_PYTHON_PEERS = ("python-socketio", "uvicorn[standard]", "aiohttp", "uvloop", "granian")


def _built(name: str) -> str:
    """The program that is compiled of a source here."""
    source, program = _HERE / f"{name}.c", cacheFolder("benchmarks") / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        compiler = shutil.which("cc") or sys.exit("the benchmarks need a C compiler: install gcc and libc6-dev")
        subprocess.run([compiler, "-O2", "-std=gnu11", "-o", str(program), str(source)], check=True)
    return str(program)


def generator() -> str:
    """The load generator."""
    return _built("sioload")


def _null(port: int) -> list[str]:
    return [_built("nullsio"), str(port)]


def _siotwisted(port: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.servers.siotwisted", str(port)]


def _node(port: int) -> list[str]:
    node = shutil.which("node") or sys.exit("the benchmarks need Node.js and npm")
    modules = installClient(Release("socket.io", CENSUS[-1].version, "", "", "", ()))
    return [node, str(_HERE / "servers" / "node.mjs"), str(modules), str(port)]


def _python(server: str) -> Callable[[int], list[str]]:
    def command(port: int) -> list[str]:
        folder = cacheFolder("benchmarks") / "python"
        python = folder / "bin" / "python"
        if not (folder / "installed").exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", *_PYTHON_PEERS], check=True)
            (folder / "installed").touch()
        return [str(python), str(_HERE / "servers" / "pythonsocketio.py"), server, str(port)]

    return command


#: What starts each server on a port. The first is ours, the second the one that all are compared with.
PEERS: dict[str, Callable[[int], list[str]]] = {
    "siotwisted": _siotwisted,
    "node": _node,
    "uvicorn": _python("uvicorn"),
    "aiohttp": _python("aiohttp"),
    "granian": _python("granian"),
    "C": _null,
}


@contextmanager
def started(peer: str, cpu: int, *options: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """
    A server, as long as it is needed.

    :param cpu: which core it has to itself.
    :param options: more of its command line.
    :return: its port, and its process.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(_HERE.parent), "NODE_ENV": "production"}
    process = subprocess.Popen(
        [*PEERS[peer](port), *options],
        env=environment,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {cpu}),
    )
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port, process
    finally:
        process.kill()
        process.wait()
