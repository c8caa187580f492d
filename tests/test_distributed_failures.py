"""Processes, nodes, disks and links of ppo_vpt_distributed.py fail, on real Ray clusters of several raylets.

The run goes on, or stops within its limit and says who failed. No chunk is used more often or staler than it may be,
none is made up, and no file is left.
"""

import contextlib
import dataclasses
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

pytest.importorskip("ray", reason="pip install ray")

import ray
from colour_env import ColourSim, ProcessVectorEnv, policy_generator
from ray.cluster_utils import Cluster
from toy_cluster import RAY, children, gone, pids_of, rows, toy_config, until

import ppo_vpt_distributed as distributed
from minestudio_envs.training.ray_cluster import PartyError
from ppo_vpt_distributed import TRAINERS, PPOTrainer, start_rolloutmanager, start_trainer, stop_rollouts

LIMIT, TRAINER_LIMIT = 15.0, 20.0  # wait_limit: seconds without progress after which a party counts as stuck
NODE = {"object_store_memory": 100_000_000, "include_dashboard": False}
QUICK = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_failure_threshold": 3}
ENV = "spawn_main"  # in the command of an environment's process
SECONDS: dict[str, str] = {}  # to recover, by failure

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="mounts and network namespaces need root")


class Use(NamedTuple):
    """A rank got a chunk."""

    time: float
    iteration: int  # that learned from it
    version: int  # of the chunk
    path: str

    @property
    def writer(self) -> str:
        return Path(self.path).parents[1].name


class Patient(PPOTrainer):
    """Lets all processes take their time to start; they share few cores here."""

    limit = TRAINER_LIMIT

    def begin(self, checkpoint):
        self.args.wait_limit = 90.0
        super().begin(checkpoint)
        until(lambda: ray.get(self.replay.status.remote())["replay/added_chunks"], 90)
        self.args.wait_limit = self.limit


class Training:
    """Two workers, each on a node of its own, and two ranks, in a thread; it goes on while tests do harm to it."""

    def __init__(self, path: Path, cluster: Cluster):
        self.path, self.cluster, self.uses = path, cluster, []
        training = self

        class Watched(Patient):
            def __init__(self, args, *rest):
                super().__init__(dataclasses.replace(args, wait_limit=TRAINER_LIMIT), *rest)
                training.trainer = self

            def collect(self, show):
                time.sleep(0.2)  # else the cores are never idle, and nothing new starts
                shares = super().collect(show)
                now = time.monotonic(), self.iteration
                training.uses += [
                    Use(*now, chunk.version, chunk.data.path) for share in shares or [] for chunk in share
                ]
                return shares

        TRAINERS["Watched"] = Watched
        self.config = toy_config(
            path,
            rollout={
                "num_rollout_workers": 2,
                "num_cpus_per_worker": 1,
                # A made-up GPU is on the second node only, and no CPU.
                "worker_overrides": [
                    {},
                    {"num_cpus_per_worker": 0, "num_gpus_per_worker": 1, "task": "colour_env:env_generator"},
                ],
            },
            replay={"max_reuse": 2, "max_staleness": 2},
            train={"num_workers": 2, "num_cpus_per_worker": 0.9, "num_iterations": 100_000, "save_interval": 5},
            trainer_name="Watched",
            wait_limit=LIMIT,
            detach_rollout_manager=True,
        )

    def start(self, **train) -> None:
        self.trainer = self.error = None
        config = self.config | {"train_config": self.config["train_config"] | train}
        generators = policy_generator, lambda: ColourSim(vector_class=ProcessVectorEnv)  # worker 0's
        start_rolloutmanager(*generators, config)

        def conduct():
            try:
                start_trainer(*generators, config)
            except Exception as error:
                self.error = error

        self.thread = threading.Thread(target=conduct)
        self.thread.start()
        since = time.monotonic()
        until(lambda: self.error or (self.trainer and len(self.writers(since)) == 2), 180)
        assert self.error is None

    def ends(self, seconds: float) -> Exception | None:
        """-> what ended it."""
        self.thread.join(seconds)
        assert not self.thread.is_alive(), f"still there after {seconds} s"
        return self.error

    def pids(self, name: str, node=None) -> list[int]:
        """Of Ray's processes that run a class of this name, on one node or all."""
        return pids_of([node] if node else self.cluster.list_all_nodes(), name)

    def writers(self, since: float = 0.0) -> set[str]:
        """Whose chunks were used."""
        return {use.writer for use in list(self.uses) if use.time > since}

    def logs(self, text: str) -> list[str]:
        """What Ray's processes wrote that matches."""
        files = Path(self.cluster.head_node.get_logs_dir_path()).glob("worker*.err")
        return [match for file in files for match in re.findall(text, file.read_text())]

    @property
    def lost(self) -> int:
        return ray.get(self.trainer.replay.status.remote())["replay/lost_chunks"]

    def recovers(self, what: str, recovered=lambda: True, seconds: float = 60.0) -> None:
        """From now on: another iteration begins and ends, and `recovered()` becomes true."""
        began, iteration = time.monotonic(), self.trainer.iteration

        def check(condition):
            def alive():
                assert self.thread.is_alive(), f"the run ended: {self.error}"
                return condition()

            until(alive, seconds)
            return time.monotonic() - began

        # The one after the next: of the next one all may have been done before the harm.
        times = check(lambda: self.trainer.iteration >= iteration + 2), check(recovered)
        SECONDS[what] = f"goes on after {times[0]:4.1f} s, recovered after {times[1]:4.1f} s"


def rank_pid(training: Training, rank: int) -> int:
    return ray.get(training.trainer.ranks[rank].__ray_call__.remote(lambda self: os.getpid()))


def mounted(path: Path, megabytes: int) -> bool:
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "test", str(path)]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture(scope="module", autouse=True)
def report():
    """With pytest -s: how long all took."""
    yield
    for what, seconds in SECONDS.items():
        print(f"\n{what:40} {seconds}", end="")


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A folder, where that is possible a small disk of its own."""
    path = tmp_path_factory.mktemp("run")
    is_disk = mounted(path / "replay", 16)
    yield path
    if is_disk:
        subprocess.run(["umount", "-l", str(path / "replay")], check=True)


@pytest.fixture(scope="module")
def training(disk):
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "_system_config": QUICK, **NODE})
    try:
        cluster.add_node(num_cpus=0, num_gpus=1, **NODE)
        ray.init(cluster.address, **{key: RAY[key] for key in ("namespace", "log_to_driver")})
        training = Training(disk, cluster)
        training.start()
        yield training
        if training.thread.is_alive():
            training.trainer.interrupt()
            training.thread.join(30)
        stop_rollouts()
        check_uses(training)
        assert not [path for path in (disk / "replay").rglob("*") if path.is_file()], "files are left"
    finally:
        ray.shutdown()
        cluster.shutdown()
        TRAINERS.pop("Watched", None)


def check_uses(training: Training) -> None:
    uses, config = training.uses, distributed.checked(training.config).rollout_config.replay_buffer_config
    assert max(Counter(use.path for use in uses).values()) <= config.max_reuse
    assert all(0 <= use.iteration - use.version <= config.max_staleness for use in uses)
    (run_path,) = (training.path / "runs").iterdir()  # one run, resumed
    done = rows(run_path)
    assert [row["charts/iteration"] for row in done] == list(range(1, len(done) + 1))
    assert all(row["replay/reuse_max"] <= config.max_reuse for row in done)
    assert all(row["offpolicy/staleness_max"] <= config.max_staleness for row in done)
    assert all(row["invariants/fresh_log_prox_behavior"] < 1e-4 for row in done)  # chunks are what workers saw and did
    steps = [row["charts/global_step"] for row in done]
    assert steps == sorted(steps)


@pytest.fixture
def messages(caplog):
    caplog.set_level(logging.INFO, "ppo_vpt")
    return lambda text: [message for message in caplog.messages if re.search(text, message)]


@pytest.fixture(autouse=True)
def going_on(request):
    if "training" not in request.fixturenames:
        return
    training = request.getfixturevalue("training")
    assert training.thread.is_alive(), f"the run ended before: {training.error}"


def kill(pid: int, number: int = signal.SIGKILL) -> int:
    os.kill(pid, number)
    return pid


def test_a_worker_is_killed(training, messages):
    before = training.writers()
    kill(training.pids("RolloutWorker", training.cluster.head_node)[0])
    training.recovers("kill -9 of a rollout worker", lambda: training.writers() - before)
    assert len(messages("rollout worker 0 on node .* died .*; starting another")) == 1


def test_an_environment_is_killed(training, messages):
    """It is made anew; the worker, and what it had finished, stay."""
    (worker,) = training.pids("RolloutWorker", training.cluster.head_node)
    (env,) = children([worker], ENV)
    kill(env)
    since = time.monotonic() + 1.0

    def new():
        return set(children([worker], ENV)) - {env} and len(training.writers(since)) == 2

    training.recovers("kill -9 of an environment", new)
    assert training.pids("RolloutWorker", training.cluster.head_node) == [worker]
    assert not messages("rollout worker")


def test_a_worker_hangs(training, messages):
    before = training.writers()
    pid = kill(training.pids("RolloutWorker", training.cluster.head_node)[0], signal.SIGSTOP)
    training.recovers("a rollout worker hangs", lambda: training.writers() - before)
    assert len(messages(f"rollout worker 0 on node .* hung: no step in {LIMIT:.0f} s .*pid {pid}")) == 1
    until(lambda: gone(pid), 10)


def test_the_replay_is_killed(training, messages):
    """What it knew is in its file: the workers go on, and uses are still counted."""
    workers, lost = training.writers(), training.lost
    pid = kill(training.pids("ReplayService")[0])
    training.recovers("kill -9 of the replay", lambda: training.pids("ReplayService") not in ([], [pid]))
    assert training.writers() == workers and training.lost == lost and not messages("rollout worker")


def test_the_session_is_killed(training, messages):
    kill(training.pids("Session")[0])
    training.recovers("kill -9 of the session", lambda: messages("the session died"))


def test_the_rollout_manager_is_killed(training, messages):
    """Its workers die with it."""
    before, old = training.writers(), training.pids("RolloutWorker")
    kill(training.pids("RolloutManager")[0])
    training.recovers("kill -9 of the rollout manager", lambda: len(training.writers() - before) == 2)
    assert all(map(gone, old)) and len(messages("the rollout manager died")) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_fragment_reader_is_killed_or_hangs(training, number):
    before = training.pids("FragmentReader")
    pid = kill(before[0], number)
    what = "kill -9 of a fragment reader" if number == signal.SIGKILL else "a fragment reader hangs"
    training.recovers(what, lambda: gone(pid) and len(training.pids("FragmentReader")) == len(before))
    assert len(set(training.pids("FragmentReader")) - set(before)) == 1
    assert len(training.logs(r"reader 0 of trainer rank \d gives no answer")) == (1 if number == signal.SIGKILL else 2)


def test_files_are_damaged(training):
    """Chunks that are damaged are left out, and no others."""
    damaged = set()
    for path in (training.path / "replay").glob("process_*worker_*/shard_*/chunk_*.h5"):
        with contextlib.suppress(FileNotFoundError), open(path, "r+b") as file:
            file.seek(1000)
            byte = file.read(1)
            file.seek(1000)
            file.write(bytes([byte[0] ^ 255]))
            damaged.add(str(path))
    iteration, lost = training.trainer.iteration + 1, training.lost
    training.recovers("damaged files", lambda: training.trainer.iteration > iteration + 4)
    named = set(training.logs("goes on without a chunk: (.*h5) on node .*damaged"))
    used = {use.path for use in training.uses if use.iteration > iteration}
    assert named and used & damaged <= named <= damaged
    assert training.lost - lost == len(named)


@root_only
def test_the_disk_is_full_for_a_while(training, messages):
    folder, lost = training.path / "replay", training.lost
    if not os.path.ismount(folder):
        pytest.skip("no disk could be mounted")
    before, filler = training.writers(), folder / "filler"

    def full():  # filled again and again, for used chunks make space
        with contextlib.suppress(OSError), open(filler, "ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        return all("waiting to write" in state and "No space left" in state for state in states())

    def states():
        return [worker["state"] for worker in ray.get(training.trainer.manager.status.remote())["workers"].values()]

    until(full, 2 * LIMIT)
    filler.unlink()
    training.recovers("a full disk has space again", lambda: not any("to write" in state for state in states()))
    assert training.writers() == before and training.lost == lost and not messages("rollout worker")


def test_a_node_is_killed(training, messages):
    """Its worker goes on elsewhere; its files are lost."""
    cluster, since = training.cluster, time.monotonic()
    (node,) = set(cluster.list_all_nodes()) - {cluster.head_node}
    lost = training.lost
    cluster.remove_node(node, allow_graceful=False)
    cluster.add_node(num_cpus=0, num_gpus=1, **NODE)
    before = training.writers()
    training.recovers("kill -9 of a node", lambda: training.writers(since) - before)
    assert messages("rollout worker 1 on node .* died") and training.lost > lost


def test_a_trainer_rank_is_killed_and_resume_goes_on(training, messages):
    kill(rank_pid(training, 1))
    began = time.monotonic()
    error = training.ends(TRAINER_LIMIT)
    assert isinstance(error, PartyError) and re.match("trainer rank 1 died", str(error)), error
    stopped = time.monotonic()
    training.start(resume="latest")
    resumed = messages("resumed at iteration [0-9]+")
    assert len(resumed) == 1
    SECONDS["kill -9 of a trainer rank"] = (
        f"stops after {stopped - began:4.1f} s; resumed and learning after {time.monotonic() - stopped:4.1f} s"
    )


def test_a_trainer_rank_hangs(training):
    """The last of these: nothing starts the run again."""
    training.trainer.args.wait_limit = 10.0
    pid = kill(rank_pid(training, 1), signal.SIGSTOP)
    began = time.monotonic()
    error = training.ends(2 * TRAINER_LIMIT)
    assert re.match("trainer rank 1: no progress in 10 s", str(error)), error
    SECONDS["a trainer rank hangs"] = f"stops after {time.monotonic() - began:4.1f} s"
    until(lambda: gone(pid), 10)


def ip(*command: str) -> str:
    return subprocess.run(["ip", *command], check=True, capture_output=True, text=True).stdout


def inside(namespace: str, *command, **options) -> subprocess.Popen:
    return subprocess.Popen(["ip", "netns", "exec", namespace, sys.executable, *command], text=True, **options)


@pytest.fixture
def namespaces():
    """Two, with a link between them and addresses 10.77.0.1 and 10.77.0.2."""
    names = [f"ppo{os.getpid()}{side}" for side in "ab"]
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", names[0], "type", "veth", "peer", "name", names[1])
        for host, name in enumerate(names, 1):
            ip("link", "set", name, "netns", name)
            ip("-n", name, "address", "add", f"10.77.0.{host}/24", "dev", name)
            for link in (name, "lo"):
                ip("-n", name, "link", "set", link, "up")
        yield names
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespaces here: {getattr(error, 'stderr', error)}")
    finally:
        for name in names:
            listing = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout
            for pid in map(int, listing.split()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


@root_only
def test_two_machines_and_the_link_between_them_is_cut(namespaces, tmp_path, monkeypatch):
    """A Ray node, a rank and a worker in each of two network namespaces."""
    folder = tempfile.mkdtemp(dir="/tmp")  # Ray's, for sockets, whose paths must be short
    monkeypatch.setenv("RAY_TMPDIR", folder)
    try:
        start = "from ray.scripts.scripts import main; main()"
        for host, name in enumerate(namespaces, 1):
            flags = ["--head", "--port=6399", "--include-dashboard=false"]
            flags = flags if host == 1 else ["--address=10.77.0.1:6399"]
            flags += [f"--node-ip-address=10.77.0.{host}", "--num-cpus=1", "--num-gpus=1", "--disable-usage-stats"]
            ray_start = inside(name, "-c", start, "start", *flags, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            output, _ = ray_start.communicate(timeout=60)
            assert ray_start.returncode == 0, output
        config = toy_config(
            tmp_path,
            # One GPU and one core on each node: a worker and a rank.
            rollout={"num_rollout_workers": 2, "num_gpus_per_worker": 1, "num_cpus_per_worker": 0},
            replay={"max_reuse": 2, "max_staleness": 2},
            train={"num_workers": 2, "num_cpus_per_worker": 1, "num_cpus_per_reader": 0, "num_iterations": 100_000},
            trainer_name="Patient",
            address="10.77.0.1:6399",
            wait_limit=TRAINER_LIMIT,
            detach_rollout_manager=True,  # else it would wait for the other side to close
        )
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        script = inside(namespaces[0], __file__, json.dumps(config), **output)
        shown = []
        while not shown or not shown[-1].startswith("iteration 5/"):
            shown.append(script.stdout.readline())
            assert shown[-1], "it ended:\n" + "".join(shown)
        for name in namespaces:
            commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in ip("netns", "pids", name).split()]
            for party in ("TrainerRank", "RolloutWorker"):
                assert sum(f"ray::{party}" in command for command in commands) == 1
        ip("-n", namespaces[0], "link", "set", namespaces[0], "down")
        began = time.monotonic()
        rest, _ = script.communicate(timeout=60)
        assert script.returncode == 1 and re.search("^error: .*trainer rank 1", rest, re.M), rest
        SECONDS["the link between two nodes is cut"] = f"stops after {time.monotonic() - began:4.1f} s"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    """A run that is configured by its argument."""
    config = json.loads(sys.argv[1])
    TRAINERS["Patient"], Patient.limit = Patient, 10.0
    try:
        start_rolloutmanager(policy_generator, ColourSim, config)
        start_trainer(policy_generator, ColourSim, config)
    except distributed.EXPECTED as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
