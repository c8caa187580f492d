"""Counter-based randomness: a random number is a hash of what it is for, never of what was drawn before.

``uniform(key, episode, tick, stream)`` depends on nothing else, so a trajectory is the same whatever the batch size,
the device, the number of threads or the order in which environments are stepped.

The mixer is the finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
"""

import numpy as np

from minestudio_envs.voxel.jit import device_function, python_function

# Streams keep the draws of different purposes apart. A stream may be offset by an index (a mob, a column):
# leave 2**16 between two of them.
STREAM_WORLD = 1 << 16
STREAM_TREE = 2 << 16
STREAM_SPAWN = 3 << 16
STREAM_SUMMON = 4 << 16
STREAM_MOB = 5 << 16
STREAM_NATURAL_SPAWN = 20 << 16
STREAM_ARROW = 21 << 16
STREAM_STRAFE = 22 << 16
STREAM_LOOT, STREAM_THROW, STREAM_EAT = 32 << 16, 33 << 16, 34 << 16
STREAM_COMMAND = 40 << 16  # commands and callbacks' rows of a reset
STREAM_CALLBACK = 41 << 16  # what callbacks draw once in an episode

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_U27, _U30, _U31, _U33, _U40 = (np.uint64(shift) for shift in (27, 30, 31, 33, 40))
_TO_UNIT = np.float32(2.0**-24)


@device_function
def mix(x):
    """SplitMix64's finaliser: a bijection of uint64 in which every input bit reaches every output bit."""
    x = (x ^ (x >> _U30)) * _MIX1
    x = (x ^ (x >> _U27)) * _MIX2
    return x ^ (x >> _U31)


@device_function
def hash2(a, b):
    """Hash of two integers -> uint64."""
    return mix(mix(np.uint64(a) + _GOLDEN) + np.uint64(b) * _GOLDEN)


@device_function
def tick_bits(key, episode, tick):
    """The part of random_bits that all draws of a tick share."""
    return hash2(hash2(key, episode), tick)


@device_function
def stream_bits(tick_bits, stream):
    """random_bits(key, episode, tick, stream) from its shared part."""
    return mix(tick_bits + np.uint64(stream) * _GOLDEN)


@device_function
def random_bits(key, episode, tick, stream):
    """uint64 bits for (environment key, episode, tick, stream)."""
    return stream_bits(tick_bits(key, episode, tick), stream)


@device_function
def to_unit(bits):
    """uint64 bits -> float32 in [0, 1), from the top 24 bits."""
    return np.float32(bits >> _U40) * _TO_UNIT


@device_function
def uniform(key, episode, tick, stream):
    """float32 in [0, 1) for (environment key, episode, tick, stream)."""
    return to_unit(random_bits(key, episode, tick, stream))


@device_function
def draw(bits, which):
    """The ``which``-th (0-3) of the four numbers in [0, 1) that 64 random bits hold."""
    return float((bits >> np.uint64(16 * which)) & np.uint64(0xFFFF)) * 2.0**-16


@device_function
def random_index(bits, count):
    """uint64 bits -> int64 in [0, count)."""
    return np.int64(bits >> _U33) % np.int64(count)


def environment_key(seed: int, index: int) -> int:
    """The int64 key of environment ``index`` of a batch seeded with ``seed``; a single environment has index 0."""
    mixed = python_function(mix)  # hash2, in Python
    with np.errstate(over="ignore"):
        key = mixed(mixed(np.uint64(seed & 0xFFFFFFFFFFFFFFFF) + _GOLDEN) + np.uint64(index) * _GOLDEN)
    return int(key.astype(np.int64))
