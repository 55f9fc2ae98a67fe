"""The worker: claims operations, runs their handlers, keeps leases alive and records outcomes."""
