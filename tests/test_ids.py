"""
``ids``: what nobody can guess, and no two have.
"""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from siotwisted import ids


class IDTests(SynchronousTestCase):
    """Ids, whatever is left of what the system gave."""

    def test_length(self) -> None:
        """An id has the length that is asked for, and no two are the same."""
        made = [ids.newID(length) for length in (1, 20, 27, 43, 4096, 4000, 97, 20)]
        self.assertEqual([len(id) for id in made], [1, 20, 27, 43, 4096, 4000, 97, 20])
        many = [ids.newID(20) for _ in range(2000)]
        self.assertEqual(len(set(many)), 2000)
        for id in many:
            self.assertRegex(id, r"\A[A-Za-z0-9_-]{20}\Z")

    def test_forked(self) -> None:
        """A process and one that was forked off make different ids."""
        ids.newID(20)
        here, there = os.pipe()
        child = os.fork()
        if not child:
            os.write(there, ids.newID(40).encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(there)
        with open(here, "rb") as pipe:
            other = pipe.read().decode()
        self.assertEqual(len(other), 40)
        self.assertNotEqual(other, ids.newID(40))

    if not hasattr(os, "fork"):
        test_forked.skip = "this system does not fork"  # type: ignore[attr-defined]
