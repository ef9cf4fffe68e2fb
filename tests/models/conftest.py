"""What tests on a GPU need."""

import pytest
import torch


@pytest.fixture
def without_tf32():
    """For one test, float32 is float32: torch's own default for convolutions is TF32."""
    switches = (torch.backends.cuda.matmul, torch.backends.cudnn)  # properties, which monkeypatch cannot take back
    before = [switch.allow_tf32 for switch in switches]
    for switch in switches:
        switch.allow_tf32 = False
    yield
    for switch, allowed in zip(switches, before, strict=True):
        switch.allow_tf32 = allowed
