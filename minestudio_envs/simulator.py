"""MinecraftSim, one environment with MineStudio's constructor, and MinecraftVectorSim, a batch of them.

Both are the same thing: a MinecraftSim describes a task, and runs as a batch of one when it is stepped itself.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from minestudio_envs import actions
from minestudio_envs.callbacks import REWARD_EVENTS, MinecraftCallback, check_biome
from minestudio_envs.voxel import commands, randomness
from minestudio_envs.voxel.engine import VoxelEngine
from minestudio_envs.voxel.errors import nearest
from minestudio_envs.voxel.items import HOTBAR_SLOTS, ITEMS
from minestudio_envs.voxel.state import CUSTOM_STATISTICS, MOBS

# 'drop' is in VPT's buttons but Minecraft's interface to it has no such key, as in MineStudio.
PLAINS = 1  # Minecraft's biome id
ENV_BUTTONS = tuple(name for name in actions.BUTTONS if name != "drop")


def image_space(size: tuple[int, int]) -> spaces.Dict:
    """The observation space for images of ``size`` = (width, height) pixels."""
    width, height = size
    return spaces.Dict({"image": spaces.Box(0, 255, (height, width, 3), np.uint8)})


class EngineSetup:
    """What the callbacks ask of the engine before it is built."""

    def __init__(self, num_empty_frames: int):
        self.num_empty_frames = num_empty_frames
        self.teleport_range = 0  # blocks
        self.start_time = 0  # ticks of the day
        self.time_limit: int | None = None  # steps
        self.command_errors: list[str] = []
        self._rows: list[np.ndarray] = []

    def add_rows(self, rows: np.ndarray) -> None:
        """Append rows [k, 8] or a row [8] of the engine's reset program; each takes one tick."""
        self._rows.append(np.atleast_2d(rows))

    def limit_steps(self, steps: int) -> None:
        """Truncate episodes after ``steps``; of several limits the shortest holds."""
        self.time_limit = steps if self.time_limit is None else min(self.time_limit, steps)

    @property
    def program(self) -> np.ndarray:
        """float64 [P, 8]."""
        return np.concatenate(self._rows) if self._rows else np.zeros((0, commands.ROW))


class MinecraftSim(gym.Env):
    """A Minecraft task, and one environment of it (MineStudio's constructor, Gymnasium's interface).

    Args:
        action_type: ``"agent"`` for VPT's joint actions, ``Dict(buttons=MultiDiscrete([8641]),
            camera=MultiDiscrete([121]))``; ``"env"`` for a dict of named buttons and a camera in degrees.
        obs_size: (width, height) of the observed image in pixels. VPT needs (128, 128).
        render_size: (width, height) of ``info["pov"]``; None leaves it out, which is faster.
        seed: seed of all randomness; ``reset(seed=...)`` and ``make_vec(seed=...)`` override it.
        inventory: ``{slot: {"type": item, "quantity": n}}`` given at every reset.
        preferred_spawn_biome: biome of the spawn.
        num_empty_frames: ticks without action after each reset.
        callbacks: what the task summons, commands, rewards and ends; see ``minestudio_envs.callbacks``.
        timestep_limit: truncate episodes after so many steps. (MineStudio accepts and ignores it.)

    Observation: ``{"image": uint8 [height, width, 3]}``, RGB. An episode that reaches a time limit is truncated.
    """

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 20}

    vector_class: type  # what make_vec makes of it; a subclass may have its own, with the same arguments

    def __init__(
        self,
        action_type: str = "agent",
        obs_size: tuple[int, int] = (224, 224),
        render_size: tuple[int, int] | None = (640, 360),
        seed: int = 0,
        inventory: Mapping[int, Mapping[str, Any]] | None = None,
        preferred_spawn_biome: str | None = None,
        num_empty_frames: int = 20,
        callbacks: Sequence[MinecraftCallback] = (),
        timestep_limit: int | None = None,
        render_mode: str | None = "rgb_array",
    ):
        if action_type not in ("agent", "env"):
            raise ValueError(f"action_type={action_type!r}; {nearest(action_type, ('agent', 'env'))}")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode={render_mode!r} must be 'rgb_array' or None")
        for name, size in (("obs_size", obs_size), ("render_size", render_size)):
            if size is not None and (len(size) != 2 or not all(isinstance(v, int) and v >= 8 for v in size)):
                raise ValueError(f"{name}={size!r} must be (width, height), at least 8 pixels each")
        for callback in callbacks:
            if not isinstance(callback, MinecraftCallback):
                raise TypeError(f"callbacks: {callback!r} is not a minestudio_envs.callbacks.MinecraftCallback")
        if preferred_spawn_biome is not None:
            check_biome(preferred_spawn_biome)
        if num_empty_frames < 0:
            raise ValueError(f"num_empty_frames={num_empty_frames} must not be negative")
        if timestep_limit is not None and timestep_limit < 1:
            raise ValueError(f"timestep_limit={timestep_limit} must be at least 1")
        self.action_type = action_type
        self.obs_size = tuple(obs_size)
        self.render_size = render_size
        self.seed = seed
        self.inventory = dict(inventory or {})
        self.preferred_spawn_biome = preferred_spawn_biome
        self.num_empty_frames = num_empty_frames
        self.callbacks = list(callbacks)
        self.timestep_limit = timestep_limit
        self.render_mode = render_mode
        self.observation_space = image_space(self.obs_size)
        if action_type == "agent":
            self.action_space = spaces.Dict(
                {
                    "buttons": spaces.MultiDiscrete([actions.NUM_BUTTONS]),
                    "camera": spaces.MultiDiscrete([actions.NUM_CAMERA]),
                }
            )
        else:
            self.action_space = spaces.Dict(
                {
                    **{name: spaces.Discrete(2) for name in ENV_BUTTONS},
                    "camera": spaces.Box(-180.0, 180.0, (2,), np.float32),
                }
            )
        self._batch: MinecraftVectorSim | None = None
        self._closed = False

    def setup(self, callbacks: Sequence[MinecraftCallback]) -> EngineSetup:
        """What this task asks of the engine, gathered from the arguments and, in order, its callbacks."""
        setup = EngineSetup(self.num_empty_frames)
        if self.timestep_limit is not None:
            setup.limit_steps(self.timestep_limit)
        for slot, entry in self.inventory.items():
            setup.add_rows(commands.set_slot(int(slot), entry["type"], int(entry["quantity"])))
        for callback in callbacks:
            callback.configure(setup)
        return setup

    def noop_action(self) -> dict[str, Any]:
        """The action that does nothing, as an element of ``action_space``."""
        if self.action_type == "agent":
            return {
                "buttons": np.array([actions.NULL_BUTTONS], np.int64),
                "camera": np.array([actions.NULL_CAMERA], np.int64),
            }
        return {**{name: np.int64(0) for name in ENV_BUTTONS}, "camera": np.zeros(2, np.float32)}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Begin an episode -> (observation, info). Without ``seed`` the next episode of the current seed."""
        if self._closed:
            raise gym.error.ClosedEnvironmentError("reset after close: make a new MinecraftSim")
        if options:
            raise ValueError(f"reset: unknown options {sorted(options)}; there are none")
        super().reset(seed=seed)
        if self._batch is None:
            self._batch = MinecraftVectorSim(self, 1)
        observations, _ = self._batch.reset(seed=seed)
        return self._observation(observations), self._info()

    def step(self, action: Mapping[str, Any]):
        """One tick -> (observation, reward, terminated, truncated, info). The action is left as it is."""
        if self._closed:
            raise gym.error.ClosedEnvironmentError("step after close: make a new MinecraftSim")
        if self._batch is None:
            raise gym.error.ResetNeeded("step before the first reset: call reset() first")
        batched = {key: np.asarray(value)[None] for key, value in action.items()}
        observations, rewards, terminations, truncations, _ = self._batch.step(batched)
        # A vector environment would now reset by itself; a single one waits for the caller's reset.
        self._batch.began_next.zero_()
        return (
            self._observation(observations),
            float(rewards[0]),
            bool(terminations[0]),
            bool(truncations[0]),
            self._info(),
        )

    def render(self) -> np.ndarray:
        """The last observed image, uint8 [height, width, 3]."""
        if self._batch is None:
            raise gym.error.ResetNeeded("render before the first reset: call reset() first")
        return self._batch.frame(0, self.obs_size)

    def close(self) -> None:
        """Free the engine. Closing twice is harmless."""
        self._closed = True
        if self._batch is not None:
            self._batch.close()

    def _observation(self, observations: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
        return {key: value[0].numpy() for key, value in observations.items()}

    def _info(self) -> dict[str, Any]:
        """MineStudio's info, as plain picklable values."""
        state = self._batch.engine.state
        x, y, z = (float(v) for v in state.position[0])
        yaw, pitch = float(state.yaw[0]), float(state.pitch[0])
        slots = [
            {"type": ITEMS[item] if item else "none", "quantity": int(count)}
            for item, count in zip(state.inventory_item[0], state.inventory_count[0], strict=True)
        ]
        worn = {"mainhand": int(state.selected[0]), "feet": 36, "legs": 37, "chest": 38, "head": 39, "offhand": 40}
        info = {
            "inventory": dict(enumerate(slots[:36])),
            "equipped_items": {
                part: {"type": slots[slot]["type"].replace("none", "air"), "damage": 0, "maxDamage": 0}
                for part, slot in worn.items()
            },
            "hotbar": int(state.selected[0]) % HOTBAR_SLOTS,
            **{event: Counter() for event in REWARD_EVENTS},  # a Counter says 0 for what never happened
            "kill_entity": Counter({name: int(state.kill_entity[0, kind]) for kind, name in enumerate(MOBS) if kind}),
            "custom": Counter(dict(zip(CUSTOM_STATISTICS, state.custom[0].tolist(), strict=True))),
            "player_pos": {"x": x, "y": y, "z": z, "yaw": yaw, "pitch": pitch},
            "is_gui_open": False,
            "isGuiOpen": False,
            "location_stats": {"xpos": x, "ypos": y, "zpos": z, "yaw": yaw, "pitch": pitch, "biome_id": PLAINS},
            "health": float(state.health[0]),
            "food_level": int(state.food[0]),
            "command_errors": list(self._batch.command_errors),
            "mobs_refused": int(state.mobs_refused[0]),  # summons for which the engine had no room
        }
        if self.render_size is not None:
            info["pov"] = self._batch.frame(0, self.render_size)
        return info


class MinecraftVectorSim(gym.vector.VectorEnv):
    """``num_envs`` environments of one task, stepped together (Gymnasium's VectorEnv, NEXT_STEP autoreset).

    The step after an episode's end resets that environment: its action is ignored, its reward is 0 and
    ``infos["began"]`` is True there; a learner must not train on that step.

    Observations, rewards and flags are torch tensors, or NumPy arrays with ``array="numpy"``. They are fresh at every
    step; with ``copy=False`` the images are the engine's own buffer, overwritten by the next step.

    infos: ``episode`` = {"r": return, "l": length, "t": seconds} of episodes that ended in this step (elsewhere 0),
    ``_episode`` bool [N] marks them (first episodes that ``stagger`` shortened are left out); ``began`` bool [N];
    ``kill_entity`` = {mob: int32 [N]} counts of the episode.
    """

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 20, "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        sim: MinecraftSim,
        num_envs: int,
        device: str = "cpu",
        seed: int | None = None,
        array: str = "torch",
        copy: bool = True,
        stagger: bool = False,
        obs_size: tuple[int, int] | None = None,
    ):
        if num_envs < 1:
            raise ValueError(f"num_envs={num_envs} must be at least 1")
        if array not in ("torch", "numpy"):
            raise ValueError(f"array={array!r}; {nearest(array, ('torch', 'numpy'))}")
        if torch.device(device).type != "cpu":
            raise ValueError(f"device={device!r}: the voxel engine runs on the CPU only so far; use device='cpu'")
        self.callbacks = deepcopy(sim.callbacks)  # they count, each batch for itself
        setup = sim.setup(self.callbacks)
        self.sim = sim
        self.num_envs = num_envs
        self.array = array
        self.copy = copy
        self.stagger = stagger
        self.render_mode = sim.render_mode
        self.metadata = dict(type(self).metadata)
        self.command_errors = setup.command_errors
        self.time_limit = setup.time_limit
        self.obs_size = tuple(obs_size or sim.obs_size)
        self.single_observation_space = image_space(self.obs_size)
        self.single_action_space = sim.action_space
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gym.vector.utils.batch_space(sim.action_space, num_envs)

        width, height = self.obs_size
        program = setup.program
        summons = int(np.isin(program[:, 0], (4, 5)).sum())
        self.engine = VoxelEngine(
            num_envs,
            width,
            height,
            program=program,
            max_mobs=max(16, summons),
            empty_frames=setup.num_empty_frames,
            teleport_range=setup.teleport_range,
            start_time=setup.start_time,
        )
        # The engine's arrays as tensors, without a copy: callbacks read them by name.
        self.state = {name: torch.from_numpy(array) for name, array in vars(self.engine.state).items()}
        self._image = torch.zeros(num_envs, height, width, 3, dtype=torch.uint8)
        self.began = torch.zeros(num_envs, dtype=torch.bool)  # this step was a reset
        self.began_next = torch.zeros(num_envs, dtype=torch.bool)  # the next step will be one
        self.elapsed = torch.zeros(num_envs, dtype=torch.int64)  # steps, counted against the time limit
        self.episode_return = torch.zeros(num_envs, dtype=torch.float32)
        self.episode_length = torch.zeros(num_envs, dtype=torch.int64)
        self._episode_start = torch.zeros(num_envs, dtype=torch.float64)
        self._shortened = torch.zeros(num_envs, dtype=torch.bool)  # a staggered first episode: no statistics of it
        self._ready = False
        self._seed(sim.seed if seed is None else seed, None)

    def _seed(self, seed: int | Sequence[int | None], mask: np.ndarray | None) -> None:
        """One seed for the batch, or one for each environment (None keeps what it has)."""
        if isinstance(seed, int | np.integer):
            keys = np.array([randomness.environment_key(int(seed), i) for i in range(self.num_envs)], np.int64)
        else:
            if len(seed) != self.num_envs:
                raise ValueError(f"seed: {len(seed)} seeds for {self.num_envs} environments")
            given = np.array([s is not None for s in seed])
            mask = given if mask is None else mask & given
            keys = np.array([0 if s is None else randomness.environment_key(int(s), 0) for s in seed], np.int64)
        self.engine.set_keys(keys, mask)

    def reset(self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None):
        """Begin episodes -> (observations, infos).

        Args:
            seed: as ``VectorEnv.reset``; environment i of seed s is the same whatever the batch size.
            options: ``{"reset_mask": bool [N]}`` resets only those.
        """
        if self.closed:
            raise gym.error.ClosedEnvironmentError("reset after close: make a new environment")
        options = dict(options or {})
        mask = options.pop("reset_mask", None)
        if options:
            raise ValueError(f"reset: unknown option {next(iter(options))!r}; known: reset_mask")
        if mask is None:
            mask = np.ones(self.num_envs, bool)
        else:
            mask = np.asarray(mask)
            if mask.dtype != bool or mask.shape != (self.num_envs,) or not mask.any():
                raise ValueError(f"reset_mask: expected bool [{self.num_envs}] with at least one True, got {mask!r}")
            if not self._ready:
                raise gym.error.ResetNeeded("reset_mask before the first reset: call reset() without it first")
        if seed is not None:
            self._seed(seed, mask)
        self.engine.reset(mask, self._image.numpy())
        self.began.copy_(torch.from_numpy(mask))
        self.began_next.masked_fill_(self.began, False)
        self._begin_episodes()
        zeros, no = torch.zeros(self.num_envs), torch.zeros(self.num_envs, dtype=torch.bool)
        for callback in self.callbacks:
            callback.after_batch_step(self, zeros, no, no.clone())
        if self.stagger and not self._ready and self.time_limit is not None:
            # Episodes that all begin together would also end together, and batches would not be stationary.
            self.elapsed.copy_(torch.arange(self.num_envs) * self.time_limit // self.num_envs)
            self._shortened.copy_(self.elapsed > 0)
        self._ready = True
        return self._wrap(self._observations()), self._wrap(self._infos(no))

    def step(self, actions_: Mapping[str, Any]):
        """One tick of every environment -> (observations, rewards, terminations, truncations, infos)."""
        if self.closed:
            raise gym.error.ClosedEnvironmentError("step after close: make a new environment")
        if not self._ready:
            raise gym.error.ResetNeeded("step before the first reset: call reset() first")
        pressed, degrees = self._decode(actions_)
        for callback in self.callbacks:
            callback.before_batch_step(self, pressed, degrees)
        self.began, self.began_next = self.began_next, self.began
        self.engine.step(pressed.numpy(), degrees.numpy(), self.began.numpy(), self._image.numpy())
        self._begin_episodes()
        playing = ~self.began
        self.elapsed += playing
        self.episode_length += playing

        rewards = torch.zeros(self.num_envs)
        terminations = torch.zeros(self.num_envs, dtype=torch.bool)
        if self.time_limit is None:
            truncations = torch.zeros(self.num_envs, dtype=torch.bool)
        else:
            truncations = self.elapsed >= self.time_limit
        for callback in self.callbacks:
            callback.after_batch_step(self, rewards, terminations, truncations)
        rewards.masked_fill_(self.began, 0.0)
        terminations &= playing
        truncations &= playing
        self.episode_return += rewards
        self.began_next = terminations | truncations
        infos = self._infos(self.began_next & ~self._shortened)
        return (
            self._wrap(self._observations()),
            self._wrap(rewards),
            self._wrap(terminations),
            self._wrap(truncations),
            self._wrap(infos),
        )

    def frame(self, index: int, size: tuple[int, int]) -> np.ndarray:
        """Environment ``index`` as it looks now, drawn at ``size`` = (width, height): uint8 [height, width, 3]."""
        return self.engine.frame(index, *size)

    def render(self) -> tuple[np.ndarray, ...] | None:
        """The last images, one uint8 [height, width, 3] for each environment (render_mode "rgb_array")."""
        return None if self.render_mode is None else tuple(self._image.numpy().copy())

    def state_dict(self) -> dict[str, Any]:
        """All that changes, as copies in tensors and plain values: a batch made alike and given it goes on the same."""
        state = {name: getattr(self, name).clone() for name in self._COUNTERS}
        return state | {
            "engine": {name: torch.from_numpy(array) for name, array in self.engine.snapshot().items()},
            "callbacks": [callback.state_dict() for callback in self.callbacks],
            "ready": self._ready,
            "seconds": time.time() - self._episode_start,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what state_dict gave. Raises ValueError if that was another task's, or of another version."""
        if len(state["callbacks"]) != len(self.callbacks):
            raise ValueError(f"{len(state['callbacks'])} callbacks were saved, this task has {len(self.callbacks)}")
        for name in self._COUNTERS:
            if state[name].shape != getattr(self, name).shape:
                raise ValueError(
                    f"{name} was saved as {list(state[name].shape)}, not {list(getattr(self, name).shape)}"
                )
        self.engine.restore({name: tensor.numpy() for name, tensor in state["engine"].items()})
        for name in self._COUNTERS:
            getattr(self, name).copy_(state[name])
        for callback, saved in zip(self.callbacks, state["callbacks"], strict=True):
            callback.load_state_dict(saved)
        self._episode_start.copy_(time.time() - state["seconds"])
        self._ready = state["ready"]

    _COUNTERS: ClassVar = ("_image", "began", "began_next", "elapsed", "episode_return", "episode_length", "_shortened")

    def _begin_episodes(self) -> None:
        self.elapsed.masked_fill_(self.began, 0)
        self.episode_length.masked_fill_(self.began, 0)
        self.episode_return.masked_fill_(self.began, 0.0)
        self._episode_start.masked_fill_(self.began, time.time())
        self._shortened.masked_fill_(self.began, False)

    def _decode(self, action: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Actions -> (pressed uint8 [N, 20], degrees float32 [N, 2]), checked."""
        if not isinstance(action, Mapping):
            raise TypeError(f"action: expected a dict with keys {list(self.single_action_space)}, got {type(action)}")
        if self.sim.action_type == "agent":
            for key in ("buttons", "camera"):
                if key not in action:
                    raise ValueError(f"action: no {key!r} in {sorted(action)}")
            buttons, camera = (torch.as_tensor(action[key]) for key in ("buttons", "camera"))
            n = self.num_envs
            for key, value in (("buttons", buttons), ("camera", camera)):
                if value.shape not in ((n,), (n, 1)):
                    raise ValueError(f"action[{key!r}]: shape {tuple(value.shape)}, expected ({n},) or ({n}, 1)")
            pressed, degrees = actions.joint_to_env(buttons.flatten(), camera.flatten())
            return pressed, degrees.float()
        pressed = torch.zeros(self.num_envs, len(actions.BUTTONS), dtype=torch.uint8)
        degrees = torch.zeros(self.num_envs, 2)
        for key, value in action.items():
            value = torch.as_tensor(np.asarray(value))
            if key == "camera":
                if value.shape != degrees.shape or not value.isfinite().all():
                    raise ValueError(f"action['camera']: expected finite degrees [{self.num_envs}, 2], got {value}")
                degrees.copy_(value)
            elif key in ENV_BUTTONS:
                if value.numel() != self.num_envs or ((value != 0) & (value != 1)).any():
                    raise ValueError(f"action[{key!r}]: expected {self.num_envs} values 0 or 1, got {value}")
                pressed[:, actions.BUTTONS.index(key)] = value.flatten().to(torch.uint8)
            else:
                raise ValueError(f"action: unknown key {key!r}; {nearest(key, (*ENV_BUTTONS, 'camera'))}")
        return pressed, degrees

    def _observations(self) -> dict[str, torch.Tensor]:
        return {"image": self._image.clone() if self.copy else self._image}

    def _infos(self, ended: torch.Tensor) -> dict[str, Any]:
        seconds = (time.time() - self._episode_start).float()
        return {
            "episode": {
                "r": torch.where(ended, self.episode_return, 0.0),
                "l": torch.where(ended, self.episode_length, 0),
                "t": torch.where(ended, seconds, 0.0),
            },
            "_episode": ended.clone(),
            "began": self.began.clone(),
            "kill_entity": {
                name: self.state["kill_entity"][:, kind].clone() for kind, name in enumerate(MOBS) if name != "none"
            },
        }

    def _wrap(self, value: Any) -> Any:
        if self.array == "torch":
            return value
        if isinstance(value, dict):
            return {key: self._wrap(entry) for key, entry in value.items()}
        return value.numpy()


MinecraftSim.vector_class = MinecraftVectorSim
