// Paired differences with the resamples of `bench compare`: its bench/stats/quantities.py in short.
const drawnIds = {};
function resamples({ n, draws, state, increment }) {
  // PCG64 (XSL RR) as numpy has it, in six digits of 24 bits, lowest first, whose products doubles hold
  const [m0, m1, m2, m3, m4, m5] = [0xccf645, 0xdf649f, 0xa44385, 0x1fc65d, 0x60ed05, 0x23], [i0, i1, i2, i3, i4, i5] = increment;
  const key = `${n} ${draws} ${state}`, found = drawnIds[key] || new Uint32Array(n * draws), BASE = 16777216;
  let [a, b, c, d, e, f] = state;
  for (let k = drawnIds[key] ? found.length : 0; k < found.length; k++) {
    const t0 = a * m0 + i0, u0 = Math.floor(t0 / BASE), t1 = a * m1 + b * m0 + i1 + u0, u1 = Math.floor(t1 / BASE);
    const t2 = a * m2 + b * m1 + c * m0 + i2 + u1, u2 = Math.floor(t2 / BASE);
    const t3 = a * m3 + b * m2 + c * m1 + d * m0 + i3 + u2, u3 = Math.floor(t3 / BASE);
    const t4 = a * m4 + b * m3 + c * m2 + d * m1 + e * m0 + i4 + u3, u4 = Math.floor(t4 / BASE);
    f = (a * m5 + b * m4 + c * m3 + d * m2 + e * m1 + f * m0 + i5 + u4) & 255;
    [a, b, c, d, e] = [t0 - u0 * BASE, t1 - u1 * BASE, t2 - u2 * BASE, t3 - u3 * BASE, t4 - u4 * BASE];
    const high = (e | (f << 24)) ^ ((b >>> 8) | (c << 16)), low = ((c >>> 16) | (d << 8)) ^ (a | (b << 24));
    const by = (f >>> 2) & 31, [upper, lower] = f & 128 ? [low, high] : [high, low];
    const top = by ? (upper >>> by) | (lower << (32 - by)) : upper; // of the 64 bits, rotated by the state's first six
    found[k] = Math.floor(((top >>> 0) * n) / 4294967296);
  }
  return (drawnIds[key] = found);
}
function unpack(m, n) {
  const bytes = Uint8Array.from(atob(m.samples.data), (c) => c.charCodeAt(0)), view = new DataView(bytes.buffer), bits = Math.ceil(n / 8);
  const code = (at, end) => { const v = view.getUint16(at, true); return v === 65535 ? NaN : (v / 65534) * end; };
  const bit = (at, i) => (bytes[at + (i >> 3)] >> (i & 7)) & 1, ids = [...Array(n).keys()];
  return { rfc: ids.map((i) => code(2 * i, Math.SQRT2)), norm: ids.map((i) => code(2 * n + 2 * i, m.samples.top)), success: ids.map((i) => bit(4 * n, i)), correct: ids.map((i) => bit(4 * n + bits, i)) };
}
// what |t| with that many degrees of freedom is as rare as |z| (Abramowitz and Stegun 26.7.5)
function student(z, free) {
  const g = [(z ** 3 + z) / 4, (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96, (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384, (79 * z ** 9 + 776 * z ** 7 + 1482 * z ** 5 - 1920 * z ** 3 - 945 * z) / 92160];
  return g.reduce((sum, term, i) => sum + term / free ** (i + 1), z);
}
function pairedDifferences(first, second, resampling) {
  const { n, draws, fewest } = resampling, a = unpack(first, n), b = unpack(second, n);
  const both = a.success.map((kept, i) => kept & b.success[i]), correct = a.correct.map((is, i) => is & b.correct[i]);
  const found = [["RFC", "rfc", both], ["norm", "norm", both], ["success", "success", correct]].map(([name, key, asked]) => {
    const used = asked.map((is, i) => Boolean(is) && !Number.isNaN(a[key][i]) && !Number.isNaN(b[key][i]));
    const mean = (v) => v.reduce((sum, x, i) => sum + (used[i] ? x : 0), 0) / count;
    const count = used.filter(Boolean).length, apart = a[key].map((x, i) => x - b[key][i]), difference = mean(apart);
    const rest = apart.map((x, i) => (used[i] ? x - difference : 0)), norm = Math.hypot(...rest), flat = !(norm > 1e-9);
    const error = norm / Math.sqrt(count * (count - 1)), t = difference === 0 ? 0 : Math.abs(difference) / error;
    return { name, n: count, first: mean(a[key]), second: mean(b[key]), difference, error, t, flat, parts: flat ? rest.map(() => 0) : rest.map((x) => x / norm) };
  });
  const able = found.filter((q) => q.n >= fewest), ids = resamples(resampling);
  for (const q of able) {
    q.drawn = new Float64Array(draws);
    for (let r = 0; r < draws; r++) { let sum = 0; for (let i = r * n; i < (r + 1) * n; i++) sum += q.parts[ids[i]]; q.drawn[r] = Math.abs(sum); }
  }
  const critical = (open) => {
    const tops = Float64Array.from({ length: draws }, (_, r) => Math.max(...open.map((q) => q.drawn[r]))).sort();
    return Math.max(tops[Math.min(Math.ceil(0.95 * (draws + 1)), draws) - 1], 1.959963984540054);
  };
  let open = able, wide = open.length ? critical(open) : NaN, last = wide;
  for (let left = open.filter((q) => q.t <= student(last, q.n - 1)); left.length && left.length < open.length; left = open.filter((q) => q.t <= student(last, q.n - 1))) { open = left; last = critical(open); }
  for (const q of found) {
    const half = q.n >= fewest && !q.flat ? student(wide, q.n - 1) * q.error : NaN;
    Object.assign(q, { low: q.difference - half, high: q.difference + half, apart: q.n >= fewest && q.t > student(last, q.n - 1) });
  }
  return found;
}
