"use strict";
// The page of the activations browser. The engine computes; here is only what is asked for, when, and how it is laid out.

const $ = (id) => document.getElementById(id);
const RULES = ["backprop", "deconvnet", "guided"], GAMMAS = [1, 0.5, 0.25];
const page = Math.random().toString(36).slice(2);
const state = { layers: [], picture: null, layer: null, unit: null, place: null, gamma: 0, mode: 0, rule: 0, together: false,
                whole: false, zoom: true, all: false, modes: ["raw"] };
const shown = { picture: null, grid: null, unit: null };        // what was answered last, with its images
const questions = {};                                           // kind -> AbortController of the question that is under way
let turn = 0, pressed = 0, rest = 0;

// --- asking ---------------------------------------------------------------------------------------------------------
async function ask(kind, parameters, options = {}) {            // the answer, or null if a newer question of this kind came
  questions[kind]?.abort();
  const controller = questions[kind] = new AbortController();
  const all = Object.entries({ ...parameters, page, turn: ++turn }).filter(([, value]) => value !== null);
  try {
    const answer = await fetch(`/api/${kind}?${new URLSearchParams(all)}`, { signal: controller.signal, ...options });
    const content = await answer.json();
    if (answer.status === 409 || controller.signal.aborted) return null;
    if (!answer.ok) throw new Error(content.error);
    return content;
  } catch (error) {
    if (error.name === "AbortError") return null;
    say(error instanceof TypeError || error instanceof SyntaxError ? "no answer: the program in the terminal has ended" : error.message);
    return null;
  }
}

async function loaded(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

const digits = (value) => Math.abs(value) >= 100 ? value.toFixed(0) : value === 0 ? "0" : value.toPrecision(3);
const say = (text) => { $("message").textContent = text; };
const layerOf = (name) => state.layers.find((layer) => layer.name === name);

// --- the picture ----------------------------------------------------------------------------------------------------
async function setPicture(answer, number = null) {
  if (!answer) return;
  const image = await loaded(answer.image);
  state.picture = answer.picture;
  shown.picture = image;
  [...$("pictures").children].forEach((button, k) => button.setAttribute("aria-current", k === number));
  showClasses(answer.classes);
  await Promise.all([showGrid(), showUnit()]);
}

async function pick(number) {
  stopCamera();
  say("");
  setPicture(await ask("pick", { number }, { method: "POST" }), number);
}

async function upload(file) {
  stopCamera();
  say("");
  if (file.size > 10 * 1024 * 1024) return say("the file is larger than 10 MB; choose a smaller one");
  setPicture(await ask("upload", {}, { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } }));
}

function showClasses(classes) {
  $("classes").replaceChildren(...classes.map(([probability, , name]) => {
    const line = document.createElement("li"), bar = document.createElement("span");
    bar.className = "bar";
    bar.style.width = `${100 * probability}%`;
    line.append(bar, element("span", name.split(",")[0], "name"), element("span", `${(100 * probability).toFixed(1)} %`));
    line.title = name;
    return line;
  }));
}

function element(kind, text, className = "") {
  const made = document.createElement(kind);
  made.textContent = text;
  made.className = className;
  return made;
}

// --- the camera: one frame at a time --------------------------------------------------------------------------------
const camera = { video: null, frozen: false };

async function startCamera() {
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
    camera.video = Object.assign(document.createElement("video"), { srcObject: stream, muted: true, playsInline: true });
    await camera.video.play();
  } catch (error) {
    stopCamera();
    return say(`the camera is not to be had: ${error.message}`);
  }
  say("");
  camera.frozen = false;
  showCamera();
  watch(camera.video);
}

async function watch(video) {
  while (camera.video === video) {
    const begin = performance.now();
    if (!camera.frozen) {
      const [width, height] = [400, Math.round(400 * video.videoHeight / video.videoWidth)];
      const canvas = Object.assign(document.createElement("canvas"), { width, height });
      canvas.getContext("2d").drawImage(video, 0, 0, width, height);
      const body = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.9));
      const answer = await ask("upload", {}, { method: "POST", body, headers: { "Content-Type": "application/octet-stream" } });
      if (camera.video === video && !camera.frozen) await setPicture(answer);
    }
    await new Promise((done) => setTimeout(done, Math.max(30, 150 - (performance.now() - begin))));
  }
}

function stopCamera() {
  camera.video?.srcObject?.getTracks().forEach((track) => track.stop());
  camera.video = null;
  showCamera();
}

function showCamera() {
  $("camera-button").setAttribute("aria-pressed", camera.video !== null);
  $("freeze-button").setAttribute("aria-pressed", camera.video !== null && camera.frozen);
  $("freeze-button").disabled = camera.video === null;
}

// --- layers and channels --------------------------------------------------------------------------------------------
const listed = () => state.layers.filter((layer) => state.all || layer.main || layer.name === state.layer);

function showStrip() {
  const layers = listed(), names = layers.map((layer) => layer.name).join();
  if ($("strip").dataset.names !== names) {                     // else the one that has the focus keeps it
    $("strip").dataset.names = names;
    $("strip").replaceChildren(...layers.map((layer) => {
      const line = document.createElement("li"), button = document.createElement("button");
      button.append(element("span", layer.name, "name"), element("span", layer.shape[0], "quiet"));
      button.title = `${layer.name}: ${describe(layer)}`;
      button.onclick = () => setLayer(layer.name);
      line.append(button);
      return line;
    }));
  }
  layers.forEach((layer, k) => $("strip").children[k].firstChild.setAttribute("aria-current", layer.name === state.layer));
  $("strip").querySelector("[aria-current=true]")?.scrollIntoView({ block: "nearest" });
}

const describe = ({ shape: [count, height, width] }) =>
  height * width > 1 ? `${count} maps of ${height} × ${width}` : `${count} units`;

function setLayer(name, unit = null) {
  Object.assign(state, { layer: name, unit, place: null });
  showStrip();
  showGrid();
  showUnit();
}

function stepLayer(by) {
  const layers = listed(), next = layers[layers.findIndex((layer) => layer.name === state.layer) + by];
  if (next) setLayer(next.name);
}

async function showGrid() {
  if (state.picture === null) return;
  const layer = state.layer, [count, height, width] = layerOf(layer).shape, room = $("grid-room").getBoundingClientRect();
  const scale = (columns) => Math.min(room.width / columns / width, room.height / Math.ceil(count / columns) / height);
  const few = Math.max(1, Math.floor(Math.sqrt(count * (room.width / width) / (room.height / height))));    // to fill the room
  const columns = Math.min(count, scale(few) > scale(few + 1) ? few : few + 1);
  const answer = await ask("grid", { picture: state.picture, layer, columns, gamma: GAMMAS[state.gamma], together: +state.together });
  if (!answer) return;
  shown.grid = { ...answer, layer, sheet: await loaded(answer.image) };
  $("layer-title").replaceChildren(layer, " ", element("span", describe(layerOf(layer)), "quiet"));
  drawGrid();
}

function drawGrid() {
  const grid = shown.grid, room = $("grid-room").getBoundingClientRect(), canvas = $("grid");
  if (!grid || room.width === 0) return;
  const scale = Math.min(room.width / grid.sheet.width, room.height / grid.sheet.height), sharp = window.devicePixelRatio;
  const [width, height] = [grid.sheet.width * scale, grid.sheet.height * scale];
  Object.assign(canvas, { width: Math.round(width * sharp), height: Math.round(height * sharp) });
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  const pen = canvas.getContext("2d");
  pen.scale(canvas.width / grid.sheet.width, canvas.height / grid.sheet.height);
  pen.imageSmoothingEnabled = scale * sharp < 2;
  pen.drawImage(grid.sheet, 0, 0);
  if (state.unit === null || grid.layer !== state.layer) return;
  const [high, wide] = grid.tile, thick = 2.5 / scale, row = Math.floor(state.unit / grid.columns);
  pen.strokeStyle = "#ffa657";
  pen.lineWidth = thick;
  pen.strokeRect(state.unit % grid.columns * (wide + 1) + thick / 2, row * (high + 1) + thick / 2, wide - thick, high - thick);
  canvas.setAttribute("aria-label", `all ${grid.count} channels of ${state.layer}; unit ${state.unit} is chosen`);
}

// --- the unit -------------------------------------------------------------------------------------------------------
function setUnit(unit) {
  const count = layerOf(state.layer).shape[0];
  if (unit < 0 || unit >= count || unit === state.unit) return;
  Object.assign(state, { unit, place: null });
  drawGrid();
  showUnit();
}

async function showUnit() {
  if (state.picture === null) return;
  const begin = pressed, layer = state.layer, [row, column] = state.place ?? [null, null];
  const answer = await ask("unit", { picture: state.picture, layer, unit: state.unit, row, column, gamma: GAMMAS[state.gamma],
                                     mode: state.modes[state.mode], whole: +state.whole });
  if (!answer) return;
  const pictures = await Promise.all([answer.map, ...RULES.map((rule) => answer.signals[rule])].map(loaded));
  if (layer !== state.layer || (state.unit !== null && state.unit !== answer.unit)) return;
  state.unit = answer.unit;
  shown.unit = { ...answer, layer, images: pictures };
  drawUnit();
  drawGrid();
  restOf(layer, answer.unit);
  requestAnimationFrame(() => {
    document.body.dataset.shown = `${layer} ${answer.unit}`;
    document.body.dataset.milliseconds = performance.now() - begin;
  });
}

function drawUnit() {
  const unit = shown.unit;
  if (!unit || !shown.picture) return;
  const [height, width] = unit.shape, [map, ...signals] = unit.images, [top, left, bottom, right] = unit.box;
  $("unit-title").textContent = `Unit ${unit.unit} of ${unit.layer}` + (unit.name && `: ${unit.name.split(",")[0]}`);
  drawWhole($("map"), map, false, height * width > 1 ? [unit.column, unit.row, 1, 1] : null);
  $("map-caption").textContent = digits(unit.value) + (height * width > 1 ? ` at (${unit.row}, ${unit.column})` : "")
    + `, no. ${unit.rank}`;
  $("map").setAttribute("aria-label", `map of unit ${unit.unit} of ${unit.layer}, ${$("map-caption").textContent}`);
  drawWhole($("picture"), shown.picture, true, [left, top, right - left, bottom - top]);
  const part = state.zoom && !state.whole ? unit.box : [0, 0, shown.picture.naturalHeight, shown.picture.naturalWidth];
  RULES.forEach((rule, k) => {
    drawPart($(rule), signals[k], part);
    const figure = $(rule).parentElement, silent = unit.silent.includes(rule);
    figure.className = RULES[state.rule - 1] === rule ? "chosen" : "";
    figure.lastElementChild.textContent = (rule === "guided" ? "guided backprop" : rule) + (silent ? ": nothing, the unit is off" : "");
    $(rule).setAttribute("aria-label", `${figure.lastElementChild.textContent} of unit ${unit.unit}`);
  });
  $("signals").className = state.rule ? "row one" : "row three";
}

function square(canvas) {                       // make its pixels those of the screen; return its pen and side
  const side = Math.round(canvas.getBoundingClientRect().width * window.devicePixelRatio);
  if (canvas.width !== side || canvas.height !== side) Object.assign(canvas, { width: side, height: side });
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, side, side);
  return [pen, side];
}

function drawWhole(canvas, image, smooth, box) {
  const [scale, x, y, pen] = drawPart(canvas, image, [0, 0, image.naturalHeight, image.naturalWidth], smooth);
  if (!box) return;
  for (const [colour, width] of [["black", 4], ["#ffa657", 2]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = width * window.devicePixelRatio;
    pen.strokeRect(x + box[0] * scale, y + box[1] * scale, box[2] * scale, box[3] * scale);
  }
}

function drawPart(canvas, image, [top, left, bottom, right], smooth = false) {
  const [pen, side] = square(canvas), [high, wide] = [bottom - top, right - left], scale = side / Math.max(high, wide);
  const [x, y] = [(side - wide * scale) / 2, (side - high * scale) / 2];
  pen.imageSmoothingEnabled = smooth || scale < 2;
  pen.drawImage(image, left, top, wide, high, x, y, wide * scale, high * scale);
  return [scale, x, y, pen];
}

// --- what takes longer: asked for when the unit has rested for a moment --------------------------------------------------
function restOf(layer, unit) {
  const key = `${layer} ${unit}`;
  if (key === rest) return;
  rest = key;
  $("patches").replaceChildren();
  $("patches-caption").textContent = "";
  $("optimised-caption").textContent = "optimised";
  square($("optimised"));
  follow(key, "patches", { layer, unit }, showPatches);
  follow(key, "optimised", { layer, unit }, showOptimised);
}

async function follow(key, kind, parameters, show) {
  let wait = 250;
  while (rest === key) {
    await new Promise((done) => setTimeout(done, wait));
    if (rest !== key) return;
    const answer = await ask(kind, parameters);
    if (rest !== key || !answer || await show(answer)) return;
    wait = kind === "patches" ? 1000 : 300;
  }
}

function showPatches(answer) {
  $("patches").replaceChildren(...answer.patches.map((patch, k) => {
    const figure = document.createElement("figure"), image = new Image();
    Object.assign(image, { src: patch.image, alt: `top patch ${k + 1}, from ${patch.name}`, title: patch.name });
    image.className = Math.max(...patch.size) < 32 ? "pixels" : "";
    figure.append(image, element("figcaption", digits(patch.value)));
    return figure;
  }));
  const none = answer.done && answer.patches.length === 0 ? "; the unit answers to none of them" : "";
  $("patches-caption").textContent = answer.error || `of ${answer.seen} pictures${answer.done ? "" : " so far"}${none}`;
  return answer.done;
}

async function showOptimised(answer) {
  if (answer.error) {
    $("optimised-caption").textContent = answer.error;
    return true;
  }
  if (answer.image) {
    const image = await loaded(answer.image);
    drawPart($("optimised"), image, [0, 0, image.naturalHeight, image.naturalWidth], true);
    $("optimised-caption").textContent = `optimised: ${digits(answer.activation)}`
      + (answer.step < answer.steps ? `, step ${answer.step}` : "");
  }
  return answer.step === answer.steps;
}

// --- keys and mouse -------------------------------------------------------------------------------------------------
const toggle = (name, button) => { state[name] = !state[name]; $(button).setAttribute("aria-pressed", state[name]); };
const label = (button, key, text) => $(button).replaceChildren(element("kbd", key), ` ${text}`);

const actions = {
  ArrowLeft: () => setUnit(state.unit - 1), ArrowRight: () => setUnit(state.unit + 1),
  ArrowUp: () => setUnit(state.unit - (shown.grid?.columns ?? 1)),
  ArrowDown: () => setUnit(state.unit + (shown.grid?.columns ?? 1)),
  Home: () => setUnit(0), End: () => setUnit(layerOf(state.layer).shape[0] - 1),
  "[": () => stepLayer(-1), PageUp: () => stepLayer(-1), "]": () => stepLayer(1), PageDown: () => stepLayer(1),
  s: () => setLayer(state.layer),
  a: () => { toggle("all", "all-button"); showStrip(); },
  u: () => $("file").click(),
  c: () => camera.video ? stopCamera() : startCamera(),
  f: () => { camera.frozen = !camera.frozen; showCamera(); },
  g: () => { state.gamma = (state.gamma + 1) % 3; label("gamma-button", "g", `γ ${GAMMAS[state.gamma]}`); showGrid(); showUnit(); },
  n: () => { toggle("together", "together-button"); showGrid(); },
  m: () => { state.mode = (state.mode + 1) % state.modes.length; label("mode-button", "m", state.modes[state.mode]); showUnit(); },
  w: () => { toggle("whole", "whole-button"); showUnit(); },
  z: () => { toggle("zoom", "zoom-button"); drawUnit(); },
  b: () => {
    state.rule = (state.rule + 1) % 4;
    label("rule-button", "b", ["all three", ...RULES][state.rule]);
    drawUnit();
    drawUnit();                                 // the first one changed the sizes
  },
  h: () => $("help").showModal(), "?": () => $("help").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || $("help").open || state.unit === null) return;
  const action = actions[event.key] ?? (/^[1-9]$/.test(event.key) && $("pictures").children[event.key - 1] && (() => pick(event.key - 1)));
  if (!action) return;
  event.preventDefault();
  pressed = performance.now();
  action();
});

$("grid").addEventListener("click", (event) => {
  const grid = shown.grid, bounds = $("grid").getBoundingClientRect();
  const x = Math.floor((event.clientX - bounds.left) / bounds.width * (grid.sheet.width + 1) / (grid.tile[1] + 1));
  const y = Math.floor((event.clientY - bounds.top) / bounds.height * (grid.sheet.height + 1) / (grid.tile[0] + 1));
  pressed = performance.now();
  if (x < grid.columns) setUnit(y * grid.columns + x);
});

$("map").addEventListener("click", (event) => {
  const [height, width] = shown.unit.shape, bounds = $("map").getBoundingClientRect(), longest = Math.max(height, width);
  const place = (at, size) => Math.floor(at / bounds.width * longest - (longest - size) / 2);
  const [row, column] = [place(event.clientY - bounds.top, height), place(event.clientX - bounds.left, width)];
  if (row < 0 || row >= height || column < 0 || column >= width) return;
  state.place = [row, column];
  showUnit();
});

for (const [button, key] of Object.entries({ upload: "u", camera: "c", freeze: "f", all: "a", gamma: "g", together: "n", mode: "m",
                                             whole: "w", zoom: "z", rule: "b", help: "h" })) {
  $(`${button}-button`).addEventListener("click", () => actions[key]());
}
$("file").addEventListener("change", () => { if ($("file").files[0]) upload($("file").files[0]); $("file").value = ""; });
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) upload(event.dataTransfer.files[0]);
});
new ResizeObserver(() => { drawGrid(); drawUnit(); }).observe($("grid-room"));

// --- the beginning --------------------------------------------------------------------------------------------------
async function begin() {
  const net = await ask("net", {});
  if (!net) return;
  $("network").textContent = net.network;
  Object.assign(state, { layers: net.layers, modes: net.modes });
  const main = net.layers.filter((layer) => layer.main);
  state.layer = main[Math.floor(main.length / 2)].name;
  $("pictures").replaceChildren(...net.pictures.map((name, k) => {
    const button = document.createElement("button"), image = new Image();
    Object.assign(image, { src: `/thumbnail/${k}`, alt: `picture ${k + 1}: ${name}`, title: name });
    button.append(image);
    button.onclick = () => pick(k);
    return button;
  }));
  showStrip();
  showCamera();
  await pick(0);
}

begin();
