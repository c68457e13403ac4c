// ---------------------------------------------------------------- radial spectrum
const BOX = { width: 900, height: 400, left: 58, right: 14, top: 12, bottom: 44 };
let resizing;
window.addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(drawRadial, 120); });
function pickedModels() {
  return table().models.filter((m) => state.picked.has(m.name));
}
function lineColour(place) {
  return COLOURS[place % COLOURS.length];
}
function drawPlots() {
  drawRadial();
  drawMaps();
}
function drawRadial() {
  const t = table();
  // drawn at its real width, so that its text is as large as the page's
  BOX.width = Math.max(300, Math.min(900, $("plot").clientWidth || 900));
  BOX.height = BOX.width < 600 ? 300 : 400;
  BOX.left = BOX.width < 600 ? 44 : 58;
  const models = pickedModels().filter((m) => m.profiles[state.attack]);
  const curves = models.map((m, i) => ({ model: m, colour: lineColour(i), ...m.profiles[state.attack] }));
  const positive = (v) => Number.isFinite(v) && v > 0;
  const values = [1, ...curves.flatMap((c) => [...c.low, ...c.mean, ...c.high]), ...(t.clean ? t.clean.mean : [])].filter(positive);
  const low = Math.floor(Math.log10(Math.min(...values)) * 2) / 2, high = Math.ceil(Math.log10(Math.max(...values)) * 2) / 2;
  const x = (r) => BOX.left + (r / Math.SQRT2) * (BOX.width - BOX.left - BOX.right);
  const y = (v) => BOX.top + ((high - Math.log10(v)) / Math.max(high - low, 0.5)) * (BOX.height - BOX.top - BOX.bottom);
  const root = svg("svg", { viewBox: `0 0 ${BOX.width} ${BOX.height}`, role: "img", "aria-label": "radial spectra of the chosen models" });
  for (let d = Math.ceil(low); d <= high; d += 1) {
    root.append(svg("line", { class: "grid", x1: BOX.left, x2: BOX.width - BOX.right, y1: y(10 ** d), y2: y(10 ** d) }));
    label(root, BOX.left - 8, y(10 ** d) + 4, d < 0 ? String(Number((10 ** d).toFixed(-d))) : String(10 ** d), "end");
  }
  for (const [r, text] of [[0, "0"], [0.25, "0.25"], [0.5, "0.5"], [0.75, "0.75"], [1, "1"], [1.2, "1.2"], [Math.SQRT2, "√2"]]) {
    root.append(svg("line", { class: "grid", x1: x(r), x2: x(r), y1: BOX.top, y2: BOX.height - BOX.bottom }));
    label(root, x(r), BOX.height - BOX.bottom + 17, text, "middle");
  }
  label(root, (BOX.left + BOX.width - BOX.right) / 2, BOX.height - 6, "radial frequency (1 = Nyquist)", "middle");
  const title = label(root, 11, (BOX.top + BOX.height - BOX.bottom) / 2, "energy per frequency / white noise", "middle");
  title.setAttribute("transform", `rotate(-90 11 ${(BOX.top + BOX.height - BOX.bottom) / 2})`);
  const path = (v) => v.map((e, i) => [t.radius[i], e]).filter(([, e]) => positive(e)).map(([r, e], i) => `${i ? "L" : "M"}${x(r).toFixed(1)} ${y(e).toFixed(1)}`).join("");
  if (t.clean) root.append(svg("path", { class: "clean", d: path(t.clean.mean) }));
  root.append(svg("line", { class: "white", x1: BOX.left, x2: BOX.width - BOX.right, y1: y(1), y2: y(1) }));
  for (const curve of curves) {
    const up = t.radius.map((r, i) => [r, curve.high[i]]), down = t.radius.map((r, i) => [r, curve.low[i]]).reverse();
    const points = [...up, ...down].filter(([, e]) => positive(e)).map(([r, e]) => `${x(r).toFixed(1)},${y(e).toFixed(1)}`);
    root.append(svg("polygon", { class: "band", fill: curve.colour, points: points.join(" ") }));
    root.append(svg("path", { class: "line", stroke: curve.colour, "data-model": curve.model.name, "stroke-dasharray": curve.model.control ? "2 3" : curve.model.linear ? "7 4" : "none", d: path(curve.mean) }));
  }
  const cursor = svg("line", { class: "cursor", y1: BOX.top, y2: BOX.height - BOX.bottom });
  root.append(cursor);
  const tip = make("div", { id: "tip" });
  $("plot").replaceChildren(root, tip);
  pointAt(root, tip, cursor, curves, x);
  drawLegend(curves, models);
}
function label(root, x, y, text, anchor) {
  const node = svg("text", { x, y, "text-anchor": anchor });
  node.textContent = text;
  root.append(node);
  return node;
}
function drawLegend(curves) {
  const t = table();
  const items = curves.map((c) => legendItem(c.colour, `${c.model.name} (n = ${c.model.attacks[state.attack].kept})`, c.model.control ? "2 3" : c.model.linear ? "7 4" : "none", 2.5));
  items.push(legendItem("currentColor", "white noise", "5 4", 1));
  if (t.clean) items.push(legendItem("#9a9a9a", `clean images (n = ${t.clean.n})`, "none", 4));
  const without = pickedModels().filter((m) => !m.profiles[state.attack]).map((m) => m.name);
  $("legend").replaceChildren(...items);
  if (without.length) $("legend").append(make("span", { className: "item", text: `no spectrum here: ${without.join(", ")}` }));
}
function legendItem(colour, text, dash, width) {
  const mark = svg("svg", { width: 26, height: 10 });
  mark.append(svg("line", { x1: 0, x2: 26, y1: 5, y2: 5, stroke: colour, "stroke-width": width, "stroke-dasharray": dash }));
  return make("span", { className: "item" }, mark, text);
}
function pointAt(root, tip, cursor, curves, x) {
  const t = table();
  root.addEventListener("pointerleave", () => { tip.style.visibility = cursor.style.visibility = "hidden"; });
  root.addEventListener("pointermove", (event) => {
    const frame = root.getBoundingClientRect();
    const at = ((event.clientX - frame.left) / frame.width) * BOX.width;
    let best = 0;
    t.radius.forEach((r, i) => { if (r !== null && Math.abs(x(r) - at) < Math.abs(x(t.radius[best]) - at)) best = i; });
    cursor.setAttribute("x1", x(t.radius[best]));
    cursor.setAttribute("x2", x(t.radius[best]));
    tip.replaceChildren(make("strong", { text: `r = ${show(t.radius[best], 2)}` }), ...curves.map((c) => {
      const dot = make("span", { className: "swatch" });
      dot.style.background = c.colour;
      return make("div", {}, dot, ` ${significant(c.mean[best])}  ${c.model.name}`);
    }));
    tip.style.visibility = cursor.style.visibility = "visible";
    const left = (x(t.radius[best]) / BOX.width) * frame.width;
    tip.style.left = `${left > frame.width / 2 ? left - tip.offsetWidth - 12 : left + 12}px`;
    tip.style.top = "14px";
  });
}

// ---------------------------------------------------------------- mean 2-D spectra
function colourAt(v) {
  // blue below white noise, white at it, red above
  const stops = [[5, 48, 97], [67, 147, 195], [247, 247, 247], [214, 96, 77], [103, 0, 31]];
  const s = (v / 255) * 4, i = Math.min(3, Math.floor(s)), f = s - i;
  return stops[i].map((a, k) => Math.round(a + f * (stops[i + 1][k] - a)));
}
function drawMaps() {
  const models = pickedModels().filter((m) => m.map);
  $("maps-title").hidden = $("maps-hint").hidden = !models.length;
  $("maps-hint").textContent = `Under ${table().primary}, zero frequency in the centre (left out); red: more energy than white noise, blue: less, from 1/100 to 100 times.`;
  $("maps").replaceChildren(...models.map((m) => {
    const [height, width] = m.map.shape;
    const bytes = Uint8Array.from(atob(m.map.bytes), (c) => c.charCodeAt(0));
    const canvas = make("canvas", { width, height, role: "img", "aria-label": `mean spectrum of ${m.name}` });
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d"), picture = context.createImageData(width, height);
    bytes.forEach((v, i) => {
      const centre = i === Math.floor(height / 2) * width + Math.floor(width / 2);
      picture.data.set([...(centre ? [200, 200, 200] : colourAt(v)), 255], 4 * i);
    });
    context.putImageData(picture, 0, 0);
    return make("figure", {}, canvas, make("figcaption", { text: `${m.name} (n = ${m.map.n})` }));
  }));
}
