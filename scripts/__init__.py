"""Tools for people who work on Homeostat: pins, generated reference, the test command."""
