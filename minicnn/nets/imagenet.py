"""The 1000 classes of ImageNet (ILSVRC-2012), in the order in which networks score them."""
import json
import os


def imagenet_classes():
    """Return the list of the 1000 short English names; each occurs once."""
    path = os.path.join(os.path.dirname(__file__), "imagenet_classes.json")
    with open(path, encoding="utf-8") as file:
        return json.load(file)
