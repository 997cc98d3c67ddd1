"""
All five vendor APIs on one port, for the demo and the tests.

The simulator is the other side of the wire. It is written from the vendors' own documents, shares no line with
`exporter.vendors`, and is as strict as a vendor: it verifies every signature, refuses stale timestamps and used
nonces, counts calls in a true sliding second, and answers errors with the vendor's own codes in the vendor's own
envelope.

How one call walks through it::

    bytes -> gateway.read      what is asked, of which app: an Ask
          -> limits.receive    counted for its budget, whatever becomes of it
          -> gateway.check     signature, clock, nonce, parameters: nothing, or a Refusal
          -> budget.admit      nothing, or the vendor's rate-limit code
          -> faults            ordered trouble: wait, break the connection, answer something else
          -> gateway.answer    the world's truth, as old as the vendor's data are: a Reply
          -> garbage           ordered nonsense made of a true reply
          -> calls             what was asked, answered and when, kept in a ring

What the parts know:

- `settings`, `apps`: what a simulator is started with; the demo credentials, obviously fake.
- `room_ids`, `population`, `world`, `worlds`: rooms and how many users they hold, a world for each app. A population
  is a pure function of seed, app, room and time that changes in steps, so a world needs no memory and can be asked for
  *every* value that a room held in a window. What a script sets is kept in a history on top.
- `exchange`: the few shapes that pass between the parts.
- `codes`: every documented error code of each API.
- `outlook`: the world as old as each vendor's data are.
- `zego`, `tencent`, `volcengine`: one vendor's gateway each; `usersig`, `signature_v4` and `nonces` verify,
  `user_lists` fills the lists that nobody reads.
- `limits`, `calls`: budgets in a sliding second, and the log.
- `faults`, `garbage`, `delivery`: ordered trouble, replies that were spoilt, connections that break.
- `desk`: the walk above, without sockets; `server`: the aiohttp application around it.
- `control`: `/_sim`, the truth and the levers, for tests in other processes; `orders` is what it can be told.

Clock, sleep and randomness come in from outside (`clock.Clock`, `Settings.seed`), so that the whole simulator runs
under a fake clock.
"""

from exporter.simulator.apps import DEFAULT_APPS, SEVERAL_APPS, Apps, TencentApp, VolcengineApp, ZegoApp
from exporter.simulator.calls import Call
from exporter.simulator.clock import Clock
from exporter.simulator.faults import Fault
from exporter.simulator.server import Simulator
from exporter.simulator.settings import APIS, Settings
from exporter.simulator.world import State, World
from exporter.simulator.worlds import Worlds

__all__ = [
    "APIS",
    "DEFAULT_APPS",
    "SEVERAL_APPS",
    "Apps",
    "Call",
    "Clock",
    "Fault",
    "Settings",
    "Simulator",
    "State",
    "TencentApp",
    "VolcengineApp",
    "World",
    "Worlds",
    "ZegoApp",
]
