"""Homeostat: find what hurts in a database, prove the fix, apply it, undo it if it did not help."""
