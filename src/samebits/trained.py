"""A trained model as a function: `samebits.load("models/checkpoint")(image)`.

    model = samebits.load("models/checkpoint")      # torch; or models/export/model.onnx: ONNX Runtime
    answer = model("cat.jpg")                       # a path, a PIL image or an array; a text; a row; an array
    answer.label, answer.probabilities, str(answer)

The same preprocessing runs as in `samebits predict`, so the answers are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from samebits.inference.calibration import Calibration
    from samebits.signature.target_kind import TargetKind


@dataclass(frozen=True)
class Answer:
    """What a model says about one sample; `str(answer)` is for people.

    Attributes:
        values: float32: probabilities of the classes [K] or, of masks, [K, H, W]; a number []; numbers [K].
        target: what they are of.
        calibration: what was fitted on the validation split; None where nothing is known of it.
    """

    values: npt.NDArray[np.float32]
    target: TargetKind
    calibration: Calibration | None = None

    @property
    def label(self) -> str | None:
        """The most probable class; None where an answer is none of classes."""
        ranked = self.top(1)
        return ranked[0][0] if ranked else None

    @property
    def probabilities(self) -> dict[str, float]:
        """Of each class, the most probable first; empty where an answer is none of classes."""
        return dict(self.top(len(self.target.labels)))

    def top(self, count: int = 3) -> tuple[tuple[str, float], ...]:
        """The most probable classes with their probabilities."""
        return self.target.ranked(self.values, count)

    @property
    def interval(self) -> tuple[tuple[float, float], ...]:
        """Of each predicted number, the ends of its interval (`calibration.coverage`); empty where there is none."""
        return self._calibration.interval(self.values)

    @property
    def label_set(self) -> tuple[str, ...]:
        """The classes in the conformal set, the most probable first; empty without `calibration.sets`."""
        return self._calibration.label_set(self.values, self.target)

    @property
    def ood_score(self) -> float | None:
        """How unlike the training data the sample is, 0 to 1 (`calibration.ood_threshold`); None where nothing says."""
        return self._calibration.ood_score(self.values)

    def __str__(self) -> str:
        return self.target.shown(self.values, 3) + self._calibration.shown(self.values, self.target)

    @property
    def _calibration(self) -> Calibration:
        from samebits.inference.calibration import UNCALIBRATED

        return self.calibration or UNCALIBRATED


class _Answers(Protocol):
    """What gives answers, float32 [N, ...], for samples as exported files take them."""

    def answers(self, samples: npt.NDArray[Any], target: TargetKind) -> npt.NDArray[np.float32]: ...


class TrainedModel:
    """A model with its preprocessing.

    Args:
        path: the file or folder it comes from; the tokeniser of texts lies beside it.
        metadata: `preprocessing`, `target` and `calibration`, as exported files hold them.
    """

    def __init__(self, path: Path, session: _Answers, metadata: Mapping[str, Any]) -> None:
        from importlib import import_module

        from samebits.signature.signature import INPUTS

        self._session, self._target = session, metadata["target"]
        self.calibration: Calibration | None = metadata.get("calibration")
        self.preprocessing: dict[str, Any] = metadata["preprocessing"]
        module = import_module(f"samebits.inference.{INPUTS[self.preprocessing.get('kind', 'image')].predictor}")
        self._input = module.input_of(path, self.preprocessing)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of `Answer.values`; empty where there are none."""
        return tuple(self._target.labels)

    def __call__(self, value: Any) -> Any:
        """An `Answer` for one sample; for a list of samples, a list of them.

        Args:
            value: of images, a path, a PIL image, or an array [H, W], [H, W, C] or [C, H, W]; of texts, a text; of
                tables, a mapping of columns to values; of arrays, an array or the path of a .npy file.

        Raises:
            UserError: for what the model cannot take.
        """
        if isinstance(value, list):
            return [self(each) for each in value]
        found = self._session.answers(self._input(value)[None], self._target)[0]
        return Answer(found, self._target, self.calibration)


class _Eager:
    """A checkpoint's model, by torch on the CPU."""

    def __init__(self, folder: Path) -> None:
        from samebits.base.files import sha256_file
        from samebits.checkpoints.checkpoint import WEIGHTS, load_checkpoint
        from samebits.checkpoints.serving import build_serving
        from samebits.inference.calibration import load_calibration

        found = load_checkpoint(folder)
        self.config = found.config
        beside = folder.resolve().with_name("calibration.json")
        self.calibration = load_calibration(beside, sha256_file(folder / WEIGHTS))
        temperature = self.calibration.temperature if self.calibration else 1.0
        self._serving = build_serving(found.model, found.task, found.config.signature, temperature)

    def answers(self, samples: npt.NDArray[Any], target: TargetKind) -> npt.NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            found: npt.NDArray[np.float32] = self._serving(torch.tensor(samples)).numpy()
        return found


def load(path: str | Path = "models/checkpoint") -> TrainedModel:
    """A trained model.

    Args:
        path: the folder of a checkpoint, with `calibration.json` beside it (without one, probabilities are as the
            network gives them, and `TrainedModel.calibration` is None); or an exported .onnx file, for which no torch
            is needed.

    Raises:
        UserError: if it is missing or damaged, if `calibration.json` is of other weights, or if the model gives more
            than one answer for a sample: a language model, a tagger.
    """
    from samebits.base.errors import UserError

    path = Path(path)
    if path.suffix == ".onnx":
        from samebits.inference.session import open_model

        session, metadata = open_model(path)
        model = TrainedModel(path, session, metadata)
    else:
        eager = _Eager(path)
        signature = eager.config.signature
        inputs = {"dtype": signature.inputs.served_dtype, **signature.inputs.model_dump()}
        metadata = {"preprocessing": inputs, "target": signature.target, "calibration": eager.calibration}
        model = TrainedModel(path / "config.json", eager, metadata)
    if metadata["target"].generates:
        raise UserError(f"{path} is a language model, which continues texts", 'samebits generate "The beginning"')
    if metadata["target"].per_position:
        raise UserError(
            f"{path} gives a tag for each word", "samebits predict --text TEXT; its card shows it in Python"
        )
    return model
