"""Workers that are restarted one after the other under load: nothing is lost, and nothing waits for a worker that has ended."""
