"""The mobs' models: their measures, their skins, and that each is drawn in its own colours."""

import numpy as np
import pytest
from voxel_worlds import GROUND, flat_engine, put_mob, put_player

from minestudio_envs.voxel import models
from minestudio_envs.voxel.blocks import COLOURS
from minestudio_envs.voxel.mobs import BOX
from minestudio_envs.voxel.state import CHICKEN, COW, MOBS, PIG, SHEEP, SKELETON, ZOMBIE


@pytest.fixture(scope="module")
def tables():
    return models.build_models(variants=True)


def extent(tables, model):
    box = tables.box[model, : tables.count[model]]
    return box[:, :3].min(0) / 16, box[:, 3:6].max(0) / 16


@pytest.mark.parametrize("kind", range(1, len(MOBS)))
def test_a_model_is_about_as_large_as_the_mobs_box(tables, kind):
    low, high = extent(tables, kind)
    width, height = BOX[MOBS[kind]]
    assert low[1] == 0
    assert 0.85 * height < high[1] < 1.36 * height  # a chicken's head is above its box
    assert high[0] - low[0] < 2 * width
    assert low[0] == -high[0] or kind == SKELETON  # who holds a bow


def test_every_model_has_boxes_that_can_be_painted(tables):
    assert len(models.MODELS) == models.NUM_MODELS - 1  # kind 0 is nobody
    for model in models.MODELS:
        size = tables.box[model, : tables.count[model], 3:6] - tables.box[model, : tables.count[model], :3]
        assert (size >= 1).all()
        for i in range(tables.count[model]):
            w, h, d = size[i].astype(int)
            faces = np.diff([*tables.skin_start[model, i], tables.skin_start[model, i, 5] + w * h])
            assert faces.tolist() == [d * h, d * h, w * d, w * d, w * h, w * h]
    assert tables.skin.max() < 1 << 24 and tables.skin.min() >= 0


def test_sheep_have_a_model_for_each_colour(tables):
    seen = [models.model_of.py_func(SHEEP, variant) for variant in range(32)]
    assert seen[0] == SHEEP and len(set(seen[:16])) == 16 and set(seen[16:]) == {models.SHORN_MODEL}
    assert [models.model_of.py_func(kind, 5) for kind in (COW, PIG, ZOMBIE)] == [COW, PIG, ZOMBIE]
    assert tables.count[models.SHORN_MODEL] < tables.count[SHEEP]
    assert set(models.WOOL_COLOURS) == set(COLOURS)


def test_how_boxes_move():
    def angles(moves, attacking):
        return np.degrees(
            models.box_angles.py_func(moves, np.float32(0.5), np.float32(0.2), np.float32(0.1), attacking)
        )

    np.testing.assert_allclose(angles(models.HEAD, False), np.degrees([0.2, 0.1]), rtol=1e-5)
    np.testing.assert_allclose(angles(models.LEG, False), np.degrees([0, 0.5]), rtol=1e-5)
    np.testing.assert_allclose(angles(models.OPPOSITE_LEG, False), np.degrees([0, -0.5]), rtol=1e-5)
    np.testing.assert_allclose(angles(models.ZOMBIE_ARM, False), (0, -80), rtol=1e-5)
    np.testing.assert_allclose(angles(models.ZOMBIE_ARM, True), (0, -120), rtol=1e-5)
    np.testing.assert_allclose(angles(models.BOW_ARM, True), np.degrees([0.2, 0.1 - np.pi / 2]), rtol=1e-5)
    assert angles(models.STILL, True).tolist() == [0, 0]


@pytest.fixture(scope="module")
def engine():
    engine = flat_engine(world_size=64)
    engine.state.time_of_day[0] = 6000
    return engine


def changed(engine, kind, distance, pitch, **fields):
    """The pixels that a mob in front of the player changes, [pixels, 3]."""
    state = engine.state
    state.mob_kind[...] = 0
    put_player(engine, 32.5, GROUND, 30.5, pitch=pitch)
    before = engine.frame(0, 128, 128).astype(int)
    put_mob(engine, kind, 0, 32.5, GROUND, 30.5 + distance)
    state.mob_yaw[0, 0] = state.mob_head_yaw[0, 0] = 180 + 40
    for name, value in fields.items():
        getattr(state, f"mob_{name}")[0, 0] = value
    after = engine.frame(0, 128, 128).astype(int)
    return after[np.abs(after - before).max(-1) > 12]


@pytest.mark.parametrize(
    ("kind", "colours"),
    [
        (COW, [(60, 48, 34), (180, 176, 170)]),
        (PIG, [(235, 160, 158)]),
        (SHEEP, [(225, 226, 226), (186, 162, 146)]),
        (CHICKEN, [(228, 228, 226), (226, 160, 50)]),
        (ZOMBIE, [(84, 128, 66), (24, 136, 138), (68, 60, 150)]),
        (SKELETON, [(190, 190, 186), (64, 64, 66)]),
    ],
)
def test_a_mob_is_seen_in_its_colours(engine, kind, colours):
    pixels = changed(engine, kind, 2.5, 12)
    assert len(pixels) > 100
    pixels = pixels / np.maximum(pixels.sum(-1, keepdims=True), 1)  # whatever the light
    for colour in colours:
        colour = np.array(colour) / sum(colour)
        assert (np.abs(pixels - colour).max(-1) < 0.05).sum() > 4
