"""Every setting and limit, with its unit, default and reason; read from `homeostat.toml`.

Structs are frozen; an unknown key is refused with its path. Names carry their unit last. A section
stands in the module of the room that reads it. docs/reference/config.md is generated from the
descriptions.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import msgspec

from homeostat.config.check import CheckConfig
from homeostat.config.maintain import PoolConfig
from homeostat.config.monitor import MonitorConfig
from homeostat.config.operate import (
    AgentConfig,
    DatabaseConfig,
    OperateConfig,
    SamplesConfig,
    WebConfig,
)
from homeostat.config.section import Autonomy, Section
from homeostat.config.tune import CapturesConfig, CloneConfig, TuneConfig
from homeostat.errors import ConfigError

__all__ = [
    "AgentConfig",
    "Autonomy",
    "CapturesConfig",
    "CheckConfig",
    "CloneConfig",
    "Config",
    "DatabaseConfig",
    "MonitorConfig",
    "OperateConfig",
    "PoolConfig",
    "SamplesConfig",
    "TuneConfig",
    "WebConfig",
    "data_directory",
    "load",
]


class Config(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole configuration."""

    monitor: MonitorConfig = MonitorConfig()
    pool: PoolConfig = PoolConfig()
    tune: TuneConfig = TuneConfig()
    captures: CapturesConfig = CapturesConfig()
    operate: OperateConfig = OperateConfig()
    samples: SamplesConfig = SamplesConfig()
    agent: AgentConfig = AgentConfig()
    web: WebConfig = WebConfig()
    clone: CloneConfig = CloneConfig()
    check: CheckConfig = CheckConfig()
    databases: dict[str, DatabaseConfig] = {}


def load(path: Path) -> Config:
    """Read a TOML file.

    Raises:
        ConfigError: the file is missing, not TOML, or has an unknown key or a wrong value; the
            message names the setting.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = "The configuration file cannot be read. Check its path and rights."
        raise ConfigError(message, where=str(path), detail=error.strerror or "") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = "The configuration file is not TOML. Correct the place named."
        raise ConfigError(message, where=str(path), detail=str(error)) from None
    try:
        return msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(where=str(path), detail=str(error)) from None


def data_directory(given: str | None = None, *, name: str = "default") -> Path:
    """Return where the operator keeps its memory.

    The given directory, else HOMEOSTAT_DATA, else `homeostat/<name>` below XDG_DATA_HOME or
    ~/.local/share.
    """
    if given:
        return Path(given).expanduser().absolute()
    if os.environ.get("HOMEOSTAT_DATA"):
        return Path(os.environ["HOMEOSTAT_DATA"]).expanduser().absolute()
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser().absolute() / "homeostat" / name
