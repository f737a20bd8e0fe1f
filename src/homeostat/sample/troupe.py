"""The demo's two other processes, operator and traffic, and what they hear of each other.

A wish of the operator's page ("break it") goes to the traffic, and what the traffic then says of a
trouble goes to the operator: both by way of this process, which also has wishes of its own, the
story's. So the page shows what is, whoever switched it.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from homeostat.clock import Clock
from homeostat.sample.child import Child, end_all
from homeostat.sample.traffic import Command
from homeostat.sample.troubles import TROUBLES


class Troupe:
    """Starts both processes, passes their lines on, ends both."""

    def __init__(self, target: str, data: Path) -> None:
        """Remember the database and the operator's directory; nothing is started yet."""
        self._target = target
        self._data = data
        self._operator: Child | None = None
        self._traffic: Child | None = None

    def start_operator(self, port: int | None) -> Child:
        """Start the operator; without a port it takes the one it had."""
        more = [] if port is None else [str(port)]
        self._operator = Child(
            "homeostat.sample.demo_operator",
            self._target,
            str(self._data),
            *more,
            heard=self._wished,
        )
        return self._operator

    def start_traffic(self) -> None:
        """Start the traffic, with all troubles off."""
        with (self._data / "traffic.log").open("ab") as log:
            self._traffic = Child(
                "homeostat.sample.traffic",
                "-",  # a URL may hold a password: not in argv
                "--data",
                str(self._data),
                "--parent",
                str(os.getpid()),
                heard=self._answered,
                errors=log,
            )
        self._traffic.tell(self._target.encode())
        for name in TROUBLES:  # the answers tell the operator what there is to switch
            self.switch(name, False, None)

    def switch(self, name: str, on: bool, strength: float | None) -> None:  # noqa: FBT001
        """Switch a trouble; without a strength it has its own one."""
        self._wished(msgspec.json.encode(Command(name, on, strength)))

    def end(self, clock: Clock) -> None:
        """End both, side by side."""
        end_all([one for one in (self._traffic, self._operator) if one is not None], clock)

    def _wished(self, line: bytes) -> None:
        if self._traffic is not None:
            self._traffic.tell(line)

    def _answered(self, line: bytes) -> None:
        if self._operator is not None:
            self._operator.tell(line)
