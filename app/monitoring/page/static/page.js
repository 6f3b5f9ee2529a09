// Keeps the status page up to date, and draws its charts. The page is complete without it.
"use strict";

const EVERY = 5000; // milliseconds between two looks, as often as the worker takes a sample
const HOUR = 3600; // seconds that the charts show at most
const LEAST = 300; // and at least, of a worker that was just started
const AGO = new Intl.DateTimeFormat([], { timeStyle: "medium", timeZone: "UTC" });

const CHARTS = [
  { title: "Records per second", unit: "/s", series: [
    ["Read", "read", 1], ["Stored", "stored", 2], ["Duplicates", "duplicates", 3],
    ["Skipped", "skipped", 4], ["Dead letters", "dead_letters", 5]] },
  { title: "Records that wait", unit: "", series: [["Waiting", "lag", 1]] },
  { title: "Seconds from the end of an activation until it is stored", unit: " s", series: [
    ["Half are faster", "half", 1], ["99 % are faster", "most", 3]] },
  { title: "The database's pace", unit: "", series: [
    ["Requests at a time that it allows", "requests", 2], ["Documents that wait for one", "waiting", 3]] },
];

const history = { at: [] };
const drawn = [];

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function shown(value, unit) {
  if (value === null || value === undefined) return "–";
  const digits = Math.abs(value) < 10 && value % 1 ? 2 : 0;
  return value.toLocaleString("en", { maximumFractionDigits: digits }).replaceAll(",", "\u202f") + unit;
}

function compact(value) {
  return value.toLocaleString("en", { notation: "compact", maximumFractionDigits: 2 });
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function keyOf(series) {
  const [label, , number] = series;
  const value = element("b");
  const swatch = element("i", { class: `key-${number}` });
  return { value, item: element("li", {}, swatch, `${label} `, value) };
}

// All frames before the first chart: how wide one is depends on how many there are.
function frame(chart, place) {
  const keys = chart.series.map(keyOf);
  const caption = element("figcaption", {}, element("strong", {}, chart.title));
  caption.append(element("ul", { class: "keys" }, ...keys.map((key) => key.item)));
  const canvas = element("div", { role: "img", "aria-label": chart.title });
  const figure = element("figure", {}, caption, canvas);
  place.append(figure);
  return { chart, keys, canvas };
}

function draw({ chart, keys, canvas }) {
  const line = colour("--line");
  const axis = { stroke: colour("--quiet"), grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  const tell = (index) => keys.forEach((key, number) => {
    const column = history[chart.series[number][1]] || [];
    const value = column[index ?? column.length - 1];
    key.value.textContent = shown(value, chart.unit);
  });
  const plot = new uPlot({
    width: Math.max(200, canvas.clientWidth), height: 190, legend: { show: false },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
    cursor: { drag: { x: false, y: false } },
    scales: { x: { range: span },
      y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [{ ...axis, values: "{HH}:{mm}", incrs: [60, 120, 300, 600, 900, 1800] }, { ...axis, size: 56, values: (_, ticks) => ticks.map(compact) }],
    series: [{}, ...chart.series.map(([label, , number]) =>
      ({ label, stroke: colour(`--chart-${number}`), width: 2, points: { show: false }, spanGaps: false }))],
    hooks: { setCursor: [(made) => tell(made.cursor.idx)] },
  }, values(chart), canvas);
  drawn.push({ chart, plot, canvas, tell });
  tell();
}

function span() {
  const now = history.at.at(-1) ?? Date.now() / 1000;
  return [Math.min(now - LEAST, Math.max(now - HOUR, history.at[0] ?? now)), now];
}

function values(chart) {
  return [history.at, ...chart.series.map(([, name]) => history[name] || [])];
}

function redraw() {
  const place = document.getElementById("charts");
  drawn.splice(0).forEach(({ plot }) => plot.destroy());
  place.replaceChildren();
  CHARTS.map((chart) => frame(chart, place)).forEach(draw);
  describe();
}

function describe() {
  for (const { chart, canvas } of drawn) {
    const now = chart.series.map(([label, name]) => `${label}: ${shown((history[name] || []).at(-1), chart.unit)}`);
    canvas.setAttribute("aria-label", `${chart.title}, now: ${now.join(", ")}`);
  }
}

function add(samples) {
  for (const [name, column] of Object.entries(samples)) {
    history[name] = (history[name] || []).concat(column);
  }
  const old = history.at.findIndex((at) => at > history.at.at(-1) - HOUR);
  if (old > 0) for (const name of Object.keys(history)) history[name] = history[name].slice(old);
  for (const { chart, plot, tell } of drawn) {
    plot.setData(values(chart));
    tell(plot.cursor.idx);
  }
  describe();
}

async function get(path) {
  const answer = await fetch(path, { cache: "no-store", credentials: "same-origin" });
  if (answer.status === 401) location.reload(); // signed out, or the token has changed
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer;
}

// A part is replaced only when it has changed, and not while somebody has the focus in it or has
// selected some of it; where it was scrolled to stays.
function replace(fresh) {
  for (const part of fresh.querySelectorAll("[data-part]")) {
    const name = part.dataset.part;
    const old = document.querySelector(`[data-part="${name}"]`);
    const chosen = getSelection();
    const selected = chosen && !chosen.isCollapsed && chosen.anchorNode && old.contains(chosen.anchorNode);
    if (!old || old.innerHTML === part.innerHTML && old.className === part.className || selected) continue;
    const region = old.querySelector(".scroll");
    const left = region ? region.scrollLeft : 0, top = region ? region.scrollTop : 0;
    const focused = region !== null && region === document.activeElement;
    old.className = part.className;
    old.replaceChildren(...part.childNodes);
    const again = old.querySelector(".scroll");
    if (again) { again.scrollLeft = left; again.scrollTop = top; }
    if (again && focused) again.focus({ preventScroll: true });
  }
  document.title = fresh.title;
}

let seen = new Date();

async function look() {
  const stale = document.getElementById("stale");
  try {
    const since = history.at.at(-1) ?? 0;
    const [parts, samples] = await Promise.all([get("/parts"), get(`/history?since=${since}`)]);
    replace(new DOMParser().parseFromString(await parts.text(), "text/html"));
    add(await samples.json());
    seen = new Date();
    if (stale.textContent) stale.textContent = "";
  } catch {
    const text = `This worker does not answer. What you see is of ${AGO.format(seen)} UTC.`;
    if (stale.textContent !== text) stale.textContent = text;
  }
}

async function keepLooking() {
  if (!document.hidden) await look();
  setTimeout(keepLooking, EVERY);
}

redraw();
keepLooking();
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
let width = innerWidth;
addEventListener("resize", () => {
  if (width === innerWidth) return;
  width = innerWidth;
  for (const { plot, canvas } of drawn) plot.setSize({ width: Math.max(200, canvas.clientWidth), height: 190 });
});
