"""Named tasks: environment generators, registered as Gymnasium ids by ``import minestudio_envs``."""

from typing import Any

from minestudio_envs.callbacks import (
    CommandsCallback,
    FastResetCallback,
    JudgeResetCallback,
    MaskActionsCallback,
    RewardsCallback,
    SummonMobsCallback,
)
from minestudio_envs.simulator import MinecraftSim, MinecraftVectorSim


def kill_cow(**kwargs: Any) -> MinecraftSim:
    """``MineStudio/KillCow-v0``: ten cows around the player, an iron sword, 600 steps, reward 1 for each kill."""
    reward = {"event": "kill_entity", "objects": ["cow"], "reward": 1.0, "identity": "kill_cow", "max_reward_times": 30}
    task = {
        "obs_size": (128, 128),
        "render_size": None,
        "preferred_spawn_biome": "plains",
        "callbacks": [
            SummonMobsCallback([{"name": "cow", "number": 10, "range_x": [-5, 5], "range_z": [-5, 5]}]),
            MaskActionsCallback(inventory=0),
            RewardsCallback([reward]),
            CommandsCallback(["/give @p minecraft:iron_sword 1"]),
            FastResetCallback(biomes=["plains"], random_tp_range=1000),
            JudgeResetCallback(600),
        ],
    }
    return MinecraftSim(**task | kwargs)


def kill_cow_vec(num_envs: int, render_mode: str | None = None, **kwargs: Any) -> MinecraftVectorSim:
    """A batch of ``kill_cow`` for ``gymnasium.make_vec``: NumPy arrays; ``kwargs`` as ``minestudio_envs.make_vec``."""
    return MinecraftVectorSim(kill_cow(render_mode=render_mode), num_envs, **{"array": "numpy"} | kwargs)
