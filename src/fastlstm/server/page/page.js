"use strict";
// The page: explains the text with each selected model while the user types.

const DELAY = 150; // milliseconds between the last key and the request
const MAX_BARS = 10;
const MAX_TABLE_TOKENS = 10;
const MAX_UNKNOWN_TOKENS = 20;
const TIMEOUT = 30000; // milliseconds until a request fails
const FULL_COLOR_LOGIT = 2; // attributions of at least this have the full color
const FEW_KNOWN = 0.5; // predictions of texts with a smaller fraction of known tokens have a warning
const ERROR_MESSAGES = {
  "text-too-long": "tooLong",
  "body-too-large": "tooLong",
  "too-many-explanations": "overloaded",
  "too-many-requests": "overloaded",
};
const GATES = ["input", "forget", "output", "candidate", "cell", "hidden"];
const byId = (id) => document.getElementById(id);
let language = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
let updateNumber = 0; // responses of any update but the latest are ignored
let timer = null;

const message = (name, value = "") => MESSAGES[language][name].replace("{}", () => value);

function translate(root = document) {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of root.querySelectorAll("[data-message]"))
    element.textContent = message(element.dataset.message);
  byId("language").textContent = message("switchLanguage");
}

function showStatus(text) {
  byId("status").textContent = text;
}

async function request(path, body) {
  const options = { headers: { "Content-Type": "application/json" }, signal: AbortSignal.timeout(TIMEOUT) };
  if (byId("token").value) options.headers.Authorization = `Bearer ${byId("token").value}`;
  if (body) Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  let response, content;
  try {
    response = await fetch(path, options);
    content = await response.json();
  } catch {
    throw new Error(message("unreachable"));
  }
  if (response.status === 401) {
    byId("token-row").hidden = false;
    throw new Error(message("tokenRequired"));
  }
  if (!response.ok) {
    const name = ERROR_MESSAGES[content.code] ?? "requestFailed";
    throw new Error(name === "overloaded" ? message(name) : message(name) + content.error);
  }
  return content;
}

async function loadModels() {
  let models;
  try {
    models = await request("/models");
  } catch (error) {
    showStatus(error.message);
    return;
  }
  showStatus("");
  const fieldset = byId("models");
  fieldset.querySelectorAll("label").forEach((label) => label.remove());
  models.forEach((model, index) => {
    const label = document.createElement("label");
    const checkbox = document.createElement("input");
    checkbox.type = "checkbox";
    checkbox.value = model.name;
    checkbox.checked = index === 0;
    checkbox.addEventListener("change", scheduleUpdate);
    label.append(checkbox, ` ${model.name}${model.linear ? message("linear") : ""}`);
    fieldset.append(label);
  });
  scheduleUpdate();
}

function scheduleUpdate() {
  clearTimeout(timer);
  timer = setTimeout(update, DELAY);
}

const selectedModels = () =>
  [...byId("models").querySelectorAll("input:checked")].map((checkbox) => checkbox.value);

async function update() {
  const number = ++updateNumber;
  const text = byId("text").value;
  const names = selectedModels();
  for (const section of resultSections()) {
    if (names.includes(section.dataset.model)) section.setAttribute("aria-busy", "true");
    else section.remove();
  }
  if (!text.trim()) {
    byId("results").replaceChildren();
    showStatus(message("ready"));
    return;
  }
  if (!byId("models").querySelector("input")) {
    await loadModels(); // the server was unreachable before
    return;
  }
  showStatus(message("predicting"));
  try {
    for (const name of names) {
      const body = { text, model: name };
      const existing = resultSections().find((section) => section.dataset.model === name);
      if (existing?.querySelector("details").open)
        body.gates = Number(existing.querySelector(".unit").value) || 0;
      const explanation = await request("/explain", body);
      if (number !== updateNumber) return;
      const section = existing ?? addResultSection(name);
      showExplanation(section, explanation);
      section.removeAttribute("aria-busy");
    }
    showStatus(message("ready"));
  } catch (error) {
    if (number !== updateNumber) return;
    // What is still busy answers an earlier text.
    for (const section of resultSections()) if (section.hasAttribute("aria-busy")) section.remove();
    showStatus(error.message);
  }
}

const resultSections = () => [...byId("results").children];

function addResultSection(name) {
  const section = byId("result").content.cloneNode(true).querySelector(".result");
  section.dataset.model = name;
  section.querySelector("h2").textContent = name;
  section.querySelector("details").addEventListener("toggle", scheduleUpdate);
  section.querySelector(".unit").addEventListener("input", scheduleUpdate);
  translate(section);
  byId("results").append(section);
  return section;
}

const percent = (probability) => `${(100 * probability).toFixed(1)}%`;

function showExplanation(section, explanation) {
  const { label, probabilities } = explanation;
  section.querySelector(".prediction output").textContent =
    label === null ? message("noLabel") : `${label} ${percent(probabilities[label])}`;
  showKnown(section.querySelector(".known"), explanation);
  const { explained_label: explained } = explanation;
  section.querySelector(".attributions").textContent = message("attributions", explained);
  section.querySelector(".trajectory-title").textContent = message("trajectory", explained);
  section.querySelector(".bars").replaceChildren(
    ...Object.entries(explanation.probabilities)
      .sort((a, b) => b[1] - a[1])
      .slice(0, MAX_BARS)
      .map((entry) => createBar(...entry)),
  );
  showTokens(section.querySelector(".tokens"), explanation);
  showTopTokens(section.querySelector("tbody"), explanation);
  drawTrajectory(section.querySelector(".trajectory"), explanation);
  if (explanation.gates) {
    section.querySelector(".unit").max = explanation.units - 1;
    drawGates(section.querySelector(".gates"), explanation);
  }
}

function showKnown(paragraph, explanation) {
  const written = explanation.tokens.filter((token) => token.end > token.start); // without padding
  const unknown = new Set(written.filter((token) => !token.known).map((token) => token.token));
  const lines = [];
  if (explanation.known === 0) lines.push(message("nothingKnown"));
  else if (explanation.known < FEW_KNOWN) lines.push(message("fewKnown", percent(explanation.known)));
  paragraph.classList.toggle("warning", lines.length > 0);
  const listed = [...unknown].slice(0, MAX_UNKNOWN_TOKENS).join(" · ");
  if (listed) lines.push(message("unknownTokens") + listed + (unknown.size > MAX_UNKNOWN_TOKENS ? " …" : ""));
  paragraph.textContent = lines.join(" ");
  paragraph.hidden = lines.length === 0;
}

function createBar(label, probability) {
  const row = document.createElement("div");
  const [name, meter, value] = ["span", "meter", "span"].map((tag) => document.createElement(tag));
  row.className = "bar";
  name.textContent = label;
  meter.value = probability;
  value.className = "value";
  value.textContent = percent(probability);
  row.append(name, meter, value);
  return row;
}

const color = (value, maximum) => {
  const style = getComputedStyle(document.documentElement);
  const channels = style.getPropertyValue(value > 0 ? "--positive" : "--negative");
  return `rgba(${channels}, ${Math.min(1, Math.abs(value) / maximum).toFixed(2)})`;
};

function showTokens(paragraph, explanation) {
  const characters = Array.from(explanation.text); // offsets count code points, as in Python
  const slice = (start, end) => characters.slice(start, end).join("");
  const nodes = [];
  let end = 0;
  for (const token of explanation.tokens) {
    nodes.push(slice(end, token.start));
    const span = document.createElement("span");
    span.textContent = slice(token.start, token.end);
    span.title = token.attribution.toFixed(3);
    span.style.backgroundColor = color(token.attribution, FULL_COLOR_LOGIT);
    span.classList.toggle("truncated", !token.used);
    span.classList.toggle("unknown", !token.known);
    nodes.push(span);
    end = token.end;
  }
  nodes.push(slice(end));
  paragraph.replaceChildren(...nodes);
}

function showTopTokens(body, explanation) {
  const tokens = [...explanation.tokens].sort((a, b) => Math.abs(b.attribution) - Math.abs(a.attribution));
  body.replaceChildren(
    ...tokens.slice(0, MAX_TABLE_TOKENS).map((token) => {
      const row = document.createElement("tr");
      for (const text of [token.token, (token.attribution > 0 ? "+" : "") + token.attribution.toFixed(3)]) {
        const cell = document.createElement("td");
        cell.textContent = text;
        row.append(cell);
      }
      return row;
    }),
  );
}

function drawTrajectory(canvas, explanation) {
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const values = explanation.tokens.map((token) => token.probabilities[explanation.explained_label]);
  const x = (index) => ((index + 0.5) / values.length) * canvas.width;
  const y = (probability) => (1 - probability) * (canvas.height - 10) + 5;
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.strokeStyle = style.getPropertyValue("--line");
  context.beginPath();
  context.moveTo(0, y(0.5));
  context.lineTo(canvas.width, y(0.5));
  context.stroke();
  context.strokeStyle = `rgb(${style.getPropertyValue("--positive")})`;
  context.lineWidth = 2;
  context.beginPath();
  values.forEach((value, index) =>
    index ? context.lineTo(x(index), y(value)) : context.moveTo(x(index), y(value)),
  );
  context.stroke();
  const description = values.map((value) => value.toFixed(2)).join(" ");
  canvas.setAttribute("aria-label", `${message("trajectory", explanation.explained_label)}: ${description}`);
}

function drawGates(canvas, explanation) {
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const left = 80;
  const height = canvas.height / GATES.length;
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.font = "16px system-ui, sans-serif";
  context.textBaseline = "middle";
  GATES.forEach((name, row) => {
    const values = explanation.gates[name];
    const width = (canvas.width - left) / values.length;
    context.fillStyle = style.getPropertyValue("--ink");
    context.fillText(name, 0, (row + 0.5) * height);
    values.forEach((value, index) => {
      context.fillStyle = color(value, Math.max(1, Math.abs(value)));
      context.fillRect(left + index * width, row * height + 1, Math.ceil(width), height - 2);
    });
  });
  const lastValue = (name) => explanation.gates[name].at(-1).toFixed(2);
  canvas.setAttribute("aria-label", GATES.map((name) => `${name} ${lastValue(name)}`).join(", "));
}

byId("text").addEventListener("input", scheduleUpdate);
byId("token").addEventListener("change", loadModels);
byId("language").addEventListener("click", () => {
  language = language === "zh" ? "en" : "zh";
  translate();
  scheduleUpdate();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", scheduleUpdate);
translate();
loadModels();
