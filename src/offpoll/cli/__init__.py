"""The command `offpoll`. One command a file; imports are late, so that `--help` is quick."""
