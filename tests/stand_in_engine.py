"""A stand-in for MineStudio's Minecraft: a program that the unmodified minestudio starts and takes for the game.

``stand_in(folder)`` lays out what minestudio looks for: a folder with an (empty) jar, and `java` and `xvfb-run`, first
on PATH, that start this program and a child in place of the X server. It says what minestudio waits for, listens on the
port, and answers as the game would, from a small flat world. On command it misbehaves.

    for name, value in stand_in(tmp_path).items():
        monkeypatch.setenv(name, value)
    misbehave(tmp_path, {"fault": "hang", "when": "step", "after": 100, "engine": 1})

The world: flat grass, Minecraft's numbers for walking, jumping and falling; health, an inventory, cows that stand
still. The start of an attack kills the nearest cow within CLICK blocks wherever it stands; attack held for MINE_TICKS
with no cow near digs a block. Statistics show it one tick later, as in the game. Position and view begin where the seed
says; without one, anywhere. The picture: blue sky above green grass, eight pillars of different colours on the horizon
every 45 degrees from the south, cows in brown, and at the top right a square whose grey is 8 x tick, modulo 256.

Only the standard library: it runs in any Python. Each engine keeps `engines/<number>/` in the folder: `log.jsonl`, what
happened, and `steps.txt`, the actions it was sent. All processes end by themselves after LIFE seconds.
"""

import json
import math
import os
import random
import re
import shlex
import signal
import socket
import struct
import sys
import time
from collections import Counter
from pathlib import Path

LIFE = 900  # seconds
CLICK, MINE_TICKS = 6.0, 18
GROUND = 64.0
SKY, GRASS, COW = (120, 170, 255), ((70, 150, 60), (90, 180, 75)), (90, 55, 30)
PILLARS = (
    *((220, 30, 30), (230, 140, 20), (240, 230, 40), (250, 250, 250)),
    *((20, 20, 20), (150, 40, 200), (240, 120, 190), (110, 110, 110)),
)
FAULTS = {
    "die": "is killed",
    "exit": "prints a Java stack trace and exits",
    "hang": "stops answering; at the start: stops before it is ready",
    "silent": "at the start: prints nothing and never gets ready",
    "refuse": "at the start: says that it is ready, but does not listen",
    "close": "closes the connection",
    "short_frame": "a frame with half its bytes",
    "empty_frame": "a frame without bytes",
    "wrong_length": "a frame whose length says twice what comes",
    "garbage_json": "an info that is no JSON",
    "done": "says that the episode is over",
    "busy": "at a reset: not ready for the mission",
    "slow": "takes `seconds` longer",
    "stubborn": "at the start: ignores every signal but kill",
}
TIMES = ("start", "reset", "step", "exit")


# FOR TESTS: laying out the folder, faults, what happened, what is left


def stand_in(folder: Path, *faults: dict) -> dict[str, str]:
    """Lay out ``folder`` -> the environment variables with which minestudio plays in it. Faults as ``misbehave``'s."""
    folder = Path(folder).resolve()
    for part in ("engine/build/libs", "engines", "bin"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "engine/build/libs/mcprec-6.13.jar").touch()
    program = shlex.join([sys.executable, "-I", str(Path(__file__).resolve()), str(folder)])
    scripts = {
        "java": f'exec {program} "$@"',
        # As the real one: an X server and the game as children, and the server killed when the game ends.
        "xvfb-run": f'[ "$1" = -a ] && shift\n( exec -a Xvfb sleep {LIFE} ) &\nserver=$!\n'
        '"$@"\nstatus=$?\nkill $server\nexit $status',
    }
    for name, body in scripts.items():
        (folder / "bin" / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (folder / "bin" / name).chmod(0o755)
    misbehave(folder, *faults)
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {"MINESTUDIO_DIR": str(folder), "PATH": path, "STAND_IN": str(folder)}


def misbehave(folder: Path, *faults: dict) -> None:
    """What goes wrong from now on, in engines that run too; without faults, nothing.

    A fault is ``{"fault": one of FAULTS}`` and, where wanted, ``"when"``: at the start, at a reset, at a step (this if
    nothing is said), or when asked to exit; ``"after"``: how many of these there were in the same engine before (0;
    a reset plays num_empty_frames steps); ``"times"``: in how many it happens (all from then on); ``"engine"``: the
    number, from 0, of the engine started in this folder, or a list (every engine); ``"seconds"`` for "slow".
    """
    for fault in faults:
        if fault.get("fault") not in FAULTS or fault.get("when", "step") not in TIMES:
            raise ValueError(f"{fault}: 'fault' must be one of {list(FAULTS)}, 'when' one of {TIMES}")
        if unknown := set(fault) - {"fault", "when", "after", "times", "engine", "seconds"}:
            raise ValueError(f"{fault}: unknown {sorted(unknown)}")
    aside = Path(folder) / "faults.json.new"
    aside.write_text(json.dumps(faults))
    aside.replace(Path(folder) / "faults.json")


def events(folder: Path, event: str | None = None, engine: int | None = None) -> list[dict]:
    """What the engines (or one) in ``folder`` logged, in order of time; of one kind of event if named."""
    found = []
    for log in Path(folder).glob("engines/*/log.jsonl" if engine is None else f"engines/{engine:03}/log.jsonl"):
        found += [json.loads(line) for line in log.read_text().splitlines()]
    return sorted((e for e in found if event in (None, e["event"])), key=lambda e: e["time"])


def steps(folder: Path, engine: int = 0) -> list[dict[str, str]]:
    """The actions that an engine was sent, from its start: {key: value as sent}, as {"jump": "1", "camera": "0 5"}."""
    lines = (Path(folder) / f"engines/{engine:03}/steps.txt").read_text().splitlines()
    return [json.loads(line) for line in lines]


def survivors(folder: Path) -> dict[int, str]:
    """{process id: command line} of all that was started with ``stand_in``'s environment and runs (Linux).

    The engines, and minestudio with its helpers. The asking process itself counts only if it was started with it.
    """
    wanted = f"STAND_IN={Path(folder).resolve()}".encode()
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:  # ended meanwhile, or somebody else's
            continue
    return found


# THE WORLD


class World:
    """A flat world with one player. ``seed`` None: anywhere. ``mission``: the XML that asks for it."""

    def __init__(self, seed: int | None, mission: str):
        where = random.Random(seed)
        self.width, self.height = (
            int(re.search(rf"<{side}>\s*(\d+)\s*</{side}>", mission)[1]) for side in ("Width", "Height")
        )
        self.start = (where.randrange(-500, 500) + 0.5, where.randrange(-500, 500) + 0.5)
        self.yaw, self.pitch = where.uniform(-180, 180), 0.0
        self.tick, self.time_of_day = 0, 0
        self.cows: list[tuple[str, float, float]] = []
        self.inventory: dict[int, list] = {}  # slot -> [item, count]
        self.counts = {group: Counter() for group in STATISTICS}
        self.happened: list[tuple[str, str, int]] = []  # shown in the next tick
        self.pressed: set[str] = set()
        self.hotbar = self.held_attack = 0
        self.boxes: dict[str, list[int]] = {}
        self.respawn()
        for item in re.findall(r"<InventoryObject [^>]*>", mission):
            slot, kind, count = (re.search(rf'{key}="([^"]*)"', item)[1] for key in ("slot", "type", "quantity"))
            self.inventory[int(slot)] = [kind, int(count)]

    def respawn(self) -> None:
        self.x, self.z = self.start
        self.y = self.top = GROUND
        self.vx = self.vy = self.vz = 0.0
        self.health, self.food = 20.0, 20
        self.inventory.clear()

    def count(self, group: str, key: str, number: int = 1) -> None:
        self.happened.append((group, key, number))

    def hurt(self, damage: float) -> None:
        self.health -= damage
        if self.health <= 0:  # the death screen respawns at once
            self.count("custom", "deaths")
            self.respawn()

    def step(self, action: dict[str, str]) -> str | None:
        """One tick -> why the command in it was refused."""
        for group, key, number in self.happened:
            self.counts[group][key] += number
        self.happened.clear()
        self.tick += 1
        self.time_of_day = (self.time_of_day + 1) % 24000
        self.count("custom", "play_one_minute")
        before, self.pressed = self.pressed, {key for key, value in action.items() if value == "1"}
        self.boxes = {key: [int(v) for v in action[key].split(",")] for key in ("voxels", "mobs") if key in action}
        if "camera" in action:
            pitch, yaw = (float(v) for v in action["camera"].split())
            self.pitch = max(-90.0, min(90.0, self.pitch + pitch))
            self.yaw = (self.yaw + yaw + 180) % 360 - 180
        for key in self.pressed:
            if key.startswith("hotbar."):
                self.hotbar = int(key[-1]) - 1
        self.move()
        self.attack(begins="attack" in self.pressed - before)
        if "use" in self.pressed - before and self.hotbar in self.inventory:
            self.count("use_item", self.inventory[self.hotbar][0])
        return self.command(action["chat"]) if "chat" in action else None

    def move(self) -> None:
        forward = ("forward" in self.pressed) - ("back" in self.pressed)
        left = ("left" in self.pressed) - ("right" in self.pressed)
        sneaks = "sneak" in self.pressed
        sprints = "sprint" in self.pressed and forward > 0 and not sneaks
        length = max(1.0, math.hypot(forward, left)) / 0.98 / (0.3 if sneaks else 1.0)
        grounded = self.y <= GROUND
        push = (0.1 if grounded else 0.02) * (1.3 if sprints else 1.0) / length
        sin, cos = math.sin(math.radians(self.yaw)), math.cos(math.radians(self.yaw))
        self.vx += push * (left * cos - forward * sin)
        self.vz += push * (left * sin + forward * cos)
        if grounded and "jump" in self.pressed:
            self.vy = 0.42
            self.vx, self.vz = self.vx - 0.2 * sin * sprints, self.vz + 0.2 * cos * sprints
            self.count("custom", "jump")
        self.x, self.y, self.z = self.x + self.vx, self.y + self.vy, self.z + self.vz
        self.count("custom", "walk_one_cm", round(100 * math.hypot(self.vx, self.vz)))
        self.top = max(self.top, self.y)
        if self.y <= GROUND:
            fall, self.y, self.top, self.vy = self.top - GROUND, GROUND, GROUND, 0.0
            if fall > 3:
                self.hurt(math.ceil(fall - 3))
        else:
            self.vy = (self.vy - 0.08) * 0.98
        drag = 0.546 if grounded else 0.91
        self.vx, self.vz = self.vx * drag, self.vz * drag

    def attack(self, begins: bool) -> None:
        near = sorted((math.hypot(x - self.x, z - self.z), kind, x, z) for kind, x, z in self.cows)
        near = [cow for cow in near if cow[0] <= CLICK]
        self.held_attack = self.held_attack + 1 if "attack" in self.pressed and not near else 0
        if near and begins:
            _, kind, x, z = near[0]
            self.cows.remove((kind, x, z))
            self.count("kill_entity", kind)
            self.count("custom", "damage_dealt", 100)  # tenths of a health point
        elif self.held_attack == MINE_TICKS:
            self.held_attack = 0
            self.count("mine_block", "grass_block")
            self.count("pickup", "dirt")
            self.give("dirt", 1)

    def give(self, item: str, number: int) -> None:
        for slot in range(36):
            if number and self.inventory.get(slot, [item])[0] == item:
                has = self.inventory.setdefault(slot, [item, 0])
                moved = min(64 - has[1], number)
                has[1] += moved
                number -= moved
                if not has[1]:
                    del self.inventory[slot]

    def command(self, text: str) -> str | None:
        """Obey a command of 1.16.5 -> why not, or None. What is understood and changes nothing here is obeyed too."""
        name = r"(?:minecraft:)?(\w+)"
        if m := re.fullmatch(rf"/give @[aps] {name}(?:{{.*}})?(?: (\d+))?", text):
            self.give(m[1], int(m[2] or 1))
        elif m := re.fullmatch(rf"/replaceitem entity @[aps] (\w+)\.(\w+) {name}(?:{{.*}})?(?: (\d+))?", text):
            armor = {"feet": 36, "legs": 37, "chest": 38, "head": 39, "offhand": 40, "mainhand": self.hotbar}
            slot = armor[m[2]] if m[2] in armor else int(m[2]) + (9 if m[1] == "inventory" else 0)
            self.inventory[slot] = [m[3], int(m[4] or 1)]
        elif m := re.fullmatch(rf"(?:/execute as @p at @p run )?/?summon {name}(?: (\S+) (\S+) (\S+))?( .*)?", text):
            here = [self.x, 0.0, self.z]
            x, _, z = (relative(c or "~", h) for c, h in zip(m.groups()[1:4], here, strict=True))
            self.cows.append((m[1], x, z))
        elif re.fullmatch(r"/kill(?: @[aps])?", text):
            self.hurt(self.health)
        elif m := re.fullmatch(r"/kill @e\[type=(!player|item|(?:minecraft:)?(\w+))\]", text):
            self.cows = [cow for cow in self.cows if m[1] != "!player" and cow[0] != m[2]]
        elif m := re.fullmatch(r"/(?:tp @[aps]|teleportbiome @[aps] \w+) (\S+) (\S+) (\S+)", text):
            self.x, y, self.z = (relative(c, h) for c, h in zip(m.groups(), (self.x, self.y, self.z), strict=True))
            self.y = self.top = GROUND if text.startswith("/teleportbiome") else max(GROUND, y)
            self.vx = self.vy = self.vz = 0.0
        elif m := re.fullmatch(r"/time set (\w+)", text):
            names = {"day": 1000, "noon": 6000, "night": 13000, "midnight": 18000}
            self.time_of_day = names[m[1]] if m[1] in names else int(m[1]) % 24000
        elif m := re.fullmatch(rf"/effect give @[aps] {name}(?: (\d+))?(?: (\d+))?(?: (?:true|false))?", text):
            if m[1] == "instant_damage":
                self.hurt(6.0 * 2 ** int(m[3] or 0))
        elif re.fullmatch(r"/clear(?: @[aps])?", text):
            self.inventory.clear()
        elif not re.fullmatch(
            r"/(weather (clear|rain|thunder)( \d+)?|gamerule .*|difficulty \w+|effect clear.*)", text
        ):
            return "not a command of 1.16.5 that the stand-in knows" if text.startswith("/") else None
        return None

    def frame(self) -> bytes:
        """RGB, height x width, the bottom row first."""
        width, height = self.width, self.height
        focal = height / 2 / math.tan(math.radians(35))

        def column(bearing: float) -> float | None:
            """The column of a direction, in degrees from the middle; None behind the player."""
            bearing = (bearing + 180) % 360 - 180
            return width / 2 + focal * math.tan(math.radians(bearing)) if abs(bearing) < 80 else None

        tilt = math.tan(math.radians(max(-89.0, min(89.0, self.pitch))))
        ground = round(max(0, min(height, height / 2 + focal * tilt)))  # rows
        sky = bytes(SKY) * width
        pillars = bytearray(sky)
        for number, color in enumerate(PILLARS):
            middle = column(45 * number - self.yaw)
            if middle is not None and 0 <= middle < width:
                left, right = max(0, round(middle - height / 60)), min(width, round(middle + height / 60))
                pillars[3 * left : 3 * right] = bytes(color) * (right - left)
        tall = min(height // 9, height - ground)
        grass = bytes(GRASS[(math.floor(self.x) + math.floor(self.z)) & 1]) * width
        picture = bytearray().join((grass * ground, pillars * tall, sky * (height - ground - tall)))
        cows = sorted((math.hypot(x - self.x, z - self.z), x, z) for _, x, z in self.cows)
        for distance, x, z in reversed(cows[:3]):
            distance = max(distance, 0.5)
            middle = column(math.degrees(math.atan2(self.x - x, z - self.z)) - self.yaw)
            if middle is None:
                continue
            low, high = (round(ground - focal * drop / distance) for drop in (1.62, 0.22))
            left, right = (round(max(0, min(width, middle + focal * s * 0.45 / distance))) for s in (-1, 1))
            for row in range(max(0, low), max(0, min(height, high))):
                picture[3 * (row * width + left) : 3 * (row * width + right)] = bytes(COW) * (right - left)
        side = height // 20
        for row in range(height - side, height):
            picture[3 * ((row + 1) * width - side) : 3 * (row + 1) * width] = bytes([self.tick * 8 % 256]) * (3 * side)
        return bytes(picture)

    def info(self) -> str:
        slots = [self.inventory.get(slot, ["none", 0]) for slot in range(41)]
        worn = {"mainhand": self.hotbar, "feet": 36, "legs": 37, "chest": 38, "head": 39, "offhand": 40}
        info = {
            "inventory": [
                {"slot_id": n, "type": item, "quantity": count} for n, (item, count) in enumerate(slots[:36])
            ],
            "equipped_items": {
                part: json.dumps({"type": slots[slot][0].replace("none", "air"), "damage": 0, "maxDamage": 0})
                for part, slot in worn.items()
            },
            **{"xpos": self.x, "ypos": self.y, "zpos": self.z, "pitch": self.pitch, "yaw": self.yaw},
            **{"isGuiOpen": False, "health": self.health, "food_level": self.food},
            **{"biome_temperature": 0.8, "sea_level": 63, "light_level": 15, "is_raining": False, "can_see_sky": True},
            **self.counts,
        }
        if "voxels" in self.boxes:
            x0, x1, y0, y1, z0, z1 = self.boxes["voxels"]
            info["voxels"] = [
                {"type": "grass_block" if y == -1 else "dirt" if y < 0 else "air", "x": x, "y": y, "z": z}
                for x in range(x0, x1 + 1)
                for y in range(y0, y1 + 1)
                for z in range(z0, z1 + 1)
            ]
        if "mobs" in self.boxes:
            info["mobs"] = [{"type": kind, "x": x, "y": GROUND, "z": z} for kind, x, z in self.cows]
        return json.dumps(info)


STATISTICS = ("use_item", "pickup", "break_item", "craft_item", "mine_block", "kill_entity", "custom")


def relative(coordinate: str, here: float) -> float:
    """A command's coordinate: a number, or ~ and what to add to ``here``."""
    return here + float(coordinate[1:] or 0) if coordinate.startswith("~") else float(coordinate)


# THE ENGINE: minestudio's protocol over a socket


class Disconnected(Exception):
    pass


class Engine:
    """One engine: says that it is ready, and serves one connection after the other."""

    def __init__(self, folder: Path, port: int):
        self.folder, self.port = folder, port
        self.number = 0
        while True:
            try:
                (folder / f"engines/{self.number:03}").mkdir()
                break
            except FileExistsError:
                self.number += 1
        home = folder / f"engines/{self.number:03}"
        self.log_file = open(home / "log.jsonl", "a", buffering=1)
        self.steps_file = open(home / "steps.txt", "a", buffering=1)
        self.seen = Counter()  # of TIMES, how many so far
        self.world: World | None = None

    def log(self, event: str, **details) -> None:
        self.log_file.write(json.dumps({"time": time.time(), "engine": self.number, "event": event} | details) + "\n")

    def fault(self, when: str) -> str | None:
        """The fault of this moment: committed here if it concerns the process, else returned."""
        return self.commit(self.next_fault(when), when)

    def next_fault(self, when: str) -> dict | None:
        """The first fault that is due now. Counts the moment."""
        for fault in json.loads((self.folder / "faults.json").read_text()):
            engines = fault.get("engine", self.number)
            ours = self.number in (engines if isinstance(engines, list) else [engines])
            past = self.seen[when] - fault.get("after", 0)
            if ours and when == fault.get("when", "step") and 0 <= past < fault.get("times", math.inf):
                break
        else:
            fault = None
        self.seen[when] += 1
        return fault

    def commit(self, fault: dict | None, when: str) -> str | None:
        if fault is None:
            return None
        kind = fault["fault"]
        self.log("fault", fault=kind, when=when, after=self.seen[when] - 1)
        if kind == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "exit":
            print('Exception in thread "main" java.lang.OutOfMemoryError: Java heap space', file=sys.stderr)
            print("\tat net.minecraft.client.Minecraft.run(Minecraft.java:409)", file=sys.stderr, flush=True)
            sys.exit(1)
        if kind in ("hang", "silent"):
            time.sleep(LIFE)
        if kind == "slow":
            time.sleep(fault.get("seconds", 1.0))
        if kind == "close":
            raise Disconnected
        if kind == "stubborn":
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
        return kind

    def run(self) -> None:
        self.log("start", pid=os.getpid(), group=os.getpgrp(), port=self.port, arguments=sys.argv[2:])
        fault = self.next_fault("start")
        if fault is None or fault["fault"] != "silent":
            for line in ("Setting user: Player0", "Backend library: LWJGL version 3.2.2 build 10 (stand-in)"):
                print(f"[12:00:00] [main/INFO]: {line}", flush=True)
        kind = self.commit(fault, "start")
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("localhost", self.port))
        except OSError:  # taken: another one, as the game does
            server.bind(("localhost", 0))
        port = server.getsockname()[1]
        if kind == "refuse":
            server.close()
        else:
            server.listen()
        print(f"[12:00:01] [EnvServerSocketHandler/INFO]: ***** Start MalmoEnvServer on port {port}", flush=True)
        print("[12:00:02] [Server thread/INFO]: SERVER enter state: DORMANT", flush=True)
        print("[12:00:02] [Client thread/INFO]: CLIENT enter state: DORMANT", flush=True)
        self.log("ready", port=port)
        if kind == "refuse":
            time.sleep(LIFE)
        while True:
            connection, _ = server.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection, connection.makefile("rb") as self.stream:
                self.connection = connection
                self.log("connect")
                try:
                    if self.receive(limit=17) != b"<MalmoEnv0.37.0/>":
                        self.log("bad hello")
                        continue
                    while True:
                        self.answer(self.receive().decode())
                except (Disconnected, ConnectionError):
                    self.log("disconnect")

    def receive(self, limit: int = 1 << 20) -> bytes:
        """One message; Disconnected at the end of the connection or if it is longer than ``limit``."""
        header = self.stream.read(4)
        if len(header) < 4 or (length := struct.unpack("!I", header)[0]) > limit:
            raise Disconnected
        message = self.stream.read(length)
        if len(message) < length:
            raise Disconnected
        return message

    def send(self, *messages: bytes) -> None:
        self.connection.sendall(b"".join(part for m in messages for part in (struct.pack("!I", len(m)), m)))

    def observation(self, kind: str | None, between: bytes | None = None) -> None:
        """Send frame and info (a step's reward and end ``between`` them), bad ones if the fault is of that ``kind``."""
        frame = b"" if kind == "empty_frame" else self.world.frame()
        frame = frame[: len(frame) // 2] if kind in ("short_frame", "wrong_length") else frame
        info = b'{"inventory": [{"slot_id": 0, ' if kind == "garbage_json" else self.world.info().encode()
        if kind == "wrong_length":
            self.connection.sendall(struct.pack("!I", 2 * len(frame)) + frame)
        else:
            self.send(frame, *([between] if between else []), info)

    def answer(self, message: str) -> None:
        if message.startswith("<StepClient"):
            self.step(re.fullmatch(r"<StepClient\d>(.*)</StepClient\d >", message, re.DOTALL)[1])
        elif message.startswith("<StepServer"):
            pass
        elif message.startswith("<Quit"):
            self.world = None
            self.send(struct.pack("!I", 1))
        elif message.startswith("<MissionInit"):
            token = self.receive().decode()
            self.reset_fault = self.fault("reset")
            if self.reset_fault == "busy":
                self.send(struct.pack("!I", 0))
                return
            seed = token.split(":")[5] if token.count(":") > 4 else None
            self.world = World(None if seed is None else int(seed), message)
            for _ in range(20):
                self.world.step({})
            self.log("reset", token=token, seed=seed)
            self.send(struct.pack("!I", 1))
        elif message.startswith("<Peek"):
            self.observation(self.reset_fault)
            self.send(struct.pack("!b", self.reset_fault == "done"))
            self.reset_fault = None
        elif message.startswith("<Disconnect"):
            raise Disconnected
        elif message.startswith("<Exit"):
            self.fault("exit")
            self.log("exit")
            self.send(struct.pack("!I", 1))
            sys.exit(0)
        else:
            self.log("unknown message", text=message[:100])
            raise Disconnected

    def step(self, text: str) -> None:
        action = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
        self.steps_file.write(json.dumps(action) + "\n")
        kind = self.fault("step")
        refused = self.world.step(action)
        if "chat" in action:
            self.log("command", text=action["chat"], refused=refused, tick=self.world.tick)
        self.observation(kind, between=struct.pack("!dbb", 0.0, kind == "done", 1))


def main(folder: str, *arguments: str) -> None:
    if "-version" in arguments:
        print('openjdk version "1.8.0_000" (stand-in)', file=sys.stderr)
        return
    signal.alarm(LIFE)
    (port,) = [int(a.partition("=")[2]) for a in arguments if a.startswith("--envPort=")]
    Engine(Path(folder), port).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
