"""Fine-tune VPT, OpenAI's video-pretrained Minecraft policy, with PPO, on a Ray cluster.

    python ppo_vpt_distributed.py --laptop                      # one machine without GPUs: a small policy, minutes
    ray start --head                                            # on the first machine of a cluster, and on the others
    ray start --address FIRST:6379                              # the line that this shows; then
    python ppo_vpt_distributed.py --address auto --model-path foundation-model-2x.model --weights-path ...
    python ppo_vpt_distributed.py --train-config.resume latest  # go on where the newest run stopped
    python ppo_vpt_distributed.py --stop                        # end the rollouts that a run left behind
    python ppo_vpt_distributed.py --help                        # every setting; names and values are MineStudio's

Or, as with MineStudio, from your own script, with its configuration (dict, OmegaConf or Args):

    start_rolloutmanager(policy_generator, env_generator, online_cfg)
    start_trainer(policy_generator, env_generator, online_cfg)

Who does what. RolloutWorkers, actors with environments and a copy of the policy, collect chunks and write each to an
HDF5 file on their own machine. The ReplayService, one actor, keeps the index: where a chunk lies, how old it is, how
often it was used. TrainerRanks read an iteration's chunks through FragmentReaders, also from other machines, and learn
as one learner. The new weights go to the RolloutManager, which hands them to its workers and replaces those that die or
hang. The Session has statistics of episodes, Weights & Biases and films. This process only conducts.

The same algorithm in one process, and easier to read first: ppo_vpt_online.py.
"""

import asyncio
import contextlib
import copy
import datetime
import hashlib
import json
import logging
import math
import os
import shutil
import signal
import socket
import threading
import time
import traceback
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

# Before torch starts its threads: let them spin for work but briefly, else a second process on the cores all but stops.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # uv run would have Ray upload the working directory

import numpy as np
import torch
import torch.distributed as dist
import torch.nn as nn
import torch.nn.functional as F
import tyro

try:
    import ray
except ImportError as error:
    raise ImportError('ppo_vpt_distributed.py needs Ray: pip install -e ".[distributed]"') from error

import minestudio_envs
from minestudio_envs.training.checkpoints import (
    CheckpointError,
    find_checkpoint,
    read_manifest,
    remove_old_checkpoints,
    write_checkpoint,
)
from minestudio_envs.training.fragment_store import FragmentStore, FragmentStoreError, process_folder
from minestudio_envs.training.hardware import engine_device, keep_freed_memory, use_bfloat16
from minestudio_envs.training.metrics import off_policy_metrics, weights_digest
from minestudio_envs.training.nested_settings import (
    SettingsError,
    differences,
    flatten,
    from_config,
    parse,
    paths,
    to_config,
)
from minestudio_envs.training.ray_cluster import (
    PartyError,
    alive_nodes,
    connect,
    fingerprint,
    here,
    interface,
    on_node,
    running_cluster,
)
from minestudio_envs.training.ray_cluster import end as end_cluster
from minestudio_envs.training.replay import Chunk, Replay
from minestudio_envs.training.replay_index import ReplayIndex
from minestudio_envs.training.resume import (
    MISFITS,
    learner_state,
    load_learner,
    load_policies,
    misfit,
    save_policies,
)
from minestudio_envs.training.run_logger import RunLogger, make_console, make_run_folder
from minestudio_envs.training.settings import check_args, runs_path
from minestudio_envs.training.video import VideoRecorder
from minestudio_envs.training.vpt_files import VPTFileError, check_net_args, load_policy

# SETTINGS: MineStudio's names and values, and those of ppo_vpt_online.py that it has not. VPT's own values, where they
# differ from both, are in brackets (arXiv 2206.11795, appendix G).

JSON = tyro.constructors.PrimitiveConstructorSpec(
    nargs=1,
    metavar="JSON",
    instance_from_str=lambda words: tuple(json.loads(words[0])),
    is_instance=lambda value: isinstance(value, tuple),
    str_from_instance=lambda value: [json.dumps(value)],
)


@dataclass
class WorkerConfig:
    """A rollout worker's environments"""

    num_envs: int = 12  # environments stepped together
    batch_size: int = 6  # environments the policy acts for at once
    restart_interval: int = 3600  # seconds after which an engine that is a process is restarted, at an episode's end
    video_fps: int = 20  # frames a second of films; the game's own speed is 20
    video_output_dir: str = "output/videos"  # folder of films, on the machine where this script was started
    video_width: int = 480  # pixels; the height follows at 16:9
    engine: Literal["voxel", "minecraft"] = "voxel"  # the embedded simulator, or the real game through minestudio
    minestudio_python: str | None = None  # interpreter that holds minestudio; none: $MINESTUDIO_PYTHON
    task: str | None = None  # another env generator than the script's, as package.module:function


@dataclass
class DatabaseConfig:
    """Where the fragments are"""

    path: str = "output/replay_buffer_cache"  # folder of HDF5 files, one for each chunk; on every machine its own
    num_shards: int = 8  # folders that the HDF5 files are spread over


@dataclass
class ReplayBufferConfig:
    """The replay"""

    max_chunks: int = 4800  # chunks kept at most; the oldest goes first
    max_reuse: int = 2  # iterations that may use a chunk, all trainers together [1]
    max_staleness: int = 2  # iterations of learning after which a chunk is dropped, wherever it is
    fragments_per_report: int = 40  # report on episodes and replay every so many fragments; 0: each iteration only
    fragments_per_chunk: int = 1  # consecutive fragments kept, sampled and dropped together; GAE runs through them
    database_config: DatabaseConfig = field(default_factory=DatabaseConfig)


@dataclass
class EpisodeStatisticsConfig:
    """Statistics of episodes"""

    window: int = 100  # episodes that means are taken over
    per_task: bool = True  # those of each task too


@dataclass
class RolloutConfig:
    """Collecting"""

    num_rollout_workers: int = 2  # actors that collect
    num_gpus_per_worker: float = 1.0  # GPUs, or a part of one, for each; 0: it acts on the CPU
    num_cpus_per_worker: float = 1  # CPU cores for each: threads of its policy and its environments
    fragment_length: int = 256  # steps in a fragment, the unit of training [128]
    to_send_queue_size: int = 6  # fragments held unsent beyond which a worker waits; 0: it collects only what is wanted
    worker_config: WorkerConfig = field(default_factory=WorkerConfig)
    # [{...}, ...]: what workers 0, 1, ... have otherwise, of worker_config, num_gpus_per_worker and num_cpus_per_worker
    worker_overrides: Annotated[tuple[dict[str, Any], ...], JSON] = ()
    replay_buffer_config: ReplayBufferConfig = field(default_factory=ReplayBufferConfig)
    episode_statistics_config: EpisodeStatisticsConfig = field(default_factory=EpisodeStatisticsConfig)


@dataclass
class TrainConfig:
    """Learning"""

    num_workers: int = 2  # trainer ranks: processes that learn as one
    num_gpus_per_worker: float = 1.0  # GPUs for each, with NCCL; a part of one, or 0 for the CPU: with gloo
    num_cpus_per_worker: float = 1  # CPU cores for each
    num_iterations: int = 4000  # times updating
    vf_warmup: int = 0  # first iterations, in which only the value head learns
    learning_rate: float = 2e-5  # AdamW's
    anneal_lr_linearly: bool = False  # to 0 over num_iterations
    weight_decay: float = 0.04  # AdamW's, on matrices only
    adam_eps: float = 1e-8  # AdamW's epsilon
    batch_size_per_gpu: int = 1  # fragments in a micro-batch of a rank; memory grows with it [40 of 128 steps in all]
    batches_per_iteration: int = 200  # micro-batches of a rank in an iteration [48]
    gradient_accumulation: int = 10  # micro-batches of a rank summed into one optimizer step
    epochs_per_iteration: int = 1  # passes over an iteration's fragments
    context_length: int = 64  # steps back-propagated through at once; memory is carried between
    discount: float = 0.999  # gamma
    gae_lambda: float = 0.95  # lambda of generalized advantage estimation, and of V-trace
    ppo_clip: float = 0.2  # the probability ratio's distance from 1 beyond which its gradient stops
    clip_vloss: bool = False  # keep value predictions within ppo_clip (in the normalized space) of the earlier ones
    max_grad_norm: float = 5.0  # gradients are scaled down to this norm
    zero_initial_vf: bool = True  # begin with a value head of zeros
    ppo_policy_coef: float = 1.0  # weight of the policy loss
    ppo_vf_coef: float = 0.5  # weight of the value loss, mean((vpred - normalized return)^2), not halved
    kl_divergence_coef_rho: float = 0.2  # weight of the KL to the policy the run began with; 0: no such policy
    entropy_bonus_coef: float = 0.0  # weight of the entropy
    coef_rho_decay: float = 0.9995  # factor on the KL's weight after each iteration
    log_ratio_range: float = 50.0  # bound on the logs of ratios before exp
    normalize_advantage_full_batch: bool = True  # over the iteration, all ranks; no: in each micro-batch
    use_normalized_vf: bool = True  # the value head predicts returns normalized by their running mean and deviation
    num_readers: int = 4  # processes that read fragments for a rank
    num_cpus_per_reader: float = 0.1  # CPU cores for each
    prefetch_batches: int = 2  # micro-batches read ahead
    save_interval: int = 10  # iterations between checkpoints; one more at the end
    keep_interval: int = 40  # checkpoints at multiples of this many iterations stay, of the others the newest
    record_video_interval: int = 2  # iterations between films of an episode; 0: never
    fix_decoder: bool = False  # freeze the action heads
    enable_ref_update: bool = False  # at each keep_interval the policy of then becomes the reference
    resume: str | None = None  # a checkpoint or run folder, or "latest"; settings not given are the checkpoint's
    resume_optimizer: bool = True  # take the optimizer's state from the checkpoint too
    save_path: str | None = "output"  # folder of all runs; none: ~/ray_results
    # Not in MineStudio:
    chunk_memory: float = 4.0  # GB of an iteration's chunks that a rank keeps between its passes; others are read again
    loss: Literal["decoupled", "behavior", "proximal"] = "decoupled"  # what corrects for stale fragments
    is_clip: float = 2.0  # bound on decoupled's weight, pi_prox / pi_behavior
    advantage: Literal["gae", "vtrace"] = "gae"  # how advantages and returns are estimated
    vtrace_clip: float = 1.0  # V-trace's rho-bar and c-bar
    memory: Literal["stored", "burn-in", "zero"] = "stored"  # what a chunk's first step remembers when trained on
    burn_in_length: int = 16  # burn-in: a chunk's first steps, which only refresh the stored memory
    kl_direction: Literal["ref-to-policy", "policy-to-ref"] = "ref-to-policy"  # KL(ref || policy), or the other
    vf_ewma_beta: float = 0.99999  # memory of the value normalizer's statistics, per optimizer step
    max_nonfinite_steps: int = 10  # optimizer steps skipped in a row for NaN or infinity before the run stops
    sleep_epochs: int = 0  # phasic policy gradient: passes in which values teach the trunk; 0: they always do [2]
    sleep_vf_coef: float = 0.5  # weight of the value loss in those passes
    sleep_kl_coef: float = 1.0  # weight of the KL to the policy before them


@dataclass
class LoggerConfig:
    """Logs. In a configuration from Python any other argument of wandb.init may stand here too"""

    extra_keys: ClassVar[str] = "wandb_init"

    project: str = "minestudio_online"  # Weights & Biases project
    name: str = "bow_cow"  # of the run's folder, with seed and time; Weights & Biases shows it too
    track: bool = False  # log to Weights & Biases (WANDB_MODE=offline: without the internet)
    tensorboard: bool = False  # write TensorBoard files too
    wandb_init: dict[str, Any] = field(default_factory=dict)  # other arguments of wandb.init

    @staticmethod
    def allowed_extra() -> list[str]:
        import inspect

        import wandb

        return [name for name in inspect.signature(wandb.init).parameters if name != "config"]


@dataclass
class Args:
    """The run"""

    trainer_name: str = "PPOTrainer"  # which class of TRAINERS conducts
    detach_rollout_manager: bool = True  # rollouts outlive this script: the next one takes them over, --stop ends them
    laptop: bool = False  # other defaults, see LAPTOP: a small policy's quick start without GPUs
    synchronous: bool = False  # collect or learn, never both: with one worker and one rank ppo_vpt_online.py's weights
    stop: bool = False  # end the rollouts that were left behind, and Ray if it was started here; nothing else
    address: str | None = None  # of a Ray cluster: auto, or host:port; none: a running one, or one started here
    namespace: str = "ppo_vpt"  # runs in different ones do not see each other
    seed: int = 1  # of weights, worlds and actions
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 where the hardware multiplies it faster
    wait_limit: float = 600.0  # seconds without any progress after which a party counts as stuck
    model_path: str | None = None  # VPT .model file or MineStudio checkpoint folder; none: policy_generator's
    weights_path: str | None = None  # VPT .weights, MineStudio .ckpt or .safetensors file; none: random weights
    temperature: float | None = None  # of the action heads; none: the .model file's
    rollout_config: RolloutConfig = field(default_factory=RolloutConfig)
    train_config: TrainConfig = field(default_factory=TrainConfig)
    logger_config: LoggerConfig = field(default_factory=LoggerConfig)


# What ppo_vpt_online.py's quick start has. Worker and trainer take turns, each with all cores.
CORES = os.cpu_count() or 1
LAPTOP = {
    "synchronous": True,
    "rollout_config": {
        "num_rollout_workers": 1,
        "num_gpus_per_worker": 0.0,
        "num_cpus_per_worker": CORES,
        "fragment_length": 32,
        "worker_config": {"num_envs": 64, "batch_size": 64},
        "replay_buffer_config": {"max_reuse": 1, "fragments_per_report": 0},
    },
    "train_config": {
        "num_workers": 1,
        "num_gpus_per_worker": 0.0,
        "num_cpus_per_worker": CORES,
        "num_iterations": 146,
        "learning_rate": 5e-4,
        "anneal_lr_linearly": True,
        "batch_size_per_gpu": 16,
        "batches_per_iteration": 4,
        "gradient_accumulation": 1,
        "epochs_per_iteration": 2,
        "context_length": 32,
        "discount": 0.99,
        "kl_divergence_coef_rho": 0.05,
        "coef_rho_decay": 0.99,
        "vf_ewma_beta": 0.99,
        "num_readers": 2,
        "save_interval": 30,
        "keep_interval": 60,
        "record_video_interval": 112,
    },
    "logger_config": {"project": "ppo_vpt", "name": "kill_cow"},
}


# A policy of VPT's architecture small enough to train on a CPU: 1.5 M parameters instead of 71, 248 or 532 M.
SMALL_NET_ARGS = {
    "attention_heads": 4,
    "attention_mask_style": "clipped_causal",
    "attention_memory_size": 64,  # less `timesteps`: the steps that are remembered
    "diff_mlp_embedding": False,
    "hidsize": 128,
    "img_shape": [32, 32, 3],
    "impala_chans": [8, 16, 16],
    "impala_kwargs": {"post_pool_groups": 1},
    "impala_width": 1,
    "init_norm_kwargs": {"batch_norm": False, "group_norm_groups": 1},
    "n_recurrence_layers": 1,
    "only_img_input": True,
    "pointwise_ratio": 4,
    "pointwise_use_activation": False,
    "recurrence_is_residual": True,
    "recurrence_type": "transformer",
    "timesteps": 32,  # has no other use
    "use_pointwise_layer": True,
    "use_pre_lstm_ln": False,
}


PRETRAINED = Path(__file__).parent / "pretrained" / "foundation-model-small"  # goes with a copy of this script


def policy_generator():
    """The policy that training begins with when no --model-path is given. Put your own here.

    From scratch: ``return VPTPolicy(SMALL_NET_ARGS)``, with --train-config.kl-divergence-coef-rho 0
    --train-config.entropy-bonus-coef 0.01.
    """
    return load_openai_policy(f"{PRETRAINED}.model", f"{PRETRAINED}.weights")


def env_generator():
    """The task, written as for MineStudio: ten cows and an iron sword; a kill pays 1. Put your own here."""
    from minestudio_envs import MinecraftSim
    from minestudio_envs.callbacks import (
        CommandsCallback,
        FastResetCallback,
        JudgeResetCallback,
        MaskActionsCallback,
        RewardsCallback,
        SummonMobsCallback,
    )

    cows = {"event": "kill_entity", "objects": ["cow"], "reward": 1.0, "identity": "kill_cow", "max_reward_times": 30}
    return MinecraftSim(
        obs_size=(128, 128),
        preferred_spawn_biome="plains",
        action_type="agent",
        callbacks=[
            SummonMobsCallback([{"name": "cow", "number": 10, "range_x": [-5, 5], "range_z": [-5, 5]}]),
            MaskActionsCallback(inventory=0),
            RewardsCallback([cows]),
            CommandsCallback(["/give @p minecraft:iron_sword 1"]),
            FastResetCallback(biomes=["plains"], random_tp_range=1000),
            JudgeResetCallback(600),
        ],
    )


class Stamp(NamedTuple):
    """What weights are: which policy's, and how far it has come."""

    lineage: int  # a new number when a trainer begins, and when the reference policy changes
    version: int  # iterations done
    optimizer_steps: int
    begins: bool  # this lineage's first: a trainer began (True), or the policy became the reference (False)


def flat(args: Args, index: int | None = None) -> SimpleNamespace:
    """All settings side by side, named as in ppo_vpt_online.py; index: as this rollout worker has them."""
    values = flatten(args)
    if index is not None:
        own = {key: getattr(args.rollout_config, key) for key in ("num_gpus_per_worker", "num_cpus_per_worker")}
        values |= own | dict(*args.rollout_config.worker_overrides[index : index + 1])
    names = {"inference_batch_size": "batch_size", "database_path": "path"}
    return SimpleNamespace(**values, **{name: values[key] for name, key in names.items()})


def make_policy(args: SimpleNamespace, policy_generator: Callable) -> "VPTPolicy":
    if args.model_path is not None:
        return load_openai_policy(args.model_path, args.weights_path, args.temperature)
    policy = policy_generator()
    if type(policy).__name__ != VPTPolicy.__name__:  # by name: a pickled class and an imported one are two
        raise TypeError(f"policy_generator returned {type(policy)}, expected a VPTPolicy of this script")
    return policy


# For processes that compute. Threads spin but briefly when they wait, as above; and they share one heap, else glibc
# would hand the memory of those that Ray runs calls in back to the kernel again and again.
WORKING = {"env_vars": {"GOMP_SPINCOUNT": "2000", "MALLOC_ARENA_MAX": "1"}}


def as_tensors(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Of arrays in the object store. That is read-only, which tensors do not know: do not write to them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def use_cores(cores: float) -> torch.device:
    """Keep to the share of the machine that Ray gave this process -> its device."""
    import numba

    threads = max(1, int(cores))
    torch.set_num_threads(threads)
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    keep_freed_memory()
    return torch.device("cuda" if ray.get_gpu_ids() and torch.cuda.is_available() else "cpu")


def own_folder(args: SimpleNamespace, name: str) -> Path:
    """Where a process keeps files on its machine, till Ray's node there ends. Other namespaces' runs have others."""
    run = hashlib.sha256(args.namespace.encode()).hexdigest()[:8]
    return process_folder(args.database_path, f"{run}_{name}", os.getppid())  # who started it: Ray's node


# COLLECTING


class RolloutWorker:
    """Environments and a policy that acts in them. Each chunk becomes a file here, and an entry in the replay's index.

    An actor of several threads: `run` collects, another one sends, and the manager's calls are answered meanwhile.
    """

    def __init__(self, writer: str, args: SimpleNamespace, generators: tuple, replay: Any, session: Any, seed: int):
        self.writer, self.args, self.replay, self.session = writer, args, replay, session
        self.policy_generator, self.env_generator = generators
        self.args.seed = seed
        self.asks = args.synchronous or args.max_staleness == 0 or args.to_send_queue_size == 0  # before it collects
        self.state = "starting"
        self.envs: Any = None
        self.collector: Collector | None = None
        self.stamp: Stamp | None = None
        self.news: tuple | None = None  # the newest weights, not loaded yet
        self.changed = threading.Condition()
        self.outbox: deque = deque()
        self.unsent = self.delivered = self.restarts = 0  # fragments, chunks, of the environments
        self.wanted_film: str | None = None
        self.error: Exception | None = None
        self.trouble: str | None = None  # with the disk
        self.stopping = False

    # The manager's calls

    def set_weights(self, stamp: Stamp, policy: dict, reference: dict | None) -> None:
        """Weights, as arrays, to load when the next fragment begins (of another lineage: the next chunk)."""
        with self.changed:
            if self.news is not None and reference is None and self.news[0].lineage == stamp.lineage:
                stamp, reference = stamp._replace(begins=self.news[0].begins), self.news[2]  # one came in between
            self.news = (stamp, policy, reference)
            self.changed.notify_all()

    def status(self) -> dict[str, Any]:
        collector = self.collector
        begun = sum(getattr(self.envs, name, 0) for name in ("resets", "restarts"))  # as engines start
        steps = (collector.global_step, collector.t) if collector else (0, begun)
        version = self.stamp.version if self.stamp else None
        state = self.trouble or self.state
        failures = {name: getattr(self.envs, key, 0) for name, key in FAILURES.items()}
        status = {"state": state, "progress": (*steps, self.delivered, self.restarts), "version": version} | failures
        return status | {"delivered": self.delivered, "node": here(), "pid": os.getpid()}

    def record(self, name: str) -> None:
        """Film the next episode of environment 0."""
        self.wanted_film = name

    def stop(self) -> None:
        self.stopping = True
        if self.collector is not None:
            self.collector.interrupted = True

    # The work

    def run(self) -> None:
        """Collects until stopped. Raises what is wrong with the environments, the policy or the disk."""
        self.device = use_cores(self.args.num_cpus_per_worker)
        self.store = FragmentStore(own_folder(self.args, self.writer), self.args.num_shards)
        policy = make_policy(self.args, self.policy_generator).to(self.device)
        self.policies = policy, begin_training(self.args, policy)
        threading.Thread(target=self.send, daemon=True).start()
        failures = 0
        while not self.stopping:
            if self.collector is None:
                self.state = "making environments"
                self.collector = self.make_collector()
            self.state = "waiting for weights"
            with self.changed:
                self.changed.wait_for(lambda: self.news or self.stamp or self.stopping, timeout=1.0)
            self.refresh()
            if self.stamp is None or (self.asks and not self.may_collect()):
                continue
            self.state = "collecting"
            if self.wanted_film is not None:
                self.collector.video.request(self.wanted_film)
                self.wanted_film = None
            try:
                chunks = self.collector.collect()
                failures = 0
            except Exception as error:  # an environment died: what it had not finished is lost, nothing is made up
                failures += 1
                if failures == 3:
                    raise
                logger.warning(f"{self.writer}: new environments, because of {type(error).__name__}: {error}")
                with contextlib.suppress(Exception):
                    self.collector.envs.close()
                self.args.seed += 1  # not the same worlds again
                self.restarts += 1
                self.collector = None
                continue
            if chunks is not None:
                self.hand_on(chunks)
        if self.collector is not None:
            self.collector.video.close()
            self.collector.envs.close()

    def make_collector(self) -> "Collector":
        args, (policy, reference) = self.args, self.policies
        height, width, _ = policy.net_args["img_shape"]  # the policy says at which size it sees
        env_generator = self.env_generator if args.task is None else find_task(args.task)
        self.task = env_generator.__name__
        looks = {"obs_size": (width, height), "copy": False, "stagger": True}
        looks["device"] = engine_device(args.engine, self.device)
        if args.engine == "minecraft":
            looks["minestudio_python"] = args.minestudio_python
        envs = minestudio_envs.make_vec(env_generator, args.num_envs, engine=args.engine, seed=args.seed, **looks)
        if hasattr(envs, "restart_interval"):  # engines that are processes
            envs.restart_interval = args.restart_interval
        torch.set_num_threads(max(1, int(args.num_cpus_per_worker)))  # the engine's first use resets it
        self.envs = envs
        collector = ReadyCollector if hasattr(envs, "recv") else Collector
        collector = collector(args, policy, reference, envs, self.device)
        collector.refresh = self.refresh
        collector.version = self.stamp.version if self.stamp else 0
        collector.video = VideoRecorder(envs, self.store.path / "films", args.video_width, args.video_fps)
        return collector

    def refresh(self) -> None:
        """Load the newest weights, and with them their version. Another lineage waits for the next chunk."""
        with self.changed:
            if self.news is None:
                return
            another = self.stamp is not None and self.news[0].lineage != self.stamp.lineage
            if another and not self.collector.begin_chunks():
                return
            (stamp, weights, reference_weights), self.news = self.news, None
        policy, reference = self.policies
        policy.load_state_dict(as_tensors(weights))
        if reference is not None and reference_weights is not None:
            reference.load_state_dict(as_tensors(reference_weights))
            if stamp.begins:  # of what other weights remember nothing holds, alike for both policies
                for memory in (*self.collector.memories, *self.collector.reference_memories):
                    memory.valid.zero_()
            else:
                self.collector.reference_is_now_the_policy()
        self.stamp, self.collector.version = stamp, stamp.version

    def may_collect(self) -> bool:
        """Whether the replay wants chunks of these weights now; waits until all that was collected is sent."""
        self.state = "waiting to collect"
        with self.changed:
            if not self.changed.wait_for(lambda: self.unsent == 0 or self.error, timeout=1.0):
                return False
        if self.error:
            raise self.error
        question = self.writer, self.args.num_envs, self.stamp.version, self.stamp.lineage
        if ray.get(self.replay.may_collect.remote(*question)):
            return True
        with self.changed:  # newer weights are on their way, or nothing is wanted
            self.changed.wait_for(lambda: self.news, timeout=0.1)
        return False

    def hand_on(self, chunks: "Fragments") -> None:
        """Queue chunks for sending, report episodes, and wait while too many are unsent (back-pressure)."""
        collector, per_chunk = self.collector, self.args.fragments_per_chunk
        episodes = list(zip(collector.episode_returns, collector.episode_lengths, strict=True))
        collector.episode_returns.clear()
        collector.episode_lengths.clear()
        steps = int(chunks.valid.sum())
        self.session.report.remote(self.task, len(chunks.valid) * per_chunk, steps, episodes)
        for path in collector.video.pop_finished():
            name = str(path.relative_to(self.store.path / "films"))
            self.session.film.remote(name, path.read_bytes())
            path.unlink()
        with self.changed:
            self.outbox.append((self.stamp, chunks))
            self.unsent += len(chunks.valid) * per_chunk
            self.changed.notify_all()
            while self.unsent > self.args.to_send_queue_size and not self.asks and not self.stopping:
                self.state = "waiting for the replay"
                self.changed.wait(1.0)
                if self.error:
                    break
        if self.error:
            raise self.error

    def send(self) -> None:
        """Write chunks to files and offer them to the replay, which takes them when it wants some."""
        number = 0
        try:
            while True:
                with self.changed:
                    self.changed.wait_for(lambda: self.outbox)
                    stamp, chunks = self.outbox.popleft()
                entries = []
                for data in map(type(chunks)._make, zip(*chunks, strict=True)):
                    path = self.write(number + len(entries), {name: x.cpu() for name, x in data._asdict().items()})
                    entries.append((stamp.lineage, int(data.versions.min()), stamp.optimizer_steps, here(), str(path)))
                first, end = number, number + len(entries)
                while number < end:
                    took = ray.get(self.replay.add.remote(self.writer, number, entries[number - first :]))
                    with self.changed:
                        self.unsent -= (took - number) * self.args.fragments_per_chunk
                        self.delivered += took - number
                        number = took
                        self.changed.notify_all()
        except Exception as error:
            with self.changed:
                self.error = error
                self.changed.notify_all()

    def write(self, number: int, arrays: dict[str, torch.Tensor]) -> Path:
        """Write a file; on a full disk wait for the replay to use up others."""
        began = time.monotonic()
        while True:
            try:
                path, self.trouble = self.store.write(number, arrays), None
                return path
            except FragmentStoreError as error:
                if time.monotonic() - began > self.args.wait_limit:
                    raise
                self.trouble = f"waiting to write {error}"
                time.sleep(min(5.0, self.args.wait_limit / 10))


def find_task(name: str) -> Callable:
    """package.module:function -> the function."""
    import importlib

    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def no_task(name: str) -> str | None:
    """Why it cannot be used, if so."""
    try:
        return None if callable(find_task(name)) else "is no function"
    except Exception as error:  # whatever an import raises
        return why(error)


def why(error: BaseException) -> str:
    """The last line of what there is to say."""
    return "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]


class RolloutManager:
    """Keeps the rollout workers alive and gives them the weights. Outlives the script that started it, if detached."""

    def __init__(
        self, config: dict, generators: tuple, prints: dict, replay: Any, session: Any, started: int, environment: dict
    ):
        self.args, self.generators, self.session, self.replay = from_config(Args, config), generators, session, replay
        self.prints, self.started, self.environment = prints, started, environment
        self.notes: deque[str] = deque(maxlen=100)  # what befell whom, for the script
        with warnings.catch_warnings():  # of a deprecated call of Ray's own
            warnings.simplefilter("ignore")
            if ray.get_runtime_context().was_current_actor_reconstructed:
                self.started = int(time.time())  # the seeds of before are used up
                self.notes.append("the rollout manager died, and the workers with it; starting others")
        self.lock, self.closed = threading.RLock(), False
        self.crew: dict[int, SimpleNamespace] = {}
        self.attempts = dict.fromkeys(range(self.args.rollout_config.num_rollout_workers), 0)
        self.failures = dict.fromkeys(self.attempts, 0)  # in a row
        self.retry_at = dict.fromkeys(self.attempts, 0.0)
        self.given_up: dict[int, str] = {}
        self.stamp: Stamp | None = None
        self.weights: list = [None, None]  # references to the policy's and the reference policy's in the object store
        threading.Thread(target=self.supervise, daemon=True).start()

    def settings(self) -> tuple[dict, dict]:
        return to_config(self.args), self.prints

    def supervise(self) -> None:
        """Start workers; replace those that end, and those that make no step for wait_limit seconds."""
        while not self.closed:
            with self.lock:
                for index in self.attempts:
                    if index not in self.crew | self.given_up and time.monotonic() > self.retry_at[index]:
                        self.start(index)
                running = {member.run: index for index, member in self.crew.items()}
            ended = ray.wait(list(running), num_returns=len(running), timeout=0.5)[0] if running else time.sleep(0.5)
            for ref in ended or []:
                try:
                    ray.get(ref)
                    self.replace(running[ref], "ended", False)
                except ray.exceptions.RayTaskError as error:
                    whole = "".join(traceback.format_exception_only(error.cause)).strip() if error.cause else why(error)
                    self.replace(running[ref], f"failed: {whole}", True)
                except ray.exceptions.RayError as error:
                    self.replace(running[ref], f"died ({type(error).__name__})", False)
            for index, member in list(self.crew.items()):
                self.look_after(index, member)

    def start(self, index: int) -> None:
        args = flat(self.args, index)
        attempt = self.started + self.attempts[index]
        self.attempts[index] += 1
        seed = args.seed
        if index or attempt:  # worker 0 has the seed of ppo_vpt_online.py
            seed = int(np.random.SeedSequence([seed, index, attempt]).generate_state(1)[0]) % 2**31
        writer = f"worker_{index}_{uuid.uuid4().hex[:8]}"
        worker = ray.remote(RolloutWorker).options(
            num_cpus=args.num_cpus_per_worker,
            num_gpus=args.num_gpus_per_worker,
            max_concurrency=4,
            runtime_env={"env_vars": WORKING["env_vars"] | self.environment},
        )
        worker = worker.remote(writer, args, self.generators, self.replay, self.session, seed)
        member = SimpleNamespace(writer=writer, worker=worker, run=worker.run.remote(), status=None, question=None)
        member.asked = member.moved = time.monotonic()
        member.sent = member.due = None  # weights: the last call, what to send after it
        self.crew[index] = member
        self.tell_crew()
        if self.stamp is not None:
            self.send(member, (self.stamp._replace(begins=True), *self.weights))

    def tell_crew(self) -> None:
        """The replay shall forget all workers but these, also those that died with the manager before this one."""
        self.replay.crew.remote(time.time_ns(), [member.writer for member in self.crew.values()])

    def send(self, member: SimpleNamespace, news: tuple | None = None) -> None:
        """Have a worker take new weights, but one call at a time: they could overtake each other, or pile up."""
        if news is not None:
            if member.due is not None and news[2] is None and news[0].lineage == member.due[0].lineage:
                news = news[0]._replace(begins=member.due[0].begins), news[1], member.due[2]
            member.due = news
        if member.due is not None and (member.sent is None or ray.wait([member.sent], timeout=0)[0]):
            member.sent, member.due = member.worker.set_weights.remote(*member.due), None

    def look_after(self, index: int, member: SimpleNamespace) -> None:
        """Ask how it is, without waiting for the answer."""
        with self.lock:
            self.send(member)
        now, limit = time.monotonic(), self.args.wait_limit
        if member.question is None:
            if now - member.asked > min(5.0, limit / 5):
                member.question, member.asked = member.worker.status.remote(), now
        elif ray.wait([member.question], timeout=0)[0]:
            with contextlib.suppress(ray.exceptions.RayError):  # it died: its `run` will say so
                status = ray.get(member.question)
                waits = status["state"].startswith("waiting")
                if waits or member.status is None or status["progress"] != member.status["progress"]:
                    member.moved = now
                if status["delivered"]:
                    self.failures[index] = 0
                member.status = status
            member.question = None
        elif member.status is None:  # not begun: there may be no place for it yet
            member.moved = now
        if now - member.moved > limit:
            state = member.status["state"]
            self.replace(index, f"hung: no step in {limit:.0f} s ({state}, pid {member.status['pid']})", False)

    def replace(self, index: int, why: str, raised: bool) -> None:
        with self.lock:
            if self.closed or index not in self.crew:
                return
            member = self.crew.pop(index)
            ray.kill(member.worker)
            self.tell_crew()
            self.failures[index] += 1
            self.retry_at[index] = time.monotonic() + min(30.0, 2.0 ** (self.failures[index] - 1) - 1)
            where = f" on node {member.status['node'][:8]}" if member.status else ""
            note = f"rollout worker {index}{where} {why}"
            if self.failures[index] >= (3 if raised else 10):
                self.given_up[index] = note
            self.notes.append(f"{note}; {'given up' if index in self.given_up else 'starting another'}")

    def publish(self, stamp: Stamp, rank: Any, reference: bool) -> float:
        """Fetch a trainer rank's weights, once, and have all workers load them -> seconds."""
        began = time.perf_counter()
        if self.stamp is None:  # this manager is new, and so are all workers
            stamp, reference = stamp._replace(begins=True), True
        weights = ray.get(rank.weights.remote(reference))
        with self.lock:  # put here, so that they outlive the trainer
            if stamp.begins:  # another trainer: another try
                self.failures |= dict.fromkeys(self.given_up, 0)
                self.given_up.clear()
            self.stamp, self.weights[0] = stamp, ray.put(weights[0])
            if reference:
                self.weights[1] = ray.put(weights[1])
            for member in self.crew.values():
                self.send(member, (stamp, self.weights[0], self.weights[1] if reference else None))
        return time.perf_counter() - began

    def record(self, name: str) -> None:
        with self.lock:
            for _, member in sorted(self.crew.items())[:1]:
                member.worker.record.remote(name)

    def status(self) -> dict[str, Any]:
        """How the workers are; the notes are given out once."""
        with self.lock:
            notes = list(self.notes)
            self.notes.clear()
            states = {i: (m.status or {"state": "not started: no resources yet?"}) for i, m in self.crew.items()}
            given_up = self.given_up if len(self.given_up) == len(self.attempts) else {}
            return {"workers": states, "notes": notes, "given_up": dict(given_up), "stamp": self.stamp}

    def close(self) -> None:
        """End the workers."""
        with self.lock:
            self.closed = True
            crew, self.crew = list(self.crew.values()), {}
        for member in crew:
            member.worker.stop.remote()
        if crew:
            ray.wait([member.run for member in crew], num_returns=len(crew), timeout=3.0)
        for member in crew:
            ray.kill(member.worker)


# THE REPLAY


class ReplayService:
    """The index of all chunks: where they are, versions, uses. Their data stays where it was collected.

    Workers' chunks are taken when they are wanted, that is while those here do not fill the next iteration; till then
    `add` waits, and with it, in the end, the worker. An async actor; what it must not forget is in a file.
    """

    def __init__(self, config: dict, token: str):
        args = from_config(Args, config)
        self.args = flat(args)
        folder = own_folder(self.args, f"replay_{token}")  # found again after a death
        folder.mkdir(parents=True, exist_ok=True)
        self.index = ReplayIndex(self.args, np.random.default_rng([self.args.seed, 1]), folder / "index.sqlite")
        train = args.train_config
        self.ranks, per_chunk = train.num_workers, self.args.fragments_per_chunk
        self.num_chunks = self.ranks * train.batch_size_per_gpu * train.batches_per_iteration // per_chunk
        # What is collected during an update is too old after it: workers wait.
        self.gated = args.synchronous or self.args.max_staleness == 0
        # Else chunks come an iteration late, and have one use less.
        lasts = self.args.max_staleness + self.gated
        self.wanted_uses = self.num_chunks * min(self.args.max_reuse, lasts)
        self.version = self.index.get("version", 0)
        self.lineage, self.trusted = self.index.get("lineage", None), self.index.get("trusted", -1)
        self.updating = self.index.get("updating", False)
        self.counted: int | None = None  # missing(), until something changes
        self.holding = self.updating  # begun again in an update: the trainer may need all files that there are
        self.changed = asyncio.Condition()
        self.promised: dict[str, int] = {}  # chunks that workers were told to collect
        self.writers: set[str] = set()  # the workers, when they are known
        self.told = 0  # when they became so, in ns
        self.files, self.servers = FragmentServer(self.args), FragmentServers(self.args)

    def missing(self) -> int:
        """How many chunks more the next iteration wants."""
        if self.counted is None:
            version = self.version + self.updating
            left = [self.index._uses_left(chunk, version) for chunk in self.index.chunks]
            usable, uses = sum(n > 0 for n in left), sum(n for n in left if n > 0)
            per_chunk = max(1, self.wanted_uses // self.num_chunks)
            self.counted = max(self.num_chunks - usable, -(-(self.wanted_uses - uses) // per_chunk), 0)
        return self.counted

    async def tell(self) -> None:
        """After a change: wake those who wait, and delete what was dropped."""
        self.counted = None
        async with self.changed:
            self.changed.notify_all()
        if not self.holding:
            self.delete(self.index.pop_dropped())

    def delete(self, places: list) -> None:
        """Remove files, those of other nodes through a process there."""
        elsewhere: dict[str, list[str]] = {}
        for node, path in places:
            if node == here():
                Path(path).unlink(missing_ok=True)
            else:
                elsewhere.setdefault(node, []).append(path)
        for node in elsewhere.keys() & (alive_nodes() if elsewhere else set()):
            self.servers[node].delete.remote(elsewhere[node])

    # Workers' calls

    async def add(self, writer: str, first: int, entries: list[tuple[int, int, int, str, str]]) -> int:
        """Take chunks (lineage, version, optimizer steps, node, path), numbered from `first`, when some are wanted
        -> the number after the last one taken. To repeat a call does no harm."""
        self.promised.pop(writer, None)
        for node in {entry[3] for entry in entries} - {here()}:
            self.servers[node]  # started before it is needed
        while True:
            old = [self.too_old(*entry[:2]) for entry in entries]
            wanted = len(entries) if self.gated else max(self.missing(), [*old, False].index(False))
            if wanted:
                break
            async with self.changed:
                await self.changed.wait()
        # What is too old goes at once.
        taken = [(-(10**9) if gone else e[1], *e[2:]) for e, gone in zip(entries, old, strict=True)]
        number = self.index.add(writer, first, taken, wanted)
        self.index.evict(self.version)
        await self.tell()
        return number

    def too_old(self, lineage: int, version: int) -> bool:
        trusted = lineage == self.lineage or version <= self.trusted
        return not trusted or self.version + self.updating - version > self.args.max_staleness

    async def may_collect(self, writer: str, count: int, version: int, lineage: int) -> bool:
        """May a worker with these weights collect so many chunks? Waits up to a second for the answer to be yes."""

        def current() -> bool:
            return (version, lineage) == (self.version, self.lineage)

        def wanted() -> bool:
            fits = not self.gated or (current() and not self.updating)
            return fits and self.missing() > sum(self.promised.values())

        self.promised.pop(writer, None)
        async with self.changed:
            with contextlib.suppress(asyncio.TimeoutError):
                over = lambda: wanted() or (self.gated and not current() and not self.updating)  # noqa: E731
                await asyncio.wait_for(self.changed.wait_for(over), 1.0)
            if wanted():
                self.promised[writer] = count
                return True
        return False

    async def crew(self, told: int, writers: list[str]) -> None:
        """These workers there are. What all others had not handed over is not to come, and its files go."""
        if told < self.told:  # calls may overtake each other
            return
        self.told = told
        for writer in (self.index.writers | self.writers | self.promised.keys()) - set(writers):
            self.index.forget(writer)
            self.promised.pop(writer, None)
        self.writers = set(writers)
        for node in alive_nodes():
            gone = self.index.forgotten, self.index.names(node, self.args.database_path)
            if node == here():
                self.files.sweep(*gone)
            else:
                self.servers[node].sweep.remote(*gone)

    # The trainer's calls

    async def attached(self) -> int | None:
        """The lineage that `attach` told; None if the index was lost and this one is new."""
        return self.lineage

    async def attach(self, lineage: int, version: int, after: int | None) -> None:
        """A trainer begins, or the reference policy changed. If it goes on from the lineage of before, `after`, that
        one's chunks up to this version are good; no others are."""
        trusted = version if after is not None and after == self.lineage else -1
        if lineage == self.lineage:  # asked again, for this process died before it could answer
            trusted = self.trusted
        self.lineage, self.trusted = lineage, trusted
        self.remember(version, False)
        self.index.set("lineage", lineage)
        self.index.set("trusted", trusted)
        self.index.release()
        self.index.drop_if(lambda chunk: chunk.version > trusted)
        self.index.evict(version)
        await self.tell()

    async def sample(self, seconds: float) -> list[list[Chunk]] | None:
        """An iteration's chunks for each rank; their uses are counted. None if there are not enough for so long."""
        if self.updating:  # asked again, for this process died before it could answer
            self.remember(self.version, False)
            await self.tell()
        alive = alive_nodes()
        await self.lose({chunk.id for chunk in self.index.chunks if chunk.data.node not in alive})
        async with self.changed:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.changed.wait_for(lambda: not self.missing()), seconds)
        if self.missing():
            return None
        chunks = self.index.sample(self.num_chunks, self.version)
        self.remember(self.version, True)
        await self.tell()
        await self.written()
        share = self.num_chunks // self.ranks
        return [chunks[rank * share : (rank + 1) * share] for rank in range(self.ranks)]

    async def updated(self, version: int) -> None:
        """The update is done: drop what is used up or too stale for the new version."""
        self.remember(version, False)
        self.index.release()
        self.index.evict(version)
        await self.tell()

    def remember(self, version: int, updating: bool) -> None:
        self.version, self.updating, self.holding = version, updating, self.holding and updating
        self.index.set("version", version)
        self.index.set("updating", updating)

    async def written(self) -> None:
        """Uses have to be in the index's file before chunks are handed out: a full disk is waited for."""
        began = time.monotonic()
        while self.index.unwritten is not None:
            if time.monotonic() - began > self.args.wait_limit / 2:
                raise FragmentStoreError(f"the replay service cannot write {self.index.path}: {self.index.unwritten}")
            await asyncio.sleep(0.5)
            self.index.commit()

    async def lost(self, chunk_id: int) -> None:
        """A chunk's file cannot be read."""
        await self.lose({chunk_id})

    async def lose(self, chunk_ids: set[int]) -> None:
        if chunk_ids:
            self.index.drop_if(lambda chunk: chunk.id in chunk_ids)
            self.index.set("lost", self.index.get("lost", 0) + len(chunk_ids))
            await self.tell()

    async def status(self) -> dict[str, float]:
        index = self.index
        return {
            "replay/chunks": len(index.chunks),
            "replay/missing_chunks": self.missing(),
            "replay/added_chunks": index.added,
            "replay/unused_chunks": index.evicted_unused,
            "replay/lost_chunks": self.index.get("lost", 0),
        }

    async def close(self) -> None:
        """Remove everything from the disks."""
        self.index.close()
        self.files.remove()
        calls = [asyncio.ensure_future(self.servers[node].remove.remote()) for node in alive_nodes() - {here()}]
        if calls:  # some may not answer
            await asyncio.wait(calls, timeout=10.0)


class FragmentServer:
    """A node's files, for the other nodes."""

    def __init__(self, args: SimpleNamespace):
        self.folders = own_folder(args, "*")

    def read(self, path: str) -> dict[str, np.ndarray]:
        return {name: tensor.numpy() for name, tensor in FragmentStore.read(path).items()}

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            Path(path).unlink(missing_ok=True)

    def sweep(self, writers: set[str], keep: set[str]) -> None:
        """Remove what these workers wrote here, but for the files to keep."""
        for folder in set().union(*map(self.glob, writers)):
            with contextlib.suppress(FileNotFoundError):  # another call removes it
                files = {str(path) for path in folder.rglob("*") if path.is_file()}
                self.delete(list(files - keep))
                if not files & keep:
                    shutil.rmtree(folder, ignore_errors=True)

    def remove(self) -> None:
        """All of this run."""
        for folder in self.glob("*"):
            shutil.rmtree(folder, ignore_errors=True)

    def glob(self, name: str) -> set[Path]:
        return set(self.folders.parent.glob(self.folders.name.replace("*", name)))


class FragmentServers(dict):
    """By node, each started by whoever needs it first; they outlive that process, and end with the rollouts."""

    def __init__(self, args: SimpleNamespace):
        self.args = args

    def __missing__(self, node: str) -> Any:
        options = {"name": SERVER + node, "get_if_exists": True, "num_cpus": 0, "max_concurrency": 4}
        options |= {"lifetime": "detached", "max_restarts": -1, "max_task_retries": -1}
        self[node] = ray.remote(FragmentServer).options(**options, scheduling_strategy=on_node(node)).remote(self.args)
        return self[node]


class FragmentReader:
    """Reads chunks beside the trainer, as a batch."""

    def __init__(self, args: SimpleNamespace, blank: "Fragments"):
        self.blank = blank._asdict()  # a chunk of zeros, none of whose steps is valid
        self.limit = args.wait_limit / 6  # seconds for a batch's files from other nodes
        self.servers = FragmentServers(args)

    def read(self, chunks: list[Chunk]) -> tuple[dict[str, np.ndarray], dict[int, str]]:
        """-> (the tensors, stacked; why which chunks are lost: they are blank)"""
        data, lost, until = [], {}, time.monotonic() + self.limit
        places = {chunk.id: chunk.data for chunk in chunks if chunk.data.node != here()}
        sent = {chunk_id: self.servers[node].read.remote(path) for chunk_id, (node, path) in places.items()}
        for chunk in chunks:
            node, path = chunk.data
            try:
                if chunk.id not in sent:
                    tensors = FragmentStore.read(path)
                else:
                    seconds = max(0.0, until - time.monotonic())
                    arrays = ray.get(sent[chunk.id], timeout=seconds)
                    tensors = {name: torch.tensor(array) for name, array in arrays.items()}
                shapes = {name: tensor[0].shape for name, tensor in self.blank.items()}
                if {name: tensor.shape for name, tensor in tensors.items()} != shapes:
                    raise FragmentStoreError(f"{path}: of another shape than this policy's chunks")
                data.append(tensors)
            except (FragmentStoreError, ray.exceptions.RayError, ValueError) as error:
                if isinstance(error, ray.exceptions.GetTimeoutError) and seconds:  # it hangs: start another
                    ray.kill(self.servers[node], no_restart=False)
                lost[chunk.id] = f"{path} on node {node[:8]}: {why(error)}"
                data.append({name: tensor[0] for name, tensor in self.blank.items()})
        return {name: torch.stack([d[name] for d in data]).numpy() for name in self.blank}, lost


class ChunkReader:
    """What a Learner takes for its replay: the tensors of the chunks, which num_readers processes read ahead."""

    def __init__(self, args: SimpleNamespace, name: str, blank: "Fragments", replay: Any):
        self.args, self.name, self.replay, self.type = args, name, replay, type(blank)
        self.blank = ray.put(blank)
        self.seconds = 0.0  # spent waiting for chunks
        self.batches_read = 0
        self.lost: dict[int, str] = {}
        self.kept: dict[int, Fragments] = {}  # of this iteration, by chunk
        bytes_each = sum(tensor.numel() * tensor.element_size() for tensor in blank)
        self.room = int(args.chunk_memory * 1e9 / bytes_each)
        self.readers = [self.start() for _ in range(args.num_readers)]

    def begin(self) -> None:
        """A new iteration begins."""
        self.seconds, self.lost = 0.0, {}
        self.kept.clear()

    def start(self) -> Any:
        options = {"num_cpus": self.args.num_cpus_per_reader, "scheduling_strategy": on_node(here())}
        return ray.remote(FragmentReader).options(**options).remote(self.args, self.blank)

    def ask(self, reader: int, chunks: list[Chunk]) -> tuple[Any, Any]:
        return self.readers[reader], self.readers[reader].read.remote(chunks)

    def batches(self, batches: list[list[Chunk]], device: torch.device) -> Iterator["Fragments"]:
        """The tensors of batch after batch of chunks, as Replay.batches."""
        asked: deque = deque()
        turn, todo = 0, list(batches)
        while todo or asked:
            while todo and len(asked) <= self.args.prefetch_batches:
                chunks, turn = todo.pop(0), (turn + 1) % len(self.readers)
                unread = [chunk for chunk in chunks if chunk.id not in self.kept]
                asked.append((chunks, unread, turn, self.ask(turn, unread) if unread else None))
            began = time.perf_counter()
            chunks, unread, reader, answer = asked.popleft()
            read = self.take(unread, reader, *answer, device) if unread else None
            if len(unread) < len(chunks):
                data = {chunk.id: read.rows(i) for i, chunk in enumerate(unread)} | self.kept
                batch = self.type(*(torch.stack(x) for x in zip(*(data[chunk.id] for chunk in chunks), strict=True)))
            else:
                batch = read
            for i, chunk in enumerate(unread[: self.room - len(self.kept)]):
                self.kept[chunk.id] = read.rows(i)
            self.seconds += time.perf_counter() - began
            self.batches_read += 1
            yield batch

    def take(self, chunks: list[Chunk], reader: int, actor: Any, answer: Any, device: torch.device) -> "Fragments":
        for seconds in (self.args.wait_limit / 5, self.args.wait_limit / 2):  # the second one may have to start first
            try:
                arrays, lost = ray.get(answer, timeout=seconds)
                break
            except (ray.exceptions.GetTimeoutError, ray.exceptions.RayActorError) as error:
                if self.readers[reader] is actor:  # else it was replaced when it failed to give an earlier answer
                    logger.warning(f"reader {reader} of {self.name} gives no answer ({type(error).__name__}): replaced")
                    ray.kill(actor)
                    self.readers[reader] = self.start()
                actor, answer = self.ask(reader, chunks)
        else:
            raise PartyError(f"the fragment readers of {self.name} give no answer: is the disk slow?")
        for chunk_id, why in lost.items():
            if chunk_id not in self.lost:
                logger.warning(f"{self.name} goes on without a chunk: {why}")
                self.replay.lost.remote(chunk_id)
        self.lost |= lost
        return self.type(**{name: tensor.to(device) for name, tensor in as_tensors(arrays).items()})


# LEARNING


class TrainerRank:
    """One of the processes that learn as one: each has the same weights, a part of the chunks, and adds its gradients
    to those of the others. Sums go through torch.distributed once for each optimizer step, not for each backward pass.

    An actor that does one thing at a time, but for the answers that it gives meanwhile.
    """

    def __init__(self, rank: int, config: dict, policy_generator: Callable, replay: Any):
        args, self.rank = from_config(Args, config), rank
        self.name, self.ranks, self.args = f"trainer rank {rank}", args.train_config.num_workers, flat(args)
        self.gpus = args.train_config.num_gpus_per_worker
        device = use_cores(1)  # this thread does no more: of two that have helpers OpenMP's would no longer spin
        torch.manual_seed(self.args.seed)
        policy = make_policy(self.args, policy_generator).to(device)
        reference = begin_training(self.args, policy)
        self.learner = Learner(self.args, policy, reference, device)
        if rank:
            self.learner.rng = np.random.default_rng([self.args.seed, rank])
        if self.ranks > 1:
            learner = self.learner
            learner.total, learner.add_up_gradients, learner.stopping = self.total, self.add_up_gradients, self.stopping
        steps = self.args.fragment_length * self.args.fragments_per_chunk
        blank = Fragments.empty(1, steps, policy.net_args, reference is not None, torch.device("cpu"))
        self.reader = ChunkReader(self.args, self.name, blank, replay)
        use_cores(args.train_config.num_cpus_per_worker)

    def address(self) -> tuple[str, int]:
        """Where this rank can be met."""
        ip = ray.util.get_node_ip_address()
        with socket.socket() as free:
            free.bind((ip, 0))
            return ip, free.getsockname()[1]

    def meet(self, ip: str, port: int) -> None:
        """Join the others at rank 0's address, and take its weights."""
        ray.get([reader.__ray_ready__.remote() for reader in self.reader.readers])
        if self.ranks == 1:
            return
        name = interface(ray.util.get_node_ip_address())  # the one that Ray uses: a hostname may lead to another
        os.environ |= {"GLOO_SOCKET_IFNAME": name, "NCCL_SOCKET_IFNAME": name}
        # NCCL wants a GPU for each rank.
        backend = "nccl" if self.learner.device.type == "cuda" and self.gpus >= 1 else "gloo"
        limit = datetime.timedelta(seconds=2 * self.args.wait_limit)  # the script finds out who is stuck before
        meeting = {"rank": self.rank, "world_size": self.ranks, "timeout": limit}
        dist.init_process_group(backend, init_method=f"tcp://{ip}:{port}", **meeting)
        for tensor in self.learner.policy.state_dict().values():
            dist.broadcast(tensor, 0)

    def total(self, x: torch.Tensor) -> torch.Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    def add_up_gradients(self) -> None:
        grads = [p.grad for p in self.learner.policy.parameters() if p.grad is not None]
        whole = torch.cat([grad.flatten() for grad in grads])
        dist.all_reduce(whole)
        for grad, part in zip(grads, whole.split([grad.numel() for grad in grads]), strict=True):
            grad.copy_(part.view(grad.shape))

    def stopping(self) -> bool:
        return bool(self.total(torch.tensor(float(self.learner.interrupted), device=self.learner.device)))

    def update(self, chunks: list[Chunk]) -> dict[str, float]:
        """An iteration on this rank's chunks -> metrics."""
        self.reader.begin()
        metrics = self.learner.update(self.reader, chunks)
        return metrics | {"time/transfer": self.reader.seconds}

    def reference_is_now_the_policy(self) -> None:
        self.learner.reference.load_state_dict(self.learner.policy.state_dict())

    @ray.method(concurrency_group="answers")
    def progress(self) -> tuple[int, int]:
        return self.learner.optimizer_steps, self.reader.batches_read

    @ray.method(concurrency_group="answers")
    def interrupt(self) -> None:
        """Finish the optimizer step, no more."""
        self.learner.interrupted = True

    def weights(self, reference: bool) -> tuple[dict, dict | None]:
        """(the policy's, the reference policy's if asked for and there), as arrays, which Ray sends without a copy."""
        policies = self.learner.policy, self.learner.reference if reference else None
        return tuple(p and {name: x.numpy(force=True) for name, x in p.state_dict().items()} for p in policies)

    def digest(self) -> int:
        return weights_digest(self.learner.policy)

    def counters(self) -> dict[str, int]:
        return {"iteration": self.learner.iteration, "optimizer_steps": self.learner.optimizer_steps}

    def rng(self) -> dict[str, Any]:
        return self.learner.rng.bit_generator.state

    def save(self, folder: Path, about: dict[str, Any], state: dict[str, Any]) -> None:
        """Write a checkpoint, all of it or nothing."""
        learner = self.learner
        with write_checkpoint(folder, **about) as aside:
            save_policies(aside, learner.policy, learner.reference)
            torch.save({"learner": learner_state(learner), **state}, aside / "trainer.pt")
        remove_old_checkpoints(folder, self.args.keep_interval)

    def load(self, folder: Path) -> dict[str, Any]:
        """Go on from a checkpoint -> what else was saved. Raises CheckpointError."""
        learner = self.learner
        try:
            load_policies(folder, learner.policy, learner.reference)
            state = torch.load(folder / "trainer.pt", map_location="cpu", weights_only=True)
            load_learner(learner, state.pop("learner"))
            if self.rank < len(state["rngs"]):
                learner.rng.bit_generator.state = state["rngs"][self.rank]
        except MISFITS as error:
            raise misfit(folder, error) from error
        return state


class Session:
    """Statistics of episodes, films, and Weights & Biases; outlives the script as the rollouts do."""

    def __init__(self, config: dict, replay: Any):
        args = from_config(Args, config)
        self.options, self.replay = args.rollout_config.episode_statistics_config, replay
        self.every = args.rollout_config.replay_buffer_config.fragments_per_report
        self.films = Path(args.rollout_config.worker_config.video_output_dir)
        self.fragments = self.global_step = 0
        self.episodes: dict[str, deque] = {}
        self.rows: list[dict[str, float]] = []  # for the script
        self.run_path: Path | None = None
        self.wandb_run = None

    def begin(
        self, run_path: Path, global_step: int, config: dict, wandb: dict[str, Any] | None, environment: dict[str, str]
    ) -> None:
        """A trainer begins: with the run of before, or another. wandb: arguments of wandb.init, or None for no log."""
        self.close()
        os.environ |= environment
        self.run_path, self.global_step, self.rows = run_path, global_step, []
        self.episodes.clear()
        if wandb is not None:
            self.wandb_run = RunLogger.start_wandb(run_path, config, wandb)

    def report(self, task: str, fragments: int, steps: int, episodes: list[tuple[float, float]]) -> None:
        """A worker collected so many fragments of a task, and these episodes (return, length) ended."""
        window = self.episodes.setdefault(task, deque(maxlen=self.options.window))
        window.extend((time.monotonic(), *episode) for episode in episodes)
        before, self.fragments = self.fragments, self.fragments + fragments
        self.global_step += steps
        if self.every and before // self.every != self.fragments // self.every and self.run_path is not None:
            row = self.statistics() | ray.get(self.replay.status.remote())
            self.rows.append(row)
            self.log(row)

    def statistics(self) -> dict[str, float] | None:
        """None if no trainer told it of its run: this process has taken a dead one's place."""
        if self.run_path is None:
            return None
        everything = sorted(e for episodes in self.episodes.values() for e in episodes)[-self.options.window :]
        groups = {"charts/episodic_": everything}
        if self.options.per_task:
            groups |= {f"tasks/{task}/episodic_": list(episodes) for task, episodes in self.episodes.items()}
        row: dict[str, float] = {"charts/global_step": self.global_step}
        for prefix, episodes in groups.items():
            for i, name in ((1, "return"), (2, "length")):
                row[prefix + name] = float(np.mean([e[i] for e in episodes])) if episodes else math.nan
        return row

    def take_rows(self) -> list[dict[str, float]]:
        rows, self.rows = self.rows, []
        return rows

    def log(self, row: dict[str, float]) -> None:
        if self.wandb_run is not None:
            self.wandb_run.log(row)

    def film(self, name: str, data: bytes) -> None:
        path = self.films / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if self.wandb_run is not None:
            import wandb

            self.wandb_run.log({"videos/episode": wandb.Video(str(path)), "charts/global_step": self.global_step})

    def close(self) -> None:
        if self.wandb_run is not None:
            self.wandb_run.finish()
        self.wandb_run = None


class PPOTrainer:
    """Conducts: has the replay sample, the ranks learn, the workers get the weights."""

    def __init__(self, args: Args, policy_generator: Callable, run_path: Path, checkpoint: Path | None):
        self.args, self.run_path, self.config = args, run_path, to_config(args)
        self.manager, self.replay, self.session = (ray.get_actor(name) for name in SERVICES)
        self.interrupted, self.saved_iteration = False, -1
        self.asked, self.answers = {}, {}  # the ranks, how far they are
        train = args.train_config
        place = {"num_cpus": train.num_cpus_per_worker, "num_gpus": train.num_gpus_per_worker, "runtime_env": WORKING}
        self.ranks = []
        for rank in range(train.num_workers):  # rank 0 writes the checkpoints
            own = {"name": "trainer", "scheduling_strategy": on_node(here(), soft=True)} if rank == 0 else {}
            try:
                actor = ray.remote(concurrency_groups={"answers": 2})(TrainerRank).options(**place, **own)
                self.ranks.append(actor.remote(rank, self.config, policy_generator, self.replay))
            except ValueError:
                raise PartyError(f"a trainer is running already in namespace {args.namespace!r}") from None
        try:
            self.begin(checkpoint)
        except BaseException:
            self.close()
            raise

    def begin(self, checkpoint: Path | None) -> None:
        (meeting,) = self.wait([self.ranks[0].address.remote()])
        self.wait([rank.meet.remote(*meeting) for rank in self.ranks])
        if checkpoint is not None:
            states = self.wait([rank.load.remote(checkpoint) for rank in self.ranks])
        (self.counters,) = self.wait([self.ranks[0].counters.remote()])
        self.global_step = states[0]["global_step"] if checkpoint is not None else 0
        self.begin_session()
        # Not with references that change: the chunks may have been collected with a later one.
        resumes = checkpoint is not None and not self.args.train_config.enable_ref_update
        self.new_lineage(after=states[0]["lineage"] if resumes else None, begins=True)

    def begin_session(self) -> None:
        config = self.args.logger_config
        own = {name: value for name, value in os.environ.items() if name.startswith("WANDB_")}
        wandb = {"project": config.project, "dir": own.get("WANDB_DIR", "."), **config.wandb_init}
        wandb["dir"] = os.path.abspath(wandb["dir"])  # this process's, not the session's
        begin = (self.run_path, self.global_step, self.config, wandb if config.track else None, own)
        self.wait([self.session.begin.remote(*begin)], ["session"])

    @property
    def iteration(self) -> int:
        return self.counters["iteration"]

    def new_lineage(self, after: int | None, begins: bool) -> None:
        self.lineage = time.time_ns()
        self.attach(after)
        self.publish(begins=begins, reference=True)

    def attach(self, after: int | None) -> None:
        self.wait([self.replay.attach.remote(self.lineage, self.iteration, after)], ["replay service"])

    def publish(self, begins: bool = False, reference: bool = False) -> float:
        (seconds,) = self.wait([self.publishing(begins, reference)], ["rollout manager"])
        return seconds

    def publishing(self, begins: bool = False, reference: bool = False) -> Any:
        stamp = Stamp(self.lineage, self.iteration, self.counters["optimizer_steps"], begins)
        return self.manager.publish.remote(stamp, self.ranks[0], reference)

    def interrupt(self) -> None:
        self.interrupted = True
        for rank in self.ranks:
            rank.interrupt.remote()

    def wait(self, refs: list, names: list[str] | None = None) -> list:
        """Results of calls to the ranks (or to `names`). Raises PartyError naming who failed, died, or is stuck."""
        names = names or [f"trainer rank {i}" for i in range(len(refs))]
        waiting, seen, since = list(refs), None, time.monotonic()
        while waiting:
            done, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=1.0)
            ended = ((ref, name) for ref, name in zip(refs, names, strict=True) if ref in done)
            faults = {name: error for ref, name in ended if (error := fault(ref))}
            if faults:
                raise blame(faults | self.silent())
            if not waiting:
                break
            progress = self.progress()
            if progress != seen:
                seen, since = progress, time.monotonic()
            if time.monotonic() - since > self.args.wait_limit:
                stuck = self.silent() or [name for ref, name in zip(refs, names, strict=True) if ref in waiting]
                raise PartyError(f"{', '.join(stuck)}: no progress in {self.args.wait_limit:.0f} s; {remedy(*stuck)}")
        return ray.get(refs)

    def silent(self) -> dict[str, Exception]:
        """The ranks that died or do not answer, for which all others fail or wait."""
        asked = {f"trainer rank {i}": rank.progress.remote() for i, rank in enumerate(self.ranks)}
        ray.wait(list(asked.values()), num_returns=len(asked), timeout=5.0)
        return {name: error for name, ref in asked.items() if (error := fault(ref))}

    def progress(self) -> dict[int, Any]:
        """How far the ranks said they are; without waiting for those that do not answer."""
        for i, rank in enumerate(self.ranks):
            if i in self.asked and ray.wait([self.asked[i]], timeout=0)[0]:
                with contextlib.suppress(ray.exceptions.RayError):
                    self.answers[i] = ray.get(self.asked.pop(i))
            if i not in self.asked:
                self.asked[i] = rank.progress.remote()
        return dict(self.answers)

    def collect(self, show: Callable[[str], None]) -> list[list[Chunk]] | None:
        """An iteration's chunks for each rank; None after an interrupt. show: is told what is waited for."""
        seen, since = None, time.monotonic()
        while not self.interrupted:
            (shares,) = self.wait([self.replay.sample.remote(1.0)], ["replay service"])
            if shares is not None:
                return shares
            calls = [self.manager.status.remote(), self.replay.status.remote(), self.replay.attached.remote()]
            status, replay, lineage = self.wait(calls, ["rollout manager", "replay service", "replay service"])
            self.heed(status)
            if lineage != self.lineage:
                logger.warning("the replay service has lost its index and begins anew")
                self.attach(after=None)
            states = {i: worker["state"] for i, worker in status["workers"].items()}
            others = ", ".join(f"worker {i} is {state}" for i, state in states.items() if state != "collecting")
            show(f"waits for {replay['replay/missing_chunks']} chunks" + (f"; {others}"[:100] if others else ""))
            steps = sum(sum(worker.get("progress", ())[:2]) for worker in status["workers"].values())
            added = replay["replay/added_chunks"]
            # Not fewer steps: those of a worker that took another's place.
            if seen is None or added != seen[0] or steps > seen[1]:
                seen, since = (added, steps), time.monotonic()
            if time.monotonic() - since > self.args.wait_limit:
                who = "\n".join(f"rollout worker {i}: {state}" for i, state in states.items()) or "no rollout worker"
                raise PartyError(f"no chunk and no step in {self.args.wait_limit:.0f} s; {RESUME}\n{who}")
        return None

    def update(self, shares: list[list[Chunk]]) -> dict[str, float]:
        """Have the ranks learn from their chunks, and the workers act with what came of it -> metrics."""
        metrics = self.wait([rank.update.remote(share) for rank, share in zip(self.ranks, shares, strict=True)])
        digests = {rank["invariants/weights_digest"] for rank in metrics}
        if len(digests) > 1:
            raise PartyError(f"the trainer ranks' weights differ after iteration {self.iteration + 1}: {digests}")
        (self.counters,) = self.wait([self.ranks[0].counters.remote()])
        train, updated = self.args.train_config, self.replay.updated.remote(self.iteration)
        if train.enable_ref_update and self.iteration % train.keep_interval == 0:
            self.wait([updated], ["replay service"])
            self.wait([rank.reference_is_now_the_policy.remote() for rank in self.ranks])
            self.new_lineage(after=None, begins=False)  # what the old reference said is no longer wanted
            return merge(metrics)
        _, seconds = self.wait([updated, self.publishing()], ["replay service", "rollout manager"])
        return merge(metrics) | {"time/publish": seconds}

    def heed(self, status: dict[str, Any]) -> None:
        """What the rollout manager tells."""
        for note in status["notes"]:
            logger.warning(note)
        if status["given_up"]:
            raise PartyError("no rollout worker is left:\n" + "\n".join(status["given_up"].values()))
        if status["stamp"] is None:  # a new one, which knows nothing
            self.publish()

    def statistics(self) -> dict[str, float]:
        """Of episodes and replay, as they stand."""
        calls = [self.manager.status.remote(), self.replay.status.remote()]
        status, replay = self.wait(calls, ["rollout manager", "replay service"])
        self.heed(status)
        while (session := self.wait([self.session.statistics.remote()], ["session"])[0]) is None:
            logger.warning("the session died: the statistics of episodes begin anew")
            self.begin_session()
        self.global_step = session["charts/global_step"]
        workers = [worker for worker in status["workers"].values() if "progress" in worker]
        return session | replay | {name: sum(worker[name] for worker in workers) for name in FAILURES}

    def save(self) -> Path:
        """Write a checkpoint -> its folder."""
        folder = self.run_path / "checkpoints" / f"iteration_{self.iteration:06d}"
        if self.iteration == self.saved_iteration:
            return folder
        digests = self.wait([rank.digest.remote() for rank in self.ranks])
        if len(set(digests)) > 1:
            raise PartyError(f"the trainer ranks' weights differ at iteration {self.iteration}: {digests}; not saved")
        about = {"kind": KIND, "iteration": self.iteration, "args": self.config}
        state = {"global_step": self.global_step, "lineage": self.lineage}
        state["rngs"] = self.wait([rank.rng.remote() for rank in self.ranks])
        self.wait([self.ranks[0].save.remote(folder, about, state)])
        self.saved_iteration = self.iteration
        return folder

    def close(self) -> None:
        for rank in self.ranks:
            ray.kill(rank)


TRAINERS = {"PPOTrainer": PPOTrainer}
SERVICES = ("rollout manager", "replay service", "session")  # the names of their actors
SERVER = "fragments of "  # and the node: the name of a FragmentServer
KIND = "ppo_vpt_distributed"  # of checkpoints
FAILURES = {"charts/engine_restarts": "restarts", "charts/lost_steps": "lost_steps"}  # metrics: of engines' attributes
RESUME = "--train-config.resume latest goes on from the last checkpoint"


def remedy(*names: str) -> str:
    """For these parties' failure."""
    return "after --stop, " * any(name in SERVICES for name in names) + RESUME


def fault(ref: Any) -> Exception | None:
    """Why a call has failed, or has not been answered yet."""
    try:
        ray.get(ref, timeout=0)
    except ray.exceptions.RayError as error:
        return error
    return None


def blame(faults: dict[str, Exception]) -> Exception:
    """What to raise for calls that failed: who died or hangs comes first, for then the others fail too."""
    for name, error in sorted(faults.items(), key=lambda fault: isinstance(fault[1], ray.exceptions.GetTimeoutError)):
        if getattr(error, "actor_init_failed", False):
            return PartyError(f"{name} does not start: {why(error)}\n{error}")
        if not isinstance(error, ray.exceptions.RayTaskError):
            hangs = isinstance(error, ray.exceptions.GetTimeoutError)
            what = "gives no answer" if hangs else f"died ({type(error).__name__})"
            return PartyError(f"{name} {what}; {remedy(name)}")
    name, error = next(iter(faults.items()))
    if isinstance(error.cause, EXPECTED):
        return error.cause
    return PartyError(f"{name} failed; {remedy(name)}\n{error}")


def merge(metrics: list[dict[str, float]]) -> dict[str, float]:
    """One row of several ranks': maxima of maxima and invariants, means of the rest."""
    columns = {name: [rank[name] for rank in metrics] for name in metrics[0]}
    extreme = {name for name in columns if name.endswith("_max") or name.startswith("invariants/")}
    return {name: max(values) if name in extreme else sum(values) / len(values) for name, values in columns.items()}


# START AND STOP


def start_rolloutmanager(policy_generator: Callable, env_generator: Callable, online_cfg: Any) -> None:
    """Start the rollouts, or take over those that a script before left behind if they are as these settings say.

    policy_generator, env_generator: take nothing, return a VPTPolicy and a MinecraftSim. online_cfg: MineStudio's
    configuration (dict or OmegaConf), or Args. Raises SettingsError, SystemExit or PartyError for what cannot work,
    before anything is started.
    """
    args = checked(online_cfg)
    generators = {"policy_generator": policy_generator, "env_generator": env_generator}
    prints = {name: fingerprint(name, generator) for name, generator in generators.items()}
    prints["this file"] = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    with cluster(args):
        check_resources(args)
    there = set(SERVICES) & set(ray.util.list_named_actors())
    if there:
        other = [f"the {name} has died" for name in SERVICES if name not in there]
        if not other:
            try:
                settings = ray.get_actor("rollout manager").settings.remote()
                theirs, their_prints = ray.get(settings, timeout=args.wait_limit)
            except ray.exceptions.RayError as error:
                raise PartyError(f"the rollout manager that runs gives no answer; --stop ends it ({error})") from None
            other = differences(of_rollouts(from_config(Args, theirs)), of_rollouts(args))
            other += [f"{name} is another" for name in prints if prints[name] != their_prints[name]]
        if not other:
            logger.info("took over the rollouts that run already")
            return
        if "trainer" in ray.util.list_named_actors():
            raise PartyError(
                f"a trainer with other settings is running in namespace {args.namespace!r}: stop it, or choose "
                "another --namespace\n" + "\n".join(other)
            )
        logger.warning("the rollouts that run already are replaced:\n" + "\n".join(other))
    stop_rollouts()
    # Each lives on after its death, where it was, for its files are there; and if detached after this script's end.
    life = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": on_node(here())}
    life |= {"lifetime": "detached"} if args.detach_rollout_manager else {}
    config = to_config(args)
    replay = ray.remote(ReplayService).options(name="replay service", max_concurrency=10_000, **life)
    replay = replay.remote(config, uuid.uuid4().hex[:8])
    session = ray.remote(Session).options(name="session", **life).remote(config, replay)
    started = 0 if args.train_config.resume is None else int(time.time())  # a resumed run shall see other worlds
    manager = ray.remote(RolloutManager).options(name="rollout manager", max_concurrency=8, **life)
    minecraft = {name: os.environ[name] for name in ("MINESTUDIO_PYTHON", "MINESTUDIO_DIR") if name in os.environ}
    manager = manager.remote(config, tuple(generators.values()), prints, replay, session, started, minecraft)
    SERVANTS[:] = [replay, session, manager]
    for name, actor in (("replay service", replay), ("session", session), ("rollout manager", manager)):
        try:
            ray.get(actor.__ray_ready__.remote(), timeout=max(args.wait_limit, 90.0))  # starting is slow on busy cores
        except ray.exceptions.RayError as error:
            stop_rollouts()
            raise PartyError(f"the {name} does not start: {error}") from None


def start_trainer(policy_generator: Callable, env_generator: Callable, online_cfg: Any) -> Path:
    """Train with the rollouts that start_rolloutmanager started, with the same arguments -> the run's folder."""
    args = checked(online_cfg)
    fingerprint("policy_generator", policy_generator)
    train = args.train_config
    checkpoint = Path(train.resume) if train.resume is not None else None
    with cluster(args):
        for name in SERVICES:
            try:
                ray.get_actor(name)
            except ValueError:
                raise PartyError(f"there is no {name}: call start_rolloutmanager first") from None
    if checkpoint is not None and checkpoint.parent.name == "checkpoints":
        run_path = checkpoint.parent.parent
    else:
        run_path = make_run_folder(runs_path(train.save_path), f"{args.logger_config.name}__{args.seed}")
    with contextlib.ExitStack() as at_the_end:
        if not args.detach_rollout_manager:
            at_the_end.callback(stop_rollouts)
        trainer = TRAINERS[args.trainer_name](args, policy_generator, run_path, checkpoint)
        at_the_end.callback(trainer.close)
        conduct(args, trainer, checkpoint)
    return run_path


def conduct(args: Args, trainer: PPOTrainer, checkpoint: Path | None) -> None:
    """Train until the end or an interrupt, save, and say so."""
    train, run_path = args.train_config, trainer.run_path
    (run_path / "args.json").write_text(json.dumps(to_config(args), indent=2))
    logger.info(f"{run_path}" + (f"; resumed at iteration {trainer.iteration} from {checkpoint}" if checkpoint else ""))

    def interrupt(signum: int, frame: Any) -> None:
        if trainer.interrupted:
            raise KeyboardInterrupt
        trainer.interrupt()
        logger.warning("interrupted: finishing the step, saving, leaving (once more: leaving now)")

    main_thread = threading.current_thread() is threading.main_thread()
    handlers = {n: signal.signal(n, interrupt) for n in (signal.SIGINT, signal.SIGTERM)} if main_thread else {}
    begin = (trainer.iteration, trainer.global_step, train.num_iterations, None, args.logger_config.tensorboard)
    try:
        log = RunLogger(run_path, to_config(args), make_console(), *begin)
        with log:
            run(args, trainer, log)
            logger.info(f"checkpoint: {trainer.save()}")
        if args.detach_rollout_manager:
            logger.info("the rollouts stay for the next trainer; --stop ends them")
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def run(args: Args, trainer: PPOTrainer, log: RunLogger) -> None:
    """Iterations, until all are done or an interrupt."""
    train, waiting = args.train_config, lambda text: log.progress.update(log.task, description=text)
    while trainer.iteration < train.num_iterations and not trainer.interrupted:
        if train.record_video_interval and trainer.iteration % train.record_video_interval == 0:
            trainer.manager.record.remote(f"{trainer.run_path.name}/iteration_{trainer.iteration + 1:06d}")
        step_before, began = trainer.global_step, time.perf_counter()
        shares = trainer.collect(waiting)
        waited = time.perf_counter() - began
        if shares is None:
            break
        metrics = trainer.update(shares)
        row = {"charts/iteration": trainer.iteration, **trainer.statistics()}
        for report in trainer.wait([trainer.session.take_rows.remote()], ["session"])[0]:
            log.log(report)
        row["charts/SPS"] = (trainer.global_step - step_before) / (time.perf_counter() - began)
        row |= metrics | {"time/waiting": waited}
        log.log(row)
        trainer.session.log.remote(row)
        returns = row["charts/episodic_return"]
        summary = f"step {trainer.global_step:,}  {row['charts/SPS']:,.0f} SPS  return "
        summary += f"{returns:.2f}" if returns == returns else "(none ended yet)"
        log.show(trainer.iteration, summary + f"  entropy {metrics.get('losses/entropy', math.nan):.2f}")
        if trainer.iteration % train.save_interval == 0 and trainer.iteration < train.num_iterations:
            trainer.save()


SERVANTS: list = []  # handles of actors that end with this script: Ray ends those that no one holds


def checked(online_cfg: Any) -> Args:
    """The settings, if they can work; paths are absolute, for other processes have other working directories."""
    args = from_config(Args, online_cfg)
    rollout, train = args.rollout_config, args.train_config
    replay, worker = rollout.replay_buffer_config, rollout.worker_config

    def refuse(path: str, fault: str) -> None:
        raise SystemExit(f"--{path.replace('_', '-')} {fault}")

    def at_least(low: int, path: str, value: float) -> None:
        if not low <= value < math.inf:
            refuse(path, f"{value} must be at least {low}")
        if path.endswith("num_gpus_per_worker") and value > 1 and value % 1:
            refuse(path, f"{value} must be a whole number or less than 1")

    if args.trainer_name not in TRAINERS:
        refuse("trainer_name", f"{args.trainer_name} is not known: {', '.join(TRAINERS)}")
    at_least(1, "rollout_config.num_rollout_workers", rollout.num_rollout_workers)
    at_least(0, "rollout_config.to_send_queue_size", rollout.to_send_queue_size)
    at_least(1, "rollout_config.episode_statistics_config.window", rollout.episode_statistics_config.window)
    numbers = {"num_workers": 1, "num_gpus_per_worker": 0, "num_cpus_per_worker": 0}
    for name, low in (numbers | {"num_readers": 1, "num_cpus_per_reader": 0, "chunk_memory": 0}).items():
        at_least(low, f"train_config.{name}", getattr(train, name))
    if not 0 < args.wait_limit < math.inf:
        refuse("wait_limit", f"{args.wait_limit} must be positive")
    if len(rollout.worker_overrides) > rollout.num_rollout_workers:
        refuse(
            "rollout_config.worker_overrides",
            f"has {len(rollout.worker_overrides)} entries, for more workers than "
            f"--rollout-config.num-rollout-workers {rollout.num_rollout_workers}",
        )
    for index, override in enumerate(rollout.worker_overrides):
        if "video_output_dir" in override:  # the session writes the films of all
            refuse(
                "rollout_config.worker_overrides", f"rollout worker {index}: video_output_dir is one for all workers"
            )
        resources = {"num_gpus_per_worker", "num_cpus_per_worker"} & override.keys()
        try:
            ours = from_config(RolloutConfig, {name: override[name] for name in resources})
            theirs = from_config(WorkerConfig, {name: override[name] for name in override.keys() - resources})
        except SettingsError as error:
            raise SettingsError(f"rollout_config.worker_overrides, rollout worker {index}: {error}") from None
        override.update({name: getattr(ours if name in resources else theirs, name) for name in override})
    flags = paths(Args) | {"inference_batch_size": "rollout_config.worker_config.batch_size"}
    for index in range(len(rollout.worker_overrides), -1, -1):  # the first one stands for those without overrides
        values = flat(args, index)
        values.device, values.replay_memory = "auto", 0.0
        try:
            check_args(values, flags, train.num_workers)
            for name in ("num_gpus_per_worker", "num_cpus_per_worker"):
                at_least(0, f"rollout_config.{name}", getattr(values, name))
            at_least(0, "rollout_config.worker_config.restart_interval", values.restart_interval)
            if not 1 <= values.batch_size <= values.num_envs:
                fault = f"{values.batch_size} must be between 1 and --{flags['num_envs']} {values.num_envs}"
                refuse("rollout_config.worker_config.batch_size", fault.replace("_", "-"))
            if values.task is not None and (fault := no_task(values.task)):
                refuse("rollout_config.worker_config.task", f"{values.task}: {fault}")
        except SystemExit as error:
            whose = f" (rollout worker {index})" if index < len(rollout.worker_overrides) else ""
            raise SystemExit(f"{error}{whose}") from None
    files = train.batch_size_per_gpu * train.batches_per_iteration // replay.fragments_per_chunk
    if train.num_readers > files:
        refuse(
            "train_config.num_readers",
            f"{train.num_readers}, but a rank has only {files} files to read in an iteration",
        )
    for section, name in ((replay.database_config, "path"), (worker, "video_output_dir")):
        setattr(section, name, str(Path(getattr(section, name)).absolute()))
    for name in ("model_path", "weights_path"):
        if getattr(args, name) is not None:
            setattr(args, name, str(Path(getattr(args, name)).absolute()))
            if not Path(getattr(args, name)).exists():
                refuse(name, f"{getattr(args, name)}: no such file")
    train.save_path = str(runs_path(train.save_path).absolute())
    if train.resume is not None:
        train.resume = str(find_checkpoint(train.resume, train.save_path, KIND).resolve())
    return args


def of_rollouts(args: Args) -> Args:
    """The settings with those that rollouts do not depend on at their defaults."""
    same = Args(rollout_config=args.rollout_config)
    for name in ("synchronous", "seed", "dtype", "wait_limit", "model_path", "weights_path", "temperature"):
        setattr(same, name, getattr(args, name))
    needed = ("num_workers", "batch_size_per_gpu", "batches_per_iteration", "context_length", "vf_ewma_beta")
    for name in (*needed, "use_normalized_vf", "zero_initial_vf"):
        setattr(same.train_config, name, getattr(args.train_config, name))
    same.train_config.kl_divergence_coef_rho = float(
        args.train_config.kl_divergence_coef_rho > 0
    )  # a reference policy?
    return same


def check_resources(args: Args) -> None:
    """Refuse what this cluster can never have. Raises PartyError."""
    rollout, train = args.rollout_config, args.train_config
    have = ray.cluster_resources()
    for key, what in (("CPU", "num_cpus_per_worker"), ("GPU", "num_gpus_per_worker")):
        learn = train.num_workers * getattr(train, what)
        learn += train.num_workers * train.num_readers * train.num_cpus_per_reader if key == "CPU" else 0
        collect = sum(getattr(flat(args, i), what) for i in range(rollout.num_rollout_workers))
        if learn + collect > have.get(key, 0) + 1e-6:
            raise PartyError(
                f"the trainer ranks want {learn:g} {key}s and the rollout workers {collect:g}, but this Ray cluster "
                f"has {have.get(key, 0):g}: add some, or lower rollout_config.{what} (0 works) or train_config.{what}; "
                "if a script started it for a smaller run, --stop ends it"
            )


def stop_rollouts() -> None:
    """End the rollouts of this namespace and remove their files."""
    for name in SERVICES:
        with contextlib.suppress(ValueError, ray.exceptions.RayError):
            actor = ray.get_actor(name)
            with contextlib.suppress(ray.exceptions.RayError):
                ray.get(actor.close.remote(), timeout=20.0)
            ray.kill(actor)
    for name in ray.util.list_named_actors():
        if name.startswith(SERVER):
            with contextlib.suppress(ValueError, ray.exceptions.RayError):
                server = ray.get_actor(name)
                with contextlib.suppress(ray.exceptions.RayError):  # if the replay service did not
                    ray.get(server.remove.remote(), timeout=5.0)
                ray.kill(server)


@contextlib.contextmanager
def cluster(args: Args) -> Iterator[None]:
    """Joins Ray's cluster. If one was started for it, and it turns out to be no good, it is ended again."""
    rollout, train = args.rollout_config, args.train_config
    cores = train.num_workers * (train.num_cpus_per_worker + train.num_readers * train.num_cpus_per_reader)
    cores += sum(flat(args, i).num_cpus_per_worker for i in range(rollout.num_rollout_workers))
    cores = max(os.cpu_count() or 1, math.ceil(cores))  # a laptop's may be shared
    started = connect(args.address, args.namespace, cores, outlive=args.detach_rollout_manager)
    try:
        yield
    except PartyError:
        if started:
            end_cluster()
        raise


def stop(args: Args) -> None:
    """End the rollouts that were left behind, and Ray if a script like this one started it."""
    if args.address is None and not running_cluster():
        logger.info("no Ray cluster runs here: nothing to stop")
        return
    connect(args.address or "auto", args.namespace, 1, outlive=False)
    stop_rollouts()
    logger.info("stopped the rollouts" + (" and Ray" if end_cluster() else ""))


EXPECTED = (VPTFileError, CheckpointError, FragmentStoreError, FloatingPointError, OSError, SettingsError, PartyError)


def main(argv: list[str] | None = None) -> None:
    make_console()
    args = parse(Args, __doc__, argv)
    if args.laptop:
        args = parse(from_config(Args, LAPTOP), __doc__, argv)
    if args.stop:
        return stop(args)
    train = args.train_config
    if train.resume is not None:  # settings that are not given are the checkpoint's
        folder = find_checkpoint(train.resume, runs_path(train.save_path), KIND)
        args = parse(from_config(Args, read_manifest(folder)["args"]), __doc__, argv)
        args.train_config.resume, args.train_config.resume_optimizer = str(folder), train.resume_optimizer
    start_rolloutmanager(policy_generator, env_generator, args)
    start_trainer(policy_generator, env_generator, args)


# ===== the policy and the algorithm: this block is the same, line for line, in ppo_vpt_distributed.py =====

logger = logging.getLogger("ppo_vpt")


# POLICY: the network of VPT (arXiv 2206.11795). Names and shapes of its 134 tensors (4 blocks) are the published ones,
# so OpenAI's and MineStudio's weights load as they are. Letters: B batch, T steps in a call, L recurrent blocks,
# m memory slots, d hidden size, H heads, e = d / H.


class VPTMemory(NamedTuple):
    """What the policy remembers: projected keys and values of each row's last m steps, in ring buffers.

    One cursor serves the whole batch. It is a tensor, so advancing it never waits for the GPU. A step that sees nothing
    of its past (a new episode) only clears `valid`; the ring goes on turning.
    """

    keys: torch.Tensor  # float32 [L, B, m, d]
    values: torch.Tensor  # float32 [L, B, m, d]
    valid: torch.Tensor  # bool [B, m]: this slot holds a step of the row's current episode
    cursor: torch.Tensor  # int64 []: the next slot to write, which is the oldest

    def ordered(self) -> "VPTMemory":
        """A copy with the oldest slot first and the cursor at 0 (OpenAI's layout of the state)."""
        slots = (self.cursor + torch.arange(self.valid.shape[1], device=self.valid.device)) % self.valid.shape[1]
        keys, values = self.keys.index_select(2, slots), self.values.index_select(2, slots)
        return VPTMemory(keys, values, self.valid.index_select(1, slots), torch.zeros_like(self.cursor))

    def rows(self, index) -> "VPTMemory":
        """The batch rows that `index` (slice, list or int tensor) selects."""
        return VPTMemory(self.keys[:, index], self.values[:, index], self.valid[index], self.cursor)

    @staticmethod
    def cat(memories: "list[VPTMemory]") -> "VPTMemory":
        """One batch from several, whose cursors must be the same: of calls alike, or `ordered()`."""
        keys, values, valid, cursors = zip(*memories, strict=True)
        if cursors[0].device.type == "cpu" and any(cursor != cursors[0] for cursor in cursors):
            raise ValueError("VPTMemory.cat needs memories with the same cursor: call ordered() on each first")
        return VPTMemory(torch.cat(keys, 1), torch.cat(values, 1), torch.cat(valid), cursors[0].clone())


class PolicyOutput(NamedTuple):
    buttons: torch.Tensor  # float32 [B, T, 8641] log-probabilities
    camera: torch.Tensor  # float32 [B, T, 121] log-probabilities
    vpred: torch.Tensor  # float32 [B, T] value in the normaliser's space; VPTPolicy.denormalize gives returns
    memory: VPTMemory


class Window(NamedTuple):
    """Who sees whom in one call, alike in every block. The J keys: m slots, then (unless `ring`) the T new steps."""

    ring: bool  # the new step takes the slot of the oldest, and attention runs over the ring itself
    age: torch.Tensor  # int64 [T, J]: by how many steps the key is older than the query, clipped to 0 ... m - 1
    hidden: torch.Tensor  # bool [B, 1, T, J]: the query may not see the key
    slots: torch.Tensor  # int64 [min(T, m)]: where the last new steps are stored
    valid: torch.Tensor  # bool [B, m]: VPTMemory.valid after the call
    cursor: torch.Tensor  # int64 []: VPTMemory.cursor after the call


def attention_window(first: torch.Tensor, memory: VPTMemory) -> Window:
    """A step sees itself and the m - 1 steps before it, back to the last `first` (bool [B, T]), wherever that lies.

    Steps are numbered by episode: 0 goes on from the memory, and each `first` in the call adds one. Query and key must
    have the same number, which makes any division of a sequence into calls give the same result.
    """
    T, m, device = first.shape[1], memory.valid.shape[1], first.device
    steps, ring = torch.arange(T, device=device), torch.arange(m, device=device)
    episode = first.cumsum(1)
    old = torch.where(memory.valid, 0, -1)  # -1 equals no step's episode
    slots = (memory.cursor + steps[-m:]) % m
    valid = (old == episode[:, -1:]).index_copy(1, slots, episode[:, -m:] == episode[:, -1:])
    cursor = (memory.cursor + T) % m
    if T == 1 and not torch.is_grad_enabled():  # the oldest slot has left the window, so the new step may overwrite it
        age = (memory.cursor - ring) % m
        return Window(True, age[None], ~valid[:, None, None], slots, valid, cursor)
    age = torch.cat([steps[:, None] + 1 + (memory.cursor - 1 - ring) % m, steps[:, None] - steps], 1)
    same = episode[:, :, None] == torch.cat([old, episode], 1)[:, None]
    hidden = ~(same & (age >= 0) & (age < m))
    return Window(False, age.clamp(0, m - 1), hidden[:, None], slots, valid, cursor)


def scale_rows_(layer: nn.Conv2d | nn.Linear, norm: float) -> nn.Conv2d | nn.Linear:
    """VPT's initialisation: torch's default, then every output unit's weights rescaled to this L2 norm; no bias."""
    with torch.no_grad():
        rows = layer.weight.flatten(1)  # torch's default is contiguous: a view
        rows.mul_(norm / rows.norm(dim=1, keepdim=True))
        if layer.bias is not None:
            layer.bias.zero_()
    return layer


class FrameNorm(nn.GroupNorm):
    """Normalises over all channels and pixels of a frame: GroupNorm with one group.

    On CUDA torch's kernel would copy channels-last frames to channels-first and the next convolution would copy them
    back, so there a frame is normalised as one long row, where it lies.
    """

    def __init__(self, channels: int):
        super().__init__(1, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.as_row(x) if x.is_cuda else super().forward(x)

    def as_row(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):  # in bfloat16 the kernel's statistics still are float32
            frame = x.permute(0, 2, 3, 1)
            frame = F.layer_norm(frame, frame.shape[1:], eps=self.eps)
            return torch.addcmul(self.bias.to(x.dtype), frame, self.weight.to(x.dtype)).permute(0, 3, 1, 2)


class FanIn(nn.Module):
    """norm -> layer -> ReLU. The norm acts on the layer's input, and a layer has a bias exactly when it has no norm."""

    def __init__(self, kind: str, n_in: int, n_out: int, scale: float = 1.0, norm: bool = True, relu: bool = True):
        super().__init__()
        conv = kind == "conv"
        self.norm = (FrameNorm(n_in) if conv else nn.LayerNorm(n_in)) if norm else nn.Identity()
        layer = nn.Conv2d(n_in, n_out, 3, padding=1, bias=not norm) if conv else nn.Linear(n_in, n_out, bias=not norm)
        self.layer, self.relu = scale_rows_(layer, scale), relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer(self.norm(x))
        return F.relu_(x) if self.relu else x


class ImpalaStack(nn.Module):
    def __init__(self, n_in: int, n_out: int, num_stacks: int, first: bool):
        super().__init__()
        scale = math.sqrt(math.sqrt(num_stacks) / math.sqrt(2))
        self.firstconv = FanIn("conv", n_in, n_out, norm=not first, relu=False)
        self.n = FrameNorm(n_out)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({name: FanIn("conv", n_out, n_out, scale) for name in ("conv0", "conv1")}) for _ in range(2)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # ReLU and maximum commute: rectifying after the pool gives the same numbers for a quarter of the work.
        x = self.n(F.relu_(F.max_pool2d(self.firstconv(x), 3, stride=2, padding=1)))
        for block in self.blocks:
            x = x + block.conv1(block.conv0(x))
        return x


class ImpalaCNN(nn.Module):
    def __init__(self, img_shape: list[int], chans: list[int]):
        super().__init__()
        height, width, n_in = img_shape
        self.stacks = nn.ModuleList()
        for i, n_out in enumerate(chans):
            self.stacks.append(ImpalaStack(n_in, n_out, len(chans), first=i == 0))
            height, width, n_in = (height + 1) // 2, (width + 1) // 2, n_out
        self.dense = FanIn("linear", n_in * height * width, 256, scale=1.4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """uint8 [N, H, W, 3] -> [N, 256]"""
        x = image.permute(0, 3, 1, 2).float().div_(255)  # a permuted view of H, W, C is torch's channels-last format
        for stack in self.stacks:
            x = stack(x)
        return self.dense(x.flatten(1))


class Attention(nn.Module):
    """Logits are q_i . k_j / e + sum_n r_i[n] b_nd[n, age_ij]: a relative bias that depends on the query, for each head
    through its own ten numbers r; the table b_nd is common to the heads."""

    def __init__(self, d: int, heads: int, m: int, scale: float):
        super().__init__()
        self.heads = heads
        self.b_nd = nn.Parameter(0.2 * torch.randn(10, m))
        self.q_layer = scale_rows_(nn.Linear(d, d), 0.1)
        self.k_layer = scale_rows_(nn.Linear(d, d, bias=False), 0.2)
        self.v_layer = scale_rows_(nn.Linear(d, d, bias=False), math.sqrt(scale))
        self.proj_layer = scale_rows_(nn.Linear(d, d), math.sqrt(scale))
        self.r_layer = scale_rows_(nn.Linear(d, 10 * heads), 0.1)

    def forward(self, x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, window: Window) -> torch.Tensor:
        """x [B, T, d] -> [B, T, d]; writes the new steps into this block's rings `keys` and `values` [B, m, d]."""
        new = len(window.slots)
        q, k, v, r = self.q_layer(x), self.k_layer(x), self.v_layer(x), self.r_layer(x)
        with torch.autocast(x.device.type, enabled=False):  # logits, bias and softmax in float32
            q, k, v, r = q.float(), k.float(), v.float(), r.float().unflatten(-1, (self.heads, 10))
            # A ring holds the new step once that is written; several steps would overwrite what the first still sees.
            all_k, all_v = (keys, values) if window.ring else (torch.cat([keys, k], 1), torch.cat([values, v], 1))
            keys.index_copy_(1, window.slots, k[:, -new:].detach())
            values.index_copy_(1, window.slots, v[:, -new:].detach())
            # One matmul per query step against b_nd's columns laid out by age. Gathering this small table is cheap in
            # the backward pass; gathering B x H matrices of logits would not be.
            bias = torch.einsum("bihn,ijn->bhij", r, F.embedding(window.age, self.b_nd.t()))
            bias = bias.masked_fill_(window.hidden, -math.inf)  # a row is never empty: a step sees itself
            q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, all_k, all_v))  # [B, H, J, e]
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1 / q.shape[-1])  # not 1 / sqrt(e)
        return self.proj_layer(out.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, d: int, heads: int, m: int, ratio: int, num_blocks: int):
        super().__init__()
        scale = (2 * num_blocks) ** -0.5
        self.mlp0 = FanIn("linear", d, ratio * d)
        self.mlp1 = FanIn("linear", ratio * d, d, scale, norm=False, relu=False)
        self.pre_r_ln = nn.LayerNorm(d)
        self.r = nn.ModuleDict({"orc_block": Attention(d, heads, m, scale)})

    def forward(self, x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, window: Window) -> torch.Tensor:
        x = self.pre_r_ln(x)
        x = x + self.r.orc_block(x, keys, values, window)  # the residual carries the normalised x, as published
        return x + self.mlp1(self.mlp0(x))


class ValueNormalizer(nn.Module):
    """Exponentially weighted mean and standard deviation of the value targets.

    Frozen parameters and not buffers, because the published weights hold them under `.parameters()`. The debiasing term
    makes the statistics after one update those of the first batch. Deviations below 0.1 count as 0.1.
    """

    def __init__(self, beta: float = 0.99999, epsilon: float = 1e-5, per_element_update: bool = False):
        super().__init__()
        self.beta, self.epsilon, self.per_element_update = beta, epsilon, per_element_update
        self.enabled = True  # else mean 0 and deviation 1, always
        self.running_mean = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.running_mean_sq = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.debiasing_term = nn.Parameter(torch.zeros(()), requires_grad=False)

    @torch.no_grad()
    def update(self, x: torch.Tensor, mask: torch.Tensor | None = None, total: Callable = lambda sum: sum) -> None:
        """Take the targets x (any shape) into the statistics, only those where `mask` (bool, x's shape) is True.

        total: makes sums those over all processes.
        """
        if not self.enabled:
            return
        mask = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
        x, count = torch.where(mask, x.float(), 0.0), total(mask.sum())
        updates = count if self.per_element_update else count.clamp(max=1)  # nothing to average: no update
        weight = self.beta ** updates.double()  # 1 - 0.99999 has three digits in float32
        mean, mean_sq = total(x.sum()) / count.clamp(min=1), total(x.square().sum()) / count.clamp(min=1)
        self.running_mean.copy_(weight * self.running_mean + (1 - weight) * mean)
        self.running_mean_sq.copy_(weight * self.running_mean_sq + (1 - weight) * mean_sq)
        self.debiasing_term.copy_(weight * self.debiasing_term + (1 - weight))

    def statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(mean [1], standard deviation [1])"""
        if not self.enabled:
            return torch.zeros_like(self.running_mean), torch.ones_like(self.running_mean)
        debias = self.debiasing_term.clamp(min=self.epsilon)
        mean = self.running_mean / debias
        return mean, (self.running_mean_sq / debias - mean.square()).clamp(min=0.01).sqrt()

    def normalize(self, x: torch.Tensor) -> torch.Tensor:
        mean, std = self.statistics()
        return (x - mean) / std

    def denormalize(self, y: torch.Tensor) -> torch.Tensor:
        mean, std = self.statistics()
        return y * std + mean


class ValueHead(nn.Module):
    def __init__(self, d: int):
        super().__init__()
        self.linear = nn.Linear(d, 1)
        self.normalizer = ValueNormalizer()

    def loss(self, pred: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Mean squared error of normalised predictions against raw targets, which in train mode update the statistics
        first (at every call: an algorithm with several terms or epochs should call the normaliser itself)."""
        if self.training:
            self.normalizer.update(target.detach())
        return (pred - self.normalizer.normalize(target)).square().mean()


class VPTPolicy(nn.Module):
    """VPT's agent: Impala CNN per frame, transformer blocks with memory across frames, two action heads and a value.

    net_args: see check_net_args. temperature divides the logits; the weights do not hold it (see load_openai_policy).
    """

    def __init__(self, net_args: dict, temperature: float = 1.0):
        super().__init__()
        self.net_args, self.temperature = check_net_args(net_args), float(temperature)
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature must be positive, not {temperature}")
        a = self.net_args
        d, layers = a["hidsize"], a["n_recurrence_layers"]
        self.memory_size = a["attention_memory_size"] - a["timesteps"]  # timesteps has no other effect
        cnn = ImpalaCNN(a["img_shape"], [a["impala_width"] * chans for chans in a["impala_chans"]])
        block = (d, a["attention_heads"], self.memory_size, a["pointwise_ratio"], layers)
        self.net = nn.ModuleDict({"img_process": nn.ModuleDict({"cnn": cnn, "linear": FanIn("linear", 256, d)})})
        if a["use_pre_lstm_ln"]:
            self.net["pre_lstm_ln"] = nn.LayerNorm(d)
        self.net["recurrent_layer"] = nn.ModuleDict({"blocks": nn.ModuleList(Block(*block) for _ in range(layers))})
        self.net["lastlayer"] = FanIn("linear", d, d)
        self.net["final_ln"] = nn.LayerNorm(d)
        self.value_head = ValueHead(d)
        heads = {"camera": 121, "buttons": 8641}
        self.pi_head = nn.ModuleDict({k: nn.ModuleDict({"linear_layer": nn.Linear(d, n)}) for k, n in heads.items()})
        self.to(memory_format=torch.channels_last)

    def initial_memory(self, batch_size: int) -> VPTMemory:
        """Empty memory for `batch_size` rows: every slot is there, none is valid."""
        device, m, a = self.value_head.linear.weight.device, self.memory_size, self.net_args
        ring = torch.zeros(a["n_recurrence_layers"], batch_size, m, a["hidsize"], device=device)
        valid = torch.zeros(batch_size, m, dtype=torch.bool, device=device)
        return VPTMemory(ring, ring.clone(), valid, torch.zeros((), dtype=torch.int64, device=device))

    def denormalize(self, vpred: torch.Tensor) -> torch.Tensor:
        """Value predictions -> returns in reward units."""
        return self.value_head.normalizer.denormalize(vpred)

    def forward(
        self, image: torch.Tensor, first: torch.Tensor, memory: VPTMemory, inplace: bool = False
    ) -> PolicyOutput:
        """T steps of B environments. Any division of a sequence into calls gives the same outputs.

        image: uint8 [B, T, H, W, 3], RGB. first: bool [B, T], True where an observation begins an episode; that step
        and those after it see nothing older. memory: what the call before returned, or initial_memory(B); it is left
        as it is unless `inplace` says that the result may take its buffers (rollout: no allocation per step).
        The memory returned carries no gradient. Under autocast the attention, norm statistics and heads stay float32.
        """
        return self.heads(*self.encode(image, first, memory, inplace))

    def encode(
        self, image: torch.Tensor, first: torch.Tensor, memory: VPTMemory, inplace: bool = False
    ) -> tuple[torch.Tensor, VPTMemory]:
        """All but the heads -> (latents float32 [B, T, d], memory)."""
        (B, T), shape = first.shape, [*first.shape, *self.net_args["img_shape"]]
        if image.dtype != torch.uint8 or list(image.shape) != shape:
            raise ValueError(f"image must be uint8 {shape}, not {image.dtype} {list(image.shape)}")
        if first.dtype != torch.bool:
            raise TypeError(f"first must be bool, not {first.dtype}")
        if memory.valid.shape != (B, self.memory_size):
            raise ValueError(f"memory is for {list(memory.valid.shape)} (rows, slots), not {[B, self.memory_size]}")
        window, net = attention_window(first, memory), self.net
        keys, values = (memory.keys, memory.values) if inplace else (memory.keys.clone(), memory.values.clone())
        x = net.img_process.linear(net.img_process.cnn(image.flatten(0, 1))).unflatten(0, (B, T))
        x = x.float()  # under autocast the residual stream stays float32
        x = net.pre_lstm_ln(x) if "pre_lstm_ln" in net else x
        for layer, block in enumerate(net.recurrent_layer.blocks):
            x = block(x, keys[layer], values[layer], window)
        x = net.lastlayer(F.relu(x))
        if inplace:
            memory.valid.copy_(window.valid)
            memory.cursor.copy_(window.cursor)
        with torch.autocast(x.device.type, enabled=False):
            latents = net.final_ln(x.float())
        return latents, memory if inplace else VPTMemory(keys, values, window.valid, window.cursor)

    def heads(
        self, latents: torch.Tensor, memory: VPTMemory | None = None, value_latents: torch.Tensor | None = None
    ) -> PolicyOutput:
        """Action and value heads of latents [B, T, d]; `memory` is passed on. value_latents: others for the value."""
        with torch.autocast(latents.device.type, enabled=False):
            vpred = self.value_head.linear(latents if value_latents is None else value_latents).squeeze(-1)
            tempered, heads = latents / self.temperature, (self.pi_head.buttons, self.pi_head.camera)
            layers = [(head.linear_layer.weight, head.linear_layer.bias / self.temperature) for head in heads]
            buttons, camera = (F.log_softmax(F.linear(tempered, weight, bias), -1) for weight, bias in layers)
        return PolicyOutput(buttons, camera, vpred, memory)


def load_openai_policy(model_path, weights_path=None, temperature: float | None = None) -> VPTPolicy:
    """A policy from OpenAI's or MineStudio's files, see vpt_files.load_policy. Raises VPTFileError."""
    return load_policy(VPTPolicy, model_path, weights_path, temperature)


def begin_training(args: Any, policy: VPTPolicy) -> VPTPolicy | None:
    """Set up the policy's value head; -> the reference policy, if one is wanted."""
    head = policy.value_head
    head.normalizer.beta, head.normalizer.enabled = args.vf_ewma_beta, args.use_normalized_vf
    if args.zero_initial_vf:
        with torch.no_grad():  # its statistics too: they start anew
            for parameter in head.parameters():
                parameter.zero_()
    return copy.deepcopy(policy).requires_grad_(False) if args.kl_divergence_coef_rho > 0 else None


# ACTION HEADS: two independent categoricals, buttons and camera. The joint log-probability, entropy and KL are the sums
# of both, also where the buttons' camera bit makes the camera index irrelevant: this is the policy VPT was trained as.


def sample_actions(output: PolicyOutput, generator: torch.Generator | None = None, deterministic: bool = False):
    """(buttons, camera), int64 [B, T] each: sampled, or the likeliest if `deterministic`. Buttons are drawn first."""
    if deterministic:
        return tuple(log_probs.argmax(-1) for log_probs in (output.buttons, output.camera))
    return tuple(sample_categorical(log_probs, generator) for log_probs in (output.buttons, output.camera))


def sample_categorical(log_probs: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """A sample per row by inverting the cumulative distribution: one uniform number, where Gumbel noise takes 8,641."""
    cumulative = log_probs.exp().cumsum(-1)
    u = torch.rand((*log_probs.shape[:-1], 1), generator=generator, device=log_probs.device)
    sample = torch.searchsorted(cumulative, u * cumulative[..., -1:], right=True).squeeze(-1)
    return sample.clamp_(max=log_probs.shape[-1] - 1)  # u * total may round up to the total


def log_prob(output: PolicyOutput, buttons: torch.Tensor, camera: torch.Tensor) -> torch.Tensor:
    """Joint log-probability [B, T] of the actions (int64 [B, T] each)."""
    buttons, camera = output.buttons.gather(-1, buttons[..., None]), output.camera.gather(-1, camera[..., None])
    return (buttons + camera).squeeze(-1)


def entropy(output: PolicyOutput) -> torch.Tensor:
    """Joint entropy [B, T] in nats; at most ln 8641 + ln 121 = 13.86. (To forbid an action, take -1e9 for its logit:
    with -inf this would be NaN.)"""
    return -sum((lp.exp() * lp).sum(-1) for lp in (output.buttons, output.camera))


def kl_divergence(p: PolicyOutput, q: PolicyOutput) -> torch.Tensor:
    """KL(p || q) [B, T] of the joint distributions."""
    heads = ((p.buttons, q.buttons), (p.camera, q.camera))
    return sum((lp.exp() * (lp - lq)).sum(-1) for lp, lq in heads)


# ALGO LOGIC: advantages and losses. mu is the policy that acted, pi_prox the one at the iteration's beginning, around
# which the ratio is clipped, pi_theta the one in training. All are [B, T], ratios are formed in log space.


def gae(rewards, values, terminated, truncated, valid, discount: float, gae_lambda: float):
    """Generalized advantage estimation (arXiv 1506.02438) -> (advantages, returns), float32 [B, T], 0 where not valid.

    rewards float32, terminated, truncated, valid bool [B, T]; values float32 [B, T + 1], the last that of the
    observation after. With NEXT_STEP autoreset the observation after an episode's last step is its final one, so
    `values[:, t + 1]` is what a truncated step bootstraps from; that next step only resets (`valid` False) and carries
    nothing on.
    """
    advantages = torch.zeros_like(rewards)
    lastgaelam = torch.zeros_like(rewards[:, 0])
    for t in reversed(range(rewards.shape[1])):
        # bootstrap value if not done, or if only time ran out
        delta = rewards[:, t] + discount * values[:, t + 1] * ~terminated[:, t] - values[:, t]
        lastgaelam = delta + discount * gae_lambda * lastgaelam * ~(terminated[:, t] | truncated[:, t])
        lastgaelam = lastgaelam * valid[:, t]
        advantages[:, t] = lastgaelam
    return advantages, (advantages + values[:, :-1]) * valid


def vtrace(rewards, values, terminated, truncated, valid, logrho, discount: float, gae_lambda: float, clip: float):
    """V-trace (arXiv 1802.01561, section 4.1) -> (advantages, returns), as `gae`; logrho [B, T] = log pi_prox - log mu.

    rho = min(clip, pi_prox / mu) weighs both, so a loss must not weigh by pi_prox / mu again. On fresh fragments the
    returns v are those of `gae`; advantages are r + discount v_{t+1} - V(s_t).
    """
    rho = logrho.exp().clamp(max=clip)
    advantages, returns = torch.zeros_like(rewards), torch.zeros_like(rewards)
    correction = torch.zeros_like(rewards[:, 0])  # v_{t+1} - V(s_{t+1})
    for t in reversed(range(rewards.shape[1])):
        correction = correction * ~(terminated[:, t] | truncated[:, t])
        delta = rewards[:, t] + discount * values[:, t + 1] * ~terminated[:, t] - values[:, t]
        advantages[:, t] = rho[:, t] * (delta + discount * correction) * valid[:, t]
        # c = lambda min(c-bar, pi_prox / mu), and c-bar = rho-bar
        correction = rho[:, t] * (delta + discount * gae_lambda * correction) * valid[:, t]
        returns[:, t] = (correction + values[:, t]) * valid[:, t]
    return advantages, returns


def masked_mean(x: torch.Tensor, mask: torch.Tensor, total: Callable = lambda sum: sum) -> torch.Tensor:
    """Mean of `x` where `mask`; 0 if nowhere. What is masked may be NaN. total: makes sums those over all processes."""
    return total(torch.where(mask, x, 0.0).sum()) / total(mask.sum()).clamp(min=1)


def normalize_advantages(advantages: torch.Tensor, valid: torch.Tensor, total: Callable = lambda sum: sum):
    """To mean 0 and standard deviation 1 over the valid steps (with `total`, of all processes); 0 elsewhere."""
    mean = masked_mean(advantages, valid, total)
    std = masked_mean((advantages - mean) ** 2, valid, total).sqrt()
    return torch.where(valid, (advantages - mean) / (std + 1e-8), 0.0)


def off_policy_terms(loss: str, proxlogprob, logprob, is_clip: float, log_ratio_range: float):
    """Under staleness: (log-probability the ratio is formed with, weight of the step); proxlogprob is log pi_prox.

    decoupled: clip around pi_prox, weigh by w = min(pi_prox / mu, is_clip) (arXiv 2110.00641, equation 2).
    behavior: clip around mu, as plain PPO. proximal: clip around pi_prox and ignore mu, as MineStudio does.
    """
    if loss == "behavior":
        return logprob, torch.ones_like(logprob)
    if loss == "proximal":
        return proxlogprob, torch.ones_like(logprob)
    return proxlogprob, (proxlogprob - logprob).clamp(-log_ratio_range, log_ratio_range).exp().clamp(max=is_clip)


def policy_loss(newlogprob, oldlogprob, advantages, weights, ppo_clip: float, log_ratio_range: float):
    """PPO's clipped loss (arXiv 1707.06347, equation 7), weighed, at each step -> (loss, log ratio)."""
    logratio = (newlogprob - oldlogprob).clamp(-log_ratio_range, log_ratio_range)
    ratio = logratio.exp()
    pg_loss1 = -advantages * ratio
    pg_loss2 = -advantages * torch.clamp(ratio, 1 - ppo_clip, 1 + ppo_clip)
    return weights * torch.max(pg_loss1, pg_loss2), logratio


def value_loss(vpred, returns, oldvpred, clip: float | None):
    """Squared error of the value predictions at each step, all in the normalizer's space.

    clip: count a prediction as if it had moved at most so far from `oldvpred`, where that is worse (OpenAI baselines).
    """
    loss = (vpred - returns) ** 2
    if clip is None:
        return loss
    clipped = oldvpred + (vpred - oldvpred).clamp(-clip, clip)
    return torch.max(loss, (clipped - returns) ** 2)


# FRAGMENTS: T = fragment_length steps of one environment. A chunk is the unit of the replay, fragments_per_chunk
# consecutive fragments: S steps and the observation after them.


class Fragments(NamedTuple):
    """C chunks of S steps, as they were collected. What follows the last step is there for its value."""

    images: torch.Tensor  # uint8 [C, S + 1, H, W, 3]
    first: torch.Tensor  # bool [C, S + 1]: the first observation of an episode
    values: torch.Tensor  # float32 [C, S + 1]: estimates of the policy that acted
    buttons: torch.Tensor  # int64 [C, S]
    camera: torch.Tensor  # int64 [C, S]
    logprobs: torch.Tensor  # float32 [C, S]: log mu, of the policy that acted
    rewards: torch.Tensor  # float32 [C, S]
    terminated: torch.Tensor  # bool [C, S]
    truncated: torch.Tensor  # bool [C, S]
    valid: torch.Tensor  # bool [C, S]: False where the environment only reset and the action was ignored
    versions: torch.Tensor  # int64 [C, S]: of the weights that acted
    memory_keys: torch.Tensor  # float32 [C, L, m, d]: the policy's memory before the first step, oldest first
    memory_values: torch.Tensor  # float32 [C, L, m, d]
    memory_valid: torch.Tensor  # bool [C, m]
    reference_latents: torch.Tensor  # float32 [C, S, d]: its heads make log-probabilities of them; or S = 0

    def memory(self) -> VPTMemory:
        cursor = torch.zeros((), dtype=torch.int64, device=self.memory_keys.device)
        return VPTMemory(
            self.memory_keys.transpose(0, 1), self.memory_values.transpose(0, 1), self.memory_valid, cursor
        )

    def rows(self, index: Any) -> "Fragments":
        """The chunks that `index` selects; a slice gives views."""
        return Fragments(*(tensor[index] for tensor in self))

    @classmethod
    def empty(cls, chunks: int, steps: int, net_args: dict, reference: bool, device: torch.device) -> "Fragments":
        d, m = net_args["hidsize"], net_args["attention_memory_size"] - net_args["timesteps"]
        shapes = {
            **{"images": (steps + 1, *net_args["img_shape"]), "first": (steps + 1,), "values": (steps + 1,)},
            **dict.fromkeys(("memory_keys", "memory_values"), (net_args["n_recurrence_layers"], m, d)),
            **{"memory_valid": (m,), "reference_latents": (steps if reference else 0, d)},
        }
        types = {"images": torch.uint8, **dict.fromkeys(("buttons", "camera", "versions"), torch.int64)}
        types |= dict.fromkeys(("first", "terminated", "truncated", "valid", "memory_valid"), torch.bool)
        tensors = ((chunks, *shapes.get(k, (steps,)), types.get(k, torch.float32)) for k in cls._fields)
        return cls(*(torch.zeros(shape, dtype=dtype, device=device) for *shape, dtype in tensors))


def groups(items: Any, size: int) -> list:
    """A sequence in pieces of `size`; the last may be shorter."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def slices(length: int, size: int) -> list[slice]:
    """0 ... length - 1 in pieces of `size`."""
    return [slice(i, min(i + size, length)) for i in range(0, length, size)]


class Collector:
    """COLLECT FRAGMENTS: acts in all environments, and gives out what happened in chunks."""

    def __init__(self, args: Any, policy: VPTPolicy, reference: VPTPolicy | None, envs: Any, device: torch.device):
        self.args, self.policy, self.reference, self.envs, self.device = args, policy, reference, envs, device
        self.bfloat16 = use_bfloat16(args.dtype, device, policy.net_args["hidsize"])
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16)
        self.env_device = getattr(envs, "device", torch.device("cpu"))
        self.action_rng = torch.Generator(device).manual_seed(args.seed)
        self.version = 0  # of the weights
        self.global_step = 0  # environment steps, resets not counted
        self.interrupted = False
        self.video: VideoRecorder | None = None
        self.episode_returns: deque[float] = deque(maxlen=100)
        self.episode_lengths: deque[int] = deque(maxlen=100)

        n = args.num_envs
        self.acting = slices(n, args.inference_batch_size or n)
        self.watching = slices(n, args.batch_size_per_gpu) if reference else []  # it sees many steps at once
        memories = lambda parts: [policy.initial_memory(at.stop - at.start) for at in parts]  # noqa: E731
        self.memories, self.reference_memories = memories(self.acting), memories(self.watching)
        self.next_obs = envs.reset(seed=args.seed)[0]["image"]
        self.next_first = torch.ones(n, dtype=torch.bool, device=self.env_device)
        self.next_done = torch.zeros(n, dtype=torch.bool, device=self.env_device)
        self.last_reward = torch.zeros(n, device=self.env_device)
        self.steps = args.fragment_length * args.fragments_per_chunk
        self.t = 0  # steps that the chunks in progress have
        self.chunks = Fragments.empty(n, self.steps, policy.net_args, reference is not None, device)
        self.ended = torch.zeros(3, n, self.steps, device=self.env_device)  # of episodes: 1 at the end, return, length
        # Where policy and simulator share a GPU, a step of both is one CUDA graph.
        self.capturable = device.type == "cuda" and getattr(envs, "capturable", False)
        self.steps_to_warm_up, self.graph, self.played = 3, None, {}

    @torch.no_grad()
    def collect(self) -> Fragments | None:
        """A chunk of every environment; None after an interrupt, and the next call goes on there."""
        chunks, steps = self.chunks, self.steps
        if self.t == 0:
            memory = VPTMemory.cat(self.memories).ordered()
            chunks.memory_keys.copy_(memory.keys.transpose(0, 1))
            chunks.memory_values.copy_(memory.values.transpose(0, 1))
            chunks.memory_valid.copy_(memory.valid)
        for fragment in slices(steps, self.args.fragment_length):
            if self.t == fragment.start:
                self.refresh()
                chunks.versions[:, fragment] = self.version
            with self.autocast:  # around all its steps: leaving it would drop the weights' bfloat16 copies
                while self.t < fragment.stop:
                    self.step(chunks, self.t)
                    self.t += 1
                    if self.interrupted:
                        return None
        chunks.images[:, steps], chunks.first[:, steps] = self.next_obs, self.next_first
        for at, memory in zip(self.acting, self.memories, strict=True):
            with self.autocast:  # not in place: this observation will be seen again, by the step that acts on it
                output = self.policy(chunks.images[at, steps:], chunks.first[at, steps:], memory)
            chunks.values[at, steps:] = self.policy.denormalize(output.vpred)
        self.finish(chunks, enumerate(self.watching), self.ended)
        self.t, self.chunks = 0, Fragments(*(torch.empty_like(tensor) for tensor in chunks))
        return chunks

    def refresh(self) -> None:
        """Called before each fragment: the time to change the weights, and with them `version`."""

    def begin_chunks(self) -> bool:
        """Have all chunks begin with the next step, if that can be -> whether it can: not while any is in progress."""
        return self.t == 0

    def step(self, chunks: Fragments, t: int) -> None:
        """Acts once in all environments and writes step `t`."""
        images = self.next_obs.to(self.device)
        chunks.images[:, t], chunks.first[:, t] = images, self.next_first
        filmed = self.video is not None and self.video.active
        step, ended = self.replay() if self.capturable and not filmed else self.play(images, filmed)
        for name, values in step.items():
            getattr(chunks, name)[:, t] = values
        for i, values in enumerate(ended):
            self.ended[i, :, t] = values

    def play(
        self, images: torch.Tensor, filmed: bool = False
    ) -> tuple[dict[str, torch.Tensor], tuple[torch.Tensor, ...]]:
        """Acts once in all environments, which show `images` -> (the step as Fragments have it, `ended`). What the next
        step needs changes in place: a CUDA graph goes on with the same memory."""
        first, acted = self.next_first[:, None].to(self.device), []
        for at, memory in zip(self.acting, self.memories, strict=True):
            output = self.policy(images[at, None], first[at], memory, inplace=True)
            buttons, camera = sample_actions(output, self.action_rng)
            acted.append((buttons, camera, log_prob(output, buttons, camera), self.policy.denormalize(output.vpred)))
        buttons, camera, logprobs, values = (torch.cat(parts)[:, 0] for parts in zip(*acted, strict=True))
        if filmed and self.video.wants(bool(self.next_first[0])):
            self.video.step(float(values[0]), int(buttons[0]), int(camera[0]), float(self.last_reward[0]))

        actions = {"buttons": buttons.to(self.env_device), "camera": camera.to(self.env_device)}
        obs, rewards, terminated, truncated, infos = self.envs.step(actions)
        # The step after an episode's end only resets (Gymnasium's NEXT_STEP): its action taught nothing.
        step = {"buttons": buttons, "camera": camera, "logprobs": logprobs, "values": values, "valid": ~self.next_done}
        step |= {"rewards": rewards, "terminated": terminated, "truncated": truncated}
        self.next_obs = obs["image"]
        self.last_reward.copy_(rewards)
        self.next_first.copy_(self.next_done)
        self.next_done.copy_(terminated | truncated)
        return step, (infos["_episode"], infos["episode"]["r"], infos["episode"]["l"])

    def replay(self) -> tuple[dict[str, torch.Tensor], tuple[torch.Tensor, ...]]:
        """`play` as one CUDA graph, which nothing waits for."""
        if self.steps_to_warm_up:
            self.steps_to_warm_up -= 1
            return self.play(self.next_obs)
        if self.graph is None:
            logger.info("policy and simulator step as one CUDA graph")
            self.graph = torch.cuda.CUDAGraph()
            self.graph.register_generator_state(self.action_rng)
            # Without autocast's copies of the weights, which would not be those of later steps.
            autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16, cache_enabled=False)
            with autocast, torch.cuda.graph(self.graph):
                self.played = self.play(self.next_obs)
        self.graph.replay()
        return self.played

    def finish(self, chunks: Fragments, parts: Iterable[tuple[int, slice]], ended: torch.Tensor) -> None:
        """Full chunks: the reference policy sees the same steps, with memories of its own carried from chunk to chunk;
        memory i is of the rows `at` for each (i, at) in parts. Its action heads' inputs are kept: 8,762
        log-probabilities for each step would need far more room. And steps and episodes are counted."""
        for i, at in parts if self.reference else ():
            for steps in slices(chunks.valid.shape[1], self.args.context_length):
                with self.autocast:
                    latents, self.reference_memories[i] = self.reference.encode(
                        chunks.images[at, steps], chunks.first[at, steps], self.reference_memories[i], inplace=True
                    )
                chunks.reference_latents[at, steps] = latents
        self.global_step += int(chunks.valid.sum())
        for _, returns, length in ended[:, ended[0] > 0].t().tolist():  # only now, so that no step waits
            self.episode_returns.append(returns)
            self.episode_lengths.append(length)

    def reference_is_now_the_policy(self) -> None:
        """After the reference took the policy's weights: what that remembers is what the reference remembers."""
        self.spread(VPTMemory.cat(self.memories), self.watching, self.reference_memories)

    @staticmethod
    def spread(whole: VPTMemory, parts: list[slice], memories: list[VPTMemory]) -> None:
        for at, memory in zip(parts, memories, strict=True):
            for tensor, value in zip(memory, whole.rows(at), strict=True):
                tensor.copy_(value)


class ReadyCollector(Collector):
    """For environments that are processes, each at its own pace, as Minecraft is: acts for the `inference_batch_size`
    that are ready first while the others step. Chunks are given out as they get full, one or more at a time; one whose
    environment failed is dropped."""

    def __init__(self, args: Any, policy: VPTPolicy, reference: VPTPolicy | None, envs: Any, device: torch.device):
        super().__init__(args, policy, reference, envs, device)
        n = args.num_envs
        self.at_once = min(args.inference_batch_size or n, n)
        self.acting = slices(n, 1)  # each has a memory of its own, ordered: any of them may act together
        self.watching = slices(n, 1) if reference else []
        self.memories = [policy.initial_memory(1) for _ in self.acting]
        self.reference_memories = [policy.initial_memory(1) for _ in self.watching]
        self.next_obs = self.next_obs.clone()
        self.have = torch.zeros(n, dtype=torch.int64)  # steps that each chunk has
        self.void = torch.zeros(n, dtype=torch.bool)  # the step under way is of a chunk that was dropped
        self.ready = torch.arange(n)  # environments that wait for an action
        self.acted_version = self.version

    @property
    def t(self) -> int:
        return int(self.have.sum())

    @t.setter
    def t(self, value: int) -> None:
        """Collector's way of counting."""

    def begin_chunks(self) -> bool:
        """They never begin together: those in progress are dropped, and what both policies remember of them."""
        self.have.zero_()
        self.void[:] = True
        self.void[self.ready] = False
        for memory in (*self.memories, *self.reference_memories):
            memory.valid.zero_()
        return True

    @torch.no_grad()
    def collect(self) -> Fragments | None:
        """The chunks that are full next; None after an interrupt, and the next call goes on there."""
        with self.autocast:
            while not self.interrupted:
                full = self.ready[self.have[self.ready] == self.steps]
                if len(full):
                    return self.hand_out(full)
                if (self.have[self.ready] % self.args.fragment_length == 0).any():
                    self.refresh()
                if self.version != self.acted_version:
                    self.acted_version = self.version
                    torch.clear_autocast_cache()  # the bfloat16 copies of the weights
                    if self.args.max_staleness == 0:
                        self.begin_chunks()
                for ids in groups(self.ready, self.at_once):
                    self.act(ids)
                self.receive()
        return None

    def act(self, ids: torch.Tensor) -> None:
        """Choose and send the actions of these environments."""
        chunks, t = self.chunks, self.have[ids]
        begins = ids[t == 0]
        for i in begins.tolist():
            memory = self.memories[i]
            chunks.memory_keys[i], chunks.memory_values[i] = memory.keys[:, 0], memory.values[:, 0]
            chunks.memory_valid[i] = memory.valid[0]
        chunks.images[ids, t] = self.next_obs[ids].to(self.device)
        chunks.first[ids, t] = self.next_first[ids].to(self.device)
        chunks.versions[ids, t] = self.version
        memory = VPTMemory.cat([self.memories[i] for i in ids.tolist()])
        output = self.policy(chunks.images[ids, t][:, None], chunks.first[ids, t][:, None], memory, inplace=True)
        buttons, camera = sample_actions(output, self.action_rng)
        chunks.logprobs[ids, t] = log_prob(output, buttons, camera)[:, 0]
        chunks.values[ids, t] = self.policy.denormalize(output.vpred)[:, 0]
        chunks.buttons[ids, t], chunks.camera[ids, t] = buttons[:, 0], camera[:, 0]
        after = output.memory.ordered()
        for row, i in enumerate(ids.tolist()):
            self.memories[i] = after.rows(slice(row, row + 1))
        buttons, camera = buttons[:, 0].cpu(), camera[:, 0].cpu()
        film = self.video is not None and self.video.active and (ids == 0).any()
        if film and self.video.wants(bool(self.next_first[0])):
            row = int((ids == 0).nonzero())
            value = float(chunks.values[0, t[row]])
            self.video.step(value, int(buttons[row]), int(camera[row]), float(self.last_reward[0]))
        self.envs.send({"buttons": buttons, "camera": camera}, ids)

    def receive(self) -> None:
        """Take in the results of those that are ready first."""
        ids, obs, rewards, terminated, truncated, infos = self.envs.recv(self.at_once)
        lost, void = infos["lost"], self.void[ids]
        kept = ~(lost | void)
        rows, t = ids[kept], self.have[ids[kept]]
        # The step after an episode's end only resets (Gymnasium's NEXT_STEP): its action taught nothing.
        results = {"valid": ~self.next_done[ids], "rewards": rewards, "terminated": terminated, "truncated": truncated}
        for name, values in results.items():
            getattr(self.chunks, name)[rows, t] = values[kept].to(self.device)
        for k, value in enumerate((infos["_episode"], infos["episode"]["r"], infos["episode"]["l"])):
            self.ended[k, rows, t] = value[kept].float()
        self.have[ids] = torch.where(lost, 0, self.have[ids] + kept)
        self.next_obs[ids], self.last_reward[ids] = obs["image"], rewards
        self.next_first[ids] = self.next_done[ids] | lost  # a lost one begins anew
        self.next_done[ids], self.void[ids] = terminated | truncated, False
        self.ready = ids

    def hand_out(self, ids: torch.Tensor) -> Fragments:
        """These environments' chunks, which are full."""
        chunks, steps = self.chunks.rows(ids), self.steps
        chunks.images[:, steps], chunks.first[:, steps] = self.next_obs[ids], self.next_first[ids]
        memory = VPTMemory.cat([self.memories[i] for i in ids.tolist()])
        output = self.policy(chunks.images[:, steps:], chunks.first[:, steps:], memory)  # will be seen again: a copy
        chunks.values[:, steps:] = self.policy.denormalize(output.vpred)
        self.finish(chunks, ((i, slice(row, row + 1)) for row, i in enumerate(ids.tolist())), self.ended[:, ids])
        self.have[ids] = 0
        return chunks


class Targets(NamedTuple):
    """What an iteration's C chunks are trained towards, float32 [C, S] but for `valid`."""

    oldlogprobs: torch.Tensor  # that the ratio is formed with
    weights: torch.Tensor  # w of the policy loss
    advantages: torch.Tensor
    returns: torch.Tensor
    oldvpreds: torch.Tensor  # value predictions as the iteration began, in the normalizer's space
    valid: torch.Tensor  # bool [C, S]

    def at(self, rows: Any, steps: slice = slice(None)) -> "Targets":
        return Targets(*(tensor[rows, steps] for tensor in self))


class Learner:
    """UPDATE THE POLICY: an iteration's chunks -> the next weights."""

    def __init__(self, args: Any, policy: VPTPolicy, reference: VPTPolicy | None, device: torch.device):
        self.args, self.policy, self.reference, self.device = args, policy, reference, device
        self.bfloat16 = use_bfloat16(args.dtype, device, policy.net_args["hidsize"])
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16)
        policy.pi_head.requires_grad_(not args.fix_decoder)
        # Decay pulls matrices to zero; for norms and biases zero has no such meaning.
        trained = [p for p in policy.parameters() if p.requires_grad]
        decayed = {"params": [p for p in trained if p.ndim >= 2], "weight_decay": args.weight_decay}
        others = {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0}
        self.optimizer = torch.optim.AdamW([decayed, others], lr=args.learning_rate, eps=args.adam_eps, fused=True)
        self.rng = np.random.default_rng(args.seed)
        self.micro_batch = args.batch_size_per_gpu // args.fragments_per_chunk  # chunks
        self.pieces = slices(args.fragment_length * args.fragments_per_chunk, args.context_length)
        self.iteration = 0  # iterations done, which is the weights' version
        self.optimizer_steps = 0
        self.trained_steps = 0  # environment steps trained on, each use counted
        self.nonfinite_steps = 0  # optimizer steps skipped in a row
        self.interrupted = False

    # What makes one learner of several processes, each with a part of the chunks (ppo_vpt_distributed.py).

    def total(self, x: torch.Tensor) -> torch.Tensor:
        """The sum over all processes of a tensor of any shape."""
        return x

    def add_up_gradients(self) -> None:
        """Give every process the sum of all processes' gradients."""

    def stopping(self) -> bool:
        """Was any process interrupted?"""
        return self.interrupted

    @property
    def learning_rate(self) -> float:
        progress = self.iteration / self.args.num_iterations if self.args.anneal_lr_linearly else 0.0
        return self.args.learning_rate * (1 - progress)

    @property
    def kl_coef(self) -> float:
        return self.args.kl_divergence_coef_rho * self.args.coef_rho_decay**self.iteration

    def update(self, replay: Replay, chunks: list[Chunk]) -> dict[str, float]:
        """One iteration -> metrics."""
        args, times, in_replay = self.args, [time.perf_counter()], [replay.seconds]
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        targets, metrics = self.prepare(replay, chunks)
        times.append(time.perf_counter())
        in_replay.append(replay.seconds)
        if self.iteration < args.vf_warmup:
            metrics |= self.optimize(replay, chunks, targets, self.vf_warmup_losses, args.epochs_per_iteration)
        else:
            metrics |= self.optimize(replay, chunks, targets, self.wake_losses, args.epochs_per_iteration)
            if args.sleep_epochs:
                metrics |= self.sleep(replay, chunks, targets)
        metrics |= {
            "charts/trained_steps": self.trained_steps,
            "charts/optimizer_steps": self.optimizer_steps,
            "charts/learning_rate": self.learning_rate,
            "charts/kl_coef": self.kl_coef,
            "invariants/weights_digest": weights_digest(self.policy),
            "time/prox_pass": times[1] - times[0] - (in_replay[1] - in_replay[0]),
            "time/update": time.perf_counter() - times[1] - (replay.seconds - in_replay[1]),
        }
        self.iteration += 1
        return metrics

    # CALCULATE ADVANTAGES

    @torch.no_grad()
    def prepare(self, replay: Replay, chunks: list[Chunk]) -> tuple[Targets, dict[str, float]]:
        """Log-probabilities and values of the current weights, and with them the targets -> (targets, metrics)."""
        args, columns = self.args, []
        batches = groups(chunks, self.micro_batch)
        for group, batch in zip(batches, replay.batches(batches, self.device), strict=True):
            stale = torch.tensor([chunk.version != self.iteration for chunk in group], device=self.device)
            fields = (batch.logprobs, batch.rewards, batch.terminated, batch.truncated, batch.valid)
            columns.append((*self.see_anew(batch, stale), *fields))
        columns = [torch.cat(column) for column in zip(*columns, strict=True)]
        proxlogprobs, values, logprobs, rewards, terminated, truncated, valid = columns

        logrho = (proxlogprobs - logprobs).clamp(-args.log_ratio_range, args.log_ratio_range)
        episodes, lambdas = (rewards, values, terminated, truncated, valid), (args.discount, args.gae_lambda)
        if args.advantage == "vtrace":
            advantages, returns = vtrace(*episodes, logrho, *lambdas, args.vtrace_clip)
        else:
            advantages, returns = gae(*episodes, *lambdas)
        values = values[:, :-1]
        if args.memory == "burn-in":
            valid = valid & (torch.arange(valid.shape[1], device=self.device) >= args.burn_in_length)
        if args.normalize_advantage_full_batch:
            advantages = normalize_advantages(advantages, valid, self.total)
        oldlogprobs, weights = off_policy_terms(args.loss, proxlogprobs, logprobs, args.is_clip, args.log_ratio_range)
        if args.advantage == "vtrace":
            weights = torch.ones_like(weights)  # the correction is in the advantages already
        now = (self.iteration, self.optimizer_steps)
        metrics = off_policy_metrics(chunks, *now, logrho, logrho.exp().clamp(max=args.is_clip), valid, args.is_clip)
        residual = masked_mean((returns - values) ** 2, valid, self.total)
        mean = masked_mean(returns, valid, self.total)
        variance = masked_mean((returns - mean) ** 2, valid, self.total)
        metrics["losses/explained_variance"] = float(1 - residual / variance)  # nan or -inf where all returns are equal
        oldvpreds = self.policy.value_head.normalizer.normalize(values)
        return Targets(oldlogprobs, weights, advantages, returns, oldvpreds, valid), metrics

    def memory(self, batch: Fragments) -> VPTMemory:
        """What is remembered at the chunks' first steps. Stored keys and values are as stale as their chunk."""
        return self.policy.initial_memory(len(batch.valid)) if self.args.memory == "zero" else batch.memory()

    def see_anew(self, batch: Fragments, stale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The pass over a batch of chunks that gives log pi_prox [C, S] and values [C, S + 1].

        Chunks that are not `stale` hold what it would give, so they are left out. Not so in bfloat16, which rounds
        otherwise in other batch shapes, nor with other memories than the stored ones.
        """
        proxlogprobs, values = batch.logprobs.clone(), batch.values.clone()
        rows = (stale | (self.bfloat16 or self.args.memory == "zero")).nonzero().flatten()
        if len(rows) == 0:
            return proxlogprobs, values
        batch = batch if len(rows) == len(stale) else batch.rows(rows)
        memory = self.memory(batch)
        for steps in [*self.pieces, slice(self.pieces[-1].stop, None)]:  # and the observation after the last step
            with self.autocast:
                output = self.policy(batch.images[:, steps], batch.first[:, steps], memory)
            memory = output.memory
            values[rows, steps] = self.policy.denormalize(output.vpred)
            if steps.stop is not None:
                proxlogprobs[rows, steps] = log_prob(output, batch.buttons[:, steps], batch.camera[:, steps])
        return proxlogprobs, values

    # OPTIMIZE: epochs of minibatches of whole chunks, back-propagating through context_length steps at once

    def optimize(
        self, replay: Replay, chunks: list[Chunk], targets: Targets, losses: Callable, epochs: int
    ) -> dict[str, float]:
        """Optimizer steps on `losses` -> metrics, means over the valid steps (invariants: maxima before the first)."""
        args, normalizer = self.args, self.policy.value_head.normalizer
        sums: dict[str, torch.Tensor] = {}
        grad_norms, skipped, weight = [], 0, torch.zeros((), device=self.device)
        for _ in range(epochs):
            order = self.rng.permutation(len(chunks))
            batches = replay.batches(
                [[chunks[i] for i in rows] for rows in groups(order, self.micro_batch)], self.device
            )
            for rows in groups(order, self.micro_batch * args.gradient_accumulation):
                if self.stopping():
                    break
                # Counts and statistics are the whole optimizer step's, so that accumulating changes nothing.
                step = targets.at(torch.from_numpy(rows).to(self.device))
                count = self.total(step.valid.sum()).clamp(min=1)
                statistics = copy.deepcopy(normalizer.state_dict())
                normalizer.update(step.returns, step.valid, self.total)
                self.optimizer.zero_grad(set_to_none=True)
                for micro in torch.from_numpy(rows).to(self.device).split(self.micro_batch):
                    for name, value in self.backward(micro, next(batches), targets.at(micro), losses, count):
                        if not name.startswith("invariants"):
                            sums[name] = sums.get(name, 0.0) + value
                        elif not grad_norms and not skipped:
                            sums[name] = torch.maximum(value, sums.get(name, value))
                        weight += value / count if name == "steps" else 0.0
                self.add_up_gradients()
                grad_norm = nn.utils.clip_grad_norm_(self.policy.parameters(), args.max_grad_norm)
                if self.step_optimizer(grad_norm, [chunks[i].id for i in rows]):
                    grad_norms.append(float(grad_norm))
                    self.trained_steps += int(count)
                else:
                    normalizer.load_state_dict(statistics)  # one infinite return would stay in them for ever
                    skipped += 1
            batches.close()
        maxima = {name: float(x) for name, x in sums.items() if name.startswith("invariants")}
        totals = {name: float(self.total(x)) for name, x in sums.items() if name not in maxima}
        steps = max(1.0, totals.pop("steps", 0.0))
        metrics = maxima | {name: x / steps for name, x in totals.items()}
        metrics["losses/grad_norm"] = float(np.mean(grad_norms)) if grad_norms else math.nan
        metrics["losses/skipped_steps"] = skipped
        metrics["invariants/weight_of_a_step"] = float(self.total(weight)) / max(1, len(grad_norms) + skipped)
        return metrics

    def backward(
        self, rows: torch.Tensor, batch: Fragments, targets: Targets, losses: Callable, count: torch.Tensor
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Gradients of a micro-batch, piece by piece; yields the metrics' sums over each piece's valid steps.

        Losses are sums divided by `count`, the valid steps of the whole optimizer step.
        """
        if not self.args.normalize_advantage_full_batch:
            targets = targets._replace(advantages=normalize_advantages(targets.advantages, targets.valid))
        memory = self.memory(batch)
        for steps in self.pieces:
            t = targets.at(slice(None), steps)
            t = t._replace(valid=t.valid & batch.valid[:, steps])  # a chunk lost since its targets were made has none
            loss, metrics, memory = losses(rows, steps, batch, t, memory)
            if loss.shape != t.valid.shape:
                raise ValueError(f"the loss must be that of each step, {list(t.valid.shape)}, not {list(loss.shape)}")
            (torch.where(t.valid, loss, 0.0).sum() / count).backward()
            for name, value in (metrics | {"steps": torch.ones_like(loss)}).items():
                value = torch.where(t.valid, value.detach(), 0.0)
                yield name, value.max() if name.startswith("invariants") else value.sum()

    def encode(self, batch: Fragments, steps: slice, memory: VPTMemory) -> tuple[torch.Tensor, VPTMemory]:
        with self.autocast:
            return self.policy.encode(batch.images[:, steps], batch.first[:, steps], memory)

    def value_losses(self, vpred: torch.Tensor, t: Targets) -> torch.Tensor:
        normalize, clip = self.policy.value_head.normalizer.normalize, self.args.ppo_clip
        return value_loss(vpred, normalize(t.returns), t.oldvpreds, clip if self.args.clip_vloss else None)

    def wake_losses(self, rows: torch.Tensor, steps: slice, batch: Fragments, t: Targets, memory: VPTMemory):
        """PPO: steps `steps` of chunks `rows` -> (loss [B, t], metrics [B, t] each, memory)."""
        args = self.args
        latents, memory = self.encode(batch, steps, memory)
        # Phasic policy gradient: values move the trunk in the sleep phase only.
        output = self.policy.heads(latents, memory, latents.detach() if args.sleep_epochs else latents)
        newlogprob = log_prob(output, batch.buttons[:, steps], batch.camera[:, steps])
        clips = (args.ppo_clip, args.log_ratio_range)
        pg_loss, logratio = policy_loss(newlogprob, t.oldlogprobs, t.advantages, t.weights, *clips)
        v_loss = self.value_losses(output.vpred, t)
        with torch.set_grad_enabled(args.entropy_bonus_coef != 0):
            entropy_bonus = entropy(output)
        # [B, t], not averaged: that is done where the steps that count are known.
        loss = args.ppo_policy_coef * pg_loss + args.ppo_vf_coef * v_loss - args.entropy_bonus_coef * entropy_bonus
        ratio, fresh = logratio.detach().exp(), (batch.versions == self.iteration).all(1, keepdim=True)
        metrics = {
            "losses/policy_loss": pg_loss,
            "losses/value_loss": v_loss,
            "losses/entropy": entropy_bonus,
            "losses/approx_kl": (ratio - 1) - logratio,  # http://joschu.net/blog/kl-approx.html
            "losses/clipfrac": ((ratio - 1).abs() > args.ppo_clip).float(),
            "invariants/first_log_ratio": logratio.abs(),
            "invariants/fresh_log_prox_behavior": torch.where(fresh, newlogprob - batch.logprobs[:, steps], 0.0).abs(),
        }
        if self.reference is not None:
            pair = self.reference.heads(batch.reference_latents[:, steps]), output
            kl = kl_divergence(*(pair if args.kl_direction == "ref-to-policy" else pair[::-1]))
            loss = loss + self.kl_coef * kl
            metrics |= {"losses/kl_to_reference": kl, "invariants/first_kl_to_reference": kl.abs()}
        return loss, metrics, memory

    def vf_warmup_losses(self, rows: torch.Tensor, steps: slice, batch: Fragments, t: Targets, memory: VPTMemory):
        """As wake_losses, for the value head alone: the policy stays what it is, bit for bit."""
        with torch.no_grad():
            latents, memory = self.encode(batch, steps, memory)
        v_loss = self.value_losses(self.policy.value_head.linear(latents).squeeze(-1), t)
        return self.args.ppo_vf_coef * v_loss, {"losses/value_loss": v_loss}, memory

    def sleep(self, replay: Replay, chunks: list[Chunk], targets: Targets) -> dict[str, float]:
        """Phasic policy gradient's auxiliary phase (arXiv 2009.04416): values teach the trunk, actions stay put."""
        teacher = copy.deepcopy(self.policy).requires_grad_(False)
        teacher_latents = []
        batches = groups(chunks, self.micro_batch)
        for batch in replay.batches(batches, self.device):
            if self.stopping():
                return {}
            memory, latents = self.memory(batch), []
            for steps in self.pieces:
                with torch.no_grad():
                    x, memory = self.encode(batch, steps, memory)
                latents.append(x)
            teacher_latents.append(torch.cat(latents, 1))
        teacher_latents = torch.cat(teacher_latents)

        def losses(rows: torch.Tensor, steps: slice, batch: Fragments, t: Targets, memory: VPTMemory):
            latents, memory = self.encode(batch, steps, memory)
            output = self.policy.heads(latents, memory)
            v_loss, kl = (
                self.value_losses(output.vpred, t),
                kl_divergence(teacher.heads(teacher_latents[rows, steps]), output),
            )
            loss = self.args.sleep_vf_coef * v_loss + self.args.sleep_kl_coef * kl
            return loss, {"losses/value_loss": v_loss, "losses/kl": kl}, memory

        metrics = self.optimize(replay, chunks, targets, losses, self.args.sleep_epochs)
        return {name.replace("losses", "sleep"): x for name, x in metrics.items() if name.startswith("losses")}

    def step_optimizer(self, grad_norm: torch.Tensor, chunk_ids: list[int]) -> bool:
        """Take the step unless a gradient is not finite; too many such in a row stop the run."""
        if torch.isfinite(grad_norm):
            self.optimizer.step()
            self.optimizer_steps += 1
            self.nonfinite_steps = 0
            return True
        self.nonfinite_steps += 1
        if self.nonfinite_steps > self.args.max_nonfinite_steps:
            raise FloatingPointError(
                f"gradients were not finite in {self.nonfinite_steps} optimizer steps in a row (iteration "
                f"{self.iteration + 1}, last with chunks {chunk_ids}): lower --learning-rate, or check the rewards and "
                "--model-path"
            )
        return False


# ===== end of the shared block =====


if __name__ == "__main__":
    try:
        main()
    except EXPECTED as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("left at once: the newest checkpoint is the last one named above, or none") from None
