"""One trial: trains a network on the optical digits, with a checkpoint after every epoch."""

import argparse
import os
from pathlib import Path

import torch
from torch import nn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--dropout", type=float, required=True)
    args = parser.parse_args()

    # Trials share the machine; Cairn shows each only the GPUs that it was given.
    torch.set_num_threads(1)
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(f"training on {device}", flush=True)

    pixels, labels = digits(args.data)
    train = torch.arange(len(labels)) % 4 != 0
    train_x, train_y = pixels[train].to(device), labels[train].to(device)
    test_x, test_y = pixels[~train].to(device), labels[~train].to(device)
    model = nn.Sequential(
        nn.Conv2d(1, args.width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(args.dropout),
        nn.Linear(args.width * 16, 10),
    ).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.learning_rate)

    checkpoint = Checkpoint(Path(os.environ.get("CAIRN_CHECKPOINT_DIR", "checkpoint")))
    for epoch in range(checkpoint.restore(model, optimizer, device), args.epochs):
        model.train()
        for batch in torch.randperm(len(train_y), device=device).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(train_x[batch]), train_y[batch]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            logits = model(test_x)
            loss = nn.functional.cross_entropy(logits, test_y).item()
            accuracy = (logits.argmax(1) == test_y).float().mean().item()
        # The checkpoint first: an epoch that was reported is never trained again.
        checkpoint.save(epoch + 1, model, optimizer)
        print(f"epoch={epoch + 1} accuracy={accuracy:.4f} loss={loss:.4f}", flush=True)

    folder = Path(os.environ.get("CAIRN_MODEL_DIR", "model"))
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(model.cpu().state_dict(), folder / "model.pt")
    (folder / "model.yaml").write_text(f'format: pytorch\nformatVersion: "{torch.__version__}"\n')


def digits(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The images as (n, 1, 8, 8) numbers from 0 to 1, and the digits they show."""
    lines = [line.split() for line in path.read_text().splitlines()]
    pixels = torch.tensor([[int(pixel, 17) / 16 for pixel in image] for _, image in lines])
    return pixels.reshape(-1, 1, 8, 8), torch.tensor([int(digit) for digit, _ in lines])


class Checkpoint:
    """What a run needs to go on where another was interrupted."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "checkpoint.pt"

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device) -> int:
        """Takes up the newest checkpoint, if there is one; the number of epochs that it has behind it."""
        if not self.path.exists():
            return 0
        state = torch.load(self.path, map_location=device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        print(f"goes on after epoch {state['epoch']}", flush=True)
        return state["epoch"]

    def save(self, epoch: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Replaces the checkpoint as a whole: a crash leaves the earlier one or the new one, never half of one."""
        beside = self.path.with_suffix(".new")
        torch.save(
            {"epoch": epoch, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, beside
        )
        beside.replace(self.path)


if __name__ == "__main__":
    main()
