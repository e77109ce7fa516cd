"""Commands, scripts, and the processes that they fork."""

from __future__ import annotations

import pytest

from .conftest import Start

pytestmark = [pytest.mark.server, pytest.mark.mongo]


def test_a_command(start: Start) -> None:
    """What a server builds before it serves is not for a command."""
    run = start("command", "use", eager=True, ready=False)
    assert run.wait() == 0
    assert run.of("built").keys() == {run.process.pid}
    run.check()


@pytest.mark.parametrize("status", [0, 3])
def test_a_script(start: Start, status: int) -> None:
    text = f"import probe, sys; probe.use_in_context(); sys.exit({status})"
    run = start("script", text)
    assert run.wait() == status
    run.check()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing(start: Start, method: str) -> None:
    run = start("script", f"import processes; processes.multiprocess({method!r})")
    assert run.wait() == 0
    built = run.of("built")
    # A child, and the workers of a pool: a second one, if the first one was busy.
    assert len(built) in (3, 4)
    forked = method == "fork"
    assert run.builders("words") == ({run.process.pid} if forked else built.keys())
    run.check(fork_warnings=len(built) - 1 if forked else 0)


def test_a_fork_while_the_parent_works(start: Start) -> None:
    run = start("script", "import processes; processes.fork_in_use()")
    assert run.wait() == 0
    assert len(run.of("built")) == 2
    run.check(fork_warnings=1)


@pytest.mark.parametrize("fork", ["os", "libc"])
def test_a_fork_while_another_thread_builds(start: Start, fork: str) -> None:
    text = f"import processes; processes.fork_while_building({fork!r}, 20)"
    run = start("script", text)
    assert run.wait() == 0, run
    assert not run.output
