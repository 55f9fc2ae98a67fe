"""Planted faults, by the part they break. Each function returns a context manager that takes one rule out while it is open."""
