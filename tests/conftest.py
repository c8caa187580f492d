"""Lets tests import the scripts of the repository's root and the golden vectors' fill rule; groups for pytest-xdist."""

import sys
from pathlib import Path

import pytest
import torch

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent / "golden")]


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks
def pytest_collection_modifyitems(items):
    """A worker takes whole files, whose fixtures are made once, or the group "ray", for one Ray cluster at a time.

    That group first: it takes longest, and mostly waits, while another worker compiles the engine.
    """
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=lambda item: item.get_closest_marker("xdist_group").args != ("ray",))


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors: a second thread would wait up to 15 times as long as it works. The engine's first use undoes it."""
    torch.set_num_threads(1)
