"""The seeded simulation: the production code, unchanged, on virtual time, with faults drawn from one seed.

__main__    the command        run         wave after wave, totals, the last line
wave        one world, from its first operation to rest, and the question whether anything is wrong with it
fleet       machines: API processes and workers that die, restart and are deployed anew
weather     what happens to machines and services: outages, partitions, kills, clock steps, junk in the queue
people      clients: what they ask for, how they lose patience, whom they ask twice
street      the way of a request from a client to an API or to the store
shop        the service: its kinds in two versions, and handlers that do as their input says
stores      what a machine sees of store, queue and records: the in-memory twins through a line that fails
machine     one machine, its clock, and its lines
dice        which fault happens when
clockwork   the event loop
watched     the twins, with somebody who watches each write
ledger      what happened to each operation; violations; the log
"""
