"""One trial: trains a classifier, prints its accuracy, and leaves it as the model of the trial."""

import argparse
import json
import os
from pathlib import Path

import joblib
import sklearn
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--penalty", type=float, required=True)
    parser.add_argument("--gamma", type=float, required=True)
    parser.add_argument("--components", type=int, required=True)
    args = parser.parse_args()

    features, labels = load_breast_cancer(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(
        features, labels, test_size=0.25, random_state=0, stratify=labels
    )
    model = make_pipeline(
        StandardScaler(), PCA(args.components, random_state=0), SVC(C=args.penalty, gamma=args.gamma)
    )

    # The search looks at cross-validation alone, so that the held-out accuracy stays an honest estimate.
    scores = cross_val_score(model, train_x, train_y, cv=5)
    model.fit(train_x, train_y)
    print(f"accuracy={scores.mean():.6f}", f"held-out={model.score(test_x, test_y):.6f}")

    # Run by hand, outside of Cairn, the model is left in ./model.
    save(model, test_x[:2], Path(os.environ.get("CAIRN_MODEL_DIR", "model")))


def save(model, sample, folder: Path) -> None:
    """Writes the model, what it is, and an example of a request with its answer."""
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "model.joblib")
    (folder / "sample.json").write_text(json.dumps({"instances": sample.tolist()}))
    (folder / "expected.json").write_text(json.dumps({"predictions": model.predict(sample).tolist()}))
    (folder / "model.yaml").write_text(
        "format: sklearn\n"
        f'formatVersion: "{sklearn.__version__}"\n'
        "sample: sample.json\n"
        "expected: expected.json\n"
    )


if __name__ == "__main__":
    main()
