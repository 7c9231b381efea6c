"""Mode `distributed` over hosts: caps, limits over the whole cluster, cables that are cut, a parent that is gone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import pytest

from bench.clock import NS_PER_S
from bench.journal import read_manifest
from bench.summary import summarise
from tests.command import the_run, wait_until
from tests.hosts import network, program
from tests.nodes import KEY, Cluster, Simulator, begin, each_done_once, registered, wait_for
from tests.realwork import most_within, write_providers

if TYPE_CHECKING:
    from pathlib import Path

    from bench.summary import Summary
    from tests.conftest import Show
    from tests.hosts import Network

pytestmark = [pytest.mark.root, pytest.mark.full, pytest.mark.timeout(300)]

CLUSTERS: Final = "mode distributed over hosts"

#: How long a call lasts in the runs over capped nodes: long beside what a loaded machine takes to begin the next.
CALL_S: Final = 2.0

#: A node is lost after 10 s of silence; the rest is for a loaded machine to say so.
NOTICED_S: Final = 16.0

#: A node gives up its calls when nobody has asked it for 8 s; the rest as above.
GIVEN_UP_S: Final = 14.0


def run_with_caps(made: Network, folder: Path, nodes: int) -> Summary:
    """Run over so many nodes with a cap of 50 each, seven tasks in each of their slots, and return its summary."""
    folder.mkdir()
    server, boss, desk = (made.host(f"{name}-of-{nodes}") for name in ("server", "boss", "desk"))
    # Of different length, so that not all slots want a task at the same moment.
    simulator = Simulator(server, folder, "--ttft", str(CALL_S), "--jitter", "0.3", "--tokens", "2")
    cluster = Cluster(boss, folder / "cluster")
    names = [f"n{number}-of-{nodes}" for number in range(nodes)]
    registered(*(cluster.node(made.host(name), name, "--resources", "slots=50") for name in names))
    run = begin(desk, folder, cluster, *simulator.asked, tasks=7 * 50 * nodes, slots=100)
    _, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    assert simulator.stop().peak_in_flight == 50 * nodes
    directory = the_run(folder / "results")
    said = (directory / "run.log").read_text(encoding="utf-8")
    assert ("the nodes take 50 requests in flight together, less than the 100" in said) == (nodes == 1)
    return summarise(directory)


def test_two_nodes_do_twice_as_much_as_one(tmp_path: Path, show: Show) -> None:
    """Two nodes with a cap of 50 have 100 in flight at the server and at least 1.9 times the throughput of one, with a
    row each; of one node it is said that it takes less than was asked for.
    """
    with network() as made:
        one, two = (run_with_caps(made, tmp_path / str(nodes), nodes) for nodes in (1, 2))
    assert one.throughput_tasks_per_s is not None
    assert two.throughput_tasks_per_s is not None
    ratio = two.throughput_tasks_per_s / one.throughput_tasks_per_s
    show(CLUSTERS, f"caps of 50: {one.throughput_tasks_per_s:.1f} tasks/s on one, {ratio:.2f} times that on two")
    assert [row.in_flight.peak for row in two.nodes] == [50, 50]
    assert ratio >= 1.9


def test_a_limit_a_minute_holds_over_all_nodes(tmp_path: Path, show: Show) -> None:
    """With 600 requests a minute allowed, three nodes together send never more in any minute, and at least 570."""
    with network() as made:
        simulator = Simulator(made.host("server"), tmp_path, "--ttft", "0.2", "--tokens", "2")
        write_providers(tmp_path, {"limited": (simulator.base_url, {"requests_per_min": 600, "keys": [*KEY]})})
        cluster = Cluster(made.host("boss"), tmp_path / "cluster")
        registered(*(cluster.node(made.host(name), name) for name in ("n1", "n2", "n3")))
        options = ("--profile", "prod", "-p", "limited", "--no-cache", "--allow-insecure-http")
        run = begin(made.host("desk"), tmp_path, cluster, *options, tasks=1250, slots=60)
        _, err = run.communicate(timeout=240)
        ended = simulator.ended()
    assert run.returncode == 0, err
    came_s = sorted(line.received_ns / NS_PER_S for line in ended)
    whole = [at_s for at_s in came_s if at_s + 60 <= came_s[-1]]
    least = min(sum(at_s < each <= at_s + 60 for each in came_s) for at_s in whole)
    most = most_within(came_s, 60.0)
    show(CLUSTERS, f"600 a minute over three nodes: {least} to {most} requests in any minute")
    assert most <= 600
    assert least >= 570
    assert {row.node for row in summarise(the_run(tmp_path / "results")).nodes if row.tasks} == {"n1", "n2", "n3"}


def test_a_node_behind_a_cut_cable_is_lost_and_may_come_again(tmp_path: Path, show: Show) -> None:
    """A node that nobody reaches is lost within seconds and its tasks are done elsewhere; when it is back, nothing that
    it did meanwhile counts, it takes part again, and each task has one record.
    """
    slots = 20
    with network() as made:
        simulator = Simulator(made.host("server"), tmp_path, "--ttft", "0.5", "--tokens", "2")
        cluster = Cluster(made.host("boss"), tmp_path / "cluster")
        away = made.host("n2")
        registered(cluster.node(made.host("n1"), "n1"), cluster.node(away, "n2"))
        run = begin(made.host("desk"), tmp_path, cluster, *simulator.asked, tasks=1400, slots=slots)
        wait_for(lambda: len(simulator.ended()) >= 100, "its first calls", during=run)
        log = the_run(tmp_path / "results") / "run.log"

        def said(what: str) -> int:
            return sum("node n2" in line and what in line for line in log.read_text(encoding="utf-8").splitlines())

        away.cable("down")
        cut_ns = time.perf_counter_ns()
        wait_for(lambda: said("of 20 slots") == 1, "a loss", during=run)
        noticed_s = (time.perf_counter_ns() - cut_ns) / NS_PER_S
        away.cable("up")
        wait_for(lambda: said("joined") == 2, "its return", during=run)
        _, err = run.communicate(timeout=120)
        requests = simulator.stop().requests
    assert run.returncode == 0, err
    directory = the_run(tmp_path / "results")
    lost = each_done_once(directory, 1400)
    assert 0 < lost <= slots
    assert requests <= 1400 + lost
    assert {row.node: row.lost for row in summarise(directory).nodes} == {"n1": 0, "n2": lost}
    show(CLUSTERS, f"a cut cable: lost after {noticed_s:.1f} s with {lost} tasks, which were done elsewhere")
    assert noticed_s < NOTICED_S


def test_a_host_without_power_loses_its_nodes_tasks_only(tmp_path: Path) -> None:
    """A host that is gone without a word costs its tasks one attempt each, and all are done, each once."""
    with network() as made:
        simulator = Simulator(made.host("server"), tmp_path, "--ttft", "0.5", "--tokens", "2")
        cluster = Cluster(made.host("boss"), tmp_path / "cluster")
        gone = made.host("n2")
        registered(cluster.node(made.host("n1"), "n1"), cluster.node(gone, "n2"))
        run = begin(made.host("desk"), tmp_path, cluster, *simulator.asked, tasks=600, slots=20)
        wait_for(lambda: len(simulator.ended()) >= 100, "its first calls", during=run)
        gone.power_off()
        _, err = run.communicate(timeout=120)
        simulator.stop()
    assert run.returncode == 0, err
    assert 0 < each_done_once(the_run(tmp_path / "results"), 600) <= 20


def test_a_node_that_dask_starts_again_takes_part_again(tmp_path: Path) -> None:
    """A worker with a nanny is killed in mid-run: it is started again, gets tasks again, and stays within its bound."""
    with network() as made:
        simulator = Simulator(made.host("server"), tmp_path, "--ttft", "0.5", "--tokens", "2")
        cluster = Cluster(made.host("boss"), tmp_path / "cluster")
        nursed = cluster.node(made.host("n2"), "n2", "--nanny", "--resources", "slots=8")
        registered(cluster.node(made.host("n1"), "n1"), nursed)
        run = begin(made.host("desk"), tmp_path, cluster, *simulator.asked, tasks=800, slots=20)
        wait_for(lambda: len(simulator.ended()) >= 100, "its first calls", during=run)
        (worker,) = (each for each in program(nursed.process).children() if "spawn_main" in " ".join(each.cmdline()))
        worker.kill()
        _, err = run.communicate(timeout=120)
        peak = simulator.stop().peak_in_flight
    assert run.returncode == 0, err
    directory = the_run(tmp_path / "results")
    lost = each_done_once(directory, 800)
    first, again = (node for node in read_manifest(directory).segments[0].nodes if node.name == "n2")
    assert (first.lost, again.lost, again.left_s) == (lost, 0, None)
    assert 0 < lost <= 8
    (row,) = (row for row in summarise(directory).nodes if row.node == "n2")
    assert (row.in_flight.peak, row.slots, peak) == (8, 8, 20)


def test_nodes_give_up_the_calls_of_a_run_that_is_gone(tmp_path: Path, show: Show) -> None:
    """When the run's host is gone without a word, the nodes end their calls within seconds and are free for others."""
    with network() as made:
        simulator = Simulator(made.host("server"), tmp_path, "--ttft", "100", "--tokens", "2")
        cluster = Cluster(made.host("boss"), tmp_path / "cluster")
        registered(cluster.node(made.host("n1"), "n1"), cluster.node(made.host("n2"), "n2"))
        desk = made.host("desk")
        run = begin(desk, tmp_path, cluster, *simulator.asked, tasks=8, slots=8)
        wait_for(lambda: simulator.stats().in_flight == 8, "its calls", during=run)
        desk.power_off()
        gone_ns = time.perf_counter_ns()
        wait_until(lambda: simulator.stats().in_flight == 0, "an end of its calls")
        given_up_s = (time.perf_counter_ns() - gone_ns) / NS_PER_S
    show(CLUSTERS, f"a run that is gone: its calls were given up after {given_up_s:.1f} s")
    assert given_up_s < GIVEN_UP_S
