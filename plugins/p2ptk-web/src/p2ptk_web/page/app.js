// The page: a source canvas to drop, paste or draw on, and the model's translation beside it.

import { toPixels, toTensor } from "./pixels.js";

const LONGEST = 1024; // pixels of a side: more would take a browser's memory
const $ = (id) => document.getElementById(id);
const source = $("source").getContext("2d", { willReadFrequently: true });
const image = $("image").getContext("2d");
const say = (text) => ($("status").textContent = text);

let ort, facts, session, where;
let picture = null; // what was dropped, before it was scaled
let busy = false;
let waiting = false; // something changed while a translation ran

// WebGPU where the browser has a device of it, else WebAssembly in one thread. ?wasm asks for that.
async function load() {
  facts = await (await fetch("model.json")).json();
  const wish = new URLSearchParams(location.search).has("wasm");
  const gpu = !wish && navigator.gpu ? await navigator.gpu.requestAdapter().catch(() => null) : null;
  const bytes = await fetchModel();
  for (const provider of gpu ? ["webgpu", "wasm"] : ["wasm"]) {
    try {
      ort = await import(`./runtime/ort.${provider}.min.mjs`);
      ort.env.wasm.numThreads = 1; // several need headers that a plain static server does not send
      ort.env.wasm.wasmPaths = new URL("runtime/", location.href).href;
      session = await ort.InferenceSession.create(bytes, { executionProviders: [provider] });
      where = { webgpu: "WebGPU", wasm: "WebAssembly" }[provider];
      return;
    } catch (error) {
      if (provider === "wasm") throw error;
    }
  }
}

async function fetchModel() {
  const answer = await fetch("model.onnx");
  if (!answer.ok) throw new Error(`model.onnx: ${answer.status}`);
  const total = Number(answer.headers.get("Content-Length")) || 0;
  const parts = [];
  let done = 0;
  for (const reader = answer.body.getReader(); ; ) {
    const { value, done: ended } = await reader.read();
    if (ended) break;
    parts.push(value);
    done += value.length;
    const mebibytes = (n) => (n / 2 ** 20).toFixed(1);
    say(`Fetching the model: ${mebibytes(done)}${total ? ` of ${mebibytes(total)}` : ""} MiB`);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

// The size of the source canvas for a picture, by what is chosen.
function sizeFor(given) {
  const [height, width] = facts.size;
  if (!given || $("size").value === "trained") return [width, height];
  const scale = Math.min(1, LONGEST / Math.max(given.width, given.height));
  return [given.width, given.height].map((n) => Math.max(1, Math.round(n * scale)));
}

function blank() {
  const palette = facts.source.palette;
  source.fillStyle = palette ? `rgb(${palette[0]})` : "white";
  source.fillRect(0, 0, source.canvas.width, source.canvas.height);
}

function show() {
  const [width, height] = sizeFor(picture);
  [source.canvas.width, source.canvas.height] = [width, height];
  blank();
  if (picture) {
    source.imageSmoothingEnabled = !facts.source.palette; // no mixed colours in label maps
    source.imageSmoothingQuality = "high";
    source.drawImage(picture, 0, 0, width, height);
  }
}

async function take(file) {
  try {
    picture = await createImageBitmap(file);
  } catch {
    say(`${file.name || "This"} is no picture that the browser can read.`);
    return;
  }
  show();
  await translate();
}

async function translate() {
  if (!session) return;
  if (busy) {
    waiting = true;
    return;
  }
  busy = true;
  $("again").disabled = true;
  try {
    do {
      waiting = false;
      say("Translating ...");
      await new Promise((done) => setTimeout(done)); // so that the line is drawn
      await once();
    } while (waiting);
  } catch (error) {
    say(`It could not be translated: ${error.message}`);
  } finally {
    busy = false;
    $("again").disabled = false;
  }
}

async function once() {
  const { width, height } = source.canvas;
  const start = performance.now();
  const pixels = source.getImageData(0, 0, width, height).data;
  const { data, dims } = toTensor(pixels, width, height, facts.source, facts.multiple);
  const feeds = { source: new ort.Tensor(facts.source.dtype, data, dims) };
  if (facts.seed) {
    const seed = Math.max(0, Math.trunc(Number($("seed").value)) || 0);
    feeds.seed = new ort.Tensor("int64", BigInt64Array.from([BigInt(seed)]), [1]);
  }
  const found = (await session.run(feeds)).image;
  [image.canvas.width, image.canvas.height] = [width, height];
  const made = toPixels(found.data, found.dims, facts.image, width, height);
  image.putImageData(new ImageData(made, width, height), 0, 0);
  $("save").disabled = false;
  const seconds = ((performance.now() - start) / 1000).toFixed(2);
  say(`${width} × ${height} pixels in ${seconds} s, on ${where}.`);
}

// Drawing: one brush, the palette's colours or a free one.
let colour = "rgb(0, 0, 0)";
let last = null;

function brushes() {
  const { palette, channels } = facts.source;
  const choices = palette ?? (channels === 1 ? [[0, 0, 0], [255, 255, 255]] : null);
  const add = (tag, set) => $("brushes").append(Object.assign(document.createElement(tag), set));
  if (choices) {
    choices.forEach((each) => {
      const css = `rgb(${each})`;
      add("button", { className: "swatch", title: css });
      const swatch = $("brushes").lastChild;
      swatch.style.background = css;
      swatch.setAttribute("aria-label", `Colour ${css}`);
      swatch.onclick = () => {
        colour = css;
        for (const s of document.querySelectorAll(".swatch")) s.setAttribute("aria-pressed", s === swatch);
      };
    });
    $("brushes").querySelectorAll(".swatch")[palette && palette.length > 1 ? 1 : 0].click();
  } else {
    add("input", { type: "color", value: "#000000", title: "Colour" });
    $("brushes").lastChild.oninput = (event) => (colour = event.target.value);
  }
  add("input", { type: "range", id: "width", min: 1, max: 64, value: palette ? 12 : 2, title: "Width of the brush" });
  add("button", { textContent: "Clear" });
  $("brushes").lastChild.onclick = () => {
    picture = null;
    show();
    translate();
  };
}

function place(event) {
  const box = source.canvas.getBoundingClientRect();
  return [
    ((event.clientX - box.left) / box.width) * source.canvas.width,
    ((event.clientY - box.top) / box.height) * source.canvas.height,
  ];
}

function stroke(event) {
  const here = place(event);
  source.strokeStyle = colour;
  source.lineWidth = Number($("width").value);
  source.lineCap = source.lineJoin = "round";
  source.beginPath();
  source.moveTo(...last);
  source.lineTo(...here);
  source.stroke();
  last = here;
}

function listen() {
  const canvas = source.canvas;
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = place(event);
    stroke(event);
  };
  canvas.onpointermove = (event) => last && stroke(event);
  canvas.onpointerup = canvas.onpointercancel = () => {
    if (last) translate();
    last = null;
  };
  $("file").onchange = (event) => event.target.files[0] && take(event.target.files[0]);
  $("again").onclick = translate;
  $("seed").onchange = translate;
  $("size").onchange = () => {
    show();
    translate();
  };
  $("save").onclick = () =>
    image.canvas.toBlob((blob) => {
      const link = Object.assign(document.createElement("a"), {
        href: URL.createObjectURL(blob),
        download: "translation.png",
      });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  document.onpaste = (event) => {
    const file = [...event.clipboardData.files].find((f) => f.type.startsWith("image/"));
    if (file) take(file);
  };
  document.ondragover = (event) => {
    event.preventDefault();
    canvas.classList.add("over");
  };
  document.ondragleave = () => canvas.classList.remove("over");
  document.ondrop = (event) => {
    event.preventDefault();
    canvas.classList.remove("over");
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  };
}

try {
  say("Loading ...");
  await load();
  const [height, width] = facts.size;
  $("size").append(new Option(`${width} × ${height}`, "trained"));
  if (facts.any_size) $("size").append(new Option(`its own, at most ${LONGEST}`, "own"));
  $("noise").hidden = !facts.seed;
  if (facts.trained_on) $("title").textContent = `${facts.direction.replace("to", " to ")} of ${facts.trained_on}`;
  document.title = $("title").textContent;
  $("facts").textContent = `${facts.generator}; step ${facts.step}; p2ptk ${facts.version}`;
  brushes();
  listen();
  show();
  $("again").disabled = false;
  say(`Ready, on ${where}. Drop a picture, or draw.`);
  document.documentElement.dataset.state = "ready";
} catch (error) {
  say(`The model can't be loaded: ${error.message}`);
  document.documentElement.dataset.state = "failed";
}
