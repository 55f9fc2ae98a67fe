"""Explores the production code exhaustively: every interleaving and every fault within stated bounds.

__main__    the command
search      every run of a scenario, depth first
scenarios   who takes part, and how much may go wrong
run         one run: what may happen next, and what each choice does
actors      submitters, workers, canceller and dead-letter consumer: production code behind gates
gates       where each call stops until the search lets it pass
world       the stores, which check every write; final_state checks them at the end
loop        the event loop, whose time stands still or jumps
timeline    a run in words
mutations   the rules taken out, one by one; planted has the code that does it
"""
