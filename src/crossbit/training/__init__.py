"""Training: the plan, the loop, its progress."""

from crossbit.training.loop import train

__all__ = ["train"]
