"""Does training go on when its parties are killed at random, for half an hour?

    python scripts/soak_distributed.py                             # a toy task, 30 minutes; two CPU cores do
    python scripts/soak_distributed.py --task voxel --minutes 60   # the quick start's cows
    python scripts/soak_distributed.py --minutes 3 --seed 7        # other victims

A Ray cluster of several nodes runs on this machine, with one rollout worker on each and two trainer ranks on the first.
Every few seconds somebody gets a kill -9: a worker, an environment, the replay, the rollout manager, the session, a
fragment reader or server, a whole node, which another one replaces, or a trainer rank, after which the run is resumed.
Or a process is stopped as if it hung, or files are damaged. To recover is to finish the next iteration that begins.

It fails if
- the run does not recover within --limit seconds, or stops although no rank was harmed,
- a chunk was used more often, or was staler, than the settings allow,
- memory or files grow: in the last quarter all processes together hold more than 1.15 times what they did in the second
  (medians; the first starts things up), or the replay's folder has 1.25 times the most files, or bytes, of before,
- a file is left at the end.
"""

import contextlib
import dataclasses
import logging
import math
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Literal, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
os.environ["RAY_TMPDIR"] = tempfile.mkdtemp(prefix="ray")  # not one that runs already

import ray
import tyro
from colour_env import ColourSim, ProcessVectorEnv, policy_generator
from ray.cluster_utils import Cluster
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from toy_cluster import children, pids_of, rows, toy_config

import ppo_vpt_distributed as distributed
from minestudio_envs.training.fragment_store import process_folder
from minestudio_envs.training.nested_settings import from_config, to_config
from minestudio_envs.training.ray_cluster import PartyError

NODE = {"object_store_memory": 200_000_000, "include_dashboard": False}
# How often each is drawn, by what is done and to whom.
HARMS = {
    ("kill", "RolloutWorker"): 2.0,
    ("kill", "environment"): 1.0,
    ("kill", "ReplayService"): 1.0,
    ("kill", "RolloutManager"): 1.0,
    ("kill", "Session"): 0.5,
    ("kill", "FragmentReader"): 1.0,
    ("kill", "FragmentServer"): 0.5,
    ("kill", "node"): 1.0,
    ("kill", "TrainerRank"): 0.7,
    ("stop", "RolloutWorker"): 0.5,
    ("stop", "FragmentReader"): 0.5,
    ("stop", "FragmentServer"): 0.3,
    ("stop", "environment"): 0.3,
    ("stop", "TrainerRank"): 0.2,
    ("damage", "files"): 1.0,
}


@dataclasses.dataclass
class Args:
    """Soak test"""

    minutes: float = 30.0  # how long
    task: Literal["colour", "voxel"] = "colour"  # a toy, or the quick start's
    nodes: int = 3  # of the cluster; each has a rollout worker
    pause: float = 6.0  # seconds between a recovery and the next harm, on average
    limit: float = 120.0  # seconds in which the run must recover
    wait_limit: float = 25.0  # the run's own limit
    seed: int = 1  # of who is harmed when


class Event(NamedTuple):
    harm: tuple[str, str]
    seconds: float  # to recover
    outcome: str  # "went on", or why the run stopped
    fault: bool  # should not have been


class Sample(NamedTuple):
    """What there was at a time."""

    processes: int
    resident: float  # MB, of all of them
    files: int  # in the replay's folder
    stored: float  # MB
    shared: float  # MB in /dev/shm, others' on this machine too


class Run:
    """The training, in a thread."""

    def __init__(self, args: Args, path: Path, cluster: Cluster, console: Console):
        self.cluster, self.path = cluster, path
        self.uses: Counter[str] = Counter()  # of each chunk, by its file
        self.staleness = self.finished = 0  # the highest; iterations, those done again after a resume too
        run = self

        class Watched(distributed.PPOTrainer):
            def begin(self, checkpoint):
                self.args.wait_limit, limit = args.limit, self.args.wait_limit  # processes take long to start here
                super().begin(checkpoint)
                self.args.wait_limit, run.trainer = limit, self

            def collect(self, show):
                time.sleep(0.2)  # else the cores are never idle, and nothing new starts
                shares = super().collect(show)
                for chunk in [chunk for share in shares or [] for chunk in share]:
                    run.uses[chunk.data.path] += 1
                    run.staleness = max(run.staleness, self.iteration - chunk.version)
                return shares

            def update(self, shares):
                metrics = super().update(shares)
                run.finished += 1
                return metrics

        distributed.TRAINERS["Watched"] = Watched
        distributed.make_console = lambda: console
        # A made-up GPU is on all nodes but the first, and no CPU.
        overrides = [{}] + [{"num_cpus_per_worker": 0, "num_gpus_per_worker": 1}] * (args.nodes - 1)
        rollout = {"num_rollout_workers": args.nodes, "num_cpus_per_worker": 1, "worker_overrides": overrides}
        train = {"num_workers": 2, "num_cpus_per_worker": 0.5, "num_iterations": 10**9, "save_interval": 5}
        train |= {"num_readers": 2, "record_video_interval": 0, "save_path": str(path / "runs")}
        self.replay = {"max_reuse": 2, "max_staleness": 2}
        root = {"trainer_name": "Watched", "wait_limit": args.wait_limit, "detach_rollout_manager": True}
        if args.task == "colour":
            self.config = toy_config(path, rollout, train, self.replay, **root)
            self.generators = policy_generator, lambda: ColourSim(vector_class=ProcessVectorEnv)
        else:
            laptop = distributed.LAPTOP
            replay = self.replay | {"database_config": {"path": str(path / "replay")}, "fragments_per_report": 0}
            rollout |= {"replay_buffer_config": replay, "worker_config": {"num_envs": 32, "batch_size": 32}}
            self.config = to_config(from_config(distributed.Args, laptop)) | root | {"synchronous": False}
            self.config["rollout_config"] = laptop["rollout_config"] | rollout
            self.config["train_config"] = laptop["train_config"] | train | {"batches_per_iteration": 2}
            self.generators = distributed.policy_generator, distributed.env_generator

    def start(self, **train) -> None:
        self.trainer = self.error = None
        config = self.config | {"train_config": self.config["train_config"] | train}

        def conduct() -> None:
            try:
                distributed.start_rolloutmanager(*self.generators, config)
                distributed.start_trainer(*self.generators, config)
            except Exception as error:
                self.error = error

        self.thread = threading.Thread(target=conduct, daemon=True)
        self.thread.start()

    def pids(self, name: str) -> list[int]:
        if name == "environment":
            return children(self.pids("RolloutWorker"), "spawn_main")
        return pids_of(self.cluster.list_all_nodes(), name)

    def files(self) -> dict[str, int]:
        """Bytes of each file in the replay's folder."""
        sizes = {}
        for folder, _, names in os.walk(self.path / "replay"):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    sizes[f"{folder}/{name}"] = os.stat(f"{folder}/{name}").st_size
        return sizes

    def sample(self) -> Sample:
        nodes = self.cluster.list_all_nodes()
        processes = found = [e.process.pid for node in nodes for es in node.all_processes.values() for e in es]
        while found := children(found):
            processes = processes + found
        pages = 0
        for pid in processes:
            with contextlib.suppress(OSError):
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        sizes, shared = self.files(), shutil.disk_usage("/dev/shm").used
        resident = pages * os.sysconf("SC_PAGESIZE")
        return Sample(len(processes), resident / 1e6, len(sizes), sum(sizes.values()) / 1e6, shared / 1e6)

    def damage(self, rng: random.Random) -> int:
        """Change a byte in some of the chunks' files -> in how many."""
        paths = [path for path in self.files() if path.endswith(".h5")]
        damaged = 0
        for path in rng.sample(paths, min(4, len(paths))):
            with contextlib.suppress(OSError), open(path, "r+b") as file:
                file.seek(1000)
                byte = file.read(1)
                file.seek(1000)
                file.write(bytes([byte[0] ^ 255]))
                damaged += 1
        return damaged


def do(harm: tuple[str, str], run: Run, rng: random.Random, node_options: dict) -> bool:
    """-> whether there was someone to harm."""
    what, whom = harm
    if what == "damage":
        return run.damage(rng) > 0
    if whom == "node":
        others = [node for node in run.cluster.list_all_nodes() if node != run.cluster.head_node]
        run.cluster.remove_node(rng.choice(others), allow_graceful=False)
        run.cluster.add_node(**node_options)
        return True
    pids = run.pids(whom)
    if pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(rng.choice(pids), signal.SIGKILL if what == "kill" else signal.SIGSTOP)
    return bool(pids)


def recover(run: Run, harm: tuple[str, str], limit: float) -> Event:
    """Wait until an iteration that began after the harm is done; resume the run if it stopped."""
    began, finished, outcome, fault = time.monotonic(), run.finished, "went on", False
    while run.finished < finished + 2:  # of the next one all may have been done before
        if not run.thread.is_alive():
            outcome = f"stopped: {str(run.error).splitlines()[0]}"
            fault = harm[1] != "TrainerRank" or not isinstance(run.error, PartyError)
            finished = run.finished
            saved = any(run.path.glob("runs/*/checkpoints/iteration_*"))
            run.start(resume="latest" if saved else None)
        if time.monotonic() - began > limit:
            return Event(harm, math.inf, f"{outcome}; no iteration in {limit:.0f} s", True)
        time.sleep(0.1)
    return Event(harm, time.monotonic() - began, outcome, fault)


def report(events: list[Event], console: Console) -> None:
    table = Table(
        "done", "times", "went on", "stopped, resumed", "median s", "worst s", title="until the next iteration"
    )
    for harm in sorted({event.harm for event in events}):
        mine = [event for event in events if event.harm == harm]
        seconds = [event.seconds for event in mine]
        went_on = sum(event.outcome == "went on" for event in mine)
        numbers = len(mine), went_on, len(mine) - went_on
        spread = f"{statistics.median(seconds):.1f}", f"{max(seconds):.1f}"
        table.add_row(" ".join(harm), *map(str, numbers), *spread)
    console.print(table)


def grown(samples: list[Sample], console: Console) -> list[str]:
    """What has grown, from quarter to quarter of the time."""
    quarters = [samples[len(samples) * i // 4 : len(samples) * (i + 1) // 4] for i in range(4)]
    if not all(quarters):
        return []
    middle, most = (
        [Sample(*map(how, zip(*quarter, strict=True))) for quarter in quarters] for how in (statistics.median, max)
    )
    table = Table("quarter", *Sample._fields, title="median (most) of MB resident, files and MB stored, MB in /dev/shm")
    for i, pair in enumerate(zip(middle, most, strict=True), 1):
        table.add_row(str(i), *(f"{a:,.0f} ({b:,.0f})" for a, b in zip(*pair, strict=True)))
    console.print(table)
    pairs = {"resident": (1.15 * middle[1].resident, middle[3].resident)}
    pairs |= {
        name: (1.25 * max(getattr(m, name) for m in most[:3]), getattr(most[3], name)) for name in ("files", "stored")
    }
    return [
        f"{name} has grown to {now:,.0f}, more than {bound:,.0f}" for name, (bound, now) in pairs.items() if now > bound
    ]


def check(run: Run) -> list[str]:
    """What is wrong with the chunks' uses."""
    faults = []
    if max(run.uses.values()) > run.replay["max_reuse"]:
        faults.append(f"a chunk was handed out {max(run.uses.values())} times")
    if run.staleness > run.replay["max_staleness"]:
        faults.append(f"a chunk was {run.staleness} iterations old")
    done = [row for folder in (run.path / "runs").iterdir() for row in rows(folder)]
    bounds = {"replay/reuse_max": run.replay["max_reuse"], "offpolicy/staleness_max": run.replay["max_staleness"]}
    bounds["invariants/fresh_log_prox_behavior"] = 1e-3  # the policy says of a chunk what it said when it acted
    for name, bound in bounds.items():
        if (most := max(row.get(name) or 0.0 for row in done)) > bound:
            faults.append(f"{name} was {most}, more than {bound}")
    return faults


def main(args: Args) -> None:
    console, rng = Console(width=None if sys.stdout.isatty() else 120), random.Random(args.seed)
    began = time.monotonic()
    path = Path(tempfile.mkdtemp(prefix="soak"))
    output = open(path / "log", "w", buffering=1)
    logging.basicConfig(level=logging.INFO, handlers=[logging.StreamHandler(output)], format="%(asctime)s %(message)s")
    console.print(f"the run's output is in {path}/log, Ray's in {os.environ['RAY_TMPDIR']}")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, **NODE})
    more = {"num_cpus": 0, "num_gpus": 1, **NODE}
    for _ in range(args.nodes - 1):
        cluster.add_node(**more)
    ray.init(cluster.address, namespace="soak", log_to_driver=False)
    run = Run(args, path, cluster, Console(file=output, width=200))
    samples: list[Sample] = []
    events: list[Event] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(10.0):
            samples.append(run.sample())

    threading.Thread(target=watch, daemon=True).start()
    faults = []
    try:
        run.start()
        start = recover(run, ("start", ""), args.limit)
        faults += [start.outcome] if start.fault else []
        columns = TextColumn("{task.description}"), TimeElapsedColumn()
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("")
            while time.monotonic() - began < 60 * args.minutes and not faults:
                state = f"{len(events)} harms, iteration {run.trainer.iteration}"
                progress.update(task, description=f"{state}, {samples[-1].resident:.0f} MB" if samples else state)
                time.sleep(min(rng.expovariate(1 / args.pause), 5 * args.pause))
                (harm,) = rng.choices(list(HARMS), HARMS.values())
                if not do(harm, run, rng, more):
                    continue
                events.append(event := recover(run, harm, args.limit))
                at = time.strftime("%H:%M:%S")
                progress.console.print(
                    f"{at} {' '.join(harm)}: {event.outcome}, {event.seconds:.1f} s", highlight=False
                )
                print(f"===== {at} {event}", file=output)
                if event.fault:
                    faults.append(f"{' '.join(harm)}: {event.outcome}")
        if run.thread.is_alive():
            run.trainer.interrupt()
            run.thread.join(args.limit)
        distributed.stop_rollouts()
        process_folder(path / "replay", "", 1)  # removes dead nodes' files, as the next run would
        report(events, console)
        faults += grown(samples, console) + check(run)
        faults += [f"{len(run.files())} files are left"] if run.files() else []
        console.print(
            f"{run.finished} iterations, {len(run.uses)} chunks, used {run.uses.total() / len(run.uses):.2f} times"
        )
    finally:
        over.set()
        ray.shutdown()
        cluster.shutdown()
    if faults:
        raise SystemExit("failed:\n" + "\n".join(faults))
    console.print("passed")
    for folder in (path, os.environ["RAY_TMPDIR"]):
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
