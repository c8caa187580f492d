"""MineStudio's callbacks: what a task summons, commands, rewards and ends.

An environment generator lists them exactly as for MineStudio; only the import line differs. Each class here works on
all environments of a batch at once, with three hooks on tensors whose leading axis is the environment:

- ``configure(setup)`` once, before the engine is built: what happens at every reset;
- ``before_batch_step(batch, pressed, degrees)``: may change the actions in place;
- ``after_batch_step(batch, reward, terminated, truncated)``: may change the three results in place.

A fourth, ``translate(task)``, says the same in MineStudio's terms, for the real Minecraft.

Hooks run in list order. Unlike MineStudio's, rewards of several callbacks add up, every kill pays, a time limit is a
truncation, and everything random depends on the seed.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from minestudio_envs.actions import BUTTONS
from minestudio_envs.voxel import commands
from minestudio_envs.voxel.errors import nearest
from minestudio_envs.voxel.state import CUSTOM_ID, CUSTOM_STATISTICS, MOB_ID

if TYPE_CHECKING:
    from minestudio_envs.minecraft import MinecraftTask
    from minestudio_envs.simulator import EngineSetup, MinecraftVectorSim

# The voxel engine's biomes; MineStudio takes category names for a spawn and biome ids for FastReset.
BIOMES = ("plains",)

# The groups of statistics in MineStudio's info that a reward may refer to.
REWARD_EVENTS = ("kill_entity", "mine_block", "craft_item", "pickup", "use_item", "break_item", "custom")


def check_biome(biome: str) -> None:
    if biome not in BIOMES:
        raise ValueError(f"biome {biome!r} is not in the voxel engine; {nearest(biome, BIOMES)}")


def _check_keys(where: str, entry: Mapping, required: Sequence[str], optional: Sequence[str] = ()) -> None:
    if not isinstance(entry, Mapping):
        raise TypeError(f"{where}: expected a dict, got {entry!r}")
    for key in required:
        if key not in entry:
            raise ValueError(f"{where}: {dict(entry)!r} has no {key!r}")
    for key in entry:
        if key not in (*required, *optional):
            raise ValueError(f"{where}: unknown key {key!r}; {nearest(key, (*required, *optional))}")


# MineStudio's hooks for a single environment. Here they would never be called, so defining one is an error.
MINESTUDIO_HOOKS = tuple(
    f"{when}_{what}" for what in ("step", "reset", "close", "render") for when in ("before", "after")
)


class MinecraftCallback:
    """Base class: every hook does nothing."""

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if hooks := [hook for hook in MINESTUDIO_HOOKS if hook in vars(cls)]:
            raise TypeError(
                f"{cls.__name__} defines {', '.join(hooks)}: MineStudio's hooks for a single environment are not "
                "called here; define configure, before_batch_step or after_batch_step, which see the whole batch"
            )

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

    def translate(self, task: "MinecraftTask") -> None:
        """Add to what minestudio's own callbacks, rewards and time limits do in real Minecraft."""
        raise TypeError(
            f"{type(self).__name__} has no translation to MineStudio's callbacks, so it cannot run with "
            "engine='minecraft': define its translate(task), or leave it out"
        )

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs of the hook's own counters: tensors and plain values."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave."""


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
            kinds = [kind for kind in MOB_ID if kind != "none"]
            if entry["name"] not in kinds:
                raise ValueError(f"SummonMobsCallback: unknown mob {entry['name']!r}; {nearest(entry['name'], kinds)}")
            if int(entry["number"]) < 0:
                raise ValueError(f"SummonMobsCallback: number={entry['number']} must not be negative")
            for key in ("range_x", "range_z"):
                low, high = entry[key]
                if not low <= high:
                    raise ValueError(f"SummonMobsCallback: {key}={entry[key]} must be [low, high]")
            self.mobs.append(entry)

    def configure(self, setup: "EngineSetup") -> None:
        for mob in self.mobs:
            setup.add_rows(commands.summon_range(mob["name"], int(mob["number"]), mob["range_x"], mob["range_z"]))

    def translate(self, task: "MinecraftTask") -> None:
        if mobs := [mob for mob in self.mobs if int(mob["number"]) > 0]:  # theirs fails with none
            task.add("SummonMobsCallback", mobs=mobs)


class MaskActionsCallback(MinecraftCallback):
    """Overwrites parts of every action, e.g. ``MaskActionsCallback(inventory=0, camera=(0, 0))``.

    It acts after VPT's joint action was decoded, as MineStudio's does: the learner's record keeps what was chosen.
    """

    def __init__(self, **settings: Any):
        self.buttons: dict[int, int] = {}
        self.camera: tuple[float, float] | None = None
        for name, value in settings.items():
            if name == "camera":
                pitch, yaw = (float(v) for v in value)
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

    ``rewards``: a list of ``{"event", "objects", "reward", "identity", "max_reward_times"}``. Every occurrence of
    ``event`` with one of ``objects`` pays ``reward``, until the entries of the same ``identity`` have together been
    paid ``max_reward_times`` times in the episode. (MineStudio pays once a tick however many there were.)
    """

    def __init__(self, rewards: Sequence[Mapping[str, Any]]):
        self.rewards = []
        for entry in rewards:
            _check_keys("RewardsCallback", entry, ("event", "objects", "reward", "identity", "max_reward_times"))
            if entry["event"] not in REWARD_EVENTS:
                raise ValueError(
                    f"RewardsCallback: unknown event {entry['event']!r}; {nearest(entry['event'], REWARD_EVENTS)}"
                )
            if isinstance(entry["objects"], str) or not entry["objects"]:
                raise ValueError(f"RewardsCallback: objects={entry['objects']!r} must be a list of names, at least one")
            if not np.isfinite(entry["reward"]):
                raise ValueError(f"RewardsCallback: reward={entry['reward']} must be finite")
            self.rewards.append(dict(entry))

    def configure(self, setup: "EngineSetup") -> None:
        for entry in self.rewards:
            kinds = [kind for kind in MOB_ID if kind != "none"]
            known = {"kill_entity": kinds, "custom": CUSTOM_STATISTICS}.get(entry["event"])
            if known is None:
                raise ValueError(
                    f"RewardsCallback: the voxel engine does not count {entry['event']!r} yet; "
                    "it counts 'kill_entity' and 'custom'"
                )
            for name in entry["objects"]:
                if name not in known:
                    raise ValueError(f"RewardsCallback: unknown object {name!r}; {nearest(name, known)}")
        self._before: list[torch.Tensor] = []  # per entry, int32 [N]: the count a step ago
        self._paid: dict[str, torch.Tensor] = {}  # per identity, int32 [N]

    def translate(self, task: "MinecraftTask") -> None:
        task.rewards.append(self.rewards)  # not theirs, which pays once a tick and replaces what others paid

    def _count(self, batch: "MinecraftVectorSim", entry: Mapping[str, Any]) -> torch.Tensor:
        if entry["event"] == "kill_entity":
            return sum(batch.state["kill_entity"][:, MOB_ID[name]] for name in entry["objects"])
        return sum(batch.state["custom"][:, CUSTOM_ID[name]] for name in entry["objects"])

    def after_batch_step(
        self, batch: "MinecraftVectorSim", reward: torch.Tensor, terminated: torch.Tensor, truncated: torch.Tensor
    ) -> None:
        counts = [self._count(batch, entry) for entry in self.rewards]
        if not self._before:
            self._before = [count.clone() for count in counts]
            self._paid = {entry["identity"]: torch.zeros_like(counts[0]) for entry in self.rewards}
        for paid in self._paid.values():
            paid.masked_fill_(batch.began, 0)
        for entry, count, before in zip(self.rewards, counts, self._before, strict=True):
            paid = self._paid[entry["identity"]]
            events = torch.minimum(count - before, int(entry["max_reward_times"]) - paid).clamp_(min=0)
            events.masked_fill_(batch.began, 0)
            reward += float(entry["reward"]) * events
            paid += events
            before.copy_(count)

    def state_dict(self) -> dict[str, Any]:
        return {"before": [x.clone() for x in self._before], "paid": {k: x.clone() for k, x in self._paid.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if len(state["before"]) not in (0, len(self.rewards)):
            raise ValueError(
                f"RewardsCallback: {len(state['before'])} rewards were saved, there are {len(self.rewards)}"
            )
        self._before = [x.clone() for x in state["before"]]
        self._paid = {identity: x.clone() for identity, x in state["paid"].items()}


class CommandsCallback(MinecraftCallback):
    """Runs Minecraft 1.16.5 commands at every reset, in order, one tick each.

    A command that 1.16.5 would refuse, or that the voxel engine does not know, gives a warning with what to write
    instead and an entry in ``info["command_errors"]``; the others still run.
    """

    def __init__(self, commands: Sequence[str]):
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


class FastResetCallback(MinecraftCallback):
    """Begins every episode somewhere else: another world, another place within ``random_tp_range`` blocks.

    (MineStudio keeps the world and teleports, because a new world takes it a minute; here it takes a millisecond.)
    """

    def __init__(self, biomes: Sequence[str], random_tp_range: int, start_time: int = 0, start_weather: str = "clear"):
        for biome in biomes:
            check_biome(biome)
        if random_tp_range < 0:
            raise ValueError(f"FastResetCallback: random_tp_range={random_tp_range} must not be negative")
        if start_weather != "clear":
            raise ValueError(f"FastResetCallback: start_weather={start_weather!r}: the voxel engine has only 'clear'")
        self.biomes = list(biomes)
        self.random_tp_range = int(random_tp_range)
        self.start_time = int(start_time)

    def configure(self, setup: "EngineSetup") -> None:
        setup.teleport_range = self.random_tp_range
        setup.start_time = self.start_time

    def translate(self, task: "MinecraftTask") -> None:
        # Theirs fails with a range of 0; 1 is one block to the north-west.
        reach = max(1, self.random_tp_range)
        task.add(
            "FastResetCallback",
            biomes=self.biomes,
            random_tp_range=reach,
            start_time=self.start_time,
            start_weather="clear",
        )


class JudgeResetCallback(MinecraftCallback):
    """Ends an episode after ``time_limit`` steps: a truncation, whose last value still counts.

    (MineStudio reports it as a termination, so its learner takes every time limit for death.)
    """

    def __init__(self, time_limit: int = 600):
        if int(time_limit) < 1:
            raise ValueError(f"JudgeResetCallback: time_limit={time_limit} must be at least 1")
        self.time_limit = int(time_limit)

    def configure(self, setup: "EngineSetup") -> None:
        setup.limit_steps(self.time_limit)

    def translate(self, task: "MinecraftTask") -> None:
        task.limit_steps(self.time_limit)  # kept on our side: theirs would call it a termination
