"""Tiny networks, each with one fault that `bench check` is to find, and one without."""

FAULTY = '''
import os
import time

import models
import numpy
import torch
from torch import nn

CALLS = []
CONSTANT = torch.linspace(0, 1, 784)


class Net(nn.Module):
    def __init__(self, fault=""):
        super().__init__()
        self.fault, self.calls = fault, 0
        self.layer = nn.Linear(784, 12 if fault == "width" else 10)
        if fault == "unused":
            self.unused = nn.Parameter(torch.ones(7))
        if fault == "frozen":
            self.requires_grad_(False)
        if fault == "root":
            self.scale = nn.Parameter(torch.zeros(()))
        if fault == "unseeded":
            nn.init.constant_(self.layer.weight, int.from_bytes(os.urandom(4)) / 2**32)
        if fault == "channels":
            self.convolution = nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, images):
        fault = self.fault
        if fault == "in-place":
            images.mul_(0.5)
        if fault == "channels":
            images = self.convolution(images)
        x = images.flatten(1)
        if fault == "float32":
            x = x.float()
        if fault == "constant":
            x = x * CONSTANT
        if fault == "numbers":
            x = x * torch.tensor([1.0] * 784, device=x.device)
        if fault == "batch":
            x = x - x.mean(dim=0)
        if fault == "global":
            CALLS.append(1)
            x = x * len(CALLS)
        if fault == "attribute":
            self.calls += 1
            x = x * (1 + self.calls)
        if fault == "host":
            x = x * x.mean().item()
        if fault == "numpy" and self.training:
            x = x * numpy.random.rand()
        if fault == "urandom" and self.training:
            x = x * os.urandom(1)[0]
        if fault == "dropout":
            x = nn.functional.dropout(x, training=True)
        if fault == "exits":
            os._exit(3)
        if fault == "loops":
            time.sleep(1000)
        logits = self.layer(x)
        if fault == "root":
            logits = logits + (self.scale * 0).abs().sqrt()
        if fault == "threads" and self.training:
            torch.set_num_threads(torch.get_num_threads() + 1)
        return logits * float("nan") if fault == "nan" else logits


FAULTS = """width nan in-place float32 constant numbers batch global attribute host numpy urandom dropout unused frozen root
unseeded channels threads exits loops""".split()
for fault in FAULTS:
    models.register(f"{fault}-net", tasks="mnist-scale-28*")(lambda task, fault=fault: Net(fault))
models.register("sound-net", tasks="mnist-scale-28*")(lambda task: Net())


@models.register("none-net", tasks="mnist-scale-28")
def none_net(task):
    return None


@models.register("raises-net", tasks="mnist-scale-28")
def raises_net(task):
    return helper(task)


def helper(task):
    raise KeyError("no such luck")
'''
