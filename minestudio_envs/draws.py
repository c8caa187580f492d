"""The engine's random numbers (voxel/randomness.py) as tensors: what callbacks draw once in an episode, for a batch."""

import torch

_LOWEST = -(1 << 63)  # flips the order of int64 to that of uint64


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


_GOLDEN, _MIX1, _MIX2 = map(_signed, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def _shift(x: torch.Tensor, bits: int) -> torch.Tensor:
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: torch.Tensor) -> torch.Tensor:
    x = (x ^ _shift(x, 30)) * _MIX1
    x = (x ^ _shift(x, 27)) * _MIX2
    return x ^ _shift(x, 31)


def _hash2(a: torch.Tensor, b: torch.Tensor | int) -> torch.Tensor:
    return _mix(_mix(a + _GOLDEN) + b * _GOLDEN)


def episode_bits(key: torch.Tensor, episode: torch.Tensor, stream: int) -> torch.Tensor:
    """int64 [N]: the bits of randomness.random_bits(key, episode, 0, stream), key and episode int64 [N]."""
    return _mix(_hash2(_hash2(key, episode), 0) + _signed((stream * (_GOLDEN % (1 << 64))) % (1 << 64)))


def episode_index(key: torch.Tensor, episode: torch.Tensor, stream: int, count: int) -> torch.Tensor:
    """int64 [N] in [0, count), as randomness.random_index."""
    return _shift(episode_bits(key, episode, stream), 33) % count


def is_drawn(
    key: torch.Tensor, episode: torch.Tensor, stream: int, member: int, members: int, chosen: int
) -> torch.Tensor:
    """bool [N]: whether ``member`` is among the ``chosen`` of ``members`` of the episode, as program.is_drawn."""
    bits = torch.stack([episode_bits(key, episode, stream + i) ^ _LOWEST for i in range(members)])
    own = bits[member]
    before = (bits < own).sum(0) + (bits[:member] == own).sum(0)
    return before < chosen


def tick_uniform(key: torch.Tensor, episode: torch.Tensor, tick: torch.Tensor, stream: int, count: int) -> torch.Tensor:
    """float32 [N, count] in [0, 1): randomness.uniform(key, episode, tick, stream + 0 ... count - 1) of int64 [N]."""
    shared = _hash2(_hash2(key, episode), tick)
    streams = torch.tensor([_signed((stream + i) * _GOLDEN % (1 << 64)) for i in range(count)])
    return _shift(_mix(shared[:, None] + streams), 40).float() * 2.0**-24
