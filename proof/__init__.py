"""Proofs of the protocol under faults: exploration, simulation, chaos."""
