"""For trainers that know neither Dict observations nor VPT's action space: one picture, one MultiDiscrete action.

    env = FactoredAction(ImageObservation(gym.make("MineStudio/KillCow-v0")))
    envs = VectorFactoredAction(VectorImageObservation(gym.make_vec("MineStudio/KillCow-v0", num_envs=8)))

Nothing is lost: every joint action is one choice of the eleven factors (``actions.FACTORS``).
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import MultiDiscrete
from gymnasium.vector.utils import batch_space

from minestudio_envs.actions import FACTORS, factored_to_joint

__all__ = ["FactoredAction", "ImageObservation", "VectorFactoredAction", "VectorImageObservation"]


def _check(env: gym.Env | gym.vector.VectorEnv, action_space: gym.Space) -> None:
    if set(getattr(action_space, "keys", tuple)()) != {"buttons", "camera"}:
        raise ValueError(f"{env} has no joint actions to factor: it needs action_type='agent'")


class FactoredAction(gym.ActionWrapper, gym.utils.RecordConstructorArgs):
    """Actions are ``MultiDiscrete([11, 3, 3, 3, 2, 2, 2, 2, 2, 11, 11])``.

    In order: hotbar (0 none, 1-9, 10 inventory, which excludes all other buttons), forward / back, left / right,
    sprint / sneak, use, drop, attack, jump, whether the camera moves, and its pitch and yaw bin (5: straight on).
    """

    def __init__(self, env: gym.Env):
        gym.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env)
        _check(env, env.action_space)
        self.action_space = MultiDiscrete(FACTORS)

    def action(self, action: np.ndarray) -> dict[str, np.ndarray]:
        buttons, camera = factored_to_joint(np.asarray(action)[None])
        return {"buttons": buttons, "camera": camera}


class VectorFactoredAction(gym.vector.VectorActionWrapper, gym.utils.RecordConstructorArgs):
    """FactoredAction of a batch: integers [N, 11], NumPy arrays or torch tensors as the environment's."""

    def __init__(self, env: gym.vector.VectorEnv):
        gym.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env)
        _check(env, env.single_action_space)
        self.single_action_space = MultiDiscrete(FACTORS)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def actions(self, actions: Any) -> dict[str, Any]:
        buttons, camera = factored_to_joint(actions)
        return {"buttons": buttons, "camera": camera}


class ImageObservation(gym.ObservationWrapper, gym.utils.RecordConstructorArgs):
    """Observations are the image alone: ``Box(0, 255, (height, width, 3), uint8)``."""

    def __init__(self, env: gym.Env):
        gym.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env)
        self.observation_space = env.observation_space["image"]

    def observation(self, observation: dict[str, Any]) -> np.ndarray:
        return observation["image"]


class VectorImageObservation(gym.vector.VectorWrapper, gym.utils.RecordConstructorArgs):
    """ImageObservation of a batch: uint8 [N, height, width, 3]; in ``final_obs`` too."""

    def __init__(self, env: gym.vector.VectorEnv):
        gym.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env)
        self.single_observation_space = env.single_observation_space["image"]
        self.observation_space = env.observation_space["image"]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        observations, infos = self.env.reset(seed=seed, options=options)
        return observations["image"], infos

    def step(self, actions: Any):
        observations, *results, infos = self.env.step(actions)
        final = infos.get("final_obs", ())
        for i, observation in enumerate(final):
            if observation is not None:
                final[i] = observation["image"]
        return observations["image"], *results, infos
