"""How fast real Minecraft steps through the adapter, against minestudio's own loop on the same task.

    MINESTUDIO_PYTHON=... python scripts/benchmark_minecraft.py --stand-in --step-seconds 0.025
    MINESTUDIO_PYTHON=... MINESTUDIO_DIR=... python scripts/benchmark_minecraft.py

minestudio's loop is `sim.step(action)` in its own interpreter with its own callbacks, one environment. The adapter has
the policy's side in another process, and adds rewards, truncation, episodes and statistics. Rounds of both alternate,
each with engines of its own, and the medians count.

Without --stand-in the real engine plays (about 40 steps/s each; several need a core each). With it, tests'
stand_in_engine.py does, waiting --step-seconds before it answers each step: 0.025 makes it as slow as the real one
without taking a core, so that several environments show what the adapter costs and not how many cores there are; 0
shows the adapter's own cost.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

import minestudio_envs
from minestudio_envs.actions import NUM_CAMERA
from minestudio_envs.minecraft import find_minestudio_python
from minestudio_envs.minecraft_worker import TAG, kill_all
from minestudio_envs.tasks import kill_cow

# Run by the interpreter with minestudio: the same task, written for it.
PLAIN_LOOP = """
import json, sys, time
import numpy as np
from minestudio.simulator import MinecraftSim
from minestudio.simulator.callbacks import *
warm_up, seconds = json.loads(sys.argv[1])
sim = MinecraftSim(obs_size=(128, 128), preferred_spawn_biome="plains", callbacks=[
    SummonMobsCallback([{"name": "cow", "number": 10, "range_x": [-5, 5], "range_z": [-5, 5]}]),
    MaskActionsCallback(inventory=0),
    RewardsCallback([{"event": "kill_entity", "objects": ["cow"], "reward": 1.0, "identity": "kill_cow",
                      "max_reward_times": 30}]),
    CommandsCallback(["/give @p minecraft:iron_sword 1"]),
    FastResetCallback(biomes=["plains"], random_tp_range=1000),
    JudgeResetCallback(10**9),
])
sim.reset()
rng = np.random.default_rng(0)
def step():
    sim.step({"buttons": rng.integers(0, 8640, 1), "camera": rng.integers(0, 121, 1)})
for _ in range(warm_up):
    step()
count, start = 0, time.perf_counter()
while time.perf_counter() - start < seconds:
    step()
    count += 1
print("steps per second:", count / (time.perf_counter() - start), file=sys.__stdout__, flush=True)
sim.close()
"""


@dataclass
class Args:
    minestudio_python: str | None = None
    """interpreter that holds minestudio; default: the environment variable MINESTUDIO_PYTHON"""
    num_envs: int = 4
    """environments of the second measurement"""
    seconds: float = 8.0
    """time for each measurement"""
    rounds: int = 3
    """of all measurements; the medians count"""
    stand_in: bool = False
    """measure with the tests' stand-in for the engine"""
    step_seconds: float = 0.025
    """time that the stand-in waits before it answers a step"""


def plain_rate(python: str, seconds: float) -> float:
    """Steps per second of minestudio's own loop."""
    command = [python, "-c", PLAIN_LOOP, json.dumps([50, seconds])]
    with tempfile.TemporaryDirectory() as folder:
        try:  # minestudio's helper process outlives it, with its pipes: hence files, and killing it
            with open(f"{folder}/out", "w") as out:
                environment = os.environ | {TAG: folder}
                subprocess.run(command, cwd=folder, stdout=out, stderr=out, env=environment, timeout=600 + seconds)
        finally:
            kill_all(folder)
        output = Path(folder, "out").read_text()
    for line in output.splitlines():
        if line.startswith("steps per second:"):
            return float(line.partition(":")[2])
    sys.exit(f"minestudio's own loop failed:\n{output[-4000:]}")


def adapter_rate(python: str, num_envs: int, seconds: float) -> float:
    """Steps per second, summed over the environments: whoever is ready gets its next action, as a trainer does."""
    task = lambda: kill_cow(timestep_limit=10**9, callbacks=kill_cow().callbacks[:-1])  # noqa: E731
    envs = minestudio_envs.make_vec(
        task, num_envs, engine="minecraft", array="numpy", batch_size=1, minestudio_python=python
    )
    rng = np.random.default_rng(0)

    def act(ids: np.ndarray) -> None:
        envs.send({"buttons": rng.integers(0, 8640, len(ids)), "camera": rng.integers(0, NUM_CAMERA, len(ids))}, ids)

    try:
        envs.reset(seed=0)
        act(np.arange(num_envs))
        for _ in range(50 * num_envs):
            act(envs.recv()[0])
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            act(envs.recv()[0])
            count += 1
        if envs.restarts:
            sys.exit("an engine failed meanwhile: this run says nothing about speed")
        return count / (time.perf_counter() - start)
    finally:
        envs.close()


def main(args: Args) -> None:
    python = find_minestudio_python(args.minestudio_python)
    with tempfile.TemporaryDirectory() as folder:
        what = "the real engine"
        if args.stand_in:
            sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
            from stand_in_engine import stand_in

            slow = {"fault": "slow", "seconds": args.step_seconds}
            os.environ.update(stand_in(Path(folder), *([slow] if args.step_seconds else [])))
            what = f"the stand-in, {args.step_seconds * 1000:g} ms a step"
        print(f"{what}; {os.cpu_count()} CPU cores")
        rates: dict[str, list[float]] = {"plain": [], "one": [], "many": []}
        for _ in range(args.rounds):
            rates["plain"].append(plain_rate(python, args.seconds))
            rates["one"].append(adapter_rate(python, 1, args.seconds))
            rates["many"].append(adapter_rate(python, args.num_envs, args.seconds))
        plain, one, many = (statistics.median(rates[key]) for key in ("plain", "one", "many"))
        n, each = args.num_envs, "  ".join
        print(f"minestudio's own loop:    {plain:7.1f} steps/s   ({each(f'{r:.1f}' for r in rates['plain'])})")
        print(f"adapter, 1 environment:   {one:7.1f} steps/s   ({each(f'{r:.1f}' for r in rates['one'])})")
        print(f"adapter, {n} environments:  {many:7.1f} steps/s   ({each(f'{r:.1f}' for r in rates['many'])})")
        print(f"1 environment: {one / plain:.1%} of minestudio's own loop")
        print(f"{n} environments: {many / (n * one):.1%} of {n} times one")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
