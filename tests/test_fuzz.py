"""Random actions, callbacks and commands on batches: nothing crashes, and nothing comes from nothing.

FUZZ_EXAMPLES=1000 pytest tests/test_fuzz.py goes on for longer; NUMBA_BOUNDSCHECK=1 with an empty NUMBA_CACHE_DIR finds
indices out of range.
"""

import os
import warnings

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minestudio_envs
from minestudio_envs import MinecraftSim
from minestudio_envs.actions import BUTTONS, NUM_BUTTONS, NUM_CAMERA
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
    RewardsCallback,
    SpeedTestCallback,
    SummonMobsCallback,
    TaskCallback,
    VoxelsCallback,
)
from minestudio_envs.voxel.biomes import BIOMES
from minestudio_envs.voxel.blocks import BLOCKS, NUM_BLOCKS
from minestudio_envs.voxel.commands import CommandError, compile_command
from minestudio_envs.voxel.items import DURABILITY, ITEM_ID, ITEMS, NUM_ITEMS, STACK_SIZE
from minestudio_envs.voxel.state import EFFECTS, GAMERULES, MOBS, WEATHERS

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "12"))
NUM_ENVS, STEPS = 4, 60

coordinate = st.one_of(
    st.sampled_from(["~", "0", "64", "-1", "30000000", "-30000000"]),
    st.builds("~{}".format, st.integers(-40, 40)),
    st.builds("~{:.3f}".format, st.floats(-80, 80)),
)
place = st.one_of(
    st.builds("{} {} {}".format, coordinate, coordinate, coordinate),
    st.builds("^{} ^{} ^{}".format, *[st.integers(-9, 9)] * 3),
)
corner = st.builds("~{} ~{} ~{}".format, *[st.integers(-9, 9)] * 3)
block = st.sampled_from(BLOCKS)
item = st.sampled_from([name for name in ITEMS if name != "air"])
mob = st.sampled_from([name for name in MOBS if name != "none"])
who = st.sampled_from(
    [
        "@p",
        "@s",
        "@a",
        "@e",
        "@e[type=!player]",
        "@e[type=cow,limit=1,sort=nearest]",
        "@e[distance=..8]",
        "@e[type=item]",
    ]
)
slot = st.sampled_from(["weapon.mainhand", "weapon.offhand", "armor.head", "armor.feet", "hotbar.3", "inventory.26"])
command = st.one_of(
    st.builds("/give @p {} {}".format, item, st.integers(1, 200)),
    st.builds("/effect give @p {} {} {}".format, st.sampled_from(EFFECTS), st.integers(1, 9999), st.integers(0, 255)),
    st.just("/effect clear @p"),
    st.builds("/summon {} {}".format, mob, place),
    st.builds("/execute at @p positioned {} run summon {} ~ ~ ~ {{Age:-9}}".format, place, mob),
    st.builds("/summon item {} {{Item:{{id:{},Count:9b}}}}".format, place, item),
    st.builds("/tp {} {}".format, who, place),
    st.builds("/tp @p {} {} {}".format, place, st.integers(-999, 999), st.integers(-99, 99)),
    st.builds("/kill {}".format, who),
    st.builds("/time set {}".format, st.integers(0, 99999)),
    st.builds("/weather {} {}".format, st.sampled_from(WEATHERS), st.integers(0, 3)),
    st.builds("/clear @p {} {}".format, item, st.integers(0, 99)),
    st.builds("/replaceitem entity @p {} {} {}".format, slot, item, st.integers(1, 1)),
    st.builds("/setblock {} {} {}".format, place, block, st.sampled_from(["destroy", "keep", "replace"])),
    st.builds(
        "/fill {} {} {} {}".format, corner, corner, block, st.sampled_from(["hollow", "outline", "keep", "destroy", ""])
    ),
    st.builds("/gamerule {} {}".format, st.sampled_from(list(GAMERULES)), st.sampled_from(["true", "false", "3"])),
    st.text(max_size=30).map("/{}".format),
    st.lists(st.sampled_from([*"@pse[]=~^{}", "give", "tp", "cow", "1", "stone", "run"]), max_size=8).map(" ".join),
)

start = st.one_of(
    st.builds(
        FastResetCallback,
        st.lists(st.sampled_from(BIOMES), min_size=1, max_size=3),
        st.sampled_from([0, 1, 1000, 10**7]),
        st.integers(0, 24000),
        st.sampled_from(WEATHERS),
    ),
    st.builds(
        lambda seed, position: HardResetCallback([{"seed": seed, "position": position}]),
        st.integers(-(2**63), 2**63 - 1),
        st.lists(st.integers(-999, 999), min_size=3, max_size=3),
    ),
)


def quiet(make):
    """A callback whose bad commands are not to be heard of."""

    def made(*args):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make(*args)

    return made


class Hook(MinecraftCallback):
    """MineStudio's hooks: jumps, and adds to what is seen."""

    def before_step(self, sim, action):
        return action | {"jump": 1, "voxels": [-1, 1, -1, 1, -1, 1], "mobs": [-9, 9, -9, 9, -9, 9]}

    def after_step(self, sim, obs, reward, terminated, truncated, info):
        assert len(info["voxels"]) == 27 and isinstance(info["mobs"], list)
        return obs, reward + 1, terminated, truncated, info | {"step": sim.info["player_pos"]}


callback = st.one_of(
    start,
    st.builds(quiet(CommandsCallback), st.lists(command, max_size=6)),
    st.builds(
        lambda name, number, low, high: SummonMobsCallback(
            [{"name": name, "number": number, "range_x": [-low, high], "range_z": [low - 9, high]}]
        ),
        *(mob, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
    ),
    st.builds(
        lambda name, where, level: InitInventoryCallback([{"slot": where, "type": name, "quantity": "random"}], level),
        *(item, st.one_of(st.just("random"), st.integers(0, 40)), st.sampled_from(["zero", "easy", "hard", "normal"])),
    ),
    st.builds(JudgeResetCallback, st.integers(1, 50)),
    st.builds(MaskActionsCallback, inventory=st.integers(0, 1)),
    st.just(
        RewardsCallback(
            [
                {"event": event, "objects": objects, "reward": 1.0, "identity": event, "max_reward_times": 99}
                for event, objects in (
                    ("kill_entity", ["cow"]),
                    ("mine_block", ["dirt", "stone"]),
                    ("pickup", ["dirt"]),
                    ("custom", ["damage_dealt"]),
                )
            ]
        )
    ),
    st.just(PrevActionCallback()),
    st.just(GateRewardsCallback()),
    st.just(SpeedTestCallback(10**6)),
    st.builds(lambda names: TaskCallback([{"name": n, "text": n} for n in names]), st.lists(st.text(), min_size=1)),
    st.builds(Hook),
)
group = st.builds(
    lambda members, k: Compose(members, min(k, len(members))), st.lists(callback, max_size=3), st.integers(-1, 3)
)


def check(state):
    """What holds in every state of the engine."""
    for name, array in vars(state).items():
        if array.dtype.kind == "f" and name != "scratch":
            assert np.isfinite(array).all(), name
    assert (state.voxels < NUM_BLOCKS).all() and (state.biome < len(BIOMES)).all()
    assert (state.inventory_item >= 0).all() and (state.inventory_item < NUM_ITEMS).all()
    assert ((state.inventory_count > 0) == (state.inventory_item > 0)).all()
    assert (state.inventory_count <= 64).all() and (STACK_SIZE[state.inventory_item] >= 1).all()
    assert (state.inventory_damage >= 0).all()
    worn = (state.inventory_damage > 0) & (DURABILITY[state.inventory_item] > 0)
    assert (state.inventory_damage[worn] <= DURABILITY[state.inventory_item][worn]).all()
    assert (
        (state.health >= 0).all()
        and (state.health <= 20).all()
        and (state.food <= 20).all()
        and (state.food >= 0).all()
    )
    assert (np.abs(state.pitch) <= 90).all() and (state.time_of_day < 24000).all()
    assert (state.mob_kind < len(MOBS)).all()
    for statistic in ("kill_entity", "mine_block", "pickup", "use_item", "break_item", "custom"):
        assert (getattr(state, statistic) >= 0).all(), statistic


def random_action(rng, agent):
    if agent:
        return {"buttons": rng.integers(0, NUM_BUTTONS, NUM_ENVS), "camera": rng.integers(0, NUM_CAMERA, NUM_ENVS)}
    action = {name: rng.integers(0, 2, NUM_ENVS) for name in BUTTONS}
    return action | {"camera": rng.uniform(-180, 180, (NUM_ENVS, 2))}


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    callbacks=st.lists(st.one_of(callback, group), max_size=5),
    late=st.lists(command, max_size=5),
    seed=st.integers(0),
    agent=st.booleans(),
)
def test_nothing_breaks_a_batch(callbacks, late, seed, agent):
    def generator():
        return MinecraftSim(
            action_type="agent" if agent else "env",
            obs_size=(16, 16),
            render_size=None,
            num_empty_frames=1,
            world_size=32,
            callbacks=[*callbacks, VoxelsCallback()],
        )

    envs = minestudio_envs.make_vec(generator, NUM_ENVS, seed=seed)
    envs.reset()
    rng = np.random.default_rng(seed % 2**32)
    statistics = None
    for step in range(STEPS):
        action = random_action(rng, agent)
        if step % 10 == 5 and late and not agent:
            action["chat"] = [late[rng.integers(len(late))] for _ in range(NUM_ENVS)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            obs, rewards, terminated, _, infos = envs.step(action)
        assert obs["image"].shape == (NUM_ENVS, 16, 16, 3) and rewards.isfinite().all() and not terminated.any()
        check(envs.engine.state)
        now = {name: envs.engine.state.__dict__[name].copy() for name in ("mine_block", "pickup", "kill_entity")}
        if statistics is not None:  # they only grow within an episode
            same = ~infos["began"].numpy()
            assert all((now[name][same] >= statistics[name][same]).all() for name in now)
        statistics = now


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.integers(0), st.booleans(), st.sampled_from([0.1, 0.5]))
def test_nothing_comes_from_nothing_and_nothing_is_lost(seed, keeps, often):
    """Of what plains do not give: however it is clicked on, dropped, picked up, and its owner killed."""
    given = {"diamond": 64, "emerald": 7, "diamond_sword": 1, "bone": 130}
    rule = f"/gamerule keepInventory {str(keeps).lower()}"

    def generator():
        slots = [{"slot": "random", "type": name, "quantity": min(n, 64)} for name, n in given.items()]
        slots += [{"slot": "random", "type": "bone", "quantity": n} for n in (64, 2)]
        callbacks = [FastResetCallback(["plains"], 100, 1000), InitInventoryCallback(slots), CommandsCallback([rule])]
        sim_options = {"obs_size": (16, 16), "render_size": None, "world_size": 32}
        return MinecraftSim(action_type="env", callbacks=callbacks, **sim_options)

    envs = minestudio_envs.make_vec(generator, NUM_ENVS, seed=seed)
    envs.reset()
    state, rng = envs.engine.state, np.random.default_rng(seed % 2**32)
    for step in range(3 * STEPS):
        action = {name: (rng.random(NUM_ENVS) < often).astype(int) for name in BUTTONS}
        action["camera"] = rng.normal(0, 20, (NUM_ENVS, 2))
        action["chat"] = ["/kill" if rng.random() < 0.01 else "" for _ in range(NUM_ENVS)]
        envs.step(action)
        for name, number in given.items():
            there = (state.inventory_count * (state.inventory_item == ITEM_ID[name])).sum(1)
            there += state.cursor_count * (state.cursor_item == ITEM_ID[name])
            there += (state.drop_count * (state.drop_item == ITEM_ID[name])).sum(1)
            assert (there == number).all(), (name, step, there)


@settings(max_examples=20 * EXAMPLES, deadline=None)
@given(command)
def test_a_command_is_a_row_or_an_error_that_quotes_it(text):
    try:
        row = compile_command(text)
    except CommandError as error:
        assert repr(text) in str(error)
    else:
        assert np.isfinite(row).all()
