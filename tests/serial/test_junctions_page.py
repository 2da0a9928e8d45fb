"""The page on Josephson junctions, in a real browser: slid, a wafer dropped."""

import pytest
from sliders import assert_answered_sooner_than_a_figure, press, shown

from solvable.junctions.wafer import synthetic_wafer

CHAIN = ("Width as drawn", "Specific resistance", "Shunt capacitance", "Superconducting gap", "Spread of R")
COLLISIONS = ("Spread of R on a chip", "Frequency step")


@pytest.fixture(scope="module")
def page(page_of):
    page = page_of("junctions")
    page.wait_for_selector("#collisions svg.chart")
    page.wait_for_selector("input[type=file]", state="attached")
    return page


def drop(page, path, sentence_or_verdict):
    page.locator("input[type=file]").set_input_files(path)
    page.wait_for_selector(sentence_or_verdict, timeout=60_000)
    return page.inner_text(sentence_or_verdict)


def remove_file(page):
    page.get_by_text("Click to clear").click()
    page.wait_for_function("!document.querySelector('#wafer, #problem')", timeout=60_000)


def test_every_slider_moves_its_part_and_nothing_else(page):
    for sliders, own, other in ((CHAIN, "chain", "collisions"), (COLLISIONS, "collisions", "chain")):
        before, beside = shown(page, own), shown(page, other)
        for slider in sliders:
            press(page, slider, "ArrowRight", own)
            press(page, slider, "ArrowLeft", own)
        assert (shown(page, own), shown(page, other)) == (before, beside)


def test_the_width_for_a_frequency_is_where_the_sentence_says(page):
    assert "For 5 GHz draw 192 nm." in page.inner_text("#chain-sentence")
    for key in ("ArrowLeft", "ArrowLeft"):
        press(page, "Width as drawn", key, "chain")
    assert "4.942 GHz" in page.inner_text("#chain dl.facts")
    assert "area = 0.19**2" in page.inner_text("#chain-code")
    for key in ("ArrowRight", "ArrowRight"):
        press(page, "Width as drawn", key, "chain")


def test_a_slider_is_answered_sooner_than_a_figure_is_drawn(page):
    def move() -> None:
        for sliders, part in ((CHAIN, "chain"), (COLLISIONS, "collisions")):
            for slider in sliders:
                for key in ("ArrowLeft", "ArrowRight"):
                    press(page, slider, key, part)
                    page.wait_for_timeout(30)

    assert_answered_sooner_than_a_figure(page, move)


def test_a_wafer_gets_its_report_with_the_page_s_capacitance(page, tmp_path):
    path = tmp_path / "ours <i>.csv"
    synthetic_wafer(5, n_chips=8, per_design=2).table.to_csv(path, index=False)
    verdict = drop(page, path, "#wafer")
    assert "of 400 junctions are good" in verdict
    assert "Report on ours <i>.csv:" in verdict
    assert page.inner_text("#wafer-map").count(".") > 350
    field = page.get_by_role("textbox", name="Shunt capacitance")
    field.fill("90")
    field.press("Enter")
    page.wait_for_function(
        "document.querySelector('#wafer')?.textContent.includes('assume a shunt of 90 fF')"
    )
    remove_file(page)
    page.get_by_label("Show a synthetic wafer").check()
    page.wait_for_function("document.querySelector('#wafer')?.innerText.includes('whose truth is known')")
    page.get_by_label("Show a synthetic wafer").uncheck()
    page.wait_for_function("!document.querySelector('#wafer')")


@pytest.mark.parametrize(
    ("name", "rows", "words"),
    [
        ("two_columns.csv", ["chip,R_ohm", "A,8100"], "no column w1_um"),
        ("words.csv", ["chip,w1_um,w2_um,R_ohm", "A,0.2,0.2,8.1 kohm"], "'8.1 kohm' in row 1"),
        ("two.csv", ["wafer,chip,w1_um,w2_um,R_ohm", "V,A,0.2,0.2,8100", "W,A,0.2,0.2,8100"], "“Wafer”"),
    ],
)
def test_a_bad_csv_gets_its_sentence_and_the_page_goes_on(page, tmp_path, name, rows, words):
    (tmp_path / name).write_text("\n".join(rows))
    sentence = drop(page, tmp_path / name, "#problem")
    assert words in sentence
    assert "/tmp" not in sentence
    assert "Traceback" not in page.inner_text("body")
    press(page, "Spread of R", "ArrowRight", "chain")
    remove_file(page)
    press(page, "Spread of R", "ArrowLeft", "chain")
