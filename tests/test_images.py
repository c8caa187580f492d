"""VPT's picture, bit for bit."""

from pathlib import Path

import numpy as np
import pytest
from golden_rule import images

from minestudio_envs.images import resize_linear

GOLDEN = np.load(Path(__file__).parent / "golden" / "resize_public.npz")


@pytest.mark.parametrize("name", [name for name in GOLDEN if name != "meta"])
def test_frames_shrink_as_opencv_shrinks_them(name):
    height, width = map(int, name.split("x"))
    frames = images(20240607, 1, 1, height, width)
    np.testing.assert_array_equal(resize_linear(frames, (128, 128))[0, 0], GOLDEN[name])


def test_what_it_cannot_do_is_named():
    with pytest.raises(ValueError, match="larger"):
        resize_linear(np.zeros((8, 8, 3), np.uint8), (8, 9))
    with pytest.raises(TypeError, match="float64"):
        resize_linear(np.zeros((8, 8, 3)), (4, 4))
