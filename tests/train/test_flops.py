"""flops.count: equal to the analytic numbers."""

import jax
import jax.numpy as jnp

from vlx.train.flops import count

A, B, W = jnp.zeros((5, 7)), jnp.zeros((7, 3)), jnp.zeros((11, 7, 7))


def test_matrix_product():
    assert count(jnp.matmul, A, B) == 2 * 5 * 7 * 3


def test_batched_product():
    x, y = jnp.zeros((2, 13, 5, 7)), jnp.zeros((2, 13, 3, 7))
    assert count(lambda x, y: jnp.einsum("BHLK,BHSK->BHLS", x, y), x, y) == 2 * 26 * 5 * 3 * 7


def test_loops_count_every_turn():
    def layers(x, w):
        return jax.lax.scan(lambda x, w: (x @ w, None), x, w)[0]

    assert count(layers, A, W) == 11 * 2 * 5 * 7 * 7


def test_calls_and_recomputation_are_seen_through():
    def once(x, w):
        return jax.jit(jax.checkpoint(jnp.matmul))(x, w)

    assert count(once, A, B) == count(jnp.matmul, A, B)


def test_gradient_of_a_product_costs_two_more():
    def loss(a, b):
        return jnp.sum((a @ b) ** 2)

    assert count(jax.grad(loss, argnums=(0, 1)), A, B) == 3 * count(jnp.matmul, A, B)


def test_a_convolution_is_a_product_at_every_place():
    x, kernel = jnp.zeros((2, 11, 13, 5)), jnp.zeros((3, 3, 5, 7))

    def convolve(x, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers)

    once = 2 * (2 * 11 * 13 * 7) * (3 * 3 * 5)
    assert count(convolve, x, kernel) == once

    def loss(x, kernel):
        return jnp.sum(convolve(x, kernel) ** 2)

    assert count(jax.grad(loss, argnums=(0, 1)), x, kernel) == 3 * once


def test_elementwise_work_is_not_counted():
    assert count(jnp.sin, A) == 0


def test_of_a_condition_the_cheapest_branch_counts():
    def sometimes(a, b, x):
        return jax.lax.cond(x > 0, lambda: a @ b, lambda: jnp.zeros((5, 3)))

    assert count(sometimes, A, B, 1.0) == 0
