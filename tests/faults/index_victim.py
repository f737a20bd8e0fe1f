"""An operator that tunes, and kills itself before or after its n-th commit of a remedy.

python -m tests.faults.index_victim URL DATA [before|after N]
"""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from homeostat.config import CloneConfig, Config
from tests.faults.dying import mortal, serve
from tests.tune.shop import CONFIG

PARTS = frozenset({"save_remedy", "save_step"})
QUICK = msgspec.structs.replace(
    CONFIG.operate,
    verify_batches=4,
    batch_seconds=0.25,
    settle_seconds=0.3,
    remedies={"analyse-table": "auto"},
)


def config_for(url: str) -> Config:
    """Return the configuration; clones of a PostgreSQL database go to its own server."""
    config = msgspec.structs.replace(CONFIG, operate=QUICK)
    if "://" not in url:
        return config
    parts = urlsplit(url)
    clone = CloneConfig(url=parts._replace(path="/postgres").geturl())
    return msgspec.structs.replace(config, clone=clone)


def main() -> None:
    url, data = sys.argv[1], Path(sys.argv[2])
    mortal(data, sys.argv[3:], parts=PARTS)
    serve(data, url=url, config=config_for(url))


if __name__ == "__main__":
    main()
