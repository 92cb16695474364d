"""
``SIOStreamingCodec`` against the vectors of the JavaScript codec of its time, whole, cut and damaged; and by property.
"""

from __future__ import annotations

import json
from functools import partial

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from siotwisted.errors import EncodeError
from siotwisted.outgoing import Outgoing
from siotwisted.packets import Kind, Packet
from siotwisted.wire.sio06streaming import MAX_ANNOTATIONS, SIOStreamingCodec, frame
from tests.wire import checks

VECTORS = checks.vectors("vectors-siostreaming.json")

KINDS = {"0": Kind.CLOSE, "2": Kind.HEARTBEAT, "3": Kind.OPEN}


def frameOf(type: str, body: str) -> str:
    """A frame as the client's own encoder writes it: the length is the body's in UTF-16."""
    return f"{type}:{len(body.encode('utf-16-le', 'surrogatepass')) // 2}:{body},"


def messageOf(data: str, annotations: checks.Row) -> Packet:
    """What a message with these annotations says."""
    namespace = annotations.get("r", "/")
    if "j" in annotations:
        return Packet(Kind.JSON, json.loads(data), namespace)
    return Packet(Kind.MESSAGE, data, namespace)


def packetsOf(event: checks.Row) -> list[Packet]:
    """What an event of the old decoder says to a server; nothing, if nobody ever defined its type."""
    type = event["type"]
    if type == "1":
        return [messageOf(event["message"], event["annotations"])]
    if type == "0":
        return [Packet(Kind.CLOSE)]
    return [Packet(KINDS[type], event["data"])] if type in KINDS else []


@checks.eachRow("encode", VECTORS["encode"])
@checks.eachRow("decode", VECTORS["decode"])
@checks.eachRow("chunks", VECTORS["chunks"])
@checks.eachRow("malformed", VECTORS["malformed"])
class VectorTests(SynchronousTestCase):
    """Each row of the vectors is a test; the ``check`` methods say how a row is read."""

    def assertReads(self, wire: str, *expected: Packet, damaged: bool = False) -> None:
        """A payload has these packets, and then damage or not."""
        self.assertEqual(checks.readAll(SIOStreamingCodec, wire), (list(expected), damaged))

    def checkEncode(self, row: checks.Row) -> None:
        """
        A row is what the old encoder writes for a type, data and annotations, in text and in UTF-8.

        We write the same and read it so, but for two: no client may open a session, and of annotations we write only
        ``j`` and ``r``.
        """
        type, data, wire = row["type"], row["data"], row["wire"]
        self.assertEqual(wire.encode("utf-8"), bytes.fromhex(row["utf8_hex"]))
        packet = messageOf(data, row["annotations"]) if type == "1" else Packet(KINDS[type], data)
        if not set(row["annotations"] or ()) - {"j", "r"}:
            self.assertEqual(checks.write(SIOStreamingCodec, packet), wire)
        if type == "3":
            self.assertReads(wire, damaged=True)
        else:
            self.assertReads(wire, Packet(Kind.CLOSE) if type == "0" else packet)

    def checkDecode(self, row: checks.Row) -> None:
        """A row's wire has these events; a session id is damage, and an undefined type is passed over."""
        wire, events = row["wire"], row["events"]
        self.assertEqual(wire.encode("utf-8"), bytes.fromhex(row["utf8_hex"]))
        packets = [packet for event in events for packet in packetsOf(event)]
        if any(packet.kind is Kind.OPEN for packet in packets):
            self.assertReads(wire, damaged=True)
        else:
            self.assertReads(wire, *packets)

    def checkChunks(self, row: checks.Row) -> None:
        """
        The old decoder waits for the rest of a frame, which no real client sends: to us each payload is whole. The
        parts together are read; all parts but those that happen to be whole are damage, after the whole frames in them.
        """
        parts, events = row["parts"], row["events"]
        whole = checks.asJavaScript("".join(parts))
        if events[0]["type"] == "3":
            self.assertReads(whole, damaged=True)
        else:
            self.assertReads(whole, *(packet for event in events for packet in packetsOf(event)))
        for part in parts:
            self.assertReads(part, damaged=True)

    #: The good frames before the damage, where there are any.
    kept = {"newline between frames": ["a"]}

    def checkMalformed(self, row: checks.Row) -> None:
        """
        A row's wire gets the answer of ``strict_server``: damage, after the good frames before it.

        Where that leaves a choice: an undefined type is passed over, a goodbye with a body is a goodbye, a heartbeat
        with an odd number is a heartbeat, which no session takes for an echo, and bad JSON is damage.
        """
        name, wire, strict = row["name"], row["wire"], row["strict_server"]
        self.assertEqual(wire.encode("utf-8"), bytes.fromhex(row["utf8_hex"]))
        choices = {
            "unknown type 4": [],
            "disconnect with body": [Packet(Kind.CLOSE)],
            "heartbeat not a number": [Packet(Kind.HEARTBEAT, "abc")],
        }
        if name in choices:
            self.assertTrue(strict.startswith(("ignore", "accept")), strict)
            self.assertReads(wire, *choices[name])
        else:
            self.assertTrue(strict.startswith(("reject", "drop the message / close")), strict)
            kept = [Packet(Kind.MESSAGE, data) for data in self.kept.get(name, [])]
            self.assertReads(wire, *kept, damaged=True)


class SIOStreamingCodecTests(checks.CodecChecks):
    """What every codec must do, and the limits of this one."""

    codec = SIOStreamingCodec
    payloads = [
        *([row["wire"]] for row in VECTORS["encode"] if row["type"] != "3"),
        *(
            [frameOf(event["type"], event["data"]) for event in row["events"]]
            for row in VECTORS["decode"]
            if row["events"][0]["type"] in "012"
        ),
    ]
    smallest = ["1:1::,", "2:0:,", "4:0:,", "1:4:j\n:1,", "1:3:a\n:,"]
    quiet = " abXYZ😀é~"

    def clientText(self, text: str) -> str:
        """A message without annotations."""
        return frameOf("1", ":" + text)

    def clientJSON(self, text: str) -> str:
        """A message with the annotation for JSON."""
        return frameOf("1", "j\n:" + text)

    def test_frame(self) -> None:
        """A frame counts UTF-16 units."""
        self.assertEqual([frame("0", ""), frame("1", ":a😀")], ["0:0:,", "1:4::a😀,"])

    def test_kinds(self) -> None:
        """Each kind of packet has its frame."""
        for packet, written in (
            (Packet(Kind.OPEN, "aSID"), "3:4:aSID,"),
            (Packet(Kind.CLOSE, ""), "0:0:,"),
            (Packet(Kind.HEARTBEAT, "12"), "2:2:12,"),
            (Packet(Kind.MESSAGE, "x"), "1:2::x,"),
            (Packet(Kind.JSON, ["x"]), '1:8:j\n:["x"],'),
            (Packet(Kind.MESSAGE, "x", "chat"), "1:9:r:chat\n:x,"),
            (Packet(Kind.JSON, ["x"], "chat"), '1:15:r:chat\nj\n:["x"],'),
        ):
            self.assertEqual(checks.write(SIOStreamingCodec, packet), written)

    def test_lengthDigits(self) -> None:
        """A length has ASCII digits alone, and few; leading zeros are allowed."""
        self.assertReads("2:0000001:a,", Packet(Kind.HEARTBEAT, "a"))
        odd = [
            "",
            "0" * 12 + "1",
            "1" * 20,
            "1_",
            "+1",
            "-1",
            " 1",
            "1 ",
            "\u0661",
            "\uff11",
            "\xb2",
            "1.0",
            "0x1",
            "1e0",
        ]
        for digits in odd:
            self.assertReads(f"2:{digits}:a,", damaged=True)
            self.assertReads(f"2:{digits}:a,", damaged=True, form=True)

    def test_typeDigits(self) -> None:
        """A type is one ASCII digit."""
        for type in ("", "10", "01", "a", "-", "+1", " ", "\u0661", "\uff11", "\xb2"):
            self.assertReads(f"{type}:1:a,", damaged=True)

    def test_undefinedTypes(self) -> None:
        """The types 4 to 9 are passed over, whatever is in them, and what follows is read."""
        for type in "456789":
            for body in ("", "x", ":x", "j\n:{bad", "😀"):
                payload = frameOf("1", ":a") + frameOf(type, body) + frameOf("1", ":b")
                self.assertReads(payload, Packet(Kind.MESSAGE, "a"), Packet(Kind.MESSAGE, "b"))

    def test_openFromClient(self) -> None:
        """A session id from a client is damage; frames before it are kept."""
        self.assertReads(frameOf("1", ":a") + frameOf("3", "aSID"), Packet(Kind.MESSAGE, "a"), damaged=True)

    def test_annotations(self) -> None:
        """Annotations are read by key, the last of a name counts, and those that nobody knows are passed over."""
        for head, expected in (
            ("j\n", Packet(Kind.JSON, 1)),
            ("j:\n", Packet(Kind.JSON, 1)),
            ("j:x\nj\n", Packet(Kind.JSON, 1)),
            ("k\nkey:v:w\n", Packet(Kind.MESSAGE, "1")),
            ("J\n j\n", Packet(Kind.MESSAGE, "1")),
            ("r:a\nr:b\n", Packet(Kind.MESSAGE, "1", "b")),
            ("r:a:b\nj\n", Packet(Kind.JSON, 1, "a:b")),
            ("r\n", Packet(Kind.MESSAGE, "1")),
            ("r:\n", Packet(Kind.MESSAGE, "1")),
            ("r:♥😀\n", Packet(Kind.MESSAGE, "1", "♥😀")),
            ("__proto__:x\n", Packet(Kind.MESSAGE, "1")),
        ):
            self.assertReads(frameOf("1", head + ":1"), expected)

    def test_badAnnotations(self) -> None:
        """A message without data, or with an annotation that has no name, is damage."""
        for body in ("", "x", "j", "j\n", "j:\n", "\n:x", "\n\n:x", "r:a", "r:a:b", "j\n\n:1", "j\nx"):
            self.assertReads(frameOf("1", body), damaged=True)

    def test_annotationLimit(self) -> None:
        """A message may have so many annotations and no more, be they different or all the same."""
        for line in ("a{}\n", "a{}:v\n", "j\n"):
            lines = [line.format(number) for number in range(MAX_ANNOTATIONS + 1)]
            for count in (MAX_ANNOTATIONS - 1, MAX_ANNOTATIONS):
                self.assertEqual(self.read(frameOf("1", "".join(lines[:count]) + ":1"))[1], False)
            self.assertReads(frameOf("1", "".join(lines) + ":1"), damaged=True)

    def test_workOfAnnotations(self) -> None:
        """Annotations without end are not read to their end."""
        for line in ("j\n", "a:b\n", "a", "a:", ":\n"):
            one, two = (checks.callsOf(partial(self.read, frameOf("1", line * count))) for count in (500, 1000))
            self.assertEqual(one, two)

    def test_badJSON(self) -> None:
        """JSON that is none, nests too deep or overflows is damage; frames before it are kept, those behind it not."""
        for text in ("", "{bad", "[1,]", "NaN", "1e400", "[" * 65 + "]" * 65, "[" * 100_000, "9" * 5000, '"\t"'):
            payload = self.clientText("a") + self.clientJSON(text) + self.clientText("b")
            self.assertReads(payload, Packet(Kind.MESSAGE, "a"), damaged=True)

    def test_formAnnotations(self) -> None:
        """The line feeds after annotations come as CR LF from a form, too."""
        body = checks.formOf(frameOf("1", 'r:chat\nj\n:{"a":"x"}') + frameOf("1", "r:chat\n:a\nb"))
        expected = [Packet(Kind.JSON, {"a": "x"}, "chat"), Packet(Kind.MESSAGE, "a\nb", "chat")]
        self.assertReads(body, *expected, form=True)
        text = frameOf("1", "r:chat\n:a\r\nb\r\nc")
        self.assertReads(checks.formOf(text), Packet(Kind.MESSAGE, "a\r\nb\r\nc", "chat"), form=True)

    @checks.PROPERTY
    @given(st.lists(st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\n")), checks.VALUES)))
    def test_namespacesComeBack(self, messages: list[tuple[str, object]]) -> None:
        """Messages come back in the namespaces that they were for; the empty one is none."""
        packets = [
            Packet(Kind.MESSAGE if isinstance(data, str) else Kind.JSON, data, namespace or "/")
            for namespace, data in messages
        ]
        back, damaged = self.read(checks.write(SIOStreamingCodec, *packets))
        self.assertEqual(damaged, False)
        self.assertEqual(
            [(packet.data, packet.namespace) for packet in back],
            [(checks.asJavaScript(packet.data), packet.namespace) for packet in packets],
        )

    def test_otherKinds(self) -> None:
        """What only later generations can say is refused, not dropped."""
        for kind in (Kind.EVENT, Kind.ACK, Kind.CONNECT, Kind.PING):
            with self.assertRaises(EncodeError):
                SIOStreamingCodec(checks.Recorder()).encode(Outgoing(Packet(kind, "")))

    def test_wireOfOtherCodec(self) -> None:
        """Frames of the older codec are damage."""
        self.assertReads("~m~5~m~hello", damaged=True)
