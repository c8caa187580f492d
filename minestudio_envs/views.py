"""One environment of a batch as MineStudio shows it: what a callback written for a single environment gets as ``sim``."""

import math
import warnings
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from minestudio_envs import actions
from minestudio_envs.voxel import commands, game_data, light, program, terrain
from minestudio_envs.voxel.blocks import BLOCK_NAME, NAMED_BLOCK
from minestudio_envs.voxel.items import DURABILITY, HOTBAR_SLOTS, ITEMS
from minestudio_envs.voxel.physics import eye_height
from minestudio_envs.voxel.state import CUSTOM_STATISTICS, MOBS, WEATHERS

if TYPE_CHECKING:
    from minestudio_envs.simulator import MinecraftVectorSim

# The groups of statistics in MineStudio's info that a reward may refer to.
REWARD_EVENTS = ("kill_entity", "mine_block", "craft_item", "pickup", "use_item", "break_item", "custom")

# What the engine's biomes are in Minecraft: name and id.
MINECRAFT_BIOME = {"extreme_hills": "mountains"}
BIOMES = getattr(terrain, "BIOMES", ("plains",))
SEA_LEVEL = int(getattr(terrain, "SEA_LEVEL", 31))  # y of the water's topmost block

EXTRA_ACTIONS = ("chat", "voxels", "mobs", "pickItem")  # what MineStudio's env takes besides keys and camera


class EnvActions(spaces.Dict):
    """The space of ``sim.env``'s actions, with MineRL's ``no_op``."""

    def no_op(self) -> dict[str, Any]:
        return env_noop()


def env_action_space(buttons: tuple[str, ...]) -> EnvActions:
    """Named buttons, and the camera's (pitch, yaw) in degrees."""
    camera = spaces.Box(-180.0, 180.0, (2,), np.float32)
    return EnvActions({**{name: spaces.Discrete(2) for name in buttons}, "camera": camera})


def env_noop() -> dict[str, Any]:
    """No key pressed and the camera still, in MineStudio's terms."""
    return {**{name: np.int64(0) for name in actions.BUTTONS}, "camera": np.zeros(2, np.float32)}


class SimView:
    """What MineStudio's callbacks use of their ``sim``, for environment ``index`` of ``batch``."""

    def __init__(self, batch: "MinecraftVectorSim", index: int):
        self._bind(batch, index)
        self._rng = np.random.default_rng(0)

    def _bind(self, batch: "MinecraftVectorSim", index: int) -> None:
        self._batch, self.index = batch, index
        self.obs: dict[str, Any] = {}
        self.info: dict[str, Any] = {}
        self.callback_messages: set[str] = set()
        self.already_reset = False
        self.episode_errors: list[str] = []  # of commands in this episode

    def __getattr__(self, name: str) -> Any:
        """The task's own settings: action_type, obs_size, render_size, seed, num_empty_frames, spaces, ..."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._batch.sim, name)

    @property
    def np_random(self) -> np.random.Generator:
        """Seeded anew in every episode from seed, environment and episode."""
        return self._rng

    def _seed_episode(self, key: int, episode: int) -> None:
        self._rng = np.random.default_rng([key & 0xFFFFFFFFFFFFFFFF, episode])

    @property
    def env(self) -> "EnvView":
        return EnvView(self)

    def execute_cmd(self, command: str):
        """Run a command, which takes one tick without action -> (obs, reward, done, info) of MineStudio's ``env``.

        One that cannot be run gives a warning and an entry in ``info["command_errors"]``.
        """
        return self.env.execute_cmd(command)

    def _wrap_obs_info(self, obs: Mapping[str, Any], info: Mapping[str, Any]):
        """MineStudio's callbacks rebuild their results so; keys that callbacks added stay."""
        return self._batch.look(self)


class EnvView:
    """MineStudio's ``sim.env``: the engine below the callbacks. Its steps call no callback and count for no limit."""

    def __init__(self, view: SimView):
        self._view = view
        self.action_space = env_action_space(actions.BUTTONS)

    def noop_action(self) -> dict[str, Any]:
        return env_noop()

    def execute_cmd(self, command: str):
        return self.step({"chat": command})

    def step(self, action: Mapping[str, Any]):
        """One tick of this environment alone -> (obs, reward 0.0, done False, info)."""
        view = self._view
        obs, info = view._batch.tick_one(view, action)
        raw = obs | {name: info[name] for name in ("pov", "inventory") if name in info}
        return raw, 0.0, False, info

    def seed(self, seed: int) -> None:
        """The seed of this environment's next reset."""
        self._view._batch.seed_one(self._view.index, seed)


class BatchInfo(dict):
    """An info whose ``pov`` is drawn when it is asked for: few callbacks of a batch do."""

    def __init__(self, entries: Mapping[str, Any], draw):
        super().__init__(entries)
        self._draw = draw

    def __missing__(self, key: str) -> Any:
        if key == "pov" and self._draw is not None:
            self["pov"] = self._draw()
            return self["pov"]
        raise KeyError(key)

    def __reduce__(self):
        return dict, (dict(self),)


def run_command(batch: "MinecraftVectorSim", view: SimView, text: str) -> None:
    """Do what a command says in one environment, now. Chat that is no command does nothing, as in Minecraft."""
    if not text.startswith("/"):
        return
    try:
        row = commands.compile_command(text)
    except commands.CommandError as error:
        view.episode_errors.append(str(error))
        warnings.warn(str(error), stacklevel=2)
        return
    chosen = np.zeros(batch.num_envs, bool)
    chosen[view.index] = True
    batch.engine.execute(np.array([row]), chosen)


def sun_brightness(time_of_day: int, weather: int) -> float:
    """Of the sky as the client draws it: 1 by day, 0.2 at night, less in rain and thunder."""
    day = (time_of_day / 24000 - 0.25) % 1.0
    angle = day + ((0.5 - math.cos(day * math.pi) / 2) - day) / 3
    light = 1 - min(1.0, max(0.0, 1 - (math.cos(angle * 2 * math.pi) * 2 + 0.2)))
    light *= (1 - 5 / 16) ** (weather > 0) * (1 - 5 / 16) ** (weather == WEATHERS.index("thunder"))
    return light * 0.8 + 0.2


def location_stats(batch: "MinecraftVectorSim", i: int) -> dict[str, Any]:
    """MineStudio's ``location_stats``; light and sky at the eyes."""
    state = batch.engine.state
    x, y, z = (float(v) for v in state.position[i])
    mask = state.voxels.shape[1] - 1
    bx, bz = math.floor(x), math.floor(z)
    by = math.floor(y + eye_height(int(state.sneaking[i])))
    biome = BIOMES[int(state.biome[i, bx & mask, bz & mask])]
    number, _, temperature, rainfall = game_data.BIOMES[MINECRAFT_BIOME.get(biome, biome)]
    sky, block = light.light_at(state.light, state.height, i, bx, by, bz)
    weather, time_of_day = int(state.weather[i]), int(state.time_of_day[i])
    return {
        "xpos": x,
        "ypos": y,
        "zpos": z,
        "yaw": float(state.yaw[i]),
        "pitch": float(state.pitch[i]),
        "biome_id": number,
        "biome_temperature": float(temperature),
        "biome_rainfall": float(rainfall),
        "can_see_sky": bool(by >= state.height[i, bx & mask, bz & mask]),
        "is_raining": weather > 0,
        "light_level": int(max(sky - light.sky_darkening(time_of_day, weather), block)),
        "sky_light_level": int(sky) / 15,
        "sun_brightness": sun_brightness(time_of_day, weather),
        "sea_level": SEA_LEVEL + 1,
    }


def describe(batch: "MinecraftVectorSim", i: int) -> dict[str, Any]:
    """MineStudio's info of environment ``i``, as plain picklable values; the picture apart."""
    state = batch.engine.state
    x, y, z = (float(v) for v in state.position[i])
    slots = [
        {"type": ITEMS[item] if item else "none", "quantity": int(count)}
        for item, count in zip(state.inventory_item[i], state.inventory_count[i], strict=True)
    ]
    selected = int(state.selected[i])
    worn = {"mainhand": selected, "offhand": 40, "head": 39, "chest": 38, "legs": 37, "feet": 36}
    counts = {event: Counter() for event in REWARD_EVENTS}  # a Counter says 0 for what never happened
    counts["kill_entity"].update({name: int(state.kill_entity[i, kind]) for kind, name in enumerate(MOBS) if kind})
    for block in np.flatnonzero(state.mine_block[i]):
        counts["mine_block"][BLOCK_NAME[block]] += int(state.mine_block[i, block])
    for event in ("pickup", "use_item", "break_item"):
        statistic = getattr(state, event)[i]
        counts[event].update({ITEMS[item]: int(statistic[item]) for item in np.flatnonzero(statistic)})
    counts["custom"].update(dict(zip(CUSTOM_STATISTICS, state.custom[i].tolist(), strict=True)))
    gui_open = bool(state.gui_open[i])
    return {
        "inventory": dict(enumerate(slots[:36])),
        "equipped_items": {
            part: {
                "type": slots[slot]["type"].replace("none", "air"),
                "damage": int(state.inventory_damage[i, slot]),
                "maxDamage": int(DURABILITY[state.inventory_item[i, slot]]),
            }
            for part, slot in worn.items()
        },
        "hotbar": selected % HOTBAR_SLOTS,
        **counts,
        "damage_dealt": Counter(damage_dealt=counts["custom"]["damage_dealt"]),
        "player_pos": {"x": x, "y": y, "z": z, "yaw": float(state.yaw[i]), "pitch": float(state.pitch[i])},
        "is_gui_open": gui_open,
        "isGuiOpen": gui_open,
        "location_stats": location_stats(batch, i),
        "health": float(state.health[i]),
        "food_level": int(state.food[i]),
        "time_of_day": int(state.time_of_day[i]),
        "mobs_refused": int(state.mobs_refused[i]),  # summons for which the engine had no room
    }


def voxels_around(batch: "MinecraftVectorSim", i: int, box: tuple[int, ...]) -> list[dict[str, Any]]:
    """MineStudio's ``info["voxels"]``: the blocks of a box (x0, x1, y0, y1, z0, z1, both ends included) around the
    player's feet, with coordinates relative to them."""
    ids = batch.voxels_in(box)[i].tolist()
    x0, _, y0, _, z0, _ = box
    return [
        {"type": BLOCK_NAME[block], "x": x0 + x, "y": y0 + y, "z": z0 + z}
        for x, plane in enumerate(ids)
        for y, line in enumerate(plane)
        for z, block in enumerate(line)
    ]


def mobs_around(batch: "MinecraftVectorSim", i: int, box: tuple[int, ...]) -> list[dict[str, Any]]:
    """The living mobs of a box around the player, with coordinates relative to the player's feet."""
    state, found = batch.engine.state, []
    x0, x1, y0, y1, z0, z1 = box
    for m in np.flatnonzero((state.mob_kind[i] != 0) & (state.mob_health[i] > 0)):
        x, y, z = (float(v) for v in state.mob_position[i, m] - state.position[i])
        if x0 <= x <= x1 + 1 and y0 <= y <= y1 + 1 and z0 <= z <= z1 + 1:
            name, health = MOBS[state.mob_kind[i, m]], float(state.mob_health[i, m])
            found.append({"type": name, "x": x, "y": y, "z": z, "health": health})
    return found


assert program.IN_HAND not in range(41) and "air" in NAMED_BLOCK
