"""Production monitoring: health and performance probes, thresholds, findings."""
