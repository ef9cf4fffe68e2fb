"""A recipe and its protocol, small enough for tests, and networks small enough for it; two of them fail."""

RECIPE = """
    epochs: 3
    batch_size: 32
    optimizer: {name: adam, lr: 0.01, betas: [0.9, 0.999], eps: 1.0e-8, weight_decay: 0.0}
    learning_rate_steps: {factor: 0.1, after_epochs: [2]}
    augmentation: {scale: [0.5, 2.0], centre: 14.5}
    select: best-validation
    precision: float32
    data: {train_images: 80, validation_images: 50, test_images: 60}
"""

TINY = f"""
name: tiny
summary: a few images, for tests
smoke: true
realizations: [0]
recipes:
  mnist-scale-*:{RECIPE}"""

PLUGIN = """
import random

import models
import numpy
import torch
from torch import nn


@models.register("tiny-net", tasks="mnist-scale-*")
def tiny_net(task):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 10))


class Noisy(nn.Module):
    "Draws from numpy's and Python's generators, as a stranger's layer may."

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(784, 10)

    def forward(self, images):
        noise = torch.from_numpy(numpy.random.standard_normal(10)).float() + random.gauss(0, 1)
        return self.layer(images.flatten(1)) + self.training * noise.to(images.device)


@models.register("random-net", tasks="mnist-scale-*")
def random_net(task):
    return Noisy()


class Fails(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how, self.layer = how, nn.Linear(784, 10)

    def forward(self, images):
        if self.how == "raises":
            raise RuntimeError("no such luck\\nsecond line | <b>")
        return self.layer(images.flatten(1)) * float("nan")


@models.register("raises-net", tasks="mnist-scale-28")
def raises_net(task):
    return Fails("raises")


@models.register("nan-net", tasks="mnist-scale-28")
def nan_net(task):
    return Fails("nan")
"""
