"""
The bytes of every protocol, formed and read without any I/O.

Nothing here imports Twisted or Autobahn: a module turns packets into text and text into packets, and vectors alone test
it.
"""
