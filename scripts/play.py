"""Play a task in a window, and record it as VPT's contractors were recorded.

    pip install -e ".[play]"
    python scripts/play.py                                    # kill cows
    python scripts/play.py --task MineStudio/ChopTree-v0
    python scripts/play.py --task my_task.py:env_generator --output None

Minecraft's keys: W, A, S, D, space, left shift and ctrl, E, Q, 1-9 or the wheel; the left mouse button attacks, the
right one uses. Esc closes the inventory, else it releases the mouse; Esc again, or closing the window, ends.

Of each episode there are, under --output, with <name> = <task>-<date>-<time>-<seed>:

    <name>.mp4             640x360, 20 frames a second, without the text of the window
    <name>.jsonl           a line for each frame: what was done when it was seen, in VPT's format; and "env_action",
                           which sim.step takes, "reward", "terminated", "truncated"
    <name>-options.json    task, seed, return, length; sim.reset(seed=...) and the actions play it again
"""

import json
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import truediv
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the scripts are no package
from scripts.evaluate import load_task

# isort: split
import gymnasium as gym
import tyro

from minestudio_envs import MinecraftSim
from minestudio_envs.training.demonstrations import KEYS, env_action
from minestudio_envs.training.video import Film
from minestudio_envs.views import REWARD_EVENTS
from minestudio_envs.window import Window

FPS = 20  # ticks a second
SIZE = (640, 360)  # of the film, and of the screen in whose pixels the inventory's cursor moves
RECORDED_SIZE = (1280, 720)  # of the window in which VPT's data say where the cursor is
NEWS_STEPS = 60  # that an event stays on the screen


@dataclass
class Args:
    task: str = "MineStudio/KillCow-v0"
    """registered task, file.py:function or module:function"""
    seed: int = 0
    """of the first episode; the next has the next seed"""
    episodes: int | None = None
    """how many; none: until Esc"""
    output: Path | None = Path("output/play")
    """folder of the recordings; none: nothing is recorded"""
    sensitivity: float = 1.0
    """of the mouse; 1: 0.15 degrees a pixel"""


class Controls:
    """What is pressed, from pygame's events."""

    def __init__(self, pygame: Any):
        self.pygame = pygame
        self.release()

    def release(self) -> None:
        """Forget what is held down."""
        self.keys: list[str] = []
        self.buttons: list[int] = []

    def read(self, events: Sequence[Any], speed: float, gui_open: bool, hotbar: int) -> dict[str, Any] | None:
        """A tick's "mouse" and "keyboard" in VPT's format; None if the player wants to stop.

        speed: mouse pixels in VPT's for one of the window's. hotbar: the selected slot, 0-8, from which a wheel turns.
        What was pressed and let go within the tick counts as pressed in it.
        """
        pg, new_keys, new_buttons, dx, dy, wheel = self.pygame, [], [], 0, 0, 0
        gone_keys, gone_buttons = [], []
        for event in events:
            if event.type in (pg.QUIT, pg.WINDOWFOCUSLOST):
                return None
            if event.type in (pg.KEYDOWN, pg.KEYUP):
                name = pg.key.name(event.key).replace("ctrl", "control").replace(" ", ".")
                if name == "escape":
                    if event.type == pg.KEYDOWN and not gui_open:
                        return None
                    name = "e"  # as in the data that VPT was trained on
                if (key := f"key.keyboard.{name}") in KEYS:
                    (new_keys if event.type == pg.KEYDOWN else gone_keys).append(key)
            elif event.type in (pg.MOUSEBUTTONDOWN, pg.MOUSEBUTTONUP):
                if event.button in (1, 3):  # 2 is the wheel's
                    (new_buttons if event.type == pg.MOUSEBUTTONDOWN else gone_buttons).append(event.button // 2)
            elif event.type == pg.MOUSEMOTION:
                dx, dy = dx + event.rel[0], dy + event.rel[1]
            elif event.type == pg.MOUSEWHEEL and not gui_open:
                wheel += event.y
        self.keys = list(dict.fromkeys(self.keys + new_keys))
        self.buttons = list(dict.fromkeys(self.buttons + new_buttons))
        # VPT's loader knows no wheel: it is written as the number of the slot that it selects.
        turned = [f"key.keyboard.{(hotbar - wheel) % 9 + 1}"] if wheel else []
        mouse = {"dx": dx * speed, "dy": dy * speed, "dwheel": float(wheel)}
        mouse |= {"buttons": sorted(self.buttons), "newButtons": sorted(set(new_buttons))}
        keyboard = {"keys": self.keys + turned, "newKeys": new_keys + turned, "chars": ""}
        self.keys = [key for key in self.keys if key not in gone_keys]
        self.buttons = [button for button in self.buttons if button not in gone_buttons]
        return {"mouse": mouse, "keyboard": keyboard}


class Recording:
    """Film and lines of an episode. They are whole after ``close``."""

    def __init__(self, path: Path, options: Mapping[str, Any]):
        self.path, self.options = path, dict(options)
        self.film = Film(path.with_name(f"{path.name}.mp4"), SIZE, FPS)
        self.lines = path.with_name(f"{path.name}.jsonl").open("w", encoding="utf-8")

    def add(self, picture: Any, line: Mapping[str, Any]) -> None:
        self.film.add(picture)
        self.lines.write(json.dumps(line) + "\n")

    def close(self, **results: Any) -> None:
        self.film.close()
        self.lines.close()
        path = self.path.with_name(f"{self.path.name}-options.json")
        path.write_text(json.dumps(self.options | results) + "\n", encoding="utf-8")


def state_of(sim: MinecraftSim, info: Mapping[str, Any], tick: int) -> dict[str, Any]:
    """What VPT's lines say of the game, before the tick's action; without "hotbar"."""
    position, open_ = info["player_pos"], info["is_gui_open"]
    x, y = sim._batch.state["cursor"][0].tolist() if open_ else (SIZE[0] / 2, SIZE[1] / 2)
    x, y = x * RECORDED_SIZE[0] / SIZE[0], y * RECORDED_SIZE[1] / SIZE[1]
    return {
        "mouse": {"x": x, "y": y, "scaledX": x - RECORDED_SIZE[0] / 2, "scaledY": y - RECORDED_SIZE[1] / 2},
        "isGuiOpen": open_,
        "isGuiInventory": open_,
        "yaw": position["yaw"],
        "pitch": position["pitch"],
        **{f"{axis}pos": position[axis] for axis in "xyz"},
        "tick": tick,
        "milli": time.time_ns() // 10**6,
        "inventory": [slot for slot in info["inventory"].values() if slot["type"] != "none"],
        "stats": {
            f"minecraft.{event}:minecraft.{name}": count
            for event in REWARD_EVENTS
            for name, count in info[event].items()
            if count
        },
    }


def news(before: Mapping[str, Any], info: Mapping[str, Any]) -> list[str]:
    """What has happened between two infos: kills, blocks, items, deaths."""
    shown = {event: info[event] for event in REWARD_EVENTS if event != "custom"}
    shown["custom"] = {"deaths": info["custom"]["deaths"]}
    return [
        f"{event} {name} +{count - before[event][name]}"
        for event, counts in shown.items()
        for name, count in counts.items()
        if count > before[event][name]
    ]


def wait(window: Window, picture: Any, lines: Sequence[str]) -> bool:
    """Release the mouse and wait for a click, which captures it -> False if the player wants to end."""
    pygame = window.pygame
    pygame.event.set_grab(False)
    pygame.mouse.set_visible(True)
    while True:
        window.show(picture, lines)
        for event in pygame.event.get():
            if event.type == pygame.QUIT or (event.type == pygame.KEYDOWN and event.key == pygame.K_ESCAPE):
                return False
            if event.type == pygame.MOUSEBUTTONDOWN:
                pygame.event.set_grab(True)  # with a hidden cursor: the mouse moves without end
                pygame.mouse.set_visible(False)
                return True


def play_episode(args: Args, sim: MinecraftSim, window: Window, seed: int, message: str) -> tuple[float | None, bool]:
    """-> (return, None if it was not begun; whether the player wants to go on). message: shown before."""
    name = args.task.rpartition("/")[2].replace(".py:", "-").replace(":", "-").replace(".", "-")
    _, info = sim.reset(seed=seed)
    heading, total, tick, ended = f"{name}, seed {seed}", 0.0, 0, False
    if not wait(window, info["pov"], [*filter(None, [message]), heading, "click to play, Esc to end"]):
        return None, False
    recording = None
    if args.output is not None:
        options = {"task": args.task, "seed": seed, "fps": FPS}
        recording = Recording(args.output / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{seed}", options)
    controls, reward = Controls(window.pygame), 0.0
    recent: deque[tuple[int, str]] = deque(maxlen=8)
    try:
        while not ended:
            while recent and recent[0][0] < tick - NEWS_STEPS:
                recent.popleft()
            status = f"step {tick}   reward {reward:+.2f}   return {total:.2f}"
            window.show(info["pov"], [f"{heading}   {status}", *(text for _, text in recent)])
            open_ = info["is_gui_open"]
            # In the inventory the cursor keeps up with the mouse, however large the window.
            scale = min(map(truediv, window.pygame.display.get_window_size(), SIZE))
            speed = 1 / scale if open_ else args.sensitivity
            done = controls.read(window.pygame.event.get(), speed, open_, info["hotbar"])
            if done is None:
                controls.release()
                if not wait(window, info["pov"], [heading, "click to play on, Esc to end"]):
                    return total, False
                continue
            line, picture, before = state_of(sim, info, tick), info["pov"], info
            line["mouse"] |= done["mouse"]
            line["keyboard"] = done["keyboard"]
            if tick == 0:
                line["mouse"]["newButtons"] = []  # VPT's loader would take a first press for a stuck button
            action = env_action(line)
            _, reward, terminated, truncated, info = sim.step(action)
            tick, total, ended = tick + 1, total + reward, terminated or truncated
            recent.extend((tick, text) for text in news(before, info))
            if recording is not None:
                # The slot after the action: VPT's loader takes a change for a press in the line that shows it.
                results = {"reward": reward, "terminated": terminated, "truncated": truncated}
                recording.add(picture, line | {"hotbar": info["hotbar"], "env_action": action} | results)
    finally:
        if recording is not None:
            recording.close(**{"return": total, "length": tick, "ended": ended})
            print(f"{recording.path}.mp4, .jsonl: return {total:.2f} in {tick} steps", flush=True)
    return total, True


def main(args: Args) -> list[float]:
    """Play -> the returns of the episodes."""
    if not 0 < args.sensitivity < float("inf"):
        raise SystemExit(f"--sensitivity {args.sensitivity} must be positive")
    try:
        sim = load_task(args.task)()
    except Exception as error:  # anyone's generator can raise anything
        raise SystemExit(f"--task {args.task} makes no environment ({type(error).__name__}: {error})") from error
    if not isinstance(sim, MinecraftSim):
        raise SystemExit(f"--task {args.task} makes {type(sim)}, expected a minestudio_envs.MinecraftSim")
    # People turn by any angle, and see more than a policy.
    sim.action_type, sim.render_size, sim.render_mode = "env", SIZE, "rgb_array"
    try:
        window = Window("Minecraft", FPS)
    except gym.error.Error as error:
        raise SystemExit(f"error: {error}") from None
    returns: list[float] = []
    message, on = "", True
    try:
        while on and (args.episodes is None or len(returns) < args.episodes):
            total, on = play_episode(args, sim, window, args.seed + len(returns), message)
            if total is not None:
                returns.append(total)
                message = f"the episode is over: return {total:.2f}"
    finally:
        window.close()
        sim.close()
    return returns


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
