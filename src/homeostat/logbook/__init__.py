"""The operator's memory: logbook.db for decisions, samples.db for measurements."""

from homeostat.logbook.samples import SampleStore
from homeostat.logbook.store import Logbook

__all__ = ["Logbook", "SampleStore"]
