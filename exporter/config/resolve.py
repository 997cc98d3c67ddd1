"""
Completes the sources of a config together: unique names, limits of shared budgets, defaults, warnings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from exporter.config.discovery import DiscoveryConfig, ListenerConfig
from exporter.config.discovery_schema import Listener
from exporter.config.errors import Problems
from exporter.config.finding import discovery
from exporter.config.models import SourceConfig
from exporter.config.rooms import Defaults
from exporter.config.schema import Entry
from exporter.config.secret_looks import oddity
from exporter.config.secrets import key_forms
from exporter.config.values import List, Map
from exporter.vendors import APIS
from exporter.vendors.source import Documented, SecretForm


def check_names(problems: Problems) -> None:
    """Add a problem for each source name that occurs twice."""
    first: dict[str, int] = {}
    sources = problems.at(["sources"])[0]
    for index, source in enumerate(sources if isinstance(sources, List) else ()):
        name = source.get("name") if isinstance(source, Map) else None
        if not isinstance(name, str) or not name:
            continue
        path = "sources", index, "name"
        if name in first:
            found = f"{problems.show_name(name)} again, first in line {first[name]}"
            problems.add(path, found, "a name that no other source has")
        first.setdefault(name, problems.at(path)[1])


def complete(entries: Sequence[Entry], problems: Problems) -> tuple[SourceConfig, ...]:
    """The sources with their APIs' defaults and their budget's rate limit. Adds problems with that limit."""
    drafts = [_draft(entry) for entry in entries]
    budgets: dict[str, list[int]] = defaultdict(list)
    for index, draft in enumerate(drafts):
        budgets[draft.budget].append(index)
    limits = {budget: _limit(members, drafts, problems) for budget, members in budgets.items()}
    limited = [replace(draft, rate_limit=limits[draft.budget]) for draft in drafts]
    found = [
        discovery(entry.discovery, draft, sharing=len(budgets[draft.budget])) if entry.discovery else None
        for entry, draft in zip(entries, limited, strict=True)
    ]
    _check_lists(found, problems)
    return tuple(replace(draft, discovery=each) for draft, each in zip(limited, found, strict=True))


def listener(keys: Listener | None, sources: Sequence[SourceConfig], problems: Problems) -> ListenerConfig | None:
    """Where callbacks arrive; that a source accepts some and nothing listens is noted."""
    if keys is not None:
        return ListenerConfig(keys.listen_address, keys.max_body, keys.trusted_proxies, keys.allow)
    for index, config in enumerate(sources):
        if config.discovery and config.discovery.callbacks:
            path = "sources", index, "discovery", "callbacks"
            problems.add(
                path, "callbacks of a source, and no listener", "callbacks: {listen_address: …} at the top, too"
            )
    return None


def _check_lists(found: Sequence[DiscoveryConfig | None], problems: Problems) -> None:
    """Sources that share the limit of a list must agree on it."""
    first: dict[str, int] = {}
    for index, each in enumerate(found):
        lists = each.vendor_list if each else None
        other = found[first.setdefault(lists.budget, index)] if lists else None
        if lists and other and other.vendor_list and other.vendor_list.rate_limit != lists.rate_limit:
            path = "sources", index, "discovery", "vendor_list"
            agreed = f"{other.vendor_list.rate_limit:g}, as sources[{first[lists.budget]}] has it for the same list"
            problems.add(path, f"rate_limit {lists.rate_limit:g}", agreed)


def _draft(entry: Entry) -> SourceConfig:
    codec = APIS[entry.api]
    model = codec.source_model
    source = model.model_construct(**{name: getattr(entry, name) for name in model.model_fields})
    return SourceConfig(
        name=source.name,
        api=codec.api,
        vendor=codec.vendor,
        codec=codec,
        source=source,
        interval=source.interval or codec.default_interval,
        rate_limit=source.rate_limit or codec.default_limit(source),
        budget=source.budget or codec.budget_key(source),
        timeout=source.timeout,
        max_staleness=source.max_staleness,
        rooms=entry.rooms,
        rooms_files=entry.rooms_files,
        defaults=Defaults(entry.labels, entry.thresholds),
        longest=entry.cadence.longest if entry.cadence else None,
        publish=entry.publish.rule if entry.publish else None,
        families=entry.families,
    )


def _limit(members: Sequence[int], drafts: Sequence[SourceConfig], problems: Problems) -> float:
    """The limit that one of the budget's sources states; otherwise the documented one."""
    stated = [index for index in members if drafts[index].source.rate_limit is not None]
    first, *others = stated or members
    limit = drafts[first].rate_limit
    for index in others:
        other = drafts[index].rate_limit
        if other == limit:
            continue
        if stated:
            path = "sources", index, "rate_limit"
            accepted = f"{limit:g}, as sources[{first}] of the same budget says"
            problems.add(path, problems.show(str(problems.at(path)[0])), accepted)
        else:
            problems.add(
                ("sources", index),
                f"no rate_limit, while its API documents {other:g} calls per second, "
                f"and that of sources[{first}] in the same budget {limit:g}",
                "rate_limit for one source of the budget at least",
            )
    return limit


def warnings(
    sources: Sequence[SourceConfig],
    about_rooms: Mapping[str, Sequence[str]],
    callbacks: ListenerConfig | None,
    problems: Problems,
) -> Iterator[str]:
    """What is accepted but looks like a mistake, one line each."""
    if callbacks and not any(config.discovery and config.discovery.callbacks for config in sources):
        yield f"{problems.locate(['callbacks'])}: nothing is taken there, as no source has discovery with callbacks"
    for index, config in enumerate(sources):
        for key, words in _about(config, about_rooms.get(config.name, ()), problems):
            written = [form for form in key_forms(key) if problems.at(["sources", index, form])[0] is not None]
            yield f"{problems.locate(['sources', index, *written[:1]])}: {words}"


def _about(config: SourceConfig, about_rooms: Sequence[str], problems: Problems) -> Iterator[tuple[str, str]]:
    source = config.source
    for name, info in type(source).model_fields.items():
        value = getattr(source, name)
        form = next((each for each in info.metadata if isinstance(each, SecretForm)), None)
        if name in source.secret_fields() and value is not None and (words := oddity(value.reveal(), form)):
            yield name, words
        known = next((each.values for each in info.metadata if isinstance(each, Documented)), None)
        if known is not None and value not in known:
            shown = problems.show(value)
            yield name, f"{shown} is used, but is none that the vendor documents: {', '.join(known)}"
    for words in about_rooms:
        yield "rooms", words
    documented = config.codec.default_limit(source)
    if config.rate_limit > documented:
        words = f"calls per second are more than the {documented:g} that {config.vendor} documents"
        yield "rate_limit", f"{config.rate_limit:g} {words}"
    found = config.discovery
    finds = found is not None and (found.http_sd or found.vendor_list or found.callbacks)
    if found is not None and not finds:
        yield "discovery", "finds nothing, as it has none of http_sd, vendor_list and callbacks"
    if not config.rooms and not config.rooms_files and not finds:
        yield "", "watches nothing, as it has neither rooms nor rooms_files"
