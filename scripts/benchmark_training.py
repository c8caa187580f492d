"""How fast acting and training are, against VPT's policy written plainly and MineStudio's order of passes.

    python scripts/benchmark_training.py --size 1x                            # about ten minutes on two cores
    python scripts/benchmark_training.py --size 1x --threads 1 --clock cpu    # on a machine with other work to do

Both sides have the same random weights, and their outputs are compared first. Each measurement runs in a process of its
own, so that peaks of memory do not mix, the sides take turns, and the fastest repeat counts. Our side includes all that
the online script does for speed, its setting of the memory allocator too.
"""

import contextlib
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).parents[1]))  # the scripts are no package
import ppo_vpt_online as ppo  # before torch: it sets how torch's threads wait
from ppo_vpt_online import SMALL_NET_ARGS, VPTPolicy, kl_divergence, log_prob, sample_actions

# isort: split
import torch
import torch.nn as nn
import torch.nn.functional as F
import tyro
from rich.console import Console
from rich.table import Table

from minestudio_envs.training.hardware import keep_freed_memory

NET_ARGS = {"small": SMALL_NET_ARGS}
for size, width in (("1x", 1), ("2x", 2)):  # OpenAI's foundation-model-1x.model and 2x.model
    NET_ARGS[size] = SMALL_NET_ARGS | {
        "attention_heads": 8 * width,
        "attention_memory_size": 256,
        "hidsize": 1024 * width,
        "img_shape": [128, 128, 3],
        "impala_chans": [16, 32, 32],
        "impala_width": 4 * width,
        "n_recurrence_layers": 4,
        "timesteps": 128,
    }


@dataclass
class Args:
    size: Literal["small", "1x", "2x"] = "small"
    """the policy: of the quick start, or OpenAI's published sizes"""
    what: Literal["all", "passes", "run"] = "all"
    """single passes against the reference, the online script's whole loop, or both"""
    dtypes: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
    """our side's arithmetic, one after the other; the reference's is float32"""
    threads: int = torch.get_num_threads()
    """torch's threads"""
    clock: Literal["wall", "cpu"] = "wall"
    """seconds of the clock, or of computing (all threads together), which other programs disturb less"""
    num_envs: int = 16
    """environments that act together"""
    batch_size: int = 1
    """fragments trained on together [MineStudio's configurations: 1]"""
    context_length: int = 64
    """steps back-propagated through at once [64]"""
    fragment_length: int = 128
    """steps of a fragment [256; the time for a frame is the same]"""
    epochs: int = 1
    """passes over a fragment each time it is trained on [1]"""
    uses: int = 1
    """times a fragment is trained on, in the second of them stale [at most 2]"""
    repeats: int = 2
    """measurements in each process at least, after a warm-up"""
    seconds: float = 3.0
    """measuring in each process goes on this long"""
    rounds: int = 2
    """processes for each measurement"""
    iterations: int = 3
    """of the whole loop"""


# THE REFERENCE: VPT's policy from its description, one plain torch operation after the other. Names of modules are the
# published ones, so that one state dict serves both sides.


class PlainFanIn(nn.Module):
    """norm -> layer -> ReLU"""

    def __init__(self, n_in: int, n_out: int, conv: bool = False, norm: bool = True, relu: bool = True):
        super().__init__()
        if norm:
            self.norm = nn.GroupNorm(1, n_in) if conv else nn.LayerNorm(n_in)
        self.layer = nn.Conv2d(n_in, n_out, 3, padding=1, bias=not norm) if conv else nn.Linear(n_in, n_out, not norm)
        self.has_norm, self.relu = norm, relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer(self.norm(x) if self.has_norm else x)
        return F.relu(x) if self.relu else x


class PlainStack(nn.Module):
    def __init__(self, n_in: int, n_out: int, first: bool):
        super().__init__()
        self.firstconv = PlainFanIn(n_in, n_out, conv=True, norm=not first)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.n = nn.GroupNorm(1, n_out)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({name: PlainFanIn(n_out, n_out, conv=True) for name in ("conv0", "conv1")}) for _ in range(2)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.n(self.pool(self.firstconv(x)))
        for block in self.blocks:
            x = x + block.conv1(block.conv0(x))
        return x


class PlainCNN(nn.Module):
    def __init__(self, img_shape: list[int], chans: list[int]):
        super().__init__()
        height, width, n_in = img_shape
        self.stacks = nn.ModuleList()
        for n_out in chans:
            self.stacks.append(PlainStack(n_in, n_out, first=not self.stacks))
            height, width, n_in = (height + 1) // 2, (width + 1) // 2, n_out
        self.dense = PlainFanIn(n_in * height * width, 256)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = image.permute(0, 3, 1, 2).contiguous().float() / 255
        for stack in self.stacks:
            x = stack(x)
        return self.dense(x.flatten(1))


class PlainAttention(nn.Module):
    def __init__(self, d: int, heads: int, m: int):
        super().__init__()
        self.heads, self.m = heads, m
        self.b_nd = nn.Parameter(torch.zeros(10, m))
        self.q_layer, self.proj_layer = nn.Linear(d, d), nn.Linear(d, d)
        self.k_layer, self.v_layer = nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False)
        self.r_layer = nn.Linear(d, 10 * heads)

    def forward(
        self, x: torch.Tensor, allowed: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        (B, T, d), m, H = x.shape, self.m, self.heads
        keys = torch.cat([keys, self.k_layer(x)], 1)
        values = torch.cat([values, self.v_layer(x)], 1)
        q, k, v = (t.view(B, -1, H, d // H).transpose(1, 2) for t in (self.q_layer(x), keys, values))
        by_age = self.r_layer(x).view(B, T, H, 10).transpose(1, 2) @ self.b_nd  # [B, H, T, m]
        age = torch.arange(T)[:, None] + m - torch.arange(m + T)
        bias = by_age.gather(-1, age.clamp(0, m - 1).expand(B, H, T, m + T))
        logits = q @ k.transpose(2, 3) / (d // H) + bias
        logits = torch.where(allowed[:, None], logits, logits - 1e9)
        out = torch.softmax(logits, -1) @ v
        return self.proj_layer(out.transpose(1, 2).reshape(B, T, d)), keys[:, -m:], values[:, -m:]


class PlainBlock(nn.Module):
    def __init__(self, d: int, heads: int, m: int, ratio: int):
        super().__init__()
        self.mlp0 = PlainFanIn(d, ratio * d)
        self.mlp1 = PlainFanIn(ratio * d, d, norm=False, relu=False)
        self.pre_r_ln = nn.LayerNorm(d)
        self.r = nn.ModuleDict({"orc_block": PlainAttention(d, heads, m)})


class PlainValueHead(nn.Module):
    def __init__(self, d: int):
        super().__init__()
        self.linear = nn.Linear(d, 1)
        self.normalizer = nn.Module()
        for name, shape in (("running_mean", (1,)), ("running_mean_sq", (1,)), ("debiasing_term", ())):
            self.normalizer.register_parameter(name, nn.Parameter(torch.zeros(shape), requires_grad=False))


@dataclass
class PlainOutput:
    """The fields of PolicyOutput, with the published form of the memory: (valid, keys and values of each block)."""

    buttons: torch.Tensor
    camera: torch.Tensor
    vpred: torch.Tensor
    memory: tuple


class PlainPolicy(nn.Module):
    def __init__(self, net_args: dict, temperature: float = 1.0):
        super().__init__()
        self.net_args, self.temperature, a = net_args, temperature, net_args
        d, self.m = a["hidsize"], a["attention_memory_size"] - a["timesteps"]
        cnn = PlainCNN(a["img_shape"], [a["impala_width"] * chans for chans in a["impala_chans"]])
        block = (d, a["attention_heads"], self.m, a["pointwise_ratio"])
        blocks = nn.ModuleList(PlainBlock(*block) for _ in range(a["n_recurrence_layers"]))
        self.net = nn.ModuleDict(
            {
                "img_process": nn.ModuleDict({"cnn": cnn, "linear": PlainFanIn(256, d)}),
                "recurrent_layer": nn.ModuleDict({"blocks": blocks}),
                "lastlayer": PlainFanIn(d, d),
                "final_ln": nn.LayerNorm(d),
            }
        )
        self.value_head = PlainValueHead(d)
        heads = {"camera": 121, "buttons": 8641}
        self.pi_head = nn.ModuleDict({k: nn.ModuleDict({"linear_layer": nn.Linear(d, n)}) for k, n in heads.items()})

    def initial_memory(self, batch_size: int) -> tuple:
        empty = torch.zeros(batch_size, self.m, self.net_args["hidsize"])
        blocks = range(self.net_args["n_recurrence_layers"])
        return torch.zeros(batch_size, self.m, dtype=torch.bool), [(empty.clone(), empty.clone()) for _ in blocks]

    def forward(self, image: torch.Tensor, first: torch.Tensor, memory: tuple) -> PlainOutput:
        (B, T), m = first.shape, self.m
        valid, rings = memory
        segment = torch.cat(
            [torch.zeros(B, m, dtype=torch.int64), first.cumsum(1)], 1
        )  # episodes since the chunk began
        known = torch.cat([valid, torch.ones(B, T, dtype=torch.bool)], 1)
        age = torch.arange(T)[:, None] + m - torch.arange(m + T)
        allowed = (age >= 0) & (age < m) & known[:, None] & (segment[:, m:, None] == segment[:, None])
        net, new_rings = self.net, []
        x = net.img_process.linear(net.img_process.cnn(image.flatten(0, 1))).view(B, T, -1)
        for block, (keys, values) in zip(net.recurrent_layer.blocks, rings, strict=True):
            x = block.pre_r_ln(x)
            out, keys, values = block.r.orc_block(x, allowed, keys, values)
            x = x + out
            x = x + block.mlp1(block.mlp0(x))
            new_rings.append((keys.detach(), values.detach()))
        latents = net.final_ln(net.lastlayer(F.relu(x)))
        heads = (self.pi_head.buttons, self.pi_head.camera)
        buttons, camera = (F.log_softmax(head.linear_layer(latents) / self.temperature, -1) for head in heads)
        new_valid = (known & (segment == segment[:, -1:]))[:, -m:]
        return PlainOutput(buttons, camera, self.value_head.linear(latents).squeeze(-1), (new_valid, new_rings))


# MEASURING


def random_images(b: int, t: int, net_args: dict) -> torch.Tensor:
    return torch.randint(0, 256, (b, t, *net_args["img_shape"]), dtype=torch.uint8)


def check_equal(args: Args) -> float:
    """Both sides over two chunks and a single step, with an episode's begin inside -> the largest difference."""
    torch.manual_seed(0)
    ours, plain = VPTPolicy(NET_ARGS[args.size]), PlainPolicy(NET_ARGS[args.size])
    plain.load_state_dict(ours.state_dict())
    memories, worst = [side.initial_memory(2) for side in (ours, plain)], 0.0
    first = torch.zeros(2, 9, dtype=torch.bool)
    first[0, [0, 5]] = True
    images = random_images(2, 9, NET_ARGS[args.size])
    with torch.no_grad():
        for steps in (slice(0, 4), slice(4, 8), slice(8, 9)):
            ours_out = ours(images[:, steps], first[:, steps], memories[0])
            plain_out = plain(images[:, steps], first[:, steps], memories[1])
            memories = [ours_out.memory, plain_out.memory]
            for name in ("buttons", "camera", "vpred"):
                worst = max(worst, float((getattr(ours_out, name) - getattr(plain_out, name)).abs().max()))
    assert worst < 1e-3, f"the two sides differ by {worst}"
    return worst


class Side:
    """One of the two policies and what is needed to run it."""

    def __init__(self, name: str, args: Args):
        self.args, self.plain, self.bfloat16 = args, name == "reference", name == "bfloat16"
        torch.set_num_threads(args.threads)
        self.net_args = NET_ARGS[args.size]
        if not self.plain:
            keep_freed_memory()
        torch.manual_seed(0)
        self.policy = (PlainPolicy if self.plain else VPTPolicy)(self.net_args)
        self.autocast = torch.autocast("cpu", torch.bfloat16) if self.bfloat16 else contextlib.nullcontext()

    def acting(self) -> Callable[[], int]:
        """A step of all environments: forward, sampling, log-probability."""
        n, policy = self.args.num_envs, self.policy
        images, first, self.memory = random_images(n, 1, self.net_args), torch.zeros(n, 1, dtype=torch.bool), None
        in_place = {} if self.plain else {"inplace": True}
        self.memory = policy.initial_memory(n)

        @torch.no_grad()
        def steps() -> int:
            with self.autocast:  # around several steps, as Collector.collect has it
                for _ in range(8):
                    output = policy(images, first, self.memory, **in_place)
                    self.memory = output.memory
                    log_prob(output, *sample_actions(output))
            return 8 * n

        return steps

    def fragment(self) -> dict[str, torch.Tensor]:
        b, t = self.args.batch_size, self.args.fragment_length
        return {
            "images": random_images(b, t, self.net_args),
            "first": torch.zeros(b, t, dtype=torch.bool),
            "buttons": torch.randint(0, 8641, (b, t)),
            "camera": torch.randint(0, 121, (b, t)),
            "advantages": torch.randn(b, t),
            "returns": torch.randn(b, t),
        }

    def chunks(self, fragment: dict[str, torch.Tensor]):
        for chunk in zip(*(tensor.split(self.args.context_length, 1) for tensor in fragment.values()), strict=True):
            yield dict(zip(fragment, chunk, strict=True))

    def backward(self, chunk: dict, logprobs: torch.Tensor | None, reference: object, memory: object) -> object:
        """Forward and backward of PPO's loss, with the KL to the reference policy's output where there is one."""
        with self.autocast:
            output = self.policy(chunk["images"], chunk["first"], memory)
        newlogprob = log_prob(output, chunk["buttons"], chunk["camera"])
        logprobs = newlogprob.detach() if logprobs is None else logprobs
        ratio = (newlogprob - logprobs).exp()
        pg_loss = torch.max(-chunk["advantages"] * ratio, -chunk["advantages"] * ratio.clamp(0.8, 1.2))
        loss = pg_loss + 0.5 * (output.vpred - chunk["returns"]) ** 2
        if reference is not None:
            loss = loss + 0.2 * kl_divergence(reference, output)
        loss.mean().backward()
        return output.memory

    def training(self) -> Callable[[], int]:
        """Forward and backward over one chunk."""
        chunk = next(self.chunks(self.fragment()))
        memory = self.policy.initial_memory(self.args.batch_size)

        def step() -> int:
            self.policy.zero_grad(set_to_none=True)
            self.backward(chunk, None, None, memory)
            return chunk["first"].numel()

        return step

    @torch.no_grad()
    def passes(self, policy: nn.Module, fragment: dict, encode: bool = False) -> list:
        """No-grad passes over a fragment, chunk by chunk -> outputs, or only the heads' inputs."""
        memory, results = policy.initial_memory(self.args.batch_size), []
        for chunk in self.chunks(fragment):
            with self.autocast:
                if encode:
                    result, memory = policy.encode(chunk["images"], chunk["first"], memory, inplace=True)
                else:
                    result = policy(chunk["images"], chunk["first"], memory)
                    memory = result.memory
            results.append(result)
        return results

    def schedule(self) -> Callable[[], int]:
        """All passes that training on a fragment takes, acting not included."""
        args = self.args
        fragment = self.fragment()
        reference_policy = type(self.policy)(self.net_args).requires_grad_(False)
        chunks = list(self.chunks(fragment))

        # MineStudio (CraftJarvis/MineStudio at f6a1c234). Acting: one T=1 forward a step, batch 8, the environments'
        # states joined and split around it; only the state at a fragment's first step is kept, no log-probability
        # (online/rollout/rollout_worker.py). Each time a fragment is drawn for training, at most `max_reuse` = 2 times
        # (online/rollout/replay_buffer/actor.py, online/run/config/gate_kl.py):
        #   1. a no-grad forward in chunks of `context_length` = 64 gives old log-probabilities and values; one more T=1
        #      forward for the last of consecutive fragments, left out here (online/trainer/basetrainer.py);
        #   2. in each epoch, for each chunk: the training forward; a no-grad forward of the reference policy, heads and
        #      all, from an empty memory at the fragment's begin; then backward (online/trainer/ppotrainer.py).
        # Fragments have 256 steps, one is in a micro-batch, there is one epoch (online/run/config/gate_kl.py).
        def theirs() -> int:
            self.policy.zero_grad(set_to_none=True)
            for _ in range(args.uses):
                outputs = self.passes(self.policy, fragment)
                old = [log_prob(o, c["buttons"], c["camera"]) for o, c in zip(outputs, chunks, strict=True)]
                del outputs
                for _ in range(args.epochs):
                    memory = self.policy.initial_memory(args.batch_size)
                    reference_memory = reference_policy.initial_memory(args.batch_size)
                    for chunk, logprobs in zip(chunks, old, strict=True):
                        with torch.no_grad():
                            reference = reference_policy(chunk["images"], chunk["first"], reference_memory)
                        reference_memory = reference.memory
                        memory = self.backward(chunk, logprobs, reference, memory)
            return args.uses * fragment["first"].numel()

        # Ours: log-probabilities are stored when acting; the reference policy sees a fragment once, however often it is
        # used, and only the heads run again; only a stale fragment (every use but the first) is passed anew, or all in
        # bfloat16 (Learner.see_anew).
        def ours() -> int:
            self.policy.zero_grad(set_to_none=True)
            latents = self.passes(reference_policy, fragment, encode=True)
            for use in range(args.uses):
                if use > 0 or self.bfloat16:
                    for output, chunk in zip(self.passes(self.policy, fragment), chunks, strict=True):
                        log_prob(output, chunk["buttons"], chunk["camera"])
                for _ in range(args.epochs):
                    memory = self.policy.initial_memory(args.batch_size)
                    for chunk, latent in zip(chunks, latents, strict=True):
                        with torch.no_grad():
                            reference = reference_policy.heads(latent)
                        memory = self.backward(chunk, None, reference, memory)
            return args.uses * fragment["first"].numel()

        return theirs if self.plain else ours


def measure(name: str, what: str, args: Args) -> tuple[float, float]:
    """(frames a second, peak memory in GB) of one side, in this process."""
    step = getattr(Side(name, args), what)()
    step()
    best, count, begin = 0.0, 0, time.perf_counter()
    clock = time.perf_counter if args.clock == "wall" else time.process_time
    while count < args.repeats or time.perf_counter() - begin < args.seconds:
        start = clock()
        frames = step()
        best, count = max(best, frames / (clock() - start)), count + 1
    return best, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def in_own_process(function: Callable, *arguments):
    """A new process, because a process's peak of memory never falls."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def benchmark_passes(args: Args) -> None:
    """Acting and training passes of both sides -> a table."""
    difference = in_own_process(check_equal, args)
    rows = {
        "acting": f"acting, {args.num_envs} environments",
        "training": f"forward + backward, {args.batch_size} x {args.context_length} steps (ratio A)",
        "schedule": f"all passes for a fragment, {args.uses} use(s), {args.epochs} epoch(s) (ratio B)",
    }
    table = Table(title=f"VPT {args.size} on {os.cpu_count()} CPU cores, {args.threads} thread(s)")
    for column in ("", "", f"frames / {args.clock} s", "ratio", "peak GB"):
        table.add_column(column, justify="right" if column else "left")
    for what, label in rows.items():
        best = dict.fromkeys(("reference", *args.dtypes), (0.0, 0.0))
        for _ in range(args.rounds):
            for name in best:
                best[name] = max(best[name], in_own_process(measure, name, what, args))
        for name, (rate, gigabytes) in best.items():
            side = "reference, float32" if name == "reference" else f"ours, {name}"
            ratio = rate / best["reference"][0]
            table.add_row(
                label, side, f"{rate:.1f}", f"{ratio:.2f}", f"{gigabytes:.1f}", end_section=name == list(best)[-1]
            )
            label = ""
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    console.print(f"largest difference between the sides' outputs in float32: {difference:.1e}")


# A WHOLE RUN


def run_settings(args: Args, dtype: str) -> ppo.Args:
    """The quick start, or VPT's own settings cut down to what a CPU does in minutes."""
    common = {"dtype": dtype, "record_video_interval": 0, "num_iterations": args.iterations + 1}
    if args.size == "small":
        return ppo.Args(**common)
    paper = {"learning_rate": 2e-5, "kl_divergence_coef_rho": 0.2, "epochs_per_iteration": 1, "fragment_length": 64}
    paper |= {"context_length": 64, "num_envs": 4, "batch_size_per_gpu": 1, "batches_per_iteration": 4}
    return ppo.Args(**common, **paper)


def measure_run(dtype: str, args: Args) -> dict[str, float]:
    """Sums over `iterations` iterations of the online script's trainer, after one to warm up."""
    torch.set_num_threads(args.threads)
    keep_freed_memory()
    settings = run_settings(args, dtype)
    torch.manual_seed(settings.seed)
    policy = VPTPolicy(NET_ARGS[args.size])
    trainer = ppo.make_trainer(settings, policy, Path("output/benchmark"))
    sums = dict.fromkeys(("rollout", "transfer", "prox_pass", "update", "env_steps", "trained_steps", "seconds"), 0.0)
    for iteration in range(args.iterations + 1):
        before = trainer.collector.global_step, trainer.learner.trained_steps
        trainer.replay.seconds, began = 0.0, time.perf_counter()
        trainer.collect()
        rollout = time.perf_counter() - began - trainer.replay.seconds
        metrics = trainer.update()
        if iteration > 0:
            sums["rollout"] += rollout
            sums["transfer"] += trainer.replay.seconds
            for name in ("prox_pass", "update"):
                sums[name] += metrics[f"time/{name}"]
            sums["env_steps"] += trainer.collector.global_step - before[0]
            sums["trained_steps"] += trainer.learner.trained_steps - before[1]
            sums["seconds"] += time.perf_counter() - began
    trainer.close()
    return sums | {"gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9}


def benchmark_run(args: Args) -> None:
    """The online script's own loop in the voxel engine -> a table."""
    table = Table(title=f"ppo_vpt_online.py, {args.size}, {args.iterations} iterations, wall clock")
    for column in ("", "SPS", "rollout SPS", "update frames/s", "rollout", "replay", "prox pass", "update", "peak GB"):
        table.add_column(column, justify="right" if column else "left")
    for dtype in args.dtypes:
        r = in_own_process(measure_run, dtype, args)
        rates = (r["env_steps"] / r["seconds"], r["env_steps"] / r["rollout"], r["trained_steps"] / r["update"])
        shares = (r[phase] / r["seconds"] for phase in ("rollout", "transfer", "prox_pass", "update"))
        cells = (*(f"{rate:,.0f}" for rate in rates), *(f"{share:.0%}" for share in shares), f"{r['gigabytes']:.1f}")
        table.add_row(dtype, *cells)
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def main(args: Args) -> None:
    if args.fragment_length % args.context_length:
        raise SystemExit("--fragment-length must be a multiple of --context-length")
    if args.what != "run":
        benchmark_passes(args)
    if args.what != "passes":
        benchmark_run(args)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
