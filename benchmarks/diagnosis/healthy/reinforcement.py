"""Policy gradients, whose loss says little."""

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.diagnosis.healthy.generative import perceptron
from benchmarks.diagnosis.healthy.modules import Task, task
from benchmarks.diagnosis.healthy.registry import healthy
from benchmarks.diagnosis.networks import lenet
from benchmarks.diagnosis.training import Run


class Bandit(Task):
    """Is told for each image only whether the class it drew is the right one."""

    def __init__(self, size: int) -> None:
        super().__init__(lr=2e-3)
        self.policy = lenet(size)

    def loss(self, batch: Any) -> Tensor:
        """Returns the loss whose gradient is that of the expected reward."""
        drawn = torch.distributions.Categorical(logits=self.policy(batch[0]))
        action = drawn.sample()
        reward = (action == batch[1]).float()
        self.log("reward", reward.mean())
        return -((reward - reward.mean()) * drawn.log_prob(action)).mean() - 0.01 * drawn.entropy().mean()


class Pole:
    """A pole on a cart that is pushed left or right.

    Reference: Barto, Sutton and Anderson, "Neuronlike adaptive elements that can solve difficult learning control
    problems", IEEE Transactions on Systems, Man, and Cybernetics 13 (1983).
    """

    def __init__(self) -> None:
        self.state = (0.1 * torch.rand(4) - 0.05).tolist()

    def push(self, right: int) -> bool:
        """Moves on by 0.02 seconds; returns whether the pole still stands."""
        place, speed, angle, turning = self.state
        force = (10.0 if right else -10.0) + 0.05 * turning**2 * math.sin(angle)
        shared = force / 1.1
        turn = (9.8 * math.sin(angle) - math.cos(angle) * shared) / (0.5 * (4 / 3 - 0.1 * math.cos(angle) ** 2 / 1.1))
        push = shared - 0.05 * turn * math.cos(angle) / 1.1
        self.state = [place + 0.02 * speed, speed + 0.02 * push, angle + 0.02 * turning, turning + 0.02 * turn]
        return abs(self.state[0]) < 2.4 and abs(self.state[2]) < 0.21


class Balance(pl.LightningModule):
    """REINFORCE on `Pole`, optimized by hand; a step is two episodes of up to 100 pushes."""

    automatic_optimization = False

    def __init__(self) -> None:
        super().__init__()
        self.policy = perceptron(4, 32, 2)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Plays and makes a step."""
        likelihoods, returns = [], []
        for _ in range(2):
            pole, count = Pole(), 0
            while count < 100:
                drawn = torch.distributions.Categorical(logits=self.policy(torch.tensor(pole.state)))
                action = drawn.sample()
                likelihoods.append(drawn.log_prob(action))
                count += 1
                if not pole.push(int(action)):
                    break
            returns += [(1 - 0.97**left) / 0.03 for left in range(count, 0, -1)]
        gains = torch.tensor(returns)
        loss = -(torch.stack(likelihoods) * (gains - gains.mean()) / (gains.std() + 1e-6)).mean()
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.log_dict({"train_loss": loss, "pushes": len(returns) / 2})

    def configure_optimizers(self) -> Any:
        """Returns Adam."""
        return torch.optim.Adam(self.parameters(), lr=1e-2)


@healthy("contextual bandit", "lenet", "digits")
def bandit() -> Run:
    run = task(Bandit(8), "digits", batch_size=32)
    run.options["max_epochs"] = 10
    return run


@healthy("pole on a cart", "perceptron", "pole")
def pole() -> Run:
    return Run(Balance(), DataLoader(TensorDataset(torch.zeros(120, 1)), 1), None, {"max_epochs": 1})
