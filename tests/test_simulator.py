"""MinecraftSim and make_vec: the user's document, Gymnasium's rules, episodes, rewards, seeds, bad input."""

import json
import pickle
import warnings
import weakref
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import minestudio_envs
from minestudio_envs import MinecraftSim, views
from minestudio_envs.actions import BUTTONS, env_to_joint
from minestudio_envs.callbacks import (
    CommandsCallback,
    Compose,
    FastResetCallback,
    JudgeResetCallback,
    MaskActionsCallback,
    PrevActionCallback,
    RewardsCallback,
    SummonMobsCallback,
)
from minestudio_envs.simulator import CameraConfig
from minestudio_envs.tasks import TASKS, survive, t_maze
from minestudio_envs.training.vpt_files import save_vpt_policy
from minestudio_envs.voxel.items import ITEM_ID
from minestudio_envs.voxel.jit import python_function
from minestudio_envs.voxel.light import sky_darkening
from minestudio_envs.voxel.state import COW
from ppo_vpt_online import SMALL_NET_ARGS, VPTPolicy


def document_generators() -> dict:
    """The two generators of MineStudio's online document, as written there but for the import lines."""
    source = (Path(__file__).parent / "data" / "minestudio_online_document.txt").read_text()
    for theirs, ours in {
        "from minestudio.models.openai_vpt.body import": "from ppo_vpt_online import",
        "from minestudio.simulator import": "from minestudio_envs.simulator import",
        "from minestudio.simulator.callbacks import": "from minestudio_envs.callbacks import",
    }.items():
        assert theirs in source
        source = source.replace(theirs, ours)
    namespace: dict = {}
    exec(source, namespace)
    return namespace


def small_sim(*callbacks, **kwargs):
    kwargs = {"obs_size": (32, 32), "render_size": None, "callbacks": callbacks} | kwargs
    return MinecraftSim(**kwargs)


def cows(number, low=-5, high=5):
    return SummonMobsCallback([{"name": "cow", "number": number, "range_x": [low, high], "range_z": [low, high]}])


def random_actions(num_envs, steps, seed=0):
    rng = np.random.default_rng(seed)
    return [
        {"buttons": rng.integers(0, 8640, num_envs), "camera": rng.integers(0, 121, num_envs)} for _ in range(steps)
    ]


NOOP = {"buttons": np.array([0]), "camera": np.array([60])}


class TestTheDocumentsGenerator:
    def test_it_runs_as_written_and_the_invalid_command_says_what_to_write(self):
        with pytest.warns(UserWarning, match=r"/effect give @p minecraft:strength 9999 255 true"):
            sim = document_generators()["env_generator"]()
        obs, info = sim.reset(seed=3)
        assert obs["image"].shape == (128, 128, 3) and obs["image"].dtype == np.uint8
        assert info["inventory"][0] == {"type": "iron_sword", "quantity": 1}
        assert info["inventory"][1] == {"type": "diamond", "quantity": 64}
        assert len(info["command_errors"]) == 1 and "/effect @p 5 9999 255 true" in info["command_errors"][0]
        assert info["pov"].shape == (360, 640, 3)
        assert int((sim._batch.engine.state.mob_kind[0] == COW).sum()) == 10
        _, reward, terminated, truncated, _ = sim.step(sim.noop_action())
        assert (reward, terminated, truncated) == (0.0, False, False)
        sim.close()

    def test_its_policy_generator_loads_the_files_that_it_names(self, tmp_path, monkeypatch):
        (tmp_path / "pretrained").mkdir()
        files = "pretrained/foundation-model-2x.model", "pretrained/bc-from-early-game-2x.weights"
        policy = VPTPolicy(SMALL_NET_ARGS)
        save_vpt_policy(policy, tmp_path / files[0], tmp_path / files[1])
        monkeypatch.chdir(tmp_path)
        loaded = document_generators()["policy_generator"]()
        assert all(map(torch.equal, policy.state_dict().values(), loaded.state_dict().values()))

    def test_an_episode_is_truncated_after_600_steps(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            envs = minestudio_envs.make_vec(document_generators()["env_generator"], 2, obs_size=(16, 16))
        envs.reset()
        for t in range(1, 601):
            _, _, terminated, truncated, infos = envs.step({"buttons": np.zeros(2, int), "camera": np.full(2, 60)})
            assert not terminated.any() and truncated.all() == (t == 600)
        assert infos["episode"]["l"].tolist() == [600, 600]


def test_timestep_limit_truncates():
    sim = small_sim(timestep_limit=3)
    sim.reset()
    ends = [sim.step(NOOP)[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]


@pytest.mark.parametrize("action_type", ["agent", "env"])
def test_gymnasiums_checker_accepts_it(action_type, monkeypatch):
    pytest.importorskip("pygame")  # it opens windows too
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = gym.make("MineStudio/KillCow-v0", action_type=action_type, obs_size=(32, 24))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "(?s).*symmetric and normalized")  # a camera is measured in degrees
        check_env(env.unwrapped)


def test_gymnasium_makes_a_batch_of_a_task():
    envs = gym.make_vec("MineStudio/KillCow-v0", num_envs=2, obs_size=(32, 32))
    observations, _ = envs.reset(seed=1)
    assert envs.observation_space.contains(observations)
    envs.step(envs.action_space.sample())


def test_info_can_be_pickled_and_names_what_minestudio_names():
    sim = small_sim(cows(1), render_size=(64, 36))
    _, info = sim.reset()
    assert pickle.loads(pickle.dumps(info))["player_pos"] == info["player_pos"]
    names = {"pov", "inventory", "equipped_items", "kill_entity", "player_pos", "is_gui_open", "isGuiOpen", "health"}
    assert names <= set(info)
    assert info["mine_block"]["oak_log"] == info["kill_entity"]["cow"] == 0


def test_a_single_sim_is_environment_0_of_a_batch():
    callbacks = cows(3), FastResetCallback(["plains"], 100)
    sim = small_sim(*callbacks)
    obs, _ = sim.reset(seed=5)
    envs = minestudio_envs.make_vec(lambda: small_sim(*callbacks), 3, seed=5)
    batch_obs, _ = envs.reset(seed=5)
    np.testing.assert_array_equal(obs["image"], batch_obs["image"][0])
    for action in random_actions(3, 20):
        obs, *_ = sim.step({key: value[:1] for key, value in action.items()})
        batch_obs, *_ = envs.step(action)
        np.testing.assert_array_equal(obs["image"], batch_obs["image"][0])


class TestVectorEnvironment:
    def make(self, num_envs=3, limit=4, **kwargs):
        return minestudio_envs.make_vec(
            lambda: small_sim(cows(2), JudgeResetCallback(limit)), num_envs, seed=1, **kwargs
        )

    def test_it_is_a_gymnasium_vector_env_with_next_step_autoreset(self):
        envs = self.make()
        assert isinstance(envs, gym.vector.VectorEnv)
        assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
        assert envs.single_action_space["buttons"] == gym.spaces.MultiDiscrete([8641])
        assert envs.action_space["camera"].shape == (3, 1)
        envs.reset()
        envs.step(envs.action_space.sample())

    def test_the_step_after_the_end_resets_and_ignores_the_action(self):
        envs, other = self.make(), self.make()
        images = [envs.reset()[0]["image"], other.reset()[0]["image"]]
        for t in range(1, 12):
            jump = {"buttons": np.full(3, 2), "camera": np.full(3, 60)}
            still = {"buttons": np.zeros(3, int), "camera": np.full(3, 60)}
            *_, truncated, infos = result = envs.step(jump)
            # `other` differs in nothing but the actions given while the environments reset
            images = [result[0]["image"], other.step(still if t % 5 == 0 else jump)[0]["image"]]
            assert truncated.all() == (t % 5 == 4) and infos["began"].all() == (t % 5 == 0)
            assert infos["_episode"].all() == (t % 5 == 4)
            torch.testing.assert_close(*images)

    def test_every_episode_is_another_world_and_a_seed_brings_it_back(self):
        envs = self.make(num_envs=2)
        first = envs.reset(seed=7)[0]["image"]
        second = envs.reset()[0]["image"]
        again = envs.reset(seed=7)[0]["image"]
        torch.testing.assert_close(first, again)
        assert (first != second).float().mean() > 0.05
        assert (first[0] != first[1]).float().mean() > 0.05

    def test_reset_mask_resets_only_those(self):
        envs = self.make()
        before = envs.reset()[0]["image"]
        after, infos = envs.reset(options={"reset_mask": np.array([False, True, False])})
        assert infos["began"].tolist() == [False, True, False]
        torch.testing.assert_close(after["image"][[0, 2]], before[[0, 2]])
        assert (after["image"][1] != before[1]).any()

    def test_numpy_arrays_hold_the_same_as_tensors(self):
        tensors, arrays = self.make(), self.make(array="numpy")
        tensors.reset(), arrays.reset()
        for action in random_actions(3, 6):
            a, b = tensors.step(action), arrays.step(action)
            assert isinstance(b[0]["image"], np.ndarray) and isinstance(b[4]["episode"]["r"], np.ndarray)
            np.testing.assert_array_equal(a[0]["image"], b[0]["image"])
            for x, y in zip(a[1:4], b[1:4], strict=True):
                np.testing.assert_array_equal(x, y)
                assert isinstance(y, np.ndarray)

    def test_observations_are_fresh_unless_copy_is_off(self):
        for copy in (True, False):
            envs = self.make(copy=copy)
            held = envs.reset()[0]["image"]
            before = held.clone()
            turn = {"buttons": np.ones(3, int), "camera": np.full(3, 0)}
            envs.step(turn)
            assert bool((held == before).all()) is copy

    def test_stagger_begins_the_first_episodes_at_different_ages(self):
        envs = minestudio_envs.make_vec(lambda: small_sim(JudgeResetCallback(100)), 16, stagger=True)
        envs.reset()
        assert envs.elapsed[0] == 0 and envs.elapsed.diff().min() >= 6 and envs.elapsed.max() < 100
        action = {"buttons": np.zeros(16, int), "camera": np.full(16, 60)}
        lengths, ended = [], 0
        for _ in range(210):
            *_, truncated, infos = envs.step(action)
            lengths += infos["episode"]["l"][infos["_episode"]].tolist()
            ended += int(truncated.sum())
        # the shortened episodes end, but in statistics they would look like bad ones
        assert set(lengths) == {100} and ended > len(lengths) >= 16


class TestRewards:
    def reward(self, **kwargs):
        entry = {"event": "kill_entity", "objects": ["cow"], "reward": 2.0, "identity": "cow", "max_reward_times": 3}
        return RewardsCallback([entry | kwargs])

    def run(self, callbacks, kills):
        """Rewards of steps in which the engine's statistics grow by `kills`."""
        envs = minestudio_envs.make_vec(lambda: small_sim(*callbacks), 1)
        envs.reset()
        rewards = []
        for kill in kills:
            envs.engine.state.kill_entity[0, COW] += kill
            rewards.append(envs.step(NOOP)[1].item())
        return rewards

    def test_every_kill_pays_up_to_the_cap(self):
        assert self.run([self.reward()], [0, 2, 0, 2, 1]) == [0.0, 4.0, 0.0, 2.0, 0.0]

    def test_entries_of_one_identity_share_the_cap_and_callbacks_add_up(self):
        both = RewardsCallback([*self.reward().reward_cfg, *self.reward(reward=1.0).reward_cfg])
        assert self.run([both], [1, 1, 1]) == [3.0, 2.0, 0.0]
        assert self.run([self.reward(), self.reward(reward=1.0)], [1, 1]) == [3.0, 3.0]

    def test_a_new_episode_pays_anew_and_never_for_the_old_one(self):
        callbacks = [self.reward(max_reward_times=1), JudgeResetCallback(2)]
        assert self.run(callbacks, [1, 0, 0, 1, 1]) == [2.0, 0.0, 0.0, 2.0, 0.0]


def test_masked_actions_do_not_reach_the_engine():
    jump = {"buttons": np.array([2]), "camera": np.array([60])}
    heights = []
    for mask in ([], [MaskActionsCallback(jump=0)]):
        sim = small_sim(*mask)
        _, info = sim.reset(seed=1)
        start = info["player_pos"]["y"]
        heights.append([sim.step(jump)[4]["player_pos"]["y"] - start for _ in range(3)][-1])
    assert heights[0] > 0.9 and heights[1] == 0.0


def test_named_actions_do_what_joint_actions_do():
    a, b = small_sim(), small_sim(action_type="env")
    start = a.reset(seed=1)[1]["player_pos"]
    b.reset(seed=1)
    for _ in range(5):
        info_a = a.step({"buttons": np.array([289]), "camera": np.array([60 + 3])})[4]  # forward, camera
        info_b = b.step({"forward": 1, "camera": np.array([0.0, 3.2153691330919005], np.float32)})[4]
    assert info_a["player_pos"] == info_b["player_pos"] and info_a["player_pos"] != start


def test_inventory_argument_and_commands_fill_the_slots():
    sim = small_sim(CommandsCallback(["/give @p minecraft:stick 70"]), inventory={2: {"type": "apple", "quantity": 5}})
    _, info = sim.reset()
    held = [(slot["type"], slot["quantity"]) for slot in (info["inventory"][i] for i in range(3))]
    assert held == [("stick", 64), ("stick", 6), ("apple", 5)]


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: small_sim(preferred_spawn_biome="plain"), ValueError, "did you mean 'plains'"),
        (lambda: small_sim(action_type="agents"), ValueError, "did you mean 'agent'"),
        (lambda: small_sim(timestep_limits=3), TypeError, "timestep_limits"),
        (lambda: small_sim(obs_size=(0, 64)), ValueError, "obs_size"),
        (lambda: small_sim("cow"), TypeError, "'cow'"),
        (lambda: MaskActionsCallback(invntory=0), ValueError, "did you mean 'inventory'"),
        (lambda: SummonMobsCallback([{"name": "cov", "number": 1}]), ValueError, "range_x"),
        (
            lambda: SummonMobsCallback([{"name": "cov", "number": 1, "range_x": [0, 1], "range_z": [0, 1]}]),
            ValueError,
            "did you mean 'cow'",
        ),
        (
            lambda: SummonMobsCallback([{"name": "cow", "number": 1, "range_x": [1, 0], "range_z": [0, 1]}]),
            ValueError,
            "range_x",
        ),
        (lambda: TestRewards().reward(event="kill_entities"), ValueError, "did you mean 'kill_entity'"),
        (lambda: small_sim(TestRewards().reward(objects=["cows"])).reset(), ValueError, "did you mean 'cow'"),
        (lambda: TestRewards().reward(rewards=1), ValueError, "did you mean 'reward'"),
        (lambda: TestRewards().reward(objects=[]), ValueError, "at least one"),
        (lambda: small_sim().reset(options={"mask": 1}), ValueError, "mask"),
        (lambda: JudgeResetCallback(0), ValueError, "at least 1"),
        (lambda: FastResetCallback(["plain"], 10), ValueError, "did you mean 'plains'"),
        (lambda: minestudio_envs.make_vec(small_sim, 0), ValueError, "num_envs=0"),
        (lambda: minestudio_envs.make_vec(small_sim, 1, engine="real"), ValueError, "engine='real'"),
        (lambda: minestudio_envs.make_vec(small_sim, 1, array="jax"), ValueError, "array='jax'"),
        (lambda: minestudio_envs.make_vec(small_sim, 1, device="mps"), ValueError, "device='mps'"),
        (lambda: minestudio_envs.make_vec(lambda: None, 1), TypeError, "env_generator"),
        (lambda: small_sim().step(NOOP), gym.error.ResetNeeded, "reset"),
        (lambda: minestudio_envs.make_vec(small_sim, 1).step(NOOP), gym.error.ResetNeeded, "reset"),
    ],
)
def test_bad_input_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    "action, error, message",
    [
        ({"buttons": np.array([8641]), "camera": np.array([60])}, ValueError, "8641"),
        ({"buttons": np.array([0]), "camera": np.array([-1])}, ValueError, "-1"),
        ({"buttons": np.array([0.5]), "camera": np.array([60])}, TypeError, "float"),
        ({"buttons": np.array([[0, 0]]), "camera": np.array([60])}, ValueError, "shape"),
        ({"buttons": np.array([0])}, ValueError, "camera"),
        ({"camera": np.array([0, np.nan])}, ValueError, "camera"),
        ({"camera": np.array([np.inf, 0])}, ValueError, "camera"),
        ({"camera": np.array([0, 1e39])}, ValueError, "camera"),
        ({"forward": "yes"}, TypeError, "forward"),
    ],
)
def test_bad_actions_are_named(action, error, message):
    sim = small_sim(action_type="agent" if "buttons" in action else "env")
    sim.reset()
    with pytest.raises(error, match=message):
        sim.step(action)


def test_a_batch_takes_a_seed_for_each_environment_and_one_seed_is_a_single_sim():
    envs = minestudio_envs.make_vec(small_sim, 2)
    images = envs.reset(seed=np.array([4, 5]))[0]["image"].clone()
    assert (images[0] != images[1]).any()
    for i, seed in enumerate([4, 5]):
        np.testing.assert_array_equal(images[i], small_sim().reset(seed=seed)[0]["image"])
    kept = envs.reset(seed=[4, None])[0]["image"]
    torch.testing.assert_close(kept[0], images[0])
    assert (kept[1] != images[1]).any()


def test_batches_of_one_task_do_not_share_their_rewards():
    sim = small_sim(TestRewards().reward())
    first, second = (minestudio_envs.make_vec(lambda: sim, n) for n in (2, 3))
    for envs, n in ((first, 2), (second, 3)):
        envs.reset()
        assert envs.step({"buttons": np.zeros(n, int), "camera": np.full(n, 60)})[1].shape == (n,)


def test_stepping_after_close_is_an_error_and_closing_twice_is_not():
    sim, envs = small_sim(), minestudio_envs.make_vec(small_sim, 1)
    for env in (sim, envs):
        env.reset()
        env.close()
        env.close()
        with pytest.raises(gym.error.ClosedEnvironmentError):
            env.step(NOOP)


def test_an_action_is_left_as_it_was_given():
    sim = small_sim()
    sim.reset()
    action = sim.noop_action()
    sim.step(action)
    sim.step(action)
    assert sorted(action) == ["buttons", "camera"]


def test_the_attack_button_kills_a_cow_and_pays():
    """The whole chain: summon, look, click, kill, reward. The cow is put before the player's eyes."""
    reward = {"event": "kill_entity", "objects": ["cow"], "reward": 1.0, "identity": "cow", "max_reward_times": 30}
    commands = ["/give @p minecraft:iron_sword 1", "/effect give @p minecraft:strength 9999 255 true"]
    envs = minestudio_envs.make_vec(
        lambda: small_sim(
            FastResetCallback(["plains"], 0), cows(1), RewardsCallback([reward]), CommandsCallback(commands)
        ),
        1,
    )
    envs.reset(seed=0)
    state = envs.engine.state
    assert state.inventory_item[0, 0] == ITEM_ID["iron_sword"]
    state.yaw[0], state.pitch[0] = 0.0, 30.0
    state.mob_position[0, 0] = state.position[0] + [0.0, 0.0, 1.5]
    attack = 1 << 2
    assert BUTTONS[0] == "attack"
    total = sum(
        envs.step({"buttons": np.array([attack * (t % 2)]), "camera": np.array([60])})[1].item() for t in range(4)
    )
    assert total == 1.0 and envs.engine.state.kill_entity[0, COW] == 1


@pytest.mark.parametrize("name", TASKS)
def test_every_task_runs_alone_and_in_a_batch(name):
    env = gym.make(f"MineStudio/{name}-v0", obs_size=(16, 16), world_size=64)
    obs, info = env.reset(seed=1)
    assert env.observation_space.contains(obs) and info["command_errors"] == []
    assert env.step(env.action_space.sample())[1] < 1
    envs = gym.make_vec(f"MineStudio/{name}-v0", num_envs=2, obs_size=(16, 16))
    first = envs.reset(seed=1)[0]["image"]
    assert first.shape == (2, 16, 16, 3) and envs.time_limit in (50, 600, 1200, 12000)


def test_survival_pays_for_time_and_takes_for_deaths():
    sim = survive(obs_size=(16, 16))
    sim.reset()
    paid = [sim.step(NOOP)[1] for _ in range(3)]
    assert paid == [pytest.approx(0.0005)] * 3
    sim._batch.engine.state.health[0] = 0
    assert sim.step(NOOP)[1] == pytest.approx(-10, abs=0.01)


def test_in_the_t_maze_only_the_colour_at_the_beginning_says_where_to_go():
    """Whoever turns left is paid after red walls and pays after blue ones, and from the fork on they look the same."""
    envs = minestudio_envs.make_vec(t_maze, 16, seed=3, obs_size=(32, 32))
    image = envs.reset()[0]["image"]
    red = image[:, 8:16, 0, 0] > image[:, 8:16, 0, 2].float() * 2
    assert (red.all(1) | ~red.any(1)).all() and 2 <= red[:, 0].sum() <= 14
    red, returns = red[:, 0], torch.zeros(16)
    for t in range(49):
        keys = torch.zeros(16, len(BUTTONS), dtype=torch.bool)
        keys[:, [BUTTONS.index(name) for name in ("forward", "sprint")]] = True
        buttons, camera = env_to_joint(keys, torch.tensor([[0.0, -10.0 if 13 <= t < 22 else 0.0]] * 16))
        obs, rewards, *_ = envs.step({"buttons": buttons, "camera": camera})
        if 10 <= t < 21:  # skies differ between worlds
            gap = (obs["image"].float()[:, None] - obs["image"].float()).abs().amax((2, 3, 4))
            alike = red[:, None] == red
            assert gap[~alike].max() <= gap[alike].max() + 2
        returns += rewards
    assert torch.equal(returns, torch.where(red, 1.0, -0.5))


def test_info_is_whole():
    start = FastResetCallback(["plains"], 0, start_time=18000, start_weather="rain")
    texts = ["/give @p iron_pickaxe{Damage:9}", "/fill ~-1 ~-1 ~-1 ~1 ~4 ~1 stone hollow", "/give x"]
    with pytest.warns(UserWarning, match="something is missing"):
        sim = small_sim(start, CommandsCallback(texts), render_size=(64, 36))
    _, info = sim.reset()
    assert json.loads(json.dumps({k: v for k, v in info.items() if k != "pov"}))["health"] == 20
    assert info["equipped_items"]["mainhand"] == {"type": "iron_pickaxe", "damage": 9, "maxDamage": 250}
    assert info["equipped_items"]["head"] == {"type": "air", "damage": 0, "maxDamage": 0}
    place = info["location_stats"]
    assert (place["biome_id"], place["biome_rainfall"], place["is_raining"]) == (1, 0.4, True)
    assert place["biome_temperature"] == 0.8 and not place["can_see_sky"] and place["sun_brightness"] < 0.3
    assert place["sea_level"] == info["location_stats"]["sea_level"] > 20
    assert len(info["command_errors"]) == 1 and info["food_level"] == 20
    for event in ("use_item", "pickup", "break_item", "craft_item", "mine_block", "kill_entity", "custom"):
        assert info[event]["whatever"] == 0
    with pytest.warns(UserWarning, match="/gvie"):
        info = sim.execute_cmd("/gvie @p stick")[3]
    assert "did you mean 'give'" in info["command_errors"][1]
    assert len(sim.reset()[1]["command_errors"]) == 1  # nothing stale


def test_no_key_of_info_is_stale():
    sim = small_sim(action_type="env")
    sim.reset()
    action = sim.noop_action() | {"voxels": np.array([-1, 1, -1, 1, -1, 1]), "mobs": np.array([-9, 9, -9, 9, -9, 9])}
    info = sim.step(action)[4]
    assert len(info["voxels"]) == 27 and info["mobs"] == []
    assert "voxels" not in sim.step(sim.noop_action())[4]


@pytest.mark.filterwarnings("ignore:.*no command")
def test_chat_is_a_command_or_nothing():
    sim = small_sim(action_type="env")
    sim.reset()
    for text, held in (("hello", "none"), ("/nonsense", "none"), ("/give @p stick", "stick")):
        info = sim.step(sim.noop_action() | {"chat": text})[4]
        assert info["inventory"][0]["type"] == held
    envs = minestudio_envs.make_vec(lambda: small_sim(action_type="env"), 2)
    envs.reset()
    envs.step({"chat": ["", "/give @p apple"]})
    assert envs.engine.state.inventory_item[:, 0].tolist() == [0, ITEM_ID["apple"]]


@pytest.mark.parametrize(
    "ticks, brightness, light",
    [  # the client's sky brightness, and sky light under the open sky, by 1.16.5's formulas
        *((0, 0.704, 15), (1000, 1.0, 15), (6000, 1.0, 15), (11000, 1.0, 15), (12000, 0.704, 15), (12500, 0.487, 12)),
        *((13000, 0.263, 9), (13500, 0.2, 6), (14000, 0.2, 4), (18000, 0.2, 4), (22500, 0.2, 6), (23000, 0.263, 9)),
        (23500, 0.487, 12),
    ],
)
def test_sky_light_of_the_day(ticks, brightness, light):
    assert views.sun_brightness(ticks, 0) == pytest.approx(brightness, abs=6e-4)
    assert python_function(sky_darkening)(ticks, 0) == 15 - light


def test_clouds_darken():
    assert views.sun_brightness(6000, 1) == pytest.approx(0.75) and python_function(sky_darkening)(6000, 2) == 5


def test_close_frees_the_engine():
    sim = small_sim()
    sim.reset()
    voxels = weakref.ref(sim._batch.engine.arrays.voxels)
    sim.close()
    assert voxels() is None


def test_nothing_can_be_done_before_the_first_reset_or_after_close():
    sim = small_sim()
    assert sim.info == {} and sim.obs == {} and sim.already_reset is False
    for use in (lambda: sim.execute_cmd("/time set day"), lambda: sim.env.step({}), lambda: sim.env.seed(3)):
        with pytest.raises(gym.error.ResetNeeded, match="call reset"):
            use()
    sim.reset()
    sim.close()
    with pytest.raises(gym.error.ClosedEnvironmentError, match="after close"):
        sim.execute_cmd("/time set day")


@pytest.mark.parametrize("array", ["torch", "numpy"])
def test_a_batchs_infos_hold_the_command_errors_of_each_episode(array):
    with pytest.warns(UserWarning, match="no_such_thing"):
        callbacks = [CommandsCallback(["/give @p no_such_thing"]), JudgeResetCallback(3)]
    sim = small_sim(action_type="env", callbacks=callbacks)
    envs = minestudio_envs.make_vec(lambda: sim, 2, array=array, stagger=False)
    assert [len(errors) for errors in envs.reset()[1]["command_errors"]] == [1, 1]
    with pytest.warns(UserWarning, match="tim"):
        infos = envs.step({"chat": ["", "/tim set day"]})[4]
    assert [len(errors) for errors in infos["command_errors"]] == [1, 2]
    assert "tim" in infos["command_errors"][1][1]
    for _ in range(3):
        later = envs.step({"chat": ["", ""]})[4]
    assert later["began"].all() and [len(errors) for errors in later["command_errors"]] == [1, 1]
    assert len(infos["command_errors"][1]) == 2  # what was given out stays


@pytest.mark.parametrize("slot, kind, quantity", [(0, "appel", 1), (0, "egg", 99), (41, "egg", 1), (0, "apple", None)])
def test_an_inventory_is_checked_at_once(slot, kind, quantity):
    entry = {"type": kind} if quantity is None else {"type": kind, "quantity": quantity}
    with pytest.raises(ValueError, match="inventory"):
        small_sim(inventory={slot: entry})


def test_camera_config_is_vpts_or_an_error():
    assert small_sim(camera_config=CameraConfig()).camera_config.n_camera_bins == 11
    for other in ({"camera_binsize": 1}, {"camera_quantization_scheme": "linear"}, {"camera_mu": 5}):
        with pytest.raises(ValueError, match=r"only .* is supported"):
            CameraConfig(**other)


def test_agent_and_env_actions_translate_as_methods_of_the_sim():
    sim = small_sim()
    action = sim.agent_action_to_env_action({"buttons": np.array([289]), "camera": np.array([63])})
    assert action["forward"] == 1 and action["camera"][1] == pytest.approx(3.2154, abs=1e-4)
    assert sim.env_action_to_agent_action(action) == {"buttons": 289, "camera": 63}
    sim.reset()
    assert sim.step((np.array([0]), np.array([60])))[0]["image"].shape == (32, 32, 3)  # MineStudio's tuple


def test_a_batch_goes_on_from_its_state_dict_and_packs_the_worlds():
    def make():
        return minestudio_envs.make_vec(
            lambda: small_sim(
                cows(2), Compose([PrevActionCallback(), JudgeResetCallback(9)], 1), JudgeResetCallback(12)
            ),
            2,
            seed=4,
        )

    a, b = make(), make()
    a.reset(), b.reset()
    for action in random_actions(2, 7):
        a.step(action)
    saved = a.state_dict()
    assert sum(x.nbytes for x in saved["engine"].values()) < 2**20 < a.engine.state.voxels.nbytes
    b.load_state_dict(saved)
    for action in random_actions(2, 20, seed=1):
        x, y = a.step(action), b.step(action)
        torch.testing.assert_close(x[0]["image"], y[0]["image"])
        torch.testing.assert_close(x[1:4], y[1:4])
    wrong = minestudio_envs.make_vec(lambda: small_sim(cows(2), world_size=64), 2)
    with pytest.raises(ValueError, match="callbacks"):
        wrong.load_state_dict(saved)
