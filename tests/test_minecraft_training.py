"""Both scripts train through real Minecraft's adapter; the stand-in plays the game (see test_minecraft.py)."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stand_in_engine import events, misbehave, stand_in, survivors

from minestudio_envs.training.checkpoints import read_manifest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(
    not os.environ.get("MINESTUDIO_PYTHON"), reason="MINESTUDIO_PYTHON names no interpreter with minestudio"
)
ONLINE = "--engine minecraft --num-envs 2 --inference-batch-size 1 --fragment-length 8 --context-length 8"
ONLINE += " --batch-size-per-gpu 2 --batches-per-iteration 2 --record-video-interval 2 --save-interval 1"
WORKER = "--rollout-config.worker-config."
DISTRIBUTED = "--laptop --no-synchronous --no-detach-rollout-manager --train-config.num-readers 1"
DISTRIBUTED += f" {WORKER}engine minecraft {WORKER}num-envs 2 {WORKER}batch-size 1 --rollout-config.fragment-length 8"
DISTRIBUTED += " --train-config.context-length 8 --train-config.batch-size-per-gpu 2"
DISTRIBUTED += " --train-config.batches-per-iteration 2 --train-config.record-video-interval 2"
DISTRIBUTED += " --train-config.save-interval 1 --rollout-config.num-cpus-per-worker 1"


@pytest.fixture
def game(tmp_path):
    """The folder of the engines."""
    folder = tmp_path / "game"
    folder.mkdir()
    stand_in(folder)
    yield folder
    end = time.monotonic() + 15
    while survivors(folder) and time.monotonic() < end:
        time.sleep(0.1)
    left = survivors(folder)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def start(game, script, flags, **variables):
    return subprocess.Popen(
        [sys.executable, ROOT / script, *flags.split()],
        cwd=game.parent,
        env=os.environ | stand_in(game) | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    return output


def train_and_kill(game, script, flags, **variables):
    """Train; after the first iteration an engine dies; two iterations after another took its place, interrupt."""
    training = start(game, script, flags, **variables)
    shown, after = [], math.inf  # lines; how many there were when the other was ready
    for line in training.stdout:
        shown.append(line)
        if "iteration 1/" in line:
            misbehave(game, {"fault": "die", "engine": 0})
        if len(events(game, "ready")) > 2:
            after = min(after, len(shown))
        if "iteration " in line and sum("iteration " in line for line in shown[min(after, len(shown)) :]) == 2:
            training.send_signal(signal.SIGINT)
            break
    shown += training.stdout
    assert training.wait(60) == 0, "".join(shown)
    (run,) = (game.parent / "output").glob("kill_cow*")
    return "".join(shown), max(read_manifest(folder)["iteration"] for folder in (run / "checkpoints").iterdir())


def check(path, iterations):
    (file,) = path.glob("output/*/metrics.jsonl")
    metrics = [row for row in map(json.loads, file.read_text().splitlines()) if "charts/iteration" in row]
    assert [row["charts/iteration"] for row in metrics] == list(range(1, iterations + 1))
    for row in metrics:
        assert row["invariants/fresh_log_prox_behavior"] < 1e-3  # the policy saw what the learner sees
    return metrics


def test_the_online_script_survives_a_killed_engine_and_is_resumed(game, tmp_path):
    flags = f"{ONLINE} --num-iterations"
    output, iteration = train_and_kill(game, "ppo_vpt_online.py", f"{flags} 100000")
    assert "killed, and started again" in output
    assert check(tmp_path, iteration)[-1]["charts/engine_restarts"] == 1
    output = finish(start(game, "ppo_vpt_online.py", f"{flags} {iteration + 2} --resume latest"))
    assert f"resumed at iteration {iteration}" in output and "new episodes begin" in output
    check(tmp_path, iteration + 2)


def test_the_distributed_script_survives_a_killed_engine_and_is_resumed(game, tmp_path):
    pytest.importorskip("ray", reason="pip install ray")
    flags, variables = f"{DISTRIBUTED} --train-config.num-iterations", {"RAY_AUTH_MODE": "disabled"}
    _, iteration = train_and_kill(game, "ppo_vpt_distributed.py", f"{flags} 100000", **variables)
    assert check(tmp_path, iteration)[-1]["charts/engine_restarts"] == 1
    flags += f" {iteration + 2} --train-config.resume latest"
    assert f"resumed at iteration {iteration}" in finish(start(game, "ppo_vpt_distributed.py", flags, **variables))
    check(tmp_path, iteration + 2)
