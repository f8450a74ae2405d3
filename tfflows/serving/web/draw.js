// What is drawn on canvases.

const STOPS = [
  [68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37],
];

const NUM_BINS = 40;

// Pixels, a flat list of whole numbers of `bits` bits, grey or RGB.
export function drawImage(canvas, pixels, [height, width, channels], bits) {
  const image = new ImageData(width, height);
  const scale = 255 / (2 ** bits - 1);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) {
      image.data[4 * i + c] = scale * pixels[channels * i + (channels === 1 ? 0 : c)];
    }
    image.data[4 * i + 3] = 255;
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// Numbers from 0 to 1, `size` rows of `size`, as the colours of a picture of that size.
export function heatMap(values, size) {
  const image = new ImageData(size, size);
  values.forEach((value, i) => {
    const place = Math.min(Math.max(value, 0), 1) * (STOPS.length - 1);
    const below = Math.min(Math.floor(place), STOPS.length - 2);
    for (let c = 0; c < 3; c++) {
      const [low, high] = [STOPS[below][c], STOPS[below + 1][c]];
      image.data[4 * i + c] = low + (place - below) * (high - low);
    }
    image.data[4 * i + 3] = 255;
  });
  const picture = new OffscreenCanvas(size, size);
  picture.getContext("2d").putImageData(image, 0, 0);
  return picture;
}

export function dot(context, [x, y], radius, colour) {
  context.fillStyle = colour;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

export function ring(context, [x, y], radius, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 2.5;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.stroke();
}

// Shares of the values in each bin, of the model's and of the data's, if there are any.
export function histogramOf(model, data) {
  const ends = [model, data].filter(Boolean).map(bounds);
  const low = Math.min(...ends.map((end) => end[0]));
  const high = Math.max(...ends.map((end) => end[1]));
  const shares = (values) => {
    const counts = new Array(NUM_BINS).fill(0);
    for (const v of values) {
      if (v >= low && v < high) counts[Math.floor(((v - low) / (high - low)) * NUM_BINS)] += 1;
    }
    return counts.map((count) => count / values.length);
  };
  return { low, high, line: shares(model), bars: data ? shares(data) : [] };
}

// A histogram, the data's part as bars, and a mark at one value; one far out is at the edge.
export function drawHistogram(canvas, { low, high, line, bars }, value) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  const colour = (name) => getComputedStyle(canvas).getPropertyValue(name);
  const tall = (share) => (share / Math.max(...line, ...bars)) * (height - 6);
  const step = width / NUM_BINS;
  context.clearRect(0, 0, width, height);
  context.fillStyle = colour("--line");
  bars.forEach((share, i) => context.fillRect(i * step, height - tall(share), step, tall(share)));
  context.strokeStyle = colour("--ink");
  context.lineWidth = 1.5;
  context.beginPath();
  line.forEach((share, i) => {
    for (const x of [i * step, (i + 1) * step]) context.lineTo(x, height - 1 - tall(share));
  });
  context.stroke();
  const place = Math.max(0, Math.min(1, (value - low) / (high - low)));
  context.fillStyle = colour("--accent");
  context.fillRect(place * (width - 3), 0, 3, height);
}

// Nearly all of the values, with a margin: a few far away would make the rest a spot.
export function bounds(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, high] = [0.005, 0.995].map((part) => sorted[Math.round(part * (values.length - 1))]);
  const margin = 0.1 * (high - low) || 1;
  return [low - margin, high + margin];
}

// How the log-densities of held-out examples (their sorted quantiles) lie, and one value among
// them; one far out is at the edge, as an arrow.
export function drawTypicality(canvas, quantiles, value) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  const colour = (name) => getComputedStyle(canvas).getPropertyValue(name);
  const [first, last] = [quantiles[2], quantiles.at(-1)];
  const margin = 0.25 * (last - first);
  const [low, high] = [first - margin, last + margin];
  const place = (v) => ((v - low) / (high - low)) * width;
  const counts = new Array(40).fill(0);
  for (const q of quantiles) {
    counts[Math.floor(Math.max(0, Math.min(0.999, (q - low) / (high - low))) * 40)] += 1;
  }
  context.clearRect(0, 0, width, height);
  context.fillStyle = colour("--line");
  const base = height - 2;
  counts.forEach((count, i) => {
    const bar = (count / Math.max(...counts)) * (base - 22);
    context.fillRect((i * width) / 40 + 1, base - bar, width / 40 - 2, bar);
  });
  const isInside = value >= low && value <= high;
  const x = Math.max(8, Math.min(width - 8, place(value)));
  context.fillStyle = colour("--accent");
  context.font = "13px system-ui, sans-serif";
  if (isInside) {
    context.fillRect(x - 1.5, 18, 3, base - 18);
  } else {
    const tip = value < low ? 2 : width - 2;
    const back = value < low ? 16 : width - 16;
    context.beginPath();
    context.moveTo(tip, height / 2);
    context.lineTo(back, height / 2 - 10);
    context.lineTo(back, height / 2 + 10);
    context.fill();
  }
  const text = "this one";
  const room = context.measureText(text).width;
  context.fillText(text, Math.max(0, Math.min(width - room, x - room / 2)), 13);
}
