# ruff: noqa: INP001
"""How Sphinx builds the guide: ``sphinx-build -W docs build/docs``."""

from __future__ import annotations

from siotwisted import __version__

project = "siotwisted"
author = "The siotwisted authors"
version = release = __version__

html_theme = "alabaster"  # comes with Sphinx
html_theme_options = {"description": "The native Socket.IO server for Twisted", "page_width": "72em"}
html_show_copyright = False
exclude_patterns = ["_build"]
pygments_style = "friendly"
