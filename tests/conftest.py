"""Lets tests import the scripts of the repository's root and the golden vectors' fill rule."""

import sys
from pathlib import Path

import pytest
import torch

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent / "golden")]


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors: a second thread would wait up to 15 times as long as it works. The engine's first use undoes it."""
    torch.set_num_threads(1)
