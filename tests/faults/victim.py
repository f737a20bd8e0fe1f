"""An operator that kills itself before or after its n-th logbook commit.

    python -m tests.faults.victim URL DATA [before|after N] [--elsewhere]

--elsewhere: it believes to run on another host, so that it can't end the process of the operator
before.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from homeostat.config import AgentConfig, Config, MonitorConfig, OperateConfig
from homeostat.operate import operator as operator_module
from homeostat.operate.ownership import this_process
from tests.faults.dying import mortal, serve

CONFIG = Config(
    monitor=MonitorConfig(performance_seconds=0.2, health_seconds=1.0, agent_silent_seconds=10.0),
    operate=OperateConfig(
        autonomy="auto",
        lease_seconds=2.0,
        verify_batches=6,
        batch_seconds=0.25,
        settle_seconds=0.3,
        cooldown_seconds=600.0,
    ),
    agent=AgentConfig(report_seconds=0.1),
)


def main() -> None:
    url, data = sys.argv[1], Path(sys.argv[2])
    mortal(data, [word for word in sys.argv[3:] if not word.startswith("--")])
    if "--elsewhere" in sys.argv:
        owner = msgspec.structs.replace(this_process(str(data)), host="elsewhere")
        setattr(operator_module, "this_process", lambda label: owner)  # noqa: B010, ARG005
    serve(data, url=url, config=CONFIG)


if __name__ == "__main__":
    main()
