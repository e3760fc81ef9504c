"""Networks of architectures as Katib writes them: chains of ENAS, cells of DARTS, and the supernet of all cells."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class Wrong(Exception):
    """What was asked for makes no network; the text says why."""


def parsed(option: str, text: str):
    """JSON with single quotes, perhaps between double quotes that were meant for a shell."""
    text = text.strip().removeprefix('"').removesuffix('"')
    try:
        return json.loads(text.replace("'", '"'))
    except ValueError as error:
        raise Wrong(f"{option} is `{text}`, which is no JSON with single quotes: {error}") from error


# Operations.


def convolution(n_in: int, n_out: int, kernel: int, stride: int) -> nn.Module:
    """ReLU, convolution, normalisation."""
    layer = nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(nn.ReLU(), layer, nn.BatchNorm2d(n_out, affine=False))


def depthwise(channels: int, kernel: int, stride: int, dilation: int) -> nn.Module:
    """ReLU, a convolution for each channel, one over all channels, normalisation."""
    padding = dilation * (kernel // 2)
    each = nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False)
    pointwise = nn.Conv2d(channels, channels, 1, bias=False)
    return nn.Sequential(nn.ReLU(), each, pointwise, nn.BatchNorm2d(channels, affine=False))


class Zero(nn.Module):
    """Nothing comes through."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


def operation(name: str, channels: int, stride: int) -> nn.Module:
    """The operation of a name, with as many channels as come in."""
    if name == "none":
        return Zero(stride)
    if name == "skip_connection":
        return nn.Identity() if stride == 1 else convolution(channels, channels, 1, stride)
    found = re.fullmatch(r"(\w+)_(\d+)x\2", name)
    kind, kernel = (found[1], int(found[2])) if found else (name, 0)
    if kernel % 2 == 1:
        padding = kernel // 2
        if kind == "separable_convolution":
            return nn.Sequential(depthwise(channels, kernel, stride, 1), depthwise(channels, kernel, 1, 1))
        if kind == "dilated_convolution":
            return depthwise(channels, kernel, stride, 2)
        if kind == "convolution":
            return convolution(channels, channels, kernel, stride)
        if kind == "avg_pooling":
            pool = nn.AvgPool2d(kernel, stride, padding, count_include_pad=False)
            return nn.Sequential(pool, nn.BatchNorm2d(channels, affine=False))
        if kind == "max_pooling":
            return nn.Sequential(nn.MaxPool2d(kernel, stride, padding), nn.BatchNorm2d(channels, affine=False))
    raise Wrong(
        f"`{name}` is no operation of a cell; there are none, skip_connection, avg_pooling_KxK, max_pooling_KxK, "
        "convolution_KxK, separable_convolution_KxK and dilated_convolution_KxK with an odd K"
    )


# Cells.


class Stack(nn.Module):
    """Stem, cells of which two of three halve the picture, classes. `edges` makes what leads into a node: it gets the cell's
    kind (`normal`, `reduce`), the node, the channels and the strides of all nodes before it."""

    def __init__(
        self,
        input_channels: int,
        classes: int,
        layers: int,
        nodes: int,
        channels: int,
        stem: int,
        edges: Callable[[str, int, int, list[int]], nn.Module],
    ) -> None:
        super().__init__()
        wide = channels * stem
        self.stem = nn.Sequential(
            nn.Conv2d(input_channels, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide)
        )
        self.cells = nn.ModuleList()
        # Channels of the two layers before, and whether the last one has halved the picture.
        before, last, halved = wide, wide, False
        for layer in range(layers):
            kind = "reduce" if layer in (layers // 3, 2 * layers // 3) else "normal"
            if kind == "reduce":
                channels *= 2
            strides = [2 if kind == "reduce" and i < 2 else 1 for i in range(nodes + 2)]
            self.cells.append(
                nn.ModuleDict(
                    {
                        "first": convolution(before, channels, 1, 2 if halved else 1),
                        "second": convolution(last, channels, 1, 1),
                        "nodes": nn.ModuleList(
                            edges(kind, node, channels, strides[:node]) for node in range(2, nodes + 2)
                        ),
                    }
                )
            )
            before, last, halved = last, channels * nodes, kind == "reduce"
        self.classes = nn.Linear(last, classes)

    def forward(self, x: Tensor, weights: dict[str, Tensor] | None = None) -> Tensor:
        before = last = self.stem(x)
        for cell in self.cells:
            values = [cell["first"](before), cell["second"](last)]
            for node in cell["nodes"]:
                values.append(node(values, weights))
            before, last = last, torch.cat(values[2:], 1)
        return self.classes(last.mean((2, 3)))


class Mixed(nn.Module):
    """A node of the supernet: all operations on all edges, as much of each as its weight says."""

    def __init__(self, kind: str, first: int, names: list[str], channels: int, strides: list[int]) -> None:
        super().__init__()
        self.kind, self.first = kind, first
        self.edges = nn.ModuleList(
            nn.ModuleList(operation(name, channels, stride) for name in names) for stride in strides
        )

    def forward(self, values: list[Tensor], weights: dict[str, Tensor]) -> Tensor:
        total = 0.0
        for i, (value, edge) in enumerate(zip(values, self.edges)):
            for k, layer in enumerate(edge):
                total = total + weights[self.kind][self.first + i, k] * layer(value)
        return total


class Supernet(nn.Module):
    """All cells at once (Liu et al. 2019, arXiv:1806.09055, eq. 2)."""

    def __init__(self, names: list[str], nodes: int, **sizes: int) -> None:
        super().__init__()
        if not names or "none" in names:
            raise Wrong("--search-space is a list of operations without none, which is there anyway")
        self.names, self.nodes = [*names, "none"], nodes
        self.pairs = [(start, node) for node in range(2, nodes + 2) for start in range(node)]

        def node(kind: str, node: int, channels: int, strides: list[int]) -> nn.Module:
            return Mixed(kind, self.pairs.index((0, node)), self.names, channels, strides)

        self.stack = Stack(nodes=nodes, edges=node, **sizes)
        shape = (len(self.pairs), len(self.names))
        self.alphas = nn.ParameterDict(
            {kind: nn.Parameter(1e-3 * torch.randn(shape)) for kind in ("normal", "reduce")}
        )

    def weights(self) -> dict[str, Tensor]:
        """What each operation weighs on each edge."""
        return {kind: alphas.softmax(1) for kind, alphas in self.alphas.items()}

    def forward(self, x: Tensor) -> Tensor:
        return self.stack(x, self.weights())

    def reported(self) -> str:
        """The weights as Cairn draws them."""
        edges = {
            f"{kind} {start}-{node}": [round(x, 4) for x in row]
            for kind, weights in self.weights().items()
            for (start, node), row in zip(self.pairs, weights.tolist())
        }
        return json.dumps({"operations": self.names, "edges": edges}, separators=(",", ":"))

    def genotype(self) -> dict[str, list[list[tuple[str, int]]]]:
        """The strongest operation but none on the two strongest edges of each node."""
        found = {}
        for kind, weights in self.weights().items():
            strength, which = weights[:, :-1].max(1)
            found[kind] = []
            for node in range(2, self.nodes + 2):
                first = self.pairs.index((0, node))
                edges = sorted(range(node), key=lambda i: -strength[first + i].item())[:2]
                found[kind].append([(self.names[which[first + i]], i) for i in edges])
        return found


def written(genotype: dict[str, list[list[tuple[str, int]]]]) -> str:
    """A genotype as Katib's metric has it."""
    part = {
        kind: ",".join("[" + ",".join(f"('{name}',{start})" for name, start in node) + "]" for node in cell)
        for kind, cell in genotype.items()
    }
    end = len(genotype["normal"]) + 2
    return (
        f"Genotype(normal=[{part['normal']}],normal_concat=range(2,{end}),"
        f"reduce=[{part['reduce']}],reduce_concat=range(2,{end}))"
    )


class Fixed(nn.Module):
    """A node of a genotype."""

    def __init__(self, edges: list[tuple[str, int]], channels: int, strides: list[int]) -> None:
        super().__init__()
        self.starts = [start for _, start in edges]
        self.edges = nn.ModuleList(operation(name, channels, strides[start]) for name, start in edges)

    def forward(self, values: list[Tensor], _: None) -> Tensor:
        return sum(edge(values[start]) for start, edge in zip(self.starts, self.edges))


def of_genotype(genotype: dict[str, list[list[tuple[str, int]]]], **sizes: int) -> Stack:
    """The network of two cells."""

    def node(kind: str, node: int, channels: int, strides: list[int]) -> nn.Module:
        return Fixed(genotype[kind][node - 2], channels, strides)

    return Stack(nodes=len(genotype["normal"]), edges=node, **sizes)


# Chains.


class Chain(nn.Module):
    """A child network of ENAS: layers in a row, which read others before them too."""

    def __init__(self, architecture: list[list[int]], config: dict) -> None:
        super().__init__()
        self.input = config["input_sizes"]
        channels, self.layers, self.skips, widths = self.input[2], nn.ModuleList(), [], []
        for i, written in enumerate(architecture):
            if len(written) != i + 1 or any(bit not in (0, 1) for bit in written[1:]):
                raise Wrong(f"--architecture: layer {i + 1} is {written}; it is its operation and {i} times 0 or 1")
            embedding = config["embedding"].get(str(written[0]))
            if embedding is None:
                raise Wrong(
                    f"--architecture: layer {i + 1} is operation {written[0]}, which --nn_config does not have"
                )
            # The layer right before it is read once, whether it is named or not.
            skips = [start for start, bit in enumerate(written[1:]) if bit and start + 1 < i]
            self.skips.append(skips)
            read = channels + sum(widths[start] for start in skips)
            layer, channels = layer_of(embedding["opt_type"], embedding["opt_params"], read, i > 0)
            self.layers.append(layer)
            widths.append(channels)
        self.classes = nn.Linear(channels, config["output_sizes"][-1])

    def forward(self, x: Tensor) -> Tensor:
        values: list[Tensor] = []
        for layer, skips in zip(self.layers, self.skips):
            size = x.shape[2:]
            read = [functional.adaptive_avg_pool2d(values[start], size) for start in skips]
            x = layer(torch.cat([*read, x], 1))
            values.append(x)
        return self.classes(x.relu().mean((2, 3)))


def layer_of(kind: str, parameters: dict, n_in: int, after_others: bool) -> tuple[nn.Module, int]:
    """A layer, and how many channels come out of it."""

    def number(name: str, default: int | None = None) -> int:
        try:
            value = int(parameters.get(name, default))
        except (TypeError, ValueError):
            value = 0
        if value < 1:
            raise Wrong(f"--nn_config: {kind} has {name} {parameters.get(name)}; it is a whole number of at least 1")
        return value

    if kind == "reduction":
        pools = {"max_pooling": nn.MaxPool2d, "avg_pooling": nn.AvgPool2d}
        if parameters.get("reduction_type") not in pools:
            raise Wrong(f"--nn_config: reduction_type {parameters.get('reduction_type')}; there are {', '.join(pools)}")
        return pools[parameters["reduction_type"]](number("pool_size", 2), ceil_mode=True), n_in
    layers: list[nn.Module] = [nn.ReLU()] if after_others else []
    wide = n_in
    if kind != "convolution":
        wide = n_in * number("depth_multiplier", 1)
        if kind not in ("separable_convolution", "depthwise_convolution"):
            raise Wrong(
                f"--nn_config: `{kind}` is no layer; there are convolution, separable_convolution, "
                "depthwise_convolution and reduction"
            )
        kernel = number("filter_size")
        layers.append(
            nn.Conv2d(n_in, wide, kernel, number("stride", 1), kernel // 2, groups=n_in, bias=False)
        )
    if kind == "convolution":
        kernel, n_out = number("filter_size"), number("num_filter")
        layers.append(nn.Conv2d(n_in, n_out, kernel, number("stride", 1), kernel // 2, bias=False))
    elif kind == "separable_convolution":
        n_out = number("num_filter")
        layers.append(nn.Conv2d(wide, n_out, 1, bias=False))
    else:
        n_out = wide
    return nn.Sequential(*layers, nn.BatchNorm2d(n_out)), n_out


def chain(architecture: str, config: str) -> Chain:
    """The network of Katib's two assignments."""
    layers, meaning = parsed("--architecture", architecture), parsed("--nn_config", config)
    for name in ("num_layers", "input_sizes", "output_sizes", "embedding"):
        if name not in meaning:
            raise Wrong(f"--nn_config: {name} is missing")
    if len(layers) != meaning["num_layers"]:
        raise Wrong(
            f"--architecture has {len(layers)} layers and --nn_config says num_layers {meaning['num_layers']}"
        )
    return Chain(layers, meaning)
