"""What an evaluation says of codes, and evaluations of runs that are told labels or contexts."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from molae.codecs import GrammarCodec, ImageCodec
from molae.datasets.files import DataError
from molae.datasets.images import read_images
from molae.datasets.transforms import save_images, transformed
from molae.densities import density
from molae.grammar.restrict import restricted
from molae.metrics.injective import pushed_forward
from molae.pictures import pixels_of, text_of
from molae.runs import build
from molae.workflows.chains import Walk, chain
from molae.workflows.conditions import contexts_of, with_contexts
from molae.workflows.data import load_data
from molae.workflows.evaluate_images import decoded, encoded, sheet
from molae.workflows.evaluate_run import evaluate_model, evaluate_run
from molae.workflows.evaluation import Evaluation
from molae.workflows.generate import generate
from molae.workflows.held_images import HeldImages, held_images
from molae.workflows.information import MEANINGS, judge_codes, judge_images
from molae.workflows.nll import nll
from molae.workflows.page import page
from molae.workflows.report import write_report
from molae.workflows.train import train

TINY = {
    "latent_dim": 3, "encoder_hidden": 32, "decoder_hidden": 32, "width": 0.5, "components": 2,
    "batch_size": 64, "precision": "fp32", "device": "cpu", "progress": False, "workers": 1,
    "remembered": False, "validation": 0.2,
}  # fmt: skip
N = 30


@pytest.fixture(scope="module")
def digits():
    """300 digits, 8 x 8, with their labels."""
    whole = read_images("digits")
    names = ("pixels", "labels", "keys", "names")
    return replace(whole, **{name: getattr(whole, name)[:300] for name in names})


@pytest.fixture(scope="module")
def files(digits, tmp_path_factory):
    """Digits with labels, and sums with the addends as contexts."""
    folder = tmp_path_factory.mktemp("files")
    save_images(digits, folder / "digits.npz")
    save_images(transformed("sum", digits), folder / "sum.npz")
    np.savez(folder / "bare.npz", images=digits.pixels[:80])
    return folder


@pytest.fixture(scope="module")
def told(files, tmp_path_factory):
    """A run that is told labels and has learnt what they look like."""
    return train(
        files / "digits.npz", tmp_path_factory.mktemp("runs") / "told", objective="vae", beta=1.0,
        likelihood="bernoulli", condition="label", steps=120, **TINY,
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(told, files):
    return evaluate_model(told, train=files / "digits.npz", n=N, nll=10)


def held(run, file):
    """Held-out images with their contexts."""
    return held_images(run, None, with_contexts(run, load_data([file], codec=run.codec)))


# Runs that are told something --------------------------------------------------------------------


def test_codes_are_measured_with_their_labels(told, done, files):
    numbers, data = done.numbers, held(told, files / "digits.npz").data
    assert 0 <= numbers["marginal_kl"] <= numbers["average_kl"]
    assert numbers["information"] <= math.log(N)
    difference = numbers["average_kl"] - numbers["marginal_kl"]
    assert numbers["information"] == pytest.approx(difference)
    assert {done.sizes[name] for name in ("average_kl", "marginal_kl", "sigma_opt")} == {N}
    batch = data.batch(range(len(data)))
    again = decoded(told, encoded(told, data.pixels, batch.context), context=batch.context)
    whole = np.square(data.pixels / 255 - again / 255).mean()
    low, high = done.sure("squared_error", numbers["squared_error"])
    assert low - 0.01 < whole < high + 0.01
    (note,) = [note for note in done.notes if note.startswith("This run is told")]
    assert "the label: 0, 1" in note
    assert "as often as in the training data" in note


def test_a_wrong_label_makes_an_image_less_likely(told, done, files):
    batch = held(told, files / "digits.npz").data.batch(range(40))
    right, wrong = (
        nll(told, batch.x, 20, context=context).numbers()["nll"]
        for context in (batch.context, batch.context.roll(3, 1))
    )
    assert right + 1 < wrong
    assert done.numbers["nll"] == pytest.approx(right, abs=3)
    with pytest.raises(ValueError, match="has to be given"):
        nll(told, batch.x, 5)


def test_labels_that_are_drawn_and_labels_that_are_asked_for(told, done, files):
    own = {"train": files / "digits.npz", "n": N}
    asked = evaluate_model(told, condition="7", densities=["prior"], **own)
    for found, context in ((done, None), (asked, contexts_of(told, "7"))):
        texts = told.sample(N, density="prior", context=context)
        first = pixels_of(found.images.sets["prior"])
        wanted = sheet(np.stack([pixels_of(text) for text in texts]))
        assert np.array_equal(first, pixels_of(wanted))
    assert asked.numbers["squared_error"] == done.numbers["squared_error"]
    with pytest.raises(ValueError, match="labels 0, 1"):
        evaluate_model(told, condition="seven", **own)


def test_what_has_no_label(told, files, digits):
    bare, own = files / "bare.npz", files / "digits.npz"
    beside = evaluate_model(told, train=own, reference=bare, n=N, densities=["prior"])
    assert beside.about["reference"] == N
    with pytest.raises(DataError, match="no labels"):
        evaluate_model(told, train=bare, n=N)
    texts = [text_of(image) for image in digits.pixels[:20]]
    with pytest.raises(ValueError, match="come without"):
        evaluate_run(told, reference=None, train=texts, n=N)


def test_report_of_a_run_that_is_told(done, tmp_path):
    write_report(done, tmp_path / "report.json")
    values = json.loads((tmp_path / "report.json").read_text())
    low, high = values["intervals_95"]["marginal_kl"]
    assert low < values["numbers"]["marginal_kl"] < high
    for name in ("average_kl", "marginal_kl", "information", "sigma_opt"):
        assert values["definitions"][name] == MEANINGS[name]
        assert values["measured_on"][name] == N
    write_report(done, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    for words in ("average kl", "sigma opt", "This run is told", f"n = {N}"):
        assert words in text


def test_context_images_and_a_prior_that_depends_on_them(files, tmp_path):
    run = train(
        files / "sum.npz", tmp_path / "run", objective="vae", condition="context",
        prior="conditional", steps=4, **TINY,
    )  # fmt: skip
    own = {"train": files / "sum.npz", "n": N}
    found = evaluate_model(run, nll=5, **own)
    assert found.numbers["average_kl"] > 0
    assert "marginal_kl" not in found.numbers
    assert any("another one for each context" in note for note in found.notes)
    assert any("those of held-out images" in note for note in found.notes)
    batch = held(run, files / "sum.npz").data.batch(range(6))
    prior = run.model.prior_of(batch.context)
    with torch.no_grad():
        nats = prior.log_prob(run.codes(batch.x, context=batch.context))
    assert torch.isfinite(nats).all()
    assert math.isfinite(found.densities["prior"]["held_out_nats"])
    assert math.isfinite(found.numbers["nll"])
    assert found.label("prior") == "prior: conditional"
    named = evaluate_model(run, condition=str(own["train"]), densities=["prior"], **own)
    assert named.densities["prior"]["fd_pca"] != found.densities["prior"]["fd_pca"]
    with pytest.raises(DataError, match="no contexts"):
        evaluate_model(run, train=files / "digits.npz", n=N)


def test_chains_keep_what_they_are_told(files, tmp_path):
    run = train(
        files / "digits.npz", tmp_path / "run", objective="dae", condition="label", steps=60,
        **TINY,
    )  # fmt: skip

    def walked(label, n=6, batch=4096):
        options = {"context": contexts_of(run, label), "walk": Walk("bengio", 3), "workers": 1}
        return [row["smiles"] for row in generate(run, n, batch=batch, **options)]

    assert walked("3,1") == walked("3,1", batch=3)
    assert walked("3") != walked("1")
    x = torch.rand(2, 1, 8, 8)
    context = contexts_of(run, "3,1")
    for kind in ("bengio", "rifai"):
        (state,) = chain(run, x, 1, kind, context=context)
        (other,) = chain(run, x, 1, kind, context=context.flip(0))
        assert not torch.allclose(state, other)
        with pytest.raises(ValueError, match="has to be given"):
            chain(run, x, 1, kind)


# What is said of codes ---------------------------------------------------------------------------


def sequences(head, objective, prior=None):
    torch.manual_seed(0)
    model = {
        "latent_dim": 3,
        "encoder": {"name": "recurrent", "embedding": 8, "hidden": 12},
        "head": {"name": head},
        "decoder": {"name": "autoregressive", "embedding": 8, "hidden": 16},
    }
    if prior:
        model["prior"] = {"name": prior}
    config = {"model": model, "objective": {"name": objective}}
    return build(config, GrammarCodec(restricted({"C", "O", "="}), 8))


def images(objective, head, decoder=None):
    torch.manual_seed(0)
    net = {"name": "image", "hidden": 16, "multiplier": 0.25}
    model = {"latent_dim": 3, "encoder": net, "head": {"name": head}, "decoder": decoder or net}
    return build({"model": model, "objective": {"name": objective}}, ImageCodec(8, 8, 1))


def data(n=24):
    pixels = np.random.default_rng(0).integers(0, 256, (n, 8, 8, 1), np.uint8)
    return HeldImages(pixels, pixels[: n // 2], "made up")


@pytest.mark.parametrize(
    ("head", "prior"), [("normal", None), ("normal", "flow"), ("nvp", None), ("iaf", None)]
)
def test_divergences_of_sequences(head, prior):
    run = sequences(head, "vae", prior)
    x = run.codec.encode(["CCOC", "C", "C=O", "CO", "CC"])
    found = Evaluation({})
    judge_codes(run, x, 0, found)
    numbers = found.numbers
    assert list(numbers) == ["average_kl", "marginal_kl", "information"]
    low, high = found.sure("marginal_kl", numbers["marginal_kl"])
    assert low <= numbers["average_kl"]
    assert high >= 0
    assert high - low < 0.5
    assert numbers["information"] <= math.log(5)
    assert found.sizes == dict.fromkeys(numbers, 5)
    again = Evaluation({})
    judge_codes(run, x, 0, again)
    assert again.numbers == numbers
    assert not found.notes


def test_evaluation_of_molecules_says_what_codes_cost():
    run = sequences("normal", "vae")
    known = ["CCOC", "C", "C=O", "CO", "CC", "CCC"]
    found = evaluate_run(
        run, reference=known, train=None, n=20, densities=["prior"], nll=5, workers=1
    )
    assert 0 <= found.numbers["marginal_kl"] <= found.numbers["average_kl"]
    assert found.sizes["marginal_kl"] == found.sizes["minus_elbo"] == 6
    assert "sigma_opt" not in found.numbers
    assert found.rows()[0]["average_kl"] == found.numbers["average_kl"]
    assert "average kl" in page(found)


def test_codes_that_are_told_apart_are_said_to_be():
    run = sequences("normal", "vae")
    with torch.no_grad():
        run.model.head.mean.weight.mul_(1000)
        run.model.head.log_variance.bias.fill_(-9)
    found = Evaluation({})
    judge_codes(run, run.codec.encode(["CCOC", "C", "C=O", "CO"]), 0, found)
    assert found.numbers["information"] == pytest.approx(math.log(4))
    (note,) = found.notes
    assert "log 4 = 1.39" in note


@pytest.mark.parametrize(
    ("head", "objective"), [("delta", "rae"), ("vq", "vqvae"), ("implicit", "avb")]
)
def test_heads_without_a_density_have_none(head, objective):
    run = sequences(head, objective)
    found = Evaluation({})
    judge_codes(run, run.codec.encode(["CCO", "C"]), 0, found)
    assert not found.numbers
    (note,) = found.notes
    assert repr(head) in note


def test_images_of_points_have_a_bound_on_their_surface():
    run, given = images("rae", "delta"), data()
    found = Evaluation({})
    judge_images(run, given, 10, 0, found)
    assert list(found.numbers) == ["sigma_opt"]
    assert any("no 'gmm' or 'gaussian'" in note for note in found.notes)
    run.densities = {"gaussian": density("gaussian").fit(torch.randn(50, 3))}
    judge_images(run, given, 100, 0, found)
    x = given.data.batch(range(24)).x
    bound = pushed_forward(run.model, run.density("gaussian"), x).bound
    assert found.numbers["injective_bound"] == pytest.approx(float(bound.mean()), rel=1e-5)
    assert found.sizes == {"sigma_opt": 12, "injective_bound": 24}
    with torch.no_grad():
        error = (x[:12] - run.model.likelihood(run.model.encode(x[:12])).mean).square().mean()
    assert found.numbers["sigma_opt"] == pytest.approx(float(error.sqrt()), rel=1e-5)
    low, high = found.sure("injective_bound", found.numbers["injective_bound"])
    assert low < float(bound.mean()) < high


def test_images_whose_pixels_depend_on_each_other_have_no_sigma():
    run = images("vae", "normal", {"name": "pixelcnn", "channels": 4})
    found = Evaluation({})
    judge_images(run, data(), 10, 0, found)
    assert list(found.numbers) == ["average_kl", "marginal_kl", "information"]
    assert any("sigma_opt is for images whose values are independent" in n for n in found.notes)


def test_a_code_in_several_steps_has_divergences_too():
    torch.manual_seed(0)
    draw = {"name": "convdraw", "steps": 2, "channels": 4, "multiplier": 0.25}
    model = {"latent_dim": 32, "encoder": {"name": "convdraw"}, "head": {"name": "normal"},
             "decoder": draw}  # fmt: skip
    run = build({"model": model, "objective": {"name": "vae"}}, ImageCodec(8, 8, 1))
    found = Evaluation({})
    judge_images(run, replace(data(6), learnt=None), 10, 0, found)
    assert found.numbers["average_kl"] >= 0
    assert found.numbers["information"] <= math.log(6)
    assert found.sizes["average_kl"] == found.sizes["sigma_opt"] == 6
    assert any("of held-out images" in note for note in found.notes)
