"""The AWS adapters: each turns the verbs of a protocol (documents, queue, records) into signed HTTP calls."""
