"""Minecraft environments for VPT: a fast batched voxel simulator, and MineStudio's API around it.

``make_vec(env_generator, num_envs)`` turns an environment generator, written as for MineStudio, into a Gymnasium
vector environment.
"""

import os
from collections.abc import Callable
from typing import Any

# Numba's threads and torch's share the cores, and those that spin while they wait for work take them from the others.
# Said before they start (to hold for torch's too: before torch is imported). GNU's OpenMP spins 150 times as long.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

import gymnasium
from gymnasium.vector import AutoresetMode

from minestudio_envs.simulator import MinecraftSim, MinecraftVectorSim

__all__ = ["MinecraftSim", "MinecraftVectorSim", "make_vec"]


def make_vec(
    env_generator: Callable[[], Any] | str,
    num_envs: int,
    engine: str = "voxel",
    device: str = "cpu",
    seed: int = 0,
    array: str = "torch",
    copy: bool = True,
    stagger: bool = False,
    obs_size: tuple[int, int] | None = None,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    episode_statistics: bool = True,
    **minecraft: Any,
) -> gymnasium.vector.VectorEnv:
    """Make a Gymnasium VectorEnv of ``num_envs`` environments of one task.

    Args:
        env_generator: takes nothing, returns a ``MinecraftSim``; called once. Its ``seed`` gives way to ``seed``.
            With engine "minecraft" it may return minestudio's own, and may be ``"package.module:function"``.
        num_envs: batch size.
        engine: ``"voxel"``, the embedded simulator, or ``"minecraft"``, the real game through minestudio.
        device: where the engine runs and its tensors are, "cpu" or "cuda".
        seed: of everything random; environment i is the same for every batch size.
        array: ``"torch"`` tensors or ``"numpy"`` arrays.
        copy: False hands out the engine's own image buffer, which the next step overwrites.
        obs_size: (width, height) in place of the generator's, for a policy that sees at another size.
        stagger: the first episodes begin at evenly spread ages, so that they do not all end together.
        autoreset_mode: Gymnasium's, see MinecraftVectorSim; engine "minecraft" has NEXT_STEP only.
        episode_statistics: ``infos["episode"]``; False leaves it to Gymnasium's RecordEpisodeStatistics.
        minecraft: with engine "minecraft": ``minestudio_python``, ``batch_size``, limits and more, as
            ``minestudio_envs.minecraft.MinecraftVectorEnv`` says.
    """
    options = {"seed": seed, "array": array, "copy": copy, "stagger": stagger, "obs_size": obs_size}
    if engine == "minecraft":
        from minestudio_envs.minecraft import MinecraftVectorEnv

        if device != "cpu":
            raise ValueError(f"device={device!r}: engine='minecraft' draws on the CPU; leave device out")
        if AutoresetMode(autoreset_mode) is not AutoresetMode.NEXT_STEP or not episode_statistics:
            raise ValueError("engine='minecraft' has autoreset_mode NEXT_STEP and episode_statistics only")
        return MinecraftVectorEnv(env_generator, num_envs, **options, **minecraft)
    if engine != "voxel":
        raise ValueError(f"engine={engine!r}; known: 'voxel', 'minecraft'")
    if minecraft:
        raise TypeError(f"make_vec: {', '.join(minecraft)}: known with engine='minecraft' only")
    sim = env_generator()
    if not isinstance(sim, MinecraftSim):
        raise TypeError(f"env_generator returned {type(sim)}, expected a minestudio_envs.MinecraftSim")
    options |= {"device": device, "autoreset_mode": autoreset_mode, "episode_statistics": episode_statistics}
    return sim.vector_class(sim, num_envs, **options)


for _id, _generator in {  # tasks.TASKS, without importing it
    "KillCow": "kill_cow",
    "ChopTree": "chop_tree",
    "HuntAnimals": "hunt_animals",
    "CollectSand": "collect_sand",
    "DigDown": "dig_down",
    "Survive": "survive",
    "TMaze": "t_maze",
}.items():
    gymnasium.register(
        f"MineStudio/{_id}-v0",
        entry_point=f"minestudio_envs.tasks:{_generator}",
        vector_entry_point=f"minestudio_envs.tasks:{_generator}_vec",
    )
