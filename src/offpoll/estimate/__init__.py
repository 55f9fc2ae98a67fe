"""When an operation will probably end: pure functions of what workers measured and what the queue reports. No I/O, no clock of their own.

    histogram     how long operations take: counts in buckets of equal ratio
    history       what was measured lately, in spans of time; how it fades
    capacity      how many operations are worked on at once, and whether work waits
    wait          how long an operation waits before it is begun
    remaining     the earliest, mean and latest end that follow, queued or running

docs/estimate.md explains it as a whole, with its figures.
"""
