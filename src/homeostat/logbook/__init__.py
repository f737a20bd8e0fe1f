"""The operator's memory: logbook.db for decisions, samples.db for measurements."""
