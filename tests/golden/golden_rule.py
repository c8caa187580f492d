"""Deterministic fill rule for the VPT golden vectors (numpy only, no reference code).

Every array is produced from PCG64 *raw 64-bit words* (numpy guarantees the raw stream of a
bit generator, but not the float streams of Generator), so the numbers do not depend on the
numpy version.  See VPT_SPEC.md, section 9, for the same rule in prose.
"""

import hashlib
import math

import numpy as np


def key_words(key: str, n: int) -> np.ndarray:
    """First n raw uint64 words of PCG64 seeded from sha256(key)."""
    seed = int.from_bytes(hashlib.sha256(key.encode("utf-8")).digest()[:8], "big")
    return np.random.PCG64(seed).random_raw(n)


def key_unit(key: str, shape) -> np.ndarray:
    """float64 array in (-1, 1); every entry is an odd multiple of 2**-24 (exact in float32)."""
    n = int(np.prod(shape, dtype=np.int64)) if len(shape) else 1
    top = (key_words(key, n) >> np.uint64(40)).astype(np.int64)  # 24 bits
    v = (2 * top + 1 - (1 << 24)).astype(np.float64) * 2.0**-24
    return v.reshape(shape)


def key_ints(key: str, shape, high: int) -> np.ndarray:
    """int64 array in [0, high): raw word modulo high."""
    n = int(np.prod(shape, dtype=np.int64)) if len(shape) else 1
    return (key_words(key, n) % np.uint64(high)).astype(np.int64).reshape(shape)


def offset_and_amp(name: str, shape):
    """(offset, amplitude) of the state_dict entry `name`; value = offset + amplitude * unit."""
    fan_in = int(np.prod(shape[1:], dtype=np.int64)) if len(shape) > 1 else 1
    leaf = name.rsplit(".", 1)[-1]
    owner = name.split(".")[-2] if "." in name else ""
    if leaf == "debiasing_term":
        return 0.6, 0.3
    if leaf == "running_mean":
        return 0.0, 0.5
    if leaf == "running_mean_sq":
        return 2.0, 1.0
    if leaf == "b_nd":
        return 0.0, 1.0
    if owner in ("norm", "n", "pre_r_ln", "final_ln", "pre_lstm_ln"):
        return (1.0, 0.25) if leaf == "weight" else (0.0, 0.1)
    if leaf == "bias":
        return 0.0, 0.1
    if owner in ("q_layer", "k_layer"):
        return 0.0, 4.5 / math.sqrt(fan_in)
    if owner == "r_layer":
        return 0.0, 1.5 / math.sqrt(fan_in)
    if name.startswith("pi_head."):
        return 0.0, 6.0 / math.sqrt(fan_in)
    if name.startswith("value_head."):
        return 0.0, 2.0 / math.sqrt(fan_in)
    return 0.0, math.sqrt(6.0 / fan_in)


def fill(name: str, shape, seed: int) -> np.ndarray:
    """float32 value of the state_dict entry `name` (name carries the `net.` / `pi_head.` prefix)."""
    off, amp = offset_and_amp(name, tuple(shape))
    return np.asarray(off + amp * key_unit(f"{name}|{seed}", tuple(shape)), dtype=np.float32)


def images(seed: int, b: int, t: int, h: int, w: int) -> np.ndarray:
    """uint8 (b, t, h, w, 3).  Frame (i, j) depends only on (seed, i, j): 16x16-pixel random
    colour blocks, whose low 4 bits are XOR-ed with per-pixel noise."""
    hc, wc = -(-h // 16), -(-w // 16)
    out = np.empty((b, t, h, w, 3), np.uint8)
    for i in range(b):
        for j in range(t):
            coarse = key_ints(f"img|{seed}|{i}|{j}|coarse", (hc, wc, 3), 256).astype(np.uint8)
            noise = key_ints(f"img|{seed}|{i}|{j}|noise", (h, w, 3), 16).astype(np.uint8)
            out[i, j] = coarse.repeat(16, 0).repeat(16, 1)[:h, :w] ^ noise
    return out


def actions(seed: int, b: int, t: int, n_buttons: int = 8641, n_camera: int = 121):
    return {
        "buttons": key_ints(f"act|{seed}|buttons", (b, t, 1), n_buttons),
        "camera": key_ints(f"act|{seed}|camera", (b, t, 1), n_camera),
    }


def button_slice_index(seed: int, k: int = 256, n: int = 8641) -> np.ndarray:
    """k distinct sorted button indices, used to store a slice of the 8641 button log-probs."""
    order = np.argsort(key_words(f"slice|{seed}", n), kind="stable")
    return np.sort(order[:k])
