"""Estimates when an operation will end, from the workers' measurements and the queue's counts. Pure: no I/O, and time is an argument.

    histogram     how long operations take: counts in buckets of equal ratio
    history       recent measurements, in spans of time, and how they fade
    capacity      how many operations run at once, and whether work waits
    wait          how long an operation waits before it starts
    remaining     the earliest, mean and latest end of a queued or running operation

docs/estimate.md explains the whole, with its figures.
"""
