"""A run that is killed and resumed gives what an uninterrupted one gives, bit for bit; broken checkpoints are found."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from colour_env import ColourEnv
from test_ppo import iterate, make_trainer, weights

from minestudio_envs.training.checkpoints import (
    CheckpointError,
    find_checkpoint,
    read_manifest,
    remove_old_checkpoints,
    write_checkpoint,
)
from minestudio_envs.training.resume import load_trainer, save_trainer
from minestudio_envs.training.run_logger import drop_rows_after
from minestudio_envs.training.settings import command_line
from ppo_vpt_online import Args

SCRIPT = Path(__file__).parents[1] / "ppo_vpt_online.py"
TINY = "--num-envs 6 --batch-size-per-gpu 2 --batches-per-iteration 4 --gradient-accumulation 2 --fragment-length 8"
TINY += " --context-length 8 --max-reuse 2 --kl-divergence-coef-rho 0.1 --anneal-lr-linearly --record-video-interval 0"
TINY += " --save-interval 1 --keep-interval 1 --sleep-epochs 1"


def start(tmp_path, *flags):
    command = [sys.executable, SCRIPT, "--save-path", tmp_path / "out", *flags]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"COLUMNS": "200"}, **streams)


def run(tmp_path, *flags):
    process = start(tmp_path, *flags)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    (path,) = (tmp_path / "out").glob("*")
    return output, path


def tensors(path):
    return torch.load(path, weights_only=True)


def assert_same(a, b, where=""):
    if where.endswith("/seconds"):  # by the clock on the wall
        pass
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}/{i}")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    else:
        assert a == b or a != a, where


@pytest.mark.parametrize("replay_memory, max_reuse", [("4", "2"), ("0", "2"), ("0", "1")])
def test_six_iterations_are_three_a_kill_and_three_more(tmp_path, replay_memory, max_reuse):
    flags = [*TINY.split(), "--replay-memory", replay_memory, "--max-reuse", max_reuse]
    (tmp_path / "whole").mkdir()
    (tmp_path / "broken").mkdir()
    _, whole = run(tmp_path / "whole", *flags, "--num-iterations", "6")
    process = start(tmp_path / "broken", *flags, "--num-iterations", "6")
    for line in process.stdout:
        if "iteration 4/" in line:  # so that there are rows and files that resuming has to drop
            break
    process.kill()
    process.communicate()
    path = next((tmp_path / "broken" / "out").glob("*"))
    for checkpoint in (path / "checkpoints").glob("iteration_*"):
        if checkpoint.name > "iteration_000003":
            shutil.rmtree(checkpoint)
    output, broken = run(tmp_path / "broken", "--resume", "latest")  # with the settings it was begun with
    assert "resumed at iteration 3" in " ".join(output.split()) and broken == path

    last = "checkpoints/iteration_000006"
    assert (whole / last / "policy.weights").read_bytes() == (broken / last / "policy.weights").read_bytes()
    assert_same(tensors(whole / last / "trainer.pt"), tensors(broken / last / "trainer.pt"))
    rows = [[json.loads(line) for line in open(run / "metrics.jsonl")] for run in (whole, broken)]
    assert [row["charts/iteration"] for row in rows[1]] == [1, 2, 3, 4, 5, 6]
    for a, b in zip(*rows, strict=True):
        assert {k: v for k, v in a.items() if "time" not in k and "SPS" not in k} == {
            k: v for k, v in b.items() if "time" not in k and "SPS" not in k
        }
    assert rows[0][5]["offpolicy/staleness_max"] > 0
    # what the killed run left was removed by the one that resumed it
    assert not list((tmp_path / "broken" / "output" / "replay_buffer_cache").glob("process_*"))


def test_a_run_killed_at_any_moment_can_be_resumed(tmp_path):
    """Saving takes most of the time here, so that many kills fall into it."""
    flags = [*TINY.split(), "--num-iterations", "100000", "--sleep-epochs", "0"]
    rng, seen = random.Random(0), -1
    for attempt in range(4):
        process = start(tmp_path, *(flags if seen < 0 else ["--resume", "latest"]))
        for line in process.stdout:
            if f"iteration {seen + 2}/" in line:
                break
        time.sleep(rng.random())
        process.kill()
        output, _ = process.communicate()
        assert "error" not in output
        newest = find_checkpoint("latest", tmp_path / "out")
        iteration = read_manifest(newest)["iteration"]
        assert iteration > seen, attempt
        seen = iteration


def test_an_interrupted_run_goes_on(tmp_path):
    process = start(tmp_path, *TINY.split(), "--num-iterations", "5")
    for line in process.stdout:
        if "iteration 1/" in line:
            break
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "checkpoint:" in output
    output, path = run(tmp_path, "--resume", "latest")
    assert [json.loads(line)["charts/iteration"] for line in open(path / "metrics.jsonl")] == [1, 2, 3, 4, 5]


# IN ONE PROCESS


def checkpoint(tmp_path, **kwargs):
    trainer = make_trainer(tmp_path, max_reuse=2, **kwargs)
    iterate(trainer, 3)
    return trainer, save_trainer(trainer)


def test_everything_is_in_the_checkpoint(tmp_path):
    """Also for another kind of environment, and with the reference moved."""
    kwargs = {"enable_ref_update": True, "keep_interval": 2, "num_iterations": 6, "anneal_lr_linearly": True}
    trainer, folder = checkpoint(tmp_path, **kwargs)
    resumed = make_trainer(tmp_path, max_reuse=2, **kwargs)
    load_trainer(resumed, folder)
    assert iterate(trainer, 3).keys() == (other := iterate(resumed, 3)).keys()
    assert torch.equal(weights(trainer.policy), weights(resumed.policy))
    assert torch.equal(weights(trainer.reference), weights(resumed.reference))
    assert other["charts/optimizer_steps"] == trainer.learner.optimizer_steps
    assert trainer.statistics() == resumed.statistics()


@pytest.mark.parametrize("steps", [1, 9, 16, 21])
def test_a_run_interrupted_while_collecting_goes_on_bit_for_bit(tmp_path, steps):
    """Also in the middle of a chunk: what was collected of it, and what the reference has yet to see, is kept."""
    kwargs = {"max_reuse": 2, "num_envs": 4}
    whole, broken = make_trainer(tmp_path, **kwargs), make_trainer(tmp_path, **kwargs)
    iterate(whole, 4)
    iterate(broken, 2)
    step = broken.collector.step

    def interrupted_step(chunks, t):
        nonlocal steps
        step(chunks, t)
        steps -= 1
        if steps == 0:
            broken.interrupt()

    broken.collector.step = interrupted_step
    broken.collect()
    resumed = make_trainer(tmp_path, **kwargs)
    load_trainer(resumed, save_trainer(broken))
    iterate(resumed, 2)
    assert torch.equal(weights(whole.policy), weights(resumed.policy))
    assert whole.statistics() == resumed.statistics()


def test_flags_given_anew_hold(tmp_path):
    _, folder = checkpoint(tmp_path)
    resumed = make_trainer(
        tmp_path, max_reuse=2, weight_decay=0.5, adam_eps=1.0, batch_size_per_gpu=2, batches_per_iteration=4
    )
    load_trainer(resumed, folder)
    groups = resumed.learner.optimizer.param_groups
    assert [(group["weight_decay"], group["eps"]) for group in groups] == [(0.5, 1.0), (0.0, 1.0)]
    other = make_trainer(tmp_path, max_reuse=2, inference_batch_size=3)
    load_trainer(other, folder)
    assert iterate(resumed)["charts/optimizer_steps"] > iterate(other)["charts/optimizer_steps"]


def test_resuming_without_the_optimizer_is_for_once(tmp_path, monkeypatch):
    _, folder = checkpoint(tmp_path, resume_optimizer=False)
    monkeypatch.setattr("sys.argv", ["ppo_vpt_online.py", "--resume", str(folder), "--num-envs", "16"])
    args = command_line(Args)
    assert args.resume_optimizer and args.num_envs == 16 and args.fragment_length == 16


def test_the_optimizer_can_be_left_behind(tmp_path):
    _, folder = checkpoint(tmp_path)
    for keep in (True, False):
        resumed = make_trainer(tmp_path, max_reuse=2, resume_optimizer=keep)
        load_trainer(resumed, folder)
        assert bool(resumed.learner.optimizer.state) == keep


def test_environments_that_cannot_be_saved_begin_anew_with_a_warning(tmp_path, caplog):
    class Forgetful(ColourEnv):
        state_dict = load_state_dict = property()  # AttributeError, as if it were not there

    _, folder = checkpoint(tmp_path, env=Forgetful(8))
    resumed = make_trainer(tmp_path, max_reuse=2, env=Forgetful(8))
    with caplog.at_level("WARNING", "ppo_vpt"):
        load_trainer(resumed, folder)
    assert "cannot be saved" in caplog.text and iterate(resumed)["charts/optimizer_steps"] > 0


@pytest.mark.parametrize(
    "change",
    [{"num_envs": 4}, {"fragment_length": 8}, {"kl_divergence_coef_rho": 0.0}, {"net_args": "wider"}],
)
def test_a_checkpoint_of_other_shapes_is_refused(tmp_path, change):
    _, folder = checkpoint(tmp_path, kl_divergence_coef_rho=0.1)
    if "net_args" in change:
        from colour_env import NET_ARGS

        change = {"net_args": NET_ARGS | {"hidsize": 64}}
    resumed = make_trainer(tmp_path, max_reuse=2, **({"kl_divergence_coef_rho": 0.1} | change))
    with pytest.raises(CheckpointError, match="does not fit this code or these settings"):
        load_trainer(resumed, folder)


def test_latest_passes_over_what_is_broken(tmp_path, caplog):
    trainer = make_trainer(tmp_path, keep_interval=1)
    folders = []
    for _ in range(5):
        iterate(trainer)
        folders.append(save_trainer(trainer))
        time.sleep(0.01)
    assert find_checkpoint("latest", tmp_path) == folders[4]
    with open(folders[4] / "trainer.pt", "r+b") as file:  # a flipped bit
        file.seek(5000)
        byte = file.read(1)
        file.seek(5000)
        file.write(bytes([byte[0] ^ 1]))
    (folders[3] / "policy.weights").unlink()
    (folders[2] / "manifest.json").write_text("{")
    manifest = json.loads((folders[1] / "manifest.json").read_text())
    (folders[1] / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    with caplog.at_level("WARNING", "ppo_vpt"):
        assert find_checkpoint("latest", tmp_path) == folders[0]
    for part in ("trainer.pt is not what was written", "policy.weights is missing", "broken", "format 99"):
        assert part in caplog.text
    for folder in folders[1:]:
        with pytest.raises(CheckpointError, match=folder.name):
            find_checkpoint(str(folder), tmp_path)


def test_every_flipped_bit_of_a_manifest_is_a_clear_error_or_harmless(tmp_path):
    with write_checkpoint(tmp_path / "run" / "checkpoints" / "iteration_000001", iteration=1) as aside:
        (aside / "file").write_bytes(b"x" * 100)
    path = tmp_path / "run" / "checkpoints" / "iteration_000001" / "manifest.json"
    good = path.read_bytes()
    for bit in range(len(good) * 8):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        try:
            assert read_manifest(path.parent)["files"].keys() == {"file"}
        except CheckpointError:
            pass


def test_a_save_that_fails_leaves_the_older_checkpoint(tmp_path):
    trainer, folder = checkpoint(tmp_path)
    iterate(trainer)
    trainer.replay.save = lambda folder: 1 / 0
    with pytest.raises(ZeroDivisionError):
        save_trainer(trainer)
    assert find_checkpoint("latest", tmp_path) == folder
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def test_coming_again_to_a_broken_checkpoint_replaces_it(tmp_path):
    trainer, folder = checkpoint(tmp_path)
    (folder / "trainer.pt").write_bytes(b"")
    trainer.saved_iteration = -1
    assert save_trainer(trainer) == folder and read_manifest(folder)["iteration"] == 3


def test_only_checkpoints_are_cleared_away(tmp_path):
    names = [f"iteration_00000{i}" for i in range(1, 5)]
    for name in (*names, "iteration_000003_backup", "iteration_best", "other"):
        (tmp_path / name).mkdir()
    remove_old_checkpoints(tmp_path / names[3], 2)
    left = {names[1], names[3], "iteration_000003_backup", "iteration_best", "other"}
    assert {folder.name for folder in tmp_path.iterdir()} == left


@pytest.mark.parametrize("args", [None, [], "x"])
def test_a_manifest_whose_settings_are_none_is_named(tmp_path, args):
    with write_checkpoint(tmp_path / "iteration_000001", args=args):
        pass
    with pytest.raises(CheckpointError, match=r"iteration_000001 is no checkpoint: its manifest\.json"):
        read_manifest(tmp_path / "iteration_000001")


def test_rows_that_will_be_written_again_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    keep = '{"charts/global_step": 2}\n{"charts/iteration": 1}\n'
    path.write_text(keep + '{"charts/global_step": 5}\n{"charts/iteration": 2}\n{"charts/iter')
    drop_rows_after(path, 1)
    assert path.read_text() == keep


def test_without_a_save_path_runs_go_to_ray_results(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    flags = [*TINY.split(), "--save-path", "None", "--num-iterations", "1"]
    subprocess.run([sys.executable, SCRIPT, *flags], cwd=tmp_path, check=True, timeout=300, capture_output=True)
    (run,) = (tmp_path / "ray_results").glob("kill_cow__1__*")
    assert (run / "checkpoints" / "iteration_000001" / "policy.weights").exists()
