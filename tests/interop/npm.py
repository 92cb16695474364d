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
from dataclasses import dataclass
from pathlib import Path

__all__ = ["RELEASES", "Release", "fetchBundle", "installDriver"]

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
    :param transports: the transports it has that this suite can drive
    """

    package: str
    version: str
    client: str
    bundle: str
    transports: tuple[str, ...]

    @property
    def fileName(self) -> str:
        """The name under which the bundle is kept, and served."""
        return f"{self.package}-{self.version}.js"


def _readReleases() -> dict[str, Release]:
    rows = json.loads(Path(__file__).with_name("releases.json").read_text())
    releases = [Release(**{**row, "transports": tuple(row["transports"])}) for row in rows]
    return {release.client: release for release in releases}


#: The releases under test by the version of the client, the oldest first.
RELEASES = _readReleases()


def _cacheFolder(name: str) -> Path:
    root = os.environ.get("SIOTWISTED_TEST_CACHE") or Path.home() / ".cache" / "siotwisted-tests"
    folder = Path(root, name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _npm(*arguments: str) -> None:
    done = subprocess.run(["npm", *arguments], capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise RuntimeError(f"npm {' '.join(arguments)} failed:\n{done.stderr}")


def fetchBundle(release: Release) -> Path:
    """Return the file that holds the browser script of a release, fetching its package if need be."""
    script = _cacheFolder("clients") / release.fileName
    if not script.exists():
        folder = _cacheFolder("tarballs")
        _npm("pack", "--silent", f"{release.package}@{release.version}", "--pack-destination", str(folder))
        with tarfile.open(folder / f"{release.package}-{release.version}.tgz") as package:
            # The oldest packages were not packed under the folder "package", as is the rule today.
            (member,) = [m for m in package.getmembers() if m.name.split("/", 1)[-1] == release.bundle]
            content = package.extractfile(member)
            assert content is not None
            partial = script.with_suffix(".partial")
            partial.write_bytes(content.read())
        partial.rename(script)
    return script


def installDriver() -> Path:
    """Return the ``node_modules`` folder that holds the browser's driver, installing it if need be."""
    folder = _cacheFolder(DRIVER)
    modules = folder / "node_modules"
    if not (modules / ".package-lock.json").exists():
        _npm("install", "--silent", "--no-save", "--ignore-scripts", "--prefix", str(folder), DRIVER)
    return modules
