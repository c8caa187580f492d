"""Fine-tune VPT, OpenAI's video-pretrained Minecraft policy, with PPO, in one process.

    python ppo_vpt_online.py                                    # a small policy in the voxel engine, minutes on a CPU
    python ppo_vpt_online.py --num-iterations 3                 # a first look: checkpoint, video, metrics
    python ppo_vpt_online.py --model-path foundation-model-1x.model --weights-path foundation-model-1x.weights \\
        --learning-rate 2e-5 --num-envs 8                       # real VPT files; see the README for VPT's own settings
    python ppo_vpt_online.py --track                            # the same, logged to Weights & Biases
    python ppo_vpt_online.py --help                             # every setting

What a run writes under output/<run>/: metrics.jsonl (a row for each iteration), videos/*.mp4, checkpoints/*/ with the
policy as a `.model` / `.weights` pair that any VPT code loads.

The file reads in the order of the data's way: settings, policy and task generators, the policy (network, action heads,
value head, file formats), the algorithm's formulas, collecting, updating, saving, main.
"""

import contextlib
import copy
import ctypes
import dataclasses
import json
import logging
import math
import os
import pickle
import shutil
import signal
import sys
import time
import zipfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

# Before torch starts its threads: let them spin for work but briefly, else a second process on the cores all but stops.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

import imageio.v3 as iio
import numpy as np
import safetensors.torch
import torch
import torch.nn as nn
import torch.nn.functional as F
import tyro
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

import minestudio_envs


@dataclass
class Args:
    exp_name: str = "kill_cow"
    """name of the run's folder, with seed and time"""
    seed: int = 1
    """seed of weights, worlds and actions"""
    device: str = "auto"
    """torch device of the policy; auto: cuda when there is one, else cpu"""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """the policy's arithmetic; auto: bfloat16 where the hardware multiplies matrices in it, else float32"""
    track: bool = False
    """log to Weights & Biases too"""
    wandb_project_name: str = "ppo_vpt"
    """Weights & Biases project"""
    wandb_entity: str | None = None
    """Weights & Biases team"""

    # The policy
    model_path: str | None = None
    """VPT .model file, or a MineStudio checkpoint folder; none: a small network of VPT's architecture"""
    weights_path: str | None = None
    """VPT .weights, MineStudio .ckpt or .safetensors file; none: random weights"""
    temperature: float | None = None
    """softmax temperature of the action heads; none: the .model file's (2x.model says 2, see the README)"""
    zero_initial_vf: bool = True
    """begin with a value head of zeros"""

    # The task
    num_envs: int = 64
    """environments stepped together"""
    fragment_length: int = 32
    """steps in a fragment, the unit of collecting and training"""

    # The algorithm (VPT's own values, where they differ, in brackets: arXiv 2206.11795, appendix G)
    num_iterations: int = 120
    """times collecting and updating"""
    batch_size: int = 4
    """fragments in a micro-batch; memory grows with it [40 of 128 steps]"""
    batches_per_iteration: int = 16
    """micro-batches in an iteration [48]"""
    gradient_accumulation: int = 4
    """micro-batches summed into one optimizer step"""
    epochs_per_iteration: int = 2
    """passes over an iteration's fragments [1]"""
    context_length: int = 32
    """steps back-propagated through at once; memory is carried between"""
    learning_rate: float = 5e-4
    """AdamW's, for a small network [2e-5]"""
    anneal_lr_linearly: bool = False
    """learning rate to 0 over num_iterations"""
    weight_decay: float = 0.04
    """AdamW's, on matrices only"""
    adam_eps: float = 1e-8
    """AdamW's epsilon"""
    max_grad_norm: float = 5.0
    """gradients are scaled down to this norm"""
    discount: float = 0.99
    """gamma, for episodes of 600 steps [0.999]"""
    gae_lambda: float = 0.95
    """lambda of generalized advantage estimation"""
    ppo_clip: float = 0.2
    """the probability ratio's distance from 1 beyond which its gradient stops"""
    ppo_policy_coef: float = 1.0
    """weight of the policy loss"""
    ppo_vf_coef: float = 0.5
    """weight of the value loss, mean((vpred - normalized return)^2)"""
    vf_ewma_beta: float = 0.99
    """the value normalizer's memory, per optimizer step [0.99999 in VPT's code]"""
    entropy_bonus_coef: float = 0.0
    """weight of the entropy bonus"""
    kl_divergence_coef_rho: float = 0.05
    """weight of KL(reference || policy), the leash to the policy that the run began with (from random weights it acts
    like an entropy bonus) [0.2]; 0: no reference policy"""
    coef_rho_decay: float = 0.99
    """factor on that weight after each iteration [0.9995]"""
    log_ratio_range: float = 50.0
    """bound on the log of the probability ratio before exp"""
    normalize_advantage_full_batch: bool = True
    """normalize advantages over the whole iteration; no: in each micro-batch"""
    max_nonfinite_steps: int = 10
    """optimizer steps skipped in a row for infinite or NaN gradients before the run stops"""

    # Output
    save_path: str = "output"
    """folder of all runs"""
    save_interval: int = 25
    """iterations between checkpoints; one more at the end"""
    keep_interval: int = 100
    """checkpoints at multiples of this stay, of the others only the newest"""
    record_video_interval: int = 50
    """iterations between videos of an episode; 0: never"""
    video_width: int = 640
    """pixels; the height follows at 16:9"""
    video_fps: int = 20
    """frames a second; the game's own speed is 20"""


# A policy of VPT's architecture small enough to train on a CPU: 1.9 M parameters instead of 71, 248 or 532 M.
SMALL_NET_ARGS = {
    "attention_heads": 4,
    "attention_mask_style": "clipped_causal",
    "attention_memory_size": 64,
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
    "timesteps": 32,
    "use_pointwise_layer": True,
    "use_pre_lstm_ln": False,
}


def policy_generator():
    """The policy that training begins with when no --model-path is given. Put your own here."""
    return VPTPolicy(SMALL_NET_ARGS)


def env_generator():
    """The task, written as for MineStudio: kill cows with an iron sword. Put your own here."""
    from minestudio_envs import MinecraftSim
    from minestudio_envs.callbacks import (
        CommandsCallback,
        FastResetCallback,
        JudgeResetCallback,
        MaskActionsCallback,
        RewardsCallback,
        SummonMobsCallback,
    )

    return MinecraftSim(
        obs_size=(128, 128),
        preferred_spawn_biome="plains",
        action_type="agent",
        callbacks=[
            SummonMobsCallback([{"name": "cow", "number": 10, "range_x": [-5, 5], "range_z": [-5, 5]}]),
            MaskActionsCallback(inventory=0),
            RewardsCallback(
                [
                    {
                        "event": "kill_entity",
                        "objects": ["cow"],
                        "reward": 1.0,
                        "identity": "kill_cow",
                        "max_reward_times": 30,
                    }
                ]
            ),
            CommandsCallback(
                [
                    "/give @p minecraft:iron_sword 1",
                    "/give @p minecraft:diamond 64",
                    "/effect give @p minecraft:strength 9999 255 true",  # every hit kills
                ]
            ),
            FastResetCallback(biomes=["plains"], random_tp_range=1000),
            JudgeResetCallback(600),
        ],
    )


# ===== the policy and the algorithm: this block is the same, line for line, in ppo_vpt_distributed.py =====

logger = logging.getLogger("ppo_vpt")


# POLICY: the network of VPT (arXiv 2206.11795). Names and shapes of its 134 tensors (4 blocks) are the published ones,
# so OpenAI's and MineStudio's weights load as they are. Letters: B batch, T steps in a call, L recurrent blocks,
# m memory slots, d hidden size, H heads, e = d / H.

NET_ARGS = {  # argument: the only supported value, or its type where any positive (list of) int or bool will do
    **dict.fromkeys(("hidsize", "attention_heads", "attention_memory_size", "timesteps"), int),
    **dict.fromkeys(("n_recurrence_layers", "pointwise_ratio", "impala_width"), int),
    **dict.fromkeys(("impala_chans", "img_shape"), list),
    "use_pre_lstm_ln": bool,
    "attention_mask_style": "clipped_causal",
    "recurrence_type": "transformer",
    "recurrence_is_residual": True,
    "use_pointwise_layer": True,
    "pointwise_use_activation": False,
    "init_norm_kwargs": {"batch_norm": False, "group_norm_groups": 1},
    "impala_kwargs": {"post_pool_groups": 1},
}


def check_net_args(net_args: dict) -> dict:
    """Network arguments as OpenAI's `.model` files hold them -> a plain copy of those that matter.

    Nothing has a default: a published file names every argument, and a guess would be another network.
    Raises ValueError naming the key and the value that is missing, unknown or unsupported.
    """
    args = {key: list(value) if isinstance(value, list | tuple) else value for key, value in net_args.items()}
    for key in ("active_reward_monitors", "only_img_input"):  # no effect on the network
        args.pop(key, None)
    if args.pop("diff_mlp_embedding", False):
        raise ValueError("net_args['diff_mlp_embedding'] = True is not supported, only False")
    if args.keys() != NET_ARGS.keys():
        unknown = {key: args[key] for key in args if key not in NET_ARGS}
        raise ValueError(f"net_args lacks {[key for key in NET_ARGS if key not in args]} and has unknown {unknown}")
    for key, want in NET_ARGS.items():
        value, values = args[key], args[key] if want is list else [args[key]]
        if want in (int, list):
            good = isinstance(values, list) and values and all(type(v) is int and v > 0 for v in values)
            want = "a positive int" if want is int else "a list of positive ints"
        else:
            good = type(value) is bool if want is bool else value == want
        if not good:
            raise ValueError(f"net_args[{key!r}] = {value!r} is not supported, only {want}")
    if len(args["img_shape"]) != 3 or args["img_shape"][2] != 3:
        raise ValueError(f"net_args['img_shape'] = {args['img_shape']} must be [height, width, 3]")
    d, heads, size, timesteps = (args[key] for key in list(NET_ARGS)[:4])
    if d % heads:
        raise ValueError(f"hidsize {d} must be a multiple of attention_heads {heads}")
    if size <= timesteps:
        raise ValueError(f"attention_memory_size {size} must exceed timesteps {timesteps}")
    return args


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

    def to(self, device) -> "VPTMemory":
        return VPTMemory(*(tensor.to(device) for tensor in self))

    @staticmethod
    def cat(memories: "list[VPTMemory]") -> "VPTMemory":
        """One batch from several. All must have their cursor at 0: pass `ordered()` memories."""
        if any(memory.cursor.device.type == "cpu" and memory.cursor != 0 for memory in memories):
            raise ValueError("VPTMemory.cat needs memories whose cursor is 0: call ordered() on each first")
        keys, values, valid, cursor = zip(*memories, strict=True)
        return VPTMemory(torch.cat(keys, 1), torch.cat(values, 1), torch.cat(valid), torch.zeros_like(cursor[0]))


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
        self.running_mean = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.running_mean_sq = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.debiasing_term = nn.Parameter(torch.zeros(()), requires_grad=False)

    @torch.no_grad()
    def update(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> None:
        """Take the targets x (any shape) into the statistics, only those where `mask` (bool, x's shape) is True."""
        mask = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
        x, count = torch.where(mask, x.float(), 0.0), mask.sum()
        updates = count if self.per_element_update else count.clamp(max=1)  # nothing to average: no update
        weight = self.beta ** updates.double()  # 1 - 0.99999 has three digits in float32
        mean, mean_sq = x.sum() / count.clamp(min=1), x.square().sum() / count.clamp(min=1)
        self.running_mean.copy_(weight * self.running_mean + (1 - weight) * mean)
        self.running_mean_sq.copy_(weight * self.running_mean_sq + (1 - weight) * mean_sq)
        self.debiasing_term.copy_(weight * self.debiasing_term + (1 - weight))

    def statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(mean [1], standard deviation [1])"""
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

    def heads(self, latents: torch.Tensor, memory: VPTMemory | None = None) -> PolicyOutput:
        """Action and value heads of latents [B, T, d]; `memory` is passed on."""
        with torch.autocast(latents.device.type, enabled=False):
            vpred = self.value_head.linear(latents).squeeze(-1)
            tempered, heads = latents / self.temperature, (self.pi_head.buttons, self.pi_head.camera)
            layers = [(head.linear_layer.weight, head.linear_layer.bias / self.temperature) for head in heads]
            buttons, camera = (F.log_softmax(F.linear(tempered, weight, bias), -1) for weight, bias in layers)
        return PolicyOutput(buttons, camera, vpred, memory)


# ACTION HEADS: two independent categoricals, buttons and camera. The joint log-probability, entropy and KL are the sums
# of both, also where the buttons' camera bit makes the camera index irrelevant: this is the policy VPT was trained as.


def gumbel_argmax(log_probs: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """A sample per row by the Gumbel trick: argmax(log p - log(-log u)), u uniform in [0, 1) of log_probs' shape."""
    u = torch.where(u == 1.0, 0.999, u)
    return (log_probs - torch.log(-torch.log(u))).argmax(-1)


def sample_actions(output: PolicyOutput, generator: torch.Generator | None = None, deterministic: bool = False):
    """(buttons, camera), int64 [B, T] each: sampled, or the likeliest if `deterministic`. Buttons are drawn first."""
    log_probs = (output.buttons, output.camera)
    if deterministic:
        return tuple(lp.argmax(-1) for lp in log_probs)
    return tuple(gumbel_argmax(lp, torch.rand(lp.shape, generator=generator, device=lp.device)) for lp in log_probs)


def log_prob(output: PolicyOutput, buttons: torch.Tensor, camera: torch.Tensor) -> torch.Tensor:
    """Joint log-probability [B, T] of the actions (int64 [B, T] each)."""
    buttons, camera = output.buttons.gather(-1, buttons[..., None]), output.camera.gather(-1, camera[..., None])
    return (buttons + camera).squeeze(-1)


def _finite(log_probs: torch.Tensor) -> torch.Tensor:
    return log_probs.clamp(min=torch.finfo(log_probs.dtype).min)  # so that 0 * log 0 is 0 and not NaN


def entropy(output: PolicyOutput) -> torch.Tensor:
    """Joint entropy [B, T] in nats; at most ln 8641 + ln 121 = 13.86."""
    return -sum((lp.exp() * _finite(lp)).sum(-1) for lp in (output.buttons, output.camera))


def kl_divergence(p: PolicyOutput, q: PolicyOutput) -> torch.Tensor:
    """KL(p || q) [B, T] of the joint distributions."""
    heads = ((p.buttons, q.buttons), (p.camera, q.camera))
    return sum((lp.exp() * (_finite(lp) - _finite(lq))).sum(-1) for lp, lq in heads)


# FILES: OpenAI's .model / .weights pairs, MineStudio's checkpoints, and our own in OpenAI's format.


class VPTFileError(ValueError):
    """A policy file is not what it should be; the message names the file, the fault and what to do."""


class _Gym3Space:
    """Stands in for gym3's DictType, TensorType and Discrete in `.model` files; their contents are not needed."""

    def __setstate__(self, state) -> None:
        pass


class _ModelUnpickler(pickle.Unpickler):
    """Unpickling can run any code, so only the three names that OpenAI's files contain get through."""

    def find_class(self, module: str, name: str):
        if module == "gym3.types" and name in ("DictType", "TensorType", "Discrete"):
            return _Gym3Space
        raise pickle.UnpicklingError(f"forbidden global {module}.{name}")

    def persistent_load(self, pid):
        raise pickle.UnpicklingError("forbidden persistent id")


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise VPTFileError(f"{path}: no such file. Check the path, or download the file")
    with open(path, "rb") as file:
        head = file.read(64).lstrip().lower()
    if not head:
        raise VPTFileError(f"{path} is empty. Download it again")
    if head.startswith(b"version https://git-lfs"):
        raise VPTFileError(f"{path} is a git-LFS pointer, not the file itself. Fetch it with `git lfs pull`")
    if head.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise VPTFileError(f"{path} is a web page, not the file itself. Download it again")


def read_vpt_model(path: str | Path) -> tuple[dict, float]:
    """(net_args, temperature) of OpenAI's `.model`, or of MineStudio's `config.json` or the folder with it.

    Raises VPTFileError. A `.model` is a pickle: nothing but plain values and three inert names are let through.
    """
    path = Path(path)
    path = path / "config.json" if path.is_dir() else path
    _check_file(path)
    try:
        if path.suffix == ".json":
            config = json.loads(path.read_text(encoding="utf-8"))
            net_args, temperature = config["policy_kwargs"], config.get("temperature", 1.0)
        else:
            with open(path, "rb") as file:
                args = _ModelUnpickler(file).load()["model"]["args"]
            net_args, temperature = args["net"]["args"], args["pi_head_opts"]["temperature"]
        if not 0 < float(temperature) < math.inf:
            raise ValueError(f"temperature {temperature} is not positive")
        return check_net_args(net_args), float(temperature)
    except Exception as error:  # a broken pickle can raise anything
        raise VPTFileError(
            f"{path} does not describe a VPT policy ({type(error).__name__}: {error}). It should be OpenAI's .model as "
            "published or MineStudio's config.json, not the weights. If it should be one of these, download it again"
        ) from error


def read_vpt_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """The state dict in a `.weights`, `.ckpt` or `.safetensors` file, or in a folder's model.safetensors.

    Wrappers that MineStudio's trainers put around it are taken off. Raises VPTFileError. Nothing but tensors is loaded.
    """
    path = Path(path)
    path = path / "model.safetensors" if path.is_dir() else path
    _check_file(path)
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file can raise anything
        if isinstance(error, pickle.UnpicklingError) and zipfile.is_zipfile(path):
            raise VPTFileError(
                f"{path} holds Python objects besides tensors, which are not loaded because they can run code. If you "
                "trust it, take the weights out where the libraries it needs are installed, with `torch.save("
                "torch.load(path, weights_only=False)['state_dict'], 'policy.weights')`, and load that file instead"
            ) from error
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise VPTFileError(f"{path} is no weights file, or a broken one ({reason}). Download it again") from error
    state = state["state_dict"] if isinstance(state, dict) and "state_dict" in state else state
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise VPTFileError(f"{path} holds no state dict (name -> tensor). Pass the file with the policy's weights")
    return {name.removeprefix("mine_policy."): tensor for name, tensor in state.items()}


def load_openai_policy(model_path, weights_path=None, temperature: float | None = None) -> VPTPolicy:
    """A policy from files in OpenAI's or MineStudio's form, on the CPU in float32.

    model_path: OpenAI's `.model`, or MineStudio's Hugging Face folder or its `config.json`.
    weights_path: see read_vpt_weights; None means fresh weights, or for a folder those in it.
    temperature: None means the file's. The weights do not hold it, yet it changes the policy: OpenAI lists `2x.model`
    for all 2x weights, but its 2.0 belongs to the RL models; the foundation models were probably trained with 1.0.
    Raises VPTFileError. Unknown tensors are named in a warning and dropped.
    """
    net_args, file_temperature = read_vpt_model(model_path)
    policy = VPTPolicy(net_args, file_temperature if temperature is None else temperature)
    weights_path = model_path if weights_path is None and Path(model_path).is_dir() else weights_path
    source = model_path if temperature is None else "the caller"
    logger.info("temperature %g, from %s; weights: %s", policy.temperature, source, weights_path or "fresh")
    if weights_path is None:
        return policy
    weights_name = Path(weights_path).name.lower()
    if temperature is None and policy.temperature == 2.0 and weights_name.startswith(("foundation", "bc")):
        hint = "%s says temperature 2, but %s was probably trained with 1: consider temperature=1"
        logger.warning(hint, model_path, weights_name)
    state, own = read_vpt_weights(weights_path), policy.state_dict()
    faults = [f"{name} is missing" for name in own if name not in state]
    known = {name: state[name] for name in own if name in state}
    faults += [f"{n} is {list(t.shape)}, not {list(own[n].shape)}" for n, t in known.items() if t.shape != own[n].shape]
    if faults:
        raise VPTFileError(
            f"{weights_path} does not fit {model_path}: {'; '.join(faults[:5])} ({len(faults)} such faults). "
            "Use the .model and the weights that belong together (1x, 2x or 3x)"
        )
    if extra := [name for name in state if name not in own]:
        logger.warning("%s: dropped tensors that are not the policy's: %s", weights_path, ", ".join(extra))
    policy.load_state_dict(known)
    return policy


@contextlib.contextmanager
def replace_file(path: str | Path):
    """Yields a binary file that takes `path`'s place when complete, so that a crash never leaves half a file."""
    aside = Path(f"{path}.{os.getpid()}.tmp")
    try:
        with open(aside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def save_vpt_policy(policy: VPTPolicy, model_path: str | Path, weights_path: str | Path) -> None:
    """Write the policy as a `.model` and a `.weights` file that load_openai_policy and OpenAI's own code can read."""
    net = {"args": policy.net_args}
    model = {"model": {"args": {"net": net, "pi_head_opts": {"temperature": policy.temperature}}}}
    state = {name: tensor.detach().float().cpu().contiguous() for name, tensor in policy.state_dict().items()}
    with replace_file(weights_path) as file:
        torch.save(state, file)
    with replace_file(model_path) as file:
        pickle.dump(model, file, protocol=4)


# ALGO LOGIC: advantages and losses


def gae(
    rewards: torch.Tensor,
    values: torch.Tensor,
    next_value: torch.Tensor,
    terminated: torch.Tensor,
    truncated: torch.Tensor,
    valid: torch.Tensor,
    discount: float,
    gae_lambda: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Generalized advantage estimation (arXiv 1506.02438) -> (advantages, returns), float32 [B, T], 0 where not valid.

    All inputs are [B, T], ``next_value`` [B] is the value of the observation after the last. With NEXT_STEP autoreset
    the observation after an episode's last step is its final one, so ``values[:, t + 1]`` is what a truncated step
    bootstraps from; that next step only resets (``valid`` False) and carries nothing on.
    """
    advantages = torch.zeros_like(rewards)
    lastgaelam = torch.zeros_like(next_value)
    for t in reversed(range(rewards.shape[1])):
        nextvalues = values[:, t + 1] if t + 1 < rewards.shape[1] else next_value
        # bootstrap value if not done, or if only time ran out
        delta = rewards[:, t] + discount * nextvalues * ~terminated[:, t] - values[:, t]
        lastgaelam = delta + discount * gae_lambda * lastgaelam * ~(terminated[:, t] | truncated[:, t])
        lastgaelam = lastgaelam * valid[:, t]
        advantages[:, t] = lastgaelam
    return advantages, (advantages + values) * valid


def masked_mean(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of ``x`` where ``mask``; 0 if nowhere. What is masked may be NaN."""
    return torch.where(mask, x, 0.0).sum() / mask.sum().clamp(min=1)


def normalize_advantages(advantages: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """To mean 0 and standard deviation 1 over the valid steps; 0 elsewhere."""
    mean = masked_mean(advantages, valid)
    std = masked_mean((advantages - mean) ** 2, valid).sqrt()
    return torch.where(valid, (advantages - mean) / (std + 1e-8), 0.0)


def policy_loss(
    newlogprob: torch.Tensor, logprob: torch.Tensor, advantages: torch.Tensor, ppo_clip: float, log_ratio_range: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """PPO's clipped loss (arXiv 1707.06347, equation 7) at each step -> (loss, log ratio)."""
    logratio = (newlogprob - logprob).clamp(-log_ratio_range, log_ratio_range)
    ratio = logratio.exp()
    pg_loss1 = -advantages * ratio
    pg_loss2 = -advantages * torch.clamp(ratio, 1 - ppo_clip, 1 + ppo_clip)
    return torch.max(pg_loss1, pg_loss2), logratio


# ===== end of the shared block =====


# COLLECTING


class Fragments(NamedTuple):
    """What one iteration collects: F fragments of T steps, in rounds of `num_envs`."""

    images: torch.Tensor  # uint8 [F, T, H, W, 3]
    first: torch.Tensor  # bool [F, T]: the first observation of an episode
    buttons: torch.Tensor  # int64 [F, T]
    camera: torch.Tensor  # int64 [F, T]
    logprobs: torch.Tensor  # float32 [F, T]: of the policy that acted
    values: torch.Tensor  # float32 [F, T]
    rewards: torch.Tensor  # float32 [F, T]
    terminated: torch.Tensor  # bool [F, T]
    truncated: torch.Tensor  # bool [F, T]
    valid: torch.Tensor  # bool [F, T]: False where the environment only reset and the action was ignored

    def rows(self, index: Any) -> "Fragments":
        """The fragments that `index` selects; a slice gives views."""
        return Fragments(*(tensor[index] for tensor in self))

    @classmethod
    def empty(cls, f: int, t: int, image_shape: list[int], device: torch.device) -> "Fragments":
        shapes = {"images": (f, t, *image_shape)}
        dtypes = {"images": torch.uint8, "buttons": torch.int64, "camera": torch.int64}
        dtypes.update(dict.fromkeys(("logprobs", "values", "rewards"), torch.float32))
        return cls(
            *(
                torch.zeros(shapes.get(name, (f, t)), dtype=dtypes.get(name, torch.bool), device=device)
                for name in cls._fields
            )
        )


class VideoRecorder:
    """Films environment 0, from the beginning of an episode to its end, when asked to."""

    def __init__(self, envs: Any, folder: Path, width: int, fps: int):
        self.envs, self.folder, self.fps = envs, folder, fps
        self.size = (width // 2 * 2, width * 9 // 16 // 2 * 2)  # the codec wants even numbers
        self.wanted: str | None = None  # name of the film that begins with the next episode
        self.finished: list[Path] = []
        self._file: Any = None

    def request(self, name: str) -> None:
        self.wanted = name

    def step(self, first: bool) -> None:
        """To be called with every observation that the policy acts on; `first`: it begins an episode."""
        if first:
            self.close()
        if first and self.wanted is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._path = self.folder / f"{self.wanted}.mp4"
            self._file = iio.imopen(self._path, "w", plugin="pyav")
            self._file.init_video_stream("libx264", fps=self.fps)
            self.wanted = None
        if self._file is not None:
            self._file.write_frame(self.envs.frame(0, self.size))

    def close(self) -> None:
        """End the film. What was filmed so far can be played."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self.finished.append(self._path)

    def pop_finished(self) -> list[Path]:
        """The films that ended since this was last asked."""
        finished, self.finished = self.finished, []
        return finished


class Trainer:
    """All that a run holds; `collect` and `update` make an iteration."""

    def __init__(self, args: Args, policy: VPTPolicy, envs: Any, run_path: Path, device: torch.device):
        self.args, self.envs, self.run_path, self.device = args, envs, run_path, device
        self.policy = policy.to(device)
        self.policy.value_head.normalizer.beta = args.vf_ewma_beta
        if args.zero_initial_vf:
            with torch.no_grad():  # its statistics too: they start anew
                for parameter in self.policy.value_head.parameters():
                    parameter.zero_()
        self.reference = None
        if args.kl_divergence_coef_rho > 0:
            self.reference = copy.deepcopy(self.policy).requires_grad_(False)
        # Decay pulls matrices to zero; for norms and biases zero has no such meaning.
        trained = [p for p in self.policy.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in trained if p.ndim >= 2], "weight_decay": args.weight_decay},
                {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=args.learning_rate,
            eps=args.adam_eps,
        )
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=use_bfloat16(args.dtype, device))
        self.action_rng = torch.Generator(device).manual_seed(args.seed)
        self.batch_rng = np.random.default_rng(args.seed)

        self.iteration = 0  # iterations done
        self.global_step = 0  # environment steps, resets not counted
        self.nonfinite_steps = 0  # optimizer steps skipped in a row
        self.interrupted = False
        self.episode_returns: deque[float] = deque(maxlen=100)
        self.episode_lengths: deque[int] = deque(maxlen=100)
        self.video = VideoRecorder(envs, run_path / "videos", args.video_width, args.video_fps)

        n, t, net_args = args.num_envs, args.fragment_length, self.policy.net_args
        self.num_fragments = args.batch_size * args.batches_per_iteration
        self.fragments = Fragments.empty(self.num_fragments, t, net_args["img_shape"], device)
        self.next_values = torch.zeros(self.num_fragments, device=device)
        self.start_memories: list[VPTMemory] = []  # of each round, at its fragments' first step
        self.memory = self.policy.initial_memory(n)
        if self.reference is not None:
            self.reference_latents = torch.zeros(self.num_fragments, t, net_args["hidsize"], device=device)
            self.reference_memory = self.reference.initial_memory(n)
        self.next_obs = envs.reset(seed=args.seed)[0]["image"]
        self.next_first = torch.ones(n, dtype=torch.bool)
        self.next_done = torch.zeros(n, dtype=torch.bool)

    @torch.no_grad()
    def collect(self) -> None:
        """COLLECT FRAGMENTS: `fragment_length` steps in every environment, as many rounds as an iteration needs."""
        self.start_memories.clear()
        for begin in range(0, self.num_fragments, self.args.num_envs):
            rows = slice(begin, begin + self.args.num_envs)
            self.start_memories.append(self.memory.ordered())
            for t in range(self.args.fragment_length):
                self.collect_step(self.fragments.rows(rows), t)
                if self.interrupted:
                    return
            with self.autocast:  # what comes next is seen with the memory of the steps before it
                output = self.policy(*self.next_policy_input(), self.memory)
            self.next_values[rows] = self.policy.denormalize(output.vpred)[:, 0]
            self.remember_reference(rows)

    def next_policy_input(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.next_obs[:, None].to(self.device), self.next_first[:, None].to(self.device)

    def collect_step(self, fragments: Fragments, t: int) -> None:
        self.video.step(bool(self.next_first[0]))
        images, first = self.next_policy_input()
        with self.autocast:
            output = self.policy(images, first, self.memory, inplace=True)
        self.memory = output.memory
        buttons, camera = sample_actions(output, self.action_rng)
        now = slice(t, t + 1)
        fragments.images[:, now], fragments.first[:, now] = images, first
        fragments.buttons[:, now], fragments.camera[:, now] = buttons, camera
        fragments.logprobs[:, now] = log_prob(output, buttons, camera)
        fragments.values[:, now] = self.policy.denormalize(output.vpred)

        action = {"buttons": buttons[:, 0].cpu(), "camera": camera[:, 0].cpu()}
        obs, rewards, terminated, truncated, infos = self.envs.step(action)
        # The step after an episode's end only resets (Gymnasium's NEXT_STEP): its action taught nothing.
        fragments.valid[:, t] = ~self.next_done
        fragments.rewards[:, t] = rewards
        fragments.terminated[:, t] = terminated
        fragments.truncated[:, t] = truncated
        self.global_step += self.args.num_envs - int(self.next_done.sum())
        self.next_obs, self.next_first, self.next_done = obs["image"], self.next_done, terminated | truncated
        ended = infos["_episode"]
        if ended.any():
            self.episode_returns.extend(infos["episode"]["r"][ended].tolist())
            self.episode_lengths.extend(infos["episode"]["l"][ended].tolist())

    def remember_reference(self, rows: slice) -> None:
        """The reference policy sees the same steps with a memory of its own, carried from fragment to fragment.

        Kept are the inputs of its action heads: 8,762 log-probabilities for each step would need far more room.
        """
        if self.reference is None:
            return
        fragments = self.fragments.rows(rows)
        for steps in context_chunks(self.args):
            with self.autocast:
                latents, self.reference_memory = self.reference.encode(
                    fragments.images[:, steps], fragments.first[:, steps], self.reference_memory, inplace=True
                )
            self.reference_latents[rows, steps] = latents

    def estimate_advantages(self) -> tuple[torch.Tensor, torch.Tensor]:
        """CALCULATE ADVANTAGES of the collected fragments -> (advantages, returns) [F, T]."""
        f = self.fragments
        args = self.args
        return gae(
            *(f.rewards, f.values, self.next_values, f.terminated, f.truncated, f.valid), args.discount, args.gae_lambda
        )

    def update(self, advantages: torch.Tensor, returns: torch.Tensor) -> dict[str, float]:
        """UPDATE THE POLICY: epochs of minibatches of whole fragments -> metrics, means over the valid steps."""
        args, f = self.args, self.fragments
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        if args.normalize_advantage_full_batch:
            advantages = normalize_advantages(advantages, f.valid)
        memory = VPTMemory.cat(self.start_memories)
        sums: dict[str, torch.Tensor] = {}
        grad_norms, skipped = [], 0
        for _ in range(args.epochs_per_iteration):
            order = torch.from_numpy(self.batch_rng.permutation(self.num_fragments)).to(self.device)
            for rows in order.split(args.batch_size * args.gradient_accumulation):
                if self.interrupted:
                    break
                # Counts and statistics are the whole optimizer step's, so that accumulating changes nothing.
                normalizer = self.policy.value_head.normalizer
                statistics = copy.deepcopy(normalizer.state_dict())
                normalizer.update(returns[rows], f.valid[rows])
                count = f.valid[rows].sum().clamp(min=1)
                self.optimizer.zero_grad(set_to_none=True)
                for micro in rows.split(args.batch_size):
                    micro_advantages = advantages[micro]
                    if not args.normalize_advantage_full_batch:
                        micro_advantages = normalize_advantages(micro_advantages, f.valid[micro])
                    for metrics in self.backward(micro, memory.rows(micro), micro_advantages, returns[micro], count):
                        for name, value in metrics.items():
                            sums[name] = sums.get(name, 0.0) + value
                grad_norm = nn.utils.clip_grad_norm_(self.policy.parameters(), args.max_grad_norm)
                if self.step_optimizer(grad_norm):
                    grad_norms.append(float(grad_norm))
                else:
                    normalizer.load_state_dict(statistics)  # one infinite return would stay in them for ever
                    skipped += 1
        steps = sums.pop("steps").clamp(min=1) if sums else 1
        metrics = {f"losses/{name}": float(value / steps) for name, value in sums.items()}
        residual = masked_mean((returns - f.values) ** 2, f.valid)
        variance = masked_mean((returns - masked_mean(returns, f.valid)) ** 2, f.valid)
        metrics["losses/explained_variance"] = float(1 - residual / variance)  # nan or -inf where all returns are equal
        metrics["losses/grad_norm"] = float(np.mean(grad_norms)) if grad_norms else math.nan
        metrics["losses/skipped_steps"] = skipped
        metrics["charts/learning_rate"] = self.learning_rate
        metrics["charts/kl_coef"] = self.kl_coef
        return metrics

    @property
    def learning_rate(self) -> float:
        progress = self.iteration / self.args.num_iterations if self.args.anneal_lr_linearly else 0.0
        return self.args.learning_rate * (1 - progress)

    @property
    def kl_coef(self) -> float:
        return self.args.kl_divergence_coef_rho * self.args.coef_rho_decay**self.iteration

    def backward(
        self,
        rows: torch.Tensor,
        memory: VPTMemory,
        advantages: torch.Tensor,
        returns: torch.Tensor,
        count: torch.Tensor,
    ) -> Iterator[dict[str, torch.Tensor]]:
        """Gradients of fragments `rows`, chunk by chunk; yields sums of metrics over each chunk's valid steps.

        The losses are sums divided by `count`, the valid steps of the whole optimizer step.
        """
        args = self.args
        f = self.fragments.rows(rows)
        for steps in context_chunks(args):
            valid = f.valid[:, steps]
            with self.autocast:
                output = self.policy(f.images[:, steps], f.first[:, steps], memory)
            memory = output.memory
            newlogprob = log_prob(output, f.buttons[:, steps], f.camera[:, steps])
            pg_loss, logratio = policy_loss(
                newlogprob, f.logprobs[:, steps], advantages[:, steps], args.ppo_clip, args.log_ratio_range
            )
            v_loss = (output.vpred - self.policy.value_head.normalizer.normalize(returns[:, steps])) ** 2
            with torch.set_grad_enabled(args.entropy_bonus_coef != 0):
                entropy_bonus = entropy(output)
            kl = torch.zeros_like(pg_loss)
            if self.reference is not None:
                kl = kl_divergence(self.reference.heads(self.reference_latents[rows, steps], None), output)
            loss = (
                args.ppo_policy_coef * pg_loss
                + args.ppo_vf_coef * v_loss
                + self.kl_coef * kl
                - args.entropy_bonus_coef * entropy_bonus
            )
            (torch.where(valid, loss, 0.0).sum() / count).backward()
            with torch.no_grad():
                ratio = logratio.exp()
                metrics = {
                    "policy_loss": pg_loss,
                    "value_loss": v_loss,
                    "entropy": entropy_bonus,
                    "kl_to_reference": kl,
                    "approx_kl": (ratio - 1) - logratio,  # http://joschu.net/blog/kl-approx.html
                    "clipfrac": ((ratio - 1).abs() > args.ppo_clip).float(),
                    "steps": torch.ones_like(loss),
                }
                yield {name: torch.where(valid, value, 0.0).sum() for name, value in metrics.items()}

    def step_optimizer(self, grad_norm: torch.Tensor) -> bool:
        """Take the step unless a gradient is not finite; too many such in a row stop the run."""
        if torch.isfinite(grad_norm):
            self.optimizer.step()
            self.nonfinite_steps = 0
            return True
        self.nonfinite_steps += 1
        if self.nonfinite_steps > self.args.max_nonfinite_steps:
            raise FloatingPointError(
                f"gradients were not finite in {self.nonfinite_steps} optimizer steps in a row (iteration "
                f"{self.iteration + 1}): lower --learning-rate, or check the rewards and --model-path"
            )
        return False

    # SAVING

    def save(self) -> Path:
        """A checkpoint folder, complete or not there: written aside, then renamed."""
        folder = self.run_path / "checkpoints" / f"iteration_{self.iteration:06d}"
        if folder.exists():  # an interrupt came before another iteration was done
            return folder
        aside = folder.with_name(f".{folder.name}.tmp")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        save_vpt_policy(self.policy, aside / "policy.model", aside / "policy.weights")
        state = {
            "iteration": self.iteration,
            "global_step": self.global_step,
            "optimizer": self.optimizer.state_dict(),
            "action_rng": self.action_rng.get_state(),
            "batch_rng": self.batch_rng.bit_generator.state,
            "args": dataclasses.asdict(self.args),
        }
        with replace_file(aside / "trainer.pt") as file:
            torch.save(state, file)
        os.replace(aside, folder)
        for old in folder.parent.glob("iteration_*"):
            if old != folder and int(old.name.split("_")[1]) % self.args.keep_interval:
                shutil.rmtree(old)
        return folder


def context_chunks(args: Args) -> list[slice]:
    """The steps of a fragment in pieces of `context_length`."""
    return [slice(t, t + args.context_length) for t in range(0, args.fragment_length, args.context_length)]


def use_bfloat16(dtype: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16. auto: where the hardware multiplies bfloat16 matrices (CUDA, CPUs with AMX)."""
    if dtype == "auto":
        if device.type == "cuda":
            return torch.cuda.is_bf16_supported(including_emulation=False)
        return device.type == "cpu" and getattr(torch.cpu, "_is_amx_tile_supported", bool)()
    return dtype == "bfloat16"


def keep_freed_memory() -> None:
    """Let glibc's malloc keep what is freed: fresh pages for every large tensor cost a CPU a third of its update."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((-4, 0), (-1, -1), (-2, 64 << 20)):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
            mallopt(option, value)


def check_args(args: Args) -> None:
    """Refuse settings that cannot work before anything starts."""
    lowest = {
        **dict.fromkeys(("num_envs", "fragment_length", "num_iterations", "batch_size", "batches_per_iteration"), 1),
        **dict.fromkeys(("gradient_accumulation", "epochs_per_iteration", "context_length", "save_interval"), 1),
        **dict.fromkeys(("keep_interval", "video_fps"), 1),
        **dict.fromkeys(("learning_rate", "weight_decay", "adam_eps", "max_grad_norm", "ppo_clip", "ppo_vf_coef"), 0),
        **dict.fromkeys(("ppo_policy_coef", "kl_divergence_coef_rho", "log_ratio_range", "record_video_interval"), 0),
        "video_width": 32,
    }
    for name, low in lowest.items():
        if not getattr(args, name) >= low:
            raise SystemExit(f"--{name.replace('_', '-')} {getattr(args, name)} must be at least {low}")
    if args.batch_size * args.batches_per_iteration % args.num_envs:
        raise SystemExit(
            f"--batch-size {args.batch_size} x --batches-per-iteration {args.batches_per_iteration} = "
            f"{args.batch_size * args.batches_per_iteration} fragments must be a multiple of --num-envs {args.num_envs}"
        )
    if args.batches_per_iteration % args.gradient_accumulation:
        raise SystemExit(
            f"--gradient-accumulation {args.gradient_accumulation} must divide "
            f"--batches-per-iteration {args.batches_per_iteration}"
        )
    for name, low, high in (("discount", 0, 1), ("gae_lambda", 0, 1), ("vf_ewma_beta", 0, 1), ("coef_rho_decay", 0, 1)):
        if not low <= getattr(args, name) <= high:
            raise SystemExit(f"--{name.replace('_', '-')} {getattr(args, name)} must be between {low} and {high}")
    try:
        device = torch.device(args.device if args.device != "auto" else "cpu")
    except RuntimeError as error:
        raise SystemExit(f"--device {args.device} is no torch device: {error}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit(f"--device {args.device}: this torch sees no CUDA GPU; use --device cpu")
    for name in ("weights_path", "temperature"):
        if getattr(args, name) is not None and args.model_path is None:
            raise SystemExit(f"--{name.replace('_', '-')} needs --model-path, which says which network it is for")


def main(args: Args) -> Path:
    """Train -> the run's folder."""
    check_args(args)
    keep_freed_memory()
    console = Console(width=None if sys.stdout.isatty() else 200)  # a log file has no width
    logging.basicConfig(
        level=logging.INFO,
        format="%(message)s",
        handlers=[RichHandler(console=console, show_time=False, show_path=False)],
        force=True,
    )
    torch.manual_seed(args.seed)
    device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if args.device == "auto" else args.device)

    if args.model_path is None:
        policy = policy_generator()
    else:
        policy = load_openai_policy(args.model_path, args.weights_path, args.temperature)
    height, width, _ = policy.net_args["img_shape"]
    # The policy says at which size it sees. Staggered episodes do not all end at once.
    envs = minestudio_envs.make_vec(
        env_generator, args.num_envs, seed=args.seed, obs_size=(width, height), copy=False, stagger=True
    )

    run_path = Path(args.save_path) / f"{args.exp_name}__{args.seed}__{time.strftime('%Y%m%d-%H%M%S')}"
    if run_path.exists():  # begun in the same second
        run_path = run_path.with_name(f"{run_path.name}-{os.getpid()}")
    run_path.mkdir(parents=True)
    (run_path / "args.json").write_text(json.dumps(dataclasses.asdict(args), indent=2))
    trainer = Trainer(args, policy, envs, run_path, device)
    logger.info(
        f"{run_path}: {sum(p.numel() for p in policy.parameters()) / 1e6:.1f} M parameters, temperature "
        f"{policy.temperature}, on {device}; {args.num_envs} environments at {width}x{height}"
    )
    wandb_run = None
    if args.track:
        import wandb

        wandb_run = wandb.init(
            project=args.wandb_project_name,
            entity=args.wandb_entity,
            name=run_path.name,
            config=dataclasses.asdict(args),
        )
        wandb_run.define_metric("*", step_metric="charts/global_step")

    def interrupt(signum: int, frame: Any) -> None:
        if trainer.interrupted:
            raise KeyboardInterrupt
        trainer.interrupted = True
        logger.warning("interrupted: finishing the step, saving, leaving (once more: leaving now)")

    def log_videos() -> None:
        for path in trainer.video.pop_finished():
            if wandb_run is not None:
                step = {"charts/global_step": trainer.global_step}
                wandb_run.log({"videos/episode": wandb.Video(str(path))} | step)

    handlers = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    columns = ("{task.completed}/{task.total}", BarColumn(), "{task.description}", TimeElapsedColumn(), "ETA")
    progress = Progress(*columns, TimeRemainingColumn(), console=console)
    try:
        with progress, (run_path / "metrics.jsonl").open("a", buffering=1) as metrics_file:
            task = progress.add_task("first iteration", total=args.num_iterations)
            while trainer.iteration < args.num_iterations and not trainer.interrupted:
                step_before, times = trainer.global_step, [time.perf_counter()]
                if args.record_video_interval and trainer.iteration % args.record_video_interval == 0:
                    trainer.video.request(f"iteration_{trainer.iteration + 1:06d}")
                trainer.collect()
                times.append(time.perf_counter())
                if trainer.interrupted:
                    break
                metrics = trainer.update(*trainer.estimate_advantages())
                times.append(time.perf_counter())
                trainer.iteration += 1

                sps = (trainer.global_step - step_before) / (times[2] - times[0])
                episodic_return = float(np.mean(trainer.episode_returns)) if trainer.episode_returns else math.nan
                row = {
                    "charts/iteration": trainer.iteration,
                    "charts/global_step": trainer.global_step,
                    "charts/episodic_return": episodic_return,
                    "charts/episodic_length": float(np.mean(trainer.episode_lengths or [math.nan])),
                    "charts/SPS": sps,
                    **metrics,
                    "time/rollout": times[1] - times[0],
                    "time/update": times[2] - times[1],
                }
                # JSON has no NaN
                finite = {key: value if math.isfinite(value) else None for key, value in row.items()}
                metrics_file.write(json.dumps(finite) + "\n")
                if wandb_run is not None:
                    wandb_run.log(row)
                log_videos()
                shown_return = f"{episodic_return:.2f}" if trainer.episode_returns else "(no episode ended yet)"
                summary = (
                    f"step {trainer.global_step:,}  {sps:,.0f} SPS  return {shown_return}  "
                    f"KL {metrics.get('losses/kl_to_reference', math.nan):.4f}"
                )
                progress.update(task, advance=1, description=summary)
                if not console.is_terminal:
                    console.print(f"iteration {trainer.iteration}/{args.num_iterations}  {summary}")
                if trainer.iteration % args.save_interval == 0 and trainer.iteration < args.num_iterations:
                    trainer.save()
        logger.info(f"checkpoint: {trainer.save()}")
    finally:
        trainer.video.close()
        log_videos()
        envs.close()
        if wandb_run is not None:
            wandb_run.finish()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return run_path


if __name__ == "__main__":
    try:
        main(tyro.cli(Args, description=__doc__))
    except VPTFileError as error:
        raise SystemExit(f"error: {error}") from None
