"""Fine-tune VPT, OpenAI's video-pretrained Minecraft policy, with PPO, in one process.

    python ppo_vpt_online.py                                    # a small pretrained policy learns to hunt, minutes
    python ppo_vpt_online.py --num-iterations 3                 # a first look: checkpoint, video, metrics
    python ppo_vpt_online.py --resume latest                    # go on where the newest run stopped
    python ppo_vpt_online.py --model-path foundation-model-1x.model --weights-path foundation-model-1x.weights \\
        --num-envs 4 --fragment-length 64 --context-length 64 --batch-size-per-gpu 1 --batches-per-iteration 4 \\
        --gradient-accumulation 4 --epochs-per-iteration 1 --learning-rate 2e-5 --discount 0.999 \\
        --vf-ewma-beta 0.99999 --kl-divergence-coef-rho 0.2 --coef-rho-decay 0.9995     # for 1x of VPT's
    python ppo_vpt_online.py --help                             # every setting

What a run writes under output/<run>/: metrics.jsonl (a row for each iteration), videos/*.mp4, checkpoints/*/ with the
policy as a `.model` / `.weights` pair that any VPT code loads, and all else that --resume needs.

The file reads in the order of the data's way: settings, policy and task generators, the policy (network, action heads,
value head), the algorithm's formulas, fragments of experience, collecting them, the replay, learning, saving, main.
"""

import copy
import dataclasses
import json
import logging
import math
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

# Before torch starts its threads: let them spin for work but briefly, else a second process on the cores all but stops.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import minestudio_envs
from minestudio_envs.minecraft import MinecraftError
from minestudio_envs.training.checkpoints import CheckpointError, find_checkpoint
from minestudio_envs.training.fragment_store import FragmentStore, FragmentStoreError
from minestudio_envs.training.hardware import engine_device, keep_freed_memory, use_bfloat16
from minestudio_envs.training.metrics import off_policy_metrics, weights_digest
from minestudio_envs.training.replay import Chunk, Replay
from minestudio_envs.training.resume import load_trainer, save_trainer
from minestudio_envs.training.run_logger import RunLogger, make_console, make_run_folder
from minestudio_envs.training.settings import check_args, command_line, runs_path
from minestudio_envs.training.video import VideoRecorder
from minestudio_envs.training.vpt_files import VPTFileError, check_net_args, load_policy


# SETTINGS. VPT's own values, where they differ, are in brackets (arXiv 2206.11795, appendix G). Other defaults than in
# MineStudio's document are because the quick start is a short run of a small policy on a CPU: many short fragments, all
# fresh; a high learning rate, a short horizon; a KL to the pretrained policy that is soon let go; few checkpoints and
# films, which would cost more than they show.
@dataclass
class RunArgs:
    """The run"""

    name: str = "kill_cow"  # of the run's folder, with seed and time; Weights & Biases shows it too
    seed: int = 1  # of weights, worlds and actions
    num_iterations: int = 146  # times collecting and updating
    device: str = "auto"  # torch device of the policy; auto: cuda when there is one, else cpu
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 where the hardware multiplies it faster
    save_path: str | None = "output"  # folder of all runs; none: ~/ray_results
    save_interval: int = 30  # iterations between checkpoints; one more at the end
    keep_interval: int = 60  # checkpoints at multiples of this many iterations stay, of the others the newest
    resume: str | None = None  # a checkpoint or run folder, or "latest"; settings not given are the checkpoint's
    resume_optimizer: bool = True  # take the optimizer's state from the checkpoint too


@dataclass
class LogArgs:
    """Logs and films"""

    track: bool = False  # log to Weights & Biases (WANDB_MODE=offline: without the internet)
    project: str = "ppo_vpt"  # Weights & Biases project
    wandb_entity: str | None = None  # Weights & Biases team
    tensorboard: bool = False  # write TensorBoard files too
    fragments_per_report: int = 0  # report on episodes and replay every so many fragments; 0: each iteration only
    record_video_interval: int = 112  # iterations between films of an episode; 0: never
    video_output_dir: str | None = None  # folder of films; none: videos/ in the run's folder
    video_width: int = 480  # pixels; the height follows at 16:9
    video_fps: int = 20  # frames a second; the game's own speed is 20


@dataclass
class PolicyArgs:
    """The policy"""

    model_path: str | None = None  # VPT .model file or MineStudio checkpoint folder; none: policy_generator's
    weights_path: str | None = None  # VPT .weights, MineStudio .ckpt or .safetensors file; none: random weights
    temperature: float | None = None  # of the action heads; none: the .model file's (2x.model says 2, see the README)
    zero_initial_vf: bool = True  # begin with a value head of zeros
    use_normalized_vf: bool = True  # the value head predicts returns normalized by their running mean and deviation
    vf_ewma_beta: float = 0.99  # memory of those statistics, per optimizer step [0.99999 in VPT's code]
    fix_decoder: bool = False  # freeze the action heads


@dataclass
class RolloutArgs:
    """Collecting"""

    num_envs: int = 64  # environments stepped together
    inference_batch_size: int = 0  # environments the policy acts for at once, to bound memory; 0: all
    fragment_length: int = 32  # steps in a fragment, the unit of training [128]
    engine: Literal["voxel", "minecraft"] = "voxel"  # the embedded simulator, or the real game through minestudio
    minestudio_python: str | None = None  # interpreter that holds minestudio; none: $MINESTUDIO_PYTHON
    restart_interval: int = 3600  # seconds after which a real game is restarted, at an episode's end; 0: never


@dataclass
class ReplayArgs:
    """Replay"""

    fragments_per_chunk: int = 1  # consecutive fragments kept, sampled and dropped together; GAE runs through them
    max_chunks: int = 4800  # chunks kept at most; the oldest goes first
    max_reuse: int = 1  # iterations that may use a chunk; so many times fewer are collected
    max_staleness: int = 2  # iterations of learning after which a chunk is dropped
    replay_memory: float = 4.0  # GB of chunks kept on the policy's device; may they need more, they go to database_path
    database_path: str = "output/replay_buffer_cache"  # folder of HDF5 files, one for each chunk
    num_shards: int = 8  # folders that the HDF5 files are spread over
    prefetch_batches: int = 2  # micro-batches read ahead from the HDF5 files


@dataclass
class AlgorithmArgs:
    """The algorithm"""

    batch_size_per_gpu: int = 16  # fragments in a micro-batch; memory grows with it [40 of 128 steps]
    batches_per_iteration: int = 4  # micro-batches in an iteration [48]
    gradient_accumulation: int = 1  # micro-batches summed into one optimizer step
    epochs_per_iteration: int = 2  # passes over an iteration's fragments
    context_length: int = 32  # steps back-propagated through at once; memory is carried between
    learning_rate: float = 5e-4  # AdamW's, for a small network [2e-5]
    anneal_lr_linearly: bool = True  # to 0 over num_iterations [False]
    weight_decay: float = 0.04  # AdamW's, on matrices only
    adam_eps: float = 1e-8  # AdamW's epsilon
    max_grad_norm: float = 5.0  # gradients are scaled down to this norm
    max_nonfinite_steps: int = 10  # optimizer steps skipped in a row for NaN or infinity before the run stops
    discount: float = 0.99  # gamma, for episodes of 600 steps [0.999]
    gae_lambda: float = 0.95  # lambda of generalized advantage estimation, and of V-trace
    advantage: Literal["gae", "vtrace"] = "gae"  # how advantages and returns are estimated
    vtrace_clip: float = 1.0  # V-trace's rho-bar and c-bar
    normalize_advantage_full_batch: bool = True  # over the whole iteration; no: in each micro-batch
    loss: Literal["decoupled", "behavior", "proximal"] = "decoupled"  # what corrects for stale fragments
    is_clip: float = 2.0  # bound on decoupled's weight, pi_prox / pi_behavior
    memory: Literal["stored", "burn-in", "zero"] = "stored"  # what a chunk's first step remembers when trained on
    burn_in_length: int = 16  # burn-in: a chunk's first steps, which only refresh the stored memory
    ppo_clip: float = 0.2  # the probability ratio's distance from 1 beyond which its gradient stops
    log_ratio_range: float = 50.0  # bound on the logs of ratios before exp
    ppo_policy_coef: float = 1.0  # weight of the policy loss
    ppo_vf_coef: float = 0.5  # weight of the value loss, mean((vpred - normalized return)^2), not halved
    clip_vloss: bool = False  # keep value predictions within ppo_clip (in the normalized space) of the earlier ones
    vf_warmup: int = 0  # first iterations, in which only the value head learns
    entropy_bonus_coef: float = 0.0  # weight of the entropy; VPT's runs from scratch have 0.01 instead of the KL
    kl_divergence_coef_rho: float = 0.05  # weight of the KL to the policy the run began with; 0: no such policy [0.2]
    coef_rho_decay: float = 0.99  # factor on that weight after each iteration [0.9995]
    kl_direction: Literal["ref-to-policy", "policy-to-ref"] = "ref-to-policy"  # KL(ref || policy), or the other
    enable_ref_update: bool = False  # at each keep_interval the policy of then becomes the reference
    sleep_epochs: int = 0  # phasic policy gradient: passes in which values teach the trunk; 0: they always do [2]
    sleep_vf_coef: float = 0.5  # weight of the value loss in those passes
    sleep_kl_coef: float = 1.0  # weight of the KL to the policy before them


@dataclass
class Args(RunArgs, PolicyArgs, RolloutArgs, ReplayArgs, AlgorithmArgs, LogArgs):
    """All settings, flat."""


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

    From scratch: ``return VPTPolicy(SMALL_NET_ARGS)``, with --kl-divergence-coef-rho 0 --entropy-bonus-coef 0.01.
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


class Trainer:
    """All that a run holds; `collect` and `update` make an iteration. (minestudio_envs/training/resume.py saves it.)"""

    def __init__(self, args: Args, policy: VPTPolicy, envs: Any, run_path: Path, device: torch.device):
        self.args, self.policy, self.run_path, self.device = args, policy.to(device), run_path, device
        self.reference = begin_training(args, self.policy)
        self.learner = Learner(args, policy, self.reference, device)
        collector = ReadyCollector if hasattr(envs, "recv") else Collector
        self.collector = collector(args, policy, self.reference, envs, device)
        films = Path(args.video_output_dir or run_path / "videos")
        self.video = self.collector.video = VideoRecorder(envs, films, args.video_width, args.video_fps)
        self.num_chunks = args.batch_size_per_gpu * args.batches_per_iteration // args.fragments_per_chunk
        self.replay = Replay(args, np.random.default_rng([args.seed, 1]), self.fragment_store())
        self.report: Callable = lambda: None  # called every fragments_per_report fragments
        self.fragments_collected = 0
        self.saved_iteration = -1

    def fragment_store(self) -> FragmentStore | None:
        """Where chunks are kept if they may need more than replay_memory; else None."""
        args = self.args
        steps = args.fragment_length * args.fragments_per_chunk
        one = Fragments.empty(1, steps, self.policy.net_args, self.reference is not None, torch.device("meta"))
        chunks = min(args.max_chunks, (args.max_staleness + 1) * (self.num_chunks + args.num_envs))
        gigabytes = chunks * sum(tensor.numel() * tensor.element_size() for tensor in one) / 1e9
        if gigabytes <= args.replay_memory:
            return None
        logger.info(f"replay: up to {gigabytes:.1f} GB, more than --replay-memory {args.replay_memory}: kept on disk")
        return FragmentStore.temporary(args.database_path, args.num_shards)

    @property
    def interrupted(self) -> bool:
        return self.learner.interrupted

    def interrupt(self) -> None:
        """Finish the environment or optimizer step, no more."""
        self.learner.interrupted = self.collector.interrupted = True

    def collect(self) -> None:
        """Fill the replay with what an iteration needs; after an interrupt with less."""
        args, version = self.args, self.learner.iteration
        self.replay.evict(version)
        wanted = self.num_chunks * min(args.max_reuse, args.max_staleness + 1)
        while len(self.replay.chunks) < self.num_chunks or self.replay.uses_left(version) < wanted:
            chunks = self.collector.collect()
            if chunks is None:
                break
            self.replay.add(chunks, self.learner.optimizer_steps)
            self.replay.evict(version)
            before = self.fragments_collected
            self.fragments_collected += len(chunks.valid) * args.fragments_per_chunk
            every = args.fragments_per_report
            if every and before // every != self.fragments_collected // every:
                self.report()

    def update(self) -> dict[str, float]:
        """Train on chunks from the replay -> metrics."""
        chunks = self.replay.sample(self.num_chunks, self.learner.iteration)
        metrics = self.learner.update(self.replay, chunks)
        self.collector.version = self.learner.iteration
        if self.args.enable_ref_update and self.learner.iteration % self.args.keep_interval == 0:
            self.reference.load_state_dict(self.policy.state_dict())
            self.collector.begin_chunks()
            self.collector.reference_is_now_the_policy()
            self.replay.keep([])  # what the old reference said of them is no longer wanted
        self.replay.evict(self.learner.iteration)
        return metrics

    def statistics(self) -> dict[str, float]:
        """Of episodes and replay, as they stand."""
        collector = self.collector
        mean = lambda values: float(np.mean(values)) if values else math.nan  # noqa: E731
        failures = {"charts/engine_restarts": "restarts", "charts/lost_steps": "lost_steps"}
        return {
            **{name: getattr(collector.envs, key) for name, key in failures.items() if hasattr(collector.envs, key)},
            "charts/global_step": collector.global_step,
            "charts/episodic_return": mean(collector.episode_returns),
            "charts/episodic_length": mean(collector.episode_lengths),
            "replay/chunks": len(self.replay.chunks),
        }

    def close(self) -> None:
        self.video.close()
        self.collector.envs.close()
        self.replay.close()


def make_trainer(args: Args, policy: VPTPolicy, run_path: Path, trainer_class: type[Trainer] = Trainer) -> Trainer:
    """A trainer of `policy` at env_generator's task."""
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    height, width, _ = policy.net_args["img_shape"]  # the policy says at which size it sees
    # Staggered episodes do not all end at once.
    device = torch.device(auto if args.device == "auto" else args.device)
    looks = {"obs_size": (width, height), "copy": False, "stagger": True, "device": engine_device(args.engine, device)}
    if args.engine == "minecraft":
        looks |= {"minestudio_python": args.minestudio_python, "restart_interval": args.restart_interval}
    envs = minestudio_envs.make_vec(env_generator, args.num_envs, engine=args.engine, seed=args.seed, **looks)
    return trainer_class(args, policy, envs, run_path, device)


def main(args: Args, trainer_class: type[Trainer] = Trainer) -> Path:
    """Train -> the run's folder."""
    console = make_console()
    check_args(args)
    keep_freed_memory()
    torch.manual_seed(args.seed)
    checkpoint = None if args.resume is None else find_checkpoint(args.resume, runs_path(args.save_path)).resolve()
    if args.model_path is None:
        policy = policy_generator()
    elif checkpoint is None:
        policy = load_openai_policy(args.model_path, args.weights_path, args.temperature)
    else:  # it may have outlived the files that it began with
        policy = load_openai_policy(checkpoint / "policy.model", checkpoint / "policy.weights", args.temperature)
    if checkpoint is not None and checkpoint.parent.name == "checkpoints":
        run_path = checkpoint.parent.parent
    else:
        run_path = make_run_folder(runs_path(args.save_path), f"{args.name}__{args.seed}")
    trainer = make_trainer(args, policy, run_path, trainer_class)
    if checkpoint is not None:
        load_trainer(trainer, checkpoint)
    learner, config = trainer.learner, dataclasses.asdict(args)
    (run_path / "args.json").write_text(json.dumps(config, indent=2))
    logger.info(
        f"{run_path}: {sum(p.numel() for p in policy.parameters()) / 1e6:.1f} M parameters, temperature "
        f"{policy.temperature}, on {trainer.device}; {args.num_envs} environments"
        + (f"; resumed at iteration {learner.iteration} from {checkpoint}" if checkpoint else "")
    )
    if learner.iteration >= args.num_iterations:
        logger.info(f"all {args.num_iterations} iterations are done: for more, raise --num-iterations")

    def interrupt(signum: int, frame: Any) -> None:
        if trainer.interrupted:
            raise KeyboardInterrupt
        trainer.interrupt()
        logger.warning("interrupted: finishing the step, saving, leaving (once more: leaving now)")

    handlers = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    wandb = {"project": args.project, "entity": args.wandb_entity} if args.track else None
    begin = (learner.iteration, trainer.collector.global_step)
    log = RunLogger(run_path, config, console, *begin, args.num_iterations, wandb, args.tensorboard)
    trainer.report = lambda: log.log(trainer.statistics())
    try:
        with log:
            while learner.iteration < args.num_iterations and not trainer.interrupted:
                if args.record_video_interval and learner.iteration % args.record_video_interval == 0:
                    trainer.video.request(f"iteration_{learner.iteration + 1:06d}")
                step_before, began = trainer.collector.global_step, time.perf_counter()
                trainer.replay.seconds = 0.0
                trainer.collect()
                rollout = time.perf_counter() - began - trainer.replay.seconds
                if trainer.interrupted:
                    break
                metrics = trainer.update()
                row = {
                    "charts/iteration": learner.iteration,
                    **trainer.statistics(),
                    "charts/SPS": (trainer.collector.global_step - step_before) / (time.perf_counter() - began),
                    **metrics,
                    "time/rollout": rollout,
                    "time/transfer": trainer.replay.seconds,
                }
                log.log(row)
                log.log_videos(trainer.video.pop_finished(), trainer.collector.global_step)
                summary = f"step {trainer.collector.global_step:,}  {row['charts/SPS']:,.0f} SPS  return "
                summary += (
                    f"{row['charts/episodic_return']:.2f}" if trainer.collector.episode_returns else "(none ended yet)"
                )
                log.show(learner.iteration, summary + f"  entropy {metrics.get('losses/entropy', math.nan):.2f}")
                if learner.iteration % args.save_interval == 0 and learner.iteration < args.num_iterations:
                    save_trainer(trainer)
            logger.info(f"checkpoint: {save_trainer(trainer)}")
            trainer.video.close()
            log.log_videos(trainer.video.pop_finished(), trainer.collector.global_step)
    finally:
        trainer.close()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return run_path


if __name__ == "__main__":
    try:
        main(command_line(Args, __doc__))
    except (VPTFileError, CheckpointError, FragmentStoreError, MinecraftError, FloatingPointError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
    except MemoryError as error:
        raise SystemExit(f"error: not enough memory: fewer --num-envs take less. {error}".rstrip()) from None
    except KeyboardInterrupt:
        raise SystemExit("left at once: the newest checkpoint is the last one named above, or none") from None
