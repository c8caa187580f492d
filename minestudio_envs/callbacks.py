"""MineStudio's callbacks: what a task summons, commands, rewards and ends.

An environment generator lists them exactly as for MineStudio; only the import line differs. Each class here works on
all environments of a batch at once, with three hooks on tensors whose leading axis is the environment:

- ``configure(setup)`` once, before the engine is built: what happens at every reset;
- ``before_batch_step(batch, pressed, degrees)``: may change the actions in place;
- ``after_batch_step(batch, reward, terminated, truncated)``: may change the three results in place.

``observations(batch)`` and ``infos(batch)`` add to what a step returns, and ``translate(task)`` says the same in
MineStudio's terms, for the real Minecraft.

A callback of your own may instead have MineStudio's hooks, written for a single environment: ``before_reset``,
``after_reset``, ``before_step``, ``after_step``, ``before_render``, ``after_render``, ``before_close``,
``after_close``. They are called for each environment of a batch, on a copy of the callback for each, with a ``sim``
that shows that one (views.py): ``sim.execute_cmd``, ``sim.env``, ``sim.obs``, ``sim.info``, ``sim.np_random``, ...
This is slower, the more environments the slower. A ``before_reset`` that returns False lets the next episode begin in
the world as it is, where the player stands; whatever comes later in the list and returns True overrides it, and so do
FastResetCallback and HardResetCallback, which make a new world.

Hooks run in list order. Unlike MineStudio's, rewards of several callbacks add up, every kill pays, a time limit is a
truncation, and everything random depends on the seed, the environment and the episode only.
"""

import functools
import json
import re
import string
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import spaces

from minestudio_envs import draws
from minestudio_envs.actions import BUTTONS
from minestudio_envs.views import MAX_DEGREES, MINECRAFT_BIOME, REWARD_EVENTS, check_box
from minestudio_envs.voxel import commands, game_data
from minestudio_envs.voxel import program as rows
from minestudio_envs.voxel.biomes import BIOMES
from minestudio_envs.voxel.blocks import BLOCK_NAME, NAMED_BLOCK
from minestudio_envs.voxel.errors import nearest
from minestudio_envs.voxel.items import DURABILITY, INVENTORY_SLOTS, ITEM_ID, MAIN_SLOTS, STACK_SIZE
from minestudio_envs.voxel.state import CUSTOM_ID, MOB_ID, WEATHERS

if TYPE_CHECKING:
    from minestudio_envs.minecraft import MinecraftTask
    from minestudio_envs.simulator import EngineSetup, MinecraftVectorSim

MINESTUDIO_HOOKS = tuple(
    f"{when}_{what}" for what in ("step", "reset", "close", "render") for when in ("before", "after")
)
MOB_KINDS = tuple(kind for kind in MOB_ID if kind != "none")


def biome_category(biome: str) -> str:
    """The engine's biome for a category of Minecraft's or a biome's id: ``mountains`` -> ``extreme_hills``."""
    short = biome.removeprefix("minecraft:") if isinstance(biome, str) else biome
    if short in BIOMES:
        return short
    category = game_data.BIOMES[short][1] if short in game_data.BIOMES else None
    if category in BIOMES:
        return category
    if category is not None:
        raise ValueError(f"biome {biome!r}: the voxel engine has no {category}; it has {', '.join(BIOMES)}")
    raise ValueError(f"biome {biome!r} is not in the voxel engine; {nearest(short, [*BIOMES, *game_data.BIOMES])}")


def minecraft_biome(biome: str) -> str:
    """The id of a biome that Minecraft's commands take."""
    short = biome.removeprefix("minecraft:")
    return MINECRAFT_BIOME.get(short, short)


def _check_keys(where: str, entry: Mapping, required: Sequence[str], optional: Sequence[str] = ()) -> None:
    if not isinstance(entry, Mapping):
        raise TypeError(f"{where}: expected a dict, got {entry!r}")
    for key in required:
        if key not in entry:
            raise ValueError(f"{where}: {dict(entry)!r} has no {key!r}")
    for key in entry:
        if key not in (*required, *optional):
            raise ValueError(f"{where}: unknown key {key!r}; {nearest(key, (*required, *optional))}")


def _whole(where: str, name: str, value: Any, low: int, high: int = 2**31 - 1) -> int:
    """``value`` if it is a whole number within the bounds."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        bounds = f"at least {low}" if high == 2**31 - 1 else f"{low} to {high}"
        raise ValueError(f"{where}: {name}={value!r} must be a whole number, {bounds}")
    return int(value)


class MinecraftCallback:
    """Base class: every hook does nothing."""

    renews_world = False  # makes a new world at every reset, whatever callbacks before it said
    environments: Sequence[int] | None = None  # for which MineStudio's hooks are called; None = all
    waits = False  # its hooks for a batch look at values, so that a step on a GPU waits for them

    # HOOKS FOR A BATCH

    def configure(self, setup: "EngineSetup") -> None:
        """Add to what the engine does at every reset."""

    def before_batch_step(self, batch: "MinecraftVectorSim", pressed: torch.Tensor, degrees: torch.Tensor) -> None:
        """Change ``pressed`` (uint8 [N, 20], as ``BUTTONS``) or ``degrees`` (float32 [N, 2]: pitch, yaw) in place."""

    def after_batch_step(
        self, batch: "MinecraftVectorSim", reward: torch.Tensor, terminated: torch.Tensor, truncated: torch.Tensor
    ) -> None:
        """Change ``reward`` (float32 [N]), ``terminated`` or ``truncated`` (bool [N]) in place.

        ``batch.began`` (bool [N]) marks the environments whose step was a reset; whatever a hook writes there is
        dropped, but its own counters must start anew.
        """

    def observation_spaces(self, alone: bool) -> dict[str, spaces.Space]:
        """The spaces of what ``observations`` gives (``alone``: of what ``observation`` gives), for one environment."""
        return {}

    def observations(self, batch: "MinecraftVectorSim") -> dict[str, Any]:
        """Observations to add: tensors [N, ...], or dicts of them."""
        return {}

    def observation(self, batch: "MinecraftVectorSim", index: int, active: bool) -> dict[str, Any]:
        """The same as a single environment shows it; ``active``: not left out by a Compose."""
        return _index(self.observations(batch), index, active)

    def infos(self, batch: "MinecraftVectorSim") -> dict[str, Any]:
        """Infos to add: tensors [N, ...], lists of N entries, or dicts of them."""
        return {}

    def info(self, batch: "MinecraftVectorSim", index: int) -> dict[str, Any]:
        """The same as a single environment shows it."""
        return {}

    def translate(self, task: "MinecraftTask") -> None:
        """Add to what minestudio's own callbacks, rewards and time limits do in real Minecraft."""
        if hooks := own_hooks(self):
            raise TypeError(
                f"{type(self).__name__} has hooks of its own ({', '.join(sorted(hooks))}), which cannot be translated "
                "to engine='minecraft': make it of minestudio's MinecraftCallback, in a generator that returns "
                "minestudio's own MinecraftSim"
            )
        raise TypeError(
            f"{type(self).__name__} has no translation to MineStudio's callbacks, so it cannot run with "
            "engine='minecraft': define its translate(task), or leave it out"
        )

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs of the callback's own counters: tensors and plain values."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave."""

    # MINESTUDIO'S HOOKS, for one environment

    def before_step(self, sim: Any, action: dict[str, Any]) -> dict[str, Any]:
        """``action``: named buttons and the camera -> the action to take."""
        return action

    def after_step(self, sim: Any, obs: dict, reward: float, terminated: bool, truncated: bool, info: dict):
        return obs, reward, terminated, truncated, info

    def before_reset(self, sim: Any, reset_flag: bool) -> bool:
        """-> whether a new world is to be made."""
        return reset_flag

    def after_reset(self, sim: Any, obs: dict, info: dict):
        return obs, info

    def before_close(self, sim: Any) -> None:
        pass

    def after_close(self, sim: Any) -> None:
        pass

    def before_render(self, sim: Any, image: np.ndarray) -> np.ndarray:
        return image

    def after_render(self, sim: Any, image: np.ndarray) -> np.ndarray:
        return image

    @classmethod
    def create_from_conf(cls, source: Mapping[str, Any]) -> "MinecraftCallback | None":
        """The callback that a configuration (see ``load_callbacks_from_config``) asks for, None if it does not."""
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def own_hooks(callback: MinecraftCallback) -> frozenset[str]:
    """Which of MineStudio's hooks a callback has."""
    return frozenset(
        name for name in MINESTUDIO_HOOKS if getattr(type(callback), name) is not getattr(MinecraftCallback, name)
    )


def _index(value: Any, index: int, active: bool = True) -> Any:
    if isinstance(value, dict):
        return {key: _index(entry, index, active) for key, entry in value.items()}
    one = value[index].cpu().numpy().copy()
    return one if active else np.zeros_like(one)


class Compose(MinecraftCallback):
    """A group of callbacks; with ``options=k`` each episode has k of them, drawn anew."""

    def __init__(self, callbacks: Sequence[MinecraftCallback], options: int = -1):
        for callback in callbacks:
            if not isinstance(callback, MinecraftCallback):
                raise TypeError(f"Compose: {callback!r} is not a minestudio_envs.callbacks.MinecraftCallback")
        self.callbacks = list(callbacks)
        self.options = _whole("Compose", "options", options, -1, len(self.callbacks))

    def translate(self, task: "MinecraftTask") -> None:
        if self.options >= 0:
            raise TypeError(
                f"Compose(options={self.options}) cannot run with engine='minecraft': which of its callbacks an "
                "episode has is not known there; leave options out, or use minestudio's own MinecraftSim"
            )
        for callback in self.callbacks:
            callback.translate(task)


MAX_RANGE, MAX_SUMMONED = 1000, 1000  # blocks; mobs of one entry, each of which takes a tick of every reset


class SummonMobsCallback(MinecraftCallback):
    """Summons mobs around the player at every reset.

    ``mobs``: a list of ``{"name", "number", "range_x": [low, high], "range_z": [low, high]}``, ranges in blocks
    relative to the player. Each mob appears 3 blocks above the player's feet and takes one tick.
    """

    def __init__(self, mobs: Sequence[Mapping[str, Any]]):
        self.mobs = []
        for entry in mobs:
            entry = dict(entry)
            if "mob_name" in entry:  # MineStudio takes both spellings
                entry["name"] = entry.pop("mob_name")
            _check_keys("SummonMobsCallback", entry, ("name", "number", "range_x", "range_z"))
            entry["name"] = str(entry["name"]).removeprefix("minecraft:")
            if entry["name"] not in MOB_KINDS:
                known = nearest(entry["name"], MOB_KINDS)
                raise ValueError(f"SummonMobsCallback: unknown mob {entry['name']!r}; {known}")
            _whole("SummonMobsCallback", "number", entry["number"], 0, MAX_SUMMONED)
            for key in ("range_x", "range_z"):
                if len(entry[key]) != 2 or not -MAX_RANGE <= entry[key][0] <= entry[key][1] <= MAX_RANGE:
                    raise ValueError(f"SummonMobsCallback: {key}={entry[key]} must be [low, high], at most {MAX_RANGE}")
            self.mobs.append(entry)

    def configure(self, setup: "EngineSetup") -> None:
        for mob in self.mobs:
            setup.add_rows(commands.summon_range(mob["name"], int(mob["number"]), mob["range_x"], mob["range_z"]))

    def translate(self, task: "MinecraftTask") -> None:
        if mobs := [mob for mob in self.mobs if int(mob["number"]) > 0]:  # theirs fails with none
            task.add("SummonMobsCallback", mobs=mobs)

    @classmethod
    def create_from_conf(cls, source):
        return cls(source["summon_mobs"] or []) if "summon_mobs" in source else None


class MaskActionsCallback(MinecraftCallback):
    """Overwrites parts of every action, e.g. ``MaskActionsCallback(inventory=0, camera=(0, 0))``.

    It acts after VPT's joint action was decoded, as MineStudio's does: the learner's record keeps what was chosen.
    """

    def __init__(self, **action_settings: Any):
        self.buttons: dict[int, int] = {}
        self.camera: tuple[float, float] | None = None
        for name, value in action_settings.items():
            if name == "camera":
                pitch, yaw = (float(v) for v in value)
                if not (abs(pitch) <= MAX_DEGREES and abs(yaw) <= MAX_DEGREES):
                    raise ValueError(f"MaskActionsCallback: camera={value!r} must be degrees, at most 1e6")
                self.camera = (pitch, yaw)
            elif name in BUTTONS:
                if value not in (0, 1):
                    raise ValueError(f"MaskActionsCallback: {name}={value!r} must be 0 or 1")
                self.buttons[BUTTONS.index(name)] = int(value)
            else:
                raise ValueError(f"MaskActionsCallback: unknown action {name!r}; {nearest(name, (*BUTTONS, 'camera'))}")

    def before_batch_step(self, batch: "MinecraftVectorSim", pressed: torch.Tensor, degrees: torch.Tensor) -> None:
        for index, value in self.buttons.items():
            pressed[:, index] = value
        if self.camera is not None:
            degrees[:, 0], degrees[:, 1] = self.camera

    def translate(self, task: "MinecraftTask") -> None:
        settings = {BUTTONS[index]: value for index, value in self.buttons.items()}
        if self.camera is not None:
            settings["camera"] = self.camera
        task.add("MaskActionsCallback", **settings)


class RewardsCallback(MinecraftCallback):
    """Pays for events, counted by the same statistics that ``info`` shows.

    ``reward_cfg``: a list of ``{"event", "objects", "reward", "identity", "max_reward_times"}``. Every occurrence of
    ``event`` with one of ``objects`` pays ``reward``, until the entries of the same ``identity`` have together been
    paid ``max_reward_times`` times in the episode. (MineStudio pays once a tick however many there were.)
    """

    def __init__(self, reward_cfg: Sequence[Mapping[str, Any]]):
        self.reward_cfg = []
        for entry in reward_cfg:
            _check_keys("RewardsCallback", entry, ("event", "objects", "reward", "identity", "max_reward_times"))
            if entry["event"] not in REWARD_EVENTS:
                raise ValueError(
                    f"RewardsCallback: unknown event {entry['event']!r}; {nearest(entry['event'], REWARD_EVENTS)}"
                )
            if isinstance(entry["objects"], str) or not entry["objects"]:
                raise ValueError(f"RewardsCallback: objects={entry['objects']!r} must be a list of names, at least one")
            if not np.isfinite(entry["reward"]):
                raise ValueError(f"RewardsCallback: reward={entry['reward']} must be finite")
            _whole("RewardsCallback", "max_reward_times", entry["max_reward_times"], 0)
            objects = [name.removeprefix("minecraft:") for name in entry["objects"]]
            self.reward_cfg.append({**entry, "objects": list(dict.fromkeys(objects))})

    def configure(self, setup: "EngineSetup") -> None:
        self._ids = [_object_ids(entry["event"], entry["objects"]) for entry in self.reward_cfg]
        if crafted := [entry for entry in self.reward_cfg if entry["event"] == "craft_item"]:
            warnings.warn(
                f"RewardsCallback: craft_item {crafted[0]['objects']}: nothing can be crafted in the voxel engine yet, "
                "so this never pays",
                stacklevel=2,
            )
        self._before: list[torch.Tensor] = []  # per entry, int64 [N]: the count a step ago
        self._paid: dict[str, torch.Tensor] = {}  # per identity, int64 [N]

    def translate(self, task: "MinecraftTask") -> None:
        task.rewards.append(self.reward_cfg)  # not theirs, which pays once a tick and replaces what others paid

    def _count(self, batch: "MinecraftVectorSim", event: str, ids: torch.Tensor) -> torch.Tensor:
        if event == "craft_item":
            return torch.zeros(batch.num_envs, dtype=torch.int64, device=batch.device)
        return batch.state[event][:, ids].sum(1)

    def after_batch_step(
        self, batch: "MinecraftVectorSim", reward: torch.Tensor, terminated: torch.Tensor, truncated: torch.Tensor
    ) -> None:
        self._ids = [ids.to(batch.device) for ids in self._ids]
        counts = [
            self._count(batch, entry["event"], ids) for entry, ids in zip(self.reward_cfg, self._ids, strict=True)
        ]
        if self._before and self._before[0].device != reward.device:  # of a checkpoint
            self._before = [before.to(reward.device) for before in self._before]
            self._paid = {identity: paid.to(reward.device) for identity, paid in self._paid.items()}
        if not self._before:
            self._before = [count.clone() for count in counts]
            self._paid = {entry["identity"]: torch.zeros_like(counts[0]) for entry in self.reward_cfg}
        for paid in self._paid.values():
            paid.masked_fill_(batch.began, 0)
        for entry, count, before in zip(self.reward_cfg, counts, self._before, strict=True):
            paid = self._paid[entry["identity"]]
            events = torch.minimum(count - before, int(entry["max_reward_times"]) - paid).clamp_(min=0)
            events.masked_fill_(batch.began, 0)
            reward += float(entry["reward"]) * events
            paid += events
            before.copy_(count)

    def state_dict(self) -> dict[str, Any]:
        paid = {identity: x.cpu().clone() for identity, x in self._paid.items()}
        return {"before": [x.cpu().clone() for x in self._before], "paid": paid}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if len(state["before"]) not in (0, len(self.reward_cfg)):
            raise ValueError(
                f"RewardsCallback: {len(state['before'])} rewards were saved, there are {len(self.reward_cfg)}"
            )
        self._before = [x.clone() for x in state["before"]]
        self._paid = {identity: x.clone() for identity, x in state["paid"].items()}

    @classmethod
    def create_from_conf(cls, source):
        return cls(source["reward_cfg"] or []) if "reward_cfg" in source else None


def _object_ids(event: str, objects: Sequence[str]) -> torch.Tensor:
    """Columns of a statistic of the engine for the names that a reward gives."""
    items = {name: i for name, i in ITEM_ID.items() if name != "air"}
    if event == "craft_item":
        known = dict.fromkeys(recipe["result"][0] for recipe in game_data.RECIPES)
    elif event == "mine_block":
        known = {name: i for name, i in NAMED_BLOCK.items() if name not in ("air", "water", "lava", "bedrock")}
    else:
        known = {"kill_entity": {kind: MOB_ID[kind] for kind in MOB_KINDS}, "custom": CUSTOM_ID}.get(event, items)
    for name in objects:
        if name not in known:
            lacks = {"mine_block": game_data.BLOCKS, "kill_entity": game_data.ENTITIES, "craft_item": items}
            if name in lacks.get(event, ()):
                why = "nothing crafts it" if event == "craft_item" else "the voxel engine does not have it"
                raise ValueError(f"RewardsCallback: {event} of {name!r}: {why}; {nearest(name, known)}")
            raise ValueError(f"RewardsCallback: unknown object {name!r} of {event}; {nearest(name, known)}")
    return torch.tensor([0 if event == "craft_item" else known[name] for name in objects])


class CommandsCallback(MinecraftCallback):
    """Runs Minecraft 1.16.5 commands at every reset, in order, one tick each.

    A command that 1.16.5 would refuse, or that the voxel engine does not know, gives a warning with what to write
    instead and an entry in ``info["command_errors"]``; the others still run.
    """

    def __init__(self, commands: Sequence[str]):
        if isinstance(commands, str):
            raise TypeError(f"CommandsCallback: commands={commands!r} must be a list of commands")
        self.commands = list(commands)
        self.errors: list[str] = []
        self._rows: list[list[float]] = []
        for text in self.commands:
            self._parse(text)

    def _parse(self, text: str) -> None:
        try:
            self._rows.append(commands.compile_command(text))
        except commands.CommandError as error:
            self.errors.append(str(error))
            warnings.warn(str(error), stacklevel=3)

    def configure(self, setup: "EngineSetup") -> None:
        setup.command_errors.extend(self.errors)
        for row in self._rows:
            setup.add_rows(row)

    def translate(self, task: "MinecraftTask") -> None:
        if self.commands:  # theirs fails with none
            task.add("CommandsCallback", commands=self.commands)

    def __repr__(self) -> str:
        return f"CommandsCallback(commands={self.commands})"

    @classmethod
    def create_from_conf(cls, source):
        for key in ("custom_init_commands", "commands"):
            if key in source:
                return cls(source[key] or [])
        return None


class FastResetCallback(MinecraftCallback):
    """Begins every episode somewhere else: another world, another place within ``random_tp_range`` blocks.

    ``biomes``: categories or biome ids of Minecraft, of which every episode draws one. (MineStudio keeps the world and
    teleports, because a new world takes it a minute; here it takes a millisecond.) As there, no animals are about but
    those that are summoned; worlds without this callback have some.
    """

    renews_world = True

    def __init__(self, biomes: Sequence[str], random_tp_range: int, start_time: int = 0, start_weather: str = "clear"):
        if isinstance(biomes, str) or not biomes:
            raise ValueError(f"FastResetCallback: biomes={biomes!r} must be a list of biomes, at least one")
        for biome in biomes:
            biome_category(biome)
        if start_weather not in WEATHERS:
            raise ValueError(
                f"FastResetCallback: unknown start_weather {start_weather!r}; {nearest(start_weather, WEATHERS)}"
            )
        self.biomes = list(biomes)
        self.random_tp_range = _whole("FastResetCallback", "random_tp_range", random_tp_range, 0)
        self.start_time = _whole("FastResetCallback", "start_time", start_time, 0)
        self.start_weather = start_weather

    def configure(self, setup: "EngineSetup") -> None:
        setup.animals = False  # MineStudio's kills all that lives; in all episodes, whichever it is drawn for
        conditions = setup.group(len(self.biomes), 1) if len(self.biomes) > 1 else [setup.condition]
        for biome, condition in zip(self.biomes, conditions, strict=True):
            with setup.inside(condition):
                setup.add_start(self.random_tp_range, self.start_time, self.start_weather, biome_category(biome))

    def translate(self, task: "MinecraftTask") -> None:
        # Theirs fails with a range of 0; 1 is one block to the north-west.
        reach = max(1, self.random_tp_range)
        task.add(
            "FastResetCallback",
            biomes=[minecraft_biome(biome) for biome in self.biomes],
            random_tp_range=reach,
            start_time=self.start_time,
            start_weather=self.start_weather,
        )

    @classmethod
    def create_from_conf(cls, source):
        keys = ("biomes", "random_tp_range", "start_time", "start_weather")
        given = {key: source[key] for key in keys if key in source}
        if not given:
            return None
        for key in keys[:2]:
            if key not in given:
                raise ValueError(f"FastResetCallback: {', '.join(given)} without {key!r}")
        return cls(**given)


class HardResetCallback(MinecraftCallback):
    """Begins every episode in the world of a seed, at a position, of which it draws one.

    ``spawn_positions``: a list of ``{"seed": int, "position": [x, y, z]}``. The player stands on the ground if the
    position is inside of it or high above. The same seed is the same world for every environment and episode; it is
    the voxel engine's own, not Minecraft's. 50 ticks without action follow.
    """

    renews_world = True

    def __init__(self, spawn_positions: Sequence[Mapping[str, Any]]):
        if not spawn_positions:
            raise ValueError("HardResetCallback: spawn_positions must be a list of positions, at least one")
        for entry in spawn_positions:
            _check_keys("HardResetCallback", entry, ("seed", "position"))
            position = np.asarray(entry["position"], np.float64)
            if position.shape != (3,) or not (abs(position) <= commands.MAX_COORDINATE).all():
                raise ValueError(f"HardResetCallback: position={entry['position']!r} must be [x, y, z], in blocks")
            _whole("HardResetCallback", "seed", entry["seed"], -(2**63), 2**63 - 1)
        self.spawn_positions = [dict(entry) for entry in spawn_positions]

    def configure(self, setup: "EngineSetup") -> None:
        chosen = setup.group(len(self.spawn_positions), 1)
        for entry, condition in zip(self.spawn_positions, chosen, strict=True):
            x, y, z = (float(v) for v in entry["position"])
            x, z = (v + 0.5 if v == int(v) else v for v in (x, z))  # whole numbers mean the middle, as in /tp
            with setup.inside(condition):
                setup.add_start(seed=int(entry["seed"]))
                setup.add_rows(commands.make_row(rows.STAND, x, y, z))
        setup.add_rows([commands.make_row(rows.NOTHING)] * 50)

    def translate(self, task: "MinecraftTask") -> None:
        task.add("HardResetCallback", spawn_positions=self.spawn_positions)

    @classmethod
    def create_from_conf(cls, source):
        return cls(source["spawn_positions"]) if "spawn_positions" in source else None


class JudgeResetCallback(MinecraftCallback):
    """Ends an episode after ``time_limit`` steps: a truncation, whose last value still counts.

    (MineStudio reports it as a termination, so its learner takes every time limit for death.)
    """

    def __init__(self, time_limit: int = 600):
        self.time_limit = _whole("JudgeResetCallback", "time_limit", time_limit, 1)

    def configure(self, setup: "EngineSetup") -> None:
        setup.limit_steps(self.time_limit)

    def translate(self, task: "MinecraftTask") -> None:
        task.limit_steps(self.time_limit)  # kept on our side: theirs would call it a termination

    @classmethod
    def create_from_conf(cls, source):
        return cls(source["time_limit"]) if "time_limit" in source else None


# How many extra items a level of distraction may bring.
DISTRACTION_LEVELS = {
    "zero": [0],
    "one": [1],
    "easy": range(3, 7),
    "middle": range(7, 16),
    "hard": range(16, 35),
    "normal": range(0, 35),
}
CHANCE_OF_ONE = 0.7  # of a 'random' quantity


class InitInventoryCallback(MinecraftCallback):
    """Fills the inventory at every reset.

    ``init_inventory``: a list of ``{"slot", "type", "quantity"}``. slot: 0-8 hotbar, 9-35 main, 36-39 feet to head, 40
    offhand, or ``"random"``, a slot 0-35 that no other entry has. quantity: a number; ``"random"``, which is 1 in 7 of
    10 cases, else anything from 0 to a stack; or conditions such as ``">2,<5"``, of which one that holds is drawn (1 if
    none does). An optional ``"metadata"`` is the damage that a tool has behind it.
    ``distraction_level``: that many random items in slots that are free: a list of numbers to draw from, or zero, one,
    easy (3-6), middle (7-15), hard (16-34), normal (0-34).
    """

    def __init__(
        self,
        init_inventory: Sequence[Mapping[str, Any]],
        distraction_level: Sequence[int] | str = (0,),
    ):
        where = "InitInventoryCallback"
        if isinstance(distraction_level, str):
            if distraction_level not in DISTRACTION_LEVELS:
                known = nearest(distraction_level, DISTRACTION_LEVELS)
                raise ValueError(f"{where}: unknown distraction_level {distraction_level!r}; {known}")
            distraction_level = DISTRACTION_LEVELS[distraction_level]
        self.distraction_level = [_whole(where, "distraction_level", n, 0, MAIN_SLOTS) for n in distraction_level]
        if not self.distraction_level:
            raise ValueError(f"{where}: distraction_level must be a list of numbers, at least one")
        self.init_inventory, taken = [], set()
        for entry in init_inventory:
            _check_keys(where, entry, ("slot", "type", "quantity"), ("metadata",))
            name = str(entry["type"]).removeprefix("minecraft:")
            if name not in ITEM_ID or name == "air":
                known = nearest(name, [item for item in ITEM_ID if item != "air"])
                raise ValueError(f"{where}: unknown item {entry['type']!r}; {known}")
            slot = entry["slot"]
            if slot != "random":
                slot = _whole(where, "slot", int(slot) if str(slot).isdigit() else slot, 0, INVENTORY_SLOTS - 1)
                if slot in taken:
                    raise ValueError(f"{where}: slot {slot} is filled twice")
                taken.add(slot)
            _whole(where, "metadata", entry.get("metadata", 0), 0, max(0, int(DURABILITY[ITEM_ID[name]]) - 1))
            quantity_bounds(entry["quantity"], int(STACK_SIZE[ITEM_ID[name]]))
            self.init_inventory.append({**entry, "slot": slot, "type": name})
        wanted = sum(entry["slot"] == "random" for entry in self.init_inventory)
        free = MAIN_SLOTS - sum(slot < MAIN_SLOTS for slot in taken)
        if wanted > free:
            raise ValueError(f"{where}: {wanted} random slots of which {free} are free")

    def configure(self, setup: "EngineSetup") -> None:
        stream = setup.streams(512)
        taken = {entry["slot"] for entry in self.init_inventory}
        free = sum(1 << slot for slot in range(MAIN_SLOTS) if slot not in taken)
        drawn = 0
        for entry in sorted(self.init_inventory, key=lambda entry: entry["slot"] == "random"):
            item = ITEM_ID[entry["type"]]
            low, high, one = quantity_bounds(entry["quantity"], int(STACK_SIZE[item]))
            slot = -1 if entry["slot"] == "random" else entry["slot"]
            setup.add_rows(
                commands.draw_slot(
                    slot=slot,
                    free=free,
                    order=drawn,
                    item=item,
                    low=low,
                    high=high,
                    one=one,
                    damage=entry.get("metadata", 0),
                    stream=stream,
                )
            )
            drawn += slot < 0
        for number in range(max(self.distraction_level)):
            setup.add_rows(
                commands.draw_slot(
                    free=free,
                    order=drawn + number,
                    low=0,
                    one=CHANCE_OF_ONE,
                    of=len(self.distraction_level),
                    active=sum(count > number for count in self.distraction_level),
                    stream=stream,
                )
            )

    def translate(self, task: "MinecraftTask") -> None:
        if any("metadata" in entry for entry in self.init_inventory):
            raise TypeError(
                "InitInventoryCallback: 'metadata' cannot run with engine='minecraft': minestudio appends it to "
                "/replaceitem, which 1.16.5 refuses; use CommandsCallback with /replaceitem ... item{Damage:n}"
            )
        task.add("InitInventoryCallback", init_inventory=self.init_inventory, distraction_level=self.distraction_level)

    @classmethod
    def create_from_conf(cls, source):
        if "init_inventory" not in source:
            return None
        return cls(source["init_inventory"] or [], source.get("distraction_level", (0,)))


def quantity_bounds(quantity: int | str, stack: int) -> tuple[int, int, float]:
    """(low, high, chance of 1) of a quantity as InitInventoryCallback takes it, of items that stack to ``stack``."""
    if quantity == "random":
        return 0, stack, CHANCE_OF_ONE
    if isinstance(quantity, int | np.integer) and not isinstance(quantity, bool):
        if not 1 <= quantity <= stack:
            raise ValueError(f"InitInventoryCallback: quantity={quantity} is not a stack of 1 to {stack}")
        return int(quantity), int(quantity), 0.0
    low, high = 0, stack
    for part in str(quantity).split(","):
        match = re.fullmatch(r"\s*(<=|>=|<|>|==)\s*(\d+)\s*", part)
        if match is None:
            raise ValueError(
                f"InitInventoryCallback: quantity={quantity!r} must be a number, 'random' or conditions such as '>2,<5'"
            )
        sign, bound = match[1], int(match[2])
        if sign in (">", ">=", "=="):
            low = max(low, bound + (sign == ">"))
        if sign in ("<", "<=", "=="):
            high = min(high, bound - (sign == "<"))
    return (low, high, 0.0) if low <= high else (1, 1, 0.0)


class PrevActionCallback(MinecraftCallback):
    """Adds the last action as it was taken to the observation, ``obs["env_prev_action"]``: 20 buttons, camera degrees.

    Zeros at an episode's beginning. Put it behind the callbacks that change actions.
    """

    def configure(self, setup: "EngineSetup") -> None:
        self._pressed = self._degrees = None

    def observation_spaces(self, alone: bool) -> dict[str, spaces.Space]:
        camera = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        return {
            "env_prev_action": spaces.Dict({**{name: spaces.Discrete(2) for name in BUTTONS}, "camera": camera}),
        }

    def before_batch_step(self, batch: "MinecraftVectorSim", pressed: torch.Tensor, degrees: torch.Tensor) -> None:
        self._pressed, self._degrees = pressed.long(), degrees.clone()

    def observations(self, batch: "MinecraftVectorSim") -> dict[str, Any]:
        if self._pressed is None:
            self._pressed = torch.zeros(batch.num_envs, len(BUTTONS), dtype=torch.int64, device=batch.device)
            self._degrees = torch.zeros(batch.num_envs, 2, device=batch.device)
        playing = ~batch.began[:, None]
        pressed, degrees = self._pressed * playing, self._degrees * playing
        return {"env_prev_action": {**{name: pressed[:, i] for i, name in enumerate(BUTTONS)}, "camera": degrees}}

    def translate(self, task: "MinecraftTask") -> None:
        raise TypeError(
            "PrevActionCallback cannot run with engine='minecraft': observations there are pictures only; keep the "
            "last action where you choose it"
        )

    @classmethod
    def create_from_conf(cls, source):
        return cls() if source.get("use_prev_action") else None


class TaskCallback(MinecraftCallback):
    """Gives every episode one of several texts.

    ``task_cfg``: a list of ``{"name", "text", ...}``. A single environment sees ``obs["task"] = {"name", "text"}`` in
    every step, and the whole entry in ``info["task"]``. In a batch, whose observations are tensors, ``obs["task"]`` is
    the entry's number, int64 [N] (a second TaskCallback's follow the first's), and ``infos["task"]`` the list of N
    entries.
    """

    waits = True

    def __init__(self, task_cfg: Sequence[Mapping[str, Any]]):
        if not task_cfg:
            raise ValueError("TaskCallback: task_cfg must be a list of tasks, at least one")
        for entry in task_cfg:
            if not isinstance(entry, Mapping) or not all(isinstance(entry.get(key), str) for key in ("name", "text")):
                raise ValueError(f"TaskCallback: {entry!r} must be a dict with texts 'name' and 'text'")
        self.task_cfg = [dict(entry) for entry in task_cfg]

    def configure(self, setup: "EngineSetup") -> None:
        self._stream = setup.streams(1)
        self._first = setup.tasks  # its number in a batch's observations
        setup.tasks += len(self.task_cfg)

    def observation_spaces(self, alone: bool) -> dict[str, spaces.Space]:
        if not alone:
            return {"task": spaces.Discrete(self._first + len(self.task_cfg))}
        texts = {key: [entry[key] for entry in self.task_cfg] for key in ("name", "text")}
        return {
            "task": spaces.Dict(
                {
                    key: spaces.Text(
                        max(1000, *map(len, values)),
                        min_length=0,
                        charset=frozenset(string.printable).union(*values),  # of other TaskCallbacks too
                    )
                    for key, values in texts.items()
                }
            )
        }

    def _drawn(self, batch: "MinecraftVectorSim") -> torch.Tensor:
        key, episode = batch.state["key"], batch.state["episode"]
        return draws.episode_index(key, episode, self._stream, len(self.task_cfg))

    def observations(self, batch: "MinecraftVectorSim") -> dict[str, Any]:
        return {"task": self._first + self._drawn(batch)}

    def observation(self, batch: "MinecraftVectorSim", index: int, active: bool) -> dict[str, Any]:
        entry = self.task_cfg[int(self._drawn(batch)[index])] if active else {"name": "", "text": ""}
        return {"task": {key: entry[key] for key in ("name", "text")}}

    def infos(self, batch: "MinecraftVectorSim") -> dict[str, Any]:
        return {"task": [self.task_cfg[i] for i in self._drawn(batch).tolist()]}

    def info(self, batch: "MinecraftVectorSim", index: int) -> dict[str, Any]:
        return {"task": self.task_cfg[int(self._drawn(batch)[index])]}

    def translate(self, task: "MinecraftTask") -> None:
        raise TypeError(
            "TaskCallback cannot run with engine='minecraft': observations there are pictures only; choose the text "
            "where you choose the action"
        )

    @classmethod
    def create_from_conf(cls, source):
        return cls(source["task_cfg"]) if "task_cfg" in source else None


class VoxelsCallback(MinecraftCallback):
    """Shows the blocks around the player's feet in ``info["voxels"]``.

    ``voxels_ins``: [x0, x1, y0, y1, z0, z1] in blocks, ends included. A single environment's info has a list of
    ``{"type", "x", "y", "z"}`` with relative coordinates; in a batch ``infos["voxels"]`` is uint8 [N, X, Y, Z], ids of
    ``voxel.blocks.BLOCKS``.
    """

    def __init__(self, voxels_ins: Sequence[int] = (-7, 7, -7, 7, -7, 7)):
        self.voxels_ins = check_box(voxels_ins, "VoxelsCallback: voxels_ins")

    def configure(self, setup: "EngineSetup") -> None:
        if setup.voxels is not None and setup.voxels != self.voxels_ins:
            raise ValueError(
                f"VoxelsCallback: two boxes, {list(setup.voxels)} and {list(self.voxels_ins)}: one is shown"
            )
        setup.voxels = self.voxels_ins

    def translate(self, task: "MinecraftTask") -> None:
        task.add("VoxelsCallback", voxels_ins=list(self.voxels_ins))

    @classmethod
    def create_from_conf(cls, source):
        return cls(source["voxels_ins"]) if "voxels_ins" in source else None


class GateRewardsCallback(MinecraftCallback):
    """Pays for what a nether portal's frame of obsidian gains, among the blocks that a VoxelsCallback shows.

    Each block of obsidian is tried as the lower corner of a frame 4 wide and 5 high along x and along z: its worth is
    the frame's blocks of the 14, plus those beyond 12 once more, minus obsidian in the 6 blocks inside, minus 0.1 for
    each block of obsidian in sight. The best one's worth, at least 0, is the potential; its change is the reward.
    """

    FRAME = tuple((w, h) for w in range(4) for h in range(5) if w in (0, 3) or h in (0, 4))
    INSIDE = tuple((w, h) for w in (1, 2) for h in (1, 2, 3))
    _OBSIDIAN = tuple(i for i, name in enumerate(BLOCK_NAME) if "obsidian" in name)

    def configure(self, setup: "EngineSetup") -> None:
        setup.needs_voxels = "GateRewardsCallback"
        self._before: torch.Tensor | None = None

    @staticmethod
    @functools.cache
    def _ids(device: torch.device, dtype: torch.dtype) -> torch.Tensor:
        """Of obsidian; made once, because making it would wait for a GPU."""
        return torch.tensor(GateRewardsCallback._OBSIDIAN, device=device, dtype=dtype)

    def potential(self, voxels: torch.Tensor) -> torch.Tensor:
        """float32 [N] from block ids [N, X, Y, Z]."""
        solid = torch.isin(voxels, self._ids(voxels.device, voxels.dtype)).float()
        padded = torch.nn.functional.pad(solid, (0, 3, 0, 4, 0, 3))
        _, x, y, z = solid.shape

        def count(offsets, along_x):
            return sum(
                padded[:, w : w + x, h : h + y, :z] if along_x else padded[:, :x, h : h + y, w : w + z]
                for w, h in offsets
            )

        best = torch.zeros(len(voxels), device=voxels.device)
        for along_x in (False, True):
            frame, inside = count(self.FRAME, along_x), count(self.INSIDE, along_x)
            worth = frame + (frame - 12).clamp(min=0) - inside - 0.1 * solid.sum((1, 2, 3))[:, None, None, None]
            worth = torch.where(solid > 0, worth, 0.0)
            best = torch.maximum(best, worth.flatten(1).amax(1))
        return best

    def after_batch_step(
        self, batch: "MinecraftVectorSim", reward: torch.Tensor, terminated: torch.Tensor, truncated: torch.Tensor
    ) -> None:
        now = self.potential(batch.voxels())
        self._before = (now if self._before is None else self._before).to(now.device, copy=self._before is None)
        reward += torch.where(batch.began, 0.0, now - self._before)
        self._before.copy_(now)

    def state_dict(self) -> dict[str, Any]:
        return {} if self._before is None else {"before": self._before.cpu().clone()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._before = state["before"].clone() if "before" in state else None

    def translate(self, task: "MinecraftTask") -> None:
        task.add("GateRewardsCallback")


RewardGateCallback = GateRewardsCallback  # MineStudio's file is called reward_gate


class SpeedTestCallback(MinecraftCallback):
    """Prints how long the steps take that callbacks behind it and the engine make together, every ``interval`` steps.

    A frame is one environment's: a batch's step counts for all of them.
    """

    waits = True  # else it would measure how long it takes to ask for a step

    def __init__(self, interval: int = 100):
        self.interval = _whole("SpeedTestCallback", "interval", interval, 1)
        self.num_steps, self.total_times = 0, 0.0
        self._begin: float | None = None

    def before_batch_step(self, batch: "MinecraftVectorSim", pressed: torch.Tensor, degrees: torch.Tensor) -> None:
        self._begin = time.perf_counter()

    def after_batch_step(
        self, batch: "MinecraftVectorSim", reward: torch.Tensor, terminated: torch.Tensor, truncated: torch.Tensor
    ) -> None:
        if self._begin is None:  # a reset
            return
        if reward.is_cuda:
            torch.cuda.synchronize()
        self.total_times += time.perf_counter() - self._begin
        self._begin = None
        self.num_steps += 1
        if self.num_steps % self.interval == 0:
            mean = self.total_times / self.num_steps
            print(
                f"Speed Test Status:\nAverage Time: {mean:.5f}\nAverage FPS: {batch.num_envs / mean:.2f}\n"
                f"Total Steps: {self.num_steps}",
                flush=True,
            )

    def translate(self, task: "MinecraftTask") -> None:
        task.add("SpeedTestCallback", interval=self.interval)


class RecordCallback(MinecraftCallback):
    """Films episodes into ``record_path``/episode_1.mp4, episode_2.mp4, ...

    Args:
        frame_type: ``"pov"``, the window of ``render_size``; or ``"obs"``, the observed image.
        recording: begin at once; later ``info["R"]`` turns it on and off.
        show_actions: writes what is pressed onto the pictures.
        record_actions, record_infos: episode_1_action.json, whose first entry is {}, and episode_1_info.json.
        record_origin_observation: episode_1.npy with all pictures, kept in memory until the episode's end.
        environments: of a batch; the films of all but environment 0 begin with environment_<i>_.

    A film can be played once its episode was followed by a reset, or the environment closed. (With engine="minecraft"
    the films of environment i are in the folder environment_<i>.)
    """

    def __init__(
        self,
        record_path: str | Path,
        fps: int = 20,
        frame_type: str = "pov",
        recording: bool = True,
        show_actions: bool = False,
        record_actions: bool = False,
        record_infos: bool = False,
        record_origin_observation: bool = False,
        environments: Sequence[int] = (0,),
    ):
        if frame_type not in ("pov", "obs"):
            raise ValueError(f"RecordCallback: frame_type={frame_type!r} must be 'pov' or 'obs'")
        self.record_path = Path(record_path)
        self.fps = _whole("RecordCallback", "fps", fps, 1)
        self.frame_type, self.recording = frame_type, recording
        self.show_actions, self.record_actions = show_actions, record_actions
        self.record_infos, self.record_origin_observation = record_infos, record_origin_observation
        self.environments = tuple(environments)
        self.episode_id = 0
        self._begin()

    def _begin(self) -> None:
        self._file = self._stream = None
        self._count, self._frames, self._actions, self._infos = 0, [], [], []

    def before_reset(self, sim: Any, reset_flag: bool) -> bool:
        if self.recording:
            self._save(sim)
            self.episode_id += 1
        return reset_flag

    def after_reset(self, sim: Any, obs: dict, info: dict):
        sim.callback_messages.add("Press 'R' to start/stop recording.")
        if self.recording:
            self._add(sim, obs, info, {})
        info["message"] = {**info.get("message", {}), "RecordCallback": self._message()}
        return obs, info

    def before_step(self, sim: Any, action: dict[str, Any]) -> dict[str, Any]:
        self._action = action
        return action

    def after_step(self, sim: Any, obs: dict, reward: float, terminated: bool, truncated: bool, info: dict):
        if self.recording and not info.get("R", True):
            self._save(sim)
            self.recording = False
        elif not self.recording and info.get("R", False):
            self.recording = True
            self.episode_id += 1
        if self.recording:
            self._add(sim, obs, info, self._action)
        info["message"] = {**info.get("message", {}), "RecordCallback": self._message()}
        return obs, reward, terminated, truncated, info

    def before_close(self, sim: Any) -> None:
        self._save(sim)

    def state_dict(self) -> dict[str, Any]:
        return {"episode_id": self.episode_id, "recording": self.recording}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.recording = state["recording"]
        self.episode_id = state["episode_id"] + self.recording  # the film that was broken off stays

    def _message(self) -> str:
        return f"Recording: {'On' if self.recording else 'Off'}, Recording Time: {self._count}"

    def _name(self, sim: Any) -> Path:
        prefix = f"environment_{sim.index}_" if sim.index else ""
        return self.record_path / f"{prefix}episode_{self.episode_id}"

    def _add(self, sim: Any, obs: dict, info: dict, action: Mapping[str, Any]) -> None:
        import av  # slow to import

        if self.frame_type == "pov" and sim.render_size is None:
            raise ValueError("RecordCallback: frame_type='pov' films the window, but render_size=None leaves it out")
        if self.frame_type == "obs":
            picture = np.asarray(obs["image"])
        elif (picture := info.get("pov")) is None:  # another callback made a new info
            picture = sim._live().frame(sim.index, sim.render_size)
        if self.record_origin_observation:
            self._frames.append(picture.copy())
        if self._file is None:
            self.record_path.mkdir(parents=True, exist_ok=True)
            self._file = av.open(self._name(sim).with_suffix(".mp4"), "w")
            self._stream = self._file.add_stream("libx264", rate=self.fps)
            self._stream.width, self._stream.height = (size // 2 * 2 for size in picture.shape[1::-1])
            self._stream.pix_fmt = "yuv420p"
        if self.show_actions:
            picture = _write_action(picture, action)
        shown = np.ascontiguousarray(picture[: self._stream.height, : self._stream.width])  # the codec wants even sizes
        self._file.mux(self._stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        self._count += 1
        if self.record_actions:
            self._actions.append(_plain(action))
        if self.record_infos:
            self._infos.append(_plain({key: value for key, value in info.items() if key != "pov"}))

    def _save(self, sim: Any) -> None:
        """Finish the film that runs, if one does."""
        if self._file is None:
            return
        name = self._name(sim)
        self._file.mux(self._stream.encode())
        self._file.close()
        if self.record_origin_observation:
            np.save(name.with_suffix(".npy"), np.stack(self._frames))
        for wanted, kind, entries in (
            (self.record_actions, "action", self._actions),
            (self.record_infos, "info", self._infos),
        ):
            if wanted:
                name.with_name(f"{name.name}_{kind}.json").write_text(json.dumps(entries), encoding="utf-8")
        self._begin()

    def translate(self, task: "MinecraftTask") -> None:
        task.add(
            "RecordCallback",
            record_path=str(self.record_path.absolute()),
            fps=self.fps,
            frame_type=self.frame_type,
            recording=self.recording,
            show_actions=self.show_actions,
            record_actions=self.record_actions or self.show_actions,  # theirs never forgets them otherwise
            record_infos=self.record_infos,
            record_origin_observation=self.record_origin_observation,
            environments=self.environments,
        )


def _plain(value: Any) -> Any:
    """Arrays as lists: what JSON knows."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.ndarray | np.generic | torch.Tensor):
        return value.tolist()
    return value


def _write_action(picture: np.ndarray, action: Mapping[str, Any]) -> np.ndarray:
    """The picture with a line of text for each part of the action, those that are pressed in red."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    shown = {key: np.asarray(action[key]) for key in (*BUTTONS, "camera") if key in action}
    line = min(15, picture.shape[0] // (len(shown) + 2))
    for row, (key, value) in enumerate(shown.items()):
        text = f"{key}: {value}" if key != "camera" else f"camera: [{value[0]:.2f}, {value[1]:.2f}]"
        draw.text((10, 10 + row * line), text, (234, 53, 70) if value.any() else (249, 200, 14))
    return np.asarray(image)


# FROM A CONFIGURATION

_FROM_CONFIG = (  # in MineStudio's order
    HardResetCallback,
    SummonMobsCallback,
    FastResetCallback,
    CommandsCallback,
    JudgeResetCallback,
    InitInventoryCallback,
    PrevActionCallback,
    RewardsCallback,
    TaskCallback,
    VoxelsCallback,
)
_CONFIG_KEYS = (
    *("spawn_positions", "summon_mobs", "biomes", "random_tp_range", "start_time", "start_weather", "commands"),
    *("custom_init_commands", "time_limit", "init_inventory", "distraction_level", "use_prev_action", "reward_cfg"),
    *("task_cfg", "voxels_ins"),
)


def load_callbacks_from_config(config: Mapping[str, Any] | str | Path) -> list[MinecraftCallback]:
    """The callbacks that a configuration asks for, in MineStudio's order.

    config: a dict, or the path of a JSON or YAML file (YAML needs PyYAML). Keys: spawn_positions; summon_mobs; biomes
    with random_tp_range and optionally start_time, start_weather; custom_init_commands or commands; time_limit;
    init_inventory and optionally distraction_level; use_prev_action; and, beyond MineStudio's, reward_cfg, task_cfg
    and voxels_ins. Other keys, which MineStudio's task files have too, give a warning.
    """
    if not isinstance(config, Mapping):
        config = _read_config(Path(config))
    for key in config:
        if key not in _CONFIG_KEYS and key not in ("defaults", "text", "name"):
            warnings.warn(
                f"load_callbacks_from_config: {key!r} is not used; {nearest(key, _CONFIG_KEYS)}", stacklevel=2
            )
    made = [kind.create_from_conf(config) for kind in _FROM_CONFIG]
    return [callback for callback in made if callback is not None]


def _read_config(path: Path) -> Mapping[str, Any]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        config = json.loads(text)
    else:
        try:
            import yaml
        except ImportError as error:
            raise ImportError(f"{path}: reading YAML needs PyYAML: pip install pyyaml, or write JSON") from error
        config = yaml.safe_load(text)
    if not isinstance(config, Mapping):
        raise ValueError(f"{path}: expected keys and values, got {type(config).__name__}")
    return config
