"""The script of a job for Slurm: plain bash, to be read, kept and sent again by hand.

Each job, and each task of an array, works in a clone of its own at one commit; what is saved (training states, records,
MLflow's store, DVC's cache) is the project's. So an attempt needs nothing of the one before but what is saved.

Slurm's signals: SIGUSR1 is ours, sent to this shell before the time limit (`--signal`). SIGTERM goes to every process,
when Slurm preempts, requeues or cancels; Slurm then starts the job again by itself, or is not to.
https://slurm.schedmd.com/sbatch.html
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from samebits.base.errors import UserError

_TIME = re.compile(r"\d+|\d+:\d\d|\d+:\d\d:\d\d|\d+-\d+|\d+-\d+:\d\d|\d+-\d+:\d\d:\d\d")
_EXTRA = re.compile(r"[a-z][a-z-]*(=[^\n]+)?")
_OURS = ("job-name", "chdir", "output", "open-mode", "requeue", "no-requeue", "signal", "array", "nodes", "ntasks")


@dataclass(frozen=True)
class Wants:
    """What is asked of the cluster. None leaves it to the cluster's own default, or to `SBATCH_PARTITION` and the like.

    Attributes:
        partition: to run in.
        time: limit, as Slurm writes it: minutes, `HH:MM:SS`, `DAYS-HH`.
        cpus: processors per node; `submit` asks for `train.threads` for each process.
        memory: per node, as `8G`.
        gpus: per node, as `1` or `a100:2`.
        at_once: tasks of an array that run at a time.
        save_seconds: before the limit, when the training is to save its state and stop.
        extra: more options of sbatch, as `account=vision`.
    """

    partition: str | None = None
    time: str | None = None
    cpus: int | None = None
    memory: str | None = None
    gpus: str | None = None
    at_once: int | None = None
    save_seconds: int = 120
    extra: tuple[str, ...] = ()

    def check(self, *, array: bool) -> None:
        """Raises UserError with every value that Slurm would not take, or take for something else."""
        wrong = []
        if self.time is not None and not _TIME.fullmatch(self.time):
            wrong.append(f"--time {self.time}: minutes, HH:MM:SS or DAYS-HH, as 90, 04:00:00 or 1-12")
        if self.memory is not None and not re.fullmatch(r"\d+[KMGT]?", self.memory):
            wrong.append(f"--memory {self.memory}: a number of MiB, or with a unit, as 8G")
        if self.gpus is not None and not re.fullmatch(r"([\w.-]+:)?[1-9]\d*", self.gpus):
            wrong.append(f"--gpus {self.gpus}: a number per node, or a kind and a number, as 1 or a100:2")
        if self.partition is not None and not re.fullmatch(r"[\w.,-]+", self.partition):
            wrong.append(f"--partition {self.partition!r}: a name, as sinfo shows it")
        if self.at_once is not None and not array:
            wrong.append("--at-once: only an array (--sweep, --seeds) has tasks")
        for each in self.extra:
            name = each.partition("=")[0]
            if not _EXTRA.fullmatch(each):
                wrong.append(f"--sbatch {each!r}: a long option of sbatch without its dashes, as account=vision")
            elif name in _OURS:
                wrong.append(f"--sbatch {each}: {name} is set by samebits submit")
        if wrong:
            raise UserError("\n  ".join(wrong), "samebits submit --help has examples")


@dataclass(frozen=True)
class Job:
    """What a job runs.

    Attributes:
        name: of the job, and without an array of its DVC experiment.
        project: the main working tree.
        commit: what is checked out, 40 hex digits.
        cache: DVC's cache.
        programs: the folder of `dvc` and `samebits`.
        target: the stage to run up to; empty: all of them.
        hosts: nodes that train together.
        study: of an array: the key by which its runs in MLflow find their sweep.
        points: of an array: number of the task -> what `dvc exp run` gets with -S.
    """

    name: str
    project: Path
    commit: str
    cache: Path
    programs: Path
    target: str
    hosts: int
    study: str
    points: Mapping[int, Sequence[str]]


def script(job: Job, wants: Wants) -> str:
    """The whole script."""
    array = bool(job.points)
    options = [
        f"job-name={job.name}",
        f"chdir={shlex.quote(str(job.project))}",
        f"output=.samebits/jobs/{job.name}-%{'A_%a' if array else 'j'}.log",
        "open-mode=append",
        "requeue",
        f"signal=B:USR1@{wants.save_seconds}",
    ]
    if array:
        at_once = f"%{wants.at_once}" if wants.at_once else ""
        options.append(f"array={_ranges(sorted(job.points))}{at_once}")
    if job.hosts > 1:
        options += [f"nodes={job.hosts}", "ntasks-per-node=1"]
    asked = {
        "partition": wants.partition, "time": wants.time, "cpus-per-task": wants.cpus, "mem": wants.memory,
        "gpus-per-node": wants.gpus,
    }  # fmt: skip
    options += [f"{key}={value}" for key, value in asked.items() if value is not None]
    for each in wants.extra:
        key, _, value = each.partition("=")
        options.append(f"{key}={shlex.quote(value)}" if value else key)
    lines = ["#!/bin/bash", *(f"#SBATCH --{each}" for each in options), _ABOUT]
    quoted = {"project": job.project, "cache": job.cache, "commit": job.commit}
    lines += [f"{key}={shlex.quote(str(value))}" for key, value in quoted.items()]
    lines.append(f"export PATH={shlex.quote(str(job.programs))}:$PATH")
    if array:
        lines.append(f'name={job.name}-$(printf %03d "$SLURM_ARRAY_TASK_ID")')
        lines.append(f"export SAMEBITS_TRIAL={shlex.quote(job.study)}/$SLURM_ARRAY_TASK_ID")
        lines.append("case $SLURM_ARRAY_TASK_ID in")
        for number, point in sorted(job.points.items()):
            given = " ".join(f"-S {shlex.quote(each)}" for each in point)
            lines.append(f"{number}) set -- {given} ;;")
        lines.append("esac")
    else:
        lines.append(f"name={job.name}")
    body = _BODY.replace("TARGET", f" {job.target}" if job.target else "")
    for mark, part in (("WORKERS\n", _WORKERS), ("LOST\n", _LOST)):
        body = body.replace(mark, part if job.hosts > 1 else "")
    return "\n".join(lines) + body


def _ranges(numbers: Sequence[int]) -> str:
    """`0-3,5`, as Slurm writes it."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


_ABOUT = """
# Made by samebits submit. To send it again: sbatch THIS_FILE. What is done is passed over, what was stopped goes on.
"""

_BODY = """
work=$project/.samebits/jobs/$name
experiment() { git -C "$1" for-each-ref --format='%(refname)' "refs/exps/*/*/$name"; }
fail() { echo "error: $1" >&2; exit 2; }
export SAMEBITS_ONLY_ATTEMPT=1 # whatever ran of this experiment is over: its run in MLflow goes on at once
# dvc will not hear SIGTERM, the stages do: they save their state and end, and then dvc does.
stopping='' again=''
trap 'stopping=1 again="the time limit is near"' USR1
trap 'stopping=1' TERM # preempted, requeued or cancelled: Slurm knows what is next
echo "job $SLURM_JOB_ID on $(hostname), start $((${SLURM_RESTART_COUNT:-0} + 1)): $name at ${commit:0:12}"

[ -e "$project/.git" ] || fail "$project is not on this node: projects lie on a disk that all nodes share"
exec 9>"$work.lock"
flock --wait 60 9 || fail "another job works in $work: squeue --name ${SLURM_JOB_NAME}"
if [ -n "$(experiment "$project")" ]; then
    echo "$name is done already"
    exit
fi

# A clone of its own: edits of the project do not reach it, nor do other jobs. All that is saved is the project's.
# That of an attempt before goes away; on another node, something may still write into it.
[ ! -e "$work" ] || mv "$work" "$work.old.$SECONDS$RANDOM" || exit 2
rm -rf "$work".old.* 2>/dev/null
git clone --quiet --shared --no-checkout "$project" "$work" && cd "$work" && git checkout --quiet --detach "$commit" ||
    fail "commit $commit of $project cannot be checked out in $work"
for key in user.name user.email; do
    ! value=$(git -C "$project" config "$key") || git config "$key" "$value"
done
mkdir -p "$project/mlruns"
ln -s "$project/.samebits" "$project/mlruns" .
[ ! -f "$project/.dvc/config.local" ] || cp -p "$project/.dvc/config.local" .dvc/
dvc cache dir --quiet --local "$cache" || exit 2
dvc checkout --quiet --force 2>/dev/null # what the cache does not have is made, or is missed by name below

WORKERS
set -m # dvc and its stages are a process group
(trap '' TERM USR1; exec dvc exp run --name "$name" "$@"TARGET 9>&-) &
run=$! next=0
set +m
while kill -0 -- "-$run" 2>/dev/null; do
    if [ -n "$stopping" ] && [ "$SECONDS" -ge "$next" ]; then
        kill -TERM -- "-$run"
        next=$((SECONDS + 20)) # and again: a stage that is just starting does not hear it
    fi
    sleep 0.5 &
    wait $!
done
wait "$run"
code=$?
LOST
if [ "$code" = 0 ]; then
    found=$(experiment "$work")
    [ -n "$found" ] || fail "dvc made no experiment $name"
    git push --quiet "$project" "$found" || fail "experiment $name cannot be brought from $work to $project"
    samebits runs sync
    here=$(pwd -P)
    cd "$project" || exit 2
    for _ in {1..30}; do # the sender of its records works there, and ends a little later
        readlink /proc/[0-9]*/cwd 2>/dev/null | grep -qxF "$here" || break
        sleep 1
    done
    rm -rf "$work" "$work".old.* 2>/dev/null
    echo "done: dvc exp apply $name"
elif [ -n "$again" ]; then
    echo "$again: back to the queue, to go on from what is saved"
    scontrol requeue "$SLURM_JOB_ID" ||
        fail "this cluster lets no job go back to the queue; send it again: sbatch .samebits/jobs/$SLURM_JOB_NAME.sh"
fi
exit "$code"
"""

_WORKERS = """
# The other nodes join the training of this one, at the address by which Slurm knows it.
address=$(scontrol show node "$SLURMD_NODENAME" | grep -o 'NodeAddr=[^ ]*' | cut -d= -f2)
export SAMEBITS_PORT=$((20000 + SLURM_JOB_ID % 20000))
srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) --relative=1 \\
    ${SLURM_CPUS_PER_TASK:+--cpus-per-task=$SLURM_CPUS_PER_TASK} \\
    samebits worker --join "$address:$SAMEBITS_PORT" --wait 864000 9>&- &
workers=$!
"""

_LOST = """kill "$workers" 2>/dev/null
# The training notices a dead node within seconds, Slurm after minutes: so this script goes back to the queue.
[ "$code" = 0 ] || [ -n "$stopping" ] ||
    timeout 60 srun --overlap --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" true ||
    again="a node does not answer"
"""
