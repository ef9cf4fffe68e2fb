"""The page in headless Chromium: sorting, filters, opening runs, figures; no errors, no requests, no wider than a phone."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile import SCRIPT, hostile_records
from measurement_factory import make_equivariance, make_scale_sweep

from leaderboard.board.files import write_board
from leaderboard.records.measurement import write_measurement
from leaderboard.records.store import write_record

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="no chromium and chromedriver here (Debian: chromium-driver)")


def start(*, javascript: bool = True) -> Any:
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,1000"):
        options.add_argument(argument)
    if not javascript:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options, webdriver.ChromeService(DRIVER))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page")
    for record in hostile_records():
        write_record(root / "records", record)
    for model in ("cnn", "sicnn", "ss-cnn"):
        write_measurement(root / "records", make_equivariance(model))
        write_measurement(root / "records", make_scale_sweep(model=model, name=f"sweep-{model}"))
    write_board(root / "records", root / "b.md", folder=root / "board")
    return root / "board" / "leaderboard.html"


@pytest.fixture(scope="module")
def started() -> Iterator[Any]:
    driver = start()
    yield driver
    driver.quit()


@pytest.fixture
def browser(started: Any, page: Path) -> Any:
    started.set_window_size(1280, 1000)
    started.get(page.as_uri())
    return started


def find(browser: Any, what: str) -> list[Any]:
    return list(browser.find_elements("css selector", what))


def models(browser: Any) -> list[str]:
    return [
        body.get_attribute("data-model")
        for body in find(browser, "section.board[data-task='mnist-scale-28'] tbody")
        if body.is_displayed()
    ]


def choose(browser: Any, name: str, value: str) -> None:
    script = "const s = document.getElementById(arguments[0]); s.value = arguments[1]; "
    browser.execute_script(script + "s.dispatchEvent(new Event('change', {bubbles: true}))", f"by-{name}", value)


def test_no_errors_no_requests_and_no_attack(browser: Any, page: Path) -> None:
    import json

    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"}
    assert {url for url in asked if not url.startswith("data:")} <= {page.as_uri()}
    assert page.as_uri() in asked, "the log must have seen the page itself"
    assert browser.execute_script("return window.broken === undefined && document.scripts.length === 1")


def test_sorting(browser: Any) -> None:
    assert models(browser) == ["cnn", "ss-cnn", "sicnn"]
    titles = {
        button.text.split("\n")[0].strip(" ↕↑↓"): button
        for button in find(browser, "section.board[data-task='mnist-scale-28'] th button")
    }
    titles["Model"].click()
    assert models(browser) == ["cnn", "sicnn", "ss-cnn"]
    titles["Model"].click()
    assert models(browser) == ["ss-cnn", "sicnn", "cnn"]
    assert find(browser, "th[aria-sort]")[0].get_attribute("aria-sort") == "descending"
    titles["Rank"].click()  # ss-cnn has one run and no rank: last, upwards and downwards
    assert models(browser)[-1] == "ss-cnn"
    titles["Rank"].click()
    assert models(browser) == ["sicnn", "cnn", "ss-cnn"]


def test_filters(browser: Any) -> None:
    def shown() -> list[str]:
        return [h.text for h in find(browser, "section.board h2") if h.is_displayed()]

    assert shown() == ["mnist-scale-28", "mnist-scale-56"]
    choose(browser, "protocol", "short")
    assert shown() == ["mnist-scale-56"]
    choose(browser, "protocol", "")
    choose(browser, "task", "mnist-scale-28")
    assert shown() == ["mnist-scale-28"]
    choose(browser, "hardware", f"{SCRIPT}, 2 threads")
    assert models(browser) == ["cnn"]
    assert {m.get_attribute("data-model") for m in find(browser, "section.board .mark") if m.is_displayed()} == {"cnn"}
    choose(browser, "protocol", "short")
    assert shown() == []
    assert find(browser, "#nothing")[0].is_displayed()
    assert find(browser, "#count")[0].text == "0 tables"


def test_published_lists_are_filtered_by_task_and_open(browser: Any) -> None:
    def shown() -> list[str]:
        return [d.text.split(":")[0] for d in find(browser, ".published details") if d.is_displayed()]

    every = shown()
    assert every[:2] == ["mnist-scale-28", "mnist-scale-28+"]
    assert "STIR-MNIST (64x64)" in every
    choose(browser, "task", "mnist-scale-56")
    assert shown() == ["mnist-scale-56", *(name for name in every if not name.startswith(("mnist-", "stl10")))]
    details = find(browser, ".published details[data-task='mnist-scale-56']")[0]
    details.find_element("css selector", "summary").click()
    assert "DISCO disco 1.52 ± 0.06 †" in details.text
    assert "arXiv:2106.02733" in details.text
    assert not find(browser, ".published button"), "nothing to sort: of one setting only, and in order"


def test_a_cell_opens_its_runs(browser: Any) -> None:
    cell = find(browser, "tbody[data-model='ss-cnn'] .row td")[2]
    runs = find(browser, "tbody[data-model='ss-cnn'] .runs")[0]
    assert not runs.is_displayed()
    cell.click()
    assert runs.is_displayed()
    for word in ("realization 0", "seeds: weights 7", "failed", "commit", "bench run --model ss-cnn", SCRIPT[:20]):
        assert word in runs.text
    cell.click()
    assert not runs.is_displayed()
    find(browser, "tbody[data-model='ss-cnn'] .row")[0].send_keys("\ue007")
    assert runs.is_displayed()


def test_figures_answer(browser: Any) -> None:
    mark = find(browser, "#ours-and-published .mark[data-model='sicnn']")[0]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", mark)
    webdriver.ActionChains(browser).move_to_element(mark).perform()
    tip = find(browser, "#tip")[0]
    assert tip.is_displayed()
    assert tip.text.startswith("sicnn: 9.05 ± 0.07 %, n = 2")
    assert len(find(browser, "#ours-and-published .figures.dimmed .mark.hot")) == 2  # ours and the published number
    mark.click()
    assert find(browser, "tbody[data-model='sicnn'] .runs")[0].is_displayed()


OUTSIDE = """
const room = document.documentElement.clientWidth;
const hidden = (e) => e.closest("details:not([open])") && !e.closest("summary");
return [...document.querySelectorAll("main *, header *")].filter((e) => {
  const box = e.getBoundingClientRect();
  const frame = e.tagName === "text" ? e.closest("svg").getBoundingClientRect() : { left: 0, right: room };
  if (box.width === 0 || hidden(e) || e.closest(".published .wide")) return false;
  return box.right > frame.right + 1 || box.left < frame.left - 1;
}).map((e) => e.outerHTML.slice(0, 200));
"""


@pytest.mark.parametrize("width", [1300, 400])
@pytest.mark.parametrize("which", ["hostile", "committed"])
def test_nothing_is_clipped(browser: Any, width: int, which: str) -> None:
    if which == "committed":
        browser.get((Path(__file__).resolve().parents[3] / "docs/board/leaderboard.html").as_uri())
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.refresh()
    try:
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.execute_script(OUTSIDE) == []
        find(browser, "section.board tbody .row td")[0].click()
        runs = find(browser, "section.board tbody .runs ul")[0]
        assert 0 < runs.size["width"] <= width
        browser.execute_script("for (const d of document.querySelectorAll('.published details')) d.open = true")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.execute_script(OUTSIDE) == []
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_matrix_leads_to_the_tables(browser: Any, page: Path) -> None:
    links = find(browser, ".matrix a.ours")
    assert links[0].text == "2.05 ± 0.07" and "".join(link.text for link in links).count("9.05") == 1
    links[0].click()
    assert browser.current_url == f"{page.as_uri()}#paper_10k-2k-50k_mnist-scale-28"
    place = find(browser, "section.board[data-task='mnist-scale-28']")[0]
    assert 0 <= browser.execute_script("return arguments[0].getBoundingClientRect().top", place) < 200
    anchors = {link.get_attribute("href").split("#")[1] for link in find(browser, ".contents a, .matrix a.ours, .anchor")}
    assert anchors <= {part.get_attribute("id") for part in find(browser, "[id]")} and len(anchors) >= 4


def test_without_javascript_everything_is_there(page: Path) -> None:
    driver = start(javascript=False)
    try:
        driver.get(page.as_uri())
        assert [h.text for h in find(driver, "section.board h2")] == ["mnist-scale-28", "mnist-scale-56"]
        assert not find(driver, "#filters")[0].is_displayed()
        assert all(row.is_displayed() for row in find(driver, ".runs"))
        summary = find(driver, "tbody[data-model='ss-cnn'] summary")[0]
        summary.click()
        assert "bench run --model ss-cnn" in find(driver, "tbody[data-model='ss-cnn'] .runs")[0].text
        assert all(svg.is_displayed() for svg in find(driver, ".figures > svg"))
    finally:
        driver.quit()
