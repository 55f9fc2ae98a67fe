"""Estimates when an operation will end, from the workers' measurements and the queue's counts. Pure: no I/O, and time is an argument.

docs/estimate.md explains the whole, with its figures.
"""
