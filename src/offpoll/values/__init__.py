"""Values of a user's types and their JSON: what changes between them, and what the types of other libraries need.

Knows no operations. `json_types`, above it, chooses who reads and writes a type.
"""
