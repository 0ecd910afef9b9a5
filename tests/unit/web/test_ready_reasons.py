"""What the daemon's view says beside what works and what does not."""

from __future__ import annotations

import pytest

from cdc.engine.state_thread import TransactionQueue
from cdc.settings.config import Settings
from cdc.settings.sink import SinkSettings
from cdc.sink_output import SinkOutput
from cdc.status import DaemonView, SourceState


def _view() -> DaemonView:
    """What a daemon with a connected source shows."""
    return DaemonView(
        TransactionQueue(1), SourceState(name="connected"), SinkOutput(Settings(sink=SinkSettings(kind="jsonl")))
    )


@pytest.mark.parametrize(("waited_s", "is_told"), [(0.0, False), (60.0, False), (61.0, True)])
def test_changed_objects_that_wait_long_to_be_rendered_are_a_reason(waited_s: float, is_told: bool) -> None:
    """A live change that is not rendered within a minute is told with where to look."""
    view = _view()
    view._held = {"oldest_render_s": waited_s}
    told = [reason for reason in view.ready()[1] if reason.startswith("rendering:")]
    assert bool(told) is is_told
    assert all("61 s" in reason and "magento_cdc_state_commit_seconds" in reason for reason in told)


@pytest.mark.parametrize(
    ("disk", "is_told"), [({}, False), ({"free_bytes": 1 << 30}, False), ({"free_bytes": 9 << 20}, True)]
)
def test_a_disk_that_is_nearly_full_is_told_before_it_ends_the_daemon(disk: dict[str, int], is_told: bool) -> None:
    """The reason names the space that is left and what to do; figures that are not known tell nothing."""
    view = _view()
    view._held = {"disk": disk}
    told = [reason for reason in view.ready()[1] if reason.startswith("state: only")]
    assert bool(told) is is_told
    assert all("9 MB are free" in reason and "state.dir a bigger volume" in reason for reason in told)
