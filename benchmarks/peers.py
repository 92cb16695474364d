"""Who is measured: how each server is installed, and started. Everything is kept in the cache of the tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from siotwisted.workers import WORKER
from tests.interop.npm import CENSUS, Release, cacheFolder, installClient

__all__ = ["PEERS", "generator", "started", "workers"]

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
    port = _free()
    process = _started([*PEERS[peer](port), *options], {cpu})
    try:
        _wait(port)
        yield port, process
    finally:
        process.kill()
        process.wait()


@contextmanager
def workers(count: int) -> Iterator[int]:
    """
    Ours in so many processes on one port, as long as they are needed; on any core.

    :return: the port.
    """
    port = _free()
    with tempfile.TemporaryDirectory() as folder:
        all = os.sched_getaffinity(0)
        processes = [_started(_siotwisted(port), all, f"{number} {count} {folder}") for number in range(count)]
        try:
            _wait(port)
            time.sleep(1)  # until all of them listen
            yield port
        finally:
            for process in processes:
                process.kill()
                process.wait()


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _started(command: list[str], cpus: Iterable[int], worker: str = "") -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(_HERE.parent), "NODE_ENV": "production"}
    if worker:
        environment[WORKER] = worker
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, cpus),
    )


def _wait(port: int) -> None:
    """Until somebody listens."""
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.05)
