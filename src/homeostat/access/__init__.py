"""The data path for applications, and the agent that reports from inside them."""

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
