"""Wrong input to every technique: each wrong argument gets an error of ours that names it, and no technique goes on with it."""
import copy
import inspect

import numpy as np
import pytest

import minicnn
from minicnn import checks, nn
from minicnn.errors import MinicnnError
from minicnn.images import Preprocessing, gaussian_blur
from minicnn.loop import last, take
from minicnn.receptive_field import receptive_fields
from minicnn.visualize import activations, backprop, class_model, collection, deconvnet, deep_generator, filters, fourier
from minicnn.visualize import (grabcut, grad_cam, integrated_gradients, inversion, max_flow, multifaceted, occlusion, patches,
                               saliency, sanity, tv_bregman)

NAN = float("nan")
RNG = np.random.default_rng(0)
NET = nn.Network("small", preprocessing=Preprocessing(size=12, resize=None, scale=1.0, mean=(100.0,) * 3, std=(50.0,) * 3))
for name, layer in (("conv", nn.Conv2d(3, 6, 3, padding=1)), ("relu", nn.ReLU()), ("pool", nn.MaxPool2d(2)),
                    ("flatten", nn.Flatten()), ("fc", nn.Linear(6 * 36, 4))):
    NET.add(name, layer)
NET.initialise(3)
TRAINING = copy.deepcopy(NET).train(0)
PAINTER = nn.Sequential({"fc": nn.Linear(5, 3 * 144), "shape": nn.Function(minicnn.ops.reshape, shape=(-1, 3, 12, 12))},
                        "painter",
                        preprocessing=NET.preprocessing).initialise(1)
X, IMAGE = RNG.normal(size=(1, 3, 12, 12)).astype(np.float32), RNG.integers(0, 256, (12, 12, 3)).astype(np.uint8)
SEEDS = np.where(np.arange(144).reshape(12, 12) % 12 < 6, 0, 2)
CODE = NET.activations(X)["relu"].data
VIEW = activations.layer_views(NET, X)["relu"]
FIELD = receptive_fields(NET)["relu"]
BATCH = [IMAGE] * 6
PHASES = (multifaceted.Phase(2, (1, 1), (0.1, 0.1)),)

# What a picture, a layer, a class, a random state, a positive number, a count must not be.
PICTURES = (None, "cat.jpg", X[0], np.concatenate([X, X]), X[:, :2], X * NAN, np.zeros((1, 3, 0, 0)), [[1], [1, 2]])
NETS, LAYERS = (None, "squeezenet1_1", nn, TRAINING, nn.Network("empty")), ("conv9", None, 3, ["relu"])
CLASSES = (4, -1, 1.5, "cat", None, True)
STATES, RATES, COUNTS = ("seed", -1, 1.5), (0, -1, NAN, float("inf"), "fast", None), (0, -1, 1.5, "many", True)
SIZES, SHARES = (0, -3, 2.5, "large", (1, 2, 3), 10 ** 9), (-0.1, NAN, "half", 10 ** 9)
PERCENTILES = (-1, 101, NAN, "most", None)


# What messages call an argument that comes from a layer below.
KIND = {"rng": "random state", "class_index": "unit", "bound": "layer", "layers": "layer", "xs": "layer", "pictures": "picture",
        "channel_order": "channels"}


def run(steps):
    """Take two steps of a generator, or return what is no generator."""
    return last(take(2, steps)) if inspect.isgenerator(steps) else steps


# Each row: a call with right arguments by name, and wrong values for some of them.
ROWS = {
    "backproject": (backprop.backproject, dict(net=NET, x=X, layer="relu", seed=np.ones(CODE.shape), rule="guided"),
                    dict(net=NETS, x=PICTURES, layer=LAYERS, seed=(None, np.ones(3), "one"), rule=("best", None))),
    "unit_seed": (backprop.unit_seed, dict(activation=CODE, unit=(0, 1, 1), value=1.0),
                  dict(unit=(6, (0, 12, 0), (0, 0, 0, 0), (0, 1.5), "first", None, True), value=("much", None, NAN),
                       activation=(np.concatenate([CODE, CODE]), "map", CODE[0, 0, 0]))),
    "strongest_unit": (backprop.strongest_unit, dict(activation=CODE), dict(activation=(3.0, CODE[:0], CODE[0]))),
    "class_seed": (backprop.class_seed, dict(activation=CODE, class_index=1),
                   dict(class_index=(6, -1, "cat", (1,)), activation=(np.ones((1, 2, 3)),))),
    "as_picture": (backprop.as_picture, dict(signal=X[0], percentile=99),
                   dict(signal=(X, X[0] * NAN, 3), percentile=PERCENTILES)),
    "deconvnet": (deconvnet.deconvnet, dict(net=NET, x=X, layer="relu", seed=np.ones(CODE.shape)),
                  dict(net=NETS, x=PICTURES, layer=LAYERS, seed=(None, np.ones(3), "one"))),
    "layer_views": (activations.layer_views, dict(net=NET, x=X, layers=["relu"]),
                    dict(net=NETS, x=PICTURES, layers=("relu", ["conv9"], [3], 3, [["relu"]]))),
    "shown": (VIEW.shown, dict(gamma=1.0), dict(gamma=RATES)),
    "enlarged": (VIEW.enlarged, dict(channel=0, size=(9, 9)),
                 dict(channel=(6, -1, 1.5, "first"), size=(0, "large", (1, 2, 3)))),
    "strongest": (VIEW.strongest, dict(count=2), dict(count=COUNTS)),
    "saliency_map": (saliency.saliency_map, dict(net=NET, x=X, class_index=1), dict(net=NETS, x=PICTURES, class_index=CLASSES)),
    "seeds_of": (saliency.seeds_of, dict(saliency=np.abs(X[0, 0]), high=90, low=30, blur=1.0),
                 dict(saliency=(X, X[0, 0] * NAN, "map"), high=PERCENTILES + (20,), low=PERCENTILES, blur=SHARES)),
    "grabcut_steps": (grabcut.grabcut_steps, dict(image=IMAGE, seeds=SEEDS, components=2, gamma=50.0, least=1.0, rng=0),
                      dict(image=(IMAGE / 255, IMAGE[..., 0], None), seeds=(SEEDS[:5], SEEDS * 0, SEEDS + 1, None), rng=STATES,
                           components=COUNTS, gamma=(-1, NAN, "x", 1e300), least=RATES)),
    "cut_out": (grabcut.cut_out, dict(image=IMAGE, mask=SEEDS > 0),
                dict(image=(IMAGE / 255, None), mask=(SEEDS[:5] > 0, None, SEEDS))),
    "grad_cam": (grad_cam.grad_cam, dict(net=NET, x=X, class_index=1, layer="relu"),
                 dict(net=NETS, x=PICTURES, class_index=CLASSES, layer=LAYERS + ("flatten", "fc"))),
    "guided_grad_cam": (grad_cam.guided_grad_cam, dict(net=NET, x=X, class_index=1, layer="relu"),
                        dict(net=NETS, x=PICTURES, class_index=CLASSES, layer=LAYERS + ("flatten",))),
    "integrated_gradients": (integrated_gradients.integrated_gradients,
                             dict(net=NET, x=X, class_index=1, baseline=X * 0, steps=3, batch=2),
                             dict(net=NETS, x=PICTURES, class_index=CLASSES, baseline=(X[0], X * NAN, "grey"), steps=COUNTS,
                                  batch=COUNTS)),
    "smooth_grad": (integrated_gradients.smooth_grad, dict(net=NET, x=X, class_index=1, noise=0.1, samples=3, batch=2, rng=0),
                    dict(net=NETS, x=PICTURES, class_index=CLASSES, noise=(-1, NAN, "some"), samples=COUNTS, batch=COUNTS,
                         rng=STATES)),
    "cascading_randomisation": (lambda **given: list(sanity.cascading_randomisation(**given)), dict(net=NET, rng=0),
                                dict(net=NETS, rng=STATES)),
    "rank_correlation": (sanity.rank_correlation, dict(a=X, b=X), dict(a=(X[0], X * NAN, "map"), b=(X[0], X * NAN))),
    "occlusion": (occlusion.occlusion, dict(net=NET, x=X, class_index=1, window=4, stride=4, fill="mean", layer="relu",
                                            batch=3),
                  dict(net=NETS, x=PICTURES, class_index=(4, -1, 1.5, "cat", True, (1,)), window=SIZES, stride=SIZES[:5],
                       fill=("grey", 256, -1, None, NAN, X), layer=("conv9", 3, "fc"), batch=(0, -1, 1.5, "many"))),
    "occlusion by noise": (occlusion.occlusion, dict(net=NET, x=X, fill="noise", rng=0), dict(rng=STATES)),
    "inversion": (inversion.inversion_steps, dict(net=NET, code=CODE, layer="relu", size=12, starts=1, tv_weight=1.0, beta=2.0,
                                                  alpha_weight=8e-10, alpha=6, mask=None, schedule=((2, 1e-3),), rng=0),
                  dict(net=NETS, code=(CODE[0], CODE[:, :2], CODE * 0, CODE * NAN, "code"), layer=LAYERS, starts=COUNTS,
                       rng=STATES,
                       size=SIZES + (8,), tv_weight=(-1, NAN, "x"), beta=RATES, alpha_weight=(-1, NAN, "x"), alpha=RATES,
                       mask=(np.ones(7), CODE * 0, CODE * NAN, "left"),
                       schedule=((), None, 3, ((2,),), ((0, 1e-3),), ((2, 0),), ((2, NAN),), (("a", "b"),)))),
    "inversion in one call": (inversion.inversion, dict(net=NET, code=CODE, layer="relu", schedule=((2, 1e-3),)),
                              dict(schedule=((), None, 3, (("a", "b"),)))),
    "Settings": (class_model.Settings, dict(steps=2), dict(
        steps=COUNTS, lr=RATES, progress=SHARES[:3], decay=SHARES, blur=SHARES, blur_every=COUNTS, small_norm=PERCENTILES,
        small_contribution=PERCENTILES)),
    "simonyan": (class_model.simonyan, dict(weight=1e-4, lr=10.0, steps=2),
                 dict(weight=(-1, NAN, "x", 1.0), lr=RATES, steps=COUNTS)),
    "random_settings": (class_model.random_settings, dict(rng=0), dict(rng=STATES)),
    "class_model": (class_model.class_model, dict(net=NET, unit=1, settings=class_model.Settings(2), layer="fc", size=12,
                                                  start="noise", rng=0),
                    dict(net=NETS, unit=CLASSES + ((0, 1, 1), ()), settings=(None, 3, "best"), layer=LAYERS[:1] + (3,),
                         size=SIZES,
                         start=("black", X[0], X[:, :2], X * NAN), rng=STATES)),
    "fourier": (fourier.fourier, dict(net=NET, unit=1, steps=2, layer="fc", size=12, lr=0.05, shift=2, zoom=0.1, turn=5, rng=0),
                dict(net=NETS, unit=CLASSES, steps=(-1, 1.5, "many"), layer=LAYERS[:1] + (3,), size=SIZES + (1,), lr=RATES,
                     shift=SHARES, zoom=SHARES + (1,), turn=SHARES, rng=STATES)),
    "Phase": (multifaceted.Phase, dict(steps=2, step=(1, 1), fidelity=(1, 1)), dict(
        steps=COUNTS, step=(1, (1,), (1, NAN), "ab"), fidelity=(1, (0, 1), (1, "b")), enlarge=(0, 0.9, NAN, 1e9), window=SHARES,
        margin=(-1, 1.5))),
    "codes": (multifaceted.codes, dict(net=NET, pictures=BATCH, layer="relu", batch=2),
              dict(net=NETS, pictures=(None, "cat.jpg", [None], [X]), layer=LAYERS, batch=COUNTS)),
    "facets": (multifaceted.facets, dict(net=NET, pictures=BATCH, layer="relu", k=2, rng=0),
               dict(net=NETS, pictures=(None, "cat.jpg", BATCH[:5]), layer=LAYERS, k=COUNTS + (3,), rng=STATES)),
    "tv_ascent": (multifaceted.tv_ascent_steps, dict(net=NET, class_index=1, start=X, phases=PHASES, rng=0),
                  dict(net=NETS, class_index=CLASSES, start=(X[0], X[:, :2], X * NAN, None, "grey"), rng=STATES,
                       phases=((), None, 3, "published", multifaceted.FROM_MEAN))),
    "code_ascent": (deep_generator.code_ascent, dict(net=NET, generator=PAINTER, class_index=1, bound=np.ones(5), lr=(1.0, 0.1),
                                                     steps=2, decay=0.01, start=None, rng=0),
                    dict(net=NETS, generator=NETS, class_index=CLASSES, bound=(1.0, np.ones(4), -np.ones(5), np.ones(5) * NAN),
                         lr=(1.0, (1, NAN), (0, 1), "ab"), steps=COUNTS, decay=SHARES, start=(np.ones(4), np.ones(5) * NAN),
                         rng=STATES)),
    "denoise_tv_bregman": (tv_bregman.denoise_tv_bregman, dict(x=X, weight=1.0, max_iter=3, eps=1e-3),
                           dict(x=(X * NAN, X[0, 0, 0], IMAGE, None), weight=RATES, max_iter=(-1, 1.5, "x"),
                                eps=(-1, NAN, "x"))),
    "top_patches": (patches.top_patches, dict(net=NET, layer="relu", pictures=BATCH, top=2, batch=2),
                    dict(net=NETS, layer=LAYERS, pictures=(None, "cat.jpg", [], [None]), top=COUNTS, batch=COUNTS)),
    "cut_patch": (patches.cut_patch, dict(picture=IMAGE, field=FIELD, row=1, column=1),
                  dict(picture=(IMAGE[:5], None, 3), field=(None, {"relu": FIELD}), row=(-1, 12, 1.5, "top"),
                       column=(-1, 12, 1.5))),
    "draw_box": (patches.draw_box, dict(picture=IMAGE, box=(0, 0, 5, 5), value=1.0),
                 dict(picture=(IMAGE / 255, None, X), box=((0, 0, 13, 5), (5, 0, 5, 5), (0, 0), None, "abcd", (-1, 0, 3, 3)),
                      value=("much", [1]))),
    "effective_field": (patches.effective_field, dict(net=NET, layer="relu", xs=X, channel=0),
                        dict(net=NETS, layer=LAYERS + ("fc",), xs=(None, "cat.jpg", X[0], X[:0], X * NAN),
                             channel=(6, -1, 1.5, "first", True))),
    "receptive_fields": (receptive_fields, dict(net=NET, size=12), dict(net=NETS[:3], size=SIZES)),
    "scale_filters": (filters.scale_filters, dict(weight=X, scaling="filter"),
                      dict(weight=(X[0], "w", None, X[:0]), scaling=("best", None))),
    "colour_tiles": (filters.colour_tiles, dict(weight=X),
                     dict(weight=(X[0], X[:, :2], "w", None), channel_order=("RBG", None))),
    "enlarge": (filters.enlarge, dict(tiles=X, factor=2), dict(tiles=(3.0, None), factor=COUNTS[:4] + (10 ** 9,))),
    "halves": (filters.halves, dict(weight=np.repeat(X, 4, axis=0), groups=2),
               dict(weight=(X, X[0], "w"), groups=(0, -1, 1.5, 3))),
    "roughness": (filters.roughness, dict(weight=X), dict(weight=(X[0], "w", None, X[..., :1, :1]))),
    "order_by_energy": (filters.order_by_energy, dict(weight=X), dict(weight=(X[0], "w", None))),
    "colourfulness": (filters.colourfulness, dict(weight=X), dict(weight=(X[0], "w", None))),
    "collection_patches": (lambda **given: last(collection.collection_patches("lenet_mnist", **given)),
                           dict(layer="relu1", files=["lectures/images/coffee.jpg"], top=2, batch=2),
                           dict(layer=LAYERS, files=([], "cat.jpg", None, ["nowhere.jpg"]), top=COUNTS, batch=COUNTS,
                                dask=(3, "here", "tcp://127.0.0.1:9"))),
    "collection_codes": (lambda **given: collection.collection_codes("lenet_mnist", **given),
                         dict(layer="relu1", files=["lectures/images/coffee.jpg"], batch=2),
                         dict(layer=LAYERS, files=([], "cat.jpg", None, ["nowhere.jpg"]), batch=COUNTS)),
    "gaussian_blur": (gaussian_blur, dict(x=X, sigma=1.0), dict(x=(3.0, None), sigma=SHARES)),
    "pixel_map": (occlusion.pixel_map,
                  dict(state=occlusion.occlusion(NET, X, window=6, stride=6), values=np.ones((2, 2)), size=12),
                  dict(values=(None, np.ones((3, 2))), size=(0, "large", (1, 2, 3)))),
    "min_cut": (max_flow.min_cut, dict(source=[1, 0], sink=[0, 1], edges=[[0, 1]], forward=[1], backward=[0]),
                dict(source=(1, [1], [1, NAN], None, "ab"), sink=(1, [1], [1, -1], None), forward=([1, 1], [NAN], 1),
                     edges=([0, 1], [[0], [1]], [[0, 2]], [[0.5, 1.0]], None), backward=([], [-1], None))),
    "transformation": (fourier.transformation, dict(size=(5, 6)), dict(size=(0, "large", (1, 2, 3)), shift=SHARES, rng=STATES)),
    "grey_start": (multifaceted.grey_start, dict(net=NET, size=9), dict(net=NETS, size=SIZES, rng=STATES)),
    "picture_files": (collection.picture_files, dict(folder="lectures/images"), dict(folder=("nowhere", "", None, 3, ["a"]))),
    "number": (checks.number, dict(name="f", what="x", value=1, above=0, at_most=2),
               dict(value=(0, 3, NAN, "1", True, 1j, 10 ** 400))),
}
WRONG = [(row, argument, k) for row, (_, _, wrong) in ROWS.items()
         for argument, values in wrong.items() for k in range(len(values))]


@pytest.mark.parametrize("row", ROWS)
def test_the_right_arguments_are_taken(row):
    call, right, _ = ROWS[row]
    assert run(call(**right)) is not None


@pytest.mark.parametrize("row, argument, k", WRONG)
def test_a_wrong_argument_is_told(row, argument, k):
    call, right, wrong = ROWS[row]
    with pytest.raises(MinicnnError) as caught:
        run(call(**{**right, argument: wrong[argument][k]}))
    message = str(caught.value)
    assert 20 < len(message) < 500 and (row.split()[0] in message or argument in message or KIND.get(argument, "?") in message)
