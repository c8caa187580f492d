"""How fast the voxel engine is: ticks alone, and steps with pictures, as a user of make_vec gets them.

python scripts/benchmark_envs.py --num-envs 64 --seconds 5
python scripts/benchmark_envs.py --busy-neighbour   # the same beside a process that keeps every core busy
python scripts/benchmark_envs.py --peers            # and other simulators: crafter, craftax, Minecraft if installed
python scripts/benchmark_envs.py --device cuda --num-envs 4096

Episodes of KillCow end after 600 steps, at different times, so resets are part of every measurement of steps.
"""

import contextlib
import importlib.util
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import tyro

import minestudio_envs
from minestudio_envs import MinecraftSim
from minestudio_envs.actions import NUM_BUTTONS, NUM_CAMERA
from minestudio_envs.callbacks import MinecraftCallback
from minestudio_envs.tasks import kill_cow


@dataclass
class Args:
    num_envs: int = 64
    """environments in the batch"""
    sizes: tuple[int, ...] = (32, 64, 128)
    """image sides in pixels"""
    seconds: float = 5.0
    """time for each measurement"""
    device: str = "cpu"
    """where the engine runs: cpu or cuda"""
    busy_neighbour: bool = False
    """measure again while another process keeps every core busy; half of the speed is then a fair share"""
    peers: bool = False
    """measure other simulators too: those of crafter, craftax and minestudio (MINESTUDIO_PYTHON) that are installed"""


class Hook(MinecraftCallback):
    """MineStudio's hook for one environment, which does nothing."""

    def after_step(self, sim, obs, reward, terminated, truncated, info):
        return obs, reward, terminated, truncated, info


def hook_sim(callbacks: list[MinecraftCallback]) -> MinecraftSim:
    return MinecraftSim(obs_size=(32, 32), render_size=None, callbacks=callbacks)


def finish() -> None:
    """Waits for what a GPU has still to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def rate(step: Callable[[int], None], num_envs: int, seconds: float, warm_up: int = 20) -> float:
    """Environment steps per second of ``step(t)``, after a warm-up."""
    for t in range(warm_up):
        step(t)
    finish()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for _ in range(10):
            step(count)
            count += 1
        finish()
    return count * num_envs / (time.perf_counter() - start)


def _keep_busy() -> None:
    while True:
        pass


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """A process that never rests for each core."""
    processes = [multiprocessing.Process(target=_keep_busy, daemon=True) for _ in range(os.cpu_count())]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()


def crafter_rate(seconds: float) -> float:
    """Crafter (https://github.com/danijar/crafter): two-dimensional, Python, one environment."""
    import crafter

    env = crafter.Env(size=(64, 64))
    rng = np.random.default_rng(0)
    env.reset()

    def step(t: int) -> None:
        *_, done, _ = env.step(rng.integers(env.action_space.n))
        if done:
            env.reset()

    return rate(step, 1, seconds)


def craftax_rate(seconds: float, num_envs: int) -> float:
    """Craftax-Classic (https://github.com/MichaelTMatthews/Craftax): two-dimensional, JAX, pictures of 63x63."""
    import jax
    from craftax.craftax_env import make_craftax_env_from_name

    env = make_craftax_env_from_name("Craftax-Classic-Pixels-v1", auto_reset=True)
    params = env.default_params

    @jax.jit
    def batch_step(key, state):
        key, actions, steps = jax.random.split(key, 3)
        actions = jax.random.randint(actions, (num_envs,), 0, env.action_space(params).n)
        keys = jax.random.split(steps, num_envs)
        observation, state, *_ = jax.vmap(env.step, in_axes=(0, 0, 0, None))(keys, state, actions, params)
        return key, state, observation

    _, state = jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(jax.random.key(0), num_envs), params)
    carry = [jax.random.key(1), state, None]

    def step(t: int) -> None:
        carry[:] = batch_step(carry[0], carry[1])
        jax.block_until_ready(carry[2])

    return rate(step, num_envs, seconds)


def minecraft_rate(seconds: float) -> float:
    """The real game through minestudio, one environment, its pictures scaled to 64x64."""
    python = os.environ["MINESTUDIO_PYTHON"]
    envs = minestudio_envs.make_vec(kill_cow, 1, engine="minecraft", minestudio_python=python, obs_size=(64, 64))
    try:
        envs.reset()
        noop = {"buttons": np.zeros(1, np.int64), "camera": np.full(1, 60)}
        return rate(lambda t: envs.step(noop), 1, seconds)
    finally:
        envs.close()


def print_peers(args: Args, own: float) -> None:
    """Steps per second of what is installed, and how many times as fast the voxel engine's ``own`` are."""
    for name, measure, installed in (
        ("crafter", lambda: crafter_rate(args.seconds), importlib.util.find_spec("crafter")),
        ("craftax", lambda: craftax_rate(args.seconds, args.num_envs), importlib.util.find_spec("craftax")),
        ("Minecraft", lambda: minecraft_rate(args.seconds), os.environ.get("MINESTUDIO_PYTHON")),
    ):
        if installed:
            steps = measure()
            print(f"{name + ', 64x64 pictures:':24} {steps:12,.0f} /s  this engine: {own / steps:.1f} times as many")
        else:
            print(f"{name}: not installed")


def picture_rate(args: Args, size: int, actions: list[dict[str, np.ndarray]]) -> float:
    """Steps per second of a batch that draws pictures of size x size."""
    envs = minestudio_envs.make_vec(kill_cow, args.num_envs, obs_size=(size, size), copy=False, stagger=True)
    envs.reset()
    return rate(lambda t: envs.step(actions[t % len(actions)]), args.num_envs, args.seconds)


def as_graph(step: Callable[[int], None]) -> Callable[[int], None]:
    """``step(0)`` as a CUDA graph."""
    for _ in range(3):
        step(0)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(0)
    return lambda t: graph.replay()


def main(args: Args) -> None:
    rng = np.random.default_rng(0)
    actions = [
        {"buttons": rng.integers(0, NUM_BUTTONS, args.num_envs), "camera": rng.integers(0, NUM_CAMERA, args.num_envs)}
        for _ in range(100)
    ]
    gpu = args.device != "cpu"
    actions = [{k: torch.from_numpy(v).to(args.device) for k, v in action.items()} for action in actions]
    where = torch.cuda.get_device_name() if gpu else f"{os.cpu_count()} CPU cores"
    print(f"{args.num_envs} environments of MineStudio/KillCow-v0, random actions, {where}")
    looks = {"copy": False, "stagger": True, "device": args.device}
    for size in args.sizes:
        envs = minestudio_envs.make_vec(kill_cow, args.num_envs, obs_size=(size, size), **looks)
        envs.reset()
        step = lambda t, envs=envs: envs.step(actions[t % 100])  # noqa: E731
        # On a GPU the worlds of the first episodes' successors are ready after some 150 steps.
        steps = rate(step, args.num_envs, args.seconds, warm_up=200 if gpu else 20)
        print(
            f"step with {size}x{size} pictures: {steps:12,.0f} /s  {1e9 / steps / size**2:6.2f} ns a pixel", flush=True
        )
        if gpu:
            steps = rate(as_graph(step), args.num_envs, args.seconds)
            print(f"  as a CUDA graph:          {steps:12,.0f} /s  {1e9 / steps / size**2:6.2f} ns a pixel", flush=True)
            drawn = rate(lambda t, envs=envs: envs.engine.render(envs._image), args.num_envs, args.seconds)
            print(f"  pictures alone:           {drawn:12,.0f} /s", flush=True)
        del envs, step
    if gpu:
        measure_ticks(args)
        return
    times = []
    for callbacks in ([], [Hook()]):
        envs = minestudio_envs.make_vec(lambda callbacks=callbacks: hook_sim(callbacks), args.num_envs)
        envs.reset()
        times.append(1e3 / rate(lambda t, envs=envs: envs.step(actions[t % 100]), args.num_envs, args.seconds))
    print(f"a callback's hook for each environment: {times[1] - times[0]:.3f} ms a step of one environment")
    measure_ticks(args)
    if args.busy_neighbour:
        alone = picture_rate(args, 64, actions)
        with busy_cores():
            beside = picture_rate(args, 64, actions)
        print(f"64x64 beside a busy neighbour: {beside:,.0f} /s, {beside / alone:.0%} of {alone:,.0f} /s alone")
    if args.peers:
        print_peers(args, picture_rate(args, 64, actions))


def measure_ticks(args: Args) -> None:
    rng = np.random.default_rng(0)
    envs = minestudio_envs.make_vec(kill_cow, args.num_envs, obs_size=(32, 32), copy=False, device=args.device)
    envs.reset()
    engine = envs.engine
    pressed = rng.integers(0, 2, (args.num_envs, 20)).astype(np.uint8)
    camera = rng.normal(size=(args.num_envs, 2)).astype(np.float32)
    reset = np.zeros(args.num_envs, np.uint8)
    if args.device != "cpu":
        pressed, camera, reset = (torch.from_numpy(array).to(args.device) for array in (pressed, camera, reset))
    ticks = rate(lambda t: engine.tick(pressed, camera, reset), args.num_envs, args.seconds)
    print(f"tick without picture:    {ticks:12,.0f} /s")
    resets = rate(lambda t: engine.tick(pressed, camera, reset + 1), args.num_envs, args.seconds)
    print(f"reset without picture:   {resets:12,.0f} /s  {1e3 / resets:6.3f} ms each")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
