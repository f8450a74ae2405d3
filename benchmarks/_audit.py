"""TFP's bijectors with arguments for an audit, and inputs of their domains."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfb = tfp.bijectors


def real(n):
    return n


def real_in_float32(n):
    return n.astype("float32")


def positive(n):
    return np.exp(n)


def unit(n):
    return 1 / (1 + np.exp(-n))


def lower_triangular(n):
    z = np.tril(n)
    diagonal = np.arange(z.shape[-1])
    z[..., diagonal, diagonal] = np.exp(z[..., diagonal, diagonal])
    return z


def float64(*values):
    return tf.constant(values, tf.float64)


def _shift_and_log_scale(x, num_outputs, **kwargs):
    # Any smooth function of what conditions; outputs are two numbers.
    sums = tf.reduce_sum(x, -1, keepdims=True)
    return tf.sin(sums + tf.range(2.0, dtype=x.dtype)), 0.5 * tf.cos(sums * float64(1.0, 2.0))


def _made(x):
    # What is for a dimension depends on those before it alone.
    before = tf.cumsum(x, axis=-1, exclusive=True)
    return tf.stack([tf.sin(before), 0.5 * tf.cos(before)], -1)


def _glow():
    return tfb.Glow(
        output_shape=(4, 4, 1),
        num_glow_blocks=2,
        num_steps_per_block=2,
        coupling_bijector_fn=tfb.GlowDefaultNetwork,
        exit_bijector_fn=tfb.GlowDefaultExitNetwork,
    )


def _ffjord(**settings):
    matrix = tf.constant([[0.3, 0.7], [-0.5, 0.2]], tf.float64)
    return tfb.FFJORD(
        lambda t, y: tf.tanh(tf.matmul(y, matrix)) + t,
        ode_solve_fn=tfp.math.ode.DormandPrince(rtol=1e-7, atol=1e-7).solve,
        trace_augmentation_fn=tfb.ffjord.trace_jacobian_exact,
        dtype=tf.float64,
        **settings,
    )


def _chain():
    return tfb.Chain([tfb.Softplus(), tfb.Shift(float64(0.5, -1.0)), tfb.Scale(float64(2.0, -3.0))])


def _diagonal():
    return tf.linalg.LinearOperatorDiag(float64(2.0, -0.5))


_LOWER_UPPER = tf.constant([[2.0, 0.5, -1.0], [0.3, -1.5, 0.2], [0.1, 0.4, 0.7]], tf.float64)
_LOWER = tf.constant([[2.0, 0.0], [0.5, -1.5]], tf.float64)
_SPLINE = (float64(0.5, 0.7, 0.8), float64(0.9, 0.3, 0.8), float64(0.6, 1.7))

# {name: (function that makes it, event shape of z, domain)}
CASES = {
    "Ascending": (tfb.Ascending, (3,), real),
    "Blockwise": (lambda: tfb.Blockwise([tfb.Exp(), tfb.Tanh()], [1, 1]), (2,), real),
    "Chain": (_chain, (2,), real),
    "CholeskyOuterProduct": (tfb.CholeskyOuterProduct, (3, 3), lower_triangular),
    "CholeskyToInvCholesky": (tfb.CholeskyToInvCholesky, (3, 3), lower_triangular),
    "CorrelationCholesky": (tfb.CorrelationCholesky, (3,), real),
    "Cumsum": (tfb.Cumsum, (3,), real),
    "DiscreteCosineTransform": (tfb.DiscreteCosineTransform, (4,), real),
    "Exp": (tfb.Exp, (2,), real),
    "Expm1": (tfb.Expm1, (2,), real),
    "FFJORD": (_ffjord, (2,), real),
    "FFJORD(initial_time=0.5)": (lambda: _ffjord(initial_time=0.5), (2,), real),
    "FillScaleTriL": (lambda: tfb.FillScaleTriL(diag_shift=np.float64(1e-5)), (3,), real),
    "FillTriangular": (tfb.FillTriangular, (3,), real),
    "FrechetCDF": (lambda: tfb.FrechetCDF(*float64(0.0, 1.5, 2.0)), (2,), positive),
    "GeneralizedExtremeValueCDF": (
        lambda: tfb.GeneralizedExtremeValueCDF(*float64(0.1, 1.5, 0.2)),
        (2,),
        positive,
    ),
    "GeneralizedPareto": (lambda: tfb.GeneralizedPareto(*float64(0.3, 1.5, 0.7)), (2,), real),
    "Glow": (_glow, (16,), real_in_float32),
    "GompertzCDF": (lambda: tfb.GompertzCDF(*float64(0.7, 0.5)), (2,), positive),
    "GumbelCDF": (lambda: tfb.GumbelCDF(*float64(0.3, 1.5)), (2,), real),
    "Householder": (lambda: tfb.Householder(float64(0.6, 0.8)), (2,), real),
    "IteratedSigmoidCentered": (tfb.IteratedSigmoidCentered, (2,), real),
    "KumaraswamyCDF": (lambda: tfb.KumaraswamyCDF(*float64(1.5, 0.7)), (2,), unit),
    "LambertWTail": (lambda: tfb.LambertWTail(*float64(0.3, 1.5, 0.2)), (2,), real),
    "Log": (tfb.Log, (2,), positive),
    "Log1p": (tfb.Log1p, (2,), positive),
    "MaskedAutoregressiveFlow": (lambda: tfb.MaskedAutoregressiveFlow(_made), (2,), real),
    "MatrixInverseTriL": (tfb.MatrixInverseTriL, (3, 3), lower_triangular),
    "MoyalCDF": (lambda: tfb.MoyalCDF(*float64(0.3, 1.5)), (2,), real),
    "NormalCDF": (tfb.NormalCDF, (2,), real),
    "Pad": (tfb.Pad, (2,), real),
    "Permute": (lambda: tfb.Permute([2, 0, 1]), (3,), real),
    "Power": (lambda: tfb.Power(np.float64(3.0)), (2,), positive),
    "PowerTransform": (lambda: tfb.PowerTransform(np.float64(0.5)), (2,), positive),
    "RationalQuadraticSpline": (lambda: tfb.RationalQuadraticSpline(*_SPLINE), (2,), real),
    "RayleighCDF": (lambda: tfb.RayleighCDF(np.float64(1.5)), (2,), positive),
    "RealNVP": (
        lambda: tfb.RealNVP(1, shift_and_log_scale_fn=_shift_and_log_scale),
        (3,),
        real,
    ),
    "Reciprocal": (tfb.Reciprocal, (2,), positive),
    "Reshape": (lambda: tfb.Reshape((2, 2), (4,)), (4,), real),
    "Scale": (lambda: tfb.Scale(float64(2.0, -0.5)), (2,), real),
    "ScaleMatvecDiag": (lambda: tfb.ScaleMatvecDiag(float64(2.0, -0.5)), (2,), real),
    "ScaleMatvecLU": (lambda: tfb.ScaleMatvecLU(_LOWER_UPPER, [2, 0, 1]), (3,), real),
    "ScaleMatvecLinearOperator": (
        lambda: tfb.ScaleMatvecLinearOperator(_diagonal()),
        (2,),
        real,
    ),
    "ScaleMatvecTriL": (lambda: tfb.ScaleMatvecTriL(_LOWER), (2,), real),
    "Shift": (lambda: tfb.Shift(float64(0.5, -1.0)), (2,), real),
    "ShiftedGompertzCDF": (lambda: tfb.ShiftedGompertzCDF(*float64(0.7, 0.5)), (2,), positive),
    "Sigmoid": (lambda: tfb.Sigmoid(*float64(-1.0, 3.0)), (2,), real),
    "Sinh": (tfb.Sinh, (2,), real),
    "SinhArcsinh": (lambda: tfb.SinhArcsinh(*float64(0.3, 1.5)), (2,), real),
    "SoftClip": (lambda: tfb.SoftClip(*float64(-1.0, 3.0)), (2,), real),
    "Softfloor": (lambda: tfb.Softfloor(np.float64(0.3)), (2,), real),
    "SoftmaxCentered": (tfb.SoftmaxCentered, (2,), real),
    "Softplus": (tfb.Softplus, (2,), real),
    "Softsign": (tfb.Softsign, (2,), real),
    "Square": (tfb.Square, (2,), positive),
    "Tanh": (tfb.Tanh, (2,), real),
    "TransformDiagonal": (lambda: tfb.TransformDiagonal(tfb.Exp()), (2, 2), real),
    "Transpose": (lambda: tfb.Transpose(perm=[1, 0]), (2, 2), real),
    "UnitVector": (tfb.UnitVector, (2,), real),
    "WeibullCDF": (lambda: tfb.WeibullCDF(*float64(1.5, 0.7)), (2,), positive),
}
