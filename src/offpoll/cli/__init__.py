"""The command line `offpoll`: one command per file. Imports are late, so that `--help` is quick."""
