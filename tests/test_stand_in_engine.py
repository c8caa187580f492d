"""The stand-in engine: that the unmodified minestudio plays in it, that its world is as said, that each fault happens.

Tests that run minestudio need MINESTUDIO_PYTHON, an interpreter that has it (scripts/install_minestudio.sh makes one).
"""

import json
import os
import select
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from stand_in_engine import FAULTS, GROUND, MINE_TICKS, World, events, misbehave, stand_in, steps, survivors

MISSION = "<MissionInit><Width>64</Width><Height>40</Height></MissionInit>"
PATIENCE = 20  # seconds for what takes a moment

needs_minestudio = pytest.mark.skipif(
    "MINESTUDIO_PYTHON" not in os.environ,
    reason="MINESTUDIO_PYTHON names no interpreter with minestudio; scripts/install_minestudio.sh makes one",
)


@pytest.fixture
def folder(tmp_path):
    """A folder for stand_in; what still runs in it afterwards is killed."""
    yield tmp_path / "game"
    for pid in survivors(tmp_path / "game"):
        os.kill(pid, signal.SIGKILL)


def wait_until(condition, what: str):
    """Wait for ``condition()`` to be true, at most PATIENCE seconds."""
    end = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < end, f"{what}: not within {PATIENCE} s"
        time.sleep(0.02)
    return result


def message(text: str | bytes) -> bytes:
    text = text.encode() if isinstance(text, str) else text
    return struct.pack("!I", len(text)) + text


class Client:
    """An engine started as minestudio starts it, and a connection to it."""

    def __init__(self, folder: Path, *faults: dict):
        environment = os.environ | stand_in(folder, *faults)
        command = ["xvfb-run", "-a", "java", "-Xmx2G", "-jar", "game.jar", "--envPort=0"]
        self.process = subprocess.Popen(
            command,
            env=environment,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ready(self) -> int:
        """Read its output up to the last line minestudio waits for -> the port."""
        port = None
        for line in self.process.stdout:
            if "***** Start MalmoEnvServer on port " in line:
                port = int(line.split()[-1])
            if "CLIENT enter state: DORMANT" in line:
                return port
        raise EOFError

    def connect(self, hello: str = "<MalmoEnv0.37.0/>") -> "Client":
        self.socket = socket.create_connection(("localhost", self.ready()), timeout=PATIENCE)
        self.stream = self.socket.makefile("rb")
        self.socket.sendall(message(hello))
        return self

    def receive(self) -> bytes:
        header = self.stream.read(4)
        if len(header) < 4:
            raise EOFError
        return self.stream.read(struct.unpack("!I", header)[0])

    def reset(self, seed: int = 1) -> int:
        self.socket.sendall(message("<Quit/>"))
        assert self.receive() == b"\0\0\0\1"
        self.socket.sendall(message(MISSION) + message(f"abc:0:0:1:true:{seed}"))
        return struct.unpack("!I", self.receive())[0]

    def peek(self) -> tuple[bytes, dict, int]:
        self.socket.sendall(message("<Peek/>"))
        return self.receive(), json.loads(self.receive()), self.receive()[0]

    def step(self, *lines: str) -> tuple[bytes, bool, dict]:
        text = "\n".join(lines)
        self.socket.sendall(message(f"<StepClient0>{text}</StepClient0 >") + message("<StepServer></StepServer>"))
        frame, (_, done, _) = self.receive(), struct.unpack("!dbb", self.receive())
        return frame, bool(done), json.loads(self.receive())


# THE WORLD


def test_a_seed_says_where_and_none_means_anywhere():
    begin = [(w.x, w.z, w.yaw) for w in (World(seed, MISSION) for seed in (7, 7, 8, None, None))]
    assert begin[0] == begin[1] and len(set(begin)) == 4


def test_it_walks_turns_jumps_and_falls_as_minecraft_does():
    world = World(1, MISSION)
    world.yaw = 0.0  # looks to +z
    start = world.z
    speeds = []
    for _ in range(40):
        before = world.z
        world.step({"forward": "1"})
        speeds.append(world.z - before)
    np.testing.assert_allclose(speeds[:5], [0.098, 0.15151, 0.18072, 0.19667, 0.20538], atol=1e-5)
    assert speeds[-1] == pytest.approx(0.21586, abs=1e-5) and world.z > start

    world = World(1, MISSION)
    heights = []
    for _ in range(12):
        world.step({"jump": "1"} if not heights else {})
        heights.append(world.y - GROUND)
    table = [0.42, 0.7532, 1.0013, 1.1661, 1.2492, 1.2522, 1.1768, 1.0244, 0.7967, 0.4952, 0.1213, 0.0]
    np.testing.assert_allclose(heights, table, atol=1e-4)

    world.step({"camera": "5 -20"})
    world.step({"camera": "200 0"})
    assert world.pitch == 90 and world.step({"chat": f"/tp @a 0 {GROUND + 10} 0"}) is None
    for _ in range(40):
        world.step({})
    assert world.y == GROUND and world.health == 20 - 7


def test_the_start_of_an_attack_kills_one_cow_and_a_held_one_digs():
    world = World(1, MISSION)
    for dx in (2, 3):
        world.step({"chat": f"/execute as @p at @p run summon minecraft:cow ~{dx} ~3 ~1 {{Age:0}}"})
    world.step({"attack": "1"})
    assert len(world.cows) == 1 and world.counts["kill_entity"]["cow"] == 0
    world.step({"attack": "1"})
    assert len(world.cows) == 1 and world.counts["kill_entity"]["cow"] == 1
    world.step({})
    world.step({"attack": "1"})
    for _ in range(MINE_TICKS):
        world.step({"attack": "1"})
    world.step({})
    assert not world.cows and world.counts["kill_entity"]["cow"] == 2
    assert world.counts["mine_block"]["grass_block"] == world.counts["pickup"]["dirt"] == 1
    assert world.inventory[0] == ["dirt", 1]


def test_it_obeys_the_commands_that_minestudios_callbacks_send():
    world = World(1, MISSION)
    for command in (
        "/give @p minecraft:iron_sword 1",
        "/replaceitem entity @p inventory.3 minecraft:oak_planks 5",
        "/replaceitem entity @p armor.head minecraft:iron_helmet 1",
        "/weather clear",
        "/time set 13000",
        "/effect give @p minecraft:strength 9999 255 true",
        "/summon minecraft:sheep ~1 ~ ~1",
    ):
        assert world.step({"chat": command}) is None, command
    assert world.inventory == {0: ["iron_sword", 1], 12: ["oak_planks", 5], 39: ["iron_helmet", 1]}
    assert world.cows and 13000 <= world.time_of_day < 13010
    assert world.step({"chat": "/effect @p 5 9999 255 true"})  # refused: the form before 1.13
    world.step({"chat": "/kill @e[type=!player]"})
    world.step({"chat": "/teleportbiome @a plains 110 ~0 -442"})
    assert not world.cows and (world.x, world.y, world.z) == (110, GROUND, -442)
    world.step({"chat": "/kill"})
    world.step({})
    assert (world.x, world.z) == world.start and not world.inventory and world.counts["custom"]["deaths"] == 1


def test_the_picture_has_sky_above_grass_and_turns_with_the_view():
    world = World(1, MISSION)

    def picture(**view):
        for name, value in view.items():
            setattr(world, name, value)
        return np.frombuffer(world.frame(), np.uint8).reshape(40, 64, 3)[::-1].astype(int)

    level = picture(yaw=0.0, pitch=0.0)
    assert level[1, 1].argmax() == 2 and level[-2, 1].argmax() == 1
    columns = [np.nonzero((p[..., 0] > 200) & (p[..., 1] < 50))[1].mean() for p in (level, picture(yaw=10.0))]
    assert (
        columns[0] == pytest.approx(31.5) and columns[1] < 30
    )  # turned right, the southern pillar stands further left
    green = [(picture(pitch=pitch)[..., 1] > picture(pitch=pitch)[..., 2]).mean() for pitch in (-30.0, 0.0, 30.0)]
    assert green[0] < green[1] < green[2]
    squares = []
    for _ in range(3):
        world.step({})
        squares.append(picture()[0, -1, 0])
    assert squares == [8, 16, 24]


# THE PROTOCOL AND ITS FAULTS


def test_it_answers_as_the_protocol_says(folder):
    client = Client(folder).connect()
    assert client.reset(seed=5) == 1
    frame, info, done = client.peek()
    assert len(frame) == 64 * 40 * 3 and done == 0 and len(info["inventory"]) == 36
    assert (info["xpos"], info["zpos"]) == World(5, MISSION).start
    frame, done, info = client.step("forward 1", "camera 3.0 -4.5", "chat /give @p minecraft:apple 3")
    assert info["pitch"] == 3 and not done and info["inventory"][0] == {"slot_id": 0, "type": "apple", "quantity": 3}
    assert steps(folder)[-1] == {"forward": "1", "camera": "3.0 -4.5", "chat": "/give @p minecraft:apple 3"}
    assert [e["text"] for e in events(folder, "command")] == ["/give @p minecraft:apple 3"]
    client.socket.sendall(message("<Disconnect/>"))
    assert client.stream.read() == b""
    other = socket.create_connection(client.socket.getpeername(), timeout=PATIENCE)
    other.sendall(message("<MalmoEnv0.37.0/>") + message("<Exit>NOW</Exit>"))
    assert other.recv(8) == b"\0\0\0\4\0\0\0\1"
    assert client.process.wait(PATIENCE) == 0
    wait_until(lambda: not survivors(folder), "its X server ends with it")


@pytest.mark.parametrize("hello", ["<MalmoEnv0.36.0/>", "<MalmoEnv0.37.0/> and more"])
def test_another_hello_is_refused(folder, hello):
    client = Client(folder).connect(hello)
    assert client.stream.read() == b""


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_each_fault_happens_when_it_is_told_to_and_not_before(folder, fault):
    when = "start" if fault in ("silent", "refuse", "stubborn") else "reset" if fault == "busy" else "step"
    if when == "start":
        client = Client(folder, {"fault": fault, "when": when})
        if fault == "silent":
            wait_until(lambda: events(folder, "fault"), "the fault is logged")
            assert not select.select([client.process.stdout], [], [], 0.2)[0]
        elif fault == "refuse":
            with pytest.raises(ConnectionRefusedError):
                client.connect()
        else:
            client.ready()
            pid = events(folder, "start")[0]["pid"]
            os.kill(pid, signal.SIGTERM)
            time.sleep(0.2)
            assert pid in survivors(folder)
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: pid not in survivors(folder), "a kill ends it")
        return
    client = Client(folder, {"fault": fault, "when": when, "after": 1, "times": 1, "seconds": 0.5}).connect()
    assert client.reset() == 1
    if fault == "busy":
        assert client.reset() == 0 and client.reset() == 1
        return
    client.step("attack 1")
    if fault in ("die", "exit", "close"):
        with pytest.raises((EOFError, ConnectionError)):
            client.step()
        if fault == "close":
            assert client.process.poll() is None
        else:
            assert client.process.wait(PATIENCE) != 0
            assert ("java.lang.OutOfMemoryError" in client.process.stdout.read()) == (fault == "exit")
    elif fault in ("hang", "wrong_length"):
        client.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.step()
    elif fault == "garbage_json":
        with pytest.raises(json.JSONDecodeError):
            client.step()
    else:
        begin = time.monotonic()
        frame, done, _ = client.step()
        assert len(frame) == {"short_frame": 64 * 40 * 3 // 2, "empty_frame": 0}.get(fault, 64 * 40 * 3)
        assert done == (fault == "done") and (time.monotonic() - begin > 0.5) == (fault == "slow")
        frame, done, _ = client.step()
        assert len(frame) == 64 * 40 * 3 and not done  # once, as told


def test_a_fault_can_be_switched_on_later_and_for_one_engine(folder):
    clients = [Client(folder).connect()]
    clients.append(Client(folder).connect())
    for client in clients:
        client.reset()
        client.step()
    misbehave(folder, {"fault": "die", "engine": 1})
    clients[0].step()
    with pytest.raises((EOFError, ConnectionError)):
        clients[1].step()
    assert [(e["engine"], e["fault"]) for e in events(folder, "fault")] == [(1, "die")]
    with pytest.raises(ValueError, match="'fault' must be one of"):
        misbehave(folder, {"fault": "explode"})


def test_killing_the_launcher_alone_leaves_the_game_and_killing_the_group_does_not(folder):
    client = Client(folder)
    client.ready()
    wait_until(lambda: len(survivors(folder)) == 3, "launcher, X server and game run")
    client.process.kill()
    client.process.wait(PATIENCE)
    assert len(survivors(folder)) == 2
    os.killpg(client.process.pid, signal.SIGKILL)
    wait_until(lambda: not survivors(folder), "a kill of the group ends all")


# MINESTUDIO ITSELF

DRIVER = """
import json, sys
from minestudio.simulator import MinecraftSim
from minestudio.simulator.callbacks import CommandsCallback, FastResetCallback, SummonMobsCallback

def seen(obs, info):
    pov = info["pov"]
    return {
        "position": info["player_pos"], "sword": info["inventory"][0], "health": info["health"],
        "cows": int(info["kill_entity"]["cow"]), "top": pov[5, 5].tolist(), "bottom": pov[-5, 5].tolist(),
        "image": list(obs["image"].shape), "mainhand": info["equipped_items"]["mainhand"]["type"],
    }

def act(**pressed):
    action = {**sim.noop_action(), **pressed}
    obs, _, terminated, _, info = sim.step(action)
    return seen(obs, info) | {"terminated": bool(terminated)}

callbacks = [
    SummonMobsCallback([{"name": "cow", "number": 2, "range_x": [-1, 1], "range_z": [-1, 1]}]),
    CommandsCallback(["/give @p minecraft:iron_sword 1"]),
    FastResetCallback(biomes=["plains"], random_tp_range=1000),
]
sim = MinecraftSim(action_type="env", obs_size=(128, 96), seed=7, callbacks=callbacks)
result = {"reset": seen(*sim.reset())}
"""
PLAY = """
result["attack"] = [act(attack=1), act(attack=1), act()]  # first: minestudio puts cows anywhere in the range, unseeded
result["walk"] = [act(forward=1) for _ in range(20)]
result["turn"] = act(camera=[0.0, 10.0])
result["again"] = seen(*sim.reset())
sim.close()
print("RESULT", json.dumps(result))
"""


def drive(folder: Path, code: str, *faults: dict) -> tuple[int, str]:
    """Run DRIVER and ``code`` in minestudio's interpreter -> exit status, and what it printed."""
    environment = os.environ | stand_in(folder, *faults)
    command = [os.environ["MINESTUDIO_PYTHON"], "-c", DRIVER + code]
    with open(folder / "output.txt", "w") as output:  # no pipe: minestudio's daemon.py would hold it open
        status = subprocess.run(command, env=environment, timeout=60, stdout=output, stderr=output, cwd=folder)
    return status.returncode, (folder / "output.txt").read_text()


@needs_minestudio
def test_the_unmodified_minestudio_plays_in_it(folder):
    status, output = drive(folder, PLAY)
    assert status == 0, output
    (line,) = [line for line in output.splitlines() if line.startswith("RESULT ")]
    result = json.loads(line.removeprefix("RESULT "))
    begin, walk = result["reset"], result["walk"]
    start = World(7, MISSION)
    assert (begin["position"]["x"], begin["position"]["z"]) == start.start
    assert begin["position"]["yaw"] == start.yaw and begin["health"] == 20
    assert begin["sword"] == {"type": "iron_sword", "quantity": 1} and begin["mainhand"] == "iron_sword"
    assert begin["image"] == [96, 128, 3]
    assert begin["top"] == [120, 170, 255] and begin["bottom"][1] > begin["bottom"][2]  # sky above grass
    points = [np.array([step["position"][axis] for axis in "xz"]) for step in walk[-2:]]
    assert np.linalg.norm(points[1] - points[0]) == pytest.approx(0.21586, abs=1e-4)
    turned = result["turn"]["position"]["yaw"] - walk[-1]["position"]["yaw"]
    assert (turned + 180) % 360 - 180 == pytest.approx(10)
    assert [step["cows"] for step in result["attack"]] == [0, 1, 1]
    assert not any(step["terminated"] for step in walk)
    assert [e["seed"] for e in events(folder, "reset")] == ["7"]  # the second reset only sent commands
    assert "/kill" in [e["text"] for e in events(folder, "command")]
    assert [e["event"] for e in events(folder)][-1] == "exit"
    assert not [c for c in survivors(folder).values() if "daemon.py" not in c]  # minestudio's own lives on a little


@needs_minestudio
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"fault": "exit", "when": "start"}, "java.lang.OutOfMemoryError"),
        ({"fault": "short_frame", "when": "reset"}, "cannot reshape array"),
        ({"fault": "die", "when": "step", "after": 24}, "Text.sample()"),
    ],
)
def test_minestudio_sees_its_faults(folder, fault, message):
    status, output = drive(folder, PLAY, fault)
    assert status != 0 and message in output
    assert [e["fault"] for e in events(folder, "fault")] == [fault["fault"]]
