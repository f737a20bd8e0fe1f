"""Production monitoring: what a database says of itself, and what is wrong with it."""

from homeostat.monitor.production import MonitoringConfiguration, ProductionMonitoring

__all__ = ["MonitoringConfiguration", "ProductionMonitoring"]
