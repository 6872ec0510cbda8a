"""Objects cut out of the shipped photographs by hand and put before other pictures: what a segmentation must find is known."""
import numpy as np
from PIL import Image, ImageDraw

from .common import IMAGES

# Outlines in pixels of the photographs, (x, y) from the upper left corner.
OUTLINES = {
    "coffee.jpg": [(149, 75), (155, 45), (180, 25), (215, 16), (250, 15), (290, 22), (320, 40), (345, 60), (360, 57), (360, 70),
                   (348, 95), (375, 120), (398, 150), (409, 185), (408, 220), (390, 270), (360, 305), (310, 328), (260, 331),
                   (205, 325), (150, 300), (105, 260), (78, 215), (67, 180), (70, 140), (85, 105), (105, 80), (130, 65)],
    "camera.jpg": [(202, 65), (240, 68), (269, 105), (272, 139), (322, 139), (326, 174), (330, 178), (328, 202), (311, 219),
                   (288, 277), (245, 311), (197, 305), (151, 391), (149, 511), (91, 511), (86, 470), (77, 511), (23, 511),
                   (25, 402), (14, 368), (2, 265), (25, 219), (59, 162), (122, 105), (157, 111), (165, 82)],
    "astronaut.jpg": [(153, 69), (176, 29), (222, 14), (279, 29), (302, 69), (296, 114), (267, 131), (262, 171), (302, 217),
                      (307, 246), (336, 257), (353, 297), (365, 343), (307, 377), (279, 457), (279, 511), (20, 511), (16, 446),
                      (33, 400), (22, 343), (33, 297), (73, 246), (119, 206), (122, 171), (153, 149), (187, 149), (182, 126),
                      (157, 114)],
    "grace_hopper.jpg": [(129, 94), (149, 48), (189, 23), (251, 23), (299, 48), (317, 82), (317, 128), (320, 174), (311, 219),
                         (299, 259), (309, 277), (394, 328), (434, 379), (436, 511), (6, 511), (23, 379), (46, 322), (126, 288),
                         (171, 271), (149, 237), (135, 197), (134, 151)]}
GROUNDS = ("starry_night.jpg", "great_wave.jpg", "shipwreck.jpg", "the_scream.jpg", "rocket.jpg")


def composites(side=256):
    """Yield (name, picture (side, side, 3) uint8, mask (side, side) of the object): each object before each ground.

    256: the size from which the networks take the middle.
    """
    for photograph, outline in OUTLINES.items():
        image = Image.open(IMAGES / photograph).convert("RGB")
        mask = Image.new("L", image.size)
        ImageDraw.Draw(mask).polygon(outline, fill=255)
        box = mask.getbbox()
        scale = 0.8 * side / max(box[2] - box[0], box[3] - box[1])
        size = tuple(round(scale * n) for n in (box[2] - box[0], box[3] - box[1]))
        thing, shape = image.crop(box).resize(size, Image.BICUBIC), mask.crop(box).resize(size, Image.BILINEAR)
        place = (side - size[0]) // 2, side - size[1] - side // 20
        for ground in GROUNDS:
            behind = Image.open(IMAGES / ground).convert("RGB")
            square = min(behind.size)
            picture, whole = behind.crop((0, 0, square, square)).resize((side, side), Image.BICUBIC), Image.new("L", (side, side))
            picture.paste(thing, place, shape)
            whole.paste(shape, place)
            yield f"{photograph} before {ground}", np.array(picture), np.array(whole) > 127
