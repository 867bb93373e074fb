"use strict";
/* What the coefficients imply, and how spectra are read. No page, no drawing: numbers in, numbers out. */
const Theory = (() => {
  const EPS = Number.EPSILON;
  const CANCELLED = 256 * EPS; // share of its terms below which a coefficient is rounding
  const NOISE = 1e-12; // an excess over 1 this small says nothing
  const ZERO = 1e-10; // share of the largest modulus below which an eigenvalue, or a real part, is zero

  /* ---- polynomials; coefficients with the constant term first ---- */

  const at = [0, 0];

  /* Horner's rule for real coefficients at x + iy; the value is left in `at`. */
  function horner(c, x, y) {
    let re = 0, im = 0;
    for (let k = c.length - 1; k >= 0; k--) {
      const t = re * x - im * y + c[k];
      im = re * y + im * x;
      re = t;
    }
    at[0] = re;
    at[1] = im;
  }

  function derivative(c) {
    return c.length > 1 ? c.slice(1).map((x, k) => x * (k + 1)) : [0];
  }

  function convolve(a, b) {
    const out = new Array(a.length + b.length - 1).fill(0);
    a.forEach((x, i) => b.forEach((y, j) => { out[i + j] += x * y; }));
    return out;
  }

  function squareRoot(x, y) {
    const m = Math.hypot(x, y), s = Math.sqrt((m + Math.abs(x)) / 2);
    if (!s) return [0, 0];
    const t = y / (2 * s);
    return x >= 0 ? [s, t] : [Math.abs(t), y < 0 ? -s : s];
  }

  function quotient(a, b, c, d) {
    const scale = Math.max(Math.abs(c), Math.abs(d)), p = c / scale, q = d / scale, m = (p * p + q * q) * scale;
    return [(a * p + b * q) / m, (b * p - a * q) / m];
  }

  /* Roots other than 0 of a complex polynomial, as flat pairs re, im. */
  function roots(re, im) {
    let low = 0, high = re.length - 1;
    while (high > 0 && !re[high] && !im[high]) high--;
    while (low < high && !re[low] && !im[low]) low++;
    const n = high - low, a = re.slice(low, high + 1), b = im.slice(low, high + 1);
    if (n <= 0) return [];
    if (n === 1) return quotient(-a[0], -b[0], a[1], b[1]);
    return n === 2 ? quadraticRoots(a, b) : simultaneousRoots(a, b, n);
  }

  function quadraticRoots(a, b) {
    const [d, e] = squareRoot(
      a[1] * a[1] - b[1] * b[1] - 4 * (a[2] * a[0] - b[2] * b[0]),
      2 * a[1] * b[1] - 4 * (a[2] * b[0] + b[2] * a[0]),
    );
    const sign = a[1] * d + b[1] * e >= 0 ? 1 : -1; // no cancellation
    const p = -(a[1] + sign * d) / 2, q = -(b[1] + sign * e) / 2;
    return p || q ? [...quotient(p, q, a[2], b[2]), ...quotient(a[0], b[0], p, q)] : [0, 0, 0, 0];
  }

  /* Starting moduli from the upper hull of log |a_k| (Bini 1996). */
  function startingModuli(a, b, n) {
    const logs = a.map((x, k) => Math.log(Math.hypot(x, b[k])));
    const hull = [];
    for (let k = 0; k <= n; k++) {
      if (logs[k] === -Infinity) continue;
      while (hull.length > 1) {
        const i = hull[hull.length - 2], j = hull[hull.length - 1];
        if ((logs[j] - logs[i]) * (k - i) > (logs[k] - logs[i]) * (j - i)) break;
        hull.pop();
      }
      hull.push(k);
    }
    const out = [];
    for (let t = 1; t < hull.length; t++) {
      const i = hull[t - 1], j = hull[t];
      for (let k = i; k < j; k++) out.push([Math.exp((logs[i] - logs[j]) / (j - i)), (2 * Math.PI * (k - i)) / (j - i) + t]);
    }
    return out;
  }

  /* Ehrlich and Aberth's iteration. */
  function simultaneousRoots(a, b, n) {
    const z = new Float64Array(2 * n), done = new Uint8Array(n);
    startingModuli(a, b, n).forEach(([m, angle], k) => {
      z[2 * k] = m * Math.cos(angle);
      z[2 * k + 1] = m * Math.sin(angle);
    });
    for (let pass = 0, left = n; pass < 120 && left; pass++) {
      for (let k = 0; k < n; k++) {
        if (done[k]) continue;
        const x = z[2 * k], y = z[2 * k + 1], slope = logSlope(a, b, n, x, y);
        if (!slope) { done[k] = 1; left--; continue; }
        let [s, t] = slope;
        for (let j = 0; j < n; j++) {
          if (j === k) continue;
          const dx = x - z[2 * j], dy = y - z[2 * j + 1], m = dx * dx + dy * dy;
          if (m) { s -= dx / m; t += dy / m; }
        }
        const m = s * s + t * t, u = m ? s / m : 0, v = m ? -t / m : 0;
        z[2 * k] = x - u;
        z[2 * k + 1] = y - v;
        if (u * u + v * v <= 4 * EPS * EPS * (x * x + y * y)) { done[k] = 1; left--; }
      }
    }
    return Array.from(z);
  }

  /* p'/p at x + iy, from the reversed polynomial outside the unit circle; null where p is rounding. */
  function logSlope(a, b, n, x, y) {
    const outside = x * x + y * y > 1, m = x * x + y * y;
    const u = outside ? x / m : x, v = outside ? -y / m : y, r = Math.hypot(u, v);
    let p = 0, q = 0, dp = 0, dq = 0, size = 0;
    for (let i = n; i >= 0; i--) {
      const k = outside ? n - i : i;
      let t = dp * u - dq * v + p;
      dq = dp * v + dq * u + q;
      dp = t;
      t = p * u - q * v + a[k];
      q = p * v + q * u + b[k];
      p = t;
      size = size * r + Math.abs(a[k]) + Math.abs(b[k]);
    }
    if (Math.hypot(p, q) <= EPS * size) return null;
    const [s, t] = quotient(dp, dq, p, q);
    if (!outside) return [s, t];
    const e = n - (u * s - v * t), f = -(u * t + v * s); // z p'/p = n - w q'/q, w = 1/z
    return [e * u - f * v, e * v + f * u];
  }

  /* ---- the factor of one step ---- */

  /* |R(z)|, or the modulus of the dominant characteristic root, at z = x + iy. */
  function growth(m, x, y) {
    if (m.kind === "rational") return rationalGrowth(m, x, y);
    if (m.kind === "recurrence") return dominantModulus(m, x, y);
    return m.kind === "stages" ? stagesGrowth(m, x, y) : Math.exp(x);
  }

  function rationalGrowth(m, x, y) {
    horner(m.numerator, x, y);
    const top = Math.hypot(at[0], at[1]);
    if (m.denominator.length === 1) return top;
    horner(m.denominator, x, y);
    const bottom = Math.hypot(at[0], at[1]);
    return bottom ? top / bottom : Infinity;
  }

  function dominantModulus(m, x, y) {
    const k = m.tops.length, re = new Array(k + 1), im = new Array(k + 1);
    horner(m.bottom, x, y);
    if (!at[0] && !at[1]) return Infinity;
    re[k] = at[0];
    im[k] = at[1];
    for (let j = 0; j < k; j++) {
      horner(m.tops[j], x, y);
      re[k - 1 - j] = -at[0];
      im[k - 1 - j] = -at[1];
    }
    const z = roots(re, im);
    let largest = 0;
    for (let j = 0; j < z.length; j += 2) largest = Math.max(largest, Math.hypot(z[j], z[j + 1]));
    return largest;
  }

  function stagesGrowth(m, x, y) {
    const s = m.b.length, kr = new Float64Array(s), ki = new Float64Array(s);
    let re = 1, im = 0;
    for (let i = 0; i < s; i++) {
      let p = 1, q = 0;
      for (const [j, a] of m.A[i]) { p += a * kr[j]; q += a * ki[j]; }
      kr[i] = x * p - y * q;
      ki[i] = x * q + y * p;
      re += m.b[i] * kr[i];
      im += m.b[i] * ki[i];
    }
    return Math.hypot(re, im);
  }

  const signOf = (excess, noise) => (Math.abs(excess) <= noise ? 0 : Math.sign(excess));

  /* ---- stable steps of one mode: intervals of r on which z = r u does not grow ---- */

  function rayIntervals(m, ux, uy) {
    if (m.kind === "exponential") return ux > 0 ? [] : [[0, Infinity]];
    if (m.kind === "rational") return rationalIntervals(m, ux, uy);
    const start = m.parasitic ? 0 : ux ? Math.sign(ux) : m.axis;
    return m.kind === "stages" || m.scanned ? scannedIntervals(m, ux, uy, start) : multistepIntervals(m, ux, uy, start);
  }

  /* Join the gaps between crossings in which nothing grows; near 0, where rounding hides the sign, it is `start`. */
  function joined(crossings, sign, start) {
    const ends = [0, ...[...new Set(crossings)].sort((a, b) => a - b), Infinity], signs = [];
    for (let i = 0; i + 1 < ends.length; i++) {
      signs.push(sign(ends[i + 1] === Infinity ? 2 * ends[i] + 1 : (ends[i] + ends[i + 1]) / 2));
    }
    for (let i = 0; i < signs.length && !signs[i] && start; i++) signs[i] = start;
    for (let i = signs.length - 2; i >= 0; i--) if (!signs[i] && ends[i + 1] < 1e-2) signs[i] = signs[i + 1];
    const out = [];
    signs.forEach((s, i) => {
      if (s > 0) return;
      const last = out[out.length - 1];
      if (last && last[1] === ends[i]) last[1] = ends[i + 1];
      else out.push([ends[i], ends[i + 1]]);
    });
    return out;
  }

  /* Coefficients in r of |p(r u)|^2, and the sums of the moduli of their terms. */
  function squaredModulus(c, ux) {
    const cosines = [1, ux], out = new Array(2 * c.length - 1).fill(0), size = out.slice();
    while (cosines.length < c.length) cosines.push(2 * ux * cosines[cosines.length - 1] - cosines[cosines.length - 2]);
    for (let i = 0; i < c.length; i++) {
      for (let j = 0; j < c.length; j++) {
        out[i + j] += c[i] * c[j] * cosines[Math.abs(i - j)];
        size[i + j] += Math.abs(c[i] * c[j]);
      }
    }
    return [out, size];
  }

  /* Roots of E(r) = |P(r u)|^2 - |Q(r u)|^2. */
  function rationalIntervals(m, ux, uy) {
    const [top, topSize] = squaredModulus(m.numerator, ux), [bottom, bottomSize] = squaredModulus(m.denominator, ux);
    let E = [];
    for (let k = 0; k < Math.max(top.length, bottom.length); k++) {
      const value = (top[k] || 0) - (bottom[k] || 0), size = (topSize[k] || 0) + (bottomSize[k] || 0);
      E.push(Math.abs(value) <= CANCELLED * size ? 0 : value);
    }
    while (E.length && !E[E.length - 1]) E.pop();
    while (E.length && !E[0]) E.shift();
    if (!E.length) return [[0, Infinity]]; // |R| = 1 along the whole ray
    const z = roots(E, new Array(E.length).fill(0)), crossings = [];
    for (let k = 0; k < z.length; k += 2) {
      if (z[k] > 0 && Math.abs(z[k + 1]) <= 1e-6 * Math.hypot(z[k], z[k + 1])) crossings.push(polished(m, z[k], ux, uy));
    }
    return joined(crossings, (r) => {
      let value = 0, size = 0;
      for (let k = E.length - 1; k >= 0; k--) {
        value = value * r + E[k];
        size = size * r + Math.abs(E[k]);
      }
      return signOf(value, NOISE * size);
    }, 0);
  }

  /* Newton steps on |P|^2 - |Q|^2, whose expanded coefficients lose digits. */
  function polished(m, r, ux, uy) {
    for (let pass = 0; pass < 3; pass++) {
      let value = 0, slope = 0;
      for (const [c, sign] of [[m.numerator, 1], [m.denominator, -1]]) {
        horner(c, r * ux, r * uy);
        const [p, q] = at;
        horner(derivative(c), r * ux, r * uy);
        value += sign * (p * p + q * q);
        slope += 2 * sign * (p * (at[0] * ux - at[1] * uy) + q * (at[0] * uy + at[1] * ux));
      }
      const step = slope ? value / slope : 0;
      if (Math.abs(step) <= 1e-5 * r) r -= step; // a larger one: a tangency, left as it is
    }
    return r;
  }

  /* Roots on the unit circle of Im(rho / sigma / u) = 0, of degree 2k, and the critical points of rho / sigma. */
  function multistepIntervals(m, ux, uy, start) {
    const k = m.tops.length, alpha = [], beta = [];
    for (let j = 0; j < k; j++) {
      alpha.push(-m.tops[k - 1 - j][0]);
      beta.push(m.tops[k - 1 - j][1] || 0);
    }
    alpha.push(1);
    beta.push(-(m.bottom[1] || 0));
    const left = convolve(alpha, beta.slice().reverse()), right = convolve(alpha.slice().reverse(), beta);
    const re = left.map((x, i) => (x - right[i]) * ux), im = left.map((x, i) => -(x + right[i]) * uy);
    const top = Math.max(...re.map((x, i) => Math.hypot(x, im[i])));
    for (let i = 0; i < re.length; i++) if (Math.hypot(re[i], im[i]) <= CANCELLED * top) re[i] = im[i] = 0;
    const rising = (c) => c.map((x, i) => x * i).slice(1);
    const first = convolve(rising(alpha), beta), second = convolve(alpha, rising(beta));
    const critical = first.map((x, i) => x - second[i]);
    const z = [...roots(re, im), ...roots(critical, critical.map(() => 0))], crossings = [];
    for (let i = 0; i < z.length; i += 2) {
      const size = Math.hypot(z[i], z[i + 1]);
      if (!(Math.abs(size - 1) < 1e-5)) continue;
      const x = z[i] / size, y = z[i + 1] / size;
      horner(alpha, x, y);
      const [p, q] = at;
      horner(beta, x, y);
      if (Math.hypot(at[0], at[1]) <= 1e-12) continue;
      const [s, t] = quotient(p, q, at[0], at[1]), r = s * ux + t * uy, off = t * ux - s * uy;
      if (r > 0 && Math.abs(off) <= 1e-4 * Math.hypot(r, off)) crossings.push(r);
    }
    return joined(crossings, (r) => signOf(dominantModulus(m, r * ux, r * uy) - 1, 4e-14), start);
  }

  /* How far the region reaches, from a polar grid of the left upper quadrant; infinite for unbounded ones. */
  function reach(m) {
    if (m.reach) return m.reach;
    const degree = m.kind === "stages" ? m.b.length : m.kind === "rational" ? m.numerator.length - 1 : 0;
    const end = Math.max(12, 2.1 * degree * degree);
    const inside = (r, j) => growth(m, r * Math.cos((Math.PI * j) / 48), r * Math.sin((Math.PI * j) / 48)) <= 1;
    m.reach = 0.05;
    for (let i = 0; i <= 240; i++) {
      const r = 0.05 * (end / 0.05) ** (i / 240);
      for (let j = 24; j <= 48; j++) if (inside(r, j)) { m.reach = r; break; }
    }
    if (inside(1e4, 48)) m.reach = Infinity;
    return m.reach;
  }

  /* Changes of sign on a grid, refined by bisection: bounded regions without a boundary polynomial of low degree. */
  function scannedIntervals(m, ux, uy, start) {
    const end = Math.min(1.3 * reach(m) + 0.1123, 1e4), grid = [], n = 900;
    for (let i = 0; i < 120; i++) grid.push((end / n) * 10 ** ((i - 120) / 30));
    for (let i = 1; i <= n; i++) grid.push((end * i) / n);
    const excess = (r) => growth(m, r * ux, r * uy) - 1;
    const sign = (r) => {
      const value = excess(r);
      return Math.abs(value) <= NOISE && r < 0.5 ? start : Math.sign(value);
    };
    const crossings = [];
    let before = sign(grid[0]);
    for (let i = 1; i < grid.length; i++) {
      const now = sign(grid[i]);
      if (now * before < 0) {
        let low = grid[i - 1], high = grid[i];
        for (let t = 0; t < 60 && high - low > 2e-16 * high; t++) {
          const mid = (low + high) / 2;
          if (Math.sign(excess(mid)) === before) low = mid; else high = mid;
        }
        crossings.push((low + high) / 2);
      }
      before = now || before;
    }
    return joined(crossings, (r) => signOf(excess(r), NOISE), start);
  }

  /* ---- stable steps on a spectrum ---- */

  /* One mode for each conjugate pair, rounding removed from real parts; what the flow does to them. */
  function modesOf(eigenvalues) {
    const scale = Math.max(...eigenvalues.map(([x, y]) => Math.hypot(x, y)));
    const modes = [], seen = new Map();
    let neutral = 0, growing = 0, imaginary = 0;
    eigenvalues.forEach(([x, y], index) => {
      const size = Math.hypot(x, y);
      if (size <= ZERO * scale) { neutral++; return; }
      if (Math.abs(x) <= Math.max(ZERO * size, 16 * EPS * scale)) { x = 0; imaginary++; }
      if (x > 0) growing++;
      const key = `${x},${Math.abs(y)}`, twin = seen.get(key);
      if (twin) {
        twin.paired ||= y === -twin.own;
        return;
      }
      seen.set(key, { x, y: Math.abs(y), size: Math.hypot(x, y), index, own: y, paired: false });
      modes.push(seen.get(key));
    });
    const pair = eigenvalues.length === 2 && modes.length === 1 && !modes[0].x && modes[0].y > 0 && modes[0].paired;
    return { modes, scale, neutral, growing, imaginary, pair };
  }

  function intersection(a, b) {
    const out = [];
    for (const [p, q] of a) for (const [r, s] of b) if (Math.max(p, r) < Math.min(q, s)) out.push([Math.max(p, r), Math.min(q, s)]);
    return out;
  }

  /* The set of stable steps and the mode that binds, mode by mode: a generator, so that the page can breathe. */
  function* stableStepsInTurns(m, facts) {
    const sets = [];
    for (const { x, y, size } of facts.modes) {
      sets.push(rayIntervals(m, x / size, y / size).map(([a, b]) => [a / size, b / size]));
      if (sets.length % 4 === 0) yield;
    }
    let intervals = [[0, Infinity]];
    for (const s of sets) intervals = intersection(intervals, s);
    if (facts.neutral && growth(m, 0, 0) > 1 + 1e-10) intervals = []; // not zero-stable
    let binding = null;
    if (!intervals.length) binding = facts.modes.find((_, i) => !sets[i].length) || null;
    else if (Number.isFinite(intervals[0][1])) {
      let best = Infinity;
      sets.forEach((s, i) => s.forEach(([, high]) => {
        const gap = Math.abs(high - intervals[0][1]);
        if (gap < best) { best = gap; binding = facts.modes[i]; }
      }));
    }
    return { intervals, binding, limit: limitOf(intervals) };
  }

  const limitOf = (intervals) => (intervals.length && intervals[0][0] === 0 ? intervals[0][1] : 0);

  function stableSteps(m, facts) {
    const turns = stableStepsInTurns(m, facts);
    for (;;) {
      const { done, value } = turns.next();
      if (done) return value;
    }
  }

  /* The largest growth of one step and the mode that has it. */
  function worst(m, facts, h) {
    let radius = facts.neutral ? growth(m, 0, 0) : 0, mode = null;
    for (const one of facts.modes) {
      const g = growth(m, h * one.x, h * one.y);
      if (g > radius || Number.isNaN(g)) { radius = Number.isNaN(g) ? Infinity : g; mode = one; }
    }
    return { radius, mode };
  }

  /* ---- spectra as text ---- */

  const NUMBER = "(?:\\d+\\.?\\d*|\\.\\d+)(?:[eE][+-]?\\d+)?";
  const REAL = new RegExp(`^[+-]?${NUMBER}$`);
  const IMAGINARY = new RegExp(`^([+-]?)(${NUMBER})?\\*?[ij]$`);
  const BOTH = new RegExp(`^([+-]?${NUMBER})(\\+-|±|[+-])(${NUMBER})?\\*?[ij]$`);
  const PAIR = new RegExp(`^(?:\\+-|±)(${NUMBER})?\\*?[ij]$`);

  /* The eigenvalues that one line names: one, or with +- two; null if it names none. */
  function parsedLine(text) {
    if (/[\d.ij]\s+[\d.]/.test(text)) return null; // two numbers side by side
    const line = text.replace(/[\s()]/g, "").replace(/[−–]/g, "-").replace(/\*(?=[ij])/g, "");
    const size = (digits) => (digits === undefined ? 1 : Number(digits));
    if (REAL.test(line)) return [[Number(line), 0]];
    let found = PAIR.exec(line);
    if (found) return [[0, size(found[1])], [0, -size(found[1])]];
    found = IMAGINARY.exec(line);
    if (found) return [[0, (found[1] === "-" ? -1 : 1) * size(found[2])]];
    found = BOTH.exec(line);
    if (!found) return null;
    const re = Number(found[1]), im = size(found[3]);
    if (found[2] === "+-" || found[2] === "±") return [[re, im], [re, -im]];
    return [[re, found[2] === "-" ? -im : im]];
  }

  /* A spectrum typed in, one eigenvalue a line, # begins a comment. Throws an Error that names the line. */
  function parsedText(text) {
    const eigenvalues = [];
    text.split(/\r?\n/).forEach((raw, i) => {
      const line = raw.replace(/#.*/, "").trim();
      if (!line) return;
      const found = parsedLine(line), shown = line.length > 40 ? `${line.slice(0, 40)}…` : line;
      if (!found) throw new Error(`Line ${i + 1}: “${shown}” is no number such as -0.1+2i, 3 or -0.1+-2i.`);
      if (!found.flat().every(Number.isFinite)) throw new Error(`Line ${i + 1}: “${shown}” is not finite.`);
      eigenvalues.push(...found);
    });
    if (!eigenvalues.length) throw new Error("No eigenvalue: write one a line, such as -0.1+2i.");
    return { eigenvalues, complete: true, game: "" };
  }

  /* A file of gamedyn: JSON; anything else is read as lines of text. Throws an Error. */
  function parsedFile(text, name) {
    if (/\.np[yz]$/i.test(name)) throw new Error(`${name}: arrays are not read here; write JSON with gamedyn's save_spectrum.`);
    if (!text.trimStart().startsWith("{")) return parsedText(text);
    let record;
    try { record = JSON.parse(text); } catch (error) { throw new Error(`${name} is not valid JSON: ${error.message}`); }
    if (!Array.isArray(record.eigenvalues)) throw new Error(`${name} has no list “eigenvalues”.`);
    if (record.format !== undefined && record.format !== "gamedyn spectrum") throw new Error(`${name} is a “${record.format}”, no gamedyn spectrum.`);
    if (record.version !== undefined && record.version !== 1) throw new Error(`${name} is of version ${record.version}; this page reads version 1.`);
    const eigenvalues = record.eigenvalues.map((entry, i) => {
      const pair = Array.isArray(entry) ? entry : [entry, 0];
      if (pair.length !== 2 || !pair.every(Number.isFinite)) throw new Error(`${name}, eigenvalue ${i + 1}: ${JSON.stringify(entry)} is not [re, im] with finite numbers.`);
      return pair;
    });
    if (!eigenvalues.length) throw new Error(`${name} holds no eigenvalue.`);
    return { eigenvalues, complete: record.complete !== false, game: typeof record.game === "string" ? record.game : "" };
  }

  return { growth, limitOf, modesOf, parsedFile, parsedText, rayIntervals, reach, roots, stableSteps, stableStepsInTurns, worst };
})();
