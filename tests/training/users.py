"""Networks as people write them, for tests: ordinary modules that know nothing of being fused."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Shape = tuple[int, ...]


class SkipNet(nn.Module):
    """A skip connection, functional activations, and a Dropout that is declared last."""

    def __init__(self, input_shape: Shape, n_classes: int, units: int = 16) -> None:
        super().__init__()
        self.first = nn.Linear(math.prod(input_shape), units)
        self.second = nn.Linear(units, units)
        self.last = nn.Linear(units, n_classes)
        self.early = nn.Dropout(0.2)
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x.flatten(1)))
        x = x + torch.relu(self.second(self.drop(x)))
        return self.last(self.early(x))  # type: ignore[no-any-return]


class Gated(nn.Module):
    """Halves of a layer's outputs, multiplied."""

    def __init__(self, input_shape: Shape, n_classes: int, width: int = 9) -> None:
        super().__init__()
        self.hidden = nn.Linear(math.prod(input_shape), 2 * width)
        self.out = nn.Linear(2 * width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.hidden(x.view(len(x), -1)).chunk(2, dim=1)
        gated = torch.tanh(a) * torch.sigmoid(b)
        return self.out(torch.cat([gated, a - 0.5 * b], dim=1))  # type: ignore[no-any-return]


class Block(nn.Module):
    """As torchvision's BasicBlock: in place, with a convolution in the shortcut."""

    def __init__(self, n_inputs: int, n_outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_inputs, n_outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(n_outputs, n_outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_outputs)
        self.downsample = None
        if stride != 1 or n_inputs != n_outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(n_inputs, n_outputs, 1, stride, bias=False), nn.BatchNorm2d(n_outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)  # type: ignore[no-any-return]


class SmallResNet(nn.Module):
    """A residual network as in torchvision, with strides, a 1 x 1 shortcut and global pooling."""

    def __init__(self, input_shape: Shape, n_classes: int, channels: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(input_shape[0], channels, 3, padding="same", bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = nn.Sequential(Block(channels, channels, 1), Block(channels, 2 * channels, 2))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.drop = nn.Dropout(0.1)
        self.fc = nn.Linear(2 * channels, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.bn(self.stem(x))))
        x = self.avgpool(self.layer1(x))
        x = torch.flatten(x, 1)
        return self.fc(self.drop(x))  # type: ignore[no-any-return]


class LeNet(nn.Module):
    """Functional pooling, a view by sizes, odd kernels."""

    def __init__(self, input_shape: Shape, n_classes: int, channels: int = 5) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(input_shape[0], channels, (3, 2), padding=(1, 0))
        self.conv2 = nn.Conv2d(channels, 2 * channels, 3, dilation=(1, 2), padding=(1, 2))
        self.fc1 = nn.Linear(2 * channels * 4 * 3, 12)
        self.fc2 = nn.Linear(12, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.gelu(self.conv1(x)), (2, 2), stride=2)
        x = F.elu(self.conv2(x), alpha=0.5)
        x = x.view(x.size(0), x.shape[1] * x.shape[2] * x.shape[3])
        return self.fc2(F.leaky_relu(self.fc1(x), 0.2))  # type: ignore[no-any-return]


class Pools(nn.Module):
    """Overlapping means, means over parts, group norm, grouped convolution, means over places."""

    def __init__(self, input_shape: Shape, n_classes: int, channels: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(input_shape[0], channels, 3)
        self.norm = nn.GroupNorm(2, channels)
        self.depthwise = nn.Conv2d(channels, 2 * channels, 3, groups=channels, padding=1)
        self.pool = nn.AvgPool2d(3, 1, padding=1)
        self.parts = nn.AdaptiveAvgPool2d((3, 2))
        self.over = nn.LayerNorm([2 * channels, 3, 2])
        self.last = nn.Linear(2 * channels, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.norm(self.conv(x)))
        x = self.parts(self.pool(self.depthwise(x)))
        return self.last(self.over(x).mean((2, 3)))  # type: ignore[no-any-return]


class Sequence(nn.Module):
    """Convolutions along a sequence, with norms of features and of channels."""

    def __init__(self, input_shape: Shape, n_classes: int, channels: int = 4) -> None:
        super().__init__()
        self.embed = nn.Linear(math.prod(input_shape), 24)
        self.norm = nn.LayerNorm(24)
        self.conv = nn.Conv1d(2, channels, 3, stride=2, padding=1)
        self.bn = nn.BatchNorm1d(channels)
        self.pool = nn.MaxPool1d(2)
        self.mean = nn.AvgPool1d(3, stride=1)
        self.last = nn.Linear(channels, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.embed(x.flatten(1))).reshape(-1, 2, 12)
        x = self.mean(self.pool(self.bn(self.conv(x)).relu()))
        return self.last(x.squeeze(2))  # type: ignore[no-any-return]


def norms(input_shape: Shape, n_classes: int, norm: str = "layer") -> nn.Sequential:
    """A perceptron with layer or group norm; one without gamma and beta."""
    first: nn.Module = nn.LayerNorm(18) if norm == "layer" else nn.GroupNorm(3, 18)
    second: nn.Module = nn.LayerNorm(8, elementwise_affine=False)
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(input_shape), 18),
        first,
        nn.GELU(),
        nn.Dropout(0.1),
        nn.Linear(18, 8),
        second if norm == "layer" else nn.GroupNorm(4, 8, affine=False),
        nn.Tanh(),
        nn.Linear(8, n_classes),
    )


def activations(input_shape: Shape, n_classes: int) -> nn.Sequential:
    """Those that models of hpsuite's own do not have."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(input_shape), 11),
        nn.SELU(inplace=True),
        nn.Linear(11, 10),
        nn.Mish(),
        nn.Linear(10, 9),
        nn.Hardswish(),
        nn.Linear(9, 12),
        nn.ReLU6(),
        nn.Linear(12, n_classes),
    )
