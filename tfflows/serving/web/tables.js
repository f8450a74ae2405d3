// Flows of rows of numbers: histograms of the columns, and rows of a form or of a file, scored.

import { drawHistogram, histogramOf } from "./draw.js";
import { byId, coalesced, element } from "./elements.js";

const NUM_SHOWN = 10;
const MAX_VALUES = 2 ** 20; // that the server takes in a request
const RARE = 0.02;

export class Tables {
  constructor(model, select) {
    this.model = model;
    this.select = select;
    [this.width] = model.facts.event_shape;
    this.count = this.most(1000);
    this.file = null;
    this.nameColumns(model.facts.columns);
    byId("picture").hidden = true;
    byId("selected-title").textContent = "A row";
    byId("draws-title").textContent = "Columns";
    byId("look-at").append(this.form(), element("p", {},
      element("label", { textContent: "Score a file (CSV) " }, this.fileInput())));
    byId("rows").hidden = false;
  }

  nameColumns(columns) {
    this.columns = columns ?? Array.from({ length: this.width }, (_, i) => `column ${i + 1}`);
  }

  // Rows that a request may have, at most `wanted`.
  most(wanted) {
    return Math.min(wanted, Math.floor(MAX_VALUES / this.width));
  }

  item(x, context) {
    return { x, context };
  }

  form() {
    this.inputs = this.columns.map(() => element("input", { type: "number", step: "any" }));
    this.labels = this.inputs.map(() => element("span"));
    const fields = this.inputs.map((input, i) => element("label", {}, this.labels[i], input));
    const form = element("form", { className: "fields", ariaLabel: "Values of a row" }, ...fields);
    form.addEventListener("submit", (event) => event.preventDefault());
    for (const input of this.inputs) {
      input.addEventListener("change", () => {
        const x = this.inputs.map((other) => other.valueAsNumber);
        if (x.every(Number.isFinite)) this.select({ ...this.item(x), isUpload: true });
      });
    }
    this.showNames();
    return form;
  }

  showNames() {
    this.labels.forEach((label, i) => (label.textContent = this.columns[i]));
  }

  fileInput() {
    const input = element("input", { type: "file", id: "file", accept: ".csv,.tsv,.txt,text/csv" });
    input.addEventListener("change", coalesced("Scoring ...", async () => {
      const { columns, rows } = await this.model.uploadTable(input.files[0]);
      this.file = { rows, scores: await this.scored(rows) };
      this.nameColumns(columns);
      this.showNames();
      this.showColumns();
      this.showRows();
    }));
    return input;
  }

  // Scores of rows by name, of as many requests as it takes.
  async scored(rows) {
    const size = this.most(4096);
    const isRanked = "anomaly" in this.model.signatures;
    const scores = isRanked ? { log_prob: [], p_value: [] } : { log_prob: [] };
    const context = this.model.facts.num_classes ? Number(byId("class").value) : undefined;
    for (let start = 0; start < rows.length; start += size) {
      const x = rows.slice(start, start + size);
      const inputs = { x, context: x.map(() => context) };
      const found = await this.model.infer(isRanked ? "anomaly" : "log_prob", inputs);
      for (const name of Object.keys(scores)) scores[name].push(...found[name]);
    }
    return scores;
  }

  async showDraws(items) {
    this.items = items;
    if (this.file) this.file.scores = await this.scored(this.file.rows); // of another class, perhaps
    this.showColumns();
    this.showRows();
  }

  showColumns() {
    this.canvases = this.columns.map(() =>
      element("canvas", { width: 220, height: 90, role: "img" }));
    const figures = this.canvases.map((canvas, i) => element("figure", {}, canvas,
      element("figcaption", { className: "caption", textContent: this.columns[i] })));
    this.histograms = this.columns.map((_, i) =>
      histogramOf(this.items.map(({ x }) => x[i]), this.file?.rows.map((row) => row[i])));
    const data = this.file ? `Bars: the file's ${counted(this.file.rows)}. ` : "";
    const line = `Line: ${this.items.length} samples of the model. Mark: the row on the right.`;
    byId("draws").replaceChildren(
      element("div", { className: "histograms" }, ...figures),
      element("p", { className: "caption", textContent: data + line }),
    );
    if (this.selected) this.paint();
  }

  showSelected(items, item) {
    this.selected = item;
    this.inputs.forEach((input, i) => (input.value = rounded(item.x[i])));
    this.paint();
  }

  showPicture() {}

  paint() {
    this.canvases.forEach((canvas, i) => {
      drawHistogram(canvas, this.histograms[i], this.selected.x[i]);
      canvas.ariaLabel = `Histogram of ${this.columns[i]}, with the mark at `
        + `${rounded(this.selected.x[i])}`;
    });
  }

  showRows() {
    const { file } = this;
    const rows = file ? file.rows : this.items.map(({ x }) => x);
    const scores = file ? file.scores : { log_prob: this.items.map((item) => item.logProb) };
    const order = [...rows.keys()];
    if (file) order.sort((a, b) => scores.log_prob[a] - scores.log_prob[b]);
    byId("rows-title").textContent = file ? "The file's least likely rows" : "Samples";
    const names = Object.keys(scores);
    const heads = ["", ...names.map((name) => (name === "p_value" ? "p" : "log p")), ...this.columns];
    const head = element("tr", {}, ...heads.map((text) => element("th", { textContent: text })));
    const shown = order.slice(0, NUM_SHOWN).map((i) => {
      const button = element("button", {
        type: "button", textContent: `${file ? "Row" : "Sample"} ${i + 1}`,
      });
      button.addEventListener("click", () =>
        this.select(file ? { ...this.item(rows[i]), isUpload: true } : this.items[i]));
      const values = [...names.map((name) => scores[name][i].toPrecision(4)),
        ...rows[i].map((value) => Number(value.toPrecision(4)))];
      return element("tr", {}, element("td", {}, button),
        ...values.map((value) => element("td", { textContent: value })));
    });
    const table = element("table", {}, element("thead", {}, head), element("tbody", {}, ...shown));
    const region = { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "Rows" };
    byId("rows-list").replaceChildren(element("div", region, table));
    byId("rows-summary").replaceChildren(...(file ? this.summary(file) : []));
  }

  summary({ rows, scores }) {
    const mean = scores.log_prob.reduce((a, b) => a + b, 0) / rows.length;
    const rare = (scores.p_value ?? []).filter((p) => p < RARE).length;
    let text = `Mean log p of all ${counted(rows)}: ${mean.toPrecision(5)} nats. `;
    if (scores.p_value) text += `${rare.toLocaleString("en")} of them have p < ${RARE}. `;
    const link = element("a", { textContent: "Save all scores", download: "scores.csv" });
    const lines = rows.map((row, i) => [...row, ...Object.values(scores).map((s) => s[i])].join(","));
    const head = [...this.columns, ...Object.keys(scores)].map(quoted).join(",");
    const content = [head, ...lines, ""].join("\n");
    URL.revokeObjectURL(this.url);
    this.url = link.href = URL.createObjectURL(new Blob([content], { type: "text/csv" }));
    return [text, link];
  }
}

function counted(rows) {
  return `${rows.length.toLocaleString("en")} rows`;
}

// What float32 has of a number.
function rounded(value) {
  return Number(value.toPrecision(7));
}

function quoted(name) {
  return /[",\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name;
}
