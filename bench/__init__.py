"""Every figure that Homeostat claims, each measured by `python -m bench.NAME`."""
