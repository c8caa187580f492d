"""Pretraining: scripted players, datasets, recordings, and behaviour cloning from them."""

import csv
import dataclasses
import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import minestudio_envs
import ppo_vpt_online as ppo
from minestudio_envs import scripted_players as players
from minestudio_envs.actions import BUTTONS, NULL_BUTTONS, button_table, env_to_joint
from minestudio_envs.draws import tick_uniform
from minestudio_envs.scripted_players import GOALS, HABITS, HUNTER, Habits, ScriptedPlayers
from minestudio_envs.tasks import chop_tree, kill_cow
from minestudio_envs.training.dataset import Dataset, DatasetError, DatasetWriter, remove_unfinished
from minestudio_envs.training.demonstrations import find_recordings, read_lines, read_recording
from minestudio_envs.training.video import Film
from scripts import pretrain

# SCRIPTED PLAYERS


def play(task, habits: Habits, num_envs: int, steps: int, seed: int = 0):
    """-> (the environments, actions [steps] of what ``act`` gave)."""
    envs = minestudio_envs.make_vec(task, num_envs, seed=seed, obs_size=(8, 8), copy=False)
    envs.reset()
    players = ScriptedPlayers(envs, habits)
    taken = []
    for _ in range(steps):
        taken.append(players.act())
        envs.step(taken[-1])
    return envs, taken


def test_a_player_is_the_same_whatever_the_batch_size():
    _, alone = play(kill_cow, HABITS, 1, 60)
    _, three = play(kill_cow, HABITS, 3, 60)
    actions = [torch.stack([action[key][0] for action in three]) for key in ("buttons", "camera")]
    for key, values in zip(("buttons", "camera"), actions, strict=True):
        assert torch.equal(torch.stack([action[key][0] for action in alone]), values)
        assert len(values.unique()) > 3


def test_another_seed_is_another_player():
    envs = minestudio_envs.make_vec(kill_cow, 4, obs_size=(8, 8))
    envs.reset()
    plans = []
    for seed in (1, 1, 2):
        players = ScriptedPlayers(envs, HABITS, seed)
        players.act()
        plans.append(players.until.tolist())
    assert plans[0] == plans[1] != plans[2]


def test_the_largest_seed_is_a_player_and_smaller_ones_are_who_they_were():
    envs = minestudio_envs.make_vec(kill_cow, 2, obs_size=(8, 8))
    envs.reset()
    largest = players.draw(envs, 2**63 - 1, 3)
    mixed = (2**63 - 1) * 0x5DEECE66D % 2**64
    assert largest[0].tolist() == drawn_by(envs, mixed)
    assert players.draw(envs, 3, 3)[0].tolist() == drawn_by(envs, 3 * 0x5DEECE66D)


def drawn_by(envs, mixed: int) -> list[float]:
    key, episode, tick = (int(envs.state[name][0]) for name in ("key", "episode", "tick"))
    return [plain_uniform((key % 2**64) ^ mixed, episode, tick, players.STREAM + i) for i in range(3)]


def test_their_random_numbers_are_the_engines():
    key, episode, tick = torch.tensor([5, -7]), torch.tensor([0, 3]), torch.tensor([11, 2])
    drawn = tick_uniform(key, episode, tick, 50 << 16, 3)
    for n in range(2):
        of = int(key[n]), int(episode[n]), int(tick[n])
        assert drawn[n].tolist() == [plain_uniform(*of, (50 << 16) + i) for i in range(3)]


def plain_uniform(key: int, episode: int, tick: int, stream: int) -> float:
    """randomness.uniform in Python's integers."""
    mask, golden = (1 << 64) - 1, 0x9E3779B97F4A7C15

    def mix(x: int) -> int:
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
        return x ^ (x >> 31)

    def hash2(a: int, b: int) -> int:
        return mix((mix((a + golden) & mask) + b * golden) & mask)

    bits = mix((hash2(hash2(key & mask, episode), tick) + stream * golden) & mask)
    return (bits >> 40) * 2.0**-24


def test_the_hunter_kills_most_cows_and_one_who_does_not_hunt_kills_none():
    envs, _ = play(kill_cow, HUNTER, 4, 300)
    assert float(envs.episode_return.mean()) > 4
    envs, taken = play(kill_cow, HABITS._replace(hunt=0.0, dig=0.0, chop=0.0, slip=0.0), 4, 120)
    assert float(envs.episode_return.sum()) == 0
    assert not any(button_table()[action["buttons"].numpy()][:, BUTTONS.index("attack")].any() for action in taken)


def test_one_who_chops_gets_logs_and_one_who_digs_gets_down():
    envs, _ = play(chop_tree, Habits(chop=1.0, slip=0.1), 4, 250)
    assert float(envs.episode_return.sum()) >= 3
    envs = minestudio_envs.make_vec(chop_tree, 4, obs_size=(8, 8))
    envs.reset()
    players, broken = ScriptedPlayers(envs, Habits(dig=1.0)), 0
    for _ in range(100):
        envs.step(players.act())
        broken = int(envs.state["mine_block"].sum())
    assert broken >= 4


def test_time_is_spent_as_the_habits_say():
    envs = minestudio_envs.make_vec(kill_cow, 16, obs_size=(8, 8))
    envs.reset()
    players = ScriptedPlayers(envs, Habits(pause=0.5, look=0.5, slip=0.15))
    spent, slips = torch.zeros(len(GOALS)), 0.0
    for _ in range(300):
        action = players.act()
        slips += float((envs.state["tick"] < players.slip_until).float().mean()) / 300
        envs.step(action)
        spent += torch.bincount(players.goal, minlength=len(GOALS))
    share = spent / spent.sum()
    assert slips == pytest.approx(0.15, abs=0.03)
    assert share[0] == pytest.approx(0.5, abs=0.12) and share[:2].sum() == 1


def test_habits_without_a_goal_are_refused():
    envs = minestudio_envs.make_vec(kill_cow, 1, obs_size=(8, 8))
    for habits in (Habits(), Habits(hunt=1.0, dig=-1.0)):
        with pytest.raises(ValueError, match="weights"):
            ScriptedPlayers(envs, habits)


# DATASETS


def steps_of(n: int, seed: int = 0, shape: tuple[int, ...] = (32, 32, 3)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    first = np.zeros(n, bool)
    first[0] = True
    return {
        "frames": rng.integers(0, 256, (n, *shape), np.uint8),
        "buttons": rng.integers(0, 8641, n),
        "camera": rng.integers(0, 121, n),
        "first": first,
    }


def write(path: Path, *parts: dict[str, np.ndarray], about: str = "test") -> Path:
    writer = DatasetWriter(path, parts[0]["frames"].shape[1:], about)
    for part in parts:
        writer.append(**part)
    writer.close()
    return path


def test_a_dataset_is_read_as_it_was_written_and_gone_on_with(tmp_path):
    parts = [steps_of(70, 1), steps_of(30, 2)]
    path = write(tmp_path / "a.h5", parts[0])
    data = Dataset(write(path, parts[1]))
    assert len(data) == 100 and data.img_shape == (32, 32, 3) and data.about == "test"
    for name in ("buttons", "camera", "first"):
        assert np.array_equal(getattr(data, name), np.concatenate([part[name] for part in parts]))
    assert np.array_equal(data.frames(60, 80), np.concatenate([part["frames"] for part in parts])[60:80])
    data.close()
    with pytest.raises(DatasetError, match="made otherwise"):
        write(path, parts[0], about="another")


def test_what_is_wrong_with_a_dataset_is_named(tmp_path):
    with pytest.raises(DatasetError, match="no such file"):
        Dataset(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("frames")
    with pytest.raises(DatasetError, match="no HDF5 file, or a broken one"):
        Dataset(tmp_path / "text.h5")
    for change, words in {
        "camera": "has no camera",
        "buttons": "buttons must be integers in 0 ... 8640",
        "first": r"first\[0\] must be true",
        "frames": "frames are float64",
    }.items():
        path = write(tmp_path / f"{change}.h5", steps_of(10))
        with h5py.File(path, "r+") as file:
            if change == "camera":
                del file["camera"]
            elif change == "frames":
                del file["frames"]
                file["frames"] = np.zeros((10, 32, 32, 3))
            else:
                file[change][0] = {"buttons": 8641, "first": False}[change]
        with pytest.raises(DatasetError, match=words):
            Dataset(path)


def test_a_dataset_that_another_process_writes_is_to_be_waited_for(tmp_path):
    path = write(tmp_path / "a.h5", steps_of(10))
    holds = f"import h5py; file = h5py.File({str(path)!r}, 'r+'); print(flush=True); input()"
    other = subprocess.Popen([sys.executable, "-c", holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        other.stdout.readline()
        for use in (Dataset, lambda path: write(path, steps_of(10)), remove_unfinished):
            with pytest.raises(DatasetError, match=r"open in another process: wait .* choose another") as error:
                use(path)
            assert "delete" not in str(error.value)
    finally:
        other.communicate("\n")
    assert len(Dataset(path)) == 10
    path.write_bytes(path.read_bytes()[:500])
    remove_unfinished(path), remove_unfinished(path)
    assert not path.exists()


def test_a_broken_dataset_is_deleted_only_if_it_can_be_made_anew(tmp_path):
    path = write(tmp_path / "a.h5", steps_of(10))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DatasetError, match="copy it again"):
        Dataset(path)
    with pytest.raises(DatasetError, match="delete it, and it is made anew"):
        write(path, steps_of(10))


def test_a_writer_that_is_killed_at_once_leaves_a_dataset_to_go_on_with(tmp_path):
    path = tmp_path / "a.h5"
    killed = "import os; from minestudio_envs.training.dataset import DatasetWriter as Writer; "
    killed += f"writer = Writer({str(path)!r}, (32, 32, 3), 'test'); os._exit(1)"
    subprocess.run([sys.executable, "-c", killed], cwd=Path(__file__).parents[1], timeout=60)
    assert len(Dataset(write(path, steps_of(10)))) == 10 and list(tmp_path.iterdir()) == [path]


def test_a_half_made_file_never_has_the_datasets_name(tmp_path, monkeypatch):
    seen = []
    create = h5py.File.create_dataset
    monkeypatch.setattr(
        h5py.File,
        "create_dataset",
        lambda *args, **more: seen.append((tmp_path / "a.h5").exists()) or create(*args, **more),
    )
    write(tmp_path / "a.h5", steps_of(10))
    assert seen == [False] * 4


@pytest.mark.parametrize("dtype", ["u1", "i8"])
def test_where_episodes_begin_may_be_integers(tmp_path, dtype):
    path = write(tmp_path / "a.h5", steps_of(10))
    with h5py.File(path, "r+") as file:
        first = file["first"][:]
        del file["first"]
        file["first"] = first.astype(dtype)
    assert Dataset(path).first.dtype == bool and np.array_equal(Dataset(path).first, first)


def test_what_is_no_array_or_too_large_is_named(tmp_path):
    for i, (name, value, words) in enumerate(
        (
            ("frames", "group", "frames is no array"),
            ("buttons", "group", "buttons is no array"),
            ("camera", 3, "camera is no array"),
            ("first", h5py.Empty("i1"), "first is no array"),
            ("first", np.zeros((10, 2)), r"first is \(10, 2\) for 10 frames"),
            ("camera", np.full(10, "left", object), r"camera must be integers in 0 ... 120, not object"),
        )
    ):
        with h5py.File(write(tmp_path / f"{i}.h5", steps_of(10)), "r+") as file:
            del file[name]
            if isinstance(value, str):
                file.create_group(name)
            else:
                file[name] = value
        with pytest.raises(DatasetError, match=words):
            Dataset(tmp_path / f"{i}.h5")
    with h5py.File(write(tmp_path / "huge.h5", steps_of(10)), "r+") as file:
        for array in file.values():
            array.resize(10**13, 0)
    with pytest.raises(DatasetError, match="more than fits into memory"):
        Dataset(tmp_path / "huge.h5")


def test_damage_to_the_frames_is_named(tmp_path):
    part = steps_of(64)
    path = write(tmp_path / "a.h5", part)
    with h5py.File(path) as file:
        where = file["frames"].id.get_chunk_info(0)
    with path.open("r+b") as file:
        file.seek(where.byte_offset)
        file.write(bytes(64))
        file.truncate(where.byte_offset + where.size // 2)
    with pytest.raises(DatasetError, match=str(path)):
        Dataset(path).frames(0, 64)


# RECORDINGS


def line(keys=(), buttons=(), new=(), dx=0.0, dy=0.0, **more) -> dict:
    mouse = {"x": 640.0, "y": 360.0, "dx": dx, "dy": dy, "buttons": list(buttons), "newButtons": list(new)}
    keyboard = {"keys": [f"key.keyboard.{key}" for key in keys], "newKeys": [], "chars": ""}
    return {"mouse": mouse, "keyboard": keyboard, "isGuiOpen": False, "hotbar": 0} | more


def record(path: Path, lines: list[dict], frames: int | None = None, colour: int = 90) -> Path:
    film = Film(path, (640, 360), 20)
    for _ in range(len(lines) if frames is None else frames):
        film.add(np.full((360, 640, 3), colour, np.uint8))
    film.close()
    path.with_suffix(".jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in lines))
    return path


def test_a_recording_is_read_by_vpts_rules(tmp_path):
    lines = [
        line(["w"], buttons=[0], new=[0]),  # held since before the recording began: stuck
        line(["w"], buttons=[0]),
        line(),  # nothing: left out
        line(["w"], buttons=[0], new=[0]),  # pressed anew: meant
        line(hotbar=4),  # the wheel
        line(dx=10, dy=-20, hotbar=4),
        line(["e", "f"], hotbar=4),
    ]
    path = record(tmp_path / "a.mp4", lines)
    (steps,) = read_recording(path, (32, 32))
    pressed = [{"forward"}, {"forward"}, {"forward", "attack"}, {"hotbar.5"}, set(), {"inventory"}]
    names = np.array(BUTTONS)
    assert [set(names[row > 0]) for row in button_table()[steps["buttons"]]] == pressed
    _, turned = env_to_joint(np.zeros((1, 20), np.int64), np.array([[-3.0, 1.5]]))
    assert steps["camera"].tolist() == [60, 60, 60, 60, int(turned[0]), 60]
    assert steps["first"].tolist() == [True] + 5 * [False]
    assert steps["frames"].shape == (6, 32, 32, 3) and abs(int(steps["frames"][0, 5, 5, 0]) - 90) < 4


def test_pieces_of_a_recording_are_the_whole(tmp_path):
    path = record(tmp_path / "a.mp4", [line() for _ in range(5)] + [line(["w"]) for _ in range(8)])
    (whole,) = read_recording(path, (32, 32))
    parts = list(read_recording(path, (32, 32), length=3))
    for name, values in whole.items():
        assert np.array_equal(values, np.concatenate([part[name] for part in parts])), name
    assert whole["first"].sum() == 1


def test_the_pointer_is_drawn_where_a_screen_is_open(tmp_path):
    lines = [line(["w"]), line(["w"], isGuiOpen=True)]
    lines[1]["mouse"] |= {"x": 1279.0, "y": 719.0}  # hardly in the picture
    lines.append(line(["w"], isGuiOpen=True))
    (steps,) = read_recording(record(tmp_path / "a.mp4", lines, colour=0), (640, 360))
    assert steps["frames"][:2].max() < 8
    white = np.argwhere(steps["frames"][2, :, :, 0] > 200)
    assert white.min(0).tolist() == [181, 321] or (white.min(0) >= [180, 320]).all()
    assert (white.max(0) < [197, 337]).all()


def test_what_is_wrong_with_recordings_is_named(tmp_path, caplog):
    with pytest.raises(DatasetError, match="has no recording"):
        find_recordings(tmp_path)
    good, alone, cut = record(tmp_path / "a.mp4", [line(["w"])] * 4, frames=3), tmp_path / "b.mp4", tmp_path / "c.mp4"
    record(alone, [line()])
    alone.with_suffix(".jsonl").unlink()
    record(cut, [line()])
    cut.with_suffix(".jsonl").write_text(json.dumps(line()) + '\n{"mouse": {}}\n')
    assert find_recordings(tmp_path) == [good, cut] and "b.mp4" in caplog.text
    with pytest.raises(DatasetError, match=r"c\.jsonl, line 2"):
        read_lines(cut.with_suffix(".jsonl"))
    assert sum(len(steps["first"]) for steps in read_recording(good, (32, 32))) == 3
    assert "4 lines, 3 frames" in caplog.text
    good.write_bytes(b"no film")
    with pytest.raises(DatasetError, match=r"a\.mp4 cannot be read"):
        list(read_recording(good, (32, 32)))


@pytest.mark.parametrize(
    "changes",
    [
        *({"mouse": line()["mouse"] | {"dx": value}} for value in (10**400, math.nan, -math.inf)),
        {"mouse": line()["mouse"] | {"x": math.inf}, "isGuiOpen": True},
        {"mouse": line()["mouse"] | {"y": 10**400}, "isGuiOpen": True},
        "\udcff".encode(errors="surrogateescape"),
        b"[" * 100_000,
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_a_line_that_cannot_be_meant_is_named(tmp_path, changes):
    bad = changes if isinstance(changes, bytes) else json.dumps(line() | changes).encode()
    (tmp_path / "a.jsonl").write_bytes(json.dumps(line()).encode() + b"\n" + bad + b"\n")
    with pytest.raises(DatasetError, match=r"a\.jsonl, line 2 is none of VPT's"):
        read_lines(tmp_path / "a.jsonl")


def test_films_that_are_too_small_and_lines_that_are_none_are_named(tmp_path, caplog):
    path = record(tmp_path / "a.mp4", [line(["w"])] * 2)
    with pytest.raises(DatasetError, match=r"a\.mp4 is 640 x 360 pixels, the policy sees 128 x 512: record it larger"):
        list(read_recording(path, (128, 512)))
    path.with_suffix(".jsonl").write_text("")
    assert list(read_recording(path, (32, 32))) == [] and "a.jsonl is empty" in caplog.text


# BEHAVIOUR CLONING


@pytest.fixture
def small(monkeypatch):
    """A policy that learns in seconds, and its sequences."""
    net_args = ppo.SMALL_NET_ARGS | {
        **{"hidsize": 16, "attention_heads": 2, "impala_chans": [2, 2, 2], "attention_memory_size": 12, "timesteps": 4},
    }
    monkeypatch.setattr(ppo, "SMALL_NET_ARGS", net_args)

    def args(path: Path, **changes) -> pretrain.Args:
        settings = {"sequence_length": 16, "context_length": 8, "batch_size": 4, "epochs": 3, "held_out": 0.2}
        return pretrain.Args(**settings | {"output": path} | changes)

    return args


def test_it_learns_what_is_pressed_when_the_picture_says_so(small, tmp_path):
    part = steps_of(480)
    cow = np.random.default_rng(3).random(480) < 0.3
    part["frames"] //= 8
    part["frames"][cow, 8:24, 8:24] += 200
    attack, _ = env_to_joint(np.eye(20, dtype=np.int64)[[BUTTONS.index("attack")]], np.zeros((1, 2)))
    part["buttons"], part["camera"] = np.where(cow, int(attack[0]), NULL_BUTTONS), np.full(480, 60)
    path = write(tmp_path / "a.h5", part)
    results = pretrain.main(small(tmp_path / "run", dataset=path, epochs=12, learning_rate=4e-3))
    row = results["buttons"]["attack"]
    assert row["accuracy"] > 0.98 > 0.8 > row["accuracy_of_never_or_always"]
    assert row["chance_when_pressed"] > 0.5 and row["chance_else"] < 0.15
    assert results["frames"] == 96 and results["loss"] < 1
    again = ppo.load_openai_policy(tmp_path / "run/policy.model", tmp_path / "run/policy.weights")
    data = Dataset(path)
    trainer = pretrain.Trainer(small(tmp_path / "run", dataset=path), again, data)
    assert trainer.evaluate()["loss"] == pytest.approx(results["loss"])
    assert (tmp_path / "run/curve.csv").read_text().startswith("frames,loss,held_out_loss")


def test_an_interrupted_run_goes_on_bit_for_bit(small, tmp_path, monkeypatch):
    path = write(tmp_path / "a.h5", steps_of(400))
    several = {"epochs": 9}  # enough for two batches in a row of the curve
    pretrain.main(small(tmp_path / "whole", dataset=path, **several))
    step = pretrain.Trainer.step

    def interrupted(self):
        loss = step(self)
        if self.done == 7:
            signal.raise_signal(signal.SIGINT)
        return loss

    monkeypatch.setattr(pretrain.Trainer, "step", interrupted)
    assert pretrain.main(small(tmp_path / "parts", dataset=path, **several)) is None
    assert not (tmp_path / "parts/policy.weights").exists()
    monkeypatch.setattr(pretrain.Trainer, "step", step)
    pretrain.main(small(tmp_path / "parts", dataset=path, **several))
    weights = [torch.load(tmp_path / run / "policy.weights", weights_only=True) for run in ("whole", "parts")]
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name]), name
    curves = [list(csv.DictReader((tmp_path / run / "curve.csv").open())) for run in ("whole", "parts")]
    for row in (*curves[0], *curves[1]):
        del row["seconds"]
    assert curves[0] == curves[1] and len(curves[0]) == 23
    with pytest.raises(DatasetError, match="learning_rate"):
        pretrain.main(small(tmp_path / "parts", dataset=path, learning_rate=0.1, **several))


def test_other_data_at_the_same_path_is_not_gone_on_with(small, tmp_path):
    path, args = tmp_path / "a.h5", small(tmp_path / "run", dataset=tmp_path / "a.h5", epochs=1)
    replace_data(path, steps_of(200))
    pretrain.main(args)
    for name, value in (("buttons", 5), ("camera", 5), ("first", True)):
        part = steps_of(200)
        part[name][100] = value
        replace_data(path, part)
        with pytest.raises(DatasetError, match=r"trainer\.pt was made with other --dataset: choose another --output"):
            pretrain.main(args)
    replace_data(path, steps_of(200))
    pretrain.main(args)


def replace_data(path: Path, part: dict[str, np.ndarray]) -> None:
    path.unlink(missing_ok=True)
    write(path, part)


def test_a_broken_trainer_file_is_named(small, tmp_path):
    args = small(tmp_path / "run", dataset=write(tmp_path / "a.h5", steps_of(200)), epochs=1)
    pretrain.main(args)
    path = tmp_path / "run/trainer.pt"
    whole = path.read_bytes()
    lacking = torch.load(path, weights_only=True)
    lacking["policy"].popitem()
    for content in (whole[: len(whole) // 2], b"", {"other": 1}, [1], {"settings": Path("x")}, lacking):
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        with pytest.raises(DatasetError, match=r"trainer\.pt is broken \(.*\): delete it to train from the beginning"):
            pretrain.main(args)


def test_collecting_goes_on_where_it_stopped_and_gives_the_same(small, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain, "EPISODE_STEPS", 40)
    settings = {"num_envs": 2, "epochs": 1, "batch_size": 2}
    pretrain.main(small(tmp_path / "whole", frames=160, **settings))
    pretrain.main(small(tmp_path / "parts", frames=80, **settings, held_out=0.3))
    (tmp_path / "parts/trainer.pt").unlink()
    pretrain.main(small(tmp_path / "parts", frames=160, **settings))
    whole, parts = (Dataset(tmp_path / run / "dataset.h5") for run in ("whole", "parts"))
    assert len(whole) == len(parts) == 160 and whole.first.nonzero()[0].tolist() == [0, 40, 80, 120]
    assert np.array_equal(whole.frames(0, 160), parts.frames(0, 160)) and whole.frames(0, 160).std() > 10
    assert np.array_equal(whole.buttons, parts.buttons) and np.array_equal(whole.camera, parts.camera)


def test_frames_and_actions_belong_together(small, tmp_path, monkeypatch):
    """Replayed from the seed, the collected actions show the collected frames."""
    monkeypatch.setattr(pretrain, "EPISODE_STEPS", 40)
    pretrain.main(small(tmp_path / "run", frames=80, num_envs=2, epochs=1, batch_size=2, seed=4, held_out=0.3))
    data = Dataset(tmp_path / "run/dataset.h5")
    envs = minestudio_envs.make_vec(pretrain.env_generator, 2, obs_size=(32, 32))
    image = envs.reset(seed=4 * 1_000_003)[0]["image"]
    for t in range(40):
        for i in range(2):
            assert np.array_equal(image[i].numpy(), data.frames(40 * i + t, 40 * i + t + 1)[0])
        at = [t, 40 + t]
        image = envs.step({"buttons": torch.tensor(data.buttons[at]), "camera": torch.tensor(data.camera[at])})[0][
            "image"
        ]


def test_it_learns_from_a_folder_of_recordings(small, tmp_path):
    for name in "ab":
        record(tmp_path / f"films/{name}.mp4", [line(["w"], dx=float(i % 7)) for i in range(60)])
    results = pretrain.main(small(tmp_path / "run", dataset=tmp_path / "films", held_out=0.3))
    assert results["dataset"]["frames"] == 120 and "b.mp4" in results["dataset"]["about"]
    assert results["buttons"]["forward"]["pressed"] == 1


def test_recordings_of_the_same_names_are_other_recordings(small, tmp_path):
    for folder, key in (("a", "w"), ("b", "s")):
        record(tmp_path / folder / "film.mp4", [line([key])] * 60)
    args = small(tmp_path / "run", dataset=tmp_path / "a", held_out=0.3, epochs=1)
    pretrain.main(args)
    (tmp_path / "run/trainer.pt").unlink()  # as if it had been interrupted before the first one
    with pytest.raises(DatasetError, match="made otherwise"):
        pretrain.main(dataclasses.replace(args, dataset=tmp_path / "b"))
    pretrain.main(args)
    record(tmp_path / "a/film.mp4", [line(["s"])] * 60)
    with pytest.raises(DatasetError, match="made otherwise"):
        pretrain.main(args)


def test_settings_that_cannot_work_are_refused(small, tmp_path):
    path = write(tmp_path / "a.h5", steps_of(40))
    for changes, error, words in (
        ({"held_out": 0.0}, SystemExit, "--held-out"),
        ({"epochs": 0}, SystemExit, "--epochs"),
        ({"seed": 2**63}, SystemExit, "--seed 9223372036854775808 is too large"),
        ({"device": "foo"}, SystemExit, "--device foo cannot be used"),
        ({"device": "cuda:99"}, SystemExit, "--device cuda:99 cannot be used"),
        ({"weights_path": Path("a")}, SystemExit, "--model-path"),
        ({"dataset": path, "sequence_length": 64}, DatasetError, "too few"),
        ({"dataset": write(tmp_path / "b.h5", steps_of(40, shape=(16, 16, 3)))}, DatasetError, "the policy sees"),
    ):
        with pytest.raises(error, match=words):
            pretrain.main(small(tmp_path / "run", **changes))


def test_the_pretrained_policy_foretells_what_players_do():
    policy = ppo.policy_generator()
    assert ppo.SMALL_NET_ARGS | policy.net_args == ppo.SMALL_NET_ARGS
    envs = minestudio_envs.make_vec(kill_cow, 8, seed=9, obs_size=(32, 32))
    image, players = envs.reset()[0]["image"], ScriptedPlayers(envs, HABITS)
    frames, buttons, camera = [], [], []
    for _ in range(64):
        frames.append(image)
        action = players.act()
        buttons.append(action["buttons"]), camera.append(action["camera"])
        image = envs.step(action)[0]["image"]
    steps = torch.stack(frames, 1), torch.stack(buttons, 1), torch.stack(camera, 1)
    losses = []
    for each in (policy, ppo.VPTPolicy(ppo.SMALL_NET_ARGS)):
        with torch.no_grad():
            output = each(steps[0], torch.arange(64).expand(8, -1) == 0, each.initial_memory(8))
        losses.append(-float(ppo.log_prob(output, *steps[1:]).mean()))
    assert losses[0] < 5 < 13 < losses[1]  # knowing nothing: ln 8641 + ln 121 = 13.9, or worse
