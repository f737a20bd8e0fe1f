"""Tuning: slow statements explained, missing indexes built, statistics refreshed, all proven."""

from homeostat.tune.performance import OptimizationSession, PerformanceOperations

__all__ = ["OptimizationSession", "PerformanceOperations"]
