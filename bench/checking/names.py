"""The checks in their order: where each is written, and what to do if it raises."""

from __future__ import annotations

CHECKS: dict[str, tuple[str, str, str]] = {  # name -> module, function, what to do
    "builds": ("soundness", "builds", "a builder takes the task's name and returns a new torch.nn.Module"),
    "outputs": ("soundness", "outputs", "images are (N, 1, 28, 28), on stl10+ (N, 3, 96, 96); logits are (N, 10)"),
    "steps": ("soundness", "steps", "a run would fail at the same place"),
    "parameters": ("cost", "parameters", ""),
    "gradients": ("soundness", "gradients", ""),
    "float64": ("soundness", "precision", ""),
    "neighbours": ("soundness", "neighbours", ""),
    "repeats": ("soundness", "repeats", ""),
    "process": ("soundness", "surroundings", ""),
    "host": ("cost", "host", ""),
    "time": ("cost", "step_time", ""),
    "hours": ("cost", "hours", ""),
}
NEEDED = ("builds", "outputs")  # for all that follow
