"""
Bytes inside data that JSON carries: taken out into placeholders, and put back.

A placeholder is ``{"_placeholder": true, "num": N}``, N being the place of the bytes among the attachments of a packet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from siotwisted.errors import EncodeError, ProtocolError

__all__ = ["Place", "places", "putBack", "takeOut"]


class Place(NamedTuple):
    """Where a placeholder is, and which attachment belongs there."""

    container: Any
    key: Any
    number: int


def takeOut(data: object) -> tuple[Any, Sequence[bytes]]:
    """
    A copy of ``data`` with placeholders for its bytes, and the bytes, depth first.

    Bytes that stand there twice are two attachments. A number that is not finite becomes ``None``, as in JavaScript.
    Data of an application that looks like a placeholder stays as it is, and a client will take it for one if there are
    attachments too: the protocol has no escape.

    :raises EncodeError: if ``data`` nests too deep, or contains itself.
    """
    attachments: list[bytes] = []

    def copy(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [copy(item) for item in value]
        if isinstance(value, dict):
            return {key: copy(item) for key, item in value.items()}
        if isinstance(value, (bytes, bytearray, memoryview)):
            attachments.append(bytes(value))
            return {"_placeholder": True, "num": len(attachments) - 1}
        return None if isinstance(value, float) and not math.isfinite(value) else value

    try:
        return copy(data), attachments
    except RecursionError as error:
        raise EncodeError("data nested too deep") from error
    except ValueError as error:
        raise EncodeError("bytes that are released already") from error


def places(data: list[Any], count: int) -> list[Place]:
    """
    Every placeholder in a list that JSON held.

    Attachments may be used twice, in any order, or not at all, as in JavaScript. Unlike there a number with a fraction
    or an exponent is damage: it finds nothing in JavaScript, or nobody writes it so.

    :param count: how many attachments there are, or will be.
    :raises ProtocolError: if a placeholder names none of them.
    """
    found: list[Place] = []
    containers: list[Any] = [data]
    while containers:
        container = containers.pop()
        for key, value in container.items() if isinstance(container, dict) else enumerate(container):
            if isinstance(value, dict) and value.get("_placeholder") is True:
                number = value.get("num")
                if type(number) is not int or not 0 <= number < count:
                    raise ProtocolError("a placeholder without attachment")
                found.append(Place(container, key, number))
            elif isinstance(value, (dict, list)):
                containers.append(value)
    return found


def putBack(found: Iterable[Place], attachments: Sequence[bytes]) -> None:
    """Put the attachments where their placeholders are; the data changes in place."""
    for place in found:
        place.container[place.key] = attachments[place.number]
