"""
An engine in memory: what ``exchange.lua`` does, in Python. ``test_engines`` holds the two to each other.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace

from exporter.cluster.exchange import Member, Owner, Refusal, Reply, Request, Write


@dataclass
class Data:
    """Everything that a server may lose."""

    epoch: str = ""
    token: int = 0
    members: dict[str, str] = field(default_factory=dict)
    records: dict[str, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)


class Register:
    """
    One server.

    Args:
        run: Identifies its history; another one after a restart or a failover. Empty: it does not tell.
    """

    def __init__(self, run: str = "run0") -> None:
        self.run = run
        self.data = Data()
        self.time = 0
        self._epochs = 0

    def copy(self) -> Data:
        """What a replica of the server has now."""
        return copy.deepcopy(self.data)

    def flush(self) -> None:
        """FLUSHALL, or an eviction."""
        self.data = Data()

    def fail_over(self, run: str, data: Data) -> None:
        """Another server answers from now on."""
        self.run, self.data = run, copy.deepcopy(data)

    def apply(self, request: Request) -> Reply:
        """Carry out a request, or refuse it."""
        data = self.data
        if not data.epoch:
            self._epochs += 1
            data.epoch = f"epoch{self._epochs}"
        era = f"{self.run}:{data.epoch}"
        refusal = self._refusal(request, era)
        states = {} if refusal else self._carry_out(request)
        return Reply(era, refusal, self.time, dict(data.members), dict(data.records), states)

    def _refusal(self, request: Request, era: str) -> Refusal | None:
        own = self.data.members.get(request.replica, "")
        if request.era != era:
            return Refusal.ERA
        present = Member.parse(own)
        if own and own != request.replaces and (not present or present.incarnation != request.member.incarnation):
            return Refusal.NAME
        if present and own != request.replaces and present.beat >= request.member.beat:
            return Refusal.LATE
        return None

    def _carry_out(self, request: Request) -> dict[str, str]:
        data = self.data
        for name, entry in request.forget.items():
            if data.members.get(name) == entry:
                del data.members[name]
        if request.leave:
            data.members.pop(request.replica, None)
        else:
            data.members[request.replica] = str(request.member)
        states = {}
        for write in request.writes:
            if self._carry_out_write(request, write) and write.budget in data.states:
                states[write.budget] = data.states[write.budget]
        data.states |= request.states
        return states

    def _carry_out_write(self, request: Request, write: Write) -> bool:
        data = self.data
        if data.records.get(write.budget, "") != write.was:
            return False
        if write.holder and data.members.get(write.holder, "") != write.member:
            return False
        if write.release:
            let_go = Owner.parse(write.was)
            assert let_go
            data.records[write.budget] = str(replace(let_go, replica="", incarnation=""))
            data.states[write.budget] = write.state or ""
            return False
        data.token += 1
        data.records[write.budget] = str(Owner(request.replica, request.member.incarnation, data.token))
        return True
