"""Gallery and page in a real browser: what they show, how fast a slider is answered, what a user's file gets."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sliders import assert_answered_sooner_than_a_figure, press

CURVES = ("learning-curve", "ridge-curve")


@pytest.fixture(scope="module")
def page(page_of):
    return page_of("regression")


def line(page, chart="learning-curve"):
    return page.locator(f"#{chart} path.curve.first").first.get_attribute("d")


def wait_for_another_line(page, before):
    """Wait until the learning curve is not the one that `line` gave."""
    page.wait_for_function(
        "before => { const now = document.querySelector('#learning-curve path.curve.first');"
        " return now && now.getAttribute('d') !== before; }",
        arg=before,
        timeout=60_000,
    )


def drop(page, path, sentence_or_verdict):
    page.locator("input[type=file]").set_input_files(path)
    page.wait_for_selector(sentence_or_verdict, timeout=60_000)
    return page.inner_text(sentence_or_verdict)


def remove_file(page):
    page.get_by_text("Click to clear").click()
    page.wait_for_function("!document.querySelector('#verdict, #problem')", timeout=60_000)


def test_every_slider_moves_the_surface(page):
    learning, ridge = line(page), line(page, "ridge-curve")
    press(page, "Ridge", "ArrowRight", *CURVES)
    assert line(page) != learning
    press(page, "Training samples", "ArrowLeft", *CURVES)
    assert line(page, "ridge-curve") != ridge
    for slider, key in (("Random features", "ArrowLeft"), ("Extra label noise", "ArrowRight")):
        learning, ridge = line(page), line(page, "ridge-curve")
        press(page, slider, key, *CURVES)
        assert line(page) != learning
        assert line(page, "ridge-curve") != ridge
    press(page, "Random features", "End", *CURVES)
    press(page, "Extra label noise", "Home", *CURVES)


def test_a_slider_is_answered_sooner_than_a_figure_is_drawn(page):
    def move() -> None:
        for slider in ("Ridge", "Training samples"):
            for key in ("ArrowLeft", "ArrowLeft", "ArrowRight"):
                press(page, slider, key, *CURVES)
                page.wait_for_timeout(50)

    assert_answered_sooner_than_a_figure(page, move)


def test_another_data_set_and_kernel_are_shown(page):
    shown = line(page)
    page.get_by_label("Data", exact=True).select_option("wine")
    page.wait_for_function("document.querySelector('#learning-curve').innerHTML.includes('sample of 178')")
    assert line(page) != shown
    shown = line(page)
    page.get_by_label("Kernel", exact=True).select_option("gaussian")
    wait_for_another_line(page, shown)
    page.get_by_label("Kernel", exact=True).select_option("laplace")
    page.get_by_label("Data", exact=True).select_option("digits")
    page.wait_for_function("document.querySelector('#learning-curve').innerHTML.includes('sample of 600')")


def test_a_csv_gets_its_verdict_and_moves_under_the_sliders(page, tmp_path):
    bunch = load_diabetes()
    table = np.column_stack([bunch.data, bunch.target])
    head = ",".join([*bunch.feature_names, "progression"])
    np.savetxt(tmp_path / "diabetes.csv", table, delimiter=",", header=head, comments="")
    digits = line(page)
    verdict = drop(page, tmp_path / "diabetes.csv", "#verdict")
    assert "ridge" in verdict
    assert "diabetes.csv" in verdict
    assert "/tmp" not in verdict
    # The verdict comes first; the curves follow in cells of their own.
    wait_for_another_line(page, digits)
    assert "in target units squared" in page.locator("#learning-curve").inner_html()
    press(page, "Ridge", "ArrowRight", *CURVES)
    remove_file(page)
    page.wait_for_function("document.querySelector('#learning-curve').innerHTML.includes('sample of 600')")


@pytest.mark.parametrize(
    ("name", "rows", "words"),
    [
        ("one_column.csv", ["a", *(f"{i}" for i in range(50))], "column"),
        ("names.csv", ["name,a,y", *(f"n{i},{i},{i % 2}" for i in range(1000))], "name"),
        ("hole.csv", ["a,b,y", "1,2,0", "3,,1", *(f"{i},{i * i % 7},{i % 2}" for i in range(60))], "missing"),
    ],
)
def test_a_bad_csv_gets_its_sentence_and_the_page_goes_on(page, tmp_path, name, rows, words):
    (tmp_path / name).write_text("\n".join(rows))
    sentence = drop(page, tmp_path / name, "#problem")
    assert words in sentence
    assert name in sentence
    assert "/tmp" not in sentence
    assert "Traceback" not in page.inner_text("body")
    press(page, "Ridge", "ArrowRight", *CURVES)
    remove_file(page)
    press(page, "Ridge", "ArrowLeft", *CURVES)
