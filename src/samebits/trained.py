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

    from samebits.signature.kind import TargetKind


@dataclass(frozen=True)
class Answer:
    """What a model says about one sample; `str(answer)` is for people.

    Attributes:
        values: float32: probabilities of the classes [K] or, of masks, [K, H, W]; a number []; numbers [K].
        target: what they are of.
    """

    values: npt.NDArray[np.float32]
    target: TargetKind

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

    def __str__(self) -> str:
        return self.target.shown(self.values, 3)


class _Answers(Protocol):
    """What gives answers, float32 [N, ...], for samples as exported files take them."""

    def answers(self, samples: npt.NDArray[Any], target: TargetKind) -> npt.NDArray[np.float32]: ...


class TrainedModel:
    """A model with its preprocessing.

    Args:
        path: the file or folder it comes from; the tokeniser of texts lies beside it.
        metadata: `preprocessing` and `target`, as exported files hold them.
    """

    def __init__(self, path: Path, session: _Answers, metadata: Mapping[str, Any]) -> None:
        from importlib import import_module

        from samebits.signature.signature import INPUTS

        self._session, self._target = session, metadata["target"]
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
        return Answer(self._session.answers(self._input(value)[None], self._target)[0], self._target)


class _Eager:
    """A checkpoint's model, by torch on the CPU."""

    def __init__(self, folder: Path) -> None:
        from samebits.checkpoints.checkpoint import load_checkpoint
        from samebits.checkpoints.serving import build_serving

        found = load_checkpoint(folder)
        self.config = found.config
        self._serving = build_serving(found.model, found.task, found.config.signature)

    def answers(self, samples: npt.NDArray[Any], target: TargetKind) -> npt.NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            found: npt.NDArray[np.float32] = self._serving(torch.tensor(samples)).numpy()
        return found


def load(path: str | Path = "models/checkpoint") -> TrainedModel:
    """A trained model.

    Args:
        path: the folder of a checkpoint, or an exported .onnx file, which needs no torch.

    Raises:
        UserError: if it is missing or damaged, or gives more than one answer for a sample: a language model, a tagger.
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
        metadata = {"preprocessing": inputs, "target": signature.target}
        model = TrainedModel(path / "config.json", eager, metadata)
    if metadata["target"].generates:
        raise UserError(f"{path} is a language model, which continues texts", 'samebits generate "The beginning"')
    if metadata["target"].per_position:
        raise UserError(
            f"{path} gives a tag for each word", "samebits predict --text TEXT; its card shows it in Python"
        )
    return model
