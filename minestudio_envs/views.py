"""One environment of a batch as MineStudio shows it: the ``sim`` of callbacks written for a single environment."""

import math
import warnings
from collections import Counter
from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from minestudio_envs import actions
from minestudio_envs.voxel import commands, game_data
from minestudio_envs.voxel.biomes import BIOMES, sea_level
from minestudio_envs.voxel.blocks import BLOCK_NAME
from minestudio_envs.voxel.errors import nearest
from minestudio_envs.voxel.items import DURABILITY, HOTBAR_SLOTS, ITEMS, MAIN_SLOTS
from minestudio_envs.voxel.jit import python_function
from minestudio_envs.voxel.light import light_at, sky_darkening
from minestudio_envs.voxel.player_body import eye_height
from minestudio_envs.voxel.state import CUSTOM_STATISTICS, MOBS, WEATHERS

if TYPE_CHECKING:
    from minestudio_envs.simulator import MinecraftVectorSim

# The groups of statistics in MineStudio's info that a reward may refer to.
REWARD_EVENTS = ("kill_entity", "mine_block", "craft_item", "pickup", "use_item", "break_item", "custom")

# What the engine's biomes are in Minecraft: name and id.
MINECRAFT_BIOME = {"extreme_hills": "mountains"}

EXTRA_ACTIONS = ("chat", "voxels", "mobs", "pickItem")  # what MineStudio's env takes besides keys and camera

MAX_DEGREES = 1e6  # that the camera turns in a tick; NaN is no more either


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
    return env_action(np.zeros(len(actions.BUTTONS), np.int64), np.zeros(2))


def env_action(pressed: np.ndarray, degrees: np.ndarray) -> dict[str, Any]:
    """The buttons of ``pressed`` [20] by name, and the camera's degrees [2]."""
    buttons = {name: np.array(value, np.int64) for name, value in zip(actions.BUTTONS, pressed, strict=True)}
    return {**buttons, "camera": np.array(degrees, np.float32)}


def read_env_action(action: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """``env_action``'s inverse for what a callback or a user gives -> (pressed [20], degrees [2], extras), checked.

    extras: ``chat``, and the boxes ``voxels`` and ``mobs`` that are not all zero.
    """
    pressed, degrees, extras = np.zeros(len(actions.BUTTONS), np.uint8), np.zeros(2, np.float32), {}
    for key, value in action.items():
        if key in actions.BUTTONS:
            number = np.asarray(value)
            if number.size != 1 or number.item() not in (0, 1):
                raise ValueError(f"action[{key!r}]: expected 0 or 1, got {value!r}")
            pressed[actions.BUTTONS.index(key)] = number.item()
        elif key == "camera":
            camera = np.asarray(value, np.float64)
            if camera.size != 2 or not (np.abs(camera) <= MAX_DEGREES).all():
                raise ValueError(f"action['camera']: expected two degrees (pitch, yaw), at most 1e6, got {value!r}")
            degrees[:] = camera.reshape(2)
        elif key in EXTRA_ACTIONS:
            extras |= read_extra(key, value)
        else:
            raise ValueError(
                f"action: unknown key {key!r}; {nearest(key, (*actions.BUTTONS, 'camera', *EXTRA_ACTIONS))}"
            )
    return pressed, degrees, extras


def read_extra(key: str, value: Any) -> dict[str, Any]:
    """One of EXTRA_ACTIONS of one environment, checked; {} if it asks for nothing."""
    if key == "chat":
        if not isinstance(value, str):
            raise TypeError(f"action['chat']: expected a command or '', got {value!r}")
        return {"chat": value} if value else {}
    if key == "pickItem":
        if int(np.asarray(value)) != 0:
            raise ValueError("action['pickItem']: the engine has no pick key; leave it 0")
        return {}
    box = np.asarray(value)
    if box.shape != (6,) or box.dtype.kind not in "iu":
        raise ValueError(f"action[{key!r}]: expected six integers x0, x1, y0, y1, z0, z1, got {value!r}")
    return {key: check_box(box.tolist(), f"action[{key!r}]")} if box.any() else {}


def check_box(box: Any, where: str) -> tuple[int, ...]:
    """A box (x0, x1, y0, y1, z0, z1) of blocks around the player, both ends included."""
    box = tuple(int(v) for v in box)
    if len(box) != 6 or any(low > high for low, high in zip(box[::2], box[1::2], strict=True)):
        raise ValueError(f"{where}: {list(box)} must be [x0, x1, y0, y1, z0, z1] with x0 <= x1, y0 <= y1, z0 <= z1")
    if max(map(abs, box)) > 64:
        raise ValueError(f"{where}: {list(box)} must lie within 64 blocks of the player")
    return box


class SimView:
    """What MineStudio's callbacks use of their ``sim``, for environment ``index`` of a batch. MinecraftSim is one."""

    def _begin_view(self, batch: "MinecraftVectorSim | None", index: int) -> None:
        self._batch, self.index = batch, index
        self.obs: dict[str, Any] = {}
        self.info: dict[str, Any] = {}
        self.callback_messages: set[str] = set()
        self.already_reset = False

    def _live(self) -> "MinecraftVectorSim":
        """The batch. Raises ResetNeeded before the first reset and ClosedEnvironmentError after close."""
        if self._batch is None:
            raise gym.error.ResetNeeded("nothing is there before the first reset: call reset() first")
        if self._batch.closed:
            raise gym.error.ClosedEnvironmentError("used after close: make a new environment")
        return self._batch

    @property
    def env(self) -> "EnvView":
        """MineStudio's ``sim.env``: the engine below the callbacks."""
        return EnvView(self)

    def execute_cmd(self, command: str):
        """Run a command, which takes one tick without action -> (obs, reward, done, info) as ``env.step``.

        One that cannot be run gives a warning and an entry in ``info["command_errors"]``.
        """
        return self.env.execute_cmd(command)

    def _wrap_obs_info(self, obs: Mapping[str, Any], info: Mapping[str, Any]):
        """MineStudio's callbacks rebuild their results so; here keys that other callbacks added stay."""
        return self._live().look(self)

    def agent_action_to_env_action(self, action: Mapping[str, Any] | tuple) -> dict[str, Any]:
        """VPT's joint action -> named buttons and the camera's degrees."""
        buttons, camera = action if isinstance(action, tuple) else (action["buttons"], action["camera"])
        pressed, degrees = actions.joint_to_env(np.atleast_1d(np.squeeze(buttons)), np.atleast_1d(np.squeeze(camera)))
        return env_action(pressed[0], degrees[0])

    def env_action_to_agent_action(self, action: Mapping[str, Any]) -> dict[str, Any]:
        """Named buttons and the camera's degrees -> VPT's joint action."""
        pressed = np.array([[int(action.get(name, 0)) for name in actions.BUTTONS]])
        degrees = np.asarray(action.get("camera", (0, 0)), np.float64)[None]
        buttons, camera = actions.env_to_joint(pressed, degrees)
        return {"buttons": buttons, "camera": camera}


class EnvironmentView(SimView):
    """One environment of a batch of several."""

    def __init__(self, batch: "MinecraftVectorSim", index: int):
        self._begin_view(batch, index)
        self.np_random = np.random.default_rng(0)

    def __getattr__(self, name: str) -> Any:
        """The task's own settings: action_type, obs_size, render_size, seed, num_empty_frames, noop_action, ..."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._batch.sim, name)

    def _seed_episode(self, key: int, episode: int) -> None:
        self.np_random = np.random.default_rng([key & 0xFFFFFFFFFFFFFFFF, episode])


class EnvView:
    """MineStudio's ``sim.env``: its steps call no callback and count for no time limit."""

    def __init__(self, view: SimView):
        self._view = view
        self.action_space = env_action_space(actions.BUTTONS)

    def noop_action(self) -> dict[str, Any]:
        return env_noop()

    def execute_cmd(self, command: str):
        return self.step({"chat": "/" + command.strip().removeprefix("/")})

    def step(self, action: Mapping[str, Any]):
        """One tick of this environment alone, of named buttons -> (obs, reward 0.0, done False, info)."""
        obs, info = self._view._live().tick_one(self._view, action)
        raw = obs | {name: info[name] for name in ("pov", "inventory") if name in info}
        return raw, 0.0, False, info

    def seed(self, seed: int) -> None:
        """The seed of this environment's next reset."""
        self._view._live().seed_one(self._view.index, seed)


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

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def __reduce__(self):
        return dict, (dict(self),)


def run_command(batch: "MinecraftVectorSim", i: int, text: str) -> None:
    """Do what a command says in environment i, now. Chat that is no command does nothing, as in Minecraft."""
    if not text.startswith("/"):
        return
    try:
        row = commands.compile_command(text)
    except commands.CommandError as error:
        batch.add_command_error(i, str(error))
        warnings.warn(str(error), stacklevel=2)
        return
    chosen = np.zeros(batch.num_envs, bool)
    chosen[i] = True
    batch.engine.execute(np.array([row]), chosen)


def sun_brightness(time_of_day: int, weather: int) -> float:
    """Of the sky as the client draws it: 1 by day, 0.2 at night, less in rain and thunder."""
    day = (time_of_day / 24000 - 0.25) % 1.0
    angle = day + ((0.5 - math.cos(day * math.pi) / 2) - day) / 3  # of the sun, in turns from noon
    light = min(1.0, max(0.0, math.cos(angle * 2 * math.pi) * 2 + 0.2))
    return light * (1 - 5 / 16) ** ((weather > 0) + (weather == WEATHERS.index("thunder"))) * 0.8 + 0.2


def location_stats(state: SimpleNamespace, i: int) -> dict[str, Any]:
    """MineStudio's ``location_stats`` of row ``i`` of an engine's state; light and sky at the eyes."""
    x, y, z = (float(v) for v in state.position[i])
    mask = state.voxels.shape[1] - 1
    bx, bz = math.floor(x), math.floor(z)
    by = math.floor(y + python_function(eye_height)(state.sneaking[i]))
    biome = BIOMES[int(state.biome[i, bx & mask, bz & mask])]
    number, _, temperature, rainfall = game_data.BIOMES[MINECRAFT_BIOME.get(biome, biome)]
    sky, block = python_function(light_at)(state.light, state.height, i, bx, by, bz)
    weather, time_of_day = int(state.weather[i]), int(state.time_of_day[i])
    darkening = python_function(sky_darkening)(time_of_day, weather)
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
        "light_level": max(sky - darkening, block),
        "sky_light_level": sky / 15,
        "sun_brightness": sun_brightness(time_of_day, weather),
        "sea_level": python_function(sea_level)(state.voxels.shape[3]),
    }


def describe(batch: "MinecraftVectorSim", i: int) -> dict[str, Any]:
    """MineStudio's info of environment ``i``, as plain picklable values; the picture apart."""
    state, i = batch.engine.on_host(i)
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
        "inventory": dict(enumerate(slots[:MAIN_SLOTS])),
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
        "location_stats": location_stats(state, i),
        "health": float(state.health[i]),
        "food_level": int(state.food[i]),
        "time_of_day": int(state.time_of_day[i]),
        "mobs_refused": int(state.mobs_refused[i]),  # summons for which the engine had no room
    }


def voxels_around(batch: "MinecraftVectorSim", i: int, box: tuple[int, ...]) -> list[dict[str, Any]]:
    """MineStudio's ``info["voxels"]``: the blocks of a box (x0, x1, y0, y1, z0, z1, both ends included) around the
    player's feet, with coordinates relative to them."""
    return list_voxels(batch.voxels_in(box)[i].tolist(), box)


def list_voxels(ids: list, box: tuple[int, ...]) -> list[dict[str, Any]]:
    """``voxels_around`` from block ids [X][Y][Z]."""
    x0, _, y0, _, z0, _ = box
    return [
        {"type": BLOCK_NAME[block], "x": x0 + x, "y": y0 + y, "z": z0 + z}
        for x, plane in enumerate(ids)
        for y, line in enumerate(plane)
        for z, block in enumerate(line)
    ]


def mobs_around(batch: "MinecraftVectorSim", i: int, box: tuple[int, ...]) -> list[dict[str, Any]]:
    """The living mobs of a box around the player, with coordinates relative to the player's feet."""
    (state, i), found = batch.engine.on_host(i), []
    x0, x1, y0, y1, z0, z1 = box
    for m in np.flatnonzero((state.mob_kind[i] != 0) & (state.mob_health[i] > 0)):
        x, y, z = (float(v) for v in state.mob_position[i, m] - state.position[i])
        if x0 <= x <= x1 + 1 and y0 <= y <= y1 + 1 and z0 <= z <= z1 + 1:
            name, health = MOBS[state.mob_kind[i, m]], float(state.mob_health[i, m])
            found.append({"type": name, "x": x, "y": y, "z": z, "health": health})
    return found
