"""A result becomes charts: a bar for each number, a word where there is none, valid SVG."""

from xml.etree import ElementTree

from benches.charts import draw

SVG = "{http://www.w3.org/2000/svg}"


def cell(median, note=None):
    return {"median": median} if note is None else {"median": None, "note": note}


RESULT = {
    "contenders": ["loky-rs", "loky", "mp-pool"],
    "rows": {
        "round_trip · p50_us": {"loky-rs": cell(50.0), "loky": cell(500.0), "mp-pool": cell(300.0)},
        "crash_kill · next_ok_ms": {"loky-rs": cell(5.0), "mp-pool": cell(None, "hang & wait")},
    },
}


def drawn():
    charts = draw(RESULT)
    assert list(charts) == ["speed-waits.svg"]
    return ElementTree.fromstring(charts["speed-waits.svg"])


def test_a_chart_has_a_bar_for_each_number_and_a_longer_one_for_a_larger():
    bars = [float(bar.get("width")) for bar in drawn().findall(f"{SVG}rect")[1:]]
    assert len(bars) == 4
    assert bars[0] < bars[2] < bars[1]


def test_a_contender_without_a_number_has_a_word():
    texts = [text.text for text in drawn().findall(f"{SVG}text")]
    assert "hang & wait" in texts


def test_rows_that_were_not_measured_make_no_chart():
    assert draw({"contenders": [], "rows": {}}) == {}
