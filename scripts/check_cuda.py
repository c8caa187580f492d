"""Compares the voxel engine on a GPU with the CPU, on a machine that has one; exits with 1 where they differ too much.

python scripts/check_cuda.py

The same actions in the same worlds: every number of the state must be equal, floats within --tolerance, and of every
picture's pixels 99.9 % within one grey level. Then a CUDA graph of a batch's step must do what the step does.
"""

import sys
import time
from dataclasses import dataclass

import numpy as np
import torch
import tyro

import minestudio_envs
from minestudio_envs.actions import BUTTONS, NUM_BUTTONS, NUM_CAMERA
from minestudio_envs.tasks import survive
from minestudio_envs.voxel.commands import compile_commands
from minestudio_envs.voxel.engine import VoxelEngine
from minestudio_envs.voxel.randomness import environment_key
from minestudio_envs.voxel.state import without_remains


@dataclass
class Args:
    num_envs: int = 64
    """environments"""
    steps: int = 1000
    """steps of each"""
    size: int = 128
    """sides of the pictures in pixels"""
    every: int = 50
    """steps between two comparisons of the whole state; pictures are compared in every step"""
    episode: int = 300
    """steps of an episode, at random +-50 %"""
    tolerance: float = 1e-4
    """relative and absolute, of floats"""
    seed: int = 0


def differences(cpu: VoxelEngine, gpu: VoxelEngine, tolerance: float) -> dict[str, np.ndarray]:
    """By field, the environments in which it is not the same, bool [N]."""
    found, wanted = without_remains(gpu.snapshot()), without_remains(cpu.snapshot())
    wrong = {}
    for name, array in wanted.items():
        if array.dtype.kind == "f":
            same = np.isclose(found[name], array, rtol=tolerance, atol=tolerance, equal_nan=True)
        else:
            same = found[name] == array
        wrong[name] = ~same.reshape(len(array), -1).all(1)
    return {name: environments for name, environments in wrong.items() if environments.any()}


def compare_engines(args: Args) -> bool:
    n, size = args.num_envs, args.size
    program = compile_commands(["/give @p iron_sword", "/summon cow ~2 ~1 ~2", "/summon zombie ~6 ~1 ~4"])
    biomes = ("plains", "forest", "desert", "swamp", "savanna")
    make = lambda device: VoxelEngine(n, size, size, program=program, biomes=biomes, animals=True, device=device)  # noqa: E731
    cpu, gpu = make("cpu"), make("cuda")
    keys = np.array([environment_key(args.seed, i) for i in range(n)])
    for engine in (cpu, gpu):
        engine.set_keys(keys)
    rng = np.random.default_rng(args.seed)
    theirs, ours = np.zeros((n, size, size, 3), np.uint8), torch.zeros(n, size, size, 3, dtype=torch.uint8).cuda()
    ends, near, agreed = np.zeros(n, np.int64), [], np.ones(n, bool)
    held = np.zeros((n, len(BUTTONS)), bool)
    seconds = time.perf_counter()
    for t in range(args.steps):
        held = np.where(rng.random(held.shape) < 0.1, rng.random(held.shape) < 0.25, held)
        held[:, BUTTONS.index("inventory")] &= rng.random(n) < 0.02
        camera = (rng.normal(size=(n, 2)) * (4, 10)).astype(np.float32)
        reset = (ends <= t).astype(np.uint8)
        ends = np.where(ends <= t, t + rng.integers(args.episode // 2, 3 * args.episode // 2 + 1, n), ends)
        cpu.step(held.astype(np.uint8), camera, reset, theirs)
        gpu.step(held.astype(np.uint8), camera, reset, ours)
        close = np.abs(ours.cpu().numpy().astype(np.int16) - theirs).max(-1) <= 1
        near.append(close.reshape(n, -1).mean(1))
        if t % args.every == 0 or t == args.steps - 1:
            wrong = differences(cpu, gpu, args.tolerance)
            for environments in wrong.values():
                agreed &= ~environments
            gap = np.abs(gpu.state.position.cpu().numpy() - cpu.state.position).max()
            note = ", ".join(f"{name} in {int(env.sum())}" for name, env in wrong.items()) or "nothing"
            print(f"step {t}: positions within {gap:.1e}; differs: {note}; pixels {np.mean(near[-1]):.5f}", flush=True)
    pixels = float(np.mean(near))
    print(f"{n} environments, {args.steps} steps, {time.perf_counter() - seconds:.0f} s")
    print(f"state: the same throughout in {int(agreed.sum())} of {n} environments")
    print(
        f"pictures: {100 * pixels:.4f} % of the pixels within one grey level, of the worst {100 * np.min(near):.3f} %"
    )
    return bool(agreed.all()) and pixels >= 0.999


def compare_graph(args: Args) -> bool:
    """Steps of a batch on the GPU: one by one, and as replays of a CUDA graph."""
    make = lambda: minestudio_envs.make_vec(survive, args.num_envs, device="cuda", seed=args.seed, copy=False)  # noqa: E731
    plain, captured = make(), make()
    draw = torch.Generator().manual_seed(args.seed)
    actions = {"buttons": torch.zeros(args.num_envs, dtype=torch.int64).cuda()}
    actions["camera"] = actions["buttons"].clone()
    plain.reset(), captured.reset()
    graph, same = torch.cuda.CUDAGraph(), True
    for t in range(100):
        actions["buttons"].copy_(torch.randint(NUM_BUTTONS - 1, (args.num_envs,), generator=draw))
        actions["camera"].copy_(torch.randint(NUM_CAMERA, (args.num_envs,), generator=draw))
        wanted = plain.step(actions)
        if t < 3:
            found = captured.step(actions)
            continue
        if t == 3:
            with torch.cuda.graph(graph):
                found = captured.step(actions)
        graph.replay()
        same &= torch.equal(found[0]["image"], wanted[0]["image"]) and torch.equal(found[1], wanted[1])
    print(f"a CUDA graph of a step {'does what the step does' if same else 'DIFFERS from the step'}")
    return same


def main(args: Args) -> int:
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    return 0 if all([compare_engines(args), compare_graph(args)]) else 1


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Args, description=__doc__)))
