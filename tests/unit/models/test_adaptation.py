"""The adaptation network answers sets whatever their order, and its graph says the same."""

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch
from traced_once import AdaptationGraphs

from earnest.models.adaptation import AdaptationNetwork, adaptation_graph

K = 4  # classes


def random_network() -> AdaptationNetwork:
    torch.manual_seed(0)
    network = AdaptationNetwork(K).eval()
    with torch.no_grad():
        for tensor in network.parameters():
            tensor.add_(0.1 * torch.randn(tensor.shape))
    return network


@cache
def random_graph() -> bytes:
    return adaptation_graph(random_network())


def drawn(n: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).dirichlet(np.ones(K), n).astype(np.float32)


def test_an_untrained_network_gives_the_plain_answer() -> None:
    plain = torch.from_numpy(drawn(5))[None]
    adapted, weight = AdaptationNetwork(K)(plain, torch.ones(1, 5))
    torch.testing.assert_close(adapted, plain, atol=1e-5, rtol=0)
    assert weight.shape == (1, 5)


def test_the_order_of_a_set_is_of_no_meaning_and_a_weight_of_two_is_a_recording_twice() -> None:
    network, plain = random_network(), torch.from_numpy(drawn(6))
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    adapted, weight = network(plain[None], torch.ones(1, 6))
    again, weight_again = network(plain[order][None], torch.ones(1, 6))
    torch.testing.assert_close(again[0], adapted[0, order])
    torch.testing.assert_close(weight_again[0], weight[0, order])
    twice, _ = network(torch.cat([plain, plain[:1]])[None], torch.ones(1, 7))
    double, _ = network(plain[None], torch.tensor([[2.0, 1, 1, 1, 1, 1]]))
    torch.testing.assert_close(double[0], twice[0, :6])


@pytest.mark.parametrize("n", [1, 2, 40])
def test_the_graph_says_what_the_network_says_at_every_length(n: int) -> None:
    network, plain, weights = random_network(), drawn(n), np.linspace(0.2, 1, n, dtype=np.float32)
    session = onnxruntime.InferenceSession(random_graph(), providers=["CPUExecutionProvider"])
    found = session.run(["adapted", "weight"], {"probabilities": plain, "weights": weights})
    with torch.no_grad():
        expected = network(torch.from_numpy(plain)[None], torch.from_numpy(weights)[None])
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, wanted[0].numpy(), atol=1e-6)
    np.testing.assert_allclose(found[0].sum(axis=1), 1, atol=1e-5)


def test_another_temperature_of_plain_answers_changes_nothing_when_told_and_the_hedge_flattens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "scripts"))
    from fit_adaptation import with_temperatures

    graph, plain, weights = random_graph(), drawn(9), np.ones(9, np.float32)
    softer = np.sqrt(plain) / np.sqrt(plain).sum(axis=1, keepdims=True)  # temperature two

    def run(data: bytes, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        return np.asarray(session.run(["adapted"], {"probabilities": probabilities, "weights": weights})[0])

    usual = run(graph, plain)
    np.testing.assert_allclose(run(with_temperatures(graph, 2.0, 1.0), softer), usual, atol=1e-4)
    hedged = run(with_temperatures(graph, 1.0, 0.5), plain)
    roots = np.sqrt(usual) / np.sqrt(usual).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(hedged, roots, atol=1e-4)


def test_what_tests_make_of_a_graph_that_was_traced_before_is_what_the_exporter_makes() -> None:
    assert AdaptationGraphs().graph(random_network()) == random_graph()


def test_the_graph_names_no_file_of_the_machine() -> None:
    assert b".py" not in random_graph()
