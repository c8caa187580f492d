"""What the training scripts need around the policy and the algorithm: files, checkpoints, logs, films."""
