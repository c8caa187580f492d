"""Lets tests import the scripts of the repository's root and the golden vectors' fill rule."""

import sys
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent / "golden")]
torch.set_num_threads(1)  # tiny tensors: a second thread would only wait, up to 15 times as long as the work takes
