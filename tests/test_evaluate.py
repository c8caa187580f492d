"""scripts/evaluate.py: which episodes count, what is said of them, and what it takes for a policy and a task."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
import tyro
from colour_env import NET_ARGS
from rich.console import Console

import minestudio_envs
import ppo_vpt_online as ppo
from minestudio_envs.training.checkpoints import CheckpointError, write_checkpoint
from minestudio_envs.training.vpt_files import VPTFileError, save_vpt_policy
from scripts import evaluate

SCRIPT = Path(evaluate.__file__)
TASK = """
from minestudio_envs import MinecraftSim
from minestudio_envs.callbacks import FastResetCallback, JudgeResetCallback, MinecraftCallback

class PayPlace(MinecraftCallback):
    def after_batch_step(self, batch, reward, terminated, truncated):
        reward += batch.state["position"][:, 0].float()

def place():
    return MinecraftSim(callbacks=[FastResetCallback(["plains"], 1000), PayPlace(), JudgeResetCallback(2)])

def other_actions():
    return MinecraftSim(action_type="env")

def no_task():
    return 3
"""


class StubEnvs:
    """Environment i's k-th episode takes lengths[i] steps (cyclically the k-th of a list) and pays `pay` for each.

    Pictures are noise of their own for each seed, environment, episode and step. The step that resets pays too, which
    nobody may count.
    """

    time_limit, single_action_space = None, {"buttons": None, "camera": None}

    def __init__(self, lengths, pay=lambda buttons: torch.ones(len(buttons))):
        self.lengths, self.pay, self.num_envs = lengths, pay, len(lengths)
        self.actions = {}  # (environment, episode): what was done

    def reset(self, seed):
        self.seed, self.age, self.episode = seed, [0] * self.num_envs, [0] * self.num_envs
        return self.show(), {}

    def length(self, i):
        lengths = self.lengths[i]
        return lengths if isinstance(lengths, int) else lengths[self.episode[i] % len(lengths)]

    def picture(self, *place):
        return np.random.default_rng([self.seed, *place]).integers(0, 256, (8, 8, 3)).astype(np.uint8)

    def show(self):
        pictures = [self.picture(i, self.episode[i], self.age[i]) for i in range(self.num_envs)]
        return {"image": torch.from_numpy(np.stack(pictures))}

    def step(self, action):
        done = torch.zeros(self.num_envs, dtype=torch.bool)
        for i in range(self.num_envs):
            if self.age[i] == self.length(i):
                self.age[i], self.episode[i] = 0, self.episode[i] + 1
                continue
            pressed = (int(action["buttons"][i]), int(action["camera"][i]))
            self.actions.setdefault((i, self.episode[i]), []).append(pressed)
            self.age[i] += 1
            done[i] = self.age[i] == self.length(i)
        return self.show(), self.pay(action["buttons"]), done, torch.zeros_like(done), {}

    def frame(self, index, size):
        return np.full((size[1], size[0], 3), 50 * self.episode[index], np.uint8)

    def close(self):
        pass


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(envs, flag=value, ...) -> main's report of a tiny random policy in those environments."""
    monkeypatch.setattr(evaluate, "make_console", lambda: Console(width=200))  # the real one takes over all logging
    monkeypatch.setattr(ppo, "policy_generator", lambda: ppo.VPTPolicy(NET_ARGS))

    def run(envs, **settings):
        torch.set_num_threads(1)  # the engine's threads, when they start, set it anew
        if envs is not None:
            monkeypatch.setattr(minestudio_envs, "make_vec", lambda task, num_envs, **kwargs: envs)
            settings = {"num_envs": envs.num_envs} | settings
        defaults = {"videos": 0, "video_dir": tmp_path / "films", "output": tmp_path / "out" / "results.json"}
        return evaluate.main(evaluate.Args(**defaults | settings))

    return run


def played(report):
    return [(e["environment"], e["episode"], e["length"], e["return"]) for e in report["episodes"]]


# WHICH EPISODES COUNT


def test_every_environments_first_episodes_count_not_the_first_to_end(run):
    report = run(StubEnvs([2, 10, 3]), episodes=7)
    assert played(report) == [
        *[(0, 0, 2, 2.0), (1, 0, 10, 10.0), (2, 0, 3, 3.0)],
        *[(0, 1, 2, 2.0), (1, 1, 10, 10.0), (2, 1, 3, 3.0)],
        (0, 2, 2, 2.0),  # seven by three: one more for the first
    ]
    statistics = report["statistics"]
    assert statistics["episodes"] == 7
    assert statistics["return_mean"] == statistics["length_mean"] == pytest.approx(32 / 7)  # of the first to end: 3


def test_short_and_long_episodes_of_one_environment_count_alike(run):
    report = run(StubEnvs([[1, 9], [9, 1]]), episodes=8)
    assert report["statistics"]["return_mean"] == 5


def test_fewer_episodes_than_environments_take_fewer_environments(run, monkeypatch):
    asked = []
    monkeypatch.setattr(
        minestudio_envs, "make_vec", lambda task, n, **kwargs: asked.append(kwargs) or StubEnvs([4] * n)
    )
    report = run(None, episodes=3, num_envs=16)
    assert [e["environment"] for e in report["episodes"]] == [0, 1, 2]
    assert asked[0]["obs_size"] == (8, 8) and not asked[0].get("stagger")


def test_the_policy_remembers_its_episode_and_nothing_else(run):
    envs = StubEnvs([5, [8, 3, 7]])
    run(envs, episodes=6, deterministic=True)
    torch.manual_seed(0)  # main's
    policy = ppo.VPTPolicy(NET_ARGS)

    @torch.no_grad()
    def actions(place, first):
        images = torch.from_numpy(np.stack([envs.picture(*place, t) for t in range(len(first))]))
        output = policy(images[None], torch.tensor([first]), policy.initial_memory(1))
        buttons, camera = ppo.sample_actions(output, deterministic=True)
        return list(zip(buttons[0].tolist(), camera[0].tolist(), strict=True))

    steps = {place: len(taken) for place, taken in envs.actions.items()}
    assert (
        steps == {(0, 0): 5, (0, 1): 5, (0, 2): 5, (1, 0): 8, (1, 1): 3, (1, 2): 7} | steps
    )  # one may have begun more
    alone = {place: actions(place, [True] + [False] * (n - 1)) for place, n in steps.items()}
    assert envs.actions == alone
    assert alone != {place: actions(place, [True] * n) for place, n in steps.items()}, "forgetting would not show here"


def test_the_same_seed_gives_the_same_numbers_and_only_sampling_takes_other_actions(run):
    def outcome(**settings):
        envs = StubEnvs([4, 6], pay=lambda buttons: (buttons % 101).float())
        report = run(envs, episodes=4, **settings)
        assert envs.seed == settings["seed"]
        return {**report, "statistics": report["statistics"] | {"SPS": 0}}, envs.actions

    one, other, likeliest = outcome(seed=3), outcome(seed=4), outcome(seed=3, deterministic=True)
    assert outcome(seed=3) == one and outcome(seed=3, deterministic=True) == likeliest
    assert played(one[0]) != played(other[0]) and one[1] != likeliest[1]


def test_an_environments_episodes_are_the_same_worlds_whatever_the_batch(run, tmp_path):
    (tmp_path / "places.py").write_text(TASK)
    task = f"{tmp_path / 'places.py'}:place"
    small, large = (run(None, episodes=6, num_envs=n, task=task)["episodes"] for n in (2, 3))
    places = [{(e["environment"], e["episode"]): e["return"] for e in episodes} for episodes in (small, large)]
    common = places[0].keys() & places[1].keys()
    assert sorted(common) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for key in common:  # two steps lead nowhere
        assert places[0][key] == pytest.approx(places[1][key], abs=2)
    assert np.std(list(places[0].values())) > 50


def test_an_episode_that_does_not_end_is_an_error(run, tmp_path):
    envs = StubEnvs([3, [3, 10**9]])
    with pytest.raises(SystemExit, match="episode 1 of environment 1 is still running after 20 steps"):
        run(envs, episodes=4, max_steps=20)
    assert not (tmp_path / "out" / "results.json").exists()
    assert run(envs, episodes=3, max_steps=20)["statistics"]["episodes"] == 3, "it would not have counted"
    envs.lengths, envs.time_limit = [30, 30], 30
    assert run(envs, episodes=2, max_steps=20)["statistics"]["length_mean"] == 30, "the task's own limit is longer"


# STATISTICS


@pytest.mark.parametrize("dof, t", [(1, 12.7062), (2, 4.30265), (4, 2.77645), (29, 2.04523), (9999, 1.96020)])
def test_quantiles_of_students_t_are_those_of_the_tables(dof, t):
    assert evaluate.t_quantile(dof) == pytest.approx(t, rel=1e-5)


def test_statistics_of_a_worked_example():
    episodes = [{"return": float(r), "length": 10 * r} for r in (1, 2, 3, 4, 5)]
    s = evaluate.summarize(episodes, success_return=2.0)
    half = 2.77645 * math.sqrt(2.5) / math.sqrt(5)
    assert s["return_mean"] == 3 and s["return_std"] == pytest.approx(math.sqrt(2.5))
    assert s["return_ci95"] == pytest.approx([3 - half, 3 + half], rel=1e-5)
    assert (s["return_min"], s["return_max"], s["length_mean"]) == (1, 5, 30)
    assert s["success_rate"] == 0.8 and s["success_ci95"] == pytest.approx([0.37553, 0.96377], abs=1e-5)


def test_wilsons_interval_holds_at_the_ends():
    assert evaluate.wilson_interval(8, 10) == pytest.approx([0.49016, 0.94332], abs=1e-5)
    assert evaluate.wilson_interval(0, 10) == pytest.approx([0, 0.27753], abs=1e-5)
    assert evaluate.wilson_interval(10, 10) == pytest.approx([0.72247, 1], abs=1e-5)


def test_one_episode_has_no_interval_and_no_success_is_made_up(run, tmp_path, capsys):
    report = run(StubEnvs([4]), episodes=1)
    statistics = json.loads((tmp_path / "out" / "results.json").read_text())["statistics"]
    assert statistics == report["statistics"] and statistics["return_mean"] == 4
    assert all(statistics[key] is None for key in ("return_ci95", "return_std", "success_rate", "success_ci95"))
    printed = capsys.readouterr().out
    assert "one has no interval" in printed and "Wilson" not in printed and "policy_generator" in printed


# POLICIES, TASKS, FILMS


def test_checkpoints_runs_and_model_files_load(run, tmp_path):
    folders = [
        tmp_path / "runs" / name for name in ("a/checkpoints/iteration_000100", "b/checkpoints/iteration_000007")
    ]
    folders.append(folders[0].with_name("iteration_000050"))  # written last: a run that went on from an older one
    policies = [ppo.VPTPolicy(NET_ARGS, temperature=1.5) for _ in folders]
    for i, (folder, policy) in enumerate(zip(folders, policies, strict=True)):
        with write_checkpoint(folder, args={"use_normalized_vf": i != 1}) as aside:
            save_vpt_policy(policy, aside / "policy.model", aside / "policy.weights")
        os.utime(folder, (i, i))

    def loaded(**settings):
        policy, origin = evaluate.load_policy(evaluate.Args(**{"save_path": str(tmp_path / "runs")} | settings))
        weights = policy.state_dict()
        same = [all(torch.equal(w, weights[k]) for k, w in p.state_dict().items()) for p in policies]
        return same.index(True), policy.temperature, policy.value_head.normalizer.enabled, origin

    for i, folder in enumerate(folders):
        assert loaded(checkpoint=str(folder)) == (i, 1.5, i != 1, str(folder))
    assert loaded(checkpoint="latest")[0] == loaded(checkpoint=str(tmp_path / "runs" / "a"))[0] == 2
    assert loaded(checkpoint="latest", temperature=3.0)[1] == 3
    (folders[2] / "policy.weights").write_bytes(b"broken")
    assert loaded(checkpoint="latest")[0] == 1 and loaded(checkpoint=str(tmp_path / "runs" / "a"))[0] == 0
    files = {"model_path": str(folders[1] / "policy.model"), "weights_path": str(folders[1] / "policy.weights")}
    assert loaded(**files)[:2] == (1, 1.5)
    report = run(StubEnvs([3, 3]), episodes=2, **files)
    assert report["temperature"] == 1.5 and "RANDOM" not in report["policy"]
    report = run(StubEnvs([3, 3]), episodes=2, model_path=files["model_path"])
    assert "RANDOM WEIGHTS" in report["policy"]


@pytest.mark.parametrize("task", ["kill_cow", "MineStudio/KillCow-v0", "minestudio_envs.tasks:kill_cow"])
def test_a_task_has_a_name_an_id_and_a_place(task):
    from minestudio_envs.tasks import kill_cow

    assert evaluate.load_task(task) is kill_cow and evaluate.load_task(None) is ppo.env_generator


def test_the_first_episodes_of_environment_0_are_filmed_to_their_end(run, tmp_path, caplog):
    report = run(StubEnvs([[4, 6], 30]), episodes=4, videos=3)
    assert "2 films, not 3" in caplog.text
    assert report["films"] == [tmp_path / "films" / f"episode_{k}.mp4" for k in (0, 1)]
    films = [iio.imread(path, plugin="pyav") for path in report["films"]]
    # An episode's steps, and what the last of them led to.
    assert [film.shape for film in films] == [(5, 360, 640, 3), (7, 360, 640, 3)]
    assert films[0][:, 180, 320].max() < 20 and abs(films[1][:, 180, 320].mean() - 50) < 10
    last = run(StubEnvs([4]), episodes=1, videos=1)["films"]
    assert iio.improps(last[0], plugin="pyav").shape[0] == 5, "the batch plays on until the film is whole"


def test_random_and_scripted_players_are_floor_and_ceiling(run):
    task = {"task": "MineStudio/KillCow-v0", "episodes": 4, "num_envs": 4}
    low, high = run(None, **task, player="random"), run(None, **task, player="hunter")
    assert low["statistics"]["return_mean"] < 1 and high["statistics"]["return_mean"] > 7
    assert low["policy"] == "random" and high["policy"] == "hunter"


# MESSAGES


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"episodes": 0}, "--episodes 0 must be at least 1"),
        ({"num_envs": -1}, "--num-envs -1 must be at least 1"),
        ({"seed": 2**64}, "is too large"),
        ({"temperature": 0.0, "checkpoint": "x"}, "--temperature 0.0 must be positive"),
        ({"temperature": 2.0}, "--temperature 2.0 needs a policy"),
        ({"success_return": math.nan}, "--success-return nan must be finite"),
        ({"checkpoint": "x", "model_path": "y"}, "--model-path y is a second policy"),
        ({"player": "random", "checkpoint": "x"}, "--player random is no policy"),
        ({"player": "hunter", "deterministic": True}, "--player hunter is no policy"),
        ({"weights_path": "x"}, "--weights-path x needs --model-path"),
        ({"device": "tpu9"}, "--device tpu9 cannot be used"),
        ({"device": "meta"}, "--device meta cannot be used"),
        ({"output": Path(__file__).parent}, "is a folder"),
        ({"output": Path(__file__) / "x.json"}, "cannot be written"),
        ({"task": "kil_cow"}, "--task kil_cow is no task, .* did you mean 'kill_cow'"),
        ({"task": "nowhere.py:f"}, "nowhere.py cannot be loaded .*No such file"),
        ({"task": "no_such_module:f"}, "no_such_module cannot be loaded"),
        ({"task": "broken.py:f"}, "broken.py cannot be loaded .SyntaxError"),
        ({"task": "places.py:plaice"}, "no function 'plaice'; did you mean 'place'"),
        ({"task": "places.py:no_task"}, "makes no environment .TypeError: env_generator returned"),
        ({"task": "places.py:other_actions"}, "action_type='env'"),
    ],
)
def test_bad_input_is_named(run, tmp_path, monkeypatch, settings, message):
    (tmp_path / "places.py").write_text(TASK)
    (tmp_path / "broken.py").write_text("def f(:")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message):
        run(None, **settings)


@pytest.mark.parametrize("checkpoint", ["nowhere", "latest", "."])
def test_a_checkpoint_that_is_not_there_is_named(run, tmp_path, monkeypatch, checkpoint):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"no such folder|no good checkpoint|is no checkpoint"):
        run(None, checkpoint=checkpoint)
    with pytest.raises(VPTFileError, match="no such file"):
        run(None, model_path=checkpoint)


def test_the_largest_seed_has_players_too(run, tmp_path):
    (tmp_path / "places.py").write_text(TASK)
    task = f"{tmp_path / 'places.py'}:place"
    report = run(None, task=task, episodes=1, num_envs=1, player="random", seed=2**63 - 1)
    assert report["statistics"]["length_mean"] == 2


def test_every_flag_has_help(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        tyro.cli(evaluate.Args, args=["--help"])
    flags = [line for line in capsys.readouterr().out.splitlines() if "(default" in line]
    assert len(flags) == len(vars(evaluate.Args())) and all("  (default" not in line for line in flags), flags


def test_as_a_program(tmp_path):
    (tmp_path / "places.py").write_text(TASK)
    flags = "--episodes 3 --num-envs 2 --videos 1 --task places.py:place --success-return -2000"
    command = [sys.executable, str(SCRIPT), *flags.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("policy_generator", "Student's t", "100.0%, 43.9% to 100.0% (95 %, Wilson)", "2.0 steps", "SPS"):
        assert words in done.stdout
    report = json.loads((tmp_path / "output/evaluation/results.json").read_text())
    assert report["settings"]["episodes"] == 3 and [e["length"] for e in report["episodes"]] == [2, 2, 2]
    assert iio.improps(tmp_path / report["films"][0], plugin="pyav").shape[0] == 3

    done = subprocess.run(
        [*command, "--checkpoint", "latest"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (
        done.returncode == 1 and "error: latest: no good checkpoint" in done.stderr and "Traceback" not in done.stderr
    )
