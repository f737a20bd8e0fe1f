"""Which operator a command means."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psutil
import pytest

from homeostat.cli.place import locate
from homeostat.errors import ConfigError


def told(home: Path, name: str, *, started: float) -> Path:
    """Make a data directory whose operator had the process id of this test, and began so."""
    data = home / "homeostat" / name
    data.mkdir(parents=True)
    file = {"url": "http://127.0.0.1:1", "pid": os.getpid(), "started": started, "epoch": 1}
    (data / "operator.json").write_text(json.dumps(file))
    return data


def test_an_operator_that_ended_is_not_meant_though_its_process_id_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("HOMEOSTAT_DATA", raising=False)
    began = psutil.Process().create_time()
    told(tmp_path, "demo", started=began - 60)
    running = told(tmp_path, "default", started=began + 60)
    assert locate(None) == running
    told(tmp_path, "other", started=began + 60)
    with pytest.raises(ConfigError, match="2 operators run here"):
        locate(None)
