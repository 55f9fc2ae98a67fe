"""The protocol with real processes that are killed and stopped at random: embedded AWS, API, three workers, and a swarm of clients.

service     what is deployed: handlers that write down each of their runs, and their effect once an operation
deployment  the processes, and the signals that they are sent
faults      which fault comes when, drawn from the seed
swarm       the clients: submit, repeat, cancel, poll; sightings is what they saw of documents
stores      bucket, table and queues, read directly when all is quiet
verify      all that was gathered → what was violated; timeline tells the story of one
"""
