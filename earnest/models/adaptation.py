"""The adaptation network, over the set of a speaker's plain answers, and its graph.

As it sees answers alone, it goes behind every network and every engine. `earnest.training.runtime_statistics` trains
it; what is summarised of a set doesn't depend on the order of its recordings (Zaheer et al., 2017).
"""

import io
import logging
import warnings
from contextlib import redirect_stdout

import onnx
import torch
from torch import Tensor, nn

OPSET = 18
SMALLEST = 1e-6  # a probability below says no more
WIDTH, SUMMARY = 64, 128


class AdaptationNetwork(nn.Module):
    """From the plain answers to a set of recordings to adapted ones; their order does not matter.

    A recording's point x is its log-probabilities less their mean, and u is x less the set's mean point. Each gives
    values f(x), and values h(u), which no channel or language moves: they tell into how many clouds a set falls. The
    set's summary c is a function of the weighted mean and deviation of both, those of the points, and how many there
    are. The adapted answer is softmax(g(c)·(x − o(c)) + r(f, h, c, x)), and what is told is its mixture with the plain
    one, by the weight w(f, h, c, x).

    Attributes
    ----------
    sharpness : what points are multiplied with, (1,): other than 1 where plain answers got another temperature since
    hedge : the power of the probabilities that are told, (1, 1, 1)
    """

    sharpness: Tensor
    hedge: Tensor

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.n_classes = n_classes
        self.register_buffer("sharpness", torch.ones(1))
        self.register_buffer("hedge", torch.ones(1, 1, 1))  # another shape: equal tensors become one in the graph
        self.values = nn.Sequential(nn.Linear(2 * n_classes, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU())
        self.shape = nn.Sequential(nn.Linear(4 * n_classes, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU())
        n_facts = 4 * WIDTH + 3 * n_classes + 3
        self.summary = nn.Sequential(nn.Linear(n_facts, SUMMARY), nn.GELU(), nn.Linear(SUMMARY, WIDTH), nn.GELU())
        beside = 3 * WIDTH + 2 * n_classes
        self.residual = nn.Sequential(nn.Linear(beside, SUMMARY), nn.GELU(), nn.Linear(SUMMARY, n_classes))
        self.offset, self.scale = nn.Linear(WIDTH, n_classes), nn.Linear(WIDTH, 1)
        self.trust = nn.Linear(beside, 1)
        for layer in (self.residual[-1], self.offset, self.scale, self.trust):  # it starts from the plain answer
            assert isinstance(layer, nn.Linear)
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, probabilities: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return adapted probabilities (batch, recordings, classes) and their weights (batch, recordings).

        Parameters
        ----------
        probabilities : plain, (batch, recordings, classes)
        weights : how much each counts in the set, 1 for a whole recording, (batch, recordings)
        """
        # x = s·(log p − mean over classes of log p); at s = 1 softmax(x) is p again.
        logs = probabilities.clamp(min=SMALLEST).log()
        points = self.sharpness * (logs - logs.mean(dim=2, keepdim=True))
        plain = points.softmax(dim=2)
        values = self.values(torch.cat([points, plain], dim=2))  # f(x), (batch, recordings, WIDTH)
        shares = weights / weights.sum(dim=1, keepdim=True)
        # A set's weighted mean and deviation, (batch, 1, values).
        mean, deviation = _moments(values, shares)
        centre, spread = _moments(points, shares)
        # u = x − centre, and z = u/σ, with σ the root mean square of the spread over classes, (batch, 1, 1).
        centred = points - centre
        sigma = spread.square().mean(dim=2, keepdim=True).sqrt() + LEAST_SPREAD
        scaled = centred / sigma
        shape = self.shape(torch.cat([centred, scaled, centred.softmax(dim=2), (2 * scaled).softmax(dim=2)], dim=2))
        often = torch.matmul(shares[:, None], plain)  # mean plain answer, (batch, 1, classes)
        counted = weights.sum(dim=1)[:, None, None]  # n = Σ weights, (batch, 1, 1)
        # ln(n)/4 is about one at most; 1/(1 + n) tells small sets apart.
        size = torch.cat([counted.clamp(max=LONGEST).log() / 4, 1 / (1 + counted)], dim=2)
        facts = [mean, deviation, *_moments(shape, shares), centre, spread, often, sigma.log(), size]
        summary = self.summary(torch.cat(facts, dim=2))  # c, (batch, 1, WIDTH)
        # The summary beside each recording, without a copy by a data-dependent shape: 0·x adds its length.
        beside = torch.cat([values, shape, summary + 0 * values, points, centred], dim=2)
        # g(c)·(x − o(c)) + r(f, h, c, x), with g the exponential of what is learned: it stays positive.
        moved = self.scale(summary).exp() * (points - self.offset(summary)) + self.residual(beside)
        trust = self.trust(beside).sigmoid()  # w, (batch, recordings, 1)
        # On corpora never heard the mixture is less often right than it says: p^h, with h fitted on such corpora.
        told = trust * moved.softmax(dim=2) + (1 - trust) * plain
        return (self.hedge * (told + SMALLEST).log()).softmax(dim=2), trust[:, :, 0]


LEAST_SPREAD = 0.1  # of a set's points, so that those of a single one are not divided by nothing
LONGEST = 100  # recordings; more of them are summarised as if there were so many


def _moments(values: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation (batch, 1, width) of values (batch, recordings, width) with shares that sum to one."""
    # μ = Σ_i s_i·x_i, σ² = Σ_i s_i·(x_i − μ)²; with 1e-6 the root's gradient is finite where all x are equal.
    mean = torch.matmul(shares[:, None], values)
    variance = torch.matmul(shares[:, None], (values - mean).square())
    return mean, (variance + 1e-6).sqrt()


class _OneSet(nn.Module):
    """The network over one set, as the graph has it."""

    def __init__(self, network: AdaptationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, probabilities: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        adapted, weight = self.network(probabilities[None], weights[None])
        return adapted[0], weight[0]


def adaptation_graph(network: AdaptationNetwork) -> bytes:
    """Return the ONNX graph: ``probabilities`` (recordings, classes), ``weights`` (recordings,) in; ``adapted`` and
    ``weight`` of the same shapes out, all float32."""
    example = (torch.full((3, network.n_classes), 1 / network.n_classes), torch.ones(3))
    recordings = torch.export.Dim("recordings")
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            _OneSet(network).eval(),
            example,
            input_names=["probabilities", "weights"],
            output_names=["adapted", "weight"],
            dynamic_shapes={"probabilities": {0: recordings}, "weights": {0: recordings}},
            opset_version=OPSET,
            dynamo=True,
        )
    assert program is not None
    proto = program.model_proto
    _forget_source(proto)
    return bytes(proto.SerializeToString())


def _forget_source(proto: onnx.ModelProto) -> None:
    """Remove the exporter's notes of the machine: files and lines that nodes come from."""
    del proto.metadata_props[:], proto.graph.metadata_props[:]
    for part in (*proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
