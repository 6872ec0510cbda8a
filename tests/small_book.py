"""A small book of the lectures for tests: quick lectures really run, sounds and animations made up, the rest not run."""
import numpy as np

from lectures import book
from lectures.__main__ import run, save_picture
from lectures.common import Check

QUICK = ("01_raw_filters", "17_saliency")


def make(folder, quick=QUICK):
    """Write the book into a folder; return the Sections that it was written with."""
    sections = [run(name, folder, full=False) for name in quick]
    film = [np.full((60, 90, 3), grey, np.uint8) for grey in (0, 120, 240)]
    failed, music = book.section_of("02_sne_and_tsne"), book.section_of("36_music")
    failed.pictures = [save_picture(film, folder / "02_sne_and_tsne_film").name]
    failed.checks, failed.seconds = [Check("much < more", 3.0, at_most=2)], 1.0
    music.pictures = [save_picture((np.zeros(800), 8000), folder / "36_music_silence").name]
    music.error, music.seconds = "broken <here>", 2.0
    sections += [failed, music]
    book.write(folder, sections, "4 of 33 lectures")
    return sections
