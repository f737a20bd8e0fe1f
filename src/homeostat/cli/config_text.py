"""The text of a `homeostat.toml` for a database: every line commented from the settings' own words.

It holds what people change first; docs/reference/config.md has the rest.
"""

from __future__ import annotations

import json
import re
import textwrap
from typing import Annotated, get_args, get_origin, get_type_hints

import msgspec

from homeostat.config import DatabaseConfig, MonitorConfig, OperateConfig

WIDTH = 96
HEAD = """\
# Homeostat reads this file at `homeostat up`. A setting that is not here has its default;
# docs/reference/config.md lists them all. An unknown name is refused.
"""
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")


def new_text(name: str, *, url: str, secret: str, promise_ms: float) -> str:
    """Return a whole file for one database; it is only observed.

    Args:
        name: what people call it.
        url: without a password.
        secret: a reference to the password, or to the key of a file; empty: none.
        promise_ms: the promised p99 of an operation.
    """
    parts = [
        HEAD,
        "[operate]",
        _setting(OperateConfig, "autonomy", "observe"),
        "[monitor]",
        _setting(MonitorConfig, "promise_ms", promise_ms),
        section_text(name, url=url, secret=secret),
    ]
    return "\n".join(parts)


def section_text(name: str, *, url: str, secret: str, observe: bool = False) -> str:
    """Return the section of one database; `observe`: only observed, whatever holds for others."""
    kind = "password" if "://" in url else "key"
    return "\n".join(
        [
            f"[databases.{name}]",
            _setting(DatabaseConfig, "url", url),
            _setting(DatabaseConfig, kind, secret or "env:NAME", off=not secret),
            _setting(DatabaseConfig, "group", "", off=True),
            _setting(DatabaseConfig, "autonomy", "observe", off=not observe),
        ]
    )


def name_of(url: str) -> str:
    """Return a name for a database: its file's or its own, fit for a key of TOML."""
    last = url.partition("?")[0].rstrip("/").rpartition("/")[2]
    stem = last.rpartition(".")[0] or last
    return _NOT_IN_A_NAME.sub("-", stem).strip("-").lower() or "main"


def _setting(section: type[msgspec.Struct], name: str, value: object, *, off: bool = False) -> str:
    """Return a setting with its description above it; `off`: commented out."""
    hint = get_type_hints(section, include_extras=True)[name]
    notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    said = [one.description for one in notes if isinstance(one, msgspec.Meta)]
    about = next(filter(None, said), "")
    lines = [f"# {line}" for line in textwrap.wrap(about, WIDTH)]
    mark = "# " if off else ""
    return "\n".join([*lines, f"{mark}{name} = {json.dumps(value, ensure_ascii=False)}", ""])
