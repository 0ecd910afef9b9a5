"""A machine that gives no more memory or open files is told as a sentence, not as a fault of ours."""

from __future__ import annotations

import errno
import io
import resource

import pytest

from cdc.cli.common import FEWEST_FILES, check_file_limit, failure_in_log, limit_reached
from cdc.errors import CdcError


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "no memory is left; raise the memory limit"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "no memory is left; raise the memory limit"),
        (OSError(errno.EMFILE, "Too many open files"), "no more files may be opened; raise the limit of open files"),
        (OSError(errno.ENFILE, "Too many open files"), "no more files may be opened; raise the limit of open files"),
        (RuntimeError("can't start new thread"), "no more threads can be started; raise the limit of memory"),
    ],
)
def test_a_limit_of_the_machine_ends_a_run_with_a_sentence(error: Exception, told: str) -> None:
    """Exit code 1, so that a restart is tried, and the limit that is to be raised."""
    with pytest.raises(CdcError) as caught, failure_in_log(io.StringIO()):
        raise error

    assert str(caught.value).startswith(told)
    assert caught.value.exit_code == 1


def test_any_other_error_stays_what_it_is() -> None:
    """A fault of ours keeps its traceback: nobody could mend it otherwise."""
    assert limit_reached(OSError(errno.ENOENT, "No such file")) is None
    assert limit_reached(RuntimeError("ours")) is None
    with pytest.raises(ValueError, match="ours"), failure_in_log(io.StringIO()):
        raise ValueError("ours")


def test_a_run_with_too_few_open_files_does_not_begin() -> None:
    """The sentence names the limit that holds and the limit that is needed."""
    with pytest.raises(CdcError, match="limit of open files is 20, and a run needs 64") as caught:
        check_file_limit(20)

    assert "ulimit -n" in caught.value.hint
    check_file_limit(FEWEST_FILES)
    check_file_limit(resource.RLIM_INFINITY)
