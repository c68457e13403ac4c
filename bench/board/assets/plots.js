const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const ink = (m) => table().colours[m.family];
const dash = (m) => (m.control ? "2 3" : m.linear ? "7 4" : null);
const widthOf = (id) => Math.max(280, Math.min(1360, $(id).clientWidth));
function put(id, label, description, options) {
  const style = { background: colour("--back"), color: colour("--soft"), fontSize: "12px", fontFamily: "system-ui, sans-serif" };
  const plot = Plot.plot({ width: widthOf(id), style, marginBottom: 42, ariaLabel: label, ariaDescription: description, ...options });
  $(id).replaceChildren(asPicture(plot));
  return plot;
}
function asPicture(plot) {
  plot.setAttribute("role", "img"); // its parts have no names of their own
  for (const part of plot.querySelectorAll("[aria-label]")) { part.dataset.label = part.getAttribute("aria-label"); part.removeAttribute("aria-label"); }
  return plot;
}
const around = (three, digits = 3) => `${three[0].toFixed(digits)}${three[1] === null ? "" : ` [${three[1].toFixed(digits)}, ${three[2].toFixed(digits)}]`}`;
function drawForest() {
  const t = table(), small = narrow(), recipes = state.by === "recipe", key = recipes ? "recipe" : "ranked", rfc = (m) => (recipes ? m.seeds3 : m.attacks[state.a].rfc3);
  const rows = shownModels().filter((m) => rfc(m)[0] !== null && (m.recipe || !recipes)).sort((a, b) => b[key] - a[key] || rfc(a)[0] - rfc(b)[0]).slice(0, 40);
  const symbol = (m) => (m.control ? "times" : m.linear ? "square" : "circle");
  const end = Math.max(t.white * 1.04, ...rows.map((m) => rfc(m)[2] ?? rfc(m)[0]));
  put("forest", `RFC of ${rows.length} models under ${state.a}`, rows.map((m) => `${m.label} ${around(rfc(m))}`).join("; "), {
    height: rows.length * 19 + 74, marginLeft: small ? 160 : 218, marginRight: 12, marginTop: 22,
    x: { domain: [0, end], label: `RFC under ${state.a} (1 = Nyquist) →`, labelOffset: 38, grid: true, ticks: small ? 4 : 8 }, y: { domain: rows.map((m) => m.label), label: null, tickSize: 0, tickFormat: (l) => (small ? l.replace("(untrained)", "×") : l) },
    marks: [
      Plot.ruleX([t.white], { stroke: colour("--ink"), strokeDasharray: "4 3" }),
      Plot.text([t.white], { x: (d) => d, text: ["white noise"], frameAnchor: "top", dy: -14, fill: colour("--ink"), textAnchor: "end" }),
      Plot.ruleY(rows, { x1: (m) => rfc(m)[1] ?? rfc(m)[0], x2: (m) => rfc(m)[2] ?? rfc(m)[0], y: "label", stroke: ink, strokeWidth: 3, strokeOpacity: 0.55 }),
      Plot.dot(rows, { x: (m) => rfc(m)[0], y: "label", r: 4, symbol: { value: symbol }, fill: (m) => (m[key] ? ink(m) : colour("--back")), stroke: ink, strokeWidth: 1.5 }),
      Plot.tip(rows, Plot.pointerY({ x: (m) => rfc(m)[0], y: "label", title: (m) => `${m.label}\nRFC ${around(rfc(m))}, n = ${recipes ? cell(m, "seeds_rfc")[2].split("= ")[1] : cell(m, "kept")[1]}` })),
    ],
    symbol: { type: "identity" }, color: { type: "identity" },
  });
  $("forest-caption").textContent = `${t.dataset}, ${t.heading}: mean radial frequency of each model's perturbations under ${state.a}, with 95 % intervals over ${recipes ? "training seeds and images (recipes with three seeds)" : "images (these weights)"}, not a measure of robustness. Filled: ranked; hollow: not ranked. Square: net without nonlinearity; cross: untrained. Colours are families. The table has the same numbers.`;
}
function drawSpectra() {
  const t = table();
  if ($("ring").max !== String(t.radius.length - 1)) {
    $("ring").max = String(t.radius.length - 1);
    $("ring").value = String(t.radius.findIndex((r) => r >= 0.5));
  }
  drawRing();
  const maps = picked().filter((m) => m.map);
  $("maps").replaceChildren(...maps.map((m) => {
    const [height, width] = m.map.shape, values = Float32Array.from(atob(m.map.bytes), (c) => c.charCodeAt(0) / 63.75 - 2);
    values[Math.floor(height / 2) * width + Math.floor(width / 2)] = NaN;
    const plot = Plot.plot({ width: 150, height: 150, margin: 0, axis: null, ariaLabel: `mean 2-D spectrum of ${m.label}`, x: { domain: [0, width] }, y: { domain: [height, 0] }, color: { type: "linear", domain: [-2, 2], range: ["#2166ac", "#b2182b"], interpolate: () => (f) => d3.interpolateRdBu(1 - f) }, marks: [Plot.raster(values, { width, height, imageRendering: "pixelated" }), Plot.dot([0], { x: width / 2, y: height / 2, r: 75, stroke: "#333", strokeOpacity: 0.6 })] });
    return make("figure", {}, asPicture(plot), make("figcaption", {}, `${m.label} (n\u00a0=\u00a0${m.map.n})`));
  }));
  $("maps-caption").textContent = maps.length ? `Mean 2-D spectra under ${t.primary}, zero frequency in the centre (left out), circle: Nyquist. Red: more energy than white noise, up to 100 times; blue: less, down to a hundredth.` : "";
  const without = picked().filter((m) => !m.profiles[state.a]).map((m) => m.label);
  if (without.length) $("values").append(make("p", {}, `No spectrum in this page: ${without.join(", ")}.`));
}
function drawRing() {
  const t = table(), models = picked().filter((m) => m.profiles[state.a]), at = Math.min(Number($("ring").value), t.radius.length - 1);
  const seen = {}, points = models.flatMap((m) => { const p = m.profiles[state.a]; return t.radius.map((r, i) => ({ m, r, i, mean: p.mean[i], low: p.low[i], high: p.high[i] })).filter((d) => d.r !== null && d.mean > 0); });
  const marker = (m) => { const kind = `${m.family} ${dash(m)}`; seen[kind] = seen[kind] || []; if (!seen[kind].includes(m)) seen[kind].push(m); return ["none", "circle", "tick-x"][seen[kind].indexOf(m) % 3]; };
  const clean = t.clean ? t.radius.map((r, i) => ({ r, mean: t.clean.mean[i] })).filter((d) => d.mean > 0) : [];
  const rings = t.radius.map((r, i) => ({ r, i })).filter((d) => d.r !== null);
  const plot = put("radial", "radial spectra of the ticked models", "values at the chosen frequency stand below", {
    height: narrow() ? 300 : 380, marginLeft: 48, x: { domain: [0, Math.SQRT2], label: "radial frequency (1 = Nyquist) →", labelOffset: 38, ticks: [0, 0.25, 0.5, 0.75, 1, 1.25], tickFormat: String }, y: { type: "log", label: "↑ energy per frequency / white noise", grid: true, tickFormat: (v) => (Math.abs(Math.log10(v) % 1) < 1e-9 ? String(v) : "") }, color: { type: "identity" },
    marks: [
      Plot.line(clean, { x: "r", y: "mean", stroke: colour("--soft"), strokeWidth: 5, strokeOpacity: 0.4 }),
      Plot.ruleY([1], { stroke: colour("--ink"), strokeDasharray: "4 3" }),
      ...models.flatMap((m) => { const own = points.filter((d) => d.m === m); return [Plot.areaY(own.filter((d) => d.low > 0), { x: "r", y1: "low", y2: "high", fill: ink(m), fillOpacity: 0.2 }), Plot.line(own, { x: "r", y: "mean", stroke: ink(m), strokeWidth: 2, strokeDasharray: dash(m), marker: marker(m), z: null, ariaLabel: () => m.name })]; }),
      Plot.ruleX([t.radius[at]], { stroke: colour("--accent") }),
      Plot.ruleX(rings, Plot.pointerX({ x: "r", stroke: "none" })),
    ],
  });
  plot.addEventListener("input", () => { if (plot.value && plot.value.i !== at) { $("ring").value = String(plot.value.i); drawRing(); } });
  $("radius").textContent = (t.radius[at] ?? NaN).toFixed(2);
  $("ring").setAttribute("aria-valuetext", `radius ${$("radius").textContent}`);
  const sign = (stroke, strokeDasharray, width = 3) => { const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"); svg.setAttribute("viewBox", "0 0 28 8"); svg.setAttribute("class", "line"); const line = svg.appendChild(document.createElementNS(svg.namespaceURI, "line")); for (const [k, v] of Object.entries({ x1: 0, x2: 28, y1: 4, y2: 4, stroke, "stroke-width": width, "stroke-dasharray": strokeDasharray || "none" })) line.setAttribute(k, v); return svg; };
  const row = (mark, name, n, mean, low, high) => make("tr", {}, make("td", {}, mark), make("th", { scope: "row" }, name), make("td", {}, n), make("td", {}, mean > 0 ? `${Number(mean.toPrecision(3))}` : "–"), make("td", {}, low > 0 ? `[${Number(low.toPrecision(3))}, ${Number(high.toPrecision(3))}]` : "–"));
  const rows = models.map((m) => { const p = m.profiles[state.a]; return row(sign(ink(m), dash(m)), m.label, cell(m, "kept")[1], p.mean[at], p.low[at], p.high[at]); });
  if (t.clean) rows.push(row(sign(colour("--soft"), null, 6), "clean images", String(t.clean.n), t.clean.mean[at], null, null));
  $("values").replaceChildren(make("table", {}, make("thead", {}, make("tr", {}, ...["line", "model", "n", `energy / white noise at ${$("radius").textContent}`, "95 %"].map((text) => make("th", { scope: "col" }, text)))), make("tbody", {}, ...rows)));
}
function drawPair() {
  const t = table(), able = t.models.filter((m) => m.samples), [a, b] = state.pair.map(model);
  for (const [id, m] of [["first", a], ["second", b]]) options($(id), able.map((x) => [x.name, x.label]), m ? m.name : "");
  if (!a || !b || !a.samples || !b.samples) { $("pair-note").textContent = "This page does not hold two models' samples; see bench compare."; for (const id of ["differences", "scatter", "beside"]) $(id).replaceChildren(); return; }
  const found = pairedDifferences(a, b, t.resampling);
  $("pair-note").textContent = `First minus second under ${t.primary}, on the images that both keep (success: that both classify correctly); 95 % intervals over images, for these weights, all three together; ${t.resampling.draws} resamples, those of bench compare ${a.name} ${b.name}.`;
  const text = (v, digits = 4) => (Number.isNaN(v) ? "–" : v.toFixed(digits));
  const head = ["quantity", "n", a.label, b.label, "difference", "95 % interval", "told apart"];
  $("differences").replaceChildren(make("table", {}, make("thead", {}, make("tr", {}, ...head.map((h) => make("th", { scope: "col" }, h)))), make("tbody", {}, ...found.map((q) => make("tr", {}, make("th", { scope: "row" }, q.name), ...[String(q.n), text(q.first), text(q.second), text(q.difference), Number.isNaN(q.low) ? "–" : `[${text(q.low)}, ${text(q.high)}]`, q.apart ? "yes" : "no"].map((v) => make("td", {}, v)))))));
  const x = unpack(a, t.resampling.n), y = unpack(b, t.resampling.n), points = x.rfc.map((v, i) => ({ x: v, y: y.rfc[i], i })).filter((d) => x.success[d.i] && y.success[d.i] && d.x >= 0 && d.y >= 0);
  const ends = d3.extent(points.flatMap((d) => [d.x, d.y])), side = Math.min(460, widthOf("scatter"));
  put("scatter", `RFC of ${a.label} against ${b.label}, image by image`, `${points.length} images; means ${text(found[0].first, 3)} and ${text(found[0].second, 3)}`, {
    width: side, height: side, marginLeft: 48, x: { domain: ends, label: `RFC, ${a.label} →`, labelOffset: 38, grid: true }, y: { domain: ends, label: `↑ RFC, ${b.label}`, grid: true },
    marks: [Plot.line([[ends[0], ends[0]], [ends[1], ends[1]]], { stroke: colour("--soft"), strokeDasharray: "4 3" }), Plot.dot(points, { x: "x", y: "y", r: 2, fill: colour("--accent"), fillOpacity: 0.45 })],
  });
  $("scatter-caption").textContent = `Each point is an image that both models keep (n = ${points.length}): the RFC of its perturbation for either model. On the dashed line both are equal; above it the second model's perturbation has the higher frequency.`;
  const behindBoth = a.details.map(([title, items], i) => { const other = b.details[i][1], labels = [...new Set([...items, ...other].map((item) => item[0]))], get = (all, label) => all.filter((item) => item[0] === label).map((item) => item[1]).join("; ") || "–"; return [make("tr", {}, make("th", { scope: "colgroup", colSpan: 3 }, title)), ...labels.map((label) => make("tr", {}, make("th", { scope: "row" }, label), make("td", {}, get(items, label)), make("td", {}, get(other, label))))]; });
  $("beside").replaceChildren(make("table", { className: "texts" }, make("thead", {}, make("tr", {}, ...["", a.label, b.label].map((h) => (h ? make("th", { scope: "col" }, h) : make("td", {}))))), make("tbody", {}, ...behindBoth.flat())));
}
function savePng(id) {
  const svg = [...$(id).querySelectorAll("svg")].sort((a, b) => b.clientWidth - a.clientWidth)[0], box = svg.getBoundingClientRect(), image = new Image();
  const copy = svg.cloneNode(true);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  image.onload = () => {
    const canvas = make("canvas", { width: 2 * box.width, height: 2 * box.height }), context = canvas.getContext("2d");
    context.fillStyle = colour("--back");
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    save(canvas.toDataURL("image/png"), `${state.t}-${id}.png`);
  };
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
}
