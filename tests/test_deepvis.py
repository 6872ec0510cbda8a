"""The activations browser without a browser: its numbers against separate computations, and what it refuses."""
import base64
import io
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minicnn
from lectures.common import IMAGES, digits
from lectures.deepvis.__main__ import collection, main, pictures_to_choose
from lectures.deepvis.background import STEPS, Climber, Patches, climbed, climbing_steps
from lectures.deepvis.desk import Desk, Outdated
from lectures.deepvis.drawing import signal_picture, sprite
from lectures.deepvis.engine import KEPT, Engine, main_layers
from minicnn.images import load_image, unmontage
from minicnn.loop import last, take
from minicnn.receptive_field import receptive_fields
from minicnn.visualize.activations import layer_views
from minicnn.visualize.backprop import backproject, unit_seed
from minicnn.visualize.patches import top_patches

pytest.importorskip("flask", reason="flask is not installed")
from lectures.deepvis.app import MOST_BYTES, Browser, create_app  # noqa: E402  it needs Flask

HOME = "http://127.0.0.1:8000"
NETS = ("lenet_mnist", "convnetjs_cifar10")
ROOT = Path(__file__).parent.parent


def browser_for(name):
    """A Browser of a network at hand, whose background has not begun."""
    net, desk = minicnn.load(name), Desk()
    return Browser(Engine(net), desk, Patches(net, collection(net), desk), Climber(net, desk), pictures_to_choose(net))


@pytest.fixture(scope="module", params=NETS)
def browser(request):
    return browser_for(request.param)


@pytest.fixture
def client(browser):
    return create_app(browser, 8000).test_client()


def ask(client, path, **parameters):
    """The content of an answer that must be a good one."""
    answer = client.get(path, base_url=HOME, query_string=parameters)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()


def pick(client, number=1):
    answer = client.post(f"/api/pick?number={number}", base_url=HOME)
    assert answer.status_code == 200
    return answer.get_json()


def decoded(url):
    return np.array(Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,")))))


# --- the numbers ----------------------------------------------------------------------------------------------------
def test_activations_are_those_of_a_separate_pass_to_0(browser, client):
    net, picture = browser.engine.net, browser.pictures[1][1]
    number, views = pick(client)["picture"], layer_views(net, net.preprocess(picture))
    layers = ask(client, "/api/net")["layers"]
    assert [(layer["name"], tuple(layer["shape"])) for layer in layers] == [(n, v.maps.shape) for n, v in views.items()]
    assert [layer["name"] for layer in layers if layer["main"]] == main_layers(net)
    for name, view in views.items():
        single = view.maps[0].size == 1
        for gamma, together in ((1, 0), (0.5, 1)):
            grid = ask(client, "/api/grid", picture=number, layer=name, columns=2, gamma=gamma, together=together)
            tiles = unmontage(decoded(grid["image"]), grid["count"], grid["columns"])
            assert tiles.shape == (len(view.maps), *grid["tile"])
            times = tiles.shape[1] // view.maps.shape[1]
            np.testing.assert_array_equal(tiles, view.shown(gamma, bool(together) or single).repeat(times, 1).repeat(times, 2))
        unit = ask(client, "/api/unit", picture=number, layer=name)
        assert unit["unit"] == view.strongest(1)[0] and unit["rank"] == 1
        assert np.float32(unit["value"]) == view.maps[unit["unit"], unit["row"], unit["column"]] == view.maps[unit["unit"]].max()
        other = ask(client, "/api/unit", picture=number, layer=name, unit=3, row=0, column=0, gamma=0.5)
        assert (other["unit"], other["row"], other["column"]) == (3, 0, 0) and np.float32(other["value"]) == view.maps[3, 0, 0]
        np.testing.assert_array_equal(decoded(other["map"]), view.shown(0.5, single)[3])
        assert other["rank"] == 1 + (view.maps.max(axis=(1, 2)) > view.maps[3].max()).sum()


def test_signals_are_those_of_backproject(browser, client):
    net, engine = browser.engine.net, browser.engine
    x, number = net.preprocess(browser.pictures[1][1]), pick(client)["picture"]
    recorded, size = engine.recorded(number), engine.recorded(number).picture.shape[:2]
    fields = receptive_fields(net, size)
    for layer in main_layers(net):
        box = fields[layer].box(0, 0)
        place = (2, 0, 0)[:recorded.activations[layer].ndim - 1]
        for whole, unit, value in ((0, place, 1.0), (1, 2, "activation")):
            answer = ask(client, "/api/unit", picture=number, layer=layer, unit=2, row=0, column=0, whole=whole)
            assert tuple(answer["box"]) == box
            for rule, url in answer["signals"].items():
                wanted = backproject(net, x, layer, lambda a: unit_seed(a, unit, value), rule)
                found = engine.signals(recorded, layer, (2,) if whole else (2, 0, 0), value)[rule]
                np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6 * max(np.abs(wanted).max(), 1e-30))
                seen = signal_picture(wanted, (0, 0, *size) if whole else box, "raw", net.preprocessing.channel_order)
                assert np.abs(decoded(url).astype(int) - seen).max() <= 1
                assert (rule in answer["silent"]) == (not wanted.any())
    assert len({ask(client, "/api/unit", picture=number, layer=layer)["signals"]["guided"] for _ in range(3)}) == 1


def test_modes_of_a_signal():
    signal = np.zeros((3, 8, 8), np.float32)
    signal[:, 2, 3], signal[0, 4, 4] = (1, -1, 1), 3
    raw, grey, norm = (signal_picture(signal, (2, 2, 6, 6), mode) for mode in ("raw", "grey", "norm"))
    assert (raw[0] == 128).all() and raw[4, 4, 0] == 255 and raw[2, 3, 1] < 128 < raw[2, 3, 0]
    assert (grey[..., 0] == grey[..., 2]).all() and grey[4, 4, 0] > grey[2, 3, 0] > 128
    assert norm.shape == (8, 8) and norm[4, 4] == 255 and norm[0, 0] == 0 and 0 < norm[2, 3] < 255
    assert (signal_picture(signal, (2, 2, 6, 6), "raw", "BGR") == raw[..., ::-1]).all()


def test_classes_are_the_softmax(browser, client):
    net, picture = browser.engine.net, browser.pictures[2][1]
    assert [tuple(line) for line in pick(client, 2)["classes"]] == [(p, k, name) for p, k, name in minicnn.predict(net, picture)]
    answer = ask(client, "/api/unit", picture=pick(client)["picture"], layer=net.class_layer, unit=4)
    assert answer["name"] == net.classes[4]


def test_sprites_of_very_small_and_very_large_maps():
    small, tile = sprite(np.arange(6, dtype=np.uint8).reshape(6, 1, 1), 3)
    assert tile == (32, 32) and (unmontage(small, 6, 3)[:, 5, 5] == range(6)).all()
    large = np.zeros((16, 700, 700), np.uint8)
    large[5, 333, 444] = 200
    sheet, tile = sprite(large, 4)
    assert max(sheet.shape) < 1500 and unmontage(sheet, 16, 4).max(axis=(1, 2)).tolist() == [0] * 5 + [200] + [0] * 10


def test_only_the_newest_pictures_are_remembered(client):
    numbers = [pick(client)["picture"] for _ in range(KEPT + 1)]
    ask(client, "/api/grid", picture=numbers[1], layer="conv1")
    answer = client.get("/api/grid", base_url=HOME, query_string={"picture": numbers[0], "layer": "conv1"})
    assert answer.status_code == 400 and "choose the picture again" in answer.get_json()["error"]


# --- uploads --------------------------------------------------------------------------------------------------------
def file_of(image, kind="PNG", **settings):
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


PHOTOGRAPH = Image.fromarray(load_image(IMAGES / "chelsea.jpg")).resize((60, 40))
TURNED = Image.Exif()
TURNED[0x0112] = 6
GOOD = {"PNG": file_of(PHOTOGRAPH), "JPEG": file_of(PHOTOGRAPH, "JPEG"), "WEBP": file_of(PHOTOGRAPH, "WEBP"),
        "turned": file_of(PHOTOGRAPH, "JPEG", exif=TURNED), "grey": file_of(PHOTOGRAPH.convert("L")),
        "alpha": file_of(PHOTOGRAPH.convert("RGBA")), "palette": file_of(PHOTOGRAPH.convert("P")),
        "16 bit": file_of(Image.fromarray(np.full((9, 9), 40000, np.uint16))), "1 bit": file_of(PHOTOGRAPH.convert("1")),
        "CMYK": file_of(PHOTOGRAPH.convert("CMYK"), "JPEG"), "one pixel": file_of(PHOTOGRAPH.resize((1, 1))),
        "moving": file_of(PHOTOGRAPH, "GIF", save_all=True, append_images=[PHOTOGRAPH.rotate(90)])}
CHUNK = struct.pack(">II", 60000, 60000) + b"\x08\x02\x00\x00\x00"
HUGE = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + CHUNK + struct.pack(">I", zlib.crc32(b"IHDR" + CHUNK)) \
    + struct.pack(">I", 9) + b"IDAT"
BROKEN = {"empty": (b"", "empty"), "text": (b"hello" * 100, "not a picture"), "cut short": (GOOD["PNG"][:200], "damaged"),
          "cut short JPEG": (GOOD["JPEG"][:400], "damaged"), "huge": (HUGE, "pixels"),
          "SVG": (b"<svg xmlns='x'/>", "not a picture"),
          "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
          "a long panorama": (file_of(Image.new("1", (65000, 1000))), "65000 x 1000 pixels")}


def post(client, data):
    return client.post("/api/upload", base_url=HOME, data=data, content_type="application/octet-stream")


@pytest.mark.parametrize("kind", GOOD)
def test_uploads_show_what_the_file_shows(kind, browser, client, tmp_path):
    answer = post(client, GOOD[kind])
    assert answer.status_code == 200, answer.get_data(as_text=True)
    (tmp_path / "picture").write_bytes(GOOD[kind])
    net = browser.engine.net
    np.testing.assert_array_equal(decoded(answer.get_json()["image"]), net.deprocess(net.preprocess(tmp_path / "picture")))


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_uploads_get_a_sentence(kind, client, capfd):
    data, word = BROKEN[kind]
    answer = post(client, data)
    error = answer.get_json()["error"]
    assert answer.status_code == 400 and word in error and "PIL" not in error and "\n" not in error
    assert capfd.readouterr().err == ""
    assert post(client, GOOD["PNG"]).status_code == 200


def test_an_upload_that_is_too_large(client):
    answer = post(client, bytes(MOST_BYTES + 1))
    assert answer.status_code == 413 and "larger than 10 MB" in answer.get_json()["error"]


written, watching = [], []
sys.addaudithook(lambda event, details: written.append(details[0]) if watching and event == "open" and isinstance(details[2], int)
                 and details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) else None)


def test_nothing_is_written(client):
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3)).astype(np.uint8)
    data = file_of(Image.fromarray(noise))
    assert 6_000_000 < len(data) < MOST_BYTES
    pick(client)                                    # kernels may be compiled, and cached, the first time
    watching.append(True)
    try:
        answer = post(client, data)
        assert post(client, GOOD["PNG"][:200]).status_code == 400
    finally:
        watching.clear()
    assert answer.status_code == 200 and written == []


# --- requests -------------------------------------------------------------------------------------------------------
WRONG = [("grid", {"layer": "conv7"}, "did you mean"), ("grid", {}, "layer is missing"),
         ("grid", {"layer": "conv1", "gamma": "x"}, "gamma"),
         ("grid", {"layer": "conv1", "gamma": "nan"}, "gamma"), ("grid", {"layer": "conv1", "gamma": "0"}, "gamma"),
         ("grid", {"layer": "conv1", "columns": "0"}, "columns"), ("grid", {"layer": "conv1", "columns": "10000"}, "columns"),
         ("grid", {"layer": "conv1", "picture": "-1"}, "picture"),
         ("grid", {"layer": "conv1", "picture": "9999"}, "choose the picture"),
         ("unit", {"layer": "conv1", "unit": "-1"}, "whole number"), ("unit", {"layer": "conv1", "unit": "1e3"}, "whole number"),
         ("unit", {"layer": "conv1", "unit": "20000"}, "at most"),
         ("unit", {"layer": "conv1", "unit": "9" * 5000}, "whole number"),
         ("unit", {"layer": "conv1", "unit": "٣"}, "whole number"), ("unit", {"layer": "conv1", "mode": "loud"}, "mode"),
         ("unit", {"layer": "conv1", "unit": "1", "row": "500", "column": "0"}, "row"),
         ("unit", {"layer": "conv1", "unit": "1", "row": "0", "column": "-3"}, "column"),
         ("unit", {"layer": "../../etc"}, "no layer"),
         ("unit", {"layer": "conv1", "turn": "x"}, "turn"), ("patches", {"layer": "conv1"}, "unit is missing"),
         ("patches", {"layer": "conv1", "unit": "20000"}, "at most"),
         ("optimised", {"layer": "nowhere", "unit": "1"}, "no layer"),
         ("optimised", {"layer": "conv1", "unit": "20000"}, "at most")]


@pytest.mark.parametrize("path, parameters, word", WRONG)
def test_wrong_requests_get_a_sentence(path, parameters, word, client, capfd):
    parameters = {"picture": pick(client)["picture"], **parameters}
    answer = client.get(f"/api/{path}", base_url=HOME, query_string=parameters)
    error = answer.get_json()["error"]
    assert answer.status_code == 400 and word in error and "\n" not in error and len(error) < 400
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("number", ["", "-1", "1.0", "true", "10000", "[1]"])
def test_wrong_numbers_of_pictures_get_a_sentence(number, client):
    for query in (f"?number={number}", ""):
        answer = client.post(f"/api/pick{query}", base_url=HOME, json={"number": 1})
        assert answer.status_code == 400 and "number" in answer.get_json()["error"] or "no picture" in answer.get_json()["error"]


@pytest.mark.parametrize("path, method, code", [("/api/nothing", "GET", 404), ("/static/../app.py", "GET", 404),
                                                ("/static/..%2fapp.py", "GET", 404), ("/thumbnail/999", "GET", 400),
                                                ("/api/pick", "GET", 405), ("/api/grid", "POST", 405)])
def test_wrong_paths_get_a_sentence(path, method, code, client):
    answer = client.open(path, method=method, base_url=HOME)
    assert answer.status_code == code and answer.get_json()["error"]


@pytest.mark.parametrize("headers, fine", [
    ({}, True), ({"Host": "localhost:8000"}, True), ({"Origin": HOME}, True), ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Host": "evil.example:8000"}, False), ({"Host": "127.0.0.1:9000"}, False), ({"Host": "127.0.0.1"}, False),
    ({"Host": "127.0.0.1:8000.evil.example"}, False), ({"Origin": "https://evil.example"}, False), ({"Origin": "null"}, False),
    ({"Origin": "http://127.0.0.1:9000"}, False), ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "same-site"}, False)])
def test_only_its_own_page_may_ask(headers, fine, client):
    for answer in (client.get("/", base_url=HOME, headers=headers), client.get("/api/net", base_url=HOME, headers=headers),
                   client.post("/api/pick?number=0", base_url=HOME, headers=headers),
                   client.post("/api/upload", base_url=HOME, data=GOOD["PNG"], headers=headers)):
        assert answer.status_code == (200 if fine else 403)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"] and answer.headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_the_page_and_its_files(client):
    page = client.get("/", base_url=HOME)
    text = page.get_data(as_text=True)
    assert page.mimetype == "text/html" and "http:" not in text and "https:" not in text
    for path in ("/static/page.js", "/static/style.css", "/thumbnail/0"):
        answer = client.get(path, base_url=HOME)
        assert answer.status_code == 200 and len(answer.data) > 500 and b"://" not in answer.data


def test_a_mistake_of_ours_shows_no_trace(browser, monkeypatch, capfd):
    def broken(*_, **__):
        raise RuntimeError("secret detail")
    monkeypatch.setattr(browser.engine, "grid", broken)
    client = create_app(browser, 8000).test_client()
    answer = client.get("/api/grid", base_url=HOME, query_string={"picture": pick(client)["picture"], "layer": "conv1"})
    text = answer.get_data(as_text=True)
    assert answer.status_code == 500 and "secret" not in text and "Traceback" not in text
    assert "secret detail" in capfd.readouterr().err


# --- one at a time --------------------------------------------------------------------------------------------------
def test_the_newest_question_wins_and_the_background_waits():
    desk, order, started = Desk(), [], threading.Event()

    def question(turn):
        try:
            with desk.answering("page", turn):
                order.append(turn)
        except Outdated:
            order.append(f"{turn} dropped")

    def background():
        with desk.in_background():
            order.append("background")

    with desk.answering("other", 1):
        threads = [threading.Thread(target=background)] + [threading.Thread(target=question, args=(turn,)) for turn in (1, 2, 3)]
        for thread in threads:
            thread.start()
        while desk._waiting < 3:
            started.wait(0.01)
        assert order == []
    for thread in threads:
        thread.join(10)
    assert {"1 dropped", "2 dropped", 3} == set(order[:-1]) and order[-1] == "background"
    with desk.answering("page", 3), pytest.raises(ZeroDivisionError):
        1 / 0
    with desk.answering("page", 4):
        order.append(4)


def test_an_outdated_question_is_answered_so(client):
    parameters = {"picture": pick(client)["picture"], "layer": "conv1", "page": "p"}
    for turn, code in ((5, 200), (4, 409), (5, 200), (6, 200)):
        answer = client.get("/api/unit", base_url=HOME, query_string={**parameters, "turn": turn})
        assert answer.status_code == code
    assert ask(client, "/api/unit", **{**parameters, "page": "q"}, turn=1)


# --- the background -------------------------------------------------------------------------------------------------
def test_patches_of_all_layers_are_the_top_patches():
    net = minicnn.load("lenet_mnist")
    images = digits(30)[0]
    patches = Patches(net, [(f"picture {k}", image) for k, image in enumerate(images)], Desk())
    assert patches.of("conv1", 0) == [] and not patches.done
    patches.run()
    assert patches.seen == 30 and patches.done and patches.error == ""
    for layer in net.layers:
        found, field = top_patches(net, layer, images), receptive_fields(net)[layer]
        for unit in (0, 3):
            shown = patches.of(layer, unit)
            assert len(shown) == (found.values[unit] > 0).sum()
            for k, patch in enumerate(shown):
                assert patch.value == pytest.approx(found.values[unit, k], rel=1e-5)
                assert patch.name == f"picture {found.picture[unit, k]}"
                top, left, bottom, right = field.box(found.row[unit, k], found.column[unit, k])
                picture = net.deprocess(net.preprocess(images[found.picture[unit, k]]))
                np.testing.assert_array_equal(patch.crop, picture[top:bottom, left:right])


def test_patches_say_what_is_wrong(tmp_path):
    net = minicnn.load("lenet_mnist")
    (tmp_path / "note.txt").write_text("no picture")
    patches = Patches(net, collection(net, tmp_path), Desk())
    patches.run()
    assert patches.done and "no picture that can be read" in patches.error


def wait_for(condition, seconds=30):
    done = threading.Event()
    for _ in range(seconds * 50):
        if condition():
            return True
        done.wait(0.02)
    return False


def test_the_climb_and_that_a_new_unit_ends_it():
    class Changing(Desk):
        """A desk at whose third step somebody looks at another unit."""
        steps = 0

        def in_background(self):
            self.steps += 1
            if self.steps == 3:
                climber.ask("ip2", 3)
            return super().in_background()

    net, desk = minicnn.load("lenet_mnist"), Changing()
    climber = Climber(net, desk)
    assert climber.ask("conv2", 3) is None
    climber.start()
    assert wait_for(lambda: desk.steps >= 3 and climber.ask("ip2", 3) is not None and climber.ask("ip2", 3).step == STEPS)
    wanted, found = last(take(STEPS, climbing_steps(net, "ip2", 3))), climber.ask("ip2", 3)
    np.testing.assert_array_equal(found.picture, wanted.image)
    assert found.activation == wanted.activation > 10
    assert ("conv2", 3) not in climber._climbs and desk.steps <= 3 + STEPS + 1


def test_looking_at_another_unit_ends_a_climb(browser, client):
    unit = {"picture": pick(client)["picture"], "layer": "conv1", "unit": 3}
    for other, wanted in ((unit, ("conv1", 3)), ({**unit, "unit": 4}, None)):
        assert ask(client, "/api/optimised", layer="conv1", unit=3)["step"] == 0
        ask(client, "/api/unit", **other)
        assert browser.climber._wanted == wanted


def test_a_climb_that_cannot_be_says_why():
    net = minicnn.load("lenet_mnist")
    climber = Climber(net, Desk())
    climber.start()
    assert wait_for(lambda: climber.ask("ip2", 11) is not None) and "no unit 11" in climber.ask("ip2", 11).error
    assert wait_for(lambda: climber.ask("ip2", 1) is not None and climber.ask("ip2", 1).error == "")


@pytest.mark.parametrize("name, layer, unit, found", [
    ("lenet_mnist", "conv1", 3, ("pool1", 3)), ("lenet_mnist", "pool2", 3, ("pool2", 3)), ("lenet_mnist", "relu1", 3, ("ip1", 3)),
    ("lenet_mnist", "ip2", 3, ("ip2", 3)), ("lenet_mnist", "flatten", 3, ("flatten", 3)),
    ("squeezenet1_1", "conv1", 3, ("relu_conv1", 3)), ("squeezenet1_1", "pool1", 3, ("relu_conv1", 3)),
    ("squeezenet1_1", "fire4/concat", 127, ("fire4/expand1x1", 127)), ("squeezenet1_1", "drop9", 256, ("fire9/expand3x3", 0)),
    ("squeezenet1_1", "pool10", 130, ("conv10", 130)), ("vgg_cifar10", "pool1", 3, ("relu1_2", 3)),
    ("vgg_cifar10", "conv2_1", 3, ("conv2_1", 3)), ("vgg_cifar10", "pool2", 3, ("bn2_2", 3))])
def test_what_is_climbed(name, layer, unit, found):
    net = minicnn.build("vgg_cifar10", rng=0) if name == "vgg_cifar10" else minicnn.load(name)
    assert climbed(net, layer, unit) == found


# --- the command ----------------------------------------------------------------------------------------------------
def test_wrong_arguments(tmp_path, capsys):
    assert main(["--net", "lenet_minst", "--port", "0", "--no-browser"]) == 2 and "did you mean" in capsys.readouterr().err
    assert main(["--net", "lenet_mnist", "--images", str(tmp_path / "none"), "--port", "0"]) == 2
    assert "there is no folder" in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["--port", str(taken.getsockname()[1])]) == 2 and "give another" in capsys.readouterr().err
    assert main(["--port", "70000"]) == 2 and "give another" in capsys.readouterr().err


def test_without_flask(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "flask", None)
    assert main(["--no-browser"]) == 2
    error = capsys.readouterr().err
    assert "pip install" in error and "deepvis" in error and error.count("\n") == 1


def test_ctrl_c_ends_it():
    command = [sys.executable, "-u", "-m", "lectures.deepvis", "--net", "lenet_mnist", "--port", "0", "--no-browser"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as program:
        try:
            line = program.stdout.readline()
            assert "http://127.0.0.1:" in line
            port = int(line.split("127.0.0.1:")[1].split()[0])
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                program.send_signal(signal.SIGINT)
                _, error = program.communicate(timeout=60)
        finally:
            program.kill()
    assert program.returncode == 0 and error.splitlines()[-1] == "stopped" and "Traceback" not in error
