"""
The ``twistd siochat`` command: its options, and the service that they describe.
"""

from __future__ import annotations

import os
import sys
from inspect import isabstract
from typing import Any, ClassVar

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import IService, MultiService, Service
from twisted.application.strports import service as listeningService
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.reflect import namedAny
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError
from zope.interface import implementer

from siotwisted.chat import Chat, chatSite
from siotwisted.clientfiles import ClientFiles
from siotwisted.config import TRANSPORTS, Config
from siotwisted.dialects.socketio06 import SOCKETIO_06_CODECS
from siotwisted.server import SocketIO
from siotwisted.site import SocketIOSite
from siotwisted.transports.flashpolicy import FlashPolicyFactory, FlashPolicySniffer, policyFile
from siotwisted.wire.codec import Codec
from siotwisted.workerlinks import WorkerLinks
from siotwisted.workers import MOST_WORKERS, WORKER, Orphan, SharedPort, WorkerEndpoint, WorkerMonitor

__all__ = ["Options", "makeService"]

_DEFAULT_LISTEN = "tcp:8080:interface=127.0.0.1"
#: How a worker is started.
_TWISTD = "from twisted.scripts.twistd import run; run()"
#: How long a worker may take to stop, in seconds, when its clients have got what was sent to them.
_PATIENCE = 10.0
#: A client that goes without a word is announced after this, in seconds: people look at a chat.
_RECONNECT_TIMEOUT = 15.0


def _words(text: str) -> list[str]:
    return [word for word in text.replace(",", " ").split() if word]


def _codec(name: str) -> type[Codec]:
    """A codec by its own name, or by the Python name of its class."""
    for codec in SOCKETIO_06_CODECS:
        if codec.name == name:
            return codec
    try:
        found = namedAny(name)
    except (AttributeError, ValueError, ImportError) as error:
        raise UsageError(f"no such codec: {name}") from error
    if not (isinstance(found, type) and issubclass(found, Codec)) or isabstract(found):
        raise UsageError(f"not a codec: {name}")
    return found


class Options(UsageOptions):
    """The command line of ``twistd siochat``."""

    synopsis = "[options]"
    longdesc = "A chat on Socket.IO: a page for people, and an endpoint for every client of Socket.IO, 0.5 to 4.8."

    optParameters: ClassVar[list[list[Any]]] = [
        ["origins", "o", "", "Origins of other pages that may connect, such as 'example.com:*', separated by commas."],
        ["transports", "t", ",".join(TRANSPORTS), "The transports to serve, separated by commas."],
        [
            "codec",
            "c",
            "sio",
            "The codec of 0.6's plain URLs: 'sio', 'streaming', or the Python name of a Codec class.",
        ],
        ["client-files", "f", None, "A folder of client scripts to serve below /socket.io/."],
        ["flash-policy", "p", "", "Domains of pages whose Flash may connect, separated by commas; '*' for all."],
        ["drain-timeout", "d", "5", "Seconds to wait, when it stops, until all clients have what was sent to them."],
        ["flash-listen", None, None, "An endpoint to serve the Flash policy on, such as 'tcp:843', beside every port."],
        ["workers", "w", "1", "How many processes serve the ports, which are all of TCP then: one for each core."],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []

    def opt_listen(self, description: str) -> None:
        """
        An endpoint to listen on, as Twisted writes them; may be given again. [default: tcp:8080:interface=127.0.0.1]
        """
        self["listen"].append(description)

    opt_l = opt_listen

    def postOptions(self) -> None:
        """
        Turn the words into settings.

        :raises UsageError: if they make no sense.
        """
        from twisted.internet import reactor

        self["listen"] = self["listen"] or [_DEFAULT_LISTEN]
        for description in [*self["listen"], *filter(None, [self["flash-listen"]])]:
            try:
                serverFromString(reactor, description)
            except Exception as error:  # whatever the endpoint's parser raises
                raise UsageError(f"can't listen on {description!r}: {error}") from error
        if self["flash-listen"] and not self["flash-policy"]:
            raise UsageError("--flash-listen needs --flash-policy")
        try:
            self["drain-timeout"] = float(self["drain-timeout"])
        except ValueError as error:
            raise UsageError(f"--drain-timeout is a number of seconds: {error}") from error
        try:
            self["workers"] = int(self["workers"])
        except ValueError as error:
            raise UsageError(f"--workers is a number: {error}") from error
        if not 1 <= self["workers"] <= MOST_WORKERS:
            raise UsageError(f"--workers is a number from 1 to {MOST_WORKERS}")
        if self["workers"] > 1 and not all(map(SharedPort.read, self["listen"])):
            raise UsageError("--workers needs endpoints such as tcp:8080:interface=127.0.0.1, and SO_REUSEPORT")
        chosen = _codec(self["codec"])
        try:
            self["config"] = Config(
                origins=_words(self["origins"]),
                transports=_words(self["transports"]),
                codecs=(chosen, *(codec for codec in SOCKETIO_06_CODECS if codec is not chosen)),
                reconnectTimeout=_RECONNECT_TIMEOUT,
            )
            self["clients"] = ClientFiles(self["client-files"]) if self["client-files"] else None
        except ValueError as error:
            raise UsageError(str(error)) from error


@implementer(IStreamServerEndpoint)
class AnnouncedEndpoint:
    """
    An endpoint that says in the log which address a browser should open.

    :param endpoint: the one that listens.
    :param scheme: ``http`` or ``https``.
    """

    _log = Logger()

    def __init__(self, endpoint: IStreamServerEndpoint, scheme: str) -> None:
        self._endpoint = endpoint
        self._scheme = scheme

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen, then say where."""
        return self._endpoint.listen(protocolFactory).addCallback(self._listening)

    def _listening(self, port: IListeningPort) -> IListeningPort:
        address = port.getHost()
        if isinstance(address, (IPv4Address, IPv6Address)):
            host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
            host = f"[{host}]" if ":" in host else host
            self._log.info("chat: open {scheme}://{host}:{port}/", scheme=self._scheme, host=host, port=address.port)
        else:
            self._log.info("chat: listening on {address}", address=address)
        return port


class SocketIOService(MultiService):
    """
    A server, and the services that listen for its clients. When the application stops, the clients get what was sent to
    them; not until then it listens no more, for they need their next requests to say that they have it.

    :param sio: the server.
    :param drainTimeout: for how many seconds they are waited for.
    """

    def __init__(self, sio: SocketIO, drainTimeout: float) -> None:
        super().__init__()
        self._sio = sio
        self._drainTimeout = drainTimeout

    def stopService(self) -> Deferred[None]:
        """Stop the server; fires when all connections are closed."""
        return self._sio.stop(self._drainTimeout).addCallback(lambda _: super(SocketIOService, self).stopService())


class _Watched(Service):
    """A worker ends with the process that watches over it."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def startService(self) -> None:
        """Look at standard input, which that process has the other end of."""
        super().startService()
        self._reactor.addReader(Orphan(self._reactor))


def _workers(options: Options, reactor: Any) -> IService:
    """The service of the process that watches over workers."""
    ports = [port for port in map(SharedPort.read, options["listen"]) if port is not None]
    command = [sys.executable, "-c", _TWISTD, "--nodaemon", "--pidfile=", "siochat"]
    for name in ("origins", "transports", "codec", "client-files", "flash-policy", "drain-timeout"):
        if options[name] not in (None, ""):
            command += [f"--{name}", str(options[name])]
    return WorkerMonitor(reactor, command, ports, options["workers"], options["drain-timeout"] + _PATIENCE)


def makeService(options: Options) -> IService:
    """The service that the options describe: the chat on every endpoint, and the Flash policy, if there is one."""
    from twisted.internet import reactor

    worker = os.environ.get(WORKER)
    domains = _words(options["flash-policy"])
    policy = policyFile(domains, "*") if domains else b""
    parent: MultiService
    if options["workers"] > 1 and worker is None:
        parent = MultiService()
        _workers(options, reactor).setServiceParent(parent)
    else:
        parent = _served(options, reactor, worker, policy)
    if policy and options["flash-listen"]:
        listeningService(options["flash-listen"], FlashPolicyFactory(policy)).setServiceParent(parent)
    return parent


def _served(options: Options, reactor: Any, worker: str | None, policy: bytes) -> MultiService:
    """The service of a process that serves: the only one, or a worker."""
    links = None
    if worker is not None:
        number, count, folder = worker.split(" ", 2)
        links = WorkerLinks(reactor, int(number), int(count), folder)
    sio = SocketIO(reactor, options["config"], links)
    Chat(sio, cluster=links)
    site = SocketIOSite(chatSite(sio, options["clients"]), links)
    factory: Any = FlashPolicySniffer(site, policy) if policy else site
    parent = SocketIOService(sio, options["drain-timeout"])
    if links is not None:
        links.site = site
        links.setServiceParent(parent)
        _Watched(reactor).setServiceParent(parent)
    for description in options["listen"]:
        listener: StreamServerEndpointService = listeningService(description, factory)
        if links is not None:
            port = SharedPort.read(description)
            assert port is not None
            listener.endpoint = WorkerEndpoint(reactor, port, links)
        scheme = "https" if description.startswith("ssl:") else "http"
        listener.endpoint = AnnouncedEndpoint(listener.endpoint, scheme)
        listener.setServiceParent(parent)
    return parent
