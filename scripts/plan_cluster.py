"""How many rollout workers and trainers? Predicts what ppo_vpt_distributed.py does on clusters one does not have yet.

    python scripts/plan_cluster.py --times times.json --workers 1 2 4 8 --ranks 1 2      # predictions, one row for each
    python scripts/plan_cluster.py --preset minecraft-gpu --frames 1e9 --days 7          # the smallest cluster in time
    python scripts/plan_cluster.py --times times.json --validate measured.json           # predicted against measured
    python scripts/plan_cluster.py --preset minecraft-gpu --ranks 1 4 16 64 --plot docs/plan_cluster.png

A discrete-event model of the pipeline: workers collect, senders write and offer, the replay takes what it wants,
trainers sample and update, weights go out. From the seconds that each part takes alone (`Times`, measured on one
machine) and a cluster's settings (`Cluster`) it says how fast all are together, how stale the data get, and who waits.

The bottleneck is what is busy for the largest share of the time: the trainers computing; the workers collecting, if
trainers wait for them at all; the fragment store, that is a worker's sender writing or a trainer's readers reading; the
replay service answering; the weight broadcast, with trainers publishing and, where workers and trainers take turns, the
weights under way. Where they do not, nobody waits for weights under way: they are the bottleneck if trainers wait and
chunks are dropped as too stale, each more than a tenth, and it takes weights longer to arrive than workers to collect.

Left out: failures, checkpoints, films, sleep phases, and that machines share disks and links, except rank 0's link.
"""

import dataclasses
import difflib
import heapq
import itertools
import json
import math
import random
import typing
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import rich.box
import tyro
from rich.console import Console
from rich.table import Table

T = TypeVar("T")
LITTLE, MUCH = 0.05, 0.1  # shares: of waiting that does no harm; of waiting, or of chunks wasted, that does
LIMIT_WORKERS, LIMIT_RANKS = 1000, 1024  # of the search for the smallest cluster
WORKERS = (1, 2, 4, 8, 16, 32, 64, 125, 250, 500, 1000)


@dataclass
class Times:
    """What each part takes alone: seconds, bytes, bytes a second. A JSON file of them has exactly these keys."""

    engine: Literal["voxel", "minecraft"]  # environments step in one call, or in processes, the first ready at once
    env_step_seconds: float  # of all num_envs (voxel) or of one environment (minecraft), resets spread over the steps
    env_step_spread: float  # standard deviation of a step's seconds by their mean
    inference_call_seconds: float  # of acting for a batch, whatever its size ...
    inference_env_seconds: float  # ... and for each environment in it, storing the step included
    collect_overhead_seconds: float  # of a collect beside its steps: last values, reference policy, cutting chunks
    load_weights_seconds: float  # that a worker stands still to take new weights
    write_seconds: float  # a chunk's file
    add_seconds: float  # that the replay service is busy with an offer, the chunks of a collect
    sample_seconds: float  # that it is busy with an iteration's sample
    read_seconds: float  # a chunk's file, by one reader, from another node if need be
    prox_seconds: float  # a chunk's pass without gradients
    prox_fresh_chunks: bool  # chunks of the current weights have that pass too, as in bfloat16
    update_seconds: float  # a micro-batch, forward and backward
    optimizer_seconds: float  # an optimizer step, without the other ranks
    gradient_bytes: float  # that the ranks sum in an optimizer step
    allreduce_bandwidth: float  # of the slowest link in the ring of ranks
    allreduce_latency_seconds: float  # of one sum
    iteration_overhead_seconds: float  # of an iteration beside its passes: advantages, metrics
    publish_seconds: float  # from the end of an update until weights can leave rank 0's node; trainers wait for that
    weights_bytes: float  # that workers get
    link_bandwidth: float  # of one node's link to others

    def __post_init__(self):
        check_numbers(self, positive=("allreduce_bandwidth", "link_bandwidth"))


@dataclass
class Cluster:
    """Sizes and settings, as MineStudio names them, with its values; at the end what it has no name for."""

    num_rollout_workers: Annotated[int, tyro.conf.Suppress] = 2  # actors that collect
    num_workers: Annotated[int, tyro.conf.Suppress] = 2  # trainers, that is ranks
    fragment_length: int = 256  # steps in a fragment
    to_send_queue_size: int = 6  # fragments that a worker may hold unsent when it begins to collect; 0: it asks first
    num_envs: int = 12  # environments of a worker
    batch_size: int = 6  # environments acted for at once
    max_chunks: int = 4800  # in the replay
    max_reuse: int = 2  # iterations that may use a chunk
    max_staleness: int = 2  # versions after which a chunk is dropped
    fragments_per_chunk: int = 1  # consecutive fragments kept together
    batch_size_per_gpu: int = 1  # fragments in a micro-batch
    batches_per_iteration: int = 200  # micro-batches of a rank
    gradient_accumulation: int = 10  # micro-batches in an optimizer step
    epochs_per_iteration: int = 1  # passes over the iteration's fragments
    num_readers: int = 4  # that read for a rank at the same time
    prefetch_batches: int = 2  # micro-batches read ahead; 0: reading and computing take turns
    keeps_chunks: bool = True  # a rank has the memory to read an iteration's chunks once, not in every pass
    num_cpus_per_worker: float = 1.0  # threads that a collecting worker keeps busy
    num_cpus_per_trainer: float = 1.0  # threads that an updating rank keeps busy
    synchronous: bool = False  # workers and trainers take turns, as with max_staleness 0
    workers_per_node: int = 8  # that share one copy of the weights
    cores: float = 0.0  # of the one machine on which everything runs; 0: nobody takes another's processor

    def __post_init__(self):
        may_be_zero = {"to_send_queue_size", "max_staleness", "prefetch_batches", "cores"}
        check_numbers(self, positive=vars(self).keys() - may_be_zero)
        for name, by in (
            ("batch_size_per_gpu", "fragments_per_chunk"),
            ("batches_per_iteration", "gradient_accumulation"),
        ):
            if getattr(self, name) % getattr(self, by):
                raise ValueError(f"{name} {getattr(self, name)} is not divisible by {by} {getattr(self, by)}")
        if self.chunks_per_iteration > self.max_chunks:
            raise ValueError(f"max_chunks {self.max_chunks} cannot hold an iteration's {self.chunks_per_iteration}")

    @property
    def chunks_per_iteration(self) -> int:
        return self.num_workers * self.batch_size_per_gpu * self.batches_per_iteration // self.fragments_per_chunk

    @property
    def chunk_steps(self) -> int:
        return self.fragment_length * self.fragments_per_chunk

    @property
    def readers(self) -> int:
        """Of a rank, that have something to read: each reads a micro-batch."""
        return min(self.num_readers, self.prefetch_batches + 1)

    @property
    def takes_turns(self) -> bool:
        return self.synchronous or self.max_staleness == 0

    @property
    def asks(self) -> bool:
        """A worker begins to collect only when the replay wants chunks."""
        return self.takes_turns or self.to_send_queue_size == 0

    def sized(self, workers: int, ranks: int) -> "Cluster":
        """This cluster with other numbers of workers and ranks, and a replay that holds their larger iterations."""
        chunks = (self.max_staleness + 1) * self.chunks_per_iteration * ranks // self.num_workers
        chunks = max(self.max_chunks, chunks)
        return dataclasses.replace(self, num_rollout_workers=workers, num_workers=ranks, max_chunks=chunks)


def check_numbers(values: Any, positive: typing.Collection[str]) -> None:
    """Raises ValueError for a number that is negative, not finite, or zero though it is to be positive."""
    for name, value in vars(values).items():
        if not isinstance(value, str) and not 0 <= value < math.inf:
            raise ValueError(f"{name} must be a number of at least 0, not {value}")
        if value == 0 and name in positive and not isinstance(value, bool):
            raise ValueError(f"{name} must be more than 0")


@dataclass
class Report:
    """What a cluster does after the first quarter of the iterations, in which it fills. Shares are of the time."""

    sps: float  # environment steps a second, of chunks that get used, each counted once
    collected_sps: float  # environment steps a second, of wasted chunks too: what ppo_vpt_distributed.py logs as SPS
    trained_sps: float  # steps trained on a second, each use and epoch counted
    iteration_seconds: float
    staleness: dict[int, float]  # versions behind when sampled -> share of the sampled chunks
    staleness_mean: float
    reuse_mean: float  # iterations that have used a sampled chunk, the one it is sampled for included
    wasted: float  # share of the collected chunks that are dropped without having been used
    trainer_waiting: float  # trainers idle because there are too few chunks
    worker_waiting: float  # workers not collecting, a mean over them
    busy: dict[str, float]  # share of the time that each part is busy
    bottleneck: str  # one of `busy`
    advice: str  # what to do about it, in a line


# THE MODEL


def step_seconds(times: Times, cluster: Cluster, rng: random.Random) -> float:
    """Mean seconds in which all environments of a worker step once."""
    size = min(cluster.batch_size, cluster.num_envs)
    acting = lambda envs: times.inference_call_seconds + envs * times.inference_env_seconds  # noqa: E731
    if times.engine == "voxel":
        full, rest = divmod(cluster.num_envs, size)
        return times.env_step_seconds + full * acting(size) + (acting(rest) if rest else 0.0)
    # Environments in processes: while those of a batch step, the policy acts for the first others that are ready.
    rounds, now = 1000, 0.0
    ready = [0.0] * cluster.num_envs
    for _ in range(rounds):
        ready.sort()
        now = max(now, ready[size - 1]) + acting(size)
        ready[:size] = [now + draw_sum(times.env_step_seconds, times.env_step_spread, 1, rng) for _ in range(size)]
    return now / (rounds * size) * cluster.num_envs


def draw_sum(mean: float, spread: float, count: int, rng: random.Random) -> float:
    """The sum of `count` independent times of this mean and relative deviation: gamma distributed if they are."""
    if spread == 0 or mean == 0:
        return count * mean
    return rng.gammavariate(count / spread**2, mean * spread**2)


def update_seconds(times: Times, cluster: Cluster, stale: int) -> tuple[float, float, float]:
    """Of a rank's iteration with so many stale chunks: (computing, standing still to read, readers at work)."""
    ranks, micro = cluster.num_workers, cluster.batch_size_per_gpu // cluster.fragments_per_chunk
    chunks = cluster.chunks_per_iteration // ranks
    allreduce = 2 * (ranks - 1) / ranks * times.gradient_bytes / times.allreduce_bandwidth
    if ranks > 1:
        allreduce += times.allreduce_latency_seconds
    steps = cluster.batches_per_iteration // cluster.gradient_accumulation
    epoch = cluster.batches_per_iteration * times.update_seconds + steps * (times.optimizer_seconds + allreduce)
    passes = [(chunks if times.prox_fresh_chunks else stale) * times.prox_seconds]
    passes += [epoch] * cluster.epochs_per_iteration

    reading = chunks * times.read_seconds / cluster.readers
    first = micro * times.read_seconds  # a pass begins when its first micro-batch is there
    ahead = bool(cluster.prefetch_batches)
    times_read = 1 if cluster.keeps_chunks else len(passes)
    standing = sum(max(first, reading - ahead * computing) for computing in passes[:times_read])
    return sum(passes) + times.iteration_overhead_seconds, standing, reading * times_read


class Clock:
    """Events in the order of their time; those that keep processors busy slow each other down.

    Where there are more busy threads than cores, all threads get the same share. So one more clock, `work`, which then
    runs slower than `now`, says when each is done, however often their number changes.
    """

    def __init__(self, threads: dict[str, float], cores: float):
        self.threads = threads if cores else {}  # activity -> threads that it keeps busy
        self.cores = cores
        self.now = self.work = 0.0  # seconds
        self.order = itertools.count()
        self.waits: list = []  # heap of (end by `now`, order, activity, what to call then and with what)
        self.jobs: list = []  # the same for what needs processors; ends are by `work`
        self.level: Counter[str] = Counter()  # activity -> how many are at it
        self.spent: Counter[str] = Counter()  # activity -> seconds, summed over those at it, until `since`
        self.since: defaultdict[str, float] = defaultdict(float)

    def run(self, activity: str, seconds: float, call: Callable, *arguments: Any) -> None:
        """Be at an activity for so many seconds, then call."""
        self.change(activity, 1)
        heap, now = (self.jobs, self.work) if activity in self.threads else (self.waits, self.now)
        heapq.heappush(heap, (now + seconds, next(self.order), activity, call, arguments))

    def change(self, activity: str, by: int) -> None:
        """So many more are at an activity from now on."""
        self.spent[activity] += self.level[activity] * (self.now - self.since[activity])
        self.since[activity] = self.now
        self.level[activity] += by

    def seconds(self, activity: str) -> float:
        self.change(activity, 0)
        return self.spent[activity]

    def forget(self) -> None:
        """Count the seconds anew."""
        for activity in self.level:
            self.change(activity, 0)
        self.spent.clear()

    def step(self) -> None:
        """Go on to the next event."""
        slowdown, heap = 1.0, self.waits
        if self.jobs:
            slowdown = max(1.0, sum(n * self.level[activity] for activity, n in self.threads.items()) / self.cores)
            done = self.now + max(0.0, self.jobs[0][0] - self.work) * slowdown
            heap = self.jobs if not self.waits or done <= self.waits[0][0] else self.waits
        now = done if heap is self.jobs else heap[0][0]
        self.now, self.work = now, self.work + (now - self.now) / slowdown
        _, _, activity, call, arguments = heapq.heappop(heap)
        self.change(activity, -1)
        call(*arguments)


@dataclass(eq=False)
class Worker:
    """A rollout worker. Chunks are alike, so that the versions of their oldest steps say all."""

    delivered: int = 0  # the newest version that has reached its node
    version: int = 0  # that it acts with
    collecting: bool = False
    promised: bool = False  # the replay counts on what it has collected and not offered yet
    sending: bool = False  # the first batch in the outbox is being written, offered or added
    outbox: deque[list[int]] = field(default_factory=deque)  # [version, chunks not taken yet] of each collect
    unsent: int = 0  # chunks in it


class Pipeline:
    """A cluster at work."""

    def __init__(self, times: Times, cluster: Cluster, seed: int):
        self.times, self.cluster, self.rng = times, cluster, random.Random(seed)
        ranks = cluster.num_workers
        threads = {"collect": cluster.num_cpus_per_worker, "write": 1.0}
        threads |= {"update": ranks * cluster.num_cpus_per_trainer, "read": float(ranks * cluster.readers)}
        self.clock = Clock(threads, cluster.cores)
        self.version = 0  # of the weights
        self.next_version = 0  # that the next iteration will find: one more during an update
        self.trainers = "waiting"  # or sampling, updating, publishing
        self.replay: list[list[int]] = []  # [version, uses] of each chunk, the oldest first
        self.uses_left = 0  # of all of them
        self.promised = 0  # chunks that workers who asked are collecting
        self.serving = False  # the replay service is busy
        self.offers: deque[Worker] = deque()  # senders that wait for it
        self.link_free = 0.0  # when older weights are through
        self.counts: Counter[str] = Counter()  # of chunks
        self.staleness: Counter[int] = Counter()
        self.finished = self.skipped = 0  # iterations done; those before the report begins
        self.begin = 0.0  # of the time reported on

        self.step_seconds = step_seconds(times, cluster, self.rng)
        self.collect_seconds = cluster.chunk_steps * self.step_seconds + times.collect_overhead_seconds
        self.transfer_seconds = times.weights_bytes / times.link_bandwidth  # of a round, which doubles the copies
        self.workers = [Worker() for _ in range(cluster.num_rollout_workers)]
        self.rounds: defaultdict[int, list[Worker]] = defaultdict(list)
        for i, worker in enumerate(self.workers):
            self.rounds[(i // cluster.workers_per_node + 1).bit_length()].append(worker)
            # Workers start one after the other, and stay so; taking turns aligns them.
            delay = 0.0 if cluster.takes_turns else self.rng.uniform(0.0, self.collect_seconds)
            self.clock.run("start", delay, self.begin_collect, worker)
        self.clock.change("wait", 1)

    # ROLLOUT WORKERS

    def begin_collect(self, worker: Worker) -> None:
        """Unless it is at it, holds too many unsent fragments, or it is not the workers' turn."""
        most = 0 if self.cluster.asks else self.cluster.to_send_queue_size
        if worker.collecting or worker.unsent * self.cluster.fragments_per_chunk > most:
            return
        current = self.trainers == "waiting" and worker.delivered == self.version
        if self.cluster.takes_turns and not current:
            return
        if self.cluster.asks:
            if self.missing() <= self.promised:
                return
            self.promised += self.cluster.num_envs
        worker.collecting = True
        self.collect_fragment(worker, self.cluster.fragments_per_chunk, worker.delivered)

    def collect_fragment(self, worker: Worker, left: int, version: int) -> None:
        """One of the `left` fragments that are to be added to chunks begun with `version`."""
        seconds = draw_sum(self.step_seconds, self.times.env_step_spread, self.cluster.fragment_length, self.rng)
        if worker.version != worker.delivered:
            worker.version = worker.delivered
            seconds += self.times.load_weights_seconds
        if left > 1:
            self.clock.run("collect", seconds, self.collect_fragment, worker, left - 1, version)
        else:
            self.clock.run("collect", seconds + self.times.collect_overhead_seconds, self.collected, worker, version)

    def collected(self, worker: Worker, version: int) -> None:
        worker.collecting = False
        worker.promised = self.cluster.asks
        worker.outbox.append([version, self.cluster.num_envs])
        worker.unsent += self.cluster.num_envs
        self.counts["collected"] += self.cluster.num_envs
        self.send(worker)
        self.begin_collect(worker)

    def send(self, worker: Worker) -> None:
        """Unless its sender is at it: the next batch of chunks."""
        if not worker.sending and worker.outbox:
            worker.sending = True
            self.clock.run("write", self.cluster.num_envs * self.times.write_seconds, self.offer, worker)

    def offer(self, worker: Worker) -> None:
        """Queue for the replay, those first that will be rid of what is too stale."""
        if worker.promised:
            worker.promised = False
            self.promised -= self.cluster.num_envs
        if self.too_stale(worker):
            self.offers.appendleft(worker)
        else:
            self.offers.append(worker)
        self.serve()

    def too_stale(self, worker: Worker) -> bool:
        return worker.outbox[0][0] < self.oldest

    # REPLAY

    @property
    def oldest(self) -> int:
        """The oldest version that the next iteration can use."""
        return self.next_version - self.cluster.max_staleness

    def chunk_uses_left(self, chunk: list[int]) -> int:
        version, uses = chunk
        return min(self.cluster.max_reuse - uses, version - self.oldest + 1)

    def missing(self) -> int:
        """How many chunks more the next iteration wants: enough of them, and enough uses for those after."""
        cluster = self.cluster
        # Unless workers and trainers take turns, chunks come an iteration late, and have one use less.
        uses = min(cluster.max_reuse, cluster.max_staleness + cluster.takes_turns)
        wanted = cluster.chunks_per_iteration * uses - self.uses_left
        return max(cluster.chunks_per_iteration - len(self.replay), -(-wanted // uses), 0)

    def serve(self) -> None:
        """Unless the service is at it: the trainers' sample, or the next offer if it can be taken."""
        if self.serving:
            return
        if self.trainers == "sampling":
            self.serving = True
            self.clock.run("serve", self.times.sample_seconds, self.sampled)
        elif self.offers and (self.missing() or self.cluster.takes_turns or self.too_stale(self.offers[0])):
            self.serving = True
            self.clock.run("serve", self.times.add_seconds, self.added, self.offers.popleft())

    def added(self, worker: Worker) -> None:
        """As many as are missing of a batch of chunks; the rest is offered again."""
        self.serving = False
        version, count = batch = worker.outbox[0]
        if self.too_stale(worker):
            self.counts["wasted"] += count
        else:
            count = count if self.cluster.takes_turns else min(count, max(1, self.missing()))
            chunks = [[version, 0] for _ in range(count)]
            self.replay += chunks
            self.uses_left += count * self.chunk_uses_left(chunks[0])
            self.drop(self.replay[: max(0, len(self.replay) - self.cluster.max_chunks)])
        batch[1] -= count
        worker.unsent -= count
        if batch[1]:
            self.offer(worker)
        else:
            worker.outbox.popleft()
            worker.sending = False
            self.send(worker)
        self.begin_collect(worker)
        self.begin_iteration()
        self.serve()

    def drop(self, oldest: list[list[int]]) -> None:
        """The first chunks of the replay."""
        if oldest:
            self.counts["wasted"] += sum(uses == 0 for _, uses in oldest)
            self.uses_left -= sum(map(self.chunk_uses_left, oldest))
            del self.replay[: len(oldest)]

    # TRAINERS

    def begin_iteration(self) -> None:
        """If there are enough chunks."""
        if self.trainers == "waiting" and not self.missing():
            self.trainers = "sampling"
            self.clock.change("wait", -1)
            self.serve()

    def sampled(self) -> None:
        self.serving = False
        chunks, ranks = self.rng.sample(self.replay, self.cluster.chunks_per_iteration), self.cluster.num_workers
        for chunk in chunks:
            self.staleness[self.version - chunk[0]] += 1
            self.counts["used"] += chunk[1] == 0
            chunk[1] += 1
            self.counts["uses"] += chunk[1]
        stale = max(sum(version < self.version for version, _ in chunks[rank::ranks]) for rank in range(ranks))
        computing, standing, reading = update_seconds(self.times, self.cluster, stale)
        self.clock.run("read", reading, lambda: None)
        self.clock.run("stand", standing, self.clock.run, "update", computing, self.updated)
        self.trainers = "updating"
        self.next_version += 1
        # Gone is what is used up, and what the next iteration cannot use, wherever it is.
        self.counts["wasted"] += sum(version < self.oldest and uses == 0 for version, uses in self.replay)
        self.replay = [chunk for chunk in self.replay if self.chunk_uses_left(chunk) > 0]
        self.uses_left = sum(map(self.chunk_uses_left, self.replay))
        self.offers = deque(sorted(self.offers, key=self.too_stale, reverse=True))
        self.serve()
        if self.cluster.asks:
            for worker in self.workers:
                self.begin_collect(worker)

    def updated(self) -> None:
        self.version += 1
        self.trainers = "publishing"
        self.clock.run("publish", self.times.publish_seconds, self.published)

    def published(self) -> None:
        """The weights leave rank 0's node, after older ones; each round doubles the nodes that have them."""
        self.link_free = max(self.clock.now, self.link_free)
        for number, workers in self.rounds.items():
            seconds = self.link_free - self.clock.now + number * self.transfer_seconds
            self.clock.run("transfer", seconds, self.deliver, workers, self.version)
        self.link_free += max(self.rounds) * self.transfer_seconds
        self.finished += 1
        if self.finished == self.skipped:
            self.begin = self.clock.now
            self.clock.forget()
            self.counts.clear()
            self.staleness.clear()
        self.trainers = "waiting"
        self.clock.change("wait", 1)
        self.begin_iteration()

    def deliver(self, workers: list[Worker], version: int) -> None:
        for worker in workers:
            worker.delivered = version
            self.begin_collect(worker)

    # REPORT

    def run(self, iterations: int) -> Report:
        self.skipped = iterations // 4
        while self.finished < iterations:
            self.clock.step()
        cluster, counts, seconds = self.cluster, self.counts, self.clock.now - self.begin
        iterations -= self.skipped
        share = lambda activity: self.clock.seconds(activity) / seconds  # noqa: E731
        sampled = iterations * cluster.chunks_per_iteration
        collecting = share("collect") / len(self.workers)
        transfer = max(self.rounds) * self.transfer_seconds * iterations / seconds
        busy = {
            "trainers": share("update"),
            "rollout workers": collecting,
            "fragment store": max(share("write") / len(self.workers), share("read")),
            "replay service": share("serve"),
            "weight broadcast": share("publish") + cluster.takes_turns * transfer,
        }
        waiting, wasted = share("wait"), counts["wasted"] / max(1, counts["collected"])
        bottleneck = self.bottleneck(busy, waiting, wasted)
        threads = sum(n * share(activity) for activity, n in self.clock.threads.items())
        return Report(
            sps=counts["used"] * cluster.chunk_steps / seconds,
            collected_sps=counts["collected"] * cluster.chunk_steps / seconds,
            trained_sps=sampled * cluster.chunk_steps * cluster.epochs_per_iteration / seconds,
            iteration_seconds=seconds / iterations,
            staleness={age: count / sampled for age, count in sorted(self.staleness.items())},
            staleness_mean=sum(age * count for age, count in self.staleness.items()) / sampled,
            reuse_mean=counts["uses"] / sampled,
            wasted=wasted,
            trainer_waiting=waiting,
            worker_waiting=1 - collecting,
            busy=busy,
            bottleneck=bottleneck,
            advice=self.advice(bottleneck, busy, waiting, wasted, threads),
        )

    def bottleneck(self, busy: dict[str, float], waiting: float, wasted: float) -> str:
        """By the rule at the top of this file."""
        weights_seconds = self.times.publish_seconds + max(self.rounds) * self.transfer_seconds
        if min(waiting, wasted) > MUCH and weights_seconds > self.collect_seconds:
            return "weight broadcast"
        suspects = [name for name in busy if name != "rollout workers" or waiting > LITTLE]
        return max(suspects, key=lambda name: busy[name])

    def advice(self, bottleneck: str, busy: dict[str, float], waiting: float, wasted: float, threads: float) -> str:
        cluster = self.cluster
        if cluster.cores and threads > (1 - MUCH) * cluster.cores:
            return f"{threads:.1f} of {cluster.cores:g} cores are busy: more of anything needs more cores"
        if cluster.takes_turns and bottleneck in ("trainers", "rollout workers"):
            more = "--ranks" if bottleneck == "trainers" else "workers"
            return f"more {more}; or max_staleness above 0 without --synchronous, so that both work at once"
        if bottleneck == "trainers":
            enough = math.ceil(cluster.num_rollout_workers * busy["rollout workers"] * (1 - wasted))
            fewer = f"{plural(enough, 'worker')} would do; " if enough < 0.9 * cluster.num_rollout_workers else ""
            return fewer + "for more speed, more --ranks"
        if bottleneck == "rollout workers" and wasted > MUCH:
            return "chunks come too late: raise batches_per_iteration or max_staleness, or shorten fragment_length"
        if bottleneck == "rollout workers":
            enough = math.ceil(cluster.num_rollout_workers / max(1e-9, 1 - waiting))
            return f"about {plural(enough, 'worker')} would keep the trainers busy"
        return {
            "replay service": "fewer calls: raise num_envs, fragment_length or fragments_per_chunk",
            "weight broadcast": "more workers_per_node, faster links, or longer iterations (batches_per_iteration)",
            "fragment store": "faster disks or links; more num_readers and prefetch_batches, or fewer num_envs",
        }[bottleneck]


def simulate(times: Times, cluster: Cluster, iterations: int, seed: int = 0) -> Report:
    """Predict what a cluster does in so many iterations."""
    return Pipeline(times, cluster, seed).run(iterations)


# SEARCHING


def fewest(low: int, high: int, enough: Callable[[int], bool]) -> int | None:
    """The smallest number from `low` to `high` that is enough, if more is no worse; None if `high` is not."""
    if low > high or not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high


def smallest_cluster(times: Times, cluster: Cluster, sps: float, iterations: int, seed: int) -> tuple[Cluster, Report]:
    """Of the clusters that use so many environment steps a second, one with the fewest workers and ranks together.

    Raises ValueError if none within LIMIT_WORKERS and LIMIT_RANKS does.
    """

    def fast(workers: int, ranks: int) -> bool:
        return simulate(times, cluster.sized(workers, ranks), iterations, seed).sps >= sps

    # So many it takes if they never wait, and of the ranks max_reuse times as many if chunks are used that often.
    one = Pipeline(times, cluster.sized(1, 1), seed)
    steps = one.cluster.chunks_per_iteration * cluster.chunk_steps
    low_ranks = math.ceil(sps * update_seconds(times, one.cluster, 0)[0] / steps)
    low_workers = math.ceil(sps * one.collect_seconds / (cluster.num_envs * cluster.chunk_steps))
    ranks, best = min(LIMIT_RANKS, math.ceil(1.3 * cluster.max_reuse * low_ranks)), None
    while ranks >= low_ranks:
        most = LIMIT_WORKERS if best is None else min(LIMIT_WORKERS, sum(best) - 1 - ranks)
        workers = fewest(low_workers, most, lambda workers, ranks=ranks: fast(workers, ranks))
        best = best if workers is None else (workers, ranks)
        ranks = min(ranks - 1, round(0.93 * ranks))
    if best is None:
        raise ValueError(f"no cluster of up to {LIMIT_WORKERS} workers and {LIMIT_RANKS} ranks does {sps:,.0f} steps/s")
    found = cluster.sized(*best)
    return found, simulate(times, found, iterations, seed)


# FILES


def from_json(kind: type[T], values: Any, where: str) -> T:
    """A dataclass from a JSON object, which has all its fields and no others. Raises ValueError that says `where`."""
    types = typing.get_type_hints(kind)
    if not isinstance(values, dict):
        raise ValueError(f"{where}: expected an object with the keys {', '.join(types)}")
    check_keys(values, types, where)
    if missing := types.keys() - values.keys():
        raise ValueError(f"{where}: missing keys: {', '.join(sorted(missing))}")
    for name, expected in types.items():
        value = values[name]
        if typing.get_origin(expected) is Literal:
            fits, expected = value in typing.get_args(expected), " or ".join(typing.get_args(expected))
        else:  # true and false are ints to Python, and ints serve as floats
            fits = type(value) is expected or (expected is float and type(value) is int)
        if not fits:
            raise ValueError(f"{where}: {name} must be {getattr(expected, '__name__', expected)}, not {value!r}")
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def check_keys(values: dict, known: typing.Collection[str], where: str) -> None:
    """Raises ValueError that names the unknown keys, and what may be meant."""
    for name in values.keys() - known:
        near = difflib.get_close_matches(name, known, 1)
        raise ValueError(f"{where}: unknown key {name!r}" + (f", is {near[0]!r} meant?" if near else ""))


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from None


@dataclass
class Measurement:
    """A run that was measured, as in the list in the file for --validate."""

    name: str
    cluster: dict  # all of Cluster's keys
    measured: dict  # some of Report's keys that are numbers


def read_measurements(path: Path) -> list[tuple[str, Cluster, dict[str, float]]]:
    """[(name, cluster, what was measured by Report's names)] of a JSON file. Raises ValueError."""
    runs = read_json(path)
    if not isinstance(runs, list):
        raise ValueError(f"{path}: expected a list of objects with the keys name, cluster, measured")
    numbers = [name for name, kind in typing.get_type_hints(Report).items() if kind is float]
    read = []
    for i, run in enumerate(runs):
        run = from_json(Measurement, run, f"{path}[{i}]")
        check_keys(run.measured, numbers, f"{path}[{i}].measured")
        for what, value in run.measured.items():
            if type(value) not in (int, float):
                raise ValueError(f"{path}[{i}].measured: {what} must be a number, not {value!r}")
        read.append((run.name, from_json(Cluster, run.cluster, f"{path}[{i}].cluster"), run.measured))
    return read


# PRESETS: times, and the settings that they are for

# Measured, with a thread for worker and trainer each: `python scripts/benchmark_distributed.py --what plan` on the
# README's machine. The links are supposed, 10 Gbit/s.
VOXEL_CPU = Times(
    engine="voxel",
    env_step_seconds=0.0178,
    env_step_spread=0.0,
    inference_call_seconds=0.00371,
    inference_env_seconds=0.000165,
    collect_overhead_seconds=0.0,
    load_weights_seconds=0.00126,
    write_seconds=0.000371,
    add_seconds=0.00303,
    sample_seconds=0.0043,
    read_seconds=0.000425,
    prox_seconds=0.00542,
    prox_fresh_chunks=False,
    update_seconds=0.22,
    optimizer_seconds=0.00151,
    gradient_bytes=5.9e6,
    allreduce_bandwidth=1.25e9,
    allreduce_latency_seconds=0.001,  # supposed
    iteration_overhead_seconds=0.00941,
    publish_seconds=0.00431,
    weights_bytes=5.9e6,
    link_bandwidth=1.25e9,
)
VOXEL_CPU_CLUSTER = Cluster(
    num_rollout_workers=1,
    num_workers=1,
    fragment_length=32,
    to_send_queue_size=128,
    num_envs=128,
    batch_size=128,
    max_reuse=1,
    batch_size_per_gpu=16,
    batches_per_iteration=8,
    gradient_accumulation=1,
)

# ESTIMATES, nothing measured: VPT's 2x policy (248 M parameters), an H100 for each trainer and each worker, Minecraft
# in processes. A frame's forward pass takes 15.1 GFLOP (torch's FlopCounterMode), with the backward pass three times
# that. Supposed are 49 TFLOP/s, 5 % of the H100's 989 in bfloat16: batches are small, and kernels start one by one.
MINECRAFT_GPU = Times(
    engine="minecraft",
    env_step_seconds=0.025,  # without the game's limit of 20 ticks a second, 15 to 30 ms; with it, 50 ms
    env_step_spread=0.5,  # garbage collection, chunks of the world to build, resets
    inference_call_seconds=0.013,  # some 500 kernels of 20 to 30 us; with 6 environments it is 15 ms in all
    inference_env_seconds=0.0003,  # 15.1 GFLOP / 49 TFLOP/s
    collect_overhead_seconds=1.0,  # the reference policy: 12 * 256 frames * 15.1 GFLOP / 49 TFLOP/s = 0.95 s
    load_weights_seconds=0.1,  # 1 GB to the GPU at 10 GB/s
    write_seconds=0.026,  # 23 MB (256 pictures 12.6, memory 8.4, reference 2.1) at 0.9 GB/s
    add_seconds=0.0005,  # a small call to an actor
    sample_seconds=0.02,
    read_seconds=0.042,  # 23 MB over a link of 1.25 GB/s, and parsed at 1 GB/s
    prox_seconds=0.08,  # 256 * 15.1 GFLOP / 49 TFLOP/s
    prox_fresh_chunks=True,
    update_seconds=0.24,  # 256 * 3 * 15.1 GFLOP / 49 TFLOP/s
    optimizer_seconds=0.01,  # AdamW moves 28 bytes for each parameter, 7 GB at 3.3 TB/s; clipping; starting kernels
    gradient_bytes=1e9,  # float32
    allreduce_bandwidth=40e9,  # a link of 400 Gbit/s for each GPU, at 80 %
    allreduce_latency_seconds=0.002,
    iteration_overhead_seconds=1.0,
    publish_seconds=1.0,  # 1 GB to the CPU and into the object store
    weights_bytes=1e9,  # float32
    link_bandwidth=1.25e9,  # 10 Gbit/s
)
PRESETS = {"voxel-cpu": (VOXEL_CPU, VOXEL_CPU_CLUSTER), "minecraft-gpu": (MINECRAFT_GPU, Cluster())}


# COMMAND LINE


@dataclass
class Args:
    preset: Literal["voxel-cpu", "minecraft-gpu"] = (
        "voxel-cpu"  # times and settings to begin with; minecraft-gpu's are estimates
    )
    times: Path | None = None  # JSON file of measured times, instead of the preset's
    workers: tuple[int, ...] = WORKERS  # numbers of rollout workers
    ranks: tuple[int, ...] = (1,)  # numbers of trainers; each has as many micro-batches, so iterations grow with them
    frames: float = 1e9  # environment steps of a training
    days: float | None = None  # search for the smallest cluster that does the frames in so many days
    iterations: int = 30  # of each prediction
    seed: int = 0
    plot: Path | None = None  # draw the predictions as this PNG
    validate: Path | None = None  # JSON file of measured runs to compare with, instead of the rest
    cluster: tyro.conf.OmitArgPrefixes[Cluster] = field(default_factory=lambda: VOXEL_CPU_CLUSTER)

    def __post_init__(self):
        amounts = (self.frames, self.iterations, 1 if self.days is None else self.days)
        if min(self.workers + self.ranks, default=0) < 1 or not min(amounts) > 0:
            raise ValueError("--workers, --ranks, --frames, --days and --iterations must be positive")


def plural(count: int, what: str) -> str:
    return f"{count:,} {what}" + "s" * (count != 1)


def table(columns: list[str], left: int) -> Table:
    """An empty one; the first `left` columns are text."""
    made = Table(box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, column in enumerate(columns):
        made.add_column(column, justify="left" if i < left else "right", no_wrap=True)
    return made


def days(frames: float, report: Report) -> float:
    return frames / report.sps / 86_400


def describe(cluster: Cluster, report: Report, frames: float) -> str:
    return (
        f"{plural(cluster.num_rollout_workers, 'worker')} and {plural(cluster.num_workers, 'rank')} use "
        f"{report.sps:,.0f} environment steps/s: {frames:.3g} in {days(frames, report):,.1f} days.\n"
        f"Bottleneck: {report.bottleneck}; {report.advice}."
    )


def show(results: list[tuple[Cluster, Report]], frames: float, console: Console) -> None:
    """Predictions as a table, and how long the frames take."""
    columns = ["bottleneck", "workers", "ranks", "SPS", "s/iteration", "staleness", "uses", "wasted"]
    columns += ["trainers\nwait", "workers\nwait", f"days for\n{frames:.3g}"]
    rows = table(columns, left=1)
    for cluster, r in results:
        rows.add_row(
            *(r.bottleneck, f"{cluster.num_rollout_workers:,}", f"{cluster.num_workers:,}", f"{r.sps:,.0f}"),
            *(f"{r.iteration_seconds:,.1f}", f"{r.staleness_mean:.2f}", f"{r.reuse_mean:.2f}", f"{r.wasted:.0%}"),
            *(f"{r.trainer_waiting:.0%}", f"{r.worker_waiting:.0%}", f"{days(frames, r):,.1f}"),
        )
    console.print(rows)
    # By steps trained on: workers beyond that only make chunks staler, so that fewer are used again.
    most = max(report.trained_sps for _, report in results)
    near = [(cluster, report) for cluster, report in results if report.trained_sps > (1 - LITTLE) * most]
    best = min(near, key=lambda pair: pair[0].num_rollout_workers + pair[0].num_workers)
    console.print("Smallest that trains on nearly as many steps as the largest: " + describe(*best, frames))


def validate(times: Times, path: Path, iterations: int, seed: int, console: Console) -> float:
    """Prints predictions beside measurements -> the largest relative error of a speed."""
    rows, worst = table(["run", "what", "predicted", "measured", "error"], left=2), 0.0
    for name, cluster, measured in read_measurements(path):
        report = simulate(times, cluster, iterations, seed)
        for what, value in measured.items():
            predicted = getattr(report, what)
            error = (predicted - value) / value if value else math.nan
            rows.add_row(name, what, f"{predicted:,.4g}", f"{value:,.4g}", f"{error:+.1%}" if value else "")
            worst = max(worst, abs(error)) if what.endswith("sps") or what == "iteration_seconds" else worst
        rows.add_section()
    console.print(rows)
    console.print(f"Largest error of a speed or of iteration_seconds: {worst:.1%}")
    return worst


def draw(results: list[tuple[Cluster, Report]], times: Times, source: str, path: Path) -> None:
    """The predictions over the number of workers, a line for each number of ranks. source: where the times are from."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (speed, idle, age) = plt.subplots(
        3, 1, figsize=(7.2, 7.2), dpi=110, sharex=True, height_ratios=(2.6, 1, 1), layout="constrained"
    )
    workers = sorted({cluster.num_rollout_workers for cluster, _ in results})
    one = Pipeline(times, results[0][0], seed=0)
    most = [n * one.cluster.num_envs * one.cluster.chunk_steps / one.collect_seconds for n in workers]
    speed.set_title(f"predicted from {source}", size=10, color="0.3")
    speed.plot(workers, most, "--", color="0.55")
    label = {"xytext": (-5, 5), "textcoords": "offset points", "size": 9, "ha": "right"}
    speed.annotate("what workers can collect", (workers[-1], most[-1]), **label | {"xytext": (-14, 0)}, color="0.4")
    ranks = sorted({cluster.num_workers for cluster, _ in results})
    for i, number in enumerate(ranks):
        line = {c.num_rollout_workers: report for c, report in results if c.num_workers == number}
        line = dict(sorted(line.items()))
        color = plt.cm.viridis(0.8 * i / max(1, len(ranks) - 1))
        style = {"color": color, "marker": "o", "markersize": 3.5}
        speed.plot(list(line), [report.sps for report in line.values()], **style)
        idle.plot(list(line), [100 * report.trainer_waiting for report in line.values()], **style)
        age.plot(list(line), [report.staleness_mean for report in line.values()], **style)
        last, report = list(line.items())[-1]
        speed.annotate(plural(number, "trainer"), (last, report.sps), **label, color=color)
    speed.set(xscale="log", yscale="log", ylabel="environment steps a second", ylim=(None, 1.6 * most[-1]))
    idle.set(ylabel="trainers idle, %", ylim=(-5, 105))
    age.set(ylabel="mean staleness,\nversions", xlabel="rollout workers", ylim=(0, None))
    for axis in (speed, idle, age):
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    speed.yaxis.set_major_formatter("{x:,.0f}")
    age.xaxis.set_major_formatter("{x:,.0f}")
    figure.align_ylabels()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main(args: Args) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = 110
    times = PRESETS[args.preset][0] if args.times is None else from_json(Times, read_json(args.times), str(args.times))
    if args.validate is not None:
        validate(times, args.validate, args.iterations, args.seed, console)
        return
    source = f"the estimates of --preset {args.preset}" if args.times is None else str(args.times)
    console.print(f"Predicted from {source}.")
    if args.days is not None:
        sps = args.frames / args.days / 86_400
        best = smallest_cluster(times, args.cluster, sps, args.iterations, args.seed)
        console.print(f"Smallest for {args.frames:.3g} steps in {args.days:g} days: " + describe(*best, args.frames))
        return
    clusters = [args.cluster.sized(workers, ranks) for ranks in args.ranks for workers in args.workers]
    results = [(cluster, simulate(times, cluster, args.iterations, args.seed)) for cluster in clusters]
    show(results, args.frames, console)
    if args.plot is not None:
        draw(results, times, source, args.plot)
        console.print(args.plot)


if __name__ == "__main__":
    try:
        preset = tyro.cli(Args, description=__doc__).preset  # it says where the other settings begin
        main(tyro.cli(Args, default=Args(preset=preset, cluster=PRESETS[preset][1]), description=__doc__))
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
