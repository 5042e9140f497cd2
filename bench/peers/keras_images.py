"""Keras 3: `compile` and `fit`, on TensorFlow or on torch, fp32 or mixed_bfloat16.

Without augmentation the data are arrays in memory, which is Keras's fastest way. With it, TensorFlow gets a tf.data
pipeline (padded, cropped and mirrored an image at a time, in parallel, prefetched); torch gets the DataLoader of two
workers of the other peers.
"""

from __future__ import annotations

import os
import sys
from typing import Any

os.environ["KERAS_BACKEND"] = "torch" if "--backend=torch" in sys.argv else "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.argv = [word for word in sys.argv if not word.startswith("--backend=")]

import argparse
from pathlib import Path

import keras
import numpy as np
from clock import Clock, add_arguments
from keras import layers

MEAN, STD, RATE = 0.2860, 0.3530, 0.05
TORCH = keras.backend.backend() == "torch"


def convolution(x: Any, width: int, kernel: int, stride: int = 1, padding: str = "valid", relu: bool = True) -> Any:
    if padding == "same" and stride > 1:
        x, padding = layers.ZeroPadding2D(kernel // 2)(x), "valid"  # as torch aligns them
    x = layers.Conv2D(width, kernel, stride, padding, use_bias=False, kernel_initializer="he_normal")(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
    return layers.ReLU()(x) if relu else x


def convnet(images: Any) -> Any:
    x = layers.Cropping2D(2)(images)
    x = convolution(convolution(x, 32, 5, stride=2), 32, 3)
    x = layers.AveragePooling2D(2)(x)
    x = convolution(convolution(x, 64, 3, padding="same"), 128, 3)
    return layers.Dense(10, dtype="float32")(layers.Flatten()(x))


def resnet9(images: Any) -> Any:
    def residual(x: Any, width: int) -> Any:
        return layers.Add()([x, convolution(convolution(x, width, 3, padding="same"), width, 3, padding="same")])

    x = convolution(images, 24, 3, padding="same")
    x = residual(layers.MaxPooling2D(2)(convolution(x, 48, 3, padding="same")), 48)
    x = layers.MaxPooling2D(2)(convolution(x, 96, 3, padding="same"))
    x = residual(layers.MaxPooling2D(2)(convolution(x, 192, 3, padding="same")), 192)
    return layers.Dense(10, dtype="float32")(layers.GlobalMaxPooling2D()(x))


def resnet18(images: Any) -> Any:
    x = convolution(images, 64, 3, padding="same")
    for width in (64, 128, 256, 512):
        for block in range(2):
            stride = 2 if width > 64 and block == 0 else 1
            short = convolution(x, width, 1, stride, relu=False) if stride > 1 else x
            x = convolution(x, width, 3, stride, padding="same")
            x = layers.ReLU()(layers.Add()([convolution(x, width, 3, padding="same", relu=False), short]))
    return layers.Dense(10, dtype="float32")(layers.GlobalAveragePooling2D()(x))


MODELS = {"convnet": convnet, "resnet9": resnet9, "resnet18": resnet18}


class Timed(keras.callbacks.Callback):
    """Keras gives the mean loss since the start of the epoch; the loss of each step follows from it."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock, self.total = clock, 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.total = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        total = float(logs["loss"]) * (batch + 1)
        loss, self.total = total - self.total, total
        if self.clock.step(loss):
            self.model.stop_training = True
            sys.stdout.flush()
            os._exit(0)  # an epoch that goes on would hold the machine, and fit has no other way out of one


def batches(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `fit` is given."""
    if arguments.augment and TORCH:
        from images import loader

        # Keras wants channels last; its guide for PyTorch permutes in the loader.
        data = loader(arguments)
        plain = data.collate_fn
        data.collate_fn = lambda items: [each.permute(0, 2, 3, 1) if each.ndim == 4 else each for each in plain(items)]
        return {"x": data}
    inputs = np.load(arguments.data / "inputs.npy").transpose(0, 2, 3, 1)
    targets = np.load(arguments.data / "targets.npy")
    kept = len(inputs) - len(inputs) % arguments.batch
    inputs, targets = np.ascontiguousarray(inputs[:kept]), targets[:kept]
    if not arguments.augment:
        scaled = (inputs.astype(np.float32) / 255.0 - MEAN) / STD
        return {"x": scaled, "y": targets, "batch_size": arguments.batch}
    import tensorflow as tf

    side = inputs.shape[1]

    def moved(image: Any, target: Any) -> Any:
        image = tf.image.random_crop(tf.pad(image, [[2, 2], [2, 2], [0, 0]]), [side, side, 1])
        return tf.image.random_flip_left_right(image), target

    def scaled_batch(images: Any, wanted: Any) -> Any:
        return (tf.cast(images, tf.float32) / 255.0 - MEAN) / STD, wanted

    data = tf.data.Dataset.from_tensor_slices((inputs, targets)).shuffle(10_000)
    data = data.map(moved, num_parallel_calls=tf.data.AUTOTUNE).batch(arguments.batch)
    return {"x": data.map(scaled_batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", choices=sorted(MODELS), required=True)
    parser.add_argument("--augment", action="store_true")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--jit", choices=["auto", "off", "on"], default="auto")
    add_arguments(parser)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    if arguments.precision == "bf16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    images = keras.Input((28, 28, 1))
    model = keras.Model(images, MODELS[arguments.model](images))
    model.compile(
        optimizer=keras.optimizers.SGD(RATE, momentum=0.9, nesterov=True),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile={"auto": "auto", "off": False, "on": True}[arguments.jit],
    )
    model.fit(**batches(arguments), epochs=1000, verbose=0, callbacks=[Timed(Clock(arguments, arguments.batch))])


if __name__ == "__main__":
    main()
