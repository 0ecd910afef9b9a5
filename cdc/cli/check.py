"""``check``: server, grants, log settings, tables, state and sink, one line each, with the fix for each fault."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cdc.cli.check_here import here, position_in_log, running, twin
from cdc.cli.common import AsJson, Config, Sets, open_state, print_json, say, settings_of
from cdc.errors import CdcError, SetupError
from cdc.model import CheckResult

if TYPE_CHECKING:
    from cdc.settings.config import Settings
    from cdc.settings.mapping import MappingSettings

WATCH_S: Final = 10.0


def check(
    context: typer.Context,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again every ten seconds until nothing fails; print what changes.")
    ] = False,
) -> None:
    """Check everything a run needs, and say how to fix each fault.

    Exits 1 if a fault would stop a run.
    """
    settings = settings_of(context, config, sets)
    findings = _all(settings)
    if watch and not as_json:
        findings = _until_well(settings, findings)
    if as_json:
        print_json([{"name": f.name, "ok": f.ok, "warning": f.warning, "text": f.text, "fix": f.fix} for f in findings])
    else:
        _print(findings)
    # Warnings do not keep a run from working.
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _until_well(settings: Settings, findings: list[CheckResult]) -> list[CheckResult]:
    """Check again until nothing fails. The results in between are printed whenever they change."""
    shown: list[CheckResult] = []
    while not all(finding.ok for finding in findings):
        if findings != shown:
            _print(findings)
            say(f"--- {datetime.now(UTC):%H:%M:%S} UTC; looking again every {WATCH_S:.0f} s, Ctrl-C ends")
            shown = findings
        time.sleep(WATCH_S)
        findings = _all(settings)
    return findings


def _all(settings: Settings) -> list[CheckResult]:
    import asyncio

    return [
        *_plain(settings),
        *_source(settings),
        *_replica(settings),
        *_read_from(settings),
        *twin(settings),
        *position_in_log(settings),
        *here(settings),
        *running(settings),
        *_mapping(settings),
        *_stages(settings),
        *_first_load(settings),
        *asyncio.run(_sink(settings)),
        *asyncio.run(_kafka(settings)),
    ]


def _print(findings: Sequence[CheckResult]) -> None:
    for finding in findings:
        mark = "FAIL" if not finding.ok else "warn" if finding.warning else "ok"
        typer.echo(f"{mark:<5} {finding.name}: {finding.text}")
        if finding.fix and (finding.warning or not finding.ok):
            typer.echo(f"      {finding.fix}")


def _plain(settings: Settings) -> Sequence[CheckResult]:
    from cdc.settings.plain import plain_connections

    return [CheckResult(name, True, text, fix, warning=True) for name, text, fix in plain_connections(settings)]


def _source(settings: Settings) -> Sequence[CheckResult]:
    if settings.source.kind == "kafka":
        return []  # a member needs no database
    # Files are checked by their names alone: reading them takes as long as a run.
    if settings.source.kind == "files":
        from cdc.source.files import matching_files

        try:
            files = matching_files(settings.source.files)
        except CdcError as error:
            return [CheckResult("files", False, error.message, error.hint)]
        return [CheckResult("files", True, f"{len(files)} binlog file(s)")]
    from cdc.settings.shop_codes import named_codes
    from cdc.source.preflight import findings
    from mappers.mapping import MagentoMapping

    mapper = MagentoMapping(_as_the_shop_has_it(settings))
    return findings(settings.source, mapper.tables, mapper.attributes, named_codes(settings.mapping))


def _replica(settings: Settings) -> Sequence[CheckResult]:
    """Whether the replica in [history] can be asked for its lag; only a run that reads a server asks for it."""
    from cdc.snapshot.replica_lag import replica_findings

    return replica_findings(settings.source, settings.history) if settings.source.kind == "binlog" else []


def _read_from(settings: Settings) -> Sequence[CheckResult]:
    """Whether whole tables can be read from the replica in [history.read_from]; no line without a replica."""
    from cdc.snapshot.replica_reader import read_from_findings
    from mappers.mapping import MagentoMapping

    if settings.source.kind != "binlog" or not settings.history.read_from.host:
        return []
    mapper = MagentoMapping(_as_the_shop_has_it(settings))
    return read_from_findings(settings.source, settings.history, mapper.tables)


def _as_the_shop_has_it(settings: Settings) -> MappingSettings:
    """The mapping completed from the server, as a run does; unchanged if that fails, as the findings then say why."""
    from cdc.source.extension_tables import with_primary_keys
    from cdc.source.server import connect, mapped_errors

    try:
        with mapped_errors(settings.source):
            connection = connect(settings.source)
            try:
                return with_primary_keys(connection, settings.source, settings.mapping)
            finally:
                connection.close()
    except CdcError:
        return settings.mapping


def _mapping(settings: Settings) -> Sequence[CheckResult]:
    """Whether a changed mapping waits for an operator. No line if the state does not exist or is broken."""
    from cdc.messages.mapping_review import COMMAND, Step, plan_text
    from cdc.state.copies import STATE_FILE
    from cdc.state.meta import read_only_meta

    with read_only_meta(settings.state.dir / STATE_FILE) as meta:
        review = meta.mapping_review if meta is not None else {}
    if review.get("step") != Step.WAITING:
        return []
    return [CheckResult("mapping", False, plan_text(review), f"{COMMAND}, or put the old mapping back")]


def _stages(settings: Settings) -> Sequence[CheckResult]:
    """Stages of mapping.stages that are none of HubSpot's ecommerce pipeline: a name of one's own, or a typo."""
    from cdc.settings.faults import nearest
    from mappers.stages import STAGES

    fix = "right if your pipeline has this stage; else correct mapping.stages"
    return [
        CheckResult(
            "stages", True, f"mapping.stages.{state} is {stage!r}, no stage of ours{nearest(stage, STAGES)}", fix, True
        )
        for state, stage in settings.mapping.stages.items()
        if stage not in STAGES
    ]


def _first_load(settings: Settings) -> Sequence[CheckResult]:
    """What a first load would take, if there is no state yet. The findings say why it cannot be counted."""
    from cdc.first_load import plan_of
    from cdc.state.copies import has_state

    is_import = settings.source.kind == "binlog" and settings.source.start == "import"
    if not is_import or has_state(settings.state.dir):
        return []
    try:
        plan = plan_of(settings)
    except CdcError:
        return []
    return [CheckResult("first load", True, "; ".join(plan.lines()))]


async def _kafka(settings: Settings) -> Sequence[CheckResult]:
    """The topic that ``relay`` writes, if [kafka] is set, and the topics that a member reads."""
    from cdc.kafka.connect import client_arguments, login_fault, refusal
    from cdc.relay.publisher import TROUBLES
    from cdc.relay.topic import Topic
    from cdc.settings.kafka import KafkaSettings

    kafka = settings.kafka
    is_member = settings.source.kind == "kafka"
    # No [kafka] section, and nothing is read from topics.
    if kafka == KafkaSettings() and not is_member:
        return []
    try:
        connect = client_arguments(kafka)
        try:
            return await _topics(settings, connect) if is_member else await Topic(kafka, connect).check()
        except TROUBLES as error:
            # aiokafka says only that it found no broker; a refused login has a sentence of its own.
            why = await refusal(connect) or error
            raise login_fault(why, connect) or SetupError(
                f"{', '.join(kafka.brokers)}: {why!r}", hint="mend kafka.brokers, kafka.protocol or kafka.tls"
            ) from error
    except CdcError as error:
        return [CheckResult("kafka", False, error.message, error.hint)]


async def _topics(settings: Settings, connect: Mapping[str, Any]) -> Sequence[CheckResult]:
    """The topics that a member reads, one line each, with their retention."""
    from cdc.kafka.topic_id import topic_ids
    from cdc.kafka.topic_settings import retentions

    kafka = settings.kafka
    is_relayed = kafka.format == "relay"
    topics = (kafka.changes_topic,) if is_relayed else kafka.topics
    there = await topic_ids(topics, connect)
    held = await retentions([*there], connect)
    found = []
    for name in topics:
        # Whether a missing topic is a fault depends on who makes it.
        if name not in there:
            found.append(_missing_topic(settings, name))
            continue
        retention = held.get(name)
        policy = f", cleanup.policy {retention.policy}" if retention else ", its settings are not shown to us"
        found.append(CheckResult("kafka topic", True, f"{name} is there{policy}"))
        # Compaction keeps the newest row of each key; deletion by age takes rows that are still in the shop.
        if retention is not None and retention.loses_rows:
            found.append(
                CheckResult(
                    "kafka cleanup.policy",
                    True,
                    f"{name} is {retention.policy}, retention.ms {retention.retention_ms}: rows that nobody changes go"
                    " with age, and then no member with an empty state can be filled",
                    f"kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config"
                    " cleanup.policy=compact",
                    warning=True,
                )
            )
    return found


def _missing_topic(settings: Settings, name: str) -> CheckResult:
    from cdc.members.foreign_topics import ForeignTopics
    from cdc.replica.cascades import core_foreign_keys, with_between
    from mappers.mapping import MagentoMapping

    # The relay makes its topic at its first start.
    if settings.kafka.format == "relay":
        advice = "start `magento-cdc relay` first, or mend kafka.prefix"
        return CheckResult("kafka topic", False, f"{name} is not there", advice)
    mapper = MagentoMapping(settings.mapping)
    foreign = ForeignTopics(settings, mapper, with_between(mapper.tables, core_foreign_keys()))
    table = foreign.tables.of_topic(name)
    # A name that belongs to no mapped table is likely mistyped.
    if table is None:
        return CheckResult("kafka topic", False, f"{name} is not there", "mend kafka.topics")
    text = f"{name} is not there: {table} counts as empty until it is"
    return CheckResult("kafka topic", True, text, "mend kafka.topics if the table has rows", warning=True)


async def _sink(settings: Settings) -> Sequence[CheckResult]:
    from cdc.clock import SystemClock
    from cdc.delivery.permits import StandaloneRequests
    from cdc.protocols import SinkSetup
    from sinks.registry import make_sink

    sink = make_sink(settings)
    try:
        # A sink without set-up has nothing to look at.
        if not isinstance(sink, SinkSetup):
            return [CheckResult("sink", True, f"{sink.traits.name} needs nothing")]
        return await sink.check(StandaloneRequests(sink.traits, SystemClock()), _notes(settings, sink.traits.name))
    except CdcError as error:
        return [CheckResult("sink", False, error.message, error.hint)]
    finally:
        await sink.close()


def _notes(settings: Settings, sink: str) -> Mapping[str, str]:
    """The sink's notes in the state; none if there is no state, or none that this release can read."""
    from cdc.delivery.sink_start import kept_notes
    from cdc.state.copies import has_state

    # No run has kept anything yet.
    if not has_state(settings.state.dir):
        return {}
    try:
        with open_state(settings, exclusive=False, only_looks=True) as engine:
            return kept_notes(engine.store, sink)
    except CdcError:
        return {}  # a fault of the state has a finding of its own
