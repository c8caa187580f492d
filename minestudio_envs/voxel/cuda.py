"""The engine on a GPU: the same device functions, called from CUDA kernels.

Whatever changes stays in the GPU's memory, as torch tensors that the kernels work on, on torch's current stream.
Nothing in ``step`` waits for the GPU, so a CUDA graph can capture it.

A new world takes a CPU's core a millisecond, but one thread of a GPU a hundred, and then come the ticks of a reset. So
every environment has a spare: a second environment in which its next episode is made while the present one is played,
one pass (passes.py) or one tick of it in each step. A reset takes over the spare. Where an episode ends before it is
ready, that step makes the rest of it, and takes longer.

    NUMBA_ENABLE_CUDASIM=1 NUMBA_DISABLE_JIT=1

runs all of it in Python, on the CPU.
"""

import math
import sys
from contextlib import contextmanager, nullcontext
from functools import partial
from types import FunctionType, ModuleType, SimpleNamespace
from typing import NamedTuple

import numba
import numpy as np
import torch
from numba import cuda, types

from minestudio_envs.voxel import hud
from minestudio_envs.voxel.block_rays import world_pixel
from minestudio_envs.voxel.cutouts import (
    CUT_RECT,
    CUT_SIZE,
    MAX_CUTOUTS,
    cutout_pixel,
    cutout_reach,
    cutout_texels,
    tile_cutouts,
    tile_in_view,
)
from minestudio_envs.voxel.engine import (
    EMPTY_FRAMES,
    EXECUTE,
    GO_ON,
    HOLD,
    PLAIN,
    RESET,
    TICK,
    VoxelEngine,
    check_picture,
    check_snapshot,
    run_ticks,
)
from minestudio_envs.voxel.jit import DEVICE_FUNCTIONS, general, python_function, source_fingerprint
from minestudio_envs.voxel.marks import MARK_SIZE, make_marks
from minestudio_envs.voxel.parts import make_held_part, make_item_parts, make_mob_parts, part_pixel
from minestudio_envs.voxel.passes import run_pass, sections
from minestudio_envs.voxel.physics import NUM_BUTTONS
from minestudio_envs.voxel.program import make_script
from minestudio_envs.voxel.renderer import build_assets, inside, most_parts, near_pixel, tile_top, write_pixel
from minestudio_envs.voxel.state import State, allocate, array_views
from minestudio_envs.voxel.tables import build_tables
from minestudio_envs.voxel.view import (
    NIGHT_VISION,
    PART_RECT,
    PART_SIZE,
    TILE,
    F,
    Frame,
    World,
    make_frame,
    map_lamp,
    ray_direction,
    sky_now,
)

SIMULATED = bool(numba.config.ENABLE_CUDASIM)
if not SIMULATED:
    from numba.cuda import dispatcher
    from numba.cuda.cudadrv import devicearray, nvvm

FINGERPRINT = source_fingerprint(PLAIN)  # taken at import, as engine.py's
TEAM = 4 if SIMULATED else 128  # threads that make a world, or what a picture's pixels share; a power of two
TILE_ROWS, TILE_COLUMNS = 8, 16  # pixels that a thread block draws
LISTED, SEARCHERS = 512, 32  # rows of a table that it looks through at a time, and how many of its threads do
ROOM = 2048  # cutouts in view of an environment; what is beyond is not drawn
FARTHEST_CUTOUT = 64  # blocks
# A tick is a long way for one thread, and those of a warp wait for each other's branches. While there is room on the
# GPU, only one thread of a warp has a tick to make.
WARP, MOST_WARPS = 32, 4096


class Turn(NamedTuple):
    """What a step is about."""

    settings: np.ndarray  # see engine.advance
    pressed: np.ndarray  # uint8 [N + 1, 20]
    camera: np.ndarray  # float32 [N + 1, 2]
    reset: np.ndarray  # uint8 [N]
    stage: np.ndarray  # int32 [N]: how many passes and ticks of its next episode a spare has behind it


class Pictures(NamedTuple):
    """What the pixels of each picture share."""

    tiles: np.ndarray  # uint8 [N, S / TILE, S / TILE]
    light_map: np.ndarray  # float32 [N, 256, 4]
    frame: np.ndarray  # float32 [N, FRAME_SIZE]
    parts: np.ndarray  # float32 [N, parts, PART_SIZE]
    cuts: np.ndarray  # float32 [N, cutouts, CUT_SIZE]
    found: np.ndarray  # int32 [N, tiles]: cutouts in view of each tile, then where those of the next one begin
    marks: np.ndarray  # float32 [N, 2, MARK_SIZE]
    held: np.ndarray  # float32 [N, PART_SIZE]
    shift: np.ndarray  # float32 [N]
    ops: np.ndarray  # int32 [N, MAX_OPS + 1, OP_SIZE]
    op_rect: np.ndarray  # float32 [N, MAX_OPS, 4]
    counts: np.ndarray  # int32 [N, 2]: parts, marks


# DEVICE FUNCTIONS ON THE GPU


def _as_device_functions():
    """Gives every device function of the engine the form that numba's CUDA target calls.

    One version serves all small integers, as on the CPU; ``math.floor`` and ``math.ceil`` give integers, as there;
    and of NumPy's functions on numbers there are those that numba-cuda lacks.
    """
    libraries = {
        math: _module("math", math, floor=_whole(cuda.libdevice.floor), ceil=_whole(cuda.libdevice.ceil)),
        np: _module("numpy", np, floor=_real(math.floor), ceil=_real(math.ceil), sqrt=_real(math.sqrt)),
    }
    for dispatcher in DEVICE_FUNCTIONS:
        function = dispatcher.py_func
        scope = dict(function.__globals__)
        scope.update({name: libraries[scope[name]] for name in ("math", "np") if name in scope})
        copy = FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
        twin = cuda.jit(device=True)(copy)
        twin.get_call_template = partial(_general_template, twin.get_call_template)
        dispatcher._CUDATypingContext__dispatcher = twin  # where numba-cuda keeps what it made of a CPU function


def _module(name, original, **others):
    module = ModuleType(name)
    vars(module).update({key: value for key, value in vars(original).items() if not key.startswith("_")} | others)
    return module


def _whole(function):
    return cuda.jit(device=True)(lambda x: np.int64(function(x)))


def _real(function):
    return cuda.jit(device=True)(lambda x: function(x))


def _general_template(resolve, arguments, keywords):
    return resolve(tuple(map(general, arguments)), {name: general(kind) for name, kind in keywords.items()})


if not SIMULATED:
    _as_device_functions()


def _frame_functions():
    """``save_frame(frame, row)`` and ``load_frame(row)``: a Frame as a row of float32, and how long that is."""
    save, load, size = [], [], 0
    for name, kind in Frame.__annotations__.items():
        places = [f"row[{size + i}]" for i in range(len(getattr(kind, "__args__", ())) or 1)]
        parts = [f"frame.{name}[{i}]" for i in range(len(places))] if len(places) > 1 else [f"frame.{name}"]
        save += [f"    {place} = {part}" for place, part in zip(places, parts, strict=True)]
        cast = {np.int64: "np.int64({})", bool: "{} > 0"}.get(kind, "{}")
        load.append(f"({', '.join(places)})" if len(places) > 1 else cast.format(places[0]))
        size += len(places)
    scope = {"np": np, "Frame": Frame}
    exec("def save_frame(frame, row):\n" + "\n".join(save), scope)
    exec(f"def load_frame(row):\n    return Frame({', '.join(load)})", scope)
    return *(cuda.jit(device=True)(scope[name]) for name in ("save_frame", "load_frame")), size


save_frame, load_frame, FRAME_SIZE = _frame_functions()


on_gpu = cuda.jit(device=True)

# KERNELS. Their large arguments are NamedTuples of arrays.


def make_worlds(state, tables, script, turn):
    """A thread block per environment: the next pass of its spare's world, or all that are left if it resets now."""
    n, lane, lanes = np.int64(cuda.blockIdx.x), np.int64(cuda.threadIdx.x), np.int64(cuda.blockDim.x)
    spare = n + turn.reset.shape[0]
    passes = sections(state.voxels.shape[1], state.voxels.shape[3])[7]
    done = np.int64(turn.stage[n])
    while done < passes:
        if done == 0:
            if lane == 0:
                state.world[spare].key = state.world[n].key
                state.world[spare].episode = state.world[n].episode + 1
            cuda.syncthreads()
        run_pass(state, spare, tables, script, turn.settings, done, lane, lanes)
        cuda.syncthreads()
        done += 1
        if turn.reset[n] != RESET:
            break
    if lane == 0 and turn.stage[n] < passes:
        turn.stage[n] = done


def tick_rows(state, tables, script, turn, rows, spread):
    """Every ``spread``-th thread: what a step does to an environment, or a tick of its spare's reset.

    ``rows``: N, or 2 N with the spares.
    """
    thread = np.int64(cuda.grid(1))
    row = thread // spread
    num_envs = turn.reset.shape[0]
    if row >= rows or row * spread != thread:
        return
    n = row if row < num_envs else row - num_envs
    mode, empty_frames = turn.reset[n], turn.settings[EMPTY_FRAMES]
    ticks = empty_frames + script.program.shape[0]
    first, last, first_row, action = np.int64(0), np.int64(0), empty_frames, turn.pressed.shape[0] - 1
    if row < num_envs:
        if mode == TICK:
            last, first_row, action = np.int64(1), np.int64(1), n
        elif mode == EXECUTE:
            last, first_row = np.int64(script.program.shape[0]), np.int64(0)
        elif mode == GO_ON:
            state.world[n].episode += 1
            last = ticks
    elif mode == GO_ON:  # that episode will not come
        turn.stage[n] = 0
    else:
        passes = sections(state.voxels.shape[1], state.voxels.shape[3])[7]
        first = turn.stage[n] - passes
        if 0 <= first < ticks:
            last = ticks if mode == RESET else first + 1
            turn.stage[n] = passes + last
        else:
            first = np.int64(0)
    run_ticks(state, row, tables, script, turn.pressed, turn.camera, action, first, last, first_row, mode != EXECUTE)


def take_spares(memory, turn):
    """A thread block per environment: the spare becomes the environment where that resets.

    ``memory``: the state's arrays as uint64 [2 N, words].
    """
    n, lane, lanes = cuda.blockIdx.x, cuda.threadIdx.x, cuda.blockDim.x
    if turn.reset[n] != RESET:
        return
    spare = n + turn.reset.shape[0]
    for array in memory:
        for i in range(lane, array.shape[1], lanes):
            array[n, i] = array[spare, i]
    if lane == 0:
        turn.stage[n] = 0


def prepare_pictures(state, assets, pictures, first, rows, columns):
    """A thread block per picture: what its pixels share, of environment ``first`` and those behind it."""
    i, lane, lanes = np.int64(cuda.blockIdx.x), np.int64(cuda.threadIdx.x), np.int64(cuda.blockDim.x)
    n = first + i
    across = pictures.tiles.shape[1]
    for tile in range(lane, across * across, lanes):
        pictures.tiles[i, tile // across, tile % across] = tile_top(state.height[n], tile // across, tile % across)
    cuda.syncthreads()
    if lane == 0:
        top = np.uint8(0)
        for tile in range(across * across):
            top = max(top, pictures.tiles[i, tile // across, tile % across])
        save_frame(make_frame(state, assets, n, rows, columns, F(top)), pictures.frame[i])
    cuda.syncthreads()
    frame = load_frame(pictures.frame[i])
    world = picture_world(state, pictures, n, i)
    red, blue = sky_now(state, n, frame)
    night_vision = state.player[n].effect_ticks[NIGHT_VISION] > 0
    for block in range(lane, 16, lanes):
        map_lamp(assets.brightness, red, blue, night_vision, block, pictures.light_map[i])
    cuda.syncthreads()

    # One thread sees to what moves, one to what is near, the others to the cutouts.
    finders, finder, others = lanes // 2, lane - lanes // 2, lanes // 4
    if lane == 0:
        count = make_mob_parts(state, assets, world, n, frame, rows, columns, pictures.parts[i])
        pictures.counts[i, 0] = make_item_parts(state, assets, world, n, frame, rows, columns, pictures.parts[i], count)
    elif lane == others:
        pictures.counts[i, 1] = make_marks(state, world, assets, n, frame, rows, columns, pictures.marks[i])
        pictures.shift[i] = make_held_part(state, assets, world, n, frame, pictures.held[i])
        hud.make_ops(state, assets, n, pictures.ops[i])
        for op in range(pictures.ops[i, hud.MAX_OPS, 0]):
            rect = pictures.op_rect[i, op]
            rect[0], rect[1], rect[2], rect[3] = hud.op_bounds(assets, pictures.ops[i], op, rows, columns)
    reach = cutout_reach(world, frame)
    across = (2 * reach + TILE - 1) // TILE
    room = pictures.cuts.shape[1]
    if finder >= 0:
        for tile in range(finder, across * across, finders):
            pictures.found[i, tile] = count_cutouts(world, assets, frame, rows, columns, tile, across, reach, room)
    cuda.syncthreads()
    if lane == 0:
        total = 0
        for tile in range(across * across):
            total += pictures.found[i, tile]
            pictures.found[i, tile] = min(total, room)
        pictures.found[i, pictures.found.shape[1] - 1] = min(total, room)
    cuda.syncthreads()
    if finder >= 0:
        for tile in range(finder, across * across, finders):
            begin = pictures.found[i, tile - 1] if tile > 0 else 0
            if begin < pictures.found[i, tile]:
                x, z = tile // across * TILE - reach, tile % across * TILE - reach
                cuts = pictures.cuts[i, : pictures.found[i, tile]]
                tile_cutouts(world, assets, frame, rows, columns, x, z, reach, cuts, begin, cuts.shape[0], None, None)


@on_gpu
def count_cutouts(world, assets, frame, rows, columns, tile, across, reach, room):
    """Cutouts of a tile of columns that are in view, at most ``room``."""
    x, z = tile // across * TILE - reach, tile % across * TILE - reach
    if not tile_in_view(frame, x, z, world.voxels.shape[2]):
        return 0
    cut = cuda.local.array((1, CUT_SIZE), types.float32)
    return tile_cutouts(world, assets, frame, rows, columns, x, z, reach, cut, 0, room, None, None)


@on_gpu
def picture_world(state, pictures, n, i):
    return World(
        state.voxels[n],
        state.height[n],
        state.light[n],
        state.biome[n],
        state.cutouts[n],
        pictures.tiles[i],
        pictures.light_map[i],
    )


def draw_pictures(state, assets, pictures, first, images):
    """A thread per pixel of ``images``.image, uint8 [N, H, W, 3]."""
    i = np.int64(cuda.blockIdx.z)
    rows, columns = images.image.shape[1], images.image.shape[2]
    top, left = cuda.blockIdx.y * TILE_ROWS, cuda.blockIdx.x * TILE_COLUMNS
    row, column = np.int64(top + cuda.threadIdx.y), np.int64(left + cuda.threadIdx.x)
    lane = cuda.threadIdx.y * TILE_COLUMNS + cuda.threadIdx.x
    drawn = row < rows and column < columns
    found = cuda.shared.array(LISTED, types.int32)
    counts = cuda.shared.array(SEARCHERS, types.int32)
    frame = load_frame(pictures.frame[i])
    world = picture_world(state, pictures, first + i, i)
    dx, dy, dz = ray_direction(frame, row, column)
    r = g = b = depth = F(0)
    if drawn:
        r, g, b, depth = world_pixel(world, assets, frame, row, column)
        r, g, b = hud.rounded(r, g, b)

    cuts, total = pictures.cuts[i], pictures.found[i, pictures.found.shape[1] - 1]
    for begin in range(0, total, LISTED):
        listed = search(cuts, CUT_RECT, begin, min(begin + LISTED, total), top, left, lane, counts, found)
        for k in range(listed):
            cut = cuts[found[k]]
            if drawn and inside(cut, CUT_RECT, row, column):
                texels = cutout_texels(world.voxels, assets, frame, cut, dx, dy, dz, depth)
                r, g, b, depth = cutout_pixel(frame, cut, texels, dx, dy, dz, r, g, b, depth)
    parts, total = pictures.parts[i], pictures.counts[i, 0]
    for begin in range(0, total, LISTED):
        listed = search(parts, PART_RECT, begin, min(begin + LISTED, total), top, left, lane, counts, found)
        for k in range(listed):
            part = parts[found[k]]
            if drawn and inside(part, PART_RECT, row, column):
                r, g, b, depth = part_pixel(assets, frame, part, dx, dy, dz, r, g, b, depth)
    if drawn:
        marks, held, num_marks, shift = pictures.marks[i], pictures.held[i], pictures.counts[i, 1], pictures.shift[i]
        r, g, b = near_pixel(assets, frame, marks, num_marks, held, shift, rows, columns, row, column, r, g, b, depth)
    ops, rect = pictures.ops[i], pictures.op_rect[i]
    listed = search(rect, 0, 0, ops[hud.MAX_OPS, 0], top, left, lane, counts, found)
    if drawn:
        for k in range(listed):
            if inside(rect[found[k]], 0, row, column):
                r, g, b = hud.overlay_op(assets, ops, found[k], row, column, rows, columns, r, g, b)
        write_pixel(images.image[i], row, column, r, g, b)


@on_gpu
def search(table, rect, begin, end, top, left, lane, counts, found):
    """List in ``found`` which rows begin to end - 1 of a table touch a thread block's pixels, in order -> how many."""
    share = (end - begin + SEARCHERS - 1) // SEARCHERS
    first = begin + lane * share
    last = min(first + share, end)
    cuda.syncthreads()  # the list before is read
    if lane < SEARCHERS:
        count = 0
        for k in range(first, last):
            count += touches(table[k], rect, top, left)
        counts[lane] = count
    cuda.syncthreads()
    total = 0
    for k in range(SEARCHERS):
        if k == lane:
            place = total
            for j in range(first, last):
                if touches(table[j], rect, top, left):
                    found[place] = j
                    place += 1
        total += counts[k]
    cuda.syncthreads()
    return total


@on_gpu
def touches(row, rect, top, left):
    """Whether a rectangle and a thread block have pixels in common."""
    return (
        row[rect] < top + TILE_ROWS
        and row[rect + 1] > top
        and row[rect + 2] < left + TILE_COLUMNS
        and row[rect + 3] > left
    )


# THE ENGINE


class Images(NamedTuple):
    image: np.ndarray  # uint8 [N, H, W, 3]


@contextmanager
def exact():
    """Without fused multiplications and additions, which round otherwise than a CPU does."""
    compile_ir = nvvm.compile_ir
    nvvm.compile_ir = partial(compile_ir, fma=False)
    try:
        yield
    finally:
        nvvm.compile_ir = compile_ir


KERNELS = (make_worlds, tick_rows, take_spares, prepare_pictures, draw_pictures)
EXACT = (make_worlds, tick_rows)  # compiled with ``exact``
COMPILE_SECONDS = dict(zip(KERNELS, (60, 240, 5, 20, 30), strict=True))  # on one 2.6 GHz core
_kernels = {}


def kernel(function):
    """The dispatcher of one of KERNELS, which compiles when it is first called, or loads from numba's cache on disk."""
    if function not in _kernels:
        options, named = {}, function
        if not SIMULATED:
            dispatcher.config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # a few environments are few threads
            options = {"cache": True, "lto": False}
            # numba's cache looks at this file only; so what the kernel calls is in its name, too.
            named = FunctionType(function.__code__, function.__globals__, function.__name__)
            named.__qualname__ = f"{function.__name__}_{FINGERPRINT:x}"
        _kernels[function] = cuda.jit(**options)(named)
    return _kernels[function]


def device_array(data: torch.Tensor, shape: tuple[int, ...], dtype: np.dtype):
    """The bytes ``data`` as an array that kernels take."""
    dtype = np.dtype(dtype)
    if SIMULATED:
        array = np.ndarray(shape, dtype, data.numpy())
        return array.view(np.recarray) if dtype.names else array
    # Not NumPy's strides, which for no elements say that an array is not contiguous: that would be another kernel.
    strides = tuple(dtype.itemsize * math.prod(max(size, 1) for size in shape[i + 1 :]) for i in range(len(shape)))
    memory = cuda.as_cuda_array(data, sync=False).gpu_data
    return devicearray.DeviceNDArray(shape, strides, dtype, gpu_data=memory)


def picture_shapes(count: int, world_size: int, parts: int, room: int) -> Pictures:
    """(shape, dtype) of each of the Pictures' arrays, for ``room`` cutouts in a picture."""
    size, sides = world_size // TILE, 2 * FARTHEST_CUTOUT // TILE
    return Pictures(
        tiles=((count, size, size), torch.uint8),
        light_map=((count, 256, 4), torch.float32),
        frame=((count, FRAME_SIZE), torch.float32),
        parts=((count, parts, PART_SIZE), torch.float32),
        cuts=((count, room, CUT_SIZE), torch.float32),
        found=((count, sides * sides + 1), torch.int32),
        marks=((count, 2, MARK_SIZE), torch.float32),
        held=((count, PART_SIZE), torch.float32),
        shift=((count,), torch.float32),
        ops=((count, hud.MAX_OPS + 1, hud.OP_SIZE), torch.int32),
        op_rect=((count, hud.MAX_OPS, 4), torch.float32),
        counts=((count, 2), torch.int32),
    )


class CudaEngine(VoxelEngine):
    """VoxelEngine on a GPU. Actions, ``state`` and pictures are torch tensors there; NumPy arrays are taken, too.

    ``step``, ``tick`` and ``render`` do not wait for the GPU. A picture must not be written to elsewhere meanwhile.
    """

    def _allocate(self, max_mobs, world_size, world_height):
        n = self.num_envs
        if SIMULATED:
            self.device = torch.device("cpu")
        elif not torch.cuda.is_available():
            raise RuntimeError("device='cuda': torch finds no GPU, or is a build without CUDA")
        elif self.device.index:
            raise ValueError(f"device={str(self.device)!r}: a process uses one GPU; choose with CUDA_VISIBLE_DEVICES")
        else:
            self.device = torch.device("cuda", 0)
        like = allocate(2, max_mobs, world_size, world_height)
        arrays, fields, words = {}, {}, []
        for name, array in like._asdict().items():
            data = self._zeros(n * array.nbytes, dtype=torch.uint8)
            arrays[name] = device_array(data, (2 * n, *array.shape[1:]), array.dtype)
            fields |= {key: _field(data, array, view, n) for key, view in array_views(name, array).items()}
            if name != "scratch" and array.nbytes:
                words.append(device_array(data, (2 * n, array.nbytes // 16), np.uint64))
        self.arrays, self.state, self._words = State(**arrays), SimpleNamespace(**fields), tuple(words)
        self.tables, self.script = self._upload(build_tables()), self._upload(self.script)
        self._pressed = self._zeros(n + 1, NUM_BUTTONS, dtype=torch.uint8)
        self._camera = self._zeros(n + 1, 2, dtype=torch.float32)
        self._reset = self._zeros(n, dtype=torch.uint8)
        self._stage = self._zeros(n, dtype=torch.int32)
        inputs = (self._pressed, self._camera, self._reset, self._stage)
        self._turn = Turn(self._upload(self.settings), *map(_shared, inputs))
        self._pictures = None if self.width is None else self._make_pictures(n, ROOM)
        self._spread = min(max(WARP * MOST_WARPS // (2 * n), 1), WARP)
        self._graphs = {}

    def _zeros(self, *shape, dtype):
        return torch.zeros(shape, dtype=dtype, device=self.device)

    def _upload(self, host):
        """A copy of an array, or of a NamedTuple's arrays, on the GPU."""
        if isinstance(host, tuple):
            return type(host)(*(self._upload(entry) if isinstance(entry, np.ndarray) else entry for entry in host))
        data = self._zeros(max(host.nbytes, 8), dtype=torch.uint8)
        data[: host.nbytes] = torch.from_numpy(np.ascontiguousarray(host).reshape(-1).view(np.uint8))
        return device_array(data, host.shape, host.dtype)

    def _make_pictures(self, count, room):
        parts = python_function(most_parts)(self.arrays)
        shapes = picture_shapes(count, self.arrays.voxels.shape[1], parts, room)
        return Pictures(*(_shared(self._zeros(*shape, dtype=dtype)) for shape, dtype in shapes))

    def _assets_for(self, width, height):
        if (width, height) not in self._assets:
            self._assets[width, height] = self._upload(build_assets(width, height))
        return self._assets[width, height]

    def set_keys(self, keys, mask=None):
        mask = np.ones(self.num_envs, bool) if mask is None else np.asarray(mask, bool)
        keys, mask = (torch.from_numpy(np.array(host)).to(self.device) for host in (np.asarray(keys, np.int64), mask))
        self.state.key.copy_(torch.where(mask, keys, self.state.key))
        self.state.episode.masked_fill_(mask, -1)
        self._stage.masked_fill_(mask, 0)

    def _take(self, pressed, camera, reset):
        for own, given in ((self._pressed[:-1], pressed), (self._camera[:-1], camera), (self._reset, reset)):
            own.copy_(torch.as_tensor(given))

    def tick(self, pressed, camera, reset):
        self._take(pressed, camera, reset)
        self._launch("tick", self._tick)

    def _tick(self):
        self._run(make_worlds, self.num_envs, TEAM, self.arrays, self.tables, self.script, self._turn)
        self._run_ticks(self.script, 2 * self.num_envs)
        self._run(take_spares, self.num_envs, TEAM, self._words, self._turn)

    def _run_ticks(self, script, rows):
        blocks = (rows * self._spread + WARP - 1) // WARP
        self._run(tick_rows, blocks, WARP, self.arrays, self.tables, script, self._turn, rows, self._spread)

    def execute(self, program, chosen):
        self._reset.copy_(torch.from_numpy(np.where(chosen, EXECUTE, HOLD)))
        rows = make_script(program).program
        self._run_ticks(self.script._replace(program=self._upload(rows)), self.num_envs)

    def render(self, image):
        self._check(image)
        assets = self.assets
        self._launch(("render", image.data_ptr()), lambda: self._draw(assets, self._pictures, 0, image))

    def _draw(self, assets, pictures, first, image):
        count, rows, columns = image.shape[:3]
        blocks = (columns + TILE_COLUMNS - 1) // TILE_COLUMNS, (rows + TILE_ROWS - 1) // TILE_ROWS, count
        self._run(prepare_pictures, count, TEAM, self.arrays, assets, pictures, first, rows, columns)
        images = Images(_shared(image))
        self._run(draw_pictures, blocks, (TILE_COLUMNS, TILE_ROWS), self.arrays, assets, pictures, first, images)

    def frame(self, n, width, height):
        check_picture(width, height)
        image = self._zeros(1, height, width, 3, dtype=torch.uint8)
        self._draw(self._assets_for(width, height), self._make_pictures(1, MAX_CUTOUTS), n, image)
        return image[0].cpu().numpy()

    def _run(self, function, blocks, threads, *arguments):
        """A kernel, on torch's current stream."""
        if SIMULATED:
            kernel(function)[blocks, threads](*arguments)
            return
        new = function not in _kernels
        if new:
            note = f"loading the voxel engine's kernel {function.__name__} (the first time it is compiled: up to "
            print(f"{note}{COMPILE_SECONDS[function]} s; cached afterwards)", file=sys.stderr, flush=True)
        with torch.cuda.device(self.device), exact() if new and function in EXACT else nullcontext():
            stream = cuda.external_stream(torch.cuda.current_stream().cuda_stream)
            kernel(function)[blocks, threads, stream](*arguments)

    def _launch(self, name, kernels):
        """Runs kernels by way of a CUDA graph, unless one is being captured: their arguments are hundreds of numbers,
        which Python takes long to hand over."""
        if SIMULATED or torch.cuda.is_current_stream_capturing():
            kernels()
        elif name in self._graphs:
            self._graphs[name].replay()
        else:
            kernels()  # now they are compiled
            self._graphs[name] = torch.cuda.CUDAGraph()
            with torch.cuda.device(self.device), torch.cuda.graph(self._graphs[name]):
                kernels()

    def native(self, tensor):
        return tensor

    def tensors(self):
        return dict(vars(self.state))

    def layout(self):
        fields = {name: tensor for name, tensor in vars(self.state).items() if name != "scratch"}
        return {name: np.broadcast_to(_numpy_type(t).type(), t.shape) for name, t in fields.items()}

    def on_host(self, n):
        rows = {name: tensor[n : n + 1].cpu().numpy() for name, tensor in vars(self.state).items() if name != "scratch"}
        return SimpleNamespace(**rows), 0

    def snapshot(self):
        return {name: getattr(self.state, name).cpu().numpy().copy() for name in self.layout()}

    def restore(self, snapshot):
        check_snapshot(snapshot, self.layout())
        for name in self.layout():
            getattr(self.state, name).copy_(torch.from_numpy(snapshot[name]))
        self._stage.zero_()

    def _check(self, image):
        shape = (self.num_envs, self.height, self.width, 3)
        if image.shape != shape or image.dtype != torch.uint8 or not image.is_contiguous():
            raise ValueError(f"image must be contiguous uint8 {shape}, not {image.dtype} {tuple(image.shape)}")
        if image.device != self._reset.device:
            raise ValueError(f"image must be on {self._reset.device}, not on {image.device}")


def _shared(tensor):
    """A contiguous tensor as an array that kernels take."""
    return device_array(tensor.view(-1).view(torch.uint8), tuple(tensor.shape), _numpy_type(tensor))


def _numpy_type(tensor):
    return np.dtype(str(tensor.dtype).removeprefix("torch."))


def _field(data, array, view, n):
    """The tensor of a field: ``view`` of ``array``, but for n environments, in the bytes ``data``."""
    kind = torch.from_numpy(np.empty(0, view.dtype)).dtype
    offset = view.__array_interface__["data"][0] - array.__array_interface__["data"][0]
    strides = [stride // view.itemsize for stride in view.strides]
    return data.view(kind).as_strided((n, *view.shape[1:]), strides, offset // view.itemsize)
