"""What a finished training says of its losses."""

from __future__ import annotations

from samebits.training.outputs import _learnt_badly


def curve(*losses: float | None) -> list[dict[str, float | int | None]]:
    """Ten steps an epoch, with a row of training in between."""
    rows: list[dict[str, float | int | None]] = []
    for epoch, loss in enumerate(losses, start=1):
        rows += [{"step": 10 * epoch - 5, "train/loss": 1.0}, {"step": 10 * epoch, "epoch": epoch, "val/loss": loss}]
    return rows


def test_a_loss_that_rose_is_named_with_both_epochs() -> None:
    said = _learnt_badly(curve(0.9, 0.5, 3682.0), kept=30)
    assert "was 0.5000 after epoch 2 and is 3682.0000 after epoch 3" in said
    assert "train.select: best" in said


def test_weights_of_a_good_epoch_are_no_fault() -> None:
    assert _learnt_badly(curve(0.9, 0.5, 3682.0), kept=20) == ""
    assert _learnt_badly(curve(0.9, 0.5, 0.6), kept=30) == "", "noise"
    assert _learnt_badly(curve(0.5), kept=10) == ""
    assert _learnt_badly(curve(None, None), kept=20) == "", "its own message says so"
