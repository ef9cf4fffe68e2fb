"""What tests on a GPU need."""

import pytest
import torch


@pytest.fixture
def without_tf32(monkeypatch):
    """For one test, float32 is float32: torch's own default for convolutions is TF32."""
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
