"""
The official client scripts, served beside the endpoint's own URLs from a folder that the operator fills.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

from twisted.web.http import CACHED
from twisted.web.resource import Resource
from twisted.web.server import Request

from siotwisted.transports.http import BAD_METHOD, refuse

__all__ = ["ClientFiles", "StaticFile"]

_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".map": "application/json",
    ".swf": "application/x-shockwave-flash",
}


class StaticFile(Resource):
    """
    One file, held in memory.

    :param content: its bytes.
    :param contentType: its type.
    :param headers: more headers to send with it.
    """

    isLeaf = True

    def __init__(self, content: bytes, contentType: str, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__()
        self._content = content
        self._headers = {
            "Content-Type": contentType,
            "Cache-Control": "no-cache",
            "X-Content-Type-Options": "nosniff",
            **headers,
        }
        self._tag = b'"' + sha256(content).hexdigest()[:32].encode("ascii") + b'"'

    def render(self, request: Request) -> int | bytes:
        """Serve GET and HEAD."""
        request.responseHeaders.removeHeader("Server")
        if request.method in (b"GET", b"HEAD"):
            return self.render_GET(request)
        request.setHeader("Allow", "GET, HEAD")
        return refuse(request, BAD_METHOD)

    def render_GET(self, request: Request) -> bytes:
        """The file; or 304 to a browser that has this very one."""
        for name, value in self._headers.items():
            request.setHeader(name, value)
        if request.setETag(self._tag) is CACHED:
            return b""
        request.setHeader("Content-Length", str(len(self._content)))
        return b"" if request.method == b"HEAD" else self._content


class ClientFiles:
    """
    The scripts of a folder and of the folders in it, read once. Nothing else can be reached: a URL is looked up, not
    opened.

    :param folder: where they are.
    :raises ValueError: if it is not a folder.
    """

    def __init__(self, folder: str | Path) -> None:
        root = Path(folder)
        if not root.is_dir():
            raise ValueError(f"not a folder: {folder}")
        self._files = {
            path.relative_to(root).as_posix(): StaticFile(path.read_bytes(), _TYPES[path.suffix])
            for path in sorted(root.rglob("*"))
            if path.suffix in _TYPES and path.is_file()
        }

    def __len__(self) -> int:
        return len(self._files)

    def get(self, path: str) -> StaticFile | None:
        """The file of a path below the endpoint, if there is one."""
        return self._files.get(path)
