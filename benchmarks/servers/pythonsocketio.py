"""``python-socketio`` on one of its servers: ``python pythonsocketio.py uvicorn|aiohttp|granian PORT``."""

# Its servers are installed for benchmarks alone.
# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator"

from __future__ import annotations

import logging
import resource
import sys
from typing import Any

import socketio

server, port = sys.argv[1], int(sys.argv[2])
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

sio: Any = socketio.AsyncServer(
    async_mode="aiohttp" if server == "aiohttp" else "asgi", cors_allowed_origins="*", http_compression=False
)


@sio.event
async def echo(sid: str, value: Any) -> None:
    """Say it to the sender."""
    await sio.emit("echo", value, to=sid)


@sio.event
async def bcast(sid: str, value: Any) -> None:
    """Say it to everybody."""
    await sio.emit("bcast", value)


def serve() -> None:
    """Listen, and run until the process is killed."""
    if server == "aiohttp":
        import uvloop
        from aiohttp import web

        uvloop.install()
        app = web.Application()
        sio.attach(app)
        web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, backlog=4096)
    elif server == "uvicorn":
        import uvicorn

        asgi = socketio.ASGIApp(sio)
        uvicorn.run(asgi, host="127.0.0.1", port=port, log_level=logging.ERROR, access_log=False, backlog=4096)
    else:
        import asyncio

        from granian.constants import Interfaces
        from granian.server.embed import Server

        asgi = socketio.ASGIApp(sio)
        asyncio.run(Server(asgi, address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_enabled=False).serve())


serve()
