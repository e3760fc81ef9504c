"""A small convolutional network in numpy: a layer of filters, the positive part, means of two by two, classes."""

from __future__ import annotations

import numpy as np


class Convolution:
    """For pictures of 8 by 8 in ten classes; gradient descent with momentum on the log-loss."""

    def __init__(self, filters: int, kernel: int, seed: int) -> None:
        self.kernel = kernel
        self.chance = np.random.default_rng(seed)

        def draw(shape: tuple[int, int], deviation: float) -> np.ndarray:
            return (deviation * self.chance.standard_normal(shape)).astype(np.float32)

        n_features = 16 * filters
        self.weights = [
            draw((kernel * kernel, filters), np.sqrt(2) / kernel),
            np.zeros(filters, np.float32),
            draw((n_features, 10), n_features**-0.5),
            np.zeros(10, np.float32),
        ]
        self.speeds = [np.zeros_like(weight) for weight in self.weights]

    def epoch(self, pictures: np.ndarray, classes: np.ndarray, rate: float, momentum: float, batch: int) -> None:
        """One pass in a random order."""
        order = self.chance.permutation(len(classes))
        with np.errstate(all="ignore"):  # a rate that is too high blows up, which the caller sees
            for start in range(0, len(order), batch):
                chosen = order[start : start + batch]
                gradients = self._gradients(pictures[chosen], classes[chosen])
                for weight, speed, gradient in zip(self.weights, self.speeds, gradients, strict=True):
                    speed *= momentum
                    speed -= rate * gradient
                    weight += speed

    def predict(self, pictures: np.ndarray) -> np.ndarray:
        """Probabilities of the classes."""
        with np.errstate(all="ignore"):
            return self._forward(pictures)[-1]

    def _forward(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Patches, filtered, features and probabilities."""
        filters, shift, out, bias = self.weights
        side = self.kernel
        padded = np.pad(pictures, ((0, 0), (side // 2, (side - 1) // 2), (side // 2, (side - 1) // 2)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))
        patches = windows.reshape(-1, side * side)
        filtered = (patches @ filters + shift).reshape(len(pictures), 4, 2, 4, 2, -1)
        features = np.maximum(filtered, 0).mean(axis=(2, 4)).reshape(len(pictures), -1)
        scores = features @ out + bias
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return patches, filtered, features, scores / scores.sum(axis=1, keepdims=True)

    def _gradients(self, pictures: np.ndarray, classes: np.ndarray) -> list[np.ndarray]:
        patches, filtered, features, probabilities = self._forward(pictures)
        n = len(pictures)
        error = probabilities.copy()
        error[np.arange(n), classes] -= 1
        error /= n
        spread = (error @ self.weights[2].T).reshape(n, 4, 1, 4, 1, -1) / 4 * (filtered > 0)
        flat = spread.reshape(-1, spread.shape[-1])
        return [patches.T @ flat, flat.sum(axis=0), features.T @ error, error.sum(axis=0)]
