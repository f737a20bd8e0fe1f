"""Healing and upkeep: the remedies that keep a database running."""
