"""Real Minecraft's adapter: the unmodified minestudio with the stand-in engine, which misbehaves on command.

Needs an interpreter with minestudio in the environment variable MINESTUDIO_PYTHON (scripts/install_minestudio.sh).
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from stand_in_engine import events, misbehave, stand_in, steps

import minestudio_envs
from minestudio_envs import MinecraftSim
from minestudio_envs.actions import BUTTONS, env_to_joint
from minestudio_envs.callbacks import (
    CommandsCallback,
    Compose,
    FastResetCallback,
    GateRewardsCallback,
    HardResetCallback,
    InitInventoryCallback,
    JudgeResetCallback,
    MaskActionsCallback,
    MinecraftCallback,
    PrevActionCallback,
    RecordCallback,
    RewardsCallback,
    SpeedTestCallback,
    SummonMobsCallback,
    TaskCallback,
    VoxelsCallback,
)
from minestudio_envs.minecraft import MinecraftError, MinecraftTask, own_films
from minestudio_envs.minecraft_worker import Rewards
from minestudio_envs.voxel.randomness import environment_key

LIMIT = 12  # steps of an episode
needs_minestudio = pytest.mark.skipif(
    not os.environ.get("MINESTUDIO_PYTHON"), reason="MINESTUDIO_PYTHON names no interpreter with minestudio"
)


def task(limit=LIMIT, **kwargs):
    cow = {"event": "kill_entity", "objects": ["cow"], "reward": 2.0, "identity": "cow", "max_reward_times": 3}
    callbacks = [
        SummonMobsCallback([{"name": "cow", "number": 5, "range_x": [-1, 1], "range_z": [-1, 1]}]),
        MaskActionsCallback(inventory=0),
        RewardsCallback([cow]),
        CommandsCallback(["/give @p minecraft:iron_sword 1"]),
        FastResetCallback(biomes=["plains"], random_tp_range=100),
        JudgeResetCallback(limit),
    ]
    kwargs = {"obs_size": (64, 48), "num_empty_frames": 2, "callbacks": callbacks} | kwargs
    return MinecraftSim(**kwargs)


def endless():
    return task(limit=10**6)


def press(count, *buttons):
    """VPT's action that presses ``buttons`` in each of ``count`` environments."""
    pressed = np.zeros((count, len(BUTTONS)), np.uint8)
    pressed[:, [BUTTONS.index(name) for name in buttons]] = 1
    joint = env_to_joint(pressed, np.zeros((count, 2)))
    return dict(zip(("buttons", "camera"), map(torch.from_numpy, joint), strict=True))


def use(folder, monkeypatch, *faults):
    for name, value in stand_in(folder, *faults).items():
        monkeypatch.setenv(name, value)
    return folder


def make(generator=task, num_envs=1, **kwargs):
    kwargs = {"backoff": 0.05, "start_limit": 60.0, "reset_limit": 20.0, "step_limit": 20.0} | kwargs
    return minestudio_envs.make_vec(generator, num_envs, engine="minecraft", **kwargs)


def belonging_to(folder):
    """The living processes, other than this one, that were told of ``folder``."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "environ").read_bytes() and int(process.name) != os.getpid():
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


def wait_until(what, limit=15.0):
    end = time.monotonic() + limit
    while not what() and time.monotonic() < end:
        time.sleep(0.02)
    return what()


def dtypes(value):
    if isinstance(value, dict):
        return {key: dtypes(entry) for key, entry in value.items()}
    return value.dtype, tuple(value.shape)


# WHAT VOXEL'S USERS RELY ON


@pytest.fixture(scope="module")
def game(tmp_path_factory):
    """Two environments that behave, for several tests."""
    patch = pytest.MonkeyPatch()
    folder = use(tmp_path_factory.mktemp("game"), patch)
    envs = make(num_envs=2, seed=7, stagger=True)
    envs.first = envs.reset()
    yield envs, folder
    envs.close()
    patch.undo()


@needs_minestudio
def test_it_is_the_same_vector_environment_as_voxels(game):
    envs, _ = game
    voxel = minestudio_envs.make_vec(task, 2)
    for name in ("observation_space", "action_space", "single_observation_space", "single_action_space", "num_envs"):
        assert getattr(envs, name) == getattr(voxel, name), name
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert envs.time_limit == voxel.time_limit == LIMIT
    (obs, infos), (voxel_obs, voxel_infos) = envs.first, voxel.reset()
    assert dtypes(obs) == dtypes(voxel_obs)
    assert infos.pop("lost").tolist() == [False, False]
    assert voxel_infos.pop("command_errors") == [[], []]  # the game tells nobody of them
    assert dtypes(infos) == dtypes(voxel_infos)
    assert infos["began"].all()
    theirs, ours = voxel.step(press(2)), envs.step(press(2))
    lost = ours[4].pop("lost")
    theirs[4].pop("command_errors")
    assert [dtypes(x) for x in ours] == [dtypes(x) for x in theirs]
    assert not lost.any()


@needs_minestudio
def test_episodes_are_truncated_at_the_limit_and_the_next_step_resets(game):
    envs, folder = game
    envs.reset()
    for t in range(LIMIT):
        _, rewards, terminated, truncated, infos = envs.step(press(2, "forward"))
        assert truncated.all() == (t == LIMIT - 1) and not terminated.any()
        assert not infos["began"].any()
    assert infos["_episode"].all() and infos["episode"]["l"].tolist() == [LIMIT, LIMIT]
    sent = len(steps(folder, 0))
    _, rewards, terminated, truncated, infos = envs.step(press(2, "jump"))
    assert infos["began"].all() and not (terminated | truncated).any() and not infos["_episode"].any()
    assert rewards.tolist() == [0.0, 0.0]
    assert not any(action.get("jump") == "1" for action in steps(folder, 0)[sent:])  # its action is ignored
    assert len(events(folder, "start")) == 2 and len(events(folder, "reset")) == 2  # FastReset: no new world


@needs_minestudio
def test_every_press_of_attack_kills_and_every_kill_pays_up_to_the_limit(game):
    envs, _ = game
    envs.reset()
    total = torch.zeros(2)
    for _ in range(4):  # held: one click
        total += envs.step(press(2, "attack"))[1]
    assert total.tolist() == [2.0, 2.0]
    for t in range(8):
        _, rewards, _, truncated, infos = envs.step(press(2, "attack") if t % 2 else press(2))
        total += rewards
    assert truncated.all()
    # The kill of the last tick is not in the statistics yet: they come one later, in this engine as in the game.
    assert infos["kill_entity"]["cow"].tolist() == [4, 4]
    assert total.tolist() == [6.0, 6.0] == infos["episode"]["r"].tolist()  # max_reward_times
    assert envs.step(press(2))[4]["kill_entity"]["cow"].tolist() == [0, 0]


@needs_minestudio
def test_callbacks_do_in_minestudio_what_they_say(game):
    envs, folder = game
    envs.reset()
    before = len(steps(folder, 1))
    envs.step({"buttons": torch.tensor([[8640], [8640]]), "camera": torch.tensor([[120], [120]])})  # inventory
    (action,) = steps(folder, 1)[before:]
    assert action["inventory"] == "0" and action["camera"].split() == ["10.0", "10.0"]
    texts = [event["text"] for event in events(folder, "command", engine=1)]
    assert sum("summon minecraft:cow" in text for text in texts) % 5 == 0
    assert "/give @p minecraft:iron_sword 1" in texts
    assert any(text.startswith("/teleportbiome @a plains") for text in texts)


@needs_minestudio
def test_pictures_are_the_games_frames_shrunk_as_vpt_saw_them(game):
    envs, _ = game
    obs = envs.reset()[0]["image"]
    screen = envs.frame(1, (640, 360))
    assert screen.shape == (360, 640, 3) and envs.frame(0, (480, 270)).shape == (270, 480, 3)
    assert screen[0, 0].tolist() == [120, 170, 255] and screen[-1, 0, 1] > screen[-1, 0, 2]  # sky above, grass below
    from minestudio_envs.images import resize_linear

    assert (obs[1].numpy() == resize_linear(screen, (64, 48))).all()
    assert (np.stack(envs.render()) == obs.numpy()).all()
    kept = obs.clone()
    envs.step(press(2, "forward"))
    assert (obs == kept).all() and (envs.render()[0] != kept[0].numpy()).any()


@needs_minestudio
def test_a_seed_gives_each_environment_its_world(game):
    envs, folder = game
    wanted = {environment_key(7, i) & 0x7FFFFFFF for i in range(2)}
    assert {int(e["seed"]) for e in events(folder, "reset")[:2]} == wanted
    first = envs.reset(seed=[5, 5])[0]["image"]
    assert {int(e["seed"]) for e in events(folder, "reset")[-2:]} == {environment_key(5, 0) & 0x7FFFFFFF}
    assert (first[0] == first[1]).all()  # the same world, and the same draws of the callbacks
    again = envs.reset(seed=[5, None])[0]["image"]
    assert (again[0] == first[0]).all()


@needs_minestudio
def test_the_first_that_are_ready_come_first(game):
    envs, folder = game
    envs.reset()
    number = events(folder, "start")[0]["engine"]
    misbehave(folder, {"fault": "slow", "engine": number, "seconds": 0.4})
    envs.send(press(2))
    (fast,) = envs.recv(1)[0].tolist()
    for _ in range(3):  # goes on while the other one steps
        with pytest.raises(ValueError, match=rf"environments \[{1 - fast}\] were not received"):
            envs.send(press(1), [1 - fast])
        envs.send(press(1, "forward"), [fast])
        ids, obs, rewards, terminated, truncated, infos = envs.recv(1)
        assert ids.tolist() == [fast] and obs["image"].shape == (1, 48, 64, 3)
        assert {len(x) for x in (rewards, terminated, truncated, infos["lost"], infos["episode"]["r"])} == {1}
    with pytest.raises(RuntimeError, match="results to come"):
        envs.step(press(2))
    assert envs.frame(1 - fast, (64, 48)).shape == (48, 64, 3)  # it steps: its last observation
    with pytest.raises(ValueError, match="count=2, but 1 environments have an action"):
        envs.recv(2)
    assert envs.recv(1)[0].tolist() == [1 - fast]
    misbehave(folder)
    envs.send(press(2))
    assert sorted(envs.recv()[0].tolist()) == [0, 1]  # batch_size


@needs_minestudio
def test_wrong_actions_say_what_is_wrong(game):
    envs, _ = game
    envs.reset()
    for action, words in (
        ({"buttons": torch.zeros(3, dtype=torch.int64), "camera": torch.zeros(2, dtype=torch.int64)}, "shape"),
        ({"buttons": torch.tensor([0, 8641]), "camera": torch.tensor([0, 0])}, "8641.*0 ... 8640"),
        ({"buttons": torch.zeros(2, dtype=torch.int64)}, "camera"),
        (press(2) | {"jump": torch.ones(2)}, "jump"),
    ):
        with pytest.raises(ValueError, match=words):
            envs.step(action)
    with pytest.raises(TypeError, match="float32, expected integers"):
        envs.step({key: value.float() for key, value in press(2).items()})
    with pytest.raises(ValueError, match="different numbers"):
        envs.send(press(2), [0, 2])
    assert envs.step(press(2))[0]["image"].shape == (2, 48, 64, 3)  # nothing was sent


@needs_minestudio
def test_a_mask_resets_only_the_chosen(game):
    envs, _ = game
    envs.reset()
    for _ in range(3):
        before = envs.step(press(2, "forward"))[0]["image"]
    obs, infos = envs.reset(options={"reset_mask": np.array([False, True])})
    assert infos["began"].tolist() == [False, True]
    assert (obs["image"][0] == before[0]).all() and (obs["image"][1] != before[1]).any()
    for _ in range(LIMIT - 3):
        truncated = envs.step(press(2))[3]
    assert truncated.tolist() == [True, False]


# A FRAGILE ENGINE


@pytest.fixture(scope="module")
def fragile(tmp_path_factory):
    """One environment whose engine every test breaks; the next engine is whole again."""
    patch = pytest.MonkeyPatch()
    folder = use(tmp_path_factory.mktemp("fragile"), patch)
    envs = make(endless, step_limit=1.0, max_failures=100, backoff=0.001)
    envs.reset()
    yield envs, folder
    envs.close()
    patch.undo()


STEP_FAULTS = ("die", "exit", "hang", "close", "short_frame", "empty_frame", "wrong_length", "garbage_json")


@needs_minestudio
@pytest.mark.parametrize("fault", [*STEP_FAULTS, "killed worker"])
def test_a_broken_engine_is_replaced_and_nothing_made_up(fragile, fault):
    envs, folder = fragile
    envs.reset()
    engine = events(folder, "start")[-1]
    restarts, lost_steps = envs.restarts, envs.lost_steps
    for t in range(3):
        assert not envs.step(press(1, "attack") if t == 1 else press(1))[4]["lost"].any()
    if fault == "killed worker":
        os.kill(envs.engines[0].process.pid, signal.SIGKILL)
    else:
        misbehave(folder, {"fault": fault, "engine": engine["engine"]})
    begin = time.monotonic()
    obs, rewards, terminated, truncated, infos = envs.step(press(1))
    assert time.monotonic() - begin < 20
    assert infos["lost"].all() and infos["began"].all() and not infos["_episode"].any()
    assert rewards.tolist() == [0.0] and not (terminated | truncated).any()
    assert infos["kill_entity"]["cow"].tolist() == [0]
    assert (obs["image"] > 0).any()
    assert (envs.restarts, envs.lost_steps) == (restarts + 1, lost_steps + 3)
    assert not Path(f"/proc/{engine['pid']}").exists() or engine["pid"] not in belonging_to(folder)
    obs, _, _, _, infos = envs.step(press(1))
    assert not infos["lost"].any() and not infos["began"].any()
    misbehave(folder)


@needs_minestudio
def test_an_engines_own_end_terminates_and_the_next_world_is_new(fragile):
    envs, folder = fragile
    envs.reset()
    number, restarts = events(folder, "start")[-1]["engine"], envs.restarts
    worlds = len(events(folder, "reset", engine=number))
    misbehave(folder, {"fault": "done", "engine": number})
    _, _, terminated, truncated, infos = envs.step(press(1))
    misbehave(folder)
    assert terminated.all() and not truncated.any() and infos["_episode"].all()
    assert envs.step(press(1))[4]["began"].all()
    assert len(events(folder, "reset", engine=number)) == worlds + 1 and envs.restarts == restarts


@needs_minestudio
def test_the_others_go_on_while_one_starts_again(tmp_path, monkeypatch):
    folder = use(tmp_path, monkeypatch)
    envs = make(endless, num_envs=2, step_limit=0.5, array="numpy")
    try:
        envs.reset()
        number = events(folder, "start")[0]["engine"]
        misbehave(folder, {"fault": "hang", "engine": number})
        envs.send({key: value.numpy() for key, value in press(2).items()})
        lost, seen = None, []
        while lost is None:
            ids, obs, _, _, _, infos = envs.recv(1)
            assert isinstance(obs["image"], np.ndarray)
            seen += ids.tolist()
            lost = int(ids[0]) if infos["lost"][0] else None
            envs.send(press(1), ids)
        assert seen.count(1 - lost) > 20 and seen.count(lost) == 1
        assert (envs.restarts, envs.lost_steps) == (1, 0)
        envs.recv(2)
        # Age: the engine is started anew when its episode ends, and nothing is lost.
        misbehave(folder)
        envs.restart_interval = 0.01
        envs.time_limit = 2
        envs.reset()
        truncated = np.zeros(2, bool)
        while not truncated.all():
            truncated |= envs.step(press(2))[3]
        assert envs.renewals == 0
        _, _, _, _, infos = envs.step(press(2))
        assert infos["began"].all() and not infos["lost"].any()
        assert (envs.renewals, envs.restarts) == (2, 1) and len(events(folder, "start")) == 5
    finally:
        envs.close()


@needs_minestudio
def test_starts_are_limited_and_tried_again(tmp_path, monkeypatch):
    faults = ("hang", "silent", "refuse", "exit")
    broken = [{"fault": fault, "when": "start", "engine": i} for i, fault in enumerate(faults)]
    folder = use(tmp_path, monkeypatch, *broken)
    envs = make(num_envs=4, start_limit=12.0, max_starting=4)
    try:
        _, infos = envs.reset()
        assert infos["began"].all() and not infos["lost"].any()  # there was nothing to lose
        assert envs.restarts == 4 and len(events(folder, "start")) == 8 and envs.lost_steps == 0
    finally:
        envs.close()


@needs_minestudio
def test_a_hanging_reset_is_limited(tmp_path, monkeypatch):
    folder = use(tmp_path, monkeypatch, {"fault": "hang", "when": "reset", "after": 1, "engine": 0})
    envs = make(lambda: task(limit=2), reset_limit=1.0, max_starting=1)
    try:
        envs.reset()
        _, infos = envs.reset(seed=1)  # a new world, which the engine never finishes
        assert infos["began"].all() and envs.restarts == 1 and len(events(folder, "start")) == 2
    finally:
        envs.close()


@needs_minestudio
def test_after_failures_in_a_row_it_stops_with_the_engines_last_lines(tmp_path, monkeypatch):
    use(tmp_path, monkeypatch, {"fault": "exit", "when": "start"})
    envs = make(max_failures=2)
    try:
        with pytest.raises(MinecraftError, match=r"failure 2 in a row(.|\n)*OutOfMemoryError: Java heap space"):
            envs.reset()
        assert envs.restarts == 2
    finally:
        envs.close()
    assert not belonging_to(tmp_path)


# NOTHING IS LEFT

SCRIPT = """
import os, sys, time
sys.path.insert(0, {tests!r})
import test_minecraft
envs = test_minecraft.make(test_minecraft.endless, 2)
envs.reset()
print("playing", flush=True)
if {how!r} == "close":
    envs.close()
while {how!r} not in ("close", "end"):
    envs.step(test_minecraft.press(2))
"""


@needs_minestudio
@pytest.mark.parametrize("how", ["close", "end", "interrupt", "kill"])
def test_no_process_file_or_shared_memory_is_left(tmp_path, monkeypatch, how):
    folder = use(tmp_path / "engine", monkeypatch, {"fault": "stubborn", "when": "start"})
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    shared = set(os.listdir("/dev/shm"))
    script = SCRIPT.format(tests=str(Path(__file__).parent), how=how)
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(Path(__file__).parents[1])}
    trainer = subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert trainer.stdout.readline() == b"playing\n"
        if how in ("interrupt", "kill"):
            assert len(events(folder, "ready")) == 2 and len(belonging_to(folder)) > 6
            assert list(temporary.glob("minestudio_envs-*"))
            time.sleep(0.3)
            trainer.send_signal(signal.SIGINT if how == "interrupt" else signal.SIGKILL)
        trainer.wait(20)
        # minestudio's own temporary things included. The guard is the last to go.
        assert wait_until(lambda: not belonging_to(tmp_path)), belonging_to(tmp_path)
        assert not list(temporary.iterdir())
        assert wait_until(lambda: set(os.listdir("/dev/shm")) <= shared)  # other programs' files come and go
        assert not (folder / "tmp").exists()
    finally:
        trainer.kill()


# GENERATORS


@needs_minestudio
@pytest.mark.parametrize("given", ["function", "string"])
def test_a_generator_of_minestudios_own_simulator_runs_where_minestudio_is(tmp_path, monkeypatch, given):
    folder = use(tmp_path / "engine", monkeypatch)
    (tmp_path / f"their_task_{given}.py").write_text(
        "def generate():\n"
        "    from minestudio.simulator import MinecraftSim\n"
        "    from minestudio.simulator.callbacks import JudgeResetCallback, MinecraftCallback, CommandsCallback\n"
        "    class Pays(MinecraftCallback):\n"
        "        def after_step(self, sim, obs, reward, terminated, truncated, info):\n"
        "            return obs, 0.5, terminated, truncated, info\n"
        "        def before_close(self, sim):\n"
        f"            open({str(tmp_path / 'closed')!r}, 'w').close()\n"
        "    callbacks = [CommandsCallback(['/time set 1']), Pays(), JudgeResetCallback(3)]\n"
        "    return MinecraftSim(obs_size=(40, 24), num_empty_frames=1, callbacks=callbacks)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    generator = f"their_task_{given}:generate"
    if given == "function":
        generator = __import__(f"their_task_{given}").generate
    envs = make(generator)
    try:
        assert envs.single_observation_space["image"].shape == (24, 40, 3) and envs.time_limit == 3
        envs.reset()
        for _ in range(3):
            obs, rewards, terminated, truncated, _ = envs.step(press(1))
            assert rewards.tolist() == [0.5] and obs["image"].shape == (1, 24, 40, 3)
        assert truncated.all() and not terminated.any()  # their JudgeReset calls it terminated
    finally:
        envs.close()
    assert (tmp_path / "closed").exists()
    assert "/time set 1" in [event["text"] for event in events(folder, "command")]


@needs_minestudio
def test_what_fails_in_the_generator_is_said_at_once(tmp_path, monkeypatch):
    use(tmp_path / "engine", monkeypatch)
    (tmp_path / "bad_task.py").write_text(
        "import minestudio.simulator\n\ndef generate():\n    raise ValueError('no such cow')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MinecraftError, match="ValueError: no such cow"):
        make("bad_task:generate")
    assert wait_until(lambda: not belonging_to(tmp_path))


def test_a_callback_without_a_translation_is_refused_by_name():
    class GlowingCowsCallback(MinecraftCallback):
        pass

    with pytest.raises(TypeError, match="GlowingCowsCallback has no translation"):
        make(lambda: MinecraftSim(callbacks=[GlowingCowsCallback()]), minestudio_python=sys.executable)


def test_a_local_generator_of_minestudios_simulator_is_refused():
    def generate():
        from minestudio.simulator import MinecraftSim as Theirs

        return Theirs()

    with pytest.raises(TypeError, match="must be a top-level function"):
        make(generate)


def test_what_is_missing_is_said_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("MINESTUDIO_PYTHON", raising=False)
    with pytest.raises(MinecraftError, match=r"MINESTUDIO_PYTHON.*install_minestudio\.sh"):
        make()
    with pytest.raises(MinecraftError, match="is not a program that can be run"):
        make(minestudio_python=tmp_path / "python")
    monkeypatch.setenv("MINESTUDIO_DIR", str(tmp_path))
    with pytest.raises(MinecraftError, match=r"engine is not at .*set MINESTUDIO_DIR"):
        make(minestudio_python=sys.executable)
    with pytest.raises(TypeError, match=r"batch_size.*engine='minecraft' only"):
        minestudio_envs.make_vec(task, 1, batch_size=1)
    with pytest.raises(ValueError, match="batch_size=3"):
        make(batch_size=3)
    assert not [name for name in os.listdir(tmp_path) if name.startswith("minestudio_envs-")]


def test_a_task_in_minestudios_terms():
    inventory = {0: {"type": "iron_sword", "quantity": 1}, 12: {"type": "dirt", "quantity": 9}}
    given = MinecraftTask(task(timestep_limit=5, inventory=inventory))
    assert given.time_limit == 5
    assert given.callbacks[0] == (
        "CommandsCallback",
        {
            "commands": [
                "/replaceitem entity @p hotbar.0 minecraft:iron_sword 1",
                "/replaceitem entity @p inventory.3 minecraft:dirt 9",
            ]
        },
    )
    names = [name for name, _ in given.callbacks[1:]]
    assert names == ["SummonMobsCallback", "MaskActionsCallback", "CommandsCallback", "FastResetCallback"]
    assert json.loads(json.dumps(given.arguments))["render_size"] == [640, 360]


def test_all_that_happened_since_the_last_step_pays():
    entry = {"event": "kill_entity", "objects": ["cow", "pig"], "reward": 2.0, "identity": "x", "max_reward_times": 4}
    rewards = Rewards([entry, entry | {"reward": 10.0, "objects": ["pig"]}])
    rewards.begin({"kill_entity": {"cow": 5.0, "pig": 1.0}})
    assert rewards.step({"kill_entity": {"cow": 7.0, "pig": 2.0}}) == 3 * 2.0 + 10.0  # then the shared limit is reached
    assert rewards.step({"kill_entity": {"cow": 9.0, "pig": 3.0}}) == 0.0
    rewards.begin({"kill_entity": {"cow": 9.0, "pig": 3.0}})
    assert rewards.step({"kill_entity": {"cow": 10.0, "pig": 3.0}}) == 2.0


def test_every_callback_has_its_translation_or_is_refused_with_a_reason(tmp_path):
    box = [-2, 2, -2, 2, -2, 2]
    given = MinecraftTask(
        MinecraftSim(
            preferred_spawn_biome="mountains",
            callbacks=[
                HardResetCallback([{"seed": 5, "position": [1, 70, 2]}]),
                Compose([InitInventoryCallback([{"slot": 0, "type": "stick", "quantity": ">2"}], "easy")]),
                VoxelsCallback(box),
                GateRewardsCallback(),
                SpeedTestCallback(7),
                FastResetCallback(["extreme_hills", "minecraft:forest"], 0, start_weather="rain"),
                RecordCallback(tmp_path, show_actions=True),
            ],
        )
    )
    assert given.arguments["preferred_spawn_biome"] == "extreme_hills"  # a category; teleports take a biome's id
    translated = dict(given.callbacks)
    assert list(translated) == [
        *("HardResetCallback", "InitInventoryCallback", "VoxelsCallback", "GateRewardsCallback", "SpeedTestCallback"),
        *("FastResetCallback", "RecordCallback"),
    ]
    assert translated["FastResetCallback"] == {
        "biomes": ["mountains", "forest"],
        "random_tp_range": 1,
        "start_time": 0,
        "start_weather": "rain",
    }
    assert translated["InitInventoryCallback"]["distraction_level"] == [3, 4, 5, 6]
    assert translated["RecordCallback"]["record_actions"]  # theirs would never forget them
    json.dumps(given.callbacks)

    class Own(MinecraftCallback):
        def after_step(self, sim, obs, reward, terminated, truncated, info):
            return obs, reward, terminated, truncated, info

    for callback, words in (
        (Own(), r"Own has hooks of its own \(after_step\).*minestudio's own MinecraftSim"),
        (PrevActionCallback(), "PrevActionCallback cannot run with engine='minecraft'"),
        (TaskCallback([{"name": "a", "text": "b"}]), "TaskCallback cannot run with engine='minecraft'"),
        (Compose([SpeedTestCallback()], 1), r"Compose\(options=1\) cannot run"),
        (InitInventoryCallback([{"slot": 0, "type": "stick", "quantity": 1, "metadata": 0}]), "'metadata' cannot run"),
        (VoxelsCallback(), "VoxelsCallback cannot run with engine='minecraft' but for a GateRewardsCallback"),
    ):
        with pytest.raises(TypeError, match=words):
            MinecraftTask(MinecraftSim(callbacks=[callback]))
    with pytest.raises(ValueError, match="GateRewardsCallback needs a VoxelsCallback"):
        MinecraftTask(MinecraftSim(callbacks=[GateRewardsCallback()]))


def test_each_environment_films_into_a_folder_of_its_own():
    film = "RecordCallback", {"record_path": "/films", "fps": 20, "environments": (0, 2)}
    other = "SpeedTestCallback", {"interval": 5}
    assert own_films([film, other], 1, 0) == [other]
    for index, starts, path in ((0, 0, "/films"), (2, 0, "/films/environment_2"), (0, 3, "/films/restart_3")):
        assert own_films([film, other], index, starts) == [
            ("RecordCallback", {"record_path": path, "fps": 20}),
            other,
        ]


@needs_minestudio
def test_translated_callbacks_run_in_minestudio(tmp_path, monkeypatch):
    folder = use(tmp_path / "engine", monkeypatch)
    films = tmp_path / "films"

    def generator():
        return MinecraftSim(
            obs_size=(64, 48),
            num_empty_frames=1,
            callbacks=[
                HardResetCallback([{"seed": 5, "position": [1, 70, 2]}]),
                InitInventoryCallback(
                    [{"slot": 3, "type": "stick", "quantity": "==4"}, {"slot": "random", "type": "egg", "quantity": 2}]
                ),
                VoxelsCallback([-1, 1, -1, 1, -1, 1]),
                GateRewardsCallback(),
                SpeedTestCallback(2),
                RecordCallback(films, frame_type="obs", record_actions=True),
                JudgeResetCallback(3),
            ],
        )

    envs = make(generator)
    try:
        envs.reset()
        for _ in range(5):
            assert envs.step(press(1))[1].tolist() == [0.0]
    finally:
        envs.close()
    texts = [event["text"] for event in events(folder, "command")]
    assert "/tp @a 1 70 2" in texts and "/replaceitem entity @p hotbar.3 minecraft:stick 4" in texts
    assert any("minecraft:egg 2" in text for text in texts)
    assert {int(event["seed"]) for event in events(folder, "reset")} == {5}
    assert {path.name for path in films.iterdir()} >= {"episode_1.mp4", "episode_1_action.json", "episode_2.mp4"}
