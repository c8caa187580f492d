"""The engine's CUDA path, as far as it can be tested without a GPU (scripts/check_cuda.py needs one)."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

pytest.importorskip("numba_cuda")

from cuda_in_simulator import play_engine, play_tasks
from numba import cuda
from numba.cuda import compiler, dispatcher

from minestudio_envs.voxel import cuda as voxel_cuda
from minestudio_envs.voxel.engine import VoxelEngine


class H100:
    compute_capability = (9, 0)


def arguments():
    """What each kernel takes, with arrays of the host: their types are those of the GPU's."""
    engine = VoxelEngine(2, 16, 16, world_size=16)
    turn = voxel_cuda.Turn(
        engine.settings, engine._pressed, engine._camera, engine._reset, np.zeros(engine.num_envs, np.int32)
    )
    shapes = voxel_cuda.picture_shapes(2, 16, 8, 8)
    pictures = voxel_cuda.Pictures(*(np.zeros(shape, str(dtype).removeprefix("torch.")) for shape, dtype in shapes))
    image = voxel_cuda.Images(np.zeros((2, 16, 16, 3), np.uint8))
    words = (np.zeros((4, 3), np.uint64),) * 12
    return {
        voxel_cuda.make_worlds: (engine.arrays, engine.tables, engine.script, turn),
        voxel_cuda.tick_rows: (engine.arrays, engine.tables, engine.script, turn, 4, 32),
        voxel_cuda.take_spares: (words, turn),
        voxel_cuda.prepare_pictures: (engine.arrays, engine.assets, pictures, 0, 16, 16),
        voxel_cuda.draw_pictures: (engine.arrays, engine.assets, pictures, 0, image),
    }


@pytest.mark.parametrize("kernel", voxel_cuda.KERNELS, ids=lambda kernel: kernel.__name__)
def test_kernels_compile_to_ptx_for_an_h100(kernel, monkeypatch):
    for module in (compiler, dispatcher):
        monkeypatch.setattr(module, "get_current_device", lambda: H100)
    types = tuple(numba.typeof(argument) for argument in arguments()[kernel])
    # NVVM's optimiser takes minutes for a tick; what it is given is the same.
    optimise = kernel not in voxel_cuda.EXACT
    with voxel_cuda.exact() if kernel in voxel_cuda.EXACT else monkeypatch.context():
        ptx, _ = cuda.compile_ptx(kernel, types, cc=H100.compute_capability, opt=optimise)
    assert ".target sm_90" in ptx and ptx.count(".entry") == 1


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """What the CUDA kernels do in numba's simulator, in a process of its own."""
    file = tmp_path_factory.mktemp("cuda") / "simulated.npz"
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1", "PYTHONWARNINGS": "ignore"}
    script = Path(__file__).parent / "cuda_in_simulator.py"
    subprocess.run([sys.executable, script, file], env=environment, check=True, timeout=500)
    return np.load(file)


def compare(simulated, part, expected):
    """Everything is the CPU's, floats but for rounding; pictures within one grey level on 99.9 % of the pixels."""
    assert {key for key in simulated.files if key.startswith(part)} == {f"{part}.{key}" for key in expected}
    for key, value in expected.items():
        found = simulated[f"{part}.{key}"]
        if key.endswith(("image", "frame")):
            assert (np.abs(found.astype(int) - value).max(-1) <= 1).mean() >= 0.999, key
        else:
            np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-6, err_msg=key)


def test_the_kernels_do_what_the_cpu_does(simulated):
    compare(simulated, "engine", play_engine("cpu"))


def test_a_batch_on_the_gpu_is_the_cpus(simulated):
    compare(simulated, "tasks", play_tasks("cpu"))
