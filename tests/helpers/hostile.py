"""Records that try to break a page or a table: free text in every place that the schema leaves free."""

from record_factory import make_record

from leaderboard.records.schema import Record

SCRIPT = "</script></title><script>window.broken = 1</script><img src=x onerror='window.broken = 1'>"
LATEX = r"\input{/etc/passwd} $x_1^2$ 50 % #1 & ~ \\ {"
FORMULA = '=HYPERLINK("http://example.org")'


def hostile_records() -> list[Record]:
    """Three models over two realizations; one run failed; names of hardware, commands and data are attacks."""
    attack = {"hardware": {"device": "cpu", "name": SCRIPT, "threads": 2}, "command": SCRIPT, "execution": {"jobs": 2}}
    records = [make_record("cnn", realization=r, wrong=20 + r, **attack) for r in range(2)]
    records += [make_record("sicnn", realization=r, wrong=90 + r, hardware={"name": LATEX}) for r in range(2)]
    records += [make_record("ss-cnn", realization=0, wrong=30, hardware={"name": FORMULA}, software={"git_commit": SCRIPT})]
    failure = {"kind": SCRIPT, "message": f"{SCRIPT}\u202e\x1b[31m {LATEX}", "traceback_tail": [SCRIPT]}
    records += [make_record("ss-cnn", realization=1, failure=failure)]
    other = {"variant": SCRIPT, "protocol": "short", "digest": SCRIPT}
    records += [make_record(name, "mnist-scale-56", run_id=f"{name}-56", **other) for name in ("cnn", "sicnn")]
    return records
