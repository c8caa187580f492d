"""Animals wander, flee, follow food, graze, swim, fall, burn, die, leave loot, and keep out of the ground."""

import numpy as np
import pytest
from voxel_worlds import GROUND, flat_engine, play, put_block, put_cow, put_mob, put_player

from minestudio_envs.voxel import mobs
from minestudio_envs.voxel.blocks import BLOCK_ID, COLLISION_HEIGHT
from minestudio_envs.voxel.commands import compile_commands, summon_range
from minestudio_envs.voxel.engine import VoxelEngine
from minestudio_envs.voxel.items import ITEM_ID, ITEMS
from minestudio_envs.voxel.state import CHICKEN, COW, CUSTOM_ID, GAMERULE_ID, PIG, SHEEP, SKELETON, ZOMBIE


@pytest.fixture(scope="module")
def shared():
    engine = flat_engine()
    return engine, engine.snapshot()


@pytest.fixture
def engine(shared):
    shared[0].restore(shared[1])
    put_player(shared[0], 16.5, GROUND, 16.5)
    return shared[0]


def hold(engine, item):
    engine.state.inventory_item[0, 0] = engine.state.held_item[0] = ITEM_ID[item]
    engine.state.inventory_count[0, 0] = item != "air"


def send_cow(engine, goal, x, z, m=0):
    """Gives the cow a goal far enough away to reach its full speed."""
    state = engine.state
    state.mob_goal[0, m], state.mob_goal_ticks[0, m] = goal, 200
    state.mob_target[0, m] = (x, GROUND, z)
    if goal == mobs.GOAL_PANIC:
        state.mob_panic_ticks[0, m] = 200


@pytest.mark.parametrize(("goal", "speed"), [(mobs.GOAL_WANDER, 1.73), (mobs.GOAL_PANIC, 6.91)])
def test_speed_in_metres_per_second(engine, goal, speed):
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    send_cow(engine, goal, 0.5, 14.5)
    before = engine.state.mob_position[0, 0, 2]
    for _ in range(30):
        before = engine.state.mob_position[0, 0, 2]
        play(engine)
    assert (engine.state.mob_position[0, 0, 2] - before) * 20 == pytest.approx(speed, abs=0.01)
    assert abs(engine.state.mob_yaw[0, 0]) < 1e-3


def test_it_stops_where_it_wanted_to_go(engine):
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    send_cow(engine, mobs.GOAL_WANDER, 3.5, 3.5)
    play(engine, ticks=70)
    np.testing.assert_allclose(engine.state.mob_position[0, 0, [0, 2]], 3.5, atol=0.5)
    assert engine.state.mob_goal[0, 0] != mobs.GOAL_WANDER or not np.allclose(
        engine.state.mob_target[0, 0, [0, 2]], 3.5
    )


def test_it_wanders_about_once_in_120_ticks():
    engine = flat_engine(64)
    put_player(engine, 16.5, GROUND, 16.5)
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    starts = 0
    for _ in range(600):
        before = engine.state.mob_goal[:, 0].copy()
        play(engine)
        starts += ((before != mobs.GOAL_WANDER) & (engine.state.mob_goal[:, 0] == mobs.GOAL_WANDER)).sum()
        standing = engine.state.mob_goal[:, 0] == mobs.GOAL_WANDER
        engine.state.mob_goal_ticks[standing, 0] = 1  # at once given up
    # each start costs two ticks in which no other can begin
    assert starts == pytest.approx(64 * 600 / 122, rel=0.2)


def test_it_jumps_up_a_block_and_turns_from_a_wall(engine):
    for x in range(-2, 4):
        put_block(engine, x, GROUND, 3)
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    send_cow(engine, mobs.GOAL_WANDER, 0.5, 9.5)
    heights = []
    for _ in range(90):
        play(engine)
        heights.append(engine.state.mob_position[0, 0, 1] - GROUND)
    assert max(heights) >= 1 and heights[-1] == 0
    assert engine.state.mob_position[0, 0, 2] > 4

    for x in range(-2, 4):
        put_block(engine, x, GROUND + 1, 3)
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    send_cow(engine, mobs.GOAL_WANDER, 0.5, 9.5)
    play(engine, ticks=40)
    assert engine.state.mob_position[0, 0, 2] == pytest.approx(3 - 0.45, abs=1e-3)
    assert engine.state.mob_goal[0, 0] != mobs.GOAL_WANDER or engine.state.mob_target[0, 0, 2] != 9.5


def test_it_does_not_walk_into_a_deep_hole(engine):
    state = engine.state
    state.voxels[0, :, 4:8, GROUND - 6 : GROUND] = 0
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    for _ in range(20):
        send_cow(engine, mobs.GOAL_WANDER, 0.5, 9.5)
        play(engine, ticks=10)
    assert state.mob_position[0, 0, 1] == GROUND


@pytest.mark.parametrize(("height", "damage"), [(3, 0), (3.5, 1), (6, 3)])
def test_fall_damage(engine, height, damage):
    put_cow(engine, 0, 0.5, GROUND + height, 0.5)
    engine.state.mob_on_ground[0, 0] = 0
    play(engine, ticks=30)
    assert engine.state.mob_health[0, 0] == 10 - damage
    assert engine.state.mob_position[0, 0, 1] == GROUND


def test_a_deadly_fall_is_not_the_players_kill(engine):
    put_cow(engine, 0, 0.5, GROUND + 20, 0.5)
    engine.state.mob_on_ground[0, 0] = 0
    play(engine, ticks=80)
    assert engine.state.mob_kind[0, 0] == 0
    assert engine.state.kill_entity[0, COW] == 0


def test_a_hurt_cow_flees_for_about_a_hundred_ticks(engine):
    state = engine.state
    put_player(engine, 0.5, GROUND, 0.5, pitch=20)
    put_cow(engine, 0, 0.5, GROUND, 2.5)
    play(engine, "attack")
    way, goals = [], []
    for _ in range(200):
        before = state.mob_position[0, 0, [0, 2]].copy()
        play(engine)
        way.append(np.hypot(*(state.mob_position[0, 0, [0, 2]] - before)))
        goals.append(state.mob_goal[0, 0])
    assert np.mean(way[5:95]) * 20 > 3
    assert mobs.GOAL_PANIC in goals[90:99] and mobs.GOAL_PANIC not in goals[170:]


def test_it_looks_at_a_player_nearby_and_not_at_one_far_away(engine):
    state = engine.state
    for distance, looks in ((4.0, True), (12.0, False)):
        put_cow(engine, 0, 0.5, GROUND, 0.5)
        put_player(engine, 0.5 + distance, GROUND, 0.5)
        seen = []
        for _ in range(400):
            play(engine)
            seen.append(state.mob_goal[0, 0] == mobs.GOAL_LOOK_AT_PLAYER)
            state.mob_position[0, 0] = (0.5, GROUND, 0.5)
            if state.mob_goal[0, 0] == mobs.GOAL_WANDER:
                state.mob_goal_ticks[0, 0] = 0
            if len(seen) > 30 and all(seen[-30:]):
                break
        assert any(seen) == looks
        if looks:
            assert state.mob_head_yaw[0, 0] == pytest.approx(-90, abs=1)  # east
            assert state.mob_head_pitch[0, 0] == pytest.approx(-4.5, abs=1.5)  # the player's eyes are higher


def test_bodies_push_apart(engine):
    state = engine.state
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    put_cow(engine, 1, 0.7, GROUND, 0.5)
    play(engine, ticks=60)
    assert np.abs(state.mob_position[0, 0] - state.mob_position[0, 1])[[0, 2]].max() >= 0.9 - 1e-3
    put_cow(engine, 1, 30.5, GROUND, 30.5)
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    put_player(engine, 0.8, GROUND, 0.5)
    play(engine, ticks=60)
    assert np.abs(state.mob_position[0, 0] - state.position[0])[[0, 2]].max() >= 0.75 - 1e-3
    assert state.position[0, 0] > 0.8


def test_a_calf_comes_to_its_mother_and_stays_away_from_others(engine):
    state = engine.state
    state.gamerule[0, GAMERULE_ID["doMobSpawning"]] = 0
    for kind, dz, comes in ((COW, 7.5, True), (COW, 9.0, False), (PIG, 7.5, False)):
        put_cow(engine, 0, 0.5, GROUND, 0.5)
        put_mob(engine, kind, 1, 0.5, GROUND, 0.5 + dz)
        state.mob_age[0, 0] = -24000
        goals = set()
        for _ in range(80):
            if state.mob_goal[0, 0] == mobs.GOAL_WANDER:
                state.mob_goal_ticks[0, 0] = 0
            state.mob_position[0, 1] = (0.5, GROUND, 0.5 + dz)
            play(engine)
            goals.add(int(state.mob_goal[0, 0]))
        assert (mobs.GOAL_PARENT in goals) == comes
        if comes:
            assert state.mob_goal[0, 0] != mobs.GOAL_PARENT
            assert 2 < state.mob_position[0, 1, 2] - state.mob_position[0, 0, 2] < 3.1


def test_legs_count_the_way(engine):
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    engine.state.mob_walk[0, 0] = 0
    send_cow(engine, mobs.GOAL_WANDER, 0.5, 14.5)
    play(engine, ticks=40)
    assert engine.state.mob_walk[0, 0] == pytest.approx(engine.state.mob_position[0, 0, 2] - 0.5, rel=1e-5)


def test_mobs_stay_out_of_the_ground_whatever_happens():
    program = np.concatenate([summon_range(kind.name, 3, (-5, 5), (-5, 5)) for kind in mobs.MOB_KINDS[1:]])
    engine = VoxelEngine(8, world_size=64, program=program, max_mobs=18)
    play(engine, reset=True)
    rng = np.random.default_rng(0)
    state = engine.state
    state.gamerule[:, GAMERULE_ID["doMobSpawning"]] = 0
    width = np.array([kind.width for kind in mobs.MOB_KINDS])
    tall = np.array([kind.height for kind in mobs.MOB_KINDS])
    for tick in range(2000):
        if tick % 40 == 0:
            state.mob_panic_ticks[...] = rng.integers(0, 2, state.mob_kind.shape) * 40
            state.mob_fire_ticks[...] = 0
            state.mob_health[state.mob_kind > 0] = 20
        state.health[...] = 20
        play(engine, *(["forward", "jump", "sprint"] if tick % 3 else ["attack"]), camera=(0, 7))
        if tick % 10:
            continue
        n, m = np.nonzero(state.mob_kind)
        x, y, z = state.mob_position[n, m].T
        half, height = width[state.mob_kind[n, m]] / 2 - 1e-6, tall[state.mob_kind[n, m]]
        for sx, sz in ((-half, -half), (-half, half), (half, -half), (half, half)):
            for sy in (1e-6, height / 2, height - 1e-6):
                bx, by, bz = (np.floor(c).astype(int) for c in (x + sx, y + sy, z + sz))
                block = np.where(by < 64, state.voxels[n, bx % 64, bz % 64, np.minimum(by, 63)], 0)
                assert not (y + sy < by + COLLISION_HEIGHT[block]).any()
    alive = state.mob_kind > 0
    assert alive.sum() > 100
    assert np.isfinite(state.mob_position).all() and np.isfinite(state.mob_velocity).all()
    assert np.ptp(state.mob_position[..., 0][alive]) > 12  # they did move


# GOALS


@pytest.mark.parametrize(
    ("kind", "food", "factor"),
    [(COW, "wheat", 1.25), (SHEEP, "wheat", 1.1), (PIG, "carrot", 1.2), (PIG, "potato", 1.2), (PIG, "beetroot", 1.2)]
    + [(CHICKEN, f"{seed}_seeds", 1.0) for seed in ("wheat", "melon", "pumpkin", "beetroot")],
)
def test_it_follows_who_holds_its_food(engine, kind, food, factor):
    state = engine.state
    put_player(engine, 10.5, GROUND, 0.5)
    put_mob(engine, kind, 0, 0.5, GROUND, 0.5)
    hold(engine, food)
    speeds = []
    for _ in range(70):
        before = state.mob_position[0, 0, 0]
        play(engine)
        speeds.append((state.mob_position[0, 0, 0] - before) * 20)
    speed = mobs.MOB_KINDS[kind].speed * factor
    assert max(speeds) == pytest.approx(speed * speed * 0.98 / (1 - 0.546) * 20, abs=0.03)
    play(engine, ticks=200)
    # it stops short of the player, after having run on a little
    assert 1.5 < 10.5 - state.mob_position[0, 0, 0] < 2.5
    assert state.mob_head_yaw[0, 0] == pytest.approx(-90, abs=2)


@pytest.mark.parametrize(("kind", "food"), [(COW, "carrot"), (PIG, "wheat"), (CHICKEN, "wheat"), (SHEEP, "air")])
def test_other_food_does_not_tempt_it(engine, kind, food):
    put_player(engine, 6.5, GROUND, 0.5)
    put_mob(engine, kind, 0, 0.5, GROUND, 0.5)
    hold(engine, food)
    for _ in range(50):
        play(engine)
        assert engine.state.mob_goal[0, 0] != mobs.GOAL_FOLLOW


def test_food_far_away_or_just_put_away_does_not_tempt_it(engine):
    state = engine.state
    put_player(engine, 11, GROUND, 0.5)
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    hold(engine, "wheat")
    play(engine, ticks=3)
    assert state.mob_goal[0, 0] != mobs.GOAL_FOLLOW  # 10.5 blocks
    put_player(engine, 6, GROUND, 0.5)
    play(engine)
    assert state.mob_goal[0, 0] == mobs.GOAL_FOLLOW
    hold(engine, "air")
    play(engine)
    hold(engine, "wheat")
    for tick in range(99):
        play(engine)
        assert state.mob_goal[0, 0] != mobs.GOAL_FOLLOW, tick
        put_player(engine, *(state.mob_position[0, 0] + (4, 0, 0)))
    play(engine, ticks=3)
    assert state.mob_goal[0, 0] == mobs.GOAL_FOLLOW


def test_a_hurt_animal_rather_flees_than_eats(engine):
    put_player(engine, 4.5, GROUND, 0.5)
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    hold(engine, "wheat")
    engine.state.mob_panic_ticks[0, 0] = 100
    play(engine, ticks=3)
    assert engine.state.mob_goal[0, 0] == mobs.GOAL_PANIC


def test_it_walks_around_what_is_between_it_and_food(engine):
    for z in range(-1, 2):
        for y in (GROUND, GROUND + 1):
            put_block(engine, 4, y, z)
    put_player(engine, 8.5, GROUND, 0.5)
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    hold(engine, "wheat")
    play(engine, ticks=400)
    assert engine.state.mob_position[0, 0, 0] > 5


def test_no_animal_wanders_far_from_the_player():
    engine = flat_engine(16, 128)
    put_player(engine, 0.5, GROUND, 0.5)
    for m, distance in enumerate((20, 40)):
        put_cow(engine, m, 0.5 + distance, GROUND, 0.5)
    play(engine, ticks=600)
    moved = np.hypot(*(engine.state.mob_position[:, :2, [0, 2]] - [[20.5, 0.5], [40.5, 0.5]]).transpose(2, 0, 1))
    assert (moved[:, 0] > 1).sum() > 10 and moved[:, 1].max() == 0


@pytest.mark.parametrize("griefing", [True, False])
@pytest.mark.parametrize("plant", [True, False])
def test_a_shorn_sheep_eats_grass_and_grows_wool(engine, griefing, plant):
    state = engine.state
    state.gamerule[0, GAMERULE_ID["mobGriefing"]] = griefing
    put_mob(engine, SHEEP, 0, 4.5, GROUND, 4.5)
    state.mob_variant[0, 0] = 16 + 3
    if plant:
        state.voxels[0, 4, 4, GROUND] = BLOCK_ID["grass"]
    state.mob_goal[0, 0], state.mob_goal_ticks[0, 0] = mobs.GOAL_EAT, 40
    play(engine, ticks=35)
    assert state.mob_variant[0, 0] == 16 + 3
    play(engine, ticks=2)
    assert state.mob_variant[0, 0] == 3
    ground = BLOCK_ID["dirt" if griefing and not plant else "grass_block"]
    assert state.voxels[0, 4, 4, GROUND - 1] == ground
    assert state.voxels[0, 4, 4, GROUND] == (BLOCK_ID["grass"] if plant and not griefing else 0)
    np.testing.assert_allclose(state.mob_position[0, 0], (4.5, GROUND, 4.5), atol=1e-6)


def test_a_sheep_grazes_about_once_in_a_thousand_ticks():
    engine = flat_engine(64)
    put_player(engine, 16.5, GROUND, 16.5)
    put_mob(engine, SHEEP, 0, 0.5, GROUND, 0.5)
    put_mob(engine, SHEEP, 1, 4.5, GROUND, 8.5)
    engine.state.mob_age[:, 1] = -24000
    engine.state.gamerule[:, GAMERULE_ID["mobGriefing"]] = 0
    meals = np.zeros(2)
    for _ in range(1000):
        play(engine)
        meals += ((engine.state.mob_goal == mobs.GOAL_EAT) & (engine.state.mob_goal_ticks == 40))[:, :2].sum(0)
        for goal in (mobs.GOAL_EAT, mobs.GOAL_WANDER):  # at once given up
            engine.state.mob_goal_ticks[engine.state.mob_goal == goal] = 1
    assert meals[0] == pytest.approx(64, rel=0.35)
    assert meals[1] == pytest.approx(64 * 1000 / 51, rel=0.15)


def test_a_chicken_falls_slowly_and_unhurt(engine):
    state = engine.state
    put_mob(engine, CHICKEN, 0, 0.5, GROUND + 20, 0.5)
    state.mob_on_ground[0, 0], state.mob_timer[0, 0] = 0, 9999
    play(engine, ticks=60)
    assert state.mob_velocity[0, 0, 1] == pytest.approx(-0.0784 * 0.6 / (1 - 0.98 * 0.6), abs=1e-6)
    play(engine, ticks=150)
    assert state.mob_position[0, 0, 1] == GROUND and state.mob_health[0, 0] == 4


def test_a_chicken_lays_an_egg_every_five_to_ten_minutes(engine):
    state = engine.state
    put_mob(engine, CHICKEN, 0, 4.5, GROUND, 4.5)
    put_mob(engine, CHICKEN, 1, 8.5, GROUND, 4.5)
    state.mob_timer[0, 0], state.mob_timer[0, 1] = 3, 2
    state.mob_age[0, 1] = -100
    play(engine, ticks=2)
    assert not state.drop_item.any()
    play(engine, ticks=2)
    assert state.drop_item[state.drop_item > 0].tolist() == [ITEM_ID["egg"]]
    assert 6000 <= state.mob_timer[0, 0] < 12000 and state.mob_timer[0, 1] == 2


def test_a_baby_is_half_as_large_and_grows_up(engine):
    state = engine.state
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    state.mob_age[0, 0] = -300
    for y in range(GROUND + 1, GROUND + 3):
        put_block(engine, 0, y, 3)
    send_cow(engine, mobs.GOAL_WANDER, 0.5, 9.5)
    play(engine, ticks=100)
    assert state.mob_position[0, 0, 2] > 5  # it went under the blocks, 1 high
    play(engine, ticks=250)
    assert state.mob_age[0, 0] == 0


# WATER, FIRE, LAVA, CACTI


def pool(engine, block="water[level=0]", depth=4):
    """A hole full of a liquid, 12 blocks square."""
    for x in range(-2, 10):
        for z in range(-2, 10):
            for y in range(GROUND - depth, GROUND):
                engine.state.voxels[:, x % 32, z % 32, y] = BLOCK_ID[block]


def test_animals_float_and_monsters_sink(engine):
    pool(engine)
    state = engine.state
    kinds = (COW, PIG, SHEEP, CHICKEN, ZOMBIE, SKELETON)
    for m, kind in enumerate(kinds):
        put_mob(engine, kind, m, 0.5 + 1.5 * m, GROUND - 1.5, 4.5)
    state.mob_timer[...] = 9999
    for tick in range(150):
        put_player(engine, 16.5, GROUND - 12, 16.5)  # in the stone: monsters that attack would swim up
        state.health[0] = 20
        play(engine)
        if tick < 100:
            continue
        for m, kind in enumerate(kinds):
            if kind in (ZOMBIE, SKELETON):
                assert state.mob_position[0, m, 1] < GROUND - 3.5  # they may hop at the pool's side
            elif GROUND - 5 < state.mob_position[0, m, 1] < GROUND:
                assert GROUND - 1.1 < state.mob_position[0, m, 1] < GROUND


def test_an_animal_swims_ashore(engine):
    pool(engine)
    put_cow(engine, 0, 4.5, GROUND - 1, 4.5)
    put_player(engine, 13.5, GROUND, 4.5)
    hold(engine, "wheat")
    play(engine, ticks=400)
    assert engine.state.mob_position[0, 0, 0] > 10 and engine.state.mob_position[0, 0, 1] == GROUND


def test_nobody_wanders_into_water_lava_or_cacti(engine):
    state = engine.state
    for block in ("water[level=0]", "lava[level=0]"):
        for z in range(4, 8):
            state.voxels[0, :, z, GROUND - 1] = BLOCK_ID[block]
        put_cow(engine, 0, 0.5, GROUND, 0.5)
        for _ in range(20):
            send_cow(engine, mobs.GOAL_WANDER, 0.5, 9.5)
            play(engine, ticks=10)
        assert 2 < state.mob_position[0, 0, 2] < 4
    state.voxels[0, :, 4:8, GROUND - 1] = BLOCK_ID["sand"]
    state.voxels[0, :, 4, GROUND] = BLOCK_ID["cactus"]
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    for _ in range(200):
        send_cow(engine, mobs.GOAL_WANDER, 0.5, 9.5)
        play(engine)
    assert state.mob_health[0, 0] == 10 and 2 < state.mob_position[0, 0, 2] < 4


def test_fire_hurts_once_a_second_and_water_puts_it_out(engine):
    state = engine.state
    put_cow(engine, 0, 4.5, GROUND, 4.5)
    state.mob_fire_ticks[0, 0] = 100
    play(engine, ticks=10)
    assert state.mob_goal[0, 0] == mobs.GOAL_PANIC
    play(engine, ticks=110)
    assert state.mob_health[0, 0] == 5 and state.mob_fire_ticks[0, 0] == 0
    pool(engine, depth=1)
    put_cow(engine, 0, 4.5, GROUND - 1, 4.5)
    state.mob_fire_ticks[0, 0] = 99
    play(engine, ticks=2)
    assert state.mob_fire_ticks[0, 0] == 0


def test_lava_burns_and_cacti_prick(engine):
    state = engine.state
    pool(engine, "lava[level=0]", 1)
    put_cow(engine, 0, 4.5, GROUND - 1, 4.5)
    play(engine)
    assert state.mob_health[0, 0] == 6 and state.mob_fire_ticks[0, 0] > 290
    state.voxels[0, :12, :12, GROUND - 1] = BLOCK_ID["sand"]
    state.voxels[0, 4, 6, GROUND] = BLOCK_ID["cactus"]
    put_cow(engine, 0, 4.5, GROUND, 5.5)
    state.mob_velocity[0, 0, 2] = 0.3
    play(engine, ticks=2)
    assert state.mob_health[0, 0] == 9


# DEATH


def kill_many(engine, kind, rounds, **fields):
    """Lets mobs die, 8 per environment and round -> the counts [kills, items] of what each left, by item name."""
    state = engine.state
    left = []
    for _ in range(rounds):
        state.drop_item[...] = 0
        state.mob_kind[...] = 0
        for m in range(4):
            put_mob(engine, kind, m, 0.5 + 4 * m, GROUND, 8.5, health=0)
            for name, value in fields.items():
                getattr(state, f"mob_{name}")[:, m] = value
        play(engine)
        for n in range(engine.num_envs):
            for m in range(4):
                near = np.abs(state.drop_position[n, :, 0] - (0.5 + 4 * m)) < 1
                here = np.flatnonzero((state.drop_item[n] > 0) & near)
                left.append({ITEMS[state.drop_item[n, d]]: int(state.drop_count[n, d]) for d in here})
    return left


@pytest.fixture(scope="module")
def many():
    engine = flat_engine(32)
    put_player(engine, 8.5, GROUND, 20.5)
    return engine


@pytest.mark.parametrize(
    ("kind", "burning", "loot"),
    [
        (COW, 0, {"leather": (0, 2), "beef": (1, 3)}),
        (COW, 50, {"leather": (0, 2), "cooked_beef": (1, 3)}),
        (PIG, 0, {"porkchop": (1, 3)}),
        (PIG, 50, {"cooked_porkchop": (1, 3)}),
        (SHEEP, 0, {"white_wool": (1, 1), "mutton": (1, 2)}),
        (SHEEP, 50, {"white_wool": (1, 1), "cooked_mutton": (1, 2)}),
        (CHICKEN, 0, {"feather": (0, 2), "chicken": (1, 1)}),
        (CHICKEN, 50, {"feather": (0, 2), "cooked_chicken": (1, 1)}),
        (ZOMBIE, 0, {"rotten_flesh": (0, 2)}),
        (SKELETON, 0, {"bone": (0, 2), "arrow": (0, 2)}),
    ],
)
def test_loot(many, kind, burning, loot):
    left = kill_many(many, kind, 5, fire_ticks=burning)
    assert {item for drops in left for item in drops} == set(loot)
    for item, (low, high) in loot.items():
        counts = np.bincount([drops.get(item, 0) for drops in left], minlength=high + 1)
        assert counts[:low].sum() == counts[high + 1 :].sum() == 0
        np.testing.assert_allclose(counts[low:] / len(left), 1 / (high - low + 1), atol=0.08)


def test_loot_of_the_special(many):
    assert set().union(*kill_many(many, SHEEP, 1, variant=14)) == {"red_wool", "mutton"}
    assert set().union(*kill_many(many, SHEEP, 1, variant=16 + 14)) == {"mutton"}
    assert not any(kill_many(many, COW, 1, age=-5))
    rare = [item for drops in kill_many(many, ZOMBIE, 12, panic_ticks=50) for item in drops]
    share = sum(item != "rotten_flesh" for item in rare) / (12 * 32 * 4)
    assert set(rare) == {"rotten_flesh", "iron_ingot", "carrot", "potato"} and share == pytest.approx(0.025, abs=0.012)
    many.state.gamerule[:, GAMERULE_ID["doMobLoot"]] = 0
    assert not any(kill_many(many, COW, 1))
    many.state.gamerule[:, GAMERULE_ID["doMobLoot"]] = 1


def test_it_lies_for_twenty_ticks(engine):
    put_cow(engine, 0, 0.5, GROUND, 0.5, health=0)
    play(engine, ticks=19)
    assert engine.state.mob_kind[0, 0] == COW
    play(engine)
    assert engine.state.mob_kind[0, 0] == 0


def test_who_dies_soon_after_the_players_hit_is_the_players_kill(engine):
    state = engine.state
    for panic, kills in ((50, 1), (0, 0)):
        state.kill_entity[...] = 0
        state.custom[...] = 0
        put_mob(engine, PIG, 0, 0.5, GROUND, 0.5, health=1)
        state.mob_panic_ticks[0, 0], state.mob_fire_ticks[0, 0] = panic, 20
        play(engine, ticks=3)
        assert state.mob_health[0, 0] == 0
        assert state.kill_entity[0, PIG] == state.custom[0, CUSTOM_ID["mob_kills"]] == kills


def test_a_summoned_mob_takes_the_place_of_a_natural_one():
    commands = compile_commands(["/summon cow ~ ~ ~3"] * 3)
    engine = VoxelEngine(1, world_size=32, program=commands, max_mobs=2)
    play(engine, reset=True)
    assert engine.state.mob_kind[0].tolist() == [COW, COW] and engine.state.mobs_refused[0] == 1
    engine.state.mob_kind[0, 1], engine.state.mob_natural[0, 1] = ZOMBIE, 1
    summon = VoxelEngine.execute if hasattr(VoxelEngine, "execute") else None
    if summon is not None:
        summon(engine, compile_commands(["/summon pig ~ ~ ~3"]), np.ones(1, bool))
        assert engine.state.mob_kind[0].tolist() == [COW, PIG] and engine.state.mob_natural[0, 1] == 0
