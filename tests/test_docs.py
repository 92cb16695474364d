"""
The guide and the README: their examples are run, and their tables of settings are those of the code.

A page is read from its top, and what a block defines stays for those below it. :data:`PRELUDE` is there from the start.

========================================  ===========================================================================
``.. code-block:: python``                is run
``.. code-block:: pycon``                 is run, and what stands below each ``>>>`` must come out; ``...`` is any text
``.. check``                              is run too: a comment, which readers of the page don't see
``.. literalinclude:: ../examples/NAME``  is run by ``tests/integration/test_examples.py``
any other block                           is not run; ``.. not run: REASON`` stands above it
========================================  ===========================================================================
"""

from __future__ import annotations

import doctest
import re
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import fields
from fnmatch import fnmatch
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from siotwisted import Config, SocketIO

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
#: Made by a command, from what real clients did.
MADE = "compatibility.rst"
#: Where the examples of the guide are run that are files.
EXAMPLE_TESTS = ROOT / "tests" / "integration" / "test_examples.py"

_BEGIN = re.compile(r"\.\. (?:(?P<kind>check|not run: .+)|(?P<directive>code-block|literalinclude):: (?P<argument>.+))")
#: What would be a block that nobody looks at.
_OVERSEEN = re.compile(r"\s+\.\. (code-block|check|not run)|\.\. (code|sourcecode|parsed-literal)::|(?!\.\.).*::$")
_TEST = re.compile(r"``(tests/[\w/]+\.py)::(\w+)``")
_ROW = re.compile(r"``(\w+)`` +(.+?)(?:  .*|$)")


class Block(NamedTuple):
    """
    A block of a page.

    :ivar line: where its first line is, counted from 0.
    :ivar kind: its language; ``check``, ``not run: REASON``, or ``literalinclude``.
    :ivar text: what is in it; for what is included, its path.
    """

    line: int
    kind: str
    text: str


def blocks(page: str) -> Iterator[Block]:
    """
    The blocks of a page.

    :raises ValueError: for one in which a reader of this would find nothing.
    """
    lines = page.splitlines()
    for number, line in enumerate(lines):
        if _OVERSEEN.match(line):
            raise ValueError(f"line {number + 1}: {line!r} is not a block that can be tested")
        begin = _BEGIN.fullmatch(line)
        if begin is None:
            continue
        if begin["directive"] == "literalinclude":
            yield Block(number, "literalinclude", begin["argument"])
            continue
        end = number + 1
        while end < len(lines) and (not lines[end] or lines[end].startswith("    ")):
            end += 1
        text = "\n".join(each[4:] for each in lines[number + 1 : end]) + "\n"
        yield Block(number + 1, begin["kind"] or begin["argument"], text)


def prelude() -> dict[str, Any]:
    """What every page may use: a server, and its reactor, which is a clock."""
    reactor = Clock()
    return {"__name__": "page", "reactor": reactor, "sio": SocketIO(reactor)}


class Page:
    """
    A page that is run.

    :param path: where it is.
    :param namespace: the names that its blocks share.
    """

    def __init__(self, path: Path, namespace: dict[str, Any]) -> None:
        self._path = path
        self._namespace = namespace
        self._reason = ""
        self._runs: dict[str, Callable[[Block], None]] = {
            "python": self._run,
            "check": self._run,
            "pycon": self._converse,
            "literalinclude": self._include,
        }

    def run(self) -> None:
        """
        Run all blocks.

        :raises AssertionError: for one that can't be run and has no reason, and for what comes out wrong.
        """
        for block in blocks(self._path.read_text("utf-8")):
            if block.kind.startswith("not run: "):
                self._reason = block.kind
            elif self._reason:
                self._reason = ""
            else:
                run = self._runs.get(block.kind)
                assert run is not None, f"{self._path.name}:{block.line}: is not run, and no reason is given"
                run(block)
        assert not self._reason, f"{self._path.name}: nothing follows {self._reason!r}"

    def _run(self, block: Block) -> None:
        code = compile("\n" * block.line + block.text, str(self._path), "exec")
        with redirect_stdout(StringIO()):
            exec(code, self._namespace)

    def _converse(self, block: Block) -> None:
        test = doctest.DocTestParser().get_doctest(block.text, {}, "", str(self._path), block.line)
        assert test.examples, f"{self._path.name}:{block.line}: nothing is asked"
        test.globs = self._namespace
        report: list[str] = []
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append, clear_globs=False)
        assert not report, "".join(report)

    def _include(self, block: Block) -> None:
        path = (self._path.parent / block.text).resolve()
        assert path.is_file(), f"{self._path.name}:{block.line}: no such file"
        assert f'"{path.name}"' in EXAMPLE_TESTS.read_text("utf-8"), f"{path.name} is not run by {EXAMPLE_TESTS.name}"


class PageTests(SynchronousTestCase):
    """Every page, run from its top to its end."""

    def check(self, path: Path) -> None:
        """Run a page, whose checks may look at what was logged."""
        Page(path, {**prelude(), "logged": self.flushLoggedErrors}).run()

    def test_complete(self) -> None:
        """No page is forgotten here, and all are in the table of contents."""
        pages = {path.stem for path in DOCS.glob("*.rst") if path.name != MADE}
        tests = {name.removeprefix("test_") for name in dir(self) if name.startswith("test_")}
        self.assertEqual(pages - tests, set())
        contents = re.findall(r"^    ([\w*]+)$", (DOCS / "index.rst").read_text("utf-8"), re.MULTILINE)
        listed = {page for page in pages if any(fnmatch(page, entry) for entry in contents)}
        self.assertEqual(pages - listed, {"index"})

    def test_README(self) -> None:
        """The README."""
        self.check(ROOT / "README.rst")

    def test_index(self) -> None:
        """What the others begin with."""
        self.check(DOCS / "index.rst")

    def test_performance(self) -> None:
        """What makes it fast."""
        self.check(DOCS / "performance.rst")

    def test_quickstart(self) -> None:
        """The first program."""
        self.check(DOCS / "quickstart.rst")

    def test_events(self) -> None:
        """Events and messages."""
        self.check(DOCS / "events.rst")

    def test_acks(self) -> None:
        """Answers, both ways."""
        self.check(DOCS / "acks.rst")

    def test_delivery(self) -> None:
        """What becomes of messages."""
        self.check(DOCS / "delivery.rst")

    def test_rooms(self) -> None:
        """Whom a message is for."""
        self.check(DOCS / "rooms.rst")

    def test_namespaces(self) -> None:
        """Namespaces."""
        self.check(DOCS / "namespaces.rst")

    def test_middleware(self) -> None:
        """Who may come in, and with what."""
        self.check(DOCS / "middleware.rst")

    def test_binary(self) -> None:
        """Bytes."""
        self.check(DOCS / "binary.rst")

    def test_oldclients(self) -> None:
        """What each generation gets."""
        self.check(DOCS / "oldclients.rst")

    def test_testing(self) -> None:
        """Tests of applications."""
        self.check(DOCS / "testing.rst")

    def test_configuration(self) -> None:
        """All settings."""
        self.check(DOCS / "configuration.rst")

    def test_deployment(self) -> None:
        """In the world."""
        self.check(DOCS / "deployment.rst")

    def test_engineio(self) -> None:
        """Engine.IO alone."""
        self.check(DOCS / "engineio.rst")


#: Defaults that people write in other words than Python.
_WORDS = {"transports": "all", "generations": "all", "codecs": "both", "origins": "none", "queueBytes": "4 MiB"}


def _text(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


DEFAULTS = {field.name: _WORDS.get(field.name) or _text(field.default) for field in fields(Config)}


class SettingsTests(SynchronousTestCase):
    """The tables of settings are complete, and their defaults are those of the code."""

    def check(self, path: Path) -> None:
        """Compare a page's tables with the settings that there are."""
        shown: dict[str, str] = {}
        for name, default in _ROW.findall(path.read_text("utf-8")):
            if name in DEFAULTS:
                self.assertNotIn(name, shown, "in the table twice")
                shown[name] = default
        self.assertEqual(shown, DEFAULTS)

    def test_configuration(self) -> None:
        """Those of the guide."""
        self.check(DOCS / "configuration.rst")

    def test_README(self) -> None:
        """Those of the README."""
        self.check(ROOT / "README.rst")


class NameTests(SynchronousTestCase):
    """What the pages say of tests."""

    def test_exist(self) -> None:
        """The tests that they name exist."""
        for path in (ROOT / "README.rst", *DOCS.glob("*.rst")):
            for module, name in _TEST.findall(path.read_text("utf-8")):
                text = (ROOT / module).read_text("utf-8")
                self.assertRegex(text, rf"(?m)^ *(?:async def|def|class) {name}\b", f"{path.name}: {module}::{name}")


class BlockTests(SynchronousTestCase):
    """The reading of pages overlooks nothing."""

    def page(self, text: str) -> Page:
        """A page of this text."""
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = Path(folder.name, "page")
        path.write_text(text)
        return Page(path, {})

    def fails(self, text: str, why: str) -> None:
        """A page of this text fails, and says why."""
        error = self.assertRaises(AssertionError, self.page(text).run)
        self.assertIn(why, str(error))

    def test_passes(self) -> None:
        """Names live from block to block; what has a reason is not run."""
        self.page(
            ".. code-block:: python\n\n    a = 1\n\nText.\n\n.. check\n\n    assert a == 1\n\n"
            ".. code-block:: pycon\n\n    >>> a\n    1\n\n.. not run: no shell\n\n.. code-block:: sh\n\n    rm a\n"
        ).run()

    def test_error(self) -> None:
        """A block that raises fails."""
        self.assertRaises(ZeroDivisionError, self.page(".. code-block:: python\n\n    1 / 0\n").run)

    def test_hidden(self) -> None:
        """So does a check."""
        self.assertRaises(AssertionError, self.page(".. check\n\n    assert False\n").run)

    def test_output(self) -> None:
        """So does an output that does not come, and one that is not said."""
        self.fails(".. code-block:: pycon\n\n    >>> 1\n    2\n", "Expected:")
        self.fails(".. code-block:: pycon\n\n    >>> 1\n", "Expected nothing")
        self.fails(".. code-block:: pycon\n\n    1\n", "nothing is asked")

    def test_unknown(self) -> None:
        """What can't be run needs a reason; and a reason, something."""
        self.fails(".. code-block:: sh\n\n    rm a\n", "no reason")
        self.fails(".. not run: no shell\n", "nothing follows")

    def test_include(self) -> None:
        """What is included must be there, and be tested."""
        self.fails(".. literalinclude:: nothing.py\n", "no such file")
        page = self.page(".. literalinclude:: untested.py\n")
        page._path.with_name("untested.py").write_text("")
        self.assertRaises(AssertionError, page.run)

    def test_overseen(self) -> None:
        """Other forms of blocks are errors."""
        for text in ("So::\n\n    1\n", "- a\n\n  .. code-block:: python\n\n      1\n", ".. code:: python\n\n    1\n"):
            self.assertRaises(ValueError, self.page(text).run)
