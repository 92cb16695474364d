"""
The layers of the package, and that every import goes down.

:data:`LAYERS` is the table: one row per layer, lowest first, which is the order in which to read the code.
A module imports from lower rows freely. Within its own row it imports only what a chain ``a < b`` puts before
it; chains are separated by ``;``, and modules side by side in a link don't know of each other.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

LAYERS = (
    "errors < wire.jsontext wire.attachments packets < outgoing < interfaces; errors < handshake rooms < interfaces; "
    "ids",
    "wire.units < wire.sio06 wire.sio06streaming wire.sio09; wire.sio45 < wire.sio09; "
    "wire.codec < wire.sio06 wire.sio06streaming wire.sio09; "
    "wire.units wire.engine4 < wire.engine3 < wire.enginecodec; wire.codec wire.engineparsers < wire.enginecodec; "
    "wire.sio45 < wire.siomsgpack < wire.engineparsers; wire.wrappings < wire.sio09 wire.engineparsers; "
    "wire.sio45 wire.websocketframe < wire.enginecodec; "
    "wire.websocketframe",
    "dialects.dialect < dialects.socketio06 dialects.socketio09 dialects.engineio < dialects.routing; origins",
    "config; deadlines",
    "outbox liveness < sender < session < registry; upgrade < session",
    "admission < engine; "
    "admission < transports.shortcut < transports.http < transports.polling transports.streaming; "
    "transports.readiness < transports.immediate; "
    "admission transports.http transports.immediate transports.readiness < transports.websocket; "
    "admission transports.http transports.readiness transports.websocket < transports.websocketfactory; "
    "admission transports.http transports.shortcut transports.websocket < transports.websocketresource; "
    "transports.websocketfactory < transports.websocketresource; "
    "transports.flashpolicy; "
    "handlers < ledger < absences < recipients; "
    "handlers events backlog < middleware recipients < connections < clients namespaces fanout; "
    "absences backlog handlers connections < joining < clients; "
    "connections recipients fanout < cluster; "
    "absences < connections clients fanout",
    "server; clientfiles < resource < site",
    "chatreplica < chat; testing; workerlinks < workers",
    "tap",
)

PURE = 3
"""How many of the lowest rows do no I/O."""

ALLOWED = ("zope.interface", "msgspec")
"""What those rows import, beside the standard library."""

PACKAGE = "siotwisted"
FOLDER = Path(__file__).parent.parent / PACKAGE


def imports(source: str) -> Iterator[tuple[int, str, bool]]:
    """
    All that a module imports, in its functions too: line, dotted name, and whether only for annotations.

    :param source: the text of the module.
    """

    def walk(node: ast.AST, typing: bool) -> Iterator[tuple[int, str, bool]]:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, typing) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{alias.name}", typing) for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for statement in node.body:
                yield from walk(statement, True)
            for statement in node.orelse:
                yield from walk(statement, typing)
        else:
            for child in ast.iter_child_nodes(node):
                yield from walk(child, typing)

    return walk(ast.parse(source), False)


def within(name: str, module: str) -> bool:
    """Whether a dotted name is a module, or something in it."""
    return name == module or name.startswith(module + ".")


class Layers:
    """
    A table of layers, and the check of one module against it.

    :param rows: the table, as in :data:`LAYERS`.
    :param pure: how many rows do no I/O.
    :raises ValueError: if a module stands in two rows.
    """

    def __init__(self, rows: tuple[str, ...], pure: int) -> None:
        self.allowed: dict[str, set[str]] = {}
        self.pure: set[str] = set()
        for number, row in enumerate(rows):
            before: dict[str, set[str]] = {}
            for chain in row.split(";"):
                passed: set[str] = set()
                for link in chain.split("<"):
                    names = link.split()
                    for name in names:
                        before.setdefault(name, set()).update(passed)
                    passed.update(names)
            if twice := self.allowed.keys() & before.keys():
                raise ValueError(f"in two rows: {sorted(twice)}")
            lower = set(self.allowed)
            self.allowed |= {name: lower | sameRow for name, sameRow in before.items()}
            if number < pure:
                self.pure |= before.keys()

    def faults(self, module: str, source: str) -> list[str]:
        """
        What is wrong with the imports of one module: a line for each fault.

        :param module: its name below the package.
        :param source: its text.
        """
        found = []
        for line, name, typing in imports(source):
            fault = self._fault(module, name, typing)
            if fault:
                found.append(f"{module}:{line}: {name} {fault}")
        return found

    def _fault(self, module: str, name: str, typing: bool) -> str:
        root = name.partition(".")[0]
        if root == "":
            return "is relative: write it in full"
        if root == PACKAGE:
            inside = name.removeprefix(PACKAGE + ".")
            lower = any(within(inside, other) for other in self.allowed[module])
            return "" if lower else "is not from a lower layer"
        if module not in self.pure or root in sys.stdlib_module_names or any(within(name, each) for each in ALLOWED):
            return ""
        if typing and root in ("twisted", "autobahn"):
            return ""
        return "has no place in a layer without I/O"


def modulesOnDisk() -> dict[str, Path]:
    """Every module by its name below the package, but for ``_version`` and the ``__init__`` files."""
    paths = (path for path in FOLDER.rglob("*.py") if path.name not in ("__init__.py", "_version.py"))
    return {".".join(path.relative_to(FOLDER).with_suffix("").parts): path for path in paths}


class PackageTests(SynchronousTestCase):
    """The package as it is."""

    def test_everyModuleHasItsPlace(self) -> None:
        """The table names exactly the modules that there are."""
        self.assertEqual(sorted(Layers(LAYERS, PURE).allowed), sorted(modulesOnDisk()))

    def test_importsGoDown(self) -> None:
        """No module imports from a higher layer, nor against its row's order; the lowest do no I/O."""
        layers = Layers(LAYERS, PURE)
        found = []
        for module, path in modulesOnDisk().items():
            if module in layers.allowed:
                found += layers.faults(module, path.read_text("utf-8"))
        self.assertEqual(found, [])

    def test_innerPackagesImportNothing(self) -> None:
        """``wire``, ``dialects`` and ``transports`` are folders only: they load none of their modules by themselves."""
        for path in FOLDER.glob("*/__init__.py"):
            self.assertEqual(list(imports(path.read_text("utf-8"))), [], path)

    def test_versionImportsIncremental(self) -> None:
        """``_version`` imports incremental alone, so that tools can read it before anything is installed."""
        found = [name for _, name, _ in imports((FOLDER / "_version.py").read_text("utf-8"))]
        self.assertEqual(found, ["incremental.Version"])


class CheckerTests(SynchronousTestCase):
    """The checker itself, on a small table and made-up sources."""

    layers = Layers(("low < wire.a wire.b < high; low < aside", "middle; other", "top"), 1)

    def assertFaults(self, module: str, source: str, *expected: str) -> None:
        """The checker finds just these faults, each given as a part of its text."""
        found = self.layers.faults(module, source)
        self.assertEqual(len(found), len(expected), found)
        for fault, part in zip(found, expected, strict=True):
            self.assertIn(part, fault)

    def test_downward(self) -> None:
        """Imports of lower modules, in every spelling, are right."""
        self.assertFaults("middle", "import siotwisted.low")
        self.assertFaults("middle", "import siotwisted.wire.a as a")
        self.assertFaults("middle", "from siotwisted.wire.a import name")
        self.assertFaults("middle", "from siotwisted.wire import a, b")
        self.assertFaults("middle", "from siotwisted import low")

    def test_upward(self) -> None:
        """An import of a higher module is a fault, in every spelling; the fault names line and import."""
        self.assertFaults("middle", "\nfrom siotwisted.top import f", "middle:2: siotwisted.top.f is not from a lower")
        self.assertFaults("middle", "import siotwisted.top", "lower layer")
        self.assertFaults("middle", "from siotwisted import low, top", "siotwisted.top is not")
        self.assertFaults("wire.a", "from siotwisted.middle import f", "siotwisted.middle.f is not")

    def test_upwardForAnnotations(self) -> None:
        """An upward import is a fault for annotations, too: a lower layer does not know the name."""
        self.assertFaults("middle", "if TYPE_CHECKING:\n    from siotwisted.top import C", "siotwisted.top.C")

    def test_upwardInFunction(self) -> None:
        """An import does not hide in a function."""
        self.assertFaults("middle", "def f():\n    import siotwisted.top", "siotwisted.top")

    def test_sameRow(self) -> None:
        """In one row a chain's order decides, and those side by side don't know of each other."""
        self.assertFaults("high", "import siotwisted.low, siotwisted.wire.a")
        self.assertFaults("low", "import siotwisted.high", "lower layer")
        self.assertFaults("wire.a", "import siotwisted.wire.b", "lower layer")
        self.assertFaults("aside", "import siotwisted.high", "lower layer")
        self.assertFaults("other", "import siotwisted.middle", "lower layer")

    def test_nameAlike(self) -> None:
        """A module whose name only begins like that of a lower one is not that one."""
        self.assertFaults("middle", "import siotwisted.lowest", "lower layer")

    def test_itself(self) -> None:
        """A module imports neither itself nor the front of the package."""
        self.assertFaults("top", "import siotwisted.top", "lower layer")
        self.assertFaults("top", "from siotwisted import Config", "lower layer")
        self.assertFaults("top", "import siotwisted", "lower layer")

    def test_relative(self) -> None:
        """A relative import is a fault even where it goes down."""
        self.assertFaults("top", "from .low import f", "relative")
        self.assertFaults("top", "from . import low", "relative")

    def test_pure(self) -> None:
        """The lowest rows import the standard library and what does no I/O; the others what they like."""
        self.assertFaults("low", "import json, msgspec, zope.interface\nfrom zope.interface import implementer")
        self.assertFaults("low", "from twisted.internet import defer", "without I/O")
        self.assertFaults("high", "import autobahn, treq, zope.schema", "autobahn", "treq", "zope.schema")
        self.assertFaults("middle", "from twisted.internet import defer\nimport autobahn")

    def test_pureAnnotations(self) -> None:
        """Annotations of the lowest rows may name Twisted's types; what runs may not."""
        source = "if TYPE_CHECKING:\n    from twisted.internet.defer import Deferred"
        self.assertFaults("low", source)
        self.assertFaults("low", source + "\nelse:\n    import twisted", "low:4: twisted")

    def test_twoRows(self) -> None:
        """A module that stands in two rows is an error of the table."""
        self.assertRaises(ValueError, Layers, ("low < high", "low"), 1)
