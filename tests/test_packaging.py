"""
What the distribution must hold beside its modules.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.tap import Options

ROOT = Path(__file__).parent.parent
PLUGIN = "twisted/plugins/siotwisted_chat.py"


class PackagingTests(SynchronousTestCase):
    """The checkout and the package, without building anything."""

    def test_oneFileUnderTwisted(self) -> None:
        """``twisted/`` holds the plugin alone: installing an ``__init__.py`` would replace Twisted's own."""
        made = ("dropin.cache", "__pycache__")
        found = [
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / "twisted").rglob("*")
            if path.is_file() and not set(made) & set(path.parts)
        ]
        self.assertEqual(found, [PLUGIN])

    def test_wheelTakesThePluginByName(self) -> None:
        """The wheel is told to take the package and the one plugin file, never the folder that it is in."""
        with (ROOT / "pyproject.toml").open("rb") as project:
            targets = tomllib.load(project)["tool"]["hatch"]["build"]["targets"]
        self.assertEqual(targets["wheel"], {"only-include": ["siotwisted", PLUGIN]})

    def test_pluginIsListed(self) -> None:
        """Twisted finds the command ``siochat`` once, and its options are those of our module."""
        makers = [maker for maker in getPlugins(IServiceMaker) if maker.tapname == "siochat"]
        self.assertEqual([maker.options for maker in makers], [Options])

    def test_typed(self) -> None:
        """The package says that its annotations are for others, too."""
        self.assertTrue((files("siotwisted") / "py.typed").is_file())

    def test_page(self) -> None:
        """The chat's page is in the package, where an installed package finds it."""
        page = files("siotwisted") / "page" / "index.html"
        self.assertIn("<html", page.read_text("utf-8"))
