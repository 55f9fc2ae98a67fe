"""Kills and freezes real processes at random, and checks that the protocol holds: embedded AWS, API, three workers, a swarm of clients.

__main__    the command
run         one run, from start to quiet
app         the app under test: its handlers record each run, and one effect for each operation
deployment  the processes, and the signals they get
faults      which fault happens when, drawn from the seed
swarm       the clients: submit, repeat, cancel, poll
sightings   the documents that they saw
chronicle   what clients did and which faults happened, in order
stores      reads bucket, table and queues directly once all is quiet
evidence    everything gathered, for verify to judge
verify      finds the violations
timeline    tells the story of one violation
"""
