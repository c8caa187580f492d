"""Real Minecraft: the same env generators on the unmodified minestudio, each environment a process of its own.

``make_vec(env_generator, num_envs, engine="minecraft")`` gives a MinecraftVectorEnv. minestudio and its old pins live
in another interpreter, which ``scripts/install_minestudio.sh`` makes and ``minestudio_python`` (or the environment
variable MINESTUDIO_PYTHON) names; what runs there is ``minecraft_worker.py``.

    trainer ── actions, results (JSON packets) ── worker: minestudio ── its protocol ── Xvfb, Java: Minecraft
       └──────── pictures (shared memory) ───────────┘

Minecraft is a fragile engine. Whatever fails or takes longer than its limit (a start, a reset, a step) is killed with
all that it started, and started again; what that environment had begun is lost and said to be, never made up. A guard
process does the same when the trainer ends in whatever way, so that nothing is left over.

What differs from the voxel engine, beyond the game itself: statistics, and with them rewards, come one or two ticks
after the event, and what the last tick of an episode earned is not seen any more; with FastResetCallback the world
goes on between episodes, only the place changes; the same seed begins in the same world with the same draws of
minestudio's callbacks, but the game is not deterministic.
"""

import contextlib
import importlib
import inspect
import json
import logging
import mmap
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from PIL import Image

from minestudio_envs import actions, minecraft_worker
from minestudio_envs.callbacks import biome_category
from minestudio_envs.simulator import ENV_BUTTONS, MinecraftSim, MinecraftVectorSim, image_space
from minestudio_envs.voxel.errors import nearest
from minestudio_envs.voxel.randomness import environment_key
from minestudio_envs.voxel.state import MOBS

logger = logging.getLogger("minestudio_envs")

WORKER = minecraft_worker.__file__
JAR = Path("engine/build/libs/mcprec-6.13.jar")  # in MINESTUDIO_DIR
CLOSE_LIMIT = 10.0  # seconds for callbacks' last words, for processes to die, for the guard
LONGEST_BACKOFF = 60.0  # seconds
HEALTHY_STEPS = 1000  # after so many, or at an episode's end, earlier failures are forgotten
LOG_LINES = 20  # of the engine's log in an error


class MinecraftError(RuntimeError):
    """Real Minecraft cannot be started, or fails again and again."""


class MinecraftTask:
    """A task in minestudio's terms, gathered from a MinecraftSim's arguments and, in order, its callbacks."""

    def __init__(self, sim: MinecraftSim):
        if sim.vector_class is not MinecraftVectorSim:
            raise TypeError(f"{type(sim).__name__} is not made for engine='minecraft'; return a plain MinecraftSim")
        if sim.render_mode == "human":
            raise ValueError("render_mode='human': engine='minecraft' has no window; use 'rgb_array'")
        self.callbacks: list[tuple[str, dict[str, Any]]] = []
        self.rewards: list[list[dict[str, Any]]] = []
        self.time_limit: int | None = sim.timestep_limit
        if sim.inventory:  # theirs would hold for new worlds only
            entries = [(int(slot), entry["type"], int(entry["quantity"])) for slot, entry in sim.inventory.items()]
            self.add("CommandsCallback", commands=[replace_item(*entry) for entry in entries])
        for callback in sim.callbacks:
            callback.translate(self)
        names = {name for name, _ in self.callbacks}
        if "GateRewardsCallback" in names and "VoxelsCallback" not in names:
            raise ValueError("GateRewardsCallback needs a VoxelsCallback, which says how far it looks")
        if "VoxelsCallback" in names and "GateRewardsCallback" not in names:
            raise TypeError(
                "VoxelsCallback cannot run with engine='minecraft' but for a GateRewardsCallback: infos there have no "
                "'voxels'; leave it out, or use minestudio's own MinecraftSim"
            )
        biome = sim.preferred_spawn_biome
        self.arguments = {
            "action_type": sim.action_type,
            "obs_size": sim.obs_size,
            "render_size": sim.render_size or (640, 360),  # the window's size: what VPT saw, shrunk to obs_size
            "preferred_spawn_biome": biome and biome_category(biome),
            "num_empty_frames": max(1, sim.num_empty_frames),  # theirs fails with 0
        }

    def add(self, name: str, **arguments: Any) -> None:
        """A callback of minestudio.simulator.callbacks; the arguments must be what JSON knows."""
        self.callbacks.append((name, arguments))

    def limit_steps(self, steps: int) -> None:
        """Truncate episodes after ``steps``; of several limits the shortest holds."""
        self.time_limit = steps if self.time_limit is None else min(self.time_limit, steps)


def replace_item(slot: int, item: str, quantity: int) -> str:
    """The command that puts ``item`` into a slot: 0-8 hotbar, 9-35 inventory, 36-39 feet to head, 40 offhand."""
    worn = {36: "armor.feet", 37: "armor.legs", 38: "armor.chest", 39: "armor.head", 40: "weapon.offhand"}
    where = worn.get(slot) or (f"hotbar.{slot}" if slot < 9 else f"inventory.{slot - 9}")
    return f"/replaceitem entity @p {where} minecraft:{item.removeprefix('minecraft:')} {quantity}"


def own_films(callbacks: list[tuple[str, dict]], index: int, starts: int) -> list[tuple[str, dict]]:
    """The callbacks of environment ``index``: only those that RecordCallback names film, each in a folder of its own.

    ``starts``: how often its engine was started before; a new one would count its films from 1 again.
    """
    chosen = []
    for name, arguments in callbacks:
        if name == "RecordCallback":
            path, environments = Path(arguments["record_path"]), arguments["environments"]
            if index not in environments:
                continue
            path = path / f"environment_{index}" if index else path
            path = path / f"restart_{starts}" if starts else path
            arguments = {key: value for key, value in arguments.items() if key != "environments"}
            arguments["record_path"] = str(path)
        chosen.append((name, arguments))
    return chosen


def is_minestudio(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] == "minestudio"


def describe_generator(env_generator: Callable[[], Any] | str) -> MinecraftSim | dict[str, str]:
    """What the generator gives: our description, or for one of a real MinecraftSim how the worker imports it."""
    try:
        if isinstance(env_generator, str):
            module, _, name = env_generator.partition(":")
            if not name:
                raise ValueError(f"env_generator={env_generator!r}: expected 'package.module:function'")
            source = {"path": os.getcwd(), "module": module, "name": name}
            generator = importlib.import_module(module)
            for part in name.split("."):
                generator = getattr(generator, part)
        else:
            source, generator = None, env_generator
        sim = generator()
    except ImportError as error:
        if not is_minestudio(error.name):
            raise
        return source or import_path(env_generator)
    if isinstance(sim, MinecraftSim):
        return sim
    if is_minestudio(type(sim).__module__):
        return source or import_path(env_generator)
    raise TypeError(f"env_generator returned {type(sim)}, expected a MinecraftSim of minestudio_envs or minestudio")


def import_path(function: Callable) -> dict[str, str]:
    """How another interpreter imports ``function``: {path to search, module, name}."""
    name = getattr(function, "__qualname__", repr(function))
    try:
        file = Path(inspect.getfile(function)).resolve()
    except (TypeError, OSError):
        file = None
    if file is None or not file.is_file() or "<" in name:
        raise TypeError(
            f"env_generator {name} returns minestudio's own MinecraftSim, so its function is imported where minestudio "
            "is: it must be a top-level function in a file, or a string 'package.module:function'"
        )
    parts, folder = [file.stem], file.parent
    while (folder / "__init__.py").exists():
        parts, folder = [folder.name, *parts], folder.parent
    return {"path": str(folder), "module": ".".join(parts), "name": name}


def find_minestudio_python(path: str | os.PathLike | None) -> str:
    """The interpreter that holds minestudio. Raises MinecraftError if none is named or what is named is not one."""
    named = path or os.environ.get("MINESTUDIO_PYTHON")
    how = "scripts/install_minestudio.sh FOLDER makes an environment with minestudio; its FOLDER/bin/python is the one"
    if not named:
        raise MinecraftError(
            "engine='minecraft' runs minestudio in an interpreter of its own: name it with minestudio_python=... or "
            f"with the environment variable MINESTUDIO_PYTHON. {how}"
        )
    if not os.access(named, os.X_OK) or os.path.isdir(named):
        raise MinecraftError(f"minestudio_python: {named} is not a program that can be run. {how}")
    return os.path.abspath(named)  # not resolved: a virtual environment's python is a link


def find_engine() -> Path:
    """MINESTUDIO_DIR with the game in it. Raises MinecraftError if it is not there."""
    root = Path(os.environ.get("MINESTUDIO_DIR") or os.path.join(tempfile.gettempdir(), "MineStudio")).resolve()
    if not (root / JAR).exists():
        raise MinecraftError(
            f"Minecraft's engine is not at {root / JAR}: set MINESTUDIO_DIR to where it is, or let "
            "scripts/install_minestudio.sh fetch it"
        )
    return root


def end_all(root: str, guard: subprocess.Popen, owner: int) -> None:
    """Kill every process in ``root``, remove it, and dismiss the guard."""
    if os.getpid() != owner:  # a fork: they are its parent's
        return
    if left := minecraft_worker.kill_all(root, CLOSE_LIMIT):
        logger.error(f"Minecraft: processes {left} could not be killed within {CLOSE_LIMIT:.0f} s")
    shutil.rmtree(root, ignore_errors=True)
    guard.stdin.close()  # it looks again, and ends
    with selectors.DefaultSelector() as selector:
        selector.register(guard.stdout, selectors.EVENT_READ)
        selector.select(CLOSE_LIMIT)
    guard.stdout.close()


class Engine:
    """One environment's process as seen from here: what it was asked, until when, what it answered."""

    def __init__(self, index: int, folder: str, seed: int):
        self.index, self.folder, self.seed = index, folder, seed
        self.process: subprocess.Popen | None = None
        self.link: socket.socket | None = None
        self.asked: str | None = None  # what it has to answer yet
        self.deadline = 0.0  # when that takes too long
        self.start_at: float | None = None  # when to start it; None: it runs, or nobody asked for it
        self.started_at = 0.0
        self.starts = 0
        self.failures = 0  # in a row
        self.lost = False  # it failed since its last result was handed out
        self.outstanding = False  # the caller waits for a result
        self.result: dict[str, Any] | None = None  # not handed out yet

    def start(self, python: str, engine_root: Path, task: dict[str, Any], what: str, frames: int) -> None:
        """Start the worker, which sees ``engine_root`` through a folder of its own: all else there is its alone."""
        shutil.rmtree(self.folder, ignore_errors=True)
        root, temporary = Path(self.folder, "minestudio"), Path(self.folder, "tmp")
        for folder in (root, temporary):
            folder.mkdir(parents=True)
        for entry in engine_root.iterdir():
            if entry.name != "tmp" and not entry.name.endswith("_tmp"):  # running engines, and the register of them
                (root / entry.name).symlink_to(entry)
        if "callbacks" in task:
            task = task | {"callbacks": own_films(task["callbacks"], self.index, self.starts)}
        Path(self.folder, "task.json").write_text(json.dumps(task, default=lambda array: np.asarray(array).tolist()))
        environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "PYTHONPATH")}
        environment |= {
            minecraft_worker.TAG: self.folder,
            "MINESTUDIO_DIR": str(root),
            "MALMO_MINECRAFT_OUTPUT_LOGDIR": self.folder,
            "TMPDIR": str(temporary),
            "OMP_NUM_THREADS": "1",
        }
        self.link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        inherited = (theirs.fileno(), frames) if frames else (theirs.fileno(),)
        with theirs, open(f"{self.folder}.out", "wb") as output:
            self.process = subprocess.Popen(
                [python, "-u", WORKER, what, self.folder, str(theirs.fileno()), str(frames)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=inherited,
                env=environment,
                start_new_session=True,  # Ctrl-C is ours to handle
            )
        self.starts += 1
        self.start_at, self.started_at = None, time.monotonic()

    def stop(self) -> None:
        """Kill the process and all that it started."""
        if self.process is not None:
            self.process.kill()
            minecraft_worker.kill_all(self.folder, CLOSE_LIMIT)
            with contextlib.suppress(subprocess.TimeoutExpired):  # killed: it is the kernel's to finish
                self.process.wait(CLOSE_LIMIT)
            self.link.close()
        self.process = self.link = self.asked = self.result = None

    def last_words(self) -> str:
        """The last lines of what the engine and minestudio printed."""
        lines = []
        for path in (Path(f"{self.folder}.log"), Path(f"{self.folder}.out")):
            with contextlib.suppress(FileNotFoundError):
                with path.open("rb") as file:
                    file.seek(max(0, path.stat().st_size - (1 << 14)))
                    lines += file.read().decode(errors="replace").splitlines()[-LOG_LINES:]
        return "\n".join(f"    {line}" for line in lines) or "    (nothing was printed)"


class MinecraftVectorEnv(gym.vector.VectorEnv):
    """``num_envs`` real Minecrafts behind the same interface as MinecraftVectorSim (NEXT_STEP autoreset).

    ``step`` waits for all environments. ``send`` and ``recv`` do not: ``recv`` gives the first ``batch_size`` that are
    ready, and the policy acts for these while the others still step.

    Args:
        env_generator: returns a ``minestudio_envs.MinecraftSim``, whose callbacks are translated to minestudio's; or a
            real ``minestudio.simulator.MinecraftSim``, which is used as it is but for its JudgeResetCallback (a time
            limit truncates). This one is called where minestudio is installed, and imported there: a top-level
            function in a file that needs nothing else, or ``"package.module:function"``.
        num_envs: how many; each is a Java program with up to 2 GB of heap, and a Python.
        seed: world and callbacks of environment i depend on it and i, as MinecraftVectorSim's. An engine that is
            started again gets another world.
        array: ``"torch"`` tensors or ``"numpy"`` arrays.
        copy: False lets ``step`` hand out images that the next step overwrites.
        stagger: the first episodes begin at evenly spread ages, so that they do not all end together.
        obs_size: (width, height) in place of the generator's.
        batch_size: how many ``recv`` gives if it is not told.
        minestudio_python: the interpreter that holds minestudio; default: the environment variable MINESTUDIO_PYTHON.
        max_starting: so many engines start at once.
        start_limit, reset_limit, step_limit: seconds after which an engine that has not answered is killed.
        max_failures: so many failures of one environment in a row raise MinecraftError.
        backoff: seconds to wait before an engine is started again; doubled by each failure in a row.
        restart_interval: seconds after which an engine is started anew, at the end of an episode; None or 0: never.

    infos are MinecraftVectorSim's, and ``lost`` bool [N]: the engine failed since the last result. That result is then
    the first of a new episode (``began`` is True, the reward 0), and what came before has no end: drop it.

    Attributes: ``restarts``, failed engines so far; ``lost_steps``, of the episodes broken off by that; ``renewals``,
    engines started anew for their age; ``resets``, episodes begun, as progress while engines start.

    Raises MinecraftError if minestudio or the engine cannot be used; its text has the last lines of the log.
    """

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 20, "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        env_generator: Callable[[], Any] | str,
        num_envs: int,
        seed: int | None = None,
        array: str = "torch",
        copy: bool = True,
        stagger: bool = False,
        obs_size: tuple[int, int] | None = None,
        batch_size: int | None = None,
        minestudio_python: str | os.PathLike | None = None,
        max_starting: int = 4,
        start_limit: float = 300.0,
        reset_limit: float = 120.0,
        step_limit: float = 60.0,
        max_failures: int = 5,
        backoff: float = 1.0,
        restart_interval: float | None = 3600.0,
    ):
        for name, value in (("num_envs", num_envs), ("max_starting", max_starting), ("max_failures", max_failures)):
            if value < 1:
                raise ValueError(f"{name}={value} must be at least 1")
        for name, value in (("start_limit", start_limit), ("reset_limit", reset_limit), ("step_limit", step_limit)):
            if not 0 < value < float("inf"):
                raise ValueError(f"{name}={value} must be seconds, more than 0")
        if array not in ("torch", "numpy"):
            raise ValueError(f"array={array!r}; {nearest(array, ('torch', 'numpy'))}")
        if batch_size is not None and not 1 <= batch_size <= num_envs:
            raise ValueError(f"batch_size={batch_size} must be between 1 and num_envs={num_envs}")
        if not os.path.isdir("/proc/self"):
            raise MinecraftError("engine='minecraft' needs Linux: processes are found through /proc")
        self.limits = {"start": start_limit, "reset": reset_limit, "step": step_limit, "screen": step_limit}
        self.limits["close"] = CLOSE_LIMIT
        self.num_envs, self.array, self.copy, self.stagger = num_envs, array, copy, stagger
        self.batch_size = batch_size or num_envs
        self.max_starting, self.max_failures, self.backoff = max_starting, max_failures, backoff
        self.restart_interval = restart_interval
        self.metadata = dict(type(self).metadata)
        self.restarts = self.lost_steps = self.renewals = self.resets = 0
        self.closed = True  # until there is something to close
        self.engines: list[Engine] = []
        self._files: list[int] = []
        self._selector = selectors.DefaultSelector()

        described = describe_generator(env_generator)
        theirs = isinstance(described, dict)
        self._graceful = theirs  # the user's own callbacks may have something to finish, and so have films
        if theirs:
            self._task: dict[str, Any] = {"generator": described}
        else:
            task = MinecraftTask(described)
            self._task = {"callbacks": task.callbacks, "rewards": task.rewards, "arguments": task.arguments}
            self._graceful = any(name == "RecordCallback" for name, _ in task.callbacks)
            self.sim, self.time_limit = described, task.time_limit
        self._task["obs_size"] = obs_size
        self._python, self._engine_root = find_minestudio_python(minestudio_python), find_engine()
        self._root = tempfile.mkdtemp(prefix="minestudio_envs-")
        self._owner = os.getpid()
        self._end_all = weakref.finalize(self, end_all, self._root, self._start_guard(), self._owner)
        self.closed = False
        if theirs:
            description = self._describe()
            self.sim = MinecraftSim(
                action_type=description["action_type"],
                obs_size=tuple(description["obs_size"]),
                render_size=tuple(description["render_size"]),
            )
            self.time_limit = description["time_limit"]
        self.render_mode = self.sim.render_mode
        self.obs_size = tuple(obs_size or self.sim.obs_size)
        self.render_size = tuple(self.sim.render_size or (640, 360))
        self.single_observation_space = image_space(self.obs_size)
        self.single_action_space = self.sim.action_space
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, num_envs)

        seeds = self._seeds(self.sim.seed if seed is None else seed)
        self.engines = [Engine(i, os.path.join(self._root, str(i)), seeds[i]) for i in range(num_envs)]
        self._frames, self._screens = [], []
        (width, height), (wide, high) = self.obs_size, self.render_size
        pixels, size = width * height * 3, (width * height + wide * high) * 3
        for _ in range(num_envs):
            file = os.memfd_create("minecraft", os.MFD_CLOEXEC)  # memory without a name: it ends with its last user
            os.ftruncate(file, size)
            memory = np.frombuffer(mmap.mmap(file, size), np.uint8)
            self._files.append(file)
            self._frames.append(memory[:pixels].reshape(height, width, 3))
            self._screens.append(memory[pixels:].reshape(high, wide, 3))

        n = num_envs  # what was last handed out of each environment
        self._image = np.zeros((n, height, width, 3), np.uint8)
        self._rewards = np.zeros(n, np.float32)
        self._terminated, self._truncated = np.zeros(n, bool), np.zeros(n, bool)
        self.began, self.lost = np.zeros(n, bool), np.zeros(n, bool)
        self._ended = np.zeros(n, bool)  # with an episode for the statistics
        self.kills = {name: np.zeros(n, np.int32) for name in MOBS if name != "none"}
        self.elapsed = np.zeros(n, np.int64)  # steps, counted against the time limit
        self.episode_return, self.episode_length = np.zeros(n, np.float32), np.zeros(n, np.int64)
        self._episode_start = np.zeros(n)
        self._shortened = np.zeros(n, bool)  # a staggered first episode: no statistics of it
        self._ready = False

    # GYMNASIUM'S INTERFACE

    def reset(self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None):
        """Begin episodes -> (observations, infos). The first reset starts the engines, which takes minutes.

        Args:
            seed: as ``VectorEnv.reset``; environments given one get a new world.
            options: ``{"reset_mask": bool [N]}`` resets only those.
        """
        self._check_open("reset")
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
        seeds = [None] * self.num_envs if seed is None else self._seeds(seed)
        chosen = [engine for engine in self.engines if mask[engine.index]]
        while any(engine.asked for engine in chosen):  # of steps that were sent; what they give is dropped
            self._pump()
        for engine in chosen:
            i = engine.index
            engine.result, engine.outstanding = None, True
            if seeds[i] is not None:
                engine.seed, engine.starts = seeds[i], int(engine.process is not None)
            if engine.process is not None:
                self._ask(engine, "reset", seed=seeds[i])
            elif engine.start_at is None:
                engine.start_at = time.monotonic()
        self._wait_with_progress(chosen)
        self.began[:] = mask
        self._ended[:] = False
        for engine in chosen:
            engine.lost = False
            self._take(engine)
        if self.stagger and not self._ready and self.time_limit is not None:
            # Episodes that all begin together would also end together, and batches would not be stationary.
            self.elapsed[:] = np.arange(self.num_envs) * self.time_limit // self.num_envs
            self._shortened[:] = self.elapsed > 0
        self._ready = True
        everyone = np.arange(self.num_envs)
        return self._observations(everyone), self._infos(everyone)

    def step(self, actions_: Mapping[str, Any]):
        """One tick of every environment -> (observations, rewards, terminations, truncations, infos)."""
        if waiting := [engine.index for engine in self.engines if engine.outstanding]:
            raise RuntimeError(f"step while environments {waiting} have results to come: recv() those first")
        self.send(actions_)
        self._wait(self.engines, self.num_envs)
        return self._hand_out(self.engines)[1:]

    def send(self, actions_: Mapping[str, Any], ids: Iterable[int] | None = None) -> None:
        """Give environments ``ids`` [k] (default: all) their actions [k], and do not wait.

        Raises ValueError for an environment whose last result was not received yet.
        """
        self._check_open("step")
        if not self._ready:
            raise gym.error.ResetNeeded("step before the first reset: call reset() first")
        ids = list(range(self.num_envs)) if ids is None else [int(i) for i in ids]
        if len(set(ids)) < len(ids) or not all(0 <= i < self.num_envs for i in ids):
            raise ValueError(f"send: ids={ids} must be different numbers from 0 to {self.num_envs - 1}")
        if early := [i for i in ids if self.engines[i].outstanding]:
            raise ValueError(f"send: the last results of environments {early} were not received yet: recv() first")
        for i, action in zip(ids, self._decode(actions_, len(ids)), strict=True):
            engine, over = self.engines[i], bool(self._terminated[i] or self._truncated[i])
            engine.outstanding = True
            if engine.process is None or engine.asked or engine.result is not None:
                continue  # it failed meanwhile: what comes next is the first observation after its new start
            if not over:
                self._ask(engine, "step", action=action)
            elif self._is_old(engine):
                self._stop(engine)
                self.renewals += 1
                engine.start_at = time.monotonic()
            else:
                self._ask(engine, "reset", seed=None)

    def recv(self, count: int | None = None):
        """Wait for ``count`` (default: batch_size) results -> (ids int64 [count], observations, rewards,
        terminations, truncations, infos), of those environments that finished first, each array [count].

        Every wait is limited: an engine that exceeds its limit is started again. Raises ValueError if fewer results
        are to come, MinecraftError as the class says.
        """
        self._check_open("recv")
        count = self.batch_size if count is None else count
        waiting = [engine for engine in self.engines if engine.outstanding]
        if not 1 <= count <= len(waiting):
            raise ValueError(f"recv: count={count}, but {len(waiting)} environments have an action: send() first")
        self._wait(waiting, count)
        ready = [engine for engine in waiting if engine.result is not None]
        return self._hand_out(sorted(ready, key=lambda engine: engine.result["time"])[:count])

    def frame(self, index: int, size: tuple[int, int]) -> np.ndarray:
        """Environment ``index`` as it looks now, at ``size`` = (width, height): uint8 [height, width, 3].

        From the game's window; while it steps, or after it failed, from the last observation.
        """
        self._check_open("frame")
        engine = self.engines[index]
        picture = self._image[index]
        if engine.process is not None and not engine.asked and engine.result is None:
            self._ask(engine, "screen")
            while engine.asked == "screen":
                self._pump()
            if engine.process is not None:
                picture = self._screens[index]
        return np.asarray(Image.fromarray(picture).resize(tuple(size), Image.Resampling.BILINEAR)).copy()

    def render(self) -> tuple[np.ndarray, ...] | None:
        """The last images, one uint8 [height, width, 3] for each environment (render_mode "rgb_array")."""
        return None if self.render_mode is None else tuple(self._image.copy())

    def close_extras(self, **kwargs: Any) -> None:
        """End all engines: no process, no shared memory, no temporary file is left. Also done when Python ends."""
        if os.getpid() != self._owner:  # a fork: they are its parent's
            return
        if self._graceful:
            for engine in self.engines:
                if engine.process is not None and not engine.asked:
                    self._ask(engine, "close")
            self.max_failures = float("inf")  # whatever happens now, they are about to end
            while any(engine.asked == "close" for engine in self.engines):
                self._pump(start=False)
        self._end_all()  # at once
        for engine in self.engines:
            engine.stop()
        self._selector.close()
        while self._files:
            os.close(self._files.pop())

    # ENGINES: ask, listen, kill and start again

    def _pump(self, start: bool = True) -> None:
        """Do what is due: start engines, take in what they say, give up those that are too late. Waits for something
        to happen, and no longer than until the next deadline."""
        now, due = time.monotonic(), []
        for engine in self.engines:
            if engine.asked:
                due.append(engine.deadline)
            elif engine.start_at is not None and start:
                if engine.start_at > now:
                    due.append(engine.start_at)
                elif sum(other.asked == "start" for other in self.engines) < self.max_starting:
                    self._start(engine)
                    due.append(engine.deadline)
        for key, _ in self._selector.select(max(0.0, min(due) - now)):
            self._listen(key.data)
        now = time.monotonic()
        for engine in self.engines:
            if engine.asked and now >= engine.deadline:
                self._fail(engine, f"no answer to {engine.asked!r} within {self.limits[engine.asked]:g} s")

    def _start(self, engine: Engine) -> None:
        seed = engine.seed if engine.starts == 0 else environment_key(engine.seed, engine.starts) & 0x7FFFFFFF
        engine.start(self._python, self._engine_root, self._task, "play", self._files[engine.index])
        self._selector.register(engine.link, selectors.EVENT_READ, engine)
        self._ask(engine, "reset", seed=seed)
        if engine.asked is not None:
            engine.asked, engine.deadline = "start", time.monotonic() + self.limits["start"]

    def _ask(self, engine: Engine, what: str, **message: Any) -> None:
        engine.asked, engine.deadline = what, time.monotonic() + self.limits[what]
        try:
            engine.link.send(json.dumps({"do": what, **message}).encode())
        except OSError as error:
            self._fail(engine, f"its process is gone ({error})")

    def _listen(self, engine: Engine) -> None:
        try:
            packet = engine.link.recv(minecraft_worker.MESSAGE_BYTES)
        except OSError:
            packet = b""
        message = json.loads(packet) if packet else {"error": "its process ended unexpectedly"}
        if "fatal" in message:
            raise MinecraftError(f"minestudio cannot make this environment: {message['fatal']}\n{engine.last_words()}")
        if "error" in message:
            self._fail(engine, message["error"])
            return
        engine.asked = None
        if message["did"] in ("reset", "step"):
            engine.result = message
            self.resets += message["did"] == "reset"

    def _stop(self, engine: Engine) -> None:
        if engine.link is not None:
            self._selector.unregister(engine.link)
        engine.stop()

    def _fail(self, engine: Engine, why: str) -> None:
        """Kill an engine, and start it again soon; what its environment had begun is lost."""
        i = engine.index
        self._stop(engine)
        if self._ready and not engine.lost and not (self._terminated[i] or self._truncated[i]):
            self.lost_steps += int(self.episode_length[i])
        engine.lost = True
        engine.failures += 1
        self.restarts += 1
        words = f"Minecraft {i}: {why}"
        if engine.failures >= self.max_failures:
            raise MinecraftError(
                f"{words}\nThis was failure {engine.failures} in a row. The last lines of its log:\n"
                f"{engine.last_words()}\nscripts/check_minecraft.py looks for what is missing."
            )
        wait = min(LONGEST_BACKOFF, self.backoff * 2 ** (engine.failures - 1))
        engine.start_at = time.monotonic() + wait
        logger.warning(f"{words}; killed, and started again in {wait:g} s ({self.restarts} so far)")

    def _is_old(self, engine: Engine) -> bool:
        """Is it time to start this engine anew? Not while others start: its turn comes at another episode's end."""
        old = bool(self.restart_interval) and time.monotonic() - engine.started_at >= self.restart_interval
        starting = sum(e.start_at is not None or e.asked == "start" for e in self.engines)
        return old and starting < self.max_starting

    def _wait(self, engines: list[Engine], count: int) -> None:
        """Until ``count`` of ``engines`` have a result."""
        while sum(engine.result is not None for engine in engines) < count:
            self._pump()

    def _wait_with_progress(self, engines: list[Engine]) -> None:
        """Until all have a result; says on stderr how many engines that had to be started are up."""
        begin, starting = time.monotonic(), [engine for engine in engines if engine.asked != "reset"]
        up = -1
        while any(engine.result is None for engine in engines):
            if starting and up != (up := sum(engine.result is not None for engine in starting)):
                seconds = f"{time.monotonic() - begin:.0f} s"
                print(f"Minecraft: {up} of {len(starting)} engines are up, {seconds}", file=sys.stderr, flush=True)
            self._pump()
        if starting:
            seconds = f"{time.monotonic() - begin:.0f} s"
            print(f"Minecraft: all {len(starting)} engines are up, {seconds}", file=sys.stderr, flush=True)

    def _start_guard(self) -> subprocess.Popen:
        guard = subprocess.Popen(
            [sys.executable, "-I", WORKER, "guard", self._root, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if guard.stdout.readline() != b"on guard\n":
            raise MinecraftError(f"the guard process did not start; try: {sys.executable} {WORKER} guard FOLDER 1")
        guard.wait(CLOSE_LIMIT)  # for the one that started it
        return guard

    def _describe(self) -> dict[str, Any]:
        """What the generator makes, as only the interpreter with minestudio can say."""
        engine = Engine(0, os.path.join(self._root, "describe"), 0)
        try:
            engine.start(self._python, self._engine_root, self._task, "describe", 0)
            engine.link.settimeout(self.limits["start"])
            packet = engine.link.recv(minecraft_worker.MESSAGE_BYTES)
            message = json.loads(packet) if packet else {"fatal": "its process ended unexpectedly"}
        except TimeoutError:
            message = {"fatal": f"no answer within {self.limits['start']:g} s"}
        finally:
            engine.stop()
        if "fatal" in message:
            self.close()
            raise MinecraftError(f"env_generator, run where minestudio is: {message['fatal']}\n{engine.last_words()}")
        return message

    # RESULTS

    def _take(self, engine: Engine) -> None:
        """Make an engine's result the last one handed out of its environment."""
        i, result = engine.index, engine.result
        engine.result, engine.outstanding = None, False
        self.lost[i], engine.lost = engine.lost, False
        self.began[i] = began = result["did"] == "reset"
        if began:
            self.elapsed[i] = self.episode_length[i] = self.episode_return[i] = 0
            self._episode_start[i] = time.time()
            self._shortened[i] = False
        else:
            self.elapsed[i] += 1
            self.episode_length[i] += 1
            self.episode_return[i] += result["reward"]
        late = not began and self.time_limit is not None and self.elapsed[i] >= self.time_limit
        self._rewards[i] = result["reward"]
        self._terminated[i], self._truncated[i] = result["terminated"], result["truncated"] or late
        over = self._terminated[i] or self._truncated[i]
        self._ended[i] = over and not self._shortened[i]
        if over or self.episode_length[i] == HEALTHY_STEPS:
            engine.failures = 0
        for name, counts in self.kills.items():
            counts[i] = result["kills"].get(name, 0)
        self._image[i] = self._frames[i]

    def _hand_out(self, engines: list[Engine]):
        for engine in engines:
            self._take(engine)
        ids = np.array([engine.index for engine in engines], np.int64)
        flags = (self._rewards[ids], self._terminated[ids], self._truncated[ids])
        return self._wrap(ids), self._observations(ids), *(self._wrap(flag) for flag in flags), self._infos(ids)

    def _observations(self, ids: np.ndarray) -> dict[str, Any]:
        whole = not self.copy and len(ids) == self.num_envs and np.array_equal(ids, np.arange(self.num_envs))
        return {"image": self._wrap(self._image if whole else self._image[ids])}

    def _infos(self, ids: np.ndarray) -> dict[str, Any]:
        ended = self._ended[ids]
        seconds = (time.time() - self._episode_start[ids]).astype(np.float32)
        infos = {
            "episode": {
                "r": np.where(ended, self.episode_return[ids], np.float32(0)),
                "l": np.where(ended, self.episode_length[ids], 0),
                "t": np.where(ended, seconds, np.float32(0)),
            },
            "_episode": ended,
            "began": self.began[ids],
            "lost": self.lost[ids],
            "kill_entity": {name: counts[ids] for name, counts in self.kills.items()},
        }
        return self._wrap(infos)

    def _wrap(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._wrap(entry) for key, entry in value.items()}
        return torch.from_numpy(value) if self.array == "torch" else value

    def _decode(self, action: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
        """Actions of ``count`` environments, checked -> what minestudio's step takes, for each."""
        if not isinstance(action, Mapping):
            raise TypeError(f"action: expected a dict with keys {list(self.single_action_space)}, got {type(action)}")
        values = {key: value.cpu() if torch.is_tensor(value) else value for key, value in action.items()}
        values = {key: np.asarray(value) for key, value in values.items()}
        agent = self.sim.action_type == "agent"
        sizes = {"buttons": actions.NUM_BUTTONS, "camera": actions.NUM_CAMERA}
        known = tuple(sizes) if agent else (*ENV_BUTTONS, "camera")
        if unknown := [key for key in values if key not in known]:
            raise ValueError(f"action: unknown key {unknown[0]!r}; {nearest(unknown[0], known)}")
        if agent and (missing := [key for key in known if key not in values]):
            raise ValueError(f"action: no {missing[0]!r} in {sorted(values)}")
        for key, value in values.items():
            if key == "camera" and not agent:
                if value.shape != (count, 2) or not np.isfinite(value).all():
                    raise ValueError(f"action['camera']: expected finite degrees [{count}, 2], got {value}")
            elif value.shape not in ((count,), (count, 1)):
                raise ValueError(f"action[{key!r}]: shape {value.shape}, expected ({count},) or ({count}, 1)")
            elif not agent and ((value != 0) & (value != 1)).any():
                raise ValueError(f"action[{key!r}]: expected {count} values 0 or 1, got {value}")
            elif agent and value.dtype.kind not in "iu":
                raise TypeError(f"action[{key!r}]: dtype {value.dtype}, expected integers")
            elif agent and not (0 <= value.min() and value.max() < sizes[key]):
                raise ValueError(f"action[{key!r}]: {value.tolist()} must lie in 0 ... {sizes[key] - 1}")
            else:
                values[key] = value.reshape(count)
        return [{key: value[i].tolist() for key, value in values.items()} for i in range(count)]

    def _seeds(self, seed: int | Sequence[int | None]) -> list[int | None]:
        """MinecraftVectorSim's keys, as far as minestudio's generators take them: 31 bits."""
        if isinstance(seed, int | np.integer):
            keys = [environment_key(int(seed), i) for i in range(self.num_envs)]
        else:
            if len(seed) != self.num_envs:
                raise ValueError(f"seed: {len(seed)} seeds for {self.num_envs} environments")
            keys = [None if s is None else environment_key(int(s), 0) for s in seed]
        return [None if key is None else key & 0x7FFFFFFF for key in keys]

    def _check_open(self, what: str) -> None:
        if self.closed:
            raise gym.error.ClosedEnvironmentError(f"{what} after close: make a new environment")
