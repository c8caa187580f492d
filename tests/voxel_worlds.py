"""What the tests of the voxel engine share: flat worlds, and driving one player by button names."""

import numpy as np

from minestudio_envs.voxel.blocks import BEDROCK, GRASS_BLOCK, STONE
from minestudio_envs.voxel.engine import VoxelEngine
from minestudio_envs.voxel.items import ITEM_ID, ITEMS
from minestudio_envs.voxel.mobs import MOB_KINDS
from minestudio_envs.voxel.state import COW, EFFECT_ID, GAMERULE_ID

BUTTONS = ("attack", "back", "forward", "jump", "left", "right", "sneak", "sprint", "use", "drop", "inventory")
BUTTONS = (*BUTTONS, *(f"hotbar.{i}" for i in range(1, 10)))
GROUND = 32  # height of the flat world's surface


def flat_engine(num_envs=1, world_size=32, **options):
    """An engine whose players stand at rest on an endless plain, looking south, with nobody else there."""
    engine = VoxelEngine(num_envs, world_size=world_size, **options)
    play(engine, reset=True)
    state = engine.state
    state.voxels[...] = 0
    state.voxels[..., :GROUND] = STONE
    state.voxels[..., 0] = BEDROCK
    state.voxels[..., GROUND - 1] = GRASS_BLOCK
    state.height[...] = GROUND
    state.cutouts[...] = 0
    state.light[..., :GROUND], state.light[..., GROUND:] = 0, 15 << 4
    state.biome[...] = 0
    state.mob_kind[...] = 0
    state.spawn[...] = (0.5, GROUND, 0.5)
    put_player(engine, 0.5, GROUND, 0.5)
    play(engine)
    return engine


def put_player(engine, x, y, z, yaw=0.0, pitch=0.0, n=slice(None)):
    """At rest: standing if there is a block right below, else about to fall."""
    state = engine.state
    size = state.voxels.shape[1]
    below = state.voxels[0, int(np.floor(x)) % size, int(np.floor(z)) % size, int(y) - 1] if y == int(y) < 64 else 0
    state.position[n] = state.previous_position[n] = (x, y, z)
    state.velocity[n] = (0, -0.0784 if below else 0, 0)
    state.on_ground[n] = bool(below)
    state.sprinting[n] = 0
    state.yaw[n], state.pitch[n] = yaw, pitch
    state.fall_distance[n] = 0


def put_mob(engine, kind, m, x, y, z, health=None, n=slice(None)):
    """A summoned adult, standing at rest and doing nothing."""
    state = engine.state
    for name in vars(state):
        if name.startswith("mob_"):
            getattr(state, name)[n, m] = 0
    state.mob_kind[n, m] = kind
    state.mob_position[n, m] = state.mob_previous_position[n, m] = state.mob_target[n, m] = (x, y, z)
    state.mob_health[n, m] = MOB_KINDS[kind].health if health is None else health
    state.mob_on_ground[n, m] = 1


def put_cow(engine, m, x, y, z, health=10.0, n=slice(None)):
    put_mob(engine, COW, m, x, y, z, health, n)


def put_block(engine, x, y, z, block=STONE):
    state = engine.state
    mask = state.voxels.shape[1] - 1
    state.voxels[:, x & mask, z & mask, y] = block
    column = state.voxels[0, x & mask, z & mask]
    state.height[:, x & mask, z & mask] = 1 + np.flatnonzero(column).max()


def play(engine, *buttons, camera=(0.0, 0.0), reset=False, ticks=1):
    """Holds the named buttons for some ticks in every environment; returns the feet's positions [ticks, 3] of env 0."""
    pressed = np.zeros((engine.num_envs, 20), np.uint8)
    pressed[:, [BUTTONS.index(b) for b in buttons]] = 1
    camera = np.tile(np.asarray(camera, np.float32), (engine.num_envs, 1))
    positions = []
    for _ in range(ticks):
        engine.tick(pressed, camera, np.full(engine.num_envs, reset))
        positions.append(engine.state.position[0].copy())
    return np.array(positions)


def hold(engine, item, count=1, slot=0, ticks=1):
    """Puts an item into the hotbar's slot ``slot`` and takes it into the hand; None empties the slot."""
    state = engine.state
    state.inventory_item[:, slot], state.inventory_count[:, slot] = (ITEM_ID[item], count) if item else (0, 0)
    state.inventory_damage[:, slot] = 0
    state.selected[:] = slot
    play(engine, ticks=ticks)


def lying(engine, n=0):
    """Item entities as (name, count)."""
    state = engine.state
    return [(ITEMS[i], int(c)) for i, c in zip(state.drop_item[n], state.drop_count[n], strict=True) if i]


def remove_drops(engine):
    engine.state.drop_item[:] = 0


def give_effect(engine, effect, amplifier=0, ticks=100_000):
    engine.state.effect_ticks[:, EFFECT_ID[effect]] = ticks
    engine.state.effect_amplifier[:, EFFECT_ID[effect]] = amplifier


def quiet_engine():
    """A flat world in which no mob comes by itself."""
    engine = flat_engine()
    engine.state.gamerule[:, GAMERULE_ID["doMobSpawning"]] = 0
    return engine
