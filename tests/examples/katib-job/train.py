"""One trial: a small network that tells two interleaved half moons apart. Needs Python and nothing else."""

import argparse
import math
import random


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--neurons", type=int, required=True)
    parser.add_argument("--optimizer", choices=["plain", "momentum"], required=True)
    parser.add_argument("--epochs", type=int, default=25)
    args = parser.parse_args()

    chance = random.Random(0)
    train, test = moons(300, chance), moons(300, chance)
    network = Network(args.neurons, 0.9 if args.optimizer == "momentum" else 0.0, chance)
    for epoch in range(1, args.epochs + 1):
        chance.shuffle(train)
        for point, label in train:
            network.learn(point, label, args.lr)
        odds = [(network.forward(point)[1], label) for point, label in test]
        accuracy = sum((p > 0.5) == (label == 1) for p, label in odds) / len(odds)
        loss = -sum(math.log(max(p if label else 1 - p, 1e-12)) for p, label in odds) / len(odds)
        print(f"epoch={epoch} accuracy={accuracy:.4f} loss={loss:.4f}", flush=True)


def moons(n: int, chance: random.Random) -> list[tuple[tuple[float, float], int]]:
    """Points on two half circles that reach into each other, with noise."""
    points = []
    for i in range(n):
        label, angle = i % 2, chance.uniform(0, math.pi)
        x, y = math.cos(angle), math.sin(angle)
        if label:
            x, y = 1 - x, 0.5 - y
        points.append(((x + chance.gauss(0, 0.1), y + chance.gauss(0, 0.1)), label))
    return points


class Network:
    """One hidden layer, learnt point by point."""

    def __init__(self, neurons: int, momentum: float, chance: random.Random) -> None:
        self.hidden = [[chance.gauss(0, 1) for _ in range(3)] for _ in range(neurons)]
        self.output = [chance.gauss(0, 0.5) for _ in range(neurons + 1)]
        self.momentum = momentum
        self.pace = [[0.0] * 3 for _ in range(neurons)], [0.0] * (neurons + 1)

    def forward(self, point: tuple[float, float]) -> tuple[list[float], float]:
        """What the neurons say, and the probability of label 1."""
        x, y = point
        said = [math.tanh(a * x + b * y + c) for a, b, c in self.hidden]
        logit = sum(w * s for w, s in zip(self.output, said)) + self.output[-1]
        return said, 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))

    def learn(self, point: tuple[float, float], label: int, lr: float) -> None:
        said, p = self.forward(point)
        error = p - label
        # Steps as large as without momentum, on average.
        lr *= 1 - self.momentum
        hidden_pace, output_pace = self.pace
        for j, s in enumerate(said):
            slope = error * self.output[j] * (1 - s * s)
            for k, value in enumerate((*point, 1.0)):
                hidden_pace[j][k] = self.momentum * hidden_pace[j][k] - lr * slope * value
                self.hidden[j][k] += hidden_pace[j][k]
        for j, s in enumerate((*said, 1.0)):
            output_pace[j] = self.momentum * output_pace[j] - lr * error * s
            self.output[j] += output_pace[j]


if __name__ == "__main__":
    main()
