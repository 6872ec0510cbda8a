"""All there is of the web in the activations browser: routes of Flask, what they accept, and what they send.

Only this machine may ask, and only its own page. The server listens at 127.0.0.1; but a page from elsewhere, open in the same
browser, could send requests there, and a name of its own could be made to point there. So the name that was asked for (Host) must
be ours, and so must the page that asks (Origin, Sec-Fetch-Site). Uploads stay in memory.
"""
import base64
import sys
import traceback

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from minicnn.errors import MinicnnError, SettingError
from minicnn.images import load_image

from .background import STEPS
from .desk import Outdated
from .drawing import MODES, png, thumbnail

MOST_BYTES = 10 * 1024 * 1024           # of an upload
HEADERS = {"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                                      "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
           "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
           "Cross-Origin-Resource-Policy": "same-origin"}


class Browser:
    """What a page can ask for; `pictures`: a list of (name, picture) to choose from."""

    def __init__(self, engine, desk, patches, climber, pictures):
        self.engine, self.desk, self.patches, self.climber, self.pictures = engine, desk, patches, climber, pictures

    def net(self):
        """What the network is, its layers, and the pictures to choose from."""
        with self.desk.answering():
            recorded = self.engine.record(self.pictures[0][1])
            layers = self.engine.layers(recorded)
        return {"network": self.engine.net.architecture, "modes": MODES, "pictures": [name for name, _ in self.pictures],
                "layers": [{"name": name, "shape": shape, "main": main} for name, shape, main in layers]}

    def thumbnail(self, number):
        """A picture to choose from, small."""
        return Response(thumbnail(self._chosen(number)), mimetype="image/jpeg")

    def pick(self):
        """Send one of the pictures through the network."""
        picture = self._chosen(whole("number"))
        with self.desk.answering():
            return self._recorded(picture)

    def upload(self):
        """Send an uploaded picture through the network: the body is the file itself."""
        data = request.get_data(cache=False)
        with self.desk.answering():
            return self._recorded(load_image(data))

    def _chosen(self, number):
        if number >= len(self.pictures):
            raise SettingError(f"there is no picture {number}; there are {len(self.pictures)}, counted from 0")
        return self.pictures[number][1]

    def _recorded(self, image):
        recorded = self.engine.record(image)
        return {"picture": recorded.number, "image": data_url(recorded.picture), "size": recorded.picture.shape[:2],
                "classes": self.engine.classes(recorded)}

    def grid(self):
        """All channels of a layer."""
        with self.desk.answering(*asked("grid")):
            grid = self.engine.grid(self._picture(), text("layer"), whole("columns", None), decimal("gamma", 1.0),
                                    flag("together"))
        return {"image": data_url(grid.picture), "count": grid.count, "columns": grid.columns, "tile": grid.tile}

    def unit(self):
        """One unit, and its signals back to the picture."""
        row, column = whole("row", None), whole("column", None)
        with self.desk.answering(*asked("unit")):
            view = self.engine.unit(self._picture(), text("layer"), whole("unit", None),
                                    None if row is None or column is None else (row, column), gamma=decimal("gamma", 1.0),
                                    mode=request.args.get("mode", "raw"), whole=flag("whole"))
        self.climber.give_up(unless=(text("layer"), view.unit))
        return {"unit": view.unit, "name": view.name, "row": view.row, "column": view.column, "value": view.value,
                "rank": view.rank, "shape": view.map.shape, "map": data_url(view.map), "box": view.box, "silent": view.silent,
                "signals": {rule: data_url(picture) for rule, picture in view.signals.items()}}

    def top_patches(self):
        """The top patches of a unit, of the pictures seen so far."""
        found = self.patches.of(*self._known_unit())
        return {"seen": self.patches.seen, "done": self.patches.done, "error": self.patches.error,
                "patches": [{"image": data_url(patch.crop), "size": patch.crop.shape[:2], "value": patch.value,
                             "name": patch.name} for patch in found]}

    def optimised(self):
        """The optimised picture of a unit, as far as it has come."""
        climb = self.climber.ask(*self._known_unit())
        if climb is None:
            return {"step": 0, "steps": STEPS, "image": None, "error": ""}
        return {"step": climb.step, "steps": STEPS, "image": data_url(climb.picture), "activation": climb.activation,
                "error": climb.error}

    def _picture(self):
        return self.engine.recorded(whole("picture"))

    def _known_unit(self):
        layer, unit = text("layer"), whole("unit")
        return layer, self.engine.known_unit(layer, unit)


def create_app(browser, port):
    """Return the Flask application that answers at 127.0.0.1:port."""
    app = Flask(__name__, static_folder="static", static_url_path="/static")
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    app.json.sort_keys = False
    app.before_request(lambda: refused(port))
    app.after_request(with_headers)
    app.register_error_handler(MinicnnError, lambda error: sentence(error, 409 if isinstance(error, Outdated) else 400))
    app.register_error_handler(HTTPException, lambda error: sentence(http_sentence(error), error.code))
    app.register_error_handler(Exception, unexpected)
    app.add_url_rule("/", "page", lambda: app.send_static_file("index.html"))
    app.add_url_rule("/thumbnail/<int:number>", view_func=browser.thumbnail)
    for name, view in {"net": browser.net, "grid": browser.grid, "unit": browser.unit, "patches": browser.top_patches,
                       "optimised": browser.optimised}.items():
        app.add_url_rule(f"/api/{name}", name, view)
    for name, view in {"pick": browser.pick, "upload": browser.upload}.items():
        app.add_url_rule(f"/api/{name}", name, view, methods=["POST"])
    return app


def refused(port):
    """Return the answer to a request that is not of our own page on this machine, None for one that is."""
    ours = {f"127.0.0.1:{port}", f"localhost:{port}"}
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "none")
    if request.headers.get("Host") not in ours:
        return sentence(f"this server answers at http://127.0.0.1:{port} only", 403)
    if origin is not None and origin not in {f"http://{host}" for host in ours} or site not in ("same-origin", "none"):
        return sentence("this server answers its own page only, not one from elsewhere", 403)
    return None


def with_headers(response):
    """Put on every answer what it may load (nothing from elsewhere) and that it is not to be kept."""
    response.headers.update(HEADERS)
    return response


def sentence(error, code):
    """Return an answer that says in one sentence what is wrong."""
    return jsonify(error=str(error)), code


def http_sentence(error):
    """Return what Flask refused, as a sentence."""
    return {404: f"there is nothing at {request.path}", 405: f"{request.path} is not asked by {request.method}",
            413: f"the file is larger than {MOST_BYTES // 1024 ** 2} MB; choose a smaller one"}.get(error.code, error.description)


def unexpected(error):
    """Return a sentence for a mistake of ours; the page gets no trace of it, the terminal all."""
    traceback.print_exception(error, file=sys.stderr)
    return sentence("something went wrong here; the terminal says what", 500)


def data_url(picture):
    """Return a picture as the text that an <img> takes."""
    return "data:image/png;base64," + base64.b64encode(png(picture)).decode("ascii")


def asked(kind):
    """Return (page, turn) of a question: of one kind, a page wants the answer to its newest only."""
    return f"{request.args.get('page', '')[:40]}/{kind}", whole("turn", 0)


def text(name):
    """Return a parameter of the request. Raises SettingError where it is missing."""
    if name not in request.args:
        raise SettingError(f"the parameter {name} is missing")
    return request.args[name]


def whole(name, *default):
    """Return a parameter as an int. Raises SettingError."""
    value = request.args.get(name)
    if value is None and default:
        return default[0]
    if not (text(name).isascii() and value.isdigit() and len(value) < 16):
        raise SettingError(f"the parameter {name} is {value[:40]!r}, expected a whole number from 0")
    return int(value)


def decimal(name, default):
    """Return a parameter as a float. Raises SettingError."""
    value = request.args.get(name)
    try:
        return default if value is None else float(value)
    except ValueError:
        raise SettingError(f"the parameter {name} is {value[:40]!r}, expected a number") from None


def flag(name):
    """Return whether a parameter is 1."""
    return request.args.get(name) == "1"
