"use strict";
// Line charts of a run: log or linear, smoothed, zoomed together, with values under the pointer.

const data = JSON.parse(document.getElementById("data").textContent);
const view = { from: null, to: null, smooth: 0.25, log: true };
const charts = [];

// A centred moving average, Gaussian, so that what it shows stands where it happened.
function smoothed(values, share) {
  const width = (share * share * values.length) / 4;
  if (width < 0.5) return values;
  const reach = Math.ceil(3 * width);
  return values.map((value, at) => {
    if (value === null) return null;
    let sum = 0, weights = 0;
    const last = Math.min(values.length - 1, at + reach);
    for (let i = Math.max(0, at - reach); i <= last; i++) {
      if (values[i] === null) continue;
      const weight = Math.exp(-0.5 * ((i - at) / width) ** 2);
      sum += weight * values[i];
      weights += weight;
    }
    return sum / weights;
  });
}

// About `count` round numbers from low to high; in a log scale 1, 2 and 5 of each power of ten.
function ticks(low, high, count, log) {
  const found = [];
  if (log) {
    const decades = Math.log10(high / low);
    const heads = decades > 2.5 ? [1] : decades > 1.2 ? [1, 3] : [1, 2, 3, 5, 7];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const head of heads) {
        const value = head * 10 ** power;
        if (value >= low && value <= high) found.push(value);
      }
    }
    if (found.length > 1) return found;
    found.length = 0;
  }
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((n) => n * power >= rough * 0.7);
  for (let i = Math.ceil(low / step - 1e-6); i * step <= high * (1 + 1e-9); i++) found.push(i * step);
  return found;
}

function short(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e6)) return value.toExponential(2).replace("e+", "e").replace(/\.?0+e/, "e");
  return String(Number(value.toPrecision(4)));
}

function stepWords(value) {
  return value >= 10000 ? `${Number((value / 1000).toPrecision(4))}k` : String(value);
}

function element(name, attributes, parent, text) {
  const space = "http://www.w3.org/2000/svg";
  const made = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

class Chart {
  constructor(host, panel) {
    this.panel = panel;
    this.hidden = new Set();
    this.host = host;
    this.svg = host.querySelector("svg");
    this.legend = host.querySelector(".legend");
    panel.lines.forEach((line, number) => {
      const chip = document.createElement("button");
      chip.type = "button";
      chip.className = `chip c${line.colour}`;
      chip.append(Object.assign(document.createElement("i")), ` ${line.name} `, document.createElement("b"));
      chip.title = "show or hide";
      chip.addEventListener("click", () => {
        if (this.hidden.has(number)) this.hidden.delete(number); else this.hidden.add(number);
        chip.classList.toggle("off", this.hidden.has(number));
        this.draw();
      });
      this.legend.append(chip);
    });
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => { if (!this.drag) point(null); });
    this.svg.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "touch") return;
      this.svg.setPointerCapture(event.pointerId);
      this.drag = this.stepAt(event);
    });
    this.svg.addEventListener("pointerup", (event) => {
      if (this.drag === undefined) return;
      const [from, to] = [this.drag, this.stepAt(event)].sort((a, b) => a - b);
      this.drag = undefined;
      if (this.px(to) - this.px(from) > 6) zoom(from, to); else this.draw();
    });
    this.svg.addEventListener("dblclick", () => zoom(null, null));
    new ResizeObserver(() => this.draw()).observe(host);
  }

  px(step) { return this.left + ((step - this.x0) / (this.x1 - this.x0)) * (this.width - this.left - 8); }

  stepAt(event) {
    const at = event.clientX - this.svg.getBoundingClientRect().left;
    const share = (at - this.left) / (this.width - this.left - 8);
    return this.x0 + Math.min(1, Math.max(0, share)) * (this.x1 - this.x0);
  }

  draw() {
    const { x } = this.panel;
    const height = 200, bottom = height - 22, top = 8;
    this.width = Math.max(200, this.svg.clientWidth);
    this.left = 44;
    this.x0 = view.from ?? Math.min(0, x[0]);
    this.x1 = view.to ?? x[x.length - 1];
    if (this.x1 <= this.x0) this.x1 = this.x0 + 1;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${height}`);
    this.svg.replaceChildren();

    const lines = this.panel.lines.map((line, number) => ({ ...line, number, mean: this.panel.smooth ? smoothed(line.y, view.smooth) : line.y }))
      .filter((line) => !this.hidden.has(line.number));
    const inside = [];
    for (const line of lines) {
      line.y.forEach((value, i) => { if (value !== null && x[i] >= this.x0 && x[i] <= this.x1) inside.push(value); });
    }
    if (!inside.length) return;
    let low = Math.min(...inside), high = Math.max(...inside);
    const log = this.panel.log && view.log && low > 0;
    if (!log) {
      const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
      low = low >= 0 && low < 0.5 * high ? 0 : low - room;
      high += room;
    } else { low /= 1.08; high *= 1.08; }
    const scale = log ? Math.log : (v) => v;
    const py = (value) => bottom - ((scale(value) - scale(low)) / (scale(high) - scale(low))) * (bottom - top);

    for (const value of ticks(low, high, 4, log)) {
      element("line", { x1: this.left, x2: this.width - 8, y1: py(value), y2: py(value), class: "rule" }, this.svg);
      element("text", { x: this.left - 6, y: py(value) + 3.5, "text-anchor": "end" }, this.svg, short(value));
    }
    for (const value of ticks(this.x0, this.x1, Math.max(3, Math.floor(this.width / 90)), false)) {
      const edge = this.px(value) > this.width - 24 ? "end" : "middle";
      element("text", { x: this.px(value) + (edge === "end" ? 8 : 0), y: height - 6, "text-anchor": edge }, this.svg, stepWords(value));
    }

    const clip = `clip-${charts.indexOf(this)}`;
    element("rect", { x: this.left, y: 0, width: Math.max(0, this.width - this.left - 6), height: bottom + 2 },
      element("clipPath", { id: clip }, this.svg));
    const ink = element("g", { "clip-path": `url(#${clip})` }, this.svg);
    const path = (values) => {
      let pen = "M", made = "";
      values.forEach((value, i) => {
        if (value === null || (log && value <= 0)) { pen = "M"; return; }
        made += `${pen}${this.px(x[i]).toFixed(1)} ${py(value).toFixed(1)}`;
        pen = "L";
      });
      return made;
    };
    for (const line of lines) {
      if (line.mean !== line.y) element("path", { d: path(line.y), class: `raw s${line.colour}` }, ink);
      element("path", { d: path(line.mean), class: `mean s${line.colour}` }, ink);
      if (x.length <= 40) {
        line.y.forEach((value, i) => {
          if (value !== null) element("circle", { cx: this.px(x[i]), cy: py(value), r: 2.4, class: `f${line.colour}` }, ink);
        });
      }
    }
    this.cursor = element("line", { y1: top, y2: bottom, class: "cursor", visibility: "hidden" }, this.svg);
    this.chosen = element("rect", { y: top, height: bottom - top, class: "chosen", visibility: "hidden" }, this.svg);
    this.name(x.length - 1);
  }

  // Values of one row in the legend, or the last there is before it.
  name(row) {
    this.panel.lines.forEach((line, number) => {
      let at = row;
      while (at > 0 && line.y[at] === null) at -= 1;
      this.legend.children[number].querySelector("b").textContent = short(line.y[at]);
    });
  }

  point(event) {
    if (!this.cursor) return;
    const step = this.stepAt(event);
    if (this.drag !== undefined) {
      const [a, b] = [this.px(this.drag), this.px(step)].sort((p, q) => p - q);
      this.chosen.setAttribute("x", a);
      this.chosen.setAttribute("width", b - a);
      this.chosen.setAttribute("visibility", "visible");
    }
    point(step);
  }

  show(step) {
    if (!this.cursor) return;
    const { x } = this.panel;
    if (step === null) { this.cursor.setAttribute("visibility", "hidden"); this.name(x.length - 1); return; }
    let near = 0;
    x.forEach((value, i) => { if (Math.abs(value - step) < Math.abs(x[near] - step)) near = i; });
    const at = this.px(x[near]);
    this.cursor.setAttribute("x1", at);
    this.cursor.setAttribute("x2", at);
    this.cursor.setAttribute("visibility", at >= this.left ? "visible" : "hidden");
    this.name(near);
  }
}

function point(step) {
  charts.forEach((chart) => chart.show(step));
  const label = document.getElementById("at");
  if (label) label.textContent = step === null ? "last values" : `near step ${Math.round(step).toLocaleString("en")}`;
}

function zoom(from, to) {
  view.from = from;
  view.to = to;
  document.getElementById("whole").hidden = from === null;
  charts.forEach((chart) => chart.draw());
}

if (data.panels.length) {
  document.querySelectorAll(".chart").forEach((host, number) => charts.push(new Chart(host, data.panels[number])));
  document.getElementById("smooth").addEventListener("input", (event) => {
    view.smooth = Number(event.target.value) / 100;
    charts.forEach((chart) => chart.draw());
  });
  document.getElementById("log").addEventListener("change", (event) => {
    view.log = event.target.checked;
    charts.forEach((chart) => chart.draw());
  });
  document.getElementById("whole").addEventListener("click", () => zoom(null, null));
  charts.forEach((chart) => chart.draw());
}
