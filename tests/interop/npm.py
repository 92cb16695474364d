"""
What the tests take from npm, kept in a cache outside the tree: the clients' bundles and the browser's driver.

Everything is asked for by name and exact version, and fetched once. The cache is the folder named by
``SIOTWISTED_TEST_CACHE``, or ``~/.cache/siotwisted-tests``.
"""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

__all__ = [
    "CENSUS",
    "MESSAGE_PACK",
    "RELEASES",
    "Release",
    "cacheFolder",
    "fetchBundle",
    "fetchBundles",
    "installClient",
    "installDriver",
]

# The last version that runs on Node.js 18, which is what Debian 12 has.
DRIVER = "playwright-core@1.61.0"


@dataclass(frozen=True)
class Release:
    """
    One published client.

    :param package: the npm package that carries it
    :param version: the version of that package
    :param client: the version that the client gives as ``io.version``
    :param bundle: where in the package the browser's script is
    :param generation: "0.5", "0.6", "0.7-0.9", "1-2" or "3-4"
    :param transports: the transports it has that this suite can drive
    :param lacks: what it can't do, though others of its generation can; "WHAT by TRANSPORT" if by that alone
    :param variant: what sets this script of the package apart from the usual one
    """

    package: str
    version: str
    client: str
    bundle: str
    generation: str
    transports: tuple[str, ...]
    lacks: tuple[str, ...] = ()
    variant: str = ""

    @property
    def fileName(self) -> str:
        """The name under which the bundle is kept, and served."""
        return "-".join(filter(None, (self.package, self.version, self.variant))) + ".js"


def _readCensus() -> tuple[Release, ...]:
    rows: list[dict[str, Any]] = json.loads(Path(__file__).with_name("census.json").read_text())
    return tuple(
        Release(**{**row, "transports": tuple(row["transports"]), "lacks": tuple(row.get("lacks", ()))}) for row in rows
    )


#: Every release that was ever published, from 0.5.3 on, the oldest first.
CENSUS = _readCensus()

#: The latest release with another parser, which comes in a script of its own.
MESSAGE_PACK = replace(
    CENSUS[-1],
    bundle="dist/socket.io.msgpack.min.js",
    variant="msgpack",
    transports=("websocket", "polling", "upgrade"),
)

#: One release of each client of 0.5 and 0.6 by the version of the client, the oldest first; many carry the same client.
RELEASES: dict[str, Release] = {}
for _release in CENSUS:
    if _release.generation in {"0.5", "0.6"}:
        RELEASES.setdefault(_release.client, _release)


def cacheFolder(name: str) -> Path:
    """Return a folder of the cache."""
    root = os.environ.get("SIOTWISTED_TEST_CACHE") or Path.home() / ".cache" / "siotwisted-tests"
    folder = Path(root, name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _npm(*arguments: str) -> None:
    done = subprocess.run(["npm", *arguments], capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise RuntimeError(f"npm {' '.join(arguments)} failed:\n{done.stderr}")


def _pack(specs: Sequence[str]) -> None:
    _npm("pack", "--silent", *specs, "--pack-destination", str(cacheFolder("tarballs")))


def _unpack(release: Release, member: str, script: Path) -> None:
    tarball = cacheFolder("tarballs") / f"{release.package}-{release.version}.tgz"
    if not tarball.exists():
        _pack([f"{release.package}@{release.version}"])
    with tarfile.open(tarball) as package:
        # The oldest packages were not packed under the folder "package", as is the rule today.
        (found,) = [each for each in package.getmembers() if each.name.split("/", 1)[-1] == member]
        content = package.extractfile(found)
        assert content is not None
        partial = script.with_suffix(".partial")
        partial.write_bytes(content.read())
    partial.rename(script)


def fetchBundle(release: Release) -> Path:
    """Return the file that holds the browser script of a release, fetching its package if need be."""
    script = cacheFolder("clients") / release.fileName
    if not script.exists():
        _unpack(release, release.bundle, script)
    return script


def fetchBundles(releases: Iterable[Release]) -> Path:
    """Return the folder that holds the scripts of these releases, fetching what is missing, many packages at a time."""
    missing = [release for release in releases if not (cacheFolder("clients") / release.fileName).exists()]
    for start in range(0, len(missing), 20):
        _pack([f"{release.package}@{release.version}" for release in missing[start : start + 20]])
    for release in missing:
        fetchBundle(release)
    return cacheFolder("clients")


def installClient(release: Release) -> Path:
    """Return the ``node_modules`` folder that holds a release as Node.js loads it, installing it if need be."""
    return _install(f"{release.package}@{release.version}")


def installDriver() -> Path:
    """Return the ``node_modules`` folder that holds the browser's driver, installing it if need be."""
    return _install(DRIVER)


def _install(spec: str) -> Path:
    folder = cacheFolder(spec)
    modules = folder / "node_modules"
    if not (modules / ".package-lock.json").exists():
        _npm("install", "--silent", "--no-save", "--ignore-scripts", "--prefix", str(folder), spec)
    return modules
