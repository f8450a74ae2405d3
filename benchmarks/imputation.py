"""Missing values of tables filled in by an autoencoder, beside scikit-learn's imputers.

python benchmarks/imputation.py [NAME ...] [--output benchmarks/imputation.md]
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import _harness
import keras
import numpy as np
import sklearn
import sklearn.datasets
import tensorflow as tf
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

import tfflows

TEXT = """\
# Missing values of tables

Written by `python benchmarks/imputation.py`. Of scikit-learn's tables half of the values are taken
away, completely at random; columns are standardised by what is left. The figures are mean squared
errors of what was filled in, in these units, so that the columns' means have about 1: the mean over
{masks} masks, and its standard error.

{table}

The autoencoder (`tfflows.vae.Missing`, MIWAE) has {latent} latent dimensions, two hidden layers of
{width} units in the encoder and the decoder, a Gaussian observation with a learned scale of at
least {scale}, and the importance-weighted bound of {samples} samples; {steps} steps of 64 rows with
Adam (1e-3, decaying to 0), the same for all tables and masks, without a look at what is missing.
Its values are conditional means by 1,000 weighted samples. Neighbours are {neighbours}, and the
iterative imputer is scikit-learn's Bayesian ridge regression in turn.

{machine}
"""
TABLES = {
    "breast_cancer": sklearn.datasets.load_breast_cancer,
    "diabetes": sklearn.datasets.load_diabetes,
    "wine": sklearn.datasets.load_wine,
}
MASKS, LATENT, WIDTH, SCALE, SAMPLES, STEPS, NEIGHBOURS = 5, 10, 128, 0.1, 20, 4000, 10


def holes(x, seed):
    """x with half of its values NaN, standardised by the others, and what they were."""
    rng = np.random.default_rng(seed)
    missing = rng.uniform(size=x.shape) < 0.5
    incomplete = np.where(missing, np.nan, x)
    mean, scale = np.nanmean(incomplete, 0), np.nanstd(incomplete, 0)
    return (incomplete - mean) / scale, ((x - mean) / scale)[missing], missing


def autoencoder(x, seed):
    """x with its missing values filled in by an autoencoder that was trained on it."""
    keras.utils.set_random_seed(seed)
    dim = x.shape[1]

    def network(outputs):
        hidden = [keras.layers.Dense(WIDTH, "relu") for _ in range(2)]
        return keras.Sequential([*hidden, keras.layers.Dense(outputs)])

    model = tfflows.vae.Missing(tfflows.vae.Gaussian(min_scale=SCALE))
    settings = {"encoder": network(2 * LATENT), "decoder": network(2 * dim)}
    vae = tfflows.VAE((dim,), LATENT, observation=model, **settings)
    rate = keras.optimizers.schedules.CosineDecay(1e-3, STEPS)
    vae.compile(
        keras.optimizers.Adam(rate), tfflows.vae.ImportanceWeightedBound(num_samples=SAMPLES)
    )
    rows = tf.data.Dataset.from_tensor_slices(x.astype("float32"))
    rows = rows.shuffle(len(x), seed=seed).repeat().batch(64)
    vae.fit(rows, steps_per_epoch=STEPS, epochs=1, verbose=0)
    return vae.impute(x, num_samples=1000, seed=seed)


METHODS = {
    "mean": lambda x, seed: SimpleImputer().fit_transform(x),
    "nearest neighbours": lambda x, seed: KNNImputer(n_neighbors=NEIGHBOURS).fit_transform(x),
    "iterative regression": lambda x, seed: IterativeImputer(
        max_iter=30, random_state=seed
    ).fit_transform(x),
    "autoencoder": autoencoder,
}


def row(name):
    x = TABLES[name](return_X_y=True)[0]
    errors = {method: [] for method in METHODS}
    for seed in range(MASKS):
        incomplete, truth, missing = holes(x, seed)
        for method, fill in METHODS.items():
            filled = np.asarray(fill(incomplete, seed))
            errors[method].append(np.mean((filled[missing] - truth) ** 2))
    cells = [
        f"{np.mean(found):.3f} ± {np.std(found, ddof=1) / MASKS**0.5:.3f}"
        for found in errors.values()
    ]
    return [f"{name}, {x.shape[0]} x {x.shape[1]}", *cells]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", default=[*TABLES])
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    rows = []
    for name in args.names:
        rows.append(row(name))
        print(rows[-1], flush=True)
    text = TEXT.format(
        masks=MASKS,
        table=_harness.table(["", *METHODS], rows),
        latent=LATENT,
        width=WIDTH,
        scale=SCALE,
        samples=SAMPLES,
        steps=f"{STEPS:,}",
        neighbours=NEIGHBOURS,
        machine=_harness.here(
            f"TensorFlow {tf.__version__}", f"scikit-learn {sklearn.__version__}"
        ),
    )
    if args.output:
        args.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
