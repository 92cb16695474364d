"""
What the tests of the wire formats share: the vector files, two ways to bound work without a clock on the wall, and the
checks that every codec must pass, :class:`CodecChecks`.

Use it as a module, ``checks.CodecChecks``: a base class that is imported by name would be run as a case of its own.
"""

from __future__ import annotations

import gc
import json
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from operator import mul
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from siotwisted.errors import ProtocolError
from siotwisted.interfaces import IPacketReceiver, ISessionTransport
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet, messagePacket
from siotwisted.wire.codec import Codec

VECTORS = Path(__file__).parent.parent / "vectors"

#: Hypothesis without its clock and its files; the checks of a codec run as methods of more than one case.
PROPERTY = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.differing_executors])

MEGABYTE = 1_000_000

#: What a damaged payload gets in place of a character, or beside one: whatever means something to some layer.
INTRUDERS = (
    "~",
    ":",
    ",",
    "m",
    "j",
    "h",
    "r",
    "0",
    "9",
    "-",
    "[",
    '"',
    "\\",
    "\r",
    "\n",
    "\0",
    "\u0663",
    "😀",
    "\ud83d",
)

#: Characters that a codec or a transport might trip over.
AWKWARD = st.sampled_from('~mjhr:,019\r\n-\0\u2028\u2029<>&"\\ é♥\ufffe😀\U0010ffff\ud83d\ude00')

#: Texts of all characters, lone surrogates too, with the beginnings that mean something to a codec.
TEXTS = st.builds(
    str.__add__,
    st.sampled_from(["", "", "~h~", "~j~", "~h~5", "~m~3~m~", "\n--socketio\n", "1:2::", "j\n:"]),
    st.one_of(st.text(st.characters()), st.text(AWKWARD)),
)

#: What JSON can hold.
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**30), 10**30),
        st.floats(allow_nan=False, allow_infinity=False),
        TEXTS,
    ),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=12,
)

Row = Mapping[str, Any]
CaseClass = TypeVar("CaseClass", bound="type[SynchronousTestCase]")


def vectors(name: str) -> dict[str, Any]:
    """The rows of one file of ``tests/vectors``, by section."""
    with (VECTORS / name).open(encoding="utf-8") as file:
        content: dict[str, Any] = json.load(file)
    return content


def eachRow(section: str, rows: Sequence[Row]) -> Callable[[CaseClass], CaseClass]:
    """
    Give a test case one test for each row of vectors, which calls the case's ``check<Section>(row)``.

    :param section: what the file calls them.
    """

    def decorate(case: CaseClass) -> CaseClass:
        check = "check" + "".join(word.capitalize() for word in section.split("_"))
        for number, row in enumerate(rows):
            label = row.get("name", str(number))

            def test(self: SynchronousTestCase, row: Row = row) -> None:
                getattr(self, check)(row)

            test.__doc__ = f"{section}: {label}"
            test.__name__ = f"test_{section}_{number:02}_{re.sub('[^a-z0-9]+', '_', label.lower()).strip('_')}"
            setattr(case, test.__name__, test)
        return case

    return decorate


def asJavaScript(value: Any) -> Any:
    """A value as UTF-16 text can tell it: two surrogates side by side are one character."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    if isinstance(value, list):
        return [asJavaScript(item) for item in value]
    if isinstance(value, dict):
        return {key: asJavaScript(item) for key, item in value.items()}
    return value


def compact(value: object) -> str:
    """JSON as ``JSON.stringify`` writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def unitsOf(text: str) -> str:
    """The text with a character for each UTF-16 unit, by way of bytes."""
    data = text.encode("utf-16-le", "surrogatepass")
    return "".join(chr(data[at] + 256 * data[at + 1]) for at in range(0, len(data), 2))


def callsOf(function: Callable[[], object]) -> int:
    """How many calls, of Python and of C, a function makes: a measure of work that no busy machine disturbs."""
    count = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()  # what other tests have left behind is no work of this function
    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    return count


@contextmanager
def boundedWork() -> Iterator[None]:
    """
    Fail, rather than hang, if the body takes more than 20 seconds of this process's own processor time.

    The bound stands in for "linear" where the work is done inside one call of C code, such as a regular expression,
    and can't be counted. What it guards needs well under a second; with quadratic work it would need an hour.
    """

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise AssertionError("too much work for this input")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, 20)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@implementer(IPacketReceiver)
class Recorder:
    """A session that only remembers its packets."""

    def __init__(self) -> None:
        self.calls: list[list[Packet]] = []

    def packetsReceived(self, packets: Sequence[Packet]) -> None:
        """Remember."""
        self.calls.append(list(packets))


@implementer(ISessionTransport)
class Transport:
    """
    A stream, a poll or a WebSocket that puts what it carries into brackets, and remembers what it wrote.

    :ivar dressed: how often it was asked to.
    """

    name = "test"
    ready = True

    def __init__(self, form: str, streaming: bool = True, messages: bool = False, takesBytes: bool = True) -> None:
        self.form = form
        self.streaming = streaming
        self.messages = messages
        self.framed = False
        self.takesBytes = takesBytes
        self.dressed = 0
        self.writes: list[list[bytes]] = []
        self.binary: list[bool] = []

    def dress(self, data: str | bytes, text: bool = False) -> bytes:
        """Brackets: round ones for text."""
        self.dressed += 1
        if isinstance(data, str):
            data, text = data.encode(), True
        if text and self.messages:
            return self.form.encode("ascii") + b"(" + data + b")"
        return self.form.encode("ascii") + b"[" + data + b"]"

    def write(self, chunks: Sequence[bytes], binary: bool = False) -> None:
        """Remember."""
        self.writes.append(list(chunks))
        self.binary.append(binary)

    def tells(self, answered: ISessionTransport) -> bool | None:
        """No poll is repeated."""
        return True

    def ping(self, place: int) -> None:
        """Nothing to ask."""

    def loseConnection(self, chunks: Sequence[bytes] = (), binary: bool = False) -> None:
        """Nothing to lose."""

    def abortConnection(self) -> None:
        """Nothing to lose."""


def readAll(codec: type[Codec], payload: str, form: bool = False) -> tuple[list[Packet], bool]:
    """
    The good packets of a payload, and whether damage came after them.

    Any other exception than :class:`~siotwisted.errors.ProtocolError` goes through.
    """
    packets: list[Packet] = []
    try:
        for packet in codec(Recorder()).decode(payload, form):
            packets.append(packet)
    except ProtocolError:
        return packets, True
    return packets, False


def write(codec: type[Codec], *packets: Packet) -> str:
    """The payload of some packets."""
    return "".join(codec(Recorder()).encode(Outgoing(packet)) for packet in packets)


def say(codec: type[Codec], *packets: Packet) -> str:
    """The payload of some packets of any kind, in the words that the codec has for them."""
    return "".join(text for packet in packets for text in codec(Recorder()).messages(Outgoing(packet)))


def hearts(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[Packet]:
    """Heartbeats of these numbers."""
    return numbers.map(lambda number: Packet(Kind.HEARTBEAT, str(number)))


def formOf(payload: str) -> str:
    """What a browser makes of a payload that it submits in a text area: each line break, of any kind, as CR LF."""
    return re.sub("\r\n|\r|\n", "\r\n", payload)


class CodecChecks(SynchronousTestCase):
    """
    What holds for every codec.

    :cvar codec: the codec's class.
    :cvar payloads: frames of clients, each a list of whole frames that make one payload.
    :cvar smallest: valid frames, of no or next to no content.
    :cvar quiet: characters of text that can't look like the beginning or the end of a frame.
    """

    codec: type[Codec]
    payloads: Sequence[Sequence[str]]
    smallest: Sequence[str]
    quiet: str

    def clientText(self, text: str) -> str:
        """The frame in which a client sends a text."""
        raise NotImplementedError

    def clientJSON(self, text: str) -> str:
        """The frame in which a client would send a value of this JSON."""
        raise NotImplementedError

    def read(self, payload: str, form: bool = False) -> tuple[list[Packet], bool]:
        """Good packets, and whether damage came after them."""
        return readAll(self.codec, payload, form)

    def assertReads(self, payload: str, *expected: Packet, damaged: bool = False, form: bool = False) -> None:
        """A payload has just these packets, and then an end or damage; no value changes its type."""
        packets, found = self.read(payload, form)
        self.assertEqual((packets, found), (list(expected), damaged), repr(payload[:200]))
        for packet, wanted in zip(packets, expected, strict=True):
            self.assertEqual(repr(packet.data), repr(wanted.data))

    # Whole, cut, and damaged.

    def test_samplesAreWhole(self) -> None:
        """The samples of the following checks are read without damage."""
        self.assertTrue(self.payloads)
        for frames in self.payloads:
            packets, damaged = self.read("".join(frames))
            self.assertEqual((len(packets), damaged), (len(frames), False), frames)

    def test_prefixes(self) -> None:
        """
        Cut after each UTF-16 unit, a payload gives the packets of its whole frames, and damage unless the cut is at
        the end of one.
        """
        for frames in self.payloads:
            packets, _ = self.read("".join(frames))
            ends = [len(unitsOf("".join(frames[:number]))) for number in range(len(frames) + 1)]
            units = unitsOf("".join(frames))
            for cut in range(len(units)):
                whole = sum(end <= cut for end in ends) - 1
                self.assertReads(units[:cut], *packets[:whole], damaged=cut not in ends)

    def test_prefixesOfForm(self) -> None:
        """Cut after each character, a form's payload gives whole packets and damage, and nothing else."""
        for frames in self.payloads:
            payload = formOf("".join(frames))
            for cut in range(len(payload)):
                self.read(payload[:cut], form=True)

    def damages(self, payload: str) -> Iterator[tuple[int, str]]:
        """Each change of one character of a payload: where it is, and what the payload became."""
        for at in range(len(payload) + 1):
            for intruder in INTRUDERS:
                yield at, payload[:at] + intruder + payload[at:]
                if at < len(payload):
                    yield at, payload[:at] + intruder + payload[at + 1 :]
            if at < len(payload):
                yield at, payload[:at] + payload[at + 1 :]

    def test_damagedCharacters(self) -> None:
        """
        With any one character replaced, added or taken away, a payload raises nothing but ProtocolError, and the
        frames before the damage are kept.
        """
        for frames in self.payloads:
            packets, _ = self.read("".join(frames))
            ends = [len("".join(frames[: number + 1])) for number in range(len(frames))]
            for at, payload in self.damages("".join(frames)):
                whole = sum(end <= at for end in ends)
                self.assertEqual(self.read(payload)[0][:whole], packets[:whole], repr(payload))

    def test_damagedCharactersOfForm(self) -> None:
        """The same for payloads from forms, where the damage may change how earlier line breaks are read."""
        for frames in self.payloads:
            for _, payload in self.damages(formOf("".join(frames))):
                self.read(payload, form=True)

    @PROPERTY
    @given(st.text(st.characters()) | st.text(AWKWARD), st.booleans())
    def test_anyText(self, payload: str, form: bool) -> None:
        """Any text at all raises nothing but ProtocolError, from a form or not."""
        self.read(payload, form)

    @PROPERTY
    @given(st.lists(TEXTS | st.sampled_from(["~m~", "~m~1~m~", "1:", ":3:", "2:1:", "&#10;", "&#9829;", "\r\n"])))
    def test_anyFragments(self, fragments: list[str]) -> None:
        """So do pieces of frames in any order."""
        self.read("".join(fragments))
        self.read("".join(fragments), form=True)

    # There and back.

    @PROPERTY
    @given(TEXTS)
    def test_textComesBack(self, text: str) -> None:
        """Every text comes back as the same text, as a message or in JSON."""
        packets, damaged = self.read(write(self.codec, Packet(Kind.MESSAGE, text)))
        self.assertEqual(([packet.data for packet in packets], damaged), ([asJavaScript(text)], False))

    @PROPERTY
    @given(VALUES)
    def test_valueComesBack(self, value: object) -> None:
        """Every value that JSON can hold comes back as the same value."""
        self.assertReads(write(self.codec, Packet(Kind.JSON, value)), Packet(Kind.JSON, asJavaScript(value)))

    @PROPERTY
    @given(st.lists(st.one_of(TEXTS, VALUES).map(messagePacket) | hearts(st.integers(0, 10**12))))
    def test_sequenceComesBack(self, packets: list[Packet]) -> None:
        """Many packets in one payload come back, in order, and none twice."""
        back, damaged = self.read(write(self.codec, *packets))
        self.assertEqual(damaged, False)
        expected = [asJavaScript(packet.data) for packet in packets]
        self.assertEqual(repr([packet.data for packet in back]), repr(expected))

    @PROPERTY
    @given(TEXTS)
    def test_framesAreSafe(self, text: str) -> None:
        """A frame is UTF-8, whatever its text, and has no boundary of a multipart stream in it."""
        codec = self.codec(Recorder())
        for packet in (Packet(Kind.MESSAGE, text), Packet(Kind.JSON, {text: [text]})):
            frame = codec.piece(Outgoing(packet), "")
            self.assertEqual(frame.decode("utf-8"), write(self.codec, packet))
            self.assertTrue(b"\n--" not in frame, frame)

    # Through a form.

    def form(self, *texts: str) -> str:
        """The payload that a form makes of text messages, in the frames of a client."""
        return formOf("".join(self.clientText(text) for text in texts))

    def assertForm(self, body: str, *texts: str) -> None:
        """A form's payload has just these texts."""
        self.assertReads(body, *(Packet(Kind.MESSAGE, text) for text in texts), form=True)

    @PROPERTY
    @given(st.data())
    def test_formLineFeeds(self, data: st.DataObject) -> None:
        """Texts that have line feeds, and no other breaks, come back exact."""
        texts = data.draw(st.lists(st.text(st.sampled_from(self.quiet + "\n\n"))))
        self.assertForm(self.form(*texts), *texts)

    @PROPERTY
    @given(st.data())
    def test_formReturns(self, data: st.DataObject) -> None:
        """A lone CR can't be told from a line feed, and is read as one."""
        texts = data.draw(st.lists(st.text(st.sampled_from(self.quiet + "\r"))))
        self.assertForm(self.form(*texts), *(text.replace("\r", "\n") for text in texts))

    @PROPERTY
    @given(st.data())
    def test_formPairs(self, data: st.DataObject) -> None:
        """A text whose breaks are all CR LF comes back exact, whatever follows it."""
        broken = st.lists(st.text(st.sampled_from(self.quiet)), min_size=1, max_size=6).map("\r\n".join)
        texts = data.draw(st.lists(broken.filter(bool)))
        self.assertForm(self.form(*texts), *texts)

    @PROPERTY
    @given(st.data())
    def test_formMixed(self, data: st.DataObject) -> None:
        """
        A text that mixes breaks, as many as it likes, comes back with the same characters and as many of each kind,
        for which came first can't be told: line feeds are taken to.
        """
        pieces = data.draw(st.lists(st.text(st.sampled_from(self.quiet), min_size=1), min_size=1, max_size=40))
        breaks = data.draw(st.lists(st.sampled_from(["\n", "\r\n"]), min_size=len(pieces), max_size=len(pieces)))
        breaks[-1] = ""
        text = "".join(piece + lineBreak for piece, lineBreak in zip(pieces, breaks, strict=True))
        ordered = [*sorted(breaks[:-1]), ""]
        known = "".join(piece + lineBreak for piece, lineBreak in zip(pieces, ordered, strict=True))
        self.assertForm(self.form(text), known)

    def test_formPairsBeforeShortFrame(self) -> None:
        """The frame after a text with CR LF is not taken for the missing end of that text, however many there are."""
        for count in range(1, 7):
            pairs = "\r\n" * count
            self.assertForm(self.form(pairs, "x"), pairs, "x")

    def test_formReferences(self) -> None:
        """What a page's character set lacked comes as ``&#N;`` and counts as the character; else it is plain text."""
        for sent, arrived in (
            ("♥", "&#9829;"),
            ("😀", "&#128512;"),
            ("a♥b😀c\n", "a&#9829;b&#128512;c\r\n"),
            ("\r\n♥", "\r\n&#9829;"),
            ("\U0010ffff\uffff", "&#1114111;&#65535;"),
            ("&#9829;", "&#9829;"),
            ("&#9829;\n", "&#9829;\r\n"),
            ("&#55357;♥", "&#55357;&#9829;"),
            ("&#1114112;♥", "&#1114112;&#9829;"),
            ("&#12345678;♥&#;&#x9;", "&#12345678;&#9829;&#;&#x9;"),
        ):
            frame = self.clientText(sent)
            self.assertEqual(frame.count(sent), 1)
            self.assertForm(frame.replace(sent, arrived), sent)
            self.assertForm(frame.replace(sent, arrived) + self.clientText("next"), sent, "next")

    def test_formReferenceAcrossTheEnd(self) -> None:
        """A frame that would end inside a reference, or inside a line break, is damage."""
        for sent, arrived in (("ab", "a&#128512;"), ("abcde", "a&#128512;"), ("a", "a\r\n"), ("♥", "&#55357;")):
            self.assertReads(self.clientText(sent).replace(sent, arrived), damaged=True, form=True)

    # How much work hostile payloads make.

    def assertLinear(self, make: Callable[[int], str], form: bool = False) -> None:
        """Twice the input makes about twice the calls."""
        one, two = (callsOf(partial(self.read, make(count), form)) for count in (500, 1000))
        self.assertLessEqual(two, 2.1 * one + 50)

    def test_workOfManyFrames(self) -> None:
        """The work for many tiny frames grows with their number alone."""
        for frame in self.smallest:
            for form in (False, True):
                self.assertLinear(partial(mul, frame), form)

    def test_workOfForms(self) -> None:
        """So does the work for line breaks and references, readable or not."""
        for piece in ("\r\n", "&#9829;", "&#0;\r\n", "&#9999999;", "\r\n~m~1~m~", ",1:1:\r\n"):
            for factor in (0.1, 0.5, 0.75, 1.0, 1.5, 8.0):

                def make(count: int, piece: str = piece, factor: float = factor) -> str:
                    text = piece * count
                    return self.clientText("a" * int(factor * len(text))).rstrip("a,") + text + ","

                self.assertLinear(make, form=True)

    def test_workOfFormRuns(self) -> None:
        """So does the work for many frames each of which can only be read the last way."""
        frame = self.form("\n\n\n\r\n\r\n\r\n♥").replace("♥", "&#9829;")
        self.assertLinear(partial(mul, frame), form=True)

    def test_megabyteOfFrames(self) -> None:
        """A megabyte of the smallest frames is read."""
        for frame in self.smallest:
            for form in (False, True):
                count = MEGABYTE // len(frame)
                with boundedWork():
                    _, damaged = self.read(frame * count, form)
                self.assertEqual(damaged, False)

    def test_megabyteOfText(self) -> None:
        """A megabyte of text in one frame is read, of all widths of characters."""
        for character in "a♥😀":
            text = character * (MEGABYTE // len(character.encode("utf-8")))
            for form in (False, True):
                with boundedWork():
                    self.assertReads(self.clientText(text), Packet(Kind.MESSAGE, text), form=form)

    def test_megabyteOfLineBreaks(self) -> None:
        """A megabyte of line breaks in a form is read, or refused."""
        text = "\n" * (MEGABYTE // 2)
        with boundedWork():
            self.assertForm(self.form(text), text)
            self.assertForm(self.form(text.replace("\n", "\r\n")), text.replace("\n", "\r\n"))
            self.assertReads(self.form(text[10:]) + "\r\n" * 10, damaged=True, form=True)

    def test_megabyteOfBrackets(self) -> None:
        """A megabyte of brackets in JSON is refused, and so is JSON that fails only at its end."""
        for storm in (
            "[" * MEGABYTE,
            '{"a":' * (MEGABYTE // 5),
            "[]," * (MEGABYTE // 3),
            "[" * 65 + '"' + '\\"' * (MEGABYTE // 2),
            '["' + '\\"' * 400_000 + "[" * 65,
        ):
            with boundedWork():
                self.assertReads(self.clientJSON(storm), damaged=True)
