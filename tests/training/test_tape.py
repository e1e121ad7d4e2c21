"""A tape that is played does what the function does, to the bit, in less memory and fewer calls."""

import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from hpsuite.training.tape import tape


class Watch(TorchDispatchMode):
    """Which kernels ran meanwhile, and the memory that they wrote their results to."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernels: list[str] = []
        self.places: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        self.kernels.append(str(func))
        if isinstance(result, Tensor):
            self.places.add(result.untyped_storage().data_ptr())
        return result


def watched(play: Callable[[], None]) -> Watch:
    with Watch() as watch:
        play()
    return watch


def shifted(a: Tensor, b: Tensor) -> Tensor:
    """New memory, of which a part is set."""
    new = torch.zeros_like(a)
    new[:, 1:3] = b[:, 2:4]
    return new


def doubled(a: Tensor, b: Tensor) -> Tensor:
    """A product of a product."""
    return torch.bmm(torch.bmm(a, b.transpose(1, 2)).clamp(-9, 9), b).tanh()


# Of two tensors [3, 4, 5] a third: views, copies, products, sums, changes in place.
OPERATIONS: list[Callable[[Tensor, Tensor], Tensor]] = [
    lambda a, b: a + b,
    lambda a, _: torch.relu(a),
    lambda a, b: (a * b).tanh(),
    doubled,
    lambda a, _: a.sum(2, keepdim=True).expand(3, 4, 5),
    lambda a, b: a.clone().mul_(0.5).add_(b),
    shifted,
    lambda a, _: torch.ones(3, 4, 5) / 3 - a,
    lambda a, b: torch.cat([a[:, :2], b[:, 2:]], 1),
    lambda a, _: a.transpose(1, 2).contiguous().transpose(1, 2),
    lambda a, b: torch.where(a > b, a, b / 7),
    lambda a, _: torch.nn.functional.pad(a, (1, 2))[:, :, 1:6],
    lambda a, _: torch.log_softmax(a, 1),
    lambda a, b: torch.addcmul(a, b, a[:, :1].tanh(), value=0.5).div(4),
    lambda a, b: a.to(torch.float64).mul(b).to(torch.float32),
]


class Program:
    """A random function of tensors that stay where they are; `seed` decides which."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        generator = torch.Generator().manual_seed(seed)
        self.varying = [torch.randn(3, 4, 5, generator=generator) for _ in range(3)]
        self.constant = [torch.randn(3, 4, 5, generator=generator) for _ in range(2)]
        self.out = torch.zeros(3, 4, 5)
        self.sums = torch.zeros(3)

    def body(self) -> None:
        """Forty operations."""
        choose = random.Random(self.seed)
        pool = [*self.varying, *self.constant]
        made: list[Tensor] = []
        for _ in range(40):
            if made and choose.random() < 0.1:
                choose.choice(made).add_(0.25)  # whatever shares its memory changes too
                continue
            new = choose.choice(OPERATIONS)(choose.choice(pool), choose.choice(pool))
            pool.append(new)
            if 0 not in new.stride():
                made.append(new)
        for value in choose.sample(pool, 4):
            self.out.add_(value.nan_to_num().clamp(-3, 3))
        self.sums.copy_(self.out.sum((1, 2)))
        choose.choice(self.varying).mul_(0.9)

    @property
    def state(self) -> list[Tensor]:
        """All that stays."""
        return [*self.varying, *self.constant, self.out, self.sums]


@pytest.mark.parametrize("first", range(0, 300, 50))
def test_random_functions(first: int) -> None:
    for seed in range(first, first + 50):
        taped, plain = Program(seed), Program(seed)
        plain.body()
        play = tape(taped.body, [*taped.varying, taped.out, taped.sums])
        for step in range(3):
            for a, b in zip(taped.state, plain.state, strict=True):
                assert torch.equal(a, b), (seed, step)
            for a, b in zip(taped.varying, plain.varying, strict=True):
                a.add_(step)  # as others may between two steps
                b.add_(step)
            play()
            plain.body()


def test_gradients_are_played_without_autograd() -> None:
    weight = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    x, moved = torch.randn(3, 2, generator=torch.Generator().manual_seed(2)), torch.zeros(4, 3)

    def body() -> None:
        (grad,) = torch.autograd.grad((weight @ x).tanh().square().sum(), [weight])
        moved.add_(grad)

    def grad_of(w: Tensor, x: Tensor) -> Tensor:
        (grad,) = torch.autograd.grad((w @ x).tanh().square().sum(), [w])
        return grad

    play = tape(body, [x, moved])
    x.mul_(-2)
    moved.zero_()
    play()
    assert torch.equal(moved, grad_of(weight, x))
    assert weight.grad is None


def test_constants_are_made_once() -> None:
    x, scale, out = torch.ones(5), torch.full((5,), 2.0), torch.zeros(5)

    def body() -> None:
        factor = scale.to(torch.float64).sqrt().to(torch.float32)  # of constants alone
        out.copy_(x * factor + torch.arange(5))

    play = tape(body, [x, out])
    assert watched(play).kernels == ["aten.mul.out", "aten.add.out", "aten.copy_.default"]
    x.fill_(3.0)
    play()
    assert torch.equal(
        out, 3 * torch.full((5,), 2.0, dtype=torch.float64).sqrt().float() + torch.arange(5)
    )


def test_what_changes_on_the_way_is_no_constant() -> None:
    x, seen = torch.zeros(2), torch.zeros(2, 2)

    def body() -> None:
        number = torch.ones(2)
        seen[0] = x + number
        number.add_(1)
        seen[1] = x + number

    play = tape(body, [x, seen])
    for value in (0.0, 5.0):
        x.fill_(value)
        play()
        assert seen.tolist() == [[value + 1] * 2, [value + 2] * 2]


def test_what_nobody_needs_is_left_out() -> None:
    x, out = torch.ones(4), torch.zeros(4)

    def body() -> None:
        x.exp().sum()
        out.add_(x)

    assert watched(tape(body, [x, out])).kernels == ["aten.add_.Tensor"]


def test_memory_is_used_again() -> None:
    x, out = torch.ones(8, 8), torch.zeros(8, 8)

    def chain() -> None:
        y = x
        for _ in range(20):
            y = y.sin()  # each may take its operand's place
        out.copy_(y)

    def products() -> None:
        y = x
        for _ in range(20):
            y = y @ x  # none may
        out.copy_(y)

    for body, places in ((chain, 1), (products, 2)):
        watch = watched(tape(body, [x, out]))
        assert len(watch.kernels) == 21
        assert len(watch.places - {out.untyped_storage().data_ptr()}) == places


def test_operand_that_is_needed_later_is_not_written_over() -> None:
    x, out = torch.ones(3), torch.zeros(3)

    def body() -> None:
        y = x + 1
        z = y.exp()
        out.copy_(z * y)

    play = tape(body, [x, out])
    x.fill_(0.5)
    play()
    assert torch.equal(out, torch.full((3,), 1.5).exp() * 1.5)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda x: x.sum().item(), "gives a number to Python"),
        (lambda x: x.add_(torch.rand(3)), "draws random numbers"),
        (lambda x: x.nonzero(), "has as many results"),
        (lambda x: x.clone().unsqueeze_(0), "changes the shape"),
        (lambda x: x[x > 1], "has as many results as a mask has values"),
    ],
)
def test_what_cannot_be_played_again_is_refused(
    body: Callable[[Tensor], object], message: str
) -> None:
    x = torch.ones(3)

    def run() -> None:
        body(x)

    with pytest.raises(RuntimeError, match=message):
        tape(run, [x])


def test_integers_may_index() -> None:
    table, places, out = torch.arange(10.0), torch.tensor([1, 2]), torch.zeros(2)

    def body() -> None:
        out.copy_(table[places])

    play = tape(body, [places, out])
    places.copy_(torch.tensor([7, 9]))
    play()
    assert out.tolist() == [7, 9]


def test_operand_that_is_read_at_other_places_is_not_written_over() -> None:
    x, out = torch.arange(16.0).view(4, 4), torch.zeros(4, 4)

    def body() -> None:
        y = x + 1
        out.copy_(y * y.T)

    play = tape(body, [x, out])
    play()
    assert torch.equal(out, (x + 1) * (x + 1).T)
