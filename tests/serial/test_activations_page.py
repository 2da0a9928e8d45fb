"""The page that designs activations, in a real browser: slid, refused, projected, trained."""

import pytest
from sliders import assert_answered_sooner_than_a_figure, choose, press, shown

from solvable.activations import explore

IMPOSSIBLE = "(3c² − 1)/2, impossible"
# Polynomials are designed at once; the first kernel's activation has to be fitted.
POLYNOMIAL = "polynomial, c⁴ + c"


@pytest.fixture(scope="module")
def page(page_of):
    return page_of("activations")


def test_a_deep_net_is_what_it_starts_with(page):
    first = next(iter(explore.PRESETS))
    phi = explore.shape(explore.Choice(first, explore.starting_series(first))).phi
    assert page.inner_text("#formula") == f"φ(z) = {phi.formula}"
    assert "np.cos" in page.inner_text("#code")
    page.get_by_label("The activation as code, for").select_option("torch")
    page.wait_for_function("document.querySelector('#code').innerText.includes('torch.cos')")


def test_every_slider_moves_kernel_activation_or_band(page):
    choose(page, "Kernel to start from", POLYNOMIAL, "kernel")
    assert page.inner_text("#formula") == "φ(z) = 0.70711 z + 0.44721 h4(z)"
    for slider in ("a₀", "a₂ c²", "a₃ c³", "a₅ c⁵", "a₆ c⁶"):
        activation, coefficients = shown(page, "activation"), shown(page, "coefficients")
        press(page, slider, "ArrowRight", "kernel")
        assert shown(page, "activation") != activation
        assert shown(page, "coefficients") != coefficients
    assert "your power series" in page.inner_text(".legend .asked")
    assert "exact" in page.inner_text(".facts")
    activation = shown(page, "activation")
    press(page, "Neurons N", "ArrowRight", "kernel")
    assert "2048 neurons" in page.inner_text(".facts")
    assert shown(page, "activation") == activation
    press(page, "Neurons N", "ArrowLeft", "kernel")


def test_signs_change_the_activation_and_not_the_kernel(page):
    line = "path.curve.realised"
    kernel, activation = (
        page.locator(f"#{chart} {line}").get_attribute("d") for chart in ("kernel", "activation")
    )
    choose(page, "Signs of a polynomial", "all +", "activation")
    assert page.locator(f"#kernel {line}").get_attribute("d") == kernel
    assert page.locator(f"#activation {line}").get_attribute("d") != activation


def test_a_slider_is_answered_sooner_than_a_figure_is_drawn(page):
    choose(page, "Kernel to start from", "Gaussian, e^(c − 1)", "kernel")

    def move() -> None:
        for slider in ("a₁ c", "a₂ c²", "Neurons N"):
            for key in ("ArrowRight", "ArrowLeft"):
                press(page, slider, key, "kernel")
                page.wait_for_timeout(30)

    assert_answered_sooner_than_a_figure(page, move)


def test_an_impossible_kernel_is_refused_and_its_nearest_one_offered(page):
    page.get_by_label("Kernel to start from").select_option(IMPOSSIBLE)
    page.wait_for_selector("#problem")
    sentence = page.inner_text("#problem")
    assert "a_0 = -0.5" in sentence
    assert "Traceback" not in page.inner_text("body")
    assert page.locator("#activation").count() == 0
    page.get_by_role("button", name="Train the net").click()
    page.get_by_text("There is no net to train").wait_for()
    page.get_by_text("Use the nearest kernel").click()
    page.wait_for_selector("#activation svg")
    assert page.locator("#problem").count() == 0
    page.get_by_text("Use the nearest kernel").click()
    page.wait_for_selector("#problem")
    choose(page, "Kernel to start from", POLYNOMIAL, "kernel")
    assert page.locator("#problem").count() == 0


def test_the_net_is_trained_and_stays_while_sliders_move(page):
    # 64 neurons take a second; the page's tests are no benchmark.
    press(page, "Neurons N", "Home", "kernel")
    page.get_by_label("What to learn").select_option("a zero or not")
    page.get_by_role("button", name="Train the net").click()
    page.wait_for_selector("#test-loss svg", timeout=60_000)
    assert "64 neurons" in page.inner_text("#trained")
    for chart in ("train-loss", "test-loss"):
        for line in ("path.curve.realised", "path.curve.theory.dashed", "path.curve.other"):
            assert page.locator(f"#{chart} {line}").first.get_attribute("d").count("L") >= 10
    loss = shown(page, "test-loss")
    press(page, "a₁ c", "ArrowLeft", "kernel")
    assert shown(page, "test-loss") == loss
