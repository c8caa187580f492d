"""From the game's frame to what VPT sees."""

import numpy as np


def _linear_weights(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Each target pixel's two source pixels and their weights in 1/2048, all int64 [target]."""
    position = ((np.arange(target) + 0.5) * source / target - 0.5).astype(np.float32)
    index = np.floor(position).astype(np.int64)
    fraction = position - index.astype(np.float32)
    fraction[(index < 0) | (index >= source - 1)] = 0.0
    index = index.clip(0, source - 1)
    scale = np.float32(2048)
    weights = np.rint((1 - fraction) * scale), np.rint(fraction * scale)
    return index, (index + 1).clip(max=source - 1), *(w.astype(np.int64) for w in weights)


def resize_linear(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Images uint8 [..., H, W, C] shrunk to ``size`` = (width, height), bit for bit as OpenCV's ``INTER_LINEAR``.

    VPT was trained on 640x360 frames shrunk to 128x128 this way: without antialiasing and in fixed-point arithmetic.
    Raises TypeError unless uint8, ValueError for a size that enlarges (there OpenCV rounds otherwise).
    """
    if images.dtype != np.uint8:
        raise TypeError(f"images must be uint8, not {images.dtype}")
    (height, width), (new_width, new_height) = images.shape[-3:-1], size
    if not (1 <= new_width <= width and 1 <= new_height <= height):
        raise ValueError(f"size={size} must not be larger than the images, {(width, height)}")
    left, right, left_weight, right_weight = _linear_weights(width, new_width)
    above, below, above_weight, below_weight = _linear_weights(height, new_height)
    wide = images.astype(np.int64)
    rows = wide[..., left, :] * left_weight[:, None] + wide[..., right, :] * right_weight[:, None]
    upper = (above_weight[:, None, None] * (rows[..., above, :, :] >> 4)) >> 16
    lower = (below_weight[:, None, None] * (rows[..., below, :, :] >> 4)) >> 16
    return ((upper + lower + 2) >> 2).clip(0, 255).astype(np.uint8)
