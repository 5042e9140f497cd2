# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own data and model
#
# Pictures in a folder per class, and an `nn.Module` of your own.

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
# ## Data
#
# 180 drawn pictures. Put yours into `data/raw/NAME/CLASS/` instead.

# %%
# !python docs/tutorial/make_shapes.py

# %%
from IPython.display import display
from PIL import Image

for folder in sorted(Path("data/raw/shapes").iterdir()):
    print(folder.name, len(list(folder.iterdir())))
    display(Image.open(folder / "00.png"))

# %% [markdown]
# `samebits start PATH` looks at them, and writes what they need into `params.yaml`.

# %%
# !samebits start data/raw/shapes --no-trial

# %% [markdown]
# ## A model
#
# It gets `signature`, which knows the shape of a sample and how many outputs are needed.

# %%
MODEL = Path("custom/small_net.py")
MODEL.write_text(
    """from torch import nn


class SmallNet(nn.Module):
    def __init__(self, signature, width=16):
        super().__init__()
        channels = signature.row_shape[0]
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 5, stride=2), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2), nn.BatchNorm2d(2 * width), nn.ReLU(),
            nn.AdaptiveAvgPool2d(4), nn.Flatten(),
        )
        self.head = nn.Linear(32 * width, signature.outputs)

    def forward(self, images):
        return self.head(self.features(images))
"""
);

# %% [markdown]
# ## Parameters
#
# The recipe starts from weights of ImageNet. A net of our own starts from random ones, with a higher learning rate.

# %%
from ruamel.yaml import YAML

yaml = YAML()
file = Path("params.yaml")
params = yaml.load(file)
params["model"] = {"name": "own", "file": "custom/small_net.py", "class_name": "SmallNet", "arguments": {"width": 16}}
params["transfer"].update(weights=None, sha256=None, layer_decay=1.0, head_lr=1.0)
params["train"].update(epochs=10)
params["train"]["optimizer"]["lr"] = 0.003
params["export"]["formats"] = ["onnx"]
yaml.dump(params, file)

# %% [markdown]
# ## Run
#
# `samebits smoke` tries all stages on a few samples first: an error in the model shows there.

# %%
# !samebits smoke

# %%
# !dvc repro --quiet

# %%
from IPython.display import Image as Picture

for picture in sorted(Path("reports/evaluation/figures").glob("*.png")):
    print(picture.name)
    display(Picture(picture, width=500))

# %% [markdown]
# ## Ask it

# %%
import samebits

model = samebits.load("models/checkpoint")
for name in ("circle", "square", "triangle"):
    print(name, "->", model(f"data/raw/shapes/{name}/00.png"))
