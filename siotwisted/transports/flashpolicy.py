"""
The Flash policy: what a Flash plugin asks a server before it opens a socket there, and so before ``flashsocket``.

The question is ``<policy-file-request/>`` and a zero byte; the answer a small XML file, after which the server closes.
Flash asks on port 843 first (:class:`FlashPolicyFactory`), then on the port that it wants to connect to, where
:class:`FlashPolicySniffer` tells its question from all else: no HTTP request begins with ``<``.

Both are off unless one puts them up: a policy lets programs of other origins talk to the server.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from xml.sax.saxutils import quoteattr

from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure

__all__ = ["FlashPolicyFactory", "FlashPolicySniffer", "policyFile"]

_REQUEST = b"<policy-file-request/>\0"
#: How long the question may take, in seconds.
_TIMEOUT = 5.0
#: How long a connection may be silent at first, in seconds.
_SILENCE = 60.0


def policyFile(domains: Iterable[str], ports: str) -> bytes:
    """
    The answer to the question, with the zero byte that ends it.

    :param domains: the hosts of pages that may connect, such as ``example.com``, ``*.example.com`` or ``*``.
    :param ports: the ports that they may connect to, such as ``80,8080-8090`` or ``*``.
    """
    rules = "".join(
        f"<allow-access-from domain={quoteattr(domain)} to-ports={quoteattr(ports)}/>\n" for domain in domains
    )
    return (
        '<?xml version="1.0"?>\n'
        '<!DOCTYPE cross-domain-policy SYSTEM "http://www.macromedia.com/xml/dtds/cross-domain-policy.dtd">\n'
        f"<cross-domain-policy>\n{rules}</cross-domain-policy>\n\0"
    ).encode()


class FlashPolicyProtocol(Protocol, TimeoutMixin):
    """
    Reads one question and answers it. Anything else, more than the question, or silence, closes the connection.

    :param policy: the answer.
    """

    def __init__(self, policy: bytes) -> None:
        self._policy = policy
        self._received = b""

    def connectionMade(self) -> None:
        """Wait for the question, for a while."""
        self.setTimeout(_TIMEOUT)

    def dataReceived(self, data: bytes) -> None:
        """Answer a whole question; wait for the rest of a part of one; close on anything else."""
        self._received += data[: len(_REQUEST)]
        if self._received == _REQUEST:
            assert self.transport is not None
            self.transport.write(self._policy)
        elif _REQUEST.startswith(self._received):
            return
        self.timeoutConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self.setTimeout(None)


class FlashPolicyFactory(Factory):
    """
    The policy on a port of its own.

    :param policy: the answer; see :func:`policyFile`.
    """

    noisy = False

    def __init__(self, policy: bytes) -> None:
        self._policy = policy

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """One protocol for each question."""
        return FlashPolicyProtocol(self._policy)


class SniffingProtocol(Protocol, TimeoutMixin):
    """
    Looks at the first byte of a connection and gives all to the protocol that it speaks.

    :param web: for anything but the question of a Flash plugin.
    :param flash: for that question.
    """

    def __init__(self, web: IProtocol, flash: IProtocol) -> None:
        self._web = web
        self._flash = flash
        self._chosen: IProtocol | None = None

    def connectionMade(self) -> None:
        """Wait for the first byte, for a while."""
        self.setTimeout(_SILENCE)

    def dataReceived(self, data: bytes) -> None:
        """Choose once, and hand everything on."""
        if self._chosen is None:
            assert self.transport is not None
            self.setTimeout(None)
            self._chosen = self._flash if data.startswith(b"<") else self._web
            self._chosen.makeConnection(self.transport)
        self._chosen.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the chosen protocol, if there is one yet."""
        self.setTimeout(None)
        if self._chosen is not None:
            self._chosen.connectionLost(reason)


class FlashPolicySniffer(Factory):
    """
    Another factory's port that answers Flash plugins too.

    :param wrapped: the factory, a ``Site`` for instance, which gets every connection but theirs.
    :param policy: the answer; see :func:`policyFile`.
    """

    noisy = False

    def __init__(self, wrapped: IProtocolFactory, policy: bytes) -> None:
        self._wrapped = wrapped
        self._flash = FlashPolicyFactory(policy)

    def doStart(self) -> None:
        """Start the wrapped factory too."""
        super().doStart()
        self._wrapped.doStart()

    def doStop(self) -> None:
        """Stop the wrapped factory too."""
        self._wrapped.doStop()
        super().doStop()

    def buildProtocol(self, addr: Any) -> Protocol | None:
        """A protocol that sniffs; None if the wrapped factory refuses the connection."""
        web = self._wrapped.buildProtocol(addr)
        return None if web is None else SniffingProtocol(web, self._flash.buildProtocol(addr))
