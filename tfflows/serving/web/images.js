// Flows of images: a grid of samples, pictures, and files that the user has.

import { drawImage } from "./draw.js";
import { byId, coalesced, element, moveWithArrows } from "./elements.js";

const NUM_NEIGHBOURS = 7;

export class Images {
  constructor(model, select) {
    this.model = model;
    this.select = select;
    this.shape = model.facts.event_shape;
    this.bits = model.facts.num_bits;
    const isSmall = this.shape.reduce((product, size) => product * size, 1) <= 1024;
    this.count = isSmall ? 100 : 25;
    this.numSteps = 9;
    byId("look-at").append(
      element("label", { textContent: "Look at a file " }, this.fileInput()),
    );
  }

  // An image and the point that it is in the flow's space: its pixels' centres.
  item(x, context) {
    const pixels = x.map((v) => Math.max(0, Math.min(2 ** this.bits - 1, Math.floor(v))));
    return { pixels, x: pixels.map((pixel) => pixel + 0.5), context };
  }

  fileInput() {
    const input = element("input", { type: "file", id: "file", accept: "image/*" });
    input.addEventListener("change", coalesced("Reading ...", async () => {
      const pixels = await this.model.uploadImage(input.files[0]);
      this.select({ ...this.item(pixels), isUpload: true });
    }));
    return input;
  }

  async showDraws(items, columns) {
    const grid = element("div", { className: "grid", role: "group", ariaLabel: "Samples" });
    grid.style.setProperty("--columns", columns);
    grid.append(...items.map((item, i) => this.button(item, `Sample ${i + 1}`)));
    [...grid.children].forEach((button, i) => (button.tabIndex = i ? -1 : 0));
    moveWithArrows(grid, columns);
    byId("draws").replaceChildren(grid);
    this.buttons = [...grid.children];
  }

  // `others` are all samples but the selected one, nearest first.
  showSelected(items, item, others) {
    const neighbours = others.slice(0, NUM_NEIGHBOURS);
    const near = new Set(neighbours.map(({ index }) => index));
    const mean = others.reduce((sum, { distance }) => sum + distance, 0) / others.length;
    this.buttons.forEach((button, i) => {
      button.ariaPressed = String(items[i] === item);
      button.classList.toggle("near", near.has(i));
    });
    const strip = neighbours.map(({ index, distance }) =>
      element(
        "figure",
        { style: "margin: 0" },
        this.button(items[index], `Sample ${index + 1}`),
        element("figcaption", { className: "caption", textContent: distance.toFixed(1) }),
      ));
    const caption = element("p", {
      className: "caption",
      textContent: `Of the samples on the left, with the distance |z - z'|, whose mean over all of `
        + `them is ${mean.toFixed(1)}.`,
    });
    const row = element("div", { className: "strip" }, ...strip);
    byId("neighbours").replaceChildren(row, caption);
  }

  showPicture(item, edited) {
    const figures = [["Selected", item], ["Edited", edited]].filter(([, shown]) => shown);
    byId("picture").replaceChildren(...figures.map(([name, shown]) =>
      element("figure", {}, this.canvas(shown, name),
        element("figcaption", { className: "caption", textContent: edited ? name : "" }))));
  }

  showPath(items) {
    const names = items.map((_, i) => `Image ${i + 1} of the path, of ${items.length}`);
    const strip = items.map((item, i) => this.button(item, names[i]));
    byId("path").replaceChildren(element("div", { className: "strip" }, ...strip));
  }

  canvas(item, name) {
    const canvas = element("canvas", { role: "img", ariaLabel: name });
    drawImage(canvas, item.pixels, this.shape, this.bits);
    return canvas;
  }

  button(item, name) {
    const button = element("button", { type: "button", className: "picture", ariaLabel: name });
    button.append(this.canvas(item, ""));
    button.firstChild.ariaHidden = "true";
    button.addEventListener("click", () => this.select(item));
    return button;
  }
}
