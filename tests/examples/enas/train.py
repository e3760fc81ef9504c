"""One trial: a network of the architecture given tells two interleaved half moons apart. Needs Python and nothing else."""

import argparse
import json
import math
import random


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", required=True, help="[[operation], [operation, skip from layer 1], ...]")
    parser.add_argument("--nn_config", required=True, help="what the numbers of operations mean")
    parser.add_argument("--epochs", type=int, default=12)
    args = parser.parse_args()

    # Katib has single quotes in both, so that they can stand in JSON themselves.
    architecture = json.loads(args.architecture.replace("'", '"'))
    config = json.loads(args.nn_config.replace("'", '"'))
    chance = random.Random(0)
    train, test = moons(160, chance), moons(200, chance)
    network = Network(architecture, config, chance)
    for epoch in range(1, args.epochs + 1):
        chance.shuffle(train)
        for point, label in train:
            network.learn(point, label, 0.1)
        right = sum((network.forward(point)[-1] > 0.5) == (label == 1) for point, label in test)
        print(f"epoch={epoch} accuracy={right / len(test):.4f}", flush=True)


def moons(n: int, chance: random.Random) -> list[tuple[list[float], int]]:
    """Points on two half circles that reach into each other, with noise."""
    points = []
    for i in range(n):
        label, angle = i % 2, chance.uniform(0, math.pi)
        x, y = math.cos(angle), math.sin(angle)
        if label:
            x, y = 1 - x, 0.5 - y
        points.append(([x + chance.gauss(0, 0.1), y + chance.gauss(0, 0.1)], label))
    return points


class Layer:
    """Dense units over what some layers before say, side by side, and a bias."""

    def __init__(self, reads: list[int], sizes: list[int], operation: dict, chance: random.Random) -> None:
        width = sum(sizes[i] for i in reads)
        self.reads, self.linear = reads, operation["opt_type"] == "linear"
        self.weights = [
            [chance.gauss(0, 1 / math.sqrt(width)) for _ in range(width + 1)]
            for _ in range(int(operation["opt_params"]["units"]))
        ]

    def forward(self, said: list[list[float]]) -> tuple[list[float], list[float]]:
        heard = [value for i in self.reads for value in said[i]] + [1.0]
        sums = [sum(w * value for w, value in zip(row, heard)) for row in self.weights]
        return heard, sums if self.linear else [math.tanh(value) for value in sums]


class Network:
    """The layers of an architecture on a point, and the odds of label 1 on the last; learnt point by point."""

    def __init__(self, architecture: list[list[int]], config: dict, chance: random.Random) -> None:
        sizes, self.layers = list(config["input_sizes"]), []
        for number, (operation, *skips) in enumerate(architecture):
            # What is said by layer i stands at place i + 1; the point stands at 0. Each hears the one right before it.
            reads = {number} | {i + 1 for i, skip in enumerate(skips) if skip}
            self.layers.append(Layer(sorted(reads), sizes, config["embedding"][str(operation)], chance))
            sizes.append(len(self.layers[-1].weights))
        self.output = [chance.gauss(0, 0.5) for _ in range(sizes[-1] + 1)]

    def forward(self, point: list[float]) -> tuple[list[list[float]], list[list[float]], float]:
        """What each layer says and hears, and the odds of label 1."""
        said, heard = [point], []
        for layer in self.layers:
            inputs, outputs = layer.forward(said)
            heard.append(inputs)
            said.append(outputs)
        logit = sum(w * value for w, value in zip(self.output, [*said[-1], 1.0]))
        return said, heard, 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))

    def learn(self, point: list[float], label: int, rate: float) -> None:
        said, heard, odds = self.forward(point)
        error = odds - label
        slopes = [[0.0] * len(values) for values in said]
        for j, value in enumerate([*said[-1], 1.0]):
            if j < len(slopes[-1]):
                slopes[-1][j] = error * self.output[j]
            self.output[j] -= rate * error * value
        for number in range(len(self.layers) - 1, -1, -1):
            layer, inputs = self.layers[number], heard[number]
            places = [(i, j) for i in layer.reads for j in range(len(said[i]))]
            for row, value, slope in zip(layer.weights, said[number + 1], slopes[number + 1]):
                slope *= 1.0 if layer.linear else 1 - value * value
                for k, (i, j) in enumerate(places):
                    slopes[i][j] += slope * row[k]
                for k, heard_value in enumerate(inputs):
                    row[k] -= rate * slope * heard_value


if __name__ == "__main__":
    main()
