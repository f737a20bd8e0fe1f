"""Parameters of sampled calls as JSON can carry them, and back."""

from __future__ import annotations

import base64
import datetime as dt
import math
from collections.abc import Mapping
from decimal import Decimal
from uuid import UUID

import msgspec

PARAMETER_BYTES_MAX = 1_000  # larger values are left out of samples

# in this order: a datetime is a date too
_AS_TEXT: tuple[tuple[type, str], ...] = (
    (dt.datetime, "datetime"),
    (dt.date, "date"),
    (dt.time, "time"),
    (Decimal, "decimal"),
    (UUID, "uuid"),
)


def encoded(value: object) -> object:
    """Return a parameter's value JSON-ready; `decoded` is the inverse.

    Text, whole numbers of 64 bits, finite numbers, true, false and null stay what they are, lists
    stay lists; bytes, dates, times, decimals and UUIDs become an object with one name.

    Raises:
        ValueError: it cannot be carried, or is too large.
    """
    if isinstance(value, list | tuple):
        items = [encoded(item) for item in value]
        if len(msgspec.json.encode(items)) > PARAMETER_BYTES_MAX:
            raise ValueError("too large")
        return items
    if isinstance(value, bytes | bytearray | memoryview):
        return {"bytes": base64.b64encode(value).decode()}
    for kind, name in _AS_TEXT:
        if isinstance(value, kind):
            return {name: value.isoformat() if hasattr(value, "isoformat") else str(value)}
    if _plain(value):
        return value
    raise ValueError("no value of JSON")


def _plain(value: object) -> bool:
    if isinstance(value, int):
        return abs(value) < 2**63
    return (
        value is None
        or isinstance(value, str)
        or (isinstance(value, float) and math.isfinite(value))
    )


def decoded(value: object) -> object:
    """Return the value that `encoded` made JSON-ready.

    Raises:
        ValueError: it is nothing that `encoded` makes.
    """
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if len(value) != 1:
        raise ValueError("not an encoded value")
    kind, text = next(iter(value.items()))
    if kind == "bytes":
        return base64.b64decode(text)
    for known, name in _AS_TEXT:
        if kind == name:
            read = getattr(known, "fromisoformat", known)
            return read(text)
    raise ValueError("not an encoded value")
