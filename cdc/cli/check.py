"""``check``: server, grants, log settings, tables, state and sink, one line each, with what mends it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import typer

from cdc.cli.common import AsJson, Config, Sets, print_json, settings_of
from cdc.config import Settings
from cdc.errors import CdcError
from cdc.mapping_config import MappingSettings
from cdc.model import Finding


def check(context: typer.Context, config: Config = None, sets: Sets = None, as_json: AsJson = False) -> None:
    """Look at everything a run needs, and say what mends it.

    Exits 1 if something would keep a run from working.
    """
    settings = settings_of(context, config, sets)
    findings = [*_source(settings), _state(settings), *asyncio.run(_sink(settings)), *asyncio.run(_relay(settings))]
    if as_json:
        print_json([{"name": f.name, "ok": f.ok, "warning": f.warning, "text": f.text, "fix": f.fix} for f in findings])
    else:
        for finding in findings:
            mark = "FAIL" if not finding.ok else "warn" if finding.warning else "ok"
            typer.echo(f"{mark:<5} {finding.name}: {finding.text}")
            if finding.fix and (finding.warning or not finding.ok):
                typer.echo(f"      {finding.fix}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _source(settings: Settings) -> Sequence[Finding]:
    if settings.source.kind == "files":
        from cdc.source.files import matching_files

        try:
            files = matching_files(settings.source.files)
        except CdcError as error:
            return [Finding("files", False, error.message, error.hint)]
        return [Finding("files", True, f"{len(files)} binlog file(s)")]
    from cdc.source.preflight import findings
    from mappers.mapping import MagentoMapping

    mapper = MagentoMapping(_as_the_shop_has_it(settings))
    return findings(settings.source, mapper.tables, mapper.attributes)


def _as_the_shop_has_it(settings: Settings) -> MappingSettings:
    """The mapping with what a run asks the server; as it stands when that fails, which the findings then tell."""
    from cdc.source.satellites import with_primary_keys
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


def _state(settings: Settings) -> Finding:
    from cdc.replica.store import probe_folder

    try:
        probe_folder(settings.state.dir)
    except CdcError as error:
        return Finding("state", False, error.message, error.hint)
    return Finding("state", True, f"{settings.state.dir} can be written")


async def _relay(settings: Settings) -> Sequence[Finding]:
    """The topic that ``relay`` writes, where [kafka] is set and the shop's log is what is read."""
    from cdc.kafka_config import KafkaSettings

    if settings.kafka == KafkaSettings() or settings.source.kind == "kafka":
        return []
    from cdc.relay.publisher import TROUBLES
    from cdc.relay.topic import Topic

    try:
        return await Topic(settings.kafka).check()
    except TROUBLES as error:
        brokers = ", ".join(settings.kafka.brokers)
        return [Finding("kafka", False, f"{brokers}: {type(error).__name__}", "see kafka.brokers, protocol and login")]
    except CdcError as error:
        return [Finding("kafka", False, error.message, error.hint)]


async def _sink(settings: Settings) -> Sequence[Finding]:
    from sinks.make import make_sink

    sink = make_sink(settings.sink, settings.mapping)
    try:
        return await sink.check()
    except CdcError as error:
        return [Finding("sink", False, error.message, error.hint)]
    finally:
        await sink.close()
