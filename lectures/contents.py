"""The order of the lectures: the parts of the deck, and in each the lectures as its slides come."""
from pathlib import Path

PARTS = {
    "Visualizing conv-nets: weights and occlusion": ("01_raw_filters", "08_occlusion"),
    "Visualizing conv-nets: t-SNE": ("02_sne_and_tsne", "03_quadtree", "04_perplexity", "05_digits", "06_cnn_codes"),
    "Visualizing conv-nets: deconvolution, saliency, activations": (
        "15_backprop_deconvnet_guided", "16_top_crops", "17_saliency", "18_segmentation", "19_activations", "20_patches"),
    "Visualizing conv-nets: through optimization": ("21_inversion", "22_class_models", "24_multifaceted", "25_deep_generator"),
    "Visualizing conv-nets: after the lecture": ("26_fourier", "27_attribution"),
    "CNN for arts": ("30_deepdream", "31_neural_style", "32_fast_style", "33_textures", "34_normalizations", "35_many_styles",
                     "36_music"),
    "Fooling conv-net": ("40_ostrich", "41_fooling_images", "42_evolved_images", "43_hog", "44_adversarial"),
    "Conclusions": ("45_linear", "46_neighbours"),
}


def lecture_names():
    """Return the lectures' module names in deck order; of those that are here: a student's folder has some."""
    return [name for names in PARTS.values() for name in names if (Path(__file__).parent / f"{name}.py").exists()]
