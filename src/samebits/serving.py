"""The model as it is served: samples as they are stored in, answers out, with the preprocessing inside."""

from __future__ import annotations

from torch import Tensor, nn

from samebits.preprocess import build_preprocess
from samebits.signature import Signature
from samebits.tasks import Task

INPUTS = {"image": "images", "tokens": "tokens", "table": "rows"}
"""Kind of inputs -> name of the input in exported files."""

OUTPUTS = {"class": "probabilities", "number": "values", "next_token": "logits"}
"""Kind of target -> name of the output in exported files."""


_LARGEST_BATCH = 1 << 20


class ServingModel(nn.Module):
    """Images uint8 [N, C, H, W], tokens int32 [N, L] or table rows float32 [N, columns] -> answers, float32.

    Args:
        model: preprocessed samples -> raw outputs.
        task: turns outputs into answers: probabilities [N, K], or numbers [N].
        signature: of the data that the model was trained on.
    """

    def __init__(self, model: nn.Module, task: Task, signature: Signature) -> None:
        super().__init__()
        self.preprocess = build_preprocess(signature)
        self.model = model
        self.task = task
        self.input_name = INPUTS[signature.inputs.kind]
        self.output_name = OUTPUTS[signature.target.kind]
        self.dynamic: dict[int, tuple[str, int]] = {0: ("batch", _LARGEST_BATCH)}
        """Axes of the input that may have any length up to a largest one."""
        if signature.inputs.kind == "tokens":
            self.dynamic[1] = ("length", signature.tokens.length)

    def outputs(self, samples: Tensor) -> Tensor:
        """The model's raw outputs, float32: logits [N, K], or standardised numbers [N]."""
        outputs: Tensor = self.model(self.preprocess(samples)).float()
        return outputs

    def forward(self, samples: Tensor) -> Tensor:
        return self.task.answer(self.outputs(samples))
