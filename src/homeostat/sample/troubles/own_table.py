"""A table that only a trouble uses: made when it begins, dropped when it ends."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from homeostat.driver.wire import Wire
from homeostat.sample.address import connect
from homeostat.sample.schema import statements


@dataclass(frozen=True, slots=True)
class OwnTable:
    """The table of `sql/<engine>/<name>.sql`; `trouble` is how its connections are called."""

    url: str
    name: str
    trouble: str

    def make(self, *afterwards: str) -> None:
        """Make and fill it anew, take its statistics, then run the statements given."""
        with closing(connect(self.url, application_name=self.trouble)) as wire:
            filling = [f"DROP TABLE IF EXISTS {self.name}"]
            filling += statements(f"{wire.dialect}/{self.name}")
            _together(wire, [*filling, f"ANALYZE {self.name}"])
            _together(wire, afterwards)

    def drop(self) -> None:
        """Drop it, if it is there."""
        with closing(connect(self.url, application_name=self.trouble)) as wire:
            wire.execute(f"DROP TABLE IF EXISTS {self.name}")


def _together(wire: Wire, texts: tuple[str, ...] | list[str]) -> None:
    wire.begin(write=True)
    try:
        for text in texts:
            wire.execute(text)
    except BaseException:
        wire.rollback()
        raise
    wire.commit()
