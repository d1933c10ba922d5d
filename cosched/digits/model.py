"""The data and the networks of the main job, which its config names as ``cosched.digits.ConvNet`` and so on."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from cosched import Group


def digits(val_fraction: float, seed: int) -> tuple[TensorDataset, TensorDataset]:
    """A training and a validation set, stratified by class: images (1, 8, 8) in [0, 1] and labels from 0 to 9."""
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    labels = torch.tensor(labels)
    train, val = train_test_split(torch.arange(len(labels)), test_size=val_fraction, stratify=labels, random_state=seed)
    return TensorDataset(images[train], labels[train]), TensorDataset(images[val], labels[val])


class ConvNet(nn.Module):
    """Two convolutions, ``base``, and a linear classifier, ``fc``; images (N, 1, 8, 8) to logits (N, 10)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.base = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.BatchNorm2d(2 * channels),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.fc = nn.Linear(2 * channels * 16, 10)

    def forward(self, images: Tensor) -> Tensor:  # noqa: D102
        logits: Tensor = self.fc(self.base(images))
        return logits


class ResidualNet(nn.Module):
    """Many residual blocks of width 64, ``backbone``, and a linear classifier, ``head``; as `ConvNet` outside."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.backbone = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(64), nn.Linear(64, 64), nn.GELU()) for _ in range(blocks)
        )
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:  # noqa: D102
        features = images.flatten(1)
        for block in self.backbone:
            features = features + block(features)
        logits: Tensor = self.head(features)
        return logits


def layerwise(model: ResidualNet, lr: float, decay: float) -> list[Group]:
    """Named parameter groups, one per block and one for the head; learning rates decay with the distance from it."""
    modules = {f"backbone.{i}": block for i, block in enumerate(model.backbone)} | {"head": model.head}
    return [
        {"params": list(module.parameters()), "name": name, "lr": lr * decay ** (len(modules) - 1 - i)}
        for i, (name, module) in enumerate(modules.items())
    ]
