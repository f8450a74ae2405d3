// The page: draws samples, and looks at one image or point, drawn or the user's own.

import { listModels, Model } from "./api.js";
import { drawTypicality } from "./draw.js";
import { byId, coalesced, element, tell } from "./elements.js";
import { Images } from "./images.js";
import { byDistance, moved } from "./latents.js";
import { Points } from "./points.js";
import { Tables } from "./tables.js";

const VIEWS = { image: Images, point: Points, table: Tables };

const state = { items: [], latents: null, selected: null, z: null, start: null, end: null };
let model, view;

const draw = coalesced("Drawing ...", async () => {
  const seed = byId("seed").valueAsNumber;
  if (!Number.isSafeInteger(seed)) throw new Error("The seed should be a whole number.");
  const rows = [...Array(view.count).keys()];
  const temperature = rows.map(() => byId("temperature").valueAsNumber);
  const context = rows.map((i) => classOfRow(i));
  const seeds = rows.map((i) => [seed, i]);
  const { x, log_prob } = await model.infer("sample", { seed: seeds, temperature, context });
  const items = x.map((row, i) => ({ ...view.item(row, context[i]), logProb: log_prob[i] }));
  await view.showDraws(items, columns());
  Object.assign(state, { items, latents: null });
  if (!state.start?.isUpload) state.start = items[0];
  if (!state.end?.isUpload) state.end = items[1];
  select(state.selected?.isUpload ? state.selected : items[0]);
  follow();
});

const inspect = coalesced("Looking ...", async () => {
  const { items, selected } = state;
  if (model.facts.num_classes && selected.context === undefined) {
    selected.context = await likeliestClass(selected);
  }
  state.latents ??= (await model.infer("encode", columnsOf(items))).z;
  const latents = state.latents;
  const { z: [z] } = await model.infer("encode", columnsOf([selected]));
  const found = byDistance(z, latents, items.indexOf(selected));
  await showTypicality(selected);
  if (selected !== state.selected || latents !== state.latents) return; // there is a next round
  state.z = z;
  byId("selected-class").value = selected.context;
  view.showSelected(items, selected, found, latents, z);
  await edit();
});

const edit = coalesced("Editing ...", async () => {
  const { selected, z } = state;
  const strengths = [...byId("sliders").querySelectorAll("input")].map((i) => i.valueAsNumber);
  if (!strengths.some((strength) => strength)) return view.showPicture(selected, null);
  const edited = moved(z, Object.values(model.attributes), strengths);
  const { x: [x] } = await model.infer("decode", { z: [edited], context: [selected.context] });
  view.showPicture(selected, view.item(x, selected.context));
});

const follow = coalesced("Interpolating ...", async () => {
  if (!view.showPath) return;
  const { start, end } = state;
  const steps = [...Array(view.numSteps).keys()];
  const { x } = await model.infer("interpolate", {
    a: steps.map(() => start.x),
    b: steps.map(() => end.x),
    t: steps.map((i) => i / (view.numSteps - 1)),
    context: steps.map(() => start.context),
  });
  view.showPath(x.map((row) => view.item(row, start.context)));
});

function select(item) {
  state.selected = item;
  inspect();
}

function columnsOf(items) {
  return { x: items.map(({ x }) => x), context: items.map(({ context }) => context) };
}

async function likeliestClass({ x }) {
  const classes = [...Array(model.facts.num_classes).keys()];
  const { log_prob } = await model.infer("log_prob", { x: classes.map(() => x), context: classes });
  return log_prob.indexOf(Math.max(...log_prob));
}

async function showTypicality(item) {
  const isKnown = "anomaly" in model.signatures && model.facts.held_out_log_probs;
  const found = await model.infer(isKnown ? "anomaly" : "log_prob", columnsOf([item]));
  const [logProb] = found.log_prob;
  byId("typicality").hidden = !isKnown;
  let text = `log p(x) = ${logProb.toPrecision(5)} nats.`;
  if (isKnown) {
    const [p] = found.p_value;
    drawTypicality(byId("typicality"), model.facts.held_out_log_probs, logProb);
    const quantiles = model.facts.held_out_log_probs;
    const side = logProb > quantiles[quantiles.length >> 1] ? "likelier" : "less likely";
    const verdict = p < 0.02 ? `an anomaly, ${side} than nearly all` : p < 0.2
      ? `rare, ${side} than most` : "like most";
    text += ` Two-sided p = ${p.toPrecision(2)}: ${verdict} held-out examples (grey).`;
    byId("typicality").ariaLabel = `The held-out examples' log p and this one's. ${text}`;
  }
  byId("typicality-text").textContent = text;
}

// Without a class chosen, the samples of an image flow go through the classes, column by column.
function classOfRow(i) {
  const { num_classes } = model.facts;
  if (!num_classes) return undefined;
  return byId("class").value === "all" ? i % num_classes : Number(byId("class").value);
}

function columns() {
  const isAll = model.facts.num_classes && byId("class").value === "all";
  return isAll ? model.facts.num_classes : Math.round(Math.sqrt(view.count));
}

function prepare() {
  const { facts } = model;
  document.title = `${facts.name} - tfflows`;
  byId("name").textContent = facts.name;
  byId("summary").textContent = facts.summary;
  byId("not-drawn").hidden = facts.kind !== null;
  if (facts.kind === null) return;
  view = new VIEWS[facts.kind](model, select);
  byId("paths").hidden = byId("path-ends").hidden = !view.showPath;
  byId("near").hidden = facts.kind === "table";
  byId("controls").hidden = byId("panels").hidden = false;
  for (const label of document.querySelectorAll(".conditional")) label.hidden = !facts.num_classes;
  const classes = [...Array(facts.num_classes ?? 0).keys()];
  const options = () => classes.map((i) => element("option", { value: i, textContent: i }));
  const all = element("option", { value: "all", textContent: "all" });
  byId("class").append(...(facts.kind === "image" ? [all] : []), ...options());
  byId("selected-class").append(...options());
  byId("temperature").value = facts.temperature;
  showTemperature();
  byId("attributes").hidden = !facts.attributes.length;
  byId("sliders").append(...facts.attributes.map(slider));
}

function slider(name) {
  const input = element("input", { type: "range", min: -2, max: 2, step: 0.1, value: 0 });
  input.addEventListener("input", edit);
  return element("label", { textContent: name.replaceAll("_", " ") }, input);
}

function showTemperature() {
  byId("temperature-value").textContent = byId("temperature").valueAsNumber.toFixed(2);
}

function listen() {
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("temperature").addEventListener("input", showTemperature);
  for (const id of ["temperature", "seed", "class"]) byId(id).addEventListener("change", draw);
  byId("next-seed").addEventListener("click", () => {
    byId("seed").stepUp();
    draw();
  });
  byId("selected-class").addEventListener("change", () => {
    select({ ...state.selected, context: Number(byId("selected-class").value) });
  });
  for (const end of ["start", "end"]) {
    byId(`as-${end}`).addEventListener("click", () => {
      state[end] = state.selected;
      follow();
    });
  }
  byId("reset").addEventListener("click", () => {
    for (const input of byId("sliders").querySelectorAll("input")) input.value = 0;
    edit();
  });
}

// The model that the address asks for, or the first; links to the others, if there are any.
async function chosen() {
  const names = (await listModels()).map(({ name }) => name);
  const name = new URLSearchParams(location.search).get("model") ?? names[0];
  byId("models").hidden = names.length < 2;
  byId("models").append(...names.map((other) => element("a", {
    href: `?model=${encodeURIComponent(other)}`,
    textContent: other,
    ariaCurrent: other === name ? "page" : null,
  })));
  return Model.load(name);
}

try {
  model = await chosen();
  prepare();
  listen();
  if (view) await draw();
} catch (error) {
  tell(error.message);
}
