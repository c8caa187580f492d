"""A trajectory depends on the key and the actions, and on nothing else."""

import threading

import numba
import numpy as np
import pytest

from minestudio_envs.voxel import engine as engine_module
from minestudio_envs.voxel.commands import compile_commands, summon_range
from minestudio_envs.voxel.engine import VoxelEngine
from minestudio_envs.voxel.randomness import environment_key

PROGRAM = np.concatenate([summon_range("cow", 6, (-4, 4), (-4, 4)), compile_commands(["/give @p iron_sword"])])
ENVS = 16
KEYS = np.array([environment_key(7, i) for i in range(ENVS)])


def actions(tick, n):
    rng = np.random.default_rng([tick // 4, n])
    odds = np.full(20, 0.15)
    odds[0], odds[2] = 0.5, 0.7
    return (rng.random(20) < odds).astype(np.uint8), rng.normal(0, 15, 2).astype(np.float32)


def make(indices):
    engine = VoxelEngine(len(indices), world_size=64, program=PROGRAM, empty_frames=3, teleport_range=500)
    engine.set_keys(KEYS[indices])
    return engine


def advance(engine, indices, ticks, resets=()):
    """Plays; ``resets`` holds (tick, index) pairs besides the first tick of all."""
    for tick in ticks:
        pressed, camera = zip(*(actions(tick, i) for i in indices), strict=True)
        reset = np.array([tick == 0 or (tick, i) in resets for i in indices])
        engine.tick(np.array(pressed), np.array(camera), reset)


def assert_same(engine, n, other, m):
    for name, array in engine.snapshot().items():
        np.testing.assert_array_equal(array[n], getattr(other.state, name)[m], err_msg=name)


@pytest.fixture(scope="module")
def whole():
    engine = make(np.arange(ENVS))
    advance(engine, np.arange(ENVS), range(150), {(60, 3), (100, 3), (90, 8)})
    return engine


@pytest.mark.parametrize("size", [1, 4])
def test_the_batch_size_does_not_matter(whole, size):
    for first in range(0, ENVS, size):
        indices = np.arange(first, first + size)
        engine = make(indices)
        advance(engine, indices, range(150), {(60, 3), (100, 3), (90, 8)})
        for n, index in enumerate(indices):
            assert_same(engine, n, whole, index)


def test_the_order_does_not_matter(whole):
    indices = np.arange(ENVS)[::-1]
    engine = make(indices)
    advance(engine, indices, range(150), {(60, 3), (100, 3), (90, 8)})
    for n, index in enumerate(indices):
        assert_same(engine, n, whole, index)


def test_the_number_of_threads_does_not_matter(whole):
    before = numba.get_num_threads()
    if before == 1:
        pytest.skip("there is one core only")
    numba.set_num_threads(1)
    try:
        engine = make(np.arange(ENVS))
        advance(engine, np.arange(ENVS), range(150), {(60, 3), (100, 3), (90, 8)})
    finally:
        numba.set_num_threads(before)
    for n in range(ENVS):
        assert_same(engine, n, whole, n)


def test_a_reset_does_not_disturb_the_others(whole):
    engine = make(np.arange(ENVS))
    advance(engine, np.arange(ENVS), range(150))
    for n in range(ENVS):
        if n not in (3, 8):
            assert_same(engine, n, whole, n)
    assert engine.state.episode[3] == 0 and whole.state.episode[3] == 2
    assert not np.array_equal(engine.state.height[3], whole.state.height[3])


def test_seeds_environments_and_episodes_differ(whole):
    worlds = {whole.state.height[n].tobytes() for n in range(ENVS)}
    engine = make(np.arange(ENVS))
    engine.set_keys(np.array([environment_key(8, i) for i in range(ENVS)]))
    advance(engine, np.arange(ENVS), range(1))
    worlds |= {engine.state.height[n].tobytes() for n in range(ENVS)}
    assert len(worlds) == 2 * ENVS
    assert len({tuple(p) for p in engine.state.spawn}) == ENVS


def test_episodes_come_again_with_the_key(whole):
    engine = make(np.arange(ENVS))
    advance(engine, np.arange(ENVS), range(30))
    engine.set_keys(KEYS, mask=np.arange(ENVS) == 5)
    advance(engine, np.arange(ENVS), range(150), {(60, 3), (100, 3), (90, 8)})
    assert_same(engine, 5, whole, 5)
    assert engine.state.episode[4] == 1


def test_a_snapshot_continues_exactly(whole):
    engine = make(np.arange(ENVS))
    advance(engine, np.arange(ENVS), range(80), {(60, 3)})
    snapshot = engine.snapshot()
    advance(engine, np.arange(ENVS), range(80, 100))  # goes elsewhere
    other = make(np.arange(ENVS))
    other.restore(snapshot)
    advance(other, np.arange(ENVS), range(80, 150), {(100, 3), (90, 8)})
    for n in range(ENVS):
        assert_same(other, n, whole, n)


def test_a_snapshot_of_another_engine_is_refused(whole):
    with pytest.raises(ValueError, match="needs"):
        make(np.arange(2)).restore(whole.snapshot())
    snapshot = whole.snapshot()
    del snapshot["yaw"]
    with pytest.raises(ValueError, match="yaw"):
        make(np.arange(ENVS)).restore(snapshot)
    with pytest.raises(ValueError, match=r"yaw.*float64.*float32"):
        make(np.arange(ENVS)).restore(snapshot | {"yaw": whole.state.yaw.astype(float)})


def test_inputs_are_checked():
    for size in (0, 8, 48, 2048):
        with pytest.raises(ValueError, match=r"power of two, one of 16, .*, 1024$"):
            VoxelEngine(1, world_size=size)
    for height in (0, 32, 192, 512):
        with pytest.raises(ValueError, match="one of 64, 128, 256"):
            VoxelEngine(1, world_height=height)
    for size in ((7, 8), (8, 0), (8, None), (8.5, 8)):
        with pytest.raises(ValueError, match="at least 8 pixels"):
            VoxelEngine(1, *size)
        with pytest.raises(ValueError, match="at least 8 pixels"):
            VoxelEngine(1).frame(0, *size)
    with pytest.raises(ValueError, match="program"):
        VoxelEngine(1, program=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="num_envs"):
        VoxelEngine(0)
    with pytest.raises(ValueError, match="picture size"):
        _ = VoxelEngine(1).assets


@pytest.mark.parametrize(("function", "arguments"), [(engine_module.render, 4), (engine_module.advance, 8)])
def test_python_cannot_call_what_only_kernels_can(function, arguments):
    with pytest.raises(TypeError, match="kernels only"):
        function(*[0] * arguments)


@pytest.mark.parametrize("name", ["tick", "render"])
def test_kernels_come_from_the_disk_cache(name, capfd):
    drawn = VoxelEngine(1, 16, 16, empty_frames=0)
    action = np.zeros((1, 20)), np.zeros((1, 2)), np.ones(1), np.zeros((1, 16, 16, 3), np.uint8)
    drawn.step(*action)
    capfd.readouterr()
    del engine_module._kernels[name]  # as a new process would begin
    drawn.step(*action)
    stats = engine_module._kernels[name].stats
    assert stats.cache_hits and not stats.cache_misses
    assert "compiling" not in capfd.readouterr().err


def test_a_compilation_says_which_kernel_and_how_long(capfd, monkeypatch):
    def kernel():
        @numba.njit
        def inner():
            return 1

        @numba.njit
        def outer():
            return inner()

        return outer

    monkeypatch.setattr(engine_module, "_kernels", {})
    monkeypatch.setattr(engine_module, "build_kernel", lambda name: kernel())
    engine_module._run("render")
    assert capfd.readouterr().err == (
        "compiling the voxel engine (kernel 2 of 2, render), about 25 s; cached afterwards\n"
    )


def test_two_threads_compile_once(monkeypatch):
    built, both = [], threading.Barrier(2)

    def build(name):
        built.append(name)
        return numba.njit(lambda: 1)

    def first_use():
        both.wait()
        engine_module._run("render")

    monkeypatch.setattr(engine_module, "_kernels", {})
    monkeypatch.setattr(engine_module, "build_kernel", build)
    threads = [threading.Thread(target=first_use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built == ["render"]


def test_without_numba_a_kernel_is_called_as_it_is(monkeypatch):
    monkeypatch.setattr(engine_module, "_kernels", {})
    monkeypatch.setattr(engine_module, "build_kernel", lambda name: calls.append)
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    calls = []
    engine_module._run("render", 7)
    assert calls == [7]
