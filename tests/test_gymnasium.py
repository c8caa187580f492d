"""Gymnasium's expectations of a vector environment, its wrappers and ours, and Stable-Baselines3 on top."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import DictInfoToList, NormalizeReward, RecordEpisodeStatistics

import minestudio_envs
from minestudio_envs import MinecraftSim
from minestudio_envs.actions import FACTORS, joint_to_factored
from minestudio_envs.callbacks import JudgeResetCallback, MinecraftCallback, PrevActionCallback
from minestudio_envs.wrappers import FactoredAction, ImageObservation, VectorFactoredAction, VectorImageObservation

KILL_COW = "MineStudio/KillCow-v0"


class Pitch(MinecraftCallback):
    """Pays the pitch, and ends the episode beyond 15 degrees: environments end at different times."""

    def after_batch_step(self, batch, reward, terminated, truncated):
        pitch = batch.state["pitch"].float().abs()
        reward += pitch
        terminated |= pitch > 15


def make_sim():
    callbacks = [Pitch(), PrevActionCallback(), JudgeResetCallback(7)]
    return MinecraftSim(obs_size=(16, 16), render_size=None, num_empty_frames=0, callbacks=callbacks)


def make_vec(mode=AutoresetMode.NEXT_STEP, num_envs=3, **kwargs):
    return minestudio_envs.make_vec(
        make_sim, num_envs, **{"array": "numpy", "autoreset_mode": mode, "stagger": False} | kwargs
    )


def random_action(rng, num_envs=3):
    return {"buttons": rng.integers(0, 8640, (num_envs, 1)) | 1, "camera": rng.integers(0, 121, (num_envs, 1))}


def assert_equal(a, b):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal(a[key], b[key])
    elif a is None or b is None:
        assert a is b
    else:
        np.testing.assert_array_equal(a, b)


class TestAutoreset:
    @pytest.mark.parametrize("mode", AutoresetMode)
    def test_a_batch_does_what_gymnasiums_sync_vector_env_does(self, mode):
        ours, theirs = make_vec(mode), SyncVectorEnv([make_sim] * 3, autoreset_mode=mode)
        assert ours.metadata["autoreset_mode"] is theirs.metadata["autoreset_mode"] is mode
        assert ours.observation_space == theirs.observation_space and ours.action_space == theirs.action_space
        seeds, rng = [5, 6, 9], np.random.default_rng(0)
        assert_equal(ours.reset(seed=seeds)[0], theirs.reset(seed=seeds)[0])
        ends = []
        for _ in range(24):
            action = random_action(rng)
            a, b = ours.step(action), theirs.step(action)
            for x, y in zip(a[:4], b[:4], strict=True):
                assert_equal(x, y)
            ended = a[2] | a[3]
            ends.append((a[2].tolist(), a[3].tolist()))
            assert ("final_obs" in a[4]) == ("final_obs" in b[4]) == (mode is AutoresetMode.SAME_STEP and ended.any())
            if "final_obs" in a[4]:
                for x, y in zip(a[4]["final_obs"], b[4]["final_obs"], strict=True):
                    assert_equal(x, y)
                    assert x is None or x in ours.single_observation_space
                for key in ("_final_obs", "_final_info"):
                    assert_equal(a[4][key], b[4][key])
                assert_equal(a[4]["final_info"]["kill_entity"]["cow"], b[4]["final_info"]["kill_entity"]["cow"])
            if mode is AutoresetMode.DISABLED and ended.any():
                assert_equal(*(envs.reset(options={"reset_mask": ended.copy()})[0] for envs in (ours, theirs)))
        # Otherwise nothing was shown: some end alone, some with others, by death and by the limit.
        terminated, truncated = (np.array([end[k] for end in ends]) for k in (0, 1))
        assert terminated.any() and truncated.any() and ((terminated | truncated).sum(1) == 1).any()

    def test_an_ended_environment_is_not_stepped_when_autoreset_is_disabled(self):
        envs = make_vec("Disabled")
        envs.reset()
        still = {"buttons": np.zeros(3, int), "camera": np.full(3, 60)}
        for _ in range(7):
            ended = envs.step(still)[3]
        assert ended.all()
        envs.reset(options={"reset_mask": np.array([True, False, True])})
        with pytest.raises(gym.error.ResetNeeded, match=r"environments \[1\]"):
            envs.step(still)
        envs.reset(options={"reset_mask": np.array([False, True, False])})
        envs.step(still)

    @pytest.mark.parametrize("copy", [True, False])
    def test_final_observations_of_tensors_are_not_overwritten(self, copy):
        same, following = make_vec("SameStep", array="torch", copy=copy), make_vec(array="torch")
        same.reset(seed=1), following.reset(seed=1)
        down = {"buttons": np.ones(3, int), "camera": np.full(3, 115)}  # beyond 15 degrees in the second step
        for _ in range(2):
            result, last = same.step(down), following.step(down)[0]["image"]
        first = following.step(down)[0]["image"]
        final = result[4]["final_obs"]
        assert result[2].all() and isinstance(final, list)
        torch.testing.assert_close(torch.stack([observation["image"] for observation in final]), last)
        torch.testing.assert_close(result[0]["image"], first)
        assert result[4]["began"].all() and not result[4]["final_info"]["began"].any()

    def test_an_unknown_mode_is_an_error(self):
        with pytest.raises(ValueError, match="Sometimes"):
            make_vec("Sometimes")
        with pytest.raises(ValueError, match="NEXT_STEP"):
            minestudio_envs.make_vec(make_sim, 1, engine="minecraft", autoreset_mode="SameStep")

    def test_real_minecraft_has_no_window(self):
        with pytest.raises(ValueError, match="render_mode='human'"):
            minestudio_envs.make_vec(lambda: MinecraftSim(render_mode="human"), 1, engine="minecraft")


class TestGymnasium:
    def test_make_vec_takes_arguments_of_the_batch_and_of_the_task(self):
        arguments = {"autoreset_mode": "SameStep", "action_type": "env", "obs_size": (24, 16), "max_episode_steps": 3}
        envs = gym.make_vec(KILL_COW, num_envs=2, **arguments)
        assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
        assert MinecraftSim.metadata.keys() == {"render_modes", "render_fps"}  # it is this batch's alone
        envs.reset()
        ends = [envs.step(envs.action_space.sample())[3].tolist() for _ in range(4)]
        assert ends == [[False] * 2, [False] * 2, [True] * 2, [False] * 2]
        assert (
            envs.single_observation_space["image"].shape == (16, 24, 3) and "attack" in envs.single_action_space.keys()
        )

    def test_a_seed_seeds_np_random(self):
        envs = make_vec()
        envs.reset(seed=3)
        drawn = envs.np_random.random()
        envs.reset(seed=3)
        assert envs.np_random_seed == 3 and envs.np_random.random() == drawn

    @pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
    def test_our_statistics_are_those_of_gymnasiums_wrapper(self, mode):
        ours, theirs = make_vec(mode), RecordEpisodeStatistics(make_vec(mode, episode_statistics=False))
        ours.reset(seed=2), theirs.reset(seed=2)
        rng, count = np.random.default_rng(1), 0
        for _ in range(20):
            action = random_action(rng)
            a, b = ours.step(action)[4], theirs.step(action)[4]
            np.testing.assert_array_equal(a["_episode"], b.get("_episode", np.zeros(3, bool)))
            if a["_episode"].any():
                count += a["_episode"].sum()
                np.testing.assert_allclose(a["episode"]["r"], b["episode"]["r"], rtol=1e-6)
                np.testing.assert_array_equal(a["episode"]["l"], b["episode"]["l"])
        assert count == theirs.episode_count > 5

    def test_its_other_wrappers_take_numpy_batches(self):
        envs = DictInfoToList(NormalizeReward(make_vec("SameStep")))
        envs.reset(seed=2)
        rng, lengths = np.random.default_rng(1), []
        for _ in range(10):
            infos = envs.step(random_action(rng))[4]
            lengths += [info["episode"]["l"] for info in infos if "episode" in info]
            assert all("final_obs" in info for info in infos if "episode" in info)
            assert [info["kill_entity"]["cow"] for info in infos] == [0, 0, 0]
        assert len(lengths) >= 3 and max(lengths) <= 7


class TestWrappers:
    def test_gymnasiums_checker_accepts_a_wrapped_environment(self):
        env = FactoredAction(ImageObservation(gym.make(KILL_COW, obs_size=(32, 24)).unwrapped))
        assert env.action_space == gym.spaces.MultiDiscrete(FACTORS)
        assert env.observation_space == gym.spaces.Box(0, 255, (24, 32, 3), np.uint8)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", ".*different from the unwrapped")
            check_env(env, skip_render_check=True)

    @pytest.mark.parametrize("array", ["numpy", "torch"])
    def test_factors_do_what_joint_actions_do(self, array):
        joint, batch = (make_vec("SameStep", array=array) for _ in range(2))
        factored = VectorFactoredAction(VectorImageObservation(batch))
        single = FactoredAction(ImageObservation(make_sim()))
        seeds, rng = [4, 5, 6], np.random.default_rng(0)
        joint.reset(seed=seeds), factored.reset(seed=seeds)
        playing, finals = single.reset(seed=4)[0] is not None, 0
        for _ in range(9):
            action = random_action(rng)
            factors = joint_to_factored(action["buttons"][:, 0], action["camera"][:, 0])
            assert factored.single_action_space.contains(factors[0]) and factors in factored.action_space
            expected = joint.step(action)
            actual = factored.step(factors if array == "numpy" else torch.from_numpy(factors))
            assert_equal(expected[0]["image"], actual[0])
            for x, y in zip(expected[1:4], actual[1:4], strict=True):
                assert_equal(x, y)
            for i, final in enumerate(expected[4].get("final_obs", ())):
                assert_equal(final and final["image"], actual[4]["final_obs"][i])
                finals += final is not None
            if playing:
                image, reward, terminated, truncated, _ = single.step(factors[0])
                assert reward == expected[1][0] and terminated == expected[2][0]
                playing = not (terminated or truncated)
                if playing:
                    assert_equal(image, np.asarray(actual[0][0]))
        assert finals > 2

    def test_named_actions_cannot_be_factored(self):
        with pytest.raises(ValueError, match="action_type='agent'"):
            FactoredAction(MinecraftSim(action_type="env"))


class TestStableBaselines3:
    @pytest.fixture
    def ppo(self):
        return pytest.importorskip("stable_baselines3").PPO

    def make(self, **kwargs):
        from minestudio_envs.sb3 import SB3VecEnv

        arguments = {"num_envs": 4, "obs_size": (36, 36), "max_episode_steps": 20, "autoreset_mode": "SameStep"}
        envs = gym.make_vec(KILL_COW, **arguments | kwargs)
        return SB3VecEnv(VectorFactoredAction(VectorImageObservation(envs)))

    def test_its_ppo_trains_on_a_batch(self, ppo):
        model = ppo("CnnPolicy", self.make(), n_steps=32, batch_size=64, n_epochs=2, seed=1, device="cpu")
        before = {name: value.clone() for name, value in model.policy.state_dict().items()}
        model.learn(3 * 4 * 32)
        after = model.policy.state_dict()
        assert all((before[name] != after[name]).any() for name in before)
        assert all(value.isfinite().all() for value in after.values())
        assert model.num_timesteps == 384 and len(model.ep_info_buffer) == 4 * (3 * 32 // 20)
        assert {episode["l"] for episode in model.ep_info_buffer} == {20}

    def test_its_ppo_trains_on_a_single_environment(self, ppo):
        env = FactoredAction(ImageObservation(gym.make(KILL_COW, obs_size=(36, 36), max_episode_steps=10)))
        model = ppo("CnnPolicy", env, n_steps=32, batch_size=32, n_epochs=1, seed=1, device="cpu")
        model.learn(32)
        assert [episode["l"] for episode in model.ep_info_buffer] == [10, 10, 10]

    def test_a_time_limit_is_told_from_an_end_and_the_last_observation_is_there(self, ppo):
        from minestudio_envs.sb3 import SB3VecEnv

        envs, expected = SB3VecEnv(VectorFactoredAction(make_vec("SameStep"))), make_vec("SameStep")
        envs.seed(7)
        assert_equal(envs.reset(), expected.reset(seed=[7, 8, 9])[0])
        rng, kinds = np.random.default_rng(0), set()
        for _ in range(16):
            action = random_action(rng)
            observations, rewards, dones, infos = envs.step(joint_to_factored(*(a[:, 0] for a in action.values())))
            a = expected.step(action)
            for x, y in ((observations, a[0]), (rewards, a[1]), (dones, a[2] | a[3])):
                assert_equal(x, y)
            for i in range(3):
                if dones[i]:
                    assert_equal(infos[i]["terminal_observation"], a[4]["final_obs"][i])
                    assert infos[i]["TimeLimit.truncated"] == (a[3][i] and not a[2][i])
                    assert infos[i]["episode"]["r"] == a[4]["episode"]["r"][i]
                    kinds.add(infos[i]["TimeLimit.truncated"])
                else:
                    assert infos[i] == {}
        assert kinds == {True, False}

    def test_it_needs_same_step_autoreset(self, ppo):
        with pytest.raises(ValueError, match="autoreset_mode='SameStep'"):
            self.make(autoreset_mode="NextStep")
