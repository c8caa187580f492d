"""scripts/results.py: its variants do what they say, and an experiment trains, goes on and is drawn."""

import dataclasses
import json
import os
import time

import pytest
import torch

import minestudio_envs
import ppo_vpt_online as ppo
from minestudio_envs.tasks import kill_cow, t_maze
from scripts import results


@pytest.mark.parametrize("kind", [ppo.VPTPolicy, results.ForgetfulPolicy, results.FirstDefectPolicy])
def test_variants_learn_as_they_say(kind, tmp_path, monkeypatch):
    """With one policy throughout, acting and learning differ only by the defect, and only where an episode ends."""
    monkeypatch.setattr(ppo, "env_generator", t_maze)
    small = {"num_envs": 4, "batch_size_per_gpu": 4, "batches_per_iteration": 1, "fragment_length": 48}
    args = ppo.Args(**small, context_length=48, learning_rate=0.0, record_video_interval=0, save_path=str(tmp_path))
    trainer = ppo.make_trainer(args, results.pretrained(kind)(), tmp_path)
    trainer.collect()
    assert sum(chunk.data.first[1:].any() for chunk in trainer.replay.chunks) >= 2
    gap = trainer.update()["losses/approx_kl"]  # of the learner's policy to the one that acted
    trainer.close()
    assert gap > 1e-2 if kind is results.FirstDefectPolicy else abs(gap) < 1e-5


def log_probs(policy: ppo.VPTPolicy, frames: torch.Tensor, first: torch.Tensor, pieces: int) -> torch.Tensor:
    """[T] of action 0, the steps of one row given in so many calls."""
    memory, found = policy.initial_memory(1), []
    with torch.no_grad():
        for part, begins in zip(frames.chunk(pieces, 1), first.chunk(pieces, 1), strict=True):
            latents, memory = policy.encode(part, begins, memory)  # as the learner does it
            found.append(policy.heads(latents).buttons[0, :, 0])
    return torch.cat(found)


def test_variants_forget_or_do_not_notice_the_first_step():
    frames = torch.randint(0, 256, (1, 8, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    first = torch.tensor([[True, False, False, False, True, False, False, False]])
    right, forgetful, defect = (
        results.pretrained(kind)() for kind in (ppo.VPTPolicy, results.ForgetfulPolicy, results.FirstDefectPolicy)
    )
    whole, steps = (log_probs(right, frames, first, n) for n in (1, 8))
    assert torch.allclose(whole, steps, atol=1e-4)
    alone = torch.cat([log_probs(right, frame, first[:, :1], 1) for frame in frames.split(1, 1)])
    assert torch.allclose(log_probs(forgetful, frames, first, 1), alone, atol=1e-4)
    assert not torch.allclose(alone, whole, atol=1e-2)
    assert torch.equal(log_probs(defect, frames, first, 8), steps)  # acting
    learning = log_probs(defect, frames, first, 1)
    assert torch.allclose(learning[:4], steps[:4], atol=1e-4) and not torch.allclose(learning[4:], steps[4:], atol=1e-2)


SMALL = {"num_envs": 4, "batch_size_per_gpu": 4, "batches_per_iteration": 1, "fragment_length": 48}
SMALL |= {"save_interval": 1, "context_length": 48}


@pytest.fixture
def variants(monkeypatch):
    """Sets an experiment's variants."""
    pytest.importorskip("matplotlib")
    for name in ("env_generator", "policy_generator"):  # results.py sets them
        monkeypatch.setattr(ppo, name, getattr(ppo, name))
    return lambda name, variants: monkeypatch.setitem(results.EXPERIMENTS, name, variants)


def test_an_experiment_trains_goes_on_and_is_drawn(tmp_path, monkeypatch, variants):
    one = results.Variant(t_maze, settings=SMALL)
    other = results.Variant(t_maze, results.from_scratch, SMALL | results.NO_LEASH)
    variants("memory", {"one, alone": one, "other": other})
    args = results.Args("memory", seeds=(1, 2), iterations=2, runs=tmp_path / "runs", docs=tmp_path / "docs")
    results.run_experiment(args)
    folders = sorted((tmp_path / "runs").iterdir())
    assert [len(results.rows_of(folder)) for folder in folders] == [2] * 4
    table = (tmp_path / "docs/memory.md").read_text()
    assert [line.split(" | ")[0] for line in table.splitlines()[2:]] == ["| one, alone", "| other"]
    assert (tmp_path / "docs/memory.png").stat().st_size > 10_000
    drawn = []
    monkeypatch.setattr(results.plot, "draw", lambda runs, _: drawn.append(runs))
    results.run_experiment(dataclasses.replace(args, iterations=3, seeds=(2,)))  # the same runs go on
    assert drawn == [{"one, alone": folders[1:2], "other": folders[3:]}]  # what the table has, no more
    results.run_experiment(dataclasses.replace(args, iterations=3))
    assert sorted((tmp_path / "runs").iterdir()) == folders
    assert [len(results.rows_of(folder)) for folder in folders] == [3] * 4


@pytest.mark.parametrize(
    "experiment, measure, values",
    [("staleness", "offpolicy/staleness_mean", (0, 2)), ("reuse", "replay/reuse_max", (1, 2))],
)
def test_a_sweep_makes_fragments_as_stale_as_it_says(experiment, measure, values, tmp_path, monkeypatch, variants):
    monkeypatch.setattr(results, "LOSSES", ("behavior", "proximal"))
    monkeypatch.setitem(results.SWEEPS, experiment, (results.SWEEPS[experiment][0], values))
    fresh = results.Variant(t_maze, settings=SMALL)
    monkeypatch.setattr(results, "CONSTANT_RATE", fresh)
    sweep = {"behavior, {}": fresh, "proximal, {}": fresh}
    for loss in results.LOSSES:
        stale = results.off_policy(experiment, loss, 2)
        assert stale.settings["loss"] == loss
        sweep[f"{loss}, 2"] = dataclasses.replace(stale, task=t_maze, settings=SMALL | stale.settings)
    variants(experiment, {label.format(values[0]): variant for label, variant in sweep.items()})
    args = results.Args(experiment, seeds=(1,), iterations=3, runs=tmp_path / "runs", docs=tmp_path / "docs")
    results.run_experiment(args)
    found = {folder.name.split("__")[0]: results.rows_of(folder)[-1][measure] for folder in args.runs.iterdir()}
    assert found == {"constant_rate": values[0], f"{experiment}_behavior_2": 2, f"{experiment}_proximal_2": 2}
    rows = [line.split(" | ") for line in (args.docs / f"{experiment}.md").read_text().splitlines()[2:]]
    assert [row[0] for row in rows] == [f"| {value}" for value in values]
    assert rows[0][1] == rows[0][2].removesuffix(" |")  # the losses share the fresh run
    assert (args.docs / f"{experiment}.png").stat().st_size > 10_000


def test_the_experiments_are_what_their_labels_say():
    """And the schedule's annealed run is ppo_vpt_online.py's as it stands, in its task."""
    annealed = results.EXPERIMENTS["schedule"]["annealed learning rate"]
    assert ppo.Args(**results.COMMON | annealed.settings) == ppo.Args(record_video_interval=0)
    assert results.CONSTANT_RATE.settings == {} and results.CONSTANT_RATE.trainer is ppo.Trainer
    assert results.EXPERIMENTS["leash"]["KL to the pretrained policy"] is results.CONSTANT_RATE
    for name, key in (("staleness", "max_staleness"), ("reuse", "max_reuse")):
        for label, variant in results.EXPERIMENTS[name].items():
            loss, amount = label.split(", ")
            if int(amount) == results.SWEEPS[name][1][0]:
                assert variant is (results.CONSTANT_RATE if name == "staleness" else results.USED_ONCE)
            else:
                assert (variant.settings["loss"], variant.settings[key]) == (loss, int(amount))
                assert (variant.trainer is results.WaitingTrainer) == (name == "staleness")
                assert variant.iterations == (1 if name == "staleness" else int(amount))  # equally many steps
    ours, theirs = (
        minestudio_envs.make_vec(task, 2, seed=1, obs_size=(32, 32)) for task in (kill_cow, ppo.env_generator)
    )
    assert torch.equal(ours.reset()[0]["image"], theirs.reset()[0]["image"])
    assert ours.time_limit == theirs.time_limit


def test_a_run_of_other_settings_is_not_gone_on_with(tmp_path, variants):
    variants("memory", {"one": results.Variant(t_maze, settings=SMALL)})
    args = results.Args("memory", seeds=(1,), iterations=2, runs=tmp_path / "runs", docs=tmp_path / "docs")
    run = tmp_path / "runs/memory_one__1__20260101-000000"
    run.mkdir(parents=True)
    (run / "metrics.jsonl").write_text("{}\n" * 2)
    (run / "args.json").write_text(json.dumps(dataclasses.asdict(ppo.Args(**results.COMMON, ppo_clip=0.3, **SMALL))))
    with pytest.raises(SystemExit, match=r"ppo_clip 0\.3, not 0\.2: delete it"):
        results.run_experiment(args)


def test_the_table_has_floor_ceiling_and_finished_runs_only(tmp_path, monkeypatch, variants):
    one = results.Variant(t_maze, settings=SMALL)
    variants("leash", {"one": one})
    variants("schedule", {"annealed learning rate": one})
    args = results.Args("table", seeds=(1,), iterations=1, runs=tmp_path / "runs", docs=tmp_path)
    with pytest.raises(SystemExit, match=r"no finished run of 'annealed learning rate', seed 1.*results.py schedule"):
        results.make_evaluation_table(args)
    annealed = results.train(dataclasses.replace(args, experiment="schedule"), "annealed learning rate", 1)
    with pytest.raises(SystemExit, match=r"no finished run of 'one', seed 1.*results.py leash"):
        results.make_evaluation_table(args)
    run = results.train(dataclasses.replace(args, experiment="leash"), "one", 1)
    with pytest.raises(SystemExit, match="no finished run"):
        results.make_evaluation_table(dataclasses.replace(args, iterations=2))
    given = []

    def evaluation(settings: results.evaluate.Args) -> dict:
        given.append(settings)
        statistics = {"return_mean": len(given), "return_ci95": [len(given) - 0.5, len(given) + 0.5]}
        report = {"settings": dataclasses.asdict(settings), "statistics": statistics}
        settings.output.write_text(json.dumps(report, default=str))
        return report

    monkeypatch.setattr(results.evaluate, "main", evaluation)
    results.make_evaluation_table(args)
    table = (tmp_path / "table.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert rows[0] == ["uniformly random", "1.00 ± 0.50", "", "2.00 ± 0.50", ""]
    assert rows[2] == ["annealed learning rate, seed 1", "7.00 ± 0.50", "8.00 ± 0.50", "9.00 ± 0.50", "10.00 ± 0.50"]
    assert [row[0] for row in rows[3:]] == ["one, seed 1", "its teachers (habits)", "only hunts (hunter)"]
    assert {settings.seed for settings in given} == {args.held_out_seed}
    assert given[6].checkpoint == str(annealed) and given[10].checkpoint == str(run)
    assert [settings.deterministic for settings in given[6:10]] == [False, True] * 2
    elsewhere = results.evaluate.load_task(given[8].task)
    assert elsewhere().preferred_spawn_biome != kill_cow().preferred_spawn_biome
    results.make_evaluation_table(args)  # all reports are there
    assert len(given) == 18 and (tmp_path / "table.md").read_text() == table
    (run / "checkpoints/newer").mkdir()  # as if the run had gone on
    os.utime(run / "checkpoints", (time.time() + 60,) * 2)
    results.make_evaluation_table(args)
    assert [settings.checkpoint for settings in given[18:]] == [str(run)] * 4
    results.make_evaluation_table(dataclasses.replace(args, episodes=64))
    assert len(given) == 18 + 4 + 18


def test_a_run_that_lost_rows_is_not_gone_on_with_for_ever(tmp_path, variants):
    variants("memory", {"one": results.Variant(t_maze, settings=SMALL)})
    args = results.Args("memory", seeds=(1,), iterations=2, runs=tmp_path / "runs", docs=tmp_path / "docs")
    path = results.train(args, "one", 1) / "metrics.jsonl"
    first, last = path.read_text().splitlines(keepends=True)
    path.write_text(first + last[:20])  # half a line counts as none
    with pytest.raises(SystemExit, match=r"last checkpoint, but 1 of 2 rows.*: delete the folder"):
        results.train(args, "one", 1)


def test_a_schedule_is_of_as_many_iterations_as_were_asked_for(tmp_path, variants):
    variants("schedule", {"annealed": results.Variant(t_maze, settings=SMALL | {"anneal_lr_linearly": True})})
    args = results.Args("schedule", seeds=(1,), iterations=2, runs=tmp_path / "runs", docs=tmp_path / "docs")
    run = results.train(args, "annealed", 1)
    assert results.train(args, "annealed", 1) == run
    with pytest.raises(SystemExit, match="begun with num_iterations 2, not 1"):
        results.train(dataclasses.replace(args, iterations=1), "annealed", 1)


@pytest.mark.parametrize("wrong", [{"seeds": ()}, {"iterations": 0}, {"episodes": 1}])
def test_wrong_settings_are_refused_at_the_beginning(wrong, tmp_path):
    with pytest.raises(SystemExit, match="--"):
        results.check_args(results.Args("leash", docs=tmp_path / "docs", **wrong))
    results.check_args(results.Args("leash", docs=tmp_path / "docs"))
