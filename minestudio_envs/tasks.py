"""Named tasks: environment generators, registered as Gymnasium ids by ``import minestudio_envs``.

``kill_cow()`` gives a MinecraftSim, ``kill_cow_vec(num_envs)`` a batch for ``gymnasium.make_vec``; keywords replace a
task's own arguments.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from minestudio_envs.callbacks import (
    CommandsCallback,
    Compose,
    FastResetCallback,
    InitInventoryCallback,
    JudgeResetCallback,
    MaskActionsCallback,
    MinecraftCallback,
    RewardsCallback,
    SummonMobsCallback,
)
from minestudio_envs.simulator import MinecraftSim, MinecraftVectorSim
from minestudio_envs.voxel.blocks import WOODS

ANIMALS = ("cow", "pig", "sheep", "chicken")


def reward(event: str, objects: list[str], amount: float = 1.0, times: int = 1000) -> dict[str, Any]:
    """An entry of RewardsCallback with an identity of its own."""
    identity = f"{event} {objects[0]}"
    return {"event": event, "objects": objects, "reward": amount, "identity": identity, "max_reward_times": times}


def task(biomes: list[str], steps: int, *callbacks: MinecraftCallback, start_time: int = 0, **kwargs: Any):
    """A MinecraftSim of VPT's picture size that begins in one of ``biomes`` and ends after ``steps``."""
    settings = {
        "obs_size": (128, 128),
        "render_size": None,
        "callbacks": [
            *callbacks,
            MaskActionsCallback(inventory=0),
            FastResetCallback(biomes=biomes, random_tp_range=1000, start_time=start_time),
            JudgeResetCallback(steps),
        ],
    }
    return MinecraftSim(**settings | kwargs)


def kill_cow(biomes: Sequence[str] = ("plains",), **kwargs: Any) -> MinecraftSim:
    """``MineStudio/KillCow-v0``: ten cows around the player, an iron sword, 600 steps, reward 1 for each kill."""
    return task(
        list(biomes),
        600,
        SummonMobsCallback([{"name": "cow", "number": 10, "range_x": [-5, 5], "range_z": [-5, 5]}]),
        RewardsCallback([reward("kill_entity", ["cow"], times=30)]),
        CommandsCallback(["/give @p minecraft:iron_sword 1"]),
        **{"preferred_spawn_biome": biomes[0]} | kwargs,
    )


def chop_tree(**kwargs: Any) -> MinecraftSim:
    """``MineStudio/ChopTree-v0``: a forest, bare hands, 1,200 steps, reward 1 for each log broken."""
    logs = [f"{wood}_log" for wood in WOODS]
    return task(["forest"], 1200, RewardsCallback([reward("mine_block", logs)]), **kwargs)


def hunt_animals(**kwargs: Any) -> MinecraftSim:
    """``MineStudio/HuntAnimals-v0``: three of each animal within 16 blocks, a stone sword, 1,200 steps.

    Reward 1 for each kill, and 0.2 for each piece of meat picked up.
    """
    meat = ["beef", "porkchop", "mutton", "chicken"]
    spread = {"number": 3, "range_x": [-16, 16], "range_z": [-16, 16]}
    return task(
        ["plains"],
        1200,
        SummonMobsCallback([{"name": animal, **spread} for animal in ANIMALS]),
        InitInventoryCallback([{"slot": 0, "type": "stone_sword", "quantity": 1}]),
        RewardsCallback([reward("kill_entity", list(ANIMALS)), reward("pickup", meat, 0.2)]),
        **kwargs,
    )


def collect_sand(**kwargs: Any) -> MinecraftSim:
    """``MineStudio/CollectSand-v0``: desert or beach, bare hands, 600 steps, reward 1 for each sand picked up."""
    return task(["desert", "beach"], 600, RewardsCallback([reward("pickup", ["sand"])]), **kwargs)


def dig_down(**kwargs: Any) -> MinecraftSim:
    """``MineStudio/DigDown-v0``: plains, an iron pickaxe and shovel, 1,200 steps.

    Reward 1 for each stone broken, 5 for coal and iron ore, 20 for gold, redstone, lapis and diamond ore.
    """
    tools = [{"slot": i, "type": f"iron_{tool}", "quantity": 1} for i, tool in enumerate(("pickaxe", "shovel"))]
    deep = [f"{ore}_ore" for ore in ("diamond", "gold", "redstone", "lapis")]
    return task(
        ["plains"],
        1200,
        InitInventoryCallback([*tools, {"slot": 2, "type": "torch", "quantity": 16}]),
        RewardsCallback(
            [
                reward("mine_block", ["stone", "granite", "diorite", "andesite"]),
                reward("mine_block", ["coal_ore", "iron_ore"], 5.0),
                reward("mine_block", deep, 20.0),
            ]
        ),
        **kwargs,
    )


def survive(**kwargs: Any) -> MinecraftSim:
    """``MineStudio/Survive-v0``: plains, a night from its beginning to its end with nothing in hand, 12,000 steps.

    Reward 0.01 for each second (20 ticks) lived through, 1 for each monster killed, -10 for each death.
    """
    return task(
        ["plains"],
        12000,
        RewardsCallback(
            [
                reward("custom", ["play_one_minute"], 0.0005, times=10**6),  # a tick
                reward("kill_entity", ["zombie", "skeleton"]),
                reward("custom", ["deaths"], -10.0),
            ]
        ),
        start_time=12000,
        **kwargs,
    )


def t_maze(**kwargs: Any) -> MinecraftSim:
    """``MineStudio/TMaze-v0``: what was seen at the beginning must be remembered. 50 steps.

    The first walls of a corridor are red or blue, and out of view where it ends and the way goes on to the left and to
    the right. After red walls andesite lies to the left, after blue ones to the right, and pays 1; on the other side
    lies stone, and pays -0.5. Both lie in niches, seen only when they are reached. Who always goes to one side gets
    0.25, who visits both 0.5.
    """

    def maze(colour: str, left: str, right: str) -> CommandsCallback:
        return CommandsCallback(
            [
                "/tp @p ~ ~20 ~ 0 0",
                "/fill ~-5 ~-1 ~-2 ~5 ~3 ~5 minecraft:stone",
                f"/fill ~-1 ~ ~-1 ~1 ~3 ~2 minecraft:{colour}_wool",
                "/fill ~ ~ ~-1 ~ ~3 ~3 minecraft:air",
                "/fill ~-4 ~ ~4 ~4 ~3 ~4 minecraft:air",
                *[f"/setblock ~{x} ~ ~3 minecraft:air" for x in (3, -3)],
                *[f"/summon item ~{x} ~ ~3 {{Item:{{id:{item},Count:1}}}}" for x, item in ((3, left), (-3, right))],
            ]
        )

    return task(
        ["plains"],
        50,
        Compose([maze("red", "andesite", "stone"), maze("blue", "stone", "andesite")], 1),
        RewardsCallback([reward("pickup", ["andesite"], times=1), reward("pickup", ["stone"], -0.5, times=1)]),
        **kwargs,
    )


TASKS = {
    "KillCow": kill_cow,
    "ChopTree": chop_tree,
    "HuntAnimals": hunt_animals,
    "CollectSand": collect_sand,
    "DigDown": dig_down,
    "Survive": survive,
    "TMaze": t_maze,
}


BATCH_ARGUMENTS = ("device", "seed", "array", "copy", "stagger", "autoreset_mode", "episode_statistics")


def make_batch(
    generator: Callable[..., MinecraftSim], num_envs: int, max_episode_steps: int | None = None, **kwargs: Any
):
    """A batch of a task for ``gymnasium.make_vec``: NumPy arrays.

    kwargs: BATCH_ARGUMENTS as ``minestudio_envs.make_vec``, all others as MinecraftSim.
    """
    batch = {"array": "numpy"} | {name: kwargs.pop(name) for name in BATCH_ARGUMENTS if name in kwargs}
    sim = generator(**{"render_mode": None, "timestep_limit": max_episode_steps} | kwargs)
    return MinecraftVectorSim(sim, num_envs, **batch)


kill_cow_vec = functools.partial(make_batch, kill_cow)
chop_tree_vec = functools.partial(make_batch, chop_tree)
hunt_animals_vec = functools.partial(make_batch, hunt_animals)
collect_sand_vec = functools.partial(make_batch, collect_sand)
dig_down_vec = functools.partial(make_batch, dig_down)
survive_vec = functools.partial(make_batch, survive)
t_maze_vec = functools.partial(make_batch, t_maze)
