"use strict";
/* The two pictures on canvas. What does not move with h is drawn once and kept; a frame copies it and adds the rest. */
const Draw = (() => {
  const COLOURS = ["ink", "muted", "grid", "grows", "paper", "frame", "halo", "growing"];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let INK, MUTED, GRID, GROWS, PAPER, FRAME, HALO, GROWING; // of the style sheet, light or dark

  function readColours() {
    const style = getComputedStyle(document.documentElement);
    [INK, MUTED, GRID, GROWS, PAPER, FRAME, HALO, GROWING] = COLOURS.map((name) => style.getPropertyValue(`--${name}`).trim());
  }

  /* A method's colour on this paper: black would be lost on a dark one. */
  const onPaper = (colour) => (dark.matches && colour === "#000000" ? INK : colour);
  const DASHES = [[], [8, 4], [9, 3, 2, 3], [2, 3]];
  const CELL = 3; // pixels of the grid on which boundaries are marched

  const dashOf = (index) => DASHES[(index + Math.floor(index / 8)) % DASHES.length];
  const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;
  const font = (size, weight = "") => `${weight} ${Math.round(size * rem())}px system-ui, sans-serif`.trim();

  /* A context in CSS pixels, sharp on dense screens. */
  function prepared(canvas) {
    const ratio = window.devicePixelRatio || 1, { width, height } = canvas.getBoundingClientRect();
    const w = Math.max(1, Math.round(width * ratio)), h = Math.max(1, Math.round(height * ratio));
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    const ctx = canvas.getContext("2d");
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    return { ctx, width, height, ratio };
  }

  /* Draws once into a picture that is kept under its key, and copies it. */
  function kept(canvas, key, paint) {
    const { ctx, width, height, ratio } = prepared(canvas), full = `${key}|${width}|${height}|${ratio}|${rem()}|${dark.matches}`;
    if (canvas.keptKey !== full) {
      const layer = document.createElement("canvas");
      layer.width = canvas.width;
      layer.height = canvas.height;
      const inner = layer.getContext("2d");
      inner.scale(ratio, ratio);
      paint(inner, width, height);
      canvas.kept = layer;
      canvas.keptKey = full;
    }
    ctx.clearRect(0, 0, width, height);
    ctx.drawImage(canvas.kept, 0, 0, width, height);
    return { ctx, width, height };
  }

  function ticks(low, high, count) {
    const raw = (high - low) / count, base = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((f) => f * base).find((s) => s >= raw);
    const out = [];
    for (let k = Math.ceil(low / step); k * step <= high; k++) out.push(Number((k * step).toPrecision(12)));
    return out;
  }

  const plain = (x) => String(Number(x.toPrecision(6))).replace("-", "−");

  /* Text with a halo, kept inside the picture. */
  function label(ctx, text, x, y, width, colour) {
    const w = ctx.measureText(text).width;
    ctx.lineJoin = "round";
    ctx.lineWidth = 4;
    ctx.strokeStyle = HALO;
    const left = Math.min(Math.max(6, x), width - w - 6);
    ctx.strokeText(text, left, y);
    ctx.fillStyle = colour;
    ctx.fillText(text, left, y);
  }

  /* ---- the plane of h lambda ---- */

  /* Maps between the plane and pixels; the origin lies right of the middle, on a line of the grid. */
  function planeView(width, height, half) {
    const scale = height / 2 / half, x0 = Math.round(0.68 * width), y0 = Math.round(height / 2);
    return { scale, x0, y0, half, x: (re) => x0 + re * scale, y: (im) => y0 - im * scale };
  }

  /* Boundary and inside of a region in the upper half of the picture, by marching squares. */
  function marched(m, view, width, factor) {
    const nx = Math.ceil(width / CELL) + 1, ny = Math.ceil(view.y0 / CELL) + 2, f = new Float32Array(nx * ny);
    for (let j = 0; j < ny; j++) {
      for (let i = 0; i < nx; i++) {
        const x = ((i * CELL - view.x0) / view.scale) * factor, y = ((j * CELL) / view.scale) * factor;
        const g = Theory.growth(m, x, y);
        f[j * nx + i] = Math.max(-3, Math.min(3, Math.log(g > 0 ? g : 1e-9))) - 1e-9; // |R| = 1 throughout is inside
      }
    }
    const fill = new Path2D(), links = new Map(), spots = new Map();
    const corner = (i, j, c) => [i + (c === 1 || c === 2 ? 1 : 0), j + (c >= 2 ? 1 : 0)];
    const crossing = (a, b) => {
      const [p, q] = a[1] * nx + a[0] < b[1] * nx + b[0] ? [a, b] : [b, a];
      const u = f[p[1] * nx + p[0]], v = f[q[1] * nx + q[0]], t = u / (u - v);
      const key = (p[1] * nx + p[0]) * 2 + (p[0] === q[0] ? 1 : 0);
      if (!spots.has(key)) spots.set(key, [CELL * (p[0] + t * (q[0] - p[0])), view.y0 - CELL * (p[1] + t * (q[1] - p[1]))]);
      return key;
    };
    const link = (a, b) => {
      for (const [p, q] of [[a, b], [b, a]]) if (links.has(p)) links.get(p).push(q); else links.set(p, [q]);
    };
    for (let j = 0; j + 1 < ny; j++) {
      for (let i = 0; i + 1 < nx; i++) {
        const inside = [0, 1, 2, 3].map((c) => { const [p, q] = corner(i, j, c); return f[q * nx + p] <= 0; });
        const count = inside.filter(Boolean).length;
        if (!count) continue;
        if (count === 4) { // join the run of full cells
          let end = i + 1;
          while (end + 1 < nx && f[j * nx + end + 1] <= 0 && f[(j + 1) * nx + end + 1] <= 0) end++;
          fill.rect(i * CELL, view.y0 - (j + 1) * CELL, (end - i) * CELL, CELL);
          i = end - 1;
          continue;
        }
        const edges = [];
        let open = false;
        for (let c = 0; c < 4; c++) {
          const a = corner(i, j, c), b = corner(i, j, (c + 1) % 4);
          const put = (x, y) => { if (open) fill.lineTo(x, y); else fill.moveTo(x, y); open = true; };
          if (inside[c]) put(a[0] * CELL, view.y0 - a[1] * CELL);
          if (inside[c] !== inside[(c + 1) % 4]) {
            const key = crossing(a, b);
            put(...spots.get(key));
            edges.push(key);
          }
        }
        fill.closePath();
        for (let k = 0; k + 1 < edges.length; k += 2) link(edges[k], edges[k + 1]);
      }
    }
    return { fill, line: chained(links, spots) };
  }

  /* Segments joined into lines, so that dashes run along them. */
  function chained(links, spots) {
    const path = new Path2D(), seen = new Set();
    const walk = (key) => {
      path.moveTo(...spots.get(key));
      for (let at = key; at !== undefined;) {
        seen.add(at);
        const next = links.get(at).find((k) => !seen.has(k));
        if (next === undefined) {
          if (at !== key && links.get(at).includes(key) && links.get(key).length > 1) path.lineTo(...spots.get(key));
          break;
        }
        path.lineTo(...spots.get(next));
        at = next;
      }
    };
    for (const [key, near] of links) if (near.length === 1 && !seen.has(key)) walk(key);
    for (const key of links.keys()) if (!seen.has(key)) walk(key);
    return path;
  }

  const regions = new Map(); // marched regions by method and view

  function regionOf(m, view, width, factor) {
    const key = `${m.name}|${view.half}|${width}|${view.y0}|${factor}`;
    if (!regions.has(key)) {
      if (regions.size > 120) regions.clear();
      const { fill, line } = marched(m, view, width, factor), flip = new DOMMatrix([1, 0, 0, -1, 0, 2 * view.y0]);
      fill.addPath(new Path2D(fill), flip);
      line.addPath(new Path2D(line), flip);
      regions.set(key, { fill, line });
    }
    return regions.get(key);
  }

  function axes(ctx, view, width, height, unit) {
    ctx.fillStyle = PAPER;
    ctx.fillRect(0, 0, width, height);
    ctx.font = font(0.72);
    ctx.lineWidth = 1;
    const across = ticks(-view.x0 / view.scale, (width - view.x0) / view.scale, Math.max(3, width / 75));
    const up = ticks(-view.half, view.half, Math.max(3, height / 75));
    ctx.strokeStyle = GRID;
    ctx.beginPath();
    for (const t of across) { const x = Math.round(view.x(t)) + 0.5; ctx.moveTo(x, 0); ctx.lineTo(x, height); }
    for (const t of up) { const y = Math.round(view.y(t)) + 0.5; ctx.moveTo(0, y); ctx.lineTo(width, y); }
    ctx.stroke();
    return () => { // over the regions
      ctx.strokeStyle = FRAME;
      ctx.setLineDash([]);
      ctx.lineWidth = 1;
      ctx.beginPath();
      ctx.moveTo(0, view.y0 + 0.5);
      ctx.lineTo(width, view.y0 + 0.5);
      ctx.moveTo(view.x0 + 0.5, 0);
      ctx.lineTo(view.x0 + 0.5, height);
      ctx.stroke();
      ctx.font = font(0.72);
      ctx.textBaseline = "alphabetic";
      for (const t of across) if (t && view.x(t) > 40 && view.x(t) < width - 40) { ctx.textAlign = "center"; label(ctx, plain(t), view.x(t) - ctx.measureText(plain(t)).width / 2, height - 8, width, MUTED); }
      ctx.textAlign = "left";
      for (const t of up) if (t && view.y(t) > 24 && view.y(t) < height - 30) label(ctx, `${plain(t)}i`, 8, view.y(t) + 4, width, MUTED);
      ctx.font = font(0.78, "600");
      label(ctx, `Im ${unit}`, view.x0 + 8, 1.1 * rem(), width, INK);
      const real = `Re ${unit}`;
      label(ctx, real, 8, view.y0 - 7, width, INK);
    };
  }

  /* `regions`: [{method, colour, index, factor, marked}]; points in the plane, those that grow apart. */
  function plane(canvas, scene) {
    const key = `${scene.half}|${scene.unit}|${scene.regions.map((r) => `${r.method.name}:${r.index}:${r.factor}:${r.marked}`).join()}`;
    const { ctx, width, height } = kept(canvas, key, (inner, w, h) => {
      const view = planeView(w, h, scene.half), finish = axes(inner, view, w, h, scene.unit);
      for (const r of scene.regions) {
        const { fill, line } = regionOf(r.method, view, w, r.factor);
        inner.globalAlpha = r.marked ? 0.16 : 0.06;
        inner.fillStyle = r.colour;
        inner.fill(fill);
        inner.globalAlpha = 1;
        inner.strokeStyle = r.colour;
        inner.lineWidth = r.marked ? 2.6 : 1.7;
        inner.setLineDash(dashOf(r.index));
        inner.stroke(line);
      }
      inner.setLineDash([]);
      finish();
    });
    const view = planeView(width, height, scene.half);
    canvas.view = view;
    if (scene.binding) bindingRay(ctx, view, scene.binding);
    points(ctx, view, scene.points);
    if (scene.binding) bindingMark(ctx, view, scene.binding, width, height);
  }

  function bindingRay(ctx, view, { x, y, h, limit }) {
    ctx.strokeStyle = MUTED;
    ctx.setLineDash([3, 4]);
    ctx.lineWidth = 1.2;
    const far = (3 * (view.half + view.x0 / view.scale)) / Math.hypot(x, y);
    for (const s of y ? [1, -1] : [1]) {
      ctx.beginPath();
      ctx.moveTo(view.x0, view.y0);
      ctx.lineTo(view.x(far * x), view.y(s * far * y));
      ctx.stroke();
      if (!(limit > 0 && Number.isFinite(limit))) continue;
      const px = view.x(limit * x), py = view.y(s * limit * y);
      ctx.setLineDash([]);
      ctx.fillStyle = PAPER;
      ctx.beginPath();
      [[0, -5], [5, 0], [0, 5], [-5, 0]].forEach(([dx, dy]) => ctx.lineTo(px + dx, py + dy));
      ctx.closePath();
      ctx.fill();
      ctx.strokeStyle = INK;
      ctx.stroke();
      ctx.strokeStyle = MUTED;
      ctx.setLineDash([3, 4]);
    }
    ctx.setLineDash([]);
  }

  function points(ctx, view, list) {
    const big = list.length > 600 ? 2.2 : 3.1;
    ctx.lineWidth = 1;
    for (const { x, y, grows } of list) {
      const px = view.x(x), py = view.y(y);
      if (px < -9 || py < -9 || px > 1e5 || py > 1e5) continue;
      if (grows) {
        ctx.strokeStyle = PAPER;
        ctx.lineWidth = 4.5;
        cross(ctx, px, py, big + 1.4);
        ctx.strokeStyle = GROWS;
        ctx.lineWidth = 2.2;
        cross(ctx, px, py, big + 1.4);
      } else {
        ctx.fillStyle = INK;
        ctx.strokeStyle = PAPER;
        ctx.lineWidth = 1;
        ctx.beginPath();
        ctx.arc(px, py, big, 0, 2 * Math.PI);
        ctx.fill();
        ctx.stroke();
      }
    }
  }

  function cross(ctx, x, y, r) {
    ctx.beginPath();
    ctx.moveTo(x - r, y - r);
    ctx.lineTo(x + r, y + r);
    ctx.moveTo(x - r, y + r);
    ctx.lineTo(x + r, y - r);
    ctx.stroke();
  }

  function bindingMark(ctx, view, { x, y, h, text }, width, height) {
    const px = view.x(h * x), py = view.y(h * y), out = px < 8 || px > width - 8 || py < 8 || py > height - 8;
    ctx.strokeStyle = INK;
    ctx.lineWidth = 2;
    for (const s of y ? [1, -1] : [1]) {
      ctx.beginPath();
      ctx.arc(px, view.y(s * h * y), 8, 0, 2 * Math.PI);
      ctx.stroke();
    }
    ctx.font = font(0.85, "600");
    const place = Math.max(2.2 * rem(), Math.min(height - 2.4 * rem(), py - 14));
    label(ctx, out ? `${text} is outside the picture` : text, px + 13, place, width, INK);
  }

  /* ---- stable steps as bars, and the growth of one step, on one logarithmic axis of h ---- */

  const LEVELS = [0.5, 0.7, 1, 1.4, 2];

  function stepsView(width, height, rows, axis) {
    const row = 1.25 * rem(), left = Math.min(9.5 * rem(), 0.34 * width), right = width - 14, top = 0.4 * rem();
    const split = top + rows * row + 0.7 * rem(), bottom = height - 2.3 * rem();
    const span = Math.log(axis.high / axis.low);
    return {
      row, left, right, top, split, bottom,
      x: (h) => left + ((right - left) * Math.log(h / axis.low)) / span,
      h: (x) => axis.low * Math.exp((span * (x - left)) / (right - left)),
      y: (g) => split + ((bottom - split) * (Math.log(2) - Math.log(g))) / Math.log(4),
    };
  }

  /* `rows`: [{name, colour, index, marked, intervals, curve: [[h, growth]], note}]. */
  function steps(canvas, scene) {
    const { ctx, height } = kept(canvas, scene.key, (inner, w, h) => stepsLayer(inner, w, h, scene));
    const view = stepsView(canvas.getBoundingClientRect().width, height, scene.rows.length, scene.axis);
    canvas.view = view;
    const x = Math.min(view.right, Math.max(view.left, view.x(scene.h)));
    ctx.strokeStyle = INK;
    ctx.lineWidth = 1.6;
    ctx.beginPath();
    ctx.moveTo(x, view.top);
    ctx.lineTo(x, view.bottom);
    ctx.stroke();
    ctx.fillStyle = INK;
    ctx.beginPath();
    ctx.moveTo(x - 6, view.bottom + 8);
    ctx.lineTo(x + 6, view.bottom + 8);
    ctx.lineTo(x, view.bottom);
    ctx.fill();
  }

  function stepsLayer(ctx, width, height, scene) {
    const v = stepsView(width, height, scene.rows.length, scene.axis);
    ctx.fillStyle = PAPER;
    ctx.fillRect(0, 0, width, height);
    ctx.fillStyle = GROWING; // where a step grows
    ctx.fillRect(v.left, v.split, v.right - v.left, v.y(1) - v.split);
    ctx.font = font(0.72);
    ctx.textAlign = "center";
    for (let p = Math.ceil(Math.log10(scene.axis.low)); 10 ** p <= scene.axis.high; p++) {
      const x = Math.round(v.x(10 ** p)) + 0.5;
      ctx.strokeStyle = GRID;
      ctx.beginPath();
      ctx.moveTo(x, v.top);
      ctx.lineTo(x, v.bottom);
      ctx.stroke();
      ctx.fillStyle = MUTED;
      ctx.fillText(p >= -3 && p <= 3 ? plain(10 ** p) : `1e${String(p).replace("-", "−")}`, x, height - 0.5 * rem());
    }
    ctx.textAlign = "right";
    for (const g of LEVELS) {
      ctx.strokeStyle = g === 1 ? FRAME : GRID;
      ctx.beginPath();
      ctx.moveTo(v.left, v.y(g));
      ctx.lineTo(v.right, v.y(g));
      ctx.stroke();
      ctx.fillStyle = MUTED;
      ctx.fillText(String(g), v.left - 7, v.y(g) + 4);
    }
    ctx.fillStyle = INK;
    ctx.font = font(0.78, "600");
    ctx.fillText(scene.label, v.right, v.bottom - 7);
    ctx.textAlign = "left";
    ctx.fillStyle = GROWS;
    ctx.fillText("grows", v.left + 6, v.y(1) - 6);
    ctx.fillStyle = MUTED;
    ctx.fillText("decays", v.left + 6, v.y(1) + 1.05 * rem());
    scene.rows.forEach((r, i) => stepsRow(ctx, v, r, i));
    ctx.save();
    ctx.beginPath();
    ctx.rect(v.left, v.split, v.right - v.left, v.bottom - v.split);
    ctx.clip();
    scene.rows.forEach((r) => stepsCurve(ctx, v, r));
    ctx.restore();
  }

  function stepsRow(ctx, v, r, i) {
    const y = v.top + (i + 0.5) * v.row;
    ctx.font = font(0.78, r.marked ? "700" : "");
    ctx.fillStyle = INK;
    let name = r.name;
    while (name.length > 3 && ctx.measureText(`${name}…`).width > v.left - 14) name = name.slice(0, -1);
    ctx.textAlign = "right";
    ctx.fillText(name === r.name ? name : `${name}…`, v.left - 7, y + 4);
    ctx.strokeStyle = GRID;
    ctx.lineWidth = 1;
    ctx.beginPath();
    ctx.moveTo(v.left, y);
    ctx.lineTo(v.right, y);
    ctx.stroke();
    ctx.fillStyle = r.colour;
    for (const [a, b] of r.intervals || []) {
      const x0 = Math.max(v.left, a > 0 ? v.x(a) : v.left), x1 = Math.min(v.right, Number.isFinite(b) ? v.x(b) : v.right);
      if (x1 > x0) ctx.fillRect(x0, y - 0.3 * v.row, x1 - x0, 0.6 * v.row);
    }
    if (r.note) {
      ctx.textAlign = "left";
      ctx.font = font(0.72);
      label(ctx, r.note, v.left + 6, y + 4, v.right, MUTED);
    }
  }

  function stepsCurve(ctx, v, r) {
    if (!r.curve) return;
    ctx.strokeStyle = r.colour;
    ctx.lineWidth = r.marked ? 2.6 : 1.7;
    ctx.setLineDash(dashOf(r.index));
    ctx.beginPath();
    for (const [h, g] of r.curve) ctx.lineTo(v.x(h), v.y(Math.min(1e3, Math.max(1e-3, g))));
    ctx.stroke();
    ctx.setLineDash([]);
  }

  readColours();
  return { dark, dashOf, onPaper, plane, readColours, steps };
})();
