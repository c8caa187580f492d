"""A batch for Stable-Baselines3 (``pip install stable-baselines3``), which has a vector interface of its own.

envs = gym.make_vec("MineStudio/KillCow-v0", num_envs=8, obs_size=(64, 64), autoreset_mode="SameStep")
model = PPO("CnnPolicy", SB3VecEnv(VectorFactoredAction(VectorImageObservation(envs))))
"""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import VecEnv

__all__ = ["SB3VecEnv"]


class SB3VecEnv(VecEnv):
    """Any Gymnasium VectorEnv of NumPy arrays with SAME_STEP autoreset, which is SB3's.

    Of infos SB3 gets those that it reads: at an episode's end ``terminal_observation``, ``TimeLimit.truncated`` and
    ``episode``. Attributes and methods are the batch's: one object stands for all environments.
    """

    def __init__(self, envs: gym.vector.VectorEnv):
        if envs.metadata.get("autoreset_mode") is not AutoresetMode.SAME_STEP:
            raise ValueError(f"{envs}: Stable-Baselines3 needs autoreset_mode='SameStep'")
        self.envs = envs
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self) -> Any:
        seeds = None if None in self._seeds else self._seeds
        observations, _ = self.envs.reset(seed=seeds, options=self._options[0])
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observations, rewards, terminated, truncated, infos = self.envs.step(self._actions)
        dones = terminated | truncated
        extras: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(dones):
            extras[i]["terminal_observation"] = infos["final_obs"][i]
            extras[i]["TimeLimit.truncated"] = bool(truncated[i] and not terminated[i])
            if "episode" in infos and infos["_episode"][i]:
                extras[i]["episode"] = {key: value[i].item() for key, value in infos["episode"].items()}
        return observations, rewards, dones, extras

    def close(self) -> None:
        self.envs.close()

    def get_images(self) -> Sequence[np.ndarray]:
        return self.envs.render()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.envs, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError(f"set_attr({attr_name!r}): the environments of a batch share their attributes")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        result = getattr(self.envs, method_name)(*args, **kwargs)
        return [result for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Any = None) -> list[bool]:
        return [False for _ in self._get_indices(indices)]
