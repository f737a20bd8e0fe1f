"""Who is connected to the server of PostgreSQL that is looked at, and within which limits."""

from __future__ import annotations

from homeostat.check.look import Look
from homeostat.engine import Unsupported
from homeostat.engine.engine import Activity


def activity(look: Look) -> Activity:
    """Return who is connected; asked once per look.

    Raises:
        DatabaseError: as of `Wire.execute`.
    """
    return look.once("activity", lambda: _asked(look))


def _asked(look: Look) -> Activity:
    inspect = look.engine.inspect
    assert not isinstance(inspect, Unsupported)  # noqa: S101  every PostgreSQL has it
    with look.budget.working():
        return inspect.activity()
