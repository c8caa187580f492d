"""scripts/play.py without a display: what keys and mouse do, and what is recorded of it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import imageio.v3 as iio
import numpy as np
import pytest

from minestudio_envs import MinecraftSim
from minestudio_envs.actions import BUTTONS
from minestudio_envs.training.demonstrations import KEYS, MOUSE_BUTTONS, env_action
from minestudio_envs.window import Window

pygame = pytest.importorskip("pygame")
from scripts import play  # noqa: E402

TASK = """
from minestudio_envs import MinecraftSim
from minestudio_envs.callbacks import CommandsCallback, JudgeResetCallback, RewardsCallback, SummonMobsCallback

def near_cow():
    kill = {"event": "kill_entity", "objects": ["cow"], "reward": 1.0, "identity": "cow", "max_reward_times": 9}
    return MinecraftSim(
        obs_size=(32, 32),
        num_empty_frames=0,
        callbacks=[
            CommandsCallback([
                "/fill ~-4 ~-1 ~-4 ~4 ~-1 ~4 minecraft:stone",
                "/fill ~-4 ~ ~-4 ~4 ~3 ~4 minecraft:air",
                "/tp @p ~ ~ ~ 0 30",
                "/effect give @p minecraft:strength 99 9",
                "/summon minecraft:cow ~ ~ ~2",
            ]),
            RewardsCallback([kill]),
            JudgeResetCallback(30),
        ],
    )
"""


def key(name: str, down: bool = True):
    return pygame.event.Event(pygame.KEYDOWN if down else pygame.KEYUP, key=pygame.key.key_code(name))


def button(number: int, down: bool = True):
    return pygame.event.Event(pygame.MOUSEBUTTONDOWN if down else pygame.MOUSEBUTTONUP, button=number)


def motion(x: int, y: int):
    return pygame.event.Event(pygame.MOUSEMOTION, rel=(x, y))


def wheel(y: int):
    return pygame.event.Event(pygame.MOUSEWHEEL, y=y)


ESCAPE, CLICK = "escape", 1


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Plays 30 steps, as fast as it goes. -> the lines of each recorded episode, and what the window showed."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    (tmp_path / "task.py").write_text(TASK)

    def run(script, **arguments):
        """script: for each picture shown, a function that makes the events which come then; none for later ones."""
        shown, original = [], Window.show

        def show(window, picture, lines=()):
            window.fps = 0  # no limit
            original(window, picture, lines)
            pygame.event.clear()  # the system's own
            shown.append(list(lines))
            if len(shown) > 200:
                raise AssertionError(f"it does not end: {shown[-1]}")
            for event in script[len(shown) - 1]() if len(shown) <= len(script) else ():
                pygame.event.post(event)

        monkeypatch.setattr(Window, "show", show)
        args = {"task": f"{tmp_path}/task.py:near_cow", "episodes": 1, "output": tmp_path / "films"} | arguments
        returns = play.main(play.Args(**args))
        episodes = [
            list(map(json.loads, path.read_text().splitlines())) for path in sorted(tmp_path.glob("films/*.jsonl"))
        ]
        return returns, episodes, shown

    return run


def click():
    return [button(CLICK)]


def nothing():
    return []


def test_a_person_kills_a_cow_and_the_recording_plays_it_again(run, tmp_path):
    """Also the film: a frame for each line, what was seen before its action."""
    attack, release = (lambda: [button(1)]), (lambda: [button(1, False)])
    script = [click, lambda: [motion(8, -4)], *[attack, release, *[nothing] * 8] * 2, lambda: [key("w"), motion(3, 0)]]
    (total,), (lines,), shown = run(script, seed=3)
    assert total == 1.0 == sum(line["reward"] for line in lines)
    assert len(lines) == 30 and [line["truncated"] for line in lines] == [False] * 29 + [True]
    assert any("kill_entity cow +1" in text for texts in shown for text in texts)
    assert any("return 1.00" in texts[0] for texts in shown)

    sim = play.load_task(f"{tmp_path}/task.py:near_cow")()
    sim.action_type, sim.render_size = "env", play.SIZE
    _, info = sim.reset(seed=3)
    (film,) = tmp_path.glob("films/*.mp4")
    frames = iio.imread(film, plugin="pyav")
    assert frames.shape == (30, 360, 640, 3)
    for frame, line in zip(frames, lines, strict=True):
        assert (line["yaw"], line["pitch"]) == (info["player_pos"]["yaw"], info["player_pos"]["pitch"])
        assert np.abs(frame.astype(int) - info["pov"]).mean() < 6  # compressed
        _, reward, _, truncated, info = sim.step(line["env_action"])
        assert (reward, truncated) == (line["reward"], line["truncated"])
    assert lines[-1]["stats"]["minecraft.kill_entity:minecraft.cow"] == 1
    (options,) = tmp_path.glob("films/*-options.json")
    expected = {"seed": 3, "fps": 20, "return": 1.0, "length": 30, "ended": True}
    assert json.loads(options.read_text()).items() >= expected.items()


def test_lines_read_by_vpts_rules_are_the_actions_taken(run, monkeypatch):
    """VPT: 2400 pixels of the mouse are 360 degrees; buttons 0 and 1 attack and use; a key name is a button."""
    script = [
        click,
        lambda: [key("w"), key("left ctrl"), motion(10, -20)],
        lambda: [key("space"), key("space", False), motion(1, 1), motion(2, 3)],  # pressed and let go within a tick
        lambda: [key("w", False), key("a"), button(3)],
        lambda: [key("left ctrl", False), key("left shift"), button(3, False), key("f"), key("5")],
        lambda: [wheel(-1), key("5", False), key("q")],
    ]
    taken, step = [], MinecraftSim.step
    monkeypatch.setattr(MinecraftSim, "step", lambda sim, action: (taken.append(action), step(sim, action))[1])
    _, (lines,), _ = run(script)
    pressed = [
        ({"forward", "sprint"}, (10, -20)),
        ({"forward", "sprint", "jump"}, (3, 4)),
        ({"forward", "sprint", "left", "use"}, (0, 0)),
        ({"left", "sprint", "sneak", "use", "hotbar.5"}, (0, 0)),
        ({"left", "sneak", "hotbar.5", "hotbar.6", "drop"}, (0, 0)),
        ({"left", "sneak", "drop"}, (0, 0)),
    ]
    # A key that is let go counts in the tick in which it was, as it was down in a part of it.
    for line, action, (buttons, (dx, dy)) in zip(lines, taken, pressed, strict=False):
        assert {name for name in action if name != "camera"} == buttons
        assert (line["mouse"]["dx"], line["mouse"]["dy"]) == (dx, dy)
        assert action["camera"] == pytest.approx([dy * 0.15, dx * 0.15])
        assert env_action(line) == line["env_action"] == action
    assert lines[0]["keyboard"]["keys"] == ["key.keyboard.w", "key.keyboard.left.control"]
    assert lines[2]["mouse"]["buttons"] == lines[2]["mouse"]["newButtons"] == [1]
    assert lines[3]["mouse"]["newButtons"] == []
    # VPT's loader also reads a press from a change of the slot: in the line where the key is
    slots = [0, *(line["hotbar"] for line in lines)]
    changes = {i: slots[i + 1] for i in range(30) if slots[i + 1] != slots[i]}
    assert changes == {3: 4, 4: 5}
    assert sum(len(line["env_action"]) > 1 for line in lines) == 30  # the rest is held


def test_an_attack_in_the_first_line_is_none_that_vpts_loader_takes_for_stuck(run):
    _, (lines,), _ = run([click, lambda: [button(1)]])
    assert lines[0]["mouse"]["buttons"] == [0] and lines[0]["mouse"]["newButtons"] == []
    assert all(line["env_action"].get("attack") for line in lines)


def test_the_inventorys_cursor_follows_the_mouse_and_escape_closes_it(run):
    script = [click, lambda: [key("e"), key("e", False)], nothing, lambda: [motion(100, 40)], nothing]
    script += [lambda: [key(ESCAPE)], lambda: [key(ESCAPE, False)], nothing]
    _, (lines,), _ = run(script)
    places = {i: (line["mouse"]["x"], line["mouse"]["y"]) for i, line in enumerate(lines) if line["isGuiOpen"]}
    assert places == {1: (640, 360), 2: (640, 360), 3: (740, 400), 4: (740, 400)}  # in a window of 1280 x 720
    assert lines[4]["env_action"].keys() == {"inventory", "camera"} and not lines[5]["isGuiOpen"]
    assert lines[3]["mouse"]["scaledX"] == 100


def test_escape_pauses_ends_and_keeps_what_was_played(run, tmp_path):
    pause, on = (lambda: [key("w"), key(ESCAPE)]), click
    script = [click, nothing, pause, nothing, on, nothing, lambda: [key(ESCAPE)], lambda: [key(ESCAPE)]]
    returns, (lines,), shown = run(script, episodes=None)
    assert len(returns) == 1 and len(lines) == 2
    assert all(len(line["env_action"]) == 1 for line in lines)  # what was held before the pause is not held after it
    assert sum("click to play on, Esc to end" in texts for texts in shown) == 3
    (options,) = tmp_path.glob("films/*-options.json")
    assert not json.loads(options.read_text())["ended"]
    assert len(iio.imread(next(tmp_path.glob("films/*.mp4")), plugin="pyav")) == 2


def test_episodes_follow_each_other_with_seeds_of_their_own(run, tmp_path):
    returns, episodes, shown = run([click, *[nothing] * 30, click], episodes=2, seed=5)
    assert len(returns) == len(episodes) == 2
    seeds = {json.loads(path.read_text())["seed"] for path in tmp_path.glob("films/*-options.json")}
    assert seeds == {5, 6}
    assert sum(texts[0] == "the episode is over: return 0.00" for texts in shown) == 1


def test_nothing_is_recorded_if_not_wanted(run, tmp_path):
    returns, episodes, _ = run([click], output=None)
    assert len(returns) == 1 and not episodes and not (tmp_path / "films").exists()


def test_every_button_of_vpt_has_a_key():
    assert {*KEYS.values(), *MOUSE_BUTTONS.values()} == set(BUTTONS)


class TestWindow:
    def test_human_mode_shows_every_step_in_real_time(self, monkeypatch):
        monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
        shown, show = [], Window.show
        monkeypatch.setattr(Window, "show", lambda window, picture: (shown.append(picture), show(window, picture)))
        ticks: list[int] = []
        monkeypatch.setattr(pygame.time, "Clock", lambda: SimpleNamespace(tick=ticks.append))
        env = gym.make("MineStudio/KillCow-v0", render_mode="human", obs_size=(32, 32))
        env.reset(seed=0)
        env.step(env.unwrapped.noop_action())
        assert env.render() is None
        assert [picture.shape for picture in shown] == [(360, 640, 3)] * 2 and ticks == [20, 20]
        surface = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
        np.testing.assert_array_equal(surface[::2, ::2], shown[-1])
        env.close()
        assert not pygame.display.get_init()

    def test_of_a_batch_it_shows_what_each_environment_observes(self, monkeypatch):
        monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
        shown = []
        monkeypatch.setattr(Window, "show", lambda window, picture: shown.append(picture))
        envs = gym.make_vec("MineStudio/KillCow-v0", num_envs=3, render_mode="human", obs_size=(32, 24))
        envs.reset()
        image = envs.step(envs.action_space.sample())[0]["image"]
        assert len(shown) == 2 and envs.render() is None
        rows = np.concatenate(image[:2], 1), np.concatenate([image[2], np.zeros_like(image[2])], 1)
        np.testing.assert_array_equal(shown[-1], np.concatenate(rows))
        envs.close()

    @pytest.mark.parametrize("missing, words", [("display", "DISPLAY"), ("pygame", "minestudio_envs[play]")])
    def test_what_is_missing_is_named(self, missing, words, tmp_path):
        hide = "sys.modules['pygame'] = None; " if missing == "pygame" else ""
        code = f"import sys; {hide}from minestudio_envs.window import Window; Window('', 20)"
        environment = {
            name: value for name, value in os.environ.items() if "DISPLAY" not in name and name != "SDL_VIDEODRIVER"
        }
        command = [sys.executable, "-c", code]
        root = Path(play.__file__).parents[1]
        result = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True)
        assert result.returncode == 1
        assert words in result.stderr.splitlines()[-1]
