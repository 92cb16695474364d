"""Tests of the wire formats, from vectors and by property."""
