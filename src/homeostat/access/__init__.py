"""The data path for applications, and the agent that reports from inside them.

A name is imported when it is first asked for: a command that only knows the reports of agents loads
neither pools nor drivers, and a program without an event loop no asyncio.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeostat.access.agent import AgentOptions
    from homeostat.access.async_database import AsyncDatabase
    from homeostat.access.async_session import AsyncSession
    from homeostat.access.caller import Caller
    from homeostat.access.database import Database
    from homeostat.access.limits import PoolLimits
    from homeostat.access.operation import Operation
    from homeostat.access.pages import Page
    from homeostat.access.relation import Relation
    from homeostat.access.session import Session, Write
    from homeostat.access.settings import ExecutionSettings

__all__ = [
    "AgentOptions",
    "AsyncDatabase",
    "AsyncSession",
    "Caller",
    "Database",
    "ExecutionSettings",
    "Operation",
    "Page",
    "PoolLimits",
    "Relation",
    "Session",
    "Write",
]
_MODULES = {
    "AgentOptions": "agent",
    "AsyncDatabase": "async_database",
    "AsyncSession": "async_session",
    "Caller": "caller",
    "Database": "database",
    "ExecutionSettings": "settings",
    "Operation": "operation",
    "Page": "pages",
    "PoolLimits": "limits",
    "Relation": "relation",
    "Session": "session",
    "Write": "session",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = found
    return found
