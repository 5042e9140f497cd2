# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # First run
#
# From a clone to a trained model, its report and an answer. 1,000 training images of MNIST and four epochs, so that it
# takes a minute or two on two cores. The whole of MNIST is `!dvc repro`.

# %%
# In Google Colab this clones the repository and installs samebits. Elsewhere it only goes to the root of the clone.
import os
import sys
import sysconfig
from pathlib import Path

REPOSITORY = "https://github.com/OWNER/samebits"  # the address of this repository
RESULTS = "/content/results"  # "/content/drive/MyDrive/samebits" keeps the results on Google Drive

os.environ["PATH"] = sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"]
if "google.colab" in sys.modules:
    if not Path("/content/samebits").exists():
        os.system(f"git clone --quiet {REPOSITORY} /content/samebits")
    os.chdir("/content/samebits")
    sys.path.insert(0, "notebooks")
    import colab

    colab.set_up(Path.cwd(), Path(RESULTS))
elif Path("colab.py").exists():
    os.chdir("..")

# %% [markdown]
# ## Run the pipeline
#
# Four stages: prepare, train, evaluate, export. `-S` sets parameters of `params.yaml`.

# %%
# !dvc exp run --quiet -S data.limit_per_class=100 -S train.batch_size=32 -S train.epochs=4 -S 'export.formats=[onnx]'

# %% [markdown]
# ## The curve and the mistakes

# %%
import pandas as pd

curve = pd.read_csv("reports/train/curves.csv")
curve.dropna(subset=["val/loss"])[["step", "val/loss", "val/accuracy"]]

# %%
from IPython.display import Image, display

for picture in sorted(Path("reports/evaluation/figures").glob("*.png")):
    print(picture.name)
    display(Image(picture, width=500))

# %% [markdown]
# ## The data, as tensors
#
# A `Dataset` and a `DataLoader` of PyTorch. Every batch is a function of data, seed and epoch.

# %%
import matplotlib.pyplot as plt
from samebits.data.loading.torch_dataset import PreparedDataset, make_loader

loader = make_loader("data/prepared", "train", batch_size=16, seed=0, epoch=0)
images, labels = next(iter(loader))
print(images.shape, images.dtype, labels)

figure, axes = plt.subplots(1, 8, figsize=(8, 1.4))
for axis, image, label in zip(axes, images, labels):
    axis.imshow(image[0], cmap="gray")
    axis.set_title(int(label))
    axis.axis("off")

# %% [markdown]
# ## Use the model
#
# `model.eval()`, `torch.no_grad()` and softmax are inside `samebits.load`.

# %%
import samebits

image, label = PreparedDataset("data/prepared", "test")[0]
model = samebits.load("models/checkpoint")
answer = model(image.numpy())
print("label", int(label), "answer", answer.label, answer.top(3))

# %% [markdown]
# ## The checkpoint, as PyTorch has it

# %%
from samebits.checkpoints.checkpoint import load_checkpoint

checkpoint = load_checkpoint(Path("models/checkpoint"))
print(checkpoint.model)
{name: tuple(weight.shape) for name, weight in checkpoint.model.state_dict().items()}
