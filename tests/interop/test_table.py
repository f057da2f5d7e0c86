"""The engine of tables: there and back, and nothing lost on the way."""

import numpy as np
import pytest

from vlx.errors import UserError
from vlx.interop.table import (
    TRANSPOSED,
    Rule,
    computed,
    fused,
    heads_bias,
    heads_kernel,
    merge_kernel,
    to_official,
    to_vlx,
)

DRAW = np.random.default_rng(0).standard_normal
LAYERS, D, H, K = 3, 7, 2, 5
FIXED = np.arange(6.0).reshape(2, 3)
TABLE = [
    Rule("scale", "logit_scale"),
    Rule("proj.{layer}.weight", "layers/up/kernel", TRANSPOSED),
    Rule(
        "attn.in_proj_weight",
        ("attention/query/kernel", "attention/key/kernel", "attention/value/kernel"),
        fused(3, heads_kernel(H)),
    ),
    Rule("attn.q_bias", "attention/query/bias", heads_bias(H)),
    Rule("attn.out.weight", "attention/out/kernel", merge_kernel(H)),
    computed("positions", FIXED),
]
OFFICIAL = {
    "scale": DRAW(()),
    **{f"proj.{i}.weight": DRAW((11, D)) for i in range(LAYERS)},
    "attn.in_proj_weight": DRAW((3 * H * K, D)),
    "attn.q_bias": DRAW(H * K),
    "attn.out.weight": DRAW((D, H * K)),
    "positions": FIXED,
}


def test_there_and_back_is_the_identity():
    back = to_official(TABLE, to_vlx(TABLE, OFFICIAL))
    assert set(back) == set(OFFICIAL)
    for name, value in OFFICIAL.items():
        np.testing.assert_array_equal(back[name], value, err_msg=name)


def test_layers_are_stacked_and_kernels_cut_by_heads():
    params = to_vlx(TABLE, OFFICIAL)
    assert {path: x.shape for path, x in params.items()} == {
        "logit_scale": (),
        "layers/up/kernel": (LAYERS, D, 11),
        "attention/query/kernel": (D, H, K),
        "attention/key/kernel": (D, H, K),
        "attention/value/kernel": (D, H, K),
        "attention/query/bias": (H, K),
        "attention/out/kernel": (H, K, D),
    }
    np.testing.assert_array_equal(params["layers/up/kernel"][1], OFFICIAL["proj.1.weight"].T)


def test_converted_kernels_compute_the_same():
    """Keys are the second third of the fused rows; heads are consecutive in a row."""
    params, x = to_vlx(TABLE, OFFICIAL), DRAW(D)
    keys = OFFICIAL["attn.in_proj_weight"][H * K : 2 * H * K] @ x
    np.testing.assert_allclose(
        np.einsum("D,DHK->HK", x, params["attention/key/kernel"]), keys.reshape(H, K)
    )
    merged = np.einsum("HK,HKD->D", keys.reshape(H, K), params["attention/out/kernel"])
    np.testing.assert_allclose(merged, OFFICIAL["attn.out.weight"] @ keys)


def without(flat, *names):
    return {name: value for name, value in flat.items() if name not in names}


@pytest.mark.parametrize(
    ("official", "message"),
    [
        (without(OFFICIAL, "scale"), "missing: scale"),
        (without(OFFICIAL, "proj.1.weight"), r"missing: proj\.1\.weight\."),
        (without(OFFICIAL, *(f"proj.{i}.weight" for i in range(3))), r"missing: proj\.{layer}"),
        (OFFICIAL | {"extra": 1, "more": 2}, r"not used: extra, more"),
        (without(OFFICIAL, "scale") | {"scael": 1}, "missing: scale; not used: scael"),
        (OFFICIAL | {f"x{i:02}": i for i in range(11)}, "x07 and 3 more"),
    ],
)
def test_official_weights_that_do_not_fit_are_listed(official, message):
    with pytest.raises(UserError, match=f"The official weights do not fit.*{message}"):
        to_vlx(TABLE, official)


def test_parameters_that_do_not_fit_are_listed():
    params = without(to_vlx(TABLE, OFFICIAL), "attention/key/kernel") | {"head/kernel": 0}
    message = "The vlx weights .* missing: attention/key/kernel; not used: head/kernel"
    with pytest.raises(UserError, match=message):
        to_official(TABLE, params)


def test_a_computed_table_must_be_the_files_own():
    with pytest.raises(UserError, match="positions differs from the fixed table"):
        to_vlx(TABLE, OFFICIAL | {"positions": FIXED + 0.1})
