"""Makes a checkpoint as PyTorch users have them, and what its network says of random windows.

Usage: make_checkpoint.py CHECKPOINT.pt EXPECTED.safetensors BASE BLOCKS. The network is written here after the published
resnet1d (github.com/hsd1503/resnet1d): same padding by a wrapped convolution, a bn1 in the first block that is never used.
"""
import os
import sys

import torch
import torch.nn.functional as F
from torch import nn

sys.path.append(os.path.join(os.path.dirname(__file__), "../../../client/teachers"))
from import_resnet1d import save  # noqa: E402


def pad_same(x, kernel, stride):
    out = -(-x.shape[-1] // stride)
    pad = max(0, (out - 1) * stride + kernel - x.shape[-1])
    return F.pad(x, (pad // 2, pad - pad // 2))


class Conv(nn.Module):
    def __init__(self, n_in, n_out, kernel, stride):
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv = nn.Conv1d(n_in, n_out, kernel, stride)

    def forward(self, x):
        return self.conv(pad_same(x, self.kernel, self.stride))


class Block(nn.Module):
    def __init__(self, n_in, n_out, stride, first):
        super().__init__()
        self.n_in, self.n_out, self.stride, self.first = n_in, n_out, stride, first
        self.bn1 = nn.BatchNorm1d(n_in)
        self.conv1 = Conv(n_in, n_out, 5, stride)
        self.bn2 = nn.BatchNorm1d(n_out)
        self.conv2 = Conv(n_out, n_out, 5, 1)

    def forward(self, x):
        out = x if self.first else F.relu(self.bn1(x))
        out = self.conv2(F.relu(self.bn2(self.conv1(out))))
        if self.stride > 1:
            x = F.max_pool1d(pad_same(x, self.stride, 1), self.stride)
        if self.n_out != self.n_in:
            more = self.n_out - self.n_in
            x = F.pad(x, (0, 0, more // 2, more - more // 2))
        return out + x


class Net(nn.Module):
    def __init__(self, base, blocks):
        super().__init__()
        self.first_block_conv = Conv(1, base, 5, 1)
        self.first_block_bn = nn.BatchNorm1d(base)
        self.basicblock_list = nn.ModuleList()
        channels = base
        for i in range(blocks):
            out = 2 * channels if i > 0 and i % 4 == 0 else channels
            self.basicblock_list.append(Block(channels, out, 2 if i % 2 == 1 else 1, i == 0))
            channels = out
        self.final_bn = nn.BatchNorm1d(channels)
        self.dense = nn.Linear(channels, 180)

    def forward(self, x):
        x = F.relu(self.first_block_bn(self.first_block_conv(x)))
        for block in self.basicblock_list:
            x = block(x)
        return self.dense(F.relu(self.final_bn(x)).mean(-1))


torch.manual_seed(3)
net = Net(int(sys.argv[3]), int(sys.argv[4]))
windows = torch.randn(8, 1, 200)
with torch.no_grad():
    for _ in range(5):  # norms that have seen something
        net(torch.randn(16, 1, 200))
    net.eval()
    logits = net(windows)
torch.save({"state_dict": net.state_dict(), "epoch": 5}, sys.argv[1])
save(sys.argv[2], {"windows": windows.numpy(), "logits": logits.numpy()}, {})
