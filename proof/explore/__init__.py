"""Exhaustive exploration: the production code under every interleaving and fault within stated bounds."""
