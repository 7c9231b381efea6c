"""Mode `distributed` over nodes that a user started: nodes that are lost, join, differ or lack a key."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Final, NamedTuple

import psutil
import pytest

from bench.journal import iter_last_results, read_manifest
from bench.records import TaskResult
from bench.summary import summarise
from tests.command import COMMAND, ROOT, records, the_run, wait_until
from tests.hosts import network, recorded
from tests.nodes import KEY, Cluster, Simulator, begin, each_done_once, here, hosts, registered, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.conftest import Show
    from tests.nodes import Machines

#: Keys of providers that the run does not ask.
OTHERS: Final = {"BIGMODEL_API_KEY": "other-kanarie-1", "OPENAI_API_KEY": "sk-other-kanarie-2"}

#: One certificate for everybody, which is its own authority, as Dask is told of it.
TLS: Final = {
    f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(ROOT / "tests" / "data" / "loopback.pem")
    for name in ("CA_FILE", "SCHEDULER__CERT", "WORKER__CERT", "CLIENT__CERT")
}

NODES: Final = "tasks by node"


@pytest.mark.parametrize(
    ("where", "tasks", "slots", "most_us"),
    [
        # Of few tasks the greeting of the nodes is most of what the scheduler does.
        (here, 300, 20, 10_000),
        pytest.param(hosts, 5000, 100, 1_000, marks=[pytest.mark.root, pytest.mark.full, pytest.mark.timeout(300)]),
    ],
)
def test_a_node_is_killed_and_another_one_joins(
    where: Callable[[], AbstractContextManager[Machines]],
    tasks: int,
    slots: int,
    most_us: float,
    tmp_path: Path,
    show: Show,
) -> None:
    """N are in flight over all nodes and never more; a node killed in mid-run costs at most the calls that it had, one
    that joins takes part, each task is recorded once, and the scheduler has next to nothing to do.
    """
    join = tmp_path / "join"
    with where() as machine:
        simulator = Simulator(machine("server"), tmp_path, "--ttft", "0.2", "--tokens", "4")
        cluster = Cluster(machine("boss"), tmp_path / "cluster")
        first, second = (cluster.node(machine(name), name) for name in ("n1", "n2"))
        late = cluster.node(machine("n3"), "n3", held_back_until=join)
        registered(first, second)
        before_s = cluster.scheduler_cpu_s()
        run = begin(machine("desk"), tmp_path, cluster, *simulator.asked, tasks=tasks, slots=slots)
        wait_for(lambda: len(simulator.ended()) >= tasks // 5, "its first calls", during=run)
        join.touch()
        registered(late)
        wait_for(lambda: len(simulator.ended()) >= tasks // 2, "its first calls", during=run)
        second.kill()
        _, err = run.communicate(timeout=200)
        scheduler_us = (cluster.scheduler_cpu_s() - before_s) / tasks * 1e6
        stats = simulator.stop()
    assert run.returncode == 0, err
    directory = the_run(tmp_path / "results")
    lost = each_done_once(directory, tasks)
    assert stats.peak_in_flight == slots
    rows = {row.node: row for row in summarise(directory).nodes}
    assert {name: row.lost for name, row in rows.items()} == {"n1": 0, "n2": lost, "n3": 0}
    assert 0 < lost <= slots
    assert tasks <= stats.requests <= tasks + lost
    assert sum(row.tasks for row in rows.values()) == tasks
    assert all(row.ok > 0 for row in rows.values())
    assert scheduler_us < most_us
    said = ", ".join(f"{row.node} {row.ok} ({row.lost} lost)" for row in rows.values())
    calls = f"{stats.requests} calls at the server, scheduler {scheduler_us:.0f} us of CPU a task"
    show(NODES, f"{where.__name__:6} {tasks} tasks, N = {slots}: {said}; {calls}")


def test_the_scheduler_is_killed_and_the_run_resumed(tmp_path: Path) -> None:
    """Without its scheduler a run ends with 1, says so and how to go on; resumed with another scheduler, it makes only
    the calls that are missing.
    """
    tasks = 100
    with here() as machine:
        simulator = Simulator(machine("server"), tmp_path, "--ttft", "0.2", "--tokens", "4")
        cluster = Cluster(machine("boss"), tmp_path / "cluster")
        registered(cluster.node(machine("n1"), "n1"))
        run = begin(machine("desk"), tmp_path, cluster, *simulator.asked, tasks=tasks, slots=8)
        wait_for(lambda: len(simulator.ended()) >= tasks // 3, "its first calls", during=run)
        cluster.kill_scheduler()
        again = Cluster(machine("boss"), tmp_path / "again")
        node = again.node(machine("n1"), "n1")
        _, err = run.communicate(timeout=60)
        directory = the_run(tmp_path / "results")
        assert run.returncode == 1, err
        assert f"the scheduler at {cluster.address} is gone" in err
        assert re.search(rf"--resume \S*{directory.name} --scheduler tcp://", err)
        assert read_manifest(directory).status == "failed"
        done = {record.task_id for record in records(directory) if record.status == "ok"}
        wait_until(lambda: len(simulator.ended()) == simulator.stats().requests, "a call that nobody waits for")
        before = simulator.stats().requests
        registered(node)
        resumed = machine("desk").start(
            *COMMAND, "--resume", directory.name, "--scheduler", again.address, cwd=tmp_path
        )
        _, err = resumed.communicate(timeout=60)
        assert resumed.returncode == 0, err
        assert simulator.stop().requests - before == tasks - len(done)
    last = list(iter_last_results(directory, TaskResult))
    assert len(last) == tasks
    assert {record.status for record in last} == {"ok"}


class Told(NamedTuple):
    """A run over three hosts, two of which may not take part, and one for which only those two were left.

    Attributes:
        records: Of the first run.
        log: Of the first run.
        refusal: What the second run said.
        refusal_code: How it ended.
        later_calls: How many calls it made.
        sent: What went over the cables, by its ends.
        server: Where the endpoint is.
    """

    records: list[TaskResult]
    log: str
    refusal: str
    refusal_code: int
    later_calls: int
    sent: dict[tuple[str, str], bytes]
    server: str


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """A node whose clock is 5,000 s ahead, one with a changed source, one without the key; all traffic is recorded."""
    folder = tmp_path_factory.mktemp("hosts")
    other = folder / "other"
    shutil.copytree(ROOT / "bench", other / "bench")
    with (other / "bench" / "clock.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    with network() as made:
        server, boss, desk = (made.host(name) for name in ("server", "boss", "desk"))
        simulator = Simulator(server, folder, "--ttft", "0.3", "--itl", "0.01", "--tokens", "11")
        made.record(folder / "wire")
        cluster = Cluster(boss, folder / "cluster")
        good = cluster.node(made.host("n1", clock_ahead_s=5000), "n1")
        differing = cluster.node(made.host("n2"), "n2", project=other)
        registered(good, differing, cluster.node(made.host("n3"), "n3", env={}))
        options = (*simulator.asked, "--log-level", "debug")
        run = begin(desk, folder, cluster, *options, tasks=80, slots=20, env={**KEY, **OTHERS})
        _, err = run.communicate(timeout=60)
        assert run.returncode == 0, err
        directory = the_run(folder / "results")
        calls = simulator.stats().requests
        good.kill()
        refused = begin(desk, folder, cluster, *options, tasks=80, slots=20)
        _, refusal = refused.communicate(timeout=60)
        later_calls = simulator.stop().requests - calls
    return Told(
        records=records(directory),
        log=(directory / "run.log").read_text(encoding="utf-8"),
        refusal=refusal,
        refusal_code=refused.returncode,
        later_calls=later_calls,
        sent=recorded(folder / "wire"),
        server=simulator.authority,
    )


@pytest.mark.root
def test_nodes_that_differ_are_refused(told: Told) -> None:
    """A node with another source and one without the key take no part and are named with the reason; where there are
    no others, the run ends with 2 and nothing is sent.
    """
    for reason in ("node n2 (n2): this program's source", "node n3 (n3): CONCURRENT_API_KEY is not set"):
        assert reason in told.log
        assert reason in told.refusal
    assert {record.worker.node for record in told.records} == {"n1"}
    assert (told.refusal_code, told.later_calls) == (2, 0)


@pytest.mark.root
def test_r10_a_node_with_another_clock_tells_the_same_times(told: Told) -> None:
    """However far a node's clock is ahead, every time is that of the answer, and no record lies outside the run."""
    assert len(told.records) == 80
    for record in told.records:
        assert record.ttft_s is not None
        assert 0.3 <= record.ttft_s < 30
        assert 0.4 <= record.service_s <= record.latency_s < 30
        assert 0 <= record.queue_s < 30
        assert 0 <= record.started_s < record.ended_s < 60


@pytest.mark.root
def test_the_key_goes_to_the_server_alone(told: Told) -> None:
    """Of all that goes from host to host only the requests hold the key; nodes are told the name of its variable."""
    places = {target for (_, target), content in told.sent.items() if b"kanarie" in content.lower()}
    assert places == {told.server}
    assert any(b"CONCURRENT_API_KEY" in content for (_, target), content in told.sent.items() if target not in places)


def test_a_cluster_of_its_own_ends_with_the_run_that_was_killed(tmp_path: Path) -> None:
    """Without a scheduler the run starts nodes of its own, which have no other keys, and end when it is killed."""
    with here() as machine:
        simulator = Simulator(machine("server"), tmp_path, "--ttft", "60")
        run = machine("desk").start(
            *(*COMMAND, "-m", "distributed", "--workers", "2", "-c", "4", "--client", "lean", "--no-report"),
            *("--base-url", simulator.base_url, "--model", "m", "--topics", "甲", "--iterations", "9"),
            cwd=tmp_path,
            env={**KEY, **OTHERS},
        )
        wait_for(lambda: simulator.stats().in_flight == 4, "no call", during=run)
        family = psutil.Process(run.pid).children(recursive=True)
        environments = " ".join(f"{each.environ()}" for each in family)
        run.kill()
        _, alive = psutil.wait_procs(family, timeout=20)
        assert alive == []
        wait_until(lambda: simulator.stats().in_flight == 0, "a call that nobody waits for")
    assert len(family) >= 2
    assert "other-kanarie" not in environments


@pytest.mark.full
def test_with_certificates_nobody_else_reaches_the_nodes(tmp_path: Path) -> None:
    """Over TLS a run with a certificate is done; without one it ends before anything is sent, naming the scheduler."""
    with here() as machine:
        simulator = Simulator(machine("server"), tmp_path, "--tokens", "4")
        cluster = Cluster(machine("boss"), tmp_path / "cluster", protocol="tls", env=TLS)
        registered(cluster.node(machine("n1"), "n1", env={**KEY, **TLS}))
        stranger = begin(machine("desk"), tmp_path, cluster, *simulator.asked, tasks=20, slots=4)
        _, refusal = stranger.communicate(timeout=60)
        assert stranger.returncode in {1, 2}
        assert cluster.address in refusal
        assert simulator.stats().requests == 0
        with_it = {**KEY, **TLS}
        run = begin(machine("desk"), tmp_path, cluster, *simulator.asked, tasks=20, slots=4, env=with_it)
        _, err = run.communicate(timeout=60)
        assert run.returncode == 0, err
        assert simulator.stop().requests == 20
