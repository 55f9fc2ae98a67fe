"""The worker: claims operations, runs handlers, keeps leases alive, decides outcomes."""
