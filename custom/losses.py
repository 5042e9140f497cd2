"""A loss of one's own: docs/own_code.md."""

from torch import nn
from torch.nn import functional


class FocalLoss(nn.Module):
    """Cross entropy in which easy samples weigh less (Lin et al., 2017)."""

    def __init__(self, gamma=2.0):
        super().__init__()
        self.gamma = gamma

    def forward(self, outputs, targets):
        losses = functional.cross_entropy(outputs, targets, reduction="none")
        return ((1 - (-losses).exp()) ** self.gamma * losses).mean()
