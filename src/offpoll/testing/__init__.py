"""Tools for your own tests: one handler (`run`), a whole service in memory on virtual time (`system`), contract suites for adapters.

result = offpoll.testing.run(create_order, order)              outcome and every progress call
with offpoll.testing.system(app) as system:                    everything in memory, virtual time, no port
    ticket = system.client.submit("order", {...})
    order = system.client.wait(ticket)
"""

from offpoll.testing.handler import Run, run
from offpoll.testing.system import System, system
from offpoll.testing.virtual import START, VirtualLoop, run_virtual

__all__ = ["START", "Run", "System", "VirtualLoop", "run", "run_virtual", "system"]
