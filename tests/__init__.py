"""The tests of siotwisted."""
