"""Every callback's semantics, alone and in a batch; MineStudio's hooks; the same seed is the same episode."""

import json
import pickle
import warnings
from typing import ClassVar

import av
import gymnasium as gym
import numba
import numpy as np
import pytest
import torch

import minestudio_envs
from minestudio_envs import MinecraftSim, draws
from minestudio_envs.actions import BUTTONS
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
    load_callbacks_from_config,
    quantity_bounds,
)
from minestudio_envs.voxel import program, randomness
from minestudio_envs.voxel.blocks import BLOCK_ID, NAMED_BLOCK
from minestudio_envs.voxel.items import ITEM_ID, ITEMS, STACK_SIZE
from minestudio_envs.voxel.state import COW, CUSTOM_ID, MOB_ID

JUMP, WAIT = 2, 0  # VPT's button indices


def sim(*callbacks, **options):
    options = {"obs_size": (16, 16), "render_size": None, "num_empty_frames": 2, "world_size": 32} | options
    return MinecraftSim(callbacks=callbacks, **options)


def vec(num_envs, *callbacks, seed=0, **options):
    return minestudio_envs.make_vec(lambda: sim(*callbacks, **options), num_envs, seed=seed)


def wait(envs, buttons=WAIT):
    return envs.step({"buttons": np.full(envs.num_envs, buttons), "camera": np.full(envs.num_envs, 60)})


def slots(state, i=0):
    return {
        int(s): (ITEMS[state.inventory_item[i, s]], int(state.inventory_count[i, s]))
        for s in np.flatnonzero(state.inventory_count[i])
    }


# RANDOMNESS


@numba.njit
def kernel_draw(key, episode, stream):
    bits = randomness.random_bits(key, episode, 0, stream)
    return bits, randomness.random_index(bits, 5)


def test_draws_as_tensors_are_the_kernels():
    keys = torch.tensor([randomness.environment_key(s, i) for s in (0, 7) for i in range(3)])
    episodes = torch.tensor([0, 1, 2, 3, 1000, 5])
    for stream in (3, randomness.STREAM_CALLBACK + 9):
        pairs = zip(keys.tolist(), episodes.tolist(), strict=True)
        bits, indices = zip(*(kernel_draw(key, episode, stream) for key, episode in pairs), strict=True)
        assert [int(b) for b in bits] == [
            b & (1 << 64) - 1 for b in draws.episode_bits(keys, episodes, stream).tolist()
        ]
        assert draws.episode_index(keys, episodes, stream, 5).tolist() == list(indices)


def test_some_of_a_group_are_drawn_alike_by_kernel_and_tensors_and_all_equally_often():
    group = [[0, member, 5, 2, randomness.STREAM_CALLBACK] for member in range(5)]
    key = torch.full((1000,), randomness.environment_key(3, 0))
    drawn = torch.stack([draws.is_drawn(key, torch.arange(1000), g[4], g[1], g[2], g[3]) for g in group])
    assert (drawn.sum(0) == 2).all() and (drawn.float().mean(1) - 0.4).abs().max() < 0.06
    # in the kernel: each member gives an item of its own
    items = [1, 2, 3, 4, 5]
    rows = [program_row(program.GIVE, item, 1, condition=c + 1) for c, item in enumerate(items)]
    from minestudio_envs.voxel.engine import VoxelEngine

    engine = VoxelEngine(3, world_size=16, program=rows, conditions=group, empty_frames=0)
    engine.set_keys(np.array([randomness.environment_key(3, i) for i in range(3)]))
    for episode in range(4):
        engine.tick(np.zeros((3, 20)), np.zeros((3, 2)), np.ones(3, np.uint8))
        for i in range(3):
            one = torch.tensor([randomness.environment_key(3, i)])
            want = [
                item
                for item, g in zip(items, group, strict=True)
                if draws.is_drawn(one, torch.tensor([episode]), g[4], g[1], g[2], g[3]).item()
            ]
            assert engine.state.inventory_item[i, :2].tolist() == want


def program_row(opcode, *arguments, condition=0):
    row = np.zeros(program.ROW)
    row[: 1 + len(arguments)] = opcode, *arguments
    row[program.CONDITION] = condition
    return row


def everything():
    """Callbacks of all kinds that draw something."""
    return (
        SummonMobsCallback([{"name": "cow", "number": 2, "range_x": [-5, 5], "range_z": [-5, 5]}]),
        FastResetCallback(["plains", "forest"], 1000),
        InitInventoryCallback([{"slot": "random", "type": "diamond", "quantity": ">2"}], "easy"),
        TaskCallback([{"name": str(i), "text": f"do {i}"} for i in range(4)]),
        Compose(
            [CommandsCallback([f"/give @p {item} {n}"]) for n, item in enumerate(("stick", "apple", "bone"), 1)],
            options=1,
        ),
        JudgeResetCallback(3),
    )


def fingerprint(state, i):
    return state.position[i].tolist(), slots(state, i), state.mob_position[i, :2].tolist(), int(state.biome[i].sum())


def test_the_same_seed_is_the_same_episode_whatever_the_batch_size():
    seen = []
    for n in (1, 3):
        envs = vec(n, *everything(), seed=5)
        envs.reset()
        episodes = []
        for t in range(9):
            if t % 4 == 0:
                episodes.append((fingerprint(envs.engine.state, 0), envs._added["task"][0].item()))
            wait(envs)
        seen.append(episodes)
    assert seen[0] == seen[1] and len({str(e) for e in seen[0]}) == 3
    alone = sim(*everything(), seed=5)
    obs, info = alone.reset()
    assert (fingerprint(alone._batch.engine.state, 0), int(obs["task"]["name"])) == seen[0][0]
    assert info["task"]["text"] == obs["task"]["text"] == f"do {obs['task']['name']}"


# ONE BY ONE


def test_init_inventory_fills_slots_with_quantities_and_distractions():
    entries = [
        {"slot": 0, "type": "oak_planks", "quantity": 3},
        {"slot": 1, "type": "minecraft:oak_planks", "quantity": ">2"},
        {"slot": 9, "type": "oak_planks", "quantity": "<12, >10"},
        {"slot": 39, "type": "iron_helmet", "quantity": 1, "metadata": 7},
        {"slot": 40, "type": "shield", "quantity": "<1,>5"},
        {"slot": "random", "type": "diamond", "quantity": "random"},
        {"slot": "random", "type": "emerald", "quantity": "==5"},
    ]
    envs = vec(64, InitInventoryCallback(entries, distraction_level="middle"), num_empty_frames=0)
    envs.reset()
    state = envs.engine.state
    assert (state.inventory_count[:, 0] == 3).all()
    assert state.inventory_count[:, 1].min() >= 3 and len(set(state.inventory_count[:, 1])) > 20
    assert (state.inventory_count[:, 9] == 11).all()
    assert (state.inventory_item[:, 39] == ITEM_ID["iron_helmet"]).all() and (state.inventory_damage[:, 39] == 7).all()
    assert (state.inventory_count[:, 40] == 1).all()  # conditions that nothing meets
    for name, counts in (("emerald", {5}), ("diamond", set(range(65)))):
        where = np.argwhere(state.inventory_item[:, :36] == ITEM_ID[name])
        found = {int(slot) for _, slot in where}
        assert len(found) > 10 and not found & {0, 1, 9}
        assert set(state.inventory_count[where[:, 0], where[:, 1]].tolist()) <= counts
    distractions = (state.inventory_count[:, :36] > 0).sum(1) - 4
    assert 5 <= distractions.min() and distractions.max() <= 16 and len(set(distractions)) > 4
    sizes = STACK_SIZE[state.inventory_item]
    assert (state.inventory_count <= sizes).all()


def test_random_quantities_are_one_in_seven_of_ten_cases():
    envs = vec(400, InitInventoryCallback([{"slot": 3, "type": "egg", "quantity": "random"}]), num_empty_frames=0)
    envs.reset()
    counts = envs.engine.state.inventory_count[:, 3]
    assert abs((counts == 1).mean() - (0.7 + 0.3 / 17)) < 0.08 and counts.max() == 16
    assert quantity_bounds("random", 16) == (0, 16, 0.7)
    assert quantity_bounds(">=3,<=3", 64) == (3, 3, 0.0) and quantity_bounds(">60", 64) == (61, 64, 0.0)


def test_hard_reset_brings_the_worlds_of_its_seeds():
    spots = [{"seed": s, "position": [3 * s, 20, -s]} for s in (1, 2)]
    envs = vec(16, HardResetCallback(spots), JudgeResetCallback(1))
    state = envs.engine.state
    worlds = {}
    for _ in range(2):
        envs.reset()
        for i in range(16):
            seed = 1 if state.position[i, 0] < 5 else 2
            x, _, z = state.position[i]
            assert abs(x - 3 * seed - 0.5) < 1 and abs(z + seed - 0.5) < 1  # an animal may have pushed
            worlds.setdefault(seed, []).append(state.voxels[i].copy())
            assert state.health[i] == 20
    assert len(worlds) == 2 and all(len(w) > 5 for w in worlds.values())
    for same in worlds.values():
        assert all((w != same[0]).mean() < 1e-3 for w in same)  # sheep may have eaten grass
    assert (worlds[1][0] != worlds[2][0]).mean() > 1e-2
    assert state.tick.tolist() == [2 + 51] * 16  # empty frames, the teleport, 50 ticks


def test_fast_reset_sets_time_weather_and_place():
    envs = vec(32, FastResetCallback(["plains"], 100, start_time=18000, start_weather="rain"))
    envs.reset()
    state = envs.engine.state
    assert (state.time_of_day == 18002).all() and (state.weather == 1).all()
    assert np.abs(state.position[:, [0, 2]]).max() <= 51 and np.ptp(state.position[:, 0]) > 50
    assert sim(FastResetCallback(["mountains", "minecraft:birch_forest"], 0)).callbacks[0].biomes


def test_compose_draws_its_options_in_every_episode_and_only_those_act():
    pay = [
        RewardsCallback(
            [{"event": "custom", "objects": ["jump"], "reward": r, "identity": str(r), "max_reward_times": 9}]
        )
        for r in (1.0, 10.0, 100.0)
    ]
    callbacks = [
        Compose([member, limit], -1) for member, limit in zip(pay, map(JudgeResetCallback, (4, 5, 6)), strict=True)
    ]
    envs = vec(16, Compose(callbacks, options=1))
    envs.reset()
    for _ in range(3):
        total, length = torch.zeros(16), torch.zeros(16)
        envs.engine.state.custom[:, CUSTOM_ID["jump"]] += 1
        first = wait(envs)[1]
        ends = [wait(envs)[3] for _ in range(5)]
        length = torch.stack(ends).float().argmax(0) + 2
        total = first
        assert set(total.tolist()) == {1.0, 10.0, 100.0}
        assert length.tolist() == [{1: 4, 10: 5, 100: 6}[int(r)] for r in total]
        envs.reset()
    with pytest.raises(ValueError, match="options=3"):
        Compose(pay[:2], options=3)


def test_previous_actions_are_those_that_were_taken():
    envs = vec(2, MaskActionsCallback(forward=0), PrevActionCallback(), JudgeResetCallback(2))
    obs, _ = envs.reset()
    assert envs.observation_space["env_prev_action"]["jump"] == gym.spaces.MultiDiscrete([2, 2])
    assert all((value == 0).all() for value in obs["env_prev_action"].values())
    action = {"buttons": np.array([JUMP + 1, 288]), "camera": np.array([60 + 2, 60])}  # jump and camera; forward
    prev = envs.step(action)[0]["env_prev_action"]
    assert prev["jump"].tolist() == [1, 0] and prev["forward"].tolist() == [0, 0]
    assert prev["camera"][0, 1] == pytest.approx(1.6095, abs=1e-3) and set(prev) == {*BUTTONS, "camera"}
    envs.step(action)
    began = envs.step(action)
    assert began[4]["began"].all() and all((v == 0).all() for v in began[0]["env_prev_action"].values())
    alone = sim(PrevActionCallback())
    obs, _ = alone.reset()
    assert alone.observation_space.contains(obs)
    obs = alone.step({"buttons": np.array([JUMP]), "camera": np.array([60])})[0]
    assert obs["env_prev_action"]["jump"] == 1 and alone.observation_space.contains(obs)


def test_a_task_is_a_text_alone_and_a_number_in_a_batch():
    cfg = [{"name": "a", "text": "do a", "extra": 1}, {"name": "b", "text": "do bb"}]
    envs = vec(16, TaskCallback(cfg), JudgeResetCallback(2))
    obs, infos = envs.reset()
    assert set(obs["task"].tolist()) == {0, 1} and infos["task"] == [cfg[i] for i in obs["task"]]
    same, _, _, _, infos = wait(envs)
    assert same["task"].tolist() == obs["task"].tolist() and infos["task"][0] == cfg[obs["task"][0]]
    wait(envs)
    assert wait(envs)[0]["task"].tolist() != obs["task"].tolist()
    alone = sim(TaskCallback(cfg))
    obs, _ = alone.reset()
    assert alone.observation_space.contains(obs) and obs["task"].keys() == {"name", "text"}
    assert alone.step(alone.noop_action())[0]["task"] == obs["task"]
    arrays = minestudio_envs.make_vec(lambda: sim(TaskCallback(cfg)), 2, array="numpy")
    assert arrays.observation_space.contains(arrays.reset()[0])


def test_one_of_several_tasks_is_seen_whichever_was_drawn():
    def tasks():
        return Compose([TaskCallback([{"name": name, "text": f"do {name}"}]) for name in "abc"], options=1)

    envs = vec(16, tasks(), seed=1)
    obs, infos = envs.reset()
    assert set(obs["task"].tolist()) == {0, 1, 2}
    assert envs.single_observation_space["task"].n == 3
    assert [task["name"] for task in infos["task"]] == ["abc"[i] for i in obs["task"]]
    alone = sim(tasks(), seed=1)
    obs, info = alone.reset()
    assert obs["task"]["name"] == info["task"]["name"] == infos["task"][0]["name"]
    assert alone.observation_space.contains(obs)


class Notes(MinecraftCallback):
    """Notes what it is asked to, and turns the picture over."""

    def before_step(self, sim, action):
        self.health = sim.info["health"]
        return action

    def after_reset(self, sim, obs, info):
        return obs | {"image": 255 - obs["image"]}, info | {"note": "began"}

    def after_step(self, sim, obs, reward, terminated, truncated, info):
        return obs | {"image": 255 - obs["image"]}, reward, terminated, truncated, info | {"note": "went on"}


def test_what_a_hook_adds_to_info_stays_whatever_comes_after_it():
    envs = vec(2, Notes(), TaskCallback([{"name": "a", "text": "b"}]))
    assert envs.reset()[1]["note"] == ["began"] * 2
    infos = wait(envs)[4]
    assert infos["note"] == ["went on"] * 2 and infos["task"][1]["name"] == "a"


def test_a_masked_reset_leaves_the_others_pictures_as_hooks_made_them():
    envs = vec(2, Notes())
    envs.reset()
    before = wait(envs)[0]["image"].clone()
    after = envs.reset(options={"reset_mask": np.array([False, True])})[0]["image"]
    assert (after[0] == before[0]).all() and (after[1] != before[1]).any()


def test_a_hook_sees_its_info_after_a_resume_and_films_go_on_with_the_next_number(tmp_path):
    def make():
        return vec(2, Notes(), RecordCallback(tmp_path), JudgeResetCallback(3), render_size=(64, 36))

    first = make()
    first.reset()
    for _ in range(5):  # the first step of episode 2
        wait(first)
    state = first.state_dict()
    first.close()
    again = make()
    again.load_state_dict(state)
    assert wait(again)[4]["note"] == ["went on"] * 2
    again.close()
    assert {p.name: len(frames(p)) for p in tmp_path.iterdir()} == {
        "episode_1.mp4": 4,
        "episode_2.mp4": 2,
        "episode_3.mp4": 1,
    }


def test_a_seed_given_to_one_environment_holds_from_its_next_reset():
    class Seeds(MinecraftCallback):
        def before_reset(self, sim, reset_flag):
            sim.env.seed(7)
            return reset_flag

    one = sim(*everything())
    one.reset(seed=7)
    other = sim(Seeds(), *everything())
    other.reset()
    assert fingerprint(one._batch.engine.state, 0) == fingerprint(other._batch.engine.state, 0)
    key = one._batch.engine.state.key[0]
    one.env.seed(8)
    one.step(one.noop_action())
    assert one._batch.engine.state.key[0] == key
    one.reset()
    assert one._batch.engine.state.key[0] == randomness.environment_key(8, 0)


def test_only_a_single_environment_may_ask_for_blocks_and_mobs_in_an_action():
    box = [-1, 1, 0, 0, -1, 1]
    alone = sim(action_type="env")
    alone.reset()
    assert len(alone.step({"voxels": box})[4]["voxels"]) == 9
    envs = vec(2, action_type="env")
    envs.reset()
    with pytest.raises(ValueError, match="only a single environment"):
        envs.step({"voxels": [box, box]})


def test_voxels_are_the_blocks_around_the_feet():
    commands = ["/setblock ~2 ~ ~-1 obsidian", "/setblock ~ ~2 ~ glass", "/setblock ~ ~-1 ~ stone"]
    box = [-2, 2, -1, 2, -1, 1]
    envs = vec(3, CommandsCallback(commands), VoxelsCallback(box))
    voxels = envs.reset()[1]["voxels"]
    assert voxels.shape == (3, 5, 4, 3) and voxels.dtype == torch.uint8
    for i in range(3):
        assert voxels[i, 4, 1, 0] == BLOCK_ID["obsidian"] and voxels[i, 2, 3, 1] == BLOCK_ID["glass"]
        assert voxels[i, 2, 0, 1] == BLOCK_ID["stone"]
    alone = sim(CommandsCallback(commands), VoxelsCallback(box))
    listed = alone.reset()[1]["voxels"]
    assert len(listed) == 60 and {"type": "obsidian", "x": 2, "y": 0, "z": -1} in listed
    assert {"type": "glass", "x": 0, "y": 2, "z": 0} in listed
    with pytest.raises(ValueError, match="x0 <= x1"):
        VoxelsCallback([7, -7, 0, 0, 0, 0])


def test_a_gate_pays_for_what_its_frame_gains():
    gate = GateRewardsCallback()
    ids = torch.zeros(2, 15, 15, 15, dtype=torch.uint8)
    obsidian = BLOCK_ID["obsidian"]
    assert gate.potential(ids).tolist() == [0, 0]
    ids[0, 3, 4, 5] = obsidian
    assert gate.potential(ids).tolist() == [pytest.approx(0.9), 0]
    for w, h in GateRewardsCallback.FRAME:
        ids[0, 3 + w, 4 + h, 5] = ids[1, 3, 4 + h, 5 + w] = obsidian
    assert gate.potential(ids).tolist() == [pytest.approx(14.6)] * 2  # a perfect one, along either axis
    ids[1, 3, 6, 6] = obsidian
    assert gate.potential(ids)[1] == pytest.approx(14.6 - 1.1)
    envs = vec(2, VoxelsCallback(), GateRewardsCallback())
    envs.reset()
    view = envs.engine.state
    x, y, z = (int(np.floor(v)) for v in view.position[0])
    view.voxels[0, (x + 1) & 31, z & 31, y + 3] = obsidian
    assert wait(envs)[1].tolist() == [pytest.approx(0.9), 0] and wait(envs)[1].tolist() == [0, 0]
    with pytest.raises(ValueError, match="needs a VoxelsCallback"):
        sim(GateRewardsCallback()).reset()


EVENTS = {
    "mine_block": ("oak_log", NAMED_BLOCK["oak_log"]),
    "pickup": ("diamond", ITEM_ID["diamond"]),
    "use_item": ("iron_pickaxe", ITEM_ID["iron_pickaxe"]),
    "break_item": ("wooden_axe", ITEM_ID["wooden_axe"]),
    "kill_entity": ("sheep", MOB_ID["sheep"]),
    "custom": ("jump", CUSTOM_ID["jump"]),
}


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_pays_and_shows_in_info(event):
    name, column = EVENTS[event]
    entry = {"event": event, "objects": [name], "reward": 2.0, "identity": "x", "max_reward_times": 3}
    envs, alone = vec(2, RewardsCallback([entry])), sim(RewardsCallback([entry]))
    envs.reset(), alone.reset()
    getattr(envs.engine.state, event)[1, column] += 2
    getattr(alone._batch.engine.state, event)[0, column] += 5
    assert wait(envs)[1].tolist() == [0.0, 4.0]
    _, reward, _, _, info = alone.step(alone.noop_action())
    assert reward == 6.0 and info[event][name] == 5 and info[event]["no such thing"] == 0


def test_rewards_know_what_there_is_to_pay_for():
    def reward(event, name):
        entry = {"event": event, "objects": [name], "reward": 1, "identity": "x", "max_reward_times": 1}
        return sim(RewardsCallback([entry])).reset()

    for event, name, words in (
        ("mine_block", "oak_lgo", "did you mean 'oak_log'"),
        ("mine_block", "beacon", "the voxel engine does not have it"),
        ("kill_entity", "horse", "the voxel engine does not have it"),
        ("pickup", "dimond", "did you mean 'diamond'"),
        ("custom", "jumps", "did you mean 'jump'"),
        ("craft_item", "dirt", "nothing crafts it"),
        ("craft_item", "stik", "did you mean 'stick'"),
    ):
        with pytest.raises(ValueError, match=words):
            reward(event, name)
    with pytest.warns(UserWarning, match="nothing can be crafted"):
        reward("craft_item", "crafting_table")


def test_the_speed_test_prints(capsys):
    envs = vec(4, SpeedTestCallback(2))
    envs.reset()
    for _ in range(4):
        wait(envs)
    out = capsys.readouterr().out
    assert out.count("Average FPS") == 2 and "Total Steps: 4" in out


def test_empty_lists_work():
    envs = vec(1, SummonMobsCallback([]), CommandsCallback([]), RewardsCallback([]), InitInventoryCallback([]))
    envs.reset()
    assert wait(envs)[1].tolist() == [0.0]
    assert sim(num_empty_frames=0).reset()[0]["image"].shape == (16, 16, 3)


# MINESTUDIO'S HOOKS


class Witness(MinecraftCallback):
    """Writes down what is called, as a callback of MineStudio's users would."""

    log: ClassVar[list] = []  # shared by all copies

    def __init__(self, name):
        self.name, self.steps = name, 0

    def note(self, hook, sim):
        Witness.log.append((sim.index, self.name, hook))

    def before_reset(self, sim, reset_flag):
        self.note("before_reset", sim)
        return reset_flag

    def after_reset(self, sim, obs, info):
        self.note("after_reset", sim)
        self.steps = 0
        return obs, info

    def before_step(self, sim, action):
        self.note("before_step", sim)
        return action

    def after_step(self, sim, obs, reward, terminated, truncated, info):
        self.note("after_step", sim)
        self.steps += 1
        info["steps"] = self.steps
        return obs, reward + self.steps, terminated, self.steps == 2, info

    def before_render(self, sim, image):
        self.note("before_render", sim)
        return image

    def after_render(self, sim, image):
        self.note("after_render", sim)
        return 255 - image

    def before_close(self, sim):
        self.note("before_close", sim)

    def after_close(self, sim):
        self.note("after_close", sim)


@pytest.fixture
def log():
    Witness.log = []
    return Witness.log


def test_hooks_are_called_in_minestudios_order(log):
    alone = sim(Witness("a"), Witness("b"))

    def calls():
        found = [(name, hook) for _, name, hook in log]
        log.clear()
        return found

    def both(*hooks):
        return [(name, hook) for hook in hooks for name in "ab"]

    alone.reset()
    assert calls() == both("before_reset", "after_reset")
    _, reward, _, truncated, info = alone.step(alone.noop_action())
    assert calls() == both("before_step", "after_step")
    assert (reward, truncated, info["steps"]) == (2.0, False, 1)
    image = alone.render()
    assert calls() == both("before_render", "after_render")
    assert (image == alone.obs["image"]).all()  # turned over twice
    assert alone.step(alone.noop_action())[3]
    calls()
    alone.close()
    alone.close()
    assert calls() == both("before_close", "after_close")


def test_hooks_run_for_each_environment_of_a_batch_with_counters_of_its_own(log):
    envs = vec(3, Witness("a"), JudgeResetCallback(100))
    envs.reset()
    assert sorted(log) == sorted((i, "a", hook) for i in range(3) for hook in ("before_reset", "after_reset"))
    log.clear()
    _, rewards, _, _, infos = wait(envs)
    assert rewards.tolist() == [1.0] * 3 and infos["steps"].tolist() == [1] * 3 and infos["_steps"].all()
    envs.reset(options={"reset_mask": np.array([False, True, False])})
    log.clear()
    _, rewards, _, truncated, _ = wait(envs)
    assert rewards.tolist() == [2.0, 1.0, 2.0] and truncated.tolist() == [True, False, True]
    log.clear()
    _, rewards, _, _, infos = wait(envs)
    assert infos["began"].tolist() == [True, False, True] and rewards.tolist() == [0.0, 2.0, 0.0]
    assert [hook for i, _, hook in log if i == 0] == ["before_reset", "after_reset"]
    assert [hook for i, _, hook in log if i == 1] == ["before_step", "after_step"]
    assert envs.render()[0].shape == (16, 16, 3)
    envs.close()
    assert [hook for i, _, hook in log if i == 2][-2:] == ["before_close", "after_close"]


class Feeder(MinecraftCallback):
    """Uses what MineStudio's own callbacks use of their sim."""

    def after_reset(self, sim, obs, info):
        for command in ("/give @p diamond 2", "/summon cow ~ ~1 ~2"):
            obs, reward, done, info = sim.env.execute_cmd(command)
            assert (reward, done) == (0.0, False)
        obs, _, _, info = sim.env.step(sim.env.action_space.no_op())
        obs, info = sim._wrap_obs_info(obs, info)
        obs["goal"] = np.float32(sim.np_random.uniform())
        return obs, info

    def before_step(self, sim, action):
        action["jump"] = 1
        if sim.index == 1:
            action["chat"] = "/time set noon"
        return action

    def after_step(self, sim, obs, reward, terminated, truncated, info):
        obs["goal"] = np.float32(info["health"])
        obs["image"] = obs["image"] // 2
        return obs, reward, sim.index == 2, truncated, info


def test_hooks_may_command_act_and_change_what_is_seen():
    envs = vec(3, Feeder(), seed=3)
    obs, _ = envs.reset()
    state = envs.engine.state
    assert all(slots(state, i) == {0: ("diamond", 2)} for i in range(3))
    summoned = state.mob_natural == 0
    assert ((state.mob_kind == COW) & summoned).any(1).all() and (state.tick == 2 + 3).all()
    assert obs["goal"].shape == (3,) and len(set(obs["goal"].tolist())) == 3
    again = vec(3, Feeder(), seed=3).reset()[0]
    torch.testing.assert_close(obs, again)  # np_random too
    before = state.position[:, 1].copy()
    obs, _, terminated, _, _ = wait(envs)
    assert (state.position[:, 1] > before + 0.3).all() and terminated.tolist() == [False, False, True]
    assert obs["goal"].tolist() == [20.0] * 3 and obs["image"].max() <= 127
    assert state.time_of_day[1] == 6001 and state.time_of_day[0] < 100
    alone = sim(Feeder(), seed=3)
    obs, _ = alone.reset()
    assert obs["goal"] == again["goal"][0] and slots(alone._batch.engine.state) == {0: ("diamond", 2)}


class StayHere(MinecraftCallback):
    def before_reset(self, sim, reset_flag):
        return False


def test_a_reset_flag_of_false_keeps_the_world_and_a_later_true_makes_a_new_one():
    envs = vec(2, StayHere(), CommandsCallback(["/give @p stick"]), JudgeResetCallback(1))
    envs.reset()
    state = envs.engine.state
    world, place = state.voxels.copy(), state.position.copy()
    wait(envs)
    _, _, _, _, infos = wait(envs)
    assert infos["began"].all() and (state.voxels == world).all() and np.allclose(state.position, place, atol=0.1)
    assert slots(state) == {0: ("stick", 2)}  # commands run again
    assert (state.episode == 1).all() and (state.tick == 3 + 1 + 3).all()
    envs = vec(2, StayHere(), FastResetCallback(["plains"], 0), JudgeResetCallback(1))
    envs.reset()
    world = envs.engine.state.voxels.copy()
    wait(envs), wait(envs)
    assert (envs.engine.state.voxels != world).any()


def test_hooks_that_return_nothing_are_named():
    class Forgetful(MinecraftCallback):
        def after_step(self, sim, obs, reward, terminated, truncated, info):
            pass

    envs = vec(1, Forgetful())
    envs.reset()
    with pytest.raises(TypeError, match=r"Forgetful.after_step returned None, expected \(obs, reward"):
        wait(envs)


# FILES


def frames(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_films_are_numbered_from_one_and_have_all_that_was_asked_for(tmp_path):
    record = RecordCallback(
        tmp_path, frame_type="obs", show_actions=True, record_actions=True, record_infos=True,
        record_origin_observation=True,
    )  # fmt: skip
    alone = sim(record, JudgeResetCallback(3), obs_size=(64, 48))
    for _ in range(2):
        obs, info = alone.reset()
        for _ in range(3):
            obs, _, _, _, info = alone.step({"buttons": np.array([JUMP]), "camera": np.array([60])})
    assert info["message"]["RecordCallback"] == "Recording: On, Recording Time: 4"
    alone.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        f"episode_{k}{end}" for k in (1, 2) for end in (".mp4", "_action.json", "_info.json", ".npy")
    )
    assert [f.shape for f in frames(tmp_path / "episode_2.mp4")] == [(48, 64, 3)] * 4
    actions = json.loads((tmp_path / "episode_1_action.json").read_text())
    assert actions[0] == {} and [a["jump"] for a in actions[1:]] == [1, 1, 1]
    infos = json.loads((tmp_path / "episode_1_info.json").read_text())
    assert len(infos) == 4 and infos[3]["health"] == 20
    raw = np.load(tmp_path / "episode_2.npy")
    assert raw.shape == (4, 48, 64, 3) and (raw[-1] == obs["image"]).all()  # nothing is written onto these


def test_a_batch_films_the_environments_that_it_is_told_to(tmp_path):
    record = RecordCallback(tmp_path, environments=[0, 2])
    envs = vec(3, record, JudgeResetCallback(2), render_size=(64, 36))
    envs.reset()
    for _ in range(3):
        wait(envs)
    envs.close()
    names = {p.name: len(frames(p)) for p in tmp_path.iterdir()}
    assert names == {f"{prefix}episode_{k}.mp4": n for prefix in ("", "environment_2_") for k, n in ((1, 3), (2, 1))}
    with pytest.raises(ValueError, match="render_size=None"):
        sim(RecordCallback(tmp_path)).reset()


def test_callbacks_from_a_configuration(tmp_path):
    config = {
        "time_limit": 7,
        "custom_init_commands": ["/give @p stick"],
        "summon_mobs": [{"mob_name": "cow", "number": 1, "range_x": [0, 1], "range_z": [0, 1]}],
        "biomes": ["plains"],
        "random_tp_range": 10,
        "start_weather": "rain",
        "init_inventory": [{"slot": 0, "type": "apple", "quantity": 1}],
        "use_prev_action": True,
        "text": "as MineStudio's task files have it",
    }
    (tmp_path / "task.json").write_text(json.dumps(config))
    (tmp_path / "task.yaml").write_text(json.dumps(config))  # JSON is YAML
    pytest.importorskip("yaml")
    for source in (config, tmp_path / "task.json", str(tmp_path / "task.yaml")):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = load_callbacks_from_config(source)
        assert [type(c) for c in made] == [
            *(SummonMobsCallback, FastResetCallback, CommandsCallback, JudgeResetCallback),
            *(InitInventoryCallback, PrevActionCallback),
        ]
        assert made[1].start_weather == "rain" and made[3].time_limit == 7
    assert load_callbacks_from_config({"spawn_positions": [{"seed": 1, "position": [0, 64, 0]}], "commands": []})
    with pytest.warns(UserWarning, match="did you mean 'time_limit'"):
        assert load_callbacks_from_config({"time_limits": 3}) == []
    with pytest.raises(ValueError, match="without 'random_tp_range'"):
        load_callbacks_from_config({"biomes": ["plains"]})


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: FastResetCallback(["plain"], 10), "did you mean 'plains'"),
        (lambda: FastResetCallback(["nether_wastes"], 10), "has no nether"),
        (lambda: FastResetCallback([], 10), "at least one"),
        (lambda: FastResetCallback(["plains"], -1), "random_tp_range=-1"),
        (lambda: FastResetCallback(["plains"], 1, start_weather="rainy"), "did you mean 'rain'"),
        (lambda: HardResetCallback([]), "at least one"),
        (lambda: HardResetCallback([{"seed": 1, "position": [1, 2]}]), r"\[x, y, z\]"),
        (lambda: HardResetCallback([{"sead": 1, "position": [1, 2, 3]}]), "no 'seed'"),
        (lambda: InitInventoryCallback([{"slot": 41, "type": "stick", "quantity": 1}]), "slot=41"),
        (lambda: InitInventoryCallback([{"slot": 0, "type": "stik", "quantity": 1}]), "did you mean 'stick'"),
        (lambda: InitInventoryCallback([{"slot": 0, "type": "stick", "quantity": "few"}]), "'few'"),
        (lambda: InitInventoryCallback([{"slot": 0, "type": "stick", "quantity": 65}]), "1 to 64"),
        (lambda: InitInventoryCallback([{"slot": 0, "type": "egg", "quantity": 1}] * 2), "twice"),
        (lambda: InitInventoryCallback([], "medium"), "unknown distraction_level"),
        (lambda: JudgeResetCallback(2.5), "time_limit=2.5"),
        (lambda: MaskActionsCallback(camera=(0, np.nan)), "degrees"),
        (lambda: TaskCallback([]), "at least one"),
        (lambda: TaskCallback([{"name": "a"}]), "'text'"),
        (lambda: SpeedTestCallback(0), "interval=0"),
        (lambda: RecordCallback("x", frame_type="pow"), "frame_type='pow'"),
        (lambda: SummonMobsCallback([{"name": "cow", "number": 1.5, "range_x": [0, 1], "range_z": [0, 1]}]), "1.5"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_unknown_arguments_are_errors():
    for make in (
        lambda: RecordCallback("x", fsp=3),
        lambda: JudgeResetCallback(time_limits=3),
        lambda: Compose([], option=1),
        lambda: CommandsCallback("/give @p stick"),
    ):
        with pytest.raises(TypeError):
            make()


def test_info_of_a_batch_can_be_pickled(tmp_path):
    class Keep(MinecraftCallback):
        def after_reset(self, sim, obs, info):
            assert pickle.loads(pickle.dumps(info)) == info and info["pov"].shape == (36, 64, 3)
            return obs, info

    vec(2, Keep(), render_size=(64, 36)).reset()
