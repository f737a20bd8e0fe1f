"""What every section of the configuration is made of."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Autonomy = Literal["observe", "approve", "auto"]
Seconds = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]


def about(text: str) -> Meta:
    """Return the description of a setting, as docs/reference/config.md shows it."""
    return Meta(description=text)


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections: frozen, and an unknown key is refused."""
