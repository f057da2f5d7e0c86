"""Losses over all pairs of a batch: closed forms, and what must not change them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vlx.layers.attention import unit
from vlx.objectives.contrastive import contrastive, contrastive_by_rank, distillation, sigmoid

SCALE = jnp.float32(5.0)
BIAS = jnp.float32(-2.0)
LOSSES = {
    "mean": jax.jit(contrastive),
    "sum": jax.jit(lambda *args: contrastive(*args, directions="sum")),
    "sigmoid": jax.jit(lambda *args: sigmoid(*args, BIAS)),
}


def pairs(rows, width=11):
    keys = jax.random.split(jax.random.key(0), 2)
    return tuple(unit(jax.random.normal(key, (rows, width))) for key in keys)


def grow(x, rows):
    return jnp.concatenate([x, jnp.ones((rows, *x.shape[1:]))])


def test_perfect_pairs_of_two():
    image = text = jnp.eye(2)
    total, count = contrastive(image, text, jnp.float32(3.0), jnp.ones(2))
    np.testing.assert_allclose(total / count, np.log1p(np.exp(-3.0)), rtol=1e-6)


def test_perfect_pairs_of_two_with_sigmoid():
    """Two pairs of logit 3 - 1 that match and two of -1 that do not, over two rows."""
    total, count = sigmoid(jnp.eye(2), jnp.eye(2), jnp.float32(3.0), jnp.ones(2), jnp.float32(-1))
    want = np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-1.0))
    np.testing.assert_allclose(total / count, want, rtol=1e-6)


def test_negatives_alone_in_closed_form():
    total, _ = sigmoid(jnp.eye(2), jnp.eye(2), jnp.float32(3.0), jnp.ones(2), None, True)
    np.testing.assert_allclose(total, 2 * np.log1p(np.exp(3.0)) + 2 * np.log(2), rtol=1e-6)


def test_equal_images_and_texts_guess():
    x = jnp.ones((7, 11)) / np.sqrt(11)
    total, count = contrastive(x, x, SCALE, jnp.ones(7))
    np.testing.assert_allclose(total / count, np.log(7), rtol=1e-5)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
class TestEveryForm:
    @pytest.mark.parametrize("padding", [1, 5])
    def test_padding_changes_nothing(self, loss, padding):
        image, text = pairs(7)
        want = loss(image, text, SCALE, jnp.ones(7))
        weight = jnp.ones(7 + padding).at[7:].set(0)
        got = loss(grow(image, padding), grow(text, padding), SCALE, weight)
        np.testing.assert_allclose(got, want, rtol=1e-6)

    def test_images_and_texts_may_change_places(self, loss):
        image, text = pairs(7)
        want = loss(image, text, SCALE, jnp.ones(7))
        np.testing.assert_allclose(loss(text, image, SCALE, jnp.ones(7)), want, rtol=1e-6)

    def test_the_order_of_pairs_does_not_matter(self, loss):
        (image, text), order = pairs(7), np.array([3, 1, 6, 0, 2, 5, 4])
        want = loss(image, text, SCALE, jnp.ones(7))
        np.testing.assert_allclose(loss(image[order], text[order], SCALE, jnp.ones(7)), want, 1e-6)

    def test_same_on_one_device_and_on_eight(self, loss):
        (image, text), weight = pairs(16), jnp.ones(16)
        rows = NamedSharding(Mesh(jax.devices(), "data"), PartitionSpec("data"))
        spread = jax.device_put((image, text, weight), rows)
        run = jax.jit(
            lambda image, text, weight: jax.value_and_grad(
                lambda *x: loss(*x, SCALE, weight)[0], (0, 1)
            )(image, text)
        )
        got, want = run(*spread), run(image, text, weight)
        assert len(spread[0].sharding.device_set) == 8
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), got, want)

    def test_padding_alone_has_a_finite_gradient(self, loss):
        image, text = pairs(7)
        got, gradient = jax.value_and_grad(lambda x: loss(x, text, SCALE, jnp.zeros(7))[0])(image)
        assert got == 0
        np.testing.assert_array_equal(gradient, np.zeros_like(gradient))


def test_the_sum_of_directions_is_twice_their_mean():
    image, text = pairs(7)
    mean, total = (LOSSES[name](image, text, SCALE, jnp.ones(7)) for name in ("mean", "sum"))
    np.testing.assert_allclose(total[0], 2 * mean[0], rtol=1e-6)
    assert total[1] == mean[1]


def test_a_bias_moves_no_softmax():
    image, text = pairs(7)
    want = contrastive(image, text, SCALE, jnp.ones(7))
    got = contrastive(image, text, SCALE, jnp.ones(7), BIAS)
    np.testing.assert_allclose(got, want, rtol=1e-5)


class TestByRank:
    """Three ranks of two pairs, one of them padding."""

    image, text = pairs(6)
    weight = jnp.array([1.0, 1, 1, 0, 1, 1])
    even = jnp.ones(6)

    def by_rank(self, weight, **options):
        @jax.jit
        def run(image, text, scale):
            return jnp.mean(contrastive_by_rank(image, text, scale, weight, ranks=3, **options))

        return jax.value_and_grad(run, (0, 1, 2))(self.image, self.text, SCALE)

    def true(self, weight):
        @jax.jit
        def run(image, text, scale):
            total, count = contrastive(image, text, scale, weight)
            return total / count

        return jax.value_and_grad(run, (0, 1, 2))(self.image, self.text, SCALE)

    def same(self, got, want):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-5, 1e-6), got, want)

    def test_gathering_with_gradient_is_the_global_loss(self):
        self.same(self.by_rank(self.weight, gather_with_grad=True), self.true(self.weight))

    def test_own_rows_with_gradient_have_the_true_gradient(self):
        got = self.by_rank(self.even, local_loss=True, gather_with_grad=True)
        self.same(got, self.true(self.even))

    def test_without_gradient_features_learn_a_third_on_three_ranks(self):
        value, (image, text, scale) = self.by_rank(self.weight)
        self.same((value, (3 * image, 3 * text, scale)), self.true(self.weight))

    def test_own_rows_without_gradient_miss_the_gathered_side(self):
        got, want = self.by_rank(self.even, local_loss=True)[1][0], self.true(self.even)[1][0]
        cosine = jnp.sum(got * want) / jnp.linalg.norm(got) / jnp.linalg.norm(want)
        assert cosine < 0.999

    def test_local_negatives_are_the_mean_of_the_blocks_own_losses(self):
        blocks = [slice(0, 2), slice(2, 4), slice(4, 6)]
        terms = [contrastive(self.image[b], self.text[b], SCALE, self.weight[b]) for b in blocks]
        want = np.mean([total / count for total, count in terms])
        got, _ = self.by_rank(self.weight, negatives="local")
        np.testing.assert_allclose(got, want, rtol=1e-6)


class TestDistillation:
    student, teacher = 3 * jax.random.normal(jax.random.key(1), (2, 5, 5))

    def test_of_two_classes(self):
        total, count = distillation(jnp.zeros((2, 2)), jnp.array([[0, 9.0], [3, 3]]), jnp.ones(2))
        np.testing.assert_allclose(total / count, np.log(2), rtol=1e-6)

    def test_a_student_like_its_teacher_has_nothing_to_learn(self):
        def loss(student):
            return distillation(student, self.teacher, jnp.ones(5))[0]

        np.testing.assert_allclose(jax.grad(loss)(self.teacher + 1.5), np.zeros((5, 5)), atol=1e-6)
        assert np.abs(jax.grad(loss)(self.student)).max() > 0.1
        assert loss(self.student) > loss(self.teacher)

    def test_padding_changes_nothing(self):
        weight = jnp.array([1.0, 1, 1, 0, 0])
        got = distillation(self.student, self.teacher, weight)
        want = distillation(self.student[:3, :3], self.teacher[:3, :3], jnp.ones(3))
        np.testing.assert_allclose(got, want, rtol=1e-6)
