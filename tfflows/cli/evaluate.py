"""The verbs of the command line that measure flows, one by one or side by side."""

from __future__ import annotations

import sys

from tfflows.cli.arguments import flow_of, source_of
from tfflows.cli.quiet import import_tensorflow


def add_verbs(command) -> None:
    """Add the verbs to a parser; `command(name, run, summary)` adds one and returns its parser."""
    sub = command("evaluate", _evaluate, "Measure a flow on held-out data.")
    help_text = "zoo entry, path of a saved .keras flow, or a pattern of entries, e.g. 'real*'"
    sub.add_argument("name", help=help_text)
    help_text = "data set (default: the entry's own, or that of the recipe beside the file)"
    sub.add_argument("--data", help=help_text)
    _takes_draws(sub)
    help_text = "draws per image for the importance-weighted bound (default 16)"
    sub.add_argument("--num-samples", type=int, default=16, help=help_text)
    help_text = "random examples for all figures but the likelihood (default 256)"
    sub.add_argument("--examples", type=int, default=256, help=help_text)

    sub = command("compare", _compare, "Likelihoods of several flows on the same examples.")
    help_text = "zoo entries, or paths of saved .keras flows"
    sub.add_argument("names", nargs="+", metavar="NAME", help=help_text)
    sub.add_argument("--data", help="data set (default: their own, if it is the same)")
    _takes_draws(sub)

    sub = command("audit", _audit, "Check that a flow's maps, log-dets and density fit together.")
    sub.add_argument("name", help="zoo entry, or path of a saved .keras flow")
    help_text = "relative error of a flow that is numerical by itself (default 0)"
    sub.add_argument("--rtol", type=float, default=0.0, help=help_text)
    sub.add_argument("--seed", type=int, default=0, help="of the inputs (default 0)")
    sub.add_argument("--format", default="text", choices=["text", "markdown", "json"])


def _takes_draws(sub):
    sub.add_argument("--split", default="test", choices=["train", "validation", "test"])
    sub.add_argument("--draws", type=int, default=1, help="dequantisation draws per image")
    sub.add_argument("--seed", type=int, default=0, help="of the draws (default 0)")


def _evaluate(arguments):
    if arguments.name.endswith(".keras") or not set("*?[") & set(arguments.name):
        for line in _report(arguments, arguments.name):
            print(line, flush=True)
        return 0
    import zoo

    names, status = zoo.list(arguments.name, pretrained=True), 0
    if not names:
        raise ValueError(f"No zoo entry with weights matches {arguments.name!r}.")
    for name in names:
        print(name)
        try:
            for line in _report(arguments, name):
                print(f"  {line}", flush=True)
        except (ValueError, OSError, ImportError) as error:
            print(f"tfflows: {name}: {error}", file=sys.stderr)
            status = 1
    return status


def _report(arguments, name):
    source = source_of(name, arguments.data)
    flow = flow_of(name)
    from tfflows import data, evaluate

    yield from evaluate.report(
        flow,
        data.load(source, num_bits=flow.num_bits or 8),
        arguments.split,
        arguments.draws,
        arguments.num_samples,
        arguments.examples,
        arguments.seed,
    )


def _audit(arguments):
    flow = flow_of(arguments.name)
    from tfflows.auditing import Report, audit

    if flow.is_conditional:
        # One context stands for all.
        flow = flow.given(0 if flow.num_classes else [0.0] * flow.context_dim)
    report = audit(flow, rtol=arguments.rtol, seed=arguments.seed)
    formats = {"text": str, "markdown": Report.markdown, "json": Report.json}
    print(formats[arguments.format](report))
    return 0 if report.ok else 1


def _compare(arguments):
    sources = sorted({source_of(name, arguments.data) for name in arguments.names})
    if len(sources) > 1:
        raise ValueError(f"Flows of the data sets {', '.join(sources)}: on which? Give --data.")
    import_tensorflow()
    from tfflows import data, evaluate
    from tfflows.evaluate import Likelihood

    flows = {name: flow_of(name) for name in arguments.names}
    kinds = {name: (flow.event_shape, flow.num_bits) for name, flow in flows.items()}
    (shape, num_bits), *others = set(kinds.values())
    if others:
        texts = [
            f"{name} has {shape} with num_bits {bits}" for name, (shape, bits) in kinds.items()
        ]
        raise ValueError(
            "Flows are compared on examples of one shape and number of bits, but "
            f"{', '.join(texts)}."
        )
    found = data.load(sources[0], num_bits=num_bits or 8)
    examples = getattr(found, arguments.split)
    nll, measured = {}, {}
    for name, flow in flows.items():
        context = examples.y if flow.is_conditional else None
        weights = evaluate.log_weights(flow, examples.x, context, arguments.draws, arguments.seed)
        measured[name] = Likelihood.of_log_weights(flow, weights)
        nll[name] = -weights.mean(axis=0)
    best = min(measured, key=lambda name: measured[name].nll)
    print(f"{found.name}, {arguments.split} split, {len(examples):,} examples; lower is better")
    width = max(map(len, measured))
    for name in sorted(measured, key=lambda name: measured[name].nll):
        num_dims = None if num_bits is None else examples.x[0].size
        figure = _figure(measured[name])
        # Of the differences example by example, whose error is smaller than that of each figure.
        gap = Likelihood.of(nll[name] - nll[best], num_dims, 0)
        worse = "" if name == best else f"  worse by {_figure(gap)}"
        print(f"{name:{width}}  {figure}{worse}  ({measured[name].estimator})")


def _figure(found) -> str:
    """Bits/dim for images, else nats, with the standard error."""
    if found.bits_per_dim is None:
        return f"{found.nll:.4f} +/- {found.standard_error:.4f} nats"
    return f"{found.bits_per_dim:.4f} +/- {found.bits_per_dim_standard_error:.4f} bits/dim"
