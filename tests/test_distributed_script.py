"""ppo_vpt_distributed.py as its users start it, on a Ray of its own that outlives it."""

import contextlib
import os
import re
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="pip install ray")

from toy_cluster import rows, until

from minestudio_envs.training.checkpoints import read_manifest

ROOT = Path(__file__).parents[1]


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # importing it fails
    with pytest.raises(ImportError, match=re.escape('pip install -e ".[distributed]"')):
        runpy.run_path(str(ROOT / "ppo_vpt_distributed.py"))


@pytest.fixture
def environment():
    """For a Ray of this test alone."""
    with tempfile.TemporaryDirectory(prefix="ray") as folder:  # paths of sockets are short
        environment = os.environ | {"RAY_TMPDIR": folder}
        yield environment
        for pid in processes(environment):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def start(tmp_path, environment, *flags):
    """The script as its users start it, with a toy's sizes."""
    sizes = "--rollout-config.worker-config.num-envs 8 --rollout-config.worker-config.batch-size 8"
    sizes += " --train-config.batches-per-iteration 1 --train-config.batch-size-per-gpu 8 --train-config.num-readers 1"
    sizes += f" --rollout-config.num-cpus-per-worker 1 --train-config.num-cpus-per-worker 1 --namespace {tmp_path.name}"
    return subprocess.Popen(
        [sys.executable, ROOT / "ppo_vpt_distributed.py", "--laptop", *sizes.split(), *flags],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=environment,
    )


def finish(process, expect=0):
    output, _ = process.communicate(timeout=120)
    assert process.returncode == expect, output
    return output


def processes(environment):
    """Command lines of those of this environment, that is of its Ray."""
    mark, found = f"RAY_TMPDIR={environment['RAY_TMPDIR']}".encode(), {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended
            if mark in (folder / "environ").read_bytes():
                found[int(folder.name)] = (folder / "cmdline").read_text()
    return found


def workers(environment):
    return {pid for pid, command in processes(environment).items() if "RolloutWorker" in command}


def test_rollouts_stay_for_the_next_trainer_and_stop_leaves_nothing(tmp_path, environment):
    """A script, an interrupt, resume, other settings, --stop; each a process of its own, on a Ray of its own."""
    memory = set(os.listdir("/dev/shm"))
    first = start(tmp_path, environment, "--train-config.num-iterations", "100000")
    begun = ""
    for line in first.stdout:
        begun += line
        if "iteration 3/" in line:
            break
    first.send_signal(signal.SIGINT)
    output = begun + finish(first)
    assert "started Ray" in output and "the rollouts stay" in output
    run_path = next((tmp_path / "output").glob("kill_cow*"))
    (checkpoint,) = (run_path / "checkpoints").iterdir()
    iteration = read_manifest(checkpoint)["iteration"]
    collecting = workers(environment)
    assert len(collecting) == 1

    more = str(iteration + 2)
    output = finish(
        start(tmp_path, environment, "--train-config.resume", "latest", "--train-config.num-iterations", more)
    )
    assert "took over the rollouts" in output and f"resumed at iteration {iteration}" in output
    assert workers(environment) == collecting
    done = [row["charts/iteration"] for row in rows(run_path)]
    assert done == list(range(1, iteration + 3))

    other = ("--rollout-config.fragment-length", "16", "--train-config.num-iterations", "1")
    output = finish(start(tmp_path, environment, *other))
    assert "replaced" in output and "rollout_config.fragment_length: 32 there, 16 here" in output
    assert workers(environment).isdisjoint(collecting)

    output = finish(start(tmp_path, environment, "--stop"))
    assert "stopped the rollouts and Ray" in output
    until(lambda: not processes(environment))
    until(lambda: set(os.listdir("/dev/shm")) <= memory)  # other programs' files come and go
    assert not list((tmp_path / "output" / "replay_buffer_cache").iterdir())
    assert "nothing to stop" in finish(start(tmp_path, environment, "--stop"))
