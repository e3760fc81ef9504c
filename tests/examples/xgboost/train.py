"""One trial: boosts trees on the optical digits, printing a line of metrics a round."""

import argparse
import os
from pathlib import Path

import numpy as np
import xgboost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--depth", type=int, required=True)
    parser.add_argument("--booster", default="gbtree")
    parser.add_argument("--drop-rate", type=float)
    args = parser.parse_args()

    pixels, labels = digits(args.data)
    train = np.arange(len(labels)) % 4 != 0
    settings = {
        "objective": "multi:softprob",
        "num_class": 10,
        "eval_metric": ["merror", "mlogloss"],
        "booster": args.booster,
        "learning_rate": args.learning_rate,
        "max_depth": args.depth,
        "nthread": 1,
        "seed": 0,
    }
    if args.drop_rate is not None:
        settings["rate_drop"] = args.drop_rate
    best = Best(Path(os.environ.get("CAIRN_MODEL_DIR", "model")))
    xgboost.train(
        settings,
        xgboost.DMatrix(pixels[train], labels[train]),
        num_boost_round=args.rounds,
        evals=[(xgboost.DMatrix(pixels[~train], labels[~train]), "test")],
        callbacks=[best],
        verbose_eval=False,
    )


def digits(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The images as rows of 64 numbers from 0 to 1, and the digits they show."""
    lines = [line.split() for line in path.read_text().splitlines()]
    pixels = np.array([[int(pixel, 17) / 16 for pixel in image] for _, image in lines])
    return pixels, np.array([int(digit) for digit, _ in lines])


class Best(xgboost.callback.TrainingCallback):
    """Reports every round, and keeps the model of the best."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.loss = float("inf")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.yaml").write_text(f'format: xgboost\nformatVersion: "{xgboost.__version__}"\n')

    def after_iteration(self, model, epoch: int, evals_log) -> bool:
        test = evals_log["test"]
        loss, error = test["mlogloss"][-1], test["merror"][-1]
        # Flushed, so that it is seen while the trial runs; Python keeps lines back otherwise.
        print(f"step={epoch + 1} loss={loss:.6f} accuracy={1 - error:.6f}", flush=True)
        if loss < self.loss:
            self.loss = loss
            model.save_model(self.folder / "model.json")
        return False


if __name__ == "__main__":
    main()
