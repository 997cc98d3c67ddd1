"""
All six vendor APIs on one port, for the demo and the tests.

The simulator plays the vendors. It is written from their documents, shares no code with `exporter.vendors`, and is as
strict as a vendor: it verifies signatures, refuses stale timestamps and used nonces, counts calls in a true sliding
second, and answers errors with the vendor's own codes in the vendor's own format.

The steps of one call::

    bytes -> gateway.read      parse the request: an Ask
          -> limits.receive    count the call for its budget
          -> gateway.check     check signature, clock, nonce, parameters: a Refusal, or go on
          -> budget.admit      within the limit? If not: the vendor's rate-limit code
          -> faults            injected faults: wait, break the connection, answer something else
          -> gateway.answer    the true answer, as old as the vendor's data are: a Reply
          -> garbage           injected: the true reply, made invalid
          -> calls             log the request, the answer and the times, in a ring buffer

The modules:

- `settings`, `apps`: settings of a simulator; the demo credentials, which are obviously fake.
- `room_ids`, `population`, `world`, `worlds`: rooms and their users, one world for each app. A population is a pure
  function of seed, app, room and time, and it changes in steps. So a world needs no memory, and tests can ask for
  *every* value that a room had in a window. Values that a test sets are kept in a history on top.
- `exchange`: the types that pass between the modules.
- `codes`: every documented error code of each API.
- `outlook`: the world as of the last update of a vendor's data.
- `listing`: the vendors' lists of rooms, their age and their faults.
- `events`, `traffic`: the changes of rooms; rooms that open and close by themselves.
- `callbacks`, `courier`: the vendors' callbacks, written and sent.
- `http_sd`: a backend that names the open rooms.
- `zego`, `tencent`, `volcengine`: the gateway of each vendor. `usersig`, `signature_v4` and `nonces` verify;
- `zego`, `tencent`, `volcengine`, `janus`: the gateway of each vendor. `usersig`, `signature_v4` and `nonces` verify;
  `user_lists` makes the lists of users that nobody reads.
- `limits`, `calls`: budgets in a sliding second, and the call log.
- `faults`, `garbage`, `delivery`: injected faults, invalid replies, broken connections.
- `desk`: the steps above, without sockets; `server`: the aiohttp application around it.
- `control`: `/_sim`, with which tests in other processes read the truth and inject faults; `orders`: its requests.

Clock, sleep and randomness are injected (`clock.Clock`, `Settings.seed`), so the whole simulator runs under a fake
clock.
"""

from exporter.simulator.apps import DEFAULT_APPS, SEVERAL_APPS, Apps, JanusServer, TencentApp, VolcengineApp, ZegoApp
from exporter.simulator.calls import Call
from exporter.simulator.clock import Clock
from exporter.simulator.courier import CallbackOrder
from exporter.simulator.faults import Fault
from exporter.simulator.server import Simulator
from exporter.simulator.settings import APIS, Settings
from exporter.simulator.traffic import TrafficOrder
from exporter.simulator.world import State, World
from exporter.simulator.worlds import Worlds

__all__ = [
    "APIS",
    "DEFAULT_APPS",
    "SEVERAL_APPS",
    "Apps",
    "Call",
    "CallbackOrder",
    "Clock",
    "Fault",
    "JanusServer",
    "Settings",
    "Simulator",
    "State",
    "TencentApp",
    "TrafficOrder",
    "VolcengineApp",
    "World",
    "Worlds",
    "ZegoApp",
]
