"""Runs in a process with NUMBA_ENABLE_CUDASIM=1 and NUMBA_DISABLE_JIT=1: the CUDA kernels in plain Python.

python tests/cuda_in_simulator.py FILE: plays what ``play_engine`` and ``play_tasks`` play, on "cuda", and saves it.
"""

import sys

import numpy as np
import torch

import minestudio_envs
from minestudio_envs import MinecraftSim
from minestudio_envs.callbacks import (
    CommandsCallback,
    FastResetCallback,
    GateRewardsCallback,
    JudgeResetCallback,
    MaskActionsCallback,
    PrevActionCallback,
    RewardsCallback,
    SummonMobsCallback,
    VoxelsCallback,
)
from minestudio_envs.voxel.commands import compile_command, compile_commands
from minestudio_envs.voxel.engine import GO_ON, HOLD, RESET, TICK, VoxelEngine
from minestudio_envs.voxel.state import without_remains

N, SIZE = 2, 16  # environments; pixels along a picture's side and blocks along the world's


def _keep(record, when, engine, image):
    for name, array in without_remains(engine.snapshot()).items():
        record[f"{when}.{name}"] = array
    record[f"{when}.image"] = image.numpy().copy()


def play_engine(device: str) -> dict[str, np.ndarray]:
    """Resets with spares not begun, begun and ready; ticks; commands; modes; a picture of another size."""
    engine = VoxelEngine(
        N,
        SIZE,
        SIZE,
        program=compile_commands(["/give @p torch 3", "/summon cow ~2 ~1 ~1"]),
        max_mobs=4,
        empty_frames=2,
        animals=True,
        biomes=["savanna"],
        start_time=13500,
        world_size=SIZE,
        device=device,
    )
    record, rng = {}, np.random.default_rng(0)
    image = torch.zeros(N, SIZE, SIZE, 3, dtype=torch.uint8)
    idle = np.zeros((N, 20), np.uint8), np.zeros((N, 2), np.float32)

    def actions():
        return (rng.random((N, 20)) < 0.3).astype(np.uint8), rng.normal(size=(N, 2)).astype(np.float32) * 20

    def step(when, modes):
        engine.step(*actions(), np.array(modes, np.uint8), engine.native(image))
        _keep(record, when, engine, image)

    engine.step(*idle, np.full(N, RESET, np.uint8), engine.native(image))
    _keep(record, "begun", engine, image)
    for _ in range(45):
        engine.tick(*actions(), np.full(N, TICK, np.uint8))
    step("played", [TICK, TICK])
    step("spare was ready", [RESET, TICK])
    step("spare was begun", [RESET, HOLD])
    step("goes on", [TICK, GO_ON])
    engine.execute(np.array([compile_command("/fill ~1 ~ ~1 ~2 ~1 ~2 glass")]), np.array([True, False]))
    step("executed", [TICK, RESET])
    engine.set_keys(np.array([7, 8]), np.array([False, True]))
    step("another key", [TICK, RESET])
    record["frame"] = engine.frame(1, 24, 12)
    engine.restore(engine.snapshot())
    step("restored", [RESET, TICK])
    return record


def task() -> MinecraftSim:
    cow = {"name": "cow", "number": 1, "range_x": [-2, 2], "range_z": [-2, 2]}
    jumps = {"event": "custom", "objects": ["jump"], "reward": 1.0, "identity": "jump", "max_reward_times": 2}
    return MinecraftSim(
        obs_size=(SIZE, SIZE),
        num_empty_frames=1,
        world_size=SIZE,
        callbacks=[
            SummonMobsCallback([cow]),
            CommandsCallback(["/setblock ~1 ~ ~ obsidian"]),
            FastResetCallback(["plains", "desert"], 10, start_time=6000),
            RewardsCallback([jumps]),
            MaskActionsCallback(inventory=0),
            VoxelsCallback([-1, 1, -1, 1, -1, 1]),
            GateRewardsCallback(),
            PrevActionCallback(),
            JudgeResetCallback(3),
        ],
    )


def play_tasks(device: str) -> dict[str, np.ndarray]:
    """A batch through two time limits, saved and loaded."""
    envs = minestudio_envs.make_vec(task, N, device=device, seed=3)
    record, rng = {}, np.random.default_rng(1)

    def step(when):
        actions = {"buttons": rng.integers(0, 8640, N), "camera": rng.integers(0, 121, N)}
        obs, rewards, terminated, truncated, infos = envs.step(actions)
        names = ("image", "reward", "terminated", "truncated", "began", "return", "length", "voxels", "camera")
        episode = infos["episode"]
        values = (obs["image"], rewards, terminated, truncated, infos["began"], episode["r"], episode["l"])
        values += infos["voxels"], obs["env_prev_action"]["camera"]
        for name, value in zip(names, values, strict=True):
            record[f"{when}.{name}"] = value.numpy().copy()

    envs.reset()
    for t in range(6):
        step(f"step {t}")
    state = envs.state_dict()
    step("on")
    envs.load_state_dict(state)
    step("again")
    return record


if __name__ == "__main__":
    np.seterr(all="ignore")
    plays = {"engine": play_engine("cuda"), "tasks": play_tasks("cuda")}
    np.savez(sys.argv[1], **{f"{part}.{key}": value for part, record in plays.items() for key, value in record.items()})
