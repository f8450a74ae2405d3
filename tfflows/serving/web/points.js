// Flows of points in the plane: the density, the samples on it, and their latents beside it.

import { bounds, dot, heatMap, ring } from "./draw.js";
import { byId, element } from "./elements.js";

const CELLS = 120;
const SIZE = 480;
const NUM_NEIGHBOURS = 12;
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

export class Points {
  constructor(model, select) {
    this.model = model;
    this.select = select;
    this.count = 500;
    this.numSteps = 61;
    this.path = [];
    this.canvas = element("canvas", {
      className: "plane", width: SIZE, height: SIZE, tabIndex: 0, role: "application",
      ariaLabel: "Density with samples. Arrow keys move the point that is looked at.",
    });
    this.canvas.addEventListener("click", (event) => this.clicked(event));
    this.canvas.addEventListener("keydown", (event) => this.moved(event));
    this.latents = element("canvas", {
      className: "latents", width: 300, height: 300, role: "img",
      ariaLabel: "The same samples in latent space",
    });
    byId("picture").append(element("figure", { style: "width: 17rem" }, this.latents,
      element("figcaption", { className: "caption", textContent: "latent space" })));
    this.inputs = ["x", "y"].map((name) =>
      element("input", { type: "number", step: "any", id: `point-${name}` }));
    this.inputs.forEach((input, i) => {
      byId("look-at").append(element("label", { textContent: i ? "y " : "Look at x " }, input));
      input.addEventListener("change", () => {
        const x = this.inputs.map((other) => other.valueAsNumber);
        if (x.every(Number.isFinite)) this.select({ ...this.item(x), isUpload: true });
      });
    });
  }

  item(x, context) {
    return { x, context };
  }

  async showDraws(items) {
    const [across, up] = [0, 1].map((axis) => bounds(items.map(({ x }) => x[axis])));
    this.bounds = [across, up];
    const middle = (range, i) => range[0] + ((i + 0.5) / CELLS) * (range[1] - range[0]);
    const cells = Array.from({ length: CELLS ** 2 }, (_, i) =>
      [middle(across, i % CELLS), middle(up, CELLS - 1 - Math.floor(i / CELLS))]);
    const context = cells.map(() => items[0].context);
    const { log_prob } = await this.model.infer("log_prob", { x: cells, context });
    const highest = log_prob.reduce((a, b) => Math.max(a, b));
    this.density = heatMap(log_prob.map((value) => Math.exp(value - highest)), CELLS);
    byId("draws").replaceChildren(this.canvas, element("p", {
      className: "caption",
      textContent: `Density, and ${items.length} samples. Click, or move with the arrow keys.`,
    }));
  }

  showSelected(items, item, others, latents, z) {
    const neighbours = others.slice(0, NUM_NEIGHBOURS);
    Object.assign(this, { items, selected: item, neighbours });
    this.inputs.forEach((input, i) => (input.value = item.x[i].toFixed(3)));
    this.paint();
    this.paintLatents(latents, z);
    byId("neighbours").replaceChildren(element("p", {
      className: "caption",
      textContent: `The ${neighbours.length} nearest of the ${items.length} samples have rings in `
        + "both planes: what is near in latent space need not be near in the plane.",
    }));
  }

  showPicture() {}

  showPath(items) {
    this.path = items;
    this.paint();
    byId("path").replaceChildren(element("p", {
      className: "caption", textContent: "The dashed line over the density.",
    }));
  }

  paint() {
    if (!this.selected) return;
    const context = this.canvas.getContext("2d");
    context.imageSmoothingEnabled = true;
    context.drawImage(this.density, 0, 0, SIZE, SIZE);
    for (const { x } of this.items) dot(context, this.place(x), 2, "rgb(255 255 255 / 75%)");
    context.strokeStyle = "#ffffff";
    context.lineWidth = 2.5;
    context.setLineDash([7, 4]);
    context.beginPath();
    for (const { x } of this.path) context.lineTo(...this.place(x));
    context.stroke();
    context.setLineDash([]);
    for (const { index } of this.neighbours) {
      ring(context, this.place(this.items[index].x), 6, "#ff8c42");
    }
    ring(context, this.place(this.selected.x), 9, "#ff3b6b");
    dot(context, this.place(this.selected.x), 3, "#ff3b6b");
  }

  paintLatents(latents, z) {
    const context = this.latents.getContext("2d");
    const { width } = this.latents;
    const reach = 1.05 * Math.max(3, ...latents.flat().map(Math.abs));
    const place = ([x, y]) => [(width * (x / reach + 1)) / 2, (width * (1 - y / reach)) / 2];
    const colour = (name) => getComputedStyle(this.latents).getPropertyValue(name);
    context.clearRect(0, 0, width, width);
    for (const radius of [1, 2, 3]) {
      ring(context, place([0, 0]), (radius * width) / reach / 2, colour("--line"));
    }
    for (const row of latents) dot(context, place(row), 1.7, colour("--soft"));
    for (const { index } of this.neighbours) ring(context, place(latents[index]), 5, "#ff8c42");
    ring(context, place(z), 7, "#ff3b6b");
  }

  place([x, y]) {
    const [across, up] = this.bounds;
    const part = (value, [low, high]) => (value - low) / (high - low);
    return [SIZE * part(x, across), SIZE * (1 - part(y, up))];
  }

  clicked({ offsetX, offsetY }) {
    const spot = [offsetX, offsetY].map((offset) => (offset * SIZE) / this.canvas.clientWidth);
    const far = (item) => {
      const [x, y] = this.place(item.x);
      return Math.hypot(x - spot[0], y - spot[1]);
    };
    const nearest = this.items.reduce((a, b) => (far(b) < far(a) ? b : a));
    const [across, up] = this.bounds;
    const x = [
      across[0] + (spot[0] / SIZE) * (across[1] - across[0]),
      up[0] + (1 - spot[1] / SIZE) * (up[1] - up[0]),
    ];
    this.select(far(nearest) < 8 ? nearest : { ...this.item(x), isUpload: true });
  }

  moved(event) {
    const step = STEPS[event.key];
    if (!step || !this.selected) return;
    event.preventDefault();
    const x = this.selected.x.map((value, i) => {
      const [low, high] = this.bounds[i];
      return value + (step[i] * (high - low)) / 60;
    });
    this.selected = { ...this.item(x), isUpload: true }; // at once: keys come faster than answers
    this.paint();
    this.select(this.selected);
  }
}
