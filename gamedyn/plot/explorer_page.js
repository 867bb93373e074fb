"use strict";
/* The page: what is chosen, what is computed in turns, and what is shown. */
const Page = (() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const methods = new Map(data.methods.map((m) => [m.name, m]));
  const BLOCKS = "needs the players’ blocks, which eigenvalues do not hold: write_explorer(…, blocks=…)";
  const STEPS = 1000; // of the slider

  const state = { chosen: new Map(), marked: "", h: 1, perEvaluation: false, zoom: 1, own: true, spectrum: null, facts: null, axis: null };
  const results = new Map(); // stable steps by method, of this spectrum
  const curves = new Map(); // growth of one step by method and clock
  const rows = new Map(); // table rows by method

  /* ---- words ---- */

  function number(x, digits = 5) {
    if (x === Infinity) return "∞";
    const size = Math.abs(x), rounded = Number(x.toPrecision(digits));
    const text = size && (size < 1e-4 || size >= 1e6) ? rounded.toExponential() : String(rounded);
    return text.replace(/-/g, "−").replace("e+", "e");
  }

  function growthText(g) {
    const gap = g - 1;
    if (Math.abs(gap) < 1e-14) return "1";
    return Math.abs(gap) < 1e-3 ? `1 ${gap < 0 ? "−" : "+"} ${number(Math.abs(gap), 2)}` : g > 1e4 ? `${number(g, 2)}` : g.toFixed(3);
  }

  const subscript = (n) => String(n).replace(/\d/g, (d) => "₀₁₂₃₄₅₆₇₈₉"[d]);

  /* An eigenvalue by its place in the spectrum and its value. */
  function eigenvalue(mode) {
    const [x, y] = state.spectrum.eigenvalues[mode.index], name = `λ${subscript(mode.index + 1)}`;
    const size = Math.abs(y) === 1 ? "i" : `${number(Math.abs(y), 4)}i`;
    if (!y) return `${name} = ${number(x, 4)}`;
    const sign = mode.paired ? "±" : y < 0 ? "−" : "+";
    return x ? `${name} = ${number(x, 4)} ${sign} ${size}` : `${name} = ${sign === "+" ? "" : sign}${size}`;
  }

  const stepName = () => (state.perEvaluation ? "τ" : "h");

  /* ---- what is known of a method on this spectrum, in units of the slider's step ---- */

  /* Evaluations a step where the scale is per evaluation, else 1; 0 where a solver decides on the work. */
  const factor = (m) => (state.perEvaluation ? m.work || 0 : 1);

  function blockData(m) {
    if (!state.facts.pair) return state.own ? m.blocks || null : null;
    if (!m.rotation) return null;
    const w = state.facts.modes[0].y, scaled = (x) => (x === null ? null : x / w);
    return { intervals: m.rotation.intervals.map((i) => i.map(scaled)), h: m.rotation.h.map(scaled), radius: m.rotation.radius };
  }

  /* {intervals, limit, binding} in the slider's unit; {note} where there are none, {pending} before they are. */
  function known(m) {
    const e = factor(m);
    if (!e) return { note: "its work is decided by a solver" };
    let found = results.get(m.name);
    if (m.kind === "blocks") {
      const held = blockData(m);
      if (!held) return { note: (!state.facts.pair && state.own && m.refused) || BLOCKS };
      const intervals = held.intervals.map(([a, b]) => [a, b === null ? Infinity : b]);
      found = { intervals, binding: null, limit: Theory.limitOf(intervals) };
    }
    if (!found) return { pending: true };
    return { intervals: found.intervals.map(([a, b]) => [a / e, b / e]), limit: found.limit / e, binding: found.binding };
  }

  /* The largest growth at a step and the mode that has it. */
  function growthAt(m, step) {
    const h = step * factor(m);
    if (m.kind !== "blocks") return Theory.worst(m, state.facts, h);
    const held = blockData(m), x = held.h, i = Math.min(Math.max(1, x.findIndex((v) => v >= h)), x.length - 1);
    if (h > x[x.length - 1]) return { radius: NaN, mode: null };
    const t = Math.min(1, Math.max(0, (h - x[i - 1]) / (x[i] - x[i - 1])));
    return { radius: held.radius[i - 1] + t * (held.radius[i] - held.radius[i - 1]), mode: null };
  }

  const holds = (intervals, step) => intervals.some(([a, b]) => step >= a * (1 - 1e-12) && step <= b * (1 + 1e-12));

  /* "stable", "unstable", "none" (no verdict) or "pending". */
  function verdict(found) {
    if (found.pending) return "pending";
    return found.note ? "none" : holds(found.intervals, state.h) ? "stable" : "unstable";
  }

  /* ---- work in turns, so that the page answers meanwhile ---- */

  let queue = [], working = 0;

  function later(turns, done) {
    queue.push({ turns, done });
    if (!working) working = setTimeout(turn, 0);
  }

  function turn() {
    const end = performance.now() + 10;
    while (queue.length && performance.now() < end) {
      const { done, value } = queue[0].turns.next();
      if (done) queue.shift().done(value);
    }
    working = queue.length ? setTimeout(turn, 0) : 0;
    if (!working) render();
  }

  function* curveInTurns(m, e) {
    const out = [], n = 240, span = Math.log(state.axis.high / state.axis.low);
    for (let i = 0; i <= n; i++) {
      const step = state.axis.low * Math.exp((span * i) / n);
      out.push([step, Theory.worst(m, state.facts, step * e).radius]);
      if (i % 3 === 0) yield;
    }
    return out;
  }

  const curveKey = (m) => `${m.name}|${factor(m)}`;

  /* Ask for what is missing of the chosen methods: stable steps first. */
  function compute() {
    queue = [];
    const missing = [...state.chosen.keys()].map((name) => methods.get(name)).filter((m) => m.kind !== "blocks");
    for (const m of missing) if (!results.has(m.name)) later(Theory.stableStepsInTurns(m, state.facts), (found) => { results.set(m.name, found); render(); });
    for (const m of missing) {
      const key = curveKey(m);
      if (factor(m) && !curves.has(key)) later(curveInTurns(m, factor(m)), (found) => { curves.set(key, found); });
    }
    render();
  }

  function curveOf(m, found) {
    if (found.note || found.pending) return null;
    if (m.kind !== "blocks") return curves.get(curveKey(m)) || null;
    const held = blockData(m), e = factor(m);
    return held.h.map((h, i) => [h / e, held.radius[i]]).filter(([h]) => h >= state.axis.low && h <= state.axis.high);
  }

  /* ---- the step ---- */

  /* From a thousandth to forty times the inverse of the largest modulus; lower where Euler needs it. */
  function axisOf(facts) {
    const scale = facts.scale || 1;
    const euler = Math.min(...facts.modes.filter((m) => m.x < 0).map((m) => (-2 * m.x) / m.size ** 2), Infinity);
    return { low: Math.max(1e-7 / scale, Math.min(2e-3 / scale, euler / 5)), high: 40 / scale };
  }

  const position = (h) => (STEPS * Math.log(h / state.axis.low)) / Math.log(state.axis.high / state.axis.low);
  const atPosition = (p) => state.axis.low * (state.axis.high / state.axis.low) ** (p / STEPS);

  function setStep(h, from = "") {
    if (!(h > 0 && Number.isFinite(h))) return;
    state.h = h;
    $("step-error").textContent = "";
    if (from !== "slider") $("step").value = String(Math.round(Math.min(STEPS, Math.max(0, position(h)))));
    if (from !== "field") $("step-value").value = number(h, 6).replace(/−/g, "-");
    render();
  }

  function typedStep() {
    const text = $("step-value").value.trim().replace("−", "-"), h = Number(text);
    if (text && h > 0 && Number.isFinite(h)) setStep(h, "field");
    else $("step-error").textContent = `“${text}” is no positive number.`;
  }

  const KEYS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 25, PageDown: -25 };

  function stepKeys(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key in KEYS) setStep(atPosition(position(state.h) + KEYS[event.key] * (event.shiftKey ? 0.1 : 1)));
    else if (event.key === "Home") setStep(state.axis.low);
    else if (event.key === "End") setStep(state.axis.high);
    else return;
    event.preventDefault();
  }

  /* ---- showing ---- */

  let asked = 0, announced = 0;

  function render() {
    if (!asked) asked = requestAnimationFrame(() => { asked = 0; show(); });
  }

  function show() {
    const found = new Map([...state.chosen.keys()].map((name) => [name, known(methods.get(name))]));
    $("step").setAttribute("aria-valuetext", `${stepName()} = ${number(state.h)}`);
    $("plane").setAttribute("aria-valuemin", number(state.axis.low));
    $("plane").setAttribute("aria-valuemax", number(state.axis.high));
    $("plane").setAttribute("aria-valuenow", String(Number(state.h.toPrecision(5))));
    $("plane").setAttribute("aria-valuetext", `${stepName()} = ${number(state.h)}`);
    showVerdict(found);
    for (const [name, row] of rows) showRow(row, methods.get(name), found.get(name));
    showPlane(found);
    showSteps(found);
  }

  function sentence(m, found) {
    if (found.pending) return `${m.name}: computing its stable steps…`;
    if (found.note) return `${m.name}: no verdict; it ${found.note}.`.replace("it its", "its");
    const at = `${stepName()} = ${number(state.h)}`, bound = state.spectrum.complete ? "" : "at most ";
    const leaves = found.binding ? `, where ${eigenvalue(found.binding)} leaves first` : "";
    const limit = `Its largest stable step is ${bound}${number(found.limit)}${leaves}.`;
    const inside = found.intervals.find((i) => holds([i], state.h));
    if (inside) {
      const later = inside[0] > 0 ? `This interval of stable steps is ${number(inside[0])} to ${number(inside[1])}.` : limit;
      return `${m.name} is stable at ${at}. ${inside[0] === 0 && inside[1] === Infinity ? "Every step is." : later}`;
    }
    const { radius, mode } = growthAt(m, state.h);
    const why = mode ? `: ${eigenvalue(mode)} grows by the factor ${growthText(radius)} a step` : Number.isNaN(radius) ? "" : `: a mode grows by the factor ${growthText(radius)} a step`;
    const ranges = found.intervals.map(([a, b]) => `${number(a)} to ${number(b)}`).join(", ");
    const rest = found.limit > 0 ? limit : ranges ? `It is stable for ${stepName()} from ${ranges} only.` : "No step is stable.";
    return `${m.name} is unstable at ${at}${why}. ${rest}`;
  }

  function showVerdict(found) {
    const m = methods.get(state.marked), groups = { stable: [], unstable: [], none: [] };
    $("verdict").textContent = m ? sentence(m, found.get(m.name)) : "No method is chosen: tick one in the list.";
    $("verdict").className = m ? verdict(found.get(m.name)) : "";
    for (const [name, one] of found) (groups[verdict(one)] || []).push(name);
    const words = { stable: "Stable", unstable: "Unstable", none: "No verdict" };
    $("others").textContent = Object.entries(groups).filter(([, names]) => names.length).map(([key, names]) => `${words[key]}: ${names.join(", ")}`).join(" · ");
    const text = `${$("verdict").textContent} ${$("others").textContent}`;
    clearTimeout(announced);
    announced = setTimeout(() => { if ($("announcement").textContent !== text) $("announcement").textContent = text; }, 350);
  }

  function showRow(row, m, found) {
    const now = verdict(found);
    row.tr.className = m.name === state.marked ? "marked" : "";
    row.radio.checked = m.name === state.marked;
    row.now.className = now;
    if (now === "stable" || now === "unstable") {
      const { radius } = growthAt(m, state.h);
      row.now.textContent = `${now === "stable" ? "✓ stable" : "✕ grows"} ${Number.isNaN(radius) ? "" : growthText(radius)}`;
    } else row.now.textContent = now === "pending" ? "…" : "–";
    const shown = found.pending ? "…" : found.note ? "" : found.limit === Infinity ? "every step" : found.limit > 0 ? number(found.limit) : found.intervals.length ? "" : "no step";
    const go = Boolean(found.limit > 0 && found.limit !== Infinity);
    row.go.hidden = !go;
    row.limit.textContent = go ? "" : shown;
    if (go) {
      row.go.textContent = shown;
      row.go.setAttribute("aria-label", `${shown}: set the step to the limit of ${m.name}`);
      row.value = found.limit;
    }
    const more = (found.intervals || []).filter(([a]) => a > 0).map(([a, b]) => `${number(a, 4)} to ${number(b, 4)}`);
    row.more.textContent = more.length ? `${found.limit > 0 ? "and " : ""}${more.slice(0, 3).join(", ")}${more.length > 3 ? ", …" : ""}` : "";
    row.binding.className = found.note ? "wide" : "";
    row.binding.textContent = found.note ? found.note : found.binding ? eigenvalue(found.binding) : found.pending ? "…" : m.kind === "blocks" ? "no single mode" : "–";
  }

  function showPlane(found) {
    const drawn = [...state.chosen].filter(([name]) => methods.get(name).kind !== "blocks" && factor(methods.get(name)));
    const extents = drawn.map(([name]) => { const m = methods.get(name), r = Theory.reach(m); return (r === Infinity ? 5 : r) / factor(m); });
    const half = Number(((1.08 * Math.max(...extents, extents.length ? 0 : 3)) / state.zoom).toPrecision(3));
    const m = methods.get(state.marked), e = m ? factor(m) : 1, own = m && m.kind !== "blocks" && e, here = m && found.get(m.name);
    const grows = new Set();
    if (own) for (const one of state.facts.modes) if (Theory.growth(m, state.h * e * one.x, state.h * e * one.y) > 1 + 1e-9) grows.add(`${one.x},${one.y}`);
    const points = state.spectrum.eigenvalues.map(([x, y]) => ({ x: state.h * x, y: state.h * y, grows: grows.has(`${x},${Math.abs(y)}`) || grows.has(`0,${Math.abs(y)}`) && Math.abs(x) < 1e-10 * state.facts.scale }));
    const binding = own && here.binding ? { x: here.binding.x, y: here.binding.y, h: state.h, limit: here.limit, text: eigenvalue(here.binding) } : null;
    Draw.plane($("plane"), {
      half,
      unit: state.perEvaluation ? "τλ" : "hλ",
      regions: drawn.map(([name, index]) => ({ method: methods.get(name), index, colour: colour(index), factor: factor(methods.get(name)), marked: name === state.marked })),
      points,
      binding,
    });
  }

  function showSteps(found) {
    const list = [...state.chosen].map(([name, index]) => {
      const one = found.get(name), m = methods.get(name);
      const note = one.note ? (m.kind === "blocks" && factor(m) ? "needs blocks" : one.note) : one.pending ? "computing…" : one.intervals.length ? "" : "no step is stable";
      return { name, index, colour: colour(index), marked: name === state.marked, intervals: one.intervals, note, curve: curveOf(m, one) };
    });
    const canvas = $("steps"), height = `${Math.max(20, 12.5 + 1.25 * list.length)}rem`;
    if (canvas.style.height !== height) canvas.style.height = height;
    const key = `${generation}|${state.perEvaluation}|${list.map((r) => `${r.name}:${r.index}:${r.marked}:${r.note}:${r.curve ? 1 : 0}`).join()}`;
    const label = state.perEvaluation ? "step per evaluation τ" : "step h";
    Draw.steps(canvas, { rows: list, axis: state.axis, h: state.h, label, key });
  }

  /* ---- choosing methods ---- */

  const inPage = (index) => data.colours[index % data.colours.length].replace("#000000", "var(--ink)");
  const colour = (index) => Draw.onPaper(data.colours[index % data.colours.length]);

  function freeIndex() {
    const used = new Set(state.chosen.values());
    let index = 0;
    while (used.has(index)) index++;
    return index;
  }

  function choose(name, on) {
    if (on && !state.chosen.has(name)) state.chosen.set(name, freeIndex());
    if (!on) state.chosen.delete(name);
    if (!state.chosen.has(state.marked)) state.marked = [...state.chosen.keys()].pop() || "";
    syncRows();
    compute();
  }

  function swatch(index) {
    const dash = Draw.dashOf(index).join(" ");
    return `<svg class="swatch" viewBox="0 0 32 12" aria-hidden="true"><line x1="1" y1="6" x2="31" y2="6" style="stroke: ${inPage(index)}" stroke-width="3" stroke-dasharray="${dash}"/></svg>`;
  }

  const element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  function syncRows() {
    for (const [name, row] of rows) if (!state.chosen.has(name)) { row.tr.remove(); rows.delete(name); }
    for (const [name, index] of state.chosen) {
      if (rows.has(name)) continue;
      const radio = element("input", { type: "radio", name: "marked", value: name, ariaLabel: `Mark what binds ${name}` });
      radio.addEventListener("change", () => { state.marked = name; render(); });
      const label = element("label", {}, radio);
      label.insertAdjacentHTML("beforeend", swatch(index));
      label.append(element("span", { textContent: name }));
      const row = { radio, now: element("td"), go: element("button", { type: "button", hidden: true }), limit: element("span"), more: element("small"), binding: element("td") };
      row.go.addEventListener("click", () => setStep(row.value));
      row.tr = element("tr", {}, element("td", {}, label), row.now, element("td", {}, row.go, row.limit, row.more), row.binding);
      $("rows").append(row.tr);
      rows.set(name, row);
    }
  }

  function buildList() {
    for (const heading of data.families) {
      const members = data.methods.filter((m) => m.family === heading);
      if (!members.length) continue;
      const set = element("fieldset", {}, element("legend", { textContent: heading }));
      for (const m of members) {
        const box = element("input", { type: "checkbox", checked: state.chosen.has(m.name) });
        box.addEventListener("change", () => choose(m.name, box.checked));
        const work = m.work === null ? "solver" : number(m.work, 4);
        const facts = element("span", { className: "facts", textContent: `${m.order} · ${work}`, title: `order ${m.order}; evaluations a step: ${work}` });
        m.label = element("label", {}, box, element("span", { className: "name", textContent: m.name }), facts);
        m.words = [m.name, ...m.aliases, heading, m.solves ? "implicit" : "explicit", `order ${m.order}`].join(" ").toLowerCase();
        m.box = box;
        set.append(m.label);
      }
      $("list").append(set);
    }
  }

  function search() {
    const wanted = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const m of data.methods) {
      const fits = wanted.every((w) => m.words.includes(w));
      m.label.hidden = !fits;
      m.label.style.display = fits ? "" : "none";
      shown += fits;
    }
    for (const set of $("list").children) set.hidden = ![...set.querySelectorAll("label")].some((l) => !l.hidden);
    $("found").textContent = wanted.length ? `${shown} methods found` : "";
  }

  /* ---- spectra ---- */

  let generation = 0;

  function setSpectrum(spectrum, own) {
    state.spectrum = spectrum;
    state.own = own;
    state.facts = Theory.modesOf(spectrum.eigenvalues);
    state.axis = axisOf(state.facts);
    generation++;
    results.clear();
    curves.clear();
    const f = state.facts, n = spectrum.eigenvalues.length;
    const flow = f.growing ? `the flow itself amplifies ${f.growing}` : f.imaginary ? `the flow does not damp ${f.imaginary}` : f.neutral === n ? "all are zero" : "the flow damps all that are not zero";
    const parts = [spectrum.game || (f.pair ? "Bare rotation" : "A spectrum"), `${n} eigenvalue${n === 1 ? "" : "s"}${f.neutral ? ` (${f.neutral} zero)` : ""}`, `largest |λ| ${number(f.scale, 4)}`, flow];
    if (!spectrum.complete) parts.push("a part of the spectrum: limits are upper bounds");
    $("summary").textContent = parts.join(" · ");
    for (const m of data.methods) {
      m.box.disabled = m.kind === "blocks" && !blockData(m);
      m.label.title = m.box.disabled ? `${m.name} ${m.refused && own && !f.pair ? `: ${m.refused}` : BLOCKS}` : "";
    }
    $("restore").disabled = own;
    $("typed-error").textContent = "";
    setStep(own && data.h ? data.h : 1 / (f.scale || 1));
    compute();
  }

  function trySpectrum(read) {
    try {
      setSpectrum(read(), false);
      return true;
    } catch (error) {
      $("spectrum").open = true;
      $("typed-error").textContent = error.message;
      return false;
    }
  }

  async function readFile(file) {
    if (!file) return;
    const text = await file.text();
    trySpectrum(() => Theory.parsedFile(text, file.name));
  }

  /* ---- events ---- */

  function dragged(canvas, begin) {
    canvas.addEventListener("pointerdown", (event) => {
      const box = canvas.getBoundingClientRect(), place = (e) => [e.clientX - box.left, e.clientY - box.top];
      const move = begin(...place(event));
      if (!move) return;
      canvas.setPointerCapture(event.pointerId);
      move(...place(event));
      const on = (e) => move(...place(e));
      canvas.addEventListener("pointermove", on);
      const off = () => canvas.removeEventListener("pointermove", on);
      canvas.addEventListener("pointerup", off, { once: true });
      canvas.addEventListener("pointercancel", off, { once: true });
    });
  }

  function zoom(by) {
    state.zoom = by ? Math.min(64, Math.max(1 / 16, state.zoom * by)) : 1;
    render();
  }

  function listen() {
    $("step").addEventListener("input", () => setStep(atPosition(Number($("step").value)), "slider"));
    $("step").addEventListener("keydown", stepKeys);
    $("step-value").addEventListener("change", typedStep);
    $("step-value").addEventListener("keydown", (event) => {
      if (event.key === "Enter") typedStep();
      if (event.key === "ArrowUp" || event.key === "ArrowDown") stepKeys(event);
    });
    $("per-evaluation").addEventListener("change", (event) => {
      state.perEvaluation = event.target.checked;
      $("step-label").innerHTML = state.perEvaluation ? "Step <i>τ</i>" : "Step <i>h</i>";
      $("now-head").textContent = `At this ${stepName()}`;
      $("limit-head").textContent = state.perEvaluation ? "Stable up to, per evaluation" : "Stable up to";
      compute();
    });
    $("search").addEventListener("input", search);
    $("plane").addEventListener("keydown", (event) => {
      if (event.key === "+" || event.key === "=") zoom(1.5);
      else if (event.key === "-") zoom(1 / 1.5);
      else stepKeys(event);
    });
    $("plane").addEventListener("wheel", (event) => {
      if (!event.ctrlKey && document.activeElement !== $("plane")) return; // the page scrolls
      event.preventDefault();
      zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15);
    }, { passive: false });
    $("zoom-in").addEventListener("click", () => zoom(1.5));
    $("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
    $("zoom-fit").addEventListener("click", () => zoom(0));
    dragged($("plane"), (x, y) => {
      const { x0, y0 } = $("plane").view, start = Math.hypot(x - x0, y - y0), h = state.h;
      return start < 6 ? null : (u, v) => setStep(Math.min(state.axis.high, Math.max(state.axis.low, (h * Math.hypot(u - x0, v - y0)) / start)));
    });
    dragged($("steps"), () => (x) => setStep(Math.min(state.axis.high, Math.max(state.axis.low, $("steps").view.h(x)))));
    $("use").addEventListener("click", () => trySpectrum(() => Theory.parsedText($("typed").value)));
    $("restore").addEventListener("click", () => setSpectrum(data.spectrum, true));
    $("file").addEventListener("change", (event) => { readFile(event.target.files[0]); event.target.value = ""; });
    addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
    addEventListener("dragleave", () => document.body.classList.remove("dropping"));
    addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.classList.remove("dropping");
      readFile(event.dataTransfer.files[0]);
    });
    Draw.dark.addEventListener("change", () => { Draw.readColours(); render(); });
    new ResizeObserver(render).observe(document.body);
  }

  function begin() {
    data.chosen.forEach((name, index) => state.chosen.set(name, index));
    const regions = data.chosen.filter((name) => methods.get(name).kind !== "blocks");
    state.marked = (regions.length ? regions : data.chosen).slice(-1)[0];
    $("notes").textContent = "A step is stable when no mode grows: |R(hλ)| ≤ 1, or no characteristic root outside the unit circle, for every eigenvalue λ of J = dv/dy. Inside a line, on its shaded side, a mode decays. List: order · evaluations a step. Partitioned, additive and competitive methods treat players or parts apart: their modes do not decouple, they have no region, and their stable steps are computed from the players’ blocks when the page is written.";
    buildList();
    syncRows();
    listen();
    setSpectrum(data.spectrum, true);
  }

  begin();
  return { data, known: (name) => known(methods.get(name)), state };
})();
