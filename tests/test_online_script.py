"""ppo_vpt_online.py as its users start it: a process, its files, its messages."""

import dataclasses
import itertools
import json
import math
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import imageio.v3 as iio
import pytest
import torch

from minestudio_envs.training.checkpoints import CheckpointError
from minestudio_envs.training.run_logger import RunLogger, make_console
from minestudio_envs.training.vpt_files import save_vpt_policy
from ppo_vpt_online import SMALL_NET_ARGS, Args, VPTPolicy, load_openai_policy

SCRIPT = Path(__file__).parents[1] / "ppo_vpt_online.py"
QUICK = ["--num-envs", "8", "--batches-per-iteration", "1", "--gradient-accumulation", "1", "--video-width", "161"]


def start(tmp_path, *flags):
    return subprocess.Popen(
        [sys.executable, SCRIPT, "--save-path", tmp_path / "out", *flags],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
    )


def run(tmp_path, *flags, expect=0):
    process = start(tmp_path, *flags)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == expect, output
    return output, next(iter((tmp_path / "out").glob("*")), None)


def test_three_iterations_leave_a_policy_a_video_and_metrics(tmp_path):
    output, path = run(tmp_path, "--num-iterations", "3")
    checkpoint = path / "checkpoints" / "iteration_000003"
    policy = load_openai_policy(checkpoint / "policy.model", checkpoint / "policy.weights")
    assert all(torch.isfinite(p).all() for p in policy.parameters())
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert [row["charts/iteration"] for row in rows] == [1, 2, 3]
    steps = [0, *(row["charts/global_step"] for row in rows)]  # 64 x 32 an iteration, less the steps that only reset
    assert all(2048 - 64 <= after - before <= 2048 for before, after in itertools.pairwise(steps))
    for key in ("charts/SPS", "losses/policy_loss", "losses/value_loss", "losses/entropy", "time/update"):
        assert math.isfinite(rows[2][key])
    video = iio.imread(path / "videos" / "iteration_000001.mp4", plugin="pyav")
    assert video.shape == (96, 270, 480, 3) and video.std() > 10  # as far as three iterations of 32 steps go
    assert "iteration 3/3" in output


def test_an_interrupt_saves_and_leaves(tmp_path):
    process = start(tmp_path, *QUICK, "--num-iterations", "100000")
    for line in process.stdout:
        if "iteration 2/" in line:
            break
    process.send_signal(signal.SIGINT)
    started = time.time()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and time.time() - started < 30, output
    path = next((tmp_path / "out").glob("*"))
    (checkpoint,) = (path / "checkpoints").glob("iteration_*")
    load_openai_policy(checkpoint / "policy.model", checkpoint / "policy.weights")
    assert iio.improps(path / "videos" / "iteration_000001.mp4", plugin="pyav").shape[1:] == (90, 160, 3)


def test_a_second_interrupt_leaves_at_once(tmp_path):
    process = start(tmp_path, *QUICK, "--num-iterations", "100000")
    for line in process.stdout:
        if "iteration 1/" in line:
            break
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode != 0, "it took the time to save, as after one interrupt"
    assert not list((tmp_path / "out").glob("*/checkpoints/iteration_*"))


def test_wandb_and_tensorboard_get_the_metrics_and_the_films(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    flags = ["--track", "--project", "cows", "--name", "bow_cow", "--tensorboard", "--num-iterations", "2"]
    films = ["--video-output-dir", tmp_path / "films", "--video-fps", "10", "--fragments-per-report", "8"]
    output, path = run(tmp_path, *QUICK, *flags, *films)
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    assert len(list(folder.glob("files/media/videos/videos/*.mp4"))) == 1, output
    record = next(folder.glob("run-*.wandb")).read_bytes()
    for part in (b"losses/policy_loss", b"charts/episodic_return", b"cows", path.name.encode()):
        assert part in record
    assert path.name.startswith("bow_cow__1__")
    assert len(list(path.glob("tensorboard/events*"))) == 1
    film = iio.immeta(tmp_path / "films" / "iteration_000001.mp4", plugin="pyav")
    assert film["fps"] == 10 and not (path / "videos").exists()
    # two rounds of 8 fragments in each iteration, each reported, and the row of the iteration
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert [row.get("charts/iteration") for row in rows] == [None, None, 1, None, None, 2]


def test_two_runs_of_the_same_second_get_folders_of_their_own(tmp_path):
    flags = [*QUICK, "--num-iterations", "1", "--record-video-interval", "0"]
    processes = [start(tmp_path, *flags) for _ in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    assert len(list((tmp_path / "out").glob("*/checkpoints/iteration_000001/policy.weights"))) == 2


def test_checkpoints_come_at_their_interval_and_the_kept_ones_stay(tmp_path):
    flags = ["--num-iterations", "5", "--save-interval", "1", "--keep-interval", "2", "--record-video-interval", "0"]
    _, path = run(tmp_path, *QUICK, "--fragment-length", "8", "--context-length", "8", *flags)
    names = sorted(folder.name for folder in (path / "checkpoints").iterdir())
    assert names == ["iteration_000002", "iteration_000004", "iteration_000005"]
    assert not (path / "videos").exists()


def test_it_goes_on_from_vpt_files_and_shows_their_temperature(tmp_path):
    torch.manual_seed(0)
    net_args = SMALL_NET_ARGS | {"img_shape": [32, 32, 3], "hidsize": 64}
    policy = VPTPolicy(net_args, temperature=2.0)
    save_vpt_policy(policy, tmp_path / "p.model", tmp_path / "p.weights")
    flags = ["--model-path", "p.model", "--weights-path", "p.weights", "--learning-rate", "0", "--num-iterations", "1"]
    output, path = run(tmp_path, *QUICK, *flags)
    assert "temperature 2.0" in output
    checkpoint = path / "checkpoints" / "iteration_000001"
    trained = load_openai_policy(checkpoint / "policy.model", checkpoint / "policy.weights")
    for (name, a), b in zip(policy.state_dict().items(), trained.state_dict().values(), strict=True):
        if not name.startswith("value_head"):
            assert torch.equal(a, b), name


def test_every_flag_has_one_line_of_help_in_its_group():
    """tyro reads the comments: one that ruff wrapped away from its flag would be lost."""
    text = subprocess.run(
        [sys.executable, SCRIPT, "--help"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    for group in Args.__bases__:
        assert group.__doc__ in text
    lines = SCRIPT.read_text().splitlines()
    for field in dataclasses.fields(Args):
        (line,) = (line for line in lines if line.startswith(f"    {field.name}: ") and "=" in line)
        assert re.search(r"  # \S{1}.{6,}", line), field.name


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--max-chunks", "63"], "--max-chunks 63 cannot hold an iteration's 64 fragments"),
        (["--name", "a/b"], "--name a/b names a folder"),
        (["--fragments-per-chunk", "3"], "--fragments-per-chunk 3 must divide --batch-size-per-gpu 16"),
        (["--advantage", "vtrace", "--loss", "behavior"], "a second time beside --advantage vtrace"),
        (
            ["--enable-ref-update", "--kl-divergence-coef-rho", "0"],
            "--enable-ref-update True needs a reference policy",
        ),
        (["--memory", "burn-in", "--burn-in-length", "32"], "--burn-in-length 32 leaves no step"),
        (["--resume", "nowhere"], "nowhere: no such folder"),
        (["--resume", "latest"], "latest: no good checkpoint in 0 folders"),
        (["--gradient-accumulation", "3"], "--gradient-accumulation 3 must divide --batches-per-iteration 4"),
        (["--seed", str(2**63)], f"--seed {2**63} must be below 2^63"),
        (["--num-envs", "0"], "--num-envs 0 must be at least 1"),
        (["--discount", "1.5"], "--discount 1.5 must be between 0 and 1"),
        (["--weights-path", "x.weights"], "--weights-path x.weights needs --model-path"),
        (["--model-path", "nowhere.model"], "nowhere.model"),
        (["--device", "tpu9"], "tpu9"),
        (["--temperature", "2"], "--temperature 2.0 needs --model-path"),
        (["--learning-rate", "-1"], "--learning-rate -1.0 must be at least 0"),
        (["--learning-rte", "1"], "learning-rate"),
    ],
)
def test_a_wrong_flag_is_named_before_anything_starts(tmp_path, monkeypatch, capsys, flags, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--save-path", str(tmp_path / "out"), *flags])
    with pytest.raises(SystemExit) as error:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    said = capsys.readouterr()
    # Python prints what is not a number, and nothing beside it.
    assert error.value.code not in (0, None)
    assert message in " ".join(f"{said.out} {said.err} {error.value.code}".replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_more_environments_than_there_is_memory_for(tmp_path, monkeypatch):
    # More than addresses reach: no system promises it.
    flags = ["--num-envs", str(10**15), "--save-path", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *flags])
    with pytest.raises(SystemExit, match="not enough memory: fewer --num-envs"):
        runpy.run_path(str(SCRIPT), run_name="__main__")


def test_one_process_at_a_time_goes_on_with_a_run(tmp_path):
    """A second one would drop the rows that the first goes on to write."""
    begin = (tmp_path, {}, make_console())
    with RunLogger(*begin) as log:
        log.log({"charts/iteration": 1, "charts/global_step": 8})
        with pytest.raises(CheckpointError, match="another process"):
            RunLogger(*begin)
    with RunLogger(*begin, iteration=1):
        assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 1
