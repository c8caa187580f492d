"""scripts/plan_cluster.py: limits with exact answers, what every cluster must keep to, and what is said of it."""

import json
import math
import random
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from scripts import plan_cluster
from scripts.plan_cluster import Clock, Cluster, Pipeline, Times, simulate, smallest_cluster, update_seconds

# A worker collects 4 chunks of 10 steps in a second: 40 steps/s. All else takes no time, but what a test says.
TIMES = Times(
    engine="voxel",
    env_step_seconds=0.1,
    env_step_spread=0.0,
    inference_call_seconds=0.0,
    inference_env_seconds=0.0,
    collect_overhead_seconds=0.0,
    load_weights_seconds=0.0,
    write_seconds=0.0,
    add_seconds=0.0,
    sample_seconds=0.0,
    read_seconds=0.0,
    prox_seconds=0.0,
    prox_fresh_chunks=False,
    update_seconds=1e-4,
    optimizer_seconds=0.0,
    gradient_bytes=0.0,
    allreduce_bandwidth=1.0,
    allreduce_latency_seconds=0.0,
    iteration_overhead_seconds=0.0,
    publish_seconds=0.0,
    weights_bytes=0.0,
    link_bandwidth=1.0,
)
# An iteration takes 8 chunks.
CLUSTER = Cluster(
    num_rollout_workers=1,
    num_workers=1,
    fragment_length=10,
    to_send_queue_size=4,
    num_envs=4,
    batch_size=4,
    max_reuse=1,
    batches_per_iteration=8,
    gradient_accumulation=2,
)


def run(times: dict | None = None, iterations: int = 40, **cluster) -> plan_cluster.Report:
    return simulate(replace(TIMES, **(times or {})), replace(CLUSTER, **cluster), iterations)


# LIMITS


def test_slow_workers_set_the_speed():
    report = run()
    assert report.sps == report.collected_sps == pytest.approx(40)
    assert report.iteration_seconds == pytest.approx(2)
    assert report.trainer_waiting == pytest.approx(1, abs=0.01) and report.worker_waiting == pytest.approx(0, abs=1e-9)
    assert report.bottleneck == "rollout workers"


def test_workers_that_are_the_bottleneck_add_up():
    for workers in (2, 4, 8):
        assert run(num_rollout_workers=workers, batches_per_iteration=64).sps == pytest.approx(40 * workers)


def test_chunks_that_take_longer_to_collect_than_they_last_are_wasted():
    report = run(num_rollout_workers=16)  # in the second of a collect, 8 iterations
    assert report.wasted > 0.5 and report.sps < 0.5 * report.collected_sps
    assert report.bottleneck == "rollout workers" and "too late" in report.advice


def test_chunks_used_again_are_counted_once_as_collected_and_twice_as_trained_on():
    report = run(max_reuse=2)
    assert 1.2 < report.reuse_mean <= 1.5
    assert report.sps <= 40.001 and report.trained_sps > 1.4 * 40


def test_slow_trainers_set_the_speed():
    times = {"update_seconds": 1.0, "optimizer_seconds": 0.5, "prox_seconds": 0.1, "iteration_overhead_seconds": 0.3}
    report = run(times | {"publish_seconds": 0.2}, num_rollout_workers=4, epochs_per_iteration=2)
    # Twice 8 micro-batches and 4 optimizer steps; all 8 chunks have become stale.
    assert report.iteration_seconds == pytest.approx(2 * (8 * 1.0 + 4 * 0.5) + 8 * 0.1 + 0.3 + 0.2)
    assert report.trained_sps == pytest.approx(2 * 80 / report.iteration_seconds)
    assert report.trainer_waiting == pytest.approx(0) and report.worker_waiting > 0.5
    assert report.bottleneck == "trainers"


@pytest.mark.parametrize("setting", [{"synchronous": True}, {"max_staleness": 0}])
def test_who_take_turns_need_the_sum_of_all_times(setting):
    times = {"collect_overhead_seconds": 0.05, "load_weights_seconds": 0.06, "write_seconds": 0.01, "add_seconds": 0.07}
    times |= {"sample_seconds": 0.08, "update_seconds": 0.2, "publish_seconds": 0.09, "weights_bytes": 0.11}
    report = run(times | {"prox_seconds": 9.0}, num_envs=8, batch_size=8, **setting)
    parts = [1.0, 0.05, 0.06, 8 * 0.01, 0.07, 0.08, 8 * 0.2, 0.09, 0.11]  # fresh chunks need no second look
    assert report.iteration_seconds == pytest.approx(sum(parts))
    assert report.staleness == {0: 1.0} and report.wasted == 0


def test_without_taking_turns_collecting_and_updating_overlap():
    report = run({"update_seconds": 0.2}, num_envs=8, batch_size=8, to_send_queue_size=8)
    assert report.iteration_seconds == pytest.approx(8 * 0.2)
    assert report.staleness_mean >= 1


def test_ranks_share_the_work_and_pay_for_adding_up_gradients():
    times = replace(TIMES, update_seconds=1.0, gradient_bytes=3.0, allreduce_latency_seconds=0.1)
    alone = update_seconds(times, CLUSTER, 0)[0]
    four = update_seconds(times, replace(CLUSTER, num_workers=4), 0)[0]
    assert alone == 8.0
    assert four == pytest.approx(8.0 + 4 * (2 * 3 / 4 * 3.0 + 0.1))  # a ring: 2 (R - 1) / R of the bytes, each step


@pytest.mark.parametrize(
    "readers,prefetch,seconds", [(1, 2, 8 * 3.0), (4, 2, 8 * 1.0), (4, 1, 8 * 1.5), (4, 0, 8 * 3.0)]
)
def test_reading_hides_behind_computing_unless_it_is_slower(readers, prefetch, seconds):
    cluster = replace(CLUSTER, num_readers=readers, prefetch_batches=prefetch, keeps_chunks=False)
    slow, fast = (
        replace(TIMES, read_seconds=3.0, update_seconds=2.0),
        replace(TIMES, read_seconds=0.1, update_seconds=2.0),
    )
    computing, standing, reading = update_seconds(slow, cluster, 0)
    assert computing == 16 and reading == pytest.approx(2 * seconds)
    behind = 16 if prefetch else 0
    assert standing == pytest.approx(seconds + max(3.0, seconds - behind))  # the pass before has nothing to compute
    if prefetch:
        assert update_seconds(fast, cluster, 0)[1] <= 8 * 0.1 + 0.1 + 1e-9
    kept = update_seconds(slow, replace(cluster, keeps_chunks=True), 0)
    assert kept == (16, pytest.approx(seconds), pytest.approx(seconds))


def test_a_worker_that_asks_first_wastes_nothing_and_is_fresher():
    slow = {"update_seconds": 0.5}
    holding = run(slow, to_send_queue_size=8, max_staleness=2)
    asking = run(slow, to_send_queue_size=0, max_staleness=2)
    assert asking.wasted == 0 and asking.staleness_mean < holding.staleness_mean
    assert asking.iteration_seconds == pytest.approx(holding.iteration_seconds, rel=0.05)


def test_environments_in_processes_step_while_others_are_acted_for():
    cluster = replace(CLUSTER, num_envs=12, batch_size=6)
    times = replace(TIMES, engine="minecraft", env_step_seconds=1.0, inference_call_seconds=0.1)

    def step(**change):
        return plan_cluster.step_seconds(replace(times, **change), cluster, random.Random(0))

    assert step() == pytest.approx(1.1, rel=0.01)  # both halves are acted for while a step goes on
    assert step(inference_call_seconds=2.0) == pytest.approx(4.0, rel=0.01)  # the policy never waits
    assert 1.1 < step(env_step_spread=0.5) < 2.0  # the slow hold up their batch
    assert step(engine="voxel") == pytest.approx(1.0 + 2 * 0.1)  # one after the other


# PROCESSORS


def test_two_busy_threads_on_one_core_take_twice_as_long():
    ends = []
    clock = Clock({"work": 1.0}, cores=1)
    clock.run("work", 2.0, lambda: ends.append(("first", clock.now)))
    clock.run("sleep", 1.0, clock.run, "work", 2.0, lambda: ends.append(("second", clock.now)))
    while clock.jobs or clock.waits:
        clock.step()
    # The first runs alone for 1 s, with the second for 2; then that has 1 left.
    assert ends == [("first", pytest.approx(3.0)), ("second", pytest.approx(4.0))]
    assert clock.seconds("work") == pytest.approx(3.0 + 3.0)


@pytest.mark.parametrize("cores,sps", [(0, 80), (2, 80), (1, 40), (0.5, 20)])
def test_workers_share_cores(cores, sps):
    report = run(num_rollout_workers=2, cores=cores)
    assert report.sps == pytest.approx(sps, rel=0.02)
    assert ("cores are busy" in report.advice) == (cores > 0)


# WHAT HOLDS FOR EVERY CLUSTER

clusters = st.builds(
    Cluster,
    num_rollout_workers=st.integers(1, 5),
    num_workers=st.integers(1, 3),
    fragment_length=st.just(10),
    to_send_queue_size=st.integers(0, 12),
    num_envs=st.integers(1, 7),
    batch_size=st.integers(1, 4),
    max_chunks=st.integers(24, 40),
    max_reuse=st.integers(1, 3),
    max_staleness=st.integers(0, 3),
    fragments_per_chunk=st.sampled_from([1, 2]),
    batch_size_per_gpu=st.just(2),
    batches_per_iteration=st.integers(1, 4),
    gradient_accumulation=st.just(1),
    synchronous=st.booleans(),
    workers_per_node=st.integers(1, 2),
    cores=st.sampled_from([0.0, 1.0, 2.5]),
)
seconds = st.sampled_from([0.0, 0.01, 0.3])


@settings(max_examples=150, deadline=None)
@given(clusters, *[seconds] * 5, st.floats(0.001, 2.0), st.integers(1, 3))
def test_no_chunk_is_lost_nor_used_too_often_or_too_late(cluster, write, add, publish, transfer, load, update, count):
    times = replace(TIMES, env_step_spread=0.3, write_seconds=write, add_seconds=add, publish_seconds=publish)
    times = replace(times, weights_bytes=transfer, load_weights_seconds=load, update_seconds=update)
    pipeline = Pipeline(times, cluster, seed=0)
    report = pipeline.run(count)  # so few that none is skipped
    counts, unused = pipeline.counts, sum(uses == 0 for _, uses in pipeline.replay)
    unsent = sum(worker.unsent for worker in pipeline.workers)
    assert counts["collected"] == counts["used"] + counts["wasted"] + unused + unsent
    assert all(0 <= age <= cluster.max_staleness for age in report.staleness)
    assert sum(report.staleness.values()) == pytest.approx(1)
    assert count * cluster.chunks_per_iteration <= cluster.max_reuse * counts["used"]
    assert all(uses < cluster.max_reuse for _, uses in pipeline.replay) and len(pipeline.replay) <= cluster.max_chunks
    assert pipeline.uses_left == sum(map(pipeline.chunk_uses_left, pipeline.replay))
    shares = (report.wasted, report.trainer_waiting, report.worker_waiting)
    assert all(-1e-9 <= share <= 1 + 1e-9 for share in shares)


def test_the_same_seed_predicts_the_same():
    times = replace(TIMES, env_step_spread=0.5)
    cluster = replace(CLUSTER, num_rollout_workers=7)
    assert simulate(times, cluster, 20, seed=1) == simulate(times, cluster, 20, seed=1)
    assert simulate(times, cluster, 20, seed=1) != simulate(times, cluster, 20, seed=2)


def test_weights_reach_twice_as_many_nodes_with_each_round():
    pipeline = Pipeline(TIMES, replace(CLUSTER, num_rollout_workers=21, workers_per_node=3), seed=0)
    assert {number: len(workers) for number, workers in pipeline.rounds.items()} == {1: 3, 2: 6, 3: 12}


def test_a_thousand_workers():
    times, cluster = plan_cluster.PRESETS["minecraft-gpu"]
    report = simulate(times, cluster.sized(1000, 8), iterations=4)
    assert report.bottleneck == "trainers" and report.advice.startswith("3")


# WHAT IS SAID OF IT


@pytest.mark.parametrize(
    "name,times,cluster",
    [
        ("rollout workers", {}, {}),
        ("trainers", {"update_seconds": 1.0}, {}),
        ("trainers", {"update_seconds": 1.0}, {"synchronous": True}),
        ("fragment store", {"write_seconds": 1.0}, {}),
        ("fragment store", {"read_seconds": 2.0}, {"num_rollout_workers": 4}),
        ("replay service", {"add_seconds": 0.5}, {"num_rollout_workers": 8}),
        ("replay service", {"sample_seconds": 5.0}, {}),
        ("weight broadcast", {"publish_seconds": 5.0}, {}),
        ("weight broadcast", {"weights_bytes": 5.0}, {"synchronous": True}),
        ("weight broadcast", {"weights_bytes": 12.0, "update_seconds": 0.05}, {"num_rollout_workers": 3}),
    ],
)
def test_the_bottleneck_is_named(name, times, cluster):
    report = run(times, **cluster)
    assert report.bottleneck == name and report.advice


def test_no_cluster_smaller_than_the_smallest_is_fast_enough():
    times = replace(TIMES, update_seconds=0.1)  # a rank does 100 steps/s, a worker 40
    cluster, report = smallest_cluster(times, CLUSTER, sps=290.0, iterations=20, seed=0)
    size = cluster.num_rollout_workers + cluster.num_workers
    assert report.sps >= 290
    for ranks in range(1, size - 1):
        assert simulate(times, CLUSTER.sized(size - 1 - ranks, ranks), 20).sps < 290
    with pytest.raises(ValueError, match="no cluster of up to 1000 workers"):
        smallest_cluster(times, CLUSTER, sps=1e6, iterations=20, seed=0)


# FILES


def write_json(path, values):
    path.write_text(values if isinstance(values, str) else json.dumps(values))
    return path


def test_times_come_back_from_a_file(tmp_path):
    path = write_json(tmp_path / "times.json", asdict(TIMES))
    assert plan_cluster.from_json(Times, plan_cluster.read_json(path), str(path)) == TIMES


@pytest.mark.parametrize(
    "change,message",
    [
        ({"write_second": 1.0}, r"times: unknown key 'write_second', is 'write_seconds' meant\?"),
        ({"write_seconds": None}, "times: missing keys: write_seconds"),
        ({"write_seconds": "1"}, "times: write_seconds must be float, not '1'"),
        ({"write_seconds": True}, "times: write_seconds must be float, not True"),
        ({"prox_fresh_chunks": 1}, "times: prox_fresh_chunks must be bool, not 1"),
        ({"write_seconds": -1.0}, "times: write_seconds must be a number of at least 0, not -1.0"),
        ({"write_seconds": math.nan}, "times: write_seconds must be a number of at least 0, not nan"),
        ({"link_bandwidth": 0}, "times: link_bandwidth must be more than 0"),
        ({"engine": "minecraf"}, "times: engine must be voxel or minecraft, not 'minecraf'"),
    ],
)
def test_faults_in_times_are_named(change, message):
    values = asdict(TIMES) | change
    values = {name: value for name, value in values.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        plan_cluster.from_json(Times, values, "times")


@pytest.mark.parametrize(
    "content,message",
    [
        ("{", "measured.json: not JSON"),
        ({}, "measured.json: expected a list"),
        ([3], r"measured.json\[0\]: expected an object with the keys name, cluster, measured"),
        ([{"name": "a", "cluster": {}}], r"measured.json\[0\]: missing keys: measured"),
        ([{"name": "a", "cluster": {}, "measured": {}}], r"measured.json\[0\].cluster: missing keys: .*num_envs"),
        ([{"name": "a", "cluster": {}, "measured": {"sp": 1}}], r"\.measured: unknown key 'sp', is 'sps' meant\?"),
        ([{"name": "a", "cluster": {}, "measured": {"sps": None}}], r"\.measured: sps must be a number, not None"),
    ],
)
def test_faults_in_measurements_are_named(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        plan_cluster.read_measurements(write_json(tmp_path / "measured.json", content))
    with pytest.raises(ValueError, match=r"absent\.json: No such file"):
        plan_cluster.read_measurements(tmp_path / "absent.json")


@pytest.mark.parametrize(
    "change,message",
    [
        ({"max_chunks": 7}, "max_chunks 7 cannot hold an iteration's 8"),
        ({"gradient_accumulation": 3}, "batches_per_iteration 8 is not divisible by gradient_accumulation 3"),
        ({"fragments_per_chunk": 2}, "batch_size_per_gpu 1 is not divisible by fragments_per_chunk 2"),
        ({"num_envs": 0}, "num_envs must be more than 0"),
    ],
)
def test_impossible_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(CLUSTER, **change)


def test_predictions_are_shown_beside_measurements(tmp_path, capsys):
    measured = {"sps": 32.0, "iteration_seconds": 2.0, "wasted": 0.0}
    runs = [{"name": "one worker", "cluster": asdict(CLUSTER), "measured": measured}]
    worst = plan_cluster.validate(TIMES, write_json(tmp_path / "m.json", runs), 40, 0, Console(width=100))
    assert worst == pytest.approx(0.25, abs=0.001)
    rows = Counter(word for word in capsys.readouterr().out.split() if word in ("+25.0%", "+0.0%", "wasted"))
    assert rows == {"+25.0%": 1, "+0.0%": 1, "wasted": 1}


def test_the_script_prints_predictions_and_draws_them(tmp_path):
    script, picture = plan_cluster.__file__, tmp_path / "plots" / "plan.png"
    times = write_json(tmp_path / "times.json", asdict(TIMES))
    sizes = ["--workers", "1", "3", "--ranks", "1", "2", "--iterations", "8", "--fragment-length", "16"]
    command = [sys.executable, script, "--times", str(times), *sizes, "--plot", str(picture)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("rollout workers") == 5 and "1e+09 in" in result.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
    result = subprocess.run([*command[:4], "--max-chunks", "2"], capture_output=True, text=True, timeout=60)
    assert result.returncode != 0 and "max_chunks 2 cannot hold" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr
