"""The batched engine on the CPU: every environment's tick and picture, spread over threads. (On a GPU: cuda.py.)

    engine = VoxelEngine(num_envs=64, width=128, height=128, program=compile_commands(["/give @p iron_sword"]))
    engine.set_keys(np.array([environment_key(seed, i) for i in range(64)]))
    engine.step(pressed, camera, reset, image)

Nothing depends on the number of threads or on which environments share a batch.
"""

import functools
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from types import SimpleNamespace

import numba
import numpy as np
import torch
from numba import njit, prange
from numba.core.compiler_lock import global_compiler_lock
from numba.core.event import Listener, install_listener

from minestudio_envs.voxel.combat import act
from minestudio_envs.voxel.drops import tick_drops
from minestudio_envs.voxel.errors import nearest
from minestudio_envs.voxel.inventory import throw_from
from minestudio_envs.voxel.jit import OPTIONS, device_function, source_fingerprint
from minestudio_envs.voxel.mob_motion import bring_mobs_near, tick_mobs
from minestudio_envs.voxel.physics import (
    DROP,
    NUM_BUTTONS,
    clear_player,
    move_player,
    select_hotbar,
    tick_body,
    turn_camera,
)
from minestudio_envs.voxel.program import (
    CONDITION,
    START_BIOMES,
    START_CONDITION,
    START_KEY,
    START_RANGE,
    START_SEEDED,
    START_TIME,
    START_WEATHER,
    execute,
    holds,
    make_script,
)
from minestudio_envs.voxel.projectiles import tick_arrows
from minestudio_envs.voxel.renderer import build_assets, render
from minestudio_envs.voxel.screen import tick_screen
from minestudio_envs.voxel.spawning import populate, spawn_mobs
from minestudio_envs.voxel.state import GAMERULE_ID, WORLD_HEIGHT, WORLD_SIZE, allocate, views
from minestudio_envs.voxel.tables import build_tables
from minestudio_envs.voxel.terrain import BIOMES, NOISE_TILE, generate
from minestudio_envs.voxel.whole_program import whole_program
from minestudio_envs.voxel.world import tick_blocks

# OpenMP starts a loop faster than numba's own threads, and is thread-safe.
if "NUMBA_THREADING_LAYER" not in os.environ:
    numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]

# The State has more arrays than numba takes into a parallel loop by default.
numba.config.PARFOR_MAX_TUPLE_SIZE = max(numba.config.PARFOR_MAX_TUPLE_SIZE, 256)

DRAWING = (  # modules that the tick does not depend on
    *("renderer", "view", "block_rays", "cutouts", "parts", "marks", "textures", "sprites", "shapes", "hud", "models"),
)
PLAIN = ("commands", "errors")  # without anything that is compiled
ON_GPU = ("cuda", "passes")
DAYLIGHT_CYCLE, WEATHER_CYCLE = GAMERULE_ID["doDaylightCycle"], GAMERULE_ID["doWeatherCycle"]
WORLD_SIZES = tuple(NOISE_TILE << i for i in range((1024 // NOISE_TILE).bit_length()))
WORLD_HEIGHTS = (64, 128, 256)  # whole words of `cutouts`, and y fits into 8 bits
LEAST_PIXELS = 8  # along the sides of a picture
ANIMAL_GROUPS = 8  # in a new world, where its slots for mobs and its grass let them be
# Columns of VoxelEngine.settings, int64 [5]. BEGIN_IN: bits of the biomes to begin in. ANIMALS: groups of them.
EMPTY_FRAMES, TELEPORT_RANGE, TIME_OF_DAY, BEGIN_IN, ANIMALS = range(5)
# What a step does to an environment, in `reset`.
TICK, RESET = 0, 1
HOLD = 2  # leave it as it is
EXECUTE = 3  # run the program and no tick
GO_ON = 4  # a new episode in the old world
# Taken at import: what is compiled later is the source as it was then.
TICK_FINGERPRINT = source_fingerprint((*DRAWING, *PLAIN, *ON_GPU))
RENDER_FINGERPRINT = source_fingerprint((*PLAIN, *ON_GPU))
COMPILE_SECONDS = {"tick": 65, "render": 25}  # of the kernels, on one 2.6 GHz core


@device_function(forceinline=True)
def tick(state, n, tables, pressed, camera, idle):
    """One game tick of environment ``n``: camera, keys, attack, the player's motion, mobs, the player's body.

    ``idle``: no button, which is what the world sees while the screen is open.
    """
    bring_mobs_near(state, n)
    tick_screen(state, n, tables, pressed, camera)
    keys = idle
    if not state.player[n].gui_open:
        keys = pressed
        turn_camera(state, n, camera[0], camera[1])
        select_hotbar(state, n, pressed)
        if pressed[DROP] and not state.player[n].pressed[DROP]:
            throw_from(state, n, int(state.player[n].selected), 1)
        act(state, n, tables, pressed)
    for axis in range(3):
        state.player[n].previous_position[axis] = state.player[n].position[axis]
    move_player(state, n, tables, keys)
    tick_blocks(state, n, tables)
    spawn_mobs(state, n, tables)
    tick_mobs(state, n, tables)
    tick_arrows(state, n, tables)
    tick_drops(state, n, tables)
    tick_body(state, n, tables)
    for button in range(NUM_BUTTONS):
        state.player[n].pressed[button] = pressed[button]
    state.world[n].tick += 1
    if state.world[n].gamerule[DAYLIGHT_CYCLE]:
        state.world[n].time_of_day = (state.world[n].time_of_day + 1) % 24000
    if state.world[n].weather_ticks > 0 and state.world[n].gamerule[WEATHER_CYCLE]:
        state.world[n].weather_ticks -= 1
        if state.world[n].weather_ticks == 0:
            state.world[n].weather = 0


@device_function
def choose_start(world, n, script, settings):
    """Where and when the episode begins -> (key and episode of its world, teleport range, time, biomes, weather)."""
    key, episode = world[n].key, world[n].episode
    teleport_range, start_time, biomes, weather = settings[TELEPORT_RANGE], settings[TIME_OF_DAY], settings[BEGIN_IN], 0
    world_key, world_episode = key, episode
    for i in range(script.starts.shape[0]):
        if holds(world, n, script.conditions, script.starts[i, START_CONDITION]):
            teleport_range, start_time = script.starts[i, START_RANGE], script.starts[i, START_TIME]
            weather = script.starts[i, START_WEATHER]
            biomes = script.starts[i, START_BIOMES] if script.starts[i, START_BIOMES] else settings[BEGIN_IN]
            world_key, world_episode = key, episode
            if script.starts[i, START_SEEDED]:
                world_key, world_episode = script.starts[i, START_KEY], 0
    return world_key, world_episode, teleport_range, start_time, biomes, weather


@device_function
def begin_episode(state, n, tables, script, settings):
    """A new world for the next episode, with the player on it and every counter at zero."""
    key, episode = state.world[n].key, state.world[n].episode + 1
    state.world[n].episode = episode
    world_key, world_episode, teleport_range, _, biomes, _ = choose_start(state.world, n, script, settings)
    state.world[n].key, state.world[n].episode = world_key, world_episode
    generate(state, n, teleport_range, biomes)
    state.world[n].key, state.world[n].episode = key, episode
    enter_episode(state, n, tables, script, settings)


@device_function
def enter_episode(state, n, tables, script, settings):
    """What an episode begins with in the world that was made for it."""
    key, episode = state.world[n].key, state.world[n].episode
    world_key, world_episode, _, start_time, _, weather = choose_start(state.world, n, script, settings)
    state.world[n].tick = 0
    state.world[n].time_of_day = start_time
    state.world[n].weather = weather
    state.world[n].weather_ticks = 0
    for rule in range(len(state.world[n].gamerule)):
        state.world[n].gamerule[rule] = tables.gamerule[rule]
    state.world[n].pending_updates = 0
    for i in range(state.updates.shape[1]):
        state.updates[n, i].place = 0
        state.updates[n, i].tick = 0
    state.world[n].key, state.world[n].episode = world_key, world_episode
    clear_player(state, n)
    for button in range(NUM_BUTTONS):
        state.player[n].pressed[button] = 0
    for m in range(state.mobs.shape[1]):
        state.mobs[n, m].kind = 0
    for kind in range(len(state.statistics[n].kill_entity)):
        state.statistics[n].kill_entity[kind] = 0
    for i in range(state.arrows.shape[1]):
        state.arrows[n, i].ticks = 0
    for i in range(state.drops.shape[1]):
        state.drops[n, i]["item"] = 0
    state.world[n].drop_slots = 0
    for block in range(len(state.statistics[n].mine_block)):
        state.statistics[n].mine_block[block] = 0
    for item in range(len(state.statistics[n].pickup)):
        state.statistics[n].pickup[item] = 0
        state.statistics[n].use_item[item] = 0
        state.statistics[n].break_item[item] = 0
    for statistic in range(len(state.statistics[n].custom)):
        state.statistics[n].custom[statistic] = 0
    state.statistics[n].distance = 0.0
    state.statistics[n].mobs_refused = 0
    populate(state, n, tables, settings[ANIMALS])
    state.world[n].key, state.world[n].episode = key, episode


@device_function(forceinline=True)
def advance(state, n, tables, script, settings, pressed, camera, reset):
    """One step of environment ``n``: a tick, all that a reset consists of, or less, as ``reset[n]`` says.

    ``pressed``: uint8 [N + 1, 20]. ``camera``: float32 [N + 1, 2], degrees down and right. ``reset``: uint8 [N].
    The last rows of ``pressed`` and ``camera`` belong to no environment: they are the no-op of a reset's ticks.
    """
    ticks, action, first_row = 1, n, 1
    mode = reset[n]
    if mode == HOLD:
        ticks = 0
    elif mode == EXECUTE:
        first_row, ticks = 0, script.program.shape[0]
    elif mode != TICK:
        if mode == GO_ON:
            state.world[n].episode += 1
        else:
            begin_episode(state, n, tables, script, settings)
        first_row = settings[EMPTY_FRAMES]
        ticks, action = first_row + script.program.shape[0], pressed.shape[0] - 1
    run_ticks(state, n, tables, script, pressed, camera, action, 0, ticks, first_row, mode != EXECUTE)


@device_function
def run_ticks(state, n, tables, script, pressed, camera, action, first, last, first_row, ticking):
    """Ticks first to last - 1 of a step, with row ``action`` of the actions; from ``first_row`` on the program runs.

    Without ``ticking`` only that.
    """
    for i in range(first, last):
        if i >= first_row:
            row = i - first_row
            if not holds(state.world, n, script.conditions, int(script.program[row, CONDITION])):
                continue
            execute(state, n, tables, script.program, row)
        if ticking:
            tick(state, n, tables, pressed[action], camera[action], pressed[pressed.shape[0] - 1])


def _build_tick(fingerprint):
    @njit(parallel=True, cache=True, **OPTIONS)
    def tick_all(state, tables, script, settings, pressed, camera, reset):
        fingerprint  # noqa: B018  (part of the cache's key)
        for i in prange(reset.shape[0]):
            n = np.int64(i)  # numba's loop index is unsigned, and unsigned with signed makes a float
            advance(state, n, tables, script, settings, pressed, camera, reset)

    return tick_all


def _build_render(fingerprint):
    @njit(parallel=True, cache=True, error_model="numpy")
    def render_all(state, assets, first, image):
        fingerprint  # noqa: B018
        for i in prange(image.shape[0]):
            n = np.int64(i)
            render(state, assets, first + n, image[n])

    return render_all


_kernels = {}  # by name, once per process and only when they are first needed


class _CompileNote(Listener):
    """Says on stderr that numba compiles a kernel, which takes long; one from the disk cache is not compiled."""

    def __init__(self, name, kernel):
        self.name, self.kernel = name, kernel

    def on_start(self, event):
        if event.data["dispatcher"] is self.kernel:  # and not one of the functions that it calls
            kernels = list(COMPILE_SECONDS)
            which = f"kernel {kernels.index(self.name) + 1} of {len(kernels)}, {self.name}"
            note = f"compiling the voxel engine ({which}), about {COMPILE_SECONDS[self.name]} s; cached afterwards"
            print(note, file=sys.stderr, flush=True)

    def on_end(self, event):
        pass


def _run(name, *arguments):
    """Runs a kernel; a first compilation says on stderr what takes so long."""
    if name not in _kernels:
        if numba.config.DISABLE_JIT:  # then it is a Python function
            _kernels[name] = build_kernel(name)
        else:
            with global_compiler_lock:
                if name not in _kernels:  # no other thread was faster
                    kernel = build_kernel(name)
                    with whole_program(kernel), install_listener("numba:compile", _CompileNote(name, kernel)):
                        kernel(*arguments)
                    _kernels[name] = kernel
                    return
    _entry_point(_kernels[name])(*arguments)


@functools.cache
def _entry_point(kernel):
    """What a dispatcher calls in the end. On the way it would look at the types of a hundred arrays, for 7 us."""
    if numba.config.DISABLE_JIT:
        return kernel
    return next(iter(kernel.overloads.values())).entry_point  # the only one: an engine's types are always the same


def build_kernel(name):
    """A new dispatcher of the kernel ``name``, which compiles, or loads from numba's disk cache, when called."""
    if name == "tick":
        return _build_tick(TICK_FINGERPRINT)
    return _build_render(RENDER_FINGERPRINT)


def check_world(world_size: int, world_height: int) -> None:
    """Raises ValueError where a world cannot have these sizes, in blocks."""
    if world_size not in WORLD_SIZES:
        sizes = ", ".join(map(str, WORLD_SIZES))
        raise ValueError(f"world_size={world_size!r} must be a power of two, one of {sizes}")
    if world_height not in WORLD_HEIGHTS:
        raise ValueError(f"world_height={world_height!r} must be one of {', '.join(map(str, WORLD_HEIGHTS))}")


def check_picture(width: int, height: int, name: str = "width, height") -> None:
    """Raises ValueError where a picture cannot have this size, in pixels; ``name``: what the caller calls it."""
    for pixels in (width, height):
        if not isinstance(pixels, int | np.integer) or pixels < LEAST_PIXELS:
            raise ValueError(f"{name} = {width!r}, {height!r} must be integers of at least {LEAST_PIXELS} pixels")


def check_snapshot(snapshot: dict[str, np.ndarray], arrays: dict[str, np.ndarray]) -> None:
    """Raises ValueError where a snapshot is not of an engine whose state has these arrays."""
    for name, array in arrays.items():
        if name not in snapshot:
            raise ValueError(f"the snapshot lacks {name!r}: it was written by another version of the engine")
        found, needed = snapshot[name], f"{array.dtype} {array.shape}"
        if found.shape != array.shape or found.dtype != array.dtype:
            raise ValueError(f"snapshot[{name!r}] is {found.dtype} {found.shape}, this engine needs {needed}")


class VoxelEngine:
    """``num_envs`` worlds that step together.

    ``program``: float64 [P, ROW] from commands.compile_commands, run at every reset; ``conditions`` and ``starts``: see
    program.Script; without ``starts`` every episode has ``teleport_range`` and ``start_time``. ``empty_frames``: no-op
    ticks after a reset's world is made. ``teleport_range``: the player's x and z are uniform within half of it.
    ``start_time``: of the day, 0-23999. ``animals``: whether a new world has groups of animals.
    ``width``, ``height``: of the pictures, in pixels; None = never draws.
    ``device``: "cpu" or "cuda", where actions, pictures and state are torch tensors (cuda.CudaEngine).
    """

    def __new__(cls, *arguments, device: str = "cpu", **settings):
        if torch.device(device).type == "cuda" and cls is VoxelEngine:
            if find_spec("numba_cuda") is None:
                raise ImportError("device='cuda' needs numba-cuda: pip install 'minestudio_envs[cuda]'")
            from minestudio_envs.voxel.cuda import CudaEngine

            cls = CudaEngine
        return super().__new__(cls)

    def __init__(
        self,
        num_envs: int,
        width: int | None = None,
        height: int | None = None,
        *,
        program: np.ndarray | None = None,
        conditions: np.ndarray | None = None,
        starts: np.ndarray | None = None,
        max_mobs: int = 16,
        empty_frames: int = 20,
        teleport_range: int = 0,
        start_time: int = 1000,
        biomes: Sequence[str] = ("plains",),
        animals: bool = False,
        world_size: int = WORLD_SIZE,
        world_height: int = WORLD_HEIGHT,
        device: str = "cpu",
    ):
        if torch.device(device).type not in ("cpu", "cuda"):
            raise ValueError(f"device={device!r} must be 'cpu' or 'cuda'")
        if num_envs < 1:
            raise ValueError(f"num_envs={num_envs} must be at least 1")
        check_world(world_size, world_height)
        if width is not None or height is not None:
            check_picture(width, height)
        if empty_frames < 0 or teleport_range < 0 or max_mobs < 0:
            raise ValueError(f"{empty_frames=}, {teleport_range=} and {max_mobs=} must not be negative")
        if not biomes or isinstance(biomes, str):
            raise ValueError(f"biomes={biomes!r} must be a sequence of names, at least one of {', '.join(BIOMES)}")
        for biome in biomes:
            if biome not in BIOMES:
                raise ValueError(f"biomes: the engine has no biome {biome!r}; {nearest(biome, BIOMES)}")
        self.num_envs, self.width, self.height = num_envs, width, height
        self.device = torch.device(device)
        self.script = make_script(program, conditions, starts)
        begin_in = sum({1 << BIOMES.index(biome) for biome in biomes})
        groups = ANIMAL_GROUPS if animals else 0
        self.settings = np.array([empty_frames, teleport_range, start_time % 24000, begin_in, groups], np.int64)
        self._assets = {}  # by (width, height)
        self._allocate(max_mobs, world_size, world_height)
        self.set_keys(np.arange(num_envs))

    def _allocate(self, max_mobs, world_size, world_height):
        self.arrays = allocate(self.num_envs, max_mobs, world_size, world_height)  # what the kernels take
        self.state = SimpleNamespace(**views(self.arrays))  # the same memory, field by field: [N, ...]
        self.tables = build_tables()
        # one row more than environments: the no-op
        self._pressed = np.zeros((self.num_envs + 1, NUM_BUTTONS), np.uint8)
        self._camera = np.zeros((self.num_envs + 1, 2), np.float32)
        self._reset = np.zeros(self.num_envs, np.uint8)

    def set_keys(self, keys: np.ndarray, mask: np.ndarray | None = None) -> None:
        """Gives environments (all, or those of ``mask``) new random keys, int64 [N]; their next reset is episode 0."""
        mask = np.ones(self.num_envs, bool) if mask is None else np.asarray(mask, bool)
        self.state.key[mask] = np.asarray(keys, np.int64)[mask]
        self.state.episode[mask] = -1

    def tick(self, pressed: np.ndarray, camera: np.ndarray, reset: np.ndarray) -> None:
        """``step`` without pictures: ``pressed`` [N, 20], ``camera`` [N, 2], ``reset`` [N]."""
        self._take(pressed, camera, reset)
        _run("tick", self.arrays, self.tables, self.script, self.settings, self._pressed, self._camera, self._reset)

    def execute(self, program: np.ndarray, chosen: np.ndarray) -> None:
        """Runs a program in the environments of ``chosen``, bool [N], now: it takes no tick."""
        self._reset[:] = np.where(chosen, EXECUTE, HOLD)
        script = make_script(program, self.script.conditions)
        _run("tick", self.arrays, self.tables, script, self.settings, self._pressed, self._camera, self._reset)

    def step(self, pressed: np.ndarray, camera: np.ndarray, reset: np.ndarray, image: np.ndarray) -> None:
        """One step of every environment, then its picture.

        ``pressed``: [N, 20] buttons held in this tick. ``camera``: [N, 2] degrees down and right. ``reset``: [N],
        where true a new episode begins instead and the action is ignored (GO_ON: in the old world; HOLD: nothing
        happens). ``image``: uint8 [N, H, W, 3], written.
        """
        self._check(image)
        self.tick(pressed, camera, reset)
        self.render(image)

    def render(self, image: np.ndarray) -> None:
        """Draws every environment as it is into ``image``, uint8 [N, H, W, 3]."""
        self._check(image)
        _run("render", self.arrays, self.assets, 0, image)

    def reset(self, mask: np.ndarray, image: np.ndarray) -> None:
        """New episodes where ``mask``, bool [N], is true; the others stay as they are. Then draws every environment."""
        self._check(image)
        nothing = self._pressed[:-1] * 0, self._camera[:-1] * 0
        self.tick(*nothing, np.where(mask, 1, HOLD))
        self.render(image)

    def frame(self, n: int, width: int, height: int) -> np.ndarray:
        """Environment ``n`` as it is, drawn at another size -> uint8 [height, width, 3]."""
        check_picture(width, height)
        image = np.empty((1, height, width, 3), np.uint8)
        _run("render", self.arrays, self._assets_for(width, height), n, image)
        return image[0]

    def native(self, tensor: torch.Tensor):
        """A tensor on ``device`` as this engine takes it."""
        return tensor.numpy()

    def tensors(self) -> dict[str, torch.Tensor]:
        """``state`` as tensors that share its memory."""
        return {name: torch.from_numpy(array) for name, array in vars(self.state).items()}

    def layout(self) -> dict[str, np.ndarray]:
        """Arrays of the shapes and dtypes that a snapshot has."""
        return {name: array for name, array in vars(self.state).items() if name != "scratch"}

    def on_host(self, n: int) -> tuple[SimpleNamespace, int]:
        """(``state`` in NumPy arrays, where in them environment ``n`` is): to look at one environment."""
        return self.state, n

    @property
    def assets(self):
        """The renderer's textures and tables for this picture size."""
        if self.width is None or self.height is None:
            raise ValueError("this engine was made without a picture size")
        return self._assets_for(self.width, self.height)

    def _assets_for(self, width: int, height: int):
        if (width, height) not in self._assets:
            self._assets[width, height] = build_assets(width, height)
        return self._assets[width, height]

    def snapshot(self) -> dict[str, np.ndarray]:
        """Copies of all arrays of the state, by name; with the constructor's arguments they are the whole engine."""
        return {name: array.copy() for name, array in self.layout().items()}

    def restore(self, snapshot: dict[str, np.ndarray]) -> None:
        """Takes the state back from ``snapshot``; raises ValueError if it is of another shape of engine."""
        check_snapshot(snapshot, self.layout())
        for name, array in self.layout().items():
            array[...] = snapshot[name]

    def _take(self, pressed, camera, reset):
        self._pressed[:-1], self._camera[:-1] = pressed, camera
        self._reset[:] = reset

    def _check(self, image):
        shape = (self.num_envs, self.height, self.width, 3)
        if image.shape != shape or image.dtype != np.uint8 or not image.flags.c_contiguous:
            raise ValueError(f"image must be contiguous uint8 {shape}, not {image.dtype} {image.shape}")
