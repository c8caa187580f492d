"""What the hardware and the C library can do for speed."""

import contextlib
import ctypes

import torch


def keep_freed_memory() -> None:
    """Let glibc's malloc keep what is freed: fresh pages for every large tensor cost a CPU a third of its update."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((-4, 0), (-1, -1), (-2, 64 << 20)):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
            mallopt(option, value)


def use_bfloat16(dtype: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16. auto: where the hardware multiplies bfloat16 matrices (CUDA, CPUs with AMX)."""
    if dtype == "auto":
        if device.type == "cuda":
            return torch.cuda.is_bf16_supported(including_emulation=False)
        return device.type == "cpu" and getattr(torch.cpu, "_is_amx_tile_supported", bool)()
    return dtype == "bfloat16"
