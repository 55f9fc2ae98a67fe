"""Runs handlers in child processes (`--processes`)."""
