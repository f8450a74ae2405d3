"""Posteriors of joint distributions by flows, and chains through them, beside TFP's own NUTS.

python benchmarks/posteriors.py [NAME ...] [--output benchmarks/posteriors.md]
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import _harness
import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfflows
from tfflows.data import targets

tfd = tfp.distributions

TEXT = """\
# Posteriors by flows

Written by `python benchmarks/posteriors.py`. Each flow is fitted by
`tfflows.inference.fit_posterior(joint, flow=..., epochs={epochs})`, with {steps} steps of 128
samples an epoch and seed 0, once; the evidence is that of 20,000 importance samples, with its
standard error. The ELBO is the mean of the same samples' log-weights, in nats. Seconds are wall
time on two cores, tracing included, beside other work, and say the order of magnitude alone.

{fits}

The No-U-Turn sampler in the latents of the IAF (`posterior.sample_chains(1000)`, 8 chains, 500
steps before), beside TFP's `windowed_adaptive_nuts` (1000 draws of 8 chains, 500 steps of
adaptation) on the same joint distribution: what mixed worst of all numbers, and seconds for both,
the flow's training included. *Largest difference* is that of posterior means, over all numbers, in
Monte Carlo standard errors of both, and the p-value that it has if all are equal (by Bonferroni,
which takes them as independent).

{chains}

- `eight_schools`: the model of `tfflows.data.targets`, as a joint distribution; its log evidence is
  -36.1308 nats, by quadrature.
- `breast_cancer`: logistic regression of scikit-learn's breast cancer data (569 examples, 30
  standardised columns and a constant) with N(0, 1) priors.

## Densities that are known up to a factor

Of `tfflows.data.targets`, by `flow.fit_to` of an NSF (4 layers, two hidden layers of 64 units, its
box as large as the target): 1,200 steps of 256 samples with Adam at 2e-3, of which the first epochs
are annealed, and 1,200 with path gradients at 2e-4. The constant is the logarithm of the target's
integral, by quadrature or in closed form; the evidence is that of 20,000 importance samples.

{targets}

Standard errors are those of the weights, and tails that the flow does not reach are in no weight.

{machine}
"""
EPOCHS, STEPS, SAMPLES = 20, 100, 20_000
FLOWS = {
    "IAF": tfflows.IAF,
    "RealNVP": tfflows.RealNVP,
}


def eight_schools():
    effects = [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]
    errors = [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]

    @tfd.JointDistributionCoroutineAutoBatched
    def joint():
        mean = yield tfd.Normal(0.0, 10.0, name="mean")
        log_deviation = yield tfd.Normal(5.0, 1.0, name="log_deviation")
        standard = yield tfd.Sample(tfd.Normal(0.0, 1.0), 8, name="standard")
        of_schools = mean + tf.exp(log_deviation) * standard
        yield tfd.Independent(tfd.Normal(of_schools, errors), 1, name="observed")

    return joint, {"observed": tf.constant(effects)}


def breast_cancer():
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    x = np.concatenate([(x - x.mean(0)) / x.std(0), np.ones([len(x), 1])], 1).astype("float32")

    @tfd.JointDistributionCoroutineAutoBatched
    def joint():
        weights = yield tfd.Sample(tfd.Normal(0.0, 1.0), x.shape[1], name="weights")
        logits = tf.linalg.matvec(x, weights)
        yield tfd.Independent(tfd.Bernoulli(logits), 1, name="malignant")

    return joint, {"malignant": tf.constant(1 - y, tf.int32)}


MODELS = {"eight_schools": eight_schools, "breast_cancer": breast_cancer}
TARGETS = ("u1", "u2", "u3", "u4", "funnel")


def fit(name, kind):
    """A fitted posterior, its importance samples, and the seconds that the fit took."""
    joint, pins = MODELS[name]()
    joint = joint.experimental_pin(**pins) if pins else joint
    keras.utils.set_random_seed(0)
    start = time.perf_counter()
    posterior = tfflows.inference.fit_posterior(
        joint, flow=FLOWS[kind], epochs=EPOCHS, steps_per_epoch=STEPS, verbose=0
    )
    seconds = time.perf_counter() - start
    return posterior, posterior.importance_samples(SAMPLES), seconds


def fit_row(name, kind, samples, seconds):
    elbo = samples.log_weights.mean()
    error = samples.log_weights.std() / len(samples.log_weights) ** 0.5
    size = samples.effective_sample_size / len(samples.log_weights)
    return [
        f"{name}, {kind}",
        f"{elbo:.3f} ± {error:.3f}",
        f"{samples.log_evidence:.4f} ± {samples.standard_error:.4f}",
        f"{size:.1%}",
        f"{samples.pareto_k:.2f}",
        f"{seconds:.0f}",
    ]


def nuts(name):
    """TFP's own chains as `Chains`, and their seconds."""
    joint, pins = MODELS[name]()
    start = time.perf_counter()

    @tf.function(autograph=False)
    def run():
        return tfp.experimental.mcmc.windowed_adaptive_nuts(
            1000, joint, n_chains=8, num_adaptation_steps=500, seed=[0, 1], **pins
        )

    parts, trace = run()
    names = [part for part in parts._fields if part not in pins]
    parts = {part: getattr(parts, part).numpy() for part in names}
    seconds = time.perf_counter() - start
    sizes = {n: tfp.mcmc.effective_sample_size(p, cross_chain_dims=1) for n, p in parts.items()}
    r_hat = {
        n: tfp.mcmc.diagnostic.potential_scale_reduction(p, 1, split_chains=True)
        for n, p in parts.items()
    }
    accepted, divergent = np.mean(trace["accept_ratio"]), np.sum(trace["diverging"])
    return tfflows.inference.Chains(parts, r_hat, sizes, accepted, divergent), seconds


def flat(structure):
    """Numbers of named parts, side by side, in the order of their names."""
    parts = structure if isinstance(structure, dict) else structure._asdict()
    return np.concatenate([np.ravel(parts[name]) for name in sorted(parts)])


def chain_row(name, kind, chains, seconds):
    size = np.min(flat(chains.effective_sample_size))
    return [
        f"{name}, {kind}",
        f"{np.max(flat(chains.r_hat)):.3f}",
        f"{size:.0f}",
        f"{chains.divergences}",
        f"{seconds:.0f}",
    ]


def difference(ours, theirs):
    (mean, error), (other, other_error) = ours.mean(), theirs.mean()
    errors = np.hypot(flat(error), flat(other_error))
    worst = np.max(np.abs(flat(mean) - flat(other)) / errors)
    p_value = min(1.0, len(errors) * 2 * (1 - tfd.Normal(0.0, 1.0).cdf(worst).numpy()))
    return f"{worst:.1f} ({p_value:.2f})"


def target_row(name):
    """Evidence of a density that is known up to a factor, beside its constant."""
    target = targets.TARGETS[name]
    keras.utils.set_random_seed(0)
    bound = 6.0 if target.dim == 2 else 10.0
    flow = tfflows.NSF((target.dim,), num_layers=4, hidden=(64, 64), bound=bound)
    start = time.perf_counter()
    for path_gradient, rate, annealing in ((False, 2e-3, 3), (True, 2e-4, 0)):
        flow.compile(keras.optimizers.Adam(rate))
        flow.fit_to(
            target.log_prob,
            epochs=6,
            steps_per_epoch=200,
            annealing_epochs=annealing,
            path_gradient=path_gradient,
            verbose=0,
        )
    seconds = time.perf_counter() - start
    samples = tfflows.evaluate.importance_samples(flow, target.log_prob, SAMPLES)
    size = samples.effective_sample_size / len(samples.log_weights)
    return [
        f"{name}, {target.dim}-D",
        f"{target.log_evidence:.4f}",
        f"{samples.log_evidence:.4f} ± {samples.standard_error:.4f}",
        f"{size:.1%}",
        f"{samples.pareto_k:.2f}",
        f"{seconds:.0f}",
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", default=[*MODELS])
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    fits, chains = [], []
    for name in args.names:
        for kind in FLOWS:
            posterior, samples, seconds = fit(name, kind)
            fits.append(fit_row(name, kind, samples, seconds))
            print(fits[-1], flush=True)
            if kind == "IAF":
                start = time.perf_counter()
                ours = posterior.sample_chains(1000)
                ours_seconds = seconds + time.perf_counter() - start
        theirs, their_seconds = nuts(name)
        chains.append([*chain_row(name, "latents", ours, ours_seconds), difference(ours, theirs)])
        chains.append([*chain_row(name, "TFP", theirs, their_seconds), ""])
        print(*chains[-2:], sep="\n", flush=True)
    target_rows = []
    for name in TARGETS:
        target_rows.append(target_row(name))
        print(target_rows[-1], flush=True)
    text = TEXT.format(
        epochs=EPOCHS,
        steps=STEPS,
        fits=_harness.table(
            ["", "ELBO", "log evidence", "effective sample size", "Pareto k", "seconds"], fits
        ),
        chains=_harness.table(
            ["", "R-hat", "effective sample size", "divergent", "seconds", "largest difference"],
            chains,
        ),
        targets=_harness.table(
            ["", "constant", "log evidence", "effective sample size", "Pareto k", "seconds"],
            target_rows,
        ),
        machine=_harness.here(f"TensorFlow {tf.__version__}", f"TFP {tfp.__version__}"),
    )
    if args.output:
        args.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
