/** Draws a small plot: one line or a few, each over its own range, without axes. */

const PEN = 1.6; // pixels
const MARGIN = 4; // so that a line at its extreme is drawn whole

/** @typedef {{least: ArrayLike<number>, greatest: ArrayLike<number>, low: number, high: number}} Line */

/** @type {string[]} */
let colours = [];

/** The colours of the style sheet, for light and dark. */
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const probe = document.createElement("span");
  document.body.append(probe);
  colours = ["--line", "--line-2", "--line-3", "--line-4"].map((name) => {
    probe.style.color = style.getPropertyValue(name);
    return getComputedStyle(probe).color;
  });
  probe.remove();
}
addEventListener("themechange", () => {
  colours = [];
});

/**
 * Draws lines over the whole of a canvas.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Line[]} lines
 */
export function draw(canvas, lines) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const pen = canvas.getContext("2d");
  if (!pen || width === 0) {
    return;
  }
  if (colours.length === 0) {
    readColours();
  }
  const [right, bottom] = [Math.round(width * devicePixelRatio), Math.round(height * devicePixelRatio)];
  if (canvas.width !== right || canvas.height !== bottom) {
    [canvas.width, canvas.height] = [right, bottom];
  }
  pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.lineJoin = "round";
  pen.lineWidth = PEN;
  lines.forEach((line, index) => {
    pen.strokeStyle = pen.fillStyle = colours[index % colours.length] ?? "gray";
    stroke(pen, line, width, height, lines.length === 1);
  });
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Line} line
 * @param {number} width
 * @param {number} height
 * @param {boolean} isFilled whether the area below it is tinted
 */
function stroke(pen, { least, greatest, low, high }, width, height, isFilled) {
  const count = least.length;
  const range = high - low;
  const x = (/** @type {number} */ index) => (count < 2 ? 0 : (index / (count - 1)) * width);
  const y = (/** @type {number} */ value) =>
    range > 0 ? height - MARGIN - ((value - low) / range) * (height - 2 * MARGIN) : height / 2;
  pen.beginPath();
  let start = -1;
  for (let index = 0; index < count; index += 1) {
    const [bottom, top] = [/** @type {number} */ (least[index]), /** @type {number} */ (greatest[index])];
    if (Number.isFinite(bottom)) {
      start = start < 0 ? index : start;
      pen.lineTo(x(index), y(bottom));
      if (top !== bottom) {
        pen.lineTo(x(index), y(top));
      }
    }
  }
  pen.stroke();
  if (isFilled && start >= 0) {
    pen.lineTo(width, height);
    pen.lineTo(x(start), height);
    pen.globalAlpha = 0.1;
    pen.fill();
    pen.globalAlpha = 1;
  }
}

/** A list of numbers as a line of its own. @param {ArrayLike<number>} numbers @returns {Line} */
export function lineOf(numbers) {
  let [low, high] = [Infinity, -Infinity];
  for (let index = 0; index < numbers.length; index += 1) {
    const number = /** @type {number} */ (numbers[index]);
    if (Number.isFinite(number)) {
      low = Math.min(low, number);
      high = Math.max(high, number);
    }
  }
  return { least: numbers, greatest: numbers, low, high };
}
