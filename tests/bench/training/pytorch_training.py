#!/usr/bin/env python3
"""Training as a plain PyTorch script does it: what retort_training_bench is compared with.

    pytorch_training.py step BASE BLOCKS STEPS THREADS      prints the mean seconds of a step

A step: 128 windows of 200 samples drawn from a resident tensor, cross-entropy, gradients, clipping, Adam, one-cycle.
"""
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

BATCH, SAMPLES, CLASSES = 128, 200, 180


def same_padding(x, kernel, stride):
    out = -(-x.shape[-1] // stride)
    pad = max((out - 1) * stride + kernel - x.shape[-1], 0)
    return F.pad(x, (pad // 2, pad - pad // 2))


class Conv(nn.Module):
    def __init__(self, channels, outputs, kernel, stride=1):
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv = nn.Conv1d(channels, outputs, kernel, stride)

    def forward(self, x):
        return self.conv(same_padding(x, self.kernel, self.stride))


class Block(nn.Module):
    def __init__(self, channels, outputs, kernel, stride, first, dropout):
        super().__init__()
        self.stride, self.added, self.dropout = stride, outputs - channels, dropout
        self.norm1 = None if first else nn.BatchNorm1d(channels)
        self.conv1 = Conv(channels, outputs, kernel, stride)
        self.norm2 = nn.BatchNorm1d(outputs)
        self.conv2 = Conv(outputs, outputs, kernel)

    def forward(self, x):
        h = x
        if self.norm1 is not None:
            h = F.dropout(F.relu(self.norm1(h)), self.dropout, self.training)
        h = self.conv1(h)
        h = self.conv2(F.dropout(F.relu(self.norm2(h)), self.dropout, self.training))
        if self.stride > 1:
            x = F.max_pool1d(same_padding(x, self.stride, self.stride), self.stride)
        if self.added:
            x = F.pad(x, (0, 0, self.added // 2, self.added - self.added // 2))
        return h + x


class ResNet(nn.Module):
    """resnet1d of the sweep files, with the defaults of kernel, stride, downsample_every and widen_every."""

    def __init__(self, base, blocks, dropout=0.0, kernel=5):
        super().__init__()
        self.stem, self.norm = Conv(1, base, kernel), nn.BatchNorm1d(base)
        layers, channels = [], base
        for b in range(blocks):
            outputs = channels * 2 if b > 0 and b % 4 == 0 else channels
            layers.append(Block(channels, outputs, kernel, 2 if b % 2 == 1 else 1, b == 0, dropout))
            channels = outputs
        self.blocks = nn.ModuleList(layers)
        self.last, self.head = nn.BatchNorm1d(channels), nn.Linear(channels, CLASSES)

    def forward(self, x):
        """Logits and features."""
        x = F.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        features = F.relu(self.last(x)).mean(2)
        return self.head(features), features


def seconds_of_a_step(base, blocks, steps):
    windows, classes = torch.randn(4096, 1, SAMPLES), torch.randint(0, CLASSES, (4096,))
    model = ResNet(base, blocks)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps + 4)
    for i in range(steps + 3):
        if i == 3:  # the first ones allocate
            begin = time.perf_counter()
        batch = torch.randint(0, 4096, (BATCH,))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(windows[batch])[0], classes[batch])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        loss.item()
    return (time.perf_counter() - begin) / steps


if __name__ == "__main__":
    command, base, blocks, steps, threads = sys.argv[1], *map(int, sys.argv[2:6])
    assert command == "step", __doc__
    torch.set_num_threads(threads)
    print(seconds_of_a_step(base, blocks, steps))
