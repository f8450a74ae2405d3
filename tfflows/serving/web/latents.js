// Vectors of the latent space.

export function distance(a, b) {
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0));
}

// Indices and distances of rows from z, nearest first, without row `itself`.
export function byDistance(z, rows, itself) {
  return rows
    .map((row, index) => ({ index, distance: distance(z, row) }))
    .filter(({ index }) => index !== itself)
    .sort((a, b) => a.distance - b.distance);
}

// z + the sum of strength times direction.
export function moved(z, directions, strengths) {
  return z.map((value, i) =>
    directions.reduce((sum, direction, k) => sum + strengths[k] * direction[i], value));
}
