"""One real Minecraft environment as a process, and the guard that cleans up after such processes.

``minecraft.py`` starts this file by its path, in two interpreters:

    MINESTUDIO_PYTHON minecraft_worker.py play FOLDER SOCKET FRAMES   one environment, where minestudio is installed
    MINESTUDIO_PYTHON minecraft_worker.py describe FOLDER SOCKET 0    says what a task looks like, and ends
    python minecraft_worker.py guard FOLDER PARENT                    outlives the process PARENT, and cleans up

Only the standard library is imported at the top: numpy, minestudio and the little that is done with them live in
``Game``. SOCKET and FRAMES are inherited file descriptors: messages are JSON, one in each packet; pictures go through
memory that both sides map and that no name in the file system refers to, so nothing of it can be left over.
"""

from __future__ import annotations

import glob
import importlib
import json
import logging
import logging.handlers
import mmap
import os
import random
import select
import shutil
import signal
import socket
import sys
import time
import traceback

# Every process started for an environment inherits this variable, whatever session or parent it ends up with.
TAG = "MINESTUDIO_ENVS_FOLDER"
LOG_BYTES = 1 << 20  # a log file larger than this begins anew; one old one is kept
MESSAGE_BYTES = 1 << 16


# CLEANING UP


def tagged(folder: str) -> list[int]:
    """The ids of the living processes that belong to an environment in ``folder`` or below."""
    mine, below = f"{TAG}={folder}".encode(), f"{TAG}={folder}/".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    variables = file.read().split(b"\0")
            except OSError:  # it ended meanwhile, or is somebody else's
                continue
            if any(variable == mine or variable.startswith(below) for variable in variables):
                found.append(int(name))
    return found


def kill_all(folder: str, limit: float = 10.0) -> list[int]:
    """Kill all processes that belong to an environment in ``folder`` or below -> those left after ``limit`` seconds."""
    killed, end = set(), time.monotonic() + limit
    while (alive := tagged(folder)) and time.monotonic() < end:
        for pid in alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        killed.update(alive)
        time.sleep(0.01)  # what they had just started shows now
    # An X server that is killed leaves its lock, and `xvfb-run -a` would never use that number again.
    for lock in glob.glob("/tmp/.X*-lock"):
        try:
            with open(lock) as file:
                pid = int(file.read())
            if pid in killed:
                os.unlink(lock)
                os.unlink(lock.replace("/.X", "/.X11-unix/X").replace("-lock", ""))
        except (OSError, ValueError):  # gone, or somebody else's
            continue
    return alive


def guard(folder: str, parent: int) -> None:
    """Wait until ``parent`` has ended or closed our stdin; then kill its environments and remove ``folder``."""
    if os.fork():  # our parent is now process 1: what kills a trainer's children spares us
        os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # even then, clean up first
    os.chdir("/")
    watched = [sys.stdin.fileno()]
    try:
        watched.append(os.pidfd_open(parent))  # a copy of our stdin may live on in a child of the parent's
    except ProcessLookupError:
        watched = []
    except (AttributeError, OSError):  # an old Python or Linux: the stdin has to do
        pass
    print("on guard", flush=True)
    if watched:
        select.select(watched, [], [])
    kill_all(folder)
    shutil.rmtree(folder, ignore_errors=True)


# ONE ENVIRONMENT


class Rewards:
    """Pays for what the game counted since the last step, every time it happened, up to each identity's limit."""

    def __init__(self, entries: list[dict]):
        self.entries = entries  # RewardsCallback's

    def counts(self, info: dict) -> list[float]:
        return [sum(float(info[e["event"]][name]) for name in e["objects"]) for e in self.entries]

    def begin(self, info: dict) -> None:
        self.before = self.counts(info)
        self.paid = {entry["identity"]: 0 for entry in self.entries}

    def step(self, info: dict) -> float:
        reward, now = 0.0, self.counts(info)
        for i, entry in enumerate(self.entries):
            left = int(entry["max_reward_times"]) - self.paid[entry["identity"]]
            events = max(0, min(int(now[i] - self.before[i]), left))
            reward += float(entry["reward"]) * events
            self.paid[entry["identity"]] += events
        self.before = now
        return reward


class Game:
    """minestudio's MinecraftSim made from a task's description, or from a generator of one."""

    def __init__(self, task: dict):
        import numpy
        from minestudio.simulator import MinecraftSim, callbacks

        self.np = numpy
        self.time_limit = task.get("time_limit")
        if "generator" in task:
            source = task["generator"]
            sys.path.append(source["path"])
            generator = importlib.import_module(source["module"])
            for name in source["name"].split("."):
                generator = getattr(generator, name)
            self.sim = generator()
            if not isinstance(self.sim, MinecraftSim):
                raise TypeError(f"{source['module']}:{source['name']} returned {type(self.sim)}, not a MinecraftSim")
            # Theirs says that the episode was terminated where it was only stopped: the limit is kept outside.
            limits = [c.time_limit for c in self.sim.callbacks if type(c) is callbacks.JudgeResetCallback]
            self.sim.callbacks = [c for c in self.sim.callbacks if type(c) is not callbacks.JudgeResetCallback]
            self.time_limit = min(limits, default=None)
            self.rewards = None  # its own callbacks pay
        else:
            made = []
            for name, arguments in task["callbacks"]:
                if name == "MaskActionsCallback" and "camera" in arguments:
                    arguments["camera"] = numpy.array(arguments["camera"])
                made.append(getattr(callbacks, name)(**arguments))
            self.sim = MinecraftSim(callbacks=made, **task["arguments"])
            self.rewards = [Rewards(entries) for entries in task["rewards"]]
        if task["obs_size"] is not None:
            self.sim.obs_size = tuple(task["obs_size"])
        self.ended = False  # the engine's own end, after which only a new world helps
        self.measure_frames()

    def description(self) -> dict:
        return {
            "action_type": self.sim.action_type,
            "obs_size": list(self.sim.obs_size),
            "render_size": list(self.sim.render_size),
            "time_limit": self.time_limit,
        }

    def reset(self, seed: int | None) -> dict:
        """Begin an episode; with a seed in a new world, and with new random numbers for all that comes."""
        if seed is not None:
            random.seed(seed)
            self.np.random.seed(seed)  # FastReset draws from the global generators
            self.sim.np_random = self.np.random.default_rng(seed)
            self.sim.env.seed(seed)
        if seed is not None or self.ended:
            self.sim.already_reset = False  # else FastReset would go on in the old world
        self.obs, self.info = self.sim.reset()
        self.ended = False
        self.kills = dict(self.info["kill_entity"])
        for rewards in self.rewards or ():
            rewards.begin(self.info)
        return self.result(0.0, False, False)

    def step(self, message: dict) -> dict:
        np, action = self.np, message["action"]
        if self.sim.action_type == "agent":
            action = {key: np.array([value]) for key, value in action.items()}
        else:
            action = {key: np.array(value) for key, value in action.items()}
        self.obs, reward, terminated, truncated, self.info = self.sim.step(action)
        if "error" in self.info:
            raise RuntimeError(f"minestudio lost the engine: {self.info['error']}")
        self.ended = bool(self.sim.env.done)
        if self.rewards is not None:  # the game pays nothing, GateRewardsCallback does
            reward += sum(rewards.step(self.info) for rewards in self.rewards)
        # The engine's end sets both.
        return self.result(float(reward), bool(terminated), bool(truncated and not terminated))

    def result(self, reward: float, terminated: bool, truncated: bool) -> dict:
        width, height = self.sim.render_size
        if self.frame_bytes != width * height * 3:
            raise ValueError(f"the engine sent a frame of {self.frame_bytes} bytes, not {width}x{height}x3")
        kills = {name: int(count - self.kills.get(name, 0)) for name, count in self.info["kill_entity"].items()}
        return {
            "reward": reward,
            "terminated": terminated,
            "truncated": truncated,
            "kills": {name: count for name, count in kills.items() if count},
        }

    def measure_frames(self) -> None:
        """minestudio makes a black picture of a frame without bytes: only here can one see that none was sent."""
        process = self.sim.env._process_observation

        def measured(actor, frame, info):
            self.frame_bytes = len(frame or b"")
            return process(actor, frame, info)

        self.sim.env._process_observation = measured

    def close(self) -> None:
        """What the callbacks do at the end, such as writing their films; the engine itself will be killed."""
        for hook in ("before_close", "after_close"):
            for callback in self.sim.callbacks:
                getattr(callback, hook)(self.sim)


class LogStream:
    """What the process prints, line by line to a log file. (Not to a logger: some of these print.)"""

    encoding, errors = "utf-8", "replace"

    def __init__(self, handler: logging.Handler):
        self.handler, self.line = handler, ""

    def write(self, text: str) -> int:
        *lines, self.line = (self.line + text).split("\n")
        for line in lines:
            self.handler.handle(logging.makeLogRecord({"msg": line}))
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


def keep_log(folder: str) -> None:
    """The engine's output, which minestudio hands to its logger, and ours, in ``folder``.log."""
    handler = logging.handlers.RotatingFileHandler(
        f"{folder}.log", maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8", errors="replace"
    )
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("minestudio")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    sys.stdout = sys.stderr = LogStream(handler)


def trim_logs(folder: str) -> None:
    """minestudio keeps a second log, without bounds."""
    for path in glob.glob(os.path.join(glob.escape(folder), "logs", "*.log")):
        if os.stat(path).st_blocks * 512 > LOG_BYTES:
            os.truncate(path, 0)


def play(folder: str, link: socket.socket, frames: int, describe: bool) -> None:
    """Answer messages until the other side is gone; after an error, say which and end."""
    with open(os.path.join(folder, "task.json")) as file:
        task = json.load(file)

    def send(**message) -> None:
        link.send(json.dumps(message).encode())

    try:
        game = Game(task)
        if describe:
            return send(**game.description())
        # The helper process in which minestudio waits for our end would import torch: the guard does this.
        from minestudio.simulator.minerl.env import database_manager

        database_manager.database["daemon"] = (os.getpid(), os.getpid())
    except Exception as error:  # of the set-up: trying again would not help
        traceback.print_exc(file=sys.__stderr__)
        return send(fatal=f"{type(error).__name__}: {error}"[-8000:])

    np = game.np
    (width, height), (wide, high) = game.sim.obs_size, game.sim.render_size
    memory = mmap.mmap(frames, (width * height + wide * high) * 3)
    image = np.frombuffer(memory, np.uint8, width * height * 3).reshape(height, width, 3)
    screen = np.frombuffer(memory, np.uint8, wide * high * 3, image.size).reshape(high, wide, 3)
    while packet := link.recv(MESSAGE_BYTES):
        message = json.loads(packet)
        try:
            if message["do"] == "close":
                game.close()
                return send(did="close")
            if message["do"] == "screen":
                np.copyto(screen, game.info["pov"])
                answer = {}
            elif message["do"] == "reset":
                answer = game.reset(message["seed"])
                trim_logs(folder)
            else:
                answer = game.step(message)
            if game.obs["image"].shape != image.shape:
                raise ValueError(f"the picture has shape {game.obs['image'].shape}, not {image.shape}")
            np.copyto(image, game.obs["image"])
            send(did=message["do"], time=time.monotonic(), **answer)
        except Exception as error:
            traceback.print_exc(file=sys.__stderr__)
            return send(error=f"{message['do']}: {type(error).__name__}: {error}"[-8000:])


def main(what: str, folder: str, *rest: str) -> None:
    if what == "guard":
        return guard(folder, int(rest[0]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_log(folder)
    try:
        play(folder, socket.socket(fileno=int(rest[0])), int(rest[1]), describe=what == "describe")
    except OSError:  # nobody listens any more
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(0)  # not through minestudio's own farewell, which takes three seconds


if __name__ == "__main__":
    del sys.path[0]  # our own modules' folder: their names are not meant to be imported from here
    main(*sys.argv[1:])
