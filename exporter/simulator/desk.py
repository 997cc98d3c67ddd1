"""Handles a call: counts, checks, answers and logs it. Sockets and waiting are in `server`."""

from dataclasses import dataclass, replace
from html import escape

from exporter.simulator.apps import Credentials
from exporter.simulator.calls import Call, CallLog
from exporter.simulator.clock import Clock
from exporter.simulator.codes import CODES
from exporter.simulator.exchange import Ask, Gateway, Received, Refusal, Reply
from exporter.simulator.faults import Effects, Fault, Faults
from exporter.simulator.garbage import any_form, spoil
from exporter.simulator.janus import JanusGateway
from exporter.simulator.limits import Limits
from exporter.simulator.outlook import Outlook
from exporter.simulator.settings import Settings
from exporter.simulator.tencent import TencentGateway
from exporter.simulator.volcengine import VolcengineGateway
from exporter.simulator.worlds import Worlds
from exporter.simulator.zego import ZegoGateway


@dataclass(frozen=True, slots=True)
class Case:
    """
    One call that is being handled.

    Attributes:
        at, moment: Time of its arrival, in Unix and in monotonic seconds.
        refusal: Why the vendor refuses the call; None: the vendor answers.
        outcome: The outcome for the log, see `calls.Call`.
    """

    at: float
    moment: float
    gateway: Gateway
    ask: Ask
    effects: Effects
    refusal: Refusal | None
    outcome: str


class Desk:
    """The gateways of the vendors, with the faults and limits that they share."""

    def __init__(
        self,
        *,
        settings: Settings,
        worlds: Worlds,
        calls: CallLog,
        limits: Limits,
        faults: Faults,
        credentials: Credentials,
        clock: Clock,
    ) -> None:
        self._settings, self._worlds, self._calls = settings, worlds, calls
        self._limits, self._faults, self._clock = limits, faults, clock
        self._gateways: tuple[Gateway, ...] = (
            TencentGateway(credentials, clock, strict_ids=settings.strict_ids),
            JanusGateway(credentials),
            VolcengineGateway(credentials, clock, strict_ids=settings.strict_ids),
            ZegoGateway(credentials, clock, strict_ids=settings.strict_ids),
        )

    def open(self, received: Received, *, at: float, moment: float) -> Case | None:
        """Find the vendor of a request, count it, choose its faults and check it; None if no vendor has such a call."""
        for gateway in self._gateways:
            ask = gateway.read(received)
            if ask is not None:
                break
        else:
            return None
        if ask.holder:
            self._limits.budget(ask.limit, ask.holder).receive(moment)
        effects = self._faults.effects(ask.api, ask.app, ask.rooms, "lists" if ask.lists else "polls")
        case = Case(at, moment, gateway, ask, effects, refusal=None, outcome="answer")
        if effects.decisive is not None and effects.decisive.kind == "outage":
            return case
        return self._checked(case)

    def settle(self, case: Case) -> Reply:
        """Make the reply from the data of this moment, and log the call."""
        reply, outcome = self._reply(case)
        self.log(case, outcome, reply)
        return reply

    def log(self, case: Case, outcome: str, reply: Reply | None = None) -> None:
        """Add the call to the log; without a reply if none was sent."""
        self._calls.enter(
            Call(
                number=0,
                received=case.at,
                received_monotonic=case.moment,
                answered=self._clock.time(),
                api=case.ask.api,
                action=case.ask.action,
                app=case.ask.app,
                limit=case.ask.limit,
                holder=case.ask.holder,
                rooms=case.ask.rooms,
                outcome=outcome,
                status=reply.status if reply else 0,
                code=reply.code if reply else "",
                counts=reply.answered if reply else (),
            )
        )

    def vendor_time(self, case: Case) -> float:
        """The present time of the vendor's clock, in Unix seconds."""
        return self._clock.time() + case.effects.skew

    def _checked(self, case: Case) -> Case:
        codes = CODES[case.ask.api]
        refusal = case.gateway.check(case.ask, self.vendor_time(case))
        if refusal is None and case.effects.revoked:
            refusal = Refusal(codes.revoked)
        if refusal is not None:
            return replace(case, refusal=refusal, outcome="refusal")
        if not self._limits.budget(case.ask.limit, case.ask.holder).admit(case.moment):
            return replace(case, refusal=Refusal(codes.rate_limited), outcome="rate_limited")
        return case

    def _reply(self, case: Case) -> tuple[Reply, str]:
        fault = case.effects.decisive
        if fault is not None and fault.kind == "status":
            return self._page(case, fault), fault.kind
        if case.refusal is not None:
            return self._refuse(case, case.refusal), case.outcome
        if fault is not None and fault.kind in ("code", "rate_limited", "refused", "not_activated"):
            return self._ordered_code(case, fault), fault.kind
        world = self._worlds.of(case.ask.api, case.ask.app)
        outlook = Outlook(world, self._settings, self._clock.time(), case.effects.listing)
        reply = case.gateway.answer(case.ask, outlook)
        if fault is None:
            return reply, case.outcome
        if fault.kind == "content_type":
            return replace(reply, content_type=fault.message or "text/html"), fault.kind
        if fault.kind == "garbage":
            form = fault.form or any_form(case.ask.api, self._faults.dice)
            return spoil(form, case.ask.api, reply, self._faults.dice), f"garbage:{form}"
        return reply, fault.kind

    def _ordered_code(self, case: Case, fault: Fault) -> Reply:
        codes = CODES[case.ask.api]
        usual = {"refused": codes.refused, "not_activated": codes.not_activated}
        code = fault.code or usual.get(fault.kind, codes.rate_limited)
        reply = self._refuse(case, Refusal(code, fault.message or "", fault.status))
        return replace(reply, headers=_retry_after(fault))

    def _refuse(self, case: Case, refusal: Refusal) -> Reply:
        if case.effects.echo:
            words = refusal.message or CODES[case.ask.api].messages.get(refusal.code, "failed")
            refusal = replace(refusal, message=f"{words}: {_quoted(case.ask.received)}")
        return case.gateway.refuse(case.ask, refusal)

    def _page(self, case: Case, fault: Fault) -> Reply:
        status = fault.status or 503
        words = fault.message or "The server could not answer."
        if case.effects.echo:
            words = f"{words} {_quoted(case.ask.received)}"
        headers = dict(_retry_after(fault))
        if 300 <= status < 400:
            headers["Location"] = f"{case.ask.received.path}?{case.ask.received.query}"
        body = f"<html><head><title>{status}</title></head><body><h1>{status}</h1><p>{escape(words)}</p></body></html>"
        return Reply(status, body.encode(errors="replace"), "", content_type="text/html", headers=headers)


def _quoted(received: Received) -> str:
    headers = ", ".join(f"{name}: {value}" for name, value in received.headers.items())
    return f"{received.method} {received.path}?{received.query} [{headers}]"


def _retry_after(fault: Fault) -> dict[str, str]:
    return {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
