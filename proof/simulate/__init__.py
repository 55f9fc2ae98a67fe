"""Simulates the unchanged production code on virtual time, with faults drawn from one seed.

__main__      the command
run           plays wave after wave, and adds up totals
wave          one world, from its first operation to rest
final_state   checks a world at rest
clients       the product's clients: what they order, when they lose patience, what they ask twice
network       carries clients' requests to an API or to the store, and loses some
fleet         API processes and workers, which die, restart and are deployed again
disturbances  outages, partitions, kills, clock steps, junk in the queue, a rolling deployment
shop          the app: its kinds in two versions, and handlers that do as their input says
machine       one machine: its clock, and its lines to store, queue and records
stores        what a machine sees of the in-memory stores through its failing lines
dice          which fault happens when
clockwork     the event loop
watched       the in-memory stores; they report each write to the ledger
ledger        the log, what is known of each operation, the counts of faults, the violations
"""
