"""MinecraftSim, one environment with MineStudio's constructor, and MinecraftVectorSim, a batch of them.

Both are the same thing: a MinecraftSim describes a task, and runs as a batch of one when it is stepped itself.
"""

import contextlib
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from minestudio_envs import actions, draws, views
from minestudio_envs.callbacks import Compose, MinecraftCallback, biome_category, own_hooks
from minestudio_envs.views import EXTRA_ACTIONS, REWARD_EVENTS, EnvironmentView, SimView
from minestudio_envs.voxel import commands, program, randomness
from minestudio_envs.voxel.biomes import BIOMES
from minestudio_envs.voxel.engine import GO_ON, HOLD, RESET, TICK, VoxelEngine
from minestudio_envs.voxel.errors import nearest
from minestudio_envs.voxel.state import MOBS, WEATHERS, WORLD_HEIGHT, WORLD_SIZE
from minestudio_envs.window import Window, grid

__all__ = ["REWARD_EVENTS", "CameraConfig", "MinecraftSim", "MinecraftVectorSim"]

# MineStudio's env actions have no 'drop', though VPT's buttons do; here it may be given too.
ENV_BUTTONS = tuple(name for name in actions.BUTTONS if name != "drop")


@dataclass
class CameraConfig:
    """How VPT's camera bins divide the degrees. Only the values below give VPT's 121 bins."""

    camera_binsize: int = 2
    camera_maxval: int = 10
    camera_mu: float = 10.0
    camera_quantization_scheme: str = "mu_law"

    def __post_init__(self):
        for name, wanted in (
            ("camera_binsize", 2),
            ("camera_maxval", 10),
            ("camera_mu", 10.0),
            ("camera_quantization_scheme", "mu_law"),
        ):
            if getattr(self, name) != wanted:
                raise ValueError(
                    f"CameraConfig: {name}={getattr(self, name)!r}: only {wanted!r} is supported, which VPT's camera "
                    "head of 121 actions stands for; for other angles use action_type='env'"
                )

    @property
    def n_camera_bins(self) -> int:
        return 2 * self.camera_maxval // self.camera_binsize + 1


def image_space(size: tuple[int, int]) -> spaces.Dict:
    """The observation space for images of ``size`` = (width, height) pixels."""
    width, height = size
    return spaces.Dict({"image": spaces.Box(0, 255, (height, width, 3), np.uint8)})


@dataclass
class EngineSetup:
    """What the callbacks ask of the engine before it is built."""

    num_empty_frames: int
    biomes: tuple[str, ...] = ()  # categories of the default start; () = the engine's own
    animals: bool = True  # whether new worlds have groups of animals
    time_limit: int | None = None  # steps, of every episode
    limits: list[tuple[int, int]] = field(default_factory=list)  # (steps, condition) of those where it holds
    command_errors: list[str] = field(default_factory=list)
    callbacks: list[tuple[MinecraftCallback, int]] = field(default_factory=list)  # with their conditions, in order
    conditions: list[list[int]] = field(default_factory=list)  # program.Script's
    condition: int = 0  # of what is being added: 1 + its row, 0 = always
    tasks: int = 0  # entries of all TaskCallbacks
    voxels: tuple[int, ...] | None = None  # the box around the player that infos show
    needs_voxels: str | None = None  # the callback that does
    _rows: list[np.ndarray] = field(default_factory=list)
    _starts: list[tuple[bool, list[int]]] = field(default_factory=list)
    _streams: int = 0

    def add_rows(self, rows: Any) -> None:
        """Append rows [k, ROW] or a row [ROW] of the engine's reset program; each takes one tick."""
        rows = np.atleast_2d(np.array(rows, np.float64)).reshape(-1, program.ROW)
        rows[:, program.CONDITION] = self.condition
        self._rows.append(rows)

    def add_start(
        self, reach: int = 0, time_of_day: int = 0, weather: str = "clear", biome: str = "", seed: int | None = None
    ) -> None:
        """Where and when episodes begin: within +-reach / 2 blocks, in a biome, or in the world of ``seed``.

        Of several the last one holds, but those with a seed come after all others.
        """
        row = [0] * program.START_COLUMNS
        row[program.START_CONDITION], row[program.START_RANGE], row[program.START_TIME] = (
            self.condition,
            reach,
            time_of_day % 24000,
        )
        row[program.START_WEATHER] = WEATHERS.index(weather)
        row[program.START_BIOMES] = 1 << BIOMES.index(biome) if biome else 0
        if seed is not None:
            row[program.START_SEEDED], row[program.START_KEY] = 1, randomness.environment_key(seed, 0)
        self._starts.append((seed is not None, row))

    def limit_steps(self, steps: int) -> None:
        """Truncate episodes after ``steps``; of several limits the shortest holds."""
        if self.condition:
            self.limits.append((steps, self.condition))
        else:
            self.time_limit = steps if self.time_limit is None else min(self.time_limit, steps)

    def streams(self, count: int) -> int:
        """The first of ``count`` random streams of one's own, for what is drawn once in an episode."""
        self._streams += count
        if self._streams > 1 << 16:
            raise ValueError("these callbacks draw more than the engine has streams of random numbers for")
        return randomness.STREAM_CALLBACK + self._streams - count

    def group(self, members: int, chosen: int) -> list[int]:
        """Conditions of which ``chosen`` hold in an episode in which the present one does: what ``inside`` takes."""
        stream = self.streams(members)
        for member in range(members):
            self.conditions.append([self.condition, member, members, chosen, stream])
        return list(range(len(self.conditions) - members + 1, len(self.conditions) + 1))

    @contextlib.contextmanager
    def inside(self, condition: int) -> Iterator[None]:
        """What is added meanwhile depends on ``condition``."""
        outer, self.condition = self.condition, condition
        yield
        self.condition = outer

    def add(self, callback: MinecraftCallback) -> None:
        """Take in a callback, or the members of a Compose."""
        if not isinstance(callback, Compose):
            callback.configure(self)
            self.callbacks.append((callback, self.condition))
        elif callback.options < 0:
            for member in callback.callbacks:
                self.add(member)
        else:
            conditions = self.group(len(callback.callbacks), callback.options)
            for member, condition in zip(callback.callbacks, conditions, strict=True):
                with self.inside(condition):
                    self.add(member)

    @property
    def program(self) -> np.ndarray:
        """float64 [P, ROW]."""
        return np.concatenate(self._rows) if self._rows else np.zeros((0, program.ROW))

    @property
    def starts(self) -> np.ndarray:
        """int64 [S, START_COLUMNS]."""
        rows = [row for _, row in sorted(self._starts, key=lambda start: start[0])]
        return np.array(rows, np.int64).reshape(-1, program.START_COLUMNS)


class MinecraftSim(gym.Env, SimView):
    """A Minecraft task, and one environment of it (MineStudio's constructor, Gymnasium's interface).

    Args:
        action_type: ``"agent"`` for VPT's joint actions, ``Dict(buttons=MultiDiscrete([8641]),
            camera=MultiDiscrete([121]))``; ``"env"`` for a dict of named buttons and a camera in degrees, which may
            also hold ``chat`` (a command), and ``voxels`` and ``mobs`` (boxes that ``info`` then shows).
        obs_size: (width, height) of the observed image in pixels. VPT needs (128, 128).
        render_size: (width, height) of ``info["pov"]``; None leaves it out, which is faster.
        seed: seed of all randomness; ``reset(seed=...)`` and ``make_vec(seed=...)`` override it.
        inventory: ``{slot: {"type": item, "quantity": n}}`` given at every reset.
        preferred_spawn_biome: category of the biome that episodes begin in, where no FastResetCallback says another.
        num_empty_frames: ticks without action after each reset.
        callbacks: what the task summons, commands, rewards and ends; see ``minestudio_envs.callbacks``.
        camera_config: MineStudio's; only VPT's own values are supported.
        timestep_limit: truncate episodes after so many steps. (MineStudio accepts and ignores it.)
        render_mode: ``"rgb_array"``, or ``"human"`` for a window that shows every step in real time (needs pygame).
        world_height, world_size: of the voxel engine's world in blocks, which repeats after ``world_size``.

    Observation: ``{"image": uint8 [height, width, 3]}``, RGB, and what callbacks add. An episode that reaches a time
    limit is truncated. A death does not end it: the player is put back, with nothing.
    """

    metadata: ClassVar = {"render_modes": ["rgb_array", "human"], "render_fps": 20}

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
        camera_config: CameraConfig | None = None,
        timestep_limit: int | None = None,
        render_mode: str | None = "rgb_array",
        world_height: int = WORLD_HEIGHT,
        world_size: int = WORLD_SIZE,
    ):
        if action_type not in ("agent", "env"):
            raise ValueError(f"action_type={action_type!r}; {nearest(action_type, ('agent', 'env'))}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode={render_mode!r} must be 'rgb_array', 'human' or None")
        for name, size in (("obs_size", obs_size), ("render_size", render_size)):
            if size is not None and (
                len(size) != 2 or not all(isinstance(v, int | np.integer) and v >= 8 for v in size)
            ):
                raise ValueError(f"{name}={size!r} must be (width, height), at least 8 pixels each")
        for callback in callbacks:
            if not isinstance(callback, MinecraftCallback):
                raise TypeError(f"callbacks: {callback!r} is not a minestudio_envs.callbacks.MinecraftCallback")
        if preferred_spawn_biome is not None:
            biome_category(preferred_spawn_biome)
        if num_empty_frames < 0:
            raise ValueError(f"num_empty_frames={num_empty_frames} must not be negative")
        if timestep_limit is not None and timestep_limit < 1:
            raise ValueError(f"timestep_limit={timestep_limit} must be at least 1")
        self.action_type = action_type
        self.obs_size = tuple(obs_size)
        self.render_size = render_size
        self.seed = seed
        self.inventory = {}
        for slot, entry in (inventory or {}).items():
            if not isinstance(entry, Mapping) or sorted(entry) != ["quantity", "type"]:
                raise ValueError(f"inventory[{slot!r}]={entry!r} must have 'type' and 'quantity', and nothing else")
            commands.set_slot(int(slot), entry["type"], int(entry["quantity"]))  # raises what is wrong with them
            self.inventory[slot] = dict(entry)
        self.preferred_spawn_biome = preferred_spawn_biome
        self.num_empty_frames = num_empty_frames
        self.callbacks = list(callbacks)
        self.camera_config = camera_config or CameraConfig()
        self.timestep_limit = timestep_limit
        self.render_mode = render_mode
        self.world_height, self.world_size = world_height, world_size
        self.observation_space = image_space(self.obs_size)
        for callback in members(self.callbacks):
            for name, space in callback.observation_spaces(alone=True).items():
                self.observation_space[name] = space
        if action_type == "agent":
            self.action_space = spaces.Dict(
                {
                    "buttons": spaces.MultiDiscrete([actions.NUM_BUTTONS]),
                    "camera": spaces.MultiDiscrete([actions.NUM_CAMERA]),
                }
            )
        else:
            self.action_space = views.env_action_space(ENV_BUTTONS)
        self._begin_view(None, 0)
        self._closed = False

    def setup(self, callbacks: Sequence[MinecraftCallback]) -> EngineSetup:
        """What this task asks of the engine, gathered from the arguments and, in order, its callbacks."""
        setup = EngineSetup(self.num_empty_frames)
        if self.preferred_spawn_biome is not None:
            setup.biomes = (biome_category(self.preferred_spawn_biome),)
        if self.timestep_limit is not None:
            setup.limit_steps(self.timestep_limit)
        for slot, entry in self.inventory.items():
            setup.add_rows(commands.set_slot(int(slot), entry["type"], int(entry["quantity"])))
        for callback in callbacks:
            setup.add(callback)
        if setup.needs_voxels and setup.voxels is None:
            raise ValueError(f"{setup.needs_voxels} needs a VoxelsCallback, which says how far it looks")
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
            MinecraftVectorSim(self, 1, alone=True)  # makes itself known here
        self._batch.reset(seed=seed)
        return self.obs, self.info

    def step(self, action: Mapping[str, Any]):
        """One tick -> (observation, reward, terminated, truncated, info). The action is left as it is."""
        if self._closed:
            raise gym.error.ClosedEnvironmentError("step after close: make a new MinecraftSim")
        if self._batch is None:
            raise gym.error.ResetNeeded("step before the first reset: call reset() first")
        if isinstance(action, tuple):  # MineStudio's documents write it so too
            action = dict(zip(("buttons", "camera"), action, strict=True))
        if not isinstance(action, Mapping):
            raise TypeError(f"action: expected a dict with keys {list(self.action_space)}, got {type(action)}")
        batched = {key: [value] if key == "chat" else np.asarray(value)[None] for key, value in action.items()}
        _, rewards, terminations, truncations, _ = self._batch.step(batched)
        # A vector environment would now reset by itself; a single one waits for the caller's reset.
        self._batch.began_next.zero_()
        return self.obs, float(rewards[0]), bool(terminations[0]), bool(truncations[0]), self.info

    def render(self) -> np.ndarray | None:
        """The last observed image, uint8 [height, width, 3], as callbacks' render hooks leave it.

        None with render_mode "human": the window shows it already.
        """
        if self._batch is None:
            raise gym.error.ResetNeeded("render before the first reset: call reset() first")
        if self.render_mode == "human":
            return None
        return self._batch.rendered(0, self.obs["image"])

    def close(self) -> None:
        """Free the engine. Closing twice is harmless."""
        if not self._closed:
            self._closed = True
            if self._batch is not None:
                self._batch.close()

    def _seed_episode(self, key: int, episode: int) -> None:
        self.np_random = np.random.default_rng([key & 0xFFFFFFFFFFFFFFFF, episode])


def members(callbacks: Sequence[MinecraftCallback]) -> Iterator[MinecraftCallback]:
    """All callbacks, those inside of Compose too, in order."""
    for callback in callbacks:
        if isinstance(callback, Compose):
            yield from members(callback.callbacks)
        else:
            yield callback


class Hook:
    """A callback in a batch: when it holds, which of MineStudio's hooks it has, and for those a copy for each
    environment, because hooks written for one keep what they know of it in themselves."""

    def __init__(self, callback: MinecraftCallback, condition: int, num_envs: int):
        self.callback, self.condition = callback, condition
        self.names = own_hooks(callback)
        self.before_batch = overrides(callback, "before_batch_step")
        self.after_batch = overrides(callback, "after_batch_step")
        self.copies: dict[int, MinecraftCallback] = {}
        if self.names:
            chosen = range(num_envs) if callback.environments is None else callback.environments
            if min(chosen, default=0) < 0:
                raise ValueError(f"{type(callback).__name__}: environments={tuple(chosen)} must not be negative")
            for i in (i for i in chosen if i < num_envs):
                try:
                    self.copies[i] = deepcopy(callback) if self.copies else callback
                except Exception as error:
                    raise TypeError(
                        f"{type(callback).__name__} cannot be copied for each environment of a batch ({error}): give "
                        "it a __deepcopy__, or write it with before_batch_step and after_batch_step"
                    ) from error


def overrides(callback: MinecraftCallback, name: str) -> bool:
    return getattr(type(callback), name) is not getattr(MinecraftCallback, name)


class MinecraftVectorSim(gym.vector.VectorEnv):
    """``num_envs`` environments of one task, stepped together (Gymnasium's VectorEnv).

    ``autoreset_mode``, Gymnasium's:

    - NEXT_STEP, the default: the step after an episode's end resets that environment: its action is ignored, its
      reward is 0 and ``infos["began"]`` is True there; a learner must not train on that step.
    - SAME_STEP: the step that ends an episode returns the next one's first observation; the last one is in
      ``infos["final_obs"]``, a list (NumPy: an object array) with None where ``_final_obs`` is False, and the last
      infos are in ``final_info``. Slower, for a reset draws all environments anew.
    - DISABLED: those that ended must be reset with ``reset(options={"reset_mask": ...})`` before the next step.

    Observations, rewards and flags are torch tensors, or NumPy arrays with ``array="numpy"``. They are fresh at every
    step; with ``copy=False`` the images are the engine's own buffer, overwritten by the next step.

    infos: ``episode`` = {"r": return, "l": length, "t": seconds} of episodes that ended in this step (elsewhere 0),
    ``_episode`` bool [N] marks them (first episodes that ``stagger`` shortened are left out; Gymnasium's
    RecordEpisodeStatistics, which gives the same, needs ``episode_statistics=False``); ``began`` bool [N] marks first
    observations of an episode; ``kill_entity`` = {mob: int32 [N]} counts of the episode; and what callbacks add.

    Callbacks with MineStudio's own hooks (``after_step``, ...) are called for each environment, with a ``sim`` that
    shows that one: slower, because the rest of a step works on all at once.

    With ``device="cuda"`` engine and tensors are on the GPU, actions too if they are not to be copied there, and a step
    does not wait for it, so that a CUDA graph can capture steps (then ``episode["t"]`` stands still). What does wait:
    MineStudio's own hooks, actions of ``action_type="env"``, TaskCallback's infos, ``array="numpy"``, reset, render.
    Values are not checked there: indices beyond the actions make torch stop the process's GPU work with an assertion.
    """

    metadata: ClassVar = MinecraftSim.metadata | {"autoreset_mode": AutoresetMode.NEXT_STEP}

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
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        episode_statistics: bool = True,
        alone: bool = False,
    ):
        if num_envs < 1:
            raise ValueError(f"num_envs={num_envs} must be at least 1")
        if array not in ("torch", "numpy"):
            raise ValueError(f"array={array!r}; {nearest(array, ('torch', 'numpy'))}")
        # Callbacks count, each batch for itself; but a single sim's with MineStudio's hooks stay its own.
        kept = {id(callback): callback for callback in members(sim.callbacks) if alone and own_hooks(callback)}
        self.callbacks = deepcopy(sim.callbacks, kept)
        setup = sim.setup(self.callbacks)
        self.hooks = [Hook(callback, condition, num_envs) for callback, condition in setup.callbacks]
        self.sim = sim
        self.num_envs = num_envs
        self.array = array
        self.copy = copy
        self.stagger = stagger
        self.render_mode = sim.render_mode
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = type(self).metadata | {"autoreset_mode": self.autoreset_mode}
        self.episode_statistics = episode_statistics
        self._window: Window | None = None
        self.command_errors = setup.command_errors  # of what every episode begins with
        self._command_errors = [self.command_errors] * num_envs  # and those of each environment's present one
        self.time_limit = setup.time_limit
        self.obs_size = tuple(obs_size or sim.obs_size)
        self.single_observation_space = image_space(self.obs_size)
        for hook in self.hooks:
            for name, space in hook.callback.observation_spaces(alone=alone).items():
                self.single_observation_space[name] = space
        self.single_action_space = sim.action_space
        if not alone:
            self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, num_envs)
            self.action_space = gym.vector.utils.batch_space(sim.action_space, num_envs)

        width, height = self.obs_size
        rows = setup.program
        summons = int(np.isin(rows[:, 0], (program.SUMMON, program.SUMMON_RANGE)).sum())
        room = max(16, summons + 8)  # for those that come by night, and for the animals of a new world, which take half
        self.engine = VoxelEngine(
            num_envs,
            width,
            height,
            program=rows,
            conditions=setup.conditions or None,
            starts=setup.starts,
            max_mobs=2 * room if setup.animals else room,
            animals=setup.animals,
            empty_frames=setup.num_empty_frames,
            start_time=0,
            biomes=setup.biomes or ("plains",),
            world_size=sim.world_size,
            world_height=sim.world_height,
            device=device,
        )
        self.device = self.engine.device
        # The engine's arrays as tensors, without a copy: callbacks read them by name.
        self.state = self.engine.tensors()
        # Changed in place only: a CUDA graph of a step goes on with the same memory.
        self._image = self._zeros(num_envs, height, width, 3, dtype=torch.uint8)
        self.began = self._zeros(num_envs, dtype=torch.bool)  # this step was a reset
        self.began_next = self._zeros(num_envs, dtype=torch.bool)  # the next step will be one
        self.elapsed = self._zeros(num_envs, dtype=torch.int64)  # steps, counted against the time limit
        self.episode_return = self._zeros(num_envs)
        self.episode_length = self._zeros(num_envs, dtype=torch.int64)
        self._episode_start = self._zeros(num_envs, dtype=torch.float64)
        self._shortened = self._zeros(num_envs, dtype=torch.bool)  # a staggered first episode: no statistics of it
        self._ready = False
        self._resetting = False  # within reset()

        self._conditions, self._limits, self._box = setup.conditions, setup.limits, setup.voxels
        self._holds = self._zeros(len(setup.conditions), num_envs, dtype=torch.bool)
        self._added: dict[str, Any] = {}  # observations of callbacks
        self._voxels: torch.Tensor | None = None  # of this step
        self._boxes: dict[int, dict[str, tuple[int, ...]]] = {}  # asked for by this step's actions
        self._everyone = torch.arange(num_envs, device=self.device)
        self._idle = np.zeros((num_envs, len(actions.BUTTONS)), np.uint8), np.zeros((num_envs, 2), np.float32)
        self._alone = alone
        if alone:
            sim._begin_view(self, 0)
            self.views: dict[int, SimView] = {0: sim}
        else:
            viewed = sorted({i for hook in self.hooks for i in hook.copies})
            self.views = {i: EnvironmentView(self, i) for i in viewed}
        self._new_keys: dict[int, int] = {}  # by environment, for their next resets
        self._seed(sim.seed if seed is None else seed, None)

    def _zeros(self, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.zeros(shape, dtype=dtype, device=self.device)

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

    def seed_one(self, index: int, seed: int) -> None:
        """The seed of one environment from its next reset on; the same as a single sim's."""
        self._new_keys[index] = randomness.environment_key(int(seed), 0)

    def _take_new_keys(self) -> bool:
        """Where ``began``; -> whether there were any."""
        taken = {i: self._new_keys.pop(i) for i in list(self._new_keys) if self.began[i]}
        for i, key in taken.items():
            self.engine.set_keys(np.full(self.num_envs, key, np.int64), np.arange(self.num_envs) == i)
        return bool(taken)

    # GYMNASIUM'S INTERFACE

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
            super().reset(seed=int(seed) if isinstance(seed, int | np.integer) else None)
        self.began.copy_(torch.from_numpy(mask))
        self.began_next.masked_fill_(self.began, False)
        modes = np.where(mask, self._before_reset(), HOLD)
        others = ~self.began
        images = self._image[others]  # as callbacks left them
        self.engine.step(*self._idle, modes, self.engine.native(self._image))
        self._image[others] = images
        self._begin_episodes()
        zeros, no = self._zeros(self.num_envs), self._zeros(self.num_envs, dtype=torch.bool)
        self._boxes, self._resetting = {}, True
        added = self._after_step(zeros, no, no.clone())
        self._resetting = False
        if self.stagger and not self._ready and self.time_limit is not None:
            # Episodes that all begin together would also end together, and batches would not be stationary.
            self.elapsed.copy_(torch.arange(self.num_envs) * self.time_limit // self.num_envs)
            self._shortened.copy_(self.elapsed > 0)
        self._ready = True
        self._show()
        return self._wrap(self._observations()), self._wrap(self._infos(no) | added)

    def step(self, actions_: Mapping[str, Any]):
        """One tick of every environment -> (observations, rewards, terminations, truncations, infos)."""
        if self.closed:
            raise gym.error.ClosedEnvironmentError("step after close: make a new environment")
        if not self._ready:
            raise gym.error.ResetNeeded("step before the first reset: call reset() first")
        if self.autoreset_mode is AutoresetMode.DISABLED and self.began_next.any():
            raise gym.error.ResetNeeded(
                f"environments {self.began_next.nonzero().flatten().tolist()} have ended, and with autoreset_mode "
                "DISABLED must be reset first: reset(options={'reset_mask': terminations | truncations})"
            )
        pressed, degrees, extras = self._decode(actions_)
        self.began.copy_(self.began_next)
        for hook in self.hooks:
            self._before_step(hook, pressed, degrees, extras)
        modes = self._before_reset() if self._hooked() else self.engine.native(self.began)
        self._boxes = {}
        for i, extra in extras.items():
            if not self.began[i]:
                if "chat" in extra:
                    views.run_command(self, i, extra["chat"])
                self._boxes[i] = extra
        native = self.engine.native
        self.engine.step(native(pressed), native(degrees), modes, native(self._image))
        self._begin_episodes()
        playing = ~self.began
        self.elapsed += playing
        self.episode_length += playing

        rewards = self._zeros(self.num_envs)
        terminations = self._zeros(self.num_envs, dtype=torch.bool)
        truncations = self._zeros(self.num_envs, dtype=torch.bool)
        if self.time_limit is not None:
            truncations |= self.elapsed >= self.time_limit
        for steps, condition in self._limits:
            truncations |= (self.elapsed >= steps) & self._holds[condition - 1]
        added = self._after_step(rewards, terminations, truncations)
        rewards.masked_fill_(self.began, 0.0)
        terminations &= playing
        truncations &= playing
        self.episode_return += rewards
        self.began_next.copy_(terminations | truncations)
        infos = self._infos(self.began_next & ~self._shortened) | added
        observations = self._observations()
        if self.autoreset_mode is AutoresetMode.SAME_STEP and self.began_next.any():
            observations, infos = self._reset_ended(observations, infos)
        else:
            self._show()
        return tuple(map(self._wrap, (observations, rewards, terminations, truncations, infos)))

    def _reset_ended(self, observations: dict[str, Any], infos: dict[str, Any]) -> tuple[dict, dict]:
        """SAME_STEP: begin the next episodes where one has ended -> (observations, infos) with the final ones."""
        ended = self.began_next.clone()
        final = [self._wrap(_entry(observations, i)) if end else None for i, end in enumerate(ended.tolist())]
        statistics = {name: infos[name] for name in ("episode", "_episode") if name in infos}
        final = {"final_obs": final, "_final_obs": ended, "final_info": infos, "_final_info": ended.clone()}
        observations, infos = self.reset(options={"reset_mask": ended.cpu().numpy()})
        return observations, infos | statistics | final

    def frame(self, index: int, size: tuple[int, int]) -> np.ndarray:
        """Environment ``index`` as it looks now, drawn at ``size`` = (width, height): uint8 [height, width, 3]."""
        return self.engine.frame(index, *size)

    def render(self) -> tuple[np.ndarray, ...] | None:
        """The last images, one uint8 [height, width, 3] for each environment (render_mode "rgb_array")."""
        return self._pictures() if self.render_mode == "rgb_array" else None

    def _pictures(self) -> tuple[np.ndarray, ...]:
        return tuple(self.rendered(i, image) for i, image in enumerate(self._image.cpu().numpy().copy()))

    def _show(self) -> None:
        """render_mode "human": a single environment as a person would see it, or what each of a batch observes."""
        if self.render_mode != "human":
            return
        if self._window is None:
            self._window = Window("Minecraft", self.metadata["render_fps"])
        size = self.sim.render_size or (640, 360)
        self._window.show(self.rendered(0, self.frame(0, size)) if self._alone else grid(self._pictures()))

    def close_extras(self, **kwargs: Any) -> None:
        """Call the callbacks' hooks for the end, close the window, and free the engine."""
        if self._window is not None:
            self._window.close()
        for name in ("before_close", "after_close"):
            for hook in self.hooks:
                for i, callback in hook.copies.items() if name in hook.names else ():
                    getattr(callback, name)(self.views[i])
        self.engine = self.state = None

    @property
    def capturable(self) -> bool:
        """Whether a CUDA graph can capture ``step``: on a GPU, where nothing waits for it, with ``copy=False``."""
        waits = self.views or self.array != "torch" or any(hook.callback.waits for hook in self.hooks)
        return self.device.type == "cuda" and self.sim.action_type == "agent" and not (waits or self.copy)

    # CALLBACKS

    def _hooked(self) -> bool:
        """Does anything on the host have to know which environments reset now? (Looking would wait for a GPU.)"""
        if self.device.type == "cpu" and not self.began.any():
            return False
        if self.views or self._command_errors.count(self.command_errors) < self.num_envs:
            return bool(self.began.any())
        if self._conditions:
            self._draw_episodes()
        return False

    def active(self, hook: Hook) -> torch.Tensor | None:
        """Where a callback holds in the present episodes, bool [N]; None = everywhere."""
        return self._holds[hook.condition - 1] if hook.condition else None

    def _before_step(self, hook: Hook, pressed: torch.Tensor, degrees: torch.Tensor, extras: dict) -> None:
        active = self.active(hook)
        if hook.before_batch:
            if active is None:
                hook.callback.before_batch_step(self, pressed, degrees)
            else:
                own = pressed.clone(), degrees.clone()
                hook.callback.before_batch_step(self, *own)
                for tensor, changed in zip((pressed, degrees), own, strict=True):
                    tensor.copy_(torch.where(active[:, None], changed, tensor))
            if degrees.is_cuda:  # looking would wait
                degrees.nan_to_num_(0.0).clamp_(-views.MAX_DEGREES, views.MAX_DEGREES)
            elif not (degrees.abs() <= views.MAX_DEGREES).all():
                raise ValueError(
                    f"{type(hook.callback).__name__}.before_batch_step left degrees that are not: {degrees}"
                )
        if "before_step" not in hook.names:
            return
        for i, callback in hook.copies.items():
            if self.began[i] or (active is not None and not active[i]):
                continue
            action = views.env_action(pressed[i].cpu().numpy(), degrees[i].cpu().numpy()) | extras.get(i, {})
            action = callback.before_step(self.views[i], action)
            if not isinstance(action, Mapping):
                raise TypeError(f"{type(callback).__name__}.before_step returned {action!r}, expected the action")
            keys, camera, extra = views.read_env_action(action)
            pressed[i], degrees[i] = torch.from_numpy(keys), torch.from_numpy(camera)
            extras[i] = extra

    def _before_reset(self) -> np.ndarray:
        """What the step does to each environment, where ``began`` says that an episode begins; uint8 [N]."""
        began = self.began.cpu().numpy()
        self._take_new_keys()
        self._draw_episodes()
        if self._command_errors.count(self.command_errors) < self.num_envs:
            self._command_errors = [
                self.command_errors if new else errors for new, errors in zip(began, self._command_errors, strict=True)
            ]
        renewed = np.ones(self.num_envs, bool)
        for hook in self.hooks:
            active = None if hook.condition == 0 else self.active(hook).cpu().numpy()
            if hook.callback.renews_world:
                renewed |= True if active is None else active
            for i, callback in hook.copies.items() if "before_reset" in hook.names else ():
                if began[i] and (active is None or active[i]):
                    renewed[i] = bool(callback.before_reset(self.views[i], bool(renewed[i])))
        if self._take_new_keys():  # a callback's
            self._draw_episodes()
        for i, view in self.views.items():
            if began[i]:
                renewed[i] |= not view.already_reset
                view.already_reset = True
        return np.where(began, np.where(renewed, RESET, GO_ON), TICK).astype(np.uint8)

    def _draw_episodes(self) -> None:
        """What is drawn once in an episode, where ``began``: which conditions hold, and the views' generators."""
        key, episode = self.state["key"], self.state["episode"] + 1
        for c, (parent, *condition, stream) in enumerate(self._conditions):
            holds = draws.is_drawn(key, episode, stream, *condition)
            if parent:
                holds &= self._holds[parent - 1]
            self._holds[c] = torch.where(self.began, holds, self._holds[c])
        for i, view in self.views.items():
            if self.began[i]:
                view._seed_episode(int(key[i]), int(episode[i]))

    def _after_step(self, rewards: torch.Tensor, terminations: torch.Tensor, truncations: torch.Tensor) -> dict:
        """Let the callbacks see the step and change its results -> what they add to infos."""
        self._voxels, self._added, infos = None, {}, {}
        for view in self.views.values():
            if not self._resetting or self.began[view.index]:  # else it stood still, and shows what it showed
                view.obs, view.info = {}, {}
            self.look(view)
            if self._box is not None:
                view.info["voxels"] = self._voxel_list(view.index, self._box)
        known = {view.index: set(view.info) for view in self.views.values()}
        for view in self.views.values():
            for name, box in self._boxes.get(view.index, {}).items():
                if name == "voxels":
                    view.info["voxels"] = views.voxels_around(self, view.index, box)
                elif name == "mobs":
                    view.info["mobs"] = views.mobs_around(self, view.index, box)
        if self._box is not None:
            infos["voxels"] = self.voxels()
        results = rewards, terminations, truncations
        for hook in self.hooks:
            active = self.active(hook)
            if hook.after_batch:
                own = results if active is None else tuple(x.clone() for x in results)
                hook.callback.after_batch_step(self, *own)
                if active is not None:
                    for tensor, changed in zip(results, own, strict=True):
                        tensor.copy_(torch.where(active, changed, tensor))
            observations = hook.callback.observations(self)
            if observations:
                self._added |= _where(active, observations, self._added)
                for i, view in self.views.items():
                    on = active is None or bool(active[i])
                    own = hook.callback.observation(self, i, on)
                    view.obs = view.obs | own if on else own | view.obs
            added = hook.callback.infos(self)
            if added:
                infos |= _where(active, added, infos)
                for i, view in self.views.items():
                    known[i] |= set(added)
                    if active is None or active[i]:
                        view.info |= hook.callback.info(self, i)
            self._call_after(hook, active, *results)
        if not self._alone:
            self._gather(infos, known)
        return infos

    def _call_after(self, hook: Hook, active: torch.Tensor | None, rewards, terminations, truncations) -> None:
        """MineStudio's after_reset and after_step of one callback, for each of its environments."""
        for i, callback in hook.copies.items():
            view, began = self.views[i], bool(self.began[i])
            name = "after_reset" if began else "after_step"
            if name not in hook.names or (active is not None and not active[i]):
                continue
            if began:
                returned = callback.after_reset(view, view.obs, view.info)
            elif self._resetting:  # of others: this one stood still
                continue
            else:
                flags = float(rewards[i]), bool(terminations[i]), bool(truncations[i])
                returned = callback.after_step(view, view.obs, *flags, view.info)
            if not isinstance(returned, tuple) or len(returned) != (2 if began else 5):
                wanted = "(obs, info)" if began else "(obs, reward, terminated, truncated, info)"
                raise TypeError(f"{type(callback).__name__}.{name} returned {returned!r}, expected {wanted}")
            if began:
                view.obs, view.info = returned
            else:
                view.obs, reward, terminated, truncated, view.info = returned
                rewards[i], terminations[i], truncations[i] = float(reward), bool(terminated), bool(truncated)

    def _gather(self, infos: dict[str, Any], known: dict[int, set[str]]) -> None:
        """What MineStudio's hooks left in their environments' observations and infos, into the batch's."""
        size = self._image.shape[1:]
        for i, view in self.views.items():
            image = np.asarray(view.obs["image"])
            if image.shape != tuple(size) or image.dtype != np.uint8:
                raise ValueError(
                    f"a callback left obs['image'] as {image.dtype} {image.shape}, not uint8 {tuple(size)}"
                )
            self._image[i] = torch.from_numpy(np.ascontiguousarray(image))
        for where, target, names in (
            ("obs", self._added, {n for v in self.views.values() for n in v.obs if n not in ("image", *self._added)}),
            ("info", infos, {n for i, v in self.views.items() for n in v.info if n not in known[i] and n != "pov"}),
        ):
            for name in sorted(names):
                values = [
                    getattr(self.views[i], where, {}).get(name) if i in self.views else None
                    for i in range(self.num_envs)
                ]
                if where == "info":
                    target[f"_{name}"] = torch.tensor([value is not None for value in values])
                target[name] = _stack(values)

    def rendered(self, index: int, image: np.ndarray) -> np.ndarray:
        """An image of environment ``index`` after the callbacks' before_render and after_render."""
        for name in ("before_render", "after_render"):
            for hook in self.hooks:
                active = self.active(hook)
                if name in hook.names and index in hook.copies and (active is None or active[index]):
                    image = getattr(hook.copies[index], name)(self.views[index], image)
        return image

    # ONE ENVIRONMENT, for hooks written for one

    def look(self, view: SimView) -> tuple[dict[str, Any], dict[str, Any]]:
        """See one environment anew: its ``obs`` and ``info``; what callbacks added stays."""
        i = view.index
        view.obs = {"image": self._image[i].cpu().numpy().copy()} | {k: v for k, v in view.obs.items() if k != "image"}
        info = views.describe(self, i)
        info["command_errors"] = list(self._command_errors[i])
        info |= {key: value for key, value in view.info.items() if key not in (*info, "pov")}
        size = self.sim.render_size
        if not self._alone:
            info = views.BatchInfo(info, size and (lambda: self.frame(i, size)))
        elif size is not None:
            info["pov"] = self.frame(i, size)
        view.info = info
        return view.obs, view.info

    def tick_one(self, view: SimView, action: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """One tick of one environment while the others stand still -> its obs and info."""
        keys, camera, extra = views.read_env_action(action)
        if "chat" in extra:
            views.run_command(self, view.index, extra["chat"])
        modes = np.full(self.num_envs, HOLD, np.uint8)
        modes[view.index] = TICK
        self.engine.tick(np.tile(keys, (self.num_envs, 1)), np.tile(camera, (self.num_envs, 1)), modes)
        self._image[view.index] = torch.from_numpy(self.engine.frame(view.index, *self.obs_size))
        self._voxels = None
        return self.look(view)

    def add_command_error(self, i: int, error: str) -> None:
        errors = list(self._command_errors)  # what infos hold stays as it is
        errors[i] = [*errors[i], error]
        self._command_errors = errors

    # VOXELS

    def voxels_in(self, box: tuple[int, ...]) -> torch.Tensor:
        """uint8 [N, X, Y, Z]: block ids of a box (x0, x1, y0, y1, z0, z1, ends included) around the player's feet."""
        x0, x1, y0, y1, z0, z1 = box
        voxels, feet = self.state["voxels"], self.state["position"].floor().long()
        size, height = voxels.shape[1], voxels.shape[3]
        xs = (feet[:, :1] + torch.arange(x0, x1 + 1, device=self.device)) & (size - 1)
        ys = feet[:, 1:2] + torch.arange(y0, y1 + 1, device=self.device)
        zs = (feet[:, 2:] + torch.arange(z0, z1 + 1, device=self.device)) & (size - 1)
        inside = ((ys >= 0) & (ys < height))[:, None, :, None]
        ids = voxels[
            self._everyone[:, None, None, None],
            xs[:, :, None, None],
            zs[:, None, None, :],
            ys.clamp(0, height - 1)[:, None, :, None],
        ]
        return torch.where(inside, ids, 0)

    def voxels(self) -> torch.Tensor:
        """``voxels_in`` the VoxelsCallback's box, once a step."""
        if self._voxels is None:
            self._voxels = self.voxels_in(self._box)
        return self._voxels

    def _voxel_list(self, i: int, box: tuple[int, ...]) -> list[dict[str, Any]]:
        return views.list_voxels(self.voxels()[i].tolist(), box)

    # RESUME

    def state_dict(self) -> dict[str, Any]:
        """All that changes, as copies in tensors and plain values: a batch made alike and given it goes on the same."""
        state = {name: getattr(self, name).cpu().clone() for name in self._COUNTERS}
        engine = self.engine.snapshot()
        return state | {
            "engine": {
                name: _pack(array) if name in self._PACKED else torch.from_numpy(array)
                for name, array in engine.items()
            },
            "callbacks": [hook.callback.state_dict() for hook in self.hooks],
            "copies": [{i: copy.state_dict() for i, copy in hook.copies.items()} for hook in self.hooks],
            "command_errors": list(self._command_errors),
            "already_reset": [view.already_reset for view in self.views.values()],
            "rng": [view.np_random.bit_generator.state for view in self.views.values()],
            "ready": self._ready,
            "seconds": time.time() - self._episode_start.cpu(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what state_dict gave. Raises ValueError if that was another task's, or of another version."""
        if len(state["callbacks"]) != len(self.hooks):
            raise ValueError(f"{len(state['callbacks'])} callbacks were saved, this task has {len(self.hooks)}")
        for name in self._COUNTERS:
            if name not in state:
                raise ValueError(f"the checkpoint lacks {name!r}: it was written by another version")
            if state[name].shape != getattr(self, name).shape:
                raise ValueError(
                    f"{name} was saved as {list(state[name].shape)}, not {list(getattr(self, name).shape)}"
                )
        own = self.engine.layout()
        self.engine.restore(
            {
                name: _unpack(tensor, name, own[name]) if name in self._PACKED else tensor.numpy()
                for name, tensor in state["engine"].items()
            }
        )
        for name in self._COUNTERS:
            getattr(self, name).copy_(state[name])
        for hook, saved, copies in zip(self.hooks, state["callbacks"], state["copies"], strict=True):
            hook.callback.load_state_dict(saved)
            for i, copy in hook.copies.items():
                copy.load_state_dict(copies[i])
        for view, again, rng in zip(self.views.values(), state["already_reset"], state["rng"], strict=True):
            view.already_reset = again
            view.np_random.bit_generator.state = rng
        self._episode_start.copy_(time.time() - state["seconds"])
        self._ready = state["ready"]
        self._command_errors = [
            self.command_errors if errors == self.command_errors else errors for errors in state["command_errors"]
        ]
        for view in self.views.values() if self._ready else ():
            view.obs, view.info = {}, {}  # what callbacks added to them comes with the next step
            self.look(view)

    _COUNTERS: ClassVar = (
        *("_image", "began", "began_next", "elapsed", "episode_return", "episode_length", "_shortened", "_holds"),
    )
    _PACKED: ClassVar = (  # large, and much alike
        *("voxels", "light", "cutouts", "height", "biome", "mine_block", "pickup", "use_item", "break_item"),
    )

    def _begin_episodes(self) -> None:
        self.elapsed.masked_fill_(self.began, 0)
        self.episode_length.masked_fill_(self.began, 0)
        self.episode_return.masked_fill_(self.began, 0.0)
        self._episode_start.masked_fill_(self.began, time.time())
        self._shortened.masked_fill_(self.began, False)

    def _decode(self, action: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor, dict[int, dict[str, Any]]]:
        """Actions -> (pressed uint8 [N, 20], degrees float32 [N, 2], chat and boxes by environment), checked."""
        if not isinstance(action, Mapping):
            raise TypeError(f"action: expected a dict with keys {list(self.single_action_space)}, got {type(action)}")
        n = self.num_envs
        if self.sim.action_type == "agent":
            for key in ("buttons", "camera"):
                if key not in action:
                    raise ValueError(f"action: no {key!r} in {sorted(action)}")
            for key in action:
                if key not in ("buttons", "camera"):
                    raise ValueError(f"action: unknown key {key!r}; {nearest(key, ('buttons', 'camera'))}")
            buttons, camera = (torch.as_tensor(action[key]).to(self.device) for key in ("buttons", "camera"))
            for key, value in (("buttons", buttons), ("camera", camera)):
                if value.shape not in ((n,), (n, 1), (n, 1, 1)):
                    raise ValueError(f"action[{key!r}]: shape {tuple(value.shape)}, expected ({n},) or ({n}, 1)")
            pressed, degrees = actions.joint_to_env(buttons.flatten(), camera.flatten())
            return pressed, degrees.float(), {}
        pressed = torch.zeros(n, len(actions.BUTTONS), dtype=torch.uint8)
        degrees = torch.zeros(n, 2)
        extras: dict[int, dict[str, Any]] = {}
        for key, value in action.items():
            if key in EXTRA_ACTIONS:
                if len(value) != n:
                    raise ValueError(f"action[{key!r}]: {len(value)} values for {n} environments")
                for i, entry in enumerate(value):
                    if extra := views.read_extra(key, entry):
                        if key != "chat" and not self._alone:
                            raise ValueError(f"action[{key!r}]: only a single environment and callbacks can ask for it")
                        extras.setdefault(i, {}).update(extra)
                continue
            value = value.cpu() if torch.is_tensor(value) else value
            if np.asarray(value).dtype.kind not in "biuf":
                raise TypeError(f"action[{key!r}]: expected numbers, got {value!r}")
            value = torch.as_tensor(np.asarray(value))
            if key == "camera":
                if value.shape != degrees.shape or not (value.abs() <= views.MAX_DEGREES).all():
                    raise ValueError(f"action['camera']: expected degrees [{n}, 2], at most 1e6, got {value}")
                degrees.copy_(value)
            elif key in actions.BUTTONS:
                if value.numel() != n or ((value != 0) & (value != 1)).any():
                    raise ValueError(f"action[{key!r}]: expected {n} values 0 or 1, got {value}")
                pressed[:, actions.BUTTONS.index(key)] = value.flatten().to(torch.uint8)
            else:
                names = (*actions.BUTTONS, "camera", *EXTRA_ACTIONS)
                raise ValueError(f"action: unknown key {key!r}; {nearest(key, names)}")
        return pressed.to(self.device), degrees.to(self.device), extras

    def _observations(self) -> dict[str, torch.Tensor]:
        return {"image": self._image.clone() if self.copy else self._image, **self._added}

    def _infos(self, ended: torch.Tensor) -> dict[str, Any]:
        infos: dict[str, Any] = {}
        if self.episode_statistics:
            seconds = (time.time() - self._episode_start).float()
            infos["episode"] = {
                "r": torch.where(ended, self.episode_return, 0.0),
                "l": torch.where(ended, self.episode_length, 0),
                "t": torch.where(ended, seconds, 0.0),
            }
            infos["_episode"] = ended.clone()
        return infos | {
            "began": self.began.clone(),
            "command_errors": self._command_errors,
            "kill_entity": {
                name: self.state["kill_entity"][:, kind].clone() for kind, name in enumerate(MOBS) if name != "none"
            },
        }

    def _wrap(self, value: Any) -> Any:
        if self.array == "torch":
            return value
        if isinstance(value, dict):
            return {key: self._wrap(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return np.fromiter(value, object, len(value))
        return value.cpu().numpy() if torch.is_tensor(value) else value


def _where(active: torch.Tensor | None, value: Any, before: Any) -> Any:
    """``value`` where ``active``, bool [N] or None = everywhere; else what was there ``before``, or zeros, or None."""
    if active is None:
        return value
    if isinstance(value, dict):
        return {key: _where(active, entry, (before or {}).get(key)) for key, entry in value.items()}
    if isinstance(value, list):
        before = before or [None] * len(value)
        return [new if on else old for on, new, old in zip(active.tolist(), value, before, strict=True)]
    if before is None:
        before = torch.zeros_like(value)
    return torch.where(active.reshape(-1, *[1] * (value.dim() - 1)), value, before)


def _stack(values: list[Any]) -> Any:
    """Values of all environments as one tensor if they are numbers or arrays of one shape, else as the list."""
    try:
        arrays = [np.asarray(value) for value in values]
        if len({(array.shape, array.dtype) for array in arrays}) == 1 and arrays[0].dtype.kind in "biuf":
            return torch.from_numpy(np.stack(arrays))
    except ValueError:  # of unequal parts
        pass
    return values


def _entry(value: Any, i: int) -> Any:
    """A copy of what a batch's value holds for environment ``i``."""
    if isinstance(value, dict):
        return {key: _entry(entry, i) for key, entry in value.items()}
    return value[i].clone() if torch.is_tensor(value) else deepcopy(value[i])


def _pack(array: np.ndarray) -> torch.Tensor:
    return torch.frombuffer(bytearray(zlib.compress(array, 1)), dtype=torch.uint8)


def _unpack(packed: torch.Tensor, name: str, like: np.ndarray) -> np.ndarray:
    data = np.frombuffer(zlib.decompress(packed.numpy().tobytes()), like.dtype)
    if data.size != like.size:
        raise ValueError(f"snapshot[{name!r}] holds {data.size} values, this engine needs {list(like.shape)}")
    return data.reshape(like.shape)


MinecraftSim.vector_class = MinecraftVectorSim
