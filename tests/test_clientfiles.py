"""
The client scripts below the endpoint: their types and tags, who has them already, and that nothing else can be had.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from siotwisted.clientfiles import ClientFiles, StaticFile
from tests.transports import Server, ServerCase

SCRIPT = b"var io = 'this.io';\n"
MOVIE = b"FWS\x06\x00\xff"


class FilesCase(ServerCase):
    """A folder with client scripts, and other things, in it and beside it."""

    def setUp(self) -> None:
        """Write them."""
        super().setUp()
        base = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, base)
        self.folder = base / "clients"
        for name, content in {
            "socket.io.js": SCRIPT,
            "socket.io.min.js": b"",
            "socket.io.js.map": b"{}",
            "module.mjs": b"export {};",
            "WebSocketMain.swf": MOVIE,
            "lib/vendor/web-socket-js/WebSocketMain.swf": MOVIE,
            "xhr-polling/evil.js": b"never served",
            "a b.js": b"space",
            "secret.txt": b"secret",
            "README": b"secret",
            "page.html": b"secret",
            ".hidden": b"secret",
            "upper.JS": b"secret",
        }.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (self.folder / "folder.js").mkdir()
        (base / "secret.js").write_bytes(b"secret")
        self.files = ClientFiles(self.folder)
        self.server = Server(clientFiles=self.files)


class ClientFilesTests(FilesCase):
    """The folder."""

    def test_count(self) -> None:
        """Scripts are taken, and movies, from folders too; nothing else."""
        self.assertEqual(len(self.files), 8)

    def test_get(self) -> None:
        """A file is found by its path, exactly."""
        self.assertIsInstance(self.files.get("socket.io.js"), StaticFile)
        for path in (
            "",
            "/socket.io.js",
            "socket.io.js/",
            "lib",
            "./socket.io.js",
            "lib/../socket.io.js",
            "SOCKET.IO.JS",
        ):
            self.assertIsNone(self.files.get(path), path)

    def test_noFolder(self) -> None:
        """A folder that is none is an error at once."""
        for path in (self.folder / "missing", self.folder / "socket.io.js"):
            error = self.assertRaises(ValueError, ClientFiles, path)
            self.assertEqual(str(error), f"not a folder: {path}")

    def test_readOnce(self) -> None:
        """What changes in the folder afterwards changes nothing."""
        (self.folder / "socket.io.js").write_bytes(b"changed")
        (self.folder / "new.js").write_bytes(b"new")
        self.assertEqual(self.server.get("/socket.io.js").response().body, SCRIPT)
        self.assertEqual(self.server.get("/new.js").response().status, 404)


class ServedTests(FilesCase):
    """The files by HTTP."""

    def test_script(self) -> None:
        """A file comes with these headers, and no others."""
        response = self.server.get("/socket.io.js").response()
        self.assertEqual((response.status, response.body), (200, SCRIPT))
        self.assertRegex(response.headers.pop("etag"), r'\A"[0-9a-f]{32}"\Z')
        response.headers.pop("date")
        self.assertEqual(
            response.headers,
            {
                "content-type": "text/javascript; charset=utf-8",
                "cache-control": "no-cache",
                "x-content-type-options": "nosniff",
                "content-length": str(len(SCRIPT)),
            },
        )
        self.assertEqual(self.logged(), [])

    def test_types(self) -> None:
        """Each has the type of its suffix, and its bytes."""
        for path, contentType, body in (
            ("/socket.io.min.js", "text/javascript; charset=utf-8", b""),
            ("/socket.io.js.map", "application/json", b"{}"),
            ("/module.mjs", "text/javascript; charset=utf-8", b"export {};"),
            ("/WebSocketMain.swf", "application/x-shockwave-flash", MOVIE),
            ("/lib/vendor/web-socket-js/WebSocketMain.swf", "application/x-shockwave-flash", MOVIE),
            ("/a%20b.js", "text/javascript; charset=utf-8", b"space"),
            ("/socket.io.js?v=0.6.3", "text/javascript; charset=utf-8", SCRIPT),
        ):
            response = self.server.get(path).response()
            self.assertEqual((response.status, response.body), (200, body), path)
            self.assertEqual(response.headers["content-type"], contentType)

    def test_notModified(self) -> None:
        """A browser that has the file is told so, without a body; one that has another gets it."""
        tag = self.server.get("/socket.io.js").response().headers["etag"]
        for value in (tag, f'"other" {tag}', "*"):
            client = self.server.get("/socket.io.js", If_None_Match=value)
            self.assertTrue(client.received.startswith(b"HTTP/1.1 304 Not Modified\r\n"), client.received)
            self.assertTrue(client.received.endswith(b"\r\n\r\n"), client.received)
            self.assertIn(f"etag: {tag}".encode(), client.received.lower())
        for value in ('"other"', tag.strip('"'), "0.6.3", ""):
            response = self.server.get("/socket.io.js", If_None_Match=value).response()
            self.assertEqual((response.status, response.body), (200, SCRIPT), value)

    def test_tagOfContent(self) -> None:
        """The tag is the content's: the same for the same bytes, another for others."""

        def tag(path: str) -> str:
            return self.server.get(path).response().headers["etag"]

        self.assertEqual(tag("/WebSocketMain.swf"), tag("/lib/vendor/web-socket-js/WebSocketMain.swf"))
        self.assertEqual(len({tag("/socket.io.js"), tag("/socket.io.min.js"), tag("/WebSocketMain.swf")}), 3)

    def test_head(self) -> None:
        """HEAD gets the headers of GET, no body, and no line in the log."""
        get = self.server.get("/socket.io.js").received.partition(b"\r\n\r\n")[0]
        head, _, body = self.server.request("HEAD", "/socket.io.js").received.partition(b"\r\n\r\n")

        def lines(data: bytes) -> list[bytes]:
            return sorted(re.sub(rb"(?m)^Date: .*\r\n", b"", data).split(b"\r\n"))

        self.assertEqual((lines(head), body), (lines(get), b""))
        self.assertEqual(self.logged(), [])

    def test_otherMethods(self) -> None:
        """Any other method is refused with a fixed text that repeats nothing of the request."""
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "BREW"):
            client = self.server.request(method, "/socket.io.js?<b>evil</b>", {}, b"data=x")
            self.assertEqual(set(client.response().headers["allow"].split(", ")), {"GET", "HEAD"}, method)
            self.assertRefused(client, 405, "method not allowed")

    def test_traversal(self) -> None:
        """No path leads out of the folder, or to anything in it that is not a script."""
        for path in (
            "/secret.txt",
            "/README",
            "/page.html",
            "/.hidden",
            "/upper.JS",
            "/folder.js",
            "/folder.js/",
            "/lib",
            "/lib/",
            "/../secret.js",
            "/lib/../../secret.js",
            "/%2e%2e/secret.js",
            "/%2e%2e%2fsecret.js",
            "/..%2fsecret.js",
            "/..%5csecret.js",
            "/lib/..%2fsocket.io.js",
            "//socket.io.js",
            "/./socket.io.js",
            "/socket.io.js/",
            "/socket.io.js/x",
            "/socket.io.js%00",
            "/socket.io.js%00.swf",
            f"/{self.folder.resolve()}/socket.io.js",
            "/socket.io",
        ):
            self.assertRefused(self.server.get(path), 404, "not a Socket.IO URL")

    def test_transportsFirst(self) -> None:
        """A file can't take the place of a transport, nor hide an unknown session."""
        self.assertCut(self.server.get("/xhr-polling/evil.js"))
        self.assertEqual(self.server.get("/xhr-polling//evil.js").response().status, 200)

    def test_stopped(self) -> None:
        """Files do not depend on sessions: a server that stops still has them."""
        self.server.sio.stop()
        self.assertEqual(self.server.get("/socket.io.js").response().body, SCRIPT)

    def test_foreignPages(self) -> None:
        """A page of any origin may load a script, as pages may."""
        response = self.server.get(
            "/socket.io.js", Origin="http://evil.example", Referer="http://evil.example/"
        ).response()
        self.assertEqual(response.body, SCRIPT)


class StaticFileTests(ServerCase):
    """One file in memory."""

    def test_moreHeaders(self) -> None:
        """A file may have headers of its own, which come before the usual ones."""
        server = Server()
        file = StaticFile(b"<p>", "text/html", {"Content-Security-Policy": "default-src 'none'", "Cache-Control": "x"})
        server.site.resource.putChild(b"page", file)
        client = server.connect()
        client.send(b"GET /page HTTP/1.1\r\nHost: h\r\n\r\n")
        headers = client.response().headers
        self.assertEqual(headers["content-type"], "text/html")
        self.assertEqual(headers["content-security-policy"], "default-src 'none'")
        self.assertEqual(headers["cache-control"], "x")
        self.assertEqual(headers["x-content-type-options"], "nosniff")
