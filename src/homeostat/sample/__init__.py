"""The persona app and its traffic: what the demo, the tests and the benchmarks run on."""
