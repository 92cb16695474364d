"""
Requests of polling clients, and the handshakes of WebSockets, without most of what Twisted Web does for a request.

A poll, and a message that is posted, are a request each, and nearly all of their cost is that of the request. This is
for those alone that are well-formed and of the usual kind: :func:`readHead` refuses all others, for Twisted Web to
judge. A :class:`ShortRequest` has what transports want of a ``twisted.web.server.Request``, under the same names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from time import time
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from twisted.internet.interfaces import IAddress, IProtocol
from twisted.web.http import datetimeToString

from siotwisted.admission import CHECKED

__all__ = ["NO_HEADERS", "Carrier", "CommonHeaders", "Head", "Pattern", "ShortRequest", "readHead", "timeless"]

_START = re.compile(rb"(GET|POST) (/[!-~]*+) HTTP/1\.1\r\n")
#: The fields of a head, each with its end (RFC 9110, section 5); lines that go on are obsolete, and none of ours.
_FIELDS = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\t -~\x80-\xff]*+\r\n)*+")
_FIELD = re.compile(rb"([^:]++):[ \t]*+([^\r]*+)\r\n")
#: What needs more than reading a body of known length; or may have it, as a proxy understands it.
_UNUSUAL = frozenset(("transfer-encoding", "expect", "te", "trailer"))
#: What a ``Connection`` may say, and whether that needs an ``Upgrade``, which has to name WebSockets alone.
_CONNECTIONS = {"keep-alive": None, "upgrade": "websocket", "keep-alive, upgrade": "websocket"}
_KEY_NAME = b"sec-websocket-key:"
_KEY = re.compile(rb"[ \t]*+([A-Za-z0-9+/=]++)[ \t]*+")
#: One text for all headers of the same name: handshakes are kept as long as their sessions.
_NAMES = {
    name: name
    for name in (
        "accept accept-encoding accept-language cache-control connection content-length content-type cookie host origin"
        " pragma referer sec-fetch-dest sec-fetch-mode sec-fetch-site sec-websocket-extensions sec-websocket-key"
        " sec-websocket-version upgrade user-agent x-forwarded-for x-forwarded-host x-forwarded-proto"
    ).split()
}
#: How long a head and a body may be, in bytes, to be read here.
_LONGEST_HEAD = 8192
_LONGEST_BODY = 65536
_MOST_FIELDS = 100
#: How many heads are remembered: a client sends the same one with every poll.
_REMEMBERED = 512
#: What a time against caches may be in a query, and with it what stands before it as a segment of a path, below a
#: transport and a session.
_TIMED = re.compile(rb"[0-9A-Za-z._-]+")
_TIMED_PATH = re.compile(rb"[^?]*-polling/[!-.0-~]+/([0-9]{12,20})(?![^/?])")
_IN_TIMES = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._-"


class Head(NamedTuple):
    """
    What was sent between the first line and the body.

    :ivar fields: the headers by lower-case name; several of one name are one, with commas.
    :ivar length: of the body.
    :ivar upgrades: whether a WebSocket is asked for.
    :ivar checked: the values of those headers that the checks look at.
    """

    fields: Mapping[str, str]
    length: int
    upgrades: bool
    checked: tuple[str | None, ...]


#: What was read lately, by its bytes; None for a head that is not for us.
_heads: dict[bytes, Head | None] = {}


def _parsed(block: bytes) -> Head | None:
    """A head, unless it is unusual, or damaged."""
    if block.count(b"\r\n") > _MOST_FIELDS or _FIELDS.fullmatch(block) is None:
        return None
    fields: dict[str, str] = {}
    for name, value in _FIELD.findall(block):
        key, text = name.decode("latin-1").lower(), value.rstrip(b" \t").decode("latin-1")
        key = _NAMES.get(key, key)
        if key in fields and key in ("content-length", "host"):
            return None
        fields[key] = f"{fields[key]}, {text}" if key in fields else text
    length = fields.get("content-length", "0")
    upgrade, connection = fields.get("upgrade"), fields.get("connection", "keep-alive").lower()
    if not _UNUSUAL.isdisjoint(fields) or connection not in _CONNECTIONS:
        return None
    if (None if upgrade is None else upgrade.lower()) != _CONNECTIONS[connection]:
        return None
    if not (length.isascii() and length.isdigit() and len(length) < 7):
        return None
    return Head(MappingProxyType(fields), int(length), upgrade is not None, tuple(map(fields.get, CHECKED)))


def _head(block: bytes) -> Head | None:
    head = _heads.get(block)
    if head is not None:
        return head
    here = block.lower().find(_KEY_NAME)
    if here < 0:
        return _known(block)
    # The head of a WebSocket's handshake is no other's, for its key is made by chance; the rest of it is not.
    there = block.find(b"\r\n", here)
    key = _KEY.fullmatch(block, here + len(_KEY_NAME), there)
    if key is None or block[max(here - 2, 0) : here] not in (b"", b"\r\n"):
        return _parsed(block)
    head = _known(block[:here] + block[there + 2 :])
    if head is None or "sec-websocket-key" in head.fields:
        return _parsed(block)
    return Head(MappingProxyType({**head.fields, "sec-websocket-key": key[1].decode()}), *head[1:])


def _known(block: bytes) -> Head | None:
    try:
        return _heads[block]
    except KeyError:
        if len(_heads) >= _REMEMBERED:
            _heads.clear()
        head = _heads[block] = _parsed(block)
        return head


def _timeIn(data: bytes, begin: int, end: int) -> tuple[int, int]:
    """Where the time is in a target, which begins and ends there; nowhere if there is none."""
    query = data.find(b"?", begin, end)
    name = query if data.startswith(b"?t=", query) else data.find(b"&t=", query, end)
    if query >= 0 and name >= 0:
        time = _TIMED.match(data, name + 3, end)
        whole = time is not None and (time.end() == end or data[time.end()] == ord("&"))
        return time.span() if time is not None and whole else (begin, begin)
    if data.find(b"-polling/", begin, end) < 0:
        return begin, begin
    time = _TIMED_PATH.match(data, begin, end)
    return (begin, begin) if time is None else time.span(1)


def timeless(target: bytes) -> bytes:
    """A target without its time, on which no resource depends."""
    here, there = _timeIn(target, 0, len(target))
    return target[:here] + target[there:]


class Pattern:
    """
    A request that came, for those like it to be known by: a client sends the same again and again, but for a time in
    the URL, and a body.

    :param data: what came.
    :param start: where the body begins.
    :param length: how many bytes it has.
    """

    __slots__ = ("_after", "_before", "_here", "_inTime", "_there", "_uri", "length", "start")

    def __init__(self, data: bytes, start: int, length: int) -> None:
        self.start = start
        self.length = length
        begin, end = data.index(b" ") + 1, data.index(b" HTTP/")
        self._here, self._there = _timeIn(data, begin, end)
        self._before, self._after = data[: self._here], data[self._there : start]
        self._uri = slice(begin, end)
        #: What may be in the time: in a path it is all digits.
        self._inTime = _IN_TIMES if b"?" in self._before else b"0123456789"

    def fits(self, data: bytes) -> bool:
        """Whether this is such a request once more, with the same resource and the same headers."""
        here, there = self._here, self._there
        if not (data.startswith(self._after, there) and data.startswith(self._before)):
            return False
        return here == there or not data[here:there].translate(None, self._inTime)

    def uri(self, data: bytes) -> bytes:
        """The target of one that fits."""
        return data[self._uri]


class Carrier(Protocol):
    """
    The connection that requests come on.

    :ivar transport: its transport.
    """

    transport: Any

    @property
    def host(self) -> str:
        """The address of the other end, as text."""

    def isSecure(self) -> bool:
        """Whether it has TLS."""

    def answered(self, answer: bytes) -> None:
        """Here is the answer to the request."""

    def handOver(self, protocol: IProtocol) -> bytes:
        """Give the connection to a protocol, for good; see :meth:`ShortRequest.handOver`."""


def _block(headers: dict[str, str]) -> bytes:
    """Headers as they are sent, each with its end."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode("latin-1")


class CommonHeaders:
    """
    Headers that many answers have, written once.

    :ivar fields: the headers by name.
    :ivar block: the same as they are sent.
    """

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields = fields
        self.block = _block(fields)
        self._before: dict[str, bytes] = {}

    def before(self, contentType: str) -> bytes:
        """The same with the type of a body, and all but the figure of its length."""
        before = self._before.get(contentType)
        if before is None:
            before = self.block + _block({"Content-Type": contentType}) + b"Content-Length: "
            self._before[contentType] = before
        return before


NO_HEADERS = CommonHeaders({})


class ShortRequest:
    """
    One request, until it is answered.

    :ivar method: ``GET`` or ``POST``.
    :ivar uri: the path and the query.
    :ivar fields: the headers by lower-case name.
    :ivar checked: the values of those that the checks look at.
    :ivar body: the body.
    :ivar common: headers that many answers have.
    :ivar headers: the others of this answer, by name; one of them may replace a common one.
    :ivar cut: is called if the connection is lost before the answer.
    """

    __slots__ = (
        "_answer",
        "_carrier",
        "_status",
        "body",
        "checked",
        "common",
        "cut",
        "fields",
        "headers",
        "method",
        "uri",
    )

    def __init__(self, carrier: Carrier, method: bytes, uri: bytes, head: Head, body: bytes) -> None:
        self.method = method
        self.uri = uri
        self.fields = head.fields
        self.checked = head.checked
        self.body = body
        self.cut: Callable[[], object] | None = None
        self._carrier: Carrier | None = carrier
        self._status = b"200 OK"
        self.common = NO_HEADERS
        self.headers: dict[str, str] = {}
        self._answer = b""

    @property
    def path(self) -> bytes:
        """The path alone."""
        return self.uri.partition(b"?")[0]

    @property
    def channel(self) -> Carrier | None:
        """The connection; None when it is lost, or the request is answered."""
        return self._carrier

    def isSecure(self) -> bool:
        """Whether it came through TLS."""
        return self._carrier is not None and self._carrier.isSecure()

    @property
    def host(self) -> str:
        """Where it came from, as text; nothing when the connection is lost."""
        return "" if self._carrier is None else self._carrier.host

    def getClientAddress(self) -> IAddress:
        """Where it came from."""
        assert self._carrier is not None
        address: IAddress = self._carrier.transport.getPeer()
        return address

    def setResponseCode(self, code: int, message: bytes) -> None:
        """Set the status of the answer."""
        self._status = b"%d %b" % (code, message)

    def setHeader(self, name: str, value: str) -> None:
        """Set a header of the answer."""
        self.headers[name] = value

    def write(self, data: bytes) -> None:
        """Set the body of the answer."""
        self._answer = data

    def finish(self) -> None:
        """Send the answer."""
        carrier, self._carrier = self._carrier, None
        self.cut = None
        if carrier is None:
            return
        common, headers = self.common.block, self.headers
        if not self.common.fields.keys().isdisjoint(headers):
            common, headers = b"", {**self.common.fields, **headers}
        parts = (b"HTTP/1.1 ", self._status, b"\r\nDate: ", _date(), b"\r\n", common, _block(headers))
        carrier.answered(b"".join((*parts, b"\r\n", self._answer)))

    def reply(self, contentType: str, body: bytes) -> None:
        """Send an answer of this type and this body, as :meth:`finish` would after the other methods."""
        carrier = self._carrier
        if self.headers or carrier is None:
            self.setHeader("Content-Type", contentType)
            self.setHeader("Content-Length", str(len(body)))
            self.write(body)
            self.finish()
            return
        self._carrier = self.cut = None
        carrier.answered(
            b"HTTP/1.1 %b\r\nDate: %b\r\n%b%d\r\n\r\n%b"
            % (self._status, _date(), self.common.before(contentType), len(body), body)
        )

    def handOver(self, protocol: IProtocol) -> bytes:
        """
        Give the connection to a protocol, for good.

        :return: what came behind the request.
        """
        assert self._carrier is not None
        self.cut = None
        return self._carrier.handOver(protocol)

    def abort(self) -> None:
        """Cut the connection."""
        if self._carrier is not None:
            self._carrier.transport.abortConnection()

    def lost(self) -> None:
        """The connection is lost."""
        self._carrier = None
        cut, self.cut = self.cut, None
        if cut is not None:
            cut()


_dated = (0, b"")


def _date() -> bytes:
    """The time, as headers have it."""
    global _dated
    now = int(time())
    if now != _dated[0]:
        _dated = now, datetimeToString(now)
    return _dated[1]


def readHead(data: bytes) -> tuple[bytes, bytes, Head, int, int] | None:
    """
    Read the head of a request of HTTP/1.1, if all of it is there.

    :return: the method, the target, the headers, and where in the data the body begins and ends; None if it is for
        Twisted Web.
    """
    start = _START.match(data)
    if start is None:
        return None
    fields = start.end()
    end = data.find(b"\r\n\r\n", fields - 2)
    if not 0 <= end - fields + 2 <= _LONGEST_HEAD:
        return None
    method, target = start.groups()
    head = _head(data[fields : end + 2])
    if head is None or head.length > (_LONGEST_BODY if method == b"POST" else 0):
        return None
    if head.upgrades and method != b"GET":
        return None
    return method, target, head, end + 4, end + 4 + head.length
