# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Compare and share
#
# Three experiments side by side, in DVC and in MLflow, and the better one in a store from which others fetch it. 1,000
# training images of MNIST, so that it takes a minute or two.

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
# ## Three learning rates
#
# Each experiment runs the stages that read the parameter; the data are prepared once.

# %%
SMALL = "-S data.limit_per_class=100 -S train.batch_size=32 -S train.epochs=2 -S export.formats=[onnx]"
# !dvc exp run --quiet --name rate-0.02 {SMALL} -S train.optimizer.lr=0.02
# !dvc exp run --quiet --name rate-0.1 {SMALL} -S train.optimizer.lr=0.1
# !dvc exp run --quiet --name rate-0.25 {SMALL} -S train.optimizer.lr=0.25

# %%
# !dvc exp show --only-changed --hide-workspace --no-pager --md --drop '.*(digest|sha|facts).*'

# %% [markdown]
# ## The same in MLflow
#
# `samebits ui` opens its pages; the runs can be read in Python, too.

# %%
import matplotlib.pyplot as plt
import mlflow

# !samebits runs sync
mlflow.set_tracking_uri(f"sqlite:///{Path('mlruns/mlflow.db').resolve()}")
runs = mlflow.search_runs(search_all_experiments=True)
columns = ["tags.mlflow.runName", "params.train.optimizer.lr", "metrics.test/accuracy", "metrics.test/log_loss"]
runs[columns].sort_values("metrics.test/log_loss")

# %%
client = mlflow.MlflowClient()
for _, run in runs.iterrows():
    points = sorted(client.get_metric_history(run["run_id"], "train/loss"), key=lambda point: point.step)
    plt.plot([p.step for p in points], [p.value for p in points], label=run["params.train.optimizer.lr"])
plt.xlabel("step")
plt.ylabel("training loss")
plt.legend(title="learning rate")
plt.show()

# %% [markdown]
# ## Keep one, and share it
#
# The files of the last experiment are in the workspace. A commit keeps its hashes and numbers; `samebits share` sends
# data and model to a store, here a folder.

# %%
Path("../store").mkdir(exist_ok=True)
# !git config user.email || git config user.email you@example.org
# !git config user.name || git config user.name You
# !dvc remote add --force --default store ../store
# !git add .dvc/config params.yaml dvc.lock reports
# !git commit --quiet --message "Learning rate 0.25"
# !samebits share

# %% [markdown]
# ## Somebody else
#
# A clone fetches what the commit names, and checks every hash.

# %%
# !git clone --quiet . ../colleague
# !cd ../colleague && samebits receive && samebits summary
