"""`bench doctor` where there is a card: what CUDA says of it is said, and what no driver says, too."""


def test_a_card_is_seen(bench):
    done = bench("doctor", CUDA_VISIBLE_DEVICES="0")
    assert done.returncode in (0, 1) and "Traceback" not in done.stdout + done.stderr, done.stderr
    (torch,) = (line for line in done.stdout.splitlines() if line.split()[1] == "torch")
    assert torch.startswith("ok    torch") and ", cuda:0 " in torch
    assert "look  cuda:0           the driver does not say who else is on the card" in done.stdout


def test_it_makes_no_context(bench):
    """A context takes memory of a card that others may be using."""
    done = bench("doctor --json", devices=2)
    assert '"cuda:1"' in done.stdout, done.stderr
    assert all(not any(counts.get("contexts", ())) for counts in done.counts.values()), done.counts
