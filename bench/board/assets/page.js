"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const state = {};
let grid;

// texts become text nodes: nothing from a file is ever read as markup
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "string") node.setAttribute(key === "className" ? "class" : key, value);
    else node[key] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
const narrow = () => window.innerWidth < 700;
const table = () => DATA.tables.find((t) => t.slug === state.t);
const model = (name) => table().models.find((m) => m.name === name);
const cell = (m, key) => m.attacks[state.a][key] || m.cells[key];
const picked = () => state.pick.map(model).filter(Boolean);
const shownModels = () => table().models.filter((m) => state.all || (state.by === "recipe" ? m.recipe : m.ranked));
const options = (select, pairs, value) => { select.replaceChildren(...pairs.map(([v, text]) => make("option", { value: v }, text))); select.value = value; };
const list = (items) => make("dl", {}, ...items.flatMap(([label, text, href]) => [make("dt", {}, label), make("dd", {}, href ? make("a", { href, rel: "noopener" }, text) : text)]));

// the address holds the state
function read() {
  const asked = new URLSearchParams(location.hash.slice(1));
  state.t = DATA.tables.some((t) => t.slug === asked.get("t")) ? asked.get("t") : DATA.tables[0].slug;
  const t = table(), names = new Set(t.models.map((m) => m.name));
  state.a = t.attacks[asked.get("a")] ? asked.get("a") : t.primary;
  state.by = asked.get("by") === "recipe" && t.recipes && state.a === t.primary ? "recipe" : "weights";
  state.ci = asked.get("ci") === "1";
  state.all = asked.get("all") !== "0" || !t.ranks;
  state.q = asked.get("q") || "";
  state.sort = (asked.get("sort") || "").split(".");
  state.cols = asked.has("cols") ? asked.get("cols").split(".") : null;
  // one of each family, with a spectrum
  const families = new Map(t.models.filter((m) => Object.keys(m.profiles).length).reverse().map((m) => [m.family, m.name]));
  state.pick = asked.has("pick") ? asked.get("pick").split("~").filter((n) => names.has(n)) : [...families.values()].reverse().slice(0, 4);
  const pair = (asked.get("pair") || "").split("~").filter((n) => names.has(n)), able = t.models.filter((m) => m.samples);
  state.pair = pair.length === 2 ? pair : able.length > 1 ? [able[0].name, (able.findLast((m) => m.ranked && m !== able[0]) || able[1]).name] : [];
}
function write(changes = {}) {
  Object.assign(state, changes);
  const t = table(), found = { t: state.t, a: state.a, by: state.by, ci: state.ci ? "1" : "", all: state.all ? "" : "0", q: state.q };
  const order = grid.order()[0];
  if (order) found.sort = `${grid.column(order[0]).init().name}.${order[1]}`;
  const visible = (c) => grid.column(`${c.key}:name`).visible();
  if (DATA.columns.some((c) => visible(c) !== byDefault(c))) found.cols = DATA.columns.filter(visible).map((c) => c.key).join(".");
  Object.assign(found, { pick: state.pick.join("~"), pair: state.pair.join("~") });
  const kept = Object.entries(found).filter(([k, v]) => v && !(k === "a" && v === t.primary) && !(k === "by" && v === "weights"));
  history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
}

function possible(c) {
  // a rank is of the primary attack, and of one question at a time
  return (!c.view || c.view === state.by) && (!c.primary || state.a === table().primary) && (c.key !== "rank" || table().ranks);
}
function byDefault(c) {
  return possible(c) && (c.show === "phone" || (c.show === "wide" && !narrow()));
}
function drawTable() {
  const t = table(), titles = t.attacks[state.a].titles, phone = narrow();
  if (grid) grid.destroy();
  $("grid").replaceChildren(make("table", { id: "board", className: state.ci ? "with-intervals" : "" }));
  const shown = (c) => (state.cols ? state.cols.includes(c.key) && possible(c) : byDefault(c));
  const rank = state.by === "recipe" ? "recipe" : "rank", rfc = state.by === "recipe" ? "seeds_rfc" : "rfc";
  const start = DATA.columns.find((c) => c.key === state.sort[0] && shown(c)) ? state.sort : [shown(DATA.columns.find((c) => c.key === rank)) ? rank : rfc, "asc"];
  const columns = [
    { name: "tools", title: '<span class="unseen">details, plot</span>', data: null, orderable: false, className: "tools", render: (m, type) => (type === "display" ? tools(m) : "") },
    ...DATA.columns.map((c) => ({ name: c.key, title: titles[c.key] || c.title, visible: shown(c), type: "gap", className: `c-${c.key}`, data: null, render: (m, type) => draw(m, c.key, type) })),
    { name: "flags", title: "Flags, reasons", data: null, visible: !phone, type: "gap", className: "c-flags", render: (m, type) => flagCell(m, type) },
  ];
  const place = (key) => columns.findIndex((c) => c.name === key);
  const corner = make("div", { className: "chooser" });
  grid = new DataTable("#board", {
    data: t.models, columns, autoWidth: false, paging: t.models.length > 60, pageLength: 60, orderMulti: false,
    order: [[place(start[0]), start[1] === "desc" ? "desc" : "asc"]], search: { search: state.q },
    layout: { topStart: "search", topEnd: () => corner, bottomStart: "info", bottomEnd: t.models.length > 60 ? "paging" : null },
    language: { search: "Search", searchPlaceholder: "name, family, flag", zeroRecords: "No model matches.", info: "_TOTAL_ models", infoFiltered: "of _MAX_", infoEmpty: "0 models", aria: { orderableRemove: ": Activate to invert sorting" } },
    createdRow: (row, m) => { row.dataset.model = m.name; row.className = m.ranked ? "" : "unranked"; },
  });
  corner.append(...chooser());
  grid.search.fixed("shown", (text, m) => shownModels().includes(m)).draw();
  const heads = Object.fromEntries(DATA.columns.map((c) => [c.key, c.help]));
  grid.columns().every(function () { const head = this.header(), key = this.init().name; head.dataset.key = key; if (heads[key]) head.title = heads[key]; });
  grid.on("order search column-visibility", () => write({ q: grid.search() }));
}
function chooser() {
  const boxes = DATA.columns.filter(possible).map((c) => {
    const box = make("input", { type: "checkbox", value: c.key, checked: grid.column(`${c.key}:name`).visible() });
    box.addEventListener("change", () => grid.column(`${c.key}:name`).visible(box.checked));
    return make("label", { title: c.help }, box, table().attacks[state.a].titles[c.key] || c.title);
  });
  const csv = make("button", { type: "button" }, "CSV");
  csv.addEventListener("click", saveCsv);
  return [make("details", {}, make("summary", {}, "Columns"), make("fieldset", {}, make("legend", { className: "unseen" }, "Columns"), ...boxes)), csv];
}
function saveCsv() {
  const columns = DATA.columns.filter((c) => grid.column(`${c.key}:name`).visible());
  // a stranger's text is never a spreadsheet's formula
  const safe = (text) => `"${(/^[=+@\t\r]|^-(?![\d.])/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
  const lines = [["model", ...columns.flatMap((c) => [c.key, `${c.key}_interval`])], ...grid.rows({ search: "applied", order: "applied" }).data().toArray().map((m) => [m.name, ...columns.flatMap((c) => cell(m, c.key).slice(1))])];
  save(`data:text/csv;charset=utf-8,${encodeURIComponent(lines.map((line) => line.map(safe).join(",")).join("\n"))}`, `${state.t}.csv`);
}
const save = (href, download) => make("a", { href, download }).click();
const below = (m) => ((state.by === "recipe" ? m.recipe : m.ranked) ? 0 : 1);
function draw(m, key, type) {
  const [value, text, small] = cell(m, key);
  if (type === "sort") return [below(m), value];
  if (type !== "display") return small ? `${text} ${small}` : text;
  const node = make("div", {}, key === "model" ? make("span", { className: "swatch", style: `background:${table().colours[m.family]}` }) : null, make("span", {}, text), small ? make("small", {}, small) : null);
  if (key === "model" && m.control) node.firstChild.classList.add("control");
  const [mean, low, high] = key === "rfc" ? m.attacks[state.a].rfc3 : [null];
  if (mean !== null && mean !== undefined) node.append(make("i", { className: "bar", style: `--m:${mean};--l:${low ?? mean};--h:${high ?? mean};--w:${table().white}` }));
  return node;
}
function flagCell(m, type) {
  if (type === "sort") return [below(m), m.reasons.length + m.badges.length];
  if (type !== "display") return [...m.reasons, ...m.badges.map((b) => b[0])].join("; ");
  const why = m.reasons.map((r) => make("span", { className: "badge why", title: r }, r.length > 52 ? `${r.slice(0, 50)}…` : r));
  return make("div", {}, ...why.slice(0, 2), why.length > 2 ? make("span", { className: "badge why", title: m.reasons.slice(2).join("; ") }, `+${why.length - 2}`) : null, ...m.badges.map(([text, title]) => make("span", { className: "badge", title }, text)));
}
function tools(m) {
  const box = make("input", { type: "checkbox", "aria-label": `plot ${m.label}`, checked: state.pick.includes(m.name) });
  box.addEventListener("change", () => { write({ pick: box.checked ? [...state.pick, m.name] : state.pick.filter((n) => n !== m.name) }); drawSpectra(); });
  const more = make("button", { type: "button", "aria-expanded": "false", "aria-label": `details of ${m.label}` }, "▸");
  more.addEventListener("click", () => {
    const row = grid.row(more.closest("tr")), open = !row.child.isShown();
    open ? row.child(behind(m), "behind").show() : row.child.hide();
    more.setAttribute("aria-expanded", String(open));
    more.textContent = open ? "▾" : "▸";
  });
  return make("div", {}, more, box);
}
const behind = (m) => make("div", { className: "details" }, ...m.details.map(([title, items]) => make("section", {}, make("h3", {}, title), list(items))));

function drawAll() {
  const t = table();
  options($("attack"), Object.keys(t.attacks).map((a) => [a, a + (a === t.primary ? " (primary)" : "")]), state.a);
  [$("question").hidden, $("by").value, $("ci").checked, $("all").checked, $("all").disabled] = [!t.recipes, state.by, state.ci, state.all, !t.ranks];
  $("told").replaceChildren(t.about, " ", t.told, ...t.contrasts.map((c) => ` ${c.name}: ${c.text} (n = ${c.n}).`));
  $("gallery").replaceChildren(...t.figures.map(([file, caption]) => make("figure", {}, make("a", { href: `figures/${file}` }, make("img", { src: `figures/${file}`, alt: caption, loading: "lazy" })), make("figcaption", {}, caption, " ", make("a", { href: `figures/${file}` }, "Full size")))));
  [$("page").href, $("figures").hidden] = [t.page, !t.figures.length];
  for (const draw of [drawTable, drawForest, drawSpectra, drawPair]) draw();
}
function start() {
  // what is not ranked stays below, and so does what is missing, in either direction
  const order = (sign) => ([low, a], [lower, b]) => low - lower || (a === null) - (b === null) || sign * (a < b ? -1 : a > b ? 1 : 0);
  DataTable.type("gap", { order: { asc: order(1), desc: order(-1) } });
  DataTable.defaults.column.orderSequence = ["asc", "desc"];
  if (!DATA.tables.length) { document.querySelector("main").replaceChildren("No submissions yet."); return; }
  read();
  options($("table"), DATA.tables.map((t) => [t.slug, `${t.dataset}, ${t.heading}`]), state.t);
  const on = (id, event, change) => $(id).addEventListener(event, (e) => { e.preventDefault(); change(e.target); });
  on("table", "change", (e) => { history.replaceState(null, "", `#t=${e.value}`); read(); drawAll(); write(); });
  on("attack", "change", (e) => { write({ a: e.value, by: e.value === table().primary ? state.by : "weights" }); drawAll(); });
  on("by", "change", (e) => { Object.assign(state, { by: e.value, a: table().primary, cols: null, sort: [""] }); drawAll(); write(); });
  on("ci", "change", (e) => { write({ ci: e.checked }); $("board").className = `dataTable ${e.checked ? "with-intervals" : ""}`; });
  on("all", "change", (e) => { write({ all: e.checked }); grid.draw(); drawForest(); });
  on("filters", "submit", () => {});
  for (const [id, place] of [["first", 0], ["second", 1]]) on(id, "change", (e) => { state.pair[place] = e.value; write(); drawPair(); });
  on("cite", "click", () => (navigator.clipboard ? navigator.clipboard.writeText($("citation").textContent) : Promise.reject()).then(() => { $("cited").textContent = "Copied."; }, () => getSelection().selectAllChildren($("citation"))));
  for (const button of document.querySelectorAll("[data-png]")) button.addEventListener("click", () => savePng(button.dataset.png));
  $("ring").addEventListener("input", drawRing);
  window.addEventListener("hashchange", () => { read(); $("table").value = state.t; drawAll(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  let width = window.innerWidth;
  window.addEventListener("resize", () => { if (width !== window.innerWidth) { width = window.innerWidth; drawForest(); drawSpectra(); drawPair(); } });
  drawAll();
}
