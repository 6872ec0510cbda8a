"""python -m lectures.deepvis [--net NAME] [--images FOLDER] [--port N] [--no-browser]: the activations browser."""
import argparse
import logging
import socket
import sys
import time
import webbrowser

import minicnn
from minicnn.errors import ImageError, MinicnnError, SettingError
from minicnn.images import load_image, resize_longer
from minicnn.loop import last, take
from minicnn.visualize.collection import picture_files

from ..common import IMAGES, digits
from ..tiles import tiles
from .background import Climber, Patches, climbing_steps
from .desk import Desk
from .engine import Engine

TO_CHOOSE, SIDE = 24, 512           # pictures on the page, and the longer side of those that are kept for it


def pictures_to_choose(net, folder=None):
    """Return a list of (name, picture): those of a folder, the first ones, or the lectures' own: digits for a grey network."""
    if folder is None and net.preprocessing.channel_order == "GRAY":
        images, labels = digits(500)
        return [(f"a {digit}", images[list(labels).index(digit)]) for digit in range(10)]
    found = []
    for path in sorted(IMAGES.glob("*.jpg")) if folder is None else picture_files(folder):
        try:
            picture = load_image(path)
        except ImageError:
            continue                    # `collection` says so
        found.append((path.stem, picture if max(picture.shape) <= SIDE else resize_longer(picture, SIDE)))
        if len(found) == TO_CHOOSE:
            break
    if not found:
        raise ImageError(f"the folder {str(folder)!r} holds no picture that can be read; put some in, or give another")
    return found


def collection(net, folder=None):
    """Yield (name, picture) of what the top patches are of: a folder's pictures, or squares of the lectures' own, or digits."""
    if folder is None and net.preprocessing.channel_order == "GRAY":
        images, labels = digits(500)
        yield from ((f"a {label}", image) for image, label in zip(images, labels))
    else:
        files = sorted(IMAGES.glob("*.jpg")) if folder is None else picture_files(folder)
        yield from ((files[number].stem, square) for square, number in tiles(folder))


def warmed_up(engine, pictures):
    """Run everything once, so that all kernels are compiled before the page asks; return the engine."""
    recorded = engine.record(pictures[0][1])
    for layer in list(recorded.activations)[::-1][:1] + [engine.net.class_layer]:
        engine.grid(recorded, layer)
        engine.unit(recorded, layer)
    last(take(1, climbing_steps(engine.net, engine.net.class_layer, 0)))
    return engine


def opened(port):
    """Return a socket that listens at 127.0.0.1:port. Raises SettingError where that is not to be had."""
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen()
    except (OSError, OverflowError) as error:
        listening.close()
        raise SettingError(f"--port {port} is not to be had ({error}); give another, 0 for any free one") from None
    return listening


def browser_of(net, folder=None):
    """Return the Browser of a network, ready to answer, with what works in the background begun."""
    from .app import Browser
    pictures, desk = pictures_to_choose(net, folder), Desk()
    engine = warmed_up(Engine(net), pictures)
    patches, climber = Patches(net, collection(net, folder), desk), Climber(net, desk)
    patches.start()
    climber.start()
    return Browser(engine, desk, patches, climber, pictures)


def serve(listening, net, folder, show):
    """Answer until Ctrl-C."""
    from werkzeug.serving import make_server

    from .app import create_app
    port, start = listening.getsockname()[1], time.perf_counter()
    print(f"{net.architecture} is warming up ...", file=sys.stderr, flush=True)
    app = create_app(browser_of(net, folder), port)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)           # not a line for each request
    server = make_server("127.0.0.1", port, app, threaded=True, fd=listening.fileno())
    print(f"ready after {time.perf_counter() - start:.0f} s: http://127.0.0.1:{port}   (Ctrl-C ends it)", flush=True)
    if show:
        webbrowser.open(f"http://127.0.0.1:{port}")
    server.serve_forever()
    server.server_close()


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m lectures.deepvis", description="Look into a network, on a page.")
    parser.add_argument("--net", default="squeezenet1_1", metavar="NAME", help="a network at hand, or the path of an .h5 file")
    parser.add_argument("--images", metavar="FOLDER", help="your pictures: 24 to choose from, 1000 for the top patches")
    parser.add_argument("--port", type=int, default=8000, help="default 8000; 0 for any free one")
    parser.add_argument("--no-browser", action="store_true", help="only serve the page, do not open it")
    options = parser.parse_args(arguments)
    try:
        import flask  # noqa: F401
    except ImportError:
        print("the activations browser needs Flask: pip install -e \".[deepvis]\"", file=sys.stderr)
        return 2
    try:
        with opened(options.port) as listening:
            serve(listening, minicnn.load(options.net), options.images, not options.no_browser)
    except MinicnnError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:           # while warming up; the server ends by itself
        pass
    print("stopped", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
