"""Q-networks: encoders for images and vectors, goal conditioning, value heads. torch only; no config, no replay."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from agents.learning.branches import BranchLayout
from bridge import ObsSpec

#: (channels, kernel, stride) of each convolution.
ENCODERS = {
    "nature": ((32, 8, 4), (64, 4, 2), (64, 3, 1)),  # Mnih et al. 2015
    "simple": ((16, 8, 4), (32, 4, 2)),  # ML-Agents' vis_encode_type "simple"
    "minatar": ((16, 3, 1),),  # Young and Tian 2019, for images of ten by ten cells
    "small": ((16, 4, 2), (32, 4, 2)),  # for images of about 40 pixels, such as a halved GridWorld
    "keypoints": ((32, 4, 4), (32, 3, 1)),  # ends in a SpatialSoftmax
}
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "elu": nn.ELU}


class RunningNorm(nn.Module):
    """Scales an observation by the running mean and deviation of what `update` has seen, clipped to +-`LIMIT`.

    Statistics are of each element of vectors [N, size], or of each channel of images [N, size, H, W].
    """

    EPS = 1e-8
    LIMIT = 10.0

    mean: Tensor
    var: Tensor
    count: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("var", torch.ones(size))
        self.register_buffer("count", torch.tensor(0))  # rows; a float would stop at 2^24

    @torch.no_grad()
    def update(self, values: Tensor) -> None:
        """Takes in the values of N rows (Chan et al. 1979, parallel variance)."""
        rows = len(values)
        if rows == 0:
            return
        dims = [0, *range(2, values.ndim)]
        spread, mean = torch.var_mean(values.float(), dims, correction=0)
        total = self.count + rows
        delta = mean - self.mean
        both = spread * rows + self.var * self.count
        self.var.copy_((both + delta.square() * self.count * rows / total) / total)
        self.mean.add_(delta * rows / total)
        self.count.copy_(total)

    def forward(self, values: Tensor) -> Tensor:
        # Batch normalisation with given statistics is this very formula, in one pass.
        normalized = nn.functional.batch_norm(values.float(), self.mean, self.var, eps=self.EPS)
        return normalized.clamp_(-self.LIMIT, self.LIMIT)


class SpatialSoftmax(nn.Module):
    """Where each channel is active: the mean position under a softmax over its pixels (Levine et al. 2016, section
    5.2; Finn et al. 2016, arXiv 1509.06113), with a learned sharpness per channel.

    Every channel also has a learned direction that it prefers: of several things that look alike, whose mean position
    would be that of none, each channel can so see another one.

    [batch, C, H, W] -> [batch, 2C]: the rows of all channels, then their columns, -1 to 1.
    """

    positions: Tensor

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width
        self.sharpness = nn.Parameter(torch.ones(channels))
        self.direction = nn.Parameter(torch.randn(channels, 2))  # down, right
        rows, columns = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
        self.register_buffer("positions", torch.stack([rows.flatten(), columns.flatten()], dim=1), persistent=False)

    @property
    def preference(self) -> Tensor:
        """What each channel's direction adds to its pixels, [C, H * W]."""
        return self.direction @ self.positions.T

    def forward(self, features: Tensor) -> Tensor:
        attention = (features.flatten(2) * self.sharpness[:, None] + self.preference).softmax(dim=2)
        return (attention @ self.positions).transpose(1, 2).flatten(1)


class QNetwork(nn.Module):
    """Observations to the Q-values of all branches, side by side: [batch, total].

    Args:
        observations: what it is given, in this order. Images are uint8 [batch, C, H, W], vectors float32 [batch, D].
        branches: number of actions of each branch; several are decoupled heads (DecQN, arXiv 2210.12566).
        encoder: a name of `ENCODERS`, for images.
        goal: `gate`: the image enters once per element of the goal, multiplied by it, on channels, and the goal goes
            nowhere else; `product`: the same with the encoded image instead of the image; `concat`: the goal joins the
            other vectors after the encoder.
        hidden: units of the fully connected layers.
        dueling: state value plus advantages centred per branch (arXiv 1511.06581; BDQ, arXiv 1711.08946).
        normalize: images and vectors, but not goals, pass a `RunningNorm`; otherwise images are scaled to 0..1.

    Attributes:
        images, goals: the indices of these observations.
        vectors: the indices of those that join the encoded images as they are.

    Raises:
        ValueError: an image too small for the encoder, or a goal to multiply with but no image.
    """

    def __init__(
        self,
        observations: Sequence[ObsSpec],
        branches: tuple[int, ...],
        *,
        encoder: str,
        goal: str,
        hidden: tuple[int, ...],
        activation: str,
        layer_norm: bool,
        dueling: bool,
        normalize: bool,
    ) -> None:
        super().__init__()
        self.observations = tuple(observations)
        self.images = [i for i, item in enumerate(observations) if item.kind == "image"]
        self.goals = [i for i, item in enumerate(observations) if item.kind == "vector" and item.is_goal]
        plain = [i for i, item in enumerate(observations) if item.kind == "vector" and not item.is_goal]
        self.goal = goal if self.goals else "concat"
        if self.goal != "concat" and not self.images:
            raise ValueError(
                f"network.goal {goal} multiplies an image with the goal, but there is no image; use concat."
            )
        self.vectors = sorted(plain + self.goals) if self.goal == "concat" else plain
        copies = 1 if self.goal == "concat" else sum(observations[i].shape[0] for i in self.goals)
        self.encoders = nn.ModuleList(
            _conv_encoder(observations[i].shape, copies if goal == "gate" else 1, encoder, ACTIVATIONS[activation])
            for i in self.images
        )
        normalized = sorted(self.images + plain) if normalize else []
        self.norms = nn.ModuleDict({str(i): RunningNorm(observations[i].shape[0]) for i in normalized})
        width = sum(_encoded_size(observations[i].shape, encoder) for i in self.images)
        width *= copies if self.goal == "product" else 1
        width += sum(observations[i].shape[0] for i in self.vectors)
        self.body = _mlp(width, hidden, ACTIVATIONS[activation], layer_norm)
        last = hidden[-1] if hidden else width
        layout = BranchLayout(branches)
        self.advantage = nn.Linear(last, layout.total)
        self.value = nn.Linear(last, 1) if dueling else None
        # [total, total]: from advantages to the mean of each one's branch
        centre = torch.zeros(layout.total, layout.total)
        for start, size in zip(layout.offsets, layout.sizes, strict=True):
            centre[start : start + size, start : start + size] = 1.0 / size
        self.register_buffer("centre", centre, persistent=False)

    def forward(self, obs: Sequence[Tensor]) -> Tensor:
        parts = [self._encoded(obs, index, encode) for index, encode in zip(self.images, self.encoders, strict=True)]
        parts += [self.norms[str(i)](obs[i]) if str(i) in self.norms else obs[i] for i in self.vectors]
        features = self.body(parts[0] if len(parts) == 1 else torch.cat(parts, dim=1))
        advantage: Tensor = self.advantage(features)
        if self.value is None:
            return advantage
        value: Tensor = self.value(features)
        return value + advantage - advantage @ self.centre  # type: ignore[operator]

    def update_norms(self, obs: Sequence[Tensor]) -> None:
        """Running statistics take in new observations."""
        for index, norm in self.norms.items():
            norm.update(obs[int(index)])  # type: ignore[operator]

    def _encoded(self, obs: Sequence[Tensor], index: int, encode: nn.Module) -> Tensor:
        name = str(index)
        image = self.norms[name](obs[index]) if name in self.norms else obs[index].float() * (1.0 / 255.0)
        if self.goal == "gate":
            image = (self._goal_of(obs)[:, :, None, None, None] * image[:, None]).flatten(1, 2)  # [batch, G * C, H, W]
        features: Tensor = encode(image)
        if self.goal == "product":
            features = (self._goal_of(obs)[:, :, None] * features[:, None]).flatten(1)  # [batch, G * features]
        return features

    def _goal_of(self, obs: Sequence[Tensor]) -> Tensor:
        return torch.cat([obs[i] for i in self.goals], dim=1)  # [batch, G]


def summary(network: nn.Module) -> str:
    """One line per layer with parameters, and their total."""
    rows = []
    for name, module in network.named_modules():
        count = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        if count:
            rows.append((name, str(module), count))
    width = max(len(name) for name, _, _ in rows)
    lines = [f"{name:<{width}}  {count:>10,}  {text}" for name, text, count in rows]
    return "\n".join([*lines, f"{'total':<{width}}  {sum(count for _, _, count in rows):>10,}  parameters"])


def _encoded_shape(shape: tuple[int, ...], encoder: str) -> tuple[int, int, int]:
    """Of the last convolution's output."""
    _, height, width = shape
    for _, kernel, stride in ENCODERS[encoder]:
        height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
        if height < 1 or width < 1:
            raise ValueError(
                f"an image of {shape[1]}x{shape[2]} pixels is too small for the encoder {encoder!r}; "
                "enlarge the sensor's resolution."
            )
    return ENCODERS[encoder][-1][0], height, width


def _encoded_size(shape: tuple[int, ...], encoder: str) -> int:
    channels, height, width = _encoded_shape(shape, encoder)
    return 2 * channels if encoder == "keypoints" else channels * height * width


def _conv_encoder(shape: tuple[int, ...], copies: int, encoder: str, activation: type[nn.Module]) -> nn.Sequential:
    last = _encoded_shape(shape, encoder)
    layers: list[nn.Module] = []
    channels = shape[0] * copies
    for size, kernel, stride in ENCODERS[encoder]:
        layers += [nn.Conv2d(channels, size, kernel, stride), activation()]
        channels = size
    if encoder == "keypoints":
        layers[-1] = SpatialSoftmax(*last)  # which needs no activation before it
    else:
        layers.append(nn.Flatten())
    return nn.Sequential(*layers)


def _mlp(width: int, hidden: tuple[int, ...], activation: type[nn.Module], layer_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for units in hidden:
        layers.append(nn.Linear(width, units))
        if layer_norm:
            layers.append(nn.LayerNorm(units))
        layers.append(activation())
        width = units
    return nn.Sequential(*layers)
