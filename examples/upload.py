"""
Files from clients, in pieces: ``python examples/upload.py FOLDER``, then, in a client::

    const size = 65536;
    const { id } = await socket.emitWithAck("begin", file.name);
    for (let at = 0; at < file.size; at += size)
      await socket.emitWithAck("piece", id, await file.slice(at, at + size).arrayBuffer());
    console.log(await socket.emitWithAck("end", id));   // {size, sha256}

Each piece is acknowledged when it is on the disk, so a client never sends faster than that.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from tempfile import mkdtemp
from typing import BinaryIO

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.threads import deferToThread
from twisted.web.resource import Resource

from siotwisted import Config, Connection, SocketIO, SocketIOResource, SocketIOSite

MOST = 4  #: files that one client may send at once
LARGEST = 100_000_000  #: bytes of one file

folder = Path(sys.argv[1] if len(sys.argv) > 1 else mkdtemp())
sio = SocketIO(reactor, Config(maxPayload=128 * 1024))  # bounds a piece


class Upload:
    """A file on its way, whose name is ours: the client's could be ``../../etc/passwd``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.size = 0
        self.hash = sha256()
        self.path = folder / token_hex(8)
        self.file: BinaryIO = self.path.open("wb")

    def write(self, piece: bytes) -> int:
        """Write a piece; all that there is by now, in bytes."""
        self.file.write(piece)
        self.hash.update(piece)
        self.size += len(piece)
        return self.size


def uploads(conn: Connection) -> dict[str, Upload]:
    """The files that a client sends now, by id."""
    found: dict[str, Upload] = conn.data.setdefault("uploads", {})
    return found


@sio.on("begin")
def begin(conn: Connection, name: str) -> dict[str, str]:
    if len(uploads(conn)) == MOST:
        return {"error": "too many files at once"}
    upload = Upload(name)
    uploads(conn)[upload.path.name] = upload
    return {"id": upload.path.name}


@sio.on("piece")
async def piece(conn: Connection, id: str, data: bytes) -> int:
    upload = uploads(conn)[id]
    if upload.size + len(data) > LARGEST:
        conn.close()
        return 0
    return await deferToThread(upload.write, data)


@sio.on("end")
def end(conn: Connection, id: str) -> dict[str, object]:
    upload = uploads(conn).pop(id)
    upload.file.close()
    return {"size": upload.size, "sha256": upload.hash.hexdigest()}


@sio.onDisconnect
def gone(conn: Connection, reason: str) -> None:
    for upload in uploads(conn).values():  # none of these is whole
        upload.file.close()
        upload.path.unlink()


root = Resource()
root.putChild(b"socket.io", SocketIOResource(sio))
serverFromString(reactor, "tcp:8080:interface=127.0.0.1").listen(SocketIOSite(root))
reactor.run()
