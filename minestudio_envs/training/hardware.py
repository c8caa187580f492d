"""What the hardware and the C library can do for speed."""

import contextlib
import ctypes
from importlib.util import find_spec

import torch


def keep_freed_memory() -> None:
    """Let glibc's malloc keep what is freed: fresh pages for every large tensor cost a CPU a third of its update."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((-4, 0), (-1, -1), (-2, 64 << 20)):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
            mallopt(option, value)


def choose_device(name: str) -> torch.device:
    """The torch device of that name; auto: cuda when there is one, else cpu. Raises SystemExit if it does not work."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise SystemExit(f"--device {name} cannot be used ({reason}): use cpu, or cuda where there is a GPU") from error
    return torch.device(name)


def use_bfloat16(dtype: str, device: torch.device, hidsize: int) -> bool:
    """Whether to compute in bfloat16. auto: where that is faster, on GPUs and on CPUs that multiply it themselves.

    On a CPU only for policies of VPT's own sizes: narrow ones lose more in conversions than they win
    (scripts/benchmark_training.py shows both).
    """
    if dtype != "auto":
        return dtype == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return device.type == "cpu" and hidsize >= 512 and any(getattr(torch.cpu, name, bool)() for name in able)


def engine_device(engine: str, device: torch.device) -> str:
    """Where environments run: beside the policy if that is on a GPU and the engine can (pip install ".[cuda]")."""
    return "cuda" if engine == "voxel" and device.type == "cuda" and find_spec("numba_cuda") else "cpu"
