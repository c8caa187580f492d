"""What distribution costs, and what each part of ppo_vpt_distributed.py takes on this machine.

    python scripts/benchmark_distributed.py                       # everything, about ten minutes on two CPU cores
    python scripts/benchmark_distributed.py --what overhead       # one worker and one trainer against the online script
    python scripts/benchmark_distributed.py --what store          # fragments a second through files, readers and replay
    python scripts/benchmark_distributed.py --what broadcast      # seconds until all workers have new weights, by size
    python scripts/benchmark_distributed.py --what plan --save .  # times.json and measured.json for plan_cluster.py

The task is the online script's quick start. Runs that are compared take turns, and the scripts run as users start them;
their first two iterations do not count. It starts a Ray of its own.
"""

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ["RAY_TMPDIR"] = tempfile.mkdtemp(prefix="ray")  # not one that runs already
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])

import numpy as np
import ray
import torch
import tyro
from plan_cluster import Cluster, Times
from rich.console import Console
from rich.table import Table

import minestudio_envs
import ppo_vpt_distributed as ppo
from minestudio_envs.training.fragment_store import FragmentStore
from minestudio_envs.training.nested_settings import from_config
from minestudio_envs.training.replay import Chunk
from minestudio_envs.training.replay_index import Location

SKIPPED = 2  # iterations
console = Console(width=None if sys.stdout.isatty() else 140)


@dataclasses.dataclass
class Args:
    """Benchmarks of ppo_vpt_distributed.py"""

    what: Literal["all", "overhead", "store", "broadcast", "plan"] = "all"
    iterations: int = 14  # of each run
    rounds: int = 2  # of the runs that are compared
    save: Path | None = None  # folder for times.json and measured.json


# RUNS


def run(script: str, *flags: str) -> dict[str, float]:
    """Start a script with these flags -> means over its iterations."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, Path(__file__).parents[1] / script, *flags]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
        (file,) = Path(folder).glob("output/*/metrics.jsonl")
        rows = [json.loads(line) for line in file.read_text().splitlines()]
    first, rows = rows[SKIPPED - 1], rows[SKIPPED:]
    before = [first, *rows[:-1]]
    steps = [b["charts/global_step"] - a["charts/global_step"] for a, b in zip(before, rows, strict=True)]
    seconds = sum(step / row["charts/SPS"] for step, row in zip(steps, rows, strict=True) if step)
    trained = rows[-1]["charts/trained_steps"] - first["charts/trained_steps"]
    mean = lambda name: statistics.fmean(row[name] for row in rows)  # noqa: E731
    return {
        "trained_sps": trained / seconds,
        "collected_sps": sum(steps) / seconds,
        "iteration_seconds": seconds / len(rows),
        "staleness_mean": mean("offpolicy/staleness_mean"),
        "reuse_mean": mean("replay/reuse_mean"),
        "trainer_waiting": sum(row.get("time/waiting", 0.0) for row in rows) / seconds,
        "time/prox_pass": mean("time/prox_pass"),
        "time/update": mean("time/update"),
        "time/transfer": mean("time/transfer"),
        "time/publish": mean("time/publish") if "time/publish" in rows[0] else 0.0,
    }


def online(iterations: int) -> dict[str, float]:
    quiet = ("--record-video-interval", "0", "--save-interval", "100000")
    return run("ppo_vpt_online.py", *quiet, "--num-iterations", str(iterations))


def distributed(iterations: int, workers: int = 1, synchronous: bool = True, cpus: int = 0, queue: int = 6):
    """cpus: threads of a worker and of the trainer; 0: all cores."""
    cpus = cpus or ppo.CORES
    flags = ["--laptop", "--no-detach-rollout-manager", "--train-config.num-iterations", str(iterations)]
    flags += ["--train-config.record-video-interval", "0", "--train-config.save-interval", "100000"]
    flags += ["--rollout-config.num-rollout-workers", str(workers), "--rollout-config.to-send-queue-size", str(queue)]
    flags += ["--rollout-config.num-cpus-per-worker", str(cpus), "--train-config.num-cpus-per-worker", str(cpus)]
    flags += ["--synchronous" if synchronous else "--no-synchronous"]
    return run("ppo_vpt_distributed.py", *flags)


def overhead(args: Args) -> None:
    """One worker and one trainer that take turns do the online script's work: the difference is distribution's."""
    runs: dict[str, list[float]] = {"online": [], "distributed, synchronous": []}
    for _ in range(args.rounds):
        runs["online"].append(online(args.iterations)["trained_sps"])
        runs["distributed, synchronous"].append(distributed(args.iterations)["trained_sps"])
    others = {
        "1 worker, asynchronous": distributed(args.iterations, synchronous=False, cpus=1, queue=0),
        "2 workers, asynchronous": distributed(args.iterations, workers=2, synchronous=False, cpus=1, queue=0),
    }
    base = statistics.fmean(runs["online"])
    table = Table("run", "SPS trained on", "of the online script's", "staleness")
    for name, values in runs.items():
        mean = statistics.fmean(values)
        table.add_row(name, f"{mean:,.0f} ({', '.join(f'{v:,.0f}' for v in values)})", f"{mean / base:.2f}", "0")
    for name, result in others.items():
        table.add_row(
            name,
            f"{result['trained_sps']:,.0f}",
            f"{result['trained_sps'] / base:.2f}",
            f"{result['staleness_mean']:.2f}",
        )
    console.print(table)
    share = 1 - statistics.fmean(runs["distributed, synchronous"]) / base
    console.print(f"overhead of distribution with one worker: {share:.1%}")


# PARTS


def seconds_of(call, repeats: int = 1) -> float:
    """The median of several times, each of `repeats` calls, for one call."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(repeats):
            call()
        times.append((time.perf_counter() - began) / repeats)
    return statistics.median(times)


def settings(**changes: Any) -> ppo.Args:
    args = from_config(ppo.Args, ppo.LAPTOP)
    for name, value in changes.items():
        setattr(args.rollout_config, name, value)
    return args


def chunks_like(net_args: dict, steps: int, count: int) -> ppo.Fragments:
    """Chunks of noise."""
    chunks = ppo.Fragments.empty(count, steps, net_args, False, torch.device("cpu"))
    chunks.images.random_(0, 256)
    return chunks


def files_of(chunks: ppo.Fragments, folder: str) -> tuple[list[Chunk], float]:
    """The chunks as files -> (chunks, seconds for each)."""
    store, found, began = FragmentStore(folder, 8), [], time.perf_counter()
    for i, data in enumerate(map(ppo.Fragments._make, zip(*chunks, strict=True))):
        found.append(Chunk(i, 0, 0, 0, Location(ppo.here(), str(store.write(i, data._asdict())))))
    return found, (time.perf_counter() - began) / len(found)


def reader(args: ppo.Args, net_args: dict, steps: int) -> ppo.ChunkReader:
    blank = ppo.Fragments.empty(1, steps, net_args, False, torch.device("cpu"))
    return ppo.ChunkReader(ppo.flat(args), "benchmark", blank, None)


VPT_1X = ppo.SMALL_NET_ARGS | {
    "hidsize": 1024,
    "attention_heads": 8,
    "attention_memory_size": 256,
    "timesteps": 128,
    "img_shape": [128, 128, 3],
    "n_recurrence_layers": 4,
}


def store(args: Args) -> None:
    table = Table(
        "fragments", "MB each", "written/s", "read/s, 1 reader", "read/s, 2 readers", "index: added/s", "sampled/s"
    )
    for name, net_args, steps, count in (("quick start's", ppo.SMALL_NET_ARGS, 32, 128), ("VPT 1x's", VPT_1X, 256, 12)):
        with tempfile.TemporaryDirectory() as folder:
            chunks, write = files_of(chunks_like(net_args, steps, count), folder)
            size = Path(chunks[0].data.path).stat().st_size / 1e6
            rates = []
            for readers in (1, 2):
                config = settings()
                config.train_config.num_readers, config.train_config.chunk_memory = readers, 0.0
                source = reader(config, net_args, steps)
                batches = ppo.groups(chunks, max(1, count // 8))
                rates.append(count / seconds_of(lambda: list(source.batches(batches, torch.device("cpu")))))  # noqa: B023
        added, sampled = index_rates()
        table.add_row(name, f"{size:.2f}", *(f"{rate:,.0f}" for rate in (1 / write, *rates, added, sampled)))
    console.print(table)


def index_rates(count: int = 128) -> tuple[float, float]:
    """Chunks a second that the replay service, called through Ray, takes into its index, and gives out."""
    with tempfile.TemporaryDirectory() as folder:
        config = settings()
        config.rollout_config.replay_buffer_config.database_config.path = folder
        service = ray.remote(ppo.ReplayService).options(num_cpus=0).remote(ppo.to_config(config), "benchmark")
        ray.get(service.attach.remote(0, 0, -1))
        adding, sampling = [], []
        for i in range(10):
            entries = [(0, i, 0, ppo.here(), f"{folder}/{i}_{j}") for j in range(count)]
            began = time.perf_counter()
            ray.get(service.add.remote("writer", i * count, entries))
            adding.append(time.perf_counter() - began)
            began = time.perf_counter()
            assert ray.get(service.sample.remote(1.0))
            sampling.append(time.perf_counter() - began)
            ray.get(service.updated.remote(i + 1))
        ray.kill(service)
    return count / statistics.median(adding), count / statistics.median(sampling)


class Sink:
    """Takes weights as a rollout worker does."""

    def set_weights(self, weights: dict) -> int:
        return len(weights)


class Source:
    """Gives weights as a trainer rank does."""

    def __init__(self, numbers: int):
        self.arrays = {str(i): np.zeros(numbers // 10, np.float32) for i in range(10)}

    def weights(self) -> dict:
        return self.arrays


def broadcast(args: Args) -> None:
    """From a trainer rank to the manager, which puts them where the workers take them, all on this machine."""
    table = Table("weights, MB", "1 worker, s", "2 workers, s", "4 workers, s")
    for megabytes in (6, 100, 285, 1000):
        source, row = ray.remote(Source).options(num_cpus=0).remote(megabytes * 250_000), []
        for workers in (1, 2, 4):
            sinks = [ray.remote(Sink).options(num_cpus=0).remote() for _ in range(workers)]
            ray.get([sink.__ray_ready__.remote() for sink in sinks])

            def once(source=source, sinks=sinks):
                weights = ray.put(ray.get(source.weights.remote()))
                ray.get([sink.set_weights.remote(weights) for sink in sinks])

            once()
            row.append(seconds_of(once))
            for sink in sinks:
                ray.kill(sink)
        ray.kill(source)
        table.add_row(f"{megabytes:,}", *(f"{seconds:.2f}" for seconds in row))
    console.print(table)


# THE PLAN'S TIMES


def measure_times(threads: int) -> Times:
    """Seconds of each part alone, with so many threads for worker and trainer."""
    args = settings()
    flat = ppo.flat(args)
    torch.manual_seed(1)
    ppo.use_cores(threads)
    policy = ppo.VPTPolicy(ppo.SMALL_NET_ARGS)
    reference = ppo.begin_training(flat, policy)
    size = policy.net_args["img_shape"][:2]
    looks = {"obs_size": (size[1], size[0]), "copy": False, "stagger": True}
    envs = minestudio_envs.make_vec(ppo.env_generator, flat.num_envs, seed=1, **looks)
    torch.set_num_threads(threads)
    collector = ppo.Collector(flat, policy, reference, envs, torch.device("cpu"))
    steps, count = flat.fragment_length, flat.num_envs
    collector.collect()

    action = {"buttons": torch.zeros(count, 1, dtype=torch.int64), "camera": torch.full((count, 1), 60)}
    env_step = seconds_of(lambda: envs.step(action), 20)

    @torch.no_grad()
    def act(batch: int):
        memory = policy.initial_memory(batch)
        image, first = (
            torch.zeros(batch, 1, *policy.net_args["img_shape"], dtype=torch.uint8),
            torch.zeros(batch, 1).bool(),
        )

        def once():
            output = policy(image, first, memory, inplace=True)
            buttons, camera = ppo.sample_actions(output)
            ppo.log_prob(output, buttons, camera)

        return seconds_of(once, 10)

    half, full = act(count // 2), act(count)
    per_env = max(0.0, (full - half) / (count - count // 2))
    collect = seconds_of(collector.collect)
    chunks = collector.collect()

    with tempfile.TemporaryDirectory() as folder:
        files, write = files_of(chunks, folder)
        config = settings()
        config.train_config.num_readers, config.train_config.chunk_memory = 1, 0.0
        source = reader(config, policy.net_args, steps)
        micro = flat.batch_size_per_gpu
        files = files[: micro * flat.batches_per_iteration]
        batches = ppo.groups(files, micro)
        read = seconds_of(lambda: list(source.batches(batches, torch.device("cpu")))) / len(files)

        # An iteration of fresh chunks, and one of stale ones: the difference is the prox pass.
        learner, kept = ppo.Learner(flat, policy, reference, torch.device("cpu")), reader(args, policy.net_args, steps)
        kept.kept = {chunk.id: chunks.rows(chunk.id) for chunk in files}
        learner.update(kept, files)
        passes: dict[str, list[float]] = {"prox": [], "fresh": [], "update": [], "whole": []}
        for _ in range(3):
            for kind in ("fresh", "stale"):
                for chunk in files:
                    chunk.version = learner.iteration - (kind == "stale")
                began = time.perf_counter()
                metrics = learner.update(kept, files)
                passes["prox" if kind == "stale" else "fresh"].append(metrics["time/prox_pass"])
                passes["update"].append(metrics["time/update"])
                passes["whole"].append(time.perf_counter() - began)
    prox, fresh, update = (statistics.median(passes[name]) for name in ("prox", "fresh", "update"))
    optimizer = seconds_of(learner.optimizer.step)
    number = flat.batches_per_iteration // flat.gradient_accumulation
    added, sampled = index_rates(count)
    weights = sum(p.numel() * 4 for p in policy.state_dict().values())
    load = seconds_of(lambda: policy.load_state_dict(policy.state_dict()))
    calls = seconds_of(rpc(), 5)
    return Times(
        engine="voxel",
        env_step_seconds=env_step,
        env_step_spread=0.0,
        inference_call_seconds=max(0.0, full - count * per_env),
        inference_env_seconds=per_env,
        collect_overhead_seconds=max(0.0, collect - steps * (env_step + full)),
        load_weights_seconds=load,
        write_seconds=write,
        add_seconds=count / added,
        sample_seconds=count / sampled,
        read_seconds=read,
        prox_seconds=(prox - fresh) / len(files),
        prox_fresh_chunks=False,
        update_seconds=(update - number * optimizer) / flat.batches_per_iteration,
        optimizer_seconds=optimizer,
        gradient_bytes=weights,
        allreduce_bandwidth=1e9,
        allreduce_latency_seconds=1e-3,
        iteration_overhead_seconds=fresh + 8 * calls,  # the conductor's calls
        publish_seconds=5 * calls,
        weights_bytes=weights,
        link_bandwidth=1e10,  # all on one machine: workers read the weights where they lie
    )


def rpc():
    actor = ray.remote(Sink).options(num_cpus=0).remote()
    return lambda: ray.get(actor.set_weights.remote({}))


def plan(args: Args) -> None:
    """times.json and measured.json."""
    times = measure_times(1)
    console.print(times)
    runs = [
        ("1 worker, asks first", {"workers": 1, "queue": 0}),
        ("1 worker, holds 64", {"workers": 1, "queue": 64}),
        ("2 workers, ask first", {"workers": 2, "queue": 0}),
        ("1 worker, takes turns", {"workers": 1, "queue": 0, "synchronous": True}),
    ]
    measured = []
    for name, options in runs:
        result = distributed(args.iterations, **{"synchronous": False, "cpus": 1} | options)
        flat = vars(ppo.flat(settings()))
        names = {field.name for field in dataclasses.fields(Cluster)}
        cluster = Cluster(
            **{key: value for key, value in flat.items() if key in names}
            | {
                "num_rollout_workers": options["workers"],
                "to_send_queue_size": options["queue"],
                "synchronous": options.get("synchronous", False),
                "num_cpus_per_worker": 1.0,
                "num_cpus_per_trainer": 1.0,
                "cores": float(os.cpu_count() or 1),
            }
        )
        keys = ("collected_sps", "trained_sps", "iteration_seconds", "staleness_mean", "reuse_mean", "trainer_waiting")
        measured.append(
            {"name": name, "cluster": dataclasses.asdict(cluster), "measured": {key: result[key] for key in keys}}
        )
        console.print(name, measured[-1]["measured"])
    if args.save is not None:
        args.save.mkdir(parents=True, exist_ok=True)
        (args.save / "times.json").write_text(json.dumps(dataclasses.asdict(times), indent=1))
        (args.save / "measured.json").write_text(json.dumps(measured, indent=1))
        console.print(
            f"python scripts/plan_cluster.py --times {args.save}/times.json --validate {args.save}/measured.json"
        )


def main(args: Args) -> None:
    if args.what in ("all", "overhead"):
        overhead(args)
    if args.what == "overhead":
        return
    ray.init("local", num_cpus=16, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    for name, benchmark in (("store", store), ("broadcast", broadcast), ("plan", plan)):
        if args.what in ("all", name):
            benchmark(args)
    ray.shutdown()


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
