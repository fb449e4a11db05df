"""Q-networks against obvious references."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agents.learning.networks import QNetwork, RunningNorm, SpatialSoftmax, summary
from agents.settings.config import build_config
from agents.settings.presets import load_preset
from bridge import ObsSpec

PICTURE = ObsSpec("picture", "image", (3, 64, 84))
GOAL = ObsSpec("goal", "vector", (2,), is_goal=True)
VECTOR = ObsSpec("vector", "vector", (5,))

PLAIN: dict[str, Any] = {
    "encoder": "simple",
    "goal": "concat",
    "hidden": (16,),
    "activation": "relu",
    "layer_norm": False,
    "dueling": False,
    "normalize": False,
}


def make(*observations: ObsSpec, branches: tuple[int, ...] = (4,), **settings: Any) -> QNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return QNetwork(observations, branches, **{**PLAIN, **settings})


def pictures(batch: int = 3, shape: tuple[int, ...] = (3, 64, 84)) -> Tensor:
    return torch.as_tensor(np.random.default_rng(0).integers(0, 256, (batch, *shape)), dtype=torch.uint8)


def vectors(batch: int = 3, size: int = 5) -> Tensor:
    return torch.as_tensor(np.random.default_rng(1).normal(size=(batch, size)), dtype=torch.float32)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


class CourseNetwork(nn.Module):
    """The course's network on GridWorld, written as plainly as can be."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(6, 32, 8, 4)
        self.conv2 = nn.Conv2d(32, 64, 4, 2)
        self.conv3 = nn.Conv2d(64, 64, 3, 1)
        self.fc = nn.Linear(64 * 4 * 7, 512)
        self.q = nn.Linear(512, 4)

    def forward(self, image: Tensor, goal: Tensor) -> Tensor:
        states = [
            torch.cat([picture * wanted[0], picture * wanted[1]]) for picture, wanted in zip(image, goal, strict=True)
        ]
        x = torch.stack(states)  # [batch, 6, 64, 84]
        for layer in (self.conv1, self.conv2, self.conv3):
            x = torch.relu(layer(x))
        hidden: Tensor = torch.relu(self.fc(x.reshape(len(x), -1)))
        values: Tensor = self.q(hidden)
        return values


def course_preset() -> QNetwork:
    settings = build_config(load_preset("seed-c")).network
    return make(
        PICTURE,
        GOAL,
        **{name: getattr(settings, name) for name in PLAIN},
    )


def test_the_courses_network_has_its_weights_and_its_values() -> None:
    network, reference = course_preset(), CourseNetwork()
    assert parameters(network) == parameters(reference) == 1_002_148
    with torch.no_grad():
        for mine, theirs in zip(network.parameters(), reference.parameters(), strict=True):
            theirs.copy_(mine)
        image = pictures()
        for goal in (
            torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]),
            torch.tensor([[0.5, -2.0], [0.0, 0.0], [1.0, 1.0]]),
        ):
            torch.testing.assert_close(network([image, goal]), reference(image.float() / 255, goal))


def test_the_gate_goes_by_the_goal_wherever_it_stands_among_the_observations() -> None:
    image, goal = pictures(), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    first, second = make(PICTURE, GOAL, goal="gate"), make(GOAL, PICTURE, goal="gate")
    second.load_state_dict(first.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(second([goal, image]), first([image, goal]))


def test_the_product_multiplies_what_is_encoded() -> None:
    network = make(PICTURE, GOAL, goal="product", hidden=())
    image, goal = pictures(), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, -2.0]])
    with torch.no_grad():
        encoded = network.encoders[0](image.float() / 255)
        both = torch.cat([encoded * goal[:, :1], encoded * goal[:, 1:]], dim=1)
        torch.testing.assert_close(network([image, goal]), network.advantage(both))


@pytest.mark.parametrize("goal", ["gate", "product"])
def test_a_vector_beside_a_multiplied_goal_joins_after_the_encoder(goal: str) -> None:
    network = make(VECTOR, PICTURE, GOAL, goal=goal)
    wanted = torch.tensor([[1.0, 0.0]] * 3)
    with torch.no_grad():
        before = network([vectors(), pictures(), wanted])
        after = network([vectors() + 1, pictures(), wanted])
    assert (before != after).any(dim=1).all()


@pytest.mark.parametrize("goal", ["gate", "product", "concat"])
def test_the_goal_matters(goal: str) -> None:
    network = make(PICTURE, GOAL, goal=goal)
    one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    with torch.no_grad():
        assert (network([pictures(1), one]) != network([pictures(1), other])).any()


def test_pixels_are_scaled_to_one() -> None:
    network = make(ObsSpec("picture", "image", (1, 20, 20)), hidden=())
    seen: list[Tensor] = []
    network.encoders[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    values = torch.tensor([0, 51, 255], dtype=torch.uint8)
    with torch.no_grad():
        network([values[:, None, None, None].expand(3, 1, 20, 20)])
    assert seen[0].dtype == torch.float32
    assert seen[0][:, 0, 0, 0].tolist() == pytest.approx([0.0, 0.2, 1.0])


def test_branches_lie_side_by_side() -> None:
    network = make(VECTOR, branches=(2, 3, 4))
    assert network([vectors()]).shape == (3, 9)


def test_a_network_without_hidden_layers_is_linear() -> None:
    network = make(VECTOR, hidden=())
    with torch.no_grad():
        expected = vectors() @ network.advantage.weight.T + network.advantage.bias
        torch.testing.assert_close(network([vectors()]), expected)


@pytest.mark.parametrize("branches", [(4,), (2, 3), (1, 4, 2)])
def test_dueling_centres_the_advantages_of_each_branch(branches: tuple[int, ...]) -> None:
    network = make(VECTOR, branches=branches, dueling=True)
    assert network.value is not None
    with torch.no_grad():
        features = network.body(vectors())
        values = network([vectors()])
        for part, advantage in zip(
            values.split(branches, dim=1), network.advantage(features).split(branches, dim=1), strict=True
        ):
            torch.testing.assert_close(part.mean(dim=1, keepdim=True), network.value(features))
            centred = advantage - advantage.mean(dim=1, keepdim=True)
            torch.testing.assert_close(part, network.value(features) + centred)


@pytest.mark.parametrize(("activation", "kind"), [("relu", nn.ReLU), ("elu", nn.ELU)])
def test_layers_stand_in_their_order(activation: str, kind: type[nn.Module]) -> None:
    network = make(VECTOR, hidden=(8, 6), activation=activation, layer_norm=True)
    assert [type(layer) for layer in network.body] == [nn.Linear, nn.LayerNorm, kind] * 2
    assert [layer.out_features for layer in network.body if isinstance(layer, nn.Linear)] == [8, 6]
    plain = make(PICTURE, encoder="simple", activation=activation)
    assert [type(layer) for layer in plain.encoders[0]] == [nn.Conv2d, kind, nn.Conv2d, kind, nn.Flatten]


def test_the_running_norm_is_numpys_mean_and_variance() -> None:
    rng = np.random.default_rng(0)
    norm = RunningNorm(3)
    batches = [rng.normal([100.0, -1.0, 0.0], [3.0, 0.01, 50.0], (size, 3)) for size in (1, 7, 0, 2, 100, 1, 30)]
    for batch in batches:
        norm.update(torch.as_tensor(batch, dtype=torch.float32))
    everything = np.concatenate(batches)
    np.testing.assert_allclose(norm.mean, everything.mean(0), rtol=1e-4)
    np.testing.assert_allclose(norm.var, everything.var(0), rtol=1e-3)
    assert norm.count == len(everything)
    values = torch.as_tensor(everything[:5], dtype=torch.float32)
    before = values.clone()
    expected = (everything[:5] - everything.mean(0)) / everything.std(0)
    np.testing.assert_allclose(norm(values), expected, rtol=1e-2, atol=1e-2)
    assert torch.equal(values, before), "what is given is not changed"
    assert norm(torch.full((1, 3), 1e9)).tolist() == [[10.0] * 3]
    assert norm(torch.full((1, 3), -1e9)).tolist() == [[-10.0] * 3]


def test_the_running_norm_of_images_goes_by_channels() -> None:
    norm = RunningNorm(3)
    batches = [pictures(size, (3, 9, 7)) // divisor for size, divisor in ((1, 1), (4, 5), (0, 1), (2, 50))]
    for batch in batches:
        norm.update(batch)
    everything = torch.cat(batches).numpy().astype(np.float64)
    mean, deviation = everything.mean((0, 2, 3)), everything.std((0, 2, 3))
    np.testing.assert_allclose(norm.mean, mean, rtol=1e-4)
    np.testing.assert_allclose(norm.var, deviation**2, rtol=1e-3)
    expected = (everything - mean[:, None, None]) / deviation[:, None, None]
    np.testing.assert_allclose(norm(torch.cat(batches)), expected, rtol=1e-3, atol=1e-3)


def test_a_new_norm_changes_nothing_and_a_constant_number_is_no_division_by_zero() -> None:
    norm = RunningNorm(2)
    torch.testing.assert_close(norm(torch.tensor([[0.5, -2.0]])), torch.tensor([[0.5, -2.0]]))
    norm.update(torch.tensor([[3.0, 4.0]] * 5))
    assert norm(torch.tensor([[3.0, 4.0]])).tolist() == [[0.0, 0.0]]


def test_norms_scale_images_and_vectors_but_no_goals_and_are_saved() -> None:
    observations = (GOAL, VECTOR, ObsSpec("picture", "image", (3, 20, 20)))
    network = make(*observations, normalize=True)
    assert list(network.norms) == ["1", "2"]
    seen = [torch.ones(50, 2), vectors(50) * 7 + 3, pictures(50, (3, 20, 20))]
    network.update_norms(seen)
    again = make(*observations, normalize=True)
    again.load_state_dict(network.state_dict())
    plain = make(*observations)
    plain.load_state_dict(network.state_dict(), strict=False)
    image = seen[2].float()
    scaled_vector = (seen[1] - seen[1].mean(0)) / seen[1].std(0, unbiased=False)
    scaled_image = (image - image.mean((0, 2, 3), keepdim=True)) / image.std((0, 2, 3), keepdim=True, unbiased=False)
    with torch.no_grad():
        expected = plain([seen[0], scaled_vector, scaled_image * 255])
        torch.testing.assert_close(network(seen), expected, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(again(seen), network(seen))


@pytest.mark.parametrize(("encoder", "smallest"), [("simple", 20), ("nature", 36)])
def test_an_image_too_small_is_refused_in_one_sentence(encoder: str, smallest: int) -> None:
    make(ObsSpec("picture", "image", (1, smallest, smallest)), encoder=encoder)
    for shape in ((1, smallest - 1, 84), (1, 84, smallest - 1), (1, 4, 4)):
        with pytest.raises(
            ValueError, match=f"{shape[1]}x{shape[2]} pixels is too small for the encoder '{encoder}'"
        ) as e:
            make(ObsSpec("picture", "image", shape), encoder=encoder)
        assert "\n" not in str(e.value)


@pytest.mark.parametrize("goal", ["gate", "product"])
def test_a_goal_to_multiply_with_needs_an_image(goal: str) -> None:
    with pytest.raises(ValueError, match=f"network.goal {goal} multiplies an image .* use concat"):
        make(VECTOR, GOAL, goal=goal)


@pytest.mark.parametrize(
    "build",
    [
        course_preset,
        lambda: make(VECTOR, hidden=(7, 5), layer_norm=True, dueling=True, normalize=True, branches=(2, 3)),
        lambda: make(VECTOR, hidden=()),
    ],
)
def test_the_summary_adds_up(build: Callable[[], QNetwork]) -> None:
    network = build()
    *layers, total = summary(network).splitlines()
    assert sum(int(line.split()[1].replace(",", "")) for line in layers) == parameters(network)
    assert total.split() == ["total", f"{parameters(network):,}", "parameters"]


# ---- positions instead of pixels


def without_directions(layer: SpatialSoftmax) -> SpatialSoftmax:
    nn.init.zeros_(layer.direction)
    return layer


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 6), (4, 0), (2, 3), (3, 5)])
def test_a_spatial_softmax_says_where_each_channel_is_active(row: int, column: int) -> None:
    features = torch.zeros(2, 3, 5, 7)
    features[1, 2, row, column] = 50.0
    found = without_directions(SpatialSoftmax(3, 5, 7))(features)
    assert found.shape == (2, 6)
    torch.testing.assert_close(found[0], torch.zeros(6))  # everywhere alike: in the middle
    torch.testing.assert_close(found[1, [2, 5]], torch.tensor([row / 2 - 1, column / 3 - 1]))
    torch.testing.assert_close(found[1, [0, 1, 3, 4]], torch.zeros(4))


def test_of_things_that_look_alike_a_channel_sees_the_one_in_its_direction() -> None:
    layer = SpatialSoftmax(3, 5, 7)
    layer.direction.data = torch.tensor([[0.0, 9.0], [-9.0, 0.0], [0.0, 0.0]])  # right, up, none
    features = torch.zeros(1, 3, 5, 7)
    features[..., 0, 1] = features[..., 4, 6] = 50.0
    points = layer(features).reshape(2, 3).T
    first, second = torch.tensor([-1.0, -2 / 3]), torch.tensor([1.0, 1.0])
    torch.testing.assert_close(points, torch.stack([second, first, (first + second) / 2]), atol=1e-4, rtol=0)


def test_what_moves_in_the_image_moves_the_keypoints() -> None:
    """By as much as in the image, whatever the weights, as long as it stays off the borders."""
    encode = make(ObsSpec("square", "image", (1, 42, 42)), encoder="keypoints").encoders[0]
    without_directions(encode[-1])
    images = torch.zeros(3, 1, 42, 42)
    for index, (top, left) in enumerate([(12, 12), (20, 12), (12, 24)]):
        images[index, :, top : top + 4, left : left + 4] = 200.0
    with torch.no_grad():
        points = encode(images).reshape(3, 2, 32)  # [image, row or column, channel]
    moved_down, moved_right = points[1] - points[0], points[2] - points[0]
    assert (moved_down[1].abs() < 1e-4).all()
    assert (moved_right[0].abs() < 1e-4).all()
    torch.testing.assert_close(moved_right[1], moved_down[0] * 1.5, atol=1e-4, rtol=0.01)
