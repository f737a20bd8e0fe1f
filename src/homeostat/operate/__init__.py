"""The loop: probe, finding, remedy, run, routine."""
