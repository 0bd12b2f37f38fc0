/** Draws what the instrument pushes, and sets what the page's user moves. */
const SHOWN_S = 10;
const VOLTS = 2.5; // the plot reaches from -VOLTS to +VOLTS

const { scope } = rpc;
const canvas = /** @type {HTMLCanvasElement} */ (document.getElementById("plot"));
const form = /** @type {HTMLFormElement} */ (document.getElementById("settings"));
const pause = document.getElementById("pause");
const state = document.getElementById("state");

/** @type {[number, number][]} the newest readings: seconds, volts */
const readings = [];
let frame = 0; // that will draw them

function addReading([seconds, volts]) {
    if (readings.length && seconds < readings.at(-1)[0]) {
        readings.length = 0; // the instrument was started again
    }
    readings.push([seconds, volts]);
    while (readings[0][0] < seconds - SHOWN_S) {
        readings.shift();
    }
    if (frame === 0) { // a hidden page has no frames, and must not draw thousands once it is seen
        frame = requestAnimationFrame(draw);
    }
}

function draw() {
    frame = 0;
    const style = getComputedStyle(document.documentElement);
    const { clientWidth: width, clientHeight: height } = canvas;
    const scale = devicePixelRatio;
    canvas.width = width * scale;
    canvas.height = height * scale;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);

    const end = Math.max(SHOWN_S, readings.at(-1)?.[0] ?? 0);
    const x = (seconds) => width * (1 - (end - seconds) / SHOWN_S);
    const y = (volts) => (height * (1 - volts / VOLTS)) / 2;

    pen.strokeStyle = style.getPropertyValue("--grid");
    pen.fillStyle = style.getPropertyValue("--quiet");
    pen.font = "12px system-ui, sans-serif";
    pen.beginPath();
    for (let volts = -2; volts <= 2; volts += 1) {
        pen.moveTo(0, y(volts));
        pen.lineTo(width, y(volts));
    }
    for (let seconds = Math.ceil(end - SHOWN_S); seconds <= end; seconds += 1) {
        pen.moveTo(x(seconds), 0);
        pen.lineTo(x(seconds), height);
    }
    pen.stroke();
    for (let volts = -2; volts <= 2; volts += 1) {
        pen.fillText(`${volts} V`, 8, y(volts) - 4);
    }

    pen.strokeStyle = style.getPropertyValue("--line");
    pen.lineWidth = 2;
    pen.lineJoin = "round";
    pen.beginPath();
    for (const [seconds, volts] of readings) {
        pen.lineTo(x(seconds), y(volts));
    }
    pen.stroke();
}

/** Shows a setting, whoever has set it. */
function show(input, value) {
    if (!input.matches(":active")) { // not while it is being dragged: the answer is older than the hand
        input.value = value;
    }
    input.previousElementSibling.value = `${Number(value).toFixed(2)} ${input.dataset.unit}`;
}

const sliders = [...form.querySelectorAll("input")];
let isPaused = false;

for (const input of sliders) {
    input.addEventListener("input", () => {
        scope[input.name] = input.valueAsNumber;
    });
}
pause.addEventListener("click", () => {
    scope.paused = !isPaused;
});
form.addEventListener("reset", (event) => {
    event.preventDefault(); // the instrument knows its settings; the page hears of them
    scope.reset();
});

scope.rpcWebsocket.addChannelHandlers(
    {
        reading: addReading,
        paused: (value) => {
            isPaused = value;
            pause.textContent = value ? "Continue" : "Pause";
        },
        ...Object.fromEntries(sliders.map((input) => [input.name, (value) => show(input, value)])),
    },
    true,
);

rpc.$on("state", (now) => {
    state.textContent = now;
    state.className = now;
});
addEventListener("resize", draw);
draw();
