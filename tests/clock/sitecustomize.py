"""
Sets the wall clock of every Python that starts with this folder on its path: ``.ci/test-dates`` puts it there.

Python imports a module of this name before anything else, and PYTHONPATH reaches the processes that tests start. All of
them are the same number of seconds away from the machine's clock, which goes on as usual. The monotonic clock stays.
"""

import os
import time

import time_machine

time_machine.travel(time.time() + float(os.environ["TEST_CLOCK_OFFSET"]), tick=True).start()
