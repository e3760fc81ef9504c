"""One trial of an architecture search, on a GPU if there is one, by the arguments that Katib's trial images take:

--architecture --nn_config [--num_epochs]                trains a child network of ENAS
--algorithm-settings --search-space --num-layers         searches the supernet of DARTS
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from networks import Supernet, Wrong, chain, of_genotype, parsed, written


def layout(device: torch.device) -> torch.memory_format:
    """Channels innermost, which tensor cores want; on a CPU as PyTorch has it."""
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format


@dataclass
class Data:
    """Pictures (n, channels, rows, columns) and what they show, on the device from first to last."""

    train: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    classes: int

    @staticmethod
    def read(path: Path, sizes: list[int] | None, device: torch.device) -> Data:
        """`digits.txt` of the example digits, or an .npz of `x` (n, rows, columns, channels) from 0 to 255 and `y`; repeated
        to these rows, columns and channels if there are any. Every third picture is for validation."""
        if path.suffix == ".npz":
            import numpy

            with numpy.load(path) as file:
                x, y = torch.from_numpy(file["x"]).permute(0, 3, 1, 2) / 255, torch.from_numpy(file["y"]).long()
        else:
            lines = [line.split() for line in path.read_text().splitlines()]
            x = torch.tensor([[int(pixel, 17) / 16 for pixel in picture] for _, picture in lines])
            x, y = x.reshape(-1, 1, 8, 8), torch.tensor([int(digit) for digit, _ in lines])
        if sizes:
            rows, columns, channels = sizes
            if channels % x.shape[1]:
                raise Wrong(f"--nn_config: input_sizes {sizes}, and the pictures have {x.shape[1]} channels")
            x = functional.interpolate(x, (rows, columns)).repeat(1, channels // x.shape[1], 1, 1)
        x, y = x.to(device, memory_format=layout(device)), y.to(device)
        held = torch.arange(len(y), device=device) % 3 == 2
        return Data((x[~held], y[~held]), (x[held], y[held]), int(y.max()) + 1)


@dataclass
class Machine:
    """Where and how it is computed."""

    device: torch.device
    half: bool
    compiled: bool

    def made(self, network: nn.Module) -> nn.Module:
        return network.to(self.device, memory_format=layout(self.device))

    def fast(self, network: nn.Module) -> nn.Module:
        return torch.compile(network) if self.compiled else network

    def loss(self, network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            values = network(x)
        return functional.cross_entropy(values.float(), y)

    @torch.no_grad()
    def accuracy(self, network: nn.Module, data: tuple[Tensor, Tensor]) -> float:
        network.eval()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            answers = torch.cat([network(x).argmax(1) for x in data[0].split(512)])
        network.train()
        return (answers == data[1]).float().mean().item()


def batches(data: tuple[Tensor, Tensor], size: int) -> list[tuple[Tensor, Tensor]]:
    """Batches in a new order, all of one size, so that a compiled network is compiled once."""
    x, y = data
    order = torch.randperm(len(y), device=y.device)
    size = min(size, len(y))
    return [(x[which], y[which]) for which in order[: len(y) // size * size].split(size)]


def finite(loss: Tensor, epoch: int, rate: float) -> float:
    value = loss.item()
    if not math.isfinite(value):
        raise Wrong(f"it has diverged in epoch {epoch} (loss {value}); lower the learning rate, which is {rate}")
    return value


def train(network: nn.Module, data: Data, machine: Machine, epochs: int, rate: float, size: int) -> None:
    """From scratch, with a line of metrics an epoch; what it has learnt is left as the trial's model."""
    network = machine.made(network)
    fast = machine.fast(network)
    descent = torch.optim.SGD(network.parameters(), rate, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(descent, epochs)
    for epoch in range(1, epochs + 1):
        for x, y in batches(data.train, size):
            loss = machine.loss(fast, x, y)
            descent.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            descent.step()
        schedule.step()
        finite(loss, epoch, rate)
        accuracy = machine.accuracy(network, data.validation)
        print(f"epoch={epoch} loss={loss.item():.4f} Validation-Accuracy={accuracy:.5f}", flush=True)
    if folder := os.environ.get("CAIRN_MODEL_DIR"):
        torch.save(network.cpu().state_dict(), Path(folder) / "model.pt")
        (Path(folder) / "model.yaml").write_text(f'format: pytorch\nformatVersion: "{torch.__version__}"\n')


class Search:
    """DARTS (Liu et al. 2019, arXiv:1806.09055, algorithm 1)."""

    def __init__(self, supernet: Supernet, settings: dict[str, float], machine: Machine, second: bool) -> None:
        self.supernet, self.settings, self.machine, self.second = supernet, settings, machine, second
        self.fast = machine.fast(supernet)
        self.weights = list(supernet.stack.parameters())
        self.alphas = list(supernet.alphas.values())
        self.descent = torch.optim.SGD(
            self.weights, settings["w_lr"], settings["w_momentum"], weight_decay=settings["w_weight_decay"]
        )
        self.adam = torch.optim.Adam(
            self.alphas, settings["alpha_lr"], (0.5, 0.999), weight_decay=settings["alpha_weight_decay"]
        )

    def run(self, data: Data) -> None:
        """Searches, with a line an epoch of how it goes and one of what each operation weighs."""
        epochs, size = int(self.settings["num_epochs"]), int(self.settings["batch_size"])
        least = self.settings["w_lr_min"]
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.descent, epochs, least)
        for epoch in range(1, epochs + 1):
            others = batches(data.validation, size)
            for i, batch in enumerate(batches(data.train, size)):
                self.step_architecture(batch, others[i % len(others)])
                loss = self.loss(batch)
                self.descent.zero_grad(set_to_none=True)
                loss.backward()
                if self.settings["w_grad_clip"] > 0:
                    nn.utils.clip_grad_norm_(self.weights, self.settings["w_grad_clip"])
                self.descent.step()
            schedule.step()
            value = finite(loss, epoch, self.settings["w_lr"])
            accuracy = self.machine.accuracy(self.supernet, data.validation)
            print(f"epoch={epoch} loss={value:.4f} Validation-Accuracy={accuracy:.5f}")
            print(f"epoch={epoch} Operation-Weights={self.supernet.reported()}", flush=True)

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return self.machine.loss(self.fast, *batch)

    def slopes(self, batch: tuple[Tensor, Tensor], by: list[nn.Parameter]) -> list[Tensor]:
        """Slopes of a loss; zeros by what it does not depend on, such as a cell that is stacked nowhere."""
        found = torch.autograd.grad(self.loss(batch), by, allow_unused=True)
        return [torch.zeros_like(x) if slope is None else slope for x, slope in zip(by, found)]

    def step_architecture(self, batch: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> None:
        """A step of the architecture: with the weights as they are, or as they would be after one step (eq. 7 and 8)."""
        if not self.second:
            slopes = self.slopes(other, self.alphas)
        else:
            rate = self.descent.param_groups[0]["lr"]
            kept = [weight.detach().clone() for weight in self.weights]
            self.move(kept, [-rate * step for step in self.descent_steps(self.slopes(batch, self.weights))])
            both = self.slopes(other, self.alphas + self.weights)
            slopes, direction = both[: len(self.alphas)], both[len(self.alphas) :]
            reach = 0.01 / max(torch.cat([d.flatten() for d in direction]).norm().item(), 1e-12)
            self.move(kept, [reach * d for d in direction])
            above = self.slopes(batch, self.alphas)
            self.move(kept, [-reach * d for d in direction])
            below = self.slopes(batch, self.alphas)
            self.move(kept, [torch.zeros_like(weight) for weight in kept])
            slopes = [s - rate * (a - b) / (2 * reach) for s, a, b in zip(slopes, above, below)]
        for alpha, slope in zip(self.alphas, slopes):
            alpha.grad = slope.detach()
        self.adam.step()

    def descent_steps(self, slopes: list[Tensor]) -> list[Tensor]:
        """What the descent would go along."""
        momentum, decay = self.settings["w_momentum"], self.settings["w_weight_decay"]
        velocity = [self.descent.state[weight].get("momentum_buffer") for weight in self.weights]
        return [
            (0 if v is None else momentum * v) + slope + decay * weight.detach()
            for weight, slope, v in zip(self.weights, slopes, velocity)
        ]

    @torch.no_grad()
    def move(self, start: list[Tensor], by: list[Tensor]) -> None:
        for weight, kept, step in zip(self.weights, start, by):
            weight.copy_(kept + step)


# Katib's settings of DARTS with its defaults; those that mean nothing here are passed over.
SETTINGS = {
    "num_epochs": 50,
    "w_lr": 0.025,
    "w_lr_min": 0.001,
    "w_momentum": 0.9,
    "w_weight_decay": 3e-4,
    "w_grad_clip": 5.0,
    "alpha_lr": 3e-4,
    "alpha_weight_decay": 1e-3,
    "batch_size": 128,
    "init_channels": 16,
    "num_nodes": 4,
    "stem_multiplier": 3,
}


def settings(text: str) -> dict[str, float]:
    """Numbers, which Katib gives as they are or as texts."""
    given, read = parsed("--algorithm-settings", text), dict(SETTINGS)
    for name in SETTINGS:
        if given.get(name) is not None:
            try:
                read[name] = float(given[name])
            except ValueError:
                raise Wrong(f"--algorithm-settings: {name} is `{given[name]}`, not a number") from None
    return read


def darts(args: argparse.Namespace, machine: Machine) -> None:
    """Searches, prints what it has found, and trains that from scratch if it is to."""
    wanted, data = settings(args.algorithm_settings), Data.read(args.data, None, machine.device)
    try:
        layers = int(args.num_layers.strip('"'))
    except (AttributeError, ValueError):
        raise Wrong(f"--num-layers is {args.num_layers}, not a number") from None
    sizes = {
        "input_channels": data.train[0].shape[1],
        "classes": data.classes,
        "layers": layers,
        "channels": int(wanted["init_channels"]),
        "stem": int(wanted["stem_multiplier"]),
    }
    names = parsed("--search-space", args.search_space or "[]")
    supernet = machine.made(Supernet(names, int(wanted["num_nodes"]), **sizes))
    Search(supernet, wanted, machine, args.order == "second").run(data)
    genotype = supernet.genotype()
    print(f"Best-Genotype={written(genotype)}", flush=True)
    if args.retrain_epochs:
        train(of_genotype(genotype, **sizes), data, machine, args.retrain_epochs, 0.1, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--architecture", "--nn_config", "--algorithm-settings", "--search-space", "--num-layers"):
        parser.add_argument(option)
    parser.add_argument("--data", type=Path, default=Path(__file__).with_name("digits.txt"))
    parser.add_argument("--num_epochs", type=int, default=10)
    parser.add_argument("--retrain-epochs", type=int, default=0)
    parser.add_argument("--order", choices=["second", "first"], default="second")
    parser.add_argument("--precision", choices=["auto", "bf16", "float32"], default="auto")
    parser.add_argument("--compile", choices=["auto", "yes", "no"], default="auto")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    gpu = torch.cuda.is_available()
    if not gpu:
        # Trials share the machine.
        torch.set_num_threads(1)
    half, compiled = ({"auto": gpu}.get(word, word in ("bf16", "yes")) for word in (args.precision, args.compile))
    machine = Machine(torch.device("cuda" if gpu else "cpu"), half, compiled)
    print(f"training on {machine.device}, {'bf16' if half else 'float32'}{', compiled' if compiled else ''}", flush=True)
    if args.algorithm_settings:
        darts(args, machine)
    elif args.architecture and args.nn_config:
        network = chain(args.architecture, args.nn_config)
        data = Data.read(args.data, network.input, machine.device)
        train(network, data, machine, args.num_epochs, 0.1, 64)
    else:
        raise Wrong("give --architecture and --nn_config, or --algorithm-settings, --search-space and --num-layers")


if __name__ == "__main__":
    try:
        main()
    except Wrong as problem:
        sys.exit(f"error: {problem}")
