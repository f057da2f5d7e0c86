"""Check of BEiT v2's segmentation: pyramid, heads, and both losses in evaluation mode."""

import jax
import numpy as np
from flax.traverse_util import unflatten_dict

from vlx.interop import mmseg_upernet
from vlx.interop.table import to_official, to_vlx, with_computed
from vlx.interop.unilm_beit import INDEX
from vlx.models import parameter_shapes
from vlx.models.segmenter import Segmenter
from vlx.tasks.segmentation import SegmentationLoss, SegmentationTask
from vlx.train.partition import flatten

from golden_checks.case import Case, Ratios
from golden_checks.official import nhwc

IGNORED = 255
UNREAD = (INDEX, "num_batches_tracked")


def check_segmentation(case: Case) -> Ratios:
    c = mmseg_upernet.read_config(case.config)
    table = mmseg_upernet.table(c)
    state = case.group("param") | case.group("buffer")
    flat = to_vlx(table, with_computed(table, state))
    shapes = parameter_shapes(Segmenter(c))
    assert {path: x.shape for path, x in flat.items()} == {p: x.shape for p, x in shapes.items()}
    back = to_official(table, flat)
    assert all(np.array_equal(back[name], x) for name, x in state.items())

    params = unflatten_dict(flat, sep="/")
    inputs = case.group("in")
    image, label = nhwc(inputs["image"]), inputs["label"].astype(np.int32)
    task = SegmentationTask(c, SegmentationLoss())
    batch = {"image": image, "label_map": np.where(label == IGNORED, -1, label)}
    batch["weight"] = np.ones(len(image), np.float32)

    def loss(params):
        terms = task.embed(params, {}, batch, 0, {}).terms
        each = {n: task.weights[n] * total / count for n, (total, count) in terms.items()}
        return sum(each.values()), each

    @jax.jit
    def run(params):
        model, given = task.model, {"params": params}
        logits, coarse = model.apply(given, image)
        return logits, coarse, model.apply(given, image, method="maps")

    (total, each), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    logits, coarse, maps = run(params)
    got = {"logits": logits, "aux_logits": coarse}
    got |= {f"feature{n}": x for n, x in enumerate(maps)}
    got = {name: np.transpose(x, (0, 3, 1, 2)) for name, x in got.items()}
    got |= {"pred": np.argmax(logits, axis=-1), "loss": total}
    got |= {"loss_decode": each["pixels"], "loss_aux": each["auxiliary"]}
    gradient = to_official(table, flatten(jax.device_get(gradient)))
    constant = (*case.group("buffer"), *UNREAD)
    gradient = {name: x for name, x in gradient.items() if not name.endswith(constant)}
    return case.compare(got) | case.compare_gradients(gradient)


CHECKS = {"b2_segmentation": check_segmentation}
