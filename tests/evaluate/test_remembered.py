"""Remembered: a value for the parameters it was made of, and for none that come after."""

import gc

import jax.numpy as jnp

from vlx.evaluate.remembered import Remembered


def params(value: float = 1.0):
    return {"a": jnp.full(3, value), "b": {"c": jnp.ones(2)}}


def test_a_value_is_made_once_of_the_same_parameters():
    memory, given = Remembered(), params()
    made = memory.get("x", given, object)
    assert memory.get("x", {"b": given["b"], "a": given["a"]}, object) is made
    assert memory.get("y", given, object) is not made


def test_equal_parameters_are_not_the_same():
    memory, given = Remembered(), params()
    made = memory.get("x", given, object)
    assert memory.get("x", given | {"a": jnp.ones(3)}, object) is not made


def test_values_go_with_their_parameters():
    class Large:
        """Something that can be seen to go."""

        alive = 0

        def __init__(self):
            Large.alive += 1

        def __del__(self):
            Large.alive -= 1

    memory, given = Remembered(), params()
    memory.get("x", given, Large)
    assert Large.alive == 1
    del given["a"]  # as a step of training does, which gives up what it was given
    gc.collect()
    assert Large.alive == 0
