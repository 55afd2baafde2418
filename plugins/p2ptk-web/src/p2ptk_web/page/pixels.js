// Between a canvas's pixels (RGBA bytes, row by row) and the model's tensors (N C H W).

// The least multiple that is not below a length.
export const padded = (length, multiple) => Math.ceil(length / multiple) * multiple;

// Index i of a line of n that goes on mirrored at its ends, as reflection padding does.
export function mirrored(i, n) {
  if (n === 1) return 0;
  const period = 2 * (n - 1);
  const j = i % period;
  return j < n ? j : period - j;
}

// The number of the palette's colour that is nearest to a pixel.
export function nearest(palette, r, g, b) {
  let best = 0;
  let least = Infinity;
  palette.forEach(([x, y, z], number) => {
    const off = (x - r) ** 2 + (y - g) ** 2 + (z - b) ** 2;
    if (off < least) [best, least] = [number, off];
  });
  return best;
}

// Pixels, padded on the right and below, as the source tensor: {data, dims}. Transparent pixels
// are white, as in p2ptk.
export function toTensor(pixels, width, height, side, [down, across]) {
  const [h, w] = [padded(height, down), padded(width, across)];
  const labels = side.kind === "labels";
  const size = h * w;
  const data = labels
    ? new (side.dtype === "uint8" ? Uint8Array : Int32Array)(size)
    : new Float32Array(side.channels * size);
  const known = new Map();
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const from = 4 * (mirrored(y, height) * width + mirrored(x, width));
      const to = y * w + x;
      const alpha = pixels[from + 3] / 255;
      const [r, g, b] = [0, 1, 2].map((c) => pixels[from + c] * alpha + 255 * (1 - alpha));
      if (labels) {
        const key = (r << 16) | (g << 8) | b;
        if (!known.has(key)) known.set(key, nearest(side.palette, r, g, b));
        data[to] = known.get(key);
      } else if (side.channels === 1) {
        data[to] = Math.round(0.299 * r + 0.587 * g + 0.114 * b) / 255;
      } else {
        data[to] = r / 255;
        data[size + to] = g / 255;
        data[2 * size + to] = b / 255;
      }
    }
  }
  return { data, dims: [1, side.channels, h, w] };
}

// The translation's tensor as pixels, cut back to width and height.
export function toPixels(data, [, channels, h, w], side, width, height) {
  const pixels = new Uint8ClampedArray(4 * width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = y * w + x;
      const to = 4 * (y * width + x);
      for (let c = 0; c < 3; c++) {
        pixels[to + c] =
          side.kind === "labels"
            ? side.palette[data[from]][c]
            : Math.round(255 * data[(channels === 1 ? 0 : c) * h * w + from]);
      }
      pixels[to + 3] = 255;
    }
  }
  return pixels;
}
