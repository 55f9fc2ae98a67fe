"""`offpoll dev`: runs everything on this machine, the embedded AWS included, in processes that end together."""
