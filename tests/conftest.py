"""Lets tests import the scripts of the repository's root and the golden vectors' fill rule; schedules pytest -n."""

import sys
from pathlib import Path

import pytest
import torch

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent / "golden")]

RAY = {"test_distributed", "test_distributed_failures", "test_distributed_script", "test_minecraft_training"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A process takes whole files, whose fixtures are made once; one takes all that start Ray, a cluster at a time."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "ray" if Path(file).stem in RAY else file

    config.option.loadscopereorder = False
    return Scheduling(config, log)


def pytest_collection_modifyitems(items):
    """Ray first: it takes longest, and at first does without the engine, which another process compiles meanwhile."""
    items.sort(key=lambda item: item.path.stem not in RAY)


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors: a second thread would wait up to 15 times as long as it works. The engine's first use undoes it."""
    torch.set_num_threads(1)
