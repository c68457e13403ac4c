"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const STEP = 200;
const FIXED = { "fully-connected": "#0072B2", "full-conv": "#009E73", "locally-connected": "#B5539C", "local-conv": "#D55E00" };
const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#B5539C", "#E69F00", "#3A9BD9", "#8C564B", "#7A7A7A", "#A6761D", "#5E4FA2"];
const state = { table: 0, attack: null, type: "", search: "", unranked: true, families: null, sort: "rank", down: false, rows: STEP, picked: new Set() };

const $ = (id) => document.getElementById(id);
function make(tag, options = {}, ...children) {
  const { data, ...attributes } = options;
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in node && typeof value !== "string") node[key] = value;
    else if (key === "text") node.textContent = value;
    else node.setAttribute(key === "className" ? "class" : key, value);
  }
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
}
function svg(tag, attributes = {}) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

const num = (v) => (v === null || v === undefined ? NaN : v === "inf" ? Infinity : v);
function show(v, digits) {
  v = num(v);
  return Number.isNaN(v) ? "–" : v === Infinity ? "∞" : v.toFixed(digits);
}
function significant(v) {
  v = num(v);
  return Number.isFinite(v) && v !== 0 ? String(Number(v.toPrecision(3))) : show(v, 0);
}
function params(v) {
  if (v === null) return "–";
  for (const [size, sign] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) if (v >= size) return `${Number((v / size).toPrecision(3))}${sign}`;
  return String(v);
}
const table = () => DATA.tables[state.table];
const attackOf = (m) => m.attacks[state.attack];
function familyColours(t) {
  const names = [...new Set(t.models.map((m) => m.family))].sort();
  if (names.every((n) => n in FIXED)) return FIXED;
  return Object.fromEntries(names.map((n, i) => [n, COLOURS[i % COLOURS.length]]));
}

// ---------------------------------------------------------------- columns
function interval(values, digits, scale = 1) {
  const [mean, low, high] = values.map(num).map((v) => v * scale);
  const cell = make("td", { text: show(mean, digits) });
  if (!Number.isNaN(low)) cell.append(make("small", { text: `${show(low, digits)} to ${show(high, digits)}` }));
  return cell;
}
function withBar(values, digits, end, white) {
  const cell = interval(values, digits);
  const [mean, low, high] = values.map(num);
  if (Number.isNaN(mean)) return cell;
  const x = (v) => Math.max(0, Math.min(100, (100 * v) / end));
  const bar = svg("svg", { class: "bar", viewBox: "0 0 100 8", role: "img", "aria-label": `${show(mean, digits)} between ${show(low, digits)} and ${show(high, digits)}` });
  bar.append(svg("line", { class: "range", x1: 0, x2: 100, y1: 4, y2: 4 }));
  bar.append(svg("line", { class: "white", x1: x(white), x2: x(white), y1: 0, y2: 8 }));
  bar.append(svg("line", { class: "ci", x1: x(low), x2: Math.max(x(high), x(low) + 1), y1: 4, y2: 4 }));
  bar.append(svg("circle", { cx: x(mean), cy: 4, r: 2.6 }));
  cell.append(bar);
  return cell;
}
const mid = (m) => (m.rank ? m.rank[0] + m.rank[1] / 1e6 : NaN);
const COLUMNS = [
  { key: "rank", title: "Rank: these weights", value: (m) => (m.rank ? mid(m) * 1e6 + num(m.attacks[table().primary].rfc[0]) : NaN), cell: (m) => make("td", { text: places(m.rank) }) },
  { key: "tie", title: "Tie", className: "text", value: (m) => (m.group ? m.group.padStart(4) : ""), cell: (m) => make("td", { className: "text", text: m.group || "–" }) },
  { key: "recipe", title: "Rank: recipe", value: (m) => (m.recipe ? m.recipe[0] * 1e6 + m.recipe[1] : NaN), cell: recipeCell },
  { key: "model", title: "Model", className: "model", value: (m) => m.name, cell: modelCell },
  { key: "rfc", title: "RFC", value: (m) => num(attackOf(m).rfc[0]), cell: (m) => withBar(attackOf(m).rfc, 3, 1, table().white) },
  { key: "hfe", title: "HFE", value: (m) => num(attackOf(m).hfe[0]), cell: (m) => interval(attackOf(m).hfe, 3) },
  { key: "hfx", title: "HFX", value: (m) => num(attackOf(m).hfx[0]), cell: (m) => interval(attackOf(m).hfx, 3) },
  { key: "common", title: () => `RFC on ${table().common[state.attack] ?? 0} common samples`, value: (m) => num(attackOf(m).common[0]), cell: (m) => interval(attackOf(m).common, 3) },
  { key: "long", title: "> 1 % above the shortest, %", value: (m) => num(attackOf(m).long[0]), cell: longCell },
  { key: "kept", title: "n kept", value: (m) => attackOf(m).kept, cell: (m) => make("td", { text: String(attackOf(m).kept) }, make("small", { text: `of ${attackOf(m).correct}` })) },
  { key: "clean", title: "Clean acc. %", value: (m) => num(m.clean[0]), cell: (m) => interval(m.clean, 1, 100) },
  { key: "success", title: "Success %", value: (m) => num(attackOf(m).success[0]), cell: (m) => interval(attackOf(m).success, 1, 100) },
  { key: "norm", title: () => `Median ${{ l1: "L1", l2: "L2", linf: "Linf" }[table().attacks[state.attack].norm]}`, value: (m) => num(attackOf(m).norm[0]), cell: normCell },
  { key: "family", title: "Family, type", className: "text", value: (m) => m.family, cell: familyCell },
  { key: "input", title: "Input", className: "text", value: (m) => m.input, cell: (m) => make("td", { className: "text", text: m.input }) },
  { key: "params", title: "Params", value: (m) => (m.params === null ? NaN : m.params), cell: (m) => make("td", { text: params(m.params) }) },
  { key: "verified", title: "Verified", className: "text", value: (m) => m.verified, cell: verifiedCell },
  { key: "flags", title: "Flags, reasons", className: "text", value: (m) => m.flags.length + m.reasons.length, cell: flagCell },
  { key: "links", title: "Links", className: "text plain", plain: true, cell: linkCell },
];
function places(rank) {
  return rank ? (rank[0] === rank[1] ? String(rank[0]) : `${rank[0]}–${rank[1]}`) : "–";
}
function recipeCell(m) {
  const cell = make("td", { text: m.recipe ? `${places(m.recipe)} ${m.recipeGroup}` : m.seeds.text });
  const sd = num(m.seeds.sd), stands = num(m.seeds.survives);
  if (m.recipe) cell.append(make("small", { text: `${m.seeds.n} seeds: ${show(m.seeds.rfc[0], 3)}, ${show(m.seeds.rfc[1], 3)} to ${show(m.seeds.rfc[2], 3)}` }));
  if (!Number.isNaN(sd)) cell.append(make("small", { text: `seed SD ${sd.toFixed(4)}` }));
  if (!Number.isNaN(stands)) cell.append(make("small", { text: `weights' claims stand to SD ${stands.toFixed(4)}` }));
  return cell;
}
function longCell(m) {
  const cell = interval(attackOf(m).long, 1, 100);
  if (attackOf(m).longOf) cell.append(make("small", { text: `n = ${attackOf(m).longOf}` }));
  return cell;
}
function modelCell(m) {
  const box = make("input", { type: "checkbox", "aria-label": `plot ${m.name}` });
  box.checked = state.picked.has(m.name);
  box.addEventListener("change", () => { box.checked ? state.picked.add(m.name) : state.picked.delete(m.name); drawPlots(); });
  return make("td", { className: "model" }, make("label", {}, box, make("span", { text: m.name })));
}
function familyCell(m) {
  const dot = make("span", { className: "swatch" });
  dot.style.background = familyColours(table())[m.family];
  return make("td", { className: "text" }, dot, ` ${m.family}`, make("small", { text: m.type }));
}
function normCell(m) {
  const [mean, low, high] = attackOf(m).norm;
  const cell = make("td", { text: significant(mean) });
  if (!Number.isNaN(num(low))) cell.append(make("small", { text: `${significant(low)} to ${significant(high)}` }));
  return cell;
}
function flagCell(m) {
  const cell = make("td", { className: "flags" });
  for (const flag of m.flags) {
    const meaning = DATA.flags[Object.keys(DATA.flags).find((k) => flag.startsWith(k))];
    cell.append(make("span", { text: flag, title: meaning || "" }));
  }
  if (m.reasons.length) cell.append(make("em", { text: `not ranked: ${m.reasons.join("; ")}` }));
  return cell;
}
function verifiedCell(m) {
  const [what, who] = m.verified.split(/ by (.*)/s);
  const cell = make("td", { className: "text", text: what || "–" });
  if (who) cell.append(make("small", { text: `by ${who}` }));
  return cell;
}
function linkCell(m) {
  const cell = make("td", { className: "text" });
  for (const [label, url] of Object.entries(m.links)) cell.append(make("a", { href: url, text: label, rel: "noopener" }));
  return cell;
}

// ---------------------------------------------------------------- filtering, sorting
function visible() {
  const words = state.search.toLowerCase();
  return table().models.filter((m) => (state.unranked || m.rank) && state.families.has(m.family) && (!state.type || m.type === state.type) && m.name.toLowerCase().includes(words));
}
function sorted(models) {
  const column = COLUMNS.find((c) => c.key === state.sort);
  const sign = state.down ? -1 : 1;
  const missing = (v) => (typeof v === "number" ? Number.isNaN(v) : v === "");
  return models
    .map((m, i) => [column.value(m), i, m])
    .sort(([a, i], [b, j]) => {
      if (missing(a) || missing(b)) return missing(a) - missing(b) || i - j;
      return (a < b ? -sign : a > b ? sign : 0) || i - j;
    })
    .map((item) => item[2]);
}
function drawHead() {
  const row = make("tr");
  for (const column of COLUMNS) {
    const title = typeof column.title === "function" ? column.title() : column.title;
    const head = make("th", { scope: "col", className: column.className || "", "data-key": column.key, text: title });
    if (!column.plain) {
      const active = state.sort === column.key;
      head.setAttribute("aria-sort", active ? (state.down ? "descending" : "ascending") : "none");
      head.append(make("span", { className: "arrow", text: active ? (state.down ? "▾" : "▴") : "" }));
      head.tabIndex = 0;
      const go = () => { state.down = active ? !state.down : false; state.sort = column.key; drawTable(); };
      head.addEventListener("click", go);
      head.addEventListener("keydown", (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); go(); } });
    }
    row.append(head);
  }
  $("board").tHead.replaceChildren(row);
}
function drawTable() {
  drawHead();
  const models = sorted(visible());
  $("board").tBodies[0].replaceChildren(
    ...models.slice(0, state.rows).map((m) => make("tr", { className: m.rank ? "" : "unranked", "data-model": m.name }, ...COLUMNS.map((c) => c.cell(m))))
  );
  const rest = models.length - state.rows;
  $("more").hidden = rest <= 0 && models.length > 0;
  $("more").replaceChildren();
  if (!models.length) $("more").append("No model matches the filters.");
  if (rest > 0) {
    const button = make("button", { type: "button", text: `show ${Math.min(STEP, rest)} more of ${rest}` });
    button.addEventListener("click", () => { state.rows += STEP; drawTable(); });
    $("more").append(button);
  }
}

// ---------------------------------------------------------------- controls
function options(select, pairs) {
  select.replaceChildren(...pairs.map(([value, text]) => make("option", { value: String(value), text })));
}
function chooseTable(index) {
  const t = DATA.tables[index];
  Object.assign(state, { table: index, attack: t.primary, type: "", rows: STEP, sort: "rank", down: false });
  state.families = new Set(t.models.map((m) => m.family));
  state.picked = new Set(t.models.filter((m) => m.rank && Object.keys(m.profiles).length).slice(0, 4).map((m) => m.name));
  options($("attack"), Object.keys(t.attacks).map((a) => [a, a + (a === t.primary ? " (primary)" : "")]));
  $("attack").value = t.primary;
  options($("type"), [["", "all"], ...[...new Set(t.models.map((m) => m.type))].sort().map((n) => [n, n])]);
  const colours = familyColours(t);
  const names = [...state.families].sort();
  $("families").replaceChildren(make("legend", { text: "Family" }), ...names.slice(0, 40).map((name) => {
    const box = make("input", { type: "checkbox", value: name });
    box.checked = true;
    box.addEventListener("change", () => { box.checked ? state.families.add(name) : state.families.delete(name); drawTable(); });
    const dot = make("span", { className: "swatch" });
    dot.style.background = colours[name];
    return make("label", {}, box, dot, name);
  }));
  const ranked = t.models.filter((m) => m.rank).length;
  $("about").replaceChildren(
    `${t.dataset}, ${t.heading}: ${t.ranks ? `${ranked} ranked, ${t.models.length - ranked} not` : "this protocol does not rank"}. ${t.samples} samples; primary attack ${t.primary}; white noise has RFC ${show(t.white, 3)} (dashed in the bars). Protocol hash ${t.hash.slice(0, 16)}. `,
    make("a", { href: t.page, text: "All tables of this data set" })
  );
  $("told").replaceChildren(
    t.told,
    ...t.contrasts.filter((c) => !c.why).map((c) => ` ${c.name}: ${show(c.rfc[0], 3)} [${show(c.rfc[1], 3)}, ${show(c.rfc[2], 3)}] (n = ${c.n}).`)
  );
  $("figures").replaceChildren();
  if (t.figures.length) $("figures").append(make("h2", { text: "Figures" }), ...t.figures.map((f) => make("img", { src: `figures/${f}`, alt: f, loading: "lazy" })));
  drawTable();
  drawPlots();
}
function start() {
  if (!DATA.tables.length) { $("about").textContent = "No submissions yet."; return; }
  options($("table"), DATA.tables.map((t, i) => [i, `${t.dataset}, ${t.heading}`]));
  $("table").addEventListener("change", (e) => chooseTable(Number(e.target.value)));
  $("attack").addEventListener("change", (e) => { state.attack = e.target.value; drawTable(); drawPlots(); });
  $("type").addEventListener("change", (e) => { state.type = e.target.value; drawTable(); });
  $("search").addEventListener("input", (e) => { state.search = e.target.value; drawTable(); });
  $("unranked").addEventListener("change", (e) => { state.unranked = e.target.checked; drawTable(); });
  for (const [flag, text] of Object.entries(DATA.flags)) $("flags").append(make("dt", { text: flag }), make("dd", { text }));
  chooseTable(0);
}
document.addEventListener("DOMContentLoaded", start);
