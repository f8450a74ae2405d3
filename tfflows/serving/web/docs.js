// The page of requests: what each model of this server takes and returns.

import { listModels, signaturesOf } from "./api.js";
import { byId, element, tell } from "./elements.js";

// Two rows that any model takes: seeds and temperatures.
const ROWS = { seed: [[0, 0], [0, 1]], temperature: [0.7, 0.7] };

function tensorsOf(specs) {
  return specs.map(({ name, datatype, shape }) => {
    const sizes = ["rows", ...shape.slice(1)].join(", ");
    return element("div", {}, element("code", { textContent: `${name} ${datatype} [${sizes}]` }));
  });
}

function row([name, { inputs, outputs }]) {
  return element("tr", {},
    element("td", {}, element("code", { textContent: name })),
    element("td", {}, ...tensorsOf(inputs)),
    element("td", {}, ...tensorsOf(outputs)));
}

function examplesOf(name, { inputs }) {
  const takes = inputs.map((input) => input.name);
  if (!takes.every((input) => input in ROWS)) return [];
  const address = `${location.origin}/v1/models/${encodeURIComponent(name)}:predict`;
  const request = { signature_name: "sample", inputs: ROWS };
  const text = `curl ${address} -d '${JSON.stringify(request)}'`;
  return [element("pre", {}, element("code", { textContent: text }))];
}

async function sectionOf({ name }) {
  const signatures = await signaturesOf(name);
  const heads = ["Signature", "takes", "returns"];
  const head = element("tr", {}, ...heads.map((text) => element("th", { textContent: text })));
  return element("section", {},
    element("h2", { textContent: name }),
    element("table", {}, element("thead", {}, head),
      element("tbody", {}, ...Object.entries(signatures).map(row))),
    ...examplesOf(name, signatures.sample));
}

try {
  byId("models").append(...await Promise.all((await listModels()).map(sectionOf)));
} catch (error) {
  tell(error.message);
}
byId("models").ariaBusy = "false";
