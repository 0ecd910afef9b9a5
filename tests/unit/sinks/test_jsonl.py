"""The jsonl file: the line's form, and what a full disk, a closed pipe or a crash leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cdc.delivery.permits import Windows
from cdc.delivery.quota import Traffic
from cdc.errors import SinkUnavailableError
from cdc.model import Action, Message, ObjectType
from cdc.settings.sink import SinkSettings
from sinks.jsonl import JsonlSink, line_of
from tests.kit.requests import FreeRequests

LINE = Message(
    object_type=ObjectType.LINE_ITEM,
    external_id="magento-item-5",
    action=Action.UPSERT,
    changed_at=1_700_000_000_000,
    properties={"sku": "MAT-1", "name": "Yoga mat"},
    associations={ObjectType.PRODUCT: ("magento-product-9",), ObjectType.DEAL: ("magento-order-1",)},
    position="binlog.000001:4567",
)


def sink_to(path: object) -> JsonlSink:
    """A sink that writes to ``path``."""
    return JsonlSink(SinkSettings(kind="jsonl", path=str(path)))


def test_the_line_has_the_contracts_form_with_keys_sorted() -> None:
    """Seven members, sorted, also inside."""
    assert line_of(LINE) == (
        b'{"action":"UPSERT","associations":{"DEAL":["magento-order-1"],"PRODUCT":["magento-product-9"]},'
        b'"changed_at":1700000000000,"external_id":"magento-item-5","object_type":"LINE_ITEM",'
        b'"position":"binlog.000001:4567","properties":{"name":"Yoga mat","sku":"MAT-1"}}\n'
    )


async def test_a_file_is_appended_to(tmp_path: Path) -> None:
    """What was there stays."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(line_of(LINE))
    await sink_to(path).send([LINE, LINE], FreeRequests())
    assert path.read_bytes() == line_of(LINE) * 3


async def test_a_rotated_file_is_begun_anew(tmp_path: Path) -> None:
    """The file may be moved away between batches."""
    path = tmp_path / "out.jsonl"
    sink = sink_to(path)
    await sink.send([LINE], FreeRequests())
    path.rename(tmp_path / "out.jsonl.1")
    await sink.send([LINE], FreeRequests())
    assert path.read_bytes() == line_of(LINE)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(line_of(LINE) + line_of(LINE)[:60], line_of(LINE), id="torn line of ours"),
        pytest.param(line_of(LINE)[:5], b"", id="torn first line"),
        pytest.param(line_of(LINE) + b'{"action":"' + b"x" * 200_000, line_of(LINE), id="long torn line"),
        pytest.param(b"# notes without an end", b"# notes without an end\n", id="somebody else's text"),
    ],
)
async def test_a_line_torn_by_a_crash_is_cut_off(tmp_path: Path, before: bytes, after: bytes) -> None:
    """A torn line was never accepted and comes again; a reader must meet whole lines only."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(before)
    await sink_to(path).send([LINE], FreeRequests())
    assert path.read_bytes() == after + line_of(LINE)


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    """A write that stops in the middle is undone; the batch is not accepted."""
    path = tmp_path / "out.jsonl"
    program = (
        "import asyncio, resource, signal\n"
        "from cdc.errors import SinkUnavailableError\n"
        "from tests.unit.sinks.test_jsonl import LINE, FreeRequests, line_of, sink_to\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "size = len(line_of(LINE)) + 50\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))\n"
        f"sink = sink_to({str(path)!r})\n"
        "asyncio.run(sink.send([LINE], FreeRequests()))\n"
        "try: asyncio.run(sink.send([LINE], FreeRequests()))\n"
        "except SinkUnavailableError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "cannot be written: File too large" in done.stdout
    assert path.read_bytes() == line_of(LINE)


@pytest.mark.parametrize("path", ["/dev/full", "/nowhere/out.jsonl"])
async def test_what_cannot_be_written_is_unavailable(path: str) -> None:
    """Nothing was taken; the text names the file and where to look; ``check`` has a finding."""
    with pytest.raises(SinkUnavailableError, match=f"{path} cannot be written") as caught:
        await sink_to(path).send([LINE], FreeRequests())
    assert "look at the disk" in str(caught.value)


async def test_check_names_a_file_that_cannot_be_made() -> None:
    """A finding, not an error."""
    findings = await sink_to("/nowhere/out.jsonl").check(FreeRequests())
    assert [finding.ok for finding in findings] == [False]


async def test_stdout_is_written_as_lines(capfd: pytest.CaptureFixture[str]) -> None:
    """A path of - means stdout."""
    await sink_to("-").send([LINE], FreeRequests())
    assert capfd.readouterr().out.encode() == line_of(LINE)


def test_a_closed_pipe_ends_the_run() -> None:
    """A reader of stdout that went away never comes back: not an error that delivery would retry."""
    program = (
        "import asyncio, sys\n"
        "from cdc.errors import CdcError, SinkError\n"
        "from tests.unit.sinks.test_jsonl import LINE, FreeRequests, sink_to\n"
        "try: asyncio.run(sink_to('-').send([LINE], FreeRequests()))\n"
        "except CdcError as error: print(isinstance(error, SinkError), error, file=sys.stderr)\n"
    )
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=write_end, stderr=subprocess.PIPE, text=True, check=True
    )
    os.close(write_end)
    assert done.stderr.startswith("False stdout cannot be written: its reader went away")


def test_no_quota_holds_it_whatever_the_settings_say() -> None:
    """A quota belongs to the sink that has one: HubSpot's 100 requests in 10 s made this one three times slower."""
    for more in ({}, {"max_requests_per_10s": 1}):
        settings = SinkSettings.model_validate({"kind": "jsonl", **more})
        windows = Windows(JsonlSink(settings).traits.families, 0.1, cap=settings.max_requests_per_10s)
        window = windows.of("write")
        for traffic in Traffic:
            for _ in range(1000):
                assert window.delay_s(0.0, traffic, live_is_ready=True) == 0.0
                window.start(0.0, traffic)
