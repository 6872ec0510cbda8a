"""python -m tools.top_patches FOLDER --layer LAYER [--net NAME] [--top 9] [--codes] [--dask ADDRESS] [--out FILE.npz]

Streams a folder of any size through a network and writes, for every channel of a layer, its strongest answers and where they
were: values, picture, row, column (K, top), files, count. --codes: instead the code of every picture, codes (N, D), numbers (N,).
--dask: the work is done by the workers of that scheduler, who must see the same folder and have minicnn; same numbers.
"""
import argparse
import os
import sys
from pathlib import Path

import numpy as np

from minicnn.errors import MinicnnError, SettingError
from minicnn.files import replacing
from minicnn.visualize.collection import collection_codes, collection_patches, picture_files


def write(path, **arrays):
    """Write an .npz, all of it or nothing."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)


def find_patches(options, files):
    """Search all files with a progress bar; return (TopPatches or None, whether it was stopped by Ctrl-C)."""
    import tqdm
    found = None
    try:
        with tqdm.tqdm(total=len(files), unit="picture") as bar:
            for found in collection_patches(options.net, options.layer, files, top=options.top, batch=options.batch,
                                            dask=options.dask):
                bar.update(found.count - bar.n)
    except KeyboardInterrupt:
        return found, True
    return found, False


def write_codes(options, files, names):
    """Write the codes of all files; return what to say of it."""
    try:
        codes, numbers = collection_codes(options.net, options.layer, files, batch=options.batch, dask=options.dask)
    except KeyboardInterrupt:
        raise SettingError("stopped by Ctrl-C before all codes were there; nothing was written") from None
    write(options.out, codes=codes, numbers=numbers, files=names)
    return f"{len(codes)} of {len(files)} files, codes of {codes.shape[1]} numbers: {options.out}"


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tools.top_patches", description=__doc__.split("\n\n")[1])
    parser.add_argument("folder")
    parser.add_argument("--layer", required=True)
    parser.add_argument("--net", default="squeezenet1_1", help="a name or path that minicnn.load knows (default: squeezenet1_1)")
    parser.add_argument("--top", type=int, default=9, help="places to remember for each channel (default: 9)")
    parser.add_argument("--batch", type=int, default=16, help="pictures in one pass, or in one task (default: 16)")
    parser.add_argument("--codes", action="store_true", help="write codes instead of patches")
    parser.add_argument("--dask", metavar="ADDRESS", help="of a Dask scheduler, tcp://HOST:8786; default: this process alone")
    parser.add_argument("--out", default="top_patches.npz", metavar="FILE.npz")
    options = parser.parse_args(arguments)
    try:
        place = Path(options.out).resolve()
        if not place.parent.is_dir() or place.is_dir() or not os.access(place.parent, os.W_OK):
            raise SettingError(f"--out: {options.out!r} is no file in a folder that can be written; give another")
        files, stopped = picture_files(options.folder), False
        names = np.array([str(path.relative_to(options.folder)) for path in files])
        if options.codes:
            print(write_codes(options, files, names))
            return 0
        found, stopped = find_patches(options, files)
        if found is None:
            raise SettingError("stopped by Ctrl-C before the first pictures were done; nothing was written")
        write(options.out, values=found.values, picture=found.picture, row=found.row, column=found.column, count=found.count,
              files=names)
    except MinicnnError as error:
        print(f"top_patches: {error}", file=sys.stderr)
        return 2
    print(f"{found.count} of {len(files)} files, {len(found.values)} channels: {options.out}" +
          (", stopped by Ctrl-C, what was seen so far" if stopped else ""))
    return 1 if stopped else 0


if __name__ == "__main__":
    sys.exit(main())
