// The shown pairs through time, the swipe comparison. `#step=300&pair=2` sets them.

function find(id) { return document.getElementById(id); }

const samples = data.samples;
if (samples) {
  const slider = find("sheet"), label = find("when"), play = find("play");
  const paired = samples.targets.length > 0;
  const state = { at: samples.steps.length - 1, pair: 0, sides: ["output", "target"] };
  const rows = [...document.querySelectorAll(".pair")];
  let timer = null;

  const picture = (side, pair) => ({
    source: samples.sources[pair], target: samples.targets[pair], output: samples.outputs[state.at][pair],
  })[side];

  function show() {
    const step = samples.steps[state.at];
    if (slider) { slider.value = state.at; slider.setAttribute("aria-valuetext", `step ${step}`); }
    label.textContent = `step ${step.toLocaleString("en")}`;
    if (!paired) { find("over").src = samples.outputs[state.at][0]; return; }
    rows.forEach((row, pair) => {
      ["source", "output", "target"].forEach((side, i) => { row.querySelectorAll("img")[i].src = picture(side, pair); });
      row.setAttribute("aria-pressed", pair === state.pair);
    });
    find("over").src = picture(state.sides[0], state.pair);
    find("under").src = picture(state.sides[1], state.pair);
    find("over").alt = `${state.sides[0]} of ${samples.names[state.pair]} at step ${step}`;
    find("under").alt = `${state.sides[1]} of ${samples.names[state.pair]}`;
    find("left").textContent = state.sides[0];
    find("right").textContent = state.sides[1];
    find("which").textContent = samples.names[state.pair];
  }

  function go(at) {
    state.at = Math.min(samples.steps.length - 1, Math.max(0, at));
    show();
    remember();
  }

  function remember() {
    const place = `#step=${samples.steps[state.at]}&pair=${state.pair}`;
    try { history.replaceState(null, "", place); } catch { /* some viewers forbid it */ }
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    if (play) { play.textContent = "▶"; play.setAttribute("aria-label", "play"); }
  }

  // A step that is not among the sheets shows the newest one before it.
  function obey() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    if (wanted.has("step")) {
      const before = samples.steps.filter((step) => step <= Number(wanted.get("step")));
      state.at = Math.max(0, before.length - 1);
    }
    const pair = Number(wanted.get("pair"));
    if (samples.names[pair] !== undefined) state.pair = pair;
    show();
  }

  if (slider) {
    slider.addEventListener("input", () => { stop(); go(Number(slider.value)); });
    play.addEventListener("click", () => {
      if (timer !== null) { stop(); return; }
      if (state.at === samples.steps.length - 1) go(0);
      play.textContent = "❚❚";
      play.setAttribute("aria-label", "pause");
      timer = setInterval(() => {
        go(state.at + 1);
        if (state.at === samples.steps.length - 1) stop();
      }, 450);
    });
  }

  if (paired) {
    rows.forEach((row, pair) => row.addEventListener("click", () => { state.pair = pair; show(); remember(); }));
    const ways = [...document.querySelectorAll("[data-sides]")];
    ways.forEach((way) => way.addEventListener("click", () => {
      state.sides = way.dataset.sides.split(" ");
      ways.forEach((each) => each.setAttribute("aria-pressed", each === way));
      show();
    }));
    const swipe = find("swipe"), cut = find("cut");
    const put = (percent) => {
      cut.value = Math.min(100, Math.max(0, percent));
      swipe.style.setProperty("--cut", `${cut.value}%`);
    };
    const follow = (event) => {
      const box = swipe.getBoundingClientRect();
      put((100 * (event.clientX - box.left)) / box.width);
    };
    swipe.addEventListener("pointerdown", (event) => {
      swipe.setPointerCapture(event.pointerId);
      follow(event);
    });
    swipe.addEventListener("pointermove", (event) => { if (swipe.hasPointerCapture(event.pointerId)) follow(event); });
    cut.addEventListener("input", () => put(Number(cut.value)));
  }
  addEventListener("hashchange", obey);
  obey();
}
